//! Damaged dump files, into the reader and into a server that starts; and payloads that Redis takes unsanitized.
//!
//! Random databases are saved, with and without compression and checksum; then bits are flipped, bytes lost, put in, exchanged
//! and repeated, and lengths made huge. Whatever a file is:
//!
//! * it is refused with an offset within it and a cause, or all that it brought can be read;
//! * a file with a checksum is refused, or brings what it brought before it was damaged;
//! * to read it takes no more memory than eight times its size and 64 MiB, and little time.
//!
//! `RUNS=100000 cargo test --test damage` damages so many files, `SEED=n` begins elsewhere; a run that fails prints its seed.
#![allow(
    clippy::disallowed_methods,
    reason = "the environment says how much is run, and what takes too long is found"
)]
#![allow(clippy::disallowed_types, reason = "what takes too long is found")]
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; it forwards each call")]

#[path = "fuzz/damage.rs"]
#[allow(dead_code, reason = "payloads need more of it")]
mod mutations;
#[path = "fuzz/peak.rs"]
mod peak;
mod support;

use mutations::{any, damage_bytes};
use std::time::{Duration, Instant};
use support::World;
use support::contents::{Contents, contents, differences};
use support::requests::{Lives, Requests};
use support::templates::{BITS, DATA, HASHES, LISTS, SETS, STREAMS};
use waterwheel::base::rng::Rng;
use waterwheel::keyspace::{Databases, Tuning, digest};
use waterwheel::persist::rdb::file::{FileReader, Item, Next, ReadOptions};
use waterwheel::persist::rdb::{self, kind};
use waterwheel::structures::listpack::Listpack;

#[global_allocator]
static ALLOCATOR: peak::Peak = peak::Peak;

/// Damaged files of a saved one.
const MUTATIONS: u64 = 60;

/// Requests before a save.
const REQUESTS: u64 = 150;

const BASE_BYTES: usize = 64 << 20;
const TIMES_THE_FILE: usize = 8;
const TIME_MAX: Duration = Duration::from_secs(5);

/// What a file brings.
struct Brought {
    dbs: Databases,
    /// Bytes behind its end.
    behind: usize,
}

/// Reads a file in pieces.
fn read(file: &[u8], piece: usize, tuning: &Tuning, check_crc: bool) -> Result<Brought, (u64, String)> {
    let mut dbs = Databases::new(16, tuning.hash_key, 0);
    let mut reader = FileReader::new(ReadOptions { check_crc, ..ReadOptions::default() });
    let mut pieces = file.chunks(piece);
    loop {
        match reader.next(tuning) {
            Err(bad) => return Err((bad.at, bad.what.into_owned())),
            Ok(Next::Need) => match pieces.next() {
                Some(piece) => reader.feed(piece),
                None => reader.finish(),
            },
            Ok(Next::More) => {}
            Ok(Next::End) => break,
            Ok(Next::Item(Item::Key(key))) => {
                if key.db >= 16 {
                    return Err((0, "there is no such database".to_owned()));
                }
                let db = dbs.at_mut(key.db as usize);
                if !key.store(db, 0) {
                    return Err((0, "a key comes twice".to_owned()));
                }
            }
            Ok(Next::Item(_)) => {}
        }
    }
    let behind = reader.behind_end().len() + pieces.map(<[u8]>::len).sum::<usize>();
    Ok(Brought { dbs, behind })
}

/// A dump file of random databases, and what it brings.
fn saved(seed: u64, rng: &mut Rng, compresses: bool, sums_up: bool) -> (World, Vec<u8>, Contents) {
    let mut world = World::with_seed(seed);
    let mut requests = Requests::new(seed, Lives::Long, &[DATA, LISTS, STREAMS, SETS, HASHES, BITS]);
    requests.now_unix_ms = world.host.now.unix_ms();
    requests.spoiled_one_in = 0;
    requests.databases = 3;
    world
        .run("CONFIG SET set-max-listpack-entries 4 hash-max-listpack-entries 4 zset-max-listpack-entries 4");
    world.run("CONFIG SET list-max-listpack-size 3 stream-node-max-entries 3");
    for _ in 0..REQUESTS {
        let drawn = requests.draw();
        if !drawn.words[0].to_ascii_uppercase().starts_with(b"FLUSH") {
            world.ask("a", &[drawn.words]);
        }
    }
    if rng.below(4) == 0 {
        world.run(&format!("SET long {}", "text ".repeat(30_000)));
    }
    let word = |is: bool| if is { "yes" } else { "no" };
    world.engine.conf.rdbchecksum = sums_up;
    assert_eq!(world.run_as("b", &format!("CONFIG SET rdbcompression {}", word(compresses))), "OK");
    assert_eq!(world.run_as("b", "SAVE"), "OK");
    let file = world.host.disk.get("dump.rdb").expect("it was saved").to_vec();
    let held = contents(&world.engine.dbs);
    (world, file, held)
}

/// Damages a file in one or a few places. True when it is nothing but one bit.
fn damage(rng: &mut Rng, file: &mut Vec<u8>, others: &[Vec<u8>]) -> bool {
    if rng.below(4) == 0 {
        let at = rng.below(file.len() as u64) as usize;
        file[at] ^= 1 << rng.below(8);
        return true;
    }
    for _ in 0..1 + rng.below(3) {
        if file.is_empty() {
            break;
        }
        let at = |rng: &mut Rng| rng.below(file.len() as u64) as usize;
        let (a, b, c) = (at(rng), at(rng), at(rng));
        match rng.below(8) {
            0 => file.swap(a, b),
            1 => {
                // A length of the largest form.
                let forms: [&[u8]; 5] = [&[0x80], &[0x81], &[0xc3, 0x81], &[0xc3, 4, 0x81], &[0xbf]];
                let form = *any(rng, &forms);
                let end = (a + 1).min(file.len());
                let huge = *any(rng, &[u64::MAX, 1 << 62, 1 << 40, 1 << 31, 1 << 28, 50_000_000, 512 << 20]);
                let long = match form.last() {
                    Some(0x80) => (huge as u32).to_be_bytes().to_vec(),
                    _ => huge.to_be_bytes().to_vec(),
                };
                file.splice(a..end, [form, &long].concat());
            }
            2 => {
                let (from, to) = (b.min(c), b.max(c));
                let block = file[from..to.min(from + 3000)].to_vec();
                file.splice(a..a, block);
            }
            3 => drop(file.drain(b.min(c)..b.max(c).min(b.min(c) + 3000))),
            4 if rng.below(4) == 0 => file.truncate(a),
            _ => damage_bytes(rng, file, others),
        }
    }
    false
}

#[derive(Debug, Default)]
struct Met {
    refused: u64,
    same: u64,
    other: u64,
    early: u64,
    peak_bytes: usize,
}

/// Damages files that were saved with one seed.
fn run(seed: u64, met: &mut Met) {
    let mut rng = Rng::from_seed(seed);
    let (compresses, sums_up) = (seed.is_multiple_of(2), (seed / 2).is_multiple_of(2));
    let (world, sound, held) = saved(seed, &mut rng, compresses, sums_up);
    let tuning = world.engine.conf.tuning.clone();
    let brought = read(&sound, 1000, &tuning, true).expect("it is sound");
    assert!(contents(&brought.dbs) == held, "{}", differences(&contents(&brought.dbs), &held));
    let others = [sound.clone()];
    for number in 0..MUTATIONS {
        let mut file = sound.clone();
        let is_bit = damage(&mut rng, &mut file, &others);
        if file == sound {
            continue;
        }
        let piece = *any(&mut rng, &[1, 100, 5000, 1 << 20]);
        let (begin, before) = (Instant::now(), peak::begin());
        let result = read(&file, piece, &tuning, sums_up);
        let peak = peak::most().saturating_sub(before);
        met.peak_bytes = met.peak_bytes.max(peak);
        let most = BASE_BYTES + TIMES_THE_FILE * file.len();
        assert!(peak <= most, "mutation {number}: {peak} bytes for a file of {}", file.len());
        assert!(begin.elapsed() < TIME_MAX, "mutation {number}: it takes {:?}", begin.elapsed());
        match result {
            Err((at, what)) => {
                met.refused += 1;
                assert!(at <= file.len() as u64 && !what.is_empty(), "mutation {number}: {at} {what}");
            }
            Ok(brought) => {
                let now = contents(&brought.dbs);
                digest::of_databases(&brought.dbs);
                let is_same = now == held;
                if sums_up && !says_old(&file) {
                    assert!(is_same, "mutation {number}: {}", differences(&now, &held));
                    let at = file.iter().zip(&sound).position(|(a, b)| a != b);
                    assert!(
                        !is_bit,
                        "mutation {number}: a bit of byte {at:?} of {} is unnoticed",
                        file.len()
                    );
                }
                met.same += u64::from(is_same);
                met.other += u64::from(!is_same);
                met.early += u64::from(!is_same && brought.behind > 0);
            }
        }
        if number.is_multiple_of(16) {
            start_with(seed, &file, sums_up, &tuning);
        }
    }
}

/// Whether a file says that it is of version 4 or older, which had no checksums. As in Redis "001p" is 1.
fn says_old(file: &[u8]) -> bool {
    let digits = file.iter().skip(5).take(4).take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |version: u16, digit| version * 10 + u16::from(digit - b'0')) < 5
}

/// A server that starts with the file loads it and serves, or leaves.
fn start_with(seed: u64, file: &[u8], sums_up: bool, tuning: &Tuning) {
    let is_sound = read(file, 1 << 20, tuning, sums_up).is_ok();
    let mut world = World::with_seed(seed);
    world.engine.conf.rdbchecksum = sums_up;
    world.host.disk.put("dump.rdb", file);
    world.load();
    match world.exit {
        Some(code) => assert_eq!(code, 1),
        None => {
            assert!(is_sound, "the server takes what the reader refuses");
            assert_eq!(world.run("PING"), "PONG");
        }
    }
}

#[test]
fn a_damaged_file_is_refused_or_brings_what_can_be_read() {
    struct Teller(u64);
    impl Drop for Teller {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("to see it again: SEED={} RUNS=1 cargo test --test damage", self.0);
            }
        }
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, mutations) = (number("SEED").unwrap_or(1), number("RUNS").unwrap_or(4000));
    let mut met = Met::default();
    for seed in first..first + mutations.div_ceil(MUTATIONS) {
        let _teller = Teller(seed);
        run(seed, &mut met);
    }
    println!("{met:?}");
    if mutations >= 2000 {
        assert!(met.refused > 1000 && met.same > 0 && met.other > 0, "{met:?}");
    }
}

/// A listpack of numbers, and of texts where a word is none.
fn packed(words: &str) -> Vec<u8> {
    let mut list = Listpack::new();
    for word in words.split_whitespace() {
        match word.parse::<i64>() {
            Ok(number) => list.push_int(number),
            Err(_) => list.push(word.as_bytes()),
        }
    }
    list.into_bytes()
}

/// As it is, but for one place.
fn patched(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

/// A value that is one compact string.
fn blob(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind, bytes.len() as u8], bytes].concat()
}

/// A list of one node.
fn list(node: &[u8]) -> Vec<u8> {
    [&[kind::LIST_QUICKLIST_2, 1, 2, node.len() as u8], node].concat()
}

/// A stream of one node and one entry.
fn stream(node: &[u8]) -> Vec<u8> {
    let id = (5u128 << 64).to_be_bytes();
    [&[kind::STREAM_LISTPACKS, 1, 16][..], &id, &[node.len() as u8], node, &[1, 5, 0, 0]].concat()
}

// With `sanitize-dump-payload no` Redis takes these as they are, and ends with a report when a command meets the damage. A
// listpack begins with its length in four bytes and its count in two; so its first element is at 6.
#[test]
fn a_payload_that_redis_takes_unsanitized_is_refused_and_the_server_lives() {
    // Entries, deleted ones, one field and its name; flags, id, value, and how many elements that were.
    let node = packed("1 0 1 name 0 2 0 0 value 4");
    let (name, value) = (6 + 6, 6 + 6 + 6 + 8);
    assert_eq!((&node[name + 1..name + 5], &node[value + 1..value + 6]), (&b"name"[..], &b"value"[..]));
    let (set, pairs) = (packed("a b c 1 2 3"), packed("f1 v1 f2 v2"));
    let scored = packed("a 1 b 2 c 3");
    let count = |bytes: &[u8], count: u8| patched(bytes.to_vec(), 4, &[count]);
    let damaged = [
        ("an element of a stream that ends outside", stream(&patched(node.clone(), value, &[0xbf]))),
        ("one that ends far outside", stream(&patched(node.clone(), value, &[0xf0, 0xff, 0xff, 0xff, 0xff]))),
        ("a stream that ends early", stream(&patched(node.clone(), name, &[0xff]))),
        ("a stream that says of more entries", stream(&packed("2 0 1 name 0 2 0 0 value 4"))),
        ("one that says of none", stream(&packed("0 1 1 name 0 2 0 0 value 4"))),
        ("one that says of deleted entries", stream(&packed("2 1 1 name 0 2 0 0 value 4"))),
        ("an entry that says of more elements", stream(&packed("1 0 1 name 0 2 0 0 value 90"))),
        ("one that says of less than none", stream(&packed("1 0 1 name 0 2 0 0 value -4"))),
        ("fields, less than none", stream(&packed("1 0 -1 name 0 2 0 0 value 4"))),
        ("fields that are not there", stream(&packed("1 0 7 name 0 2 0 0 value 4"))),
        ("fields of its own that are not there", stream(&packed("1 0 1 name 0 0 0 0 900 field value 5"))),
        ("a list whose element ends outside", list(&patched(packed("first second"), 6, &[0xbf]))),
        ("a list that counts more", list(&count(&packed("first second"), 9))),
        ("a hash whose value ends outside", blob(kind::HASH_LISTPACK, &patched(pairs.clone(), 10, &[0xb9]))),
        ("a hash that counts more", blob(kind::HASH_LISTPACK, &count(&pairs, 14))),
        ("a hash with a field twice", blob(kind::HASH_LISTPACK, &packed("f1 v1 f1 v2"))),
        ("a set that counts more", blob(kind::SET_LISTPACK, &count(&set, 12))),
        ("a set with a member twice", blob(kind::SET_LISTPACK, &packed("a b c 1 2 a"))),
        ("a sorted set that counts more", blob(kind::ZSET_LISTPACK, &count(&scored, 26))),
        ("a sorted set with a member twice", blob(kind::ZSET_LISTPACK, &packed("a 1 b 2 a 3"))),
    ];
    let sound = [
        stream(&node),
        list(&packed("first second")),
        blob(kind::HASH_LISTPACK, &pairs),
        blob(kind::SET_LISTPACK, &set),
        blob(kind::ZSET_LISTPACK, &scored),
    ];
    let mut world = World::new();
    let mut restore = |mut payload: Vec<u8>| {
        rdb::seal(&mut payload, rdb::VERSION_MAX);
        let words: [&[u8]; 5] = [b"RESTORE", b"key", b"0", &payload, b"REPLACE"];
        let request = words.iter().map(|word| word.to_vec()).collect();
        let reply = format!("{:?}", world.ask("a", &[request]));
        (reply, world.run("PING"), world.run("EXISTS key"), world.run("DEL key"))
    };
    for payload in sound {
        let (reply, ..) = restore(payload);
        assert!(reply.contains("OK"), "{reply}");
    }
    for (what, payload) in damaged {
        let (reply, pong, exists, _) = restore(payload);
        assert!(reply.contains("Bad data format"), "{what}: {reply}");
        assert_eq!((&pong[..], &exists[..]), ("PONG", "(integer) 0"), "{what}");
    }
}
