//! The fields of a large hash: a table of cells, and the deadlines in order.
//!
//! ```text
//!  0        1                 [5]     [13]
//! +--------+-----------------+-------+----------+-------+
//! | head   | length (4)?     | field | deadline | value |
//! +--------+-----------------+-------+----------+-------+
//!  head    bit 0: there is a deadline (8 bytes); bits 1-7: bytes of the field, 127: the next 4 bytes tell
//! ```

use super::{Field, FieldDeadline, FieldValue};
use crate::base::hash::HashKey;
use crate::base::rng::Rng;
use crate::structures::listpack::Element;
use crate::structures::members::{self, Layout, Members};
use crate::structures::slab::Handle;
use std::collections::BTreeSet;

const HAS_TTL: u8 = 1;
/// In the place of the length: it is written out behind the head.
const LONG: usize = 127;
/// Draws for a sample before all fields are looked at.
const DRAWS_PER_FIELD: usize = 8;

/// How a cell is laid out.
#[derive(Clone, Copy, Debug)]
pub struct HashLayout;

impl Layout for HashLayout {
    const KEEPS_HANDLES: bool = true;

    #[inline]
    fn member(cell: &[u8]) -> &[u8] {
        let (start, end) = field_range(cell);
        &cell[start..end]
    }
}

/// Where in a cell its field is.
#[inline]
fn field_range(cell: &[u8]) -> (usize, usize) {
    let short = usize::from(cell[0] >> 1);
    if short < LONG {
        return (1, 1 + short);
    }
    let len = u32::from_le_bytes([cell[1], cell[2], cell[3], cell[4]]) as usize;
    (5, 5 + len)
}

/// The deadline in a cell, and where its value begins.
#[inline]
fn deadline_and_value(cell: &[u8]) -> (Option<u64>, usize) {
    let (_, end) = field_range(cell);
    if cell[0] & HAS_TTL == 0 {
        return (None, end);
    }
    let deadline = u64::from_le_bytes(cell[end..end + 8].try_into().expect("eight bytes long"));
    (Some(deadline), end + 8)
}

/// The head of a cell and how long it is.
#[inline]
fn head(field: &[u8], has_ttl: bool) -> ([u8; 5], usize) {
    let flag = if has_ttl { HAS_TTL } else { 0 };
    if field.len() < LONG {
        return ([(field.len() as u8) << 1 | flag, 0, 0, 0, 0], 1);
    }
    let len = (field.len() as u32).to_le_bytes();
    ([(LONG as u8) << 1 | flag, len[0], len[1], len[2], len[3]], 5)
}

/// Many fields.
#[derive(Clone, Debug)]
pub struct HashTable {
    members: Members<HashLayout>,
    /// The deadlines with the cells that have them.
    deadlines: BTreeSet<(u64, Handle)>,
}

impl HashTable {
    /// A hash without fields.
    pub(super) fn new(key: HashKey) -> HashTable {
        HashTable { members: Members::new(key), deadlines: BTreeSet::new() }
    }

    /// The table of fields, to be prefetched.
    pub(in crate::keyspace) fn members(&self) -> &Members<HashLayout> {
        &self.members
    }

    /// The table of fields, to be walked.
    pub(in crate::keyspace) fn members_mut(&mut self) -> &mut Members<HashLayout> {
        &mut self.members
    }

    /// Fields.
    #[inline]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Memory behind it, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        // A node of the standard library's tree is two thirds full.
        self.members.heap_bytes() + self.deadlines.len() * size_of::<(u64, Handle)>() * 3 / 2
    }

    #[inline]
    fn field(&self, handle: Handle) -> Field<'_> {
        let cell = self.members.get(handle);
        let mut field = read_cell(cell);
        if let Some(bytes) = self.members.shared(handle) {
            field.value = FieldValue::Shared(bytes, deadline_and_value(cell).1);
        }
        field
    }

    /// A field.
    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<Field<'_>> {
        self.members.find(field).map(|handle| self.field(handle))
    }

    /// Writes a field; true when it is new.
    #[inline]
    pub(super) fn set(&mut self, field: &[u8], value: &[u8], deadline: FieldDeadline) -> bool {
        let hash = self.members.hash(field);
        let found = self.members.find_hashed(hash, field);
        let old = found.and_then(|handle| deadline_and_value(self.members.get(handle)).0);
        let new = match deadline {
            FieldDeadline::Keep => old,
            FieldDeadline::Clear => None,
            FieldDeadline::At(ms) => Some(ms),
        };
        let (head, head_len) = head(field, new.is_some());
        let ends = new.unwrap_or_default().to_le_bytes();
        let ends = if new.is_some() { &ends[..] } else { &[] };
        let parts = [&head[..head_len], field, ends, value];
        let handle = match found {
            Some(handle) => self.members.replace(handle, &parts),
            None => self.members.insert_hashed(hash, &parts),
        };
        self.account(found, old, handle, new);
        found.is_none()
    }

    /// Keeps the order of the deadlines true to a cell that was written, and lets cells move.
    #[inline]
    fn account(&mut self, from: Option<Handle>, old: Option<u64>, to: Handle, new: Option<u64>) {
        if let (Some(from), Some(ms)) = (from, old) {
            self.deadlines.remove(&(ms, from));
        }
        if let Some(ms) = new {
            self.deadlines.insert((ms, to));
        }
        self.maintain();
    }

    #[inline]
    fn maintain(&mut self) {
        let deadlines = &mut self.deadlines;
        self.members.maintain(|members, from, to| {
            if let (Some(ms), _) = deadline_and_value(members.get(to)) {
                deadlines.remove(&(ms, from));
                deadlines.insert((ms, to));
            }
        });
    }

    /// Removes a field; false when it was not there.
    #[inline]
    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let Some(handle) = self.members.find(field) else { return false };
        if let (Some(ms), _) = deadline_and_value(self.members.get(handle)) {
            self.deadlines.remove(&(ms, handle));
        }
        self.members.remove_at(handle);
        self.maintain();
        true
    }

    /// Gives a field that is there a deadline, or takes it away.
    pub(super) fn set_deadline(&mut self, field: &[u8], deadline: Option<u64>) {
        let Some(handle) = self.members.find(field) else { return };
        let cell = self.members.get(handle);
        let (old, at) = deadline_and_value(cell);
        if old == deadline {
            return;
        }
        let to = match (old, deadline) {
            (Some(_), Some(ms)) => {
                self.members.patch(handle, at - 8, &ms.to_le_bytes());
                handle
            }
            _ => {
                let value = cell[at..].to_vec();
                let (head, head_len) = head(field, deadline.is_some());
                let ends = deadline.unwrap_or_default().to_le_bytes();
                let ends = if deadline.is_some() { &ends[..] } else { &[] };
                self.members.replace(handle, &[&head[..head_len], field, ends, &value])
            }
        };
        self.account(Some(handle), old, to, deadline);
    }

    /// The nearest deadline, as Unix time in milliseconds.
    #[inline]
    pub fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|&(ms, _)| ms)
    }

    /// The name of a field whose deadline lies before `now_ms`.
    pub(super) fn due(&self, now_ms: u64) -> Option<Vec<u8>> {
        let &(ms, handle) = self.deadlines.first()?;
        (ms < now_ms).then(|| HashLayout::member(self.members.get(handle)).to_vec())
    }

    /// All fields.
    pub(super) fn iter(&self) -> Iter<'_> {
        Iter(self.members.iter())
    }

    /// Any field.
    pub(super) fn random(&self, rng: &mut Rng) -> Option<Field<'_>> {
        self.members.random(rng).map(|handle| self.field(handle))
    }

    /// `count` different fields that are wanted; `count` is less than a third of all.
    pub(super) fn sample<'a>(
        &'a self,
        rng: &mut Rng,
        count: usize,
        is_wanted: &impl Fn(&Field<'a>) -> bool,
    ) -> Vec<Field<'a>> {
        let mut seen = BTreeSet::new();
        let mut drawn = Vec::with_capacity(count);
        for _ in 0..count.saturating_mul(DRAWS_PER_FIELD) + DRAWS_PER_FIELD {
            let Some(handle) = self.members.random(rng) else { break };
            if drawn.len() == count {
                return drawn;
            }
            if seen.insert(handle) {
                drawn.extend(Some(self.field(handle)).filter(|field| is_wanted(field)));
            }
        }
        if drawn.len() < count {
            // Most have passed their deadline: those that have not are looked for.
            let mut all: Vec<Field<'a>> = self.iter().filter(is_wanted).collect();
            rng.shuffle(&mut all);
            all.truncate(count);
            return all;
        }
        drawn
    }

    /// Hands out the fields of one bucket and gives the cursor of the next; 0 starts and ends a scan.
    pub fn scan<'a>(&'a self, cursor: u64, mut each: impl FnMut(Field<'a>)) -> u64 {
        self.members.scan(cursor, |cell| each(read_cell(cell)))
    }
}

/// The field in a cell.
#[inline]
pub(in crate::keyspace) fn read_cell(cell: &[u8]) -> Field<'_> {
    let (deadline, at) = deadline_and_value(cell);
    Field {
        name: Element::Text(HashLayout::member(cell)),
        value: FieldValue::Element(Element::Text(&cell[at..])),
        deadline,
    }
}

/// All fields of a table.
pub struct Iter<'a>(members::Iter<'a, HashLayout>);

impl<'a> Iterator for Iter<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        self.0.next().map(read_cell)
    }
}
