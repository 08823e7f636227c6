//! Client-side caching: who may have which key in a cache of its own, and hears when the key is not what it was.
//!
//! In the default mode the table goes from a key to the clients that have read it. A key that changes leaves the table:
//! whoever reads it again enters anew. A client in BCAST mode has prefixes instead, and hears of every key that begins
//! with one of them; keys are gathered by prefix and told once a turn.
//!
//! What changes is a fact that rises from the keyspace (see [`super::listeners`]), the same that WATCH follows: a server
//! whose clients track nothing tests the one word there. The reader of a changed key is taken from the table at the
//! moment of the change, so that what it reads next, in the same transaction, counts; it is told when the outermost
//! command has replied, or others before something is published within that one.
//!
//! The table has at most `tracking-table-max-keys` keys; what is forgotten is told as if it had changed. A client that is
//! gone, or tracks no longer, stays in the table until its keys change: its id finds nobody.

use super::Engine;
use super::client::state;
use super::host::Host;
use super::keys::keys_of;
use super::spec::{acl, flag};
use super::table::Row;
use crate::base::id::ClientId;
use crate::base::limit::{TRACKED_FORGOTTEN_PER_COMMAND, TRACKED_FORGOTTEN_PER_TURN};
use crate::keyspace::garbage::{FREE_AT_ONCE_NODES, Garbage};
use crate::resp::{Args, Output, Reply};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// The channel on which a client of protocol version 2 hears what another tracks.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// How a client tracks.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Mode {
    /// CLIENT ID of the connection that is told; 0: itself.
    pub redirect: u64,
    /// It hears of its prefixes, whatever it has read.
    pub bcast: bool,
    /// Only what it reads right after CLIENT CACHING YES counts.
    pub optin: bool,
    /// What it reads right after CLIENT CACHING NO does not count.
    pub optout: bool,
    /// It does not hear of its own changes.
    pub noloop: bool,
}

/// What a client that tracks has with it.
#[derive(Debug, Default)]
pub struct Tracker {
    /// How it tracks.
    pub mode: Mode,
    /// CLIENT CACHING was said: what is read next counts, or does not.
    pub caching: bool,
    /// Its prefixes in BCAST mode.
    pub prefixes: BTreeSet<Bytes>,
    prefix_bytes: usize,
}

impl Tracker {
    /// Memory held, in bytes, roughly.
    pub fn heap_bytes(&self) -> usize {
        size_of::<Tracker>() + self.prefix_bytes + self.prefixes.len() * 2 * size_of::<Bytes>()
    }

    /// A prefix of this client of which one begins with the other, which a client may not have.
    pub fn overlapping(&self, prefix: &[u8]) -> Option<&Bytes> {
        let up_to = (Bound::Unbounded, Bound::Included(prefix));
        let shorter = self.prefixes.range::<[u8], _>(up_to).next_back();
        let shorter = shorter.filter(|own| prefix.starts_with(own));
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let longer = || self.prefixes.range::<[u8], _>(from).next().filter(|own| own.starts_with(prefix));
        // Everything begins with the empty one, which is not always next to it.
        self.prefixes.first().filter(|own| own.is_empty()).or(shorter).or_else(longer)
    }
}

/// A small set of clients; mostly there is one.
#[derive(Debug)]
enum Readers {
    One(ClientId),
    Many(Vec<ClientId>),
}

impl Readers {
    /// True when the client was not among them.
    fn insert(&mut self, id: ClientId) -> bool {
        match self {
            Readers::One(first) if *first == id => false,
            Readers::One(first) => {
                let mut both = vec![*first, id];
                both.sort_unstable();
                *self = Readers::Many(both);
                true
            }
            Readers::Many(all) => match all.binary_search(&id) {
                Ok(_) => false,
                Err(at) => {
                    all.insert(at, id);
                    true
                }
            },
        }
    }

    fn as_slice(&self) -> &[ClientId] {
        match self {
            Readers::One(id) => std::slice::from_ref(id),
            Readers::Many(all) => all,
        }
    }
}

/// What has changed and was not told yet.
#[derive(Debug)]
enum Change {
    /// A key, with those who had read it.
    Key {
        key: Bytes,
        readers: Option<Readers>,
        /// It expired or was evicted: nobody did it.
        is_by_itself: bool,
    },
    /// A key whose readers are owed a message, whoever has done it: the table had no room for it, or they have changed it
    /// themselves and hear of it later.
    Owed { key: Bytes, readers: Readers },
    /// All keys, for every client that tracks or for one.
    Flush(Option<ClientId>),
}

/// A prefix that somebody tracks.
#[derive(Debug, Default)]
struct Prefix {
    clients: BTreeSet<ClientId>,
    /// Keys that changed in this turn, and who did it last.
    changed: BTreeMap<Bytes, Option<ClientId>>,
}

/// Changes that were not told yet.
#[derive(Debug, Default)]
pub struct Changes(Vec<Change>);

/// Who may have which key in a cache.
#[derive(Debug, Default)]
pub struct Tracking {
    /// Clients that track.
    clients: usize,
    readers: BTreeMap<Box<[u8]>, Readers>,
    /// Readers of all keys together.
    items: usize,
    /// Bytes of all keys together.
    key_bytes: usize,
    /// The key that was forgotten last: the next after it is the next to go.
    clock_hand: Box<[u8]>,
    prefixes: BTreeMap<Bytes, Prefix>,
    /// How many prefixes there are of each length.
    lengths: BTreeMap<usize, usize>,
    /// Prefixes with changed keys.
    dirty_prefixes: BTreeSet<Bytes>,
    /// What was not told yet.
    pub changes: Changes,
}

impl Tracking {
    /// Whether changes of keys are followed.
    pub fn is_on(&self) -> bool {
        self.clients > 0 || !self.readers.is_empty()
    }

    /// Clients that track.
    pub fn clients(&self) -> usize {
        self.clients
    }

    /// Keys in the table.
    pub fn keys(&self) -> usize {
        self.readers.len()
    }

    /// Readers of all keys in the table.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Prefixes that somebody tracks.
    pub fn prefixes(&self) -> usize {
        self.prefixes.len()
    }

    /// Whether somebody is to be told something when the command is done.
    #[inline]
    pub fn has_changes(&self) -> bool {
        !self.changes.0.is_empty()
    }

    /// A key is not what it was.
    pub fn touch(&mut self, key: &Bytes, is_by_itself: bool) {
        let readers = self.forget(key);
        if readers.is_some() || !self.prefixes.is_empty() {
            self.changes.0.push(Change::Key { key: key.clone(), readers, is_by_itself });
        }
    }

    /// Takes a key out of the table.
    fn forget(&mut self, key: &[u8]) -> Option<Readers> {
        let readers = self.readers.remove(key)?;
        self.items -= readers.as_slice().len();
        self.key_bytes -= key.len();
        Some(readers)
    }

    /// All keys are gone; gives the table that was, to be freed.
    fn flush(&mut self) -> Option<Garbage> {
        if self.clients > 0 {
            self.changes.0.push(Change::Flush(None));
        }
        let bytes = self.heap_bytes();
        let readers = std::mem::take(&mut self.readers);
        (self.items, self.key_bytes) = (0, 0);
        (readers.len() > FREE_AT_ONCE_NODES).then(|| Garbage::Other(Box::new(readers), bytes))
    }

    /// Memory of the table, in bytes, roughly.
    fn heap_bytes(&self) -> usize {
        let a_key = size_of::<(Box<[u8]>, Readers)>();
        self.readers.len() * a_key + self.items * size_of::<ClientId>() + self.key_bytes
    }

    fn remember(&mut self, key: &[u8], id: ClientId) {
        let is_new = match self.readers.get_mut(key) {
            Some(readers) => readers.insert(id),
            None => {
                self.key_bytes += key.len();
                self.readers.insert(key.into(), Readers::One(id)).is_none()
            }
        };
        self.items += usize::from(is_new);
    }

    /// Forgets keys until the table is no larger than it may be; at most so many. True when it is.
    fn forget_down_to(&mut self, keys_max: u64, at_most: usize) -> bool {
        let keys_max = if keys_max == 0 { usize::MAX } else { keys_max as usize };
        for _ in 0..at_most {
            if self.readers.len() <= keys_max {
                break;
            }
            let behind = (Bound::Excluded(&self.clock_hand[..]), Bound::Unbounded);
            let next = self.readers.range::<[u8], _>(behind).next().or_else(|| self.readers.iter().next());
            let Some((key, _)) = next else { break };
            self.clock_hand = key.clone();
            let key = Bytes::copy_from_slice(&self.clock_hand);
            if let Some(readers) = self.forget(&key) {
                self.changes.0.push(Change::Owed { key, readers });
            }
        }
        self.readers.len() <= keys_max
    }

    fn add_prefix(&mut self, prefix: &Bytes, id: ClientId) {
        let lengths = &mut self.lengths;
        let entry = self.prefixes.entry(prefix.clone()).or_insert_with(|| {
            *lengths.entry(prefix.len()).or_default() += 1;
            Prefix::default()
        });
        entry.clients.insert(id);
    }

    fn remove_prefix(&mut self, prefix: &Bytes, id: ClientId) {
        let Some(entry) = self.prefixes.get_mut(prefix) else { return };
        entry.clients.remove(&id);
        if !entry.clients.is_empty() {
            return;
        }
        self.prefixes.remove(prefix);
        self.dirty_prefixes.remove(prefix);
        if let Some(count) = self.lengths.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
    }

    /// Notes a changed key at each of its prefixes.
    fn stir(&mut self, key: &Bytes, by: Option<ClientId>) {
        for length in self.lengths.keys().take_while(|length| **length <= key.len()) {
            if let Some((name, prefix)) = self.prefixes.get_key_value(&key[..*length]) {
                if prefix.changed.is_empty() {
                    self.dirty_prefixes.insert(name.clone());
                }
            } else {
                continue;
            }
            if let Some(prefix) = self.prefixes.get_mut(&key[..*length]) {
                prefix.changed.insert(key.clone(), by);
            }
        }
    }
}

/// The message that keys are not what they were, made when it is first needed.
struct Invalidation<'a> {
    /// None: all keys.
    keys: Option<Vec<&'a [u8]>>,
    encoded: [Option<Bytes>; 2],
}

impl<'a> Invalidation<'a> {
    fn of(keys: Option<Vec<&'a [u8]>>) -> Invalidation<'a> {
        Invalidation { keys, encoded: [None, None] }
    }

    /// As a push message of version 3, or as a message of a channel.
    fn encoded(&mut self, resp: u8) -> &Bytes {
        let keys = &self.keys;
        self.encoded[usize::from(resp == 3)].get_or_insert_with(|| {
            let mut out = Output::default();
            let mut reply = Reply::new(&mut out, resp, false);
            if resp == 3 {
                reply.push(2);
                reply.bulk(b"invalidate");
            } else {
                reply.push(3);
                reply.bulk(b"message");
                reply.bulk(CHANNEL);
            }
            match keys {
                None => reply.null(),
                Some(keys) => {
                    reply.array(keys.len());
                    keys.iter().for_each(|key| reply.bulk(key));
                }
            }
            out.into_bytes()
        })
    }
}

impl Engine {
    /// Who tracks what.
    pub fn tracking(&self) -> &Tracking {
        &self.listeners.tracking
    }

    /// Lets a client track, or track in another way. Prefixes are added to those that it has.
    pub fn track(&mut self, slot: usize, mode: Mode, prefixes: &[Bytes]) {
        let client = &mut self.clients[slot];
        let id = client.handle;
        let tracking = &mut self.listeners.tracking;
        tracking.clients += usize::from(!client.is(state::TRACKING));
        client.set(state::TRACKING_BROKEN, false);
        client.set(state::TRACKING, true);
        client.set(state::TRACKING_BCAST, mode.bcast);
        let tracker = client.tracker.get_or_insert_default();
        if mode.bcast {
            let all = [Bytes::new()];
            for prefix in if prefixes.is_empty() { &all } else { prefixes } {
                if tracker.prefixes.insert(prefix.clone()) {
                    tracker.prefix_bytes += prefix.len();
                    tracking.add_prefix(prefix, id);
                }
            }
        }
        tracker.mode = mode;
        self.note_wanted();
    }

    /// Lets a client track no longer.
    pub fn track_no_longer(&mut self, slot: usize) {
        let client = &mut self.clients[slot];
        let id = client.handle;
        let Some(tracker) = client.tracker.take() else { return };
        client.set(state::TRACKING | state::TRACKING_BCAST | state::TRACKING_BROKEN, false);
        let tracking = &mut self.listeners.tracking;
        tracking.clients -= 1;
        tracker.prefixes.iter().for_each(|prefix| tracking.remove_prefix(prefix, id));
        self.note_wanted();
    }

    /// A command of a client that tracks has run: remembers what it has read.
    #[cold]
    pub(super) fn note_read(&mut self, slot: usize, args: Args<'_>, row: &Row) {
        let client = &mut self.clients[slot];
        let id = client.handle;
        let Some(tracker) = &mut client.tracker else { return };
        let mode = &tracker.mode;
        let counts = !(mode.bcast || (mode.optin && !tracker.caching) || (mode.optout && tracker.caching));
        // Of a script only the commands within count.
        if !counts || !row.has(flag::READONLY) || row.spec.acl & acl::SCRIPTING != 0 {
            return;
        }
        let tracking = &mut self.listeners.tracking;
        for key in keys_of(row, args).unwrap_or_default() {
            tracking.remember(args.at(key.index), id);
        }
        tracking.forget_down_to(self.conf.tracking_table_max_keys, TRACKED_FORGOTTEN_PER_COMMAND);
        self.listeners.note_news();
    }

    /// All keys of some database are gone: every client that tracks is told so, and nothing is remembered.
    pub fn flush_tracked(&mut self) {
        if let Some(table) = self.listeners.tracking.flush() {
            self.free(table, None);
        }
        self.listeners.note_news();
    }

    /// Tells of the changes that a command of `actor` has made; none: nobody made them. While the command `goes_on`, only
    /// others are told: the actor hears when it is done.
    pub(super) fn tell_trackers(&mut self, actor: Option<ClientId>, goes_on: bool) {
        let waits = actor.filter(|_| goes_on);
        for change in std::mem::take(&mut self.listeners.tracking.changes).0 {
            match change {
                Change::Key { key, readers, is_by_itself } => {
                    if let Some(readers) = readers {
                        self.tell_readers(&key, &readers, actor, waits);
                    }
                    self.listeners.tracking.stir(&key, actor.filter(|_| !is_by_itself));
                }
                Change::Owed { key, readers } => self.tell_readers(&key, &readers, None, waits),
                Change::Flush(one) => {
                    let mut message = Invalidation::of(None);
                    let clients = self.clients.iter().filter(|(_, client)| client.is(state::TRACKING));
                    let clients = clients.map(|(_, client)| client.handle);
                    for id in clients.filter(|id| one.is_none_or(|one| one == *id)).collect::<Vec<_>>() {
                        if waits == Some(id) {
                            self.listeners.tracking.changes.0.push(Change::Flush(waits));
                        } else {
                            self.tell_tracker(id, &mut message);
                        }
                    }
                }
            }
        }
    }

    fn tell_readers(
        &mut self,
        key: &[u8],
        readers: &Readers,
        actor: Option<ClientId>,
        waits: Option<ClientId>,
    ) {
        let mut message = Invalidation::of(Some(vec![key]));
        for &id in readers.as_slice() {
            let tracker = self.client(id).and_then(|client| client.tracker.as_ref());
            // Who has changed to BCAST does not hear of what it has read before.
            let is_own = actor == Some(id);
            let hears = tracker.is_some_and(|t| !(t.mode.bcast || t.mode.noloop && is_own));
            if hears && waits == Some(id) {
                let (key, readers) = (Bytes::copy_from_slice(key), Readers::One(id));
                self.listeners.tracking.changes.0.push(Change::Owed { key, readers });
            } else if hears {
                self.tell_tracker(id, &mut message);
            }
        }
    }

    /// Sends a message to a client that tracks, or to the one that it has named.
    fn tell_tracker(&mut self, id: ClientId, message: &mut Invalidation<'_>) {
        let Some(slot) = self.slot_of(id) else { return };
        let Some(tracker) = &self.clients[slot].tracker else { return };
        let redirect = tracker.mode.redirect;
        let target = match redirect {
            0 => Some(slot),
            other => self.clients.by_id(other).and_then(|id| self.slot_of(id)),
        };
        let Some(target) = target.filter(|slot| !self.clients[*slot].is(state::CLOSE_ASAP)) else {
            return self.tell_of_broken_redirection(slot, redirect);
        };
        let client = &self.clients[target];
        let (resp, target) = (self.version_of(target), client.handle);
        // Version 2 has no push messages: only who listens to a channel can be told anything, and only of others.
        if resp == 3 || (redirect != 0 && client.is(state::PUBSUB)) {
            let bytes = message.encoded(resp).clone();
            self.send(target, &bytes);
        }
    }

    #[cold]
    fn tell_of_broken_redirection(&mut self, slot: usize, redirect: u64) {
        if redirect == 0 {
            return;
        }
        let resp = self.version_of(slot);
        let client = &mut self.clients[slot];
        client.set(state::TRACKING_BROKEN, true);
        if resp == 3 {
            let mut out = Output::default();
            let mut reply = Reply::new(&mut out, 3, false);
            reply.push(2);
            reply.bulk(b"tracking-redir-broken");
            reply.int(redirect as i64);
            let id = client.handle;
            self.send(id, &out.into_bytes());
        }
    }

    /// Forgets what the table has no room for, and tells each prefix what has changed in this turn. True when the table is
    /// still too large.
    pub(super) fn maintain_tracking(&mut self, host: &mut dyn Host) -> bool {
        let tracking = &mut self.listeners.tracking;
        if !tracking.is_on() {
            return false;
        }
        let fits = tracking.forget_down_to(self.conf.tracking_table_max_keys, TRACKED_FORGOTTEN_PER_TURN);
        if tracking.has_changes() {
            self.settle(host, None);
        }
        for prefix in std::mem::take(&mut self.listeners.tracking.dirty_prefixes) {
            self.tell_prefix(&prefix);
        }
        !fits
    }

    fn tell_prefix(&mut self, prefix: &Bytes) {
        let Some(prefix) = self.listeners.tracking.prefixes.get_mut(prefix) else { return };
        let changed = std::mem::take(&mut prefix.changed);
        let clients: Vec<ClientId> = prefix.clients.iter().copied().collect();
        let mut to_all = Invalidation::of(Some(changed.keys().map(|key| &key[..]).collect()));
        for id in clients {
            let tracker = self.client(id).and_then(|client| client.tracker.as_ref());
            let is_noloop = tracker.is_some_and(|tracker| tracker.mode.noloop);
            if !is_noloop || changed.values().all(|by| *by != Some(id)) {
                self.tell_tracker(id, &mut to_all);
                continue;
            }
            let of_others = changed.iter().filter(|(_, by)| **by != Some(id)).map(|(key, _)| &key[..]);
            let of_others: Vec<&[u8]> = of_others.collect();
            if !of_others.is_empty() {
                self.tell_tracker(id, &mut Invalidation::of(Some(of_others)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(slot: u32) -> ClientId {
        ClientId { slot, generation: 1 }
    }

    #[test]
    fn the_table_counts_each_reader_of_a_key_once() {
        let mut tracking = Tracking::default();
        for (key, slot) in [("a", 1), ("a", 1), ("a", 3), ("a", 2), ("a", 3), ("b", 1)] {
            tracking.remember(key.as_bytes(), client(slot));
        }
        assert_eq!((tracking.keys(), tracking.items()), (2, 4));
        tracking.touch(&Bytes::from_static(b"a"), false);
        tracking.touch(&Bytes::from_static(b"none"), false);
        assert_eq!((tracking.keys(), tracking.items(), tracking.key_bytes), (1, 1, 1));
        match &tracking.changes.0[..] {
            [Change::Key { readers: Some(readers), .. }] => {
                assert_eq!(readers.as_slice(), [client(1), client(2), client(3)]);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_are_forgotten_in_turn() {
        let mut tracking = Tracking::default();
        let mut gone = Vec::new();
        for round in 0..3 {
            for key in ["a", "b", "c", "d"] {
                tracking.remember(key.as_bytes(), client(1));
            }
            assert!(!tracking.forget_down_to(2, 1) && tracking.forget_down_to(2 + round, 10));
            for change in std::mem::take(&mut tracking.changes).0 {
                if let Change::Owed { key, .. } = change {
                    gone.push(key[0]);
                }
            }
        }
        assert_eq!(gone, b"abcd");
        assert_eq!(tracking.items(), tracking.keys());
    }

    #[test]
    fn prefixes_of_one_client_overlap_when_one_begins_with_the_other() {
        let mut tracker = Tracker::default();
        for prefix in ["foo", "bar", "foz", "a"] {
            assert_eq!(tracker.overlapping(prefix.as_bytes()), None);
            tracker.prefixes.insert(Bytes::from_static(prefix.as_bytes()));
        }
        for (prefix, other) in
            [("foo", "foo"), ("foobar", "foo"), ("fo", "foo"), ("b", "bar"), ("", "a"), ("abc", "a")]
        {
            assert_eq!(
                tracker.overlapping(prefix.as_bytes()).map(|p| &p[..]),
                Some(other.as_bytes()),
                "{prefix}"
            );
        }
        tracker.prefixes.insert(Bytes::new());
        assert_eq!(tracker.overlapping(b"zzz").map(|p| &p[..]), Some(&b""[..]));
    }

    #[test]
    fn a_changed_key_is_noted_at_all_its_prefixes() {
        let mut tracking = Tracking::default();
        for prefix in ["", "a", "ab", "b", "abcd"] {
            tracking.add_prefix(&Bytes::from_static(prefix.as_bytes()), client(1));
        }
        tracking.stir(&Bytes::from_static(b"abc"), None);
        let dirty_prefixes: Vec<&[u8]> = tracking.dirty_prefixes.iter().map(|p| &p[..]).collect();
        assert_eq!(dirty_prefixes, [&b""[..], b"a", b"ab"]);
        for prefix in ["", "a", "ab", "b", "abcd"] {
            tracking.remove_prefix(&Bytes::from_static(prefix.as_bytes()), client(1));
        }
        assert!(
            tracking.prefixes.is_empty() && tracking.lengths.is_empty() && tracking.dirty_prefixes.is_empty()
        );
    }
}
