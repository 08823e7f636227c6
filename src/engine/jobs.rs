//! What the shell is asked to do, and who waits for it.
//!
//! A job has a number; the shell says by [`Engine::freed`] that it is done. Who may wait for one is blocked on its number.
//! Frees count from the moment at which they are asked for, so that memory on its way out is not evicted again.

use super::Engine;
use crate::base::id::ClientId;
use crate::keyspace::garbage::Garbage;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Work for the shell.
#[derive(Debug)]
pub enum Job {
    /// Close this connection.
    Close(ClientId),
    /// Free this on the helper thread; tell `freed` with the number.
    Free(Garbage, u64),
    /// End the process in order, with this exit code.
    Exit(i32),
}

/// Jobs that were not taken or are not done.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// What the shell has not taken yet.
    pub queue: VecDeque<Job>,
    /// Number of the last job.
    last: u64,
    /// Jobs that free what SYNC was asked for where nobody can wait.
    unseen: BTreeSet<u64>,
    /// Clients that wait for a job, by its number.
    pub waiters: BTreeMap<u64, ClientId>,
    /// Bytes queued for freeing.
    pub garbage_bytes: usize,
    /// Objects queued for freeing.
    garbage_objects: u64,
}

impl Engine {
    /// The next piece of work for the shell.
    pub fn poll_job(&mut self) -> Option<Job> {
        self.jobs.queue.pop_front()
    }

    /// The garbage of all databases becomes jobs.
    pub fn collect_garbage(&mut self) {
        for index in 0..self.dbs.count() {
            while let Some(garbage) = self.dbs.at_mut(index).take_garbage() {
                self.free(garbage, None);
            }
        }
    }

    /// Hands something to the helper thread; `waiter` is told when it is freed.
    pub fn free(&mut self, garbage: Garbage, waiter: Option<ClientId>) -> u64 {
        self.jobs.last += 1;
        let job = self.jobs.last;
        self.jobs.garbage_bytes += garbage.heap_bytes();
        self.jobs.garbage_objects += garbage.objects();
        if let Some(waiter) = waiter {
            self.jobs.waiters.insert(job, waiter);
        }
        self.jobs.queue.push_back(Job::Free(garbage, job));
        job
    }

    /// As [`Engine::free`] within EXEC or a script, whose client cannot wait for it: it does not count as freed lazily,
    /// since SYNC was asked for.
    pub fn free_unseen(&mut self, garbage: Garbage) {
        let objects = garbage.objects();
        let job = self.free(garbage, None);
        self.jobs.garbage_objects -= objects;
        self.jobs.unseen.insert(job);
    }

    /// Something was freed: what it held, as it was counted when it was queued.
    pub fn freed(&mut self, job: u64, bytes: usize, objects: u64) {
        self.jobs.garbage_bytes -= bytes.min(self.jobs.garbage_bytes);
        if !self.jobs.unseen.remove(&job) {
            self.jobs.garbage_objects -= objects.min(self.jobs.garbage_objects);
            self.stats.lazyfreed_objects += objects;
        }
        if let Some(waiter) = self.jobs.waiters.remove(&job) {
            self.unblock_with_ok(waiter);
        }
    }

    /// Objects that wait to be freed.
    pub fn pending_free_objects(&self) -> u64 {
        self.jobs.garbage_objects
    }

    /// Whether the shell was asked to end the process.
    pub(super) fn is_ending(&self) -> bool {
        self.jobs.queue.iter().any(|job| matches!(job, Job::Exit(_)))
    }
}
