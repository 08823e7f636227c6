//! What leaves the engine: replies and messages, by client, and the end of a turn.
//!
//! A client with replies is in one list, a client with only messages of others in another: the shell writes all of the
//! first before it sleeps ([`Engine::poll_output`]), and as many of the second as a turn has time for
//! ([`Engine::poll_message`]). How much of a client's bytes may leave is the engine's to say: [`Engine::output`].

use super::client::state;
use super::deliveries::Deliveries;
use super::recorder::Phase;
use super::{Engine, Job};
use crate::base::id::ClientId;
use crate::base::limit::{SPARE_BUFFER_BYTES_MAX, SPARE_BUFFERS_MAX};
use crate::replication::feed::Feed;
use crate::resp::Output;
use std::collections::VecDeque;
use std::io::IoSlice;

/// Clients that wait to be written to, or to be served.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// Clients with output that was not offered to the shell.
    pub outputs: Vec<ClientId>,
    /// Clients with messages from others that were not offered to the shell, longest waiting first.
    pub messaged: VecDeque<ClientId>,
    /// Clients whose output is written on at the next turn.
    pub deferred: Vec<ClientId>,
    /// Clients with requests that wait for a turn.
    pub runnable: VecDeque<ClientId>,
    /// Messages that are on their way to many.
    pub deliveries: Deliveries,
}

/// What may be sent to one client now.
pub struct Outgoing<'a> {
    out: &'a Output,
    /// Bytes of it that need not wait for the disk.
    bytes: usize,
    /// Of a replica, the feed, and from where to where it may be sent.
    feed: Option<(&'a Feed, u64, u64)>,
}

impl<'a> Outgoing<'a> {
    /// Bytes that may be sent.
    pub fn bytes(&self) -> usize {
        self.bytes + self.feed_bytes()
    }

    fn feed_bytes(&self) -> usize {
        self.feed.map_or(0, |(_, from, end)| (end - from) as usize)
    }

    /// The first `limit` bytes at most, where all that may be sent lies in one piece.
    pub fn one_piece(&self, limit: usize) -> Option<&'a [u8]> {
        match self.feed {
            None => self.out.one_piece().map(|piece| &piece[..piece.len().min(limit).min(self.bytes)]),
            Some((feed, from, end)) if self.bytes == 0 => {
                let end = end.min(from.saturating_add(limit as u64));
                Some(feed.piece(from, end)).filter(|piece| piece.len() as u64 == end - from)
            }
            Some(_) => None,
        }
    }

    /// The bytes as slices, at most `slices.len()` of them and, but for the last slice, `limit` bytes; returns how many
    /// slices were filled.
    pub fn gather(&self, slices: &mut [IoSlice<'a>], limit: usize) -> usize {
        let mut filled = if self.bytes == 0 { 0 } else { self.out.gather(slices, limit.min(self.bytes)) };
        let before: usize = slices[..filled.saturating_sub(1)].iter().map(|slice| slice.len()).sum();
        if let Some(last) = slices[..filled].last_mut() {
            let whole: &'a [u8] = self.out.piece_behind(before);
            *last = IoSlice::new(&whole[..whole.len().min(self.bytes - before)]);
        }
        if let Some((feed, from, end)) = self.feed
            && self.bytes < limit
        {
            filled += feed.gather(from, end, &mut slices[filled..], limit - self.bytes);
        }
        filled
    }
}

impl Engine {
    /// What may be sent to a client; none when it is gone or there is nothing.
    pub fn output(&self, id: ClientId) -> Option<Outgoing<'_>> {
        let slot = self.slot_of(id)?;
        let client = &self.clients[slot];
        let bytes = self.free_bytes(slot);
        // The feed comes after all else.
        let feed = match client.is(state::REPLICA) && bytes == client.out.len() {
            true => self.feed_for(client),
            false => None,
        };
        let outgoing = Outgoing { out: &client.out, bytes, feed };
        (outgoing.bytes() > 0).then_some(outgoing)
    }

    /// Offers what a client is answered to the shell. Who goes after its replies and is not answered, because of CLIENT REPLY
    /// OFF, goes when the other end does, as in Redis.
    pub(super) fn send_replies(&mut self, slot: usize) {
        if !self.clients[slot].out.is_empty() {
            self.queue_output(slot);
        }
    }

    /// Marks a client as one with output.
    #[inline]
    pub(super) fn queue_output(&mut self, slot: usize) {
        self.check_output_limit(slot);
        self.note_weight(slot);
        let client = &mut self.clients[slot];
        if !client.is(state::QUEUED) {
            client.set(state::QUEUED, true);
            self.queues.outputs.push(client.handle);
        }
    }

    /// Marks a client as one with a message that it did not ask for just now: it is written after all replies.
    pub(super) fn queue_message(&mut self, slot: usize) {
        self.check_output_limit(slot);
        self.note_weight(slot);
        let client = &mut self.clients[slot];
        if !client.is(state::QUEUED | state::MESSAGED) {
            client.set(state::MESSAGED, true);
            self.queues.messaged.push_back(client.handle);
        }
    }

    /// Prepares a client for a reply: it gets the messages that are on their way to it, and an output buffer if it has
    /// none.
    #[inline]
    pub(super) fn lend_buffer(&mut self, slot: usize) {
        if !self.queues.deliveries.is_empty() {
            self.catch_up(slot);
        }
        self.give_buffer(slot);
    }

    /// Gives a client an output buffer if it has none.
    #[inline]
    pub(super) fn give_buffer(&mut self, slot: usize) {
        let out = &mut self.clients[slot].out;
        if out.wants_buffer() {
            out.give_buffer(self.pools.buffers.pop().unwrap_or_default());
        }
    }

    /// A client that has replies to be sent; the shell writes all its output and tells by [`Engine::sent`].
    pub fn poll_output(&mut self) -> Option<ClientId> {
        while let Some(id) = self.queues.outputs.pop() {
            if let Some(client) = self.client_mut(id) {
                client.set(state::QUEUED, false);
                return Some(id);
            }
        }
        None
    }

    /// As [`Engine::poll_output`], a client that has only messages from others. There may be a hundred thousand of those
    /// after one PUBLISH: the shell takes as many as a turn has time for, and the rest come in later turns.
    pub fn poll_message(&mut self) -> Option<ClientId> {
        while let Some(id) = self.queues.messaged.pop_front() {
            if let Some(client) = self.client_mut(id) {
                client.set(state::MESSAGED, false);
                if !client.is(state::QUEUED) && !client.out.is_empty() {
                    return Some(id);
                }
            }
        }
        None
    }

    /// `n` bytes of a client's output went out.
    pub fn sent(&mut self, id: ClientId, n: usize) {
        let Some(slot) = self.slot_of(id) else { return };
        self.stats.total_net_output_bytes += n as u64;
        self.stats.total_writes_processed += 1;
        self.note_weight(slot);
        let now_us = self.now.mono_us;
        let client = &mut self.clients[slot];
        client.bytes_out += n as u64;
        client.active_us = now_us;
        client.reply_peak.peak = client.reply_peak.peak.max(client.out.len().min(u32::MAX as usize) as u32);
        if client.is(state::REPLICA) {
            return self.sent_to_replica(slot, n);
        }
        client.out.advance(n);
        if client.carries_keys() {
            self.sent_by_link(id, n);
        }
        let client = &mut self.clients[slot];
        if !client.out.is_empty() {
            return;
        }
        client.over_soft_limit_us = 0;
        if client.is(state::CLOSE_AFTER_REPLY) {
            self.close_soon(slot);
            return;
        }
        self.resize_reply_model(slot);
        if let Some(buffer) = self.clients[slot].out.take_buffer()
            && buffer.capacity() <= SPARE_BUFFER_BYTES_MAX
            && self.pools.buffers.len() < SPARE_BUFFERS_MAX
        {
            self.pools.buffers.push(buffer);
        }
    }

    /// The rest of a client's output goes at the next turn.
    pub fn write_later(&mut self, id: ClientId) {
        if let Some(slot) = self.slot_of(id) {
            self.queues.deferred.push(self.clients[slot].handle);
        }
    }

    /// The connection failed: it is closed without another word.
    pub fn failed(&mut self, id: ClientId) {
        if let Some(slot) = self.slot_of(id) {
            self.close_soon(slot);
        }
    }

    /// Clients with messages that were not written.
    pub fn messaged_count(&self) -> usize {
        self.queues.messaged.len()
    }

    /// Messages to many that were not handed to all of them.
    pub fn deliveries_waiting(&self) -> usize {
        self.queues.deliveries.len()
    }

    /// Clients that wait for a turn.
    pub fn runnable_count(&self) -> usize {
        self.queues.runnable.len()
    }

    /// A turn of the loop ended: it worked so long and ran so many commands.
    pub fn end_turn(&mut self, busy_ticks: u64, commands: u64) {
        let busy_us = self.ticker.pace.ns(busy_ticks).div_ceil(1000);
        let cron_ticks = self.recorder.last_ticks_of(Phase::Expire);
        self.stats.eventloop_cron_us += self.ticker.pace.ns(cron_ticks).div_ceil(1000);
        let stats = &mut self.stats;
        stats.eventloop_cycles += 1;
        stats.eventloop_us += busy_us;
        stats.eventloop_us_max = stats.eventloop_us_max.max(busy_us);
        stats.eventloop_commands_max = stats.eventloop_commands_max.max(commands);
        if commands > 0 {
            self.note_traffic();
        }
        while let Some(id) = self.queues.deferred.pop() {
            if let Some(slot) = self.slot_of(id) {
                self.queue_output(slot);
            }
        }
    }

    /// Closes a client as soon as no borrow stands in the way: the shell is told, and no command of it runs any more.
    pub(super) fn close_soon(&mut self, slot: usize) {
        let client = &mut self.clients[slot];
        if !client.is(state::CLOSE_ASAP) {
            client.set(state::CLOSE_ASAP, true);
            let (id, carries_keys) = (client.handle, client.carries_keys());
            self.jobs.queue.push_back(Job::Close(id));
            if carries_keys {
                self.link_lost(id);
            }
            // A replica counts no longer, also for a command that goes on meanwhile.
            self.forget_replica(slot);
        }
    }
}
