//! Who waits for which key: clients blocked by BLPOP and its kind, in the order in which they came.
//!
//! A client that waits has a ticket and stands in the queue of each of its keys. A key that may have become ready is
//! noted once; when the outermost command is done, its clients run their command again, oldest first, until the key
//! has nothing more for them (see [`super::settle`]). Who blocks again keeps its place. Leaving costs nothing for the
//! others: a ticket that is not valid any more is skipped, and a queue with too many of those is swept.

use crate::base::id::ClientId;
use crate::keyspace::Type;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// A place in a queue.
#[derive(Clone, Copy, Debug)]
pub struct Waiter {
    /// Number of the wait.
    pub ticket: u64,
    /// Who waits.
    pub client: ClientId,
    /// The type of value that it waits for.
    pub wants: Type,
    /// It also wants to know when the key goes, or becomes something else.
    pub on_missing: bool,
}

/// A key of a database.
type WaitedKey = (u32, Bytes);

#[derive(Debug, Default)]
struct Queue {
    waiters: VecDeque<Waiter>,
    /// Those whose ticket is valid.
    live: usize,
    /// Those of them that wait for the key to go, too.
    on_missing: usize,
    is_ready: bool,
}

/// What an invalid ticket may cost before a queue is swept.
const STALE_MAX: usize = 64;

/// All queues.
#[derive(Debug, Default)]
pub struct Waiters {
    queues: BTreeMap<WaitedKey, Queue>,
    /// The keys of each valid ticket, and whether it waits for them to go, too.
    tickets: BTreeMap<u64, (Vec<WaitedKey>, bool)>,
    next_ticket: u64,
    ready: VecDeque<WaitedKey>,
    /// How many clients wait to which time alone may bring something.
    pub timed: usize,
    /// How the command that runs wants to wait.
    pub next_wait: NextWait,
}

/// What a command says of its wait beside its keys and its end.
#[derive(Debug, Default)]
pub struct NextWait {
    /// The request that is kept meanwhile, if it is another than what the client sent.
    pub request: Option<Vec<Bytes>>,
    /// When the client should look again without being told: monotonic microseconds, `u64::MAX` as long as nothing is
    /// pending. None for a command to which the mere passing of time brings nothing.
    pub look_again_us: Option<u64>,
}

impl Waiters {
    /// Whether nobody waits for a key.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Keys for which somebody waits.
    pub fn keys(&self) -> usize {
        self.queues.len()
    }

    /// Keys for whose going somebody waits.
    pub fn keys_on_missing(&self) -> usize {
        self.queues.values().filter(|queue| queue.on_missing > 0).count()
    }

    /// Queues a client at the end for all of its keys; returns its ticket.
    pub fn enter(&mut self, client: ClientId, keys: Vec<WaitedKey>, wants: Type, on_missing: bool) -> u64 {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        let mut keys = keys;
        keys.sort_unstable();
        keys.dedup();
        for key in &keys {
            let queue = self.queues.entry(key.clone()).or_default();
            queue.waiters.push_back(Waiter { ticket, client, wants, on_missing });
            queue.live += 1;
            queue.on_missing += usize::from(on_missing);
        }
        self.tickets.insert(ticket, (keys, on_missing));
        ticket
    }

    /// A client waits no more.
    pub fn leave(&mut self, ticket: u64) {
        let Some((keys, on_missing)) = self.tickets.remove(&ticket) else { return };
        for key in keys {
            let Some(queue) = self.queues.get_mut(&key) else { continue };
            queue.live -= 1;
            queue.on_missing -= usize::from(on_missing);
            if queue.waiters.front().is_some_and(|waiter| waiter.ticket == ticket) {
                queue.waiters.pop_front();
            }
            if queue.live == 0 {
                self.queues.remove(&key);
            } else if queue.waiters.len() > 2 * queue.live + STALE_MAX {
                let tickets = &self.tickets;
                queue.waiters.retain(|waiter| tickets.contains_key(&waiter.ticket));
            }
        }
    }

    /// Something happened to a key that may be what somebody waits for. True when the key is to be served.
    #[cold]
    pub fn signal(&mut self, db: u32, key: &[u8]) -> bool {
        let key = (db, Bytes::copy_from_slice(key));
        let Some(queue) = self.queues.get_mut(&key) else { return false };
        if !std::mem::replace(&mut queue.is_ready, true) {
            self.ready.push_back(key);
        }
        true
    }

    /// Something happened to all keys of a database.
    pub fn signal_all(&mut self, db: u32) {
        for (key, queue) in self.queues.range_mut((db, Bytes::new())..(db + 1, Bytes::new())) {
            if !queue.is_ready {
                queue.is_ready = true;
                self.ready.push_back(key.clone());
            }
        }
    }

    /// Whether a key is to be served.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next key to be served, with those who wait for it; [`Waiters::put_back`] must follow.
    pub fn take_ready(&mut self) -> Option<(u32, Bytes, VecDeque<Waiter>)> {
        let key = self.ready.pop_front()?;
        let waiters = self.queues.get_mut(&key).map(|queue| {
            // What happens to the key from here on is news again.
            queue.is_ready = false;
            std::mem::take(&mut queue.waiters)
        });
        Some((key.0, key.1, waiters.unwrap_or_default()))
    }

    /// What is left of a queue that was served.
    pub fn put_back(&mut self, db: u32, key: Bytes, mut waiters: VecDeque<Waiter>) {
        let Some(queue) = self.queues.get_mut(&(db, key)) else { return };
        // Those who came meanwhile stand after those who were there.
        waiters.append(&mut queue.waiters);
        queue.waiters = waiters;
    }

    /// Whether a ticket is valid.
    pub fn is_waiting(&self, ticket: u64) -> bool {
        self.tickets.contains_key(&ticket)
    }
}
