//! Compaction of the key wheel: every hash once, at its deadline.
//!
//! Slots are visited in the order in which they come. A hash with a later deadline moves to a slot that is
//! still to be visited, so that it is found to be there twice, if it is. To find the doubles within a slot of
//! millions without a pause, its chunks are sorted one by one and then merged: equal hashes come out side by
//! side.
//!
//! * A slot may come while it is being compacted: then all that is in hand becomes due with it.
//!
//! The cost: about 40 ns a hash; 8 bytes more for each hash kept of the slot in hand, until it is done.

use super::{Chunks, KeyWheel, Level, Place, push};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The slot in hand.
#[derive(Default)]
pub(super) struct Walk {
    /// The slot in hand, or the last that was done; `None` before the first slot of a pass.
    place: Option<Place>,
    /// Chunks that are not yet sorted.
    unsorted: Chunks,
    /// Sorted chunks, the lowest hash at the end.
    runs: Chunks,
    /// The lowest hash of each run (taken out of it), and the number of the run.
    lowest: BinaryHeap<Reverse<(u64, usize)>>,
    /// The hash that came out last.
    last: Option<u64>,
    /// What stays in the slot.
    kept: Chunks,
}

impl Walk {
    fn is_at_work(&self) -> bool {
        !self.unsorted.is_empty() || !self.lowest.is_empty()
    }

    /// The slot comes: adds all that is in hand of it to `chunks`.
    pub(super) fn give_up(&mut self, place: Place, chunks: &mut Chunks) {
        if self.place != Some(place) {
            return;
        }
        chunks.append(&mut self.unsorted);
        chunks.append(&mut self.runs);
        chunks.append(&mut self.kept);
        let lowest: Vec<u64> = self.lowest.drain().map(|Reverse((hash, _))| hash).collect();
        chunks.push(lowest);
        chunks.retain(|chunk| !chunk.is_empty());
        self.last = None;
    }

    pub(super) fn heap_bytes(&self, of_chunks: impl Fn(&Chunks) -> usize) -> usize {
        of_chunks(&self.unsorted)
            + of_chunks(&self.runs)
            + of_chunks(&self.kept)
            + self.lowest.capacity() * std::mem::size_of::<Reverse<(u64, usize)>>()
    }
}

/// See [`KeyWheel::compact`].
pub(super) fn walk(
    wheel: &mut KeyWheel,
    budget: usize,
    mut deadline_of: impl FnMut(u64) -> Option<u64>,
) -> bool {
    let mut left = budget.max(1);
    loop {
        if !wheel.walk.is_at_work() && !take_up_next(wheel) {
            wheel.walk.place = None;
            return true;
        }
        while let Some(mut chunk) = wheel.walk.unsorted.pop() {
            chunk.sort_unstable_by(|a, b| b.cmp(a));
            left = left.saturating_sub(chunk.len());
            if let Some(hash) = chunk.pop() {
                wheel.walk.lowest.push(Reverse((hash, wheel.walk.runs.len())));
            }
            wheel.walk.runs.push(chunk);
            if left == 0 {
                return false;
            }
        }
        while let Some(Reverse((hash, run))) = wheel.walk.lowest.pop() {
            match wheel.walk.runs[run].pop() {
                Some(next) => wheel.walk.lowest.push(Reverse((next, run))),
                None => {
                    let emptied = std::mem::take(&mut wheel.walk.runs[run]);
                    wheel.recycle(Some(emptied));
                }
            }
            settle(wheel, hash, &mut deadline_of);
            left -= 1;
            if left == 0 && !wheel.walk.lowest.is_empty() {
                return false;
            }
        }
        put_back(wheel);
        if left == 0 {
            return false;
        }
    }
}

/// Keeps, moves or drops one hash.
fn settle(wheel: &mut KeyWheel, hash: u64, deadline_of: &mut impl FnMut(u64) -> Option<u64>) {
    wheel.len -= 1;
    if wheel.walk.last.replace(hash) == Some(hash) {
        return;
    }
    let Some(deadline_ms) = deadline_of(hash) else { return };
    let (here, there) = (wheel.walk.place, wheel.place(deadline_ms));
    if there == here {
        push(&mut wheel.walk.kept, hash, &mut wheel.pool);
        wheel.len += 1;
    } else if there > here {
        wheel.register(deadline_ms, hash);
    }
}

/// Takes the slot that comes after the last one in hand.
fn take_up_next(wheel: &mut KeyWheel) -> bool {
    let from = match wheel.walk.place {
        None => Place { level: 0, slot: 0 },
        Some(place) => Place { slot: place.slot + 1, ..place },
    };
    let found = wheel.levels.iter().enumerate().skip(from.level).find_map(|(level, slots)| {
        let first = if level == from.level { from.slot } else { 0 };
        Some(Place { level, slot: slots.as_ref()?.first_used(first)? })
    });
    wheel.walk.place = found;
    let Some(place) = found else { return false };
    if let Some(level) = wheel.levels[place.level].as_mut() {
        // The slot stays marked as used, so that its time is not missed.
        wheel.walk.unsorted = std::mem::take(&mut level.slots[place.slot]);
    }
    wheel.walk.last = None;
    true
}

/// Ends the work on a slot: what is kept goes back to what was registered meanwhile.
fn put_back(wheel: &mut KeyWheel) {
    wheel.walk.runs.clear();
    let Some(place) = wheel.walk.place else { return };
    let level = wheel.levels[place.level].get_or_insert_with(Level::new);
    let slot = &mut level.slots[place.slot];
    // The part-filled chunk, if any, must stay the last one.
    let arrived = std::mem::replace(slot, std::mem::take(&mut wheel.walk.kept));
    for hash in arrived.into_iter().flatten() {
        push(slot, hash, &mut wheel.pool);
    }
    if slot.is_empty() {
        level.used[place.slot / 64] &= !(1 << (place.slot % 64));
    }
}
