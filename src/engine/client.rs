//! One connection: what it sent, what it will be sent, and what it said about itself.

use super::acl::UserId;
use super::blocking::Blocked;
use super::client_memory::Weight;
use super::durability::Marks;
use super::pubsub::Subscriptions;
use super::replication::Replica;
use super::table::Row;
use super::tracking::Tracker;
use super::transaction::Transaction;
use crate::base::id::ClientId;
use crate::base::time::Now;
use crate::resp::Output;
use crate::resp::parse::Progress;
use bytes::Bytes;
use std::net::SocketAddr;

/// Where a connection comes from or goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP socket.
    Ip(SocketAddr),
    /// The unix socket.
    Unix,
    /// Nobody: a connection of the engine itself.
    None,
}

/// What a connection is doing, one bit each.
pub mod state {
    #![allow(missing_docs, reason = "each is one letter or word of CLIENT LIST")]
    pub const CLOSE_AFTER_REPLY: u32 = 1;
    pub const CLOSE_ASAP: u32 = 1 << 1;
    pub const BLOCKED: u32 = 1 << 2;
    pub const MONITOR: u32 = 1 << 3;
    pub const PUBSUB: u32 = 1 << 4;
    pub const REPLY_OFF: u32 = 1 << 5;
    pub const REPLY_SKIP: u32 = 1 << 6;
    pub const REPLY_SKIP_NEXT: u32 = 1 << 7;
    pub const NO_TOUCH: u32 = 1 << 8;
    pub const NO_EVICT: u32 = 1 << 9;
    pub const AUTHENTICATED: u32 = 1 << 10;
    pub const UNIX: u32 = 1 << 11;
    /// It is in the list of clients with output.
    pub const QUEUED: u32 = 1 << 12;
    /// It is in the list of clients with requests that wait for a turn.
    pub const RUNNABLE: u32 = 1 << 13;
    /// The end of its input was seen; it goes when what it sent was answered.
    pub const HALF_CLOSED: u32 = 1 << 14;
    /// Its requests wait for EXEC.
    pub const MULTI: u32 = 1 << 15;
    /// A key that it watches was changed.
    pub const DIRTY_CAS: u32 = 1 << 16;
    /// A request was refused after MULTI.
    pub const DIRTY_EXEC: u32 = 1 << 17;
    /// Its requests are judged before they run: it has to authenticate, or its user may not do everything.
    pub const LIMITED: u32 = 1 << 18;
    /// Its user may not read every key, so the SORT that runs follows no patterns.
    pub const READS_SOME_KEYS: u32 = 1 << 19;
    /// It is in the list of clients with messages.
    pub const MESSAGED: u32 = 1 << 25;
    /// It can follow a redirection.
    pub const CAPA_REDIRECT: u32 = 1 << 26;
    /// It imports a dataset: in `import-mode` it sees keys that have expired.
    pub const IMPORT_SOURCE: u32 = 1 << 20;
    /// Its memory may have changed in this turn.
    pub const TO_WEIGH: u32 = 1 << 21;
    /// It is told when keys change that it may have in a cache.
    pub const TRACKING: u32 = 1 << 22;
    /// All keys that begin with its prefixes.
    pub const TRACKING_BCAST: u32 = 1 << 23;
    /// Whom it has named to be told in its place is gone.
    pub const TRACKING_BROKEN: u32 = 1 << 24;
    /// The next script that it sends runs in the debugger.
    pub const DEBUGS_SCRIPTS: u32 = 1 << 27;
    /// It runs what was propagated before: the engine's own client, see [`replay`](super::super::replay).
    pub const REPLAYS: u32 = 1 << 28;
    /// Too many of its replies wait for the disk.
    pub const GATED: u32 = 1 << 29;
    /// It gets the feed, or will.
    pub const REPLICA: u32 = 1 << 30;
    /// It stands for a connection that this server has made: if it [`REPLAYS`], for the link to the primary, else for one by
    /// which keys go to another server.
    pub const PRIMARY: u32 = 1 << 31;
    /// A client of this kind runs nothing that was not asked of it already.
    pub const STOPPED: u32 = CLOSE_AFTER_REPLY | CLOSE_ASAP | BLOCKED | GATED | PRIMARY;
    /// No reply is wanted to the command that runs.
    pub const MUTED: u32 = REPLY_OFF | REPLY_SKIP;
}

/// Requests that did not run yet.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Bytes from the first unfinished request on, after `start`.
    pub bytes: Vec<u8>,
    /// Bytes at the front that were consumed.
    pub start: usize,
    /// What is known about the request at `start`.
    pub progress: Progress,
    /// A request of which a large argument is being read.
    pub large: Option<Box<LargeRequest>>,
}

/// A request whose next argument gets a buffer of its own.
#[derive(Debug)]
pub struct LargeRequest {
    /// Arguments that are complete.
    pub args: Vec<Bytes>,
    /// The argument so far, with its line end; none between two large ones.
    pub target: Option<Vec<u8>>,
    /// Bytes that the argument will have, without its line end.
    pub bytes: usize,
    /// Arguments still to come, this one included.
    pub remaining: usize,
}

impl Inbox {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
            + self.large.as_ref().map_or(0, |l| l.target.as_ref().map_or(0, Vec::len))
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == self.start && self.large.is_none()
    }

    /// Memory held, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let large = self.large.as_ref().map_or(0, |l| {
            size_of::<LargeRequest>()
                + l.target.as_ref().map_or(0, Vec::capacity)
                + l.args.iter().map(|a| a.len() + 32).sum::<usize>()
        });
        self.bytes.capacity() + self.progress.heap_bytes() + large
    }
}

/// What a client said about itself; most say nothing.
#[derive(Debug, Default, Clone)]
pub struct Labels {
    /// CLIENT SETNAME.
    pub name: Bytes,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: Bytes,
    /// CLIENT SETINFO LIB-VER.
    pub lib_ver: Bytes,
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    /// How the shell names it.
    pub handle: ClientId,
    /// What CLIENT ID answers; never used twice.
    pub id: u64,
    /// Bits of [`state`].
    pub state: u32,
    /// Number of the selected database.
    pub db: u32,
    /// Who it is.
    pub user: UserId,
    /// Protocol version, 2 or 3.
    pub resp: u8,
    /// READONLY: on a replica it reads there, although it can follow a redirection.
    pub reads_replica: bool,
    /// Row of the last command, plus one; 0 before the first.
    pub last_row: u16,
    /// Requests that did not run yet.
    pub inbox: Inbox,
    /// Replies that were not sent yet.
    pub out: Output,
    /// Which of these wait for the disk.
    pub marks: Option<Box<Marks>>,
    /// What a blocked client waits for.
    pub block: Option<Box<Blocked>>,
    /// What it has queued since MULTI, and what it watches.
    pub transaction: Option<Box<Transaction>>,
    /// What it said about itself.
    pub labels: Option<Box<Labels>>,
    /// Its channels and patterns.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// What it said about itself as a replica.
    pub replica: Option<Box<Replica>>,
    /// The offset of the feed after its last write, while there are replicas.
    pub wrote_upto: u64,
    /// How it tracks keys, if it does.
    pub tracker: Option<Box<Tracker>>,
    /// Number of the newest message to many that it has, or was not to have.
    pub delivered: u64,
    /// What it weighed when its memory was last looked at.
    pub weight: Weight,
    /// The other end.
    pub peer: Address,
    /// This end.
    pub local: Address,
    /// Descriptor, for CLIENT LIST.
    pub fd: i32,
    /// When it came, monotonic microseconds.
    pub since_us: u64,
    /// When it last sent a request or took a reply, monotonic microseconds.
    pub active_us: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Commands run.
    pub commands: u64,
    /// Since when its output is over the soft limit, monotonic microseconds; 0: it is not.
    pub over_soft_limit_us: u64,
    /// Size of the largest reply burst of late, for CLIENT LIST `rbs`/`rbp`.
    pub reply_peak: ReplyPeak,
}

/// The size of the buffer that Redis would keep for this client's replies, which CLIENT LIST shows.
///
/// Redis halves a reply buffer whose peak stayed below half of it, and doubles one that was full. Our clients have no
/// such buffer while they are idle, but tools watch the figure.
#[derive(Debug, Clone, Copy)]
pub struct ReplyPeak {
    /// Size of the buffer, in bytes.
    pub size: u32,
    /// Most bytes used since the peak was reset.
    pub peak: u32,
    /// When the peak was reset, monotonic milliseconds.
    pub reset_ms: u64,
}

impl Client {
    /// A client that nobody has connected yet: the default user, without an address.
    pub(super) fn new(handle: ClientId, id: u64, resp: u8, now: Now) -> Client {
        Client {
            handle,
            id,
            state: 0,
            db: 0,
            user: UserId::DEFAULT,
            resp,
            reads_replica: false,
            last_row: 0,
            inbox: Inbox::default(),
            out: Output::default(),
            marks: None,
            block: None,
            transaction: None,
            labels: None,
            subscriptions: None,
            replica: None,
            wrote_upto: 0,
            tracker: None,
            delivered: 0,
            weight: Weight::default(),
            peer: Address::None,
            local: Address::None,
            fd: -1,
            since_us: now.mono_us,
            active_us: now.mono_us,
            bytes_in: 0,
            bytes_out: 0,
            commands: 0,
            over_soft_limit_us: 0,
            reply_peak: ReplyPeak::new(now.mono_ms()),
        }
    }

    /// Whether any of the bits of [`state`] is set.
    #[inline]
    pub fn is(&self, bits: u32) -> bool {
        self.state & bits != 0
    }

    /// Whether it replays the log, and not what a primary sends.
    pub fn replays_log(&self) -> bool {
        self.state & (state::REPLAYS | state::PRIMARY) == state::REPLAYS
    }

    /// Whether it stands for a connection by which keys go to another server.
    #[inline]
    pub fn carries_keys(&self) -> bool {
        self.state & (state::PRIMARY | state::REPLAYS) == state::PRIMARY
    }

    /// Sets or clears bits of [`state`].
    pub fn set(&mut self, bits: u32, on: bool) {
        if on { self.state |= bits } else { self.state &= !bits }
    }

    /// The name it gave itself, or nothing.
    pub fn name(&self) -> &[u8] {
        self.labels.as_ref().map_or(b"", |l| &l.name)
    }

    /// What it said about itself, to change.
    pub fn labels_mut(&mut self) -> &mut Labels {
        self.labels.get_or_insert_default()
    }

    /// Notes the row of the command that runs.
    #[inline]
    pub fn note_row(&mut self, row: &Row) {
        self.last_row = row.id + 1;
    }

    /// Memory that the connection holds, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let blocked = self.block.as_ref().map_or(0, |b| {
            size_of::<Blocked>() + b.args.iter().map(|a| a.len() + size_of::<Bytes>()).sum::<usize>()
        });
        let labels = self
            .labels
            .as_ref()
            .map_or(0, |l| size_of::<Labels>() + l.name.len() + l.lib_name.len() + l.lib_ver.len());
        let subscriptions = self.subscriptions.as_ref().map_or(0, |s| s.heap_bytes());
        let tracker = self.tracker.as_ref().map_or(0, |t| t.heap_bytes());
        size_of::<Client>()
            + self.inbox.heap_bytes()
            + self.out.heap_bytes()
            + blocked
            + labels
            + subscriptions
            + tracker
            + self.transaction.as_ref().map_or(0, |t| t.heap_bytes())
            + self.marks.as_ref().map_or(0, |m| m.capacity() * size_of::<(u64, u64)>())
    }
}
