//! What Redis 8.0.6 makes of command lines.

/// Arguments, and the report on standard error.
pub(super) const BAD: &[(&[&str], &str)] = &[
    (
        &["--invalid"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'invalid'\nBad directive or wrong number of arguments\n",
    ),
    (
        &["--port"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'port'\nwrong number of arguments\n",
    ),
    (
        &["--port", "6380", "--loglevel"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 3\n>>> 'loglevel'\nwrong number of arguments\n",
    ),
    (
        &["--port", "6379", "6380"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'port \"6379\" \"6380\"'\nwrong number of arguments\n",
    ),
    (
        &["--port", "--loglevel", "verbose"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'port \"--loglevel\" \"verbose\"'\nwrong number of arguments\n",
    ),
    (
        &["--port", "--bla", "--loglevel", "verbose"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'port \"--bla\"'\nargument couldn't be parsed into an integer\n",
    ),
    (
        &["--logfile", "--my--log--file", "--loglevel", "--bla"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 3\n>>> 'loglevel \"--bla\"'\nargument(s) must be one of the following: debug, verbose, notice, warning, nothing\n",
    ),
    (
        &["--shutdown-on-sigint"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'shutdown-on-sigint'\nargument(s) must be one of the following: default, save, nosave, now, force\n",
    ),
    (
        &["--shutdown-on-sigint", "now force", "--shutdown-on-sigterm"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 3\n>>> 'shutdown-on-sigterm'\nargument(s) must be one of the following: default, save, nosave, now, force\n",
    ),
    (
        &["--replicaof", "127.0.0.1", "abc"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'replicaof \"127.0.0.1\" \"abc\"'\nInvalid master port\n",
    ),
    (
        &["--replicaof", "--127.0.0.1", "abc"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'replicaof \"--127.0.0.1\" \"abc\"'\nInvalid master port\n",
    ),
    (
        &["--replicaof", "--127.0.0.1", "--abc"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'replicaof \"--127.0.0.1\"'\nwrong number of arguments\n",
    ),
    (
        &["--maxmemory", "1\"2"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'maxmemory \"1\\\"2\"'\nargument must be a memory value\n",
    ),
    (
        &["--maxmemory '1"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'maxmemory '1'\nUnbalanced quotes in configuration line\n",
    ),
    (
        &["--save", "1"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'save \"1\"'\nInvalid save parameters\n",
    ),
    (
        &["--save 1 2 3"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'save 1 2 3'\nInvalid save parameters\n",
    ),
    (
        &["--cluster-enabled", "yes", "--replicaof", "a", "1"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nreplicaof directive not allowed in cluster mode\n",
    ),
    (
        &["--port 1 2"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'port 1 2'\nwrong number of arguments\n",
    ),
    (
        &["--activerehashing", "maybe"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'activerehashing \"maybe\"'\nargument must be 'yes' or 'no'\n",
    ),
    (
        &["--daemonize"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'daemonize'\nwrong number of arguments\n",
    ),
    (
        &["--user"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'user'\nBad directive or wrong number of arguments\n",
    ),
    (
        &[
            "--bind", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15",
            "16",
        ],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'bind \"0\" \"1\" \"2\" \"3\" \"4\" \"5\" \"6\" \"7\" \"8\" \"9\" \"10\" \"11\" \"12\" \"13\" \"14\" \"15\" \"16\"'\nToo many bind addresses specified.\n",
    ),
    (
        &["--include"],
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.6.3) ***\nReading the configuration file, at line 2\n>>> 'include'\nBad directive or wrong number of arguments\n",
    ),
];

/// Arguments, and names and values.
type Good = (&'static [&'static str], &'static [(&'static str, &'static str)]);

/// Arguments after a file with `save 900 1`, and the values that are not as the file alone leaves them.
pub(super) const GOOD: &[Good] = &[
    (
        &["--maxmemory 700mb", "--maxmemory-policy volatile-lru"],
        &[("maxmemory", "734003200"), ("maxmemory-policy", "volatile-lru")],
    ),
    (
        &["loglevel", "verbose", "--maxmemory '700mb'", "--maxmemory-policy 'volatile-lru'"],
        &[("loglevel", "verbose"), ("maxmemory", "734003200"), ("maxmemory-policy", "volatile-lru")],
    ),
    (
        &["--proc-title-template", "--my--title--template", "--loglevel", "verbose"],
        &[("loglevel", "verbose"), ("proc-title-template", "--my--title--template")],
    ),
    (
        &["--proc-title-template --my--title--template", "--loglevel verbose"],
        &[("loglevel", "verbose"), ("proc-title-template", "--my--title--template")],
    ),
    (&["--save", "--loglevel", "verbose"], &[("loglevel", "verbose"), ("save", "")]),
    (&["--loglevel", "verbose", "--save"], &[("loglevel", "verbose"), ("save", "")]),
    (&["--save", "", "--loglevel", "verbose"], &[("loglevel", "verbose"), ("save", "")]),
    (&["--loglevel", "verbose", "--save", ""], &[("loglevel", "verbose"), ("save", "")]),
    (
        &["--proc-title-template", "--save", "--save", "", "--loglevel", "verbose"],
        &[("loglevel", "verbose"), ("proc-title-template", "--save"), ("save", "")],
    ),
    (
        &["--shutdown-on-sigint", "nosave", "force", "now", "--shutdown-on-sigterm", "nosave force"],
        &[("shutdown-on-sigint", "nosave now force"), ("shutdown-on-sigterm", "nosave force")],
    ),
    (&["--save", "100", "100"], &[("save", "900 1 100 100")]),
    (&["--save", "100 100 5 6"], &[("save", "900 1 100 100 5 6")]),
    (&["--save", "100", "100", "--save", "7", "8"], &[("save", "900 1 100 100 7 8")]),
    (&["--SAVE", "5", "5"], &[("save", "900 1 5 5")]),
    (
        &[
            "--client-output-buffer-limit",
            "replica",
            "1mb",
            "1k",
            "1",
            "--client-output-buffer-limit pubsub 1 2 3",
        ],
        &[("client-output-buffer-limit", "normal 0 0 0 slave 1048576 1000 1 pubsub 1 2 3")],
    ),
    (&["--bind", "127.0.0.1 127.0.0.2"], &[("bind", "127.0.0.1 127.0.0.2")]),
    (&["--latency-tracking-info-percentiles", ""], &[("latency-tracking-info-percentiles", "")]),
    (&["--hz", "9999", "--unixsocketperm", "0700"], &[("hz", "500"), ("unixsocketperm", "700")]),
    (&["--notify-keyspace-events", "KEA"], &[("notify-keyspace-events", "AKE")]),
    (&["--lua-replicate-commands", "yes"], &[]),
];
