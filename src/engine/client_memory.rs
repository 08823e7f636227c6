//! `maxmemory-clients`: what all clients together may occupy, and who goes when it is more.
//!
//! A client is weighed at the end of a turn in which something was done for it, so that no command pays for it, and
//! nobody else is looked at. Those who may go stand in buckets by the power of two of their weight; when the sum is
//! over the limit, clients of the highest bucket go until it is not. Without a limit nothing is kept.
//!
//! CLIENT NO-EVICT takes a client out of its bucket; its weight counts all the same.

use super::Engine;
use super::client::state;
use crate::base::id::ClientId;
use crate::base::limit::CLIENTS_BYTES_MIN;
use std::collections::BTreeSet;

/// The first bucket has all below 2^16 bytes. Redis: `CLIENT_MEM_USAGE_BUCKET_MIN_LOG`.
const FIRST_LOG: u32 = 15;

/// The last one has all from 2^33 bytes on. Redis: `CLIENT_MEM_USAGE_BUCKET_MAX_LOG`.
const LAST_LOG: u32 = 33;

const BUCKETS: usize = (LAST_LOG - FIRST_LOG + 1) as usize;

/// What clients weigh; kept as long as there is a limit.
#[derive(Debug, Default)]
pub struct ClientMemory {
    /// There is a limit.
    pub is_limited: bool,
    /// The weight of all, in bytes.
    total_bytes: usize,
    /// Who may go, by weight.
    buckets: [BTreeSet<ClientId>; BUCKETS],
    /// Clients to be weighed.
    changed: Vec<ClientId>,
    /// It was said that nobody is left to go.
    has_warned: bool,
}

impl ClientMemory {
    /// Puts a client into the bucket of its weight, or into none.
    fn place(&mut self, id: ClientId, before: Option<usize>, now: Option<usize>) {
        if before == now {
            return;
        }
        if let Some(bucket) = before {
            self.buckets[bucket].remove(&id);
        }
        if let Some(bucket) = now {
            self.buckets[bucket].insert(id);
        }
    }
}

/// A client on the scales.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weight {
    bytes: usize,
    bucket: Option<usize>,
}

fn bucket_of(bytes: usize) -> usize {
    (bytes.max(1).ilog2().clamp(FIRST_LOG, LAST_LOG) - FIRST_LOG) as usize
}

impl Engine {
    /// Something was done for a client that may have changed its memory.
    #[inline]
    pub(super) fn note_weight(&mut self, slot: usize) {
        if self.client_memory.is_limited {
            let client = &mut self.clients[slot];
            if !client.is(state::TO_WEIGH) {
                client.set(state::TO_WEIGH, true);
                self.client_memory.changed.push(client.handle);
            }
        }
    }

    /// Takes over the limit of the configuration; with a new one all clients are weighed.
    pub(super) fn configure_client_memory(&mut self) {
        let was_limited = self.client_memory.is_limited;
        self.client_memory.is_limited = self.conf.maxmemory_clients != 0;
        self.client_memory.has_warned = false;
        if self.client_memory.is_limited == was_limited {
            return;
        }
        let slots: Vec<usize> = self.clients.iter().map(|(slot, _)| slot).collect();
        if was_limited {
            self.client_memory = super::client_memory::ClientMemory::default();
        }
        for slot in slots {
            let client = &mut self.clients[slot];
            (client.weight, client.state) = (Weight::default(), client.state & !state::TO_WEIGH);
            self.note_weight(slot);
        }
    }

    /// What all clients together may occupy, in bytes.
    fn clients_bytes_max(&self) -> usize {
        let bytes = match self.conf.maxmemory_clients {
            percent if percent < 0 && self.conf.maxmemory_bytes > 0 => {
                (self.conf.maxmemory_bytes as f64 * -percent as f64 / 100.0) as usize
            }
            bytes if bytes > 0 => bytes as usize,
            _ => usize::MAX,
        };
        bytes.max(CLIENTS_BYTES_MIN)
    }

    /// What all clients weigh together, in bytes; 0 without a limit.
    pub fn clients_weigh(&self) -> usize {
        self.client_memory.total_bytes
    }

    /// Weighs the clients of this turn, and closes the largest as long as all together are too many bytes.
    pub fn evict_clients(&mut self) {
        while let Some(id) = self.client_memory.changed.pop() {
            if let Some(slot) = self.slot_of(id) {
                self.clients[slot].set(state::TO_WEIGH, false);
                self.weigh(slot);
            }
        }
        if self.client_memory.is_limited {
            let limit = self.clients_bytes_max();
            match self.client_memory.total_bytes < limit {
                true => self.client_memory.has_warned = false,
                false => self.evict_clients_to(limit),
            }
        }
    }

    #[cold]
    fn evict_clients_to(&mut self, limit: usize) {
        for bucket in (0..BUCKETS).rev() {
            loop {
                if self.client_memory.total_bytes < limit {
                    return;
                }
                let Some(id) = self.client_memory.buckets[bucket].pop_first() else { break };
                let Some(slot) = self.slot_of(id) else { continue };
                log::info!("Evicting client: {}", self.describe_client(slot));
                self.stats.evicted_clients += 1;
                self.close_soon(slot);
                // What it has not read is free now, so that no key has to go for it.
                self.clients[slot].out.clear();
                self.weigh(slot);
            }
        }
        if self.client_memory.total_bytes >= limit
            && !std::mem::replace(&mut self.client_memory.has_warned, true)
        {
            log::warn!("Over client maxmemory after evicting all evictable clients");
        }
    }

    /// Weighs a client; one that is going weighs nothing, nor do links to other servers.
    fn weigh(&mut self, slot: usize) {
        let client = &mut self.clients[slot];
        let counts = !client.is(state::CLOSE_ASAP | state::REPLICA | state::PRIMARY);
        let bytes = if counts { client.memory_bytes() } else { 0 };
        let bucket = (counts && !client.is(state::NO_EVICT)).then(|| bucket_of(bytes));
        let before = std::mem::replace(&mut client.weight, Weight { bytes, bucket });
        let memory = &mut self.client_memory;
        memory.total_bytes = memory.total_bytes - before.bytes + bytes;
        memory.place(client.handle, before.bucket, bucket);
    }

    /// A client is gone.
    pub(super) fn forget_weight(&mut self, slot: usize) {
        let client = &self.clients[slot];
        self.client_memory.total_bytes -= client.weight.bytes;
        self.client_memory.place(client.handle, client.weight.bucket, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_powers_of_two_between_two_bounds() {
        let found = [0, 1, 65_535, 65_536, 131_071, 131_072, 1 << 33, usize::MAX].map(bucket_of);
        assert_eq!(found, [0, 0, 0, 1, 1, 2, BUCKETS - 1, BUCKETS - 1]);
    }
}
