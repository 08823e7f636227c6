//! The heaviest names of a stream of weighted ones, in bounded memory.
//!
//! A table holds so many names, each with the sum of its weights. When it is full, a new name takes the place of the
//! lightest one and goes on from its sum: so no sum is too small, one is too large by at most that of the lightest, and a
//! name that has more than its share of all is never missing. After Metwally, Agrawal and El Abbadi, "Efficient Computation
//! of Frequent and Top-k Elements in Data Streams" (2005), where it is called Space-Saving.
//!
//! An addition costs two searches in trees of as many names as there are places.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Names with the sums of their weights.
#[derive(Debug)]
pub struct Top {
    places: usize,
    sums: BTreeMap<Arc<[u8]>, u64>,
    by_sum: BTreeSet<(u64, Arc<[u8]>)>,
    total: u64,
    /// Bytes of the names.
    bytes: usize,
}

impl Top {
    /// An empty table with so many places, at least one.
    pub fn new(places: usize) -> Top {
        Top { places: places.max(1), sums: BTreeMap::new(), by_sum: BTreeSet::new(), total: 0, bytes: 0 }
    }

    /// Adds to the sum of a name.
    pub fn add(&mut self, name: &[u8], weight: u64) {
        self.total = self.total.saturating_add(weight);
        if weight == 0 {
            return;
        }
        let (name, before) = match self.sums.remove_entry(name) {
            Some((name, sum)) => {
                self.by_sum.remove(&(sum, name.clone()));
                (name, sum)
            }
            None => {
                self.bytes += name.len();
                (Arc::from(name), self.make_room())
            }
        };
        let sum = before.saturating_add(weight);
        self.sums.insert(name.clone(), sum);
        self.by_sum.insert((sum, name));
    }

    /// Frees a place if there is none; gives the sum from which a new name goes on.
    fn make_room(&mut self) -> u64 {
        if self.sums.len() < self.places {
            return 0;
        }
        let Some((sum, name)) = self.by_sum.pop_first() else { return 0 };
        self.sums.remove(&name);
        self.bytes -= name.len();
        sum
    }

    /// The heaviest names with their sums, at most `count`, the heaviest first.
    pub fn heaviest(&self, count: usize) -> impl Iterator<Item = (&[u8], u64)> {
        self.by_sum.iter().rev().take(count).map(|(sum, name)| (&**name, *sum))
    }

    /// The sum of all weights.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Memory behind it, in bytes, about.
    pub fn heap_bytes(&self) -> usize {
        self.bytes + self.sums.len() * 96
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn with_room_for_all_the_sums_are_exact() {
        let mut top = Top::new(3);
        for (name, weight) in [(b"a", 5), (b"b", 7), (b"a", 3), (b"c", 1), (b"b", 0)] {
            top.add(name, weight);
        }
        let heaviest: Vec<_> = top.heaviest(2).collect();
        assert_eq!(heaviest, [(&b"a"[..], 8), (&b"b"[..], 7)]);
        assert_eq!((top.total(), top.sums.len()), (16, 3));
    }

    /// Beside exact sums: none is too small or too large by more than what is promised, and the memory is bounded.
    #[test]
    fn names_with_more_than_their_share_are_there() {
        const PLACES: u64 = 50;
        let (mut top, mut exact) = (Top::new(PLACES as usize), BTreeMap::new());
        let mut rng = Rng::from_seed(7);
        for _ in 0..20_000 {
            let name = if rng.below(2) == 0 { rng.below(10) } else { rng.below(5000) };
            let weight = rng.below(20);
            top.add(&name.to_le_bytes(), weight);
            *exact.entry(name.to_le_bytes()).or_insert(0) += weight;
        }
        assert_eq!(top.total(), exact.values().sum::<u64>());
        assert!(top.sums.len() <= PLACES as usize && top.heap_bytes() <= PLACES as usize * 104);
        let found: BTreeMap<&[u8], u64> = top.heaviest(usize::MAX).collect();
        for (name, sum) in &exact {
            match found.get(&name[..]) {
                Some(found) => assert!(found >= sum && found - sum <= top.total() / PLACES),
                None => assert!(*sum <= top.total() / PLACES),
            }
        }
        assert_eq!(top.heaviest(10).filter(|(name, _)| name[0] < 10 && name[1] == 0).count(), 10);
    }
}
