//! The listpack that owns its bytes, and all edits.
//!
//! The bytes lie at the end of a vector, with room in front of them that is nobody's: an edit near the front moves
//! the header and the few elements before it, an edit near the end moves what lies behind. Room in front is made only
//! when the front is pushed to, and grows with the listpack, so that each of many pushes moves a constant number of
//! bytes on average.

use super::element::{self, Encoded};
use super::{BYTES_MAX, COUNT_UNKNOWN, EMPTY_BYTES, END, Element, HEADER_BYTES, Iter, Packed, Pairs};

/// A listpack below this length is moved rather than given room in front.
const FRONT_ROOM_FROM_BYTES: usize = 256;

/// A listpack with its own memory.
#[derive(Debug)]
pub struct Listpack {
    /// `start` bytes of room, then the listpack.
    room: Vec<u8>,
    start: u32,
}

impl Default for Listpack {
    fn default() -> Listpack {
        Listpack::new()
    }
}

/// Copies the listpack, not the room around it.
impl Clone for Listpack {
    fn clone(&self) -> Listpack {
        Listpack { room: self.bytes().to_vec(), start: 0 }
    }
}

impl PartialEq for Listpack {
    fn eq(&self, other: &Listpack) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Listpack {}

impl From<Packed<'_>> for Listpack {
    fn from(packed: Packed<'_>) -> Listpack {
        Listpack { room: packed.bytes().to_vec(), start: 0 }
    }
}

impl Listpack {
    /// One without elements.
    #[must_use]
    pub fn new() -> Listpack {
        Listpack::with_capacity(EMPTY_BYTES)
    }

    /// One without elements, with room for a listpack of `bytes` bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Listpack {
        let mut room = Vec::with_capacity(bytes.max(EMPTY_BYTES));
        room.extend_from_slice(&[EMPTY_BYTES as u8, 0, 0, 0, 0, 0, END]);
        Listpack { room, start: 0 }
    }

    /// One that consists of `bytes`, which must be a listpack. See [`super::validate`] for bytes from outside.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Listpack {
        debug_assert!(bytes.len() >= EMPTY_BYTES && bytes[bytes.len() - 1] == END);
        Listpack { room: bytes, start: 0 }
    }

    /// Its bytes, as a dump file has them.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.room.drain(..self.start as usize);
        self.room
    }

    /// Its bytes, as a dump file has them.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.room[self.start as usize..]
    }

    /// To read it.
    #[inline]
    #[must_use]
    pub fn as_packed(&self) -> Packed<'_> {
        Packed { bytes: self.bytes() }
    }

    /// Bytes taken from the allocator, room included.
    #[inline]
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.room.capacity()
    }

    /// Gives back the room on both sides.
    pub fn shrink_to_fit(&mut self) {
        if self.start > 0 {
            self.room.drain(..self.start as usize);
            self.start = 0;
        }
        self.room.shrink_to_fit();
    }

    /// Makes room for `bytes` more bytes behind the last element, and no more than that.
    pub fn reserve(&mut self, bytes: usize) {
        self.room.reserve_exact(bytes);
    }

    /// Makes room for `bytes` more bytes behind the last element, or in front of the first; if there is none, as much that
    /// the listpack could reach a length of `target`. For one that is pushed to until it is full.
    #[inline]
    pub fn reserve_towards(&mut self, bytes: usize, target: usize, in_front: bool) {
        let (start, len) = (self.start as usize, self.bytes_len());
        if in_front {
            if start < bytes {
                self.regrow(target.saturating_sub(len).max(bytes), 0);
            }
        } else if self.room.capacity() - self.room.len() < bytes && start < len / 2 {
            self.regrow(0, target.saturating_sub(len).max(bytes));
        }
    }

    /// Moves to memory with so much room on either side.
    #[cold]
    fn regrow(&mut self, front: usize, behind: usize) {
        let mut grown = Vec::with_capacity(front + self.bytes_len() + behind);
        grown.resize(front, 0);
        grown.extend_from_slice(self.bytes());
        self.room = grown;
        self.start = front as u32;
    }

    /// How many elements it has.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_packed().len()
    }

    /// Has it no elements?
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_packed().is_empty()
    }

    /// How many bytes it has, room not counted.
    #[inline]
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        self.room.len() - self.start as usize
    }

    /// See [`Packed::safe_to_add`].
    #[inline]
    #[must_use]
    pub fn safe_to_add(&self, bytes: usize) -> bool {
        self.as_packed().safe_to_add(bytes)
    }

    /// See [`Packed::first`].
    #[inline]
    #[must_use]
    pub fn first(&self) -> Option<usize> {
        self.as_packed().first()
    }

    /// See [`Packed::last`].
    #[inline]
    #[must_use]
    pub fn last(&self) -> Option<usize> {
        self.as_packed().last()
    }

    /// See [`Packed::end`].
    #[inline]
    #[must_use]
    pub fn end(&self) -> usize {
        self.as_packed().end()
    }

    /// See [`Packed::next`].
    #[inline]
    #[must_use]
    pub fn next(&self, pos: usize) -> Option<usize> {
        self.as_packed().next(pos)
    }

    /// See [`Packed::prev`].
    #[inline]
    #[must_use]
    pub fn prev(&self, pos: usize) -> Option<usize> {
        self.as_packed().prev(pos)
    }

    /// See [`Packed::seek`].
    #[inline]
    #[must_use]
    pub fn seek(&self, index: i64) -> Option<usize> {
        self.as_packed().seek(index)
    }

    /// See [`Packed::get`].
    #[inline]
    #[must_use]
    pub fn get(&self, pos: usize) -> Element<'_> {
        self.as_packed().get(pos)
    }

    /// See [`Packed::nth`].
    #[inline]
    #[must_use]
    pub fn nth(&self, index: i64) -> Option<Element<'_>> {
        self.as_packed().nth(index)
    }

    /// See [`Packed::iter`].
    #[inline]
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        self.as_packed().iter()
    }

    /// See [`Packed::pairs`].
    #[inline]
    #[must_use]
    pub fn pairs(&self) -> Pairs<'_> {
        self.as_packed().pairs()
    }

    /// See [`Packed::find`].
    #[inline]
    #[must_use]
    pub fn find(&self, from: Option<usize>, needle: &[u8], skip: usize) -> Option<usize> {
        self.as_packed().find(from, needle, skip)
    }

    /// Bytes that `text` takes in a listpack.
    #[inline]
    #[must_use]
    pub fn size_of(text: &[u8]) -> usize {
        element::size_of(text)
    }

    /// Bytes that a text of this length takes in a listpack at most, without a look at whether it is a number.
    #[inline]
    #[must_use]
    pub fn size_of_text_max(len: usize) -> usize {
        match len {
            0..64 => len + 2,
            64..4096 => len + 4,
            _ => len + 10,
        }
    }

    /// Appends a text.
    #[inline]
    pub fn push(&mut self, text: &[u8]) {
        self.append(&Encoded::text(text));
    }

    /// Appends a number.
    #[inline]
    pub fn push_int(&mut self, value: i64) {
        self.append(&Encoded::int(value));
    }

    /// Appends an element, perhaps of another listpack.
    #[inline]
    pub fn push_element(&mut self, element: Element<'_>) {
        self.append(&Encoded::element(element));
    }

    /// Puts a text in front of all others.
    #[inline]
    pub fn push_front(&mut self, text: &[u8]) {
        self.insert(HEADER_BYTES, &Encoded::text(text));
    }

    /// Puts a text in front of the element at `pos`, or behind all if `pos` is the end. The new element is at `pos`.
    pub fn insert_before(&mut self, pos: usize, text: &[u8]) {
        self.insert(pos, &Encoded::text(text));
    }

    /// Puts a number in front of the element at `pos`. The new element is at `pos`.
    pub fn insert_int_before(&mut self, pos: usize, value: i64) {
        self.insert(pos, &Encoded::int(value));
    }

    /// Puts a text behind the element at `pos`; gives the position of the new element.
    pub fn insert_after(&mut self, pos: usize, text: &[u8]) -> usize {
        let at = self.as_packed().after(pos);
        self.insert(at, &Encoded::text(text));
        at
    }

    /// Puts another text in the place of the element at `pos`.
    pub fn replace(&mut self, pos: usize, text: &[u8]) {
        self.overwrite(pos, &Encoded::text(text));
    }

    /// Puts a number in the place of the element at `pos`.
    pub fn replace_int(&mut self, pos: usize, value: i64) {
        self.overwrite(pos, &Encoded::int(value));
    }

    /// Moves the elements from `from` up to `to` in front of the one at `place`, which is none of them; gives where the
    /// first of them lies then.
    pub fn move_before(&mut self, from: usize, to: usize, place: usize) -> usize {
        let start = self.start as usize;
        if place > from {
            self.room[start + from..start + place].rotate_left(to - from);
            place - (to - from)
        } else {
            self.room[start + place..start + to].rotate_right(to - from);
            place
        }
    }

    /// Removes up to `count` elements from the one at `pos` on; gives the position of the element that follows.
    pub fn remove(&mut self, pos: usize, count: usize) -> Option<usize> {
        let packed = self.as_packed();
        let mut to = pos;
        let mut removed = 0;
        while removed < count && to < packed.end() {
            to = packed.after(to);
            removed += 1;
        }
        self.cut(pos, to, removed);
        if pos < self.end() { Some(pos) } else { None }
    }

    /// Removes up to `count` elements from the one with this index on.
    pub fn remove_range(&mut self, index: i64, count: usize) {
        let Some(pos) = self.seek(index) else { return };
        self.remove(pos, count);
    }

    /// Removes the first or last `count` elements equal to `needle`; gives how many there were.
    pub fn remove_equal(&mut self, needle: &[u8], count: usize, from_front: bool) -> usize {
        let found = self.as_packed().matches(needle, count, from_front);
        self.remove_all(&found);
        found.len()
    }

    /// Removes the elements at these ascending positions.
    pub fn remove_all(&mut self, positions: &[usize]) {
        // From the last one on, so that the positions of the others stay true.
        for pos in positions.iter().rev() {
            self.remove(*pos, 1);
        }
    }

    /// Appends the elements of `other`.
    pub fn append_all(&mut self, other: Packed<'_>) {
        let count = self.len() + other.len();
        let end = self.end();
        let body = &other.bytes()[HEADER_BYTES..other.end()];
        self.open(end, body.len());
        let at = self.start as usize + end;
        self.room[at..at + body.len()].copy_from_slice(body);
        self.write_header(count);
    }

    /// Removes all elements from the one at `pos` on and gives them as a listpack of their own.
    #[must_use]
    pub fn split_off(&mut self, pos: usize) -> Listpack {
        let total = self.len();
        let end = self.end();
        let body = &self.bytes()[pos..end];
        let mut other = Listpack::with_capacity(EMPTY_BYTES + body.len());
        other.room.truncate(HEADER_BYTES);
        other.room.extend_from_slice(body);
        other.room.push(END);
        let packed = Packed { bytes: &other.room };
        let count = packed.count();
        other.write_header(count);
        self.room.truncate(self.start as usize + pos);
        self.room.push(END);
        self.write_header(total - count);
        other
    }

    /// Takes all elements away.
    pub fn clear(&mut self) {
        self.room.truncate(EMPTY_BYTES);
        self.start = 0;
        self.room[HEADER_BYTES] = END;
        self.write_header(0);
    }

    #[inline]
    fn append(&mut self, encoded: &Encoded<'_>) {
        let size = encoded.size();
        let old = self.room.len();
        assert!(old + size <= u32::MAX as usize, "a listpack has less than 4 GiB");
        if self.room.capacity() - old < size {
            self.grow_behind(size);
        }
        let old = self.room.len();
        self.room.resize(old + size, END);
        encoded.write(&mut self.room[old - 1..old - 1 + size]);
        self.count_changed(1);
    }

    #[inline]
    fn insert(&mut self, pos: usize, encoded: &Encoded<'_>) {
        let size = encoded.size();
        self.open(pos, size);
        let at = self.start as usize + pos;
        encoded.write(&mut self.room[at..at + size]);
        self.count_changed(1);
    }

    fn overwrite(&mut self, pos: usize, encoded: &Encoded<'_>) {
        let old = self.as_packed().after(pos) - pos;
        let new = encoded.size();
        if new > old {
            self.open(pos, new - old);
        } else if new < old {
            self.close(pos, old - new);
        }
        let at = self.start as usize + pos;
        encoded.write(&mut self.room[at..at + new]);
        self.write_total();
    }

    /// Removes the bytes of `removed` elements.
    fn cut(&mut self, from: usize, to: usize, removed: usize) {
        if removed > 0 {
            self.close(from, to - from);
            self.count_changed(-(removed as i64));
        }
    }

    /// Makes `size` bytes of undefined content at `pos`. Header and count are left to the caller.
    #[inline]
    fn open(&mut self, pos: usize, size: usize) {
        let behind = self.bytes_len() - pos;
        if pos < behind {
            if (self.start as usize) < size && self.bytes_len() >= FRONT_ROOM_FROM_BYTES {
                self.make_front_room(size);
            }
            let start = self.start as usize;
            if start >= size {
                self.room.copy_within(start..start + pos, start - size);
                self.start -= size as u32;
                return;
            }
        }
        let old = self.room.len();
        assert!(old + size <= u32::MAX as usize, "a listpack has less than 4 GiB");
        if self.room.capacity() - old < size {
            self.grow_behind(size);
        }
        let (old, at) = (self.room.len(), self.start as usize + pos);
        self.room.resize(old + size, END);
        self.room.copy_within(at..old, at + size);
    }

    /// Takes `size` bytes at `pos` away.
    #[inline]
    fn close(&mut self, pos: usize, size: usize) {
        let start = self.start as usize;
        let at = start + pos;
        if pos < self.bytes_len() - pos - size {
            self.room.copy_within(start..at, start + size);
            self.start += size as u32;
        } else {
            self.room.copy_within(at + size.., at);
            self.room.truncate(self.room.len() - size);
        }
    }

    /// Room for `size` bytes at the end: from the front if that has much, else a quarter more.
    #[cold]
    fn grow_behind(&mut self, size: usize) {
        let start = self.start as usize;
        let len = self.room.len() - start;
        if start >= size && start >= len / 2 {
            self.room.drain(..start);
            self.start = 0;
            return;
        }
        let wanted = len.saturating_add(size.max(len / 4).min(BYTES_MAX));
        let mut grown = Vec::with_capacity(wanted.max(len + size));
        grown.extend_from_slice(&self.room[start..]);
        self.room = grown;
        self.start = 0;
    }

    /// Room for `size` bytes in front, and for as many more as let it pay.
    #[cold]
    fn make_front_room(&mut self, size: usize) {
        let (start, len) = (self.start as usize, self.bytes_len());
        let spare = self.room.capacity() - self.room.len();
        let front =
            size + if start + spare >= size + len / 8 { start + spare - size } else { size.max(len / 4) };
        if front + len <= self.room.capacity() {
            let old = self.room.len();
            self.room.resize(front + len, END);
            self.room.copy_within(start..old, front);
        } else {
            let mut grown = Vec::with_capacity(front + len);
            grown.resize(front, 0);
            grown.extend_from_slice(&self.room[start..]);
            self.room = grown;
        }
        self.start = front as u32;
    }

    /// Adds to the count, if it is known, and writes the length anew.
    #[inline]
    fn count_changed(&mut self, by: i64) {
        let at = self.start as usize + 4;
        let count = u16::from_le_bytes([self.room[at], self.room[at + 1]]);
        if count != COUNT_UNKNOWN {
            let count = u16::try_from(i64::from(count) + by).unwrap_or(COUNT_UNKNOWN);
            self.room[at..at + 2].copy_from_slice(&count.to_le_bytes());
        }
        self.write_total();
    }

    fn write_header(&mut self, count: usize) {
        let at = self.start as usize + 4;
        let count = u16::try_from(count).unwrap_or(COUNT_UNKNOWN);
        self.room[at..at + 2].copy_from_slice(&count.to_le_bytes());
        self.write_total();
    }

    #[inline]
    fn write_total(&mut self) {
        let at = self.start as usize;
        let total = self.bytes_len() as u32;
        self.room[at..at + 4].copy_from_slice(&total.to_le_bytes());
    }
}
