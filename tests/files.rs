//! Dump files and append-only files made by others: does this server read the same out of them as Redis did?
//!
//! `tests/files/rdb/expected.tsv` says of each file what Redis 8.0.6 made of it when it started with it: how many keys and which
//! digest, or why it refused. What a later server reads that Redis 8.0.6 refuses may be read too.
//!
//! `tests/files/aof` is the same for append-only files. They are only scanned here: whether they are whole is compared with
//! Redis, and not what their commands do, nor whether Redis knows the commands.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it reads files, and runs the checker"
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use waterwheel::base::hash::HashKey;
use waterwheel::config::Config;
use waterwheel::keyspace::{Databases, NewValue, Tuning, Value, db::is_past, digest};
use waterwheel::persist::aof::manifest::Manifest;
use waterwheel::persist::aof::scan::{self, BadAof, Cause, Scanner};
use waterwheel::persist::rdb::file::{BadData, FileReader, Item, Next, ReadOptions};

/// Files are read in pieces of so many bytes.
const PIECES: [usize; 3] = [1, 977, usize::MAX];

/// Now, as far as the files are concerned: all deadlines in them have passed or lie far ahead.
const NOW_MS: u64 = 1_790_000_000_000;

/// Files that this server treats in another way, and why.
const OTHERWISE: &[(&str, &str)] = &[(
    "r601-valkey80-valkey-cluster-slot-import.rdb",
    "Valkey crashes where it is no cluster; nothing else is in it",
)];

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

/// How many commands are in a file of commands, and where it ends if it ends too early.
fn scan(bytes: &[u8], piece: usize, tuning: &Tuning) -> Result<(u64, Option<BadAof>), BadAof> {
    let mut scanner = Scanner::new(ReadOptions::default(), Some(bytes.len() as u64));
    let mut pieces = bytes.chunks(piece.min(bytes.len().max(1)));
    let mut commands = 0;
    loop {
        match scanner.next(tuning) {
            Ok(scan::Next::Need) => match pieces.next() {
                Some(piece) => scanner.feed(piece),
                None => scanner.finish(),
            },
            Ok(scan::Next::More) => {}
            Ok(scan::Next::Item(scan::Item::Command(_))) => commands += 1,
            Ok(scan::Next::Item(_)) => {}
            Ok(scan::Next::End) => return Ok((commands, None)),
            Err(bad) if bad.is_short() => return Ok((commands, Some(bad))),
            Err(bad) => return Err(bad),
        }
    }
}

/// The files of a case in the order in which they are read: their names, and their bytes where they are there.
fn parts(case: &Path) -> Vec<(String, Option<Vec<u8>>)> {
    if case.is_file() {
        return vec![("appendonly.aof".to_owned(), fs::read(case).ok())];
    }
    let entries = fs::read_dir(case).expect("the folder is there").flatten().map(|entry| entry.path());
    let manifest = entries.into_iter().find(|path| path.extension().is_some_and(|end| end == "manifest"));
    let text = fs::read(manifest.expect("it has a manifest")).expect("it can be read");
    let manifest = Manifest::parse(&text).expect("it is a manifest");
    let names = manifest.needed().map(|file| String::from_utf8_lossy(&file.name).into_owned());
    names.map(|name| (name.clone(), fs::read(case.join(name)).ok())).collect()
}

/// Why a case is refused by its form, as Redis's log has it; what a command does, and whether there is one of its name, is not
/// looked at.
fn refusal(case: &Path, tuning: &Tuning) -> Result<(), String> {
    let parts = parts(case);
    if let Some((name, None)) = parts.iter().find(|(_, bytes)| bytes.is_none()) {
        return Err(format!("Unable to obtain the AOF file {name} length. stat: No such file or directory"));
    }
    let last = parts.len() - 1;
    for (i, (name, bytes)) in parts.iter().enumerate() {
        let bytes = bytes.as_deref().unwrap_or_default();
        let found: Vec<_> = PIECES.iter().map(|&piece| scan(bytes, piece, tuning)).collect();
        assert!(found.iter().all(|one| *one == found[0]), "{name} depends on the pieces: {found:?}");
        match &found[0] {
            Ok((_, Some(_))) if i < last => return Err("the truncated file is not the last file".to_owned()),
            Ok(_) => {}
            Err(BadAof { cause: Cause::Dump(what), .. }) => return Err(what.to_string()),
            Err(bad) => return Err(bad.refusal(name)),
        }
    }
    Ok(())
}

#[test]
fn append_only_files_of_others_are_whole_where_redis_reads_them_to_the_end() {
    let tuning = Config::new().tuning;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/aof");
    let table = fs::read_to_string(folder.join("expected.tsv")).expect("the table is there");
    let (mut wrong, mut count) = (Vec::new(), 0);
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let (name, outcome, reason, later) = (cells[0], cells[2], cells[7], cells[8]);
        count += 1;
        let found = refusal(&folder.join(name), &tuning);
        let is_right = match &found {
            Ok(()) => outcome != "refused" || reason.starts_with("Unknown command") || later != "refused",
            // Behind a command that Redis does not know it does not look on.
            Err(_) if outcome == "crash" || reason.starts_with("Unknown command") => true,
            Err(found) => outcome == "refused" && found == reason,
        };
        if !is_right {
            wrong.push(format!("{name}: {found:?} instead of {outcome} {reason}"));
        }
    }
    assert!(count > 180, "the table has rows");
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// A folder of its own under the target folder, empty.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder can be made");
    folder
}

/// What `check-aof` says in a folder, with an answer to its question, and how it ends.
fn check_aof(folder: &Path, words: &[&str], answer: &[u8]) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waterwheel"));
    command.arg("check-aof").args(words).current_dir(folder);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the server can be started");
    // It may have ended without a question.
    let _ = child.stdin.take().expect("it has an input").write_all(answer);
    let output = child.wait_with_output().expect("it ends");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

#[test]
fn the_checker_of_append_only_files_says_what_that_of_redis_says() {
    let folder = scratch("check_aof");
    let set = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("it can be written");
    let check = |words: &[&str]| check_aof(&folder, words, b"y\n");
    let start = "Start checking Old-Style AOF\n";
    let analyzed = |size: usize, whole: usize, lines: usize| {
        let diff = size - whole;
        format!(
            "AOF analyzed: filename=a.aof, size={size}, ok_up_to={whole}, ok_up_to_line={lines}, diff={diff}\n"
        )
    };
    let invalid = "AOF a.aof is not valid. Use the --fix option to try fixing it.\n";

    write("a.aof", set);
    let good = format!("{start}{}AOF a.aof is valid\n", analyzed(27, 27, 8));
    assert_eq!(check(&["a.aof"]), (good, Some(0)));
    write("a.aof", "");
    assert_eq!(check(&["a.aof"]), (format!("{start}AOF a.aof is empty\n"), Some(0)));

    write("a.aof", &format!("{set}{}", &set[..18]));
    let cut = "0x              2c: Expected to read 3 bytes, got 1 bytes\n".to_owned();
    let cut = format!("{start}{cut}{}", analyzed(45, 27, 12));
    assert_eq!(check(&["a.aof"]), (format!("{cut}{invalid}"), Some(1)));
    let question =
        "This will shrink the AOF a.aof from 45 bytes, with 18 bytes, to 27 bytes\nContinue? [y/N]: ";
    let fixed = format!("{cut}{question}Successfully truncated AOF a.aof\n");
    let refused = format!("{cut}{question}Aborting...\n");
    assert_eq!(check_aof(&folder, &["--fix", "a.aof"], b"n\n"), (refused, Some(1)));
    assert_eq!(check(&["--fix", "a.aof"]), (fixed, Some(0)));
    assert_eq!(fs::read(folder.join("a.aof")).ok().as_deref(), Some(set.as_bytes()));

    write("a.aof", &format!("{set}hello"));
    let other = format!("{start}AOF a.aof format error\n{}{invalid}", analyzed(32, 27, 8));
    assert_eq!(check(&["a.aof"]), (other, Some(1)));
    write("a.aof", &format!("{set}*1\r\n$5\r\nMULTI\r\n{set}"));
    let open = "0x              42: Reached EOF before reading EXEC for MULTI\n";
    let open = format!("{start}{open}{}{invalid}", analyzed(69, 27, 18));
    assert_eq!(check(&["a.aof"]), (open, Some(1)));
    write("a.aof", &format!("{set}*1\r\n$4\r\nEXEC\r\n"));
    let closed = "0x              23: Unexpected EXEC in AOF a.aof\n";
    assert_eq!(check(&["a.aof"]).0, format!("{start}{closed}{}{invalid}", analyzed(41, 27, 11)));

    write("a.aof", &format!("#TS:5\r\n{set}#TS:7\r\n{set}"));
    let before = format!("{start}AOF a.aof has nothing before timestamp 4, aborting...\n");
    assert_eq!(check(&["--truncate-to-timestamp", "4", "a.aof"]), (before, Some(1)));
    let nothing = format!("{start}Truncate nothing in AOF a.aof to timestamp 7\nAOF a.aof is valid\n");
    assert_eq!(check(&["--truncate-to-timestamp", "7", "a.aof"]), (nothing, Some(0)));
    let cut = format!("{start}Successfully truncated AOF a.aof to timestamp 6\n");
    assert_eq!(check(&["--truncate-to-timestamp", "6", "a.aof"]), (cut, Some(0)));
    let kept = fs::read_to_string(folder.join("a.aof")).expect("it is there");
    assert_eq!(kept, format!("#TS:5\r\n{set}"));

    write("a.aof.manifest", "file a.aof seq 1 type b\nfile b seq 1 type i\n");
    write("b", &set[..3]);
    let parts = format!(
        "Start checking Multi Part AOF\nStart to check BASE AOF (RESP format).\n{}BASE AOF a.aof is valid\nStart to check \
         INCR files.\n",
        analyzed(34, 34, 8)
    );
    let (text, code) = check(&["a.aof.manifest"]);
    assert_eq!(
        (text.strip_prefix(&parts).map(|rest| rest.contains("ok_up_to=0, ")), code),
        (Some(true), Some(1))
    );
    assert_eq!(check(&["is-not-there"]).1, Some(1));
}
