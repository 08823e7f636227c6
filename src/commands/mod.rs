//! The commands, one file or folder a family: first the table of rows, then the handlers.

mod connection;
mod string;

use crate::engine::spec::Spec;

/// The rows of all families.
pub const FAMILIES: &[&[Spec]] = &[connection::COMMANDS, string::COMMANDS];
