//! What is in a vector set: VCARD, VDIM, VISMEMBER, VEMB, VRANGE, VRANDMEMBER.

use super::read;
use crate::base::number::parse_i64;
use crate::commands::{allows_picks, hard_limit_bytes, is_too_much};
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::structures::hnsw::Quant;
use std::collections::BTreeSet;
use std::ops::Bound;

/// Up to this share of all elements some of them are drawn one by one; beyond it all are shuffled.
const DRAWN_SHARE: usize = 5;

pub(super) fn vcard(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let len = read(ctx, key)?.map_or(0, |set| set.len());
    ctx.reply.int(len as i64);
    Ok(Outcome::Done)
}

pub(super) fn vdim(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let set = read(ctx, key)?.ok_or(CmdError::coded("ERR key does not exist"))?;
    let dim = set.graph().encoding().dim;
    ctx.reply.int(dim as i64);
    Ok(Outcome::Done)
}

pub(super) fn vismember(ctx: &mut Ctx<'_>) -> CmdResult {
    let (key, args) = (ctx.key(1), ctx.args);
    let is_member = read(ctx, key)?.is_some_and(|set| set.find(args.at(2)).is_some());
    ctx.reply.bool(is_member);
    Ok(Outcome::Done)
}

pub(super) fn vemb(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    if (3..args.len()).any(|at| !args.is(at, "raw")) {
        return Err(CmdError::coded("ERR invalid option"));
    }
    let found = ctx.read(ctx.key(1));
    let open = ctx.open();
    let set = match found {
        None => None,
        Some(handle) => Some(open.db.value(handle).vectors()?),
    };
    let Some((graph, node)) = set.and_then(|set| Some((set.graph(), set.find(args.at(2))?))) else {
        open.reply.null();
        return Ok(Outcome::Done);
    };
    if args.len() == 3 {
        let numbers = graph.numbers(node);
        open.reply.array(numbers.len());
        numbers.into_iter().for_each(|number| open.reply.double(f64::from(number)));
        return Ok(Outcome::Done);
    }
    let encoding = graph.encoding();
    let (words, range) = graph.vector(node);
    let has_range = encoding.quant == Quant::Q8;
    let mut bytes = Vec::new();
    encoding.to_bytes(words, &mut bytes);
    open.reply.array(3 + usize::from(has_range));
    open.reply.status(encoding.quant.name());
    open.reply.bulk(&bytes);
    open.reply.double(f64::from(graph.length(node)));
    if has_range {
        open.reply.double(f64::from(range));
    }
    Ok(Outcome::Done)
}

/// The end of a range of names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End<'a> {
    Least,
    Greatest,
    /// This name, and whether it belongs to the range.
    Name(&'a [u8], bool),
}

impl<'a> End<'a> {
    fn parse(text: &'a [u8]) -> Option<End<'a>> {
        match text {
            b"-" => Some(End::Least),
            b"+" => Some(End::Greatest),
            [b'[', name @ ..] if !name.is_empty() => Some(End::Name(name, true)),
            [b'(', name @ ..] if !name.is_empty() => Some(End::Name(name, false)),
            _ => None,
        }
    }
}

pub(super) fn vrange(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    if args.len() > 5 {
        return Err(CmdError::Arity(ctx.row.full_name));
    }
    let count = match args.get(4) {
        None => -1,
        Some(count) => parse_i64(count).ok_or(CmdError::coded("ERR invalid COUNT value"))?,
    };
    let start = End::parse(args.at(2)).ok_or(CmdError::coded("ERR invalid start range format"))?;
    let end = End::parse(args.at(3)).ok_or(CmdError::coded("ERR invalid end range format"))?;
    if start == End::Greatest || end == End::Least {
        return Err(CmdError::coded("ERR '-' can only be used as first argument, '+' only as second"));
    }
    let found = ctx.read(ctx.key(1));
    let open = ctx.open();
    let Some(handle) = found else {
        open.reply.array(0);
        return Ok(Outcome::Done);
    };
    let set = open.db.value(handle).vectors()?;
    let from = match start {
        End::Name(name, true) => Bound::Included(name),
        End::Name(name, false) => Bound::Excluded(name),
        End::Least | End::Greatest => Bound::Unbounded,
    };
    let is_within = |name: &&[u8]| match end {
        End::Name(last, belongs) => *name < last || (belongs && *name == last),
        End::Least | End::Greatest => true,
    };
    // A negative count bounds nothing.
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let names: Vec<&[u8]> = set.range(from).take_while(is_within).take(count).collect();
    open.reply.array(names.len());
    names.into_iter().for_each(|name| open.reply.bulk(name));
    Ok(Outcome::Done)
}

pub(super) fn vrandmember(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    if args.len() > 3 {
        return Err(CmdError::Arity(ctx.row.full_name));
    }
    let count = match args.get(2) {
        None => None,
        Some(count) => Some(parse_i64(count).ok_or(CmdError::coded("ERR COUNT value is not an integer"))?),
    };
    if count == Some(0) {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    }
    let Some(handle) = ctx.read(ctx.key(1)) else {
        match count {
            None => ctx.reply.null(),
            Some(_) => ctx.reply.array(0),
        }
        return Ok(Outcome::Done);
    };
    let wanted = count.map_or(1, |count| usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX));
    let (allowed, bound) = (allows_picks(ctx, wanted), hard_limit_bytes(ctx.conf));
    let open = ctx.open();
    let set = open.db.value(handle).vectors()?;
    let graph = set.graph();
    match count {
        None => {
            if let Some(node) = graph.random(open.rng) {
                open.reply.bulk(set.name(node));
            }
        }
        Some(..0) => {
            if !allowed {
                return Err(CmdError::coded("ERR value is out of range"));
            }
            open.reply.array(wanted);
            for _ in 0..wanted {
                if is_too_much(open.reply, bound) {
                    break;
                }
                if let Some(node) = graph.random(open.rng) {
                    open.reply.bulk(set.name(node));
                }
            }
        }
        Some(_) => {
            let wanted = wanted.min(set.len());
            open.reply.array(wanted);
            if wanted <= set.len() / DRAWN_SHARE {
                let mut given = BTreeSet::new();
                while given.len() < wanted
                    && let Some(node) = graph.random(open.rng)
                {
                    if given.insert(node) {
                        open.reply.bulk(set.name(node));
                    }
                }
            } else {
                let mut nodes: Vec<u32> = (0..set.len() as u32).collect();
                open.rng.shuffle(&mut nodes);
                nodes.iter().take(wanted).for_each(|node| open.reply.bulk(set.name(*node)));
            }
        }
    }
    Ok(Outcome::Done)
}
