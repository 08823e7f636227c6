//! Data structures that know no server.

pub mod arena;
pub mod dict;
pub mod histogram;
pub mod members;
pub mod prefetch;
pub mod ranked;
pub mod slab;
pub mod wheel;
