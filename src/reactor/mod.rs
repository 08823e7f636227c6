//! The shell: one thread, one poll loop, real sockets, files, clocks and signals.
//!
//! [`event_loop`] turns; [`connections`] are read and written, each by its [`socket`]; [`listeners`] accepts; [`host`] answers what
//! the engine asks; [`helper`] frees on a second thread what would take long, [`disk`] has two more for files; [`log`] writes the log.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the shell owns clocks, sockets, files and threads"
)]

pub mod connections;
pub mod disk;
pub mod event_loop;
pub mod helper;
pub mod host;
pub mod listeners;
pub mod log;
pub mod outgoing;
pub mod signals;
pub mod socket;
mod supervisor;
