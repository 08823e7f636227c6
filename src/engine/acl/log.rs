//! ACL LOG: what was refused, newest first.
//!
//! The same refusal of the same user within a minute is counted in one entry. How many there are is bounded by
//! `acllog-max-len`, and how much of a key or a name an entry keeps by [`ACL_LOG_TEXT_BYTES_MAX`], since both come from
//! clients that may not do anything else.

use super::check::Reason;
use crate::base::limit::ACL_LOG_TEXT_BYTES_MAX;
use std::collections::VecDeque;

/// Entries among which an equal one is looked for. Redis: `toscan`.
const LOOKED_AT: usize = 10;
/// Refusals that are further apart get entries of their own. Redis: `ACL_LOG_GROUPING_MAX_TIME_DELTA`.
const GROUPED_WITHIN_MS: u64 = 60_000;

/// Where the request came from that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// A client.
    Toplevel,
    /// A transaction.
    Multi,
    /// A script.
    Lua,
}

impl Context {
    /// What ACL LOG calls it.
    pub fn name(self) -> &'static str {
        match self {
            Context::Toplevel => "toplevel",
            Context::Multi => "multi",
            Context::Lua => "lua",
        }
    }
}

/// One refusal, or several that are equal.
#[derive(Clone, Debug)]
pub struct Entry {
    /// How many.
    pub count: u64,
    /// What was missing.
    pub reason: Reason,
    /// Where the request came from.
    pub context: Context,
    /// What it was about: a command, a key, a channel, a database.
    pub object: Vec<u8>,
    /// The user; of a refused authentication the name that was given.
    pub user: Vec<u8>,
    /// When the first one was, Unix milliseconds.
    pub created_ms: u64,
    /// When the last one was, Unix milliseconds.
    pub updated_ms: u64,
    /// The client of the last one, as CLIENT LIST shows it.
    pub client: String,
    /// Number of the entry; it is never used twice.
    pub id: u64,
}

/// The log.
#[derive(Debug, Default)]
pub struct AclLog {
    entries: VecDeque<Entry>,
    next_id: u64,
}

impl AclLog {
    /// Notes a refusal; its `count`, `updated_ms` and `id` are set here. The log then has at most `len_max` entries.
    pub fn note(&mut self, refusal: Entry, len_max: u64) {
        let mut new = refusal;
        new.object.truncate(ACL_LOG_TEXT_BYTES_MAX);
        new.user.truncate(ACL_LOG_TEXT_BYTES_MAX);
        let known = self.entries.iter().take(LOOKED_AT).position(|old| {
            old.reason == new.reason
                && old.context == new.context
                && new.created_ms.saturating_sub(old.updated_ms) <= GROUPED_WITHIN_MS
                && old.object == new.object
                && old.user == new.user
        });
        if let Some(mut old) = known.and_then(|at| self.entries.remove(at)) {
            old.count += 1;
            old.updated_ms = new.created_ms;
            old.client = new.client;
            self.entries.push_front(old);
        } else {
            self.entries.push_front(Entry { count: 1, updated_ms: new.created_ms, id: self.next_id, ..new });
            self.next_id += 1;
        }
        self.entries.truncate(usize::try_from(len_max).unwrap_or(usize::MAX));
    }

    /// The entries, newest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Forgets all entries.
    pub fn reset(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(object: &[u8], at_ms: u64) -> Entry {
        Entry {
            count: 1,
            reason: Reason::Key,
            context: Context::Toplevel,
            object: object.to_vec(),
            user: b"eve".to_vec(),
            created_ms: at_ms,
            updated_ms: 0,
            client: at_ms.to_string(),
            id: 0,
        }
    }

    fn shown(log: &AclLog) -> Vec<(String, u64, u64, u64)> {
        let text = |entry: &Entry| String::from_utf8_lossy(&entry.object).into_owned();
        log.entries().map(|e| (text(e), e.count, e.id, e.updated_ms)).collect()
    }

    #[test]
    fn equal_refusals_within_a_minute_of_the_last_one_are_one_entry_which_moves_to_the_front() {
        let mut log = AclLog::default();
        for (object, at_ms) in [(b"a", 0), (b"b", 1), (b"a", 60_000), (b"a", 120_000), (b"b", 60_002)] {
            log.note(refusal(object, at_ms), 128);
        }
        let wanted = [("b", 1, 2, 60_002), ("a", 3, 0, 120_000), ("b", 1, 1, 1)];
        assert_eq!(shown(&log), wanted.map(|(object, count, id, at)| (object.to_owned(), count, id, at)));
    }

    #[test]
    fn neither_entries_nor_their_texts_grow_without_bound() {
        let mut log = AclLog::default();
        for i in 0..20u64 {
            log.note(refusal(&vec![i as u8; 10_000], i), 5);
        }
        assert_eq!(log.entries().count(), 5);
        assert!(log.entries().all(|entry| entry.object.len() == ACL_LOG_TEXT_BYTES_MAX));
        // A shorter log is cut when the next entry comes; of length 0 it takes none.
        log.note(refusal(b"x", 20), 2);
        assert_eq!(log.entries().count(), 2);
        log.note(refusal(b"y", 21), 0);
        assert_eq!(log.entries().count(), 0);
    }
}
