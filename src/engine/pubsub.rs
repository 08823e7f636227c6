//! Who listens to which channel, and how a message reaches them.
//!
//! A message is encoded once for each protocol version and kind of subscription and copied, or where it is large
//! shared, into the outputs of its receivers. Sets are ordered, so that a run of the simulator repeats.

use super::Engine;
use super::client::{Client, state};
use crate::base::glob::glob_match;
use crate::base::id::ClientId;
use crate::base::limit::SHARED_REPLY_BYTES;
use crate::resp::{Output, Reply};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// The subscriptions of one client.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// Channels by name.
    pub channels: BTreeSet<Bytes>,
    /// Patterns.
    pub patterns: BTreeSet<Bytes>,
}

impl Subscriptions {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// Memory held, in bytes, roughly.
    pub fn heap_bytes(&self) -> usize {
        let names = self.channels.iter().chain(&self.patterns);
        size_of::<Subscriptions>() + names.map(|n| n.len() + 2 * size_of::<Bytes>()).sum::<usize>()
    }
}

/// All subscriptions of the server, by channel and by pattern.
#[derive(Debug, Default)]
pub struct Pubsub {
    /// Listeners of each channel; never empty.
    pub channels: BTreeMap<Bytes, BTreeSet<ClientId>>,
    /// Listeners of each pattern; never empty.
    pub patterns: BTreeMap<Bytes, BTreeSet<ClientId>>,
}

/// The two kinds of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By name.
    Channel,
    /// By pattern.
    Pattern,
}

impl Pubsub {
    fn listeners(&mut self, kind: Kind) -> &mut BTreeMap<Bytes, BTreeSet<ClientId>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
        }
    }
}

/// The set of a client's subscriptions of one kind.
fn own(client: &mut Client, kind: Kind) -> &mut BTreeSet<Bytes> {
    let subscriptions = client.subscriptions.get_or_insert_default();
    match kind {
        Kind::Channel => &mut subscriptions.channels,
        Kind::Pattern => &mut subscriptions.patterns,
    }
}

impl Engine {
    /// Subscribes a client; false when it was subscribed.
    pub fn subscribe(&mut self, id: ClientId, kind: Kind, name: &Bytes) -> bool {
        let Some(client) = self.client_mut(id) else { return false };
        client.set(state::PUBSUB, true);
        if !own(client, kind).insert(name.clone()) {
            return false;
        }
        self.pubsub.listeners(kind).entry(name.clone()).or_default().insert(id);
        true
    }

    /// Ends a subscription of a client; false when there was none.
    pub fn unsubscribe(&mut self, id: ClientId, kind: Kind, name: &[u8]) -> bool {
        let Some(client) = self.client_mut(id) else { return false };
        let found = own(client, kind).remove(name);
        if client.subscriptions.as_ref().is_some_and(|s| s.count() == 0) {
            client.subscriptions = None;
            client.set(state::PUBSUB, false);
        }
        if found {
            let all = self.pubsub.listeners(kind);
            if let Some(listeners) = all.get_mut(name) {
                listeners.remove(&id);
                if listeners.is_empty() {
                    all.remove(name);
                }
            }
        }
        found
    }

    /// Ends all subscriptions of a client that is going or was reset.
    pub fn unsubscribe_all(&mut self, id: ClientId) {
        for kind in [Kind::Channel, Kind::Pattern] {
            let Some(client) = self.client_mut(id) else { return };
            if client.subscriptions.is_none() {
                return;
            }
            for name in own(client, kind).clone() {
                self.unsubscribe(id, kind, &name);
            }
        }
        if let Some(client) = self.client_mut(id) {
            client.subscriptions = None;
            client.set(state::PUBSUB, false);
        }
    }

    /// Sends a message to everyone who listens to `channel`; returns to how many.
    pub fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let mut receivers = 0;
        if let Some(listeners) = self.pubsub.channels.get(channel) {
            let listeners: Vec<ClientId> = listeners.iter().copied().collect();
            receivers += listeners.len();
            self.deliver(&listeners, &[b"message", channel, message]);
        }
        if self.pubsub.patterns.is_empty() {
            return receivers;
        }
        let matching: Vec<(Bytes, Vec<ClientId>)> = self
            .pubsub
            .patterns
            .iter()
            .filter(|(pattern, _)| glob_match(pattern, channel, false))
            .map(|(pattern, listeners)| (pattern.clone(), listeners.iter().copied().collect()))
            .collect();
        for (pattern, listeners) in matching {
            receivers += listeners.len();
            self.deliver(&listeners, &[b"pmessage", &pattern, channel, message]);
        }
        receivers
    }

    /// Appends a push message to the output of each receiver.
    fn deliver(&mut self, receivers: &[ClientId], parts: &[&[u8]]) {
        let mut encoded: [Option<Bytes>; 2] = [None, None];
        for &id in receivers {
            let Some(client) = self.client_mut(id) else { continue };
            let resp = client.resp;
            let message =
                encoded[usize::from(resp == 3)].get_or_insert_with(|| encode_push(resp, parts)).clone();
            self.send(id, &message);
        }
    }

    /// Appends encoded bytes to a client's output, outside any command of its own.
    pub fn send(&mut self, id: ClientId, message: &Bytes) {
        let Some(slot) = self.slot_of(id) else { return };
        if self.clients[slot].is(state::CLOSE_ASAP) {
            return;
        }
        if self.replying_to == Some(id) {
            return self.held_messages.push(message.clone());
        }
        self.lend_buffer(slot);
        let out = &mut self.clients[slot].out;
        if message.len() >= SHARED_REPLY_BYTES {
            out.share(message.clone());
        } else {
            out.tail().extend_from_slice(message);
        }
        self.queue_output(slot);
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
