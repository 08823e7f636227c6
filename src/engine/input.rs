//! From the bytes of a connection to running commands.
//!
//! A miss in the memory of the keyspace costs more than all else that a GET does. So up to [`PARSE_AHEAD_MAX`]
//! requests are parsed before the first of them runs, without side effects: row, spans and the hash of the first key.
//! Then their buckets are fetched, then their entries, all at the same time; then they run in order. A request is
//! consumed only when it ran, and a row marked as a barrier ends the batch, because what follows it may have to be
//! parsed under other rules.
//!
//! Bytes are parsed where they are: in the buffer that the shell lends, or in the client's inbox if something waits
//! there. Only what is left over is copied.

use super::call::Ran;
use super::client::{LargeRequest, state};
use super::recorder::Phase;
use super::spec::flag;
use super::table::{NoRow, Row, Table};
use super::{Engine, Hint, Host, Job};
use crate::base::id::ClientId;
use crate::base::limit::*;
use crate::keyspace::Databases;
use crate::keyspace::Db;
use crate::resp::parse::{self, Limits, Plain, Progress, ProtoError, Step, parse};
use crate::resp::{Args, Span};
use bytes::Bytes;

/// A request that was parsed and did not run yet.
#[derive(Debug)]
pub(super) struct Parsed {
    /// Its spans in [`Ahead::spans`].
    first: u32,
    count: u32,
    /// Arguments of a request that owns them.
    owned: Option<Vec<Bytes>>,
    /// Where the next request begins.
    end: usize,
    /// Number of its row.
    row: Result<u16, NoRow>,
    /// Hash of its first key.
    hint: Hint,
}

/// Requests that were parsed ahead; the memory is used again for every batch.
#[derive(Debug, Default)]
pub struct Ahead {
    spans: Vec<Span>,
    requests: Vec<Parsed>,
}

/// The first request of what a client sent, before it runs.
#[derive(Clone, Copy, Debug)]
pub struct Foreseen {
    request: Plain,
    row: Result<u16, NoRow>,
    hint: Hint,
    db: u32,
}

/// The row of a request and the hash of its first key.
#[inline]
fn look_ahead(table: &Table, dbs: &Databases, args: &Args<'_>) -> (Result<u16, NoRow>, Hint) {
    match table.resolve(args) {
        Ok(row) => {
            let hint = match args.get(row.first_key) {
                Some(key) if row.first_key > 0 => Some(dbs.at(0).hash(key)),
                _ => None,
            };
            (Ok(row.id), hint)
        }
        Err(none) => (Err(none), None),
    }
}

/// Spans for which there is always room.
const SPANS_KEPT: usize = 4096;

/// What stands behind the last request of a batch.
enum Behind {
    /// More requests, perhaps.
    More,
    /// The beginning of one.
    Incomplete,
    /// One whose next argument gets its own buffer.
    Large { remaining: usize, at: usize, bytes: usize },
    /// Something that is no request.
    Error(ProtoError),
}

impl Engine {
    /// Bytes came from a client.
    pub fn input(&mut self, host: &mut dyn Host, id: ClientId, bytes: &[u8]) {
        let Some(slot) = self.slot_of(id) else { return };
        self.count_input(slot, bytes.len());
        let mut rest = bytes;
        if self.clients[slot].inbox.large.is_some() {
            let taken = self.fill_large(slot, rest);
            rest = &rest[taken..];
        }
        if self.clients[slot].inbox.is_empty() && !self.clients[slot].is(state::STOPPED | state::RUNNABLE) {
            let used = self.serve(host, slot, rest, COMMANDS_PER_SERVING);
            let Some(slot) = self.slot_of(id) else { return };
            self.keep_rest(slot, &rest[used..]);
        } else {
            self.clients[slot].inbox.bytes.extend_from_slice(rest);
            self.serve_inbox(host, slot);
        }
        self.after_serving(id);
    }

    /// Bytes came from a client, and [`Engine::foresee`] has looked at them. Where they are one request, as those of clients
    /// are that wait for each reply, it is not parsed again.
    pub fn input_foreseen(&mut self, host: &mut dyn Host, id: ClientId, bytes: &[u8], foreseen: &Foreseen) {
        let Some(slot) = self.slot_of(id) else { return };
        if foreseen.request.end != bytes.len() || !self.takes_small_reads(id) {
            return self.input(host, id, bytes);
        }
        self.count_input(slot, bytes.len());
        self.begin_serving(host);
        let args = Args::Spans(bytes, foreseen.request.spans());
        self.run_one(host, slot, args, foreseen.row, foreseen.hint);
        self.end_serving(id);
        self.after_serving(id);
    }

    fn count_input(&mut self, slot: usize, bytes: usize) {
        self.stats.total_net_input_bytes += bytes as u64;
        self.stats.total_reads_processed += 1;
        let client = &mut self.clients[slot];
        client.bytes_in += bytes as u64;
        client.active_us = self.now.mono_us;
    }

    /// The buffer into which the shell may read a large argument directly, and how many bytes are missing.
    pub fn read_target(&mut self, id: ClientId) -> Option<(&mut Vec<u8>, usize)> {
        let large = self.client_mut(id)?.inbox.large.as_mut()?;
        let target = large.target.as_mut()?;
        let missing = (large.bytes + 2).checked_sub(target.len()).filter(|&n| n > 0)?;
        Some((target, missing))
    }

    /// `n` bytes were read into the buffer of [`Engine::read_target`].
    pub fn filled(&mut self, host: &mut dyn Host, id: ClientId, n: usize) {
        let Some(slot) = self.slot_of(id) else { return };
        self.count_input(slot, n);
        self.serve_inbox(host, slot);
        self.after_serving(id);
    }

    /// Whether some client has requests that wait for a turn: the shell must not sleep.
    pub fn has_runnable(&self) -> bool {
        !self.runnable.is_empty()
            || !self.outputs.is_empty()
            || !self.messaged.is_empty()
            || !self.deliveries.is_empty()
    }

    /// Serves the client that has waited longest with requests that were read already. False when there is none.
    pub fn serve_waiting(&mut self, host: &mut dyn Host) -> bool {
        let Some(id) = self.runnable.pop_front() else { return false };
        if let Some(slot) = self.slot_of(id) {
            self.clients[slot].set(state::RUNNABLE, false);
            self.serve_inbox(host, slot);
            self.after_serving(id);
        }
        true
    }

    /// Whether a client's bytes are parsed as they come: nothing of it waits to be run or to be completed.
    #[inline]
    pub fn takes_small_reads(&self, id: ClientId) -> bool {
        self.client(id).is_some_and(|c| c.inbox.is_empty() && !c.is(state::STOPPED | state::RUNNABLE))
    }

    /// Looks at the first request of bytes that will be given to [`Engine::input_foreseen`], and asks for the bucket of its
    /// key. None: something may wait before them, or they do not begin with a plain request.
    #[inline]
    pub fn foresee(&self, id: ClientId, bytes: &[u8]) -> Option<Foreseen> {
        let db = self.client(id)?.db;
        let request = parse::parse_plain(bytes, 0)?;
        let (row, hint) = look_ahead(self.table, &self.dbs, &Args::Spans(bytes, request.spans()));
        if let Some(hash) = hint {
            self.dbs.at(db as usize).prefetch_bucket(hash);
        }
        Some(Foreseen { request, row, hint, db })
    }

    /// Asks for the entry of a key whose bucket was asked for.
    #[inline]
    pub fn fetch_foreseen(&self, foreseen: &Foreseen) {
        if let Some(hash) = foreseen.hint {
            self.dbs.at(foreseen.db as usize).prefetch_entry(hash);
        }
    }

    /// Whether reading more from this client should wait: it has requests, or replies, that have to go first.
    pub fn is_full(&self, id: ClientId) -> bool {
        self.client(id).is_none_or(|c| {
            c.is(state::CLOSE_ASAP | state::CLOSE_AFTER_REPLY)
                || (c.is(state::RUNNABLE) && c.inbox.len() > READ_BYTES_PER_SERVING)
        })
    }

    /// Runs what waits in the inbox of a client.
    fn serve_inbox(&mut self, host: &mut dyn Host, slot: usize) {
        let id = self.clients[slot].handle;
        if self.clients[slot].block.is_some() && !self.clients[slot].is(state::BLOCKED) {
            self.begin_serving(host);
            self.run_kept(host, slot);
            self.end_serving(id);
            if self.client(id).is_none_or(|c| c.is(state::STOPPED)) {
                return;
            }
        }
        self.finish_large(host, slot);
        let Some(slot) = self.slot_of(id) else { return };
        let client = &mut self.clients[slot];
        if client.inbox.large.is_some() || client.is(state::STOPPED | state::RUNNABLE) {
            return;
        }
        let bytes = std::mem::take(&mut client.inbox.bytes);
        let start = std::mem::take(&mut client.inbox.start);
        let used = self.serve(host, slot, &bytes[start..], COMMANDS_PER_SERVING);
        let Some(slot) = self.slot_of(id) else { return };
        let inbox = &mut self.clients[slot].inbox;
        // Nothing can have arrived meanwhile but from a shell that breathes; that comes behind.
        let newer = std::mem::replace(&mut inbox.bytes, bytes);
        inbox.start = start + used;
        if inbox.start == inbox.bytes.len() {
            inbox.bytes = Vec::new();
            inbox.start = 0;
        } else if inbox.start > inbox.bytes.len() / 2 {
            inbox.bytes.drain(..inbox.start);
            inbox.start = 0;
        }
        if !newer.is_empty() {
            self.keep_newer(slot, &newer);
        }
    }

    /// Bounds what a client may make us keep, and lets it wait for its next turn if something is left to run.
    pub(super) fn after_serving(&mut self, id: ClientId) {
        let Some(slot) = self.slot_of(id) else { return };
        self.note_weight(slot);
        let mut limit = self.conf.client_query_buffer_limit_bytes as usize;
        let client = &self.clients[slot];
        if client.is(state::LIMITED) && self.must_authenticate(client) {
            limit = limit.min(UNAUTHENTICATED_INBOX_BYTES_MAX);
        }
        if client.is(state::HALF_CLOSED) && !client.is(state::RUNNABLE) {
            // What it had sent before it closed its end is answered now.
            return self.half_closed(id);
        }
        let queued = client.transaction.as_ref().map_or(0, |t| t.argument_bytes());
        if client.inbox.len() + queued > limit {
            let beginning = client.inbox.bytes[..client.inbox.bytes.len().min(64)].to_vec();
            self.close_full(slot, &beginning);
        }
    }

    /// Closes a client whose requests are longer than the configuration allows.
    #[cold]
    fn close_full(&mut self, slot: usize, beginning: &[u8]) {
        let shown = match self.conf.hide_user_data_from_log {
            true => "*redacted*".to_owned(),
            false => crate::base::quote::repr(beginning),
        };
        log::warn!(
            "Closing client that reached max query buffer length: {} (qbuf initial bytes: {shown})",
            self.describe_client(slot)
        );
        self.stats.client_query_buffer_limit_disconnections += 1;
        self.close_soon(slot);
    }

    /// Appends to a large argument; returns how many bytes belong to it.
    pub(super) fn fill_large(&mut self, slot: usize, bytes: &[u8]) -> usize {
        let Some(large) = self.clients[slot].inbox.large.as_mut() else { return 0 };
        let Some(target) = large.target.as_mut() else { return 0 };
        let n = bytes.len().min(large.bytes + 2 - target.len());
        target.extend_from_slice(&bytes[..n]);
        n
    }

    /// Goes on with a request whose large argument is complete: runs it, or reads its next arguments.
    fn finish_large(&mut self, host: &mut dyn Host, slot: usize) {
        let id = self.clients[slot].handle;
        let Some(large) = self.clients[slot].inbox.large.as_mut() else { return };
        if let Some(mut argument) = large.target.take_if(|target| target.len() == large.bytes + 2) {
            argument.truncate(large.bytes);
            large.args.push(Bytes::from(argument));
            large.remaining -= 1;
        }
        if large.target.is_some() {
            return;
        }
        if large.bytes + 2 > self.conf.client_query_buffer_limit_bytes as usize {
            let beginning = large.args.last().map_or(Bytes::new(), |a| a.slice(..a.len().min(64)));
            self.clients[slot].inbox.large = None;
            return self.close_full(slot, &beginning);
        }
        while let Some(large) = self.clients[slot].inbox.large.as_mut() {
            if large.remaining == 0 {
                break;
            }
            if !self.next_of_large(slot) {
                return;
            }
        }
        if self.clients[slot].is(state::STOPPED) {
            return;
        }
        let Some(large) = self.clients[slot].inbox.large.take() else { return };
        let args = Args::Owned(&large.args);
        let row = self.table.resolve(&args).map(|r| r.id);
        self.begin_serving(host);
        self.run_one(host, slot, args, row, None);
        self.end_serving(id);
    }

    /// Parses one more argument of a request that owns its arguments, from the inbox. False when it is not there.
    fn next_of_large(&mut self, slot: usize) -> bool {
        let limits = self.limits(slot);
        let inbox = &mut self.clients[slot].inbox;
        let Some(large) = inbox.large.as_mut() else { return false };
        let input = &inbox.bytes[inbox.start..];
        let mut spans = Vec::new();
        let mut progress = parse::resume(1);
        match parse(input, 0, limits, &mut progress, &mut spans) {
            Ok(Step::Request(end)) => {
                let span = spans[0];
                large.args.push(Bytes::copy_from_slice(&input[span.start as usize..span.end as usize]));
                large.remaining -= 1;
                inbox.start += end;
                true
            }
            Ok(Step::Large { at, bytes, .. }) => {
                large.bytes = bytes;
                let mut target = Vec::with_capacity(bytes + 2);
                target.extend_from_slice(&input[at..]);
                large.target = Some(target);
                inbox.start = 0;
                inbox.bytes = Vec::new();
                false
            }
            Ok(_) => {
                if inbox.start > 0 {
                    inbox.bytes.drain(..inbox.start);
                    inbox.start = 0;
                }
                false
            }
            Err(error) => {
                inbox.large = None;
                self.protocol_error(slot, error);
                false
            }
        }
    }

    fn limits(&self, slot: usize) -> Limits {
        Limits {
            bulk_bytes_max: self.conf.proto_max_bulk_len_bytes as i64,
            unauthenticated: self.must_authenticate(&self.clients[slot]),
        }
    }

    fn begin_serving(&mut self, host: &mut dyn Host) {
        self.last_ticks = host.ticks();
    }

    fn end_serving(&mut self, id: ClientId) {
        if let Some(slot) = self.slot_of(id)
            && !self.clients[slot].out.is_empty()
        {
            self.queue_output(slot);
        }
    }

    /// Runs requests of `source`, at most `quota` of them; returns how many bytes were consumed.
    fn serve(&mut self, host: &mut dyn Host, slot: usize, source: &[u8], quota: usize) -> usize {
        let id = self.clients[slot].handle;
        let mut ahead = std::mem::take(&mut self.ahead);
        let mut progress = std::mem::take(&mut self.clients[slot].inbox.progress);
        let (mut at, mut left) = (0, quota);
        self.begin_serving(host);
        let begin = self.last_ticks;
        loop {
            let behind = self.parse_ahead(slot, source, at, &mut progress, &mut ahead, left);
            self.prefetch(slot, source, &ahead);
            let mut stopped = false;
            for request in &ahead.requests {
                at = request.end;
                left -= 1;
                let args = match &request.owned {
                    Some(owned) => Args::Owned(owned),
                    None => {
                        let first = request.first as usize;
                        Args::Spans(source, &ahead.spans[first..first + request.count as usize])
                    }
                };
                if self.run_one(host, slot, args, request.row, request.hint) == Ran::Stop {
                    stopped = true;
                    break;
                }
            }
            if stopped {
                // What was known of a later request belongs to bytes that will be parsed again.
                progress = Progress::default();
                break;
            }
            if self.last_ticks.saturating_sub(begin) > self.pace.serving_ticks {
                left = 0;
            }
            match behind {
                Behind::More if left == 0 => {
                    if at < source.len() {
                        self.make_runnable(slot);
                    }
                    break;
                }
                Behind::More => {}
                Behind::Incomplete => break,
                Behind::Large { remaining, at: begin, bytes } => {
                    self.begin_large(slot, source, begin, bytes, remaining, &ahead);
                    at = source.len();
                    break;
                }
                Behind::Error(error) => {
                    self.protocol_error(slot, error);
                    at = source.len();
                    break;
                }
            }
        }
        ahead.requests.clear();
        ahead.spans.clear();
        // One request with many arguments should not hold memory for good.
        ahead.spans.shrink_to(SPANS_KEPT);
        self.ahead = ahead;
        self.end_serving(id);
        if let Some(client) = self.client_mut(id) {
            client.inbox.progress = progress;
        }
        at
    }

    /// Parses requests from `at` on, until a batch is full or something ends it.
    fn parse_ahead(
        &self,
        slot: usize,
        source: &[u8],
        at: usize,
        progress: &mut Progress,
        ahead: &mut Ahead,
        left: usize,
    ) -> Behind {
        ahead.requests.clear();
        ahead.spans.clear();
        let limits = self.limits(slot);
        let table = self.table;
        let db = self.dbs.at(self.clients[slot].db as usize);
        let mut next = at;
        while ahead.requests.len() < PARSE_AHEAD_MAX.min(left) {
            let first = ahead.spans.len();
            let input = &source[next..];
            match parse(input, next, limits, progress, &mut ahead.spans) {
                Ok(Step::Request(end)) => {
                    let count = ahead.spans.len() - first;
                    let args = Args::Spans(source, &ahead.spans[first..]);
                    let (row, hint) = look_ahead(table, &self.dbs, &args);
                    if let Some(hash) = hint {
                        // By the time the batch is parsed the bucket is there.
                        db.prefetch_bucket(hash);
                    }
                    next += end;
                    let barrier = ends_batch(table, row);
                    let (first, count) = (first as u32, count as u32);
                    ahead.requests.push(Parsed { first, count, owned: None, end: next, row, hint });
                    if barrier {
                        return Behind::More;
                    }
                }
                Ok(Step::Inline(end, words)) => {
                    let owned: Vec<Bytes> = words.into_iter().map(Bytes::from).collect();
                    let row = table.resolve(&Args::Owned(&owned)).map(|r| r.id);
                    next += end;
                    let barrier = ends_batch(table, row);
                    let owned = Some(owned);
                    ahead.requests.push(Parsed { first: 0, count: 0, owned, end: next, row, hint: None });
                    if barrier {
                        return Behind::More;
                    }
                }
                Ok(Step::Nothing(end)) => {
                    next += end;
                    match ahead.requests.last_mut() {
                        Some(last) => last.end = next,
                        // A request without a word does nothing, but marks how far the empty ones reach.
                        None => ahead.requests.push(Parsed {
                            first: 0,
                            count: 0,
                            owned: Some(Vec::new()),
                            end: next,
                            row: Err(NoRow::Command),
                            hint: None,
                        }),
                    }
                }
                Ok(Step::Incomplete) => return Behind::Incomplete,
                Ok(Step::Large { remaining, at, bytes }) => {
                    return Behind::Large { remaining, at: next + at, bytes };
                }
                Err(error) => return Behind::Error(error),
            }
        }
        Behind::More
    }

    /// Fetches the entries of all keys; their buckets were asked for when they were parsed. Then, where a command looks up
    /// a member of a collection, what that will need.
    #[inline]
    fn prefetch(&self, slot: usize, source: &[u8], ahead: &Ahead) {
        if ahead.requests.len() < 2 {
            return;
        }
        let db = self.dbs.at(self.clients[slot].db as usize);
        for hash in ahead.requests.iter().filter_map(|r| r.hint) {
            db.prefetch_entry(hash);
        }
        if let [first, second, ..] = &ahead.requests[..]
            && (self.names_member(first) || self.names_member(second))
        {
            self.prefetch_members(db, source, ahead);
        }
    }

    fn names_member(&self, request: &Parsed) -> bool {
        request.row.is_ok_and(|row| self.table.at(row).spec.member > 0)
    }

    fn prefetch_members(&self, db: &Db, source: &[u8], ahead: &Ahead) {
        let mut foreseen = [None; PARSE_AHEAD_MAX];
        for (request, foreseen) in ahead.requests.iter().zip(&mut foreseen) {
            let (Ok(row), Some(key)) = (request.row, request.hint) else { continue };
            let member = self.table.at(row).spec.member;
            if member > 0 && member < request.count as usize {
                let span = ahead.spans[request.first as usize + member];
                *foreseen = db.prefetch_member(key, &source[span.start as usize..span.end as usize]);
            }
        }
        foreseen.into_iter().flatten().for_each(|member| db.prefetch_member_cell(member));
    }

    /// Moves the beginning of a request into arguments of its own, with a buffer for the large one.
    fn begin_large(
        &mut self,
        slot: usize,
        source: &[u8],
        at: usize,
        bytes: usize,
        remaining: usize,
        ahead: &Ahead,
    ) {
        let known = ahead.requests.iter().rev().find(|r| r.owned.is_none());
        let first = known.map_or(0, |r| (r.first + r.count) as usize);
        let args = ahead.spans[first..]
            .iter()
            .map(|s| Bytes::copy_from_slice(&source[s.start as usize..s.end as usize]))
            .collect();
        let mut target = Vec::with_capacity(bytes + 2);
        target.extend_from_slice(&source[at..]);
        self.clients[slot].inbox.large =
            Some(Box::new(LargeRequest { args, target: Some(target), bytes, remaining }));
    }

    /// Answers something that is no request, and ends the connection behind the reply.
    fn protocol_error(&mut self, slot: usize, error: ProtoError) {
        self.lend_buffer(slot);
        let text = format!("ERR {error}");
        self.error_reply(slot, &text);
        log::debug!("{error} from client: {}", self.describe_client(slot));
        self.clients[slot].set(state::CLOSE_AFTER_REPLY, true);
        self.queue_output(slot);
    }

    /// Puts a client into the list of those that have something to run.
    pub(super) fn make_runnable(&mut self, slot: usize) {
        let client = &mut self.clients[slot];
        if !client.is(state::RUNNABLE | state::CLOSE_ASAP) {
            client.set(state::RUNNABLE, true);
            self.runnable.push_back(client.handle);
        }
    }

    /// Marks a client as one with output.
    #[inline]
    pub(super) fn queue_output(&mut self, slot: usize) {
        self.check_output_limit(slot);
        self.note_weight(slot);
        let client = &mut self.clients[slot];
        if !client.is(state::QUEUED) {
            client.set(state::QUEUED, true);
            self.outputs.push(client.handle);
        }
    }

    /// Marks a client as one with a message that it did not ask for just now: it is written behind all replies.
    pub(super) fn queue_message(&mut self, slot: usize) {
        self.check_output_limit(slot);
        self.note_weight(slot);
        let client = &mut self.clients[slot];
        if !client.is(state::QUEUED | state::MESSAGED) {
            client.set(state::MESSAGED, true);
            self.messaged.push_back(client.handle);
        }
    }

    /// Prepares a client for a reply: it gets the messages that are on their way to it, and an output buffer if it has
    /// none.
    #[inline]
    pub(super) fn lend_buffer(&mut self, slot: usize) {
        if !self.deliveries.is_empty() {
            self.catch_up(slot);
        }
        self.give_buffer(slot);
    }

    /// Gives a client an output buffer if it has none.
    #[inline]
    pub(super) fn give_buffer(&mut self, slot: usize) {
        let out = &mut self.clients[slot].out;
        if out.wants_buffer() {
            out.give_buffer(self.buffers.pop().unwrap_or_default());
        }
    }

    /// A client that has replies to be sent; the shell writes all its output and tells by [`Engine::sent`].
    pub fn poll_output(&mut self) -> Option<ClientId> {
        while let Some(id) = self.outputs.pop() {
            if let Some(client) = self.client_mut(id) {
                client.set(state::QUEUED, false);
                return Some(id);
            }
        }
        None
    }

    /// As [`Engine::poll_output`], a client that has only messages from others. There may be a hundred thousand of those
    /// after one PUBLISH: the shell takes as many as a turn has time for, and the rest come in later turns.
    pub fn poll_message(&mut self) -> Option<ClientId> {
        while let Some(id) = self.messaged.pop_front() {
            if let Some(client) = self.client_mut(id) {
                client.set(state::MESSAGED, false);
                if !client.is(state::QUEUED) && !client.out.is_empty() {
                    return Some(id);
                }
            }
        }
        None
    }

    /// `n` bytes of a client's output went out.
    pub fn sent(&mut self, id: ClientId, n: usize) {
        let Some(slot) = self.slot_of(id) else { return };
        self.stats.total_net_output_bytes += n as u64;
        self.stats.total_writes_processed += 1;
        self.note_weight(slot);
        let now_us = self.now.mono_us;
        let client = &mut self.clients[slot];
        client.bytes_out += n as u64;
        client.active_us = now_us;
        client.reply_peak.peak = client.reply_peak.peak.max(client.out.len().min(u32::MAX as usize) as u32);
        client.out.advance(n);
        if !client.out.is_empty() {
            return;
        }
        client.over_soft_limit_us = 0;
        if client.is(state::CLOSE_AFTER_REPLY) {
            self.close_soon(slot);
            return;
        }
        self.resize_reply_model(slot);
        if let Some(buffer) = self.clients[slot].out.take_buffer()
            && buffer.capacity() <= SPARE_BUFFER_BYTES_MAX
            && self.buffers.len() < SPARE_BUFFERS_MAX
        {
            self.buffers.push(buffer);
        }
    }

    /// The rest of a client's output goes at the next turn.
    pub fn write_later(&mut self, id: ClientId) {
        if let Some(slot) = self.slot_of(id) {
            self.deferred.push(self.clients[slot].handle);
        }
    }

    /// The connection failed: it is closed without another word.
    pub fn failed(&mut self, id: ClientId) {
        if let Some(slot) = self.slot_of(id) {
            self.close_soon(slot);
        }
    }

    /// Clients with messages that were not written.
    pub fn messaged_count(&self) -> usize {
        self.messaged.len()
    }

    /// Clients that wait for a turn.
    pub fn runnable_count(&self) -> usize {
        self.runnable.len()
    }

    /// A turn of the loop ended: it worked so long and ran so many commands.
    pub fn end_turn(&mut self, busy_ticks: u64, commands: u64) {
        let busy_us = self.pace.ns(busy_ticks).div_ceil(1000);
        let cron_ticks = self.recorder.last_ticks_of(Phase::Expire);
        self.stats.eventloop_cron_us += self.pace.ns(cron_ticks).div_ceil(1000);
        let stats = &mut self.stats;
        stats.eventloop_cycles += 1;
        stats.eventloop_us += busy_us;
        stats.eventloop_us_max = stats.eventloop_us_max.max(busy_us);
        stats.eventloop_commands_max = stats.eventloop_commands_max.max(commands);
        if commands > 0 {
            self.note_traffic();
        }
        while let Some(id) = self.deferred.pop() {
            if let Some(slot) = self.slot_of(id) {
                self.queue_output(slot);
            }
        }
    }

    /// Closes a client as soon as no borrow stands in the way: the shell is told, and no command of it runs any more.
    pub(super) fn close_soon(&mut self, slot: usize) {
        let client = &mut self.clients[slot];
        if !client.is(state::CLOSE_ASAP) {
            client.set(state::CLOSE_ASAP, true);
            self.jobs.push_back(Job::Close(client.handle));
        }
    }
}

fn ends_batch(table: &Table, row: Result<u16, NoRow>) -> bool {
    row.is_ok_and(|id| is_barrier(table.at(id)))
}

fn is_barrier(row: &Row) -> bool {
    row.has(flag::BARRIER)
}
