//! COMMAND GETKEYS and GETKEYSANDFLAGS: the keys of a request that does not run.

use super::reply_names;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::keys::{KeyAt, keys_of, may_have_keys};
use crate::engine::spec::{flag, key};

pub(super) fn getkeys(ctx: &mut Ctx<'_>) -> CmdResult {
    let keys = keys(ctx)?;
    ctx.reply.array(keys.len());
    for key in keys {
        ctx.reply.bulk(ctx.args.at(key.index + 2));
    }
    Ok(Outcome::Done)
}

pub(super) fn getkeysandflags(ctx: &mut Ctx<'_>) -> CmdResult {
    let keys = keys(ctx)?;
    ctx.reply.array(keys.len());
    for found in keys {
        ctx.reply.array(2);
        ctx.reply.bulk(ctx.args.at(found.index + 2));
        reply_names(ctx, found.flags, key::NAMES, "");
    }
    Ok(Outcome::Done)
}

fn keys(ctx: &Ctx<'_>) -> Result<Vec<KeyAt>, CmdError> {
    let request = ctx.args.tail(2);
    let row = ctx.table.resolve(&request).map_err(|_| CmdError::coded("ERR Invalid command specified"))?;
    if !may_have_keys(row) {
        return Err(CmdError::coded("ERR The command has no key arguments"));
    }
    if !row.admits(request.len()) {
        return Err(CmdError::coded("ERR Invalid number of arguments specified for command"));
    }
    match keys_of(row, request) {
        Some(keys) if !keys.is_empty() => Ok(keys),
        _ if row.has(flag::NO_MANDATORY_KEYS) => Ok(Vec::new()),
        _ => Err(CmdError::coded("ERR Invalid arguments specified for command")),
    }
}
