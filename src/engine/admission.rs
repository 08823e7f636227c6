//! Why a request is refused, delayed or queued before its handler runs.
//!
//! Every reason is a [`Gate`]. A request passes the gates of whoever asks, a client ([`SOCKET`]), a script about to begin
//! ([`SCRIPT_START`]) or a call within a script ([`SCRIPT_CALL`]), in Redis's order; the first gate that is shut answers.
//!
//! Most requests meet no gate that could be shut. So [`Engine::gates`] has a bit for each reason that is in force for
//! everybody, set where its cause changes; together with the bits of the client and of the row it is one word, and only if
//! any bit of that word is set does a request walk the gates.

use super::acl::Context;
use super::blocking::{Block, BlockOn};
use super::client::state;
use super::error::{CmdError, quoted};
use super::script::flags::script_flag;
use super::spec::flag;
use super::table::{NoRow, Row};
use super::{Engine, Host};
use crate::base::lossless;
use crate::resp::Args;

/// Reasons that may be in force for every client, one bit each.
pub(super) mod gate {
    /// There is a memory limit.
    pub const MEMORY: u32 = 1;
    /// Writes need replicas that are not there.
    pub const REPLICAS: u32 = 1 << 1;
    /// CLIENT PAUSE.
    pub const PAUSE: u32 = 1 << 2;
    /// A command lets others speak in the middle of its work.
    pub const BUSY: u32 = 1 << 3;
    /// Writes are refused, since the last save failed.
    pub const DISK: u32 = 1 << 4;
    /// A dataset is being loaded.
    pub const LOADING: u32 = 1 << 5;
    /// A replica takes no writes.
    pub const READ_ONLY: u32 = 1 << 6;
    /// A replica without its primary does not answer.
    pub const STALE: u32 = 1 << 7;
    /// Another dataset is being loaded beside the one that serves.
    pub const LOADING_BESIDE: u32 = 1 << 8;
    /// What clients write on a replica is looked at.
    pub const WRITABLE_REPLICA: u32 = 1 << 9;
    /// Keys are on their way to another server.
    pub const MIGRATION: u32 = 1 << 10;
}

/// Bits of [`state`] for which the requests of a client are looked at closely.
const WATCHED_STATES: u32 = state::PUBSUB | state::MULTI | state::LIMITED | state::MONITOR | state::REPLICA;

const NO_REPLICAS: CmdError = CmdError::coded("NOREPLICAS Not enough good replicas to write.");
const LOADING: CmdError = CmdError::coded("LOADING Redis is loading the dataset in memory");
const NOT_SAVED: CmdError = CmdError::coded(
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may \
     modify the data set are disabled, because this instance is configured to report errors during writes if RDB \
     snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.",
);
const NOT_SAVED_FOR_SCRIPT: CmdError = CmdError::coded(
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Writable scripts are \
     blocked. Use 'no-writes' flag for read only scripts.",
);
const READ_ONLY: CmdError = CmdError::coded("READONLY You can't write against a read only replica.");
const READ_ONLY_SCRIPT: CmdError =
    CmdError::coded("READONLY Can not run script with write flag on readonly replica");
const STALE: CmdError =
    CmdError::coded("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.");
const STALE_SCRIPT: CmdError = CmdError::coded(
    "MASTERDOWN Link with MASTER is down, replica-serve-stale-data is set to 'no' and 'allow-stale' flag is not set on the \
     script.",
);
const NO_MEMORY: CmdError = CmdError::coded("OOM command not allowed when used memory > 'maxmemory'.");

/// Bytes of a request that an error quotes, as it came.
const QUOTED_BYTES_MAX: usize = 128;

/// Why a request is refused before its handler runs.
pub(super) enum Refusal {
    /// The client gets this error.
    Error(CmdError),
    /// The connection ends without a word.
    Close,
    /// The request waits.
    Wait(Block),
    /// The request waits for EXEC; the bits are those of [`flag`] that it has.
    Queue(u32),
}

/// Who asks.
#[derive(Clone, Copy)]
pub(super) enum Asker {
    /// A client, by a request of its own.
    Socket,
    /// A client whose script is about to begin, with its bits of [`script_flag`].
    ScriptStart { flags: u32, is_read_only: bool },
    /// The script that runs.
    ScriptCall,
}

/// A request at the gates.
pub(super) struct Asked<'a> {
    /// The slot of the client.
    pub slot: usize,
    /// The request.
    pub args: Args<'a>,
    /// The row of its command.
    pub row: &'static Row,
    /// Who asks.
    pub by: Asker,
}

/// One reason to refuse.
#[derive(Clone, Copy)]
enum Gate {
    /// The number of arguments is wrong.
    Arity,
    /// The configuration forbids the command.
    Protected,
    /// The client has to authenticate.
    Authentication,
    /// The command may not be queued.
    Transaction,
    /// Scripts may not run the command.
    Script,
    /// The user may not run the request.
    Permission,
    /// The client wants to be told who the primary is.
    Redirect,
    /// The script does not run in cluster mode.
    Cluster,
    /// The script promised to write nothing.
    ReadOnly,
    /// The memory limit is reached.
    Memory,
    /// The last save failed.
    Disk,
    /// Too few replicas follow.
    Replicas,
    /// A replica takes no writes.
    Role,
    /// A client with subscriptions runs little else.
    Subscribed,
    /// A replica has lost its primary.
    Stale,
    /// The dataset is being loaded.
    Loading,
    /// A slow command runs.
    Busy,
    /// A monitor, or a replica, must not touch the keyspace.
    Monitor,
    /// Clients are paused.
    Pause,
    /// A key is on its way to another server.
    Migration,
    /// The client is between MULTI and EXEC.
    Queue,
}

/// The gates for what a client sends. Redis: `processCommand`.
const SOCKET: &[Gate] = &[
    Gate::Protected,
    Gate::Authentication,
    Gate::Transaction,
    Gate::Permission,
    Gate::Redirect,
    Gate::Memory,
    Gate::Disk,
    Gate::Replicas,
    Gate::Role,
    Gate::Subscribed,
    Gate::Stale,
    Gate::Loading,
    Gate::Busy,
    Gate::Monitor,
    Gate::Pause,
    Gate::Migration,
    Gate::Queue,
];

/// The gates for a script that is about to begin. Redis: `scriptPrepareForRun`.
const SCRIPT_START: &[Gate] =
    &[Gate::Cluster, Gate::Stale, Gate::Role, Gate::Disk, Gate::ReadOnly, Gate::Replicas, Gate::Memory];

/// The gates for what a script calls. Redis: `scriptCall`.
const SCRIPT_CALL: &[Gate] = &[
    Gate::Arity,
    Gate::Script,
    Gate::Stale,
    Gate::Permission,
    Gate::ReadOnly,
    Gate::Role,
    Gate::Disk,
    Gate::Replicas,
    Gate::Memory,
];

/// The gates for what a script calls that was propagated: what it did elsewhere it does here. Redis: `mustObeyClient`.
const REPLAYED_SCRIPT_CALL: &[Gate] = &[Gate::Arity, Gate::Script, Gate::ReadOnly];

impl Engine {
    /// Notes whether a reason is in force for everybody: bits of [`gate`].
    pub(super) fn set_gate(&mut self, gate: u32, is_shut: bool) {
        if is_shut { self.gates |= gate } else { self.gates &= !gate }
    }

    /// Takes over the reasons that follow from the configuration.
    pub(super) fn configure_gates(&mut self) {
        self.set_gate(gate::MEMORY, self.conf.maxmemory_bytes > 0);
        self.set_gate(gate::REPLICAS, self.lacks_replicas());
    }

    /// Whether a request of a client whose bits of [`state`] are `client` may run now.
    #[inline(always)]
    pub(super) fn admit(
        &mut self,
        host: &mut dyn Host,
        slot: usize,
        client: u32,
        args: Args<'_>,
        row: &'static Row,
    ) -> Result<(), Refusal> {
        if !row.admits(args.len()) {
            return Err(Refusal::Error(CmdError::Arity(row.full_name)));
        }
        if self.gates | (row.flags & flag::PROTECTED) | (client & WATCHED_STATES) != 0 {
            return self.pass(host, SOCKET, &Asked { slot, args, row, by: Asker::Socket });
        }
        Ok(())
    }

    /// Whether a script may begin as things are.
    pub(super) fn admit_script(
        &mut self,
        host: &mut dyn Host,
        slot: usize,
        args: Args<'_>,
        row: &'static Row,
        by: Asker,
    ) -> Result<(), Refusal> {
        let gates = match (by, self.clients[slot].is(state::REPLAYS)) {
            (Asker::ScriptCall, false) => SCRIPT_CALL,
            (Asker::ScriptCall, true) => REPLAYED_SCRIPT_CALL,
            (_, false) => SCRIPT_START,
            (_, true) => &[],
        };
        self.pass(host, gates, &Asked { slot, args, row, by })
    }

    /// Walks the gates; the first that is shut answers.
    #[cold]
    fn pass(&mut self, host: &mut dyn Host, gates: &[Gate], asked: &Asked<'_>) -> Result<(), Refusal> {
        gates.iter().try_for_each(|gate| self.pass_one(host, *gate, asked))
    }

    fn pass_one(&mut self, host: &mut dyn Host, gate: Gate, asked: &Asked<'_>) -> Result<(), Refusal> {
        let Asked { slot, args, row, .. } = *asked;
        let client = &self.clients[slot];
        let error = match gate {
            Gate::Arity if !row.admits(args.len()) => {
                CmdError::coded("ERR Wrong number of args calling Redis command from script")
            }
            Gate::Protected if row.has(flag::PROTECTED) && !self.allows_protected(slot, row) => {
                protected(row)
            }
            Gate::Authentication
                if client.is(state::LIMITED) && self.must_authenticate(client) && !row.has(flag::NO_AUTH) =>
            {
                CmdError::coded("NOAUTH Authentication required.")
            }
            Gate::Transaction if row.has(flag::NO_MULTI) && client.is(state::MULTI) => {
                CmdError::err("Command not allowed inside a transaction")
            }
            Gate::Script if row.has(flag::NOSCRIPT) && !self.switches.allows_all_in_scripts => {
                CmdError::coded("ERR This Redis command is not allowed from script")
            }
            Gate::Permission => return self.judge(asked),
            Gate::Redirect if self.gates & (gate::READ_ONLY | gate::WRITABLE_REPLICA) != 0 => {
                return self.redirect(asked);
            }
            Gate::Cluster => return self.fits_cluster(asked.by),
            Gate::ReadOnly => return self.may_write(asked),
            Gate::Memory => return self.has_memory(host, asked),
            Gate::Disk if self.gates & gate::DISK != 0 && self.is_refused_unsaved(asked) => {
                self.disk_error(matches!(asked.by, Asker::ScriptStart { .. }))
            }
            Gate::Loading if self.gates & gate::LOADING != 0 && self.must_be_loaded(asked) => LOADING,
            Gate::Loading if self.gates & gate::LOADING_BESIDE != 0 && row.has(flag::NO_ASYNC_LOADING) => {
                LOADING
            }
            Gate::Role if self.gates & gate::READ_ONLY != 0 && self.needs_replicas(asked) => match asked.by {
                Asker::ScriptStart { .. } => READ_ONLY_SCRIPT,
                _ => READ_ONLY,
            },
            Gate::Stale if self.gates & gate::STALE != 0 => return self.may_be_stale(asked),
            Gate::Replicas if self.gates & gate::REPLICAS != 0 && self.needs_replicas(asked) => NO_REPLICAS,
            Gate::Subscribed
                if client.is(state::PUBSUB) && client.resp == 2 && !row.has(flag::RUNS_SUBSCRIBED) =>
            {
                subscribed(row)
            }
            Gate::Busy if !row.has(flag::ALLOW_BUSY) => match self.outermost.busy {
                Some(busy) => CmdError::coded(busy.refusal),
                None => return Ok(()),
            },
            Gate::Monitor
                if client.is(state::MONITOR | state::REPLICA)
                    && row.has(flag::WRITE | flag::READONLY | flag::MAY_REPLICATE) =>
            {
                CmdError::err("Replica can't interact with the keyspace")
            }
            Gate::Pause => {
                return self
                    .paused_for(self.flags_of(slot, row, args))
                    .map_or(Ok(()), |block| Err(Refusal::Wait(block)));
            }
            Gate::Migration
                if self.gates & gate::MIGRATION != 0 && self.waits_for_migration(slot, row, args) =>
            {
                return Err(Refusal::Wait(Block { on: BlockOn::Unpause, deadline_us: None }));
            }
            Gate::Queue if client.is(state::MULTI) && !row.has(flag::RUNS_IN_MULTI) => {
                return Err(Refusal::Queue(self.flags_of(slot, row, args)));
            }
            _ => return Ok(()),
        };
        Err(Refusal::Error(error))
    }

    /// The flags of a request: those of its row, or of what it runs in its place.
    pub(super) fn flags_of(&self, slot: usize, row: &Row, args: Args<'_>) -> u32 {
        row.spec.flags_of.map_or(row.flags, |flags_of| flags_of(self, slot, row, args))
    }

    /// Whether the user of a client may run a request.
    fn judge(&mut self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let Asked { slot, args, row, by } = *asked;
        let is_scripted = !matches!(by, Asker::Socket);
        if !is_scripted && !self.clients[slot].is(state::LIMITED) {
            return Ok(());
        }
        self.check(slot, row, args).map_err(|denial| {
            let context = if is_scripted { Context::Lua } else { self.context_of(slot) };
            Refusal::Error(self.deny(slot, row, args, denial, context))
        })
    }

    /// On a replica, the refusal of a request for data of a client that can follow a redirection. Valkey:
    /// `clientSupportStandAloneRedirect`.
    fn redirect(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let client = &self.clients[asked.slot];
        if !client.is(state::CAPA_REDIRECT) {
            return Ok(());
        }
        let flags = self.flags_of(asked.slot, asked.row, asked.args);
        let reads_elsewhere = flags & flag::READONLY != 0 && !client.reads_replica;
        if flags & flag::WRITE == 0 && !reads_elsewhere {
            return Ok(());
        }
        // The one that takes over may still be a replica, and would send it back.
        if self.replication.failover.is_some() {
            return Err(Refusal::Wait(Block { on: BlockOn::Unpause, deadline_us: None }));
        }
        self.redirection().map_or(Ok(()), |error| Err(Refusal::Error(error)))
    }

    /// Where a client of a replica finds the primary.
    pub(super) fn redirection(&self) -> Option<CmdError> {
        let primary = self.replication.primary.as_ref()?;
        Some(CmdError::Text(format!("REDIRECT {}:{}", primary.host, primary.port).into()))
    }

    /// Whether a script runs in this mode.
    fn fits_cluster(&self, by: Asker) -> Result<(), Refusal> {
        match by {
            Asker::ScriptStart { flags, .. }
                if flags & script_flag::NO_CLUSTER != 0 && self.conf.cluster_enabled =>
            {
                let text = "Can not run script on cluster, 'no-cluster' flag is set.";
                Err(Refusal::Error(CmdError::err(text)))
            }
            _ => Ok(()),
        }
    }

    /// Whether a script may write, or begin although it may write.
    fn may_write(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let text = match asked.by {
            Asker::ScriptStart { flags, is_read_only: true } if flags & script_flag::NO_WRITES == 0 => {
                "Can not execute a script with write flag using *_ro command."
            }
            Asker::ScriptCall
                if asked.row.has(flag::WRITE | flag::MAY_REPLICATE)
                    && self.scripts.running.as_ref().is_some_and(|running| running.is_read_only) =>
            {
                "Write commands are not allowed from read-only scripts."
            }
            _ => return Ok(()),
        };
        Err(Refusal::Error(CmdError::err(text)))
    }

    /// Whether a request may run although memory is short. What a client sends makes room first.
    fn has_memory(&mut self, host: &mut dyn Host, asked: &Asked<'_>) -> Result<(), Refusal> {
        if self.gates & gate::MEMORY == 0 {
            return Ok(());
        }
        if matches!(asked.by, Asker::Socket) {
            self.note_weight(asked.slot);
            self.eviction.is_short = !self.make_room(host);
            // It may have been the largest of clients that together held too much.
            if self.clients[asked.slot].is(state::CLOSE_ASAP) {
                return Err(Refusal::Close);
            }
        }
        if !self.eviction.is_short {
            return Ok(());
        }
        let error = match asked.by {
            Asker::Socket if self.flags_of(asked.slot, asked.row, asked.args) & flag::DENYOOM != 0 => {
                NO_MEMORY
            }
            Asker::ScriptStart { flags, .. }
                if flags & (script_flag::ALLOW_OOM | script_flag::NO_WRITES) == 0 =>
            {
                CmdError::coded(
                    "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
                )
            }
            Asker::ScriptCall if asked.row.has(flag::DENYOOM) && self.script_minds_memory() => NO_MEMORY,
            _ => return Ok(()),
        };
        Err(Refusal::Error(error))
    }

    /// Why writes are refused, to a script that is about to begin or to others.
    fn disk_error(&self, is_script: bool) -> CmdError {
        match (self.durability.log_error(), is_script) {
            _ if self.is_unsaved() && is_script => NOT_SAVED_FOR_SCRIPT,
            _ if self.is_unsaved() => NOT_SAVED,
            (text, false) => {
                CmdError::Text(format!("MISCONF Errors writing to the AOF file: {text}").into())
            }
            (text, true) => CmdError::Text(
                format!(
                    "MISCONF Redis is configured to persist data to AOF, but it's currently unable to persist to disk. \
                     Writable scripts are blocked. Use 'no-writes' flag for read only scripts. AOF error: {text}"
                )
                .into(),
            ),
        }
    }

    /// Whether a request is refused because the last save failed: it writes, or it asks how the server is.
    fn is_refused_unsaved(&self, asked: &Asked<'_>) -> bool {
        asked.row.spec.tells_health || self.needs_replicas(asked)
    }

    /// Whether a script without flags may begin.
    pub(super) fn admit_old_script(&self, slot: usize) -> Result<(), CmdError> {
        match self.gates & gate::STALE != 0 && !self.clients[slot].is(state::REPLAYS) {
            true => Err(STALE),
            false => Ok(()),
        }
    }

    /// Whether a request may run on a replica that has lost its primary.
    fn may_be_stale(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let queued = self.clients[asked.slot].transaction.as_ref();
        let is_refused = match asked.by {
            Asker::ScriptStart { flags, .. } if flags & script_flag::ALLOW_STALE == 0 => {
                return Err(Refusal::Error(STALE_SCRIPT));
            }
            Asker::ScriptCall if !asked.row.has(flag::STALE) => {
                let text = "ERR Can not execute the command on a stale replica";
                return Err(Refusal::Error(CmdError::coded(text)));
            }
            Asker::ScriptStart { .. } | Asker::ScriptCall => false,
            Asker::Socket => {
                self.flags_of(asked.slot, asked.row, asked.args) & flag::STALE == 0
                    || (asked.row.has(flag::RUNS_QUEUE)
                        && queued.is_some_and(|queued| queued.lacks(flag::STALE)))
            }
        };
        if is_refused { Err(Refusal::Error(STALE)) } else { Ok(()) }
    }

    /// Whether a request does not run before the dataset is loaded; what is queued for EXEC counts with it.
    fn must_be_loaded(&self, asked: &Asked<'_>) -> bool {
        let queued = self.clients[asked.slot].transaction.as_ref();
        !asked.row.has(flag::LOADING)
            || (asked.row.has(flag::RUNS_QUEUE) && queued.is_some_and(|queued| queued.lacks(flag::LOADING)))
    }

    fn script_minds_memory(&self) -> bool {
        self.scripts.running.as_ref().is_some_and(|running| !running.allows_oom && !running.has_written)
    }

    /// Whether a request writes, so that it needs replicas; a script that has written already goes on.
    fn needs_replicas(&self, asked: &Asked<'_>) -> bool {
        match asked.by {
            Asker::Socket => self.flags_of(asked.slot, asked.row, asked.args) & flag::WRITE != 0,
            Asker::ScriptStart { flags, .. } => flags & script_flag::NO_WRITES == 0,
            Asker::ScriptCall => {
                asked.row.has(flag::WRITE)
                    && self.scripts.running.as_ref().is_some_and(|running| !running.has_written)
            }
        }
    }

    /// Whether writes are refused because too few replicas would get them in time.
    fn lacks_replicas(&self) -> bool {
        self.conf.min_replicas_to_write > 0
            && self.conf.min_replicas_max_lag_s > 0
            && self.replication.good_replicas() < self.conf.min_replicas_to_write as usize
    }

    /// Whether a command with these bits of [`flag`] has to wait for the end of a pause.
    #[inline]
    pub(super) fn paused_for(&self, flags: u32) -> Option<Block> {
        if self.gates & gate::PAUSE == 0 {
            return None;
        }
        let is_ending =
            self.is_shutting_down() && !self.waits_for_replicas() && flags & flag::ALLOW_BUSY == 0;
        let waits = self.pause.all || is_ending || flags & (flag::WRITE | flag::MAY_REPLICATE) != 0;
        waits.then_some(Block { on: BlockOn::Unpause, deadline_us: None })
    }

    /// Whether a client may run a command that the configuration may forbid.
    fn allows_protected(&self, slot: usize, row: &Row) -> bool {
        let modules = row.has(flag::LOADS_MODULES);
        let rule = if modules { self.conf.enable_module_command } else { self.conf.enable_debug_command };
        rule.allows(self.is_local(slot))
    }

    /// The refusal of a request that names no command.
    #[cold]
    pub(super) fn no_such(&mut self, slot: usize, args: Args<'_>) -> Refusal {
        let name = String::from_utf8_lossy(args.at(0)).into_owned();
        if name.eq_ignore_ascii_case("post") || name.eq_ignore_ascii_case("host:") {
            log::warn!(
                "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. \
                 This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis \
                 instance. Connection from {} aborted.",
                self.peer_text(slot)
            );
            return Refusal::Close;
        }
        let cut = |text: &'_ [u8]| quoted(&text[..text.len().min(QUOTED_BYTES_MAX)]).into_owned();
        if let Err(NoRow::Subcommand(container)) = self.table.resolve(&args) {
            let container = self.table.at(container).spec.name.to_ascii_uppercase();
            let sub = cut(args.at(1));
            return Refusal::Error(CmdError::err(format!(
                "unknown subcommand '{sub}'. Try {container} HELP."
            )));
        }
        let (mut shown, mut shown_bytes) = (String::new(), 0);
        for arg in args.iter_from(1) {
            if shown_bytes >= QUOTED_BYTES_MAX {
                break;
            }
            let piece = cut(&arg[..arg.len().min(QUOTED_BYTES_MAX - shown_bytes)]);
            // What is no UTF-8 takes more room in a text of ours than on the wire.
            shown_bytes += lossless::to_bytes(&piece).len() + "'' ".len();
            shown += &format!("'{piece}' ");
        }
        let name = cut(args.at(0));
        Refusal::Error(CmdError::err(format!("unknown command '{name}', with args beginning with: {shown}")))
    }
}

fn protected(row: &Row) -> CmdError {
    let name = row.full_name.split('|').next().unwrap_or_default();
    CmdError::err(format!(
        "{} command not allowed. If the enable-{name}-command option is set to \"local\", you can run it from a local \
         connection, otherwise you need to set this option in the configuration file, and then restart the server.",
        name.to_ascii_uppercase(),
    ))
}

fn subscribed(row: &Row) -> CmdError {
    CmdError::err(format!(
        "Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
        row.full_name
    ))
}
