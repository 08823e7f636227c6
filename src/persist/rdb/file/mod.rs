//! Dump files: what they consist of, and the machine that reads them.
//!
//! ```text
//! magic      "REDIS0012", or "VALKEY080"                         nine bytes
//! aux        250  name  text                                     facts about the file, any number
//! function   245  text                                           libraries, any number
//! database   254  number                                         then its keys:
//! size       251  keys  keys with a deadline                     a hint
//! key        [252 deadline] [248 idle time] [249 frequency]  type  name  value
//! end        255  CRC-64 of all before, or eight zeros
//! ```
//!
//! [`FileReader`] is fed pieces of any size and gives one [`Item`] after the other. It knows neither files nor databases, and
//! stops where the file is wrong: a [`BadData`] says at which byte and why. What a file may do to a server is up to whoever
//! takes the items: whether keys past their deadline are kept, what a database that does not exist means, and what a key means
//! that comes twice.

pub(super) mod module;
mod read;
pub mod write;

pub use super::error::BadData;
pub use read::{FileReader, Place};

use super::{Dialect, VERSION_MAX};
use crate::keyspace::{Db, Deadline, NewValue};

/// What an item begins with, where it is not the type of a value. Redis: `RDB_OPCODE_…`.
#[allow(missing_docs, reason = "the names are those of Redis")]
pub mod opcode {
    /// Valkey's: what a move of slots has come to.
    pub const SLOT_IMPORT: u8 = 243;
    pub const SLOT_INFO: u8 = 244;
    pub const FUNCTION_2: u8 = 245;
    /// What began a library in a release candidate of Redis 7.
    pub const FUNCTION_PRE_GA: u8 = 246;
    pub const MODULE_AUX: u8 = 247;
    pub const IDLE: u8 = 248;
    pub const FREQ: u8 = 249;
    pub const AUX: u8 = 250;
    pub const RESIZE_DB: u8 = 251;
    pub const EXPIRE_TIME_MS: u8 = 252;
    pub const EXPIRE_TIME: u8 = 253;
    pub const SELECT_DB: u8 = 254;
    pub const EOF: u8 = 255;
}

/// What a reader lets pass.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// Compare the checksum at the end (`rdbchecksum`).
    pub check_crc: bool,
    /// Read files of later versions too, as far as nothing unknown is in them (Valkey: `rdb-version-check relaxed`).
    pub later_versions: bool,
    /// Pass over what modules wrote, as whoever only looks at a file can. A server cannot keep it, and refuses the file.
    pub pass_over_modules: bool,
}

impl Default for ReadOptions {
    fn default() -> ReadOptions {
        ReadOptions { check_crc: true, later_versions: false, pass_over_modules: false }
    }
}

/// What a reader has for whoever asks.
#[derive(Debug)]
pub enum Next<'a> {
    /// It needs more bytes.
    Need,
    /// It is within a large value: there is more to do, after whatever else is to be done.
    More,
    /// A part of the file.
    Item(Item<'a>),
    /// The file ended as it should.
    End,
}

/// A part of a file.
#[derive(Debug)]
pub enum Item<'a> {
    /// The file begins.
    Header {
        /// The version of the format.
        version: u16,
        /// Whose types are in it.
        dialect: Dialect,
    },
    /// A fact about the file.
    Aux {
        /// Its name.
        name: Vec<u8>,
        /// What it says.
        text: Vec<u8>,
    },
    /// The keys that follow are in the database with this number.
    Database(u32),
    /// So many keys are to follow in the database, if the file is right.
    Resize {
        /// All of them.
        keys: u64,
        /// Those with a deadline.
        expires: u64,
    },
    /// A key with its value.
    Key(Key<'a>),
    /// A key whose collection has no elements, which some servers once wrote: there is no such key.
    EmptyKey(&'a [u8]),
    /// The text of a library of functions.
    Function(Vec<u8>),
    /// What a module with this name wrote beside the keys follows, and is passed over.
    ModuleAux(String),
    /// A key whose value a module wrote was passed over.
    ModuleKey {
        /// When it ends, as Unix time in milliseconds.
        deadline: Option<u64>,
    },
    /// The checksum was looked at.
    Checksum {
        /// Whether the file has one.
        is_there: bool,
    },
}

/// A key with its value.
#[derive(Debug)]
pub struct Key<'a> {
    /// The number of its database.
    pub db: u32,
    /// Its name.
    pub key: &'a [u8],
    /// When it ends, as Unix time in milliseconds.
    pub deadline: Option<u64>,
    /// Seconds since it was last used.
    pub idle_s: Option<u64>,
    /// How often it was used, as LFU counts.
    pub frequency: Option<u8>,
    /// What it holds. Fields of a hash are there also when their deadline has passed.
    pub value: NewValue<'a>,
}

impl Key<'_> {
    /// Puts it into a database, with these bits about its use; false when the key is there already.
    pub fn store(self, db: &mut Db, access: u32) -> bool {
        let hash = db.hash(self.key);
        if db.find(self.key, hash).is_some() {
            return false;
        }
        let deadline = self.deadline.map_or(Deadline::Clear, Deadline::At);
        db.set(self.key, hash, None, self.value, deadline, access);
        true
    }
}

/// Version and dialect of a file that begins so.
fn header(magic: [u8; 9], options: ReadOptions) -> Result<(u16, Dialect), std::borrow::Cow<'static, str>> {
    let (digits, dialect) = match (magic.strip_prefix(b"REDIS"), magic.strip_prefix(b"VALKEY")) {
        (Some(digits), _) => (digits, Dialect::Redis),
        (_, Some(digits)) => (digits, Dialect::Valkey),
        _ => return Err("Wrong signature trying to load DB from file".into()),
    };
    // As C reads a number: what stands after the digits does not count.
    let digits: Vec<u8> = digits.iter().copied().take_while(u8::is_ascii_digit).collect();
    let version = digits.iter().fold(0, |version: u16, digit| version * 10 + u16::from(digit - b'0'));
    let is_known = match dialect {
        Dialect::Redis => (1..=VERSION_MAX).contains(&version),
        Dialect::Valkey => version == super::VERSION_OF_VALKEY,
    };
    // Numbers up to 79 are Redis's, those above are Valkey's.
    let is_later = match dialect {
        Dialect::Redis => version > VERSION_MAX && version < super::VERSION_OF_VALKEY,
        Dialect::Valkey => version > super::VERSION_OF_VALKEY,
    };
    match is_known || (options.later_versions && is_later) {
        true => Ok((version, dialect)),
        false => Err(format!("Can't handle RDB format version {version}").into()),
    }
}

#[cfg(test)]
mod tests;
