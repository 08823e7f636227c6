//! The helper thread: it frees what would stall the loop, and has the kernel make memory ready before it is needed.
//!
//! The loop sends it what is to be dropped; when that is done, the number of the job comes back and a waker ends the
//! poll's sleep.

use super::outgoing::Target;
use crate::engine::Done;
use crate::keyspace::garbage::Garbage;
use crate::sys::pages;
use mio::Waker;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// What the helper thread is asked for.
#[derive(Debug)]
enum Work {
    /// Free this; the number of the job.
    Free(Garbage, u64),
    /// Make memory ready, and give back what is idle.
    Maintain,
    /// Look this name up.
    Resolve(Target),
}

/// The loop's end of the helper thread.
#[derive(Debug)]
pub struct Helper {
    work: Sender<Work>,
    /// It maintains the memory.
    is_maintaining: Arc<AtomicBool>,
    done: Receiver<(u64, Done)>,
    /// Names that were looked up.
    resolved: Receiver<Resolved>,
}

/// A host, and the addresses that were found.
type Resolved = (Target, Result<Vec<SocketAddr>, String>);

impl Helper {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When the system grants no thread.
    pub fn start(waker: Arc<Waker>) -> io::Result<Helper> {
        let (work, inbox) = channel();
        let (outbox, done) = channel();
        let (names, resolved) = channel();
        let is_maintaining = Arc::new(AtomicBool::new(false));
        let is_done = Arc::clone(&is_maintaining);
        thread::Builder::new().name("helper".to_owned()).spawn(move || {
            while let Ok(work) = inbox.recv() {
                let is_heard = match work {
                    Work::Free(garbage, job) => {
                        let done = Done::Freed { bytes: garbage.heap_bytes(), objects: garbage.objects() };
                        drop(garbage);
                        outbox.send((job, done)).is_ok()
                    }
                    Work::Resolve(target) => {
                        let found = target.resolve();
                        names.send((target, found)).is_ok()
                    }
                    Work::Maintain => {
                        pages::maintain();
                        is_done.store(false, Relaxed);
                        continue;
                    }
                };
                if !is_heard || waker.wake().is_err() {
                    return;
                }
            }
        })?;
        Ok(Helper { work, is_maintaining, done, resolved })
    }

    /// Hands something over to be freed.
    pub fn free(&self, garbage: Garbage, job: u64) {
        if let Err(unsent) = self.work.send(Work::Free(garbage, job)) {
            // The thread ends only with the process; then it is freed here.
            drop(unsent);
        }
    }

    /// Has a name looked up.
    pub fn resolve(&self, target: Target) {
        // The thread ends only with the process.
        let _ = self.work.send(Work::Resolve(target));
    }

    /// A name that was looked up since the last call.
    pub fn take_resolved(&self) -> Option<Resolved> {
        self.resolved.try_recv().ok()
    }

    /// Has memory made ready, if little of it is left, and given back, if nobody uses it.
    pub fn maintain_memory(&self) {
        if pages::needs_maintenance() && !self.is_maintaining.swap(true, Relaxed) {
            // The thread ends only with the process.
            let _ = self.work.send(Work::Maintain);
        }
    }

    /// A job that was done since the last call.
    pub fn take_done(&self) -> Option<(u64, Done)> {
        self.done.try_recv().ok()
    }
}
