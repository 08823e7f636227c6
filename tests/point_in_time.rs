//! `--load-until`, with the real binary: a server stands at a moment of its log, and leaves the log as it is.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it starts servers, ends them and looks at their files"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::peer::Peer;
use support::saved::{info, until};
use waterwheel::base::rng::Rng;
use waterwheel::persist::aof::integrity;
use waterwheel::persist::aof::write::Framer;
use waterwheel::resp::reply::encode_request;

const ARGUMENTS: [&str; 10] = [
    "--appendonly",
    "yes",
    "--save",
    "",
    "--auto-aof-rewrite-percentage",
    "0",
    "--aof-timestamp-enabled",
    "yes",
    "--appendfsync",
    "always",
];

/// A server whose log has begun.
fn start() -> Peer {
    let peer = Peer::start_with(env!("CARGO_BIN_EXE_waterwheel"), &ARGUMENTS);
    until("it logs", || peer.log().contains("Ready to accept connections tcp"));
    peer
}

fn folder(peer: &Peer) -> PathBuf {
    peer.folder().join("appendonlydir")
}

/// All files of a folder, with what they hold.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("it is there").flatten();
    entries.map(|entry| (entry.path(), fs::read(entry.path()).expect("it can be read"))).collect()
}

fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs() as i64
}

/// Starts it again with more arguments. False when it refuses.
fn start_again(peer: &mut Peer, more: &[&str]) -> bool {
    peer.end();
    let _ = fs::remove_file(peer.folder().join("log"));
    peer.set_arguments(&[&ARGUMENTS[..], more].concat());
    peer.start_again(false);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !peer.log().contains("Ready to accept connections tcp") {
        if peer.has_ended() {
            assert_eq!(peer.exit_code(), Some(1), "{}", peer.log());
            return false;
        }
        assert!(Instant::now() < deadline, "it neither serves nor ends");
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// A log of some increments, written over that of a server which has ended, and when each of its changes was made.
fn write_log(peer: &Peer, rng: &mut Rng, from_s: i64) -> Vec<i64> {
    let (mut made, mut at_s) = (Vec::new(), from_s);
    let mut manifest = String::from("file appendonly.aof.1.base.rdb seq 1 type b\n");
    for number in 1..=4 {
        let (mut framer, mut bytes, mut sum) = (Framer::default(), Vec::new(), 0);
        for _ in 0..20 + rng.below(60) {
            at_s += [0, 0, 0, 1, 1, 7][rng.below(6) as usize];
            let request = |words: &[&str]| {
                let mut bytes = Vec::new();
                encode_request(words, &mut bytes);
                bytes
            };
            let mut frames = vec![(0, request(&["INCR", "n"]))];
            if rng.below(2) == 0 {
                frames.insert(0, (0, request(&["RPUSH", "list", &at_s.to_string()])));
                frames.insert(0, (3, request(&["SET", "last", &at_s.to_string()])));
            }
            let mut batch = Vec::new();
            framer.batch(frames.iter().map(|(db, frame)| (*db, &frame[..])), Some(at_s), &mut batch);
            if number % 2 == 0 {
                let (line, next) = integrity::line(sum, None, &[&batch]);
                bytes.extend(line);
                sum = next;
            }
            bytes.extend(batch);
            made.push(at_s);
        }
        let name = format!("appendonly.aof.{number}.incr.aof");
        manifest += &format!("file {name} seq {number} type i\n");
        fs::write(folder(peer).join(name), bytes).expect("it can be written");
    }
    fs::write(folder(peer).join("appendonly.aof.manifest"), manifest).expect("it can be written");
    made
}

#[test]
fn at_any_moment_it_holds_what_was_there_then() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seed, runs) = (number("SEED").unwrap_or(1), number("RUNS").unwrap_or(100));
    let mut rng = Rng::from_seed(seed);
    let mut peer = start();
    peer.end();
    let from_s = now_s() + 1000;
    let made = write_log(&peer, &mut rng, from_s);
    let before = files(&folder(&peer));
    let span = (made[made.len() - 1] - from_s + 6) as u64;
    let mut counts = Vec::new();
    for _ in 0..runs {
        let at_s = from_s - 3 + rng.below(span) as i64;
        assert!(start_again(&mut peer, &["--load-until", &at_s.to_string()]), "{}", peer.log());
        let count = made.iter().filter(|&&made| made <= at_s).count();
        let shown = if count == 0 { "(nil)".to_owned() } else { format!("\"{count}\"") };
        assert_eq!(peer.ask(&["GET", "n"]), shown, "until {at_s}");
        let last = peer.ask(&["LINDEX", "list", "-1"]);
        assert!(
            last == "(nil)" || last.trim_matches('"').parse::<i64>().is_ok_and(|last| last <= at_s),
            "{last}"
        );
        assert_eq!(info(&peer, "aof_stands_at"), at_s.to_string());
        peer.ask(&["SET", "written", "in memory"]);
        peer.end();
        assert!(files(&folder(&peer)) == before, "until {at_s}: the files are as they were");
        counts.push(count);
    }
    counts.sort_unstable();
    counts.dedup();
    assert!(runs < 100 || counts.len() > 30, "{counts:?}");
    assert!(start_again(&mut peer, &[]));
    assert_eq!(peer.ask(&["GET", "n"]), format!("\"{}\"", made.len()));
    assert_eq!(peer.ask(&["EXISTS", "written"]), "(integer) 0");
}

#[test]
fn a_rewrite_makes_the_moment_the_history() {
    let mut peer = start();
    peer.end();
    let from_s = now_s() + 1000;
    let made = write_log(&peer, &mut Rng::from_seed(5), from_s);
    let middle = made[made.len() / 2];
    let count = made.iter().filter(|&&made| made <= middle).count();
    let until_middle =
        ["--load-until", &middle.to_string(), "--save", "1 1", "--rdb-key-save-delay", "200000"];
    assert!(start_again(&mut peer, &until_middle), "{}", peer.log());
    let log = peer.log();
    assert!(log.contains(&format!("The server stands at {middle}, where --load-until has stopped")), "{log}");
    assert_eq!(info(&peer, "aof_enabled"), "0");
    let before = files(&folder(&peer));
    peer.ask(&["SET", "written", "before"]);
    assert_eq!(peer.ask(&["DEBUG", "LOADAOF"]), "OK");
    assert_eq!(peer.ask(&["GET", "n"]), format!("\"{count}\""));
    peer.ask(&["SET", "written", "before"]);
    // Longer than the save point lasts.
    std::thread::sleep(Duration::from_millis(2500));
    // Until the new manifest is there the old history is, too.
    assert_eq!(peer.ask(&["BGREWRITEAOF"]), "Background append only file rewriting started");
    peer.ask(&["SET", "written", "meanwhile"]);
    assert_eq!(info(&peer, "aof_stands_at"), middle.to_string());
    peer.end();
    let after = files(&folder(&peer));
    assert!(
        before.iter().all(|(name, bytes)| after.get(name) == Some(bytes)),
        "the old files are as they were"
    );
    assert!(!peer.folder().join("dump.rdb").exists(), "no dump is saved by itself");
    assert!(start_again(&mut peer, &[]));
    assert_eq!(peer.ask(&["GET", "n"]), format!("\"{}\"", made.len()));
    peer.end();
    // The rewrite comes to its end.
    assert!(start_again(&mut peer, &["--load-until", &middle.to_string()]));
    peer.ask(&["SET", "written", "before"]);
    peer.ask(&["BGREWRITEAOF"]);
    peer.ask(&["SET", "written", "meanwhile"]);
    until("it is rewritten", || {
        info(&peer, "aof_enabled") == "1" && info(&peer, "aof_rewrite_in_progress") == "0"
    });
    assert!(!peer.ask(&["INFO", "persistence"]).contains("aof_stands_at"));
    peer.ask(&["INCR", "n"]);
    until("the history is removed", || files(&folder(&peer)).len() == 3);
    assert!(start_again(&mut peer, &[]));
    assert_eq!(peer.ask(&["GET", "n"]), format!("\"{}\"", count + 1));
    assert_eq!(peer.ask(&["GET", "written"]), "\"meanwhile\"");
}

#[test]
fn what_cannot_be_found_is_refused() {
    let mut peer = start();
    peer.ask(&["SET", "key", "value"]);
    let base_s = now_s();
    // Nothing happened after the base before the next second.
    assert!(start_again(&mut peer, &["--load-until", &(base_s + 1).to_string()]));
    let before = files(&folder(&peer));
    let refused = |peer: &mut Peer, more: &[&str], why: &str| {
        assert!(!start_again(peer, more), "{more:?}");
        assert!(peer.log().contains(why), "{why}: {}", peer.log());
    };
    let early = (base_s - 100).to_string();
    refused(&mut peer, &["--load-until", &early], "lies before the base, which was made at ");
    refused(
        &mut peer,
        &["--appendonly", "no", "--load-until", &early],
        "--load-until needs the append-only log",
    );
    let elsewhere = ["--appenddirname", "elsewhere", "--load-until", &early];
    refused(&mut peer, &elsewhere, "--load-until finds no append-only log in ");
    assert!(!peer.folder().join("elsewhere").exists());
    for (word, why) in
        [("soon", "does not know the moment 'soon'"), ("2026-02-30", "does not know the moment")]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_waterwheel")).args(["--load-until", word]).output();
        let output = output.expect("it can be run");
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{output:?}");
    }
    // A base of commands says its time, too.
    assert!(start_again(&mut peer, &["--aof-use-rdb-preamble", "no"]));
    peer.ask(&["BGREWRITEAOF"]);
    until("it is rewritten", || folder(&peer).join("appendonly.aof.2.base.aof").exists());
    until("it is over", || info(&peer, "aof_rewrite_in_progress") == "0");
    refused(&mut peer, &["--load-until", &early], "lies before the base, which was made at ");
    // A log that says no times.
    let mut plain = start();
    assert!(start_again(&mut plain, &["--aof-timestamp-enabled", "no"]));
    plain.ask(&["SET", "key", "value"]);
    std::thread::sleep(Duration::from_millis(1100));
    let lately = now_s() - 1;
    refused(&mut plain, &["--load-until", &lately.to_string()], "since the log says no times");
    let later = now_s() + 1000;
    assert!(start_again(&mut plain, &["--load-until", &later.to_string()]));
    assert_eq!(plain.ask(&["GET", "key"]), "\"value\"");
    assert!(!before.is_empty());
}

#[test]
fn a_torn_end_is_left_as_it_is() {
    let mut peer = start();
    peer.ask(&["SET", "key", "value"]);
    peer.end();
    let path = folder(&peer).join("appendonly.aof.1.incr.aof");
    let mut bytes = fs::read(&path).expect("it is there");
    bytes.extend(b"*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nDEL\r\n$3\r\nkey\r\n*2\r\n$3\r\nDEL");
    fs::write(&path, &bytes).expect("it can be written");
    let before = files(&folder(&peer));
    assert!(start_again(&mut peer, &["--load-until", "2099-01-01T00:00:00+01:00"]), "{}", peer.log());
    assert_eq!(peer.ask(&["GET", "key"]), "\"value\"");
    assert_eq!(info(&peer, "aof_stands_at"), "4070905200");
    assert!(peer.log().contains("is left as it is because of --load-until"), "{}", peer.log());
    assert!(files(&folder(&peer)) == before);
    assert!(start_again(&mut peer, &[]));
    assert!(files(&folder(&peer)) != before, "a start that logs cuts it");
}
