//! The table against maps, and the walk against the map of its start.
#![allow(clippy::disallowed_types, reason = "a model is compared, never walked in its order")]

use super::*;
use std::collections::{BTreeMap, HashSet};

/// A hash's layout in small: the length of the field, the field, the value.
struct Pair;

impl Layout for Pair {
    fn member(cell: &[u8]) -> &[u8] {
        &cell[1..1 + usize::from(cell[0])]
    }
}

struct Plain;

impl Layout for Plain {
    fn member(cell: &[u8]) -> &[u8] {
        cell
    }
}

const KEY: HashKey = HashKey { k0: 7, k1: 9 };

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn name(number: u64) -> Vec<u8> {
    format!("field:{number}").into_bytes()
}

/// Adds, changes or removes one member in both.
fn change(table: &mut Members<Pair>, model: &mut Model, rng: &mut Rng, names: u64, inserts: u64) {
    let field = name(rng.below(names));
    let len = [field.len() as u8];
    let longest = if rng.below(500) == 0 { 6_000 } else { 40 };
    let value: Vec<u8> = (0..rng.below(longest)).map(|i| i as u8).collect();
    let found = table.find(&field);
    assert_eq!(found.is_some(), model.contains_key(&field));
    match found {
        None if rng.below(100) < inserts => {
            let handle = table.insert(&[&len, &field, &value]);
            assert_eq!(Pair::member(table.get(handle)), field);
            model.insert(field, value);
        }
        None => {}
        Some(_) if rng.below(100) >= inserts => {
            assert!(table.remove(&field));
            model.remove(&field);
        }
        Some(handle) if rng.below(4) == 0 => {
            let old = model.get_mut(&field).unwrap();
            if let Some(last) = old.last_mut() {
                *last ^= 1;
                let (offset, byte) = (1 + field.len() + old.len() - 1, [old[old.len() - 1]]);
                table.patch(handle, offset, &byte);
            }
        }
        Some(handle) => {
            let handle = table.replace(handle, &[&len, &field, &value]);
            assert_eq!(&table.get(handle)[1 + field.len()..], value);
            model.insert(field, value);
        }
    }
}

fn pairs<'a>(cells: impl Iterator<Item = &'a [u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pair = |cell: &[u8]| (Pair::member(cell).to_vec(), cell[1 + Pair::member(cell).len()..].to_vec());
    let mut all: Vec<_> = cells.map(pair).collect();
    all.sort();
    all
}

#[test]
fn the_table_agrees_with_a_map() {
    for seed in 0..4 {
        let mut rng = Rng::from_seed(seed);
        let mut table = Members::<Pair>::new(KEY);
        let mut model = Model::new();
        for step in 0..60_000u64 {
            let inserts = if step / 15_000 % 2 == 0 { 80 } else { 15 };
            change(&mut table, &mut model, &mut rng, 8_000, inserts);
            assert_eq!(table.len(), model.len());
        }
        let expected: Vec<_> = model.clone().into_iter().collect();
        assert_eq!(pairs(table.iter()), expected);
        assert_eq!(pairs(table.clone().iter()), expected);
        let mut scanned = HashSet::new();
        let mut cursor = 0;
        loop {
            cursor = table.scan(cursor, |cell| {
                scanned.insert(cell.to_vec());
            });
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(scanned.len(), model.len());
        let names: Vec<Vec<u8>> = (0..16).map(name).collect();
        let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        let mut found = [None; BATCH];
        table.find_batch(&names[..15], &mut found);
        for (name, found) in names.iter().zip(&found[..15]) {
            assert_eq!(*found, table.find(name));
        }
        for count in [0, 1, 10, table.len() / 2, table.len(), table.len() + 5] {
            let drawn = table.sample(&mut rng, count);
            assert_eq!(drawn.len(), count.min(table.len()));
            assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), drawn.len());
        }
    }
}

#[test]
fn a_walk_hands_out_the_members_of_its_start_whatever_changes() {
    for (seed, inserts) in [(1, 50), (2, 90), (3, 5), (4, 50)] {
        let mut rng = Rng::from_seed(seed);
        let mut table = Members::<Pair>::new(KEY);
        let mut model = Model::new();
        for _ in 0..30_000 {
            change(&mut table, &mut model, &mut rng, 20_000, 80);
        }
        let expected: Vec<_> = model.clone().into_iter().collect();
        assert_eq!(table.begin_walk(7), expected.len());
        assert_eq!((table.walk_id(), table.clone().walk_id()), (Some(7), None));
        let mut cells: Vec<Vec<u8>> = Vec::new();
        while table.walk(rng.below(60) as usize, |cell| cells.push(cell.to_vec())) {
            // The third grows the table several times over, the fourth shrinks it.
            for _ in 0..rng.below(120) {
                change(&mut table, &mut model, &mut rng, 200_000 / seed, inserts);
            }
        }
        assert_eq!(pairs(cells.iter().map(Vec::as_slice)), expected);
        assert_eq!(table.stash_bytes(), 0);
        assert_eq!(pairs(table.iter()), model.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_walk_of_a_million_members_is_exact() {
    let mut rng = Rng::from_seed(9);
    let mut table = Members::<Pair>::new(KEY);
    let mut model = Model::new();
    for number in 0..1_000_000 {
        let field = name(number);
        table.insert(&[&[field.len() as u8], &field, b"value"]);
        model.insert(field, b"value".to_vec());
    }
    let expected: Vec<_> = model.clone().into_iter().collect();
    table.begin_walk(1);
    let mut cells: Vec<Vec<u8>> = Vec::new();
    while table.walk(2_000, |cell| cells.push(cell.to_vec())) {
        for _ in 0..400 {
            change(&mut table, &mut model, &mut rng, 1_500_000, 50);
        }
    }
    assert_eq!(pairs(cells.iter().map(Vec::as_slice)), expected);
}

#[test]
fn a_set_of_a_million_takes_37_bytes_a_member_and_gives_them_back() {
    let mut table = Members::<Plain>::new(KEY);
    let member = |number: u32| format!("member:{number:013}").into_bytes();
    for number in 0..1_000_000 {
        table.insert(&[&member(number)]);
    }
    assert!(table.heap_bytes() <= 37_000_000, "{}", table.heap_bytes());
    for number in 0..999_000 {
        assert!(table.remove(&member(number)));
    }
    assert!(table.heap_bytes() <= 300_000, "{}", table.heap_bytes());
    for number in 999_000..1_000_000 {
        assert!(table.contains(&member(number)));
    }
}

#[test]
fn a_large_cell_is_shared() {
    let mut table = Members::<Pair>::new(KEY);
    let handle = table.insert(&[&[1], b"f", &[b'v'; 10_000]]);
    assert_eq!(table.shared(handle).unwrap().len(), 10_002);
    let handle = table.insert(&[&[1], b"g", b"small"]);
    assert!(table.shared(handle).is_none());
}
