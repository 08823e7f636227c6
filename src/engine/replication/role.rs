//! Being a primary or a replica, and becoming the other.
//!
//! Who becomes a replica keeps its dataset and its history until the new primary says more: perhaps it goes on where this server
//! is. Who becomes a primary begins a history of its own, which is the old one up to this offset, so that those who followed the
//! same primary can follow this server without a dump.

use super::super::admission::gate;
use super::super::blocking::BlockOn;
use super::super::client::{Client, state};
use super::super::spec::flag;
use super::super::{Engine, Host};
use super::Primary;

/// What waiting clients hear that a server is no primary any more.
const UNBLOCKED: &str =
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";

impl Engine {
    /// Takes over what follows from the role and the state of the link.
    pub(in crate::engine) fn note_role(&mut self) {
        let is_replica = self.is_replica();
        let is_stale = self.replication.primary.as_ref().is_some_and(|primary| !primary.is_up());
        self.set_gate(gate::READ_ONLY, is_replica && self.conf.replica_read_only);
        self.set_gate(gate::WRITABLE_REPLICA, is_replica && !self.conf.replica_read_only);
        self.set_gate(gate::STALE, is_stale && !self.conf.replica_serve_stale_data);
        self.note_held();
        self.listeners.follows = is_replica;
    }

    /// Follows a primary from now on.
    pub fn follow(&mut self, host: &mut dyn Host, name: &str, port: u16) {
        let was_primary = !self.is_replica();
        self.commit();
        let down_since_us = self.leave_primary(host);
        if was_primary {
            log::info!(
                "Before turning into a replica, using my own master parameters to synthesize a cached master: I may be able to \
                 synchronize with the new master with just a partial transfer."
            );
        }
        let is_cached = was_primary || self.replication.is_cached;
        let mut primary = Primary::new(name.to_owned(), port, is_cached);
        (primary.db, primary.down_since_us) = (self.replication.cached_db, down_since_us);
        if !self.replication.feed.is_kept() {
            self.replication.feed.keep(self.conf.repl_backlog_size_bytes);
        }
        self.replication.primary = Some(Box::new(primary));
        self.conf.replicaof = Some((name.to_owned(), port));
        self.give_migrations_up();
        self.end_waits_of_role(|_| true);
        self.note_role();
        self.note_followers();
        self.connect_to_primary();
        self.arm_replication_timer();
    }

    /// Lets go of the primary, and keeps what is known of its history. Returns since when the link is down, if it ever was up.
    fn leave_primary(&mut self, host: &mut dyn Host) -> Option<u64> {
        if let Some(slot) = self.primary_slot() {
            self.close_soon(slot);
            self.forget_link(slot);
        }
        self.finish_lost_link(host);
        let Some(primary) = self.replication.primary.take() else {
            self.replication.cached_db = 0;
            return None;
        };
        (self.replication.is_cached, self.replication.cached_db) = (primary.is_cached, primary.db);
        primary.down_since_us
    }

    /// Is a primary from now on.
    pub fn become_primary(&mut self, host: &mut dyn Host) {
        if !self.is_replica() {
            return;
        }
        self.commit();
        self.leave_primary(host);
        self.conf.replicaof = None;
        let before = self.replication.id.clone();
        let end = self.replication.offset();
        self.change_replication_id();
        log::info!(
            "Setting secondary replication ID to {before}, valid up to offset: {}. New replication ID is {}",
            end + 1,
            self.replication.id
        );
        self.replication.previous = Some((before, end));
        self.replication.is_cached = false;
        self.replication.own_keys.clear();
        self.replication.logged.clear();
        // They learn of the new history when they ask again.
        self.drop_replicas();
        self.replication.feed.forget_database();
        self.replication.alone_since_us = self.now.mono_us;
        self.note_role();
        self.note_followers();
        self.configure_log(host);
        self.arm_replication_timer();
    }

    /// All replicas go; those that can come back without a dump.
    pub(super) fn drop_replicas(&mut self) {
        for id in self.replication.replicas.clone() {
            if let Some(slot) = self.slot_of(id) {
                self.close_soon(slot);
                self.forget_replica(slot);
            }
        }
    }

    /// Clients that wait for what only a primary brings are told so, and go. One that can follow a redirection stays, and is told
    /// where to, once it is known who is the primary; one that reads replicas waits on for what it reads. `concerns` tells whom
    /// the change of roles concerns at all.
    pub(super) fn end_waits_of_role(&mut self, concerns: impl Fn(&Client) -> bool) {
        let is_known = self.replication.failover.is_none();
        let waits = |client: &Client| {
            let Some(blocked) = client.block.as_ref().filter(|_| concerns(client)) else { return false };
            let reads_here = client.reads_replica && !self.table.at(blocked.row).has(flag::WRITE);
            match blocked.block.on {
                BlockOn::Keys if reads_here => false,
                BlockOn::Keys => is_known || !client.is(state::CAPA_REDIRECT),
                BlockOn::Offset(_) | BlockOn::Migration => true,
                BlockOn::Unpause | BlockOn::Job(_) | BlockOn::Work(_) => false,
            }
        };
        let slots: Vec<usize> =
            self.clients.iter().filter(|(_, client)| waits(client)).map(|(slot, _)| slot).collect();
        for slot in slots {
            let Some(blocked) = self.unblock(slot) else { continue };
            self.lend_buffer(slot);
            self.count_ended_wait(slot, &blocked, true);
            let follows = self.clients[slot].is(state::CAPA_REDIRECT) && blocked.block.on == BlockOn::Keys;
            match self.redirection().filter(|_| follows) {
                Some(redirection) => {
                    self.error_reply(slot, &redirection.to_string());
                    self.resume(slot);
                }
                None => {
                    self.error_reply(slot, UNBLOCKED);
                    self.clients[slot].set(state::CLOSE_AFTER_REPLY, true);
                }
            }
            self.queue_output(slot);
        }
    }

    /// What a dump says about this server's history: its id, the offset, and the database in which the feed stands. None while
    /// there is no history that anybody else could have.
    pub(in crate::engine) fn shown_history(&self) -> Option<(String, u64, u32)> {
        let replication = &self.replication;
        let db = match &replication.primary {
            Some(primary) if primary.is_up() => self.clients[self.primary_slot()?].db,
            Some(primary) if primary.is_cached => primary.db,
            Some(_) => return None,
            None if replication.feed.is_kept() => replication.feed.database().unwrap_or(0),
            None => return None,
        };
        Some((replication.id.clone(), replication.offset(), db))
    }

    /// The dump with which this server starts belongs to a history. A replica may go on in it; a primary begins one of its own,
    /// which is that one up to here.
    pub(in crate::engine) fn take_over_history(&mut self, (id, offset, db): (String, u64, u32)) {
        self.replication.feed.jump_to(offset);
        self.replication.feed.keep(self.conf.repl_backlog_size_bytes);
        if self.conf.replicaof.is_some() {
            self.replication.id = id;
            (self.replication.is_cached, self.replication.cached_db) = (true, db);
        } else {
            self.replication.previous = Some((id, offset));
        }
        self.replication.alone_since_us = self.now.mono_us;
        self.note_followers();
        self.arm_replication_timer();
    }

    /// Is a replica if the configuration says so, at a start. It says that from the first moment on: a Sentinel would take a primary
    /// that loads for one that has to be told.
    pub(in crate::engine) fn be_replica_as_configured(&mut self) {
        if let Some((name, port)) = self.conf.replicaof.clone()
            && !self.is_replica()
        {
            self.replication.primary = Some(Box::new(Primary::new(name, port, false)));
            self.note_role();
        }
    }

    /// Begins to follow as the configuration says, when what was saved is loaded.
    pub(in crate::engine) fn follow_as_configured(&mut self) {
        self.be_replica_as_configured();
        let (is_cached, db) = (self.replication.is_cached, self.replication.cached_db);
        if let Some(primary) = &mut self.replication.primary {
            (primary.is_cached, primary.db) = (is_cached, db);
            self.note_role();
            self.note_followers();
            self.arm_replication_timer();
            self.connect_to_primary();
        }
    }
}
