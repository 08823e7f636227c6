//! Sorted sets: of few members in a listpack, of many in a table and a tree.
//!
//! A small one is a listpack of members and scores in order. Above `zset-max-listpack-entries` members, or with a member
//! longer than `zset-max-listpack-value`, it becomes a [`Members`] table, from a member to its score, and a [`Ranked`]
//! tree that holds the order, and never goes back by itself, as in Redis, where a large one is called `skiplist`.
//!
//! Every range, by rank, score or member, is a range of ranks: [`ZsetRef::ranks_by_score`] and
//! [`ZsetRef::ranks_by_lex`] say which, and all that reads or removes a range takes ranks.

mod build;
mod iter;

use super::super::tuning::Tuning;
use super::super::value::{Collection, Type, Value};
use crate::base::hash::HashKey;
use crate::base::number::{I64_BYTES_MAX, format_double};
use crate::base::rng::Rng;
use crate::structures::listpack::{Element, Listpack, Packed};
use crate::structures::members::{BATCH, Layout, Members};
use crate::structures::ranked::{Names, Ranked};
use crate::structures::slab::Handle;
use std::cmp::Ordering;
use std::ops::Range;

pub use build::Builder;
pub use iter::ZsetIter;
use iter::{Keys, TableIter};

/// Bytes of the score in front of a member in its cell.
const SCORE_BYTES: usize = 8;

/// A cell of the table is a score, little-endian, and the member.
#[derive(Clone, Copy, Debug)]
pub struct ZsetLayout;

impl Layout for ZsetLayout {
    const KEEPS_HANDLES: bool = true;

    #[inline]
    fn member(cell: &[u8]) -> &[u8] {
        &cell[SCORE_BYTES..]
    }
}

impl Names for Members<ZsetLayout> {
    #[inline]
    fn member(&self, handle: Handle) -> &[u8] {
        ZsetLayout::member(self.get(handle))
    }
}

/// The score in a cell of the table.
#[inline]
pub fn cell_score(cell: &[u8]) -> f64 {
    cell.first_chunk().map_or(0.0, |bytes| f64::from_le_bytes(*bytes))
}

/// Many members: a table of their scores, and their order.
#[derive(Clone)]
pub struct ZsetTable {
    members: Members<ZsetLayout>,
    order: Ranked,
}

impl std::fmt::Debug for ZsetTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.members.fmt(f)
    }
}

/// A set of byte strings, each with a score, in the order of scores and then of bytes.
#[derive(Clone, Debug)]
pub enum Zset {
    /// Few members.
    Packed(Listpack),
    /// Many members.
    Table(Box<ZsetTable>),
}

/// As a reader sees it.
#[derive(Clone, Copy, Debug)]
pub enum ZsetRef<'a> {
    /// Few members.
    Packed(Packed<'a>),
    /// Many members.
    Table(&'a ZsetTable),
}

/// One end of a range of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreBound {
    /// The score.
    pub score: f64,
    /// The score itself is outside.
    pub exclusive: bool,
}

/// One end of a range of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// Before all members.
    Least,
    /// Behind all members.
    Greatest,
    /// At a member, which is inside.
    Inclusive(&'a [u8]),
    /// At a member, which is outside.
    Exclusive(&'a [u8]),
}

/// Under which conditions a score is set, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Only a member that is not there.
    pub new_only: bool,
    /// Only a member that is there.
    pub old_only: bool,
    /// Only to a greater score, if the member is there.
    pub greater: bool,
    /// Only to a lesser score, if the member is there.
    pub less: bool,
    /// The score is added to the one that the member has.
    pub increment: bool,
}

/// What a change did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Changed {
    /// The member is new.
    Added(f64),
    /// The member has another score now.
    Updated(f64),
    /// The member had this score already.
    Same(f64),
    /// The conditions forbade it.
    Refused,
    /// The sum is not a number; nothing was done.
    NotANumber,
}

/// The score of an element of a listpack.
fn element_score(element: Element<'_>) -> f64 {
    match element {
        Element::Int(value) => value as f64,
        Element::Text(text) => {
            std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0)
        }
    }
}

fn compare(element: Element<'_>, member: &[u8]) -> Ordering {
    element.bytes(&mut [0; I64_BYTES_MAX]).cmp(member)
}

impl ScoreBound {
    /// Is a key with this score before a range that begins here?
    #[inline]
    fn is_after(self, score: f64) -> bool {
        score < self.score || self.exclusive && score == self.score
    }

    /// Is a key with this score in a range that ends here?
    #[inline]
    fn reaches(self, score: f64) -> bool {
        score < self.score || !self.exclusive && score == self.score
    }
}

impl LexBound<'_> {
    fn is_after(self, member: &[u8]) -> bool {
        match self {
            LexBound::Least => false,
            LexBound::Greatest => true,
            LexBound::Inclusive(bound) => member < bound,
            LexBound::Exclusive(bound) => member <= bound,
        }
    }

    fn reaches(self, member: &[u8]) -> bool {
        match self {
            LexBound::Least => false,
            LexBound::Greatest => true,
            LexBound::Inclusive(bound) => member <= bound,
            LexBound::Exclusive(bound) => member < bound,
        }
    }
}

impl ZsetTable {
    fn new(key: HashKey) -> ZsetTable {
        ZsetTable { members: Members::new(key), order: Ranked::new() }
    }

    /// The table of members, to be walked.
    pub(in crate::keyspace) fn members_mut(&mut self) -> &mut Members<ZsetLayout> {
        &mut self.members
    }

    /// The table of members, to be prefetched.
    pub fn members(&self) -> &Members<ZsetLayout> {
        &self.members
    }

    #[inline]
    fn score(&self, handle: Handle) -> f64 {
        cell_score(self.members.get(handle))
    }

    fn change(&mut self, score: f64, member: &[u8], how: Change) -> Changed {
        let hash = self.members.hash(member);
        let Some(handle) = self.members.find_hashed(hash, member) else {
            if how.old_only {
                return Changed::Refused;
            }
            self.insert_hashed(hash, score, member);
            return Changed::Added(score);
        };
        let old = self.score(handle);
        let decided = how.decide(old, score);
        if let Changed::Updated(new) = decided {
            self.order.update(old, handle, new, &self.members);
            self.members.patch(handle, 0, &new.to_le_bytes());
        }
        decided
    }

    fn insert_hashed(&mut self, hash: u64, score: f64, member: &[u8]) {
        let handle = self.members.insert_hashed(hash, &[&score.to_le_bytes(), member]);
        self.order.insert(score, handle, &self.members);
        self.maintain();
    }

    fn remove_handle(&mut self, handle: Handle) {
        self.order.remove(self.score(handle), handle, &self.members);
        self.members.remove_at(handle);
        self.maintain();
    }

    fn remove_ranks(&mut self, ranks: Range<usize>) {
        let mut left = ranks.len();
        while left > 0 {
            let mut batch = [(0.0, Handle::NONE); BATCH];
            let wanted = left.min(BATCH);
            let count = self.order.forward(ranks.start).fill(&mut batch[..wanted]);
            let handles = batch.map(|(_, handle)| handle);
            handles[..count].iter().for_each(|handle| self.members.prefetch(*handle));
            for _ in 0..count {
                self.order.remove_at(ranks.start, &self.members);
            }
            self.members.remove_batch(&handles[..count]);
            // As often as for single removals, so that the memory comes back as fast.
            (0..count).for_each(|_| self.maintain());
            left = if count == wanted { left - count } else { 0 };
        }
    }

    /// Moves a few cells, if chunks of the arena are to be given back.
    #[inline]
    fn maintain(&mut self) {
        let order = &mut self.order;
        self.members
            .maintain(|members, old, new| order.moved(cell_score(members.get(new)), old, new, members));
    }

    fn element(&self, handle: Handle) -> Element<'_> {
        Element::Text(self.members.member(handle))
    }
}

impl Change {
    /// What becomes of a member that is there.
    fn decide(self, old: f64, score: f64) -> Changed {
        if self.new_only {
            return Changed::Refused;
        }
        let new = if self.increment { old + score } else { score };
        if new.is_nan() {
            return Changed::NotANumber;
        }
        if self.less && new >= old || self.greater && new <= old {
            return Changed::Refused;
        }
        if new == old { Changed::Same(old) } else { Changed::Updated(new) }
    }
}

impl Zset {
    /// One to be filled with so many members, of which one has so many bytes.
    pub fn with_hint(members: usize, member_bytes: usize, tuning: &Tuning) -> Zset {
        if members as u64 <= tuning.zset_max_listpack_entries
            && member_bytes as u64 <= tuning.zset_max_listpack_value_bytes
        {
            Zset::new()
        } else {
            Zset::Table(Box::new(ZsetTable::new(tuning.hash_key)))
        }
    }

    /// Memory behind it, in bytes.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Zset::Packed(pack) => pack.heap_bytes(),
            Zset::Table(table) => {
                size_of::<ZsetTable>() + table.members.heap_bytes() + table.order.heap_bytes()
            }
        }
    }

    /// As a reader sees it.
    #[inline]
    pub fn view(&self) -> ZsetRef<'_> {
        match self {
            Zset::Packed(pack) => ZsetRef::Packed(pack.as_packed()),
            Zset::Table(table) => ZsetRef::Table(table),
        }
    }

    pub(in crate::keyspace) fn packed(&self) -> Option<&[u8]> {
        if let Zset::Packed(pack) = self { Some(pack.bytes()) } else { None }
    }

    pub(in crate::keyspace) fn from_packed(bytes: Vec<u8>) -> Zset {
        Zset::Packed(Listpack::from_bytes(bytes))
    }

    pub(in crate::keyspace) fn into_packed(self) -> Vec<u8> {
        if let Zset::Packed(pack) = self { pack.into_bytes() } else { Vec::new() }
    }

    /// Becomes a table if so many members would not fit into a listpack.
    pub fn make_room(&mut self, members: usize, tuning: &Tuning) {
        if members as u64 > tuning.zset_max_listpack_entries {
            self.become_table(tuning);
        }
    }

    /// Sets the score of a member, or adds to it.
    #[inline]
    pub fn change(&mut self, score: f64, member: &[u8], how: Change, tuning: &Tuning) -> Changed {
        let pack = match self {
            Zset::Table(table) => return table.change(score, member, how),
            Zset::Packed(pack) => pack,
        };
        if let Some(pos) = pack.find(pack.first(), member, 1) {
            let score_pos = pack.next(pos).unwrap_or(pos);
            let old = element_score(pack.get(score_pos));
            let decided = how.decide(old, score);
            if let Changed::Updated(new) = decided {
                let behind = pack.next(score_pos).unwrap_or(pack.end());
                let place = place_from(pack, pos..behind, old, new, member);
                let pos = pack.move_before(pos, behind, place);
                let score_pos = pack.next(pos).unwrap_or(pos);
                match whole(new) {
                    Some(number) => pack.replace_int(score_pos, number),
                    None => {
                        let mut text = Vec::new();
                        format_double(new, &mut text);
                        pack.replace(score_pos, &text);
                    }
                }
            }
            return decided;
        }
        if how.old_only {
            return Changed::Refused;
        }
        if pack.len() as u64 / 2 + 1 > tuning.zset_max_listpack_entries
            || member.len() as u64 > tuning.zset_max_listpack_value_bytes
            || !pack.safe_to_add(member.len())
        {
            self.become_table(tuning);
            if let Zset::Table(table) = self {
                let hash = table.members.hash(member);
                table.insert_hashed(hash, score, member);
            }
        } else {
            insert_into(pack, score, member);
        }
        Changed::Added(score)
    }

    /// Makes a table of it.
    pub fn become_table(&mut self, tuning: &Tuning) {
        let Zset::Packed(pack) = self else { return };
        let mut builder = Builder::new(tuning.hash_key);
        let mut buf = [0; I64_BYTES_MAX];
        for (member, score) in pack.pairs() {
            builder.insert(element_score(score), member.bytes(&mut buf));
        }
        *self = Zset::Table(Box::new(builder.finish()));
    }

    /// Removes a member; false when it was not there.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            Zset::Table(table) => match table.members.find(member) {
                Some(handle) => {
                    table.remove_handle(handle);
                    true
                }
                None => false,
            },
            Zset::Packed(pack) => match pack.find(pack.first(), member, 1) {
                Some(pos) => {
                    pack.remove(pos, 2);
                    true
                }
                None => false,
            },
        }
    }

    /// Removes the members of these ranks.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        match self {
            Zset::Packed(pack) => pack.remove_range(2 * ranks.start as i64, 2 * ranks.len()),
            Zset::Table(table) => {
                let is_walked = table.members.walk_id().is_some();
                if ranks.len() == table.members.len() && !is_walked {
                    *self = Zset::new();
                } else {
                    table.remove_ranks(ranks);
                }
            }
        }
    }
}

/// A score that is kept as an integer.
fn whole(score: f64) -> Option<i64> {
    let number = score as i64;
    (number as f64 == score && number.unsigned_abs() <= 1 << 62).then_some(number)
}

/// In front of which element a member belongs when its score changes; it and its score lie at `own`. The way from there to
/// its place is all that is looked at.
fn place_from(pack: &Listpack, own: Range<usize>, old: f64, new: f64, member: &[u8]) -> usize {
    // The members matter only where the scores are equal.
    let is_before = |at: usize, score_at: usize| {
        let score = element_score(pack.get(score_at));
        score < new || score == new && compare(pack.get(at), member) == Ordering::Less
    };
    if new < old {
        let mut place = own.start;
        while let Some(score_at) = pack.prev(place)
            && let Some(at) = pack.prev(score_at)
            && !is_before(at, score_at)
        {
            place = at;
        }
        return place;
    }
    let mut place = own.end;
    while place < pack.end()
        && let Some(score_at) = pack.next(place)
        && is_before(place, score_at)
    {
        place = pack.next(score_at).unwrap_or(pack.end());
    }
    place
}

/// Puts a member that is not there at its place in a listpack.
fn insert_into(pack: &mut Listpack, score: f64, member: &[u8]) {
    let mut place = pack.end();
    // Many come in order: the last is looked at first.
    let is_behind = |(other, other_score): (Element<'_>, Element<'_>)| {
        let other_score = element_score(other_score);
        other_score < score || other_score == score && compare(other, member) == Ordering::Less
    };
    if !pack.pairs().next_back().is_none_or(is_behind) {
        let mut pos = pack.first();
        while let Some(at) = pos {
            let score_at = pack.next(at).expect("a member is followed by its score");
            let other_score = element_score(pack.get(score_at));
            // The members matter only where the scores are equal.
            if other_score > score || other_score == score && compare(pack.get(at), member) != Ordering::Less
            {
                place = at;
                break;
            }
            pos = pack.next(score_at);
        }
    }
    let mut text = Vec::new();
    let whole = whole(score);
    if whole.is_none() {
        format_double(score, &mut text);
    }
    if place == pack.end() {
        pack.push(member);
        return match whole {
            Some(number) => pack.push_int(number),
            None => pack.push(&text),
        };
    }
    match whole {
        Some(number) => pack.insert_int_before(place, number),
        None => pack.insert_before(place, &text),
    }
    pack.insert_before(place, member);
}

impl<'a> ZsetRef<'a> {
    pub(in crate::keyspace) fn from_packed(bytes: &'a [u8]) -> ZsetRef<'a> {
        ZsetRef::Packed(Packed::new(bytes))
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(self) -> &'static str {
        match self {
            ZsetRef::Packed(_) => "listpack",
            ZsetRef::Table(_) => "skiplist",
        }
    }

    /// Members.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            ZsetRef::Packed(pack) => pack.len() / 2,
            ZsetRef::Table(table) => table.members.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    #[inline]
    pub fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            ZsetRef::Packed(pack) => {
                let pos = pack.find(pack.first(), member, 1)?;
                Some(element_score(pack.get(pack.next(pos)?)))
            }
            ZsetRef::Table(table) => table.members.find(member).map(|handle| table.score(handle)),
        }
    }

    /// The scores of up to [`BATCH`] members. Misses of memory overlap.
    pub fn scores(self, members: &[&[u8]], out: &mut [Option<f64>; BATCH]) {
        match self {
            ZsetRef::Packed(_) => {
                for (score, member) in out.iter_mut().zip(members) {
                    *score = self.score(member);
                }
            }
            ZsetRef::Table(table) => {
                let mut found = [None; BATCH];
                table.members.find_batch(members, &mut found);
                for (score, handle) in out.iter_mut().zip(&found[..members.len()]) {
                    *score = handle.map(|handle| table.score(handle));
                }
            }
        }
    }

    /// How many members come before this one, and its score.
    pub fn rank(self, member: &[u8]) -> Option<(usize, f64)> {
        match self {
            ZsetRef::Packed(pack) => {
                let (rank, (_, score)) =
                    pack.pairs().enumerate().find(|(_, (other, _))| other.equals(member))?;
                Some((rank, element_score(score)))
            }
            ZsetRef::Table(table) => {
                let handle = table.members.find(member)?;
                let score = table.score(handle);
                Some((table.order.rank(score, handle, &table.members), score))
            }
        }
    }

    /// The ranks of the members whose scores lie in a range.
    pub fn ranks_by_score(self, min: ScoreBound, max: ScoreBound) -> Range<usize> {
        let count = |before: &dyn Fn(f64) -> bool| match self {
            ZsetRef::Packed(pack) => {
                pack.pairs().take_while(|(_, score)| before(element_score(*score))).count()
            }
            ZsetRef::Table(table) => table.order.count_while(|score, _| before(score)),
        };
        let start = count(&|score| min.is_after(score));
        start..count(&|score| max.reaches(score)).max(start)
    }

    /// The ranks of the members in a range of members; all scores should be equal.
    pub fn ranks_by_lex(self, min: LexBound<'_>, max: LexBound<'_>) -> Range<usize> {
        let count = |before: &dyn Fn(&[u8]) -> bool| match self {
            ZsetRef::Packed(pack) => {
                let mut buf = [0; I64_BYTES_MAX];
                pack.pairs().take_while(|(member, _)| before(member.bytes(&mut buf))).count()
            }
            ZsetRef::Table(table) => {
                table.order.count_while(|_, handle| before(table.members.member(handle)))
            }
        };
        let start = count(&|member| min.is_after(member));
        start..count(&|member| max.reaches(member)).max(start)
    }

    /// The members of these ranks with their scores.
    pub fn range(self, ranks: Range<usize>) -> ZsetIter<'a> {
        let left = ranks.len();
        match self {
            ZsetRef::Packed(pack) => {
                let mut pairs = pack.pairs();
                for _ in 0..ranks.start {
                    pairs.next();
                }
                ZsetIter::Packed { pairs, left, reverse: false }
            }
            ZsetRef::Table(table) => {
                let keys = Keys::Forward(table.order.forward(ranks.start));
                ZsetIter::Table(TableIter::new(table, keys, left))
            }
        }
    }

    /// The members of these ranks with their scores, the last one first.
    pub fn range_reversed(self, ranks: Range<usize>) -> ZsetIter<'a> {
        let left = ranks.len();
        match self {
            ZsetRef::Packed(pack) => {
                let mut pairs = pack.pairs();
                for _ in ranks.end..self.len() {
                    pairs.next_back();
                }
                ZsetIter::Packed { pairs, left, reverse: true }
            }
            ZsetRef::Table(table) => {
                let last = ranks.end.wrapping_sub(1);
                ZsetIter::Table(TableIter::new(table, Keys::Backward(table.order.backward(last)), left))
            }
        }
    }

    /// All members with their scores, in order.
    pub fn iter(self) -> ZsetIter<'a> {
        self.range(0..self.len())
    }

    /// Any member with its score, all equally likely.
    pub fn random(self, rng: &mut Rng) -> Option<(Element<'a>, f64)> {
        match self {
            ZsetRef::Packed(pack) => {
                let at = rng.below((self.len() as u64).max(1)) as i64;
                Some((pack.nth(2 * at)?, element_score(pack.nth(2 * at + 1)?)))
            }
            ZsetRef::Table(table) => {
                let handle = table.members.random(rng)?;
                Some((table.element(handle), table.score(handle)))
            }
        }
    }

    /// `count` different members with their scores, all if there are fewer, drawn with equal chances.
    pub fn sample(self, count: usize, rng: &mut Rng, mut each: impl FnMut(Element<'a>, f64)) {
        if let ZsetRef::Table(table) = self {
            for handle in table.members.sample(rng, count) {
                each(table.element(handle), table.score(handle));
            }
            return;
        }
        let (mut left, mut wanted) = (self.len(), count);
        for (member, score) in self.iter() {
            if rng.below(left as u64) < wanted as u64 {
                wanted -= 1;
                each(member, score);
            }
            left -= 1;
        }
    }

    /// Hands out a part of the members and answers the cursor of the next part; 0 starts and ends a scan. A small one is
    /// handed out as a whole.
    pub fn scan(self, cursor: u64, mut each: impl FnMut(Element<'_>, f64)) -> u64 {
        match self {
            ZsetRef::Packed(_) => {
                self.iter().for_each(|(member, score)| each(member, score));
                0
            }
            ZsetRef::Table(table) => table
                .members
                .scan(cursor, |cell| each(Element::Text(ZsetLayout::member(cell)), cell_score(cell))),
        }
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

#[cfg(test)]
mod tests;
