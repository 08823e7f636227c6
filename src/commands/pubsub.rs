//! Publish and subscribe.

use super::help::help_row;
use crate::base::glob::glob_match;
use crate::engine::client::state;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::pubsub::Kind;
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, KeySpec, Spec, key, key_at, keys_from};
use crate::engine::{Call, Engine};
use bytes::Bytes;

const LISTENS: u32 = PUBSUB | NOSCRIPT | LOADING | STALE | RUNS_SUBSCRIBED;
const WHY: &str = "subscriptions tie clients and channels of the whole server";

/// Shard channels are routed as keys are, but they are none.
const SHARD_CHANNEL: &[KeySpec] = &[key_at(1, key::NOT_KEY)];
const SHARD_CHANNELS: &[KeySpec] = &[keys_from(1, -1, 1, key::NOT_KEY)];

const fn row(spec: Spec, since: &'static str, cost: &'static str, summary: &'static str) -> Spec {
    spec.doc(Group::Pubsub, since, cost, summary)
}

pub(super) const COMMANDS: &[Spec] = &[
    row(
        Spec::global("publish", 3, publish, "reaches the outputs of other clients")
            .flags(PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE | CHANNEL),
        "2.0.0",
        "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of \
         subscribed patterns (by any client).",
        "Sends a message to all who listen to a channel.",
    ).syntax("channel message"),
    row(
        Spec::global("subscribe", -2, subscribe, WHY).flags(LISTENS | CHANNELS | DENYOOM),
        "2.0.0",
        "O(N) where N is the number of channels to subscribe to.",
        "Listens to channels by name.",
    ).syntax("channel+"),
    row(
        Spec::global("unsubscribe", -1, unsubscribe, WHY).flags(LISTENS),
        "2.0.0",
        "O(N) where N is the number of channels to unsubscribe.",
        "Listens to channels no longer.",
    ).syntax("channel?+"),
    row(
        Spec::global("psubscribe", -2, psubscribe, WHY).flags(LISTENS | PATTERNS | DENYOOM),
        "2.0.0",
        "O(N) where N is the number of patterns to subscribe to.",
        "Listens to all channels whose name matches a pattern.",
    ).syntax("pattern:pattern+"),
    row(
        Spec::global("punsubscribe", -1, punsubscribe, WHY).flags(LISTENS),
        "2.0.0",
        "O(N) where N is the number of patterns to unsubscribe.",
        "Listens to patterns no longer.",
    ).syntax("pattern:pattern?+"),
    row(
        Spec::global("spublish", 3, spublish, "reaches the outputs of other clients")
            .flags(PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE | CHANNEL),
        "7.0.0",
        "O(N) where N is the number of clients subscribed to the receiving shard channel.",
        "Sends a message to all who listen to a shard channel.",
    )
    .keys(SHARD_CHANNEL)
    .syntax("shardchannel message"),
    row(
        Spec::global("ssubscribe", -2, ssubscribe, WHY).flags(LISTENS | CHANNELS | DENYOOM),
        "7.0.0",
        "O(N) where N is the number of shard channels to subscribe to.",
        "Listens to shard channels by name.",
    )
    .keys(SHARD_CHANNELS)
    .syntax("shardchannel+"),
    row(
        Spec::global("sunsubscribe", -1, sunsubscribe, WHY).flags(LISTENS),
        "7.0.0",
        "O(N) where N is the number of shard channels to unsubscribe.",
        "Listens to shard channels no longer.",
    )
    .keys(SHARD_CHANNELS)
    .syntax("shardchannel?+"),
    row(
        Spec::container("pubsub", SUBCOMMANDS),
        "2.8.0",
        "Depends on subcommand.",
        "Groups the commands that look at subscriptions.",
    )
    .help(HELP),
];

const SUBCOMMANDS: &[Spec] = &[
    row(
        Spec::global("channels", -2, channels, WHY).flags(PUBSUB | LOADING | STALE),
        "2.8.0",
        "O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively short \
         channels and patterns)",
        "Lists the channels to which somebody listens by name.",
    ).syntax("pattern:pattern?"),
    help_row(Group::Pubsub, "6.2.0", 0),
    row(
        Spec::global("numsub", -2, numsub, WHY).flags(PUBSUB | LOADING | STALE),
        "2.8.0",
        "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
        "Counts who listens to each channel by name.",
    ).syntax("channel?+"),
    row(
        Spec::global("numpat", 2, numpat, WHY).flags(PUBSUB | LOADING | STALE),
        "2.8.0",
        "O(1)",
        "Counts the patterns to which somebody listens.",
    ),
    row(
        Spec::global("shardchannels", -2, shardchannels, WHY).flags(PUBSUB | LOADING | STALE),
        "7.0.0",
        "O(N) where N is the number of active shard channels, and assuming constant time pattern matching (relatively \
         short shard channels).",
        "Lists the shard channels to which somebody listens.",
    ).syntax("pattern:pattern?"),
    row(
        Spec::global("shardnumsub", -2, shardnumsub, WHY).flags(PUBSUB | LOADING | STALE),
        "7.0.0",
        "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
        "Counts who listens to each shard channel.",
    ).syntax("shardchannel?+"),
];

const HELP: &[&str] = &[
    "CHANNELS [<pattern>]",
    "    Return the currently active channels matching a <pattern> (default: '*').",
    "NUMPAT",
    "    Return number of subscriptions to patterns.",
    "NUMSUB [<channel> ...]",
    "    Return the number of subscribers for the specified channels, excluding",
    "    pattern subscriptions(default: no channels).",
    "SHARDCHANNELS [<pattern>]",
    "    Return the currently active shard level channels matching a <pattern> (default: '*').",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Return the number of subscribers for the specified shard level channel(s)",
];

fn publish(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.tell_what_rose(call.id);
    let receivers = engine.publish(call.args.at(1), call.args.at(2));
    engine.catch_up_with(call.slot);
    engine.propagate(call.slot, call.args);
    engine.reply(call.slot).int(receivers as i64);
    Ok(Outcome::Done)
}

fn spublish(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    engine.tell_what_rose(call.id);
    let receivers = engine.publish_to_shard(call.args.at(1), call.args.at(2));
    engine.catch_up_with(call.slot);
    engine.propagate(call.slot, call.args);
    engine.reply(call.slot).int(receivers as i64);
    Ok(Outcome::Done)
}

fn subscribe(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    listen(engine, call, Kind::Channel, b"subscribe")
}

fn psubscribe(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    listen(engine, call, Kind::Pattern, b"psubscribe")
}

fn ssubscribe(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    // As in Redis, which lets the others through because older clients count on it.
    if engine.is_nested() {
        return Err(CmdError::err("SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    listen(engine, call, Kind::Shard, b"ssubscribe")
}

fn unsubscribe(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    leave(engine, call, Kind::Channel, b"unsubscribe")
}

fn punsubscribe(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    leave(engine, call, Kind::Pattern, b"punsubscribe")
}

fn sunsubscribe(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    leave(engine, call, Kind::Shard, b"sunsubscribe")
}

/// One answer to (un)subscribing: the verb, the name, and how many subscriptions of this kind the client has now.
fn confirm(engine: &mut Engine, slot: usize, kind: Kind, verb: &[u8], name: Option<&[u8]>) {
    let count = engine.clients[slot].subscriptions.as_ref().map_or(0, |s| s.count_with(kind));
    // Also a client that wants no replies gets these: they are messages.
    let mut reply = engine.reply(slot);
    reply.set_muted(false);
    reply.push(3);
    reply.bulk(verb);
    reply.bulk_or_null(name);
    reply.int(count as i64);
}

fn listen(engine: &mut Engine, call: &mut Call<'_>, kind: Kind, verb: &[u8]) -> CmdResult {
    // What has happened before, in the same transaction, is not told to who comes now.
    engine.tell_what_rose(call.id);
    for i in 1..call.args.len() {
        let name = call.args.bytes(i);
        engine.subscribe(call.id, kind, &name);
        confirm(engine, call.slot, kind, verb, Some(&name));
    }
    Ok(Outcome::Done)
}

fn leave(engine: &mut Engine, call: &mut Call<'_>, kind: Kind, verb: &[u8]) -> CmdResult {
    let names: Vec<Bytes> = if call.args.len() > 1 {
        (1..call.args.len()).map(|i| call.args.bytes(i)).collect()
    } else {
        let own = engine.clients[call.slot].subscriptions.as_deref();
        own.map_or_else(Vec::new, |own| own.of(kind).iter().cloned().collect())
    };
    engine.tell_what_rose(call.id);
    for name in &names {
        engine.unsubscribe(call.id, kind, name);
        confirm(engine, call.slot, kind, verb, Some(name));
    }
    if names.is_empty() {
        confirm(engine, call.slot, kind, verb, None);
    }
    debug_assert!(
        engine.clients[call.slot].subscriptions.is_some() == engine.clients[call.slot].is(state::PUBSUB)
    );
    Ok(Outcome::Done)
}

fn channels(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    list_names(engine, call, Kind::Channel)
}

fn shardchannels(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    list_names(engine, call, Kind::Shard)
}

fn list_names(engine: &mut Engine, call: &mut Call<'_>, kind: Kind) -> CmdResult {
    let pattern = call.args.get(2);
    if call.args.len() > 3 {
        return Err(super::unknown_form(call));
    }
    let all = engine.pubsub.of(kind).keys();
    let names: Vec<Bytes> =
        all.filter(|name| pattern.is_none_or(|p| glob_match(p, name, false))).cloned().collect();
    let mut reply = engine.reply(call.slot);
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name));
    Ok(Outcome::Done)
}

fn numsub(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    count_listeners(engine, call, Kind::Channel)
}

fn shardnumsub(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    count_listeners(engine, call, Kind::Shard)
}

fn count_listeners(engine: &mut Engine, call: &mut Call<'_>, kind: Kind) -> CmdResult {
    let counts: Vec<(Bytes, usize)> = (2..call.args.len())
        .map(|i| call.args.bytes(i))
        .map(|name| {
            let listeners = engine.pubsub.of(kind).get(&name).map_or(0, |l| l.len());
            (name, listeners)
        })
        .collect();
    let mut reply = engine.reply(call.slot);
    reply.array(counts.len() * 2);
    for (name, count) in counts {
        reply.bulk(&name);
        reply.int(count as i64);
    }
    Ok(Outcome::Done)
}

fn numpat(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let count = engine.pubsub.patterns.len();
    engine.reply(call.slot).int(count as i64);
    Ok(Outcome::Done)
}
