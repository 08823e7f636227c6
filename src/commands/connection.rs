//! Commands about the connection itself: handshake, password, database, and the end.

use super::client::checked_name;
use crate::base::number::parse_i64;
use crate::config;
use crate::engine::client::state;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome, quoted};
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec, acl};
use crate::engine::{Call, Engine};
use crate::resp::Args;
use bytes::Bytes;

const HANDSHAKE: u32 = NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY | BARRIER;

pub(super) const COMMANDS: &[Spec] = &[
    Spec::global("auth", -2, auth, "its client may run more afterwards")
        .secrets(|_, index| index > 0)
        .flags(HANDSHAKE)
        .acl(acl::CONNECTION)
        .doc(
            Group::Connection,
            "1.0.0",
            "O(N) where N is the number of passwords defined for the user",
            "Proves who the client is.",
        )
        .syntax("username?#6.0.0 password")
        .history(&[("6.0.0", "A user may be named before the password.")]),
    Spec::local("echo", 2, echo)
        .flags(LOADING | STALE | FAST)
        .acl(acl::CONNECTION)
        .doc(Group::Connection, "1.0.0", "O(1)", "Gives back what it was given.")
        .syntax("message"),
    Spec::global("hello", -1, hello, "changes the protocol and the name of its client")
        .secrets(|args, i| (i > 1 && args.is(i - 1, "AUTH")) || (i > 2 && args.is(i - 2, "AUTH")))
        .flags(HANDSHAKE)
        .acl(acl::CONNECTION)
        .doc(
            Group::Connection,
            "6.0.0",
            "O(1)",
            "Chooses the protocol, and tells the client whom it speaks with.",
        )
        .syntax(
            "arguments{protover:integer AUTH=auth{username password}? \
SETNAME=clientname?}?",
        )
        .history(&[("6.2.0", "Without a version it only tells about the connection.")]),
    Spec::local("ping", -1, ping)
        .flags(FAST | RUNS_SUBSCRIBED)
        .tells_health()
        .acl(acl::CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .doc(Group::Connection, "1.0.0", "O(1)", "Tells that the server is there.")
        .syntax("message?"),
    Spec::local("quit", -1, quit)
        .flags(HANDSHAKE | RUNS_IN_MULTI | RUNS_SUBSCRIBED)
        .acl(acl::CONNECTION)
        .doc(Group::Connection, "1.0.0", "O(1)", "Ends the connection.")
        .deprecated("7.2.0", "just closing the connection"),
    Spec::global("reset", 1, reset, "takes back all that its client has asked for")
        .flags(HANDSHAKE | RUNS_IN_MULTI | RUNS_SUBSCRIBED)
        .acl(acl::CONNECTION)
        .doc(Group::Connection, "6.2.0", "O(1)", "Makes the connection as good as new."),
    Spec::local("select", 2, select)
        .databases(|_| vec![1])
        .flags(LOADING | STALE | FAST)
        .acl(acl::CONNECTION)
        .doc(Group::Connection, "1.0.0", "O(1)", "Chooses the database of the connection.")
        .syntax("index:integer"),
];

fn echo(ctx: &mut Ctx<'_>) -> CmdResult {
    ctx.reply.bulk(ctx.args.at(1));
    Ok(Outcome::Done)
}

fn ping(ctx: &mut Ctx<'_>) -> CmdResult {
    if ctx.args.len() > 2 {
        return Err(CmdError::Arity("ping"));
    }
    if *ctx.client_state & state::PUBSUB != 0 && ctx.reply.version() == 2 {
        ctx.reply.array(2);
        ctx.reply.bulk(b"pong");
        ctx.reply.bulk(ctx.args.get(1).unwrap_or(b""));
        return Ok(Outcome::Done);
    }
    match ctx.args.get(1) {
        None => ctx.reply.raw(b"+PONG\r\n"),
        Some(message) => ctx.reply.bulk(message),
    }
    Ok(Outcome::Done)
}

fn quit(ctx: &mut Ctx<'_>) -> CmdResult {
    *ctx.client_state |= state::CLOSE_AFTER_REPLY;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn select(ctx: &mut Ctx<'_>) -> CmdResult {
    *ctx.db_index = ctx.db_number(1)?;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn auth(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let args = call.args;
    if args.len() > 3 {
        return Err(CmdError::Syntax);
    }
    if args.len() == 2 && engine.acl.users.default_user().any_password {
        return Err(CmdError::coded(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        ));
    }
    let (user, password): (&[u8], &[u8]) =
        if args.len() == 2 { (b"default", args.at(1)) } else { (args.at(1), args.at(2)) };
    engine.authenticate(call.slot, args, user, password)?;
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

/// What HELLO was asked for.
#[derive(Default)]
struct Hello<'a> {
    version: Option<u8>,
    credentials: Option<(&'a [u8], &'a [u8])>,
    name: Option<Bytes>,
}

impl<'a> Hello<'a> {
    fn parse(args: Args<'a>) -> Result<Hello<'a>, CmdError> {
        let mut hello = Hello::default();
        let Some(version) = args.get(1) else { return Ok(hello) };
        let version = parse_i64(version)
            .ok_or(CmdError::coded("ERR Protocol version is not an integer or out of range"))?;
        if !(2..=3).contains(&version) {
            return Err(CmdError::coded("NOPROTO unsupported protocol version"));
        }
        hello.version = Some(version as u8);
        let mut at = 2;
        while at < args.len() {
            if args.is(at, "auth") && at + 2 < args.len() {
                hello.credentials = Some((args.at(at + 1), args.at(at + 2)));
                at += 3;
            } else if args.is(at, "setname") && at + 1 < args.len() {
                hello.name = Some(checked_name(args.bytes(at + 1))?);
                at += 2;
            } else {
                let option = quoted(args.at(at));
                return Err(CmdError::err(format!("Syntax error in HELLO option '{option}'")));
            }
        }
        Ok(hello)
    }
}

fn hello(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let hello = Hello::parse(call.args)?;
    if let Some((user, password)) = hello.credentials {
        engine.authenticate(call.slot, call.args, user, password)?;
    }
    if !engine.clients[call.slot].is(state::AUTHENTICATED) {
        return Err(CmdError::coded(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
             <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the \
             same time",
        ));
    }
    if let Some(name) = hello.name {
        engine.clients[call.slot].labels_mut().name = name;
    }
    let client = &mut engine.clients[call.slot];
    if let Some(version) = hello.version {
        client.resp = version;
    }
    let (id, version) = (client.id, client.resp);
    let mode: &[u8] = if engine.conf.cluster_enabled { b"cluster" } else { b"standalone" };
    let role: &[u8] = if engine.is_replica() { b"replica" } else { b"master" };
    let mut reply = engine.reply(call.slot);
    reply.map(7);
    for (field, value) in [("server", "redis"), ("version", config::REDIS_VERSION)] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.int(i64::from(version));
    reply.bulk(b"id");
    reply.int(id as i64);
    reply.bulk(b"mode");
    reply.bulk(mode);
    reply.bulk(b"role");
    reply.bulk(role);
    reply.bulk(b"modules");
    super::server::reply_modules(&mut reply);
    Ok(Outcome::Done)
}

fn reset(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.remove_monitor(call.id);
    engine.unsubscribe_all(call.id);
    engine.track_no_longer(call.slot);
    engine.discard_transaction(call.slot);
    engine.become_default_user(call.slot);
    let client = &mut engine.clients[call.slot];
    // Where CLIENT REPLY SKIP came before, this is the reply that is left out.
    let forgotten = state::REPLY_OFF | state::NO_TOUCH | state::NO_EVICT | state::IMPORT_SOURCE;
    client.state &= !forgotten;
    client.db = 0;
    client.reads_replica = false;
    client.resp = 2;
    if let Some(labels) = &mut client.labels {
        labels.name = Bytes::new();
    }
    engine.reply(call.slot).status("RESET");
    Ok(Outcome::Done)
}
