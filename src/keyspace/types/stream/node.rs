//! A node of a stream: entries in a listpack, as Redis keeps and dumps them.
//!
//! ```text
//! master:  count  deleted  fields  name ...  0
//! entry:   flags  ms  seq  [fields]  [name] value ...  elements
//! ```
//!
//! The *master* entry has the names of the first entry's fields; an entry with the same names has only its values. Ids are
//! differences to the node's own id, which is that of its first entry. The last element of an entry counts those before it,
//! so that entries can be walked backwards. A deleted entry stays, with a flag, until all of its node are deleted.

use super::id::StreamId;
use crate::structures::listpack::{Element, Iter, Listpack, Packed};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 1 << 1;

/// Entries that are there and entries that are deleted, as the master entry counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) live: usize,
    pub(super) deleted: usize,
}

/// Fields and values of a new entry.
pub(super) trait NewFields<'f>: Iterator<Item = (&'f [u8], &'f [u8])> + Clone {}

impl<'f, T: Iterator<Item = (&'f [u8], &'f [u8])> + Clone> NewFields<'f> for T {}

/// A node without entries, with the names of `fields` in its master entry.
pub(super) fn new_node<'f>(fields: impl NewFields<'f>, capacity: usize) -> Listpack {
    let mut list = Listpack::with_capacity(capacity);
    list.push_int(0);
    list.push_int(0);
    list.push_int(fields.clone().count() as i64);
    fields.for_each(|(name, _)| list.push(name));
    list.push_int(0);
    list
}

/// Adds an entry at the end; `node` is the node's id.
pub(super) fn append<'f>(list: &mut Listpack, node: StreamId, id: StreamId, fields: impl NewFields<'f>) {
    let view = NodeView::new(list.as_packed(), node);
    let is_same = view.has_names(fields.clone());
    let count = fields.clone().count() as i64;
    let counts = view.counts();
    list.push_int(if is_same { SAME_FIELDS } else { 0 });
    list.push_int(id.ms.wrapping_sub(node.ms) as i64);
    list.push_int(id.seq.wrapping_sub(node.seq) as i64);
    if is_same {
        fields.for_each(|(_, value)| list.push(value));
        list.push_int(count + 3);
    } else {
        list.push_int(count);
        for (name, value) in fields {
            list.push(name);
            list.push(value);
        }
        list.push_int(2 * count + 4);
    }
    set_counts(list, Counts { live: counts.live + 1, ..counts });
}

/// Flags the entries whose flags are at these positions as deleted; none of them is yet.
pub(super) fn delete(list: &mut Listpack, positions: &[usize]) {
    let counts = counts_of(list.as_packed());
    for pos in positions {
        // A flag takes one byte with and without this bit, so the positions stay true.
        let flags = int(list.get(*pos));
        list.replace_int(*pos, flags | DELETED);
    }
    let count = positions.len();
    set_counts(list, Counts { live: counts.live - count, deleted: counts.deleted + count });
}

fn set_counts(list: &mut Listpack, counts: Counts) {
    let first = list.first().expect("a node has a master entry");
    list.replace_int(first, counts.live as i64);
    let second = list.next(first).expect("a master entry has two counts");
    list.replace_int(second, counts.deleted as i64);
}

/// What the master entry counts.
pub(super) fn counts_of(packed: Packed<'_>) -> Counts {
    let mut iter = packed.iter();
    let mut next = || iter.next().map_or(0, |element| int(element).max(0) as usize);
    Counts { live: next(), deleted: next() }
}

fn int(element: Element<'_>) -> i64 {
    element.as_i64().unwrap_or(0)
}

/// A node to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeView<'a> {
    packed: Packed<'a>,
    id: StreamId,
    /// Fields in the master entry.
    fields: usize,
    /// Position of the first name.
    names: usize,
    /// Position of the first entry, or of the end.
    entries: usize,
}

impl<'a> NodeView<'a> {
    pub(super) fn new(packed: Packed<'a>, id: StreamId) -> NodeView<'a> {
        let mut iter = packed.iter();
        let fields = iter.nth(2).map_or(0, |element| int(element).max(0) as usize);
        let names = iter.position();
        // The names and the zero behind them.
        for _ in 0..=fields {
            iter.next();
        }
        NodeView { packed, id, fields, names, entries: iter.position() }
    }

    pub(super) fn counts(&self) -> Counts {
        counts_of(self.packed)
    }

    fn has_names<'f>(&self, fields: impl NewFields<'f>) -> bool {
        let mut names = self.packed.iter_between(self.names, self.packed.end()).take(self.fields);
        let mut fields = fields;
        let is_same = names.by_ref().all(|name| fields.next().is_some_and(|(other, _)| name.equals(other)));
        is_same && fields.next().is_none()
    }

    /// The entries from the first on, deleted ones too.
    pub(super) fn forward(self) -> impl Iterator<Item = Entry<'a>> {
        let mut pos = self.entries;
        std::iter::from_fn(move || {
            if pos >= self.packed.end() {
                return None;
            }
            let (entry, next) = self.read(pos);
            pos = next;
            Some(entry)
        })
    }

    /// The entries from the last on, deleted ones too.
    pub(super) fn backward(self) -> impl Iterator<Item = Entry<'a>> {
        let mut end = self.packed.end();
        std::iter::from_fn(move || {
            if end <= self.entries {
                return None;
            }
            let mut pos = self.packed.prev(end)?;
            for _ in 0..int(self.packed.get(pos)).max(1) {
                pos = self.packed.prev(pos)?;
            }
            end = pos;
            Some(self.read(pos).0)
        })
    }

    /// The entry at `pos`, and the position behind it.
    #[inline]
    fn read(&self, pos: usize) -> (Entry<'a>, usize) {
        let mut iter = self.packed.iter_between(pos, self.packed.end());
        let mut next = || iter.next().map_or(0, int);
        let flags = next();
        let id = StreamId {
            ms: self.id.ms.wrapping_add(next() as u64),
            seq: self.id.seq.wrapping_add(next() as u64),
        };
        let is_same = flags & SAME_FIELDS != 0;
        let (fields, elements) = if is_same {
            (self.fields, self.fields)
        } else {
            let fields = next().max(0) as usize;
            (fields, fields.saturating_mul(2))
        };
        let names = if is_same { Some(self.packed.iter_between(self.names, self.entries)) } else { None };
        let values = iter.clone();
        // The values, and the count of the elements.
        for _ in 0..=elements {
            if iter.next().is_none() {
                break;
            }
        }
        let entry = Entry {
            id,
            pos,
            is_deleted: flags & DELETED != 0,
            fields: Fields { names, values, left: fields },
        };
        (entry, iter.position())
    }
}

/// An entry of a stream.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: StreamId,
    /// Its fields and values.
    pub fields: Fields<'a>,
    /// Where its flags are.
    pub(super) pos: usize,
    pub(super) is_deleted: bool,
}

/// Fields and values of an entry.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// Of the master entry, if the entry has the same.
    names: Option<Iter<'a>>,
    values: Iter<'a>,
    left: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Element<'a>, Element<'a>);

    #[inline]
    fn next(&mut self) -> Option<(Element<'a>, Element<'a>)> {
        self.left = self.left.checked_sub(1)?;
        let name = match &mut self.names {
            Some(names) => names.next()?,
            None => self.values.next()?,
        };
        Some((name, self.values.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// Checks that a listpack, which is valid as such, is the node with this id: with at least one entry, and ids that ascend
/// from its own. Gives how many entries are not deleted, and the last id.
pub(super) fn validate(packed: Packed<'_>, id: StreamId) -> Option<(usize, StreamId)> {
    let mut iter = packed.iter();
    let count = |element: Option<Element<'_>>| element?.as_i64().and_then(|n| usize::try_from(n).ok());
    let (live, deleted, fields) = (count(iter.next())?, count(iter.next())?, count(iter.next())?);
    for _ in 0..fields {
        iter.next()?;
    }
    if count(iter.next())? != 0 {
        return None;
    }
    let (mut seen_live, mut seen_deleted) = (0, 0);
    let mut last = None;
    while let Some(flags) = iter.next() {
        let flags = flags.as_i64()?;
        let ms = id.ms.wrapping_add(iter.next()?.as_i64()? as u64);
        let entry = StreamId::new(ms, id.seq.wrapping_add(iter.next()?.as_i64()? as u64));
        if last.map_or(entry < id, |last| entry <= last) {
            return None;
        }
        last = Some(entry);
        let (elements, head) =
            if flags & SAME_FIELDS != 0 { (fields, 3) } else { (count(iter.next())?.checked_mul(2)?, 4) };
        for _ in 0..elements {
            iter.next()?;
        }
        if count(iter.next())? != elements + head {
            return None;
        }
        if flags & DELETED != 0 {
            seen_deleted += 1;
        } else {
            seen_live += 1;
        }
    }
    if (seen_live, seen_deleted) == (live, deleted) { Some((live, last?)) } else { None }
}
