//! CLIENT: what connections are there, what they said about themselves, and what is done to them.

mod control;
mod filter;
mod kill;
mod tracking;

use super::help::help_row;
use crate::engine::client::state;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome, quoted};
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec, acl};
use crate::engine::{Call, Engine};
use bytes::Bytes;

const ALWAYS: u32 = NOSCRIPT | LOADING | STALE;
const TO_ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

const fn row(spec: Spec, since: &'static str, cost: &'static str, summary: &'static str) -> Spec {
    spec.flags(ALWAYS).acl(acl::CONNECTION).doc(Group::Connection, since, cost, summary)
}

pub(super) const COMMANDS: &[Spec] = &[Spec::container("client", SUBCOMMANDS)
    .flags(KEEPS_CACHING)
    .doc(Group::Connection, "2.4.0", "Depends on subcommand.", "Groups the commands about connections.")
    .help(HELP)];

const SUBCOMMANDS: &[Spec] = &[
    row(
        Spec::global("getname", 2, getname, "names lie with the connection, not with the command"),
        "2.6.9",
        "O(1)",
        "Gives the name of the connection.",
    ),
    row(
        Spec::global("kill", -3, kill::kill, "closes other connections"),
        "2.4.0",
        "O(N) where N is the number of client connections",
        "Closes connections by address or filter.",
    )
    .syntax(
        "filter(old-format/'ip:port'%2.8.12 | \
new-format(ID=client-id:integer?+#2.8.12 | TYPE=client-type(NORMAL | \
MASTER#3.2.0 | SLAVE | REPLICA#5.0.0 | PUBSUB)?#2.8.12 | \
USER=username? | ADDR=addr/'ip:port'? | LADDR=laddr/'ip:port'?#6.2.0 \
| SKIPME=skipme(YES | NO)? | MAXAGE=maxage:integer?#7.4.0 \
| NAME=name?#9.0.0 | IDLE=idle:integer?#9.0.0 | FLAGS=flags?#9.0.0 \
| LIB-NAME=lib-name?#9.0.0 | LIB-VER=lib-ver?#9.0.0 | DB=db:integer?#9.0.0 \
| CAPA=capa?#9.0.0 | IP=ip?#9.0.0 \
| NOT-TYPE=not-client-type(NORMAL | MASTER | PRIMARY | SLAVE | REPLICA | PUBSUB)?#9.0.0 \
| NOT-ID=not-client-id:integer?+#9.0.0 | NOT-USER=not-username?#9.0.0 | NOT-ADDR=not-addr/'ip:port'?#9.0.0 \
| NOT-LADDR=not-laddr/'ip:port'?#9.0.0 | NOT-NAME=not-name?#9.0.0 | NOT-FLAGS=not-flags?#9.0.0 \
| NOT-LIB-NAME=not-lib-name?#9.0.0 | NOT-LIB-VER=not-lib-ver?#9.0.0 | NOT-DB=not-db:integer?#9.0.0 \
| NOT-CAPA=not-capa?#9.0.0 | NOT-IP=not-ip?#9.0.0)+)",
    )
    .flags(ADMIN)
    .history(&[
        ("2.8.12", "Filters in pairs of option and value."),
        ("2.8.12", "The `ID` filter."),
        ("3.2.0", "`master` as a `TYPE`."),
        ("5.0.0", "`replica` as a `TYPE`, of which `slave` is the older name."),
        ("6.2.0", "The `LADDR` filter."),
        ("7.4.0", "The `MAXAGE` filter."),
    ]),
    row(
        Spec::global("caching", 3, tracking::caching, "how it tracks lies with the connection"),
        "6.0.0",
        "O(1)",
        "Says whether what is read next is cached by the client.",
    )
    .syntax("mode(YES | NO)"),
    row(
        Spec::global("getredir", 2, tracking::getredir, "how it tracks lies with the connection"),
        "6.0.0",
        "O(1)",
        "Gives the connection that is told in the place of this one when a tracked key changes.",
    ),
    row(
        Spec::global("tracking", -3, tracking::tracking, "a table of the whole server has its readers"),
        "6.0.0",
        "O(1). Some options may introduce additional complexity.",
        "Lets the client hear when keys change that it has read, or that begin with a prefix.",
    )
    .syntax(
        "status(ON | OFF) REDIRECT=client-id:integer? PREFIX=prefix?+^ BCAST? OPTIN? OPTOUT? NOLOOP?",
    ),
    row(
        Spec::global("trackinginfo", 2, tracking::trackinginfo, "how it tracks lies with the connection"),
        "6.2.0",
        "O(1)",
        "Tells how this connection tracks keys.",
    ),
    row(
        Spec::local("capa", -3, capa),
        "8.0.0",
        "O(1)",
        "Notes what the client is able to do; REDIRECT: to follow a redirection.",
    )
    .syntax("capability+")
    .flags(ALLOW_BUSY),
    row(
        Spec::local("import-source", 3, import_source),
        "8.1.0",
        "O(1)",
        "Says whether this connection imports a dataset, and sees keys that have expired.",
    )
    .syntax("enabled(ON | OFF)"),
    row(
        Spec::global("id", 2, id, "the id lies with the connection"),
        "5.0.0",
        "O(1)",
        "Gives the number of the connection, which is never used twice.",
    ),
    row(
        Spec::local("no-touch", 3, no_touch),
        "7.2.0",
        "O(1)",
        "Says whether this connection's reads count as accesses of the keys.",
    )
    .syntax("enabled(ON | OFF)"),
    help_row(Group::Connection, "5.0.0", acl::CONNECTION),
    row(
        Spec::global("pause", -3, control::pause, "makes other connections wait"),
        "3.0.0",
        "O(1)",
        "Lets the commands of all clients wait for a while.",
    )
    .syntax("timeout:integer mode(WRITE | ALL)?#6.2.0")
    .flags(ADMIN)
    .history(&[("6.2.0", "Only writes may be paused: the mode `WRITE`.")]),
    row(
        Spec::global("setinfo", 4, setinfo, "the texts lie with the connection"),
        "7.2.0",
        "O(1)",
        "Notes the library that the client uses.",
    )
    .syntax("attr(LIB-NAME=libname | LIB-VER=libver)")
    .tips(TO_ALL_NODES),
    row(
        Spec::global("unblock", -3, control::unblock, "wakes another connection"),
        "5.0.0",
        "O(log N) where N is the number of client connections",
        "Ends the waiting of another client.",
    )
    .syntax("client-id:integer unblock-type(TIMEOUT | ERROR)?")
    .flags(ADMIN),
    row(
        Spec::global("list", -2, kill::list, "looks at all connections"),
        "2.4.0",
        "O(N) where N is the number of client connections",
        "Describes all connections, or some.",
    )
    .syntax(
        "TYPE=client-type(NORMAL | MASTER | REPLICA | PUBSUB)?#5.0.0 \
ID=client-id:integer?+#6.2.0 USER=username?#8.1.0 ADDR=addr/'ip:port'?#8.1.0 LADDR=laddr/'ip:port'?#8.1.0 \
SKIPME=skipme(YES | NO)?#8.1.0 MAXAGE=maxage:integer?#8.1.0 NAME=name?#9.0.0 IDLE=idle:integer?#9.0.0 FLAGS=flags?#9.0.0 \
LIB-NAME=lib-name?#9.0.0 LIB-VER=lib-ver?#9.0.0 DB=db:integer?#9.0.0 \
CAPA=capa?#9.0.0 IP=ip?#9.0.0 NOT-TYPE=not-client-type(NORMAL | MASTER | REPLICA | PUBSUB)?#9.0.0 \
NOT-ID=not-client-id:integer?+#9.0.0 NOT-USER=not-username?#9.0.0 NOT-ADDR=not-addr/'ip:port'?#9.0.0 \
NOT-LADDR=not-laddr/'ip:port'?#9.0.0 NOT-NAME=not-name?#9.0.0 NOT-FLAGS=not-flags?#9.0.0 \
NOT-LIB-NAME=not-lib-name?#9.0.0 NOT-LIB-VER=not-lib-ver?#9.0.0 NOT-DB=not-db:integer?#9.0.0 \
NOT-CAPA=not-capa?#9.0.0 NOT-IP=not-ip?#9.0.0",
    )
    .flags(ADMIN)
    .tips(&["nondeterministic_output"])
    .history(&[
        ("2.8.12", "The field `id`."),
        ("5.0.0", "The filter `TYPE`."),
        ("6.0.0", "The field `user`."),
        ("6.2.0", "The fields `argv-mem`, `tot-mem`, `laddr` and `redir`, and the filter `ID`."),
        ("7.0.0", "The fields `resp`, `multi-mem`, `rbs` and `rbp`."),
        ("7.0.3", "The field `ssub`."),
        ("7.2.0", "The fields `lib-name` and `lib-ver`."),
        ("7.4.0", "The field `watch`."),
        ("8.0.0", "The field `io-thread`."),
    ]),
    row(
        Spec::local("no-evict", 3, no_evict),
        "7.0.0",
        "O(1)",
        "Says whether this connection may be closed to save memory.",
    )
    .syntax("enabled(ON | OFF)")
    .flags(ADMIN),
    row(
        Spec::global("setname", 3, setname, "names lie with the connection"),
        "2.6.9",
        "O(1)",
        "Gives the connection a name.",
    )
    .syntax("connection-name")
    .tips(TO_ALL_NODES),
    row(
        Spec::local("reply", 3, control::reply),
        "3.2.0",
        "O(1)",
        "Says whether this connection wants replies.",
    )
    .syntax("action(ON | OFF | SKIP)"),
    row(
        Spec::global("unpause", 2, control::unpause, "wakes other connections"),
        "6.2.0",
        "O(N) Where N is the number of paused clients",
        "Ends a pause before its time.",
    )
    .flags(ADMIN),
    row(
        Spec::global("info", 2, info, "describes the connection as a whole"),
        "6.2.0",
        "O(1)",
        "Describes this connection.",
    )
    .tips(&["nondeterministic_output"]),
];

const HELP: &[&str] = &[
    "CACHING (YES|NO)",
    "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
    "GETREDIR",
    "    Return the client ID we are redirecting to when tracking is enabled.",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made from the specified address",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made to specified local address",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Kill connections by type.",
    "    * USER <username>",
    "      Kill connections authenticated by <username>.",
    "    * SKIPME (YES|NO)",
    "      Skip killing current connection (default: yes).",
    "    * ID <client-id>",
    "      Kill connections by client id.",
    "    * MAXAGE <maxage>",
    "      Kill connections older than the specified age.",
    "LIST [options ...]",
    "    Return information about client connections. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Return clients of specified type.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr. Options are:",
    "    * LIB-NAME: the client lib name.",
    "    * LIB-VER: the client lib version.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Control server assisted client side caching.",
    "TRACKINGINFO",
    "    Report tracking status for the current connection.",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
    "NO-TOUCH (ON|OFF)",
    "    Will not touch LRU/LFU stats when this mode is on.",
];

/// Whether a name or label can stand in a line of CLIENT LIST.
pub(super) fn is_label(text: &[u8]) -> bool {
    text.iter().all(|b| (b'!'..=b'~').contains(b))
}

fn getname(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let name = Bytes::copy_from_slice(engine.clients[call.slot].name());
    let mut reply = engine.reply(call.slot);
    if name.is_empty() {
        reply.null()
    } else {
        reply.bulk(&name)
    }
    Ok(Outcome::Done)
}

fn setname(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    // An empty name takes it away.
    engine.clients[call.slot].labels_mut().name = checked_name(call.args.bytes(2))?;
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

/// A name as it may be given to a connection.
pub(super) fn checked_name(name: Bytes) -> Result<Bytes, CmdError> {
    let error = "ERR Client names cannot contain spaces, newlines or special characters.";
    if is_label(&name) { Ok(name) } else { Err(CmdError::coded(error)) }
}

fn setinfo(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let (option, value) = (call.args.at(2), call.args.bytes(3));
    let is_name = option.eq_ignore_ascii_case(b"lib-name");
    if !is_name && !option.eq_ignore_ascii_case(b"lib-ver") {
        return Err(CmdError::err(format!("Unrecognized option '{}'", quoted(option))));
    }
    if !is_label(&value) {
        let option = quoted(option);
        return Err(CmdError::err(format!(
            "{option} cannot contain spaces, newlines or special characters."
        )));
    }
    let labels = engine.clients[call.slot].labels_mut();
    if is_name {
        labels.lib_name = value;
    } else {
        labels.lib_ver = value;
    }
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn id(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let id = engine.clients[call.slot].id;
    engine.reply(call.slot).int(id as i64);
    Ok(Outcome::Done)
}

fn info(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.reply_model(call.slot);
    let line = engine.describe_running(call.slot, call.args.wire_bytes()) + "\n";
    engine.reply(call.slot).verbatim(*b"txt", line.as_bytes());
    Ok(Outcome::Done)
}

/// ON or OFF at an argument.
fn on_or_off(ctx: &Ctx<'_>, index: usize) -> Result<bool, CmdError> {
    match (ctx.args.is(index, "on"), ctx.args.is(index, "off")) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(CmdError::Syntax),
    }
}

fn capa(ctx: &mut Ctx<'_>) -> CmdResult {
    // What we have never heard of may be of a later version.
    if ctx.args.iter_from(2).any(|word| word.eq_ignore_ascii_case(b"redirect")) {
        *ctx.client_state |= state::CAPA_REDIRECT;
    }
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn import_source(ctx: &mut Ctx<'_>) -> CmdResult {
    if !ctx.conf.import_mode && !ctx.args.is(2, "off") {
        return Err(CmdError::coded("ERR Server is not in import mode"));
    }
    set_state(ctx, state::IMPORT_SOURCE)
}

fn no_touch(ctx: &mut Ctx<'_>) -> CmdResult {
    set_state(ctx, state::NO_TOUCH)
}

fn no_evict(ctx: &mut Ctx<'_>) -> CmdResult {
    set_state(ctx, state::NO_EVICT)
}

fn set_state(ctx: &mut Ctx<'_>, bits: u32) -> CmdResult {
    if on_or_off(ctx, 2)? {
        *ctx.client_state |= bits;
    } else {
        *ctx.client_state &= !bits;
    }
    ctx.reply.ok();
    Ok(Outcome::Done)
}
