//! The wheel of keys against a model: nothing fires early, nothing is lost.
#![allow(clippy::disallowed_types, reason = "a model is compared, never walked in its order")]

use super::*;
use crate::base::rng::Rng;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A number whose size is as random as the number.
fn any_size(rng: &mut Rng, bits: u64) -> u64 {
    let shift = rng.below(bits);
    rng.below(1 << shift)
}

fn take_all(wheel: &mut KeyWheel, now_ms: u64) -> Vec<u64> {
    let mut out = Vec::new();
    assert!(!wheel.take_due(now_ms, usize::MAX, &mut out));
    out
}

#[test]
fn a_hash_is_handed_out_at_its_millisecond_and_not_before() {
    let mut wheel = KeyWheel::new(1_000_000);
    assert_eq!(wheel.next_deadline(), None);
    wheel.register(1_000_010, 7);
    assert_eq!((wheel.next_deadline(), wheel.len()), (Some(1_000_010), 1));
    assert_eq!(take_all(&mut wheel, 1_000_009), []);
    assert_eq!(take_all(&mut wheel, 1_000_010), [7]);
    assert!(wheel.is_empty());
    wheel.register(999_999, 8); // past: at once
    assert_eq!(wheel.next_deadline(), Some(1_000_010));
    assert_eq!(take_all(&mut wheel, 0), [8]);
}

#[test]
fn any_deadline_has_a_place() {
    let mut wheel = KeyWheel::new(0);
    for bit in 0..64 {
        wheel.register(1 << bit, bit);
    }
    wheel.register(u64::MAX, 64);
    let mut fired = Vec::new();
    while let Some(now_ms) = wheel.next_deadline() {
        for hash in take_all(&mut wheel, now_ms) {
            let deadline_ms = if hash == 64 { u64::MAX } else { 1 << hash };
            if deadline_ms > now_ms {
                wheel.register(deadline_ms, hash);
            } else {
                assert_eq!(deadline_ms, now_ms);
                fired.push(hash);
            }
        }
    }
    assert_eq!(fired, (0..=64).collect::<Vec<u64>>());
}

#[test]
fn a_full_millisecond_is_handed_out_in_slices() {
    let mut wheel = KeyWheel::new(0);
    (0..10_000).for_each(|hash| wheel.register(5, hash));
    let (mut out, mut slices) = (Vec::new(), 0);
    loop {
        let before = out.len();
        let more = wheel.take_due(5, 300, &mut out);
        assert!(out.len() - before <= 300);
        slices += 1;
        wheel.register(1, 1_000_000 + slices); // late comers join
        if !more {
            break;
        }
    }
    out.sort_unstable();
    assert_eq!(out[..10_000], (0..10_000).collect::<Vec<u64>>());
    assert!(wheel.heap_bytes() < POOL_CHUNKS_MAX * 4096 + 10_000);
}

#[test]
fn small_slots_are_small_and_empty_wheels_take_nothing() {
    let mut wheel = KeyWheel::new(0);
    assert_eq!(wheel.heap_bytes(), 0);
    wheel.register(1, 1);
    assert!(wheel.heap_bytes() < 6500, "{}", wheel.heap_bytes());
}

/// Keys with deadlines as a caller keeps them, beside the wheel.
struct World {
    wheel: KeyWheel,
    deadlines: HashMap<u64, u64>,
    now_ms: u64,
}

impl World {
    fn set(&mut self, hash: u64, deadline_ms: u64) {
        let old = self.deadlines.insert(hash, deadline_ms);
        if old.is_none_or(|old| deadline_ms < old) {
            self.wheel.register(deadline_ms, hash);
        }
    }

    /// Everything whose deadline has passed must come out, nothing else may.
    fn advance(&mut self, to_ms: u64, max: usize) {
        self.now_ms = to_ms;
        loop {
            let mut out = Vec::new();
            let more = self.wheel.take_due(to_ms, max, &mut out);
            for hash in out {
                match self.deadlines.get(&hash) {
                    Some(deadline_ms) if *deadline_ms <= to_ms => drop(self.deadlines.remove(&hash)),
                    Some(deadline_ms) => self.wheel.register(*deadline_ms, hash),
                    None => (),
                }
            }
            if !more {
                break;
            }
        }
        assert!(self.deadlines.values().all(|deadline_ms| *deadline_ms > to_ms));
        let earliest = self.deadlines.values().min();
        if let Some(earliest) = earliest {
            let next = self.wheel.next_deadline().unwrap();
            assert!(next > to_ms && next <= *earliest);
        }
    }
}

#[test]
fn the_wheel_agrees_with_a_sorted_map_over_jumps_steps_back_and_compaction() {
    for seed in 0..60 {
        let mut rng = Rng::from_seed(seed);
        let now_ms = rng.next_u64() >> (20 + rng.below(20));
        let mut world = World { wheel: KeyWheel::new(now_ms), deadlines: HashMap::new(), now_ms };
        for _ in 0..400 {
            for _ in 0..rng.below(60) {
                let deadline_ms = world.now_ms + any_size(&mut rng, 40) + 1;
                world.set(rng.below(2000), deadline_ms);
            }
            if rng.below(3) == 0 {
                world.deadlines.remove(&rng.below(2000));
            }
            let ahead = any_size(&mut rng, 34);
            match rng.below(20) {
                0 => {
                    world.now_ms -= ahead.min(world.now_ms);
                    world.wheel.reseat(world.now_ms);
                    world.advance(world.now_ms, 100);
                }
                1..=6 => {
                    // In slices, between which time goes on.
                    let World { wheel, deadlines, .. } = &mut world;
                    wheel.compact(rng.below(200) as usize, |hash| deadlines.get(&hash).copied());
                }
                _ => world.advance(world.now_ms + ahead, 1 + rng.below(300) as usize),
            }
        }
        let World { wheel, deadlines, .. } = &mut world;
        while !wheel.compact(100, |hash| deadlines.get(&hash).copied()) {}
        assert!(wheel.compact(usize::MAX, |hash| deadlines.get(&hash).copied()));
        assert_eq!(wheel.len(), deadlines.len(), "a pass leaves each key once");
        world.advance(u64::MAX >> 1, 1000);
        assert!(world.deadlines.is_empty() && world.wheel.is_empty());
    }
}

#[test]
fn a_key_rewritten_a_hundred_thousand_times_is_compacted_to_one_registration() {
    let mut wheel = KeyWheel::new(0);
    for _ in 0..100_000 {
        wheel.register(3_600_000, 7);
    }
    (0..1000).for_each(|hash| wheel.register(3_600_000, 100 + hash));
    let mut calls = 0;
    while !wheel.compact(5000, |hash| (hash < 600).then_some(3_600_000)) {
        calls += 1;
    }
    assert!(calls > 30);
    assert_eq!(wheel.len(), 501);
    let taken: HashSet<u64> = take_all(&mut wheel, 3_600_000).into_iter().collect();
    assert_eq!(taken.len(), 501);
}

#[test]
fn slots_come_in_the_order_of_their_times() {
    let mut rng = Rng::from_seed(77);
    let mut wheel = KeyWheel::new(0);
    let mut model: BTreeMap<u64, u64> = BTreeMap::new();
    for hash in 0..5000 {
        let deadline_ms = 1 + rng.below(200_000);
        model.insert(deadline_ms, hash);
        wheel.register(deadline_ms, deadline_ms);
    }
    let mut last = 0;
    while let Some(next) = wheel.next_deadline() {
        assert!(next >= last);
        last = next;
        for deadline_ms in take_all(&mut wheel, next) {
            assert!(deadline_ms >= next);
            if deadline_ms > next {
                wheel.register(deadline_ms, deadline_ms);
            } else {
                model.remove(&deadline_ms);
            }
        }
    }
    assert!(model.is_empty());
}
