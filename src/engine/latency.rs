//! The latency monitor: spikes above `latency-monitor-threshold`, by event.
//!
//! Each event keeps its last 160 spikes, one a second at most: two in the same second are one, the larger. The
//! report of LATENCY DOCTOR and the drawing of LATENCY GRAPH are made from them.

use super::Engine;
use std::collections::BTreeMap;

/// Spikes that an event keeps. Redis: `LATENCY_TS_LEN`.
const SPIKES: usize = 160;

/// One spike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spike {
    /// Unix seconds.
    pub unix_s: u64,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// The spikes of one event.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// Oldest first.
    pub spikes: Vec<Spike>,
    /// The largest ever.
    pub max_ms: u64,
}

/// The spikes of all events, by name.
#[derive(Debug, Default)]
pub struct LatencyMonitor {
    /// The events that had a spike.
    pub events: BTreeMap<&'static str, Event>,
}

impl LatencyMonitor {
    /// Notes a spike.
    pub fn add(&mut self, name: &'static str, unix_s: u64, ms: u64) {
        let event = self.events.entry(name).or_default();
        event.max_ms = event.max_ms.max(ms);
        match event.spikes.last_mut() {
            Some(last) if last.unix_s == unix_s => last.ms = last.ms.max(ms),
            _ => event.spikes.push(Spike { unix_s, ms }),
        }
        if event.spikes.len() > SPIKES {
            event.spikes.remove(0);
        }
    }
}

impl Engine {
    /// Notes a time in ticks of the host, if it is a spike.
    pub(super) fn note_latency(&mut self, name: &'static str, ticks: u64) {
        let threshold_ms = self.conf.latency_monitor_threshold_ms;
        if threshold_ms > 0 && ticks >= threshold_ms * self.ticker.per_ms {
            self.latency.add(name, self.now.unix_s(), ticks / self.ticker.per_ms);
        }
    }

    /// Notes a time in microseconds, if it is a spike.
    pub(super) fn note_latency_us(&mut self, name: &'static str, us: u64) {
        let threshold_ms = self.conf.latency_monitor_threshold_ms;
        if threshold_ms > 0 && us >= threshold_ms * 1000 {
            self.latency.add(name, self.now.unix_s(), us / 1000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spikes_of_one_second_are_one_and_old_ones_go() {
        let mut monitor = LatencyMonitor::default();
        monitor.add("command", 5, 10);
        monitor.add("command", 5, 30);
        monitor.add("command", 5, 20);
        assert_eq!(monitor.events["command"].spikes, [Spike { unix_s: 5, ms: 30 }]);
        for s in 6..200 {
            monitor.add("command", s, 1);
        }
        let event = &monitor.events["command"];
        assert_eq!((event.spikes.len(), event.max_ms, event.spikes[0].unix_s), (SPIKES, 30, 40));
    }
}
