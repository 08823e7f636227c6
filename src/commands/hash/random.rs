//! Random fields: HRANDFIELD. Fields whose deadline has passed are removed first.

use super::{is_alive, read, reply_field_value};
use crate::commands::{allows_picks, hard_limit_bytes, is_too_much, reply_element};
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::db::is_past;
use crate::keyspace::types::HashRef;
use crate::keyspace::types::hash::Field;
use crate::resp::Reply;
use crate::structures::slab::Handle;

/// Draws that may hit a field whose deadline has passed while nothing may be removed.
const DRAWS_MAX: usize = 100;

/// The hash without expired fields, if anything is left of it.
fn read_alive(ctx: &mut Ctx<'_>) -> Result<Option<Handle>, CmdError> {
    let key = ctx.key(1);
    let Some(handle) = read(ctx, key)? else { return Ok(None) };
    let now_ms = ctx.judged_ms();
    let deadline = ctx.db_ref().value(handle).hash()?.next_deadline();
    if deadline.is_none_or(|deadline| !is_past(deadline, now_ms)) || ctx.keeps_expired() {
        return Ok(Some(handle));
    }
    Ok(ctx.expire_fields(key, handle, None))
}

pub(super) fn hrandfield(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    if args.len() > 2 {
        let count = ctx.int_between(2, -i64::MAX, i64::MAX)?;
        if args.len() > 4 || (args.len() == 4 && !args.is(3, "withvalues")) {
            return Err(CmdError::Syntax);
        }
        let with_values = args.len() == 4;
        if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
            return Err(CmdError::coded("ERR value is out of range"));
        }
        return some(ctx, count, with_values);
    }
    let found = read_alive(ctx)?;
    let now_ms = ctx.judged_ms();
    let open = ctx.open();
    let hash = match found {
        Some(handle) => Some(open.db.value(handle).hash()?),
        None => None,
    };
    for _ in 0..DRAWS_MAX {
        if let Some(field) = hash.and_then(|hash| hash.random(open.rng)).filter(|f| is_alive(f, now_ms)) {
            reply_element(open.reply, field.name);
            return Ok(Outcome::Done);
        }
    }
    open.reply.null();
    Ok(Outcome::Done)
}

fn some(ctx: &mut Ctx<'_>, count: i64, with_values: bool) -> CmdResult {
    let Some(handle) = read_alive(ctx)? else {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let now_ms = ctx.judged_ms();
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let (allowed, bound) = (allows_picks(ctx, wanted), hard_limit_bytes(ctx.conf));
    let open = ctx.open();
    let hash: HashRef<'_> = open.db.value(handle).hash()?;
    let give = |reply: &mut Reply<'_>, field: Field<'_>| {
        if with_values && reply.version() > 2 {
            reply.array(2);
        }
        reply_element(reply, field.name);
        if with_values {
            reply_field_value(reply, field.value);
        }
    };
    let replies = |count: usize, version: u8| if with_values && version == 2 { 2 * count } else { count };
    let is_seen = |field: &Field<'_>| is_alive(field, now_ms);
    let any_expired = hash.next_deadline().is_some_and(|deadline| is_past(deadline, now_ms));
    let alive = if any_expired { hash.iter().filter(is_seen).count() } else { hash.len() };
    if count < 0 {
        if !allowed {
            return Err(CmdError::coded("ERR value is out of range"));
        }
        let count = if alive == 0 { 0 } else { wanted };
        open.reply.array(replies(count, open.reply.version()));
        let mut given = 0;
        while given < count && !is_too_much(open.reply, bound) {
            if let Some(field) = hash.random(open.rng).filter(is_seen) {
                give(open.reply, field);
                given += 1;
            }
        }
        return Ok(Outcome::Done);
    }
    open.reply.array(replies(wanted.min(alive), open.reply.version()));
    hash.sample(wanted, open.rng, is_seen, |field| give(open.reply, field));
    Ok(Outcome::Done)
}
