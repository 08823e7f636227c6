//! Lists: a listpack while small, then a quicklist.
//!
//! A list becomes a quicklist when what a command is about to add would exceed `list-max-listpack-size`, and a listpack
//! again when it has shrunk to one node within half of that. So a list at the border does not change to and fro.
//!
//! * Before adding, a command says what it will add, [`List::expect`]; after removing, [`List::settle`].

use crate::keyspace::tuning::Tuning;
use crate::keyspace::value::{Collection, Type, Value};
use crate::structures::listpack::{Listpack, Packed};
use crate::structures::quicklist::{Item, Limits, Needle, Quicklist};
use bytes::Bytes;

/// A list.
#[derive(Clone, Debug)]
pub enum List {
    /// All elements in one listpack.
    Packed(Listpack),
    /// A chain of nodes.
    Quick(Box<Quicklist>),
}

/// A node of a list that was read from a dump file.
#[derive(Debug)]
pub enum LoadedNode {
    /// Several elements; at least one.
    Packed(Listpack),
    /// One large element.
    Plain(Bytes),
}

/// As a reader sees it.
#[derive(Clone, Copy, Debug)]
pub enum ListRef<'a> {
    /// All elements in one listpack.
    Packed(Packed<'a>),
    /// A chain of nodes.
    Quick(&'a Quicklist),
}

impl List {
    /// Memory behind it, in bytes.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        match self {
            List::Packed(pack) => pack.heap_bytes(),
            List::Quick(quick) => size_of::<Quicklist>() + quick.heap_bytes(),
        }
    }

    /// As a reader sees it.
    #[inline]
    pub fn view(&self) -> ListRef<'_> {
        match self {
            List::Packed(pack) => ListRef::Packed(pack.as_packed()),
            List::Quick(quick) => ListRef::Quick(quick),
        }
    }

    #[inline]
    pub(in crate::keyspace) fn packed(&self) -> Option<&[u8]> {
        match self {
            List::Packed(pack) => Some(pack.bytes()),
            List::Quick(_) => None,
        }
    }

    pub(in crate::keyspace) fn from_packed(bytes: Vec<u8>) -> List {
        List::Packed(Listpack::from_bytes(bytes))
    }

    pub(in crate::keyspace) fn into_packed(self) -> Vec<u8> {
        match self {
            List::Packed(pack) => pack.into_bytes(),
            List::Quick(_) => Vec::new(),
        }
    }

    /// Appends a node, as a dump file has them; a list of one node is a listpack, if it fits into one.
    pub fn push_node(&mut self, node: LoadedNode, tuning: &Tuning) {
        let limits = limits_of(tuning);
        let node = match (self.is_empty(), node) {
            (true, LoadedNode::Packed(pack)) if !limits.exceeded(pack.bytes_len(), pack.len()) => {
                *self = List::Packed(pack);
                return;
            }
            (_, node) => node,
        };
        if let List::Packed(pack) = self {
            let mut quick = Quicklist::new(limits);
            quick.push_listpack(std::mem::take(pack));
            *self = List::Quick(Box::new(quick));
        }
        if let List::Quick(quick) = self {
            match node {
                LoadedNode::Packed(pack) => quick.push_listpack(pack),
                LoadedNode::Plain(text) => quick.push_plain(text),
            }
        }
    }

    /// Makes ready for so many more bytes and elements: becomes a quicklist if a listpack would be too large for them.
    pub fn expect(&mut self, bytes: usize, elements: usize, tuning: &Tuning) {
        match self {
            List::Packed(pack) => {
                let limits = limits_of(tuning);
                if limits.exceeded(pack.bytes_len() + bytes, pack.len() + elements) {
                    let mut quick = Quicklist::new(limits);
                    quick.push_listpack(std::mem::take(pack));
                    *self = List::Quick(Box::new(quick));
                }
            }
            List::Quick(quick) => quick.set_plain_from_bytes(tuning.list_packed_threshold_bytes as usize),
        }
    }

    /// Becomes a listpack again if it has become small.
    pub fn settle(&mut self, tuning: &Tuning) {
        if let List::Quick(quick) = self
            && let Some(pack) = quick.only_listpack(&limits_of(tuning))
        {
            *self = List::Packed(pack.clone());
        }
    }

    /// Adds an element at the front or at the end.
    #[inline]
    pub fn push(&mut self, text: &[u8], in_front: bool) {
        match (self, in_front) {
            (List::Packed(pack), true) => pack.push_front(text),
            (List::Packed(pack), false) => pack.push(text),
            (List::Quick(quick), true) => quick.push_front(text),
            (List::Quick(quick), false) => quick.push_back(text),
        }
    }

    /// Removes the first or the last element.
    #[inline]
    pub fn remove_end(&mut self, in_front: bool) {
        match self {
            List::Packed(pack) => {
                if let Some(pos) = if in_front { pack.first() } else { pack.last() } {
                    pack.remove(pos, 1);
                }
            }
            List::Quick(quick) => quick.remove_end(in_front),
        }
    }

    /// Puts an element beside the first one that is `pivot`; false if there is none.
    pub fn insert_beside(&mut self, pivot: &[u8], behind: bool, text: &[u8]) -> bool {
        match self {
            List::Packed(pack) => match pack.find(pack.first(), pivot, 0) {
                None => false,
                Some(pos) => {
                    if behind {
                        pack.insert_after(pos, text);
                    } else {
                        pack.insert_before(pos, text);
                    }
                    true
                }
            },
            List::Quick(quick) => match quick.find(pivot) {
                None => false,
                Some(place) => {
                    quick.insert(place, behind, text);
                    true
                }
            },
        }
    }

    /// Puts another element in the place of the one with this index, which may count from the end; false if there is
    /// none.
    pub fn replace(&mut self, index: i64, text: &[u8]) -> bool {
        let Some(index) = self.view().index(index) else { return false };
        match self {
            List::Packed(pack) => {
                let Some(pos) = pack.seek(index as i64) else { return false };
                pack.replace(pos, text);
            }
            List::Quick(quick) => {
                let Some(place) = quick.locate(index) else { return false };
                quick.replace(place, text);
            }
        }
        true
    }

    /// Removes up to `count` elements from the one with this index on.
    pub fn remove_range(&mut self, start: usize, count: usize) {
        match self {
            List::Packed(pack) => pack.remove_range(start as i64, count),
            List::Quick(quick) => {
                quick.remove_range(start, count);
            }
        }
    }

    /// Removes the first or the last `count` elements that are `text`; gives how many there were.
    pub fn remove_equal(&mut self, text: &[u8], count: usize, from_front: bool) -> usize {
        match self {
            List::Packed(pack) => pack.remove_equal(text, count, from_front),
            List::Quick(quick) => quick.remove_equal(text, count, from_front),
        }
    }
}

/// What a new quicklist obeys.
fn limits_of(tuning: &Tuning) -> Limits {
    Limits {
        plain_from_bytes: tuning.list_packed_threshold_bytes as usize,
        ..Limits::new(tuning.list_max_listpack_size, tuning.list_compress_depth)
    }
}

impl<'a> ListRef<'a> {
    pub(in crate::keyspace) fn from_packed(bytes: &'a [u8]) -> ListRef<'a> {
        ListRef::Packed(Packed::new(bytes))
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(self) -> &'static str {
        match self {
            ListRef::Packed(_) => "listpack",
            ListRef::Quick(_) => "quicklist",
        }
    }

    /// Elements.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            ListRef::Packed(pack) => pack.len(),
            ListRef::Quick(quick) => quick.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The index from the front of one that may count from the end; none if there is no such element.
    pub fn index(self, index: i64) -> Option<usize> {
        let len = self.len() as i64;
        let index = if index < 0 { index + len } else { index };
        if (0..len).contains(&index) { Some(index as usize) } else { None }
    }

    /// Lends the element with this index, which may count from the end.
    pub fn get<R>(self, index: i64, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        match self {
            ListRef::Packed(pack) => pack.nth(index).map(|element| f(Item::Near(element))),
            ListRef::Quick(quick) => quick.get(self.index(index)?, f),
        }
    }

    /// Lends the first or the last element.
    #[inline]
    pub fn end<R>(self, in_front: bool, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        match self {
            ListRef::Packed(pack) => {
                let pos = if in_front { pack.first() } else { pack.last() };
                pos.map(|pos| f(Item::Near(pack.get(pos))))
            }
            ListRef::Quick(quick) => quick.end(in_front, f),
        }
    }

    /// Lends the elements from the one with this index on, towards the end or the front, until `f` answers false.
    #[inline]
    pub fn walk(self, from: usize, forward: bool, mut f: impl FnMut(Item<'_>) -> bool) {
        match self {
            ListRef::Quick(quick) => quick.walk(from, forward, f),
            ListRef::Packed(pack) => {
                let Some(pos) = pack.seek(from as i64) else { return };
                let mut f = |element| f(Item::Near(element));
                if forward {
                    pack.iter_between(pos, pack.end()).all(&mut f);
                } else {
                    pack.iter_to(pos).rev().all(&mut f);
                }
            }
        }
    }

    /// The indices of the elements that are `text`: from the front or the end, at most `count`, without the first
    /// `skipped`, among the first `looked_at`.
    pub fn positions(
        self,
        text: &[u8],
        from_front: bool,
        skipped: usize,
        count: usize,
        looked_at: usize,
    ) -> Vec<usize> {
        let needle = Needle::new(text);
        let (len, mut found) = (self.len(), Vec::new());
        let (mut seen, mut skipped) = (0, skipped);
        if looked_at == 0 || len == 0 {
            return found;
        }
        self.walk(if from_front { 0 } else { len - 1 }, from_front, |item| {
            if needle.is(item) {
                if skipped > 0 {
                    skipped -= 1;
                } else {
                    found.push(if from_front { seen } else { len - 1 - seen });
                }
            }
            seen += 1;
            found.len() < count && seen < looked_at
        });
        found
    }
}

impl From<List> for Value {
    fn from(value: List) -> Value {
        Value::List(value)
    }
}

impl Collection for List {
    const TYPE: Type = Type::List;

    fn new() -> List {
        List::Packed(Listpack::new())
    }

    fn from_value(value: Value) -> Option<List> {
        if let Value::List(value) = value { Some(value) } else { None }
    }

    #[inline]
    fn len(&self) -> usize {
        self.view().len()
    }
}
