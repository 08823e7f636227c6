//! LATENCY: spikes by event, and how long each command takes.

use super::help::help_row;
use crate::engine::error::{CmdError, CmdResult, Outcome, quoted};
use crate::engine::latency::{Event, Spike};
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec};
use crate::engine::{Call, Engine};
use std::fmt::Write;

const WHY: &str = "latency is measured for the whole server";
const TIPS: &[&str] = &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

const fn row(spec: Spec, since: &'static str, cost: &'static str, summary: &'static str) -> Spec {
    spec.flags(ADMIN | NOSCRIPT | LOADING | STALE).doc(Group::Server, since, cost, summary)
}

pub(super) const COMMANDS: &[Spec] = &[Spec::container("latency", SUBCOMMANDS)
    .doc(Group::Server, "2.8.13", "Depends on subcommand.", "Groups the commands that watch latency.")
    .help(HELP)];

const SUBCOMMANDS: &[Spec] = &[
    row(Spec::global("history", 3, history, WHY), "2.8.13", "O(1)", "Shows the spikes of one event.")
        .syntax("event")
        .tips(TIPS),
    row(
        Spec::global("histogram", -2, histogram, WHY),
        "7.0.0",
        "O(N) where N is the number of commands with latency information being retrieved.",
        "Shows how many calls took how long, command by command.",
    )
    .syntax("command?+")
    .tips(TIPS),
    help_row(Group::Server, "2.8.13", 0),
    row(Spec::global("reset", -2, reset, WHY), "2.8.13", "O(1)", "Forgets the spikes of events.")
        .syntax("event?+")
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum"]),
    row(Spec::global("doctor", 2, doctor, WHY), "2.8.13", "O(1)", "Says in words what the spikes tell.")
        .tips(TIPS),
    row(Spec::global("latest", 2, latest, WHY), "2.8.13", "O(1)", "Shows the last spike of each event.")
        .tips(TIPS),
    row(Spec::global("graph", 3, graph, WHY), "2.8.13", "O(1)", "Draws the spikes of one event.")
        .syntax("event")
        .tips(TIPS),
];

const HELP: &[&str] = &[
    "DOCTOR",
    "    Return a human readable latency analysis report.",
    "GRAPH <event>",
    "    Return an ASCII latency graph for the <event> class.",
    "HISTORY <event>",
    "    Return time-latency samples for the <event> class.",
    "LATEST",
    "    Return the latest latency samples for all events.",
    "RESET [<event> ...]",
    "    Reset latency data of one or more <event> classes.",
    "    (default: reset all data for all event classes)",
    "HISTOGRAM [COMMAND ...]",
    "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
    "    If no commands are specified then all histograms are replied.",
];

fn event_named<'e>(engine: &'e Engine, name: &[u8]) -> Option<(&'static str, &'e Event)> {
    let text = std::str::from_utf8(name).ok()?;
    engine.latency.events.get_key_value(text).map(|(name, event)| (*name, event))
}

fn history(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let spikes = event_named(engine, call.args.at(2)).map_or(Vec::new(), |(_, e)| e.spikes.clone());
    let mut reply = engine.reply(call.slot);
    reply.array(spikes.len());
    for spike in spikes {
        reply.array(2);
        reply.int(spike.unix_s as i64);
        reply.int(spike.ms as i64);
    }
    Ok(Outcome::Done)
}

fn latest(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let events: Vec<(&str, Spike, u64)> = engine
        .latency
        .events
        .iter()
        .filter_map(|(name, event)| Some((*name, *event.spikes.last()?, event.max_ms)))
        .collect();
    let mut reply = engine.reply(call.slot);
    reply.array(events.len());
    for (name, spike, max_ms) in events {
        reply.array(4);
        reply.bulk(name.as_bytes());
        reply.int(spike.unix_s as i64);
        reply.int(spike.ms as i64);
        reply.int(max_ms as i64);
    }
    Ok(Outcome::Done)
}

fn reset(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let before = engine.latency.events.len();
    if call.args.len() == 2 {
        engine.latency.events.clear();
    }
    for name in call.args.iter_from(2) {
        if let Ok(name) = std::str::from_utf8(name) {
            engine.latency.events.remove(name);
        }
    }
    let removed = before - engine.latency.events.len();
    engine.reply(call.slot).int(removed as i64);
    Ok(Outcome::Done)
}

fn histogram(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let mut shown: Vec<u16> = Vec::new();
    if call.args.len() == 2 {
        shown.extend(engine.table.rows().iter().map(|r| r.id));
    } else {
        for name in call.args.iter_from(2) {
            if let Some(row) = engine.table.find_full(name) {
                shown.push(row.id);
                shown.extend(&row.subs);
            }
        }
    }
    let table = engine.table;
    let mut lines = Vec::new();
    for id in shown {
        let Some(latency) = engine.stats.rows[id as usize].latency_ns.as_deref() else { continue };
        lines.push((table.at(id).full_name, latency.count(), cumulative(latency.iter())));
    }
    let mut reply = engine.reply(call.slot);
    reply.map(lines.len());
    for (name, calls, bins) in lines {
        reply.bulk(name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.int(calls as i64);
        reply.bulk(b"histogram_usec");
        reply.map(bins.len());
        for (us, count) in bins {
            reply.int(us as i64);
            reply.int(count as i64);
        }
    }
    Ok(Outcome::Done)
}

/// How many calls took at most so many microseconds, at powers of two from 1024 ns on, until no more are added.
fn cumulative(bins: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    let bins: Vec<(u64, u64)> = bins.collect();
    let total: u64 = bins.iter().map(|(_, n)| n).sum();
    let (mut shown, mut last) = (Vec::new(), 0);
    let mut limit_ns = 1024;
    while last < total {
        // The limit stands for all values that a histogram of two digits keeps together with it.
        let upper_ns = limit_ns + limit_ns / 128 - 1;
        let count = bins.iter().filter(|(upper, _)| *upper <= upper_ns).map(|(_, n)| n).sum();
        if count > last {
            shown.push((upper_ns / 1000, count));
            last = count;
        }
        limit_ns *= 2;
    }
    shown
}

/// Columns of the drawing. Redis: `LATENCY_GRAPH_COLS`.
const COLUMNS: usize = 80;

fn graph(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let name = call.args.at(2);
    let Some((name, event)) = event_named(engine, name) else {
        let name = quoted(name);
        return Err(CmdError::err(format!("No samples available for event '{name}'")));
    };
    let text = draw(name, event, engine.now.unix_s());
    engine.reply(call.slot).verbatim(*b"txt", text.as_bytes());
    Ok(Outcome::Done)
}

/// A column a spike: its height in four rows of `_`, `o` and `#`, its age below, read downwards.
fn draw(name: &str, event: &Event, now_s: u64) -> String {
    const LEVELS: [char; 3] = ['_', 'o', '#'];
    const ROWS: usize = 4;
    let spikes = &event.spikes[event.spikes.len().saturating_sub(COLUMNS)..];
    let high = spikes.iter().map(|s| s.ms).max().unwrap_or(0);
    let low = spikes.iter().map(|s| s.ms).min().unwrap_or(0);
    let mut text = format!("{name} - high {high} ms, low {low} ms (all time high {} ms)\n", event.max_ms);
    text += &"-".repeat(COLUMNS);
    text.push('\n');
    let steps = (ROWS * LEVELS.len()) as u64;
    let heights: Vec<u64> = spikes
        .iter()
        .map(|s| if high == low { 0 } else { (s.ms - low) * (steps - 1) / (high - low) })
        .collect();
    for row in (0..ROWS as u64).rev() {
        for height in &heights {
            let (full, part) = (height / LEVELS.len() as u64, (height % LEVELS.len() as u64) as usize);
            text.push(match row.cmp(&full) {
                std::cmp::Ordering::Less => '|',
                std::cmp::Ordering::Equal => LEVELS[part],
                std::cmp::Ordering::Greater => ' ',
            });
        }
        text.push('\n');
    }
    text += &" ".repeat(spikes.len());
    text.push('\n');
    let ages: Vec<String> = spikes.iter().map(|s| age(now_s.saturating_sub(s.unix_s))).collect();
    for i in 0..ages.iter().map(String::len).max().unwrap_or(0) {
        let line: String = ages.iter().map(|a| a.chars().nth(i).unwrap_or(' ')).collect();
        text += &line;
        text.push('\n');
    }
    text
}

fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

fn doctor(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let text = report(engine);
    engine.reply(call.slot).verbatim(*b"txt", text.as_bytes());
    Ok(Outcome::Done)
}

/// What the spikes tell, and what can be done.
fn report(engine: &Engine) -> String {
    if engine.conf.latency_monitor_threshold_ms == 0 {
        return "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. You may use \
                \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it.\n"
            .to_owned();
    }
    if engine.latency.events.is_empty() {
        return "Dave, no latency spike was observed during the lifetime of this Redis instance, not in the slightest \
                bit. I honestly think you ought to sit down calmly, take a stress pill, and think things over.\n"
            .to_owned();
    }
    let mut text =
        "Dave, I have observed latency spikes in this Redis instance. You don't mind talking about it, do \
                    you Dave?\n\n"
            .to_owned();
    for (number, (name, event)) in engine.latency.events.iter().enumerate() {
        let count = event.spikes.len() as u64;
        let sum: u64 = event.spikes.iter().map(|s| s.ms).sum();
        let mean = sum / count.max(1);
        let deviation: u64 = event.spikes.iter().map(|s| s.ms.abs_diff(mean)).sum::<u64>() / count.max(1);
        let first = event.spikes.first().map_or(0, |s| s.unix_s);
        let period = engine.now.unix_s().saturating_sub(first) as f64 / count.max(1) as f64;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}. {name}: {count} latency spikes (average {mean}ms, mean deviation {deviation}ms, period {period:.2} \
             sec). Worst all time event {}ms.",
            number + 1,
            event.max_ms
        );
    }
    text += "\nI have a few advices for you:\n\n";
    let seen = |name: &str| engine.latency.events.contains_key(name);
    if seen("command") {
        text += "- Check your Slow Log to understand what are the commands you are running which are too slow to \
                 execute. SLOWLOG GET shows them.\n";
    }
    if seen("fast-command") {
        text += "- Commands that need little work took long: the processor was busy with something else. Look for \
                 other processes on it, and whether the machine is overcommitted.\n";
    }
    if seen("expire-cycle") || seen("eviction-cycle") {
        text += "- Many keys went at once. Spread their deadlines, or give the server more memory.\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_up_to_powers_of_two() {
        let bins = [(500, 2), (1500, 3), (1900, 1), (70_000, 4)];
        assert_eq!(cumulative(bins.into_iter()), [(1, 2), (2, 6), (132, 10)]);
        assert_eq!(cumulative(std::iter::empty()), []);
    }

    #[test]
    fn a_drawing_has_a_column_a_spike() {
        let spikes = (0..3).map(|i| Spike { unix_s: 100 + i, ms: 10 * (i + 1) }).collect();
        let text = draw("command", &Event { spikes, max_ms: 30 }, 105);
        assert!(text.starts_with("command - high 30 ms, low 10 ms (all time high 30 ms)\n---"), "{text}");
        assert!(text.ends_with("543\nsss\n"), "{text}");
    }
}
