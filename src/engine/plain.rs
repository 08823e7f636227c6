//! Runs of plain requests: what nearly all traffic is.
//!
//! A request is plain when its handler needs no more than a [`Ctx`](super::ctx::Ctx) and nothing has to be looked at before
//! or after it: no gate is shut, nobody follows, watches or listens, the client is in no special state. So the engine is
//! taken apart once for a run of them, and between two requests there is one test of one word. The first request that does
//! not end plainly ends the run, and [`Engine::conclude`](super::Engine) does for it what it does for all others.

use super::client::state;
use super::error::{CmdResult, Outcome};
use super::input::{Batch, Parsed};
use super::propagation::Before;
use super::spec::{Run, flag};
use super::table::Row;
use super::{Engine, Host};

/// Bits of [`state`] with which no request of a client is plain.
const NOT_PLAIN: u32 = state::STOPPED
    | state::MUTED
    | state::REPLY_SKIP_NEXT
    | state::TRACKING
    | state::PUBSUB
    | state::MULTI
    | state::LIMITED
    | state::MONITOR
    | state::REPLICA;

/// A request whose handler ran and that has to be concluded.
pub(super) struct Unfinished {
    pub row: &'static Row,
    /// The database that it ran on.
    pub db: u32,
    /// How things were before it.
    pub before: Before,
    /// Bytes that its client had been answered before it.
    pub replied: u64,
    pub result: CmdResult,
}

/// The handler of a request, if the request may be plain.
#[inline]
fn handler(request: &Parsed) -> Option<(&'static Row, super::spec::Handler)> {
    let row = request.row?;
    match row.spec.run {
        Run::Local(run)
            if !row.has(flag::PROTECTED | flag::TOUCHES_ARBITRARY_KEYS) && row.admits(request.len()) =>
        {
            Some((row, run))
        }
        _ => None,
    }
}

impl Engine {
    /// Runs requests of a batch from `from` on as long as they are plain. Returns how many ran, and the last of them if it
    /// has to be concluded.
    #[inline]
    pub(super) fn run_plain(
        &mut self,
        host: &mut dyn Host,
        slot: usize,
        source: &[u8],
        batch: &Batch,
        from: usize,
    ) -> (usize, Option<Unfinished>) {
        let client = &self.clients[slot];
        if self.gates | self.listeners.afterwards | client.state & NOT_PLAIN != 0
            || !self.queues.deliveries.is_empty()
        {
            return (0, None);
        }
        let requests = &batch.requests[from..];
        let Some((mut row, mut run)) = requests.first().and_then(handler) else { return (0, None) };
        let (pace, now_ticks) = (self.ticker.pace, self.ticker.now_ticks);
        let mut last_ticks = self.outermost.last_ticks;
        let frames = self.propagation.frames();
        let (mut ran, mut unfinished) = (0, None);
        let mut ctx = self.ctx(host, slot, batch.args(source, &requests[0]), row, requests[0].hint);
        loop {
            let before = ctx.propagation.begin(ctx.dbs);
            let (db, replied) = (*ctx.db_index, ctx.reply.output().appended());
            let result = run(&mut ctx);
            ran += 1;
            let ticks = ctx.host.ticks();
            let spent = ticks.saturating_sub(last_ticks);
            let is_plain = result == Ok(Outcome::Done)
                && ctx.listeners.afterwards | *ctx.client_state & NOT_PLAIN == 0
                && spent < pace.slow_ticks
                && ctx.reply.output().appended().wrapping_sub(replied) < pace.large_reply_bytes
                && (ctx.args.extent() as u64) < pace.large_request_bytes
                && ticks.saturating_sub(now_ticks) <= pace.step_ticks;
            if !is_plain {
                unfinished = Some(Unfinished { row, db, before, replied, result });
                break;
            }
            last_ticks = ticks;
            ctx.propagation.end(before, ctx.dbs, row, db, ctx.args);
            ctx.propagation.close();
            ctx.stats.count_command(spent);
            ctx.stats.count_call(row, spent, ctx.conf.latency_tracking.then(|| pace.ns(spent)));
            let Some(next) = requests.get(ran) else { break };
            match handler(next) {
                Some(found) => (row, run) = found,
                None => break,
            }
            (ctx.args, ctx.row, ctx.hint) = (batch.args(source, next), row, next.hint);
        }
        self.outermost.last_ticks = last_ticks;
        if self.propagation.frames() != frames && self.replication.feed.is_kept() {
            self.note_writer(slot);
        }
        let client = &mut self.clients[slot];
        // One that is to be concluded is counted then.
        client.commands += ran as u64 - u64::from(unfinished.is_some());
        client.note_row(row);
        (ran, unfinished)
    }
}
