//! Vector sets against a map of names.

use super::*;
use crate::base::rng::Rng;
use std::collections::BTreeMap;

fn shape(dim: usize, quant: Quant) -> Shape {
    Shape { dim, reduced: None, quant, m: 5 }
}

fn placement(set: &VectorSet, numbers: &[f32], rng: &mut Rng) -> Placement {
    let graph = set.graph();
    let vector = graph.encoding().encode(numbers);
    let mut placement = Placement::new(graph, vector, 30, graph.random_level(rng));
    while placement.step(graph, usize::MAX) {}
    placement
}

#[test]
fn agrees_with_a_map_and_copies_stay_as_they_were() {
    for seed in 0..6 {
        let mut rng = Rng::from_seed(seed);
        let mut set = VectorSet::new(shape(6, Quant::Q8), seed);
        let mut model: BTreeMap<Vec<u8>, (Vec<u8>, Vec<f32>)> = BTreeMap::new();
        let mut copy = (set.frozen(), model.clone());
        for step in 0..3000 {
            let long = if rng.below(50) == 0 { "x".repeat(300) } else { String::new() };
            let name = format!("{long}{}", rng.below(700)).into_bytes();
            match (set.find(&name), rng.below(3)) {
                (Some(node), 0..=1) => {
                    let (attributes, numbers) = &model[&name];
                    assert_eq!((set.name(node), set.attributes(node)), (&name[..], &attributes[..]));
                    assert!(set.graph().numbers(node).iter().zip(numbers).all(|(a, b)| (a - b).abs() < 0.2));
                    set.remove(node);
                    model.remove(&name);
                }
                (Some(node), _) => {
                    let attributes = vec![b'a'; rng.below(3) as usize];
                    let entry = model.get_mut(&name).expect("it is there");
                    entry.0 = attributes.clone();
                    if rng.below(2) == 0 {
                        set.set_attributes(node, &attributes);
                    } else {
                        entry.1 = (0..6).map(|_| rng.below(2001) as f32 / 100.0 - 10.0).collect();
                        let placement = placement(&set, &entry.1, &mut rng);
                        set.replace(node, &attributes, placement);
                    }
                }
                (None, _) => {
                    assert!(!model.contains_key(&name));
                    let numbers: Vec<f32> = (0..6).map(|_| rng.below(2001) as f32 / 100.0 - 10.0).collect();
                    let attributes = vec![b'b'; rng.below(3) as usize];
                    let placement = placement(&set, &numbers, &mut rng);
                    set.add(&name, &attributes, placement);
                    model.insert(name.clone(), (attributes, numbers));
                }
            }
            if step % 500 == 0 {
                set.check();
                for (node, _) in (0..copy.0.len() as u32).zip(0..) {
                    assert_eq!(copy.0.attributes(node), &copy.1[copy.0.name(node)].0[..]);
                }
                copy = (set.frozen(), model.clone());
            }
        }
        set.check();
        assert!(set.range(Bound::Unbounded).eq(model.keys().map(Vec::as_slice)));
        let from = b"350".to_vec();
        let expected = model.range(from.clone()..).map(|(name, _)| &name[..]);
        assert!(set.range(Bound::Included(&from)).eq(expected));
        let expected = model.range::<Vec<u8>, _>((Bound::Excluded(&from), Bound::Unbounded));
        assert!(set.range(Bound::Excluded(&from)).eq(expected.map(|(name, _)| &name[..])));
        while !set.is_empty() {
            set.remove(rng.below(set.len() as u64) as u32);
        }
        set.check();
        assert_eq!((set.attributes_len(), set.label_bytes), (0, 0));
    }
}

#[test]
fn memory_is_counted() {
    let mut set = VectorSet::new(shape(64, Quant::None), 1);
    let mut rng = Rng::from_seed(1);
    for i in 0..2000 {
        let numbers: Vec<f32> = (0..64).map(|_| rng.below(2001) as f32 - 1000.0).collect();
        let placement = placement(&set, &numbers, &mut rng);
        set.add(format!("element:{i}").as_bytes(), b"", placement);
    }
    let each = set.heap_bytes() / 2000;
    // The vector, links and the head in a record; the name with its piece of memory; its place in order.
    assert!((256 + 56..256 + 180).contains(&each), "{each}");
}
