//! The databases of a server, by number.

use super::db::{Db, KeyHash};
use super::garbage::Garbage;
use crate::base::hash::{HashKey, siphash13_inlined};

/// All databases. Their number is fixed when the server starts.
#[derive(Debug)]
pub struct Databases {
    dbs: Vec<Db>,
    hash_key: HashKey,
    /// Bit `i % 64` is set when the database `i` may have changed since `take_touched`.
    touched: u64,
}

impl Databases {
    /// `count` empty databases; wheels stand at `now_ms`.
    pub fn new(count: usize, hash_key: HashKey, now_ms: u64) -> Databases {
        let dbs = (0..count).map(|_| Db::new(hash_key, now_ms)).collect();
        Databases { dbs, hash_key, touched: 0 }
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
    }

    /// Empties those in a range in constant time; what they held is to be freed. None when there was nothing.
    pub fn flush(&mut self, range: std::ops::Range<usize>, now_ms: u64) -> Option<Garbage> {
        self.touched = u64::MAX;
        let mut old = Vec::new();
        for db in self.dbs[range].iter_mut().filter(|db| !db.is_empty() || db.buckets() > 1) {
            old.push(std::mem::replace(db, Db::new(self.hash_key, now_ms)));
        }
        if old.is_empty() { None } else { Some(Garbage::Databases(old)) }
    }

    /// Keys in all of them.
    pub fn keys(&self) -> usize {
        self.dbs.iter().map(Db::len).sum()
    }
}
