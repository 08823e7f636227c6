//! CLIENT REPLY, PAUSE, UNPAUSE and UNBLOCK.

use crate::base::number::parse_i64;
use crate::engine::blocking::BlockOn;
use crate::engine::client::state;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::{Call, Engine};

pub(super) fn reply(ctx: &mut Ctx<'_>) -> CmdResult {
    let (on, off, skip) = (ctx.args.is(2, "on"), ctx.args.is(2, "off"), ctx.args.is(2, "skip"));
    if on {
        *ctx.client_state &= !(state::REPLY_OFF | state::REPLY_SKIP | state::REPLY_SKIP_NEXT);
        ctx.reply.set_muted(false);
        ctx.reply.ok();
    } else if off {
        *ctx.client_state |= state::REPLY_OFF;
    } else if skip {
        if *ctx.client_state & state::REPLY_OFF == 0 {
            *ctx.client_state |= state::REPLY_SKIP_NEXT;
        }
    } else {
        return Err(CmdError::Syntax);
    }
    Ok(Outcome::Done)
}

/// Milliseconds at an argument, as a monotonic time in microseconds.
fn time_out_at(engine: &Engine, call: &Call<'_>, index: usize) -> Result<u64, CmdError> {
    let ms = parse_i64(call.args.at(index))
        .ok_or(CmdError::coded("ERR timeout is not an integer or out of range"))?;
    if ms < 0 {
        return Err(CmdError::coded("ERR timeout is negative"));
    }
    let now_us = engine.now.mono_us;
    let limit_ms = (i64::MAX as u64 - now_us) / 1000;
    if ms as u64 > limit_ms {
        return Err(CmdError::coded("ERR timeout is out of range"));
    }
    Ok(now_us + ms as u64 * 1000)
}

pub(super) fn pause(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let all = match call.args.get(3) {
        None => true,
        Some(mode) if mode.eq_ignore_ascii_case(b"all") => true,
        Some(mode) if mode.eq_ignore_ascii_case(b"write") => false,
        Some(_) => return Err(CmdError::coded("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    if call.args.len() > 4 {
        return Err(crate::commands::unknown_form(call));
    }
    let until_us = time_out_at(engine, call, 2)?;
    engine.pause_clients(until_us, all);
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

pub(super) fn unpause(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.unpause_clients();
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

pub(super) fn unblock(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if call.args.len() > 4 {
        return Err(crate::commands::unknown_form(call));
    }
    let with_error = match call.args.get(3) {
        None => false,
        Some(reason) if reason.eq_ignore_ascii_case(b"timeout") => false,
        Some(reason) if reason.eq_ignore_ascii_case(b"error") => true,
        Some(_) => return Err(CmdError::coded("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let id = parse_i64(call.args.at(2)).ok_or(CmdError::NotInteger)?;
    let target = engine.clients.by_id(id as u64).and_then(|handle| engine.slot_of(handle));
    // Who waits for a pause to end, or for its own flush, is not to be woken.
    let woken = target.filter(|&slot| {
        engine.clients[slot]
            .block
            .as_ref()
            .is_some_and(|b| matches!(b.block.on, BlockOn::Offset(_) | BlockOn::Keys))
    });
    if let Some(slot) = woken {
        engine.end_wait(slot, with_error);
    }
    engine.reply(call.slot).int(i64::from(woken.is_some()));
    Ok(Outcome::Done)
}
