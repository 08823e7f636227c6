//! What a snapshot is written as makes the same again, command by command.

use super::super::scan::{Item, Next, Scanner};
use super::*;
use crate::base::hash::HashKey;
use crate::base::rng::Rng;
use crate::keyspace::types::hash::FieldDeadline;
use crate::keyspace::types::stream::Pending;
use crate::keyspace::types::zset::Change;
use crate::keyspace::types::{Hash, List, Set, Zset};
use crate::keyspace::{Collection, Databases, Deadline, NewValue, Tuning};
use crate::persist::rdb;
use crate::persist::rdb::file::ReadOptions;
use crate::persist::rdb::tests::vectors;
use crate::structures::hnsw::Quant;
use std::collections::BTreeMap;

/// What can be said of each key, in the order of the words: its deadline, its elements, what a stream remembers.
type Facts = BTreeMap<(usize, String), Vec<String>>;

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// What commands make, as far as a rewrite uses them.
#[derive(Default)]
struct Replay {
    db: usize,
    facts: Facts,
    counts: Vec<usize>,
}

impl Replay {
    fn run(&mut self, words: &[Vec<u8>]) {
        let words: Vec<String> = words.iter().map(|word| show(word)).collect();
        self.counts.push(words.len());
        let at = |key: &str| (self.db, key.to_owned());
        let words: Vec<&str> = words.iter().map(|word| &word[..]).collect();
        match words[..] {
            ["SELECT", db] => self.db = db.parse().expect("it is a number"),
            ["SET", key, value] => self.facts.entry(at(key)).or_default().push(format!("string {value}")),
            ["RPUSH", key, ref items @ ..] => {
                let facts = self.facts.entry(at(key)).or_default();
                items.iter().for_each(|item| facts.push(format!("item {:05} {item}", facts.len())));
            }
            ["SADD", key, ref items @ ..] => {
                let facts = self.facts.entry(at(key)).or_default();
                items.iter().for_each(|item| facts.push(format!("member {item}")));
            }
            ["ZADD", key, ref items @ ..] => {
                let facts = self.facts.entry(at(key)).or_default();
                for pair in items.chunks(2) {
                    let score: f64 = pair[0].parse().expect("it is a score");
                    facts.push(format!("scored {} {:x}", pair[1], score.to_bits()));
                }
            }
            ["HMSET", key, ref items @ ..] => {
                let facts = self.facts.entry(at(key)).or_default();
                items.chunks(2).for_each(|pair| facts.push(format!("field {} {}", pair[0], pair[1])));
            }
            ["HPEXPIREAT", key, time, "FIELDS", "1", field] => {
                self.facts.entry(at(key)).or_default().push(format!("ends {field} {time}"));
            }
            ["PEXPIREAT", key, time] => {
                self.facts.entry(at(key)).or_default().push(format!("deadline {time}"))
            }
            ["XADD", key, "MAXLEN", "0", "0-1", "x", "y"] => assert!(!self.facts.contains_key(&at(key))),
            ["XADD", key, ref rest @ ..]
            | ["XSETID", key, ref rest @ ..]
            | ["XGROUP", "CREATE", key, ref rest @ ..]
            | ["XGROUP", "CREATECONSUMER", key, ref rest @ ..]
            | ["XCFGSET", key, ref rest @ ..]
            | ["XIDMPRECORD", key, ref rest @ ..]
            | ["XCLAIM", key, ref rest @ ..] => {
                let fact = format!("{} {}", words[0], rest.join(" "));
                self.facts.entry(at(key)).or_default().push(fact);
            }
            ["RESTORE", key, "0", payload] => {
                self.facts.entry(at(key)).or_default().push(format!("restored {payload}"));
            }
            _ => panic!("{words:?}"),
        }
    }
}

/// Writes a snapshot, and runs what was written.
fn replayed(dbs: &mut Databases) -> (Replay, u64) {
    let mut writer = CommandWriter::default();
    let mut scanner = Scanner::new(ReadOptions::default(), None);
    let mut replay = Replay::default();
    dbs.begin_snapshot();
    loop {
        let more = dbs.step_snapshot(&mut writer);
        assert!(more || writer.open.is_none(), "every value is complete");
        let before = writer.waiting_bytes();
        let parts = writer.take_parts(!more);
        let taken: usize = parts.iter().map(|part| part.len()).sum();
        assert_eq!(before, taken + writer.waiting_bytes());
        parts.iter().for_each(|part| scanner.feed(part));
        if !more {
            break;
        }
    }
    scanner.finish();
    loop {
        match scanner.next(&Tuning::default()).expect("what was written can be read") {
            Next::Item(Item::Command(args)) => {
                replay.run(&args.iter_from(0).map(<[u8]>::to_vec).collect::<Vec<_>>());
            }
            Next::End => break,
            _ => {}
        }
    }
    replay.facts.values_mut().for_each(|facts| facts.sort());
    (replay, writer.keys())
}

/// Adds a key, and what is to be found of it.
fn add(dbs: &mut Databases, wanted: &mut Facts, key: &str, value: Value, mut facts: Vec<String>) {
    let index = wanted.len() % 3;
    let deadline = wanted.len().is_multiple_of(2).then_some(1_790_000_000_000 + wanted.len() as u64);
    facts.extend(deadline.map(|ms| format!("deadline {ms}")));
    facts.sort();
    let db = dbs.at_mut(index);
    let hash = db.hash(key.as_bytes());
    let deadline = deadline.map_or(Deadline::Clear, Deadline::At);
    db.set(key.as_bytes(), hash, None, NewValue::Whole(value), deadline, 0);
    wanted.insert((index, key.to_owned()), facts);
}

fn collections(dbs: &mut Databases, wanted: &mut Facts, len: usize, tuning: &Tuning) {
    let name = |i: usize| if i.is_multiple_of(3) { i.to_string() } else { format!("m{i}") };
    let names: Vec<String> = (0..len).map(name).collect();
    let (mut set, mut zset, mut list) = (Set::new(), Zset::new(), List::new());
    let (mut hash, mut with_ttl) = (Hash::new(), Hash::new());
    with_ttl.allow_deadlines();
    let mut facts: [Vec<String>; 5] = Default::default();
    for (i, name) in names.iter().enumerate() {
        set.add(name.as_bytes(), tuning);
        facts[0].push(format!("member {name}"));
        let score = if i == 1 { f64::INFINITY } else { i as f64 / 7.0 - 3.0 };
        zset.change(score, name.as_bytes(), Change::default(), tuning);
        facts[1].push(format!("scored {name} {:x}", score.to_bits()));
        list.expect(name.len(), 1, tuning);
        list.push(name.as_bytes(), false);
        facts[2].push(format!("item {i:05} {name}"));
        hash.make_room(1, 8, 8, tuning);
        hash.set(name.as_bytes(), b"v", FieldDeadline::Keep, tuning);
        facts[3].push(format!("field {name} v"));
        with_ttl.make_room(1, 8, 8, tuning);
        let ends = i.is_multiple_of(2).then_some(1_790_000_000_000 + i as u64);
        with_ttl.set(name.as_bytes(), b"v", ends.map_or(FieldDeadline::Keep, FieldDeadline::At), tuning);
        facts[4].push(format!("field {name} v"));
        facts[4].extend(ends.map(|ms| format!("ends {name} {ms}")));
    }
    let values =
        [Value::Set(set), Value::Zset(zset), Value::List(list), Value::Hash(hash), Value::Hash(with_ttl)];
    for (i, (value, facts)) in values.into_iter().zip(facts).enumerate() {
        add(dbs, wanted, &format!("c{i}:{len}"), value, facts);
    }
}

fn stream(dbs: &mut Databases, wanted: &mut Facts, len: u64, tuning: &Tuning) {
    let mut stream = Box::<Stream>::default();
    let mut facts = Vec::new();
    for i in 1..=len {
        let id = StreamId::new(i, 5);
        stream.append(id, [(&b"f"[..], &b"v"[..]), (b"7", b"8")].into_iter(), tuning);
        facts.push(format!("XADD {i}-5 f v 7 8"));
    }
    if len > 2 {
        assert!(stream.forget(StreamId::new(2, 5)) || stream.log.delete(StreamId::new(2, 5)));
        facts.retain(|fact| !fact.contains(" 2-5 "));
    }
    let log = &stream.log;
    facts.push(format!(
        "XSETID {} ENTRIESADDED {len} MAXDELETEDID {}",
        show(&log.last_id.to_vec()),
        show(&log.max_deleted_id.to_vec())
    ));
    let mut group = Group::new(StreamId::new(len, 0), Some(len));
    let (idle, busy) = (group.add_consumer(b"idle", 1), group.add_consumer(b"busy", 2));
    assert_ne!(idle, busy);
    facts.push(format!("XGROUP g {len}-0 ENTRIESREAD {len}"));
    for i in 1..=len {
        group.assign(StreamId::new(i, 5), Pending { delivered_ms: 9, deliveries: i, consumer: busy });
        facts.push(format!("XCLAIM g busy 0 {i}-5 TIME 9 RETRYCOUNT {i} JUSTID FORCE"));
    }
    facts.push("XGROUP g idle".to_owned());
    if len == 0 {
        facts.push("XGROUP g busy".to_owned());
    }
    stream.add_group(b"g", group);
    stream.add_group(b"h", Group::new(StreamId::ZERO, None));
    facts.push("XGROUP h 0-0 ENTRIESREAD -1".to_owned());
    if len > 2 {
        stream.idempotence.duration_s = 7;
        facts.push("XCFGSET IDMP-DURATION 7 IDMP-MAXSIZE 100".to_owned());
        // Nothing can be noted of an entry that is gone.
        for (producer, id, entry) in [(b"q", b"a", 3), (b"p", b"b", 1), (b"p", b"c", 2)] {
            stream.idempotence.note(producer, id, StreamId::new(entry, 5));
        }
        facts.extend(["XIDMPRECORD p b 1-5", "XIDMPRECORD q a 3-5"].map(str::to_owned));
    }
    add(dbs, wanted, &format!("stream:{len}"), Value::Stream(stream), facts);
}

#[test]
fn every_value_comes_back() {
    let tuning = Tuning { list_max_listpack_size: 16, ..Tuning::default() };
    let mut dbs = Databases::new(3, HashKey { k0: 1, k1: 2 }, 0);
    let mut wanted = Facts::new();
    for len in [1, 63, 64, 65, 128, 1000] {
        collections(&mut dbs, &mut wanted, len, &tuning);
    }
    for len in [0, 1, 3, 1000] {
        stream(&mut dbs, &mut wanted, len, &tuning);
    }
    let mut rng = Rng::from_seed(1);
    for (len, quant) in [(1, Quant::None), (70, Quant::Q8), (300, Quant::Bin)] {
        let value = Value::Vector(vectors(&mut rng, len, quant));
        let payload = rdb::payload(value.view(), rdb::Options { compress: false });
        let facts = vec![format!("restored {}", show(&payload))];
        add(&mut dbs, &mut wanted, &format!("v{len}"), value, facts);
    }
    for len in [0, 1, 100, SHARED_FROM_BYTES - 1, SHARED_FROM_BYTES, 300_000] {
        let text: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
        let facts = vec![format!("string {}", show(&text))];
        add(&mut dbs, &mut wanted, &format!("s{len}"), Value::String(text.into()), facts);
    }
    let (replay, keys) = replayed(&mut dbs);
    assert_eq!(keys, wanted.len() as u64);
    for (key, facts) in &wanted {
        assert_eq!(replay.facts.get(key), Some(facts), "{key:?}");
    }
    assert_eq!(replay.facts.len(), wanted.len());
    assert_eq!(replay.counts.iter().max(), Some(&(2 + 2 * ITEMS_PER_COMMAND)), "commands are bounded");
}

#[test]
fn times_and_libraries_come_first() {
    let mut writer = CommandWriter::default();
    writer.time(7);
    writer.function(b"#!lua");
    let parts = writer.take_parts(true);
    assert_eq!(parts, [&b"#TS:7\r\n*3\r\n$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n$5\r\n#!lua\r\n"[..]]);
    assert_eq!((writer.waiting_bytes(), writer.keys()), (0, 0));
}
