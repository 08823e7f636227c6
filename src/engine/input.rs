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
use super::client::{Client, LargeRequest, state};
use super::opening::Opening;
use super::spec::flag;
use super::table::{Row, Table};
use super::{Engine, Hint, Host};
use crate::base::id::ClientId;
use crate::base::limit::*;
use crate::keyspace::Databases;
use crate::keyspace::Db;
use crate::resp::parse::{self, Limits, Progress, ProtoError, Step, parse};
use crate::resp::{Args, Span};
use bytes::Bytes;

/// A request that was parsed and did not run yet.
#[derive(Debug)]
pub(super) struct Parsed {
    /// Its spans in [`Batch::spans`]; of a request that owns its arguments, its place in [`Batch::owned`].
    first: u32,
    /// How many arguments it has.
    count: u32,
    is_owned: bool,
    /// Where the next request begins.
    end: usize,
    /// Its row; none where it names no command.
    pub row: Option<&'static Row>,
    /// Hash of its first key.
    pub hint: Hint,
}

impl Parsed {
    /// How many arguments it has, its name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.count as usize
    }
}

/// Requests that were parsed ahead; the memory is used again for every batch.
#[derive(Debug, Default)]
pub struct Batch {
    spans: Vec<Span>,
    /// Arguments of requests that came inline.
    owned: Vec<Vec<Bytes>>,
    pub(super) requests: Vec<Parsed>,
    last: LastRow,
}

impl Batch {
    /// The arguments of one of its requests, which was parsed from `source`.
    #[inline(always)]
    pub(super) fn args<'a>(&'a self, source: &'a [u8], request: &Parsed) -> Args<'a> {
        let first = request.first as usize;
        match request.is_owned {
            false => Args::Spans(source, &self.spans[first..first + request.count as usize]),
            true => Args::Owned(&self.owned[first]),
        }
    }

    fn push_owned(&mut self, words: Vec<Bytes>, end: usize, row: Option<&'static Row>) {
        let (first, count) = (self.owned.len() as u32, words.len() as u32);
        self.owned.push(words);
        self.requests.push(Parsed { first, count, is_owned: true, end, row, hint: None });
    }

    fn clear(&mut self) {
        self.requests.clear();
        self.owned.clear();
        self.spans.clear();
    }
}

/// The first request of what a client sent, as [`Engine::peek`] has seen it.
#[derive(Debug, Default)]
pub struct Peeked {
    /// A batch of this one request; empty without one.
    batch: Batch,
    /// The database that it was looked up in.
    db: u32,
}

/// The row of the last request with a short name: the next one often has the same.
#[derive(Clone, Copy, Debug, Default)]
struct LastRow {
    name: (u64, usize),
    row: Option<&'static Row>,
}

/// The row of a request and the hash of its first key.
#[inline(always)]
fn look_ahead(
    table: &'static Table,
    dbs: &Databases,
    args: &Args<'_>,
    last: &mut LastRow,
) -> (Option<&'static Row>, Hint) {
    let name = args.short_name();
    let row = match (name, last.row) {
        (Some(name), Some(row)) if name == last.name => row,
        _ => match find_row(table, args, name, last) {
            Some(row) => row,
            None => return (None, None),
        },
    };
    let hint = match args.get(row.first_key) {
        Some(key) if row.first_key > 0 => Some(dbs.hash(key)),
        _ => None,
    };
    (Some(row), hint)
}

/// The row of a request that does not begin as the last one did.
#[inline(never)]
fn find_row(
    table: &'static Table,
    args: &Args<'_>,
    name: Option<(u64, usize)>,
    last: &mut LastRow,
) -> Option<&'static Row> {
    let row = table.resolve(args).ok()?;
    // Of a container the row depends on the second word as well.
    if let Some(name) = name.filter(|_| !row.is_sub() && !row.is_container()) {
        *last = LastRow { name, row: Some(row) };
    }
    Some(row)
}

/// Spans for which there is always room.
const SPANS_KEPT: usize = 4096;

/// What stands after the last request of a batch.
enum BatchEnd {
    /// More requests, perhaps.
    More,
    /// The beginning of one.
    Incomplete,
    /// One whose next argument gets its own buffer.
    Large { remaining: usize, at: usize, bytes: usize },
    /// Something that is no request.
    Error(ProtoError),
}

/// What [`Engine::parse_one`] has found.
enum Parse {
    /// A request; its spans were appended.
    Request,
    /// A request that came inline, or nothing to run: it was added to the batch.
    Added,
    /// The end of the batch.
    End(BatchEnd),
}

impl Engine {
    /// Bytes came from a client.
    pub fn input(&mut self, host: &mut dyn Host, id: ClientId, bytes: &[u8]) {
        let Some(slot) = self.slot_of(id) else { return };
        self.count_input(slot, bytes.len());
        // What comes after QUIT is read, for the end has to be seen, and goes nowhere.
        let mut rest = bytes;
        if self.clients[slot].is(state::CLOSE_AFTER_REPLY | state::PRIMARY | state::REPLICA) {
            if self.clients[slot].carries_keys() {
                return self.heard_by_link(slot, bytes);
            }
            if self.clients[slot].is(state::PRIMARY) {
                return self.primary_input(host, slot, bytes);
            }
            self.heard_from_replica(slot);
            if self.clients[slot].is(state::CLOSE_AFTER_REPLY) {
                rest = &[];
            }
        }
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

    /// Bytes came from a client, and [`Engine::peek`] has looked at them. Where they are one request, as those of clients are
    /// that wait for each reply, it is not parsed again.
    pub fn input_peeked(&mut self, host: &mut dyn Host, peeked: &Peeked, id: ClientId, bytes: &[u8]) {
        let is_whole = peeked.batch.requests.first().is_some_and(|request| request.end == bytes.len());
        if !is_whole || !self.takes_small_reads(id) {
            return self.input(host, id, bytes);
        }
        let slot = id.slot as usize;
        self.count_input(slot, bytes.len());
        self.begin_serving(host, slot);
        self.run_batch(host, slot, bytes, &peeked.batch);
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
        self.has_news_of_migrations()
            || !self.queues.runnable.is_empty()
            || !self.queues.outputs.is_empty()
            || !self.queues.messaged.is_empty()
            || !self.queues.deliveries.is_empty()
    }

    /// Serves the client that has waited longest with requests that were read already. False when there is none.
    pub fn serve_waiting(&mut self, host: &mut dyn Host) -> bool {
        let Some(id) = self.queues.runnable.pop_front() else { return false };
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

    /// Looks at the first request of bytes that will be given to [`Engine::input_peeked`], and asks for the bucket of its
    /// key. False: something may wait before them, or they do not begin with a plain request.
    #[inline]
    pub fn peek(&self, peeked: &mut Peeked, id: ClientId, bytes: &[u8]) -> bool {
        let Peeked { batch, db } = peeked;
        batch.requests.clear();
        batch.spans.clear();
        let Some(client) = self.client(id) else { return false };
        let Some(end) = parse::parse_plain(bytes, 0, &mut batch.spans) else { return false };
        *db = client.db;
        let args = Args::Spans(bytes, &batch.spans);
        let (row, hint) = look_ahead(self.table, &self.dbs, &args, &mut batch.last);
        if let Some(hash) = hint {
            self.dbs.at(*db as usize).prefetch_bucket(hash);
        }
        let count = batch.spans.len() as u32;
        batch.requests.push(Parsed { first: 0, count, is_owned: false, end, row, hint });
        true
    }

    /// Asks for the entry of a key whose bucket was asked for.
    #[inline]
    pub fn fetch_peeked(&self, peeked: &Peeked) {
        if let Some(hash) = peeked.batch.requests.first().and_then(|request| request.hint) {
            self.dbs.at(peeked.db as usize).prefetch_entry(hash);
        }
    }

    /// Whether reading more from this client should wait: it has requests, or replies, that have to go first.
    pub fn is_full(&mut self, id: ClientId) -> bool {
        let is_link = |client: &Client| client.is(state::PRIMARY) && !client.carries_keys();
        if self.client(id).is_some_and(is_link) && self.is_link_full() {
            return true;
        }
        self.client(id).is_none_or(|c| {
            c.is(state::CLOSE_ASAP) || (c.is(state::RUNNABLE) && c.inbox.len() > READ_BYTES_PER_SERVING)
        })
    }

    /// Runs what waits in the inbox of a client.
    fn serve_inbox(&mut self, host: &mut dyn Host, slot: usize) {
        let id = self.clients[slot].handle;
        if self.clients[slot].block.is_some() && !self.clients[slot].is(state::BLOCKED) {
            self.begin_serving(host, slot);
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
        // Nothing can have arrived meanwhile but while a command breathes; that comes after.
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
        let client = &self.clients[slot];
        if client.inbox.is_empty() && client.transaction.is_none() && !client.is(state::HALF_CLOSED) {
            return;
        }
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
        let row = self.table.resolve(&args).ok();
        self.begin_serving(host, slot);
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

    /// A client is about to be served: it gets an output buffer.
    fn begin_serving(&mut self, host: &mut dyn Host, slot: usize) {
        self.outermost.last_ticks = host.ticks();
        self.give_buffer(slot);
    }

    fn end_serving(&mut self, id: ClientId) {
        if let Some(slot) = self.slot_of(id) {
            self.send_replies(slot);
        }
    }

    /// Runs requests of `source`, at most `quota` of them; returns how many bytes were consumed.
    fn serve(&mut self, host: &mut dyn Host, slot: usize, source: &[u8], quota: usize) -> usize {
        let id = self.clients[slot].handle;
        let mut batch = std::mem::take(&mut self.pools.batch);
        let mut progress = std::mem::take(&mut self.clients[slot].inbox.progress);
        let (mut at, mut left) = (0, quota);
        self.begin_serving(host, slot);
        let begin = self.outermost.last_ticks;
        loop {
            let end = self.parse_batch(slot, source, at, &mut progress, &mut batch, left);
            self.prefetch(slot, source, &batch);
            let (ran, stopped) = self.run_batch(host, slot, source, &batch);
            left -= ran;
            if let Some(last) = batch.requests[..ran].last() {
                at = last.end;
            }
            if stopped {
                // What was known of a later request belongs to bytes that will be parsed again.
                progress = Progress::default();
                break;
            }
            if self.outermost.last_ticks.saturating_sub(begin) > self.ticker.pace.serving_ticks {
                left = 0;
            }
            match end {
                BatchEnd::More if left == 0 => {
                    if at < source.len() {
                        self.make_runnable(slot);
                    }
                    break;
                }
                BatchEnd::More => {}
                BatchEnd::Incomplete => break,
                BatchEnd::Large { remaining, at: begin, bytes } => {
                    self.begin_large(slot, source, begin, bytes, remaining, &batch);
                    at = source.len();
                    break;
                }
                BatchEnd::Error(error) => {
                    self.protocol_error(slot, error);
                    at = source.len();
                    break;
                }
            }
        }
        batch.clear();
        // One request with many arguments should not hold memory for good.
        batch.spans.shrink_to(SPANS_KEPT);
        self.pools.batch = batch;
        self.end_serving(id);
        if let Some(client) = self.client_mut(id) {
            client.inbox.progress = progress;
        }
        at
    }

    /// Runs the requests of a batch in order. Returns how many ran, and whether the client must not go on.
    fn run_batch(&mut self, host: &mut dyn Host, slot: usize, source: &[u8], batch: &Batch) -> (usize, bool) {
        let mut ran = 0;
        while let Some(request) = batch.requests.get(ran) {
            let (plain, unfinished) = self.run_plain(host, slot, source, batch, ran);
            ran += plain;
            let end = match unfinished {
                Some(unfinished) => {
                    let args = batch.args(source, &batch.requests[ran - 1]);
                    self.conclude_request(host, slot, args, unfinished)
                }
                None if plain > 0 => continue,
                None => {
                    ran += 1;
                    self.run_one(host, slot, batch.args(source, request), request.row, request.hint)
                }
            };
            if end == Ran::Stop {
                return (ran, true);
            }
        }
        (ran, false)
    }

    /// Parses requests from `at` on, until a batch is full or something ends it.
    fn parse_batch(
        &self,
        slot: usize,
        source: &[u8],
        at: usize,
        progress: &mut Progress,
        batch: &mut Batch,
        left: usize,
    ) -> BatchEnd {
        batch.clear();
        let db = self.dbs.at(self.clients[slot].db as usize);
        let (mut next, mut opening) = (at, None::<Opening>);
        for _ in 0..PARSE_AHEAD_MAX.min(left) {
            let (begin, first) = (next, batch.spans.len());
            let alike = opening.and_then(|opening| {
                let end = opening.parse(source, begin, &mut batch.spans)?;
                Some((opening.row, end))
            });
            let (row, hint) = match alike {
                Some((row, end)) => {
                    next = end;
                    let key = batch.spans[first + 1];
                    (Some(row), Some(self.dbs.hash(&source[key.start as usize..key.end as usize])))
                }
                None => {
                    match self.parse_one(slot, source, &mut next, progress, batch) {
                        Parse::Request => {}
                        Parse::Added => match batch.requests.last() {
                            Some(last) if ends_batch(last.row) => return BatchEnd::More,
                            _ => continue,
                        },
                        Parse::End(end) => return end,
                    }
                    let args = Args::Spans(source, &batch.spans[first..]);
                    let (row, hint) = look_ahead(self.table, &self.dbs, &args, &mut batch.last);
                    opening = row.and_then(|row| Opening::of(begin, &batch.spans[first..], row));
                    (row, hint)
                }
            };
            if let Some(hash) = hint {
                // By the time the batch is parsed the bucket is there.
                db.prefetch_bucket(hash);
            }
            let count = (batch.spans.len() - first) as u32;
            let first = first as u32;
            batch.requests.push(Parsed { first, count, is_owned: false, end: next, row, hint });
            if ends_batch(row) {
                return BatchEnd::More;
            }
        }
        BatchEnd::More
    }

    /// Parses the request at `next` and moves `next` past it.
    #[inline]
    fn parse_one(
        &self,
        slot: usize,
        source: &[u8],
        next: &mut usize,
        progress: &mut Progress,
        batch: &mut Batch,
    ) -> Parse {
        if progress.is_fresh()
            && let Some(end) = parse::parse_plain(source, *next, &mut batch.spans)
        {
            *next = end;
            return Parse::Request;
        }
        match self.parse_closely(slot, source, next, progress, batch) {
            Ok(Step::Request(_)) => Parse::Request,
            Ok(Step::Inline(..) | Step::Nothing(_)) => Parse::Added,
            Ok(Step::Incomplete) => Parse::End(BatchEnd::Incomplete),
            Ok(Step::Large { remaining, at, bytes }) => {
                Parse::End(BatchEnd::Large { remaining, at: *next + at, bytes })
            }
            Err(error) => Parse::End(BatchEnd::Error(error)),
        }
    }

    /// Parses a request that is not plain, and moves `next` past it. What came inline is added to the batch.
    #[cold]
    fn parse_closely(
        &self,
        slot: usize,
        source: &[u8],
        next: &mut usize,
        progress: &mut Progress,
        batch: &mut Batch,
    ) -> Result<Step, ProtoError> {
        let step = parse(&source[*next..], *next, self.limits(slot), progress, &mut batch.spans)?;
        match step {
            Step::Request(end) => *next += end,
            Step::Inline(end, ref words) => {
                let words: Vec<Bytes> = words.iter().map(|word| Bytes::copy_from_slice(word)).collect();
                let row = self.table.resolve(&Args::Owned(&words)).ok();
                *next += end;
                batch.push_owned(words, *next, row);
            }
            Step::Nothing(end) => {
                *next += end;
                match batch.requests.last_mut() {
                    Some(last) => last.end = *next,
                    // A request without a word does nothing, but marks how far the empty ones reach.
                    None => batch.push_owned(Vec::new(), *next, None),
                }
            }
            Step::Incomplete | Step::Large { .. } => {}
        }
        Ok(step)
    }

    /// Fetches the entries of all keys; their buckets were asked for when they were parsed. Then, where a command looks up
    /// a member of a collection, what that will need.
    #[inline]
    fn prefetch(&self, slot: usize, source: &[u8], batch: &Batch) {
        if batch.requests.len() < 2 {
            return;
        }
        let db = self.dbs.at(self.clients[slot].db as usize);
        for hash in batch.requests.iter().filter_map(|r| r.hint) {
            db.prefetch_entry(hash);
        }
        if let [first, second, ..] = &batch.requests[..]
            && (Engine::names_member(first) || Engine::names_member(second))
        {
            self.prefetch_members(db, source, batch);
        }
    }

    fn names_member(request: &Parsed) -> bool {
        request.row.is_some_and(|row| row.spec.member > 0)
    }

    fn prefetch_members(&self, db: &Db, source: &[u8], batch: &Batch) {
        let mut foreseen = [None; PARSE_AHEAD_MAX];
        for (request, foreseen) in batch.requests.iter().zip(&mut foreseen) {
            let (Some(row), Some(key)) = (request.row, request.hint) else { continue };
            let member = row.spec.member;
            if member > 0 && member < request.count as usize {
                let span = batch.spans[request.first as usize + member];
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
        batch: &Batch,
    ) {
        let known = batch.requests.iter().rev().find(|r| !r.is_owned);
        let first = known.map_or(0, |r| (r.first + r.count) as usize);
        let args = batch.spans[first..]
            .iter()
            .map(|s| Bytes::copy_from_slice(&source[s.start as usize..s.end as usize]))
            .collect();
        let mut target = Vec::with_capacity(bytes + 2);
        target.extend_from_slice(&source[at..]);
        self.clients[slot].inbox.large =
            Some(Box::new(LargeRequest { args, target: Some(target), bytes, remaining }));
    }

    /// Answers something that is no request, and ends the connection after the reply.
    fn protocol_error(&mut self, slot: usize, error: ProtoError) {
        self.lend_buffer(slot);
        let text = format!("ERR {error}");
        self.error_reply(slot, &text);
        log::debug!("{error} from client: {}", self.describe_client(slot));
        self.clients[slot].set(state::CLOSE_AFTER_REPLY, true);
        self.send_replies(slot);
    }

    /// Puts a client into the list of those that have something to run.
    pub(super) fn make_runnable(&mut self, slot: usize) {
        let client = &mut self.clients[slot];
        if !client.is(state::RUNNABLE | state::CLOSE_ASAP) {
            client.set(state::RUNNABLE, true);
            self.queues.runnable.push_back(client.handle);
        }
    }
}

fn ends_batch(row: Option<&Row>) -> bool {
    row.is_some_and(|row| row.has(flag::BARRIER))
}
