//! The snapshot: all databases as they were at one moment, handed out in slices while they change.
//!
//! [`Databases::begin_snapshot`] fixes the moment, [`Databases::step_snapshot`] hands out a bounded piece to a [`Sink`], until
//! it says that there is nothing more. Old values that a change has put aside come first, then entries that nobody has
//! touched. A large value is handed out in pieces; while it is open, old values wait, and their memory has a number.
//!
//! A database is known by its number at the start. SWAPDB moves it, FLUSHDB moves it out of the keyspace, and the snapshot
//! takes it along; see [`db::walk`](super::db::walk) for what happens within one.

use super::databases::Databases;
use super::db::Db;
use super::db::walk::DbWalk;
use super::entry::Entry;
use super::garbage::{FREE_AT_ONCE_NODES, Garbage};
use super::held::{self, Cell, Head, Held, Table};
use super::value::{Value, ValueRef};
use std::any::Any;

/// Members of a table that one step hands out.
const MEMBERS_A_STEP: usize = 256;

/// Old values inside their cells that one step hands out.
const HELD_A_STEP: usize = 64;

/// Who is given a snapshot.
pub trait Sink {
    /// What follows belongs to this database, which had so many keys at the start, so many of them with a deadline.
    fn database(&mut self, index: usize, keys: usize, with_deadline: usize);
    /// A key whose value is handed out at once.
    fn key(&mut self, head: Head<'_>, value: ValueRef<'_>);
    /// A key with a large list or stream; [`Sink::go_on`] follows until it says that it is done.
    fn begin(&mut self, head: Head<'_>, value: &Value);
    /// Takes a bounded piece of the value that was begun. True when there is more of it.
    fn go_on(&mut self, value: &Value) -> bool;
    /// A key with a table, whose members follow.
    fn begin_table(&mut self, head: Head<'_>, table: Table);
    /// A member of the table that was begun.
    fn member(&mut self, cell: Cell<'_>);
    /// The table that was begun is complete.
    fn end_table(&mut self);
}

/// Where a database of the snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the keyspace under this number.
    Keyspace(usize),
    /// Among those that were flushed.
    Flushed(usize),
}

/// The value that is being handed out in pieces.
#[derive(Debug)]
enum Open {
    Value(Value),
    Table(u64),
}

/// A snapshot that is under way.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The databases that were not empty at the start, by their number then.
    places: Vec<Place>,
    /// Those before this one have no entries left that were not met.
    scanning: usize,
    open: Option<Open>,
    /// A value that was handed out in pieces, to be freed elsewhere.
    spent: Option<Value>,
    /// Databases that were flushed and are still needed.
    flushed: Vec<Db>,
    /// The database that the sink was told of last.
    told: Option<usize>,
    /// Keys that were handed out, or begun.
    done: usize,
}

impl Snapshot {
    /// Keys that were handed out, or begun.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Two databases change places.
    pub(super) fn swap(&mut self, a: usize, b: usize) {
        for place in &mut self.places {
            match place {
                Place::Keyspace(index) if *index == a => *index = b,
                Place::Keyspace(index) if *index == b => *index = a,
                _ => {}
            }
        }
    }

    /// A database that was flushed, if the snapshot takes it along; otherwise it is returned.
    pub(super) fn take_along(&mut self, index: usize, db: Db) -> Option<Db> {
        if !db.is_walked() {
            return Some(db);
        }
        let flushed = Place::Flushed(self.flushed.len());
        for place in &mut self.places {
            if *place == Place::Keyspace(index) {
                *place = flushed;
            }
        }
        self.flushed.push(db);
        None
    }

    /// Memory of what only the snapshot needs, in bytes, but for what is held in the databases of the keyspace.
    fn own_bytes(&self) -> usize {
        let open = if let Some(Open::Value(value)) = &self.open { value.heap_bytes() } else { 0 };
        open + self.flushed.iter().map(|db| db.used_bytes() + db.held_bytes()).sum::<usize>()
    }

    fn db<'d>(&'d mut self, dbs: &'d mut [Db], place: Place) -> &'d mut Db {
        match place {
            Place::Keyspace(index) => &mut dbs[index],
            Place::Flushed(index) => &mut self.flushed[index],
        }
    }

    /// Tells the sink of a database, if it is another one than before.
    fn tell(&mut self, dbs: &mut [Db], place: Place, sink: &mut dyn Sink) {
        let Some(walk) = self.db(dbs, place).walk() else { return };
        let (index, keys, with_deadline) = (walk.index, walk.keys, walk.with_deadline);
        if self.told.replace(index) != Some(index) {
            sink.database(index, keys, with_deadline);
        }
    }

    /// Hands out a piece. True when there is more.
    fn step(&mut self, dbs: &mut [Db], sink: &mut dyn Sink) -> bool {
        match self.open.take() {
            Some(Open::Value(value)) => {
                if sink.go_on(&value) {
                    self.open = Some(Open::Value(value));
                } else {
                    self.spent = Some(value);
                }
                return true;
            }
            Some(Open::Table(id)) => {
                self.step_table(dbs, id, sink);
                return true;
            }
            None => {}
        }
        self.hand_out_held(dbs, sink) || self.hand_out_entries(dbs, sink)
    }

    fn step_table(&mut self, dbs: &mut [Db], id: u64, sink: &mut dyn Sink) {
        let mut walk = |value: &mut Value| value.walk(MEMBERS_A_STEP, |cell| sink.member(cell));
        let mut all = dbs.iter_mut().chain(&mut self.flushed);
        let more = all.find_map(|db| db.walk_followed(id, &mut walk));
        debug_assert!(more.is_some(), "a table that is followed is somewhere");
        if more == Some(true) {
            self.open = Some(Open::Table(id));
        } else {
            sink.end_table();
        }
    }

    /// Hands out old values that wait. False when there are none.
    fn hand_out_held(&mut self, dbs: &mut [Db], sink: &mut dyn Sink) -> bool {
        for at in 0..self.places.len() {
            let place = self.places[at];
            let mut left = HELD_A_STEP;
            while let Some(held) = self.db(dbs, place).pop_held() {
                self.tell(dbs, place, sink);
                self.done += 1;
                self.hand_out(held, sink);
                left -= 1;
                if self.open.is_some() || left == 0 {
                    break;
                }
            }
            if left < HELD_A_STEP {
                return true;
            }
        }
        false
    }

    fn hand_out(&mut self, old: Held, sink: &mut dyn Sink) {
        match old {
            Held::Cell(cell, far_key) => {
                let entry = Entry(&cell);
                let key = far_key.as_deref().or(entry.key().ok()).unwrap_or_default();
                if let Some(value) = held::value_in(entry) {
                    sink.key(Head::of(entry, key), value);
                }
            }
            Held::Value(head, value) if value.view().is_handed_out_in_pieces() => {
                sink.begin(head.lend(), &value);
                self.open = Some(Open::Value(value));
            }
            Held::Value(head, value) => sink.key(head.lend(), value.view()),
            Held::Table(head, table, id) => {
                sink.begin_table(head.lend(), table);
                self.open = Some(Open::Table(id));
            }
        }
    }

    /// Hands out entries that nobody has touched. False when all were met.
    fn hand_out_entries(&mut self, dbs: &mut [Db], sink: &mut dyn Sink) -> bool {
        while let Some(&place) = self.places.get(self.scanning) {
            if self.db(dbs, place).walk().is_some_and(|walk| !walk.is_through) {
                self.tell(dbs, place, sink);
                let before = self.db(dbs, place).walk().map_or(0, |walk| walk.waiting());
                let db = self.db(dbs, place);
                let met = db.walk_on(sink);
                let waiting = db.walk().map_or(0, |walk| walk.waiting()) - before;
                self.done += met - waiting;
                return true;
            }
            self.scanning += 1;
        }
        false
    }
}

impl Databases {
    /// Begins a snapshot of what is there now; one that was under way is cancelled. At a boundary of commands only, for no
    /// value may be out of the keyspace.
    pub fn begin_snapshot(&mut self) {
        self.cancel_snapshot();
        let mut snapshot = Snapshot::default();
        for (index, db) in self.dbs.iter_mut().enumerate().filter(|(_, db)| !db.is_empty()) {
            db.begin_walk(index);
            snapshot.places.push(Place::Keyspace(index));
        }
        self.snapshot = Some(Box::new(snapshot));
    }

    /// The snapshot that is under way.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_deref()
    }

    /// Hands out a piece of the snapshot, some ten to a hundred microseconds of work. False when it is complete; it has
    /// forgotten itself then.
    pub fn step_snapshot(&mut self, sink: &mut dyn Sink) -> bool {
        let Some(mut snapshot) = self.snapshot.take() else { return false };
        let more = snapshot.step(&mut self.dbs, sink);
        // To let go of it may take long; its memory is mostly that of another value and is not counted.
        let spent = snapshot.spent.take().filter(|value| value.nodes() > FREE_AT_ONCE_NODES);
        self.garbage.extend(spent.map(|value| Garbage::Other(Box::new(value), 0)));
        self.snapshot = Some(snapshot);
        if !more {
            self.end_snapshot(true);
        }
        more
    }

    /// Ends the snapshot before its end.
    pub fn cancel_snapshot(&mut self) {
        self.end_snapshot(false);
    }

    fn end_snapshot(&mut self, is_whole: bool) {
        let Some(mut snapshot) = self.snapshot.take() else { return };
        for db in &mut self.dbs {
            self.garbage.extend(db.end_walk(is_whole).map(|(held, bytes)| Garbage::Other(held, bytes)));
        }
        if !snapshot.flushed.is_empty() {
            self.garbage.push(Garbage::Databases(std::mem::take(&mut snapshot.flushed)));
        }
        let bytes = snapshot.own_bytes();
        self.garbage.push(Garbage::Other(snapshot as Box<dyn Any + Send>, bytes));
    }

    /// Memory of all old values that the snapshot has held since its start, in bytes.
    pub fn kept_bytes(&self) -> usize {
        let Some(snapshot) = self.snapshot() else { return 0 };
        let walks = self.iter().chain(&snapshot.flushed).filter_map(Db::walk);
        walks.map(DbWalk::kept_bytes).sum()
    }

    /// Memory of old values that only the snapshot needs, in bytes.
    pub fn held_bytes(&self) -> usize {
        let Some(snapshot) = self.snapshot() else { return 0 };
        snapshot.own_bytes() + self.iter().map(Db::held_bytes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests;
