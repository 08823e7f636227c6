//! Adding to a stream and trimming it: XADD, XTRIM, XSETID, XLEN.

use super::idempotence;
use super::options::{self, Options, Trimming};
use super::words::Done;
use super::{id_at, read_stream, reply_id};
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::types::Stream;
use crate::keyspace::types::stream::{Keep, Partial, StreamId};
use crate::keyspace::{EventClass, Taken};
use crate::structures::slab::Handle;

/// An entry must fit into a node.
const ENTRY_BYTES_MAX: usize = 1 << 30;

pub(super) fn xadd(ctx: &mut Ctx<'_>) -> CmdResult {
    let options = options::parse(ctx, true)?;
    let args = ctx.args;
    let first = options.id_at + 1;
    if options.id_at == 0 || args.len() < first + 2 || !(args.len() - first).is_multiple_of(2) {
        return Err(CmdError::Arity(ctx.row.full_name));
    }
    if options.id == Some(Partial { ms: 0, seq: Some(0) }) {
        return Err(CmdError::coded("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let key = ctx.key(1);
    let mut stream = match ctx.write(key) {
        Some(handle) => ctx.take::<Box<Stream>>(handle)?,
        None if options.only_existing => {
            ctx.reply.null();
            return Ok(Outcome::Done);
        }
        None => Taken::begin(Box::new(Stream::with(&ctx.conf.tuning))),
    };
    let sender = options.producer.map(|producer| idempotence::sender(ctx, producer, first));
    if let Some((name, id)) = &sender
        && let Some(known) = stream.idempotence.find(name, id)
    {
        stream.idempotence.duplicates += 1;
        ctx.put(key, stream);
        ctx.changed(1);
        // Who follows has the entry.
        ctx.propagate_nothing();
        reply_id(&mut ctx.reply, known);
        return Ok(Outcome::Done);
    }
    let fields = (first..args.len()).step_by(2).map(move |at| (args.at(at), args.at(at + 1)));
    let id = match new_id(&stream, &options, ctx.now.unix_ms(), args.iter_from(first).map(<[u8]>::len).sum())
    {
        Ok(id) => id,
        Err(error) => {
            // Redis has created the key by then.
            ctx.put(key, stream);
            return Err(error);
        }
    };
    stream.append(id, fields, &ctx.conf.tuning);
    if let Some((name, sent)) = &sender {
        stream.idempotence.note(name, sent, id);
    }
    let mut done = Done::default();
    let trimmed = match &options.trimming {
        Some(trimming) => {
            stream.trim(trimming.trim, options.references, &mut |trimmed| done.trimmed(trimmed))
        }
        None => 0,
    };
    let kept = kept(&stream);
    ctx.put(key, stream);
    ctx.notify(EventClass::Stream, "xadd", key.bytes);
    if trimmed > 0 {
        ctx.notify(EventClass::Stream, "xtrim", key.bytes);
    }
    ctx.changed(1 + trimmed as u64);
    reply_id(&mut ctx.reply, id);
    if ctx.is_followed() {
        propagate(ctx, &options, kept, Some(id), done);
    }
    Ok(Outcome::Done)
}

fn new_id(stream: &Stream, options: &Options, now_ms: u64, bytes: usize) -> Result<StreamId, CmdError> {
    if stream.log.last_id == StreamId::MAX {
        return Err(CmdError::coded(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    let id = stream.log.new_id(options.id, now_ms).ok_or(CmdError::coded(
        "ERR The ID specified in XADD is equal or smaller than the target stream top item",
    ))?;
    if bytes > ENTRY_BYTES_MAX {
        return Err(CmdError::coded("ERR Elements are too large to be stored"));
    }
    Ok(id)
}

/// What a trimming has left: how many entries, and from which id on.
fn kept(stream: &Stream) -> (usize, StreamId) {
    (stream.len(), if stream.is_empty() { StreamId::MAX } else { stream.log.first_id })
}

/// Propagates the request with the id that the entry got, with exactly what an approximate trimming left, and without the
/// word about references; what came of that goes in requests of its own.
fn propagate(
    ctx: &mut Ctx<'_>,
    options: &Options,
    kept: (usize, StreamId),
    id: Option<StreamId>,
    mut done: Done,
) {
    let (key, has_holes) = (ctx.key(1), done.has_holes());
    let mut words: Vec<Option<Vec<u8>>> = ctx.args.iter_from(0).map(|word| Some(word.to_vec())).collect();
    // What was given as a whole stays as it was written.
    if let Some(id) = id
        && options.id.is_none_or(|given| given.seq.is_none())
    {
        words[options.id_at] = Some(id.to_vec());
    }
    if let Some(at) = options.references_at {
        words[at] = None;
    }
    // A log is read by who wrote it; followers of Redis 8.0 do not know the words.
    let for_log = options.producer.map(|producer| {
        let for_log = words[producer.words()].to_vec();
        words[producer.words()].fill(None);
        (producer.from, for_log)
    });
    if let Some(Trimming { trim, from, threshold_at, limit_at }) = options.trimming {
        if trim.approximate {
            words[threshold_at - 1] = Some(b"=".to_vec());
            words[threshold_at] = Some(match trim.keep {
                Keep::Len(_) => kept.0.to_string().into_bytes(),
                Keep::From(_) => kept.1.to_vec(),
            });
            // A limit makes no sense any more, and who sends the feed on as a client would be refused.
            if let Some(at) = limit_at {
                words[at - 1..=at].fill(None);
            }
        }
        if has_holes {
            words[from..=threshold_at].fill(None);
        } else {
            done.is_trimming();
        }
    }
    if id.is_some() || !has_holes {
        let plain: Vec<Vec<u8>> = words.iter().flatten().cloned().collect();
        match for_log {
            None => ctx.propagate_as(&plain),
            Some((from, for_log)) => {
                words.splice(from..from, for_log);
                let log: Vec<Vec<u8>> = words.into_iter().flatten().collect();
                idempotence::propagate(ctx, Some(&plain), &log);
            }
        }
    }
    done.propagate(ctx, key);
}

pub(super) fn xtrim(ctx: &mut Ctx<'_>) -> CmdResult {
    let options = options::parse(ctx, false)?;
    let key = ctx.key(1);
    let Some(handle) = ctx.write(key) else {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    };
    let mut stream = ctx.take::<Box<Stream>>(handle)?;
    let trimming = options.trimming.as_ref().expect("XTRIM is not without");
    let mut done = Done::default();
    let trimmed = stream.trim(trimming.trim, options.references, &mut |trimmed| done.trimmed(trimmed));
    let kept = kept(&stream);
    ctx.put(key, stream);
    if trimmed > 0 {
        ctx.notify(EventClass::Stream, "xtrim", key.bytes);
        ctx.changed(trimmed as u64);
        if ctx.is_followed() {
            propagate(ctx, &options, kept, None, done);
        }
    }
    ctx.reply.int(trimmed as i64);
    Ok(Outcome::Done)
}

pub(super) fn xlen(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let len = read_stream(ctx, key)?.map_or(0, Stream::len);
    ctx.reply.int(len as i64);
    Ok(Outcome::Done)
}

pub(super) fn xsetid(ctx: &mut Ctx<'_>) -> CmdResult {
    let id = id_at(ctx, 2, 0)?;
    let (mut entries_added, mut max_deleted) = (None, StreamId::ZERO);
    let mut index = 3;
    while index < ctx.args.len() {
        let has_more = index + 1 < ctx.args.len();
        if has_more && ctx.args.is(index, "entriesadded") {
            let added = ctx.int(index + 1)?;
            let added =
                u64::try_from(added).map_err(|_| CmdError::coded("ERR entries_added must be positive"))?;
            entries_added = Some(added);
        } else if has_more && ctx.args.is(index, "maxdeletedid") {
            max_deleted = id_at(ctx, index + 1, 0)?;
            if id < max_deleted {
                return Err(CmdError::coded(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
        } else {
            return Err(CmdError::Syntax);
        }
        index += 2;
    }
    let key = ctx.key(1);
    let handle = ctx.write(key).ok_or(CmdError::NoSuchKey)?;
    check_past(ctx, handle, id, entries_added)?;
    let mut stream = ctx.take::<Box<Stream>>(handle)?;
    stream.log.last_id = id;
    if let Some(added) = entries_added {
        stream.log.entries_added = added;
    }
    if !max_deleted.is_zero() {
        stream.log.max_deleted_id = max_deleted;
    }
    ctx.put(key, stream);
    ctx.changed(1);
    ctx.notify(EventClass::StreamState, "xsetid", key.bytes);
    ctx.reply.ok();
    Ok(Outcome::Done)
}

/// Does what XSETID says contradict what is in the stream?
fn check_past(
    ctx: &Ctx<'_>,
    handle: Handle,
    id: StreamId,
    entries_added: Option<u64>,
) -> Result<(), CmdError> {
    let stream = ctx.db_ref().value(handle).stream()?;
    if id < stream.log.max_deleted_id {
        return Err(CmdError::coded(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if let Some(last) = stream.log.edge(false) {
        if id < last {
            return Err(CmdError::coded(
                "ERR The ID specified in XSETID is smaller than the target stream top item",
            ));
        }
        if entries_added.is_some_and(|added| added < stream.len() as u64) {
            return Err(CmdError::coded(
                "ERR The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
    }
    Ok(())
}
