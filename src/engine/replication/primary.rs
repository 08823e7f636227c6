//! The link to a primary: a connection that this server has made, by which it gets a dump and the feed.
//!
//! ```text
//! Down --> Connecting --> Greeting --+CONTINUE------------------------> Up
//!  ^                          \------+FULLRESYNC--> Receiving --> Loading --^
//!  \------------------------------- whatever fails -------------------------/
//! ```
//!
//! Once a second a link that is down is tried anew ([`super::cron`]). What was got so far stays: the history, the offset and the
//! database in which the feed stands, so that the feed goes on there if the primary still has it.
//!
//! The link obeys nobody but its primary: its requests run as what was propagated does ([`super::super::replay`]), pass no gate
//! but a pause, and are bounded by nothing but what the socket holds: while a dump is loaded little is read ahead.

use super::super::client::{Address, Client, state};
use super::super::{Engine, Host, Job};
use super::transfer::Receiving;
use crate::base::id::ClientId;
use crate::base::limit::LINK_BYTES_AHEAD;
use crate::replication::primary::{Failure, Handshake, Introduction, News, Transfer};
use crate::replication::stream::Stream;

/// The version that a Valkey is told, by which it picks the form of its dump.
const VALKEY_VERSION: &str = "9.1.0";
/// After failures of the same kind a link rests for so many seconds at most.
const REST_S_MAX: u64 = 60;

/// How far the link is.
#[derive(Debug, Default)]
pub(super) enum Link {
    /// There is none; it is tried once a second.
    #[default]
    Down,
    /// The connection is being made.
    Connecting,
    /// What comes before the feed.
    Greeting(Box<Handshake>),
    /// A dump comes.
    Receiving(Box<Receiving>),
    /// The dump is here as a whole, and is being loaded.
    Loading,
    /// The feed comes.
    Up,
}

/// How far the link is, as ROLE tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStage {
    /// It is to be tried.
    Down,
    /// The connection is being made.
    Connecting,
    /// What comes before the feed.
    Greeting,
    /// A dump is awaited, comes, or is being loaded.
    Syncing,
    /// The feed comes.
    Up,
}

/// The primary that is followed.
#[derive(Debug)]
pub struct Primary {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    pub(super) link: Link,
    /// The client that stands for the link.
    pub(super) client: Option<ClientId>,
    /// When it said something, in monotonic microseconds.
    pub(super) heard_us: u64,
    /// Since when the link is down that was up, in monotonic microseconds.
    pub(super) down_since_us: Option<u64>,
    /// Since when it is up, as well.
    up_since_us: u64,
    /// Times that this server tried to connect: since the link was lost, and in all.
    pub attempts: [u64; 2],
    /// The history of this server is one that the primary may have too.
    pub(super) is_cached: bool,
    /// The database in which the feed stands.
    pub(super) db: u32,
    /// The history and offset of the dump that comes.
    pub(super) promised: Option<(String, u64)>,
    /// What came of the feed.
    pub(super) stream: Stream,
    /// What came while a command let others speak: nothing may change beneath it.
    pub(super) early: Vec<u8>,
    /// As well, the file of the dump that is to be loaded.
    pub(super) loads_later: Option<String>,
    /// The dump is loaded as it comes, and no file has it.
    pub(super) loads_straight: bool,
    /// It waits for the end of a pause, or of a command that lets others speak.
    pub(super) is_held_up: bool,
    /// It is not read until there is room.
    pub(super) is_full: bool,
    /// Full syncs that failed one after the other.
    pub(super) failures: u64,
    /// Seconds until it is tried again.
    pub(super) rest_s: u64,
}

impl Primary {
    pub(super) fn new(host: String, port: u16, is_cached: bool) -> Primary {
        Primary {
            host,
            port,
            link: Link::Down,
            client: None,
            heard_us: 0,
            down_since_us: None,
            up_since_us: 0,
            attempts: [0; 2],
            is_cached,
            db: 0,
            promised: None,
            stream: Stream::default(),
            early: Vec::new(),
            loads_later: None,
            loads_straight: false,
            is_held_up: false,
            is_full: false,
            failures: 0,
            rest_s: 0,
        }
    }

    /// Whether the feed comes.
    pub fn is_up(&self) -> bool {
        matches!(self.link, Link::Up)
    }

    /// Whether a dump comes or is loaded.
    pub fn is_syncing(&self) -> bool {
        match &self.link {
            Link::Greeting(handshake) => handshake.awaits_dump(),
            link => matches!(link, Link::Receiving(_) | Link::Loading),
        }
    }

    /// How far the link is.
    pub fn stage(&self) -> LinkStage {
        match &self.link {
            Link::Down => LinkStage::Down,
            Link::Connecting => LinkStage::Connecting,
            Link::Up => LinkStage::Up,
            _ if self.is_syncing() => LinkStage::Syncing,
            Link::Greeting(_) | Link::Receiving(_) | Link::Loading => LinkStage::Greeting,
        }
    }

    /// Bytes of its feed that came and did not run.
    pub fn stream_bytes(&self) -> u64 {
        self.stream.waiting() as u64
    }

    /// Seconds since it said something.
    pub fn silent_s(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.heard_us) / 1_000_000
    }

    /// Seconds for which the link has been down; −1 where it never was up.
    pub fn down_s(&self, now_us: u64) -> i64 {
        self.down_since_us.map_or(-1, |since_us| (now_us.saturating_sub(since_us) / 1_000_000) as i64)
    }

    /// Seconds for which the link has been up, where it is.
    pub fn up_s(&self, now_us: u64) -> Option<u64> {
        self.is_up().then(|| now_us.saturating_sub(self.up_since_us) / 1_000_000)
    }

    /// Of the dump that comes: its bytes, where they are known, and those that came.
    pub fn transfer(&self) -> Option<(Option<u64>, u64)> {
        match &self.link {
            Link::Receiving(receiving) => Some((receiving.transfer.bytes(), receiving.transfer.taken)),
            _ => None,
        }
    }
}

/// Making and losing the connection.
impl Engine {
    /// Tries to connect to the primary, if there is one and nothing is under way; what is being loaded comes first.
    pub(super) fn connect_to_primary(&mut self) {
        let now = self.now;
        let Some(primary) = self.replication.primary.as_ref().filter(|p| matches!(p.link, Link::Down)) else {
            return;
        };
        if self.durability.is_loading() {
            return;
        }
        let (host, port) = (primary.host.clone(), primary.port);
        log::info!("Connecting to MASTER {host}:{port}");
        let bits = state::PRIMARY | state::REPLAYS | state::REPLY_OFF | state::AUTHENTICATED;
        let slot =
            self.clients.add_own(|handle, id| Client { state: bits, ..Client::new(handle, id, 2, now) });
        let id = self.clients[slot].handle;
        let source = self.conf.bind_source_addr.clone();
        self.jobs.queue.push_back(Job::Connect { id, host, port, source });
        if let Some(primary) = &mut self.replication.primary {
            (primary.link, primary.client, primary.heard_us) = (Link::Connecting, Some(id), now.mono_us);
            primary.attempts = primary.attempts.map(|count| count + 1);
        }
        log::info!("MASTER <-> REPLICA sync started");
    }

    /// A connection that this server has asked for is there.
    pub fn connected(&mut self, id: ClientId, peer: Address, local: Address, fd: i32) {
        let Some(slot) = self.slot_of(id) else { return };
        if self.clients[slot].carries_keys() {
            return self.link_connected(slot, peer, local, fd);
        }
        let client = &mut self.clients[slot];
        (client.peer, client.local, client.fd) = (peer, local, fd);
        log::info!("Non blocking connect for SYNC fired the event.");
        let introduction = self.introduction();
        let mut out = Vec::new();
        let handshake = Handshake::begin(introduction, &mut out);
        let now_us = self.now.mono_us;
        let Some(primary) = self.replication.primary.as_mut().filter(|p| p.client == Some(id)) else {
            return;
        };
        (primary.link, primary.heard_us) = (Link::Greeting(Box::new(handshake)), now_us);
        self.tell_primary(&out);
    }

    /// A connection that this server has asked for cannot be had: it could not be tried, or it `was_tried` in vain.
    pub fn not_connected(&mut self, id: ClientId, why: &str, was_tried: bool) {
        if self.client(id).is_some_and(Client::carries_keys) {
            return self.link_refused(id, was_tried);
        }
        log::warn!("Error condition on socket for SYNC: {why}");
        if let Some(slot) = self.slot_of(id) {
            self.close_soon(slot);
        }
    }

    /// What the primary is told of this server.
    fn introduction(&self) -> Introduction {
        let conf = &self.conf;
        let primary = self.replication.primary.as_ref();
        let is_cached = primary.is_some_and(|primary| primary.is_cached);
        let auth = (!conf.masterauth.is_empty()).then(|| (conf.masteruser.clone(), conf.masterauth.clone()));
        Introduction {
            auth,
            port: if conf.replica_announce_port > 0 { conf.replica_announce_port } else { conf.port },
            address: conf.replica_announce_ip.clone(),
            version: VALKEY_VERSION,
            has: is_cached.then(|| (self.replication.id.clone(), self.replication.offset())),
            is_failover: self.asks_for_failover(),
        }
    }

    /// Sends the primary something.
    pub(super) fn tell_primary(&mut self, bytes: &[u8]) {
        let Some(slot) = self.primary_slot() else { return };
        self.give_buffer(slot);
        self.clients[slot].out.tail().extend_from_slice(bytes);
        self.offer_replica(slot);
    }

    /// The slot of the client that stands for the link.
    pub(super) fn primary_slot(&self) -> Option<usize> {
        self.slot_of(self.replication.primary.as_ref()?.client?)
    }

    /// Gives the link up, for a reason that the log has already.
    pub(in crate::engine) fn give_link_up(&mut self) {
        if let Some(slot) = self.primary_slot() {
            self.close_soon(slot);
        }
    }

    /// As [`Engine::give_link_up`] where trying again at once would fail again.
    pub(super) fn give_link_up_for_a_while(&mut self) {
        if let Some(primary) = &mut self.replication.primary {
            primary.failures += 1;
            primary.rest_s = (1 << primary.failures.min(8)).min(REST_S_MAX) - 1;
        }
        self.give_link_up();
    }

    /// The client of the link goes.
    pub(in crate::engine) fn forget_link(&mut self, slot: usize) {
        let client = &self.clients[slot];
        let (id, db) = (client.handle, client.db);
        let Some(primary) = self.replication.primary.as_mut().filter(|p| p.client == Some(id)) else {
            return;
        };
        self.replication.passed.clear();
        self.replication.lost_link = Some(std::mem::take(&mut primary.link));
        primary.client = None;
        primary.stream = Stream::default();
        (primary.early, primary.loads_later) = (Vec::new(), None);
        (primary.is_held_up, primary.is_full) = (false, false);
        if let Some(Link::Up) = self.replication.lost_link {
            log::warn!("Connection with master lost.");
            log::info!("Caching the disconnected master state.");
            (primary.is_cached, primary.db) = (true, db);
            primary.down_since_us = Some(self.now.mono_us);
            primary.attempts[0] = 0;
            self.note_role();
        }
    }

    /// Does what follows from a link that was lost.
    pub(in crate::engine) fn finish_lost_link(&mut self, host: &mut dyn Host) {
        match self.replication.lost_link.take() {
            Some(Link::Receiving(receiving)) => self.discard_received(host, *receiving),
            Some(Link::Loading) => self.stop_loading_from_primary(host),
            Some(Link::Up | Link::Down | Link::Connecting | Link::Greeting(_)) | None => {}
        }
    }
}

/// What comes by the link.
impl Engine {
    /// Whether nothing more is to be read from the primary; it is read again by [`Job::ReadOn`].
    #[cold]
    pub(in crate::engine) fn is_link_full(&mut self) -> bool {
        let (in_flight, waiting) = (self.file_bytes_in_flight(), self.pieces_to_load());
        let Some(primary) = &mut self.replication.primary else { return false };
        let ahead = match &primary.link {
            Link::Receiving(_) => in_flight + waiting,
            Link::Loading => primary.stream.waiting() as u64,
            Link::Up if primary.is_held_up => primary.stream.waiting() as u64,
            _ => 0,
        };
        let ahead = ahead + primary.early.len() as u64;
        primary.is_full = ahead > LINK_BYTES_AHEAD;
        primary.is_full
    }

    /// Whether a client stands for the link to a primary.
    pub fn is_link(&self, id: ClientId) -> bool {
        self.client(id).is_some_and(|client| client.is(state::PRIMARY))
    }

    /// Reads from the primary again when there is room.
    pub(in crate::engine) fn read_on_from_primary(&mut self) {
        let Some(primary) = &self.replication.primary else { return };
        let Some(id) = primary.client.filter(|_| primary.is_full) else { return };
        if !self.is_link_full() {
            self.jobs.queue.push_back(Job::ReadOn(id));
        }
    }

    /// Bytes came from the primary.
    #[cold]
    pub(in crate::engine) fn primary_input(&mut self, host: &mut dyn Host, slot: usize, bytes: &[u8]) {
        let id = self.clients[slot].handle;
        let now_us = self.now.mono_us;
        if self.is_busy() {
            if let Some(primary) = self.replication.primary.as_mut().filter(|p| p.client == Some(id)) {
                primary.heard_us = now_us;
                primary.early.extend_from_slice(bytes);
            }
            return;
        }
        self.stats.total_net_repl_input_bytes += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(primary) = self.replication.primary.as_mut().filter(|p| p.client == Some(id)) else {
                return;
            };
            primary.heard_us = now_us;
            match &mut primary.link {
                Link::Greeting(handshake) => {
                    let mut out = Vec::new();
                    let said = handshake.feed(rest, &mut out);
                    self.tell_primary(&out);
                    match said {
                        Ok((taken, news)) => {
                            rest = &rest[taken..];
                            if let Some(news) = news {
                                self.heard_from_primary(host, news);
                            }
                        }
                        Err(failure) => return self.handshake_failed(host, &failure),
                    }
                }
                Link::Receiving(receiving) => {
                    let mut dump = Vec::new();
                    let (taken, is_whole) = receiving.transfer.feed(rest, &mut dump);
                    rest = &rest[taken..];
                    self.received(host, dump, is_whole);
                }
                Link::Loading => {
                    primary.stream.push(rest);
                    return;
                }
                Link::Up => {
                    primary.stream.push(rest);
                    return self.run_stream(host);
                }
                Link::Down | Link::Connecting => return,
            }
            if self.clients.get(slot).is_none_or(|client| client.is(state::CLOSE_ASAP)) {
                return;
            }
        }
    }

    fn handshake_failed(&mut self, host: &mut dyn Host, failure: &Failure) {
        match failure {
            Failure::Later(text) => {
                log::info!("Master is currently unable to PSYNC but should be in the future: {text}");
            }
            Failure::Failed(text) => log::warn!("{text}"),
            Failure::Refused(text) => log::warn!("The replica does not take over: {text}"),
        }
        if self.asks_for_failover() && !matches!(failure, Failure::Failed(_)) {
            self.abort_failover(host, "Failover target rejected psync request");
            return;
        }
        self.give_link_up();
    }

    fn heard_from_primary(&mut self, host: &mut dyn Host, news: News) {
        match news {
            News::Pong => log::info!("Master replied to PING, replication can continue..."),
            News::NotUnderstood(option, answer) => {
                log::info!("(Non critical) Master does not understand REPLCONF {option}: {answer}");
            }
            News::Asked => match self.introduction().has {
                Some((id, offset)) => {
                    log::info!("Trying a partial resynchronization (request {id}:{}).", offset + 1);
                }
                None => log::info!("Partial resynchronization not possible (no cached master)"),
            },
            News::Continue(id) => self.go_on_with_feed(host, id),
            News::Full(promised) => {
                self.end_failover();
                if let Some((id, offset)) = &promised {
                    log::info!("Full resync from master: {id}:{offset}");
                }
                if let Some(primary) = &mut self.replication.primary {
                    // What this server has stays good until it is given up for the dump.
                    primary.promised = promised;
                }
            }
            News::Old(answer) => {
                log::info!("Master does not support PSYNC or is in error state (reply: {answer})");
                log::info!("Retrying with SYNC...");
                if let Some(primary) = &mut self.replication.primary {
                    primary.promised = None;
                }
            }
            News::Dump(length) => self.begin_to_receive(host, Transfer::new(length)),
        }
    }

    /// The feed goes on where this server was.
    fn go_on_with_feed(&mut self, host: &mut dyn Host, id: Option<String>) {
        log::info!("Successful partial resynchronization with master.");
        self.end_failover();
        if let Some(id) = id
            && id != self.replication.id
        {
            let before = std::mem::replace(&mut self.replication.id, id);
            self.replication.previous = Some((before, self.replication.offset()));
            log::info!("Master replication ID changed to {}", self.replication.id);
            // They learn of it when they ask again.
            self.drop_replicas();
        }
        log::info!("MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.");
        if !self.replication.feed.is_kept() {
            self.replication.feed.keep(self.conf.repl_backlog_size_bytes);
        }
        self.link_is_up(host);
    }

    /// The feed comes from now on.
    pub(super) fn link_is_up(&mut self, host: &mut dyn Host) {
        let Some(slot) = self.primary_slot() else { return };
        let now_us = self.now.mono_us;
        let Some(primary) = &mut self.replication.primary else { return };
        self.replication.link_down_us += primary.down_since_us.map_or(0, |since_us| now_us - since_us);
        (primary.link, primary.down_since_us, primary.up_since_us) = (Link::Up, None, now_us);
        (primary.failures, primary.rest_s) = (0, 0);
        self.clients[slot].db = primary.db;
        self.clients.show(slot);
        self.note_role();
        self.note_followers();
        self.acknowledge();
        self.run_stream(host);
        self.read_on_from_primary();
    }
}
