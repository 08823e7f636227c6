//! Members: the table of a large set, hash or sorted set, from a member's bytes to its cell.
//!
//! A [`Dict`] of handles into an [`Arena`] of cells. What a cell holds besides the member is the business of its
//! [`Layout`]: nothing for a set, the value for a hash, the score for a sorted set. The hash is SipHash-1-3 of the
//! member.
//!
//! * A handle from [`Members::find`] is good until the next change of the table; one that a change answers is good until
//!   the change after it. The arena is evacuated a few cells at a time, after changes.
//! * An owner that remembers handles says so ([`Layout::KEEPS_HANDLES`]), calls [`Members::maintain`] after each change, and
//!   is told of each cell that moves. Only then do cells move.
//! * [`Members::insert`] does not look whether the member is there: call `find` first.
//! * While a walk is on its way ([`Members::begin_walk`]) every change of a member that the walk has not reached keeps
//!   what the member was; see `members/walk.rs`. Without a walk that is one test.
//!
//! The cost: 7 to 14 bytes a member in the dict, the cell with one or two bytes for its length, 3.5 for rounding.

mod walk;

use super::arena::Arena;
use super::dict::{Dict, Entries};
use super::slab::Handle;
use crate::base::hash::{HashKey, siphash13};
use crate::base::rng::Rng;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use walk::Walk;

/// Members that are looked up together, so that their misses overlap.
pub const BATCH: usize = 16;
/// An evacuation moves `MOVES` cells after every `CHANGES_PER_MOVE` changes. It has at most as many cells to move as
/// were freed before it, so it ends long before the memory runs half empty again.
const MOVES: usize = 32;
const CHANGES_PER_MOVE: u8 = 8;

/// What a cell holds.
pub trait Layout {
    /// Does the owner remember handles? Then cells move only when it asks.
    const KEEPS_HANDLES: bool = false;
    /// The member within its cell.
    fn member(cell: &[u8]) -> &[u8];
}

/// A table of members. See the head of the file.
pub struct Members<L> {
    dict: Dict,
    arena: Arena,
    key: HashKey,
    /// Changes since cells were moved last.
    changes: u8,
    walk: Option<Box<Walk>>,
    layout: PhantomData<fn() -> L>,
}

/// How the dict learns hashes as it grows.
struct Hashes<'a, L> {
    arena: &'a Arena,
    key: &'a HashKey,
    layout: PhantomData<fn() -> L>,
}

impl<L: Layout> Entries for Hashes<'_, L> {
    fn hash(&self, handle: Handle) -> u64 {
        siphash13(self.key, L::member(self.arena.get(handle)))
    }
    fn prefetch(&self, handle: Handle) {
        self.arena.prefetch(handle);
    }
}

impl<L: Layout> Members<L> {
    /// A table without members and without memory.
    #[must_use]
    pub const fn new(key: HashKey) -> Members<L> {
        Members { dict: Dict::new(), arena: Arena::new(), key, changes: 0, walk: None, layout: PhantomData }
    }

    /// Members.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.dict.len()
    }

    /// Has it no members?
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dict.is_empty()
    }

    /// Buckets of the table.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.dict.buckets()
    }

    /// Bytes taken from the allocator.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.dict.heap_bytes()
            + self.arena.heap_bytes()
            + self.walk.as_ref().map_or(0, |walk| walk.heap_bytes())
    }

    /// The hash of a member.
    #[inline]
    #[must_use]
    pub fn hash(&self, member: &[u8]) -> u64 {
        siphash13(&self.key, member)
    }

    /// The cell of a member.
    #[inline]
    #[must_use]
    pub fn find(&self, member: &[u8]) -> Option<Handle> {
        self.find_hashed(self.hash(member), member)
    }

    /// The cell of a member whose hash is known.
    #[inline]
    #[must_use]
    pub fn find_hashed(&self, hash: u64, member: &[u8]) -> Option<Handle> {
        self.dict.find(hash, |handle| L::member(self.arena.get(handle)) == member)
    }

    /// Is it a member?
    #[inline]
    #[must_use]
    pub fn contains(&self, member: &[u8]) -> bool {
        self.find(member).is_some()
    }

    /// Looks up to [`BATCH`] members at once, so that their misses overlap: `out[i]` is the cell of `members[i]`.
    pub fn find_batch(&self, members: &[&[u8]], out: &mut [Option<Handle>; BATCH]) {
        let mut hashes = [0; BATCH];
        for (hash, member) in hashes.iter_mut().zip(members) {
            *hash = self.hash(member);
            self.dict.prefetch_bucket(*hash);
        }
        for hash in &hashes[..members.len()] {
            if let Some(handle) = self.dict.candidate(*hash) {
                self.arena.prefetch(handle);
            }
        }
        for ((found, member), hash) in out.iter_mut().zip(members).zip(hashes) {
            *found = self.find_hashed(hash, member);
        }
    }

    /// The bytes of a cell.
    #[inline]
    #[must_use]
    pub fn get(&self, handle: Handle) -> &[u8] {
        self.arena.get(handle)
    }

    /// The bytes of a cell of several KiB, to be shared with a reply; `None` for a smaller one.
    #[must_use]
    pub fn shared(&self, handle: Handle) -> Option<&Bytes> {
        self.arena.shared(handle)
    }

    /// The bytes that a cell takes.
    #[must_use]
    pub fn cell_bytes(&self, handle: Handle) -> usize {
        self.arena.cell_bytes(handle)
    }

    /// Asks for the memory of a cell.
    #[inline]
    pub fn prefetch(&self, handle: Handle) {
        self.arena.prefetch(handle);
    }

    /// Asks for the bucket of a hash.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        self.dict.prefetch_bucket(hash);
    }

    /// Asks for the cell that may have this hash; its bucket should be at hand.
    #[inline]
    pub fn prefetch_cell(&self, hash: u64) {
        if let Some(handle) = self.dict.candidate(hash) {
            self.arena.prefetch(handle);
        }
    }

    /// Adds a member that is not there, by the parts of its cell.
    #[inline]
    pub fn insert(&mut self, parts: &[&[u8]]) -> Handle {
        self.maintain_alone();
        let handle = self.arena.alloc(parts);
        let hash = siphash13(&self.key, L::member(self.arena.get(handle)));
        self.link(hash, handle);
        handle
    }

    /// Adds a member that is not there and whose hash is known.
    #[inline]
    pub fn insert_hashed(&mut self, hash: u64, parts: &[&[u8]]) -> Handle {
        self.maintain_alone();
        let handle = self.arena.alloc(parts);
        self.link(hash, handle);
        handle
    }

    /// Gives the cell of a member other bytes with the same member in them. Answers where the cell is now.
    #[inline]
    pub fn replace(&mut self, handle: Handle, parts: &[&[u8]]) -> Handle {
        if self.walk.is_some() {
            self.keep(handle);
        }
        // A cell that moves is looked up by its hash, which is known only as long as the old bytes are there.
        let hash = self.hash(L::member(self.arena.get(handle)));
        let new = self.arena.overwrite(handle, parts);
        if new != handle {
            let was_there = self.dict.replace(hash, handle, new);
            debug_assert!(was_there, "a replaced cell is in the dict");
        }
        self.maintain_alone();
        new
    }

    /// Writes over some bytes of a cell, none of them the member's.
    #[inline]
    pub fn patch(&mut self, handle: Handle, offset: usize, bytes: &[u8]) {
        if self.walk.is_some() {
            self.keep(handle);
        }
        self.arena.patch(handle, offset, bytes);
    }

    /// Removes a member. Answers whether it was there.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let hash = self.hash(member);
        match self.find_hashed(hash, member) {
            Some(handle) => {
                self.unlink(hash, handle);
                true
            }
            None => false,
        }
    }

    /// Removes the member of a cell.
    #[inline]
    pub fn remove_at(&mut self, handle: Handle) {
        let hash = self.hash(L::member(self.arena.get(handle)));
        self.unlink(hash, handle);
    }

    /// Removes the members of up to [`BATCH`] cells. Misses of memory overlap.
    pub fn remove_batch(&mut self, handles: &[Handle]) {
        handles.iter().for_each(|handle| self.arena.prefetch(*handle));
        let mut hashes = [0; BATCH];
        for (hash, handle) in hashes.iter_mut().zip(handles) {
            *hash = self.hash(L::member(self.arena.get(*handle)));
            self.dict.prefetch_bucket(*hash);
        }
        for (hash, handle) in hashes.into_iter().zip(handles) {
            self.unlink_only(hash, *handle);
        }
        // Not before, for cells that move have other handles.
        handles.iter().for_each(|_| self.maintain_alone());
    }

    /// Hands out the cells of one bucket and gives the cursor of the next; 0 starts and ends a scan. A member that is
    /// there from the start to the end is handed out at least once.
    pub fn scan<'a>(&'a self, cursor: u64, mut each: impl FnMut(&'a [u8])) -> u64 {
        let mut handles = Vec::new();
        let next = self.dict.scan(cursor, |handle| {
            self.arena.prefetch(handle);
            handles.push(handle);
        });
        handles.into_iter().for_each(|handle| each(self.arena.get(handle)));
        next
    }

    /// Hands out every cell.
    pub fn for_each(&self, each: impl FnMut(Handle)) {
        self.dict.for_each(each);
    }

    /// All cells, in an order that stays as long as nothing changes.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, L> {
        Iter { members: self, bucket: 0, ahead: Vec::with_capacity(2 * AHEAD), at: 0 }
    }

    /// A cell drawn with equal chances.
    #[must_use]
    pub fn random(&self, rng: &mut Rng) -> Option<Handle> {
        self.dict.random(rng)
    }

    /// So many different cells, or all if there are fewer; which ones is drawn, their order is not to be relied on.
    #[must_use]
    pub fn sample(&self, rng: &mut Rng, count: usize) -> Vec<Handle> {
        if count.saturating_mul(3) < self.len() {
            let mut drawn = BTreeSet::new();
            while drawn.len() < count {
                drawn.extend(self.random(rng));
            }
            let mut drawn: Vec<Handle> = drawn.into_iter().collect();
            rng.shuffle(&mut drawn);
            return drawn;
        }
        let mut all = Vec::with_capacity(self.len());
        self.dict.for_each(|handle| all.push(handle));
        rng.shuffle(&mut all);
        all.truncate(count);
        all
    }

    /// Moves a few cells of chunks that are to be given back, and tells of each where it was and where it is. To be
    /// called after each change by an owner that remembers handles; cheap when there is nothing to do.
    #[inline]
    pub fn maintain(&mut self, moved: impl FnMut(&Members<L>, Handle, Handle)) {
        if self.arena.is_evacuating() || self.arena.wants_evacuation() {
            self.evacuate(moved);
        }
    }

    #[inline]
    fn maintain_alone(&mut self) {
        if !L::KEEPS_HANDLES {
            self.maintain(|_, _, _| ());
        }
    }

    #[cold]
    fn evacuate(&mut self, mut moved: impl FnMut(&Members<L>, Handle, Handle)) {
        if !self.arena.is_evacuating() {
            // Nothing moves in this call: the handle that the change answers is still to be used.
            self.arena.begin_evacuation();
            self.changes = 0;
            return;
        }
        self.changes += 1;
        if self.changes < CHANGES_PER_MOVE {
            return;
        }
        self.changes = 0;
        let mut old = Vec::with_capacity(MOVES);
        self.arena.next_old(MOVES, &mut old);
        let mut hashes = [0; MOVES];
        for (hash, handle) in hashes.iter_mut().zip(&old) {
            *hash = siphash13(&self.key, L::member(self.arena.get(*handle)));
            self.dict.prefetch_bucket(*hash);
        }
        for (hash, handle) in hashes.into_iter().zip(old) {
            let new = self.arena.relocate(handle);
            let was_there = self.dict.replace(hash, handle, new);
            debug_assert!(was_there, "a live cell is in the dict");
            moved(self, handle, new);
        }
    }

    #[inline]
    fn link(&mut self, hash: u64, handle: Handle) {
        if let Some(walk) = &mut self.walk {
            walk.appears(hash, L::member(self.arena.get(handle)));
        }
        let hashes = Hashes::<L> { arena: &self.arena, key: &self.key, layout: PhantomData };
        self.dict.insert(hash, handle, &hashes);
    }

    #[inline]
    fn unlink(&mut self, hash: u64, handle: Handle) {
        self.unlink_only(hash, handle);
        self.maintain_alone();
    }

    /// Removes a member and moves no cell.
    #[inline]
    fn unlink_only(&mut self, hash: u64, handle: Handle) {
        if let Some(walk) = &mut self.walk {
            let cell = self.arena.get(handle);
            walk.changes(hash, L::member(cell), cell);
        }
        let removed = self.dict.remove(hash, |each| each == handle);
        debug_assert!(removed.is_some(), "a removed cell is in the dict");
        self.arena.free(handle);
    }

    /// The member of this cell is about to change.
    #[cold]
    fn keep(&mut self, handle: Handle) {
        let cell = self.arena.get(handle);
        let hash = siphash13(&self.key, L::member(cell));
        if let Some(walk) = &mut self.walk {
            walk.changes(hash, L::member(cell), cell);
        }
    }
}

/// A copy has cells of its own (oversize ones are shared) and no walk.
impl<L> Clone for Members<L> {
    fn clone(&self) -> Members<L> {
        Members {
            dict: self.dict.clone(),
            arena: self.arena.clone(),
            key: self.key,
            changes: self.changes,
            walk: None,
            layout: PhantomData,
        }
    }
}

impl<L> fmt::Debug for Members<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Members({})", self.dict.len())
    }
}

/// Cells asked for before the first of them is read.
const AHEAD: usize = 16;

/// All cells of a table. See [`Members::iter`].
pub struct Iter<'a, L> {
    members: &'a Members<L>,
    /// The bucket that comes next.
    bucket: usize,
    /// Cells that were asked for; those from `at` on are still to be handed out.
    ahead: Vec<Handle>,
    at: usize,
}

impl<'a, L: Layout> Iterator for Iter<'a, L> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.ahead.len() - self.at < AHEAD {
            self.look_ahead();
        }
        let handle = self.ahead.get(self.at)?;
        self.at += 1;
        Some(self.members.get(*handle))
    }
}

impl<L: Layout> Iter<'_, L> {
    fn look_ahead(&mut self) {
        self.ahead.drain(..self.at);
        self.at = 0;
        let Iter { members, bucket, ahead, .. } = self;
        while ahead.len() < 2 * AHEAD && *bucket < members.dict.buckets() {
            members.dict.each_in_bucket(*bucket, |handle| {
                members.arena.prefetch(handle);
                ahead.push(handle);
            });
            *bucket += 1;
        }
    }
}

#[cfg(test)]
mod tests;
