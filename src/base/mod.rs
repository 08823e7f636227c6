//! What every other room may use: ids, time, numbers, patterns, randomness, hashing and all bounds.

pub mod quote;
