//! Connections come and go.

use super::client::{Address, Client, state};
use super::transaction::Transaction;
use super::{Engine, Host};
use crate::base::id::ClientId;
use std::fmt::Write;

/// What a connection hears that is one too many.
pub const TOO_MANY_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

/// What a connection from elsewhere hears while nobody has set a password or an address.
pub const PROTECTED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no \
password is set for the default user. In this mode connections are only accepted from the loopback interface. If you \
want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable \
protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis \
from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do \
so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by \
editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. \
3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Set up an \
authentication password for the default user. NOTE: You only need to do one of the above things in order for the \
server to start accepting connections from the outside.\r\n";

impl Engine {
    /// A connection came.
    ///
    /// # Errors
    ///
    /// What it is to be sent before it is closed, when it may not stay.
    pub fn accept(&mut self, peer: Address, local: Address, fd: i32) -> Result<ClientId, &'static [u8]> {
        if self.clients.len() >= self.conf.maxclients as usize {
            self.stats.rejected_connections += 1;
            return Err(TOO_MANY_CLIENTS);
        }
        if self.conf.protected_mode && self.acl.users.default_user().is_open() && !is_loopback(&peer) {
            self.stats.rejected_connections += 1;
            return Err(PROTECTED);
        }
        let mut bits = 0;
        if peer == Address::Unix {
            bits |= state::UNIX;
        }
        let (resp, now) = (self.conf.client_default_resp as u8, self.now);
        let slot = self.clients.add(|handle, id| Client {
            state: bits,
            peer,
            local,
            fd,
            ..Client::new(handle, id, resp, now)
        });
        let handle = self.clients[slot].handle;
        self.clients[slot].out.copy_all(self.switches.replies_are_copies);
        self.become_default_user(slot);
        self.stats.total_connections_received += 1;
        self.arm_idle_timer(handle);
        self.note_weight(slot);
        Ok(handle)
    }

    /// The other end will send no more. What it sent is answered, then the connection goes.
    pub fn half_closed(&mut self, id: ClientId) {
        let Some(slot) = self.slot_of(id) else { return };
        self.note_silent_end(slot);
        let client = &mut self.clients[slot];
        client.set(state::HALF_CLOSED, true);
        if client.is(state::RUNNABLE) && !client.is(state::CLOSE_ASAP) {
            return;
        }
        if client.out.is_empty() || client.is(state::BLOCKED | state::REPLICA | state::PRIMARY) {
            self.close_soon(slot);
        } else {
            client.set(state::CLOSE_AFTER_REPLY, true);
        }
    }

    /// The connection is gone.
    pub fn closed(&mut self, host: &mut dyn Host, id: ClientId) {
        let Some(slot) = self.slot_of(id) else { return };
        if !self.clients[slot].is(state::CLOSE_ASAP) {
            self.note_silent_end(slot);
        }
        self.forget_client(slot);
        if self.upkeep.give_back.has_fallen(host.allocated_bytes()) {
            // Somebody has to see what it held, and give it back.
            self.note_traffic();
        }
    }

    /// Forgets a client and all that it waited for, listened to or watched.
    pub(super) fn forget_client(&mut self, slot: usize) {
        let id = self.clients[slot].handle;
        self.unsubscribe_all(id);
        self.track_no_longer(slot);
        self.unwatch(slot);
        self.forget_replica(slot);
        if self.clients[slot].carries_keys() {
            self.link_lost(id);
        } else if self.clients[slot].is(state::PRIMARY) {
            self.forget_link(slot);
        }
        if self.clients[slot].is(state::MONITOR) {
            self.remove_monitor(id);
        }
        // What follows from a job that it waited for follows all the same.
        if let Some(blocked) = self.unblock(slot) {
            self.leave_migration(id, blocked);
        }
        self.forget_weight(slot);
        self.clients.remove(slot);
    }

    /// Another client asked for the end of this connection: from now on it takes nothing and hears nothing. Only a client
    /// whose own command lets others speak stays until that command is over.
    pub fn kill(&mut self, slot: usize) {
        self.close_soon(slot);
        if self.busy_client() != Some(self.clients[slot].handle) {
            self.forget_client(slot);
        }
    }

    /// Whether a client runs on this machine.
    pub fn is_local(&self, slot: usize) -> bool {
        is_loopback(&self.clients[slot].peer)
    }

    /// Address of the other end, as CLIENT LIST shows it.
    pub fn peer_text(&self, slot: usize) -> String {
        self.address_text(&self.clients[slot].peer)
    }

    /// Address of this end, as CLIENT LIST shows it.
    pub fn local_text(&self, slot: usize) -> String {
        self.address_text(&self.clients[slot].local)
    }

    fn address_text(&self, address: &Address) -> String {
        match address {
            Address::Ip(ip) => ip.to_string(),
            Address::Unix => format!("{}:0", self.conf.unixsocket),
            Address::None => String::new(),
        }
    }

    /// The line of CLIENT LIST and CLIENT INFO, without its end.
    pub fn describe_client(&self, slot: usize) -> String {
        self.describe_running(slot, 0)
    }

    /// As [`Engine::describe_client`], of a client whose request of so many bytes is running.
    pub fn describe_running(&self, slot: usize, running_bytes: usize) -> String {
        let client = &self.clients[slot];
        let now_us = self.now.mono_us;
        let seconds = |since: u64| now_us.saturating_sub(since) / 1_000_000;
        let none = super::pubsub::Subscriptions::default();
        let subscriptions = client.subscriptions.as_deref().unwrap_or(&none);
        let inbox_used = client.inbox.len() + running_bytes;
        let inbox_free = client.inbox.bytes.capacity().saturating_sub(client.inbox.bytes.len());
        let argv = client.block.as_ref().map_or(0, |b| b.args.iter().map(|a| a.len()).sum::<usize>());
        let command = match client.last_row {
            0 => "NULL",
            row => self.table.at(row - 1).full_name,
        };
        let transaction = client.transaction.as_deref();
        let queued = match client.is(state::MULTI) {
            true => transaction.map_or(0, Transaction::len) as i64,
            false => -1,
        };
        let (feed_bytes, feed_chunks) = self.feed_ahead(slot);
        // What comes from the primary is nobody's: no rule holds for it.
        let user = match client.is(state::PRIMARY) {
            true => "(superuser)".into(),
            false => String::from_utf8_lossy(&self.acl.users.get(client.user).name),
        };
        let empty = super::client::Labels::default();
        let labels = client.labels.as_deref().unwrap_or(&empty);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut line = String::with_capacity(320);
        // Writing to a string cannot fail.
        let _ = write!(
            line,
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} \
             watch={} qbuf={} qbuf-free={} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll={} omem={} tot-mem={} \
             events={} cmd={} user={} redir={} resp={} lib-name={} lib-ver={} io-thread=0 tot-net-in={} \
             tot-net-out={} tot-cmds={}",
            client.id,
            self.peer_text(slot),
            self.local_text(slot),
            client.fd,
            text(&labels.name),
            seconds(client.since_us),
            seconds(client.active_us),
            flag_letters(client),
            client.db,
            subscriptions.channels.len(),
            subscriptions.patterns.len(),
            subscriptions.shards.len(),
            queued,
            transaction.map_or(0, Transaction::watched),
            inbox_used,
            inbox_free,
            argv,
            transaction.map_or(0, Transaction::argument_bytes),
            client.reply_peak.size,
            client.reply_peak.peak,
            client.out.open_bytes(),
            client.out.pieces() + feed_chunks,
            client.out.piece_bytes() + feed_bytes,
            client.memory_bytes() + feed_bytes,
            if client.out.is_empty() && feed_bytes == 0 { "r" } else { "rw" },
            command,
            user,
            client.tracker.as_ref().map_or(-1, |t| t.mode.redirect as i64),
            client.resp,
            text(&labels.lib_name),
            text(&labels.lib_ver),
            client.bytes_in,
            client.bytes_out,
            client.commands,
        );
        line
    }
}

/// The `flags` of CLIENT LIST.
pub fn flag_letters(client: &Client) -> String {
    let letters = [
        (state::REPLICA, 'S'),
        (state::PRIMARY, 'M'),
        (state::MONITOR, 'O'),
        (state::PUBSUB, 'P'),
        (state::MULTI, 'x'),
        (state::BLOCKED, 'b'),
        (state::TRACKING, 't'),
        (state::TRACKING_BROKEN, 'R'),
        (state::TRACKING_BCAST, 'B'),
        (state::DIRTY_CAS, 'd'),
        (state::CLOSE_AFTER_REPLY, 'c'),
        (state::CLOSE_ASAP, 'A'),
        (state::UNIX, 'U'),
        (state::NO_EVICT, 'e'),
        (state::NO_TOUCH, 'T'),
        (state::IMPORT_SOURCE, 'I'),
    ];
    let shown: Vec<char> =
        letters.iter().filter(|(bit, _)| client.is(*bit)).map(|(_, letter)| *letter).collect();
    let shown: String = shown.into_iter().chain(client.reads_replica.then_some('r')).collect();
    if shown.is_empty() { "N".to_owned() } else { shown }
}

fn is_loopback(address: &Address) -> bool {
    match address {
        Address::Ip(ip) => ip.ip().to_canonical().is_loopback(),
        Address::Unix | Address::None => true,
    }
}
