//! Replication: who follows this server, and whom it follows.
//!
//! What was propagated is committed to the feed, once a turn, and every replica is a position in it ([`replicas`]). One that
//! has nothing, or too little, is sent a dump first ([`sync`]): of the keyspace as it is at one offset of the feed, from which on
//! it gets the feed. WAIT ([`wait`]) waits until enough of them have what was written.
//!
//! A server that follows another one ([`role`]) has a link to it ([`primary`]), by which a dump ([`transfer`]) and the feed
//! ([`follow`]) come. Once a second [`cron`] looks after all links.

mod cron;
mod failover;
mod follow;
mod own_keys;
mod primary;
mod replicas;
mod role;
mod sync;
mod transfer;
mod wait;

use super::{Engine, hex_id};
use crate::base::id::ClientId;
use crate::replication::feed::Feed;
use bytes::Bytes;
pub use failover::Failover;
pub use primary::{LinkStage, Primary};
pub use replicas::{Filter, Replica, Stage};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What is known of replication.
#[derive(Debug)]
pub struct Replication {
    /// 40 hex digits: the history that replicas follow.
    pub id: String,
    /// The history before it, and up to which offset the two are the same.
    pub previous: Option<(String, u64)>,
    /// Committed frames.
    pub feed: Feed,
    /// Full syncs that were begun.
    pub full_syncs: u64,
    /// Replicas that went on where they were.
    pub partial_syncs: u64,
    /// Replicas that wanted to, and could not.
    pub refused_partial_syncs: u64,
    /// Replicas, in the order in which they came.
    replicas: Vec<ClientId>,
    /// Where somebody reads the feed that is no connection.
    tap: Option<u64>,
    /// Replicas that are near enough for `min-replicas-to-write`.
    good: usize,
    /// Clients whose writes are not committed yet.
    writers: Vec<ClientId>,
    /// Clients that wait until replicas have what they wrote.
    waiting: Vec<ClientId>,
    /// Replicas are to be asked how far they are, with the next commit.
    wants_acks: bool,
    /// The timer that rings once a second is armed.
    is_ticking: bool,
    /// Seconds that it has rung.
    ticks: u64,
    /// Since when there is no replica, in monotonic microseconds.
    alone_since_us: u64,
    /// Replicas that left after a whole dump without a word: how often, and until when none is sent, in monotonic microseconds.
    disappointed: BTreeMap<(String, u16), (u32, u64)>,
    /// Whose piece of a file a job reads.
    reads: BTreeMap<u64, ClientId>,
    /// Whom this server follows.
    pub primary: Option<Box<Primary>>,
    /// Keys of clients of a writable replica that have a deadline, by database.
    pub own_keys: BTreeSet<(u32, Bytes)>,
    /// A replica is to take over.
    pub failover: Option<Failover>,
    /// A link that was lost, and what follows from that is not done.
    lost_link: Option<primary::Link>,
    /// The history of this server is one that another server may have too.
    is_cached: bool,
    /// The database in which its feed stands.
    cached_db: u32,
    /// How long links to primaries were down that had been up, without the one that is down now, in microseconds.
    link_down_us: u64,
    /// What was run of a transaction that is not complete.
    passed: Vec<u8>,
    /// Positions of the log, and the offset that each stands for.
    logged: VecDeque<(u64, u64)>,
    /// The last of these offsets that is durable.
    durable: u64,
    /// In which span of time it was last told that the primary's writes are run although the disk fails.
    pub(super) told_unsaved: Option<u64>,
}

impl Replication {
    /// A history that has not begun.
    pub(super) fn new(id: String, now_us: u64) -> Replication {
        Replication {
            id,
            previous: None,
            feed: Feed::default(),
            full_syncs: 0,
            partial_syncs: 0,
            refused_partial_syncs: 0,
            replicas: Vec::new(),
            tap: None,
            good: 0,
            writers: Vec::new(),
            waiting: Vec::new(),
            wants_acks: false,
            is_ticking: false,
            ticks: 0,
            alone_since_us: now_us,
            disappointed: BTreeMap::new(),
            reads: BTreeMap::new(),
            primary: None,
            own_keys: BTreeSet::new(),
            failover: None,
            lost_link: None,
            is_cached: false,
            cached_db: 0,
            link_down_us: 0,
            passed: Vec::new(),
            logged: VecDeque::new(),
            durable: 0,
            told_unsaved: None,
        }
    }

    /// Where the history is: bytes that replicas got, or one a command while nobody follows but the log.
    pub fn offset(&self) -> u64 {
        self.feed.end()
    }

    /// How long links to primaries were down that had been up, in seconds.
    pub fn link_down_s(&self, now_us: u64) -> u64 {
        let since_us = self.primary.as_ref().and_then(|primary| primary.down_since_us);
        (self.link_down_us + since_us.map_or(0, |since_us| now_us.saturating_sub(since_us))) / 1_000_000
    }

    /// Replicas that are attached.
    pub fn replicas(&self) -> &[ClientId] {
        &self.replicas
    }

    /// Replicas that are near enough for `min-replicas-to-write`.
    pub fn good_replicas(&self) -> usize {
        self.good
    }

    /// CONFIG RESETSTAT.
    pub fn reset_counts(&mut self) {
        (self.full_syncs, self.partial_syncs, self.refused_partial_syncs) = (0, 0, 0);
    }
}

impl Engine {
    /// Starts or stops to gather what replicas get, for whoever takes it by [`Engine::take_feed`].
    pub fn follow_feed(&mut self, active: bool) {
        self.commit();
        if active && !self.replication.feed.is_kept() {
            self.replication.feed.keep(self.conf.repl_backlog_size_bytes);
        }
        if !active && self.replication.replicas.is_empty() && !self.is_replica() {
            self.replication.feed.drop_all();
        }
        self.replication.tap = active.then(|| self.replication.feed.end());
        self.note_followers();
    }

    /// Takes what replicas would have got since the last call.
    pub fn take_feed(&mut self) -> Vec<u8> {
        self.commit();
        let Some(tap) = self.replication.tap else { return Vec::new() };
        self.replication.tap = Some(self.replication.feed.end());
        self.replication.feed.copy_from(tap.clamp(self.replication.feed.start(), self.replication.feed.end()))
    }

    /// Somebody begins to follow what is propagated, or ends it.
    pub(super) fn note_followers(&mut self) {
        let logs = self.durability.is_logging() && !self.durability.is_loading();
        // What the log says is in it already, and replicas have it or get it with a dump.
        let is_new = !self.durability.is_replaying;
        self.propagation.follow(is_new && (self.replication.feed.is_kept() || logs));
    }

    /// Begins a new history for replicas.
    pub fn change_replication_id(&mut self) {
        self.replication.id = hex_id(&mut self.rng);
    }

    /// `repl-backlog-size` has changed.
    pub(super) fn configure_backlog(&mut self) {
        self.replication.feed.set_backlog_bytes(self.conf.repl_backlog_size_bytes);
        self.trim_feed();
    }

    /// The feed went on.
    #[cold]
    pub(super) fn feed_went_on(&mut self) {
        self.resolve_writers();
        if self.replication.feed.wants_trim() {
            self.trim_feed();
        }
        self.offer_feed();
    }

    /// Replicas may be sent more of the feed.
    fn offer_feed(&mut self) {
        // One that has too much to take goes, and another one takes its place.
        let mut i = 0;
        while let Some(&id) = self.replication.replicas.get(i) {
            if let Some(slot) = self.slot_of(id) {
                self.replica_has_more(slot);
            }
            i += usize::from(self.replication.replicas.get(i) == Some(&id));
        }
    }

    /// Lets go of what nobody wants any more.
    fn trim_feed(&mut self) {
        let positions = self.replication.replicas.iter().filter_map(|&id| self.replica_of(id)?.wanted());
        let wanted = positions.chain(self.replication.tap).min().unwrap_or(u64::MAX);
        self.replication.feed.trim(wanted);
    }
}
