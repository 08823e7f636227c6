//! The feed: every change of the keyspace as a command, in the order of the changes.
//!
//! While a command runs, its frames gather in a [`Batch`]: a `DEL` for each key that was found dead or was evicted, at
//! the moment at which it happened, then the command itself. When the outermost command is done they are committed:
//! several frames are wrapped in `MULTI` and `EXEC`, and within these a `SELECT` goes before whatever runs on another
//! database than the frame before it. Frames carry absolute deadlines only.

use super::batch::{Batch, target};
use crate::resp::reply::encode_request;

/// The committed frames, as a replica gets them.
#[derive(Debug, Default)]
pub struct Feed {
    /// Database of the last frame; none before the first.
    db: Option<u32>,
    /// Bytes that a follower has not taken yet.
    bytes: Vec<u8>,
}

impl Feed {
    /// Forgets what was committed: a follower begins, or leaves.
    pub fn restart(&mut self) {
        *self = Feed::default();
    }

    /// Commits what a command and all it caused have propagated.
    pub fn commit(&mut self, batch: &mut Batch) {
        let for_us = || batch.frames().filter(|(frame, _)| frame.targets & target::REPLICAS != 0);
        let several = for_us().nth(1).is_some();
        for (i, (frame, bytes)) in for_us().enumerate() {
            if i == 0 && several {
                encode_request(&["MULTI"], &mut self.bytes);
            }
            self.push(frame.db, bytes);
        }
        if several {
            encode_request(&["EXEC"], &mut self.bytes);
        }
        batch.clear();
    }

    /// Commits frames that have nothing to do with each other: none is wrapped.
    pub fn commit_each(&mut self, batch: &mut Batch) {
        for (frame, bytes) in batch.frames().filter(|(frame, _)| frame.targets & target::REPLICAS != 0) {
            self.push(frame.db, bytes);
        }
        batch.clear();
    }

    /// Adds a frame, after the number of its database if that is another than that of the last.
    fn push(&mut self, db: u32, bytes: &[u8]) {
        if self.db != Some(db) {
            encode_request(&[&b"SELECT"[..], db.to_string().as_bytes()], &mut self.bytes);
            self.db = Some(db);
        }
        self.bytes.extend_from_slice(bytes);
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
        let (mut feed, mut batch) = (Feed::default(), Batch::default());
        batch.push(0, target::ALL, &["SET", "a", "1"]);
        feed.commit(&mut batch);
        batch.push(1, target::ALL, &["DEL", "b"]);
        batch.push(3, target::REPLICAS, &["SET", "c", "2"]);
        feed.commit(&mut batch);
        assert_eq!(text(&mut feed), "SELECT 0 SET a 1 MULTI SELECT 1 DEL b SELECT 3 SET c 2 EXEC");
    }

    #[test]
    fn what_only_the_file_gets_does_not_reach_replicas() {
        let (mut feed, mut batch) = (Feed::default(), Batch::default());
        batch.push(0, target::AOF, &["SET", "a", "1"]);
        batch.push(0, target::ALL, &["SET", "b", "1"]);
        feed.commit(&mut batch);
        assert_eq!(text(&mut feed), "SELECT 0 SET b 1");
    }
}
