//! What a snapshot hands out is the keyspace of its start, each key once, whatever happens meanwhile.

use super::*;
use crate::base::hash::HashKey;
use crate::base::rng::Rng;
use crate::keyspace::types::hash::FieldDeadline;
use crate::keyspace::types::stream::StreamId;
use crate::keyspace::types::zset::Change;
use crate::keyspace::types::{Hash, List, Set, Stream, Zset};
use crate::keyspace::value::{Collection, NewValue, Taken};
use crate::keyspace::{Deadline, Tuning};
use std::collections::BTreeMap;

const NOW_MS: u64 = 1_000_000;
const DATABASES: usize = 3;

fn tuning() -> Tuning {
    // Tables from a few members on, and lists of many nodes.
    Tuning {
        set_max_listpack_entries: 4,
        set_max_intset_entries: 4,
        hash_max_listpack_entries: 4,
        zset_max_listpack_entries: 4,
        list_max_listpack_size: 4,
        stream_node_max_entries: 4,
        ..Tuning::default()
    }
}

/// A value in a form that can be compared.
fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Set(set) => {
            let mut members: Vec<_> = set.iter().map(|m| m.to_vec()).collect();
            members.sort();
            format!("set {members:?}")
        }
        ValueRef::Hash(hash) => {
            let mut fields: Vec<_> =
                hash.iter().map(|f| (f.name.to_vec(), f.value.element().to_vec(), f.deadline)).collect();
            fields.sort();
            format!("hash {fields:?}")
        }
        ValueRef::Zset(zset) => {
            let mut members: Vec<_> = zset.iter().map(|(m, s)| (m.to_vec(), s.to_bits())).collect();
            members.sort();
            format!("zset {members:?}")
        }
        ValueRef::List(list) => {
            let mut items = Vec::new();
            list.walk(0, true, |item| {
                items.push(item.to_vec());
                true
            });
            format!("list {items:?}")
        }
        ValueRef::Stream(stream) => {
            let mut ids = Vec::new();
            stream.log.walk(StreamId::ZERO, StreamId::MAX, true, |entry| {
                ids.push(entry.id);
                true
            });
            format!("stream {ids:?}")
        }
        ValueRef::Vector(vectors) => {
            let mut elements: Vec<_> = (0..vectors.len() as u32)
                .map(|node| (vectors.name(node), vectors.attributes(node), vectors.graph().encoded(node)))
                .collect();
            elements.sort_by_key(|(name, ..)| *name);
            format!("vectors {elements:?}")
        }
        ValueRef::Int(value) => format!("string {:?}", value.to_string().as_bytes()),
        ValueRef::Inline(bytes, _) => format!("string {bytes:?}"),
        ValueRef::Shared(bytes) => format!("string {:?}", &bytes[..]),
    }
}

type Contents = BTreeMap<(usize, Vec<u8>), (Option<u64>, String)>;

fn contents(dbs: &Databases) -> Contents {
    let mut all = Contents::new();
    for (index, db) in dbs.iter().enumerate() {
        let mut cursor = 0;
        loop {
            cursor = db.scan(cursor, |handle| {
                all.insert((index, db.key(handle).to_vec()), (db.deadline(handle), text(db.value(handle))));
            });
            if cursor == 0 {
                break;
            }
        }
    }
    all
}

#[derive(Default)]
struct Collector {
    index: usize,
    got: Contents,
    open: Option<(Vec<u8>, Option<u64>)>,
    table: Option<Table>,
    members: Vec<Vec<u8>>,
    scored: Vec<(Vec<u8>, u64)>,
    fields: Vec<(Vec<u8>, Vec<u8>, Option<u64>)>,
    steps: usize,
}

impl Collector {
    fn add(&mut self, key: &[u8], deadline: Option<u64>, text: String) {
        let before = self.got.insert((self.index, key.to_vec()), (deadline, text));
        assert_eq!(before, None, "{key:?} of {} came twice", self.index);
    }
}

impl Sink for Collector {
    fn database(&mut self, index: usize, _: usize, _: usize) {
        self.index = index;
    }
    fn key(&mut self, head: Head<'_>, value: ValueRef<'_>) {
        assert!(self.open.is_none(), "a value is open");
        self.add(head.key, head.deadline, text(value));
    }
    fn begin(&mut self, head: Head<'_>, value: &Value) {
        assert!(self.open.is_none(), "a value is open");
        self.open = Some((head.key.to_vec(), head.deadline));
        self.steps = value.nodes();
    }
    fn go_on(&mut self, value: &Value) -> bool {
        self.steps -= 1;
        if self.steps > 0 {
            return true;
        }
        let (key, deadline) = self.open.take().unwrap();
        self.add(&key, deadline, text(value.view()));
        false
    }
    fn begin_table(&mut self, head: Head<'_>, table: Table) {
        assert!(self.open.is_none(), "a value is open");
        self.open = Some((head.key.to_vec(), head.deadline));
        self.table = Some(table);
    }
    fn member(&mut self, cell: Cell<'_>) {
        match cell {
            Cell::Member(member) => self.members.push(member.to_vec()),
            Cell::Scored(member, score) => self.scored.push((member.to_vec(), score.to_bits())),
            Cell::Field(f) => {
                self.fields.push((f.name.to_vec(), f.value.element().to_vec(), f.deadline));
            }
        }
    }
    fn end_table(&mut self) {
        let (key, deadline) = self.open.take().unwrap();
        let mut members = std::mem::take(&mut self.members);
        let mut scored = std::mem::take(&mut self.scored);
        let mut fields = std::mem::take(&mut self.fields);
        members.sort();
        scored.sort();
        fields.sort();
        let (len, text) = match self.table.take().unwrap() {
            Table::Set(len) => (len == members.len(), format!("set {members:?}")),
            Table::Zset(len) => (len == scored.len(), format!("zset {scored:?}")),
            Table::Hash(len, first) => {
                assert_eq!(first, fields.iter().filter_map(|f| f.2).min());
                (len == fields.len(), format!("hash {fields:?}"))
            }
        };
        assert!(len, "the count of the start is that of the members");
        self.add(&key, deadline, text);
    }
}

struct World {
    dbs: Databases,
    rng: Rng,
    tuning: Tuning,
    keys: u64,
    next_id: u64,
}

impl World {
    fn new(seed: u64, keys: u64) -> World {
        let key = HashKey { k0: seed, k1: 2 };
        World {
            dbs: Databases::new(DATABASES, key, NOW_MS),
            rng: Rng::from_seed(seed),
            tuning: Tuning { hash_key: key, ..tuning() },
            keys,
            next_id: 1,
        }
    }

    fn key(&mut self) -> Vec<u8> {
        let number = self.rng.below(self.keys);
        // Some keys lie outside of their entries.
        let tail = if number.is_multiple_of(7) { "x".repeat(300) } else { String::new() };
        format!("key:{number}{tail}").into_bytes()
    }

    fn change<T: Collection>(&mut self, index: usize, key: &[u8], change: impl FnOnce(&mut Taken<T>)) {
        let db = self.dbs.at_mut(index);
        let hash = db.hash(key);
        let taken = match db.find(key, hash) {
            None => Some(Taken::new()),
            Some(handle) => db.take::<T>(handle),
        };
        let Some(mut taken) = taken else { return };
        change(&mut taken);
        db.put(key, hash, taken, 0);
    }

    fn random_change(&mut self) {
        let index = self.rng.below(DATABASES as u64) as usize;
        let key = self.key();
        let (a, b) = (self.rng.below(60), self.rng.next_u64());
        let name = format!("m{a}").into_bytes();
        let value = format!("v{}", b % 1000).into_bytes();
        let tuning = self.tuning.clone();
        let hash = self.dbs.hash(&key);
        match self.rng.below(100) {
            0..12 => {
                let value = vec![b'v'; self.rng.below(if b.is_multiple_of(5) { 6000 } else { 40 }) as usize];
                self.set(index, &key, NewValue::Copied(&value));
            }
            12..16 => self.set(index, &key, NewValue::Int(a as i64)),
            16..28 => self.change::<Set>(index, &key, |set| {
                set.add(&name, &tuning);
            }),
            28..33 => self.change::<Set>(index, &key, |set| {
                set.remove(&name);
            }),
            33..35 => self.change::<Set>(index, &key, |set| {
                let mut other = Set::table(&tuning);
                other.add(&name, &tuning);
                set.exchange(other);
            }),
            35..46 => self.change::<Hash>(index, &key, |hash| {
                let deadline =
                    if b.is_multiple_of(4) { FieldDeadline::At(NOW_MS + a) } else { FieldDeadline::Keep };
                hash.make_room(1, 10, 20, &tuning);
                if b.is_multiple_of(4) {
                    hash.allow_deadlines();
                }
                hash.set(&name, &value, deadline, &tuning);
            }),
            46..50 => self.change::<Hash>(index, &key, |hash| {
                hash.remove(&name);
            }),
            50..62 => self.change::<Zset>(index, &key, |zset| {
                zset.change(b as f64, &name, Change::default(), &tuning);
            }),
            62..65 => self.change::<Zset>(index, &key, |zset| {
                zset.remove(&name);
            }),
            65..67 => self.change::<Zset>(index, &key, |zset| {
                let all = zset.len();
                zset.remove_ranks(0..all);
            }),
            67..74 => self.change::<List>(index, &key, |list| {
                list.expect(200, 1, &tuning);
                list.push(&[b'e'; 100], b.is_multiple_of(2));
                list.push(&name, b.is_multiple_of(2));
            }),
            74..77 => {
                let id = StreamId::new(self.next_id, 0);
                self.next_id += 1;
                self.change::<Box<Stream>>(index, &key, |stream| {
                    stream.append(id, std::iter::once((&name[..], &value[..])), &tuning);
                });
            }
            77..84 => {
                self.dbs.at_mut(index).remove(&key, hash);
            }
            84..88 => {
                let db = self.dbs.at_mut(index);
                if let Some(handle) = db.find(&key, hash) {
                    db.set_deadline(hash, handle, (b % 3 > 0).then_some(NOW_MS + a));
                }
            }
            _ => self.change_more(index, &key),
        }
    }

    /// What changes more than one value.
    fn change_more(&mut self, index: usize, key: &[u8]) {
        let (a, b) = (self.rng.below(60), self.rng.next_u64());
        let hash = self.dbs.hash(key);
        match 88 + self.rng.below(12) {
            // RENAME and MOVE.
            88..95 => {
                let (to, to_db) = (self.key(), self.rng.below(DATABASES as u64) as usize);
                let to_hash = self.dbs.hash(&to);
                if (index, key) != (to_db, &to[..])
                    && let Some((value, deadline, access)) = self.dbs.at_mut(index).detach(key, hash)
                {
                    let db = self.dbs.at_mut(to_db);
                    let found = db.find(&to, to_hash);
                    let deadline = deadline.map_or(Deadline::Clear, Deadline::At);
                    db.set(&to, to_hash, found, value, deadline, access);
                }
            }
            95..97 => {
                let to = self.key();
                let to_hash = self.dbs.hash(&to);
                let db = self.dbs.at_mut(index);
                if let Some(handle) = db.find(key, hash) {
                    let copy = db.copied(handle);
                    let found = db.find(&to, to_hash);
                    db.set(&to, to_hash, found, copy, Deadline::Keep, 0);
                }
            }
            97 => {
                let now = NOW_MS + self.rng.below(60);
                self.dbs.at_mut(index).expire_due(now, 10, |_, _| ());
            }
            98 => {
                if b.is_multiple_of(4) {
                    self.dbs.swap(index, a as usize % DATABASES);
                }
            }
            _ => {
                if b.is_multiple_of(12) {
                    drop(self.dbs.flush(index..index + 1, NOW_MS));
                }
            }
        }
    }

    fn set(&mut self, index: usize, key: &[u8], value: NewValue<'_>) {
        let db = self.dbs.at_mut(index);
        let hash = db.hash(key);
        let found = db.find(key, hash);
        db.set(key, hash, found, value, Deadline::Keep, 0);
    }
}

fn compare(got: &Contents, expected: &Contents, seed: u64) {
    for (key, value) in expected {
        assert_eq!(got.get(key), Some(value), "seed {seed}: {key:?}");
    }
    for key in got.keys() {
        assert!(expected.contains_key(key), "seed {seed}: {key:?} was not there");
    }
}

#[test]
fn a_snapshot_is_the_keyspace_of_its_start() {
    for seed in 0..150 {
        let mut world = World::new(seed, 10 + seed % 300);
        for _ in 0..seed % 4 * 1500 {
            world.random_change();
        }
        for _ in 0..3 {
            let expected = contents(&world.dbs);
            world.dbs.begin_snapshot();
            let mut sink = Collector::default();
            while world.dbs.step_snapshot(&mut sink) {
                for _ in 0..world.rng.below(60) {
                    world.random_change();
                }
            }
            compare(&sink.got, &expected, seed);
            assert_eq!(world.dbs.held_bytes(), 0, "seed {seed}");
        }
    }
}

#[test]
fn a_snapshot_is_whole_after_hundreds_that_were_cancelled() {
    for sweeps in [false, true] {
        let mut world = World::new(5, 400);
        for _ in 0..3000 {
            world.random_change();
        }
        for round in 0..700 {
            let expected = contents(&world.dbs);
            world.dbs.begin_snapshot();
            let mut sink = Collector::default();
            for _ in 0..3 {
                if world.dbs.step_snapshot(&mut sink) {
                    for _ in 0..3 {
                        world.random_change();
                    }
                }
            }
            if round % 299 == 298 {
                while world.dbs.step_snapshot(&mut sink) {
                    world.random_change();
                }
                compare(&sink.got, &expected, round);
            }
            world.dbs.cancel_snapshot();
            assert_eq!(world.dbs.held_bytes(), 0);
            if sweeps {
                (0..DATABASES).for_each(|index| {
                    world.dbs.at_mut(index).sweep_epochs();
                });
            }
        }
    }
}
