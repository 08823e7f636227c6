//! The append-only log, with the real binary: what is there after a crash, how it is rewritten, and what is told of its files.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it starts servers, ends them and looks at their files"
)]

mod support;

use std::fs;
use std::path::PathBuf;
use support::peer::{Connection, Peer};
use support::saved::{digest, fill, info, until};

fn start(arguments: &[&str]) -> Peer {
    let all = ["--appendonly", "yes", "--save", "", "--auto-aof-rewrite-percentage", "0"];
    Peer::start_with(env!("CARGO_BIN_EXE_waterwheel"), &[&all, arguments].concat())
}

fn log_folder(peer: &Peer) -> PathBuf {
    peer.folder().join("appendonlydir")
}

/// The files that the manifest names, each with its kind and where it begins and ends.
fn manifest(peer: &Peer) -> Vec<String> {
    let text = fs::read_to_string(log_folder(peer).join("appendonly.aof.manifest")).unwrap_or_default();
    text.lines().map(|line| line.replace("file appendonly.aof.", "").replace(" startoffset 0", "")).collect()
}

fn until_rewritten(peer: &Peer) {
    until("the rewrite ends", || {
        info(peer, "aof_rewrite_in_progress") == "0" && info(peer, "aof_rewrite_scheduled") == "0"
    });
}

fn until_loaded(peer: &Peer) {
    until("it is loaded", || info(peer, "loading") == "0");
}

/// Rewrites cannot begin while this stands in the way.
fn block_rewrites(peer: &Peer) -> PathBuf {
    let path = peer.folder().join(format!("temp-rewriteaof-bg-{}.aof", peer.pid()));
    fs::create_dir(&path).expect("nothing is in the way");
    path
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    for policy in ["everysec", "no", "always"] {
        let mut peer = start(&["--appendfsync", policy]);
        fill(&peer);
        for round in 0..5 {
            let mut connection = Connection::new(&peer);
            let requests: Vec<Vec<Vec<u8>>> = (0..300)
                .map(|i| vec![b"RPUSH".to_vec(), b"written".to_vec(), format!("{round}:{i}").into_bytes()])
                .collect();
            connection.ask(&requests);
            let before = digest(&peer);
            peer.restart();
            until_loaded(&peer);
            assert_eq!(digest(&peer), before, "{policy}");
            assert_eq!(peer.ask(&["LLEN", "written"]), format!("(integer) {}", 300 * (round + 1)));
        }
    }
}

#[test]
fn a_rewrite_keeps_what_was_before_and_what_comes_meanwhile() {
    for preamble in ["yes", "no"] {
        let mut peer = start(&["--aof-use-rdb-preamble", preamble, "--rdb-key-save-delay", "300"]);
        fill(&peer);
        assert_eq!(peer.ask(&["BGREWRITEAOF"]), "Background append only file rewriting started");
        assert_eq!(
            peer.ask(&["BGREWRITEAOF"]),
            "(error) ERR Background append only file rewriting already in progress"
        );
        assert!(peer.ask(&["BGSAVE"]).contains("Another child process is active (AOF?)"));
        assert_eq!(peer.ask(&["BGSAVE", "SCHEDULE"]), "Background saving scheduled");
        peer.ask(&["RENAME", "hash:0", "hash:x"]);
        peer.ask(&["SPOP", "set:2", "200"]);
        peer.ask(&["SWAPDB", "0", "9"]);
        peer.ask(&["SET", "late", "value"]);
        assert_eq!(info(&peer, "aof_rewrite_in_progress"), "1");
        until_rewritten(&peer);
        assert_eq!(info(&peer, "aof_last_bgrewrite_status"), "ok");
        let ending = if preamble == "yes" { "rdb" } else { "aof" };
        assert_eq!(manifest(&peer), [format!("2.base.{ending} seq 2 type b"), manifest(&peer)[1].clone()]);
        assert!(manifest(&peer)[1].starts_with("2.incr.aof seq 2 type i"), "{:?}", manifest(&peer));
        until("what was before is removed", || fs::read_dir(log_folder(&peer)).unwrap().count() == 3);
        let before = digest(&peer);
        peer.ask(&["DEBUG", "LOADAOF"]);
        assert_eq!(digest(&peer), before);
        peer.restart();
        until_loaded(&peer);
        assert_eq!(digest(&peer), before);
        assert_eq!(peer.ask(&["GET", "late"]), "\"value\"");
    }
}

#[test]
fn rewrites_that_fail_leave_every_increment_and_the_next_takes_them_all() {
    let mut peer = start(&[]);
    let stone = block_rewrites(&peer);
    for i in 0..3 {
        peer.ask(&["SET", &format!("key:{i}"), "value"]);
        peer.ask(&["BGREWRITEAOF"]);
        until_rewritten(&peer);
        assert_eq!(info(&peer, "aof_last_bgrewrite_status"), "err");
    }
    assert_eq!(info(&peer, "aof_rewrites_consecutive_failures"), "3");
    let names: Vec<String> =
        manifest(&peer).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["1.base.rdb", "1.incr.aof", "2.incr.aof", "3.incr.aof", "4.incr.aof"]);
    peer.ask(&["SET", "last", "value"]);
    let before = digest(&peer);
    peer.ask(&["DEBUG", "LOADAOF"]);
    assert_eq!(digest(&peer), before);
    // What was not asked for waits from the fourth time on.
    peer.ask(&["CONFIG", "SET", "auto-aof-rewrite-percentage", "1", "auto-aof-rewrite-min-size", "1kb"]);
    peer.ask(&["SET", "large", &"x".repeat(2000)]);
    until("the limit is told", || peer.log().contains("triggered the limit, will retry in 1 minutes"));
    assert_eq!(info(&peer, "aof_rewrite_in_progress"), "0");
    assert_eq!(manifest(&peer).len(), 5);
    // Who asks gets one, and it ends the limit.
    fs::remove_dir(stone).unwrap();
    peer.ask(&["CONFIG", "SET", "auto-aof-rewrite-percentage", "0"]);
    let before = digest(&peer);
    peer.ask(&["BGREWRITEAOF"]);
    until_rewritten(&peer);
    assert_eq!(info(&peer, "aof_last_bgrewrite_status"), "ok");
    assert_eq!(info(&peer, "aof_rewrites_consecutive_failures"), "0");
    let names: Vec<String> =
        manifest(&peer).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["2.base.rdb", "5.incr.aof"]);
    peer.restart();
    until_loaded(&peer);
    assert_eq!(digest(&peer), before);
}

#[test]
fn who_begins_to_log_writes_to_a_temporary_increment_until_there_is_a_base() {
    let peer = start(&["--appendonly", "no"]);
    let stone = block_rewrites(&peer);
    peer.ask(&["SET", "before", "value"]);
    assert_eq!(peer.ask(&["CONFIG", "SET", "appendonly", "yes"]), "OK");
    assert_eq!(info(&peer, "aof_enabled"), "1");
    until("it fails", || peer.log().contains("Removing the temp incr aof file temp-appendonly.aof.incr"));
    assert_eq!(manifest(&peer), [""; 0]);
    peer.ask(&["CONFIG", "SET", "rdb-key-save-delay", "200000"]);
    fs::remove_dir(stone).unwrap();
    until("the next begins", || log_folder(&peer).join("temp-appendonly.aof.incr").exists());
    peer.ask(&["SET", "meanwhile", "value"]);
    until_rewritten(&peer);
    assert_eq!(manifest(&peer).len(), 2, "{:?}", manifest(&peer));
    assert!(manifest(&peer)[1].starts_with("1.incr.aof seq 1 type i"));
    peer.ask(&["SET", "behind", "value"]);
    let before = digest(&peer);
    assert_eq!(peer.ask(&["DEBUG", "LOADAOF"]), "OK");
    assert_eq!(digest(&peer), before);
    // The end is told in the manifest as soon as the client has its answer.
    assert_eq!(peer.ask(&["CONFIG", "SET", "appendonly", "no"]), "OK");
    assert!(manifest(&peer)[1].contains(" endoffset "), "{:?}", manifest(&peer));
    assert_eq!(info(&peer, "aof_enabled"), "0");
    // Without a log a rewrite makes a base alone, and the folder if there is none.
    fs::remove_dir_all(log_folder(&peer)).expect("it is there");
    peer.ask(&["BGREWRITEAOF"]);
    until_rewritten(&peer);
    assert_eq!(manifest(&peer), ["2.base.rdb seq 2 type b"]);
}

#[test]
fn a_rewrite_waits_for_a_save_and_a_log_that_begins_meanwhile_has_no_file() {
    let peer = start(&["--appendonly", "no", "--rdb-key-save-delay", "300000"]);
    (0..5).for_each(|i| drop(peer.ask(&["SET", &format!("key:{i}"), "value"])));
    peer.ask(&["BGSAVE"]);
    assert_eq!(peer.ask(&["CONFIG", "SET", "appendonly", "yes"]), "OK");
    assert_eq!(info(&peer, "aof_rewrite_scheduled"), "1");
    assert_eq!(info(&peer, "aof_enabled"), "1");
    peer.ask(&["SET", "late", "value"]);
    assert_eq!(peer.ask(&["BGREWRITEAOF"]), "Background append only file rewriting scheduled");
    // Nothing was logged: what is loaded again is nothing.
    assert_eq!(peer.ask(&["DEBUG", "LOADAOF"]), "OK");
    assert_eq!(peer.ask(&["DBSIZE"]), "(integer) 0");
    assert_eq!(info(&peer, "rdb_bgsave_in_progress"), "1");
    peer.ask(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
    until("the save ends", || info(&peer, "rdb_bgsave_in_progress") == "0");
    until_rewritten(&peer);
    assert_eq!(manifest(&peer).len(), 2);
    peer.ask(&["SET", "logged", "value"]);
    assert_eq!(peer.ask(&["DEBUG", "LOADAOF"]), "OK");
    assert_eq!(peer.ask(&["GET", "logged"]), "\"value\"");
}

#[test]
fn an_end_that_is_missing_is_cut_and_anything_else_refused() {
    let mut peer = start(&[]);
    fill(&peer);
    let before = digest(&peer);
    let increment = log_folder(&peer).join("appendonly.aof.1.incr.aof");
    peer.ask(&["MULTI"]);
    let whole = fs::metadata(&increment).unwrap().len();
    let torn: [&[u8]; 5] = [
        b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$5\r\nval",
        b"*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nDEL\r\n$6\r\nnumber\r\n",
        &[0; 700],
        b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$5\r\n\0\0\0\0\0\0\0\0\0\0\0*1\r\n$4\r\nPING\r\n",
        b"*1",
    ];
    for end in torn {
        peer.end();
        let mut file = fs::OpenOptions::new().append(true).open(&increment).unwrap();
        std::io::Write::write_all(&mut file, end).unwrap();
        peer.start_again(true);
        until_loaded(&peer);
        assert_eq!(digest(&peer), before);
        assert_eq!(fs::metadata(&increment).unwrap().len(), whole);
        assert!(
            peer.log().contains(&format!("Truncating the AOF appendonly.aof.1.incr.aof at offset {whole}"))
        );
        peer.ask(&["SET", "after", "value"]);
        assert_eq!(peer.ask(&["DEBUG", "LOADAOF"]), "OK");
        peer.ask(&["DEL", "after"]);
        assert_eq!(digest(&peer), before);
        peer.restart();
        until_loaded(&peer);
        assert_eq!(digest(&peer), before);
        // Two commands more are whole now.
        let text = fs::read(&increment).unwrap();
        fs::write(&increment, &text[..whole as usize]).unwrap();
    }
    peer.end();
    let text = fs::read(&increment).unwrap();
    let mut damaged = text.clone();
    damaged[whole as usize / 2..][..40].fill(b'#');
    fs::write(&increment, damaged).unwrap();
    peer.start_again(false);
    assert_eq!(peer.exit_code(), Some(1));
    assert!(peer.log().contains("Bad file format reading the append only file appendonly.aof.1.incr.aof"));
    // A file in the middle may not be short.
    fs::write(&increment, &text[..text.len() - 3]).unwrap();
    let path = log_folder(&peer).join("appendonly.aof.manifest");
    let mut lines = fs::read_to_string(&path).unwrap();
    lines += "file appendonly.aof.2.incr.aof seq 2 type i\n";
    fs::write(path, lines).unwrap();
    fs::write(log_folder(&peer).join("appendonly.aof.2.incr.aof"), b"*1\r\n$4\r\nPING\r\n").unwrap();
    peer.start_again(false);
    assert_eq!(peer.exit_code(), Some(1));
    assert!(peer.log().contains("Fatal error: the truncated file is not the last file"));
}

#[test]
fn what_an_older_server_has_left_becomes_the_base() {
    // A dump, where there is no log yet.
    let mut peer = start(&["--appendonly", "no"]);
    fill(&peer);
    let before = digest(&peer);
    peer.ask(&["SAVE"]);
    peer.end();
    let dump = fs::read(peer.folder().join("dump.rdb")).unwrap();
    let mut after = start(&[]);
    until_loaded(&after);
    after.end();
    fs::remove_dir_all(log_folder(&after)).unwrap();
    fs::write(after.folder().join("dump.rdb"), &dump).unwrap();
    after.start_again(true);
    until_loaded(&after);
    assert_eq!(digest(&after), before);
    after.ask(&["SET", "logged", "value"]);
    let with_it = digest(&after);
    after.restart();
    until_loaded(&after);
    assert_eq!(digest(&after), with_it);
    assert_eq!(fs::read(after.folder().join("dump.rdb")).unwrap(), dump);
    // The one file in which everything was before there were several.
    after.end();
    fs::remove_dir_all(log_folder(&after)).unwrap();
    fs::write(after.folder().join("appendonly.aof"), b"*3\r\n$3\r\nSET\r\n$3\r\nold\r\n$1\r\n1\r\n").unwrap();
    after.start_again(true);
    until_loaded(&after);
    assert_eq!(after.ask(&["GET", "old"]), "\"1\"");
    assert!(!after.folder().join("appendonly.aof").exists());
    assert_eq!(manifest(&after)[0], "file appendonly.aof seq 1 type b");
}

#[test]
fn what_dies_while_nobody_runs_stays_until_the_log_says_so() {
    let mut peer = start(&[]);
    peer.ask(&["SET", "counter", "1", "PX", "300"]);
    peer.ask(&["INCR", "counter"]);
    peer.ask(&["RPUSH", "list", "a"]);
    peer.ask(&["PEXPIRE", "list", "300"]);
    until("both are gone", || peer.ask(&["DBSIZE"]) == "(integer) 0");
    peer.ask(&["INCR", "counter"]);
    peer.ask(&["RPUSH", "list", "b"]);
    let before = digest(&peer);
    peer.restart();
    until_loaded(&peer);
    assert_eq!(peer.ask(&["GET", "counter"]), "\"1\"");
    assert_eq!(digest(&peer), before);
}

#[test]
fn history_stays_while_nobody_wants_it_removed() {
    let peer = start(&["--aof-disable-auto-gc", "yes"]);
    peer.ask(&["SET", "key", "value"]);
    for _ in 0..2 {
        peer.ask(&["BGREWRITEAOF"]);
        until_rewritten(&peer);
    }
    let lines: Vec<String> = manifest(&peer)
        .iter()
        .map(|line| line.split(" startoffset").next().unwrap_or("").to_owned())
        .collect();
    assert_eq!(
        lines,
        [
            "3.base.rdb seq 3 type b",
            "2.incr.aof seq 2 type h",
            "2.base.rdb seq 2 type h",
            "1.incr.aof seq 1 type h",
            "1.base.rdb seq 1 type h",
            "3.incr.aof seq 3 type i"
        ]
    );
    assert_eq!(peer.ask(&["CONFIG", "SET", "aof-disable-auto-gc", "no"]), "OK");
    assert_eq!(manifest(&peer).len(), 2);
    until("the files are removed", || fs::read_dir(log_folder(&peer)).map_or(0, Iterator::count) == 3);
    assert_eq!(peer.ask(&["DEBUG", "LOADAOF"]), "OK");
    peer.ask(&["BGREWRITEAOF"]);
    until_rewritten(&peer);
    let names: Vec<String> =
        manifest(&peer).iter().map(|line| line.split(' ').next().unwrap_or("").to_owned()).collect();
    assert_eq!(names, ["4.base.rdb", "4.incr.aof"]);
}
