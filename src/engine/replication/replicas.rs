//! Replicas of this server: clients that get the feed.
//!
//! A replica says what it is by REPLCONF, and asks for the feed by PSYNC. If what it lacks is still kept it goes on there,
//! otherwise it is sent a dump (see [`super::sync`]):
//!
//! ```text
//! Greeting --PSYNC--> Online                       what it lacks is kept
//!          --PSYNC--> Waiting --> Saving ---> Sending -----------> Online    a file and its length
//!                                        \-------------> Proving --> Online  straight from the walk, with a mark at its end
//! ```
//!
//! What it is sent lies in its output first, then in the feed from its position on. Where the dump ends with a mark nothing may
//! follow before it says that it has it, since it looks for the mark at the end of what it reads.

use super::super::client::{Client, state};
use super::super::disk::{FileId, FolderId};
use super::super::durability::Mode;
use super::super::error::CmdError;
use super::super::{Engine, Host, Job};
use crate::base::id::ClientId;
use crate::config::OutputLimit;
use crate::replication::feed::Feed;

/// How far a replica is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// It has said something about itself.
    #[default]
    Greeting,
    /// It waits for a dump that is not begun.
    Waiting,
    /// The dump is being made; where it goes straight to the replica, it is being sent.
    Saving,
    /// The file of the dump is being sent.
    Sending,
    /// It was sent the dump and has not said that it has it.
    Proving,
    /// It gets the feed.
    Online,
}

impl Stage {
    /// Whether it has its dump, as INFO sees it.
    pub fn is_online(self) -> bool {
        matches!(self, Stage::Proving | Stage::Online)
    }

    /// What INFO calls it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Greeting | Stage::Waiting | Stage::Saving => "wait_bgsave",
            Stage::Sending => "send_bulk",
            Stage::Proving | Stage::Online => "online",
        }
    }
}

/// What of the dataset a replica wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The keys.
    pub keys: bool,
    /// The libraries of functions.
    pub functions: bool,
}

impl Default for Filter {
    fn default() -> Filter {
        Filter { keys: true, functions: true }
    }
}

/// A file that is sent to a replica.
#[derive(Debug)]
pub(super) struct Sending {
    pub folder: FolderId,
    pub file: FileId,
    /// Bytes that were not read.
    pub left: u64,
    /// A piece was asked for.
    pub is_reading: bool,
}

/// A replica, or a client that is going to be one.
#[derive(Debug, Default)]
pub struct Replica {
    /// How far it is.
    pub stage: Stage,
    /// The port on which it listens; 0 where it has not said so.
    pub port: u16,
    /// The address that it gave; empty without one.
    pub address: String,
    /// It understands a dump that ends with a mark.
    pub takes_mark: bool,
    /// It understands a change of the history.
    pub takes_new_id: bool,
    /// It understands what streams remember of their producers.
    pub takes_idempotence: bool,
    /// It is a Valkey of this version, as Valkey counts.
    pub valkey_version: Option<u32>,
    /// What it wants.
    pub filter: Filter,
    /// It wants the dump and nothing after it.
    pub only_dump: bool,
    /// It came by SYNC: it is told neither history nor offset, and says nothing.
    pub is_old: bool,
    /// What it gets next of the feed.
    pub position: u64,
    /// The offset of the dump that it was promised.
    pub(super) dump_offset: u64,
    /// So far it has the feed, as it said.
    pub acked: u64,
    /// So far its log is durable.
    pub acked_log: u64,
    /// When it last said something, in monotonic microseconds.
    pub heard_us: u64,
    /// When it asked for a dump, in monotonic microseconds.
    pub asked_us: u64,
    /// It was sent a dump, as a whole.
    pub(super) got_dump: bool,
    /// It has said how far it is.
    pub(super) has_acked: bool,
    /// Bytes of its output that are no reply to what it sent.
    pub told: u64,
    pub(super) sending: Option<Sending>,
}

impl Replica {
    /// What of the feed has to stay for it.
    pub(super) fn wanted(&self) -> Option<u64> {
        match self.stage {
            Stage::Greeting | Stage::Waiting => None,
            _ if self.only_dump => None,
            _ => Some(self.position),
        }
    }
}

/// Looking at them.
impl Engine {
    /// What is known of a client as a replica.
    pub fn replica_of(&self, id: ClientId) -> Option<&Replica> {
        self.client(id)?.replica.as_deref()
    }

    /// As [`Engine::replica_of`], to change.
    pub fn replica_mut(&mut self, slot: usize) -> &mut Replica {
        self.clients[slot].replica.get_or_insert_default()
    }

    /// The feed, and from where to where a replica may be sent it; none while there is nothing.
    pub(in crate::engine) fn feed_for(&self, client: &Client) -> Option<(&Feed, u64, u64)> {
        let replica = client.replica.as_deref().filter(|replica| replica.stage == Stage::Online)?;
        let (from, end) = (replica.position, self.feed_end_for_replicas());
        (from < end && !replica.only_dump).then_some((&self.replication.feed, from, end))
    }

    /// Where the feed ends for replicas. With `appendfsync always` they get what is durable: what this server may lose nobody
    /// else has.
    fn feed_end_for_replicas(&self) -> u64 {
        let end = self.replication.feed.end();
        match self.durability.gate.mode() {
            Mode::All if !self.durability.log.is_durable() => self.replication.durable.min(end),
            _ => end,
        }
    }

    /// Bytes that wait for a replica, in its output and in the feed.
    pub fn replica_lag_bytes(&self, slot: usize) -> u64 {
        let client = &self.clients[slot];
        let out = client.out.len() as u64;
        let wanted = client.replica.as_deref().and_then(Replica::wanted);
        wanted.map_or(out, |position| out + self.feed_end_for_replicas().saturating_sub(position))
    }

    /// What waits for a replica in the feed: bytes, and chunks in which they lie. Others may wait for the same.
    pub fn feed_ahead(&self, slot: usize) -> (usize, usize) {
        let feed = &self.replication.feed;
        let wanted = self.clients[slot].replica.as_deref().and_then(Replica::wanted);
        wanted.map_or((0, 0), |from| (feed.end().saturating_sub(from) as usize, feed.chunks_from(from)))
    }

    /// The address and port of a replica, as it gave them or as they are.
    pub fn replica_address(&self, slot: usize) -> (String, u16) {
        let client = &self.clients[slot];
        let replica = client.replica.as_deref();
        let peer = self.peer_text(slot);
        let (host, port) = peer.rsplit_once(':').unwrap_or((&peer, "0"));
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let given = replica.map_or("", |replica| &replica.address);
        let address = if given.is_empty() { host } else { given.to_owned() };
        match replica.map_or(0, |replica| replica.port) {
            0 => (address, port.parse().unwrap_or(0)),
            port => (address, port),
        }
    }

    /// What the log calls a replica. Redis: `replicationGetSlaveName`.
    pub fn replica_name(&self, slot: usize) -> String {
        let (address, port) = self.replica_address(slot);
        match self.clients[slot].replica.as_deref().map_or(0, |replica| replica.port) {
            0 => format!("{address}:<unknown-replica-port>"),
            _ => format!("{address}:{port}"),
        }
    }

    /// Replicas as INFO and ROLE show them: address, port, and what is known of each.
    pub fn shown_replicas(&self) -> impl Iterator<Item = (String, u16, &Replica)> {
        self.replication.replicas.iter().filter_map(|&id| {
            let (address, port) = self.replica_address(self.slot_of(id)?);
            Some((address, port, self.replica_of(id)?))
        })
    }

    /// Bytes of the feed that are kept for replicas only, beyond the backlog.
    pub fn feed_bytes_beyond_backlog(&self) -> usize {
        match self.replication.replicas.is_empty() {
            true => 0,
            false => {
                let backlog = self.conf.repl_backlog_size_bytes as usize;
                self.replication.feed.heap_bytes().saturating_sub(backlog)
            }
        }
    }

    /// Bytes that are in use and do not count for `maxmemory`, or eviction would feed replicas, which take memory, and so on; those
    /// that [`Engine::used_memory`] leaves out are not among them.
    pub fn bytes_not_for_eviction(&self) -> usize {
        self.feed_bytes_beyond_backlog() + self.durability.log.unwritten_bytes() as usize
    }

    /// Memory of the clients that are replicas, in bytes.
    pub fn replica_clients_bytes(&self) -> usize {
        let replicas = self.replication.replicas.iter().filter_map(|&id| self.client(id));
        replicas.map(Client::memory_bytes).sum()
    }

    /// DEBUG REPLICATE: replicas get a request that does not run here.
    pub fn replicate(&mut self, args: &[bytes::Bytes]) {
        self.commit();
        if self.replication.feed.is_kept() && !self.is_replica() {
            self.replication.feed.request(args);
            self.feed_went_on();
        }
    }

    /// How long ago a replica said something, in seconds; −1 for one that never will.
    pub fn replica_lag_s(&self, slot: usize) -> i64 {
        match self.clients[slot].replica.as_deref() {
            Some(replica) if replica.stage == Stage::Online => {
                (self.now.mono_us.saturating_sub(replica.heard_us) / 1_000_000) as i64
            }
            _ => 0,
        }
    }
}

/// Coming and going.
impl Engine {
    /// A client becomes a replica.
    pub(super) fn attach_replica(&mut self, slot: usize, stage: Stage) {
        let now_us = self.now.mono_us;
        let id = self.clients[slot].handle;
        let told = self.clients[slot].out.appended();
        let replica = self.replica_mut(slot);
        (replica.stage, replica.heard_us, replica.asked_us) = (stage, now_us, now_us);
        replica.told = told;
        self.clients[slot].set(state::REPLICA, true);
        if self.conf.repl_disable_tcp_nodelay {
            self.jobs.queue.push_back(Job::Gather(id));
        }
        self.replication.replicas.push(id);
        self.count_good_replicas();
        self.arm_replication_timer();
    }

    /// A replica is gone.
    pub(in crate::engine) fn forget_replica(&mut self, slot: usize) {
        let id = self.clients[slot].handle;
        if !self.clients[slot].is(state::REPLICA) {
            return;
        }
        log::info!("Connection with replica {} lost.", self.replica_name(slot));
        self.replication.replicas.retain(|other| *other != id);
        if let Some(replica) = self.clients[slot].replica.take() {
            self.stop_sending(*replica);
        }
        self.clients[slot].set(state::REPLICA, false);
        self.replication.alone_since_us = self.now.mono_us;
        self.count_good_replicas();
        self.trim_feed();
        self.replica_left_sync(id);
    }

    /// Says something to a replica that is no reply.
    pub(super) fn tell_replica(&mut self, slot: usize, bytes: &[u8]) {
        self.give_buffer(slot);
        let client = &mut self.clients[slot];
        client.out.tail().extend_from_slice(bytes);
        self.note_told(slot);
    }

    /// All of a replica's output is no reply.
    pub(super) fn note_told(&mut self, slot: usize) {
        let told = self.clients[slot].out.appended();
        self.replica_mut(slot).told = told;
        self.offer_replica(slot);
    }

    /// Offers what waits for a replica to the shell.
    pub(super) fn offer_replica(&mut self, slot: usize) {
        let client = &mut self.clients[slot];
        if !client.is(state::QUEUED) {
            client.set(state::QUEUED, true);
            self.queues.outputs.push(client.handle);
        }
    }

    /// The feed went on, for one of its replicas.
    pub(super) fn replica_has_more(&mut self, slot: usize) {
        let limit = self.conf.client_output_buffer_limits[OutputLimit::REPLICA];
        let lag = self.replica_lag_bytes(slot);
        // Whoever could go on by the backlog is not cut; no limit stays none.
        let backlog_bytes = self.conf.repl_backlog_size_bytes;
        let [hard_bytes, soft_bytes] = [limit.hard_bytes, limit.soft_bytes].map(|bytes| match bytes {
            0 => 0,
            bytes => bytes.max(backlog_bytes),
        });
        if self.is_over_limit(slot, OutputLimit { hard_bytes, soft_bytes, ..limit }, lag) {
            return self.close_over_limit(slot);
        }
        if self.feed_for(&self.clients[slot]).is_some() {
            self.offer_replica(slot);
        }
    }

    /// `n` bytes went out to a replica: of its output first, then of the feed.
    #[cold]
    pub(in crate::engine) fn sent_to_replica(&mut self, slot: usize, n: usize) {
        let client = &mut self.clients[slot];
        let of_output = n.min(client.out.len());
        client.out.advance(of_output);
        let of_feed = (n - of_output) as u64;
        self.stats.total_net_repl_output_bytes += n as u64;
        let Some(replica) = self.clients[slot].replica.as_deref_mut() else { return };
        replica.position += of_feed;
        if replica.stage != Stage::Online {
            self.replica_took(slot);
        }
    }

    /// A replica has caused a reply: it is none.
    #[cold]
    pub(in crate::engine) fn judge_replica(&mut self, slot: usize) {
        let client = &self.clients[slot];
        let appended = client.out.appended();
        let is_told = client.replica.as_ref().is_none_or(|replica| replica.told == appended);
        if is_told || client.is(state::CLOSE_ASAP) {
            return;
        }
        log::warn!(
            "Replica generated a reply to command '{}', disconnecting it: {}",
            self.last_command(slot),
            self.describe_client(slot)
        );
        self.close_soon(slot);
        self.clients[slot].out.clear();
    }

    /// Counts the replicas that are near enough for `min-replicas-to-write`.
    pub(in crate::engine) fn count_good_replicas(&mut self) {
        let (now_us, max_lag_s) = (self.now.mono_us, u64::from(self.conf.min_replicas_max_lag_s));
        let is_good = |replica: &Replica| {
            replica.stage.is_online() && now_us.saturating_sub(replica.heard_us) / 1_000_000 <= max_lag_s
        };
        let replicas = self.replication.replicas.iter();
        self.replication.good = replicas.filter(|id| self.replica_of(**id).is_some_and(is_good)).count();
        self.configure_gates();
    }
}

/// PSYNC and REPLCONF.
impl Engine {
    /// PSYNC, or SYNC where there is no history: the client becomes a replica.
    ///
    /// # Errors
    ///
    /// The error reply.
    pub fn begin_replica(
        &mut self,
        host: &mut dyn Host,
        slot: usize,
        asked: Option<(&[u8], i64)>,
    ) -> Result<(), CmdError> {
        if self.clients[slot].is(state::REPLICA) {
            return Ok(());
        }
        if self.replication.primary.as_ref().is_some_and(|primary| !primary.is_up()) {
            return Err(CmdError::coded("NOMASTERLINK Can't SYNC while not connected with my master"));
        }
        if !self.clients[slot].out.is_empty() {
            return Err(CmdError::coded("ERR SYNC and PSYNC are invalid with pending output"));
        }
        log::info!("Replica {} asks for synchronization", self.replica_name(slot));
        self.commit();
        match asked {
            Some((id, offset)) => {
                if self.go_on_where_it_was(slot, id, offset) {
                    self.replication.partial_syncs += 1;
                    return Ok(());
                }
                if id != b"?" {
                    self.replication.refused_partial_syncs += 1;
                }
            }
            None => self.replica_mut(slot).is_old = true,
        }
        self.replication.full_syncs += 1;
        self.ask_for_dump(host, slot);
        Ok(())
    }

    /// A replica goes on where it was, if what it lacks is kept.
    fn go_on_where_it_was(&mut self, slot: usize, id: &[u8], offset: i64) -> bool {
        let name = self.replica_name(slot);
        let feed = &self.replication.feed;
        let asked_id = String::from_utf8_lossy(id).into_owned();
        let previous = self.replication.previous.as_ref();
        let is_this = asked_id.eq_ignore_ascii_case(&self.replication.id);
        let is_previous =
            previous.is_some_and(|(id, end)| asked_id.eq_ignore_ascii_case(id) && offset <= *end as i64 + 1);
        if !is_this && !is_previous {
            match previous {
                _ if id == b"?" => log::info!("Full resync requested by replica {name}"),
                Some((id, end)) if asked_id.eq_ignore_ascii_case(id) => log::info!(
                    "Partial resynchronization not accepted: Requested offset for second ID was {offset}, but I can reply up \
                     to {}",
                    end + 1
                ),
                _ => log::info!(
                    "Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '{asked_id}', my \
                     replication IDs are '{}' and '{}')",
                    self.replication.id,
                    previous.map_or_else(|| "0".repeat(40), |(id, _)| id.clone())
                ),
            }
            return false;
        }
        // Redis counts bytes from one.
        let Some(from) = u64::try_from(offset - 1).ok().filter(|from| feed.has(*from)) else {
            log::info!(
                "Unable to partial resync with replica {name} for lack of backlog (Replica request was: {offset})."
            );
            if offset > feed.end() as i64 + 1 {
                log::warn!(
                    "Warning: replica {name} tried to PSYNC with an offset that is greater than the master replication offset."
                );
            }
            return false;
        };
        let bytes = feed.end() - from;
        self.attach_replica(slot, Stage::Online);
        let replica = self.replica_mut(slot);
        replica.position = from;
        let takes_new_id = replica.takes_new_id;
        let text = match takes_new_id {
            true => format!("+CONTINUE {}\r\n", self.replication.id),
            false => "+CONTINUE\r\n".to_owned(),
        };
        self.tell_replica(slot, text.as_bytes());
        log::info!(
            "Partial resynchronization request from {name} accepted. Sending {bytes} bytes of backlog starting from offset \
             {offset}."
        );
        true
    }

    /// A replica says anything, be it a newline while it loads: it is there.
    #[cold]
    pub(in crate::engine) fn heard_from_replica(&mut self, slot: usize) {
        let now_us = self.now.mono_us;
        if let Some(replica) = self.clients[slot].replica.as_deref_mut() {
            replica.heard_us = now_us;
        }
    }

    /// REPLCONF ACK: a replica says how far it has the feed, and how far its log is durable.
    pub fn replica_acked(&mut self, slot: usize, offset: i64, log_offset: Option<i64>) {
        if !self.clients[slot].is(state::REPLICA) {
            return;
        }
        let now_us = self.now.mono_us;
        let replica = self.replica_mut(slot);
        replica.acked = replica.acked.max(offset.max(0) as u64);
        if let Some(offset) = log_offset {
            replica.acked_log = replica.acked_log.max(offset.max(0) as u64);
        }
        replica.heard_us = now_us;
        if !std::mem::replace(&mut replica.has_acked, true) {
            let address = self.replica_address(slot);
            self.replication.disappointed.remove(&address);
        }
        let replica = self.replica_mut(slot);
        if replica.stage == Stage::Proving && self.clients[slot].out.is_empty() {
            self.put_replica_online(slot);
        }
        self.answer_waiting();
    }

    /// A replica has its dump: it gets the feed.
    pub(super) fn put_replica_online(&mut self, slot: usize) {
        let now_us = self.now.mono_us;
        let replica = self.replica_mut(slot);
        (replica.stage, replica.heard_us) = (Stage::Online, now_us);
        if replica.only_dump {
            log::info!(
                "RDB transfer completed, rdb only replica ({}) should be disconnected asap",
                self.replica_name(slot)
            );
            self.close_soon(slot);
            return;
        }
        log::info!("Synchronization with replica {} succeeded", self.replica_name(slot));
        self.count_good_replicas();
        self.offer_replica(slot);
    }
}
