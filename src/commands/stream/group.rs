//! XGROUP: groups of consumers come, go, and are set to another place of the stream.

use super::{INVALID_ID, id_at};
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome, quoted};
use crate::keyspace::types::Stream;
use crate::keyspace::types::stream::{Group, Log, StreamId};
use crate::keyspace::{EventClass, Taken};
use crate::structures::slab::Handle;

const NO_KEY: CmdError = CmdError::coded(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to \
     create an empty stream automatically.",
);

/// What CREATE and SETID share.
struct Options {
    makes_stream: bool,
    entries_read: Option<u64>,
}

fn parse(ctx: &Ctx<'_>, creates: bool) -> Result<Options, CmdError> {
    let mut options = Options { makes_stream: false, entries_read: None };
    let mut index = 5;
    while index < ctx.args.len() {
        if creates && ctx.args.is(index, "mkstream") {
            options.makes_stream = true;
            index += 1;
        } else if ctx.args.is(index, "entriesread") && index + 1 < ctx.args.len() {
            options.entries_read = match ctx.int(index + 1)? {
                -1 => None,
                read => Some(
                    u64::try_from(read)
                        .map_err(|_| CmdError::coded("ERR value for ENTRIESREAD must be positive or -1"))?,
                ),
            };
            index += 2;
        } else {
            return Err(wrong_form(ctx));
        }
    }
    Ok(options)
}

/// How many entries a group has read that is said to have read so many: not more than were ever added. What was propagated is
/// taken as it is.
fn read_of(ctx: &Ctx<'_>, said: Option<u64>, log: &Log) -> Option<u64> {
    if ctx.replays() { said } else { said.map(|read| read.min(log.entries_added)) }
}

fn wrong_form(ctx: &Ctx<'_>) -> CmdError {
    CmdError::err(format!(
        "unknown subcommand or wrong number of arguments for '{}'. Try XGROUP HELP.",
        quoted(ctx.args.at(1))
    ))
}

pub(super) fn create(ctx: &mut Ctx<'_>) -> CmdResult {
    let options = parse(ctx, true)?;
    let (key, name) = (ctx.key(2), ctx.args.at(3));
    let found = ctx.write(key);
    let stream = match found {
        Some(handle) => Some(ctx.db_ref().value(handle).stream()?),
        None if options.makes_stream => None,
        None => return Err(NO_KEY),
    };
    // An option may not stand twice.
    if ctx.args.len() > 8 {
        return Err(wrong_form(ctx));
    }
    let id = match ctx.args.at(4) {
        b"$" => stream.map_or(StreamId::ZERO, |stream| stream.log.last_id),
        _ => id_at(ctx, 4, 0)?,
    };
    let mut stream = match found {
        Some(handle) => ctx.take::<Box<Stream>>(handle)?,
        None => Taken::begin(Box::new(Stream::with(&ctx.conf.tuning))),
    };
    let read = read_of(ctx, options.entries_read, &stream.log);
    let is_added = stream.add_group(name, Group::new(id, read));
    ctx.put(key, stream);
    if !is_added {
        return Err(CmdError::coded("BUSYGROUP Consumer Group name already exists"));
    }
    ctx.changed(1);
    if found.is_none() {
        ctx.notify(EventClass::Silent, "", key.bytes);
    }
    ctx.notify(EventClass::StreamState, "xgroup-create", key.bytes);
    ctx.reply.ok();
    Ok(Outcome::Done)
}

/// The entry of the stream at argument 2, whose group at argument 3 must exist if the command needs it.
fn find(ctx: &mut Ctx<'_>, needs_group: bool) -> Result<Handle, CmdError> {
    let (key, name) = (ctx.key(2), ctx.args.at(3));
    let handle = ctx.write(key).ok_or(NO_KEY)?;
    let stream = ctx.db_ref().value(handle).stream()?;
    if needs_group && stream.group(name).is_none() {
        let text =
            format!("NOGROUP No such consumer group '{}' for key name '{}'", quoted(name), quoted(key.bytes));
        return Err(CmdError::Text(text.into()));
    }
    Ok(handle)
}

/// Changes the group at argument 3.
fn change<R>(ctx: &mut Ctx<'_>, handle: Handle, f: impl FnOnce(&mut Group) -> R) -> Result<R, CmdError> {
    let (key, name) = (ctx.key(2), ctx.args.at(3));
    let mut stream = ctx.take::<Box<Stream>>(handle)?;
    let result = stream.with_group(name, |group, _| f(group)).expect("the group was looked up");
    ctx.put(key, stream);
    Ok(result)
}

pub(super) fn set_id(ctx: &mut Ctx<'_>) -> CmdResult {
    let options = parse(ctx, false)?;
    let handle = find(ctx, true)?;
    if ctx.args.len() > 7 {
        return Err(wrong_form(ctx));
    }
    let id = match ctx.args.at(4) {
        b"$" => ctx.db_ref().value(handle).stream()?.log.last_id,
        text => StreamId::parse_bound(text, 0).ok_or(INVALID_ID)?,
    };
    let read = read_of(ctx, options.entries_read, &ctx.db_ref().value(handle).stream()?.log);
    change(ctx, handle, |group| {
        group.last_id = id;
        group.entries_read = read;
    })?;
    ctx.changed(1);
    ctx.notify(EventClass::StreamState, "xgroup-setid", ctx.args.at(2));
    ctx.reply.ok();
    Ok(Outcome::Done)
}

pub(super) fn destroy(ctx: &mut Ctx<'_>) -> CmdResult {
    let handle = find(ctx, false)?;
    let key = ctx.key(2);
    let mut stream = ctx.take::<Box<Stream>>(handle)?;
    let is_removed = stream.remove_group(ctx.args.at(3));
    // Those who wait for entries of the group are told that it is gone: the stream is put back, and they look.
    ctx.put(key, stream);
    if is_removed {
        ctx.changed(1);
        ctx.notify(EventClass::StreamState, "xgroup-destroy", key.bytes);
    }
    ctx.reply.int(i64::from(is_removed));
    Ok(Outcome::Done)
}

pub(super) fn create_consumer(ctx: &mut Ctx<'_>) -> CmdResult {
    let handle = find(ctx, true)?;
    let (name, now_ms) = (ctx.args.at(4), ctx.now.unix_ms());
    let is_new = change(ctx, handle, |group| {
        let is_new = group.find(name).is_none();
        if is_new {
            group.add_consumer(name, now_ms);
        }
        is_new
    })?;
    if is_new {
        ctx.changed(1);
        ctx.notify(EventClass::StreamState, "xgroup-createconsumer", ctx.args.at(2));
    }
    ctx.reply.int(i64::from(is_new));
    Ok(Outcome::Done)
}

pub(super) fn delete_consumer(ctx: &mut Ctx<'_>) -> CmdResult {
    let handle = find(ctx, true)?;
    let name = ctx.args.at(4);
    let pending = change(ctx, handle, |group| group.remove_consumer(name))?;
    if pending.is_some() {
        ctx.changed(1);
        ctx.notify(EventClass::StreamState, "xgroup-delconsumer", ctx.args.at(2));
    }
    ctx.reply.int(pending.unwrap_or(0) as i64);
    Ok(Outcome::Done)
}
