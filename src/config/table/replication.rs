//! Primaries and replicas.

use super::super::directive::{
    Directive, Effect, I32, I64, Origin, PORT, Why, bytes, choice, flag, memory, number, optional, special,
};
use super::super::syntax;
use super::super::values::DisklessLoad;

pub(super) const ROWS: &[Directive] = &[
    special("replicaof", "", syntax::set_replicaof, syntax::get_replicaof, Some(syntax::replicaof_lines))
        .alias("slaveof")
        .immutable()
        .multi()
        .doc("Host and port of the primary to follow; REPLICAOF changes it at run time."),
    bytes("masterauth", |c| &mut c.masterauth)
        .alias("primaryauth")
        .sensitive()
        .doc("Password that the primary asks for."),
    bytes("masteruser", |c| &mut c.masteruser)
        .alias("primaryuser")
        .sensitive()
        .doc("User name that the primary asks for."),
    flag("replica-serve-stale-data", "yes", |c| &mut c.replica_serve_stale_data)
        .alias("slave-serve-stale-data")
        .applies(Effect::Role)
        .doc("Answers while the link to the primary is down."),
    flag("replica-read-only", "yes", |c| &mut c.replica_read_only)
        .alias("slave-read-only")
        .debug()
        .applies(Effect::Role)
        .doc("Refuses writes of clients on a replica."),
    flag("replica-ignore-maxmemory", "yes", |c| &mut c.replica_ignore_maxmemory)
        .alias("slave-ignore-maxmemory")
        .doc("Leaves eviction on a replica to the primary."),
    flag("replica-lazy-flush", "no", |c| &mut c.replica_lazy_flush)
        .alias("slave-lazy-flush")
        .doc("Frees the old dataset later when a full synchronization replaces it."),
    flag("replica-announced", "yes", |c| &mut c.replica_announced)
        .doc("Lets sentinels see this replica."),
    flag("replica-ignore-disk-write-errors", "no", |c| &mut c.replica_ignore_disk_write_errors)
        .doc("Goes on following although writes to the disk fail."),
    optional("replica-announce-ip", |c| &mut c.replica_announce_ip)
        .alias("slave-announce-ip")
        .doc("Address that a replica tells its primary."),
    number("replica-announce-port", "0", 0, PORT, |c| &mut c.replica_announce_port)
        .alias("slave-announce-port")
        .doc("Port that a replica tells its primary; 0 tells the one it listens on."),
    number("replica-priority", "100", 0, I32, |c| &mut c.replica_priority)
        .alias("slave-priority")
        .doc("Rank for promotion, the lowest first; 0 is never promoted."),
    number("min-replicas-to-write", "0", 0, I32, |c| &mut c.min_replicas_to_write)
        .alias("min-slaves-to-write")
        .applies(Effect::GoodReplicas)
        .doc("Replicas that must be near enough for a write to be accepted; 0 asks for none."),
    number("min-replicas-max-lag", "10", 0, I32, |c| &mut c.min_replicas_max_lag_s)
        .alias("min-slaves-max-lag")
        .applies(Effect::GoodReplicas)
        .doc("Seconds since its last word up to which a replica counts as near enough; 0 asks for none."),
    number("repl-timeout", "60", 1, I32, |c| &mut c.repl_timeout_s)
        .doc("Seconds of silence after which a replication link is given up."),
    number("repl-ping-replica-period", "10", 1, I32, |c| &mut c.repl_ping_replica_period_s)
        .alias("repl-ping-slave-period")
        .doc("Seconds between the pings that a primary sends to its replicas."),
    memory("repl-backlog-size", "1048576", 1, I64, |c| &mut c.repl_backlog_size_bytes)
        .applies(Effect::Backlog)
        .settle(syntax::keep_backlog_useful)
        .doc("Bytes of the feed kept for replicas that come back."),
    number("repl-backlog-ttl", "3600", 0, I64, |c| &mut c.repl_backlog_ttl_s)
        .doc("Seconds without replicas after which the backlog is dropped; 0 never."),
    flag("repl-disable-tcp-nodelay", "no", |c| &mut c.repl_disable_tcp_nodelay)
        .doc("Lets the kernel collect small packets to replicas, for less traffic and more delay."),
    flag("repl-diskless-sync", "yes", |c| &mut c.repl_diskless_sync)
        .debug()
        .doc("Sends a full synchronization straight to the sockets, without a file."),
    number("repl-diskless-sync-delay", "5", 0, I32, |c| &mut c.repl_diskless_sync_delay_s)
        .doc("Seconds that such a synchronization waits for more replicas."),
    number("repl-diskless-sync-max-replicas", "0", 0, I32, |c| &mut c.repl_diskless_sync_max_replicas)
        .doc("Replicas that end this wait early; 0 never ends it early."),
    choice("repl-diskless-load", "disabled", DisklessLoad::NAMES, |c| &mut c.repl_diskless_load)
        .debug()
        .deny_loading()
        .doc("Whether a replica loads a full synchronization from the socket, and what becomes of the old dataset."),
    flag("repl-rdb-channel", "yes", |c| &mut c.repl_rdb_channel)
        .hidden()
        .origin(Origin::Redis8)
        .inert(Why::Replication)
        .doc("Sends the dump of a full synchronization over a connection of its own."),
    memory("replica-full-sync-buffer-limit", "0", 0, I64, |c| &mut c.replica_full_sync_buffer_limit_bytes)
        .origin(Origin::Redis8)
        .inert(Why::Replication)
        .doc("Bytes of the feed that a replica stores while the dump arrives; 0 takes the output limit of replicas."),
    flag("dual-channel-replication-enabled", "no", |c| &mut c.dual_channel_replication_enabled)
        .debug()
        .origin(Origin::Valkey)
        .inert(Why::Replication)
        .doc("Valkey's way of a second connection for full synchronization."),
    flag("repl-mptcp", "no", |c| &mut c.repl_mptcp)
        .immutable()
        .origin(Origin::Valkey)
        .inert(Why::Replication)
        .doc("Connects to the primary with multipath TCP."),
];
