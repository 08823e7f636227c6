//! Looking for the nearest nodes: along the links ([`Search`]), among all of them ([`Scan`]), and for the place of a new one
//! ([`Placement`]).
//!
//! Each does a bounded piece of its work when it is asked to, and can be kept in between. It has to be asked with the same
//! graph, or a copy of it as it was; the numbers of nodes mean nothing in another.

use super::quant::BATCH;
use super::{Encoded, Graph, distance_in, key, node_in};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Nodes that were seen, one bit each.
#[derive(Clone, Debug, Default)]
struct Seen {
    bits: Vec<u64>,
}

impl Seen {
    fn reset(&mut self, nodes: usize) {
        self.bits.clear();
        self.bits.resize(nodes.div_ceil(64), 0);
    }

    /// Notes a node; true when it is new.
    #[inline(always)]
    fn note(&mut self, node: u32) -> bool {
        let (word, bit) = (&mut self.bits[node as usize / 64], 1 << (node % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

/// The nearest nodes that were found, at most so many.
#[derive(Clone, Debug)]
struct Nearest {
    max: usize,
    /// The farthest is on top.
    heap: BinaryHeap<u64>,
}

impl Nearest {
    fn new(max: usize) -> Nearest {
        Nearest { max, heap: BinaryHeap::new() }
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        self.heap.len() >= self.max
    }

    /// Whether a node at this distance would be among them.
    #[inline(always)]
    fn takes(&self, key: u64) -> bool {
        !self.is_full() || self.heap.peek().is_some_and(|farthest| key < *farthest)
    }

    /// Adds a node; the farthest one goes where there is no room.
    #[inline(always)]
    fn add(&mut self, key: u64) {
        if !self.is_full() {
            self.heap.push(key);
        } else if let Some(mut farthest) = self.heap.peek_mut() {
            *farthest = key;
        }
    }

    /// All of them, the nearest first.
    fn into_sorted(self) -> Vec<u64> {
        self.heap.into_sorted_vec()
    }
}

/// Nodes with their distances, the nearest first.
pub type Found = Vec<(u32, f32)>;

fn found(nearest: Nearest) -> Found {
    nearest.into_sorted().into_iter().map(|key| (node_in(key), distance_in(key))).collect()
}

/// A walk along the links of one level, towards a vector.
#[derive(Clone, Debug)]
struct Walk {
    seen: Seen,
    /// Nodes that were met and are to be looked behind, the nearest on top.
    ahead: BinaryHeap<Reverse<u64>>,
    nearest: Nearest,
    /// Scratch: neighbours that are new.
    fresh: Vec<u32>,
    /// Nodes that were looked behind.
    effort: usize,
}

impl Walk {
    fn new(ef: usize) -> Walk {
        Walk {
            seen: Seen::default(),
            ahead: BinaryHeap::new(),
            nearest: Nearest::new(ef),
            fresh: Vec::new(),
            effort: 0,
        }
    }

    /// Begins at these nodes, given by [`key`].
    fn begin(&mut self, graph: &Graph, from: &[u64], mut accept: impl FnMut(u32) -> bool) {
        self.seen.reset(graph.len());
        self.ahead.clear();
        for key in from {
            self.seen.note(node_in(*key));
            self.ahead.push(Reverse(*key));
            if accept(node_in(*key)) && self.nearest.takes(*key) {
                self.nearest.add(*key);
            }
        }
        self.effort = 1;
    }

    /// Goes on until some `budget` distances were computed, or nothing nearer can be found: then false. With `FILTERED` only
    /// accepted nodes are kept, the others are still looked behind, and `effort_max` nodes are at most.
    #[inline(always)]
    fn go_on<const FILTERED: bool>(
        &mut self,
        graph: &Graph,
        query: (&[u32], f32),
        level: usize,
        mut budget: usize,
        effort_max: usize,
        mut accept: impl FnMut(u32) -> bool,
    ) -> bool {
        while let Some(Reverse(next)) = self.ahead.pop() {
            if FILTERED && self.effort >= effort_max {
                return false;
            }
            self.effort += 1;
            if self.nearest.is_full() && !self.nearest.takes(next) {
                return false;
            }
            self.fresh.clear();
            for link in graph.links(node_in(next), level) {
                if self.seen.note(*link) {
                    self.fresh.push(*link);
                }
            }
            if let Some(Reverse(then)) = self.ahead.peek()
                && level == 0
            {
                graph.prefetch_links(node_in(*then));
            }
            let (ahead, nearest) = (&mut self.ahead, &mut self.nearest);
            graph.each_distance(query, &self.fresh, |node, distance| {
                let key = key(distance, node);
                if FILTERED {
                    if nearest.takes(key) || ahead.len() < nearest.max {
                        ahead.push(Reverse(key));
                    }
                    if accept(node) && nearest.takes(key) {
                        nearest.add(key);
                    }
                } else if nearest.takes(key) {
                    ahead.push(Reverse(key));
                    nearest.add(key);
                }
            });
            if budget <= self.fresh.len() {
                return true;
            }
            budget -= self.fresh.len();
        }
        false
    }
}

/// Walks down from the entry to the level above `level`, always to the nearest neighbour. Returns where it ends.
fn descend(graph: &Graph, query: (&[u32], f32), level: usize) -> Option<u64> {
    let entry = graph.entry?;
    let mut best = 0;
    graph.each_distance(query, &[entry], |node, distance| best = key(distance, node));
    for level in (level + 1..=graph.top).rev() {
        loop {
            let before = best;
            graph.each_distance(query, graph.links(node_in(best), level), |node, distance| {
                best = best.min(key(distance, node));
            });
            if best == before {
                break;
            }
        }
    }
    Some(best)
}

/// A search for the nodes nearest to a vector. See the head of the file.
#[derive(Clone, Debug)]
pub struct Search {
    query: Encoded,
    walk: Walk,
    is_begun: bool,
    effort_max: usize,
}

impl Search {
    /// A search for the `ef` nearest. With a filter it looks behind `effort_max` nodes at most.
    #[must_use]
    pub fn new(query: Encoded, ef: usize, effort_max: usize) -> Search {
        Search { query, walk: Walk::new(ef), is_begun: false, effort_max }
    }

    /// Computes some `budget` distances. True when there is more to do.
    pub fn step(&mut self, graph: &Graph, budget: usize) -> bool {
        let query = (&*self.query.words, self.query.range);
        if !self.is_begun {
            self.is_begun = true;
            let Some(from) = descend(graph, query, 0) else { return false };
            self.walk.begin(graph, &[from], |_| true);
        }
        self.walk.go_on::<false>(graph, query, 0, budget, usize::MAX, |_| true)
    }

    /// As [`Search::step`], of the nodes that a filter accepts.
    pub fn step_filtered(
        &mut self,
        graph: &Graph,
        budget: usize,
        mut accept: impl FnMut(u32) -> bool,
    ) -> bool {
        let query = (&*self.query.words, self.query.range);
        if !self.is_begun {
            self.is_begun = true;
            let Some(from) = descend(graph, query, 0) else { return false };
            self.walk.begin(graph, &[from], &mut accept);
        }
        self.walk.go_on::<true>(graph, query, 0, budget, self.effort_max, accept)
    }

    /// What was found, the nearest first.
    #[must_use]
    pub fn finish(self) -> Found {
        found(self.walk.nearest)
    }
}

/// A look at all nodes, for those nearest to a vector. See the head of the file.
#[derive(Clone, Debug)]
pub struct Scan {
    query: Encoded,
    nearest: Nearest,
    next: u32,
}

impl Scan {
    /// A look for the `count` nearest.
    #[must_use]
    pub fn new(query: Encoded, count: usize) -> Scan {
        Scan { query, nearest: Nearest::new(count), next: 0 }
    }

    /// Looks at some `budget` nodes. True when there are more.
    pub fn step(&mut self, graph: &Graph, budget: usize, mut accept: impl FnMut(u32) -> bool) -> bool {
        let end = (self.next as usize).saturating_add(budget.max(1)).min(graph.len()) as u32;
        let mut nodes = [0; BATCH];
        while self.next < end {
            let mut count = 0;
            while count < BATCH && self.next < end {
                if accept(self.next) {
                    nodes[count] = self.next;
                    count += 1;
                }
                self.next += 1;
            }
            let nearest = &mut self.nearest;
            graph.each_distance((&self.query.words, self.query.range), &nodes[..count], |node, distance| {
                let key = key(distance, node);
                if nearest.takes(key) {
                    nearest.add(key);
                }
            });
        }
        (end as usize) < graph.len()
    }

    /// What was found, the nearest first.
    #[must_use]
    pub fn finish(self) -> Found {
        found(self.nearest)
    }
}

/// The place of a vector that is to be added: the nodes near it, on each level that it will have. See the head of the file.
#[derive(Clone, Debug)]
pub struct Placement {
    pub(super) vector: Encoded,
    pub(super) level: usize,
    ef: usize,
    /// Nodes near it by level, the nearest first.
    pub(super) near: Vec<Vec<u64>>,
    /// The level that is being searched, and the search.
    walking: Option<(usize, Walk)>,
    /// As the graph had them when it began.
    pub(super) removals: u64,
    is_begun: bool,
}

impl Placement {
    /// Looks for a place with so much effort, for a node whose highest level is drawn by [`Graph::random_level`].
    #[must_use]
    pub fn new(graph: &Graph, vector: Encoded, ef: usize, level: usize) -> Placement {
        Placement {
            vector,
            level,
            ef,
            near: vec![Vec::new(); level + 1],
            walking: None,
            removals: graph.removals,
            is_begun: false,
        }
    }

    /// Forgets what was found: numbers of nodes mean others now.
    pub(super) fn restart(&mut self, graph: &Graph) {
        self.near.iter_mut().for_each(Vec::clear);
        (self.walking, self.removals, self.is_begun) = (None, graph.removals, false);
    }

    /// Computes some `budget` distances. True when there is more to do.
    pub fn step(&mut self, graph: &Graph, budget: usize) -> bool {
        let query = (&*self.vector.words, self.vector.range);
        if !self.is_begun {
            self.is_begun = true;
            let top = self.level.min(graph.top);
            let Some(from) = descend(graph, query, top) else { return false };
            let mut walk = Walk::new(self.ef);
            walk.begin(graph, &[from], |_| true);
            self.walking = Some((top, walk));
        }
        let Some((level, walk)) = &mut self.walking else { return false };
        if walk.go_on::<false>(graph, query, *level, budget, usize::MAX, |_| true) {
            return true;
        }
        let nearest = std::mem::replace(&mut walk.nearest, Nearest::new(self.ef)).into_sorted();
        let is_last = *level == 0;
        if !is_last {
            walk.begin(graph, &nearest, |_| true);
        }
        self.near[*level] = nearest;
        if is_last {
            self.walking = None;
        } else {
            *level -= 1;
        }
        !is_last
    }
}
