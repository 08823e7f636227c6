//! Dump files, with the real binary: what is saved when, what is found after a start, and what everybody is told meanwhile.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it starts servers, ends them and looks at their files"
)]

mod support;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};
use support::peer::{Connection, Peer};
use support::saved::{digest, fill, info, until};

fn start(arguments: &[&str]) -> Peer {
    Peer::start_with(env!("CARGO_BIN_EXE_waterwheel"), arguments)
}

fn until_saved(peer: &Peer) {
    until("the save ends", || info(peer, "rdb_bgsave_in_progress") == "0");
}

#[test]
fn what_was_saved_is_there_after_a_crash() {
    let mut peer = start(&[]);
    fill(&peer);
    let before = digest(&peer);
    let groups = peer.ask(&["XINFO", "STREAM", "stream:0", "FULL"]);
    assert_eq!(peer.ask(&["SAVE"]), "OK");
    assert_eq!(info(&peer, "rdb_changes_since_last_save"), "0");
    peer.ask(&["SET", "later", "lost"]);
    peer.restart();
    until("it is loaded", || info(&peer, "loading") == "0");
    assert_eq!(digest(&peer), before);
    assert_eq!(peer.ask(&["XINFO", "STREAM", "stream:0", "FULL"]), groups);
    assert_eq!(peer.ask(&["FCALL", "f", "0"]), "(integer) 7");
    assert_eq!(peer.ask(&["PEXPIRETIME", "dated"]), "(integer) 4000000000000");
    assert_eq!(
        peer.ask(&["HPEXPIRETIME", "hash:0", "FIELDS", "1", "member:0"]),
        "1) (integer) 4000000000000"
    );
    assert_eq!(info(&peer, "rdb_last_load_keys_loaded"), "721");
    for line in
        ["Loading RDB produced by version", "Done loading RDB, keys loaded: 721", "DB loaded from disk: "]
    {
        assert!(peer.log().contains(line), "{line} in {}", peer.log());
    }
}

#[test]
fn a_save_in_the_background_is_the_keyspace_of_its_start_whatever_changes() {
    let mut peer = start(&["--rdb-key-save-delay", "300"]);
    fill(&peer);
    let before = digest(&peer);
    assert_eq!(peer.ask(&["BGSAVE", "SCHEDULE"]), "Background saving started");
    assert_eq!(peer.ask(&["BGSAVE"]), "(error) ERR Background save already in progress");
    assert_eq!(peer.ask(&["SAVE"]), "(error) ERR Background save already in progress");
    for key in ["set", "zset", "hash", "list", "stream"] {
        peer.ask(&["RENAME", &format!("{key}:0"), &format!("{key}:x")]);
        peer.ask(&["DEL", &format!("{key}:1")]);
    }
    peer.ask(&["SPOP", "set:2", "200"]);
    peer.ask(&["ZREMRANGEBYRANK", "zset:2", "0", "-1"]);
    peer.ask(&["HSET", "hash:2", "member:2", "changed", "new", "field"]);
    peer.ask(&["LPUSH", "list:2", "new"]);
    peer.ask(&["XTRIM", "stream:2", "MAXLEN", "3"]);
    peer.ask(&["APPEND", "long", "more"]);
    peer.ask(&["MOVE", "hash:x", "5"]);
    peer.ask(&["SWAPDB", "0", "9"]);
    peer.ask(&["FLUSHDB"]);
    assert_ne!(digest(&peer), before);
    until_saved(&peer);
    assert_eq!(info(&peer, "rdb_last_bgsave_status"), "ok");
    assert_ne!(info(&peer, "rdb_changes_since_last_save"), "0");
    peer.restart();
    until("it is loaded", || info(&peer, "loading") == "0");
    assert_eq!(digest(&peer), before);
}

#[test]
fn a_save_that_was_cancelled_leaves_the_old_file() {
    let mut peer = start(&["--enable-protected-configs", "yes"]);
    fill(&peer);
    let before = digest(&peer);
    peer.ask(&["SAVE"]);
    peer.ask(&["SET", "string:0", "changed"]);
    peer.ask(&["CONFIG", "SET", "rdb-key-save-delay", "10000000"]);
    assert_eq!(
        peer.ask(&["BGSAVE", "CANCEL"]),
        "(error) ERR Background saving is currently not in progress or scheduled"
    );
    for _ in 0..300 {
        assert_eq!(peer.ask(&["BGSAVE"]), "Background saving started");
        peer.ask(&["SADD", "set:0", "another"]);
        assert_eq!(peer.ask(&["BGSAVE", "CANCEL"]), "Background saving cancelled");
    }
    assert_eq!(info(&peer, "snapshot_held_bytes"), "0");
    let folder = peer.folder().to_owned();
    until("what was begun is removed", || {
        fs::read_dir(&folder)
            .unwrap()
            .flatten()
            .all(|f| !f.file_name().to_string_lossy().starts_with("temp-"))
    });
    let changed = digest(&peer);
    // One after hundreds that were cancelled is whole.
    let file = folder.join("dump.rdb");
    let old = fs::read(&file).unwrap();
    assert_eq!(peer.ask(&["CONFIG", "SET", "rdb-key-save-delay", "0", "dbfilename", "other.rdb"]), "OK");
    peer.ask(&["BGSAVE"]);
    until_saved(&peer);
    assert_eq!(fs::read(&file).unwrap(), old);
    peer.restart();
    until("it is loaded", || info(&peer, "loading") == "0");
    assert_eq!(digest(&peer), before);
    fs::rename(folder.join("other.rdb"), file).unwrap();
    peer.restart();
    until("it is loaded", || info(&peer, "loading") == "0");
    assert_eq!(digest(&peer), changed);
}

#[test]
fn a_reload_ends_a_save_instead_of_taking_its_snapshot_away() {
    let mut peer = start(&["--rdb-key-save-delay", "20000"]);
    fill(&peer);
    let before = digest(&peer);
    // SAVE has walked a part when the databases are reloaded.
    let mut waiting = peer.connect();
    std::io::Write::write_all(&mut waiting, b"SAVE\r\n").unwrap();
    until("it is under way", || info(&peer, "current_save_keys_processed") != "0");
    assert_eq!(peer.ask(&["DEBUG", "RELOAD"]), "OK");
    let mut reply = [0; 100];
    let n = std::io::Read::read(&mut waiting, &mut reply).unwrap();
    assert_eq!(&reply[..n], b"-ERR\r\n");
    assert_eq!(digest(&peer), before);
    peer.restart();
    until("it is loaded", || info(&peer, "loading") == "0");
    assert_eq!(digest(&peer), before);
}

#[test]
fn what_killed_servers_were_writing_is_removed_at_the_next_start() {
    let mut peer = start(&["--rdb-key-save-delay", "10000000"]);
    let folder = peer.folder().to_owned();
    fill(&peer);
    peer.ask(&["BGSAVE"]);
    let killed = folder.join(format!("temp-{}.rdb", peer.pid()));
    until("the file is begun", || killed.exists());
    // One of somebody who lives, as of another server in the same folder, and one that is no such file.
    let living = format!("temp-{}.rdb", std::process::id());
    let kept = [&living[..], "temp-notes.rdb"];
    kept.iter().for_each(|name| fs::write(folder.join(name), b"begun").unwrap());
    let other = folder.join(format!("temp-rewriteaof-bg-{}.aof", peer.pid()));
    fs::write(&other, b"begun").unwrap();
    peer.restart();
    until("they are removed", || !killed.exists() && !other.exists());
    kept.iter().for_each(|name| assert!(folder.join(name).exists(), "{name}"));
    assert!(peer.log().contains("which a server that was killed has left"), "{}", peer.log());
    assert_eq!(peer.ask(&["SAVE"]), "OK");
}

#[test]
fn save_points_save_and_a_failure_stops_writes() {
    let peer = start(&["--save", "1 5"]);
    let file = peer.folder().join("dump.rdb");
    (0..4).for_each(|i| drop(peer.ask(&["SET", &i.to_string(), "value"])));
    std::thread::sleep(Duration::from_millis(2500));
    assert!(!file.exists(), "four changes are too few");
    peer.ask(&["SET", "4", "value"]);
    until("the save point is met", || file.exists());
    until("it is noticed", || info(&peer, "rdb_changes_since_last_save") == "0");
    // A folder has the name.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    fs::write(file.join("full"), b"").unwrap();
    assert_eq!(peer.ask(&["BGSAVE"]), "Background saving started");
    until("the save fails", || info(&peer, "rdb_last_bgsave_status") == "err");
    let refused = peer.ask(&["SET", "5", "value"]);
    assert!(refused.starts_with("(error) MISCONF Redis is configured to save RDB snapshots"), "{refused}");
    assert_eq!(peer.ask(&["PING"]), refused);
    assert!(peer.ask(&["EVAL", "return redis.call('SET', 'a', 'b')", "0"]).contains("MISCONF"));
    assert_eq!(peer.ask(&["GET", "4"]), "\"value\"");
    assert_eq!(peer.ask(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]), "OK");
    assert_eq!(peer.ask(&["SET", "5", "value"]), "OK");
    assert_eq!(peer.ask(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "yes"]), "OK");
    fs::remove_dir_all(&file).unwrap();
    assert_eq!(peer.ask(&["SAVE"]), "OK");
    assert_eq!(peer.ask(&["PING"]), "PONG");
}

#[test]
fn a_shutdown_saves_where_it_should() {
    let mut peer = start(&["--save", "900 1"]);
    fill(&peer);
    let before = digest(&peer);
    Connection::new(&peer).try_ask(&[vec![b"SHUTDOWN".to_vec()]]);
    assert_eq!(peer.exit_code(), Some(0));
    for line in ["User requested shutdown...", "DB saved on disk", "ready to exit, bye bye"] {
        assert!(peer.log().contains(line), "{line}");
    }
    peer.start_again(true);
    until("it is loaded", || info(&peer, "loading") == "0");
    assert_eq!(digest(&peer), before);
    peer.ask(&["SET", "string:0", "changed"]);
    Connection::new(&peer).try_ask(&[vec![b"SHUTDOWN".to_vec(), b"NOSAVE".to_vec()]]);
    assert_eq!(peer.exit_code(), Some(0));
    peer.start_again(true);
    until("it is loaded", || info(&peer, "loading") == "0");
    assert_eq!(digest(&peer), before);
    // A signal saves as well.
    peer.ask(&["SET", "string:0", "changed"]);
    let changed = digest(&peer);
    assert!(Command::new("kill").arg(peer.pid().to_string()).status().unwrap().success());
    assert_eq!(peer.exit_code(), Some(0));
    peer.start_again(true);
    until("it is loaded", || info(&peer, "loading") == "0");
    assert_eq!(digest(&peer), changed);
}

#[test]
fn a_shutdown_that_cannot_save_does_not_end() {
    let mut peer = start(&["--save", "900 1"]);
    peer.ask(&["SET", "key", "value"]);
    fs::create_dir(peer.folder().join("dump.rdb")).unwrap();
    fs::write(peer.folder().join("dump.rdb/full"), b"").unwrap();
    assert_eq!(peer.ask(&["SHUTDOWN", "ABORT"]), "(error) ERR No shutdown in progress.");
    assert_eq!(peer.ask(&["SHUTDOWN"]), "(error) ERR Errors trying to SHUTDOWN. Check logs.");
    assert!(peer.log().contains("Error trying to save the DB, can't exit"), "{}", peer.log());
    assert_eq!(peer.ask(&["GET", "key"]), "\"value\"");
    assert_eq!(peer.ask(&["SET", "key", "other"]), "OK");
    Connection::new(&peer).try_ask(&[vec![b"SHUTDOWN".to_vec(), b"FORCE".to_vec()]]);
    assert_eq!(peer.exit_code(), Some(0));
}

#[test]
fn a_shutdown_that_saves_can_be_aborted() {
    let peer = start(&["--save", "900 1", "--rdb-key-save-delay", "50000"]);
    peer.ask(&["DEBUG", "POPULATE", "2000"]);
    let mut waiting = peer.connect();
    std::io::Write::write_all(&mut waiting, b"SHUTDOWN\r\n").unwrap();
    until("it is under way", || peer.log().contains("Saving the final RDB snapshot"));
    // Nobody else is served, for what they wrote would be lost.
    let mut other = peer.connect();
    std::io::Write::write_all(&mut other, b"SET key value\r\n").unwrap();
    assert_eq!(peer.ask(&["SHUTDOWN", "ABORT"]), "OK");
    let mut reply = [0; 100];
    let n = std::io::Read::read(&mut waiting, &mut reply).unwrap();
    assert_eq!(&reply[..n], b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n");
    let n = std::io::Read::read(&mut other, &mut reply).unwrap();
    assert_eq!(&reply[..n], b"+OK\r\n");
    assert!(peer.log().contains("Shutdown manually aborted"));
}

#[test]
fn clients_are_told_that_it_loads() {
    let mut peer = start(&["--key-load-delay", "2000"]);
    assert_eq!(peer.ask(&["PING"]), "PONG", "there is no file yet");
    peer.ask(&["DEBUG", "POPULATE", "2000"]);
    peer.ask(&["SAVE"]);
    peer.restart();
    let begin = Instant::now();
    let told = peer.ask(&["PING"]);
    assert_eq!(told, "(error) LOADING Redis is loading the dataset in memory");
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert_eq!(peer.ask(&["GET", "key:1"]), told);
    assert_eq!(info(&peer, "loading"), "1");
    assert_ne!(info(&peer, "loading_total_bytes"), "0");
    // Live: the rest is loaded at once.
    assert_eq!(peer.ask(&["CONFIG", "SET", "key-load-delay", "0"]), "OK");
    until("it is loaded", || info(&peer, "loading") == "0");
    assert_eq!(peer.ask(&["DBSIZE"]), "(integer) 2000");
}

#[test]
fn a_damaged_file_ends_the_start_with_offset_and_cause() {
    let mut peer = start(&[]);
    fill(&peer);
    peer.ask(&["SAVE"]);
    let file = peer.folder().join("dump.rdb");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(&file, &bytes).unwrap();
    Connection::new(&peer).try_ask(&[vec![b"SHUTDOWN".to_vec(), b"NOSAVE".to_vec()]]);
    peer.exit_code();
    peer.start_again(false);
    assert_eq!(peer.exit_code(), Some(1));
    let log = peer.log();
    assert!(log.contains("offset") && log.contains("Fatal error loading the DB"), "{log}");
    bytes.truncate(middle);
    fs::write(&file, &bytes).unwrap();
    peer.start_again(false);
    assert_eq!(peer.exit_code(), Some(1));
}

#[test]
fn a_flush_is_saved_where_there_are_save_points() {
    let mut peer = start(&["--save", "900 1"]);
    fill(&peer);
    peer.ask(&["SAVE"]);
    assert_eq!(peer.ask(&["FLUSHALL"]), "OK");
    assert!(fs::metadata(peer.folder().join("dump.rdb")).unwrap().len() < 1000);
    assert_eq!(info(&peer, "rdb_changes_since_last_save"), "0");
    peer.restart();
    until("it is loaded", || info(&peer, "loading") == "0");
    assert_eq!(peer.ask(&["DBSIZE"]), "(integer) 0");
}

#[test]
fn a_shutdown_without_a_save_removes_what_a_save_has_begun() {
    let mut peer = start(&["--rdb-key-save-delay", "10000000"]);
    peer.ask(&["SET", "key", "value"]);
    peer.ask(&["BGSAVE"]);
    let temporary = peer.folder().join(format!("temp-{}.rdb", peer.pid()));
    until("the file is begun", || temporary.exists());
    Connection::new(&peer).try_ask(&[vec![b"SHUTDOWN".to_vec(), b"NOSAVE".to_vec()]]);
    assert_eq!(peer.exit_code(), Some(0));
    assert!(!temporary.exists());
}

#[test]
fn a_version_that_was_asked_for_is_written_or_the_save_fails_with_the_key_that_does_not_fit() {
    let mut peer = start(&["--rdb-version", "10"]);
    let magic = |peer: &Peer| fs::read(peer.folder().join("dump.rdb")).unwrap()[..9].to_vec();
    let version = |peer: &Peer, version: &str| {
        assert_eq!(peer.ask(&["CONFIG", "SET", "rdb-version", version]), "OK");
    };
    assert_eq!(peer.ask(&["XADD", "stream", "1-1", "f", "v"]), "\"1-1\"");
    peer.ask(&["XGROUP", "CREATE", "stream", "group", "0"]);
    // Seen and never active, which version 10 cannot tell: there it is as if it had been active when it was seen.
    peer.ask(&["XGROUP", "CREATECONSUMER", "stream", "group", "idle"]);
    for (asked, said, magic_of_it) in [
        ("10", "10", &b"REDIS0010"[..]),
        ("auto", "11", b"REDIS0011"),
        ("12", "12", b"REDIS0012"),
        ("80", "80", b"VALKEY080"),
    ] {
        version(&peer, asked);
        assert_eq!(peer.ask(&["SAVE"]), "OK");
        assert_eq!(
            (magic(&peer), info(&peer, "rdb_version_written")),
            (magic_of_it.to_vec(), said.to_owned())
        );
    }
    fill(&peer);
    peer.ask(&["HSET", "short", "f", "v", "g", "w"]);
    peer.ask(&["HPEXPIREAT", "short", "4000000000001", "FIELDS", "1", "g"]);
    let before = digest(&peer);
    for asked in ["10", "11"] {
        version(&peer, asked);
        let text = format!("version {asked} of the format cannot hold the key '");
        let refused = peer.ask(&["SAVE"]);
        assert!(refused.starts_with(&format!("(error) ERR {text}")), "{refused}");
        assert!(refused.contains("'hash:0'") || refused.contains("'short'"), "{refused}");
        peer.ask(&["BGSAVE"]);
        until_saved(&peer);
        assert_eq!(info(&peer, "rdb_last_bgsave_status"), "err");
        assert!(peer.log().contains(&text), "{}", peer.log());
        assert_eq!(peer.ask(&["DEBUG", "RELOAD"]), "(error) ERR");
        assert_eq!((magic(&peer), digest(&peer)), (b"VALKEY080".to_vec(), before.clone()));
    }
    for asked in ["12", "80"] {
        version(&peer, asked);
        assert_eq!(peer.ask(&["SAVE"]), "OK");
        peer.restart();
        until("it is loaded", || info(&peer, "loading") == "0");
        assert_eq!(digest(&peer), before, "{asked}");
        assert_eq!(peer.ask(&["HPEXPIRETIME", "short", "FIELDS", "1", "g"]), "1) (integer) 4000000000001");
    }
}

#[test]
fn a_save_that_holds_more_than_it_may_fails_and_nothing_is_held_any_more() {
    let peer = start(&["--rdb-key-save-delay", "100000", "--snapshot-held-max", "100kb"]);
    let value = "v".repeat(2000);
    // The first slice of the walk meets some dozens of them.
    let set = |what: &str| {
        let requests: Vec<_> = (0..500)
            .map(|i| {
                [&b"SET"[..], format!("key:{i}").as_bytes(), format!("{what}{value}").as_bytes()]
                    .map(<[u8]>::to_vec)
            })
            .map(|words| words.to_vec())
            .collect();
        Connection::new(&peer).ask(&requests);
    };
    set("old");
    peer.ask(&["BGSAVE"]);
    peer.ask(&["SET", "key:0", "short"]);
    assert_eq!(info(&peer, "rdb_bgsave_in_progress"), "1");
    set("new");
    until_saved(&peer);
    assert_eq!(info(&peer, "rdb_last_bgsave_status"), "err");
    assert_eq!(info(&peer, "snapshot_held_bytes"), "0");
    assert!(peer.log().contains("more than snapshot-held-max allows"), "{}", peer.log());
    // With no bound, and the same changes, it comes to its end.
    peer.ask(&["CONFIG", "SET", "snapshot-held-max", "0", "rdb-key-save-delay", "1000"]);
    peer.ask(&["BGSAVE"]);
    set("newer");
    until_saved(&peer);
    assert_eq!(info(&peer, "rdb_last_bgsave_status"), "ok");
}
