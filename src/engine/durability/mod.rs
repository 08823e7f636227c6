//! What survives the process: saving dump files, and loading one at the start.
//!
//! [`save`] walks a snapshot, a slice at a turn; [`load`] reads a file, a slice at a turn. Neither waits for the disk: both give
//! out jobs ([`super::disk`]) and go on when these are done.

mod bounds;
mod leftovers;
mod load;
mod points;
mod reload;
mod save;

use super::admission::gate;
use super::{Engine, Host};
pub use load::Progress;
pub use reload::Reload;
pub use save::Why;

/// What is known of dump files.
#[derive(Debug)]
pub struct Durability {
    /// Unix seconds of the last save; that of the start without one.
    pub last_save_unix_s: u64,
    /// Changes of the keyspace at the last save, or at the last flush with save points.
    pub changes_at_save: u64,
    /// Saves that were begun.
    pub saves: u64,
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
    save: Option<Box<save::Save>>,
    load: Option<Box<load::Load>>,
    /// The end that is under way.
    pub(super) shutdown: Option<super::shutdown::Shutdown>,
    /// A signal asked for the end while the cron was paused.
    pub(super) late_signal: Option<&'static str>,
    /// What the last load found.
    pub last_load: load::Counts,
    /// The monotonic millisecond for which the timer of the save points is armed.
    point_ms: Option<u64>,
}

impl Durability {
    /// A server that has neither saved nor loaded.
    pub(super) fn new(unix_s: u64) -> Durability {
        Durability {
            last_save_unix_s: unix_s,
            changes_at_save: 0,
            saves: 0,
            last_background_is_ok: true,
            last_background_s: None,
            last_kept_bytes: 0,
            turn_us_max: 0,
            version_written: 0,
            last_try_unix_s: 0,
            is_scheduled: false,
            save: None,
            load: None,
            shutdown: None,
            late_signal: None,
            last_load: load::Counts::default(),
            point_ms: None,
        }
    }

    /// CONFIG RESETSTAT.
    pub fn reset_counts(&mut self) {
        (self.saves, self.turn_us_max) = (0, 0);
    }

    /// Whether a dataset is being loaded.
    pub fn is_loading(&self) -> bool {
        self.load.is_some()
    }

    /// Whether a save is to be begun as soon as may be.
    pub fn is_scheduled(&self) -> bool {
        self.is_scheduled
    }

    /// Why a dump file is being saved; none when none is.
    pub fn saving(&self) -> Option<Why> {
        self.save.as_ref().map(|save| save.why())
    }
}

impl Engine {
    /// Changes of the keyspace since the last save.
    pub fn unsaved_changes(&self) -> u64 {
        self.propagation.changes() - self.durability.changes_at_save
    }

    /// Does what is due for files, within bounds; true when more is due at once.
    pub fn tend_files(&mut self, host: &mut dyn Host) -> bool {
        let mut more = false;
        if self.durability.load.is_some() {
            more |= self.load_some(host);
        }
        if self.durability.is_scheduled {
            self.save_as_scheduled(host);
        }
        if self.durability.save.is_some() {
            more |= self.save_some(host);
        }
        more
    }

    /// Takes over whether writes are refused because the last save failed.
    pub(super) fn note_disk_errors(&mut self) {
        let refuses = self.conf.stop_writes_on_bgsave_error
            && !self.conf.save.is_empty()
            && !self.durability.last_background_is_ok;
        self.set_gate(gate::DISK, refuses);
    }
}
