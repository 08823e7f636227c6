//! Fields read or written together with their deadline: HGETDEL, HGETEX, HSETEX.

use super::arguments::{self, Of, Options};
use super::expire::{NO_COUNT, fields_at, put_without, removes_at_once};
use super::{is_alive, put_after_removal, remove_all_expired, reply_field_value, reply_values, write};
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdResult, Outcome};
use crate::keyspace::EventClass;
use crate::keyspace::types::Hash;
use crate::keyspace::types::hash::FieldDeadline;
use crate::structures::slab::Handle;

pub(super) fn hgetdel(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    let key = ctx.key(1);
    let found = write(ctx, key)?;
    let fields = fields_at(ctx, 2, NO_COUNT)?;
    let found =
        found.and_then(|handle| remove_all_expired(ctx, key, handle, &super::names(ctx, fields.clone())));
    let Some(handle) = found else {
        reply_values(ctx, found, fields);
        return Ok(Outcome::Done);
    };
    let mut hash = ctx.take::<Hash>(handle)?;
    let now_ms = ctx.judged_ms();
    let mut removed = 0;
    ctx.reply.array(fields.len());
    // One after the other: a field that is named twice is gone the second time.
    for name in fields.clone().map(|index| args.at(index)) {
        match hash.view().get(name).filter(|field| is_alive(field, now_ms)) {
            Some(field) => reply_field_value(&mut ctx.reply, field.value),
            None => ctx.reply.null(),
        }
        removed += usize::from(hash.remove(name));
    }
    if removed == 0 {
        ctx.put(key, hash);
        return Ok(Outcome::Done);
    }
    put_after_removal(ctx, key, hash);
    ctx.changed(removed as u64);
    let mut frame = vec![&b"HDEL"[..], key.bytes];
    frame.extend(fields.map(|index| args.at(index)));
    ctx.propagate_as(&frame);
    Ok(Outcome::Done)
}

/// What HGETEX does to the deadlines.
enum Change {
    Nothing,
    Persist,
    At(u64),
}

pub(super) fn hgetex(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    let key = ctx.key(1);
    let found = write(ctx, key)?;
    let options = arguments::options(ctx, Of::Hgetex)?;
    let change = match options.deadline {
        Some((_, ms)) => Change::At(ms),
        None if options.persist => Change::Persist,
        None => Change::Nothing,
    };
    let fields = options.fields;
    let found =
        found.and_then(|handle| remove_all_expired(ctx, key, handle, &super::names(ctx, fields.clone())));
    reply_values(ctx, found, fields.clone());
    let Some(handle) = found else { return Ok(Outcome::Done) };
    if let Change::Nothing = change {
        return Ok(Outcome::Done);
    }
    let now_ms = ctx.judged_ms();
    let is_past = matches!(change, Change::At(deadline) if removes_at_once(ctx, deadline));
    let mut hash = ctx.take::<Hash>(handle)?;
    hash.allow_deadlines();
    let mut gone: Vec<&[u8]> = Vec::new();
    let mut changes = 0;
    for name in fields.clone().map(|index| args.at(index)) {
        let field = hash.view().get(name).filter(|field| is_alive(field, now_ms));
        let Some(old) = field.map(|field| field.deadline) else { continue };
        match change {
            Change::At(_) if is_past => {
                hash.remove(name);
                gone.push(name);
            }
            Change::At(deadline) => {
                hash.set_deadline(name, Some(deadline));
                changes += 1;
            }
            _ if old.is_some() => {
                hash.set_deadline(name, None);
                changes += 1;
            }
            _ => {}
        }
    }
    ctx.changed((changes + gone.len()) as u64);
    put_without(ctx, key, hash, &gone);
    if changes == 0 {
        return Ok(Outcome::Done);
    }
    let count = fields.len().to_string();
    let deadline;
    let mut frame = match change {
        Change::At(ms) => {
            ctx.notify(EventClass::Hash, "hexpire", key.bytes);
            deadline = ms.to_string();
            vec![&b"HPEXPIREAT"[..], key.bytes, deadline.as_bytes()]
        }
        _ => {
            ctx.notify(EventClass::Hash, "hpersist", key.bytes);
            vec![&b"HPERSIST"[..], key.bytes]
        }
    };
    frame.extend([&b"FIELDS"[..], count.as_bytes()]);
    frame.extend(fields.map(|index| args.at(index)));
    ctx.propagate_as(&frame);
    Ok(Outcome::Done)
}

/// Whether all of the fields are there, or none of them, and which expired ones were met until that was known.
fn are_fields_there<'a>(
    ctx: &Ctx<'_>,
    found: Option<Handle>,
    mut names: impl Iterator<Item = &'a [u8]>,
    wanted: bool,
) -> (bool, Vec<&'a [u8]>) {
    let now_ms = ctx.judged_ms();
    let mut expired = Vec::new();
    let hash = found.and_then(|handle| ctx.db_ref().value(handle).hash().ok());
    let fits = names.all(|name| {
        let field = hash.and_then(|hash| hash.get(name));
        let lives = field.is_some_and(|field| is_alive(&field, now_ms));
        if field.is_some() && !lives && !ctx.keeps_expired() {
            expired.push(name);
        }
        lives == wanted
    });
    (fits, expired)
}

pub(super) fn hsetex(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    let options = arguments::options(ctx, Of::Hsetex)?;
    let key = ctx.key(1);
    let tuning = &ctx.conf.tuning;
    let names = options.fields.clone().step_by(2);
    let found = write(ctx, key)?;
    if options.key_there.is_some_and(|wanted| wanted != found.is_some()) {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    }
    let mut expired = Vec::new();
    if let Some(wanted) = options.fields_there {
        let names = names.clone().map(|index| args.at(index));
        let (fits, met) = are_fields_there(ctx, found, names, wanted);
        expired = met;
        if !fits {
            if let Some(handle) = found.filter(|_| !expired.is_empty()) {
                ctx.expire_fields(key, handle, Some(&expired));
            }
            ctx.reply.int(0);
            return Ok(Outcome::Done);
        }
    }
    let deadline = match options.deadline {
        Some((_, ms)) => FieldDeadline::At(ms),
        None if options.keep => FieldDeadline::Keep,
        None => FieldDeadline::Clear,
    };
    let is_past = matches!(deadline, FieldDeadline::At(ms) if removes_at_once(ctx, ms));
    let mut hash = ctx.take_or_new::<Hash>(key)?;
    // The key stays, even when these were all that it had.
    expired.retain(|name| hash.remove(name));
    ctx.tell_expired_fields(key, &expired.iter().map(|name| name.to_vec()).collect::<Vec<_>>());
    super::make_room(ctx, &mut hash, options.fields.clone());
    if let FieldDeadline::At(_) = deadline {
        hash.allow_deadlines();
    }
    let mut gone: Vec<&[u8]> = Vec::new();
    for index in names {
        let (name, value) = (args.at(index), args.at(index + 1));
        if is_past {
            // As in Redis it is written first, and what grows too large for a listpack stays a table.
            hash.set(name, value, FieldDeadline::Keep, tuning);
            hash.remove(name);
            gone.push(name);
        } else {
            hash.set(name, value, deadline, tuning);
        }
    }
    if is_past {
        if found.is_none() {
            ctx.notify(EventClass::New, "new", key.bytes);
        }
        ctx.notify(EventClass::Hash, "hset", key.bytes);
        put_without(ctx, key, hash, &gone);
    } else {
        ctx.put(key, hash);
        ctx.notify(EventClass::Hash, "hset", key.bytes);
    }
    ctx.changed(options.fields.len() as u64 / 2);
    if options.deadline.is_some() && !is_past {
        ctx.notify(EventClass::Hash, "hexpire", key.bytes);
    }
    // Fields that are gone already were told of as removals.
    if !is_past {
        propagate_hsetex(ctx, &options);
    }
    ctx.reply.int(1);
    Ok(Outcome::Done)
}

/// Propagates HSETEX in words of Redis 8.0: with the deadline as a point in time, without the conditions on the key, which hold,
/// and FIELDS last.
fn propagate_hsetex(ctx: &mut Ctx<'_>, options: &Options) {
    let args = ctx.args;
    let is_last = options.fields.end == args.len();
    if options.deadline.is_none() && options.key_there.is_none() && is_last {
        return;
    }
    let block = options.fields.start - 2..options.fields.end;
    let is_condition = |index: usize| index >= 2 && matches!(args.at(index), b"NX" | b"XX");
    let words = (0..args.len()).filter(|&index| !block.contains(&index) && !is_condition(index));
    let ms = options.deadline.map_or(String::new(), |(_, ms)| ms.to_string());
    let frame: Vec<&[u8]> = words
        .chain(block.clone())
        .map(|index| match options.deadline {
            Some((at, _)) if index == at => b"PXAT",
            Some((at, _)) if index == at + 1 => ms.as_bytes(),
            _ => args.at(index),
        })
        .collect();
    ctx.propagate_as(&frame);
}
