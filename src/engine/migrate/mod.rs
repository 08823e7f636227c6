//! Keys that go to another server: MIGRATE.
//!
//! The loop does not stand still for it as Redis does: the client waits, and everybody else is served. The promise stays
//! that a key is on one side or the other, and that nobody sees it on both:
//!
//! * From the request on until its end the keys are *held*: whoever names one of them waits, to read it too, and so does what
//!   may touch any key ([`Engine::waits_for_migration`]). So what was sent is what is removed.
//! * A key is removed only when the other server has said that it has it, all of a request at one moment, together with the
//!   reply, as one command that propagates a DEL.
//! * Once keys are on their way the migration comes to its end, whether its client still waits or not. Only a server that
//!   becomes a replica gives it up: its dataset is another server's from then on.
//!
//! A key that expires or is evicted meanwhile is gone here and cannot be removed again. While a dataset is loaded a migration
//! rests.
//!
//! Where its client cannot wait, within EXEC or a script, everything waits, as in Redis: the shell serves the one
//! connection ([`super::Host::attend`]) until the end.
//!
//! ```text
//! in line --> connecting --> greeting --> keys, as the socket takes them --> end: what is there is removed, the client replied to
//!                 ^             \------------------\--- the connection is lost: once more, on a new one, or the end
//! ```
//!
//! [`exchange`] is what is said, [`links`] are the connections, which are kept for a while.

mod exchange;
mod links;

use super::admission::gate;
use super::blocking::{Block, BlockOn, Blocked};
use super::call::Call;
use super::client::{Client, state};
use super::error::{CmdError, CmdResult, Outcome};
use super::keys::{all_keys_of, may_have_keys};
use super::plain::Unfinished;
use super::spec::flag;
use super::table::Row;
use super::{Engine, Host};
use crate::base::id::ClientId;
use crate::base::limit::{MIGRATION_BYTES_AHEAD, SHARED_PAYLOAD_BYTES_MIN};
use crate::keyspace::EventClass;
use crate::persist::rdb::{self, Options};
use crate::resp::Args;
use bytes::Bytes;
use exchange::Exchange;
use links::Link;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The longest sleep of a server that waits for one connection alone.
const ATTEND_MS_MAX: u64 = 1000;

/// What is to go to another server, and how.
#[derive(Debug, Default)]
pub struct Order {
    /// The keys, which are here, in the order of the request.
    pub keys: Vec<Bytes>,
    /// The number of the database there.
    pub db: i64,
    /// They stay here as well: COPY.
    pub keeps: bool,
    /// They take the place of keys that are there: REPLACE.
    pub replaces: bool,
    /// Who sends them, if the other server wants to know.
    pub login: Option<Login>,
}

/// A user and a password.
#[derive(Debug)]
pub struct Login {
    /// The user; none for the default one.
    pub user: Option<Bytes>,
    /// The password.
    pub password: Bytes,
}

/// Where the other server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How a migration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The other server has answered everything.
    Answered,
    /// It could not be reached in time.
    NotConnected,
    /// It could not be sent everything.
    Unsent,
    /// It did not answer.
    Unanswered,
}

/// One request that is under way.
#[derive(Debug)]
struct Migration {
    /// The client that waits for it, unless it has left.
    asker: Option<ClientId>,
    /// What it had asked for, when it has left.
    request: Vec<Bytes>,
    row: u16,
    /// The database of the keys here.
    db: u32,
    place: Place,
    order: Order,
    exchange: Exchange,
    /// The client that stands for the connection; none while it waits in line.
    link: Option<ClientId>,
    /// Microseconds without progress after which it has failed.
    patience_us: u64,
    /// When something was last sent or heard, in monotonic microseconds.
    progress_us: u64,
    /// It may be tried once more on another connection.
    may_retry: bool,
    end: Option<End>,
}

/// All migrations, and the connections that they have used.
#[derive(Debug, Default)]
pub struct Migrations {
    /// Those under way, by number.
    running: BTreeMap<u64, Migration>,
    /// The number of the last one.
    last: u64,
    /// Those that wait for a connection to become free.
    in_line: VecDeque<u64>,
    /// Keys that are held, and in how many places of how many requests each stands.
    held: BTreeMap<Bytes, u32>,
    links: Vec<Link>,
    /// Those of which there is news.
    due: BTreeSet<u64>,
}

impl Migrations {
    /// Connections that are in use or kept.
    pub fn connections(&self) -> usize {
        self.links.len()
    }
}

/// The life of a migration.
impl Engine {
    /// Begins to send keys to another server, for the client of `call`. Without progress for `timeout_ms` milliseconds it fails.
    ///
    /// # Errors
    ///
    /// Where the client cannot wait, as [`Engine::conclude_migration`].
    pub fn migrate(&mut self, call: &mut Call<'_>, order: Order, place: Place, timeout_ms: u64) -> CmdResult {
        let migrations = &mut self.pause.migrations;
        migrations.last += 1;
        let number = migrations.last;
        for key in &order.keys {
            *migrations.held.entry(key.clone()).or_default() += 1;
        }
        let migration = Migration {
            asker: Some(call.id),
            request: Vec::new(),
            row: call.row.id,
            db: self.clients[call.slot].db,
            place,
            order,
            exchange: Exchange::default(),
            link: None,
            patience_us: timeout_ms.saturating_mul(1000),
            progress_us: self.now.mono_us,
            may_retry: true,
            end: None,
        };
        migrations.running.insert(number, migration);
        self.set_gate(gate::MIGRATION, true);
        let waits = !self.is_nested();
        self.attach_link(number, waits);
        if waits {
            return Ok(Outcome::Block(Block { on: BlockOn::Migration, deadline_us: None }));
        }
        self.attend_to(call.host, number);
        let Some(migration) = self.end_migration(number) else { return Ok(Outcome::Done) };
        self.remove_migrated(call.host, call.slot, call.args, call.row, &migration)
    }

    /// Those of the keys at these arguments that are here, each counted as read.
    pub fn keys_that_are_here(&mut self, call: &mut Call<'_>, keys: std::ops::Range<usize>) -> Vec<Bytes> {
        let mut ctx = self.ctx(&mut *call.host, call.slot, call.args, call.row, None);
        let mut found = Vec::new();
        for index in keys {
            let key = ctx.key(index);
            if ctx.read(key).is_some() {
                found.push(ctx.args.bytes(index));
            }
        }
        found
    }

    /// Waits for the end of a migration, and does nothing else meanwhile. The time of the command that runs stands still.
    fn attend_to(&mut self, host: &mut dyn Host, number: u64) {
        let (now, now_ticks) = (self.now, self.ticker.now_ticks);
        while !self.drive_migration(number) {
            let Some(migration) = self.pause.migrations.running.get(&number) else { break };
            let Some(link) = migration.link else { break };
            let due_us = migration.progress_us.saturating_add(migration.patience_us);
            let left_us = due_us.saturating_sub(self.now.mono_us);
            if left_us == 0 {
                self.link_timed_out(link);
            } else {
                host.attend(self, link, left_us.div_ceil(1000).min(ATTEND_MS_MAX));
            }
        }
        // The others could not make progress.
        let spent_us = self.now.mono_us.saturating_sub(now.mono_us);
        for other in self.pause.migrations.running.values_mut() {
            other.progress_us += spent_us;
        }
        (self.now, self.ticker.now_ticks) = (now, now_ticks);
    }

    /// Goes on with the migrations of which there is news.
    #[inline]
    pub(super) fn maintain_migrations(&mut self, host: &mut dyn Host) {
        if self.has_news_of_migrations() {
            for number in std::mem::take(&mut self.pause.migrations.due) {
                if self.drive_migration(number) {
                    self.conclude_migration(host, number);
                }
            }
        }
    }

    /// Whether a migration is to go on at once.
    #[inline]
    pub(super) fn has_news_of_migrations(&self) -> bool {
        !self.pause.migrations.due.is_empty() && !self.durability.is_loading()
    }

    /// Whether keys are on their way.
    pub fn is_migrating(&self) -> bool {
        !self.pause.migrations.running.is_empty()
    }

    /// Sends what there is room for; true when the migration has come to its end.
    fn drive_migration(&mut self, number: u64) -> bool {
        while self.send_next_key(number) {}
        let Some(migration) = self.pause.migrations.running.get_mut(&number) else { return false };
        if migration.link.is_some() && migration.exchange.is_over(&migration.order) {
            migration.end = Some(End::Answered);
        }
        migration.end.is_some()
    }

    /// Sends the next key, if there is one and little waits to be sent. Its payload is made now, so that no more than a few of
    /// them are in memory.
    fn send_next_key(&mut self, number: u64) -> bool {
        let Some(migration) = self.pause.migrations.running.get_mut(&number) else { return false };
        let exchange = &mut migration.exchange;
        let Some(id) = migration.link else { return false };
        let slot = id.slot as usize;
        let Some(client) = self.clients.get_mut(slot).filter(|client| client.handle == id) else {
            return false;
        };
        let out = &mut client.out;
        let index = exchange.next;
        let Some(key) = migration.order.keys.get(index).filter(|_| exchange.takes_keys()) else {
            return false;
        };
        if out.len() >= MIGRATION_BYTES_AHEAD {
            return false;
        }
        exchange.next += 1;
        let db = self.dbs.at(migration.db as usize);
        let Some((handle, deadline)) = db.find_with_deadline(key, db.hash(key)) else { return true };
        let ttl_ms = match deadline {
            None => 0,
            Some(deadline_ms) => match deadline_ms.checked_sub(self.now.unix_ms()) {
                None => return true,
                // 0 would be for ever.
                Some(ttl_ms) => ttl_ms.max(1),
            },
        };
        let payload = rdb::payload(db.value(handle), Options { compress: self.conf.rdbcompression });
        let before = out.appended();
        let count = 4 + usize::from(migration.order.replaces);
        let verb = if self.conf.cluster_enabled { "RESTORE-ASKING" } else { "RESTORE" };
        let ttl = ttl_ms.to_string();
        let tail = out.tail();
        tail.extend_from_slice(format!("*{count}\r\n").as_bytes());
        for word in [verb.as_bytes(), key, ttl.as_bytes()] {
            tail.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            tail.extend_from_slice(word);
            tail.extend_from_slice(b"\r\n");
        }
        tail.extend_from_slice(format!("${}\r\n", payload.len()).as_bytes());
        match payload.len() < SHARED_PAYLOAD_BYTES_MIN {
            true => tail.extend_from_slice(&payload),
            false => out.share(payload.into()),
        }
        out.tail().extend_from_slice(b"\r\n");
        if migration.order.replaces {
            out.tail().extend_from_slice(b"$7\r\nREPLACE\r\n");
        }
        exchange.note_sent(index, out.appended() - before);
        self.queue_output(slot);
        true
    }

    /// A migration is over: its keys are free, its connection is kept if all went well, and the next in line gets one.
    fn end_migration(&mut self, number: u64) -> Option<Migration> {
        let migration = self.pause.migrations.running.remove(&number)?;
        self.pause.migrations.due.remove(&number);
        let held = &mut self.pause.migrations.held;
        for key in &migration.order.keys {
            if let Some(count) = held.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    held.remove(key);
                }
            }
        }
        if self.pause.migrations.running.is_empty() {
            self.set_gate(gate::MIGRATION, false);
        }
        if let Some(link) = migration.link {
            self.rest_link(link, migration.exchange.error.is_none().then_some(migration.order.db));
        }
        self.attach_next();
        self.wake_paused();
        Some(migration)
    }

    /// Ends a migration as the command that it is: removes what the other server has, and replies to its client if that
    /// still waits.
    fn conclude_migration(&mut self, host: &mut dyn Host, number: u64) {
        let Some(migration) = self.end_migration(number) else { return };
        let row = self.table.at(migration.row);
        let waits = |blocked: &Blocked| blocked.block.on == BlockOn::Migration;
        let asker = migration.asker.and_then(|id| self.slot_of(id));
        let asker = asker.filter(|&slot| self.clients[slot].block.as_deref().is_some_and(waits));
        let Some((slot, mut blocked)) = asker.and_then(|slot| Some((slot, self.unblock(slot)?))) else {
            return self.conclude_without_client(host, row, &migration);
        };
        let args = std::mem::take(&mut blocked.args);
        self.lend_buffer(slot);
        // Monitors have seen it when it began.
        self.outermost.rerun = Some(Box::new(blocked));
        self.run_removal(host, slot, Args::Owned(&args), row, &migration);
        self.outermost.rerun = None;
        self.queue_output(slot);
        self.resume(slot);
    }

    /// Whoever asked has left: a client of the engine's own takes its place for the moment.
    fn conclude_without_client(&mut self, host: &mut dyn Host, row: &'static Row, migration: &Migration) {
        let (now, db) = (self.now, migration.db);
        let bits = state::REPLY_OFF | state::AUTHENTICATED;
        let slot =
            self.clients.add_own(|handle, id| Client { state: bits, db, ..Client::new(handle, id, 2, now) });
        self.run_removal(host, slot, Args::Owned(&migration.request), row, migration);
        self.forget_client(slot);
    }

    /// Runs the second half of the command, which no gate stops: the first one has passed them all.
    fn run_removal(
        &mut self,
        host: &mut dyn Host,
        slot: usize,
        args: Args<'_>,
        row: &'static Row,
        migration: &Migration,
    ) {
        self.outermost.last_ticks = host.ticks();
        let client = &self.clients[slot];
        let (id, db, replied) = (client.handle, client.db, client.out.appended());
        let before = self.propagation.begin(&self.dbs);
        let result = self
            .holding_messages(id, |engine| engine.remove_migrated(&mut *host, slot, args, row, migration));
        self.conclude(host, slot, args, Unfinished { row, db, before, replied, result });
    }

    /// Removes the keys that the other server has, and replies.
    fn remove_migrated(
        &mut self,
        host: &mut dyn Host,
        slot: usize,
        args: Args<'_>,
        row: &'static Row,
        migration: &Migration,
    ) -> CmdResult {
        let mut ctx = self.ctx(host, slot, args, row, None);
        let Migration { order, exchange, .. } = migration;
        let mut frame: Vec<&[u8]> = vec![b"DEL"];
        for &index in exchange.acked.iter().filter(|_| !order.keeps) {
            let key = ctx.key_of(&order.keys[index as usize]);
            if ctx.peek(key).is_some() {
                ctx.remove(key);
                ctx.notify(EventClass::Generic, "del", key.bytes);
                frame.push(key.bytes);
            }
        }
        if frame.len() > 1 {
            ctx.changed(frame.len() as u64 - 1);
            ctx.propagate_as(&frame);
        }
        if let Some(error) = &exchange.error {
            return Err(CmdError::err(format!("Target instance replied with error: {error}")));
        }
        match migration.end {
            Some(End::Answered) | None => {
                ctx.reply.ok();
                Ok(Outcome::Done)
            }
            Some(End::NotConnected) => {
                Err(CmdError::coded("IOERR error or timeout connecting to the client"))
            }
            Some(End::Unsent) => Err(CmdError::coded("IOERR error or timeout writing to target instance")),
            Some(End::Unanswered) => {
                Err(CmdError::coded("IOERR error or timeout reading to target instance"))
            }
        }
    }

    /// A client that waited for a migration has left.
    pub(super) fn leave_migration(&mut self, id: ClientId, blocked: Blocked) {
        let left = self.pause.migrations.running.values_mut().find(|m| m.asker == Some(id));
        if let Some(migration) = left.filter(|_| blocked.block.on == BlockOn::Migration) {
            (migration.asker, migration.request) = (None, blocked.args);
        }
    }

    /// Gives all migrations up: the dataset is another server's from now on.
    pub(super) fn give_migrations_up(&mut self) {
        self.pause.migrations.in_line.clear();
        for (_, migration) in std::mem::take(&mut self.pause.migrations.running) {
            if let Some(link) = migration.link {
                self.drop_link(link);
            }
        }
        let migrations = &mut self.pause.migrations;
        (migrations.held, migrations.due) = (BTreeMap::new(), BTreeSet::new());
        self.set_gate(gate::MIGRATION, false);
        self.wake_paused();
    }
}

/// Who waits for keys that are on their way.
impl Engine {
    /// Whether a request has to wait since it may touch a key that is held. What EXEC runs counts with it; what is queued
    /// for EXEC does not wait by itself.
    pub(super) fn waits_for_migration(&self, slot: usize, row: &Row, args: Args<'_>) -> bool {
        if self.clients[slot].is(state::MULTI) && !row.has(flag::RUNS_IN_MULTI) {
            return false;
        }
        if row.has(flag::RUNS_QUEUE) {
            let queue = self.clients[slot].transaction.as_ref();
            return queue.is_some_and(|queue| {
                queue.requests().any(|(row, args)| self.may_touch_held(slot, self.table.at(row), args))
            });
        }
        self.may_touch_held(slot, row, args)
    }

    /// Whether a request names a key that is held, or may change one without naming it: a script may, and what works on
    /// whole databases does. The same name in another database counts: MOVE and COPY name only one of theirs.
    fn may_touch_held(&self, slot: usize, row: &Row, args: Args<'_>) -> bool {
        let runs_others = row.spec.flags_of.is_some();
        if runs_others && self.flags_of(slot, row, args) & (flag::WRITE | flag::MAY_REPLICATE) != 0 {
            return true;
        }
        if !may_have_keys(row) {
            return row.has(flag::WRITE);
        }
        let held = &self.pause.migrations.held;
        all_keys_of(row, args).iter().any(|at| held.contains_key(args.at(at.index)))
    }
}
