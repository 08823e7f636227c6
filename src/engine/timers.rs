//! Time: what is due is done here, a bounded piece at a turn.
//!
//! Keys die by the wheel of their database, everything else by the engine's own wheel of named timers. Nothing runs
//! periodically while nothing happens: the sampler that feeds the `instantaneous_` figures is armed by traffic.

use super::client::state;
use super::give_back::GiveBack;
use super::host::Request;
use super::stats::SAMPLES;
use super::{Engine, Host};
use crate::base::id::ClientId;
use crate::base::limit::{EXPIRED_KEYS_AT_ONCE, EXPIRED_KEYS_PER_TURN};
use crate::keyspace::Due;
use crate::keyspace::types::{Hash, Stream};
use bytes::Bytes;

/// How often the `instantaneous_` figures are sampled while there is traffic.
const SAMPLE_MS: u64 = 100;

/// Registrations that one turn of compaction looks at; each costs about 45 ns.
const REGISTRATIONS_PER_TURN: usize = 1000;

/// Named timers that one turn looks at.
const TIMERS_PER_TURN: usize = 4096;

/// Buckets of a growing or shrinking table that an idle turn moves.
const TABLE_STEPS_PER_TURN: usize = 64;

/// What is known about the databases, so that a turn need not look at all of them.
#[derive(Debug)]
pub(super) struct Upkeep {
    /// Databases whose table or wheel is being worked on: bit `i % 64` for the database `i`.
    unfinished: u64,
    /// When each wheel has something to do next; `u64::MAX`: never.
    deadlines_ms: Vec<u64>,
    /// The least of them.
    nearest_ms: u64,
    /// Whose keys expire next.
    next_db_to_expire: usize,
    /// How often the `instantaneous_` figures are sampled at least before the loop may rest. At 0 no timer is armed for it,
    /// else one.
    samples_due: usize,
    /// When memory goes back to the system.
    pub give_back: GiveBack,
}

impl Default for Upkeep {
    fn default() -> Upkeep {
        Upkeep {
            unfinished: 0,
            deadlines_ms: Vec::new(),
            nearest_ms: u64::MAX,
            next_db_to_expire: 0,
            samples_due: 0,
            give_back: GiveBack::default(),
        }
    }
}

impl Upkeep {
    /// Notes when the wheel of a database has something to do next.
    fn set_deadline(&mut self, index: usize, deadline_ms: u64) {
        let before = std::mem::replace(&mut self.deadlines_ms[index], deadline_ms);
        if deadline_ms <= self.nearest_ms {
            self.nearest_ms = deadline_ms;
        } else if before == self.nearest_ms {
            self.nearest_ms = self.deadlines_ms.iter().copied().min().unwrap_or(u64::MAX);
        }
    }
}

/// What a timer stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Answer a blocked client as one whose time is over.
    BlockTimeout(ClientId),
    /// Let a client that waits for keys look whether time has brought it something.
    LookAgain(ClientId),
    /// Look whether a client has been idle for `timeout` seconds.
    Idle(ClientId),
    /// Look whether a client's output has been over its soft limit for too long.
    SoftLimit(ClientId),
    /// End CLIENT PAUSE.
    PauseEnd,
    /// Look at a connection by which keys go to another server.
    Link(ClientId),
    /// Sample the `instantaneous_` figures.
    Sample,
    /// Look whether a save point is met.
    SavePoint,
    /// Go on saving after a delay.
    SaveGoesOn,
    /// Go on loading after a delay.
    LoadGoesOn,
    /// Have what was logged made durable.
    LogSync,
    /// Look whether what was logged is late to be durable.
    LogLate,
    /// Try again to write what could not be logged.
    LogRetry,
    /// Look whether the log has grown so much that it is rewritten.
    LogGrown,
    /// Look whether a sealed backup was kept long enough.
    BackupKept,
    /// Look for hot keys no longer.
    HotKeysEnd,
    /// Look after replicas, once a second.
    Replication,
    /// Look whether a replica can take over.
    Failover,
    /// Look whether replicas have all that they are to have before the end.
    Shutdown,
}

impl Engine {
    /// Does what is due, within bounds; true when more is due at once.
    pub fn tick(&mut self, host: &mut dyn Host) -> bool {
        let now_ms = self.now.mono_ms();
        let mut budget = TIMERS_PER_TURN;
        while let Some(timer) = self.timers.pop_due(now_ms, &mut budget) {
            self.ring(host, timer);
        }
        self.look_at_gate();
        self.finish_lost_link(host);
        self.maintain_migrations(host);
        if std::mem::take(&mut self.eviction.is_late) {
            self.shrink_to_limit(host);
        }
        let more = self.go_on_with_link(host);
        let more = more | self.expire_keys(host) | self.deliver_waiting(host);
        let more = more | self.maintain_tracking(host) | self.go_on_with_work(host);
        self.maintain_databases();
        more || self.has_runnable()
    }

    /// Microseconds until `tick` has something to do; none: until the outside world says something.
    pub fn next_deadline_in_us(&self) -> Option<u64> {
        let timers =
            self.timers.next_deadline().map(|ms| ms.saturating_mul(1000).saturating_sub(self.now.mono_us));
        let nearest = Some(self.upkeep.nearest_ms).filter(|ms| *ms < u64::MAX && self.expires_actively());
        let keys = nearest.map(|ms| ms.saturating_mul(1000).saturating_sub(self.now.unix_us));
        let sync = self.durability.gate.sync_at_us().map(|us| us.saturating_sub(self.now.mono_us));
        [timers, keys, sync].into_iter().flatten().min()
    }

    /// Looks after the databases that changed: their tables, their wheels, what they threw away.
    fn maintain_databases(&mut self) {
        let mask = self.dbs.take_touched() | self.upkeep.unfinished;
        if mask == 0 {
            return;
        }
        self.upkeep.unfinished = 0;
        self.upkeep.deadlines_ms.resize(self.dbs.count(), u64::MAX);
        let mut rest = mask;
        while rest != 0 {
            let bit = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            for index in (bit..self.dbs.count()).step_by(64) {
                self.maintain_database(index);
            }
        }
        self.dbs.take_touched();
    }

    /// Looks after one database.
    fn maintain_database(&mut self, index: usize) {
        let db = self.dbs.at_mut(index);
        let unfinished = db.step_table(TABLE_STEPS_PER_TURN)
            | db.compact_wheel(REGISTRATIONS_PER_TURN)
            | !db.sweep_epochs();
        let deadline_ms = db.next_deadline_ms().unwrap_or(u64::MAX);
        self.upkeep.unfinished |= u64::from(unfinished) << (index % 64);
        self.upkeep.set_deadline(index, deadline_ms);
        while let Some(garbage) = self.dbs.at_mut(index).take_garbage() {
            self.free(garbage, None);
        }
    }

    fn expires_actively(&self) -> bool {
        self.switches.active_expire && !self.switches.cron_paused && !self.is_keyspace_held()
    }

    /// Removes keys whose deadline has passed, database by database in turn.
    fn expire_keys(&mut self, host: &mut dyn Host) -> bool {
        let now_ms = self.now.unix_ms();
        if self.upkeep.nearest_ms > now_ms || !self.expires_actively() {
            return false;
        }
        let begin = host.ticks();
        let mut more = false;
        let mut worked = false;
        for _ in 0..self.dbs.count() {
            let index = self.upkeep.next_db_to_expire;
            self.upkeep.next_db_to_expire = (index + 1) % self.dbs.count();
            if self.dbs.at(index).next_deadline_ms().is_none_or(|ms| ms > now_ms) {
                continue;
            }
            worked = true;
            let mut unfinished = true;
            for _ in 0..EXPIRED_KEYS_PER_TURN / EXPIRED_KEYS_AT_ONCE {
                unfinished = self.expire_some(host, index, now_ms);
                if !unfinished || host.ticks().saturating_sub(begin) > self.ticker.pace.expire_ticks {
                    break;
                }
            }
            more |= unfinished;
            if more {
                break;
            }
        }
        if worked {
            let spent = host.ticks().saturating_sub(begin);
            self.stats.active_expire_ticks += spent;
            self.note_latency("expire-cycle", spent);
        }
        more
    }

    /// Removes a few keys whose deadline has passed, and tells it; true when more are due.
    fn expire_some(&mut self, host: &mut dyn Host, index: usize, now_ms: u64) -> bool {
        let (listeners, stats) = (&mut self.listeners, &mut self.stats);
        let (propagation, verb) = (&mut self.propagation, self.conf.verb_of_expiry());
        let mut inner = Vec::new();
        let mut more =
            self.dbs.at_mut(index).expire_due(now_ms, EXPIRED_KEYS_AT_ONCE, |key, due| match due {
                Due::Expired(deadline) => {
                    let place = (index as u32, key);
                    listeners.expired(place, now_ms - deadline, verb, stats, propagation);
                    stats.expired_keys_active += 1;
                }
                Due::Inner => inner.push(Bytes::copy_from_slice(key)),
            });
        for key in inner {
            more |= self.expire_inner(index as u32, &key);
        }
        // Each key that died by itself is a change of its own.
        self.propagation.close_each();
        if self.listeners.has_news() {
            self.settle(host, None);
        }
        more
    }

    /// Removes some of what is inside a value and whose deadline has passed; true when more is due.
    fn expire_inner(&mut self, index: u32, key: &[u8]) -> bool {
        let now_ms = self.now.unix_ms();
        let db = self.dbs.at_mut(index as usize);
        let hash = db.hash(key);
        let Some(handle) = db.find(key, hash) else { return false };
        if let Some(mut stream) = db.take::<Box<Stream>>(handle) {
            // A follower and the log forget by themselves, and nobody is told.
            let removed = stream.idempotence.remove_due(now_ms, EXPIRED_KEYS_AT_ONCE);
            db.put(key, hash, stream, self.eviction.clock.fresh());
            db.arm_inner(key, hash);
            return removed == EXPIRED_KEYS_AT_ONCE;
        }
        let Some(mut value) = db.take::<Hash>(handle) else { return false };
        let mut gone = Vec::new();
        let removed = value.remove_due(now_ms, EXPIRED_KEYS_AT_ONCE, |name| gone.push(name.to_vec()));
        let is_gone = db.put(key, hash, value, self.eviction.clock.fresh()).is_none();
        db.arm_inner(key, hash);
        let (stats, propagation) = (&mut self.stats, &mut self.propagation);
        stats.expired_subkeys_active += gone.len() as u64;
        self.listeners.fields_expired((index, key), &gone, is_gone, stats, propagation);
        removed == EXPIRED_KEYS_AT_ONCE
    }

    fn ring(&mut self, host: &mut dyn Host, timer: Timer) {
        match timer {
            Timer::BlockTimeout(id) => self.time_out(id),
            Timer::LookAgain(id) => self.look_again(host, id),
            Timer::Idle(id) => self.check_idle(id),
            Timer::SoftLimit(id) => {
                if let Some(slot) = self.slot_of(id) {
                    self.check_output_limit(slot);
                }
            }
            Timer::PauseEnd => {
                if self.pause.until_us != 0 && self.pause.until_us <= self.now.mono_us {
                    self.unpause_clients();
                }
            }
            Timer::Link(id) => self.look_at_link(id),
            Timer::Sample => {
                self.upkeep.samples_due -= 1;
                self.sample(host);
            }
            Timer::SavePoint => self.look_at_save_points(host),
            Timer::SaveGoesOn => self.end_save_delay(),
            Timer::LoadGoesOn => self.end_load_delay(),
            Timer::LogSync => self.look_at_log_sync(),
            Timer::LogLate => self.look_at_late_log(),
            Timer::LogRetry => self.retry_log(),
            Timer::LogGrown => self.rewrite_if_grown(),
            Timer::BackupKept => self.look_at_backup_ttl(),
            Timer::HotKeysEnd => self.end_hot_keys(),
            Timer::Replication => self.maintain_replication(host),
            Timer::Failover => self.look_at_failover(host),
            Timer::Shutdown => self.look_at_shutdown(host),
        }
    }

    /// Traffic makes the `instantaneous_` figures move: arms the sampler.
    #[inline]
    pub fn note_traffic(&mut self) {
        if self.upkeep.samples_due == 0 {
            self.arm_sampler();
        }
        self.upkeep.samples_due = SAMPLES;
    }

    fn arm_sampler(&mut self) {
        self.timers.insert(self.now.mono_ms() + SAMPLE_MS, Timer::Sample);
    }

    /// Notes the most memory that was ever in use.
    pub fn note_peak(&mut self, host: &dyn Host) {
        let used = self.used_memory(host);
        if used > self.stats.peak_memory_bytes {
            self.stats.peak_memory_bytes = used;
            self.stats.peak_memory_unix_s = self.now.unix_s();
        }
    }

    /// Samples the counters, and does so again until the last traffic has left the figures.
    fn sample(&mut self, host: &mut dyn Host) {
        let now_us = self.now.mono_us;
        self.note_peak(host);
        self.arm_save_points();
        let stats = &mut self.stats;
        stats.ops.sample(stats.total_commands_processed, now_us);
        stats.input.sample(stats.total_net_input_bytes, now_us);
        stats.output.sample(stats.total_net_output_bytes, now_us);
        stats.cycles.sample(stats.eventloop_cycles, now_us);
        stats.cycle_us.sample(stats.eventloop_us, now_us);
        let is_moving = [&stats.ops, &stats.input, &stats.output].iter().any(|rate| rate.is_moving());
        self.give_memory_back(host);
        let goes_on = is_moving || self.upkeep.give_back.is_waiting();
        self.upkeep.samples_due = self.upkeep.samples_due.max(usize::from(goes_on));
        if self.upkeep.samples_due > 0 {
            self.arm_sampler();
        }
    }

    /// Gives free memory back to the system when there is much, and has been for a while.
    fn give_memory_back(&mut self, host: &mut dyn Host) {
        let now_us = self.now.mono_us;
        if !self.upkeep.give_back.is_due(host.allocated_bytes(), now_us) {
            return;
        }
        let begin = host.ticks();
        if let Err(error) = host.apply(Request::ReleaseMemory) {
            log::warn!("Memory could not be given back: {error}");
        }
        let took_us = self.ticker.pace.ns(host.ticks().saturating_sub(begin)) / 1000;
        self.upkeep.give_back.gave(host.allocated_bytes(), took_us, now_us);
    }

    /// Arms the idle timer of every client, when `timeout` was set.
    pub(super) fn arm_idle_timers(&mut self) {
        if self.conf.timeout_s == 0 {
            return;
        }
        let ids: Vec<ClientId> = self.clients.iter().map(|(_, c)| c.handle).collect();
        for id in ids {
            self.arm_idle_timer(id);
        }
    }

    /// Arms the idle timer of one client.
    pub(super) fn arm_idle_timer(&mut self, id: ClientId) {
        if self.conf.timeout_s > 0 {
            let at = self.now.mono_ms() + u64::from(self.conf.timeout_s) * 1000;
            self.timers.insert(at, Timer::Idle(id));
        }
    }

    /// Closes a client that has been idle for too long, or looks again when it could be.
    fn check_idle(&mut self, id: ClientId) {
        let timeout_us = u64::from(self.conf.timeout_s) * 1_000_000;
        let Some(slot) = self.slot_of(id) else { return };
        let client = &self.clients[slot];
        if timeout_us == 0 {
            return;
        }
        let stays = state::PUBSUB | state::MONITOR | state::REPLICA | state::PRIMARY;
        let waits = client.is(stays) || client.block.is_some();
        let due_us = client.active_us + timeout_us;
        if !waits && due_us <= self.now.mono_us {
            log::debug!("Closing idle client");
            self.close_soon(slot);
            return;
        }
        let next_us = if waits { self.now.mono_us + timeout_us } else { due_us };
        self.timers.insert(next_us.div_ceil(1000), Timer::Idle(id));
    }
}
