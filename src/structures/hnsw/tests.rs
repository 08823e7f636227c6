//! The graph against a look at all vectors, and what has to hold of it while nodes come and go.

use super::quant::Quant;
use super::{Encoded, Graph, Loading, Placement, Scan, Search};
use crate::base::hash::HashKey;
use crate::base::rng::Rng;

/// A vector near one of some centers.
fn draw(rng: &mut Rng, centers: &[Vec<f32>]) -> Vec<f32> {
    let center = &centers[rng.below(centers.len() as u64) as usize];
    center.iter().map(|number| number + noise(rng) * 0.5).collect()
}

fn noise(rng: &mut Rng) -> f32 {
    rng.below(2001) as f32 / 1000.0 - 1.0
}

fn centers(rng: &mut Rng, dim: usize, count: usize) -> Vec<Vec<f32>> {
    (0..count).map(|_| (0..dim).map(|_| noise(rng)).collect()).collect()
}

fn search(graph: &Graph, query: &Encoded, ef: usize, budget: usize) -> Vec<(u32, f32)> {
    let mut search = Search::new(query.clone(), ef, 0);
    while search.step(graph, budget) {}
    search.finish()
}

fn truth(graph: &Graph, query: &Encoded, count: usize) -> Vec<(u32, f32)> {
    let mut scan = Scan::new(query.clone(), count);
    while scan.step(graph, 100, |_| true) {}
    scan.finish()
}

/// The share of the ten nearest that searches find.
fn recall(graph: &Graph, rng: &mut Rng, centers: &[Vec<f32>], ef: usize) -> f64 {
    let (mut found, mut all) = (0, 0);
    for _ in 0..50 {
        let query = graph.encoding().encode(&draw(rng, centers));
        let nearest = truth(graph, &query, 10);
        let far = nearest.last().map_or(0.0, |last| last.1);
        found +=
            search(graph, &query, ef, 64).iter().take(10).filter(|(_, distance)| *distance <= far).count();
        all += nearest.len();
    }
    found as f64 / all as f64
}

fn filled(quant: Quant, dim: usize, m: usize, count: usize, seed: u64) -> (Graph, Rng, Vec<Vec<f32>>) {
    let mut rng = Rng::from_seed(seed);
    let centers = centers(&mut rng, dim, 40);
    let mut graph = Graph::new(dim, quant, m);
    for _ in 0..count {
        let vector = graph.encoding().encode(&draw(&mut rng, &centers));
        graph.insert(vector, 100, &mut rng);
    }
    (graph, rng, centers)
}

#[test]
fn searches_find_what_is_nearest() {
    for (quant, least) in [(Quant::None, 0.97), (Quant::Q8, 0.97), (Quant::Bin, 0.9)] {
        let (graph, mut rng, centers) = filled(quant, 48, 16, 3000, 7);
        graph.check();
        let recall = recall(&graph, &mut rng, &centers, 100);
        assert!(recall >= least, "{quant:?}: {recall}");
    }
}

#[test]
fn what_is_all_that_there_is_is_found() {
    for count in 0..40 {
        let (graph, mut rng, centers) = filled(Quant::Q8, 8, 4, count, count as u64);
        graph.check();
        let query = graph.encoding().encode(&draw(&mut rng, &centers));
        assert_eq!(search(&graph, &query, 100, 5), truth(&graph, &query, 100));
        assert_eq!(truth(&graph, &query, 100).len(), count);
    }
}

#[test]
fn nodes_that_are_removed_leave_a_graph_that_finds() {
    let (mut graph, mut rng, centers) = filled(Quant::Q8, 32, 8, 2000, 3);
    for step in 0..6000 {
        if rng.below(3) > 0 && !graph.is_empty() {
            let node = rng.below(graph.len() as u64) as u32;
            let last = graph.len() as u32 - 1;
            let moved = graph.encoded(last);
            assert_eq!(graph.remove(node), (node != last).then_some(last));
            assert!(node == last || graph.encoded(node) == moved);
        } else {
            let vector = graph.encoding().encode(&draw(&mut rng, &centers));
            graph.insert(vector, 60, &mut rng);
        }
        if step % 1000 == 0 || graph.len() < 5 {
            graph.check();
        }
        if step % 1000 == 0 && graph.len() > 200 {
            let recall = recall(&graph, &mut rng, &centers, 100);
            assert!(recall > 0.95, "{} nodes: {recall}", graph.len());
        }
        if graph.len() < 20 && step < 5000 {
            for _ in 0..500 {
                let vector = graph.encoding().encode(&draw(&mut rng, &centers));
                graph.insert(vector, 60, &mut rng);
            }
        }
    }
    while !graph.is_empty() {
        graph.remove(rng.below(graph.len() as u64) as u32);
    }
    graph.check();
}

#[test]
fn the_same_calls_make_the_same_graph_in_slices_or_not() {
    let (one, mut rng, centers) = filled(Quant::None, 16, 6, 500, 11);
    let (mut other, mut again, same) = filled(Quant::None, 16, 6, 499, 11);
    // The last one, in slices.
    let vector = other.encoding().encode(&draw(&mut again, &same));
    let mut placement = Placement::new(&other, vector, 100, other.random_level(&mut again));
    let mut slices = 0;
    while placement.step(&other, 10) {
        slices += 1;
    }
    other.place(placement);
    assert!(slices > 10);
    assert!(
        (0..500).all(
            |node| one.links(node, 0) == other.links(node, 0) && one.encoded(node) == other.encoded(node)
        )
    );
    let query = one.encoding().encode(&draw(&mut rng, &centers));
    assert_eq!(search(&one, &query, 50, 1), search(&one, &query, 50, usize::MAX));
}

#[test]
fn a_place_that_was_found_before_a_removal_is_looked_for_again() {
    let (mut graph, mut rng, centers) = filled(Quant::Q8, 16, 6, 200, 12);
    let vector = graph.encoding().encode(&draw(&mut rng, &centers));
    let mut placement = Placement::new(&graph, vector, 50, 1);
    while placement.step(&graph, 10) {}
    while graph.len() > 3 {
        graph.remove(0);
    }
    graph.place(placement);
    graph.check();
    assert_eq!(graph.len(), 4);
}

#[test]
fn a_copy_stays_as_it_was() {
    let (mut graph, mut rng, centers) = filled(Quant::Q8, 16, 6, 400, 13);
    let copy = graph.clone();
    let before: Vec<_> = (0..400).map(|node| (copy.encoded(node), copy.links(node, 0).to_vec())).collect();
    for _ in 0..300 {
        graph.remove(rng.below(graph.len() as u64) as u32);
        let vector = graph.encoding().encode(&draw(&mut rng, &centers));
        graph.insert(vector, 50, &mut rng);
    }
    copy.check();
    graph.check();
    let after: Vec<_> = (0..400).map(|node| (copy.encoded(node), copy.links(node, 0).to_vec())).collect();
    assert_eq!(before, after);
}

#[test]
fn filtered_searches_keep_what_is_accepted() {
    let (graph, mut rng, centers) = filled(Quant::None, 16, 16, 1000, 14);
    let query = graph.encoding().encode(&draw(&mut rng, &centers));
    let mut search = Search::new(query.clone(), 100, 2000);
    while search.step_filtered(&graph, 10, |node| node % 5 == 0) {}
    let found = search.finish();
    assert!(found.len() >= 90 && found.iter().all(|(node, _)| node % 5 == 0));
    let mut scan = Scan::new(query, 10);
    while scan.step(&graph, 33, |node| node % 5 == 0) {}
    assert_eq!(scan.finish()[..5], found[..5]);
}

/// What a dump says of a node.
fn said_of(graph: &Graph, node: u32, form: u64) -> Vec<u64> {
    let level = graph.level(node);
    let mut numbers = vec![u64::from(node) + 7, level as u64 | form << 24];
    for level in 0..=level {
        let links = graph.links(node, level);
        numbers.extend([links.len() as u64, graph.links_max(level) as u64]);
        numbers.extend(links.iter().map(|link| u64::from(*link) + 7));
        numbers.extend((form > 0).then_some(0));
    }
    numbers.push(u64::from(graph.length(node).to_bits()) | u64::from(graph.vector(node).1.to_bits()) << 32);
    numbers
}

fn load(graph: &Graph, m: usize, mut change: impl FnMut(u32, &mut Vec<u64>)) -> Option<Graph> {
    let mut loading = Loading::new(graph.encoding().dim, graph.encoding().quant, m, HashKey { k0: 3, k1: 4 });
    for node in 0..graph.len() as u32 {
        let mut numbers = said_of(graph, node, u64::from(node % 2));
        change(node, &mut numbers);
        let mut bytes = Vec::new();
        graph.encoding().to_bytes(graph.vector(node).0, &mut bytes);
        loading.add(&bytes, &numbers).ok()?;
    }
    while loading.connect(7).ok()? {}
    let graph = loading.finish().ok()?;
    graph.check();
    Some(graph)
}

#[test]
fn a_graph_comes_back_from_what_a_dump_says() {
    for quant in [Quant::None, Quant::Q8, Quant::Bin] {
        let (graph, ..) = filled(quant, 21, 6, 300, 15);
        let again = load(&graph, 6, |_, _| ()).expect("it is what it was");
        for node in 0..300 {
            assert_eq!(graph.encoded(node), again.encoded(node));
            assert_eq!(graph.level(node), again.level(node));
            assert!(
                (0..=graph.level(node)).all(|level| graph.links(node, level) == again.links(node, level))
            );
        }
        assert!(load(&graph, 4, |_, _| ()).is_some(), "links that there is no room for are dropped");
    }
}

#[test]
fn what_no_graph_says_is_refused() {
    let (graph, ..) = filled(Quant::Q8, 8, 6, 60, 16);
    let changes: [fn(&mut Vec<u64>); 8] = [
        |numbers| numbers[4] = numbers[0],
        |numbers| numbers[4] = numbers[5],
        |numbers| numbers[4] = 10_000,
        |numbers| numbers[4] = u64::MAX,
        |numbers| numbers[0] += 1,
        |numbers| numbers[1] = 99,
        |numbers| numbers[2] = 1 << 40,
        |numbers| numbers.truncate(3),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let read = load(&graph, 6, |node, numbers| {
            if node == 20 {
                change(numbers);
            }
        });
        assert!(read.is_none(), "change {i}");
    }
    // A link without a way back.
    let other =
        (1..60).find(|node| !graph.links(20, 0).contains(node) && *node != 20).expect("not all are linked");
    assert!(
        load(&graph, 6, |node, numbers| if node == 20 {
            numbers[4] = u64::from(other) + 7
        })
        .is_none()
    );
}
