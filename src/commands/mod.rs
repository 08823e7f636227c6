//! The commands, one file or folder a family: first the table of rows, then the handlers.

mod connection;
mod generic;
mod help;
mod string;

use crate::engine::spec::Spec;

/// The rows of all families.
pub const FAMILIES: &[&[Spec]] = &[connection::COMMANDS, generic::OBJECT, string::COMMANDS];
