//! Reading a range of a stream: XRANGE, XREVRANGE.

use super::{bound_at, reply_entry};
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::types::stream::{Log, StreamId};
use crate::resp::Reply;

pub(super) fn xrange(ctx: &mut Ctx<'_>) -> CmdResult {
    range(ctx, true)
}

pub(super) fn xrevrange(ctx: &mut Ctx<'_>) -> CmdResult {
    range(ctx, false)
}

fn range(ctx: &mut Ctx<'_>, forward: bool) -> CmdResult {
    let (start_at, end_at) = if forward { (2, 3) } else { (3, 2) };
    let (start, end) = (bound_at(ctx, start_at, true)?, bound_at(ctx, end_at, false)?);
    let mut count = None;
    let mut index = 4;
    while index < ctx.args.len() {
        if !ctx.args.is(index, "count") || index + 1 == ctx.args.len() {
            return Err(CmdError::Syntax);
        }
        count = Some(ctx.int(index + 1)?.max(0) as usize);
        index += 2;
    }
    let key = ctx.key(1);
    let Some(handle) = ctx.read(key) else {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let open = ctx.open();
    let stream = open.db.value(handle).stream()?;
    if count == Some(0) {
        open.reply.null_array();
    } else {
        reply_range(open.reply, &stream.log, start, end, forward, count.unwrap_or(usize::MAX));
    }
    Ok(Outcome::Done)
}

/// Replies with up to `count` entries as an array.
pub(super) fn reply_range(
    reply: &mut Reply<'_>,
    log: &Log,
    start: StreamId,
    end: StreamId,
    forward: bool,
    count: usize,
) {
    // The header precedes the entries, so these are counted first; all of them need no counting.
    let found = if start <= log.first_id && end >= log.last_id {
        log.len().min(count)
    } else {
        log.count(start, end, forward, count)
    };
    reply.array(found);
    let mut left = found;
    if left > 0 {
        log.walk(start, end, forward, |entry| {
            reply_entry(reply, entry);
            left -= 1;
            left > 0
        });
    }
}
