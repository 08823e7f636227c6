//! Who follows whom: ROLE, REPLICAOF, and what replicas say to their primary.

use crate::base::number::parse_i64;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::replication::{LinkStage, Primary};
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec, acl};
use crate::engine::{Call, Engine};

pub(super) const COMMANDS: &[Spec] = &[
    Spec::global("role", 1, role, "who follows belongs to the server")
        .flags(NOSCRIPT | LOADING | STALE | FAST)
        .acl(acl::ADMIN | acl::DANGEROUS)
        .doc(Group::Server, "2.8.12", "O(1)", "Tells whether the server is a primary or a replica."),
    Spec::global("replicaof", 3, replicaof, "the role belongs to the server")
        .flags(ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING)
        .doc(Group::Server, "5.0.0", "O(1)", "Follows another server, or nobody: `REPLICAOF NO ONE`.")
        .syntax("args(host-port{host port:integer} | no-one{NO ONE})"),
    Spec::global("slaveof", 3, replicaof, "the role belongs to the server")
        .flags(ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING)
        .doc(Group::Server, "1.0.0", "O(1)", "The older name of REPLICAOF.")
        .syntax("args(host-port{host port:integer} | no-one{NO ONE})")
        .deprecated("5.0.0", "`REPLICAOF`"),
    Spec::global("psync", -3, psync, "its client becomes a replica")
        .flags(ADMIN | NO_MULTI | NOSCRIPT | NO_ASYNC_LOADING)
        .doc(Group::Server, "2.8.0", "", "Asks for the feed, from an offset of a history on.")
        .syntax("replicationid offset:integer"),
    Spec::global("sync", 1, sync, "its client becomes a replica")
        .flags(ADMIN | NO_MULTI | NOSCRIPT | NO_ASYNC_LOADING)
        .doc(Group::Server, "1.0.0", "", "Asks for a dump and the feed behind it."),
    Spec::global("failover", -1, failover, "the role belongs to the server")
        .flags(ADMIN | NOSCRIPT | STALE)
        .doc(Group::Server, "6.2.0", "O(1)", "Exchanges the roles of this server and one of its replicas.")
        .syntax("TO=target{host port:integer FORCE?}? ABORT? TIMEOUT=milliseconds:integer?"),
    Spec::global("replconf", -1, replconf, "what a replica says concerns the feed")
        .serves_links()
        .flags(ADMIN | NOSCRIPT | LOADING | STALE | ALLOW_BUSY)
        .doc(Group::Server, "3.0.0", "O(1)", "Says what a replica is, and how far it has the feed."),
];

/// Bytes of an address that a replica may give. Redis: `NET_HOST_STR_LEN`.
const ADDRESS_BYTES_MAX: usize = 255;

fn role(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.commit();
    let offset = engine.replication.offset();
    if let Some(primary) = &engine.replication.primary {
        let (host, port) = (primary.host.clone(), primary.port);
        let state = match primary.stage() {
            LinkStage::Down => "connect",
            LinkStage::Connecting => "connecting",
            LinkStage::Greeting => "handshake",
            LinkStage::Syncing => "sync",
            LinkStage::Up => "connected",
        };
        let offset = if primary.is_up() { offset as i64 } else { -1 };
        let mut reply = engine.reply(call.slot);
        reply.array(5);
        reply.bulk(b"slave");
        reply.bulk(host.as_bytes());
        reply.int(i64::from(port));
        reply.bulk(state.as_bytes());
        reply.int(offset);
        return Ok(Outcome::Done);
    }
    let shown = engine.shown_replicas().filter(|(_, _, replica)| replica.stage.is_online());
    let shown: Vec<(String, u16, u64)> =
        shown.map(|(address, port, replica)| (address, port, replica.acked)).collect();
    let mut reply = engine.reply(call.slot);
    reply.array(3);
    reply.bulk(b"master");
    reply.int(offset as i64);
    reply.array(shown.len());
    for (address, port, acked) in shown {
        reply.array(3);
        reply.bulk(address.as_bytes());
        reply.bulk_int(i64::from(port));
        reply.bulk_int(acked as i64);
    }
    Ok(Outcome::Done)
}

fn replicaof(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if engine.conf().cluster_enabled {
        return Err(CmdError::err("REPLICAOF not allowed in cluster mode."));
    }
    let (name, port) = (call.args.at(1), call.args.at(2));
    if engine.replication.failover.is_some() {
        return Err(CmdError::err("REPLICAOF not allowed while failing over."));
    }
    if call.args.is(1, "no") && call.args.is(2, "one") {
        if engine.is_replica() {
            engine.become_primary(call.host);
            log::info!("MASTER MODE enabled (user request from '{}')", engine.describe_client(call.slot));
        }
        engine.reply(call.slot).ok();
        return Ok(Outcome::Done);
    }
    if engine.clients[call.slot].is(crate::engine::client::state::REPLICA) {
        return Err(CmdError::err("Command is not valid when client is a replica."));
    }
    let port = parse_i64(port).and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or(CmdError::coded("ERR Invalid master port"))?;
    let name = String::from_utf8_lossy(name).into_owned();
    let is_same = |primary: &Primary| primary.host.eq_ignore_ascii_case(&name) && primary.port == port;
    if engine.replication.primary.as_deref().is_some_and(is_same) {
        log::info!(
            "REPLICAOF would result into synchronization with the master we are already connected with. No operation performed."
        );
        engine.reply(call.slot).status("OK Already connected to specified master");
        return Ok(Outcome::Done);
    }
    engine.follow(call.host, &name, port);
    log::info!("REPLICAOF {name}:{port} enabled (user request from '{}')", engine.describe_client(call.slot));
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn failover(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if engine.conf().cluster_enabled {
        return Err(CmdError::err("FAILOVER not allowed in cluster mode."));
    }
    let args = call.args;
    if args.len() == 2 && args.is(1, "abort") {
        if !engine.abort_failover(call.host, "Failover manually aborted") {
            return Err(CmdError::err("No failover in progress."));
        }
        engine.reply(call.slot).ok();
        return Ok(Outcome::Done);
    }
    let (mut target, mut timeout_ms, mut is_forced, mut at) = (None, None, false, 1);
    while at < args.len() {
        if args.is(at, "timeout") && at + 1 < args.len() && timeout_ms.is_none() {
            let ms = parse_i64(args.at(at + 1)).ok_or(CmdError::NotInteger)?;
            if ms <= 0 {
                return Err(CmdError::err("FAILOVER timeout must be greater than 0"));
            }
            timeout_ms = Some(ms as u64);
            at += 2;
        } else if args.is(at, "to") && at + 2 < args.len() && target.is_none() {
            let port = parse_i64(args.at(at + 2)).ok_or(CmdError::NotInteger)?;
            let port = u16::try_from(port).unwrap_or(0);
            target = Some((String::from_utf8_lossy(args.at(at + 1)).into_owned(), port));
            at += 3;
        } else if args.is(at, "force") && !is_forced {
            is_forced = true;
            at += 1;
        } else {
            return Err(CmdError::Syntax);
        }
    }
    engine.begin_failover(target, timeout_ms, is_forced)?;
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn psync(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if call.args.len() > 3 && call.args.is(3, "failover") {
        engine.take_over_role(call.host, call.slot, call.args.at(1))?;
    }
    let Some(offset) = parse_i64(call.args.at(2)) else {
        log::warn!(
            "Replica {} asks for synchronization but with a wrong offset",
            engine.replica_name(call.slot)
        );
        return Err(CmdError::NotInteger);
    };
    engine.begin_replica(call.host, call.slot, Some((call.args.at(1), offset)))?;
    Ok(Outcome::Done)
}

fn sync(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.begin_replica(call.host, call.slot, None)?;
    Ok(Outcome::Done)
}

fn replconf(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if call.args.len().is_multiple_of(2) {
        return Err(CmdError::Syntax);
    }
    for at in (1..call.args.len()).step_by(2) {
        let (name, value) = (call.args.at(at).to_ascii_lowercase(), call.args.at(at + 1));
        match name.as_slice() {
            b"ack" => {
                let fack = (at + 2 < call.args.len() && call.args.is(at + 2, "fack"))
                    .then(|| parse_i64(call.args.at(at + 3)))
                    .flatten();
                let offset = parse_i64(value).unwrap_or(0);
                engine.replica_acked(call.slot, offset, fack);
                // That is never answered, and it may come from anybody.
                return Ok(Outcome::Done);
            }
            // Only a primary asks for that, and by its link.
            b"getack" => {
                if engine.is_link(call.id) {
                    engine.acknowledge();
                }
                return Ok(Outcome::Done);
            }
            _ => note(engine, call.slot, &name, value)?,
        }
    }
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

/// Notes what a replica says about itself.
fn note(engine: &mut Engine, slot: usize, name: &[u8], value: &[u8]) -> Result<(), CmdError> {
    let number = || parse_i64(value).ok_or(CmdError::NotInteger);
    let replica = engine.replica_mut(slot);
    match name {
        b"listening-port" => {
            let port = number()?;
            replica.port = u16::try_from(port).map_err(|_| CmdError::NotInteger)?;
        }
        b"ip-address" if value.len() >= ADDRESS_BYTES_MAX => {
            return Err(CmdError::err(format!(
                "REPLCONF ip-address provided by replica instance is too long: {} bytes",
                value.len()
            )));
        }
        b"ip-address" => replica.address = String::from_utf8_lossy(value).into_owned(),
        b"capa" if value.eq_ignore_ascii_case(b"eof") => replica.takes_mark = true,
        b"capa" if value.eq_ignore_ascii_case(b"psync2") => replica.takes_new_id = true,
        // What else it can do does not concern us: a connection of its own for the dump, for one.
        b"capa" if value.eq_ignore_ascii_case(b"stream-idmp") => replica.takes_idempotence = true,
        b"capa" => {}
        b"version" => replica.valkey_version = valkey_version(value),
        b"rdb-only" => replica.only_dump = number()? == 1,
        b"rdb-filter-only" => {
            replica.filter = crate::engine::replication::Filter { keys: false, functions: false };
            for word in value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
                match word.eq_ignore_ascii_case(b"functions") {
                    true => replica.filter.functions = true,
                    false => {
                        let word = String::from_utf8_lossy(word).into_owned();
                        return Err(CmdError::err(format!("Unsupported rdb-filter-only option: {word}")));
                    }
                }
            }
        }
        _ => {
            let name = String::from_utf8_lossy(name).into_owned();
            return Err(CmdError::err(format!("Unrecognized REPLCONF option: {name}")));
        }
    }
    Ok(())
}

/// `9.1.0` as a number with a byte for each part.
fn valkey_version(text: &[u8]) -> Option<u32> {
    let mut parts = std::str::from_utf8(text).ok()?.split('.').map(str::parse::<u8>);
    let mut next = || parts.next()?.ok().map(u32::from);
    Some(next()? << 16 | next()? << 8 | next()?)
}
