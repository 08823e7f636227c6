//! Backups, with the real binary: what is in them, who can load them, and what is left when something fails.
//!
//! Redis 8.0 and Valkey 9.1 are those of `tests/peers/prepare --all`; one that is not there is left out, with a note.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it starts servers, ends them and looks at their files"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::peer::{Connection, Peer};
use support::saved::{digest, fill, follow, info, until, until_linked};

const OURS: &str = env!("CARGO_BIN_EXE_waterwheel");
const IN_PROGRESS: &str = "(error) ERR A backup is already in progress, ABORT it first";

fn start(appendonly: &str, arguments: &[&str]) -> Peer {
    let all = ["--appendonly", appendonly, "--save", "", "--auto-aof-rewrite-percentage", "0"];
    Peer::start_with(OURS, &[&all, arguments].concat())
}

fn folder(peer: &Peer) -> PathBuf {
    peer.folder().join("backupdir")
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn status(peer: &Peer, field: &str) -> String {
    let text = peer.ask(&["BACKUP", "STATUS"]);
    let words: Vec<&str> = text.split('"').collect();
    let at = words.iter().position(|word| *word == field).unwrap_or_else(|| panic!("no {field} in {text}"));
    let value = words[at + 1].trim().trim_end_matches(|c: char| c.is_ascii_digit()).len();
    match words[at + 1].contains("(integer)") {
        true => words[at + 1]
            .split("(integer) ")
            .nth(1)
            .unwrap_or_default()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect(),
        false if value > 0 || words.len() > at + 2 => words[at + 2].to_owned(),
        false => String::new(),
    }
}

fn until_incrementing(peer: &Peer) {
    until("the base is there", || status(peer, "state") == "incrementing");
}

/// A backup of what is there now.
fn back_up(peer: &Peer) {
    assert_eq!(peer.ask(&["BACKUP", "START"]), "OK");
    until_incrementing(peer);
    assert_eq!(peer.ask(&["BACKUP", "SEAL"]), "OK");
}

/// A folder of its own with a copy of the backup as the log.
fn copied(peer: &Peer, name: &str) -> PathBuf {
    let dir = peer.folder().join(name);
    let log = dir.join("appendonlydir");
    fs::create_dir_all(&log).expect("it can be made");
    for name in names(&folder(peer)) {
        fs::copy(folder(peer).join(&name), log.join(&name)).expect("it can be copied");
    }
    dir
}

/// A server of ours that loads a copy.
fn loaded_by(program: &str, dir: &Path) -> Peer {
    let dir = dir.to_string_lossy().into_owned();
    let peer = Peer::start_with(
        program,
        &["--dir", &dir, "--appendonly", "yes", "--save", "", "--enable-debug-command", "yes"],
    );
    until("it is loaded", || info(&peer, "loading") == "0");
    peer
}

const REDIS: &str = "redis-8/src/redis-server";
const VALKEY: &str = "valkey-9/src/valkey-server";

/// Where a peer is, if it is there.
fn program_of(peer: &str) -> Option<String> {
    if peer == OURS {
        return Some(OURS.to_owned());
    }
    let path = format!("{}/.cache/waterwheel-peers/{peer}", std::env::var("HOME").unwrap_or_default());
    if !Path::new(&path).exists() {
        println!("{path} is not there: left out");
        return None;
    }
    Some(path)
}

fn checked(manifest: &Path) -> (bool, String) {
    let output = Command::new(OURS).arg("check-aof").arg(manifest).output().expect("it runs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Writes until it is told to stop, and counts.
fn writer(peer: &Peer, stops: &Arc<AtomicBool>) -> thread::JoinHandle<u64> {
    let (mut connection, stops) = (Connection::new(peer), Arc::clone(stops));
    thread::spawn(move || {
        let mut count = 0;
        while !stops.load(Ordering::Relaxed) {
            let words = |words: [&str; 3]| words.map(|word| word.as_bytes().to_vec()).to_vec();
            let text = format!("value:{count}");
            connection.ask(&[
                words(["RPUSH", "written", &text]),
                words(["SET", &format!("key:{}", count % 997), &text]),
            ]);
            count += 1;
        }
        count
    })
}

#[test]
fn a_backup_under_load_holds_all_that_was_written_before_the_seal() {
    let cases: [(&str, &str, &str, &[&str]); 4] = [
        ("yes", "yes", "auto", &[OURS, REDIS]),
        ("yes", "no", "auto", &[OURS, REDIS, VALKEY]),
        ("no", "yes", "auto", &[OURS, REDIS]),
        ("no", "yes", "80", &[OURS, VALKEY]),
    ];
    for (appendonly, preamble, version, readers) in cases {
        let how =
            ["--aof-use-rdb-preamble", preamble, "--rdb-version", version, "--rdb-key-save-delay", "100"];
        let peer = start(appendonly, &how);
        fill(&peer);
        let stops = Arc::new(AtomicBool::new(false));
        let writing = writer(&peer, &stops);
        assert_eq!(peer.ask(&["BACKUP", "START"]), "OK");
        assert_eq!(status(&peer, "state"), "snapshotting");
        assert_eq!(info(&peer, "backup_in_progress"), "1");
        until_incrementing(&peer);
        thread::sleep(Duration::from_millis(50));
        stops.store(true, Ordering::Relaxed);
        let written = writing.join().expect("it ends");
        assert!(written > 10, "{written}");
        if readers.contains(&VALKEY) {
            // Its digest does not tell of deadlines of fields.
            assert_eq!(peer.ask(&["HPERSIST", "hash:0", "FIELDS", "1", "member:0"]), "1) (integer) 1");
        }
        let sealed = digest(&peer);
        assert_eq!(peer.ask(&["BACKUP", "SEAL"]), "OK");
        peer.ask(&["SET", "behind", "the seal"]);
        assert_eq!(info(&peer, "backup_in_progress"), "0");
        assert_eq!(names(&folder(&peer)).len(), 3, "{:?}", names(&folder(&peer)));
        let (is_whole, said) = checked(&folder(&peer).join("appendonly.aof.manifest"));
        assert!(is_whole, "{said}");
        for (at, program) in readers.iter().filter_map(|reader| program_of(reader)).enumerate() {
            let copy = copied(&peer, &format!("copy-{at}"));
            let other = loaded_by(&program, &copy);
            assert_eq!(other.ask(&["EXISTS", "behind"]), "(integer) 0", "{program}");
            assert_eq!(other.ask(&["LLEN", "written"]), format!("(integer) {written}"), "{program}");
            assert_eq!(digest(&other), sealed, "{program} {appendonly} {preamble} {version}");
        }
    }
}

#[test]
fn a_seal_within_a_transaction_is_behind_all_of_it() {
    let peer = start("yes", &[]);
    peer.ask(&["SET", "before", "value"]);
    let line = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let mut connection = Connection::new(&peer);
    let within = |command: &str| {
        vec![
            line(&["MULTI"]),
            line(&["SET", &format!("{command} 1"), "value"]),
            line(&["BACKUP", command]),
            line(&["SET", &format!("{command} 2"), "value"]),
            line(&["EXEC"]),
        ]
    };
    connection.ask(&within("START"));
    until_incrementing(&peer);
    connection.ask(&within("SEAL"));
    until("it is sealed", || status(&peer, "state") == "sealed");
    let other = loaded_by(OURS, &copied(&peer, "copy"));
    assert_eq!(other.ask(&["EXISTS", "before", "START 1", "START 2", "SEAL 1", "SEAL 2"]), "(integer) 5");
}

#[test]
fn files_are_told_and_stay_as_they_are_until_they_are_removed() {
    for appendonly in ["yes", "no"] {
        let mut peer = start(appendonly, &[]);
        fill(&peer);
        assert_eq!(peer.ask(&["BACKUP", "LIST"]), "(empty array)");
        assert_eq!(peer.ask(&["BACKUP", "CLEANUP"]), "OK");
        assert!(peer.ask(&["BACKUP", "ABORT"]).contains("No backup in progress"));
        assert!(peer.ask(&["BACKUP", "SEAL"]).contains("must be in the incrementing state"));
        assert_eq!(peer.ask(&["BACKUP", "START"]), "OK");
        assert_eq!(peer.ask(&["BACKUP", "START"]), IN_PROGRESS);
        assert_eq!(peer.ask(&["BACKUP", "CLEANUP"]), "(error) ERR Backup is in progress");
        until_incrementing(&peer);
        let list = peer.ask(&["BACKUP", "LIST"]);
        assert!(list.contains(&format!("{}/backupdir/appendonly.aof.", peer.folder().display())), "{list}");
        assert!(list.contains("base.rdb") && !list.contains("manifest"), "{list}");
        assert_eq!(peer.ask(&["BGREWRITEAOF"]), "Background append only file rewriting scheduled");
        assert_eq!(peer.ask(&["BACKUP", "SEAL"]), "OK");
        until("the rewrite that waited is done", || {
            info(&peer, "aof_rewrite_scheduled") == "0" && info(&peer, "aof_rewrite_in_progress") == "0"
        });
        assert_eq!(info(&peer, "aof_enabled"), if appendonly == "yes" { "1" } else { "0" });
        assert!(peer.ask(&["BACKUP", "START"]).contains("A sealed backup exists, CLEANUP it first"));
        let list = peer.ask(&["BACKUP", "LIST"]);
        assert!(list.contains("incr.aof") && list.contains("appendonly.aof.manifest"), "{list}");
        let lengths = || -> Vec<u64> {
            names(&folder(&peer))
                .iter()
                .map(|name| fs::metadata(folder(&peer).join(name)).expect("it is there").len())
                .collect()
        };
        let before = lengths();
        assert_eq!(before.len(), 3);
        peer.ask(&["SET", "more", "value"]);
        peer.ask(&["BGREWRITEAOF"]);
        until("it is rewritten", || info(&peer, "aof_rewrite_in_progress") == "0");
        assert_eq!(lengths(), before);
        // Another server knows it, and its age.
        let (begun, ended) = (status(&peer, "start_time"), status(&peer, "end_time"));
        peer.restart();
        until("it is loaded", || info(&peer, "loading") == "0");
        assert_eq!(status(&peer, "state"), "sealed");
        assert_eq!((status(&peer, "start_time"), status(&peer, "end_time")), (begun, ended));
        assert_eq!(peer.ask(&["BACKUP", "LIST"]), list);
        assert_eq!(peer.ask(&["BACKUP", "CLEANUP"]), "OK");
        assert_eq!(names(&folder(&peer)), [""; 0]);
        assert_eq!(status(&peer, "state"), "idle");
        back_up(&peer);
        thread::sleep(Duration::from_millis(1100));
        assert_eq!(peer.ask(&["CONFIG", "SET", "backup-sealed-ttl", "1"]), "OK");
        until("its time is over", || status(&peer, "state") == "idle" && names(&folder(&peer)).is_empty());
    }
}

#[test]
fn a_log_that_was_begun_for_a_backup_alone_ends_with_it_unless_somebody_wants_it() {
    let mut peer = start("no", &[]);
    peer.ask(&["SET", "key", "value"]);
    back_up(&peer);
    until("the log is removed", || names(&peer.folder().join("appendonlydir")).is_empty());
    assert_eq!(names(&folder(&peer)).len(), 3, "{:?}", names(&folder(&peer)));
    peer.ask(&["BACKUP", "CLEANUP"]);
    // Given up.
    assert_eq!(peer.ask(&["BACKUP", "START"]), "OK");
    until_incrementing(&peer);
    assert_eq!(peer.ask(&["BACKUP", "ABORT"]), "OK");
    assert_eq!(status(&peer, "state"), "failed");
    assert_eq!(status(&peer, "error"), "aborted by user");
    until("all is removed", || {
        names(&peer.folder().join("appendonlydir")).is_empty() && names(&folder(&peer)).is_empty()
    });
    // Killed: nobody must take for the log what was written for a backup.
    assert_eq!(peer.ask(&["BACKUP", "START"]), "OK");
    until_incrementing(&peer);
    peer.ask(&["SET", "unsaved", "value"]);
    assert!(names(&peer.folder().join("appendonlydir")).len() > 1);
    peer.restart();
    until("it is loaded", || info(&peer, "loading") == "0");
    until("all is removed", || {
        names(&peer.folder().join("appendonlydir")).is_empty() && names(&folder(&peer)).is_empty()
    });
    assert_eq!(status(&peer, "state"), "idle");
    // Wanted.
    peer.ask(&["SET", "key", "value"]);
    assert_eq!(peer.ask(&["BACKUP", "START"]), "OK");
    until_incrementing(&peer);
    assert_eq!(peer.ask(&["CONFIG", "SET", "appendonly", "yes"]), "OK");
    assert_eq!(peer.ask(&["BACKUP", "SEAL"]), "OK");
    assert_eq!(info(&peer, "aof_enabled"), "1");
    peer.ask(&["SET", "logged", "value"]);
    assert_eq!(peer.ask(&["DEBUG", "LOADAOF"]), "OK");
    assert_eq!(peer.ask(&["EXISTS", "key", "logged"]), "(integer) 2");
    assert_eq!(peer.ask(&["BACKUP", "CLEANUP"]), "OK");
    assert_eq!(names(&folder(&peer)), [""; 0]);
    // And not wanted any more.
    assert_eq!(peer.ask(&["BACKUP", "START"]), "OK");
    until_incrementing(&peer);
    assert_eq!(peer.ask(&["CONFIG", "SET", "appendonly", "no"]), "OK");
    assert_eq!(status(&peer, "error"), "appendonly is stopped");
    until("it is removed", || names(&folder(&peer)).is_empty());
}

#[test]
fn a_backup_waits_for_a_save_and_takes_the_rewrite_that_is_under_way() {
    let peer = start("yes", &[]);
    (0..3).for_each(|i| drop(peer.ask(&["SET", &format!("key:{i}"), "value"])));
    peer.ask(&["CONFIG", "SET", "rdb-key-save-delay", "300000"]);
    peer.ask(&["BGSAVE"]);
    assert_eq!(peer.ask(&["BACKUP", "START"]), "OK");
    assert_eq!(status(&peer, "state"), "pending");
    assert_eq!(peer.ask(&["BACKUP", "LIST"]), "(empty array)");
    peer.ask(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
    until_incrementing(&peer);
    peer.ask(&["BACKUP", "ABORT"]);
    peer.ask(&["CONFIG", "SET", "rdb-key-save-delay", "300000"]);
    let begun = info(&peer, "aof_rewrites");
    peer.ask(&["BGREWRITEAOF"]);
    assert_eq!(peer.ask(&["BACKUP", "START"]), "OK");
    assert_eq!(status(&peer, "state"), "snapshotting");
    peer.ask(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
    until_incrementing(&peer);
    assert_eq!(info(&peer, "aof_rewrites"), (begun.parse::<u64>().unwrap() + 1).to_string());
    assert_eq!(peer.ask(&["BACKUP", "SEAL"]), "OK");
}

#[test]
fn what_is_not_ours_stays_and_what_fails_is_told() {
    let mut peer = start("yes", &[]);
    fill(&peer);
    fs::create_dir_all(folder(&peer)).expect("nothing is in the way");
    let stale = folder(&peer).join("appendonly.aof.manifest.old");
    fs::write(&stale, "mine").expect("it can be written");
    assert_eq!(peer.ask(&["BACKUP", "START"]), "(error) ERR Backup directory is not empty");
    assert_eq!(peer.ask(&["BACKUP", "CLEANUP"]), "OK");
    peer.restart();
    until("it is loaded", || info(&peer, "loading") == "0");
    assert_eq!(names(&folder(&peer)), ["appendonly.aof.manifest.old"]);
    fs::remove_file(&stale).expect("it is there");
    // The folder cannot be made.
    fs::remove_dir(folder(&peer)).expect("it is empty");
    fs::write(folder(&peer), "a file").expect("it can be written");
    let refused = peer.ask(&["BACKUP", "START"]);
    assert!(
        refused.starts_with("(error) ERR Backup failed: ") && refused.contains("Not a directory"),
        "{refused}"
    );
    assert_eq!(status(&peer, "state"), "idle");
    fs::remove_file(folder(&peer)).expect("it is there");
    // A link of an increment fails.
    assert_eq!(peer.ask(&["BACKUP", "START"]), "OK");
    until_incrementing(&peer);
    for seq in 1..5 {
        fs::create_dir(folder(&peer).join(format!("appendonly.aof.{seq}.incr.aof")))
            .expect("nothing is in the way");
    }
    let refused = peer.ask(&["BACKUP", "SEAL"]);
    assert!(refused.contains("ERR Backup failed: link appendonly.aof."), "{refused}");
    assert!(refused.contains("File exists"), "{refused}");
    assert_eq!(status(&peer, "state"), "failed");
    assert!(status(&peer, "error").contains("File exists"));
    peer.ask(&["SET", "goes", "on"]);
    let before = digest(&peer);
    peer.restart();
    until("it is loaded", || info(&peer, "loading") == "0");
    assert_eq!(digest(&peer), before);
}

#[test]
fn a_backup_that_lacks_a_file_is_told_and_can_be_removed() {
    let mut peer = start("yes", &[]);
    fill(&peer);
    back_up(&peer);
    let base = names(&folder(&peer)).into_iter().find(|name| name.contains(".base.")).expect("it has one");
    fs::remove_file(folder(&peer).join(&base)).expect("it is there");
    peer.restart();
    until("it is loaded", || info(&peer, "loading") == "0");
    assert_eq!(status(&peer, "state"), "failed");
    let error = status(&peer, "error");
    assert_eq!(error, format!("The backup that was found cannot be used: {base} is missing"));
    let refused = peer.ask(&["BACKUP", "START"]);
    assert_eq!(refused, "(error) ERR There are files of a backup that cannot be used, CLEANUP them first");
    assert_eq!(peer.ask(&["BACKUP", "CLEANUP"]), "OK");
    assert_eq!(names(&folder(&peer)), [""; 0]);
    back_up(&peer);
    // An empty manifest is the rest of a removal.
    fs::write(folder(&peer).join("appendonly.aof.manifest"), "").expect("it can be written");
    peer.restart();
    until("it is loaded", || info(&peer, "loading") == "0");
    assert_eq!(status(&peer, "state"), "idle");
    until("it is removed", || names(&folder(&peer)).is_empty());
}

#[test]
fn a_byte_that_is_flipped_is_found() {
    let peer = start("yes", &["--rdbchecksum", "no"]);
    fill(&peer);
    assert_eq!(peer.ask(&["BACKUP", "START"]), "OK");
    until_incrementing(&peer);
    for i in 0..50 {
        peer.ask(&["SET", &format!("late:{i}"), "a value that is long enough to hide a byte"]);
    }
    assert_eq!(peer.ask(&["BACKUP", "SEAL"]), "OK");
    for name in names(&folder(&peer)) {
        let dir = copied(&peer, "copy").join("appendonlydir");
        let manifest = dir.join("appendonly.aof.manifest");
        assert!(checked(&manifest).0, "{}", checked(&manifest).1);
        let path = dir.join(&name);
        let text = fs::read(&path).expect("it is there");
        // Within a value of the increment nothing but the checksum tells.
        let within = text.windows(4).position(|bytes| bytes == b"long").unwrap_or(text.len() / 2);
        for at in [within, text.len() - 1] {
            let mut damaged = text.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).expect("it can be written");
            let (is_whole, said) = checked(&manifest);
            assert!(!is_whole, "{name} at {at}: {said}");
        }
        fs::write(&path, &text[..text.len() - 1]).expect("it can be written");
        assert!(!checked(&manifest).0, "{name} is short");
        fs::write(&path, &text).expect("it can be written");
    }
}

#[test]
fn a_file_that_is_preloaded_takes_the_place_of_what_is_there_and_is_not_touched() {
    let mut peer = start("yes", &[]);
    fill(&peer);
    back_up(&peer);
    peer.ask(&["SAVE"]);
    let sealed = digest(&peer);
    peer.ask(&["SET", "later", "value"]);
    let backup = folder(&peer);
    let one = peer.folder().join("one.aof");
    fs::write(&one, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n").expect("it can be written");
    let manifest = format!("aof:{}/appendonly.aof.manifest", backup.display());
    let dump = format!("rdb:{}/dump.rdb", peer.folder().display());
    let single = format!("aof:{}", one.display());
    let of_folder = || -> Vec<Vec<u8>> {
        names(&backup).iter().map(|name| fs::read(backup.join(name)).expect("it is there")).collect()
    };
    let before = of_folder();
    for appendonly in ["yes", "no"] {
        for (source, is_single) in [(&manifest, false), (&dump, false), (&single, true)] {
            let mut other = start(appendonly, &[]);
            other.ask(&["SET", "own", "value"]);
            other.ask(&["SAVE"]);
            other.end();
            let dir = other.folder().to_string_lossy().into_owned();
            let restored = start(appendonly, &["--dir", &dir, "--preload-file", source]);
            until("it is loaded", || info(&restored, "loading") == "0");
            match is_single {
                true => assert_eq!(restored.ask(&["KEYS", "*"]), "1) \"k\""),
                false => assert_eq!(digest(&restored), sealed, "{source} {appendonly}"),
            }
            restored.ask(&["SET", "after", "value"]);
            until("it is logged", || {
                info(&restored, "aof_rewrite_in_progress") == "0"
                    && info(&restored, "aof_rewrite_scheduled") == "0"
            });
            let now = digest(&restored);
            drop(restored);
            other.restart();
            until("it is loaded", || info(&other, "loading") == "0");
            match appendonly {
                // The log is that of what was preloaded, and what came behind it.
                "yes" => assert_eq!(digest(&other), now, "{source}"),
                _ => assert_eq!(other.ask(&["KEYS", "*"]), "1) \"own\""),
            }
        }
    }
    assert_eq!(of_folder(), before);
    // What is cut off is refused, and not cut.
    fs::write(&one, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n").expect("it can be written");
    let none = format!("rdb:{}/none.rdb", peer.folder().display());
    for source in [&single, &none] {
        let all = ["--port", "0", "--dir", &*peer.folder().to_string_lossy(), "--preload-file", source];
        let status = Command::new(OURS).args(all).output().expect("it runs").status;
        assert_eq!(status.code(), Some(1), "{source}");
    }
    assert_eq!(fs::metadata(&one).expect("it is there").len(), 24);
    for (value, what) in [
        ("rdb:/tmp/foo", "preload-file must end with an extension"),
        ("odd:/tmp/foo.rdb", "argument must be in the format '[aof|rdb]:[filename]'"),
        ("aof:/tmp/../foo.aof", "preload-file path must be a normalized absolute file path"),
    ] {
        let output =
            Command::new(OURS).args(["--port", "0", "--preload-file", value]).output().expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        assert!(String::from_utf8_lossy(&said).contains(what), "{}", String::from_utf8_lossy(&said));
    }
    // Its own log is loaded as always.
    let own = format!("aof:{}/appendonlydir/appendonly.aof.manifest", peer.folder().display());
    let dir = peer.folder().to_string_lossy().into_owned();
    let with_it = digest(&peer);
    peer.end();
    let again = start("yes", &["--dir", &dir, "--preload-file", &own]);
    until("it is loaded", || info(&again, "loading") == "0");
    assert_eq!(info(&again, "aof_rewrites"), "0");
    assert_eq!(digest(&again), with_it);
}

/// Has a server follow another, and waits until it does.
/// Starts another server with the backup of this one, and tells what is in it.
fn digest_of_backup(peer: &Peer) -> String {
    let manifest = format!("aof:{}/appendonly.aof.manifest", folder(peer).display());
    let restored = start("no", &["--preload-file", &manifest]);
    until("it is loaded", || info(&restored, "loading") == "0");
    digest(&restored)
}

#[test]
fn a_full_sync_fails_a_backup_and_the_next_is_of_the_new_dataset() {
    let primary = start("no", &["--repl-diskless-sync-delay", "0"]);
    fill(&primary);
    for (appendonly, load) in [("no", "disabled"), ("yes", "disabled"), ("no", "swapdb"), ("yes", "swapdb")] {
        for is_walking in [false, true] {
            let replica = start(appendonly, &["--repl-diskless-load", load]);
            (0..3).for_each(|i| drop(replica.ask(&["SET", &format!("own:{i}"), "value"])));
            if is_walking {
                replica.ask(&["CONFIG", "SET", "rdb-key-save-delay", "20000000"]);
            }
            assert_eq!(replica.ask(&["BACKUP", "START"]), "OK");
            match is_walking {
                true => until("the base is walked", || status(&replica, "state") == "snapshotting"),
                false => until_incrementing(&replica),
            }
            follow(&replica, &primary);
            until_linked(&replica);
            assert_eq!(status(&replica, "state"), "failed");
            assert_eq!(status(&replica, "error"), "a full sync with the primary replaces the dataset");
            assert_eq!(
                replica.ask(&["BACKUP", "SEAL"]),
                "(error) ERR No backup ready to seal (must be in the incrementing state)"
            );
            until("its files are removed", || names(&folder(&replica)).is_empty());
            if appendonly == "no" {
                until("no log is left", || names(&replica.folder().join("appendonlydir")).is_empty());
            }
            assert_eq!(digest(&replica), digest(&primary));
            replica.ask(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
            // A replica logs what its primary says.
            until("the next begins", || replica.ask(&["BACKUP", "START"]) == "OK");
            until_incrementing(&replica);
            primary.ask(&["RPUSH", "behind", load, appendonly]);
            until("it has it", || digest(&replica) == digest(&primary));
            assert_eq!(replica.ask(&["BACKUP", "SEAL"]), "OK");
            let sealed = digest(&primary);
            primary.ask(&["RPUSH", "behind", "the seal"]);
            assert_eq!(digest_of_backup(&replica), sealed, "{appendonly} {load}");
            // What is sealed stays when another dataset comes.
            replica.ask(&["REPLICAOF", "NO", "ONE"]);
            replica.ask(&["SET", "other", "history"]);
            follow(&replica, &primary);
            until_linked(&replica);
            assert_eq!(status(&replica, "state"), "sealed");
            assert_eq!(digest_of_backup(&replica), sealed, "{appendonly} {load}");
        }
    }
}

#[test]
fn a_backup_and_a_sync_of_a_replica_wait_for_one_another() {
    for straight in ["yes", "no"] {
        for logs in ["yes", "no"] {
            let primary = start(logs, &["--repl-diskless-sync-delay", "0", "--repl-diskless-sync", straight]);
            (0..3).for_each(|i| drop(primary.ask(&["SET", &format!("key:{i}"), "value"])));
            let replicas = [start("no", &[]), start("no", &[])];
            // The sync comes first.
            primary.ask(&["CONFIG", "SET", "rdb-key-save-delay", "300000"]);
            follow(&replicas[0], &primary);
            until("it is walked", || info(&primary, "rdb_bgsave_in_progress") == "1");
            assert_eq!(primary.ask(&["BACKUP", "START"]), "OK");
            assert_eq!(status(&primary, "state"), "pending");
            primary.ask(&["SET", "meanwhile", "value"]);
            until_linked(&replicas[0]);
            // The base is walked, and another replica comes.
            until("it is walked", || status(&primary, "state") == "snapshotting");
            follow(&replicas[1], &primary);
            primary.ask(&["SET", "meanwhile", "again"]);
            until_incrementing(&primary);
            until_linked(&replicas[1]);
            primary.ask(&["SET", "at last", "value"]);
            assert_eq!(primary.ask(&["BACKUP", "SEAL"]), "OK");
            let sealed = digest(&primary);
            for replica in &replicas {
                until("they are the same", || digest(replica) == sealed);
            }
            assert_eq!(digest_of_backup(&primary), sealed, "{straight} {logs}");
        }
    }
}

#[test]
fn the_dataset_of_the_primary_takes_the_place_of_what_a_replica_has_preloaded() {
    let primary = start("no", &["--repl-diskless-sync-delay", "0"]);
    primary.ask(&["SET", "of", "the primary"]);
    let peer = start("yes", &[]);
    fill(&peer);
    back_up(&peer);
    peer.ask(&["SAVE"]);
    let port = info(&primary, "tcp_port");
    let manifest = format!("aof:{}/appendonly.aof.manifest", folder(&peer).display());
    let dump = format!("rdb:{}/dump.rdb", peer.folder().display());
    for appendonly in ["yes", "no"] {
        for source in [&manifest, &dump] {
            let arguments = ["--preload-file", source, "--replicaof", &format!("127.0.0.1 {port}")];
            let replica = start(appendonly, &arguments);
            until("it is loaded", || info(&replica, "loading") == "0");
            until_linked(&replica);
            assert_eq!(replica.ask(&["KEYS", "*"]), "1) \"of\"");
            primary.ask(&["SET", "of", source]);
            until("they are the same", || digest(&replica) == digest(&primary));
        }
    }
}

#[test]
fn a_kill_leaves_a_whole_backup_or_none() {
    let (mut sealed, mut unsealed) = (0, 0);
    // As long as it takes here and now, and a little longer.
    let mut whole = Duration::ZERO;
    const ROUNDS: u32 = 24;
    for round in 0..ROUNDS {
        let appendonly = if round % 2 == 0 { "yes" } else { "no" };
        let mut peer = start(appendonly, &["--save", "3600 1"]);
        fill(&peer);
        peer.ask(&["SAVE"]);
        let before = digest(&peer);
        let mut connection = Connection::new(&peer);
        let line = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        let asking = thread::spawn(move || {
            let (mut is_told, begun) = (false, Instant::now());
            connection.try_ask(&[line(&["BACKUP", "START"])]);
            for _ in 0..10_000 {
                match connection.try_ask(&[line(&["BACKUP", "SEAL"])]) {
                    Some(replies) if format!("{replies:?}").contains("OK") => {
                        is_told = true;
                        break;
                    }
                    Some(_) => {}
                    None => break,
                }
            }
            (is_told, begun.elapsed())
        });
        let (is_told, took) = if round < 2 {
            // Nobody kills the first two before they are told.
            let told = asking.join().expect("it ends");
            peer.restart();
            told
        } else {
            thread::sleep(whole * (round - 2) / (ROUNDS - 2));
            peer.restart();
            asking.join().expect("it ends")
        };
        if round < 2 {
            assert!(is_told);
            whole = whole.max(took);
        }
        until("it is loaded", || info(&peer, "loading") == "0");
        assert_eq!(digest(&peer), before, "round {round}");
        match status(&peer, "state").as_str() {
            "sealed" => {
                sealed += 1;
                assert!(checked(&folder(&peer).join("appendonly.aof.manifest")).0);
                let other = loaded_by(OURS, &copied(&peer, "copy"));
                assert_eq!(digest(&other), before, "round {round}");
            }
            state => {
                unsealed += 1;
                assert!(!is_told, "round {round}: {state}");
                assert_eq!(peer.ask(&["BACKUP", "LIST"]), "(empty array)");
                until("what is left goes", || names(&folder(&peer)).is_empty());
            }
        }
        if appendonly == "no" {
            until("no log is left", || names(&peer.folder().join("appendonlydir")).is_empty());
        }
    }
    println!("{sealed} sealed, {unsealed} not");
    assert!(sealed > 0 && unsealed > 0, "{sealed} {unsealed}");
}
