//! Adding to lists, and moving from one to another.

use super::{End, put_after_removal};
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::types::List;
use crate::keyspace::{EventClass, Taken};

pub(super) fn lpush(ctx: &mut Ctx<'_>) -> CmdResult {
    push(ctx, End::Left, false)
}

pub(super) fn rpush(ctx: &mut Ctx<'_>) -> CmdResult {
    push(ctx, End::Right, false)
}

pub(super) fn lpushx(ctx: &mut Ctx<'_>) -> CmdResult {
    push(ctx, End::Left, true)
}

pub(super) fn rpushx(ctx: &mut Ctx<'_>) -> CmdResult {
    push(ctx, End::Right, true)
}

fn push(ctx: &mut Ctx<'_>, end: End, only_existing: bool) -> CmdResult {
    let key = ctx.key(1);
    let mut list = match ctx.write(key) {
        Some(handle) => ctx.take::<List>(handle)?,
        None if only_existing => {
            ctx.reply.int(0);
            return Ok(Outcome::Done);
        }
        None => Taken::new(),
    };
    let count = ctx.args.len() - 2;
    let bytes = ctx.args.iter_from(2).map(<[u8]>::len).sum();
    list.expect(bytes, count, &ctx.conf.tuning);
    for text in ctx.args.iter_from(2) {
        list.push(text, end.is_front());
    }
    let len = list.view().len();
    ctx.put(key, list);
    ctx.notify(EventClass::List, end.pushed(), key.bytes);
    ctx.changed(count as u64);
    ctx.reply.int(len as i64);
    Ok(Outcome::Done)
}

pub(super) fn linsert(ctx: &mut Ctx<'_>) -> CmdResult {
    let behind = if ctx.args.is(2, "after") {
        true
    } else if ctx.args.is(2, "before") {
        false
    } else {
        return Err(CmdError::Syntax);
    };
    let key = ctx.key(1);
    let Some(handle) = ctx.write(key) else {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    };
    let (pivot, text) = (ctx.args.at(3), ctx.args.at(4));
    let mut list = ctx.take::<List>(handle)?;
    // Also when there is no such pivot, as in Redis.
    list.expect(text.len(), 1, &ctx.conf.tuning);
    let is_inserted = list.insert_beside(pivot, behind, text);
    let len = list.view().len();
    ctx.put(key, list);
    if is_inserted {
        ctx.notify(EventClass::List, "linsert", key.bytes);
        ctx.changed(1);
        ctx.reply.int(len as i64);
    } else {
        ctx.reply.int(-1);
    }
    Ok(Outcome::Done)
}

pub(super) fn lmove(ctx: &mut Ctx<'_>) -> CmdResult {
    let (from, to) = (End::at(ctx, 3)?, End::at(ctx, 4)?);
    if !move_element(ctx, from, to)? {
        ctx.reply.null();
    }
    Ok(Outcome::Done)
}

pub(super) fn rpoplpush(ctx: &mut Ctx<'_>) -> CmdResult {
    if !move_element(ctx, End::Right, End::Left)? {
        ctx.reply.null();
    }
    Ok(Outcome::Done)
}

pub(super) fn blmove(ctx: &mut Ctx<'_>) -> CmdResult {
    let (from, to) = (End::at(ctx, 3)?, End::at(ctx, 4)?);
    let deadline = ctx.timeout(5)?;
    if !move_element(ctx, from, to)? {
        return Ok(ctx.block_on_keys(deadline));
    }
    let args = ctx.args;
    ctx.propagate_as(&[b"LMOVE", args.at(1), args.at(2), args.at(3), args.at(4)]);
    Ok(Outcome::Done)
}

pub(super) fn brpoplpush(ctx: &mut Ctx<'_>) -> CmdResult {
    let deadline = ctx.timeout(3)?;
    if !move_element(ctx, End::Right, End::Left)? {
        return Ok(ctx.block_on_keys(deadline));
    }
    let args = ctx.args;
    ctx.propagate_as(&[b"RPOPLPUSH", args.at(1), args.at(2)]);
    Ok(Outcome::Done)
}

/// Moves an element from the list at argument 1 to the one at argument 2 and replies with it; false without a source.
fn move_element(ctx: &mut Ctx<'_>, from: End, to: End) -> Result<bool, CmdError> {
    let (source, target) = (ctx.key(1), ctx.key(2));
    let Some(handle) = ctx.write(source) else { return Ok(false) };
    ctx.db_ref().value(handle).list()?;
    let tuning = &ctx.conf.tuning;
    if source.bytes == target.bytes {
        let mut list = ctx.take::<List>(handle)?;
        let text = take_end(&mut list, from);
        list.expect(text.len(), 1, tuning);
        list.push(&text, to.is_front());
        list.settle(tuning);
        ctx.put(source, list);
        ctx.notify(EventClass::List, to.pushed(), source.bytes);
        ctx.notify(EventClass::List, from.popped(), source.bytes);
        ctx.reply.bulk(&text);
    } else {
        if let Some(handle) = ctx.write(target) {
            ctx.db_ref().value(handle).list()?;
        }
        let mut list = ctx.take::<List>(handle)?;
        let text = take_end(&mut list, from);
        put_after_move(ctx, target, &text, to)?;
        ctx.reply.bulk(&text);
        put_after_removal(ctx, source, list, from.popped());
    }
    ctx.changed(1);
    Ok(true)
}

fn put_after_move(
    ctx: &mut Ctx<'_>,
    target: crate::engine::ctx::Key<'_>,
    text: &[u8],
    to: End,
) -> Result<(), CmdError> {
    let mut list = ctx.take_or_new::<List>(target)?;
    list.expect(text.len(), 1, &ctx.conf.tuning);
    list.push(text, to.is_front());
    ctx.put(target, list);
    ctx.notify(EventClass::List, to.pushed(), target.bytes);
    Ok(())
}

/// Removes an element from an end and gives its text.
fn take_end(list: &mut List, end: End) -> Vec<u8> {
    let text = list.view().end(end.is_front(), |item| item.to_vec()).expect("a list has elements");
    list.remove_end(end.is_front());
    text
}
