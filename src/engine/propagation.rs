//! What the outermost command propagates, and to whom.
//!
//! A write that changed something goes as it came; a handler may say something else ([`Propagation::instead`]), or that
//! nothing goes ([`Propagation::nothing`]). What nobody asked for, a key that expired or was evicted, goes at the moment
//! at which it happens ([`Propagation::removal`]), before the command that noticed it.
//!
//! * Whoever changes the keyspace counts it by [`Propagation::changed`]. A command that counts and is no write, or that
//!   changes a database and neither counts nor says what goes, is a bug, and ends the process with its name: the first
//!   always, the second in debug builds. Whether anybody follows does not matter.
//! * Nothing is encoded while nobody follows.
//! * What an outermost command has propagated is a group of frames; groups gather over a turn, and are committed before its
//!   replies leave.

use super::spec::flag;
use super::table::Row;
use crate::keyspace::Databases;
use crate::replication::batch::{Batch, target};
use crate::resp::Args;

/// What the command that runs propagates.
#[derive(Debug, Default)]
pub struct Propagation {
    /// Whether somebody follows; otherwise frames are dropped.
    is_followed: bool,
    /// Who gets what a script writes, if it has said so by `redis.set_repl`: the bits of [`target`] that it left out.
    left_out: u8,
    /// What was propagated, or was to be.
    frames: u64,
    /// Changes of the keyspace since the server started.
    changes: u64,
    command: Command,
}

/// The part that belongs to one outermost command.
#[derive(Debug, Default)]
pub struct Command {
    batch: Batch,
    /// A handler has said itself what is propagated.
    is_rewritten: bool,
}

/// How things were before a command.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    changes: u64,
    #[cfg(debug_assertions)]
    frames: u64,
    #[cfg(debug_assertions)]
    writes: u64,
}

impl Propagation {
    /// Starts or stops to gather frames; what was gathered must be committed by then.
    pub fn follow(&mut self, is_followed: bool) {
        self.is_followed = is_followed;
        if !is_followed {
            self.command.batch.clear();
        }
    }

    /// Whether somebody follows.
    #[inline]
    pub fn is_followed(&self) -> bool {
        self.is_followed
    }

    /// What was propagated since the server started, or would have been.
    #[inline]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Changes of the keyspace since the server started.
    #[inline]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Counts changes; the command is propagated when there was one.
    #[inline]
    pub fn changed(&mut self, changes: u64) {
        self.changes += changes;
    }

    /// Propagates this instead of the command as it came; may be called several times.
    pub fn instead<A: AsRef<[u8]>>(&mut self, db: u32, args: &[A]) {
        self.command.is_rewritten = true;
        self.push(db, args);
    }

    /// Propagates a command as it came, whether or not it changed something.
    pub fn as_it_came(&mut self, db: u32, args: Args<'_>) {
        self.command.is_rewritten = true;
        self.push_args(db, args);
    }

    /// Propagates nothing for the command.
    #[inline]
    pub fn nothing(&mut self) {
        self.command.is_rewritten = true;
    }

    /// Propagates a removal that nobody asked for.
    pub fn removal(&mut self, db: u32, args: &[&[u8]]) {
        self.frames += 1;
        if self.is_followed {
            self.command.batch.push(db, target::ALL, args);
        }
    }

    /// Sets who gets what the script that runs writes: bits of [`target`].
    pub fn set_targets(&mut self, targets: u8) {
        self.left_out = target::ALL & !targets;
    }

    fn push<A: AsRef<[u8]>>(&mut self, db: u32, args: &[A]) {
        self.frames += 1;
        if self.is_followed && self.left_out != target::ALL {
            self.command.batch.push(db, target::ALL & !self.left_out, args);
        }
    }

    fn push_args(&mut self, db: u32, args: Args<'_>) {
        self.frames += 1;
        if self.is_followed && self.left_out != target::ALL {
            self.command.batch.push_args(db, target::ALL & !self.left_out, args);
        }
    }

    /// Notes how things are before a command. The databases are looked at in debug builds only.
    #[inline]
    pub fn begin(&mut self, _dbs: &Databases) -> Before {
        self.command.is_rewritten = false;
        Before {
            changes: self.changes,
            #[cfg(debug_assertions)]
            frames: self.frames,
            #[cfg(debug_assertions)]
            writes: _dbs.writes(),
        }
    }

    /// Takes note of a command that is done: it is propagated as it came if it changed something and did not say otherwise.
    #[inline]
    pub fn end(&mut self, before: Before, _dbs: &Databases, row: &Row, db: u32, args: Args<'_>) {
        if self.changes != before.changes {
            self.end_of_change(row, db, args);
        }
        #[cfg(debug_assertions)]
        assert!(
            self.changes != before.changes
                || self.frames != before.frames
                || self.command.is_rewritten
                || before.writes == _dbs.writes(),
            "{} changed a database and did not say so",
            row.full_name
        );
    }

    fn end_of_change(&mut self, row: &Row, db: u32, args: Args<'_>) {
        if !self.command.is_rewritten {
            assert!(row.has(flag::WRITE | flag::MAY_REPLICATE), "{} changes but is no write", row.full_name);
            self.push_args(db, args);
        }
    }

    /// The outermost command is done: what it has propagated belongs together.
    #[inline]
    pub fn close(&mut self) {
        if self.is_followed {
            self.command.batch.close();
        }
    }

    /// Whether anything was propagated that is not committed.
    pub fn has_frames(&self) -> bool {
        self.command.batch.has_frames()
    }

    /// Whether the outermost command has propagated anything.
    pub fn has_open_frames(&self) -> bool {
        self.command.batch.has_open_frames()
    }

    /// What was propagated since the last group has nothing to do with each other.
    pub fn close_each(&mut self) {
        self.command.batch.close_each();
    }

    /// What was propagated, in groups.
    #[inline]
    pub fn batch(&mut self) -> &mut Batch {
        &mut self.command.batch
    }

    /// Puts aside what belongs to the command that runs.
    pub fn put_aside(&mut self) -> Command {
        std::mem::take(&mut self.command)
    }

    /// Takes back what [`Propagation::put_aside`] has given.
    pub fn resume(&mut self, command: Command) {
        self.command = command;
    }
}
