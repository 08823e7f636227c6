//! The process: how it starts and stops, what it logs, and what it allows.

use super::super::directive::{
    Directive, Effect, I32, I64, Origin, Why, choice, file_only, flag, number, optional, special, text,
    unread,
};
use super::super::values::{
    LogFormat, LogLevel, LogTimestamp, OomScoreAdj, Permission, PropagationError, Supervised, SyslogFacility,
};
use super::super::{check, syntax};

pub(super) const ROWS: &[Directive] = &[
    file_only("include").doc("Reads another file at this place; a pattern reads all files that match."),
    file_only("rename-command").doc("Gives a command another name; an empty name removes it."),
    file_only("loadmodule").inert(Why::Modules).doc("Loads a module with its arguments."),
    flag("daemonize", "no", |c| &mut c.daemonize).immutable().doc("Runs in the background."),
    choice("supervised", "no", Supervised::NAMES, |c| &mut c.supervised)
        .immutable()
        .doc("Tells a supervisor of services when the server is ready."),
    optional("pidfile", |c| &mut c.pidfile)
        .immutable()
        .doc("File that holds the process id while the server runs."),
    special("dir", ".", syntax::set_dir, syntax::get_dir, Some(syntax::dir_lines))
        .protected()
        .deny_loading()
        .applies(Effect::Dir)
        .doc("Working directory, where dump and append only files lie."),
    number("databases", "16", 1, I32, |c| &mut c.databases)
        .immutable()
        .doc("Number of databases that SELECT can choose from."),
    number("hz", "10", 0, I32, |c| &mut c.hz)
        .settle(|c, _| c.hz = c.hz.clamp(1, 500))
        .doc("Periodic work per second, 1 to 500; only statistics are still taken at this rate."),
    unread::flag("dynamic-hz", "yes", Why::Wheel)
        .origin(Origin::Redis)
        .doc("Raises hz while many clients are connected."),
    unread::flag("vset-force-single-threaded-execution", "no", Why::Threads)
        .origin(Origin::Redis86)
        .doc("Runs searches of vector sets on the main thread, as they are here."),
    flag("always-show-logo", "no", |c| &mut c.always_show_logo)
        .immutable()
        .doc("Logs the banner at start even where the log is not a terminal."),
    choice("loglevel", "notice", LogLevel::NAMES, |c| &mut c.loglevel)
        .applies(Effect::Log)
        .doc("Least important messages that are logged."),
    text("logfile", "", |c| &mut c.logfile)
        .immutable()
        .doc("File that the log is appended to; empty writes to standard output."),
    choice("log-format", "legacy", LogFormat::NAMES, |c| &mut c.log_format)
        .applies(Effect::Log)
        .origin(Origin::Valkey)
        .inert(Why::Valkey)
        .doc("Form of a line of the log."),
    choice("log-timestamp-format", "legacy", LogTimestamp::NAMES, |c| &mut c.log_timestamp_format)
        .applies(Effect::Log)
        .origin(Origin::Valkey)
        .inert(Why::Valkey)
        .doc("Form of the time in a line of the log."),
    flag("hide-user-data-from-log", "no", |c| &mut c.hide_user_data_from_log)
        .origin(Origin::SinceRedis8)
        .doc("Keeps keys and values out of the log."),
    flag("syslog-enabled", "no", |c| &mut c.syslog_enabled)
        .immutable()
        .doc("Logs to the system logger as well."),
    text("syslog-ident", "redis", |c| &mut c.syslog_ident)
        .immutable()
        .doc("Name under which the system logger keeps the messages."),
    choice("syslog-facility", "local0", SyslogFacility::NAMES, |c| &mut c.syslog_facility)
        .immutable()
        .doc("Facility of the system logger."),
    flag("crash-log-enabled", "yes", |c| &mut c.crash_log_enabled)
        .applies(Effect::CrashLog)
        .inert(Why::Crash)
        .doc("Writes a report when the process crashes."),
    flag("crash-memcheck-enabled", "yes", |c| &mut c.crash_memcheck_enabled)
        .inert(Why::Crash)
        .doc("Tests the memory as part of a crash report."),
    flag("use-exit-on-panic", "no", |c| &mut c.use_exit_on_panic)
        .hidden()
        .inert(Why::Crash)
        .doc("Leaves with exit instead of abort after a panic, for test coverage."),
    number("watchdog-period", "0", 0, I32, |c| &mut c.watchdog_period_ms)
        .hidden()
        .applies(Effect::Watchdog)
        .inert(Why::Crash)
        .doc("Milliseconds after which a turn of the loop that does not end is reported; 0 never."),
    flag("disable-thp", "yes", |c| &mut c.disable_thp)
        .immutable()
        .doc("Asks the kernel not to use huge pages for this process."),
    flag("set-proc-title", "yes", |c| &mut c.set_proc_title)
        .immutable()
        .doc("Shows the state of the server in the title of the process."),
    text("proc-title-template", "{title} {listen-addr} {server-mode}", |c| &mut c.proc_title_template)
        .check(check::proc_title)
        .applies(Effect::ProcTitle)
        .doc("Template of the title of the process, with variables between braces."),
    text("locale-collate", "", |c| &mut c.locale_collate)
        .applies(Effect::Locale)
        .origin(Origin::SinceRedis8)
        .doc("Locale by which strings are compared; empty takes that of the environment."),
    choice("oom-score-adj", "no", OomScoreAdj::NAMES, |c| &mut c.oom_score_adj).applies(Effect::OomScore).doc(
        "Whether the kernel's out-of-memory score is adjusted, relative to the score at start or absolute.",
    ),
    special("oom-score-adj-values", "0 200 800", syntax::set_oom_values, syntax::get_oom_values, None)
        .multi()
        .applies(Effect::OomScore)
        .doc("Out-of-memory scores of a primary, a replica and a background child, -2000 to 2000 each."),
    special(
        "shutdown-on-sigint",
        "default",
        |c, args, _| syntax::set_shutdown(&mut c.shutdown_on_sigint, args),
        |c| c.shutdown_on_sigint.to_string(),
        None,
    )
    .multi()
    .doc("What SIGINT does: default, or any of save, nosave, now and force."),
    special(
        "shutdown-on-sigterm",
        "default",
        |c, args, _| syntax::set_shutdown(&mut c.shutdown_on_sigterm, args),
        |c| c.shutdown_on_sigterm.to_string(),
        None,
    )
    .multi()
    .doc("What SIGTERM does: default, or any of save, nosave, now and force."),
    number("shutdown-timeout", "10", 0, I32, |c| &mut c.shutdown_timeout_s)
        .doc("Seconds that a shutdown waits for replicas that lag behind."),
    choice("enable-protected-configs", "no", Permission::NAMES, |c| &mut c.enable_protected_configs)
        .immutable()
        .doc("Who may change protected directives: nobody, everybody, or local clients."),
    choice("enable-debug-command", "no", Permission::NAMES, |c| &mut c.enable_debug_command)
        .immutable()
        .doc("Who may use DEBUG: nobody, everybody, or local clients."),
    choice("enable-module-command", "no", Permission::NAMES, |c| &mut c.enable_module_command)
        .immutable()
        .doc("Who may use MODULE: nobody, everybody, or local clients."),
    flag("enable-debug-assert", "no", |c| &mut c.enable_debug_assert)
        .immutable()
        .hidden()
        .origin(Origin::Valkey)
        .inert(Why::Crash)
        .doc("Turns the costly assertions on."),
    text("debug-context", "", |c| &mut c.debug_context)
        .hidden()
        .debug()
        .origin(Origin::Valkey)
        .inert(Why::Crash)
        .doc("Text that a crash report repeats."),
    choice("propagation-error-behavior", "ignore", PropagationError::NAMES, |c| {
        &mut c.propagation_error_behavior
    })
    .inert(Why::Crash)
    .doc("What follows when a command from the primary or the append only file fails."),
    text("ignore-warnings", "", |c| &mut c.ignore_warnings)
        .inert(Why::Crash)
        .doc("Names of warnings at start that do not end the process."),
    text("availability-zone", "", |c| &mut c.availability_zone)
        .origin(Origin::Valkey)
        .inert(Why::Valkey)
        .doc("Zone of the machine, told to clients."),
    flag("extended-redis-compatibility", "no", |c| &mut c.extended_redis_compatibility)
        .origin(Origin::Valkey)
        .inert(Why::Valkey)
        .doc("Answers as Redis where Valkey would name itself."),
    number("busy-reply-threshold", "5000", 0, I64, |c| &mut c.busy_reply_threshold_ms)
        .alias("lua-time-limit")
        .doc("Milliseconds after which a running script makes the server answer BUSY."),
    flag("lua-enable-deprecated-api", "no", |c| &mut c.lua_enable_deprecated_api)
        .immutable()
        .hidden()
        .doc("Gives scripts the functions that were withdrawn for safety."),
    flag("lua-enable-insecure-api", "no", |c| &mut c.lua_enable_deprecated_api)
        .hidden()
        .protected()
        .origin(Origin::Valkey)
        .doc("The same value under the name that Valkey lets be set at run time."),
    unread::number("io-threads", "1", 1, 128, Why::Threads)
        .immutable()
        .debug()
        .doc("Threads that read and write sockets."),
    unread::flag("io-threads-do-reads", "no", Why::Threads)
        .immutable()
        .origin(Origin::Redis7)
        .doc("Lets I/O threads read as well."),
    unread::flag("io-threads-always-active", "no", Why::Threads)
        .hidden()
        .origin(Origin::Valkey)
        .doc("Keeps I/O threads running without load."),
    unread::optional("server-cpulist", Why::Pinning)
        .alias("server_cpulist")
        .immutable()
        .doc("Processors for the main thread."),
    unread::optional("bio-cpulist", Why::Pinning)
        .alias("bio_cpulist")
        .immutable()
        .doc("Processors for background threads."),
    unread::optional("aof-rewrite-cpulist", Why::Pinning)
        .alias("aof_rewrite_cpulist")
        .immutable()
        .doc("Processors for the rewrite of the append only file."),
    unread::optional("bgsave-cpulist", Why::Pinning)
        .alias("bgsave_cpulist")
        .immutable()
        .doc("Processors for BGSAVE."),
];
