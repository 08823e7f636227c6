//! Elements come and go: VADD, VREM.

use super::vector::{Vector, mismatch, project};
use crate::base::number::parse_i64;
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::Taken;
use crate::keyspace::types::VectorSet;
use crate::keyspace::types::vector::{M_DEFAULT, M_MAX, M_MIN, Shape};
use crate::resp::Args;
use crate::structures::hnsw::{Placement, Quant};

/// Nodes near a new one that are looked for where nobody says how many. Redis: `VSET_DEFAULT_C_EF`.
const EF_DEFAULT: usize = 200;
/// Most that may be asked for.
pub(super) const EF_MAX: i64 = 1_000_000;

/// What stands behind the element.
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
            // It has no effect here: nothing else runs meanwhile, or nothing that could be seen.
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

pub(super) fn vadd(ctx: &mut Ctx<'_>) -> CmdResult {
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
            add(&mut set, name, options.attributes, &numbers, options.ef);
            ctx.store(key, set);
            true
        }
        Some(handle) => {
            let set = ctx.db_ref().value(handle).vectors()?;
            fits(set, &vector, &options)?;
            let numbers = project(set, vector.numbers)?;
            let mut set = ctx.take::<Box<VectorSet>>(handle)?;
            let added = add(&mut set, name, options.attributes, &numbers, options.ef);
            put(ctx, key, set);
            added
        }
    };
    ctx.changed(1);
    ctx.reply.bool(added);
    Ok(Outcome::Done)
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
fn add(set: &mut VectorSet, name: &[u8], attributes: Option<&[u8]>, numbers: &[f32], ef: usize) -> bool {
    let vector = set.graph().encoding().encode(numbers);
    let old = set.find(name);
    let attributes = match (attributes, old) {
        (Some(attributes), _) => attributes.to_vec(),
        (None, Some(node)) => set.attributes(node).to_vec(),
        (None, None) => Vec::new(),
    };
    if let Some(node) = old {
        set.remove(node);
    }
    let mut placement: Placement = set.placement(vector, ef);
    while placement.step(set.graph(), usize::MAX) {}
    set.add(name, &attributes, placement);
    old.is_none()
}

/// Puts a set back that was changed; false when it is gone.
pub(super) fn put(ctx: &mut Ctx<'_>, key: Key<'_>, set: Taken<Box<VectorSet>>) -> bool {
    ctx.put(key, set)
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
    put(ctx, key, set);
    ctx.changed(1);
    ctx.reply.bool(true);
    Ok(Outcome::Done)
}
