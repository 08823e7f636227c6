//! Who asked to hear of changes of the keyspace, and what they are to hear.
//!
//! The mask of what is asked for is one word, so a plain SET pays one test. Events wait here until the outermost command
//! is done, or publishes a message; then `settle` informs those who asked.

use super::propagation::Propagation;
use super::stats::Stats;
use super::tracking::{Changes, Tracking};
use super::transaction::Watchers;
use super::waiters::Waiters;
use crate::base::id::ClientId;
use crate::keyspace::event::{CHANNELS, EventClass, KeyEvent};
use bytes::Bytes;

/// What may have to be done after a command, one bit each.
pub mod after {
    /// Monitors are shown the command.
    pub const MONITORS: u32 = 1;
    /// Messages wait for the end of the reply.
    pub const MESSAGES: u32 = 1 << 1;
    /// Somebody is to hear of a change, or waits for a key that may be ready.
    pub const NEWS: u32 = 1 << 2;
    /// Replies wait for the disk.
    pub const GATE: u32 = 1 << 3;
    /// What the command has cost is noted with its keys.
    pub const HOT_KEYS: u32 = 1 << 4;
    /// What is known of the sizes of values is compared with what they are.
    pub const SIZES: u32 = 1 << 5;
}

/// Who listens to the keyspace.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Bits of [`EventClass`] that somebody asked for: those that are heard of, and all changes while clients track keys.
    pub wanted: u32,
    /// Those of them that become an event: those that are published, and all changes while a key is watched.
    pub heard: u32,
    /// `notify-keyspace-events` as it is while the command runs: bits of [`EventClass`], and the kinds of channel.
    pub published: u32,
    /// Bits of [`after`]. A bit that is not set says that there is nothing to do.
    pub afterwards: u32,
    /// Expired keys are not seen, but stay: clients are paused, or somebody else says when they go.
    pub expiry_held: bool,
    /// Expired keys and fields are seen, and stay (DEBUG SET-ALLOW-ACCESS-EXPIRED).
    pub shows_expired: bool,
    /// This server follows another one.
    pub follows: bool,
    /// Who waits for which key, and which keys may be ready.
    pub waiters: Waiters,
    /// Who watches which key.
    pub watchers: Watchers,
    /// Who may have which key in a cache.
    pub tracking: Tracking,
    /// Clients that are shown every command.
    pub monitors: Vec<ClientId>,
    /// What happened.
    pub news: News,
}

/// What happened while the outermost command ran, and was not told yet.
#[derive(Debug, Default)]
pub struct News {
    /// Events in the order in which they happened.
    pub events: Vec<KeyEvent>,
    /// Databases that have changed places.
    pub swaps: Vec<(u32, u32)>,
    /// What those who track keys are to hear; while the command runs it lies with [`Tracking`].
    changes: Changes,
}

impl Listeners {
    /// Whether something follows from the command that ran.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.is_to_tell() || self.waiters.has_ready() || !self.news.swaps.is_empty()
    }

    /// Whether somebody is to be told of something that happened.
    #[inline]
    pub fn is_to_tell(&self) -> bool {
        !self.news.events.is_empty() || self.tracking.has_changes()
    }

    /// Notes whether something is to be done after commands: bits of [`after`].
    pub fn set_after(&mut self, bits: u32, on: bool) {
        if on { self.afterwards |= bits } else { self.afterwards &= !bits }
    }

    /// Notes whether there is news, after some was told or taken back.
    pub fn note_news(&mut self) {
        self.set_after(after::NEWS, self.has_news());
    }

    /// Puts aside the news of the command that runs.
    pub fn put_aside(&mut self) -> News {
        let news = std::mem::take(&mut self.news);
        let changes = std::mem::take(&mut self.tracking.changes);
        self.note_news();
        News { changes, ..news }
    }

    /// Takes back what [`Listeners::put_aside`] has given.
    pub fn resume(&mut self, news: News) {
        self.news = news;
        self.tracking.changes = std::mem::take(&mut self.news.changes);
        self.note_news();
    }

    /// Something happened to a key that may be what somebody waits for.
    #[inline]
    pub fn signal(&mut self, db: u32, key: &[u8]) {
        if !self.waiters.is_empty() && self.waiters.signal(db, key) {
            self.afterwards |= after::NEWS;
        }
    }

    /// Something happened to all keys of a database.
    pub fn signal_all(&mut self, db: u32) {
        self.waiters.signal_all(db);
        self.note_news();
    }

    /// Notes that two databases have changed places, if somebody watches a key.
    pub fn swapped(&mut self, one: u32, other: u32) {
        if one != other && !self.watchers.is_empty() {
            self.news.swaps.push((one, other));
            self.afterwards |= after::NEWS;
        }
    }

    /// Notes an event if somebody asked for its class.
    #[inline]
    pub fn notify(&mut self, class: EventClass, name: &'static str, key: &[u8], db: u32) {
        if self.wanted & class as u32 != 0 {
            self.note(class, name, Bytes::copy_from_slice(key), db);
        }
    }

    #[cold]
    fn note(&mut self, class: EventClass, name: &'static str, key: Bytes, db: u32) {
        if class.is_change() {
            self.tracking.touch(&key, matches!(class, EventClass::Expired | EventClass::Evicted));
        }
        if self.heard & class as u32 != 0 {
            let channels = if self.published & class as u32 != 0 { self.published & CHANNELS } else { 0 };
            self.news.events.push(KeyEvent { class, name, key, db, channels });
        }
        self.afterwards |= after::NEWS;
    }

    /// A key was removed at its deadline, `lag_ms` late: counts, propagates by `verb` and tells it.
    pub fn expired(
        &mut self,
        (db, key): (u32, &[u8]),
        lag_ms: u64,
        verb: &[u8],
        stats: &mut Stats,
        propagation: &mut Propagation,
    ) {
        stats.expired_keys += 1;
        stats.expire_lag_ms.record(lag_ms);
        propagation.removal(db, &[verb, key]);
        self.signal(db, key);
        self.notify(EventClass::Expired, "expired", key, db);
    }

    /// Fields of a hash were removed at their deadline, perhaps the key with them: counts, propagates and tells it.
    pub fn fields_expired(
        &mut self,
        (db, key): (u32, &[u8]),
        fields: &[Vec<u8>],
        is_gone: bool,
        stats: &mut Stats,
        propagation: &mut Propagation,
    ) {
        if fields.is_empty() {
            return;
        }
        stats.expired_subkeys += fields.len() as u64;
        for field in fields {
            propagation.removal(db, &[b"HDEL", key, field]);
        }
        self.notify(EventClass::Hash, "hexpired", key, db);
        if is_gone {
            self.signal(db, key);
            self.notify(EventClass::Generic, "del", key, db);
        }
    }
}
