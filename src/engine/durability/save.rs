//! Saving a dump file: BGSAVE, SAVE, save points, and the save of a shutdown are the same walk over a snapshot, and so is the
//! base of the append-only log ([`super::rewrite`]).
//!
//! ```text
//! walk      a slice a turn      ->  append to temp-PID.rdb           on the thread of files
//! end       header, checksum    ->  sync, then
//!                                   rename to `dbfilename`, sync of the folder
//! ```
//!
//! The walk pauses while many bytes wait for the disk, and goes on when some were written. What fails or is cancelled leaves
//! nothing behind but the file that was there before.

use super::super::disk::{
    Block, Checksum, DiskError, FileDone, FileId, FileJob, FileResult, FolderId, Found, Options,
};
use super::super::replication::Filter;
use super::super::timers::Timer;
use super::super::{Done, Engine, Host};
use super::rewrite::{Dump, Rewrite};
use super::writer::Writer;
use crate::base::id::ClientId;
use crate::base::limit::{SAVE_US_PER_BUSY_TURN, SAVE_US_PER_TURN, SAVED_BYTES_IN_FLIGHT};
use crate::config::{MaxmemoryPolicy, REDIS_VERSION};
use crate::persist::aof::manifest::{Form, Names};
use crate::persist::rdb::file::write::{FileWriter, Keep, header};
use crate::persist::rdb::{self, Version};
use std::mem;

/// The header says this version until it is known better.
const FIRST_VERSION: u16 = 10;
/// Parts are handed over when so many bytes wait.
const HANDED_OVER_BYTES: usize = 256 * 1024;
/// With `rdb-save-incremental-fsync` a file is synced every so many bytes. Redis: `REDIS_AUTOSYNC_BYTES`.
const SYNC_EVERY_BYTES: u64 = 4 << 20;

/// Who wanted a dump file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// BGSAVE, or a save point.
    Background,
    /// SAVE, whose client waits.
    Client,
    /// FLUSHALL, where there are save points.
    Flush,
    /// The server ends.
    Shutdown,
    /// The log gets a new base.
    Rewrite,
    /// Replicas need a dump.
    Replicas,
}

/// Where a dump goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// To a file.
    File,
    /// Straight to replicas; on its way it is compressed and summed up by the thread of files.
    Replicas {
        /// Those that are still there.
        ids: Vec<ClientId>,
        /// What stands before and after it.
        mark: String,
        /// The version of the format, which has to be said at the start.
        version: Version,
        /// What they want.
        filter: Filter,
    },
}

/// What a save waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The snapshot is being walked.
    Walking,
    /// This job makes the file durable.
    Syncing(u64),
    /// This job puts a base into its folder.
    Placing(u64),
    /// The base is in its folder; the log has not gone on in its new increment yet.
    Placed,
    /// This job makes its name durable.
    Renaming(u64),
}

/// A dump file that is being saved.
#[derive(Debug)]
pub(in crate::engine) struct Save {
    why: Why,
    pub(in crate::engine) target: Target,
    /// It is the base of the log.
    pub(super) rewrite: Option<Rewrite>,
    writer: Writer,
    pub(super) stage: Stage,
    pub(super) folder: FolderId,
    pub(super) file: FileId,
    /// Bytes of it that were written.
    pub(super) written_bytes: u64,
    /// Its name while it is written.
    pub(super) temporary: String,
    name: String,
    /// Jobs from this number on may be its jobs.
    first_job: u64,
    /// Numbers of jobs that clients wait for, which are done with it.
    waiters: Vec<u64>,
    pub(super) begun_mono_us: u64,
    /// Changes of the keyspace when it began.
    changes: u64,
    keys: usize,
    pub(super) kept_bytes: usize,
    /// Microseconds that `rdb-key-save-delay` asks for and that were not waited yet.
    delay_us: u64,
    /// It waits for that delay.
    is_delayed: bool,
    /// The bytes of a base are durable.
    is_synced: bool,
    sums_up: bool,
}

impl Save {
    pub(super) fn why(&self) -> Why {
        self.why
    }

    /// Whether it is a base that has the name which the manifest will have, or is about to get it.
    pub(super) fn has_place(&self) -> bool {
        let is_named = matches!(self.stage, Stage::Placing(_) | Stage::Placed | Stage::Renaming(_));
        self.rewrite.is_some() && is_named
    }
}

/// How far a save has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct SaveProgress {
    /// Keys at its start.
    pub keys: usize,
    /// Keys that were saved.
    pub done: usize,
    /// Microseconds since it began.
    pub us: u64,
    /// Bytes of old values that it has held.
    pub kept_bytes: usize,
}

impl Engine {
    /// How far the save has come that is under way.
    pub fn save_progress(&self) -> Option<SaveProgress> {
        let save = self.durability.save.as_ref()?;
        Some(SaveProgress {
            keys: save.keys,
            done: self.dbs.snapshot().map_or(save.keys, |snapshot| snapshot.done()),
            us: self.now.mono_us.saturating_sub(save.begun_mono_us),
            kept_bytes: save.kept_bytes,
        })
    }

    /// SAVE: begins at once, or after the rewrite that is under way.
    pub fn begin_save_of_client(&mut self, host: &mut dyn Host) {
        if self.is_rewriting() {
            self.durability.is_save_waiting = true;
        } else {
            self.begin_save(host, Why::Client);
        }
    }

    /// BGSAVE SCHEDULE: saves as soon as may be.
    pub fn schedule_save(&mut self) {
        self.durability.is_scheduled = true;
    }

    /// Forgets a save that was scheduled; false when there was none.
    pub fn unschedule_save(&mut self) -> bool {
        std::mem::take(&mut self.durability.is_scheduled)
    }

    /// Begins to save a dump file of what is there now. Another save must not be under way.
    pub fn begin_save(&mut self, host: &mut dyn Host, why: Why) {
        let begin = host.ticks();
        let temporary = format!("temp-{}.rdb", self.process.names.pid);
        let sync_every = self.conf.rdb_save_incremental_fsync.then_some(SYNC_EVERY_BYTES);
        let options = Options { checksum: self.conf.rdbchecksum, sync_every };
        self.begin_walk(host, why, (Target::File, None), temporary, options);
        self.durability.saves += 1;
        if why == Why::Background || why == Why::Replicas {
            self.durability.last_try_unix_s = self.now.unix_s();
            self.note_fork(host, begin);
            log::info!("Background saving started by pid {}", self.process.names.pid);
        }
    }

    /// Begins to send a dump of what is there now to replicas. Another save must not be under way.
    pub(in crate::engine) fn begin_save_to(&mut self, host: &mut dyn Host, target: Target) {
        let begin = host.ticks();
        let options = Options { checksum: self.conf.rdbchecksum, sync_every: None };
        self.begin_walk(host, Why::Replicas, (target, None), String::new(), options);
        self.note_fork(host, begin);
        log::info!("Background RDB transfer started by pid {}", self.process.names.pid);
    }

    /// Begins the base of the log.
    pub(super) fn begin_base(&mut self, host: &mut dyn Host, rewrite: Rewrite) {
        let begin = host.ticks();
        let temporary = Names::temporary_base(self.process.names.pid);
        let sync_every = self.conf.aof_rewrite_incremental_fsync.then_some(SYNC_EVERY_BYTES);
        let checksum = self.conf.rdbchecksum && rewrite.form == Form::Dump;
        let target = (Target::File, Some(rewrite));
        self.begin_walk(host, Why::Rewrite, target, temporary, Options { checksum, sync_every });
        self.note_fork(host, begin);
    }

    /// A dump file that holds what is in memory, and is durable, becomes the base of the log; it keeps the name that it has.
    pub(super) fn take_as_base(&mut self, rewrite: Rewrite, dump: Dump) {
        let temporary = Names::temporary_base(self.process.names.pid);
        let (folder, file) = (self.next_folder(), self.next_file());
        let first_job = self.save_job(FileJob::OpenFolder(folder, self.conf.dir.clone()));
        // What a rewrite that broke off has left may have the name.
        self.file_job(FileJob::Remove(folder, temporary.clone()));
        let link = FileJob::Link { folder, from: dump.name, to: temporary.clone() };
        let stage = Stage::Syncing(self.save_job(link));
        let options = rdb::Options { compress: false };
        self.durability.save = Some(Box::new(Save {
            why: Why::Rewrite,
            target: Target::File,
            rewrite: Some(rewrite),
            writer: Writer::Dump(FileWriter::new(options, Keep::Nothing)),
            written_bytes: dump.bytes,
            stage,
            folder,
            file,
            temporary,
            name: String::new(),
            first_job,
            waiters: Vec::new(),
            begun_mono_us: self.now.mono_us,
            changes: 0,
            keys: 0,
            kept_bytes: 0,
            delay_us: 0,
            is_delayed: false,
            is_synced: false,
            sums_up: false,
        }));
    }

    /// What INFO tells of a fork it tells of the beginning of a walk.
    fn note_fork(&mut self, host: &mut dyn Host, begin: u64) {
        self.stats.total_forks += 1;
        self.stats.latest_fork_us = self.ticker.pace.ns(host.ticks().saturating_sub(begin)) / 1000;
    }

    fn begin_walk(
        &mut self,
        host: &mut dyn Host,
        why: Why,
        (target, rewrite): (Target, Option<Rewrite>),
        temporary: String,
        options: Options,
    ) {
        self.commit();
        let filter = if let Target::Replicas { filter, .. } = target { filter } else { Filter::default() };
        let (folder, file) = (self.next_folder(), self.next_file());
        let first_job = self.save_job(FileJob::OpenFolder(folder, self.conf.dir.clone()));
        self.save_job(match target {
            Target::File => FileJob::Create { file, folder, name: temporary.clone(), options },
            Target::Replicas { .. } => FileJob::Gather(file, options),
        });
        let writer = if rewrite.is_some_and(|rewrite| rewrite.form == Form::Commands) {
            Writer::Commands(self.command_writer())
        } else {
            let mut writer =
                FileWriter::new(rdb::Options { compress: self.conf.rdbcompression }, self.kept_access());
            let first = match &target {
                Target::File => {
                    writer.pin(match self.dump_version() {
                        Version::Lowest if why == Why::Replicas => Version::LowestOf8,
                        version => version,
                    });
                    FIRST_VERSION
                }
                Target::Replicas { version, .. } => {
                    writer.pin(*version);
                    writer.version()
                }
            };
            self.save_job(FileJob::Append(file, Block::of(header(first).to_vec())));
            self.write_facts(host, &mut writer, rewrite.is_some(), filter.functions);
            Writer::Dump(writer)
        };
        if filter.keys {
            self.dbs.begin_snapshot();
        }
        let changes = self.propagation.changes();
        self.durability.save = Some(Box::new(Save {
            why,
            target,
            rewrite,
            writer,
            written_bytes: 0,
            stage: Stage::Walking,
            folder,
            file,
            temporary,
            name: self.conf.dbfilename.clone(),
            first_job,
            waiters: if matches!(why, Why::Rewrite | Why::Replicas) {
                Vec::new()
            } else {
                mem::take(&mut self.durability.waiting_for_save)
            },
            begun_mono_us: self.now.mono_us,
            changes,
            keys: self.dbs.keys(),
            kept_bytes: 0,
            delay_us: 0,
            is_delayed: false,
            is_synced: false,
            sums_up: options.checksum,
        }));
    }

    /// Which access bits a dump file keeps.
    pub(super) fn kept_access(&self) -> Keep {
        let clock = self.eviction.clock;
        match self.conf.maxmemory_policy {
            MaxmemoryPolicy::AllkeysLru
            | MaxmemoryPolicy::VolatileLru
            | MaxmemoryPolicy::AllkeysLrm
            | MaxmemoryPolicy::VolatileLrm => Keep::Idle(clock),
            MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu => Keep::Frequency(clock),
            _ => Keep::Nothing,
        }
    }

    /// What a dump file says before the first key.
    pub(super) fn write_facts(
        &mut self,
        host: &mut dyn Host,
        writer: &mut FileWriter,
        is_base: bool,
        functions: bool,
    ) {
        writer.aux("redis-ver", REDIS_VERSION);
        writer.aux("redis-bits", "64");
        writer.aux("ctime", &self.now.unix_s().to_string());
        writer.aux("used-mem", &self.used_memory(host).to_string());
        if let Some((id, offset, db)) = self.shown_history().filter(|_| !is_base) {
            writer.aux("repl-stream-db", &db.to_string());
            writer.aux("repl-id", &id);
            writer.aux("repl-offset", &offset.to_string());
        }
        writer.aux("aof-base", if is_base { "1" } else { "0" });
        if functions {
            self.scripts.libraries.iter().for_each(|library| writer.function(&library.code));
        }
    }

    /// All databases were emptied: where there are save points the dump file follows. Gives the number of a job that is done
    /// when an empty dump is there, or could not be saved; none where nobody can wait for it.
    pub fn save_flushed(&mut self, host: &mut dyn Host) -> Option<u64> {
        if self.conf.save.is_empty() || self.stands_at().is_some() {
            return None;
        }
        if self.durability.save.is_some() {
            self.durability.is_scheduled = true;
        } else {
            self.begin_save(host, Why::Flush);
        }
        // There is nothing left that a save would have to keep.
        self.durability.changes_at_save = self.propagation.changes();
        // That of an earlier flush is as empty; that of a SAVE is not, and another one follows it.
        let can_wait = self.durability.saving() == Some(Why::Flush) && !self.is_nested();
        can_wait.then(|| self.wait_for_save())
    }

    /// A number of a job that is done when the save is; the client that waits for it gets OK or the error.
    pub fn wait_for_save(&mut self) -> u64 {
        let job = self.jobs.number(0);
        match &mut self.durability.save {
            Some(save) if save.rewrite.is_none() && save.why != Why::Replicas => save.waiters.push(job),
            _ => self.durability.waiting_for_save.push(job),
        }
        job
    }

    pub(super) fn save_job(&mut self, job: FileJob) -> u64 {
        let number = self.file_job(job);
        self.jobs.then(number, Engine::save_went_on);
        number
    }

    /// Walks on. True when there is more to do at once.
    pub(super) fn save_some(&mut self, host: &mut dyn Host) -> bool {
        let Some(mut save) = self.durability.save.take() else { return false };
        let more = self.walk_some(host, &mut save);
        if let Some(error) = self.why_give_up(save.writer.dump()) {
            self.end_save(host, *save, Err(error));
            return false;
        }
        self.durability.save = Some(save);
        more
    }

    fn walk_some(&mut self, host: &mut dyn Host, save: &mut Save) -> bool {
        if save.stage != Stage::Walking || save.is_delayed || self.are_replicas_full(&save.target) {
            return false;
        }
        let begin = host.ticks();
        let us = match save.why {
            Why::Shutdown => SAVE_US_PER_TURN,
            _ if self.stats.turn_commands > 0 => SAVE_US_PER_BUSY_TURN,
            _ => SAVE_US_PER_TURN,
        };
        let end = begin + us * self.ticker.per_ms / 1000;
        let mut more = true;
        while more && self.file_bytes_in_flight() < SAVED_BYTES_IN_FLIGHT {
            let before = save.writer.keys();
            save.kept_bytes = save.kept_bytes.max(self.dbs.kept_bytes());
            more = save.writer.step(&mut self.dbs);
            if save.writer.waiting_bytes() >= HANDED_OVER_BYTES {
                self.hand_over(save, false);
            }
            let is_over = host.ticks() > end;
            if self.delay(save, save.writer.keys() - before) || is_over {
                break;
            }
        }
        let spent = host.ticks().saturating_sub(begin);
        self.note_latency("snapshot-turn", spent);
        let spent_us = self.ticker.pace.ns(spent) / 1000;
        self.durability.turn_us_max = self.durability.turn_us_max.max(spent_us);
        if !more {
            self.collect_garbage();
            self.end_walk(save);
        }
        let is_held_up = save.is_delayed || self.file_bytes_in_flight() >= SAVED_BYTES_IN_FLIGHT;
        more && !is_held_up && !self.are_replicas_full(&save.target)
    }

    /// Waits as `rdb-key-save-delay` asks for so many keys. True when the walk has to wait.
    fn delay(&mut self, save: &mut Save, keys: u64) -> bool {
        // A negative delay is one microsecond for so many keys.
        let delay = i64::from(self.conf.rdb_key_save_delay_us);
        if delay == 0 {
            return false;
        }
        save.delay_us += if delay > 0 { keys * delay as u64 } else { keys / delay.unsigned_abs() };
        let ms = save.delay_us / 1000;
        if ms > 0 {
            save.delay_us %= 1000;
            save.is_delayed = true;
            self.timers.insert(self.now.mono_ms() + ms, Timer::SaveGoesOn);
        }
        ms > 0
    }

    /// The delay of `rdb-key-save-delay` is over.
    pub(in crate::engine) fn end_save_delay(&mut self) {
        if let Some(save) = &mut self.durability.save {
            save.is_delayed = false;
        }
    }

    /// Hands what was written to the thread of files.
    fn hand_over(&mut self, save: &mut Save, all: bool) {
        let pieces = save.writer.take_pieces(all);
        self.save_job(FileJob::Append(save.file, Block { pieces, checksum: None }));
    }

    /// Everything was walked: what is left of the file, and its sync.
    fn end_walk(&mut self, save: &mut Save) {
        save.writer.end();
        self.hand_over(save, true);
        if let Some(version) = save.writer.version() {
            self.seal_dump(save, version);
        }
        // What is only gathered has nothing to be made durable; the job tells that all before it is done.
        save.stage = Stage::Syncing(self.save_job(FileJob::Sync(save.file)));
    }

    /// The header and the checksum of a dump.
    fn seal_dump(&mut self, save: &mut Save, version: u16) {
        let first = if matches!(save.target, Target::File) { FIRST_VERSION } else { version };
        let (before, after) = (header(first), header(version));
        let checksum = match save.sums_up {
            true => Checksum::Running { began: before.to_vec(), begins: after.to_vec() },
            false => Checksum::Zero,
        };
        if before != after {
            self.file_job(FileJob::WriteAt { file: save.file, offset: 0, bytes: after.to_vec() });
        }
        self.save_job(FileJob::Append(save.file, Block { pieces: Vec::new(), checksum: Some(checksum) }));
    }

    /// A job of a save is done, or failed.
    fn save_went_on(&mut self, host: &mut dyn Host, job: u64, result: FileResult) {
        let Some(mut save) = self.durability.save.take() else { return };
        if job < save.first_job {
            self.durability.save = Some(save);
            return;
        }
        match result {
            Ok(done) => {
                save.written_bytes += done.bytes;
                if let Found::Pieces(pieces) = &done.found {
                    self.send_piece(&save.target, pieces);
                }
            }
            Err(error) => {
                self.end_save(host, *save, Err(error));
                return;
            }
        }
        match save.stage {
            Stage::Syncing(sync) if sync == job && save.rewrite.is_some() => {
                save.is_synced = true;
                self.durability.save = Some(save);
                self.place_when_open();
            }
            Stage::Placing(place) if place == job => self.base_was_placed(save),
            Stage::Syncing(sync) if sync == job && !matches!(save.target, Target::File) => {
                self.end_save(host, *save, Ok(()));
            }
            Stage::Syncing(sync) if sync == job => {
                let (folder, from, to) = (save.folder, save.temporary.clone(), save.name.clone());
                self.save_job(FileJob::Close(save.file));
                self.save_job(FileJob::Rename { folder, from, to });
                save.stage = Stage::Renaming(self.save_job(FileJob::SyncFolder(folder)));
                self.durability.save = Some(save);
            }
            Stage::Renaming(rename) if rename == job => self.end_save(host, *save, Ok(())),
            _ => self.durability.save = Some(save),
        }
    }

    /// A base that is durable gets its place, unless the thread of the log has not opened the increment yet which gets its name
    /// with it: it would make another one of the old name.
    pub(super) fn place_when_open(&mut self) {
        if self.durability.log.is_opening() {
            return;
        }
        let is_due = |save: &mut Box<Save>| save.is_synced && matches!(save.stage, Stage::Syncing(_));
        let Some(mut save) = self.durability.save.take_if(is_due) else { return };
        save.stage = Stage::Placing(self.place_base(&mut save));
        self.durability.save = Some(save);
    }

    /// The file is there, or will not come.
    fn end_save(&mut self, host: &mut dyn Host, save: Save, result: Result<(), DiskError>) {
        let is_ok = result.is_ok();
        if save.rewrite.is_some() {
            match &result {
                Ok(()) => drop(self.file_job(FileJob::CloseFolder(save.folder))),
                Err(error) => {
                    log::warn!("Write error writing append only file on disk: {}", error.text);
                    self.discard_save(&save);
                }
            }
            self.end_rewrite(&save, result.as_ref().copied());
            return;
        }
        if !matches!(save.target, Target::File) {
            self.end_save_to_replicas(&save, result.err());
            return;
        }
        self.durability.last_kept_bytes = save.kept_bytes;
        match &result {
            Ok(()) => {
                self.file_job(FileJob::CloseFolder(save.folder));
                log::info!("DB saved on disk");
                self.durability.last_save_unix_s = self.now.unix_s();
                self.durability.changes_at_save = save.changes;
                self.durability.version_written = save.writer.version().unwrap_or(0);
                // A save by hand shows that the disk is good again.
                self.durability.last_background_is_ok = true;
            }
            Err(error) => {
                log::warn!("Write error while saving DB to the disk({}): {}", error.op, error.text);
                self.discard_save(&save);
            }
        }
        if matches!(save.why, Why::Background | Why::Replicas) {
            let us = self.now.mono_us.saturating_sub(save.begun_mono_us);
            self.durability.last_background_s = Some(us / 1_000_000);
            self.durability.last_background_is_ok = is_ok;
            let failures = &mut self.durability.consecutive_failures;
            *failures = if is_ok { 0 } else { *failures + 1 };
            match is_ok {
                true => log::info!("Background saving terminated with success"),
                false => log::warn!("Background saving error"),
            }
        }
        self.note_disk_errors();
        if save.why == Why::Replicas {
            self.end_file_sync(is_ok);
        }
        if save.why == Why::Shutdown {
            self.last_save_ended(host, is_ok);
        }
        for job in save.waiters {
            let done = result.clone().map(|()| FileDone::default());
            self.completed(host, job, Done::File(done));
        }
        self.arm_save_points();
    }

    /// A dump was handed to its replicas, or failed.
    fn end_save_to_replicas(&mut self, save: &Save, error: Option<DiskError>) {
        let us = self.now.mono_us.saturating_sub(save.begun_mono_us);
        self.durability.last_background_s = Some(us / 1_000_000);
        if let Some(error) = &error {
            log::warn!("Error sending a dump to replicas({}): {}", error.op, error.text);
            self.discard_save(save);
        } else {
            self.file_job(FileJob::Close(save.file));
            self.file_job(FileJob::CloseFolder(save.folder));
        }
        self.end_straight_sync(&save.target, error.is_none());
    }

    /// Ends a dump for replicas before its end.
    pub(in crate::engine) fn cancel_sync(&mut self) {
        if let Some(save) = self.durability.save.take_if(|save| save.why == Why::Replicas) {
            self.discard_save(&save);
        }
    }

    /// Forgets what was walked, and removes what was written.
    pub(super) fn discard_save(&mut self, save: &Save) {
        self.dbs.cancel_snapshot();
        self.collect_garbage();
        self.file_job(FileJob::Close(save.file));
        if matches!(save.target, Target::File) {
            self.file_job(FileJob::Remove(save.folder, save.temporary.clone()));
        }
        self.file_job(FileJob::CloseFolder(save.folder));
    }

    /// Ends a save before its end, whoever wanted it; a client that waits is told that it failed.
    pub(in crate::engine) fn cancel_save(&mut self, host: &mut dyn Host) {
        self.give_sync_up();
        if self.cancel_background_save() || self.cancel_rewrite() {
            return;
        }
        let Some(save) = self.durability.save.take() else { return };
        self.discard_save(&save);
        for job in save.waiters {
            self.completed(host, job, Done::File(Err(DiskError::given_up(&save.name))));
        }
    }

    /// Ends the save of a shutdown before its end.
    pub(in crate::engine) fn cancel_last_save(&mut self) {
        if let Some(save) = self.durability.save.take_if(|save| save.why == Why::Shutdown) {
            self.discard_save(&save);
        }
    }

    /// Ends a save in the background before its end, as if its process had been told to go; false when there is none.
    pub fn cancel_background_save(&mut self) -> bool {
        let Some(save) = self.durability.save.take_if(|save| save.why == Why::Background) else {
            return false;
        };
        self.discard_save(&save);
        log::warn!("Background saving terminated by signal 10");
        true
    }
}
