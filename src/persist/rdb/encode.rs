//! From a value to bytes.

use super::{NODE_PACKED, NODE_PLAIN, VERSION_OF_VALKEY, Version, kind};
use crate::base::number::{I64_BYTES_MAX, format_i64, parse_i64};
use crate::keyspace::ValueRef;
use crate::keyspace::held::{Cell, Table};
use crate::keyspace::types::hash::Field;
use crate::keyspace::types::{HashRef, ListRef, SetRef, ZsetRef};
use crate::structures::listpack::{self, Element};
use crate::structures::lzf;
use crate::structures::quicklist::View;

/// How bytes are written.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Compress strings (`rdbcompression`).
    pub compress: bool,
}

/// A string shorter than this is not compressed.
pub(super) const COMPRESS_FROM_BYTES: usize = 21;
/// The longest text that may be written as an integer.
const INTEGER_TEXT_BYTES_MAX: usize = 11;

/// Appends type and value; returns the lowest version of the format that knows the type.
pub fn encode(value: ValueRef<'_>, options: Options, out: &mut Vec<u8>) -> u16 {
    Writer::new(out, options).value(value)
}

impl Writer<'_> {
    /// Type and value. Returns the lowest version of the format that knows the type.
    pub(super) fn value(&mut self, value: ValueRef<'_>) -> u16 {
        let writer = self;
        match value {
            ValueRef::Inline(bytes, _) => writer.typed_text(kind::STRING, bytes),
            ValueRef::Shared(bytes) => writer.typed_text(kind::STRING, bytes),
            ValueRef::Int(value) => {
                writer.kind(kind::STRING);
                writer.element(Element::Int(value));
                VERSION_OF_LISTPACKS
            }
            ValueRef::List(list) => writer.list(list),
            ValueRef::Set(set) => writer.set(set),
            ValueRef::Hash(hash) => writer.hash(hash),
            ValueRef::Zset(zset) => writer.zset(zset),
            ValueRef::Stream(stream) => writer.stream(stream),
            ValueRef::Vector(vectors) => writer.vectors(vectors),
        }
    }
}

/// Redis 7.0 reads and writes it; what is older is not written any more.
pub(super) const VERSION_OF_LISTPACKS: u16 = 10;
/// Hashes with deadlines came with it.
const VERSION_OF_FIELD_DEADLINES: u16 = 12;

/// Writes the parts of values.
pub(super) struct Writer<'o> {
    pub(super) out: &'o mut Vec<u8>,
    pub(super) options: Options,
    /// The version for which it writes.
    pub(super) version: Version,
    /// Strings are not compressed but noted here, to be compressed by somebody else: where in `out` the length of each begins,
    /// and where its bytes end.
    pub(super) later: Option<&'o mut Vec<(usize, usize)>>,
    /// The key that stands after the type of the next value.
    pub(super) key: Option<&'o [u8]>,
}

impl<'o> Writer<'o> {
    /// A writer that compresses at once.
    pub(super) fn new(out: &'o mut Vec<u8>, options: Options) -> Writer<'o> {
        Writer { out, options, version: Version::Lowest, later: None, key: None }
    }

    /// The type of a value, and the key if there is one.
    pub(super) fn kind(&mut self, kind: u8) {
        self.out.push(kind);
        if let Some(key) = self.key.take() {
            self.text(key);
        }
    }

    /// A length in 6, 14, 32 or 64 bits.
    pub(super) fn len(&mut self, len: u64) {
        if len < 1 << 6 {
            self.out.push(len as u8);
        } else if len < 1 << 14 {
            self.out.extend_from_slice(&[0x40 | (len >> 8) as u8, len as u8]);
        } else if let Ok(len) = u32::try_from(len) {
            self.out.push(0x80);
            self.out.extend_from_slice(&len.to_be_bytes());
        } else {
            self.out.push(0x81);
            self.out.extend_from_slice(&len.to_be_bytes());
        }
    }

    /// A text, as an integer or compressed where that is shorter.
    pub(super) fn text(&mut self, text: &[u8]) {
        if text.len() <= INTEGER_TEXT_BYTES_MAX
            && let Some(value) = parse_i64(text)
            && self.small_int(value)
        {
            return;
        }
        self.blob(text);
    }

    /// An integer of at most 32 bits; false when it has more.
    fn small_int(&mut self, value: i64) -> bool {
        if let Ok(value) = i8::try_from(value) {
            self.out.push(0xc0);
            self.out.extend_from_slice(&value.to_le_bytes());
        } else if let Ok(value) = i16::try_from(value) {
            self.out.push(0xc1);
            self.out.extend_from_slice(&value.to_le_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.out.push(0xc2);
            self.out.extend_from_slice(&value.to_le_bytes());
        } else {
            return false;
        }
        true
    }

    /// Bytes, compressed where that is shorter.
    pub(super) fn blob(&mut self, bytes: &[u8]) {
        let is_long = self.options.compress && bytes.len() >= COMPRESS_FROM_BYTES;
        let start = self.out.len();
        if is_long
            && self.later.is_none()
            && let Some(packed) = lzf::compress(bytes, bytes.len() - 4)
        {
            self.packed(&packed, bytes.len());
            return;
        }
        self.len(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
        if let Some(later) = self.later.as_mut().filter(|_| is_long) {
            later.push((start, self.out.len()));
        }
    }

    /// The bytes of a listpack.
    pub(super) fn pack(&mut self, bytes: &[u8]) {
        let is_for_valkey = self.version == Version::Valkey;
        match is_for_valkey.then(|| listpack::valkey::to_valkey(bytes)).flatten() {
            Some(other) => self.blob(&other),
            None => self.blob(bytes),
        }
    }

    /// Bytes that were compressed, and how many they were before.
    pub(super) fn packed(&mut self, packed: &[u8], len: usize) {
        self.out.push(0xc3);
        self.len(packed.len() as u64);
        self.len(len as u64);
        self.out.extend_from_slice(packed);
    }

    pub(super) fn element(&mut self, element: Element<'_>) {
        match element {
            Element::Text(text) => self.text(text),
            Element::Int(value) => {
                if !self.small_int(value) {
                    self.blob(format_i64(value, &mut [0; I64_BYTES_MAX]));
                }
            }
        }
    }

    fn typed_text(&mut self, kind: u8, text: &[u8]) -> u16 {
        self.kind(kind);
        self.text(text);
        VERSION_OF_LISTPACKS
    }

    fn typed_blob(&mut self, kind: u8, bytes: &[u8]) -> u16 {
        self.kind(kind);
        self.blob(bytes);
        VERSION_OF_LISTPACKS
    }

    fn typed_pack(&mut self, kind: u8, bytes: &[u8]) -> u16 {
        self.kind(kind);
        self.pack(bytes);
        VERSION_OF_LISTPACKS
    }

    fn typed_len(&mut self, kind: u8, len: usize) {
        self.kind(kind);
        self.len(len as u64);
    }

    fn list(&mut self, list: ListRef<'_>) -> u16 {
        match list {
            ListRef::Packed(pack) => {
                self.typed_len(kind::LIST_QUICKLIST_2, 1);
                self.len(NODE_PACKED);
                self.pack(pack.bytes());
            }
            ListRef::Quick(quick) => {
                self.begin_list(quick.nodes());
                quick.views().for_each(|view| self.node(view));
            }
        }
        VERSION_OF_LISTPACKS
    }

    /// Type and number of nodes of a list, which follow.
    pub(super) fn begin_list(&mut self, nodes: usize) -> u16 {
        self.typed_len(kind::LIST_QUICKLIST_2, nodes);
        VERSION_OF_LISTPACKS
    }

    /// A node of a list.
    pub(super) fn node(&mut self, view: View<'_>) {
        match view {
            View::Packed(bytes) => {
                self.len(NODE_PACKED);
                self.pack(&bytes);
            }
            View::Plain(text) => {
                self.len(NODE_PLAIN);
                self.blob(&text);
            }
        }
    }

    fn set(&mut self, set: SetRef<'_>) -> u16 {
        if let SetRef::Ints(ints) = set {
            return self.typed_blob(kind::SET_INTSET, ints.bytes());
        }
        // Sets as listpacks would need a version that Redis 7.0 does not read, and are as long.
        self.typed_len(kind::SET, set.len());
        set.iter().for_each(|member| self.element(member));
        VERSION_OF_LISTPACKS
    }

    fn hash(&mut self, hash: HashRef<'_>) -> u16 {
        if let HashRef::Packed(pack) = hash {
            return self.typed_pack(kind::HASH_LISTPACK, pack.bytes());
        }
        let first = hash.next_deadline();
        if let (HashRef::PackedEx(pack), Some(first)) = (hash, first)
            && self.version != Version::Valkey
        {
            self.kind(kind::HASH_LISTPACK_EX);
            self.out.extend_from_slice(&first.to_le_bytes());
            self.blob(pack.bytes());
            return VERSION_OF_FIELD_DEADLINES;
        }
        let version = self.begin_table(Table::Hash(hash.len(), first));
        hash.iter().for_each(|field| self.field(field, first));
        version
    }

    /// Type and length of a table, whose members follow. Returns the lowest version of the format that knows the type.
    pub(super) fn begin_table(&mut self, table: Table) -> u16 {
        match table {
            Table::Set(len) => self.typed_len(kind::SET, len),
            Table::Zset(len) => self.typed_len(kind::ZSET_2, len),
            Table::Hash(len, None) => self.typed_len(kind::HASH, len),
            Table::Hash(len, Some(_)) if self.version == Version::Valkey => {
                self.typed_len(kind::HASH_2, len);
                return VERSION_OF_VALKEY;
            }
            Table::Hash(len, Some(first)) => {
                self.kind(kind::HASH_METADATA);
                self.out.extend_from_slice(&first.to_le_bytes());
                self.len(len as u64);
                return VERSION_OF_FIELD_DEADLINES;
            }
        }
        VERSION_OF_LISTPACKS
    }

    /// A member of a table; `first` is the nearest deadline of a field.
    pub(super) fn member(&mut self, cell: Cell<'_>, first: Option<u64>) {
        match cell {
            Cell::Member(member) => self.text(member),
            Cell::Scored(member, score) => {
                self.text(member);
                self.out.extend_from_slice(&score.to_le_bytes());
            }
            Cell::Field(field) => self.field(field, first),
        }
    }

    fn field(&mut self, field: Field<'_>, first: Option<u64>) {
        let is_behind = self.version == Version::Valkey;
        if let Some(first) = first.filter(|_| !is_behind) {
            // Counted from the nearest one; 0 stands for none.
            self.len(field.deadline.map_or(0, |deadline| deadline - first + 1));
        }
        self.element(field.name);
        self.element(field.value.element());
        if first.is_some() && is_behind {
            // Minus one stands for none.
            self.out.extend_from_slice(&field.deadline.unwrap_or(u64::MAX).to_le_bytes());
        }
    }

    fn zset(&mut self, zset: ZsetRef<'_>) -> u16 {
        if let ZsetRef::Packed(pack) = zset {
            return self.typed_pack(kind::ZSET_LISTPACK, pack.bytes());
        }
        self.typed_len(kind::ZSET_2, zset.len());
        for (member, score) in zset.iter() {
            self.element(member);
            self.out.extend_from_slice(&score.to_le_bytes());
        }
        VERSION_OF_LISTPACKS
    }
}
