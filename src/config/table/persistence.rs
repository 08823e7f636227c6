//! Dump files and the append only file.

use super::super::directive::{
    Directive, Effect, I32, I64, Origin, Why, choice, flag, memory, number, special, text,
};
use super::super::values::{AppendFsync, RdbVersion, RdbVersionCheck, SanitizeDump};
use super::super::{check, syntax};

pub(super) const ROWS: &[Directive] = &[
    special("save", "3600 1 300 100 60 10000", syntax::set_save, syntax::get_save, Some(syntax::save_lines))
        .multi()
        .applies(Effect::Saving)
        .doc("Pairs of seconds and changes: a dump is saved when that many keys changed in that time."),
    flag("stop-writes-on-bgsave-error", "yes", |c| &mut c.stop_writes_on_bgsave_error)
        .applies(Effect::Saving)
        .doc("Refuses writes after a dump could not be saved."),
    flag("rdbcompression", "yes", |c| &mut c.rdbcompression).doc("Compresses strings in dump files."),
    flag("rdbchecksum", "yes", |c| &mut c.rdbchecksum)
        .immutable()
        .doc("Ends dump files with a checksum, and checks it."),
    text("dbfilename", "dump.rdb", |c| &mut c.dbfilename)
        .protected()
        .check(check::dbfilename)
        .doc("Name of the dump file in the working directory."),
    flag("rdb-del-sync-files", "no", |c| &mut c.rdb_del_sync_files)
        .doc("Removes dump files that replication left where persistence is off."),
    flag("rdb-save-incremental-fsync", "yes", |c| &mut c.rdb_save_incremental_fsync)
        .doc("Syncs a dump file every few megabytes while it is written."),
    number("rdb-key-save-delay", "0", i32::MIN as i128, I32, |c| &mut c.rdb_key_save_delay_us)
        .hidden()
        .applies(Effect::Saving)
        .doc("Microseconds to wait after each key saved, for tests; negative waits once in so many keys."),
    number("key-load-delay", "0", i32::MIN as i128, I32, |c| &mut c.key_load_delay_us)
        .hidden()
        .doc("Microseconds to wait after each key loaded, for tests; negative waits once in so many keys."),
    number("loading-process-events-interval-bytes", "524288", 1024, I32, |c| {
        &mut c.loading_process_events_interval_bytes
    })
    .hidden()
    .doc("Bytes of a file that are loaded before clients are looked after."),
    choice("sanitize-dump-payload", "no", SanitizeDump::NAMES, |c| &mut c.sanitize_dump_payload)
        .debug()
        .origin(Origin::Redis)
        .inert(Why::Persistence)
        .doc("Whether packed values are checked in full when they are loaded or restored."),
    choice("rdb-version", "auto", RdbVersion::NAMES, |c| &mut c.rdb_version)
        .origin(Origin::Ours)
        .doc("Version of the format of dump files: the lowest that can hold the keys, or this one; 80 is Valkey 9's."),
    memory("snapshot-held-max", "0", 0, I64, |c| &mut c.snapshot_held_max_bytes)
        .origin(Origin::Ours)
        .doc("Bytes of old values that a save may hold; one that holds more fails. 0: any number."),
    choice("rdb-version-check", "strict", RdbVersionCheck::NAMES, |c| &mut c.rdb_version_check)
        .origin(Origin::Valkey)
        .doc("Whether dump files of an unknown version are refused."),
    flag("appendonly", "no", |c| &mut c.appendonly)
        .applies(Effect::AppendOnly)
        .doc("Keeps an append only file."),
    text("appendfilename", "appendonly.aof", |c| &mut c.appendfilename)
        .immutable()
        .check(check::appendfilename)
        .doc("Base of the names of the append only files."),
    text("appenddirname", "appendonlydir", |c| &mut c.appenddirname)
        .immutable()
        .check(check::appenddirname)
        .doc("Directory of the append only files, within the working directory."),
    choice("appendfsync", "everysec", AppendFsync::NAMES, |c| &mut c.appendfsync)
        .applies(Effect::AppendFsync)
        .doc(
            "When the append only file is synced: every second, before each reply, or when the system likes.",
        ),
    flag("no-appendfsync-on-rewrite", "no", |c| &mut c.no_appendfsync_on_rewrite)
        .doc("Does not sync the append only file while a dump or a rewrite is written."),
    number("auto-aof-rewrite-percentage", "100", 0, I32, |c| &mut c.auto_aof_rewrite_percentage)
        .doc("Growth in percent since the last rewrite that starts the next one; 0 starts none."),
    memory("auto-aof-rewrite-min-size", "67108864", 0, I64, |c| &mut c.auto_aof_rewrite_min_size_bytes)
        .doc("Bytes below which the append only file is not rewritten by itself."),
    flag("aof-rewrite-incremental-fsync", "yes", |c| &mut c.aof_rewrite_incremental_fsync)
        .doc("Syncs a rewritten file every few megabytes while it is written."),
    flag("aof-load-truncated", "yes", |c| &mut c.aof_load_truncated)
        .doc("Loads an append only file whose end is cut off, up to the last whole command."),
    memory("aof-load-corrupt-tail-max-size", "0", 0, I64, |c| &mut c.aof_load_corrupt_tail_bytes_max)
        .doc("Bytes at the end of an append only file that are cut off although they are not only incomplete but damaged."),
    flag("aof-integrity-check", "no", |c| &mut c.aof_integrity_check)
        .doc("Writes length and checksum in front of each batch of the append only file, as a remark."),
    flag("aof-use-rdb-preamble", "yes", |c| &mut c.aof_use_rdb_preamble)
        .doc("Writes the base of the append only file in the format of dumps."),
    flag("aof-timestamp-enabled", "no", |c| &mut c.aof_timestamp_enabled)
        .doc("Notes the time in the append only file, so that it can be cut at a moment."),
    flag("aof-disable-auto-gc", "no", |c| &mut c.aof_disable_auto_gc)
        .hidden()
        .applies(Effect::AofGarbage)
        .doc("Leaves append only files that are no longer needed."),
    text("backupdirname", "backupdir", |c| &mut c.backupdirname)
        .origin(Origin::Redis810)
        .immutable()
        .check(check::backupdirname)
        .doc("Directory of the backup, within the working directory."),
    number("backup-sealed-ttl", "0", 0, I64, |c| &mut c.backup_sealed_ttl_s)
        .origin(Origin::Redis810)
        .applies(Effect::Backup)
        .doc("Seconds after which a sealed backup is removed; 0 keeps it."),
    text("preload-file", "", |c| &mut c.preload_file)
        .origin(Origin::Redis810)
        .immutable()
        .check(check::preload_file)
        .doc("What is loaded at the start in place of anything else: `rdb:` or `aof:` and an absolute path."),
];
