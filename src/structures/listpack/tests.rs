//! The listpack against a vector of texts, against bytes that a real server dumped, and against random bytes.

use super::*;
use crate::base::rng::Rng;

fn list(items: &[&str]) -> Listpack {
    let mut list = Listpack::new();
    for item in items {
        list.push(item.as_bytes());
    }
    list
}

fn texts(packed: Packed<'_>) -> Vec<Vec<u8>> {
    packed.iter().map(Element::to_vec).collect()
}

fn random_text(rng: &mut Rng) -> Vec<u8> {
    match rng.below(8) {
        0 => Vec::new(),
        1 => (rng.below(130) as i64 - 1).to_string().into_bytes(),
        2 | 3 => ((rng.next_u64() as i64) >> rng.below(64)).to_string().into_bytes(),
        4 => vec![b'x'; rng.below(140) as usize],
        5 => vec![b'y'; rng.below(5000) as usize],
        6 if rng.below(20) == 0 => vec![b'z'; 16370 + rng.below(20) as usize],
        _ => format!("k{}", rng.below(50)).into_bytes(),
    }
}

fn check(list: &Listpack, model: &[Vec<u8>]) {
    assert_eq!(validate(list.bytes(), true), Ok(model.len()));
    assert_eq!(list.len(), model.len());
    assert_eq!(texts(list.as_packed()), model);
    assert!(list.iter().rev().map(Element::to_vec).eq(model.iter().rev().cloned()));
}

#[test]
fn agrees_with_a_vector_after_random_edits() {
    for seed in 0..40 {
        let mut rng = Rng::from_seed(seed);
        let (mut list, mut model) = (Listpack::new(), Vec::<Vec<u8>>::new());
        for step in 0..300 {
            let text = random_text(&mut rng);
            let index = rng.below(model.len() as u64 + 1) as usize;
            let pos = list.seek(index as i64);
            assert_eq!(pos.is_some(), index < model.len());
            match (rng.below(10), pos) {
                (0 | 1, _) => {
                    list.push(&text);
                    model.push(text);
                }
                (2 | 3, _) => {
                    list.push_front(&text);
                    model.insert(0, text);
                }
                (4, _) => {
                    list.insert_before(pos.unwrap_or(list.end()), &text);
                    model.insert(index, text);
                }
                (5, Some(pos)) => {
                    let at = list.insert_after(pos, &text);
                    assert!(list.get(at).equals(&text));
                    model.insert(index + 1, text);
                }
                (6 | 7, Some(pos)) => {
                    list.replace(pos, &text);
                    model[index] = text;
                }
                (8, Some(pos)) => {
                    let count = rng.below(4) as usize;
                    let next = list.remove(pos, count);
                    model.drain(index..(index + count).min(model.len()));
                    assert_eq!(next.is_some(), index < model.len());
                    assert_eq!(next.map(|pos| list.get(pos).to_vec()).as_ref(), model.get(index));
                }
                (9, Some(pos)) if rng.below(4) == 0 => {
                    let tail = list.split_off(pos);
                    let tail_model = model.split_off(index);
                    check(&tail, &tail_model);
                    check(&list, &model);
                    if rng.below(2) == 0 {
                        list.append_all(tail.as_packed());
                        model.extend(tail_model);
                    } else {
                        (list, model) = (tail, tail_model);
                    }
                }
                (9, Some(_)) if rng.below(2) == 0 => list.shrink_to_fit(),
                _ => {}
            }
            if step % 10 == 0 {
                check(&list, &model);
            }
        }
        check(&list, &model);
        check(&list.clone(), &model);
        check(&Listpack::from_bytes(list.into_bytes()), &model);
    }
}

#[test]
fn finds_what_a_vector_finds() {
    let mut rng = Rng::from_seed(9);
    for _ in 0..200 {
        let model: Vec<Vec<u8>> = (0..rng.below(60)).map(|_| random_text(&mut rng)).collect();
        let mut list = Listpack::new();
        model.iter().for_each(|text| list.push(text));
        let needle = random_text(&mut rng);
        for skip in 0..3 {
            let expected = model.iter().step_by(skip + 1).position(|text| *text == needle);
            let found = list.find(list.first(), &needle, skip);
            assert_eq!(found, expected.and_then(|index| list.seek((index * (skip + 1)) as i64)));
        }
    }
}

#[test]
fn seeks_from_both_ends_and_gives_pairs() {
    let list = list(&["a", "1", "b", "2", "c"]);
    let at = |index| list.nth(index).map(Element::to_vec);
    assert_eq!(at(0), Some(b"a".to_vec()));
    assert_eq!(at(-1), Some(b"c".to_vec()));
    assert_eq!(at(-5), Some(b"a".to_vec()));
    assert_eq!((at(5), at(-6), at(i64::MIN), at(i64::MAX)), (None, None, None, None));
    let pairs: Vec<_> = list.pairs().collect();
    assert_eq!(pairs, [(Element::Text(b"a"), Element::Int(1)), (Element::Text(b"b"), Element::Int(2))]);
}

#[test]
fn has_the_bytes_of_the_dump_format() {
    let numbers = list(&["0", "127", "128", "-1", "-4096", "4095", "4096", "-32768", "8388607", "-8388609"]);
    assert_eq!(
        numbers.bytes()[HEADER_BYTES..],
        [
            0x00, 1, 0x7f, 1, 0xc0, 0x80, 2, 0xdf, 0xff, 2, 0xd0, 0x00, 2, 0xcf, 0xff, 2, 0xf1, 0x00, 0x10,
            3, 0xf1, 0x00, 0x80, 3, 0xf2, 0xff, 0xff, 0x7f, 4, 0xf3, 0xff, 0xff, 0x7f, 0xff, 5, 0xff
        ]
    );
    let wide = list(&["9223372036854775807", "ab", "", "01"]);
    assert_eq!(wide.bytes()[..6], [wide.bytes_len() as u8, 0, 0, 0, 4, 0]);
    assert_eq!(
        wide.bytes()[6..],
        [
            0xf4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 9, 0x82, b'a', b'b', 3, 0x80, 1, 0x82,
            b'0', b'1', 3, 0xff
        ]
    );
    let long = list(&[&"x".repeat(300), &"y".repeat(70_000)]);
    assert_eq!(long.bytes()[6..8], [0xe1, 0x2c]);
    assert_eq!(long.bytes()[308..315], [0x02, 0x80 | 0x2e, 0xf0, 0x70, 0x11, 0x01, 0x00]);
    let end = long.bytes_len();
    assert_eq!(long.bytes()[end - 4..], [0x04, 0x80 | 0x22, 0x80 | 0x75, 0xff]);
}

#[test]
fn more_elements_than_the_header_can_count_are_counted() {
    let mut list = Listpack::new();
    for _ in 0..65_534 {
        list.push(b"1");
    }
    assert_eq!(list.bytes()[4..6], [0xfe, 0xff]);
    list.push(b"2");
    list.push(b"3");
    assert_eq!(list.bytes()[4..6], [0xff, 0xff]);
    assert_eq!(list.len(), 65_536);
    assert_eq!(list.nth(65_535), Some(Element::Int(3)));
    assert_eq!(list.nth(65_536), None);
    assert_eq!(list.nth(-65_536), Some(Element::Int(1)));
    assert_eq!(validate(list.bytes(), true), Ok(65_536));
}

#[test]
fn pushing_in_front_and_taking_from_there_moves_little() {
    let mut list = Listpack::new();
    for i in 0..1000 {
        list.push_front(format!("element {i}").as_bytes());
    }
    assert!(list.heap_bytes() < list.bytes_len() * 2);
    for i in (0..1000).rev() {
        let first = list.first().expect("not empty");
        assert!(list.get(first).equals(format!("element {i}").as_bytes()));
        list.remove(first, 1);
    }
    assert!(list.is_empty());
    // The room left in front is used before more is asked for.
    let held = list.heap_bytes();
    for i in 0..500 {
        list.push(format!("element {i}").as_bytes());
    }
    assert_eq!(list.heap_bytes(), held);
}

#[test]
fn validation_never_panics_and_what_it_lets_pass_can_be_read() {
    let mut rng = Rng::from_seed(77);
    let mut passed = 0;
    for _ in 0..60_000 {
        let mut list = Listpack::new();
        for _ in 0..rng.below(5) {
            let mut text = random_text(&mut rng);
            text.truncate(rng.below(200) as usize);
            list.push(&text);
        }
        let mut bytes = list.into_bytes();
        for _ in 0..rng.below(3) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next_u64() as u8;
        }
        if rng.below(8) == 0 {
            bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
        }
        let _ = validate(&bytes, false);
        if let Ok(count) = validate(&bytes, true) {
            passed += 1;
            let packed = Packed::new(&bytes);
            assert_eq!(packed.iter().count(), count);
            assert_eq!(packed.iter().rev().count(), count);
        }
    }
    assert!(passed > 10_000);
}
