//! What the server remembers about itself: slow commands, latency, large requests and replies.

use super::super::directive::{Directive, Effect, I64, Origin, flag, number, special};
use super::super::syntax;

pub(super) const ROWS: &[Directive] = &[
    number("slowlog-log-slower-than", "10000", -1, I64, |c| &mut c.slowlog_log_slower_than_us)
        .alias("commandlog-execution-slower-than")
        .applies(Effect::CommandLogs)
        .doc("Microseconds from which on a command enters the slow log; -1 logs none, 0 all."),
    number("slowlog-max-len", "128", 0, I64, |c| &mut c.slowlog_max_len)
        .alias("commandlog-slow-execution-max-len")
        .applies(Effect::CommandLogs)
        .doc("Entries that the slow log keeps."),
    number("commandlog-request-larger-than", "1048576", -1, I64, |c| {
        &mut c.commandlog_request_larger_than_bytes
    })
    .origin(Origin::Valkey)
    .applies(Effect::CommandLogs)
    .doc("Bytes from which on a request enters the log of large requests; -1 logs none."),
    number("commandlog-large-request-max-len", "128", 0, I64, |c| &mut c.commandlog_large_request_max_len)
        .origin(Origin::Valkey)
        .applies(Effect::CommandLogs)
        .doc("Entries that the log of large requests keeps."),
    number("commandlog-reply-larger-than", "1048576", -1, I64, |c| &mut c.commandlog_reply_larger_than_bytes)
        .origin(Origin::Valkey)
        .applies(Effect::CommandLogs)
        .doc("Bytes from which on a reply enters the log of large replies; -1 logs none."),
    number("commandlog-large-reply-max-len", "128", 0, I64, |c| &mut c.commandlog_large_reply_max_len)
        .origin(Origin::Valkey)
        .applies(Effect::CommandLogs)
        .doc("Entries that the log of large replies keeps."),
    number("latency-monitor-threshold", "0", 0, I64, |c| &mut c.latency_monitor_threshold_ms)
        .applies(Effect::LatencyMonitor)
        .doc("Milliseconds from which on an event enters the latency history; 0 watches nothing."),
    flag("latency-tracking", "yes", |c| &mut c.latency_tracking)
        .doc("Keeps a histogram of the latency of every command."),
    special(
        "latency-tracking-info-percentiles",
        "50 99 99.9",
        syntax::set_percentiles,
        syntax::get_percentiles,
        Some(syntax::percentile_lines),
    )
    .multi()
    .doc("Percentiles of command latency that INFO shows."),
];
