//! COMMAND: what the table says about its rows.

mod docs;
mod info;
mod keys;
mod manual;

pub use manual::markdown;

use crate::base::glob::glob_match;
use crate::commands::help::help_row;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::{LOADING, STALE};
use crate::engine::spec::{Group, Spec, acl};
use crate::engine::table::Row;

const ALL: &str = "O(N) where N is the number of commands.";
const NAMED: &str = "O(N) where N is the number of commands that are asked for.";
const ARGUMENTS: &str = "O(N) where N is the number of arguments.";
const ANY_ORDER: &[&str] = &["nondeterministic_output_order"];

pub(super) const COMMANDS: &[Spec] = &[Spec::local("command", -1, info::all)
    .subs(&[
        Spec::local("count", 2, count).flags(LOADING | STALE).acl(acl::CONNECTION).doc(
            Group::Server,
            "2.8.13",
            "O(1)",
            "Counts the commands.",
        ),
        Spec::local("docs", -2, docs::docs)
            .flags(LOADING | STALE)
            .acl(acl::CONNECTION)
            .tips(ANY_ORDER)
            .doc(Group::Server, "7.0.0", NAMED, "Documents commands for people.")
            .syntax("command-name?+"),
        Spec::local("getkeys", -3, keys::getkeys)
            .flags(LOADING | STALE)
            .acl(acl::CONNECTION)
            .doc(Group::Server, "2.8.13", ARGUMENTS, "Lists the keys of a request.")
            .syntax("command arg?+"),
        Spec::local("getkeysandflags", -3, keys::getkeysandflags)
            .flags(LOADING | STALE)
            .acl(acl::CONNECTION)
            .doc(Group::Server, "7.0.0", ARGUMENTS, "Lists the keys of a request and what happens to them.")
            .syntax("command arg?+"),
        help_row(Group::Server, "5.0.0", acl::CONNECTION),
        Spec::local("info", -2, info::info)
            .flags(LOADING | STALE)
            .acl(acl::CONNECTION)
            .tips(ANY_ORDER)
            .doc(Group::Server, "2.8.13", NAMED, "Describes commands for programs.")
            .syntax("command-name?+")
            .history(&[("7.0.0", "Without a name all commands are described.")]),
        Spec::local("list", -2, list)
            .flags(LOADING | STALE)
            .acl(acl::CONNECTION)
            .tips(ANY_ORDER)
            .doc(Group::Server, "7.0.0", ALL, "Lists the names of the commands.")
            .syntax("FILTERBY=filterby(MODULE=module-name | ACLCAT=category | PATTERN=pattern:pattern)?"),
    ])
    .flags(LOADING | STALE)
    .acl(acl::CONNECTION)
    .tips(ANY_ORDER)
    .doc(Group::Server, "2.8.13", ALL, "Describes all commands for programs.")
    .help(&[
        "(no subcommand)",
        "    Return details about all Redis commands.",
        "COUNT",
        "    Return the total number of commands in this Redis server.",
        "LIST",
        "    Return a list of all commands in this Redis server.",
        "INFO [<command-name> ...]",
        "    Return details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "GETKEYS <full-command>",
        "    Return the keys from a full Redis command.",
        "GETKEYSANDFLAGS <full-command>",
        "    Return the keys and the access flags from a full Redis command.",
    ])];

/// Replies with the names of the `bits` that are set, as a set.
fn reply_names(ctx: &mut Ctx<'_>, bits: u32, names: &[(u32, &str)], prefix: &str) {
    ctx.reply.set(names.iter().filter(|(bit, _)| bits & bit != 0).count());
    for (_, name) in names.iter().filter(|(bit, _)| bits & bit != 0) {
        ctx.reply.status(&format!("{prefix}{name}"));
    }
}

fn count(ctx: &mut Ctx<'_>) -> CmdResult {
    let count = ctx.table.commands().count();
    ctx.reply.int(count as i64);
    Ok(Outcome::Done)
}

fn list(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    let is_wanted: Box<dyn Fn(&Row) -> bool> = match args.len() {
        2 => Box::new(|_| true),
        5 if args.is(2, "filterby") && args.is(3, "module") => Box::new(|_| false),
        5 if args.is(2, "filterby") && args.is(3, "aclcat") => {
            let category = acl::NAMES.iter().find(|(_, name)| args.is(4, name)).map_or(0, |(bit, _)| *bit);
            Box::new(move |row| row.categories & category != 0)
        }
        5 if args.is(2, "filterby") && args.is(3, "pattern") => {
            Box::new(move |row| glob_match(args.at(4), row.full_name.as_bytes(), true))
        }
        _ => return Err(CmdError::Syntax),
    };
    let names: Vec<&str> =
        ctx.table.rows().iter().filter(|row| is_wanted(row)).map(|row| row.full_name).collect();
    ctx.reply.array(names.len());
    for name in names {
        ctx.reply.bulk(name.as_bytes());
    }
    Ok(Outcome::Done)
}
