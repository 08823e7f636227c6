//! The rewrite of the append-only log: a new base holds all that was before, and the increments before it go.
//!
//! ```text
//! begin     the log goes on in a new increment; the walk begins at the same moment
//! walk      to temp-rewriteaof-bg-PID.aof
//! end       sync, then into the folder as the next base, sync of the folder,
//!           then the manifest with the new base; what it replaces is history
//! history   is removed, and the manifest without it is written
//! ```
//!
//! A server that begins to log has no increment yet: it writes to a temporary one, which gets its name with the first base.
//!
//! A replica that has received a dump by way of a file has its base already: nothing is walked then, the file gets another name.

use super::super::disk::{DiskError, FileJob, FileResult, LogJob, Options};
use super::super::timers::Timer;
use super::super::{Engine, Host};
use super::backup;
use super::log::Stage as LogStage;
use super::save::{Save, Stage};
use crate::base::crc::crc64;
use crate::config::AppendFsync;
use crate::persist::aof::manifest::{Form, Manifest, Names};
use crate::persist::rdb::file::write::{FileWriter, checksum, header};
use crate::persist::{aof, rdb};

/// So many rewrites may fail one after the other before the next has to wait. Redis: `AOF_REWRITE_LIMITE_THRESHOLD`.
const FAILURES_UNLIMITED: u64 = 3;
/// A rewrite that has to be, since there is no base or a sync has failed, is tried again after so long.
const RETRY_MS: u64 = 1000;
/// The longest wait, in minutes. Redis: `AOF_REWRITE_LIMITE_MAX_MINUTES`.
const LIMIT_MINUTES_MAX: u64 = 60;

/// What is known of rewrites.
#[derive(Debug)]
pub struct Rewrites {
    /// Rewrites that were begun.
    pub begun: u64,
    /// Whether the last came to its end.
    pub last_is_ok: bool,
    /// Seconds that it took; none before the first.
    pub last_s: Option<u64>,
    /// Those that failed since the last that did not.
    pub failures: u64,
    /// Bytes of old values that the last held.
    pub last_kept_bytes: usize,
    /// One is to be begun as soon as may be.
    pub is_scheduled: bool,
    /// What is scheduled is not begun before this monotonic millisecond.
    not_before_ms: u64,
    /// Where the log has grown: not before this monotonic millisecond.
    limited_until_ms: u64,
    /// Minutes that the next limit lasts.
    limit_minutes: u64,
}

impl Default for Rewrites {
    fn default() -> Rewrites {
        Rewrites {
            begun: 0,
            last_is_ok: true,
            last_s: None,
            failures: 0,
            last_kept_bytes: 0,
            is_scheduled: false,
            not_before_ms: 0,
            limited_until_ms: 0,
            limit_minutes: 1,
        }
    }
}

/// A dump file in the folder of the server.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Dump {
    pub name: String,
    pub bytes: u64,
}

/// What a rewrite knows besides its walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rewrite {
    /// The increments from this number on are not in the base.
    since: i64,
    pub(super) form: Form,
    /// The base is the dump of the primary.
    is_received: bool,
    /// The job that put the base in its place is done.
    is_placed: bool,
}

impl Engine {
    /// Whether the log is being rewritten.
    pub fn is_rewriting(&self) -> bool {
        self.durability.save.as_ref().is_some_and(|save| save.rewrite.is_some())
    }

    /// Whether the log is being rewritten, or what a rewrite has left behind is not done: its manifest, or the end of its increment.
    pub fn is_rewrite_in_progress(&self) -> bool {
        let durability = &self.durability;
        self.is_rewriting() || durability.forgetting || durability.leaving || durability.switch.is_some()
    }

    /// Begins to rewrite the log. Nothing of [`Durability::saving`](super::Durability::saving) and
    /// [`Engine::is_rewrite_in_progress`] must be under way.
    pub fn begin_rewrite(&mut self, host: &mut dyn Host) {
        self.begin_rewrite_with(host, None);
    }

    /// As [`Engine::begin_rewrite`]; the dump holds what is in memory, and becomes the base where it can.
    fn begin_rewrite_with(&mut self, host: &mut dyn Host, dump: Option<Dump>) {
        self.durability.rewrites.is_scheduled = false;
        self.durability.backup.note_rewrite();
        if self.stands_at().is_some() && self.conf.appendonly && self.durability.log.stage() == LogStage::Off
        {
            self.durability.log.set_stage(LogStage::Beginning);
            self.note_followers();
        }
        // A base holds what could not be written, too: the file is not needed any more.
        self.seal_broken_log();
        let since = match self.durability.log.stage() {
            LogStage::On if self.durability.log.is_sealed() => {
                self.commit();
                self.durability.log.forget_unwritten();
                None
            }
            LogStage::On => self.switch_log(),
            LogStage::Off => None,
            LogStage::Beginning => {
                self.begin_temporary_increment(host);
                None
            }
        };
        let form = self.base_form();
        let is_fit = form == Form::Dump && self.durability.log.stage() == LogStage::Beginning;
        let dump = dump.filter(|_| is_fit);
        let is_received = dump.is_some();
        let rewrite = Rewrite { since: since.unwrap_or(i64::MAX), form, is_received, is_placed: false };
        if let Some(dump) = dump {
            self.take_as_base(rewrite, dump);
            return;
        }
        self.durability.rewrites.begun += 1;
        self.begin_base(host, rewrite);
        log::info!("Background append only file rewriting started by pid {}", self.process.names.pid);
    }

    /// Writes to a temporary increment until there is a base.
    fn begin_temporary_increment(&mut self, host: &mut dyn Host) {
        let name = Names(&self.conf.appendfilename).temporary_increment();
        log::info!("Creating AOF incr file {name} on background rewrite");
        let file = self.next_file();
        let new = name.clone();
        let made = self.make_log_folder(host).and_then(|_| {
            self.at_log_folder(host, |_, folder| {
                let create = FileJob::Create { file, folder, name: new, options: Options::default() };
                // One of this name may be left of a log that did not begin: its bytes must not come back.
                vec![create, FileJob::Sync(file), FileJob::Close(file)]
            })
        });
        if let Err(error) = made {
            log::warn!("Can't open the append-only file {}: {}", error.name, error.text);
        }
        self.commit();
        self.open_log(name);
    }

    /// The facts and functions with which a base of commands begins.
    pub(super) fn command_writer(&self) -> aof::rewrite::CommandWriter {
        let mut writer = aof::rewrite::CommandWriter::default();
        if self.conf.aof_integrity_check {
            writer.add_integrity_lines();
        }
        if self.conf.aof_timestamp_enabled {
            writer.time(self.now.unix_s() as i64);
        }
        self.scripts.libraries.iter().for_each(|library| writer.function(&library.code));
        writer
    }

    /// A base without a key.
    pub(super) fn empty_base(&mut self, host: &mut dyn Host, form: Form) -> Vec<u8> {
        if form == Form::Commands {
            return self.command_writer().take_parts(true).concat();
        }
        let mut writer =
            FileWriter::new(rdb::Options { compress: self.conf.rdbcompression }, self.kept_access());
        self.write_facts(host, &mut writer, true, true);
        writer.end();
        let header = header(writer.version());
        let mut body = Vec::new();
        writer
            .take_parts(true)
            .into_iter()
            .for_each(|part| part.finish(|bytes| body.extend_from_slice(&bytes)));
        let crc = match self.conf.rdbchecksum {
            true => checksum(&header, crc64(0, &body), body.len() as u64),
            false => 0,
        };
        [&header[..], &body, &crc.to_le_bytes()].concat()
    }

    /// The base is durable under its temporary name: it goes where it belongs.
    pub(super) fn place_base(&mut self, save: &mut Save) -> u64 {
        let conf_name = self.conf.appendfilename.clone();
        let names = Names(&conf_name);
        let rewrite = save.rewrite.expect("only a rewrite has a base");
        let name = self.durability.log.manifest.next_base(names, rewrite.form);
        let to = self.next_folder();
        self.save_job(FileJob::Close(save.file));
        // A server that does not log may have none.
        self.save_job(FileJob::MakeFolder(save.folder, self.conf.appenddirname.clone()));
        self.save_job(FileJob::SyncFolder(save.folder));
        self.save_job(FileJob::OpenFolder(to, self.log_path()));
        self.save_job(FileJob::Move {
            from: save.folder,
            to,
            name: save.temporary.clone(),
            new_name: name.clone(),
        });
        log::info!("Successfully renamed the temporary AOF base file {} into {name}", save.temporary);
        if self.durability.log.stage() == LogStage::Beginning {
            let mut manifest = self.durability.log.manifest.clone();
            let new = manifest.open_increment(names, 0);
            let new_name = String::from_utf8_lossy(&new.name).into_owned();
            let temporary = names.temporary_increment();
            log::info!("Successfully renamed the temporary AOF incr file {temporary} into {new_name}");
            self.save_job(FileJob::Rename { folder: to, from: temporary, to: new_name });
        } else if self.durability.log.is_sealed() {
            let mut manifest = self.durability.log.manifest.clone();
            let name = String::from_utf8_lossy(&manifest.open_increment(names, 0).name).into_owned();
            let file = self.next_file();
            log::info!("Creating AOF incr file {name} on background rewrite");
            self.save_job(FileJob::Create { file, folder: to, name, options: Options::default() });
            self.save_job(FileJob::Sync(file));
            self.save_job(FileJob::Close(file));
        }
        let placed = self.save_job(FileJob::SyncFolder(to));
        self.save_job(FileJob::CloseFolder(to));
        placed
    }

    /// The base is in its place, or the log goes on in its new increment: when both is so the manifest follows.
    pub(super) fn rewrite_went_on(&mut self) {
        let Some(mut save) = self.durability.save.take() else { return };
        if let (Some(rewrite), None) = (save.rewrite, &self.durability.switch)
            && rewrite.is_placed
            && !matches!(save.stage, Stage::Renaming(_))
        {
            let manifest = self.rewritten_manifest(&rewrite);
            let folder = self.next_folder();
            self.save_job(FileJob::OpenFolder(folder, self.log_path()));
            let replace = self.manifest_in(folder, &manifest);
            save.stage = Stage::Renaming(self.save_job(FileJob::Replace(replace)));
            self.save_job(FileJob::CloseFolder(folder));
        }
        self.durability.save = Some(save);
    }

    /// Whether a base, and with the first one its increment, is getting the name that the manifest will have.
    pub(super) fn is_base_being_placed(&self) -> bool {
        self.durability.save.as_ref().is_some_and(|save| save.has_place())
    }

    /// A rewrite has not come to its end. Where its files have got their names the manifest on the disk may have them, now or after
    /// a crash: no other files must ever get these names.
    fn leave_names(&mut self, save: &Save) {
        if save.has_place() {
            self.durability.log.manifest.skip_base();
            self.durability.log.manifest.skip_increment();
        }
    }

    pub(super) fn base_was_placed(&mut self, mut save: Box<Save>) {
        if let Some(rewrite) = &mut save.rewrite {
            rewrite.is_placed = true;
        }
        save.stage = Stage::Placed;
        self.durability.save = Some(save);
        self.rewrite_went_on();
    }

    /// The manifest as it is after a rewrite.
    fn rewritten_manifest(&self, rewrite: &Rewrite) -> Manifest {
        let names = Names(&self.conf.appendfilename);
        let mut manifest = self.durability.log.manifest.clone();
        manifest.finish_rewrite(names, rewrite.form, rewrite.since);
        if self.durability.log.stage() == LogStage::Beginning || self.durability.log.is_sealed() {
            manifest.open_increment(names, self.replication.offset() as i64);
        }
        manifest
    }

    /// A rewrite has come to its end, or failed.
    pub(super) fn end_rewrite(&mut self, save: &Save, result: Result<(), &DiskError>) {
        let Some(rewrite) = save.rewrite else { return };
        let is_ok = result.is_ok();
        let us = self.now.mono_us.saturating_sub(save.begun_mono_us);
        let rewrites = &mut self.durability.rewrites;
        rewrites.last_kept_bytes = save.kept_bytes;
        rewrites.last_s = Some(us / 1_000_000);
        rewrites.last_is_ok = is_ok;
        if is_ok {
            match rewrite.is_received {
                true => log::info!("Reused RDB file from primary sync as AOF base file"),
                false => log::info!("Background AOF rewrite terminated with success"),
            }
            (rewrites.failures, rewrites.limited_until_ms, rewrites.limit_minutes) = (0, 0, 1);
            let manifest = self.rewritten_manifest(&rewrite);
            if self.durability.log.stage() == LogStage::Beginning {
                self.log_has_begun(&manifest);
            }
            let last = manifest.increments().last().map(|file| file.name.clone()).unwrap_or_default();
            self.durability.log.rewritten(manifest, save.written_bytes);
            if self.durability.log.is_sealed() {
                self.unseal_log(String::from_utf8_lossy(&last).into_owned());
            }
            self.leave_moment();
            self.remove_history();
            log::info!("Background AOF rewrite finished successfully");
            self.pin_base();
        } else {
            log::warn!("Background AOF rewrite terminated with error");
            rewrites.failures += 1;
            self.leave_names(save);
            if let Err(error) = result {
                self.fail_backup_without_base(error);
            }
            if self.durability.log.stage() == LogStage::Beginning {
                self.end_temporary_increment();
                self.try_rewrite_again();
            }
            if self.durability.log.is_sealed() {
                self.durability.log.manifest.skip_increment();
                self.try_rewrite_again();
            }
        }
    }

    /// A rewrite that has to be has failed: the next begins a while later.
    fn try_rewrite_again(&mut self) {
        let at_ms = self.now.mono_ms() + RETRY_MS;
        self.durability.rewrites.is_scheduled = true;
        self.durability.rewrites.not_before_ms = at_ms;
        self.timers.insert(at_ms, Timer::LogGrown);
    }

    /// What was written to the temporary increment counts for nothing.
    pub(super) fn end_temporary_increment(&mut self) {
        self.commit();
        if let Some(file) = self.durability.log.file() {
            // The next one has the same name: it must not be made before this one is gone, or it would have bytes of both.
            let closed = self.log_job(LogJob::Close(file));
            self.jobs.then(closed, |engine, _, _, _| engine.remove_temporary_increment());
            self.durability.leaving = true;
        }
        self.durability.log.forget();
    }

    fn remove_temporary_increment(&mut self) {
        let name = Names(&self.conf.appendfilename).temporary_increment();
        log::info!("Removing the temp incr aof file {name} in the background");
        let folder = self.next_folder();
        self.file_job(FileJob::OpenFolder(folder, self.log_path()));
        let removed = self.file_job(FileJob::Remove(folder, name));
        self.jobs.then(removed, |engine, _, _, _| engine.durability.leaving = false);
        self.file_job(FileJob::CloseFolder(folder));
    }

    /// The switch of a rewrite has failed: the rewrite does too.
    pub(super) fn fail_rewrite(&mut self, error: &DiskError) {
        if let Some(save) = self.durability.save.take_if(|save| save.rewrite.is_some()) {
            self.discard_save(&save);
            self.end_rewrite(&save, Err(error));
        }
    }

    /// Ends a rewrite before its end; false when there is none.
    pub fn cancel_rewrite(&mut self) -> bool {
        let Some(save) = self.durability.save.take_if(|save| save.rewrite.is_some()) else { return false };
        log::info!("Killing running AOF rewrite child: {}", self.process.names.pid);
        self.leave_names(&save);
        self.discard_save(&save);
        if self.durability.log.stage() == LogStage::Beginning {
            self.end_temporary_increment();
        }
        self.fail_backup_without_base(&backup::because("the rewrite was ended"));
        true
    }

    /// Removes what a rewrite has made superfluous, then lets the manifest forget it.
    pub(in crate::engine) fn remove_history(&mut self) {
        if self.conf.aof_disable_auto_gc || self.durability.log.manifest.history().is_empty() {
            return;
        }
        let mut manifest = self.durability.log.manifest.clone();
        let folder = self.next_folder();
        self.file_job(FileJob::OpenFolder(folder, self.log_path()));
        for file in self.durability.log.manifest.history().to_vec() {
            let name = String::from_utf8_lossy(&file.name).into_owned();
            log::info!("Removing the history file {name} in the background");
            self.file_job(FileJob::Remove(folder, name));
        }
        manifest.forget_history();
        let replace = self.manifest_in(folder, &manifest);
        let job = self.file_job(FileJob::Replace(replace));
        self.jobs.then(job, |engine, host, _, result: FileResult| {
            if let Err(error) = result {
                log::warn!("Fail to persist the AOF manifest: {}", error.text);
            }
            engine.durability.forgetting = false;
            engine.answer_waiting();
            engine.end_configuring(host);
        });
        self.durability.forgetting = true;
        self.file_job(FileJob::CloseFolder(folder));
        self.durability.log.manifest = manifest;
    }

    /// `aof-disable-auto-gc` was changed.
    pub(in crate::engine) fn remove_history_as_configured(&mut self) {
        if !self.conf.aof_disable_auto_gc && !self.durability.log.manifest.history().is_empty() {
            self.begin_configuring();
        }
        self.remove_history();
    }

    /// Whether rewrites that were not asked for have to wait because too many have failed. Redis: `aofRewriteLimited`.
    fn is_rewrite_limited(&mut self) -> bool {
        let now_ms = self.now.mono_ms();
        let rewrites = &mut self.durability.rewrites;
        if rewrites.failures < FAILURES_UNLIMITED {
            return false;
        }
        if rewrites.limited_until_ms == 0 {
            let minutes = rewrites.limit_minutes;
            rewrites.limited_until_ms = now_ms + minutes * 60_000;
            rewrites.limit_minutes = (minutes * 2).min(LIMIT_MINUTES_MAX);
            log::warn!(
                "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in {minutes} minutes"
            );
            self.timers.insert(rewrites.limited_until_ms, Timer::LogGrown);
            return true;
        }
        if now_ms < rewrites.limited_until_ms {
            return true;
        }
        rewrites.limited_until_ms = 0;
        false
    }

    /// Begins a rewrite where the log has grown as much as the configuration wants.
    pub(in crate::engine) fn rewrite_if_grown(&mut self) {
        let log = &self.durability.log;
        let percentage = u64::from(self.conf.auto_aof_rewrite_percentage);
        let (bytes, base) = (log.bytes(), log.base_bytes().max(1));
        if percentage == 0
            || bytes <= self.conf.auto_aof_rewrite_min_size_bytes
            || (bytes * 100 / base).saturating_sub(100) < percentage
            || log.stage() != LogStage::On
            || self.durability.backup.owns_log()
            || self.durability.save.is_some()
            || self.durability.rewrites.is_scheduled
            || self.is_rewrite_limited()
        {
            return;
        }
        log::info!("Starting automatic rewriting of AOF on {}% growth", bytes * 100 / base - 100);
        self.durability.rewrites.is_scheduled = true;
    }

    /// Begins a rewrite that was scheduled, if it may begin now.
    pub(super) fn rewrite_as_scheduled(&mut self, host: &mut dyn Host) {
        // A manifest that is written meanwhile must not take the place of another.
        let is_free = self.durability.save.is_none() && !self.is_rewrite_in_progress();
        let is_early = self.durability.rewrites.not_before_ms > self.now.mono_ms();
        if is_early {
            return;
        }
        let is_sealed = self.durability.log.is_sealed();
        if self.durability.backup.holds_rewrites() && !is_sealed {
            return;
        }
        let is_limited = !is_sealed && self.is_rewrite_limited();
        if is_free && !self.durability.is_loading() && !self.is_shutting_down() && !is_limited {
            self.begin_rewrite(host);
        }
    }

    /// BGREWRITEAOF while something else is under way, or within EXEC.
    pub fn schedule_rewrite(&mut self) {
        self.durability.rewrites.is_scheduled = true;
    }
}

/// `appendonly` while the server runs.
impl Engine {
    /// Takes over `appendonly`.
    pub(in crate::engine) fn configure_log(&mut self, host: &mut dyn Host) {
        self.configure_log_with(host, None);
    }

    /// As [`Engine::configure_log`]; the dump holds what is in memory, where there is one.
    pub(in crate::engine) fn configure_log_with(&mut self, host: &mut dyn Host, dump: Option<Dump>) {
        if self.durability.is_loading() {
            // It is looked at again when that is over.
            return;
        }
        match (self.conf.appendonly, self.durability.log.stage()) {
            (true, LogStage::Off) => self.begin_to_log(host, dump),
            (true, _) if self.durability.backup.owns_log() => self.keep_log_of_backup(),
            (false, LogStage::Beginning | LogStage::On) if !self.durability.backup.owns_log() => {
                self.fail_backup(&backup::because("appendonly is stopped"));
                self.end_log();
            }
            _ => {}
        }
    }

    /// Takes over `appendfsync`.
    pub(in crate::engine) fn configure_log_sync(&mut self) {
        self.update_gate();
        self.arm_log_sync();
        self.arm_late_log();
        if self.conf.appendfsync == AppendFsync::Always {
            self.sync_log();
        }
    }

    /// The dataset is going to be another one: what was logged ends, and `configure_log` begins anew.
    pub(in crate::engine) fn stop_log_for_sync(&mut self, _: &mut dyn Host) {
        if self.durability.backup.owns_log() {
            // Its files are removed as soon as the switch is done that is under way.
            self.let_go_of_log();
        } else if self.durability.log.stage() != LogStage::Off {
            self.end_log();
        }
    }

    fn begin_to_log(&mut self, host: &mut dyn Host, dump: Option<Dump>) {
        if self.durability.backup.owns_log() {
            // What was logged for a backup has ended; this log takes its place.
            self.keep_log_of_backup();
        }
        self.commit();
        self.durability.log.set_stage(LogStage::Beginning);
        self.note_followers();
        if self.is_nested() {
            self.durability.rewrites.is_scheduled = true;
            log::info!(
                "AOF was enabled during a transaction. An AOF background was scheduled to start when possible."
            );
            return;
        }
        if self.durability.save.as_ref().is_some_and(|save| save.rewrite.is_none()) {
            self.durability.rewrites.is_scheduled = true;
            log::info!(
                "AOF was enabled but there is already another background operation. An AOF background was scheduled to start \
                 when possible."
            );
            return;
        }
        if self.is_rewriting() {
            log::info!(
                "AOF was enabled but there is already an AOF rewriting in background. Stopping background AOF and starting a \
                 rewrite now."
            );
            self.cancel_rewrite();
        }
        if self.durability.leaving {
            self.durability.rewrites.is_scheduled = true;
            return;
        }
        self.begin_rewrite_with(host, dump);
    }

    /// Nothing is logged any more; what was is made durable.
    fn end_log(&mut self) {
        self.commit();
        self.hand_over_buffer();
        self.durability.rewrites.is_scheduled = false;
        if self.durability.log.stage() == LogStage::Beginning {
            self.cancel_rewrite();
            self.end_temporary_increment();
        } else {
            if self.durability.log.file().is_some() {
                self.begin_configuring();
                self.durability.ending = self.close_log();
            } else {
                // It was left because the disk failed: nothing of it is to be closed.
                self.durability.log.forget();
            }
            self.cancel_rewrite();
        }
        self.durability.rewrites.is_scheduled = false;
        self.durability.log.set_stage(LogStage::Off);
        self.note_followers();
        self.update_gate();
        self.answer_waiting();
        self.note_disk_errors();
    }
}
