//! Sorted sets.

use crate::keyspace::value::{Collection, Type, Value};
use crate::structures::listpack::{Listpack, Packed};

/// Sorted sets.
#[derive(Clone, Debug)]
pub enum Zset {
    /// All elements in one listpack.
    Packed(Listpack),
}

/// As a reader sees it.
#[derive(Clone, Copy, Debug)]
pub enum ZsetRef<'a> {
    /// All elements in one listpack.
    Packed(Packed<'a>),
}

impl Zset {
    /// Memory behind it, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let Zset::Packed(pack) = self;
        pack.heap_bytes()
    }

    /// As a reader sees it.
    pub fn view(&self) -> ZsetRef<'_> {
        let Zset::Packed(pack) = self;
        ZsetRef::Packed(pack.as_packed())
    }

    pub(in crate::keyspace) fn packed(&self) -> Option<&[u8]> {
        let Zset::Packed(pack) = self;
        Some(pack.bytes())
    }

    pub(in crate::keyspace) fn from_packed(bytes: Vec<u8>) -> Zset {
        Zset::Packed(Listpack::from_bytes(bytes))
    }

    pub(in crate::keyspace) fn into_packed(self) -> Vec<u8> {
        let Zset::Packed(pack) = self;
        pack.into_bytes()
    }
}

impl<'a> ZsetRef<'a> {
    pub(in crate::keyspace) fn from_packed(bytes: &'a [u8]) -> ZsetRef<'a> {
        ZsetRef::Packed(Packed::new(bytes))
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(self) -> &'static str {
        "listpack"
    }

    /// Elements.
    pub fn len(self) -> usize {
        let ZsetRef::Packed(pack) = self;
        pack.len() / 2
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl From<Zset> for Value {
    fn from(value: Zset) -> Value {
        Value::Zset(value)
    }
}

impl Collection for Zset {
    const TYPE: Type = Type::Zset;

    fn new() -> Zset {
        Zset::Packed(Listpack::new())
    }

    fn from_value(value: Value) -> Option<Zset> {
        if let Value::Zset(value) = value { Some(value) } else { None }
    }

    fn len(&self) -> usize {
        self.view().len()
    }
}
