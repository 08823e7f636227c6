//! How long a search takes, about, and how much of it is done in one go.

use crate::structures::hnsw::Graph;

/// A command whose estimate is above this goes on in slices, in nanoseconds.
pub(super) const SLICED_FROM_NS: usize = 700_000;
/// Neighbours whose distance is computed for each node that a search looks behind, about.
pub(super) const NEIGHBOURS_LOOKED_AT: usize = 20;
/// The time of a slice, in nanoseconds.
const SLICE_NS: usize = 50_000;
/// The time of a distance whatever its length, in nanoseconds: mostly a miss of the caches.
const DISTANCE_NS: usize = 25;
/// Bytes of a vector that are compared in a nanosecond.
const BYTES_A_NS: usize = 8;

/// The time of one distance, in nanoseconds.
fn distance_ns(graph: &Graph) -> usize {
    let encoding = graph.encoding();
    DISTANCE_NS + encoding.quant.bytes(encoding.dim) / BYTES_A_NS
}

/// The time of so many distances, but of no more than there are nodes, in nanoseconds.
pub(super) fn cost_ns(graph: &Graph, distances: usize) -> usize {
    distances.min(graph.len()) * distance_ns(graph)
}

/// Distances that a slice computes.
pub(super) fn distances_a_slice(graph: &Graph) -> usize {
    SLICE_NS / distance_ns(graph)
}
