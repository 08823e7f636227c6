//! Counters that INFO shows, and CONFIG RESETSTAT sets back.

use super::table::Row;
use crate::structures::histogram::Histogram;
use std::collections::BTreeMap;

/// Kinds of error that are counted one by one. Redis: `ERROR_STATS_NUMBER`.
const ERROR_KINDS_MAX: usize = 128;

/// The one code that is shown when there were too many.
const ERROR_KINDS_DISABLED: &str = "ERRORSTATS_DISABLED";

/// Samples of which an `instantaneous_` figure is the mean.
pub const SAMPLES: usize = 16;

/// What is counted for each row.
#[derive(Debug, Default, Clone)]
pub struct RowStats {
    /// Times that the handler ran.
    pub calls: u64,
    /// Time in the handler, in ticks of the host.
    pub ticks: u64,
    /// Times that the command was refused before its handler ran.
    pub rejected: u64,
    /// Times that the handler failed.
    pub failed: u64,
    /// Nanoseconds of each call; none before the first one, or without `latency-tracking`.
    pub latency_ns: Option<Box<Histogram>>,
}

/// A figure a second, as the mean of the last samples.
#[derive(Debug, Default, Clone)]
pub struct Rate {
    last_count: u64,
    last_us: u64,
    samples: [u64; SAMPLES],
    next: usize,
}

impl Rate {
    /// Takes a sample of a counter.
    pub fn sample(&mut self, count: u64, now_us: u64) {
        let elapsed = now_us.saturating_sub(self.last_us);
        if elapsed > 0 && self.last_us > 0 {
            let delta = count.saturating_sub(self.last_count);
            self.samples[self.next] = delta.saturating_mul(1_000_000) / elapsed;
            self.next = (self.next + 1) % SAMPLES;
        }
        self.last_count = count;
        self.last_us = now_us;
    }

    /// Whether anything was counted in the time of which the figure is the mean.
    pub fn is_moving(&self) -> bool {
        self.samples.iter().any(|&sample| sample > 0)
    }

    /// The figure a second.
    pub fn per_second(&self) -> u64 {
        self.samples.iter().sum::<u64>() / SAMPLES as u64
    }
}

/// All counters.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "most fields are named as the INFO field that shows them")]
pub struct Stats {
    pub keyspace_hits: u64,
    pub keyspace_misses: u64,
    pub expired_keys: u64,
    /// Those of them that went at their deadline and not when somebody looked for them.
    pub expired_keys_active: u64,
    /// Fields of hashes that were removed at their deadline.
    pub expired_subkeys: u64,
    /// Those of them that went at their deadline and not when somebody looked for them.
    pub expired_subkeys_active: u64,
    /// Milliseconds between a deadline and the removal of its key.
    pub expire_lag_ms: Histogram,
    pub evicted_keys: u64,
    pub evicted_clients: u64,
    /// Snapshots that were begun in the background. Redis: forks.
    pub total_forks: u64,
    /// Microseconds that the beginning of the last one took.
    pub latest_fork_us: u64,
    pub evicted_scripts: u64,
    pub total_connections_received: u64,
    pub total_commands_processed: u64,
    pub total_net_input_bytes: u64,
    pub total_net_output_bytes: u64,
    /// What came from the primary.
    pub total_net_repl_input_bytes: u64,
    /// What of the output went to replicas.
    pub total_net_repl_output_bytes: u64,
    pub rejected_connections: u64,
    pub total_error_replies: u64,
    pub unexpected_error_replies: u64,
    pub total_reads_processed: u64,
    pub total_writes_processed: u64,
    pub client_query_buffer_limit_disconnections: u64,
    pub client_output_buffer_limit_disconnections: u64,
    pub acl_access_denied_auth: u64,
    pub acl_access_denied_cmd: u64,
    pub acl_access_denied_key: u64,
    pub acl_access_denied_channel: u64,
    pub acl_access_denied_db: u64,
    pub lazyfreed_objects: u64,
    pub reply_buffer_shrinks: u64,
    pub reply_buffer_expands: u64,
    pub total_eviction_exceeded_us: u64,
    /// Since when memory is over the limit, monotonic microseconds; 0: it is not.
    pub over_maxmemory_since_us: u64,
    pub expired_time_cap_reached_count: u64,
    pub active_expire_ticks: u64,
    pub peak_memory_bytes: usize,
    pub peak_memory_unix_s: u64,
    pub eventloop_cycles: u64,
    pub eventloop_us: u64,
    /// Time in handlers, in ticks of the host.
    pub command_ticks: u64,
    pub eventloop_us_max: u64,
    pub eventloop_commands_max: u64,
    pub eventloop_cron_us: u64,
    /// Commands of the turn that is running.
    pub turn_commands: u64,
    pub ops: Rate,
    pub input: Rate,
    pub output: Rate,
    pub cycles: Rate,
    pub cycle_us: Rate,
    /// By code: `ERR`, `WRONGTYPE`, …
    pub errors: BTreeMap<String, u64>,
    errors_disabled: bool,
    /// By row number.
    pub rows: Vec<RowStats>,
}

impl Stats {
    /// Counters for so many rows.
    pub fn new(rows: usize) -> Stats {
        Stats { rows: vec![RowStats::default(); rows], ..Stats::default() }
    }

    /// Counts a command that took so many ticks. If it waits now its call counts later, when it has run.
    #[inline(always)]
    pub fn count_command(&mut self, ticks: u64) {
        self.total_commands_processed += 1;
        self.turn_commands += 1;
        self.command_ticks += ticks;
    }

    /// Counts a call that took so many ticks; its nanoseconds go to the distribution of the latencies.
    #[inline(always)]
    pub fn count_call(&mut self, row: &Row, ticks: u64, latency_ns: Option<u64>) {
        let row = &mut self.rows[row.id as usize];
        row.calls += 1;
        row.ticks += ticks;
        if let Some(ns) = latency_ns {
            row.latency_ns.get_or_insert_default().record(ns);
        }
    }

    /// Counts an error reply by its code. When there are too many codes, none is counted any more until all counters are
    /// set back.
    pub fn count_error(&mut self, text: &str) {
        self.total_error_replies += 1;
        if self.errors_disabled {
            return;
        }
        let code = text.split(' ').next().unwrap_or("ERR");
        if let Some(count) = self.errors.get_mut(code) {
            *count += 1;
        } else if self.errors.len() < ERROR_KINDS_MAX {
            self.errors.insert(code.to_owned(), 1);
        } else {
            self.disable_errors();
        }
    }

    #[cold]
    fn disable_errors(&mut self) {
        let codes = std::mem::take(&mut self.errors);
        log::warn!(
            "Errorstats stopped adding new errors because the number of errors reached the limit, may be misuse of lua \
             error_reply, please check INFO ERRORSTATS, this can be re-enabled via CONFIG RESETSTAT."
        );
        let names: Vec<&str> = codes.keys().map(String::as_str).collect();
        log::warn!("Current errors code list: {}", names.join(", "));
        // Redis leaves them to its helper thread, and counts them there.
        self.lazyfreed_objects += codes.len() as u64;
        self.errors.insert(ERROR_KINDS_DISABLED.to_owned(), 1);
        self.errors_disabled = true;
    }

    /// CONFIG RESETSTAT: everything but what describes the present.
    pub fn reset(&mut self) {
        let rows = self.rows.len();
        *self = Stats {
            over_maxmemory_since_us: self.over_maxmemory_since_us,
            peak_memory_bytes: self.peak_memory_bytes,
            peak_memory_unix_s: self.peak_memory_unix_s,
            turn_commands: self.turn_commands,
            ..Stats::new(rows)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_code_until_the_kinds_are_too_many() {
        let mut stats = Stats::new(0);
        stats.count_error("ERR one");
        stats.count_error("ERR two");
        for i in 0..200 {
            stats.count_error(&format!("CODE{i} text"));
        }
        assert_eq!(stats.errors.iter().collect::<Vec<_>>(), [(&ERROR_KINDS_DISABLED.to_owned(), &1)]);
        assert_eq!((stats.total_error_replies, stats.lazyfreed_objects), (202, ERROR_KINDS_MAX as u64));
        stats.reset();
        stats.count_error("ERR three");
        assert_eq!(stats.errors["ERR"], 1);
    }

    #[test]
    fn a_rate_is_the_mean_of_its_samples() {
        let mut rate = Rate::default();
        for i in 0..=16u64 {
            rate.sample(i * 100, 1_000_000 + i * 100_000);
        }
        assert_eq!(rate.per_second(), 1000);
    }
}
