//! Commands about the server as a whole that need no file of their own.

use super::help::help_row;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec};
use crate::engine::{Call, Engine};
use crate::resp::reply::Reply;

pub(super) const COMMANDS: &[Spec] = &[
    Spec::global("time", 1, time, "the clock goes on while a script lets others speak")
        .flags(LOADING | STALE | FAST)
        .tips(&["nondeterministic_output"])
        .doc(Group::Server, "2.6.0", "O(1)", "Tells the wall clock of the server."),
    Spec::global("monitor", 1, monitor, "its client is told of all others' commands")
        .flags(ADMIN | NOSCRIPT | LOADING | STALE)
        .doc(Group::Server, "1.0.0", "", "Shows every command that runs, as it runs."),
    Spec::container("module", MODULE)
        .doc(Group::Server, "4.0.0", "Depends on subcommand.", "Groups the commands about modules.")
        .help(MODULE_HELP),
];

const MODULE: &[Spec] = &[
    Spec::local("list", 2, module_list).flags(ADMIN | NOSCRIPT).tips(&["nondeterministic_output_order"]).doc(
        Group::Server,
        "4.0.0",
        "O(N) where N is the number of loaded modules.",
        "Lists the loaded modules: vector sets, which belong to the server.",
    ),
    Spec::local("load", -3, module_load)
        .flags(ADMIN | NOSCRIPT | NO_ASYNC_LOADING | PROTECTED | LOADS_MODULES)
        .doc(Group::Server, "4.0.0", "O(1)", "Would load a module; this server takes none.")
        .syntax("path arg?+"),
    help_row(Group::Server, "5.0.0", 0),
    Spec::local("loadex", -3, module_load)
        .flags(ADMIN | NOSCRIPT | NO_ASYNC_LOADING | PROTECTED | LOADS_MODULES)
        .doc(Group::Server, "7.0.0", "O(1)", "Would load a module with its settings; this server takes none.")
        .syntax("path CONFIG=configs{name value}?+^ ARGS=args?+"),
    Spec::local("unload", 3, module_unload)
        .flags(ADMIN | NOSCRIPT | NO_ASYNC_LOADING | PROTECTED | LOADS_MODULES)
        .doc(Group::Server, "4.0.0", "O(1)", "Unloads a module.")
        .syntax("name"),
];

const MODULE_HELP: &[&str] = &[
    "LIST",
    "    Return a list of loaded modules.",
    "LOAD <path> [<arg> ...]",
    "    Load a module library from <path>, passing to it any optional arguments.",
    "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
    "    Load a module library from <path>, while passing it module configurations and optional arguments.",
    "UNLOAD <name>",
    "    Unload a module.",
];

fn time(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let us = engine.clock_us();
    let mut reply = engine.reply(call.slot);
    reply.array(2);
    reply.bulk_int((us / 1_000_000) as i64);
    reply.bulk_int((us % 1_000_000) as i64);
    Ok(Outcome::Done)
}

fn monitor(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if engine.is_nested() {
        return Err(CmdError::err("MONITOR isn't allowed for DENY BLOCKING client"));
    }
    // Redis says nothing to a second one.
    if engine.add_monitor(call.id) {
        engine.reply(call.slot).ok();
    }
    Ok(Outcome::Done)
}

/// What is a module in Redis, and belongs to the server here: vector sets.
pub(super) const VECTOR_SETS: &str = "vectorset";

/// The modules, as MODULE LIST and HELLO tell of them: clients look there for vector sets.
pub(super) fn reply_modules(reply: &mut Reply<'_>) {
    reply.array(1);
    reply.map(4);
    reply.bulk(b"name");
    reply.bulk(VECTOR_SETS.as_bytes());
    reply.bulk(b"ver");
    reply.int(1);
    reply.bulk(b"path");
    reply.bulk(b"");
    reply.bulk(b"args");
    reply.array(0);
}

fn module_list(ctx: &mut Ctx<'_>) -> CmdResult {
    reply_modules(&mut ctx.reply);
    Ok(Outcome::Done)
}

fn module_load(ctx: &mut Ctx<'_>) -> CmdResult {
    let path = String::from_utf8_lossy(ctx.args.at(2)).into_owned();
    log::warn!("Module {path} failed to load: this server takes no modules");
    Err(CmdError::coded("ERR Error loading the extension. Please check the server logs."))
}

fn module_unload(ctx: &mut Ctx<'_>) -> CmdResult {
    if ctx.args.at(2) == VECTOR_SETS.as_bytes() {
        let text = "the module exports one or more module-side data types, can't unload";
        return Err(CmdError::Text(format!("ERR Error unloading module: {text}").into()));
    }
    Err(CmdError::coded("ERR Error unloading module: no such module with that name"))
}
