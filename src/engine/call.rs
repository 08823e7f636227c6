//! One request, from its row to its reply: may it run, does it run, and what follows from it.

use super::client::state;
use super::config::Config;
use super::error::{Block, BlockOn, CmdError, CmdResult, Outcome, quoted};
use super::spec::{Run, flag};
use super::table::{NoRow, Row};
use super::transaction::runs_at_once;
use super::{Engine, Hint, Host};
use crate::base::id::ClientId;
use crate::base::lossless;
use crate::resp::{Args, Reply};

/// What a global command is given besides the engine.
pub struct Call<'a> {
    /// The shell.
    pub host: &'a mut dyn Host,
    /// The client that asked.
    pub id: ClientId,
    /// Its slot.
    pub slot: usize,
    /// The request.
    pub args: Args<'a>,
    /// The row of the command.
    pub row: &'static Row,
}

/// Whether the next request of the same client may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ran {
    /// It may.
    Go,
    /// The client waits, or is going.
    Stop,
}

/// Bytes of a request that an error quotes, as it came.
const QUOTED_BYTES_MAX: usize = 128;

/// Flags of what a monitor may not run: for Redis it is a kind of replica.
const ON_KEYS: u32 = flag::WRITE | flag::READONLY | flag::MAY_REPLICATE;

/// Why a request is refused before its handler runs.
enum Refusal {
    /// This error.
    Error(CmdError),
    /// Nobody is told: the connection ends.
    Close,
    /// It has to wait.
    Wait(Block),
    /// It runs with EXEC; its bits of [`flag`].
    Queue(u32),
}

impl Engine {
    /// Runs one request of a client.
    pub(super) fn run_one(
        &mut self,
        host: &mut dyn Host,
        slot: usize,
        args: Args<'_>,
        row: Result<u16, NoRow>,
        hint: Hint,
    ) -> Ran {
        self.lend_buffer(slot);
        let client = &mut self.clients[slot];
        client.commands += 1;
        // Only the command behind CLIENT REPLY SKIP is not answered.
        if client.is(state::REPLY_SKIP_NEXT) {
            client.state = (client.state & !state::REPLY_SKIP_NEXT) | state::REPLY_SKIP;
        }
        match row {
            Ok(number) => {
                let row = self.table.at(number);
                match self.admit(host, slot, args, row) {
                    Ok(()) => {
                        self.clients[slot].note_row(row);
                        self.run_admitted(host, slot, args, row, hint);
                    }
                    Err(Refusal::Queue(flags)) => {
                        self.clients[slot].note_row(row);
                        self.queue_request(slot, args, row, hint, flags);
                    }
                    Err(refusal) => self.refuse(slot, args, Some(row), refusal),
                }
            }
            Err(_) if args.is_empty() => {}
            Err(none) => {
                let refusal = self.no_such(slot, args, none);
                self.refuse(slot, args, None, refusal);
            }
        }
        // Clients leave between turns only, so this is still the one that asked.
        let client = &mut self.clients[slot];
        // The reply that is to be left out may come later.
        if !client.is(state::BLOCKED) {
            client.state &= !state::REPLY_SKIP;
        }
        if client.is(state::STOPPED) { Ran::Stop } else { Ran::Go }
    }

    /// A request does not run: its client is told, waits, or goes.
    #[cold]
    fn refuse(&mut self, slot: usize, args: Args<'_>, row: Option<&'static Row>, refusal: Refusal) {
        match (refusal, row) {
            (Refusal::Error(error), row) => {
                if let Some(row) = row {
                    self.stats.rows[row.id as usize].rejected += 1;
                }
                let text = error.to_string();
                let instead = self.refused_in_transaction(slot, row, &text);
                self.error_reply(slot, &instead.unwrap_or(text));
            }
            (Refusal::Wait(block), Some(row)) => self.block_client(slot, block, args.to_owned_args(), row.id),
            (Refusal::Close | Refusal::Wait(_) | Refusal::Queue(_), _) => self.close_soon(slot),
        }
    }

    /// Runs a request that nothing forbids, and all that follows from it.
    #[inline]
    pub(super) fn run_admitted(
        &mut self,
        host: &mut dyn Host,
        slot: usize,
        args: Args<'_>,
        row: &'static Row,
        hint: Hint,
    ) {
        let client = &self.clients[slot];
        let (id, db, replied) = (client.handle, client.db, client.out.appended());
        let dirty = self.stats.dirty;
        let is_rerun = self.rerun.is_some();
        self.rise.rewritten = false;
        let result = match row.spec.run {
            Run::Local(run) => run(&mut self.ctx(host, slot, args, row, hint)),
            Run::Global(run, _) => {
                let call = &mut Call { host: &mut *host, id, slot, args, row };
                self.holding_messages(id, |engine| run(engine, call))
            }
            Run::Container => Err(CmdError::Arity(row.full_name)),
        };
        let failed = !matches!(result, Ok(Outcome::Done)) && self.is_failure(slot, args, row, result);
        if self.rise.tracking.clients() > 0 && self.clients[slot].is(state::TRACKING) {
            self.note_read(slot, args, row);
        }
        if !self.held_messages.is_empty() && self.nesting.depth == 0 {
            self.send_held_messages(id);
        }
        if self.pending.is_active() {
            self.propagate_changes(db, args, row, dirty);
        }
        self.account(host, slot, id, args, row, failed);
        let replied = self.clients[slot].out.appended().wrapping_sub(replied);
        let requested = args.extent() as u64;
        if replied >= self.pace.large_reply_bytes || requested >= self.pace.large_request_bytes {
            self.note_large(slot, id, args, row, requested, replied);
        }
        if !self.monitors.is_empty() && !row.has(flag::SKIP_MONITOR | flag::ADMIN) && !is_rerun {
            self.feed_monitors(slot, row, args);
        }
        if self.rise.is_any() && self.nesting.depth == 0 {
            self.settle(host, Some(id));
        }
    }

    /// Runs a global command; what it, or one within it, sends to its own client comes behind the reply.
    fn holding_messages(&mut self, id: ClientId, run: impl FnOnce(&mut Engine) -> CmdResult) -> CmdResult {
        let before = self.replying_to.replace(id);
        let result = run(self);
        self.replying_to = before;
        result
    }

    /// Sends what was held back while a client was answered.
    #[cold]
    fn send_held_messages(&mut self, id: ClientId) {
        for message in std::mem::take(&mut self.held_messages) {
            self.send(id, &message);
        }
    }

    /// Answers an error, or lets the client wait; true for an error.
    #[cold]
    fn is_failure(&mut self, slot: usize, args: Args<'_>, row: &Row, result: CmdResult) -> bool {
        match result {
            Ok(Outcome::Done) => false,
            Ok(Outcome::Failed) => true,
            Ok(Outcome::Block(block)) if self.nesting.depth > 0 => {
                self.reply_instead_of_waiting(slot, block.on, row);
                false
            }
            Ok(Outcome::Block(block)) => {
                let (kept, asked) = (self.rise.kept_request.take(), args.to_owned_args());
                match kept {
                    None => self.block_client(slot, block, asked, row.id),
                    Some(kept) => {
                        self.block_client(slot, block, kept, row.id);
                        if let Some(blocked) = &mut self.clients[slot].block {
                            blocked.asked.get_or_insert(asked);
                        }
                    }
                }
                false
            }
            Err(error) => {
                self.error_reply(slot, &error.to_string());
                true
            }
        }
    }

    /// Commits what a command has propagated: itself, if it changed something and did not say otherwise.
    fn propagate_changes(&mut self, db: u32, args: Args<'_>, row: &Row, dirty_before: u64) {
        if self.stats.dirty != dirty_before && !self.rise.rewritten {
            assert!(row.has(flag::WRITE | flag::MAY_REPLICATE), "{} changes but is no write", row.full_name);
            self.pending.push_args(db, args);
        }
        if !self.pending.is_empty() && self.nesting.depth == 0 {
            self.feed.commit(&mut self.pending);
        }
    }

    /// Counts a call and its time.
    #[inline]
    fn account(
        &mut self,
        host: &mut dyn Host,
        slot: usize,
        id: ClientId,
        args: Args<'_>,
        row: &'static Row,
        failed: bool,
    ) {
        let ticks = host.ticks();
        let spent = ticks.saturating_sub(self.last_ticks);
        self.last_ticks = ticks;
        self.stats.total_commands_processed += 1;
        self.stats.turn_commands += 1;
        self.stats.command_ticks += spent;
        if let Some(blocked) = self.clients[slot].block.as_mut().filter(|b| b.block.on == BlockOn::Keys) {
            // It counts when it has run.
            blocked.spent_ticks += spent;
            return;
        }
        self.count_call(slot, id, args, row, spent, failed);
        if ticks.saturating_sub(self.now_ticks) > self.pace.step_ticks && self.nesting.depth == 0 {
            self.pass_time(ticks);
        }
    }

    /// Notes a call that is over, and its time.
    #[inline]
    pub(super) fn count_call(
        &mut self,
        slot: usize,
        id: ClientId,
        args: Args<'_>,
        row: &'static Row,
        spent: u64,
        failed: bool,
    ) {
        let stats = &mut self.stats.rows[row.id as usize];
        stats.calls += 1;
        stats.ticks += spent;
        stats.failed += u64::from(failed);
        if self.conf.latency_tracking {
            stats.latency_ns.get_or_insert_default().record(self.pace.ns(spent));
        }
        if spent >= self.pace.slow_ticks {
            self.note_slow(slot, id, args, row, spent);
        }
    }

    /// Moves the time on by what the tick counter says.
    pub fn pass_time(&mut self, ticks: u64) {
        let us = self.pace.ns(ticks.saturating_sub(self.now_ticks)) / 1000;
        if us > 0 {
            self.now = self.now.after_us(us);
            self.now_ticks = ticks;
        }
    }

    /// Whether a request may run now.
    #[inline]
    fn admit(
        &mut self,
        host: &mut dyn Host,
        slot: usize,
        args: Args<'_>,
        row: &'static Row,
    ) -> Result<(), Refusal> {
        if !row.admits(args.len()) {
            return Err(Refusal::Error(CmdError::Arity(row.full_name)));
        }
        if self.is_unusual
            || row.has(flag::PROTECTED)
            || self.clients[slot].is(state::PUBSUB | state::MULTI | state::LIMITED | state::MONITOR)
        {
            return self.admit_unusual(host, slot, args, row);
        }
        Ok(())
    }

    /// As [`Engine::admit`], where more than the number of arguments has to be looked at.
    #[cold]
    fn admit_unusual(
        &mut self,
        host: &mut dyn Host,
        slot: usize,
        args: Args<'_>,
        row: &'static Row,
    ) -> Result<(), Refusal> {
        if row.has(flag::PROTECTED) && !self.allows_protected(slot, row) {
            let name = row.full_name.split('|').next().unwrap_or_default();
            let text = format!(
                "ERR {} command not allowed. If the enable-{}-command option is set to \"local\", you can run it from a \
                 local connection, otherwise you need to set this option in the configuration file, and then restart \
                 the server.",
                name.to_ascii_uppercase(),
                name
            );
            return Err(Refusal::Error(CmdError::Text(text.into())));
        }
        if self.clients[slot].is(state::LIMITED)
            && self.must_authenticate(&self.clients[slot])
            && !row.has(flag::NO_AUTH)
        {
            return Err(Refusal::Error(CmdError::coded("NOAUTH Authentication required.")));
        }
        if row.has(flag::NO_MULTI) && self.clients[slot].is(state::MULTI) {
            return Err(Refusal::Error(CmdError::err("Command not allowed inside a transaction")));
        }
        if self.clients[slot].is(state::LIMITED) {
            self.judge(slot, args, row)?;
        }
        let flags = self.flags_of(slot, row, args);
        if self.conf.maxmemory_bytes > 0 {
            self.is_short_of_memory = !self.make_room(host);
        }
        if self.is_short_of_memory
            && self.conf.maxmemory_bytes > 0
            && (flags & flag::DENYOOM != 0 || self.adds_to_queue(slot, row))
        {
            return Err(Refusal::Error(CmdError::coded(
                "OOM command not allowed when used memory > 'maxmemory'.",
            )));
        }
        if self.lacks_replicas() && flags & flag::WRITE != 0 {
            return Err(Refusal::Error(CmdError::coded("NOREPLICAS Not enough good replicas to write.")));
        }
        let client = &self.clients[slot];
        if client.is(state::PUBSUB) && client.resp == 2 && !may_run_subscribed(row) {
            let text = format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
                 this context",
                row.full_name
            );
            return Err(Refusal::Error(CmdError::Text(text.into())));
        }
        if let Some(busy) = self.busy.filter(|_| !row.has(flag::ALLOW_BUSY)) {
            return Err(Refusal::Error(CmdError::coded(busy.refusal)));
        }
        if self.clients[slot].is(state::MONITOR) && flags & ON_KEYS != 0 {
            return Err(Refusal::Error(CmdError::err("Replica can't interact with the keyspace")));
        }
        if let Some(block) = self.paused_for(flags) {
            return Err(Refusal::Wait(block));
        }
        if self.clients[slot].is(state::MULTI) && !runs_at_once(row) {
            return Err(Refusal::Queue(flags));
        }
        Ok(())
    }

    /// The flags of a request: those of its row, and of what EXEC or a script would run.
    fn flags_of(&self, slot: usize, row: &Row, args: Args<'_>) -> u32 {
        match row.full_name {
            "exec" => self.flags_with_queue(slot, row),
            name @ ("eval" | "eval_ro" | "evalsha" | "evalsha_ro" | "fcall" | "fcall_ro") => {
                self.flags_with_script(row.flags, name, args)
            }
            _ => row.flags,
        }
    }

    /// Whether writes are refused because too few replicas would get them in time.
    pub(super) fn lacks_replicas(&self) -> bool {
        // Nobody follows yet that could be counted.
        self.conf.min_replicas_to_write > 0 && self.conf.min_replicas_max_lag_s > 0
    }

    /// Whether the user of a client may run a request.
    fn judge(&mut self, slot: usize, args: Args<'_>, row: &'static Row) -> Result<(), Refusal> {
        self.check(slot, row, args).map_err(|denial| {
            self.clients[slot].note_row(row);
            let context = self.context_of(slot);
            Refusal::Error(self.deny(slot, row, args, denial, context))
        })
    }

    /// Whether a client may run a command that the configuration may forbid.
    fn allows_protected(&self, slot: usize, row: &Row) -> bool {
        let debug = row.full_name == "debug";
        let rule = if debug { self.conf.enable_debug_command } else { self.conf.enable_module_command };
        rule.allows(self.is_local(slot))
    }

    /// The answer to a request that names no command.
    #[cold]
    fn no_such(&mut self, slot: usize, args: Args<'_>, none: NoRow) -> Refusal {
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
        if let NoRow::Subcommand(container) = none {
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

    /// Appends an error reply and counts it.
    #[cold]
    pub(super) fn error_reply(&mut self, slot: usize, text: &str) {
        self.stats.count_error(text);
        let client = &mut self.clients[slot];
        Reply::new(&mut client.out, client.resp, client.state & state::MUTED != 0).error(text);
    }

    /// Where the replies of a client go.
    #[inline]
    pub fn reply(&mut self, slot: usize) -> Reply<'_> {
        let client = &mut self.clients[slot];
        Reply::new(&mut client.out, client.resp, client.state & state::MUTED != 0)
    }

    /// Propagates the command that runs as it came, even if it changed nothing here.
    pub fn propagate(&mut self, slot: usize, args: Args<'_>) {
        let db = self.clients[slot].db;
        self.rise.rewritten = true;
        self.pending.push_args(db, args);
    }

    /// The configuration, to read.
    pub fn conf(&self) -> &Config {
        &self.conf
    }
}

/// What a RESP2 client with subscriptions may run.
fn may_run_subscribed(row: &Row) -> bool {
    matches!(
        row.full_name,
        "ping"
            | "subscribe"
            | "ssubscribe"
            | "sunsubscribe"
            | "unsubscribe"
            | "psubscribe"
            | "punsubscribe"
            | "quit"
            | "reset"
    )
}
