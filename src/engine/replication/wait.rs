//! WAIT and WAITAOF: clients that wait until so many replicas have what they wrote, or have it in a durable log.
//!
//! A client waits for its own last write: which offset that has is known when the turn is committed, so those who wrote in a
//! turn are noted until then. Replicas are asked how far they are (`REPLCONF GETACK *`) once for all who begin to wait in a turn.

use super::super::Engine;
use super::super::blocking::{BlockOn, Offset};
use super::replicas::{Replica, Stage};
use crate::base::id::ClientId;
use std::mem;

/// The offset of a client's last write while that is not committed.
const NOT_COMMITTED: u64 = u64::MAX;

impl Engine {
    /// A client has written, while somebody follows.
    #[inline]
    pub(in crate::engine) fn note_writer(&mut self, slot: usize) {
        let client = &mut self.clients[slot];
        if mem::replace(&mut client.wrote_upto, NOT_COMMITTED) != NOT_COMMITTED {
            self.replication.writers.push(client.handle);
        }
    }

    /// What was written is committed: it is known up to where.
    pub(super) fn resolve_writers(&mut self) {
        let end = self.replication.feed.end();
        while let Some(id) = self.replication.writers.pop() {
            if let Some(client) = self.client_mut(id) {
                client.wrote_upto = end;
            }
        }
    }

    /// The offset up to which a client has written.
    pub fn written_upto(&mut self, slot: usize) -> u64 {
        self.commit();
        match self.clients[slot].wrote_upto {
            // Within a transaction: what came before it is all that can be waited for.
            NOT_COMMITTED => self.replication.feed.end(),
            offset => offset,
        }
    }

    /// Replicas that have what somebody waits for.
    pub fn replicas_with(&self, offset: Offset) -> u64 {
        let has = |replica: &Replica| {
            let acked = if offset.is_of_logs { replica.acked_log } else { replica.acked };
            replica.stage == Stage::Online && acked >= offset.feed
        };
        let replicas = self.replication.replicas.iter();
        replicas.filter(|id| self.replica_of(**id).is_some_and(has)).count() as u64
    }

    /// A client is going to wait.
    pub fn wait_for_offset(&mut self, id: ClientId, offset: Offset) {
        if self.is_nested() {
            return;
        }
        self.replication.waiting.push(id);
        self.replication.wants_acks |= offset.replicas > 0;
    }

    /// Asks the replicas how far they are, if somebody waits for that.
    #[inline]
    pub(in crate::engine) fn ask_for_acks(&mut self) {
        // While the feed is frozen they are asked later.
        if self.replication.wants_acks && !self.is_feed_frozen() {
            self.replication.wants_acks = false;
            self.request_acks();
        }
    }

    /// Asks the replicas how far they are, for the end of the server waits for that.
    pub(in crate::engine) fn request_acks(&mut self) {
        self.commit();
        if !self.replication.replicas.is_empty() && !self.is_feed_frozen() && !self.is_replica() {
            self.replication.feed.request(&["REPLCONF", "GETACK", "*"]);
            self.feed_went_on();
        }
    }

    /// Whether all replicas have all of the feed, as they have said.
    pub(in crate::engine) fn have_replicas_all(&mut self) -> bool {
        self.commit();
        let end = self.replication.feed.end();
        self.shown_replicas().all(|(_, _, replica)| replica.acked == end)
    }

    /// The log names the replicas that do not have everything.
    pub(in crate::engine) fn log_lagging_replicas(&mut self) {
        let end = self.replication.feed.end();
        let (mut lagging, all) = (0, self.replication.replicas.len());
        for &id in &self.replication.replicas {
            let Some(slot) = self.slot_of(id) else { continue };
            let Some(replica) = self.replica_of(id).filter(|replica| replica.acked != end) else { continue };
            lagging += 1;
            log::info!(
                "Lagging replica {} reported offset {} behind master, lag={}, state={}.",
                self.replica_name(slot),
                end as i64 - replica.acked as i64,
                self.replica_lag_s(slot),
                replica.stage.name()
            );
        }
        if all > 0 {
            log::info!("{} of {all} replicas are in sync when shutting down.", all - lagging);
        }
    }

    /// The log or a replica is further than before, or there is no log any more: answers those for whom that is enough.
    pub(in crate::engine) fn answer_waiting(&mut self) {
        let is_logging = self.durability.is_logging();
        for id in mem::take(&mut self.replication.waiting) {
            let Some(slot) = self.slot_of(id) else { continue };
            let Some(blocked) = self.clients[slot].block.as_ref() else { continue };
            let (BlockOn::Offset(offset), row) = (blocked.block.on, blocked.row) else { continue };
            let has_no_log = offset.wants_log && !is_logging;
            let is_logged = !offset.wants_log || self.durability.is_logged(offset);
            if !has_no_log && (!is_logged || self.replicas_with(offset) < offset.replicas) {
                self.replication.waiting.push(id);
                continue;
            }
            self.unblock(slot);
            self.lend_buffer(slot);
            if has_no_log {
                self.error_reply(slot, &super::super::durability::NOT_LOGGED.to_string());
            } else {
                self.reply_in_vain(slot, BlockOn::Offset(offset), row);
            }
            self.queue_output(slot);
            self.resume(slot);
        }
    }
}
