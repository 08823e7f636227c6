//! What was removed and still has to be freed.
//!
//! Freeing a value of 100 MB or a database of millions of keys takes milliseconds, most of them in the kernel. So
//! whatever is large is moved out of the keyspace in constant time and handed to the shell, which frees it on its
//! helper thread; the bytes count as freed from the moment at which they are queued.

use super::db::Db;
use super::value::Value;
use std::any::Any;

/// A value below this is freed where it is removed: that is cheaper than a message to another thread.
pub const FREE_AT_ONCE_BYTES: usize = 64 * 1024;

/// A value of more pieces of memory than this is freed elsewhere, too. Redis: `LAZYFREE_THRESHOLD`.
pub const FREE_AT_ONCE_NODES: usize = 64;

/// Something that nobody can reach any more.
#[derive(Debug)]
pub enum Garbage {
    /// One large value.
    Value(Value),
    /// All that some databases held.
    Databases(Vec<Db>),
    /// What somebody above the keyspace kept about its keys, and its bytes.
    Other(Box<dyn Any + Send>, usize),
}

impl Garbage {
    /// Objects that the statistics count when it is freed.
    pub fn objects(&self) -> u64 {
        match self {
            Garbage::Value(_) => 1,
            Garbage::Other(..) => 0,
            Garbage::Databases(dbs) => dbs.iter().map(|db| db.len() as u64).sum(),
        }
    }

    /// Memory that comes back, in bytes.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Garbage::Value(value) => value.heap_bytes(),
            Garbage::Other(_, bytes) => *bytes,
            Garbage::Databases(dbs) => dbs.iter().map(Db::used_bytes).sum(),
        }
    }
}
