//! Walking a sorted set in order, either way.
//!
//! The cells of a table lie all over the memory, so their memory is asked for some keys ahead.

use super::{ZsetTable, element_score};
use crate::structures::listpack::{Element, Pairs};
use crate::structures::ranked::{Backward, Forward};
use crate::structures::slab::Handle;

/// Keys asked for before the first of their cells is read.
const AHEAD: usize = 16;

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
    /// Keys whose cells were asked for: `count` of them from `first` on, around the end.
    ring: [(f64, Handle); AHEAD],
    first: usize,
    count: usize,
}

impl<'a> TableIter<'a> {
    pub(super) fn new(table: &'a ZsetTable, keys: Keys<'a>, left: usize) -> TableIter<'a> {
        let ring = [(0.0, Handle::NONE); AHEAD];
        let mut iter = TableIter { table, keys, left, ring, first: 0, count: 0 };
        while iter.count < AHEAD && iter.ask() {}
        iter
    }

    /// Asks for the cell of one more key.
    #[inline]
    fn ask(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let key = match &mut self.keys {
            Keys::Forward(keys) => keys.next(),
            Keys::Backward(keys) => keys.next(),
        };
        let Some(key) = key else { return false };
        self.table.members.prefetch(key.1);
        self.ring[(self.first + self.count) % AHEAD] = key;
        self.count += 1;
        true
    }
}

impl<'a> Iterator for TableIter<'a> {
    type Item = (Element<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<(Element<'a>, f64)> {
        if self.count == 0 {
            return None;
        }
        let (score, handle) = self.ring[self.first];
        self.first = (self.first + 1) % AHEAD;
        self.count -= 1;
        self.ask();
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
