//! What waits to be sent to one client.
//!
//! Replies are appended to a tail buffer; a long tail is closed and a new one begun, so that no byte is copied
//! twice; a large value is a chunk that shares the bytes of the keyspace. The shell writes the chunks and the tail
//! with one `writev` and says how much went out.
//!
//! An idle client holds no buffer: the tail comes from, and goes back to, a pool of the engine.

use crate::base::limit::OUTPUT_CHUNK_BYTES;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::IoSlice;

/// An open piece up to this length is shown as Redis shows the fixed buffer of a client. Redis:
/// `PROTO_REPLY_CHUNK_BYTES`.
const FIXED_BUFFER_BYTES: usize = 16 * 1024;

/// The bytes on their way to one client, in order.
#[derive(Debug, Default)]
pub struct Output {
    /// Closed pieces, oldest first.
    chunks: VecDeque<Bytes>,
    /// The open piece, after all chunks.
    tail: Vec<u8>,
    /// Bytes of the oldest piece that were sent already.
    sent: usize,
    /// Bytes in all chunks (not in the tail), sent ones of the first included.
    chunk_bytes: usize,
    /// Bytes ever appended, for statistics and for the limits of CLIENT REPLY.
    appended: u64,
    /// No chunk shares its bytes with the keyspace.
    copies: bool,
}

impl Output {
    /// Bytes that wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.chunk_bytes + self.tail.len() - self.sent
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pieces after the first buffer; what CLIENT LIST calls `oll`.
    pub fn pieces(&self) -> usize {
        self.chunks.len() + usize::from(self.tail.len() > FIXED_BUFFER_BYTES)
    }

    /// Bytes of those pieces; what CLIENT LIST calls `omem`.
    pub fn piece_bytes(&self) -> usize {
        self.chunk_bytes + if self.tail.len() > FIXED_BUFFER_BYTES { self.tail.len() } else { 0 }
    }

    /// Bytes in the open piece; what CLIENT LIST calls `obl`.
    pub fn open_bytes(&self) -> usize {
        if self.tail.len() > FIXED_BUFFER_BYTES { 0 } else { self.tail.len() }
    }

    /// Memory held for the pieces and the tail, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.chunk_bytes + self.tail.capacity() + self.chunks.capacity() * size_of::<Bytes>()
    }

    /// Whether long values are copied and not shared with the keyspace.
    pub fn copies(&self) -> bool {
        self.copies
    }

    /// Copies long values from now on, or shares them.
    pub fn copy_all(&mut self, on: bool) {
        self.copies = on;
    }

    /// Bytes ever appended.
    pub fn appended(&self) -> u64 {
        self.appended + self.tail.len() as u64
    }

    /// The open piece, to append to.
    #[inline]
    pub fn tail(&mut self) -> &mut Vec<u8> {
        if self.tail.len() >= OUTPUT_CHUNK_BYTES {
            self.close_tail();
        }
        &mut self.tail
    }

    /// Whether a buffer from the pool would be welcome before the next append.
    #[inline]
    pub fn wants_buffer(&self) -> bool {
        self.tail.capacity() == 0
    }

    /// Gives an empty buffer to append to.
    #[inline]
    pub fn give_buffer(&mut self, buffer: Vec<u8>) {
        debug_assert!(buffer.is_empty() && self.tail.is_empty());
        self.tail = buffer;
    }

    /// Takes the buffer back when everything was sent.
    pub fn take_buffer(&mut self) -> Option<Vec<u8>> {
        if !self.is_empty() || self.tail.capacity() == 0 {
            return None;
        }
        self.appended += self.tail.len() as u64;
        self.sent = 0;
        let mut buffer = std::mem::take(&mut self.tail);
        buffer.clear();
        Some(buffer)
    }

    /// Appends a chunk that shares its bytes with others.
    pub fn share(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.close_tail();
        self.appended += bytes.len() as u64;
        self.chunk_bytes += bytes.len();
        self.chunks.push_back(bytes);
    }

    /// Drops all that waits and frees the memory.
    pub fn clear(&mut self) {
        *self = Output { appended: self.appended(), ..Output::default() };
    }

    /// The waiting bytes as slices, at most `slices.len()` of them and `limit` bytes; returns how many were filled.
    pub fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>], limit: usize) -> usize {
        let (mut filled, mut bytes, mut skip) = (0, 0, self.sent);
        let pieces = self.chunks.iter().map(|c| &c[..]).chain(std::iter::once(&self.tail[..]));
        for piece in pieces {
            if filled == slices.len() || bytes >= limit {
                break;
            }
            let rest = &piece[skip.min(piece.len())..];
            skip = skip.saturating_sub(piece.len());
            if !rest.is_empty() {
                slices[filled] = IoSlice::new(rest);
                filled += 1;
                bytes += rest.len();
            }
        }
        filled
    }

    /// The rest of the piece in which the byte lies that comes after so many others that wait.
    pub fn piece_behind(&self, bytes: usize) -> &[u8] {
        let mut at = self.sent + bytes;
        for chunk in &self.chunks {
            if at < chunk.len() {
                return &chunk[at..];
            }
            at -= chunk.len();
        }
        &self.tail[at.min(self.tail.len())..]
    }

    /// Everything that waits, in one piece.
    pub fn into_bytes(mut self) -> Bytes {
        if self.chunks.is_empty() && self.sent == 0 {
            return Bytes::from(std::mem::take(&mut self.tail));
        }
        let mut all = Vec::with_capacity(self.len());
        let mut slices = vec![IoSlice::new(&[]); self.chunks.len() + 1];
        let filled = self.gather(&mut slices, usize::MAX);
        slices[..filled].iter().for_each(|s| all.extend_from_slice(s));
        Bytes::from(all)
    }

    /// All the bytes that wait, where they lie in one piece.
    #[inline]
    pub fn one_piece(&self) -> Option<&[u8]> {
        if self.chunks.is_empty() { self.tail.get(self.sent..) } else { None }
    }

    /// Forgets what waits, and keeps the memory of the open piece.
    pub fn forget(&mut self) {
        self.chunks.clear();
        self.tail.clear();
        (self.sent, self.chunk_bytes) = (0, 0);
    }

    /// Tells that `n` bytes went out.
    pub fn advance(&mut self, n: usize) {
        self.sent += n;
        while let Some(first) = self.chunks.front() {
            if self.sent < first.len() {
                return;
            }
            self.sent -= first.len();
            self.chunk_bytes -= first.len();
            self.chunks.pop_front();
        }
        debug_assert!(self.sent <= self.tail.len());
        if self.sent == self.tail.len() {
            self.appended += self.tail.len() as u64;
            self.tail.clear();
            self.sent = 0;
        }
    }

    /// Makes the open piece a chunk.
    fn close_tail(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let fresh = if self.tail.len() >= OUTPUT_CHUNK_BYTES { OUTPUT_CHUNK_BYTES } else { 0 };
        let full = std::mem::replace(&mut self.tail, Vec::with_capacity(fresh));
        self.appended += full.len() as u64;
        self.chunk_bytes += full.len();
        self.chunks.push_back(Bytes::from(full));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(output: &mut Output, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !output.is_empty() {
            let mut slices = [IoSlice::new(&[]); 3];
            let n = output.gather(&mut slices, usize::MAX);
            let joined: Vec<u8> = slices[..n].iter().flat_map(|s| s.to_vec()).collect();
            let taken = joined.len().min(step);
            all.extend_from_slice(&joined[..taken]);
            output.advance(taken);
        }
        all
    }

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came_whatever_the_socket_takes() {
        for step in [1, 3, 7, 1000] {
            let mut output = Output::default();
            output.tail().extend_from_slice(b"abc");
            output.share(Bytes::from_static(b"LARGE"));
            output.share(Bytes::from_static(b"VALUE"));
            output.tail().extend_from_slice(b"def");
            assert_eq!(output.len(), 16);
            assert_eq!(drain(&mut output, step), b"abcLARGEVALUEdef");
            assert_eq!(output.appended(), 16);
            output.tail().extend_from_slice(b"x");
            assert_eq!(drain(&mut output, step), b"x");
        }
    }
}
