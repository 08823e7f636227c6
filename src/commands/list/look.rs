//! Reading lists.

use super::reply_item;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};

pub(super) fn llen(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let len = match ctx.read(key) {
        Some(handle) => ctx.db_ref().value(handle).list()?.len(),
        None => 0,
    };
    ctx.reply.int(len as i64);
    Ok(Outcome::Done)
}

pub(super) fn lindex(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let Some(handle) = ctx.read(key) else {
        ctx.reply.null();
        return Ok(Outcome::Done);
    };
    // A missing key and a wrong type are found before a wrong index.
    ctx.db_ref().value(handle).list()?;
    let index = ctx.int(2)?;
    let open = ctx.open();
    let found = open.db.value(handle).list()?.get(index, |item| reply_item(open.reply, item));
    if found.is_none() {
        ctx.reply.null();
    }
    Ok(Outcome::Done)
}

pub(super) fn lrange(ctx: &mut Ctx<'_>) -> CmdResult {
    let (start, stop) = (ctx.int(2)?, ctx.int(3)?);
    let key = ctx.key(1);
    let Some(handle) = ctx.read(key) else {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let open = ctx.open();
    let list = open.db.value(handle).list()?;
    let Some((start, count)) = range(start, stop, list.len()) else {
        open.reply.array(0);
        return Ok(Outcome::Done);
    };
    open.reply.array(count);
    let mut left = count;
    list.walk(start, true, |item| {
        reply_item(open.reply, item);
        left -= 1;
        left > 0
    });
    Ok(Outcome::Done)
}

/// Start and length of what lies between two indices, which may count from the end; none when nothing does.
pub(super) fn range(start: i64, stop: i64, len: usize) -> Option<(usize, usize)> {
    let len = len as i64;
    let from_front = |index: i64| if index < 0 { index + len } else { index };
    let (start, stop) = (from_front(start).max(0), from_front(stop).min(len - 1));
    if start > stop { None } else { Some((start as usize, (stop - start) as usize + 1)) }
}

pub(super) fn lpos(ctx: &mut Ctx<'_>) -> CmdResult {
    let (mut rank, mut count, mut looked_at) = (1, None, 0);
    let mut index = 3;
    while index < ctx.args.len() {
        let at = index + 1;
        if at == ctx.args.len() {
            return Err(CmdError::Syntax);
        }
        if ctx.args.is(index, "rank") {
            rank = ctx.int_between(at, -i64::MAX, i64::MAX)?;
            if rank == 0 {
                return Err(CmdError::coded(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative \
                     to start from the end of the list",
                ));
            }
        } else if ctx.args.is(index, "count") {
            count = Some(not_negative(ctx, at, "ERR COUNT can't be negative")?);
        } else if ctx.args.is(index, "maxlen") {
            looked_at = not_negative(ctx, at, "ERR MAXLEN can't be negative")?;
        } else {
            return Err(CmdError::Syntax);
        }
        index += 2;
    }
    let key = ctx.key(1);
    let found = match ctx.read(key) {
        None => Vec::new(),
        Some(handle) => {
            let list = ctx.db_ref().value(handle).list()?;
            let wanted = match count {
                None => 1,
                Some(0) => usize::MAX,
                Some(count) => count,
            };
            let looked_at = if looked_at == 0 { usize::MAX } else { looked_at };
            list.positions(ctx.args.at(2), rank > 0, rank.unsigned_abs() as usize - 1, wanted, looked_at)
        }
    };
    match (count, found.first()) {
        (Some(_), _) => {
            ctx.reply.array(found.len());
            found.iter().for_each(|index| ctx.reply.int(*index as i64));
        }
        (None, Some(index)) => ctx.reply.int(*index as i64),
        (None, None) => ctx.reply.null(),
    }
    Ok(Outcome::Done)
}

/// A number that is refused with the same words whether it is negative or none.
pub(super) fn not_negative(ctx: &Ctx<'_>, index: usize, refusal: &'static str) -> Result<usize, CmdError> {
    ctx.int(index).ok().and_then(|n| usize::try_from(n).ok()).ok_or(CmdError::coded(refusal))
}
