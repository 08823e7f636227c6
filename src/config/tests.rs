//! The configuration against what a real Redis 8.0.6 answers, kept as data beside this file.

mod command_lines;
mod defaults;
mod refused;

use std::ffi::OsString;

use super::*;

const ANYBODY: Asker = Asker { local: true, loading: false };

/// A configuration that lets protected directives be set.
fn open() -> Config {
    let mut config = Config::new();
    config.enable_protected_configs = Permission::Yes;
    config
}

fn set(config: &mut Config, pairs: &[(&str, &str)]) -> Result<Vec<Change>, String> {
    let pairs: Vec<(&[u8], &[u8])> =
        pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    config.set(&pairs, ANYBODY, &mut |_, _| Ok(())).map_err(|error| error.to_string())
}

fn get(config: &Config, name: &str) -> String {
    let found = config.get(&[name.as_bytes()]);
    assert_eq!(found.len(), 1, "{name}");
    String::from_utf8(found[0].1.clone()).unwrap()
}

fn no_include(path: &[u8]) -> Result<Vec<u8>, String> {
    Err(format!("no file {}", String::from_utf8_lossy(path)))
}

fn parse(text: &str) -> Result<Config, String> {
    let mut config = Config::new();
    config.parse_file(text.as_bytes(), &mut no_include).map_err(|error| error.to_string())?;
    Ok(config)
}

#[track_caller]
fn refused(text: &str) -> String {
    parse(text).err().expect("the file should be refused")
}

#[test]
fn defaults_are_those_of_redis() {
    let config = Config::new();
    for (name, value) in defaults::REDIS_DEFAULTS {
        assert_eq!(get(&config, name), *value, "{name}");
    }
}

#[test]
fn patterns_show_what_redis_shows_and_the_names_of_other_servers() {
    let shown = Config::new().get(&[b"*"]);
    let mut more: Vec<&str> = shown.iter().map(|(name, _)| name.as_str()).collect();
    more.retain(|name| !defaults::REDIS_DEFAULTS.iter().any(|(known, _)| known == name));
    more.sort_unstable();
    assert_eq!(more, ONLY_HERE);
}

/// What `CONFIG GET *` shows beyond Redis 8.0 (`dir` is left out of the data): names of Valkey, of Redis 7.0 and 8.6, and ours.
const ONLY_HERE: &[&str] = &[
    "active-defrag-cycle-us",
    "aof-integrity-check",
    "aof-load-corrupt-tail-max-size",
    "availability-zone",
    "backup-sealed-ttl",
    "backupdirname",
    "cluster-announce-client-ipv4",
    "cluster-announce-client-ipv6",
    "cluster-announce-client-port",
    "cluster-announce-client-tls-port",
    "cluster-blacklist-ttl",
    "cluster-config-save-behavior",
    "cluster-databases",
    "cluster-manual-failover-timeout",
    "cluster-slot-migration-log-max-len",
    "cluster-slot-stats-enabled",
    "commandlog-execution-slower-than",
    "commandlog-large-reply-max-len",
    "commandlog-large-request-max-len",
    "commandlog-reply-larger-than",
    "commandlog-request-larger-than",
    "commandlog-slow-execution-max-len",
    "dir",
    "dual-channel-replication-enabled",
    "extended-redis-compatibility",
    "hash-seed",
    "import-mode",
    "io-threads-do-reads",
    "key-memory-histograms",
    "log-format",
    "log-timestamp-format",
    "mptcp",
    "prefetch-batch-max-size",
    "preload-file",
    "primaryauth",
    "primaryuser",
    "rdb-version",
    "rdb-version-check",
    "rdma-bind",
    "rdma-completion-vector",
    "rdma-port",
    "rdma-rx-size",
    "repl-mptcp",
    "slot-migration-max-failover-repl-bytes",
    "snapshot-held-max",
    "stream-idmp-duration",
    "stream-idmp-maxsize",
    "tls-auth-clients-user",
    "tls-auto-reload-interval",
    "unixsocketgroup",
    "vset-force-single-threaded-execution",
];

#[test]
fn every_value_that_is_shown_can_be_set_again() {
    for row in directives().filter(|row| !matches!(row.kind, Kind::FileOnly)) {
        for name in [Some(row.name), row.alias].into_iter().flatten() {
            let mut config = open();
            let before = get(&config, name);
            let result = set(&mut config, &[(name, &before)]);
            if row.flags.immutable {
                let error = format!(
                    "ERR CONFIG SET failed (possibly related to argument '{name}') - can't set immutable config"
                );
                assert_eq!(result, Err(error));
            } else {
                assert_eq!(result, Ok(vec![]), "{name}");
            }
            assert_eq!(get(&config, name), before, "{name}");
        }
    }
}

#[test]
fn a_file_with_every_value_reads_back_the_same() {
    let mut config = open();
    set(
        &mut config,
        &[("requirepass", "a \"b\x01"), ("save", ""), ("bind", ""), ("maxmemory-clients", "7%")],
    )
    .unwrap();
    set(&mut config, &[("tls-cert-file", "x y"), ("masterauth", "'"), ("active-defrag-ignore-bytes", "3mb")])
        .unwrap();
    let text = rewrite_all(None, &config);
    let again = parse(&text).map_err(|error| panic!("{error}")).unwrap();
    let (before, after) = (config.get(&[b"*"]), again.get(&[b"*"]));
    assert_eq!(before, after);
    assert_eq!(rewrite_all(Some(&text), &again).trim_end(), text.trim_end());
}

#[test]
fn bad_values_are_refused_in_the_words_of_redis() {
    for (name, value, error) in refused::REFUSED {
        let mut config = open();
        assert_eq!(set(&mut config, &[(name, value)]), Err((*error).to_owned()), "{name} {value:?}");
        assert!(config == open(), "{name} {value:?} left a trace");
    }
}

#[test]
fn defragmentation_is_refused_as_by_a_redis_without_jemalloc() {
    let error = "ERR CONFIG SET failed (possibly related to argument 'activedefrag') - Active defragmentation cannot \
                 be enabled: it requires a Redis server compiled with a modified Jemalloc like the one shipped by \
                 default with the Redis source distribution";
    assert_eq!(set(&mut open(), &[("activedefrag", "yes")]), Err(error.to_owned()));
}

#[test]
fn one_bad_value_undoes_all() {
    let mut config = open();
    set(&mut config, &[("maxmemory", "10000002")]).unwrap();
    let pairs =
        [("maxmemory", "10000001"), ("maxmemory-clients", "200%"), ("client-query-buffer-limit", "invalid")];
    let error = "ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - percentage argument must be \
                 less or equal to 100";
    assert_eq!(set(&mut config, &pairs), Err(error.to_owned()));
    assert_eq!(config.maxmemory_bytes, 10_000_002);
    let error = "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - duplicate parameter";
    assert_eq!(set(&mut config, &[("maxmemory", "1"), ("maxmemory", "2")]), Err(error.to_owned()));
    let error = "ERR Unknown option or number of arguments for CONFIG SET - 'Nothing'";
    assert_eq!(set(&mut config, &[("maxmemory", "1"), ("Nothing", "2")]), Err(error.to_owned()));
    assert_eq!(config.maxmemory_bytes, 10_000_002);
}

#[test]
fn a_failure_outside_undoes_all_and_applies_the_old_values_again() {
    let mut config = open();
    let mut applied = Vec::new();
    let pairs: [(&[u8], &[u8]); 5] = [
        (b"oom-score-adj", b"yes"),
        (b"oom-score-adj-values", b"1 1 1"),
        (b"maxmemory", b"10000001"),
        (b"port", b"1234"),
        (b"maxclients", b"5"),
    ];
    let result = config.set(&pairs, ANYBODY, &mut |config, change| {
        applied.push((change.effect, config.port));
        let refuse = change.effect == Effect::Port && config.port == 1234;
        if refuse { Err("Unable to listen on this port. Check server logs.".to_owned()) } else { Ok(()) }
    });
    let error = "ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check \
                 server logs.";
    assert_eq!(result.map_err(|error| error.to_string()), Err(error.to_owned()));
    // What cannot be taken back would come last.
    let there = [(Effect::OomScore, 1234), (Effect::Port, 1234)];
    let back = [(Effect::OomScore, 6379), (Effect::Port, 6379)];
    assert_eq!(applied, [there, back].concat());
    assert!(config == open());
}

#[test]
fn the_shell_may_correct_a_value() {
    let mut config = open();
    let changes = config.set(&[(b"dir", b"data")], ANYBODY, &mut |config, _| {
        config.dir = format!("/home/{}", config.dir);
        Ok(())
    });
    assert_eq!(changes, Ok(vec![Change { name: "dir", effect: Effect::Dir }]));
    assert_eq!(get(&config, "dir"), "/home/data");
}

#[test]
fn protected_directives_depend_on_who_asks() {
    let protected =
        "ERR CONFIG SET failed (possibly related to argument 'dbfilename') - can't set protected config";
    for (permission, local, allowed) in [
        (Permission::No, true, false),
        (Permission::Local, true, true),
        (Permission::Local, false, false),
        (Permission::Yes, false, true),
    ] {
        let mut config = Config::new();
        config.enable_protected_configs = permission;
        let asker = Asker { local, loading: false };
        let result = config.set(&[(b"dbfilename", b"x")], asker, &mut |_, _| Ok(()));
        assert_eq!(
            result.map(|_| ()).map_err(|error| error.to_string()),
            if allowed { Ok(()) } else { Err(protected.to_owned()) }
        );
    }
    let loading = Asker { local: true, loading: true };
    let error = open().set(&[(b"dir", b"x")], loading, &mut |_, _| Ok(()));
    assert_eq!(
        error.map_err(|error| error.to_string()),
        Err("LOADING Redis is loading the dataset in memory".to_owned())
    );
    assert!(open().set(&[(b"loglevel", b"debug")], loading, &mut |_, _| Ok(())).is_ok());
}

#[test]
fn values_are_shown_in_one_form() {
    for (name, value, shown) in [
        ("hz", "1000", "500"),
        ("hz", "0", "1"),
        ("maxmemory", "1KB", "1024"),
        ("maxmemory", "20000000000000000000", "18446744073709551615"),
        ("maxmemory", "", "0"),
        ("oom-score-adj", "relative", "yes"),
        ("loglevel", "DEBUG", "debug"),
        ("repl-backlog-size", "1", "16384"),
        ("latency-tracking-info-percentiles", "1.234567891 50.0", "1.234568 50"),
        ("latency-tracking-info-percentiles", "1e-3 100", "0.001 100"),
        ("latency-tracking-info-percentiles", "", ""),
        (
            "client-output-buffer-limit",
            "normal 1 2 3 replica 1mb 2k 3",
            "normal 1 2 3 slave 1048576 2000 3 pubsub 33554432 8388608 60",
        ),
        ("notify-keyspace-events", "KEAmn", "AKEm"),
        ("notify-keyspace-events", "ng$lKE", "g$lnKE"),
        ("shutdown-on-sigint", "force NOW nosave", "nosave now force"),
        ("slowlog-log-slower-than", "-1", "-1"),
        ("slot-migration-max-failover-repl-bytes", "-1", "-1"),
    ] {
        let mut config = open();
        set(&mut config, &[(name, value)]).unwrap();
        assert_eq!(get(&config, name), shown, "{name} {value:?}");
    }
}

#[test]
fn command_lines_are_read_as_redis_reads_them() {
    let run = |args: &[&str], file: &str| {
        let argv: Vec<OsString> = args.iter().map(OsString::from).collect();
        let Start::Run(run) = arguments(&argv) else { panic!("{args:?} does not run") };
        let mut config = Config::new();
        config
            .parse_file(&run.text(file.as_bytes(), b""), &mut no_include)
            .map(|()| config)
            .map_err(|error| error.to_string())
    };
    for (args, report) in command_lines::BAD {
        assert_eq!(run(args, "").err().as_deref(), Some(*report), "{args:?}");
    }
    for (args, values) in command_lines::GOOD {
        let args = [&["some.conf"], *args].concat();
        let config = run(&args, "port 17391\nsave 900 1\n").map_err(|error| panic!("{error}")).unwrap();
        let file = parse("port 17391\nsave 900 1\n").unwrap();
        let mut changed = config.get(&[b"*"]);
        changed.retain(|(name, value)| file.get(&[name.as_bytes()])[0].1 != *value);
        changed.sort();
        let changed: Vec<(&str, &str)> =
            changed.iter().map(|(name, value)| (name.as_str(), str::from_utf8(value).unwrap())).collect();
        assert_eq!(changed, *values, "{args:?}");
    }
}

#[test]
fn a_dash_reads_standard_input_and_some_words_do_not_run() {
    let start = |args: &[&str]| arguments(&args.iter().map(OsString::from).collect::<Vec<_>>());
    let Start::Run(run) = start(&["a.conf", "--port", "1", "-"]) else { panic!() };
    assert_eq!((run.config_file, run.from_stdin), (Some("a.conf".into()), true));
    assert_eq!(run.options, b"port \"1\" ");
    assert!(matches!(start(&["-"]), Start::Run(Run { config_file: None, from_stdin: true, .. })));
    let Start::Run(run) = start(&["--load-until", "2026-09-21T14:13:20Z", "--port", "1"]) else { panic!() };
    assert_eq!((run.load_until, &run.options[..]), (Some(1_790_000_000), &b"port \"1\" "[..]));
    let Start::Run(run) = start(&["--port", "1", "--requirepass", "--load-until"]) else { panic!() };
    assert_eq!(run.load_until, None);
    assert!(matches!(start(&["--load-until", "soon"]), Start::Refuse(text) if text.contains("'soon'")));
    assert!(matches!(start(&["--load-until"]), Start::Refuse(_)));
    assert_eq!(start(&[]), Start::Run(Run::default()));
    assert_eq!(start(&["--check-system"]), Start::CheckSystem);
    assert!(matches!(start(&["--test-memory", "1"]), Start::Refuse(_)));
    for word in ["-v", "--version"] {
        assert!(matches!(start(&[word]), Start::Print(text) if text.contains("v=8.6.3")));
    }
}

#[test]
fn help_documents_every_directive() {
    command().debug_assert();
    let Start::Print(help) = arguments(&["--help".into()]) else { panic!() };
    for row in directives().filter(|row| !row.flags.hidden) {
        assert!(help.contains(&format!("--{}", row.name)), "{}", row.name);
        assert!(help.contains(row.doc), "{}", row.name);
    }
}

#[test]
fn lines_are_quoted_commented_and_counted_as_in_redis() {
    let config = parse(
        "# a comment\n\n  PORT 1 \r\nrequirepass \"a\\x20\\n\"\nsyslog-ident 'it\\'s'\nsave 1 2 3 4\nsave 5 6\nmaxmemory 1gb\n\
         rename-command flushall \"\"\nuser alice on nopass\nloadmodule a.so x\nlua-replicate-commands yes\n\
         slaveof localhost 7\nshutdown-on-sigint \"nosave now\"",
    )
    .map_err(|error| panic!("{error}"))
    .unwrap();
    assert_eq!(config.port, 1);
    assert_eq!(config.requirepass, b"a \n");
    assert_eq!(config.syslog_ident, "it's");
    assert_eq!(config.save, [(1, 2), (3, 4), (5, 6)]);
    assert_eq!(config.maxmemory_bytes, 1 << 30);
    assert_eq!(config.rename_commands, [(b"flushall".to_vec(), Vec::new())]);
    assert_eq!(config.users.len(), 1);
    assert_eq!(config.users[0].words, [b"alice".to_vec(), b"on".to_vec(), b"nopass".to_vec()]);
    assert_eq!(config.users[0].text, "user alice on nopass");
    assert_eq!(config.load_modules, [[b"a.so".to_vec(), b"x".to_vec()]]);
    assert_eq!(config.replicaof, Some(("localhost".to_owned(), 7)));
    assert!(config.shutdown_on_sigint.nosave && config.shutdown_on_sigint.now);
    for empty in ["save ", "save \"\"", "save ''", "save 1 1\nsave \"\""] {
        assert_eq!(parse(empty).unwrap().save, [], "{empty}");
    }
    assert_eq!(
        refused("port 1\nport \"2\n"),
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'port \"2'\n\
         Unbalanced quotes in configuration line\n"
    );
    for unknown in ["foo bar", "rename-command a", "include a b", "lua-replicate-commands", "user"] {
        assert!(refused(unknown).ends_with("Bad directive or wrong number of arguments\n"), "{unknown}");
    }
}

#[test]
fn files_include_files() {
    let mut config = Config::new();
    let mut include = |path: &[u8]| match path {
        b"a.conf" => Ok(b"port 1\nsave 1 1\n".to_vec()),
        b"*.none" => Ok(Vec::new()),
        b"bad.conf" => Ok(b"\nport x".to_vec()),
        b"self.conf" => Ok(b"include self.conf".to_vec()),
        _ => Err("Fatal error, can't open config file".to_owned()),
    };
    config.parse_file(b"include a.conf\ninclude *.none\ntimeout 3\nsave 2 2", &mut include).unwrap();
    assert_eq!((config.port, config.timeout_s, config.save.as_slice()), (1, 3, &[(1, 1), (2, 2)][..]));
    let error = config.parse_file(b"include bad.conf", &mut include).unwrap_err();
    assert!(matches!(error, FileError::Line { number: 2, text, .. } if text == "port x"));
    let error = config.parse_file(b"include missing", &mut include).unwrap_err();
    assert_eq!(error.to_string(), "Fatal error, can't open config file\n");
    assert!(config.parse_file(b"include self.conf", &mut include).is_err());
}

#[test]
fn rewriting_keeps_the_file_as_redis_keeps_it() {
    let old = include_str!("tests/rewrite_old.conf");
    let mut config = Config::new();
    config.parse_file(old.as_bytes(), &mut no_include).unwrap();
    set(
        &mut config,
        &[
            ("maxmemory", "3221225472"),
            ("save", "100 7"),
            ("client-output-buffer-limit", "replica 1gb 512 9"),
            ("loglevel", "notice"),
            ("slave-priority", "9"),
            ("requirepass", "a \"b\x01"),
            ("repl-timeout", "61"),
            ("active-defrag-ignore-bytes", "1048576"),
            ("maxmemory-policy", "allkeys-lru"),
            ("appendfsync", "always"),
        ],
    )
    .unwrap();
    // Redis appends in the order of a hash table.
    let sorted = |text: &str| {
        let (kept, added) = text.split_once("# Generated by CONFIG REWRITE\n").expect("lines were added");
        let mut added: Vec<String> = added.lines().map(str::to_owned).collect();
        added.sort();
        (kept.to_owned(), added)
    };
    let new = rewrite(Some(old), &config, &[]);
    assert_eq!(sorted(&new), sorted(include_str!("tests/rewrite_new.conf")));
    assert_eq!(rewrite(Some(&new), &config, &[]).trim_end(), new.trim_end());
}

#[test]
fn a_new_file_holds_what_is_not_at_its_default() {
    let mut config = Config::new();
    config.dir = "/data".to_owned();
    set(&mut config, &[("timeout", "7"), ("save", "")]).unwrap();
    assert_eq!(
        rewrite(None, &config, &[]),
        "# Generated by CONFIG REWRITE\ntimeout 7\ndir \"/data\"\nlatency-tracking-info-percentiles 50 99 99.9\nsave \"\"\n"
    );
}

#[test]
fn the_users_that_are_there_replace_those_of_the_file() {
    let old = "user gone on +get\nport 1\nuser bob off\n";
    let mut config = Config::new();
    config.parse_file(old.as_bytes(), &mut no_include).unwrap();
    let users = [&b"user bob on ~a\"\xff -@all (~b +get)"[..], b"user default on", b"user eve off"]
        .map(<[u8]>::to_vec);
    let new = rewrite(Some(old), &config, &users);
    let lines: Vec<&str> =
        new.lines().filter(|line| line.starts_with("user") || line.starts_with("port")).collect();
    let bob = "user bob on \"~a\\\"\\xff\" -@all (~b +get)";
    assert_eq!(lines, [bob, "port 1", "user default on", "user eve off"]);
    assert!(!rewrite(Some(&new), &config, &[]).contains("user"));
}

#[test]
fn bounds_fit_their_fields() {
    for row in directives() {
        let Kind::Number { min, max, unit, .. } = row.kind else { continue };
        let least = if unit == Unit::MemoryOrPercent { format!("{}%", -min) } else { min.to_string() };
        let most = if unit == Unit::Octal { format!("{max:o}") } else { max.to_string() };
        for value in [least, most] {
            // Blacklist times above 2^63 cannot be written: plain numbers have 64 signed bits.
            if unit == Unit::Plain && value.parse::<i64>().is_err() {
                continue;
            }
            let config = parse(&format!("{} {value}", row.name)).unwrap_or_else(|error| panic!("{error}"));
            let shown = if row.name == "hz" { config.hz.to_string() } else { value };
            assert_eq!(get(&config, row.name), shown, "{}", row.name);
        }
    }
}

#[test]
fn names_are_unique_and_rows_complete() {
    let mut names = std::collections::BTreeSet::new();
    for row in directives() {
        for name in [Some(row.name), row.alias].into_iter().flatten() {
            assert!(names.insert(name), "{name} twice");
            assert_eq!(name, name.to_ascii_lowercase());
        }
        assert!(row.doc.ends_with('.'), "{} has no sentence", row.name);
    }
}

/// Names, or with a star beginnings and endings, of the directives that may be without effect for good.
const INERT: &[&str] = &[
    "activedefrag",
    "active-defrag-*",
    "io-threads*",
    "*-io-threads-avoid-copy-reply",
    "*-avoid-copy-reply-threaded",
    "jemalloc-bg-thread",
    "*-cpulist",
    "dynamic-hz",
    "vset-force-single-threaded-execution",
    "active-expire-effort",
    "activerehashing",
    "tls-*",
    "max-new-tls-connections-per-cycle",
    "cluster-*",
    "slot-migration-*",
    "rdma-*",
    "loadmodule",
];

#[test]
fn nothing_else_is_without_effect() {
    let allowed = |name: &str| {
        INERT.iter().any(|pattern| match pattern.split_once('*') {
            Some((start, end)) => name.starts_with(start) && name.ends_with(end),
            None => name == *pattern,
        })
    };
    for row in directives() {
        let for_good = match row.standing {
            Standing::Active => false,
            Standing::Inert(why) | Standing::Partial(why) => {
                !matches!(why, Why::Persistence | Why::Replication | Why::Crash | Why::Valkey)
            }
        };
        assert_eq!(for_good, allowed(row.name), "{}", row.name);
    }
}
