//! ACL: users, what they may do, and what was refused to them.

use super::help::help_row;
use super::unknown_form;
use crate::base::lossless;
use crate::base::number::parse_i64;
use crate::engine::acl::check::Judged;
use crate::engine::acl::log::Entry;
use crate::engine::acl::rule::{has_spaces, merge_selectors};
use crate::engine::acl::selector::{Selector, category};
use crate::engine::acl::{User, UserId, denial_text, file};
use crate::engine::error::{CmdError, CmdResult, Outcome, quoted};
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec, acl};
use crate::engine::{Call, Engine};
use crate::resp::Reply;

const WHY: &str = "users belong to the whole server";
const TO_ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
const OF_USERS: &str = "O(N). Where N is the number of configured users.";
const OF_RULES: &str = "O(N). Where N is the number of rules provided.";
const OF_DEFINITION: &str =
    "O(N). Where N is the number of password, command and pattern rules that the user has.";

const fn row(spec: Spec, since: &'static str, cost: &'static str, summary: &'static str) -> Spec {
    spec.flags(NOSCRIPT | LOADING | STALE).doc(Group::Server, since, cost, summary)
}

pub(super) const COMMANDS: &[Spec] = &[Spec::container("acl", SUBCOMMANDS)
    .doc(Group::Server, "6.0.0", "Depends on subcommand.", "Groups the commands about users.")
    .help(HELP)];

const SUBCOMMANDS: &[Spec] = &[
    row(
        Spec::global("cat", -2, cat, WHY),
        "6.0.0",
        "O(1) since the categories and commands are a fixed set.",
        "Lists the categories of commands, or the commands of one.",
    )
    .syntax("category?"),
    row(
        Spec::global("deluser", -3, deluser, WHY).secrets(|_, index| index > 1),
        "6.0.0",
        "O(1) amortized time considering the typical user.",
        "Deletes users, and closes their connections.",
    )
    .flags(ADMIN)
    .syntax("username+")
    .tips(TO_ALL_NODES),
    row(
        Spec::global("dryrun", -4, dryrun, WHY),
        "7.0.0",
        "O(1).",
        "Tells whether a user may run a request, which does not run.",
    )
    .flags(ADMIN)
    .syntax("username command arg?+"),
    row(
        Spec::global("genpass", -2, genpass, "chance belongs to the whole server"),
        "6.0.0",
        "O(1)",
        "Makes up a password.",
    )
    .syntax("bits:integer?"),
    row(
        Spec::global("getuser", 3, getuser, WHY).secrets(|_, index| index > 1),
        "6.0.0",
        OF_DEFINITION,
        "Describes a user for programs.",
    )
    .flags(ADMIN)
    .syntax("username")
    .history(&[
        ("6.2.0", "The patterns of channels."),
        ("7.0.0", "The selectors; patterns of keys and channels as rules."),
    ]),
    help_row(Group::Server, "6.0.0", 0),
    row(Spec::global("list", 2, list, WHY), "6.0.0", OF_USERS, "Describes all users as a file would.")
        .flags(ADMIN),
    row(Spec::global("load", 2, load, WHY), "6.0.0", OF_USERS, "Reads the users from the ACL file.")
        .flags(ADMIN),
    row(
        Spec::global("log", -2, log, WHY),
        "6.0.0",
        "O(N) with N being the number of entries shown.",
        "Shows what was refused to users.",
    )
    .flags(ADMIN)
    .syntax("operation(count:integer | RESET)?")
    .history(&[("7.2.0", "Entries have a number, and tell when they came and changed.")]),
    row(Spec::global("save", 2, save, WHY), "6.0.0", OF_USERS, "Writes the users to the ACL file.")
        .flags(ADMIN)
        .tips(TO_ALL_NODES),
    row(
        Spec::global("setuser", -3, setuser, WHY).secrets(|_, index| index > 1),
        "6.0.0",
        OF_RULES,
        "Creates a user, or changes its rules.",
    )
    .flags(ADMIN)
    .syntax("username rule?+")
    .tips(TO_ALL_NODES)
    .history(&[
        ("6.2.0", "Patterns of channels."),
        ("7.0.0", "Selectors, and patterns of keys for reading or writing."),
    ]),
    row(Spec::global("users", 2, users, WHY), "6.0.0", OF_USERS, "Lists the names of all users.")
        .flags(ADMIN),
    row(
        Spec::global("whoami", 2, whoami, WHY),
        "6.0.0",
        "O(1)",
        "Gives the name of the user of the connection.",
    ),
];

const HELP: &[&str] = &[
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "DELUSER <username> [<username> ...]",
    "    Delete a list of users.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Returns whether the user can execute the given command without executing the command.",
    "GETUSER <username>",
    "    Get the user's details.",
    "GENPASS [<bits>]",
    "    Generate a secure 256-bit user password. The optional `bits` argument can",
    "    be used to specify a different size.",
    "LIST",
    "    Show users details in config file format.",
    "LOAD",
    "    Reload users from the ACL file.",
    "LOG [<count> | RESET]",
    "    Show the ACL log entries.",
    "SAVE",
    "    Save the current config to the ACL file.",
    "SETUSER <username> <attribute> [<attribute> ...]",
    "    Create or modify a user with the specified attributes.",
    "USERS",
    "    List all the registered usernames.",
    "WHOAMI",
    "    Return the current connection username.",
];

/// Bits of a password that ACL GENPASS makes up without a number.
const PASSWORD_BITS: i64 = 256;
/// Most bits of such a password. Redis: `GENPASS_MAX_BITS`.
const PASSWORD_BITS_MAX: i64 = 4096;
/// Entries that ACL LOG shows without a number.
const LOG_COUNT: i64 = 10;

fn setuser(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let name = call.args.at(2);
    if has_spaces(name) {
        return Err(CmdError::coded("ERR Usernames can't contain spaces or null characters"));
    }
    let words: Vec<&[u8]> = call.args.iter_from(3).collect();
    let rules = merge_selectors(&words).map_err(|at| {
        let word = quoted(words[at]);
        CmdError::err(format!("Unmatched parenthesis in acl selector starting at '{word}'."))
    })?;
    engine.set_user(name, &rules, call.slot).map_err(|(at, error)| {
        let rule = quoted(&rules[at]);
        CmdError::err(format!("Error in ACL SETUSER modifier '{rule}': {error}"))
    })?;
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn deluser(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if call.args.iter_from(2).any(|name| name == b"default") {
        return Err(CmdError::coded("ERR The 'default' user cannot be removed"));
    }
    let deleted = call.args.iter_from(2).filter(|name| engine.delete_user(name, call.slot)).count();
    engine.reply(call.slot).int(deleted as i64);
    Ok(Outcome::Done)
}

fn getuser(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let Some(id) = engine.acl.users.find(call.args.at(2)) else {
        engine.reply(call.slot).null();
        return Ok(Outcome::Done);
    };
    let user = engine.acl.users.get(id).clone();
    // Rules about databases are Valkey's: who has none sees what Redis shows.
    let shows_databases = user.names_databases();
    let mut reply = engine.reply(call.slot);
    let [root, others @ ..] = user.selectors() else { unreachable!("there is always the root") };
    reply.map(6 + usize::from(shows_databases));
    reply.bulk(b"flags");
    let flags = user.flags();
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    let hashes: Vec<String> = user.password_hashes().collect();
    reply.array(hashes.len());
    hashes.iter().for_each(|hash| reply.bulk(hash.as_bytes()));
    reply_selector(&mut reply, root, shows_databases);
    reply.bulk(b"selectors");
    reply.array(others.len());
    for selector in others {
        reply.map(3 + usize::from(shows_databases));
        reply_selector(&mut reply, selector, shows_databases);
    }
    Ok(Outcome::Done)
}

fn reply_selector(reply: &mut Reply<'_>, selector: &Selector, shows_databases: bool) {
    for (name, text) in [
        ("commands", selector.commands_text()),
        ("keys", selector.keys_text()),
        ("channels", selector.channels_text()),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(&text);
    }
    if shows_databases {
        reply.bulk(b"databases");
        reply.bulk(selector.databases_text().as_bytes());
    }
}

fn list(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let lines: Vec<Vec<u8>> = engine.acl.users.iter().map(User::line).collect();
    reply_texts(engine, call, &lines);
    Ok(Outcome::Done)
}

fn users(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let names: Vec<Vec<u8>> = engine.acl.users.iter().map(|user| user.name.clone()).collect();
    reply_texts(engine, call, &names);
    Ok(Outcome::Done)
}

fn reply_texts<T: AsRef<[u8]>>(engine: &mut Engine, call: &Call<'_>, texts: &[T]) {
    let mut reply = engine.reply(call.slot);
    reply.array(texts.len());
    texts.iter().for_each(|text| reply.bulk(text.as_ref()));
}

fn whoami(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let name = engine.user_of(call.slot).name.clone();
    engine.reply(call.slot).bulk(&name);
    Ok(Outcome::Done)
}

fn cat(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let names: Vec<&str> = match (call.args.len(), call.args.get(2)) {
        (2, _) => acl::NAMES.iter().map(|(_, name)| *name).collect(),
        (3, Some(name)) => {
            let wanted = category(name)
                .ok_or_else(|| CmdError::err(format!("Unknown category '{}'", quoted(name))))?;
            let rows = engine.table.rows().iter();
            rows.filter(|row| row.categories & wanted != 0).map(|row| row.full_name).collect()
        }
        _ => return Err(unknown_form(call)),
    };
    reply_texts(engine, call, &names);
    Ok(Outcome::Done)
}

fn genpass(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let bits = match (call.args.len(), call.args.get(2)) {
        (2, _) => PASSWORD_BITS,
        (3, Some(text)) => parse_i64(text).ok_or(CmdError::NotInteger)?,
        _ => return Err(unknown_form(call)),
    };
    if !(1..=PASSWORD_BITS_MAX).contains(&bits) {
        return Err(CmdError::err(format!(
            "ACL GENPASS argument must be the number of bits for the output password, a positive number up to \
             {PASSWORD_BITS_MAX}"
        )));
    }
    let digits = (bits as usize).div_ceil(4);
    // A word of the host is unpredictable, unlike the engine's own chance.
    let mut password: String =
        (0..digits.div_ceil(16)).map(|_| format!("{:016x}", call.host.random())).collect();
    password.truncate(digits);
    engine.reply(call.slot).bulk(password.as_bytes());
    Ok(Outcome::Done)
}

fn dryrun(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let name = call.args.at(2);
    let id: UserId = engine
        .acl
        .users
        .find(name)
        .ok_or_else(|| CmdError::err(format!("User '{}' not found", quoted(name))))?;
    let args = call.args.tail(3);
    let row = engine
        .table
        .resolve(&args)
        .map_err(|_| CmdError::err(format!("Command '{}' not found", quoted(args.at(0)))))?;
    if !row.admits(args.len()) {
        return Err(CmdError::Arity(row.full_name));
    }
    let db = engine.clients[call.slot].db;
    let user = engine.acl.users.get(id);
    let judged = Judged { row, args, db, databases: engine.dbs.count() as u32 };
    match user.may(judged) {
        Ok(()) => engine.reply(call.slot).ok(),
        Err(denial) => {
            let text = denial_text(user, row, args.at(denial.index), denial, true);
            engine.reply(call.slot).bulk(&lossless::to_bytes(&text));
        }
    }
    Ok(Outcome::Done)
}

fn log(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let count = match call.args.get(2) {
        _ if call.args.len() > 3 => return Err(unknown_form(call)),
        None => LOG_COUNT,
        Some(word) if word.eq_ignore_ascii_case(b"reset") => {
            engine.acl.log.reset();
            engine.reply(call.slot).ok();
            return Ok(Outcome::Done);
        }
        Some(number) => parse_i64(number).ok_or(CmdError::NotInteger)?,
    };
    let count = usize::try_from(count).unwrap_or(0);
    let entries: Vec<Entry> = engine.acl.log.entries().take(count).cloned().collect();
    let now_ms = engine.now.unix_ms();
    let mut reply = engine.reply(call.slot);
    reply.array(entries.len());
    for entry in &entries {
        reply_entry(&mut reply, entry, now_ms);
    }
    Ok(Outcome::Done)
}

fn reply_entry(reply: &mut Reply<'_>, entry: &Entry, now_ms: u64) {
    reply.map(10);
    reply.bulk(b"count");
    reply.int(entry.count as i64);
    for (name, text) in [
        ("reason", entry.reason.name().as_bytes()),
        ("context", entry.context.name().as_bytes()),
        ("object", &entry.object),
        ("username", &entry.user),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(text);
    }
    reply.bulk(b"age-seconds");
    reply.double(now_ms.saturating_sub(entry.updated_ms) as f64 / 1000.0);
    reply.bulk(b"client-info");
    reply.bulk(entry.client.as_bytes());
    for (name, number) in [
        ("entry-id", entry.id),
        ("timestamp-created", entry.created_ms),
        ("timestamp-last-updated", entry.updated_ms),
    ] {
        reply.bulk(name.as_bytes());
        reply.int(number as i64);
    }
}

/// What commands on the ACL file are answered without one.
const NO_FILE: CmdError = CmdError::coded(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER \
     command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users \
     in the Redis configuration.",
);

fn load(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if engine.conf.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    engine.load_users(call.host, Some(call.slot)).map_err(CmdError::err)?;
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn save(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if engine.conf.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    let path = engine.conf.aclfile.clone();
    let text = file::text(&engine.acl.users);
    engine.replace_file(call, &path, text, |_, _, done| done.file().map(drop).map_err(|error| {
        ::log::warn!("The ACL file could not be written: {}", error.text);
        CmdError::coded("ERR There was an error trying to save the ACLs. Please check the server logs for more information")
    }))
}
