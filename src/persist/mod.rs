//! Values as bytes outside of the keyspace: the formats, no files.

pub mod aof;
mod input;
pub mod rdb;
