//! Redis's dump format: values as DUMP writes them and RESTORE reads them.
//!
//! A payload is a type byte, the value, the version of the format in two bytes, and a CRC-64. [`encode()`] takes for each value
//! the lowest version that can hold it, so that older servers can read it too; [`decode()`] reads every type up to version
//! [`VERSION_MAX`], the ziplists and zipmaps of old servers among them. A [`file`] is a sequence of such values with their
//! keys.
//!
//! What is read may come from anybody: every byte is checked before it becomes part of a value, whatever
//! `sanitize-dump-payload` says, for a damaged listpack would end the process later.

mod decode;
mod encode;
mod error;
pub mod file;
mod function;
mod packed;
mod read;
mod stream;
mod vector;
mod ziplist;

pub use decode::{Decoded, decode};
pub use encode::{Options, encode};
pub use error::BadData;
pub use function::{decode_functions, encode_functions};
pub use vector::VectorPayload;

use crate::base::crc::crc64;
use crate::keyspace::ValueRef;

/// The highest version of the format that is read: Redis 8.6 writes it.
pub const VERSION_MAX: u16 = 13;
/// What Valkey 9 calls its version of the format: the same with types of its own.
const VERSION_OF_VALKEY: u16 = 80;

/// Whose types these are: the same number stands for one thing in Redis and for another in Valkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Redis, and Valkey before 9.
    Redis,
    /// Valkey since 9.
    Valkey,
}

/// The version of the format that a dump file is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// The lowest one that can hold what is in it.
    #[default]
    Lowest,
    /// The same without what no version of Redis 8.0 can hold, which is left out: for followers.
    LowestOf8,
    /// This one of Redis, from 10 on.
    Redis(u16),
    /// That of Valkey 9, in its dialect.
    Valkey,
}

impl Version {
    /// What a file says whose values need at least this version.
    fn said(self, needed: u16) -> u16 {
        match self {
            Version::Lowest | Version::LowestOf8 => needed,
            Version::Redis(version) => version,
            Version::Valkey => VERSION_OF_VALKEY,
        }
    }

    /// Whether it can hold a value that needs at least this version.
    fn can_hold(self, needed: u16) -> bool {
        needed <= self.said(needed)
    }

    /// Whether streams tell when their consumers were active.
    fn has_active_times(self) -> bool {
        self.can_hold(stream::VERSION_OF_ACTIVE_TIMES)
    }

    /// Whether streams tell which ids of producers they remember.
    fn has_idempotence(self) -> bool {
        !matches!(self, Version::Valkey | Version::LowestOf8) && self.can_hold(stream::VERSION_OF_IDEMPOTENCE)
    }
}

/// Version and checksum.
const FOOTER_BYTES: usize = 10;

/// The types of values, one byte each. Redis: `RDB_TYPE_…`.
#[allow(missing_docs, reason = "the names are those of Redis")]
pub mod kind {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    pub const ZSET: u8 = 3;
    pub const HASH: u8 = 4;
    pub const ZSET_2: u8 = 5;
    pub const MODULE_PRE_GA: u8 = 6;
    pub const MODULE_2: u8 = 7;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM_LISTPACKS: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_LISTPACKS_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_LISTPACKS_3: u8 = 21;
    /// Valkey's hash with deadlines; in Redis one of a release candidate, with whole deadlines.
    pub const HASH_2: u8 = 22;
    /// A form of a release candidate of Redis.
    pub const HASH_LISTPACK_EX_PRE_GA: u8 = 23;
    pub const HASH_METADATA: u8 = 24;
    pub const HASH_LISTPACK_EX: u8 = 25;
    pub const STREAM_LISTPACKS_4: u8 = 26;
}

/// The node of a quicklist holds one element.
const NODE_PLAIN: u64 = 1;
/// The node of a quicklist is a listpack.
const NODE_PACKED: u64 = 2;

/// A value as DUMP gives it, in the lowest version that can hold it.
pub fn payload(value: ValueRef<'_>, options: Options) -> Vec<u8> {
    payload_as(value, options, Version::Lowest)
}

/// As [`payload`], for whoever reads this version.
pub fn payload_as(value: ValueRef<'_>, options: Options, version: Version) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut writer = encode::Writer::new(&mut payload, options);
    writer.version = version;
    let version = writer.value(value);
    seal(&mut payload, version);
    payload
}

/// The version that a payload says; 0 for one that is too short to say any.
pub fn version_of(payload: &[u8]) -> u16 {
    let at = payload.len().wrapping_sub(FOOTER_BYTES);
    payload.get(at..).and_then(|footer| footer.first_chunk()).map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

/// Appends version and checksum to an encoded value.
pub fn seal(payload: &mut Vec<u8>, version: u16) {
    payload.extend_from_slice(&version.to_le_bytes());
    let crc = crc64(0, payload);
    payload.extend_from_slice(&crc.to_le_bytes());
}

/// The encoded value in a payload whose version is known and whose checksum is right, and in whose words it is.
pub fn unseal(payload: &[u8]) -> Option<(&[u8], Dialect)> {
    let (value, dialect, crc) = unseal_unchecked(payload)?;
    // None, as in a file, is no wrong one.
    (crc == 0 || crc == crc64(0, &payload[..payload.len() - size_of::<u64>()])).then_some((value, dialect))
}

/// As [`unseal`], whatever the checksum is; it is returned.
pub fn unseal_unchecked(payload: &[u8]) -> Option<(&[u8], Dialect, u64)> {
    let value = payload.len().checked_sub(FOOTER_BYTES)?;
    let version = u16::from_le_bytes([payload[value], payload[value + 1]]);
    let crc = u64::from_le_bytes(payload[value + 2..].try_into().expect("eight bytes long"));
    let dialect = match version {
        0..=VERSION_MAX => Dialect::Redis,
        VERSION_OF_VALKEY => Dialect::Valkey,
        _ => return None,
    };
    Some((&payload[..value], dialect, crc))
}

#[cfg(test)]
pub(crate) mod tests;
