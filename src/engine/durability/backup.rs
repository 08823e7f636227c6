//! A backup: a base and what came after it, in a folder of their own, from which a copy is made while the server goes on.
//!
//! ```text
//! begin     the folder is there, and empty; the log is rewritten, or a rewrite that is under way will do
//! pin       the new base gets a name in the folder
//! seal      the log goes on in another increment; those before it are durable and get names in the folder;
//!           the checksums of all files, then the manifest, which is what makes it a backup
//! ```
//!
//! * From the base on nothing is rewritten until the seal, so that the base and the increments belong together.
//! * Names are hard links: nothing is copied, and what the log removes stays in the folder.
//! * A server that does not log begins to, for the backup alone, and ends with it. A mark in the folder says so where there was
//!   no log before, so that the next server removes what one that was killed has left of it.
//! * What is removed loses its manifest first: a folder with a manifest is whole, whenever the power fails.
//! * A disk that fails ends the backup, and nothing else.

mod end;
mod found;

use super::super::disk::{
    DiskError, ErrorKind, FileDone, FileId, FileJob, FileResult, Found, Options, Replace,
};
use super::super::{Done, Engine, Host};
use super::LogStage;
use crate::persist::aof::manifest::{File, Manifest, Names};
use crate::persist::aof::seal::{Seal, Sum};
use std::collections::VecDeque;
use std::mem;

/// Says that the log beside it is that of the backup alone.
const MARK: &str = "temporary-log";
/// Bytes whose checksum is made in one job.
const SUMMED_BYTES: usize = 1 << 20;

/// How far a backup is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// There is none.
    #[default]
    Idle,
    /// Its folder is looked at.
    Preparing,
    /// It waits for a rewrite to begin.
    Pending,
    /// Its base is being written.
    Snapshotting,
    /// The base gets its name in the folder.
    Pinning,
    /// Changes are logged after the base.
    Incrementing,
    /// It is to be sealed, or is being sealed.
    Sealing,
    /// It is whole.
    Sealed,
    /// It was given up.
    Failed,
}

/// What is known of backups. There is one at a time.
#[derive(Debug, Default)]
pub struct Backup {
    state: State,
    /// Why it failed; empty otherwise.
    pub error: String,
    /// Unix seconds at which it was begun; 0 without one.
    pub start_unix_s: u64,
    /// Unix seconds at which it was sealed; 0 before.
    pub end_unix_s: u64,
    /// Path of its folder.
    path: String,
    /// The folder was empty, or has a backup of ours: what is in it may be removed.
    is_ours: bool,
    /// A removal of its manifest has failed, which may come back with the next start; or one was found that cannot be used.
    is_doubtful: bool,
    /// Names in the folder that are there for good.
    pinned: Vec<String>,
    /// Names in the folder that may be there.
    given: Vec<String>,
    /// The files, as its manifest will name them.
    manifest: Manifest,
    sums: Vec<Sum>,
    /// Files whose checksum is to come.
    to_sum: VecDeque<String>,
    /// The file whose checksum is being made.
    summed: Option<FileId>,
    /// The changes are logged for it alone.
    owns_log: bool,
    /// There was no log before.
    is_marked: bool,
    /// The log is to end as soon as it has gone on in its other increment.
    is_log_ending: bool,
    /// What is under way on the thread of files.
    work: Option<Work>,
    /// Its files are being removed.
    removal: Option<Removal>,
    /// The job by the number of which a client waits.
    waiter: Option<u64>,
    /// The job by the number of which a client waits for the end of the log that was begun for the backup.
    log_waiter: Option<u64>,
    /// That log is being removed.
    is_log_going: bool,
    /// The job that is the last of that.
    last_of_log: u64,
    /// The names that its files may have.
    names_of_log: Vec<String>,
    /// That log could not be removed.
    is_log_left: bool,
    /// What clients are to be told, by the numbers of the jobs that they wait for.
    answers: Vec<(u64, Result<(), DiskError>)>,
}

/// Jobs of a backup.
#[derive(Debug)]
struct Work {
    first: u64,
    last: u64,
    found: Found,
    bytes: u64,
    error: Option<DiskError>,
    next: Next,
}

/// What follows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// It is looked whether the folder is empty.
    Look,
    /// The rewrite.
    Begin,
    /// Changes are logged after the base.
    Increments,
    /// The checksums.
    Sums,
    /// The next piece of one.
    Summed,
    /// It is sealed.
    Sealed,
}

/// Files that are being removed.
#[derive(Debug, Default)]
struct Removal {
    /// The last job.
    last: u64,
    /// Names that are still to be removed.
    names: Vec<String>,
    /// The jobs by the numbers of which clients wait.
    waiters: Vec<u64>,
    /// The first error.
    error: Option<DiskError>,
}

/// A reason that is none of the disk's.
pub(super) fn because(text: &str) -> DiskError {
    DiskError { text: text.to_owned(), kind: ErrorKind::GivenUp, ..DiskError::given_up("") }
}

/// An error in one line.
fn told(error: &DiskError) -> String {
    match error.kind {
        ErrorKind::GivenUp => error.text.clone(),
        _ => format!("{} {}: {}", error.op, error.name, error.text).replace(" :", ":"),
    }
}

impl Backup {
    /// How far it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// The name of that.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::Idle => "idle",
            State::Preparing | State::Pending => "pending",
            State::Snapshotting | State::Pinning => "snapshotting",
            State::Incrementing | State::Sealing => "incrementing",
            State::Sealed => "sealed",
            State::Failed => "failed",
        }
    }

    /// Whether one is under way.
    pub fn is_in_progress(&self) -> bool {
        !matches!(self.state, State::Idle | State::Sealed | State::Failed)
    }

    /// Whether another cannot be begun because one is under way, or has not ended yet.
    pub fn is_in_the_way(&self) -> bool {
        self.is_in_progress() || self.is_log_ending
    }

    /// Whether no rewrite may begin before it is sealed.
    pub fn holds_rewrites(&self) -> bool {
        matches!(self.state, State::Pinning | State::Incrementing | State::Sealing) || self.is_log_ending
    }

    /// Whether the changes are logged for it alone.
    pub(super) fn owns_log(&self) -> bool {
        self.owns_log
    }

    /// The paths of the files that do not change any more, the manifest last.
    pub fn files(&self) -> impl Iterator<Item = String> + '_ {
        self.pinned.iter().map(|name| format!("{}/{name}", self.path))
    }

    /// Whether files of an earlier one are being removed.
    fn is_clearing(&self) -> bool {
        self.removal.is_some() || self.is_log_going
    }

    /// A rewrite begins.
    pub(super) fn note_rewrite(&mut self) {
        if self.state == State::Pending {
            self.state = State::Snapshotting;
        }
    }
}

/// From the beginning to the base.
impl Engine {
    /// Begins a backup; none must be in the way, nor a sealed one. Returns the number of a job that is done when the folder was
    /// found empty; none within a transaction, where nobody can wait.
    ///
    /// # Errors
    ///
    /// Why not, within a transaction.
    pub fn begin_backup(&mut self, host: &mut dyn Host) -> Result<Option<u64>, DiskError> {
        let backup = &mut self.durability.backup;
        backup.path = format!("{}/{}", self.conf.dir, self.conf.backupdirname);
        if self.is_nested() {
            if self.durability.backup.is_clearing() {
                return Err(because("The files of the last backup are still being removed"));
            }
            if self.durability.log.stage() == LogStage::Off && self.is_rewriting() {
                return Err(because("Background append only file rewriting already in progress"));
            }
            let (look, _) = self.looking_at_folder();
            let done = self.disk_at_once(host, look)?;
            self.look_for_files(done.found)?;
            let mark = self.marking();
            if !mark.is_empty() {
                self.disk_at_once(host, mark)?;
            }
            self.begin_base_of_backup(host);
            return Ok(None);
        }
        let job = self.jobs.number(0);
        let backup = &mut self.durability.backup;
        (backup.state, backup.waiter) = (State::Preparing, Some(job));
        self.look_when_clear();
        Ok(Some(job))
    }

    /// Looks at the folder for a backup that is to begin, when nothing is being removed any more.
    fn look_when_clear(&mut self) {
        let backup = &self.durability.backup;
        if backup.state == State::Preparing && backup.work.is_none() && !backup.is_clearing() {
            self.look_at_folder();
        }
    }

    /// Jobs that make the folder and list it, and those that close what they have opened.
    fn looking_at_folder(&mut self) -> (Vec<FileJob>, Vec<FileJob>) {
        let (dir, folder) = (self.next_folder(), self.next_folder());
        let look = vec![
            FileJob::OpenFolder(dir, self.conf.dir.clone()),
            FileJob::MakeFolder(dir, self.conf.backupdirname.clone()),
            FileJob::SyncFolder(dir),
            FileJob::OpenFolder(folder, self.durability.backup.path.clone()),
            FileJob::List(folder),
        ];
        (look, vec![FileJob::CloseFolder(folder), FileJob::CloseFolder(dir)])
    }

    fn look_at_folder(&mut self) {
        let (look, close) = self.looking_at_folder();
        self.backup_jobs(look, Next::Look);
        for job in close {
            self.file_job(job);
        }
    }

    fn look_for_files(&mut self, found: Found) -> Result<(), DiskError> {
        let is_doubtful = self.durability.backup.is_doubtful;
        match found {
            Found::Names(names) if names.is_empty() && !is_doubtful => {}
            _ if is_doubtful => {
                return Err(because("There are files of a backup that cannot be used, CLEANUP them first"));
            }
            _ => return Err(because("Backup directory is not empty")),
        }
        let (start_unix_s, is_off) = (self.now.unix_s(), self.durability.log.stage() == LogStage::Off);
        let is_first = self.durability.log.manifest.is_empty();
        let old = mem::take(&mut self.durability.backup);
        self.durability.backup = Backup {
            state: State::Preparing,
            start_unix_s,
            owns_log: is_off,
            is_marked: is_off && is_first,
            path: old.path,
            is_ours: true,
            waiter: old.waiter,
            log_waiter: old.log_waiter,
            answers: old.answers,
            removal: old.removal,
            ..Backup::default()
        };
        Ok(())
    }

    /// Jobs that write the mark, where there is to be one.
    fn marking(&mut self) -> Vec<FileJob> {
        if !self.durability.backup.is_marked {
            return Vec::new();
        }
        let (folder, file) = (self.next_folder(), self.next_file());
        vec![
            FileJob::OpenFolder(folder, self.durability.backup.path.clone()),
            FileJob::Create { file, folder, name: MARK.to_owned(), options: Options::default() },
            FileJob::Sync(file),
            FileJob::Close(file),
            FileJob::SyncFolder(folder),
            FileJob::CloseFolder(folder),
        ]
    }

    /// Has a base written, or waits for the one that is being written.
    fn begin_base_of_backup(&mut self, host: &mut dyn Host) {
        log::info!("Backup started in {}", self.durability.backup.path);
        self.end_wait_for_backup(Ok(()));
        let backup = &mut self.durability.backup;
        backup.state = State::Pending;
        let is_busy = self.is_nested() || self.durability.saving().is_some();
        if self.durability.backup.owns_log {
            if self.durability.log.stage() != LogStage::Off {
                // Somebody has begun to log meanwhile.
                self.keep_log_of_backup();
            } else {
                self.commit();
                self.durability.log.set_stage(LogStage::Beginning);
                self.note_followers();
                if self.is_rewriting() && !self.is_nested() {
                    // What happens beside it was not logged.
                    self.cancel_rewrite();
                    match self.durability.leaving {
                        true => self.schedule_rewrite(),
                        false => self.begin_rewrite(host),
                    }
                    return;
                }
            }
        }
        if self.is_rewriting() && !self.durability.backup.owns_log {
            self.durability.backup.note_rewrite();
        } else if is_busy || self.is_rewrite_in_progress() {
            self.schedule_rewrite();
        } else {
            self.begin_rewrite(host);
        }
    }

    /// A rewrite is done: its base is that of the backup which waits for it.
    pub(super) fn pin_base(&mut self) {
        let manifest = self.durability.log.manifest.clone();
        let backup = &mut self.durability.backup;
        let (State::Snapshotting, Some(base)) = (backup.state, manifest.base()) else { return };
        let name = text_of(base);
        backup.state = State::Pinning;
        backup.pinned = vec![name.clone()];
        self.link_into_backup(vec![name], Next::Increments);
    }

    /// Files of the log get names in the folder.
    fn link_into_backup(&mut self, names: Vec<String>, next: Next) {
        let (log, folder) = (self.next_folder(), self.next_folder());
        let backup = &mut self.durability.backup;
        backup.given.extend(names.iter().cloned());
        let path = backup.path.clone();
        let open = [FileJob::OpenFolder(log, self.log_path()), FileJob::OpenFolder(folder, path)];
        let links = names.into_iter().map(|name| FileJob::LinkInto { from: log, to: folder, name });
        let close = [FileJob::SyncFolder(folder), FileJob::CloseFolder(folder), FileJob::CloseFolder(log)];
        self.backup_jobs(open.into_iter().chain(links).chain(close).collect(), next);
    }
}

/// The seal.
impl Engine {
    /// Seals the backup, which must be in the state [`State::Incrementing`]. Returns the number of a job that is done when it is
    /// sealed; none within a transaction, where nobody can wait, and which is in it as a whole.
    pub fn seal_backup(&mut self) -> Option<u64> {
        let backup = &mut self.durability.backup;
        (backup.state, backup.error) = (State::Sealing, String::new());
        if self.is_nested() {
            return None;
        }
        let job = self.jobs.number(0);
        self.durability.backup.waiter = Some(job);
        Some(job)
    }

    /// Has the log go on in another increment, where a backup is to be sealed and that can be done. True when the shell has
    /// something to do at once.
    pub(super) fn seal_as_wanted(&mut self) -> bool {
        let backup = &self.durability.backup;
        let is_begun = backup.work.is_some() || !backup.sums.is_empty() || self.durability.switch.is_some();
        if backup.state != State::Sealing || is_begun || self.is_rewrite_in_progress() {
            return false;
        }
        if !self.durability.log.is_writable() {
            let error = because(&format!("The log cannot be written: {}", self.durability.log_error()));
            self.stay_unsealed(&error);
        } else if self.switch_log().is_none() {
            self.fail_backup(&because("nothing is logged any more"));
        }
        true
    }

    /// It cannot be sealed; that may be tried again.
    fn stay_unsealed(&mut self, error: &DiskError) {
        let backup = &mut self.durability.backup;
        (backup.state, backup.error) = (State::Incrementing, told(error));
        log::warn!("Backup could not be sealed: {}", told(error));
        self.end_wait_for_backup(Err(error.clone()));
    }

    /// The log has gone on in another increment, or could not.
    pub(super) fn backup_was_switched(&mut self, result: Result<(), DiskError>) {
        if self.durability.backup.is_log_ending {
            self.end_log_of_backup();
            return;
        }
        if self.durability.backup.state != State::Sealing {
            return;
        }
        if let Err(error) = result {
            self.stay_unsealed(&error);
            return;
        }
        let manifest = self.durability.log.manifest.before_last_increment();
        let names: Vec<String> = manifest.increments().iter().map(text_of).collect();
        let backup = &mut self.durability.backup;
        backup.to_sum = manifest.needed().map(text_of).collect();
        backup.manifest = manifest;
        self.link_into_backup(names, Next::Sums);
    }

    /// Makes the next checksum, or writes the manifest.
    fn sum_next(&mut self) {
        let Some(name) = self.durability.backup.to_sum.pop_front() else {
            self.write_manifest_of_backup();
            return;
        };
        let file = self.next_file();
        let backup = &mut self.durability.backup;
        backup.summed = Some(file);
        backup.sums.push(Sum { name: name.clone().into_bytes(), bytes: 0, crc: 0 });
        let folder = self.next_folder();
        let path = self.durability.backup.path.clone();
        self.file_job(FileJob::OpenFolder(folder, path));
        let open = FileJob::OpenToRead { file, folder, name };
        self.backup_jobs(
            vec![open, FileJob::CloseFolder(folder), FileJob::Sum(file, SUMMED_BYTES)],
            Next::Summed,
        );
    }

    fn sum_on(&mut self, crc: u64, bytes: u64) {
        let backup = &mut self.durability.backup;
        let Some(file) = backup.summed else { return };
        if let Some(sum) = backup.sums.last_mut() {
            (sum.crc, sum.bytes) = (crc, sum.bytes + bytes);
        }
        if bytes > 0 {
            self.backup_jobs(vec![FileJob::Sum(file, SUMMED_BYTES)], Next::Summed);
        } else {
            self.file_job(FileJob::Close(file));
            self.sum_next();
        }
    }

    fn write_manifest_of_backup(&mut self) {
        let (folder, file) = (self.next_folder(), self.next_file());
        let names = Names(&self.conf.appendfilename);
        let (name, temporary) = (names.manifest(), names.temporary_manifest());
        let backup = &mut self.durability.backup;
        backup.end_unix_s = self.now.unix_s().max(backup.start_unix_s);
        let (start_unix_s, end_unix_s) = (backup.start_unix_s, backup.end_unix_s);
        let seal = Seal { start_unix_s, end_unix_s, sums: mem::take(&mut backup.sums) };
        let bytes = seal.text(&backup.manifest).into_bytes();
        backup.given.push(name.clone());
        let path = backup.path.clone();
        let replace = Replace { folder, name, file, temporary, bytes };
        let jobs =
            vec![FileJob::OpenFolder(folder, path), FileJob::Replace(replace), FileJob::CloseFolder(folder)];
        self.backup_jobs(jobs, Next::Sealed);
    }

    fn backup_is_sealed(&mut self) {
        let manifest = Names(&self.conf.appendfilename).manifest();
        let backup = &mut self.durability.backup;
        backup.state = State::Sealed;
        backup.pinned = backup.manifest.needed().map(text_of).chain([manifest]).collect();
        log::info!("Backup sealed in {}", backup.path);
        self.end_log_of_backup();
        self.arm_backup_ttl();
        self.end_wait_for_backup(Ok(()));
    }
}

/// Jobs.
impl Engine {
    /// Hands out jobs; what follows them is done when the last of them is.
    fn backup_jobs(&mut self, jobs: Vec<FileJob>, next: Next) {
        let numbers: Vec<u64> = jobs.into_iter().map(|job| self.file_job(job)).collect();
        let (Some(&first), Some(&last)) = (numbers.first(), numbers.last()) else { return };
        numbers.iter().for_each(|&number| self.jobs.then(number, Engine::backup_went_on));
        let (found, bytes, error) = (Found::Nothing, 0, None);
        self.durability.backup.work = Some(Work { first, last, found, bytes, error, next });
    }

    /// A job is done, or failed.
    fn backup_went_on(&mut self, host: &mut dyn Host, job: u64, result: FileResult) {
        // What was given up may still come to its end.
        let Some(work) = self.durability.backup.work.as_mut().filter(|work| job >= work.first) else {
            return;
        };
        match result {
            Ok(done) if done.found != Found::Nothing => (work.found, work.bytes) = (done.found, done.bytes),
            Ok(_) => {}
            Err(error) => {
                work.error.get_or_insert(error);
            }
        }
        if job != work.last {
            return;
        }
        let Some(work) = self.durability.backup.work.take() else { return };
        let result = match work.error {
            Some(error) => Err(error),
            None if work.next == Next::Look => self.look_for_files(work.found),
            None => {
                self.backup_goes_on(host, work.next, &work.found, work.bytes);
                return;
            }
        };
        match (work.next, result) {
            (Next::Look, Ok(())) => {
                let mark = self.marking();
                match mark.is_empty() {
                    true => self.begin_base_of_backup(host),
                    false => self.backup_jobs(mark, Next::Begin),
                }
            }
            (Next::Look, Err(error)) => {
                let backup = &mut self.durability.backup;
                backup.state = if backup.error.is_empty() { State::Idle } else { State::Failed };
                self.end_wait_for_backup(Err(error));
            }
            (_, Err(error)) => self.fail_backup(&error),
            (_, Ok(())) => {}
        }
    }

    fn backup_goes_on(&mut self, host: &mut dyn Host, next: Next, found: &Found, bytes: u64) {
        match (next, found) {
            (Next::Begin, _) => self.begin_base_of_backup(host),
            (Next::Increments, _) => self.durability.backup.state = State::Incrementing,
            (Next::Sums, _) => self.sum_next(),
            (Next::Summed, Found::Sum(crc)) => self.sum_on(*crc, bytes),
            (Next::Sealed, _) => self.backup_is_sealed(),
            _ => {}
        }
    }

    /// Who waits for the backup is answered when files are looked after.
    fn end_wait_for_backup(&mut self, result: Result<(), DiskError>) {
        let backup = &mut self.durability.backup;
        if let Some(job) = backup.waiter.take() {
            backup.answers.push((job, result));
        }
    }

    /// Answers who waits no longer; true when somebody did.
    pub(super) fn answer_for_backup(&mut self, host: &mut dyn Host) -> bool {
        let answers = mem::take(&mut self.durability.backup.answers);
        let any = !answers.is_empty();
        for (job, result) in answers {
            self.completed(host, job, Done::File(result.map(|()| FileDone::default())));
        }
        any
    }
}

/// A name as it is given to the disk.
fn text_of(file: &File) -> String {
    String::from_utf8_lossy(&file.name).into_owned()
}
