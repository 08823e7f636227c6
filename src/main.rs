//! The wiring: arguments, configuration, engine, loop.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it reads the configuration before there is a host"
)]

mod check;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, fs};
use waterwheel::commands;
use waterwheel::config::{self, Config, Run, Start};
use waterwheel::engine::host::ProcessNames;
use waterwheel::engine::table::Table;
use waterwheel::engine::{Engine, Host, acl};
use waterwheel::reactor::disk::Disk;
use waterwheel::reactor::event_loop::{self, EventLoop};
use waterwheel::reactor::helper::Helper;
use waterwheel::reactor::host::ShellHost;
use waterwheel::reactor::signals::Signals;
use waterwheel::sys::{alloc, memory, process, title::Title};

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

fn main() -> ExitCode {
    alloc::count_for_loop();
    memory::join_free_pieces_at_once();
    let arguments: Vec<OsString> = env::args_os().collect();
    let program = arguments.first().map(|a| a.to_string_lossy().into_owned()).unwrap_or_default();
    let name = Path::new(&program).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if check::NAMES.contains(&name) {
        return check::run(&program, &arguments[1..]);
    }
    if check::aof::NAMES.contains(&name) {
        return check::aof::run(&program, &arguments[1..]);
    }
    match config::arguments(&arguments[1..]) {
        Start::Print(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Start::Refuse(text) => {
            eprint!("{text}");
            ExitCode::FAILURE
        }
        Start::CheckSystem => {
            println!("[huge pages] a snapshot forks nothing here, so they do no harm ... OK");
            ExitCode::SUCCESS
        }
        Start::CheckLog(words) => check::aof::run(&format!("{program} check-aof"), &words),
        Start::CheckDump(words) => check::run(&format!("{program} check-rdb"), &words),
        Start::Run(run) => match serve(&run, program) {
            Ok(code) => ExitCode::from(code as u8),
            Err(text) => {
                eprintln!("{text}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Runs the server until it is told to end.
fn serve(run: &Run, program: String) -> Result<i32, String> {
    let (conf, config_file) = configuration(run)?;
    let mut table = Table::new(commands::FAMILIES);
    for (from, to) in &conf.rename_commands {
        table.rename(from, to).map_err(|reason| format!("rename-command: {reason}"))?;
    }
    let table: &'static Table = Box::leak(Box::new(table));
    acl::file::check_lines(&conf, acl::rule_context(table, &conf)).map_err(|error| error.to_string())?;
    if conf.daemonize {
        process::daemonize().map_err(|error| format!("cannot become a daemon: {error}"))?;
    }
    open_log(&conf)?;
    let title = Title::new();
    write_pid_file(&conf);
    announce(&conf, config_file.as_deref());

    for (name, effect, reason) in conf.changed_without_effect() {
        log::warn!("The directive '{name}' has {effect}: {reason}.");
    }
    let refusal = conf.refusal();
    if !refusal.is_empty() {
        refusal.iter().for_each(|line| log::warn!("{line}"));
        return Ok(1);
    }

    let failed = |error: std::io::Error| format!("cannot start the loop: {error}");
    let poll = mio::Poll::new().map_err(failed)?;
    let waker = mio::Waker::new(poll.registry(), event_loop::WAKER).map_err(failed)?;
    let registry = poll.registry().try_clone().map_err(failed)?;
    let waker = Arc::new(waker);
    let disk = Disk::start(&waker).map_err(failed)?;
    let helper = Helper::start(waker).map_err(failed)?;
    let mut host = ShellHost::new(poll, registry, (helper, disk), title, config_file.clone(), program);
    let conf = limit_clients(conf);
    if let Err(text) = host.listen(&conf) {
        log::warn!("{text}");
        return Ok(1);
    }
    host.show_title(&conf);
    if conf.disable_thp {
        memory::disable_huge_pages();
    }
    let signals = Signals::install(&host.poll).map_err(failed)?;
    let names = ProcessNames {
        pid: std::process::id(),
        os: process::system_name(),
        executable: env::current_exe().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default(),
        config_file: config_file.map(|p| p.to_string_lossy().into_owned()).unwrap_or_default(),
        allocator: "libc".to_owned(),
        compiler: "0.0.0".to_owned(),
    };
    let pid_file = pid_file(&conf);
    let mut engine = Engine::new(table, conf, names, &mut host as &mut dyn Host);
    if let Err(lines) = engine.load_users_at_start(&mut host) {
        lines.iter().for_each(|line| log::warn!("{line}"));
        return Ok(1);
    }
    log::info!("Server initialized");
    match run.load_until {
        Some(moment) => engine.load_until(moment),
        None => engine.remove_leftovers(&mut host),
    }
    engine.load_at_start(&mut host);
    let turning = EventLoop::new(engine, host, signals).map_err(failed)?;
    let code = turning.run().map_err(failed)?;
    if let Some(path) = pid_file {
        log::info!("Removing the pid file.");
        let _ = fs::remove_file(path);
    }
    if code == 0 {
        log::warn!("Redis is now ready to exit, bye bye...");
    }
    // What the keyspace holds goes back with the process; freeing it piece by piece would only take time.
    std::io::stdout().flush().map_err(|error| error.to_string())?;
    std::process::exit(code)
}

/// The configuration from file, standard input and arguments.
fn configuration(run: &Run) -> Result<(Config, Option<PathBuf>), String> {
    let mut config_file = None;
    let mut file = Vec::new();
    if let Some(path) = &run.config_file {
        let path = PathBuf::from(path);
        file = fs::read(&path)
            .map_err(|error| format!("Fatal error, can't open config file '{}': {error}", path.display()))?;
        config_file = Some(std::path::absolute(&path).unwrap_or(path));
    }
    let mut stdin = Vec::new();
    if run.from_stdin {
        std::io::stdin().read_to_end(&mut stdin).map_err(|error| error.to_string())?;
    }
    let mut conf = Config::new();
    conf.parse_file(&run.text(&file, &stdin), &mut include).map_err(|error| error.to_string())?;
    if !conf.dir.is_empty() {
        env::set_current_dir(&conf.dir).map_err(|error| format!("Can't chdir to '{}': {error}", conf.dir))?;
    }
    conf.dir = env::current_dir().map(|d| d.to_string_lossy().into_owned()).unwrap_or_default();
    Ok((conf, config_file))
}

/// The text of an included file, or of all that a pattern names.
fn include(path: &[u8]) -> Result<Vec<u8>, String> {
    let path = String::from_utf8_lossy(path).into_owned();
    let read = |p: &Path| {
        fs::read(p).map_err(|error| format!("Fatal error, can't open config file '{}': {error}", p.display()))
    };
    if !path.contains(['*', '?', '[']) {
        return read(Path::new(&path));
    }
    let (folder, pattern) = path.rsplit_once('/').unwrap_or((".", &path));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<PathBuf> = entries
        .map(|e| e.path())
        .filter(|p| {
            let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            waterwheel::base::glob::glob_match(pattern.as_bytes(), name.as_bytes(), false)
        })
        .collect();
    names.sort();
    let mut all = Vec::new();
    for name in names {
        all.extend(read(&name)?);
        all.push(b'\n');
    }
    Ok(all)
}

/// Sends standard output to the log file, and installs the log.
fn open_log(conf: &Config) -> Result<(), String> {
    if !conf.logfile.is_empty() {
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&conf.logfile)
            .map_err(|error| format!("Can't open the log file: {error}"))?;
        process::redirect_output(&file).map_err(|error| error.to_string())?;
    }
    waterwheel::reactor::log::install(conf, conf.logfile.is_empty() && process::output_is_terminal());
    waterwheel::reactor::log::set_level(conf.loglevel);
    Ok(())
}

fn pid_file(conf: &Config) -> Option<String> {
    match (conf.pidfile.as_str(), conf.daemonize) {
        ("", false) => None,
        ("", true) => Some("/var/run/redis.pid".to_owned()),
        (path, _) => Some(path.to_owned()),
    }
}

fn write_pid_file(conf: &Config) {
    if let Some(path) = pid_file(conf)
        && let Err(error) = fs::write(&path, format!("{}\n", std::process::id()))
    {
        log::warn!("Failed to write PID file: {error}");
    }
}

/// The lines that a start writes.
fn announce(conf: &Config, config_file: Option<&Path>) {
    let pid = std::process::id();
    log::info!("oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo");
    log::info!(
        "Redis version={}, bits=64, commit=00000000, modified=0, pid={pid}, just started; this is Waterwheel {}",
        config::REDIS_VERSION,
        env!("CARGO_PKG_VERSION")
    );
    if config_file.is_some() {
        log::info!("Configuration loaded");
    } else {
        log::warn!(
            "Warning: no config file specified, using the default config. In order to specify a config file use \
             waterwheel /path/to/redis.conf"
        );
    }
    if conf.always_show_logo || (conf.logfile.is_empty() && process::output_is_terminal()) {
        let mode = if conf.cluster_enabled { "cluster" } else { "standalone" };
        let port = conf.port;
        println!(
            "\n      .-.--.-.\n    .'  \\ | /  '.      Waterwheel {}, as Redis {} (64 bit)\n   /-.__ \\|/ __.-\\\n  \
             |----==(o)==----|     Running in {mode} mode\n   \\-'   /|\\   '-/      Port: {port}\n    '.  / | \\  .'       \
             PID: {pid}\n~~~~~~'-'--'-'~~~~~~~~~~~~~~~~~~\n",
            env!("CARGO_PKG_VERSION"),
            config::REDIS_VERSION
        );
    } else {
        log::info!("Running mode=standalone, port={}.", conf.port);
    }
}

/// Lowers `maxclients` to what the system grants in descriptors.
fn limit_clients(mut conf: Config) -> Config {
    use waterwheel::base::limit::RESERVED_DESCRIPTORS;
    let wanted = u64::from(conf.maxclients) + RESERVED_DESCRIPTORS;
    let granted = process::raise_descriptors(wanted);
    if granted < wanted {
        let clients = granted.saturating_sub(RESERVED_DESCRIPTORS).max(1);
        log::warn!(
            "You requested maxclients of {} requiring at least {wanted} max file descriptors.",
            conf.maxclients
        );
        log::warn!(
            "Server can't set maximum open files to {wanted} because of OS error: Operation not permitted. \
             Current maximum open files is {granted}. maxclients has been reduced to {clients} to compensate for low \
             ulimit. If you need higher maxclients increase 'ulimit -n'."
        );
        conf.maxclients = clients as u32;
    }
    conf
}
