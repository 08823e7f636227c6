//! Hashes: fields, numbers in fields ([`count`]), random fields ([`random`]), deadlines of fields ([`expire`], [`with_deadline`]).
//!
//! A field whose deadline has passed is seen by nobody but those who [see what has expired](Ctx::sees_expired). The wheel removes it,
//! or, where the wheel is held, the first command that asks for it by its name.

mod arguments;
mod count;
mod expire;
mod random;
mod rows;
mod with_deadline;

use super::reply_element;
use super::scan::{Of, ScanOptions, cursor_at};
use crate::base::number::I64_BYTES_MAX;
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::db::is_past;
use crate::keyspace::types::hash::{Field, FieldDeadline, FieldValue};
use crate::keyspace::types::{Hash, HashRef};
use crate::keyspace::{EventClass, Taken};
use crate::resp::Reply;
use crate::structures::slab::Handle;
pub(in crate::commands) use rows::COMMANDS;

/// Whether a field may still be seen by whom judges by this time: see [`Ctx::judged_ms`].
fn is_alive(field: &Field<'_>, now_ms: u64) -> bool {
    field.deadline.is_none_or(|deadline| !is_past(deadline, now_ms))
}

fn reply_field_value(reply: &mut Reply<'_>, value: FieldValue<'_>) {
    match value {
        FieldValue::Element(element) => reply_element(reply, element),
        FieldValue::Shared(bytes, from) => reply.bulk_shared(&bytes.slice(from..)),
    }
}

/// The hash at a key, for a command that reads it; its type is checked.
fn read(ctx: &mut Ctx<'_>, key: Key<'_>) -> Result<Option<Handle>, CmdError> {
    let found = ctx.read(key);
    if let Some(handle) = found {
        ctx.db_ref().value(handle).hash()?;
    }
    Ok(found)
}

/// As [`read`], for a command that changes it.
fn write(ctx: &mut Ctx<'_>, key: Key<'_>) -> Result<Option<Handle>, CmdError> {
    let found = ctx.write(key);
    if let Some(handle) = found {
        ctx.db_ref().value(handle).hash()?;
    }
    Ok(found)
}

/// Removes a field if it has expired. Where the hash is then: none when it went with its last field.
fn remove_expired(ctx: &mut Ctx<'_>, key: Key<'_>, handle: Handle, name: &[u8]) -> Option<Handle> {
    remove_all_expired(ctx, key, handle, &[name])
}

/// Removes those of the named fields that have expired. Where the hash is then: none when it went with its last field.
fn remove_all_expired(ctx: &mut Ctx<'_>, key: Key<'_>, handle: Handle, names: &[&[u8]]) -> Option<Handle> {
    let now_ms = ctx.judged_ms();
    let hash = ctx.db_ref().value(handle).hash().ok()?;
    if hash.next_deadline().is_none_or(|deadline| !is_past(deadline, now_ms)) || ctx.keeps_expired() {
        return Some(handle);
    }
    let is_expired = |name: &&&[u8]| hash.get(name).is_some_and(|field| !is_alive(&field, now_ms));
    let expired: Vec<&[u8]> = names.iter().filter(is_expired).copied().collect();
    if expired.is_empty() { Some(handle) } else { ctx.expire_fields(key, handle, Some(&expired)) }
}

/// The arguments that name fields.
fn names<'a>(ctx: &Ctx<'a>, fields: impl Iterator<Item = usize>) -> Vec<&'a [u8]> {
    fields.map(|index| ctx.args.at(index)).collect()
}

/// Puts back a hash from which fields were removed, and tells it.
fn put_after_removal(ctx: &mut Ctx<'_>, key: Key<'_>, hash: Taken<Hash>) {
    let is_there = ctx.put(key, hash);
    ctx.notify(EventClass::Hash, "hdel", key.bytes);
    if !is_there {
        ctx.notify(EventClass::Generic, "del", key.bytes);
    }
}

/// Makes room for the fields and values that are these arguments.
fn make_room(ctx: &Ctx<'_>, hash: &mut Hash, pairs: std::ops::Range<usize>) {
    let (mut longest, mut sum, mut count) = (0, 0, 0);
    for text in pairs.map(|index| ctx.args.at(index)) {
        longest = longest.max(text.len());
        sum += text.len();
        count += 1;
    }
    hash.make_room(count / 2, longest, sum, &ctx.conf.tuning);
}

/// Writes the pairs of the request; counts the new fields.
fn set_pairs(ctx: &mut Ctx<'_>) -> Result<i64, CmdError> {
    let count = ctx.args.len() - 2;
    if count % 2 == 1 {
        return Err(CmdError::Arity(ctx.row.full_name));
    }
    let key = ctx.key(1);
    let tuning = &ctx.conf.tuning;
    let mut hash = ctx.take_or_new::<Hash>(key)?;
    make_room(ctx, &mut hash, 2..ctx.args.len());
    let mut created = 0;
    for index in (2..ctx.args.len()).step_by(2) {
        let (field, value) = (ctx.args.at(index), ctx.args.at(index + 1));
        created += i64::from(hash.set(field, value, FieldDeadline::Clear, tuning));
    }
    ctx.put(key, hash);
    ctx.changed(count as u64 / 2);
    ctx.notify(EventClass::Hash, "hset", key.bytes);
    Ok(created)
}

fn hset(ctx: &mut Ctx<'_>) -> CmdResult {
    let created = set_pairs(ctx)?;
    ctx.reply.int(created);
    Ok(Outcome::Done)
}

fn hmset(ctx: &mut Ctx<'_>) -> CmdResult {
    set_pairs(ctx)?;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn hsetnx(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let (field, value) = (ctx.args.at(2), ctx.args.at(3));
    let tuning = &ctx.conf.tuning;
    if let Some(handle) = write(ctx, key)?
        && let Some(handle) = remove_expired(ctx, key, handle, field)
        && ctx.db_ref().value(handle).hash()?.get(field).is_some()
    {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    }
    let mut hash = ctx.take_or_new::<Hash>(key)?;
    make_room(ctx, &mut hash, 2..ctx.args.len());
    hash.set(field, value, FieldDeadline::Clear, tuning);
    ctx.put(key, hash);
    ctx.changed(1);
    ctx.notify(EventClass::Hash, "hset", key.bytes);
    ctx.reply.int(1);
    Ok(Outcome::Done)
}

/// The entry of the hash if it has the field at argument 2, alive.
fn find_field(ctx: &mut Ctx<'_>) -> Result<Option<Handle>, CmdError> {
    let (key, name) = (ctx.key(1), ctx.args.at(2));
    let Some(handle) = read(ctx, key)? else { return Ok(None) };
    let now_ms = ctx.judged_ms();
    match ctx.db_ref().value(handle).hash()?.get(name) {
        Some(field) if is_alive(&field, now_ms) => Ok(Some(handle)),
        Some(_) => {
            remove_expired(ctx, key, handle, name);
            Ok(None)
        }
        None => Ok(None),
    }
}

fn hget(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let name = ctx.args.at(2);
    let Some(handle) = ctx.read(key) else {
        ctx.reply.null();
        return Ok(Outcome::Done);
    };
    let now_ms = ctx.now.unix_ms();
    let open = ctx.open();
    match open.db.value(handle).hash()?.get(name) {
        Some(field) if is_alive(&field, now_ms) => reply_field_value(open.reply, field.value),
        None => open.reply.null(),
        Some(_) => return hget_expired(ctx, key, handle, name),
    }
    Ok(Outcome::Done)
}

/// HGET of a field whose deadline has passed.
#[cold]
fn hget_expired(ctx: &mut Ctx<'_>, key: Key<'_>, handle: Handle, name: &[u8]) -> CmdResult {
    let sees_it = ctx.sees_expired();
    let open = ctx.open();
    match open.db.value(handle).hash()?.get(name) {
        Some(field) if sees_it => reply_field_value(open.reply, field.value),
        _ => {
            open.reply.null();
            remove_expired(ctx, key, handle, name);
        }
    }
    Ok(Outcome::Done)
}

fn hmget(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let args = ctx.args;
    let found = match read(ctx, key)? {
        Some(handle) => remove_all_expired(ctx, key, handle, &names(ctx, 2..args.len())),
        None => None,
    };
    reply_values(ctx, found, 2..args.len());
    Ok(Outcome::Done)
}

/// Replies with an array of the values of fields, or nulls.
fn reply_values(ctx: &mut Ctx<'_>, found: Option<Handle>, names: std::ops::Range<usize>) {
    let args = ctx.args;
    let now_ms = ctx.judged_ms();
    let open = ctx.open();
    let hash = found.and_then(|handle| open.db.value(handle).hash().ok());
    open.reply.array(names.len());
    for index in names {
        match hash.and_then(|hash| hash.get(args.at(index))).filter(|field| is_alive(field, now_ms)) {
            Some(field) => reply_field_value(open.reply, field.value),
            None => open.reply.null(),
        }
    }
}

fn hexists(ctx: &mut Ctx<'_>) -> CmdResult {
    let found = find_field(ctx)?;
    ctx.reply.int(i64::from(found.is_some()));
    Ok(Outcome::Done)
}

fn hstrlen(ctx: &mut Ctx<'_>) -> CmdResult {
    let name = ctx.args.at(2);
    let len = match find_field(ctx)? {
        Some(handle) => ctx.db_ref().value(handle).hash()?.get(name).map_or(0, |field| field.value.len()),
        None => 0,
    };
    ctx.reply.int(len as i64);
    Ok(Outcome::Done)
}

fn hlen(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let len = match ctx.read(key) {
        Some(handle) => ctx.db_ref().value(handle).hash()?.len(),
        None => 0,
    };
    ctx.reply.int(len as i64);
    Ok(Outcome::Done)
}

fn hdel(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let Some(handle) = ctx.write(key) else {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    };
    let mut hash = ctx.take::<Hash>(handle)?;
    let removed = ctx.args.iter_from(2).filter(|field| hash.remove(field)).count();
    if removed > 0 {
        put_after_removal(ctx, key, hash);
        ctx.changed(removed as u64);
    } else {
        ctx.put(key, hash);
    }
    ctx.reply.int(removed as i64);
    Ok(Outcome::Done)
}

/// What of each field is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Names,
    Values,
    Both,
}

fn hgetall(ctx: &mut Ctx<'_>) -> CmdResult {
    reply_all(ctx, Wanted::Both)
}

fn hkeys(ctx: &mut Ctx<'_>) -> CmdResult {
    reply_all(ctx, Wanted::Names)
}

fn hvals(ctx: &mut Ctx<'_>) -> CmdResult {
    reply_all(ctx, Wanted::Values)
}

fn reply_all(ctx: &mut Ctx<'_>, wanted: Wanted) -> CmdResult {
    let key = ctx.key(1);
    let now_ms = ctx.judged_ms();
    let Some(handle) = ctx.read(key) else {
        if wanted == Wanted::Both {
            ctx.reply.map(0)
        } else {
            ctx.reply.array(0)
        }
        return Ok(Outcome::Done);
    };
    let open = ctx.open();
    let hash = open.db.value(handle).hash()?;
    let may_be_expired = hash.next_deadline().is_some_and(|deadline| is_past(deadline, now_ms));
    let is_seen = |field: &Field<'_>| !may_be_expired || is_alive(field, now_ms);
    let len = if may_be_expired { hash.iter().filter(is_seen).count() } else { hash.len() };
    if wanted == Wanted::Both {
        open.reply.map(len)
    } else {
        open.reply.array(len)
    }
    for field in hash.iter().filter(is_seen) {
        if wanted != Wanted::Values {
            reply_element(open.reply, field.name);
        }
        if wanted != Wanted::Names {
            reply_field_value(open.reply, field.value);
        }
    }
    Ok(Outcome::Done)
}

fn hscan(ctx: &mut Ctx<'_>) -> CmdResult {
    let cursor = cursor_at(ctx, 2)?;
    let now_ms = ctx.judged_ms();
    let Some(handle) = read(ctx, ctx.key(1))? else {
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let options = ScanOptions::parse(ctx, 3, Of::Hash)?;
    let open = ctx.open();
    let mut met: Vec<Field<'_>> = Vec::new();
    let mut next = 0;
    match open.db.value(handle).hash()? {
        HashRef::Table(table) => {
            next = cursor;
            for _ in 0..=options.count.saturating_mul(10) {
                next = table.scan(next, |field| met.push(field));
                if next == 0 || met.len() >= options.count {
                    break;
                }
            }
        }
        small => met.extend(small.iter()),
    }
    let mut buf = [0; I64_BYTES_MAX];
    met.retain(|field| is_alive(field, now_ms) && options.pattern.matches(field.name.bytes(&mut buf)));
    open.reply.array(2);
    open.reply.bulk(next.to_string().as_bytes());
    open.reply.array(met.len() * if options.names_only { 1 } else { 2 });
    for field in met {
        reply_element(open.reply, field.name);
        if !options.names_only {
            reply_field_value(open.reply, field.value);
        }
    }
    Ok(Outcome::Done)
}
