//! WAIT and WAITAOF: until others have what this client wrote.
//!
//! There are no replicas yet, so whoever asks for one waits until the time is over.

use crate::base::number::parse_i64;
use crate::base::time::Now;
use crate::engine::ctx::Ctx;
use crate::engine::durability::NOT_LOGGED;
use crate::engine::error::{Block, BlockOn, CmdError, CmdResult, Offset, Outcome};
use crate::engine::spec::flag::BLOCKING;
use crate::engine::spec::{Group, Spec, acl};
use crate::engine::{Call, Engine};

const TIPS: &[&str] = &["request_policy:all_shards", "response_policy:agg_min"];

pub(in crate::commands) const COMMANDS: &[Spec] = &[
    Spec::local("wait", 3, wait)
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

fn wait(ctx: &mut Ctx<'_>) -> CmdResult {
    let replicas = ctx.int(1)?;
    let deadline_us = deadline_us(ctx.now, ctx.args.at(2))?;
    if replicas <= 0 {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    }
    Ok(Outcome::Block(Block {
        on: BlockOn::Offset(Offset { log: None, replicas: replicas as u64 }),
        deadline_us,
    }))
}

fn waitaof(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let local = parse_i64(call.args.at(1)).ok_or(CmdError::NotInteger)?;
    if !(0..=1).contains(&local) {
        return Err(CmdError::err("value is out of range, value must between 0 and 1"));
    }
    let replicas = parse_i64(call.args.at(2)).and_then(|count| u64::try_from(count).ok());
    let replicas = replicas.ok_or(CmdError::coded("ERR value is out of range, must be positive"))?;
    let deadline_us = deadline_us(engine.now, call.args.at(3))?;
    if local == 1 && !engine.conf.appendonly {
        return Err(NOT_LOGGED);
    }
    let position = engine.log_position();
    let offset = Offset { log: (local == 1).then_some(position), replicas };
    let is_durable = engine.durability.is_logged(Offset { log: Some(position), replicas });
    if replicas == 0 && (local == 0 || is_durable) {
        let mut reply = engine.reply(call.slot);
        reply.array(2);
        reply.int(i64::from(is_durable));
        reply.int(0);
        return Ok(Outcome::Done);
    }
    engine.wait_for_log(call.id, offset);
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
