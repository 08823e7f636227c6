//! What is wrong with bytes, and where.

use std::borrow::Cow;
use std::fmt;

/// The bytes are damaged, or of a kind that this server does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadData {
    /// How many bytes of the file or payload stand before what is wrong.
    pub at: u64,
    /// What is wrong, in the words of Redis's log where it has any.
    pub what: Cow<'static, str>,
}

impl fmt::Display for BadData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}: {}", self.at, self.what)
    }
}

impl std::error::Error for BadData {}

/// Why a reader goes no further. It knows the place itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The bytes that are there end within something.
    Short,
    /// The bytes are damaged.
    Bad(&'static str),
}
