//! The time, as commands see it: told by the shell once a turn, and moved on by its tick counter in between.

use super::{Engine, Host};
use crate::base::limit::{EXPIRY_US_PER_TURN, SERVING_US_PER_CLIENT};
use crate::base::time::Now;
use crate::config::Config;

/// Within a turn time is told by the tick counter, which may be ahead of the wall clock by so many microseconds without
/// anybody having set the date.
const CLOCK_JITTER_US: u64 = 5000;

/// The tick counter of the host, and what was derived from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticker {
    /// Ticks that belong to the time of the commands.
    pub now_ticks: u64,
    /// Ticks in a millisecond.
    pub per_ms: u64,
    pub pace: Pace,
}

impl Ticker {
    /// A counter that stands at `ticks`.
    pub fn new(ticks: u64, per_ms: u64) -> Ticker {
        Ticker { now_ticks: ticks, per_ms, pace: Pace::default() }
    }

    /// Takes over the times of a configuration.
    pub fn configure(&mut self, conf: &Config) {
        self.pace = Pace::new(conf, self.per_ms);
    }
}

/// Times of the configuration in ticks of the host, so that a command divides nothing.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Pace {
    /// Nanoseconds of a tick, times 2^32.
    pub ns_per_tick: u64,
    /// A command that takes so long is looked at: for the slow log, or as a latency spike.
    pub slow_ticks: u64,
    /// How long a turn removes expired keys.
    pub expire_ticks: u64,
    /// How long one client's requests run in a row.
    pub serving_ticks: u64,
    /// The time of the commands moves on when it is so far behind: a quarter of a millisecond.
    pub step_ticks: u64,
    /// A request of so many bytes enters the log of large ones.
    pub large_request_bytes: u64,
    /// A reply of so many bytes enters the log of large ones.
    pub large_reply_bytes: u64,
}

impl Pace {
    pub fn new(conf: &Config, ticks_per_ms: u64) -> Pace {
        let slow_us = u64::try_from(conf.slowlog_log_slower_than_us).unwrap_or(u64::MAX);
        let spike_us = match conf.latency_monitor_threshold_ms {
            0 => u64::MAX,
            ms => ms.saturating_mul(1000),
        };
        let ticks = u128::from(slow_us.min(spike_us)) * u128::from(ticks_per_ms) / 1000;
        Pace {
            ns_per_tick: ((1_000_000u128 << 32) / u128::from(ticks_per_ms)) as u64,
            slow_ticks: u64::try_from(ticks).unwrap_or(u64::MAX),
            expire_ticks: EXPIRY_US_PER_TURN * ticks_per_ms / 1000,
            serving_ticks: SERVING_US_PER_CLIENT * ticks_per_ms / 1000,
            step_ticks: ticks_per_ms / 4,
            large_request_bytes: u64::try_from(conf.commandlog_request_larger_than_bytes).unwrap_or(u64::MAX),
            large_reply_bytes: u64::try_from(conf.commandlog_reply_larger_than_bytes).unwrap_or(u64::MAX),
        }
    }

    /// Ticks as nanoseconds.
    #[inline]
    pub fn ns(self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.ns_per_tick)) >> 32) as u64
    }
}

impl Engine {
    /// Ticks of the host in a millisecond.
    pub fn ticks_per_ms(&self) -> u64 {
        self.ticker.per_ms
    }

    /// Moves the time on by what the tick counter says.
    pub fn pass_time(&mut self, ticks: u64) {
        let us = self.ticker.pace.ns(ticks.saturating_sub(self.ticker.now_ticks)) / 1000;
        if us > 0 {
            self.now = self.now.after_us(us);
            self.ticker.now_ticks = ticks;
        }
    }

    /// Looks at the clocks, unless EXEC or a script runs: these keep the time at which they began.
    pub fn read_clock(&mut self, host: &mut dyn Host) {
        if self.outermost.nesting.depth == 0 {
            let (now, ticks) = (host.now(), host.ticks());
            self.set_now(now, ticks);
        }
    }

    /// Takes over what the clocks say.
    pub fn set_now(&mut self, now: Now, ticks: u64) {
        let mut now = now;
        if now.unix_us + CLOCK_JITTER_US < self.now.unix_us {
            for db in self.dbs.iter_mut() {
                db.clock_stepped_back(now.unix_ms());
            }
        } else {
            now.unix_us = now.unix_us.max(self.now.unix_us);
        }
        now.mono_us = now.mono_us.max(self.now.mono_us);
        self.now = now;
        self.ticker.now_ticks = ticks;
        self.eviction.clock.set_time(now.unix_s());
    }
}
