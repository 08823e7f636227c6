//! The cluster. Only `cluster-enabled` is read, to refuse what does not go with it.

use super::super::check;
use super::super::directive::{Directive, I32, I64, Origin, PORT, U64, Why, flag, unread};
use super::super::number::Unit;

pub(super) const ROWS: &[Directive] = &[
    flag("cluster-enabled", "no", |c| &mut c.cluster_enabled)
        .immutable()
        .partial(Why::Cluster)
        .doc("Takes part in a cluster."),
    unread::text("cluster-config-file", "nodes.conf", Why::Cluster)
        .immutable()
        .doc("File in which a node keeps its view of the cluster."),
    unread::choice("cluster-config-save-behavior", "sync", &["sync", "best-effort"], Why::Cluster)
        .origin(Origin::Valkey)
        .doc("Whether a node ends when it cannot save its view."),
    unread::number("cluster-port", "0", 0, PORT, Why::Cluster)
        .immutable()
        .doc("Port of the cluster bus; 0 adds 10000 to the port of clients."),
    unread::number("cluster-databases", "1", 1, I32, Why::Cluster)
        .immutable()
        .origin(Origin::Valkey)
        .doc("Number of databases in a cluster."),
    unread::number("cluster-node-timeout", "15000", 0, I64, Why::Cluster)
        .doc("Milliseconds of silence after which a node is held to fail."),
    unread::number("cluster-ping-interval", "0", 0, I64, Why::Cluster)
        .hidden()
        .origin(Origin::SinceRedis8)
        .doc("Milliseconds between pings on the bus; 0 chooses by the timeout."),
    unread::number("cluster-message-gossip-perc", "10", 1, 100, Why::Cluster)
        .hidden()
        .origin(Origin::Valkey)
        .doc("Percentage of nodes that a message speaks of."),
    unread::number("cluster-blacklist-ttl", "60", 0, U64, Why::Cluster)
        .origin(Origin::Valkey)
        .doc("Seconds for which a forgotten node stays forgotten."),
    unread::number("cluster-manual-failover-timeout", "5000", 1, I32, Why::Cluster)
        .origin(Origin::Valkey)
        .doc("Milliseconds that a failover by hand may take."),
    unread::number("cluster-migration-barrier", "1", 0, I32, Why::Cluster)
        .doc("Replicas that a primary must keep before one may move to another primary."),
    unread::flag("cluster-allow-replica-migration", "yes", Why::Cluster)
        .doc("Lets replicas move to primaries that have none."),
    unread::number("cluster-replica-validity-factor", "10", 0, I32, Why::Cluster)
        .alias("cluster-slave-validity-factor")
        .doc("Multiple of the timeout after which a replica's data is too old for a failover; 0 never."),
    unread::flag("cluster-replica-no-failover", "no", Why::Cluster)
        .alias("cluster-slave-no-failover")
        .doc("Keeps a replica from promoting itself."),
    unread::flag("cluster-require-full-coverage", "yes", Why::Cluster)
        .doc("Stops serving while a slot has no owner."),
    unread::flag("cluster-allow-reads-when-down", "no", Why::Cluster)
        .doc("Serves reads while the cluster is down."),
    unread::flag("cluster-allow-pubsubshard-when-down", "yes", Why::Cluster)
        .doc("Serves sharded channels while the cluster is down."),
    unread::number_in(Unit::Memory, "cluster-link-sendbuf-limit", "0", 0, U64, Why::Cluster)
        .doc("Bytes that may wait on a link of the bus before it is cut; 0 sets no limit."),
    unread::choice(
        "cluster-preferred-endpoint-type",
        "ip",
        &["ip", "hostname", "unknown-endpoint"],
        Why::Cluster,
    )
    .doc("How redirections name a node."),
    unread::optional("cluster-announce-ip", Why::Cluster).doc("Address that a node tells the others."),
    unread::optional("cluster-announce-hostname", Why::Cluster)
        .check(check::announced_hostname)
        .doc("Host name that a node tells the others."),
    unread::optional("cluster-announce-human-nodename", Why::Cluster)
        .check(check::announced_nodename)
        .origin(Origin::SinceRedis8)
        .doc("Name of a node in the log."),
    unread::number("cluster-announce-port", "0", 0, PORT, Why::Cluster)
        .doc("Port that a node tells the others; 0 tells the one it listens on."),
    unread::number("cluster-announce-tls-port", "0", 0, PORT, Why::Cluster)
        .doc("TLS port that a node tells the others; 0 tells the one it listens on."),
    unread::number("cluster-announce-bus-port", "0", 0, PORT, Why::Cluster)
        .doc("Bus port that a node tells the others; 0 adds 10000 to the port."),
    unread::optional("cluster-announce-client-ipv4", Why::Cluster)
        .check(check::ipv4)
        .origin(Origin::Valkey)
        .doc("IPv4 address told to clients."),
    unread::optional("cluster-announce-client-ipv6", Why::Cluster)
        .check(check::ipv6)
        .origin(Origin::Valkey)
        .doc("IPv6 address told to clients."),
    unread::number("cluster-announce-client-port", "0", 0, PORT, Why::Cluster)
        .origin(Origin::Valkey)
        .doc("Port told to clients."),
    unread::number("cluster-announce-client-tls-port", "0", 0, PORT, Why::Cluster)
        .origin(Origin::Valkey)
        .doc("TLS port told to clients."),
    unread::number("cluster-compatibility-sample-ratio", "0", 0, 100, Why::Cluster)
        .origin(Origin::Redis8)
        .doc("Percentage of commands that are checked for what a cluster would refuse."),
    unread::flag("cluster-slot-stats-enabled", "no", Why::Cluster)
        .origin(Origin::Valkey)
        .doc("Counts processor time and traffic per slot."),
    unread::number("cluster-slot-migration-log-max-len", "1000", 0, I64, Why::Cluster)
        .origin(Origin::Valkey)
        .doc("Entries that the log of slot migrations keeps."),
    unread::number_in(
        Unit::SignedMemory,
        "slot-migration-max-failover-repl-bytes",
        "0",
        -1,
        I64,
        Why::Cluster,
    )
    .origin(Origin::Valkey)
    .doc("Bytes that may be outstanding when a slot changes hands; -1 sets no limit."),
];
