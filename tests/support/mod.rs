//! A world in which an [`Engine`] runs without a machine: its clock stands until it is told to go on, its chance is
//! seeded, its connections are buffers.
//!
//! ```ignore
//! let mut world = World::new();
//! assert_eq!(world.run("SET key value PX 100"), "OK");
//! world.advance_ms(100);
//! assert_eq!(world.run("GET key"), "(nil)");
//! assert_eq!(world.feed(), "SELECT 0 | SET key value PXAT 1700000000100 | DEL key");
//! ```
//!
//! * [`World::run`] is a client called `a`; [`World::run_as`] is any other, which connects when it is first named.
//! * Replies are written as `redis-cli` writes them.
//! * What the engine wants done by the helper thread is done when the request that asked for it is over, in order;
//!   while [`World::hold_jobs`] is in force it waits for [`World::do_jobs`].
//! * Its [`disk`] is a model that can fail, be late, and lose power. [`several`] servers have one clock, each with a skew,
//!   and [`link`]s between them.

#![allow(dead_code, reason = "not every test needs all of it")]

pub mod contents;
pub mod disk;
pub mod fingerprint;
pub mod host;
pub mod link;
pub mod peer;
pub mod reply;
pub mod requests;
pub mod saved;
pub mod several;
pub mod templates;
pub mod transcript;
pub mod world;

pub use world::World;

use std::sync::OnceLock;
use waterwheel::commands;
use waterwheel::engine::table::Table;
use waterwheel::resp::reply::encode_request;

/// The wall clock when a world begins, in milliseconds since 1970.
pub const BEGIN_UNIX_MS: u64 = 1_700_000_000_000;

/// Requests as they are sent.
pub fn encoded(requests: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    requests.iter().for_each(|words| encode_request(words, &mut bytes));
    bytes
}

/// The table of all commands, one for all worlds.
pub fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::new(commands::FAMILIES))
}
