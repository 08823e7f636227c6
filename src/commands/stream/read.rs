//! Reading several streams, perhaps waiting for them: XREAD, XREADGROUP.
//!
//! First it is found out which streams have something, then the reply is written, for its header counts them. A wait for
//! what comes after the last entry is kept with the id of that entry in the place of `$`, since the command runs again when
//! something has come.

use std::collections::BTreeMap;

use super::range::reply_range;
use super::{INVALID_ID, pending, reply_entry, reply_fields, reply_id};
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome, quoted};
use crate::keyspace::EventClass;
use crate::keyspace::types::Stream;
use crate::keyspace::types::stream::{Group, Log, Pending, StreamId};
use crate::resp::Reply;
use crate::structures::slab::Handle;
use bytes::Bytes;

/// What a request asks for.
struct Options<'a> {
    count: usize,
    /// Until when it waits, as [`Ctx::wait_end_us`] says; none: it does not wait.
    block: Option<Option<u64>>,
    /// Group and consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    /// Nothing becomes pending.
    no_ack: bool,
    /// Entries that were pending for so long are taken over first.
    claim_ms: Option<u64>,
    /// The first key; the first id follows the last key.
    keys_at: usize,
    keys: usize,
}

/// From where a stream is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// Behind this id; for a group, what its consumer has already.
    After(StreamId),
    /// What the group has not read.
    New,
}

pub(super) fn xread(ctx: &mut Ctx<'_>) -> CmdResult {
    read(ctx, false)
}

pub(super) fn xreadgroup(ctx: &mut Ctx<'_>) -> CmdResult {
    read(ctx, true)
}

fn parse<'a>(ctx: &Ctx<'a>, for_group: bool) -> Result<Options<'a>, CmdError> {
    let args = ctx.args;
    let mut options = Options {
        count: usize::MAX,
        block: None,
        group: None,
        no_ack: false,
        claim_ms: None,
        keys_at: 0,
        keys: 0,
    };
    let mut index = 1;
    while index < args.len() {
        let more = args.len() - index - 1;
        if more > 0 && args.is(index, "block") {
            options.block = Some(wait_end(ctx, index + 1)?);
            index += 2;
        } else if more > 0 && args.is(index, "count") {
            let count = ctx.int(index + 1)?;
            options.count = if count > 0 { count as usize } else { usize::MAX };
            index += 2;
        } else if more > 0 && args.is(index, "streams") {
            if !more.is_multiple_of(2) {
                let marks = if for_group { "an ID or '>'" } else { "an ID, '+', or '$'" };
                return Err(CmdError::err(format!(
                    "Unbalanced '{}' list of streams: for each stream key {marks} must be specified.",
                    ctx.row.full_name
                )));
            }
            (options.keys_at, options.keys) = (index + 1, more / 2);
            break;
        } else if more > 1 && args.is(index, "group") {
            if !for_group {
                return Err(only_for_groups("GROUP"));
            }
            options.group = Some((args.at(index + 1), args.at(index + 2)));
            index += 3;
        } else if args.is(index, "noack") {
            if !for_group {
                return Err(only_for_groups("NOACK"));
            }
            options.no_ack = true;
            index += 1;
        } else if more > 0 && args.is(index, "claim") {
            if !for_group {
                return Err(only_for_groups("CLAIM"));
            }
            const NO_NUMBER: CmdError =
                CmdError::coded("ERR min-idle-time is not an integer or out of range");
            const NEGATIVE: CmdError = CmdError::coded("ERR min-idle-time must be a positive integer");
            let ms = ctx.int(index + 1).map_err(|_| NO_NUMBER)?;
            options.claim_ms = Some(u64::try_from(ms).map_err(|_| NEGATIVE)?);
            index += 2;
        } else {
            return Err(CmdError::Syntax);
        }
    }
    if options.keys == 0 {
        return Err(CmdError::Syntax);
    }
    if for_group && options.group.is_none() {
        return Err(CmdError::coded("ERR Missing GROUP option for XREADGROUP"));
    }
    Ok(options)
}

fn only_for_groups(option: &str) -> CmdError {
    CmdError::err(format!("The {option} option is only supported by XREADGROUP. You called XREAD instead."))
}

/// The end of a wait of so many milliseconds.
fn wait_end(ctx: &Ctx<'_>, index: usize) -> Result<Option<u64>, CmdError> {
    let ms = ctx.int(index).map_err(|_| CmdError::coded("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| CmdError::coded("ERR timeout is negative"))?;
    if ms > i64::MAX as u64 - ctx.now.unix_ms() {
        return Err(CmdError::coded("ERR timeout is out of range"));
    }
    Ok(ctx.wait_end_us(ms))
}

fn read(ctx: &mut Ctx<'_>, for_group: bool) -> CmdResult {
    let options = parse(ctx, for_group)?;
    let mut sources = Vec::with_capacity(options.keys);
    // The request as it is kept while it waits, if it must differ.
    let mut kept: Option<Vec<Bytes>> = None;
    for index in options.keys_at..options.keys_at + options.keys {
        let key = ctx.key(index);
        let handle = ctx.read(key);
        let stream = match handle {
            Some(handle) => Some(ctx.db_ref().value(handle).stream()?),
            None => None,
        };
        if let Some((name, _)) = options.group
            && stream.and_then(|stream| stream.group(name)).is_none()
        {
            let text = format!(
                "NOGROUP No such key '{}' or consumer group '{}' in XREADGROUP with GROUP option",
                quoted(key.bytes),
                quoted(name)
            );
            return Err(CmdError::Text(text.into()));
        }
        let id_at = index + options.keys;
        let from = from_at(ctx.args.at(id_at), stream.map(|stream| &stream.log), for_group)?;
        if let (From::After(id), b"$" | b"+") = (from, ctx.args.at(id_at)) {
            kept.get_or_insert_with(|| ctx.args.to_owned_args())[id_at] = Bytes::from(id.to_vec());
        }
        sources.push((key, handle, from));
    }
    // Redis looks each stream up once more when it reads it, and counts that.
    for (key, handle, _) in &sources {
        ctx.count_read(*key, handle.is_some());
    }
    if for_group {
        note_consumers(ctx, &options, &sources)?;
    }
    let served = served(ctx, &options, &sources)?;
    if served.is_empty() {
        return match options.block {
            Some(deadline) => match options.claim_ms {
                Some(ms) => {
                    let idle_in_ms = idle_in_ms(ctx, &options, &sources, ms)?;
                    Ok(ctx.block_until_idle(deadline, kept, idle_in_ms))
                }
                None => Ok(ctx.block_on_keys_as(deadline, kept)),
            },
            None => {
                ctx.reply.null_array();
                Ok(Outcome::Done)
            }
        };
    }
    if ctx.reply.version() == 3 {
        ctx.reply.map(served.len());
    } else {
        ctx.reply.array(served.len());
    }
    for source in served {
        let (key, handle, from) = sources[source];
        let Some(handle) = handle else { continue };
        if ctx.reply.version() == 2 {
            ctx.reply.array(2);
        }
        ctx.reply.bulk(key.bytes);
        match (options.group, from) {
            (Some((group, consumer)), _) => serve_group(ctx, &options, key, handle, (group, consumer), from)?,
            (None, From::After(id)) => {
                let open = ctx.open();
                let log = &open.db.value(handle).stream()?.log;
                let start = id.next().unwrap_or(StreamId::MAX);
                reply_range(open.reply, log, start, StreamId::MAX, true, options.count);
            }
            (None, From::New) => unreachable!("only groups read what is new to them"),
        }
    }
    Ok(Outcome::Done)
}

fn from_at(text: &[u8], log: Option<&Log>, for_group: bool) -> Result<From, CmdError> {
    let meaningless = |mark: char| {
        Err(CmdError::err(format!(
            "The {mark} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
             specifying a proper ID, or use the > ID to get new messages. The {mark} ID would just return an empty result \
             set."
        )))
    };
    match text {
        b"$" if for_group => meaningless('$'),
        b"+" if for_group => meaningless('+'),
        b"$" => Ok(From::After(log.map_or(StreamId::ZERO, |log| log.last_id))),
        b"+" => Ok(From::After(match log {
            None => StreamId::ZERO,
            // The last entry itself is wanted.
            Some(log) => log.edge(false).and_then(StreamId::prev).unwrap_or(log.last_id),
        })),
        b">" if for_group => Ok(From::New),
        b">" => Err(CmdError::coded(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        text => StreamId::parse(text, 0).map(From::After).ok_or(INVALID_ID),
    }
}

/// A consumer that asks is seen, and comes to be if it asks for the first time.
fn note_consumers(
    ctx: &mut Ctx<'_>,
    options: &Options<'_>,
    sources: &[(Key<'_>, Option<Handle>, From)],
) -> Result<(), CmdError> {
    let Some((group_name, name)) = options.group else { return Ok(()) };
    let now_ms = ctx.now.unix_ms();
    for (key, handle, _) in sources {
        let Some(handle) = handle else { continue };
        let is_new = pending::see_consumer(ctx, *key, *handle, group_name, name, now_ms)?;
        if is_new && options.no_ack && ctx.is_followed() {
            ctx.propagate_as(&[&b"XGROUP"[..], b"CREATECONSUMER", key.bytes, group_name, name]);
        }
    }
    // What changes is propagated as such, never the request itself.
    ctx.propagate_nothing();
    Ok(())
}

/// Which sources have something to give.
fn served(
    ctx: &Ctx<'_>,
    options: &Options<'_>,
    sources: &[(Key<'_>, Option<Handle>, From)],
) -> Result<Vec<usize>, CmdError> {
    let mut served = Vec::new();
    // A key that stands twice gives its new entries once.
    let mut taken: BTreeMap<&[u8], usize> = BTreeMap::new();
    for (number, (key, handle, from)) in sources.iter().enumerate() {
        let Some(handle) = handle else { continue };
        let stream = ctx.db_ref().value(*handle).stream()?;
        let has_some = match (from, options.group) {
            (From::After(_), Some(_)) => true,
            (From::After(id), None) => stream.log.edge(false).is_some_and(|last| last > *id),
            (From::New, group) => {
                let group = group.and_then(|(name, _)| stream.group(name));
                let Some(group) = group else { continue };
                let before = taken.entry(key.bytes).or_default();
                let claimable = options.claim_ms.is_some_and(|ms| {
                    *before == 0 && pending::idle(group, &stream.log, ms, ctx.now.unix_ms()).next().is_some()
                });
                let has_new = group.last_id.next().is_some_and(|start| {
                    let wanted = before.saturating_add(1);
                    stream.log.count(start, StreamId::MAX, true, wanted) == wanted
                });
                *before = before.saturating_add(options.count);
                has_new || claimable
            }
        };
        if has_some {
            served.push(number);
        }
    }
    Ok(served)
}

/// When the first pending entry will have been idle for `idle_ms`, in milliseconds from now; none: nothing is pending.
fn idle_in_ms(
    ctx: &Ctx<'_>,
    options: &Options<'_>,
    sources: &[(Key<'_>, Option<Handle>, From)],
    idle_ms: u64,
) -> Result<Option<u64>, CmdError> {
    let now_ms = ctx.now.unix_ms();
    let mut nearest: Option<u64> = None;
    for (_, handle, _) in sources {
        let (Some(handle), Some((name, _))) = (handle, options.group) else { continue };
        let stream = ctx.db_ref().value(*handle).stream()?;
        let Some(group) = stream.group(name) else { continue };
        let oldest =
            pending::idle(group, &stream.log, 0, now_ms).map(|(_, pending)| pending.delivered_ms).min();
        let due = oldest.map(|ms| ms.saturating_add(idle_ms).saturating_sub(now_ms));
        nearest = nearest.into_iter().chain(due).min();
    }
    Ok(nearest)
}

/// Replies with entries of a stream to a consumer, and notes that it has them.
fn serve_group(
    ctx: &mut Ctx<'_>,
    options: &Options<'_>,
    key: Key<'_>,
    handle: Handle,
    (group_name, consumer_name): (&[u8], &[u8]),
    from: From,
) -> Result<(), CmdError> {
    let now_ms = ctx.now.unix_ms();
    let mut stream = ctx.take::<Box<Stream>>(handle)?;
    let reply = &mut ctx.reply;
    let given = stream.with_group(group_name, |group, log| {
        let consumer = group.find(consumer_name).expect("a consumer that asks comes to be");
        match from {
            From::After(id) => {
                again(reply, group, log, consumer, (id, options.count, now_ms));
                Given::default()
            }
            From::New => give(reply, options, group, log, consumer, now_ms),
        }
    });
    ctx.put_quietly(key, stream);
    let given = given.expect("the group was looked up");
    // However many entries there are, it is one change.
    let is_changed = !given.pending.is_empty() || given.stands_at.is_some();
    if ctx.is_followed() {
        for (id, pending, last_id) in &given.pending {
            pending::propagate_claim(ctx, key.bytes, group_name, consumer_name, *id, *pending, *last_id);
        }
        if let Some((last_id, entries_read)) = given.stands_at {
            pending::propagate_group(ctx, key.bytes, group_name, last_id, entries_read);
        }
    }
    ctx.changed(u64::from(is_changed));
    Ok(())
}

/// What a consumer was given, as the feed is told.
#[derive(Default)]
struct Given {
    /// With the last id of the group at that moment.
    pending: Vec<(StreamId, Pending, StreamId)>,
    /// Where the group stands now, if it has moved on.
    stands_at: Option<(StreamId, Option<u64>)>,
}

/// Replies with what the consumer has already; an entry that is gone has no fields.
fn again(
    reply: &mut Reply<'_>,
    group: &mut Group,
    log: &Log,
    consumer: u32,
    (after, count, now_ms): (StreamId, usize, u64),
) {
    let start = after.next().unwrap_or(StreamId::MAX);
    let ids: Vec<StreamId> = group.consumer(consumer).pending(start, StreamId::MAX).take(count).collect();
    reply.array(ids.len());
    for id in ids {
        let found = log.get(id, |entry| reply_entry(reply, entry)).is_some();
        if !found {
            reply.array(2);
            reply_id(reply, id);
            reply.null_array();
        } else if let Some(pending) = group.pending_at(id) {
            let deliveries = pending.deliveries.saturating_add(1);
            group.assign(id, Pending { delivered_ms: now_ms, deliveries, ..pending });
        }
    }
}

/// Replies with entries that have been pending for too long, if these are wanted, and with new ones.
fn give(
    reply: &mut Reply<'_>,
    options: &Options<'_>,
    group: &mut Group,
    log: &Log,
    consumer: u32,
    now_ms: u64,
) -> Given {
    let mut given = Given::default();
    let mut claimed: Vec<(StreamId, Pending)> = Vec::new();
    if let Some(ms) = options.claim_ms {
        claimed.extend(pending::idle(group, log, ms, now_ms));
        // Who has waited longest comes first.
        claimed.sort_by_key(|(id, pending)| (pending.delivered_ms, *id));
        claimed.truncate(options.count);
    }
    let start = group.last_id.next();
    let new_max = options.count - claimed.len();
    let new = start.map_or(0, |start| log.count(start, StreamId::MAX, true, new_max));
    reply.array(claimed.len() + new);
    for (id, old) in claimed {
        log.get(id, |entry| {
            reply.array(4);
            reply_id(reply, id);
            reply_fields(reply, entry);
        });
        reply.int(now_ms.saturating_sub(old.delivered_ms) as i64);
        reply.int(old.deliveries as i64);
        let pending =
            Pending { delivered_ms: now_ms, deliveries: old.deliveries.saturating_add(1), consumer };
        group.assign(id, pending);
        given.pending.push((id, pending, group.last_id));
    }
    let mut left = new;
    if let Some(start) = start.filter(|_| left > 0) {
        log.walk(start, StreamId::MAX, true, |entry| {
            let id = entry.id;
            if options.claim_ms.is_some() {
                reply.array(4);
                reply_id(reply, id);
                reply_fields(reply, entry);
                reply.int(0);
                reply.int(0);
            } else {
                reply_entry(reply, entry);
            }
            group.advance(log, id);
            if !options.no_ack {
                let pending = Pending { delivered_ms: now_ms, deliveries: 1, consumer };
                group.assign(id, pending);
                given.pending.push((id, pending, group.last_id));
            }
            left -= 1;
            left > 0
        });
        given.stands_at = Some((group.last_id, group.entries_read));
    }
    if !given.pending.is_empty() {
        group.consumer_mut(consumer).active_ms = Some(now_ms);
    }
    given
}

/// Tells that a consumer came to be.
pub(super) fn tell_new_consumer(ctx: &mut Ctx<'_>, key: &[u8]) {
    ctx.changed(1);
    ctx.notify(EventClass::StreamState, "xgroup-createconsumer", key);
}
