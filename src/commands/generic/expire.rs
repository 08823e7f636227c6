//! When keys die: EXPIRE and its kind, TTL and its kind, PERSIST.

use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome, quoted};
use crate::engine::spec::flag::{FAST, READONLY, WRITE};
use crate::engine::spec::{Group, KeySpec, Spec, acl, key, key_at};
use crate::keyspace::EventClass;
use crate::resp::Args;

const KEY_TO_CHANGE: &[KeySpec] = &[key_at(1, key::RW | key::UPDATE)];
const KEY_TO_READ: &[KeySpec] = &[key_at(1, key::RO | key::ACCESS)];
const CONDITIONS_CAME: &[(&str, &str)] = &[("7.0.0", "`NX`, `XX`, `GT` and `LT` came.")];
const TWO_REPLIES: &[(&str, &str)] = &[("2.8.0", "A key that does not exist is answered by -2.")];

pub(in crate::commands) const COMMANDS: &[Spec] = &[
    Spec::local("expire", -3, expire)
        .flags(WRITE | FAST)
        .acl(acl::KEYSPACE)
        .keys(KEY_TO_CHANGE)
        .doc(Group::Generic, "1.0.0", "O(1)", "Lets a key live for so many seconds.")
        .syntax("key@0 seconds:integer condition(NX | XX | GT | LT)?#7.0.0")
        .history(CONDITIONS_CAME),
    Spec::local("pexpire", -3, pexpire)
        .flags(WRITE | FAST)
        .acl(acl::KEYSPACE)
        .keys(KEY_TO_CHANGE)
        .doc(Group::Generic, "2.6.0", "O(1)", "Lets a key live for so many milliseconds.")
        .syntax("key@0 milliseconds:integer condition(NX | XX | GT | LT)?#7.0.0")
        .history(CONDITIONS_CAME),
    Spec::local("expireat", -3, expireat)
        .flags(WRITE | FAST)
        .acl(acl::KEYSPACE)
        .keys(KEY_TO_CHANGE)
        .doc(Group::Generic, "1.2.0", "O(1)", "Lets a key live until a time in Unix seconds.")
        .syntax("key@0 unix-time-seconds:unix-time condition(NX | XX | GT | LT)?#7.0.0")
        .history(CONDITIONS_CAME),
    Spec::local("pexpireat", -3, pexpireat)
        .flags(WRITE | FAST)
        .acl(acl::KEYSPACE)
        .keys(KEY_TO_CHANGE)
        .doc(Group::Generic, "2.6.0", "O(1)", "Lets a key live until a time in Unix milliseconds.")
        .syntax("key@0 unix-time-milliseconds:unix-time condition(NX | XX | GT | LT)?#7.0.0")
        .history(CONDITIONS_CAME),
    Spec::local("ttl", 2, ttl)
        .flags(READONLY | FAST)
        .acl(acl::KEYSPACE)
        .keys(KEY_TO_READ)
        .tips(&["nondeterministic_output"])
        .doc(Group::Generic, "1.0.0", "O(1)", "Tells how many seconds a key has to live.")
        .syntax("key@0")
        .history(TWO_REPLIES),
    Spec::local("pttl", 2, pttl)
        .flags(READONLY | FAST)
        .acl(acl::KEYSPACE)
        .keys(KEY_TO_READ)
        .tips(&["nondeterministic_output"])
        .doc(Group::Generic, "2.6.0", "O(1)", "Tells how many milliseconds a key has to live.")
        .syntax("key@0")
        .history(TWO_REPLIES),
    Spec::local("expiretime", 2, expiretime)
        .flags(READONLY | FAST)
        .acl(acl::KEYSPACE)
        .keys(KEY_TO_READ)
        .doc(Group::Generic, "7.0.0", "O(1)", "Tells at which Unix second a key dies.")
        .syntax("key@0"),
    Spec::local("pexpiretime", 2, pexpiretime)
        .flags(READONLY | FAST)
        .acl(acl::KEYSPACE)
        .keys(KEY_TO_READ)
        .doc(Group::Generic, "7.0.0", "O(1)", "Tells at which Unix millisecond a key dies.")
        .syntax("key@0"),
    Spec::local("persist", 2, persist)
        .flags(WRITE | FAST)
        .acl(acl::KEYSPACE)
        .keys(KEY_TO_CHANGE)
        .doc(Group::Generic, "2.2.0", "O(1)", "Takes the deadline from a key.")
        .syntax("key@0"),
];

/// When a new deadline is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Conditions {
    /// NX: the key has none.
    none: bool,
    /// XX: the key has one.
    some: bool,
    /// GT: it is later; no deadline is later than any.
    later: bool,
    /// LT: it is earlier.
    earlier: bool,
}

impl Conditions {
    fn parse(args: Args<'_>, from: usize) -> Result<Conditions, CmdError> {
        let mut conditions = Conditions::default();
        for index in from..args.len() {
            let named = [
                ("nx", &mut conditions.none),
                ("xx", &mut conditions.some),
                ("gt", &mut conditions.later),
                ("lt", &mut conditions.earlier),
            ];
            match named.into_iter().find(|(name, _)| args.is(index, name)) {
                Some((_, asked)) => *asked = true,
                None => {
                    let option = quoted(args.at(index));
                    return Err(CmdError::err(format!("Unsupported option {option}")));
                }
            }
        }
        let Conditions { none, some, later, earlier } = conditions;
        if none && (some || later || earlier) {
            let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
            return Err(CmdError::coded(text));
        }
        if later && earlier {
            return Err(CmdError::coded("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// Whether a key with the deadline `old` may get the deadline `new`.
    fn allow(self, old: Option<u64>, new: i64) -> bool {
        let old = old.map(|ms| ms as i64);
        !(self.none && old.is_some()
            || self.some && old.is_none()
            || self.later && old.is_none_or(|old| new <= old)
            || self.earlier && old.is_some_and(|old| new >= old))
    }
}

fn expire(ctx: &mut Ctx<'_>) -> CmdResult {
    set_deadline(ctx, 1000, true)
}

fn pexpire(ctx: &mut Ctx<'_>) -> CmdResult {
    set_deadline(ctx, 1, true)
}

fn expireat(ctx: &mut Ctx<'_>) -> CmdResult {
    set_deadline(ctx, 1000, false)
}

fn pexpireat(ctx: &mut Ctx<'_>) -> CmdResult {
    set_deadline(ctx, 1, false)
}

/// Gives a key a deadline in units of `unit_ms`, counted from now or from 1970. One in the past removes the key.
fn set_deadline(ctx: &mut Ctx<'_>, unit_ms: i64, relative: bool) -> CmdResult {
    let conditions = Conditions::parse(ctx.args, 3)?;
    let base_ms = if relative { ctx.now.unix_ms() as i64 } else { 0 };
    let deadline = ctx.int(2)?.checked_mul(unit_ms).and_then(|ms| ms.checked_add(base_ms));
    let deadline = deadline.ok_or(CmdError::ExpireTime(ctx.row.full_name))?;
    let key = ctx.key(1);
    let Some(handle) = ctx.write(key) else {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    };
    if !conditions.allow(ctx.db().deadline(handle), deadline) {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    }
    let stores_it = ctx.stores_the_past();
    let deadline = if stores_it { deadline.max(1) } else { deadline };
    match u64::try_from(deadline) {
        Ok(ms) if ms > ctx.now.unix_ms() || stores_it => {
            ctx.db().set_deadline(key.hash, handle, Some(ms));
            ctx.notify(EventClass::Generic, "expire", key.bytes);
            if unit_ms != 1 || relative {
                let ms = ms.to_string();
                let mut words: Vec<&[u8]> = vec![b"PEXPIREAT", key.bytes, ms.as_bytes()];
                words.extend(ctx.args.iter_from(3));
                ctx.propagate_as(&words);
            }
        }
        _ => {
            ctx.remove(key);
            ctx.notify(EventClass::Generic, "del", key.bytes);
            ctx.propagate_removal(key);
        }
    }
    ctx.changed(1);
    ctx.reply.int(1);
    Ok(Outcome::Done)
}

fn ttl(ctx: &mut Ctx<'_>) -> CmdResult {
    tell_deadline(ctx, |deadline, now_ms| in_seconds(deadline.saturating_sub(now_ms)))
}

fn pttl(ctx: &mut Ctx<'_>) -> CmdResult {
    tell_deadline(ctx, u64::saturating_sub)
}

fn expiretime(ctx: &mut Ctx<'_>) -> CmdResult {
    tell_deadline(ctx, |deadline, _| in_seconds(deadline))
}

fn pexpiretime(ctx: &mut Ctx<'_>) -> CmdResult {
    tell_deadline(ctx, |deadline, _| deadline)
}

/// The nearest second.
fn in_seconds(ms: u64) -> u64 {
    (ms + 500) / 1000
}

/// Replies with the deadline of a key as `shown` makes it of the deadline and the present; -1 without, -2 without key.
fn tell_deadline(ctx: &mut Ctx<'_>, shown: fn(u64, u64) -> u64) -> CmdResult {
    let key = ctx.key(1);
    let answer = match ctx.read_untouched(key) {
        None => -2,
        Some(handle) => match ctx.db().deadline(handle) {
            None => -1,
            Some(deadline) => shown(deadline, ctx.now.unix_ms()) as i64,
        },
    };
    ctx.reply.int(answer);
    Ok(Outcome::Done)
}

fn persist(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let with_ttl = ctx.write(key).filter(|&handle| ctx.db_ref().deadline(handle).is_some());
    if let Some(handle) = with_ttl {
        ctx.db().set_deadline(key.hash, handle, None);
        ctx.notify(EventClass::Generic, "persist", key.bytes);
        ctx.changed(1);
    }
    ctx.reply.int(i64::from(with_ttl.is_some()));
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn parsed(words: &[&str]) -> Result<Conditions, CmdError> {
        let words: Vec<Bytes> = words.iter().map(|w| Bytes::copy_from_slice(w.as_bytes())).collect();
        Conditions::parse(Args::Owned(&words), 0)
    }

    #[test]
    fn no_deadline_is_later_than_any() {
        let greater = parsed(&["gt"]).expect("GT alone is fine");
        let less = parsed(&["LT"]).expect("LT alone is fine");
        assert!(greater.allow(Some(5), 6) && !greater.allow(Some(5), 5) && !greater.allow(None, 6));
        assert!(less.allow(Some(5), -4) && !less.allow(Some(5), 5) && less.allow(None, 6));
        let both = parsed(&["XX", "LT"]).expect("XX and LT go together");
        assert!(!both.allow(None, 6) && both.allow(Some(7), 6));
    }

    #[test]
    fn conditions_that_contradict_each_other_are_refused() {
        for words in [["NX", "XX"], ["GT", "nx"], ["lt", "NX"], ["GT", "LT"]] {
            assert!(parsed(&words).is_err(), "{words:?}");
        }
        let text = parsed(&["AB"]).map_err(|e| e.to_string());
        assert_eq!(text, Err("ERR Unsupported option AB".to_owned()));
    }
}
