//! The server as a state machine without I/O: events go in, effects come out.

pub mod config;
