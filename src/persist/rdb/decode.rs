//! From bytes to a value, element by element.
//!
//! A collection may be larger than what should be read in one go, or than what is there yet. So [`Growing`] keeps what it has
//! of a value, and reads on when it is asked to: at most [`ELEMENTS_PER_CALL`] elements or [`BYTES_PER_CALL`] bytes a call.
//! It takes memory for what came, never for what a count promises. [`decode()`] is the same, asked until the value is whole.
//!
//! What comes out is what the same commands would have made; nodes of lists are kept once they are checked.

use super::error::{BadData, Stop};
use super::file::module;
use super::packed;
use super::read::Reader;
use super::stream::StreamReader;
use super::vector::VectorReader;
use super::{Dialect, NODE_PACKED, NODE_PLAIN, kind};
use crate::base::number::parse_i64;
use crate::keyspace::types::hash::FieldDeadline;
use crate::keyspace::types::list::LoadedNode;
use crate::keyspace::types::{Hash, List, Set, Zset, zset};
use crate::keyspace::{Collection, NewValue, Tuning, Value};
use crate::structures::listpack::{self, Listpack};
use bytes::Bytes;

/// A value that was read.
pub type Decoded = NewValue<'static>;

/// Elements that one call reads at most.
const ELEMENTS_PER_CALL: usize = 256;
/// After so many bytes a call reads no further element.
const BYTES_PER_CALL: usize = 64 << 10;

/// Reads type and value from all of `bytes`.
///
/// # Errors
///
/// [`BadData`] when they are anything but one whole value.
pub fn decode(bytes: &[u8], dialect: Dialect, tuning: &Tuning) -> Result<Decoded, BadData> {
    let mut reader = Reader::new(bytes);
    value(&mut reader, dialect, tuning).map_err(|stop| match stop {
        Stop::Short => BadData { at: bytes.len() as u64, what: "the payload ends within the value".into() },
        Stop::Bad(what) => BadData { at: reader.began() as u64, what: what.into() },
    })
}

fn value(reader: &mut Reader<'_>, dialect: Dialect, tuning: &Tuning) -> Result<Decoded, Stop> {
    let kind = reader.byte()?;
    let value = if kind == kind::STRING {
        let text = reader.text()?;
        parse_i64(&text).map_or_else(|| NewValue::Shared(Bytes::from(text.into_vec())), NewValue::Int)
    } else {
        let mut growing = Growing::new(kind, dialect);
        loop {
            match growing.read_on(reader, tuning)? {
                Grown::More => {}
                Grown::Whole(Some(value)) => break NewValue::Whole(value),
                Grown::Whole(None) => return Err(Stop::Bad("a collection without elements")),
            }
        }
    };
    if reader.left() > 0 { Err(Stop::Bad("something stands behind the value")) } else { Ok(value) }
}

/// Whether there are values of this type in files of that dialect.
pub(super) fn is_known(kind: u8, dialect: Dialect) -> bool {
    match dialect {
        Dialect::Redis => matches!(kind, 0..=5 | 9..=26),
        Dialect::Valkey => matches!(kind, 0..=5 | 9..=22),
    }
}

/// How far a value is.
pub(super) enum Grown {
    /// There is more of it to be read.
    More,
    /// It is whole; none: it has no elements, and a key needs some.
    Whole(Option<Value>),
}

/// A collection that is being read.
#[derive(Debug)]
pub(super) struct Growing {
    kind: u8,
    dialect: Dialect,
    /// Elements or nodes that are still to come.
    left: u64,
    /// The nearest deadline of the fields, from which the others are counted.
    first_ms: u64,
    parts: Parts,
}

/// What there is of a collection.
#[derive(Debug)]
enum Parts {
    /// Nothing is known of it but its type.
    New,
    List(List),
    Set(Set),
    Hash(Hash),
    /// Members of a sorted set that may become a listpack, which is decided when all are known.
    Pairs(Vec<(Vec<u8>, f64)>),
    Zset(Zset),
    Stream(Box<StreamReader>),
    Vectors(Box<VectorReader>),
}

impl Growing {
    pub(super) fn new(kind: u8, dialect: Dialect) -> Growing {
        Growing { kind, dialect, left: 0, first_ms: 0, parts: Parts::New }
    }

    /// A vector set, of which the name of the module was read.
    pub(super) fn vectors(dialect: Dialect, tuning: &Tuning) -> Growing {
        let parts = Parts::Vectors(Box::new(VectorReader::new(tuning.hash_key)));
        Growing { kind: kind::MODULE_2, dialect, left: 0, first_ms: 0, parts }
    }

    /// Reads elements. After [`Stop::Short`] it goes on after what the reader has kept.
    pub(super) fn read_on(&mut self, reader: &mut Reader<'_>, tuning: &Tuning) -> Result<Grown, Stop> {
        if let Parts::New = self.parts {
            if let Some(value) = packed::read(self.kind, self.dialect, reader, tuning)? {
                reader.keep();
                return Ok(Grown::Whole(value.into_inner()));
            }
            self.begin(reader, tuning)?;
            reader.keep();
        }
        let began = reader.at();
        for _ in 0..ELEMENTS_PER_CALL {
            if self.is_whole() {
                return Ok(Grown::Whole(self.finish(tuning)?));
            }
            if reader.at() - began >= BYTES_PER_CALL {
                break;
            }
            self.element(reader, tuning)?;
            self.left = self.left.saturating_sub(1);
            reader.keep();
        }
        Ok(Grown::More)
    }

    fn is_whole(&self) -> bool {
        match &self.parts {
            Parts::Stream(stream) => stream.is_whole(),
            Parts::Vectors(vectors) => vectors.is_whole(),
            _ => self.left == 0,
        }
    }

    /// Reads what stands before the elements.
    fn begin(&mut self, reader: &mut Reader<'_>, tuning: &Tuning) -> Result<(), Stop> {
        if self.is_stream() {
            self.parts = Parts::Stream(Box::new(StreamReader::new(self.kind, self.dialect, tuning)));
            return Ok(());
        }
        if self.kind == kind::MODULE_2 {
            if reader.len()? != module::VECTOR_SET {
                return Err(Stop::Bad("a value of a module that is not known"));
            }
            *self = Growing::vectors(self.dialect, tuning);
            return Ok(());
        }
        if self.kind == kind::HASH_METADATA {
            self.first_ms = reader.u64()?;
        }
        self.left = reader.len()?;
        let count = usize::try_from(self.left).unwrap_or(usize::MAX);
        self.parts = match self.kind {
            kind::LIST | kind::LIST_QUICKLIST | kind::LIST_QUICKLIST_2 => Parts::List(List::new()),
            kind::SET if self.left > tuning.set_max_intset_entries.max(tuning.set_max_listpack_entries) => {
                Parts::Set(Set::table(tuning))
            }
            kind::SET => Parts::Set(Set::new()),
            kind::ZSET | kind::ZSET_2 if self.left > tuning.zset_max_listpack_entries => {
                Parts::Zset(Zset::with_hint(count, 0, tuning))
            }
            kind::ZSET | kind::ZSET_2 => Parts::Pairs(Vec::new()),
            _ => {
                let mut hash = Hash::new();
                hash.make_room(count, 0, 0, tuning);
                Parts::Hash(hash)
            }
        };
        Ok(())
    }

    fn is_stream(&self) -> bool {
        use kind::{STREAM_LISTPACKS, STREAM_LISTPACKS_2, STREAM_LISTPACKS_3, STREAM_LISTPACKS_4};
        matches!(self.kind, STREAM_LISTPACKS | STREAM_LISTPACKS_2 | STREAM_LISTPACKS_3 | STREAM_LISTPACKS_4)
    }

    /// Reads one element.
    #[inline]
    fn element(&mut self, reader: &mut Reader<'_>, tuning: &Tuning) -> Result<(), Stop> {
        match &mut self.parts {
            Parts::New => Ok(()),
            Parts::Stream(stream) => stream.part(reader),
            Parts::Vectors(vectors) => vectors.part(reader),
            Parts::List(list) => match self.kind {
                kind::LIST => {
                    push(list, &reader.text()?, tuning);
                    Ok(())
                }
                kind::LIST_QUICKLIST => packed::list_node(list, reader, tuning),
                _ => node(list, self.dialect, reader, tuning),
            },
            Parts::Set(set) => match set.add(&reader.text()?, tuning) {
                true => Ok(()),
                false => Err(Stop::Bad("Duplicate set members detected")),
            },
            Parts::Pairs(pairs) => {
                let (member, score) = member(self.kind, reader)?;
                pairs.push((member.into_vec(), score));
                Ok(())
            }
            Parts::Zset(zset) => {
                let (member, score) = member(self.kind, reader)?;
                add_member(zset, &member, score, tuning)
            }
            Parts::Hash(hash) => field(hash, self.kind, self.dialect, self.first_ms, reader, tuning),
        }
    }

    fn finish(&mut self, tuning: &Tuning) -> Result<Option<Value>, Stop> {
        let value: Value = match std::mem::replace(&mut self.parts, Parts::New) {
            Parts::New => return Ok(None),
            Parts::Stream(stream) => stream.finish().into(),
            Parts::Vectors(vectors) => return Ok(vectors.finish()?.map(Value::Vector)),
            Parts::List(list) if list.is_empty() => return Ok(None),
            Parts::List(list) => list.into(),
            Parts::Set(set) if set.is_empty() => return Ok(None),
            Parts::Set(set) => set.into(),
            Parts::Hash(hash) if hash.is_empty() => return Ok(None),
            Parts::Hash(hash) => hash.into(),
            Parts::Zset(zset) => zset.into(),
            Parts::Pairs(pairs) => {
                // A table from the start when it will be one: a listpack does not tell -0 from 0.
                let Some(longest) = pairs.iter().map(|(member, _)| member.len()).max() else {
                    return Ok(None);
                };
                let mut zset = Zset::with_hint(pairs.len(), longest, tuning);
                for (member, score) in &pairs {
                    add_member(&mut zset, member, *score, tuning)?;
                }
                zset.into()
            }
        };
        Ok(Some(value))
    }
}

/// Appends an element to a list.
pub(super) fn push(list: &mut List, element: &[u8], tuning: &Tuning) {
    list.expect(element.len(), 1, tuning);
    list.push(element, false);
}

/// Reads a node of a list.
fn node(list: &mut List, dialect: Dialect, reader: &mut Reader<'_>, tuning: &Tuning) -> Result<(), Stop> {
    let container = reader.len()?;
    if container != NODE_PLAIN && container != NODE_PACKED {
        return Err(Stop::Bad("Quicklist integrity check failed."));
    }
    let text = reader.text()?;
    if text.is_empty() {
        return Err(Stop::Bad("Quicklist integrity check failed."));
    }
    if container == NODE_PLAIN {
        list.push_node(LoadedNode::Plain(Bytes::from(text.into_vec())), tuning);
        return Ok(());
    }
    let bytes = packed::as_redis_writes(text, dialect).into_vec();
    let count = listpack::validate(&bytes, true);
    // A node without elements adds nothing.
    if count.map_err(|_| Stop::Bad("Listpack integrity check failed."))? > 0 {
        list.push_node(LoadedNode::Packed(Listpack::from_bytes(bytes)), tuning);
    }
    Ok(())
}

/// Reads a member of a sorted set and its score.
fn member<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<(super::read::Text<'a>, f64), Stop> {
    let member = reader.span()?;
    let score = if kind == kind::ZSET { reader.text_score()? } else { reader.score()? };
    Ok((member.text()?, score))
}

/// Adds a member that must be new.
pub(super) fn add_member(zset: &mut Zset, member: &[u8], score: f64, tuning: &Tuning) -> Result<(), Stop> {
    if score.is_nan() {
        return Err(Stop::Bad("Zset with NAN score detected"));
    }
    match zset.change(score, member, zset::Change::default(), tuning) {
        zset::Changed::Added(_) => Ok(()),
        _ => Err(Stop::Bad("Duplicate zset fields detected")),
    }
}

/// Reads a field of a hash, with its deadline where its form has one.
fn field(
    hash: &mut Hash,
    kind: u8,
    dialect: Dialect,
    first_ms: u64,
    reader: &mut Reader<'_>,
    tuning: &Tuning,
) -> Result<(), Stop> {
    let before = match (kind, dialect) {
        // Counted from the nearest one; 0 stands for none.
        (kind::HASH_METADATA, _) => match reader.len()? {
            0 => 0,
            after => first_ms.checked_add(after - 1).ok_or(BAD_DEADLINE)?,
        },
        (kind::HASH_2, Dialect::Redis) => reader.len()?,
        _ => 0,
    };
    let (name, value) = (reader.span()?, reader.span()?);
    let ms = match (kind, dialect) {
        // A negative one stands for none.
        (kind::HASH_2, Dialect::Valkey) => u64::try_from(reader.u64()? as i64).unwrap_or(0),
        _ => before,
    };
    add_field(hash, &name.text()?, &value.text()?, deadline(ms)?, tuning)
}

const BAD_DEADLINE: Stop = Stop::Bad("invalid expireAt time");

/// The latest deadline of a field: a later one would make a file that Redis refuses. Redis: `EB_EXPIRE_TIME_MAX`.
const FIELD_DEADLINE_MAX_MS: u64 = (1 << 48) - 1;

/// A deadline that was read; 0 stands for none.
pub(super) fn deadline(ms: u64) -> Result<FieldDeadline, Stop> {
    match ms {
        0 => Ok(FieldDeadline::Clear),
        ms if ms <= FIELD_DEADLINE_MAX_MS => Ok(FieldDeadline::At(ms)),
        _ => Err(BAD_DEADLINE),
    }
}

/// Writes a field that must be new.
pub(super) fn add_field(
    hash: &mut Hash,
    name: &[u8],
    value: &[u8],
    deadline: FieldDeadline,
    tuning: &Tuning,
) -> Result<(), Stop> {
    hash.make_room(1, name.len().max(value.len()), name.len() + value.len(), tuning);
    match hash.set(name, value, deadline, tuning) {
        true => Ok(()),
        false => Err(Stop::Bad("Duplicate hash fields detected")),
    }
}
