//! The quicklist against a vector of texts, with every kind of node and limit, and its copies.

use super::*;
use crate::base::rng::Rng;

fn texts(list: &Quicklist) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    list.walk(0, true, |item| {
        all.push(item.to_vec());
        true
    });
    all
}

fn check(list: &Quicklist, model: &[Vec<u8>]) {
    assert_eq!(list.len(), model.len());
    assert_eq!(texts(list), model);
    let mut all = Vec::new();
    list.walk(list.len().saturating_sub(1), false, |item| {
        all.push(item.to_vec());
        true
    });
    assert!(all.iter().eq(model.iter().rev()));
    assert_eq!(list.views().count(), list.nodes());
    let bytes: usize =
        list.segments.iter().flat_map(Segment::entries).map(|entry| entry.node.heap_bytes()).sum();
    assert_eq!(list.node_bytes, bytes);
    for segment in &list.segments {
        assert!(!segment.entries().is_empty());
        assert_eq!(segment.entries().iter().map(|entry| entry.len as usize).sum::<usize>(), segment.len);
        assert!(segment.entries().iter().all(|entry| entry.len > 0));
    }
    assert_eq!(list.end(true, |item| item.to_vec()).as_ref(), model.first());
    assert_eq!(list.end(false, |item| item.to_vec()).as_ref(), model.last());
    if list.limits.depth > 0 {
        let depth = list.limits.depth as usize;
        let compressed: Vec<bool> =
            list.segments.iter().flat_map(Segment::entries).map(|entry| entry.node.is_compressed()).collect();
        assert!(compressed.iter().take(depth).chain(compressed.iter().rev().take(depth)).all(|is| !is));
    }
}

fn random_text(rng: &mut Rng) -> Vec<u8> {
    match rng.below(6) {
        0 => (rng.next_u64() as i64 >> rng.below(64)).to_string().into_bytes(),
        1 => vec![b'a' + rng.below(4) as u8; rng.below(300) as usize],
        2 if rng.below(30) == 0 => vec![b'p'; 9000],
        _ => format!("e{}", rng.below(30)).into_bytes(),
    }
}

fn run(seed: u64, limits: Limits, steps: usize) {
    let mut rng = Rng::from_seed(seed);
    let (mut list, mut model) = (Quicklist::new(limits), Vec::<Vec<u8>>::new());
    let mut copy = (list.clone(), model.clone());
    for step in 0..steps {
        let text = random_text(&mut rng);
        let index = rng.below(model.len() as u64 + 1) as usize;
        match rng.below(16) {
            0..=2 => {
                list.push_back(&text);
                model.push(text);
            }
            3..=5 => {
                list.push_front(&text);
                model.insert(0, text);
            }
            6 => {
                list.remove_end(true);
                if !model.is_empty() {
                    model.remove(0);
                }
            }
            7 => {
                list.remove_end(false);
                model.pop();
            }
            8 | 9 => {
                if let Some(place) = list.locate(index) {
                    let behind = rng.below(2) == 0;
                    list.insert(place, behind, &text);
                    model.insert(index + usize::from(behind), text);
                }
            }
            10 => {
                let found = list.find(&text);
                assert_eq!(found.is_some(), model.contains(&text));
                if let Some(place) = found {
                    list.insert(place, true, b"found");
                    let at = model.iter().position(|item| *item == text).expect("it contains it");
                    model.insert(at + 1, b"found".to_vec());
                }
            }
            11 | 12 => {
                if let Some(place) = list.locate(index) {
                    list.replace(place, &text);
                    model[index] = text;
                }
            }
            13 => {
                if let Some(place) = list.locate(index) {
                    list.remove(place);
                    model.remove(index);
                }
            }
            14 => {
                let count = (rng.below(20) << (rng.below(20) / 18 * 4)) as usize;
                let end = (index + count).min(model.len());
                assert_eq!(list.remove_range(index, count), end - index);
                model.drain(index..end);
            }
            _ => {
                let count = 1 + rng.below(5) as usize;
                let from_front = rng.below(2) == 0;
                let mut places: Vec<usize> = (0..model.len()).filter(|i| model[*i] == text).collect();
                if from_front {
                    places.truncate(count);
                } else {
                    places.drain(..places.len().saturating_sub(count));
                }
                for place in places.iter().rev() {
                    model.remove(*place);
                }
                assert_eq!(list.remove_equal(&text, count, from_front), places.len());
            }
        }
        assert_eq!(list.len(), model.len());
        if let Some(expected) = model.get(index) {
            assert_eq!(list.get(index, |item| item.to_vec()).as_ref(), Some(expected));
        }
        if step % 64 == 0 {
            check(&list, &model);
            check(&copy.0, &copy.1);
            if rng.below(4) == 0 {
                copy = (list.clone(), model.clone());
            }
        }
    }
    check(&list, &model);
    check(&copy.0, &copy.1);
}

#[test]
fn agrees_with_a_vector_and_copies_stay_as_they_were() {
    for (seed, fill) in [-2, -1, 1, 2, 5, 128].into_iter().enumerate() {
        for depth in [0, 1, 3] {
            run(seed as u64 * 10 + u64::from(depth), Limits::new(fill, depth), 3000);
        }
    }
}

#[test]
fn agrees_with_a_vector_when_long_elements_have_nodes_of_their_own() {
    for depth in [0, 2] {
        let limits = Limits { plain_from_bytes: 100, ..Limits::new(4, depth) };
        run(u64::from(depth), limits, 3000);
    }
}

#[test]
fn many_segments_come_and_go() {
    let mut rng = Rng::from_seed(4);
    let (mut list, mut model) = (Quicklist::new(Limits::new(1, 0)), Vec::<Vec<u8>>::new());
    for i in 0..3000 {
        let text = i.to_string().into_bytes();
        let index = rng.below(model.len() as u64 + 1) as usize;
        match list.locate(index) {
            Some(place) => list.insert(place, false, &text),
            None => list.push_back(&text),
        }
        model.insert(index, text);
    }
    check(&list, &model);
    let copy = (list.clone(), model.clone());
    while !model.is_empty() {
        let index = rng.below(model.len() as u64) as usize;
        let count = rng.below(300) as usize;
        let end = (index + count).min(model.len());
        list.remove_range(index, count);
        model.drain(index..end);
        check(&list, &model);
        for _ in 0..model.len().min(40) {
            let index = rng.below(model.len() as u64) as usize;
            list.remove(list.locate(index).expect("it is inside"));
            model.remove(index);
        }
        check(&list, &model);
    }
    check(&copy.0, &copy.1);
}

#[test]
fn nodes_fill_up_to_the_limit_and_give_their_room_back() {
    let mut list = Quicklist::new(Limits::new(-2, 0));
    for _ in 0..100_000 {
        list.push_front(&[b'x'; 20]);
    }
    assert_eq!(list.nodes(), 100_000usize.div_ceil((8192 - 7 - 8 - 20) / 22 + 1));
    assert!(list.heap_bytes() < 100_000 * 22 * 102 / 100, "{}", list.heap_bytes());
}

#[test]
fn a_node_that_fills_up_is_not_moved_for_its_last_element() {
    let mut list = Quicklist::new(Limits::new(-2, 0));
    for number in 0..20_000 {
        list.push_back(format!("element:{number:09}").as_bytes());
        let last = list.segments.back().expect("there is one").end(false);
        assert!(last.node.heap_bytes() <= 8192 - 8, "{} bytes at {number}", last.node.heap_bytes());
    }
}
