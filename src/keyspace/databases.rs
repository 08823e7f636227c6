//! The databases of a server, by number.

use super::db::{Db, KeyHash};
use super::garbage::Garbage;
use super::snapshot::Snapshot;
use crate::base::hash::{HashKey, siphash13_inlined};

/// All databases. Their number is fixed when the server starts.
#[derive(Debug)]
pub struct Databases {
    pub(super) dbs: Vec<Db>,
    hash_key: HashKey,
    /// Bit `i % 64` is set when the database `i` may have changed since `take_touched`.
    touched: u64,
    /// See [`Databases::weigh`].
    weighs: bool,
    pub(super) snapshot: Option<Box<Snapshot>>,
    /// What a snapshot held and nobody needs any more.
    pub(super) garbage: Vec<Garbage>,
}

impl Databases {
    /// `count` empty databases; wheels stand at `now_ms`.
    pub fn new(count: usize, hash_key: HashKey, now_ms: u64) -> Databases {
        let dbs = (0..count).map(|_| Db::new(hash_key, now_ms)).collect();
        Databases { dbs, hash_key, touched: 0, weighs: false, snapshot: None, garbage: Vec::new() }
    }

    /// Counts from now on how much memory collections take, or no longer. To begin they have to be empty.
    pub fn weigh(&mut self, on: bool) {
        self.weighs = on;
        self.dbs.iter_mut().for_each(|db| db.weigh(on));
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.dbs.len()
    }

    /// The hash of a key, the same in all of them.
    #[inline(always)]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        siphash13_inlined(&self.hash_key, key)
    }

    /// The database at `index`.
    #[inline(always)]
    pub fn at(&self, index: usize) -> &Db {
        &self.dbs[index]
    }

    /// The database at `index`, to change.
    #[inline]
    pub fn at_mut(&mut self, index: usize) -> &mut Db {
        self.touched |= 1 << (index % 64);
        &mut self.dbs[index]
    }

    /// How often a key of theirs was written or removed, as far as [`Db::writes`] counts it.
    pub fn writes(&self) -> u64 {
        self.dbs.iter().map(Db::writes).fold(0, u64::wrapping_add)
    }

    /// Which databases may have changed since the last call: bit `i % 64` for the database `i`.
    pub fn take_touched(&mut self) -> u64 {
        std::mem::take(&mut self.touched)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Db> {
        self.dbs.iter()
    }

    /// All of them, in order, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Db> {
        self.touched = u64::MAX;
        self.dbs.iter_mut()
    }

    /// Exchanges two.
    pub fn swap(&mut self, a: usize, b: usize) {
        self.touched = u64::MAX;
        self.dbs.swap(a, b);
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.swap(a, b);
        }
    }

    /// Empties those in a range in constant time; what they held is to be freed, unless a snapshot still needs it. None when
    /// there was nothing.
    pub fn flush(&mut self, range: std::ops::Range<usize>, now_ms: u64) -> Option<Garbage> {
        self.touched = u64::MAX;
        let mut old = Vec::new();
        for index in range {
            let db = &mut self.dbs[index];
            if db.is_empty() && db.buckets() <= 1 && !db.is_walked() {
                continue;
            }
            let mut fresh = Db::new(self.hash_key, now_ms);
            fresh.weigh(self.weighs);
            let db = std::mem::replace(db, fresh);
            old.extend(match &mut self.snapshot {
                Some(snapshot) => snapshot.take_along(index, db),
                None => Some(db),
            });
        }
        if old.is_empty() { None } else { Some(Garbage::Databases(old)) }
    }

    /// Something that is to be freed elsewhere.
    pub fn take_garbage(&mut self) -> Option<Garbage> {
        self.garbage.pop()
    }

    /// Keys in all of them.
    pub fn keys(&self) -> usize {
        self.dbs.iter().map(Db::len).sum()
    }
}
