//! `waterwheel check-rdb FILE`: is a dump file whole, and what is in it?
//!
//! It says what `redis-check-rdb` says, in the same form, and ends with the same status: 0 when the file is right, else 1. What
//! modules wrote is passed over. With `--digest` the values are loaded, and the last line is what DEBUG DIGEST would say of all
//! keys in the file, those whose deadline has passed too.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it reads a file, and the clock")]

pub mod aof;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write as _};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};
use waterwheel::base::hash::HashKey;
use waterwheel::config::{Config, REDIS_VERSION};
use waterwheel::keyspace::db::is_past;
use waterwheel::keyspace::{Databases, NewValue, Tuning, Value, digest};
use waterwheel::persist::rdb::file::{BadData, FileReader, Item, Next, Place, ReadOptions};

/// Names of the program by which it is known as a checker and nothing else.
pub const NAMES: [&str; 3] = ["redis-check-rdb", "valkey-check-rdb", "waterwheel-check-rdb"];

/// A file is read in pieces of so many bytes.
const PIECE_BYTES: usize = 1 << 20;

/// Databases that a digest can be made of at most.
const DATABASES_MAX: u32 = 1 << 16;

/// The types of values by number, as `redis-check-rdb` calls them.
const TYPES: [&str; 26] = [
    "string",
    "list-linked",
    "set-hashtable",
    "zset-v1",
    "hash-hashtable",
    "zset-v2",
    "module-pre-release",
    "module-value",
    "",
    "hash-zipmap",
    "list-ziplist",
    "set-intset",
    "zset-ziplist",
    "hash-ziplist",
    "quicklist",
    "stream",
    "hash-listpack",
    "zset-listpack",
    "quicklist-v2",
    "stream-v2",
    "set-listpack",
    "stream-v3",
    "hash-hashtable-md-pre-release",
    "hash-listpack-md-pre-release",
    "hash-hashtable-md",
    "hash-listpack-md",
];

/// Looks at the file that the arguments name.
pub fn run(program: &str, arguments: &[OsString]) -> ExitCode {
    let with_digest = arguments.first().is_some_and(|word| word == "--digest");
    let [path] = &arguments[usize::from(with_digest)..] else {
        eprintln!("Usage: {program} [--digest] <rdb-file-name>");
        return ExitCode::FAILURE;
    };
    if path == "-v" || path == "--version" {
        println!("redis-check-rdb {REDIS_VERSION}");
        return ExitCode::SUCCESS;
    }
    let mut out = format!("[offset 0] Checking RDB file {}\n", path.to_string_lossy());
    let mut check = Check::now();
    let mut result = read(path, |item| check.note(item), &mut out);
    if result.is_ok() {
        check.counts(&mut out);
        if with_digest {
            result = digest_of(path, check.databases, &mut out);
        }
    }
    // Whoever does not want the rest of the lines may close the pipe.
    let _ = std::io::stdout().write_all(out.as_bytes());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Told) => ExitCode::FAILURE,
        Err(Failed::Bad(bad, place)) => {
            let mut out = String::new();
            tell(&bad, &place, &mut out);
            check.keys += u64::from(place.key.is_some());
            check.counts(&mut out);
            let _ = std::io::stdout().write_all(out.as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// Why a file was not read to its end.
enum Failed {
    /// It was said already.
    Told,
    /// The file is wrong.
    Bad(BadData, Within),
}

/// Within what a reader found the file to be wrong.
struct Within {
    doing: &'static str,
    key: Option<Vec<u8>>,
    kind: Option<u8>,
}

impl Within {
    fn of(Place { doing, key, kind }: Place<'_>) -> Within {
        Within { doing, key: key.map(<[u8]>::to_vec), kind }
    }
}

/// Reads a file, and tells of each item what `note` says of it.
fn read(
    path: &OsString,
    mut note: impl FnMut(Item<'_>) -> Option<String>,
    out: &mut String,
) -> Result<(), Failed> {
    let failed = |error: std::io::Error| {
        eprintln!("Cannot read {}: {error}", path.to_string_lossy());
        Failed::Told
    };
    let mut file = File::open(path).map_err(failed)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut reader = FileReader::new(ReadOptions { pass_over_modules: true, ..ReadOptions::default() });
    let tuning = tuning();
    loop {
        let line = match reader.next(&tuning) {
            Ok(Next::Need) => {
                match file.read(&mut piece).map_err(failed)? {
                    0 => reader.finish(),
                    bytes => reader.feed(&piece[..bytes]),
                }
                None
            }
            Ok(Next::More) => None,
            Ok(Next::Item(item)) => note(item),
            Ok(Next::End) => break,
            Err(bad) => {
                return Err(Failed::Bad(bad, Within::of(reader.place())));
            }
        };
        if let Some(line) = line {
            let _ = writeln!(out, "[offset {}] {line}", reader.offset());
        }
    }
    let _ = writeln!(out, "[offset {}] \\o/ RDB looks OK! \\o/", reader.offset());
    Ok(())
}

/// The thresholds of a server that nobody has configured.
fn tuning() -> Tuning {
    Config::new().tuning
}

/// What was counted.
#[derive(Default)]
struct Check {
    now_ms: u64,
    keys: u64,
    expires: u64,
    already_expired: u64,
    subexpires: u64,
    empty: u64,
    /// One more than the highest number of a database.
    databases: u32,
}

impl Check {
    /// Nothing is counted yet; deadlines are compared with the clock.
    fn now() -> Check {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
        Check { now_ms: now, ..Check::default() }
    }

    /// Counts an item; what is to be said of it.
    fn note(&mut self, item: Item<'_>) -> Option<String> {
        match item {
            Item::Header { .. } | Item::Resize { .. } | Item::Function(_) => None,
            Item::Aux { name, text } => {
                let (name, text) = (String::from_utf8_lossy(&name), String::from_utf8_lossy(&text));
                Some(format!("AUX FIELD {name} = '{text}'"))
            }
            Item::Database(number) => Some(format!("Selecting DB ID {number}")),
            Item::ModuleAux(name) => Some(format!("MODULE AUX for: {name}")),
            Item::Checksum { is_there: true } => Some("Checksum OK".to_owned()),
            Item::Checksum { is_there: false } => {
                Some("RDB file was saved with checksum disabled: no check performed.".to_owned())
            }
            Item::EmptyKey(_) => {
                self.keys += 1;
                self.empty += 1;
                None
            }
            Item::ModuleKey { deadline } => {
                self.count_key(deadline);
                None
            }
            Item::Key(key) => {
                self.databases = self.databases.max(key.db.saturating_add(1));
                self.count_key(key.deadline);
                if let NewValue::Whole(Value::Hash(hash)) = &key.value {
                    self.subexpires += u64::from(hash.next_deadline().is_some());
                }
                None
            }
        }
    }

    fn count_key(&mut self, deadline: Option<u64>) {
        self.keys += 1;
        self.expires += u64::from(deadline.is_some());
        self.already_expired += u64::from(deadline.is_some_and(|ms| is_past(ms, self.now_ms)));
    }

    fn counts(&self, out: &mut String) {
        let Check { keys, expires, already_expired, subexpires, empty, .. } = self;
        let _ = writeln!(
            out,
            "[info] {keys} keys read\n[info] {expires} expires\n[info] {already_expired} already expired\n[info] \
             {subexpires} subexpires"
        );
        if *empty > 0 {
            let _ = writeln!(out, "[info] {empty} of the keys are empty, which a server leaves out");
        }
    }
}

/// Says what is wrong with a file.
fn tell(bad: &BadData, within: &Within, out: &mut String) {
    // The checker of Redis has fewer words for a wrong checksum than its server.
    let is_checksum = within.doing == "check-sum" && bad.what.starts_with("Wrong RDB checksum");
    let what = if is_checksum { "RDB CRC error" } else { &bad.what };
    let _ = writeln!(out, "--- RDB ERROR DETECTED ---\n[offset {}] {what}", bad.at);
    let _ = writeln!(out, "[additional info] While doing: {}", within.doing);
    if is_checksum {
        let _ = writeln!(out, "[additional info] {}", bad.what);
    }
    if let Some(key) = &within.key {
        let _ = writeln!(out, "[additional info] Reading key '{}'", String::from_utf8_lossy(key));
    }
    if let Some(kind) = within.kind {
        let name = TYPES.get(usize::from(kind)).unwrap_or(&"unknown");
        let _ = writeln!(out, "[additional info] Reading type {kind} ({name})");
    }
}

/// Loads what is in a file, and tells its digest.
fn digest_of(path: &OsString, databases: u32, out: &mut String) -> Result<(), Failed> {
    if databases > DATABASES_MAX {
        eprintln!("The file has a database {}, too many for a digest", databases - 1);
        return Err(Failed::Told);
    }
    let mut dbs = Databases::new(databases as usize, HashKey { k0: 0, k1: 0 }, 0);
    let mut twice = None;
    let store = |item: Item<'_>| {
        if let Item::Key(key) = item {
            let db = key.db as usize;
            let name = key.key.to_vec();
            if !key.store(dbs.at_mut(db), 0) {
                twice = Some(name);
            }
        }
        None
    };
    read(path, store, &mut String::new())?;
    if let Some(name) = twice {
        eprintln!("The file has the key '{}' twice", String::from_utf8_lossy(&name));
        return Err(Failed::Told);
    }
    let _ = writeln!(out, "[info] digest {}", digest::of_databases(&dbs));
    Ok(())
}
