//! What survives the process: saving dump files, and loading one at the start.
//!
//! [`save`] walks a snapshot, a slice at a turn; [`load`] reads a file, a slice at a turn. Neither waits for the disk: both give
//! out jobs ([`super::disk`]) and go on when these are done.
//!
//! [`log`] writes every change to the append-only log, [`rewrite`] gives it a new base, and [`replay`] runs it at a start, or a part
//! of it ([`moment`]).
//! [`backup`] keeps a base and what came after it beside the log.

mod backup;
mod bounds;
mod ends;
mod facts;
mod gate;
mod handed;
mod leftovers;
mod load;
mod log;
mod moment;
mod points;
mod preload;
mod reload;
mod replay;
mod rewrite;
mod save;
mod wait;
mod writer;

use super::disk::{FileDone, FileResult};
use super::{Done, Engine, Host};
pub use backup::{Backup, State as BackupState};
pub use gate::{Marks, Mode};
pub(in crate::engine) use load::Origin;
pub use load::{Counts, Progress};
pub use log::Stage as LogStage;
pub use reload::Reload;
pub(in crate::engine) use rewrite::Dump;
pub use save::{Target, Why};
pub use wait::NOT_LOGGED;

/// What is known of dump files.
#[derive(Debug)]
pub struct Durability {
    /// Unix seconds of the last save; that of the start without one.
    pub last_save_unix_s: u64,
    /// Changes of the keyspace at the last save, or at the last flush with save points.
    pub changes_at_save: u64,
    /// Saves that were begun.
    pub saves: u64,
    /// Saves in the background that failed one after the other, up to now.
    pub consecutive_failures: u64,
    /// Whether the last save in the background came to its end.
    pub last_background_is_ok: bool,
    /// Seconds that it took; none before the first.
    pub last_background_s: Option<u64>,
    /// Bytes of old values that the last save held, one after the other.
    pub last_kept_bytes: usize,
    /// The longest slice of a save in a turn, in microseconds.
    pub turn_us_max: u64,
    /// The version of the format of the last dump file; 0 before the first.
    pub version_written: u16,
    /// Unix seconds at which a save in the background was begun last.
    last_try_unix_s: u64,
    /// A save in the background is to be begun as soon as may be.
    is_scheduled: bool,
    /// A client has asked for a save while a rewrite was under way.
    is_save_waiting: bool,
    /// The jobs by the numbers of which clients wait for a save that has not begun.
    waiting_for_save: Vec<u64>,
    /// The append-only log.
    pub log: log::Log,
    /// Replies that wait for it.
    pub gate: gate::Gate,
    /// Microseconds that its last sync took.
    pub last_sync_us: u64,
    /// Its rewrites.
    pub rewrites: rewrite::Rewrites,
    /// What is known of backups.
    pub backup: Backup,
    /// The log goes on in another increment as soon as that is durable.
    switch: Option<log::PendingSwitch>,
    /// The manifest that no longer names what a rewrite has made superfluous is being written.
    forgetting: bool,
    /// The increment of a log that has not begun is being closed and removed.
    leaving: bool,
    /// The log has ended: what it has is being made durable, and then the manifest says where it ends.
    ending: bool,
    /// The job that is done when what a changed configuration asks of the disk is.
    configuring: Option<u64>,
    save: Option<Box<save::Save>>,
    load: Option<Box<load::Load>>,
    /// It goes into databases of its own.
    loads_beside: bool,
    /// Commands of the log are run: what they change is no news to anybody.
    pub(super) is_replaying: bool,
    /// How far the load is while a slice of it is being read.
    reading: Option<load::Progress>,
    /// What became of jobs of the load meanwhile.
    arrived: Vec<(u64, FileResult)>,
    /// The job by the number of which a client waits that the log is run again, while what was logged is being written.
    reloading: Option<u64>,
    /// The end that is under way.
    pub(super) shutdown: Option<super::shutdown::Shutdown>,
    /// A signal asked for the end while the cron was paused.
    pub(super) late_signal: Option<&'static str>,
    /// What the last load found.
    pub last_load: load::Counts,
    /// The monotonic millisecond for which the timer of the save points is armed.
    point_ms: Option<u64>,
    /// The log is loaded up to this moment only, in Unix seconds, and not written until there is another base.
    load_until: Option<i64>,
}

impl Durability {
    /// A server that has neither saved nor loaded.
    pub(super) fn new(unix_s: u64) -> Durability {
        Durability {
            last_save_unix_s: unix_s,
            changes_at_save: 0,
            saves: 0,
            consecutive_failures: 0,
            last_background_is_ok: true,
            last_background_s: None,
            last_kept_bytes: 0,
            turn_us_max: 0,
            version_written: 0,
            last_try_unix_s: 0,
            is_scheduled: false,
            is_save_waiting: false,
            waiting_for_save: Vec::new(),
            log: log::Log::default(),
            gate: gate::Gate::default(),
            last_sync_us: 0,
            rewrites: rewrite::Rewrites::default(),
            backup: Backup::default(),
            switch: None,
            forgetting: false,
            leaving: false,
            ending: false,
            configuring: None,
            save: None,
            load: None,
            loads_beside: false,
            is_replaying: false,
            reading: None,
            arrived: Vec::new(),
            reloading: None,
            shutdown: None,
            late_signal: None,
            last_load: load::Counts::default(),
            point_ms: None,
            load_until: None,
        }
    }

    /// CONFIG RESETSTAT.
    pub fn reset_counts(&mut self) {
        (self.saves, self.turn_us_max) = (0, 0);
    }

    /// Why the log could not be written, in the words of the system; empty when it could.
    pub(super) fn log_error(&self) -> &str {
        self.log.write_error.as_ref().map_or("", |error| &error.text)
    }

    /// Whether a dataset is being loaded.
    pub fn is_loading(&self) -> bool {
        (self.load.is_some() || self.reading.is_some()) && !self.loads_beside
    }

    /// Whether a dataset is being loaded beside the one that serves.
    pub fn is_loading_beside(&self) -> bool {
        self.loads_beside
    }

    /// Whether changes are logged, or will be with the first base.
    pub fn is_logging(&self) -> bool {
        self.log.stage() != LogStage::Off
    }

    /// The log has ended, as well as it could.
    pub(super) fn log_is_closed(&mut self) {
        self.ending = false;
    }

    /// Whether a save is to be begun as soon as may be.
    pub fn is_scheduled(&self) -> bool {
        self.is_scheduled
    }

    /// Where the dump goes that is being made.
    pub(super) fn target(&self) -> Option<&Target> {
        self.save.as_ref().map(|save| &save.target)
    }

    /// As [`Durability::target`], to change.
    pub(super) fn target_mut(&mut self) -> Option<&mut Target> {
        self.save.as_mut().map(|save| &mut save.target)
    }

    /// Why a dump file is being saved, or a base of the log is made; none when neither is.
    pub fn saving(&self) -> Option<Why> {
        self.save.as_ref().map(|save| save.why())
    }
}

impl Engine {
    /// Changes of the keyspace since the last save.
    pub fn unsaved_changes(&self) -> u64 {
        self.propagation.changes() - self.durability.changes_at_save
    }

    /// The number of the job that is done when what the last change of the configuration asks of the disk is; none when it asks
    /// for nothing.
    pub fn configuring(&self) -> Option<u64> {
        self.durability.configuring
    }

    /// What a changed configuration asks of the disk is going to be done.
    fn begin_configuring(&mut self) {
        if self.durability.configuring.is_none() {
            self.durability.configuring = Some(self.jobs.number(0));
        }
    }

    /// It is done, as well as it could be, unless something else is under way that may be a part of it.
    pub(super) fn end_configuring(&mut self, host: &mut dyn Host) {
        if self.durability.forgetting || self.durability.ending {
            return;
        }
        if let Some(job) = self.durability.configuring.take() {
            self.completed(host, job, Done::File(Ok(FileDone::default())));
        }
    }

    /// Does what is due for files, within bounds; true when more is due at once.
    pub fn maintain_files(&mut self, host: &mut dyn Host) -> bool {
        let mut more = false;
        if self.durability.load.is_some() {
            more |= self.load_some(host);
        }
        if self.durability.is_save_waiting && self.durability.save.is_none() {
            self.durability.is_save_waiting = false;
            self.begin_save(host, Why::Client);
        }
        if self.durability.rewrites.is_scheduled {
            self.rewrite_as_scheduled(host);
        }
        if self.durability.is_scheduled {
            self.save_as_scheduled(host);
        }
        more |= self.seal_as_wanted();
        more |= self.answer_for_backup(host);
        if self.durability.save.is_some() {
            more |= self.save_some(host);
        }
        self.begin_sync_after_save(host);
        more
    }

    /// Whether writes are refused because the last save failed.
    pub(super) fn is_unsaved(&self) -> bool {
        self.conf.stop_writes_on_bgsave_error
            && !self.conf.save.is_empty()
            && !self.durability.last_background_is_ok
    }

    /// Takes over whether writes are refused because the disk failed.
    pub(super) fn note_disk_errors(&mut self) {
        let refuses = self.is_unsaved() || !self.durability.log.is_writable();
        self.set_gate(super::admission::gate::DISK, refuses);
    }
}
