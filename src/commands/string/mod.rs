//! Strings.
//!
//! A string that is the canonical text of a 64-bit integer is kept as that integer, a short one inside its entry, a long
//! one as bytes that replies share. Which of these Redis would have chosen is visible to clients as OBJECT ENCODING, so
//! every command here says how its result is to be kept: [`NewValue::Int`] and [`NewValue::Copied`] for what was given as
//! a whole, [`NewValue::Raw`] for what grew out of something else.

mod condition;
mod count;
mod edit;
mod lcs;
mod set;

use crate::base::number::parse_i64;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::key_batch::KeyBatch;
use crate::engine::spec::flag::{DENYOOM, FAST, MOVABLEKEYS, READONLY, WRITE};
use crate::engine::spec::{Begin, Find, Group, KeySpec, Spec, acl, key, key_at, keys_from};
use crate::keyspace::{Deadline, EventClass, NewValue};
use crate::resp::Args;

/// What GETRANGE and SUBSTR cost.
const RANGE_COST: &str = "O(N) where N is the length of the reply.";

pub(super) const COMMANDS: &[Spec] = &[
    Spec::local("get", 2, get)
        .flags(READONLY | FAST)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(Group::String, "1.0.0", "O(1)", "Gives the string of a key.")
        .syntax("key@0"),
    Spec::local("set", -3, set::set)
        .key_flags(|args| {
            let gets = (3..args.len()).any(|index| args.is(index, "get"));
            match gets || condition::is_named(args, 3) {
                true => key::RW | key::UPDATE | if gets { key::ACCESS } else { 0 },
                false => key::OW | key::UPDATE,
            }
        })
        .flags(WRITE | DENYOOM)
        .acl(acl::STRING)
        .keys(&[KeySpec {
            flags: key::RW | key::ACCESS | key::UPDATE | key::VARIABLE_FLAGS,
            begin: Begin::Index(1),
            find: Find::Range { last: 0, step: 1, limit: 0 },
            notes: "RW and ACCESS due to the optional `GET` argument",
        }])
        .doc(Group::String, "1.0.0", "O(1)", "Sets the string of a key, whatever it held before.")
        .syntax(
            "key@0 value condition(NX | XX | IFEQ=ifeq-value#8.4.0 | IFNE=ifne-value#8.4.0 | \
             IFDEQ=ifdeq-digest#8.4.0 | IFDNE=ifdne-digest#8.4.0)?#2.6.12 GET?#6.2.0 expiration(EX=seconds:integer#2.6.12 | \
             PX=milliseconds:integer#2.6.12 | EXAT=unix-time-seconds:unix-time#6.2.0 | \
             PXAT=unix-time-milliseconds:unix-time#6.2.0 | KEEPTTL#6.0.0)?",
        )
        .history(&[
            ("2.6.12", "`EX`, `PX`, `NX` and `XX` came."),
            ("6.0.0", "`KEEPTTL` came."),
            ("6.2.0", "`GET`, `EXAT` and `PXAT` came."),
            ("7.0.0", "`NX` and `GET` may be used together."),
            ("8.4.0", "`IFEQ`, `IFNE`, `IFDEQ` and `IFDNE` came."),
        ]),
    Spec::local("setnx", 3, set::setnx)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::OW | key::INSERT)])
        .doc(Group::String, "1.0.0", "O(1)", "Sets the string of a key that does not exist yet.")
        .syntax("key@0 value")
        .deprecated("2.6.12", "`SET` with the `NX` argument"),
    Spec::local("setex", 4, set::setex)
        .flags(WRITE | DENYOOM)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::OW | key::UPDATE)])
        .doc(Group::String, "2.0.0", "O(1)", "Sets the string of a key and the seconds it will live.")
        .syntax("key@0 seconds:integer value")
        .deprecated("2.6.12", "`SET` with the `EX` argument"),
    Spec::local("psetex", 4, set::psetex)
        .flags(WRITE | DENYOOM)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::OW | key::UPDATE)])
        .doc(Group::String, "2.6.0", "O(1)", "Sets the string of a key and the milliseconds it will live.")
        .syntax("key@0 milliseconds:integer value")
        .deprecated("2.6.12", "`SET` with the `PX` argument"),
    Spec::local("getset", 3, getset)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::UPDATE)])
        .doc(Group::String, "1.0.0", "O(1)", "Gives the string of a key and sets another.")
        .syntax("key@0 value")
        .deprecated("6.2.0", "`SET` with the `!GET` argument"),
    Spec::local("getdel", 2, getdel)
        .flags(WRITE | FAST)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::DELETE)])
        .doc(Group::String, "6.2.0", "O(1)", "Gives the string of a key and removes the key.")
        .syntax("key@0"),
    Spec::local("getex", -2, set::getex)
        .flags(WRITE | FAST)
        .acl(acl::STRING)
        .keys(&[KeySpec {
            flags: key::RW | key::ACCESS | key::UPDATE,
            begin: Begin::Index(1),
            find: Find::Range { last: 0, step: 1, limit: 0 },
            notes: "RW and UPDATE because it changes the TTL",
        }])
        .doc(Group::String, "6.2.0", "O(1)", "Gives the string of a key and changes when the key dies.")
        .syntax(
            "key@0 expiration(EX=seconds:integer | PX=milliseconds:integer | EXAT=unix-time-seconds:unix-time | \
             PXAT=unix-time-milliseconds:unix-time | PERSIST)?",
        ),
    Spec::local("mget", -2, mget)
        .flags(READONLY | FAST)
        .acl(acl::STRING)
        .keys(&[keys_from(1, -1, 1, key::RO | key::ACCESS)])
        .tips(&["request_policy:multi_shard"])
        .doc(Group::String, "1.0.0", "O(N) where N is the number of keys.", "Gives the strings of several keys.")
        .syntax("key@0+"),
    Spec::local("mset", -3, mset)
        .flags(WRITE | DENYOOM)
        .acl(acl::STRING)
        .keys(&[keys_from(1, -1, 2, key::OW | key::UPDATE)])
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .doc(Group::String, "1.0.1", "O(N) where N is the number of keys.", "Sets the strings of several keys at once.")
        .syntax("data{key@0 value}+"),
    Spec::local("msetex", -4, set::msetex)
        .flags(WRITE | DENYOOM | MOVABLEKEYS)
        .acl(acl::STRING)
        .keys(&[KeySpec {
            flags: key::OW | key::UPDATE,
            begin: Begin::Index(1),
            find: Find::Keynum { keynum: 0, first: 1, step: 2 },
            notes: "",
        }])
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .doc(
            Group::String,
            "8.4.0",
            "O(N) where N is the number of keys.",
            "Sets the strings of several keys at once, with one deadline.",
        )
        .syntax(
            "numkeys:integer data{key@0 value}+ condition(NX | XX)? expiration(EX=seconds:integer | \
             PX=milliseconds:integer | EXAT=unix-time-seconds:unix-time | PXAT=unix-time-milliseconds:unix-time | KEEPTTL)?",
        ),
    Spec::local("delifeq", 3, condition::delifeq)
        .flags(WRITE | FAST)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RM | key::DELETE)])
        .doc(Group::String, "9.0.0", "O(1)", "Removes a key if its string is this one (Valkey).")
        .syntax("key@0 value"),
    Spec::local("delex", -2, condition::delex)
        .key_flags(|args| match condition::is_named(args, 2) {
            true => key::RW | key::DELETE,
            false => key::RM | key::DELETE,
        })
        .flags(WRITE | FAST)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RW | key::DELETE | key::VARIABLE_FLAGS)])
        .doc(
            Group::String,
            "8.4.0",
            "O(1), O(N) for digests, where N is the length of the string.",
            "Removes a key if its string, or the digest of it, is or is not this one.",
        )
        .syntax("key@0 condition(IFEQ=ifeq-value | IFNE=ifne-value | IFDEQ=ifdeq-digest | IFDNE=ifdne-digest)?"),
    Spec::local("digest", 2, condition::digest_of)
        .flags(READONLY | FAST)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(
            Group::String,
            "8.4.0",
            "O(N) where N is the length of the string.",
            "Gives the digest of a string: XXH3 in 64 bits, in hex.",
        )
        .syntax("key@0"),
    Spec::local("msetnx", -3, msetnx)
        .flags(WRITE | DENYOOM)
        .acl(acl::STRING)
        .keys(&[keys_from(1, -1, 2, key::OW | key::INSERT)])
        .doc(
            Group::String,
            "1.0.1",
            "O(N) where N is the number of keys.",
            "Sets the strings of several keys if none of them exists.",
        )
        .syntax("data{key@0 value}+"),
    Spec::local("append", 3, edit::append)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RW | key::INSERT)])
        .doc(
            Group::String,
            "2.0.0",
            "O(N) where N is the number of bytes added; now and then a long string moves.",
            "Adds bytes to the end of a string.",
        )
        .syntax("key@0 value"),
    Spec::local("strlen", 2, edit::strlen)
        .flags(READONLY | FAST)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RO)])
        .doc(Group::String, "2.2.0", "O(1)", "Tells how many bytes a string has.")
        .syntax("key@0"),
    Spec::local("getrange", 4, edit::getrange)
        .flags(READONLY)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(Group::String, "2.4.0", RANGE_COST, "Gives a part of a string.")
        .syntax("key@0 start:integer end:integer"),
    Spec::local("substr", 4, edit::getrange)
        .flags(READONLY)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(Group::String, "1.0.0", RANGE_COST, "Gives a part of a string.")
        .syntax("key@0 start:integer end:integer")
        .deprecated("2.0.0", "`GETRANGE`"),
    Spec::local("setrange", 4, edit::setrange)
        .flags(WRITE | DENYOOM)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .doc(
            Group::String,
            "2.2.0",
            "O(N) where N is the number of bytes written, zeros in front of them included.",
            "Overwrites a part of a string.",
        )
        .syntax("key@0 offset:integer value"),
    Spec::local("incr", 2, count::incr)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::UPDATE)])
        .doc(Group::String, "1.0.0", "O(1)", "Adds one to an integer.")
        .syntax("key@0"),
    Spec::local("decr", 2, count::decr)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::UPDATE)])
        .doc(Group::String, "1.0.0", "O(1)", "Takes one from an integer.")
        .syntax("key@0"),
    Spec::local("incrby", 3, count::incrby)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::UPDATE)])
        .doc(Group::String, "1.0.0", "O(1)", "Adds a number to an integer.")
        .syntax("key@0 increment:integer"),
    Spec::local("decrby", 3, count::decrby)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::UPDATE)])
        .doc(Group::String, "1.0.0", "O(1)", "Takes a number from an integer.")
        .syntax("key@0 decrement:integer"),
    Spec::local("incrbyfloat", 3, count::incrbyfloat)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::UPDATE)])
        .doc(Group::String, "2.6.0", "O(1)", "Adds a number to a floating-point number.")
        .syntax("key@0 increment:double"),
    Spec::local("lcs", -3, lcs::lcs)
        .flags(READONLY)
        .acl(acl::STRING)
        .keys(&[keys_from(1, 1, 1, key::RO | key::ACCESS)])
        .doc(
            Group::String,
            "7.0.0",
            "O(N*M) where N and M are the lengths of the strings.",
            "Finds the longest subsequence that two strings share.",
        )
        .syntax("key1@0 key2@0 LEN? IDX? MINMATCHLEN=min-match-len:integer? WITHMATCHLEN?"),
];

fn get(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    match ctx.read(key) {
        Some(handle) => ctx.reply_value(handle)?,
        None => ctx.reply.null(),
    }
    Ok(Outcome::Done)
}

/// The value at an argument in the form in which it is stored: a number where it is one, shared where it is large.
fn value_at<'a>(args: &Args<'a>, index: usize) -> NewValue<'a> {
    let bytes = args.at(index);
    if bytes.len() <= 20
        && let Some(number) = parse_i64(bytes)
    {
        return NewValue::Int(number);
    }
    match args {
        Args::Owned(_) => NewValue::Shared(args.bytes(index)),
        Args::Spans(..) => NewValue::Copied(bytes),
    }
}

fn getset(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let found = ctx.read(key);
    match found {
        Some(handle) => ctx.reply_value(handle)?,
        None => ctx.reply.null(),
    }
    let value = value_at(&ctx.args, 2);
    ctx.replace(key, found, value, Deadline::Clear);
    ctx.notify(EventClass::String, "set", key.bytes);
    ctx.changed(1);
    ctx.propagate_as(&[b"SET", key.bytes, ctx.args.at(2)]);
    Ok(Outcome::Done)
}

fn getdel(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let Some(handle) = ctx.read(key) else {
        ctx.reply.null();
        return Ok(Outcome::Done);
    };
    ctx.reply_value(handle)?;
    ctx.remove(key);
    ctx.notify(EventClass::Generic, "del", key.bytes);
    ctx.changed(1);
    ctx.propagate_as(&[b"DEL", key.bytes]);
    Ok(Outcome::Done)
}

fn mget(ctx: &mut Ctx<'_>) -> CmdResult {
    let count = ctx.args.len();
    ctx.reply.array(count - 1);
    let mut keys = KeyBatch::new(1, 1);
    while let Some((_, key)) = keys.next(ctx) {
        let is_string = ctx.read(key).is_some_and(|handle| ctx.reply_value(handle).is_ok());
        if !is_string {
            ctx.reply.null();
        }
    }
    Ok(Outcome::Done)
}

fn mset(ctx: &mut Ctx<'_>) -> CmdResult {
    check_pairs(ctx)?;
    set_pairs(ctx);
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn msetnx(ctx: &mut Ctx<'_>) -> CmdResult {
    check_pairs(ctx)?;
    for index in (1..ctx.args.len()).step_by(2) {
        let key = ctx.key(index);
        if ctx.write(key).is_some() {
            ctx.reply.int(0);
            return Ok(Outcome::Done);
        }
    }
    set_pairs(ctx);
    ctx.reply.int(1);
    Ok(Outcome::Done)
}

/// Every key needs its value.
fn check_pairs(ctx: &Ctx<'_>) -> Result<(), CmdError> {
    if ctx.args.len().is_multiple_of(2) { Err(CmdError::Arity(ctx.row.full_name)) } else { Ok(()) }
}

fn set_pairs(ctx: &mut Ctx<'_>) {
    let count = ctx.args.len();
    let mut keys = KeyBatch::new(1, 2);
    while let Some((index, key)) = keys.next(ctx) {
        let found = ctx.write(key);
        let value = value_at(&ctx.args, index + 1);
        ctx.replace(key, found, value, Deadline::Clear);
        ctx.notify(EventClass::String, "set", key.bytes);
    }
    ctx.changed(count as u64 / 2);
}
