//! What every other room may use: ids, time, numbers, patterns, randomness, hashing and all bounds.

pub mod crc;
pub mod double;
pub mod extended;
pub mod glob;
pub mod hash;
pub mod id;
pub mod limit;
pub mod lossless;
pub mod moment;
pub mod number;
pub mod quote;
pub mod rng;
mod shortest;
pub mod time;

/// The version of Redis whose behaviour is kept, as reports and scripts see it.
pub const REDIS_VERSION: &str = "8.6.3";
