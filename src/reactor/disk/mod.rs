//! The two threads of the disk, as the loop sees them.
//!
//! [`files`] carries out [`FileJob`]s, [`log`] those of the append-only log, so that a sync of the log stands behind no
//! dump; each in the order in which it was asked. An answer comes back with the number of its job, and a waker ends the
//! poll's sleep. What they do to a file is in [`open_file`].
//!
//! The queues are as long as the engine makes them: it counts the bytes in them and pauses its producers.
//!
//! When the server ends in order, [`Disk::finish`] lets both threads do all that they were asked for: what a client was
//! not told yet may still be what it hopes for, and no half-written temporary file stays. Who cannot wait for a disk that
//! hangs ends the process by a signal, which is a crash, and crashes are what the order of the jobs is made for.

pub mod files;
mod log;
mod open_file;

use crate::engine::Done;
use crate::engine::disk::{DiskError, ErrorKind, FileDone, FileJob, FileResult, LogJob};
use crate::sys::file;
use files::Files;
use log::Log;
use mio::Waker;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// The loop's end of both threads.
#[derive(Debug)]
pub struct Disk {
    files: Worker<FileJob>,
    log: Worker<LogJob>,
    done: Receiver<(u64, Done)>,
}

/// A thread, and the way to it.
#[derive(Debug)]
struct Worker<J> {
    jobs: Sender<(u64, J)>,
    thread: JoinHandle<()>,
}

impl Disk {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// When the system grants none.
    pub fn start(waker: &Arc<Waker>) -> io::Result<Disk> {
        let (outbox, done) = channel();
        let (mut files, mut log) = (Files::default(), Log::default());
        Ok(Disk {
            files: Worker::start("files", outbox.clone(), waker, move |job| {
                Done::File(files.carry_out(job))
            })?,
            log: Worker::start("log", outbox, waker, move |job| Done::Log(log.carry_out(job)))?,
            done,
        })
    }

    /// Hands a job to the thread of files.
    pub fn do_file(&self, number: u64, job: FileJob) {
        self.files.hand_over(number, job);
    }

    /// Hands a job to the thread of the log.
    pub fn do_log(&self, number: u64, job: LogJob) {
        self.log.hand_over(number, job);
    }

    /// A job that was done since the last call.
    pub fn take_done(&self) -> Option<(u64, Done)> {
        self.done.try_recv().ok()
    }

    /// Lets both threads do what they were asked for, and ends them.
    pub fn finish(self) {
        self.files.finish();
        self.log.finish();
    }
}

impl<J: Send + 'static> Worker<J> {
    /// Starts a thread that carries out jobs one after the other.
    fn start(
        name: &str,
        outbox: Sender<(u64, Done)>,
        waker: &Arc<Waker>,
        mut carry_out: impl FnMut(J) -> Done + Send + 'static,
    ) -> io::Result<Worker<J>> {
        let (jobs, inbox) = channel();
        let waker = Arc::clone(waker);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            // The queue ends when the loop lets go of its end; then nobody hears the answers, and the work is done all
            // the same.
            while let Ok((number, job)) = inbox.recv() {
                if outbox.send((number, carry_out(job))).is_ok() {
                    let _ = waker.wake();
                }
            }
        })?;
        Ok(Worker { jobs, thread })
    }

    fn hand_over(&self, number: u64, job: J) {
        let sent = self.jobs.send((number, job));
        assert!(sent.is_ok(), "a thread of the disk ends only with the process");
    }

    fn finish(self) {
        drop(self.jobs);
        // A panic in a thread has ended the process already.
        let _ = self.thread.join();
    }
}

/// Times a job.
fn timed(work: impl FnOnce() -> FileResult) -> FileResult {
    let begin = Instant::now();
    let done = work()?;
    Ok(FileDone { us: begin.elapsed().as_micros() as u64, ..done })
}

/// An error of the system, as the engine is told.
fn disk_error(op: &'static str, name: &str, error: &io::Error) -> DiskError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Other,
    };
    DiskError { op, name: name.to_owned(), text: file::error_text(error), kind, written: 0 }
}
