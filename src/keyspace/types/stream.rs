//! Streams.

use crate::keyspace::value::{Collection, Type, Value};

/// A log of entries with ids.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    len: usize,
}

impl Stream {
    /// Memory behind it, in bytes.
    pub fn heap_bytes(&self) -> usize {
        0
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A stream as commands take it out of the keyspace.
impl From<Box<Stream>> for Value {
    fn from(value: Box<Stream>) -> Value {
        Value::Stream(value)
    }
}

impl Collection for Box<Stream> {
    const TYPE: Type = Type::Stream;
    const MAY_BE_EMPTY: bool = true;

    fn new() -> Box<Stream> {
        Box::default()
    }

    fn from_value(value: Value) -> Option<Box<Stream>> {
        if let Value::Stream(value) = value { Some(value) } else { None }
    }

    fn len(&self) -> usize {
        Stream::len(self)
    }
}
