//! Consumer groups: who was given which entry and has not acknowledged it.
//!
//! A pending entry stands twice: in the group's list with its owner, time and number of deliveries, and, with nothing but
//! its id, in the list of its owner. Both are ordered by id.

use std::collections::BTreeMap;

use slab::Slab;

use super::id::StreamId;
use super::log::Log;
use crate::structures::ordered::Ordered;

/// A group of consumers that share the entries of a stream.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The last id that was delivered.
    pub last_id: StreamId,
    /// How many entries of the stream were ever read up to there, if that is known.
    pub entries_read: Option<u64>,
    /// What is pending, by id.
    pending: Ordered<Pending>,
    consumers: Slab<Consumer>,
    /// By name.
    names: BTreeMap<Box<[u8]>, u32>,
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// When it was last delivered, as Unix time in milliseconds.
    pub delivered_ms: u64,
    /// How often.
    pub deliveries: u64,
    /// Number of its owner within the group.
    pub consumer: u32,
}

/// A member of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its name.
    pub name: Box<[u8]>,
    /// When it last asked, as Unix time in milliseconds.
    pub seen_ms: u64,
    /// When it last got something.
    pub active_ms: Option<u64>,
    /// The ids of what it was given.
    pending: Ordered<()>,
}

impl Consumer {
    /// How many entries are pending.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The ids that are pending, from one to another.
    pub fn pending(&self, from: StreamId, to: StreamId) -> impl DoubleEndedIterator<Item = StreamId> {
        let (from, to) = (from.number(), to.number());
        self.pending.range(from..=to).map(|(id, ())| StreamId::from_number(id))
    }
}

impl Group {
    /// A group that has read up to `last_id`.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Group {
        Group { last_id, entries_read, ..Group::default() }
    }

    /// Memory behind the group.
    pub fn heap_bytes(&self) -> usize {
        const CONSUMER_BYTES: usize = size_of::<Consumer>() + 96;
        // A pending entry of a consumer takes its id.
        self.pending.heap_bytes() + self.pending.len() * 17 + self.names.len() * CONSUMER_BYTES
    }

    /// How many entries are pending.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The pending entry with this id.
    pub fn pending_at(&self, id: StreamId) -> Option<Pending> {
        self.pending.get(id.number()).copied()
    }

    /// The pending entries from one id to another.
    pub fn pending(
        &self,
        from: StreamId,
        to: StreamId,
    ) -> impl DoubleEndedIterator<Item = (StreamId, Pending)> {
        let (from, to) = (from.number(), to.number());
        self.pending.range(from..=to).map(|(id, pending)| (StreamId::from_number(id), *pending))
    }

    /// How many consumers it has.
    pub fn consumers_len(&self) -> usize {
        self.names.len()
    }

    /// The consumers, in the order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.names.values().map(|number| &self.consumers[*number as usize])
    }

    /// The consumer that comes after a name, or the first one.
    pub fn consumer_after(&self, name: Option<&[u8]>) -> Option<&Consumer> {
        use std::ops::Bound::{Excluded, Unbounded};
        let range = (name.map_or(Unbounded, Excluded), Unbounded);
        self.names.range::<[u8], _>(range).next().map(|(_, number)| &self.consumers[*number as usize])
    }

    /// The number of the consumer with this name.
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// The consumer with this number.
    pub fn consumer(&self, number: u32) -> &Consumer {
        &self.consumers[number as usize]
    }

    /// The consumer with this number, to note what it did.
    pub fn consumer_mut(&mut self, number: u32) -> &mut Consumer {
        &mut self.consumers[number as usize]
    }

    /// Adds a consumer, whose name must be new; gives its number.
    pub fn add_consumer(&mut self, name: &[u8], now_ms: u64) -> u32 {
        let consumer =
            Consumer { name: name.into(), seen_ms: now_ms, active_ms: None, pending: Ordered::new() };
        let number = self.consumers.insert(consumer) as u32;
        self.names.insert(name.into(), number);
        number
    }

    /// Removes a consumer and what is pending for it; gives how much that was.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let number = self.names.remove(name)?;
        let consumer = self.consumers.remove(number as usize);
        for (id, ()) in consumer.pending.iter() {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    /// An entry is pending for this consumer, whoever had it before.
    pub fn assign(&mut self, id: StreamId, pending: Pending) {
        let number = id.number();
        if let Some(old) = self.pending.insert(number, pending) {
            if old.consumer == pending.consumer {
                return;
            }
            self.consumers[old.consumer as usize].pending.remove(number);
        }
        self.consumers[pending.consumer as usize].pending.insert(number, ());
    }

    /// An entry is pending no more; false if it was not.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(old) = self.pending.remove(id.number()) else { return false };
        self.consumers[old.consumer as usize].pending.remove(id.number());
        true
    }

    /// An entry is delivered for the first time: what the group has read moves on.
    pub fn advance(&mut self, log: &Log, id: StreamId) {
        if id <= self.last_id {
            return;
        }
        match self.entries_read {
            Some(read) if self.last_id >= log.first_id && !log.has_gap_from(self.last_id) => {
                self.entries_read = Some(read.saturating_add(1));
            }
            _ if log.entries_added > 0 => self.entries_read = log.added_up_to(id),
            _ => {}
        }
        self.last_id = id;
    }

    /// How many entries of the stream the group has yet to read, if that can be told.
    pub fn lag(&self, log: &Log) -> Option<u64> {
        if log.entries_added == 0 || log.is_empty() {
            return Some(0);
        }
        if self.last_id < log.first_id && log.max_deleted_id < log.first_id {
            return Some(log.len() as u64);
        }
        let read = match self.entries_read {
            Some(read) if !log.has_gap_from(self.last_id) => Some(read),
            _ => log.added_up_to(self.last_id),
        };
        read.map(|read| log.entries_added.wrapping_sub(read))
    }
}
