//! Dump files go both ways between Waterwheel, Redis 8.0, Redis 7.0 and Valkey 9: whoever loads one finds the same.
//!
//! Keys of all types and encodings, with and without deadlines, in three databases, are made by commands. They are saved
//! in each version that a reader knows, loaded by it, saved by it and loaded back; DEBUG DIGEST says whether anything was
//! lost, and where the digest of a server does not tell of deadlines of fields, these are asked for.
//!
//! `cargo test --test exchange -- --ignored --nocapture` takes 20,000 keys; `KEYS=1000000` before it so many. The servers are
//! those of `tests/peers/prepare --all`; one that is not there is left out, with a note.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it starts servers and looks at their files"
)]

mod support;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};
use support::peer::{Connection, Peer, built};
use support::reply::Resp;
use waterwheel::base::rng::Rng;

/// Keys that are made unless `KEYS` says otherwise.
const KEYS: u64 = 20_000;
/// Requests that are sent at once.
const BATCH: usize = 500;
/// A deadline, in the year 2096.
const LATER_MS: u64 = 4_000_000_000_000;
/// Bytes of a text whose element in a listpack Redis writes in one way and Valkey 9 in another.
const BORDER: usize = 16378;
/// One key in so many is large.
const LARGE_ONE_IN: u64 = 101;

/// Sends requests in batches; none may fail.
struct Sender {
    connection: Connection,
    waiting: Vec<Vec<Vec<u8>>>,
}

impl Sender {
    fn new(peer: &Peer) -> Sender {
        Sender { connection: Connection::new(peer), waiting: Vec::new() }
    }

    fn send(&mut self, words: &[&[u8]]) {
        self.waiting.push(words.iter().map(|word| word.to_vec()).collect());
        if self.waiting.len() == BATCH {
            self.flush();
        }
    }

    /// As [`Sender::send`], of words between spaces.
    fn line(&mut self, line: &str) {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.send(&words);
    }

    fn flush(&mut self) {
        let requests = std::mem::take(&mut self.waiting);
        for (reply, request) in self.connection.ask(&requests).iter().zip(&requests) {
            assert!(!matches!(reply, Resp::Error(_)), "{reply:?} to {request:?}");
        }
    }
}

/// Makes keys of all types.
fn fill(peer: &Peer, keys: u64, with_field_deadlines: bool) {
    let (mut to, mut rng) = (Sender::new(peer), Rng::from_seed(7));
    for number in 0..keys {
        if number == keys / 2 || number == keys * 9 / 10 {
            to.line(if number == keys / 2 { "SELECT 3" } else { "SELECT 9" });
        }
        let key = format!("key:{number}");
        let large = if rng.below(LARGE_ONE_IN) == 0 { 300 } else { 0 };
        fill_key(&mut to, &mut rng, &key, number % 13, large, with_field_deadlines);
        if rng.below(5) == 0 {
            to.line(&format!("PEXPIREAT {key} {}", LATER_MS + rng.below(1 << 40)));
        }
    }
    to.line(
        "FUNCTION LOAD #!lua\u{a0}name=lib\nredis.register_function('f',function()return\u{a0}7\u{a0}end)"
            .replace('\u{a0}', "\t")
            .as_str(),
    );
    if with_field_deadlines {
        let text = vec![b'x'; BORDER];
        to.line("CONFIG SET list-max-listpack-size -5");
        to.send(&[b"RPUSH", b"border:list", b"before", &text, b"behind"]);
        to.send(&[b"XADD", b"border:stream", b"1-1", b"f", &text, b"g", b"w"]);
    }
    to.flush();
}

fn fill_key(to: &mut Sender, rng: &mut Rng, key: &str, which: u64, large: u64, with_field_deadlines: bool) {
    let some = large + 1 + rng.below(12);
    let text = |rng: &mut Rng| match rng.below(4) {
        0 => (rng.next_u64() as i64 >> rng.below(64)).to_string().into_bytes(),
        // Valkey 9.1 refuses listpacks of Redis with an element of this length, see src/structures/listpack/valkey.rs.
        1 => vec![b'x'; Some(rng.below(60 + 100 * large) as usize).filter(|len| *len != BORDER).unwrap_or(1)],
        _ => (0..rng.below(40)).map(|_| rng.next_u64() as u8).collect(),
    };
    let name = key.as_bytes();
    match which {
        0 => to.line(&format!("SET {key} {}", rng.next_u64() as i64 >> rng.below(64))),
        1 | 2 => to.send(&[b"SET", name, &text(rng)]),
        3 | 4 => (0..some).for_each(|_| to.send(&[b"RPUSH", name, &text(rng)])),
        5 => (0..some).for_each(|_| to.line(&format!("SADD {key} {}", rng.below(1 << 40)))),
        6 => (0..some).for_each(|_| to.send(&[b"SADD", name, &text(rng)])),
        7 => (0..some).for_each(|i| {
            // The digest of Redis 7.0 shows all digits of a score, that of others the shortest text: the same for quarters.
            let score = rng.below(1 << 40) as f64 / if with_field_deadlines { 1e6 } else { 4.0 };
            let score = score.to_string();
            to.send(&[b"ZADD", name, score.as_bytes(), format!("member{i}").as_bytes()]);
        }),
        8 => {
            let hash = (0..some).map(|i| format!("field{i} value{}", rng.below(1000)));
            to.line(&format!("HSET {key} {}", hash.collect::<Vec<_>>().join(" ")));
        }
        9 | 10 => {
            (0..some).for_each(|i| to.send(&[b"HSET", name, format!("f{i}").as_bytes(), &text(rng)]));
            for i in (0..some).filter(|_| with_field_deadlines && which == 10) {
                if rng.below(2) == 0 {
                    let deadline = LATER_MS + rng.below(1 << 40);
                    to.line(&format!("HPEXPIREAT {key} {deadline} FIELDS 1 f{i}"));
                }
            }
        }
        11 => to
            .line(&format!("PFADD {key} {}", (0..some).map(|i| i.to_string()).collect::<Vec<_>>().join(" "))),
        _ => {
            (0..some)
                .for_each(|i| to.send(&[b"XADD", name, format!("{}-1", i + 1).as_bytes(), b"f", &text(rng)]));
            to.line(&format!("XDEL {key} 2-1"));
            to.line(&format!("XGROUP CREATE {key} group 0"));
            to.line(&format!("XREADGROUP GROUP group one COUNT {} STREAMS {key} >", 1 + some / 2));
            to.line(&format!("XGROUP CREATECONSUMER {key} group idle"));
        }
    }
}

/// Waits until a server has loaded what is there.
fn loaded(peer: &Peer) {
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let reply = Connection::new(peer).try_ask(&[vec![b"DBSIZE".to_vec()]]);
        match &reply.as_deref() {
            Some([Resp::Int(_)]) => return,
            Some([Resp::Error(text)]) if text.contains("LOADING") => {}
            _ => panic!("{} answers {reply:?}: {}", peer.program(), peer.log()),
        }
        assert!(Instant::now() < deadline, "{} does not end to load", peer.program());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A server that has loaded the dump of another one.
fn with_dump_of(program: &str, source: &Peer) -> Peer {
    assert_eq!(source.ask(&["SAVE"]), "OK");
    let mut peer = Peer::start(program);
    fs::copy(source.folder().join("dump.rdb"), peer.folder().join("dump.rdb")).expect("it was saved");
    peer.restart();
    loaded(&peer);
    peer
}

/// What is in all databases, as DEBUG DIGEST sums it up, and how many keys each has.
fn digest(peer: &Peer) -> (String, String) {
    let keyspace = peer.ask(&["INFO", "keyspace"]);
    let keys: Vec<&str> = keyspace.split("db").skip(1).filter_map(|db| db.split(",expires").next()).collect();
    (peer.ask(&["DEBUG", "DIGEST"]), keys.join(" "))
}

/// The first key that two servers tell apart.
fn first_difference(one: &Peer, other: &Peer, keys: u64) -> String {
    let (mut one, mut other) = (Connection::new(one), Connection::new(other));
    for number in 0..keys {
        let key = format!("key:{number}");
        let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        let db = if number >= keys * 9 / 10 { 9 } else { 3 * (number / (keys / 2)) };
        let lines =
            [format!("SELECT {db}"), format!("DEBUG DIGEST-VALUE {key}"), format!("PEXPIRETIME {key}")];
        let requests: Vec<_> = lines.iter().map(|line| words(line)).collect();
        let (a, b) = (one.ask(&requests), other.ask(&requests));
        if a != b {
            return format!("{key} in {db}, a {:?}", one.ask(&[words(&format!("TYPE {key}"))]));
        }
    }
    "none".to_owned()
}

/// Deadlines of the fields of all hashes that have some, one after the other.
fn field_deadlines(peer: &Peer, keys: u64) -> Vec<Resp> {
    let mut connection = Connection::new(peer);
    let mut found = Vec::new();
    for db in ["0", "3", "9"] {
        let select = vec![b"SELECT".to_vec(), db.as_bytes().to_vec()];
        let fields = (0..24).map(|i| format!("f{i}"));
        let fields: Vec<String> = ["FIELDS".to_owned(), "24".to_owned()].into_iter().chain(fields).collect();
        let ask = |number: u64| {
            let words =
                ["HPEXPIRETIME".to_owned(), format!("key:{number}")].into_iter().chain(fields.clone());
            words.map(String::into_bytes).collect::<Vec<_>>()
        };
        let numbers: Vec<u64> = (0..keys).filter(|number| number % 13 == 10).collect();
        connection.ask(&[select]);
        for some in numbers.chunks(BATCH) {
            found.extend(connection.ask(&some.iter().map(|number| ask(*number)).collect::<Vec<_>>()));
        }
    }
    found
}

/// The header of the dump that a server has saved last.
fn magic(peer: &Peer) -> String {
    let file = fs::read(peer.folder().join("dump.rdb")).expect("it was saved");
    String::from_utf8_lossy(&file[..9]).into_owned()
}

/// Sends a dump to a server of another make and back, and compares.
fn there_and_back(ours: &Peer, version: &str, other: &str, keys: u64, with_field_deadlines: bool) {
    let Some(program) = built(other) else { return };
    let begin = Instant::now();
    assert_eq!(ours.ask(&["CONFIG", "SET", "rdb-version", version]), "OK");
    let before = digest(ours);
    let there = with_dump_of(&program, ours);
    let is_valkey = other.contains("valkey");
    // The digest of Valkey does not tell of deadlines of fields.
    if !(is_valkey && with_field_deadlines) {
        let differs = || first_difference(ours, &there, keys);
        let found = digest(&there);
        assert!(
            found == before,
            "{other} has loaded {}: {found:?} instead of {before:?}: {}",
            magic(ours),
            differs()
        );
    }
    if with_field_deadlines {
        assert!(
            field_deadlines(&there, keys) == field_deadlines(ours, keys),
            "deadlines of fields, in {other}"
        );
    }
    let back = with_dump_of(ours.program(), &there);
    assert_eq!(digest(&back), before, "{other} has saved {}", magic(&there));
    let took = begin.elapsed();
    println!("{other}: {} there, {} back, {keys} keys, {took:.1?}", magic(ours), magic(&there));
}

#[test]
#[ignore = "it needs the servers of tests/peers/prepare --all"]
fn a_dump_goes_to_other_servers_and_back_without_loss() {
    let keys = std::env::var("KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(KEYS);
    let plain = Peer::start(env!("CARGO_BIN_EXE_waterwheel"));
    fill(&plain, keys, false);
    there_and_back(&plain, "10", "redis-7/src/redis-server", keys, false);
    there_and_back(&plain, "11", "redis-8/src/redis-server", keys, false);
    there_and_back(&plain, "auto", "valkey-9/src/valkey-server", keys, false);
    drop(plain);
    let dated = Peer::start(env!("CARGO_BIN_EXE_waterwheel"));
    fill(&dated, keys, true);
    there_and_back(&dated, "auto", "redis-8/src/redis-server", keys, true);
    there_and_back(&dated, "80", "valkey-9/src/valkey-server", keys, true);
    if let Some(checker) = built("valkey-9/src/valkey-check-rdb") {
        let output = Command::new(checker).arg(dated.folder().join("dump.rdb")).output();
        let output = output.expect("the checker can be started");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("RDB looks OK"), "{text}");
    }
    // What cannot hold deadlines of fields is not written.
    for version in ["10", "11"] {
        assert_eq!(dated.ask(&["CONFIG", "SET", "rdb-version", version]), "OK");
        let refused = dated.ask(&["SAVE"]);
        assert!(refused.contains("cannot hold the key"), "{refused}");
    }
    assert_eq!(magic(&dated), "VALKEY080");
}
