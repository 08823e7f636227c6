//! A graph from a dump: nodes come with the links that they had, and links name nodes by the ids that they had there.
//!
//! What is read may come from anybody. Every link is looked at before the graph is used: its end has to be a node of that level,
//! no node may link twice or to itself, and links have to be mutual. The last is found out without a look at each way back: a
//! keyed hash of every link, the same from both of its ends, is summed up by exclusive or, which is zero in the end where each
//! has its counterpart.
//!
//! A dump may have more links a node than there is room for here; they are dropped in the end.

use super::quant::Quant;
use super::{Graph, HEAD_WORDS, LENGTH, LEVEL_MAX, RANGE};
use crate::base::hash::{HashKey, siphash13};

/// Numbers that are said of a node at most. Redis: `HNSW_MAX_M` times 4 links a level.
pub const NUMBERS_MAX: usize = 3 + (LEVEL_MAX + 1) * (3 + LINKS_MAX);
/// Links of a level of a node at most.
const LINKS_MAX: usize = 4 * 4096;
/// The newest form of what is said of a node. Redis: `HNSW_SERIALIZATION_VERSION`.
const VERSION_MAX: u64 = 1;

/// A dump is not what it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupted;

/// A graph that is being read. See the head of the file.
#[derive(Debug)]
pub struct Loading {
    graph: Graph,
    key: HashKey,
    /// The id of the first node; all others are counted from it.
    first: Option<u64>,
    /// The greatest id.
    last: u64,
    /// Ids of the nodes, counted from the first.
    ids: Vec<u32>,
    /// Links for which there is no room: node, level and the id of its end.
    excess: Vec<(u32, u32, u32)>,
    stage: Stage,
    /// All links in one.
    sum: u64,
}

/// How far it is.
#[derive(Debug)]
enum Stage {
    /// Nodes come.
    Nodes,
    /// The links of this node come next, whose ends are found so.
    Links(u32, Numbers),
}

/// From ids to nodes.
#[derive(Debug)]
enum Numbers {
    /// By the difference to the least id; nodes are counted from 1.
    Dense(u32, Vec<u32>),
    /// In the order of ids.
    Sorted(Vec<(u32, u32)>),
}

impl Numbers {
    /// None when two nodes have the same id.
    fn of(ids: &[u32]) -> Option<Numbers> {
        // Differences to the first may be below zero.
        let signed = |id: &u32| id.cast_signed();
        let (Some(min), Some(max)) = (ids.iter().map(signed).min(), ids.iter().map(signed).max()) else {
            return Some(Numbers::Sorted(Vec::new()));
        };
        let span = max.wrapping_sub(min).cast_unsigned() as usize + 1;
        if span <= ids.len() * 4 + 1024 {
            let mut nodes = vec![0; span];
            for (node, id) in ids.iter().enumerate() {
                let place = &mut nodes[id.wrapping_sub(min.cast_unsigned()) as usize];
                if std::mem::replace(place, node as u32 + 1) != 0 {
                    return None;
                }
            }
            return Some(Numbers::Dense(min.cast_unsigned(), nodes));
        }
        let mut nodes: Vec<(u32, u32)> = ids.iter().zip(0..).map(|(id, node)| (*id, node)).collect();
        nodes.sort();
        let is_double = nodes.windows(2).any(|two| two[0].0 == two[1].0);
        (!is_double).then_some(Numbers::Sorted(nodes))
    }

    #[inline]
    fn find(&self, id: u32) -> Option<u32> {
        match self {
            Numbers::Dense(min, nodes) => nodes.get(id.wrapping_sub(*min) as usize)?.checked_sub(1),
            Numbers::Sorted(nodes) => {
                nodes.binary_search_by_key(&id, |(id, _)| *id).ok().map(|at| nodes[at].1)
            }
        }
    }
}

impl Loading {
    /// Begins with a graph of vectors of `dim` numbers. The key is a secret.
    #[must_use]
    pub fn new(dim: usize, quant: Quant, m: usize, key: HashKey) -> Loading {
        Loading {
            graph: Graph::new(dim, quant, m),
            key,
            first: None,
            last: 0,
            ids: Vec::new(),
            excess: Vec::new(),
            stage: Stage::Nodes,
            sum: 0,
        }
    }

    /// The graph, whose nodes have no links yet that can be followed.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The greatest id of a node in the dump.
    #[must_use]
    pub fn last_id(&self) -> u64 {
        self.last
    }

    /// Adds the next node: the bytes of its vector, as many as they have to be, and what is said of it.
    ///
    /// # Errors
    ///
    /// [`Corrupted`] when what is said makes no sense.
    pub fn add(&mut self, vector: &[u8], numbers: &[u64]) -> Result<(), Corrupted> {
        let (&[id, form], mut rest) = numbers.split_first_chunk().ok_or(Corrupted)?;
        let (level, version) = ((form & 0xff) as usize, form >> 24 & 0xff);
        if level > LEVEL_MAX || version > VERSION_MAX {
            return Err(Corrupted);
        }
        let first = *self.first.get_or_insert(id);
        self.last = self.last.max(id);
        let id = difference(id, first)?;
        let node = self.graph.add_room(level);
        self.ids.push(id);
        for level in 0..=level {
            let (&[count, max], behind) = rest.split_first_chunk().ok_or(Corrupted)?;
            // Since version 1 the farthest link is said as well.
            let words = usize::try_from(count).map_err(|_| Corrupted)?;
            if count > max || max > LINKS_MAX as u64 || behind.len() < words + usize::from(version > 0) {
                return Err(Corrupted);
            }
            let (links, behind) = behind.split_at(words);
            rest = &behind[usize::from(version > 0)..];
            for link in links {
                let link = difference(*link, first)?;
                if self.graph.links(node, level).len() < self.graph.links_max(level) {
                    self.graph.push_link(node, link, level);
                } else {
                    self.excess.push((node, level as u32, link));
                }
            }
        }
        let scale = *rest.first().ok_or(Corrupted)?;
        let words = self.graph.words;
        let record = self.graph.records.get_mut(node);
        (record[LENGTH], record[RANGE]) = (scale as u32, (scale >> 32) as u32);
        self.graph.encoding.from_bytes(vector, &mut record[HEAD_WORDS..HEAD_WORDS + words]);
        Ok(())
    }

    /// All nodes are there: finds the ends of links, of some `budget` nodes a call. True when there is more to do.
    ///
    /// # Errors
    ///
    /// [`Corrupted`] when links are not what they have to be.
    pub fn connect(&mut self, budget: usize) -> Result<bool, Corrupted> {
        if let Stage::Nodes = self.stage {
            self.stage = Stage::Links(0, Numbers::of(&self.ids).ok_or(Corrupted)?);
        }
        let Stage::Links(next, numbers) = &mut self.stage else { return Ok(false) };
        let end = self.graph.len().min((*next as usize).saturating_add(budget)) as u32;
        let mut links = Vec::new();
        for node in *next..end {
            for level in 0..=self.graph.level(node) {
                links.clear();
                for id in self.graph.links(node, level) {
                    let link = numbers.find(*id).filter(|link| *link != node).ok_or(Corrupted)?;
                    if level > 0 && self.graph.level(link) < level {
                        return Err(Corrupted);
                    }
                    self.sum ^= hash_of_link(&self.key, node, link, level);
                    links.push(link);
                }
                self.graph.links_mut(node, level).1[..links.len()].copy_from_slice(&links);
                links.sort_unstable();
                if links.windows(2).any(|two| two[0] == two[1]) {
                    return Err(Corrupted);
                }
            }
        }
        *next = end;
        Ok((end as usize) < self.graph.len())
    }

    /// The graph.
    ///
    /// # Errors
    ///
    /// [`Corrupted`] when a link has no way back.
    pub fn finish(mut self) -> Result<Graph, Corrupted> {
        if let Stage::Links(_, numbers) = &self.stage {
            self.excess.sort_unstable();
            if self.excess.windows(2).any(|two| two[0] == two[1]) {
                return Err(Corrupted);
            }
            for (node, level, id) in std::mem::take(&mut self.excess) {
                let level = level as usize;
                let link = numbers.find(id).filter(|link| *link != node).ok_or(Corrupted)?;
                if self.graph.level(link) < level || self.graph.links(node, level).contains(&link) {
                    return Err(Corrupted);
                }
                self.sum ^= hash_of_link(&self.key, node, link, level);
                self.graph.drop_link(link, node, level);
            }
        }
        if self.sum != 0 {
            return Err(Corrupted);
        }
        for node in 0..self.graph.len() as u32 {
            let level = self.graph.level(node);
            if self.graph.entry.is_none() || level > self.graph.top {
                (self.graph.entry, self.graph.top) = (Some(node), level);
            }
        }
        Ok(self.graph)
    }
}

/// The hash of a link, the same from both of its ends.
fn hash_of_link(key: &HashKey, one: u32, other: u32, level: usize) -> u64 {
    let mut bytes = [0; 9];
    bytes[..4].copy_from_slice(&one.min(other).to_le_bytes());
    bytes[4..8].copy_from_slice(&one.max(other).to_le_bytes());
    bytes[8] = level as u8;
    siphash13(key, &bytes)
}

/// An id counted from the first one: half of the numbers of 32 bits are above it, half below.
fn difference(id: u64, first: u64) -> Result<u32, Corrupted> {
    let difference = i32::try_from(id.wrapping_sub(first).cast_signed()).map_err(|_| Corrupted)?;
    Ok(difference.cast_unsigned())
}
