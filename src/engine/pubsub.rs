//! Who listens to which channel. How a message reaches them is told in [`super::deliveries`].
//!
//! Sets are ordered, so that a run of the simulator repeats.

use super::Engine;
use super::client::state;
use crate::base::glob::glob_match;
use crate::base::id::ClientId;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// The subscriptions of one client.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// Channels by name.
    pub channels: BTreeSet<Bytes>,
    /// Patterns.
    pub patterns: BTreeSet<Bytes>,
    /// Shard channels by name.
    pub shards: BTreeSet<Bytes>,
    /// Bytes of all names.
    name_bytes: usize,
}

impl Subscriptions {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.channels.len() + self.patterns.len() + self.shards.len()
    }

    /// How many are counted together with those of a kind: channels with patterns, shard channels alone.
    pub fn count_with(&self, kind: Kind) -> usize {
        match kind {
            Kind::Shard => self.shards.len(),
            Kind::Channel | Kind::Pattern => self.channels.len() + self.patterns.len(),
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut BTreeSet<Bytes> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shards,
        }
    }

    fn insert(&mut self, kind: Kind, name: &Bytes) -> bool {
        let is_new = self.of_mut(kind).insert(name.clone());
        self.name_bytes += if is_new { name.len() } else { 0 };
        is_new
    }

    fn remove(&mut self, kind: Kind, name: &[u8]) -> bool {
        let was_there = self.of_mut(kind).remove(name);
        self.name_bytes -= if was_there { name.len() } else { 0 };
        was_there
    }

    /// The names of a kind.
    pub fn of(&self, kind: Kind) -> &BTreeSet<Bytes> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shards,
        }
    }

    /// Memory held, in bytes, roughly.
    pub fn heap_bytes(&self) -> usize {
        size_of::<Subscriptions>() + self.name_bytes + self.count() * 2 * size_of::<Bytes>()
    }
}

/// All subscriptions of the server, by channel and by pattern.
#[derive(Debug, Default)]
pub struct Pubsub {
    /// Listeners of each channel; never empty.
    pub channels: BTreeMap<Bytes, BTreeSet<ClientId>>,
    /// Listeners of each pattern; never empty.
    pub patterns: BTreeMap<Bytes, BTreeSet<ClientId>>,
    /// Listeners of each shard channel; never empty.
    pub shards: BTreeMap<Bytes, BTreeSet<ClientId>>,
}

/// The kinds of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By name.
    Channel,
    /// By pattern.
    Pattern,
    /// By the name of a shard channel: a space of names of its own, whose messages no pattern matches.
    Shard,
}

impl Pubsub {
    /// Who listens, by name or pattern.
    pub fn of(&self, kind: Kind) -> &BTreeMap<Bytes, BTreeSet<ClientId>> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shards,
        }
    }

    fn listeners(&mut self, kind: Kind) -> &mut BTreeMap<Bytes, BTreeSet<ClientId>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shards,
        }
    }
}

impl Engine {
    /// Subscribes a client; false when it was subscribed.
    pub fn subscribe(&mut self, id: ClientId, kind: Kind, name: &Bytes) -> bool {
        let Some(client) = self.client_mut(id) else { return false };
        client.set(state::PUBSUB, true);
        if !client.subscriptions.get_or_insert_default().insert(kind, name) {
            return false;
        }
        self.pubsub.listeners(kind).entry(name.clone()).or_default().insert(id);
        true
    }

    /// Ends a subscription of a client; false when there was none.
    pub fn unsubscribe(&mut self, id: ClientId, kind: Kind, name: &[u8]) -> bool {
        let Some(client) = self.client_mut(id) else { return false };
        let found = client.subscriptions.as_mut().is_some_and(|own| own.remove(kind, name));
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
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            let Some(client) = self.client_mut(id) else { return };
            let Some(own) = &client.subscriptions else { return };
            for name in own.of(kind).clone() {
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
        let mut receivers = self.deliver(Kind::Channel, channel, &[b"message", channel, message]);
        if self.pubsub.patterns.is_empty() {
            return receivers;
        }
        let patterns = self.pubsub.patterns.keys();
        let matching: Vec<Bytes> = patterns.filter(|p| glob_match(p, channel, false)).cloned().collect();
        for pattern in matching {
            receivers += self.deliver(Kind::Pattern, &pattern, &[b"pmessage", &pattern, channel, message]);
        }
        receivers
    }

    /// Sends a message to everyone who listens to the shard channel `channel`; returns to how many.
    pub fn publish_to_shard(&mut self, channel: &[u8], message: &[u8]) -> usize {
        self.deliver(Kind::Shard, channel, &[b"smessage", channel, message])
    }
}
