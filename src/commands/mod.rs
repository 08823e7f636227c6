//! The commands, one file or folder a family: first the table of rows, then the handlers.

mod client;
mod config;
mod connection;
mod debug;
mod help;
mod info;
mod latency;
mod memory;
mod pubsub;
mod server;
mod slowlog;
mod string;

use crate::base::limit::EMBSTR_BYTES_MAX;
use crate::engine::Call;
use crate::engine::error::CmdError;
use crate::engine::spec::Spec;
use crate::keyspace::ValueRef;

/// The rows of all families.
pub const FAMILIES: &[&[Spec]] = &[
    client::COMMANDS,
    config::COMMANDS,
    connection::COMMANDS,
    debug::COMMANDS,
    info::COMMANDS,
    latency::COMMANDS,
    memory::COMMANDS,
    pubsub::COMMANDS,
    server::COMMANDS,
    slowlog::COMMANDS,
    string::COMMANDS,
];

/// What OBJECT ENCODING calls the form in which a value is kept.
fn encoding_of(value: &ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::Int(_) => "int",
        ValueRef::Inline(bytes, raw) if *raw || bytes.len() > EMBSTR_BYTES_MAX => "raw",
        ValueRef::Inline(..) => "embstr",
        ValueRef::Shared(_) => "raw",
    }
}

/// The answer to a subcommand that takes fewer arguments than it got.
fn unknown_form(call: &Call<'_>) -> CmdError {
    let container = String::from_utf8_lossy(call.args.at(0)).to_ascii_uppercase();
    let sub = String::from_utf8_lossy(call.args.at(1)).into_owned();
    CmdError::err(format!(
        "unknown subcommand or wrong number of arguments for '{sub}'. Try {container} HELP."
    ))
}
