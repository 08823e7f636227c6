//! Hashes against a model, and where they change their encoding.

use super::*;
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

fn tuning(entries: u64) -> Tuning {
    Tuning { hash_max_listpack_entries: entries, hash_max_listpack_value_bytes: 20, ..Tuning::default() }
}

fn contents(hash: &Hash) -> Model {
    let text = |element: Element<'_>| element.to_vec();
    hash.view().iter().map(|f| (text(f.name), (text(f.value.element()), f.deadline))).collect()
}

fn check(hash: &Hash, model: &Model) {
    assert_eq!(&contents(hash), model);
    assert_eq!(hash.next_deadline(), model.values().filter_map(|(_, deadline)| *deadline).min());
}

#[test]
fn a_hash_behaves_like_a_model_in_every_encoding() {
    let mut rng = Rng::from_seed(5);
    for (entries, spread, with_ttl) in
        [(64, 20, false), (64, 20, true), (8, 40, true), (0, 3000, true), (0, 300, false)]
    {
        let tuning = tuning(entries);
        let (mut hash, mut model) = (Hash::new(), Model::new());
        let mut now_ms = 1;
        for round in 0..8000 {
            let field = format!("f{}", rng.below(spread)).into_bytes();
            let value = if rng.below(30) == 0 {
                vec![b'v'; rng.below(9000) as usize]
            } else {
                rng.below(1000).to_string().into_bytes()
            };
            let at = now_ms + rng.below(500);
            match rng.below(7) {
                0..=2 => {
                    let deadline = match rng.below(3) {
                        0 if with_ttl => FieldDeadline::At(at),
                        1 => FieldDeadline::Keep,
                        _ => FieldDeadline::Clear,
                    };
                    let kept = model.get(&field).and_then(|(_, deadline)| *deadline);
                    let expected = match deadline {
                        FieldDeadline::Keep => kept,
                        FieldDeadline::Clear => None,
                        FieldDeadline::At(ms) => Some(ms),
                    };
                    hash.make_room(1, value.len(), value.len() + field.len(), &tuning);
                    let is_new = hash.set(&field, &value, deadline, &tuning);
                    assert_eq!(is_new, model.insert(field, (value, expected)).is_none());
                }
                3 => assert_eq!(hash.remove(&field), model.remove(&field).is_some()),
                4 if with_ttl => {
                    if let Some((_, deadline)) = model.get_mut(&field) {
                        *deadline = Some(at).filter(|ms| ms % 3 > 0);
                        hash.set_deadline(&field, *deadline);
                    }
                }
                5 if with_ttl && round % 16 == 0 => {
                    now_ms += rng.below(100);
                    let due = |deadline: &Option<u64>| deadline.is_some_and(|ms| ms < now_ms);
                    let max = rng.below(8) as usize;
                    let mut gone = Vec::new();
                    let removed = hash.remove_due(now_ms, max, |name| gone.push(name.to_vec()));
                    assert_eq!(removed, gone.len());
                    assert_eq!(removed, max.min(model.values().filter(|(_, d)| due(d)).count()));
                    for name in gone {
                        assert!(due(&model.remove(&name).expect("it was there").1));
                    }
                }
                _ => {
                    let found = hash.view().get(&field);
                    let found = found.map(|f| (f.value.element().to_vec(), f.deadline));
                    assert_eq!(found.as_ref(), model.get(&field));
                }
            }
            assert_eq!(hash.len(), model.len());
            if round % 64 == 0 {
                check(&hash, &model);
            }
        }
        check(&hash, &model);
        let copy = hash.clone();
        check(&copy, &model);
        let mut drawn = Vec::new();
        hash.view().sample(5, &mut rng, |_| true, |field| drawn.push(field.name.to_vec()));
        assert_eq!(drawn.len(), model.len().min(5));
        assert!(drawn.iter().all(|name| model.contains_key(name)));
    }
}

#[test]
fn a_hash_changes_its_encoding_where_redis_does() {
    let tuning = tuning(3);
    let mut hash = Hash::new();
    for i in 0..3 {
        hash.set(format!("{i}").as_bytes(), b"v", FieldDeadline::Clear, &tuning);
    }
    assert_eq!(hash.view().encoding(), "listpack");
    hash.set_deadline(b"1", None);
    assert_eq!(hash.view().encoding(), "listpack");
    hash.set_deadline(b"1", Some(5));
    assert_eq!(hash.view().encoding(), "listpackex");
    hash.set(b"3", b"v", FieldDeadline::Clear, &tuning);
    assert_eq!((hash.view().encoding(), hash.next_deadline()), ("hashtable", Some(5)));

    let mut hash = Hash::new();
    hash.make_room(1, 21, 22, &tuning);
    assert_eq!(hash.view().encoding(), "hashtable");
}

#[test]
fn large_values_can_be_shared_with_a_reply() {
    let tuning = tuning(0);
    let mut hash = Hash::new();
    hash.become_table(&tuning);
    hash.set(b"f", &[b'v'; 100_000], FieldDeadline::At(9), &tuning);
    let field = hash.view().get(b"f").expect("it was set just now");
    let FieldValue::Shared(bytes, from) = field.value else { panic!("it is large") };
    assert_eq!((bytes.len() - from, field.deadline), (100_000, Some(9)));
}
