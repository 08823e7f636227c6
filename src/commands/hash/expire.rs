//! Deadlines of fields: HEXPIRE and its kind, HTTL and its kind, HPERSIST.

use super::arguments::{self, Condition, Expiring};
use super::{is_alive, read, write};
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::types::Hash;
use crate::keyspace::{EventClass, Taken};
use std::ops::Range;

/// The last deadline that a field can have, Unix time in milliseconds. Redis: `HFE_MAX_ABS_TIME_MSEC`.
pub(super) const DEADLINE_MAX_MS: i64 = (1 << 46) - 1;

/// No such field, or no such key.
const NO_FIELD: i64 = -2;
/// The field has no deadline.
const NO_DEADLINE: i64 = -1;
/// The condition does not hold.
const UNMET: i64 = 0;
/// The deadline is set.
const SET: i64 = 1;
/// The deadline lies in the past, and the field is gone.
const DELETED: i64 = 2;

/// How the time in a request is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    /// Milliseconds in one.
    pub(super) ms: i64,
    /// Counted from now.
    pub(super) relative: bool,
}

pub(super) const SECONDS: Unit = Unit { ms: 1000, relative: true };
pub(super) const MILLISECONDS: Unit = Unit { ms: 1, relative: true };
pub(super) const UNIX_SECONDS: Unit = Unit { ms: 1000, relative: false };
pub(super) const UNIX_MILLISECONDS: Unit = Unit { ms: 1, relative: false };

/// The argument at `index` as a deadline, Unix time in milliseconds.
pub(super) fn deadline_at(ctx: &Ctx<'_>, index: usize, unit: Unit) -> Result<u64, CmdError> {
    let value = ctx.int(index)?;
    if value < 0 {
        return Err(CmdError::coded("ERR invalid expire time, must be >= 0"));
    }
    let base = if unit.relative { ctx.now.unix_ms() as i64 } else { 0 };
    let fits = value <= DEADLINE_MAX_MS / unit.ms && value * unit.ms <= DEADLINE_MAX_MS - base;
    if !fits {
        return Err(CmdError::ExpireTime(ctx.row.full_name));
    }
    Ok((value * unit.ms + base) as u64)
}

/// Whether a new deadline removes its field at once, because it lies in the past.
pub(super) fn removes_at_once(ctx: &Ctx<'_>, deadline: u64) -> bool {
    deadline <= ctx.now.unix_ms() && !ctx.stores_the_past()
}

impl Condition {
    /// Whether the new deadline of a field is taken.
    fn holds(self, old: Option<u64>, new: u64) -> bool {
        match self {
            Condition::Nx => old.is_none(),
            Condition::Xx => old.is_some(),
            Condition::Gt => old.is_some_and(|old| new > old),
            Condition::Lt => old.is_none_or(|old| new < old),
        }
    }
}

/// What is said of a number of fields that is none.
pub(super) const NO_COUNT: CmdError = CmdError::coded("ERR Number of fields must be a positive integer");

/// The arguments that name fields, after `FIELDS` at `index` and their number; without a number it is `no_count`.
pub(super) fn fields_at(ctx: &Ctx<'_>, index: usize, no_count: CmdError) -> Result<Range<usize>, CmdError> {
    if !ctx.args.is(index, "fields") {
        return Err(CmdError::coded("ERR Mandatory argument FIELDS is missing or not at the right position"));
    }
    let count = ctx.args.get(index + 1).and_then(crate::base::number::parse_i64).filter(|&n| n > 0);
    let count = count.ok_or(no_count)?;
    let fields = index + 2..ctx.args.len();
    if count as usize != fields.len() {
        return Err(CmdError::coded("ERR The `numfields` parameter must match the number of arguments"));
    }
    Ok(fields)
}

/// Answers the same for all fields.
fn reply_same(ctx: &mut Ctx<'_>, fields: Range<usize>, answer: i64) -> CmdResult {
    ctx.reply.array(fields.len());
    fields.for_each(|_| ctx.reply.int(answer));
    Ok(Outcome::Done)
}

/// Puts a hash back of which fields were removed because their new deadline lies in the past: tells it, and
/// propagates the removals.
pub(super) fn put_without(ctx: &mut Ctx<'_>, key: Key<'_>, hash: Taken<Hash>, gone: &[&[u8]]) {
    let is_there = ctx.put(key, hash);
    if gone.is_empty() {
        return;
    }
    ctx.notify(EventClass::Hash, "hdel", key.bytes);
    if !is_there {
        ctx.notify(EventClass::Generic, "del", key.bytes);
    }
    for name in gone {
        ctx.propagate_as(&[b"HDEL", key.bytes, name]);
    }
}

pub(super) fn hexpire(ctx: &mut Ctx<'_>) -> CmdResult {
    expire(ctx, SECONDS)
}

pub(super) fn hpexpire(ctx: &mut Ctx<'_>) -> CmdResult {
    expire(ctx, MILLISECONDS)
}

pub(super) fn hexpireat(ctx: &mut Ctx<'_>) -> CmdResult {
    expire(ctx, UNIX_SECONDS)
}

pub(super) fn hpexpireat(ctx: &mut Ctx<'_>) -> CmdResult {
    expire(ctx, UNIX_MILLISECONDS)
}

fn expire(ctx: &mut Ctx<'_>, unit: Unit) -> CmdResult {
    let args = ctx.args;
    let key = ctx.key(1);
    let found = write(ctx, key)?;
    let deadline = deadline_at(ctx, 2, unit)?;
    let Expiring { condition, fields_at, fields } = arguments::expiring(ctx)?;
    let Some(handle) = found else { return reply_same(ctx, fields, NO_FIELD) };
    let (now_ms, is_past) = (ctx.judged_ms(), removes_at_once(ctx, deadline));
    let mut hash = ctx.take::<Hash>(handle)?;
    hash.allow_deadlines();
    let (mut gone, mut set): (Vec<&[u8]>, Vec<&[u8]>) = (Vec::new(), Vec::new());
    ctx.reply.array(fields.len());
    for name in fields.map(|index| args.at(index)) {
        let old = hash.view().get(name).filter(|field| is_alive(field, now_ms)).map(|field| field.deadline);
        let answer = match old {
            None => NO_FIELD,
            Some(old) if condition.is_some_and(|(_, rule)| !rule.holds(old, deadline)) => UNMET,
            Some(_) if is_past => {
                hash.remove(name);
                gone.push(name);
                DELETED
            }
            Some(_) => {
                hash.set_deadline(name, Some(deadline));
                set.push(name);
                SET
            }
        };
        ctx.reply.int(answer);
    }
    ctx.changed((gone.len() + set.len()) as u64);
    put_without(ctx, key, hash, &gone);
    if !set.is_empty() {
        ctx.notify(EventClass::Hash, "hexpire", key.bytes);
        let (deadline, count) = (deadline.to_string(), set.len().to_string());
        // What need not be said otherwise stays as it was written.
        let name = if ctx.row.full_name == "hpexpireat" { args.at(0) } else { b"HPEXPIREAT" };
        let mut frame = vec![name, key.bytes, deadline.as_bytes()];
        frame.extend(condition.map(|(at, _)| args.at(at)));
        frame.extend([args.at(fields_at), count.as_bytes()]);
        frame.extend(set);
        ctx.propagate_as(&frame);
    }
    Ok(Outcome::Done)
}

pub(super) fn httl(ctx: &mut Ctx<'_>) -> CmdResult {
    deadlines(ctx, |deadline, now_ms| deadline.saturating_sub(now_ms).div_ceil(1000) as i64)
}

pub(super) fn hpttl(ctx: &mut Ctx<'_>) -> CmdResult {
    deadlines(ctx, |deadline, now_ms| deadline.saturating_sub(now_ms) as i64)
}

pub(super) fn hexpiretime(ctx: &mut Ctx<'_>) -> CmdResult {
    deadlines(ctx, |deadline, _| (deadline.div_ceil(1000)) as i64)
}

pub(super) fn hpexpiretime(ctx: &mut Ctx<'_>) -> CmdResult {
    deadlines(ctx, |deadline, _| deadline as i64)
}

fn deadlines(ctx: &mut Ctx<'_>, show: fn(u64, u64) -> i64) -> CmdResult {
    let args = ctx.args;
    let found = read(ctx, ctx.key(1))?;
    let fields = fields_at(ctx, 2, NO_COUNT)?;
    let Some(handle) = found else { return reply_same(ctx, fields, NO_FIELD) };
    let (now_ms, judged_ms) = (ctx.now.unix_ms(), ctx.judged_ms());
    let open = ctx.open();
    let hash = open.db.value(handle).hash()?;
    open.reply.array(fields.len());
    for index in fields {
        let field = hash.get(args.at(index)).filter(|field| is_alive(field, judged_ms));
        let answer = match field.map(|field| field.deadline) {
            None => NO_FIELD,
            Some(None) => NO_DEADLINE,
            Some(Some(deadline)) => show(deadline, now_ms),
        };
        open.reply.int(answer);
    }
    Ok(Outcome::Done)
}

pub(super) fn hpersist(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    let key = ctx.key(1);
    let found = write(ctx, key)?;
    let fields = fields_at(ctx, 2, NO_COUNT)?;
    let Some(handle) = found else { return reply_same(ctx, fields, NO_FIELD) };
    let now_ms = ctx.judged_ms();
    let mut hash = ctx.take::<Hash>(handle)?;
    let mut changes = 0;
    ctx.reply.array(fields.len());
    for name in fields.map(|index| args.at(index)) {
        let old = hash.view().get(name).filter(|field| is_alive(field, now_ms)).map(|field| field.deadline);
        let answer = match old {
            None => NO_FIELD,
            Some(None) => NO_DEADLINE,
            Some(Some(_)) => {
                hash.set_deadline(name, None);
                changes += 1;
                SET
            }
        };
        ctx.reply.int(answer);
    }
    ctx.put(key, hash);
    if changes > 0 {
        ctx.changed(changes);
        ctx.notify(EventClass::Hash, "hpersist", key.bytes);
    }
    Ok(Outcome::Done)
}
