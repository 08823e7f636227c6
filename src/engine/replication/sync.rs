//! Full syncs: a replica is sent a dump of the keyspace as it is at one offset of the feed.
//!
//! There is one walk at a time. It serves all replicas that wait and want the same; who comes later waits for the next one, or
//! joins where the dump goes to a file and the feed still has all since it began. A dump goes
//!
//! * straight from the walk to the sockets, cut into pieces on the thread of files: `$EOF:` and a mark, the dump, the mark again;
//!   the walk pauses while the slowest replica has much to take,
//! * or to a file, the one of `dbfilename`, and then from the file to each replica: `$` and its length, then its bytes.
//!
//! The offset that a replica is told, the point of the walk and the next SELECT of the feed are one act.

use super::super::client::state;
use super::super::disk::{ErrorKind, FileJob, FileResult, Found};
use super::super::durability::{Target, Why};
use super::super::{Engine, Host, hex_id};
use super::replicas::{Filter, Replica, Sending, Stage};
use crate::base::id::ClientId;
use crate::base::limit::SYNC_BYTES_IN_FLIGHT;
use crate::config::RdbVersion;
use crate::keyspace::{Db, Type};
use crate::persist::rdb::Version;
use bytes::Bytes;

/// Bytes of a file that are read at once.
const PIECE_BYTES: usize = 256 * 1024;
/// So many replicas are remembered that could not take their dump.
const DISAPPOINTED_MAX: usize = 1000;
/// A version of Valkey from which on it reads its own dialect: 9.0.0.
const VALKEY_9: u32 = 0x9_0000;

/// What a walk has to be for a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    /// It goes straight to the sockets.
    straight: bool,
    filter: Filter,
    valkey: bool,
    /// It takes what streams remember of their producers.
    idempotence: bool,
}

impl Engine {
    /// Replicas that have asked for a dump, and one that is begun for them.
    fn kind_for(&self, replica: &Replica) -> Kind {
        let filtered = replica.filter != Filter::default();
        Kind {
            straight: (self.conf.repl_diskless_sync || filtered) && replica.takes_mark,
            filter: replica.filter,
            valkey: replica.valkey_version.is_some_and(|version| version >= VALKEY_9),
            idempotence: replica.takes_idempotence,
        }
    }

    /// Whether a dump is on its way straight to replicas.
    pub(super) fn is_sync_straight(&self) -> bool {
        matches!(self.durability.target(), Some(Target::Replicas { .. }))
    }

    /// A replica needs a dump.
    pub(super) fn ask_for_dump(&mut self, host: &mut dyn Host, slot: usize) {
        self.attach_replica(slot, Stage::Waiting);
        if !self.replication.feed.is_kept() && !self.is_replica() {
            self.begin_history();
        }
        if self.durability.saving() == Some(Why::Replicas) {
            return self.join_sync(slot);
        }
        let kind = self.kind_for(self.clients[slot].replica.as_deref().unwrap_or(&Replica::default()));
        if kind.straight && self.conf.repl_diskless_sync_delay_s > 0 {
            log::info!("Delay next BGSAVE for diskless SYNC");
        } else if self.durability.saving().is_some() {
            log::info!(
                "No BGSAVE in progress, but another BG operation is active. BGSAVE for replication delayed"
            );
        } else if !self.is_resting(self.clients[slot].handle) {
            self.begin_sync(host, kind);
        }
    }

    /// Nobody followed until now: a history begins.
    fn begin_history(&mut self) {
        self.change_replication_id();
        self.replication.previous = None;
        self.replication.feed.keep(self.conf.repl_backlog_size_bytes);
        self.note_followers();
        log::info!(
            "Replication backlog created, my new replication IDs are '{}' and '{}'",
            self.replication.id,
            "0".repeat(40)
        );
    }

    /// A replica comes while a dump is being made for others.
    fn join_sync(&mut self, slot: usize) {
        if self.is_sync_straight() {
            log::info!("Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC");
            return;
        }
        let kind = self.kind_for(self.clients[slot].replica.as_deref().unwrap_or(&Replica::default()));
        let position = self.replication.replicas.iter().find_map(|&id| {
            let replica = self.replica_of(id)?;
            (replica.stage == Stage::Saving && self.kind_for(replica) == kind).then_some(replica.dump_offset)
        });
        match position.filter(|offset| self.replication.feed.has(*offset)) {
            Some(offset) => {
                self.tell_offset(slot, offset);
                log::info!("Waiting for end of BGSAVE for SYNC");
            }
            None => {
                log::info!("Can't attach the replica to the current BGSAVE. Waiting for next BGSAVE for SYNC")
            }
        }
    }

    /// A replica gets the dump that is being made, and the feed from this offset on.
    fn tell_offset(&mut self, slot: usize, offset: u64) {
        let replica = self.replica_mut(slot);
        (replica.stage, replica.position, replica.dump_offset) = (Stage::Saving, offset, offset);
        // What the dump shows may not be durable yet.
        let from = self.clients[slot].out.appended();
        self.gate_message(slot, from);
        if !self.replica_mut(slot).is_old {
            let text = format!("+FULLRESYNC {} {offset}\r\n", self.replication.id);
            self.tell_replica(slot, text.as_bytes());
        }
    }

    /// A replica leaves by itself. One that was sent a whole dump and has said nothing could not take it, and would not take the next one either:
    /// it gets that later, each time later still.
    pub(in crate::engine) fn note_silent_end(&mut self, slot: usize) {
        let Some(replica) = self.clients[slot].replica.as_deref() else { return };
        let is_told = self.clients[slot].out.is_empty();
        if !replica.got_dump || replica.has_acked || replica.is_old || replica.only_dump || !is_told {
            return;
        }
        let address = self.replica_address(slot);
        let count = self.replication.disappointed.get(&address).map_or(1, |(count, _)| count + 1);
        let rest_s = (1 << count.min(6)) - 1;
        let until_us = self.now.mono_us + rest_s * 1_000_000;
        if self.replication.disappointed.len() < DISAPPOINTED_MAX {
            self.replication.disappointed.insert(address, (count, until_us));
        }
        log::warn!(
            "Replica {} has left after a whole dump without a word ({count} in a row); it may not read this version of the \
             format (deadlines of fields need 12, or Valkey 9). It is sent the next one in {rest_s} s at the earliest",
            self.replica_name(slot)
        );
    }

    /// Whether a replica is not to be sent a dump yet.
    fn is_resting(&self, id: ClientId) -> bool {
        !self.replication.disappointed.is_empty()
            && self.slot_of(id).is_some_and(|slot| {
                let found = self.replication.disappointed.get(&self.replica_address(slot));
                found.is_some_and(|(_, until_us)| *until_us > self.now.mono_us)
            })
    }

    /// Begins a dump if replicas wait, nothing else is walked, and those who may wait for company have waited.
    pub(in crate::engine) fn begin_sync_if_due(&mut self, host: &mut dyn Host) {
        if self.durability.saving().is_some() || self.durability.is_loading() {
            return;
        }
        let waiting = self.replication.replicas.iter().filter(|&&id| !self.is_resting(id));
        let waiting = waiting.filter_map(|&id| self.replica_of(id));
        let mut kind = None;
        let (mut count, mut waited_us) = (0, 0);
        for replica in waiting.filter(|replica| replica.stage == Stage::Waiting) {
            let its = self.kind_for(replica);
            if *kind.get_or_insert(its) == its {
                count += 1;
                waited_us = waited_us.max(self.now.mono_us.saturating_sub(replica.asked_us));
            }
        }
        let Some(kind) = kind else { return };
        let enough = self.conf.repl_diskless_sync_max_replicas;
        let is_due = !kind.straight
            || waited_us / 1_000_000 >= u64::from(self.conf.repl_diskless_sync_delay_s)
            || (enough > 0 && count >= enough);
        if is_due {
            self.begin_sync(host, kind);
        }
    }

    /// Begins a dump for all who wait for this kind.
    fn begin_sync(&mut self, host: &mut dyn Host, kind: Kind) {
        self.commit();
        let target = if kind.straight { "replicas sockets" } else { "disk" };
        log::info!("Starting BGSAVE for SYNC with target: {target}");
        let offset = self.replication.feed.end();
        self.replication.feed.forget_database();
        let mut ids = Vec::new();
        for id in self.replication.replicas.clone() {
            let Some(slot) = self.slot_of(id) else { continue };
            let waits =
                |replica: &&Replica| replica.stage == Stage::Waiting && self.kind_for(replica) == kind;
            if !self.is_resting(id) && self.clients[slot].replica.as_deref().filter(waits).is_some() {
                self.tell_offset(slot, offset);
                ids.push(id);
            }
        }
        if !kind.straight {
            return self.begin_save(host, Why::Replicas);
        }
        let mark = hex_id(&mut self.rng);
        for &id in &ids {
            if let Some(slot) = self.slot_of(id) {
                self.tell_replica(slot, format!("$EOF:{mark}\r\n").as_bytes());
            }
        }
        let version = self.version_for(kind);
        self.begin_save_to(host, Target::Replicas { ids, mark, version, filter: kind.filter });
    }

    /// In which version a dump goes to sockets, where the header goes first: the lowest that can hold what there is.
    fn version_for(&self, kind: Kind) -> Version {
        let has_deadlines = self.dbs.iter().any(|db| db.hashes_with_ttl() > 0);
        let has_vectors = self.dbs.iter().any(|db| db.sizes(Type::Vector).iter().next().is_some());
        match self.conf.rdb_version {
            RdbVersion::Auto if kind.idempotence && self.dbs.iter().any(Db::has_idempotence) => {
                Version::Redis(13)
            }
            RdbVersion::Auto if kind.valkey && has_deadlines => Version::Valkey,
            RdbVersion::Auto if has_deadlines || has_vectors => Version::Redis(12),
            RdbVersion::Auto if self.dbs.iter().any(|db| db.sizes(Type::Stream).iter().next().is_some()) => {
                Version::Redis(11)
            }
            RdbVersion::Auto => Version::Redis(10),
            _ => self.dump_version(),
        }
    }

    /// Whether replicas have so much of a dump to take that the walk pauses.
    pub(in crate::engine) fn are_replicas_full(&self, target: &Target) -> bool {
        let Target::Replicas { ids, .. } = target else { return false };
        ids.iter().any(|&id| self.client(id).is_some_and(|client| client.out.len() > SYNC_BYTES_IN_FLIGHT))
    }

    /// A piece of a dump goes to its replicas.
    pub(in crate::engine) fn send_piece(&mut self, target: &Target, pieces: &[Bytes]) {
        let Target::Replicas { ids, .. } = target else { return };
        for &id in ids {
            let Some(slot) = self.slot_of(id).filter(|&slot| !self.clients[slot].is(state::CLOSE_ASAP))
            else {
                continue;
            };
            for piece in pieces {
                self.clients[slot].out.share(piece.clone());
            }
            self.note_told(slot);
        }
    }

    /// All of a dump was handed to its replicas, or it failed.
    pub(in crate::engine) fn end_straight_sync(&mut self, target: &Target, is_ok: bool) {
        let Target::Replicas { ids, mark, .. } = target else { return };
        let slots: Vec<usize> = ids.iter().filter_map(|&id| self.slot_of(id)).collect();
        if !is_ok {
            log::warn!("Background transfer error");
            for slot in slots {
                self.close_soon(slot);
            }
            return;
        }
        log::info!("Diskless rdb transfer, done reading from pipe, {} replicas still up.", slots.len());
        log::info!("Background RDB transfer terminated with success");
        let now_us = self.now.mono_us;
        for slot in slots {
            let replica = self.replica_mut(slot);
            (replica.stage, replica.heard_us, replica.got_dump) = (Stage::Proving, now_us, true);
            self.tell_replica(slot, mark.as_bytes());
            log::info!(
                "Streamed RDB transfer with replica {} succeeded (socket). Waiting for REPLCONF ACK from replica to enable \
                 streaming",
                self.replica_name(slot)
            );
        }
        self.count_good_replicas();
    }

    /// A dump for replicas is not worth being sent any more: they ask again.
    pub fn give_sync_up(&mut self) {
        let Some(target) = self.durability.target().cloned() else { return };
        if self.durability.saving() == Some(Why::Replicas) {
            self.cancel_sync();
            match target {
                Target::File => self.end_file_sync(false),
                Target::Replicas { .. } => self.end_straight_sync(&target, false),
            }
        }
    }

    /// A replica has left. A walk that nobody waits for any more ends.
    pub(super) fn replica_left_sync(&mut self, id: ClientId) {
        if self.durability.saving() != Some(Why::Replicas) {
            return;
        }
        if let Some(Target::Replicas { ids, .. }) = self.durability.target_mut() {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                log::info!("Diskless rdb transfer, last replica dropped, killing fork child.");
                self.cancel_sync();
            }
            return;
        }
        let is_wanted = self.replication.replicas.iter().filter_map(|&id| self.replica_of(id));
        if !is_wanted.into_iter().any(|replica| replica.stage == Stage::Saving) && self.conf.save.is_empty() {
            self.cancel_sync();
        }
    }
}

/// Dumps by way of a file.
impl Engine {
    /// The file of a dump for replicas is there, or could not be made.
    pub(in crate::engine) fn end_file_sync(&mut self, is_ok: bool) {
        for id in self.replication.replicas.clone() {
            let Some(slot) = self.slot_of(id) else { continue };
            if self.replica_mut(slot).stage != Stage::Saving {
                continue;
            }
            if is_ok {
                self.send_file(slot);
            } else {
                log::warn!("SYNC failed. BGSAVE child returned an error");
                self.close_soon(slot);
            }
        }
    }

    /// Begins to send the file of the dump to a replica.
    fn send_file(&mut self, slot: usize) {
        let (folder, file) = (self.next_folder(), self.next_file());
        self.file_job(FileJob::OpenFolder(folder, self.conf.dir.clone()));
        let name = self.conf.dbfilename.clone();
        let job = self.file_job(FileJob::OpenToRead { file, folder, name });
        self.jobs.then(job, Engine::file_was_read);
        self.replication.reads.insert(job, self.clients[slot].handle);
        let replica = self.replica_mut(slot);
        replica.stage = Stage::Sending;
        replica.sending = Some(Sending { folder, file, left: u64::MAX, is_reading: true });
    }

    /// The file of a dump is open, or a piece of it was read.
    fn file_was_read(&mut self, _: &mut dyn Host, job: u64, result: FileResult) {
        let Some(slot) = self.replication.reads.remove(&job).and_then(|id| self.slot_of(id)) else { return };
        let Some(sending) = self.replica_mut(slot).sending.as_mut() else { return };
        sending.is_reading = false;
        let is_first = sending.left == u64::MAX;
        match result {
            Ok(done) if is_first => {
                sending.left = done.bytes;
                self.tell_replica(slot, format!("${}\r\n", done.bytes).as_bytes());
            }
            Ok(done) => {
                let Found::Bytes(bytes) = done.found else { return };
                let bytes = Bytes::from(bytes);
                let bytes = bytes.slice(..bytes.len().min(sending.left as usize));
                if bytes.is_empty() {
                    log::warn!("Read error sending DB to replica: the file has become shorter");
                    return self.close_soon(slot);
                }
                sending.left -= bytes.len() as u64;
                self.clients[slot].out.share(bytes);
                self.note_told(slot);
            }
            Err(error) => {
                let what = if error.kind == ErrorKind::NotFound { "can't open" } else { "can't read" };
                log::warn!("Read error sending DB to replica: {what} {}: {}", error.name, error.text);
                return self.close_soon(slot);
            }
        }
        self.read_on(slot);
    }

    /// Reads the next piece of the file, unless the replica has much to take.
    fn read_on(&mut self, slot: usize) {
        let waiting = self.clients[slot].out.len();
        let Some(sending) = self.replica_mut(slot).sending.as_mut() else { return };
        if sending.is_reading || sending.left == 0 || waiting > SYNC_BYTES_IN_FLIGHT / 2 {
            return;
        }
        sending.is_reading = true;
        let file = sending.file;
        let job = self.file_job(FileJob::Read(file, PIECE_BYTES));
        self.jobs.then(job, Engine::file_was_read);
        self.replication.reads.insert(job, self.clients[slot].handle);
    }

    /// A replica has taken some of what it was sent.
    #[cold]
    pub(in crate::engine) fn replica_took(&mut self, slot: usize) {
        let is_empty = self.clients[slot].out.is_empty();
        let Some(replica) = self.clients[slot].replica.as_deref_mut() else { return };
        match &replica.sending {
            Some(sending) if sending.left > 0 => self.read_on(slot),
            Some(_) if is_empty => {
                if let Some(sending) = replica.sending.take() {
                    self.close_sent(&sending);
                }
                self.replica_mut(slot).got_dump = true;
                self.put_replica_online(slot);
                self.remove_sync_file();
            }
            Some(_) | None => {}
        }
    }

    /// A replica that is gone is sent nothing any more.
    pub(super) fn stop_sending(&mut self, replica: Replica) {
        if let Some(sending) = replica.sending {
            self.close_sent(&sending);
        }
    }

    fn close_sent(&mut self, sending: &Sending) {
        self.file_job(FileJob::Close(sending.file));
        self.file_job(FileJob::CloseFolder(sending.folder));
    }

    /// `rdb-del-sync-files`: a file that only replication needs goes when the last replica has it.
    fn remove_sync_file(&mut self) {
        let persists = !self.conf.save.is_empty() || self.conf.appendonly;
        let mut replicas = self.replication.replicas.iter().filter_map(|&id| self.replica_of(id));
        let is_wanted = replicas.any(|replica| matches!(replica.stage, Stage::Saving | Stage::Sending));
        if !self.conf.rdb_del_sync_files || persists || is_wanted {
            return;
        }
        log::info!(
            "Removing the RDB file {} used to feed replicas in a persistence-less instance",
            self.conf.dbfilename
        );
        let folder = self.next_folder();
        self.file_job(FileJob::OpenFolder(folder, self.conf.dir.clone()));
        self.file_job(FileJob::Remove(folder, self.conf.dbfilename.clone()));
        self.file_job(FileJob::CloseFolder(folder));
    }
}
