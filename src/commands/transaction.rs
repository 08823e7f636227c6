//! MULTI, EXEC, DISCARD, WATCH and UNWATCH. What they stand for is in [`crate::engine::transaction`].

use crate::engine::client::state;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec, acl, key, keys_from};
use crate::engine::{Call, Engine};

const ALWAYS: u32 = NOSCRIPT | LOADING | STALE;

const fn row(spec: Spec, since: &'static str, cost: &'static str, summary: &'static str) -> Spec {
    spec.flags(ALWAYS).acl(acl::TRANSACTION).doc(Group::Transactions, since, cost, summary)
}

pub(super) const COMMANDS: &[Spec] = &[
    row(
        Spec::global("discard", 1, discard, "the queue lies with the connection"),
        "2.0.0",
        "O(N), when N is the number of queued commands",
        "Forgets what was queued since MULTI.",
    )
    .flags(FAST | ALLOW_BUSY | RUNS_IN_MULTI),
    row(
        Spec::global("exec", 1, exec, "runs other commands"),
        "1.2.0",
        "Depends on commands in the transaction",
        "Runs what was queued since MULTI.",
    )
    .flags(SKIP_SLOWLOG | RUNS_IN_MULTI | RUNS_QUEUE)
    .runs_others(Engine::flags_with_queue),
    row(
        Spec::local("multi", 1, multi),
        "1.2.0",
        "O(1)",
        "Begins a transaction: what follows waits for EXEC.",
    )
    .flags(FAST | ALLOW_BUSY | RUNS_IN_MULTI),
    row(
        Spec::global("unwatch", 1, unwatch, "what is watched lies with the connection"),
        "2.2.0",
        "O(1)",
        "Watches no key any longer.",
    )
    .flags(FAST | ALLOW_BUSY),
    row(
        Spec::global("watch", -2, watch, "what is watched lies with the connection"),
        "2.2.0",
        "O(1) for every key.",
        "Lets the next EXEC run only if nobody changes these keys before it.",
    )
    .syntax("key@0+")
    .keys(&[keys_from(1, -1, 1, key::RO)])
    .flags(FAST | ALLOW_BUSY | RUNS_IN_MULTI),
];

fn multi(ctx: &mut Ctx<'_>) -> CmdResult {
    if *ctx.client_state & state::MULTI != 0 {
        return Err(CmdError::coded("ERR MULTI calls can not be nested"));
    }
    *ctx.client_state |= state::MULTI;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn exec(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.exec(call)
}

fn discard(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if !engine.clients[call.slot].is(state::MULTI) {
        return Err(CmdError::coded("ERR DISCARD without MULTI"));
    }
    engine.discard_transaction(call.slot);
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn watch(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let client = &engine.clients[call.slot];
    if client.is(state::MULTI) {
        return Err(CmdError::coded("ERR WATCH inside MULTI is not allowed"));
    }
    // One that was changed already will not run, whatever else is watched.
    if !client.is(state::DIRTY_CAS) {
        for index in 1..call.args.len() {
            engine.watch(call.slot, call.args.bytes(index));
        }
    }
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn unwatch(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.unwatch(call.slot);
    engine.clients[call.slot].set(state::DIRTY_CAS, false);
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}
