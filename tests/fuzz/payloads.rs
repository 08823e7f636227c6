//! Damaged payloads, into RESTORE and into the readers of the compact forms.
//!
//! Values of every type are made by commands and dumped, or written in the forms of older servers; damage changes them in
//! a few places, and the checksum is made right again, so that the readers are met. Whatever a payload is:
//!
//! * RESTORE answers OK or an error, takes memory in proportion to the payload, and after an error the databases are what
//!   they were;
//! * after OK the value can be read in full, dumped, restored from that as the same value, changed, and deleted.
//!
//! `cargo test --test payloads` runs 200,000 inputs; `FUZZ_INPUTS=10000000 cargo test --release --test payloads` many more,
//! and `FUZZ_SEED=1234 FUZZ_INPUTS=1 cargo test --test payloads` one round again.
#![allow(clippy::disallowed_methods, reason = "the environment says how much is run")]
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; it forwards each call")]

mod damage;
mod peak;
mod rounds;
#[path = "../support/mod.rs"]
mod support;

use damage::{any, damage, damage_bytes, values};
use peak::Peak;
use rounds::rounds;
use std::sync::{Mutex, MutexGuard, PoisonError};
use support::World;
use support::fingerprint::fingerprint;
use support::reply::{Resp, extent};
use waterwheel::base::rng::Rng;
use waterwheel::config::Permission;
use waterwheel::keyspace::Type;
use waterwheel::persist::rdb;
use waterwheel::resp::reply::encode_request;
use waterwheel::structures::intset::{self, IntSet, Ints};
use waterwheel::structures::listpack::{self, Listpack, Packed};

/// Inputs of a round.
const ROUND: u64 = 2000;

/// Bytes that RESTORE may take at most beside what a payload may ask for: tables have a least size, pages a fixed one.
const PEAK_BYTES_BASE: usize = 256 << 10;

/// Bytes that RESTORE may take at most for each byte of a payload. A compressed string can be 88 times as long as its
/// payload (LZF), is copied once, and is kept with its own header.
const PEAK_BYTES_EACH: usize = 400;

/// Most bytes that may be left of all rounds.
const LEFT_BYTES_MAX: usize = 2 << 20;

#[global_allocator]
static ALLOCATOR: Peak = Peak;

/// What is held is counted for the whole process.
static COUNTED: Mutex<()> = Mutex::new(());

/// The right to be counted. A test that failed with it has told why.
fn alone() -> MutexGuard<'static, ()> {
    COUNTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Commands as bytes, and how many they are.
struct Batch {
    bytes: Vec<u8>,
    count: usize,
}

impl Batch {
    fn new(lines: &str) -> Batch {
        let mut batch = Batch { bytes: Vec::new(), count: 0 };
        for line in lines.split('|') {
            let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
            encode_request(&words, &mut batch.bytes);
            batch.count += 1;
        }
        batch
    }

    /// The replies, of which there is one a command.
    fn run(&self, world: &mut World) -> Vec<u8> {
        world.send_bytes("a", &self.bytes);
        let replies = world.received_bytes("a");
        let (mut at, mut count) = (0, 0);
        while at < replies.len() {
            let whole = extent(&replies[at..]);
            at += whole
                .unwrap_or_else(|| panic!("reply {count} is not whole: {}", replies[at..].escape_ascii()));
            count += 1;
        }
        assert_eq!(count, self.count, "one reply a command: {}", replies.escape_ascii());
        replies
    }
}

/// What is done to a value of one type: how it is read in full, and how it is changed.
struct Work {
    reads: Batch,
    changes: Batch,
    /// Whether equal values give equal replies, element by element.
    is_ordered: bool,
}

impl Work {
    fn new(is_ordered: bool, reads: &str, changes: &str) -> Work {
        Work { reads: Batch::new(reads), changes: Batch::new(changes), is_ordered }
    }
}

// The count comes first: it is kept in the value.
const STRING_READS: &str = "PFCOUNT k|GET k|STRLEN k|GETRANGE k 0 -1|BITCOUNT k";
const STRING_CHANGES: &str = "OBJECT ENCODING k|PFADD k a b c|PFMERGE k k|PFCOUNT k|INCR k|APPEND k tail|SETRANGE k 3 x|SETBIT k 9 1|GET k";
const LIST_READS: &str =
    "LRANGE k 0 -1|LRANGE k -3 -1|LLEN k|LINDEX k 0|LINDEX k -1|LPOS k a COUNT 0|OBJECT ENCODING k";
const LIST_CHANGES: &str = "LPUSH k a 1|RPUSH k b 99999999999|LINSERT k AFTER a c|LSET k 1 other|LSET k -2 5|LREM k 0 a|\
     LRANGE k 0 -1|RPOP k 2|LPOP k|LTRIM k 1 -2|LRANGE k 0 -1";
const SET_READS: &str = "SMEMBERS k|SCARD k|SSCAN k 0 COUNT 10000|SISMEMBER k 1|OBJECT ENCODING k";
const SET_CHANGES: &str = "SADD k 1 -70000 5000000000|SRANDMEMBER k -4|SPOP k|SREM k 1|SADD k text|SUNION k k|SREM k text|\
     SPOP k 2|SMEMBERS k";
const HASH_READS: &str = "HGETALL k|HLEN k|HKEYS k|HVALS k|HSCAN k 0 COUNT 10000|HGET k f|OBJECT ENCODING k";
const HASH_CHANGES: &str = "HSET k f v g 5|HINCRBY k g 9|HRANDFIELD k -3 WITHVALUES|HPEXPIRE k 50000 FIELDS 1 f|HTTL k FIELDS 1 f|\
     HPERSIST k FIELDS 1 f|HDEL k g|HGETDEL k FIELDS 1 f|HGETALL k";
const ZSET_READS: &str = "ZRANGE k 0 -1 WITHSCORES|ZREVRANGE k 0 -1|ZRANGEBYSCORE k -inf +inf|ZCARD k|ZCOUNT k 1 50|\
     ZSCAN k 0 COUNT 10000|ZRANGEBYLEX k - +|ZSCORE k a|OBJECT ENCODING k";
const ZSET_CHANGES: &str = "ZADD k 1 a 2.5 b|ZINCRBY k 3 a|ZRANK k a|ZREVRANK k b|ZRANDMEMBER k -3|ZREM k b|ZPOPMIN k|ZPOPMAX k|\
     ZREMRANGEBYRANK k 1 2|ZUNION 2 k k|ZRANGE k 0 -1 WITHSCORES";
const STREAM_READS: &str = "XRANGE k - +|XREVRANGE k + -|XLEN k|XINFO STREAM k FULL COUNT 0|XINFO STREAM k|XINFO GROUPS k|\
     XINFO CONSUMERS k g0|XPENDING k g0|XPENDING k g0 - + 1000|XREAD STREAMS k 0";
const STREAM_CHANGES: &str = "XADD k * f v|XADD k * other 1|XGROUP CREATE k new 0|XREADGROUP GROUP new c STREAMS k >|\
     XREADGROUP GROUP g0 c1 COUNT 3 STREAMS k >|XREADGROUP GROUP g0 c1 STREAMS k 0|XAUTOCLAIM k g0 c2 0 0|\
     XCLAIM k g0 c0 0 1-0 JUSTID|XPENDING k g0 IDLE 0 - + 9|XGROUP DELCONSUMER k g0 c0|XINFO STREAM k FULL|XTRIM k MAXLEN 3|\
     XADD k MAXLEN 2 * f v|XREVRANGE k + -|XDEL k 1-1|XSETID k 18446744073709551615-18446744073709551615|XADD k * f v|\
     XTRIM k MINID 9|XRANGE k - +|XINFO STREAM k FULL";

const VECTOR_READS: &str = "VCARD k|VDIM k|VRANGE k - +|VEMB k a|VLINKS k a WITHSCORES|VGETATTR k a|OBJECT ENCODING k|\
     VSIM k VALUES 1 1 COUNT 50 WITHSCORES WITHATTRIBS|VSIM k ELE 1 TRUTH|VSIM k VALUES 2 1 2 COUNT 50 FILTER .a";
const VECTOR_CHANGES: &str = "VADD k VALUES 1 1 a|VADD k VALUES 2 1 2 b BIN|VADD k VALUES 3 1 2 3 c M 4|VADD k VALUES 4 1 0 0 1 d M 5|\
     VADD k VALUES 5 1 0 0 1 9 d NOQUANT M 6|VRANDMEMBER k 5|VRANDMEMBER k -5|VREM k a|VREM k b|VREM k 1|VREM k 0|\
     VSETATTR k c x|VSIM k VALUES 3 3 2 1|VINFO k|VRANGE k - +";

/// Counts of what became of payloads.
#[derive(Debug, Default)]
struct Outcomes {
    refused: u64,
    wrong_footer: u64,
    restored: u64,
    /// All fields of a hash had expired, so that no key came of it.
    gone: u64,
    peak_bytes_each: usize,
}

#[test]
fn restore_refuses_a_damaged_payload_or_makes_a_whole_value_of_it() {
    let _alone = alone();
    let works = [
        (Type::String, Work::new(true, STRING_READS, STRING_CHANGES)),
        (Type::List, Work::new(true, LIST_READS, LIST_CHANGES)),
        (Type::Set, Work::new(false, SET_READS, SET_CHANGES)),
        (Type::Hash, Work::new(false, HASH_READS, HASH_CHANGES)),
        (Type::Zset, Work::new(false, ZSET_READS, ZSET_CHANGES)),
        (Type::Stream, Work::new(true, STREAM_READS, STREAM_CHANGES)),
        (Type::Vector, Work::new(true, VECTOR_READS, VECTOR_CHANGES)),
    ];
    let dump = Batch::new("DUMP k");
    let same = Batch::new("DEBUG DIGEST-VALUE k l");
    let swap = Batch::new("RENAME k l2|RENAME l k");
    let delete = Batch::new("DEL k l l2");
    let mut outcomes = Outcomes::default();
    let before = peak::begin();
    rounds(ROUND, 1, |seed, rng| {
        let mut world = World::with_seed(seed);
        world.engine.conf.enable_debug_command = Permission::Yes;
        let values = values(rng, &mut world);
        world.run("SET kept text");
        world.run("RPUSH kept:list a b 3");
        let digest = fingerprint(&world.engine);
        for _ in 0..ROUND {
            let mut payload = any(rng, &values).clone();
            damage(rng, &mut payload, &values);
            let version = match rng.below(64) {
                0 => rng.below(100) as u16,
                // Valkey's, whose types are others.
                1..16 => 80,
                _ => rdb::VERSION_MAX,
            };
            rdb::seal(&mut payload, version);
            let wrong_footer = rng.below(64) == 0;
            if wrong_footer {
                let at = payload.len() - 1 - rng.below(8) as usize;
                payload[at] ^= 1 << rng.below(8);
            }
            let reply = restore(&mut world, b"k", &payload, &mut outcomes);
            if let Some(error) = reply.strip_prefix(b"-") {
                outcomes.refused += 1;
                outcomes.wrong_footer += u64::from(error.starts_with(b"ERR DUMP payload"));
                assert_eq!(fingerprint(&world.engine), digest, "{}", payload.escape_ascii());
                continue;
            }
            assert_eq!(reply, b"+OK\r\n", "{}", payload.escape_ascii());
            assert!(!wrong_footer, "the checksum is wrong");
            outcomes.restored += 1;
            let db = world.engine.dbs.at(0);
            let Some(handle) = db.find(b"k", db.hash(b"k")) else {
                outcomes.gone += 1;
                continue;
            };
            let type_of = db.value(handle).type_of();
            let work = works.iter().find(|(of, _)| *of == type_of);
            let (_, work) = work.expect("every type has its commands");
            let shown = || payload.escape_ascii().to_string();
            let replies = work.reads.run(&mut world);
            let dumped = dump.run(&mut world);
            if let Some((Resp::Bulk(again), _)) = Resp::first(&dumped) {
                let reply = restore(&mut world, b"l", &again, &mut outcomes);
                assert_eq!(reply, b"+OK\r\n", "{} was dumped as {}", shown(), again.escape_ascii());
                let digests = same.run(&mut world);
                let (left, right) = digests[4..].split_at((digests.len() - 4) / 2);
                assert_eq!(left, right, "{} was dumped as {}", shown(), again.escape_ascii());
                // From here on `k` is the value that was dumped and restored.
                swap.run(&mut world);
                let others = work.reads.run(&mut world);
                assert!(!work.is_ordered || replies == others, "{} is read as another after DUMP", shown());
            }
            work.changes.run(&mut world);
            delete.run(&mut world);
            world.engine.take_feed();
            assert_eq!(fingerprint(&world.engine), digest, "{}", shown());
        }
        drop(world);
    });
    let left = peak::begin().saturating_sub(before);
    assert!(left < LEFT_BYTES_MAX, "{left} bytes are left of the engines");
    assert!(outcomes.refused > 0 && outcomes.restored > 0, "{outcomes:?}");
    eprintln!("{outcomes:?}");
}

/// The reply of RESTORE, which may take only so much memory.
fn restore(world: &mut World, key: &[u8], payload: &[u8], outcomes: &mut Outcomes) -> Vec<u8> {
    let mut request = Vec::with_capacity(payload.len() + 64);
    encode_request(&[b"RESTORE", key, b"0", payload], &mut request);
    let before = peak::begin();
    world.send_bytes("a", &request);
    let peak = peak::most().saturating_sub(before);
    let each = peak.saturating_sub(PEAK_BYTES_BASE) / payload.len();
    outcomes.peak_bytes_each = outcomes.peak_bytes_each.max(each);
    assert!(each <= PEAK_BYTES_EACH, "{peak} bytes were taken for {}", payload.escape_ascii());
    world.received_bytes("a")
}

#[test]
fn the_readers_of_compact_forms_refuse_what_cannot_be_walked() {
    let _alone = alone();
    rounds(ROUND, 4, |seed, rng| {
        let mut world = World::with_seed(seed);
        world.engine.conf.enable_debug_command = Permission::Yes;
        let values = values(rng, &mut world);
        for _ in 0..ROUND {
            let mut bytes = raw(rng, &values);
            for _ in 0..=rng.below(2) {
                damage_bytes(rng, &mut bytes, &values);
            }
            walk_listpack(rng, &bytes);
            walk_intset(&bytes);
        }
    });
}

/// A listpack or a set of integers that is sound.
fn raw(rng: &mut Rng, values: &[Vec<u8>]) -> Vec<u8> {
    if rng.below(3) == 0 {
        let mut set = IntSet::new();
        let bits = rng.below(63);
        for _ in 0..1 + rng.below(12) {
            set.insert(rng.next_u64() as i64 >> (63 - bits));
        }
        return set.into_bytes();
    }
    let mut list = Listpack::new();
    for _ in 0..rng.below(12) {
        let value = any(rng, values);
        let len = rng.below(value.len().min(90) as u64 + 1) as usize;
        if rng.below(2) == 0 {
            list.push(&value[..len])
        } else {
            list.push_int(rng.next_u64() as i64 >> (len % 64))
        }
    }
    list.into_bytes()
}

fn walk_listpack(rng: &mut Rng, bytes: &[u8]) {
    // What is found without looking at the elements must not panic either.
    let shallow = listpack::validate(bytes, false);
    let Ok(count) = listpack::validate(bytes, true) else { return };
    assert!(shallow.is_ok());
    let packed = Packed::new(bytes);
    let forward: Vec<usize> = std::iter::successors(packed.first(), |pos| packed.next(*pos)).collect();
    let mut backward: Vec<usize> = std::iter::successors(packed.last(), |pos| packed.prev(*pos)).collect();
    backward.reverse();
    assert_eq!((forward.len(), packed.len()), (count, count));
    assert_eq!(forward, backward);
    assert!(
        packed.iter().map(|element| element.to_vec()).eq(forward.iter().map(|pos| packed.get(*pos).to_vec()))
    );
    let mut list = Listpack::from_bytes(bytes.to_vec());
    if let Some(pos) = list.seek(rng.below(count as u64 + 1) as i64) {
        let text = list.get(pos).to_vec();
        assert!(list.find(list.first(), &text, 0).is_some_and(|found| found <= pos));
        list.replace(pos, b"another text");
        list.remove(pos, 1);
        list.push_front(&text);
        assert_eq!(listpack::validate(list.bytes(), true), Ok(count));
    }
}

fn walk_intset(bytes: &[u8]) {
    let shallow = intset::validate(bytes, false);
    let Ok(count) = intset::validate(bytes, true) else { return };
    assert!(shallow.is_ok());
    let ints = Ints::new(bytes);
    assert_eq!(ints.iter().len(), count);
    assert!(ints.iter().is_sorted() && ints.iter().all(|value| ints.contains(value)));
    let mut set = IntSet::from_bytes(bytes.to_vec());
    let first = ints.get(0).expect("a set has members");
    assert!(set.remove(first) && set.insert(first) && !set.insert(first));
    set.insert(i64::MIN);
    assert!(intset::validate(set.bytes(), true).is_ok());
}
