//! Attributes of elements: VSETATTR, VGETATTR.

use super::read;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdResult, Outcome};
use crate::keyspace::types::VectorSet;

pub(super) fn vsetattr(ctx: &mut Ctx<'_>) -> CmdResult {
    let (key, args) = (ctx.key(1), ctx.args);
    let found = match ctx.write(key) {
        None => None,
        Some(handle) => ctx.db_ref().value(handle).vectors()?.find(args.at(2)).map(|node| (handle, node)),
    };
    let Some((handle, node)) = found else {
        ctx.reply.bool(false);
        return Ok(Outcome::Done);
    };
    let mut set = ctx.take::<Box<VectorSet>>(handle)?;
    set.set_attributes(node, args.at(3));
    ctx.put(key, set);
    ctx.changed(1);
    ctx.reply.bool(true);
    Ok(Outcome::Done)
}

pub(super) fn vgetattr(ctx: &mut Ctx<'_>) -> CmdResult {
    let (key, args) = (ctx.key(1), ctx.args);
    let attributes = read(ctx, key)?.and_then(|set| Some(set.attributes(set.find(args.at(2))?)));
    let attributes = attributes.filter(|attributes| !attributes.is_empty()).map(<[u8]>::to_vec);
    ctx.reply.bulk_or_null(attributes.as_deref());
    Ok(Outcome::Done)
}
