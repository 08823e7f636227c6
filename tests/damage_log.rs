//! Damaged files of the append-only log, into the scanner and into a server that starts.
//!
//! A log has a base, as a dump or as commands, three increments and a manifest. Each change counts two keys and lengthens a
//! list, so what a server has loaded says which changes are there. Then bits are flipped, bytes lost, put in, exchanged, repeated
//! and zeroed, and numbers made huge, in one of the files. Whatever it is:
//!
//! * the server refuses it, and tells a file and an offset, or serves; there is no panic and no end without a word;
//! * where it has cut the last file it says so, and where;
//! * with integrity lines, where none is missing and nothing was put in, what it serves is what was there after some change, none
//!   is there in part, and no batch is lost that is whole, but for the last where lines say what was durable and the one before it is
//!   damaged;
//! * to read it takes no more memory than eight times its size and 64 MiB, and little time.
//!
//! `RUNS=100000 cargo test --test damage_log` damages so many files, `SEED=n` begins elsewhere; a run that fails prints its seed.
#![allow(
    clippy::disallowed_methods,
    reason = "the environment says how much is run, and what takes too long is found"
)]
#![allow(clippy::disallowed_types, reason = "what takes too long is found, and lines of the log are kept")]
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; it forwards each call")]

#[path = "fuzz/peak.rs"]
mod peak;
mod support;

use std::sync::Mutex;
use std::time::{Duration, Instant};
use support::World;
use waterwheel::base::rng::Rng;
use waterwheel::keyspace::Tuning;
use waterwheel::persist::aof::integrity;
use waterwheel::persist::aof::scan::{BadAof, Next, Scanner};
use waterwheel::persist::aof::write::Framer;
use waterwheel::persist::rdb::file::ReadOptions;
use waterwheel::resp::reply::encode_request;

#[global_allocator]
static ALLOCATOR: peak::Peak = peak::Peak;

/// Damaged files of a log.
const MUTATIONS: u64 = 60;
const BASE_BYTES: usize = 64 << 20;
const TIMES_THE_FILE: usize = 8;
const TIME_MAX: Duration = Duration::from_secs(5);

/// The warnings of the server that starts.
static WARNINGS: Mutex<String> = Mutex::new(String::new());

struct Warnings;

impl log::Log for Warnings {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut warnings = WARNINGS.lock().expect("nobody panics with it");
            *warnings += &format!("{}\n", record.args());
        }
    }

    fn flush(&self) {}
}

/// A file of a log, and where each of its batches begins.
struct File {
    name: String,
    bytes: Vec<u8>,
    batches: Vec<usize>,
}

struct Log {
    /// The base, the increments, the manifest.
    files: Vec<File>,
    is_lined: bool,
    /// Lines say what was durable: all before them.
    says_synced: bool,
    /// Changes in it.
    changes: u64,
}

/// Any text, also such as commands are made of.
fn text(rng: &mut Rng) -> Vec<u8> {
    let len = if rng.below(12) == 0 { rng.below(2500) } else { rng.below(60) };
    match rng.below(4) {
        0 => vec![0; len as usize],
        1 => (0..len).map(|_| b"*$#\r\n0123HDR:;"[rng.below(14) as usize]).collect(),
        _ => (0..len).map(|_| rng.next_u64() as u8).collect(),
    }
}

fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_request(words, &mut bytes);
    bytes
}

fn written(rng: &mut Rng) -> Log {
    let (is_dump, is_lined) = (rng.below(2) == 0, rng.below(3) > 0);
    let says_synced = is_lined && rng.below(3) > 0;
    let mut log = Log { files: Vec::new(), is_lined, says_synced, changes: 0 };
    let mut second = 1_790_000_000;
    let mut manifest = String::new();
    if is_dump {
        let mut world = World::new();
        world.run("SET base value");
        world.run("RPUSH numbers 1 2 3 four");
        world.run("SAVE");
        let bytes = world.host.disk.get("dump.rdb").expect("it was saved").to_vec();
        let name = "appendonly.aof.1.base.rdb".to_owned();
        manifest += &format!("file {name} seq 1 type b\n");
        log.files.push(File { name, bytes, batches: vec![0] });
    }
    for number in usize::from(is_dump)..4 {
        let (mut bytes, mut batches, mut framer, mut sum) = (Vec::new(), Vec::new(), Framer::default(), 0);
        for _ in 0..2 + rng.below(12) {
            batches.push(bytes.len());
            let mut batch = Vec::new();
            second += rng.below(3) as i64 / 2;
            for _ in 0..1 + rng.below(3) {
                let mut frames = vec![
                    (0, request(&[b"INCR", b"one"])),
                    (0, request(&[b"RPUSH", b"list", b"x"])),
                    (0, request(&[b"INCR", b"other"])),
                ];
                if rng.below(2) == 0 {
                    frames.insert(1, (rng.below(3) as u32, request(&[b"SET", b"key", &text(rng)])));
                }
                log.changes += 1;
                framer.batch(frames.iter().map(|(db, frame)| (*db, &frame[..])), Some(second), &mut batch);
            }
            if is_lined {
                let (line, next) = integrity::line(sum, says_synced.then_some(bytes.len() as u64), &[&batch]);
                bytes.extend(line);
                sum = next;
            }
            bytes.extend(batch);
        }
        let (name, letter) = match number {
            0 => ("appendonly.aof.1.base.aof".to_owned(), 'b'),
            _ => (format!("appendonly.aof.{number}.incr.aof"), 'i'),
        };
        manifest += &format!("file {name} seq {} type {letter}\n", number.max(1));
        log.files.push(File { name, bytes, batches });
    }
    let manifest =
        File { name: "appendonly.aof.manifest".to_owned(), bytes: manifest.into(), batches: vec![0] };
    log.files.push(manifest);
    log
}

/// Integrity lines in a file.
fn lines(bytes: &[u8]) -> usize {
    bytes.windows(integrity::PREFIX.len()).filter(|window| *window == integrity::PREFIX).count()
}

/// Damages bytes in one or a few places.
fn damage(rng: &mut Rng, file: &mut Vec<u8>) {
    let places = if rng.below(3) == 0 { 1 + rng.below(3) } else { 1 };
    for _ in 0..places {
        let Some(last) = file.len().checked_sub(1) else { return };
        let at = |rng: &mut Rng| rng.below(last as u64 + 1) as usize;
        let (a, b, c) = (at(rng), at(rng), at(rng));
        let (from, upto) = (b.min(c), b.max(c).min(b.min(c) + 2000));
        match rng.below(10) {
            0..3 => file[a] ^= 1 << rng.below(8),
            3 => file[from..upto].fill(0),
            4 => file[a] = b"*$#\r\n0123456789-h"[rng.below(17) as usize],
            5 => {
                let digits = *[&b"9223372036854775807"[..], b"4294967296", b"1048576", b"-1", b"0", b"70000"]
                    .get(rng.below(6) as usize)
                    .expect("there are six");
                let end = (a..file.len()).find(|&i| !file[i].is_ascii_digit()).unwrap_or(a);
                file.splice(a..end, digits.iter().copied());
            }
            6 => drop(file.drain(from..upto)),
            7 => {
                let block = file[from..upto].to_vec();
                file.splice(a..a, block);
            }
            8 => file.truncate(a),
            _ => file.swap(a, b),
        }
    }
}

/// Scans a file to its end.
fn scan(bytes: &[u8], piece: usize) -> Result<(), BadAof> {
    let mut scanner = Scanner::new(ReadOptions::default(), Some(bytes.len() as u64));
    let (tuning, mut pieces) = (Tuning::default(), bytes.chunks(piece));
    loop {
        match scanner.next(&tuning)? {
            Next::Need => match pieces.next() {
                Some(piece) => scanner.feed(piece),
                None => scanner.finish(),
            },
            Next::End => return Ok(()),
            _ => {}
        }
    }
}

#[derive(Debug, Default)]
struct Met {
    refused: u64,
    cut: u64,
    whole: u64,
    lost: u64,
    peak_bytes: usize,
}

/// Starts a server over a log, of which one file is another.
fn start_over(log: &Log, seed: u64, number: usize, bytes: &[u8], met: &mut Met) {
    WARNINGS.lock().expect("nobody panics with it").clear();
    let mut world = World::with_seed(seed);
    world.engine.conf.appendonly = true;
    for (i, file) in log.files.iter().enumerate() {
        let bytes = if i == number { bytes } else { &file.bytes };
        world.host.disk.put(&format!("appendonlydir/{}", file.name), bytes);
    }
    world.start();
    let said = WARNINGS.lock().expect("nobody panics with it").clone();
    let file = &log.files[number];
    let is_manifest = number + 1 == log.files.len();
    if let Some(code) = world.exit {
        met.refused += 1;
        assert_eq!(code, 1);
        // What a command says of itself has no offset.
        let has_cause = said.contains(", offset ") || said.contains(" reading the append only file ");
        assert!(has_cause || is_manifest && !said.is_empty(), "{}: {said}", file.name);
        return;
    }
    assert_eq!(world.run("PING"), "PONG");
    let on_disk = world.host.disk.get(&format!("appendonlydir/{}", file.name)).unwrap_or_default().to_vec();
    let is_cut = !is_manifest && on_disk.len() < bytes.len();
    met.cut += u64::from(is_cut);
    if is_cut {
        assert_eq!(number, log.files.len() - 2, "only the last file is cut");
        let line = format!("Truncating the AOF {} at offset {} !!!", file.name, on_disk.len());
        assert!(said.contains(&line) && said.contains(", offset "), "{line}: {said}");
    }
    let (one, other, len) = (world.run("GET one"), world.run("GET other"), world.run("LLEN list"));
    let count: u64 = one.trim_matches('"').parse().unwrap_or(0);
    met.whole += u64::from(count == log.changes);
    // Where a line was lost as a whole its batch is as one without.
    let kept = on_disk.len().min(file.bytes.len());
    // Whole commands may have been put in between two batches.
    let is_longer = bytes.len() > file.bytes.len() + 20;
    if !log.is_lined || is_manifest || is_longer || lines(&on_disk) < lines(&file.bytes[..kept]) {
        return;
    }
    assert!(
        one == other && len == format!("(integer) {count}"),
        "{}: a change is there in part: {one}, {other}, {len}: {said}",
        file.name
    );
    assert!(count <= log.changes, "{count} of {} changes", log.changes);
    if count < log.changes {
        met.lost += 1;
        let same = bytes.iter().rev().zip(file.bytes.iter().rev()).take_while(|(a, b)| a == b).count();
        // Behind a line of which nothing is left one batch alone cannot prove what it says.
        let spared = 1 + usize::from(log.says_synced);
        let last = file.bytes.len() - file.batches[file.batches.len().saturating_sub(spared)];
        let is_between = file.batches.contains(&bytes.len()) && file.bytes.starts_with(bytes);
        // Where a file ends between two batches nothing tells of those behind.
        assert!(
            is_cut || is_between,
            "{}: {count} of {} changes, and not a word: {said}",
            file.name,
            log.changes
        );
        assert!(same < last, "{}: a whole batch was lost: {said}", file.name);
    }
}

/// Damages files of a log.
fn run(seed: u64, met: &mut Met) {
    let mut rng = Rng::from_seed(seed);
    let log = written(&mut rng);
    for mutation in 0..MUTATIONS {
        let number = match rng.below(8) {
            0 => log.files.len() - 1,
            1 => rng.below(log.files.len() as u64 - 1) as usize,
            2 => log.files.len() - 3,
            _ => log.files.len() - 2,
        };
        let mut bytes = log.files[number].bytes.clone();
        damage(&mut rng, &mut bytes);
        if bytes == log.files[number].bytes {
            continue;
        }
        if number + 1 < log.files.len() {
            let piece = [1, 100, 5000, 1 << 20][rng.below(4) as usize];
            let (begin, before) = (Instant::now(), peak::begin());
            let result = scan(&bytes, piece);
            let peak = peak::most().saturating_sub(before);
            met.peak_bytes = met.peak_bytes.max(peak);
            let most = BASE_BYTES + TIMES_THE_FILE * bytes.len();
            assert!(peak <= most, "mutation {mutation}: {peak} bytes for a file of {}", bytes.len());
            assert!(begin.elapsed() < TIME_MAX, "mutation {mutation}: it takes {:?}", begin.elapsed());
            if let Err(bad) = result {
                let is_told = bad.at <= bytes.len() as u64 && !bad.cause.to_string().is_empty();
                assert!(is_told, "mutation {mutation}: {bad}");
            }
        }
        let begin = Instant::now();
        start_over(&log, seed, number, &bytes, met);
        assert!(begin.elapsed() < TIME_MAX, "mutation {mutation}: it takes {:?}", begin.elapsed());
    }
}

#[test]
fn a_damaged_log_is_refused_or_cut_at_its_end() {
    struct Teller(u64);
    impl Drop for Teller {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("to see it again: SEED={} RUNS=1 cargo test --test damage_log", self.0);
            }
        }
    }
    log::set_logger(&Warnings).expect("nobody else keeps the log");
    log::set_max_level(log::LevelFilter::Warn);
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, mutations) = (number("SEED").unwrap_or(1), number("RUNS").unwrap_or(3000));
    let mut met = Met::default();
    for seed in first..first + mutations.div_ceil(MUTATIONS) {
        let _teller = Teller(seed);
        run(seed, &mut met);
    }
    println!("{met:?}");
    if mutations >= 2000 {
        assert!(met.refused > 500 && met.cut > 100 && met.whole > 0 && met.lost > 0, "{met:?}");
    }
}
