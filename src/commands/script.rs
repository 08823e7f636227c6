//! EVAL and its kind, and SCRIPT. How scripts are kept and run is in [`crate::engine::script`].

use super::help::help_row;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::*;
use crate::engine::spec::{Begin, Find, Group, KeySpec, Spec, acl, key};
use crate::engine::{Call, Engine};

const fn counted_keys(flags: u32, notes: &'static str) -> KeySpec {
    KeySpec { flags, begin: Begin::Index(2), find: Find::Keynum { keynum: 0, first: 1, step: 1 }, notes }
}

/// Keys of a script that may do anything to them.
pub(super) const KEYS: &[KeySpec] = &[counted_keys(
    key::RW | key::ACCESS | key::UPDATE,
    "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE",
)];

/// Keys of a script that only reads them.
pub(super) const KEYS_READ: &[KeySpec] = &[counted_keys(
    key::RO | key::ACCESS,
    "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS",
)];

/// Keys of a script that only reads them, where COMMAND INFO remarks nothing.
const KEYS_READ_WITHOUT_NOTES: &[KeySpec] = &[counted_keys(key::RO | key::ACCESS, "")];

/// Flags of a command that runs a script.
pub(super) const RUNS: u32 = NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS;

const COST: &str = "Depends on the script that is executed.";

const fn runs(spec: Spec, since: &'static str, summary: &'static str) -> Spec {
    spec.flags(RUNS).acl(acl::SCRIPTING).doc(Group::Scripting, since, COST, summary)
}

pub(super) const COMMANDS: &[Spec] = &[
    runs(Spec::global("eval", -3, eval, "a script runs other commands"), "2.6.0", "Runs a script.")
        .flags(MAY_REPLICATE)
        .runs_others(Engine::flags_of_script)
        .keys(KEYS)
        .syntax("script numkeys:integer key@0?+ arg?+"),
    runs(
        Spec::global("eval_ro", -3, eval_ro, "a script runs other commands"),
        "7.0.0",
        "Runs a script that changes nothing.",
    )
    .flags(READONLY)
    .runs_others(Engine::flags_of_script)
    .keys(KEYS_READ)
    .syntax("script numkeys:integer key@0?+ arg?+"),
    runs(
        Spec::global("evalsha", -3, eval_sha, "a script runs other commands"),
        "2.6.0",
        "Runs a script that the server knows, by its digest.",
    )
    .flags(MAY_REPLICATE)
    .runs_others(Engine::flags_of_digest)
    .keys(&[counted_keys(key::RW | key::ACCESS | key::UPDATE, "")])
    .syntax("sha1 numkeys:integer key@0?+ arg?+"),
    runs(
        Spec::global("evalsha_ro", -3, eval_sha_ro, "a script runs other commands"),
        "7.0.0",
        "Runs a script that the server knows and that changes nothing, by its digest.",
    )
    .flags(READONLY)
    .runs_others(Engine::flags_of_digest)
    .keys(KEYS_READ_WITHOUT_NOTES)
    .syntax("sha1 numkeys:integer key@0?+ arg?+"),
    Spec::container("script", SCRIPT)
        .doc(Group::Scripting, "2.6.0", "Depends on subcommand.", "Groups the commands about scripts.")
        .help(HELP),
];

const ON_ALL_SHARDS: &str = "request_policy:all_shards";

const SCRIPT: &[Spec] = &[
    Spec::global("flush", -2, flush, "scripts lie with the engine")
        .flags(NOSCRIPT)
        .acl(acl::SCRIPTING)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .doc(
            Group::Scripting,
            "2.6.0",
            "O(N) with N being the number of scripts in cache",
            "Forgets all scripts.",
        )
        .syntax("flush-type(ASYNC | SYNC)?#6.2.0")
        .history(&[("6.2.0", "The modes `ASYNC` and `SYNC`.")]),
    help_row(Group::Scripting, "5.0.0", acl::SCRIPTING),
    Spec::global("exists", -3, exists, "scripts lie with the engine")
        .flags(NOSCRIPT)
        .acl(acl::SCRIPTING)
        .tips(&[ON_ALL_SHARDS, "response_policy:agg_logical_and"])
        .doc(
            Group::Scripting,
            "2.6.0",
            "O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).",
            "Tells which scripts the server knows.",
        )
        .syntax("sha1+"),
    Spec::global("debug", 3, debug, "the mode lies with the connection")
        .flags(NOSCRIPT)
        .acl(acl::SCRIPTING)
        .doc(Group::Scripting, "3.2.0", "O(1)", "Lets the next scripts of the connection run in the debugger.")
        .syntax("mode(YES | SYNC | NO)"),
    Spec::global("load", 3, load, "scripts lie with the engine")
        .flags(NOSCRIPT | STALE)
        .acl(acl::SCRIPTING)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .doc(
            Group::Scripting,
            "2.6.0",
            "O(N) with N being the length in bytes of the script body.",
            "Keeps a script for EVALSHA.",
        )
        .syntax("script"),
    Spec::global("show", 3, show, "scripts lie with the engine")
        .flags(NOSCRIPT | STALE)
        .acl(acl::SCRIPTING)
        .doc(Group::Scripting, "8.0.0", "O(1)", "Gives the text of a script that the server knows.")
        .syntax("sha1"),
    Spec::global("kill", 2, kill, "ends the script of another connection")
        .flags(NOSCRIPT | ALLOW_BUSY)
        .acl(acl::SCRIPTING)
        .tips(&[ON_ALL_SHARDS, "response_policy:one_succeeded"])
        .doc(Group::Scripting, "2.6.0", "O(1)", "Ends the script that runs, if it has changed nothing."),
];

const HELP: &[&str] = &[
    "DEBUG (YES|SYNC|NO)",
    "    Set the debug mode for subsequent scripts executed.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Return information about the existence of the scripts in the script cache.",
    "FLUSH [ASYNC|SYNC]",
    "    Flush the Lua scripts cache. Very dangerous on replicas.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the scripts cache.",
    "    * SYNC: Synchronously flush the scripts cache.",
    "KILL",
    "    Kill the currently executing Lua script.",
    "LOAD <script>",
    "    Load a script into the scripts cache without executing it.",
];

fn eval(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.eval(call, false)
}

fn eval_ro(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.eval(call, true)
}

fn eval_sha(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.eval_sha(call, false)
}

fn eval_sha_ro(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.eval_sha(call, true)
}

fn flush(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let is_plain = call.args.len() == 2;
    let has_mode = call.args.len() == 3 && (call.args.is(2, "sync") || call.args.is(2, "async"));
    if !(is_plain || has_mode) {
        return Err(CmdError::err("SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    engine.flush_scripts();
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn exists(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let known: Vec<bool> = call.args.iter_from(2).map(|sha| engine.script_text(sha).is_some()).collect();
    let mut reply = engine.reply(call.slot);
    reply.array(known.len());
    known.iter().for_each(|known| reply.int(i64::from(*known)));
    Ok(Outcome::Done)
}

fn load(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let sha = engine.load_script(call.args.bytes(2))?;
    engine.reply(call.slot).bulk(sha.as_bytes());
    Ok(Outcome::Done)
}

fn show(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let Some(text) = engine.script_text(call.args.at(2)) else {
        return Err(CmdError::coded("NOSCRIPT No matching script."));
    };
    engine.reply(call.slot).bulk(&text);
    Ok(Outcome::Done)
}

fn kill(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.kill_script(false)?;
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn debug(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let mode = call.args.at(2);
    // The lines of a session go straight to the connection; nothing may be on its way there.
    if !engine.reply(call.slot).output().is_empty() {
        return Err(CmdError::err("SCRIPT DEBUG must be called outside a pipeline"));
    }
    let on = if mode.eq_ignore_ascii_case(b"no") {
        false
    } else if mode.eq_ignore_ascii_case(b"sync") {
        true
    } else if mode.eq_ignore_ascii_case(b"yes") {
        return Err(CmdError::err(
            "SCRIPT DEBUG YES needs a copy of the process, which this server does not make. Use SCRIPT DEBUG SYNC",
        ));
    } else {
        return Err(CmdError::err("Use SCRIPT DEBUG YES/SYNC/NO"));
    };
    engine.debug_scripts(call.slot, on);
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}
