//! Ordered map from 128-bit numbers, for keys that mostly come in ascending order: ids of a stream.
//!
//! ```text
//! chunks   [ first key | -> ]  [ first key | -> ]  ...       found by bisection
//!                 |
//! chunk    keys    [ u128 ... ]                              up to 128, bisected
//!          values  [ V ... ]
//! ```
//!
//! A new greatest key is appended; when the last chunk is full a new one follows, so that chunks are full where keys
//! ascend. Elsewhere a full chunk is divided, and neighbours that have become small are joined.
//!
//! Chunks are reference-counted and copied on write: [`Clone`] copies one handle a chunk, and from then on each map pays
//! for the chunks that it changes.
//!
//! The cost: 16 bytes and the value an entry, 64 bytes a chunk; a look-up bisects the chunks, then one chunk.

use std::collections::VecDeque;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

const CHUNK_MAX: usize = 128;
/// Two neighbours with fewer entries together are joined.
const JOINED_MAX: usize = CHUNK_MAX / 2;

/// An ordered map. See the head of the file.
#[derive(Clone, Debug)]
pub struct Ordered<V> {
    /// None is empty.
    chunks: VecDeque<Chunk<V>>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Chunk<V> {
    /// Not greater than its least key, and greater than all keys of the chunk before.
    first: u128,
    body: Arc<Body<V>>,
}

#[derive(Clone, Debug)]
struct Body<V> {
    /// In ascending order.
    keys: Vec<u128>,
    /// One for each key.
    values: Vec<V>,
}

impl<V> Default for Ordered<V> {
    fn default() -> Ordered<V> {
        Ordered { chunks: VecDeque::new(), len: 0 }
    }
}

impl<V: Clone> Ordered<V> {
    /// A map without entries.
    #[must_use]
    pub fn new() -> Ordered<V> {
        Ordered::default()
    }

    /// How many entries it has.
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

    /// Memory behind the map, without what its values own.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        const CHUNK_BYTES: usize = 16 + 48;
        let entries = if self.chunks.len() < 2 { self.len.next_power_of_two() } else { self.len };
        entries * (16 + size_of::<V>())
            + self.chunks.len() * CHUNK_BYTES
            + self.chunks.capacity() * size_of::<Chunk<V>>()
    }

    /// The chunk in which `key` is or would be.
    fn chunk_of(&self, key: u128) -> Option<usize> {
        match self.chunks.back() {
            None => None,
            Some(last) if key >= last.first => Some(self.chunks.len() - 1),
            Some(_) => Some(self.chunks.partition_point(|chunk| chunk.first <= key).saturating_sub(1)),
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: u128) -> Option<&V> {
        let body = &self.chunks[self.chunk_of(key)?].body;
        body.keys.binary_search(&key).ok().map(|at| &body.values[at])
    }

    /// Has it this key?
    #[must_use]
    pub fn contains(&self, key: u128) -> bool {
        self.get(key).is_some()
    }

    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, key: u128) -> Option<&mut V> {
        let chunk = self.chunk_of(key)?;
        let at = self.chunks[chunk].body.keys.binary_search(&key).ok()?;
        Some(&mut Arc::make_mut(&mut self.chunks[chunk].body).values[at])
    }

    /// The entry with the least key.
    #[must_use]
    pub fn first(&self) -> Option<(u128, &V)> {
        let body = &self.chunks.front()?.body;
        Some((*body.keys.first()?, body.values.first()?))
    }

    /// The entry with the greatest key.
    #[inline]
    #[must_use]
    pub fn last(&self) -> Option<(u128, &V)> {
        let body = &self.chunks.back()?.body;
        Some((*body.keys.last()?, body.values.last()?))
    }

    /// The value with the greatest key, to be changed.
    #[inline]
    pub fn last_mut(&mut self) -> Option<&mut V> {
        Arc::make_mut(&mut self.chunks.back_mut()?.body).values.last_mut()
    }

    /// The last entry whose key is not greater than `key`.
    #[must_use]
    pub fn floor(&self, key: u128) -> Option<(u128, &V)> {
        self.range(..=key).next_back()
    }

    /// Sets the value of a key; gives the one that it had.
    pub fn insert(&mut self, key: u128, value: V) -> Option<V> {
        let Some(chunk) = self.chunk_of(key) else {
            self.append_chunk(key, value);
            return None;
        };
        let is_last = chunk + 1 == self.chunks.len();
        let body = &mut self.chunks[chunk].body;
        let at = match body.keys.last() {
            Some(last) if *last < key => body.keys.len(),
            _ => match body.keys.binary_search(&key) {
                Ok(at) => return Some(std::mem::replace(&mut Arc::make_mut(body).values[at], value)),
                Err(at) => at,
            },
        };
        if body.keys.len() < CHUNK_MAX {
            let body = Arc::make_mut(body);
            if body.keys.capacity() == body.keys.len() {
                let more = body.keys.len().clamp(4, CHUNK_MAX - body.keys.len().min(CHUNK_MAX - 4));
                body.keys.reserve_exact(more);
                body.values.reserve_exact(more);
            }
            body.keys.insert(at, key);
            body.values.insert(at, value);
            self.chunks[chunk].first = self.chunks[chunk].first.min(key);
            self.len += 1;
            return None;
        }
        if at == CHUNK_MAX && is_last {
            self.append_chunk(key, value);
            return None;
        }
        let body = Arc::make_mut(body);
        let keys = body.keys.split_off(CHUNK_MAX / 2);
        let values = body.values.split_off(CHUNK_MAX / 2);
        let chunk_behind = Chunk { first: keys[0], body: Arc::new(Body { keys, values }) };
        self.chunks.insert(chunk + 1, chunk_behind);
        self.insert(key, value)
    }

    fn append_chunk(&mut self, key: u128, value: V) {
        let body = Body { keys: vec![key], values: vec![value] };
        self.chunks.push_back(Chunk { first: key, body: Arc::new(body) });
        self.len += 1;
    }

    /// Removes a key; gives the value that it had.
    pub fn remove(&mut self, key: u128) -> Option<V> {
        let chunk = self.chunk_of(key)?;
        let body = &mut self.chunks[chunk].body;
        let at = body.keys.binary_search(&key).ok()?;
        let body = Arc::make_mut(body);
        body.keys.remove(at);
        let value = body.values.remove(at);
        self.len -= 1;
        let left = body.keys.len();
        if left == 0 {
            self.chunks.remove(chunk);
        } else if left < JOINED_MAX / 2 {
            self.join(chunk);
        }
        Some(value)
    }

    /// Joins a chunk with a neighbour if both are small.
    fn join(&mut self, chunk: usize) {
        let len = |at: usize| self.chunks.get(at).map_or(CHUNK_MAX, |chunk| chunk.body.keys.len());
        let here = len(chunk);
        let front = if chunk > 0 && len(chunk - 1) + here <= JOINED_MAX {
            chunk - 1
        } else if here + len(chunk + 1) <= JOINED_MAX {
            chunk
        } else {
            return;
        };
        let Some(behind) = self.chunks.remove(front + 1) else { return };
        let body = Arc::make_mut(&mut self.chunks[front].body);
        body.keys.extend_from_slice(&behind.body.keys);
        body.values.extend_from_slice(&behind.body.values);
    }

    /// All entries, in the order of their keys.
    pub fn iter(&self) -> Range<'_, V> {
        self.range(..)
    }

    /// The entries with a key in `range`, in the order of their keys; can be walked from either end.
    pub fn range(&self, range: impl RangeBounds<u128>) -> Range<'_, V> {
        let from = match range.start_bound() {
            Bound::Unbounded => (0, 0),
            Bound::Included(key) => self.position(|other| other < *key),
            Bound::Excluded(key) => self.position(|other| other <= *key),
        };
        let to = match range.end_bound() {
            Bound::Unbounded => (self.chunks.len(), 0),
            Bound::Included(key) => self.position(|other| other <= *key),
            Bound::Excluded(key) => self.position(|other| other < *key),
        };
        Range { map: self, from, to: to.max(from) }
    }

    /// Chunk and place of the first key that is not `before`; the end of a chunk is the start of the next.
    fn position(&self, before: impl Fn(u128) -> bool) -> (usize, usize) {
        let chunk = self.chunks.partition_point(|chunk| before(chunk.first)).saturating_sub(1);
        let Some(found) = self.chunks.get(chunk) else { return (0, 0) };
        let at = found.body.keys.partition_point(|key| before(*key));
        if at == found.body.keys.len() { (chunk + 1, 0) } else { (chunk, at) }
    }
}

/// Entries of a map.
#[derive(Debug)]
pub struct Range<'a, V> {
    map: &'a Ordered<V>,
    from: (usize, usize),
    to: (usize, usize),
}

impl<V> Clone for Range<'_, V> {
    fn clone(&self) -> Self {
        Range { ..*self }
    }
}

impl<'a, V> Iterator for Range<'a, V> {
    type Item = (u128, &'a V);

    #[inline]
    fn next(&mut self) -> Option<(u128, &'a V)> {
        if self.from >= self.to {
            return None;
        }
        let (chunk, at) = self.from;
        let body = &self.map.chunks[chunk].body;
        self.from = if at + 1 < body.keys.len() { (chunk, at + 1) } else { (chunk + 1, 0) };
        Some((body.keys[at], &body.values[at]))
    }
}

impl<V> DoubleEndedIterator for Range<'_, V> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.from >= self.to {
            return None;
        }
        let (chunk, at) = match self.to {
            (chunk, 0) => (chunk - 1, self.map.chunks[chunk - 1].body.keys.len() - 1),
            (chunk, at) => (chunk, at - 1),
        };
        self.to = (chunk, at);
        let body = &self.map.chunks[chunk].body;
        Some((body.keys[at], &body.values[at]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use std::collections::BTreeMap;

    fn check(map: &Ordered<u64>, model: &BTreeMap<u128, u64>) {
        assert_eq!(map.len(), model.len());
        assert!(map.iter().eq(model.iter().map(|(key, value)| (*key, value))));
        assert!(map.iter().rev().eq(model.iter().rev().map(|(key, value)| (*key, value))));
        assert_eq!(map.first(), model.first_key_value().map(|(key, value)| (*key, value)));
        assert_eq!(map.last(), model.last_key_value().map(|(key, value)| (*key, value)));
        assert!(
            map.chunks.iter().all(|chunk| !chunk.body.keys.is_empty() && chunk.first <= chunk.body.keys[0])
        );
    }

    #[test]
    fn agrees_with_a_sorted_map_and_copies_stay_as_they_were() {
        for seed in 0..30 {
            let mut rng = Rng::from_seed(seed);
            let (mut map, mut model) = (Ordered::new(), BTreeMap::new());
            let mut copy = (map.clone(), model.clone());
            let span = 1 << (4 + rng.below(10));
            for step in 0..4000u64 {
                let key = if seed % 3 == 0 {
                    u128::from(step + rng.below(50))
                } else {
                    u128::from(rng.below(span))
                } << 64;
                match rng.below(5) {
                    0..=1 => assert_eq!(map.insert(key, step), model.insert(key, step)),
                    2 => assert_eq!(map.remove(key), model.remove(&key)),
                    3 => {
                        assert_eq!(map.get(key), model.get(&key));
                        if let Some(value) = map.get_mut(key) {
                            *value += 1;
                        }
                        model.entry(key).and_modify(|value| *value += 1);
                        let floor = model.range(..=key).next_back().map(|(key, value)| (*key, value));
                        assert_eq!(map.floor(key), floor);
                    }
                    _ => {
                        let other = key + (u128::from(rng.below(100)) << 64);
                        let found = map.range(key..other);
                        assert!(found.clone().eq(model.range(key..other).map(|(key, value)| (*key, value))));
                        let expected = model.range(key..=other).rev().map(|(key, value)| (*key, value));
                        assert!(map.range(key..=other).rev().eq(expected));
                    }
                }
                if step % 500 == 0 {
                    check(&map, &model);
                    check(&copy.0, &copy.1);
                    copy = (map.clone(), model.clone());
                }
            }
            check(&map, &model);
            for key in model.keys() {
                map.remove(*key);
            }
            assert!(map.is_empty() && map.chunks.is_empty());
        }
    }

    #[test]
    fn ascending_keys_fill_their_chunks() {
        let mut map = Ordered::new();
        for key in 0..10_000u128 {
            map.insert(key, ());
        }
        assert_eq!(map.chunks.len(), 10_000usize.div_ceil(CHUNK_MAX));
        assert!(map.heap_bytes() < 10_000 * 17 + 80 * 100);
    }
}
