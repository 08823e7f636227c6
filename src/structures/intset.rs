//! Sorted set of integers in one piece of memory, the form in which Redis keeps and dumps small sets of numbers.
//!
//! ```text
//! bytes an integer  count  integers, in ascending order
//! u32: 2, 4 or 8    u32    little-endian
//! ```
//!
//! The width is that of the widest integer that was ever inside; it never shrinks.
//!
//! * [`Ints`] reads borrowed bytes; [`IntSet`] owns and edits them.
//! * Bytes from outside go through [`validate`] first; unordered ones would be read as nonsense.
//!
//! The cost: a look-up is a binary search, an edit moves what lies behind it.

use crate::base::rng::Rng;
use crate::structures::listpack::Corrupt;

/// Bytes in front of the first integer.
pub const HEADER_BYTES: usize = 8;

/// A set of integers in borrowed bytes, to be read.
#[derive(Clone, Copy, Debug)]
pub struct Ints<'a> {
    bytes: &'a [u8],
}

impl<'a> Ints<'a> {
    /// Reads `bytes`, which are a whole set.
    #[inline]
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Ints<'a> {
        debug_assert!(bytes.len() >= HEADER_BYTES);
        Ints { bytes }
    }

    /// All bytes, as a dump file has them.
    #[inline]
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// How many integers are inside.
    #[inline]
    #[must_use]
    pub fn len(self) -> usize {
        u32::from_le_bytes([self.bytes[4], self.bytes[5], self.bytes[6], self.bytes[7]]) as usize
    }

    /// Is nothing inside?
    #[inline]
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    #[inline]
    fn width(self) -> usize {
        usize::from(self.bytes[0])
    }

    /// The integer with this index in ascending order.
    #[inline]
    #[must_use]
    pub fn get(self, index: usize) -> Option<i64> {
        let width = self.width();
        let at = HEADER_BYTES + index * width;
        let bytes = self.bytes.get(at..at + width)?;
        Some(match bytes {
            [a, b] => i64::from(i16::from_le_bytes([*a, *b])),
            [a, b, c, d] => i64::from(i32::from_le_bytes([*a, *b, *c, *d])),
            _ => i64::from_le_bytes(bytes.try_into().ok()?),
        })
    }

    /// The least integer.
    #[inline]
    #[must_use]
    pub fn min(self) -> Option<i64> {
        self.get(0)
    }

    /// The greatest integer.
    #[inline]
    #[must_use]
    pub fn max(self) -> Option<i64> {
        self.get(self.len().checked_sub(1)?)
    }

    /// Is `value` inside?
    #[inline]
    #[must_use]
    pub fn contains(self, value: i64) -> bool {
        width_of(value) <= self.width() && self.search(value).is_ok()
    }

    /// An integer, each equally likely.
    pub fn random(self, rng: &mut Rng) -> Option<i64> {
        if self.is_empty() { None } else { self.get(rng.below(self.len() as u64) as usize) }
    }

    /// All integers in ascending order; can be walked from either end.
    #[inline]
    pub fn iter(self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + Clone + 'a {
        (0..self.len()).map(move |index| self.get(index).expect("the index is below the length"))
    }

    /// The index of `value`, or that of the first greater one.
    fn search(self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        // Numbers often come in ascending order.
        match self.max() {
            None => return Err(0),
            Some(max) if value > max => return Err(high),
            Some(_) => {}
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle) {
                Some(found) if found == value => return Ok(middle),
                Some(found) if found < value => low = middle + 1,
                _ => high = middle,
            }
        }
        Err(low)
    }
}

/// A set of integers with its own memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntSet {
    bytes: Vec<u8>,
}

impl Default for IntSet {
    fn default() -> IntSet {
        IntSet::new()
    }
}

impl From<Ints<'_>> for IntSet {
    fn from(ints: Ints<'_>) -> IntSet {
        IntSet { bytes: ints.bytes.to_vec() }
    }
}

impl IntSet {
    /// A set without integers.
    #[must_use]
    pub fn new() -> IntSet {
        IntSet { bytes: vec![2, 0, 0, 0, 0, 0, 0, 0] }
    }

    /// One that consists of `bytes`, which must be a set. See [`validate`] for bytes from outside.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> IntSet {
        debug_assert!(bytes.len() >= HEADER_BYTES);
        IntSet { bytes }
    }

    /// Its bytes, as a dump file has them.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Its bytes, as a dump file has them.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// To read it.
    #[inline]
    #[must_use]
    pub fn as_ints(&self) -> Ints<'_> {
        Ints { bytes: &self.bytes }
    }

    /// Bytes taken from the allocator.
    #[inline]
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives back what is not used.
    pub fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// How many integers are inside.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_ints().len()
    }

    /// Is nothing inside?
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Is `value` inside?
    #[inline]
    #[must_use]
    pub fn contains(&self, value: i64) -> bool {
        self.as_ints().contains(value)
    }

    /// See [`Ints::get`].
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<i64> {
        self.as_ints().get(index)
    }

    /// See [`Ints::iter`].
    #[inline]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + Clone + '_ {
        self.as_ints().iter()
    }

    /// Puts `value` inside; false if it was there.
    pub fn insert(&mut self, value: i64) -> bool {
        let width = width_of(value);
        let index = if width > self.as_ints().width() {
            self.widen(width);
            // It did not fit before, so it is less than all or greater than all.
            if value < 0 { 0 } else { self.len() }
        } else {
            match self.as_ints().search(value) {
                Ok(_) => return false,
                Err(index) => index,
            }
        };
        let width = self.as_ints().width();
        let count = self.len() + 1;
        let (at, old) = (HEADER_BYTES + index * width, self.bytes.len());
        if self.bytes.capacity() - old < width {
            self.bytes.reserve_exact(width.max(old / 4));
        }
        self.bytes.resize(old + width, 0);
        self.bytes.copy_within(at..old, at + width);
        self.bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        self.set_len(count);
        true
    }

    /// Takes `value` out; false if it was not there.
    pub fn remove(&mut self, value: i64) -> bool {
        if width_of(value) > self.as_ints().width() {
            return false;
        }
        let Ok(index) = self.as_ints().search(value) else { return false };
        self.remove_range(index, 1);
        true
    }

    /// Takes up to `count` integers out, from the one with this index on.
    pub fn remove_range(&mut self, index: usize, count: usize) {
        let len = self.len();
        let from = index.min(len);
        let to = from.saturating_add(count).min(len);
        let width = self.as_ints().width();
        self.bytes.drain(HEADER_BYTES + from * width..HEADER_BYTES + to * width);
        self.set_len(len - (to - from));
    }

    fn set_len(&mut self, len: usize) {
        let len = u32::try_from(len).expect("a set of integers has less than 2^32");
        self.bytes[4..8].copy_from_slice(&len.to_le_bytes());
    }

    #[cold]
    fn widen(&mut self, width: usize) {
        let len = self.len();
        let mut wide = Vec::with_capacity(HEADER_BYTES + (len + 1) * width);
        wide.extend_from_slice(&[width as u8, 0, 0, 0, 0, 0, 0, 0]);
        for value in self.iter() {
            wide.extend_from_slice(&value.to_le_bytes()[..width]);
        }
        self.bytes = wide;
        self.set_len(len);
    }
}

/// Bytes of the narrowest integer that holds `value`.
#[inline]
fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

/// Checks that `bytes` are a set: the length, and with `deep` that the integers ascend. Gives their number.
///
/// # Errors
/// [`Corrupt`] if they are none.
pub fn validate(bytes: &[u8], deep: bool) -> Result<usize, Corrupt> {
    let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else { return Err(Corrupt) };
    let width = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let len = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
    if !matches!(width, 2 | 4 | 8) || len.checked_mul(width) != Some(body.len()) || len == 0 {
        return Err(Corrupt);
    }
    let ints = Ints { bytes };
    if deep && !ints.iter().zip(ints.iter().skip(1)).all(|(a, b)| a < b) {
        return Err(Corrupt);
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn agrees_with_an_ordered_set_at_every_width() {
        let mut rng = Rng::from_seed(11);
        for bits in [8, 15, 16, 20, 31, 32, 50, 63] {
            let (mut set, mut model) = (IntSet::new(), BTreeSet::new());
            for _ in 0..600 {
                let value = (rng.next_u64() as i64) >> (63 - bits) >> rng.below(8);
                if rng.below(3) > 0 {
                    assert_eq!(set.insert(value), model.insert(value));
                } else {
                    assert_eq!(set.remove(value), model.remove(&value));
                }
                assert_eq!(set.contains(value), model.contains(&value));
                assert_eq!(set.len(), model.len());
            }
            assert!(set.iter().eq(model.iter().copied()));
            assert!(set.iter().rev().eq(model.iter().rev().copied()));
            assert_eq!(validate(set.bytes(), true), Ok(model.len()));
            assert_eq!(set.as_ints().min(), model.first().copied());
            assert_eq!(set.as_ints().max(), model.last().copied());
            assert!(model.contains(&set.as_ints().random(&mut rng).expect("not empty")));
        }
    }

    #[test]
    fn has_the_bytes_of_the_dump_format() {
        let mut set = IntSet::new();
        for value in [3, -1, 2] {
            set.insert(value);
        }
        assert_eq!(set.bytes(), [2, 0, 0, 0, 3, 0, 0, 0, 0xff, 0xff, 2, 0, 3, 0]);
        set.insert(70_000);
        assert_eq!(set.bytes()[..8], [4, 0, 0, 0, 4, 0, 0, 0]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [-1, 2, 3, 70_000]);
        set.remove_range(1, 2);
        assert_eq!(set.iter().collect::<Vec<_>>(), [-1, 70_000]);
        assert_eq!(set.get(2), None);
    }

    #[test]
    fn validation_never_panics_and_refuses_what_is_wrong() {
        assert!(validate(&[], true).is_err());
        assert!(validate(&[2, 0, 0, 0, 0, 0, 0, 0], true).is_err());
        assert!(validate(&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0], true).is_err());
        assert!(validate(&[3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1], true).is_err());
        let mut rng = Rng::from_seed(5);
        for _ in 0..20_000 {
            let mut bytes: Vec<u8> = (0..rng.below(30)).map(|_| rng.next_u64() as u8 & 7).collect();
            if bytes.len() > 8 {
                bytes[1..4].fill(0);
                bytes[5..8].fill(0);
            }
            if validate(&bytes, true).is_ok() {
                assert_eq!(Ints::new(&bytes).iter().len(), Ints::new(&bytes).len());
            }
        }
    }
}
