//! The wheel of key deadlines: slots of 64-bit key hashes.
//!
//! The wheel does not know keys. It hands out hashes whose slot has come; the caller looks the keys up,
//! expires those whose deadline has passed and registers the others again. A slot of level 0 is one
//! millisecond; a slot of a higher level is handed out in the same way when it comes, and the caller's
//! registering moves its keys to lower levels.
//!
//! * Register a key when it gets a deadline and had none, or an earlier one; not when the deadline moves
//!   later. So a key with a deadline always has a registration at or before it.
//! * Register every hash from [`KeyWheel::take_due`] again whose key still has a deadline in the future.
//! * A deadline that was removed or changed leaves its hash behind. When there are many of those (see
//!   [`KeyWheel::len`]), call [`KeyWheel::compact`].
//! * When the clock steps back, call [`KeyWheel::reseat`] once.
//!
//! The cost: 8 bytes a registration; empty levels take nothing; a chunk starts with 4 hashes and holds 512.

mod compact;

use crate::base::rng::Rng;
use compact::Walk;
use std::collections::VecDeque;

/// Hashes of a full chunk: 4 KiB.
const CHUNK_HASHES: usize = 512;
/// Empty full-sized chunks that are kept for the next slot: 16 KiB.
const POOL_CHUNKS_MAX: usize = 4;
const SLOT_BITS: u32 = 8;
const SLOTS: usize = 1 << SLOT_BITS;
/// Enough for any 64-bit deadline. A level has no memory before its first slot is used.
const LEVELS: usize = (u64::BITS / SLOT_BITS) as usize;

/// Chunks of hashes; all but the last are full.
type Chunks = Vec<Vec<u64>>;

struct Level {
    /// Bit i is set if slot i has something, or is being compacted.
    used: [u64; SLOTS / 64],
    slots: [Chunks; SLOTS],
}

impl Level {
    fn new() -> Box<Level> {
        Box::new(Level { used: [0; SLOTS / 64], slots: std::array::from_fn(|_| Vec::new()) })
    }

    /// The first slot in use from `from` on.
    fn first_used(&self, from: usize) -> Option<usize> {
        let mut word = from / 64;
        let mut bits = *self.used.get(word)? & (u64::MAX << (from % 64));
        loop {
            if bits != 0 {
                return Some(word * 64 + bits.trailing_zeros() as usize);
            }
            word += 1;
            bits = *self.used.get(word)?;
        }
    }
}

/// Where a deadline is kept. Places are ordered as the times at which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    level: usize,
    slot: usize,
}

/// The wheel of key deadlines. See the head of the file.
#[derive(Default)]
pub struct KeyWheel {
    /// All slots that came at or before this time have been detached.
    now_ms: u64,
    levels: [Option<Box<Level>>; LEVELS],
    /// Detached slots, handed out from the front.
    due: VecDeque<Chunks>,
    pool: Vec<Vec<u64>>,
    len: usize,
    /// Where compaction stands.
    walk: Walk,
}

impl KeyWheel {
    /// An empty wheel whose time starts at `now_ms`.
    #[must_use]
    pub fn new(now_ms: u64) -> KeyWheel {
        KeyWheel { now_ms, ..KeyWheel::default() }
    }

    /// Registrations, the ones left behind by changed deadlines included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Are there no registrations?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Will hand out `hash` when the deadline has come; at once if it is past.
    #[inline]
    pub fn register(&mut self, deadline_ms: u64, hash: u64) {
        self.len += 1;
        match self.place(deadline_ms) {
            Some(place) => {
                let level = self.levels[place.level].get_or_insert_with(Level::new);
                level.used[place.slot / 64] |= 1 << (place.slot % 64);
                push(&mut level.slots[place.slot], hash, &mut self.pool);
            }
            None => {
                if self.due.is_empty() {
                    self.due.push_back(Vec::new());
                }
                if let Some(chunks) = self.due.back_mut() {
                    push(chunks, hash, &mut self.pool);
                }
            }
        }
    }

    /// Appends at most `max` hashes of slots that have come; answers whether more have. The keys of slots
    /// above level 0 may have deadlines that are still ahead.
    pub fn take_due(&mut self, now_ms: u64, max: usize, out: &mut Vec<u64>) -> bool {
        let mut left = max;
        loop {
            while let Some(chunks) = self.due.front_mut() {
                let Some(chunk) = chunks.last_mut() else {
                    self.due.pop_front();
                    continue;
                };
                let taken = left.min(chunk.len());
                out.extend(chunk.drain(chunk.len() - taken..));
                self.len -= taken;
                left -= taken;
                if !chunk.is_empty() {
                    return true;
                }
                let emptied = chunks.pop();
                self.recycle(emptied);
            }
            match self.next_place() {
                Some((place, start_ms)) if start_ms <= now_ms => {
                    self.now_ms = start_ms;
                    let chunks = self.detach(place);
                    self.due.push_back(chunks);
                }
                _ => {
                    self.now_ms = self.now_ms.max(now_ms);
                    return false;
                }
            }
        }
    }

    /// The earliest time at which [`KeyWheel::take_due`] has something to hand out.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        if self.due.iter().any(|chunks| !chunks.is_empty()) {
            return Some(self.now_ms);
        }
        self.next_place().map(|(_, start_ms)| start_ms)
    }

    /// The clock has stepped back (or far ahead): everything becomes due, to be registered again by the new
    /// time. This moves slots, not hashes, so it takes microseconds.
    pub fn reseat(&mut self, now_ms: u64) {
        while let Some((place, _)) = self.next_place() {
            let chunks = self.detach(place);
            self.due.push_back(chunks);
        }
        self.now_ms = now_ms;
    }

    /// Walks on through the slots from where the last call stopped, over about `budget` hashes. `deadline_of`
    /// gives the earliest deadline of the keys with a hash, or `None` if no key has one. A hash without a
    /// deadline is dropped; one with a later deadline moves to its slot; one with an earlier deadline is
    /// dropped, because it is registered there; and a slot keeps each hash once.
    ///
    /// Answers whether a pass over all slots has ended: every hash that was there once is there once now.
    pub fn compact(&mut self, budget: usize, deadline_of: impl FnMut(u64) -> Option<u64>) -> bool {
        compact::walk(self, budget, deadline_of)
    }

    /// Appends some registered hashes, each slot as likely as it is full; for eviction among keys with a deadline.
    pub fn sample(&self, rng: &mut Rng, count: usize, out: &mut Vec<u64>) {
        let slots: Vec<&Chunks> = self
            .levels
            .iter()
            .flatten()
            .flat_map(|level| level.slots.iter())
            .chain(&self.due)
            .filter(|chunks| !chunks.is_empty())
            .collect();
        let sizes = slots.iter().map(|chunks| chunks.iter().map(Vec::len).sum::<usize>());
        let ends: Vec<usize> = sizes
            .scan(0, |end, size| {
                *end += size;
                Some(*end)
            })
            .collect();
        let Some(&total) = ends.last().filter(|total| **total > 0) else { return };
        for _ in 0..count {
            let drawn = rng.below(total as u64) as usize;
            let slot = ends.partition_point(|end| *end <= drawn);
            let mut within = ends[slot] - drawn - 1;
            for chunk in slots[slot] {
                if within < chunk.len() {
                    out.push(chunk[within]);
                    break;
                }
                within -= chunk.len();
            }
        }
    }

    /// Bytes taken from the allocator.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let of_chunks = |chunks: &Chunks| {
            chunks.capacity() * std::mem::size_of::<Vec<u64>>()
                + chunks.iter().map(|chunk| chunk.capacity() * 8).sum::<usize>()
        };
        let levels = self.levels.iter().flatten();
        levels
            .map(|level| std::mem::size_of::<Level>() + level.slots.iter().map(of_chunks).sum::<usize>())
            .sum::<usize>()
            + self.due.iter().map(of_chunks).sum::<usize>()
            + of_chunks(&self.pool)
            + self.walk.heap_bytes(of_chunks)
    }

    /// Where a deadline belongs; `None` if it is past.
    #[inline]
    fn place(&self, deadline_ms: u64) -> Option<Place> {
        if deadline_ms <= self.now_ms {
            return None;
        }
        let level = (deadline_ms ^ self.now_ms).ilog2() / SLOT_BITS;
        let slot = (deadline_ms >> (level * SLOT_BITS)) as usize % SLOTS;
        Some(Place { level: level as usize, slot })
    }

    /// The first slot in use, and the time at which it comes.
    fn next_place(&self) -> Option<(Place, u64)> {
        self.levels.iter().enumerate().find_map(|(level, slots)| {
            let slot = slots.as_ref()?.first_used(0)?;
            let shift = level as u32 * SLOT_BITS;
            // The digits above are those of now, the digits below are zero.
            let digits_above = (self.now_ms >> shift) & !(SLOTS as u64 - 1);
            Some((Place { level, slot }, (digits_above | slot as u64) << shift))
        })
    }

    /// Takes a slot out of the wheel, also what compaction has in hand of it.
    fn detach(&mut self, place: Place) -> Chunks {
        let Some(level) = self.levels[place.level].as_mut() else { return Vec::new() };
        level.used[place.slot / 64] &= !(1 << (place.slot % 64));
        let mut chunks = std::mem::take(&mut level.slots[place.slot]);
        self.walk.give_up(place, &mut chunks);
        chunks
    }

    fn recycle(&mut self, chunk: Option<Vec<u64>>) {
        if let Some(mut chunk) = chunk
            && chunk.capacity() == CHUNK_HASHES
            && self.pool.len() < POOL_CHUNKS_MAX
        {
            chunk.clear();
            self.pool.push(chunk);
        }
    }
}

/// Adds a hash to the last chunk. The first chunk of a slot grows to its full size, others start with it.
#[inline]
fn push(chunks: &mut Chunks, hash: u64, pool: &mut Vec<Vec<u64>>) {
    match chunks.last_mut() {
        Some(chunk) if chunk.len() < chunk.capacity().min(CHUNK_HASHES) => chunk.push(hash),
        Some(chunk) if chunk.len() < CHUNK_HASHES => {
            let larger = (chunk.capacity() * 2).clamp(4, CHUNK_HASHES);
            chunk.reserve_exact(larger - chunk.len());
            chunk.push(hash);
        }
        last => {
            let mut chunk = match last {
                None => Vec::with_capacity(4),
                Some(_) => pool.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK_HASHES)),
            };
            chunk.push(hash);
            chunks.push(chunk);
        }
    }
}

#[cfg(test)]
mod tests;
