//! What one outermost command propagates: encoded commands, in the order of the changes, without any framing.
//!
//! A frame is the body of one command. It knows its database and who is to get it; SELECT and MULTI are added by whoever
//! passes it on, since offsets of replicas count them and the append-only file has its own.

use crate::resp::Args;
use crate::resp::reply::encode_request;

/// Who gets a frame, one bit each; the values are those of `redis.set_repl`.
pub mod target {
    /// The append-only file.
    pub const AOF: u8 = 1;
    /// Replicas.
    pub const REPLICAS: u8 = 2;
    /// Both.
    pub const ALL: u8 = AOF | REPLICAS;
}

/// One command of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// The database that it runs on.
    pub db: u32,
    /// Bits of [`target`].
    pub targets: u8,
    /// Where it ends in the bytes of the batch.
    end: usize,
}

/// Commands in the order of the changes.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
}

impl Batch {
    /// Whether there is no frame.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Adds a frame.
    pub fn push<A: AsRef<[u8]>>(&mut self, db: u32, targets: u8, args: &[A]) {
        encode_request(args, &mut self.bytes);
        self.frames.push(Frame { db, targets, end: self.bytes.len() });
    }

    /// Adds a command as its client sent it.
    pub fn push_args(&mut self, db: u32, targets: u8, args: Args<'_>) {
        let words: Vec<&[u8]> = args.iter_from(0).collect();
        self.push(db, targets, &words);
    }

    /// All frames, each with its bytes.
    pub fn frames(&self) -> impl Iterator<Item = (Frame, &[u8])> {
        let starts = std::iter::once(0).chain(self.frames.iter().map(|frame| frame.end));
        self.frames.iter().zip(starts).map(|(frame, start)| (*frame, &self.bytes[start..frame.end]))
    }

    /// Forgets the frames, and keeps their memory.
    pub fn clear(&mut self) {
        self.frames.clear();
        self.bytes.clear();
    }
}
