//! Commands about the connection itself.

use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec, acl};

pub(super) const COMMANDS: &[Spec] = &[
    Spec::local("echo", 2, echo)
        .flags(LOADING | STALE | FAST)
        .acl(acl::CONNECTION)
        .doc(Group::Connection, "1.0.0", "O(1)", "Gives back what it was given.")
        .syntax("message:string"),
    Spec::local("ping", -1, ping)
        .flags(FAST)
        .acl(acl::CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .doc(Group::Connection, "1.0.0", "O(1)", "Tells that the server is there.")
        .syntax("message:string?"),
    Spec::local("select", 2, select)
        .flags(LOADING | STALE | FAST)
        .acl(acl::CONNECTION)
        .doc(Group::Connection, "1.0.0", "O(1)", "Chooses the database of the connection.")
        .syntax("index:integer"),
];

fn echo(ctx: &mut Ctx<'_>) -> CmdResult {
    ctx.reply.bulk(ctx.args.at(1));
    Ok(Outcome::Done)
}

fn ping(ctx: &mut Ctx<'_>) -> CmdResult {
    match ctx.args.get(1) {
        None => ctx.reply.raw(b"+PONG\r\n"),
        Some(message) => ctx.reply.bulk(message),
    }
    Ok(Outcome::Done)
}

fn select(ctx: &mut Ctx<'_>) -> CmdResult {
    let index = ctx.int(1)?;
    if index < 0 || index >= ctx.dbs().count() as i64 {
        return Err(CmdError::coded("ERR DB index is out of range"));
    }
    *ctx.db_index = index as u32;
    ctx.reply.ok();
    Ok(Outcome::Done)
}
