//! Sorted sets: scores and ranks; changes ([`add`]), ranges ([`range`]), taking from the ends ([`pop`]), several at once
//! ([`algebra`]), chance and scans ([`random`]).
//!
//! A sorted set without members is gone: its key is removed, and a `del` event follows the one of the command.

mod add;
mod algebra;
mod pop;
mod random;
mod range;

pub(in crate::commands) use add::add_places;
pub(in crate::commands) use algebra::store;

use super::reply_element;
use crate::base::double::parse_double;
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::{BLOCKING, DENYOOM, FAST, READONLY, WRITE};
use crate::engine::spec::{Begin, Find, Group, KeySpec, Spec, acl, key, key_at, keys_from};
use crate::keyspace::types::{Zset, ZsetRef};
use crate::keyspace::{EventClass, Taken};
use crate::resp::Reply;
use crate::structures::listpack::Element;
use crate::structures::members::BATCH;

const LOG: &str = "O(log(N)) where N is the number of members.";
const LOG_EACH: &str = "O(M*log(N)) where N is the number of members and M the number of those given.";
const RANGE: &str = "O(log(N)+M) where N is the number of members and M the number of those given back.";
const REMOVAL: &str = "O(log(N)+M) where N is the number of members and M the number of those removed.";
const POP: &str = "O(M*log(N)) where N is the number of members and M the number of those taken.";
const POP_OF: &str =
    "O(K)+O(M*log(N)) where K is the number of keys, N that of members and M that of those taken.";
const UNION: &str = "O(N)+O(M*log(M)) where N is the size of all sets together and M that of the result.";
const INTER: &str = "O(N*K)+O(M*log(M)) where N is the size of the smallest set, K the number of sets and M the size of the result.";
const DIFF: &str = "O(N*K)+O(M*log(M)) where N is the size of the first set, K the number of sets and M the size of the result.";
const BY_CHANCE: &[&str] = &["nondeterministic_output"];

const READ: &[KeySpec] = &[key_at(1, key::RO | key::ACCESS)];
const REMOVE: &[KeySpec] = &[key_at(1, key::RW | key::DELETE)];
const TAKE: &[KeySpec] = &[key_at(1, key::RW | key::ACCESS | key::DELETE)];
const COUNTED: Find = Find::Keynum { keynum: 0, first: 1, step: 1 };
const SOURCES: KeySpec =
    KeySpec { flags: key::RO | key::ACCESS, begin: Begin::Index(1), find: COUNTED, notes: "" };
const STORE: &[KeySpec] = &[key_at(1, key::OW | key::UPDATE), KeySpec { begin: Begin::Index(2), ..SOURCES }];

/// A row of this family.
const fn row(name: &'static str, arity: i16, run: fn(&mut Ctx<'_>) -> CmdResult) -> Spec {
    Spec::local(name, arity, run).acl(acl::SORTEDSET)
}

pub(super) const COMMANDS: &[Spec] = &[
    row("zadd", -4, add::zadd).member(3)
        .flags(WRITE | DENYOOM | FAST)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .doc(Group::SortedSet, "1.2.0", LOG_EACH, "Sets the scores of members of a sorted set, which is created if need be.")
        .syntax(
            "key@0 condition(NX | XX)?#3.0.2 comparison(GT | LT)?#6.2.0 CH=change:pure-token?#3.0.2 \
             INCR=increment:pure-token?#3.0.2 data{score:double member}+",
        )
        .history(&[
            ("2.4.0", "More than one member may be given."),
            ("3.0.2", "`XX`, `NX`, `CH` and `INCR` came."),
            ("6.2.0", "`GT` and `LT` came."),
        ]),
    row("zincrby", 4, add::zincrby).member(3)
        .flags(WRITE | DENYOOM | FAST)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::UPDATE)])
        .doc(Group::SortedSet, "1.2.0", LOG, "Adds to the score of a member.")
        .syntax("key@0 increment:integer member"),
    row("zrem", -3, add::zrem).member(2)
        .flags(WRITE | FAST)
        .keys(REMOVE)
        .doc(Group::SortedSet, "1.2.0", LOG_EACH, "Removes members.")
        .syntax("key@0 member+")
        .history(&[("2.4.0", "More than one member may be given.")]),
    row("zremrangebyrank", 4, range::zremrangebyrank)
        .flags(WRITE)
        .keys(REMOVE)
        .doc(Group::SortedSet, "2.0.0", REMOVAL, "Removes the members of a range of ranks.")
        .syntax("key@0 start:integer stop:integer"),
    row("zremrangebyscore", 4, range::zremrangebyscore)
        .flags(WRITE)
        .keys(REMOVE)
        .doc(Group::SortedSet, "1.2.0", REMOVAL, "Removes the members whose scores lie in a range.")
        .syntax("key@0 min:double max:double"),
    row("zremrangebylex", 4, range::zremrangebylex)
        .flags(WRITE)
        .keys(REMOVE)
        .doc(Group::SortedSet, "2.8.9", REMOVAL, "Removes a range of members, all of one score, by their bytes.")
        .syntax("key@0 min max"),
    row("zcard", 2, zcard)
        .flags(READONLY | FAST)
        .keys(&[key_at(1, key::RO)])
        .doc(Group::SortedSet, "1.2.0", "O(1)", "Counts the members.")
        .syntax("key@0"),
    row("zscore", 3, zscore).member(2)
        .flags(READONLY | FAST)
        .keys(READ)
        .doc(Group::SortedSet, "1.2.0", "O(1)", "Gives the score of a member.")
        .syntax("key@0 member"),
    row("zmscore", -3, zmscore)
        .flags(READONLY | FAST)
        .keys(READ)
        .doc(Group::SortedSet, "6.2.0", "O(N) where N is the number of members given.", "Gives the scores of several members.")
        .syntax("key@0 member+"),
    row("zrank", -3, zrank).member(2)
        .flags(READONLY | FAST)
        .keys(READ)
        .doc(Group::SortedSet, "2.0.0", LOG, "Counts the members before one, by ascending scores.")
        .syntax("key@0 member WITHSCORE?")
        .history(&[("7.2.0", "`WITHSCORE` came.")]),
    row("zrevrank", -3, zrevrank).member(2)
        .flags(READONLY | FAST)
        .keys(READ)
        .doc(Group::SortedSet, "2.0.0", LOG, "Counts the members before one, by descending scores.")
        .syntax("key@0 member WITHSCORE?")
        .history(&[("7.2.0", "`WITHSCORE` came.")]),
    row("zcount", 4, range::zcount)
        .flags(READONLY | FAST)
        .keys(READ)
        .doc(Group::SortedSet, "2.0.0", LOG, "Counts the members whose scores lie in a range.")
        .syntax("key@0 min:double max:double"),
    row("zlexcount", 4, range::zlexcount)
        .flags(READONLY | FAST)
        .keys(READ)
        .doc(Group::SortedSet, "2.8.9", LOG, "Counts a range of members, all of one score, by their bytes.")
        .syntax("key@0 min max"),
    row("zrange", -4, range::zrange)
        .flags(READONLY)
        .keys(READ)
        .doc(Group::SortedSet, "1.2.0", RANGE, "Gives a range of members.")
        .syntax(
            "key@0 start stop sortby(BYSCORE | BYLEX)?#6.2.0 REV?#6.2.0 \
             LIMIT=limit{offset:integer count:integer}?#6.2.0 WITHSCORES?",
        )
        .history(&[("6.2.0", "`REV`, `BYSCORE`, `BYLEX` and `LIMIT` came.")]),
    row("zrangestore", -5, range::zrangestore)
        .flags(WRITE | DENYOOM)
        .keys(&[key_at(1, key::OW | key::UPDATE), key_at(2, key::RO | key::ACCESS)])
        .doc(Group::SortedSet, "6.2.0", RANGE, "Stores a range of members under another key.")
        .syntax("dst@0 src@1 min max sortby(BYSCORE | BYLEX)? REV? LIMIT=limit{offset:integer count:integer}?"),
    row("zrevrange", -4, range::zrevrange)
        .flags(READONLY)
        .keys(READ)
        .doc(Group::SortedSet, "1.2.0", RANGE, "Gives a range of members by rank, the last first.")
        .syntax("key@0 start:integer stop:integer WITHSCORES?")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` argument"),
    row("zrangebyscore", -4, range::zrangebyscore)
        .flags(READONLY)
        .keys(READ)
        .doc(Group::SortedSet, "1.0.5", RANGE, "Gives the members whose scores lie in a range.")
        .syntax("key@0 min:double max:double WITHSCORES?#2.0.0 LIMIT=limit{offset:integer count:integer}?")
        .history(&[("2.0.0", "`WITHSCORES` came.")])
        .deprecated("6.2.0", "`ZRANGE` with the `BYSCORE` argument"),
    row("zrevrangebyscore", -4, range::zrevrangebyscore)
        .flags(READONLY)
        .keys(READ)
        .doc(Group::SortedSet, "2.2.0", RANGE, "Gives the members whose scores lie in a range, the last first.")
        .syntax("key@0 max:double min:double WITHSCORES? LIMIT=limit{offset:integer count:integer}?")
        .history(&[("2.1.6", "The ends may be outside of the range.")])
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments"),
    row("zrangebylex", -4, range::zrangebylex)
        .flags(READONLY)
        .keys(READ)
        .doc(Group::SortedSet, "2.8.9", RANGE, "Gives a range of members, all of one score, by their bytes.")
        .syntax("key@0 min max LIMIT=limit{offset:integer count:integer}?")
        .deprecated("6.2.0", "`ZRANGE` with the `BYLEX` argument"),
    row("zrevrangebylex", -4, range::zrevrangebylex)
        .flags(READONLY)
        .keys(READ)
        .doc(Group::SortedSet, "2.8.9", RANGE, "Gives a range of members, all of one score, by their bytes, the last first.")
        .syntax("key@0 max min LIMIT=limit{offset:integer count:integer}?")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments"),
    row("zpopmin", -2, pop::zpopmin)
        .flags(WRITE | FAST)
        .keys(TAKE)
        .doc(Group::SortedSet, "5.0.0", POP, "Takes the members with the lowest scores.")
        .syntax("key@0 count:integer?"),
    row("zpopmax", -2, pop::zpopmax)
        .flags(WRITE | FAST)
        .keys(TAKE)
        .doc(Group::SortedSet, "5.0.0", POP, "Takes the members with the highest scores.")
        .syntax("key@0 count:integer?"),
    row("bzpopmin", -3, pop::bzpopmin)
        .flags(WRITE | FAST | BLOCKING)
        .keys(&[keys_from(1, -2, 1, key::RW | key::ACCESS | key::DELETE)])
        .doc(Group::SortedSet, "5.0.0", LOG, "Takes the member with the lowest score, or waits for one.")
        .syntax("key@0+ timeout:double")
        .history(&[("6.0.0", "The timeout may have a fraction.")])
        .replies_array(),
    row("bzpopmax", -3, pop::bzpopmax)
        .flags(WRITE | FAST | BLOCKING)
        .keys(&[keys_from(1, -2, 1, key::RW | key::ACCESS | key::DELETE)])
        .doc(Group::SortedSet, "5.0.0", LOG, "Takes the member with the highest score, or waits for one.")
        .syntax("key@0+ timeout:double")
        .history(&[("6.0.0", "The timeout may have a fraction.")])
        .replies_array(),
    row("zmpop", -4, pop::zmpop)
        .flags(WRITE)
        .keys(&[KeySpec { flags: key::RW | key::ACCESS | key::DELETE, ..SOURCES }])
        .doc(Group::SortedSet, "7.0.0", POP_OF, "Takes members from an end of the first sorted set that has any.")
        .syntax("numkeys:integer key@0+ where(MIN | MAX) COUNT=count:integer?"),
    row("bzmpop", -5, pop::bzmpop)
        .flags(WRITE | BLOCKING)
        .keys(&[KeySpec { flags: key::RW | key::ACCESS | key::DELETE, begin: Begin::Index(2), ..SOURCES }])
        .doc(
            Group::SortedSet,
            "7.0.0",
            POP_OF,
            "Takes members from an end of the first sorted set that has any, or waits for some.",
        )
        .syntax("timeout:double numkeys:integer key@0+ where(MIN | MAX) COUNT=count:integer?")
        .replies_array(),
    row("zunion", -3, algebra::zunion)
        .flags(READONLY)
        .keys(&[SOURCES])
        .doc(Group::SortedSet, "6.2.0", UNION, "Gives the members of several sorted sets.")
        .syntax("numkeys:integer key@0+ WEIGHTS=weight:integer?+ AGGREGATE=aggregate(SUM | MIN | MAX)? WITHSCORES?"),
    row("zunionstore", -4, algebra::zunionstore)
        .flags(WRITE | DENYOOM)
        .keys(STORE)
        .doc(Group::SortedSet, "2.0.0", UNION, "Stores the members of several sorted sets.")
        .syntax("destination@0 numkeys:integer key@1+ WEIGHTS=weight:integer?+ AGGREGATE=aggregate(SUM | MIN | MAX)?"),
    row("zinter", -3, algebra::zinter)
        .flags(READONLY)
        .keys(&[SOURCES])
        .doc(Group::SortedSet, "6.2.0", INTER, "Gives the members that several sorted sets have in common.")
        .syntax("numkeys:integer key@0+ WEIGHTS=weight:integer?+ AGGREGATE=aggregate(SUM | MIN | MAX)? WITHSCORES?"),
    row("zinterstore", -4, algebra::zinterstore)
        .flags(WRITE | DENYOOM)
        .keys(STORE)
        .doc(Group::SortedSet, "2.0.0", INTER, "Stores the members that several sorted sets have in common.")
        .syntax("destination@0 numkeys:integer key@1+ WEIGHTS=weight:integer?+ AGGREGATE=aggregate(SUM | MIN | MAX)?"),
    row("zintercard", -3, algebra::zintercard)
        .flags(READONLY)
        .keys(&[SOURCES])
        .doc(
            Group::SortedSet,
            "7.0.0",
            "O(N*K) where N is the size of the smallest set and K the number of sets.",
            "Counts the members that several sorted sets have in common.",
        )
        .syntax("numkeys:integer key@0+ LIMIT=limit:integer?"),
    row("zdiff", -3, algebra::zdiff)
        .flags(READONLY)
        .keys(&[SOURCES])
        .doc(Group::SortedSet, "6.2.0", DIFF, "Gives the members of a sorted set that others do not have.")
        .syntax("numkeys:integer key@0+ WITHSCORES?"),
    row("zdiffstore", -4, algebra::zdiffstore)
        .flags(WRITE | DENYOOM)
        .keys(STORE)
        .doc(Group::SortedSet, "6.2.0", DIFF, "Stores the members of a sorted set that others do not have.")
        .syntax("destination@0 numkeys:integer key@1+"),
    row("zrandmember", -2, random::zrandmember)
        .flags(READONLY)
        .keys(READ)
        .tips(BY_CHANCE)
        .doc(Group::SortedSet, "6.2.0", "O(N) where N is the number of members given back.", "Gives members by chance.")
        .syntax("key@0 options{count:integer WITHSCORES?}?"),
    row("zscan", -3, random::zscan)
        .flags(READONLY)
        .keys(READ)
        .tips(BY_CHANCE)
        .doc(
            Group::SortedSet,
            "2.8.0",
            "O(1) a call; O(N) for the whole walk, where N is the number of members.",
            "Lists the members and their scores, a few a call.",
        )
        .syntax("key@0 cursor:integer MATCH=pattern:pattern? COUNT=count:integer? NOSCORES?"),
];

/// The score at argument `index`.
fn score_at(ctx: &Ctx<'_>, index: usize) -> Result<f64, CmdError> {
    parse_double(ctx.args.at(index)).ok_or(CmdError::NotFloat)
}

/// Puts a sorted set back from which members were taken, and tells so; without members its key is gone.
fn put_after_removal(ctx: &mut Ctx<'_>, key: Key<'_>, zset: Taken<Zset>, event: &'static str) {
    let stays = ctx.put(key, zset);
    ctx.notify(EventClass::Zset, event, key.bytes);
    if !stays {
        ctx.notify(EventClass::Generic, "del", key.bytes);
    }
}

/// Replies with a member and its score, in RESP3 as an array of the two.
#[inline]
fn reply_pair(reply: &mut Reply<'_>, member: Element<'_>, score: f64) {
    if reply.version() == 3 {
        reply.array(2);
    }
    reply_element(reply, member);
    reply.double(score);
}

/// The header of so many members with scores.
fn reply_pairs(reply: &mut Reply<'_>, count: usize) {
    reply.array(if reply.version() == 3 { count } else { 2 * count });
}

fn zcard(ctx: &mut Ctx<'_>) -> CmdResult {
    let len = match ctx.read(ctx.key(1)) {
        Some(handle) => ctx.db_ref().value(handle).zset()?.len(),
        None => 0,
    };
    ctx.reply.int(len as i64);
    Ok(Outcome::Done)
}

fn zscore(ctx: &mut Ctx<'_>) -> CmdResult {
    let score = match ctx.read(ctx.key(1)) {
        Some(handle) => ctx.db_ref().value(handle).zset()?.score(ctx.args.at(2)),
        None => None,
    };
    reply_score(&mut ctx.reply, score);
    Ok(Outcome::Done)
}

#[inline]
fn reply_score(reply: &mut Reply<'_>, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zmscore(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    let handle = ctx.read(ctx.key(1));
    let open = ctx.open();
    let zset = handle.map(|handle| open.db.value(handle).zset()).transpose()?;
    open.reply.array(args.len() - 2);
    let mut index = 2;
    while index < args.len() {
        let mut members: [&[u8]; BATCH] = [&[]; BATCH];
        let count = BATCH.min(args.len() - index);
        (0..count).for_each(|i| members[i] = args.at(index + i));
        let mut scores = [None; BATCH];
        if let Some(zset) = zset {
            zset.scores(&members[..count], &mut scores);
        }
        scores[..count].iter().for_each(|score| reply_score(open.reply, *score));
        index += count;
    }
    Ok(Outcome::Done)
}

fn zrank(ctx: &mut Ctx<'_>) -> CmdResult {
    reply_rank(ctx, |_, rank| rank)
}

fn zrevrank(ctx: &mut Ctx<'_>) -> CmdResult {
    reply_rank(ctx, |zset, rank| zset.len() - 1 - rank)
}

fn reply_rank(ctx: &mut Ctx<'_>, count: fn(ZsetRef<'_>, usize) -> usize) -> CmdResult {
    let with_score = match ctx.args.len() {
        3 => false,
        4 if ctx.args.is(3, "withscore") => true,
        4 => return Err(CmdError::Syntax),
        _ => return Err(CmdError::Arity(ctx.row.full_name)),
    };
    let handle = ctx.read(ctx.key(1));
    let member = ctx.args.at(2);
    let open = ctx.open();
    let zset = handle.map(|handle| open.db.value(handle).zset()).transpose()?;
    match zset.and_then(|zset| Some((zset, zset.rank(member)?))) {
        Some((zset, (rank, score))) => {
            if with_score {
                open.reply.array(2);
            }
            open.reply.int(count(zset, rank) as i64);
            if with_score {
                open.reply.double(score);
            }
        }
        None if with_score => open.reply.null_array(),
        None => open.reply.null(),
    }
    Ok(Outcome::Done)
}
