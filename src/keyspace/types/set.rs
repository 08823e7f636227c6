//! Sets: of integers sorted in one block, of few members in a listpack, of many in a table.
//!
//! A set of integers up to `set-max-intset-entries` is an intset. A small one with other members is a listpack. Above
//! either threshold it becomes a table, and never goes back by itself, as in Redis.

use super::super::entry::Kind;
use super::super::tuning::Tuning;
use super::super::value::{Collection, Type, Value};
use crate::base::number::{I64_BYTES_MAX, digits, parse_i64};
use crate::base::rng::Rng;
use crate::structures::intset::{IntSet, Ints};
use crate::structures::listpack::{self, Element, Listpack, Packed};
use crate::structures::members::{self, BATCH, Layout, Members};

/// A cell of the table is the member.
#[derive(Clone, Copy, Debug)]
pub struct SetLayout;

impl Layout for SetLayout {
    #[inline]
    fn member(cell: &[u8]) -> &[u8] {
        cell
    }
}

/// The members of a large set.
pub type SetTable = Members<SetLayout>;

/// A set of byte strings.
#[derive(Clone, Debug)]
pub enum Set {
    /// Integers in order.
    Ints(IntSet),
    /// Few members.
    Packed(Listpack),
    /// Many members.
    Table(Box<SetTable>),
}

/// A set as a reader sees it.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    /// Integers in order.
    Ints(Ints<'a>),
    /// Few members.
    Packed(Packed<'a>),
    /// Many members.
    Table(&'a SetTable),
}

/// Integers that an intset may hold whatever the configuration says.
const INTS_MAX: u64 = 1 << 30;

impl Set {
    /// An empty set in the encoding that fits `count` members like `member`.
    pub fn for_members(member: &[u8], count: usize, tuning: &Tuning) -> Set {
        let count = count as u64;
        if parse_i64(member).is_some() && count <= tuning.set_max_intset_entries {
            Set::Ints(IntSet::new())
        } else if count <= tuning.set_max_listpack_entries {
            Set::Packed(Listpack::new())
        } else {
            Set::table(tuning)
        }
    }

    /// An empty set as a table.
    pub fn table(tuning: &Tuning) -> Set {
        Set::Table(Box::new(SetTable::new(tuning.hash_key)))
    }

    /// Memory behind it, in bytes.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Set::Ints(ints) => ints.heap_bytes(),
            Set::Packed(pack) => pack.heap_bytes(),
            Set::Table(table) => size_of::<SetTable>() + table.heap_bytes(),
        }
    }

    /// As a reader sees it.
    #[inline]
    pub fn view(&self) -> SetRef<'_> {
        match self {
            Set::Ints(ints) => SetRef::Ints(ints.as_ints()),
            Set::Packed(pack) => SetRef::Packed(pack.as_packed()),
            Set::Table(table) => SetRef::Table(table),
        }
    }

    pub(in crate::keyspace) fn packed(&self) -> Option<(Kind, &[u8])> {
        match self {
            Set::Ints(ints) => Some((Kind::Ints, ints.bytes())),
            Set::Packed(pack) => Some((Kind::Set, pack.bytes())),
            Set::Table(_) => None,
        }
    }

    pub(in crate::keyspace) fn from_packed(kind: Kind, bytes: Vec<u8>) -> Set {
        if kind == Kind::Ints {
            Set::Ints(IntSet::from_bytes(bytes))
        } else {
            Set::Packed(Listpack::from_bytes(bytes))
        }
    }

    pub(in crate::keyspace) fn into_packed(self) -> Vec<u8> {
        match self {
            Set::Ints(ints) => ints.into_bytes(),
            Set::Packed(pack) => pack.into_bytes(),
            Set::Table(_) => Vec::new(),
        }
    }

    /// Makes a table of a set that is about to get `more` members, if they would not fit into its encoding.
    pub fn make_room(&mut self, more: usize, tuning: &Tuning) {
        let more = more as u64;
        let is_too_small = match self {
            Set::Ints(_) => more > tuning.set_max_intset_entries,
            Set::Packed(_) => more > tuning.set_max_listpack_entries,
            Set::Table(_) => false,
        };
        if is_too_small {
            self.become_table(tuning);
        }
    }

    /// Adds a member; false when it was there.
    #[inline]
    pub fn add(&mut self, member: &[u8], tuning: &Tuning) -> bool {
        match self {
            Set::Table(table) => {
                let hash = table.hash(member);
                if table.find_hashed(hash, member).is_some() {
                    return false;
                }
                table.insert_hashed(hash, &[member]);
                true
            }
            Set::Ints(_) => self.add_to_ints(member, tuning),
            Set::Packed(pack) => {
                if pack.find(pack.first(), member, 0).is_some() {
                    return false;
                }
                if (pack.len() as u64) < tuning.set_max_listpack_entries
                    && member.len() as u64 <= tuning.set_max_listpack_value_bytes
                    && pack.safe_to_add(member.len())
                {
                    pack.push(member);
                    return true;
                }
                self.become_table(tuning);
                self.insert_into_table(member);
                true
            }
        }
    }

    fn add_to_ints(&mut self, member: &[u8], tuning: &Tuning) -> bool {
        let Set::Ints(ints) = self else { return false };
        if let Some(value) = parse_i64(member) {
            if !ints.insert(value) {
                return false;
            }
            if ints.len() as u64 > tuning.set_max_intset_entries.min(INTS_MAX) {
                self.become_table(tuning);
            }
            return true;
        }
        let width = |value: Option<i64>| {
            value.map_or(0, |value| digits(value.unsigned_abs()) + usize::from(value < 0))
        };
        let longest = width(ints.as_ints().min()).max(width(ints.as_ints().max()));
        let fits = (ints.len() as u64) < tuning.set_max_listpack_entries
            && member.len().max(longest) as u64 <= tuning.set_max_listpack_value_bytes;
        if fits {
            let mut pack = Listpack::with_capacity(ints.len() * longest + member.len());
            ints.iter().for_each(|value| pack.push_int(value));
            pack.push(member);
            *self = Set::Packed(pack);
        } else {
            self.become_table(tuning);
            self.insert_into_table(member);
        }
        true
    }

    fn insert_into_table(&mut self, member: &[u8]) {
        if let Set::Table(table) = self {
            table.insert(&[member]);
        }
    }

    /// Makes a table of it.
    pub fn become_table(&mut self, tuning: &Tuning) {
        if matches!(self, Set::Table(_)) {
            return;
        }
        let mut table = SetTable::new(tuning.hash_key);
        let mut buf = [0; I64_BYTES_MAX];
        self.view().iter().for_each(|member| {
            table.insert(&[member.bytes(&mut buf)]);
        });
        *self = Set::Table(Box::new(table));
    }

    /// Makes an intset of a set that an operation made of others, if all members are integers and few enough.
    pub fn become_smaller(&mut self, tuning: &Tuning) {
        let view = self.view();
        let count = view.len() as u64;
        if matches!(self, Set::Ints(_)) {
            return;
        }
        if count <= tuning.set_max_intset_entries.min(INTS_MAX)
            && view.iter().all(|member| member.as_i64().is_some())
        {
            let mut ints = IntSet::new();
            view.iter().filter_map(Element::as_i64).for_each(|value| {
                ints.insert(value);
            });
            *self = Set::Ints(ints);
        }
    }

    /// Removes a member; false when it was not there.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            Set::Table(table) => table.remove(member),
            Set::Ints(ints) => parse_i64(member).is_some_and(|value| ints.remove(value)),
            Set::Packed(pack) => match pack.find(pack.first(), member, 0) {
                Some(pos) => {
                    pack.remove(pos, 1);
                    true
                }
                None => false,
            },
        }
    }

    /// Removes any member, all equally likely.
    pub fn pop(&mut self, rng: &mut Rng) -> Option<Vec<u8>> {
        match self {
            Set::Table(table) => {
                let handle = table.random(rng)?;
                let member = table.get(handle).to_vec();
                table.remove_at(handle);
                Some(member)
            }
            Set::Ints(ints) => {
                let value = ints.as_ints().random(rng)?;
                ints.remove(value);
                Some(Element::Int(value).to_vec())
            }
            Set::Packed(pack) => {
                let len = pack.len() as u64;
                let pos = pack.seek(rng.below(len.max(1)) as i64)?;
                let member = pack.get(pos).to_vec();
                pack.remove(pos, 1);
                Some(member)
            }
        }
    }

    /// Removes `count` members of a packed set, drawn with equal chances, and hands them out; `count` is less than its
    /// length. False, and nothing is done, for a table.
    pub fn pop_some(&mut self, count: usize, rng: &mut Rng, mut each: impl FnMut(Element<'_>)) -> bool {
        match self {
            Set::Table(_) => return false,
            Set::Ints(ints) => {
                let mut kept = IntSet::new();
                let (mut left, mut wanted) = (ints.len(), count);
                for value in ints.iter() {
                    if rng.below(left as u64) < wanted as u64 {
                        wanted -= 1;
                        each(Element::Int(value));
                    } else {
                        kept.insert(value);
                    }
                    left -= 1;
                }
                *ints = kept;
            }
            Set::Packed(pack) => {
                let mut kept = Listpack::with_capacity(pack.bytes_len());
                let (mut left, mut wanted) = (pack.len(), count);
                for member in pack.iter() {
                    if rng.below(left as u64) < wanted as u64 {
                        wanted -= 1;
                        each(member);
                    } else {
                        kept.push_element(member);
                    }
                    left -= 1;
                }
                *pack = kept;
            }
        }
        true
    }
}

impl<'a> SetRef<'a> {
    pub(in crate::keyspace) fn from_packed(kind: Kind, bytes: &'a [u8]) -> SetRef<'a> {
        if kind == Kind::Ints { SetRef::Ints(Ints::new(bytes)) } else { SetRef::Packed(Packed::new(bytes)) }
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(self) -> &'static str {
        match self {
            SetRef::Ints(_) => "intset",
            SetRef::Packed(_) => "listpack",
            SetRef::Table(_) => "hashtable",
        }
    }

    /// Members.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            SetRef::Ints(ints) => ints.len(),
            SetRef::Packed(pack) => pack.len(),
            SetRef::Table(table) => table.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether this is a member.
    #[inline]
    pub fn contains(self, member: &[u8]) -> bool {
        match self {
            SetRef::Ints(ints) => parse_i64(member).is_some_and(|value| ints.contains(value)),
            SetRef::Packed(pack) => pack.find(pack.first(), member, 0).is_some(),
            SetRef::Table(table) => table.contains(member),
        }
    }

    /// Which of up to [`BATCH`] members are there: bit `i` for the member `i`. Misses of memory overlap.
    pub fn contains_which(self, members: &[&[u8]]) -> u32 {
        let bit = |i: usize, is: bool| u32::from(is) << i;
        if let SetRef::Table(table) = self {
            let mut found = [None; BATCH];
            table.find_batch(members, &mut found);
            return (0..members.len()).fold(0, |all, i| all | bit(i, found[i].is_some()));
        }
        (0..members.len()).fold(0, |all, i| all | bit(i, self.contains(members[i])))
    }

    /// All members.
    pub fn iter(self) -> SetIter<'a> {
        match self {
            SetRef::Ints(ints) => SetIter::Ints(ints, 0),
            SetRef::Packed(pack) => SetIter::Packed(pack.iter()),
            SetRef::Table(table) => SetIter::Table(table.iter()),
        }
    }

    /// Any member, all equally likely; an integer or a text.
    pub fn random(self, rng: &mut Rng) -> Option<Element<'a>> {
        match self {
            SetRef::Ints(ints) => ints.random(rng).map(Element::Int),
            SetRef::Packed(pack) => pack.nth(rng.below((pack.len() as u64).max(1)) as i64),
            SetRef::Table(table) => table.random(rng).map(|handle| Element::Text(table.get(handle))),
        }
    }

    /// `count` different members, all if there are fewer, drawn with equal chances.
    pub fn sample(self, count: usize, rng: &mut Rng, mut each: impl FnMut(Element<'a>)) {
        if let SetRef::Table(table) = self {
            for handle in table.sample(rng, count) {
                each(Element::Text(table.get(handle)));
            }
            return;
        }
        let (mut left, mut wanted) = (self.len(), count);
        for member in self.iter() {
            if rng.below(left as u64) < wanted as u64 {
                wanted -= 1;
                each(member);
            }
            left -= 1;
        }
    }
}

/// The members of a set. See [`SetRef::iter`].
pub enum SetIter<'a> {
    /// Of an intset, from this index on.
    Ints(Ints<'a>, usize),
    /// Of a listpack.
    Packed(listpack::Iter<'a>),
    /// Of a table.
    Table(members::Iter<'a, SetLayout>),
}

impl<'a> Iterator for SetIter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        match self {
            SetIter::Ints(ints, index) => {
                *index += 1;
                ints.get(*index - 1).map(Element::Int)
            }
            SetIter::Packed(iter) => iter.next(),
            SetIter::Table(iter) => iter.next().map(Element::Text),
        }
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
        Set::Ints(IntSet::new())
    }

    fn from_value(value: Value) -> Option<Set> {
        if let Value::Set(value) = value { Some(value) } else { None }
    }

    fn len(&self) -> usize {
        self.view().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn tuning() -> Tuning {
        Tuning {
            set_max_intset_entries: 16,
            set_max_listpack_entries: 8,
            set_max_listpack_value_bytes: 20,
            ..Tuning::default()
        }
    }

    fn members(set: &Set) -> BTreeSet<Vec<u8>> {
        set.view().iter().map(Element::to_vec).collect()
    }

    #[test]
    fn a_set_changes_its_encoding_where_redis_does() {
        let tuning = tuning();
        let mut set = Set::new();
        for i in 0..16 {
            assert!(set.add(i.to_string().as_bytes(), &tuning));
        }
        assert_eq!(set.view().encoding(), "intset");
        assert!(set.add(b"16", &tuning) && !set.add(b"16", &tuning));
        assert_eq!(set.view().encoding(), "hashtable");

        let mut set = Set::new();
        (0..7).for_each(|i| assert!(set.add(i.to_string().as_bytes(), &tuning)));
        assert!(set.add(b"a", &tuning));
        assert_eq!(set.view().encoding(), "listpack");
        assert!(set.add(b"b", &tuning));
        assert_eq!((set.view().encoding(), set.len()), ("hashtable", 9));

        let mut set = Set::new();
        assert!(set.add(b"1", &tuning) && set.add(&[b'x'; 21], &tuning));
        assert_eq!(set.view().encoding(), "hashtable");
        let set = Set::for_members(b"1", 17, &tuning);
        assert_eq!(set.view().encoding(), "hashtable");
    }

    #[test]
    fn a_set_behaves_like_a_model_in_every_encoding() {
        let mut rng = Rng::from_seed(7);
        for (spread, texts) in [(10, false), (40, false), (7, true), (40, true), (3000, true)] {
            let tuning = tuning();
            let (mut set, mut model) = (Set::new(), BTreeSet::new());
            for _ in 0..6000 {
                let number = rng.below(spread);
                let member = if texts { format!("m{number}") } else { format!("-{number}") }.into_bytes();
                match rng.below(4) {
                    0 | 1 => assert_eq!(set.add(&member, &tuning), model.insert(member)),
                    2 => assert_eq!(set.remove(&member), model.remove(&member)),
                    _ => assert_eq!(set.view().contains(&member), model.contains(&member)),
                }
                if rng.below(50) == 0 && !model.is_empty() {
                    assert!(model.remove(&set.pop(&mut rng).expect("it has members")));
                }
                assert_eq!(set.len(), model.len());
            }
            assert_eq!(members(&set), model);
            let mut drawn = BTreeSet::new();
            set.view().sample(5, &mut rng, |member| {
                drawn.insert(member.to_vec());
            });
            assert_eq!(drawn.len(), model.len().min(5));
            assert!(drawn.is_subset(&model));
            let mut popped = BTreeSet::new();
            if model.len() > 3 && set.pop_some(3, &mut rng, |m| assert!(popped.insert(m.to_vec()))) {
                assert_eq!(members(&set), &model - &popped);
            }
        }
    }

    #[test]
    fn the_result_of_an_operation_becomes_an_intset_if_it_can() {
        let tuning = tuning();
        let table = |members: &[&str]| {
            let mut set = Set::table(&tuning);
            members.iter().for_each(|member| assert!(set.add(member.as_bytes(), &tuning)));
            set.become_smaller(&tuning);
            set.view().encoding()
        };
        assert_eq!(table(&["1", "2"]), "intset");
        assert_eq!(table(&["1", "b"]), "hashtable");
    }
}
