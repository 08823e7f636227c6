//! From bytes to a value. Collections in a compact form are taken apart and built anew, so that what comes out is what
//! the same commands would have made; nodes of lists are kept once they are checked.

use super::read::Reader;
use super::stream::stream;
use super::ziplist::{ziplist, zipmap};
use super::{NODE_PACKED, NODE_PLAIN, kind};
use crate::base::number::parse_i64;
use crate::keyspace::types::hash::FieldDeadline;
use crate::keyspace::types::list::LoadedNode;
use crate::keyspace::types::{Hash, List, Set, Zset, zset};
use crate::keyspace::{Collection, NewValue, Tuning, Value};
use crate::structures::intset::{self, IntSet};
use crate::structures::listpack::{self, Element, Listpack, Packed};
use bytes::Bytes;

/// The bytes are damaged, or of an unknown type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadData;

/// A value that was read.
pub type Decoded = NewValue<'static>;

/// Reads type and value from all of `bytes`.
///
/// # Errors
///
/// [`BadData`] when they are anything but one whole value.
pub fn decode(bytes: &[u8], tuning: &Tuning) -> Result<Decoded, BadData> {
    let mut reader = Reader::new(bytes);
    let kind = reader.byte()?;
    let value = decode_kind(kind, &mut reader, tuning)?;
    if reader.left() > 0 {
        return Err(BadData);
    }
    Ok(value)
}

fn decode_kind(kind: u8, reader: &mut Reader<'_>, tuning: &Tuning) -> Result<Decoded, BadData> {
    let value: Value = match kind {
        kind::STRING => {
            let text = reader.text()?;
            return Ok(match parse_i64(&text) {
                Some(value) if text.len() <= 20 => NewValue::Int(value),
                _ => NewValue::Shared(Bytes::from(text.into_owned())),
            });
        }
        kind::LIST => {
            let texts = texts(reader, 1)?;
            list(texts.iter().map(AsRef::as_ref), tuning)?.into()
        }
        kind::LIST_ZIPLIST => list(ziplist(&reader.text()?)?.iter().map(Vec::as_slice), tuning)?.into(),
        kind::LIST_QUICKLIST => {
            let nodes = texts(reader, 1)?;
            let mut elements = Vec::new();
            for node in nodes {
                elements.extend(ziplist(&node)?);
            }
            list(elements.iter().map(Vec::as_slice), tuning)?.into()
        }
        kind::LIST_QUICKLIST_2 => quicklist(reader, tuning)?.into(),
        kind::SET => {
            let texts = texts(reader, 1)?;
            set(texts.iter().map(AsRef::as_ref), tuning)?.into()
        }
        kind::SET_INTSET => {
            let bytes = reader.text()?.into_owned();
            if intset::validate(&bytes, true).map_err(|_| BadData)? == 0 {
                return Err(BadData);
            }
            let mut set = Set::Ints(IntSet::from_bytes(bytes));
            if set.len() as u64 > tuning.set_max_intset_entries {
                set.become_table(tuning);
            }
            set.into()
        }
        kind::SET_LISTPACK => {
            let elements = listpack(reader, 1)?;
            set(elements.iter().map(Vec::as_slice), tuning)?.into()
        }
        kind::ZSET | kind::ZSET_2 => {
            let count = reader.count(2)?;
            let mut pairs = Vec::new();
            for _ in 0..count {
                let member = reader.text()?.into_owned();
                let score = if kind == kind::ZSET { reader.text_score()? } else { reader.score()? };
                pairs.push((member, score));
            }
            zset(pairs, tuning)?.into()
        }
        kind::ZSET_ZIPLIST => zset(scored(ziplist(&reader.text()?)?)?, tuning)?.into(),
        kind::ZSET_LISTPACK => zset(scored(listpack(reader, 2)?)?, tuning)?.into(),
        kind::HASH => {
            let texts = texts(reader, 2)?;
            hash(texts.iter().map(AsRef::as_ref), tuning)?.into()
        }
        kind::HASH_ZIPMAP => hash(zipmap(&reader.text()?)?.iter().map(Vec::as_slice), tuning)?.into(),
        kind::HASH_ZIPLIST => hash(ziplist(&reader.text()?)?.iter().map(Vec::as_slice), tuning)?.into(),
        kind::HASH_LISTPACK => hash(listpack(reader, 2)?.iter().map(Vec::as_slice), tuning)?.into(),
        kind::HASH_2 => hash_of_valkey(reader, tuning)?.into(),
        kind::HASH_METADATA => dated_hash(reader, tuning)?.into(),
        kind::HASH_LISTPACK_EX => packed_dated_hash(reader, tuning)?.into(),
        kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => {
            stream(reader, kind)?.into()
        }
        _ => return Err(BadData),
    };
    Ok(NewValue::Whole(value))
}

type Texts<'a> = Vec<std::borrow::Cow<'a, [u8]>>;

/// A count and so many times `each` strings; at least one.
fn texts<'a>(reader: &mut Reader<'a>, each: usize) -> Result<Texts<'a>, BadData> {
    let count = reader.count(each)?;
    if count == 0 {
        return Err(BadData);
    }
    (0..count * each).map(|_| reader.text()).collect()
}

/// The elements of a listpack; they come in groups of `each`, and there is at least one.
fn listpack(reader: &mut Reader<'_>, each: usize) -> Result<Vec<Vec<u8>>, BadData> {
    let bytes = reader.text()?;
    let count = listpack::validate(&bytes, true).map_err(|_| BadData)?;
    if count == 0 || count % each != 0 {
        return Err(BadData);
    }
    Ok(Packed::new(&bytes).iter().map(Element::to_vec).collect())
}

fn list<'t>(elements: impl Iterator<Item = &'t [u8]>, tuning: &Tuning) -> Result<List, BadData> {
    let mut list = List::new();
    for element in elements {
        list.expect(element.len(), 1, tuning);
        list.push(element, false);
    }
    if list.is_empty() { Err(BadData) } else { Ok(list) }
}

fn quicklist(reader: &mut Reader<'_>, tuning: &Tuning) -> Result<List, BadData> {
    let nodes = reader.count(2)?;
    let mut loaded = Vec::new();
    for _ in 0..nodes {
        let container = reader.len()?;
        let bytes = reader.text()?.into_owned();
        match container {
            NODE_PLAIN => loaded.push(LoadedNode::Plain(Bytes::from(bytes))),
            NODE_PACKED => {
                // A node without elements adds nothing.
                if listpack::validate(&bytes, true).map_err(|_| BadData)? > 0 {
                    loaded.push(LoadedNode::Packed(Listpack::from_bytes(bytes)));
                }
            }
            _ => return Err(BadData),
        }
    }
    if loaded.is_empty() { Err(BadData) } else { Ok(List::from_nodes(loaded, tuning)) }
}

fn set<'t>(members: impl Iterator<Item = &'t [u8]>, tuning: &Tuning) -> Result<Set, BadData> {
    let mut set = Set::new();
    for member in members {
        if !set.add(member, tuning) {
            return Err(BadData);
        }
    }
    Ok(set)
}

/// Members and scores that stand in turn.
fn scored(texts: Vec<Vec<u8>>) -> Result<Vec<(Vec<u8>, f64)>, BadData> {
    if texts.len() % 2 == 1 {
        return Err(BadData);
    }
    let mut pairs = Vec::with_capacity(texts.len() / 2);
    let mut texts = texts.into_iter();
    while let (Some(member), Some(score)) = (texts.next(), texts.next()) {
        let score = std::str::from_utf8(&score).ok().and_then(|text| text.parse().ok());
        pairs.push((member, score.ok_or(BadData)?));
    }
    Ok(pairs)
}

fn zset(pairs: Vec<(Vec<u8>, f64)>, tuning: &Tuning) -> Result<Zset, BadData> {
    // A table from the start when it will be one: a listpack does not tell -0 from 0.
    let longest = pairs.iter().map(|(member, _)| member.len()).max().ok_or(BadData)?;
    let mut zset = Zset::with_hint(pairs.len(), longest, tuning);
    for (member, score) in pairs {
        if score.is_nan() {
            return Err(BadData);
        }
        let added = zset.change(score, &member, zset::Change::default(), tuning);
        if !matches!(added, zset::Changed::Added(_)) {
            return Err(BadData);
        }
    }
    Ok(zset)
}

/// Writes a field that must be new.
fn add_field(
    hash: &mut Hash,
    name: &[u8],
    value: &[u8],
    deadline: FieldDeadline,
    tuning: &Tuning,
) -> Result<(), BadData> {
    hash.make_room(1, name.len().max(value.len()), name.len() + value.len(), tuning);
    if hash.set(name, value, deadline, tuning) { Ok(()) } else { Err(BadData) }
}

fn hash<'t>(texts: impl Iterator<Item = &'t [u8]>, tuning: &Tuning) -> Result<Hash, BadData> {
    let mut hash = Hash::new();
    let mut texts = texts;
    while let Some(name) = texts.next() {
        let value = texts.next().ok_or(BadData)?;
        add_field(&mut hash, name, value, FieldDeadline::Clear, tuning)?;
    }
    if hash.is_empty() { Err(BadData) } else { Ok(hash) }
}

/// A deadline that was read; 0 stands for none.
fn deadline(ms: u64) -> Result<FieldDeadline, BadData> {
    match ms {
        0 => Ok(FieldDeadline::Clear),
        ms if ms <= i64::MAX as u64 => Ok(FieldDeadline::At(ms)),
        _ => Err(BadData),
    }
}

fn dated_hash(reader: &mut Reader<'_>, tuning: &Tuning) -> Result<Hash, BadData> {
    let first = u64::from_le_bytes(reader.array()?);
    let count = reader.count(3)?;
    let mut hash = Hash::new();
    for _ in 0..count {
        let ms = match reader.len()? {
            0 => 0,
            after => first.checked_add(after - 1).ok_or(BadData)?,
        };
        let (name, value) = (reader.text()?, reader.text()?);
        add_field(&mut hash, &name, &value, deadline(ms)?, tuning)?;
    }
    if hash.is_empty() { Err(BadData) } else { Ok(hash) }
}

/// Field, value and deadline in turn; a negative one stands for none.
fn hash_of_valkey(reader: &mut Reader<'_>, tuning: &Tuning) -> Result<Hash, BadData> {
    let count = reader.count(10)?;
    let mut hash = Hash::new();
    for _ in 0..count {
        let (name, value) = (reader.text()?, reader.text()?);
        let ms = u64::try_from(i64::from_le_bytes(reader.array()?)).unwrap_or(0);
        add_field(&mut hash, &name, &value, deadline(ms)?, tuning)?;
    }
    if hash.is_empty() { Err(BadData) } else { Ok(hash) }
}

fn packed_dated_hash(reader: &mut Reader<'_>, tuning: &Tuning) -> Result<Hash, BadData> {
    let _first: [u8; 8] = reader.array()?;
    let texts = listpack(reader, 3)?;
    let mut hash = Hash::new();
    for field in texts.chunks_exact(3) {
        let ms = parse_i64(&field[2]).and_then(|ms| u64::try_from(ms).ok()).ok_or(BadData)?;
        add_field(&mut hash, &field[0], &field[1], deadline(ms)?, tuning)?;
    }
    Ok(hash)
}
