//! FUNCTION, FCALL and FCALL_RO. How libraries are kept and run is in [`crate::engine::script::library`].

use super::help::help_row;
use super::script::{KEYS, KEYS_READ, RUNS};
use crate::base::glob::glob_match;
use crate::engine::error::{CmdError, CmdResult, Outcome, quoted};
use crate::engine::script::library::{Library, Policy};
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec, acl};
use crate::engine::{Call, Engine};
use crate::resp::Reply;
use bytes::Bytes;

const COST: &str = "Depends on the function that is executed.";

pub(super) const COMMANDS: &[Spec] = &[
    Spec::global("fcall", -3, fcall, "a function runs other commands")
        .flags(RUNS | MAY_REPLICATE)
        .runs_others(Engine::flags_of_function)
        .acl(acl::SCRIPTING)
        .keys(KEYS)
        .doc(Group::Scripting, "7.0.0", COST, "Runs a function of a library.")
        .syntax("function numkeys:integer key@0?+ arg?+"),
    Spec::global("fcall_ro", -3, fcall_ro, "a function runs other commands")
        .flags(RUNS | READONLY)
        .runs_others(Engine::flags_of_function)
        .acl(acl::SCRIPTING)
        .keys(KEYS_READ)
        .doc(Group::Scripting, "7.0.0", COST, "Runs a function of a library that changes nothing.")
        .syntax("function numkeys:integer key@0?+ arg?+"),
    Spec::container("function", FUNCTION)
        .doc(Group::Scripting, "7.0.0", "Depends on subcommand.", "Groups the commands about functions.")
        .help(HELP),
];

const fn row(spec: Spec, cost: &'static str, summary: &'static str) -> Spec {
    spec.flags(NOSCRIPT).acl(acl::SCRIPTING).doc(Group::Scripting, "7.0.0", cost, summary)
}

const TO_ALL_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

const FUNCTION: &[Spec] = &[
    row(
        Spec::global("delete", 3, delete, "libraries lie with the engine"),
        "O(1)",
        "Removes a library with its functions.",
    )
    .flags(WRITE)
    .tips(TO_ALL_SHARDS)
    .syntax("library-name"),
    row(
        Spec::global("dump", 2, dump, "libraries lie with the engine"),
        "O(N) where N is the number of functions",
        "Gives all libraries as bytes, for FUNCTION RESTORE.",
    ),
    row(
        Spec::global("kill", 2, kill, "ends the function of another connection"),
        "O(1)",
        "Ends the function that runs, if it has changed nothing.",
    )
    .flags(ALLOW_BUSY)
    .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    row(
        Spec::global("list", -2, list, "libraries lie with the engine"),
        "O(N) where N is the number of functions",
        "Describes the libraries.",
    )
    .tips(&["nondeterministic_output_order"])
    .syntax("LIBRARYNAME=library-name-pattern? WITHCODE?"),
    row(
        Spec::global("load", -3, load, "libraries lie with the engine"),
        "O(1) (considering compilation time is redundant)",
        "Makes a library.",
    )
    .flags(WRITE | DENYOOM)
    .tips(TO_ALL_SHARDS)
    .syntax("REPLACE? function-code"),
    help_row(Group::Scripting, "7.0.0", acl::SCRIPTING),
    row(
        Spec::global("flush", -2, flush, "libraries lie with the engine"),
        "O(N) where N is the number of functions deleted",
        "Removes all libraries.",
    )
    .flags(WRITE)
    .tips(TO_ALL_SHARDS)
    .syntax("flush-type(ASYNC | SYNC)?"),
    row(
        Spec::global("restore", -3, restore, "libraries lie with the engine"),
        "O(N) where N is the number of functions on the payload",
        "Makes the libraries that FUNCTION DUMP gave.",
    )
    .flags(WRITE | DENYOOM)
    .tips(TO_ALL_SHARDS)
    .syntax("serialized-value policy(FLUSH | APPEND | REPLACE)?"),
    row(
        Spec::global("stats", 2, stats, "the function that runs lies with the engine"),
        "O(1)",
        "Describes the function that runs, and the engines.",
    )
    .flags(ALLOW_BUSY)
    .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
];

const HELP: &[&str] = &[
    "LOAD [REPLACE] <FUNCTION CODE>",
    "    Create a new library with the given library name and code.",
    "DELETE <LIBRARY NAME>",
    "    Delete the given library.",
    "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
    "    Return general information on all the libraries:",
    "    * Library name",
    "    * The engine used to run the Library",
    "    * Functions list",
    "    * Library code (if WITHCODE is given)",
    "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
    "STATS",
    "    Return information about the current function running:",
    "    * Function name",
    "    * Command used to run the function",
    "    * Duration in MS that the function is running",
    "    If no function is running, return nil",
    "    In addition, returns a list of available engines.",
    "KILL",
    "    Kill the current running function.",
    "FLUSH [ASYNC|SYNC]",
    "    Delete all the libraries.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the libraries.",
    "    * SYNC: Synchronously flush the libraries.",
    "DUMP",
    "    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command",
    "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
    "    Restore the libraries represented by the given payload, it is possible to give a restore policy to",
    "    control how to handle existing libraries (default APPEND):",
    "    * FLUSH: delete all existing libraries.",
    "    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
    "    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old",
    "      libraries with the new libraries (notice that even on this option there is a chance of failure",
    "      in case of functions name collision with another library).",
];

fn fcall(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.call_function(call, false)
}

fn fcall_ro(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.call_function(call, true)
}

fn load(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let args = call.args;
    let mut replace = false;
    for index in 2..args.len() - 1 {
        if !args.is(index, "replace") {
            return Err(CmdError::err(format!("Unknown option given: {}", quoted(args.at(index)))));
        }
        replace = true;
    }
    let name = engine.load_library(&mut *call.host, &args.bytes(args.len() - 1), replace)?;
    engine.propagation.changed(1);
    engine.reply(call.slot).bulk(name.as_bytes());
    Ok(Outcome::Done)
}

fn delete(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.delete_library(call.args.at(2))?;
    engine.propagation.changed(1);
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn flush(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let is_mode = call.args.is(2, "sync") || call.args.is(2, "async");
    if call.args.len() > 3 {
        return Err(super::unknown_form(call));
    }
    if call.args.len() == 3 && !is_mode {
        return Err(CmdError::err("FUNCTION FLUSH only supports SYNC|ASYNC option"));
    }
    engine.flush_libraries();
    // Also where nothing was: those who follow may have some.
    engine.propagate(call.slot, call.args);
    engine.propagation.changed(1);
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn dump(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let payload = engine.dump_libraries();
    engine.reply(call.slot).bulk(&payload);
    Ok(Outcome::Done)
}

fn restore(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if call.args.len() > 4 {
        return Err(super::unknown_form(call));
    }
    let policy = match call.args.get(3).map(<[u8]>::to_ascii_lowercase).as_deref() {
        None | Some(b"append") => Policy::Append,
        Some(b"replace") => Policy::Replace,
        Some(b"flush") => Policy::Flush,
        Some(_) => {
            return Err(CmdError::err(
                "Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
    };
    engine.restore_libraries(&mut *call.host, call.args.at(2), policy)?;
    engine.propagation.changed(1);
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn kill(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.kill_script(true)?;
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn list(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let args = call.args;
    let (mut with_code, mut pattern): (bool, Option<Bytes>) = (false, None);
    let mut index = 2;
    while index < args.len() {
        if !with_code && args.is(index, "withcode") {
            with_code = true;
        } else if pattern.is_none() && args.is(index, "libraryname") {
            index += 1;
            if index >= args.len() {
                return Err(CmdError::err("library name argument was not given"));
            }
            pattern = Some(args.bytes(index));
        } else {
            return Err(CmdError::err(format!("Unknown argument {}", quoted(args.at(index)))));
        }
        index += 1;
    }
    let client = &mut engine.clients[call.slot];
    let muted = client.is(crate::engine::client::state::MUTED);
    let mut reply = Reply::new(&mut client.out, client.resp, muted);
    let wanted =
        |library: &&Library| pattern.as_ref().is_none_or(|p| glob_match(p, library.name.as_bytes(), true));
    let libraries: Vec<&Library> = engine.scripts.libraries.iter().filter(wanted).collect();
    reply.array(libraries.len());
    for library in libraries {
        describe(&mut reply, library, with_code);
    }
    Ok(Outcome::Done)
}

fn describe(reply: &mut Reply<'_>, library: &Library, with_code: bool) {
    reply.map(3 + usize::from(with_code));
    reply.bulk(b"library_name");
    reply.bulk(library.name.as_bytes());
    reply.bulk(b"engine");
    reply.bulk(b"LUA");
    reply.bulk(b"functions");
    reply.array(library.functions.len());
    for function in library.functions.values() {
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(function.name.as_bytes());
        reply.bulk(b"description");
        reply.bulk_or_null(function.description.as_deref());
        reply.bulk(b"flags");
        reply.set(function.flag_names().count());
        function.flag_names().for_each(|name| reply.status(name));
    }
    if with_code {
        reply.bulk(b"library_code");
        reply.bulk(&library.code);
    }
}

fn stats(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if engine.scripts.running.as_ref().is_some_and(|running| !running.is_function) {
        return Err(CmdError::coded(
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        ));
    }
    let ms = engine.script_ms(&mut *call.host);
    let running = engine.scripts.running.as_ref().map(|r| (r.name.to_string(), r.command.clone()));
    let (libraries, functions) = (engine.scripts.libraries.len(), engine.scripts.libraries.functions());
    let mut reply = engine.reply(call.slot);
    reply.map(2);
    reply.bulk(b"running_script");
    match running {
        None => reply.null(),
        Some((name, command)) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(name.as_bytes());
            reply.bulk(b"command");
            reply.array(command.len());
            command.iter().for_each(|word| reply.bulk(word));
            reply.bulk(b"duration_ms");
            reply.int(ms as i64);
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.int(libraries as i64);
    reply.bulk(b"functions_count");
    reply.int(functions as i64);
    Ok(Outcome::Done)
}
