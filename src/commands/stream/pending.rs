//! What is pending in a group: XACK, XPENDING, XCLAIM, XAUTOCLAIM.

use super::read::tell_new_consumer;
use super::{bound_at, id_at, no_group, reply_entry, reply_id};
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome, quoted};
use crate::keyspace::types::Stream;
use crate::keyspace::types::stream::{Group, Log, Pending, StreamId};
use crate::structures::slab::Handle;

/// How many entries XAUTOCLAIM looks at for each that it may claim.
const ATTEMPTS: usize = 10;
/// The greatest COUNT of XAUTOCLAIM.
const COUNT_MAX: i64 = i64::MAX / 16;
/// Redis keeps a place for each entry that it may find gone; so many no machine has. We need none.
const COUNT_BELIEVABLE: usize = 1 << 40;

/// A consumer asks: it is seen, and comes to be if it is new; true if it is.
pub(super) fn see_consumer(
    ctx: &mut Ctx<'_>,
    key: Key<'_>,
    handle: Handle,
    group: &[u8],
    name: &[u8],
    now_ms: u64,
) -> Result<bool, CmdError> {
    let mut stream = ctx.take::<Box<Stream>>(handle)?;
    let is_new = stream.with_group(group, |group, _| match group.find(name) {
        Some(consumer) => {
            group.consumer_mut(consumer).seen_ms = now_ms;
            false
        }
        None => {
            group.add_consumer(name, now_ms);
            true
        }
    });
    ctx.put_quietly(key, stream);
    if is_new == Some(true) {
        tell_new_consumer(ctx, key.bytes);
    }
    Ok(is_new == Some(true))
}

/// The entries that are pending for so long, of those that are still there.
pub(super) fn idle<'g>(
    group: &'g Group,
    log: &'g Log,
    ms: u64,
    now_ms: u64,
) -> impl Iterator<Item = (StreamId, Pending)> + 'g {
    group
        .pending(StreamId::ZERO, StreamId::MAX)
        .filter(move |(id, pending)| now_ms.saturating_sub(pending.delivered_ms) >= ms && log.contains(*id))
}

/// Tells the feed who has an entry now.
pub(super) fn propagate_claim(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    group: &[u8],
    consumer: &[u8],
    id: StreamId,
    pending: Pending,
    last_id: StreamId,
) {
    ctx.signal_pending(key);
    let (id, last_id) = (id.to_vec(), last_id.to_vec());
    let (time, deliveries) = (pending.delivered_ms.to_string(), pending.deliveries.to_string());
    ctx.propagate_as(&[
        &b"XCLAIM"[..],
        key,
        group,
        consumer,
        b"0",
        &id,
        b"TIME",
        time.as_bytes(),
        b"RETRYCOUNT",
        deliveries.as_bytes(),
        b"FORCE",
        b"JUSTID",
        b"LASTID",
        &last_id,
    ]);
}

/// Tells the feed where a group stands now.
pub(super) fn propagate_group(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    group: &[u8],
    last_id: StreamId,
    entries_read: Option<u64>,
) {
    let read = entries_read.map_or("-1".to_owned(), |read| read.to_string());
    ctx.propagate_as(&[
        &b"XGROUP"[..],
        b"SETID",
        key,
        group,
        &last_id.to_vec(),
        b"ENTRIESREAD",
        read.as_bytes(),
    ]);
}

pub(super) fn xack(ctx: &mut Ctx<'_>) -> CmdResult {
    let (key, name) = (ctx.key(1), ctx.args.at(2));
    let found = ctx.read(key);
    let group = match found {
        Some(handle) => ctx.db_ref().value(handle).stream()?.group(name),
        None => None,
    };
    let (Some(_), Some(handle)) = (group, found) else {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    };
    let ids: Result<Vec<StreamId>, CmdError> =
        (3..ctx.args.len()).map(|index| id_at(ctx, index, 0)).collect();
    let ids = ids?;
    let mut stream = ctx.take::<Box<Stream>>(handle)?;
    let acknowledged = stream
        .with_group(name, |group, _| ids.iter().filter(|id| group.acknowledge(**id)).count())
        .unwrap_or(0);
    ctx.put_quietly(key, stream);
    ctx.changed(acknowledged as u64);
    ctx.reply.int(acknowledged as i64);
    Ok(Outcome::Done)
}

pub(super) fn xpending(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    let is_summary = args.len() == 3;
    if !is_summary && !(6..=9).contains(&args.len()) {
        return Err(CmdError::Syntax);
    }
    let (mut min_idle_ms, mut at) = (0, 3);
    if !is_summary && args.is(3, "idle") {
        min_idle_ms = ctx.int(4)?;
        if args.len() < 8 {
            return Err(CmdError::Syntax);
        }
        at = 5;
    }
    let (mut start, mut end, mut count) = (StreamId::ZERO, StreamId::MAX, 0);
    if !is_summary {
        count = ctx.int(at + 2)?.max(0) as usize;
        (start, end) = (bound_at(ctx, at, true)?, bound_at(ctx, at + 1, false)?);
    }
    let owner = args.get(at + 3);
    let (key, name, now_ms) = (ctx.key(1), args.at(2), ctx.now.unix_ms());
    let handle = ctx.read(key).ok_or_else(|| no_group(key.bytes, name))?;
    let open = ctx.open();
    let group = open.db.value(handle).stream()?.group(name).ok_or_else(|| no_group(key.bytes, name))?;
    let reply = open.reply;
    if is_summary {
        reply.array(4);
        reply.int(group.pending_len() as i64);
        let mut all = group.pending(StreamId::ZERO, StreamId::MAX);
        let (first, last) = (all.next(), group.pending(StreamId::ZERO, StreamId::MAX).next_back());
        let (Some((first, _)), Some((last, _))) = (first, last) else {
            reply.null();
            reply.null();
            reply.null_array();
            return Ok(Outcome::Done);
        };
        reply_id(reply, first);
        reply_id(reply, last);
        reply.array(group.consumers().filter(|consumer| consumer.pending_len() > 0).count());
        for consumer in group.consumers().filter(|consumer| consumer.pending_len() > 0) {
            reply.array(2);
            reply.bulk(&consumer.name);
            reply.bulk_int(consumer.pending_len() as i64);
        }
        return Ok(Outcome::Done);
    }
    let idle_ms = |pending: &Pending| now_ms.saturating_sub(pending.delivered_ms) as i64;
    let is_idle = |(_, pending): &(StreamId, Pending)| min_idle_ms == 0 || idle_ms(pending) >= min_idle_ms;
    let found: Vec<(StreamId, Pending)> = match (start <= end, owner) {
        (false, _) => Vec::new(),
        (true, None) => group.pending(start, end).filter(is_idle).take(count).collect(),
        (true, Some(owner)) => match group.find(owner) {
            None => Vec::new(),
            Some(owner) => {
                let ids = group.consumer(owner).pending(start, end);
                ids.filter_map(|id| Some((id, group.pending_at(id)?))).filter(is_idle).take(count).collect()
            }
        },
    };
    reply.array(found.len());
    for (id, pending) in found {
        reply.array(4);
        reply_id(reply, id);
        reply.bulk(&group.consumer(pending.consumer).name);
        reply.int(idle_ms(&pending));
        reply.int(pending.deliveries as i64);
    }
    Ok(Outcome::Done)
}

/// What XCLAIM was asked for, besides ids.
#[derive(Default)]
struct Claim {
    min_idle_ms: u64,
    delivered_ms: Option<i64>,
    deliveries: Option<u64>,
    force: bool,
    just_ids: bool,
    last_id: StreamId,
}

fn min_idle_at(ctx: &Ctx<'_>, index: usize, command: &str) -> Result<u64, CmdError> {
    match ctx.int(index) {
        Ok(ms) => Ok(ms.max(0) as u64),
        Err(_) => Err(CmdError::err(format!("Invalid min-idle-time argument for {command}"))),
    }
}

pub(super) fn xclaim(ctx: &mut Ctx<'_>) -> CmdResult {
    let (key, name) = (ctx.key(1), ctx.args.at(2));
    let found = ctx.read(key);
    let handle = group_entry(ctx, key, found, name)?;
    let (ids, claim) = parse_claim(ctx)?;
    let now_ms = ctx.now.unix_ms();
    let consumer_name = ctx.args.at(3);
    see_consumer(ctx, key, handle, name, consumer_name, now_ms)?;
    let mut stream = ctx.take::<Box<Stream>>(handle)?;
    let mut done = Done::default();
    stream
        .with_group(name, |group, log| claim_ids(group, log, &ids, &claim, consumer_name, now_ms, &mut done));
    reply_claimed(ctx, &stream.log, &done.claimed, claim.just_ids);
    ctx.put_quietly(key, stream);
    done.propagate(ctx, key.bytes, name);
    Ok(Outcome::Done)
}

/// The entry of a stream that has this group.
fn group_entry(ctx: &Ctx<'_>, key: Key<'_>, found: Option<Handle>, name: &[u8]) -> Result<Handle, CmdError> {
    let handle = found.ok_or_else(|| no_group(key.bytes, name))?;
    match ctx.db_ref().value(handle).stream()?.group(name) {
        Some(_) => Ok(handle),
        None => Err(no_group(key.bytes, name)),
    }
}

fn parse_claim(ctx: &Ctx<'_>) -> Result<(Vec<StreamId>, Claim), CmdError> {
    let args = ctx.args;
    let mut claim = Claim { min_idle_ms: min_idle_at(ctx, 4, "XCLAIM")?, ..Claim::default() };
    let ids: Vec<StreamId> = args.iter_from(5).map_while(|text| StreamId::parse(text, 0)).collect();
    let number = |index: usize, option: &str| {
        ctx.int(index).map_err(|_| CmdError::err(format!("Invalid {option} option argument for XCLAIM")))
    };
    let mut index = 5 + ids.len();
    while index < args.len() {
        let has_more = index + 1 < args.len();
        if args.is(index, "force") {
            claim.force = true;
        } else if args.is(index, "justid") {
            claim.just_ids = true;
        } else if has_more && args.is(index, "idle") {
            let idle_ms = number(index + 1, "IDLE")?;
            claim.delivered_ms = Some((ctx.now.unix_ms() as i64).wrapping_sub(idle_ms));
            index += 1;
        } else if has_more && args.is(index, "time") {
            claim.delivered_ms = Some(number(index + 1, "TIME")?);
            index += 1;
        } else if has_more && args.is(index, "retrycount") {
            claim.deliveries = u64::try_from(number(index + 1, "RETRYCOUNT")?).ok();
            index += 1;
        } else if has_more && args.is(index, "lastid") {
            claim.last_id = id_at(ctx, index + 1, 0)?;
            index += 1;
        } else {
            return Err(CmdError::err(format!("Unrecognized XCLAIM option '{}'", quoted(args.at(index)))));
        }
        index += 1;
    }
    Ok((ids, claim))
}

/// What a claiming command has done, as the feed is told.
#[derive(Default)]
struct Done {
    claimed: Vec<StreamId>,
    /// Ids of entries that are gone, and are not pending any more.
    gone: Vec<StreamId>,
    /// In the order of the changes: id, owner and what is pending, with the last id of the group.
    changes: Vec<(StreamId, Box<[u8]>, Pending)>,
    last_id: StreamId,
    /// The group has moved on and nothing else tells it.
    stands_at: Option<Option<u64>>,
}

impl Done {
    fn note(&mut self, group: &Group, id: StreamId, pending: Pending) {
        self.changes.push((id, group.consumer(pending.consumer).name.clone(), pending));
        self.stands_at = None;
    }

    fn propagate(self, ctx: &mut Ctx<'_>, key: &[u8], group: &[u8]) {
        ctx.changed(self.changes.len() as u64 + u64::from(self.stands_at.is_some()));
        ctx.propagate_nothing();
        if ctx.is_followed() {
            for (id, owner, pending) in &self.changes {
                propagate_claim(ctx, key, group, owner, *id, *pending, self.last_id);
            }
            if let Some(entries_read) = self.stands_at {
                propagate_group(ctx, key, group, self.last_id, entries_read);
            }
        }
    }
}

fn claim_ids(
    group: &mut Group,
    log: &Log,
    ids: &[StreamId],
    claim: &Claim,
    name: &[u8],
    now_ms: u64,
    done: &mut Done,
) {
    if claim.last_id > group.last_id {
        group.last_id = claim.last_id;
        done.stands_at = Some(group.entries_read);
    }
    done.last_id = group.last_id;
    let consumer = group.find(name).expect("a consumer that asks comes to be");
    // A time that cannot be is replaced by the present one: clients reckon with their own clocks.
    let delivered_ms = match claim.delivered_ms.map(u64::try_from) {
        Some(Ok(ms)) if ms <= now_ms => ms,
        _ => now_ms,
    };
    for id in ids {
        let old = group.pending_at(*id);
        if !log.contains(*id) {
            if let Some(old) = old {
                done.note(group, *id, old);
                group.acknowledge(*id);
            }
            continue;
        }
        match old {
            None if !claim.force => continue,
            Some(old) if now_ms.saturating_sub(old.delivered_ms) < claim.min_idle_ms => continue,
            _ => {}
        }
        let deliveries = old.map_or(1, |old| old.deliveries);
        let deliveries = match claim.deliveries {
            Some(deliveries) => deliveries,
            None if claim.just_ids => deliveries,
            None => deliveries.saturating_add(1),
        };
        let pending = Pending { delivered_ms, deliveries, consumer };
        group.assign(*id, pending);
        group.consumer_mut(consumer).active_ms = Some(now_ms);
        done.claimed.push(*id);
        done.note(group, *id, pending);
    }
}

/// Replies with what was claimed: the entries, or their ids.
fn reply_claimed(ctx: &mut Ctx<'_>, log: &Log, claimed: &[StreamId], just_ids: bool) {
    let reply = &mut ctx.reply;
    reply.array(claimed.len());
    for id in claimed {
        if just_ids {
            reply_id(reply, *id);
        } else {
            log.get(*id, |entry| reply_entry(reply, entry));
        }
    }
}

pub(super) fn xautoclaim(ctx: &mut Ctx<'_>) -> CmdResult {
    let (key, name, consumer_name) = (ctx.key(1), ctx.args.at(2), ctx.args.at(3));
    // Before the options are read, as Redis does: a key that is not there counts as missed whatever they say.
    let found = ctx.read(key);
    let min_idle_ms = min_idle_at(ctx, 4, "XAUTOCLAIM")?;
    let start = bound_at(ctx, 5, true)?;
    let (mut count, mut just_ids) = (100, false);
    let mut index = 6;
    while index < ctx.args.len() {
        if ctx.args.is(index, "count") && index + 1 < ctx.args.len() {
            let wanted = ctx.int(index + 1).ok().filter(|count| (1..=COUNT_MAX).contains(count));
            count = wanted.ok_or(CmdError::coded("ERR COUNT must be > 0"))? as usize;
            index += 2;
        } else if ctx.args.is(index, "justid") {
            just_ids = true;
            index += 1;
        } else {
            return Err(CmdError::Syntax);
        }
    }
    let handle = group_entry(ctx, key, found, name)?;
    if count > COUNT_BELIEVABLE {
        return Err(CmdError::coded(
            "ERR Insufficient memory, failed allocating transient memory, COUNT too high.",
        ));
    }
    let now_ms = ctx.now.unix_ms();
    see_consumer(ctx, key, handle, name, consumer_name, now_ms)?;
    let mut stream = ctx.take::<Box<Stream>>(handle)?;
    let mut done = Done::default();
    let next = stream.with_group(name, |group, log| {
        let consumer = group.find(consumer_name).expect("a consumer that asks comes to be");
        done.last_id = group.last_id;
        let looked_at = count.saturating_mul(ATTEMPTS);
        let mut left = count;
        let mut from = Some(start);
        // In pieces, since claiming changes what is walked over.
        for _ in 0..looked_at {
            let found = from.and_then(|from| group.pending(from, StreamId::MAX).next());
            let Some((id, old)) = found.filter(|_| left > 0) else { break };
            from = id.next();
            if !log.contains(id) {
                done.note(group, id, old);
                group.acknowledge(id);
                done.gone.push(id);
                left -= 1;
                continue;
            }
            if now_ms.saturating_sub(old.delivered_ms) < min_idle_ms {
                continue;
            }
            let deliveries = old.deliveries.saturating_add(u64::from(!just_ids));
            let pending = Pending { delivered_ms: now_ms, deliveries, consumer };
            group.assign(id, pending);
            group.consumer_mut(consumer).active_ms = Some(now_ms);
            done.claimed.push(id);
            done.note(group, id, pending);
            left -= 1;
        }
        from.and_then(|from| group.pending(from, StreamId::MAX).next()).map_or(StreamId::ZERO, |(id, _)| id)
    });
    ctx.reply.array(3);
    reply_id(&mut ctx.reply, next.unwrap_or(StreamId::ZERO));
    reply_claimed(ctx, &stream.log, &done.claimed, just_ids);
    ctx.reply.array(done.gone.len());
    done.gone.iter().for_each(|id| reply_id(&mut ctx.reply, *id));
    ctx.put_quietly(key, stream);
    done.propagate(ctx, key.bytes, name);
    Ok(Outcome::Done)
}
