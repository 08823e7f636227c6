//! WAIT and WAITAOF: until others have what this client wrote.
//!
//! Who waits waits for its own last write: what others have written may be on its way all the same.

use crate::base::number::parse_i64;
use crate::base::time::Now;
use crate::engine::blocking::{Block, BlockOn, Offset};
use crate::engine::durability::NOT_LOGGED;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::BLOCKING;
use crate::engine::spec::{Group, Spec, acl};
use crate::engine::{Call, Engine};

const TIPS: &[&str] = &["request_policy:all_shards", "response_policy:agg_min"];

pub(in crate::commands) const COMMANDS: &[Spec] = &[
    Spec::global("wait", 3, wait, "who follows belongs to the server")
        .flags(BLOCKING)
        .acl(acl::CONNECTION)
        .tips(TIPS)
        .doc(Group::Generic, "3.0.0", "O(1)", "Waits until so many replicas have what the connection wrote.")
        .syntax("numreplicas:integer timeout:integer"),
    Spec::global("waitaof", 4, waitaof, "the log belongs to the server")
        .replies_array()
        .flags(BLOCKING)
        .acl(acl::CONNECTION)
        .tips(TIPS)
        .doc(
            Group::Generic,
            "7.2.0",
            "O(1)",
            "Waits until what the connection wrote is on the disk, here and on so many replicas.",
        )
        .syntax("numlocal:integer numreplicas:integer timeout:integer"),
];

const ON_REPLICA: CmdError = CmdError::coded(
    "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be \
     writable (which is not the default) writes to replicas are just local and are not propagated.",
);
const LOG_ON_REPLICA: CmdError = CmdError::coded(
    "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not \
     propagated.",
);

fn wait(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if engine.is_replica() {
        return Err(ON_REPLICA);
    }
    let replicas = parse_i64(call.args.at(1)).ok_or(CmdError::NotInteger)?;
    let deadline_us = deadline_us(engine.now, call.args.at(2))?;
    let feed = engine.written_upto(call.slot);
    let offset =
        Offset { log: 0, wants_log: false, replicas: replicas.max(0) as u64, feed, is_of_logs: false };
    let acked = engine.replicas_with(offset);
    if acked >= offset.replicas {
        engine.reply(call.slot).int(acked as i64);
        return Ok(Outcome::Done);
    }
    engine.wait_for_offset(call.id, offset);
    Ok(Outcome::Block(Block { on: BlockOn::Offset(offset), deadline_us }))
}

fn waitaof(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let local = parse_i64(call.args.at(1)).ok_or(CmdError::NotInteger)?;
    if !(0..=1).contains(&local) {
        return Err(CmdError::err("value is out of range, value must between 0 and 1"));
    }
    let replicas = parse_i64(call.args.at(2)).and_then(|count| u64::try_from(count).ok());
    let replicas = replicas.ok_or(CmdError::coded("ERR value is out of range, must be positive"))?;
    let deadline_us = deadline_us(engine.now, call.args.at(3))?;
    if engine.is_replica() {
        return Err(LOG_ON_REPLICA);
    }
    if local == 1 && !engine.conf.appendonly {
        return Err(NOT_LOGGED);
    }
    let (log, feed) = (engine.log_position(), engine.written_upto(call.slot));
    let offset = Offset { log, wants_log: local == 1, replicas, feed, is_of_logs: true };
    let is_durable = engine.durability.is_logged(offset);
    let acked = engine.replicas_with(offset);
    if acked >= replicas && (local == 0 || is_durable) {
        let mut reply = engine.reply(call.slot);
        reply.array(2);
        reply.int(i64::from(is_durable));
        reply.int(acked as i64);
        return Ok(Outcome::Done);
    }
    engine.wait_for_offset(call.id, offset);
    Ok(Outcome::Block(Block { on: BlockOn::Offset(offset), deadline_us }))
}

/// The end of a wait of so many milliseconds as monotonic time in microseconds; none for 0, which is for ever.
fn deadline_us(now: Now, text: &[u8]) -> Result<Option<u64>, CmdError> {
    let ms = parse_i64(text).ok_or(CmdError::coded("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| CmdError::coded("ERR timeout is negative"))?;
    if ms > i64::MAX as u64 - now.unix_ms() {
        return Err(CmdError::coded("ERR timeout is out of range"));
    }
    // Beyond the end of monotonic time a wait is for ever, too.
    Ok(ms.checked_mul(1000).and_then(|us| us.checked_add(now.mono_us)).filter(|_| ms > 0))
}
