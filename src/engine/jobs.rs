//! What the shell is asked to do, and who waits for it.
//!
//! A job has a number; the shell says by [`Engine::completed`] what became of it. Who may wait for one is blocked on its
//! number. Frees count from the moment at which they are asked for, so that memory on its way out is not evicted again;
//! bytes for the disk count until they are written.

use super::disk::{FileJob, FileResult, LogJob};
use super::error::CmdError;
use super::slices::Slices;
use super::{Engine, Host};
use crate::base::id::ClientId;
use crate::keyspace::garbage::Garbage;
use std::collections::{BTreeMap, VecDeque};

/// Work for the shell.
#[derive(Debug)]
pub enum Job {
    /// Close this connection.
    Close(ClientId),
    /// Free this on the helper thread; tell `completed` with the number.
    Free(Garbage, u64),
    /// Do this on the thread of files; tell `completed` with the number.
    File(u64, FileJob),
    /// Connect this client to a host, from an address of this machine if one is given; tell `connected` or `not_connected`.
    Connect {
        /// The client.
        id: ClientId,
        /// A name or an address.
        host: String,
        /// The port there.
        port: u16,
        /// The address here; empty for any.
        source: String,
    },
    /// Read again from this client, which was full.
    ReadOn(ClientId),
    /// Let the system gather small pieces for this client before it sends them.
    Gather(ClientId),
    /// End the process in order, with this exit code.
    Exit(i32),
}

/// What became of a job.
#[derive(Debug)]
pub enum Done {
    /// Something was freed.
    Freed {
        /// What it held, in bytes, as it was counted when it was queued.
        bytes: usize,
        /// Objects that it held.
        objects: u64,
    },
    /// A job of the thread of files is done, or failed.
    File(FileResult),
    /// A job of the thread of the log is done, or failed.
    Log(FileResult),
}

impl Done {
    /// What became of a job for the disk.
    ///
    /// # Errors
    ///
    /// Why it was not done.
    pub fn file(self) -> FileResult {
        match self {
            Done::File(result) | Done::Log(result) => result,
            Done::Freed { .. } => unreachable!("to free is no job for the disk"),
        }
    }
}

/// What follows when a job is done: what the client that waited for it is answered if not OK. It runs also when that
/// client has left.
pub type Verdict = fn(&mut Engine, &mut dyn Host, Done) -> Result<(), CmdError>;

/// Who waits for a job.
#[derive(Clone, Copy, Debug)]
enum Waiter {
    /// A client, which gets OK or an error.
    Client(ClientId, Verdict),
    /// The engine itself goes on.
    Engine(fn(&mut Engine, &mut dyn Host, u64, FileResult)),
    /// As well, when something is freed.
    Freed(fn(&mut Engine)),
    /// A job that counts as done only when this one is.
    Other(u64),
    /// Nobody: SYNC was asked for where nobody can wait, so what is freed does not count as freed lazily.
    Unseen,
}

/// Jobs that were not taken or are not done.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// What the shell has not taken yet.
    pub queue: VecDeque<Job>,
    /// What the shell has not taken yet for the thread of the log, each with its number.
    pub log: VecDeque<(u64, LogJob)>,
    /// Number of the last job.
    last: u64,
    /// Number of the last file or folder.
    last_handle: u64,
    /// Who waits, by the number of the job.
    waiters: BTreeMap<u64, Waiter>,
    /// Jobs that count as done only when another one is, and what became of them, if that is known.
    held: BTreeMap<u64, Option<Done>>,
    /// Bytes for the disk, by the number of the job.
    bytes: BTreeMap<u64, u64>,
    /// Their sum.
    pub file_bytes: u64,
    /// Paths of the files that are replaced as a whole, by the number of the job.
    pub replacing: BTreeMap<u64, String>,
    /// Bytes queued for freeing.
    pub garbage_bytes: usize,
    /// Objects queued for freeing.
    garbage_objects: u64,
    /// What the engine does itself, in slices.
    pub slices: Slices,
}

impl Jobs {
    /// The number of a new job, which holds so many bytes for the disk.
    pub fn number(&mut self, bytes: u64) -> u64 {
        self.last += 1;
        if bytes > 0 {
            self.bytes.insert(self.last, bytes);
            self.file_bytes += bytes;
        }
        self.last
    }

    /// The number of a file or folder.
    pub fn next_handle(&mut self) -> u64 {
        self.last_handle += 1;
        self.last_handle
    }

    /// A client waits for a job.
    pub fn wait(&mut self, job: u64, client: ClientId, verdict: Verdict) {
        self.waiters.insert(job, Waiter::Client(client, verdict));
    }

    /// A job counts as done only when another one is as well. Nobody else hears of that other one.
    pub fn hold_until(&mut self, job: u64, other: u64) {
        self.held.insert(job, None);
        self.waiters.insert(other, Waiter::Other(job));
    }

    /// What the engine does when a job for the disk is done.
    pub fn then(&mut self, job: u64, go_on: fn(&mut Engine, &mut dyn Host, u64, FileResult)) {
        self.waiters.insert(job, Waiter::Engine(go_on));
    }

    /// What the engine does when something is freed.
    pub fn then_free(&mut self, job: u64, go_on: fn(&mut Engine)) {
        self.waiters.insert(job, Waiter::Freed(go_on));
    }

    /// Nobody waits for this job any more.
    pub fn wait_no_longer(&mut self, job: u64) {
        self.waiters.remove(&job);
    }
}

impl Engine {
    /// The next piece of work for the shell.
    pub fn poll_job(&mut self) -> Option<Job> {
        self.jobs.queue.pop_front()
    }

    /// The next piece of work for another thread, while a command lets others speak: nobody is closed and nothing ends
    /// before it is over.
    pub fn poll_job_while_busy(&mut self) -> Option<Job> {
        let is_apart = |job: &Job| matches!(job, Job::Free(..) | Job::File(..));
        let at = self.jobs.queue.iter().position(is_apart)?;
        self.jobs.queue.remove(at)
    }

    /// The connection that a client of the engine's own waits for is to be made now, while everything else stands still.
    pub fn poll_connect(&mut self, wanted: ClientId) -> Option<Job> {
        let is_wanted = |job: &Job| matches!(job, Job::Connect { id, .. } if *id == wanted);
        let at = self.jobs.queue.iter().position(is_wanted)?;
        self.jobs.queue.remove(at)
    }

    /// The next piece of work for the thread of the log, with its number; `completed` is to be told of it. The shell takes
    /// all of it before a turn's replies leave.
    pub fn poll_log_job(&mut self) -> Option<(u64, LogJob)> {
        self.jobs.log.pop_front()
    }

    /// The garbage of all databases becomes jobs.
    pub fn collect_garbage(&mut self) {
        while let Some(garbage) = self.dbs.take_garbage() {
            self.free(garbage, None);
        }
        for index in 0..self.dbs.count() {
            while let Some(garbage) = self.dbs.at_mut(index).take_garbage() {
                self.free(garbage, None);
            }
        }
    }

    /// A client waits for a job.
    pub fn wait_for_job(&mut self, job: u64, client: ClientId, verdict: Verdict) {
        self.jobs.wait(job, client, verdict);
    }

    /// Hands something to the helper thread; `waiter` is told when it is freed.
    pub fn free(&mut self, garbage: Garbage, waiter: Option<ClientId>) -> u64 {
        let job = self.jobs.number(0);
        self.jobs.garbage_bytes += garbage.heap_bytes();
        self.jobs.garbage_objects += garbage.objects();
        if let Some(waiter) = waiter {
            self.jobs.wait(job, waiter, |_, _, _| Ok(()));
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
        self.jobs.waiters.insert(job, Waiter::Unseen);
    }

    /// A client waits for a job, and for another one.
    pub fn wait_for_both(&mut self, job: u64, other: u64, client: ClientId, verdict: Verdict) {
        self.jobs.hold_until(job, other);
        self.jobs.wait(job, client, verdict);
    }

    /// The shell has done a job, or could not.
    pub fn completed(&mut self, host: &mut dyn Host, job: u64, done: Done) {
        if let Some(held) = self.jobs.held.get_mut(&job) {
            *held = Some(done);
            return;
        }
        let waiter = self.jobs.waiters.remove(&job);
        self.jobs.file_bytes -= self.jobs.bytes.remove(&job).unwrap_or(0);
        self.jobs.replacing.remove(&job);
        if let Done::Freed { bytes, objects } = done {
            self.jobs.garbage_bytes -= bytes.min(self.jobs.garbage_bytes);
            if !matches!(waiter, Some(Waiter::Unseen)) {
                self.jobs.garbage_objects -= objects.min(self.jobs.garbage_objects);
                self.stats.lazyfreed_objects += objects;
            }
        }
        match waiter {
            Some(Waiter::Client(client, verdict)) => {
                let result = verdict(self, host, done);
                self.end_wait_for_job(client, job, result);
            }
            Some(Waiter::Engine(go_on)) => go_on(self, host, job, done.file()),
            Some(Waiter::Freed(go_on)) => go_on(self),
            Some(Waiter::Other(job)) => {
                if let Some(Some(done)) = self.jobs.held.remove(&job) {
                    self.completed(host, job, done);
                }
            }
            Some(Waiter::Unseen) | None => {}
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
