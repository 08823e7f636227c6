//! The keys that take most of the processor's time, or most bytes of the network: HOTKEYS.
//!
//! While it is under way, each request with keys shares its time and its bytes out equally among them. It is one of the
//! things that may have to be done after a command, so without it nothing is tested that was not tested before.

use super::keys::keys_of;
use super::listeners::after;
use super::table::Row;
use super::timers::Timer;
use super::{Engine, Host};
use crate::resp::Args;
use crate::structures::top::Top;

/// Names that are followed for each one that is shown: the more, the less one is taken for another.
const PLACES_A_KEY: usize = 100;
/// A longer key is counted, but does not become one of those that are shown: 6,400 of them would take too much memory.
const KEY_BYTES_MAX: usize = 4096;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The time of the processor.
    pub cpu: bool,
    /// Bytes of requests and replies.
    pub net: bool,
    /// Keys that are shown.
    pub count: usize,
    /// When it ends by itself, in milliseconds from its beginning.
    pub duration_ms: Option<u64>,
    /// One request in so many is looked at, by chance.
    pub sample_ratio: u32,
}

/// What was found.
#[derive(Debug)]
pub struct HotKeys {
    /// What was asked for.
    pub asked: Asked,
    /// Whether requests are still looked at.
    pub is_active: bool,
    /// When it began, Unix time in milliseconds.
    pub began_unix_ms: u64,
    began_mono_ms: u64,
    /// How long it took, in milliseconds, once it is over.
    pub took_ms: u64,
    /// Processor time of the process when it began, in microseconds: in user space, and in the kernel.
    pub cpu_us_before: (u64, u64),
    /// Keys by nanoseconds.
    pub by_time: Option<Top>,
    /// Keys by bytes.
    pub by_bytes: Option<Top>,
    /// Nanoseconds of all requests with keys.
    pub all_ns: u64,
    /// Bytes of all requests with keys and of their replies.
    pub all_bytes: u64,
    /// Ticks that keeping this has taken.
    pub spent_ticks: u64,
}

impl HotKeys {
    /// Memory behind it, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let tops = [&self.by_time, &self.by_bytes].into_iter().flatten().map(Top::heap_bytes);
        size_of::<HotKeys>() + tops.sum::<usize>()
    }
}

impl Engine {
    /// Begins to look at keys; what was found before is gone.
    pub fn start_hot_keys(&mut self, host: &mut dyn Host, asked: Asked) {
        let facts = host.facts();
        let top = |wanted: bool| wanted.then(|| Top::new(asked.count * PLACES_A_KEY));
        let began_mono_ms = self.now.mono_ms();
        self.logs.hot_keys = Some(Box::new(HotKeys {
            asked,
            is_active: true,
            began_unix_ms: self.now.unix_ms(),
            began_mono_ms,
            took_ms: 0,
            cpu_us_before: (facts.cpu_user_us, facts.cpu_system_us),
            by_time: top(asked.cpu),
            by_bytes: top(asked.net),
            all_ns: 0,
            all_bytes: 0,
            spent_ticks: 0,
        }));
        self.listeners.set_after(after::HOT_KEYS, true);
        if let Some(duration_ms) = asked.duration_ms {
            self.timers.insert(began_mono_ms + duration_ms, Timer::HotKeysEnd);
        }
    }

    /// Looks at no more keys; false if none were looked at.
    pub fn stop_hot_keys(&mut self) -> bool {
        let now_ms = self.now.mono_ms();
        let Some(hot) = self.logs.hot_keys.as_mut().filter(|hot| hot.is_active) else { return false };
        hot.is_active = false;
        hot.took_ms = now_ms - hot.began_mono_ms;
        self.listeners.set_after(after::HOT_KEYS, false);
        true
    }

    /// The time is over, unless it was begun anew since.
    pub(super) fn end_hot_keys(&mut self) {
        let now_ms = self.now.mono_ms();
        let is_over = self.logs.hot_keys.as_ref().is_some_and(|hot| {
            hot.asked.duration_ms.is_some_and(|duration_ms| hot.began_mono_ms + duration_ms <= now_ms)
        });
        if is_over {
            self.stop_hot_keys();
        }
    }

    /// Notes what a request has cost that ran in `ticks`, and took so many bytes with its reply.
    #[cold]
    pub(super) fn note_hot_keys(
        &mut self,
        host: &mut dyn Host,
        args: Args<'_>,
        row: &Row,
        ticks: u64,
        bytes: u64,
    ) {
        // What a script runs is the script's.
        if self.outermost.nesting.script {
            return;
        }
        let ns = self.ticker.pace.ns(ticks);
        let Some(hot) = &mut self.logs.hot_keys else { return };
        let keys = keys_of(row, args).unwrap_or_default();
        if keys.is_empty() {
            return;
        }
        hot.all_ns += ns;
        hot.all_bytes += bytes;
        if hot.asked.sample_ratio > 1 && self.rng.below(hot.asked.sample_ratio.into()) > 0 {
            return;
        }
        let begin = host.ticks();
        let count = keys.len() as u64;
        for at in keys {
            let key = args.at(at.index);
            if key.len() > KEY_BYTES_MAX {
                continue;
            }
            if let Some(top) = &mut hot.by_time {
                top.add(key, ns / count);
            }
            if let Some(top) = &mut hot.by_bytes {
                top.add(key, bytes / count);
            }
        }
        hot.spent_ticks += host.ticks().saturating_sub(begin);
    }
}
