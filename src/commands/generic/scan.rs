//! Looking through a database: SCAN, KEYS, RANDOMKEY, DBSIZE.
//!
//! An expired key is never shown. SCAN and RANDOMKEY remove the expired keys they meet, KEYS only hides them.

use crate::commands::scan::{Of, Pattern, ScanOptions, cursor_at};
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdResult, Outcome};
use crate::engine::spec::flag::{FAST, READONLY, TOUCHES_ARBITRARY_KEYS};
use crate::engine::spec::{Group, Spec, acl};
use crate::keyspace::Db;
use crate::keyspace::db::is_past;
use crate::structures::slab::Handle;

/// Draws of RANDOMKEY among keys that may all have expired while nothing may be removed.
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
        .flags(READONLY | TOUCHES_ARBITRARY_KEYS)
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
        .flags(READONLY | TOUCHES_ARBITRARY_KEYS)
        .acl(acl::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"])
        .doc(Group::Generic, "1.0.0", "O(1)", "Gives any key of the database."),
    Spec::local("dbsize", 1, dbsize)
        .flags(READONLY | FAST)
        .acl(acl::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"])
        .doc(Group::Server, "1.0.0", "O(1)", "Counts the keys of the database."),
];

fn keys(ctx: &mut Ctx<'_>) -> CmdResult {
    let pattern = Pattern::parse(ctx.args.at(1));
    let now_ms = ctx.judged_ms();
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

fn scan(ctx: &mut Ctx<'_>) -> CmdResult {
    let mut cursor = cursor_at(ctx, 1)?;
    let options = ScanOptions::parse(ctx, 2, Of::Keys)?;
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
    let now_ms = ctx.judged_ms();
    found.retain(|&handle| {
        if !is_alive(ctx.db_ref(), handle, now_ms) {
            let expired = ctx.db_ref().key(handle).to_vec();
            let expired = ctx.key_of(&expired);
            ctx.peek(expired);
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

fn randomkey(ctx: &mut Ctx<'_>) -> CmdResult {
    let mut draws = 0;
    loop {
        // Between expiry that is held and keys that have all expired nothing might ever be found.
        let may_all_be_expired = ctx.db_ref().with_ttl() == ctx.db_ref().len();
        draws += 1;
        let handle = match ctx.random_entry() {
            Some(handle) if !may_all_be_expired || draws <= DRAWS_MAX => handle,
            // As in Redis an expired one that may not be removed is better than none.
            Some(handle) => {
                ctx.reply_key(handle);
                return Ok(Outcome::Done);
            }
            None => {
                ctx.reply.null();
                return Ok(Outcome::Done);
            }
        };
        if is_alive(ctx.db_ref(), handle, ctx.judged_ms()) {
            ctx.reply_key(handle);
            return Ok(Outcome::Done);
        }
        let expired = ctx.db_ref().key(handle).to_vec();
        let expired = ctx.key_of(&expired);
        ctx.peek(expired);
        if !ctx.keeps_expired() {
            draws = 0;
        }
    }
}

fn dbsize(ctx: &mut Ctx<'_>) -> CmdResult {
    let keys = ctx.db_ref().len();
    ctx.reply.int(keys as i64);
    Ok(Outcome::Done)
}
