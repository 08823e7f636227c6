//! What a look-up, a change and a deadline cost in the structures alone: `cargo bench --bench structures`.
//!
//! One million random 16-byte keys with 64-byte values, as in FACTS: the entries do not fit into any cache,
//! so the figures are mostly memory misses, and the difference between `alone` and `prefetched` is what
//! batching buys. Keys are asked for in an order unlike that of their insertion.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::{Duration, Instant};
use waterwheel::base::hash::{HashKey, siphash13};
use waterwheel::base::rng::Rng;
use waterwheel::structures::dict::{Dict, Entries};
use waterwheel::structures::histogram::Histogram;
use waterwheel::structures::members::{Layout, Members};
use waterwheel::structures::ranked::{Names, Ranked};
use waterwheel::structures::slab::{Handle, PagedSlab};
use waterwheel::structures::wheel::{KeyWheel, TimerWheel};

const KEYS: usize = 1_000_000;
const KEY_BYTES: usize = 16;
const ENTRY_BYTES: usize = 8 + KEY_BYTES + 64;
const BATCH: usize = 32;
const HASH_KEY: HashKey = HashKey { k0: 1, k1: 2 };

type Key = [u8; KEY_BYTES];

/// A keyspace of entries that are a key and a value.
struct Table {
    dict: Dict,
    slab: PagedSlab,
}

struct Reader<'a>(&'a PagedSlab);

impl Entries for Reader<'_> {
    fn hash(&self, handle: Handle) -> u64 {
        siphash13(&HASH_KEY, &self.0.get(handle)[..KEY_BYTES])
    }
    fn prefetch(&self, handle: Handle) {
        self.0.prefetch(handle);
    }
}

impl Table {
    fn find(&self, hash: u64, key: &Key) -> Option<Handle> {
        self.dict.find(hash, |handle| self.slab.get(handle)[..KEY_BYTES] == *key)
    }

    fn insert(&mut self, key: &Key) {
        let hash = siphash13(&HASH_KEY, key);
        if self.find(hash, key).is_none() {
            let handle = self.slab.alloc(ENTRY_BYTES);
            self.slab.get_mut(handle)[..KEY_BYTES].copy_from_slice(key);
            self.dict.insert(hash, handle, &Reader(&self.slab));
        }
    }

    fn remove(&mut self, key: &Key) {
        let hash = siphash13(&HASH_KEY, key);
        let Table { dict, slab } = self;
        if let Some(handle) = dict.remove(hash, |handle| slab.get(handle)[..KEY_BYTES] == *key) {
            slab.free(handle);
        }
    }

    fn prefetch(&self, hashes: &[u64]) {
        hashes.iter().for_each(|hash| self.dict.prefetch_bucket(*hash));
        hashes
            .iter()
            .filter_map(|hash| self.dict.candidate(*hash))
            .for_each(|entry| self.slab.prefetch(entry));
    }
}

fn random_keys(seed: u64, count: usize) -> Vec<Key> {
    let mut rng = Rng::from_seed(seed);
    let mut key = || {
        let mut key = [0; KEY_BYTES];
        key[..8].copy_from_slice(&rng.next_u64().to_le_bytes());
        key[8..].copy_from_slice(&rng.next_u64().to_le_bytes());
        key
    };
    (0..count).map(|_| key()).collect()
}

fn filled(keys: &[Key]) -> Table {
    let mut table = Table { dict: Dict::new(), slab: PagedSlab::new() };
    keys.iter().for_each(|key| table.insert(key));
    table
}

fn dict(c: &mut Criterion) {
    let mut keys = random_keys(1, KEYS);
    let table = filled(&keys);
    Rng::from_seed(2).shuffle(&mut keys);
    let mut group = c.benchmark_group("dict");
    group.sample_size(10).throughput(Throughput::Elements(KEYS as u64));
    group.bench_function("get alone, 1M keys", |b| {
        b.iter(|| {
            for key in &keys {
                black_box(table.find(siphash13(&HASH_KEY, key), key));
            }
        });
    });
    group.bench_function("get prefetched by 32, 1M keys", |b| {
        b.iter(|| {
            for batch in keys.chunks(BATCH) {
                let mut hashes = [0; BATCH];
                batch.iter().zip(&mut hashes).for_each(|(key, hash)| *hash = siphash13(&HASH_KEY, key));
                table.prefetch(&hashes[..batch.len()]);
                for (key, hash) in batch.iter().zip(hashes) {
                    black_box(table.find(hash, key));
                }
            }
        });
    });
    group.bench_function("insert 1M keys", |b| b.iter_with_large_drop(|| filled(&keys)));
    group.bench_function("insert 1M keys, prefetched by 32", |b| {
        b.iter_with_large_drop(|| {
            let mut table = Table { dict: Dict::new(), slab: PagedSlab::new() };
            for batch in keys.chunks(BATCH) {
                let mut hashes = [0; BATCH];
                batch.iter().zip(&mut hashes).for_each(|(key, hash)| *hash = siphash13(&HASH_KEY, key));
                table.prefetch(&hashes[..batch.len()]);
                batch.iter().for_each(|key| table.insert(key));
            }
            table
        });
    });
    group.bench_function("remove 1M keys", |b| {
        b.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                let mut table = filled(&keys);
                let start = Instant::now();
                keys.iter().for_each(|key| table.remove(key));
                spent += start.elapsed();
            }
            spent
        });
    });
    group.finish();
}

fn wheels(c: &mut Criterion) {
    let mut rng = Rng::from_seed(3);
    let deadlines: Vec<u64> = (0..KEYS).map(|_| 1 + rng.below(3_600_000)).collect();
    let mut group = c.benchmark_group("wheel");
    group.sample_size(10).throughput(Throughput::Elements(KEYS as u64));
    let armed = || {
        let mut wheel = KeyWheel::new(0);
        deadlines.iter().for_each(|deadline_ms| wheel.register(*deadline_ms, *deadline_ms));
        wheel
    };
    group.bench_function("register 1M keys within an hour", |b| b.iter_with_large_drop(armed));
    group.bench_function("register and hand out 1M keys, second by second", |b| {
        b.iter(|| {
            let (mut wheel, mut out) = (armed(), Vec::new());
            for now_ms in (0..=3_600_000).step_by(1000) {
                while wheel.take_due(now_ms, 1000, &mut out) || !out.is_empty() {
                    for deadline_ms in out.drain(..).filter(|deadline_ms| *deadline_ms > now_ms) {
                        wheel.register(deadline_ms, deadline_ms);
                    }
                }
            }
            assert!(wheel.is_empty());
        });
    });
    group.bench_function("compact 1M registrations in slices of 1000", |b| {
        b.iter(|| {
            let mut wheel = armed();
            while !wheel.compact(1000, Some) {}
            wheel
        });
    });
    group.bench_function("arm and cancel a timer", |b| {
        b.iter(|| {
            let mut wheel = TimerWheel::new(0);
            for deadline in &deadlines {
                let id = wheel.insert(*deadline, ());
                black_box(wheel.cancel(id));
            }
        });
    });
    group.finish();
}

fn histogram(c: &mut Criterion) {
    let mut histogram = Histogram::new();
    let mut value = 0u64;
    c.bench_function("histogram record", |b| {
        b.iter(|| {
            value = (value + 97) & 0xf_ffff;
            histogram.record(black_box(value));
        });
    });
}

/// A cell of a sorted set: a score, then the member.
struct Scored;

impl Layout for Scored {
    const KEEPS_HANDLES: bool = true;
    fn member(cell: &[u8]) -> &[u8] {
        &cell[8..]
    }
}

struct Cells(Members<Scored>);

impl Names for Cells {
    fn member(&self, handle: Handle) -> &[u8] {
        Scored::member(self.0.get(handle))
    }
}

/// A sorted set of a million members with random scores.
fn sorted_set(c: &mut Criterion) {
    let mut rng = Rng::from_seed(4);
    let mut cells = Cells(Members::new(HASH_KEY));
    let mut keys: Vec<(f64, Handle)> = Vec::with_capacity(KEYS);
    for number in 0..KEYS {
        let score = rng.below(1 << 40) as f64;
        let member = format!("member:{number:012}");
        keys.push((score, cells.0.insert(&[&score.to_le_bytes(), member.as_bytes()])));
    }
    let mut tree = Ranked::new();
    keys.iter().for_each(|(score, handle)| tree.insert(*score, *handle, &cells));
    rng.shuffle(&mut keys);
    let mut next = keys.iter().cycle();
    let mut group = c.benchmark_group("sorted set");
    group.bench_function("find a member", |b| {
        let mut number = 0;
        b.iter(|| {
            number = (number + 7_368_787) % KEYS;
            let member = format!("member:{number:012}");
            black_box(cells.0.find(member.as_bytes()))
        });
    });
    group.bench_function("rank", |b| {
        b.iter(|| {
            let (score, handle) = next.next().expect("it goes round");
            black_box(tree.rank(*score, *handle, &cells))
        });
    });
    group.bench_function("remove and insert", |b| {
        b.iter(|| {
            let (score, handle) = next.next().expect("it goes round");
            tree.remove(*score, *handle, &cells);
            tree.insert(*score, *handle, &cells);
        });
    });
    group.bench_function("100 from a score on", |b| {
        b.iter(|| {
            let (score, _) = next.next().expect("it goes round");
            let rank = tree.count_while(|each, _| each < *score);
            tree.forward(rank).take(100).map(|(score, _)| score).sum::<f64>()
        });
    });
    group.finish();
}

criterion_group!(benches, dict, wheels, sorted_set, histogram);
criterion_main!(benches);
