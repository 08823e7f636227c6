//! The keyspace: entries, values, databases, expiry, eviction and what has to be freed.

pub mod access;
pub mod databases;
pub mod db;
pub mod digest;
pub mod entry;
pub mod event;
pub mod garbage;
pub mod held;
pub mod sizes;
pub mod snapshot;
pub mod tuning;
pub mod types;
pub mod value;

pub use databases::Databases;
pub use db::{Db, Deadline, Due};
pub use event::EventClass;
pub use tuning::Tuning;
pub use value::{Collection, NewValue, Taken, Type, Value, ValueRef, WrongType};
