//! How a message reaches its receivers.
//!
//! A message is encoded once for each version of the protocol and copied, or where it is large shared, into the outputs
//! of its receivers. A few receivers get it at once. For many that would hold up everybody else, a hundred thousand
//! outputs being some 20 ms of work: so the message is queued, and each turn hands it to some thousands.
//!
//! Nobody can tell the difference, because a client *catches up* before anything else is appended to its output:
//! its own reply, another message. So it sees messages in the order in which they were published, a message comes
//! before the confirmation of a later unsubscription, and a queued message needs no list of its receivers: who listens
//! to its channel now and did not catch up is one.

use super::Engine;
use super::client::state;
use super::host::Host;
use super::listeners::after;
use super::pubsub::Kind;
use crate::base::id::ClientId;
use crate::base::limit::{
    DELIVERIES_AT_ONCE, DELIVERIES_BYTES_MAX, DELIVERIES_WAITING_MAX, DELIVERY_US_PER_TURN,
    SHARED_REPLY_BYTES,
};
use crate::resp::{Output, Reply};
use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::Bound;

/// A message in the form of either version of the protocol, made when it is first needed.
pub struct Message<'a> {
    parts: &'a [&'a [u8]],
    encoded: [Option<Bytes>; 2],
}

impl<'a> Message<'a> {
    /// A push message of bulk strings.
    pub fn new(parts: &'a [&'a [u8]]) -> Message<'a> {
        Message { parts, encoded: [None, None] }
    }

    /// Its bytes in protocol `resp`, 2 or 3.
    pub fn encoded(&mut self, resp: u8) -> &Bytes {
        let parts = self.parts;
        self.encoded[usize::from(resp == 3)].get_or_insert_with(|| encode_push(resp, parts))
    }
}

/// A message that has not reached all of its receivers.
#[derive(Debug)]
struct Delivery {
    /// Later ones have larger numbers.
    number: u64,
    kind: Kind,
    /// The channel or pattern whose listeners get it.
    name: Bytes,
    /// Its bytes in either version of the protocol.
    encoded: [Bytes; 2],
    /// The last client that it was handed to; those after it are still to come.
    last: Option<ClientId>,
}

/// The messages that are on their way, oldest first.
#[derive(Debug, Default)]
pub struct Deliveries {
    waiting: VecDeque<Delivery>,
    /// Bytes of all of them.
    bytes: usize,
    /// Number of the newest.
    newest: u64,
}

impl Deliveries {
    /// Whether every message has reached everybody.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Messages that are on their way.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}

impl Engine {
    /// Hands a message to all who listen to `name`; returns to how many.
    pub(super) fn deliver(&mut self, kind: Kind, name: &[u8], parts: &[&[u8]]) -> usize {
        let Some((name, listeners)) = self.pubsub.of(kind).get_key_value(name) else { return 0 };
        let receivers = listeners.len();
        let mut message = Message::new(parts);
        if receivers <= DELIVERIES_AT_ONCE {
            for id in listeners.iter().copied().collect::<Vec<_>>() {
                self.send_message(id, &mut message);
            }
            return receivers;
        }
        let deliveries = &mut self.queues.deliveries;
        deliveries.newest += 1;
        let encoded = [2, 3].map(|resp| message.encoded(resp).clone());
        let number = deliveries.newest;
        deliveries.bytes += encoded.iter().map(Bytes::len).sum::<usize>();
        deliveries.waiting.push_back(Delivery { number, kind, name: name.clone(), encoded, last: None });
        // A publisher that is faster than we are does the work itself.
        while self.queues.deliveries.len() > DELIVERIES_WAITING_MAX
            || self.queues.deliveries.bytes > DELIVERIES_BYTES_MAX
        {
            self.deliver_some();
        }
        receivers
    }

    /// Hands waiting messages on for a bounded time; true when more are left.
    pub(super) fn deliver_waiting(&mut self, host: &mut dyn Host) -> bool {
        if self.queues.deliveries.is_empty() {
            return false;
        }
        let end = host.ticks() + DELIVERY_US_PER_TURN * self.ticker.per_ms / 1000;
        let mut left = DELIVERIES_AT_ONCE * 8;
        while !self.queues.deliveries.is_empty() && left > 0 && host.ticks() <= end {
            left = left.saturating_sub(self.deliver_some());
        }
        !self.queues.deliveries.is_empty()
    }

    /// Hands the oldest message to some more of its receivers; returns to how many, at least 1.
    fn deliver_some(&mut self) -> usize {
        let Some(delivery) = self.queues.deliveries.waiting.front_mut() else { return 1 };
        let behind = delivery.last.map_or(Bound::Unbounded, Bound::Excluded);
        let next: Vec<ClientId> = match self.pubsub.of(delivery.kind).get(&delivery.name) {
            Some(listeners) => {
                let rest = listeners.range((behind, Bound::Unbounded));
                rest.take(DELIVERIES_AT_ONCE).copied().collect()
            }
            None => Vec::new(),
        };
        let (number, encoded) = (delivery.number, delivery.encoded.clone());
        delivery.last = next.last().copied();
        if next.len() < DELIVERIES_AT_ONCE {
            self.queues.deliveries.waiting.pop_front();
            self.queues.deliveries.bytes -= encoded.iter().map(Bytes::len).sum::<usize>();
        }
        for &id in &next {
            let Some(slot) = self.slot_of(id) else { continue };
            let client = &mut self.clients[slot];
            // Who has caught up meanwhile has it, and who came meanwhile is not to have it.
            if client.delivered < number {
                client.delivered = number;
                let bytes = &encoded[usize::from(self.version_of(slot) == 3)];
                self.append_message(slot, bytes);
            }
        }
        next.len().max(1)
    }

    /// Hands a client all messages that are on their way to it.
    #[cold]
    pub(super) fn catch_up(&mut self, slot: usize) {
        let client = &mut self.clients[slot];
        let id = client.handle;
        let seen = std::mem::replace(&mut client.delivered, self.queues.deliveries.newest);
        if seen == self.queues.deliveries.newest || client.subscriptions.is_none() {
            return;
        }
        let version = usize::from(self.version_of(slot) == 3);
        let is_next = |delivery: &&Delivery| {
            let listeners = self.pubsub.of(delivery.kind).get(&delivery.name);
            delivery.number > seen && listeners.is_some_and(|listeners| listeners.contains(&id))
        };
        let waiting = self.queues.deliveries.waiting.iter().filter(is_next);
        let messages: Vec<Bytes> = waiting.map(|delivery| delivery.encoded[version].clone()).collect();
        for message in messages {
            self.append_message(slot, &message);
        }
    }

    /// Hands the client whose command runs the messages that it has published itself: they follow its reply.
    pub fn catch_up_with(&mut self, slot: usize) {
        if !self.queues.deliveries.is_empty() {
            self.catch_up(slot);
        }
    }

    /// The version of the protocol that a client speaks. While its script runs it has that of the script's commands.
    pub(super) fn version_of(&self, slot: usize) -> u8 {
        let client = &self.clients[slot];
        match &self.scripts.running {
            Some(running) if running.client == client.handle => running.client_resp,
            _ => client.resp,
        }
    }

    /// Appends a message to a client's output, outside any command of its own.
    pub(super) fn send_message(&mut self, id: ClientId, message: &mut Message<'_>) {
        let Some(slot) = self.slot_of(id) else { return };
        let bytes = message.encoded(self.version_of(slot)).clone();
        self.send(id, &bytes);
    }

    /// Appends encoded bytes to a client's output, outside any command of its own.
    pub fn send(&mut self, id: ClientId, message: &Bytes) {
        let Some(slot) = self.slot_of(id) else { return };
        if !self.queues.deliveries.is_empty() {
            self.catch_up(slot);
        }
        self.append_message(slot, message);
    }

    fn append_message(&mut self, slot: usize, message: &Bytes) {
        // Who has said QUIT hears the reply to it, and no more. Who is not answered, because of CLIENT REPLY OFF, goes now.
        let client = &self.clients[slot];
        if client.is(state::CLOSE_ASAP | state::CLOSE_AFTER_REPLY) {
            if client.out.is_empty() {
                self.close_soon(slot);
            }
            return;
        }
        if self.outermost.replying_to == Some(self.clients[slot].handle) {
            self.listeners.set_after(after::MESSAGES, true);
            return self.outermost.held_messages.push(message.clone());
        }
        self.give_buffer(slot);
        let out = &mut self.clients[slot].out;
        let from = out.appended();
        if message.len() >= SHARED_REPLY_BYTES {
            out.share(message.clone());
        } else {
            out.tail().extend_from_slice(message);
        }
        self.gate_message(slot, from);
        self.queue_message(slot);
    }
}

/// A push message of bulk strings in protocol `resp`.
fn encode_push(resp: u8, parts: &[&[u8]]) -> Bytes {
    let mut out = Output::default();
    let mut reply = Reply::new(&mut out, resp, false);
    reply.push(parts.len());
    for part in parts {
        reply.bulk(part);
    }
    out.into_bytes()
}
