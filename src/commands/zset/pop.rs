//! Taking members from either end: ZPOPMIN, ZPOPMAX, ZMPOP, and those that wait for a member.
//!
//! What follows on the feed is a ZPOPMIN or ZPOPMAX of the one key that was served.

use super::put_after_removal;
use crate::commands::reply_element;
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::types::{Zset, ZsetRef};
use crate::structures::slab::Handle;
use std::ops::Range;

/// Which end is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

impl End {
    fn event(self) -> &'static str {
        if self == End::Min { "zpopmin" } else { "zpopmax" }
    }

    fn verb(self) -> &'static [u8] {
        if self == End::Min { b"ZPOPMIN" } else { b"ZPOPMAX" }
    }

    /// The ranks of so many members at this end.
    fn ranks(self, zset: ZsetRef<'_>, count: usize) -> Range<usize> {
        let len = zset.len();
        if self == End::Min { 0..count } else { len - count..len }
    }
}

/// How members and scores are laid out in a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// One after the other.
    Flat,
    /// Each member with its score in an array.
    Pairs,
}

/// Takes `count` members, all if there are fewer, replies with them, and tells.
fn take(ctx: &mut Ctx<'_>, key: Key<'_>, handle: Handle, end: End, count: usize, shape: Shape) -> CmdResult {
    let mut zset = ctx.take::<Zset>(handle)?;
    let view = zset.view();
    let count = count.min(view.len());
    let ranks = end.ranks(view, count);
    let members =
        if end == End::Min { view.range(ranks.clone()) } else { view.range_reversed(ranks.clone()) };
    for (member, score) in members {
        if shape == Shape::Pairs {
            ctx.reply.array(2);
        }
        reply_element(&mut ctx.reply, member);
        ctx.reply.double(score);
    }
    zset.remove_ranks(ranks);
    put_after_removal(ctx, key, zset, end.event());
    ctx.changed(count as u64);
    Ok(Outcome::Done)
}

pub(super) fn zpopmin(ctx: &mut Ctx<'_>) -> CmdResult {
    zpop(ctx, End::Min)
}

pub(super) fn zpopmax(ctx: &mut Ctx<'_>) -> CmdResult {
    zpop(ctx, End::Max)
}

fn zpop(ctx: &mut Ctx<'_>, end: End) -> CmdResult {
    let has_count = ctx.args.len() == 3;
    if ctx.args.len() > 3 {
        return Err(CmdError::Syntax);
    }
    let count =
        if has_count { ctx.int(2).ok().and_then(|count| usize::try_from(count).ok()) } else { Some(1) };
    let count = count.ok_or(CmdError::coded("ERR value is out of range, must be positive"))?;
    let key = ctx.key(1);
    let Some(handle) = ctx.write(key) else {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let count = count.min(ctx.db_ref().value(handle).zset()?.len());
    if count == 0 {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    }
    let shape = if has_count && ctx.reply.version() == 3 { Shape::Pairs } else { Shape::Flat };
    ctx.reply.array(if shape == Shape::Pairs { count } else { 2 * count });
    take(ctx, key, handle, end, count, shape)
}

/// The first of the keys `range` of the request that holds a sorted set.
fn first_of(ctx: &mut Ctx<'_>, range: Range<usize>) -> Result<Option<(usize, Handle)>, CmdError> {
    for index in range {
        if let Some(handle) = ctx.write(ctx.key(index)) {
            ctx.db_ref().value(handle).zset()?;
            return Ok(Some((index, handle)));
        }
    }
    Ok(None)
}

pub(super) fn bzpopmin(ctx: &mut Ctx<'_>) -> CmdResult {
    bzpop(ctx, End::Min)
}

pub(super) fn bzpopmax(ctx: &mut Ctx<'_>) -> CmdResult {
    bzpop(ctx, End::Max)
}

fn bzpop(ctx: &mut Ctx<'_>, end: End) -> CmdResult {
    let last = ctx.args.len() - 1;
    let deadline = ctx.timeout(last)?;
    let Some((index, handle)) = first_of(ctx, 1..last)? else {
        return Ok(ctx.block_on_keys(deadline));
    };
    let key = ctx.key(index);
    ctx.reply.array(3);
    ctx.reply.bulk(key.bytes);
    ctx.propagate_as(&[end.verb(), key.bytes]);
    take(ctx, key, handle, end, 1, Shape::Flat)
}

/// What ZMPOP and BZMPOP are asked for.
struct Request {
    keys: Range<usize>,
    end: End,
    count: usize,
}

fn positive(ctx: &Ctx<'_>, index: usize, error: CmdError) -> Result<usize, CmdError> {
    let value = ctx.int(index).ok().and_then(|value| usize::try_from(value).ok());
    value.filter(|value| *value > 0).ok_or(error)
}

/// Reads a request whose number of keys is the argument `index`.
fn request(ctx: &Ctx<'_>, index: usize) -> Result<Request, CmdError> {
    let args = ctx.args;
    let keys = positive(ctx, index, CmdError::coded("ERR numkeys should be greater than 0"))?;
    let at = index.saturating_add(1).saturating_add(keys);
    if at >= args.len() {
        return Err(CmdError::Syntax);
    }
    let end = match () {
        () if args.is(at, "min") => End::Min,
        () if args.is(at, "max") => End::Max,
        () => return Err(CmdError::Syntax),
    };
    let count = match args.len() - at {
        1 => 1,
        2 => return Err(CmdError::Syntax),
        _ if !args.is(at + 1, "count") => return Err(CmdError::Syntax),
        more => {
            let count = positive(ctx, at + 2, CmdError::coded("ERR count should be greater than 0"))?;
            if more > 3 {
                return Err(CmdError::Syntax);
            }
            count
        }
    };
    Ok(Request { keys: index + 1..at, end, count })
}

fn zmpop_from(ctx: &mut Ctx<'_>, request: &Request, index: usize, handle: Handle) -> CmdResult {
    let key = ctx.key(index);
    let count = request.count.min(ctx.db_ref().value(handle).zset()?.len());
    ctx.reply.array(2);
    ctx.reply.bulk(key.bytes);
    ctx.reply.array(count);
    ctx.propagate_as(&[request.end.verb(), key.bytes, count.to_string().as_bytes()]);
    take(ctx, key, handle, request.end, count, Shape::Pairs)
}

pub(super) fn zmpop(ctx: &mut Ctx<'_>) -> CmdResult {
    let request = request(ctx, 1)?;
    match first_of(ctx, request.keys.clone())? {
        Some((index, handle)) => zmpop_from(ctx, &request, index, handle),
        None => {
            ctx.reply.null_array();
            Ok(Outcome::Done)
        }
    }
}

pub(super) fn bzmpop(ctx: &mut Ctx<'_>) -> CmdResult {
    let request = request(ctx, 2)?;
    let deadline = ctx.timeout(1)?;
    match first_of(ctx, request.keys.clone())? {
        Some((index, handle)) => zmpop_from(ctx, &request, index, handle),
        None => Ok(ctx.block_on_keys(deadline)),
    }
}
