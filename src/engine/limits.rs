//! Bounds on what a client may let pile up: `client-output-buffer-limit`, and the buffer of a client that has not
//! authenticated.

use super::Engine;
use super::client::{Client, ReplyPeak, state};
use super::timers::Timer;
use crate::base::limit::UNAUTHENTICATED_OUTPUT_BYTES_MAX;
use crate::config::OutputLimit;

/// Smallest reply buffer in Redis. Redis: `PROTO_REPLY_MIN_BYTES`.
const REPLY_BYTES_MIN: u32 = 1024;
/// Largest reply buffer in Redis. Redis: `PROTO_REPLY_CHUNK_BYTES`.
const REPLY_BYTES_MAX: u32 = 16 * 1024;

/// How long a client may be over its soft limit, in microseconds. Redis counts whole seconds of its clock and closes when
/// more than the limit have passed: half a second later than it says, on average.
fn soft_us(limit: OutputLimit) -> u64 {
    limit.soft_seconds * 1_000_000 + 500_000
}

impl ReplyPeak {
    /// The buffer of a new client.
    pub fn new(now_ms: u64) -> ReplyPeak {
        ReplyPeak { size: REPLY_BYTES_MAX, peak: REPLY_BYTES_MAX, reset_ms: now_ms }
    }
}

impl Engine {
    /// The limit that holds for a client.
    fn output_limit(&self, client: &Client) -> OutputLimit {
        let class = match client.is(state::PUBSUB) {
            _ if client.is(state::REPLICA) => OutputLimit::REPLICA,
            true => OutputLimit::PUBSUB,
            false => OutputLimit::NORMAL,
        };
        self.conf.client_output_buffer_limits[class]
    }

    /// Closes a client whose output is over its limit.
    #[inline]
    pub(super) fn check_output_limit(&mut self, slot: usize) {
        let client = &self.clients[slot];
        if client.is(state::PRIMARY) {
            // What it is sent is bounded where it is made.
            return;
        }
        let normal = self.conf.client_output_buffer_limits[OutputLimit::NORMAL];
        let is_normal = !client.is(state::PUBSUB | state::MONITOR | state::LIMITED);
        if is_normal && normal.hard_bytes == 0 && normal.soft_bytes == 0 {
            return;
        }
        let limit = self.output_limit(client);
        let waiting = self.free_bytes(slot) as u64;
        let may_not = client.is(state::LIMITED) && self.must_authenticate(client);
        if limit.hard_bytes == 0 && limit.soft_bytes == 0 && !may_not {
            return;
        }
        let too_much = may_not && waiting > UNAUTHENTICATED_OUTPUT_BYTES_MAX as u64;
        if too_much || self.is_over_limit(slot, limit, waiting) {
            self.close_over_limit(slot);
        }
    }

    pub(super) fn is_over_limit(&mut self, slot: usize, limit: OutputLimit, waiting: u64) -> bool {
        if limit.hard_bytes > 0 && waiting >= limit.hard_bytes {
            return true;
        }
        let now_us = self.now.mono_us;
        let client = &mut self.clients[slot];
        if limit.soft_bytes == 0 || waiting < limit.soft_bytes {
            client.over_soft_limit_us = 0;
            return false;
        }
        if client.over_soft_limit_us == 0 {
            client.over_soft_limit_us = now_us.max(1);
            let id = client.handle;
            let due_us = now_us + soft_us(limit);
            self.timers.insert(due_us.div_ceil(1000) + 1, Timer::SoftLimit(id));
            return false;
        }
        now_us.saturating_sub(client.over_soft_limit_us) >= soft_us(limit)
    }

    #[cold]
    pub(super) fn close_over_limit(&mut self, slot: usize) {
        if self.clients[slot].is(state::CLOSE_ASAP) {
            return;
        }
        log::warn!(
            "Client {} scheduled to be closed ASAP for overcoming of output buffer limits.",
            self.describe_client(slot)
        );
        self.stats.client_output_buffer_limit_disconnections += 1;
        self.close_soon(slot);
        self.clients[slot].out.clear();
    }

    /// Follows what Redis would do to the reply buffer of this client.
    pub(super) fn resize_reply_model(&mut self, slot: usize) {
        let model = &mut self.clients[slot].reply_peak;
        if model.size < REPLY_BYTES_MAX && model.peak >= model.size {
            model.size = (model.size * 2).min(REPLY_BYTES_MAX);
            self.stats.reply_buffer_expands += 1;
        }
    }

    /// What CLIENT LIST shows as size and peak of the reply buffer, after the time that has passed is accounted for.
    ///
    /// Redis looks at every client once a second: a peak below half of the buffer halves it, down to 1 KiB, and
    /// every `reply_peak_reset_ms` the peak is forgotten.
    pub fn reply_model(&mut self, slot: usize) -> (u32, u32) {
        let now_ms = self.now.mono_ms();
        let reset_ms = self.switches.reply_peak_reset_ms;
        let resizing = self.switches.reply_resizing;
        let model = &mut self.clients[slot].reply_peak;
        let Some(reset_ms) = reset_ms.filter(|_| resizing) else { return (model.size, model.peak) };
        while now_ms.saturating_sub(model.reset_ms) >= reset_ms.max(1) {
            if model.peak < model.size / 2 && model.size > REPLY_BYTES_MIN {
                model.size = (model.peak + 1).max(REPLY_BYTES_MIN).max(model.size / 2);
                self.stats.reply_buffer_shrinks += 1;
            } else if model.peak == 0 {
                model.reset_ms = now_ms;
                break;
            }
            model.peak = 0;
            model.reset_ms += reset_ms.max(1);
        }
        (model.size, model.peak)
    }
}
