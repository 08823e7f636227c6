//! Parts of strings: APPEND, SETRANGE, GETRANGE, STRLEN.

use super::value_at;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::{Deadline, EventClass, NewValue, ValueRef};
use bytes::BytesMut;
use std::ops::Range;

/// Refuses a string of `len` and `more` bytes that a client could not send in one piece either.
fn check_length(ctx: &Ctx<'_>, len: u64, more: u64) -> Result<(), CmdError> {
    if len + more > ctx.conf.proto_max_bulk_len_bytes { Err(CmdError::StringTooLong) } else { Ok(()) }
}

pub(super) fn append(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let more = ctx.args.at(2);
    let len = match ctx.write(key) {
        None => {
            let value = value_at(&ctx.args, 2);
            ctx.set(key, None, value, Deadline::Clear);
            more.len()
        }
        Some(handle) => {
            let len = ctx.text(handle)?.len();
            check_length(ctx, len as u64, more.len() as u64)?;
            let mut string = ctx.db().string_to_change(handle).ok_or(CmdError::WrongType)?;
            string.extend_from_slice(more);
            ctx.set(key, Some(handle), NewValue::Raw(string.freeze()), Deadline::Keep);
            len + more.len()
        }
    };
    ctx.changed(1);
    ctx.notify(EventClass::String, "append", key.bytes);
    ctx.reply.int(len as i64);
    Ok(Outcome::Done)
}

pub(super) fn setrange(ctx: &mut Ctx<'_>) -> CmdResult {
    let offset = ctx.int(2)?;
    let offset = u64::try_from(offset).map_err(|_| CmdError::coded("ERR offset is out of range"))?;
    let key = ctx.key(1);
    let part = ctx.args.at(3);
    let found = ctx.write(key);
    let len = match found {
        Some(handle) => ctx.text(handle)?.len(),
        None => 0,
    };
    if part.is_empty() {
        ctx.reply.int(len as i64);
        return Ok(Outcome::Done);
    }
    check_length(ctx, offset, part.len() as u64)?;
    let offset = offset as usize;
    let end = offset + part.len();
    let mut string = match found {
        Some(handle) => ctx.db().string_to_change(handle).ok_or(CmdError::WrongType)?,
        None => BytesMut::with_capacity(end),
    };
    if string.len() < end {
        string.resize(end, 0);
    }
    string[offset..end].copy_from_slice(part);
    let len = string.len();
    ctx.set(key, found, NewValue::Raw(string.freeze()), Deadline::Keep);
    ctx.changed(1);
    ctx.notify(EventClass::String, "setrange", key.bytes);
    ctx.reply.int(len as i64);
    Ok(Outcome::Done)
}

pub(super) fn strlen(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let len = match ctx.read(key) {
        Some(handle) => ctx.text(handle)?.len(),
        None => 0,
    };
    ctx.reply.int(len as i64);
    Ok(Outcome::Done)
}

pub(super) fn getrange(ctx: &mut Ctx<'_>) -> CmdResult {
    let (start, end) = (ctx.int(2)?, ctx.int(3)?);
    let key = ctx.key(1);
    let Some(handle) = ctx.read(key) else {
        ctx.reply.bulk(b"");
        return Ok(Outcome::Done);
    };
    if let ValueRef::Shared(bytes) = ctx.db_ref().value(handle) {
        let part = bytes.slice(byte_range(start, end, bytes.len()));
        ctx.reply.bulk_shared(&part);
        return Ok(Outcome::Done);
    }
    let text = ctx.text(handle)?;
    let part = text[byte_range(start, end, text.len())].to_vec();
    ctx.reply.bulk(&part);
    Ok(Outcome::Done)
}

/// The bytes of a string of `len` that lie between two places, both included; negative ones count from the end.
fn byte_range(start: i64, end: i64, len: usize) -> Range<usize> {
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let place = |at: i64| if at < 0 { at.saturating_add(len as i64).max(0) } else { at };
    let (start, end) = (place(start), place(end).min(len as i64 - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_outside_a_string_are_moved_to_its_ends() {
        let part = |start, end| &"Hello World"[byte_range(start, end, 11)];
        assert_eq!(part(0, 3), "Hell");
        assert_eq!(part(0, -1), "Hello World");
        assert_eq!(part(-4, -1), "orld");
        assert_eq!(part(5, 3), "");
        assert_eq!(part(5, 5000), " World");
        assert_eq!(part(-5000, 10000), "Hello World");
        assert_eq!(part(-5000, -5001), "");
        assert_eq!(part(-5001, -5000), "H");
        assert_eq!(part(0, i64::MIN), "H");
        assert_eq!(part(i64::MAX, i64::MAX), "");
        assert_eq!(byte_range(0, -1, 0), 0..0);
    }
}
