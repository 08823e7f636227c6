//! Old values that are held for a snapshot, and what of a value can be followed while it changes.
//!
//! A value that a snapshot has not reached is held as it is before it changes or goes: the bytes of its cell, the shared
//! bytes of a long string, the shared nodes of a list, a stream or a vector set. A large set, hash or sorted set is not copied: it
//! begins a walk of its own ([`Members::begin_walk`]) and is then known by the number of that walk, wherever it is moved.
//!
//! [`Members::begin_walk`]: crate::structures::members::Members::begin_walk

use super::entry::{Entry, Kind};
use super::types::hash::{Field, read_cell};
use super::types::zset::{ZsetLayout, cell_score};
use super::types::{Hash, HashRef, Set, SetRef, Zset, ZsetRef};
use super::value::{Value, ValueRef};
use crate::structures::members::Layout;

/// What a snapshot says of a key beside its value.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Unix time in milliseconds at which it dies.
    pub deadline: Option<u64>,
    /// Its LRU or LFU bits.
    pub access: u32,
}

impl<'a> Head<'a> {
    /// What is known of an entry with this key.
    pub(super) fn of(entry: Entry<'_>, key: &'a [u8]) -> Head<'a> {
        Head { key, deadline: entry.deadline(), access: entry.access() }
    }
}

/// A table whose members are handed out one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// A set of so many members.
    Set(usize),
    /// A sorted set of so many members.
    Zset(usize),
    /// A hash of so many fields, and the nearest deadline of one, as Unix time in milliseconds.
    Hash(usize, Option<u64>),
}

/// A member of a table.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'a> {
    /// Of a set.
    Member(&'a [u8]),
    /// Of a sorted set.
    Scored(&'a [u8], f64),
    /// Of a hash.
    Field(Field<'a>),
}

/// A [`Head`] that owns its key.
#[derive(Debug)]
pub(super) struct OwnedHead {
    pub key: Box<[u8]>,
    deadline: Option<u64>,
    access: u32,
}

impl OwnedHead {
    /// A copy of what is known of an entry with this key.
    pub fn of(entry: Entry<'_>, key: &[u8]) -> OwnedHead {
        OwnedHead { key: key.into(), deadline: entry.deadline(), access: entry.access() }
    }

    pub fn lend(&self) -> Head<'_> {
        Head { key: &self.key, deadline: self.deadline, access: self.access }
    }
}

/// An old value that waits to be handed out.
#[derive(Debug)]
pub(super) enum Held {
    /// The cell of an entry with its value inside, and the key if that lay elsewhere.
    Cell(Box<[u8]>, Option<Box<[u8]>>),
    /// A value of its own.
    Value(OwnedHead, Value),
    /// A table by the number of its walk.
    Table(OwnedHead, Table, u64),
}

impl Held {
    /// Memory behind it, in bytes; of shared nodes all of it, since the other owner may be about to change them.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Held::Cell(cell, key) => cell.len() + key.as_ref().map_or(0, |key| key.len()),
            Held::Value(head, value) => head.key.len() + value.heap_bytes(),
            Held::Table(head, ..) => head.key.len(),
        }
    }
}

/// The value inside a cell; none for one that lies elsewhere.
pub(super) fn value_in(entry: Entry<'_>) -> Option<ValueRef<'_>> {
    match entry.kind() {
        Kind::Inline => Some(ValueRef::Inline(entry.inline(), entry.is_raw())),
        Kind::Int => Some(ValueRef::Int(entry.int())),
        Kind::Far => None,
        kind => Some(ValueRef::from_packed(kind, entry.inline())),
    }
}

impl Value {
    /// A copy for a snapshot, which shares what it can.
    pub(super) fn frozen(&self) -> Value {
        match self {
            Value::Vector(vectors) => Value::Vector(Box::new(vectors.frozen())),
            other => other.clone(),
        }
    }

    /// The number of the walk that a table is on.
    pub(super) fn walk_id(&self) -> Option<u64> {
        match self {
            Value::Set(Set::Table(table)) => table.walk_id(),
            Value::Hash(Hash::Table(table)) => table.members().walk_id(),
            Value::Zset(Zset::Table(table)) => table.members().walk_id(),
            _ => None,
        }
    }

    /// Begins the walk of a table; none for any other value.
    pub(super) fn begin_walk(&mut self, id: u64) -> Option<Table> {
        match self {
            Value::Set(Set::Table(table)) => Some(Table::Set(table.begin_walk(id))),
            Value::Zset(Zset::Table(table)) => Some(Table::Zset(table.members_mut().begin_walk(id))),
            Value::Hash(Hash::Table(table)) => {
                let first = table.next_deadline();
                Some(Table::Hash(table.members_mut().begin_walk(id), first))
            }
            _ => None,
        }
    }

    /// Hands out about `budget` members of the walk of a table. True when it goes on.
    pub(super) fn walk(&mut self, budget: usize, mut each: impl FnMut(Cell<'_>)) -> bool {
        match self {
            Value::Set(Set::Table(table)) => table.walk(budget, |cell| each(Cell::Member(cell))),
            Value::Hash(Hash::Table(table)) => {
                table.members_mut().walk(budget, |cell| each(Cell::Field(read_cell(cell))))
            }
            Value::Zset(Zset::Table(table)) => table
                .members_mut()
                .walk(budget, |cell| each(Cell::Scored(ZsetLayout::member(cell), cell_score(cell)))),
            _ => false,
        }
    }

    /// Bytes that the walk of a table keeps of what has changed.
    pub(super) fn stash_bytes(&self) -> usize {
        match self {
            Value::Set(Set::Table(table)) => table.stash_bytes(),
            Value::Hash(Hash::Table(table)) => table.members().stash_bytes(),
            Value::Zset(Zset::Table(table)) => table.members().stash_bytes(),
            _ => 0,
        }
    }

    /// Ends the walk of a table before its end.
    pub(super) fn end_walk(&mut self) {
        match self {
            Value::Set(Set::Table(table)) => table.end_walk(),
            Value::Hash(Hash::Table(table)) => table.members_mut().end_walk(),
            Value::Zset(Zset::Table(table)) => table.members_mut().end_walk(),
            _ => {}
        }
    }
}

impl ValueRef<'_> {
    /// Whether a snapshot hands out the value in pieces, and not at once: its work is not bounded.
    pub(super) fn is_handed_out_in_pieces(self) -> bool {
        match self {
            ValueRef::Set(SetRef::Table(_))
            | ValueRef::Hash(HashRef::Table(_))
            | ValueRef::Zset(ZsetRef::Table(_))
            | ValueRef::Stream(_)
            | ValueRef::Vector(_) => true,
            ValueRef::List(list) => matches!(list, super::types::ListRef::Quick(_)),
            _ => false,
        }
    }
}
