//! The commands, one file or folder a family: first the table of rows, then the handlers.

mod connection;
mod generic;
mod help;
mod string;

use crate::engine::spec::Spec;

/// The rows of all families.
pub const FAMILIES: &[&[Spec]] = &[
    connection::COMMANDS,
    generic::EXPIRE,
    generic::FLUSH,
    generic::KEYS,
    generic::OBJECT,
    generic::SCAN,
    generic::WAIT,
    string::COMMANDS,
];
