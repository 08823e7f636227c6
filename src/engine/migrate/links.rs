//! Connections to other servers by which keys go there.
//!
//! A connection that was used is kept for [`LINK_KEPT_MS`] milliseconds, one for each name and port, [`LINKS_MAX`] at most;
//! so the next migration need neither connect nor select a database. One that dies while it is kept is forgotten at once, and
//! so is one that says something unasked.

use super::super::client::{Address, Client, state};
use super::super::timers::Timer;
use super::super::{Engine, Job};
use super::exchange::Exchange;
use super::{End, Place};
use crate::base::id::ClientId;
use crate::base::limit::{LINK_KEPT_MS, LINKS_MAX};
use crate::structures::wheel::TimerId;

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    /// The client that stands for it.
    id: ClientId,
    place: Place,
    is_connected: bool,
    /// The database that is selected there, as far as that is known.
    db: Option<i64>,
    /// The migration that uses it.
    migration: Option<u64>,
    /// When it was last used, in monotonic microseconds.
    used_us: u64,
    /// When it has to be looked at.
    timer: Option<TimerId>,
}

impl Engine {
    fn link_mut(&mut self, id: ClientId) -> Option<&mut Link> {
        self.pause.migrations.links.iter_mut().find(|link| link.id == id)
    }

    /// Gives a migration a connection: one that is kept, or a new one. Where there are too many it waits in line, if it can.
    pub(super) fn attach_link(&mut self, number: u64, may_wait: bool) {
        let Some(migration) = self.pause.migrations.running.get(&number) else { return };
        let place = migration.place.clone();
        let kept = |link: &&mut Link| link.migration.is_none() && link.is_connected && link.place == place;
        if let Some(link) = self.pause.migrations.links.iter_mut().find(kept) {
            let id = link.id;
            link.migration = Some(number);
            self.use_link(id, number);
            return self.greet(id, number);
        }
        if self.pause.migrations.links.len() >= LINKS_MAX {
            let idle = self.pause.migrations.links.iter().filter(|link| link.migration.is_none());
            match idle.min_by_key(|link| link.used_us).map(|link| link.id) {
                Some(oldest) => self.drop_link(oldest),
                None if may_wait => return self.pause.migrations.in_line.push_back(number),
                None => {}
            }
        }
        self.open_link(number, place);
    }

    /// The next in line gets a connection that became free.
    pub(super) fn attach_next(&mut self) {
        if let Some(number) = self.pause.migrations.in_line.pop_front() {
            self.attach_link(number, true);
        }
    }

    /// Begins to connect.
    fn open_link(&mut self, number: u64, place: Place) {
        let now = self.now;
        let bits = state::PRIMARY | state::REPLY_OFF | state::AUTHENTICATED;
        let slot =
            self.clients.add_own(|handle, id| Client { state: bits, ..Client::new(handle, id, 2, now) });
        let id = self.clients[slot].handle;
        let Place { host, port } = place.clone();
        self.jobs.queue.push_back(Job::Connect { id, host, port, source: String::new() });
        self.pause.migrations.links.push(Link {
            id,
            place,
            is_connected: false,
            db: None,
            migration: Some(number),
            used_us: now.mono_us,
            timer: None,
        });
        self.use_link(id, number);
    }

    /// A migration uses a connection from now on.
    fn use_link(&mut self, id: ClientId, number: u64) {
        let now_us = self.now.mono_us;
        let Some(migration) = self.pause.migrations.running.get_mut(&number) else { return };
        (migration.link, migration.progress_us, migration.exchange) = (Some(id), now_us, Exchange::default());
        let due_us = now_us.saturating_add(migration.patience_us);
        self.arm_link(id, due_us);
    }

    /// The connection is to be looked at, at this monotonic microsecond.
    fn arm_link(&mut self, id: ClientId, due_us: u64) {
        let timer = self.timers.insert(due_us.div_ceil(1000), Timer::Link(id));
        let before = self.link_mut(id).and_then(|link| link.timer.replace(timer));
        if let Some(before) = before {
            self.timers.cancel(before);
        }
    }

    /// Says what comes before the keys.
    fn greet(&mut self, id: ClientId, number: u64) {
        let Some(slot) = self.slot_of(id) else { return };
        let selected = self.link_mut(id).and_then(|link| link.db);
        self.give_buffer(slot);
        let Some(migration) = self.pause.migrations.running.get_mut(&number) else { return };
        let db = Some(migration.order.db).filter(|db| selected != Some(*db));
        let login = migration.order.login.as_ref();
        migration.exchange = Exchange::begin(login, db, self.clients[slot].out.tail());
        self.pause.migrations.due.insert(number);
        if !self.clients[slot].out.is_empty() {
            self.queue_output(slot);
        }
    }

    /// A migration needs its connection no more; `db` is selected there if that is known.
    pub(super) fn rest_link(&mut self, id: ClientId, db: Option<i64>) {
        let now_us = self.now.mono_us;
        let Some(link) = self.link_mut(id) else { return };
        (link.migration, link.db, link.used_us) = (None, db, now_us);
        let place = link.place.clone();
        let is_kept = |link: &&Link| link.id != id && link.migration.is_none() && link.place == place;
        let links = &self.pause.migrations.links;
        if links.len() > LINKS_MAX || links.iter().any(|link| is_kept(&link)) {
            return self.drop_link(id);
        }
        self.arm_link(id, now_us + LINK_KEPT_MS * 1000);
    }

    /// Closes a connection, of which nobody is told.
    pub(super) fn drop_link(&mut self, id: ClientId) {
        self.take_link(id);
        if let Some(slot) = self.slot_of(id) {
            self.close_soon(slot);
        }
    }

    fn take_link(&mut self, id: ClientId) -> Option<Link> {
        let links = &mut self.pause.migrations.links;
        let at = links.iter().position(|link| link.id == id)?;
        let link = links.swap_remove(at);
        if let Some(timer) = link.timer {
            self.timers.cancel(timer);
        }
        Some(link)
    }

    /// The connection is there.
    pub(in crate::engine) fn link_connected(&mut self, slot: usize, peer: Address, local: Address, fd: i32) {
        let now_us = self.now.mono_us;
        let client = &mut self.clients[slot];
        (client.peer, client.local, client.fd) = (peer, local, fd);
        let id = client.handle;
        let Some(link) = self.link_mut(id) else { return };
        link.is_connected = true;
        let Some(number) = link.migration else { return };
        if let Some(migration) = self.pause.migrations.running.get_mut(&number) {
            migration.progress_us = now_us;
        }
        self.greet(id, number);
    }

    /// The connection cannot be had: nobody could be asked, or, if it `was_tried`, nobody has answered there. Redis takes the
    /// latter for a connection that fails at the first byte, and tries it once more.
    pub(in crate::engine) fn link_refused(&mut self, id: ClientId, was_tried: bool) {
        if let Some(link) = self.link_mut(id) {
            link.is_connected = was_tried;
            self.link_lost(id);
        }
        if let Some(slot) = self.slot_of(id) {
            self.close_soon(slot);
        }
    }

    /// Bytes came from the other server.
    pub(in crate::engine) fn heard_by_link(&mut self, slot: usize, bytes: &[u8]) {
        let (id, now_us) = (self.clients[slot].handle, self.now.mono_us);
        let Some(number) = self.link_mut(id).and_then(|link| link.migration) else {
            return self.drop_link(id);
        };
        let Some(migration) = self.pause.migrations.running.get_mut(&number) else { return };
        migration.progress_us = now_us;
        self.pause.migrations.due.insert(number);
        if migration.exchange.feed(bytes).is_err() {
            // Whoever answers so would answer so again.
            migration.may_retry = false;
            self.link_lost(id);
            self.close_soon(slot);
        }
    }

    /// The socket has taken some bytes: there is room for more.
    pub(in crate::engine) fn sent_by_link(&mut self, id: ClientId, bytes: usize) {
        let now_us = self.now.mono_us;
        let Some(number) = self.link_mut(id).and_then(|link| link.migration) else { return };
        let Some(migration) = self.pause.migrations.running.get_mut(&number) else { return };
        migration.progress_us = now_us;
        migration.exchange.note_taken(bytes);
        self.pause.migrations.due.insert(number);
    }

    /// The connection is gone. What it was used for begins again on a new one, once, if nothing was answered yet.
    pub(in crate::engine) fn link_lost(&mut self, id: ClientId) {
        let Some(link) = self.take_link(id) else { return };
        let Some(number) = link.migration else { return };
        let Some(migration) = self.pause.migrations.running.get_mut(&number) else { return };
        migration.link = None;
        self.pause.migrations.due.insert(number);
        if !link.is_connected {
            migration.end = Some(End::NotConnected);
        } else if migration.exchange.is_over(&migration.order) {
            migration.end = Some(End::Answered);
        } else if migration.may_retry && migration.exchange.may_begin_again() {
            migration.may_retry = false;
            self.open_link(number, link.place);
        } else {
            migration.end = Some(migration.end_of_loss());
        }
    }

    /// It is time to look at a connection: whether nothing was heard for too long, or it was kept for long enough.
    pub(in crate::engine) fn look_at_link(&mut self, id: ClientId) {
        let now_us = self.now.mono_us;
        let Some(link) = self.link_mut(id) else { return };
        link.timer = None;
        let Some(number) = link.migration else { return self.drop_link(id) };
        let Some(migration) = self.pause.migrations.running.get(&number) else { return };
        let due_us = migration.progress_us.saturating_add(migration.patience_us);
        match due_us <= now_us {
            true => self.link_timed_out(id),
            false => self.arm_link(id, due_us),
        }
    }

    /// Nothing was sent or heard for too long.
    pub(super) fn link_timed_out(&mut self, id: ClientId) {
        let Some(link) = self.link_mut(id) else { return };
        let (is_connected, number) = (link.is_connected, link.migration);
        let running = &mut self.pause.migrations.running;
        if let Some((number, migration)) = number.and_then(|number| Some((number, running.get_mut(&number)?)))
        {
            let end = if is_connected { migration.end_of_loss() } else { End::NotConnected };
            (migration.link, migration.end) = (None, Some(end));
            self.pause.migrations.due.insert(number);
        }
        self.drop_link(id);
    }
}

impl super::Migration {
    /// How it ends when its connection is lost.
    fn end_of_loss(&self) -> End {
        if self.exchange.is_sending(&self.order) { End::Unsent } else { End::Unanswered }
    }
}
