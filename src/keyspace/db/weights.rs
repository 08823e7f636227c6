//! How much memory collections take: `key-memory-histograms`.
//!
//! A collection is counted by its key and by what lies behind its value; a string is not, for its length is counted anyway.
//! While a collection is taken out of its entry it is not counted.

use super::Db;
use crate::keyspace::entry::Kind;
use crate::keyspace::sizes::Sizes;
use crate::keyspace::value::{TYPES, Type, Value};
use crate::structures::slab::Handle;

/// What an entry takes beside its key and its value.
const ENTRY_BYTES: usize = 16;

impl Db {
    /// Counts the memory of collections from now on, or no longer. To begin it has to be empty.
    pub fn weigh(&mut self, on: bool) {
        match on {
            true if self.weights.is_none() => self.weights = Some(Box::default()),
            true => {}
            false => self.weights = None,
        }
    }

    /// How many collections of a type take about how many bytes; none unless they are counted.
    pub fn weights(&self, of: Type) -> Option<&Sizes> {
        self.weights.as_deref().map(|weights| &weights[of as usize])
    }

    /// The type of a collection and the bytes that it takes; none for a string.
    fn weight(&self, handle: Handle) -> Option<(Type, usize)> {
        let entry = self.entry(handle);
        let (of, bytes) = match entry.kind() {
            Kind::Inline | Kind::Int => return None,
            Kind::Far => match &self.store.values[entry.far() as usize] {
                Value::String(_) => return None,
                value => (value.view().type_of(), value.heap_bytes() + size_of::<Value>()),
            },
            _ => (self.value(handle).type_of(), entry.inline().len()),
        };
        Some((of, ENTRY_BYTES + self.key(handle).len() + bytes))
    }

    /// Counts a collection, or no more.
    #[cold]
    pub(super) fn count_weight(&mut self, handle: Handle, count: fn(&mut Sizes, usize)) {
        if let Some((of, bytes)) = self.weight(handle)
            && let Some(weights) = &mut self.weights
        {
            count(&mut weights[of as usize], bytes);
        }
    }

    /// Counts all sizes and weights anew, and compares them with those that were kept.
    ///
    /// # Panics
    ///
    /// When they differ.
    pub fn check_sizes(&self) {
        let mut sizes: [Sizes; TYPES] = Default::default();
        let mut weights: [Sizes; TYPES] = Default::default();
        let mut cursor = 0;
        loop {
            cursor = self.scan(cursor, |handle| {
                let value = self.value(handle);
                sizes[value.type_of() as usize].add(value.size());
                if let Some((of, bytes)) = self.weight(handle) {
                    weights[of as usize].add(bytes);
                }
            });
            if cursor == 0 {
                break;
            }
        }
        let bins = |of: &[Sizes; TYPES]| of.each_ref().map(|sizes| sizes.iter().collect::<Vec<_>>());
        assert_eq!(bins(&sizes), bins(&self.sizes), "sizes of values");
        if let Some(kept) = &self.weights {
            assert_eq!(bins(&weights), bins(kept), "memory of collections");
        }
    }
}
