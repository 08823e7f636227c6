//! Ranges by rank, score and member: the ZRANGE family, ZRANGESTORE, the counts and the removals.
//!
//! Whatever is asked for becomes a range of ranks; an offset and a count cut it at its beginning and its end.

use super::{put_after_removal, reply_pair, reply_pairs};
use crate::base::double::parse_bound;
use crate::base::number::I64_BYTES_MAX;
use crate::commands::reply_element;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};

use crate::keyspace::types::zset::{Builder, LexBound, ScoreBound};
use crate::keyspace::types::{Zset, ZsetRef};
use std::ops::Range;

const NOT_SCORES: CmdError = CmdError::coded("ERR min or max is not a float");
const NOT_MEMBERS: CmdError = CmdError::coded("ERR min or max not valid string range item");

/// By what a range is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// The ends of a range.
#[derive(Clone, Copy, Debug)]
enum Ends<'a> {
    Ranks(i64, i64),
    Scores(ScoreBound, ScoreBound),
    Members(LexBound<'a>, LexBound<'a>),
}

impl<'a> Ends<'a> {
    /// Reads the lower end from the argument `min`, the upper from `max`.
    fn parse(ctx: &Ctx<'a>, by: By, min: usize, max: usize) -> Result<Ends<'a>, CmdError> {
        Ok(match by {
            By::Rank => Ends::Ranks(ctx.int(min)?, ctx.int(max)?),
            By::Score => Ends::Scores(score_bound(ctx.args.at(min))?, score_bound(ctx.args.at(max))?),
            By::Lex => Ends::Members(lex_bound(ctx.args.at(min))?, lex_bound(ctx.args.at(max))?),
        })
    }

    /// The ranks in the range; ranks that are given count from the end if `reverse`.
    fn ranks(self, zset: ZsetRef<'_>, reverse: bool) -> Range<usize> {
        match self {
            Ends::Ranks(start, stop) => {
                let len = zset.len() as i64;
                let from_end = |rank: i64| if rank < 0 { rank.saturating_add(len) } else { rank };
                let (start, stop) = (from_end(start).max(0), from_end(stop).min(len - 1));
                if start > stop {
                    0..0
                } else if reverse {
                    (len - 1 - stop) as usize..(len - start) as usize
                } else {
                    start as usize..stop as usize + 1
                }
            }
            Ends::Scores(min, max) => zset.ranks_by_score(min, max),
            Ends::Members(min, max) => zset.ranks_by_lex(min, max),
        }
    }
}

fn score_bound(text: &[u8]) -> Result<ScoreBound, CmdError> {
    let (exclusive, number) = match text {
        [b'(', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    Ok(ScoreBound { score: parse_bound(number).ok_or(NOT_SCORES)?, exclusive })
}

fn lex_bound(text: &[u8]) -> Result<LexBound<'_>, CmdError> {
    match text {
        b"-" => Ok(LexBound::Least),
        b"+" => Ok(LexBound::Greatest),
        [b'[', member @ ..] => Ok(LexBound::Inclusive(member)),
        [b'(', member @ ..] => Ok(LexBound::Exclusive(member)),
        _ => Err(NOT_MEMBERS),
    }
}

/// What is asked for, and how the answer should look.
struct Query<'a> {
    ends: Ends<'a>,
    reverse: bool,
    with_scores: bool,
    offset: i64,
    /// -1: all.
    count: i64,
}

impl<'a> Query<'a> {
    /// Reads a query whose key is the argument `first`. What the name of the command fixes is given; the options say the
    /// rest.
    fn parse(
        ctx: &Ctx<'a>,
        first: usize,
        fixed: Option<(By, bool)>,
        may_have_scores: bool,
    ) -> Result<Query<'a>, CmdError> {
        let args = ctx.args;
        let (mut by, mut reverse) = (fixed.map(|(by, _)| by), fixed.is_some_and(|(_, reverse)| reverse));
        let (mut with_scores, mut offset, mut count) = (false, 0, -1);
        let mut index = first + 3;
        while index < args.len() {
            if may_have_scores && args.is(index, "withscores") {
                with_scores = true;
            } else if args.is(index, "limit") && index + 2 < args.len() {
                (offset, count) = (ctx.int(index + 1)?, ctx.int(index + 2)?);
                index += 2;
            } else if fixed.is_none() && args.is(index, "rev") && !reverse {
                reverse = true;
            } else if by.is_none() && args.is(index, "bylex") {
                by = Some(By::Lex);
            } else if by.is_none() && args.is(index, "byscore") {
                by = Some(By::Score);
            } else {
                return Err(CmdError::Syntax);
            }
            index += 1;
        }
        let by = by.unwrap_or(By::Rank);
        if by == By::Rank && count != -1 {
            return Err(CmdError::coded(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if by == By::Lex && with_scores {
            return Err(CmdError::coded(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let is_swapped = reverse && by != By::Rank;
        let (min, max) = if is_swapped { (first + 2, first + 1) } else { (first + 1, first + 2) };
        let ends = Ends::parse(ctx, by, min, max)?;
        Ok(Query { ends, reverse, with_scores, offset, count })
    }

    /// The ranks that are asked for.
    fn ranks(&self, zset: ZsetRef<'_>) -> Range<usize> {
        let all = self.ends.ranks(zset, self.reverse);
        if let Ends::Ranks(..) = self.ends {
            return all;
        }
        // Before the first there is nothing.
        let Ok(offset) = usize::try_from(self.offset) else { return 0..0 };
        if offset >= all.len() {
            return 0..0;
        }
        let left = all.len() - offset;
        let count = usize::try_from(self.count).map_or(left, |count| count.min(left));
        if self.reverse {
            let end = all.end - offset;
            end - count..end
        } else {
            let start = all.start + offset;
            start..start + count
        }
    }
}

fn reply_range(ctx: &mut Ctx<'_>, fixed: Option<(By, bool)>) -> CmdResult {
    let query = Query::parse(ctx, 1, fixed, true)?;
    let Some(handle) = ctx.read(ctx.key(1)) else {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let open = ctx.open();
    let zset = open.db.value(handle).zset()?;
    let ranks = query.ranks(zset);
    let count = ranks.len();
    let members = if query.reverse { zset.range_reversed(ranks) } else { zset.range(ranks) };
    if query.with_scores {
        reply_pairs(open.reply, count);
        members.for_each(|(member, score)| reply_pair(open.reply, member, score));
    } else {
        open.reply.array(count);
        members.for_each(|(member, _)| reply_element(open.reply, member));
    }
    Ok(Outcome::Done)
}

pub(super) fn zrange(ctx: &mut Ctx<'_>) -> CmdResult {
    reply_range(ctx, None)
}

pub(super) fn zrevrange(ctx: &mut Ctx<'_>) -> CmdResult {
    reply_range(ctx, Some((By::Rank, true)))
}

pub(super) fn zrangebyscore(ctx: &mut Ctx<'_>) -> CmdResult {
    reply_range(ctx, Some((By::Score, false)))
}

pub(super) fn zrevrangebyscore(ctx: &mut Ctx<'_>) -> CmdResult {
    reply_range(ctx, Some((By::Score, true)))
}

pub(super) fn zrangebylex(ctx: &mut Ctx<'_>) -> CmdResult {
    reply_range(ctx, Some((By::Lex, false)))
}

pub(super) fn zrevrangebylex(ctx: &mut Ctx<'_>) -> CmdResult {
    reply_range(ctx, Some((By::Lex, true)))
}

pub(super) fn zrangestore(ctx: &mut Ctx<'_>) -> CmdResult {
    let query = Query::parse(ctx, 2, None, false)?;
    let tuning = &ctx.conf.tuning;
    let to = ctx.key(1);
    let mut builder = Builder::new(tuning.hash_key);
    if let Some(handle) = ctx.read(ctx.key(2)) {
        let zset = ctx.db_ref().value(handle).zset()?;
        let mut buf = [0; I64_BYTES_MAX];
        for (member, score) in zset.range(query.ranks(zset)) {
            builder.insert(score, member.bytes(&mut buf));
        }
    }
    super::algebra::store(ctx, to, builder, "zrangestore");
    Ok(Outcome::Done)
}

fn count(ctx: &mut Ctx<'_>, by: By) -> CmdResult {
    let ends = Ends::parse(ctx, by, 2, 3)?;
    let count = match ctx.read(ctx.key(1)) {
        Some(handle) => ends.ranks(ctx.db_ref().value(handle).zset()?, false).len(),
        None => 0,
    };
    ctx.reply.int(count as i64);
    Ok(Outcome::Done)
}

pub(super) fn zcount(ctx: &mut Ctx<'_>) -> CmdResult {
    count(ctx, By::Score)
}

pub(super) fn zlexcount(ctx: &mut Ctx<'_>) -> CmdResult {
    count(ctx, By::Lex)
}

fn remove(ctx: &mut Ctx<'_>, by: By, event: &'static str) -> CmdResult {
    let ends = Ends::parse(ctx, by, 2, 3)?;
    let key = ctx.key(1);
    let Some(handle) = ctx.write(key) else {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    };
    let ranks = ends.ranks(ctx.db_ref().value(handle).zset()?, false);
    let removed = ranks.len();
    if removed > 0 {
        let mut zset = ctx.take::<Zset>(handle)?;
        zset.remove_ranks(ranks);
        put_after_removal(ctx, key, zset, event);
        ctx.changed(removed as u64);
    }
    ctx.reply.int(removed as i64);
    Ok(Outcome::Done)
}

pub(super) fn zremrangebyrank(ctx: &mut Ctx<'_>) -> CmdResult {
    remove(ctx, By::Rank, "zremrangebyrank")
}

pub(super) fn zremrangebyscore(ctx: &mut Ctx<'_>) -> CmdResult {
    remove(ctx, By::Score, "zremrangebyscore")
}

pub(super) fn zremrangebylex(ctx: &mut Ctx<'_>) -> CmdResult {
    remove(ctx, By::Lex, "zremrangebylex")
}
