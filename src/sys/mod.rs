//! The system calls that the standard library does not offer: one safe function a call.
//!
//! The only room that knows `libc` and `rustix`, and one of the few that may be `unsafe`; every such block says why it
//! holds.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the engine reaches the system through this room"
)]

pub mod alarm;
pub mod alloc;
pub mod clock;
pub mod file;
pub mod memory;
pub mod net;
pub mod pages;
pub mod process;
pub mod read;
pub mod title;
