//! What is near: VSIM.

use super::add::EF_MAX;
use super::argument::{Vector, mismatch, project};
use super::filter::Filter;
use super::pace::{NEIGHBOURS_LOOKED_AT, SLICED_FROM_NS, cost_ns, distances_a_slice};
use crate::base::double::parse_double;
use crate::base::number::parse_i64;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::slices::Work;
use crate::engine::{Call, Engine};
use crate::keyspace::types::VectorSet;
use crate::resp::{Args, Reply};
use crate::structures::hnsw::search::Found;
use crate::structures::hnsw::{Encoded, Scan, Search};
use std::any::Any;

/// Elements that are looked behind where nobody says how many. Redis: `VSET_DEFAULT_SEARCH_EF`.
const EF_DEFAULT: usize = 100;
/// Elements that are given. Redis: `VSET_DEFAULT_COUNT`.
const COUNT_DEFAULT: usize = 10;
/// With a filter, elements that are looked behind for each that is to be given.
const EFFORT_A_RESULT: usize = 100;

/// What stands after the vector.
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

    /// Distances that a search of so many elements computes, about.
    fn distances(&self, len: usize) -> usize {
        match &self.filter {
            _ if self.is_truth => len,
            None => self.ef(len).saturating_mul(NEIGHBOURS_LOOKED_AT),
            Some(_) => self.effort().max(self.ef(len)).saturating_mul(NEIGHBOURS_LOOKED_AT),
        }
    }

    /// How often the time of a distance each of them takes, with the filter.
    fn evaluation_cost(&self) -> usize {
        self.filter.as_ref().map_or(1, |filter| 1 + filter.cost())
    }
}

const SYNTAX: CmdError = CmdError::coded("ERR syntax error in VSIM command");

/// A search that is under way.
enum Look {
    All(Scan),
    Near(Search),
}

impl Look {
    fn new(set: &VectorSet, query: Encoded, options: &Options) -> Look {
        let ef = options.ef(set.len());
        match options.is_truth {
            true => Look::All(Scan::new(query, ef)),
            false => Look::Near(Search::new(query, ef, options.effort())),
        }
    }

    /// Computes some `budget` distances. True when there is more to do.
    fn step(&mut self, set: &VectorSet, options: &Options, budget: usize) -> bool {
        let graph = set.graph();
        match (self, &options.filter) {
            (Look::All(scan), None) => scan.step(graph, budget, |_| true),
            (Look::All(scan), Some(filter)) => {
                scan.step(graph, budget, |node| filter.run(set.attributes(node)))
            }
            (Look::Near(search), None) => search.step(graph, budget),
            (Look::Near(search), Some(filter)) => {
                search.step_filtered(graph, budget, |node| filter.run(set.attributes(node)))
            }
        }
    }

    fn finish(self) -> Found {
        match self {
            Look::All(scan) => scan.finish(),
            Look::Near(search) => search.finish(),
        }
    }
}

/// A search that goes on in slices.
struct Looking {
    set: VectorSet,
    options: Options,
    look: Look,
}

impl Work for Looking {
    fn step(&mut self) -> bool {
        let budget = distances_a_slice(self.set.graph()) / self.options.evaluation_cost();
        self.look.step(&self.set, &self.options, budget.max(1))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

pub(super) fn vsim(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if let Some(finished) = engine.take_finished::<Looking>() {
        let Looking { set, options, look } = *finished;
        reply(&mut engine.reply(call.slot), &set, &look.finish(), &options);
        engine.let_go(Box::new(set));
        return Ok(Outcome::Done);
    }
    let may_wait = engine.may_wait(call);
    match engine.with_ctx(call, |ctx| look_or_begin(ctx, may_wait))? {
        Some(looking) => Ok(engine.go_on_in_slices(Box::new(looking))),
        None => Ok(Outcome::Done),
    }
}

/// Searches and replies. What would take long begins instead, if it may, and is returned.
fn look_or_begin(ctx: &mut Ctx<'_>, may_wait: bool) -> Result<Option<Looking>, CmdError> {
    let args = ctx.args;
    let Some(handle) = ctx.read(ctx.key(1)) else {
        ctx.reply.array(0);
        return Ok(None);
    };
    let open = ctx.open();
    let set = open.db.value(handle).vectors()?;
    let (query, end) = query(set, args)?;
    let options = Options::parse(args, end)?;
    let mut look = Look::new(set, query, &options);
    let cost_ns = cost_ns(set.graph(), options.distances(set.len())) * options.evaluation_cost();
    if may_wait && cost_ns > SLICED_FROM_NS {
        return Ok(Some(Looking { set: set.frozen(), options, look }));
    }
    while look.step(set, &options, usize::MAX) {}
    reply(open.reply, set, &look.finish(), &options);
    Ok(None)
}

/// What is looked for, and the argument after it.
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
