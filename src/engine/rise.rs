//! Facts that rise from the keyspace while a command runs, for those who asked.
//!
//! The mask of what is asked for is one word, so a plain SET pays one test. Events wait here until the outermost
//! command is done, or publishes a message; then `settle` informs subscribers.

use super::config::Config;
use super::stats::Stats;
use super::tracking::Tracking;
use super::transaction::Watchers;
use super::waiters::Waiters;
use crate::keyspace::event::{CHANNELS, EventClass, KeyEvent};
use crate::replication::feed::Pending;
use bytes::Bytes;

/// Events of the command that is running.
#[derive(Debug, Default)]
pub struct Rise {
    /// Bits of [`EventClass`] that somebody asked for: those that are heard of, and all changes while clients track keys.
    pub wanted: u32,
    /// Those of them that become an event: those that are published, and all changes while a key is watched.
    pub heard: u32,
    /// `notify-keyspace-events` as it is while the command runs: bits of [`EventClass`], and the kinds of channel.
    pub published: u32,
    /// Events in the order in which they happened.
    pub events: Vec<KeyEvent>,
    /// The handler said itself what is propagated.
    pub rewritten: bool,
    /// Dead keys are not seen, but stay: clients are paused.
    pub expiry_held: bool,
    /// Who waits for which key, and which keys may be ready.
    pub waiters: Waiters,
    /// Who watches which key.
    pub watchers: Watchers,
    /// Who may have which key in a cache.
    pub tracking: Tracking,
    /// Databases that have changed places.
    pub swaps: Vec<(u32, u32)>,
    /// The request that is kept while its client waits, if it is another than what the client sent.
    pub kept_request: Option<Vec<Bytes>>,
    /// When a client that is about to wait for keys should look again without being told: monotonic microseconds,
    /// `u64::MAX` as long as nothing is pending. None for a command to which the mere passing of time brings nothing.
    pub look_again_us: Option<u64>,
    /// How many clients wait that could look again.
    pub lookers: usize,
}

impl Rise {
    /// Whether something follows from the command that ran.
    #[inline]
    pub fn is_any(&self) -> bool {
        self.is_told_of() || self.waiters.has_ready() || !self.swaps.is_empty()
    }

    /// Whether somebody is to be told of something that has risen.
    #[inline]
    pub fn is_told_of(&self) -> bool {
        !self.events.is_empty() || self.tracking.has_changes()
    }

    /// Notes that two databases have changed places, if somebody watches a key.
    pub fn swapped(&mut self, one: u32, other: u32) {
        if one != other && !self.watchers.is_empty() {
            self.swaps.push((one, other));
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
            self.events.push(KeyEvent { class, name, key, db, channels });
        }
    }

    /// A key was removed at its deadline, `lag_ms` late: counts, propagates and tells it.
    pub fn expired(
        &mut self,
        db: u32,
        key: &[u8],
        lag_ms: u64,
        stats: &mut Stats,
        pending: &mut Pending,
        conf: &Config,
    ) {
        stats.expired_keys += 1;
        stats.expire_lag_ms.record(lag_ms);
        let verb: &[u8] = if conf.lazyfree_lazy_expire { b"UNLINK" } else { b"DEL" };
        pending.push(db, &[verb, key]);
        self.waiters.signal(db, key);
        self.notify(EventClass::Expired, "expired", key, db);
    }

    /// Fields of a hash were removed at their deadline, perhaps the key with them: counts, propagates and tells it.
    pub fn fields_expired(
        &mut self,
        db: u32,
        key: &[u8],
        fields: &[Vec<u8>],
        is_gone: bool,
        stats: &mut Stats,
        pending: &mut Pending,
    ) {
        if fields.is_empty() {
            return;
        }
        stats.expired_subkeys += fields.len() as u64;
        for field in fields {
            pending.push(db, &[b"HDEL", key, field]);
        }
        self.notify(EventClass::Hash, "hexpired", key, db);
        if is_gone {
            self.waiters.signal(db, key);
            self.notify(EventClass::Generic, "del", key, db);
        }
    }
}
