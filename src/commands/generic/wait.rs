//! WAIT and WAITAOF: until others have what this client wrote.
//!
//! There are no replicas yet and no append-only file, so nothing is ever acknowledged: whoever asks for more than nobody
//! waits until the time is over.

use crate::engine::ctx::Ctx;
use crate::engine::error::{Block, BlockOn, CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::BLOCKING;
use crate::engine::spec::{Group, Spec, acl};

const TIPS: &[&str] = &["request_policy:all_shards", "response_policy:agg_min"];

pub(in crate::commands) const COMMANDS: &[Spec] = &[
    Spec::local("wait", 3, wait)
        .flags(BLOCKING)
        .acl(acl::CONNECTION)
        .tips(TIPS)
        .doc(Group::Generic, "3.0.0", "O(1)", "Waits until so many replicas have what the connection wrote.")
        .syntax("numreplicas:integer timeout:integer"),
    Spec::local("waitaof", 4, waitaof)
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
    let deadline_us = deadline_us(ctx, 2)?;
    if replicas <= 0 {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    }
    Ok(Outcome::Block(Block { on: BlockOn::Offset, deadline_us }))
}

fn waitaof(ctx: &mut Ctx<'_>) -> CmdResult {
    let local = ctx.int_between(1, 0, 1)?;
    let replicas = ctx.int(2).ok().filter(|&n| n >= 0);
    let replicas = replicas.ok_or(CmdError::coded("ERR value is out of range, must be positive"))?;
    let deadline_us = deadline_us(ctx, 3)?;
    if local == 1 && !ctx.conf.appendonly {
        return Err(CmdError::coded(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ));
    }
    if local == 0 && replicas == 0 {
        ctx.reply.array(2);
        ctx.reply.int(0);
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    }
    Ok(Outcome::Block(Block { on: BlockOn::Offset, deadline_us }))
}

/// The end of a wait of so many milliseconds as monotonic time in microseconds; none for 0, which is for ever.
fn deadline_us(ctx: &Ctx<'_>, index: usize) -> Result<Option<u64>, CmdError> {
    let ms = ctx.int(index).map_err(|_| CmdError::coded("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| CmdError::coded("ERR timeout is negative"))?;
    if ms > i64::MAX as u64 - ctx.now.unix_ms() {
        return Err(CmdError::coded("ERR timeout is out of range"));
    }
    Ok(ctx.wait_end_us(ms))
}
