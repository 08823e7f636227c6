//! Values, as the `Db` keeps them and as a reader sees them.
//!
//! A string or a packed collection that is small lies inside its entry; anything else is a [`Value`] in the table of
//! the `Db`. A reader gets a [`ValueRef`] and need not know which. A writer takes a collection out of the keyspace as
//! [`Taken`], wherever it lay, changes it, and puts it back.

use super::entry::Kind;
use super::types::{Hash, HashRef, List, ListRef, Set, SetRef, Stream, VectorSet, Zset, ZsetRef};
use crate::structures::slab::Handle;
use bytes::Bytes;

/// The data types, by their Redis names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A byte string or an integer.
    String,
    /// A list of byte strings.
    List,
    /// A set of byte strings.
    Set,
    /// Fields with values.
    Hash,
    /// A set of byte strings ordered by a score.
    Zset,
    /// A log of entries with ids.
    Stream,
    /// Elements with a vector each.
    Vector,
}

/// Number of data types.
pub const TYPES: usize = 7;

impl Type {
    /// What TYPE answers.
    pub fn name(self) -> &'static str {
        match self {
            Type::String => "string",
            Type::List => "list",
            Type::Set => "set",
            Type::Hash => "hash",
            Type::Zset => "zset",
            Type::Stream => "stream",
            Type::Vector => "vectorset",
        }
    }
}

/// A value is of another type than the command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

/// A value that does not fit into an entry, or is on its way.
#[derive(Debug, Clone)]
pub enum Value {
    /// A string; replies share its bytes.
    String(Bytes),
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A hash.
    Hash(Hash),
    /// A sorted set.
    Zset(Zset),
    /// A stream.
    Stream(Box<Stream>),
    /// A vector set.
    Vector(Box<VectorSet>),
}

impl Value {
    /// What stands in the place of a value that was taken out.
    pub(super) const TAKEN: Value = Value::String(Bytes::new());

    /// Memory behind the value, in bytes.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::String(bytes) => bytes.len(),
            Value::List(list) => list.heap_bytes(),
            Value::Set(set) => set.heap_bytes(),
            Value::Hash(hash) => hash.heap_bytes(),
            Value::Zset(zset) => zset.heap_bytes(),
            Value::Stream(stream) => size_of::<Stream>() + stream.heap_bytes(),
            Value::Vector(vectors) => size_of::<VectorSet>() + vectors.heap_bytes(),
        }
    }

    /// Pieces of memory that a list, a stream or a vector set consists of; 1 for all other values.
    pub fn nodes(&self) -> usize {
        match self {
            Value::List(List::Quick(quick)) => quick.nodes(),
            Value::Stream(stream) => stream.log.nodes(),
            Value::Vector(vectors) => vectors.len(),
            _ => 1,
        }
    }

    /// As a reader sees it.
    pub fn view(&self) -> ValueRef<'_> {
        match self {
            Value::String(bytes) => ValueRef::Shared(bytes),
            Value::List(list) => ValueRef::List(list.view()),
            Value::Set(set) => ValueRef::Set(set.view()),
            Value::Hash(hash) => ValueRef::Hash(hash.view()),
            Value::Zset(zset) => ValueRef::Zset(zset.view()),
            Value::Stream(stream) => ValueRef::Stream(stream),
            Value::Vector(vectors) => ValueRef::Vector(vectors),
        }
    }

    /// The bytes of a packed collection, which may lie inside an entry, and how they are to be read.
    pub(super) fn packed(&self) -> Option<(Kind, &[u8])> {
        match self {
            Value::String(_) | Value::Stream(_) | Value::Vector(_) => None,
            Value::List(list) => list.packed().map(|bytes| (Kind::List, bytes)),
            Value::Set(set) => set.packed(),
            Value::Hash(hash) => hash.packed(),
            Value::Zset(zset) => zset.packed().map(|bytes| (Kind::Zset, bytes)),
        }
    }

    /// The memory of a packed collection, to be used again.
    pub(super) fn into_packed(self) -> Vec<u8> {
        match self {
            Value::String(_) | Value::Stream(_) | Value::Vector(_) => Vec::new(),
            Value::List(list) => list.into_packed(),
            Value::Set(set) => set.into_packed(),
            Value::Hash(hash) => hash.into_packed(),
            Value::Zset(zset) => zset.into_packed(),
        }
    }

    /// The nearest deadline of what is inside, fields of a hash or ids of producers, as Unix time in milliseconds.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        match self {
            Value::Hash(hash) => hash.next_deadline(),
            Value::Stream(stream) => stream.idempotence.next_deadline(),
            _ => None,
        }
    }

    /// The packed collection that was inside an entry.
    pub(super) fn from_packed(kind: Kind, bytes: Vec<u8>) -> Value {
        match kind {
            Kind::Inline | Kind::Int | Kind::Far => unreachable!("no packed collection"),
            Kind::List => Value::List(List::from_packed(bytes)),
            Kind::Ints | Kind::Set => Value::Set(Set::from_packed(kind, bytes)),
            Kind::Hash | Kind::HashEx => Value::Hash(Hash::from_packed(kind, bytes)),
            Kind::Zset => Value::Zset(Zset::from_packed(bytes)),
        }
    }
}

/// A data type whose values are taken out of the keyspace to be changed.
pub trait Collection: Sized + Into<Value> {
    /// The type.
    const TYPE: Type;
    /// Whether a value without elements may stay; otherwise its key is removed.
    const MAY_BE_EMPTY: bool = false;
    /// A value without elements, in the smallest encoding.
    fn new() -> Self;
    /// The value, if it is of this type.
    fn from_value(value: Value) -> Option<Self>;
    /// Elements, as INFO `keysizes` counts them.
    fn len(&self) -> usize;
    /// Whether it has no elements.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The nearest deadline of what is inside, as Unix time in milliseconds.
    fn next_deadline(&self) -> Option<u64> {
        None
    }
}

/// A collection that is out of the keyspace while a command changes it. It must be put back.
#[derive(Debug)]
#[must_use]
pub struct Taken<T> {
    /// Where the entry is; none: the key does not exist yet.
    pub(super) handle: Option<Handle>,
    pub(super) value: T,
    /// Elements when it was taken.
    pub(super) old_len: usize,
    /// The nearest deadline of what is inside when it was taken.
    pub(super) old_deadline: Option<u64>,
    /// What another value has taken the place of: a snapshot may still follow it.
    pub(super) replaced: Option<T>,
}

impl<T: Collection> Taken<T> {
    /// A value for a key that does not exist yet.
    pub fn new() -> Taken<T> {
        Taken::begin(T::new())
    }

    /// As [`Taken::new`], which begins as this value.
    pub fn begin(value: T) -> Taken<T> {
        Taken { handle: None, value, old_len: 0, old_deadline: None, replaced: None }
    }
}

impl<T: Collection> Default for Taken<T> {
    fn default() -> Taken<T> {
        Taken::new()
    }
}

impl<T> Taken<T> {
    /// Whether its key does not exist yet.
    pub fn is_new(&self) -> bool {
        self.handle.is_none()
    }
}

impl<T> Taken<T> {
    /// Puts another value in its place, as a whole. An assignment would lose what a snapshot may still need.
    pub fn exchange(&mut self, value: T) {
        let old = std::mem::replace(&mut self.value, value);
        if self.handle.is_some() {
            self.replaced.get_or_insert(old);
        }
    }
}

impl<T> std::ops::Deref for Taken<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> std::ops::DerefMut for Taken<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
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
    /// A list.
    List(ListRef<'a>),
    /// A set.
    Set(SetRef<'a>),
    /// A hash.
    Hash(HashRef<'a>),
    /// A sorted set.
    Zset(ZsetRef<'a>),
    /// A stream.
    Stream(&'a Stream),
    /// A vector set.
    Vector(&'a VectorSet),
}

impl<'a> ValueRef<'a> {
    /// The packed collection inside an entry.
    #[inline]
    pub(super) fn from_packed(kind: Kind, bytes: &'a [u8]) -> ValueRef<'a> {
        match kind {
            Kind::Inline | Kind::Int | Kind::Far => unreachable!("no packed collection"),
            Kind::List => ValueRef::List(ListRef::from_packed(bytes)),
            Kind::Ints | Kind::Set => ValueRef::Set(SetRef::from_packed(kind, bytes)),
            Kind::Hash | Kind::HashEx => ValueRef::Hash(HashRef::from_packed(kind, bytes)),
            Kind::Zset => ValueRef::Zset(ZsetRef::from_packed(bytes)),
        }
    }

    /// The data type.
    pub fn type_of(self) -> Type {
        match self {
            ValueRef::Inline(..) | ValueRef::Int(_) | ValueRef::Shared(_) => Type::String,
            ValueRef::List(_) => Type::List,
            ValueRef::Set(_) => Type::Set,
            ValueRef::Hash(_) => Type::Hash,
            ValueRef::Zset(_) => Type::Zset,
            ValueRef::Stream(_) => Type::Stream,
            ValueRef::Vector(_) => Type::Vector,
        }
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(self) -> &'static str {
        match self {
            ValueRef::Int(_) => "int",
            ValueRef::Inline(_, false) => "embstr",
            ValueRef::Inline(_, true) | ValueRef::Shared(_) | ValueRef::Vector(_) => "raw",
            ValueRef::List(list) => list.encoding(),
            ValueRef::Set(set) => set.encoding(),
            ValueRef::Hash(hash) => hash.encoding(),
            ValueRef::Zset(zset) => zset.encoding(),
            ValueRef::Stream(_) => "stream",
        }
    }

    /// Elements of a collection, bytes of a string.
    pub fn size(self) -> usize {
        match self {
            ValueRef::Inline(bytes, _) => bytes.len(),
            ValueRef::Int(value) => {
                crate::base::number::digits(value.unsigned_abs()) + usize::from(value < 0)
            }
            ValueRef::Shared(bytes) => bytes.len(),
            ValueRef::List(list) => list.len(),
            ValueRef::Set(set) => set.len(),
            ValueRef::Hash(hash) => hash.len(),
            ValueRef::Zset(zset) => zset.len(),
            ValueRef::Stream(stream) => stream.len(),
            ValueRef::Vector(vectors) => vectors.len(),
        }
    }

    /// The list.
    ///
    /// # Errors
    ///
    /// [`WrongType`] for a value of another type.
    #[inline]
    pub fn list(self) -> Result<ListRef<'a>, WrongType> {
        if let ValueRef::List(list) = self { Ok(list) } else { Err(WrongType) }
    }

    /// The set.
    ///
    /// # Errors
    ///
    /// [`WrongType`] for a value of another type.
    #[inline]
    pub fn set(self) -> Result<SetRef<'a>, WrongType> {
        if let ValueRef::Set(set) = self { Ok(set) } else { Err(WrongType) }
    }

    /// The hash.
    ///
    /// # Errors
    ///
    /// [`WrongType`] for a value of another type.
    #[inline]
    pub fn hash(self) -> Result<HashRef<'a>, WrongType> {
        if let ValueRef::Hash(hash) = self { Ok(hash) } else { Err(WrongType) }
    }

    /// The sorted set.
    ///
    /// # Errors
    ///
    /// [`WrongType`] for a value of another type.
    #[inline]
    pub fn zset(self) -> Result<ZsetRef<'a>, WrongType> {
        if let ValueRef::Zset(zset) = self { Ok(zset) } else { Err(WrongType) }
    }

    /// The stream.
    ///
    /// # Errors
    ///
    /// [`WrongType`] for a value of another type.
    #[inline]
    pub fn stream(self) -> Result<&'a Stream, WrongType> {
        if let ValueRef::Stream(stream) = self { Ok(stream) } else { Err(WrongType) }
    }

    /// The vector set.
    ///
    /// # Errors
    ///
    /// [`WrongType`] for a value of another type.
    #[inline]
    pub fn vectors(self) -> Result<&'a VectorSet, WrongType> {
        if let ValueRef::Vector(vectors) = self { Ok(vectors) } else { Err(WrongType) }
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
    /// A collection.
    Whole(Value),
}

impl NewValue<'_> {
    /// The nearest deadline of what is inside, as Unix time in milliseconds.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        if let NewValue::Whole(value) = self { value.next_deadline() } else { None }
    }
}
