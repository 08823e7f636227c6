//! Long list: a chain of nodes, each a listpack of some kilobytes or one large element.
//!
//! ```text
//! segments   [ 51 200 | 48 900 | 12 ]           elements below each
//!                 |
//! nodes      [ 400 | 398 | 2 | ... ]            up to 128 a segment, counted the same way
//!                 |
//! listpack   "a" "b" "c" ...
//! ```
//!
//! Ends are reached at once. An index is found by adding counts: a few segments, then the nodes of one, then the
//! elements of one, from the nearer side each time. An edit moves bytes of one node; now and then it moves the handles
//! of one segment.
//!
//! Segments and nodes are reference-counted and copied on write: [`Clone`] copies one handle a segment, and from
//! then on both lists pay for what they change.
//!
//! * [`Limits`] say how much a node holds and which nodes are compressed; they stay those of the list's creation.
//! * Elements are lent as [`Item`]s to closures, since those of a compressed node live only for that time.
//! * A [`Place`] names an element until the next change.
//!
//! The cost: 72 bytes a node beside its bytes; a push about 30 ns.
//! After the quicklist of Redis (Matt Stancliff), which links its nodes; the counted segments are ours.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::structures::listpack::{HEADER_BYTES, Listpack};

mod edit;
mod index;
mod limits;
mod node;

pub use index::Place;
use index::Segment;
pub use limits::Limits;
use node::Node;
pub use node::{Item, Items, Needle, View};

/// Memory of a node beside its bytes: its record, two counters, its entry in the segment.
const NODE_OVERHEAD_BYTES: usize = std::mem::size_of::<Node>() + 16 + std::mem::size_of::<index::Entry>();

/// A list with so many nodes gives a new one all its memory at once.
const EAGER_NODES: usize = 8;

/// A list of byte strings. See the head of the file.
#[derive(Clone, Debug)]
pub struct Quicklist {
    /// Each has at least one node, each node at least one element.
    segments: VecDeque<Segment>,
    limits: Limits,
    /// Elements of all nodes.
    len: usize,
    nodes: usize,
    /// Bytes of all nodes.
    node_bytes: usize,
}

impl Quicklist {
    /// A list without elements.
    #[must_use]
    pub fn new(limits: Limits) -> Quicklist {
        Quicklist { segments: VecDeque::new(), limits, len: 0, nodes: 0, node_bytes: 0 }
    }

    /// How many elements it has.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Has it no elements?
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many nodes it has.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Memory behind the list.
    #[inline]
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.node_bytes
            + self.nodes * NODE_OVERHEAD_BYTES
            + self.segments.capacity() * std::mem::size_of::<Segment>()
    }

    /// What the list was created with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// From which size on an element gets a node of its own. See [`Limits::plain_from_bytes`].
    #[inline]
    pub fn set_plain_from_bytes(&mut self, bytes: usize) {
        self.limits.plain_from_bytes = bytes;
    }

    /// Appends an element.
    #[inline]
    pub fn push_back(&mut self, text: &[u8]) {
        self.push(text, false);
    }

    /// Puts an element in front of all others.
    #[inline]
    pub fn push_front(&mut self, text: &[u8]) {
        self.push(text, true);
    }

    #[inline]
    fn push(&mut self, text: &[u8], in_front: bool) {
        let segment = if in_front { self.segments.front_mut() } else { self.segments.back_mut() };
        if let Some(segment) = segment {
            let entry = segment.end_mut(in_front);
            if let Node::Packed(list) = &*entry.node
                && self.limits.allows(list.bytes_len(), entry.len as usize, text.len())
            {
                self.node_bytes -= entry.node.heap_bytes();
                let Node::Packed(list) = Arc::make_mut(&mut entry.node) else { unreachable!("it is packed") };
                let target = grow_to(list.bytes_len(), self.nodes, self.limits.node_bytes());
                list.reserve_towards(Listpack::size_of_text_max(text.len()), target, in_front);
                if in_front {
                    list.push_front(text);
                } else {
                    list.push(text);
                }
                self.node_bytes += list.heap_bytes();
                entry.len += 1;
                segment.len += 1;
                self.len += 1;
                return;
            }
        }
        self.push_node(Node::with(text, self.limits.is_plain(text.len())), 1, in_front);
    }

    #[cold]
    fn push_node(&mut self, node: Node, len: usize, in_front: bool) {
        let at = if in_front { self.first_node() } else { self.last_node() };
        let at = match at {
            None => index::NodeAt::START,
            Some(at) => {
                self.trim(at);
                if in_front { at } else { at.behind() }
            }
        };
        let at = self.insert_node(at, node, len);
        self.compress_near(at);
    }

    /// Appends a listpack as a node of its own, whatever its size; an empty one is left out.
    pub fn push_listpack(&mut self, list: Listpack) {
        let len = list.len();
        if len > 0 {
            self.push_node(Node::Packed(list), len, false);
        }
    }

    /// Appends an element as a node of its own, as dump files have them.
    pub fn push_plain(&mut self, text: bytes::Bytes) {
        self.push_node(Node::Plain(text), 1, false);
    }

    /// Lends the first or last element.
    #[inline]
    pub fn end<R>(&self, in_front: bool, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let segment = if in_front { self.segments.front() } else { self.segments.back() }?;
        let view = segment.end(in_front).node.view();
        let mut items = view.items();
        if in_front { items.next() } else { items.next_back() }.map(f)
    }

    /// Removes the first or last element.
    #[inline]
    pub fn remove_end(&mut self, in_front: bool) {
        let segment = if in_front { self.segments.front_mut() } else { self.segments.back_mut() };
        let Some(segment) = segment else { return };
        let entry = segment.end_mut(in_front);
        if entry.len > 1
            && let Node::Packed(_) = &*entry.node
        {
            self.node_bytes -= entry.node.heap_bytes();
            let Node::Packed(list) = Arc::make_mut(&mut entry.node) else { unreachable!("it is packed") };
            let pos = if in_front { list.first() } else { list.last() };
            list.remove(pos.expect("a node has elements"), 1);
            self.node_bytes += list.heap_bytes();
            entry.len -= 1;
            segment.len -= 1;
            self.len -= 1;
            return;
        }
        self.remove_end_slowly(in_front);
    }

    #[cold]
    fn remove_end_slowly(&mut self, in_front: bool) {
        let Some(at) = (if in_front { self.first_node() } else { self.last_node() }) else { return };
        if self.entry(at).len > 1 {
            self.edit_packed(at, |list| {
                let pos = if in_front { list.first() } else { list.last() };
                list.remove(pos.expect("a node has elements"), 1);
            });
        } else {
            self.remove_node(at);
        }
        self.compress_near(at);
    }

    /// Lends the element with this index.
    pub fn get<R>(&self, index: usize, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let (at, inside) = self.locate_node(index)?;
        let view = self.entry(at).node.view();
        view.items_from(inside).next().map(f)
    }

    /// Lends the elements from the one with this index on, towards the end or the front, until `f` answers false.
    pub fn walk(&self, from: usize, forward: bool, mut f: impl FnMut(Item<'_>) -> bool) {
        let Some((at, inside)) = self.locate_node(from) else { return };
        let mut start = Some(inside);
        let mut at = Some(at);
        while let Some(here) = at {
            let view = self.entry(here).node.view();
            let go_on = match (start.take(), forward) {
                (Some(inside), true) => view.items_from(inside).all(&mut f),
                (Some(inside), false) => view.items_to(inside).rev().all(&mut f),
                (None, true) => view.items().all(&mut f),
                (None, false) => view.items().rev().all(&mut f),
            };
            if !go_on {
                return;
            }
            at = if forward { self.node_after(here) } else { self.node_before(here) };
        }
    }

    /// The content of each node, from the first on.
    pub fn views(&self) -> impl Iterator<Item = View<'_>> {
        self.views_from(0)
    }

    /// The content of each node from one on, which is counted from 0. Costs a look at each segment before it.
    pub fn views_from(&self, node: usize) -> impl Iterator<Item = View<'_>> {
        let (mut first, mut left) = (0, node);
        while let Some(segment) = self.segments.get(first).filter(|segment| segment.entries().len() <= left) {
            left -= segment.entries().len();
            first += 1;
        }
        let entries = self.segments.range(first..).flat_map(Segment::entries);
        entries.skip(left).map(|entry| entry.node.view())
    }

    /// Bytes of the nodes' content before compression.
    #[must_use]
    pub fn raw_bytes(&self) -> usize {
        self.segments.iter().flat_map(Segment::entries).map(|entry| entry.node.raw_bytes()).sum()
    }

    /// The one node, if there is only one and it is a listpack within half of the limits.
    #[must_use]
    pub fn only_listpack(&self, limits: &Limits) -> Option<&Listpack> {
        match (self.nodes, &*self.segments.front()?.end(true).node) {
            (1, Node::Packed(list)) if limits.within_half(list.bytes_len(), self.len) => Some(list),
            _ => None,
        }
    }

    /// The place of the element with this index.
    #[must_use]
    pub fn locate(&self, index: usize) -> Option<Place> {
        let (at, inside) = self.locate_node(index)?;
        let pos = match self.entry(at).node.view() {
            View::Packed(bytes) => crate::structures::listpack::Packed::new(&bytes).seek(inside as i64)?,
            View::Plain(_) => 0,
        };
        Some(Place { at, pos })
    }

    /// The place of the first element that is `text`.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Option<Place> {
        let mut at = self.first_node();
        while let Some(here) = at {
            let pos = match self.entry(here).node.view() {
                View::Packed(bytes) => {
                    crate::structures::listpack::Packed::new(&bytes).find(Some(HEADER_BYTES), text, 0)
                }
                View::Plain(plain) => (plain[..] == *text).then_some(0),
            };
            if let Some(pos) = pos {
                return Some(Place { at: here, pos });
            }
            at = self.node_after(here);
        }
        None
    }
}

/// The length for which a node of `bytes` bytes is given room when it grows: twice as much, or at once what a node can
/// reach where that is near, or little beside the whole list.
#[inline]
fn grow_to(bytes: usize, nodes: usize, node_bytes: usize) -> usize {
    // The allocator's own eight bytes make it a round number.
    let full = node_bytes - 8;
    if nodes >= EAGER_NODES || bytes * 2 > full / 4 * 3 { full } else { bytes * 2 }
}

#[cfg(test)]
mod tests;
