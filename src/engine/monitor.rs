//! MONITOR: every command, as it runs, to whoever asked for it.

use super::client::{Address, state};
use super::listeners::after;
use super::slowlog::without_secrets;
use super::table::Row;
use super::{Call, Engine};
use crate::base::id::ClientId;
use crate::base::quote::repr;
use crate::resp::Args;
use bytes::Bytes;

impl Engine {
    /// Makes a client a monitor; false when it was one.
    pub fn add_monitor(&mut self, id: ClientId) -> bool {
        match self.client_mut(id) {
            Some(client) if !client.is(state::MONITOR) => client.set(state::MONITOR, true),
            _ => return false,
        }
        self.listeners.monitors.push(id);
        self.listeners.set_after(after::MONITORS, true);
        true
    }

    /// Tells the monitors of a script or function before it is looked for, so that the commands in it come after it.
    pub(super) fn announce(&mut self, call: &Call<'_>) {
        if !self.listeners.monitors.is_empty() {
            self.feed_monitors(call.slot, call.row, call.args);
        }
    }

    /// A monitor that was reset, or is going, is one no longer.
    pub fn remove_monitor(&mut self, id: ClientId) {
        self.listeners.monitors.retain(|&m| m != id);
        self.listeners.set_after(after::MONITORS, !self.listeners.monitors.is_empty());
        if let Some(client) = self.client_mut(id) {
            client.set(state::MONITOR, false);
        }
    }

    /// Clients that watch all commands.
    pub fn monitors(&self) -> usize {
        self.listeners.monitors.len()
    }

    /// Tells the monitors of a command and of the database that its client has selected now.
    #[cold]
    pub(super) fn feed_monitors(&mut self, slot: usize, row: &Row, args: Args<'_>) {
        let us = self.now.unix_us;
        let client = &self.clients[slot];
        if client.replays_log() {
            return;
        }
        let from = match &client.peer {
            _ if self.outermost.nesting.script => "lua".to_owned(),
            Address::Unix => format!("unix:{}", self.conf.unixsocket),
            _ => self.peer_text(slot),
        };
        let mut line = format!("+{}.{:06} [{} {}]", us / 1_000_000, us % 1_000_000, client.db, from);
        let public = without_secrets(row, args);
        let args = public.as_deref().map_or(args, Args::Owned);
        for arg in args.iter_from(0) {
            line.push(' ');
            line.push_str(&repr(arg));
        }
        line.push_str("\r\n");
        let line = Bytes::from(line);
        for id in self.listeners.monitors.clone() {
            self.send(id, &line);
        }
    }
}
