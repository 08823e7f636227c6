//! SLOWLOG: the commands that took long; COMMANDLOG: these, and those with a large request or reply.

use super::help::help_row;
use crate::base::number::parse_i64;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::slowlog::CommandLog;
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec};
use crate::engine::{Call, Engine};

const WHY: &str = "the slow log belongs to the whole server";
const SHOWN: Spec = Spec::container("slowlog", SUBCOMMANDS);

pub(super) const COMMANDS: &[Spec] = &[
    SHOWN
        .doc(Group::Server, "2.2.12", "Depends on subcommand.", "Groups the commands about the slow log.")
        .help(HELP),
    Spec::container("commandlog", LOGS)
        .doc(
            Group::Server,
            "8.1.0",
            "Depends on subcommand.",
            "Groups the commands about the logs of commands (Valkey).",
        )
        .help(LOG_HELP),
];

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
    let len = engine.logs.slow.entries.len();
    engine.reply(call.slot).int(len as i64);
    Ok(Outcome::Done)
}

fn reset(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.logs.slow.entries.clear();
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
    reply_entries(engine, call, Kind::Slow, count);
    Ok(Outcome::Done)
}

/// Replies with the newest entries of a log; a negative count asks for all.
fn reply_entries(engine: &mut Engine, call: &Call<'_>, kind: Kind, count: i64) {
    let log = kind.log(engine);
    let available = log.entries.len();
    let shown = if count < 0 { available } else { available.min(count as usize) };
    let entries: Vec<_> = log.entries.iter().take(shown).cloned().collect();
    let mut reply = engine.reply(call.slot);
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.int(entry.id as i64);
        reply.int(entry.unix_s as i64);
        reply.int(entry.amount as i64);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(entry.peer.as_bytes());
        reply.bulk(&entry.name);
    }
}

/// The logs of COMMANDLOG.
#[derive(Clone, Copy)]
enum Kind {
    Slow,
    LargeRequest,
    LargeReply,
}

impl Kind {
    fn parse(text: &[u8]) -> Result<Kind, CmdError> {
        let kinds =
            [("slow", Kind::Slow), ("large-request", Kind::LargeRequest), ("large-reply", Kind::LargeReply)];
        let found = kinds.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, kind)| kind).ok_or(CmdError::coded(
            "ERR type should be one of the following: slow, large-request, large-reply",
        ))
    }

    fn log(self, engine: &mut Engine) -> &mut CommandLog {
        match self {
            Kind::Slow => &mut engine.logs.slow,
            Kind::LargeRequest => &mut engine.logs.large_requests,
            Kind::LargeReply => &mut engine.logs.large_replies,
        }
    }
}

const ALL_SHARDS: &[&str] = &["request_policy:all_nodes", "nondeterministic_output"];

/// The subcommands of COMMANDLOG.
const LOGS: &[Spec] = &[
    Spec::global("get", 4, log_get, WHY)
        .flags(ADMIN | LOADING | STALE)
        .tips(ALL_SHARDS)
        .doc(
            Group::Server,
            "8.1.0",
            "O(N) where N is the number of entries returned",
            "Shows the last entries of a log of commands (Valkey).",
        )
        .syntax("count:integer type(SLOW | LARGE-REQUEST | LARGE-REPLY)"),
    help_row(Group::Server, "8.1.0", 0),
    Spec::global("len", 3, log_len, WHY)
        .flags(ADMIN | LOADING | STALE)
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"])
        .doc(Group::Server, "8.1.0", "O(1)", "Counts the entries of a log of commands (Valkey).")
        .syntax("type(SLOW | LARGE-REQUEST | LARGE-REPLY)"),
    Spec::global("reset", 3, log_reset, WHY)
        .flags(ADMIN | LOADING | STALE)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .doc(
            Group::Server,
            "8.1.0",
            "O(N) where N is the number of entries in the log",
            "Empties a log of commands (Valkey).",
        )
        .syntax("type(SLOW | LARGE-REQUEST | LARGE-REPLY)"),
];

const LOG_HELP: &[&str] = &[
    "GET <count> <type>",
    "    Return top <count> entries of the specified <type> from the commandlog (-1 mean all).",
    "    Entries are made of:",
    "    id, timestamp,",
    "        time in microseconds for type of slow,",
    "        or size in bytes for type of large-request,",
    "        or size in bytes for type of large-reply",
    "    arguments array, client IP and port,",
    "    client name",
    "LEN <type>",
    "    Return the length of the specified type of commandlog.",
    "RESET <type>",
    "    Reset the specified type of commandlog.",
];

fn log_get(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let count = parse_i64(call.args.at(2)).filter(|n| *n >= -1);
    let count = count.ok_or(CmdError::coded("ERR count should be greater than or equal to -1"))?;
    let kind = Kind::parse(call.args.at(3))?;
    reply_entries(engine, call, kind, count);
    Ok(Outcome::Done)
}

fn log_len(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let len = Kind::parse(call.args.at(2))?.log(engine).entries.len();
    engine.reply(call.slot).int(len as i64);
    Ok(Outcome::Done)
}

fn log_reset(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    Kind::parse(call.args.at(2))?.log(engine).entries.clear();
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}
