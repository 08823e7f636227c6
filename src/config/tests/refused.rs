//! What Redis 8.0.6 answers to CONFIG SET of bad values.

/// Directive, value, error.
pub(super) const REFUSED: &[(&str, &str, &str)] = &[
    (
        "port",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'port') - argument must be between 0 and 65535 inclusive",
    ),
    (
        "port",
        "65536",
        "ERR CONFIG SET failed (possibly related to argument 'port') - argument must be between 0 and 65535 inclusive",
    ),
    (
        "port",
        "abc",
        "ERR CONFIG SET failed (possibly related to argument 'port') - argument couldn't be parsed into an integer",
    ),
    (
        "port",
        "",
        "ERR CONFIG SET failed (possibly related to argument 'port') - argument couldn't be parsed into an integer",
    ),
    (
        "port",
        "01",
        "ERR CONFIG SET failed (possibly related to argument 'port') - argument couldn't be parsed into an integer",
    ),
    (
        "port",
        " 1",
        "ERR CONFIG SET failed (possibly related to argument 'port') - argument couldn't be parsed into an integer",
    ),
    (
        "port",
        "+1",
        "ERR CONFIG SET failed (possibly related to argument 'port') - argument couldn't be parsed into an integer",
    ),
    (
        "timeout",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'timeout') - argument must be between 0 and 2147483647 inclusive",
    ),
    (
        "timeout",
        "2147483648",
        "ERR CONFIG SET failed (possibly related to argument 'timeout') - argument must be between 0 and 2147483647 inclusive",
    ),
    (
        "tcp-keepalive",
        "x",
        "ERR CONFIG SET failed (possibly related to argument 'tcp-keepalive') - argument couldn't be parsed into an integer",
    ),
    (
        "maxclients",
        "0",
        "ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument must be between 1 and 4294967295 inclusive",
    ),
    (
        "maxclients",
        "4294967296",
        "ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument must be between 1 and 4294967295 inclusive",
    ),
    (
        "maxclients",
        "-5",
        "ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument must be between 1 and 4294967295 inclusive",
    ),
    (
        "protected-mode",
        "maybe",
        "ERR CONFIG SET failed (possibly related to argument 'protected-mode') - argument must be 'yes' or 'no'",
    ),
    (
        "protected-mode",
        "",
        "ERR CONFIG SET failed (possibly related to argument 'protected-mode') - argument must be 'yes' or 'no'",
    ),
    (
        "appendonly",
        "1",
        "ERR CONFIG SET failed (possibly related to argument 'appendonly') - argument must be 'yes' or 'no'",
    ),
    (
        "maxmemory",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value",
    ),
    (
        "maxmemory",
        "1tb",
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value",
    ),
    (
        "maxmemory",
        "1 mb",
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value",
    ),
    (
        "maxmemory",
        "1.5mb",
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value",
    ),
    (
        "maxmemory",
        "abc",
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value",
    ),
    (
        "maxmemory-clients",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - argument must be a memory or percent value",
    ),
    (
        "maxmemory-clients",
        "101%",
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - percentage argument must be less or equal to 100",
    ),
    (
        "maxmemory-clients",
        "200%",
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - percentage argument must be less or equal to 100",
    ),
    (
        "maxmemory-clients",
        "-5%",
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - argument must be a memory or percent value",
    ),
    (
        "maxmemory-clients",
        "x%",
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - argument must be a memory or percent value",
    ),
    (
        "maxmemory-clients",
        "9223372036854775808",
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - percentage argument must be less or equal to 100",
    ),
    (
        "maxmemory-policy",
        "lru",
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory-policy') - argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, volatile-lrm, allkeys-lru, allkeys-lfu, allkeys-random, allkeys-lrm, noeviction",
    ),
    (
        "maxmemory-policy",
        "",
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory-policy') - argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, volatile-lrm, allkeys-lru, allkeys-lfu, allkeys-random, allkeys-lrm, noeviction",
    ),
    (
        "maxmemory-samples",
        "0",
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory-samples') - argument must be between 1 and 64 inclusive",
    ),
    (
        "maxmemory-samples",
        "65",
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory-samples') - argument must be between 1 and 64 inclusive",
    ),
    (
        "loglevel",
        "loud",
        "ERR CONFIG SET failed (possibly related to argument 'loglevel') - argument(s) must be one of the following: debug, verbose, notice, warning, nothing",
    ),
    (
        "client-query-buffer-limit",
        "1",
        "ERR CONFIG SET failed (possibly related to argument 'client-query-buffer-limit') - argument must be between 1048576 and 9223372036854775807 inclusive",
    ),
    (
        "client-query-buffer-limit",
        "9223372036854775808",
        "ERR CONFIG SET failed (possibly related to argument 'client-query-buffer-limit') - argument must be between 1048576 and 9223372036854775807 inclusive",
    ),
    (
        "client-query-buffer-limit",
        "invalid",
        "ERR CONFIG SET failed (possibly related to argument 'client-query-buffer-limit') - argument must be a memory value",
    ),
    (
        "proto-max-bulk-len",
        "1023",
        "ERR CONFIG SET failed (possibly related to argument 'proto-max-bulk-len') - argument must be between 1048576 and 9223372036854775807 inclusive",
    ),
    (
        "repl-backlog-size",
        "0",
        "ERR CONFIG SET failed (possibly related to argument 'repl-backlog-size') - argument must be between 1 and 9223372036854775807 inclusive",
    ),
    (
        "repl-timeout",
        "0",
        "ERR CONFIG SET failed (possibly related to argument 'repl-timeout') - argument must be between 1 and 2147483647 inclusive",
    ),
    (
        "hz",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'hz') - argument must be between 0 and 2147483647 inclusive",
    ),
    (
        "hz",
        "x",
        "ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer",
    ),
    (
        "lfu-log-factor",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'lfu-log-factor') - argument must be between 0 and 2147483647 inclusive",
    ),
    (
        "appendfsync",
        "sometimes",
        "ERR CONFIG SET failed (possibly related to argument 'appendfsync') - argument(s) must be one of the following: everysec, always, no",
    ),
    (
        "oom-score-adj",
        "maybe",
        "ERR CONFIG SET failed (possibly related to argument 'oom-score-adj') - argument(s) must be one of the following: no, yes, relative, absolute",
    ),
    (
        "oom-score-adj-values",
        "1 2",
        "ERR CONFIG SET failed (possibly related to argument 'oom-score-adj-values') - wrong number of arguments",
    ),
    (
        "oom-score-adj-values",
        "1 2 3 4",
        "ERR CONFIG SET failed (possibly related to argument 'oom-score-adj-values') - wrong number of arguments",
    ),
    (
        "oom-score-adj-values",
        "1 2 x",
        "ERR CONFIG SET failed (possibly related to argument 'oom-score-adj-values') - Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
    ),
    (
        "oom-score-adj-values",
        "-2001 0 0",
        "ERR CONFIG SET failed (possibly related to argument 'oom-score-adj-values') - Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
    ),
    (
        "oom-score-adj-values",
        "0 0 2001",
        "ERR CONFIG SET failed (possibly related to argument 'oom-score-adj-values') - Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
    ),
    (
        "oom-score-adj-values",
        "",
        "ERR CONFIG SET failed (possibly related to argument 'oom-score-adj-values') - wrong number of arguments",
    ),
    ("save", "1", "ERR CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters"),
    (
        "save",
        "1 2 3",
        "ERR CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters",
    ),
    ("save", "0 1", "ERR CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters"),
    ("save", "1 -1", "ERR CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters"),
    ("save", "a b", "ERR CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters"),
    (
        "save",
        "60  1",
        "ERR CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters",
    ),
    (
        "save",
        " 60 1",
        "ERR CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters",
    ),
    (
        "notify-keyspace-events",
        "KEAq",
        "ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
    ),
    (
        "notify-keyspace-events",
        "K E",
        "ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
    ),
    (
        "client-output-buffer-limit",
        "normal 1 2",
        "ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Wrong number of arguments in buffer limit configuration.",
    ),
    (
        "client-output-buffer-limit",
        "master 1 2 3",
        "ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Invalid client class specified in buffer limit configuration.",
    ),
    (
        "client-output-buffer-limit",
        "other 1 2 3",
        "ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Invalid client class specified in buffer limit configuration.",
    ),
    (
        "client-output-buffer-limit",
        "normal x 2 3",
        "ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Error in hard, soft or soft_seconds setting in buffer limit configuration.",
    ),
    (
        "client-output-buffer-limit",
        "normal 1 -2 3",
        "ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Error in hard, soft or soft_seconds setting in buffer limit configuration.",
    ),
    (
        "client-output-buffer-limit",
        "normal 1 2 3x",
        "ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Error in hard, soft or soft_seconds setting in buffer limit configuration.",
    ),
    (
        "client-output-buffer-limit",
        "normal 1 2 -3",
        "ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Error in hard, soft or soft_seconds setting in buffer limit configuration.",
    ),
    (
        "latency-tracking-info-percentiles",
        "101",
        "ERR CONFIG SET failed (possibly related to argument 'latency-tracking-info-percentiles') - latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
    ),
    (
        "latency-tracking-info-percentiles",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'latency-tracking-info-percentiles') - latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
    ),
    (
        "latency-tracking-info-percentiles",
        "a",
        "ERR CONFIG SET failed (possibly related to argument 'latency-tracking-info-percentiles') - Invalid latency-tracking-info-percentiles parameters",
    ),
    (
        "latency-tracking-info-percentiles",
        "50  60",
        "ERR CONFIG SET failed (possibly related to argument 'latency-tracking-info-percentiles') - Invalid latency-tracking-info-percentiles parameters",
    ),
    (
        "latency-tracking-info-percentiles",
        "nan",
        "ERR CONFIG SET failed (possibly related to argument 'latency-tracking-info-percentiles') - Invalid latency-tracking-info-percentiles parameters",
    ),
    (
        "latency-tracking-info-percentiles",
        "inf",
        "ERR CONFIG SET failed (possibly related to argument 'latency-tracking-info-percentiles') - latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
    ),
    (
        "shutdown-on-sigint",
        "",
        "ERR CONFIG SET failed (possibly related to argument 'shutdown-on-sigint') - argument(s) must be one of the following: default, save, nosave, now, force",
    ),
    (
        "shutdown-on-sigint",
        "now please",
        "ERR CONFIG SET failed (possibly related to argument 'shutdown-on-sigint') - argument(s) must be one of the following: default, save, nosave, now, force",
    ),
    (
        "shutdown-on-sigint",
        "save nosave",
        "ERR CONFIG SET failed (possibly related to argument 'shutdown-on-sigint') - shutdown options SAVE and NOSAVE can't be used simultaneously",
    ),
    (
        "shutdown-on-sigterm",
        "nosave  now",
        "ERR CONFIG SET failed (possibly related to argument 'shutdown-on-sigterm') - argument(s) must be one of the following: default, save, nosave, now, force",
    ),
    (
        "dbfilename",
        "a/b",
        "ERR CONFIG SET failed (possibly related to argument 'dbfilename') - dbfilename can't be a path, just a filename",
    ),
    (
        "appendfilename",
        "x",
        "ERR CONFIG SET failed (possibly related to argument 'appendfilename') - can't set immutable config",
    ),
    (
        "daemonize",
        "yes",
        "ERR CONFIG SET failed (possibly related to argument 'daemonize') - can't set immutable config",
    ),
    (
        "databases",
        "17",
        "ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config",
    ),
    (
        "unixsocketperm",
        "999",
        "ERR CONFIG SET failed (possibly related to argument 'unixsocketperm') - can't set immutable config",
    ),
    (
        "replicaof",
        "localhost 1",
        "ERR CONFIG SET failed (possibly related to argument 'replicaof') - can't set immutable config",
    ),
    (
        "slaveof",
        "localhost 1",
        "ERR CONFIG SET failed (possibly related to argument 'slaveof') - can't set immutable config",
    ),
    ("rename-command", "a b", "ERR Unknown option or number of arguments for CONFIG SET - 'rename-command'"),
    ("include", "x", "ERR Unknown option or number of arguments for CONFIG SET - 'include'"),
    ("nothing", "1", "ERR Unknown option or number of arguments for CONFIG SET - 'nothing'"),
    (
        "proc-title-template",
        "{x}",
        "ERR CONFIG SET failed (possibly related to argument 'proc-title-template') - template format is invalid or contains unknown variables",
    ),
    (
        "proc-title-template",
        "",
        "ERR CONFIG SET failed (possibly related to argument 'proc-title-template') - template format is invalid or contains unknown variables",
    ),
    (
        "proc-title-template",
        "{title",
        "ERR CONFIG SET failed (possibly related to argument 'proc-title-template') - template format is invalid or contains unknown variables",
    ),
    (
        "cluster-announce-hostname",
        "a b",
        "ERR CONFIG SET failed (possibly related to argument 'cluster-announce-hostname') - Hostnames may only contain alphanumeric characters, hyphens or dots",
    ),
    (
        "cluster-announce-human-nodename",
        "a{b",
        "ERR CONFIG SET failed (possibly related to argument 'cluster-announce-human-nodename') - Announced human node name contained invalid character",
    ),
    (
        "cluster-node-timeout",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'cluster-node-timeout') - argument must be between 0 and 9223372036854775807 inclusive",
    ),
    (
        "cluster-preferred-endpoint-type",
        "dns",
        "ERR CONFIG SET failed (possibly related to argument 'cluster-preferred-endpoint-type') - argument(s) must be one of the following: ip, hostname, unknown-endpoint",
    ),
    (
        "cluster-link-sendbuf-limit",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'cluster-link-sendbuf-limit') - argument must be a memory value",
    ),
    (
        "repl-diskless-load",
        "yes",
        "ERR CONFIG SET failed (possibly related to argument 'repl-diskless-load') - argument(s) must be one of the following: disabled, on-empty-db, swapdb, flushdb, flush-before-load",
    ),
    (
        "acl-pubsub-default",
        "all",
        "ERR CONFIG SET failed (possibly related to argument 'acl-pubsub-default') - argument(s) must be one of the following: allchannels, resetchannels",
    ),
    (
        "sanitize-dump-payload",
        "maybe",
        "ERR CONFIG SET failed (possibly related to argument 'sanitize-dump-payload') - argument(s) must be one of the following: no, yes, clients",
    ),
    (
        "enable-debug-command",
        "yes",
        "ERR CONFIG SET failed (possibly related to argument 'enable-debug-command') - can't set immutable config",
    ),
    (
        "propagation-error-behavior",
        "stop",
        "ERR CONFIG SET failed (possibly related to argument 'propagation-error-behavior') - argument(s) must be one of the following: ignore, panic, panic-on-replicas",
    ),
    (
        "tls-auth-clients",
        "maybe",
        "ERR CONFIG SET failed (possibly related to argument 'tls-auth-clients') - argument(s) must be one of the following: no, yes, optional",
    ),
    (
        "tls-session-cache-size",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'tls-session-cache-size') - argument must be between 0 and 2147483647 inclusive",
    ),
    (
        "active-defrag-cycle-min",
        "0",
        "ERR CONFIG SET failed (possibly related to argument 'active-defrag-cycle-min') - argument must be between 1 and 99 inclusive",
    ),
    (
        "active-defrag-cycle-max",
        "100",
        "ERR CONFIG SET failed (possibly related to argument 'active-defrag-cycle-max') - argument must be between 1 and 99 inclusive",
    ),
    (
        "active-defrag-ignore-bytes",
        "0",
        "ERR CONFIG SET failed (possibly related to argument 'active-defrag-ignore-bytes') - argument must be between 1 and 9223372036854775807 inclusive",
    ),
    (
        "active-defrag-threshold-lower",
        "1001",
        "ERR CONFIG SET failed (possibly related to argument 'active-defrag-threshold-lower') - argument must be between 0 and 1000 inclusive",
    ),
    (
        "active-expire-effort",
        "11",
        "ERR CONFIG SET failed (possibly related to argument 'active-expire-effort') - argument must be between 1 and 10 inclusive",
    ),
    (
        "list-max-listpack-size",
        "2147483648",
        "ERR CONFIG SET failed (possibly related to argument 'list-max-listpack-size') - argument must be between -2147483648 and 2147483647 inclusive",
    ),
    (
        "list-max-ziplist-size",
        "x",
        "ERR CONFIG SET failed (possibly related to argument 'list-max-ziplist-size') - argument couldn't be parsed into an integer",
    ),
    (
        "hash-max-listpack-entries",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'hash-max-listpack-entries') - argument must be between 0 and 9223372036854775807 inclusive",
    ),
    (
        "hash-max-ziplist-value",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'hash-max-ziplist-value') - argument must be a memory value",
    ),
    (
        "hll-sparse-max-bytes",
        "x",
        "ERR CONFIG SET failed (possibly related to argument 'hll-sparse-max-bytes') - argument must be a memory value",
    ),
    (
        "stream-node-max-entries",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'stream-node-max-entries') - argument must be between 0 and 9223372036854775807 inclusive",
    ),
    (
        "slowlog-log-slower-than",
        "-2",
        "ERR CONFIG SET failed (possibly related to argument 'slowlog-log-slower-than') - argument must be between -1 and 9223372036854775807 inclusive",
    ),
    (
        "slowlog-max-len",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'slowlog-max-len') - argument must be between 0 and 9223372036854775807 inclusive",
    ),
    (
        "latency-monitor-threshold",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'latency-monitor-threshold') - argument must be between 0 and 9223372036854775807 inclusive",
    ),
    (
        "lua-time-limit",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'lua-time-limit') - argument must be between 0 and 9223372036854775807 inclusive",
    ),
    (
        "busy-reply-threshold",
        "9223372036854775808",
        "ERR CONFIG SET failed (possibly related to argument 'busy-reply-threshold') - argument couldn't be parsed into an integer",
    ),
    (
        "slave-priority",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'slave-priority') - argument must be between 0 and 2147483647 inclusive",
    ),
    (
        "replica-announce-port",
        "70000",
        "ERR CONFIG SET failed (possibly related to argument 'replica-announce-port') - argument must be between 0 and 65535 inclusive",
    ),
    (
        "loading-process-events-interval-bytes",
        "1023",
        "ERR CONFIG SET failed (possibly related to argument 'loading-process-events-interval-bytes') - argument must be between 1024 and 2147483647 inclusive",
    ),
    (
        "max-new-connections-per-cycle",
        "1001",
        "ERR CONFIG SET failed (possibly related to argument 'max-new-connections-per-cycle') - argument must be between 1 and 1000 inclusive",
    ),
    (
        "tracking-table-max-keys",
        "-1",
        "ERR CONFIG SET failed (possibly related to argument 'tracking-table-max-keys') - argument must be between 0 and 9223372036854775807 inclusive",
    ),
    (
        "auto-aof-rewrite-min-size",
        "9223372036854775808",
        "ERR CONFIG SET failed (possibly related to argument 'auto-aof-rewrite-min-size') - argument must be between 0 and 9223372036854775807 inclusive",
    ),
    (
        "io-threads",
        "2",
        "ERR CONFIG SET failed (possibly related to argument 'io-threads') - can't set immutable config",
    ),
    (
        "bind",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
        "ERR CONFIG SET failed (possibly related to argument 'bind') - Too many bind addresses specified.",
    ),
];
