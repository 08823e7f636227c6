//! Dict: from a hash to the handle of an entry, one cache line a look-up.
//!
//! The keys live with the entries, in a slab; a bucket holds for each of twelve entries a tag (one byte of
//! its hash) and its handle. A look-up compares twelve tags at once and asks the caller, by a closure, about
//! the few entries whose tag fits. What does not fit into a bucket goes to overflow buckets behind it.
//!
//! **Growth is linear hashing.** With `2^level + split` buckets, an entry's one home is the low `level + 1`
//! bits of its hash if there is such a bucket, else the low `level` bits. To grow, bucket `split` is divided
//! between itself and a new last bucket; to shrink, the last bucket is poured back. Growth starts above
//! 9.2 entries a bucket and then divides a few buckets an insert until the level is done, so that the time
//! with many overflows is short. Buckets come in segments of 64 KiB: no doubled table is ever allocated.
//!
//! **The scan cursor** walks the hashes in the order of their reversed bits. A bucket of `n` bits holds one
//! unbroken range of that order whatever `n` is, so the cursor stays true while buckets divide and merge:
//! an entry that was there all the time is seen at least once.
//!
//! * `insert` does not look whether the entry is there: call [`Dict::find`] first.
//! * The closures must not be surprised by strangers: a tag fits by chance in 1 of 255 cases.
//! * The tag is bits 56 to 63 of the hash, the bucket its low bits; both should be hard to guess.
//! * Growth reads the hashes of moved entries through [`Entries`]; shrinking reads nothing.
//!
//! The cost: 7 to 15 bytes an entry, one miss a look-up besides the entry itself; an insert divides at most
//! three buckets, and one in about 2500 zeroes a segment.
//! After Litwin, "Linear Hashing" (1980); tags after Abseil's and Valkey's tables; cursor after Redis.

mod bucket;

use crate::base::rng::Rng;
use crate::structures::prefetch::prefetch;
use crate::structures::slab::Handle;
use bucket::{Bucket, Buckets, SEGMENT_BUCKETS, SLOTS};

/// Buckets divided by one insert, or merged by one removal, while the table changes its size. Three finish a
/// level after a third as many inserts as it has buckets, with less than 4 % more entries.
const STEPS_PER_CHANGE: usize = 3;
/// More than 92 entries to 10 buckets: grow. About one bucket in seven has overflowed then.
const GROW_ENTRIES_PER_10_BUCKETS: usize = 92;
/// Fewer than 36 entries to 10 buckets: shrink, to a table from which it is as far to grow again. A table that waits
/// longer costs an eviction one key in twenty that would have had room, see docs/BENCHMARKS.md#eviction.
const SHRINK_ENTRIES_PER_10_BUCKETS: usize = 36;
/// How many times fuller a table gets before it grows although it should avoid that.
const AVOID_FACTOR: usize = 4;
/// Random draws before `random` settles for an entry near a random bucket.
const RANDOM_DRAWS_MAX: usize = 200;
/// Set in the place of a bucket that is an overflow bucket.
const OVERFLOW: usize = 1 << (usize::BITS - 1);
/// End of the list of free overflow buckets.
const NO_BUCKET: u32 = u32::MAX;

/// What the dict must know about its entries when it grows.
pub trait Entries {
    /// The hash under which the entry was inserted.
    fn hash(&self, handle: Handle) -> u64;
    /// Asks for the memory that [`Entries::hash`] will read.
    fn prefetch(&self, handle: Handle);
}

/// May buckets be moved?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resizing {
    /// Grow and shrink as entries come and go.
    #[default]
    Allowed,
    /// Grow only when the table is several times too full.
    Avoid,
    /// Leave every entry in its bucket.
    Forbidden,
}

/// What the home bucket of a hash says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// No entry has this hash.
    Nothing,
    /// This entry may have it.
    Candidate(Handle),
    /// Entries that may have it lie in other buckets.
    Elsewhere,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trend {
    Still,
    Growing,
    Shrinking,
}

/// From hashes to handles. See the head of the file.
#[derive(Clone)]
pub struct Dict {
    /// The home buckets. There is memory for at least `buckets()` of them unless the dict is new.
    homes: Buckets,
    /// Every home bucket has at least `level` bits of the hash.
    level: u32,
    /// Home buckets that have been divided: those below `split` and their partners have one bit more.
    /// Always less than `2^level`.
    split: usize,
    /// `2^level + split`.
    buckets: usize,
    /// The low `level + 1` bits.
    mask: usize,
    len: usize,
    trend: Trend,
    resizing: Resizing,
    overflow: Overflow,
    /// Kept between divisions, so that they do not allocate. Empty otherwise.
    moving: Vec<(u8, Handle)>,
}

/// The pool of overflow buckets.
#[derive(Clone)]
struct Overflow {
    buckets: Buckets,
    /// Buckets from here on were never used.
    fresh: u32,
    /// First of the free ones, which are threaded by their links, or `NO_BUCKET`.
    free: u32,
    used: usize,
}

impl Overflow {
    const fn new() -> Overflow {
        Overflow { buckets: Buckets::new(), fresh: 0, free: NO_BUCKET, used: 0 }
    }

    fn take(&mut self) -> u32 {
        self.used += 1;
        if self.free != NO_BUCKET {
            let number = self.free;
            let bucket = self.buckets.get_mut(number as usize);
            self.free = bucket.link().expect("free overflow buckets are linked");
            *bucket = Bucket::EMPTY;
            return number;
        }
        let number = self.fresh;
        if number as usize == self.buckets.capacity() {
            self.buckets.grow();
        }
        self.fresh += 1;
        number
    }

    fn give_back(&mut self, number: u32) {
        self.used -= 1;
        if self.used == 0 {
            *self = Overflow::new();
            return;
        }
        let bucket = self.buckets.get_mut(number as usize);
        *bucket = Bucket::EMPTY;
        bucket.set_link(self.free);
        self.free = number;
    }
}

#[inline(always)]
fn tag_of(hash: u64) -> u8 {
    // Zero means an empty slot.
    ((hash >> 56) as u8).max(1)
}

impl Default for Dict {
    fn default() -> Dict {
        Dict::new()
    }
}

impl Dict {
    /// A dict without entries and without memory.
    #[must_use]
    pub const fn new() -> Dict {
        Dict {
            homes: Buckets::new(),
            level: 0,
            split: 0,
            buckets: 1,
            mask: 1,
            len: 0,
            trend: Trend::Still,
            resizing: Resizing::Allowed,
            overflow: Overflow::new(),
            moving: Vec::new(),
        }
    }

    /// Entries.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Has it no entries?
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Home buckets. A scan makes about as many calls.
    #[inline]
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.buckets
    }

    /// Sets how many bits of the hash count and how many buckets have been divided.
    fn set_size(&mut self, level: u32, split: usize) {
        (self.level, self.split) = (level, split);
        self.buckets = (1 << level) + split;
        self.mask = (2 << level) - 1;
    }

    /// Overflow buckets in use: a measure of how crowded the table is.
    #[must_use]
    pub fn overflow_buckets(&self) -> usize {
        self.overflow.used
    }

    /// Bytes taken from the allocator.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.homes.heap_bytes()
            + self.overflow.buckets.heap_bytes()
            + self.moving.capacity() * std::mem::size_of::<(u8, Handle)>()
    }

    /// The entry with this hash for which `is_it` answers yes.
    #[inline(always)]
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(Handle) -> bool) -> Option<Handle> {
        if self.len == 0 {
            return None;
        }
        let tag = tag_of(hash);
        let mut bucket = self.homes.get(self.home(hash));
        loop {
            let mut hits = bucket.matching(tag);
            while hits != 0 {
                let handle = bucket.handle(hits.trailing_zeros() as usize);
                if is_it(handle) {
                    return Some(handle);
                }
                hits &= hits - 1;
            }
            bucket = self.overflow.buckets.get(bucket.link()? as usize);
        }
    }

    /// Is this very handle there under this hash?
    #[inline]
    #[must_use]
    pub fn contains(&self, hash: u64, handle: Handle) -> bool {
        self.find(hash, |each| each == handle).is_some()
    }

    /// Hands out every entry that may have this hash: a few strangers may be among them.
    #[inline]
    pub fn candidates(&self, hash: u64, mut each: impl FnMut(Handle)) {
        self.find(hash, |handle| {
            each(handle);
            false
        });
    }

    /// The first entry that may have this hash. Reads only the home bucket.
    #[inline(always)]
    #[must_use]
    pub fn first(&self, hash: u64) -> First {
        if self.len == 0 {
            return First::Nothing;
        }
        let bucket = self.homes.get(self.home(hash));
        match bucket.matching(tag_of(hash)) {
            0 if bucket.link().is_none() => First::Nothing,
            0 => First::Elsewhere,
            hits => First::Candidate(bucket.handle(hits.trailing_zeros() as usize)),
        }
    }

    /// The first entry that may have this hash, to be prefetched. Reads only the home bucket.
    #[inline(always)]
    #[must_use]
    pub fn candidate(&self, hash: u64) -> Option<Handle> {
        match self.first(hash) {
            First::Candidate(handle) => Some(handle),
            First::Nothing | First::Elsewhere => None,
        }
    }

    /// Asks for the home bucket of this hash.
    #[inline(always)]
    pub fn prefetch_bucket(&self, hash: u64) {
        if self.len != 0 {
            prefetch(self.homes.get(self.home(hash)));
        }
    }

    /// Adds an entry that is not there yet. May divide a few buckets.
    #[inline]
    pub fn insert(&mut self, hash: u64, handle: Handle, entries: &impl Entries) {
        if self.homes.capacity() == 0 {
            self.homes.grow();
        }
        self.put(self.home(hash), tag_of(hash), handle);
        self.len += 1;
        if self.trend == Trend::Growing || self.too_full() {
            self.step(STEPS_PER_CHANGE, entries);
        }
    }

    /// Removes the entry with this hash for which `is_it` answers yes, and names it. May merge a few buckets.
    #[inline]
    pub fn remove(&mut self, hash: u64, mut is_it: impl FnMut(Handle) -> bool) -> Option<Handle> {
        let (place, slot) = self.locate(hash, &mut is_it)?;
        let handle = self.bucket(place).handle(slot);
        self.fill_hole(self.home(hash), place, slot);
        self.len -= 1;
        for _ in 0..STEPS_PER_CHANGE {
            if !self.wants_merge() {
                break;
            }
            self.merge_last();
        }
        Some(handle)
    }

    /// The entry has moved in the slab. Answers whether the old handle was there.
    #[inline]
    pub fn replace(&mut self, hash: u64, old: Handle, new: Handle) -> bool {
        let Some((place, slot)) = self.locate(hash, &mut |each| each == old) else { return false };
        self.bucket_mut(place).set(slot, tag_of(hash), new);
        true
    }

    /// Forgets all entries and gives all memory back.
    pub fn clear(&mut self) {
        let resizing = self.resizing;
        *self = Dict::new();
        self.resizing = resizing;
    }

    /// Says whether buckets may be moved from now on.
    pub fn set_resizing(&mut self, resizing: Resizing) {
        self.resizing = resizing;
    }

    /// Divides or merges at most `count` buckets, if the size is to change; answers whether more is to do.
    pub fn step(&mut self, count: usize, entries: &impl Entries) -> bool {
        // All entries of the buckets to come are asked for before the first is read.
        if self.wants_division() {
            for index in (self.split..self.split + count).take_while(|index| *index < 1 << self.level) {
                self.each_in(index, &mut |handle| entries.prefetch(handle));
            }
        }
        for _ in 0..count {
            if self.wants_division() {
                self.divide_next(entries);
            } else if self.wants_merge() {
                self.merge_last();
            } else {
                return false;
            }
        }
        if self.wants_division() {
            for ahead in 0..count {
                prefetch(self.homes.get((self.split + ahead) & ((1 << self.level) - 1)));
            }
            return true;
        }
        self.wants_merge()
    }

    /// Hands out the entries of one bucket and gives the cursor of the next; 0 starts and ends a scan.
    ///
    /// An entry that is there from the start of the scan to its end is handed out at least once, whatever
    /// is inserted, removed, divided or merged between the calls; possibly twice.
    pub fn scan(&self, cursor: u64, mut each: impl FnMut(Handle)) -> u64 {
        if self.len == 0 {
            return 0;
        }
        let index = self.home(cursor);
        // A divided bucket and its partner hold one bit more than the others.
        let is_divided = (index & ((1 << self.level) - 1)) < self.split;
        let bits = self.level + u32::from(is_divided);
        self.each_in(index, &mut each);
        // Bits above the bucket's own are spent: add one to the reversed rest.
        let next = (cursor | !((1u64 << bits) - 1)).reverse_bits().wrapping_add(1);
        next.reverse_bits()
    }

    /// Hands out every entry.
    pub fn for_each(&self, mut each: impl FnMut(Handle)) {
        for index in 0..self.buckets() {
            self.each_in_bucket(index, &mut each);
        }
    }

    /// Hands out the entries of one of the [`Dict::buckets`]. Together they hold every entry once.
    pub fn each_in_bucket(&self, index: usize, mut each: impl FnMut(Handle)) {
        if index < self.homes.capacity() {
            self.each_in(index, &mut each);
        }
    }

    /// An entry drawn with equal chances.
    pub fn random(&self, rng: &mut Rng) -> Option<Handle> {
        if self.len == 0 {
            return None;
        }
        // A bucket is drawn evenly and kept with a chance in proportion to its entries. Without overflow
        // twelve entries are certain to be kept; with overflow as many as nearly no chain has.
        let entries_certain = if self.overflow.used == 0 { SLOTS as u64 } else { 2 * SLOTS as u64 };
        for _ in 0..RANDOM_DRAWS_MAX {
            let index = rng.below(self.buckets() as u64) as usize;
            let count = self.count_in(index);
            let drawn = rng.below(entries_certain.max(count as u64)) as usize;
            if drawn < count {
                return self.nth_in(index, drawn);
            }
        }
        // Nearly empty, and not allowed to shrink: nearest to a random place.
        let start = rng.below(self.buckets() as u64) as usize;
        (0..self.buckets())
            .map(|step| (start + step) % self.buckets())
            .find_map(|index| self.nth_in(index, 0))
    }

    /// Appends about `count` entries from neighbouring buckets at a random place: cheap, and random enough
    /// for eviction. May append fewer, none if the table is nearly empty, and never more than `count`.
    pub fn sample(&self, rng: &mut Rng, count: usize, out: &mut Vec<Handle>) {
        if self.len == 0 {
            return;
        }
        let wanted = out.len() + count;
        let start = rng.below(self.buckets() as u64) as usize;
        for step in 0..self.buckets().min(10 * count) {
            let first = out.len();
            self.each_in((start + step) % self.buckets(), &mut |handle| out.push(handle));
            if out.len() >= wanted {
                // Which of a bucket are taken is drawn: entries in its last slots would never be seen otherwise.
                rng.shuffle(&mut out[first..]);
                out.truncate(wanted);
                break;
            }
        }
    }

    /// The home of a hash among the buckets that there are.
    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        let index = hash as usize & self.mask;
        if index < self.buckets { index } else { index & (self.mask >> 1) }
    }

    #[inline]
    fn bucket(&self, place: usize) -> &Bucket {
        if place & OVERFLOW == 0 {
            self.homes.get(place)
        } else {
            self.overflow.buckets.get(place & !OVERFLOW)
        }
    }

    #[inline]
    fn bucket_mut(&mut self, place: usize) -> &mut Bucket {
        if place & OVERFLOW == 0 {
            self.homes.get_mut(place)
        } else {
            self.overflow.buckets.get_mut(place & !OVERFLOW)
        }
    }

    /// Place of the bucket behind this one.
    #[inline]
    fn after(&self, place: usize) -> Option<usize> {
        self.bucket(place).link().map(|number| number as usize | OVERFLOW)
    }

    /// Place and slot of an entry.
    #[inline]
    fn locate(&self, hash: u64, is_it: &mut impl FnMut(Handle) -> bool) -> Option<(usize, usize)> {
        if self.len == 0 {
            return None;
        }
        let tag = tag_of(hash);
        let mut place = self.home(hash);
        loop {
            let bucket = self.bucket(place);
            let mut hits = bucket.matching(tag);
            while hits != 0 {
                let slot = hits.trailing_zeros() as usize;
                if is_it(bucket.handle(slot)) {
                    return Some((place, slot));
                }
                hits &= hits - 1;
            }
            place = self.after(place)?;
        }
    }

    /// Puts an entry into the chain that starts at `place`.
    #[inline]
    fn put(&mut self, mut place: usize, tag: u8, handle: Handle) {
        loop {
            if let Some(slot) = self.bucket(place).vacant_slot() {
                self.bucket_mut(place).set(slot, tag, handle);
                return;
            }
            place = match self.after(place) {
                Some(next) => next,
                None => self.extend(place),
            };
        }
    }

    /// Adds an overflow bucket behind a full one.
    #[cold]
    fn extend(&mut self, place: usize) -> usize {
        let number = self.overflow.take();
        let (tag, handle) = self.bucket_mut(place).set_link(number);
        self.overflow.buckets.get_mut(number as usize).set(0, tag, handle);
        number as usize | OVERFLOW
    }

    /// Empties a slot of the chain that starts at `home`. In a chain the last bucket gives an entry for it,
    /// so that holes are only at the end, and a last bucket that is down to one entry is folded into the
    /// slot of its link.
    #[inline]
    fn fill_hole(&mut self, home: usize, place: usize, slot: usize) {
        let (mut before, mut last) = (home, home);
        while let Some(next) = self.after(last) {
            (before, last) = (last, next);
        }
        if last == home {
            self.bucket_mut(place).clear_slot(slot);
            return;
        }
        let tail = *self.bucket(last);
        let from = tail.occupied().ilog2() as usize;
        self.bucket_mut(place).set(slot, tail.tag(from), tail.handle(from));
        self.bucket_mut(last).clear_slot(from);
        let tail = *self.bucket(last);
        if tail.occupied().count_ones() == 1 {
            let from = tail.occupied().trailing_zeros() as usize;
            self.bucket_mut(before).replace_link(tail.tag(from), tail.handle(from));
            self.overflow.give_back((last & !OVERFLOW) as u32);
        }
    }

    #[inline]
    fn too_full(&self) -> bool {
        // Buckets that were not yet divided hold `len / 2^level` entries, however many were.
        let entries_max = GROW_ENTRIES_PER_10_BUCKETS << self.level;
        match self.resizing {
            Resizing::Allowed => self.len * 10 > entries_max,
            Resizing::Avoid => self.len * 10 > entries_max * AVOID_FACTOR,
            Resizing::Forbidden => false,
        }
    }

    #[inline]
    fn too_empty(&self) -> bool {
        self.len * 10 < self.buckets() * SHRINK_ENTRIES_PER_10_BUCKETS && self.buckets() > 1
    }

    fn wants_division(&self) -> bool {
        let goes_on = self.resizing == Resizing::Allowed && self.trend == Trend::Growing && !self.too_empty();
        goes_on || self.too_full()
    }

    #[inline]
    fn wants_merge(&self) -> bool {
        let goes_on = self.trend == Trend::Shrinking && !self.too_full();
        self.resizing == Resizing::Allowed && (goes_on || self.too_empty())
    }

    fn divide_next(&mut self, entries: &impl Entries) {
        let (old, new) = (self.split, self.split + (1 << self.level));
        if new == self.homes.capacity() {
            self.homes.grow();
        }
        let moving = self.empty_chain(old);
        for (tag, handle) in &moving {
            let goes = entries.hash(*handle) >> self.level & 1 == 1;
            self.put(if goes { new } else { old }, *tag, *handle);
        }
        self.moving = moving;
        self.set_size(self.level, self.split + 1);
        self.trend = Trend::Growing;
        if self.split == 1 << self.level {
            self.set_size(self.level + 1, 0);
            self.trend = Trend::Still;
            self.moving = Vec::new();
        }
    }

    fn merge_last(&mut self) {
        match self.split {
            0 => self.set_size(self.level - 1, (1 << (self.level - 1)) - 1),
            _ => self.set_size(self.level, self.split - 1),
        }
        let moving = self.empty_chain(self.split + (1 << self.level));
        for (tag, handle) in &moving {
            self.put(self.split, *tag, *handle);
        }
        self.trend = if self.split == 0 { Trend::Still } else { Trend::Shrinking };
        self.moving = if self.split == 0 { Vec::new() } else { moving };
        if self.split == 0 || self.buckets().is_multiple_of(SEGMENT_BUCKETS) {
            self.homes.shrink(self.buckets());
        }
    }

    /// Takes everything out of a home bucket and gives its overflow buckets back.
    fn empty_chain(&mut self, home: usize) -> Vec<(u8, Handle)> {
        let mut moving = std::mem::take(&mut self.moving);
        moving.clear();
        let mut bucket = std::mem::replace(self.homes.get_mut(home), Bucket::EMPTY);
        loop {
            moving.extend(slots(bucket.occupied()).map(|slot| (bucket.tag(slot), bucket.handle(slot))));
            let Some(number) = bucket.link() else { break };
            bucket = *self.overflow.buckets.get(number as usize);
            self.overflow.give_back(number);
        }
        moving
    }

    #[inline]
    fn each_in(&self, home: usize, each: &mut impl FnMut(Handle)) {
        let mut bucket = self.homes.get(home);
        loop {
            slots(bucket.occupied()).for_each(|slot| each(bucket.handle(slot)));
            let Some(number) = bucket.link() else { break };
            bucket = self.overflow.buckets.get(number as usize);
        }
    }

    fn count_in(&self, home: usize) -> usize {
        let mut count = 0;
        let mut bucket = self.homes.get(home);
        loop {
            count += bucket.occupied().count_ones() as usize;
            let Some(number) = bucket.link() else { return count };
            bucket = self.overflow.buckets.get(number as usize);
        }
    }

    fn nth_in(&self, home: usize, n: usize) -> Option<Handle> {
        let (mut at, mut found) = (0, None);
        self.each_in(home, &mut |handle| {
            if at == n {
                found = Some(handle);
            }
            at += 1;
        });
        found
    }
}

/// The numbers of the bits that are set.
#[inline]
fn slots(mut bits: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if bits == 0 {
            return None;
        }
        let slot = bits.trailing_zeros() as usize;
        bits &= bits - 1;
        Some(slot)
    })
}

#[cfg(test)]
mod tests;
