//! Replies that wait for the disk.
//!
//! Whatever is committed in one turn is a batch. A reply that tells of changes waits until their batch is durable, and so do
//! all bytes after it, for a client is answered in order: in the output of a client a *mark* says from which byte on what
//! waits for which batch.
//!
//! * With `appendfsync always` everything waits that tells of data: a write for its own batch, a read for the newest batch that
//!   has changed a key in the same slot of a table, scripts, transactions, scans, messages, events and what monitors see for the
//!   newest batch of all.
//! * Otherwise only writes wait, and only while the disk is behind: where the oldest byte that is not durable is more than a
//!   second old (`everysec`), or very much is not written. So the first write that a loss of power takes, and the last that was
//!   acknowledged, are at most a second apart.
//!
//! Nothing that waits here holds up the loop, and clients that need not wait do not.

use super::super::Engine;
use super::super::client::state;
use super::super::keys;
use super::super::spec::flag;
use super::super::table::Row;
use super::super::timers::Timer;
use super::LogStage;
use crate::base::id::ClientId;
use crate::base::limit::{GATED_BYTES_MAX, LOG_BACKLOG_BYTES_MAX, LOG_LATE_MS};
use crate::config::AppendFsync;
use crate::engine::listeners::after;
use crate::resp::Args;
use std::collections::{BTreeMap, VecDeque};

/// Slots of the table of what was changed last.
const SLOTS: usize = 16_384;

/// Who waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nobody.
    #[default]
    Open,
    /// Who writes.
    Writers,
    /// Whoever is told of data.
    All,
}

/// See the head of the file.
#[derive(Debug)]
pub struct Gate {
    mode: Mode,
    /// The number of the batch that gathers.
    open: u64,
    /// The newest batch that may be told of.
    free: u64,
    /// Batches that were handed over and are not durable.
    batches: VecDeque<Batch>,
    /// Somebody waits for the batch that gathers, or a read may have to.
    is_wanted: bool,
    /// Writes that wait for it.
    writes: u64,
    /// The newest batch that changed a key of each slot; empty before it is needed.
    slots: Vec<u64>,
    /// The newest batch that may have changed any key.
    floor: u64,
    /// Clients with a mark, by the batch of the mark.
    clients: BTreeMap<u64, Vec<ClientId>>,
    /// Writes that came since the last release.
    came: u64,
    /// Writes that were released at once the last time.
    released: u64,
    /// Unless as many came before, the next sync begins at this monotonic microsecond.
    sync_at_us: Option<u64>,
    /// Replies that have waited.
    pub waits: u64,
}

/// What was committed in a turn.
#[derive(Debug)]
struct Batch {
    number: u64,
    /// Where it ends in the log.
    end: u64,
    /// Writes that wait for it.
    writes: u64,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate {
            mode: Mode::Open,
            open: 1,
            free: 0,
            batches: VecDeque::new(),
            is_wanted: false,
            writes: 0,
            slots: Vec::new(),
            floor: 0,
            clients: BTreeMap::new(),
            came: 0,
            released: 0,
            sync_at_us: None,
            waits: 0,
        }
    }
}

/// The marks of a client: from this byte of its output on everything waits for this batch.
pub type Marks = VecDeque<(u64, u64)>;

impl Gate {
    /// Who waits.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Clients that wait; one that waits for several batches counts for each.
    pub fn clients(&self) -> usize {
        self.clients.values().map(Vec::len).sum()
    }

    /// When the next sync begins at the latest, in monotonic microseconds.
    pub fn sync_at_us(&self) -> Option<u64> {
        self.sync_at_us
    }

    /// Notes that a request has changed a key, or anything where there is no hash.
    fn note_write(&mut self, hash: Option<u64>) {
        self.is_wanted = true;
        match hash {
            Some(hash) => self.slots[hash as usize % SLOTS] = self.open,
            None => self.floor = self.open,
        }
    }

    /// The batch that a read of a key depends on.
    fn of_key(&self, hash: u64) -> u64 {
        self.slots[hash as usize % SLOTS].max(self.floor)
    }

    /// The newest batch that has anything to wait for.
    fn newest(&self) -> u64 {
        if self.is_wanted { self.open } else { self.open - 1 }
    }

    /// What was committed up to this position of the log is a batch.
    fn close_batch(&mut self, end: u64) {
        if std::mem::take(&mut self.is_wanted) {
            let writes = std::mem::take(&mut self.writes);
            self.batches.push_back(Batch { number: self.open, end, writes });
            self.open += 1;
        }
    }

    /// Up to this position everything is durable.
    fn free_upto(&mut self, position: u64) {
        let mut released = 0;
        while let Some(batch) = self.batches.pop_front_if(|batch| batch.end <= position) {
            self.free = batch.number;
            released += batch.writes;
        }
        if released > 0 {
            (self.released, self.came) = (released, 0);
        }
    }
}

/// Marks, and what they hold back.
impl Engine {
    /// Bytes of a client's output that may leave.
    #[inline]
    pub(in crate::engine) fn free_bytes(&self, slot: usize) -> usize {
        let client = &self.clients[slot];
        match &client.marks {
            None => client.out.len(),
            Some(marks) => self.free_bytes_before(slot, marks),
        }
    }

    #[cold]
    fn free_bytes_before(&self, slot: usize, marks: &Marks) -> usize {
        let out = &self.clients[slot].out;
        let sent = out.appended() - out.len() as u64;
        let free = self.durability.gate.free;
        match marks.iter().find(|(_, batch)| *batch > free) {
            Some((from, _)) => (from.saturating_sub(sent) as usize).min(out.len()),
            None => out.len(),
        }
    }

    /// From this byte of a client's output on everything waits for a batch.
    fn mark(&mut self, slot: usize, from: u64, batch: u64) {
        let gate = &mut self.durability.gate;
        if batch <= gate.free {
            return;
        }
        gate.waits += 1;
        let client = &mut self.clients[slot];
        let marks = client.marks.get_or_insert_default();
        if marks.back().is_none_or(|(_, last)| *last < batch) {
            marks.push_back((from, batch));
            gate.clients.entry(batch).or_default().push(client.handle);
        }
        let held_bytes = self.clients[slot].out.len() - self.free_bytes(slot);
        if held_bytes > GATED_BYTES_MAX {
            self.clients[slot].set(state::GATED, true);
        }
    }

    /// A request has run, and what it was answered lies after this byte: does that have to wait?
    #[cold]
    pub(in crate::engine) fn gate_reply(
        &mut self,
        slot: usize,
        from: u64,
        has_written: bool,
        args: Args<'_>,
        row: &Row,
    ) {
        let mode = self.durability.gate.mode;
        let is_told = self.clients[slot].out.appended() != from;
        if has_written {
            if mode == Mode::All {
                self.note_written(args, row);
            }
            let gate = &mut self.durability.gate;
            gate.is_wanted = true;
            let open = gate.open;
            if is_told {
                (gate.writes, gate.came) = (gate.writes + 1, gate.came + 1);
                self.mark(slot, from, open);
            }
        } else if mode == Mode::All && is_told {
            let batch = self.batch_of_read(args, row);
            self.mark(slot, from, batch);
        }
    }

    /// What a client is told next, from this byte on, may tell of anything.
    #[inline]
    pub(in crate::engine) fn gate_message(&mut self, slot: usize, from: u64) {
        if self.durability.gate.mode == Mode::All {
            let newest = self.newest_change();
            self.mark(slot, from, newest);
        }
    }

    /// The newest batch, that of the command that runs included.
    fn newest_change(&mut self) -> u64 {
        if self.propagation.has_frames() {
            self.durability.gate.is_wanted = true;
        }
        self.durability.gate.newest()
    }

    /// Whether the keys of a request are all that it touches.
    fn has_only_keys(row: &Row) -> bool {
        keys::may_have_keys(row) && !row.has(flag::MAY_REPLICATE) && row.spec.keys_of.is_none()
    }

    fn note_written(&mut self, args: Args<'_>, row: &Row) {
        let keys = if Self::has_only_keys(row) { keys::keys_of(row, args) } else { None };
        let Some(keys) = keys.filter(|keys| !keys.is_empty()) else {
            return self.durability.gate.note_write(None);
        };
        for key in keys {
            let hash = self.dbs.at(0).hash(args.at(key.index));
            self.durability.gate.note_write(Some(hash));
        }
    }

    fn batch_of_read(&mut self, args: Args<'_>, row: &Row) -> u64 {
        if Self::has_only_keys(row)
            && let Some(keys) = keys::keys_of(row, args).filter(|keys| !keys.is_empty())
        {
            let (db, gate) = (self.dbs.at(0), &self.durability.gate);
            return keys.iter().map(|key| gate.of_key(db.hash(args.at(key.index)))).max().unwrap_or(0);
        }
        // What reads no data tells of none.
        let reads = flag::READONLY | flag::WRITE | flag::MAY_REPLICATE | flag::RUNS_QUEUE;
        if row.has(reads) || keys::may_have_keys(row) { self.newest_change() } else { 0 }
    }
}

/// Batches, and when they are durable.
impl Engine {
    /// Takes over who waits, as the configuration and the disk are.
    pub(in crate::engine) fn update_gate(&mut self) {
        let log = &self.durability.log;
        if log.is_closing() {
            // Who waits for the end of a log does so although nothing is logged any more.
            return;
        }
        let is_late = log.unsynced_ms(self.now.mono_ms()) > LOG_LATE_MS;
        let mode = match self.conf.appendfsync {
            // Nobody was promised that what is logged for a backup alone is durable.
            _ if log.stage() != LogStage::On || self.durability.backup.owns_log() => Mode::Open,
            AppendFsync::Always => Mode::All,
            AppendFsync::Everysec if is_late => Mode::Writers,
            _ if log.unwritten_bytes() > LOG_BACKLOG_BYTES_MAX => Mode::Writers,
            _ => Mode::Open,
        };
        let gate = &mut self.durability.gate;
        if gate.mode == mode {
            return;
        }
        let held_feed = std::mem::replace(&mut gate.mode, mode) == Mode::All;
        self.listeners.set_after(after::GATE, mode != Mode::Open);
        if held_feed {
            self.log_is_further();
        }
        let gate = &mut self.durability.gate;
        match mode {
            Mode::Open => {
                gate.slots = Vec::new();
                gate.close_batch(0);
                gate.free_upto(u64::MAX);
                gate.sync_at_us = None;
                self.release_clients();
            }
            Mode::Writers => {}
            // Nobody knows what was changed by what is not durable yet.
            Mode::All => {
                gate.slots = vec![0; SLOTS];
                gate.note_write(None);
            }
        }
    }

    /// What was committed in this turn was handed over.
    pub(super) fn close_batch(&mut self) {
        if self.durability.gate.mode == Mode::Open {
            return;
        }
        let end = self.durability.log.end();
        self.durability.gate.close_batch(end);
        self.release_gate();
        if self.durability.gate.mode == Mode::All {
            self.sync_for_gate();
        }
    }

    /// Begins the next sync of `always` when as many writes came as were released by the last, or its time has come.
    fn sync_for_gate(&mut self) {
        let (log, gate) = (&self.durability.log, &self.durability.gate);
        if log.is_syncing() || log.is_durable() {
            return;
        }
        let is_time = gate.sync_at_us.is_none_or(|at_us| at_us <= self.now.mono_us);
        if is_time || gate.came >= gate.released {
            self.durability.gate.sync_at_us = None;
            self.sync_log();
        }
    }

    /// The time of the next sync may have come.
    #[inline]
    pub(in crate::engine) fn look_at_gate(&mut self) {
        if self.durability.gate.sync_at_us.is_some_and(|at_us| at_us <= self.now.mono_us) {
            self.durability.gate.sync_at_us = None;
            self.sync_for_gate();
        }
    }

    /// A sync is done that took so long: who waited for it goes, and the next is planned.
    pub(super) fn sync_was_done(&mut self, us: u64) {
        self.update_gate();
        if self.durability.gate.mode == Mode::Open {
            return;
        }
        self.release_gate();
        self.log_is_further();
        if self.durability.gate.mode == Mode::All && !self.durability.log.is_durable() {
            self.durability.gate.sync_at_us = Some(self.now.mono_us + us / 8);
            self.sync_for_gate();
        }
    }

    /// Lets go who waits for what is durable by now.
    pub(super) fn release_gate(&mut self) {
        let log = &self.durability.log;
        let position = if self.conf.appendfsync == AppendFsync::No { log.written() } else { log.synced() };
        self.durability.gate.free_upto(position);
        self.release_clients();
    }

    fn release_clients(&mut self) {
        let free = self.durability.gate.free;
        while let Some(first) = self.durability.gate.clients.first_entry()
            && *first.key() <= free
        {
            for id in first.remove() {
                self.release_client(id, free);
            }
        }
    }

    fn release_client(&mut self, id: ClientId, free: u64) {
        let Some(slot) = self.slot_of(id) else { return };
        let client = &mut self.clients[slot];
        if let Some(marks) = &mut client.marks {
            while marks.pop_front_if(|(_, batch)| *batch <= free).is_some() {}
            if marks.is_empty() {
                client.marks = None;
            }
        }
        let held_bytes = self.clients[slot].out.len() - self.free_bytes(slot);
        if self.clients[slot].is(state::GATED) && held_bytes <= GATED_BYTES_MAX {
            self.clients[slot].set(state::GATED, false);
            self.make_runnable(slot);
        }
        self.queue_output(slot);
    }

    /// The oldest byte that is not durable may be too old by now.
    pub(in crate::engine) fn look_at_late_log(&mut self) {
        self.update_gate();
        self.arm_late_log();
    }

    /// Arms the timer that looks whether the log is late.
    pub(super) fn arm_late_log(&mut self) {
        let log = &mut self.durability.log;
        if self.conf.appendfsync != AppendFsync::Everysec || self.durability.gate.mode != Mode::Open {
            return;
        }
        if let Some(at_ms) = log.arm_late(self.now.mono_ms()) {
            self.timers.insert(at_ms, Timer::LogLate);
        }
    }
}
