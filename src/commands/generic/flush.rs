//! Whole databases: FLUSHDB, FLUSHALL, SWAPDB.
//!
//! A database is emptied in constant time: an empty one takes its place and the old one is freed on the helper thread.
//! SYNC means that its client is answered when the memory is free; nobody else waits.

use crate::engine::blocking::{Block, BlockOn};
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::{FAST, WRITE};
use crate::engine::spec::{Group, Spec, acl};
use crate::engine::{Call, Engine};

const TIPS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];
const SYNTAX: &str = "flush-type(ASYNC#4.0.0 | SYNC#6.2.0)?";
const HISTORY: &[(&str, &str)] = &[("4.0.0", "`ASYNC` came."), ("6.2.0", "`SYNC` came.")];

pub(in crate::commands) const COMMANDS: &[Spec] = &[
    Spec::global(
        "flushdb",
        -1,
        flushdb,
        "what it removes is freed by the helper thread, for which the client may wait",
    )
    .flags(WRITE)
    .acl(acl::DANGEROUS | acl::KEYSPACE)
    .tips(TIPS)
    .doc(
        Group::Server,
        "1.0.0",
        "O(1); the keys are freed in the background.",
        "Removes all keys of the database.",
    )
    .syntax(SYNTAX)
    .history(HISTORY),
    Spec::global(
        "flushall",
        -1,
        flushall,
        "what it removes is freed by the helper thread, for which the client may wait",
    )
    .on_all_databases()
    .flags(WRITE)
    .acl(acl::DANGEROUS | acl::KEYSPACE)
    .tips(TIPS)
    .doc(
        Group::Server,
        "1.0.0",
        "O(1); the keys are freed in the background.",
        "Removes all keys of all databases.",
    )
    .syntax(SYNTAX)
    .history(HISTORY),
    Spec::local("swapdb", 3, swapdb)
        .databases(|_| vec![1, 2])
        .flags(WRITE | FAST)
        .acl(acl::DANGEROUS | acl::KEYSPACE)
        .doc(
            Group::Server,
            "4.0.0",
            "O(N) where N is the number of clients that watch or wait for keys of the two.",
            "Exchanges two databases.",
        )
        .syntax("index1:integer index2:integer"),
];

fn flushdb(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let waits = waits_for_memory(engine, call)?;
    let db = engine.clients[call.slot].db as usize;
    let freeing = flush(engine, call, db..db + 1, waits);
    Ok(answer(engine, call, freeing))
}

fn flushall(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let waits = waits_for_memory(engine, call)?;
    let all = 0..engine.dbs.count();
    engine.cancel_background_save();
    // Replicas that are being sent what goes ask again.
    engine.give_sync_up();
    let freeing = flush(engine, call, all, waits);
    let job = match (engine.save_flushed(call.host), freeing) {
        // As in Redis, it does not matter whether the empty dump could be saved.
        (Some(saving), Some(freeing)) => {
            engine.wait_for_both(saving, freeing, call.id, |_, _, _| Ok(()));
            Some(saving)
        }
        (Some(saving), None) => {
            engine.wait_for_job(saving, call.id, |_, _, _| Ok(()));
            Some(saving)
        }
        (None, freeing) => freeing,
    };
    Ok(answer(engine, call, job))
}

/// Answers OK, at once or when a job is done.
fn answer(engine: &mut Engine, call: &Call<'_>, job: Option<u64>) -> Outcome {
    if let Some(job) = job {
        return Outcome::Block(Block { on: BlockOn::Job(job), deadline_us: None });
    }
    engine.reply(call.slot).ok();
    Outcome::Done
}

/// Whether the client is answered only when the memory is free.
fn waits_for_memory(engine: &Engine, call: &Call<'_>) -> Result<bool, CmdError> {
    match call.args.len() {
        1 => Ok(!engine.conf().lazyfree_lazy_user_flush),
        2 if call.args.is(1, "sync") => Ok(true),
        2 if call.args.is(1, "async") => Ok(false),
        _ => Err(CmdError::Syntax),
    }
}

/// Empties databases. Gives the job that frees what they held, if the client has to wait for it.
fn flush(engine: &mut Engine, call: &mut Call<'_>, dbs: std::ops::Range<usize>, waits: bool) -> Option<u64> {
    let removed: usize = dbs.clone().map(|db| engine.dbs.at(db).len()).sum();
    engine.propagation.changed(removed as u64);
    // Also where nothing was removed: those who follow may hold what has expired here.
    engine.propagate(call.slot, call.args);
    let now_ms = engine.now.unix_ms();
    engine.signal_all(dbs.clone());
    engine.touch_emptied(dbs.clone());
    engine.flush_tracked();
    let garbage = engine.dbs.flush(dbs, now_ms)?;
    if waits && engine.is_nested() {
        engine.free_unseen(garbage);
        return None;
    }
    let job = engine.free(garbage, waits.then_some(call.id));
    waits.then_some(job)
}

fn swapdb(ctx: &mut Ctx<'_>) -> CmdResult {
    if ctx.conf.cluster_enabled {
        return Err(CmdError::coded("ERR SWAPDB is not allowed in cluster mode"));
    }
    let is_i32 = |index: usize| ctx.int_between(index, i32::MIN.into(), i32::MAX.into()).is_ok();
    if !is_i32(1) {
        return Err(CmdError::coded("ERR invalid first DB index"));
    }
    if !is_i32(2) {
        return Err(CmdError::coded("ERR invalid second DB index"));
    }
    let (first, second) = (ctx.db_number(1)?, ctx.db_number(2)?);
    ctx.dbs().swap(first as usize, second as usize);
    ctx.swapped(first, second);
    ctx.changed(1);
    ctx.reply.ok();
    Ok(Outcome::Done)
}
