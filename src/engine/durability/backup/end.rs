//! How a backup ends: by a client, by its age, by the disk, or with the server; and the log that was begun for it.

use super::super::super::disk::{DiskError, ErrorKind, FileJob, FileResult, LogJob, Options};
use super::super::super::timers::Timer;
use super::super::super::{Engine, Host};
use super::super::LogStage;
use super::{Backup, MARK, Removal, State, because, told};
use crate::persist::aof::manifest::{Form, Manifest, Names};
use std::mem;

/// The longest time for which a timer is armed, in seconds; then it is looked again.
const KEPT_S_MAX: u64 = 1 << 31;
/// Increments and bases that may be there although no manifest names them: one of each switch or rewrite that has failed, and
/// the last.
const FILES_AHEAD: i64 = 8;

impl Engine {
    /// The disk has failed, or what the backup was built on has ended: what there is of it is removed.
    pub(in super::super) fn fail_backup(&mut self, error: &DiskError) {
        if !self.durability.backup.is_in_progress() {
            return;
        }
        log::warn!("Backup failed: {}", told(error));
        let backup = &mut self.durability.backup;
        (backup.state, backup.error) = (State::Failed, told(error));
        (backup.work, backup.end_unix_s) = (None, 0);
        backup.pinned.clear();
        backup.sums.clear();
        backup.to_sum.clear();
        self.end_wait_for_backup(Err(error.clone()));
        self.end_log_of_backup();
        self.remove_backup(None);
    }

    /// The rewrite has failed whose base a backup waits for.
    pub(in super::super) fn fail_backup_without_base(&mut self, error: &DiskError) {
        if self.durability.backup.state == State::Snapshotting {
            self.fail_backup(error);
        }
    }

    /// Gives up the backup that is under way, as a client wants. Gives the number of a job that is done when its files are
    /// removed.
    pub fn abort_backup(&mut self) -> u64 {
        self.fail_backup(&because("aborted by user"));
        let job = self.jobs.number(0);
        self.remove_backup(Some(job));
        job
    }

    /// The server ends.
    pub(in crate::engine) fn abandon_backup(&mut self) {
        self.fail_backup(&because("the server ends"));
    }

    /// The dataset of a primary takes the place of this server's: what was backed up so far is of another history.
    pub(in crate::engine) fn fail_backup_for_sync(&mut self) {
        self.fail_backup(&because("a full sync with the primary replaces the dataset"));
    }

    /// Removes the files of a backup that is not under way. Gives the number of a job that is done when they are removed.
    pub fn clean_backup(&mut self) -> u64 {
        let job = self.jobs.number(0);
        self.durability.backup.forget();
        self.remove_backup(Some(job));
        job
    }

    /// Arms the timer of a backup that is sealed, where it is to be removed some time.
    pub(in crate::engine) fn arm_backup_ttl(&mut self) {
        let ttl_s = self.conf.backup_sealed_ttl_s;
        if self.durability.backup.state != State::Sealed || ttl_s == 0 {
            return;
        }
        let end_s = self.durability.backup.end_unix_s.saturating_add(ttl_s);
        let left_s = end_s.saturating_sub(self.now.unix_s()).min(KEPT_S_MAX);
        self.timers.insert(self.now.mono_ms() + left_s * 1000, Timer::BackupKept);
    }

    /// The timer of a sealed backup rings.
    pub(in crate::engine) fn look_at_backup_ttl(&mut self) {
        let backup = &self.durability.backup;
        let ttl_s = self.conf.backup_sealed_ttl_s;
        if backup.state != State::Sealed || ttl_s == 0 {
            return;
        }
        if self.now.unix_s() < backup.end_unix_s.saturating_add(ttl_s) {
            self.arm_backup_ttl();
            return;
        }
        log::info!("The sealed backup in {} has come to its age and is removed", backup.path);
        self.durability.backup.forget();
        self.remove_backup(None);
    }
}

impl Backup {
    /// There is none any more; what is under way for it goes on.
    fn forget(&mut self) {
        (self.state, self.error) = (State::Idle, String::new());
        (self.start_unix_s, self.end_unix_s) = (0, 0);
        self.pinned.clear();
    }
}

/// The removal of files.
impl Engine {
    /// Removes the manifest, and when that is gone for good the other files. `waiter` is done when all is.
    fn remove_backup(&mut self, waiter: Option<u64>) {
        let backup = &mut self.durability.backup;
        let is_begun = backup.removal.is_some();
        let removal = backup.removal.get_or_insert_default();
        removal.waiters.extend(waiter);
        removal.names.append(&mut backup.given);
        if !is_begun {
            let names = Names(&self.conf.appendfilename);
            let (name, temporary) = (names.manifest(), names.temporary_manifest());
            let first = vec![name.clone(), temporary.clone()];
            if self.durability.backup.is_doubtful {
                // A sync says nothing of what an earlier one could not do: the name has to go once more.
                self.remove_names(first, Some((temporary, name)));
            } else {
                self.remove_names(first, None);
            }
        }
    }

    /// Removes names; an empty file that is made under a first name takes the place of a second before.
    fn remove_names(&mut self, names: Vec<String>, empty: Option<(String, String)>) {
        let folder = self.next_folder();
        let path = self.durability.backup.path.clone();
        let mut jobs = Vec::new();
        if !names.is_empty() && self.durability.backup.is_ours {
            jobs.push(FileJob::OpenFolder(folder, path));
            if let Some((from, to)) = empty {
                let file = self.next_file();
                let (name, options) = (from.clone(), Options::default());
                jobs.push(FileJob::Create { file, folder, name, options });
                jobs.extend([FileJob::Close(file), FileJob::Rename { folder, from, to }]);
            }
            jobs.extend(names.into_iter().map(|name| FileJob::Remove(folder, name)));
            jobs.extend([FileJob::SyncFolder(folder), FileJob::CloseFolder(folder)]);
        }
        let numbers: Vec<u64> = jobs.into_iter().map(|job| self.file_job(job)).collect();
        let Some(&last) = numbers.last() else {
            self.end_removal();
            return;
        };
        numbers.iter().for_each(|&number| self.jobs.then(number, Engine::backup_was_removed));
        if let Some(removal) = &mut self.durability.backup.removal {
            removal.last = last;
        }
    }

    fn backup_was_removed(&mut self, _: &mut dyn Host, job: u64, result: FileResult) {
        let Some(removal) = &mut self.durability.backup.removal else { return };
        if let Err(error) = result
            && error.kind != ErrorKind::NotFound
        {
            removal.error.get_or_insert(error);
        }
        if job != removal.last {
            return;
        }
        // While its manifest is not gone for good it must not lack a file.
        if removal.error.is_some() {
            self.end_removal();
        } else {
            let names = mem::take(&mut removal.names);
            self.remove_names(names, None);
        }
    }

    fn end_removal(&mut self) {
        let backup = &mut self.durability.backup;
        let Some(Removal { waiters, error, names, .. }) = backup.removal.take() else { return };
        backup.is_ours &= error.is_some();
        let manifest = Names(&self.conf.appendfilename).manifest();
        backup.is_doubtful = error.is_some() && names.contains(&manifest);
        if let Some(error) = &error {
            log::warn!("The files of a backup could not be removed: {}", told(error));
            // Who asks again tries again.
            backup.given = names;
        }
        for job in waiters {
            let result = error.clone().map_or(Ok(()), Err);
            self.durability.backup.answers.push((job, result));
        }
        self.look_when_clear();
    }
}

/// The log that was begun for the backup alone.
impl Engine {
    /// Ends it, as soon as no other thread names its files.
    pub(in super::super) fn end_log_of_backup(&mut self) {
        if !self.durability.backup.owns_log {
            self.durability.backup.is_log_ending = false;
            return;
        }
        self.durability.backup.is_log_ending = self.durability.switch.is_some();
        if self.durability.backup.is_log_ending {
            return;
        }
        self.durability.backup.owns_log = false;
        let is_marked = mem::take(&mut self.durability.backup.is_marked);
        let names = log_names(Names(&self.conf.appendfilename), &self.durability.log.manifest);
        let file = self.durability.log.file();
        self.let_go_of_log();
        if is_marked {
            self.durability.log.forget_all();
            let backup = &mut self.durability.backup;
            (backup.log_waiter, backup.is_log_going) = (backup.waiter.take(), true);
            backup.names_of_log = names;
            // The thread of the log might make a file anew that it has not opened yet. To close one twice does no harm.
            match file.map(|file| self.log_job(LogJob::Close(file))) {
                Some(closed) => self.jobs.then(closed, |engine, _, _, _| engine.remove_log_of_backup()),
                None => self.remove_log_of_backup(),
            }
        }
    }

    /// Nothing is logged for a backup any more; the files stay where they are.
    pub(in super::super) fn let_go_of_log(&mut self) {
        match self.durability.log.stage() {
            LogStage::Off => {}
            LogStage::Beginning => {
                self.durability.rewrites.is_scheduled = false;
                self.cancel_rewrite();
                self.end_temporary_increment();
            }
            LogStage::On => {
                self.commit();
                if let Some(file) = self.durability.log.file() {
                    self.log_job(LogJob::Close(file));
                }
                self.durability.log.forget();
            }
        }
        self.durability.log.set_stage(LogStage::Off);
        self.note_followers();
        self.update_gate();
        self.answer_waiting();
        self.note_disk_errors();
    }

    /// Removes its files, the manifest first, then the mark. Who waits for the backup waits for that as well.
    fn remove_log_of_backup(&mut self) {
        let folder = self.next_folder();
        let first = Names(&self.conf.appendfilename).manifest();
        let backup = &mut self.durability.backup;
        let others = mem::take(&mut backup.names_of_log);
        backup.is_log_left = false;
        self.file_job(FileJob::OpenFolder(folder, self.log_path()));
        let mut jobs = vec![FileJob::Remove(folder, first), FileJob::SyncFolder(folder)];
        jobs.extend(others.into_iter().map(|name| FileJob::Remove(folder, name)));
        jobs.push(FileJob::SyncFolder(folder));
        let mut last = 0;
        for job in jobs {
            last = self.file_job(job);
            self.jobs.then(last, Engine::log_was_removed);
        }
        self.durability.backup.last_of_log = last;
        self.file_job(FileJob::CloseFolder(folder));
    }

    fn log_was_removed(&mut self, _: &mut dyn Host, job: u64, result: FileResult) {
        let backup = &mut self.durability.backup;
        backup.is_log_left |= result.is_err_and(|error| error.kind != ErrorKind::NotFound);
        if job == backup.last_of_log {
            self.remove_mark();
        }
    }

    /// The log that was begun for the backup is removed: the mark goes. It stays where the log does.
    fn remove_mark(&mut self) {
        if self.durability.backup.is_log_left {
            log::warn!("The log that was written for a backup alone could not be removed");
            self.end_wait_for_log();
            return;
        }
        let folder = self.next_folder();
        let path = self.durability.backup.path.clone();
        self.file_job(FileJob::OpenFolder(folder, path));
        self.file_job(FileJob::Remove(folder, MARK.to_owned()));
        let last = self.file_job(FileJob::SyncFolder(folder));
        self.jobs.then(last, |engine, _, _, _| engine.end_wait_for_log());
        self.file_job(FileJob::CloseFolder(folder));
    }

    fn end_wait_for_log(&mut self) {
        let backup = &mut self.durability.backup;
        backup.is_log_going = false;
        if let Some(job) = backup.log_waiter.take() {
            backup.answers.push((job, Ok(())));
        }
        self.look_when_clear();
    }

    /// `appendonly yes`: the log stays when the backup ends. Whoever asked is answered when the mark is gone for good.
    pub(in super::super) fn keep_log_of_backup(&mut self) {
        let backup = &mut self.durability.backup;
        (backup.owns_log, backup.is_log_ending) = (false, false);
        self.update_gate();
        if !mem::take(&mut self.durability.backup.is_marked) {
            return;
        }
        self.begin_configuring();
        let folder = self.next_folder();
        let path = self.durability.backup.path.clone();
        self.file_job(FileJob::OpenFolder(folder, path));
        self.file_job(FileJob::Remove(folder, MARK.to_owned()));
        let synced = self.file_job(FileJob::SyncFolder(folder));
        self.jobs.then(synced, |engine, host, _, result| {
            if let Err(error) = result {
                log::warn!("The mark of a temporary log could not be removed: {}", told(&error));
            }
            engine.end_configuring(host);
        });
        self.file_job(FileJob::CloseFolder(folder));
    }
}

/// The names that the files of a log can have which was begun where there was none, but for its manifest.
pub(super) fn log_names(names: Names<'_>, manifest: &Manifest) -> Vec<String> {
    let named = manifest.needed().chain(manifest.history()).map(super::text_of);
    let newest = manifest.increments().last().map_or(0, |file| file.seq);
    let increments = (1..=newest + FILES_AHEAD).map(|seq| names.increment(seq));
    let temporary = [names.temporary_manifest(), names.temporary_increment()];
    let newest_base = manifest.last_base_seq();
    let bases = (1..=newest_base + FILES_AHEAD)
        .flat_map(|seq| [Form::Dump, Form::Commands].map(|form| names.base(seq, form)));
    let mut all: Vec<String> = named.chain(bases).chain(increments).chain(temporary).collect();
    all.sort();
    all.dedup();
    all
}
