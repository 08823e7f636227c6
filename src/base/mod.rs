//! What every other room may use: ids, time, numbers, patterns, randomness, hashing and all bounds.

pub mod extended;
pub mod glob;
pub mod hash;
pub mod number;
pub mod rng;
mod shortest;
