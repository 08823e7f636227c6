//! What follows from a command when it is done: those who asked are told what happened to the keys, and those who wait
//! for a key get their turn.
//!
//! Settling runs after the outermost command, but for what is told before a message that is published within it, and loops
//! until all is quiet: a client that waited runs its command again, and from that more may follow.

use super::admission::gate;
use super::waiters::Waiter;
use super::{Engine, Host};
use crate::base::id::ClientId;
use crate::keyspace::Type;
use crate::keyspace::db::is_past;
use crate::keyspace::event::{EventClass, KEYEVENT, KEYSPACE};
use bytes::Bytes;
use std::collections::VecDeque;

impl Engine {
    /// Publishes the events that rose from a command of `actor`, if it was one, and serves the keys that became ready.
    #[cold]
    pub(super) fn settle(&mut self, host: &mut dyn Host, actor: Option<ClientId>) {
        if self.outermost.is_settling {
            return;
        }
        self.outermost.is_settling = true;
        loop {
            self.publish_events(actor, false);
            // Who waits for a key would be told LOADING, or BUSY: it looks when the dataset is there, or the script over.
            if self.gates & (gate::LOADING | gate::BUSY) != 0 {
                break;
            }
            let Some((db, key, waiters)) = self.listeners.waiters.take_ready() else { break };
            self.serve_key(host, db, key, waiters);
        }
        self.outermost.is_settling = false;
        self.listeners.note_news();
    }

    /// Tells what has risen until now, in the middle of a transaction or a script: a message that it publishes comes after
    /// the events of what it did before.
    pub fn tell_what_rose(&mut self, actor: ClientId) {
        if self.listeners.is_to_tell() {
            self.publish_events(Some(actor), true);
        }
    }

    /// Tells those who asked what a command of `actor` has done; it `goes_on`, or is done.
    fn publish_events(&mut self, actor: Option<ClientId>, goes_on: bool) {
        if self.listeners.tracking.has_changes() {
            self.tell_trackers(actor, goes_on);
        }
        self.tell_of_swaps();
        for event in std::mem::take(&mut self.listeners.news.events) {
            if event.class.is_change() {
                self.touch_watched(event.db, &event.key, event.class == EventClass::Expired);
            }
            if event.channels & KEYSPACE != 0 {
                let channel = [format!("__keyspace@{}__:", event.db).as_bytes(), &event.key].concat();
                self.publish(&channel, event.name.as_bytes());
            }
            if event.channels & KEYEVENT != 0 {
                let channel = format!("__keyevent@{}__:{}", event.db, event.name);
                self.publish(channel.as_bytes(), &event.key);
            }
        }
    }

    /// Those who watch keys of databases that changed places are told.
    pub(super) fn tell_of_swaps(&mut self) {
        for (one, other) in std::mem::take(&mut self.listeners.news.swaps) {
            self.touch_swapped(one, other);
        }
    }

    /// Lets those who wait for a key run their command again, oldest first, while the key has something for them.
    fn serve_key(&mut self, host: &mut dyn Host, db: u32, key: Bytes, mut waiters: VecDeque<Waiter>) {
        let mut kept = Vec::new();
        let mut some_want_it_gone = true;
        while let Some(waiter) = waiters.pop_front() {
            if !self.listeners.waiters.is_waiting(waiter.ticket) {
                continue;
            }
            let found = self.type_at(db, &key);
            if found == Some(waiter.wants) || waiter.on_missing {
                self.run_again(host, waiter.client, waiter.ticket);
                // What it caused is told before the next client's turn.
                self.publish_events(Some(waiter.client), false);
            }
            if self.listeners.waiters.is_waiting(waiter.ticket) {
                kept.push(waiter);
            }
            if found.is_none() && some_want_it_gone {
                some_want_it_gone = waiters.iter().any(|w| w.on_missing);
            }
            if found.is_none() && !some_want_it_gone {
                break;
            }
        }
        for waiter in kept.into_iter().rev() {
            waiters.push_front(waiter);
        }
        self.listeners.waiters.put_back(db, key, waiters);
    }

    /// The type of the value of a key that has not expired.
    fn type_at(&self, db: u32, key: &[u8]) -> Option<Type> {
        let db = self.dbs.at(db as usize);
        let (handle, deadline) = db.find_with_deadline(key, db.hash(key))?;
        let is_expired = deadline.is_some_and(|ms| is_past(ms, self.now.unix_ms()));
        (!is_expired).then(|| db.value(handle).type_of())
    }
}
