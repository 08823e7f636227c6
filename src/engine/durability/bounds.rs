//! What ends a save before its end although the disk is well.
//!
//! * `rdb-version` asks for a version that cannot hold a key: deadlines of fields need 12, or Valkey's 80. A file that left
//!   something out would be worse than none.
//! * `snapshot-held-max`: more old values are held for the walk than it may hold. They are not counted for `maxmemory`, so
//!   this is the only bound of what writes beside a slow save can take.

use super::super::Engine;
use super::super::disk::{DiskError, ErrorKind};
use crate::config::RdbVersion;
use crate::persist::rdb::Version;
use crate::persist::rdb::file::write::FileWriter;

/// Bytes of a key that a message shows.
const SHOWN_BYTES: usize = 128;

impl Engine {
    /// The version of dump files that `rdb-version` asks for.
    pub(in crate::engine) fn dump_version(&self) -> Version {
        match self.conf.rdb_version {
            RdbVersion::Auto => Version::Lowest,
            RdbVersion::V10 => Version::Redis(10),
            RdbVersion::V11 => Version::Redis(11),
            RdbVersion::V12 => Version::Redis(12),
            RdbVersion::V13 => Version::Redis(13),
            RdbVersion::V80 => Version::Valkey,
        }
    }

    /// Why what is being written is to be given up; none while it is not.
    pub(super) fn why_give_up(&self, writer: Option<&FileWriter>) -> Option<DiskError> {
        let given_up = |op, text| {
            let name = self.conf.dbfilename.clone();
            Some(DiskError { op, name, text, kind: ErrorKind::GivenUp, written: 0 })
        };
        if let Some(writer) = writer
            && let Some(key) = writer.unfit()
        {
            let shown = key[..key.len().min(SHOWN_BYTES)].escape_ascii();
            let version = writer.version();
            let text = format!("version {version} of the format cannot hold the key '{shown}'");
            return given_up("encode", text);
        }
        let (most, held) = (self.conf.snapshot_held_max_bytes, self.dbs.held_bytes() as u64);
        if most > 0 && held > most {
            let text = format!("{held} bytes of old values are held, more than snapshot-held-max allows");
            return given_up("hold", text);
        }
        None
    }
}
