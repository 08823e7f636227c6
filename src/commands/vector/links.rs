//! What the graph looks like: VLINKS, VINFO.

use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};

pub(super) fn vlinks(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    let with_scores = args.len() == 4 && args.is(3, "withscores");
    if args.len() > 4 || (args.len() == 4 && !with_scores) {
        return Err(CmdError::Arity(ctx.row.full_name));
    }
    let found = ctx.read(ctx.key(1));
    let open = ctx.open();
    let set = match found {
        None => None,
        Some(handle) => Some(open.db.value(handle).vectors()?),
    };
    let Some((set, node)) = set.and_then(|set| Some((set, set.find(args.at(2))?))) else {
        open.reply.null();
        return Ok(Outcome::Done);
    };
    let graph = set.graph();
    open.reply.array(graph.level(node) + 1);
    for level in (0..=graph.level(node)).rev() {
        let links = graph.links(node, level);
        if with_scores {
            open.reply.map(links.len());
        } else {
            open.reply.array(links.len());
        }
        for link in links {
            open.reply.bulk(set.name(*link));
            if with_scores {
                let distance = f64::from(graph.distance(node, *link));
                open.reply.double(f64::from((1.0 - distance / 2.0) as f32));
            }
        }
    }
    Ok(Outcome::Done)
}

pub(super) fn vinfo(ctx: &mut Ctx<'_>) -> CmdResult {
    let Some(handle) = ctx.read(ctx.key(1)) else {
        ctx.reply.null_array();
        return Ok(Outcome::Done);
    };
    let open = ctx.open();
    let set = open.db.value(handle).vectors()?;
    let (graph, encoding) = (set.graph(), set.graph().encoding());
    open.reply.map(9);
    open.reply.status("quant-type");
    open.reply.status(encoding.quant.name());
    let numbers = [
        ("hnsw-m", graph.m() as u64),
        ("vector-dim", encoding.dim as u64),
        ("projection-input-dim", set.projection().map_or(0, |projection| projection.from as u64)),
        ("size", set.len() as u64),
        ("max-level", graph.top() as u64),
        ("attributes-count", set.attributes_len() as u64),
        ("vset-uid", set.uid()),
        ("hnsw-max-node-uid", set.last_id()),
    ];
    for (name, number) in numbers {
        open.reply.status(name);
        open.reply.int(number as i64);
    }
    Ok(Outcome::Done)
}
