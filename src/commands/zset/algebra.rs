//! Several sorted sets at once: unions, intersections, differences. Sets take part as sorted sets whose scores are 1.
//!
//! Unions and intersections go from the smallest to the largest, which is visible in the last digits of sums. Sixteen
//! members are looked up at a time, so that the misses of memory overlap; the result is sorted once, at the end.

use super::{reply_pair, reply_pairs};
use crate::base::double::parse_double;
use crate::base::number::I64_BYTES_MAX;
use crate::commands::reply_element;
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::types::set::SetIter;
use crate::keyspace::types::zset::{Builder, ZsetIter};
use crate::keyspace::types::{SetRef, ZsetRef};
use crate::keyspace::{Db, EventClass, ValueRef, WrongType};
use crate::structures::listpack::Element;
use crate::structures::members::BATCH;
use crate::structures::slab::Handle;

/// What is done with the sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Union,
    Inter,
    Diff,
}

/// How the scores of one member become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn merge(self, a: f64, b: f64) -> f64 {
        match self {
            // The sum of both infinities counts as nothing.
            Aggregate::Sum if (a + b).is_nan() => 0.0,
            Aggregate::Sum => a + b,
            Aggregate::Min => {
                if b < a {
                    b
                } else {
                    a
                }
            }
            Aggregate::Max => {
                if b > a {
                    b
                } else {
                    a
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Members<'a> {
    Set(SetRef<'a>),
    Zset(ZsetRef<'a>),
}

/// One of the sets, with the factor of its scores.
#[derive(Clone, Copy)]
struct Source<'a> {
    members: Members<'a>,
    weight: f64,
}

#[expect(clippy::large_enum_variant, reason = "it lives on the stack of the one who walks")]
enum SourceIter<'a> {
    Set(SetIter<'a>),
    Zset(ZsetIter<'a>),
}

impl<'a> Iterator for SourceIter<'a> {
    type Item = (Element<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<(Element<'a>, f64)> {
        match self {
            SourceIter::Set(iter) => Some((iter.next()?, 1.0)),
            SourceIter::Zset(iter) => iter.next(),
        }
    }
}

impl<'a> Members<'a> {
    fn of(value: ValueRef<'a>) -> Result<Members<'a>, WrongType> {
        match value {
            ValueRef::Set(set) => Ok(Members::Set(set)),
            other => other.zset().map(Members::Zset),
        }
    }

    fn len(self) -> usize {
        match self {
            Members::Set(set) => set.len(),
            Members::Zset(zset) => zset.len(),
        }
    }
}

impl<'a> Source<'a> {
    fn iter(self) -> SourceIter<'a> {
        match self.members {
            Members::Set(set) => SourceIter::Set(set.iter()),
            Members::Zset(zset) => SourceIter::Zset(zset.iter()),
        }
    }

    /// The scores of up to [`BATCH`] members.
    fn scores(self, members: &[&[u8]], out: &mut [Option<f64>; BATCH]) {
        match self.members {
            Members::Zset(zset) => zset.scores(members, out),
            Members::Set(set) => {
                let which = set.contains_which(members);
                for (i, score) in out.iter_mut().enumerate().take(members.len()) {
                    *score = (which >> i & 1 == 1).then_some(1.0);
                }
            }
        }
    }

    fn weighted(self, score: f64) -> f64 {
        // An infinite score and no weight make nothing.
        let score = score * self.weight;
        if score.is_nan() { 0.0 } else { score }
    }

    /// Hands out the members in batches, with their weighted scores.
    fn batches(self, mut each: impl FnMut(&[(f64, &[u8])]) -> bool) {
        let mut iter = self.iter();
        let mut digits = [[0; I64_BYTES_MAX]; BATCH];
        loop {
            let mut batch: [(f64, &[u8]); BATCH] = [(0.0, &[]); BATCH];
            let mut count = 0;
            for (slot, buf) in batch.iter_mut().zip(&mut digits) {
                let Some((member, score)) = iter.next() else { break };
                *slot = (self.weighted(score), member.bytes(buf));
                count += 1;
            }
            if count == 0 || !each(&batch[..count]) {
                return;
            }
        }
    }
}

/// A whole request.
struct Request {
    handles: Vec<Option<Handle>>,
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// ZINTERCARD: as many are enough; 0: all.
    limit: usize,
}

impl Request {
    /// Reads a request whose number of keys is the argument `index`. The types are checked before the options, as in
    /// Redis.
    fn parse(ctx: &mut Ctx<'_>, index: usize, op: Op, counts: bool) -> Result<Request, CmdError> {
        let args = ctx.args;
        let number = ctx.int(index)?;
        let Some(number) = usize::try_from(number).ok().filter(|number| *number > 0) else {
            let name = ctx.row.full_name;
            return Err(CmdError::err(format!("at least 1 input key is needed for '{name}' command")));
        };
        if number > args.len() - index - 1 {
            return Err(CmdError::Syntax);
        }
        let mut handles = Vec::with_capacity(number);
        for at in index + 1..=index + number {
            let handle = ctx.read(ctx.key(at));
            if let Some(handle) = handle {
                Members::of(ctx.db_ref().value(handle))?;
            }
            handles.push(handle);
        }
        let mut request = Request {
            handles,
            weights: vec![1.0; number],
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: 0,
        };
        let is_stored = index == 2;
        let mut at = index + number + 1;
        while at < args.len() {
            let left = args.len() - at;
            if op != Op::Diff && !counts && left > number && args.is(at, "weights") {
                for (weight, at) in request.weights.iter_mut().zip(at + 1..) {
                    let error = CmdError::coded("ERR weight value is not a float");
                    *weight = parse_double(args.at(at)).ok_or(error)?;
                }
                at += number + 1;
            } else if op != Op::Diff && !counts && left >= 2 && args.is(at, "aggregate") {
                request.aggregate = match () {
                    () if args.is(at + 1, "sum") => Aggregate::Sum,
                    () if args.is(at + 1, "min") => Aggregate::Min,
                    () if args.is(at + 1, "max") => Aggregate::Max,
                    () => return Err(CmdError::Syntax),
                };
                at += 2;
            } else if !is_stored && !counts && args.is(at, "withscores") {
                request.with_scores = true;
                at += 1;
            } else if counts && left >= 2 && args.is(at, "limit") {
                let limit = ctx.int(at + 1).ok().and_then(|limit| usize::try_from(limit).ok());
                request.limit = limit.ok_or(CmdError::coded("ERR LIMIT can't be negative"))?;
                at += 2;
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok(request)
    }

    /// The sets that there are, in order.
    fn sources<'d>(&self, db: &'d Db) -> Vec<Source<'d>> {
        let found = self.handles.iter().zip(&self.weights).filter_map(|(handle, weight)| {
            Some(Source { members: Members::of(db.value((*handle)?)).ok()?, weight: *weight })
        });
        found.collect()
    }

    /// The members that all sets have, to `each`, with their scores, until it says that it has enough.
    fn intersect(&self, db: &Db, mut each: impl FnMut(f64, &[u8]) -> bool) {
        if self.handles.contains(&None) {
            return;
        }
        let mut sources = self.sources(db);
        sources.sort_by_key(|source| source.members.len());
        let Some((first, others)) = sources.split_first() else { return };
        first.batches(|batch| {
            let mut left: Vec<(f64, &[u8])> = batch.to_vec();
            for other in others {
                let mut asked: [&[u8]; BATCH] = [&[]; BATCH];
                asked.iter_mut().zip(&left).for_each(|(asked, (_, member))| *asked = member);
                let mut scores = [None; BATCH];
                other.scores(&asked[..left.len()], &mut scores);
                let mut found = scores.iter();
                left.retain_mut(|(score, _)| match found.next() {
                    Some(Some(theirs)) => {
                        // As in Redis, only the first product that is not a number counts as nothing.
                        *score = self.aggregate.merge(*score, theirs * other.weight);
                        true
                    }
                    _ => false,
                });
            }
            left.iter().all(|(score, member)| each(*score, member))
        });
    }

    /// The members of the first set that no other has.
    fn subtract(&self, db: &Db, mut each: impl FnMut(f64, &[u8])) {
        if self.handles[0].is_none() || self.handles[1..].contains(&self.handles[0]) {
            return;
        }
        let mut sources = self.sources(db);
        // The largest rule out most, so they are asked first.
        sources[1..].sort_by_key(|source| std::cmp::Reverse(source.members.len()));
        let Some((first, others)) = sources.split_first() else { return };
        first.batches(|batch| {
            let mut left: Vec<(f64, &[u8])> = batch.to_vec();
            for other in others {
                let mut asked: [&[u8]; BATCH] = [&[]; BATCH];
                asked.iter_mut().zip(&left).for_each(|(asked, (_, member))| *asked = member);
                let mut scores = [None; BATCH];
                other.scores(&asked[..left.len()], &mut scores);
                let mut found = scores.iter();
                left.retain(|_| found.next().is_some_and(Option::is_none));
            }
            left.iter().for_each(|(score, member)| each(*score, member));
            true
        });
    }

    fn result(&self, ctx: &Ctx<'_>, op: Op) -> Builder {
        let db = ctx.db_ref();
        let mut builder = Builder::new(ctx.conf.tuning.hash_key);
        match op {
            Op::Union => {
                let mut sources = self.sources(db);
                sources.sort_by_key(|source| source.members.len());
                for source in sources {
                    source.batches(|batch| {
                        builder.merge(batch, |a, b| self.aggregate.merge(a, b));
                        true
                    });
                }
            }
            Op::Inter => self.intersect(db, |score, member| {
                builder.insert(score, member);
                true
            }),
            Op::Diff => self.subtract(db, |score, member| builder.insert(score, member)),
        }
        builder
    }
}

fn reply(ctx: &mut Ctx<'_>, op: Op) -> CmdResult {
    let request = Request::parse(ctx, 1, op, false)?;
    let result = request.result(ctx, op);
    let count = result.len();
    let table = result.finish();
    let reply = &mut ctx.reply;
    if request.with_scores {
        reply_pairs(reply, count);
        ZsetRef::Table(&table).iter().for_each(|(member, score)| reply_pair(reply, member, score));
    } else {
        reply.array(count);
        ZsetRef::Table(&table).iter().for_each(|(member, _)| reply_element(reply, member));
    }
    Ok(Outcome::Done)
}

/// Stores a result and replies with its size; an empty one removes the key.
pub(in crate::commands) fn store(ctx: &mut Ctx<'_>, to: Key<'_>, result: Builder, event: &'static str) {
    let count = result.len();
    if count > 0 {
        let zset = result.into_zset(&ctx.conf.tuning);
        ctx.store(to, zset);
        ctx.notify(EventClass::Zset, event, to.bytes);
        ctx.changed(1);
    } else if ctx.peek(to).is_some() {
        ctx.remove(to);
        ctx.notify(EventClass::Generic, "del", to.bytes);
        ctx.changed(1);
    }
    ctx.reply.int(count as i64);
}

fn store_result(ctx: &mut Ctx<'_>, op: Op, event: &'static str) -> CmdResult {
    let request = Request::parse(ctx, 2, op, false)?;
    let result = request.result(ctx, op);
    store(ctx, ctx.key(1), result, event);
    Ok(Outcome::Done)
}

pub(super) fn zunion(ctx: &mut Ctx<'_>) -> CmdResult {
    reply(ctx, Op::Union)
}

pub(super) fn zinter(ctx: &mut Ctx<'_>) -> CmdResult {
    reply(ctx, Op::Inter)
}

pub(super) fn zdiff(ctx: &mut Ctx<'_>) -> CmdResult {
    reply(ctx, Op::Diff)
}

pub(super) fn zunionstore(ctx: &mut Ctx<'_>) -> CmdResult {
    store_result(ctx, Op::Union, "zunionstore")
}

pub(super) fn zinterstore(ctx: &mut Ctx<'_>) -> CmdResult {
    store_result(ctx, Op::Inter, "zinterstore")
}

pub(super) fn zdiffstore(ctx: &mut Ctx<'_>) -> CmdResult {
    store_result(ctx, Op::Diff, "zdiffstore")
}

pub(super) fn zintercard(ctx: &mut Ctx<'_>) -> CmdResult {
    let request = Request::parse(ctx, 1, Op::Inter, true)?;
    let mut count = 0;
    request.intersect(ctx.db_ref(), |_, _| {
        count += 1;
        count != request.limit
    });
    ctx.reply.int(count as i64);
    Ok(Outcome::Done)
}
