//! The server as a state machine without I/O: events go in, effects come out.
//!
//! The shell tells it of connections, bytes and closings, turns its clock by [`Engine::tick`], and takes away what it
//! wants done: bytes to send ([`Engine::poll_output`]) and jobs ([`Engine::poll_job`]), in the order of a [`turn`]. Nothing here opens a socket or a
//! file, reads a clock or draws an unseeded number; what a command needs of that kind it asks its [`Host`] for. The
//! engine never learns which shell drives it.

pub mod acl;
mod admission;
pub mod blocking;
pub mod busy;
pub mod call;
pub mod client;
pub mod client_memory;
pub mod clients;
pub mod clock;
mod configure;
pub mod connections;
pub mod ctx;
pub mod deliveries;
pub mod disk;
pub mod durability;
pub mod error;
pub mod eviction;
mod give_back;
pub mod host;
pub mod hot_keys;
pub mod input;
pub mod jobs;
pub mod key_batch;
pub mod keys;
pub mod latency;
pub mod limits;
pub mod listeners;
pub mod migrate;
pub mod monitor;
mod opening;
mod outermost;
pub mod output;
pub mod pause;
mod plain;
pub mod propagation;
pub mod pubsub;
pub mod recorder;
pub mod replay;
pub mod replication;
pub mod script;
pub mod settle;
pub mod shutdown;
pub mod slices;
pub mod slowlog;
pub mod spec;
pub mod stats;
pub mod syntax;
pub mod table;
pub mod timers;
pub mod tracking;
pub mod transaction;
pub mod turn;
pub mod waiters;

pub use call::Call;
pub use host::Host;
pub use jobs::{Done, Job};

use crate::base::hash::HashKey;
use crate::base::rng::Rng;
use crate::base::time::Now;
use crate::config::Config;
use crate::keyspace::event::{CHANNELS, EventClass};
use crate::keyspace::{Databases, db::KeyHash};
use crate::structures::wheel::TimerWheel;
use clients::Clients;
use table::Table;
use timers::Timer;

/// A hash that was computed when the request was parsed ahead.
pub type Hint = Option<KeyHash>;

/// The server.
pub struct Engine {
    /// All commands.
    pub table: &'static Table,
    /// The keyspace.
    pub dbs: Databases,
    /// The connections.
    pub clients: Clients,
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
    /// Commands that took long, or whose request or reply was large, and hot keys.
    pub logs: slowlog::CommandLogs,
    /// Latency spikes by event.
    pub latency: latency::LatencyMonitor,
    /// Phases of the loop's turns.
    pub recorder: recorder::Recorder,
    /// What keeps requests waiting: CLIENT PAUSE, and keys that go to another server.
    pub pause: pause::Pause,
    /// What does not change while the process runs.
    pub process: Process,
    /// What DEBUG has switched.
    pub switches: Switches,
    /// What is known of the last save.
    pub durability: durability::Durability,
    /// What replicas get.
    pub replication: replication::Replication,
    /// What the outermost command propagates.
    pub propagation: propagation::Propagation,
    /// Scripts and functions.
    pub scripts: script::Scripts,
    listeners: listeners::Listeners,
    timers: TimerWheel<Timer>,
    rng: Rng,
    /// What clients weigh.
    client_memory: client_memory::ClientMemory,
    queues: output::Queues,
    pools: Pools,
    jobs: jobs::Jobs,
    eviction: eviction::Eviction,
    ticker: clock::Ticker,
    upkeep: timers::Upkeep,
    /// Reasons to refuse that are in force for everybody: bits of [`admission::gate`].
    gates: u32,
    /// What belongs to the outermost command that runs.
    outermost: outermost::Outermost,
}

/// What does not change while the process runs.
#[derive(Debug, Clone)]
pub struct Process {
    /// Names of the process.
    pub names: host::ProcessNames,
    /// 40 hex digits, new at every start.
    pub run_id: String,
    /// Unix seconds at which the server started.
    pub started_unix_s: u64,
    /// Bytes in use before the first key came.
    pub startup_bytes: usize,
}

/// What DEBUG has switched.
#[derive(Debug, Clone)]
pub struct Switches {
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub active_expire: bool,
    /// DEBUG REPLYBUFFER PEAK-RESET-TIME, in milliseconds; none: never.
    pub reply_peak_reset_ms: Option<u64>,
    /// DEBUG REPLYBUFFER RESIZING.
    pub reply_resizing: bool,
    /// DEBUG SET-DISABLE-DENY-SCRIPTS.
    pub allows_all_in_scripts: bool,
    /// DEBUG REPLY-COPY-AVOIDANCE 0.
    pub replies_are_copies: bool,
    /// DEBUG PAUSE-CRON.
    pub cron_paused: bool,
    /// DEBUG AOF-FLUSH-SLEEP: microseconds for which everything stands before the log is written.
    pub log_delay_us: u64,
}

/// Memory that is used again.
#[derive(Debug, Default)]
struct Pools {
    /// Empty output buffers.
    buffers: Vec<Vec<u8>>,
    /// Requests that were parsed ahead; taken out while they run.
    batch: input::Batch,
    /// An empty queue of a transaction.
    transaction: Option<Box<transaction::Transaction>>,
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
        let process = Process {
            names,
            run_id: hex_id(&mut rng),
            started_unix_s: now.unix_s(),
            startup_bytes: host.allocated_bytes(),
        };
        let switches = Switches {
            active_expire: true,
            reply_peak_reset_ms: Some(5000),
            reply_resizing: true,
            replies_are_copies: false,
            cron_paused: false,
            log_delay_us: 0,
            allows_all_in_scripts: false,
        };
        let mut engine = Engine {
            table,
            dbs: Databases::new(conf.databases as usize, hash_key, now.unix_ms()),
            clients: Clients::default(),
            stats: stats::Stats::new(table.rows().len()),
            now,
            acl: acl::Acl::new(table, &conf),
            pubsub: pubsub::Pubsub::default(),
            logs: slowlog::CommandLogs::default(),
            latency: latency::LatencyMonitor::default(),
            recorder: recorder::Recorder::new(host.ticks_per_ms()),
            pause: pause::Pause::default(),
            process,
            switches,
            durability: durability::Durability::new(now.unix_s()),
            replication: replication::Replication::new(hex_id(&mut rng), now.mono_us),
            propagation: propagation::Propagation::default(),
            scripts: script::Scripts::default(),
            listeners: listeners::Listeners::default(),
            timers: TimerWheel::new(now.mono_ms()),
            rng,
            client_memory: client_memory::ClientMemory::default(),
            queues: output::Queues::default(),
            pools: Pools::default(),
            jobs: jobs::Jobs::default(),
            eviction: eviction::Eviction::default(),
            ticker: clock::Ticker::new(ticks, host.ticks_per_ms()),
            upkeep: timers::Upkeep::default(),
            gates: 0,
            outermost: outermost::Outermost { last_ticks: ticks, ..outermost::Outermost::default() },
            conf,
        };
        engine.conf.tuning.hash_key = hash_key;
        engine.dbs.weigh(engine.conf.key_memory_histograms);
        engine.take_over_configuration();
        engine
    }

    /// Notes which events of the keyspace somebody wants to hear of.
    fn note_wanted(&mut self) {
        let watched = if self.listeners.watchers.is_empty() { 0 } else { EventClass::CHANGES };
        let tracked = if self.listeners.tracking.is_on() { EventClass::CHANGES } else { 0 };
        self.listeners.published = self.conf.notify_keyspace_events.0;
        let told = if self.listeners.published & CHANNELS == 0 { 0 } else { self.listeners.published };
        self.listeners.heard = told | watched;
        let noted = if self.eviction.clock.lrm { EventClass::CHANGES } else { 0 };
        self.listeners.wanted = self.listeners.heard | tracked | noted;
    }

    /// Whether keys and fields whose deadline has passed are shown, and stay (DEBUG SET-ALLOW-ACCESS-EXPIRED).
    pub fn show_expired(&mut self, on: bool) {
        self.listeners.shows_expired = on;
    }

    /// Whether what is known of the sizes of values is compared with what they are after each command, which takes long (DEBUG
    /// KEYSIZES-HIST-ASSERT).
    pub fn check_sizes(&mut self, on: bool) {
        self.listeners.set_after(listeners::after::SIZES, on);
    }

    /// Whether replies share the bytes of large values (DEBUG REPLY-COPY-AVOIDANCE).
    pub fn share_replies(&mut self, on: bool) {
        self.switches.replies_are_copies = !on;
        let slots: Vec<usize> = self.clients.iter().map(|(slot, _)| slot).collect();
        slots.into_iter().for_each(|slot| self.clients[slot].out.copy_all(!on));
    }

    /// Passes on what was propagated up to the last outermost command that is done, to whoever follows.
    #[inline]
    pub fn commit(&mut self) {
        if self.propagation.batch().has_groups() {
            self.commit_groups();
        }
    }

    fn commit_groups(&mut self) {
        let second = self.conf.aof_timestamp_enabled.then(|| self.now.unix_s() as i64);
        if self.conf.aof_integrity_check && self.durability.log.is_later(second) {
            // A batch has one time, at its beginning, so that a file can be cut there.
            self.hand_over_buffer();
        }
        let is_primary = !self.is_replica();
        for group in self.propagation.batch().groups() {
            // The feed of a replica is that of its primary.
            if is_primary {
                self.replication.feed.commit(group);
            }
            self.durability.log.commit(group, second);
        }
        self.propagation.batch().forget_groups();
        if is_primary && self.replication.feed.is_kept() {
            self.feed_went_on();
        }
    }

    /// Memory in use, in bytes: what is allocated less free slab cells, what waits to be freed, and the
    /// interpreters of scripts.
    pub fn used_memory(&self, host: &dyn Host) -> usize {
        let free: usize = self.dbs.iter().map(crate::keyspace::Db::free_bytes).sum();
        let apart = free + self.jobs.garbage_bytes + self.dbs.held_bytes() + self.interpreter_bytes();
        host.allocated_bytes().saturating_sub(apart)
    }

    /// What `maxmemory` limits, in bytes.
    pub(in crate::engine) fn memory_to_limit(&self, host: &dyn Host) -> usize {
        self.used_memory(host).saturating_sub(self.bytes_not_for_eviction())
    }

    /// Whether the command that runs is part of another one, which must not wait.
    pub fn is_nested(&self) -> bool {
        self.outermost.nesting.depth > 0
    }

    /// The access bits of a key that is written now.
    pub fn fresh_access(&self) -> u32 {
        self.eviction.clock.fresh()
    }

    /// Access bits as the LRU clock at the last access and the seconds since.
    pub fn access_of(&self, access: u32) -> (u32, u64) {
        (access, self.eviction.clock.idle_s(access))
    }

    /// A number below `n`.
    pub fn random_below(&mut self, n: u64) -> u64 {
        self.rng.below(n)
    }
}

/// 40 random hex digits.
fn hex_id(rng: &mut Rng) -> String {
    (0..40).map(|_| char::from(b"0123456789abcdef"[rng.below(16) as usize])).collect()
}
