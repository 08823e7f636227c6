//! CONFIG: the directives while the server runs.

use super::help::help_row;
use crate::config::{self, Asker, is_sensitive};
use crate::engine::blocking::{Block, BlockOn};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::host::Request;
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec};
use crate::engine::{Call, Engine};

const WHY: &str = "the configuration belongs to the whole server";

const fn row(spec: Spec, since: &'static str, cost: &'static str, summary: &'static str) -> Spec {
    spec.flags(ADMIN | NOSCRIPT | LOADING | STALE).doc(Group::Server, since, cost, summary)
}

pub(super) const COMMANDS: &[Spec] = &[Spec::container("config", SUBCOMMANDS)
    .doc(Group::Server, "2.0.0", "Depends on subcommand.", "Groups the commands about the configuration.")
    .help(HELP)];

const TO_ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

const SUBCOMMANDS: &[Spec] = &[
    help_row(Group::Server, "5.0.0", 0),
    row(
        Spec::global("set", -4, set, WHY)
            .secrets(|args, i| i > 2 && i % 2 == 1 && is_sensitive(args.at(i - 1))),
        "2.0.0",
        "O(N) when N is the number of configuration parameters provided",
        "Changes directives, all that are named or none.",
    )
    .syntax("data{parameter value}+")
    .tips(TO_ALL_NODES)
    .history(&[("7.0.0", "Several directives in one call.")]),
    row(
        Spec::global("get", -3, get, WHY),
        "2.0.0",
        "O(N) when N is the number of configuration parameters provided",
        "Shows the directives that match a pattern.",
    )
    .syntax("parameter+")
    .history(&[("7.0.0", "Several patterns in one call.")]),
    row(Spec::global("resetstat", 2, resetstat, WHY), "2.0.0", "O(1)", "Sets the statistics back to zero.")
        .tips(TO_ALL_NODES),
    row(
        Spec::global("rewrite", 2, rewrite, WHY),
        "2.8.0",
        "O(1)",
        "Writes the directives as they are now into the configuration file.",
    )
    .tips(TO_ALL_NODES),
];

const HELP: &[&str] = &[
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Rewrite the configuration file.",
];

fn get(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let patterns: Vec<&[u8]> = call.args.iter_from(2).collect();
    let found = engine.conf.get(&patterns);
    let mut reply = engine.reply(call.slot);
    reply.map(found.len());
    for (name, value) in &found {
        reply.bulk(name.as_bytes());
        reply.bulk(value);
    }
    Ok(Outcome::Done)
}

fn set(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let words: Vec<&[u8]> = call.args.iter_from(2).collect();
    if words.len() % 2 == 1 {
        return Err(CmdError::Syntax);
    }
    let pairs: Vec<(&[u8], &[u8])> = words.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    let asker = Asker { local: engine.is_local(call.slot), loading: engine.durability.is_loading() };
    engine.configure(call.host, &pairs, asker).map_err(|error| CmdError::Text(error.to_string().into()))?;
    if let Some(job) = engine.configuring().filter(|_| !engine.is_nested()) {
        engine.wait_for_job(job, call.id, |_, _, _| Ok(()));
        return Ok(Outcome::Block(Block { on: BlockOn::Job(job), deadline_us: None }));
    }
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn resetstat(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.stats.reset();
    engine.recorder.reset();
    engine.durability.reset_counts();
    engine.replication.reset_counts();
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn rewrite(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if engine.process.names.config_file.is_empty() {
        return Err(CmdError::coded("ERR The server is running without a config file"));
    }
    let old = call.host.apply(Request::ReadConfigFile).ok();
    // With an ACL file the users are there, not here.
    let is_here = engine.conf.aclfile.is_empty();
    let users: Vec<Vec<u8>> = engine.acl.users.iter().filter(|_| is_here).map(|user| user.line()).collect();
    let text = config::rewrite(old.as_deref(), &engine.conf, &users);
    let path = engine.process.names.config_file.clone();
    engine.replace_file(call, &path, text.into_bytes(), |_, _, done| match done.file() {
        Ok(_) => {
            log::info!("CONFIG REWRITE executed with success.");
            Ok(())
        }
        Err(error) => {
            log::warn!("CONFIG REWRITE failed: {}", error.text);
            Err(CmdError::err(format!("Rewriting config file: {}", error.text)))
        }
    })
}
