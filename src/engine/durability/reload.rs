//! DEBUG RELOAD: the databases are saved and loaded in one go, while everybody else waits, as on Redis.

use super::super::disk::{FileDone, FileJob, Replace};
use super::super::host::Request;
use super::super::{Engine, Host};
use super::load::{Counts, Expired, Refusal, Twice, log_counts};
use crate::base::crc::crc64;
use crate::persist::rdb;
use crate::persist::rdb::file::write::{FileWriter, HEADER_BYTES, checksum, header};
use crate::persist::rdb::file::{FileReader, Item, Next};

/// What DEBUG RELOAD leaves out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reload {
    /// The file that is there is loaded.
    pub no_save: bool,
    /// What is in the databases stays.
    pub no_flush: bool,
    /// A key that is there gives way to that of the file.
    pub merge: bool,
}

impl Engine {
    /// Saves a dump file and loads it again.
    ///
    /// # Errors
    ///
    /// Whether it could not be saved, or not be loaded, as an error reply; then the keyspace is empty.
    pub fn reload(&mut self, host: &mut dyn Host, how: Reload) -> Result<(), &'static str> {
        const NOT_LOADED: &str = "ERR Error trying to load the RDB dump, check server logs.";
        self.propagation.nothing();
        let mut file = Vec::new();
        let path = format!("{}/{}", self.conf.dir, self.conf.dbfilename);
        if how.no_save {
            if let Err(error) = host.apply(Request::ReadFile(&path, &mut file)) {
                log::warn!("Fatal error loading the DB: can't read the RDB file {path}: {error}");
            }
        } else {
            file = self.dump(host)?;
            self.write_at_once(host, file.clone()).map_err(|text| {
                log::warn!("Write error while saving DB to the disk: {text}");
                "ERR"
            })?;
            self.note_saved();
        }
        if !how.no_flush {
            let now_ms = self.now.unix_ms();
            if let Some(garbage) = self.dbs.flush(0..self.dbs.count(), now_ms) {
                self.free(garbage, None);
            }
            self.flush_libraries();
        }
        let twice = if how.merge { Twice::Replace } else { Twice::Refuse };
        let counts = self.load_bytes(host, &file, twice).map_err(|refusal| {
            log::warn!("{refusal}");
            NOT_LOADED
        })?;
        self.durability.last_load = counts;
        log_counts(counts.loaded, counts.expired, counts.empty);
        self.durability.changes_at_save = self.propagation.changes();
        log::warn!("DB reloaded by DEBUG RELOAD");
        Ok(())
    }

    /// The keyspace is as it was saved.
    fn note_saved(&mut self) {
        self.durability.last_save_unix_s = self.now.unix_s();
        self.durability.changes_at_save = self.propagation.changes();
        self.durability.saves += 1;
    }

    /// All databases as a dump file. A save that is under way ends, for there is one snapshot at a time. The error is a reply.
    fn dump(&mut self, host: &mut dyn Host) -> Result<Vec<u8>, &'static str> {
        self.cancel_save(host);
        let mut writer =
            FileWriter::new(rdb::Options { compress: self.conf.rdbcompression }, self.kept_access());
        writer.pin(self.dump_version());
        self.write_facts(host, &mut writer, false, true);
        self.dbs.begin_snapshot();
        let mut file = header(0).to_vec();
        let mut take = |writer: &mut FileWriter, all| {
            writer
                .take_parts(all)
                .into_iter()
                .for_each(|part| part.finish(|bytes| file.extend_from_slice(&bytes)));
        };
        while self.dbs.step_snapshot(&mut writer) {
            take(&mut writer, false);
        }
        writer.end();
        take(&mut writer, true);
        if let Some(error) = self.why_give_up(Some(&writer)) {
            log::warn!("Write error while saving DB to the disk({}): {}", error.op, error.text);
            return Err("ERR");
        }
        let header = header(writer.version());
        file[..HEADER_BYTES].copy_from_slice(&header);
        let rest = &file[HEADER_BYTES..];
        let crc = match self.conf.rdbchecksum {
            true => checksum(&header, crc64(0, rest), rest.len() as u64),
            false => 0,
        };
        file.extend_from_slice(&crc.to_le_bytes());
        Ok(file)
    }

    /// Replaces the dump file while everybody waits.
    fn write_at_once(&mut self, host: &mut dyn Host, bytes: Vec<u8>) -> Result<(), String> {
        let (folder, file) = (self.next_folder(), self.next_file());
        let (name, temporary) =
            (self.conf.dbfilename.clone(), format!("temp-{}-reload.rdb", self.process.names.pid));
        let jobs = vec![
            FileJob::OpenFolder(folder, self.conf.dir.clone()),
            FileJob::Replace(Replace { folder, name, file, temporary, bytes }),
            FileJob::CloseFolder(folder),
        ];
        let mut result = Ok(FileDone::default());
        host.apply(Request::Disk(jobs, &mut result))?;
        result.map(drop).map_err(|error| error.text)
    }

    /// Loads a dump file that is in memory.
    fn load_bytes(&mut self, host: &mut dyn Host, file: &[u8], twice: Twice) -> Result<Counts, Refusal> {
        let mut counts = Counts::default();
        let mut reader = FileReader::new(self.read_options());
        reader.feed(file);
        reader.finish();
        loop {
            match reader.next(&self.conf.tuning)? {
                Next::Need | Next::More => {}
                Next::End => return Ok(counts),
                Next::Item(Item::Key(key)) => self.load_key(key, &mut counts, twice, Expired::LeaveOut)?,
                Next::Item(Item::Function(code)) => self.load_function(host, code, twice)?,
                Next::Item(Item::EmptyKey(_)) => counts.empty += 1,
                Next::Item(_) => {}
            }
        }
    }
}
