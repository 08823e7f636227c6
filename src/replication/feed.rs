//! The feed: every change of the keyspace as a command, in the order of the changes, as a replica gets it.
//!
//! What an outermost command and all that it caused have changed comes as a [`Group`]: a `DEL` for each key that was found
//! dead or was evicted, at the moment at which it happened, then the command itself. Several commands are wrapped in `MULTI`
//! and `EXEC`, and within these a `SELECT` goes before whatever runs on another database than the one before it. They carry
//! absolute deadlines only.

use super::batch::{Group, target};
use crate::resp::reply::encode_request;

/// See the head of the file.
#[derive(Debug, Default)]
pub struct Feed {
    /// Somebody follows; otherwise nothing is kept.
    is_followed: bool,
    /// Database of the last frame; none before the first.
    db: Option<u32>,
    /// Bytes that a follower has not taken yet.
    bytes: Vec<u8>,
}

impl Feed {
    /// A follower begins, or leaves: what was committed is forgotten.
    pub fn follow(&mut self, is_followed: bool) {
        *self = Feed { is_followed, ..Feed::default() };
    }

    /// Whether somebody follows.
    pub fn is_followed(&self) -> bool {
        self.is_followed
    }

    /// Commits what a command and all it caused have propagated.
    pub fn commit(&mut self, group: Group<'_>) {
        if !self.is_followed {
            return;
        }
        let group = group.to(target::REPLICAS);
        let several = group.len() > 1;
        for (i, (db, bytes)) in group.frames().enumerate() {
            if i == 0 && several {
                encode_request(&["MULTI"], &mut self.bytes);
            }
            if self.db != Some(db) {
                encode_request(&[&b"SELECT"[..], db.to_string().as_bytes()], &mut self.bytes);
                self.db = Some(db);
            }
            self.bytes.extend_from_slice(bytes);
        }
        if several {
            encode_request(&["EXEC"], &mut self.bytes);
        }
    }

    /// Takes what was committed since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
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
        feed.follow(true);
        batch.push(0, target::ALL, &["SET", "a", "1"]);
        batch.close();
        batch.push(1, target::ALL, &["DEL", "b"]);
        batch.push(3, target::REPLICAS, &["SET", "c", "2"]);
        batch.close();
        batch.close();
        batch.push(3, target::ALL, &["DEL", "d"]);
        commit(&mut feed, &mut batch);
        assert_eq!(text(&mut feed), "SELECT 0 SET a 1 MULTI SELECT 1 DEL b SELECT 3 SET c 2 EXEC");
        batch.push(4, target::ALL, &["DEL", "e"]);
        batch.close_each();
        commit(&mut feed, &mut batch);
        assert_eq!(text(&mut feed), "DEL d SELECT 4 DEL e");
        assert!(!batch.has_groups());
    }

    #[test]
    fn what_only_the_file_gets_does_not_reach_replicas() {
        let (mut feed, mut batch) = (Feed::default(), Batch::default());
        feed.follow(true);
        batch.push(0, target::AOF, &["SET", "a", "1"]);
        batch.push(0, target::ALL, &["SET", "b", "1"]);
        batch.close();
        commit(&mut feed, &mut batch);
        assert_eq!(text(&mut feed), "SELECT 0 SET b 1");
    }
}
