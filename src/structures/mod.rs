//! Data structures that know no server.

pub mod arena;
pub mod bits;
pub mod dict;
pub mod histogram;
pub mod hnsw;
pub mod hyperloglog;
pub mod intset;
pub mod listpack;
pub mod lzf;
pub mod members;
pub mod ordered;
pub mod prefetch;
pub mod quicklist;
pub mod ranked;
pub mod slab;
pub mod top;
pub mod wheel;
