//! Data structures that know no server.

pub mod prefetch;
pub mod slab;
