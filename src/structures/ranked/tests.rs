//! The tree against a sorted map.

use super::*;
use crate::base::rng::Rng;
use std::collections::BTreeSet;

/// Members by the number of their handle.
#[derive(Default)]
struct Table(Vec<Vec<u8>>);

impl Names for Table {
    fn member(&self, handle: Handle) -> &[u8] {
        &self.0[(handle.number() & 0xff_ffff) as usize]
    }
}

/// Handles of all 34 bits.
fn handle(number: usize) -> Handle {
    Handle::from_number(number as u64 | (number as u64 & 3) << 32)
}

/// A key that sorts as the tree sorts: the score's bits in order, the member, the number.
type Key = (i64, Vec<u8>, usize);

fn key(score: f64, table: &Table, number: usize) -> Key {
    // Adding 0 makes -0 into 0.
    let bits = (score + 0.0).to_bits() as i64;
    (bits ^ ((bits >> 63) as u64 >> 1) as i64, table.0[number].clone(), number)
}

impl Ranked {
    /// Everything that should be true of the nodes.
    fn check(&self) {
        let mut leaves = Vec::new();
        let mut inners = 0;
        if self.root != NONE {
            let (_, count) = self.check_node(self.root, self.height, &mut leaves, &mut inners);
            assert_eq!(count, self.len);
        }
        assert_eq!((leaves.len(), inners), (self.leaves.len(), self.inners.len()), "a node was lost");
        for (i, leaf) in leaves.iter().enumerate() {
            let prev = if i == 0 { NONE } else { leaves[i - 1] };
            assert_eq!(self.leaves.get(*leaf).prev, prev);
            assert_eq!(self.leaves.get(*leaf).next, leaves.get(i + 1).copied().unwrap_or(NONE));
        }
    }

    fn check_node(
        &self,
        node: u32,
        height: usize,
        leaves: &mut Vec<u32>,
        inners: &mut usize,
    ) -> ((f64, Handle), usize) {
        if height == 0 {
            leaves.push(node);
            let keys = &self.leaves.get(node).keys;
            assert!(keys.len() > 0);
            return (keys.get(0), keys.len());
        }
        *inners += 1;
        let inner = self.inners.get(node);
        let mut sum = 0;
        for i in 0..inner.len() {
            let (first, count) = self.check_node(inner.nodes[i], height - 1, leaves, inners);
            assert_eq!(inner.keys.get(i), first);
            assert_eq!(inner.counts[i] as usize, count);
            sum += count;
        }
        (inner.keys.get(0), sum)
    }
}

fn scores(rng: &mut Rng, kind: u64) -> f64 {
    match kind {
        0 => rng.below(1 << 40) as f64 - 5e11,
        1 => rng.below(5) as f64 - 2.0,
        2 => 0.0,
        _ => [f64::NEG_INFINITY, f64::INFINITY, 0.0, -0.0, 1.5, f64::MAX, f64::MIN_POSITIVE]
            [rng.below(7) as usize],
    }
}

#[test]
fn the_tree_agrees_with_a_sorted_set() {
    for seed in 0..8u64 {
        let mut rng = Rng::from_seed(seed);
        let kind = seed % 4;
        let mut table = Table::default();
        let mut tree = Ranked::new();
        let mut model: BTreeSet<Key> = BTreeSet::new();
        let mut live: Vec<(f64, usize)> = Vec::new();
        for step in 0..30_000u64 {
            let grows = rng.below(100) < if step / 7_500 % 2 == 0 { 85 } else { 20 };
            let choice = rng.below(10);
            if grows || live.is_empty() {
                let number = table.0.len();
                table.0.push(format!("m{}:{number}", rng.below(1000)).into_bytes());
                let score = scores(&mut rng, kind);
                tree.insert(score, handle(number), &table);
                model.insert(key(score, &table, number));
                live.push((score, number));
            } else {
                let at = rng.below(live.len() as u64) as usize;
                let (score, number) = live[at];
                let rank = tree.rank(score, handle(number), &table);
                if choice < 3 {
                    let new = if choice == 0 { score + 0.25 } else { scores(&mut rng, kind) };
                    tree.update(score, handle(number), new, &table);
                    assert!(model.remove(&key(score, &table, number)));
                    model.insert(key(new, &table, number));
                    live[at].0 = new;
                } else if choice < 4 {
                    let moved = table.0.len();
                    table.0.push(table.0[number].clone());
                    tree.moved(score, handle(number), handle(moved), &table);
                    assert!(model.remove(&key(score, &table, number)));
                    model.insert(key(score, &table, moved));
                    live[at].1 = moved;
                } else {
                    if choice < 6 {
                        let removed = tree.remove_at(rank, &table);
                        assert_eq!(removed.map(|(_, handle)| handle), Some(handle(number)));
                    } else {
                        assert!(tree.remove(score, handle(number), &table));
                        assert!(!tree.remove(score, handle(number), &table));
                    }
                    assert!(model.remove(&key(score, &table, number)));
                    live.swap_remove(at);
                }
            }
            assert_eq!(tree.len(), model.len());
            if step % 1_000 == 0 {
                tree.check();
            }
        }
        tree.check();
        let sorted: Vec<Handle> = model.iter().map(|(_, _, number)| handle(*number)).collect();
        assert_eq!(tree.forward(0).map(|(_, handle)| handle).collect::<Vec<_>>(), sorted);
        let back: Vec<Handle> = tree.backward(tree.len() - 1).map(|(_, handle)| handle).collect();
        assert!(back.iter().rev().eq(&sorted));
        for (rank, (bits, _, number)) in model.iter().enumerate() {
            let (score, found) = tree.at(rank).unwrap();
            assert_eq!(found, handle(*number));
            assert_eq!(key(score, &table, *number).0, *bits);
            assert_eq!(tree.rank(score, found, &table), rank);
            if rank % 37 == 0 {
                let below = model.iter().filter(|key| key.0 < *bits).count();
                assert_eq!(tree.count_while(|each, _| each < score), below);
                let member = table.0[*number].as_slice();
                let up_to = |each: f64, found| each < score || each == score && table.member(found) <= member;
                assert_eq!(tree.count_while(up_to), rank + 1);
                assert!(tree.forward(rank).map(|(_, handle)| handle).eq(sorted[rank..].iter().copied()));
                assert!(
                    tree.backward(rank).map(|(_, handle)| handle).eq(sorted[..=rank].iter().rev().copied())
                );
            }
        }
        assert_eq!((tree.at(tree.len()), tree.forward(tree.len()).next()), (None, None));
        for _ in 0..tree.len() {
            tree.remove_at(0, &table).unwrap();
        }
        tree.check();
        assert_eq!(tree.heap_bytes(), 0);
    }
}

#[test]
fn keys_in_order_leave_full_leaves_and_a_thinned_tree_gives_memory_back() {
    for descending in [false, true] {
        let mut table = Table::default();
        let mut tree = Ranked::new();
        for number in 0..300_000 {
            table.0.push(b"m".to_vec());
            let score = if descending { -(number as f64) } else { number as f64 };
            tree.insert(score, handle(number), &table);
        }
        assert!(tree.heap_bytes() < 300_000 * 14, "{}", tree.heap_bytes());
        let mut rng = Rng::from_seed(1);
        while tree.len() > 1_000 {
            tree.remove_at(rng.below(tree.len() as u64) as usize, &table);
        }
        tree.check();
        assert!(tree.heap_bytes() < 260_000, "{}", tree.heap_bytes());
    }
}

#[test]
fn a_tree_of_sorted_keys_is_sound_and_can_be_changed() {
    for count in [0usize, 1, 30, 31, 1_000, 40_000] {
        let mut table = Table::default();
        let mut sorted = Vec::new();
        for number in 0..count {
            table.0.push(format!("m{number:06}").into_bytes());
            sorted.push(((number / 3) as f64, handle(number)));
        }
        let mut tree = Ranked::from_sorted(&sorted);
        tree.check();
        assert!(tree.forward(0).eq(sorted.iter().copied()));
        for (rank, (score, handle)) in sorted.iter().enumerate().filter(|(rank, _)| rank % 7 == 0) {
            assert_eq!(tree.rank(*score, *handle, &table), rank - rank / 7);
            assert!(tree.remove(*score, *handle, &table));
        }
        tree.check();
    }
}
