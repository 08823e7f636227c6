//! Buckets of one cache line, and the segmented arrays that hold them.
//!
//! A bucket has twelve slots. A slot is a tag byte (0: empty), the low 32 bits of a handle, and two more bits
//! of it in a shared word. When a bucket is full its last slot becomes a link to an overflow bucket.
//!
//! * Twelve tags and the shared word lie in the first 16 bytes, so a look-up compares them all at once.
//! * An array of buckets grows by whole segments; nothing that exists is copied or moved, but for the first
//!   segment, which starts with one bucket and doubles up to its full length.
//!
//! The cost: 5.3 bytes a slot.
#![allow(unsafe_code, reason = "one comparison of all tags takes 4 instructions, the same in whole words 25")]

use crate::structures::slab::Handle;

/// Slots of a bucket that has no link.
pub(super) const SLOTS: usize = 12;
/// Buckets of a segment: 64 KiB.
pub(super) const SEGMENT_BUCKETS: usize = 1024;

const LINK_SLOT: usize = SLOTS - 1;
const ALL_SLOTS: u32 = (1 << SLOTS) - 1;
const SLOTS_BESIDE_LINK: u32 = ALL_SLOTS >> 1;
const CHAINED: u32 = 1 << 24;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Bucket {
    /// Zero for an empty slot, and for the link.
    tags: [u8; SLOTS],
    /// Bits 2i and 2i+1 are bits 32 and 33 of handle i. Bit 24 is `CHAINED`.
    high: u32,
    /// Bits 0 to 31 of the handles; the number of the overflow bucket in the last slot of a chained one.
    low: [u32; SLOTS],
}

const _: () = assert!(std::mem::size_of::<Bucket>() == 64);

impl Bucket {
    pub(super) const EMPTY: Bucket = Bucket { tags: [0; SLOTS], high: 0, low: [0; SLOTS] };

    /// The slots whose tag is `tag`, as a set of bits.
    #[inline(always)]
    pub(super) fn matching(&self, tag: u8) -> u32 {
        let mut line = [0u8; 16];
        line[..SLOTS].copy_from_slice(&self.tags);
        line[SLOTS..].copy_from_slice(&self.high.to_ne_bytes());
        equal_bytes(line, tag) & ALL_SLOTS
    }

    /// The slots that hold a handle.
    #[inline]
    pub(super) fn occupied(&self) -> u32 {
        !self.matching(0) & ALL_SLOTS
    }

    /// The first slot that could take a handle.
    #[inline]
    pub(super) fn vacant_slot(&self) -> Option<usize> {
        let usable = if self.high & CHAINED == 0 { ALL_SLOTS } else { SLOTS_BESIDE_LINK };
        let vacant = self.matching(0) & usable;
        if vacant == 0 { None } else { Some(vacant.trailing_zeros() as usize) }
    }

    #[inline]
    pub(super) fn tag(&self, slot: usize) -> u8 {
        self.tags[slot]
    }

    #[inline(always)]
    pub(super) fn handle(&self, slot: usize) -> Handle {
        let high = u64::from(self.high >> (2 * slot) & 3);
        Handle::from_number(high << 32 | u64::from(self.low[slot]))
    }

    #[inline]
    pub(super) fn set(&mut self, slot: usize, tag: u8, handle: Handle) {
        let number = handle.number();
        self.tags[slot] = tag;
        self.low[slot] = number as u32;
        self.high = self.high & !(3 << (2 * slot)) | ((number >> 32) as u32 & 3) << (2 * slot);
    }

    #[inline]
    pub(super) fn clear_slot(&mut self, slot: usize) {
        self.set(slot, 0, Handle::NONE);
    }

    /// The overflow bucket that continues this one.
    #[inline(always)]
    pub(super) fn link(&self) -> Option<u32> {
        if self.high & CHAINED == 0 { None } else { Some(self.low[LINK_SLOT]) }
    }

    /// Makes the last slot a link; gives what it held.
    pub(super) fn set_link(&mut self, overflow: u32) -> (u8, Handle) {
        let displaced = (self.tag(LINK_SLOT), self.handle(LINK_SLOT));
        self.clear_slot(LINK_SLOT);
        self.high |= CHAINED;
        self.low[LINK_SLOT] = overflow;
        displaced
    }

    /// Makes the link a slot again, holding the one entry that its overflow bucket had left.
    pub(super) fn replace_link(&mut self, tag: u8, handle: Handle) {
        self.high &= !CHAINED;
        self.set(LINK_SLOT, tag, handle);
    }
}

/// Bit i is set where byte i equals `byte`: all sixteen in one comparison.
#[cfg(target_arch = "x86_64")]
#[inline]
fn equal_bytes(line: [u8; 16], byte: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    let line = u128::from_le_bytes(line);
    // SAFETY: SSE2 is part of x86-64, and none of these touches memory.
    unsafe {
        let line = _mm_set_epi64x((line >> 64) as i64, line as i64);
        _mm_movemask_epi8(_mm_cmpeq_epi8(line, _mm_set1_epi8(byte as i8))) as u32
    }
}

/// Bit i is set where byte i equals `byte`: eight bytes at a time in a register.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn equal_bytes(line: [u8; 16], byte: u8) -> u32 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const LOW_BITS: u64 = 0x7f * EACH;
    let zero_bytes = |word: u64| {
        // The sum has the top bit of each byte whose lower bits are not all zero, without any carry.
        let top_bits = !(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS);
        // The product gathers the eight top bits in its highest byte.
        ((top_bits >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
    };
    let line = u128::from_le_bytes(line);
    let pattern = u64::from(byte) * EACH;
    zero_bytes(line as u64 ^ pattern) | zero_bytes((line >> 64) as u64 ^ pattern) << 8
}

/// A growing array of buckets that never moves more than one segment.
#[derive(Clone)]
pub(super) struct Buckets {
    segments: Vec<Box<[Bucket]>>,
}

impl Buckets {
    pub(super) const fn new() -> Buckets {
        Buckets { segments: Vec::new() }
    }

    #[inline(always)]
    pub(super) fn get(&self, index: usize) -> &Bucket {
        &self.segments[index / SEGMENT_BUCKETS][index % SEGMENT_BUCKETS]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: usize) -> &mut Bucket {
        &mut self.segments[index / SEGMENT_BUCKETS][index % SEGMENT_BUCKETS]
    }

    /// Buckets for which there is memory.
    pub(super) fn capacity(&self) -> usize {
        match self.segments.as_slice() {
            [] => 0,
            [first] => first.len(),
            more => more.len() * SEGMENT_BUCKETS,
        }
    }

    /// Makes room for the bucket behind the last: twice the first segment, or one segment more.
    pub(super) fn grow(&mut self) {
        match self.segments.as_mut_slice() {
            [first] if first.len() < SEGMENT_BUCKETS => {
                let mut doubled = vec![Bucket::EMPTY; first.len() * 2].into_boxed_slice();
                doubled[..first.len()].copy_from_slice(first);
                *first = doubled;
            }
            [] => self.segments.push(vec![Bucket::EMPTY; 1].into_boxed_slice()),
            _ => self.segments.push(vec![Bucket::EMPTY; SEGMENT_BUCKETS].into_boxed_slice()),
        }
    }

    /// Gives back what lies behind the first `count` buckets, as far as that is whole segments, or half of
    /// the first one.
    pub(super) fn shrink(&mut self, count: usize) {
        self.segments.truncate(count.div_ceil(SEGMENT_BUCKETS));
        if let [first] = self.segments.as_mut_slice()
            && count.next_power_of_two() < first.len()
        {
            *first = first[..count.next_power_of_two()].to_vec().into_boxed_slice();
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.capacity() * std::mem::size_of::<Bucket>()
            + self.segments.capacity() * std::mem::size_of::<Box<[Bucket]>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_are_found_exactly() {
        let mut rng = crate::base::rng::Rng::from_seed(3);
        for _ in 0..20_000 {
            let line: [u8; 16] = std::array::from_fn(|_| {
                [0, 1, 0x7f, 0x80, 0x81, 0xff, rng.next_u64() as u8][rng.below(7) as usize]
            });
            let byte = line[rng.below(16) as usize];
            let expected = (0..16).filter(|i| line[*i] == byte).fold(0, |bits, i| bits | 1 << i);
            assert_eq!(equal_bytes(line, byte), expected);
        }
    }
}
