//! The bytes that replicas get are those that replicas of Redis 8.0 get: both are sent the same requests, and what follows SYNC is compared
//! frame by frame.
//!
//! `WATERWHEEL_ORACLE=path/to/redis-server cargo test --test frames -- --nocapture` compares the frames of some thousand random requests;
//! `COMMANDS=400000` before it those of so many, and shows how many frames each write had. Without the variable the test does
//! nothing. What Redis does not know is said in other words: tests/words.rs.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it talks to real servers, which have a real clock"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::peer::{Connection, Peer, words};
use support::reply::Resp;
use support::requests::{Lives, Requests};
use support::templates::{BITS, DATA, HASHES, LISTS, SETS, STREAMS, Template};
use waterwheel::engine::spec::flag;

/// Requests unless `COMMANDS` says otherwise.
const COMMANDS: u64 = 6000;
/// Requests that are sent at once.
const BATCH: u64 = 20;
/// Two clocks are read one after the other: their times differ by so much at most, in milliseconds.
const CLOCKS_MS: i64 = 5000;

const fn t(weight: u32, text: &'static str) -> Template {
    Template { weight, text }
}

/// What waits, and what else the other tables leave out.
const OTHERS: &[Template] = &[
    t(4, "BLPOP <list> <list> 0.01"),
    t(4, "BRPOP <list> 0.01"),
    t(4, "BLMOVE <list> <list> (LEFT|RIGHT) (LEFT|RIGHT) 0.01"),
    t(4, "BRPOPLPUSH <list> <list> 0.01"),
    t(4, "BLMPOP 0.01 2 <list> <list> (LEFT|RIGHT) (|COUNT <small>)"),
    t(4, "BZPOPMIN <zkey> 0.01"),
    t(4, "BZPOPMAX <zkey> 0.01"),
    t(4, "BZMPOP 0.01 2 <zkey> <zkey> (MIN|MAX) (|COUNT <small>)"),
    t(4, "XREADGROUP GROUP <group> <consumer> COUNT 2 BLOCK 5 STREAMS <stream> >"),
    t(3, "RENAME <list> <list>"),
    t(2, "MOVE <hash> <db>"),
    t(2, "UNLINK <list> <hash> <set>"),
    t(2, "EXPIRE <set> <s> (|NX|XX|GT|LT)"),
    t(2, "GETEX <bits> (|EX <s>|PERSIST)"),
    t(2, "SPUBLISH <key> <value>"),
];

/// The feed of a server, as a replica gets it.
struct Tap {
    socket: TcpStream,
    bytes: Vec<u8>,
}

impl Tap {
    fn new(peer: &Peer) -> Tap {
        let mut socket = peer.connect();
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out can be set");
        socket.write_all(b"SYNC\r\n").expect("it is connected");
        let mut tap = Tap { socket, bytes: Vec::new() };
        // Newlines come until the dump does.
        let head = loop {
            while tap.bytes.first() == Some(&b'\n') {
                tap.bytes.remove(0);
            }
            if let Some(end) = tap.bytes.iter().position(|&byte| byte == b'\n') {
                break end + 1;
            }
            tap.read();
        };
        let text = String::from_utf8_lossy(&tap.bytes[1..head - 2]).into_owned();
        let length: usize = text.parse().expect("the length of the dump comes first");
        while tap.bytes.len() < head + length {
            tap.read();
        }
        tap.bytes.drain(..head + length);
        tap
    }

    fn read(&mut self) {
        let mut piece = [0; 65536];
        let n = self.socket.read(&mut piece).expect("the feed goes on");
        assert!(n > 0, "the link was cut");
        self.bytes.extend_from_slice(&piece[..n]);
    }

    /// The frames up to this one, without it.
    fn upto(&mut self, marker: &[Vec<u8>]) -> Vec<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        loop {
            while let Some((frame, len)) = Resp::first(&self.bytes).filter(|(_, len)| *len > 0) {
                self.bytes.drain(..len);
                let Resp::Array(words) = frame else { panic!("a request, not {frame:?}") };
                let word = |word| if let Resp::Bulk(bytes) = word { bytes } else { panic!("a word") };
                let words: Vec<Vec<u8>> = words.into_iter().map(word).collect();
                if words == marker {
                    return frames;
                }
                if !words[0].eq_ignore_ascii_case(b"PING") {
                    frames.push(words);
                }
            }
            self.read();
        }
    }
}

fn shown(frames: &[Vec<Vec<u8>>]) -> String {
    let frame = |words: &Vec<Vec<u8>>| {
        let words: Vec<_> =
            words.iter().map(|word| String::from_utf8_lossy(word).escape_debug().to_string()).collect();
        words.join(" ")
    };
    frames.iter().map(frame).collect::<Vec<_>>().join(" | ")
}

/// Redis keeps the limit of a trimming that was approximate.
fn drop_limit(frame: &mut Vec<Vec<u8>>) {
    let trims = frame[0].eq_ignore_ascii_case(b"XADD") || frame[0].eq_ignore_ascii_case(b"XTRIM");
    let is_exact = frame.windows(2).position(|pair| {
        (pair[0].eq_ignore_ascii_case(b"MAXLEN") || pair[0].eq_ignore_ascii_case(b"MINID")) && pair[1] == b"="
    });
    let limit = frame.iter().position(|word| word.eq_ignore_ascii_case(b"LIMIT"));
    if let (true, Some(_), Some(at)) = (trims, is_exact, limit) {
        frame.drain(at..at + 2);
    }
}

/// Whether a word is a time that one of the servers may have passed, and the other not: keys would go here and not there.
fn is_present(word: &[u8], now_ms: u64) -> bool {
    let number = std::str::from_utf8(word).ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    number.abs_diff(now_ms) < 3_600_000 || number.abs_diff(now_ms / 1000) < 3600
}

/// Whether two words are the same, or times that two clocks have made of the same request.
fn alike(one: &[u8], other: &[u8]) -> bool {
    let time = |word: &[u8]| {
        let ms: i64 = std::str::from_utf8(word).ok()?.parse().ok()?;
        (ms > 1_000_000_000_000).then_some(ms)
    };
    // XCLAIM says ids in full here, and as they came in Redis.
    let in_full = |word: &[u8]| [word, b"-0"].concat();
    one == other
        || one == in_full(other)
        || matches!((time(one), time(other)), (Some(a), Some(b)) if (a - b).abs() < CLOCKS_MS)
}

/// Whether two lists of frames are the same, but for what follows the words in `told_otherwise`.
fn are_alike(one: &[Vec<Vec<u8>>], other: &[Vec<Vec<u8>>], told_otherwise: &[&str]) -> bool {
    let follows = |words: &[Vec<u8>], at: usize| {
        at > 0 && told_otherwise.iter().any(|word| words[at - 1] == word.as_bytes())
    };
    // The threshold that an approximate trimming has kept is the first entry, which in Redis may be one that is gone.
    let is_first_id = |words: &[Vec<u8>], at: usize| {
        at > 1 && words[at - 1] == b"=" && words[at - 2].eq_ignore_ascii_case(b"MINID")
    };
    let same = |a: &Vec<Vec<u8>>, b: &Vec<Vec<u8>>| {
        let words = a.iter().zip(b).enumerate();
        let is_free = |at| is_first_id(a, at) || follows(a, at);
        a.len() == b.len() && { words }.all(|(at, (one, other))| alike(one, other) || is_free(at))
    };
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same(a, b))
}

#[test]
fn replicas_get_the_bytes_that_those_of_redis_get() {
    let Some(program) = std::env::var_os("WATERWHEEL_ORACLE") else {
        println!("WATERWHEEL_ORACLE names no redis-server: nothing was compared");
        return;
    };
    let commands = std::env::var("COMMANDS").ok().and_then(|text| text.parse().ok()).unwrap_or(COMMANDS);
    let quiet = ["--repl-ping-replica-period", "3600", "--repl-diskless-sync-delay", "0"];
    let peers = [env!("CARGO_BIN_EXE_waterwheel"), &program.to_string_lossy()]
        .map(|program| Peer::start_with(program, &quiet));
    // Keys that are over go when a request meets them, not when a server comes to look.
    for peer in &peers {
        assert_eq!(peer.ask(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]), "OK");
    }
    let told_otherwise = peers[1].left_out("frames");
    let mut taps = [Tap::new(&peers[0]), Tap::new(&peers[1])];
    let mut clients = [Connection::new(&peers[0]), Connection::new(&peers[1])];
    let mut requests = Requests::new(7, Lives::Long, &[DATA, LISTS, STREAMS, SETS, HASHES, BITS, OTHERS]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    requests.now_unix_ms = now.as_millis() as u64;
    let (mut counts, mut wrong) = (BTreeMap::<String, u64>::new(), Vec::new());
    for round in 0..commands / BATCH {
        let mut batch = Vec::new();
        let is_whole = requests.rng.below(5) == 0;
        batch.extend(is_whole.then(|| words("MULTI")));
        for _ in 0..BATCH {
            let drawn = requests.draw().words;
            // What is about the connection is no part of the feed, and RANDOMKEY may meet a key that is over.
            let name = String::from_utf8_lossy(&drawn[0]).to_ascii_uppercase();
            let is_left_out =
                matches!(name.as_str(), "HELLO" | "RESET" | "CLIENT" | "WAIT" | "WAITAOF" | "RANDOMKEY");
            if !is_left_out && !drawn.iter().any(|word| is_present(word, requests.now_unix_ms)) {
                batch.push(drawn);
            }
        }
        batch.extend(is_whole.then(|| words("EXEC")));
        let marker = words(&format!("SET marker {round}"));
        batch.extend([words("SELECT 0"), marker.clone()]);
        for client in &mut clients {
            client.ask(&batch);
        }
        let [mut ours, mut theirs] = [0, 1].map(|at| taps[at].upto(&marker));
        theirs.iter_mut().for_each(drop_limit);
        // Where every change of a BITFIELD fails the string may be longer than before, which Redis does not propagate.
        ours.retain(|frame| frame[0] != b"BITFIELD" || theirs.contains(frame));
        for frame in &theirs {
            *counts.entry(String::from_utf8_lossy(&frame[0]).to_ascii_lowercase()).or_default() += 1;
        }
        if !are_alike(&ours, &theirs, &told_otherwise) {
            wrong.push(format!(
                "after {}\n  we     {}\n  Redis  {}",
                shown(&batch),
                shown(&ours),
                shown(&theirs)
            ));
            if wrong.len() > 5 {
                break;
            }
        }
    }
    for (name, count) in &counts {
        println!("{count:7} {name}");
    }
    let rows = support::table().rows().iter().filter(|row| row.has(flag::WRITE) && !row.is_container());
    let unseen: Vec<&str> =
        rows.map(|row| row.full_name).filter(|name| !counts.contains_key(*name)).collect();
    println!("no frame of {}", unseen.join(" "));
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    assert!(counts.len() > 60, "only {} kinds of frames came", counts.len());
}
