//! INFO: what the server knows about itself, section by section.
//!
//! Names and order of sections and fields are Redis's; a figure of something that this server does not have is the
//! true idle value. Our own fields are the percentiles of `expire_lag_ms` and the section `recorder`.

use super::memory::Overview;
use super::server::VECTOR_SETS;
use crate::config::REDIS_VERSION;
use crate::engine::durability::{Progress, Why};
use crate::engine::error::{CmdResult, Outcome};
use crate::engine::recorder::PHASES;
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec, acl};
use crate::engine::{Call, Engine, Host};
use crate::keyspace::Type;
use std::fmt::{Display, Write};

pub(super) const COMMANDS: &[Spec] = &[Spec::global("info", -1, info, "it reports on everything there is")
    .flags(LOADING | STALE)
    .acl(acl::DANGEROUS)
    .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
    .doc(Group::Server, "1.0.0", "O(1)", "Tells how the server is, in sections.")
    .syntax("section?+")
    .history(&[("7.0.0", "Several sections may be asked for.")])];

type Section = fn(&mut Engine, &mut dyn Host, &mut Text);

/// A section: its name, its title, who sees it, and what writes it.
struct Row(&'static str, &'static str, Shown, Section);

/// When a section is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Always.
    Default,
    /// In `all` and `everything`.
    All,
    /// When it is asked for by its name.
    ByName,
}

const SECTIONS: &[Row] = &[
    Row("server", "Server", Shown::Default, server),
    Row("clients", "Clients", Shown::Default, clients),
    Row("memory", "Memory", Shown::Default, memory),
    Row("persistence", "Persistence", Shown::Default, persistence),
    Row("threads", "Threads", Shown::Default, threads),
    Row("stats", "Stats", Shown::Default, stats),
    Row("replication", "Replication", Shown::Default, replication),
    Row("cpu", "CPU", Shown::Default, cpu),
    Row("hotkeys", "Hotkeys", Shown::Default, hotkeys),
    Row("modules", "Modules", Shown::Default, modules),
    Row("commandstats", "Commandstats", Shown::All, commandstats),
    Row("errorstats", "Errorstats", Shown::Default, errorstats),
    Row("latencystats", "Latencystats", Shown::All, latencystats),
    Row("cluster", "Cluster", Shown::Default, cluster),
    Row("keyspace", "Keyspace", Shown::Default, keyspace),
    Row("keysizes", "Keysizes", Shown::Default, keysizes),
    Row("recorder", "Recorder", Shown::All, recorder),
    Row("debug", "Debug", Shown::ByName, debug),
];

/// The text so far.
struct Text {
    out: String,
    /// Where the memory was before this text took some.
    memory: Overview,
}

impl Text {
    fn field(&mut self, name: &str, value: impl Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{name}:{value}\r\n");
    }

    fn bytes(&mut self, name: &str, bytes: usize) {
        self.field(name, bytes);
        self.field(&format!("{name}_human"), human(bytes as u64));
    }

    fn idle(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.field(name, 0));
    }
}

fn info(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let asked: Vec<Vec<u8>> = call.args.iter_from(1).map(<[u8]>::to_ascii_lowercase).collect();
    let is_asked = |name: &str| asked.iter().any(|a| a == name.as_bytes());
    let all = is_asked("all") || is_asked("everything");
    let default = asked.is_empty() || is_asked("default");
    let memory = Overview::of(engine, call.host);
    let mut text = Text { out: String::with_capacity(8192), memory };
    for Row(name, title, shown, write) in SECTIONS {
        let wanted = is_asked(name)
            || match shown {
                Shown::Default => default || all,
                Shown::All => all,
                Shown::ByName => false,
            };
        if wanted {
            if !text.out.is_empty() {
                text.out.push_str("\r\n");
            }
            let _ = write!(text.out, "# {title}\r\n");
            write(engine, call.host, &mut text);
        }
    }
    engine.reply(call.slot).verbatim(*b"txt", text.out.as_bytes());
    Ok(Outcome::Done)
}

/// Bytes in the largest unit below them, with two decimals.
fn scripts(engine: &Engine, text: &mut Text) {
    let (scripts, libraries) = (&engine.scripts, &engine.scripts.libraries);
    scripts.tidy();
    let total = engine.interpreter_bytes();
    let kept = scripts.cached_bytes() + libraries.bytes();
    text.field("used_memory_lua", scripts.vm_bytes());
    text.field("used_memory_vm_eval", scripts.vm_bytes());
    text.field("used_memory_lua_human", human(scripts.vm_bytes() as u64));
    text.field("used_memory_scripts_eval", scripts.cached_bytes());
    text.field("number_of_cached_scripts", scripts.cached());
    text.field("number_of_functions", libraries.functions());
    text.field("number_of_libraries", libraries.len());
    text.field("used_memory_vm_functions", libraries.vm_bytes());
    text.field("used_memory_vm_total", total);
    text.field("used_memory_vm_total_human", human(total as u64));
    text.field("used_memory_functions", libraries.bytes());
    text.field("used_memory_scripts", kept);
    text.field("used_memory_scripts_human", human(kept as u64));
}

fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let unit = (bytes.ilog2() / 10).min(5) as usize;
    format!("{:.2}{}", bytes as f64 / (1u64 << (10 * unit)) as f64, UNITS[unit])
}

fn server(engine: &mut Engine, _: &mut dyn Host, text: &mut Text) {
    let process = engine.process.clone();
    let now = engine.now;
    let uptime_s = now.unix_s().saturating_sub(process.started_unix_s);
    text.field("redis_version", REDIS_VERSION);
    text.field("redis_git_sha1", "00000000");
    text.field("redis_git_dirty", 0);
    text.field("redis_build_id", &process.run_id[..16]);
    text.field("redis_mode", if engine.conf.cluster_enabled { "cluster" } else { "standalone" });
    text.field("os", &process.names.os);
    text.field("arch_bits", 64);
    text.field("monotonic_clock", "POSIX clock_gettime");
    text.field("multiplexing_api", "epoll");
    text.field("atomicvar_api", "c11-builtin");
    text.field("gcc_version", &process.names.compiler);
    text.field("process_id", process.names.pid);
    text.field("process_supervised", "no");
    text.field("run_id", &process.run_id);
    text.field("tcp_port", engine.conf.port);
    text.field("server_time_usec", now.unix_us);
    text.field("uptime_in_seconds", uptime_s);
    text.field("uptime_in_days", uptime_s / 86400);
    text.field("hz", engine.conf.hz);
    text.field("configured_hz", engine.conf.hz);
    text.field("lru_clock", now.unix_s() & 0xff_ffff);
    text.field("executable", &process.names.executable);
    text.field("config_file", &process.names.config_file);
    text.field("io_threads_active", 0);
    let mut listeners = 0;
    if engine.conf.port != 0 {
        let bind: String = engine.conf.bind.iter().map(|b| format!("bind={b},")).collect();
        text.field("listener0", format!("name=tcp,{bind}port={}", engine.conf.port));
        listeners += 1;
    }
    if !engine.conf.unixsocket.is_empty() {
        text.field(&format!("listener{listeners}"), format!("name=unix,bind={}", engine.conf.unixsocket));
    }
    text.field("waterwheel_version", env!("CARGO_PKG_VERSION"));
    if let Some(ms) = engine.shutdown_in_ms() {
        text.field("shutdown_in_milliseconds", ms);
    }
}

fn clients(engine: &mut Engine, _: &mut dyn Host, text: &mut Text) {
    use crate::engine::client::state;
    let blocked = engine.blocked_clients();
    let (mut inbox, mut out, mut pubsub, mut timed) = (0, 0, 0, 0);
    for (_, client) in engine.clients.iter() {
        inbox = inbox.max(client.inbox.heap_bytes());
        out = out.max(client.out.heap_bytes());
        pubsub += usize::from(client.is(state::PUBSUB));
        timed += usize::from(client.block.as_ref().is_some_and(|b| b.timer.is_some()));
    }
    text.field("connected_clients", engine.clients.len() - engine.replication.replicas().len());
    text.field("cluster_connections", 0);
    text.field("maxclients", engine.conf.maxclients);
    text.field("client_recent_max_input_buffer", inbox);
    text.field("client_recent_max_output_buffer", out);
    text.field("blocked_clients", blocked);
    text.field("tracking_clients", engine.tracking().clients());
    text.field("pubsub_clients", pubsub);
    text.field("watching_clients", engine.watchers().clients());
    text.field("clients_in_timeout_table", timed);
    text.field("total_watched_keys", engine.watchers().keys());
    text.field("total_blocking_keys", engine.waiters().keys());
    text.field("total_blocking_keys_on_nokey", engine.waiters().keys_on_missing());
}

fn memory(engine: &mut Engine, host: &mut dyn Host, text: &mut Text) {
    let seen = text.memory;
    let system = host.facts().system_memory_bytes;
    text.bytes("used_memory", seen.used);
    text.bytes("used_memory_rss", seen.resident);
    text.bytes("used_memory_peak", seen.peak);
    text.field("used_memory_peak_time", engine.stats.peak_memory_unix_s);
    text.field(
        "used_memory_peak_perc",
        format!("{:.2}%", seen.used as f64 * 100.0 / seen.peak.max(1) as f64),
    );
    text.field("used_memory_overhead", seen.overhead);
    text.field("used_memory_startup", seen.startup);
    text.field("used_memory_dataset", seen.dataset());
    text.field("used_memory_dataset_perc", format!("{:.2}%", seen.dataset_percent()));
    text.field("allocator_allocated", seen.used);
    text.field("allocator_active", seen.allocated);
    text.field("allocator_resident", seen.resident);
    text.field("allocator_muzzy", 0);
    text.field("total_system_memory", system);
    text.field("total_system_memory_human", human(system));
    scripts(engine, text);
    text.field("maxmemory", engine.conf.maxmemory_bytes);
    text.field("maxmemory_human", human(engine.conf.maxmemory_bytes));
    text.field("maxmemory_policy", engine.conf.maxmemory_policy.name());
    let held = seen.allocated;
    text.field("allocator_frag_ratio", format!("{:.2}", held as f64 / seen.used.max(1) as f64));
    text.field("allocator_frag_bytes", held.saturating_sub(seen.used));
    text.field("allocator_rss_ratio", format!("{:.2}", seen.resident as f64 / held.max(1) as f64));
    text.field("allocator_rss_bytes", seen.resident as i64 - held as i64);
    text.field("rss_overhead_ratio", "1.00");
    text.field("rss_overhead_bytes", 0);
    text.field("mem_fragmentation_ratio", format!("{:.2}", seen.fragmentation()));
    text.field("mem_fragmentation_bytes", seen.resident as i64 - seen.used as i64);
    text.field("mem_not_counted_for_evict", engine.dbs.held_bytes() + engine.bytes_not_for_eviction());
    text.field("mem_replication_backlog", seen.backlog);
    text.field("mem_total_replication_buffers", engine.replication.feed.heap_bytes());
    text.idle(&["mem_replica_full_sync_buffer"]);
    text.field("mem_clients_slaves", seen.replicas);
    text.field("mem_clients_normal", seen.clients);
    text.idle(&[
        "mem_cluster_links",
        "mem_cluster_slot_migration_output_buffer",
        "mem_cluster_slot_migration_input_buffer",
        "mem_cluster_slot_migration_input_buffer_peak",
    ]);
    text.field("mem_aof_buffer", seen.log_buffer);
    text.field("mem_allocator", &engine.process.names.allocator);
    text.idle(&["mem_overhead_db_hashtable_rehashing", "active_defrag_running"]);
    text.field("lazyfree_pending_objects", engine.pending_free_objects());
    text.field("lazyfreed_objects", engine.stats.lazyfreed_objects);
}

fn persistence(engine: &mut Engine, _: &mut dyn Host, text: &mut Text) {
    let (save, load) = (engine.save_progress(), engine.load_progress());
    let durability = &engine.durability;
    let walked = save.unwrap_or_default();
    text.field("loading", u8::from(durability.is_loading()));
    text.field("async_loading", u8::from(durability.is_loading_beside()));
    text.field("current_cow_peak", walked.kept_bytes.max(engine.dbs.kept_bytes()));
    text.field("current_cow_size", engine.dbs.kept_bytes());
    text.field("current_cow_size_age", walked.us / 1_000_000);
    let share = 100.0 * walked.done as f64 / walked.keys.max(1) as f64;
    text.field("current_fork_perc", format!("{:.2}", if walked.keys == 0 { 0.0 } else { share }));
    text.field("current_save_keys_processed", walked.done);
    text.field("current_save_keys_total", walked.keys);
    text.field("rdb_changes_since_last_save", engine.unsaved_changes());
    let in_background = matches!(durability.saving(), Some(Why::Background | Why::Replicas));
    text.field("rdb_bgsave_in_progress", u8::from(in_background));
    text.field("rdb_last_save_time", durability.last_save_unix_s);
    text.field("rdb_last_bgsave_status", if durability.last_background_is_ok { "ok" } else { "err" });
    let seconds = |seconds: Option<u64>| seconds.map_or(-1, |seconds| seconds as i64);
    text.field("rdb_last_bgsave_time_sec", seconds(durability.last_background_s));
    text.field("rdb_current_bgsave_time_sec", seconds(in_background.then_some(walked.us / 1_000_000)));
    text.field("rdb_saves", durability.saves);
    text.field("rdb_saves_consecutive_failures", durability.consecutive_failures);
    text.field("rdb_last_cow_size", durability.last_kept_bytes);
    text.field("rdb_last_load_keys_expired", durability.last_load.expired);
    text.field("rdb_last_load_keys_loaded", durability.last_load.loaded);
    append_only_file(engine, walked.us, text);
    text.field("backup_in_progress", u8::from(engine.durability.backup.is_in_progress()));
    text.idle(&["module_fork_in_progress", "module_fork_last_cow_size"]);
    if engine.durability.is_logging() {
        log_files(engine, text);
    }
    if let Some(load) = load {
        loading(&load, text);
    }
    text.field("snapshot_held_bytes", engine.dbs.held_bytes());
    let left =
        walked.us.checked_mul((walked.keys - walked.done) as u64).unwrap_or(0) / walked.done.max(1) as u64;
    text.field("snapshot_eta_seconds", left / 1_000_000);
    text.field("snapshot_turn_us_max", durability.turn_us_max);
    text.field("rdb_version_written", durability.version_written);
}

/// What INFO always shows of the append-only file; a rewrite that is under way has taken so many microseconds.
fn append_only_file(engine: &Engine, walked_us: u64, text: &mut Text) {
    let (log, rewrites) = (&engine.durability.log, &engine.durability.rewrites);
    let seconds = |seconds: Option<u64>| seconds.map_or(-1, |seconds| seconds as i64);
    let status = |is_ok: bool| if is_ok { "ok" } else { "err" };
    let is_rewriting = engine.is_rewrite_in_progress();
    text.field("aof_enabled", u8::from(engine.durability.is_logging()));
    text.field("aof_rewrite_in_progress", u8::from(is_rewriting));
    text.field("aof_rewrite_scheduled", u8::from(rewrites.is_scheduled));
    text.field("aof_last_rewrite_time_sec", seconds(rewrites.last_s));
    text.field("aof_current_rewrite_time_sec", seconds(is_rewriting.then_some(walked_us / 1_000_000)));
    text.field("aof_last_bgrewrite_status", status(rewrites.last_is_ok));
    text.field("aof_rewrites", rewrites.begun);
    text.field("aof_rewrites_consecutive_failures", rewrites.failures);
    text.field("aof_last_write_status", status(log.is_writable()));
    text.field("aof_last_cow_size", rewrites.last_kept_bytes);
    if let Some(unix_s) = engine.stands_at() {
        text.field("aof_stands_at", unix_s);
    }
}

/// What INFO shows only while changes are logged.
fn log_files(engine: &Engine, text: &mut Text) {
    let log = &engine.durability.log;
    text.field("aof_current_size", log.bytes());
    text.field("aof_base_size", log.base_bytes());
    text.idle(&["aof_pending_rewrite"]);
    text.field("aof_buffer_length", log.unwritten_bytes());
    text.field("aof_pending_bio_fsync", u8::from(log.is_syncing()));
    text.field("aof_delayed_fsync", log.delayed_syncs);
    text.field("aof_unsynced_bytes", log.unsynced_bytes());
    text.field("aof_unsynced_ms", log.unsynced_ms(engine.now.mono_ms()));
    text.field("aof_last_fsync_us", engine.durability.last_sync_us);
    text.field("aof_fsync_errors", log.sync_errors);
    text.field("aof_gated_clients", engine.durability.gate.clients());
    text.field("aof_gate_waits", engine.durability.gate.waits);
}

/// What INFO shows only while a dataset is loaded.
fn loading(load: &Progress, text: &mut Text) {
    text.field("loading_start_time", load.begun_unix_s);
    text.field("loading_total_bytes", load.total_bytes);
    text.field("loading_rdb_used_mem", load.used_memory);
    text.field("loading_loaded_bytes", load.loaded_bytes);
    let share = 100.0 * load.loaded_bytes as f64 / load.total_bytes.max(1) as f64;
    text.field("loading_loaded_perc", format!("{share:.2}"));
    let left = load.total_bytes.saturating_sub(load.loaded_bytes);
    let eta_us = load.us.checked_mul(left).unwrap_or(0) / load.loaded_bytes.max(1);
    text.field("loading_eta_seconds", if load.loaded_bytes == 0 { 1 } else { eta_us / 1_000_000 });
}

fn threads(engine: &mut Engine, _: &mut dyn Host, text: &mut Text) {
    let stats = &engine.stats;
    text.field(
        "io_thread_0",
        format!(
            "clients={},reads={},writes={}",
            engine.clients.len(),
            stats.total_reads_processed,
            stats.total_writes_processed
        ),
    );
}

fn stats(engine: &mut Engine, _: &mut dyn Host, text: &mut Text) {
    let per_ms = engine.ticks_per_ms();
    let now_us = engine.now.mono_us;
    let (pubsub, tracking) = (&engine.pubsub, engine.tracking());
    let (channels, patterns, shards) = (pubsub.channels.len(), pubsub.patterns.len(), pubsub.shards.len());
    let stats = &engine.stats;
    let kbps = |rate: &crate::engine::stats::Rate| format!("{:.2}", rate.per_second() as f64 / 1024.0);
    text.field("total_connections_received", stats.total_connections_received);
    text.field("total_commands_processed", stats.total_commands_processed);
    text.field("instantaneous_ops_per_sec", stats.ops.per_second());
    text.field("total_net_input_bytes", stats.total_net_input_bytes);
    text.field("total_net_output_bytes", stats.total_net_output_bytes);
    text.field("total_net_repl_input_bytes", stats.total_net_repl_input_bytes);
    text.field("total_net_repl_output_bytes", stats.total_net_repl_output_bytes);
    text.field("instantaneous_input_kbps", kbps(&stats.input));
    text.field("instantaneous_output_kbps", kbps(&stats.output));
    text.field("instantaneous_input_repl_kbps", "0.00");
    text.field("instantaneous_output_repl_kbps", "0.00");
    text.field("rejected_connections", stats.rejected_connections);
    let replication = &engine.replication;
    text.field("sync_full", replication.full_syncs);
    text.field("sync_partial_ok", replication.partial_syncs);
    text.field("sync_partial_err", replication.refused_partial_syncs);
    text.field("expired_subkeys", stats.expired_subkeys);
    text.field("expired_subkeys_active", stats.expired_subkeys_active);
    text.field("expired_keys", stats.expired_keys);
    text.field("expired_keys_active", stats.expired_keys_active);
    text.field("expired_stale_perc", "0.00");
    text.field("expired_time_cap_reached_count", stats.expired_time_cap_reached_count);
    text.field("expire_cycle_cpu_milliseconds", stats.active_expire_ticks / per_ms);
    for (name, percent) in [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0)] {
        text.field(&format!("expire_lag_ms_{name}"), stats.expire_lag_ms.percentile(percent));
    }
    text.field("evicted_keys", stats.evicted_keys);
    text.field("evicted_clients", stats.evicted_clients);
    text.field("evicted_scripts", stats.evicted_scripts);
    let over_us = match stats.over_maxmemory_since_us {
        0 => 0,
        since => now_us.saturating_sub(since),
    };
    text.field("total_eviction_exceeded_time", (stats.total_eviction_exceeded_us + over_us) / 1000);
    text.field("current_eviction_exceeded_time", over_us / 1000);
    text.field("keyspace_hits", stats.keyspace_hits);
    text.field("keyspace_misses", stats.keyspace_misses);
    text.field("pubsub_channels", channels);
    text.field("pubsub_patterns", patterns);
    text.field("pubsubshard_channels", shards);
    text.field("latest_fork_usec", stats.latest_fork_us);
    text.field("total_forks", stats.total_forks);
    text.field("migrate_cached_sockets", engine.pause.migrations.connections());
    text.field("slave_expires_tracked_keys", replication.own_keys.len());
    text.idle(&[
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
        "total_active_defrag_time",
        "current_active_defrag_time",
    ]);
    text.field("tracking_total_keys", tracking.keys());
    text.field("tracking_total_items", tracking.items());
    text.field("tracking_total_prefixes", tracking.prefixes());
    text.field("unexpected_error_replies", stats.unexpected_error_replies);
    text.field("total_error_replies", stats.total_error_replies);
    text.field("dump_payload_sanitizations", 0);
    text.field("total_reads_processed", stats.total_reads_processed);
    text.field("total_writes_processed", stats.total_writes_processed);
    text.idle(&[
        "io_threaded_reads_processed",
        "io_threaded_writes_processed",
        "io_threaded_total_prefetch_batches",
        "io_threaded_total_prefetch_entries",
    ]);
    text.field("client_query_buffer_limit_disconnections", stats.client_query_buffer_limit_disconnections);
    text.field("client_output_buffer_limit_disconnections", stats.client_output_buffer_limit_disconnections);
    text.field("reply_buffer_shrinks", stats.reply_buffer_shrinks);
    text.field("reply_buffer_expands", stats.reply_buffer_expands);
    text.field("eventloop_cycles", stats.eventloop_cycles);
    text.field("eventloop_duration_sum", stats.eventloop_us);
    text.field("eventloop_duration_cmd_sum", (stats.command_ticks * 1000).div_ceil(per_ms));
    text.field("instantaneous_eventloop_cycles_per_sec", stats.cycles.per_second());
    let cycles = stats.cycles.per_second().max(1);
    text.field("instantaneous_eventloop_duration_usec", stats.cycle_us.per_second().div_ceil(cycles));
    text.field("acl_access_denied_auth", stats.acl_access_denied_auth);
    text.field("acl_access_denied_cmd", stats.acl_access_denied_cmd);
    text.field("acl_access_denied_key", stats.acl_access_denied_key);
    text.field("acl_access_denied_channel", stats.acl_access_denied_channel);
    text.idle(&["acl_access_denied_tls_cert"]);
    text.field("acl_access_denied_db", stats.acl_access_denied_db);
}

fn replication(engine: &mut Engine, _: &mut dyn Host, text: &mut Text) {
    engine.commit();
    text.field("role", if engine.is_replica() { "slave" } else { "master" });
    primary_link(engine, text);
    text.field("connected_slaves", engine.replication.replicas().len());
    let good = engine.replication.good_replicas();
    if engine.conf.min_replicas_to_write > 0 && engine.conf.min_replicas_max_lag_s > 0 {
        text.field("min_slaves_good_slaves", good);
    }
    let lags: Vec<i64> = engine
        .replication
        .replicas()
        .iter()
        .filter_map(|&id| Some(engine.replica_lag_s(engine.slot_of(id)?)))
        .collect();
    for (i, ((address, port, replica), lag)) in engine.shown_replicas().zip(lags).enumerate() {
        let (state, offset) = (replica.stage.name(), replica.acked);
        let shown = format!("ip={address},port={port},state={state},offset={offset},lag={lag},io-thread=0");
        text.field(&format!("slave{i}"), shown);
    }
    let failover = engine.replication.failover.as_ref();
    text.field("master_failover_state", failover.map_or("no-failover", |failover| failover.state_name()));
    let replication = &engine.replication;
    text.field("master_replid", &replication.id);
    let (previous, end) =
        replication.previous.clone().map_or(("0".repeat(40), -1), |(id, end)| (id, end as i64 + 1));
    text.field("master_replid2", previous);
    text.field("master_repl_offset", replication.offset());
    text.field("second_repl_offset", end);
    let feed = &replication.feed;
    text.field("repl_backlog_active", u8::from(feed.is_kept()));
    text.field("repl_backlog_size", engine.conf.repl_backlog_size_bytes);
    text.field("repl_backlog_first_byte_offset", if feed.is_kept() { feed.start() + 1 } else { 0 });
    text.field("repl_backlog_histlen", if feed.is_kept() { feed.end() - feed.start() } else { 0 });
}

/// The fields about the primary, where there is one.
fn primary_link(engine: &Engine, text: &mut Text) {
    let Some(primary) = &engine.replication.primary else { return };
    let (now_us, offset) = (engine.now.mono_us, engine.replication.offset());
    text.field("master_host", &primary.host);
    text.field("master_port", primary.port);
    text.field("master_link_status", if primary.is_up() { "up" } else { "down" });
    let silent_s = if primary.is_up() { primary.silent_s(now_us) as i64 } else { -1 };
    text.field("master_last_io_seconds_ago", silent_s);
    text.field("master_sync_in_progress", u8::from(primary.is_syncing()));
    text.field("slave_read_repl_offset", offset + primary.stream_bytes());
    text.field("slave_repl_offset", offset);
    text.idle(&["replica_full_sync_buffer_size", "replica_full_sync_buffer_peak"]);
    if primary.is_syncing() {
        let (total, read) = primary.transfer().unwrap_or((None, 0));
        text.field("master_sync_total_bytes", total.unwrap_or(0));
        text.field("master_sync_read_bytes", read);
        text.field("master_sync_left_bytes", total.map_or(-(read as i64), |total| (total - read) as i64));
        let share = total.filter(|total| *total > 0).map_or(0.0, |total| 100.0 * read as f64 / total as f64);
        text.field("master_sync_perc", format!("{share:.2}"));
        text.field("master_sync_last_io_seconds_ago", primary.silent_s(now_us));
    }
    let [since_up, attempts] = primary.attempts;
    text.field("master_current_sync_attempts", since_up);
    text.field("master_total_sync_attempts", attempts);
    if let Some(up_s) = primary.up_s(now_us) {
        text.field("master_link_up_since_seconds", up_s);
        text.idle(&["master_client_io_thread"]);
    } else {
        text.field("master_link_down_since_seconds", primary.down_s(now_us));
    }
    text.field("total_disconnect_time_sec", engine.replication.link_down_s(now_us));
    text.field("slave_priority", engine.conf.replica_priority);
    text.field("slave_read_only", u8::from(engine.conf.replica_read_only));
    text.field("replica_announced", u8::from(engine.conf.replica_announced));
}

fn cpu(_: &mut Engine, host: &mut dyn Host, text: &mut Text) {
    let facts = host.facts();
    let seconds = |us: u64| format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.field("used_cpu_sys", seconds(facts.cpu_system_us));
    text.field("used_cpu_user", seconds(facts.cpu_user_us));
    text.field("used_cpu_sys_children", seconds(0));
    text.field("used_cpu_user_children", seconds(0));
    text.field("used_cpu_sys_main_thread", seconds(facts.main_cpu_system_us));
    text.field("used_cpu_user_main_thread", seconds(facts.main_cpu_user_us));
}

fn modules(_: &mut Engine, _: &mut dyn Host, text: &mut Text) {
    let told = "api=1,filters=0,usedby=[],using=[],options=[handle-io-errors|handle-repl-async-load]";
    text.field("module", format_args!("name={VECTOR_SETS},ver=1,{told}"));
}

fn hotkeys(engine: &mut Engine, _: &mut dyn Host, text: &mut Text) {
    if let Some(hot) = &engine.logs.hot_keys {
        text.field("hotkeys-tracking-active", u8::from(hot.is_active));
        text.field("hotkeys-cmd-cpu-time", hot.spent_ticks / engine.ticks_per_ms().max(1));
    }
}

fn commandstats(engine: &mut Engine, _: &mut dyn Host, text: &mut Text) {
    let per_ms = engine.ticks_per_ms();
    for row in engine.table.rows() {
        let stats = &engine.stats.rows[row.id as usize];
        if stats.calls == 0 && stats.rejected == 0 && stats.failed == 0 {
            continue;
        }
        let us = (stats.ticks * 1000).div_ceil(per_ms);
        text.field(
            &format!("cmdstat_{}", row.full_name),
            format!(
                "calls={},usec={us},usec_per_call={:.2},rejected_calls={},failed_calls={}",
                stats.calls,
                us as f64 / stats.calls.max(1) as f64,
                stats.rejected,
                stats.failed
            ),
        );
    }
}

fn errorstats(engine: &mut Engine, _: &mut dyn Host, text: &mut Text) {
    for (code, count) in &engine.stats.errors {
        text.field(&format!("errorstat_{code}"), format!("count={count}"));
    }
}

fn latencystats(engine: &mut Engine, _: &mut dyn Host, text: &mut Text) {
    for row in engine.table.rows() {
        let Some(latency) = engine.stats.rows[row.id as usize].latency_ns.as_deref() else { continue };
        let shown: Vec<String> = engine
            .conf
            .latency_tracking_info_percentiles
            .iter()
            .map(|p| format!("p{p}={:.3}", latency.percentile(*p) as f64 / 1000.0))
            .collect();
        text.field(&format!("latency_percentiles_usec_{}", row.full_name), shown.join(","));
    }
}

fn cluster(engine: &mut Engine, _: &mut dyn Host, text: &mut Text) {
    text.field("cluster_enabled", u8::from(engine.conf.cluster_enabled));
}

fn keyspace(engine: &mut Engine, _: &mut dyn Host, text: &mut Text) {
    let now_ms = engine.now.unix_ms();
    for (index, db) in engine.dbs.iter().enumerate().filter(|(_, db)| !db.is_empty()) {
        let ttl = db.mean_deadline_ms().saturating_sub(now_ms);
        text.field(
            &format!("db{index}"),
            format!(
                "keys={},expires={},avg_ttl={ttl},subexpiry={}",
                db.len(),
                db.with_ttl(),
                db.hashes_with_ttl()
            ),
        );
    }
}

/// The types of which `keysizes` shows the sizes.
const SIZES: [(Type, &str); 5] = [
    (Type::String, "strings_sizes"),
    (Type::List, "lists_items"),
    (Type::Set, "sets_items"),
    (Type::Zset, "zsets_items"),
    (Type::Hash, "hashes_items"),
];

/// The types of which `keysizes` shows the memory, where it is counted.
const WEIGHTS: [(Type, &str); 4] =
    [(Type::List, "lists"), (Type::Set, "sets"), (Type::Zset, "zsets"), (Type::Hash, "hashes")];

fn keysizes(engine: &mut Engine, _: &mut dyn Host, text: &mut Text) {
    for (index, db) in engine.dbs.iter().enumerate() {
        for (of, name) in SIZES {
            let bins: Vec<String> =
                db.sizes(of).iter().map(|(size, n)| format!("{}={n}", short(size))).collect();
            if !bins.is_empty() {
                text.field(&format!("db{index}_distrib_{name}"), bins.join(","));
            }
        }
        for (of, name) in WEIGHTS {
            let Some(weights) = db.weights(of) else { continue };
            let bins: Vec<String> = weights.iter().map(|(size, n)| format!("{}={n}", short(size))).collect();
            if !bins.is_empty() {
                text.field(&format!("db{index}_distrib_{name}_sizes"), bins.join(","));
            }
        }
    }
}

/// A power of two in the largest unit that divides it.
fn short(size: u64) -> String {
    const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
    if size == 0 {
        return "0".to_owned();
    }
    let unit = size.ilog2() / 10;
    format!("{}{}", size >> (10 * unit), UNITS[unit as usize])
}

fn recorder(engine: &mut Engine, _: &mut dyn Host, text: &mut Text) {
    let recorder = &engine.recorder;
    text.field("loop_turns", recorder.busy.count());
    for (name, histogram) in PHASES.iter().zip(&recorder.phases).chain([(&"busy", &recorder.busy)]) {
        let shown: Vec<String> = [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9)]
            .iter()
            .map(|(label, p)| format!("{label}={}", recorder.us(histogram.percentile(*p))))
            .collect();
        text.field(
            &format!("loop_{name}_usec"),
            format!("{},max={}", shown.join(","), recorder.us(histogram.max())),
        );
    }
    text.field("loop_turns_above_2ms", recorder.turns_above_2ms);
    text.field("loop_turns_above_10ms", recorder.turns_above_10ms);
    text.field("loop_deliveries_waiting", engine.deliveries_waiting());
    text.field("loop_messaged_clients", engine.messaged_count());
    if recorder.cpu.is_on {
        text.field("loop_cpu_turns_above_2ms", recorder.cpu.above_2ms);
        text.field("loop_cpu_turns_above_10ms", recorder.cpu.above_10ms);
        text.field("loop_cpu_max_usec", recorder.cpu.max_us);
    }
}

fn debug(engine: &mut Engine, _: &mut dyn Host, text: &mut Text) {
    let stats = &engine.stats;
    text.field("eventloop_duration_aof_sum", 0);
    text.field("eventloop_duration_cron_sum", stats.eventloop_cron_us);
    text.field("eventloop_duration_max", stats.eventloop_us_max);
    text.field("eventloop_cmd_per_cycle_max", stats.eventloop_commands_max);
    text.idle(&[
        "allocator_allocated_lua",
        "allocator_active_lua",
        "allocator_resident_lua",
        "allocator_frag_bytes_lua",
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_the_unit_below_them() {
        assert_eq!(human(0), "0B");
        assert_eq!(human(1023), "1023B");
        assert_eq!(human(717_616), "700.80K");
        assert_eq!(human(25_276_510_208), "23.54G");
    }

    #[test]
    fn sizes_are_powers_of_two_with_a_unit() {
        let shown: Vec<String> = [0, 1, 512, 1024, 1 << 20, 1 << 31].iter().map(|s| short(*s)).collect();
        assert_eq!(shown, ["0", "1", "512", "1K", "1M", "2G"]);
    }
}
