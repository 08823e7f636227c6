//! Lists.

use crate::keyspace::value::{Collection, Type, Value};
use crate::structures::listpack::{Listpack, Packed};

/// Lists.
#[derive(Clone, Debug)]
pub enum List {
    /// All elements in one listpack.
    Packed(Listpack),
}

/// As a reader sees it.
#[derive(Clone, Copy, Debug)]
pub enum ListRef<'a> {
    /// All elements in one listpack.
    Packed(Packed<'a>),
}

impl List {
    /// Memory behind it, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let List::Packed(pack) = self;
        pack.heap_bytes()
    }

    /// As a reader sees it.
    pub fn view(&self) -> ListRef<'_> {
        let List::Packed(pack) = self;
        ListRef::Packed(pack.as_packed())
    }

    pub(in crate::keyspace) fn packed(&self) -> Option<&[u8]> {
        let List::Packed(pack) = self;
        Some(pack.bytes())
    }

    pub(in crate::keyspace) fn from_packed(bytes: Vec<u8>) -> List {
        List::Packed(Listpack::from_bytes(bytes))
    }

    pub(in crate::keyspace) fn into_packed(self) -> Vec<u8> {
        let List::Packed(pack) = self;
        pack.into_bytes()
    }
}

impl<'a> ListRef<'a> {
    pub(in crate::keyspace) fn from_packed(bytes: &'a [u8]) -> ListRef<'a> {
        ListRef::Packed(Packed::new(bytes))
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(self) -> &'static str {
        "listpack"
    }

    /// Elements.
    pub fn len(self) -> usize {
        let ListRef::Packed(pack) = self;
        pack.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl From<List> for Value {
    fn from(value: List) -> Value {
        Value::List(value)
    }
}

impl Collection for List {
    const TYPE: Type = Type::List;

    fn new() -> List {
        List::Packed(Listpack::new())
    }

    fn from_value(value: Value) -> Option<List> {
        if let Value::List(value) = value { Some(value) } else { None }
    }

    fn len(&self) -> usize {
        self.view().len()
    }
}
