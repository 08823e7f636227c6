//! Elements come and go: VADD, VREM.

use super::argument::{Vector, mismatch, project};
use super::pace::{NEIGHBOURS_LOOKED_AT, SLICED_FROM_NS, cost_ns, distances_a_slice};
use crate::base::number::parse_i64;
use crate::base::rng::Rng;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::slices::Work;
use crate::engine::{Call, Engine};
use crate::keyspace::types::VectorSet;
use crate::keyspace::types::vector::{M_DEFAULT, M_MAX, M_MIN, Shape};
use crate::resp::Args;
use crate::structures::hnsw::{Placement, Quant};
use std::any::Any;

/// Nodes near a new one that are looked for where nobody says how many. Redis: `VSET_DEFAULT_C_EF`.
const EF_DEFAULT: usize = 200;
/// Most that may be asked for.
pub(super) const EF_MAX: i64 = 1_000_000;

/// What stands after the element.
struct Options<'a> {
    quant: Quant,
    ef: usize,
    m: usize,
    attributes: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>, mut at: usize) -> Result<Options<'a>, CmdError> {
        let mut options = Options { quant: Quant::Q8, ef: EF_DEFAULT, m: M_DEFAULT, attributes: None };
        while at < args.len() {
            let has_value = at + 1 < args.len();
            let behind = at + 1;
            let number = |min: i64, max: i64, error: &'static str| {
                let number = parse_i64(args.at(behind)).filter(|number| (min..=max).contains(number));
                number.map(|number| number as usize).ok_or(CmdError::coded(error))
            };
            at += 1;
            // What is long goes on in slices anyway.
            if args.is(at - 1, "cas") {
            } else if args.is(at - 1, "ef") && has_value {
                at += 1;
                options.ef = number(1, EF_MAX, "ERR invalid EF")?;
            } else if args.is(at - 1, "m") && has_value {
                at += 1;
                options.m = number(M_MIN as i64, M_MAX as i64, "ERR invalid M")?;
            } else if args.is(at - 1, "setattr") && has_value {
                options.attributes = Some(args.at(at));
                at += 1;
            } else if args.is(at - 1, "noquant") {
                options.quant = Quant::None;
            } else if args.is(at - 1, "bin") {
                options.quant = Quant::Bin;
            } else if args.is(at - 1, "q8") {
                options.quant = Quant::Q8;
            } else {
                return Err(CmdError::coded("ERR invalid option after element"));
            }
        }
        Ok(options)
    }
}

/// The place of a vector that is looked for in slices.
struct Placing {
    set: VectorSet,
    placement: Placement,
}

impl Work for Placing {
    fn step(&mut self) -> bool {
        let graph = self.set.graph();
        self.placement.step(graph, distances_a_slice(graph))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

pub(super) fn vadd(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let finished = engine.take_finished::<Placing>();
    let may_wait = finished.is_none() && engine.may_wait(call);
    match engine.with_ctx(call, |ctx| add_or_begin(ctx, finished, may_wait))? {
        Some(placing) => Ok(engine.go_on_in_slices(Box::new(placing))),
        None => Ok(Outcome::Done),
    }
}

/// Adds an element. What would take long begins instead, if it may, and is returned; when it is finished it is used.
fn add_or_begin(
    ctx: &mut Ctx<'_>,
    finished: Option<Box<Placing>>,
    may_wait: bool,
) -> Result<Option<Placing>, CmdError> {
    let args = ctx.args;
    let vector = Vector::parse(args, 2, true)?;
    let Some(name) = args.get(vector.end) else { return Err(CmdError::Arity(ctx.row.full_name)) };
    let options = Options::parse(args, vector.end + 1)?;
    let key = ctx.key(1);
    let added = match ctx.write(key) {
        None => {
            let shape = Shape {
                dim: vector.numbers.len(),
                reduced: vector.reduced,
                quant: options.quant,
                m: options.m,
            };
            let mut set = Box::new(VectorSet::new(shape, ctx.rng.next_u64()));
            let numbers = project(&set, vector.numbers)?;
            let placement = begin(&set, &numbers, options.ef, ctx.rng);
            set.add(name, options.attributes.unwrap_or_default(), placement);
            ctx.store(key, set);
            true
        }
        Some(handle) => {
            let set = ctx.db_ref().value(handle).vectors()?;
            fits(set, &vector, &options)?;
            let numbers = project(set, vector.numbers)?;
            let is_long = cost_ns(set.graph(), options.ef * NEIGHBOURS_LOOKED_AT) > SLICED_FROM_NS;
            if may_wait && is_long {
                let frozen = set.frozen();
                let placement = begin(&frozen, &numbers, options.ef, ctx.rng);
                return Ok(Some(Placing { set: frozen, placement }));
            }
            let found = finished.filter(|placing| placing.set.uid() == set.uid());
            // Dropped with it is a copy whose memory must not be shared any more when the set changes.
            let found = found.map(|placing| placing.placement);
            let mut set = ctx.take::<Box<VectorSet>>(handle)?;
            let placement = found.unwrap_or_else(|| begin(&set, &numbers, options.ef, ctx.rng));
            let added = add(&mut set, name, options.attributes, placement);
            ctx.put(key, set);
            added
        }
    };
    ctx.changed(1);
    ctx.reply.bool(added);
    Ok(None)
}

/// Begins to look for the place of a vector.
fn begin(set: &VectorSet, numbers: &[f32], ef: usize, rng: &mut Rng) -> Placement {
    let graph = set.graph();
    Placement::new(graph, graph.encoding().encode(numbers), ef, graph.random_level(rng))
}

/// Whether a vector can become one of a set.
fn fits(set: &VectorSet, vector: &Vector, options: &Options<'_>) -> Result<(), CmdError> {
    let (encoding, dim) = (set.graph().encoding(), vector.numbers.len());
    if encoding.quant != options.quant {
        return Err(CmdError::coded("ERR asked quantization mismatch with existing vector set"));
    }
    if set.graph().m() != options.m {
        return Err(CmdError::coded("ERR asked M value mismatch with existing vector set"));
    }
    let given = if set.projection().is_some() { vector.reduced } else { Some(dim) };
    if given != Some(encoding.dim) {
        return Err(mismatch(dim, set));
    }
    if vector.reduced.is_some() && set.projection().is_none() {
        return Err(CmdError::coded("ERR cannot add projection to existing set without projection"));
    }
    Ok(())
}

/// Adds an element, or gives it another vector: false then. No attributes are those that it has; empty ones take them away.
fn add(set: &mut VectorSet, name: &[u8], attributes: Option<&[u8]>, mut placement: Placement) -> bool {
    while placement.step(set.graph(), usize::MAX) {}
    match set.find(name) {
        Some(node) => {
            let attributes = attributes.map_or_else(|| set.attributes(node).to_vec(), <[u8]>::to_vec);
            set.replace(node, &attributes, placement);
            false
        }
        None => {
            set.add(name, attributes.unwrap_or_default(), placement);
            true
        }
    }
}

pub(super) fn vrem(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let found = match ctx.write(key) {
        None => None,
        Some(handle) => {
            let set = ctx.db_ref().value(handle).vectors()?;
            set.find(ctx.args.at(2)).map(|node| (handle, node))
        }
    };
    let Some((handle, node)) = found else {
        ctx.reply.bool(false);
        return Ok(Outcome::Done);
    };
    let mut set = ctx.take::<Box<VectorSet>>(handle)?;
    set.remove(node);
    ctx.put(key, set);
    ctx.changed(1);
    ctx.reply.bool(true);
    Ok(Outcome::Done)
}
