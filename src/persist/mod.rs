//! Values as bytes outside of the keyspace: the formats, no files.

pub mod rdb;
