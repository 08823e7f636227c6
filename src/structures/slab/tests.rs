//! The slab against a model: every cell keeps its bytes until it is freed.
#![allow(clippy::disallowed_types, reason = "a model is compared, never walked in its order")]

use super::*;
use crate::base::rng::Rng;
use std::collections::HashMap;

#[test]
fn cells_are_rounded_up_and_the_zero_handle_is_kept_back() {
    let mut slab = PagedSlab::new();
    for (bytes, cell) in [(0, 8), (1, 8), (8, 8), (9, 16), (1023, 1024), (1024, 1024)] {
        let handle = slab.alloc(bytes);
        assert!(!handle.is_none());
        assert_eq!(slab.get(handle).len(), cell);
        assert_eq!(slab.cell_bytes(handle), cell);
    }
}

#[test]
fn the_slab_agrees_with_a_map_of_vectors() {
    for seed in 0..8 {
        let mut rng = Rng::from_seed(seed);
        let mut slab = PagedSlab::new();
        let mut model: HashMap<Handle, Vec<u8>> = HashMap::new();
        let mut handles: Vec<Handle> = Vec::new();
        for step in 0..60_000u64 {
            // Waves of growth and shrinking, so that pages come and go.
            let grows = rng.below(100) < if step / 10_000 % 2 == 0 { 70 } else { 30 };
            if grows || handles.is_empty() {
                let bytes = if rng.below(10) == 0 { rng.below(1025) } else { 16 + rng.below(100) } as usize;
                let handle = slab.alloc(bytes);
                assert!(handle.number() < 1 << HANDLE_BITS);
                let content: Vec<u8> = (0..PagedSlab::rounded(bytes)).map(|_| rng.next_u64() as u8).collect();
                slab.get_mut(handle).copy_from_slice(&content);
                assert!(model.insert(handle, content).is_none(), "a live handle was given out again");
                handles.push(handle);
            } else {
                let handle = handles.swap_remove(rng.below(handles.len() as u64) as usize);
                let content = model.remove(&handle).unwrap();
                assert_eq!(slab.get(handle), content);
                slab.free(handle);
            }
            slab.prefetch(Handle::from_number(rng.next_u64()));
        }
        assert_eq!(slab.live_bytes(), model.values().map(Vec::len).sum::<usize>());
        for (handle, content) in &model {
            assert_eq!(slab.get(*handle), content);
        }
        for handle in handles {
            slab.free(handle);
        }
        assert_eq!(slab.live_bytes(), 0);
        assert!(slab.pages() <= CLASSES, "only one spare page a size may stay");
    }
}

#[test]
fn emptied_pages_are_given_back_and_their_numbers_used_again() {
    let mut slab = PagedSlab::new();
    let small: Vec<Handle> = (0..100_000).map(|_| slab.alloc(64)).collect();
    let pages = slab.pages();
    assert_eq!(pages, 98);
    small.into_iter().for_each(|handle| slab.free(handle));
    assert_eq!(slab.pages(), 1);
    let large: Vec<Handle> = (0..64 * 97).map(|_| slab.alloc(1024)).collect();
    assert_eq!(slab.pages(), pages);
    assert!(large.iter().all(|handle| handle.page() < pages));
}

#[test]
fn a_border_crossed_back_and_forth_takes_no_pages() {
    let mut slab = PagedSlab::new();
    let full: Vec<Handle> = (0..1023).map(|_| slab.alloc(64)).collect();
    let mut numbers = Vec::new();
    for _ in 0..100 {
        let over = slab.alloc(64);
        numbers.push(over.page());
        slab.free(over);
        assert_eq!(slab.pages(), 2);
    }
    assert!(numbers.iter().all(|number| *number == numbers[0]));
    drop(full);
}

#[test]
fn a_part_filled_page_is_filled_before_the_spare_one() {
    let mut slab = PagedSlab::new();
    let first: Vec<Handle> = (0..1023).map(|_| slab.alloc(64)).collect();
    let second = slab.alloc(64);
    slab.free(second); // the second page is the spare now
    slab.free(first[5]);
    assert_eq!(slab.alloc(64), first[5]);
}
