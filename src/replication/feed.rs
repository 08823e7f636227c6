//! The feed: every change of the keyspace as a command, in the order of the changes.
//!
//! While a command runs, its frames gather in [`Pending`]: a `DEL` for each key that was found dead or was evicted, at
//! the moment at which it happened, then the command itself. When the outermost command is done they are committed:
//! several frames are wrapped in `MULTI` and `EXEC`, and within these a `SELECT` goes before whatever runs on another
//! database than the frame before it. Frames carry absolute deadlines only.
//!
//! Nothing is encoded while nobody follows.

use crate::resp::Args;
use crate::resp::reply::encode_request;

/// Frames of the command that is running.
#[derive(Debug, Default)]
pub struct Pending {
    /// Whether somebody follows; otherwise frames are dropped.
    active: bool,
    /// Encoded frames.
    bytes: Vec<u8>,
    /// Database of each frame and where it ends in `bytes`.
    frames: Vec<(u32, usize)>,
}

impl Pending {
    /// Whether somebody follows.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// Whether nothing was propagated.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// How many frames wait.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Drops all but the first `len` frames.
    pub fn truncate(&mut self, len: usize) {
        self.frames.truncate(len);
        self.bytes.truncate(self.frames.last().map_or(0, |frame| frame.1));
    }

    /// Adds a frame.
    pub fn push<A: AsRef<[u8]>>(&mut self, db: u32, args: &[A]) {
        if self.active {
            encode_request(args, &mut self.bytes);
            self.frames.push((db, self.bytes.len()));
        }
    }

    /// Adds a command as its client sent it.
    pub fn push_args(&mut self, db: u32, args: Args<'_>) {
        if self.active {
            let words: Vec<&[u8]> = args.iter_from(0).collect();
            self.push(db, &words);
        }
    }
}

/// The committed frames.
#[derive(Debug, Default)]
pub struct Feed {
    /// Database of the last frame; none before the first.
    db: Option<u32>,
    /// Bytes that a follower has not taken yet.
    bytes: Vec<u8>,
}

impl Feed {
    /// Starts or stops to gather frames.
    pub fn follow(&mut self, pending: &mut Pending, active: bool) {
        pending.active = active;
        self.db = None;
        self.bytes.clear();
    }

    /// Commits what a command and all it caused have propagated.
    pub fn commit(&mut self, pending: &mut Pending) {
        let several = pending.frames.len() > 1;
        let mut from = 0;
        for (i, &(db, end)) in pending.frames.iter().enumerate() {
            if i == 0 && several {
                encode_request(&["MULTI"], &mut self.bytes);
            }
            self.select(db);
            self.bytes.extend_from_slice(&pending.bytes[from..end]);
            from = end;
        }
        if several {
            encode_request(&["EXEC"], &mut self.bytes);
        }
        pending.frames.clear();
        pending.bytes.clear();
    }

    /// Commits frames that have nothing to do with each other: none is wrapped.
    pub fn commit_each(&mut self, pending: &mut Pending) {
        let mut from = 0;
        for (db, end) in std::mem::take(&mut pending.frames) {
            self.select(db);
            self.bytes.extend_from_slice(&pending.bytes[from..end]);
            from = end;
        }
        pending.bytes.clear();
    }

    /// Tells of the database of the next frame, if it is another than that of the last.
    fn select(&mut self, db: u32) {
        if self.db != Some(db) {
            encode_request(&[&b"SELECT"[..], db.to_string().as_bytes()], &mut self.bytes);
            self.db = Some(db);
        }
    }

    /// Takes what was committed since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(feed: &mut Feed) -> String {
        let bytes = feed.take();
        let words: Vec<_> = String::from_utf8_lossy(&bytes)
            .split("\r\n")
            .filter(|w| !w.is_empty() && !w.starts_with(['*', '$']))
            .map(str::to_owned)
            .collect();
        words.join(" ")
    }

    #[test]
    fn several_frames_are_one_transaction_and_a_change_of_database_is_told() {
        let (mut feed, mut pending) = (Feed::default(), Pending::default());
        pending.push(0, &["SET", "lost", "1"]);
        feed.commit(&mut pending);
        assert_eq!(text(&mut feed), "");
        feed.follow(&mut pending, true);
        pending.push(0, &["SET", "a", "1"]);
        feed.commit(&mut pending);
        pending.push(1, &["DEL", "b"]);
        pending.push(3, &["SET", "c", "2"]);
        feed.commit(&mut pending);
        assert_eq!(text(&mut feed), "SELECT 0 SET a 1 MULTI SELECT 1 DEL b SELECT 3 SET c 2 EXEC");
    }
}
