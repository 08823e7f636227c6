//! HOTKEYS: which keys take most of the processor's time, or most bytes of the network.

use super::help::help_row;
use crate::base::number::parse_i64;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::hot_keys::Asked;
use crate::engine::spec::flag::{ADMIN, NOSCRIPT};
use crate::engine::spec::{Group, Spec};
use crate::engine::{Call, Engine};
use crate::resp::Reply;
use crate::structures::top::Top;

const WHY: &str = "all requests are looked at";
/// Keys that are shown unless told otherwise.
const COUNT: usize = 10;
/// Keys that are shown at most.
const COUNT_MAX: i64 = 64;
/// The longest time, in seconds.
const DURATION_S_MAX: i64 = 1_000_000;
/// The last slot of a cluster.
const SLOT_MAX: i64 = 16383;

pub(super) const COMMANDS: &[Spec] = &[Spec::container("hotkeys", SUBCOMMANDS)
    .doc(Group::Server, "8.6.0", "Depends on subcommand.", "Groups the commands that look for hot keys.")
    .help(HELP)];

const fn row(spec: Spec) -> Spec {
    spec.flags(ADMIN | NOSCRIPT)
}

const SUBCOMMANDS: &[Spec] = &[
    row(Spec::global("start", -2, start, WHY))
        .tips(&["request_policy:special"])
        .doc(Group::Server, "8.6.0", "O(1)", "Begins to look for hot keys.")
        .syntax(
            "METRICS=metrics{count:integer CPU=cpu:pure-token? NET=net:pure-token?} COUNT=k:integer? \
             DURATION=seconds:integer? SAMPLE=ratio:integer? SLOTS=slots{count:integer slot:integer+}?",
        ),
    row(Spec::global("stop", 2, stop, WHY)).tips(&["request_policy:special"]).doc(
        Group::Server,
        "8.6.0",
        "O(1)",
        "Looks for hot keys no longer.",
    ),
    row(Spec::global("get", 2, get, WHY))
        .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"])
        .doc(Group::Server, "8.6.0", "O(K) where K is the number of keys that are shown.", "Shows hot keys."),
    row(Spec::global("reset", 2, reset, WHY)).tips(&["request_policy:special"]).doc(
        Group::Server,
        "8.6.0",
        "O(1)",
        "Forgets hot keys.",
    ),
    help_row(Group::Server, "8.6.1", 0),
];

const HELP: &[&str] = &[
    "START <METRICS count [CPU] [NET]> [COUNT k] [DURATION duration] [SAMPLE ratio] [SLOTS count slot...]",
    "    Starts hotkeys tracking with specified metrics.",
    "    * METRICS count [CPU] [NET]",
    "        Specify count of metrics and choose amongst:",
    "        - CPU: Track hotkeys by CPU time percentage",
    "        - NET: Track hotkeys by network bytes percentage",
    "    * COUNT k",
    "        Specifies the value of K for the top-K hotkeys tracking. Default: 10",
    "    * DURATION duration",
    "        Specifies tracking duration in seconds. 0 means tracking will continue until manually stopped. Default: 0",
    "    * SAMPLE ratio",
    "        Keys are tracked with probability 1/ratio. Default: 1 (tracks every key)",
    "    * SLOTS count slot...",
    "        Specify which slots to track keys from. Only available in cluster mode. Default: empty (track all slots)",
    "STOP",
    "    Stop hotkeys tracking. Results are still available via GET",
    "GET",
    "    Get results from hotkeys tracking.",
    "RESET",
    "    Reset memory used for hotkeys tracking. Tracking must have been stopped.",
    "    Results will no longer be available after this command.",
];

fn start(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if engine.logs.hot_keys.as_ref().is_some_and(|hot| hot.is_active) {
        return Err(CmdError::coded("ERR hotkey tracking session already in progress"));
    }
    let asked = asked(call)?;
    engine.start_hot_keys(call.host, asked);
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

/// A number at an argument, between two others.
fn number_at(
    call: &Call<'_>,
    index: usize,
    min: i64,
    max: i64,
    refusal: &'static str,
) -> Result<i64, CmdError> {
    let number = call.args.get(index).and_then(parse_i64).filter(|number| (min..=max).contains(number));
    number.ok_or(CmdError::coded(refusal))
}

/// What START asks for.
fn asked(call: &Call<'_>) -> Result<Asked, CmdError> {
    let args = call.args;
    if args.len() < 4 || !args.is(2, "metrics") {
        return Err(CmdError::coded("ERR METRICS parameter is required"));
    }
    let metrics = number_at(call, 3, 1, 2, "ERR METRICS count must be > 0 and <= 2")? as usize;
    let mut asked = Asked { cpu: false, net: false, count: COUNT, duration_ms: None, sample_ratio: 1 };
    let mut index = 4;
    while index < args.len().min(4 + metrics) {
        // A word that is not known stands for what a later version measures.
        let (metric, refusal) = if args.is(index, "cpu") {
            (&mut asked.cpu, "ERR METRICS CPU defined more than once!")
        } else if args.is(index, "net") {
            (&mut asked.net, "ERR METRICS NET defined more than once!")
        } else {
            index += 1;
            continue;
        };
        if std::mem::replace(metric, true) {
            return Err(CmdError::coded(refusal));
        }
        index += 1;
    }
    if index < 4 + metrics {
        return Err(CmdError::coded("ERR METRICS count does not match number of metric types provided"));
    }
    if !asked.cpu && !asked.net {
        return Err(CmdError::coded("ERR METRICS no valid metrics passed. Supported: CPU|NET"));
    }
    while index < args.len() {
        let has_more = index + 1 < args.len();
        let at = index + 1;
        if has_more && args.is(index, "count") {
            asked.count = number_at(call, at, 1, COUNT_MAX, "ERR COUNT must be between 1 and 64")? as usize;
        } else if has_more && args.is(index, "duration") {
            let refusal = "ERR DURATION must be between 1 and 1000000";
            asked.duration_ms = Some(number_at(call, at, 1, DURATION_S_MAX, refusal)? as u64 * 1000);
        } else if has_more && args.is(index, "sample") {
            let ratio = number_at(call, at, 1, i32::MAX.into(), "ERR SAMPLE ratio must be positive")?;
            asked.sample_ratio = ratio as u32;
        } else if has_more && args.is(index, "slots") {
            return Err(CmdError::coded("ERR SLOTS parameter cannot be used in non-cluster mode"));
        } else {
            return Err(CmdError::Syntax);
        }
        index += 2;
    }
    Ok(asked)
}

fn stop(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    match engine.stop_hot_keys() {
        true => engine.reply(call.slot).ok(),
        false => engine.reply(call.slot).null(),
    }
    Ok(Outcome::Done)
}

fn reset(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if engine.logs.hot_keys.as_ref().is_some_and(|hot| hot.is_active) {
        return Err(CmdError::coded("ERR hotkey tracking session in progress, stop tracking first"));
    }
    engine.logs.hot_keys = None;
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

fn get(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let facts = call.host.facts();
    let now_ms = engine.now.unix_ms();
    // What is shown is put aside, since the reply needs the whole engine.
    let Some(hot) = engine.logs.hot_keys.take() else {
        engine.reply(call.slot).null();
        return Ok(Outcome::Done);
    };
    let mut reply = engine.reply(call.slot);
    let reply = &mut reply;
    reply.array(1);
    reply.map(7 + if hot.asked.cpu { 3 } else { 0 } + if hot.asked.net { 2 } else { 0 });
    let took_ms = if hot.is_active { now_ms.saturating_sub(hot.began_unix_ms) } else { hot.took_ms };
    field(reply, "tracking-active", u64::from(hot.is_active));
    field(reply, "sample-ratio", hot.asked.sample_ratio.into());
    // Without a cluster all slots are this server's.
    reply.bulk(b"selected-slots");
    reply.array(1);
    reply.array(2);
    reply.int(0);
    reply.int(SLOT_MAX);
    field(reply, "all-commands-all-slots-us", hot.all_ns / 1000);
    field(reply, "net-bytes-all-commands-all-slots", hot.all_bytes);
    field(reply, "collection-start-time-unix-ms", hot.began_unix_ms);
    field(reply, "collection-duration-ms", took_ms);
    if hot.asked.cpu {
        let (user_us, system_us) = hot.cpu_us_before;
        field(reply, "total-cpu-time-user-ms", facts.cpu_user_us.saturating_sub(user_us) / 1000);
        field(reply, "total-cpu-time-sys-ms", facts.cpu_system_us.saturating_sub(system_us) / 1000);
    }
    if let Some(top) = &hot.by_bytes {
        field(reply, "total-net-bytes", top.total());
    }
    if let Some(top) = &hot.by_time {
        // A key that took less than a microsecond is there, too.
        heaviest(reply, "by-cpu-time-us", top, hot.asked.count, |ns| ns.div_ceil(1000));
    }
    if let Some(top) = &hot.by_bytes {
        heaviest(reply, "by-net-bytes", top, hot.asked.count, |bytes| bytes);
    }
    engine.logs.hot_keys = Some(hot);
    Ok(Outcome::Done)
}

fn field(reply: &mut Reply<'_>, name: &str, value: u64) {
    reply.bulk(name.as_bytes());
    reply.int(value as i64);
}

fn heaviest(reply: &mut Reply<'_>, name: &str, top: &Top, count: usize, shown: impl Fn(u64) -> u64) {
    reply.bulk(name.as_bytes());
    reply.array(top.heaviest(count).count() * 2);
    for (key, sum) in top.heaviest(count) {
        reply.bulk(key);
        reply.int(shown(sum) as i64);
    }
}
