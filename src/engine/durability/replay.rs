//! Running the append-only log at a start: the base and the increments, one after the other.
//!
//! A client of the engine's own runs the commands, beyond all that is asked of others; it sees what is past its deadline and
//! keeps it, for the log says when it went. Only the end of the last file may be missing: it is cut after the last whole
//! command, or before a MULTI whose EXEC did not come. A hole counts as its end: a loss of power leaves one where bytes were
//! not durable that came before others that were. So does a batch that is not as its integrity line says. Where a line after
//! it says that it was durable the disk has lost it, and the log is refused.

use super::super::disk::{DiskError, FileDone, FileJob, LogJob, Options};
use super::super::host::Request;
use super::super::{Done, Engine, Host, Job};
use super::load::{Counts, Load, Reader, Refusal, log_counts};
use super::moment::Times;
use crate::base::id::ClientId;
use crate::persist::aof::manifest::{File, Form, Kind, Manifest, Names};
use crate::persist::aof::scan::{BadAof, Cause, Scanner};
use crate::resp::Args;
use std::collections::VecDeque;

/// What the system says of a file that is not there.
const NOT_THERE: &str = "No such file or directory";

/// A log that is being run.
#[derive(Debug)]
pub(super) struct Replay {
    /// The client that runs it.
    pub client: ClientId,
    /// The files to come.
    parts: VecDeque<Part>,
    /// The file that is read.
    part: Option<Part>,
    /// When it was begun, in monotonic microseconds.
    begun_mono_us: u64,
    /// Bytes of the last file.
    last_bytes: u64,
    /// The job by the number of which a client waits for the end (DEBUG LOADAOF); none at the start.
    waiter: Option<u64>,
    /// What is known of the times in it.
    pub times: Times,
    /// The files are not those of the log of this server.
    is_preload: bool,
}

impl Replay {
    /// What the file is for that is read.
    pub fn kind(&self) -> Kind {
        self.part.as_ref().map_or(Kind::Base, |part| part.kind)
    }

    /// A command is run.
    #[inline]
    pub fn note_command(&mut self) {
        let kind = self.kind();
        self.times.note_command(kind);
    }

    /// The files to come are not run.
    pub fn leave_rest(&mut self) {
        self.parts.clear();
    }
}

/// A file of the log.
#[derive(Clone, Debug)]
pub(super) struct Part {
    name: String,
    kind: Kind,
    bytes: u64,
    /// Nothing comes after it.
    is_last: bool,
}

/// Whether what is wrong is that the end of a file is missing, or was not written as a whole.
fn is_end(bad: &BadAof) -> bool {
    (bad.is_short() || bad.is_hole() || bad.is_in_batch()) && !bad.is_followed
}

impl Engine {
    /// Loads what was saved, if anything was. Clients are told LOADING until it is loaded.
    pub fn load_at_start(&mut self, host: &mut dyn Host) {
        self.be_replica_as_configured();
        self.find_backup(host);
        match self.manifest_on_disk(host) {
            Ok(manifest) => self.durability.log.found(manifest, 0),
            Err(lines) => {
                lines.iter().for_each(|line| log::warn!("{line}"));
                self.jobs.queue.push_back(Job::Exit(1));
                return;
            }
        }
        if let Some(why) = self.why_no_moment() {
            self.refuse_moment(&why);
            return;
        }
        if self.preloads() {
            self.begin_preload(host);
            return;
        }
        if !self.conf.appendonly {
            let path = format!("{}/{}", self.conf.dir, self.conf.dbfilename);
            match host.apply(Request::Exists(&path)) {
                Ok(_) => self.begin_loading(),
                Err(_) => self.note_ready(host),
            }
            return;
        }
        match self.take_over(host).and_then(|()| self.parts(host)) {
            Ok(parts) => self.begin_replay(host, parts, None, None),
            Err(error) => {
                log::warn!("{}: {}", error.name, error.text);
                self.jobs.queue.push_back(Job::Exit(1));
            }
        }
    }

    /// The manifest, or an empty one if there is none.
    pub(super) fn manifest_on_disk(&mut self, host: &mut dyn Host) -> Result<Manifest, Vec<String>> {
        let path = format!("{}/{}", self.log_path(), Names(&self.conf.appendfilename).manifest());
        let mut text = Vec::new();
        match host.apply(Request::ReadFile(&path, &mut text)) {
            Ok(_) => Manifest::parse(&text).map_err(|bad| bad.log_lines()),
            Err(error) if error == NOT_THERE => {
                log::info!("The AOF manifest file {path} doesn't exist");
                Ok(Manifest::default())
            }
            Err(error) => Err(vec![format!(
                "Fatal error: can't open the AOF manifest file {path} for reading: {error}"
            )]),
        }
    }

    /// A file that an older server has left becomes the base: the one file of the log before there were several, or the dump
    /// of a server that has begun to log.
    fn take_over(&mut self, host: &mut dyn Host) -> Result<(), DiskError> {
        let conf_name = self.conf.appendfilename.clone();
        let names = Names(&conf_name);
        if self.stands_at().is_some() {
            return Ok(());
        }
        let mut manifest = self.durability.log.manifest.clone();
        let exists = |host: &mut dyn Host, path: String| host.apply(Request::Exists(&path)).is_ok();
        let old = exists(host, format!("{}/{conf_name}", self.conf.dir));
        let is_in_folder = exists(host, format!("{}/{conf_name}", self.log_path()));
        let (dir, folder) = (self.next_folder(), self.next_folder());
        let open = vec![
            FileJob::OpenFolder(dir, self.conf.dir.clone()),
            FileJob::MakeFolder(dir, self.conf.appenddirname.clone()),
            FileJob::SyncFolder(dir),
            FileJob::OpenFolder(folder, self.log_path()),
        ];
        let (from, name, log_line);
        if old && manifest.takes_over(names, is_in_folder) {
            manifest.take_over(names);
            (from, name) = (conf_name.clone(), conf_name.clone());
            log_line = format!(
                "Successfully migrated an old-style AOF configuration ({conf_name}) into the new-style AOF ({}).",
                names.manifest()
            );
        } else if manifest.is_empty() && exists(host, format!("{}/{}", self.conf.dir, self.conf.dbfilename)) {
            name = manifest.next_base(names, Form::Dump);
            from = Names::temporary_base(self.process.names.pid);
            manifest.finish_rewrite(names, Form::Dump, 0);
            log_line = format!("The dump file {} becomes the AOF base file {name}", self.conf.dbfilename);
        } else {
            return Ok(());
        }
        let mut jobs = open;
        let replace = FileJob::Replace(self.manifest_in(folder, &manifest));
        let moved = FileJob::Move { from: dir, to: folder, name: from.clone(), new_name: name };
        if from == conf_name {
            jobs.extend([replace, moved, FileJob::SyncFolder(folder), FileJob::SyncFolder(dir)]);
        } else {
            // What a rewrite that broke off has left may have the name.
            let left =
                vec![FileJob::OpenFolder(dir, self.conf.dir.clone()), FileJob::Remove(dir, from.clone())];
            let _ = self.disk_at_once(host, left);
            // The dump stays: the base is one more name for it.
            let link = FileJob::Link { folder: dir, from: self.conf.dbfilename.clone(), to: from };
            jobs.extend([link, moved, FileJob::SyncFolder(folder), replace]);
        }
        jobs.extend([FileJob::CloseFolder(folder), FileJob::CloseFolder(dir)]);
        self.disk_at_once(host, jobs)?;
        log::info!("{log_line}");
        self.durability.log.manifest = manifest;
        Ok(())
    }

    /// The files of the manifest, with their lengths.
    fn parts(&mut self, host: &mut dyn Host) -> Result<VecDeque<Part>, DiskError> {
        let files: Vec<_> = self.durability.log.manifest.needed().cloned().collect();
        self.parts_in(host, &self.log_path(), files)
    }

    /// Files in a folder, with their lengths.
    pub(super) fn parts_in(
        &mut self,
        host: &mut dyn Host,
        path: &str,
        files: Vec<File>,
    ) -> Result<VecDeque<Part>, DiskError> {
        let mut parts = VecDeque::new();
        for file in files {
            let name = String::from_utf8_lossy(&file.name).into_owned();
            let open = self.next_file();
            let folder = self.next_folder();
            let jobs = vec![
                FileJob::OpenFolder(folder, path.to_owned()),
                FileJob::OpenToRead { file: open, folder, name: name.clone() },
                FileJob::Close(open),
                FileJob::CloseFolder(folder),
            ];
            let status = self.disk_at_once(host, jobs);
            let bytes = status.map_err(|error| DiskError {
                name: format!("Unable to obtain the AOF file {name} length. stat"),
                ..error
            })?;
            parts.push_back(Part { name, kind: file.kind, bytes: bytes.bytes, is_last: false });
        }
        // What comes after the last that holds anything does not count.
        let mut is_last = true;
        for part in parts.iter_mut().rev() {
            part.is_last = is_last;
            is_last &= part.bytes == 0;
        }
        Ok(parts)
    }

    /// Begins to run files, which lie in the folder of the log unless they are preloaded from another.
    pub(super) fn begin_replay(
        &mut self,
        host: &mut dyn Host,
        parts: VecDeque<Part>,
        waiter: Option<u64>,
        preloaded: Option<String>,
    ) {
        let client = self.open_replaying_client();
        let folder = self.next_folder();
        let total_bytes = parts.iter().map(|part| part.bytes).sum();
        self.commit();
        self.durability.is_replaying = true;
        if waiter.is_none() && preloaded.is_none() {
            let manifest = self.durability.log.manifest.clone();
            self.durability.log.found(manifest, total_bytes);
        }
        let last_bytes = parts.back().map_or(0, |part| part.bytes);
        let begun_mono_us = self.now.mono_us;
        let is_preload = preloaded.is_some();
        let times = Times::default();
        let replay =
            Replay { client, parts, part: None, begun_mono_us, last_bytes, waiter, times, is_preload };
        let mut load = Load::new(Reader::Log(Box::new(Scanner::new(self.read_options(), None))), self.now);
        load.replay = Some(Box::new(replay));
        load.total_bytes = total_bytes;
        load.set_folder(folder);
        self.file_job(FileJob::OpenFolder(folder, preloaded.unwrap_or_else(|| self.log_path())));
        self.begin_load(load);
        if let Some(load) = self.durability.load.take() {
            self.next_part(host, load);
        }
    }

    /// Begins the next file, or ends the load.
    fn next_part(&mut self, host: &mut dyn Host, mut load: Box<Load>) {
        let Some(replay) = &mut load.replay else { return };
        let Some(part) = replay.parts.pop_front() else {
            self.end_replay(host, *load);
            return;
        };
        replay.begun_mono_us = self.now.mono_us;
        let (name, bytes) = (part.name.clone(), part.bytes);
        replay.part = Some(part);
        let reader = Reader::Log(Box::new(Scanner::new(self.read_options(), Some(bytes))));
        let opened = self.open_to_load(load.folder(), name.clone());
        load.go_on_with(reader, opened, name);
        self.durability.load = Some(load);
    }

    /// A file of the log was read.
    pub(super) fn end_part(&mut self, host: &mut dyn Host, mut load: Box<Load>) {
        self.file_job(FileJob::Close(load.file()));
        if let Some(part) = load.replay.as_mut().and_then(|replay| replay.part.take()) {
            let kind = if part.kind == Kind::Base { "base file" } else { "incr file" };
            let begun = load.replay.as_ref().map_or(0, |replay| replay.begun_mono_us);
            let seconds = self.now.mono_us.saturating_sub(begun) as f64 / 1e6;
            let Counts { loaded, expired, empty, .. } = load.counts;
            if part.kind == Kind::Base && loaded + expired + empty > 0 {
                log_counts(loaded, expired, empty);
            }
            if part.bytes > 0 {
                log::info!("DB loaded from {kind} {}: {seconds:.3} seconds", part.name);
            }
        }
        self.next_part(host, load);
    }

    /// Runs a command of the log.
    pub(super) fn replay_command(
        &mut self,
        host: &mut dyn Host,
        client: ClientId,
        args: Args<'_>,
    ) -> Result<(), Refusal> {
        self.replay(host, client, args).map_err(|error| Refusal::Unfit(error.to_string()))
    }

    /// Whether a file may be cut before what is wrong with it: its end is missing or was not written, or little is damaged.
    pub(super) fn may_cut(&self, load: &Load, bad: &BadAof) -> bool {
        // What is preloaded is not ours to be changed.
        let replay = load.replay.as_ref().filter(|replay| !replay.is_preload);
        let part = replay.and_then(|replay| replay.part.as_ref());
        self.conf.aof_load_truncated
            && part.is_some_and(|part| part.is_last && (is_end(bad) || self.is_small_tail(load, part, bad)))
    }

    /// Whether `aof-load-corrupt-tail-max-size` lets go what would be cut.
    fn is_small_tail(&self, load: &Load, part: &Part, bad: &BadAof) -> bool {
        let (Reader::Log(scanner), false) = (&load.reader, matches!(bad.cause, Cause::Dump(_))) else {
            return false;
        };
        part.bytes.saturating_sub(scanner.valid_up_to()) <= self.conf.aof_load_corrupt_tail_bytes_max
    }

    /// Cuts the last file after what is whole in it.
    pub(super) fn cut_part(&mut self, host: &mut dyn Host, mut load: Box<Load>, bad: &BadAof) {
        let Reader::Log(scanner) = &load.reader else { return };
        let upto = scanner.valid_up_to();
        let Some(part) = load.replay.as_ref().and_then(|replay| replay.part.clone()) else { return };
        if bad.is_short() {
            log::warn!("!!! Warning: short read while loading the AOF file {}!!!", part.name);
        } else {
            log::warn!("!!! Warning: corrupt tail while loading the AOF file {}!!!", part.name);
        }
        log::warn!("{}, {bad}", part.name);
        if self.stands_at().is_some() {
            log::warn!("AOF {} is left as it is because of --load-until", part.name);
            self.forget_half_transaction(host, &mut load);
            self.end_part(host, load);
            return;
        }
        log::warn!("!!! Truncating the AOF {} at offset {upto} !!!", part.name);
        let lost = part.bytes.saturating_sub(upto);
        log::warn!("The last {lost} bytes of the AOF {} go", part.name);
        let file = self.next_file();
        let name = part.name.clone();
        let cut = self.at_log_folder(host, |_, folder| {
            let options = Options::default();
            vec![
                FileJob::OpenToAppend { file, folder, name, options },
                FileJob::Truncate(file, upto),
                FileJob::Sync(file),
                FileJob::Close(file),
            ]
        });
        if let Err(error) = cut {
            log::warn!("Error truncating the AOF file {}: {}", part.name, error.text);
            self.fail_replay_of(host, *load, &Refusal::Unfit(error.text));
            return;
        }
        if is_end(bad) {
            log::warn!("AOF {} loaded anyway because aof-load-truncated is enabled", part.name);
        } else {
            let (name, bytes, most) =
                (&part.name, part.bytes - upto, self.conf.aof_load_corrupt_tail_bytes_max);
            log::warn!(
                "AOF {name} loaded anyway because its corrupt tail of {bytes} bytes is not larger than \
                 aof-load-corrupt-tail-max-size {most}"
            );
        }
        let manifest = self.durability.log.manifest.clone();
        let total = load.total_bytes - (part.bytes - upto);
        load.total_bytes = total;
        if load.replay.as_ref().is_some_and(|replay| replay.waiter.is_none()) {
            self.durability.log.found(manifest, total);
        }
        self.forget_half_transaction(host, &mut load);
        if let Some(replay) = load.replay.as_mut().filter(|replay| replay.parts.is_empty()) {
            replay.last_bytes = upto;
        }
        self.end_part(host, load);
    }

    /// A transaction of which a part was read is forgotten.
    fn forget_half_transaction(&mut self, host: &mut dyn Host, load: &mut Load) {
        if let Some(client) = load.replay.as_ref().map(|replay| replay.client) {
            self.closed(host, client);
            let client = self.open_replaying_client();
            if let Some(replay) = &mut load.replay {
                replay.client = client;
            }
        }
    }

    /// All files were run.
    fn end_replay(&mut self, host: &mut dyn Host, mut load: Load) {
        let Some(replay) = load.replay.take() else { return };
        if let Err(refusal) = self.look_at_times(replay.times) {
            self.fail_replay(host, load, *replay, &refusal);
            return;
        }
        self.closed(host, replay.client);
        self.durability.is_replaying = false;
        self.file_job(FileJob::CloseFolder(load.folder()));
        if load.total_bytes > 0 {
            let us = self.now.mono_us.saturating_sub(load.begun_mono_us);
            log::info!("DB loaded from append only file: {:.3} seconds", us as f64 / 1e6);
        }
        self.loaded(host, load.counts);
        if let Some(job) = replay.waiter {
            log::warn!("Append Only File loaded by DEBUG LOADAOF");
            self.completed(host, job, Done::File(Ok(FileDone::default())));
            return;
        }
        if let Some(unix_s) = self.stands_at().filter(|_| !replay.is_preload) {
            self.stand_at(host, unix_s);
            return;
        }
        if replay.is_preload || !self.conf.appendonly {
            // A log of its own begins with a base of what was preloaded. Or somebody has changed his mind meanwhile.
            self.configure_log(host);
            self.note_ready(host);
            return;
        }
        match self.begin_log_at_start(host, replay.last_bytes) {
            Ok(()) => self.note_ready(host),
            Err(error) => {
                log::warn!("Can't open the append-only file {}: {}", error.name, error.text);
                self.jobs.queue.push_back(Job::Exit(1));
            }
        }
    }

    fn fail_replay_of(&mut self, host: &mut dyn Host, mut load: Load, refusal: &Refusal) {
        if let Some(replay) = load.replay.take() {
            self.fail_replay(host, load, *replay, refusal);
        }
    }

    /// The log cannot be run: the process ends, or a client is told.
    pub(super) fn fail_replay(&mut self, host: &mut dyn Host, load: Load, replay: Replay, refusal: &Refusal) {
        let name = replay.part.as_ref().map_or("", |part| &part.name);
        match refusal {
            Refusal::BadLog(bad) => {
                let is_last = replay.part.as_ref().is_some_and(|part| part.is_last);
                if bad.is_short() && !is_last && self.conf.aof_load_truncated && !replay.is_preload {
                    log::warn!("Fatal error: the truncated file is not the last file");
                }
                log::warn!("{}", bad.refusal(name));
                log::warn!("{name}, {bad}");
            }
            refusal if name.is_empty() => log::warn!("{refusal}"),
            refusal => log::warn!("{refusal} reading the append only file {name}"),
        }
        self.close_loaded(&load);
        self.closed(host, replay.client);
        self.durability.is_replaying = false;
        match replay.waiter {
            None => self.jobs.queue.push_back(Job::Exit(1)),
            Some(job) => {
                self.loaded(host, load.counts);
                self.completed(host, job, Done::File(Err(DiskError::given_up(name))));
            }
        }
    }

    /// DEBUG LOADAOF: the databases are emptied and the log is run again. Returns a number of a job that is done when it is.
    pub fn load_log_again(&mut self) -> u64 {
        self.commit();
        self.hand_over_buffer();
        let now_ms = self.now.unix_ms();
        if let Some(garbage) = self.dbs.flush(0..self.dbs.count(), now_ms) {
            self.free(garbage, None);
        }
        self.flush_libraries();
        let waiter = self.jobs.number(0);
        let reader = Reader::Log(Box::new(Scanner::new(self.read_options(), None)));
        self.begin_load(Load::new(reader, self.now));
        self.durability.reloading = Some(waiter);
        // The files are read when all is written; whoever asks waits for that even where there is nothing to write.
        let written = match self.durability.log.file() {
            Some(file) => self.log_job(LogJob::Sync(file)),
            None => {
                let folder = self.next_folder();
                let opened = self.file_job(FileJob::OpenFolder(folder, self.conf.dir.clone()));
                self.file_job(FileJob::CloseFolder(folder));
                opened
            }
        };
        self.jobs.then(written, |engine, host, _, _| engine.log_is_written(host));
        waiter
    }

    fn log_is_written(&mut self, host: &mut dyn Host) {
        let Some(waiter) = self.durability.reloading.take() else { return };
        self.durability.load = None;
        match self.parts(host) {
            Ok(parts) => self.begin_replay(host, parts, Some(waiter), None),
            Err(error) => {
                log::warn!("{}: {}", error.name, error.text);
                self.loaded(host, Counts::default());
                self.completed(host, waiter, Done::File(Err(error)));
            }
        }
    }
}
