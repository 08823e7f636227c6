//! Save points: a dump is saved when so many keys changed in so many seconds.
//!
//! A change since the last save arms a timer for the moment at which a point whose changes have come would be met. So nothing
//! runs while nothing changes, and a server that rests does not forget.

use super::super::timers::Timer;
use super::super::{Engine, Host};
use super::Why;

/// After a save that failed the next one waits so long, in seconds. Redis: `CONFIG_BGSAVE_RETRY_DELAY`.
const RETRY_S: u64 = 5;

impl Engine {
    /// When a save point is met if nothing else changes, in Unix seconds.
    fn next_point_unix_s(&self) -> Option<u64> {
        if self.stands_at().is_some() {
            return None;
        }
        let changes = self.unsaved_changes();
        let met = self.conf.save.iter().filter(|(_, needed)| changes >= *needed && changes > 0);
        // Redis saves when more than that many seconds are over.
        met.map(|(seconds, _)| self.durability.last_save_unix_s.saturating_add(*seconds) + 1).min()
    }

    /// Arms the timer of the save points, where changes have come that it does not know.
    pub(in crate::engine) fn arm_save_points(&mut self) {
        let Some(at_s) = self.next_point_unix_s() else { return };
        let wait_s = at_s.max(self.retry_unix_s()).saturating_sub(self.now.unix_s());
        let at_ms = self.now.mono_ms() + wait_s * 1000;
        if self.durability.point_ms.is_none_or(|armed| at_ms < armed) {
            self.durability.point_ms = Some(at_ms);
            self.timers.insert(at_ms, Timer::SavePoint);
        }
    }

    /// The timer of the save points rings.
    pub(in crate::engine) fn look_at_save_points(&mut self, host: &mut dyn Host) {
        if self.durability.point_ms.is_some_and(|at_ms| at_ms > self.now.mono_ms()) {
            return;
        }
        self.durability.point_ms = None;
        let is_busy = self.durability.save.is_some() || self.is_dataset_coming();
        let is_met = self.next_point_unix_s().is_some_and(|at_s| at_s <= self.now.unix_s());
        if is_met && !is_busy && self.may_try_again() {
            let changes = self.unsaved_changes();
            let seconds = self.now.unix_s() - self.durability.last_save_unix_s;
            log::info!("{changes} changes in {seconds} seconds. Saving...");
            self.begin_save(host, Why::Background);
        } else if !is_busy {
            self.arm_save_points();
        }
    }

    /// Whether what is in memory is to be another dataset soon, or is not whole yet.
    fn is_dataset_coming(&self) -> bool {
        self.durability.is_loading() || self.takes_dump()
    }

    /// Whether enough time has passed since a save that failed.
    fn may_try_again(&self) -> bool {
        self.retry_unix_s() <= self.now.unix_s()
    }

    /// When a save may be tried, in Unix seconds.
    fn retry_unix_s(&self) -> u64 {
        if self.durability.last_background_is_ok { 0 } else { self.durability.last_try_unix_s + RETRY_S + 1 }
    }

    /// Begins a save that was scheduled, if it may begin now.
    pub(super) fn save_as_scheduled(&mut self, host: &mut dyn Host) {
        let may_begin = self.durability.save.is_none() && !self.is_dataset_coming() && self.may_try_again();
        if may_begin {
            self.durability.is_scheduled = false;
            self.begin_save(host, Why::Background);
        }
    }
}
