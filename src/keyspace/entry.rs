//! One key with its value, as bytes in a slab cell.
//!
//! ```text
//!  0      1        4       5              [13]
//! +------+--------+-------+---------------+---------+-----+---------------------------+
//! | head | access | epoch | deadline (8)? | key len | key | value                     |
//! +------+--------+-------+---------------+---------+-----+---------------------------+
//!  head    bits 0-3 kind of the value, 4 deadline there, 5 the string is 'raw', 6 the key lies elsewhere, 7 fields of
//!          the hash have deadlines
//!  access  24 bits: seconds of the last access (LRU), or minutes and a logarithmic counter (LFU)
//!  epoch   number of the snapshot that the entry belongs to
//!  value   string or packed collection: length and bytes; integer: 8 bytes; anything larger: 4 bytes, index into the
//!          values of the `Db`
//! ```
//!
//! Lengths are LEB128 varints. A key longer than [`INLINE_KEY_BYTES_MAX`] lies in a table of the `Db` and the
//! entry holds its index. A string of 16 + 8 bytes takes 32, one of 16 + 64 bytes 88.

use crate::base::limit::{EMBSTR_BYTES_MAX, INLINE_KEY_BYTES_MAX, INLINE_VALUE_BYTES_MAX};

/// How the value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A string inside the entry.
    Inline = 0,
    /// A string that is a 64-bit integer in decimal.
    Int = 1,
    /// A value in the table of the `Db`.
    Far = 2,
    /// A list as a listpack.
    List = 3,
    /// A set of integers.
    Ints = 4,
    /// A set as a listpack.
    Set = 5,
    /// A hash as a listpack.
    Hash = 6,
    /// A hash as a listpack with deadlines.
    HashEx = 7,
    /// A sorted set as a listpack.
    Zset = 8,
}

const DEADLINE: u8 = 1 << 4;
const RAW: u8 = 1 << 5;
const FAR_KEY: u8 = 1 << 6;
const INNER_DEADLINES: u8 = 1 << 7;
const HEAD_BYTES: usize = 5;

/// The key of an entry that is to be written: its bytes, or where they lie.
#[derive(Clone, Copy)]
pub enum KeyPart<'a> {
    /// The key itself.
    Near(&'a [u8]),
    /// Index of the key in the table of the `Db`.
    Far(u32),
}

/// The value of an entry that is to be written.
#[derive(Clone, Copy)]
pub enum ValuePart<'a> {
    /// A string that fits, and whether it counts as `raw`.
    Inline(&'a [u8], bool),
    /// An integer.
    Int(i64),
    /// A packed collection that fits, and how it is to be read.
    Packed(Kind, &'a [u8]),
    /// Index of the value in the table of the `Db`.
    Far(u32),
}

/// What an entry holds besides key and value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meta {
    /// 24 bits, see [`super::access`].
    pub access: u32,
    /// Number of the snapshot that the entry belongs to.
    pub epoch: u8,
    /// Unix time in milliseconds at which the key dies.
    pub deadline: Option<u64>,
    /// Fields of the hash have deadlines of their own.
    pub inner_deadlines: bool,
}

/// Bytes that an entry needs.
pub fn needed_bytes(key: KeyPart<'_>, value: ValuePart<'_>, meta: &Meta) -> usize {
    let key = match key {
        KeyPart::Near(key) => varint_bytes(key.len()) + key.len(),
        KeyPart::Far(_) => 4,
    };
    let value = match value {
        ValuePart::Inline(value, _) | ValuePart::Packed(_, value) => varint_bytes(value.len()) + value.len(),
        ValuePart::Int(_) => 8,
        ValuePart::Far(_) => 4,
    };
    HEAD_BYTES + if meta.deadline.is_some() { 8 } else { 0 } + key + value
}

/// Writes an entry into a cell of at least [`needed_bytes`].
pub fn write(cell: &mut [u8], key: KeyPart<'_>, value: ValuePart<'_>, meta: &Meta) {
    let kind = match value {
        ValuePart::Inline(_, raw) => Kind::Inline as u8 | if raw { RAW } else { 0 },
        ValuePart::Int(_) => Kind::Int as u8,
        ValuePart::Packed(kind, _) => kind as u8,
        ValuePart::Far(_) => Kind::Far as u8,
    };
    let far = if matches!(key, KeyPart::Far(_)) { FAR_KEY } else { 0 };
    let with_ttl = if meta.deadline.is_some() { DEADLINE } else { 0 };
    let access = meta.access.to_le_bytes();
    let fields = if meta.inner_deadlines { INNER_DEADLINES } else { 0 };
    cell[..HEAD_BYTES].copy_from_slice(&[
        kind | far | with_ttl | fields,
        access[0],
        access[1],
        access[2],
        meta.epoch,
    ]);
    let mut at = HEAD_BYTES;
    let mut put = |bytes: &[u8]| {
        cell[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    if let Some(deadline) = meta.deadline {
        put(&deadline.to_le_bytes());
    }
    match key {
        KeyPart::Near(key) => {
            debug_assert!(key.len() <= INLINE_KEY_BYTES_MAX);
            let (len, bytes) = varint(key.len());
            put(&len[..bytes]);
            put(key);
        }
        KeyPart::Far(index) => put(&index.to_le_bytes()),
    }
    match value {
        ValuePart::Inline(value, _) | ValuePart::Packed(_, value) => {
            debug_assert!(value.len() <= INLINE_VALUE_BYTES_MAX);
            let (len, bytes) = varint(value.len());
            put(&len[..bytes]);
            put(value);
        }
        ValuePart::Int(value) => put(&value.to_le_bytes()),
        ValuePart::Far(index) => put(&index.to_le_bytes()),
    }
}

/// Writes a string over one of the same length inside an entry of [`Kind::Inline`].
pub fn overwrite(cell: &mut [u8], value: &[u8], access: u32, epoch: u8) {
    let (len, at) = read_varint(cell, Entry(cell).value_at());
    debug_assert!(len == value.len() && Entry(cell).kind() == Kind::Inline);
    cell[at..at + value.len()].copy_from_slice(value);
    cell[0] = if value.len() > EMBSTR_BYTES_MAX { cell[0] | RAW } else { cell[0] & !RAW };
    set_access(cell, access);
    cell[4] = epoch;
}

/// Writes the number of the snapshot that an entry belongs to.
pub fn set_epoch(cell: &mut [u8], epoch: u8) {
    cell[4] = epoch;
}

/// Whether two keys are the same: those of 8 to 16 bytes, as most are, by two words that may overlap.
#[inline]
fn are_equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    if one.len() <= 16
        && let (Some(front), Some(back)) = (one.first_chunk::<8>(), one.last_chunk::<8>())
        && let (Some(other_front), Some(other_back)) = (other.first_chunk::<8>(), other.last_chunk::<8>())
    {
        let differ = (u64::from_ne_bytes(*front) ^ u64::from_ne_bytes(*other_front))
            | (u64::from_ne_bytes(*back) ^ u64::from_ne_bytes(*other_back));
        return differ == 0;
    }
    one == other
}

/// An entry as it lies in its cell.
#[derive(Clone, Copy)]
pub struct Entry<'a>(pub &'a [u8]);

impl<'a> Entry<'a> {
    /// How the value is stored.
    #[inline(always)]
    pub fn kind(self) -> Kind {
        match self.0[0] & 15 {
            0 => Kind::Inline,
            1 => Kind::Int,
            2 => Kind::Far,
            3 => Kind::List,
            4 => Kind::Ints,
            5 => Kind::Set,
            6 => Kind::Hash,
            7 => Kind::HashEx,
            _ => Kind::Zset,
        }
    }

    /// Whether a short string was made by a change, and is called `raw`.
    pub fn is_raw(self) -> bool {
        self.0[0] & RAW != 0
    }

    /// Whether something inside the value has a deadline.
    #[inline]
    pub fn has_inner_deadlines(self) -> bool {
        self.0[0] & INNER_DEADLINES != 0
    }

    /// The 24 bits of LRU or LFU.
    #[inline]
    pub fn access(self) -> u32 {
        u32::from_le_bytes([self.0[1], self.0[2], self.0[3], 0])
    }

    /// The snapshot that the entry belongs to.
    pub fn epoch(self) -> u8 {
        self.0[4]
    }

    /// Unix time in milliseconds at which the key dies.
    #[inline(always)]
    pub fn deadline(self) -> Option<u64> {
        if self.0[0] & DEADLINE == 0 {
            return None;
        }
        Some(u64::from_le_bytes(self.0[HEAD_BYTES..HEAD_BYTES + 8].try_into().expect("eight bytes long")))
    }

    #[inline(always)]
    fn key_at(self) -> usize {
        HEAD_BYTES + ((self.0[0] & DEADLINE) >> 1) as usize
    }

    /// The key, or the index at which the `Db` keeps it.
    #[inline(always)]
    pub fn key(self) -> Result<&'a [u8], u32> {
        let at = self.key_at();
        if self.0[0] & FAR_KEY != 0 {
            return Err(self.index(at));
        }
        let (len, at) = read_varint(self.0, at);
        Ok(&self.0[at..at + len])
    }

    /// Whether this is the entry of a key; `far` finds a key that the `Db` keeps.
    #[inline(always)]
    pub fn is_key<'k>(self, key: &[u8], far: impl FnOnce(u32) -> &'k [u8]) -> bool {
        match self.key() {
            Ok(near) => are_equal(near, key),
            Err(at) => far(at) == key,
        }
    }

    #[inline(always)]
    fn value_at(self) -> usize {
        let at = self.key_at();
        if self.0[0] & FAR_KEY != 0 {
            return at + 4;
        }
        let (len, at) = read_varint(self.0, at);
        at + len
    }

    /// The string or the packed collection inside the entry; not of [`Kind::Int`] and [`Kind::Far`].
    #[inline(always)]
    pub fn inline(self) -> &'a [u8] {
        debug_assert!(!matches!(self.kind(), Kind::Int | Kind::Far));
        let (len, at) = read_varint(self.0, self.value_at());
        &self.0[at..at + len]
    }

    /// The integer; only of [`Kind::Int`].
    #[inline]
    pub fn int(self) -> i64 {
        debug_assert_eq!(self.kind(), Kind::Int);
        let at = self.value_at();
        i64::from_le_bytes(self.0[at..at + 8].try_into().expect("eight bytes long"))
    }

    /// The index of the value in the table of the `Db`; only of [`Kind::Far`].
    #[inline]
    pub fn far(self) -> u32 {
        debug_assert_eq!(self.kind(), Kind::Far);
        self.index(self.value_at())
    }

    fn index(self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().expect("four bytes long"))
    }

    /// Everything but key and value.
    pub fn meta(self) -> Meta {
        Meta {
            access: self.access(),
            epoch: self.epoch(),
            deadline: self.deadline(),
            inner_deadlines: self.has_inner_deadlines(),
        }
    }
}

/// Writes the 24 bits of LRU or LFU.
#[inline]
pub fn set_access(cell: &mut [u8], access: u32) {
    cell[1..4].copy_from_slice(&access.to_le_bytes()[..3]);
}

/// Writes the integer of an entry that holds one.
#[inline]
pub fn set_int(cell: &mut [u8], value: i64) {
    let at = Entry(cell).value_at();
    cell[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Notes whether something inside the value has a deadline.
#[inline]
pub fn set_inner_deadlines(cell: &mut [u8], any: bool) {
    cell[0] = if any { cell[0] | INNER_DEADLINES } else { cell[0] & !INNER_DEADLINES };
}

/// Writes the deadline of an entry that has one.
#[inline]
pub fn set_deadline(cell: &mut [u8], deadline: u64) {
    debug_assert!(cell[0] & DEADLINE != 0);
    cell[HEAD_BYTES..HEAD_BYTES + 8].copy_from_slice(&deadline.to_le_bytes());
}

fn varint_bytes(value: usize) -> usize {
    if value < 128 { 1 } else { 2 }
}

/// A length below 16384 as one or two bytes.
fn varint(value: usize) -> ([u8; 2], usize) {
    debug_assert!(value < 1 << 14);
    if value < 128 { ([value as u8, 0], 1) } else { ([value as u8 | 128, (value >> 7) as u8], 2) }
}

#[inline]
fn read_varint(bytes: &[u8], at: usize) -> (usize, usize) {
    let first = bytes[at];
    if first < 128 {
        return (first as usize, at + 1);
    }
    ((first & 127) as usize | (bytes[at + 1] as usize) << 7, at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let long = vec![b'k'; 400];
        let value = vec![b'v'; 512];
        for key in [&b""[..], b"key", &long[..127], &long[..128], &long] {
            for deadline in [None, Some(0), Some(u64::MAX)] {
                let meta = Meta { access: 0xabcdef, epoch: 7, deadline, inner_deadlines: false };
                for part in [
                    ValuePart::Inline(b"", false),
                    ValuePart::Inline(&value[..127], true),
                    ValuePart::Inline(&value, false),
                    ValuePart::Int(i64::MIN),
                    ValuePart::Packed(Kind::Zset, &value[..200]),
                    ValuePart::Far(0x0102_0304),
                ] {
                    let mut cell = vec![0xee; needed_bytes(KeyPart::Near(key), part, &meta)];
                    write(&mut cell, KeyPart::Near(key), part, &meta);
                    set_access(&mut cell, 0x123456);
                    let entry = Entry(&cell);
                    assert_eq!((entry.access(), entry.epoch(), entry.deadline()), (0x123456, 7, deadline));
                    assert_eq!(entry.key(), Ok(key));
                    match part {
                        ValuePart::Inline(v, raw) => assert_eq!((entry.inline(), entry.is_raw()), (v, raw)),
                        ValuePart::Int(v) => assert_eq!(entry.int(), v),
                        ValuePart::Packed(kind, v) => assert_eq!((entry.kind(), entry.inline()), (kind, v)),
                        ValuePart::Far(v) => assert_eq!(entry.far(), v),
                    }
                }
            }
        }
    }

    #[test]
    fn a_key_may_lie_elsewhere() {
        let meta = Meta::default();
        let mut cell = [0; 64];
        write(&mut cell, KeyPart::Far(9), ValuePart::Int(5), &meta);
        set_int(&mut cell, -6);
        assert_eq!((Entry(&cell).key(), Entry(&cell).int()), (Err(9), -6));
    }

    #[test]
    fn small_strings_take_the_bytes_that_the_benchmarks_promise() {
        let meta = Meta::default();
        let bytes = |k: usize, v: usize| {
            needed_bytes(KeyPart::Near(&vec![0; k]), ValuePart::Inline(&vec![0; v], false), &meta)
        };
        assert_eq!((bytes(16, 8), bytes(16, 64)), (31, 87));
    }
}
