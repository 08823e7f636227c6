//! Hashes.

use crate::keyspace::entry::Kind;
use crate::keyspace::value::{Collection, Type, Value};
use crate::structures::listpack::{Listpack, Packed};

/// Hashes.
#[derive(Clone, Debug)]
pub enum Hash {
    /// All elements in one listpack.
    Packed(Listpack),
}

/// As a reader sees it.
#[derive(Clone, Copy, Debug)]
pub enum HashRef<'a> {
    /// All elements in one listpack.
    Packed(Packed<'a>),
}

impl Hash {
    /// Memory behind it, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let Hash::Packed(pack) = self;
        pack.heap_bytes()
    }

    /// As a reader sees it.
    pub fn view(&self) -> HashRef<'_> {
        let Hash::Packed(pack) = self;
        HashRef::Packed(pack.as_packed())
    }

    pub(in crate::keyspace) fn packed(&self) -> Option<(Kind, &[u8])> {
        let Hash::Packed(pack) = self;
        Some((Kind::Hash, pack.bytes()))
    }

    pub(in crate::keyspace) fn from_packed(_kind: Kind, bytes: Vec<u8>) -> Hash {
        Hash::Packed(Listpack::from_bytes(bytes))
    }

    pub(in crate::keyspace) fn into_packed(self) -> Vec<u8> {
        let Hash::Packed(pack) = self;
        pack.into_bytes()
    }
}

impl<'a> HashRef<'a> {
    pub(in crate::keyspace) fn from_packed(_kind: Kind, bytes: &'a [u8]) -> HashRef<'a> {
        HashRef::Packed(Packed::new(bytes))
    }

    /// The nearest deadline of a field, as Unix time in milliseconds.
    pub fn next_deadline(self) -> Option<u64> {
        None
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(self) -> &'static str {
        "listpack"
    }

    /// Elements.
    pub fn len(self) -> usize {
        let HashRef::Packed(pack) = self;
        pack.len() / 2
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl From<Hash> for Value {
    fn from(value: Hash) -> Value {
        Value::Hash(value)
    }
}

impl Collection for Hash {
    const TYPE: Type = Type::Hash;

    fn new() -> Hash {
        Hash::Packed(Listpack::new())
    }

    fn from_value(value: Value) -> Option<Hash> {
        if let Value::Hash(value) = value { Some(value) } else { None }
    }

    fn len(&self) -> usize {
        self.view().len()
    }
}
