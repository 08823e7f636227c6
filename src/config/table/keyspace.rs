//! Encodings of the data types, and who learns of changes.

use super::super::directive::{
    Directive, Effect, I32, I64, Origin, Why, flag, memory, number, optional, special,
};
use super::super::{check, syntax};
use crate::keyspace::types::stream::{DURATION_S_LIMIT, IDS_LIMIT};

pub(super) const ROWS: &[Directive] = &[
    number("hash-max-listpack-entries", "512", 0, I64, |c| &mut c.tuning.hash_max_listpack_entries)
        .alias("hash-max-ziplist-entries")
        .doc("Fields up to which a hash stays a listpack."),
    memory("hash-max-listpack-value", "64", 0, I64, |c| &mut c.tuning.hash_max_listpack_value_bytes)
        .alias("hash-max-ziplist-value")
        .doc("Bytes of a field or value up to which a hash stays a listpack."),
    number("list-max-listpack-size", "-2", i32::MIN as i128, I32, |c| &mut c.tuning.list_max_listpack_size)
        .alias("list-max-ziplist-size")
        .doc("Elements in a node of a list, or from -1 to -5 its size: 4, 8, 16, 32 or 64 KiB."),
    number("list-compress-depth", "0", 0, I32, |c| &mut c.tuning.list_compress_depth)
        .debug()
        .doc("Nodes at either end of a list that are never compressed; 0 compresses none."),
    number("set-max-intset-entries", "512", 0, I64, |c| &mut c.tuning.set_max_intset_entries)
        .doc("Members up to which a set of integers stays an intset."),
    number("set-max-listpack-entries", "128", 0, I64, |c| &mut c.tuning.set_max_listpack_entries)
        .origin(Origin::SinceRedis8)
        .doc("Members up to which a set stays a listpack."),
    number("set-max-listpack-value", "64", 0, I64, |c| &mut c.tuning.set_max_listpack_value_bytes)
        .origin(Origin::SinceRedis8)
        .doc("Bytes of a member up to which a set stays a listpack."),
    number("zset-max-listpack-entries", "128", 0, I64, |c| &mut c.tuning.zset_max_listpack_entries)
        .alias("zset-max-ziplist-entries")
        .doc("Members up to which a sorted set stays a listpack."),
    memory("zset-max-listpack-value", "64", 0, I64, |c| &mut c.tuning.zset_max_listpack_value_bytes)
        .alias("zset-max-ziplist-value")
        .doc("Bytes of a member up to which a sorted set stays a listpack."),
    memory("hll-sparse-max-bytes", "3000", 0, I64, |c| &mut c.tuning.hll_sparse_max_bytes)
        .doc("Bytes up to which a HyperLogLog stays sparse."),
    memory("stream-node-max-bytes", "4096", 0, I64, |c| &mut c.tuning.stream_node_max_bytes)
        .doc("Bytes of one node of a stream; 0 sets no limit."),
    number("stream-node-max-entries", "100", 0, I64, |c| &mut c.tuning.stream_node_max_entries)
        .doc("Entries in one node of a stream; 0 sets no limit."),
    number("stream-idmp-duration", "100", 1, DURATION_S_LIMIT as i128, |c| {
        &mut c.tuning.stream_idmp_duration_s
    })
    .origin(Origin::Redis86)
    .doc("Seconds for which a new stream remembers the ids that producers give to entries."),
    number("stream-idmp-maxsize", "100", 1, IDS_LIMIT as i128, |c| &mut c.tuning.stream_idmp_ids_max)
        .origin(Origin::Redis86)
        .doc("Ids of each producer that a new stream remembers."),
    special(
        "key-memory-histograms",
        "no",
        syntax::set_key_memory_histograms,
        |c| if c.key_memory_histograms { "yes" } else { "no" }.to_owned(),
        None,
    )
    .applies(Effect::KeyMemory)
    .origin(Origin::Redis86)
    .doc("INFO keysizes shows how much memory collections take, too. It can be switched off, but on at the start only."),
    special(
        "notify-keyspace-events",
        "",
        syntax::set_notifications,
        |c| c.notify_keyspace_events.to_string(),
        Some(syntax::notification_lines),
    )
    .applies(Effect::Notifications)
    .doc("Classes of changes to keys that are published, one letter each; empty publishes none."),
    number("tracking-table-max-keys", "1000000", 0, I64, |c| &mut c.tracking_table_max_keys)
        .doc("Keys remembered for clients that track what they have cached; 0 sets no limit."),
    flag("import-mode", "no", |c| &mut c.import_mode)
        .debug()
        .origin(Origin::Valkey)
        .applies(Effect::ImportMode)
        .doc("Leaves expired keys in place, and evicts none, while a client imports a dataset."),
    optional("hash-seed", |c| &mut c.hash_seed)
        .immutable()
        .check(check::hash_seed)
        .origin(Origin::Valkey)
        .inert(Why::Persistence)
        .doc("Seed of the hash function of the keyspace; empty draws one."),
];
