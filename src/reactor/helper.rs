//! The helper thread: it frees what would stall the loop.
//!
//! The loop sends it what is to be dropped; when that is done, the number of the job comes back and a waker ends the
//! poll's sleep.

use crate::keyspace::garbage::Garbage;
use mio::Waker;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// A job that was done.
#[derive(Debug)]
pub struct Freed {
    /// Number of the job.
    pub job: u64,
    /// What it held, in bytes, as it was counted when it was queued.
    pub bytes: usize,
    /// Objects that it held.
    pub objects: u64,
}

/// The loop's end of the helper thread.
#[derive(Debug)]
pub struct Helper {
    work: Sender<(Garbage, u64)>,
    done: Receiver<Freed>,
}

impl Helper {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When the system grants no thread.
    pub fn start(waker: Arc<Waker>) -> io::Result<Helper> {
        let (work, inbox) = channel::<(Garbage, u64)>();
        let (outbox, done) = channel();
        thread::Builder::new().name("helper".to_owned()).spawn(move || {
            while let Ok((garbage, job)) = inbox.recv() {
                let freed = Freed { job, bytes: garbage.heap_bytes(), objects: garbage.objects() };
                drop(garbage);
                if outbox.send(freed).is_err() || waker.wake().is_err() {
                    return;
                }
            }
        })?;
        Ok(Helper { work, done })
    }

    /// Hands something over to be freed.
    pub fn free(&self, garbage: Garbage, job: u64) {
        if let Err(unsent) = self.work.send((garbage, job)) {
            // The thread ends only with the process; then it is freed here.
            drop(unsent);
        }
    }

    /// A job that was done since the last call.
    pub fn take_freed(&self) -> Option<Freed> {
        self.done.try_recv().ok()
    }
}
