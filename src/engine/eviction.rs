//! Eviction: what goes when memory is over `maxmemory`.
//!
//! A few keys are sampled, the best candidates are kept in a pool of sixteen, and the best of those goes; so the pool
//! gets better with every round, and a handful of samples comes near to a true order by last use (LRU), last change (LRM) or
//! number of uses (LFU). The idea and its
//! measurements are Redis's (`evict.c`). A command that finds memory over the limit evicts for a bounded time, given by
//! `maxmemory-eviction-tenacity`; if that does not suffice, the command runs and the next one goes on.

use super::{Engine, Host};
use crate::config::MaxmemoryPolicy as Policy;
use crate::keyspace::EventClass;
use crate::keyspace::access::AccessClock;
use crate::structures::slab::Handle;
use bytes::Bytes;

/// Candidates that are remembered. Redis: `EVPOOL_SIZE`.
const POOL: usize = 16;

/// Keys that are evicted between two looks at the time.
const EVICTIONS_BETWEEN_LOOKS: usize = 16;

/// Registrations of the wheel that are looked at when a key goes.
const REGISTRATIONS_AN_EVICTION: usize = 8;

/// A key that may go.
#[derive(Debug)]
struct Candidate {
    /// The higher, the sooner it goes.
    score: u64,
    db: u32,
    key: Bytes,
}

/// The candidates, worst first.
#[derive(Debug, Default)]
pub struct Eviction {
    pool: Vec<Candidate>,
    sampled: Vec<Handle>,
    next_db: usize,
    /// How accesses are noted.
    pub(super) clock: AccessClock,
    /// The command that runs found more memory in use than there may be, and nothing that could go.
    pub(super) is_short: bool,
    /// The limit was lowered within a transaction: memory is made free after it.
    pub(super) is_late: bool,
}

impl Engine {
    /// Evicts until memory is below the limit, the time is over, or nothing can go. False in the last case only.
    /// Clients that together hold too much go before any key.
    pub(super) fn make_room(&mut self, host: &mut dyn Host) -> bool {
        let limit = self.conf.maxmemory_bytes as usize;
        let mut used = self.memory_to_limit(host);
        if used > limit {
            self.evict_clients();
            used = self.memory_to_limit(host);
        }
        if used <= limit {
            if self.stats.over_maxmemory_since_us != 0 {
                self.stats.total_eviction_exceeded_us +=
                    self.now.mono_us.saturating_sub(self.stats.over_maxmemory_since_us);
                self.stats.over_maxmemory_since_us = 0;
            }
            return true;
        }
        // A replica may be told to look after itself.
        let looks_itself = self.is_replica() && !self.conf.replica_ignore_maxmemory;
        let is_held = self.pause.until_us != 0 || self.conf.import_mode || self.durability.is_loading();
        if is_held || (self.is_replica() && !looks_itself) {
            return true;
        }
        if self.stats.over_maxmemory_since_us == 0 {
            self.stats.over_maxmemory_since_us = self.now.mono_us.max(1);
        }
        if self.conf.maxmemory_policy == Policy::NoEviction {
            return false;
        }
        let begin = host.ticks();
        let limit_ticks = self.eviction_us_max().saturating_mul(self.ticker.per_ms) / 1000;
        let (mut evicted, mut told_bytes) = (0, 0);
        let result = loop {
            if !self.evict_one() {
                break false;
            }
            // What the evicted keys left in the wheel counts as well.
            for db in self.dbs.iter_mut() {
                db.compact_wheel(REGISTRATIONS_AN_EVICTION);
            }
            self.collect_garbage();
            // Events that wait take memory, and so do the messages that come of them. What is gained must not be lost to
            // those, or one eviction would be the reason for the next.
            if self.listeners.has_news() {
                let before = host.allocated_bytes();
                self.settle(host, None);
                told_bytes += host.allocated_bytes().saturating_sub(before);
            }
            if self.memory_to_limit(host).saturating_sub(told_bytes) <= limit {
                break true;
            }
            evicted += 1;
            if evicted % EVICTIONS_BETWEEN_LOOKS == 0 && host.ticks().saturating_sub(begin) > limit_ticks {
                break true;
            }
        };
        self.propagation.close_each();
        let spent = host.ticks().saturating_sub(begin);
        self.note_latency("eviction-cycle", spent);
        result
    }

    /// Evicts what a limit that was just lowered leaves no room for, for as long as one command may.
    pub fn shrink_to_limit(&mut self, host: &mut dyn Host) {
        if self.conf.maxmemory_bytes > 0 {
            let used = self.used_memory(host);
            if used as u64 > self.conf.maxmemory_bytes {
                log::warn!(
                    "WARNING: the new maxmemory value set via CONFIG SET ({}) is smaller than the current memory usage \
                     ({used}). This will result in key eviction and/or the inability to accept new write commands \
                     depending on the maxmemory-policy.",
                    self.conf.maxmemory_bytes
                );
            }
            self.make_room(host);
        }
    }

    /// How long one command may evict, in microseconds. Redis: `evictionTimeLimitUs`.
    fn eviction_us_max(&self) -> u64 {
        match self.conf.maxmemory_eviction_tenacity {
            tenacity @ 0..=10 => 50 * u64::from(tenacity),
            tenacity @ 11..=99 => (500.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
            _ => u64::MAX,
        }
    }

    /// Evicts one key; false when there is none that may go.
    fn evict_one(&mut self) -> bool {
        use Policy::{AllkeysRandom, VolatileRandom};
        match self.conf.maxmemory_policy {
            AllkeysRandom | VolatileRandom => self.evict_random(),
            _ => self.evict_best(),
        }
    }

    fn only_with_ttl(&self) -> bool {
        use Policy::{VolatileLfu, VolatileLrm, VolatileLru, VolatileRandom, VolatileTtl};
        let policy = self.conf.maxmemory_policy;
        matches!(policy, VolatileLfu | VolatileLrm | VolatileLru | VolatileRandom | VolatileTtl)
    }

    fn evict_random(&mut self) -> bool {
        for _ in 0..self.dbs.count() {
            let index = self.eviction.next_db % self.dbs.count();
            self.eviction.next_db = index + 1;
            let db = self.dbs.at(index);
            let found = if self.only_with_ttl() {
                self.eviction.sampled.clear();
                db.sample_with_ttl(&mut self.rng, 1, &mut self.eviction.sampled);
                self.eviction.sampled.first().copied()
            } else {
                db.random(&mut self.rng)
            };
            if let Some(handle) = found {
                let key = Bytes::copy_from_slice(db.key(handle));
                return self.evict(index as u32, &key);
            }
        }
        false
    }

    fn evict_best(&mut self) -> bool {
        // A candidate may have gone meanwhile; a pool full of such is filled anew.
        for _ in 0..POOL {
            if !self.fill_pool() {
                return false;
            }
            while let Some(best) = self.eviction.pool.pop() {
                let db = self.dbs.at(best.db as usize);
                let hash = db.hash(&best.key);
                let may_go = db
                    .find(&best.key, hash)
                    .is_some_and(|h| !self.only_with_ttl() || db.deadline(h).is_some());
                if may_go {
                    return self.evict(best.db, &best.key);
                }
            }
        }
        false
    }

    /// Samples every database that has keys; false when none has.
    fn fill_pool(&mut self) -> bool {
        let mut total = 0;
        let samples = self.conf.maxmemory_samples as usize;
        let with_ttl = self.only_with_ttl();
        for index in 0..self.dbs.count() {
            let db = self.dbs.at(index);
            let keys = if with_ttl { db.with_ttl() } else { db.len() };
            if keys == 0 {
                continue;
            }
            total += keys;
            let mut sampled = std::mem::take(&mut self.eviction.sampled);
            sampled.clear();
            if with_ttl {
                db.sample_with_ttl(&mut self.rng, samples, &mut sampled);
            } else {
                db.sample(&mut self.rng, samples, &mut sampled);
            }
            for &handle in &sampled {
                self.consider(index, handle);
            }
            self.eviction.sampled = sampled;
        }
        total > 0
    }

    /// Puts a key into the pool if it is a better candidate than the worst there.
    fn consider(&mut self, index: usize, handle: Handle) {
        let db = self.dbs.at(index);
        let score = match self.conf.maxmemory_policy {
            Policy::AllkeysLfu | Policy::VolatileLfu => {
                255 - u64::from(self.eviction.clock.decayed(db.access(handle)))
            }
            Policy::VolatileTtl => u64::MAX - db.deadline(handle).unwrap_or(u64::MAX),
            _ => self.eviction.clock.idle_s(db.access(handle)),
        };
        let pool = &mut self.eviction.pool;
        let at = pool.partition_point(|c| c.score < score);
        if pool.len() >= POOL && at == 0 {
            return;
        }
        let key = db.key(handle);
        if pool.iter().any(|c| c.db == index as u32 && c.key == key) {
            return;
        }
        pool.insert(at, Candidate { score, db: index as u32, key: Bytes::copy_from_slice(key) });
        if pool.len() > POOL {
            pool.remove(0);
        }
    }

    fn evict(&mut self, index: u32, key: &[u8]) -> bool {
        let db = self.dbs.at_mut(index as usize);
        let hash = db.hash(key);
        if !db.remove(key, hash) {
            return false;
        }
        self.stats.evicted_keys += 1;
        let verb: &[u8] = if self.conf.lazyfree_lazy_eviction { b"UNLINK" } else { b"DEL" };
        self.propagation.removal(index, &[verb, key]);
        self.listeners.signal(index, key);
        self.listeners.notify(EventClass::Evicted, "evicted", key, index);
        true
    }
}
