//! Fields read or written together with their deadline: HGETDEL, HGETEX, HSETEX.

use super::expire::{
    MILLISECONDS, NO_COUNT, SECONDS, UNIX_MILLISECONDS, UNIX_SECONDS, Unit, deadline_at, fields_at,
    put_without, removes_at_once,
};
use super::{bury_all, is_alive, put_less, reply_field_value, reply_values, write};
use crate::base::number::parse_i64;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome, quoted};
use crate::keyspace::EventClass;
use crate::keyspace::types::Hash;
use crate::keyspace::types::hash::FieldDeadline;
use crate::structures::slab::Handle;

const UNITS: [(&str, Unit); 4] =
    [("ex", SECONDS), ("px", MILLISECONDS), ("exat", UNIX_SECONDS), ("pxat", UNIX_MILLISECONDS)];

/// The unit that the argument at `index` names, when a time follows.
fn unit_at(ctx: &Ctx<'_>, index: usize) -> Option<Unit> {
    let unit = UNITS.into_iter().find(|(word, _)| ctx.args.is(index, word))?.1;
    (index + 1 < ctx.args.len()).then_some(unit)
}

pub(super) fn hgetdel(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    let key = ctx.key(1);
    let found = write(ctx, key)?;
    let fields = fields_at(ctx, 2, NO_COUNT)?;
    let found = found.and_then(|handle| bury_all(ctx, key, handle, &super::names(ctx, fields.clone())));
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
    put_less(ctx, key, hash);
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
    let (change, at) = match unit_at(ctx, 2) {
        Some(unit) => (Change::At(deadline_at(ctx, 3, unit)?), 4),
        None if args.is(2, "persist") => (Change::Persist, 3),
        None => (Change::Nothing, 2),
    };
    if at + 1 >= args.len() {
        return Err(CmdError::Arity(ctx.row.full_name));
    }
    let fields = fields_at(ctx, at, NO_COUNT)?;
    let found = found.and_then(|handle| bury_all(ctx, key, handle, &super::names(ctx, fields.clone())));
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

/// The options of HSETEX.
#[derive(Default)]
struct SetOptions {
    /// FNX (false) or FXX (true): whether the fields have to be there.
    fields_there: Option<bool>,
    /// NX (false) or XX (true): whether the key has to be there.
    key_there: Option<bool>,
    keep: bool,
    /// Where the time is, how it is to be read, and what it means.
    deadline: Option<(usize, u64)>,
    /// The first field.
    first: usize,
    /// Fields.
    count: usize,
}

fn set_options(ctx: &Ctx<'_>) -> Result<SetOptions, CmdError> {
    const ONE_CONDITION: CmdError = CmdError::coded("ERR Only one of FXX or FNX arguments can be specified");
    const ONE_KEY_CONDITION: CmdError =
        CmdError::coded("ERR Only one of NX or XX arguments can be specified");
    const ONE_TIME: CmdError =
        CmdError::coded("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
    let args = ctx.args;
    let mut options = SetOptions::default();
    let mut index = 2;
    while index < args.len() {
        let is = |word: &str| args.is(index, word);
        if is("fields") {
            if args.len() < index + 4 {
                return Err(CmdError::Arity(ctx.row.full_name));
            }
            let count =
                args.get(index + 1).and_then(parse_i64).filter(|&n| (1..=i64::from(i32::MAX)).contains(&n));
            let count = count.ok_or(CmdError::coded("ERR invalid number of fields"))? as usize;
            options.first = index + 2;
            options.count = count;
            if args.len() - options.first != 2 * count {
                return Err(CmdError::Arity(ctx.row.full_name));
            }
            return Ok(options);
        } else if is("fnx") || is("fxx") {
            if options.fields_there.is_some() {
                return Err(ONE_CONDITION);
            }
            options.fields_there = Some(is("fxx"));
        } else if matches!(args.at(index), b"NX" | b"XX") {
            // Valkey's; Redis refuses the words, and its tests look for that in small letters.
            if options.key_there.is_some() {
                return Err(ONE_KEY_CONDITION);
            }
            options.key_there = Some(is("xx"));
        } else if is("keepttl") {
            if options.keep || options.deadline.is_some() {
                return Err(ONE_TIME);
            }
            options.keep = true;
        } else if let Some((_, unit)) = UNITS.into_iter().find(|(word, _)| is(word)) {
            if options.keep || options.deadline.is_some() {
                return Err(ONE_TIME);
            }
            if index + 1 >= args.len() {
                return Err(CmdError::coded("ERR missing expire time"));
            }
            options.deadline = Some((index, deadline_at(ctx, index + 1, unit)?));
            index += 1;
        } else {
            return Err(CmdError::err(format!("unknown argument: {}", quoted(args.at(index)))));
        }
        index += 1;
    }
    Err(CmdError::coded("ERR missing FIELDS argument"))
}

/// Whether all of the fields are there, or none of them, and which dead ones were met until that was known.
fn are_fields_there<'a>(
    ctx: &Ctx<'_>,
    found: Option<Handle>,
    mut names: impl Iterator<Item = &'a [u8]>,
    wanted: bool,
) -> (bool, Vec<&'a [u8]>) {
    let now_ms = ctx.judged_ms();
    let mut dead = Vec::new();
    let hash = found.and_then(|handle| ctx.db_ref().value(handle).hash().ok());
    let fits = names.all(|name| {
        let field = hash.and_then(|hash| hash.get(name));
        let lives = field.is_some_and(|field| is_alive(&field, now_ms));
        if field.is_some() && !lives && !ctx.keeps_the_dead() {
            dead.push(name);
        }
        lives == wanted
    });
    (fits, dead)
}

pub(super) fn hsetex(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    let options = set_options(ctx)?;
    let key = ctx.key(1);
    let tuning = &ctx.conf.tuning;
    let names = (options.first..args.len()).step_by(2);
    let found = write(ctx, key)?;
    if options.key_there.is_some_and(|wanted| wanted != found.is_some()) {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    }
    let mut dead = Vec::new();
    if let Some(wanted) = options.fields_there {
        let names = names.clone().map(|index| args.at(index));
        let (fits, met) = are_fields_there(ctx, found, names, wanted);
        dead = met;
        if !fits {
            if let Some(handle) = found.filter(|_| !dead.is_empty()) {
                ctx.expire_fields(key, handle, Some(&dead));
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
    dead.retain(|name| hash.remove(name));
    ctx.tell_expired_fields(key, &dead.iter().map(|name| name.to_vec()).collect::<Vec<_>>());
    super::make_room(ctx, &mut hash, options.first);
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
    ctx.changed(options.count as u64);
    if options.deadline.is_some() && !is_past {
        ctx.notify(EventClass::Hash, "hexpire", key.bytes);
    }
    // Fields that are gone already were told of as removals.
    if (options.deadline.is_some() || options.key_there.is_some()) && !is_past {
        // Without the conditions on the key: they hold, and a follower of Redis 8.0 would refuse them.
        let words = (0..args.len())
            .filter(|&index| index < 2 || index >= options.first || !matches!(args.at(index), b"NX" | b"XX"));
        let ms = options.deadline.map_or(String::new(), |(_, ms)| ms.to_string());
        let frame: Vec<&[u8]> = words
            .map(|index| match options.deadline {
                Some((at, _)) if index == at => b"PXAT",
                Some((at, _)) if index == at + 1 => ms.as_bytes(),
                _ => args.at(index),
            })
            .collect();
        ctx.propagate_as(&frame);
    }
    ctx.reply.int(1);
    Ok(Outcome::Done)
}
