//! Numbers in fields: HINCRBY, HINCRBYFLOAT. The deadline of the field stays.

use super::{remove_expired, write};
use crate::base::extended::Extended;
use crate::base::number::{I64_BYTES_MAX, format_i64, parse_i64};
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::EventClass;
use crate::keyspace::types::Hash;
use crate::keyspace::types::hash::FieldDeadline;

/// The text of a field that is alive, and whether it has a deadline.
fn text_of(ctx: &mut Ctx<'_>, key: Key<'_>, field: &[u8]) -> Result<Option<(Vec<u8>, bool)>, CmdError> {
    let Some(handle) = write(ctx, key)? else { return Ok(None) };
    let Some(handle) = remove_expired(ctx, key, handle, field) else { return Ok(None) };
    let found = ctx.db_ref().value(handle).hash()?.get(field);
    Ok(found.map(|field| (field.value.element().to_vec(), field.deadline.is_some())))
}

/// Writes the new number of a field.
fn set(ctx: &mut Ctx<'_>, key: Key<'_>, field: &[u8], value: &[u8]) -> Result<(), CmdError> {
    let tuning = &ctx.conf.tuning;
    let mut hash = ctx.take_or_new::<Hash>(key)?;
    hash.make_room(1, field.len().max(value.len()), field.len() + value.len(), tuning);
    hash.set(field, value, FieldDeadline::Keep, tuning);
    ctx.put(key, hash);
    ctx.changed(1);
    Ok(())
}

pub(super) fn hincrby(ctx: &mut Ctx<'_>) -> CmdResult {
    let more = ctx.int(3)?;
    let key = ctx.key(1);
    let field = ctx.args.at(2);
    let old = match text_of(ctx, key, field)? {
        Some((text, _)) => parse_i64(&text).ok_or(CmdError::coded("ERR hash value is not an integer"))?,
        None => 0,
    };
    let new = old.checked_add(more);
    let new = new.ok_or(CmdError::coded("ERR increment or decrement would overflow"))?;
    set(ctx, key, field, format_i64(new, &mut [0; I64_BYTES_MAX]))?;
    ctx.notify(EventClass::Hash, "hincrby", key.bytes);
    ctx.reply.int(new);
    Ok(Outcome::Done)
}

pub(super) fn hincrbyfloat(ctx: &mut Ctx<'_>) -> CmdResult {
    let more = Extended::parse(ctx.args.at(3)).ok_or(CmdError::NotFloat)?;
    if more.is_nan() || more.is_infinite() {
        return Err(CmdError::coded("ERR value is NaN or Infinity"));
    }
    let key = ctx.key(1);
    let field = ctx.args.at(2);
    let (old, has_ttl) = match text_of(ctx, key, field)? {
        Some((text, has_ttl)) => {
            (Extended::parse(&text).ok_or(CmdError::coded("ERR hash value is not a float"))?, has_ttl)
        }
        None => (Extended::parse(b"0").ok_or(CmdError::NotFloat)?, false),
    };
    let new = old.add(more);
    if new.is_nan() || new.is_infinite() {
        return Err(CmdError::coded("ERR increment would produce NaN or Infinity"));
    }
    let text = new.format_human();
    set(ctx, key, field, &text)?;
    // Another machine might round differently, so the sum is propagated; and HSET would take the deadline away.
    let with_deadline: &[&[u8]] = &[b"HSETEX", key.bytes, b"KEEPTTL", b"FIELDS", b"1", field, &text];
    if has_ttl {
        ctx.propagate_as(with_deadline);
    } else {
        // A log is read by older servers, too, which do not know it.
        ctx.propagate_apart(with_deadline, &[&b"HSET"[..], key.bytes, field, &text]);
    }
    ctx.notify(EventClass::Hash, "hincrbyfloat", key.bytes);
    ctx.reply.bulk(&text);
    Ok(Outcome::Done)
}
