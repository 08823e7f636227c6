//! Values, as the `Db` keeps them and as a reader sees them.

use bytes::Bytes;

/// The data types, by their Redis names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A byte string or an integer.
    String,
}

impl Type {
    /// What TYPE answers.
    pub fn name(self) -> &'static str {
        match self {
            Type::String => "string",
        }
    }
}

/// A value that does not fit into an entry.
#[derive(Debug, Clone)]
pub enum Value {
    /// A string; replies share its bytes.
    String(Bytes),
}

impl Value {
    /// Memory behind the value, in bytes.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::String(bytes) => bytes.len(),
        }
    }
}

/// A value as a reader sees it.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// A short string; the flag says that a change made it, so that it is called `raw`.
    Inline(&'a [u8], bool),
    /// An integer.
    Int(i64),
    /// A long string.
    Shared(&'a Bytes),
}

impl ValueRef<'_> {
    /// The data type.
    pub fn type_of(&self) -> Type {
        match self {
            ValueRef::Inline(..) | ValueRef::Int(_) | ValueRef::Shared(_) => Type::String,
        }
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self) -> &'static str {
        match self {
            ValueRef::Int(_) => "int",
            ValueRef::Inline(_, false) => "embstr",
            ValueRef::Inline(_, true) | ValueRef::Shared(_) => "raw",
        }
    }
}

/// A value that is to be stored.
#[derive(Clone, Debug)]
pub enum NewValue<'a> {
    /// A string, copied where it is short.
    Copied(&'a [u8]),
    /// A string that was made by a change and is called `raw` whatever its length; kept as it is where it is long.
    Raw(Bytes),
    /// A string whose bytes are kept as they are where it is long.
    Shared(Bytes),
    /// An integer.
    Int(i64),
}
