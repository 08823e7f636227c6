//! At which sizes the data types change their encoding: thresholds that the configuration sets.

use crate::base::hash::HashKey;

/// The thresholds, named as the directives are, and the key under which members are hashed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tuning {
    /// The key under which all tables hash.
    pub hash_key: HashKey,
    /// Elements in a node of a list; negative, from -1 to -5: its size, 4 KiB to 64 KiB.
    pub list_max_listpack_size: i32,
    /// Nodes at either end of a list that are never compressed; 0: none is.
    pub list_compress_depth: u32,
    /// Fields up to which a hash stays a listpack.
    pub hash_max_listpack_entries: u64,
    /// Bytes of a field or value up to which a hash stays a listpack.
    pub hash_max_listpack_value_bytes: u64,
    /// Members up to which a set of integers stays an intset.
    pub set_max_intset_entries: u64,
    /// Members up to which a set stays a listpack.
    pub set_max_listpack_entries: u64,
    /// Bytes of a member up to which a set stays a listpack.
    pub set_max_listpack_value_bytes: u64,
    /// Members up to which a sorted set stays a listpack.
    pub zset_max_listpack_entries: u64,
    /// Bytes of a member up to which a sorted set stays a listpack.
    pub zset_max_listpack_value_bytes: u64,
    /// Bytes up to which a HyperLogLog stays sparse.
    pub hll_sparse_max_bytes: u64,
    /// Bytes of one node of a stream; 0: any number.
    pub stream_node_max_bytes: u64,
    /// Entries of one node of a stream; 0: any number.
    pub stream_node_max_entries: u64,
    /// For how long a new stream remembers the ids of its producers, in seconds; 0: 100.
    pub stream_idmp_duration_s: u32,
    /// How many ids of a producer a new stream remembers; 0: 100.
    pub stream_idmp_ids_max: u32,
    /// DEBUG QUICKLIST-PACKED-THRESHOLD: bytes from which an element of a list gets a node of its own; 0: by the size of
    /// the nodes.
    pub list_packed_threshold_bytes: u64,
    /// DEBUG SET-SKIP-CHECKSUM-VALIDATION: the checksums of dumps are not looked at.
    pub skips_checksums: bool,
}
