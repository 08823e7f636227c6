//! The command line: a configuration file, options named after the directives, and a few words of its own.
//!
//! Redis does not parse its options: it turns them into lines of a configuration file and reads those after the
//! file. `--port 7777` becomes the line `port "7777"`; so `"--maxmemory 1gb"` works in one argument, so does
//! `loglevel verbose` without dashes after a file, `--save` may stand alone, and a value may begin with dashes if
//! it comes right after its option. No declarative parser can express that, so [`arguments`] translates
//! in the same way. The [`clap::Command`] that [`command`] builds from the table documents every option: help and
//! version are its work.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

use super::directive::{Directive, Kind};
use super::table::AREAS;
use super::{REDIS_VERSION, Standing};
use crate::base::hash::{HashKey, siphash13};
use crate::base::moment;
use crate::base::quote::{repr, split_args};

/// An option that is no directive.
const LOAD_UNTIL: &[u8] = b"--load-until";
const MOMENTS: &str = "Unix seconds, or date and time as in 2026-09-21T14:13:20Z";

/// What the command line asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Start {
    /// Run the server.
    Run(Run),
    /// Print this on standard output and leave with success.
    Print(String),
    /// Print this on standard error and leave with status 1.
    Refuse(String),
    /// Look at the settings of the system, report, and leave.
    CheckSystem,
    /// Look at the dump file that these arguments name, report, and leave.
    CheckDump(Vec<OsString>),
    /// Look at the append-only file that these arguments name, report, and leave.
    CheckLog(Vec<OsString>),
}

/// Where the configuration comes from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Run {
    /// The file, if one was named.
    pub config_file: Option<OsString>,
    /// Read more lines from standard input.
    pub from_stdin: bool,
    /// The options, as lines of a file.
    pub options: Vec<u8>,
    /// Load the append-only log up to this moment only, in Unix seconds (`--load-until`).
    pub load_until: Option<i64>,
}

impl Run {
    /// All lines in the order of their precedence, for [`Config::parse_file`](super::Config::parse_file): the file,
    /// standard input, the options. What comes last counts.
    pub fn text(&self, file: &[u8], stdin: &[u8]) -> Vec<u8> {
        [file, stdin, b"\n", &self.options].concat()
    }
}

/// Reads the command line, without the name of the program.
pub fn arguments(argv: &[OsString]) -> Start {
    let words: Vec<&[u8]> = argv.iter().map(|word| word.as_encoded_bytes()).collect();
    match words.first().copied() {
        None => return Start::Run(Run::default()),
        Some(b"-v" | b"--version") => return Start::Print(version()),
        Some(b"-h" | b"--help") => return Start::Print(command().render_long_help().to_string()),
        Some(b"--test-memory") => {
            return Start::Refuse("The memory test is not part of this server.\n".to_owned());
        }
        Some(b"--check-system") => return Start::CheckSystem,
        Some(b"check-rdb") => return Start::CheckDump(argv[1..].to_vec()),
        Some(b"check-aof") => return Start::CheckLog(argv[1..].to_vec()),
        Some(_) => {}
    }
    let named = !words[0].starts_with(b"-");
    let config_file = named.then(|| argv[0].clone());
    let run = Run { config_file, ..Run::default() };
    match translate(&words, usize::from(named), run) {
        Ok(run) => Start::Run(run),
        Err(text) => Start::Refuse(text),
    }
}

/// Turns the words from `first` on into lines, but for the words of our own.
fn translate(words: &[&[u8]], first: usize, mut run: Run) -> Result<Run, String> {
    let mut lines: Vec<u8> = Vec::new();
    let mut is_moment = false;
    // An option takes the word after it whatever it looks like; only after that do dashes mean an option again.
    let mut has_value = true;
    for (index, &word) in words.iter().enumerate().skip(first) {
        let last = index + 1 == words.len();
        if is_moment {
            is_moment = false;
            run.load_until = Some(moment_of(word)?);
        } else if word == b"-" && (index == 0 || last) {
            run.from_stdin = true;
        } else if has_value && word.eq_ignore_ascii_case(LOAD_UNTIL) {
            is_moment = true;
        } else if let Some(option) = word.strip_prefix(b"--").filter(|_| has_value) {
            if !lines.is_empty() {
                lines.push(b'\n');
            }
            lines.extend_from_slice(option);
            lines.push(b' ');
            // `"--port 7777"` brings its value along.
            has_value = split_args(word).is_none_or(|parts| parts.len() != 1);
            if !has_value && word.eq_ignore_ascii_case(b"--save") {
                // A list of save points that came out empty: `--save --port 7777`, or `--save` at the end.
                let next_is_option = words.get(index + 1).is_some_and(|next| next.starts_with(b"--"));
                if next_is_option || last {
                    lines.extend_from_slice(b"\"\"");
                    has_value = true;
                }
            }
        } else {
            lines.extend_from_slice(repr(word).as_bytes());
            lines.push(b' ');
            has_value = true;
        }
    }
    if is_moment {
        return Err(format!("--load-until needs a moment: {MOMENTS}\n"));
    }
    run.options = lines;
    Ok(run)
}

/// The moment that a word names, in Unix seconds.
fn moment_of(word: &[u8]) -> Result<i64, String> {
    let text = String::from_utf8_lossy(word);
    moment::parse(&text).ok_or_else(|| format!("--load-until does not know the moment '{text}': {MOMENTS}\n"))
}

/// What `--version` prints: the line that tools know, with our own name after it.
fn version() -> String {
    let ours = env!("CARGO_PKG_VERSION");
    let build = siphash13(&HashKey { k0: 0, k1: 0 }, ours.as_bytes());
    format!(
        "Redis server v={REDIS_VERSION} sha=00000000:0 malloc=libc bits=64 build={build:016x} (Waterwheel v={ours})\n"
    )
}

/// The command line as clap sees it: every directive is an option, under the heading of its area.
pub fn command() -> Command {
    let mut command = Command::new("waterwheel")
        .version(format!("v={} redis={REDIS_VERSION} bits=64", env!("CARGO_PKG_VERSION")))
        .about("A Redis-faithful server: one thread, one poll loop, a timer wheel.")
        .override_usage("waterwheel [/path/to/redis.conf] [--directive value...]... [-]")
        .after_help(
            "Options count after the file, and the last one wins. A single dash reads lines from standard input.\n\
             `waterwheel check-rdb [--digest] FILE` says whether a dump file is whole, and what is in it.\n\
             `waterwheel check-aof [--fix | --truncate-to-timestamp N] FILE` says whether an append-only file or the \
             files of a manifest are whole.",
        )
        .disable_version_flag(true)
        .arg(Arg::new("config").value_name("FILE").help("Configuration file, with one directive a line"))
        .arg(
            Arg::new("version")
                .short('v')
                .long("version")
                .action(ArgAction::Version)
                .help("Prints the version"),
        )
        .arg(
            Arg::new("check-system")
                .long("check-system")
                .action(ArgAction::SetTrue)
                .help("Looks at the settings of the system and leaves"),
        )
        .arg(
            Arg::new("load-until")
                .long("load-until")
                .value_name("MOMENT")
                .help(
                    "Loads the append-only log up to this moment only, in Unix seconds or as 2026-09-21T14:13:20Z, and leaves its \
                     files as they are until BGREWRITEAOF",
                ),
        );
    for (area, rows) in AREAS {
        for row in *rows {
            command = command.arg(option(row).help_heading(*area));
        }
    }
    command
}

fn option(row: &'static Directive) -> Arg {
    let mut help = row.doc.to_owned();
    if !row.default.is_empty() {
        help.push_str(&format!(" [default: {}]", row.default));
    }
    match row.standing {
        Standing::Active => {}
        Standing::Partial(why) => help.push_str(&format!(" [only part of its effect: {}]", why.reason())),
        Standing::Inert(why) => help.push_str(&format!(" [no effect: {}]", why.reason())),
    }
    let option = Arg::new(row.name)
        .long(row.name)
        .help(help)
        .hide(row.flags.hidden)
        .action(ArgAction::Append)
        .value_name(match row.kind {
            Kind::Bool(_) => "YES|NO",
            Kind::Choice { .. } => "NAME",
            Kind::Number { .. } => "NUMBER",
            Kind::Text { .. } | Kind::Bytes(_) => "TEXT",
            Kind::Special { .. } | Kind::FileOnly => "WORDS",
        });
    let option = if row.flags.multi { option.num_args(0..) } else { option.num_args(1) };
    match row.alias {
        Some(alias) => option.visible_alias(alias),
        None => option,
    }
}
