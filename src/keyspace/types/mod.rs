//! The values of the data types, one file or folder a type: their encodings, and when they change from one to another.

pub mod geo;
pub mod hash;
pub mod list;
pub mod set;
pub mod stream;
pub mod vector;
pub mod zset;

pub use hash::{Hash, HashRef};
pub use list::{List, ListRef};
pub use set::{Set, SetRef};
pub use stream::Stream;
pub use vector::VectorSet;
pub use zset::{Zset, ZsetRef};
