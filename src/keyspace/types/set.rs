//! Sets.

use crate::keyspace::entry::Kind;
use crate::keyspace::value::{Collection, Type, Value};
use crate::structures::listpack::{Listpack, Packed};

/// Sets.
#[derive(Clone, Debug)]
pub enum Set {
    /// All elements in one listpack.
    Packed(Listpack),
}

/// As a reader sees it.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    /// All elements in one listpack.
    Packed(Packed<'a>),
}

impl Set {
    /// Memory behind it, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let Set::Packed(pack) = self;
        pack.heap_bytes()
    }

    /// As a reader sees it.
    pub fn view(&self) -> SetRef<'_> {
        let Set::Packed(pack) = self;
        SetRef::Packed(pack.as_packed())
    }

    pub(in crate::keyspace) fn packed(&self) -> Option<(Kind, &[u8])> {
        let Set::Packed(pack) = self;
        Some((Kind::Set, pack.bytes()))
    }

    pub(in crate::keyspace) fn from_packed(_kind: Kind, bytes: Vec<u8>) -> Set {
        Set::Packed(Listpack::from_bytes(bytes))
    }

    pub(in crate::keyspace) fn into_packed(self) -> Vec<u8> {
        let Set::Packed(pack) = self;
        pack.into_bytes()
    }
}

impl<'a> SetRef<'a> {
    pub(in crate::keyspace) fn from_packed(_kind: Kind, bytes: &'a [u8]) -> SetRef<'a> {
        SetRef::Packed(Packed::new(bytes))
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(self) -> &'static str {
        "listpack"
    }

    /// Elements.
    pub fn len(self) -> usize {
        let SetRef::Packed(pack) = self;
        pack.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl From<Set> for Value {
    fn from(value: Set) -> Value {
        Value::Set(value)
    }
}

impl Collection for Set {
    const TYPE: Type = Type::Set;

    fn new() -> Set {
        Set::Packed(Listpack::new())
    }

    fn from_value(value: Value) -> Option<Set> {
        if let Value::Set(value) = value { Some(value) } else { None }
    }

    fn len(&self) -> usize {
        self.view().len()
    }
}
