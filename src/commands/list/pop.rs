//! Taking from the ends of lists, with and without waiting.

use super::look::not_negative;
use super::{End, put_after_removal, reply_item};
use crate::base::number::{I64_BYTES_MAX, format_i64};
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::types::List;
use crate::structures::slab::Handle;

pub(super) fn lpop(ctx: &mut Ctx<'_>) -> CmdResult {
    pop(ctx, End::Left)
}

pub(super) fn rpop(ctx: &mut Ctx<'_>) -> CmdResult {
    pop(ctx, End::Right)
}

fn pop(ctx: &mut Ctx<'_>, end: End) -> CmdResult {
    if ctx.args.len() > 3 {
        return Err(CmdError::Arity(ctx.row.full_name));
    }
    let count = match ctx.args.len() {
        2 => None,
        _ => Some(not_negative(ctx, 2, "ERR value is out of range, must be positive")?),
    };
    let key = ctx.key(1);
    let Some(handle) = ctx.write(key) else {
        if count.is_some() {
            ctx.reply.null_array();
        } else {
            ctx.reply.null();
        }
        return Ok(Outcome::Done);
    };
    match count {
        None => {
            let mut list = ctx.take::<List>(handle)?;
            list.view().end(end.is_front(), |item| reply_item(&mut ctx.reply, item));
            list.remove_end(end.is_front());
            put_after_removal(ctx, key, list, end.popped());
            ctx.changed(1);
        }
        Some(0) => {
            ctx.db_ref().value(handle).list()?;
            ctx.reply.array(0);
        }
        Some(count) => {
            pop_many(ctx, key, handle, end, count)?;
        }
    }
    Ok(Outcome::Done)
}

/// Takes up to `count` elements from an end and replies with them as an array; gives how many there were.
fn pop_many(
    ctx: &mut Ctx<'_>,
    key: Key<'_>,
    handle: Handle,
    end: End,
    count: usize,
) -> Result<usize, CmdError> {
    let mut list = ctx.take::<List>(handle)?;
    let len = list.view().len();
    let count = count.min(len);
    ctx.reply.array(count);
    let mut left = count;
    list.view().walk(if end.is_front() { 0 } else { len - 1 }, end.is_front(), |item| {
        reply_item(&mut ctx.reply, item);
        left -= 1;
        left > 0
    });
    list.remove_range(if end.is_front() { 0 } else { len - count }, count);
    put_after_removal(ctx, key, list, end.popped());
    ctx.changed(count as u64);
    Ok(count)
}

pub(super) fn blpop(ctx: &mut Ctx<'_>) -> CmdResult {
    blocking_pop(ctx, End::Left)
}

pub(super) fn brpop(ctx: &mut Ctx<'_>) -> CmdResult {
    blocking_pop(ctx, End::Right)
}

fn blocking_pop(ctx: &mut Ctx<'_>, end: End) -> CmdResult {
    let last = ctx.args.len() - 1;
    let deadline = ctx.timeout(last)?;
    let Some((key, handle)) = first_list(ctx, 1..last)? else { return Ok(ctx.block_on_keys(deadline)) };
    let mut list = ctx.take::<List>(handle)?;
    ctx.reply.array(2);
    ctx.reply.bulk(key.bytes);
    list.view().end(end.is_front(), |item| reply_item(&mut ctx.reply, item));
    list.remove_end(end.is_front());
    put_after_removal(ctx, key, list, end.popped());
    ctx.changed(1);
    ctx.propagate_as(&[end.pop_command(), key.bytes]);
    Ok(Outcome::Done)
}

pub(super) fn lmpop(ctx: &mut Ctx<'_>) -> CmdResult {
    let options = Options::parse(ctx, 1)?;
    if !options.grant(ctx)? {
        ctx.reply.null_array();
    }
    Ok(Outcome::Done)
}

pub(super) fn blmpop(ctx: &mut Ctx<'_>) -> CmdResult {
    let options = Options::parse(ctx, 2)?;
    let deadline = ctx.timeout(1)?;
    if options.grant(ctx)? { Ok(Outcome::Done) } else { Ok(ctx.block_on_keys(deadline)) }
}

/// What LMPOP and BLMPOP ask for.
struct Options {
    keys: std::ops::Range<usize>,
    end: End,
    count: usize,
}

impl Options {
    /// `at` is the argument that counts the keys.
    fn parse(ctx: &Ctx<'_>, at: usize) -> Result<Options, CmdError> {
        let positive = |index: usize, refusal| match not_negative(ctx, index, refusal)? {
            0 => Err(CmdError::coded(refusal)),
            n => Ok(n),
        };
        let keys = positive(at, "ERR numkeys should be greater than 0")?;
        let end_at = keys.saturating_add(at + 1);
        if end_at >= ctx.args.len() {
            return Err(CmdError::Syntax);
        }
        let end = End::at(ctx, end_at)?;
        let mut count = None;
        let mut index = end_at + 1;
        while index < ctx.args.len() {
            if count.is_some() || !ctx.args.is(index, "count") || index + 1 == ctx.args.len() {
                return Err(CmdError::Syntax);
            }
            count = Some(positive(index + 1, "ERR count should be greater than 0")?);
            index += 2;
        }
        Ok(Options { keys: at + 1..end_at, end, count: count.unwrap_or(1) })
    }

    /// Takes from the first list that exists; false if none does.
    fn grant(&self, ctx: &mut Ctx<'_>) -> Result<bool, CmdError> {
        let Some((key, handle)) = first_list(ctx, self.keys.clone())? else { return Ok(false) };
        ctx.reply.array(2);
        ctx.reply.bulk(key.bytes);
        let taken = pop_many(ctx, key, handle, self.end, self.count)?;
        let mut digits = [0; I64_BYTES_MAX];
        let digits = format_i64(taken as i64, &mut digits);
        ctx.propagate_as(&[self.end.pop_command(), key.bytes, digits]);
        Ok(true)
    }
}

/// The first of these keys that exists. It must be a list.
fn first_list<'a>(
    ctx: &mut Ctx<'a>,
    keys: std::ops::Range<usize>,
) -> Result<Option<(Key<'a>, Handle)>, CmdError> {
    for index in keys {
        let key = ctx.key(index);
        if let Some(handle) = ctx.write(key) {
            ctx.db_ref().value(handle).list()?;
            return Ok(Some((key, handle)));
        }
    }
    Ok(None)
}
