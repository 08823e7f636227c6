//! Dump files made by others: does this server read the same out of them as Redis did?
//!
//! `tests/files/rdb/expected.tsv` says of each file what Redis 8.0.6 made of it when it started with it: how many keys and which
//! digest, or why it refused. What a later server reads that Redis 8.0.6 refuses may be read too.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it reads files, and runs the checker"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use waterwheel::base::hash::HashKey;
use waterwheel::config::Config;
use waterwheel::keyspace::{Databases, NewValue, Tuning, Value, db::is_past, digest};
use waterwheel::persist::rdb::file::{BadData, FileReader, Item, Next, ReadOptions};

/// Files are read in pieces of so many bytes.
const PIECES: [usize; 3] = [1, 977, usize::MAX];

/// Now, as far as the files are concerned: all deadlines in them have passed or lie far ahead.
const NOW_MS: u64 = 1_790_000_000_000;

/// Files that this server treats in another way, and why.
const OTHERWISE: &[(&str, &str)] = &[
    ("r421-v11-Redis-On-Rocks-dump.rdb", "vector sets are a module of Redis 8"),
    (
        "r601-valkey80-valkey-cluster-slot-import.rdb",
        "Valkey crashes where it is no cluster; nothing else is in it",
    ),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/rdb")
}

/// What is in a file.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    keys: usize,
    digest: String,
    functions: usize,
    expired: usize,
}

/// Reads a file as a primary does at its start.
fn load(bytes: &[u8], piece: usize, tuning: &Tuning) -> Result<Contents, BadData> {
    let mut dbs = Databases::new(16, HashKey { k0: 1, k1: 2 }, NOW_MS);
    let (mut functions, mut expired) = (0, 0);
    let mut reader = FileReader::new(ReadOptions::default());
    let mut pieces = bytes.chunks(piece.min(bytes.len().max(1)));
    loop {
        match reader.next(tuning)? {
            Next::Need => match pieces.next() {
                Some(piece) => reader.feed(piece),
                None => reader.finish(),
            },
            Next::More => {}
            Next::End => break,
            Next::Item(Item::Function(_)) => functions += 1,
            Next::Item(Item::Key(key)) if key.deadline.is_some_and(|ms| is_past(ms, NOW_MS)) => expired += 1,
            Next::Item(Item::Key(mut key)) => {
                // The server removes them soon after; Redis does not count them in a digest either.
                if let NewValue::Whole(Value::Hash(hash)) = &mut key.value {
                    hash.remove_due(NOW_MS, usize::MAX, |_| ());
                }
                let db = dbs.at_mut(key.db as usize);
                if !key.store(db, 0) {
                    return Err(BadData { at: reader.offset(), what: "a key that comes twice".into() });
                }
            }
            Next::Item(_) => {}
        }
    }
    Ok(Contents { keys: dbs.keys(), digest: digest::of_databases(&dbs), functions, expired })
}

#[test]
fn dump_files_of_others_hold_what_redis_finds_in_them() {
    let tuning = Config::new().tuning;
    let table = fs::read_to_string(folder().join("expected.tsv")).expect("the table is there");
    let (mut wrong, mut count) = (Vec::new(), 0);
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let &[name, "rdb", outcome, keys, digest, functions, expired, reason, redis86, valkey9] = &cells[..]
        else {
            panic!("{line}")
        };
        count += 1;
        let bytes = fs::read(folder().join(name)).expect("the file is there");
        let found: Vec<_> = PIECES.iter().map(|&piece| load(&bytes, piece, &tuning)).collect();
        if found.iter().any(|one| *one != found[0]) {
            wrong.push(format!("{name}: depends on the pieces: {found:?}"));
        }
        let is_right = match &found[0] {
            Ok(found) if outcome == "ok" => {
                found.keys.to_string() == keys
                    && found.digest == digest
                    && found.functions.to_string() == functions
                    && found.expired.to_string() == expired
            }
            Ok(found) => {
                let text = format!("{} keys {}", found.keys, found.digest);
                outcome == "refused" && [redis86, valkey9].contains(&&text[..])
            }
            Err(_) if outcome == "crash" => true,
            // Redis 8.0 does not know the signature; that there is more wrong may be said all the same.
            Err(_) if bytes.starts_with(b"VALKEY") => outcome == "refused",
            Err(error) => outcome == "refused" && error.what == reason,
        };
        if is_right == OTHERWISE.iter().any(|(known, _)| *known == name) {
            wrong.push(format!("{name}: {:?} instead of {}", found[0], cells[2..].join(" ")));
        }
    }
    assert!(count > 300, "the table has rows");
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// What `check-rdb` says of a file, and how it ends.
fn check(words: &[&str], name: &str) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waterwheel"));
    let output = command.arg("check-rdb").args(words).arg(name).current_dir(folder()).output();
    let output = output.expect("the server can be started");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

#[test]
fn the_checker_says_what_that_of_redis_says() {
    let good = "[offset 0] Checking RDB file rdb_version_5_with_checksum.rdb
[offset 11] Selecting DB ID 0
[offset 128] Checksum OK
[offset 128] \\o/ RDB looks OK! \\o/
[info] 6 keys read
[info] 0 expires
[info] 0 already expired
[info] 0 subexpires
";
    assert_eq!(check(&[], "rdb_version_5_with_checksum.rdb"), (good.to_owned(), Some(0)));
    let digest = format!("{good}[info] digest 82456b18b53ae459ea9e26d8b11d0ca1b2dd9138\n");
    assert_eq!(check(&["--digest"], "rdb_version_5_with_checksum.rdb"), (digest, Some(0)));
    let bad = "[offset 0] Checking RDB file r034-v3-zipmap-big-len.rdb
[offset 11] Selecting DB ID 0
--- RDB ERROR DETECTED ---
[offset 34] Zipmap integrity check failed.
[additional info] While doing: read-object-value
[additional info] Reading key 'zimap_doesnt_compress'
[additional info] Reading type 9 (hash-zipmap)
[info] 1 keys read
[info] 0 expires
[info] 0 already expired
[info] 0 subexpires
";
    assert_eq!(check(&[], "r034-v3-zipmap-big-len.rdb"), (bad.to_owned(), Some(1)));
    assert_eq!(check(&[], "is-not-there.rdb").1, Some(1));
}
