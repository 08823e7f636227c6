//! The nodes of the tree, and the pools that hold them.
//!
//! Scores lie together, so that a search compares them by the vector. A handle of 34 bits is kept as its low 32, and two
//! bits in a word that all keys of the node share.
//!
//! The cost: a leaf is eight lines of the cache for 40 keys, an inner node sixteen for 50 children.

use super::super::prefetch::prefetch;
use super::super::slab::Handle;

/// Keys of a full leaf.
pub(super) const LEAF_KEYS: usize = 40;
/// Children of a full inner node.
pub(super) const CHILDREN: usize = 50;
/// Bytes of a segment of a pool.
const SEGMENT_BYTES: usize = 64 * 1024;
/// No node.
pub(super) const NONE: u32 = u32::MAX;

/// Ordered keys: scores and handles.
#[derive(Clone)]
#[repr(C)]
pub(super) struct Keys<const N: usize> {
    scores: [f64; N],
    /// Bits 2i and 2i+1 are bits 32 and 33 of handle i.
    high: [u64; 2],
    low: [u32; N],
    len: u16,
}

impl<const N: usize> Keys<N> {
    pub(super) const EMPTY: Keys<N> = Keys { scores: [0.0; N], high: [0; 2], low: [0; N], len: 0 };

    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len() == N
    }

    #[inline]
    fn high(&self) -> u128 {
        u128::from(self.high[1]) << 64 | u128::from(self.high[0])
    }

    #[inline]
    fn set_high(&mut self, high: u128) {
        self.high = [high as u64, (high >> 64) as u64];
    }

    #[inline]
    pub(super) fn scores(&self) -> &[f64] {
        &self.scores[..self.len()]
    }

    #[inline]
    pub(super) fn handle(&self, i: usize) -> Handle {
        let high = self.high[i / 32] >> (2 * (i % 32)) & 3;
        Handle::from_number(high << 32 | u64::from(self.low[i]))
    }

    #[inline]
    pub(super) fn get(&self, i: usize) -> (f64, Handle) {
        (self.scores[i], self.handle(i))
    }

    #[inline]
    pub(super) fn set(&mut self, i: usize, (score, handle): (f64, Handle)) {
        self.scores[i] = score;
        self.low[i] = handle.number() as u32;
        let high = u128::from(handle.number() >> 32 & 3);
        self.set_high(self.high() & !(3 << (2 * i)) | high << (2 * i));
    }

    #[inline]
    pub(super) fn insert(&mut self, i: usize, key: (f64, Handle)) {
        let len = self.len();
        self.scores.copy_within(i..len, i + 1);
        self.low.copy_within(i..len, i + 1);
        let below = (1u128 << (2 * i)) - 1;
        let high = self.high();
        self.set_high(high & below | (high & !below) << 2);
        self.len += 1;
        self.set(i, key);
    }

    #[inline]
    pub(super) fn remove(&mut self, i: usize) -> (f64, Handle) {
        let (key, len) = (self.get(i), self.len());
        self.scores.copy_within(i + 1..len, i);
        self.low.copy_within(i + 1..len, i);
        let below = (1u128 << (2 * i)) - 1;
        let high = self.high();
        self.set_high(high & below | high >> 2 & !below);
        self.len -= 1;
        key
    }

    /// The number of scores below this one, and of those not above it.
    #[inline]
    pub(super) fn equal_range(&self, score: f64) -> (usize, usize) {
        let (mut below, mut up_to) = (0, 0);
        for each in self.scores() {
            below += usize::from(*each < score);
            up_to += usize::from(*each <= score);
        }
        (below, up_to)
    }

    fn split_off(&mut self, at: usize) -> Keys<N> {
        let mut right = Keys::EMPTY;
        let moved = self.len() - at;
        right.scores[..moved].copy_from_slice(&self.scores[at..at + moved]);
        right.low[..moved].copy_from_slice(&self.low[at..at + moved]);
        // Twice, because a shift by all bits of the word is not defined.
        right.set_high(self.high() >> at >> at);
        right.len = moved as u16;
        self.len = at as u16;
        self.set_high(self.high() & ((1u128 << at << at) - 1));
        right
    }
}

/// A node of the lowest level.
#[derive(Clone)]
#[repr(C, align(64))]
pub(super) struct Leaf {
    pub(super) keys: Keys<LEAF_KEYS>,
    /// The leaves beside it, or `NONE`.
    pub(super) prev: u32,
    pub(super) next: u32,
}

const _: () = assert!(std::mem::size_of::<Leaf>() == 512);

impl Leaf {
    pub(super) const EMPTY: Leaf = Leaf { keys: Keys::EMPTY, prev: NONE, next: NONE };

    /// The keys from `at` on, as a leaf without neighbours.
    pub(super) fn split_off(&mut self, at: usize) -> Leaf {
        Leaf { keys: self.keys.split_off(at), prev: NONE, next: NONE }
    }
}

/// A child in its parent.
#[derive(Clone, Copy)]
pub(super) struct Child {
    /// The first key below it.
    pub(super) key: (f64, Handle),
    /// Keys below it.
    pub(super) count: u32,
    pub(super) node: u32,
}

/// A node above the leaves.
#[derive(Clone)]
#[repr(C, align(64))]
pub(super) struct Inner {
    /// The first key below each child.
    pub(super) keys: Keys<CHILDREN>,
    pub(super) counts: [u32; CHILDREN],
    pub(super) nodes: [u32; CHILDREN],
}

const _: () = assert!(std::mem::size_of::<Inner>() == 1024);

impl Inner {
    pub(super) const EMPTY: Inner = Inner { keys: Keys::EMPTY, counts: [0; CHILDREN], nodes: [0; CHILDREN] };

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Keys below all children.
    pub(super) fn count(&self) -> u32 {
        self.counts[..self.len()].iter().sum()
    }

    pub(super) fn insert(&mut self, i: usize, child: Child) {
        let len = self.len();
        self.counts.copy_within(i..len, i + 1);
        self.nodes.copy_within(i..len, i + 1);
        self.keys.insert(i, child.key);
        (self.counts[i], self.nodes[i]) = (child.count, child.node);
    }

    pub(super) fn remove(&mut self, i: usize) -> Child {
        let (count, node, len) = (self.counts[i], self.nodes[i], self.len());
        self.counts.copy_within(i + 1..len, i);
        self.nodes.copy_within(i + 1..len, i);
        Child { key: self.keys.remove(i), count, node }
    }

    pub(super) fn split_off(&mut self, at: usize) -> Inner {
        let mut right = Inner::EMPTY;
        let moved = self.len() - at;
        right.counts[..moved].copy_from_slice(&self.counts[at..at + moved]);
        right.nodes[..moved].copy_from_slice(&self.nodes[at..at + moved]);
        right.keys = self.keys.split_off(at);
        right
    }
}

/// Nodes of one kind under their numbers. No number is unused: the last node moves into the place of a removed one.
#[derive(Clone)]
pub(super) struct Pool<T> {
    /// All but the last are full. Only the first grows by doubling, up to its full length.
    segments: Vec<Vec<T>>,
}

impl<T> Pool<T> {
    const SEGMENT: usize = SEGMENT_BYTES / std::mem::size_of::<T>();

    pub(super) const fn new() -> Pool<T> {
        Pool { segments: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.segments.last().map_or(0, |last| (self.segments.len() - 1) * Self::SEGMENT + last.len())
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> &T {
        &self.segments[number as usize / Self::SEGMENT][number as usize % Self::SEGMENT]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> &mut T {
        &mut self.segments[number as usize / Self::SEGMENT][number as usize % Self::SEGMENT]
    }

    /// Asks for the first lines of a node.
    #[inline]
    pub(super) fn prefetch(&self, number: u32) {
        if let Some(node) = self
            .segments
            .get(number as usize / Self::SEGMENT)
            .and_then(|segment| segment.get(number as usize % Self::SEGMENT))
        {
            prefetch(node);
        }
    }

    pub(super) fn push(&mut self, node: T) -> u32 {
        if self.segments.last().is_none_or(|last| last.len() == Self::SEGMENT) {
            let capacity = if self.segments.is_empty() { 1 } else { Self::SEGMENT };
            self.segments.push(Vec::with_capacity(capacity));
        }
        let number = self.len() as u32;
        let last = self.segments.last_mut().expect("one was pushed");
        if last.len() == last.capacity() {
            last.reserve_exact(last.len().min(Self::SEGMENT - last.len()));
        }
        last.push(node);
        number
    }

    /// Takes the last node out.
    pub(super) fn pop(&mut self) -> Option<T> {
        let last = self.segments.last_mut()?;
        let node = last.pop();
        if last.is_empty() {
            self.segments.pop();
        } else if self.segments.len() == 1 && self.segments[0].len() * 4 < self.segments[0].capacity() {
            let len = self.segments[0].len();
            self.segments[0].shrink_to(len * 2);
        }
        node
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let nodes = match self.segments.as_slice() {
            [] => 0,
            [first] => first.capacity(),
            more => more.len() * Self::SEGMENT,
        };
        nodes * std::mem::size_of::<T>() + self.segments.capacity() * std::mem::size_of::<Vec<T>>()
    }
}
