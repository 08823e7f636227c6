//! XINFO: what there is to know of streams, groups and consumers.

use super::{reply_entry, reply_id};
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome, quoted};
use crate::keyspace::types::Stream;
use crate::keyspace::types::stream::{Consumer, Group, Log, StreamId};
use crate::resp::Reply;
use crate::structures::slab::Handle;

/// Entries that FULL shows unless told otherwise.
const FULL_COUNT: usize = 10;

/// The entry of the key at argument 2, which must exist.
fn existing(ctx: &mut Ctx<'_>) -> Result<Handle, CmdError> {
    let key = ctx.key(2);
    ctx.read(key).ok_or(CmdError::NoSuchKey)
}

pub(super) fn stream(ctx: &mut Ctx<'_>) -> CmdResult {
    let handle = existing(ctx)?;
    ctx.db_ref().value(handle).stream()?;
    let args = ctx.args;
    let mut full = None;
    if args.len() > 3 {
        let is_known = args.is(3, "full") && (args.len() == 4 || args.len() == 6 && args.is(4, "count"));
        if !is_known {
            return Err(CmdError::err(format!(
                "unknown subcommand or wrong number of arguments for '{}'. Try XINFO HELP.",
                quoted(args.at(1))
            )));
        }
        full = Some(match args.len() {
            6 => match ctx.int(5)? {
                0 => usize::MAX,
                count => usize::try_from(count).unwrap_or(FULL_COUNT),
            },
            _ => FULL_COUNT,
        });
    }
    // Where nothing may go by itself, as with a replica, what is over is not counted.
    let now_ms = if ctx.keeps_expired() { ctx.now.unix_ms() } else { 0 };
    let open = ctx.open();
    let (stream, reply) = (open.db.value(handle).stream()?, open.reply);
    let log = &stream.log;
    reply.map(if full.is_some() { 15 } else { 16 });
    reply.bulk(b"length");
    reply.int(log.len() as i64);
    reply.bulk(b"radix-tree-keys");
    reply.int(log.nodes() as i64);
    reply.bulk(b"radix-tree-nodes");
    reply.int(log.nodes() as i64 + 1);
    reply.bulk(b"last-generated-id");
    reply_id(reply, log.last_id);
    reply.bulk(b"max-deleted-entry-id");
    reply_id(reply, log.max_deleted_id);
    reply.bulk(b"entries-added");
    reply.int(log.entries_added as i64);
    reply.bulk(b"recorded-first-entry-id");
    reply_id(reply, log.first_id);
    let idempotence = &stream.idempotence;
    let (producers, ids) = idempotence.tracked(now_ms);
    for (name, value) in [
        (&b"idmp-duration"[..], u64::from(idempotence.duration_s)),
        (b"idmp-maxsize", u64::from(idempotence.ids_max)),
        (b"pids-tracked", producers as u64),
        (b"iids-tracked", ids as u64),
        (b"iids-added", idempotence.added),
        (b"iids-duplicates", idempotence.duplicates),
    ] {
        reply.bulk(name);
        reply.int(value as i64);
    }
    match full {
        None => {
            reply.bulk(b"groups");
            reply.int(stream.groups_len() as i64);
            for (name, first) in [(&b"first-entry"[..], true), (b"last-entry", false)] {
                reply.bulk(name);
                match log.edge(first).and_then(|id| log.get(id, |entry| reply_entry(reply, entry))) {
                    Some(()) => {}
                    None => reply.null(),
                }
            }
        }
        Some(count) => {
            reply.bulk(b"entries");
            super::range::reply_range(reply, log, StreamId::ZERO, StreamId::MAX, true, count);
            reply.bulk(b"groups");
            reply_groups(reply, stream, count);
        }
    }
    Ok(Outcome::Done)
}

fn reply_groups(reply: &mut Reply<'_>, stream: &Stream, count: usize) {
    reply.array(stream.groups_len());
    for (name, group) in stream.groups() {
        reply.map(7);
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"last-delivered-id");
        reply_id(reply, group.last_id);
        reply_progress(reply, group, &stream.log);
        reply.bulk(b"pel-count");
        reply.int(group.pending_len() as i64);
        reply.bulk(b"pending");
        reply.array(group.pending_len().min(count));
        for (id, pending) in group.pending(StreamId::ZERO, StreamId::MAX).take(count) {
            reply.array(4);
            reply_id(reply, id);
            reply.bulk(&group.consumer(pending.consumer).name);
            reply.int(pending.delivered_ms as i64);
            reply.int(pending.deliveries as i64);
        }
        reply.bulk(b"consumers");
        reply.array(group.consumers_len());
        for consumer in group.consumers() {
            reply_consumer(reply, group, consumer, count);
        }
    }
}

fn reply_consumer(reply: &mut Reply<'_>, group: &Group, consumer: &Consumer, count: usize) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(&consumer.name);
    reply.bulk(b"seen-time");
    reply.int(consumer.seen_ms as i64);
    reply.bulk(b"active-time");
    reply.int(consumer.active_ms.map_or(-1, |ms| ms as i64));
    reply.bulk(b"pel-count");
    reply.int(consumer.pending_len() as i64);
    reply.bulk(b"pending");
    reply.array(consumer.pending_len().min(count));
    for id in consumer.pending(StreamId::ZERO, StreamId::MAX).take(count) {
        let Some(pending) = group.pending_at(id) else { continue };
        reply.array(3);
        reply_id(reply, id);
        reply.int(pending.delivered_ms as i64);
        reply.int(pending.deliveries as i64);
    }
}

/// How far a group has come.
fn reply_progress(reply: &mut Reply<'_>, group: &Group, log: &Log) {
    for (name, value) in [(&b"entries-read"[..], group.entries_read), (b"lag", group.lag(log))] {
        reply.bulk(name);
        match value {
            Some(value) => reply.int(value as i64),
            None => reply.null(),
        }
    }
}

pub(super) fn groups(ctx: &mut Ctx<'_>) -> CmdResult {
    let handle = existing(ctx)?;
    let open = ctx.open();
    let (stream, reply) = (open.db.value(handle).stream()?, open.reply);
    reply.array(stream.groups_len());
    for (name, group) in stream.groups() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"consumers");
        reply.int(group.consumers_len() as i64);
        reply.bulk(b"pending");
        reply.int(group.pending_len() as i64);
        reply.bulk(b"last-delivered-id");
        reply_id(reply, group.last_id);
        reply_progress(reply, group, &stream.log);
    }
    Ok(Outcome::Done)
}

pub(super) fn consumers(ctx: &mut Ctx<'_>) -> CmdResult {
    let handle = existing(ctx)?;
    let (key, name, now_ms) = (ctx.key(2), ctx.args.at(3), ctx.now.unix_ms());
    let open = ctx.open();
    let (stream, reply) = (open.db.value(handle).stream()?, open.reply);
    let Some(group) = stream.group(name) else {
        let text =
            format!("NOGROUP No such consumer group '{}' for key name '{}'", quoted(name), quoted(key.bytes));
        return Err(CmdError::Text(text.into()));
    };
    reply.array(group.consumers_len());
    for consumer in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(&consumer.name);
        reply.bulk(b"pending");
        reply.int(consumer.pending_len() as i64);
        reply.bulk(b"idle");
        reply.int(now_ms.saturating_sub(consumer.seen_ms) as i64);
        reply.bulk(b"inactive");
        reply.int(consumer.active_ms.map_or(-1, |ms| now_ms.saturating_sub(ms) as i64));
    }
    Ok(Outcome::Done)
}
