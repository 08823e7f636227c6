//! The bytes of a file that came and were not read yet, in one piece.

use crate::base::crc::crc64;

/// A buffer with more room than this is given back once it has become empty.
const ROOM_BYTES_MAX: usize = 1 << 20;

/// See the head of the file.
#[derive(Debug, Default)]
pub(in crate::persist) struct Input {
    bytes: Vec<u8>,
    /// Where what was not read yet begins.
    start: usize,
    /// Place in the file of the first of `bytes`.
    offset: u64,
    /// The checksum of all bytes before `summed`.
    crc: u64,
    summed: usize,
    /// Whether anybody asks for the checksum.
    with_crc: bool,
}

impl Input {
    pub(in crate::persist) fn new(with_crc: bool) -> Input {
        Input { with_crc, ..Input::default() }
    }

    /// For what follows this place of a file, without a checksum.
    pub(in crate::persist) fn from(offset: u64) -> Input {
        Input { offset, ..Input::default() }
    }

    /// Adds bytes at the end. What was read leaves, so an idle reader holds little.
    pub(in crate::persist) fn feed(&mut self, piece: &[u8]) {
        self.sum();
        self.offset += self.start as u64;
        if self.start == self.bytes.len() && self.bytes.capacity() > ROOM_BYTES_MAX {
            self.bytes = Vec::new();
        } else {
            self.bytes.drain(..self.start);
        }
        (self.start, self.summed) = (0, 0);
        self.bytes.extend_from_slice(piece);
    }

    /// What was not read yet.
    #[inline]
    pub(in crate::persist) fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// So many bytes were read.
    #[inline]
    pub(in crate::persist) fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// The bytes that were read last.
    #[inline]
    pub(in crate::persist) fn last(&self, count: usize) -> &[u8] {
        &self.bytes[self.start - count..self.start]
    }

    /// Bytes of the file that were read.
    pub(in crate::persist) fn offset(&self) -> u64 {
        self.offset + self.start as u64
    }

    /// The checksum of all that was read.
    pub(in crate::persist) fn crc(&mut self) -> u64 {
        self.sum();
        self.crc
    }

    fn sum(&mut self) {
        if self.with_crc {
            self.crc = crc64(self.crc, &self.bytes[self.summed..self.start]);
        }
        self.summed = self.start;
    }
}
