//! Data structures that know no server.

pub mod dict;
pub mod histogram;
pub mod prefetch;
pub mod slab;
pub mod wheel;
