//! Integrity lines of the append-only log, with the real binary: what they are, what they find, and who passes over them.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it starts servers, ends them and looks at their files"
)]

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::peer::{Connection, Peer};
use support::reply::Resp;
use support::saved::{digest, fill, info, until};
use waterwheel::base::rng::Rng;

fn start(arguments: &[&str]) -> Peer {
    let all = ["--appendonly", "yes", "--save", "", "--auto-aof-rewrite-percentage", "0"];
    let all = [&all[..], &["--appendfsync", "always", "--aof-integrity-check", "yes"], arguments].concat();
    Peer::start_with(env!("CARGO_BIN_EXE_waterwheel"), &all)
}

fn file(peer: &Peer, name: &str) -> PathBuf {
    peer.folder().join("appendonlydir").join(format!("appendonly.aof.{name}"))
}

fn until_loaded(peer: &Peer) {
    until("it is loaded", || info(peer, "loading") == "0");
}

/// Where the batches of a file begin, with their lines; its end last.
fn batches(bytes: &[u8]) -> Vec<usize> {
    let mut at = vec![0];
    while let Some(&begin) = at.last().filter(|&&begin| begin < bytes.len()) {
        let line = bytes[begin..].split(|&byte| byte == b'\n').next().expect("there is a line");
        let text = String::from_utf8_lossy(line);
        let fields = text.strip_prefix("#HDR:v1;len:").unwrap_or_else(|| panic!("at {begin}: {text}"));
        let len: usize = fields.split(';').next().expect("a number").parse().expect("a number");
        assert!(text.ends_with(";\r") && text.contains(";checksum:"), "{text}");
        at.push(begin + line.len() + 1 + len);
    }
    assert_eq!(at.last(), Some(&bytes.len()));
    at
}

/// One batch a request, of every kind that there is.
fn write_one_by_one(peer: &Peer) {
    let value = "0123456789".repeat(60);
    let requests: [&[&[&str]]; 9] = [
        &[&["SET", "plain", "value"]],
        &[&["MULTI"], &["INCR", "n"], &["LPUSH", "list", "a", "b"], &["EXEC"]],
        &[&["EVAL", "redis.call('SET', 's', 1) redis.call('INCR', 's')", "0"]],
        &[&["SELECT", "3"], &["SET", "elsewhere", &value], &["SELECT", "0"], &["DEL", "plain"]],
        &[&["SET", "dated", "value", "EX", "100000"], &["PEXPIRE", "dated", "90000000"]],
        &[&["XADD", "stream", "*", "f", "v"], &["SPOP", "nothing"]],
        &[&["SADD", "set", "1", "2", "3"], &["SPOP", "set", "2"]],
        &[&[
            "FUNCTION",
            "LOAD",
            "REPLACE",
            "#!lua name=lib\nredis.register_function('f', function() return 7 end)",
        ]],
        &[&["SET", "lines", "\r\n#HDR:v1;len:3;checksum:1;\r\n*1"], &["APPEND", "lines", "\0\0\0\0"]],
    ];
    for request in requests {
        let words: Vec<Vec<Vec<u8>>> =
            request.iter().map(|words| words.iter().map(|word| word.as_bytes().to_vec()).collect()).collect();
        for reply in Connection::new(peer).ask(&words) {
            assert!(!matches!(reply, Resp::Error(_)), "{reply:?}");
        }
    }
}

/// `check-aof`, with an answer to its question: its status and what it says.
fn check(arguments: &[&str], path: &Path) -> (bool, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_waterwheel"))
        .arg("check-aof")
        .args(arguments)
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    // It may not ask.
    let _ = child.stdin.take().expect("it is a pipe").write_all(b"y\n");
    let output = child.wait_with_output().expect("it ends");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn each_batch_has_a_line_and_is_loaded_behind_it() {
    for preamble in ["yes", "no"] {
        let mut peer = start(&["--aof-use-rdb-preamble", preamble, "--aof-timestamp-enabled", "yes"]);
        fill(&peer);
        write_one_by_one(&peer);
        let before = digest(&peer);
        assert!(batches(&fs::read(file(&peer, "1.incr.aof")).expect("it is there")).len() > 10);
        assert_eq!(peer.ask(&["DEBUG", "LOADAOF"]), "OK");
        assert_eq!(digest(&peer), before);
        let size = info(&peer, "aof_current_size");
        peer.restart();
        until_loaded(&peer);
        assert_eq!((digest(&peer), info(&peer, "aof_current_size")), (before.clone(), size));
        // The base of commands has such lines, too; after a start the sum begins anew.
        peer.ask(&["SET", "number", "12345"]);
        peer.ask(&["BGREWRITEAOF"]);
        until("it is rewritten", || info(&peer, "aof_rewrite_in_progress") == "0");
        if preamble == "no" {
            assert!(batches(&fs::read(file(&peer, "2.base.aof")).expect("it is there")).len() > 2);
        }
        write_one_by_one(&peer);
        let before = digest(&peer);
        peer.restart();
        until_loaded(&peer);
        assert_eq!(digest(&peer), before);
        batches(&fs::read(file(&peer, "2.incr.aof")).expect("it is there"));
        let (is_good, said) = check(&[], &file(&peer, "manifest"));
        assert!(is_good && said.contains("All AOF files and manifest are valid"), "{said}");
    }
}

#[test]
fn the_setting_can_be_turned_off_and_on() {
    let mut peer = start(&[]);
    for (i, word) in ["no", "yes", "no", "yes", "yes"].iter().enumerate() {
        peer.ask(&["SET", &format!("key:{i}"), "value"]);
        peer.ask(&["CONFIG", "SET", "aof-integrity-check", word]);
        peer.ask(&["RPUSH", "list", word]);
    }
    let text =
        String::from_utf8_lossy(&fs::read(file(&peer, "1.incr.aof")).expect("it is there")).into_owned();
    assert_eq!(text.matches("#HDR:v1;len:").count(), 6, "{text}");
    let before = digest(&peer);
    peer.restart();
    until_loaded(&peer);
    assert_eq!(digest(&peer), before);
    peer.ask(&["CONFIG", "SET", "aof-integrity-check", "no"]);
    peer.ask(&["SET", "last", "value"]);
    let before = digest(&peer);
    assert_eq!(peer.ask(&["DEBUG", "LOADAOF"]), "OK");
    assert_eq!(digest(&peer), before);
}

/// Starts a server with these bytes in its increment. What it shows then, and up to where it kept the file; none where it has
/// refused.
fn start_over(peer: &mut Peer, increment: &Path, bytes: &[u8]) -> Option<(String, usize)> {
    peer.end();
    fs::write(increment, bytes).expect("it can be written");
    let _ = fs::remove_file(peer.folder().join("log"));
    peer.start_again(false);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        assert!(std::time::Instant::now() < deadline, "it neither serves nor ends");
        let log = peer.log();
        if log.contains("Ready to accept connections tcp") {
            until_loaded(peer);
            return Some((digest(peer), fs::metadata(increment).expect("it is there").len() as usize));
        }
        if peer.has_ended() {
            assert_eq!(peer.exit_code(), Some(1), "{log}");
            assert!(
                log.contains("appendonly.aof.1.incr.aof, offset "),
                "a file and an offset are told: {log}"
            );
            return None;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn a_flipped_bit_is_refused_or_lies_in_what_is_cut_at_the_end() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seed, runs) = (number("SEED").unwrap_or(1), number("RUNS").unwrap_or(120));
    let mut peer = start(&[]);
    write_one_by_one(&peer);
    let increment = file(&peer, "1.incr.aof");
    let sound = fs::read(&increment).expect("it is there");
    let at = batches(&sound);
    let last = at[at.len() - 2];
    // What there is without the last batch.
    let (without_last, _) = start_over(&mut peer, &increment, &sound[..last]).expect("it is whole");
    let mut rng = Rng::from_seed(seed);
    let (mut refused, mut cut) = (0, 0);
    for run in 0..runs {
        // One in five lies in the last batch.
        let from = if run % 5 == 0 { 8 * last } else { 0 };
        let bit = from + rng.below((8 * sound.len() - from) as u64) as usize;
        let mut damaged = sound.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        match start_over(&mut peer, &increment, &damaged) {
            None => refused += 1,
            Some((digest, kept)) => {
                assert!(bit / 8 >= last, "bit {bit}: damage in the middle is refused");
                assert_eq!((&digest, kept), (&without_last, last), "bit {bit}: all before the end is kept");
                assert!(peer.log().contains(&format!("at offset {last} !!!")), "{}", peer.log());
                cut += 1;
            }
        }
        let (is_good, said) = check(&[], &increment);
        assert!(is_good == (fs::metadata(&increment).expect("it is there").len() as usize == last), "{said}");
    }
    println!("{refused} refused, {cut} cut");
    assert!(refused > runs / 2 && cut > runs / 10, "{refused} refused, {cut} cut");
}

#[test]
fn a_hole_in_a_value_is_found() {
    let mut peer = start(&[]);
    for i in 0..6 {
        peer.ask(&["SET", &format!("key:{i}"), &"value".repeat(500)]);
    }
    let increment = file(&peer, "1.incr.aof");
    let sound = fs::read(&increment).expect("it is there");
    let at = batches(&sound);
    let with_hole = |batch: usize| {
        let mut bytes = sound.clone();
        bytes[at[batch] + 300..][..512].fill(0);
        bytes
    };
    assert_eq!(start_over(&mut peer, &increment, &with_hole(2)), None);
    let log = peer.log();
    assert!(log.contains(&format!("offset {}: AOF checksum mismatch. Calculated ", at[2])), "{log}");
    assert!(log.contains("Bad file format reading the append only file appendonly.aof.1.incr.aof"), "{log}");
    // The checker cuts where it is told to.
    let (is_good, said) = check(&[], &increment);
    assert!(!is_good && said.contains("AOF checksum mismatch"), "{said}");
    let (is_good, said) = check(&["--fix"], &increment);
    assert!(is_good && said.contains("Successfully truncated AOF"), "{said}");
    assert_eq!(fs::metadata(&increment).expect("it is there").len() as usize, at[2]);
    // In the last batch it is the end.
    let (_, kept) = start_over(&mut peer, &increment, &with_hole(5)).expect("it is cut");
    assert_eq!(kept, at[5]);
    assert!(peer.log().contains("!!! Warning: corrupt tail while loading the AOF file"), "{}", peer.log());
    assert!(peer.log().contains("loaded anyway because aof-load-truncated is enabled"));
    assert_eq!(peer.ask(&["EXISTS", "key:4", "key:5"]), "(integer) 1");
    // Without lines nobody notices.
    let plain: Vec<u8> = (0..at.len() - 1)
        .flat_map(|i| {
            let batch = &sound[at[i]..at[i + 1]];
            let line = batch.iter().position(|&byte| byte == b'\n').expect("there is a line") + 1;
            batch[line..].to_vec()
        })
        .collect();
    let mut holed = plain.clone();
    holed[plain.len() / 2 + 300..][..512].fill(0);
    assert!(start_over(&mut peer, &increment, &holed).is_some());
}

#[test]
fn a_torn_batch_is_cut_or_refused_as_the_settings_say() {
    let mut peer = start(&[]);
    write_one_by_one(&peer);
    let increment = file(&peer, "1.incr.aof");
    let sound = fs::read(&increment).expect("it is there");
    let at = batches(&sound);
    for end in [at[3] + 1, at[3] + 10, at[3] + 60, at[4] - 1] {
        let (_, kept) = start_over(&mut peer, &increment, &sound[..end]).expect("it is cut");
        assert_eq!(kept, at[3]);
        peer.ask(&["SET", "behind", "value"]);
        let before = digest(&peer);
        peer.restart();
        until_loaded(&peer);
        assert_eq!(digest(&peer), before);
    }
    // A whole batch that is missing in the middle is noticed.
    let gap = [&sound[..at[2]], &sound[at[3]..]].concat();
    assert_eq!(start_over(&mut peer, &increment, &gap), None);
    peer.end();
    peer.add_arguments(&["--aof-load-truncated", "no"]);
    assert_eq!(start_over(&mut peer, &increment, &sound[..at[4] - 1]), None);
}

#[test]
fn a_corrupt_tail_is_cut_where_it_is_small_enough() {
    let mut peer = start(&["--aof-integrity-check", "no"]);
    peer.ask(&["SET", "key", "value"]);
    peer.ask(&["SET", "other", "value"]);
    let increment = file(&peer, "1.incr.aof");
    let sound = fs::read(&increment).expect("it is there");
    let garbage = [&sound[..], b"*2\r\n$3\r\nDEL\r\n$x\r\n", &[b'g'; 30]].concat();
    let tail = garbage.len() - sound.len();
    assert_eq!(info(&peer, "loading"), "0");
    assert_eq!(
        peer.ask(&["CONFIG", "GET", "aof-load-corrupt-tail-max-size"]),
        "1) \"aof-load-corrupt-tail-max-size\"\n2) \"0\""
    );
    assert_eq!(start_over(&mut peer, &increment, &garbage), None);
    for (most, is_cut) in [(tail - 1, false), (tail, true), (1 << 20, true)] {
        peer.end();
        peer.add_arguments(&["--aof-load-corrupt-tail-max-size", &most.to_string()]);
        let started = start_over(&mut peer, &increment, &garbage);
        assert_eq!(started.map(|(_, kept)| kept), is_cut.then_some(sound.len()), "{most}");
        if is_cut {
            let line = format!(
                "corrupt tail of {tail} bytes is not larger than aof-load-corrupt-tail-max-size {most}"
            );
            assert!(peer.log().contains(&line), "{}", peer.log());
            assert_eq!(peer.ask(&["EXISTS", "key", "other"]), "(integer) 2");
        }
    }
    peer.end();
    peer.add_arguments(&["--aof-load-truncated", "no"]);
    assert_eq!(start_over(&mut peer, &increment, &garbage), None);
}

#[test]
#[ignore = "needs servers that tests/peers/prepare builds"]
fn redis_and_valkey_pass_over_the_lines() {
    let home = std::env::var("HOME").unwrap_or_default();
    let peers = std::env::var("PEERS").unwrap_or_else(|_| format!("{home}/.cache/waterwheel-peers"));
    for program in ["redis-8/src/redis-server", "redis-8.6/src/redis-server", "valkey-9/src/valkey-server"] {
        let path = format!("{peers}/{program}");
        if !Path::new(&path).exists() {
            println!("note: left out, for it is not built here: {program}");
            continue;
        }
        for preamble in ["yes", "no"] {
            let mut ours = start(&[
                "--aof-use-rdb-preamble",
                preamble,
                "--aof-timestamp-enabled",
                "yes",
                "--rdb-version",
                "10",
            ]);
            write_one_by_one(&ours);
            ours.ask(&["BGREWRITEAOF"]);
            until("it is rewritten", || info(&ours, "aof_rewrite_in_progress") == "0");
            write_one_by_one(&ours);
            let before = digest(&ours);
            ours.end();
            let mut theirs = Peer::start_with(
                &path,
                &["--appendonly", "no", "--save", "", "--enable-debug-command", "yes"],
            );
            theirs.end();
            let to = theirs.folder().join("appendonlydir");
            fs::create_dir_all(&to).expect("it can be made");
            for entry in fs::read_dir(ours.folder().join("appendonlydir")).expect("it is there").flatten() {
                fs::copy(entry.path(), to.join(entry.file_name())).expect("it can be copied");
            }
            theirs.add_arguments(&["--appendonly", "yes"]);
            theirs.start_again(true);
            until_loaded(&theirs);
            assert_eq!(digest(&theirs), before, "{program} {preamble}");
        }
    }
}
