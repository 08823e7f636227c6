//! CLIENT LIST and CLIENT KILL.

use super::filter::{Asked, Filter};
use crate::engine::client::state;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::{Call, Engine};

pub(super) fn list(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let args = call.args;
    if args.len() == 3 {
        return Err(CmdError::Syntax);
    }
    let filter = Filter::parse(engine, call, Asked::List)?;
    let slots: Vec<usize> = match filter.only_ids() {
        Some(ids) => {
            let handles = ids.iter().filter_map(|id| engine.clients.by_id(*id as u64));
            handles.filter_map(|handle| engine.slot_of(handle)).collect()
        }
        None => all_slots(engine)
            .filter(|slot| filter.names(engine, *slot) && !(filter.skips_me && *slot == call.slot))
            .collect(),
    };
    let mut text = String::new();
    for slot in slots {
        engine.reply_model(slot);
        let running = if slot == call.slot { args.wire_bytes() } else { 0 };
        text += &engine.describe_running(slot, running);
        text.push('\n');
    }
    engine.reply(call.slot).verbatim(*b"txt", text.as_bytes());
    Ok(Outcome::Done)
}

fn all_slots(engine: &Engine) -> impl Iterator<Item = usize> {
    engine.clients.by_age().collect::<Vec<_>>().into_iter().map(|handle| handle.slot as usize)
}

pub(super) fn kill(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let old_form = call.args.len() == 3;
    let filter = match old_form {
        true => Filter::of_address(call.args.at(2)),
        false => Filter::parse(engine, call, Asked::Kill)?,
    };
    // Who is killed, and whom it has named in its place, hears what happened before.
    engine.tell_what_rose(call.id);
    let mut killed = 0;
    let mut suicide = false;
    for slot in all_slots(engine).collect::<Vec<_>>() {
        if !filter.names(engine, slot) || engine.clients[slot].is(state::CLOSE_ASAP) {
            continue;
        }
        if slot == call.slot {
            if filter.skips_me {
                continue;
            }
            suicide = true;
        } else {
            engine.kill(slot);
        }
        killed += 1;
        if old_form {
            break;
        }
    }
    match (old_form, killed) {
        (true, 0) => return Err(CmdError::coded("ERR No such client")),
        (true, _) => engine.reply(call.slot).ok(),
        (false, n) => engine.reply(call.slot).int(n),
    }
    if suicide {
        engine.clients[call.slot].set(state::CLOSE_AFTER_REPLY, true);
    }
    Ok(Outcome::Done)
}
