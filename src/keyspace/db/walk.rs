//! One database's part of a snapshot: what it held at the start is handed out in slices while it changes.
//!
//! * Every entry carries a number of one byte, the epoch. A walk that begins gives the database a new one; new entries carry
//!   it, and so does every entry that was handed out. What carries another number was there at the start and is still
//!   to be handed out.
//! * The walk follows the scan cursor of the table, which survives growth; an entry that is met twice carries the new epoch
//!   the second time.
//! * Before an entry that is still to be handed out changes or goes, [`Db::keep`] holds its old value: see
//!   [`super::super::held`]. A table is followed by a number, wherever RENAME, MOVE and SWAPDB bring it; when it is lost it is
//!   rescued from being freed.
//! * A walk that came to its end has marked everything with its number, so all other numbers are free again. One that was
//!   cancelled has not: its number is used up until everything was marked. So the numbers between `oldest` and the newest
//!   may all be found in entries; before the newest would become `oldest` again, everything is marked. That is done in slices,
//!   early enough ([`Db::sweep_epochs`]), and at once only where nothing else is left.

use super::Db;
use crate::keyspace::entry::{self, Entry, Kind};
use crate::keyspace::held::{Head, Held, OwnedHead};
use crate::keyspace::snapshot::Sink;
use crate::keyspace::value::Value;
use crate::structures::slab::Handle;
use std::collections::{BTreeMap, VecDeque};

/// Entries that are fetched before the first of them is handed out.
const ENTRIES_AT_ONCE: usize = 64;

/// From so many numbers on that are used up everything is marked, a slice at a turn.
const SWEEP_FROM_EPOCHS: u8 = 128;

/// Buckets of the table that a slice of marking looks at.
const SWEPT_BUCKETS: usize = 128;

/// A walk that is under way.
#[derive(Debug)]
pub struct DbWalk {
    /// The number under which the database was known at the start.
    pub index: usize,
    /// Keys at the start.
    pub keys: usize,
    /// Keys with a deadline at the start.
    pub with_deadline: usize,
    /// The bucket that comes next. Meaningless once `is_through`.
    cursor: u64,
    /// All buckets were seen.
    pub is_through: bool,
    held: VecDeque<Held>,
    /// Memory behind `held`, as it was counted when each came.
    held_bytes: usize,
    /// Memory of all old values that were held since the start.
    kept_bytes: usize,
    /// Tables that began a walk.
    tables: u32,
    /// Scratch of [`Db::walk_on`].
    batch: Vec<Handle>,
}

/// Tables of a snapshot that lie in a database, which need not be the one that they were in at the start.
#[derive(Debug, Default)]
pub struct Followed {
    /// By the number of its walk: the place of a table among the values, and the bytes of its stash as they were counted.
    at: BTreeMap<u64, (u32, usize)>,
    /// Tables that were removed, and their memory in bytes.
    rescued: Vec<(u64, Value, usize)>,
    stash_bytes: usize,
    rescued_bytes: usize,
}

/// Which epochs may be found in entries.
#[derive(Debug, Default)]
pub struct Epochs {
    /// The least one that may still be there.
    oldest: u8,
    /// Where the marking goes on.
    cursor: u64,
}

impl DbWalk {
    /// Old values that wait.
    pub fn waiting(&self) -> usize {
        self.held.len()
    }

    /// Memory of all old values that were held since the start, in bytes.
    pub fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }
}

impl Db {
    /// Begins a walk: what is there now is to be handed out. `index` is the number of the database. A walk that was under
    /// way is cancelled.
    pub fn begin_walk(&mut self, index: usize) {
        let next = self.store.epoch.wrapping_add(1);
        if next == self.epochs.oldest {
            while !self.sweep_epochs() {}
        }
        self.store.epoch = self.store.epoch.wrapping_add(1);
        self.epochs.cursor = 0;
        self.walk = Some(Box::new(DbWalk {
            index,
            keys: self.len(),
            with_deadline: self.with_ttl,
            cursor: 0,
            is_through: self.is_empty(),
            held: VecDeque::new(),
            held_bytes: 0,
            kept_bytes: 0,
            tables: 0,
            batch: Vec::new(),
        }));
    }

    /// The walk that is under way.
    pub fn walk(&self) -> Option<&DbWalk> {
        self.walk.as_deref()
    }

    /// Ends the walk. `is_whole` says that everything was handed out. Returns what was held and is not needed any more.
    pub fn end_walk(&mut self, is_whole: bool) -> Option<(Box<dyn std::any::Any + Send>, usize)> {
        if is_whole && self.walk.is_some() {
            self.epochs.oldest = self.store.epoch;
        }
        let bytes = self.held_bytes();
        let walk = self.walk.take();
        let followed = self.followed.take();
        for (at, _) in followed.iter().flat_map(|followed| followed.at.values()) {
            let value = &mut self.store.values[*at as usize];
            self.store.value_bytes -= value.heap_bytes();
            value.end_walk();
            self.store.value_bytes += value.heap_bytes();
        }
        (walk.is_some() || followed.is_some())
            .then(|| (Box::new((walk, followed)) as Box<dyn std::any::Any + Send>, bytes))
    }

    /// Whether a snapshot still needs something of this database.
    pub fn is_walked(&self) -> bool {
        self.walk.is_some()
            || self.followed.as_ref().is_some_and(|f| !f.at.is_empty() || !f.rescued.is_empty())
    }

    /// Memory of old values, in bytes.
    pub fn held_bytes(&self) -> usize {
        let followed = self.followed.as_ref().map_or(0, |f| f.stash_bytes + f.rescued_bytes);
        self.walk.as_ref().map_or(0, |walk| walk.held_bytes) + followed
    }

    /// The oldest of the old values that wait.
    pub(in crate::keyspace) fn pop_held(&mut self) -> Option<Held> {
        let walk = self.walk.as_mut()?;
        let held = walk.held.pop_front()?;
        walk.held_bytes -= held.heap_bytes().min(walk.held_bytes);
        if walk.held.is_empty() {
            walk.held_bytes = 0;
        }
        Some(held)
    }

    /// Hands out the next entries. What has to be handed out in pieces is held instead. Returns how many entries were met.
    pub fn walk_on(&mut self, sink: &mut dyn Sink) -> usize {
        let Some(mut walk) = self.walk.take() else { return 0 };
        let mut batch = std::mem::take(&mut walk.batch);
        batch.clear();
        while batch.len() < ENTRIES_AT_ONCE && !walk.is_through {
            walk.cursor = self.dict.scan(walk.cursor, |handle| {
                self.store.slab.prefetch(handle);
                batch.push(handle);
            });
            walk.is_through = walk.cursor == 0;
        }
        let epoch = self.store.epoch;
        let mut met = 0;
        for &handle in &batch {
            let entry = self.entry(handle);
            if entry.epoch() == epoch {
                continue;
            }
            met += 1;
            if self.value(handle).is_handed_out_in_pieces() {
                let held = self.hold(&mut walk, handle, false);
                walk.held_bytes += held.heap_bytes();
                walk.held.push_back(held);
            } else {
                let head = Head::of(entry, self.store.key(handle));
                sink.key(head, self.value(handle));
            }
            entry::set_epoch(self.store.slab.get_mut(handle), epoch);
        }
        walk.batch = batch;
        self.walk = Some(walk);
        met
    }

    /// Holds the old value of an entry that is still to be handed out. `is_lost` says that the value will be dropped.
    #[cold]
    #[inline(never)]
    pub(super) fn keep(&mut self, handle: Handle, is_lost: bool) {
        let epoch = self.store.epoch;
        if self.entry(handle).epoch() == epoch {
            return;
        }
        let Some(mut walk) = self.walk.take() else { return };
        let held = self.hold(&mut walk, handle, is_lost);
        walk.held_bytes += held.heap_bytes();
        walk.kept_bytes += held.heap_bytes();
        walk.held.push_back(held);
        self.walk = Some(walk);
        entry::set_epoch(self.store.slab.get_mut(handle), epoch);
    }

    /// The value of an entry as it is, to be handed out later.
    fn hold(&mut self, walk: &mut DbWalk, handle: Handle, is_lost: bool) -> Held {
        let cell = self.store.slab.get(handle);
        let entry = Entry(cell);
        let key = self.store.key(handle);
        if entry.kind() != Kind::Far {
            let far_key = entry.key().is_err().then(|| key.into());
            return Held::Cell(cell.into(), far_key);
        }
        let head = OwnedHead::of(entry, key);
        let at = entry.far();
        let value = &mut self.store.values[at as usize];
        let before = value.heap_bytes();
        let id = (walk.index as u64) << 32 | u64::from(walk.tables);
        if let Some(table) = value.begin_walk(id) {
            walk.tables += 1;
            self.store.value_bytes += value.heap_bytes() - before;
            self.follow(id, at);
            return Held::Table(head, table, id);
        }
        if is_lost {
            self.store.value_bytes -= before;
            return Held::Value(head, std::mem::replace(value, Value::TAKEN));
        }
        Held::Value(head, value.frozen())
    }

    /// A table that a snapshot follows lies here now.
    #[cold]
    pub(super) fn follow(&mut self, id: u64, at: u32) {
        let stash_bytes = self.store.values[at as usize].stash_bytes();
        let followed = self.followed.get_or_insert_default();
        followed.stash_bytes += stash_bytes;
        followed.at.insert(id, (at, stash_bytes));
    }

    /// A table that a snapshot follows leaves this database.
    #[cold]
    pub(super) fn leaves(&mut self, id: u64) {
        if let Some(followed) = &mut self.followed
            && let Some((_, stash_bytes)) = followed.at.remove(&id)
        {
            followed.stash_bytes -= stash_bytes;
        }
    }

    /// A table that a snapshot follows was removed: it goes on from here.
    #[cold]
    pub(super) fn rescue(&mut self, id: u64, value: Value) {
        self.leaves(id);
        let bytes = value.heap_bytes();
        let followed = self.followed.get_or_insert_default();
        followed.rescued_bytes += bytes;
        followed.rescued.push((id, value, bytes));
    }

    /// A table that a snapshot follows was changed; its stash has so many bytes now.
    #[cold]
    pub(super) fn note_stash(&mut self, id: u64, stash_bytes: usize) {
        if let Some(followed) = &mut self.followed
            && let Some((_, counted)) = followed.at.get_mut(&id)
        {
            followed.stash_bytes = followed.stash_bytes + stash_bytes - *counted;
            *counted = stash_bytes;
        }
    }

    /// Lets `walk` hand out members of a table that is followed; it says whether more are to come. None when the table is
    /// not here.
    pub fn walk_followed(&mut self, id: u64, walk: &mut dyn FnMut(&mut Value) -> bool) -> Option<bool> {
        let followed = self.followed.as_mut()?;
        if let Some((at, _)) = followed.at.get(&id).copied() {
            let value = &mut self.store.values[at as usize];
            let before = value.heap_bytes();
            let more = walk(value);
            self.store.value_bytes = self.store.value_bytes + value.heap_bytes() - before;
            let stash_bytes = value.stash_bytes();
            if more {
                self.note_stash(id, stash_bytes)
            } else {
                self.leaves(id)
            }
            return Some(more);
        }
        let place = followed.rescued.iter().position(|(rescued, ..)| *rescued == id)?;
        let more = walk(&mut followed.rescued[place].1);
        if !more {
            let (_, value, bytes) = followed.rescued.swap_remove(place);
            followed.rescued_bytes -= bytes;
            self.throw_away(value);
        }
        Some(more)
    }

    /// Marks some entries with the newest epoch, when numbers are running out and no walk is under way. True when there is
    /// nothing to do.
    pub fn sweep_epochs(&mut self) -> bool {
        let epoch = self.store.epoch;
        if self.walk.is_some() || epoch.wrapping_sub(self.epochs.oldest) < SWEEP_FROM_EPOCHS {
            return true;
        }
        let mut batch = Vec::new();
        for _ in 0..SWEPT_BUCKETS {
            self.epochs.cursor = self.dict.scan(self.epochs.cursor, |handle| batch.push(handle));
            if self.epochs.cursor == 0 {
                self.epochs.oldest = epoch;
                break;
            }
        }
        for handle in batch {
            entry::set_epoch(self.store.slab.get_mut(handle), epoch);
        }
        self.epochs.oldest == epoch
    }
}
