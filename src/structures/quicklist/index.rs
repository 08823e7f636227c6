//! The index of a list: segments of node handles, each counted.

use std::sync::Arc;

use super::{Limits, Node, Quicklist};
use crate::structures::listpack::Listpack;

/// Nodes of a segment. So many handles are moved when a node is added inside.
const NODES_MAX: usize = 128;
/// Two neighbours with fewer nodes together are joined.
const NODES_JOINED: usize = 64;

/// Some of the nodes of a list.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    entries: Arc<Vec<Entry>>,
    /// Elements of all its nodes.
    pub(super) len: usize,
}

/// A node in a segment.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) node: Arc<Node>,
    /// Elements of the node.
    pub(super) len: u32,
}

impl Segment {
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    #[inline]
    pub(super) fn end(&self, in_front: bool) -> &Entry {
        let entry = if in_front { self.entries.first() } else { self.entries.last() };
        entry.expect("a segment has nodes")
    }

    #[inline]
    pub(super) fn end_mut(&mut self, in_front: bool) -> &mut Entry {
        let entries = Arc::make_mut(&mut self.entries);
        let entry = if in_front { entries.first_mut() } else { entries.last_mut() };
        entry.expect("a segment has nodes")
    }
}

/// Where a node is, until the next change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeAt {
    segment: usize,
    slot: usize,
}

impl NodeAt {
    pub(super) const START: NodeAt = NodeAt { segment: 0, slot: 0 };

    /// Where a node must be put to follow this one.
    pub(super) fn behind(self) -> NodeAt {
        NodeAt { slot: self.slot + 1, ..self }
    }
}

/// Where an element is, until the next change.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub(super) at: NodeAt,
    /// Its position in the listpack; nothing in a plain node.
    pub(super) pos: usize,
}

impl Quicklist {
    pub(super) fn first_node(&self) -> Option<NodeAt> {
        if self.segments.is_empty() { None } else { Some(NodeAt::START) }
    }

    pub(super) fn last_node(&self) -> Option<NodeAt> {
        let last = self.segments.back()?;
        Some(NodeAt { segment: self.segments.len() - 1, slot: last.entries.len() - 1 })
    }

    pub(super) fn node_after(&self, at: NodeAt) -> Option<NodeAt> {
        if at.slot + 1 < self.segments[at.segment].entries.len() {
            Some(at.behind())
        } else if at.segment + 1 < self.segments.len() {
            Some(NodeAt { segment: at.segment + 1, slot: 0 })
        } else {
            None
        }
    }

    pub(super) fn node_before(&self, at: NodeAt) -> Option<NodeAt> {
        if at.slot > 0 {
            return Some(NodeAt { slot: at.slot - 1, ..at });
        }
        let segment = at.segment.checked_sub(1)?;
        Some(NodeAt { segment, slot: self.segments[segment].entries.len() - 1 })
    }

    #[inline]
    pub(super) fn entry(&self, at: NodeAt) -> &Entry {
        &self.segments[at.segment].entries[at.slot]
    }

    /// The node that has the element with this index, and the index inside.
    pub(super) fn locate_node(&self, index: usize) -> Option<(NodeAt, usize)> {
        if index >= self.len {
            return None;
        }
        let (segment, inside) = descend(self.segments.len(), index, self.len, |i| self.segments[i].len);
        let found = &self.segments[segment];
        let (slot, inside) =
            descend(found.entries.len(), inside, found.len, |i| found.entries[i].len as usize);
        Some((NodeAt { segment, slot }, inside))
    }

    /// Puts a node at `at`, in front of the one that is there.
    pub(super) fn insert_node(&mut self, at: NodeAt, node: Node, len: usize) -> NodeAt {
        self.node_bytes += node.heap_bytes();
        self.nodes += 1;
        self.len += len;
        let entry = Entry { node: Arc::new(node), len: len as u32 };
        let at = self.make_slot(at);
        let segment = &mut self.segments[at.segment];
        segment.len += len;
        Arc::make_mut(&mut segment.entries).insert(at.slot, entry);
        at
    }

    /// Sees to it that the segment of `at` is there and not full.
    fn make_slot(&mut self, at: NodeAt) -> NodeAt {
        let segments = self.segments.len();
        let empty = || Segment { entries: Arc::new(Vec::new()), len: 0 };
        let Some(segment) = self.segments.get_mut(at.segment) else {
            self.segments.push_back(empty());
            return NodeAt { segment: segments, slot: 0 };
        };
        if segment.entries.len() < NODES_MAX {
            return at;
        }
        if at.slot == NODES_MAX && at.segment + 1 == segments {
            self.segments.push_back(empty());
            return NodeAt { segment: at.segment + 1, slot: 0 };
        }
        if at == NodeAt::START {
            self.segments.push_front(empty());
            return at;
        }
        let entries = Arc::make_mut(&mut segment.entries).split_off(NODES_MAX / 2);
        let len = entries.iter().map(|entry| entry.len as usize).sum();
        segment.len -= len;
        self.segments.insert(at.segment + 1, Segment { entries: Arc::new(entries), len });
        if at.slot <= NODES_MAX / 2 {
            at
        } else {
            NodeAt { segment: at.segment + 1, slot: at.slot - NODES_MAX / 2 }
        }
    }

    /// Removes a node; gives the place of the one that followed it.
    pub(super) fn remove_node(&mut self, at: NodeAt) -> Option<NodeAt> {
        let segment = &mut self.segments[at.segment];
        let entry = Arc::make_mut(&mut segment.entries).remove(at.slot);
        segment.len -= entry.len as usize;
        self.forget(&entry);
        if self.segments[at.segment].entries.is_empty() {
            self.segments.remove(at.segment);
            return if at.segment < self.segments.len() { Some(NodeAt { slot: 0, ..at }) } else { None };
        }
        if at.slot < self.segments[at.segment].entries.len() {
            Some(at)
        } else if at.segment + 1 < self.segments.len() {
            Some(NodeAt { segment: at.segment + 1, slot: 0 })
        } else {
            None
        }
    }

    fn forget(&mut self, entry: &Entry) {
        self.node_bytes -= entry.node.heap_bytes();
        self.nodes -= 1;
        self.len -= entry.len as usize;
    }

    /// Removes whole segments, from the one of `at` on, of at most so many elements together; gives how many went.
    pub(super) fn remove_segments(&mut self, at: NodeAt, len_max: usize) -> usize {
        let mut len = 0;
        let mut end = at.segment;
        while let Some(segment) = self.segments.get(end)
            && len + segment.len <= len_max
        {
            len += segment.len;
            end += 1;
        }
        let removed: Vec<Segment> = self.segments.drain(at.segment..end).collect();
        for entry in removed.iter().flat_map(|segment| segment.entries.iter()) {
            self.forget(entry);
        }
        len
    }

    pub(super) fn is_segment_start(&self, at: NodeAt) -> bool {
        at.slot == 0
    }

    /// Joins neighbouring segments that have become small, so that their number follows that of the nodes.
    pub(super) fn join_segments(&mut self) {
        if self.segments.len() * (NODES_JOINED / 2) <= self.nodes {
            return;
        }
        let mut joined: std::collections::VecDeque<Segment> = std::collections::VecDeque::new();
        for segment in self.segments.drain(..) {
            match joined.back_mut() {
                Some(last) if last.entries.len() + segment.entries.len() <= NODES_JOINED => {
                    Arc::make_mut(&mut last.entries).extend_from_slice(&segment.entries);
                    last.len += segment.len;
                }
                _ => joined.push_back(segment),
            }
        }
        self.segments = joined;
    }

    /// Changes a node in place, decompressed; counts elements and bytes anew.
    pub(super) fn edit<R>(&mut self, at: NodeAt, f: impl FnOnce(&mut Node) -> R) -> R {
        let segment = &mut self.segments[at.segment];
        let entry = &mut Arc::make_mut(&mut segment.entries)[at.slot];
        self.node_bytes -= entry.node.heap_bytes();
        let node = Arc::make_mut(&mut entry.node);
        node.decompress();
        let result = f(node);
        let (old, new) = (entry.len as usize, node.len());
        self.node_bytes += node.heap_bytes();
        entry.len = new as u32;
        segment.len = segment.len + new - old;
        self.len = self.len + new - old;
        result
    }

    /// As [`Quicklist::edit`], for a node that is a listpack.
    pub(super) fn edit_packed<R>(&mut self, at: NodeAt, f: impl FnOnce(&mut Listpack) -> R) -> R {
        self.edit(at, |node| match node {
            Node::Packed(list) => f(list),
            _ => unreachable!("a plain node is edited as one"),
        })
    }

    /// Gives back the room of a node that will not be pushed to.
    pub(super) fn trim(&mut self, at: NodeAt) {
        let node = &self.entry(at).node;
        if let Node::Packed(list) = &**node
            && list.heap_bytes() - list.bytes_len() > list.bytes_len() / 32
        {
            self.edit_packed(at, Listpack::shrink_to_fit);
        }
    }

    /// Compresses the nodes around `at` that lie deep enough, and decompresses those near the ends.
    pub(super) fn compress_near(&mut self, at: NodeAt) {
        let Limits { depth, .. } = self.limits;
        if depth == 0 || self.segments.is_empty() {
            return;
        }
        let (mut front, mut back) = (self.first_node(), self.last_node());
        for _ in 0..depth {
            if let Some(here) = front {
                self.set_compressed(here, false);
                front = self.node_after(here);
            }
            if let Some(here) = back {
                self.set_compressed(here, false);
                back = self.node_before(here);
            }
        }
        let at = if at.segment < self.segments.len() && at.slot < self.segments[at.segment].entries.len() {
            Some(at)
        } else {
            None
        };
        let around =
            [at.and_then(|at| self.node_before(at)), at, at.and_then(|at| self.node_after(at)), front, back];
        for here in around.into_iter().flatten() {
            if self.is_deep(here, depth as usize) {
                self.set_compressed(here, true);
            }
        }
    }

    /// Are there at least `depth` nodes on either side?
    fn is_deep(&self, at: NodeAt, depth: usize) -> bool {
        let mut before = at.slot;
        for segment in self.segments.range(..at.segment).rev() {
            if before >= depth {
                break;
            }
            before += segment.entries.len();
        }
        let mut behind = self.segments[at.segment].entries.len() - 1 - at.slot;
        for segment in self.segments.range(at.segment + 1..) {
            if behind >= depth {
                break;
            }
            behind += segment.entries.len();
        }
        before >= depth && behind >= depth
    }

    fn set_compressed(&mut self, at: NodeAt, compressed: bool) {
        if self.entry(at).node.is_compressed() == compressed {
            return;
        }
        let entry = &mut Arc::make_mut(&mut self.segments[at.segment].entries)[at.slot];
        self.node_bytes -= entry.node.heap_bytes();
        let node = Arc::make_mut(&mut entry.node);
        if compressed {
            node.compress();
        } else {
            node.decompress();
        }
        self.node_bytes += node.heap_bytes();
    }
}

/// In a row of `count` parts with `total` elements: the part of the element `index`, and its index inside.
#[inline]
fn descend(count: usize, index: usize, total: usize, len: impl Fn(usize) -> usize) -> (usize, usize) {
    if index < total / 2 {
        let mut before = 0;
        for part in 0..count {
            let len = len(part);
            if index < before + len {
                return (part, index - before);
            }
            before += len;
        }
    } else {
        let mut end = total;
        for part in (0..count).rev() {
            let start = end - len(part);
            if index >= start {
                return (part, index - start);
            }
            end = start;
        }
    }
    unreachable!("the parts have {total} elements together")
}
