//! Listpack: a list of byte strings in one piece of memory, the form in which Redis keeps and dumps small values.
//!
//! ```text
//! total bytes  elements  element ...                      end
//! u32          u16       head  text  backlen              0xff
//! ```
//!
//! The head tells kind and length; a text that is the canonical form of an `i64` is kept as that number. The
//! *backlen* is the length of head and text, written so that it can be read from its last byte backwards, seven
//! bits a byte. So a list is walked both ways without an index. Numbers are little-endian.
//!
//! | head | what follows |
//! |---|---|
//! | `0xxxxxxx` | nothing: a number from 0 to 127 |
//! | `10xxxxxx` | text of up to 63 bytes |
//! | `110xxxxx` + 1 byte | nothing: a number of 13 bits, the high ones first |
//! | `1110xxxx` + 1 byte | text of up to 4095 bytes, the high bits first |
//! | `f0` + 4 bytes | text of any length |
//! | `f1`, `f2`, `f3`, `f4` | a number of 2, 3, 4, 8 bytes |
//!
//! A count of 65535 means that the elements must be counted.
//!
//! * [`Packed`] reads borrowed bytes; [`Listpack`] owns and edits them. A position is the offset of an element's
//!   head from the first byte of the listpack; an edit makes the positions behind it stale.
//! * Reading is for well-formed bytes: others may panic or read as nonsense, never touch foreign memory. Bytes from
//!   outside go through [`validate`] first.
//! * A [`Listpack`] keeps free room in front of its first byte when elements are pushed there, so that a list grows
//!   and shrinks at both ends without moving what lies between. The room is no part of its bytes.
//!
//! The cost: `seek` and `find` are linear; an edit moves the shorter side.
//! The format is Redis's, for its dump files hold it.

use crate::base::number::{self, I64_BYTES_MAX};

mod element;
mod owner;
mod validate;
pub mod valkey;

pub use element::Element;
pub use owner::Listpack;
pub use validate::{Corrupt, validate};

/// Bytes in front of the first element.
pub const HEADER_BYTES: usize = 6;
/// Bytes of a listpack without elements.
pub const EMPTY_BYTES: usize = HEADER_BYTES + 1;
/// The largest listpack that anything may be added to.
pub const BYTES_MAX: usize = 1 << 30;
/// Stands where an element's head would.
const END: u8 = 0xff;
/// The count that means: count them.
const COUNT_UNKNOWN: u16 = u16::MAX;

/// A listpack in borrowed bytes, to be read.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    bytes: &'a [u8],
}

impl<'a> Packed<'a> {
    /// Reads `bytes`, which are a whole listpack.
    #[inline]
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Packed<'a> {
        debug_assert!(bytes.len() >= EMPTY_BYTES && bytes[bytes.len() - 1] == END);
        Packed { bytes }
    }

    /// All bytes, as a dump file has them.
    #[inline]
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// How many bytes it has.
    #[inline]
    #[must_use]
    pub fn bytes_len(self) -> usize {
        self.bytes.len()
    }

    /// How many elements it has.
    #[inline]
    #[must_use]
    pub fn len(self) -> usize {
        match u16::from_le_bytes([self.bytes[4], self.bytes[5]]) {
            COUNT_UNKNOWN => self.count(),
            count => usize::from(count),
        }
    }

    #[cold]
    fn count(self) -> usize {
        let mut count = 0;
        let mut at = self.first();
        while let Some(pos) = at {
            count += 1;
            at = self.next(pos);
        }
        count
    }

    /// Has it no elements?
    #[inline]
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.bytes[HEADER_BYTES] == END
    }

    /// May `bytes` more bytes be added? A listpack stays below 1 GiB.
    #[inline]
    #[must_use]
    pub fn safe_to_add(self, bytes: usize) -> bool {
        self.bytes.len().saturating_add(bytes) <= BYTES_MAX
    }

    /// The position of the first element.
    #[inline]
    #[must_use]
    pub fn first(self) -> Option<usize> {
        if self.is_empty() { None } else { Some(HEADER_BYTES) }
    }

    /// The position of the last element.
    #[inline]
    #[must_use]
    pub fn last(self) -> Option<usize> {
        self.prev(self.bytes.len() - 1)
    }

    /// The position after the last element. [`Packed::prev`] takes it, and so do insertions.
    #[inline]
    #[must_use]
    pub fn end(self) -> usize {
        self.bytes.len() - 1
    }

    /// The position behind the element at `pos`.
    #[inline]
    #[must_use]
    pub fn next(self, pos: usize) -> Option<usize> {
        let next = self.after(pos);
        if self.bytes[next] == END && next == self.end() { None } else { Some(next) }
    }

    /// Like [`Packed::next`], but gives [`Packed::end`] behind the last.
    #[inline]
    fn after(self, pos: usize) -> usize {
        let body = element::body_len(self.bytes, pos);
        pos + body + element::backlen_len(body)
    }

    /// The position in front of the element at `pos`.
    #[inline]
    #[must_use]
    pub fn prev(self, pos: usize) -> Option<usize> {
        if pos <= HEADER_BYTES {
            return None;
        }
        let body = element::read_backlen(self.bytes, pos);
        Some(pos - body - element::backlen_len(body))
    }

    /// The position of the element with this index; a negative one counts from the end, -1 being the last.
    #[must_use]
    pub fn seek(self, index: i64) -> Option<usize> {
        let count = u16::from_le_bytes([self.bytes[4], self.bytes[5]]);
        // From the nearer end, where the length is known.
        let (mut steps, forward) = if count == COUNT_UNKNOWN {
            if index >= 0 { (index, true) } else { (-(index + 1), false) }
        } else {
            let count = i64::from(count);
            let index = if index < 0 { index + count } else { index };
            if !(0..count).contains(&index) {
                return None;
            }
            if index < count / 2 { (index, true) } else { (count - 1 - index, false) }
        };
        let mut at = if forward { self.first() } else { self.last() };
        while steps > 0 {
            at = if forward { self.next(at?) } else { self.prev(at?) };
            steps -= 1;
        }
        at
    }

    /// The element at `pos`.
    #[inline]
    #[must_use]
    pub fn get(self, pos: usize) -> Element<'a> {
        element::read(self.bytes, pos).0
    }

    /// The element with this index, as in [`Packed::seek`].
    #[inline]
    #[must_use]
    pub fn nth(self, index: i64) -> Option<Element<'a>> {
        self.seek(index).map(|pos| self.get(pos))
    }

    /// All elements; can be walked from either end.
    #[inline]
    #[must_use]
    pub fn iter(self) -> Iter<'a> {
        Iter { packed: self, front: HEADER_BYTES, back: self.end() }
    }

    /// The elements from the position `from` on, up to and without the one at `to`.
    #[inline]
    #[must_use]
    pub fn iter_between(self, from: usize, to: usize) -> Iter<'a> {
        Iter { packed: self, front: from, back: to }
    }

    /// The elements up to and with the one at `pos`.
    #[inline]
    #[must_use]
    pub fn iter_to(self, pos: usize) -> Iter<'a> {
        Iter { packed: self, front: HEADER_BYTES, back: self.after(pos) }
    }

    /// The elements two by two: field and value, member and score. A last one without a partner is left out.
    #[inline]
    #[must_use]
    pub fn pairs(self) -> Pairs<'a> {
        Pairs { iter: self.iter() }
    }

    /// The first element equal to `needle`, at `from` or behind; after each that differs `skip` are jumped over.
    ///
    /// To look for a field among fields and values, start at the first and skip 1.
    #[must_use]
    pub fn find(self, from: Option<usize>, needle: &[u8], skip: usize) -> Option<usize> {
        let number = number::parse_i64(needle);
        // Names tend to differ at their end: what differs there is not worth a call to compare all of it.
        let tail = needle.last_chunk::<8>();
        let bytes = self.bytes;
        let end = self.end();
        let mut pos = from?;
        let mut left = 0;
        while pos < end {
            if left == 0 {
                let (element, body) = element::read(bytes, pos);
                let equal = match element {
                    Element::Text(text) => {
                        text.len() == needle.len()
                            && text.last() == needle.last()
                            && text.last_chunk::<8>() == tail
                            && text == needle
                    }
                    Element::Int(value) => number == Some(value),
                };
                if equal {
                    return Some(pos);
                }
                left = skip;
                pos += body + element::backlen_len(body);
            } else {
                left -= 1;
                pos = self.after(pos);
            }
        }
        None
    }
}

impl Packed<'_> {
    /// Ascending positions of the first or last `count` elements equal to `needle`.
    #[must_use]
    pub fn matches(self, needle: &[u8], count: usize, from_front: bool) -> Vec<usize> {
        let mut found = Vec::new();
        let mut from = self.first();
        while let Some(pos) = self.find(from, needle, 0) {
            found.push(pos);
            if from_front && found.len() == count {
                break;
            }
            from = self.next(pos);
        }
        if !from_front && found.len() > count {
            found.drain(..found.len() - count);
        }
        found
    }
}

impl<'a> IntoIterator for Packed<'a> {
    type Item = Element<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The elements of a listpack, from either end.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    packed: Packed<'a>,
    /// Position of the next element from the front.
    front: usize,
    /// Position behind the next element from the back. Nothing is left when it is `front`.
    back: usize,
}

impl Iter<'_> {
    /// The position of the element that `next` will give, or of the end.
    #[inline]
    #[must_use]
    pub fn position(&self) -> usize {
        self.front
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.front >= self.back {
            return None;
        }
        let (element, body) = element::read(self.packed.bytes, self.front);
        self.front += body + element::backlen_len(body);
        Some(element)
    }
}

impl<'a> DoubleEndedIterator for Iter<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<Element<'a>> {
        if self.front >= self.back {
            return None;
        }
        self.back = self.packed.prev(self.back)?;
        Some(self.packed.get(self.back))
    }
}

/// The elements of a listpack two by two. See [`Packed::pairs`].
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    iter: Iter<'a>,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Element<'a>, Element<'a>);

    #[inline]
    fn next(&mut self) -> Option<(Element<'a>, Element<'a>)> {
        Some((self.iter.next()?, self.iter.next()?))
    }
}

impl<'a> DoubleEndedIterator for Pairs<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<(Element<'a>, Element<'a>)> {
        let second = self.iter.next_back()?;
        Some((self.iter.next_back()?, second))
    }
}

#[cfg(test)]
mod tests;
