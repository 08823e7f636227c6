//! Clients that wait: what for, how a wait ends, and what runs afterwards.
//!
//! A command that cannot go on returns a [`Block`]. Its client then has a [`Blocked`] with its request and runs nothing until
//! the wait ends, in one of four ways:
//!
//! * What it waits for happens, and the command runs again ([`Engine::run_again`], [`Engine::run_kept`]) or is answered
//!   ([`Engine::end_wait_for_job`] and those in the files of what is waited for).
//! * Its time is over ([`Engine::time_out`]), or another client ends it ([`Engine::end_wait`]): it gets the reply in vain.
//! * Nobody may wait where the command runs, in a transaction or a script: it gets the reply in vain at once.
//! * The client goes.
//!
//! Who waits for which key, and in which order, is in [`super::waiters`]; a command that runs again and blocks again keeps
//! its place there.

use super::client::state;
use super::error::CmdError;
use super::keys::all_keys_of;
use super::spec::{Group, key};
use super::table::Row;
use super::timers::Timer;
use super::{Engine, Host};
use crate::base::id::ClientId;
use crate::keyspace::Type;
use crate::resp::Args;
use crate::structures::wheel::TimerId;
use bytes::Bytes;

/// What a blocked client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The event that ends the wait.
    pub on: BlockOn,
    /// Monotonic time in microseconds at which the wait ends without it; none: never.
    pub deadline_us: Option<u64>,
}

/// The kinds of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockOn {
    /// Replicas or the log have what was written (WAIT, WAITAOF).
    Offset(Offset),
    /// What holds the request up ends, CLIENT PAUSE or the migration of a key; then the command runs.
    Unpause,
    /// Keys have got to another server; then the client gets OK or an error.
    Migration,
    /// A job of the shell completes (FLUSHALL SYNC, CONFIG REWRITE); then the client gets OK or an error.
    Job(u64),
    /// One of the keys of the request has what the command takes from it; then the command runs again.
    Keys,
    /// This piece of work is done; then the command runs again.
    Work(u64),
}

/// What WAIT and WAITAOF wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Where the log ended that has it.
    pub log: u64,
    /// The log is to be durable up to there.
    pub wants_log: bool,
    /// So many replicas have it.
    pub replicas: u64,
    /// The offset of the feed that they are to have.
    pub feed: u64,
    /// In a durable log, not in memory.
    pub is_of_logs: bool,
}

/// A client that waits, and what it runs afterwards.
#[derive(Debug)]
pub struct Blocked {
    /// What it waits for.
    pub block: Block,
    /// The request, when it has to run again.
    pub args: Vec<Bytes>,
    /// The row of the request.
    pub row: u16,
    /// Its time-out.
    pub timer: Option<TimerId>,
    /// Time alone may bring it something.
    pub looks_again: bool,
    /// When it looks again.
    pub look_again: Option<TimerId>,
    /// When the wait began, monotonic microseconds.
    pub since_us: u64,
    /// Its ticket among the [`super::waiters`] while it waits for keys.
    pub ticket: u64,
    /// What the client sent, where another request runs again in its place.
    pub asked: Option<Vec<Bytes>>,
    /// Ticks that its command has taken until now.
    pub spent_ticks: u64,
}

impl Engine {
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

    /// Queues a client for the keys from which its command takes something; returns its ticket.
    pub(super) fn queue_for_keys(&mut self, slot: usize, args: &[Bytes], row: u16) -> u64 {
        let row = self.table.at(row);
        let client = &self.clients[slot];
        let (id, db) = (client.handle, client.db);
        let keys = all_keys_of(row, Args::Owned(args));
        let taken = keys.iter().filter(|at| at.flags & key::ACCESS != 0);
        let keys = taken.map(|at| (db, Bytes::copy_from_slice(&args[at.index]))).collect();
        let wants = match row.spec.group {
            Group::List => Type::List,
            Group::SortedSet => Type::Zset,
            _ => Type::Stream,
        };
        let on_missing = row.spec.waits_for_loss;
        self.listeners.waiters.enter(id, keys, wants, on_missing)
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

    /// Runs the request that a client had to keep, if it has one; its later requests follow.
    pub(super) fn run_kept(&mut self, host: &mut dyn Host, slot: usize) {
        let Some(blocked) = self.unblock(slot) else { return };
        let args = Args::Owned(&blocked.args);
        self.give_buffer(slot);
        self.run_one(host, slot, args, Some(self.table.at(blocked.row)), None);
    }

    /// Lets a client whose command depends on the time run it again.
    pub(super) fn look_again(&mut self, host: &mut dyn Host, client: ClientId) {
        let Some(slot) = self.slot_of(client) else { return };
        let Some(blocked) = &self.clients[slot].block else { return };
        let ticket = blocked.ticket;
        self.run_again(host, client, ticket);
        self.settle(host, Some(client));
    }

    /// Runs the command of a client that waits for keys or for work; if it cannot be served it waits on.
    pub(super) fn run_again(&mut self, host: &mut dyn Host, client: ClientId, ticket: u64) {
        let Some(slot) = self.slot_of(client) else {
            self.listeners.waiters.leave(ticket);
            return;
        };
        let client = &mut self.clients[slot];
        let Some(mut blocked) = client.block.take() else { return };
        client.set(state::BLOCKED, false);
        client.active_us = self.now.mono_us;
        let (args, row) = (std::mem::take(&mut blocked.args), blocked.row);
        self.outermost.rerun = Some(blocked);
        self.give_buffer(slot);
        self.run_one(host, slot, Args::Owned(&args), Some(self.table.at(row)), None);
        if let Some(blocked) = self.outermost.rerun.take() {
            self.forget_wait(&blocked);
            self.queue_output(slot);
            self.resume(slot);
        }
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

    /// The reply of a command that would have to wait, where nobody may wait.
    #[cold]
    pub(super) fn reply_instead_of_waiting(&mut self, slot: usize, on: BlockOn, row: &Row) {
        self.listeners.waiters.next_wait.request = None;
        self.listeners.waiters.next_wait.look_again_us = None;
        match on {
            BlockOn::Job(job) => {
                self.jobs.wait_no_longer(job);
                self.reply(slot).ok();
            }
            _ => self.reply_in_vain(slot, on, row.id),
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
}
