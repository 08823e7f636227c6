//! Walking a sorted set in order, either way.
//!
//! The cells of a table lie all over the memory, so their memory is asked for some keys ahead.

use super::{ZsetTable, element_score};
use crate::structures::listpack::{Element, Pairs};
use crate::structures::ranked::{Backward, Forward};
use crate::structures::slab::Handle;

/// Keys asked for at a time: half of those that are kept.
const BATCH: usize = 16;

/// Keys of the tree in either direction.
#[derive(Clone)]
pub(super) enum Keys<'a> {
    Forward(Forward<'a>),
    Backward(Backward<'a>),
}

/// Members of a table in order, whose cells are asked for ahead. See [`ZsetRef::range`].
#[derive(Clone)]
pub struct TableIter<'a> {
    table: &'a ZsetTable,
    keys: Keys<'a>,
    /// Keys that were not yet taken from `keys`.
    left: usize,
    /// Keys whose cells were asked for: those between `first` and `end`, in two halves that are filled in turn.
    ring: [(f64, Handle); 2 * BATCH],
    first: usize,
    end: usize,
}

impl<'a> TableIter<'a> {
    pub(super) fn new(table: &'a ZsetTable, keys: Keys<'a>, left: usize) -> TableIter<'a> {
        let ring = [(0.0, Handle::NONE); 2 * BATCH];
        let mut iter = TableIter { table, keys, left, ring, first: 0, end: 0 };
        iter.ask();
        iter
    }

    /// Asks for the cells of the next keys, at the beginning of a half.
    fn ask(&mut self) {
        let start = self.end % (2 * BATCH);
        let wanted = self.left.min(BATCH);
        let batch = &mut self.ring[start..start + wanted];
        let count = match &mut self.keys {
            Keys::Forward(keys) => keys.fill(batch),
            Keys::Backward(keys) => keys.fill(batch),
        };
        for (_, handle) in &batch[..count] {
            self.table.members.prefetch(*handle);
        }
        self.end += count;
        self.left = if count == BATCH { self.left - count } else { 0 };
    }
}

impl<'a> Iterator for TableIter<'a> {
    type Item = (Element<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<(Element<'a>, f64)> {
        // The half behind the one that is read is filled, so that its cells come while this one is handed out.
        if self.first.is_multiple_of(BATCH) && self.left > 0 {
            self.ask();
        }
        if self.first == self.end {
            return None;
        }
        let (score, handle) = self.ring[self.first % (2 * BATCH)];
        self.first += 1;
        Some((self.table.element(handle), score))
    }
}

/// Members with their scores. See [`ZsetRef::range`].
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "it lives on the stack of the one who walks")]
pub enum ZsetIter<'a> {
    /// Of a listpack.
    Packed {
        /// All that are left in it.
        pairs: Pairs<'a>,
        /// How many are to be handed out.
        left: usize,
        /// From the back.
        reverse: bool,
    },
    /// Of a table.
    Table(TableIter<'a>),
}

impl<'a> Iterator for ZsetIter<'a> {
    type Item = (Element<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<(Element<'a>, f64)> {
        match self {
            ZsetIter::Packed { pairs, left, reverse } => {
                *left = left.checked_sub(1)?;
                let (member, score) = if *reverse { pairs.next_back()? } else { pairs.next()? };
                Some((member, element_score(score)))
            }
            ZsetIter::Table(iter) => iter.next(),
        }
    }
}
