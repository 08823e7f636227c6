//! The wheel of timers: in time, once, and never after it was cancelled.

use super::*;
use crate::base::rng::Rng;
use std::collections::BTreeMap;

/// A number whose size is as random as the number.
fn any_size(rng: &mut Rng, bits: u64) -> u64 {
    let shift = rng.below(bits);
    rng.below(1 << shift)
}

fn pop_all(wheel: &mut TimerWheel<u64>, now: u64) -> Vec<u64> {
    let mut out = Vec::new();
    while let Some(item) = wheel.pop_due(now, &mut usize::MAX.clone()) {
        out.push(item);
    }
    out
}

#[test]
fn a_timer_fires_once_and_its_id_finds_nothing_afterwards() {
    let mut wheel = TimerWheel::new(50);
    let id = wheel.insert(100, 1);
    let cancelled = wheel.insert(100, 2);
    assert_eq!(wheel.cancel(cancelled), Some(2));
    assert_eq!(wheel.cancel(cancelled), None);
    assert_eq!(pop_all(&mut wheel, 99), []);
    assert_eq!(pop_all(&mut wheel, 100), [1]);
    assert_eq!(wheel.cancel(id), None);
    let reused = wheel.insert(200, 3);
    assert_eq!(wheel.cancel(id), None);
    assert_eq!(wheel.cancel(reused), Some(3));
    assert_eq!((wheel.len(), wheel.next_deadline()), (0, None));
}

#[test]
fn a_deadline_in_the_past_fires_at_once() {
    let mut wheel = TimerWheel::new(1000);
    wheel.insert(3, 1);
    assert!(wheel.next_deadline().unwrap() <= 1000);
    assert_eq!(pop_all(&mut wheel, 1000), [1]);
}

#[test]
fn nobody_wakes_for_a_lone_far_timer_before_its_time() {
    let mut wheel = TimerWheel::new(0);
    for item in 0..LOOKED_AT_MAX as u64 {
        wheel.insert(100_000 - item, item);
    }
    assert_eq!(wheel.next_deadline(), Some(100_001 - LOOKED_AT_MAX as u64));
    wheel.insert(100_000, 9);
    let falls_at = wheel.next_deadline().expect("there are timers");
    assert!(falls_at < 99_000, "more than a few are not looked at: {falls_at}");
    assert_eq!(pop_all(&mut wheel, 99_999).len(), LOOKED_AT_MAX - 1);
    assert_eq!(wheel.next_deadline(), Some(100_000));
}

#[test]
fn the_budget_bounds_the_falling_of_far_timers() {
    let mut wheel = TimerWheel::new(0);
    for item in 0..1000 {
        wheel.insert(100_000 + item, item);
    }
    let (mut fired, mut calls) = (0, 0);
    while fired < 1000 {
        let mut budget = 10;
        while wheel.pop_due(100_000 + calls, &mut budget).is_some() {
            fired += 1;
        }
        calls += 1;
    }
    assert!(calls >= 200, "{calls}");
}

#[test]
fn the_wheel_agrees_with_a_sorted_map() {
    for seed in 0..60 {
        let mut rng = Rng::from_seed(seed);
        let mut now = rng.next_u64() >> (1 + rng.below(40));
        let mut wheel = TimerWheel::new(now);
        let mut model: BTreeMap<(u64, u64), TimerId> = BTreeMap::new();
        let mut next_item = 0;
        for _ in 0..500 {
            for _ in 0..rng.below(20) {
                let deadline = (now + any_size(&mut rng, 44)).saturating_sub(rng.below(5));
                model.insert((deadline, next_item), wheel.insert(deadline, next_item));
                next_item += 1;
            }
            if rng.below(2) == 0
                && let Some((key, id)) = model.range((now + rng.below(1 << 30), 0)..).next()
            {
                let (key, id) = (*key, *id);
                assert_eq!(wheel.cancel(id), Some(key.1));
                model.remove(&key);
            }
            now += any_size(&mut rng, 40);
            let mut budget = if rng.below(2) == 0 { usize::MAX } else { rng.below(30) as usize };
            while let Some(item) = wheel.pop_due(now, &mut budget) {
                let key = model.keys().find(|key| key.1 == item).copied().unwrap();
                assert!(key.0 <= now, "seed {seed}: fired early");
                model.remove(&key);
            }
            assert_eq!(wheel.len(), model.len());
            match (wheel.next_deadline(), model.keys().next()) {
                (Some(next), Some((earliest, _))) => {
                    assert!(next <= *earliest.max(&now));
                    assert!(budget == 0 || (next > now && *earliest > now), "seed {seed}: fired late");
                }
                (None, None) => (),
                other => panic!("seed {seed}: {other:?}"),
            }
        }
    }
}
