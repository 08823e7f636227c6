//! SLOWLOG: the commands that took long.

use super::help::help_row;
use crate::base::number::parse_i64;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec};
use crate::engine::{Call, Engine};

const WHY: &str = "the slow log belongs to the whole server";
const SHOWN: Spec = Spec::container("slowlog", SUBCOMMANDS);

pub(super) const COMMANDS: &[Spec] = &[SHOWN
    .doc(Group::Server, "2.2.12", "Depends on subcommand.", "Groups the commands about the slow log.")
    .help(HELP)];

const SUBCOMMANDS: &[Spec] = &[
    Spec::global("len", 2, len, WHY)
        .flags(ADMIN | LOADING | STALE)
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"])
        .doc(Group::Server, "2.2.12", "O(1)", "Counts the entries of the slow log."),
    help_row(Group::Server, "6.2.0", 0),
    Spec::global("get", -2, get, WHY)
        .flags(ADMIN | LOADING | STALE)
        .tips(&["request_policy:all_nodes", "nondeterministic_output"])
        .doc(
            Group::Server,
            "2.2.12",
            "O(N) where N is the number of entries returned",
            "Shows the last entries of the slow log.",
        )
        .syntax("count:integer?")
        .history(&[("4.0.0", "Entries tell the address and the name of the client.")]),
    Spec::global("reset", 2, reset, WHY)
        .flags(ADMIN | LOADING | STALE)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .doc(
            Group::Server,
            "2.2.12",
            "O(N) where N is the number of entries in the slowlog",
            "Empties the slow log.",
        ),
];

const HELP: &[&str] = &[
    "GET [<count>]",
    "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
    "    Entries are made of:",
    "    id, timestamp, time in microseconds, arguments array, client IP and port,",
    "    client name",
    "LEN",
    "    Return the length of the slowlog.",
    "RESET",
    "    Reset the slowlog.",
];

/// Entries of SLOWLOG GET without a count.
const DEFAULT_COUNT: i64 = 10;

fn len(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let len = engine.slowlog.entries.len();
    engine.reply(call.slot).int(len as i64);
    Ok(Outcome::Done)
}

fn reset(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.slowlog.entries.clear();
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn get(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if call.args.len() > 3 {
        return Err(super::unknown_form(call));
    }
    let count = match call.args.get(2) {
        None => DEFAULT_COUNT,
        Some(text) => parse_i64(text)
            .filter(|n| *n >= -1)
            .ok_or(CmdError::coded("ERR count should be greater than or equal to -1"))?,
    };
    let available = engine.slowlog.entries.len();
    let shown = if count < 0 { available } else { available.min(count as usize) };
    let entries: Vec<_> = engine.slowlog.entries.iter().take(shown).cloned().collect();
    let mut reply = engine.reply(call.slot);
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.int(entry.id as i64);
        reply.int(entry.unix_s as i64);
        reply.int(entry.us as i64);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(entry.peer.as_bytes());
        reply.bulk(&entry.name);
    }
    Ok(Outcome::Done)
}
