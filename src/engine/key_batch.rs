//! The keys of a request that has many: the memory of several is fetched at once, so that the misses overlap.

use super::ctx::{Ctx, Key};
use crate::keyspace::db::KeyHash;

/// Keys that are fetched at once.
const KEYS_AT_ONCE: usize = 16;

/// The keys at every so many arguments of a request, to the last.
#[derive(Debug)]
pub struct KeyBatch {
    /// Argument of the next key that is handed out.
    next: usize,
    step: usize,
    hashes: [KeyHash; KEYS_AT_ONCE],
    handed_out: usize,
    fetched: usize,
}

impl KeyBatch {
    /// The keys at `first`, `first + step` and so on.
    pub fn new(first: usize, step: usize) -> KeyBatch {
        KeyBatch { next: first, step, hashes: [0; KEYS_AT_ONCE], handed_out: 0, fetched: 0 }
    }

    /// The next key, and which argument it is.
    #[inline]
    pub fn next<'a>(&mut self, ctx: &Ctx<'a>) -> Option<(usize, Key<'a>)> {
        if self.handed_out == self.fetched {
            self.fetch(ctx);
            if self.fetched == 0 {
                return None;
            }
        }
        let (index, hash) = (self.next, self.hashes[self.handed_out]);
        self.handed_out += 1;
        self.next += self.step;
        Some((index, Key { bytes: ctx.args.at(index), hash }))
    }

    fn fetch(&mut self, ctx: &Ctx<'_>) {
        let db = ctx.db_ref();
        let indexes = (self.next..ctx.args.len()).step_by(self.step);
        (self.handed_out, self.fetched) = (0, 0);
        for (hash, index) in self.hashes.iter_mut().zip(indexes) {
            *hash = ctx.key(index).hash;
            self.fetched += 1;
            db.prefetch_bucket(*hash);
        }
        if self.fetched > 1 {
            self.hashes[..self.fetched].iter().for_each(|hash| db.prefetch_entry(*hash));
        }
    }
}
