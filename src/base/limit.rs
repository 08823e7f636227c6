//! Every bound of the server, with its unit, in one place.
//!
//! A bound that a peer can run into names the constant of Redis that it equals, so that both refuse the same
//! input. Relations between bounds are checked when the crate is compiled.

/// Longest inline request and longest length line. Redis: `PROTO_INLINE_MAX_SIZE`.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;

/// One read from a socket. A whole inline request fits, or a slow talker could never finish one.
pub const READ_BYTES: usize = 64 * 1024;

/// A bulk string longer than this is read straight into its own buffer. Redis: `PROTO_MBULK_BIG_ARG`.
pub const LARGE_ARGUMENT_BYTES: usize = 32 * 1024;

/// A value longer than this is sent from where it lies, without a copy.
pub const SHARED_REPLY_BYTES: usize = 16 * 1024;

/// Most arguments of one request. Redis: `INT_MAX`.
pub const ARGUMENTS_MAX: i64 = i32::MAX as i64;

/// Most arguments of a request of a client that has not authenticated yet.
pub const UNAUTHENTICATED_ARGUMENTS_MAX: i64 = 10;

/// Longest argument of a client that has not authenticated yet.
pub const UNAUTHENTICATED_ARGUMENT_BYTES_MAX: i64 = 16384;

/// Largest output buffer of a client that has not authenticated yet.
pub const UNAUTHENTICATED_OUTPUT_BYTES_MAX: usize = 1024;

/// Most bytes of requests that wait of a client that has not authenticated yet.
pub const UNAUTHENTICATED_INBOX_BYTES_MAX: usize = 1 << 20;

/// What an entry of ACL LOG keeps of a key, a channel or a name.
pub const ACL_LOG_TEXT_BYTES_MAX: usize = 4096;

/// Requests that are parsed and prefetched before the first of them runs.
pub const PARSE_AHEAD_MAX: usize = 32;

/// Commands that one client may run before it goes to the end of the ready list.
pub const COMMANDS_PER_SERVING: usize = 1024;

/// Bytes that one client may have read in one serving.
pub const READ_BYTES_PER_SERVING: usize = 4 * READ_BYTES;

/// How long a turn serves clients before timers and writes get their part.
pub const SERVING_US_PER_TURN: u64 = 1000;

/// With `appendfsync everysec` the log is synced when its oldest byte that is not durable is so old, in milliseconds: what a
/// sync takes comes on top, and a second is promised.
pub const LOG_SYNC_AFTER_MS: u64 = 800;

/// With `appendfsync everysec` writers wait while the oldest byte that is not durable is older, in milliseconds.
pub const LOG_LATE_MS: u64 = 1000;

/// Writers wait while more bytes of the log than this are not written, whatever `appendfsync` says.
pub const LOG_BACKLOG_BYTES_MAX: u64 = 64 << 20;

/// A client with more bytes that wait for the disk than this is not served.
pub const GATED_BYTES_MAX: usize = 1 << 20;

/// How long a turn that served nobody saves.
pub const SAVE_US_PER_TURN: u64 = 1000;

/// How long a turn that served somebody saves.
pub const SAVE_US_PER_BUSY_TURN: u64 = 100;

/// A save pauses while so many bytes wait for the disk.
pub const SAVED_BYTES_IN_FLIGHT: u64 = 8 << 20;

/// No history reaches this offset, in bytes: at a terabyte a second it would take fifty days. Whoever says so is not believed.
pub const OFFSET_MAX: u64 = 1 << 62;

/// A primary is not read while so many bytes of it wait for the disk, for the loader, or for the end of the load.
pub const LINK_BYTES_AHEAD: u64 = 16 << 20;

/// How long a turn runs what came from a primary and was waiting: clients are answered in between.
pub const STREAM_US_PER_TURN: u64 = 1000;

/// A dump that goes straight to replicas pauses while one of them has so many bytes of it to take.
pub const SYNC_BYTES_IN_FLIGHT: usize = 4 << 20;

/// How long a turn loads: clients are answered in between.
pub const LOAD_US_PER_TURN: u64 = 4000;

/// Expired keys that one turn removes, if it does not take longer than [`EXPIRY_US_PER_TURN`].
pub const EXPIRED_KEYS_PER_TURN: usize = 8192;

/// Expired keys that are removed between two looks at the time.
pub const EXPIRED_KEYS_AT_ONCE: usize = 128;

/// How long a turn removes expired keys; sockets are served before it goes on.
pub const EXPIRY_US_PER_TURN: u64 = 500;

/// How long one client's requests run before others have their turn.
pub const SERVING_US_PER_CLIENT: u64 = 500;

/// Bytes of one piece of a long reply: a full piece is never copied again.
pub const OUTPUT_CHUNK_BYTES: usize = 64 * 1024;

/// Output buffers kept for the next turn.
pub const SPARE_BUFFERS_MAX: usize = 1024;

/// Largest output buffer that is kept for the next turn.
pub const SPARE_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Bytes that one client may be written in one turn. Redis: `NET_MAX_WRITES_PER_EVENT`.
pub const WRITE_BYTES_PER_TURN: usize = 1024 * 1024;

/// Receivers that get a message at once; if there are more, it is queued.
pub const DELIVERIES_AT_ONCE: usize = 1024;

/// Messages that may be queued for their receivers; a publisher waits for the rest.
pub const DELIVERIES_WAITING_MAX: usize = 256;

/// Bytes of queued messages.
pub const DELIVERIES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long a turn hands queued messages to their receivers.
pub const DELIVERY_US_PER_TURN: u64 = 500;

/// Least limit of what all clients together may occupy: with less nobody could talk to the server any more. Redis:
/// `getClientEvictionLimit`.
pub const CLIENTS_BYTES_MIN: usize = 128 * 1024;

/// Tracked keys that one command forgets at most, when the table is too large. Redis: `trackingLimitUsedSlots`.
pub const TRACKED_FORGOTTEN_PER_COMMAND: usize = 100;

/// Tracked keys that one turn forgets at most.
pub const TRACKED_FORGOTTEN_PER_TURN: usize = 1000;

/// How long a turn writes messages to clients that did not ask for them just now.
pub const MESSAGES_US_PER_TURN: u64 = 1000;

/// Large files are given back to the system in slices of so many bytes.
pub const DISK_FREE_SLICE_BYTES: u64 = 64 << 20;

/// Reads that the system is asked to be ahead of who reads a file.
pub const DISK_READ_AHEAD_READS: u64 = 4;

/// Bytes of keys on their way to another server that wait for the socket, beside one payload.
pub const MIGRATION_BYTES_AHEAD: usize = 256 * 1024;

/// A payload of fewer bytes is copied after the others.
pub const SHARED_PAYLOAD_BYTES_MIN: usize = 64 * 1024;

/// Connections to other servers that keys go to. Redis: `MIGRATE_SOCKET_CACHE_ITEMS`.
pub const LINKS_MAX: usize = 64;

/// How long such a connection is kept when it is not used. Redis: `MIGRATE_SOCKET_CACHE_TTL`.
pub const LINK_KEPT_MS: u64 = 10_000;

/// Descriptors kept for files, listeners and the poll itself. Redis: `CONFIG_MIN_RESERVED_FDS`.
pub const RESERVED_DESCRIPTORS: u64 = 32;

/// Longest string value that lives inside its entry; the whole entry fits a slab cell.
pub const INLINE_VALUE_BYTES_MAX: usize = 512;

/// Elements that one command gives by chance, where it may give one more than once: so many that no client could want them,
/// so few that the reply fits into memory.
pub const RANDOM_PICKS_MAX: u64 = 1 << 24;

/// Longest key that lives inside its entry.
pub const INLINE_KEY_BYTES_MAX: usize = 400;

/// Longest string that `OBJECT ENCODING` calls `embstr`. Redis: `OBJ_ENCODING_EMBSTR_SIZE_LIMIT`.
pub const EMBSTR_BYTES_MAX: usize = 44;

/// Memory that an interpreter of scripts may use.
pub const SCRIPT_MEMORY_BYTES_MAX: usize = 1 << 30;

/// Scripts of EVAL that are kept for EVALSHA. Redis: `LRU_LIST_LENGTH`.
pub const EVAL_SCRIPTS_MAX: usize = 500;

/// Milliseconds that loading a library may take. Redis: `LOAD_TIMEOUT_MS`.
pub const LIBRARY_LOAD_MS_MAX: u64 = 500;

const _: () = assert!(EXPIRED_KEYS_PER_TURN >= EXPIRED_KEYS_AT_ONCE);
const _: () = assert!(READ_BYTES >= INLINE_BYTES_MAX);
const _: () = assert!(LARGE_ARGUMENT_BYTES < READ_BYTES);
const _: () = assert!(INLINE_VALUE_BYTES_MAX + INLINE_KEY_BYTES_MAX + 32 <= 1024);
