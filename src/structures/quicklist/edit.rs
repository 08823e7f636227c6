//! Changes in the middle of a list.
//!
//! Nodes are split, filled and joined by the rules of Redis, so that a list has the same nodes here and there.

use super::index::{NodeAt, Place};
use super::{Needle, Node, Quicklist, View};
use crate::structures::listpack::{EMPTY_BYTES, HEADER_BYTES, Listpack, Packed};
use bytes::Bytes;

impl Quicklist {
    /// Puts an element behind or in front of the one at `place`.
    pub fn insert(&mut self, place: Place, behind: bool, text: &[u8]) {
        let Place { at, pos } = place;
        let is_plain = self.limits.is_plain(text.len());
        // What the node has on the side where the element goes.
        let (is_packed, at_border) = match self.entry(at).node.view() {
            View::Packed(bytes) => {
                let packed = Packed::new(&bytes);
                (true, if behind { packed.next(pos).is_none() } else { pos == HEADER_BYTES })
            }
            View::Plain(_) => (false, true),
        };
        let touched = if is_packed && self.allows(at, text.len()) {
            self.edit_packed(at, |list| {
                if behind {
                    list.insert_after(pos, text);
                } else {
                    list.insert_before(pos, text);
                }
            });
            at
        } else if at_border {
            let neighbour = if behind { self.node_after(at) } else { self.node_before(at) };
            match neighbour {
                Some(neighbour) if !is_plain && self.allows(neighbour, text.len()) => {
                    self.edit_packed(neighbour, |list| {
                        let pos = if behind { HEADER_BYTES } else { list.end() };
                        list.insert_before(pos, text);
                    });
                    neighbour
                }
                _ => {
                    let at = if behind { at.behind() } else { at };
                    self.insert_node(at, Node::with(text, is_plain), 1)
                }
            }
        } else {
            // The part that follows the new element goes into a node of its own.
            let rest = self.edit_packed(at, |list| {
                let pos = if behind { list.next(pos).expect("it is not the last") } else { pos };
                list.split_off(pos)
            });
            let middle = if is_plain {
                let middle = self.insert_node(at.behind(), Node::with(text, true), 1);
                self.insert_listpack(middle.behind(), rest);
                middle
            } else {
                let mut rest = rest;
                if behind {
                    rest.push_front(text);
                } else {
                    self.edit_packed(at, |list| list.push(text));
                }
                self.insert_listpack(at.behind(), rest)
            };
            self.join_near(middle)
        };
        self.compress_near(touched);
    }

    /// Puts another element in the place of one.
    pub fn replace(&mut self, place: Place, text: &[u8]) {
        let Place { at, pos } = place;
        let is_plain = self.limits.is_plain(text.len());
        match (self.entry(at).node.is_plain(), is_plain) {
            (false, false) => self.edit_packed(at, |list| list.replace(pos, text)),
            (true, true) => self.edit(at, |node| *node = Node::Plain(Bytes::copy_from_slice(text))),
            (true, false) => {
                self.insert(place, true, text);
                self.remove_node(at);
            }
            (false, true) => {
                let rest = self.edit_packed(at, |list| list.next(pos).map(|next| list.split_off(next)));
                let new = self.insert_node(at.behind(), Node::with(text, true), 1);
                if let Some(rest) = rest {
                    self.insert_listpack(new.behind(), rest);
                }
                let old = self.node_before(new).expect("the old element precedes the new one");
                let was_last = self.remove_at(Place { at: old, pos });
                if !was_last {
                    self.join_near(new);
                }
            }
        }
        self.compress_near(at);
    }

    /// Removes an element.
    pub fn remove(&mut self, place: Place) {
        self.remove_at(place);
        self.compress_near(place.at);
        self.join_segments();
    }

    /// Removes an element; true if its node went with it.
    fn remove_at(&mut self, place: Place) -> bool {
        let Place { at, pos } = place;
        if self.entry(at).len == 1 {
            self.remove_node(at);
            return true;
        }
        self.edit_packed(at, |list| list.remove(pos, 1));
        false
    }

    /// Removes up to `count` elements from the one with this index on; gives how many there were.
    pub fn remove_range(&mut self, start: usize, count: usize) -> usize {
        let Some((at, mut inside)) = self.locate_node(start) else { return 0 };
        let count = count.min(self.len - start);
        let mut left = count;
        let mut at = Some(at);
        while let Some(here) = at
            && left > 0
        {
            if inside == 0 && self.is_segment_start(here) {
                left -= self.remove_segments(here, left);
                if left == 0 || start >= self.len {
                    break;
                }
                (at, inside) = self.locate_node(start).map_or((None, 0), |(at, inside)| (Some(at), inside));
                let Some(here) = at else { break };
                if inside == 0 && self.entry(here).len as usize <= left {
                    left -= self.entry(here).len as usize;
                    at = self.remove_node(here);
                    continue;
                }
            }
            let Some(here) = at else { break };
            let len = self.entry(here).len as usize;
            if inside == 0 && len <= left {
                left -= len;
                at = self.remove_node(here);
            } else {
                let some = left.min(len - inside);
                self.edit_packed(here, |list| list.remove_range(inside as i64, some));
                left -= some;
                inside = 0;
                at = self.node_after(here);
            }
        }
        self.join_segments();
        let near = self.locate_node(start).map(|(at, _)| at).or(self.last_node());
        self.compress_near(near.unwrap_or(NodeAt::START));
        count
    }

    /// Removes the first or last `count` elements that are `text`; gives how many there were.
    pub fn remove_equal(&mut self, text: &[u8], count: usize, from_front: bool) -> usize {
        let needle = Needle::new(text);
        let mut left = count;
        let mut at = if from_front { self.first_node() } else { self.last_node() };
        while let Some(here) = at
            && left > 0
        {
            let found = match self.entry(here).node.view() {
                View::Packed(bytes) => Packed::new(&bytes).matches(text, left, from_front),
                View::Plain(plain) => {
                    if needle.is(super::Item::Far(&plain)) {
                        vec![0]
                    } else {
                        Vec::new()
                    }
                }
            };
            left -= found.len();
            let before = self.node_before(here);
            let next = if found.len() == self.entry(here).len as usize {
                self.remove_node(here)
            } else {
                if !found.is_empty() {
                    self.edit_packed(here, |list| list.remove_all(&found));
                    self.compress_near(here);
                }
                self.node_after(here)
            };
            at = if from_front { next } else { before };
        }
        self.join_segments();
        self.compress_near(NodeAt::START);
        count - left
    }

    fn allows(&self, at: NodeAt, bytes: usize) -> bool {
        let entry = self.entry(at);
        !entry.node.is_plain() && self.limits.allows(entry.node.raw_bytes(), entry.len as usize, bytes)
    }

    fn insert_listpack(&mut self, at: NodeAt, list: Listpack) -> NodeAt {
        let len = list.len();
        self.insert_node(at, Node::Packed(list), len)
    }

    /// Joins nodes around `center` that fit into one: the two before it, the two behind it, then it with either.
    fn join_near(&mut self, center: NodeAt) -> NodeAt {
        let mut center = center;
        if let Some(before) = self.node_before(center)
            && let Some(first) = self.node_before(before)
            && self.join(first, before)
        {
            center = self.node_after(first).expect("the center is behind");
        }
        if let Some(behind) = self.node_after(center)
            && let Some(last) = self.node_after(behind)
        {
            self.join(behind, last);
        }
        if let Some(before) = self.node_before(center)
            && self.join(before, center)
        {
            center = before;
        }
        if let Some(behind) = self.node_after(center) {
            self.join(center, behind);
        }
        center
    }

    /// Puts the elements of `second` behind those of `first` and removes it, if one node may hold them all.
    fn join(&mut self, first: NodeAt, second: NodeAt) -> bool {
        let (a, b) = (self.entry(first), self.entry(second));
        if a.node.is_plain() || b.node.is_plain() {
            return false;
        }
        let bytes = (a.node.raw_bytes() + b.node.raw_bytes()).saturating_sub(EMPTY_BYTES + 4);
        if self.limits.exceeded(bytes, (a.len + b.len) as usize) {
            return false;
        }
        let node = b.node.clone();
        self.remove_node(second);
        let View::Packed(bytes) = node.view() else { unreachable!("it is no plain node") };
        self.edit_packed(first, |list| list.append_all(Packed::new(&bytes)));
        true
    }
}
