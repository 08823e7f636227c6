//! Removing entries by their ids: XDEL, XDELEX, XACKDEL.

use std::ops::Range;

use super::words::Done;
use super::{id_at, options};
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::EventClass;
use crate::keyspace::types::Stream;
use crate::keyspace::types::stream::{References, StreamId};

pub(super) fn xdel(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let Some(handle) = ctx.write(key) else {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    };
    // A missing key and a wrong type are found before a wrong id.
    ctx.db_ref().value(handle).stream()?;
    let ids = ids_at(ctx, 2, ctx.args.len())?;
    let mut stream = ctx.take::<Box<Stream>>(handle)?;
    let mut deleted = Vec::new();
    for id in ids {
        if stream.log.delete(id) {
            deleted.push(id);
        }
    }
    if !deleted.is_empty() {
        stream.log.note_deleted(&deleted);
    }
    ctx.put(key, stream);
    if !deleted.is_empty() {
        ctx.notify(EventClass::Stream, "xdel", key.bytes);
        ctx.changed(deleted.len() as u64);
    }
    ctx.reply.int(deleted.len() as i64);
    Ok(Outcome::Done)
}

fn ids_at(ctx: &Ctx<'_>, from: usize, to: usize) -> Result<Vec<StreamId>, CmdError> {
    (from..to).map(|index| id_at(ctx, index, 0)).collect()
}

pub(super) fn xdelex(ctx: &mut Ctx<'_>) -> CmdResult {
    remove(ctx, 2, None)
}

pub(super) fn xackdel(ctx: &mut Ctx<'_>) -> CmdResult {
    remove(ctx, 3, Some(ctx.args.at(2)))
}

/// What is to become of references, and where the ids are: `[KEEPREF|DELREF|ACKED] IDS numids id ...`, in any order. Of
/// several lists of ids the last one counts.
fn parse(ctx: &Ctx<'_>, from: usize) -> Result<(References, Range<usize>), CmdError> {
    let (mut references, mut ids) = (None, None);
    let mut index = from;
    while index < ctx.args.len() {
        if references.is_none()
            && let Some(word) = options::references_at(ctx, index)
        {
            references = Some(word);
            index += 1;
        } else if ctx.args.is(index, "ids") && index + 1 < ctx.args.len() {
            let count = ctx.int(index + 1).ok().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
            let count = count.ok_or(CmdError::coded("ERR Number of IDs must be a positive integer"))?;
            let first = index + 2;
            if count > ctx.args.len() - first {
                return Err(CmdError::coded("ERR The `numids` parameter must match the number of arguments"));
            }
            index = first + count;
            ids = Some(first..index);
        } else {
            return Err(CmdError::Syntax);
        }
    }
    Ok((references.unwrap_or_default(), ids.ok_or(CmdError::Syntax)?))
}

/// What is told of each id.
const NOT_THERE: i64 = -1;
const DELETED: i64 = 1;
const STILL_NEEDED: i64 = 2;

/// Removes entries, acknowledged in `group` before if there is one; replies for each whether it went. What they are begins
/// at `from` in the request.
fn remove(ctx: &mut Ctx<'_>, from: usize, group: Option<&[u8]>) -> CmdResult {
    let key = ctx.key(1);
    let found = ctx.write(key);
    let mut is_known = false;
    if let Some(handle) = found {
        let stream = ctx.db_ref().value(handle).stream()?;
        is_known = group.is_none_or(|name| stream.group(name).is_some());
    }
    let (references, at) = parse(ctx, from)?;
    let Some(handle) = found.filter(|_| is_known) else {
        // Nobody looks at the ids.
        ctx.reply.array(at.len());
        at.for_each(|_| ctx.reply.int(NOT_THERE));
        return Ok(Outcome::Done);
    };
    let ids = &ids_at(ctx, at.start, at.end)?;
    ctx.reply.array(ids.len());
    let mut stream = ctx.take::<Box<Stream>>(handle)?;
    let (mut deleted, mut changes, mut done) = (Vec::new(), 0, Done::default());
    for id in ids {
        if let Some(group) = group {
            // What is not pending in the group is left alone.
            if stream.with_group(group, |group, _| group.acknowledge(*id)) != Some(true) {
                ctx.reply.int(NOT_THERE);
                continue;
            }
            done.acknowledged(group, *id);
            changes += 1;
        }
        if references == References::Delete {
            let having = stream.groups().filter(|(_, group)| group.pending_at(*id).is_some());
            having.for_each(|(name, _)| done.acknowledged(name, *id));
            changes += u64::from(stream.forget(*id));
        }
        // An entry that no group has read yet is needed, whether it is there or not.
        let may_go = references != References::Acknowledged || !stream.is_needed(*id);
        let is_deleted = may_go && stream.log.delete(*id);
        if is_deleted {
            deleted.push(*id);
            done.deleted(*id);
            changes += 1;
        }
        ctx.reply.int(match (may_go, is_deleted, group) {
            (false, ..) => STILL_NEEDED,
            // It was acknowledged, and is gone: what the client wanted.
            (true, true, _) | (true, false, Some(_)) => DELETED,
            (true, false, None) => NOT_THERE,
        });
    }
    if !deleted.is_empty() {
        stream.log.note_deleted(&deleted);
    }
    ctx.put(key, stream);
    if !deleted.is_empty() {
        ctx.notify(EventClass::Stream, "xdel", key.bytes);
    }
    if changes > 0 {
        ctx.changed(changes);
        done.propagate(ctx, key);
    }
    Ok(Outcome::Done)
}
