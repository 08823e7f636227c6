//! MULTI, EXEC and WATCH: requests that are kept and run as one, if nobody touched the keys that were watched.
//!
//! A client between MULTI and EXEC has the bit [`state::MULTI`]; its requests are judged as they come and then kept in
//! one buffer, so that a queued SET allocates nothing of its own. EXEC runs them through the same `run_admitted` as
//! everything else, one level deeper: nothing is committed to the feed and nobody waits until the outermost command is
//! done; nor is anybody told anything, but before a message that is published on the way.
//!
//! A watched key is one more listener to the facts that rise from the keyspace (see [`super::listeners`]): whoever watches
//! it gets [`state::DIRTY_CAS`]. A key that had expired already when it was watched may be removed without anybody having
//! changed anything.

use super::client::state;
use super::error::{CmdError, CmdResult, Outcome};
use super::outermost::Nesting;
use super::spec::flag;
use super::table::Row;
use super::{Call, Engine, Hint};
use crate::base::id::ClientId;
use crate::keyspace::db::is_past;
use crate::resp::{Args, Span};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// A request of more bytes keeps arguments of its own in the queue.
const FLAT_BYTES_MAX: usize = 16 * 1024;

/// The buffer for small requests does not grow beyond this, so that its offsets fit into a span.
const BUFFER_BYTES_MAX: usize = 1 << 30;

/// A queue with more memory than this is freed, not used again.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// Keys of a transaction that are fetched ahead.
const FETCHED_AHEAD: usize = 64;

/// Where the arguments of a queued request are.
#[derive(Debug)]
enum Place {
    /// These spans of the buffer.
    Flat { first: usize, count: usize },
    /// Arguments of their own.
    Owned(Vec<Bytes>),
}

/// A request that waits for EXEC.
#[derive(Debug)]
struct Queued {
    place: Place,
    row: u16,
    hint: Hint,
}

/// A key of a database that is watched.
type WatchedKey = (u32, Bytes);

/// What is known of a key that a client watches.
#[derive(Clone, Debug)]
struct Watched {
    /// It had passed its deadline when it was watched, and was not removed yet.
    was_expired: bool,
}

/// Requests in the order in which they came.
#[derive(Debug, Default)]
struct Queue {
    requests: Vec<Queued>,
    /// Arguments of small requests.
    buffer: Vec<u8>,
    /// Memory of the arguments of large ones.
    owned_bytes: usize,
    spans: Vec<Span>,
}

impl Queue {
    fn push(&mut self, args: Args<'_>, bytes: usize, row: &Row, hint: Hint) {
        let place = if bytes > FLAT_BYTES_MAX || self.buffer.len() + bytes > BUFFER_BYTES_MAX {
            self.owned_bytes += bytes + args.len() * size_of::<Bytes>();
            Place::Owned(args.to_owned_args())
        } else {
            let first = self.spans.len();
            for arg in args.iter_from(0) {
                let start = self.buffer.len() as u32;
                self.buffer.extend_from_slice(arg);
                self.spans.push(Span { start, end: self.buffer.len() as u32 });
            }
            Place::Flat { first, count: args.len() }
        };
        self.requests.push(Queued { place, row: row.id, hint });
    }

    fn args<'a>(&'a self, queued: &'a Queued) -> Args<'a> {
        match &queued.place {
            Place::Flat { first, count } => Args::Spans(&self.buffer, &self.spans[*first..first + count]),
            Place::Owned(args) => Args::Owned(args),
        }
    }

    fn clear(&mut self) {
        self.requests.clear();
        self.buffer.clear();
        self.spans.clear();
        self.owned_bytes = 0;
    }

    fn heap_bytes(&self) -> usize {
        self.requests.capacity() * size_of::<Queued>()
            + self.owned_bytes
            + self.buffer.capacity()
            + self.spans.capacity() * size_of::<Span>()
    }
}

/// What a client keeps between WATCH or MULTI and EXEC.
#[derive(Debug, Default)]
pub struct Transaction {
    queue: Queue,
    /// Bytes of all arguments.
    argument_bytes: usize,
    /// All flags of the rows of the queue.
    flags: u32,
    /// Flags that a row of the queue does not have.
    lacking: u32,
    /// Requests, those included that EXEC runs at the moment.
    len: usize,
    /// The keys that are watched, by database.
    watched: BTreeMap<WatchedKey, Watched>,
    /// Bytes of the keys that are watched.
    watched_bytes: usize,
}

impl Transaction {
    /// Requests that wait for EXEC.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no request waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a request that waits lacks any of these bits of [`flag`].
    pub fn lacks(&self, flags: u32) -> bool {
        self.lacking & flags != 0
    }

    /// The requests that wait: the number of the row of each, and its arguments.
    pub(super) fn requests(&self) -> impl Iterator<Item = (u16, Args<'_>)> {
        self.queue.requests.iter().map(|queued| (queued.row, self.queue.args(queued)))
    }

    /// Bytes of all arguments that wait.
    pub fn argument_bytes(&self) -> usize {
        self.argument_bytes
    }

    /// Keys that are watched.
    pub fn watched(&self) -> usize {
        self.watched.len()
    }

    /// Memory held, in bytes.
    pub fn heap_bytes(&self) -> usize {
        size_of::<Transaction>()
            + self.queue.heap_bytes()
            + self.watched.len() * size_of::<(WatchedKey, Watched)>()
            + self.watched_bytes
    }

    /// Forgets the queue, not what is watched.
    fn clear_queue(&mut self) {
        self.queue.clear();
        (self.argument_bytes, self.flags, self.lacking, self.len) = (0, 0, 0, 0);
    }
}

/// Who watches which key.
#[derive(Debug, Default)]
pub struct Watchers {
    by_key: BTreeMap<WatchedKey, BTreeSet<ClientId>>,
    /// Clients that watch some key.
    clients: usize,
}

impl Watchers {
    /// Whether nobody watches any key.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Keys that somebody watches.
    pub fn keys(&self) -> usize {
        self.by_key.len()
    }

    /// Clients that watch some key.
    pub fn clients(&self) -> usize {
        self.clients
    }
}

impl Engine {
    /// Keeps a request for EXEC; `flags` are its bits of [`super::spec::flag`].
    pub(super) fn queue_request(
        &mut self,
        slot: usize,
        args: Args<'_>,
        row: &'static Row,
        hint: Hint,
        flags: u32,
    ) {
        // What will never run is not kept.
        if self.clients[slot].is(state::DIRTY_EXEC | state::DIRTY_CAS) {
            return self.reply(slot).raw(b"+QUEUED\r\n");
        }
        if self.clients[slot].transaction.is_none() {
            self.clients[slot].transaction = Some(self.pools.transaction.take().unwrap_or_default());
        }
        if let Some(transaction) = &mut self.clients[slot].transaction {
            let bytes = args.iter_from(0).map(<[u8]>::len).sum();
            transaction.queue.push(args, bytes, row, hint);
            transaction.argument_bytes += bytes;
            transaction.flags |= flags;
            transaction.lacking |= !flags;
            transaction.len += 1;
        }
        self.reply(slot).raw(b"+QUEUED\r\n");
    }

    /// The flags of a request, together with those of what EXEC would run.
    pub fn flags_with_queue(&self, slot: usize, row: &Row, _: Args<'_>) -> u32 {
        row.flags | self.clients[slot].transaction.as_ref().map_or(0, |transaction| transaction.flags)
    }

    /// A request was refused: what its client has queued will not run. The text that EXEC gets instead.
    #[cold]
    pub(super) fn refused_in_transaction(
        &mut self,
        slot: usize,
        row: Option<&'static Row>,
        error: &str,
    ) -> Option<String> {
        if row.is_some_and(|row| row.has(flag::RUNS_QUEUE)) {
            self.discard_transaction(slot);
            if error.starts_with("REDIRECT ") {
                return None;
            }
            let error = error.strip_prefix("ERR ").unwrap_or(error);
            return Some(format!("EXECABORT Transaction discarded because of: {error}"));
        }
        if self.clients[slot].is(state::MULTI) {
            self.clients[slot].set(state::DIRTY_EXEC, true);
        }
        None
    }

    /// Ends a transaction: nothing of it runs, and nothing is watched any longer.
    pub fn discard_transaction(&mut self, slot: usize) {
        self.unwatch(slot);
        let client = &mut self.clients[slot];
        client.set(state::MULTI | state::DIRTY_EXEC | state::DIRTY_CAS, false);
        if let Some(mut transaction) = client.transaction.take() {
            transaction.clear_queue();
            if transaction.heap_bytes() <= KEPT_BYTES_MAX {
                self.pools.transaction = Some(transaction);
            }
        }
    }

    /// Runs what a client has queued.
    ///
    /// # Errors
    ///
    /// When there is no transaction, or a request of it was refused.
    pub fn exec(&mut self, call: &mut Call<'_>) -> CmdResult {
        let slot = call.slot;
        if !self.clients[slot].is(state::MULTI) {
            return Err(CmdError::coded("ERR EXEC without MULTI"));
        }
        if self.clients[slot].is(state::DIRTY_EXEC) {
            self.discard_transaction(slot);
            return Err(CmdError::coded("EXECABORT Transaction discarded because of previous errors."));
        }
        if self.clients[slot].is(state::DIRTY_CAS) || self.has_watched_key_died(slot) {
            self.discard_transaction(slot);
            self.reply(slot).null_array();
            return Ok(Outcome::Done);
        }
        self.unwatch(slot);
        let queue = match &mut self.clients[slot].transaction {
            Some(transaction) => std::mem::take(&mut transaction.queue),
            None => Queue::default(),
        };
        self.fetch_ahead(slot, &queue);
        self.reply(slot).array(queue.requests.len());
        let run_all = |engine: &mut Engine| {
            for queued in &queue.requests {
                let (row, args) = (engine.table.at(queued.row), queue.args(queued));
                // What its user may do can have changed since the request was queued.
                match engine.check(slot, row, args) {
                    Ok(()) => engine.run_admitted(&mut *call.host, slot, args, row, queued.hint),
                    Err(denial) => engine.deny_at_exec(slot, row, args, denial),
                }
            }
        };
        self.nest(|nesting| nesting.exec = true, run_all);
        if let Some(transaction) = &mut self.clients[slot].transaction {
            transaction.queue = queue;
        }
        self.discard_transaction(slot);
        Ok(Outcome::Done)
    }

    /// Asks for the memory of the keys that a transaction begins with.
    fn fetch_ahead(&self, slot: usize, queue: &Queue) {
        let db = self.dbs.at(self.clients[slot].db as usize);
        let hashes = || queue.requests.iter().take(FETCHED_AHEAD).filter_map(|queued| queued.hint);
        hashes().for_each(|hash| db.prefetch_bucket(hash));
        hashes().for_each(|hash| db.prefetch_entry(hash));
    }

    /// Runs commands within the one that runs: no frame leaves before that one is done, and it says itself what it
    /// propagates.
    pub(super) fn nest<T>(&mut self, mark: impl Fn(&mut Nesting), work: impl FnOnce(&mut Engine) -> T) -> T {
        let before = self.outermost.nesting;
        self.outermost.nesting.depth += 1;
        mark(&mut self.outermost.nesting);
        let (begin, counted) = (self.outermost.last_ticks, self.stats.command_ticks);
        let result = work(self);
        self.outermost.nesting = before;
        // The time of what ran within is part of the time of the command around it.
        self.outermost.last_ticks = begin;
        self.stats.command_ticks = counted;
        // What it propagates it has said already.
        self.propagation.nothing();
        result
    }

    /// Lets a client watch a key.
    pub fn watch(&mut self, slot: usize, key: Bytes) {
        let client = &self.clients[slot];
        let (id, db) = (client.handle, client.db);
        let watched_before = client.transaction.as_deref().map_or(0, Transaction::watched);
        let was_expired = self.is_expired(db, &key);
        let watchers = &mut self.listeners.watchers;
        if !watchers.by_key.entry((db, key.clone())).or_default().insert(id) {
            return;
        }
        watchers.clients += usize::from(watched_before == 0);
        let spare = &mut self.pools.transaction;
        let transaction =
            self.clients[slot].transaction.get_or_insert_with(|| spare.take().unwrap_or_default());
        transaction.watched_bytes += key.len();
        transaction.watched.insert((db, key), Watched { was_expired });
        self.note_wanted();
    }

    /// Lets a client watch nothing.
    pub fn unwatch(&mut self, slot: usize) {
        let client = &mut self.clients[slot];
        let id = client.handle;
        let Some(transaction) = client.transaction.as_mut().filter(|t| !t.watched.is_empty()) else {
            return;
        };
        let watchers = &mut self.listeners.watchers;
        watchers.clients -= 1;
        transaction.watched_bytes = 0;
        for place in std::mem::take(&mut transaction.watched).into_keys() {
            if let Some(clients) = watchers.by_key.get_mut(&place) {
                clients.remove(&id);
                if clients.is_empty() {
                    watchers.by_key.remove(&place);
                }
            }
        }
        self.note_wanted();
    }

    /// Something happened to a key: the transactions of those who watch it will not run.
    pub(super) fn touch_watched(&mut self, db: u32, key: &Bytes, has_expired: bool) {
        let place = (db, key.clone());
        let Some(clients) = self.listeners.watchers.by_key.get(&place) else { return };
        for id in clients.clone() {
            // Where an expired key was removed there is nothing, as before.
            let touched = self.touch_for(id, &place, |watched| {
                !(has_expired && std::mem::replace(&mut watched.was_expired, false))
            });
            // Whatever else happens to its keys changes nothing any more.
            if let Some(slot) = touched {
                self.unwatch(slot);
            }
        }
    }

    /// All keys of these databases go: the transactions of those who watch one will not run.
    pub fn touch_emptied(&mut self, dbs: std::ops::Range<usize>) {
        self.touch_all(|engine, (db, key), watched| {
            if !dbs.contains(&(*db as usize)) || !engine.is_stored(*db, key) {
                return false;
            }
            !std::mem::replace(&mut watched.was_expired, false)
        });
    }

    /// Two databases have changed places: the transactions of those who watch a key that one of them has will not run.
    pub(super) fn touch_swapped(&mut self, one: u32, other: u32) {
        self.touch_all(|engine, (db, key), watched| {
            let before = match *db {
                db if db == one => other,
                db if db == other => one,
                _ => return false,
            };
            let (was_there, is_there) = (engine.is_stored(before, key), engine.is_stored(*db, key));
            let is_expired = is_there && engine.is_expired(*db, key);
            match (was_there, is_there) {
                (false, false) => false,
                // What had expired is gone, or has expired again; what was not there is, and has expired: nothing to see in any case.
                (_, false) if watched.was_expired => {
                    watched.was_expired = false;
                    false
                }
                (_, true) if watched.was_expired && is_expired => false,
                (false, true) if is_expired => {
                    watched.was_expired = true;
                    false
                }
                _ => true,
            }
        });
    }

    /// Who is touched goes on watching, as in Redis, where CLIENT LIST and INFO show it.
    fn touch_all(&mut self, is_news: impl Fn(&Engine, &WatchedKey, &mut Watched) -> bool) {
        let all: Vec<(WatchedKey, BTreeSet<ClientId>)> = self
            .listeners
            .watchers
            .by_key
            .iter()
            .map(|(place, clients)| (place.clone(), clients.clone()))
            .collect();
        for (place, clients) in all {
            for id in clients {
                let Some(slot) = self.slot_of(id) else { continue };
                let mine = self.clients[slot].transaction.as_deref();
                let found = mine.and_then(|transaction| transaction.watched.get(&place));
                let Some(mut watched) = found.cloned() else { continue };
                let news = is_news(self, &place, &mut watched);
                self.touch_for(id, &place, |old| {
                    old.was_expired = watched.was_expired;
                    news
                });
            }
        }
    }

    /// The slot of a client whose transaction will not run because of this.
    fn touch_for(
        &mut self,
        id: ClientId,
        place: &WatchedKey,
        is_news: impl Fn(&mut Watched) -> bool,
    ) -> Option<usize> {
        let slot = self.slot_of(id)?;
        let client = &mut self.clients[slot];
        let is_touched = is_news(client.transaction.as_mut()?.watched.get_mut(place)?);
        client.state |= if is_touched { state::DIRTY_CAS } else { 0 };
        is_touched.then_some(slot)
    }

    fn has_watched_key_died(&self, slot: usize) -> bool {
        let Some(transaction) = &self.clients[slot].transaction else { return false };
        transaction
            .watched
            .iter()
            .any(|((db, key), watched)| !watched.was_expired && self.is_expired(*db, key))
    }

    /// Whether a key is there whose deadline has passed.
    fn is_expired(&self, db: u32, key: &[u8]) -> bool {
        let db = self.dbs.at(db as usize);
        let found = db.find_with_deadline(key, db.hash(key));
        found.and_then(|(_, deadline)| deadline).is_some_and(|ms| is_past(ms, self.now.unix_ms()))
    }

    /// Whether a key is there, expired or not.
    fn is_stored(&self, db: u32, key: &[u8]) -> bool {
        let db = self.dbs.at(db as usize);
        db.find_with_deadline(key, db.hash(key)).is_some()
    }

    /// Who watches which key.
    pub fn watchers(&self) -> &Watchers {
        &self.listeners.watchers
    }
}
