//! Sorted sets in both encodings against a map and a sorted set.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

fn tuning() -> Tuning {
    Tuning { zset_max_listpack_entries: 8, zset_max_listpack_value_bytes: 20, ..Tuning::default() }
}

type Model = BTreeMap<Vec<u8>, f64>;

fn sorted(model: &Model) -> Vec<(Vec<u8>, f64)> {
    let mut all: Vec<_> = model.iter().map(|(member, score)| (member.clone(), *score)).collect();
    all.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap().then_with(|| a.0.cmp(&b.0)));
    all
}

fn listed<'a>(iter: impl Iterator<Item = (Element<'a>, f64)>) -> Vec<(Vec<u8>, f64)> {
    iter.map(|(member, score)| (member.to_vec(), score)).collect()
}

#[test]
fn a_sorted_set_becomes_a_table_where_redis_does() {
    let tuning = tuning();
    let mut zset = Zset::new();
    for i in 0..8 {
        assert_eq!(zset.change(1.0, &[b'a' + i], Change::default(), &tuning), Changed::Added(1.0));
    }
    assert_eq!(zset.view().encoding(), "listpack");
    zset.change(2.5, b"a", Change::default(), &tuning);
    assert_eq!(zset.view().encoding(), "listpack");
    zset.change(2.5, b"z", Change::default(), &tuning);
    assert_eq!((zset.view().encoding(), zset.len()), ("skiplist", 9));
    let mut zset = Zset::new();
    zset.change(1.0, &[b'x'; 20], Change::default(), &tuning);
    assert_eq!(zset.view().encoding(), "listpack");
    zset.change(1.0, &[b'x'; 21], Change::default(), &tuning);
    assert_eq!(zset.view().encoding(), "skiplist");
    zset.make_room(5, &tuning);
    let mut zset = Zset::new();
    zset.make_room(9, &tuning);
    assert_eq!(zset.view().encoding(), "skiplist");
}

#[test]
fn conditions_are_those_of_zadd() {
    let tuning = tuning();
    for large in [false, true] {
        let mut zset = Zset::with_hint(if large { 100 } else { 1 }, 1, &tuning);
        let mut change = |score: f64, words: &str| {
            let has = |word: &str| words.split(' ').any(|each| each == word);
            let how = Change {
                new_only: has("nx"),
                old_only: has("xx"),
                greater: has("gt"),
                less: has("lt"),
                increment: has("incr"),
            };
            zset.change(score, b"m", how, &tuning)
        };
        assert_eq!(change(1.0, "xx"), Changed::Refused);
        assert_eq!(change(1.0, "gt"), Changed::Added(1.0));
        assert_eq!(change(2.0, "nx"), Changed::Refused);
        assert_eq!(change(0.0, "gt"), Changed::Refused);
        assert_eq!(change(3.0, "gt"), Changed::Updated(3.0));
        assert_eq!(change(3.0, ""), Changed::Same(3.0));
        assert_eq!(change(1.5, "incr"), Changed::Updated(4.5));
        assert_eq!(change(1.0, "incr lt"), Changed::Refused);
        assert_eq!(change(f64::INFINITY, "incr"), Changed::Updated(f64::INFINITY));
        assert_eq!(change(f64::NEG_INFINITY, "incr"), Changed::NotANumber);
        assert_eq!(zset.view().score(b"m"), Some(f64::INFINITY));
    }
}

#[test]
fn a_sorted_set_behaves_like_a_model_in_every_encoding() {
    let mut rng = Rng::from_seed(3);
    for (spread, scores) in [(7, 4), (40, 3), (40, 1000), (5_000, 50), (5_000, 1)] {
        let tuning = tuning();
        let (mut zset, mut model) = (Zset::new(), Model::new());
        for _ in 0..12_000 {
            let number = rng.below(spread);
            let member =
                if number.is_multiple_of(3) { number.to_string() } else { format!("m{number}") }.into_bytes();
            let score = rng.below(scores) as f64 / 4.0;
            match rng.below(8) {
                0..4 => {
                    zset.change(score, &member, Change::default(), &tuning);
                    model.insert(member, score);
                }
                4..6 => assert_eq!(zset.remove(&member), model.remove(&member).is_some()),
                6 => assert_eq!(zset.view().score(&member), model.get(&member).copied()),
                _ if rng.below(20) == 0 => {
                    let all = sorted(&model);
                    let start = rng.below(all.len() as u64 + 1) as usize;
                    let end = (start + rng.below(5) as usize).min(all.len());
                    zset.remove_ranks(start..end);
                    model.retain(|member, _| all[start..end].iter().all(|(removed, _)| removed != member));
                }
                _ => {}
            }
            assert_eq!(zset.len(), model.len());
        }
        let all = sorted(&model);
        let view = zset.view();
        assert_eq!(listed(view.iter()), all);
        let reversed: Vec<_> = all.iter().rev().cloned().collect();
        assert_eq!(listed(view.range_reversed(0..all.len())), reversed);
        for _ in 0..300 {
            let start = rng.below(all.len() as u64) as usize;
            let end = start + rng.below((all.len() - start) as u64 + 1) as usize;
            assert_eq!(listed(view.range(start..end)), all[start..end]);
            assert_eq!(listed(view.range_reversed(start..end)), reversed[all.len() - end..all.len() - start]);
            let (member, score) = &all[start];
            assert_eq!(view.rank(member), Some((start, *score)));
            let bound = |score, exclusive| ScoreBound { score, exclusive };
            let (min, max) = (bound(*score, rng.below(2) == 0), bound(score + 1.0, rng.below(2) == 0));
            let inside = |score: f64| !min.is_after(score) && max.reaches(score);
            let expected: Vec<_> = all.iter().filter(|(_, score)| inside(*score)).cloned().collect();
            assert_eq!(listed(view.range(view.ranks_by_score(min, max))), expected);
            let min = LexBound::Exclusive(member);
            if scores == 1 {
                let expected = all[start + 1..].to_vec();
                assert_eq!(listed(view.range(view.ranks_by_lex(min, LexBound::Greatest))), expected);
            }
        }
        let mut drawn = BTreeSet::new();
        view.sample(5, &mut rng, |member, score| {
            assert_eq!(model.get(&member.to_vec()), Some(&score));
            drawn.insert(member.to_vec());
        });
        assert_eq!(drawn.len(), 5.min(all.len()));
        let mut scanned = Model::new();
        let mut cursor = 0;
        loop {
            cursor = view.scan(cursor, |member, score| {
                scanned.insert(member.to_vec(), score);
            });
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(scanned, model);
        let names: Vec<&[u8]> = all.iter().take(BATCH).map(|(member, _)| member.as_slice()).collect();
        let mut found = [None; BATCH];
        view.scores(&names, &mut found);
        assert!(found.iter().zip(&all).all(|(found, (_, score))| *found == Some(*score)));
    }
}

#[test]
fn a_large_one_takes_73_bytes_a_member_and_gives_them_back() {
    let tuning = tuning();
    let mut zset = Zset::new();
    let mut rng = Rng::from_seed(1);
    let member = |number: u32| format!("member:{number:013}").into_bytes();
    for number in 0..1_000_000 {
        zset.change(rng.below(1 << 40) as f64, &member(number), Change::default(), &tuning);
    }
    assert!(zset.heap_bytes() < 73_000_000, "{}", zset.heap_bytes());
    for number in 0..600_000 {
        assert!(zset.remove(&member(number)));
    }
    zset.remove_ranks(1_000..400_000);
    assert!(zset.heap_bytes() < 700_000, "{}", zset.heap_bytes());
    assert_eq!(zset.view().iter().count(), 1_000);
    let before: Vec<_> = listed(zset.view().iter());
    assert!(before.windows(2).all(|pair| pair[0].1 <= pair[1].1));
}

#[test]
fn built_ones_are_in_order_and_as_small_as_they_can_be() {
    let tuning = tuning();
    for count in [3u32, 500] {
        let mut builder = Builder::new(tuning.hash_key);
        for round in 0..2 {
            for number in (0..count).rev() {
                builder.merge(&[(f64::from(number + round), number.to_string().as_bytes())], |a, b| a + b);
            }
        }
        let zset = builder.into_zset(&tuning);
        assert_eq!(zset.view().encoding(), if count == 3 { "listpack" } else { "skiplist" });
        let all = listed(zset.view().iter());
        assert!((0..count).all(|n| all[n as usize] == (n.to_string().into_bytes(), f64::from(2 * n + 1))));
    }
}
