//! OBJECT: how a value is kept.

use crate::commands::help::help_row;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::READONLY;
use crate::engine::spec::{Group, KeySpec, Spec, acl, key, key_at};
use crate::structures::slab::Handle;

const KEY: &[KeySpec] = &[key_at(2, key::RO)];
const TIPS: &[&str] = &["nondeterministic_output"];

pub(in crate::commands) const COMMANDS: &[Spec] = &[Spec::container(
    "object",
    &[
        Spec::local("encoding", 3, encoding)
            .flags(READONLY)
            .acl(acl::KEYSPACE)
            .keys(KEY)
            .tips(TIPS)
            .doc(Group::Generic, "2.2.3", "O(1)", "Names the form in which a value is kept.")
            .syntax("key@0"),
        Spec::local("freq", 3, freq)
            .flags(READONLY)
            .acl(acl::KEYSPACE)
            .keys(KEY)
            .tips(TIPS)
            .doc(Group::Generic, "4.0.0", "O(1)", "Tells the logarithmic counter of accesses of a key.")
            .syntax("key@0"),
        help_row(Group::Generic, "6.2.0", acl::KEYSPACE),
        Spec::local("idletime", 3, idletime)
            .flags(READONLY)
            .acl(acl::KEYSPACE)
            .keys(KEY)
            .tips(TIPS)
            .doc(Group::Generic, "2.2.3", "O(1)", "Tells the seconds since the last access of a key.")
            .syntax("key@0"),
        Spec::local("refcount", 3, refcount)
            .flags(READONLY)
            .acl(acl::KEYSPACE)
            .keys(KEY)
            .tips(TIPS)
            .doc(Group::Generic, "2.2.3", "O(1)", "Tells how many refer to a value.")
            .syntax("key@0"),
    ],
)
.doc(
    Group::Generic,
    "2.2.3",
    "Depends on subcommand.",
    "Holds the commands that look at how a value is kept.",
)
.help(&[
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
])];

/// The entry to look at: counted as a hit or a miss, but nobody is told.
fn look(ctx: &mut Ctx<'_>) -> Option<Handle> {
    let key = ctx.key(2);
    let found = ctx.peek(key);
    match found {
        Some(_) => ctx.stats.keyspace_hits += 1,
        None => {
            ctx.stats.keyspace_misses += 1;
            ctx.reply.null();
        }
    }
    found
}

fn encoding(ctx: &mut Ctx<'_>) -> CmdResult {
    if let Some(handle) = look(ctx) {
        let name = ctx.db_ref().value(handle).encoding();
        ctx.reply.bulk(name.as_bytes());
    }
    Ok(Outcome::Done)
}

fn freq(ctx: &mut Ctx<'_>) -> CmdResult {
    let Some(handle) = look(ctx) else { return Ok(Outcome::Done) };
    if !ctx.clock.lfu {
        return Err(CmdError::coded(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
             between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    let counter = ctx.clock.decayed(ctx.db_ref().access(handle));
    ctx.reply.int(counter.into());
    Ok(Outcome::Done)
}

fn idletime(ctx: &mut Ctx<'_>) -> CmdResult {
    let Some(handle) = look(ctx) else { return Ok(Outcome::Done) };
    if ctx.clock.lfu {
        return Err(CmdError::coded(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between \
             policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    let idle_s = ctx.clock.idle_s(ctx.db_ref().access(handle));
    ctx.reply.int(idle_s as i64);
    Ok(Outcome::Done)
}

/// Nothing is counted here: every key has its value alone.
fn refcount(ctx: &mut Ctx<'_>) -> CmdResult {
    if look(ctx).is_some() {
        ctx.reply.int(1);
    }
    Ok(Outcome::Done)
}
