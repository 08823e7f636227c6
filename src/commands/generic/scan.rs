//! Looking through a database: SCAN, KEYS, RANDOMKEY, DBSIZE.
//!
//! A dead key is never shown. SCAN and RANDOMKEY remove the dead keys they meet, KEYS only hides them.

use crate::base::glob::glob_match;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::{FAST, READONLY};
use crate::engine::spec::{Group, Spec, acl};
use crate::keyspace::Db;
use crate::keyspace::db::is_past;
use crate::structures::slab::Handle;

/// Draws of RANDOMKEY among keys that may all be dead while nothing may be removed.
const DRAWS_MAX: usize = 100;

pub(in crate::commands) const COMMANDS: &[Spec] = &[
    Spec::local("keys", 2, keys)
        .flags(READONLY)
        .acl(acl::DANGEROUS | acl::KEYSPACE)
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .doc(
            Group::Generic,
            "1.0.0",
            "O(N) where N is the number of keys in the database.",
            "Lists the keys that match a pattern.",
        )
        .syntax("pattern:pattern"),
    Spec::local("scan", -2, scan)
        .flags(READONLY)
        .acl(acl::KEYSPACE)
        .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"])
        .doc(
            Group::Generic,
            "2.8.0",
            "O(1) a call; O(N) for the whole walk, where N is the number of keys in the database.",
            "Lists the keys of the database, a few a call.",
        )
        .syntax("cursor:integer MATCH=pattern:pattern? COUNT=count:integer? TYPE=type?#6.0.0")
        .history(&[("6.0.0", "`TYPE` came.")]),
    Spec::local("randomkey", 1, randomkey)
        .flags(READONLY)
        .acl(acl::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"])
        .doc(Group::Generic, "1.0.0", "O(1)", "Gives any key of the database."),
    Spec::local("dbsize", 1, dbsize)
        .flags(READONLY | FAST)
        .acl(acl::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"])
        .doc(Group::Server, "1.0.0", "O(1)", "Counts the keys of the database."),
];

/// Which keys are wanted. Most patterns need no pattern matcher.
#[derive(Debug, PartialEq, Eq)]
enum Pattern<'a> {
    All,
    Exact(&'a [u8]),
    Prefix(&'a [u8]),
    Glob(&'a [u8]),
}

impl<'a> Pattern<'a> {
    fn parse(pattern: &'a [u8]) -> Pattern<'a> {
        let is_special = |byte: &u8| b"*?[\\".contains(byte);
        match pattern {
            b"*" => Pattern::All,
            [prefix @ .., b'*'] if !prefix.iter().any(is_special) => Pattern::Prefix(prefix),
            exact if !exact.iter().any(is_special) => Pattern::Exact(exact),
            glob => Pattern::Glob(glob),
        }
    }

    fn matches(&self, key: &[u8]) -> bool {
        match self {
            Pattern::All => true,
            Pattern::Exact(exact) => key == *exact,
            Pattern::Prefix(prefix) => key.starts_with(prefix),
            Pattern::Glob(glob) => glob_match(glob, key, false),
        }
    }
}

fn keys(ctx: &mut Ctx<'_>) -> CmdResult {
    let pattern = Pattern::parse(ctx.args.at(1));
    let now_ms = ctx.now.unix_ms();
    let db = ctx.db_ref();
    let is_wanted = |handle: Handle| is_alive(db, handle, now_ms) && pattern.matches(db.key(handle));
    let mut found: Vec<Handle> = Vec::new();
    if let Pattern::Exact(key) = pattern {
        found.extend(db.find(key, db.hash(key)).filter(|&handle| is_wanted(handle)));
    } else {
        let mut cursor = 0;
        loop {
            cursor = db.scan(cursor, |handle| {
                if is_wanted(handle) {
                    found.push(handle);
                }
            });
            if cursor == 0 {
                break;
            }
        }
    }
    ctx.reply.array(found.len());
    for handle in found {
        ctx.reply_key(handle);
    }
    Ok(Outcome::Done)
}

fn is_alive(db: &Db, handle: Handle, now_ms: u64) -> bool {
    db.deadline(handle).is_none_or(|deadline| !is_past(deadline, now_ms))
}

struct ScanOptions<'a> {
    pattern: Pattern<'a>,
    /// Keys to look at, about.
    count: usize,
    /// Only keys of the type with this name.
    type_name: Option<&'a [u8]>,
}

fn scan_options<'a>(ctx: &Ctx<'a>) -> Result<ScanOptions<'a>, CmdError> {
    let args = ctx.args;
    let mut options = ScanOptions { pattern: Pattern::All, count: 10, type_name: None };
    let mut index = 2;
    while index < args.len() {
        let has_value = index + 1 < args.len();
        if args.is(index, "count") && has_value {
            let count = ctx.int(index + 1)?;
            options.count = usize::try_from(count).ok().filter(|&n| n > 0).ok_or(CmdError::Syntax)?;
        } else if args.is(index, "match") && has_value {
            options.pattern = Pattern::parse(args.at(index + 1));
        } else if args.is(index, "type") && has_value {
            options.type_name = Some(args.at(index + 1));
        } else if args.is(index, "novalues") {
            return Err(CmdError::coded("ERR NOVALUES option can only be used in HSCAN"));
        } else {
            return Err(CmdError::Syntax);
        }
        index += 2;
    }
    Ok(options)
}

fn scan(ctx: &mut Ctx<'_>) -> CmdResult {
    let mut cursor = parse_cursor(ctx.args.at(1)).ok_or(CmdError::coded("ERR invalid cursor"))?;
    let options = scan_options(ctx)?;
    let db = ctx.db_ref();
    let mut met = 0;
    let mut found: Vec<Handle> = Vec::new();
    // Where buckets are nearly empty the walk ends before it has met so many keys.
    for _ in 0..=options.count.saturating_mul(10) {
        cursor = db.scan(cursor, |handle| {
            met += 1;
            if options.pattern.matches(db.key(handle)) {
                found.push(handle);
            }
        });
        if cursor == 0 || met >= options.count {
            break;
        }
    }
    let now_ms = ctx.now.unix_ms();
    found.retain(|&handle| {
        if !is_alive(ctx.db_ref(), handle, now_ms) {
            let dead = ctx.db_ref().key(handle).to_vec();
            let dead = ctx.key_of(&dead);
            ctx.peek(dead);
            return false;
        }
        let name = ctx.db_ref().value(handle).type_of().name();
        options.type_name.is_none_or(|wanted| wanted.eq_ignore_ascii_case(name.as_bytes()))
    });
    ctx.reply.array(2);
    ctx.reply.bulk(cursor.to_string().as_bytes());
    ctx.reply.array(found.len());
    for handle in found {
        ctx.reply_key(handle);
    }
    Ok(Outcome::Done)
}

/// Reads a cursor as leniently as C's `strtoull`: spaces in front, a plus, leading zeros.
fn parse_cursor(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii_start();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

fn randomkey(ctx: &mut Ctx<'_>) -> CmdResult {
    let mut draws = 0;
    loop {
        // Between expiry that is held and keys that are all dead nothing might ever be found.
        let may_be_all_dead = ctx.db_ref().dated() == ctx.db_ref().len();
        draws += 1;
        let handle = match ctx.draw() {
            Some(handle) if !may_be_all_dead || draws <= DRAWS_MAX => handle,
            _ => {
                ctx.reply.null();
                return Ok(Outcome::Done);
            }
        };
        if is_alive(ctx.db_ref(), handle, ctx.now.unix_ms()) {
            ctx.reply_key(handle);
            return Ok(Outcome::Done);
        }
        let dead = ctx.db_ref().key(handle).to_vec();
        let dead = ctx.key_of(&dead);
        ctx.peek(dead);
        if !ctx.is_expiry_held() {
            draws = 0;
        }
    }
}

fn dbsize(ctx: &mut Ctx<'_>) -> CmdResult {
    let keys = ctx.db_ref().len();
    ctx.reply.int(keys as i64);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_patterns_need_no_pattern_matcher() {
        assert_eq!(Pattern::parse(b"*"), Pattern::All);
        assert_eq!(Pattern::parse(b"user:*"), Pattern::Prefix(b"user:"));
        assert_eq!(Pattern::parse(b"user:1"), Pattern::Exact(b"user:1"));
        assert_eq!(Pattern::parse(b""), Pattern::Exact(b""));
        for glob in ["*a", "a*b*", "a?", "[a]b", "a\\*"] {
            assert_eq!(Pattern::parse(glob.as_bytes()), Pattern::Glob(glob.as_bytes()));
        }
    }

    #[test]
    fn a_cursor_is_read_leniently() {
        for (text, cursor) in [("0", 0), (" +007", 7), ("18446744073709551615", u64::MAX)] {
            assert_eq!(parse_cursor(text.as_bytes()), Some(cursor), "{text}");
        }
        for text in ["", "-1", "a", "1 ", "18446744073709551616"] {
            assert_eq!(parse_cursor(text.as_bytes()), None, "{text}");
        }
    }
}
