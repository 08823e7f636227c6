//! CLIENT PAUSE.
//!
//! While writes or everything is paused, the keyspace must not change: no key expires and none is evicted, although a
//! expired key is still not seen. A paused request is kept and runs when the pause ends, in the order of arrival.

use super::Engine;
use super::admission::gate;
use super::blocking::{BlockOn, Blocked};
use super::client::state;
use super::migrate::Migrations;
use super::timers::Timer;
use crate::base::id::ClientId;
use std::collections::VecDeque;

/// What is paused, and until when.
#[derive(Debug, Default)]
pub struct Pause {
    /// Monotonic microseconds; 0: nothing is paused.
    pub until_us: u64,
    /// Not only writes.
    pub all: bool,
    /// Clients with a request that waits, oldest first.
    pub(super) waiting: VecDeque<ClientId>,
    /// Keys that go to other servers: who names one of them waits like those who are paused.
    pub migrations: Migrations,
}

impl Engine {
    /// Whether the keyspace must not change by itself: while clients are paused, while a dataset is imported, whose source says
    /// what goes, or loaded, and on a replica, whose primary does.
    pub fn is_keyspace_held(&self) -> bool {
        self.pause.until_us != 0
            || self.replication.failover.is_some()
            || self.waits_for_replicas()
            || self.conf.import_mode
            || self.durability.is_loading()
            || self.is_replica()
    }

    /// Tells the expiry of keys whether the keyspace is held: each part of [`Engine::is_keyspace_held`] calls it when it changes.
    pub(in crate::engine) fn note_held(&mut self) {
        self.listeners.expiry_held = self.is_keyspace_held();
    }

    /// Pauses writes, or everything, until a monotonic time. A pause that is under way is never weakened.
    pub fn pause_clients(&mut self, until_us: u64, all: bool) {
        self.pause.until_us = self.pause.until_us.max(until_us);
        self.pause.all |= all;
        self.note_held();
        self.set_gate(gate::PAUSE, true);
        self.timers.insert(self.pause.until_us.div_ceil(1000), Timer::PauseEnd);
    }

    /// Ends the pause; what waited runs.
    pub fn unpause_clients(&mut self) {
        self.pause.until_us = 0;
        self.pause.all = false;
        self.note_held();
        self.set_gate(gate::PAUSE, self.is_shutting_down() || self.replication.failover.is_some());
        if self.replication.failover.is_some() || self.waits_for_replicas() {
            return;
        }
        self.wake_paused();
    }

    /// Those whose requests were held up try again.
    pub(super) fn wake_paused(&mut self) {
        for id in std::mem::take(&mut self.pause.waiting) {
            let Some(slot) = self.slot_of(id) else { continue };
            let is_paused = |b: &Blocked| b.block.on == BlockOn::Unpause;
            if self.clients[slot].block.as_deref().is_some_and(is_paused) {
                self.make_runnable_again(slot);
            }
        }
    }

    /// A client that waited for the end of a pause runs its request at its next turn.
    fn make_runnable_again(&mut self, slot: usize) {
        self.clients[slot].set(state::BLOCKED, false);
        self.make_runnable(slot);
    }
}
