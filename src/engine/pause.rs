//! CLIENT PAUSE, and clients that wait.
//!
//! While writes or everything is paused, the keyspace must not change: no key expires and none is evicted, although a
//! dead key is still not seen. A paused request is kept and runs when the pause ends, in the order of arrival.

use super::admission::gate;
use super::client::{Blocked, state};
use super::error::{Block, BlockOn, CmdError};
use super::migrate::Migrations;
use super::timers::Timer;
use super::{Engine, Host};
use crate::base::id::ClientId;
use crate::resp::Args;
use bytes::Bytes;
use std::collections::VecDeque;

/// What is paused, and until when.
#[derive(Debug, Default)]
pub struct Pause {
    /// Monotonic microseconds; 0: nothing is paused.
    pub until_us: u64,
    /// Not only writes.
    pub all: bool,
    /// Clients with a request that waits, oldest first.
    waiting: VecDeque<ClientId>,
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

    /// Clients that wait for something.
    pub fn blocked_clients(&self) -> usize {
        self.clients.iter().filter(|(_, c)| c.block.is_some()).count()
    }

    /// Those who wait for any key of these databases have a look.
    pub fn signal_all(&mut self, dbs: std::ops::Range<usize>) {
        for db in dbs {
            self.listeners.signal_all(db as u32);
        }
    }

    /// Who waits for which key.
    pub fn waiters(&self) -> &super::waiters::Waiters {
        &self.listeners.waiters
    }

    /// Lets a client wait.
    pub(super) fn block_client(&mut self, slot: usize, block: Block, args: Vec<Bytes>, row: u16) {
        let id = self.clients[slot].handle;
        let look_again_us = self.listeners.waiters.next_wait.look_again_us.take();
        let look_again = look_again_us
            .filter(|us| *us < u64::MAX)
            .map(|us| self.timers.insert(us.div_ceil(1000), Timer::LookAgain(id)));
        if let Some(mut before) = self.outermost.rerun.take() {
            if block.on == BlockOn::Keys {
                if let Some(timer) = std::mem::replace(&mut before.look_again, look_again) {
                    self.timers.cancel(timer);
                }
                // It waits on where it stood, for as long as it would have.
                before.args = args;
                let client = &mut self.clients[slot];
                client.set(state::BLOCKED, true);
                client.block = Some(before);
                return;
            }
            self.forget_wait(&before);
        }
        let ticket = if block.on == BlockOn::Keys { self.queue_for_keys(slot, &args, row) } else { 0 };
        let timer =
            block.deadline_us.map(|us| self.timers.insert(us.div_ceil(1000), Timer::BlockTimeout(id)));
        match block.on {
            BlockOn::Unpause => self.pause.waiting.push_back(id),
            BlockOn::Work(number) => self.wait_for_work(id, number),
            _ => {}
        }
        let since_us = self.now.mono_us;
        let looks_again = look_again_us.is_some();
        self.listeners.waiters.timed += usize::from(looks_again);
        let client = &mut self.clients[slot];
        client.set(state::BLOCKED, true);
        let blocked = Blocked {
            block,
            args,
            row,
            timer,
            looks_again,
            look_again,
            since_us,
            ticket,
            asked: None,
            spent_ticks: 0,
        };
        client.block = Some(Box::new(blocked));
    }

    /// Ends a client's waiting without running anything; the kept request is returned.
    pub(super) fn unblock(&mut self, slot: usize) -> Option<Blocked> {
        let client = &mut self.clients[slot];
        let blocked = client.block.take()?;
        client.set(state::BLOCKED, false);
        // It was not idle while it waited.
        client.active_us = self.now.mono_us;
        self.forget_wait(&blocked);
        Some(*blocked)
    }

    /// A wait is over: neither its time nor its keys matter any more.
    pub(super) fn forget_wait(&mut self, blocked: &Blocked) {
        for timer in [blocked.timer, blocked.look_again].into_iter().flatten() {
            self.timers.cancel(timer);
        }
        self.listeners.waiters.timed -= usize::from(blocked.looks_again);
        if blocked.ticket != 0 {
            self.listeners.waiters.leave(blocked.ticket);
        }
    }

    /// A client that waited for the end of a pause runs its request at its next turn.
    fn make_runnable_again(&mut self, slot: usize) {
        self.clients[slot].set(state::BLOCKED, false);
        self.make_runnable(slot);
    }

    /// Runs the request that a client had to keep, if it has one; its later requests follow.
    pub(super) fn run_kept(&mut self, host: &mut dyn Host, slot: usize) {
        let Some(blocked) = self.unblock(slot) else { return };
        let args = Args::Owned(&blocked.args);
        self.give_buffer(slot);
        self.run_one(host, slot, args, Some(self.table.at(blocked.row)), None);
    }

    /// Answers a client that waited for a job, and lets it go on.
    pub(super) fn end_wait_for_job(&mut self, id: ClientId, job: u64, result: Result<(), CmdError>) {
        let Some(slot) = self.slot_of(id) else { return };
        let waits = |blocked: &Blocked| blocked.block.on == BlockOn::Job(job);
        if !self.clients[slot].block.as_deref().is_some_and(waits) {
            return;
        }
        let Some(blocked) = self.unblock(slot) else { return };
        self.lend_buffer(slot);
        match result {
            Ok(()) => self.reply(slot).ok(),
            Err(error) => {
                // The call was counted when it began to wait.
                self.stats.rows[blocked.row as usize].failed += 1;
                self.error_reply(slot, &error.to_string());
            }
        }
        self.queue_output(slot);
        self.resume(slot);
    }

    /// Lets a client that waited, and has its reply, run what it sent meanwhile.
    pub(super) fn resume(&mut self, slot: usize) {
        self.clients[slot].set(state::REPLY_SKIP, false);
        if !self.clients[slot].inbox.is_empty() {
            self.make_runnable(slot);
        }
    }

    /// A client's time is over: it gets the reply that its command gives without success.
    pub(super) fn time_out(&mut self, id: ClientId) {
        let Some(slot) = self.slot_of(id) else { return };
        let Some(blocked) = self.unblock(slot) else { return };
        self.lend_buffer(slot);
        self.count_ended_wait(slot, &blocked, false);
        self.reply_to_timeout(slot, &blocked);
        self.queue_output(slot);
        self.resume(slot);
    }

    /// Another client ends a client's waiting, with the reply of a time-out or with an error.
    pub fn end_wait(&mut self, slot: usize, with_error: bool) {
        let Some(blocked) = self.unblock(slot) else { return };
        self.lend_buffer(slot);
        self.count_ended_wait(slot, &blocked, with_error);
        if with_error {
            self.error_reply(slot, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
        } else {
            self.reply_to_timeout(slot, &blocked);
        }
        self.queue_output(slot);
        self.resume(slot);
    }

    /// Counts the call of a command that waited for keys in vain, or for keys to get elsewhere; one that is served counts as it
    /// runs.
    pub(super) fn count_ended_wait(&mut self, slot: usize, blocked: &Blocked, failed: bool) {
        if matches!(blocked.block.on, BlockOn::Keys | BlockOn::Migration) {
            let row = self.table.at(blocked.row);
            self.stats.total_commands_processed += 1;
            self.clients[slot].commands += 1;
            let args = Args::Owned(blocked.asked.as_ref().unwrap_or(&blocked.args));
            self.count_call(slot, args, row, blocked.spent_ticks, failed);
        }
    }

    /// The reply to a wait that ended without its event.
    fn reply_to_timeout(&mut self, slot: usize, blocked: &Blocked) {
        match blocked.block.on {
            // Also of BLMOVE, which says with a null string that it could not wait.
            BlockOn::Keys => self.reply(slot).null_array(),
            on => self.reply_in_vain(slot, on, blocked.row),
        }
    }

    /// The reply of a command that did not get what it wanted to wait for.
    pub(super) fn reply_in_vain(&mut self, slot: usize, on: BlockOn, row: u16) {
        let spec = &self.table.at(row).spec;
        let reply_is_array = spec.replies_array;
        let mut reply = self.reply(slot);
        match on {
            BlockOn::Offset(offset) if reply_is_array => {
                let (is_durable, replicas) = (self.durability.is_logged(offset), self.replicas_with(offset));
                let mut reply = self.reply(slot);
                reply.array(2);
                reply.int(i64::from(is_durable));
                reply.int(replicas as i64);
            }
            BlockOn::Offset(offset) => {
                let replicas = self.replicas_with(offset);
                self.reply(slot).int(replicas as i64);
            }
            BlockOn::Keys if reply_is_array => reply.null_array(),
            BlockOn::Unpause | BlockOn::Job(_) | BlockOn::Keys | BlockOn::Migration | BlockOn::Work(_) => {
                reply.null();
            }
        }
    }
}
