//! Loading a dataset at the start, a slice at a turn: clients are told LOADING meanwhile, and INFO shows how far it is.
//!
//! Pieces of the file are asked for ahead; the reader is fed one after the other. What a load finds goes into the databases
//! as it is: no event, no expiry and no eviction comes in between, and nobody is waiting. A dump file is one file; the
//! append-only log is several, the commands of which are run ([`super::replay`]).

use super::super::disk::{DiskError, ErrorKind, FileId, FileJob, FileResult, FolderId, Found};
use super::super::host::Request;
use super::super::timers::Timer;
use super::super::{Engine, Host, Job};
use super::facts::{History, note_item};
use super::replay::Replay;
use super::rewrite::Dump;
use crate::base::limit::LOAD_US_PER_TURN;
use crate::base::time::Now;
use crate::engine::admission::gate;
use crate::keyspace::Databases;
use crate::keyspace::db::is_past;
use crate::persist::aof::scan::{self, BadAof, Scanner};
use crate::persist::rdb::file::{FileReader, Item, Key, Next, ReadOptions};
use crate::persist::rdb::{BadData, Dialect};
use crate::resp::Args;
use bytes::Bytes;
use std::collections::VecDeque;
use std::mem;

/// Bytes of a piece of the file.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces that are asked for ahead.
const PIECES_AHEAD: usize = 4;

/// What a load found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Keys that were loaded.
    pub loaded: u64,
    /// Keys that were past their deadline, and were left out.
    pub expired: u64,
    /// Keys without elements, which were left out.
    pub empty: u64,
    /// Commands that were run.
    pub commands: u64,
}

/// How far a load has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Unix seconds at which it began.
    pub begun_unix_s: u64,
    /// Bytes of the file.
    pub total_bytes: u64,
    /// Bytes that were loaded.
    pub loaded_bytes: u64,
    /// Memory that its writer used, in bytes.
    pub used_memory: u64,
    /// Microseconds since it began.
    pub us: u64,
}

/// Where a dataset comes from.
#[derive(Debug)]
pub(in crate::engine) enum Origin {
    /// From the files of this server, as it starts.
    Start,
    /// From its primary; into these databases, where there are any, which then take the place of the others.
    Primary(Option<Box<Databases>>),
}

/// A file that is being loaded.
#[derive(Debug)]
pub(in crate::engine) struct Load {
    origin: Origin,
    pub(super) reader: Reader,
    /// The log of which this file is a part.
    pub(super) replay: Option<Box<Replay>>,
    folder: FolderId,
    file: FileId,
    name: String,
    /// The job that opens the file.
    open: u64,
    pieces: VecDeque<Vec<u8>>,
    /// Pieces that were asked for and have not come.
    asked: usize,
    is_whole: bool,
    pub(super) counts: Counts,
    begun_unix_s: u64,
    pub(super) begun_mono_us: u64,
    pub(super) total_bytes: u64,
    /// Bytes of the files that were loaded before this one.
    pub(super) bytes_before: u64,
    used_memory: u64,
    /// Libraries that are to take the place of those that serve.
    functions: Vec<Vec<u8>>,
    /// What the file says about the history to which it belongs.
    history: History,
    delay_us: u64,
    is_delayed: bool,
}

/// What reads a file.
#[derive(Debug)]
pub(super) enum Reader {
    /// It is a dump.
    Dump(Box<FileReader>),
    /// It is a part of the log.
    Log(Box<Scanner>),
}

impl Reader {
    fn offset(&self) -> u64 {
        match self {
            Reader::Dump(reader) => reader.offset(),
            Reader::Log(scanner) => scanner.offset(),
        }
    }

    /// Whether it is a dump that Redis can read, too.
    fn is_of_redis(&self) -> bool {
        matches!(self, Reader::Dump(reader) if reader.dialect() == Dialect::Redis)
    }

    fn feed(&mut self, piece: &[u8]) {
        match self {
            Reader::Dump(reader) => reader.feed(piece),
            Reader::Log(scanner) => scanner.feed(piece),
        }
    }

    fn finish(&mut self) {
        match self {
            Reader::Dump(reader) => reader.finish(),
            Reader::Log(scanner) => scanner.finish(),
        }
    }
}

/// What a reader has found.
enum Step<'a> {
    Need,
    More,
    End,
    Item(Item<'a>),
    Command(Args<'a>),
    Time(Option<i64>),
}

/// Why a dataset cannot be loaded.
#[derive(Debug)]
pub(in crate::engine) enum Refusal {
    /// The file is damaged.
    Bad(BadData),
    /// It holds what this server does not take.
    Unfit(String),
    /// A part of the log is damaged, or cut off.
    BadLog(BadAof),
}

impl From<BadAof> for Refusal {
    fn from(bad: BadAof) -> Refusal {
        Refusal::BadLog(bad)
    }
}

impl From<BadData> for Refusal {
    fn from(bad: BadData) -> Refusal {
        Refusal::Bad(bad)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Bad(bad) => {
                write!(f, "Internal error in RDB reading offset {}, in the file -> {}", bad.at, bad.what)
            }
            Refusal::Unfit(text) => f.write_str(text),
            Refusal::BadLog(bad) => bad.fmt(f),
        }
    }
}

/// What becomes of a key that is past its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Expired {
    /// It is left out.
    LeaveOut,
    /// It is left out, and replicas are told, which may have it still.
    Remove,
    /// It stays until a command removes it, which the log has.
    Keep,
}

/// What becomes of a key that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Twice {
    /// The file is refused.
    Refuse,
    /// The later one stays.
    Replace,
}

impl Load {
    fn progress(&self, now_us: u64) -> Progress {
        Progress {
            begun_unix_s: self.begun_unix_s,
            total_bytes: self.total_bytes,
            loaded_bytes: self.bytes_before + self.reader.offset(),
            used_memory: self.used_memory,
            us: now_us.saturating_sub(self.begun_mono_us),
        }
    }

    pub(super) fn set_folder(&mut self, folder: FolderId) {
        self.folder = folder;
    }

    pub(super) fn folder(&self) -> FolderId {
        self.folder
    }

    pub(super) fn file(&self) -> FileId {
        self.file
    }

    /// A load that has opened nothing yet.
    pub(super) fn new(reader: Reader, now: Now) -> Load {
        Load {
            origin: Origin::Start,
            reader,
            replay: None,
            folder: FolderId(0),
            file: FileId(0),
            name: String::new(),
            open: 0,
            pieces: VecDeque::new(),
            asked: 0,
            is_whole: false,
            counts: Counts::default(),
            begun_unix_s: now.unix_s(),
            begun_mono_us: now.mono_us,
            total_bytes: 0,
            bytes_before: 0,
            used_memory: 0,
            functions: Vec::new(),
            history: History::default(),
            delay_us: 0,
            is_delayed: false,
        }
    }

    /// Goes on with another file.
    pub(super) fn go_on_with(&mut self, reader: Reader, (file, open): (FileId, u64), name: String) {
        self.bytes_before += self.reader.offset();
        (self.reader, self.file, self.open, self.name) = (reader, file, open, name);
        (self.asked, self.is_whole) = (0, false);
        self.pieces.clear();
    }
}

impl Engine {
    /// How far the load has come that is under way.
    pub fn load_progress(&self) -> Option<Progress> {
        let now_us = self.now.mono_us;
        self.durability.load.as_ref().map(|load| load.progress(now_us)).or(self.durability.reading)
    }

    /// Begins to load the dump file. Clients are told LOADING until it is loaded.
    pub fn begin_loading(&mut self) {
        self.begin_loading_of(self.conf.dir.clone(), self.conf.dbfilename.clone());
    }

    /// Begins to load the dump file with this name in a folder.
    pub(super) fn begin_loading_of(&mut self, path: String, name: String) {
        let folder = self.next_folder();
        self.file_job(FileJob::OpenFolder(folder, path));
        let reader = Reader::Dump(Box::new(FileReader::new(self.read_options())));
        let (file, open) = self.open_to_load(folder, name.clone());
        self.begin_load(Load { folder, file, name, open, ..Load::new(reader, self.now) });
    }

    /// Begins to load what comes from the primary: from a file, or what [`Engine::load_piece`] is given.
    pub(in crate::engine) fn begin_loading_from(&mut self, origin: Origin, file: Option<String>) {
        let folder = self.next_folder();
        self.file_job(FileJob::OpenFolder(folder, self.conf.dir.clone()));
        let reader = Reader::Dump(Box::new(FileReader::new(self.read_options())));
        // Of another history nobody shall see the old dataset meanwhile.
        self.durability.loads_beside = matches!(origin, Origin::Primary(Some(_))) && self.is_same_history();
        // What was asked for by an earlier load does not concern this one.
        let mut load = Load { origin, folder, is_whole: true, open: u64::MAX, ..Load::new(reader, self.now) };
        if let Some(name) = file {
            load.is_whole = false;
            (load.file, load.open) = self.open_to_load(folder, name.clone());
            load.name = name;
        }
        self.begin_load(load);
    }

    /// A piece of what is loaded straight from the primary; the last may be empty.
    pub(in crate::engine) fn load_piece(&mut self, piece: Vec<u8>, is_last: bool) {
        let Some(load) = &mut self.durability.load else { return };
        if !piece.is_empty() {
            load.total_bytes += piece.len() as u64;
            load.pieces.push_back(piece);
        }
        if is_last {
            load.pieces.push_back(Vec::new());
        }
    }

    /// Bytes that came from the primary and were not loaded.
    pub(in crate::engine) fn pieces_to_load(&self) -> u64 {
        let pieces = self.durability.load.as_ref().map(|load| &load.pieces);
        pieces.map_or(0, |pieces| pieces.iter().map(|piece| piece.len() as u64).sum())
    }

    /// Ends the load of what came from the primary before its end. Tells whether it went beside the databases; none when there is
    /// no such load. Tells also how many bytes were read.
    pub(in crate::engine) fn stop_loading(&mut self) -> Option<(bool, u64)> {
        let is_from_primary = |load: &mut Box<Load>| matches!(load.origin, Origin::Primary(_));
        let load = self.durability.load.take_if(is_from_primary)?;
        self.close_loaded(&load);
        self.durability.loads_beside = false;
        let mut is_beside = false;
        if let Origin::Primary(Some(mut fresh)) = load.origin {
            is_beside = true;
            let (all, now_ms) = (0..fresh.count(), self.now.unix_ms());
            if let Some(garbage) = fresh.flush(all, now_ms) {
                self.free(garbage, None);
            }
        }
        Some((is_beside, load.reader.offset()))
    }

    /// What is being loaded waits until a job is done that frees memory.
    pub(in crate::engine) fn load_after(&mut self, job: u64) {
        if let Some(load) = &mut self.durability.load {
            load.is_delayed = true;
            self.jobs.then_free(job, Engine::end_load_delay);
        }
    }

    /// Opens a file, which is read as soon as it is open. Returns its number and that of the job.
    pub(super) fn open_to_load(&mut self, folder: FolderId, name: String) -> (FileId, u64) {
        let file = self.next_file();
        (file, self.load_job(FileJob::OpenToRead { file, folder, name }))
    }

    pub(super) fn begin_load(&mut self, load: Load) {
        self.commit();
        self.durability.load = Some(Box::new(load));
        self.note_loading();
    }

    /// Clients are served from now on.
    pub fn note_ready(&mut self, host: &mut dyn Host) {
        self.follow_as_configured();
        if self.conf.port != 0 {
            log::info!("Ready to accept connections tcp");
        }
        if !self.conf.unixsocket.is_empty() {
            log::info!("Ready to accept connections unix");
        }
        self.warn_of_open_door();
        if let Err(error) = host.apply(Request::TellReady(self.conf.supervised)) {
            log::warn!("{error}");
        }
    }

    fn note_loading(&mut self) {
        let is_loading = self.durability.is_loading();
        self.set_gate(gate::LOADING, is_loading);
        self.set_gate(gate::LOADING_BESIDE, self.durability.is_loading_beside());
        self.note_followers();
        self.note_held();
    }

    pub(super) fn read_options(&self) -> ReadOptions {
        ReadOptions {
            check_crc: self.conf.rdbchecksum && !self.conf.tuning.skips_checksums,
            later_versions: self.conf.rdb_version_check == crate::config::RdbVersionCheck::Relaxed,
            ..ReadOptions::default()
        }
    }

    fn load_job(&mut self, job: FileJob) -> u64 {
        let number = self.file_job(job);
        self.jobs.then(number, Engine::load_went_on);
        number
    }

    pub(super) fn load_went_on(&mut self, host: &mut dyn Host, job: u64, result: FileResult) {
        let Some(mut load) = self.durability.load.take() else {
            if self.durability.reading.is_some() {
                self.durability.arrived.push((job, result));
            }
            return;
        };
        // An earlier file was not read to its end.
        if job < load.open {
            self.durability.load = Some(load);
            return;
        }
        match result {
            Err(error) if error.kind == ErrorKind::NotFound && job == load.open && load.replay.is_none() => {
                self.end_load(host, *load);
                return;
            }
            Err(error) => {
                let refusal = Refusal::Unfit(cannot_read(&load.name, &error));
                self.fail_load(host, *load, &refusal);
                return;
            }
            Ok(done) if job == load.open && load.replay.is_none() => load.total_bytes = done.bytes,
            Ok(_) if job == load.open => {}
            Ok(done) => {
                load.asked -= 1;
                if let Found::Bytes(bytes) = done.found {
                    load.is_whole |= bytes.is_empty();
                    load.pieces.push_back(bytes);
                }
            }
        }
        while !load.is_whole && load.asked + load.pieces.len() < PIECES_AHEAD {
            self.load_job(FileJob::Read(load.file, PIECE_BYTES));
            load.asked += 1;
        }
        self.durability.load = Some(load);
    }

    /// Loads on. True when there is more to do at once.
    pub(super) fn load_some(&mut self, host: &mut dyn Host) -> bool {
        let Some(mut load) = self.durability.load.take() else { return false };
        if load.is_delayed {
            self.durability.load = Some(load);
            return false;
        }
        // A script of the log may let others speak: what comes meanwhile waits.
        self.durability.reading = Some(load.progress(self.now.mono_us));
        self.exchange_databases(&mut load);
        let read = self.read_some(host, &mut load);
        self.exchange_databases(&mut load);
        self.durability.reading = None;
        if !self.durability.arrived.is_empty() {
            self.durability.load = Some(load);
            for (job, result) in mem::take(&mut self.durability.arrived) {
                self.load_went_on(host, job, result);
            }
            let Some(again) = self.durability.load.take() else { return false };
            load = again;
        }
        match read {
            Ok(Some(more)) => {
                self.durability.load = Some(load);
                self.read_on_from_primary();
                more
            }
            Ok(None) if load.replay.is_some() => {
                self.end_part(host, load);
                true
            }
            Ok(None) => {
                self.end_load(host, *load);
                false
            }
            Err(Refusal::BadLog(bad)) if self.may_cut(&load, &bad) => {
                self.cut_part(host, load, &bad);
                true
            }
            Err(refusal) => {
                self.fail_load(host, *load, &refusal);
                false
            }
        }
    }

    /// Where a dataset is loaded beside the databases, those are exchanged for a slice.
    fn exchange_databases(&mut self, load: &mut Load) {
        if let Origin::Primary(Some(fresh)) = &mut load.origin {
            mem::swap(&mut self.dbs, fresh);
        }
    }

    /// Reads for a slice. Returns whether there is more to do at once; none at the end of the file.
    fn read_some(&mut self, host: &mut dyn Host, load: &mut Load) -> Result<Option<bool>, Refusal> {
        let end = host.ticks() + LOAD_US_PER_TURN * self.ticker.per_ms / 1000;
        let slice_end = load.reader.offset() + self.conf.loading_process_events_interval_bytes as u64;
        let replays = load.replay.as_ref().map(|replay| replay.client);
        let mut items = 0u32;
        loop {
            let before = load.counts.loaded + load.counts.commands;
            let Load { reader, replay, counts, used_memory, begun_unix_s, .. } = load;
            let step = match reader {
                Reader::Dump(reader) => match reader.next(&self.conf.tuning)? {
                    Next::Need => Step::Need,
                    Next::More => Step::More,
                    Next::End => Step::End,
                    Next::Item(item) => Step::Item(item),
                },
                Reader::Log(scanner) => match scanner.next(&self.conf.tuning)? {
                    scan::Next::Need => Step::Need,
                    scan::Next::More => Step::More,
                    scan::Next::End => Step::End,
                    scan::Next::Item(scan::Item::Dump(item)) => Step::Item(item),
                    scan::Next::Item(scan::Item::Command(args)) => Step::Command(args),
                    scan::Next::Item(scan::Item::Timestamp(unix_s)) => Step::Time(unix_s),
                },
            };
            match step {
                Step::Need => match load.pieces.pop_front() {
                    Some(piece) if piece.is_empty() => load.reader.finish(),
                    Some(piece) => {
                        load.reader.feed(&piece);
                        if !load.is_whole {
                            self.load_job(FileJob::Read(load.file, PIECE_BYTES));
                            load.asked += 1;
                        }
                    }
                    None => return Ok(Some(false)),
                },
                Step::More => items += 64,
                Step::End => return Ok(None),
                Step::Item(Item::Key(key)) => {
                    // A primary, or whoever imports, says when a key goes.
                    let keeps = replays.is_some() || self.is_replica() || self.conf.import_mode;
                    let expired = if keeps { Expired::Keep } else { Expired::Remove };
                    self.load_key(key, counts, Twice::Refuse, expired)?;
                }
                // Those that serve stay until the dataset takes the place of the other.
                Step::Item(Item::Function(code)) if matches!(load.origin, Origin::Primary(Some(_))) => {
                    load.functions.push(code);
                }
                Step::Item(Item::Function(code)) => self.load_function(host, code, Twice::Refuse)?,
                Step::Item(Item::Aux { name, text }) if load.history.note(&name, &text) => {
                    if matches!(load.origin, Origin::Start)
                        && replays.is_none()
                        && let Some(found) = load.history.take()
                    {
                        self.take_over_history(found);
                    }
                }
                Step::Item(item) => {
                    let made = note_item(item, counts, used_memory, *begun_unix_s);
                    if replays.is_some() {
                        self.note_time_of_base(made)?;
                    }
                }
                Step::Time(unix_s) => {
                    if self.note_time(load, unix_s)? {
                        return Ok(None);
                    }
                }
                Step::Command(args) => {
                    if let (Some(client), Some(replay)) = (replays, replay) {
                        replay.note_command();
                        self.replay_command(host, client, args)?;
                        counts.commands += 1;
                    }
                }
            }
            items += 1;
            if self.delay_load(load, load.counts.loaded + load.counts.commands - before) {
                return Ok(Some(false));
            }
            // The clock costs more than a small key.
            if items >= 64 {
                items = 0;
                if host.ticks() > end || load.reader.offset() > slice_end {
                    return Ok(Some(true));
                }
            }
        }
    }

    /// Waits as `key-load-delay` asks. True when the load has to wait.
    fn delay_load(&mut self, load: &mut Load, keys: u64) -> bool {
        let delay = i64::from(self.conf.key_load_delay_us);
        if delay == 0 || keys == 0 {
            return false;
        }
        if delay < 0 {
            let done = load.counts.loaded + load.counts.commands;
            load.delay_us += u64::from(done.is_multiple_of(delay.unsigned_abs()));
        } else {
            load.delay_us += keys * delay as u64;
        }
        let ms = load.delay_us / 1000;
        if ms > 0 {
            load.delay_us %= 1000;
            load.is_delayed = true;
            self.timers.insert(self.now.mono_ms() + ms, Timer::LoadGoesOn);
        }
        ms > 0
    }

    /// The delay of `key-load-delay` is over.
    pub(in crate::engine) fn end_load_delay(&mut self) {
        if let Some(load) = &mut self.durability.load {
            load.is_delayed = false;
        }
    }

    /// Puts a key into its database.
    pub(super) fn load_key(
        &mut self,
        key: Key<'_>,
        counts: &mut Counts,
        twice: Twice,
        expired: Expired,
    ) -> Result<(), Refusal> {
        let index = key.db as usize;
        if index >= self.dbs.count() {
            return Err(Refusal::Unfit(format!(
                "FATAL: Data file was created with a Redis server configured to handle more than {} databases. Exiting",
                self.dbs.count()
            )));
        }
        if expired != Expired::Keep && key.deadline.is_some_and(|ms| is_past(ms, self.now.unix_ms())) {
            counts.expired += 1;
            if expired == Expired::Remove {
                let verb = self.conf.verb_of_expiry();
                self.propagation.removal(key.db, &[verb, key.key]);
                self.propagation.close_each();
            }
            return Ok(());
        }
        let access = self.eviction.clock.of_file(key.idle_s, key.frequency);
        let db = self.dbs.at_mut(index);
        if twice == Twice::Replace {
            let hash = db.hash(key.key);
            db.remove(key.key, hash);
        }
        let name = key.key;
        if !key.store(db, access) {
            let name = String::from_utf8_lossy(name).into_owned();
            return Err(Refusal::Unfit(format!("RDB has duplicated key '{name}' in DB {index}")));
        }
        counts.loaded += 1;
        Ok(())
    }

    pub(super) fn load_function(
        &mut self,
        host: &mut dyn Host,
        code: Vec<u8>,
        twice: Twice,
    ) -> Result<(), Refusal> {
        self.load_library(host, &Bytes::from(code), twice == Twice::Replace)
            .map(drop)
            .map_err(|error| Refusal::Unfit(format!("Failed loading library, {error}")))
    }

    /// Libraries that came with a dataset take the place of those that serve.
    fn replace_libraries(&mut self, host: &mut dyn Host, functions: Vec<Vec<u8>>) {
        self.flush_libraries();
        for code in functions {
            if let Err(refusal) = self.load_function(host, code, Twice::Replace) {
                log::warn!("{refusal}");
            }
        }
    }

    /// The file is loaded, or there is none.
    fn end_load(&mut self, host: &mut dyn Host, mut load: Load) {
        self.close_loaded(&load);
        self.read_on_from_primary();
        if load.total_bytes > 0 {
            let Counts { loaded, expired, empty, .. } = load.counts;
            log_counts(loaded, expired, empty);
            let us = self.now.mono_us.saturating_sub(load.begun_mono_us);
            log::info!("DB loaded from disk: {:.3} seconds", us as f64 / 1e6);
        }
        if let Origin::Primary(fresh) = &mut load.origin {
            self.durability.loads_beside = false;
            if fresh.is_some() {
                self.replace_libraries(host, load.functions);
            }
            let db = load.history.db.unwrap_or(0);
            let is_file = !load.name.is_empty() && load.reader.is_of_redis();
            let dump = is_file.then(|| Dump { name: mem::take(&mut load.name), bytes: load.total_bytes });
            self.loaded_from_primary(host, load.counts, (fresh.take(), dump), db);
            return;
        }
        self.loaded(host, load.counts);
        self.configure_log(host);
        self.note_ready(host);
    }

    /// The file cannot be loaded: the process ends.
    fn fail_load(&mut self, host: &mut dyn Host, mut load: Load, refusal: &Refusal) {
        if let Some(replay) = load.replay.take() {
            self.fail_replay(host, load, *replay, refusal);
            return;
        }
        if let Refusal::Bad(bad) = refusal {
            log::warn!("{}", bad.what);
            if bad.what.starts_with("Wrong RDB checksum") {
                log::warn!("RDB CRC error");
            }
        }
        log::warn!("{refusal}");
        if let Origin::Primary(_) = load.origin {
            self.durability.load = Some(Box::new(load));
            if let Some((is_beside, _)) = self.stop_loading() {
                self.not_loaded_from_primary(host, is_beside, true);
            }
            return;
        }
        log::warn!("Terminating server after rdb file reading failure.");
        log::warn!("Fatal error loading the DB, check server logs. Exiting.");
        self.close_loaded(&load);
        self.jobs.queue.push_back(Job::Exit(1));
    }

    /// Clients are served again, and who waits for a key looks at it.
    pub(in crate::engine) fn loaded(&mut self, host: &mut dyn Host, counts: Counts) {
        self.durability.last_load = counts;
        self.durability.changes_at_save = self.propagation.changes();
        self.note_loading();
        self.settle(host, None);
    }

    pub(super) fn close_loaded(&mut self, load: &Load) {
        self.file_job(FileJob::Close(load.file));
        self.file_job(FileJob::CloseFolder(load.folder));
    }
}

/// What the log says of a load.
pub(super) fn log_counts(loaded: u64, expired: u64, empty: u64) {
    let tail = if empty > 0 { format!(", empty keys skipped: {empty}") } else { String::new() };
    log::info!("Done loading RDB, keys loaded: {loaded}, keys expired: {expired}{tail}.");
}

fn cannot_read(name: &str, error: &DiskError) -> String {
    format!("Fatal error loading the DB: can't read the RDB file {name}: {}", error.text)
}
