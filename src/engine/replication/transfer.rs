//! The dump of a full sync on its way from the primary into the databases.
//!
//! * By way of a file (`repl-diskless-load disabled`): it is received beside the old dataset, which serves until then, becomes the
//!   dump file of this server, and is loaded from there.
//! * Straight (`on-empty-db`; `flushdb`, or `flush-before-load`, empties them): it is loaded as it comes, into empty databases.
//! * Straight into databases of its own (`swapdb`), which take the place of the old ones when it is whole; these serve meanwhile.
//!
//! What breaks off leaves the databases empty, never by half; with databases of its own, as they were.

use super::super::disk::{Block, DiskError, FileId, FileJob, FileResult, FolderId, Options};
use super::super::durability::{Counts, Dump, Origin};
use super::super::{Engine, Host, hex_id};
use super::primary::Link;
use crate::config::DisklessLoad;
use crate::keyspace::Databases;
use crate::replication::primary::Transfer;

/// The file is synced every so many bytes, so that no sync has much to do. Redis: `REPL_MAX_WRITTEN_BEFORE_FSYNC`.
const SYNC_EVERY_BYTES: u64 = 8 << 20;

/// A dump on its way.
#[derive(Debug)]
pub(super) struct Receiving {
    pub transfer: Transfer,
    /// The file, where it goes by way of one.
    file: Option<Spool>,
}

/// The file that takes a dump.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    folder: FolderId,
    file: FileId,
    name: String,
}

impl Engine {
    /// The dump begins.
    pub(super) fn begin_to_receive(&mut self, host: &mut dyn Host, transfer: Transfer) {
        let direct = match self.conf.repl_diskless_load {
            DisklessLoad::Disabled => false,
            DisklessLoad::OnEmptyDb => self.dbs.keys() == 0,
            DisklessLoad::Swapdb | DisklessLoad::Flushdb | DisklessLoad::FlushBeforeLoad => true,
        };
        let to = if direct { "parser" } else { "disk" };
        match transfer.bytes() {
            Some(bytes) => {
                log::info!("MASTER <-> REPLICA sync: receiving {bytes} bytes from master to {to}");
            }
            None => {
                log::info!("MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to {to}")
            }
        }
        let file = (!direct).then(|| self.open_spool());
        let is_empty = transfer.bytes() == Some(0);
        if let Some(primary) = &mut self.replication.primary {
            primary.link = Link::Receiving(Box::new(Receiving { transfer, file }));
        }
        if direct {
            self.begin_to_load_from_primary(host, None);
        }
        if is_empty {
            self.received(host, Vec::new(), true);
        }
    }

    fn open_spool(&mut self) -> Spool {
        let (folder, file) = (self.next_folder(), self.next_file());
        let name = format!("temp-{}.{}.rdb", self.now.unix_s(), self.process.names.pid);
        self.file_job(FileJob::OpenFolder(folder, self.conf.dir.clone()));
        let options = Options { checksum: false, sync_every: Some(SYNC_EVERY_BYTES) };
        self.spool_job(FileJob::Create { file, folder, name: name.clone(), options });
        Spool { folder, file, name }
    }

    fn spool_job(&mut self, job: FileJob) {
        let number = self.file_job(job);
        self.jobs.then(number, |engine, _, _, result| {
            if let Err(error) = result {
                engine.spool_failed(&error);
            }
            engine.read_on_from_primary();
        });
    }

    fn spool_failed(&mut self, error: &DiskError) {
        let receives = |link: &Link| matches!(link, Link::Receiving(receiving) if receiving.file.is_some());
        if self.replication.primary.as_ref().is_some_and(|primary| receives(&primary.link)) {
            log::warn!(
                "Write error or short write writing to the DB dump file needed for MASTER <-> REPLICA synchronization: {}",
                error.text
            );
            self.give_link_up_for_a_while();
        }
    }

    /// Bytes of the dump came, perhaps the last.
    pub(super) fn received(&mut self, host: &mut dyn Host, bytes: Vec<u8>, is_whole: bool) {
        let Some(primary) = &mut self.replication.primary else { return };
        let Link::Receiving(receiving) = &primary.link else { return };
        let Some(spool) = receiving.file.clone() else {
            if is_whole {
                primary.link = Link::Loading;
            }
            return self.load_piece(bytes, is_whole);
        };
        if !bytes.is_empty() {
            self.spool_job(FileJob::Append(spool.file, Block::of(bytes)));
        }
        if !is_whole {
            return;
        }
        if let Some(primary) = &mut self.replication.primary {
            primary.link = Link::Loading;
        }
        self.fail_backup_for_sync();
        // A save that ends now would take the place of the dump before that is loaded.
        self.cancel_save(host);
        let Spool { folder, file, name } = spool;
        self.file_job(FileJob::Sync(file));
        self.file_job(FileJob::Close(file));
        self.file_job(FileJob::Rename { folder, from: name, to: self.conf.dbfilename.clone() });
        let named = self.file_job(FileJob::SyncFolder(folder));
        self.file_job(FileJob::CloseFolder(folder));
        self.jobs.then(named, Engine::spool_is_named);
    }

    /// Whether a dump of the primary is whole, and not in memory yet: no save may take its place.
    pub(in crate::engine) fn takes_dump(&self) -> bool {
        self.replication.primary.as_ref().is_some_and(|primary| matches!(primary.link, Link::Loading))
    }

    /// The dump of the primary is the dump file of this server.
    fn spool_is_named(&mut self, host: &mut dyn Host, _: u64, result: FileResult) {
        if !self.takes_dump() {
            return;
        }
        if let Err(error) = result {
            log::warn!(
                "Failed trying to rename the temp DB into {} in MASTER <-> REPLICA synchronization: {}",
                self.conf.dbfilename,
                error.text
            );
            return self.give_link_up_for_a_while();
        }
        let file = self.conf.dbfilename.clone();
        if self.is_busy()
            && let Some(primary) = &mut self.replication.primary
        {
            // Nothing may change beneath a command that lets others speak.
            primary.loads_later = Some(file);
            return;
        }
        self.begin_to_load_from_primary(host, Some(file));
    }

    /// Empties the databases, or makes others beside them, and begins to load: from a file, or what comes.
    pub(super) fn begin_to_load_from_primary(&mut self, host: &mut dyn Host, file: Option<String>) {
        log::info!("MASTER <-> REPLICA sync: Loading DB in memory");
        self.fail_backup_for_sync();
        self.cancel_save(host);
        if let Some(primary) = &mut self.replication.primary {
            primary.loads_straight = file.is_none();
        }
        let is_beside = file.is_none() && self.conf.repl_diskless_load == DisklessLoad::Swapdb;
        let (mut fresh, mut freeing) = (None, None);
        if is_beside {
            let (count, now_ms) = (self.dbs.count(), self.now.unix_ms());
            let mut dbs = Databases::new(count, self.conf.tuning.hash_key, now_ms);
            dbs.weigh(self.conf.key_memory_histograms);
            fresh = Some(Box::new(dbs));
        } else {
            self.leave_history(host);
            log::info!("MASTER <-> REPLICA sync: Flushing old data");
            freeing = self.empty_all();
        }
        self.begin_loading_from(Origin::Primary(fresh), file);
        // Both datasets at once may be more than the memory holds.
        if let Some(job) = freeing.filter(|_| !self.conf.replica_lazy_flush) {
            self.load_after(job);
        }
    }

    /// Whether the dump that comes is of the history that this server has.
    pub(in crate::engine) fn is_same_history(&self) -> bool {
        let promised = self.replication.primary.as_ref().and_then(|primary| primary.promised.as_ref());
        promised.is_some_and(|(id, _)| *id == self.replication.id)
    }

    /// What this server was until now it is no longer: its replicas go, its log ends.
    fn leave_history(&mut self, host: &mut dyn Host) {
        self.commit();
        if let Some(primary) = &mut self.replication.primary
            && std::mem::take(&mut primary.is_cached)
        {
            log::info!("Discarding previously cached master state.");
        }
        self.drop_replicas();
        self.replication.feed.drop_all();
        self.fail_backup_for_sync();
        self.stop_log_for_sync(host);
        self.note_followers();
    }

    /// Empties all databases, which tells whoever has to hear of it but propagates nothing. Returns the number of the job that frees
    /// what they held.
    pub(super) fn empty_all(&mut self) -> Option<u64> {
        let all = 0..self.dbs.count();
        self.signal_all(all.clone());
        self.touch_emptied(all.clone());
        self.flush_tracked();
        let now_ms = self.now.unix_ms();
        let garbage = self.dbs.flush(all, now_ms);
        self.flush_libraries();
        garbage.map(|garbage| self.free(garbage, None))
    }

    /// The dump is loaded. The feed after it stands in the database with this number: that of a replica, which passes on what it
    /// gets, does not say so again.
    pub(in crate::engine) fn loaded_from_primary(
        &mut self,
        host: &mut dyn Host,
        counts: Counts,
        (fresh, dump): (Option<Box<Databases>>, Option<Dump>),
        db: u32,
    ) {
        if let Some(fresh) = fresh {
            self.leave_history(host);
            // What was begun beside the load walks databases that go.
            self.cancel_save(host);
            log::info!("MASTER <-> REPLICA sync: Discarding old DB in background");
            self.replace_databases(*fresh);
        }
        self.loaded(host, counts);
        let promised = self.replication.primary.as_mut().and_then(|primary| primary.promised.take());
        let (id, offset) = promised.unwrap_or_else(|| (hex_id(&mut self.rng), 0));
        (self.replication.id, self.replication.previous) = (id, None);
        self.replication.feed.jump_to(offset);
        self.replication.feed.keep(self.conf.repl_backlog_size_bytes);
        let databases = self.dbs.count();
        if let Some(primary) = &mut self.replication.primary {
            primary.db = if (db as usize) < databases { db } else { 0 };
            if primary.loads_straight {
                // No file holds it: a save point is to see that.
                self.propagation.changed(counts.loaded);
            }
        }
        log::info!("MASTER <-> REPLICA sync: Finished with success");
        // Before the feed goes on: until then the dump holds what is in memory.
        self.configure_log_with(host, dump);
        self.link_is_up(host);
    }

    /// Other databases take the place of all that there are.
    fn replace_databases(&mut self, fresh: Databases) {
        let all = 0..self.dbs.count();
        self.signal_all(all.clone());
        self.touch_emptied(all.clone());
        self.flush_tracked();
        let mut old = std::mem::replace(&mut self.dbs, fresh);
        let now_ms = self.now.unix_ms();
        if let Some(garbage) = old.flush(all, now_ms) {
            self.free(garbage, None);
        }
        // Whoever looks after them looks at all.
        self.dbs.iter_mut().for_each(drop);
    }

    /// The dump cannot be loaded, since it is refused or broke off; the log says why.
    pub(in crate::engine) fn not_loaded_from_primary(
        &mut self,
        host: &mut dyn Host,
        is_beside: bool,
        is_refused: bool,
    ) {
        let from = match self.conf.repl_diskless_load {
            DisklessLoad::Disabled => "disk",
            _ => "socket",
        };
        log::warn!("Failed trying to load the MASTER synchronization DB from {from}, check server logs.");
        if is_beside {
            log::info!("MASTER <-> REPLICA sync: Discarding temporary DB in background");
        } else {
            self.empty_all();
        }
        self.loaded(host, Counts::default());
        if is_refused {
            self.give_link_up_for_a_while();
        }
    }

    /// The link is gone while the dump is loaded.
    pub(super) fn stop_loading_from_primary(&mut self, host: &mut dyn Host) {
        if let Some((is_beside, offset)) = self.stop_loading() {
            log::warn!("Internal error in RDB reading offset {offset}, the link to the primary was lost");
            self.not_loaded_from_primary(host, is_beside, false);
        }
    }

    /// The link is gone while the dump came.
    pub(super) fn discard_received(&mut self, host: &mut dyn Host, receiving: Receiving) {
        match receiving.file {
            Some(Spool { folder, file, name }) => {
                self.file_job(FileJob::Close(file));
                self.file_job(FileJob::Remove(folder, name));
                self.file_job(FileJob::CloseFolder(folder));
            }
            None => self.stop_loading_from_primary(host),
        }
    }
}
