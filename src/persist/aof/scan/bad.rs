//! What is wrong with a file of commands, and where.

use crate::persist::rdb::file::BadData;
use std::borrow::Cow;
use std::fmt;

/// Why a file cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAof {
    /// Where the line or the argument begins that is wrong.
    pub at: u64,
    /// What is wrong.
    pub cause: Cause,
    /// From there to its end the file holds nothing but zeros: it was made longer and not written, as a loss of power leaves it.
    pub is_zeros: bool,
    /// It must not be taken for a torn end: a batch after it says that it was durable, or a whole batch seems to stand after
    /// it whose line does not say what was.
    pub is_followed: bool,
    /// So many bytes of the file were durable once, more than are whole before it: a line after it says so.
    pub synced: Option<u64>,
}

/// What is wrong with a file. `Display` has the words of `redis-check-aof`, where it has any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Where a command should begin stands this byte.
    NoCommand(u8),
    /// A line with a count or a length begins with another byte than it should.
    Prefix {
        /// What it should begin with.
        wanted: u8,
        /// What it begins with.
        got: u8,
    },
    /// These bytes stand where a line should end.
    LineEnd(u8, u8),
    /// A command has so many arguments.
    Count(i64),
    /// An argument has so many bytes.
    Length(i64),
    /// A batch has another checksum than its line says.
    Checksum {
        /// What was computed.
        computed: u64,
        /// What the line says.
        said: u64,
    },
    /// The integrity line of a batch cannot be read.
    Line,
    /// The dump at the beginning is wrong.
    Dump(Cow<'static, str>),
    /// The file ends too early.
    Ends(Within),
}

/// Within what a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// A command, between two of its lines.
    Command,
    /// A line: the bytes after its number, zero where there are none.
    Line(u8, u8),
    /// An argument.
    Argument {
        /// Its bytes, with the line end.
        wanted: i64,
        /// Those that are there.
        got: u64,
    },
    /// A transaction, between two of its commands.
    Transaction,
    /// A batch after an integrity line.
    Batch {
        /// Its bytes.
        wanted: u64,
        /// Those that are there.
        got: u64,
    },
    /// A line that begins with `#`.
    Remark,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As C prints a byte: one above 127 is negative to it, and has the digits of a whole integer.
        let digits = |byte: u8| format!("{:02x}", i32::from(byte as i8));
        match self {
            Cause::NoCommand(byte) => write!(f, "Expected a command, got: '{}'", char::from(*byte)),
            Cause::Prefix { wanted, got } => {
                write!(f, "Expected prefix '{}', got: '{}'", char::from(*wanted), char::from(*got))
            }
            Cause::LineEnd(first, second) | Cause::Ends(Within::Line(first, second)) => {
                write!(f, "Expected \\r\\n, got: {}{}", digits(*first), digits(*second))
            }
            Cause::Count(count) => write!(f, "A command of {count} arguments"),
            Cause::Length(length) => {
                write!(f, "Expected to read string of {length} bytes, which is not in the suitable range")
            }
            Cause::Dump(what) => f.write_str(what),
            Cause::Ends(Within::Command) => f.write_str("Reached EOF within a command"),
            Cause::Ends(Within::Argument { wanted, got }) => {
                write!(f, "Expected to read {wanted} bytes, got {got} bytes")
            }
            Cause::Ends(Within::Transaction) => f.write_str("Reached EOF before reading EXEC for MULTI"),
            Cause::Ends(Within::Batch { wanted, got }) => {
                write!(f, "Expected to read a batch of {wanted} bytes, got {got} bytes")
            }
            Cause::Ends(Within::Remark) => f.write_str("Reached EOF within a line"),
            Cause::Checksum { computed, said } => {
                write!(f, "AOF checksum mismatch. Calculated {computed}, got {said}")
            }
            Cause::Line => f.write_str("AOF integrity line that cannot be read"),
        }
    }
}

impl fmt::Display for BadAof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}: {}", self.at, self.cause)?;
        if self.is_zeros {
            f.write_str("; from there on there are only zeros")?;
        }
        match self.synced {
            Some(synced) => {
                write!(f, "; {synced} bytes were durable, as a line behind it says: the disk has lost some")
            }
            None if self.is_followed => f.write_str("; what follows may be whole"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for BadAof {}

impl From<BadData> for BadAof {
    fn from(bad: BadData) -> BadAof {
        BadAof::new(bad.at, Cause::Dump(bad.what))
    }
}

impl BadAof {
    pub(super) fn new(at: u64, cause: Cause) -> BadAof {
        BadAof { at, cause, is_zeros: false, is_followed: false, synced: None }
    }

    /// Whether the file only ends too early, and is right up to its end; `aof-load-truncated` is about it.
    pub fn is_short(&self) -> bool {
        matches!(self.cause, Cause::Ends(_))
    }

    /// Whether a zero stands where something else should: a part of the file was never written, as a loss of power leaves it.
    pub fn is_hole(&self) -> bool {
        self.is_zeros
            || matches!(
                self.cause,
                Cause::NoCommand(0)
                    | Cause::Prefix { got: 0, .. }
                    | Cause::LineEnd(0, _)
                    | Cause::LineEnd(_, 0)
            )
    }

    /// Whether it is a batch that is not as its integrity line says, or that line.
    pub fn is_in_batch(&self) -> bool {
        matches!(self.cause, Cause::Checksum { .. } | Cause::Line)
    }

    /// The line of the log with which Redis refuses the file of this name.
    pub fn refusal(&self, file: &str) -> String {
        match &self.cause {
            Cause::Dump(_) => format!("Error reading the RDB base file {file}, AOF loading aborted"),
            Cause::Ends(_) => format!(
                "Unexpected end of file reading the append only file {file}. You can: 1) Make a backup of your AOF file, \
                 then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the \
                 'aof-load-truncated' configuration option to yes and restart the server."
            ),
            _ => format!(
                "Bad file format reading the append only file {file}: make a backup of your AOF file, then use \
                 ./redis-check-aof --fix <filename.manifest>"
            ),
        }
    }
}
