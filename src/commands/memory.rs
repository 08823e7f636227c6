//! MEMORY: where the bytes are.

use super::help::help_row;
use crate::base::number::parse_i64;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::host::Request;
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec, key, key_at};
use crate::engine::{Call, Engine, Host};

const TIPS: &[&str] = &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];
const WHY: &str = "memory is counted for the whole server";

pub(super) const COMMANDS: &[Spec] = &[Spec::container("memory", SUBCOMMANDS)
    .doc(Group::Server, "4.0.0", "Depends on subcommand.", "Groups the commands about memory.")
    .help(HELP)];

const SUBCOMMANDS: &[Spec] = &[
    Spec::global("stats", 2, stats, WHY).tips(TIPS).doc(
        Group::Server,
        "4.0.0",
        "O(1)",
        "Shows what the memory is used for.",
    ),
    help_row(Group::Server, "4.0.0", 0),
    Spec::local("purge", 2, purge).tips(&["request_policy:all_shards", "response_policy:all_succeeded"]).doc(
        Group::Server,
        "4.0.0",
        "Depends on how much memory is allocated, could be slow",
        "Gives free memory of the allocator back to the system.",
    ),
    Spec::local("malloc-stats", 2, malloc_stats).tips(TIPS).doc(
        Group::Server,
        "4.0.0",
        "Depends on how much memory is allocated, could be slow",
        "Shows what the allocator tells about itself.",
    ),
    Spec::global("doctor", 2, doctor, WHY).tips(TIPS).doc(
        Group::Server,
        "4.0.0",
        "O(1)",
        "Says in words what looks wrong.",
    ),
    Spec::local("usage", -3, usage)
        .flags(READONLY)
        .keys(&[key_at(2, key::RO)])
        .doc(
            Group::Server,
            "4.0.0",
            "O(N) where N is the number of samples.",
            "Tells the bytes that a key takes with its value.",
        )
        .syntax("key@0 SAMPLES=count:integer?"),
];

const HELP: &[&str] = &[
    "DOCTOR",
    "    Return memory problems reports.",
    "MALLOC-STATS",
    "    Return internal statistics report from the memory allocator.",
    "PURGE",
    "    Attempt to purge dirty pages for reclamation by the allocator.",
    "STATS",
    "    Return information about the memory usage of the server.",
    "USAGE <key> [SAMPLES <count>]",
    "    Return memory in bytes used by <key> and its value. Nested values are",
    "    sampled up to <count> times (default: 5, 0 means sample all).",
];

fn usage(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    let mut at = 3;
    while at < args.len() {
        if !args.is(at, "samples") || at + 1 >= args.len() {
            return Err(CmdError::Syntax);
        }
        let samples = parse_i64(args.at(at + 1)).ok_or(CmdError::NotInteger)?;
        if samples < 0 {
            return Err(CmdError::Syntax);
        }
        at += 2;
    }
    let key = ctx.key_of(args.at(2));
    match ctx.peek(key) {
        None => ctx.reply.null(),
        Some(handle) => {
            let bytes = ctx.db().entry_bytes(handle);
            ctx.reply.int(bytes as i64);
        }
    }
    Ok(Outcome::Done)
}

fn purge(ctx: &mut Ctx<'_>) -> CmdResult {
    ctx.host.apply(Request::ReleaseMemory).map_err(CmdError::err)?;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn malloc_stats(ctx: &mut Ctx<'_>) -> CmdResult {
    let facts = ctx.host.facts();
    let text =
        format!("allocated: {} bytes\nresident: {} bytes\n", ctx.host.allocated_bytes(), facts.rss_bytes);
    ctx.reply.verbatim(*b"txt", text.as_bytes());
    Ok(Outcome::Done)
}

/// Where the memory of the server is, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Overview {
    /// All that is in use.
    pub used: usize,
    /// The most that ever was.
    pub peak: usize,
    /// In use before the first key came.
    pub startup: usize,
    /// Everything but the keys and their values.
    pub overhead: usize,
    /// Buffers of clients that are not replicas.
    pub clients: usize,
    /// Buffers of replicas, and what is kept for them beyond the backlog.
    pub replicas: usize,
    /// The backlog of the feed.
    pub backlog: usize,
    /// What is to be written to the log.
    pub log_buffer: usize,
    /// Scripts, and libraries of functions.
    pub caches: [usize; 2],
    /// Interpreters.
    pub interpreters: usize,
    /// Keys.
    pub keys: usize,
    /// Resident, as the kernel counts.
    pub resident: usize,
    /// Allocated and not used: free cells of slabs.
    pub slab_holes: usize,
    /// Allocated in all.
    pub allocated: usize,
}

impl Overview {
    pub(super) fn of(engine: &mut Engine, host: &mut dyn Host) -> Overview {
        let used = engine.used_memory(host);
        let all_clients: usize = engine.clients.iter().map(|(_, client)| client.memory_bytes()).sum();
        let replica_clients = engine.replica_clients_bytes();
        let clients = all_clients - replica_clients;
        let beyond = engine.feed_bytes_beyond_backlog();
        let backlog = engine.replication.feed.heap_bytes() - beyond;
        let replicas = beyond + replica_clients;
        let log_buffer = engine.durability.log.unwritten_bytes() as usize;
        let caches = [engine.scripts.cached_bytes(), engine.scripts.libraries.bytes()];
        let interpreters = engine.interpreter_bytes();
        let shown = clients + replicas + backlog + log_buffer + caches[0] + caches[1] + interpreters;
        if used > engine.stats.peak_memory_bytes {
            engine.stats.peak_memory_bytes = used;
            engine.stats.peak_memory_unix_s = engine.now.unix_s();
        }
        let tables: usize = engine.dbs.iter().map(crate::keyspace::Db::overhead_bytes).sum();
        let startup = engine.process.startup_bytes;
        Overview {
            used,
            peak: engine.stats.peak_memory_bytes,
            startup,
            overhead: (startup + shown + tables).min(used),
            clients,
            replicas,
            backlog,
            log_buffer,
            caches,
            interpreters,
            keys: engine.dbs.keys(),
            resident: host.facts().rss_bytes,
            slab_holes: engine.dbs.iter().map(crate::keyspace::Db::free_bytes).sum(),
            allocated: host.allocated_bytes(),
        }
    }

    /// Keys and values, in bytes.
    pub(super) fn dataset(&self) -> usize {
        self.used - self.overhead
    }

    /// The share of the dataset in all that was not there at the start, in percent.
    pub(super) fn dataset_percent(&self) -> f64 {
        let net = self.used.saturating_sub(self.startup);
        if net == 0 { 0.0 } else { self.dataset() as f64 * 100.0 / net as f64 }
    }

    /// Resident bytes for each used one.
    pub(super) fn fragmentation(&self) -> f64 {
        self.resident as f64 / self.used.max(1) as f64
    }
}

fn stats(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let seen = Overview::of(engine, call.host);
    let dbs: Vec<(usize, usize, usize)> = engine
        .dbs
        .iter()
        .enumerate()
        .filter(|(_, db)| !db.is_empty())
        .map(|(i, db)| (i, db.table_bytes(), db.wheel_bytes()))
        .collect();
    let lut: usize = dbs.iter().map(|(_, table, wheel)| table + wheel).sum();
    let held = seen.allocated;
    let holes = seen.slab_holes;
    let resident = seen.resident;
    let whole = |reply: &mut crate::resp::Reply<'_>, name: &str, value: i64| {
        reply.bulk(name.as_bytes());
        reply.int(value);
    };
    let part = |reply: &mut crate::resp::Reply<'_>, name: &str, value: f64| {
        reply.bulk(name.as_bytes());
        reply.double(value);
    };
    let mut out = engine.reply(call.slot);
    let reply = &mut out;
    reply.map(33 + dbs.len());
    whole(reply, "peak.allocated", seen.peak as i64);
    whole(reply, "total.allocated", seen.used as i64);
    whole(reply, "startup.allocated", seen.startup as i64);
    whole(reply, "replication.backlog", seen.backlog as i64);
    whole(reply, "replica.fullsync.buffer", 0);
    whole(reply, "clients.slaves", seen.replicas as i64);
    whole(reply, "clients.normal", seen.clients as i64);
    whole(reply, "cluster.links", 0);
    whole(reply, "aof.buffer", seen.log_buffer as i64);
    whole(reply, "lua.caches", seen.caches[0] as i64);
    whole(reply, "functions.caches", seen.caches[1] as i64);
    whole(reply, "script.VMs", seen.interpreters as i64);
    for (index, table, wheel) in dbs {
        reply.bulk(format!("db.{index}").as_bytes());
        reply.map(2);
        whole(reply, "overhead.hashtable.main", table as i64);
        whole(reply, "overhead.hashtable.expires", wheel as i64);
    }
    whole(reply, "overhead.db.hashtable.lut", lut as i64);
    whole(reply, "overhead.db.hashtable.rehashing", 0);
    whole(reply, "overhead.total", seen.overhead as i64);
    whole(reply, "db.dict.rehashing.count", 0);
    whole(reply, "keys.count", seen.keys as i64);
    let net = seen.used.saturating_sub(seen.startup);
    whole(reply, "keys.bytes-per-key", net.checked_div(seen.keys).unwrap_or(0) as i64);
    whole(reply, "dataset.bytes", seen.dataset() as i64);
    part(reply, "dataset.percentage", seen.dataset_percent());
    part(reply, "peak.percentage", seen.used as f64 * 100.0 / seen.peak.max(1) as f64);
    whole(reply, "allocator.allocated", seen.used as i64);
    whole(reply, "allocator.active", held as i64);
    whole(reply, "allocator.resident", resident as i64);
    whole(reply, "allocator.muzzy", 0);
    part(reply, "allocator-fragmentation.ratio", held as f64 / seen.used.max(1) as f64);
    whole(reply, "allocator-fragmentation.bytes", holes as i64);
    part(reply, "allocator-rss.ratio", resident as f64 / held.max(1) as f64);
    whole(reply, "allocator-rss.bytes", resident as i64 - held as i64);
    part(reply, "rss-overhead.ratio", 1.0);
    whole(reply, "rss-overhead.bytes", 0);
    part(reply, "fragmentation", seen.fragmentation());
    whole(reply, "fragmentation.bytes", resident as i64 - seen.used as i64);
    Ok(Outcome::Done)
}

/// Below this the doctor has nothing to look at.
const DOCTOR_BYTES_MIN: usize = 5 * 1024 * 1024;

fn doctor(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let seen = Overview::of(engine, call.host);
    let text = diagnosis(&seen, engine.clients.len());
    engine.reply(call.slot).verbatim(*b"txt", text.as_bytes());
    Ok(Outcome::Done)
}

fn diagnosis(seen: &Overview, clients: usize) -> String {
    if seen.used < DOCTOR_BYTES_MIN {
        return "Hi Sam, this instance is empty or is using very little memory, my issues detector can't be used in \
                these conditions. Come back when it holds some data.\n"
            .to_owned();
    }
    let mut findings = Vec::new();
    if seen.peak as f64 / seen.used as f64 > 1.5 {
        findings.push(
            "Peak memory: in the past this instance used more than 150% of the memory that it uses now. The allocator \
             may keep what was freed; MEMORY PURGE gives it back.",
        );
    }
    if seen.fragmentation() > 1.4 && seen.resident - seen.used > 10 << 20 {
        findings.push(
            "High fragmentation: resident memory is more than 1.4 times what is used. Free cells of the slab and free \
             memory of the allocator wait to be used again.",
        );
    }
    if clients > 0 && seen.clients / clients > 200 * 1024 {
        findings.push("Big client buffers: clients hold more than 200 KiB each. Look at CLIENT LIST for those that do not read.");
    }
    if findings.is_empty() {
        return "Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on this \
                base.\n"
            .to_owned();
    }
    let mut text = "Sam, I detected a few issues in this Redis instance memory implants:\n\n".to_owned();
    findings.iter().for_each(|finding| text += &format!(" * {finding}\n\n"));
    text
}
