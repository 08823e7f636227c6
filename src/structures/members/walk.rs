//! The walk of a table: all members as they were at one moment, handed out in slices while the table changes.
//!
//! The walk follows the scan cursor, which goes through the hashes in the order of their reversed bits; so whether the
//! walk has reached a member is one comparison, however buckets divide and merge meanwhile. What it has not reached is
//! **stashed** before it changes for the first time: the old bytes of a cell that is replaced or removed, the absence of
//! a member that appears. The walk hands out the members that have nothing in the stash, then the old bytes of the
//! others: exactly the members of the start, each once.
//!
//! The cost: one test a change without a walk. With one, a look-up in the stash for each change ahead of the walk, and
//! for each member handed out while the stash is not empty.

use super::{Layout, Members};
use crate::base::hash::{HashKey, siphash13};

/// Bytes in front of a stashed cell: where in it the member begins, and how long the member is.
const HEAD_BYTES: usize = 8;
/// A beginning that says: the member was absent; it follows alone.
const ABSENT: u32 = u32::MAX;

/// The layout of the stash.
pub(super) struct Stashed;

impl Layout for Stashed {
    fn member(cell: &[u8]) -> &[u8] {
        let (start, len, rest) = split(cell);
        let start = if start == ABSENT { 0 } else { start as usize };
        &rest[start..start + len]
    }
}

fn split(cell: &[u8]) -> (u32, usize, &[u8]) {
    let word = |at: usize| u32::from_le_bytes([cell[at], cell[at + 1], cell[at + 2], cell[at + 3]]);
    (word(0), word(4) as usize, &cell[HEAD_BYTES..])
}

/// A walk on its way.
pub(super) struct Walk {
    /// The number that the owner gave it.
    id: u64,
    /// The cursor of the bucket that comes next. Meaningless once `is_through`.
    cursor: u64,
    /// All buckets were seen; the stash is being handed out.
    is_through: bool,
    /// The cursor in the stash.
    stash_cursor: u64,
    stash: Members<Stashed>,
}

impl Walk {
    fn new(id: u64, key: HashKey) -> Walk {
        Walk { id, cursor: 0, is_through: false, stash_cursor: 0, stash: Members::new(key) }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        std::mem::size_of::<Walk>() + self.stash.heap_bytes()
    }

    /// Has the walk handed out, or passed over, all members with this hash?
    fn has_reached(&self, hash: u64) -> bool {
        self.is_through || hash.reverse_bits() < self.cursor.reverse_bits()
    }

    /// A member is about to be added.
    pub(super) fn appears(&mut self, hash: u64, member: &[u8]) {
        self.stash(hash, ABSENT, member, member);
    }

    /// The cell of a member is about to be changed or removed.
    pub(super) fn changes(&mut self, hash: u64, member: &[u8], cell: &[u8]) {
        let start = member.as_ptr() as usize - cell.as_ptr() as usize;
        self.stash(hash, start as u32, member, cell);
    }

    fn stash(&mut self, hash: u64, start: u32, member: &[u8], cell: &[u8]) {
        if !self.has_reached(hash) && self.stash.find_hashed(hash, member).is_none() {
            let len = member.len() as u32;
            self.stash.insert_hashed(hash, &[&start.to_le_bytes(), &len.to_le_bytes(), cell]);
        }
    }
}

impl<L: Layout> Members<L> {
    /// Starts a walk: the members of this moment are to be handed out. Returns how many there are. The number `id` stays
    /// with the table wherever it is moved, but not with a copy of it. A walk that was on its way is dropped.
    pub fn begin_walk(&mut self, id: u64) -> usize {
        self.walk = Some(Box::new(Walk::new(id, self.key)));
        self.len()
    }

    /// Hands out about `budget` cells of the walk. Answers whether it goes on; it forgets itself at its end.
    pub fn walk(&mut self, budget: usize, mut each: impl FnMut(&[u8])) -> bool {
        let Some(mut walk) = self.walk.take() else { return false };
        let mut left = budget.max(1) as isize;
        let mut handles = Vec::new();
        while left > 0 && !walk.is_through {
            handles.clear();
            let next = self.dict.scan(walk.cursor, |handle| {
                self.arena.prefetch(handle);
                handles.push(handle);
            });
            left -= 1;
            for handle in &handles {
                let cell = self.arena.get(*handle);
                let member = L::member(cell);
                let hash = siphash13(&self.key, member);
                // A bucket that was merged holds members that were handed out before.
                if !walk.has_reached(hash) && walk.stash.find_hashed(hash, member).is_none() {
                    each(cell);
                    left -= 1;
                }
            }
            walk.cursor = next;
            walk.is_through = next == 0;
        }
        while left > 0 && walk.is_through {
            walk.stash_cursor = walk.stash.scan(walk.stash_cursor, |cell| {
                left -= 1;
                let (start, _, old) = split(cell);
                if start != ABSENT {
                    each(old);
                }
            });
            if walk.stash_cursor == 0 {
                return false;
            }
        }
        self.walk = Some(walk);
        true
    }

    /// Ends a walk before its end.
    pub fn end_walk(&mut self) {
        self.walk = None;
    }

    /// The number of the walk that is on its way.
    #[inline]
    #[must_use]
    pub fn walk_id(&self) -> Option<u64> {
        self.walk.as_ref().map(|walk| walk.id)
    }

    /// Bytes that the walk keeps of what has changed.
    #[must_use]
    pub fn stash_bytes(&self) -> usize {
        self.walk.as_ref().map_or(0, |walk| walk.stash.heap_bytes())
    }
}
