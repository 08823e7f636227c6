//! Cluster mode, which there is not yet: every command of it is known and says so.

use crate::engine::client::state;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::{ADMIN, FAST, LOADING, NO_ASYNC_LOADING, NOSCRIPT, STALE};
use crate::engine::spec::{Group, Spec, acl};
use crate::engine::{Call, Engine};

/// Changes what the cluster looks like.
const CHANGES: u32 = ADMIN | STALE | NO_ASYNC_LOADING;

const PER_NODE: &str = "O(N) where N is the number of nodes.";
const PER_SLOT: &str = "O(N) where N is the number of slots.";
const PER_REPLICA: &str = "O(N) where N is the number of replicas.";
const VARIES: &[&str] = &["nondeterministic_output"];

pub(super) const COMMANDS: &[Spec] = &[
    Spec::container("cluster", SUBCOMMANDS).doc(
        Group::Cluster,
        "3.0.0",
        "Depends on subcommand.",
        "Groups the commands of cluster mode.",
    ),
    Spec::local("asking", 1, no_cluster).flags(FAST).acl(acl::CONNECTION).doc(
        Group::Cluster,
        "3.0.0",
        "O(1)",
        "Tells that the next command follows a redirection.",
    ),
    Spec::global("readonly", 1, readonly, "what its client wants lies with the connection")
        .flags(LOADING | STALE | FAST)
        .acl(acl::CONNECTION)
        .doc(
            Group::Cluster,
            "3.0.0",
            "O(1)",
            "Lets a replica answer reads on this connection: in a cluster, or after CLIENT CAPA REDIRECT.",
        ),
    Spec::global("readwrite", 1, readwrite, "what its client wants lies with the connection")
        .flags(LOADING | STALE | FAST)
        .acl(acl::CONNECTION)
        .doc(Group::Cluster, "3.0.0", "O(1)", "Takes READONLY back."),
];

const fn row(
    name: &'static str,
    arity: i16,
    since: &'static str,
    cost: &'static str,
    summary: &'static str,
) -> Spec {
    Spec::local(name, arity, no_cluster).doc(Group::Cluster, since, cost, summary)
}

const SUBCOMMANDS: &[Spec] = &[
    row("addslots", -3, "3.0.0", PER_SLOT, "Makes slots those of this node.").flags(CHANGES).syntax("slot:integer+"),
    row("addslotsrange", -4, "7.0.0", PER_SLOT, "Makes ranges of slots those of this node.")
        .flags(CHANGES)
        .syntax("range{start-slot:integer end-slot:integer}+"),
    row("bumpepoch", 2, "3.0.0", "O(1)", "Raises the epoch of the cluster's configuration.").flags(CHANGES).tips(VARIES),
    row(
        "count-failure-reports",
        3,
        "3.0.0",
        "O(N) where N is the number of reports.",
        "Counts the nodes that say that another one failed.",
    )
    .flags(ADMIN | STALE)
    .tips(VARIES)
    .syntax("node-id"),
    row("countkeysinslot", 3, "3.0.0", "O(1)", "Counts the keys of a slot.").flags(STALE).syntax("slot:integer"),
    row("delslots", -3, "3.0.0", PER_SLOT, "Leaves slots without a node, as this one sees it.")
        .flags(CHANGES)
        .syntax("slot:integer+"),
    row("delslotsrange", -4, "7.0.0", PER_SLOT, "Leaves ranges of slots without a node, as this one sees it.")
        .flags(CHANGES)
        .syntax("range{start-slot:integer end-slot:integer}+"),
    row("failover", -2, "3.0.0", "O(1)", "Lets this replica take the place of its primary.")
        .flags(CHANGES)
        .syntax("options(FORCE | TAKEOVER)?"),
    row("flushslots", 2, "3.0.0", "O(1)", "Takes all slots from this node.").flags(CHANGES),
    row("forget", 3, "3.0.0", "O(1)", "Strikes a node from the list of known ones.").flags(CHANGES).syntax("node-id"),
    row("getkeysinslot", 4, "3.0.0", "O(N) where N is the number of keys asked for.", "Lists keys of a slot.")
        .flags(STALE)
        .tips(VARIES)
        .syntax("slot:integer count:integer"),
    row("help", 2, "5.0.0", "O(1)", "Lists the subcommands with their meaning.").flags(LOADING | STALE),
    row("info", 2, "3.0.0", "O(1)", "Tells how the cluster is, as this node sees it.").flags(STALE).tips(VARIES),
    row("keyslot", 3, "3.0.0", "O(N) where N is the number of bytes of the key.", "Tells the slot of a key.")
        .flags(STALE)
        .syntax("key"),
    row("links", 2, "7.0.0", PER_NODE, "Lists the connections to the other nodes.").flags(STALE).tips(VARIES),
    row("meet", -4, "3.0.0", "O(1)", "Makes a node known to this one.")
        .flags(CHANGES)
        .syntax("ip port:integer cluster-bus-port:integer?#4.0.0")
        .history(&[("4.0.0", "The port of the cluster bus may be given.")]),
    row("myid", 2, "3.0.0", "O(1)", "Tells the name of this node.").flags(STALE),
    row("myshardid", 2, "7.2.0", "O(1)", "Tells the name of the shard of this node.").flags(STALE).tips(VARIES),
    row("nodes", 2, "3.0.0", PER_NODE, "Describes the nodes, as this one sees them.").flags(STALE).tips(VARIES),
    row("replicas", 3, "5.0.0", PER_REPLICA, "Lists the replicas of a primary.")
        .flags(ADMIN | STALE)
        .tips(VARIES)
        .syntax("node-id"),
    row("replicate", 3, "3.0.0", "O(1)", "Makes this node a replica of a primary.").flags(CHANGES).syntax("node-id"),
    row("reset", -2, "3.0.0", PER_NODE, "Lets this node forget the cluster.")
        .flags(ADMIN | NOSCRIPT | STALE)
        .syntax("reset-type(HARD | SOFT)?"),
    row("saveconfig", 2, "3.0.0", "O(1)", "Writes the file of the cluster's configuration.").flags(CHANGES),
    row("set-config-epoch", 3, "3.0.0", "O(1)", "Sets the epoch of a new node.")
        .flags(CHANGES)
        .syntax("config-epoch:integer"),
    row("setslot", -4, "3.0.0", "O(1)", "Ties a slot to a node, or notes that it moves.")
        .flags(CHANGES)
        .syntax(
            "slot:integer subcommand(IMPORTING=importing/node-id | MIGRATING=migrating/node-id | NODE=node/node-id | \
             STABLE)",
        ),
    row("shards", 2, "7.0.0", PER_NODE, "Maps slots to shards and their nodes.").flags(LOADING | STALE).tips(VARIES),
    row("slaves", 3, "3.0.0", PER_REPLICA, "The older name of CLUSTER REPLICAS.")
        .flags(ADMIN | STALE)
        .tips(VARIES)
        .syntax("node-id")
        .deprecated("5.0.0", "`CLUSTER REPLICAS`"),
    row("slots", 2, "3.0.0", PER_NODE, "Maps slots to nodes.")
        .flags(LOADING | STALE)
        .tips(VARIES)
        .history(&[("4.0.0", "Nodes are named."), ("7.0.0", "Nodes have further addresses.")])
        .deprecated("7.0.0", "`CLUSTER SHARDS`"),
];

const NO_CLUSTER: CmdError = CmdError::coded("ERR This instance has cluster support disabled");

fn no_cluster(_: &mut Ctx<'_>) -> CmdResult {
    Err(NO_CLUSTER)
}

fn readonly(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    read_replica(engine, call.slot, true)
}

fn readwrite(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    read_replica(engine, call.slot, false)
}

/// Outside a cluster only who would be redirected needs it; Redis refuses it there.
fn read_replica(engine: &mut Engine, slot: usize, wants: bool) -> CmdResult {
    if !engine.clients[slot].is(state::CAPA_REDIRECT) {
        return Err(NO_CLUSTER);
    }
    engine.clients[slot].reads_replica = wants;
    engine.reply(slot).ok();
    Ok(Outcome::Done)
}
