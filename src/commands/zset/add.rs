//! Changing scores and removing members: ZADD, ZINCRBY, ZREM.

use super::{put_after_removal, score_at};
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::types::Zset;
use crate::keyspace::types::zset::{Change, Changed};
use crate::keyspace::{EventClass, Taken};
use crate::resp::Args;

const NOT_A_NUMBER: CmdError = CmdError::coded("ERR resulting score is not a number (NaN)");

struct Options {
    how: Change,
    /// CH: changed scores are counted, too.
    counts_changes: bool,
    /// The first score.
    data: usize,
}

fn options(args: Args<'_>) -> Result<Options, CmdError> {
    let mut how = Change::default();
    let mut counts_changes = false;
    let mut index = 2;
    while index < args.len() {
        if args.is(index, "nx") {
            how.new_only = true;
        } else if args.is(index, "xx") {
            how.old_only = true;
        } else if args.is(index, "ch") {
            counts_changes = true;
        } else if args.is(index, "incr") {
            how.increment = true;
        } else if args.is(index, "gt") {
            how.greater = true;
        } else if args.is(index, "lt") {
            how.less = true;
        } else {
            break;
        }
        index += 1;
    }
    let rest = args.len() - index;
    if rest == 0 || !rest.is_multiple_of(2) {
        return Err(CmdError::Syntax);
    }
    if how.new_only && how.old_only {
        return Err(CmdError::coded("ERR XX and NX options at the same time are not compatible"));
    }
    if [how.greater, how.less, how.new_only].into_iter().filter(|is| *is).count() > 1 {
        return Err(CmdError::coded("ERR GT, LT, and/or NX options at the same time are not compatible"));
    }
    if how.increment && rest > 2 {
        return Err(CmdError::coded("ERR INCR option supports a single increment-element pair"));
    }
    Ok(Options { how, counts_changes, data: index })
}

pub(super) fn zadd(ctx: &mut Ctx<'_>) -> CmdResult {
    let options = options(ctx.args)?;
    if options.how.increment {
        return increment(ctx, options.how, options.data);
    }
    // One score is the common case, and needs no memory.
    if ctx.args.len() - options.data == 2 {
        let score = score_at(ctx, options.data)?;
        return set(ctx, &options, &[score]);
    }
    let scores = (options.data..ctx.args.len()).step_by(2).map(|index| score_at(ctx, index));
    let scores = scores.collect::<Result<Vec<f64>, CmdError>>()?;
    set(ctx, &options, &scores)
}

/// GEOADD: sets scores that are places, under the options before the argument `data`. It goes on as a ZADD.
pub(in crate::commands) fn add_places(ctx: &mut Ctx<'_>, data: usize, pairs: &[(f64, &[u8])]) -> CmdResult {
    let args = ctx.args;
    let has = |word| (2..data).any(|index| args.is(index, word));
    let how = Change { new_only: has("nx"), old_only: has("xx"), ..Change::default() };
    let changes = ctx.changes();
    let result = set_pairs(ctx, how, has("ch"), pairs.len(), || pairs.iter().copied());
    if ctx.changes() != changes && ctx.is_followed() {
        let mut words: Vec<Vec<u8>> = vec![b"zadd".to_vec()];
        words.extend((1..data).map(|index| args.at(index).to_vec()));
        for (score, member) in pairs {
            words.extend([(*score as u64).to_string().into_bytes(), member.to_vec()]);
        }
        ctx.propagate_as(&words);
    }
    result
}

fn set(ctx: &mut Ctx<'_>, options: &Options, scores: &[f64]) -> CmdResult {
    let args = ctx.args;
    let members = (options.data + 1..args.len()).step_by(2).map(|index| args.at(index));
    let pairs = scores.iter().copied().zip(members);
    set_pairs(ctx, options.how, options.counts_changes, scores.len(), || pairs.clone())
}

/// Sets `count` scores and replies with the number of new members, or of all changes.
fn set_pairs<'m, I: Iterator<Item = (f64, &'m [u8])>>(
    ctx: &mut Ctx<'_>,
    how: Change,
    counts_changes: bool,
    count: usize,
    pairs: impl Fn() -> I,
) -> CmdResult {
    let key = ctx.key(1);
    let tuning = &ctx.conf.tuning;
    let first_bytes = pairs().next().map_or(0, |(_, member)| member.len());
    let Some(mut zset) = open(ctx, key, how, count, first_bytes)? else {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    };
    let (mut added, mut updated) = (0, 0);
    for (score, member) in pairs() {
        match zset.change(score, member, how, tuning) {
            Changed::Added(_) => added += 1,
            Changed::Updated(_) => updated += 1,
            Changed::Same(_) | Changed::Refused | Changed::NotANumber => {}
        }
    }
    ctx.put(key, zset);
    if added + updated > 0 {
        ctx.changed(added + updated);
        ctx.notify(EventClass::Zset, "zadd", key.bytes);
    }
    ctx.reply.int((if counts_changes { added + updated } else { added }) as i64);
    Ok(Outcome::Done)
}

/// The sorted set of a key, ready for so many members, the first so long; none if there is none and none may come.
fn open(
    ctx: &mut Ctx<'_>,
    key: Key<'_>,
    how: Change,
    count: usize,
    first_bytes: usize,
) -> Result<Option<Taken<Zset>>, CmdError> {
    let mut zset = match ctx.write(key) {
        Some(handle) => ctx.take::<Zset>(handle)?,
        None if how.old_only => return Ok(None),
        None => Taken::new(),
    };
    let tuning = &ctx.conf.tuning;
    if zset.is_new() {
        *zset = Zset::with_hint(count, first_bytes, tuning);
    } else {
        zset.make_room(count, tuning);
    }
    Ok(Some(zset))
}

pub(super) fn zincrby(ctx: &mut Ctx<'_>) -> CmdResult {
    // Redis reads the options of ZADD here, too, and then misses the member.
    options(ctx.args)?;
    increment(ctx, Change { increment: true, ..Change::default() }, 2)
}

/// Adds the number at argument `index` to the score of the member after it.
fn increment(ctx: &mut Ctx<'_>, how: Change, index: usize) -> CmdResult {
    let increment = score_at(ctx, index)?;
    let member = ctx.args.at(index + 1);
    let key = ctx.key(1);
    let tuning = &ctx.conf.tuning;
    let Some(mut zset) = open(ctx, key, how, 1, member.len())? else {
        ctx.reply.null();
        return Ok(Outcome::Done);
    };
    let changed = zset.change(increment, member, how, tuning);
    ctx.put(key, zset);
    match changed {
        Changed::Added(score) | Changed::Updated(score) => {
            ctx.changed(1);
            ctx.notify(EventClass::Zset, "zincr", key.bytes);
            ctx.reply.double(score);
        }
        Changed::Same(score) => ctx.reply.double(score),
        Changed::Refused => ctx.reply.null(),
        Changed::NotANumber => return Err(NOT_A_NUMBER),
    }
    Ok(Outcome::Done)
}

pub(super) fn zrem(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let Some(handle) = ctx.write(key) else {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    };
    let mut zset = ctx.take::<Zset>(handle)?;
    let mut removed = 0;
    for member in ctx.args.iter_from(2) {
        removed += u64::from(zset.remove(member));
    }
    if removed > 0 {
        put_after_removal(ctx, key, zset, "zrem");
        ctx.changed(removed);
    } else {
        ctx.put(key, zset);
    }
    ctx.reply.int(removed as i64);
    Ok(Outcome::Done)
}
