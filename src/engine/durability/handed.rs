//! What was handed over to the disk and is not written yet: batches, with the integrity line of each where they have one.
//!
//! Positions of the log count the bytes of batches; a file has those of their lines, too.

use crate::persist::aof::integrity;
use bytes::Bytes;
use std::collections::VecDeque;

/// What was committed between two moments at which it was handed over.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// Its integrity line; empty without one.
    line: Bytes,
    bytes: Bytes,
}

impl Batch {
    pub fn plain(bytes: Bytes) -> Batch {
        Batch { line: Bytes::new(), bytes }
    }

    /// With a line, whose checksum goes on from this one, and is the next; so many bytes of the file are durable.
    pub fn with_line(bytes: Bytes, sum: &mut u64, synced: u64) -> Batch {
        let (line, next) = integrity::line(*sum, Some(synced), &[&bytes]);
        *sum = next;
        Batch { line: line.into(), bytes }
    }

    /// Bytes that it takes in a file.
    pub fn file_bytes(&self) -> u64 {
        (self.line.len() + self.bytes.len()) as u64
    }

    /// What is written to a file.
    pub fn pieces(&self) -> impl Iterator<Item = Bytes> {
        [&self.line, &self.bytes].into_iter().filter(|piece| !piece.is_empty()).cloned()
    }
}

/// What one job writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Handed {
    /// The number of the job; 0 where there is none.
    pub job: u64,
    pub batches: Vec<Batch>,
}

impl Handed {
    /// All of it, as one job writes it.
    pub fn joined(all: VecDeque<Handed>) -> Handed {
        Handed { job: 0, batches: all.into_iter().flat_map(|handed| handed.batches).collect() }
    }

    /// For another file, of which nothing is durable: lines are made again, with a checksum that goes on from this one; none where none are wanted.
    pub fn moved(self, sum: Option<&mut u64>) -> Handed {
        let bytes = self.batches.into_iter().map(|batch| batch.bytes);
        let batches = match sum {
            Some(sum) => bytes.map(|bytes| Batch::with_line(bytes, sum, 0)).collect(),
            None => bytes.map(Batch::plain).collect(),
        };
        Handed { job: 0, batches }
    }

    /// Bytes of its batches.
    pub fn bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.bytes.len() as u64).sum()
    }

    /// Bytes that it takes in a file.
    pub fn file_bytes(&self) -> u64 {
        self.batches.iter().map(Batch::file_bytes).sum()
    }

    /// What is written to a file.
    pub fn pieces(&self) -> Vec<Bytes> {
        self.batches.iter().flat_map(Batch::pieces).collect()
    }
}
