//! `--load-until`: the log is loaded up to a moment, and left as it is.
//!
//! It is run up to the first time in it that is later (`aof-timestamp-enabled`). Nothing in its folder is changed then: what
//! clients write is in memory alone. BGREWRITEAOF makes of what is in memory the first base of a history that goes on; the old
//! files are history, and go when the manifest with the new base is durable. Until then another start without `--load-until`
//! finds all that there was.

use super::super::{Engine, Host, Job};
use super::load::{Load, Refusal};
use crate::persist::aof::manifest::Kind;

/// What is known of times in the log while it is run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// An increment has said a time.
    is_timed: bool,
    /// A command of an increment came before any time.
    has_untimed: bool,
}

impl Times {
    /// A command of a file of this kind is run.
    #[inline]
    pub fn note_command(&mut self, kind: Kind) {
        self.has_untimed |= kind == Kind::Increment && !self.is_timed;
    }
}

impl Engine {
    /// Loads the log up to this moment only, in Unix seconds, and does not write it: to be called before
    /// [`Engine::load_at_start`].
    pub fn load_until(&mut self, unix_s: i64) {
        self.durability.load_until = Some(unix_s);
    }

    /// The moment at which the server stands, in Unix seconds; none where it has loaded everything.
    pub fn stands_at(&self) -> Option<i64> {
        self.durability.load_until
    }

    /// Why the log cannot be loaded up to a moment; none where it can be tried, or is not asked for.
    pub(super) fn why_no_moment(&self) -> Option<String> {
        self.durability.load_until?;
        if !self.conf.appendonly {
            return Some("--load-until needs the append-only log, and appendonly is no".to_owned());
        }
        let is_empty = self.durability.log.manifest.needed().next().is_none();
        is_empty.then(|| format!("--load-until finds no append-only log in {}", self.log_path()))
    }

    /// The server cannot start as it was told to.
    pub(super) fn refuse_moment(&mut self, why: &str) {
        log::warn!("{why}. Exiting.");
        self.jobs.queue.push_back(Job::Exit(1));
    }

    /// The base says when it was written.
    ///
    /// # Errors
    ///
    /// It is later than the moment that is asked for.
    pub(super) fn note_time_of_base(&self, unix_s: Option<i64>) -> Result<(), Refusal> {
        match (self.durability.load_until, unix_s) {
            (Some(until), Some(made)) if made > until => Err(Refusal::Unfit(format!(
                "--load-until {until} lies before the base, which was made at {made},"
            ))),
            _ => Ok(()),
        }
    }

    /// The log says at which time happened what follows. True when it is to be run no further.
    ///
    /// # Errors
    ///
    /// The moment that is asked for lies where the log says no times, or before its base.
    pub(super) fn note_time(&self, load: &mut Load, unix_s: Option<i64>) -> Result<bool, Refusal> {
        let (Some(until), Some(unix_s), Some(replay)) =
            (self.durability.load_until, unix_s, &mut load.replay)
        else {
            return Ok(false);
        };
        if replay.kind() == Kind::Base {
            self.note_time_of_base(Some(unix_s))?;
            return Ok(false);
        }
        if unix_s <= until {
            replay.times.is_timed = true;
            return Ok(false);
        }
        if replay.times.has_untimed && !replay.times.is_timed {
            return Err(no_times(until));
        }
        replay.leave_rest();
        Ok(true)
    }

    /// All files were run that there are, or all up to the moment.
    ///
    /// # Errors
    ///
    /// Nobody knows whether what was run lies before the moment.
    pub(super) fn look_at_times(&self, times: Times) -> Result<(), Refusal> {
        match self.durability.load_until {
            Some(until) if times.has_untimed && !times.is_timed && until < self.now.unix_s() as i64 => {
                Err(no_times(until))
            }
            _ => Ok(()),
        }
    }

    /// The server stands at a moment: it serves, and logs nothing.
    pub(super) fn stand_at(&mut self, host: &mut dyn Host, unix_s: i64) {
        log::warn!(
            "The server stands at {unix_s}, where --load-until has stopped: nothing is logged, and no dump is saved by itself. \
             BGREWRITEAOF makes this the history, and removes what came later; without it the next start finds all of the log."
        );
        self.note_ready(host);
    }

    /// What is in memory is what there is from now on.
    pub(super) fn leave_moment(&mut self) {
        if let Some(unix_s) = self.durability.load_until.take() {
            log::warn!("What was there at {unix_s}, and what was written since, is the history now.");
            self.arm_save_points();
        }
    }
}

fn no_times(until: i64) -> Refusal {
    Refusal::Unfit(format!(
        "--load-until {until} cannot be found, since the log says no times (aof-timestamp-enabled was no)"
    ))
}
