//! The two threads of the disk, as the loop sees them.
//!
//! [`files`] carries out [`FileJob`]s, [`log`] those of the append-only log, so that a sync of the log stands behind no
//! dump; each in the order in which it was asked. An answer comes back with the number of its job, and a waker ends the
//! poll's sleep. What they do to a file is in [`open_file`].
//!
//! The queues are as long as the engine makes them: it counts the bytes in them and pauses its producers.
//!
//! What is appended to the log while its thread has nothing to do is written by the loop itself: then a process that is
//! killed leaves all behind that it has acknowledged, and no thread has to wake for a few bytes. Where a write turns out to
//! be slow, the thread does them for a while.
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
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A write of the loop that takes longer has the thread write for a while.
const SLOW_WRITE: Duration = Duration::from_millis(1);
/// For so long.
const WRITES_APART: Duration = Duration::from_secs(1);

/// The loop's end of both threads.
#[derive(Debug)]
pub struct Disk {
    files: Worker<FileJob>,
    log: Worker<LogJob>,
    done: Receiver<(u64, Done)>,
    /// The files of the log: the loop's while the thread has nothing to do.
    log_files: Arc<Mutex<Log>>,
    /// Until then the loop writes nothing itself.
    apart_until: Option<Instant>,
}

/// A thread, and the way to it.
#[derive(Debug)]
struct Worker<J> {
    jobs: Sender<(u64, J)>,
    /// Jobs that are not done.
    waiting: Arc<AtomicUsize>,
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
        let mut files = Files::default();
        let log_files = Arc::new(Mutex::new(Log::default()));
        let log = Arc::clone(&log_files);
        Ok(Disk {
            files: Worker::start("files", outbox.clone(), waker, move |job| {
                Done::File(files.carry_out(job))
            })?,
            log: Worker::start("log", outbox, waker, move |job| {
                Done::Log(log.lock().unwrap_or_else(PoisonError::into_inner).carry_out(job))
            })?,
            done,
            log_files,
            apart_until: None,
        })
    }

    /// Hands a job to the thread of files.
    pub fn do_file(&self, number: u64, job: FileJob) {
        self.files.hand_over(number, job);
    }

    /// Does a job of the log at once if it is a write that nothing stands before, and gives what became of it; otherwise hands
    /// it to the thread.
    pub fn do_log(&mut self, number: u64, job: LogJob) -> Option<Done> {
        if !matches!(job, LogJob::Append(..)) || !self.may_write() {
            self.log.hand_over(number, job);
            return None;
        }
        let begin = Instant::now();
        let done = self.log_files.lock().unwrap_or_else(PoisonError::into_inner).carry_out(job);
        let end = Instant::now();
        self.apart_until = (end - begin > SLOW_WRITE).then(|| end + WRITES_APART);
        Some(Done::Log(done))
    }

    /// Whether the loop may write to the log itself.
    fn may_write(&self) -> bool {
        self.log.waiting.load(Ordering::Acquire) == 0
            && self.apart_until.is_none_or(|until| Instant::now() > until)
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
        let waiting = Arc::new(AtomicUsize::new(0));
        let (waker, left) = (Arc::clone(waker), Arc::clone(&waiting));
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            // The queue ends when the loop lets go of its end; then nobody hears the answers, and the work is done all
            // the same.
            while let Ok((number, job)) = inbox.recv() {
                let answer = (number, carry_out(job));
                // The answers come in the order of the jobs: it is on its way before the loop can do the next one itself.
                let is_heard = outbox.send(answer).is_ok();
                left.fetch_sub(1, Ordering::Release);
                if is_heard {
                    let _ = waker.wake();
                }
            }
        })?;
        Ok(Worker { jobs, waiting, thread })
    }

    fn hand_over(&self, number: u64, job: J) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
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
