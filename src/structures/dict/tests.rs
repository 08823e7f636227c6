//! The dict against a model: every key once, whatever grows, shrinks or is scanned meanwhile.
#![allow(clippy::disallowed_types, reason = "a model is compared, never walked in its order")]

use super::*;
use crate::base::hash::{HashKey, siphash13};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};

/// An entry's handle is its number; its hash follows from that by `salt`.
#[derive(Default)]
struct Numbered {
    moved_to: HashMap<Handle, u64>,
    hashes_read: Cell<usize>,
}

fn hash_of(number: u64) -> u64 {
    siphash13(&HashKey { k0: 1, k1: 2 }, &number.to_le_bytes())
}

impl Entries for Numbered {
    fn hash(&self, handle: Handle) -> u64 {
        self.hashes_read.set(self.hashes_read.get() + 1);
        hash_of(self.moved_to.get(&handle).copied().unwrap_or(handle.number()))
    }
    fn prefetch(&self, _handle: Handle) {}
}

fn handle(number: u64) -> Handle {
    Handle::from_number(number)
}

fn insert(dict: &mut Dict, number: u64) {
    dict.insert(hash_of(number), handle(number), &Numbered::default());
}

fn remove(dict: &mut Dict, number: u64) -> bool {
    dict.remove(hash_of(number), |each| each == handle(number)).is_some()
}

#[test]
fn an_empty_dict_has_no_memory_and_answers_everything() {
    let mut dict = Dict::new();
    assert_eq!(dict.heap_bytes(), 0);
    assert_eq!(dict.find(1, |_| true), None);
    assert_eq!(dict.remove(1, |_| true), None);
    assert_eq!(dict.candidate(1), None);
    assert_eq!(dict.random(&mut Rng::from_seed(1)), None);
    assert_eq!(dict.scan(0, |_| ()), 0);
    dict.sample(&mut Rng::from_seed(1), 5, &mut Vec::new());
    dict.for_each(|_| unreachable!());
    dict.prefetch_bucket(1);
    assert!(!dict.step(10, &Numbered::default()));
    insert(&mut dict, 1);
    assert!(dict.heap_bytes() < 200, "{}", dict.heap_bytes());
}

#[test]
fn handles_of_all_34_bits_are_kept() {
    let mut dict = Dict::new();
    let numbers: Vec<u64> =
        (0..34).map(|bit| 1 << bit).chain([(1 << 34) - 1, 3 << 32, 2 << 32 | 7]).collect();
    let numbers: HashSet<u64> = numbers.into_iter().collect();
    numbers.iter().for_each(|number| insert(&mut dict, *number));
    for number in numbers {
        assert!(dict.contains(hash_of(number), handle(number)), "{number:x}");
    }
}

#[test]
fn growing_to_200_000_and_shrinking_to_nothing_agrees_with_a_map() {
    let mut rng = Rng::from_seed(42);
    let mut dict = Dict::new();
    let mut entries = Numbered::default();
    let mut model: HashMap<u64, Handle> = HashMap::new();
    let mut live: Vec<u64> = Vec::new();
    let mut next = 1u64;
    for phase in 0..6 {
        let target = [200_000, 20_000, 60_000, 100, 30_000, 0][phase];
        while live.len() != target {
            let grows = (live.len() < target) == (rng.below(10) != 0);
            if grows || live.is_empty() {
                let before = entries.hashes_read.get();
                dict.insert(hash_of(next), handle(next), &entries);
                assert!(entries.hashes_read.get() - before < 100, "an insert moved too many entries");
                model.insert(next, handle(next));
                live.push(next);
                next += 1;
            } else {
                let key = live.swap_remove(rng.below(live.len() as u64) as usize);
                let expected = model.remove(&key).unwrap();
                assert_eq!(dict.remove(hash_of(key), |each| each == expected), Some(expected));
                assert_eq!(dict.remove(hash_of(key), |each| each == expected), None);
            }
            if rng.below(20) == 0 && !live.is_empty() {
                let key = live[rng.below(live.len() as u64) as usize];
                let (old, new) = (model[&key], handle(1 << 33 | next));
                assert!(dict.replace(hash_of(key), old, new));
                assert!(!dict.replace(hash_of(key), old, new));
                entries.moved_to.insert(new, key);
                model.insert(key, new);
                next += 1;
            }
            assert_eq!(dict.len(), live.len());
        }
        for (key, expected) in &model {
            assert_eq!(dict.find(hash_of(*key), |each| each == *expected), Some(*expected));
            assert!(dict.candidate(hash_of(*key)).is_some() || dict.overflow_buckets() > 0);
        }
        let mut seen = HashSet::new();
        dict.for_each(|each| assert!(seen.insert(each)));
        assert_eq!(seen, model.values().copied().collect());
        let per_bucket = dict.len() as f64 / dict.buckets() as f64;
        assert!(per_bucket < 9.3, "{per_bucket} entries a bucket");
        assert!(dict.len() < 1000 || dict.heap_bytes() < dict.len() * 70);
    }
    assert!(dict.heap_bytes() < 8192, "{}", dict.heap_bytes());
}

#[test]
fn entries_of_one_hash_chain_and_come_out_again() {
    let mut dict = Dict::new();
    let alike = |number: u64| (handle(number), 77u64);
    struct Alike;
    impl Entries for Alike {
        fn hash(&self, _: Handle) -> u64 {
            77
        }
        fn prefetch(&self, _: Handle) {}
    }
    for number in 1..200 {
        let (handle, hash) = alike(number);
        dict.insert(hash, handle, &Alike);
    }
    let mut seen = HashSet::new();
    dict.candidates(77, |each| assert!(seen.insert(each)));
    assert_eq!(seen.len(), 199);
    let mut rng = Rng::from_seed(5);
    let mut order: Vec<u64> = (1..200).collect();
    rng.shuffle(&mut order);
    for (removed, number) in order.iter().enumerate() {
        assert_eq!(dict.remove(77, |each| each == handle(*number)), Some(handle(*number)));
        let mut left = HashSet::new();
        dict.candidates(77, |each| assert!(left.insert(each)));
        assert_eq!(left.len(), 198 - removed);
    }
    assert_eq!(dict.overflow_buckets(), 0);
}

#[test]
fn a_scan_sees_everything_that_was_there_from_start_to_end() {
    for seed in 0..150 {
        let mut rng = Rng::from_seed(seed);
        let mut dict = Dict::new();
        let steady = 1 + rng.below(2000);
        let mut others: Vec<u64> = Vec::new();
        let mut next = steady;
        (0..steady).for_each(|number| insert(&mut dict, number + 1_000_000_000));
        for _ in 0..rng.below(20_000) {
            next += 1;
            insert(&mut dict, next);
            others.push(next);
        }
        let mut seen: HashSet<Handle> = HashSet::new();
        let mut cursor = 0;
        // The table is driven up or down by so many entries a call that it changes its size several times.
        let (mut grows, pace) = (rng.below(2) == 0, rng.below(60));
        loop {
            cursor = dict.scan(cursor, |each| {
                seen.insert(each);
            });
            if cursor == 0 {
                break;
            }
            if rng.below(300) == 0 {
                grows = !grows;
            }
            for _ in 0..pace {
                if grows && others.len() < 40_000 {
                    next += 1;
                    insert(&mut dict, next);
                    others.push(next);
                } else if let Some(number) = others.pop() {
                    assert!(remove(&mut dict, number));
                }
            }
        }
        for number in 0..steady {
            assert!(seen.contains(&handle(number + 1_000_000_000)), "seed {seed} lost an entry");
        }
    }
}

#[test]
fn a_scan_of_a_table_at_rest_sees_everything_once() {
    for len in [1, 9, 10, 100, 1000, 9421, 9500, 30_000] {
        let mut dict = Dict::new();
        (0..len).for_each(|number| insert(&mut dict, number + 1));
        let (mut cursor, mut seen, mut calls) = (0, HashSet::new(), 0);
        loop {
            cursor = dict.scan(cursor, |each| assert!(seen.insert(each)));
            calls += 1;
            if cursor == 0 {
                break;
            }
        }
        assert_eq!((seen.len(), calls), (len as usize, dict.buckets()));
    }
}

#[test]
fn any_cursor_a_client_may_send_is_harmless() {
    let mut dict = Dict::new();
    (1..5000).for_each(|number| insert(&mut dict, number));
    let mut rng = Rng::from_seed(9);
    for _ in 0..1000 {
        dict.scan(rng.next_u64(), |_| ());
    }
    dict.scan(u64::MAX, |_| ());
}

#[test]
fn random_is_fair_while_half_of_the_buckets_are_divided() {
    let mut dict = Dict::new();
    let mut len = 0u64;
    while dict.split < 24 || dict.level != 6 {
        len += 1;
        insert(&mut dict, len);
    }
    assert!(dict.overflow_buckets() > 0);
    let mut counts = vec![0u32; len as usize + 1];
    let mut rng = Rng::from_seed(4);
    let draws = len as u32 * 400;
    for _ in 0..draws {
        counts[dict.random(&mut rng).unwrap().number() as usize] += 1;
    }
    // 400 draws each, standard deviation 20.
    assert!(counts[1..].iter().all(|count| (300..500).contains(count)), "{counts:?}");
}

#[test]
fn random_finds_the_last_entry_of_a_table_that_may_not_shrink() {
    let mut dict = Dict::new();
    (1..=50_000).for_each(|number| insert(&mut dict, number));
    dict.set_resizing(Resizing::Forbidden);
    let buckets = dict.buckets();
    (2..=50_000).for_each(|number| assert!(remove(&mut dict, number)));
    assert_eq!(dict.buckets(), buckets);
    assert_eq!(dict.random(&mut Rng::from_seed(1)), Some(handle(1)));
    dict.set_resizing(Resizing::Allowed);
    while dict.step(100, &Numbered::default()) {}
    assert_eq!(dict.buckets(), 1);
    assert_eq!(dict.find(hash_of(1), |_| true), Some(handle(1)));
}

#[test]
fn a_table_that_should_avoid_growth_grows_only_when_much_too_full() {
    let mut dict = Dict::new();
    dict.set_resizing(Resizing::Avoid);
    (1..=36).for_each(|number| insert(&mut dict, number));
    assert_eq!(dict.buckets(), 1);
    (37..=200).for_each(|number| insert(&mut dict, number));
    assert!((4..=8).contains(&dict.buckets()), "{}", dict.buckets());
    dict.set_resizing(Resizing::Forbidden);
    (201..=2000).for_each(|number| insert(&mut dict, number));
    assert!(dict.buckets() <= 8);
    assert!((1..=2000).all(|number| dict.contains(hash_of(number), handle(number))));
    dict.set_resizing(Resizing::Allowed);
    while dict.step(1, &Numbered::default()) {}
    assert!(dict.buckets() >= 256);
    assert!((1..=2000).all(|number| dict.contains(hash_of(number), handle(number))));
}

#[test]
fn samples_are_live_entries_and_not_too_many() {
    let mut dict = Dict::new();
    (1..=1000).for_each(|number| insert(&mut dict, number));
    let mut rng = Rng::from_seed(8);
    for _ in 0..1000 {
        let mut out = Vec::new();
        dict.sample(&mut rng, 16, &mut out);
        assert_eq!(out.len(), 16);
        assert!(out.iter().all(|each| (1..=1000).contains(&each.number())));
        assert_eq!(out.iter().collect::<HashSet<_>>().len(), 16);
    }
}

#[test]
fn every_entry_is_sampled_about_as_often() {
    let mut dict = Dict::new();
    (1..=2000).for_each(|number| insert(&mut dict, number));
    let mut rng = Rng::from_seed(3);
    let mut seen: HashMap<Handle, u32> = HashMap::new();
    let mut sampled = Vec::new();
    for _ in 0..100_000 {
        sampled.clear();
        dict.sample(&mut rng, 5, &mut sampled);
        sampled.iter().for_each(|handle| *seen.entry(*handle).or_default() += 1);
    }
    assert_eq!(seen.len(), 2000, "no entry stands where nobody looks");
    let mean = seen.values().sum::<u32>() / 2000;
    let rare = seen.values().filter(|n| **n < mean / 4).count();
    assert!(rare < 20, "{rare} entries are hardly ever sampled");
}
