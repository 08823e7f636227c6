//! SET with its options, its older forms, and GETEX, which shares the options about time.
//!
//! The feed carries absolute deadlines only: `SET key value EX 10` goes on as `SET key value PXAT …`, without the options
//! that were decided here. A deadline in the past is accepted, as Redis does: the key dies at once by the ordinary way.

use super::condition::{self, Condition};
use super::value_at;
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::{Deadline, EventClass};
use crate::resp::Args;

/// How an expire time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TimeUnit {
    /// Milliseconds in one.
    ms: i64,
    /// It counts from now, not from 1970.
    relative: bool,
}

const EX: TimeUnit = TimeUnit { ms: 1000, relative: true };
const PX: TimeUnit = TimeUnit { ms: 1, relative: true };
const EXAT: TimeUnit = TimeUnit { ms: 1000, relative: false };
const PXAT: TimeUnit = TimeUnit { ms: 1, relative: false };

/// What an option says about the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expiry {
    /// Nothing: SET clears it, GETEX leaves it.
    Unsaid,
    /// KEEPTTL, or PERSIST for GETEX.
    Word,
    /// The argument at the index says when, in the unit.
    At(usize, TimeUnit),
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    /// NX: only a key that does not exist.
    new_only: bool,
    /// XX: only a key that exists.
    old_only: bool,
    /// IFEQ and its kin: what the old string must be.
    condition: Option<Condition>,
    /// GET: the old string is the reply.
    get: bool,
    expiry: Expiry,
}

/// Reads the options of SET from the argument `from` on.
fn set_options(args: Args<'_>, from: usize) -> Result<Options, CmdError> {
    let mut options =
        Options { new_only: false, old_only: false, condition: None, get: false, expiry: Expiry::Unsaid };
    let mut index = from;
    while index < args.len() {
        if args.is(index, "nx") && !options.old_only {
            options.new_only = true;
        } else if args.is(index, "xx") && !options.new_only {
            options.old_only = true;
        } else if args.is(index, "get") {
            options.get = true;
        } else if let Some(condition) = condition::parse(args, index)
            && !options.new_only
            && !options.old_only
            && options.condition.is_none_or(|before| condition.is_like(before))
        {
            options.condition = Some(condition);
            index = condition.index();
        } else {
            index = expiry_option(args, index, "keepttl", &mut options.expiry)?;
        }
        index += 1;
    }
    Ok(options)
}

/// Reads the option about time at `index`, which must not contradict what was `said`; gives the last argument it used.
fn expiry_option(args: Args<'_>, index: usize, word: &str, said: &mut Expiry) -> Result<usize, CmdError> {
    if args.is(index, word) {
        return match said {
            Expiry::At(..) => Err(CmdError::Syntax),
            _ => {
                *said = Expiry::Word;
                Ok(index)
            }
        };
    }
    let units = [("ex", EX), ("px", PX), ("exat", EXAT), ("pxat", PXAT)];
    let unit = units.iter().find(|(name, _)| args.is(index, name)).map(|(_, unit)| *unit);
    match (unit, *said) {
        (Some(unit), Expiry::At(_, before)) if unit != before => Err(CmdError::Syntax),
        (Some(_), Expiry::Word) => Err(CmdError::Syntax),
        (Some(unit), _) if index + 1 < args.len() => {
            *said = Expiry::At(index + 1, unit);
            Ok(index + 1)
        }
        _ => Err(CmdError::Syntax),
    }
}

/// The deadline that an argument asks for, as Unix time in milliseconds.
fn deadline_at(ctx: &Ctx<'_>, index: usize, unit: TimeUnit) -> Result<u64, CmdError> {
    let value = ctx.int(index)?;
    let base = if unit.relative { ctx.now.unix_ms() as i64 } else { 0 };
    let deadline = value.checked_mul(unit.ms).and_then(|ms| ms.checked_add(base));
    match deadline {
        Some(ms) if value > 0 => Ok(ms as u64),
        _ => Err(CmdError::ExpireTime(ctx.row.full_name)),
    }
}

pub(super) fn set(ctx: &mut Ctx<'_>) -> CmdResult {
    if ctx.args.len() > 3 {
        return set_with_options(ctx);
    }
    let key = ctx.key(1);
    let found = ctx.write(key);
    let value = value_at(&ctx.args, 2);
    ctx.replace(key, found, value, Deadline::Clear);
    ctx.changed(1);
    ctx.notify(EventClass::String, "set", key.bytes);
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn set_with_options(ctx: &mut Ctx<'_>) -> CmdResult {
    let options = set_options(ctx.args, 3)?;
    let deadline = match options.expiry {
        Expiry::Unsaid => Deadline::Clear,
        Expiry::Word => Deadline::Keep,
        Expiry::At(index, unit) => Deadline::At(deadline_at(ctx, index, unit)?),
    };
    let key = ctx.key(1);
    let found = if options.get { ctx.read(key) } else { ctx.write(key) };
    let holds = match (options.condition, found) {
        (Some(condition), Some(handle)) => condition.holds(ctx, handle)?,
        (Some(condition), None) => condition.holds_without_key(),
        (None, _) => true,
    };
    if options.get {
        match found {
            Some(handle) => ctx.reply_value(handle)?,
            None => ctx.reply.null(),
        }
    }
    if !holds || (options.new_only && found.is_some()) || (options.old_only && found.is_none()) {
        if !options.get {
            ctx.reply.null();
        }
        return Ok(Outcome::Done);
    }
    let value = value_at(&ctx.args, 2);
    ctx.replace(key, found, value, deadline);
    ctx.changed(1);
    ctx.notify(EventClass::String, "set", key.bytes);
    match (options.expiry, deadline) {
        (Expiry::At(_, unit), Deadline::At(ms)) => {
            ctx.notify(EventClass::Generic, "expire", key.bytes);
            if unit != PXAT || options.condition.is_some() {
                propagate_set(ctx, key, 2, ms);
            }
        }
        _ if options.get || options.condition.is_some() => propagate_plain(ctx, &options),
        _ => {}
    }
    if !options.get {
        ctx.reply.ok();
    }
    Ok(Outcome::Done)
}

/// Propagates a SET with an absolute deadline; the value is the argument at `value`.
fn propagate_set(ctx: &mut Ctx<'_>, key: Key<'_>, value: usize, deadline_ms: u64) {
    let deadline = deadline_ms.to_string();
    ctx.propagate_as(&[b"SET", key.bytes, ctx.args.at(value), b"PXAT", deadline.as_bytes()]);
}

/// The old value is nothing to those who follow, and older ones do not know all conditions.
fn propagate_plain(ctx: &mut Ctx<'_>, options: &Options) {
    let args = ctx.args;
    let mut words: Vec<&[u8]> = (0..3).map(|index| args.at(index)).collect();
    let mut index = 3;
    while index < args.len() {
        // A condition may stand several times; what it is about is no option.
        match options.condition.and_then(|_| condition::parse(args, index)) {
            Some(condition) => index = condition.index(),
            None if args.is(index, "get") => {}
            None => words.push(args.at(index)),
        }
        index += 1;
    }
    ctx.propagate_as(&words);
}

pub(super) fn setnx(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    if ctx.write(key).is_some() {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    }
    let value = value_at(&ctx.args, 2);
    ctx.set(key, None, value, Deadline::Clear);
    ctx.changed(1);
    ctx.notify(EventClass::String, "set", key.bytes);
    ctx.reply.int(1);
    Ok(Outcome::Done)
}

pub(super) fn setex(ctx: &mut Ctx<'_>) -> CmdResult {
    set_for(ctx, EX)
}

pub(super) fn psetex(ctx: &mut Ctx<'_>) -> CmdResult {
    set_for(ctx, PX)
}

fn set_for(ctx: &mut Ctx<'_>, unit: TimeUnit) -> CmdResult {
    let deadline_ms = deadline_at(ctx, 2, unit)?;
    let key = ctx.key(1);
    let found = ctx.write(key);
    let value = value_at(&ctx.args, 3);
    ctx.replace(key, found, value, Deadline::At(deadline_ms));
    ctx.changed(1);
    ctx.notify(EventClass::String, "set", key.bytes);
    ctx.notify(EventClass::Generic, "expire", key.bytes);
    propagate_set(ctx, key, 3, deadline_ms);
    ctx.reply.ok();
    Ok(Outcome::Done)
}

/// What GETEX does to the deadline of its key.
pub(super) fn getex(ctx: &mut Ctx<'_>) -> CmdResult {
    let mut expiry = Expiry::Unsaid;
    let mut index = 2;
    while index < ctx.args.len() {
        index = expiry_option(ctx.args, index, "persist", &mut expiry)? + 1;
    }
    let key = ctx.key(1);
    let Some(handle) = ctx.read(key) else {
        ctx.reply.null();
        return Ok(Outcome::Done);
    };
    ctx.text(handle)?;
    let deadline_ms = match expiry {
        Expiry::At(index, unit) => Some(deadline_at(ctx, index, unit)?),
        _ => None,
    };
    ctx.reply_value(handle)?;
    match (expiry, deadline_ms) {
        (Expiry::At(_, unit), Some(ms))
            if !unit.relative && ms <= ctx.now.unix_ms() && !ctx.stores_the_past() =>
        {
            ctx.remove(key);
            ctx.notify(EventClass::Generic, "del", key.bytes);
            ctx.propagate_removal(key);
            ctx.changed(1);
        }
        (_, Some(ms)) => {
            ctx.db().set_deadline(key.hash, handle, Some(ms));
            ctx.notify(EventClass::Generic, "expire", key.bytes);
            ctx.propagate_as(&[b"PEXPIREAT", key.bytes, ms.to_string().as_bytes()]);
            ctx.changed(1);
        }
        (Expiry::Word, None) if ctx.db().deadline(handle).is_some() => {
            ctx.db().set_deadline(key.hash, handle, None);
            ctx.notify(EventClass::Generic, "persist", key.bytes);
            ctx.propagate_as(&[b"PERSIST", key.bytes]);
            ctx.changed(1);
        }
        _ => {}
    }
    Ok(Outcome::Done)
}

/// MSETEX numkeys key value [key value ...] [NX | XX] [EX … | KEEPTTL].
pub(super) fn msetex(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    let count =
        ctx.int(1).ok().and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=i32::MAX as usize).contains(n));
    let count = count.ok_or(CmdError::coded("ERR invalid numkeys value"))?;
    let end = 2 + 2 * count;
    if end > args.len() {
        return Err(CmdError::coded("ERR wrong number of key-value pairs"));
    }
    let options = set_options(args, end)?;
    if options.get || options.condition.is_some() {
        return Err(CmdError::Syntax);
    }
    let deadline = match options.expiry {
        Expiry::Unsaid => Deadline::Clear,
        Expiry::Word => Deadline::Keep,
        Expiry::At(index, unit) => Deadline::At(deadline_at(ctx, index, unit)?),
    };
    let names = (2..end).step_by(2);
    let is_there: Vec<bool> = names.clone().map(|index| ctx.peek(ctx.key(index)).is_some()).collect();
    if (options.new_only && is_there.contains(&true)) || (options.old_only && is_there.contains(&false)) {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    }
    for index in names {
        let key = ctx.key(index);
        let found = ctx.write(key);
        let value = value_at(&args, index + 1);
        ctx.replace(key, found, value, deadline);
        ctx.changed(1);
        if matches!(deadline, Deadline::At(_)) {
            ctx.notify(EventClass::Generic, "expire", key.bytes);
        }
        ctx.notify(EventClass::String, "set", key.bytes);
        // As frames that every follower knows.
        match deadline {
            Deadline::At(ms) => {
                propagate_set(ctx, key, index + 1, ms);
            }
            Deadline::Keep => ctx.propagate_as(&[b"SET", key.bytes, args.at(index + 1), b"KEEPTTL"]),
            Deadline::Clear => ctx.propagate_as(&[b"SET", key.bytes, args.at(index + 1)]),
        }
    }
    ctx.reply.int(1);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn parsed(line: &str) -> Result<Options, CmdError> {
        let words: Vec<Bytes> = line.split(' ').map(|w| Bytes::copy_from_slice(w.as_bytes())).collect();
        set_options(Args::Owned(&words), 3)
    }

    #[track_caller]
    fn accepts(line: &str, expiry: Expiry) {
        assert_eq!(parsed(line).map(|o| o.expiry), Ok(expiry), "{line}");
    }

    #[test]
    fn options_of_set_come_in_any_order_and_may_be_repeated() {
        accepts("SET k v NX GET", Expiry::Unsaid);
        accepts("SET k v get nx GeT NX", Expiry::Unsaid);
        accepts("SET k v XX KEEPTTL KEEPTTL", Expiry::Word);
        accepts("SET k v EX 1 EX 2 XX", Expiry::At(6, EX));
        accepts("SET k v PXAT NX", Expiry::At(4, PXAT));
    }

    #[test]
    fn options_of_set_that_contradict_each_other_are_syntax_errors() {
        for line in [
            "SET k v NX XX",
            "SET k v EX",
            "SET k v EX 1 PX 1",
            "SET k v EX 1 KEEPTTL",
            "SET k v KEEPTTL EXAT 1",
            "SET k v PERSIST",
            "SET k v EX 1 EX",
            "SET k v what",
            "SET k v IFEQ",
            "SET k v NX IFEQ a",
            "SET k v IFDEQ a IFDNE b",
        ] {
            assert_eq!(parsed(line), Err(CmdError::Syntax), "{line}");
        }
    }
}
