//! The configuration itself: one typed field for each directive that the server reads.
//!
//! A field is named after its directive, with the unit at its end; what it means stands in the row of the
//! table. [`Config::new`] fills every field from the default of its row, so that no default is written twice.

use crate::keyspace::Tuning;
use std::collections::BTreeMap;

use super::directive::Source;
use super::file::UserLine;
use super::table;
use super::values::{
    AclPubsubDefault, AppendFsync, DisklessLoad, LogFormat, LogLevel, LogTimestamp, MaxmemoryPolicy,
    Notifications, OomScoreAdj, OutputLimit, Permission, PropagationError, RdbVersion, RdbVersionCheck,
    SanitizeDump, ShutdownOn, Supervised, SyslogFacility,
};

/// Declares [`Config`] together with its blank state, which only [`Config::new`] sees: a derived `Default` would
/// offer everybody a configuration full of zeros.
macro_rules! config {
    ($($(#[$doc:meta])* pub $field:ident: $type:ty,)*) => {
        /// The values of all directives.
        #[derive(Clone, PartialEq)]
        pub struct Config {
            $($(#[$doc])* pub $field: $type,)*
            /// The values of directives without effect that were set, as text by name.
            pub(super) unread: BTreeMap<&'static str, Vec<u8>>,
        }

        impl Config {
            fn blank() -> Config {
                Config { $($field: <$type>::default(),)* unread: BTreeMap::new() }
            }
        }
    };
}

config! {
    // Network and clients.
    /// `port`.
    pub port: u16,
    /// `bind`.
    pub bind: Vec<String>,
    /// `bind-source-addr`.
    pub bind_source_addr: String,
    /// `unixsocket`.
    pub unixsocket: String,
    /// `unixsocketgroup`.
    pub unixsocketgroup: String,
    /// `unixsocketperm`.
    pub unixsocketperm: u32,
    /// `tcp-backlog`.
    pub tcp_backlog: u32,
    /// `tcp-keepalive`.
    pub tcp_keepalive_s: u32,
    /// `timeout`.
    pub timeout_s: u32,
    /// `maxclients`.
    pub maxclients: u32,
    /// `max-new-connections-per-cycle`.
    pub max_new_connections_per_cycle: u32,
    /// `protected-mode`.
    pub protected_mode: bool,
    /// `socket-mark-id`.
    pub socket_mark_id: u32,
    /// `mptcp`.
    pub mptcp: bool,
    /// `requirepass`.
    pub requirepass: Vec<u8>,
    /// `client-query-buffer-limit`.
    pub client_query_buffer_limit_bytes: u64,
    /// `client-output-buffer-limit`.
    pub client_output_buffer_limits: [OutputLimit; 3],
    /// `proto-max-bulk-len`.
    pub proto_max_bulk_len_bytes: u64,
    /// `maxmemory-clients`.
    pub maxmemory_clients: i64,
    /// `client-default-resp`.
    pub client_default_resp: u32,
    /// `req-res-logfile`.
    pub req_res_logfile: String,
    /// `min-string-size-avoid-copy-reply`.
    pub min_string_size_avoid_copy_reply_bytes: u32,
    /// `prefetch-batch-max-size`.
    pub prefetch_batch_max_size: u32,
    // The process.
    /// `daemonize`.
    pub daemonize: bool,
    /// `supervised`.
    pub supervised: Supervised,
    /// `pidfile`.
    pub pidfile: String,
    /// `dir`.
    pub dir: String,
    /// `databases`.
    pub databases: u32,
    /// `hz`.
    pub hz: u32,
    /// `always-show-logo`.
    pub always_show_logo: bool,
    /// `loglevel`.
    pub loglevel: LogLevel,
    /// `logfile`.
    pub logfile: String,
    /// `log-format`.
    pub log_format: LogFormat,
    /// `log-timestamp-format`.
    pub log_timestamp_format: LogTimestamp,
    /// `hide-user-data-from-log`.
    pub hide_user_data_from_log: bool,
    /// `syslog-enabled`.
    pub syslog_enabled: bool,
    /// `syslog-ident`.
    pub syslog_ident: String,
    /// `syslog-facility`.
    pub syslog_facility: SyslogFacility,
    /// `crash-log-enabled`.
    pub crash_log_enabled: bool,
    /// `crash-memcheck-enabled`.
    pub crash_memcheck_enabled: bool,
    /// `use-exit-on-panic`.
    pub use_exit_on_panic: bool,
    /// `watchdog-period`.
    pub watchdog_period_ms: u32,
    /// `disable-thp`.
    pub disable_thp: bool,
    /// `set-proc-title`.
    pub set_proc_title: bool,
    /// `proc-title-template`.
    pub proc_title_template: String,
    /// `locale-collate`.
    pub locale_collate: String,
    /// `oom-score-adj`.
    pub oom_score_adj: OomScoreAdj,
    /// `oom-score-adj-values`.
    pub oom_score_adj_values: [i32; 3],
    /// `shutdown-on-sigint`.
    pub shutdown_on_sigint: ShutdownOn,
    /// `shutdown-on-sigterm`.
    pub shutdown_on_sigterm: ShutdownOn,
    /// `shutdown-timeout`.
    pub shutdown_timeout_s: u32,
    /// `enable-protected-configs`.
    pub enable_protected_configs: Permission,
    /// `enable-debug-command`.
    pub enable_debug_command: Permission,
    /// `enable-module-command`.
    pub enable_module_command: Permission,
    /// `enable-debug-assert`.
    pub enable_debug_assert: bool,
    /// `debug-context`.
    pub debug_context: String,
    /// `propagation-error-behavior`.
    pub propagation_error_behavior: PropagationError,
    /// `ignore-warnings`.
    pub ignore_warnings: String,
    /// `availability-zone`.
    pub availability_zone: String,
    /// `extended-redis-compatibility`.
    pub extended_redis_compatibility: bool,
    /// `busy-reply-threshold`.
    pub busy_reply_threshold_ms: u64,
    /// `lua-enable-deprecated-api`.
    pub lua_enable_deprecated_api: bool,
    // Memory.
    /// `maxmemory`.
    pub maxmemory_bytes: u64,
    /// `maxmemory-policy`.
    pub maxmemory_policy: MaxmemoryPolicy,
    /// `maxmemory-samples`.
    pub maxmemory_samples: u32,
    /// `maxmemory-eviction-tenacity`.
    pub maxmemory_eviction_tenacity: u32,
    /// `key-memory-histograms`.
    pub key_memory_histograms: bool,
    /// `lfu-log-factor`.
    pub lfu_log_factor: u32,
    /// `lfu-decay-time`.
    pub lfu_decay_time_min: u32,
    /// `lazyfree-lazy-eviction`.
    pub lazyfree_lazy_eviction: bool,
    /// `lazyfree-lazy-expire`.
    pub lazyfree_lazy_expire: bool,
    /// `lazyfree-lazy-server-del`.
    pub lazyfree_lazy_server_del: bool,
    /// `lazyfree-lazy-user-del`.
    pub lazyfree_lazy_user_del: bool,
    /// `lazyfree-lazy-user-flush`.
    pub lazyfree_lazy_user_flush: bool,
    // Keyspace and data types.
    /// Sizes at which the data types change their encoding.
    pub tuning: Tuning,
    /// `notify-keyspace-events`.
    pub notify_keyspace_events: Notifications,
    /// `tracking-table-max-keys`.
    pub tracking_table_max_keys: u64,
    /// `import-mode`.
    pub import_mode: bool,
    /// `hash-seed`.
    pub hash_seed: String,
    // What is observed.
    /// `slowlog-log-slower-than`.
    pub slowlog_log_slower_than_us: i64,
    /// `slowlog-max-len`.
    pub slowlog_max_len: u64,
    /// `commandlog-request-larger-than`.
    pub commandlog_request_larger_than_bytes: i64,
    /// `commandlog-large-request-max-len`.
    pub commandlog_large_request_max_len: u64,
    /// `commandlog-reply-larger-than`.
    pub commandlog_reply_larger_than_bytes: i64,
    /// `commandlog-large-reply-max-len`.
    pub commandlog_large_reply_max_len: u64,
    /// `latency-monitor-threshold`.
    pub latency_monitor_threshold_ms: u64,
    /// `latency-tracking`.
    pub latency_tracking: bool,
    /// `latency-tracking-info-percentiles`.
    pub latency_tracking_info_percentiles: Vec<f64>,
    // Persistence.
    /// `save`.
    pub save: Vec<(u64, u64)>,
    /// `stop-writes-on-bgsave-error`.
    pub stop_writes_on_bgsave_error: bool,
    /// `rdbcompression`.
    pub rdbcompression: bool,
    /// `rdbchecksum`.
    pub rdbchecksum: bool,
    /// `dbfilename`.
    pub dbfilename: String,
    /// `rdb-del-sync-files`.
    pub rdb_del_sync_files: bool,
    /// `rdb-save-incremental-fsync`.
    pub rdb_save_incremental_fsync: bool,
    /// `rdb-key-save-delay`.
    pub rdb_key_save_delay_us: i32,
    /// `key-load-delay`.
    pub key_load_delay_us: i32,
    /// `loading-process-events-interval-bytes`.
    pub loading_process_events_interval_bytes: u32,
    /// `sanitize-dump-payload`.
    pub sanitize_dump_payload: SanitizeDump,
    /// `rdb-version`.
    pub rdb_version: RdbVersion,
    /// `snapshot-held-max`.
    pub snapshot_held_max_bytes: u64,
    /// `rdb-version-check`.
    pub rdb_version_check: RdbVersionCheck,
    /// `appendonly`.
    pub appendonly: bool,
    /// `appendfilename`.
    pub appendfilename: String,
    /// `appenddirname`.
    pub appenddirname: String,
    /// `appendfsync`.
    pub appendfsync: AppendFsync,
    /// `no-appendfsync-on-rewrite`.
    pub no_appendfsync_on_rewrite: bool,
    /// `auto-aof-rewrite-percentage`.
    pub auto_aof_rewrite_percentage: u32,
    /// `auto-aof-rewrite-min-size`.
    pub auto_aof_rewrite_min_size_bytes: u64,
    /// `aof-rewrite-incremental-fsync`.
    pub aof_rewrite_incremental_fsync: bool,
    /// `aof-load-truncated`.
    pub aof_load_truncated: bool,
    /// `aof-load-corrupt-tail-max-size`.
    pub aof_load_corrupt_tail_bytes_max: u64,
    /// `aof-integrity-check`.
    pub aof_integrity_check: bool,
    /// `aof-use-rdb-preamble`.
    pub aof_use_rdb_preamble: bool,
    /// `aof-timestamp-enabled`.
    pub aof_timestamp_enabled: bool,
    /// `aof-disable-auto-gc`.
    pub aof_disable_auto_gc: bool,
    /// `backupdirname`.
    pub backupdirname: String,
    /// `preload-file`; empty for none.
    pub preload_file: String,
    /// `backup-sealed-ttl`.
    pub backup_sealed_ttl_s: u64,
    // Replication.
    /// `replicaof`.
    pub replicaof: Option<(String, u16)>,
    /// `masterauth`.
    pub masterauth: Vec<u8>,
    /// `masteruser`.
    pub masteruser: Vec<u8>,
    /// `replica-serve-stale-data`.
    pub replica_serve_stale_data: bool,
    /// `replica-read-only`.
    pub replica_read_only: bool,
    /// `replica-ignore-maxmemory`.
    pub replica_ignore_maxmemory: bool,
    /// `replica-lazy-flush`.
    pub replica_lazy_flush: bool,
    /// `replica-announced`.
    pub replica_announced: bool,
    /// `replica-ignore-disk-write-errors`.
    pub replica_ignore_disk_write_errors: bool,
    /// `replica-announce-ip`.
    pub replica_announce_ip: String,
    /// `replica-announce-port`.
    pub replica_announce_port: u16,
    /// `replica-priority`.
    pub replica_priority: u32,
    /// `min-replicas-to-write`.
    pub min_replicas_to_write: u32,
    /// `min-replicas-max-lag`.
    pub min_replicas_max_lag_s: u32,
    /// `repl-timeout`.
    pub repl_timeout_s: u32,
    /// `repl-ping-replica-period`.
    pub repl_ping_replica_period_s: u32,
    /// `repl-backlog-size`.
    pub repl_backlog_size_bytes: u64,
    /// `repl-backlog-ttl`.
    pub repl_backlog_ttl_s: u64,
    /// `repl-disable-tcp-nodelay`.
    pub repl_disable_tcp_nodelay: bool,
    /// `repl-diskless-sync`.
    pub repl_diskless_sync: bool,
    /// `repl-diskless-sync-delay`.
    pub repl_diskless_sync_delay_s: u32,
    /// `repl-diskless-sync-max-replicas`.
    pub repl_diskless_sync_max_replicas: u32,
    /// `repl-diskless-load`.
    pub repl_diskless_load: DisklessLoad,
    /// `repl-rdb-channel`.
    pub repl_rdb_channel: bool,
    /// `replica-full-sync-buffer-limit`.
    pub replica_full_sync_buffer_limit_bytes: u64,
    /// `dual-channel-replication-enabled`.
    pub dual_channel_replication_enabled: bool,
    /// `repl-mptcp`.
    pub repl_mptcp: bool,
    // Users.
    /// `aclfile`.
    pub aclfile: String,
    /// `acllog-max-len`.
    pub acllog_max_len: u64,
    /// `acl-pubsub-default`.
    pub acl_pubsub_default: AclPubsubDefault,
    // Cluster.
    /// `cluster-enabled`.
    pub cluster_enabled: bool,
    // From files only.
    /// `rename-command`: old and new name, in order.
    pub rename_commands: Vec<(Vec<u8>, Vec<u8>)>,
    /// `user`: the lines.
    pub users: Vec<UserLine>,
    /// `loadmodule`: the arguments of each line.
    pub load_modules: Vec<Vec<Vec<u8>>>,
}

impl Config {
    /// The defaults: those of Redis 8.0.
    pub fn new() -> Config {
        let mut config = Config::blank();
        for row in table::directives() {
            let args: Vec<&[u8]> = match (row.flags.multi, row.default) {
                (true, "") => continue,
                (true, default) => default.as_bytes().split(|&byte| byte == b' ').collect(),
                (false, default) => vec![default.as_bytes()],
            };
            if let Err(reason) = row.assign(&mut config, &args, Source::Client) {
                panic!("the default of {} is refused: {reason}", row.name);
            }
        }
        config.unread.clear();
        config
    }

    /// The command by which the removal of an expired key is propagated.
    pub fn verb_of_expiry(&self) -> &'static [u8] {
        if self.lazyfree_lazy_expire { b"UNLINK" } else { b"DEL" }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config::new()
    }
}
