//! Listeners, connections, and what a client may occupy.

use super::super::directive::{
    Directive, Effect, I32, I64, Origin, PORT, Why, bytes, flag, memory, number, number_in, optional,
    special, unread,
};
use super::super::number::Unit;
use super::super::syntax;

pub(super) const ROWS: &[Directive] = &[
    number("port", "6379", 0, PORT, |c| &mut c.port)
        .applies(Effect::Port)
        .doc("TCP port to listen on; 0 listens on none."),
    special("bind", "* -::*", syntax::set_bind, syntax::get_bind, Some(syntax::bind_lines))
        .multi()
        .applies(Effect::Bind)
        .doc("Addresses to listen on; one with a minus in front may be missing on this machine."),
    optional("bind-source-addr", |c| &mut c.bind_source_addr)
        .doc("Local address from which connections to other servers start."),
    optional("unixsocket", |c| &mut c.unixsocket)
        .immutable()
        .doc("Path of a Unix socket to listen on; empty listens on none."),
    optional("unixsocketgroup", |c| &mut c.unixsocketgroup)
        .immutable()
        .origin(Origin::Valkey)
        .doc("Group that owns the Unix socket."),
    number_in(Unit::Octal, "unixsocketperm", "0", 0, 0o777, |c| &mut c.unixsocketperm)
        .immutable()
        .doc("File mode of the Unix socket; 0 leaves what the umask gives."),
    number("tcp-backlog", "511", 0, I32, |c| &mut c.tcp_backlog)
        .immutable()
        .doc("Connections that may wait to be accepted, per listener."),
    number("tcp-keepalive", "300", 0, I32, |c| &mut c.tcp_keepalive_s)
        .doc("Seconds of silence after which the kernel probes a connection; 0 never probes."),
    number("timeout", "0", 0, I32, |c| &mut c.timeout_s)
        .applies(Effect::IdleTimers)
        .doc("Seconds after which an idle client is disconnected; 0 never."),
    number("maxclients", "10000", 1, u32::MAX as i128, |c| &mut c.maxclients)
        .applies(Effect::MaxClients)
        .doc("Clients that may be connected at once."),
    number("max-new-connections-per-cycle", "10", 1, 1000, |c| &mut c.max_new_connections_per_cycle)
        .origin(Origin::SinceRedis8)
        .doc("Connections accepted from one listener in a turn of the loop."),
    unread::number("max-new-tls-connections-per-cycle", "1", 1, 1000, Why::Tls)
        .origin(Origin::SinceRedis8)
        .doc("TLS connections accepted from one listener in a turn of the loop."),
    flag("protected-mode", "yes", |c| &mut c.protected_mode)
        .doc("Serves only local clients while the default user has no password."),
    number("socket-mark-id", "0", 0, u32::MAX as i128, |c| &mut c.socket_mark_id)
        .immutable()
        .doc("Mark set on listening sockets for packet filters; 0 sets none."),
    flag("mptcp", "no", |c| &mut c.mptcp)
        .immutable()
        .origin(Origin::Valkey)
        .inert(Why::Valkey)
        .doc("Listens with multipath TCP."),
    bytes("requirepass", |c| &mut c.requirepass)
        .sensitive()
        .applies(Effect::RequirePass)
        .doc("Password of the default user; empty asks for none."),
    memory("client-query-buffer-limit", "1073741824", 1 << 20, I64, |c| {
        &mut c.client_query_buffer_limit_bytes
    })
    .debug()
    .doc("Bytes of unread requests that a client may pile up before it is disconnected."),
    special(
        "client-output-buffer-limit",
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        syntax::set_output_limits,
        syntax::get_output_limits,
        Some(syntax::output_limit_lines),
    )
    .multi()
    .doc("Per class normal, replica and pubsub: hard limit in bytes, soft limit in bytes, and its seconds."),
    memory("proto-max-bulk-len", "536870912", 1 << 20, I64, |c| &mut c.proto_max_bulk_len_bytes)
        .debug()
        .doc("Bytes of the longest argument that a request may hold."),
    number_in(Unit::MemoryOrPercent, "maxmemory-clients", "0", -100, I64, |c| &mut c.maxmemory_clients)
        .applies(Effect::ClientMemory)
        .doc("Bytes that all clients together may occupy, or a percentage of maxmemory; 0 sets no limit."),
    number("client-default-resp", "2", 2, 3, |c| &mut c.client_default_resp)
        .immutable()
        .hidden()
        .origin(Origin::SinceRedis8)
        .doc("Version of the protocol that a new client speaks before HELLO."),
    optional("req-res-logfile", |c| &mut c.req_res_logfile)
        .immutable()
        .hidden()
        .origin(Origin::SinceRedis8)
        .inert(Why::Valkey)
        .doc("File that records all requests and replies, for tests of the protocol."),
    unread::number("min-io-threads-avoid-copy-reply", "7", 0, I32, Why::Threads)
        .hidden()
        .origin(Origin::Valkey)
        .doc("I/O threads from which on replies refer to values instead of copying them."),
    number("min-string-size-avoid-copy-reply", "16384", 0, I32, |c| {
        &mut c.min_string_size_avoid_copy_reply_bytes
    })
    .hidden()
    .origin(Origin::Valkey)
    .inert(Why::Valkey)
    .doc("Bytes of a value from which on a reply refers to it instead of copying it."),
    unread::number("min-string-size-avoid-copy-reply-threaded", "65536", 0, I32, Why::Threads)
        .hidden()
        .origin(Origin::Valkey)
        .doc("The same bound in bytes while I/O threads are active."),
    number("prefetch-batch-max-size", "16", 0, 128, |c| &mut c.prefetch_batch_max_size)
        .origin(Origin::Valkey)
        .inert(Why::Valkey)
        .doc("Requests whose keys are prefetched together; 0 and 1 prefetch nothing."),
    special("rdma-bind", "", syntax::set_rdma_bind, syntax::get_rdma_bind, None)
        .multi()
        .inert(Why::Rdma)
        .origin(Origin::Valkey)
        .doc("Addresses to listen on for RDMA."),
    unread::number("rdma-port", "0", 0, PORT, Why::Rdma)
        .origin(Origin::Valkey)
        .doc("Port to listen on for RDMA; 0 listens on none."),
    unread::number("rdma-rx-size", "1048576", 64 << 10, 16 << 20, Why::Rdma)
        .immutable()
        .origin(Origin::Valkey)
        .doc("Bytes of the receive buffer of an RDMA connection."),
    unread::number("rdma-completion-vector", "-1", -1, 1024, Why::Rdma)
        .immutable()
        .origin(Origin::Valkey)
        .doc("Completion vector of RDMA connections; -1 chooses one."),
];
