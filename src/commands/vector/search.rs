//! What is near: VSIM.

use super::add::EF_MAX;
use super::filter::Filter;
use super::vector::{Vector, mismatch, project};
use crate::base::double::parse_double;
use crate::base::number::parse_i64;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::types::VectorSet;
use crate::resp::{Args, Reply};
use crate::structures::hnsw::{Encoded, Scan, Search};

/// Elements that are looked behind where nobody says how many. Redis: `VSET_DEFAULT_SEARCH_EF`.
const EF_DEFAULT: usize = 100;
/// Elements that are given. Redis: `VSET_DEFAULT_COUNT`.
const COUNT_DEFAULT: usize = 10;
/// With a filter, elements that are looked behind for each that is to be given.
const EFFORT_A_RESULT: usize = 100;

/// What stands behind the vector.
struct Options {
    with_scores: bool,
    with_attributes: bool,
    count: usize,
    ef: usize,
    /// The greatest distance, of 1 at most.
    epsilon: f32,
    filter: Option<Filter>,
    effort: Option<usize>,
    is_truth: bool,
}

impl Options {
    fn parse(args: Args<'_>, mut at: usize) -> Result<Options, CmdError> {
        let mut options = Options {
            with_scores: false,
            with_attributes: false,
            count: COUNT_DEFAULT,
            ef: 0,
            epsilon: 2.0,
            filter: None,
            effort: None,
            is_truth: false,
        };
        while at < args.len() {
            let value = args.get(at + 1);
            let number = |value: &[u8], max: i64, error: &'static str| {
                let number = parse_i64(value).filter(|number| (1..=max).contains(number));
                number.map(|number| number as usize).ok_or(CmdError::coded(error))
            };
            if args.is(at, "withscores") {
                options.with_scores = true;
            } else if args.is(at, "withattribs") {
                options.with_attributes = true;
            } else if args.is(at, "truth") {
                options.is_truth = true;
            } else if args.is(at, "nothread") {
                // There is one thread.
            } else if let Some(value) = value {
                if args.is(at, "count") {
                    options.count = number(value, i64::MAX, "ERR invalid COUNT")?;
                } else if args.is(at, "epsilon") {
                    let epsilon = parse_double(value).filter(|epsilon| *epsilon > 0.0);
                    options.epsilon = epsilon.ok_or(CmdError::coded("ERR invalid EPSILON"))? as f32;
                } else if args.is(at, "ef") {
                    options.ef = number(value, EF_MAX, "ERR invalid EF")?;
                } else if args.is(at, "filter-ef") {
                    options.effort = Some(number(value, i64::MAX, "ERR invalid FILTER-EF")?);
                } else if args.is(at, "filter") {
                    options.filter = Some(Filter::compile(value)?);
                } else {
                    return Err(SYNTAX);
                }
                at += 1;
            } else {
                return Err(SYNTAX);
            }
            at += 1;
        }
        Ok(options)
    }

    /// Elements that are looked behind in a set of so many.
    fn ef(&self, len: usize) -> usize {
        let ef = if self.ef == 0 { EF_DEFAULT } else { self.ef };
        ef.max(self.count).min(len)
    }

    /// With a filter, the most elements that are looked behind.
    fn effort(&self) -> usize {
        self.effort.unwrap_or(self.count.saturating_mul(EFFORT_A_RESULT))
    }
}

const SYNTAX: CmdError = CmdError::coded("ERR syntax error in VSIM command");

pub(super) fn vsim(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    let Some(handle) = ctx.read(ctx.key(1)) else {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let open = ctx.open();
    let set = open.db.value(handle).vectors()?;
    let (query, end) = query(set, args)?;
    let options = Options::parse(args, end)?;
    let found = look(set, query, &options);
    reply(open.reply, set, &found, &options);
    Ok(Outcome::Done)
}

/// What is looked for, and the argument behind it.
fn query(set: &VectorSet, args: Args<'_>) -> Result<(Encoded, usize), CmdError> {
    let encoding = set.graph().encoding();
    if args.is(2, "ele") {
        let node = set.find(args.at(3)).ok_or(CmdError::coded("ERR element not found in set"))?;
        return Ok((encoding.encode(&set.graph().numbers(node)), 4));
    }
    let vector = Vector::parse(args, 2, false)?;
    let mut numbers = vector.numbers;
    if numbers.len() != encoding.dim {
        numbers = project(set, numbers)?;
    }
    if numbers.len() != encoding.dim {
        return Err(mismatch(numbers.len(), set));
    }
    Ok((encoding.encode(&numbers), vector.end))
}

fn look(set: &VectorSet, query: Encoded, options: &Options) -> Vec<(u32, f32)> {
    let (graph, ef) = (set.graph(), options.ef(set.len()));
    let accept = |node: u32| match &options.filter {
        None => true,
        Some(filter) => filter.run(set.attributes(node)),
    };
    if options.is_truth {
        let mut scan = Scan::new(query, ef);
        while scan.step(graph, usize::MAX, accept) {}
        return scan.finish();
    }
    let mut search = Search::new(query, ef, options.effort());
    match options.filter {
        None => while search.step(graph, usize::MAX) {},
        Some(_) => while search.step_filtered(graph, usize::MAX, accept) {},
    }
    search.finish()
}

fn reply(reply: &mut Reply<'_>, set: &VectorSet, found: &[(u32, f32)], options: &Options) {
    let is_near = |(_, distance): &&(u32, f32)| *distance / 2.0 <= options.epsilon;
    let given = found.iter().take(options.count).take_while(is_near).count();
    let (scores, attributes) = (options.with_scores, options.with_attributes);
    let is_map = reply.version() == 3 && (scores || attributes);
    if is_map {
        reply.map(given);
    } else {
        reply.array(given * (1 + usize::from(scores) + usize::from(attributes)));
    }
    for (node, distance) in &found[..given] {
        reply.bulk(set.name(*node));
        if is_map && scores && attributes {
            reply.array(2);
        }
        if scores {
            reply.double(1.0 - f64::from(*distance) / 2.0);
        }
        if attributes {
            let attributes = set.attributes(*node);
            reply.bulk_or_null((!attributes.is_empty()).then_some(attributes));
        }
    }
}
