//! MODULE: answers of a server that has no modules and can load none.
//!
//! Where `enable-module-command` lets a client ask at all, each module fails to load as one does that is not there.

use super::help::help_row;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome, quoted};
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec};

const CHANGES: u32 = ADMIN | NOSCRIPT | NO_ASYNC_LOADING | PROTECTED;

const fn row(spec: Spec, since: &'static str, cost: &'static str, summary: &'static str) -> Spec {
    spec.doc(Group::Server, since, cost, summary)
}

pub(super) const COMMANDS: &[Spec] = &[row(
    Spec::container("module", SUBCOMMANDS),
    "4.0.0",
    "Depends on subcommand.",
    "Groups the commands about modules, of which there are none.",
)
.help(HELP)];

const SUBCOMMANDS: &[Spec] = &[
    help_row(Group::Server, "5.0.0", 0),
    row(
        Spec::local("list", 2, list).flags(ADMIN | NOSCRIPT),
        "4.0.0",
        "O(N) where N is the number of loaded modules.",
        "Lists the modules: none.",
    )
    .tips(&["nondeterministic_output_order"]),
    row(
        Spec::local("load", -3, load).flags(CHANGES),
        "4.0.0",
        "O(1)",
        "Would load a module; this server can load none.",
    )
    .syntax("path arg?+"),
    row(
        Spec::local("loadex", -3, load).flags(CHANGES),
        "7.0.0",
        "O(1)",
        "Would load a module with settings of its own; this server can load none.",
    )
    .syntax("path CONFIG=configs{name value}?+^ ARGS=args?+"),
    row(
        Spec::local("unload", 3, unload).flags(CHANGES),
        "4.0.0",
        "O(1)",
        "Would take a module away; there is none.",
    )
    .syntax("name"),
];

const HELP: &[&str] = &[
    "LIST",
    "    Return a list of loaded modules.",
    "LOAD <path> [<arg> ...]",
    "    Load a module library from <path>, passing to it any optional arguments.",
    "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
    "    Load a module library from <path>, while passing it module configurations and optional arguments.",
    "UNLOAD <name>",
    "    Unload a module.",
];

fn list(ctx: &mut Ctx<'_>) -> CmdResult {
    ctx.reply.array(0);
    Ok(Outcome::Done)
}

fn load(ctx: &mut Ctx<'_>) -> CmdResult {
    log::warn!("Module {} failed to load: this server has no modules", quoted(ctx.args.at(2)));
    Err(CmdError::coded("ERR Error loading the extension. Please check the server logs."))
}

fn unload(_: &mut Ctx<'_>) -> CmdResult {
    Err(CmdError::coded("ERR Error unloading module: no such module with that name"))
}
