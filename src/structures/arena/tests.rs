//! The arena against a model: every cell keeps its payload until it is freed, and memory comes back.
#![allow(clippy::disallowed_types, reason = "a model is compared, never walked in its order")]

use super::*;
use crate::base::rng::Rng;
use std::collections::HashMap;

fn payload(rng: &mut Rng, len: usize) -> Vec<u8> {
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

/// Evacuates as an owner does, a few cells at a time.
fn evacuate(arena: &mut Arena, count: usize, mut moved: impl FnMut(Handle, Handle)) {
    let mut old = Vec::new();
    arena.next_old(count, &mut old);
    for handle in old {
        moved(handle, arena.relocate(handle));
    }
}

#[test]
fn every_size_has_a_class_that_holds_it() {
    for granules in 1..=512 {
        let class = class_of(granules);
        assert!(class < CLASSES);
        assert!(granules_of(class) >= granules);
        assert!(class == 0 || granules_of(class - 1) < granules);
        assert!(granules_of(class) * 8 <= granules * 9 + 8);
    }
    assert_eq!(granules_of(CLASSES - 1), 512);
    assert_eq!(class_for(PAYLOAD_BYTES_MAX), CLASSES - 1);
}

#[test]
fn the_arena_agrees_with_a_map_of_vectors() {
    for seed in 0..8 {
        let mut rng = Rng::from_seed(seed);
        let mut arena = Arena::new();
        let mut model: HashMap<Handle, Vec<u8>> = HashMap::new();
        let mut handles: Vec<Handle> = Vec::new();
        for step in 0..40_000u64 {
            let grows = rng.below(100) < if step / 8_000 % 2 == 0 { 70 } else { 25 };
            if grows || handles.is_empty() {
                let len = match rng.below(40) {
                    0 => rng.below(12_000),
                    1..5 => rng.below(600),
                    _ => rng.below(60),
                };
                let content = payload(&mut rng, len as usize);
                let cut = rng.below(len + 1) as usize;
                let handle = arena.alloc(&[&content[..cut], &content[cut..]]);
                assert!(!handle.is_none());
                assert!(model.insert(handle, content).is_none(), "a live handle was given out again");
                handles.push(handle);
            } else {
                let at = rng.below(handles.len() as u64) as usize;
                let handle = handles[at];
                let content = model.remove(&handle).unwrap();
                assert_eq!(arena.get(handle), content);
                if rng.below(3) == 0 {
                    let len = rng.below(100) as usize;
                    let other = payload(&mut rng, len);
                    let new = arena.overwrite(handle, &[&other]);
                    handles[at] = new;
                    assert!(model.insert(new, other).is_none());
                } else if rng.below(3) == 0 && !content.is_empty() {
                    let mut other = content;
                    let offset = rng.below(other.len() as u64) as usize;
                    other[offset] ^= 0x55;
                    arena.patch(handle, offset, &other[offset..=offset]);
                    model.insert(handle, other);
                } else {
                    arena.free(handle);
                    handles.swap_remove(at);
                }
            }
            if arena.wants_evacuation() {
                arena.begin_evacuation();
            }
            evacuate(&mut arena, rng.below(6) as usize, |old, new| {
                let content = model.remove(&old).expect("only live cells are moved");
                assert!(model.insert(new, content).is_none());
                *handles.iter_mut().find(|handle| **handle == old).unwrap() = new;
            });
        }
        for (handle, content) in &model {
            assert_eq!(arena.get(*handle), content);
            assert_eq!(arena.shared(*handle).is_some(), content.len() > PAYLOAD_BYTES_MAX);
        }
        let cells: usize = handles.iter().map(|handle| arena.cell_bytes(*handle)).sum();
        assert_eq!(arena.live_bytes(), cells);
        for handle in handles {
            arena.free(handle);
        }
        assert_eq!(arena.live_bytes(), 0);
    }
}

#[test]
fn a_small_arena_is_small_and_a_large_one_wastes_little() {
    let mut arena = Arena::new();
    for count in 1..=1_000_000usize {
        arena.alloc(&[b"member-of-20-bytes-", &[count as u8]]);
        if count == 129 {
            assert!(arena.heap_bytes() < 4_800, "{}", arena.heap_bytes());
        }
    }
    assert!(arena.heap_bytes() <= 1_000_000 * 24 + 150_000, "{}", arena.heap_bytes());
}

#[test]
fn what_shrinks_gives_memory_back() {
    let mut arena = Arena::new();
    let mut handles: Vec<Handle> =
        (0..300_000).map(|n: u32| arena.alloc(&[&n.to_le_bytes(), b"abcdefghij"])).collect();
    let mut at: HashMap<Handle, usize> = handles.iter().enumerate().map(|(i, handle)| (*handle, i)).collect();
    let mut rng = Rng::from_seed(5);
    rng.shuffle(&mut handles);
    handles.iter().enumerate().for_each(|(i, handle)| *at.get_mut(handle).unwrap() = i);
    while handles.len() > 500 {
        let handle = handles.pop().unwrap();
        at.remove(&handle);
        arena.free(handle);
        if arena.wants_evacuation() {
            arena.begin_evacuation();
        }
        evacuate(&mut arena, 4, |old, new| {
            let i = at.remove(&old).unwrap();
            handles[i] = new;
            at.insert(new, i);
        });
    }
    assert!(arena.heap_bytes() < 200_000, "{}", arena.heap_bytes());
}

#[test]
fn sizes_that_change_for_ever_do_not_fill_the_memory() {
    let mut rng = Rng::from_seed(6);
    let mut arena = Arena::new();
    let mut handles: Vec<Handle> = (0..2_000).map(|_| arena.alloc(&[&[7; 100]])).collect();
    for _ in 0..400_000 {
        let at = rng.below(2_000) as usize;
        let payload = vec![9; 20 + rng.below(360) as usize];
        handles[at] = arena.overwrite(handles[at], &[&payload]);
        if arena.wants_evacuation() {
            arena.begin_evacuation();
        }
        evacuate(&mut arena, 2, |old, new| {
            *handles.iter_mut().find(|handle| **handle == old).unwrap() = new;
        });
    }
    assert!(arena.heap_bytes() < 2 * 2_000 * 210 + 200_000, "{}", arena.heap_bytes());
}

#[test]
fn an_oversize_payload_is_shared_and_copied_when_it_changes() {
    let mut arena = Arena::new();
    let handle = arena.alloc(&[&[1; 9_000]]);
    let shared = arena.shared(handle).unwrap().clone();
    arena.patch(handle, 5, b"x");
    assert_eq!((shared[5], arena.get(handle)[5]), (1, b'x'));
    let handle = arena.overwrite(handle, &[b"short"]);
    assert_eq!(arena.get(handle), b"short");
    assert_eq!(shared.len(), 9_000);
}
