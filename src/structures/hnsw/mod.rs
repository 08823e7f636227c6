//! Hierarchical navigable small world: a graph in which the nearest vectors to a given one are found.
//!
//! Every vector is a node; a node has links to others that are near. A search walks from node to node, always on from the
//! nearest that it has seen ([`Search`]). So that it need not walk far, some nodes lie on higher levels, too, each level with
//! fewer of them and wider links: the search begins at the top and goes down.
//!
//! ```text
//! level 2   entry ---------------------------- o
//! level 1   o ------------ o ----------------- o ------ o          m links a node at most
//! level 0   o - o - o -- - o - o -- o - o -- - o -- o - o - o      2 m
//!
//! record    range | length | links | upper | vector ... | link, link, ...      a node, in words of 32 bits
//! upper     node; for each level from 1 on:  links | link, link, ...
//! ```
//!
//! * Links are mutual: who is linked links back, on the same level. So a node can be taken out without a search for those that
//!   link to it, and those that lose a link are linked among themselves ([`Graph::remove`]).
//! * Nodes are numbered from 0 without holes: when one goes, the last takes its number.
//! * A copy shares the memory of what neither side has changed since ([`pages`]): a snapshot, or a search that goes on in
//!   slices, keeps a copy.
//! * Chance decides the level of a node alone, and is drawn by whoever calls: the same calls make the same graph.
//!
//! The cost: a search evaluates some 20 to 40 distances for each of the `ef` nodes that it looks behind; memory 16 bytes, the
//! vector, 8 bytes for each of `m`, and a sixteenth of that for higher levels.
//! After Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small
//! World graphs" (2016).

pub mod distance;
mod link;
pub mod load;
pub mod pages;
pub mod projection;
pub mod quant;
pub mod search;
mod unlink;

pub use load::Loading;
pub use projection::Projection;
pub use quant::{Encoded, Encoding, Quant};
pub use search::{Placement, Scan, Search};

use super::prefetch::prefetch;
use crate::base::rng::Rng;
use pages::{Pages, Records};
use quant::BATCH;

/// The highest level that a node can have. Redis: `HNSW_MAX_LEVEL`.
pub const LEVEL_MAX: usize = 16;

/// Words in front of the vector of a record.
const HEAD_WORDS: usize = 4;
const RANGE: usize = 0;
const LENGTH: usize = 1;
const LINKS: usize = 2;
const UPPER: usize = 3;

/// Words of a cache line.
const LINE_WORDS: usize = 16;
/// Lines of a vector that are asked for ahead; those behind them the processor fetches by itself.
const LINES_AHEAD: usize = 8;

/// The graph. See the head of the file.
#[derive(Clone, Debug)]
pub struct Graph {
    encoding: Encoding,
    /// Links of a node on a level above 0; twice as many on level 0.
    m: usize,
    /// Words of a vector.
    words: usize,
    records: Records,
    uppers: Pages<Upper>,
    /// Where searches begin: a node of the highest level.
    entry: Option<u32>,
    /// The level of `entry`.
    top: usize,
    /// How often a node was removed, so that numbers of nodes may mean others.
    removals: u64,
}

/// The links of a node on the levels above 0.
#[derive(Clone, Debug)]
struct Upper {
    /// The node.
    node: u32,
    /// For each level their number and room for `m` of them.
    links: Box<[u32]>,
}

impl Graph {
    /// A graph without nodes, of vectors of `dim` numbers.
    #[must_use]
    pub fn new(dim: usize, quant: Quant, m: usize) -> Graph {
        let encoding = Encoding::new(dim, quant);
        let words = encoding.words();
        let stride = (HEAD_WORDS + words + 2 * m).next_multiple_of(LINE_WORDS);
        Graph {
            encoding,
            m,
            words,
            records: Records::new(stride),
            uppers: Pages::default(),
            entry: None,
            top: 0,
            removals: 0,
        }
    }

    /// Nodes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.count()
    }

    /// Whether there is no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers of its vectors.
    #[must_use]
    pub fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    /// Links of a node on a level above 0.
    #[must_use]
    pub fn m(&self) -> usize {
        self.m
    }

    /// The highest level of a node.
    #[must_use]
    pub fn top(&self) -> usize {
        self.top
    }

    /// How often a node was removed: since then numbers may mean other nodes.
    #[must_use]
    pub fn removals(&self) -> u64 {
        self.removals
    }

    /// Memory behind it, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        // A node has one upper level, and some have more.
        let upper = (1 + self.m) * 4 + 16;
        self.records.heap_bytes() + self.uppers.heap_bytes() + self.uppers.count() * upper
    }

    /// Memory for the links of a node with so many levels above 0, in bytes.
    #[must_use]
    pub fn room_bytes(&self, levels: usize) -> usize {
        (2 * self.m + levels * (1 + self.m)) * size_of::<u32>()
    }

    /// The vector of a node, and what 127 stands for in it.
    #[inline(always)]
    #[must_use]
    pub fn vector(&self, node: u32) -> (&[u32], f32) {
        let record = self.records.get(node);
        (&record[HEAD_WORDS..HEAD_WORDS + self.words], f32::from_bits(record[RANGE]))
    }

    /// The length that the vector of a node had when it came.
    #[must_use]
    pub fn length(&self, node: u32) -> f32 {
        f32::from_bits(self.records.get(node)[LENGTH])
    }

    /// The numbers of a node's vector, as near to those that came as it can be told.
    #[must_use]
    pub fn numbers(&self, node: u32) -> Vec<f32> {
        let (words, range) = self.vector(node);
        self.encoding.decode(words, range, self.length(node))
    }

    /// The vector of a node, as it is kept.
    #[must_use]
    pub fn encoded(&self, node: u32) -> Encoded {
        let (words, range) = self.vector(node);
        Encoded { words: words.into(), range, length: self.length(node) }
    }

    /// The highest level of a node.
    #[must_use]
    pub fn level(&self, node: u32) -> usize {
        match self.upper_of(node) {
            None => 0,
            Some(upper) => self.uppers.get(upper).links.len() / (1 + self.m),
        }
    }

    /// Where the upper levels of a node lie.
    fn upper_of(&self, node: u32) -> Option<u32> {
        self.records.get(node)[UPPER].checked_sub(1)
    }

    /// The nodes that a node is linked with on a level that it has.
    #[inline]
    #[must_use]
    pub fn links(&self, node: u32, level: usize) -> &[u32] {
        let record = self.records.get(node);
        if level == 0 {
            let from = HEAD_WORDS + self.words;
            return &record[from..from + record[LINKS] as usize];
        }
        let Some(upper) = record[UPPER].checked_sub(1) else { return &[] };
        let links = &self.uppers.get(upper).links;
        let from = (level - 1) * (1 + self.m);
        if from >= links.len() {
            return &[];
        }
        &links[from + 1..from + 1 + links[from] as usize]
    }

    /// Most links that a node can have on a level.
    #[inline]
    #[must_use]
    pub fn links_max(&self, level: usize) -> usize {
        if level == 0 { 2 * self.m } else { self.m }
    }

    /// The links of a node on a level that it has, to be changed: their number, and room for all.
    fn links_mut(&mut self, node: u32, level: usize) -> (&mut u32, &mut [u32]) {
        let (words, m) = (self.words, self.m);
        if level == 0 {
            let record = self.records.get_mut(node);
            let (head, rest) = record.split_at_mut(HEAD_WORDS);
            return (&mut head[LINKS], &mut rest[words..words + 2 * m]);
        }
        let upper = self.upper_of(node).expect("a node with a level above 0 has upper links");
        let links = &mut self.uppers.get_mut(upper).links[(level - 1) * (1 + m)..][..1 + m];
        let (count, links) = links.split_at_mut(1);
        (&mut count[0], links)
    }

    /// Adds a link from one node to another, without the way back. There has to be room.
    fn push_link(&mut self, from: u32, to: u32, level: usize) {
        let (count, links) = self.links_mut(from, level);
        links[*count as usize] = to;
        *count += 1;
    }

    /// Removes the link from one node to another, without the way back.
    fn drop_link(&mut self, from: u32, to: u32, level: usize) {
        let (count, links) = self.links_mut(from, level);
        let used = *count as usize;
        if let Some(at) = links[..used].iter().position(|link| *link == to) {
            links[at] = links[used - 1];
            *count -= 1;
        }
    }

    /// Links two nodes that have room for it.
    fn join(&mut self, one: u32, other: u32, level: usize) {
        self.push_link(one, other, level);
        self.push_link(other, one, level);
    }

    /// Takes the link of two nodes away.
    fn part(&mut self, one: u32, other: u32, level: usize) {
        self.drop_link(one, other, level);
        self.drop_link(other, one, level);
    }

    /// Adds a node without links.
    fn add(&mut self, vector: &Encoded, level: usize) -> u32 {
        let node = self.add_room(level);
        let record = self.records.get_mut(node);
        record[RANGE] = vector.range.to_bits();
        record[LENGTH] = vector.length.to_bits();
        record[HEAD_WORDS..HEAD_WORDS + vector.words.len()].copy_from_slice(&vector.words);
        node
    }

    /// Adds a node of zeros without links.
    fn add_room(&mut self, level: usize) -> u32 {
        let node = self.len() as u32;
        self.records.push();
        if level > 0 {
            let links = vec![0; level * (1 + self.m)].into_boxed_slice();
            self.uppers.push(Upper { node, links });
            self.records.get_mut(node)[UPPER] = self.uppers.count() as u32;
        }
        node
    }

    /// The level of a new node: each is rarer than the one below by the factor `m`.
    #[must_use]
    pub fn random_level(&self, rng: &mut Rng) -> usize {
        let mut level = 0;
        while level < LEVEL_MAX && rng.below(self.m.max(2) as u64) == 0 {
            level += 1;
        }
        level
    }

    /// Asks for the memory of a node's vector.
    #[inline(always)]
    fn prefetch(&self, node: u32) {
        let record = self.records.get(node);
        let lines = (HEAD_WORDS + self.words).div_ceil(LINE_WORDS).min(LINES_AHEAD);
        for line in record.chunks(LINE_WORDS).take(lines) {
            prefetch(&line[0]);
        }
    }

    /// Asks for the memory of a node's links on level 0.
    #[inline(always)]
    fn prefetch_links(&self, node: u32) {
        let record = self.records.get(node);
        prefetch(&record[0]);
        for line in record[HEAD_WORDS + self.words..].chunks(LINE_WORDS).take(LINES_AHEAD) {
            prefetch(&line[0]);
        }
    }

    /// The distances of a vector to nodes, one after the other.
    #[inline]
    fn each_distance(&self, query: (&[u32], f32), nodes: &[u32], mut each: impl FnMut(u32, f32)) {
        for nodes in nodes.chunks(BATCH) {
            nodes.iter().for_each(|node| self.prefetch(*node));
            let mut vectors: [&[u32]; BATCH] = [&[]; BATCH];
            let mut ranges = [0.0; BATCH];
            for (i, node) in nodes.iter().enumerate() {
                (vectors[i], ranges[i]) = self.vector(*node);
            }
            let mut distances = [0.0; BATCH];
            self.encoding.distances(query, &vectors[..nodes.len()], &ranges, &mut distances);
            for (node, distance) in nodes.iter().zip(distances) {
                each(*node, distance);
            }
        }
    }

    /// The distance of two nodes, from 0 to 2.
    #[must_use]
    pub fn distance(&self, one: u32, other: u32) -> f32 {
        let mut found = 0.0;
        self.each_distance(self.vector(one), &[other], |_, distance| found = distance);
        found
    }

    /// Any node, all equally likely; none if there is none.
    pub fn random(&self, rng: &mut Rng) -> Option<u32> {
        if self.is_empty() { None } else { Some(rng.below(self.len() as u64) as u32) }
    }

    /// Adds a vector, with so much effort, and at once; see [`Placement`] for the same in slices. Returns its node.
    pub fn insert(&mut self, vector: Encoded, ef: usize, rng: &mut Rng) -> u32 {
        let mut placement = Placement::new(self, vector, ef, self.random_level(rng));
        while placement.step(self, usize::MAX) {}
        self.place(placement)
    }

    /// Fails where the graph is not what it has to be; for tests.
    pub fn check(&self) {
        let mut highest = 0;
        for node in 0..self.len() as u32 {
            let level = self.level(node);
            highest = highest.max(level);
            for level in 0..=level {
                let links = self.links(node, level);
                assert!(links.len() <= self.links_max(level));
                for (i, link) in links.iter().enumerate() {
                    assert!(*link != node && !links[..i].contains(link), "{node} links twice or to itself");
                    assert!(self.level(*link) >= level, "{node} links to who is not there");
                    assert!(self.links(*link, level).contains(&node), "{node} to {link} is not mutual");
                }
            }
        }
        let of_uppers: Vec<u32> =
            (0..self.uppers.count() as u32).map(|at| self.uppers.get(at).node).collect();
        assert!((0..of_uppers.len()).all(|at| self.upper_of(of_uppers[at]) == Some(at as u32)));
        assert_eq!(self.entry.is_none(), self.is_empty());
        assert!(self.entry.is_none_or(|entry| self.level(entry) == self.top && self.top == highest));
    }
}

/// A distance and a node in one number, by whose order distances are ordered.
#[inline(always)]
fn key(distance: f32, node: u32) -> u64 {
    let bits = distance.to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | u64::from(node)
}

/// The distance in a number of [`key`].
#[inline(always)]
fn distance_in(key: u64) -> f32 {
    let ordered = (key >> 32) as u32;
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

/// The node in a number of [`key`].
#[inline(always)]
fn node_in(key: u64) -> u32 {
    key as u32
}

#[cfg(test)]
mod tests;
