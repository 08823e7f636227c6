//! Collections in a compact form: one string that holds all elements. They are taken apart and built anew, so that a value is
//! in the form that the settings of this server ask for.

use super::decode::{add_field, add_member, deadline, push};
use super::error::Stop;
use super::read::{Reader, Text};
use super::ziplist::{ziplist, zipmap};
use super::{Dialect, kind};
use crate::base::number::I64_BYTES_MAX;
use crate::keyspace::types::hash::FieldDeadline;
use crate::keyspace::types::{Hash, List, Set, Zset};
use crate::keyspace::{Collection, Tuning, Value};
use crate::structures::intset::{self, IntSet};
use crate::structures::listpack::{self, Element, Listpack, Packed};

/// A collection, unless it has no elements.
pub(super) struct Unpacked(Option<Value>);

impl Unpacked {
    fn new<T: Collection>(collection: T) -> Unpacked {
        Unpacked(if collection.is_empty() { None } else { Some(collection.into()) })
    }

    pub(super) fn into_inner(self) -> Option<Value> {
        self.0
    }
}

/// Reads a collection of a type with a compact form; none where the type has no such form.
pub(super) fn read(
    kind: u8,
    dialect: Dialect,
    reader: &mut Reader<'_>,
    tuning: &Tuning,
) -> Result<Option<Unpacked>, Stop> {
    let unpacked = match kind {
        kind::LIST_ZIPLIST => {
            let mut list = List::new();
            let elements = ziplist(&reader.text()?);
            for element in elements.map_err(|_| Stop::Bad("List ziplist integrity check failed."))? {
                push(&mut list, &element, tuning);
            }
            Unpacked::new(list)
        }
        kind::SET_INTSET => ints(reader, tuning)?,
        kind::SET_LISTPACK => {
            let bytes = as_redis_writes(reader.text()?, dialect);
            let pack = listpack(&bytes, 1, "Set listpack integrity check failed.")?;
            let (mut set, mut digits) = (Set::new(), [0; I64_BYTES_MAX]);
            for member in pack.iter() {
                if !set.add(member.bytes(&mut digits), tuning) {
                    return Err(Stop::Bad("Duplicate set members detected"));
                }
            }
            Unpacked::new(set)
        }
        kind::ZSET_ZIPLIST => {
            const BAD: Stop = Stop::Bad("Zset ziplist integrity check failed.");
            let texts = ziplist(&reader.text()?).map_err(|_| BAD)?;
            if texts.len() % 2 == 1 {
                return Err(BAD);
            }
            let pairs = texts.chunks_exact(2).map(|pair| (Element::Text(&pair[0]), Element::Text(&pair[1])));
            zset(pairs, texts.len() / 2, tuning)?
        }
        kind::ZSET_LISTPACK => {
            let bytes = as_redis_writes(reader.text()?, dialect);
            let pack = listpack(&bytes, 2, "Zset listpack integrity check failed.")?;
            zset(pack.pairs(), pack.len() / 2, tuning)?
        }
        kind::HASH_ZIPMAP => {
            const BAD: Stop = Stop::Bad("Zipmap integrity check failed.");
            let texts = zipmap(&reader.text()?).map_err(|_| BAD)?;
            hash(&texts, BAD, tuning)?
        }
        kind::HASH_ZIPLIST => {
            const BAD: Stop = Stop::Bad("Hash ziplist integrity check failed.");
            let texts = ziplist(&reader.text()?).map_err(|_| BAD)?;
            hash(&texts, BAD, tuning)?
        }
        kind::HASH_LISTPACK => {
            let bytes = as_redis_writes(reader.text()?, dialect);
            let pack = listpack(&bytes, 2, "Hash listpack integrity check failed.")?;
            let mut hash = Hash::new();
            hash.make_room(pack.len() / 2, 0, 0, tuning);
            let (mut name_digits, mut digits) = ([0; I64_BYTES_MAX], [0; I64_BYTES_MAX]);
            for (name, value) in pack.pairs() {
                let (name, value) = (name.bytes(&mut name_digits), value.bytes(&mut digits));
                add_field(&mut hash, name, value, FieldDeadline::Clear, tuning)
                    .map_err(|_| Stop::Bad("Hash listpack with dup elements"))?;
            }
            Unpacked::new(hash)
        }
        kind::HASH_LISTPACK_EX => {
            // The nearest deadline stands in front, and is found again among the fields.
            reader.u64()?;
            hash_with_ttl(reader, tuning)?
        }
        kind::HASH_LISTPACK_EX_PRE_GA if dialect == Dialect::Redis => hash_with_ttl(reader, tuning)?,
        _ => return Ok(None),
    };
    Ok(Some(unpacked))
}

/// Reads a node of a list of Redis before 7.0.
pub(super) fn list_node(list: &mut List, reader: &mut Reader<'_>, tuning: &Tuning) -> Result<(), Stop> {
    let elements = ziplist(&reader.text()?).map_err(|_| Stop::Bad("Ziplist integrity check failed."))?;
    elements.iter().for_each(|element| push(list, element, tuning));
    Ok(())
}

/// The bytes of a listpack, as Redis would write them where it is Valkey's.
pub(super) fn as_redis_writes(text: Text<'_>, dialect: Dialect) -> Text<'_> {
    let may_differ = dialect == Dialect::Valkey && text.len() >= listpack::valkey::DIFFERS_FROM_BYTES;
    if may_differ && listpack::validate(&text, true).is_err() {
        // One that is not Valkey's either is refused by whoever reads it.
        return listpack::valkey::from_valkey(&text).map_or(text, Text::Made);
    }
    text
}

/// A listpack whose elements come in groups of `each`.
fn listpack<'b>(bytes: &'b [u8], each: usize, bad: &'static str) -> Result<Packed<'b>, Stop> {
    match listpack::validate(bytes, true) {
        Ok(count) if count % each == 0 => Ok(Packed::new(bytes)),
        _ => Err(Stop::Bad(bad)),
    }
}

fn ints(reader: &mut Reader<'_>, tuning: &Tuning) -> Result<Unpacked, Stop> {
    let bytes = reader.text()?.into_vec();
    intset::validate(&bytes, true).map_err(|_| Stop::Bad("Intset integrity check failed."))?;
    let mut set = Set::Ints(IntSet::from_bytes(bytes));
    if set.len() as u64 > tuning.set_max_intset_entries {
        set.become_table(tuning);
    }
    Ok(Unpacked::new(set))
}

/// A sorted set of members and scores.
fn zset<'e>(
    pairs: impl Iterator<Item = (Element<'e>, Element<'e>)> + Clone,
    count: usize,
    tuning: &Tuning,
) -> Result<Unpacked, Stop> {
    // A table from the start when it will be one: a listpack does not tell -0 from 0.
    let longest = pairs.clone().map(|(member, _)| member.len()).max().unwrap_or(0);
    let (mut zset, mut digits) = (Zset::with_hint(count, longest, tuning), [0; I64_BYTES_MAX]);
    let mut has_negative_zero = false;
    for (member, score) in pairs.clone() {
        let score = match score {
            Element::Int(score) => Some(score as f64),
            Element::Text(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
        };
        let score = score.ok_or(Stop::Bad("A score that is no number"))?;
        has_negative_zero |= score == 0.0 && score.is_sign_negative();
        add_member(&mut zset, member.bytes(&mut digits), score, tuning)?;
    }
    if has_negative_zero && let Zset::Packed(pack) = &mut zset {
        keep_signs(pack, pairs);
    }
    Ok(Unpacked::new(zset))
}

/// Takes the scores as they are written, where the members are in the same order: a score of -0 keeps its sign then, as in
/// Redis, although no command writes it into a listpack.
fn keep_signs<'e>(pack: &mut Listpack, pairs: impl Iterator<Item = (Element<'e>, Element<'e>)> + Clone) {
    if pack.pairs().map(|(member, _)| member).ne(pairs.clone().map(|(member, _)| member)) {
        return;
    }
    pack.clear();
    for (member, score) in pairs {
        pack.push_element(member);
        pack.push_element(score);
    }
}

/// A hash of names and values in turn; `bad` is said when a name has no value, or comes twice.
fn hash(texts: &[Vec<u8>], bad: Stop, tuning: &Tuning) -> Result<Unpacked, Stop> {
    let mut hash = Hash::new();
    hash.make_room(texts.len() / 2, 0, 0, tuning);
    for pair in texts.chunks(2) {
        let [name, value] = pair else { return Err(bad) };
        add_field(&mut hash, name, value, FieldDeadline::Clear, tuning).map_err(|_| bad)?;
    }
    Ok(Unpacked::new(hash))
}

/// Field, value and deadline in turn: the nearest deadline first, fields without one last.
fn hash_with_ttl(reader: &mut Reader<'_>, tuning: &Tuning) -> Result<Unpacked, Stop> {
    const BAD: &str = "Hash listpack integrity check failed.";
    let bytes = reader.text()?;
    let pack = listpack(&bytes, 3, BAD)?;
    let mut hash = Hash::new();
    hash.make_room(pack.len() / 3, 0, 0, tuning);
    let (mut name_digits, mut digits) = ([0; I64_BYTES_MAX], [0; I64_BYTES_MAX]);
    let mut elements = pack.iter();
    let mut latest_ms = 0;
    while let (Some(name), Some(value), Some(ms)) = (elements.next(), elements.next(), elements.next()) {
        let ms = ms.as_i64().and_then(|ms| u64::try_from(ms).ok()).ok_or(Stop::Bad(BAD))?;
        // No deadline is later than any.
        let order_ms = if ms == 0 { u64::MAX } else { ms };
        if order_ms < latest_ms {
            return Err(Stop::Bad(BAD));
        }
        latest_ms = order_ms;
        let (name, value) = (name.bytes(&mut name_digits), value.bytes(&mut digits));
        add_field(&mut hash, name, value, deadline(ms)?, tuning)?;
    }
    Ok(Unpacked::new(hash))
}
