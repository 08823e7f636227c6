//! Keys whatever they hold: whether they are there, of what type, and how they go elsewhere.

use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::key_batch::KeyBatch;
use crate::engine::spec::flag::{ALWAYS_TOUCHES, DENYOOM, FAST, READONLY, WRITE};
use crate::engine::spec::{Group, Spec, acl, key, key_at, keys_from};
use crate::keyspace::{Deadline, EventClass, NewValue, Type};
use crate::resp::Args;
use crate::structures::slab::Handle;

const PER_KEY: &str = "O(N) where N is the number of keys.";

pub(in crate::commands) const COMMANDS: &[Spec] = &[
    Spec::local("del", -2, del)
        .flags(WRITE)
        .acl(acl::KEYSPACE)
        .keys(&[keys_from(1, -1, 1, key::RM | key::DELETE)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .doc(Group::Generic, "1.0.0", PER_KEY, "Removes keys; large values are freed in the background.")
        .syntax("key@0+"),
    Spec::local("unlink", -2, del)
        .flags(WRITE | FAST)
        .acl(acl::KEYSPACE)
        .keys(&[keys_from(1, -1, 1, key::RM | key::DELETE)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .doc(Group::Generic, "4.0.0", PER_KEY, "Removes keys; large values are freed in the background.")
        .syntax("key@0+"),
    Spec::local("exists", -2, exists)
        .flags(READONLY | FAST)
        .acl(acl::KEYSPACE)
        .keys(&[keys_from(1, -1, 1, key::RO)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .doc(Group::Generic, "1.0.0", PER_KEY, "Counts which of the keys are there.")
        .syntax("key@0+")
        .history(&[("3.0.3", "More than one `key` may be given.")]),
    Spec::local("type", 2, type_of)
        .flags(READONLY | FAST)
        .acl(acl::KEYSPACE)
        .keys(&[key_at(1, key::RO)])
        .doc(Group::Generic, "1.0.0", "O(1)", "Tells the type of the value of a key.")
        .syntax("key@0"),
    Spec::local("touch", -2, touch)
        .flags(READONLY | FAST | ALWAYS_TOUCHES)
        .acl(acl::KEYSPACE)
        .keys(&[keys_from(1, -1, 1, key::RO)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .doc(
            Group::Generic,
            "3.2.1",
            PER_KEY,
            "Counts which of the keys are there and notes an access of each.",
        )
        .syntax("key@0+"),
    Spec::local("rename", 3, rename)
        .flags(WRITE)
        .acl(acl::KEYSPACE)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::DELETE), key_at(2, key::OW | key::UPDATE)])
        .doc(Group::Generic, "1.0.0", "O(1)", "Gives a key another name; what had that name is gone.")
        .syntax("key@0 newkey@1"),
    Spec::local("renamenx", 3, renamenx)
        .flags(WRITE | FAST)
        .acl(acl::KEYSPACE)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::DELETE), key_at(2, key::OW | key::INSERT)])
        .doc(Group::Generic, "1.0.0", "O(1)", "Gives a key another name that no key has yet.")
        .syntax("key@0 newkey@1")
        .history(&[("3.2.0", "Old and new name may be the same.")]),
    Spec::local("move", 3, move_key)
        .databases(|_| vec![2])
        .flags(WRITE | FAST)
        .acl(acl::KEYSPACE)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::UPDATE)])
        .doc(Group::Generic, "1.0.0", "O(1)", "Moves a key to another database that does not have it.")
        .syntax("key@0 db:integer"),
    Spec::local("copy", -3, copy)
        .databases(databases_of_copy)
        .flags(WRITE | DENYOOM)
        .acl(acl::KEYSPACE)
        .keys(&[key_at(1, key::RO | key::ACCESS), key_at(2, key::OW | key::UPDATE)])
        .doc(
            Group::Generic,
            "6.2.0",
            "O(N) where N is the number of elements; O(1) for strings.",
            "Copies the value and the deadline of a key to another key.",
        )
        .syntax("source@0 destination@1 DB=destination-db:integer? REPLACE?"),
];

/// The database that COPY names.
fn databases_of_copy(args: Args<'_>) -> Vec<usize> {
    let (mut indices, mut at) = (Vec::new(), 3);
    while at < args.len() {
        if args.is(at, "db") && at + 1 < args.len() {
            indices.push(at + 1);
            at += 2;
        } else if args.is(at, "replace") {
            at += 1;
        } else {
            return Vec::new();
        }
    }
    indices
}

fn del(ctx: &mut Ctx<'_>) -> CmdResult {
    let mut removed = 0;
    let mut keys = KeyBatch::new(1, 1);
    while let Some((_, key)) = keys.next(ctx) {
        if ctx.peek(key).is_some() {
            ctx.remove(key);
            ctx.notify(EventClass::Generic, "del", key.bytes);
            removed += 1;
        }
    }
    ctx.changed(removed);
    ctx.reply.int(removed as i64);
    Ok(Outcome::Done)
}

fn exists(ctx: &mut Ctx<'_>) -> CmdResult {
    let mut count = 0;
    let mut keys = KeyBatch::new(1, 1);
    while let Some((_, key)) = keys.next(ctx) {
        count += i64::from(ctx.read_untouched(key).is_some());
    }
    ctx.reply.int(count);
    Ok(Outcome::Done)
}

fn type_of(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let name = match ctx.read_untouched(key) {
        Some(handle) => ctx.db_ref().value(handle).type_of().name(),
        None => "none",
    };
    ctx.reply.status(name);
    Ok(Outcome::Done)
}

fn touch(ctx: &mut Ctx<'_>) -> CmdResult {
    let mut count = 0;
    let mut keys = KeyBatch::new(1, 1);
    while let Some((_, key)) = keys.next(ctx) {
        count += i64::from(ctx.read(key).is_some());
    }
    ctx.reply.int(count);
    Ok(Outcome::Done)
}

fn rename(ctx: &mut Ctx<'_>) -> CmdResult {
    rename_key(ctx, true)?;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn renamenx(ctx: &mut Ctx<'_>) -> CmdResult {
    let renamed = rename_key(ctx, false)?;
    ctx.reply.int(i64::from(renamed));
    Ok(Outcome::Done)
}

/// Renames a key; a key in the way is overwritten or stops it. Tells whether the name of a key changed.
fn rename_key(ctx: &mut Ctx<'_>, overwrite: bool) -> Result<bool, CmdError> {
    let (from, to) = (ctx.key(1), ctx.key(2));
    if ctx.write(from).is_none() {
        return Err(CmdError::NoSuchKey);
    }
    if from.bytes == to.bytes {
        return Ok(false);
    }
    let replaced = ctx.write(to);
    let before = ctx.type_to_tell(replaced);
    if replaced.is_some() {
        if !overwrite {
            return Ok(false);
        }
        ctx.remove(to);
    }
    let db = *ctx.db_index;
    carry_over(ctx, from, db, to);
    ctx.notify(EventClass::Generic, "rename_from", from.bytes);
    ctx.notify(EventClass::Generic, "rename_to", to.bytes);
    ctx.tell_overwritten(db, to, before);
    ctx.changed(1);
    Ok(true)
}

/// Takes a key of the selected database out of it and puts its value, deadline and last access elsewhere.
fn carry_over(ctx: &mut Ctx<'_>, from: Key<'_>, to_db: u32, to: Key<'_>) {
    ctx.signal(from);
    let (value, deadline, access) = ctx.db().detach(from.bytes, from.hash).expect("the key was looked up");
    put(ctx, to_db, to, value, deadline, access);
}

/// Makes a new key in a database.
fn put(ctx: &mut Ctx<'_>, db: u32, key: Key<'_>, value: NewValue<'_>, deadline: Option<u64>, access: u32) {
    let deadline = deadline.map_or(Deadline::Clear, Deadline::At);
    ctx.dbs().at_mut(db as usize).set(key.bytes, key.hash, None, value, deadline, access);
    ctx.signal_in(db, key.bytes);
    ctx.notify_in(db, EventClass::New, "new", key.bytes);
}

fn move_key(ctx: &mut Ctx<'_>) -> CmdResult {
    if ctx.conf.cluster_enabled {
        return Err(CmdError::coded("ERR MOVE is not allowed in cluster mode"));
    }
    let to_db = ctx.db_number(2)?;
    let from_db = *ctx.db_index;
    if to_db == from_db {
        return Err(SAME_OBJECT);
    }
    let key = ctx.key(1);
    if ctx.write(key).is_none() || ctx.peek_in(to_db, key).is_some() {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    }
    carry_over(ctx, key, to_db, key);
    ctx.notify(EventClass::Generic, "move_from", key.bytes);
    ctx.notify_in(to_db, EventClass::Generic, "move_to", key.bytes);
    ctx.changed(1);
    ctx.reply.int(1);
    Ok(Outcome::Done)
}

const SAME_OBJECT: CmdError = CmdError::coded("ERR source and destination objects are the same");

/// Redis has vector sets from a module that does not copy, and would not follow.
fn refuse_vectors(ctx: &Ctx<'_>, handle: Handle) -> Result<(), CmdError> {
    match ctx.db_ref().value(handle).type_of() {
        Type::Vector => Err(CmdError::coded("ERR not supported for this module key")),
        _ => Ok(()),
    }
}

fn copy(ctx: &mut Ctx<'_>) -> CmdResult {
    let mut replace = false;
    let mut to_db = *ctx.db_index;
    let mut index = 3;
    while index < ctx.args.len() {
        if ctx.args.is(index, "replace") {
            replace = true;
        } else if ctx.args.is(index, "db") && index + 1 < ctx.args.len() {
            index += 1;
            to_db = ctx.db_number(index)?;
        } else {
            return Err(CmdError::Syntax);
        }
        index += 1;
    }
    if ctx.conf.cluster_enabled && (*ctx.db_index != 0 || to_db != 0) {
        return Err(CmdError::coded("ERR Copying to another database is not allowed in cluster mode"));
    }
    let (from, to) = (ctx.key(1), ctx.key(2));
    if to_db == *ctx.db_index && from.bytes == to.bytes {
        return Err(SAME_OBJECT);
    }
    let Some(handle) = ctx.read(from) else {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    };
    let replaced = ctx.peek_in(to_db, to);
    let before = ctx.type_to_tell_in(to_db, replaced);
    if replaced.is_some() {
        if !replace {
            ctx.reply.int(0);
            return Ok(Outcome::Done);
        }
        refuse_vectors(ctx, handle)?;
        ctx.dbs().at_mut(to_db as usize).remove(to.bytes, to.hash);
    }
    refuse_vectors(ctx, handle)?;
    let (value, deadline) = (ctx.db().copied(handle), ctx.db().deadline(handle));
    let access = ctx.clock.fresh();
    put(ctx, to_db, to, value, deadline, access);
    ctx.notify_in(to_db, EventClass::Generic, "copy_to", to.bytes);
    ctx.tell_overwritten(to_db, to, before);
    ctx.changed(1);
    ctx.reply.int(1);
    Ok(Outcome::Done)
}
