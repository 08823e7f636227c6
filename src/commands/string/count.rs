//! Strings as numbers: INCR and its kind.

use crate::base::extended::Extended;
use crate::base::number::parse_i64;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::{Deadline, EventClass, NewValue, ValueRef};

pub(super) fn incr(ctx: &mut Ctx<'_>) -> CmdResult {
    add(ctx, 1)
}

pub(super) fn decr(ctx: &mut Ctx<'_>) -> CmdResult {
    add(ctx, -1)
}

pub(super) fn incrby(ctx: &mut Ctx<'_>) -> CmdResult {
    let by = ctx.int(2)?;
    add(ctx, by)
}

pub(super) fn decrby(ctx: &mut Ctx<'_>) -> CmdResult {
    let by = ctx.int(2)?;
    // The lowest number has no positive counterpart.
    let by = by.checked_neg().ok_or(CmdError::coded("ERR decrement would overflow"))?;
    add(ctx, by)
}

fn add(ctx: &mut Ctx<'_>, by: i64) -> CmdResult {
    let key = ctx.key(1);
    let found = ctx.write(key);
    let (old, is_int) = match found.map(|handle| ctx.db_ref().value(handle)) {
        None => (0, false),
        Some(ValueRef::Int(value)) => (value, true),
        Some(other) => {
            let text = crate::engine::ctx::text(other)?;
            (parse_i64(&text).ok_or(CmdError::NotInteger)?, false)
        }
    };
    let new = old.checked_add(by).ok_or(CmdError::coded("ERR increment or decrement would overflow"))?;
    match found {
        Some(handle) if is_int => ctx.db().set_int(handle, new),
        _ => {
            ctx.set(key, found, NewValue::Int(new), Deadline::Keep);
        }
    }
    ctx.changed(1);
    ctx.notify(EventClass::String, "incrby", key.bytes);
    ctx.reply.int(new);
    Ok(Outcome::Done)
}

pub(super) fn incrbyfloat(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let found = ctx.write(key);
    let old = match found {
        Some(handle) => Extended::parse(&ctx.text(handle)?),
        None => Extended::parse(b"0"),
    };
    let old = old.ok_or(CmdError::NotFloat)?;
    let by = Extended::parse(ctx.args.at(2)).ok_or(CmdError::NotFloat)?;
    let new = old.add(by);
    if new.is_nan() || new.is_infinite() {
        return Err(CmdError::coded("ERR increment would produce NaN or Infinity"));
    }
    let text = new.format_human();
    ctx.set(key, found, NewValue::Copied(&text), Deadline::Keep);
    ctx.changed(1);
    ctx.notify(EventClass::String, "incrbyfloat", key.bytes);
    // Another machine might round differently, so the result is told and not the sum.
    ctx.propagate_as(&[b"SET", key.bytes, &text, b"KEEPTTL"]);
    ctx.reply.bulk(&text);
    Ok(Outcome::Done)
}
