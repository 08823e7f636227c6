//! What one outermost command propagates: encoded commands, in the order of the changes, without any framing.
//!
//! A frame is the body of one command. It knows its database and who is to get it; SELECT and MULTI are added by whoever
//! passes it on, since offsets of replicas count them and the append-only file has its own.

use crate::resp::Args;
use crate::resp::reply::{encode_args, encode_request};

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

/// Commands in the order of the changes, in groups: what one outermost command and all that it caused have changed is a group.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
    /// How many frames there are up to the end of each group that is closed.
    groups: Vec<usize>,
}

/// The frames of a group, or some of them.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    bytes: &'a [u8],
    frames: &'a [Frame],
    /// Where the first of them begins.
    start: usize,
    targets: u8,
}

impl Batch {
    /// Adds a frame.
    pub fn push<A: AsRef<[u8]>>(&mut self, db: u32, targets: u8, args: &[A]) {
        encode_request(args, &mut self.bytes);
        self.frames.push(Frame { db, targets, end: self.bytes.len() });
    }

    /// Adds a command as its client sent it.
    pub fn push_args(&mut self, db: u32, targets: u8, args: Args<'_>) {
        encode_args(args, &mut self.bytes);
        self.frames.push(Frame { db, targets, end: self.bytes.len() });
    }

    /// The frames since the last group are a group.
    #[inline]
    pub fn close(&mut self) {
        if self.has_open_frames() {
            self.groups.push(self.frames.len());
        }
    }

    /// The frames since the last group have nothing to do with each other: each is a group.
    pub fn close_each(&mut self) {
        let closed = self.groups.last().copied().unwrap_or(0);
        self.groups.extend(closed + 1..=self.frames.len());
    }

    /// Whether there are frames.
    pub fn has_frames(&self) -> bool {
        !self.frames.is_empty()
    }

    /// Whether there are frames since the last group.
    pub fn has_open_frames(&self) -> bool {
        self.groups.last().copied().unwrap_or(0) < self.frames.len()
    }

    /// Whether a group is closed.
    #[inline]
    pub fn has_groups(&self) -> bool {
        !self.groups.is_empty()
    }

    /// The groups that are closed.
    pub fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        let starts = std::iter::once(0).chain(self.groups.iter().copied());
        self.groups.iter().zip(starts).map(|(&to, from)| Group {
            bytes: &self.bytes,
            frames: &self.frames[from..to],
            start: if from == 0 { 0 } else { self.frames[from - 1].end },
            targets: target::ALL,
        })
    }

    /// Forgets the groups that are closed, and keeps their memory.
    pub fn forget_groups(&mut self) {
        let Some(closed) = self.groups.last().copied() else { return };
        self.groups.clear();
        let bytes = self.frames[closed - 1].end;
        self.bytes.drain(..bytes);
        self.frames.drain(..closed);
        self.frames.iter_mut().for_each(|frame| frame.end -= bytes);
    }

    /// Forgets everything, and keeps the memory.
    pub fn clear(&mut self) {
        self.frames.clear();
        self.bytes.clear();
        self.groups.clear();
    }
}

impl<'a> Group<'a> {
    /// Those that go to one of these: bits of [`target`].
    #[must_use]
    pub fn to(self, targets: u8) -> Group<'a> {
        Group { targets, ..self }
    }

    /// How many frames there are.
    pub fn len(self) -> usize {
        self.frames().count()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The frames, each as the number of its database and its bytes.
    pub fn frames(self) -> impl Iterator<Item = (u32, &'a [u8])> + Clone {
        let starts = std::iter::once(self.start).chain(self.frames.iter().map(|frame| frame.end));
        let (bytes, targets) = (self.bytes, self.targets);
        let meant = self.frames.iter().zip(starts).filter(move |(frame, _)| frame.targets & targets != 0);
        meant.map(move |(frame, start)| (frame.db, &bytes[start..frame.end]))
    }
}
