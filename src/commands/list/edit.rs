//! Changing what is inside a list: LSET, LREM, LTRIM.

use super::look::range;
use super::put_after_removal;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::EventClass;
use crate::keyspace::types::List;

pub(super) fn lset(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let handle = ctx.write(key).ok_or(CmdError::NoSuchKey)?;
    // A missing key and a wrong type are found before a wrong index.
    ctx.db_ref().value(handle).list()?;
    let (index, text) = (ctx.int(2)?, ctx.args.at(3));
    let tuning = &ctx.conf.tuning;
    let mut list = ctx.take::<List>(handle)?;
    list.expect(text.len(), 1, tuning);
    let is_replaced = list.replace(index, text);
    if is_replaced {
        list.settle(tuning);
    }
    ctx.put(key, list);
    if !is_replaced {
        return Err(CmdError::coded("ERR index out of range"));
    }
    ctx.notify(EventClass::List, "lset", key.bytes);
    ctx.changed(1);
    ctx.reply.ok();
    Ok(Outcome::Done)
}

pub(super) fn lrem(ctx: &mut Ctx<'_>) -> CmdResult {
    let count = ctx.int_between(2, -i64::MAX, i64::MAX)?;
    let key = ctx.key(1);
    let Some(handle) = ctx.write(key) else {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    };
    let mut list = ctx.take::<List>(handle)?;
    let count_max = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let removed = list.remove_equal(ctx.args.at(3), count_max, count >= 0);
    if removed > 0 {
        put_after_removal(ctx, key, list, "lrem");
        ctx.changed(removed as u64);
    } else {
        ctx.put(key, list);
    }
    ctx.reply.int(removed as i64);
    Ok(Outcome::Done)
}

pub(super) fn ltrim(ctx: &mut Ctx<'_>) -> CmdResult {
    let (start, stop) = (ctx.int(2)?, ctx.int(3)?);
    let key = ctx.key(1);
    let Some(handle) = ctx.write(key) else {
        ctx.reply.ok();
        return Ok(Outcome::Done);
    };
    let mut list = ctx.take::<List>(handle)?;
    let len = list.view().len();
    let (start, count) = range(start, stop, len).unwrap_or((len, 0));
    list.remove_range(start + count, len - start - count);
    list.remove_range(0, start);
    put_after_removal(ctx, key, list, "ltrim");
    ctx.changed((len - count) as u64);
    ctx.reply.ok();
    Ok(Outcome::Done)
}
