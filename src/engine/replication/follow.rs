//! The feed of the primary as it runs here, and what the primary is told of it.
//!
//! A request runs as one that was propagated; then its bytes are passed on to replicas of this server as they came, a transaction
//! as a whole. So the offset of this server is that of the primary, and what a replica of it has is a beginning of what it has
//! itself.

use super::super::admission::gate;
use super::super::client::state;
use super::super::durability::Mode;
use super::super::{Engine, Host};
use crate::base::limit::STREAM_US_PER_TURN;
use crate::replication::stream::BadStream;
use crate::resp::Args;
use crate::resp::reply::encode_request;
use std::mem;

/// What holds the feed up: a pause, and keys that a writable replica sends elsewhere.
const HOLDS_LINK: u32 = gate::PAUSE | gate::MIGRATION;

impl Engine {
    /// Whether this server follows another one.
    #[inline]
    pub fn is_replica(&self) -> bool {
        self.replication.primary.is_some()
    }

    /// Runs what came of the feed, unless it has to wait.
    pub(super) fn run_stream(&mut self, host: &mut dyn Host) {
        let Some(slot) = self.primary_slot() else { return };
        let id = self.clients[slot].handle;
        if self.is_busy() || self.gates & HOLDS_LINK != 0 {
            if let Some(primary) = &mut self.replication.primary {
                primary.is_held_up = true;
            }
            return;
        }
        let Some(primary) = self.replication.primary.as_mut().filter(|primary| primary.is_up()) else {
            return;
        };
        primary.is_held_up = false;
        let until = host.ticks() + STREAM_US_PER_TURN * self.ticker.per_ms / 1000;
        // What was run and is not passed on: a transaction goes as a whole.
        let mut stream = mem::take(&mut primary.stream);
        let mut passed = mem::take(&mut self.replication.passed);
        let mut is_held_up = false;
        loop {
            match stream.find() {
                Ok(Some(bytes)) => {
                    let (source, spans) = stream.args();
                    self.run_of_stream(host, slot, Args::Spans(source, spans));
                    passed.extend_from_slice(&source[..bytes]);
                    stream.pass(bytes);
                    let Some(client) = self.client(id).filter(|client| !client.is(state::CLOSE_ASAP)) else {
                        break;
                    };
                    if !client.is(state::MULTI) {
                        self.pass_on(&passed);
                        passed.clear();
                    }
                    if self.gates & HOLDS_LINK != 0 || host.ticks() > until {
                        is_held_up = stream.waiting() > 0;
                        break;
                    }
                }
                Ok(None) => break,
                Err(BadStream { at, what }) => {
                    log::warn!(
                        "Protocol error from the primary ({what}, {at} bytes behind the start of a request)"
                    );
                    self.give_link_up();
                    break;
                }
            }
        }
        self.replication.passed = passed;
        if let Some(primary) = self.replication.primary.as_mut().filter(|primary| primary.client == Some(id))
        {
            primary.is_held_up = is_held_up;
            primary.stream = stream;
        } else {
            self.replication.passed.clear();
        }
    }

    fn run_of_stream(&mut self, host: &mut dyn Host, slot: usize, args: Args<'_>) {
        if args.is_empty() {
            return;
        }
        let id = self.clients[slot].handle;
        if let Err(error) = self.replay(host, id, args) {
            let Some(slot) = self.slot_of(id) else { return };
            self.note_failed_replay(slot, &format!("ERR {error}"));
        }
    }

    /// Passes on to replicas what was run, and counts it.
    fn pass_on(&mut self, bytes: &[u8]) {
        // What it has changed is logged by now as belonging to this offset.
        self.commit();
        self.replication.feed.push(bytes);
        if self.replication.feed.is_kept() {
            self.feed_went_on();
        }
    }

    /// What held up the link is over, or a turn: goes on. True when there is more to do at once.
    pub(in crate::engine) fn go_on_with_link(&mut self, host: &mut dyn Host) -> bool {
        if self.replication.primary.is_none() || self.is_busy() {
            return false;
        }
        self.take_early_bytes(host);
        let is_held_up = |engine: &Engine| {
            let primary = engine.replication.primary.as_ref();
            primary.is_some_and(|primary| primary.is_held_up) && engine.gates & HOLDS_LINK == 0
        };
        if is_held_up(self) {
            self.run_stream(host);
            self.read_on_from_primary();
        }
        is_held_up(self)
    }

    /// Takes what came while a command let others speak.
    fn take_early_bytes(&mut self, host: &mut dyn Host) {
        let Some(primary) = &mut self.replication.primary else { return };
        if primary.early.is_empty() && primary.loads_later.is_none() {
            return;
        }
        let (early, file) = (mem::take(&mut primary.early), primary.loads_later.take());
        if file.is_some() {
            self.begin_to_load_from_primary(host, file);
        }
        if let Some(slot) = self.primary_slot() {
            self.primary_input(host, slot, &early);
        }
    }

    /// Tells the primary how far this server has its feed, and how far the log is durable.
    pub fn acknowledge(&mut self) {
        if !self.replication.primary.as_ref().is_some_and(|primary| primary.is_up()) {
            return;
        }
        let offset = self.replication.offset().to_string();
        let mut out = Vec::new();
        match self.durable_offset() {
            Some(durable) => {
                encode_request(&["REPLCONF", "ACK", &offset, "FACK", &durable.to_string()], &mut out);
            }
            None => encode_request(&["REPLCONF", "ACK", &offset], &mut out),
        }
        self.tell_primary(&out);
    }

    /// The offset up to which the log is durable; none while nothing is logged.
    fn durable_offset(&mut self) -> Option<u64> {
        if !self.durability.is_logging() {
            return None;
        }
        self.pass_durable();
        let replication = &self.replication;
        Some(if self.durability.log.is_durable() { replication.feed.end() } else { replication.durable })
    }

    /// More of the log is durable: replicas may have more.
    #[inline]
    pub(in crate::engine) fn log_is_further(&mut self) {
        self.pass_durable();
        if !self.replication.replicas.is_empty() {
            self.offer_feed();
        }
    }

    /// Forgets positions of the log that are durable.
    fn pass_durable(&mut self) {
        let synced = self.durability.log.synced();
        let replication = &mut self.replication;
        while let Some((_, offset)) = replication.logged.pop_front_if(|(position, _)| *position <= synced) {
            replication.durable = offset;
        }
    }

    /// What was committed is handed over to the log up to this position.
    #[inline]
    pub(in crate::engine) fn note_logged(&mut self) {
        let holds_feed = self.durability.gate.mode() == Mode::All && self.replication.feed.is_kept();
        if holds_feed || self.is_replica() && self.durability.is_logging() {
            self.pass_durable();
            let (position, offset) = (self.durability.log.end(), self.replication.feed.end());
            if self.replication.logged.back().is_none_or(|(last, _)| *last < position) {
                self.replication.logged.push_back((position, offset));
            }
        }
    }
}
