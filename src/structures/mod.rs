//! Data structures that know no server.

pub mod dict;
pub mod histogram;
pub mod intset;
pub mod listpack;
pub mod lzf;
pub mod prefetch;
pub mod quicklist;
pub mod slab;
pub mod wheel;
