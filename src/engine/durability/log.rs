//! The append-only log while it is written: what was committed, handed over, written and made durable.
//!
//! ```text
//! commit ----> buffer --- hand over, once a turn ---> append ---> written --- sync ---> durable
//!    end                      handed                              written                synced
//! ```
//!
//! Each of the four is a position: bytes since the server started. A turn's bytes are handed over before its replies leave.
//!
//! * A file is synced at most a second after the oldest byte of it that is not (`appendfsync everysec`).
//! * A write that failed is tried again every second, on the file as it was before; meanwhile writes are refused.
//! * A sync that failed is never tried again, since the system tells of an error once and forgets the bytes: the file is
//!   *sealed*. Writes are refused, a rewrite makes a base of what is in memory, and the log goes on in an increment after it.
//! * A rewrite has the log go on in another increment: [`LogJob::Switch`]. If that cannot be made durable, it goes on in the
//!   old one.

use super::super::disk::{
    DiskError, FileDone, FileId, FileJob, FileResult, FolderId, LogJob, Options, Replace, Switch,
};
use super::super::host::Request;
use super::super::timers::Timer;
use super::super::{Engine, Host, Job};
use super::Mode;
use super::backup;
use super::handed::{Batch, Handed};
use crate::base::limit::{LOG_LATE_MS, LOG_SYNC_AFTER_MS};
use crate::config::AppendFsync;
use crate::persist::aof::manifest::{Form, Manifest, Names};
use crate::persist::aof::write::Framer;
use crate::replication::batch::{Group, target};
use bytes::Bytes;
use std::collections::VecDeque;
use std::mem;

/// A write that failed is tried again after so long. Redis: the period of its cron.
const RETRY_MS: u64 = 1000;

/// Whether the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// It is not.
    #[default]
    Off,
    /// It has no base yet: what is written counts once the first rewrite is done.
    Beginning,
    /// It is.
    On,
}

/// See the head of the file.
#[derive(Debug, Default)]
pub struct Log {
    stage: Stage,
    /// The files as they are known to be; those of the disk may be one switch further.
    pub(super) manifest: Manifest,
    /// As it will be when the switch is done that is under way.
    switching: Option<Manifest>,
    framer: Framer,
    buffer: Vec<u8>,
    file: Option<FileId>,
    /// The job that opens it, while that is not done.
    opening: Option<u64>,
    /// Its name in the folder.
    pub(super) file_name: String,
    /// Bytes of it.
    file_bytes: u64,
    /// Bytes of it that are known to be durable; what was found in it at a start counts after the first sync.
    file_synced: u64,
    /// Bytes of all other files that the manifest names.
    older_bytes: u64,
    /// Bytes of all files after the last rewrite, or at the start.
    pub(super) base_bytes: u64,
    end: u64,
    handed: u64,
    written: u64,
    synced: u64,
    /// What was handed over and is not written.
    unwritten: VecDeque<Handed>,
    /// The checksum of the last integrity line of the file.
    sum: u64,
    /// The sync that is under way: its job, what will be durable, and when it began in monotonic milliseconds.
    sync: Option<(u64, u64, u64)>,
    /// The file that is being synced, and its bytes when that began.
    syncing: Option<(FileId, u64)>,
    /// The job that syncs a file which is closed after it, and what will be durable.
    closing: Option<(u64, u64)>,
    /// The monotonic millisecond since which bytes wait for a sync.
    unsynced_since_ms: Option<u64>,
    /// What was handed over since the sync began that is under way: since when.
    unsynced_next_ms: Option<u64>,
    is_timer_armed: bool,
    /// When it is looked whether that is too long.
    late_at_ms: Option<u64>,
    /// The last error of a write, while it has not gone away.
    pub(super) write_error: Option<DiskError>,
    /// A write is to be tried again.
    is_broken: bool,
    /// A sync has failed: what is committed is kept until there is another base.
    is_sealed: bool,
    /// Syncs that failed.
    pub sync_errors: u64,
    /// Syncs that were put off because another was under way.
    pub delayed_syncs: u64,
}

impl Log {
    /// Changes are logged from now on, or no longer.
    pub(super) fn set_stage(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// The file that is written.
    pub(super) fn file(&self) -> Option<FileId> {
        self.file
    }

    /// Whether its file is not open yet.
    pub(super) fn is_opening(&self) -> bool {
        self.opening.is_some()
    }

    /// Whether changes are to be logged.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Bytes of all its files, those included that are not written yet.
    pub fn bytes(&self) -> u64 {
        self.older_bytes + self.file_bytes
    }

    /// Bytes of its files after the last rewrite, or at the start.
    pub fn base_bytes(&self) -> u64 {
        self.base_bytes
    }

    /// Bytes that were not written.
    pub fn unwritten_bytes(&self) -> u64 {
        self.end - self.written
    }

    /// Bytes that are not durable.
    pub fn unsynced_bytes(&self) -> u64 {
        self.end - self.synced
    }

    /// Where the log ends: what was committed lies before it.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Up to here it is written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Up to here it is durable.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// Whether all of it is durable that was handed over.
    pub fn is_durable(&self) -> bool {
        self.synced >= self.handed
    }

    /// Age of the oldest byte that is not durable, in milliseconds.
    pub fn unsynced_ms(&self, now_ms: u64) -> u64 {
        self.oldest_ms().map_or(0, |since_ms| now_ms.saturating_sub(since_ms))
    }

    /// Since when the oldest byte that is not durable waits. A sync may be under way that began when none did.
    fn oldest_ms(&self) -> Option<u64> {
        self.unsynced_since_ms.or(self.unsynced_next_ms)
    }

    /// When that byte is too old, in monotonic milliseconds; none where nothing is to be armed for it.
    pub(super) fn arm_late(&mut self, now_ms: u64) -> Option<u64> {
        let at_ms = self.oldest_ms()? + LOG_LATE_MS + 1;
        if self.late_at_ms.is_some_and(|armed_ms| armed_ms > now_ms && armed_ms <= at_ms) {
            return None;
        }
        self.late_at_ms = Some(at_ms);
        Some(at_ms)
    }

    /// Whether a sync is under way.
    pub fn is_syncing(&self) -> bool {
        self.sync.is_some()
    }

    /// Up to here it is durable, but for what could not be written.
    fn note_synced(&mut self, upto: u64) {
        self.synced = self.synced.max(upto.min(self.written));
    }

    /// The file is closed after the sync of this job: until that is done, what waits for it waits on.
    pub(super) fn close(&mut self, sync: u64) {
        let synced = self.synced;
        self.forget();
        (self.synced, self.closing) = (synced, Some((sync, self.end)));
    }

    /// That sync is done, as well as it could be.
    pub(super) fn was_closed(&mut self, sync: u64) {
        if let Some((_, upto)) = self.closing.take_if(|closing| closing.0 == sync) {
            self.note_synced(upto);
        }
    }

    /// Nothing is written to the file any more, since the process ends.
    pub(super) fn give_up(&mut self) {
        self.is_broken = true;
    }

    /// Whether a file is being closed.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// A sync is done: what the file had when it began is durable, but for what could not be written.
    fn note_file_synced(&mut self) {
        let Some((file, bytes)) = self.syncing.take() else { return };
        if self.file == Some(file) {
            let unwritten: u64 = self.unwritten.iter().map(Handed::file_bytes).sum();
            let durable = bytes.min(self.file_bytes.saturating_sub(unwritten));
            self.file_synced = self.file_synced.max(durable);
        }
    }

    /// Another file is written, of which nothing is known to be durable.
    fn begin_file(&mut self, file: FileId) {
        (self.file, self.sum, self.file_synced, self.syncing) = (Some(file), 0, 0, None);
        self.framer.restart();
    }

    /// Whether the last write succeeded.
    pub fn is_writable(&self) -> bool {
        self.write_error.is_none()
    }

    /// Takes what an outermost command has changed, at this time, as Unix time in seconds, where times are to be written.
    pub fn commit(&mut self, group: Group<'_>, second: Option<i64>) {
        if self.file.is_some() || self.is_sealed {
            let before = self.buffer.len();
            self.framer.batch(group.to(target::AOF).frames(), second, &mut self.buffer);
            self.end += (self.buffer.len() - before) as u64;
        }
    }

    /// Whether what happens at this time, as Unix time in seconds, begins with a line that says so.
    pub fn is_later(&self, second: Option<i64>) -> bool {
        self.framer.is_later(second)
    }

    /// Whether a sync has failed, and there is no other base yet.
    pub fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// A base holds all that was committed until now.
    pub(super) fn forget_unwritten(&mut self) {
        self.buffer.clear();
        self.unwritten.clear();
        (self.handed, self.written, self.synced) = (self.end, self.end, self.synced);
        self.framer.restart();
    }

    /// Forgets what was not written, and the file.
    pub(super) fn forget(&mut self) {
        self.buffer.clear();
        self.unwritten.clear();
        (self.file, self.sync) = (None, None);
        (self.handed, self.written, self.synced) = (self.end, self.end, self.end);
        (self.unsynced_since_ms, self.unsynced_next_ms) = (None, None);
        (self.is_broken, self.is_sealed, self.write_error) = (false, false, None);
        self.older_bytes += mem::take(&mut self.file_bytes);
    }

    /// Everything before the file that is written is in a base of so many bytes.
    pub(super) fn rewritten(&mut self, manifest: Manifest, base_bytes: u64) {
        self.manifest = manifest;
        self.older_bytes = base_bytes;
        self.base_bytes = self.bytes();
    }

    /// Forgets all of it, as if there had never been one.
    pub(super) fn forget_all(&mut self) {
        self.forget();
        self.found(Manifest::default(), 0);
    }

    /// The files that the disk holds, at a start.
    pub(super) fn found(&mut self, manifest: Manifest, bytes: u64) {
        self.manifest = manifest;
        (self.older_bytes, self.file_bytes, self.base_bytes) = (bytes, 0, bytes);
    }
}

impl Engine {
    /// Path of the folder with the files of the log.
    pub(super) fn log_path(&self) -> String {
        format!("{}/{}", self.conf.dir, self.conf.appenddirname)
    }

    /// Commits what was propagated, and hands it over. The shell calls it before replies leave, and then carries out what
    /// [`Engine::poll_log_job`] says.
    #[inline]
    pub fn hand_over_log(&mut self, host: &mut dyn Host) {
        self.commit();
        self.ask_for_acks();
        if !self.durability.log.buffer.is_empty() {
            if self.switches.log_delay_us > 0 {
                let _ = host.apply(Request::Sleep(self.switches.log_delay_us));
            }
            self.hand_over_buffer();
        }
        self.note_logged();
        self.close_batch();
    }

    /// As [`Engine::hand_over_log`], without a delay.
    pub(in crate::engine) fn hand_over_buffer(&mut self) {
        let log = &mut self.durability.log;
        if log.buffer.is_empty() {
            return;
        }
        let room = log.buffer.len().next_power_of_two().min(1 << 20);
        let bytes = Bytes::from(mem::replace(&mut log.buffer, Vec::with_capacity(room)));
        log.handed += bytes.len() as u64;
        let batch = match self.conf.aof_integrity_check {
            true => Batch::with_line(bytes, &mut log.sum, log.file_synced),
            false => Batch::plain(bytes),
        };
        log.file_bytes += batch.file_bytes();
        let now_ms = self.now.mono_ms();
        match log.sync {
            Some(_) => log.unsynced_next_ms.get_or_insert(now_ms),
            None => log.unsynced_since_ms.get_or_insert(now_ms),
        };
        let job = match log.file.filter(|_| !log.is_broken) {
            Some(file) => {
                let job = self.log_job(LogJob::Append(file, batch.pieces().collect()));
                self.jobs.then(job, Engine::log_was_written);
                job
            }
            None => 0,
        };
        self.durability.log.unwritten.push_back(Handed { job, batches: vec![batch] });
        match self.conf.appendfsync {
            AppendFsync::Always => {}
            AppendFsync::Everysec => {
                self.arm_log_sync();
                self.arm_late_log();
            }
            AppendFsync::No => {}
        }
        self.rewrite_if_grown();
    }

    /// Bytes were written, or could not be.
    fn log_was_written(&mut self, _: &mut dyn Host, job: u64, result: FileResult) {
        let log = &mut self.durability.log;
        match result {
            Ok(_) => {
                // One that was given up is here no longer.
                if let Some(handed) = log.unwritten.pop_front_if(|first| first.job == job) {
                    log.written += handed.bytes();
                }
                if self.durability.gate.mode() == Mode::Writers {
                    self.update_gate();
                    self.release_gate();
                }
                let log = &mut self.durability.log;
                if log.write_error.is_some() && !log.is_broken {
                    log.write_error = None;
                    log::warn!("AOF write error looks solved, Redis can write again.");
                    self.note_disk_errors();
                }
            }
            // What was to be written is written elsewhere, or nobody wants it any more.
            Err(_) if log.unwritten.iter().all(|handed| handed.job != job) => {}
            Err(error) => self.log_write_failed(error),
        }
    }

    /// What was handed over from here on is kept and tried again.
    fn log_write_failed(&mut self, error: DiskError) {
        if self.durability.backup.owns_log() {
            self.fail_backup(&error);
            return;
        }
        if self.conf.appendfsync == AppendFsync::Always {
            self.end_for_error(&error);
            return;
        }
        let log = &mut self.durability.log;
        if mem::replace(&mut log.is_broken, true) {
            return;
        }
        if log.write_error.is_none() {
            log::warn!("Error writing to the AOF file: {}", error.text);
        }
        log.write_error = Some(error);
        self.timers.insert(self.now.mono_ms() + RETRY_MS, Timer::LogRetry);
        self.note_disk_errors();
    }

    /// A sync has failed: nobody knows what of the file is durable, and it is not written to any more.
    fn seal_log(&mut self, error: DiskError) {
        let is_of_backup = self.durability.backup.owns_log();
        self.fail_backup(&error);
        if is_of_backup {
            return;
        }
        if self.conf.appendfsync == AppendFsync::Always {
            self.end_for_error(&error);
            return;
        }
        // A base that was begun before does not hold what this file may lack.
        self.cancel_rewrite();
        self.durability.log.write_error = Some(error);
        self.leave_file();
        self.durability.rewrites.is_scheduled = true;
        self.note_disk_errors();
    }

    /// Nothing is written to the file any more: what is committed is kept until there is another base.
    fn leave_file(&mut self) {
        if let Some(file) = self.durability.log.file.take() {
            self.log_job(LogJob::Close(file));
        }
        let log = &mut self.durability.log;
        (log.is_sealed, log.is_broken) = (true, false);
        log.older_bytes += mem::take(&mut log.file_bytes);
    }

    /// A rewrite begins: a file that could not be written is left.
    pub(super) fn seal_broken_log(&mut self) {
        if self.durability.log.is_broken && self.durability.log.stage == Stage::On {
            self.leave_file();
        }
    }

    /// The log goes on in the increment after the base that was made because a sync had failed.
    pub(super) fn unseal_log(&mut self, name: String) {
        let log = &mut self.durability.log;
        log.is_sealed = false;
        let kept = mem::take(&mut log.unwritten);
        self.open_log(name);
        let log = &mut self.durability.log;
        // Checksums go on from another batch here.
        let sums_up = self.conf.aof_integrity_check;
        let kept = Handed::joined(kept).moved(sums_up.then_some(&mut log.sum));
        let bytes = kept.file_bytes();
        (log.file_bytes, log.write_error) = (bytes, None);
        (log.unsynced_since_ms, log.unsynced_next_ms) = (Some(self.now.mono_ms()), None);
        if let (Some(file), true) = (log.file, bytes > 0) {
            let job = self.log_job(LogJob::Append(file, kept.pieces()));
            self.jobs.then(job, Engine::log_was_written);
            self.durability.log.unwritten.push_back(Handed { job, ..kept });
        }
        log::warn!("AOF write error looks solved, Redis can write again.");
        self.note_disk_errors();
        // What is acknowledged from now on must not be less durable than before.
        self.sync_log();
    }

    /// Tries again to write what could not be written.
    pub(in crate::engine) fn retry_log(&mut self) {
        if self.durability.switch.is_some() {
            // It is not known yet which file goes on.
            self.timers.insert(self.now.mono_ms() + RETRY_MS, Timer::LogRetry);
            return;
        }
        if self.durability.log.stage == Stage::Beginning && self.is_base_being_placed() {
            // The file may have its old name or the new one.
            self.timers.insert(self.now.mono_ms() + RETRY_MS, Timer::LogRetry);
            return;
        }
        let path = self.log_path();
        let log = &mut self.durability.log;
        let (Some(old), true) = (log.file, log.is_broken) else { return };
        log.is_broken = false;
        let name = log.file_name.clone();
        let unwritten = Handed::joined(mem::take(&mut log.unwritten));
        let good_bytes = log.file_bytes - unwritten.file_bytes();
        let file = self.next_file();
        self.durability.log.file = Some(file);
        self.log_job(LogJob::Close(old));
        let open = self.log_job(LogJob::Open { file, folder: path, name });
        self.durability.log.opening = Some(open);
        // If it has failed, what is appended fails as well.
        self.jobs.then(open, |engine, _, job, _| engine.log_was_opened(job));
        self.log_job(LogJob::Truncate(file, good_bytes));
        let job = self.log_job(LogJob::Append(file, unwritten.pieces()));
        self.jobs.then(job, Engine::log_was_written);
        self.durability.log.unwritten.push_back(Handed { job, ..unwritten });
    }

    /// Arms the timer of the sync, where bytes wait for one.
    pub(in crate::engine) fn arm_log_sync(&mut self) {
        let log = &mut self.durability.log;
        if log.is_timer_armed || log.sync.is_some() || self.conf.appendfsync != AppendFsync::Everysec {
            return;
        }
        let Some(since_ms) = log.unsynced_since_ms else { return };
        log.is_timer_armed = true;
        self.timers.insert(since_ms + LOG_SYNC_AFTER_MS, Timer::LogSync);
    }

    /// The timer of the sync rings.
    pub(in crate::engine) fn look_at_log_sync(&mut self) {
        self.durability.log.is_timer_armed = false;
        let is_resting = self.conf.no_appendfsync_on_rewrite && self.durability.save.is_some();
        let log = &self.durability.log;
        if log.unsynced_since_ms.is_none() || self.conf.appendfsync != AppendFsync::Everysec {
            return;
        }
        if is_resting || log.is_broken {
            self.durability.log.is_timer_armed = true;
            self.timers.insert(self.now.mono_ms() + LOG_SYNC_AFTER_MS, Timer::LogSync);
            return;
        }
        self.sync_log();
    }

    /// Has all that was handed over made durable.
    pub(super) fn sync_log(&mut self) {
        let log = &self.durability.log;
        let (Some(file), None, false) = (log.file, log.sync, log.is_broken) else { return };
        let job = self.log_job(LogJob::Sync(file));
        self.jobs.then(job, Engine::log_was_synced);
        let log = &mut self.durability.log;
        log.sync = Some((job, log.handed, self.now.mono_ms()));
        log.syncing = Some((file, log.file_bytes));
    }

    /// A sync is done, or failed.
    fn log_was_synced(&mut self, _: &mut dyn Host, job: u64, result: FileResult) {
        let log = &mut self.durability.log;
        // One of a file that was left says nothing of another.
        let Some((_, upto, _)) = log.sync.take_if(|sync| sync.0 == job) else { return };
        match result {
            Ok(done) => {
                log.note_synced(upto);
                log.note_file_synced();
                log.unsynced_since_ms = log.unsynced_next_ms.take();
                self.durability.last_sync_us = done.us;
                self.sync_was_done(done.us);
                self.answer_waiting();
            }
            Err(error) => {
                log.sync_errors += 1;
                log::warn!("Fail to fsync the AOF file: {}", error.text);
                self.seal_log(error);
            }
        }
        self.arm_log_sync();
        self.arm_late_log();
    }
}

/// The files on the disk.
impl Engine {
    /// What a job on the folder of the log needs: the folder as it is opened for it alone.
    pub(super) fn at_log_folder(
        &mut self,
        host: &mut dyn Host,
        jobs: impl FnOnce(&mut Engine, FolderId) -> Vec<FileJob>,
    ) -> FileResult {
        let folder = self.next_folder();
        let mut all = vec![FileJob::OpenFolder(folder, self.log_path())];
        all.extend(jobs(self, folder));
        all.push(FileJob::CloseFolder(folder));
        self.disk_at_once(host, all)
    }

    /// Does jobs while everybody waits.
    pub(super) fn disk_at_once(&mut self, host: &mut dyn Host, jobs: Vec<FileJob>) -> FileResult {
        let mut result = Ok(FileDone::default());
        if let Err(text) = host.apply(Request::Disk(jobs, &mut result)) {
            return Err(DiskError { text, ..DiskError::given_up("") });
        }
        result
    }

    /// A manifest, as it is to be put in its place in a folder.
    pub(super) fn manifest_in(&mut self, folder: FolderId, manifest: &Manifest) -> Replace {
        let names = Names(&self.conf.appendfilename);
        let (name, temporary) = (names.manifest(), names.temporary_manifest());
        Replace { folder, name, file: self.next_file(), temporary, bytes: manifest.text().into_bytes() }
    }

    /// Writes the manifest while everybody waits.
    pub(super) fn write_manifest_at_once(&mut self, host: &mut dyn Host, manifest: &Manifest) -> FileResult {
        self.at_log_folder(host, |engine, folder| {
            vec![FileJob::Replace(engine.manifest_in(folder, manifest))]
        })
    }

    /// Begins to log at a start, when all was loaded: the last increment, of so many bytes, goes on, or the first begins.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub(super) fn begin_log_at_start(
        &mut self,
        host: &mut dyn Host,
        last_bytes: u64,
    ) -> Result<(), DiskError> {
        let conf_name = self.conf.appendfilename.clone();
        let names = Names(&conf_name);
        let mut manifest = self.durability.log.manifest.clone();
        self.make_log_folder(host)?;
        if manifest.base().is_none() && manifest.increments().is_empty() {
            self.make_empty_base(host, &mut manifest)?;
        }
        let mut name =
            manifest.increments().last().map(|file| String::from_utf8_lossy(&file.name).into_owned());
        let start = manifest.increments().last().and_then(|file| file.start);
        // Without an end its bytes are the best guess.
        let end = manifest.reopen_increment().or(start.map(|start| start + last_bytes as i64));
        let end = end.unwrap_or(0).max(0) as u64;
        if end > self.replication.offset() {
            self.replication.feed.jump_to(end);
        }
        if name.is_none() {
            let offset = self.replication.offset() as i64;
            let made = String::from_utf8_lossy(&manifest.open_increment(names, offset).name).into_owned();
            log::info!("Creating AOF incr file {made} on server start");
            let file = self.next_file();
            let new = made.clone();
            self.at_log_folder(host, |_, folder| {
                let create = FileJob::Create { file, folder, name: new, options: Options::default() };
                vec![create, FileJob::Sync(file), FileJob::Close(file), FileJob::SyncFolder(folder)]
            })?;
            name = Some(made);
        }
        if manifest != self.durability.log.manifest {
            self.write_manifest_at_once(host, &manifest)?;
        }
        self.durability.log.manifest = manifest;
        self.remove_history();
        self.open_log(name.unwrap_or_default());
        self.durability.log.stage = Stage::On;
        self.note_followers();
        self.update_gate();
        Ok(())
    }

    /// The first base is a file without a key.
    fn make_empty_base(&mut self, host: &mut dyn Host, manifest: &mut Manifest) -> Result<(), DiskError> {
        let conf_name = self.conf.appendfilename.clone();
        let names = Names(&conf_name);
        let form = self.base_form();
        let name = manifest.next_base(names, form);
        log::info!("Creating AOF base file {name} on server start");
        let bytes = self.empty_base(host, form);
        self.durability.log.older_bytes += bytes.len() as u64;
        self.durability.log.base_bytes += bytes.len() as u64;
        let (file, pid) = (self.next_file(), self.process.names.pid);
        self.at_log_folder(host, |_, folder| {
            let temporary = Names::temporary_base(pid);
            vec![FileJob::Replace(Replace { folder, name, file, temporary, bytes })]
        })?;
        manifest.finish_rewrite(names, form, 0);
        Ok(())
    }

    /// In which form a base is written.
    pub(super) fn base_form(&self) -> Form {
        if self.conf.aof_use_rdb_preamble { Form::Dump } else { Form::Commands }
    }

    /// Opens an increment that is there, to write after what it holds.
    pub(super) fn open_log(&mut self, name: String) {
        let file = self.next_file();
        let folder = self.log_path();
        let job = self.log_job(LogJob::Open { file, folder, name: name.clone() });
        self.durability.log.opening = Some(job);
        self.jobs.then(job, |engine, _, job, result| {
            match result {
                Ok(done) => {
                    let log = &mut engine.durability.log;
                    // Nothing was handed over before the file was open.
                    log.older_bytes = log.older_bytes.saturating_sub(done.bytes);
                    log.file_bytes += done.bytes;
                }
                Err(error) => {
                    log::warn!("Can't open the append-only file {}: {}", error.name, error.text);
                    match engine.durability.backup.owns_log() {
                        true => engine.fail_backup(&error),
                        false => engine.jobs.queue.push_back(Job::Exit(1)),
                    }
                }
            }
            engine.log_was_opened(job);
        });
        let log = &mut self.durability.log;
        log.file_name = name;
        log.begin_file(file);
    }

    /// The file of the log is open, or could not be opened.
    fn log_was_opened(&mut self, job: u64) {
        self.durability.log.opening.take_if(|opening| *opening == job);
        self.place_when_open();
    }

    /// The log goes on in a new increment. Returns its number; none while nothing is logged.
    pub(super) fn switch_log(&mut self) -> Option<i64> {
        self.commit();
        self.hand_over_buffer();
        let log = &self.durability.log;
        let (Stage::On, Some(from)) = (log.stage, log.file) else { return None };
        let conf_name = self.conf.appendfilename.clone();
        let names = Names(&conf_name);
        let mut manifest = log.manifest.clone();
        let new = manifest.open_increment(names, self.replication.offset() as i64);
        let (name, seq) = (String::from_utf8_lossy(&new.name).into_owned(), new.seq);
        log::info!("Creating AOF incr file {name} on background rewrite");
        let (to, folder) = (self.next_file(), self.next_folder());
        let path = self.log_path();
        let replace = self.manifest_in(folder, &manifest);
        let switch = Switch { from, to, path, name: name.clone(), manifest: replace };
        let upto = self.durability.log.handed;
        let job = self.log_job(LogJob::Switch(switch));
        self.jobs.then(job, Engine::log_was_switched);
        let log = &mut self.durability.log;
        log.switching = Some(manifest);
        let old_bytes = mem::take(&mut log.file_bytes);
        log.older_bytes += old_bytes;
        let old_name = mem::replace(&mut log.file_name, name);
        log.begin_file(to);
        self.durability.switch = Some(PendingSwitch { upto, old_name, old_bytes });
        Some(seq)
    }

    /// The log goes on in the new increment, or could not.
    fn log_was_switched(&mut self, _: &mut dyn Host, _: u64, result: FileResult) {
        let Some(PendingSwitch { upto, old_name, old_bytes }) = self.durability.switch.take() else { return };
        let log = &mut self.durability.log;
        let manifest = log.switching.take();
        match result {
            Ok(_) => {
                // What could not be written goes to the new increment.
                let is_whole = log.written >= upto;
                log.note_synced(upto);
                if let Some(manifest) = manifest {
                    log.manifest = manifest;
                }
                self.release_gate();
                self.answer_waiting();
                self.rewrite_went_on();
                self.backup_was_switched(if is_whole {
                    Ok(())
                } else {
                    Err(backup::because("What was logged could not be written yet"))
                });
            }
            Err(error) => {
                log.file_name = old_name;
                log.older_bytes -= old_bytes;
                log.file_bytes += old_bytes;
                log.manifest.skip_increment();
                if error.op == "fdatasync" && log.stage != Stage::Off {
                    log.sync_errors += 1;
                    log::warn!("Fail to fsync the AOF file: {}", error.text);
                    self.fail_rewrite(&error);
                    self.seal_log(error);
                    self.end_log_of_backup();
                    return;
                }
                log::warn!("Can't open the append-only file: {}", error.text);
                self.fail_rewrite(&error);
                self.backup_was_switched(Err(error));
            }
        }
    }
}

/// A switch that is under way.
#[derive(Debug)]
pub(super) struct PendingSwitch {
    /// Up to here everything is durable once it is done.
    upto: u64,
    /// The name of the file that goes on if it fails.
    old_name: String,
    /// Bytes of that file.
    old_bytes: u64,
}
