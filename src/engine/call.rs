//! One request, from its row to its reply: may it run, does it run, and what follows from it.

use super::admission::Refusal;
use super::blocking::BlockOn;
use super::client::state;
use super::error::{CmdError, CmdResult, Outcome};
use super::listeners::after;
use super::plain::Unfinished;
use super::spec::{Run, flag};
use super::table::Row;
use super::{Engine, Hint, Host};
use crate::base::id::ClientId;
use crate::config::Config;
use crate::keyspace::Db;
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

impl Engine {
    /// Runs one request of a client.
    pub(super) fn run_one(
        &mut self,
        host: &mut dyn Host,
        slot: usize,
        args: Args<'_>,
        row: Option<&'static Row>,
        hint: Hint,
    ) -> Ran {
        if !self.queues.deliveries.is_empty() {
            self.catch_up(slot);
        }
        let client = &mut self.clients[slot];
        // Only the command after CLIENT REPLY SKIP is not answered.
        if client.is(state::REPLY_SKIP_NEXT) {
            client.state = (client.state & !state::REPLY_SKIP_NEXT) | state::REPLY_SKIP;
        }
        let bits = client.state;
        match row {
            Some(row) => {
                client.note_row(row);
                match self.admit(host, slot, bits, args, row) {
                    Ok(()) => self.run_admitted(host, slot, args, row, hint),
                    Err(Refusal::Queue(flags)) => self.queue_request(slot, args, row, hint, flags),
                    Err(refusal) => self.refuse(slot, args, Some(row), refusal),
                }
            }
            None if args.is_empty() => {}
            None => {
                client.last_row = 0;
                let refusal = self.no_such(slot, args);
                self.refuse(slot, args, None, refusal);
            }
        }
        self.end_request(slot, row)
    }

    /// Concludes a request that did not end plainly.
    pub(super) fn conclude_request(
        &mut self,
        host: &mut dyn Host,
        slot: usize,
        args: Args<'_>,
        unfinished: Unfinished,
    ) -> Ran {
        let row = unfinished.row;
        self.conclude(host, slot, args, unfinished);
        self.end_request(slot, Some(row))
    }

    /// Ends what held for one request only.
    fn end_request(&mut self, slot: usize, row: Option<&Row>) -> Ran {
        // A client that asks for its own end leaves after its turn, so this is still the one that asked.
        let client = &mut self.clients[slot];
        if client.is(state::REPLICA) {
            self.judge_replica(slot);
        }
        let client = &mut self.clients[slot];
        // A client that waits has its request, and the reply that may be left out, still before it.
        if client.is(state::REPLY_SKIP | state::TRACKING) && !client.is(state::BLOCKED) {
            client.state &= !state::REPLY_SKIP;
            if let Some(tracker) = &mut client.tracker
                && !row.is_some_and(|row| row.has(flag::KEEPS_CACHING))
                && client.state & state::MULTI == 0
            {
                tracker.caching = false;
            }
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
        let before = self.propagation.begin(&self.dbs);
        let result = match row.spec.run {
            Run::Local(run) => run(&mut self.ctx(host, slot, args, row, hint)),
            Run::Global(run, _) => {
                let call = &mut Call { host: &mut *host, id, slot, args, row };
                self.holding_messages(id, |engine| run(engine, call))
            }
            Run::Container => Err(CmdError::Arity(row.full_name)),
        };
        self.conclude(host, slot, args, Unfinished { row, db, before, replied, result });
    }

    /// Does what is left to do when the handler of a request has run.
    pub(super) fn conclude(&mut self, host: &mut dyn Host, slot: usize, args: Args<'_>, request: Unfinished) {
        let Unfinished { row, db, before, replied, result } = request;
        let is_rerun = self.outermost.rerun.is_some();
        let failed = !matches!(result, Ok(Outcome::Done)) && self.is_failure(slot, args, row, result);
        self.propagation.end(before, &self.dbs, row, db, args);
        if self.outermost.nesting.depth == 0 {
            if self.listeners.afterwards & after::GATE != 0 {
                let has_written = self.propagation.has_open_frames();
                self.gate_reply(slot, replied, has_written, args, row);
            }
            if self.propagation.has_open_frames() && self.replication.feed.is_kept() {
                self.note_writer(slot);
            }
            // Expired keys that a look at arbitrary keys finds have nothing to do with each other.
            if row.has(flag::TOUCHES_ARBITRARY_KEYS) {
                self.propagation.close_each();
            }
            self.propagation.close();
        }
        if self.listeners.follows {
            self.note_own_keys(slot, args, row);
        }
        let spent = self.account(host, slot, args, row, failed);
        let client = &self.clients[slot];
        let (bits, replied) = (client.state, client.out.appended().wrapping_sub(replied));
        let requested = args.extent() as u64;
        if self.listeners.afterwards & after::HOT_KEYS != 0
            && let Some(spent) = spent
        {
            self.note_hot_keys(host, args, row, spent, requested + replied);
        }
        if replied >= self.ticker.pace.large_reply_bytes || requested >= self.ticker.pace.large_request_bytes
        {
            self.note_large(slot, args, row, requested, replied);
        }
        if self.listeners.afterwards | (bits & state::TRACKING) != 0 {
            self.follow_up(host, slot, args, row, is_rerun);
        }
    }

    /// Does what follows from a command, as far as anything does: see [`after`].
    #[cold]
    pub(super) fn follow_up(
        &mut self,
        host: &mut dyn Host,
        slot: usize,
        args: Args<'_>,
        row: &'static Row,
        is_rerun: bool,
    ) {
        let id = self.clients[slot].handle;
        if self.clients[slot].is(state::TRACKING) {
            self.note_read(slot, args, row);
        }
        let is_outermost = self.outermost.nesting.depth == 0;
        if self.listeners.afterwards & after::SIZES != 0 && is_outermost {
            self.dbs.iter().for_each(Db::check_sizes);
        }
        if !self.outermost.held_messages.is_empty() && is_outermost {
            self.send_held_messages(id);
        }
        if !self.listeners.monitors.is_empty() && !row.has(flag::SKIP_MONITOR | flag::ADMIN) && !is_rerun {
            self.feed_monitors(slot, row, args);
        }
        if self.listeners.has_news() && is_outermost {
            self.settle(host, Some(id));
        } else {
            // Who watches a key looks at once: later commands of a transaction may hide what happened.
            self.tell_of_swaps();
        }
    }

    /// Runs a global command; what it, or one within it, sends to its own client comes after the reply.
    pub(super) fn holding_messages(
        &mut self,
        id: ClientId,
        run: impl FnOnce(&mut Engine) -> CmdResult,
    ) -> CmdResult {
        let before = self.outermost.replying_to.replace(id);
        let result = run(self);
        self.outermost.replying_to = before;
        result
    }

    /// Sends what was held back while a client was answered.
    #[cold]
    fn send_held_messages(&mut self, id: ClientId) {
        for message in std::mem::take(&mut self.outermost.held_messages) {
            self.send(id, &message);
        }
        self.listeners.set_after(after::MESSAGES, false);
    }

    /// Answers an error, or lets the client wait; true for an error.
    #[cold]
    fn is_failure(&mut self, slot: usize, args: Args<'_>, row: &Row, result: CmdResult) -> bool {
        match result {
            Ok(Outcome::Done) => false,
            Ok(Outcome::Failed) => true,
            Ok(Outcome::Block(block)) if self.outermost.nesting.depth > 0 => {
                self.reply_instead_of_waiting(slot, block.on, row);
                false
            }
            Ok(Outcome::Block(block)) => {
                let kept = self.listeners.waiters.next_wait.request.take();
                let asked = args.to_owned_args();
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

    /// Counts a call and its time, in ticks, which it gives unless the call counts later.
    fn account(
        &mut self,
        host: &mut dyn Host,
        slot: usize,
        args: Args<'_>,
        row: &'static Row,
        failed: bool,
    ) -> Option<u64> {
        let ticks = host.ticks();
        let spent = ticks.saturating_sub(self.outermost.last_ticks);
        self.outermost.last_ticks = ticks;
        if self.clients[slot].is(state::BLOCKED | state::REPLAYS) && !self.counts_now(slot, spent) {
            return None;
        }
        self.stats.count_command(spent);
        self.clients[slot].commands += 1;
        self.count_call(slot, args, row, spent, failed);
        if ticks.saturating_sub(self.ticker.now_ticks) > self.ticker.pace.step_ticks
            && self.outermost.nesting.depth == 0
        {
            self.pass_time(ticks);
        }
        Some(spent)
    }

    /// Whether a call of a client that waits, or that replays, counts now.
    #[cold]
    fn counts_now(&mut self, slot: usize, spent: u64) -> bool {
        let client = &mut self.clients[slot];
        if client.is(state::REPLAYS) {
            return client.is(state::PRIMARY);
        }
        let counts_later = |on: BlockOn| matches!(on, BlockOn::Keys | BlockOn::Migration | BlockOn::Work(_));
        match client.block.as_mut().filter(|blocked| counts_later(blocked.block.on)) {
            Some(blocked) => {
                // It counts when it has run.
                blocked.spent_ticks += spent;
                self.stats.count_command(spent);
                false
            }
            None => true,
        }
    }

    /// Notes a call that is over, and its time.
    pub(super) fn count_call(
        &mut self,
        slot: usize,
        args: Args<'_>,
        row: &'static Row,
        spent: u64,
        failed: bool,
    ) {
        let latency_ns = self.conf.latency_tracking.then(|| self.ticker.pace.ns(spent));
        self.stats.count_call(row, spent, latency_ns);
        self.stats.rows[row.id as usize].failed += u64::from(failed);
        if spent >= self.ticker.pace.slow_ticks {
            self.note_slow(slot, args, row, spent);
        }
    }

    /// Appends an error reply and counts it.
    #[cold]
    pub(super) fn error_reply(&mut self, slot: usize, text: &str) {
        self.stats.count_error(text);
        if self.clients[slot].is(state::REPLAYS) {
            self.note_failed_replay(slot, text);
        } else if self.clients[slot].is(state::REPLICA) {
            self.note_disagreement(slot, "master", "replica", text);
        }
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
        self.propagation.as_it_came(db, args);
    }

    /// The configuration, to read.
    pub fn conf(&self) -> &Config {
        &self.conf
    }
}
