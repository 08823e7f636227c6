//! The feed: every change of the keyspace as a command, in the order of the changes, as a replica gets it.
//!
//! What an outermost command and all that it caused have changed comes as a [`Group`]: a `DEL` for each key that was found
//! expired or was evicted, at the moment at which it happened, then the command itself. Several commands are wrapped in `MULTI`
//! and `EXEC`, and within these a `SELECT` goes before whatever runs on another database than the one before it. They carry
//! absolute deadlines only.
//!
//! The bytes lie in chunks, once for everybody. A replica is a position among them, and the *backlog* is the last bytes, which
//! stay for replicas that come back. Nobody counts references: when a chunk is full its owner says what is still wanted, and
//! whole chunks before that go.
//!
//! ```text
//! start                 position of a replica              end
//!   |---- chunk ----|---- chunk -+--|---- chunk ----|-- open --|
//!                        |<------------- backlog ------------->|
//! ```
//!
//! A position is an *offset*: bytes since the history began. Redis counts the same, but names the byte after an offset by that
//! offset plus one.

use super::batch::{Group, target};
use crate::resp::reply::encode_request;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;

/// The smallest chunk, in bytes. Redis: `PROTO_REPLY_CHUNK_BYTES`.
const CHUNK_BYTES_MIN: u64 = 16 * 1024;
/// So many chunks make a backlog. Redis: `replBufBlock` of a sixteenth.
const CHUNKS_A_BACKLOG: u64 = 16;

/// See the head of the file.
#[derive(Debug, Default)]
pub struct Feed {
    /// Its bytes are kept; otherwise it only counts.
    is_kept: bool,
    /// Bytes that stay for replicas that come back.
    backlog_bytes: u64,
    /// Database of the last frame; none before the first.
    db: Option<u32>,
    /// Full chunks, each with the offset of its first byte, oldest first.
    chunks: VecDeque<(u64, Vec<u8>)>,
    /// Bytes in them.
    chunk_bytes: u64,
    /// Room that they take.
    room_bytes: usize,
    /// The open chunk.
    open: Vec<u8>,
    /// Offset of the first byte that is kept.
    start: u64,
    /// A chunk was filled since its owner last said what is wanted.
    has_filled: bool,
}

impl Feed {
    /// Keeps bytes from now on, the last of them for whoever comes back. The first chunk is made at once: memory that is measured
    /// now does not grow with the first frame.
    pub fn keep(&mut self, backlog_bytes: u64) {
        *self = Feed { is_kept: true, backlog_bytes, start: self.end(), ..Feed::default() };
        self.open_chunk(0);
    }

    /// Keeps nothing from now on.
    pub fn drop_all(&mut self) {
        *self = Feed { start: self.end(), ..Feed::default() };
    }

    /// Whether bytes are kept.
    #[inline]
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// So many bytes stay for whoever comes back; fewer go with the next [`Feed::trim`].
    pub fn set_backlog_bytes(&mut self, bytes: u64) {
        self.backlog_bytes = bytes;
        self.has_filled = true;
    }

    /// Offset of the first byte that is kept.
    #[inline]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Offset after the last byte: so many there were in the history.
    #[inline]
    pub fn end(&self) -> u64 {
        self.start + self.chunk_bytes + self.open.len() as u64
    }

    /// The history goes on at another offset. What is kept goes.
    pub fn jump_to(&mut self, offset: u64) {
        let (is_kept, backlog_bytes) = (self.is_kept, self.backlog_bytes);
        *self = Feed { is_kept, backlog_bytes, start: offset, ..Feed::default() };
    }

    /// Memory of what is kept, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.room_bytes + self.open.capacity() + self.chunks.capacity() * size_of::<(u64, Vec<u8>)>()
    }

    /// The database of the last frame; none before the first.
    pub fn database(&self) -> Option<u32> {
        self.db
    }

    /// The next frame says its database again.
    pub fn forget_database(&mut self) {
        self.db = None;
    }

    /// Commits what a command and all it caused have propagated. Where nothing is kept each command counts one.
    pub fn commit(&mut self, group: Group<'_>) {
        let group = group.to(target::REPLICAS);
        let frames = group.len();
        let several = frames > 1;
        if !self.is_kept {
            self.start += if several { frames as u64 + 2 } else { frames as u64 };
            return;
        }
        for (i, (db, bytes)) in group.frames().enumerate() {
            if i == 0 && several {
                self.request(&["MULTI"]);
            }
            if self.db != Some(db) {
                self.request(&[&b"SELECT"[..], db.to_string().as_bytes()]);
                self.db = Some(db);
            }
            self.push(bytes);
        }
        if several {
            self.request(&["EXEC"]);
        }
    }

    /// Adds a request that concerns no database.
    pub fn request<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        let mut bytes = Vec::new();
        encode_request(args, &mut bytes);
        self.push(&bytes);
    }

    /// Adds bytes as they are.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.is_kept {
            self.start += bytes.len() as u64;
            return;
        }
        if self.open.capacity() - self.open.len() < bytes.len() {
            self.open_chunk(bytes.len());
        }
        self.open.extend_from_slice(bytes);
    }

    /// Closes the open chunk, and opens one with room for so many bytes at least.
    #[cold]
    fn open_chunk(&mut self, bytes: usize) {
        let room = CHUNK_BYTES_MIN.max(self.backlog_bytes / CHUNKS_A_BACKLOG) as usize;
        let full = mem::replace(&mut self.open, Vec::with_capacity(room.max(bytes)));
        if !full.is_empty() {
            let first = self.start + self.chunk_bytes;
            self.chunk_bytes += full.len() as u64;
            self.room_bytes += full.capacity();
            self.chunks.push_back((first, full));
            self.has_filled = true;
        }
    }

    /// Whether a chunk was filled since the last [`Feed::trim`].
    #[inline]
    pub fn wants_trim(&self) -> bool {
        self.has_filled
    }

    /// Lets go of whole chunks that lie before the backlog and before this offset, the least that anybody still wants.
    pub fn trim(&mut self, wanted: u64) {
        self.has_filled = false;
        let keep = wanted.min(self.end().saturating_sub(self.backlog_bytes));
        while let Some((first, chunk)) =
            self.chunks.pop_front_if(|(first, chunk)| *first + chunk.len() as u64 <= keep)
        {
            self.start = first + chunk.len() as u64;
            self.chunk_bytes -= chunk.len() as u64;
            self.room_bytes -= chunk.capacity();
        }
    }

    /// Whether the feed can go on from an offset for somebody: all after it is kept.
    pub fn has(&self, offset: u64) -> bool {
        self.is_kept && (self.start..=self.end()).contains(&offset)
    }

    /// The bytes from an offset on, which must be kept, as slices: at most `slices.len()` of them, up to `end` and `limit` bytes.
    /// Returns how many were filled.
    pub fn gather<'a>(&'a self, from: u64, end: u64, slices: &mut [IoSlice<'a>], limit: usize) -> usize {
        let (mut filled, mut at, end) = (0, from, end.min(from.saturating_add(limit as u64)));
        while filled < slices.len() && at < end {
            let piece = self.piece(at, end);
            slices[filled] = IoSlice::new(piece);
            filled += 1;
            at += piece.len() as u64;
        }
        filled
    }

    /// The first bytes from an offset on that lie in one piece, up to `end`; both must be kept.
    pub fn piece(&self, from: u64, end: u64) -> &[u8] {
        let behind = self.chunks.partition_point(|(first, _)| *first <= from);
        let (first, chunk) = match behind.checked_sub(1).map(|i| &self.chunks[i]) {
            Some((first, chunk)) if from < first + chunk.len() as u64 => (*first, chunk),
            _ => (self.start + self.chunk_bytes, &self.open),
        };
        let piece = &chunk[(from - first) as usize..];
        &piece[..piece.len().min((end - from) as usize)]
    }

    /// In how many chunks the bytes from an offset on lie.
    pub fn chunks_from(&self, from: u64) -> usize {
        let behind = self.chunks.partition_point(|(first, chunk)| first + chunk.len() as u64 <= from);
        self.chunks.len() - behind + usize::from(from < self.end() && !self.open.is_empty())
    }

    /// All bytes from an offset on.
    pub fn copy_from(&self, from: u64) -> Vec<u8> {
        let mut all = Vec::new();
        let mut at = from;
        while at < self.end() {
            let piece = self.piece(at, self.end());
            all.extend_from_slice(piece);
            at += piece.len() as u64;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::Batch;
    use super::*;

    fn commit(feed: &mut Feed, batch: &mut Batch) {
        batch.groups().for_each(|group| feed.commit(group));
        batch.forget_groups();
    }

    fn words(bytes: &[u8]) -> String {
        let words: Vec<_> = String::from_utf8_lossy(bytes)
            .split("\r\n")
            .filter(|w| !w.is_empty() && !w.starts_with(['*', '$']))
            .map(str::to_owned)
            .collect();
        words.join(" ")
    }

    #[test]
    fn several_frames_are_one_transaction_and_a_change_of_database_is_told() {
        let (mut feed, mut batch) = (Feed::default(), Batch::default());
        feed.keep(1 << 20);
        batch.push(0, target::ALL, &["SET", "a", "1"]);
        batch.close();
        batch.push(1, target::ALL, &["DEL", "b"]);
        batch.push(3, target::REPLICAS, &["SET", "c", "2"]);
        batch.close();
        batch.close();
        batch.push(3, target::ALL, &["DEL", "d"]);
        commit(&mut feed, &mut batch);
        let first = feed.copy_from(0);
        assert_eq!(words(&first), "SELECT 0 SET a 1 MULTI SELECT 1 DEL b SELECT 3 SET c 2 EXEC");
        batch.push(4, target::ALL, &["DEL", "e"]);
        batch.close_each();
        commit(&mut feed, &mut batch);
        assert_eq!(words(&feed.copy_from(first.len() as u64)), "DEL d SELECT 4 DEL e");
        assert!(!batch.has_groups());
    }

    #[test]
    fn what_only_the_file_gets_does_not_reach_replicas() {
        let (mut feed, mut batch) = (Feed::default(), Batch::default());
        feed.keep(1 << 20);
        batch.push(0, target::AOF, &["SET", "a", "1"]);
        batch.push(0, target::ALL, &["SET", "b", "1"]);
        batch.close();
        commit(&mut feed, &mut batch);
        assert_eq!(words(&feed.copy_from(0)), "SELECT 0 SET b 1");
    }

    #[test]
    fn the_first_frames_take_no_memory_that_was_not_taken_before() {
        let mut feed = Feed::default();
        feed.keep(1 << 20);
        let before = feed.heap_bytes();
        feed.push(&[b'x'; 60_000]);
        assert_eq!(feed.heap_bytes(), before);
    }

    #[test]
    fn a_command_counts_one_while_nothing_is_kept() {
        let (mut feed, mut batch) = (Feed::default(), Batch::default());
        batch.push(0, target::ALL, &["DEL", "a"]);
        batch.close();
        batch.push(0, target::ALL, &["DEL", "a"]);
        batch.push(0, target::ALL, &["DEL", "b"]);
        batch.close();
        commit(&mut feed, &mut batch);
        assert_eq!((feed.start(), feed.end()), (5, 5));
        feed.keep(1 << 20);
        assert!(feed.has(5) && !feed.has(4));
    }

    /// Every byte that is wanted or in the backlog is there, whatever was asked and however it is cut.
    #[test]
    fn chunks_keep_what_the_slowest_wants_and_the_backlog() {
        let mut feed = Feed::default();
        feed.jump_to(1000);
        feed.keep(64 * 1024);
        let byte = |offset: u64| (offset % 251) as u8;
        let (mut slow, mut at) = (1000, 1000);
        for step in 0..2000u64 {
            let n = (step * 7919) % 3000 + u64::from(step.is_multiple_of(97)) * 40_000;
            let bytes: Vec<u8> = (at..at + n).map(byte).collect();
            feed.push(&bytes);
            at += n;
            slow = slow.max(at.saturating_sub(300_000));
            if feed.wants_trim() {
                feed.trim(slow);
            }
            assert_eq!(feed.end(), at);
            assert!(feed.has(slow) && feed.has(at.saturating_sub(64 * 1024).max(1000)));
            assert!(feed.start() + 300_000 + 64 * 1024 + 41_000 > at);
            let mut slices = [IoSlice::new(&[]); 3];
            let end = at - (at - slow) / 5;
            let filled = feed.gather(slow, end, &mut slices, 100_000);
            let mut expected = slow;
            for slice in &slices[..filled] {
                assert!(slice.iter().all(|&b| {
                    expected += 1;
                    b == byte(expected - 1)
                }));
            }
            assert!(expected <= end && expected - slow <= 100_000);
            assert!(feed.piece(slow, slow + 10).len() <= 10);
        }
        assert!(feed.start() > 1000);
        assert_eq!(feed.chunks_from(feed.start()), feed.chunks.len() + 1);
        assert_eq!((feed.chunks_from(feed.end() - 1), feed.chunks_from(feed.end())), (1, 0));
        let all = feed.copy_from(feed.start());
        assert!((feed.start()..).zip(&all).all(|(offset, &b)| b == byte(offset)));
    }
}
