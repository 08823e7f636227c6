//! The server as a state machine without I/O: events go in, effects come out.
//!
//! The shell tells it of connections, bytes and closings, turns its clock by [`Engine::tick`], and takes away what it
//! wants done: bytes to send ([`Engine::poll_output`]) and jobs ([`Engine::poll_job`]). Nothing here opens a socket or a
//! file, reads a clock or draws an unseeded number; what a command needs of that kind it asks its [`Host`] for. The
//! engine never learns which shell drives it.

pub mod acl;
mod admission;
pub mod busy;
pub mod call;
pub mod client;
pub mod client_memory;
pub mod config;
pub mod connections;
pub mod ctx;
pub mod deliveries;
pub mod durability;
pub mod error;
pub mod eviction;
mod give_back;
pub mod host;
pub mod input;
pub mod key_batch;
pub mod keys;
pub mod latency;
pub mod limits;
pub mod listeners;
pub mod monitor;
mod outermost;
pub mod output;
pub mod pause;
mod plain;
pub mod propagation;
pub mod pubsub;
pub mod recorder;
pub mod script;
pub mod settle;
pub mod shutdown;
pub mod slowlog;
pub mod spec;
pub mod stats;
pub mod syntax;
pub mod table;
pub mod timers;
pub mod tracking;
pub mod transaction;
pub mod waiters;

pub use call::Call;
pub use host::Host;

use crate::base::hash::HashKey;
use crate::base::id::ClientId;
use crate::base::limit::{EXPIRY_US_PER_TURN, SERVING_US_PER_CLIENT};
use crate::base::rng::Rng;
use crate::base::time::Now;
use crate::keyspace::access::AccessClock;
use crate::keyspace::event::{CHANNELS, EventClass};
use crate::keyspace::garbage::Garbage;
use crate::keyspace::{Databases, db::KeyHash};
use crate::replication::feed::Feed;
use crate::structures::wheel::TimerWheel;
use client::Client;
use config::{Config, MaxmemoryPolicy};
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use table::Table;
use timers::Timer;

/// Within a turn time is told by the tick counter, which may be ahead of the wall clock by so many microseconds without
/// anybody having set the date.
const CLOCK_JITTER_US: u64 = 5000;

/// A hash that was computed when the request was parsed ahead.
pub type Hint = Option<KeyHash>;

/// Work for the shell.
#[derive(Debug)]
pub enum Job {
    /// Close this connection.
    Close(ClientId),
    /// Free this on the helper thread; tell `freed` with the number.
    Free(Garbage, u64),
    /// End the process in order, with this exit code.
    Exit(i32),
}

/// The server.
pub struct Engine {
    /// All commands.
    pub table: &'static Table,
    /// The keyspace.
    pub dbs: Databases,
    /// The connections, by slot.
    pub clients: Slab<Client>,
    /// The configuration.
    pub conf: Config,
    /// Counters.
    pub stats: stats::Stats,
    /// The time of the command that runs.
    pub now: Now,
    /// Users, and what was refused to them.
    pub acl: acl::Acl,
    /// Who listens to what.
    pub pubsub: pubsub::Pubsub,
    /// What clients weigh.
    client_memory: client_memory::ClientMemory,
    /// Messages that are on their way to many.
    pub deliveries: deliveries::Deliveries,
    /// Slow commands.
    pub slowlog: slowlog::CommandLog,
    /// Commands whose request was large.
    pub large_requests: slowlog::CommandLog,
    /// Commands whose reply was large.
    pub large_replies: slowlog::CommandLog,
    /// Latency spikes by event.
    pub latency: latency::LatencyMonitor,
    /// Phases of the loop's turns.
    pub recorder: recorder::Recorder,
    /// CLIENT PAUSE.
    pub pause: pause::Pause,
    /// What nobody else keeps: replication id, start time, mode switches of DEBUG.
    pub facts: Facts,
    /// What is known of the last save.
    pub durability: durability::Durability,
    /// Committed frames.
    pub feed: Feed,
    /// What the outermost command propagates.
    pub propagation: propagation::Propagation,
    listeners: listeners::Listeners,
    timers: TimerWheel<Timer>,
    rng: Rng,
    clock: AccessClock,
    /// Generation of the client that last used each slot.
    generations: Vec<u32>,
    next_client_id: u64,
    /// CLIENT ID to connection.
    by_id: BTreeMap<u64, ClientId>,
    /// Clients with output that was not offered to the shell.
    outputs: Vec<ClientId>,
    /// Clients with messages from others that were not offered to the shell, longest waiting first.
    messaged: VecDeque<ClientId>,
    /// Clients whose output is written on at the next turn.
    deferred: Vec<ClientId>,
    /// Clients with requests that wait for a turn.
    runnable: VecDeque<ClientId>,
    give_back: give_back::GiveBack,
    jobs: VecDeque<Job>,
    next_job: u64,
    /// Jobs that free what SYNC was asked for where nobody can wait.
    unseen_jobs: BTreeSet<u64>,
    /// Clients that wait for a job, by its number.
    job_waiters: BTreeMap<u64, ClientId>,
    /// Bytes queued for freeing.
    garbage_bytes: usize,
    /// Objects queued for freeing.
    garbage_objects: u64,
    /// Empty output buffers.
    buffers: Vec<Vec<u8>>,
    /// Requests that were parsed ahead; taken out while they run.
    batch: input::Batch,
    eviction: eviction::Eviction,
    /// Ticks of the host that belong to `now`.
    now_ticks: u64,
    ticks_per_ms: u64,
    pace: Pace,
    upkeep: timers::Upkeep,
    /// Reasons to refuse that are in force for everybody: bits of [`admission::gate`].
    gates: u32,
    /// The command that breathes at the moment.
    busy: Option<busy::Busy>,
    /// Scripts and functions.
    pub scripts: script::Scripts,
    /// The command that runs found more memory in use than there may be, and nothing that could go.
    is_short_of_memory: bool,
    /// What belongs to the outermost command that runs.
    outermost: outermost::Outermost,
    /// An empty queue, with its memory.
    spare_transaction: Option<Box<transaction::Transaction>>,
    next_db_to_expire: usize,
    /// How often the `instantaneous_` figures are sampled at least before the loop may rest. At 0 no timer is armed for it,
    /// else one.
    samples_due: usize,
}

/// Times of the configuration in ticks of the host, so that a command divides nothing.
#[derive(Debug, Default, Clone, Copy)]
struct Pace {
    /// Nanoseconds of a tick, times 2^32.
    ns_per_tick: u64,
    /// A command that takes so long is looked at: for the slow log, or as a latency spike.
    slow_ticks: u64,
    /// How long a turn removes expired keys.
    expire_ticks: u64,
    /// How long one client's requests run in a row.
    serving_ticks: u64,
    /// The time of the commands moves on when it is so far behind: a quarter of a millisecond.
    step_ticks: u64,
    /// A request of so many bytes enters the log of large ones.
    large_request_bytes: u64,
    /// A reply of so many bytes enters the log of large ones.
    large_reply_bytes: u64,
}

impl Pace {
    fn new(conf: &Config, ticks_per_ms: u64) -> Pace {
        let slow_us = u64::try_from(conf.slowlog_log_slower_than_us).unwrap_or(u64::MAX);
        let spike_us = match conf.latency_monitor_threshold_ms {
            0 => u64::MAX,
            ms => ms.saturating_mul(1000),
        };
        let ticks = u128::from(slow_us.min(spike_us)) * u128::from(ticks_per_ms) / 1000;
        Pace {
            ns_per_tick: ((1_000_000u128 << 32) / u128::from(ticks_per_ms)) as u64,
            slow_ticks: u64::try_from(ticks).unwrap_or(u64::MAX),
            expire_ticks: EXPIRY_US_PER_TURN * ticks_per_ms / 1000,
            serving_ticks: SERVING_US_PER_CLIENT * ticks_per_ms / 1000,
            step_ticks: ticks_per_ms / 4,
            large_request_bytes: u64::try_from(conf.commandlog_request_larger_than_bytes).unwrap_or(u64::MAX),
            large_reply_bytes: u64::try_from(conf.commandlog_reply_larger_than_bytes).unwrap_or(u64::MAX),
        }
    }

    /// Ticks as nanoseconds.
    #[inline]
    fn ns(self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.ns_per_tick)) >> 32) as u64
    }
}

/// What describes the process and does not change, and the switches of DEBUG.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Names of the process.
    pub names: host::ProcessNames,
    /// 40 hex digits, new at every start.
    pub run_id: String,
    /// 40 hex digits: the history that replicas would follow.
    pub replication_id: String,
    /// Unix seconds at which the server started.
    pub started_unix_s: u64,
    /// Bytes in use before the first key came.
    pub startup_bytes: usize,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub active_expire: bool,
    /// DEBUG REPLYBUFFER PEAK-RESET-TIME, in milliseconds; none: never.
    pub reply_peak_reset_ms: Option<u64>,
    /// DEBUG REPLYBUFFER RESIZING.
    pub reply_resizing: bool,
    /// DEBUG SET-DISABLE-DENY-SCRIPTS.
    pub allows_all_in_scripts: bool,
    /// DEBUG PAUSE-CRON.
    pub cron_paused: bool,
}

impl Engine {
    /// A server with an empty keyspace.
    pub fn new(
        table: &'static Table,
        conf: Config,
        names: host::ProcessNames,
        host: &mut dyn Host,
    ) -> Engine {
        let now = host.now();
        let ticks = host.ticks();
        let hash_key = HashKey { k0: host.random(), k1: host.random() };
        let mut rng = Rng::from_seed(host.random());
        let facts = Facts {
            names,
            run_id: hex_id(&mut rng),
            replication_id: hex_id(&mut rng),
            started_unix_s: now.unix_s(),
            startup_bytes: host.allocated_bytes(),
            active_expire: true,
            reply_peak_reset_ms: Some(5000),
            reply_resizing: true,
            cron_paused: false,
            allows_all_in_scripts: false,
        };
        let mut engine = Engine {
            table,
            dbs: Databases::new(conf.databases as usize, hash_key, now.unix_ms()),
            clients: Slab::new(),
            stats: stats::Stats::new(table.rows().len()),
            now,
            acl: acl::Acl::new(table, &conf),
            pubsub: pubsub::Pubsub::default(),
            client_memory: client_memory::ClientMemory::default(),
            deliveries: deliveries::Deliveries::default(),
            slowlog: slowlog::CommandLog::default(),
            large_requests: slowlog::CommandLog::default(),
            large_replies: slowlog::CommandLog::default(),
            latency: latency::LatencyMonitor::default(),
            recorder: recorder::Recorder::new(host.ticks_per_ms()),
            pause: pause::Pause::default(),
            facts,
            durability: durability::Durability { last_save_unix_s: now.unix_s(), changes_at_save: 0 },
            feed: Feed::default(),
            propagation: propagation::Propagation::default(),
            listeners: listeners::Listeners::default(),
            timers: TimerWheel::new(now.mono_ms()),
            rng,
            clock: AccessClock::default(),
            generations: Vec::new(),
            next_client_id: 1,
            by_id: BTreeMap::new(),
            outputs: Vec::new(),
            messaged: VecDeque::new(),
            deferred: Vec::new(),
            runnable: VecDeque::new(),
            give_back: give_back::GiveBack::default(),
            jobs: VecDeque::new(),
            next_job: 1,
            unseen_jobs: BTreeSet::new(),
            job_waiters: BTreeMap::new(),
            garbage_bytes: 0,
            garbage_objects: 0,
            buffers: Vec::new(),
            batch: input::Batch::default(),
            eviction: eviction::Eviction::default(),
            now_ticks: ticks,
            ticks_per_ms: host.ticks_per_ms(),
            pace: Pace::default(),
            upkeep: timers::Upkeep::default(),
            gates: 0,
            busy: None,
            scripts: script::Scripts::default(),
            is_short_of_memory: false,
            outermost: outermost::Outermost::default(),
            spare_transaction: None,
            next_db_to_expire: 0,
            samples_due: 0,
            conf,
        };
        engine.conf.tuning.hash_key = hash_key;
        engine.configured();
        engine
    }

    /// Draws the consequences of a configuration that changed.
    pub fn configured(&mut self) {
        self.clock.lfu =
            matches!(self.conf.maxmemory_policy, MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu);
        self.clock.log_factor = self.conf.lfu_log_factor;
        self.clock.decay_minutes = self.conf.lfu_decay_time_min;
        self.clock.set_time(self.now.unix_s());
        self.note_wanted();
        self.pace = Pace::new(&self.conf, self.ticks_per_ms);
        self.listeners.expiry_held = self.is_keyspace_held();
        self.configure_gates();
        let conf = &self.conf;
        self.slowlog.settle(conf.slowlog_log_slower_than_us, conf.slowlog_max_len);
        self.large_requests
            .settle(conf.commandlog_request_larger_than_bytes, conf.commandlog_large_request_max_len);
        self.large_replies
            .settle(conf.commandlog_reply_larger_than_bytes, conf.commandlog_large_reply_max_len);
        self.arm_idle_timers();
        self.configure_client_memory();
    }

    /// Notes which events of the keyspace somebody wants to hear of.
    fn note_wanted(&mut self) {
        let watched = if self.listeners.watchers.is_empty() { 0 } else { EventClass::CHANGES };
        let tracked = if self.listeners.tracking.is_on() { EventClass::CHANGES } else { 0 };
        self.listeners.published = u32::from(self.conf.notify_keyspace_events.0);
        let told = if self.listeners.published & CHANNELS == 0 { 0 } else { self.listeners.published };
        self.listeners.heard = told | watched;
        self.listeners.wanted = self.listeners.heard | tracked;
    }

    /// Starts or stops to gather what is propagated.
    pub fn follow_feed(&mut self, active: bool) {
        self.propagation.follow(active);
        self.listeners.set_after(listeners::after::FEED, active);
        self.feed.restart();
    }

    /// The slot of a client that is still there.
    #[inline]
    pub fn slot_of(&self, id: ClientId) -> Option<usize> {
        let slot = id.slot as usize;
        self.clients.get(slot).filter(|c| c.handle == id).map(|_| slot)
    }

    /// A client that is still there.
    #[inline]
    pub fn client(&self, id: ClientId) -> Option<&Client> {
        self.clients.get(id.slot as usize).filter(|c| c.handle == id)
    }

    /// A client that is still there, to change.
    #[inline]
    pub fn client_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.clients.get_mut(id.slot as usize).filter(|c| c.handle == id)
    }

    /// The next piece of work for the shell.
    pub fn poll_job(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    /// Memory in use, in bytes: what is allocated less free slab cells, what waits to be freed, and the
    /// interpreters of scripts.
    pub fn used_memory(&self, host: &dyn Host) -> usize {
        let free: usize = self.dbs.iter().map(crate::keyspace::Db::free_bytes).sum();
        let apart = free + self.garbage_bytes + self.interpreter_bytes();
        host.allocated_bytes().saturating_sub(apart)
    }

    /// The garbage of all databases becomes jobs.
    pub fn collect_garbage(&mut self) {
        for index in 0..self.dbs.count() {
            while let Some(garbage) = self.dbs.at_mut(index).take_garbage() {
                self.free(garbage, None);
            }
        }
    }

    /// Hands something to the helper thread; `waiter` is told when it is freed.
    pub fn free(&mut self, garbage: Garbage, waiter: Option<ClientId>) -> u64 {
        let job = self.next_job;
        self.next_job += 1;
        self.garbage_bytes += garbage.heap_bytes();
        self.garbage_objects += garbage.objects();
        if let Some(waiter) = waiter {
            self.job_waiters.insert(job, waiter);
        }
        self.jobs.push_back(Job::Free(garbage, job));
        job
    }

    /// Whether the command that runs is part of another one, which must not wait.
    pub fn is_nested(&self) -> bool {
        self.outermost.nesting.depth > 0
    }

    /// As [`Engine::free`] within EXEC or a script, whose client cannot wait for it: it does not count as freed lazily,
    /// since SYNC was asked for.
    pub fn free_unseen(&mut self, garbage: Garbage) {
        let objects = garbage.objects();
        let job = self.free(garbage, None);
        self.garbage_objects -= objects;
        self.unseen_jobs.insert(job);
    }

    /// Something was freed: what it held, as it was counted when it was queued.
    pub fn freed(&mut self, job: u64, bytes: usize, objects: u64) {
        self.garbage_bytes -= bytes.min(self.garbage_bytes);
        if !self.unseen_jobs.remove(&job) {
            self.garbage_objects -= objects.min(self.garbage_objects);
            self.stats.lazyfreed_objects += objects;
        }
        if let Some(waiter) = self.job_waiters.remove(&job) {
            self.unblock_with_ok(waiter);
        }
    }

    /// Objects that wait to be freed.
    pub fn pending_free_objects(&self) -> u64 {
        self.garbage_objects
    }

    /// Ticks of the host in a millisecond.
    pub fn ticks_per_ms(&self) -> u64 {
        self.ticks_per_ms
    }

    /// The access bits of a key that is written now.
    pub fn fresh_access(&self) -> u32 {
        self.clock.fresh()
    }

    /// Access bits as the LRU clock at the last access and the seconds since.
    pub fn access_of(&self, access: u32) -> (u32, u64) {
        (access, self.clock.idle_s(access))
    }

    /// A number below `n`.
    pub fn draw(&mut self, n: u64) -> u64 {
        self.rng.below(n)
    }

    /// Begins a new history for replicas.
    pub fn change_replication_id(&mut self) {
        self.facts.replication_id = hex_id(&mut self.rng);
    }

    /// Looks at the clocks, unless EXEC or a script runs: these keep the time at which they began.
    pub fn read_clock(&mut self, host: &mut dyn Host) {
        if self.outermost.nesting.depth == 0 {
            let (now, ticks) = (host.now(), host.ticks());
            self.set_now(now, ticks);
        }
    }

    /// Takes over what the clocks say.
    pub fn set_now(&mut self, now: Now, ticks: u64) {
        let mut now = now;
        if now.unix_us + CLOCK_JITTER_US < self.now.unix_us {
            for db in self.dbs.iter_mut() {
                db.clock_stepped_back(now.unix_ms());
            }
        } else {
            now.unix_us = now.unix_us.max(self.now.unix_us);
        }
        now.mono_us = now.mono_us.max(self.now.mono_us);
        self.now = now;
        self.now_ticks = ticks;
        self.clock.set_time(now.unix_s());
    }
}

/// 40 random hex digits.
fn hex_id(rng: &mut Rng) -> String {
    (0..40).map(|_| char::from(b"0123456789abcdef"[rng.below(16) as usize])).collect()
}
