//! Why a command fails. `Display` is the text on the wire, without the leading dash.

use super::blocking::Block;
use crate::base::lossless;
use crate::keyspace::WrongType;
use std::borrow::Cow;
use std::fmt;

/// What a handler returns.
pub type CmdResult = Result<Outcome, CmdError>;

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done and has replied.
    Done,
    /// It has replied with an error, which is counted.
    Failed,
    /// The client waits; the block says for what, and the command runs again or replies later.
    Block(Block),
}

/// What a client sent, as an error quotes it: up to the first NUL, where a C string would end.
pub fn quoted(bytes: &[u8]) -> Cow<'_, str> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    lossless::from_bytes(&bytes[..end])
}

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CmdError {
    /// The key holds another type.
    WrongType,
    /// An argument or a value is no 64-bit integer.
    NotInteger,
    /// An argument or a value is no floating-point number.
    NotFloat,
    /// The options make no sense.
    Syntax,
    /// The key does not exist.
    NoSuchKey,
    /// A string would exceed `proto-max-bulk-len`.
    StringTooLong,
    /// An expire time that cannot be kept; the name of the command.
    ExpireTime(&'static str),
    /// The number of arguments is wrong; the full name of the command.
    Arity(&'static str),
    /// Any other text; it begins with its code.
    Text(Cow<'static, str>),
}

impl CmdError {
    /// An error with the code `ERR`.
    pub fn err(text: impl fmt::Display) -> CmdError {
        CmdError::Text(format!("ERR {text}").into())
    }

    /// An error whose text begins with its code.
    pub const fn coded(text: &'static str) -> CmdError {
        CmdError::Text(Cow::Borrowed(text))
    }
}

impl From<WrongType> for CmdError {
    fn from(_: WrongType) -> CmdError {
        CmdError::WrongType
    }
}

impl fmt::Display for CmdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CmdError::WrongType => {
                f.write_str("WRONGTYPE Operation against a key holding the wrong kind of value")
            }
            CmdError::NotInteger => f.write_str("ERR value is not an integer or out of range"),
            CmdError::NotFloat => f.write_str("ERR value is not a valid float"),
            CmdError::Syntax => f.write_str("ERR syntax error"),
            CmdError::NoSuchKey => f.write_str("ERR no such key"),
            CmdError::StringTooLong => {
                f.write_str("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
            }
            CmdError::ExpireTime(name) => write!(f, "ERR invalid expire time in '{name}' command"),
            CmdError::Arity(name) => write!(f, "ERR wrong number of arguments for '{name}' command"),
            CmdError::Text(text) => f.write_str(text),
        }
    }
}
