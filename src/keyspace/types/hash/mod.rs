//! Hashes: few fields in a listpack, many in a table; either with deadlines of single fields.
//!
//! A listpack holds field and value in turn (`listpack`), or field, value and deadline (`listpackex`) in the order of
//! the deadlines, fields without one, written as 0, last. A table keeps the deadline in the cell of its field, and beside the
//! table the deadlines in order, so that the nearest is found at once. Who reads decides whether a field whose deadline
//! has passed is still to be seen.

mod table;

use super::super::entry::Kind;
use super::super::tuning::Tuning;
use super::super::value::{Collection, Type, Value};
use crate::base::rng::Rng;
use crate::structures::listpack::{self, Element, Listpack, Packed};
use bytes::Bytes;
pub use table::HashTable;
pub(in crate::keyspace) use table::read_cell;

/// Fields with values.
#[derive(Clone, Debug)]
pub enum Hash {
    /// Few fields.
    Packed(Listpack),
    /// Few fields, some with deadlines.
    PackedEx(Listpack),
    /// Many fields.
    Table(Box<HashTable>),
}

/// A hash as a reader sees it.
#[derive(Clone, Copy, Debug)]
pub enum HashRef<'a> {
    /// Few fields.
    Packed(Packed<'a>),
    /// Few fields, some with deadlines.
    PackedEx(Packed<'a>),
    /// Many fields.
    Table(&'a HashTable),
}

/// One field as a reader sees it.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Its name.
    pub name: Element<'a>,
    /// Its value.
    pub value: FieldValue<'a>,
    /// Unix time in milliseconds at which it dies.
    pub deadline: Option<u64>,
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub enum FieldValue<'a> {
    /// Bytes or an integer.
    Element(Element<'a>),
    /// The end, from this offset on, of bytes that a reply may share.
    Shared(&'a Bytes, usize),
}

impl<'a> FieldValue<'a> {
    /// Bytes of its text.
    pub fn len(self) -> usize {
        match self {
            FieldValue::Element(element) => element.len(),
            FieldValue::Shared(bytes, from) => bytes.len() - from,
        }
    }

    /// Whether its text is empty.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// It as an element.
    pub fn element(self) -> Element<'a> {
        match self {
            FieldValue::Element(element) => element,
            FieldValue::Shared(bytes, from) => Element::Text(&bytes[from..]),
        }
    }
}

/// What becomes of the deadline of a field that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldDeadline {
    /// It stays as it is.
    Keep,
    /// The field has none.
    Clear,
    /// Unix time in milliseconds.
    At(u64),
}

/// The deadline in a listpack, where 0 stands for none.
fn packed_deadline(element: Element<'_>) -> Option<u64> {
    element.as_i64().and_then(|ms| u64::try_from(ms).ok()).filter(|&ms| ms > 0)
}

impl Hash {
    /// Memory behind it, in bytes.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Hash::Packed(pack) | Hash::PackedEx(pack) => pack.heap_bytes(),
            Hash::Table(table) => size_of::<HashTable>() + table.heap_bytes(),
        }
    }

    /// As a reader sees it.
    #[inline]
    pub fn view(&self) -> HashRef<'_> {
        match self {
            Hash::Packed(pack) => HashRef::Packed(pack.as_packed()),
            Hash::PackedEx(pack) => HashRef::PackedEx(pack.as_packed()),
            Hash::Table(table) => HashRef::Table(table),
        }
    }

    pub(in crate::keyspace) fn packed(&self) -> Option<(Kind, &[u8])> {
        match self {
            Hash::Packed(pack) => Some((Kind::Hash, pack.bytes())),
            Hash::PackedEx(pack) => Some((Kind::HashEx, pack.bytes())),
            Hash::Table(_) => None,
        }
    }

    pub(in crate::keyspace) fn from_packed(kind: Kind, bytes: Vec<u8>) -> Hash {
        if kind == Kind::HashEx {
            Hash::PackedEx(Listpack::from_bytes(bytes))
        } else {
            Hash::Packed(Listpack::from_bytes(bytes))
        }
    }

    pub(in crate::keyspace) fn into_packed(self) -> Vec<u8> {
        match self {
            Hash::Packed(pack) | Hash::PackedEx(pack) => pack.into_bytes(),
            Hash::Table(_) => Vec::new(),
        }
    }

    /// Makes a table of a hash that is about to get fields and values that would not fit into a listpack: `count` fields,
    /// `longest` bytes the longest text, `sum` bytes all texts together.
    #[inline]
    pub fn make_room(&mut self, count: usize, longest: usize, sum: usize, tuning: &Tuning) {
        let (Hash::Packed(pack) | Hash::PackedEx(pack)) = self else { return };
        if count as u64 > tuning.hash_max_listpack_entries
            || longest as u64 > tuning.hash_max_listpack_value_bytes
            || !pack.safe_to_add(sum)
        {
            self.become_table(tuning);
        }
    }

    /// Writes a field; true when it is new. The texts must fit: see [`Hash::make_room`].
    #[inline]
    pub fn set(&mut self, field: &[u8], value: &[u8], deadline: FieldDeadline, tuning: &Tuning) -> bool {
        if let FieldDeadline::At(_) = deadline {
            self.allow_deadlines();
        }
        let is_new = match self {
            Hash::Table(table) => return table.set(field, value, deadline),
            Hash::Packed(pack) => match pack.find(pack.first(), field, 1) {
                Some(pos) => {
                    let pos = pack.next(pos).expect("a field is followed by its value");
                    pack.replace(pos, value);
                    false
                }
                None => {
                    pack.push(field);
                    pack.push(value);
                    true
                }
            },
            Hash::PackedEx(pack) => set_packed_ex(pack, field, value, deadline),
        };
        if self.view().len() as u64 > tuning.hash_max_listpack_entries {
            self.become_table(tuning);
        }
        is_new
    }

    /// Removes a field; false when it was not there.
    #[inline]
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let (pack, width) = match self {
            Hash::Table(table) => return table.remove(field),
            Hash::Packed(pack) => (pack, 2),
            Hash::PackedEx(pack) => (pack, 3),
        };
        match pack.find(pack.first(), field, width - 1) {
            Some(pos) => {
                pack.remove(pos, width);
                true
            }
            None => false,
        }
    }

    /// Gives a field that is there a deadline, or takes it away.
    pub fn set_deadline(&mut self, field: &[u8], deadline: Option<u64>) {
        if deadline.is_some() {
            self.allow_deadlines();
        }
        match self {
            // Without room for deadlines there is none to take away.
            Hash::Packed(_) => {}
            Hash::PackedEx(pack) => {
                let Some(pos) = pack.find(pack.first(), field, 2) else { return };
                let value_pos = pack.next(pos).expect("a field is followed by its value");
                let value = pack.get(value_pos).to_vec();
                pack.remove(pos, 3);
                insert_packed_ex(pack, field, &value, deadline);
            }
            Hash::Table(table) => table.set_deadline(field, deadline),
        }
    }

    /// The nearest deadline of a field, as Unix time in milliseconds.
    #[inline]
    pub fn next_deadline(&self) -> Option<u64> {
        self.view().next_deadline()
    }

    /// Removes fields whose deadline lies before `now_ms`, at most `max`, and hands out their names.
    pub fn remove_due(&mut self, now_ms: u64, max: usize, mut each: impl FnMut(&[u8])) -> usize {
        let mut removed = 0;
        match self {
            Hash::Packed(_) => {}
            Hash::PackedEx(pack) => {
                let mut buf = [0; crate::base::number::I64_BYTES_MAX];
                for (count, field) in HashRef::PackedEx(pack.as_packed()).iter().enumerate() {
                    let is_due = field.deadline.is_some_and(|ms| ms < now_ms);
                    if !is_due || count == max {
                        break;
                    }
                    each(field.name.bytes(&mut buf));
                    removed += 1;
                }
                if removed > 0 {
                    let first = pack.first().expect("fields were there just now");
                    pack.remove(first, 3 * removed);
                }
            }
            Hash::Table(table) => {
                while removed < max
                    && let Some(name) = table.due(now_ms)
                {
                    each(&name);
                    table.remove(&name);
                    removed += 1;
                }
            }
        }
        removed
    }

    /// Makes the listpack one that has room for deadlines, as every command does that could set one.
    pub fn allow_deadlines(&mut self) {
        let Hash::Packed(pack) = self else { return };
        let mut wide = Listpack::with_capacity(pack.bytes_len() + 2 * pack.len());
        for (name, value) in pack.pairs() {
            wide.push_element(name);
            wide.push_element(value);
            wide.push_int(0);
        }
        *self = Hash::PackedEx(wide);
    }

    /// Makes a table of it.
    pub fn become_table(&mut self, tuning: &Tuning) {
        if matches!(self, Hash::Table(_)) {
            return;
        }
        let mut table = HashTable::new(tuning.hash_key);
        let mut buf = [0; crate::base::number::I64_BYTES_MAX];
        for field in self.view().iter() {
            let value = field.value.element().to_vec();
            table.set(
                field.name.bytes(&mut buf),
                &value,
                field.deadline.map_or(FieldDeadline::Clear, FieldDeadline::At),
            );
        }
        *self = Hash::Table(Box::new(table));
    }
}

/// Writes a field of a listpack with deadlines; true when it is new.
fn set_packed_ex(pack: &mut Listpack, field: &[u8], value: &[u8], deadline: FieldDeadline) -> bool {
    let Some(pos) = pack.find(pack.first(), field, 2) else {
        let deadline = if let FieldDeadline::At(ms) = deadline { Some(ms) } else { None };
        insert_packed_ex(pack, field, value, deadline);
        return true;
    };
    let value_pos = pack.next(pos).expect("a field is followed by its value");
    let deadline_pos = pack.next(value_pos).expect("a value is followed by its deadline");
    let old = packed_deadline(pack.get(deadline_pos));
    let new = match deadline {
        FieldDeadline::Keep => old,
        FieldDeadline::Clear => None,
        FieldDeadline::At(ms) => Some(ms),
    };
    if new == old {
        pack.replace(value_pos, value);
    } else {
        pack.remove(pos, 3);
        insert_packed_ex(pack, field, value, new);
    }
    false
}

/// Inserts a field where its deadline belongs: behind those that are not later, before those without one.
fn insert_packed_ex(pack: &mut Listpack, field: &[u8], value: &[u8], deadline: Option<u64>) {
    let Some(deadline) = deadline else {
        pack.push(field);
        pack.push(value);
        pack.push_int(0);
        return;
    };
    let mut pos = pack.first();
    while let Some(at) = pos {
        let deadline_pos = pack.next(at).and_then(|at| pack.next(at)).expect("fields come in threes");
        if packed_deadline(pack.get(deadline_pos)).is_none_or(|ms| ms > deadline) {
            break;
        }
        pos = pack.next(deadline_pos);
    }
    let at = pos.unwrap_or(pack.end());
    pack.insert_int_before(at, deadline as i64);
    pack.insert_before(at, value);
    pack.insert_before(at, field);
}

impl<'a> HashRef<'a> {
    pub(in crate::keyspace) fn from_packed(kind: Kind, bytes: &'a [u8]) -> HashRef<'a> {
        if kind == Kind::HashEx {
            HashRef::PackedEx(Packed::new(bytes))
        } else {
            HashRef::Packed(Packed::new(bytes))
        }
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(self) -> &'static str {
        match self {
            HashRef::Packed(_) => "listpack",
            HashRef::PackedEx(_) => "listpackex",
            HashRef::Table(_) => "hashtable",
        }
    }

    /// Fields, those whose deadline has passed included.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            HashRef::Packed(pack) => pack.len() / 2,
            HashRef::PackedEx(pack) => pack.len() / 3,
            HashRef::Table(table) => table.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The nearest deadline of a field, as Unix time in milliseconds.
    #[inline]
    pub fn next_deadline(self) -> Option<u64> {
        match self {
            HashRef::Packed(_) => None,
            // They are in the order of their deadlines.
            HashRef::PackedEx(pack) => pack.nth(2).and_then(packed_deadline),
            HashRef::Table(table) => table.next_deadline(),
        }
    }

    /// A field.
    #[inline]
    pub fn get(self, field: &[u8]) -> Option<Field<'a>> {
        match self {
            HashRef::Packed(pack) => {
                let pos = pack.find(pack.first(), field, 1)?;
                let value = FieldValue::Element(pack.get(pack.next(pos)?));
                Some(Field { name: pack.get(pos), value, deadline: None })
            }
            HashRef::PackedEx(pack) => {
                let pos = pack.find(pack.first(), field, 2)?;
                let value_pos = pack.next(pos)?;
                let deadline = packed_deadline(pack.get(pack.next(value_pos)?));
                Some(Field { name: pack.get(pos), value: FieldValue::Element(pack.get(value_pos)), deadline })
            }
            HashRef::Table(table) => table.get(field),
        }
    }

    /// All fields.
    pub fn iter(self) -> HashIter<'a> {
        match self {
            HashRef::Packed(pack) => HashIter::Packed(pack.iter()),
            HashRef::PackedEx(pack) => HashIter::PackedEx(pack.iter()),
            HashRef::Table(table) => HashIter::Table(table.iter()),
        }
    }

    /// Any field, all equally likely.
    pub fn random(self, rng: &mut Rng) -> Option<Field<'a>> {
        match self {
            HashRef::Table(table) => table.random(rng),
            HashRef::Packed(pack) => {
                let at = rng.below((self.len() as u64).max(1)) as i64;
                let pos = pack.seek(at * 2)?;
                let value = FieldValue::Element(pack.get(pack.next(pos)?));
                Some(Field { name: pack.get(pos), value, deadline: None })
            }
            HashRef::PackedEx(pack) => {
                let at = rng.below((self.len() as u64).max(1)) as i64;
                HashIter::PackedEx(pack.iter_between(pack.seek(at * 3)?, pack.end())).next()
            }
        }
    }

    /// `count` different fields, all if there are fewer, drawn with equal chances among those that `is_wanted`.
    pub fn sample(
        self,
        count: usize,
        rng: &mut Rng,
        is_wanted: impl Fn(&Field<'a>) -> bool,
        mut each: impl FnMut(Field<'a>),
    ) {
        if let HashRef::Table(table) = self
            && count.saturating_mul(3) < self.len()
        {
            for field in table.sample(rng, count, &is_wanted) {
                each(field);
            }
            return;
        }
        let all: Vec<Field<'a>> = self.iter().filter(is_wanted).collect();
        let (mut left, mut wanted) = (all.len(), count);
        for field in all {
            if rng.below(left as u64) < wanted as u64 {
                wanted -= 1;
                each(field);
            }
            left -= 1;
        }
    }
}

/// The fields of a hash. See [`HashRef::iter`].
pub enum HashIter<'a> {
    /// Of a listpack.
    Packed(listpack::Iter<'a>),
    /// Of a listpack with deadlines.
    PackedEx(listpack::Iter<'a>),
    /// Of a table.
    Table(table::Iter<'a>),
}

impl<'a> Iterator for HashIter<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        match self {
            HashIter::Packed(iter) => {
                let name = iter.next()?;
                Some(Field { name, value: FieldValue::Element(iter.next()?), deadline: None })
            }
            HashIter::PackedEx(iter) => {
                let name = iter.next()?;
                let value = FieldValue::Element(iter.next()?);
                Some(Field { name, value, deadline: packed_deadline(iter.next()?) })
            }
            HashIter::Table(iter) => iter.next(),
        }
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

    fn next_deadline(&self) -> Option<u64> {
        self.view().next_deadline()
    }
}

#[cfg(test)]
mod tests;
