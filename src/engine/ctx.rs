//! What a local command is lent: its arguments, its client, its database, and the roads by which its effects leave.
//!
//! The one function that takes the engine apart into these disjoint borrows is [`Engine::ctx`]. A handler parses all
//! its options first, then acts, then replies. Keys are looked up through the context only, so that no handler ever
//! sees a key whose deadline has passed: it is removed on the way, and a `DEL` for it enters the feed at that moment.
//!
//! Three exceptions, which whoever judges a key or a field by its deadline asks for:
//!
//! * Who replays what was propagated, or imports a dataset, [`Ctx::sees_expired`]: they are there until a removal comes.
//! * While the keyspace is held, [`Ctx::keeps_expired`]: nobody else sees them, but they stay.
//! * What was a deadline in the future elsewhere may lie in the past here: [`Ctx::stores_the_past`].

use super::blocking::{Block, BlockOn};
use super::client::{Client, state};
use super::error::{CmdError, Outcome};
use super::host::Host;
use super::listeners::Listeners;
use super::propagation::Propagation;
use super::spec::flag;
use super::stats::Stats;
use super::table::{Row, Table};
use super::{Engine, Hint};
use crate::base::extended::Extended;
use crate::base::number::{format_i64, parse_i64};
use crate::base::rng::Rng;
use crate::base::time::Now;
use crate::config::Config;
use crate::keyspace::access::AccessClock;
use crate::keyspace::db::{Found, KeyHash, is_past};
use crate::keyspace::types::Hash;
use crate::keyspace::{
    Collection, Databases, Db, Deadline, EventClass, NewValue, Taken, Type, Value, ValueRef,
};
use crate::replication::batch::target;
use crate::resp::{Args, Reply};
use crate::structures::slab::Handle;
use bytes::Bytes;

/// A key of the request with its hash.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    /// The key itself.
    pub bytes: &'a [u8],
    /// Its hash, the same in all databases.
    pub hash: KeyHash,
}

/// What a handler is lent.
pub struct Ctx<'a> {
    /// The request.
    pub args: Args<'a>,
    /// Where the reply goes.
    pub reply: Reply<'a>,
    /// The row of the command.
    pub row: &'static Row,
    /// The time of this command; the same for all of it.
    pub now: Now,
    /// All rows.
    pub table: &'static Table,
    /// The configuration.
    pub conf: &'a Config,
    /// Counters.
    pub stats: &'a mut Stats,
    /// The shell.
    pub host: &'a mut dyn Host,
    /// Chance, seeded once.
    pub rng: &'a mut Rng,
    /// How accesses are noted.
    pub clock: &'a AccessClock,
    /// The client's bits of [`state`].
    pub client_state: &'a mut u32,
    /// A script runs the command.
    pub is_scripted: bool,
    /// The selected database; SELECT changes it.
    pub db_index: &'a mut u32,
    pub(super) dbs: &'a mut Databases,
    pub(super) propagation: &'a mut Propagation,
    pub(super) listeners: &'a mut Listeners,
    pub(super) hint: Hint,
}

/// The bytes of a string value, wherever they lie.
pub enum Text<'a> {
    /// In the entry.
    Inline(&'a [u8]),
    /// Digits of an integer.
    Digits([u8; 20], usize),
    /// In a buffer that replies share.
    Shared(&'a Bytes),
}

impl std::ops::Deref for Text<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Text::Inline(bytes) => bytes,
            Text::Digits(digits, len) => &digits[..*len],
            Text::Shared(bytes) => bytes,
        }
    }
}

/// The bytes of a value that must be a string.
///
/// # Errors
///
/// [`CmdError::WrongType`] for a value of another type.
pub fn text(value: ValueRef<'_>) -> Result<Text<'_>, CmdError> {
    Ok(match value {
        ValueRef::Inline(bytes, _) => Text::Inline(bytes),
        ValueRef::Int(value) => {
            let mut digits = [0; 20];
            let mut from = [0; 20];
            let used = format_i64(value, &mut from);
            let len = used.len();
            digits[..len].copy_from_slice(used);
            Text::Digits(digits, len)
        }
        ValueRef::Shared(bytes) => Text::Shared(bytes),
        _ => return Err(CmdError::WrongType),
    })
}

/// What a handler needs together while it replies with a value: see [`Ctx::open`].
pub struct Open<'o, 'a> {
    /// The selected database.
    pub db: &'o Db,
    /// Where the reply goes.
    pub reply: &'o mut Reply<'a>,
    /// Chance.
    pub rng: &'o mut Rng,
}

impl Engine {
    /// Takes the engine apart for one local command of the client in `slot`.
    #[inline(always)]
    pub(super) fn ctx<'a>(
        &'a mut self,
        host: &'a mut dyn Host,
        slot: usize,
        args: Args<'a>,
        row: &'static Row,
        hint: Hint,
    ) -> Ctx<'a> {
        let client: &'a mut Client = &mut self.clients[slot];
        Ctx {
            args,
            reply: Reply::new(&mut client.out, client.resp, client.state & state::MUTED != 0),
            row,
            now: self.now,
            table: self.table,
            conf: &self.conf,
            stats: &mut self.stats,
            host,
            rng: &mut self.rng,
            clock: &self.eviction.clock,
            client_state: &mut client.state,
            is_scripted: self.outermost.nesting.script,
            db_index: &mut client.db,
            dbs: &mut self.dbs,
            propagation: &mut self.propagation,
            listeners: &mut self.listeners,
            hint,
        }
    }
}

impl<'a> Ctx<'a> {
    /// The key at argument `index`.
    #[inline(always)]
    pub fn key(&self, index: usize) -> Key<'a> {
        let bytes = self.args.at(index);
        let hash = match self.hint {
            Some(hash) if index == self.row.first_key => hash,
            _ => self.db_ref().hash(bytes),
        };
        Key { bytes, hash }
    }

    /// A key that is not an argument of the request.
    pub fn key_of<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key { bytes, hash: self.db_ref().hash(bytes) }
    }

    /// The argument at `index` as an integer.
    ///
    /// # Errors
    ///
    /// [`CmdError::NotInteger`].
    #[inline]
    pub fn int(&self, index: usize) -> Result<i64, CmdError> {
        parse_i64(self.args.at(index)).ok_or(CmdError::NotInteger)
    }

    /// The argument at `index` as an integer between two others.
    ///
    /// # Errors
    ///
    /// [`CmdError::NotInteger`], or a text that names the bounds.
    pub fn int_between(&self, index: usize, min: i64, max: i64) -> Result<i64, CmdError> {
        let value = self.int(index)?;
        if (min..=max).contains(&value) {
            return Ok(value);
        }
        Err(CmdError::err(format!("value is out of range, value must between {min} and {max}")))
    }

    /// The argument at `index` as the number of a database.
    ///
    /// # Errors
    ///
    /// When it is no integer, or there is no such database.
    pub fn db_number(&self, index: usize) -> Result<u32, CmdError> {
        let number = self.int_between(index, i32::MIN.into(), i32::MAX.into())?;
        match u32::try_from(number) {
            Ok(number) if (number as usize) < self.dbs.count() => Ok(number),
            _ => Err(CmdError::coded("ERR DB index is out of range")),
        }
    }

    /// The selected database.
    #[inline]
    pub fn db(&mut self) -> &mut Db {
        self.dbs.at_mut(*self.db_index as usize)
    }

    /// The selected database, to look at.
    #[inline]
    pub fn db_ref(&self) -> &Db {
        self.dbs.at(*self.db_index as usize)
    }

    /// All databases.
    pub fn dbs(&mut self) -> &mut Databases {
        self.dbs
    }

    /// The entry of a key that the command reads: counted as a hit or a miss, noted as an access.
    #[inline(always)]
    pub fn read(&mut self, key: Key<'_>) -> Option<Handle> {
        match self.look_up(*self.db_index, key) {
            Some(found) => {
                self.stats.keyspace_hits += 1;
                if !self.clock.is_noted(found.access) {
                    self.touch(found.handle);
                }
                Some(found.handle)
            }
            None => {
                self.stats.keyspace_misses += 1;
                self.notify(EventClass::Miss, "keymiss", key.bytes);
                None
            }
        }
    }

    /// The entry of a key that the command reads, counted, but not noted as an access.
    pub fn read_untouched(&mut self, key: Key<'_>) -> Option<Handle> {
        let found = self.peek(key);
        self.count_read(key, found.is_some());
        found
    }

    /// Counts a look for a key as a hit or a miss.
    pub fn count_read(&mut self, key: Key<'_>, is_there: bool) {
        if is_there {
            self.stats.keyspace_hits += 1;
        } else {
            self.stats.keyspace_misses += 1;
            self.notify(EventClass::Miss, "keymiss", key.bytes);
        }
    }

    /// The entry of a key that the command will change: noted as an access.
    #[inline]
    pub fn write(&mut self, key: Key<'_>) -> Option<Handle> {
        let found = self.look_up(*self.db_index, key)?;
        if !self.clock.is_noted(found.access) {
            self.touch(found.handle);
        }
        Some(found.handle)
    }

    /// The entry of a key, with no trace of the look-up. An expired one is removed first.
    #[inline]
    pub fn peek(&mut self, key: Key<'_>) -> Option<Handle> {
        self.peek_in(*self.db_index, key)
    }

    /// As [`Ctx::peek`], in another database.
    #[inline]
    pub fn peek_in(&mut self, db: u32, key: Key<'_>) -> Option<Handle> {
        self.look_up(db, key).map(|found| found.handle)
    }

    /// As [`Ctx::peek_in`], with what is known about the entry.
    #[inline(always)]
    fn look_up(&mut self, db: u32, key: Key<'_>) -> Option<Found> {
        let found = self.dbs.at(db as usize).look_up(key.bytes, key.hash)?;
        match found.deadline {
            Some(deadline) if is_past(deadline, self.now.unix_ms()) => {
                self.look_at_expired(db, key, found, deadline)
            }
            _ => Some(found),
        }
    }

    /// What a command sees of a key whose deadline has passed: nothing, and the key goes; but see the head of this file.
    #[cold]
    fn look_at_expired(&mut self, db: u32, key: Key<'_>, found: Found, deadline: u64) -> Option<Found> {
        if self.sees_expired() {
            return Some(found);
        }
        // On a writable replica the client's write begins a key anew; no replica hears of it.
        let begins_anew = self.listeners.follows && self.row.has(flag::WRITE);
        if !self.keeps_expired() || begins_anew {
            self.expire(db, key, deadline);
        }
        None
    }

    /// Whether the client runs what was propagated before.
    pub fn replays(&self) -> bool {
        *self.client_state & state::REPLAYS != 0
    }

    /// Whether keys and fields are there for the client although their deadline has passed. It replays what was propagated,
    /// where their removal stands if they were removed, or imports a dataset, and says itself when they go.
    #[inline]
    pub fn sees_expired(&self) -> bool {
        let bits = *self.client_state & (state::REPLAYS | state::IMPORT_SOURCE);
        self.listeners.shows_expired || bits != 0 && (bits & state::REPLAYS != 0 || self.conf.import_mode)
    }

    /// Whether keys and fields stay although their deadline has passed and the client does not see them: clients are paused,
    /// or a dataset is imported or loaded.
    pub fn keeps_expired(&self) -> bool {
        self.listeners.expiry_held
    }

    /// Whether a deadline in the past is stored like any other, where it would remove the key or field at once: the removal
    /// comes by itself. Redis: `checkAlreadyExpired`.
    pub fn stores_the_past(&self) -> bool {
        self.conf.import_mode || self.listeners.follows || self.replays()
    }

    /// The time by which the client judges deadlines, Unix time in milliseconds: what has a deadline before it has expired. For
    /// one that [sees what has expired](Ctx::sees_expired) nothing has.
    #[inline]
    pub fn judged_ms(&self) -> u64 {
        if self.sees_expired() { 0 } else { self.now.unix_ms() }
    }

    #[cold]
    fn expire(&mut self, db: u32, key: Key<'_>, deadline: u64) {
        self.dbs.at_mut(db as usize).remove(key.bytes, key.hash);
        let lag = self.now.unix_ms() - deadline;
        let verb = self.conf.verb_of_expiry();
        self.listeners.expired((db, key.bytes), lag, verb, self.stats, self.propagation);
    }

    /// Notes an access.
    #[inline]
    pub fn touch(&mut self, handle: Handle) {
        if self.clock.lrm || self.touches_nothing() {
            return;
        }
        let rng = &mut *self.rng;
        self.dbs.at_mut(*self.db_index as usize).touch(handle, self.clock, || rng.next_u64());
    }

    /// Whether the client leaves no trace of its accesses: CLIENT NO-TOUCH.
    #[inline]
    fn touches_nothing(&self) -> bool {
        *self.client_state & state::NO_TOUCH != 0 && !self.row.has(flag::ALWAYS_TOUCHES)
    }

    /// The string in an entry.
    ///
    /// # Errors
    ///
    /// [`CmdError::WrongType`] for a value of another type.
    pub fn text(&self, handle: Handle) -> Result<Text<'_>, CmdError> {
        text(self.db_ref().value(handle))
    }

    /// Replies with the string in an entry.
    ///
    /// # Errors
    ///
    /// [`CmdError::WrongType`] for a value of another type.
    #[inline(always)]
    pub fn reply_value(&mut self, handle: Handle) -> Result<(), CmdError> {
        match self.dbs.at(*self.db_index as usize).value(handle) {
            ValueRef::Inline(bytes, _) => self.reply.bulk(bytes),
            ValueRef::Int(value) => self.reply.bulk_int(value),
            ValueRef::Shared(bytes) => self.reply.bulk_shared(bytes),
            _ => return Err(CmdError::WrongType),
        }
        Ok(())
    }

    /// Any entry of the selected database; it may have expired.
    pub fn random_entry(&mut self) -> Option<Handle> {
        self.dbs.at(*self.db_index as usize).random(self.rng)
    }

    /// Replies with the key of an entry.
    pub fn reply_key(&mut self, handle: Handle) {
        self.reply.bulk(self.dbs.at(*self.db_index as usize).key(handle));
    }

    /// Writes a string to a key; `found` is its entry. Counts and tells nobody.
    #[inline]
    pub fn set(
        &mut self,
        key: Key<'_>,
        found: Option<Handle>,
        value: NewValue<'_>,
        deadline: Deadline,
    ) -> Handle {
        let access = self.access_for(found);
        let is_new = found.is_none();
        let handle = self.db().set(key.bytes, key.hash, found, value, deadline, access);
        if is_new {
            self.notify(EventClass::New, "new", key.bytes);
        }
        self.signal(key);
        handle
    }

    /// As [`Ctx::set`], for a command that stores a value of its own, whatever the key held: who asked is told.
    #[inline]
    pub fn replace(
        &mut self,
        key: Key<'_>,
        found: Option<Handle>,
        value: NewValue<'_>,
        deadline: Deadline,
    ) -> Handle {
        let before = self.type_to_tell(found);
        let handle = self.set(key, found, value, deadline);
        if before.is_some() {
            let db = *self.db_index;
            self.tell_overwritten(db, key, before);
        }
        handle
    }

    /// The type of a value whose end is to be told as that of one that another takes the place of; none if nobody asked.
    #[inline]
    pub fn type_to_tell(&self, found: Option<Handle>) -> Option<Type> {
        self.type_to_tell_in(*self.db_index, found)
    }

    /// As [`Ctx::type_to_tell`], for a value of another database.
    #[inline]
    pub fn type_to_tell_in(&self, db: u32, found: Option<Handle>) -> Option<Type> {
        const ASKED: u32 = EventClass::Overwritten as u32 | EventClass::TypeChanged as u32;
        if self.listeners.wanted & ASKED == 0 {
            return None;
        }
        found.map(|handle| self.dbs.at(db as usize).value(handle).type_of())
    }

    /// Tells that the value of a key took the place of one of this type, if there was one.
    #[cold]
    pub fn tell_overwritten(&mut self, db: u32, key: Key<'_>, before: Option<Type>) {
        let Some(before) = before else { return };
        self.notify_in(db, EventClass::Overwritten, "overwritten", key.bytes);
        let db_ref = self.dbs.at(db as usize);
        let now = db_ref.find(key.bytes, key.hash).map(|handle| db_ref.value(handle).type_of());
        if now.is_some_and(|now| now != before) {
            self.notify_in(db, EventClass::TypeChanged, "type_changed", key.bytes);
        }
    }

    /// Takes a collection out of its entry, to change it; [`Ctx::put`] must follow.
    ///
    /// # Errors
    ///
    /// [`CmdError::WrongType`] for a value of another type.
    #[inline]
    pub fn take<T: Collection>(&mut self, handle: Handle) -> Result<Taken<T>, CmdError> {
        self.db().take(handle).ok_or(CmdError::WrongType)
    }

    /// The collection of a key that the command will change, or an empty one for a key that does not exist: noted as
    /// an access. [`Ctx::put`] must follow.
    ///
    /// # Errors
    ///
    /// [`CmdError::WrongType`] for a value of another type.
    #[inline]
    pub fn take_or_new<T: Collection>(&mut self, key: Key<'_>) -> Result<Taken<T>, CmdError> {
        match self.write(key) {
            Some(handle) => self.take(handle),
            None => Ok(Taken::new()),
        }
    }

    /// Puts a collection back, or stores a new one. False when it is empty and the key is gone, or never came.
    #[inline]
    pub fn put<T: Collection>(&mut self, key: Key<'_>, taken: Taken<T>) -> bool {
        let is_new = taken.is_new();
        let access = self.clock.fresh();
        let is_there = self.db().put(key.bytes, key.hash, taken, access).is_some();
        if is_new && is_there {
            self.notify(EventClass::New, "new", key.bytes);
        }
        if is_new || !is_there || T::TYPE == Type::Stream {
            self.signal(key);
        }
        if self.clock.lrm && T::TYPE == Type::Stream {
            self.note_change(key);
        }
        is_there
    }

    /// Stores a collection in the place of whatever the key held; the key loses its deadline. An empty one is not to be
    /// stored: remove the key.
    pub fn store(&mut self, key: Key<'_>, value: impl Into<Value>) -> Handle {
        let found = self.peek(key);
        self.replace(key, found, NewValue::Whole(value.into()), Deadline::Clear)
    }

    /// Database, reply and chance together, for a handler that replies with what it reads.
    #[inline]
    pub fn open(&mut self) -> Open<'_, 'a> {
        Open { db: self.dbs.at(*self.db_index as usize), reply: &mut self.reply, rng: self.rng }
    }

    /// Those who wait for a key have a look at it when this command is done.
    #[inline]
    pub fn signal(&mut self, key: Key<'_>) {
        self.listeners.signal(*self.db_index, key.bytes);
    }

    /// As [`Ctx::signal`], for a key of another database.
    pub fn signal_in(&mut self, db: u32, key: &[u8]) {
        self.listeners.signal(db, key);
    }

    /// Those who wait for any key of a database have a look.
    pub fn signal_all(&mut self, db: u32) {
        self.listeners.signal_all(db);
    }

    /// Two databases have changed places: those who wait for a key of theirs, or watch one, have a look.
    pub fn swapped(&mut self, one: u32, other: u32) {
        self.signal_all(one);
        self.signal_all(other);
        self.listeners.swapped(one, other);
    }

    /// The argument at `index` as the time of a wait in seconds: its end as monotonic time in microseconds, none for a
    /// wait for ever.
    ///
    /// # Errors
    ///
    /// When it is no number, negative, or too large.
    pub fn timeout(&self, index: usize) -> Result<Option<u64>, CmdError> {
        const NO_FLOAT: CmdError = CmdError::coded("ERR timeout is not a float or out of range");
        const TOO_LARGE: CmdError = CmdError::coded("ERR timeout is out of range");
        let text = self.args.at(index);
        let seconds = Extended::parse(text).filter(|value| !value.is_nan()).ok_or(NO_FLOAT)?;
        let ms = seconds.milliseconds().ok_or(TOO_LARGE)?;
        let ms = u64::try_from(ms).map_err(|_| CmdError::coded("ERR timeout is negative"))?;
        if ms > i64::MAX as u64 - self.now.unix_ms() {
            return Err(TOO_LARGE);
        }
        Ok(self.wait_end_us(ms))
    }

    /// The end of a wait of so many milliseconds as monotonic time in microseconds; none for 0, which is for ever.
    pub fn wait_end_us(&self, ms: u64) -> Option<u64> {
        // Beyond the end of monotonic time a wait is for ever, too.
        ms.checked_mul(1000).and_then(|us| us.checked_add(self.now.mono_us)).filter(|_| ms > 0)
    }

    /// The command found nothing to take: its client waits until one of its keys may have something, then the command
    /// runs again. `deadline_us` comes from [`Ctx::timeout`].
    pub fn block_on_keys(&self, deadline_us: Option<u64>) -> Outcome {
        Outcome::Block(Block { on: BlockOn::Keys, deadline_us })
    }

    /// As [`Ctx::block_on_keys`]; what runs again is this request, if there is one, since what the client sent would mean
    /// something else by then.
    pub fn block_on_keys_as(&mut self, deadline_us: Option<u64>, request: Option<Vec<Bytes>>) -> Outcome {
        self.listeners.waiters.next_wait.request = request;
        self.block_on_keys(deadline_us)
    }

    /// As [`Ctx::block_on_keys_as`], for a command to which time alone brings something: in so many milliseconds, or, if
    /// none, not before [`Ctx::signal_pending`] says so.
    pub fn block_until_idle(
        &mut self,
        deadline_us: Option<u64>,
        request: Option<Vec<Bytes>>,
        idle_in_ms: Option<u64>,
    ) -> Outcome {
        let at_us = |ms: u64| self.now.mono_us.saturating_add(ms.max(1).saturating_mul(1000));
        self.listeners.waiters.next_wait.look_again_us = Some(idle_in_ms.map_or(u64::MAX, at_us));
        self.block_on_keys_as(deadline_us, request)
    }

    /// Entries of a stream were handed to a consumer: who waits for them to be idle counts from now on.
    pub fn signal_pending(&mut self, key: &[u8]) {
        if self.listeners.waiters.timed > 0 {
            self.listeners.signal(*self.db_index, key);
        }
    }

    /// As [`Ctx::put`], for a change that nobody waits for.
    pub fn put_quietly<T: Collection>(&mut self, key: Key<'_>, taken: Taken<T>) {
        let access = self.clock.fresh();
        self.db().put(key.bytes, key.hash, taken, access);
        // What groups have read and acknowledged changes without an event.
        if self.clock.lrm && T::TYPE == Type::Stream {
            self.note_change(key);
        }
    }

    /// The access bits of a value that is written: a frequency outlives a new value, and so does the last access where
    /// this one leaves no trace.
    #[inline]
    fn access_for(&self, found: Option<Handle>) -> u32 {
        match found {
            Some(handle) if self.clock.lfu || (self.touches_nothing() && !self.clock.lrm) => {
                self.db_ref().access(handle)
            }
            _ => self.clock.fresh(),
        }
    }

    /// Removes a key; true when it was there.
    pub fn remove(&mut self, key: Key<'_>) -> bool {
        self.signal(key);
        self.db().remove(key.bytes, key.hash)
    }

    /// Removes the fields of a hash whose deadline has passed, only those of `names` if some are given: a change that
    /// nobody asked for. Where the entry is then: none when it went with its last field.
    pub fn expire_fields(&mut self, key: Key<'_>, handle: Handle, names: Option<&[&[u8]]>) -> Option<Handle> {
        let now_ms = self.now.unix_ms();
        let Some(mut hash) = self.db().take::<Hash>(handle) else { return Some(handle) };
        let mut gone = Vec::new();
        match names {
            Some(names) => {
                for name in names {
                    if hash.remove(name) {
                        gone.push(name.to_vec());
                    }
                }
            }
            None => {
                hash.remove_due(now_ms, usize::MAX, |name| gone.push(name.to_vec()));
            }
        }
        let access = self.clock.fresh();
        let handle = self.db().put(key.bytes, key.hash, hash, access);
        let db = *self.db_index;
        let place = (db, key.bytes);
        self.listeners.fields_expired(place, &gone, handle.is_none(), self.stats, self.propagation);
        handle
    }

    /// Tells that fields of a hash have died, which itself stays.
    pub fn tell_expired_fields(&mut self, key: Key<'_>, names: &[Vec<u8>]) {
        let place = (*self.db_index, key.bytes);
        self.listeners.fields_expired(place, names, false, self.stats, self.propagation);
    }

    /// Counts changes of the keyspace; the command is propagated when there was one.
    #[inline]
    pub fn changed(&mut self, changes: u64) {
        self.propagation.changed(changes);
    }

    /// Propagates this instead of the command as it came; may be called several times.
    pub fn propagate_as<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        self.propagation.instead(*self.db_index, args);
    }

    /// As [`Ctx::propagate_as`], to replicas and to the log in different words.
    pub fn propagate_apart<A: AsRef<[u8]>, B: AsRef<[u8]>>(&mut self, replicas: &[A], log: &[B]) {
        self.propagation.instead_for(target::REPLICAS, *self.db_index, replicas);
        self.propagation.instead_for(target::AOF, *self.db_index, log);
    }

    /// As [`Ctx::propagate_as`], to the log alone.
    pub fn propagate_to_log<A: AsRef<[u8]>>(&mut self, log: &[A]) {
        self.propagation.instead_for(target::AOF, *self.db_index, log);
    }

    /// Propagates the removal of a key by a deadline in the past instead of the command as it came.
    pub fn propagate_removal(&mut self, key: Key<'_>) {
        self.propagate_as(&[self.conf.verb_of_expiry(), key.bytes]);
    }

    /// Changes of the keyspace since the server started.
    pub fn changes(&self) -> u64 {
        self.propagation.changes()
    }

    /// Propagates nothing for this command.
    pub fn propagate_nothing(&mut self) {
        self.propagation.nothing();
    }

    /// Whether somebody follows the feed: what only they need may be left undone.
    pub fn is_followed(&self) -> bool {
        self.propagation.is_followed()
    }

    /// Tells those who asked that something happened to a key.
    #[inline]
    pub fn notify(&mut self, class: EventClass, name: &'static str, key: &[u8]) {
        if self.listeners.wanted & class as u32 != 0 {
            self.note(class, name, key);
        }
    }

    #[cold]
    fn note(&mut self, class: EventClass, name: &'static str, key: &[u8]) {
        if self.clock.lrm && EventClass::CHANGES & class as u32 != 0 {
            let key = self.key_of(key);
            self.note_change(key);
        }
        self.listeners.notify(class, name, key, *self.db_index);
    }

    /// Notes that a value is not what it was, where that decides which is evicted first.
    #[cold]
    fn note_change(&mut self, key: Key<'_>) {
        if let Some(handle) = self.db_ref().find(key.bytes, key.hash) {
            let access = self.clock.fresh();
            self.db().set_access(handle, access);
        }
    }

    /// As [`Ctx::notify`], for a key of another database.
    pub fn notify_in(&mut self, db: u32, class: EventClass, name: &'static str, key: &[u8]) {
        self.listeners.notify(class, name, key, db);
    }
}
