//! The oversize cells of an arena: shared bytes under small numbers.
//!
//! Slots come in segments of fixed size, so that none is moved as their number grows; free ones are threaded by their
//! numbers.
//!
//! The cost: 40 bytes a cell, and an allocation of its own.

use bytes::Bytes;

/// Slots of a segment.
const SEGMENT_SLOTS: usize = 512;
const NONE: u32 = u32::MAX;

#[derive(Clone)]
enum Slot {
    Cell(Bytes),
    /// Holds the number of the next free slot, or `NONE`.
    Free(u32),
}

#[derive(Clone)]
pub(super) struct Large {
    /// All but the last are full to their capacity.
    segments: Vec<Vec<Slot>>,
    free: u32,
    live: usize,
    payload_bytes: usize,
}

impl Large {
    pub(super) const fn new() -> Large {
        Large { segments: Vec::new(), free: NONE, live: 0, payload_bytes: 0 }
    }

    pub(super) fn insert(&mut self, payload: Bytes) -> u32 {
        self.live += 1;
        self.payload_bytes += payload.len();
        if self.free != NONE {
            let number = self.free;
            let slot = self.slot(number);
            let Slot::Free(next) = *slot else { unreachable!("the list holds free slots") };
            *slot = Slot::Cell(payload);
            self.free = next;
            return number;
        }
        if self.segments.last().is_none_or(|last| last.len() == SEGMENT_SLOTS) {
            self.segments.push(Vec::new());
        }
        let full = (self.segments.len() - 1) * SEGMENT_SLOTS;
        let last = self.segments.last_mut().expect("one was pushed");
        last.push(Slot::Cell(payload));
        (full + last.len() - 1) as u32
    }

    pub(super) fn remove(&mut self, number: u32) {
        let next = self.free;
        let slot = std::mem::replace(self.slot(number), Slot::Free(next));
        let Slot::Cell(payload) = slot else { unreachable!("a freed cell is in use") };
        self.live -= 1;
        self.payload_bytes -= payload.len();
        self.free = number;
        if self.live == 0 {
            *self = Large::new();
        }
    }

    pub(super) fn get(&self, number: u32) -> &Bytes {
        match &self.segments[number as usize / SEGMENT_SLOTS][number as usize % SEGMENT_SLOTS] {
            Slot::Cell(payload) => payload,
            Slot::Free(_) => unreachable!("a handle names a cell in use"),
        }
    }

    /// Writes over some bytes. A payload that somebody shares is copied first.
    pub(super) fn patch(&mut self, number: u32, offset: usize, bytes: &[u8]) {
        let Slot::Cell(payload) = self.slot(number) else { unreachable!("a handle names a cell in use") };
        let mut own = match std::mem::take(payload).try_into_mut() {
            Ok(own) => own,
            Err(shared) => shared.as_ref().into(),
        };
        own[offset..offset + bytes.len()].copy_from_slice(bytes);
        *payload = own.freeze();
    }

    pub(super) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let slots = match self.segments.as_slice() {
            [] => 0,
            [first] => first.capacity(),
            more => more.len() * SEGMENT_SLOTS,
        };
        self.payload_bytes
            + slots * std::mem::size_of::<Slot>()
            + self.segments.capacity() * std::mem::size_of::<Vec<Slot>>()
    }

    fn slot(&mut self, number: u32) -> &mut Slot {
        &mut self.segments[number as usize / SEGMENT_SLOTS][number as usize % SEGMENT_SLOTS]
    }
}
