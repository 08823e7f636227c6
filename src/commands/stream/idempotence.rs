//! Entries that are added once although they are sent twice: what XADD IDMP asks for, XCFGSET and XIDMPRECORD.

use super::id_at;
use super::options::Producer;
use crate::config::RdbVersion;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::types::Stream;
use crate::keyspace::types::stream::{DURATION_S_LIMIT, IDS_LIMIT, StreamId};
use std::borrow::Cow;
use xxhash_rust::xxh3::Xxh3;

/// The name of a producer, and the id that it gives to the entry whose fields begin at argument `first`.
pub(super) fn sender<'a>(ctx: &Ctx<'a>, producer: Producer, first: usize) -> (&'a [u8], Cow<'a, [u8]>) {
    let args = ctx.args;
    let id = match producer.is_auto {
        true => Cow::Owned(id_of_fields(args.iter_from(first)).to_vec()),
        false => Cow::Borrowed(args.at(producer.from + 2)),
    };
    (args.at(producer.from + 1), id)
}

/// The id that IDMPAUTO gives to an entry with these names and values, whatever their order. Redis writes it to dumps and to
/// the log, so it is made as there: of each pair XXH3 in 128 bits over the name, its length in eight bytes, and the value; the
/// halves of all are summed up and joined by exclusive or, and the sum of a half is joined with the other half, turned by a bit.
fn id_of_fields<'f>(mut words: impl Iterator<Item = &'f [u8]>) -> [u8; 16] {
    let (mut sums, mut joined) = ([0_u64; 2], [0_u64; 2]);
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        let mut hash = Xxh3::new();
        hash.update(name);
        hash.update(&(name.len() as u64).to_le_bytes());
        hash.update(value);
        let hash = hash.digest128();
        for (at, half) in [hash as u64, (hash >> 64) as u64].into_iter().enumerate() {
            sums[at] = sums[at].wrapping_add(half);
            joined[at] ^= half;
        }
    }
    let (low, high) = (sums[0] ^ joined[1].rotate_left(1), sums[1] ^ joined[0].rotate_left(1));
    (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
}

/// Propagates what is about ids of producers: to the log as it is, and to replicas only where `rdb-version` says that they know
/// what Redis 8.6 knows. `plain` is the same without a word of that, if anything remains.
pub(super) fn propagate<A: AsRef<[u8]>>(ctx: &mut Ctx<'_>, plain: Option<&[Vec<u8>]>, log: &[A]) {
    match plain {
        _ if ctx.conf.rdb_version == RdbVersion::V13 => ctx.propagate_as(log),
        Some(plain) => ctx.propagate_apart(plain, log),
        None => ctx.propagate_to_log(log),
    }
}

/// What XCFGSET has to say.
#[derive(Default)]
struct Bounds {
    duration_s: Option<u32>,
    ids_max: Option<u32>,
}

fn bounds(ctx: &Ctx<'_>) -> Result<Bounds, CmdError> {
    let args = ctx.args;
    let mut bounds = Bounds::default();
    let mut index = 2;
    while index < args.len() {
        let has_more = index + 1 < args.len();
        let (bound, name, max, unit) = if has_more && args.is(index, "idmp-duration") {
            (&mut bounds.duration_s, "IDMP-DURATION", DURATION_S_LIMIT, "seconds")
        } else if has_more && args.is(index, "idmp-maxsize") {
            (&mut bounds.ids_max, "IDMP-MAXSIZE", IDS_LIMIT, "entries")
        } else {
            return Err(CmdError::Syntax);
        };
        if bound.is_some() {
            return Err(CmdError::err(format!("{name} specified multiple times")));
        }
        let value = ctx.int(index + 1)?;
        let value = u32::try_from(value).ok().filter(|value| (1..=max).contains(value));
        *bound =
            Some(value.ok_or_else(|| CmdError::err(format!("{name} must be between 1 and {max} {unit}")))?);
        index += 2;
    }
    if bounds.duration_s.is_none() && bounds.ids_max.is_none() {
        return Err(CmdError::coded("ERR At least one parameter must be specified"));
    }
    Ok(bounds)
}

pub(super) fn xcfgset(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    // A key of another type, or none, is told before any word is looked at.
    let handle = ctx.write(key).ok_or(CmdError::NoSuchKey)?;
    ctx.db_ref().value(handle).stream()?;
    let bounds = bounds(ctx)?;
    let mut stream = ctx.take::<Box<Stream>>(handle)?;
    let known = &mut stream.idempotence;
    let before = (known.duration_s, known.ids_max);
    known.duration_s = bounds.duration_s.unwrap_or(known.duration_s);
    known.ids_max = bounds.ids_max.unwrap_or(known.ids_max);
    let is_other = before != (known.duration_s, known.ids_max);
    if is_other {
        known.clear();
    }
    if is_other {
        ctx.put(key, stream);
        ctx.changed(1);
        let words: Vec<&[u8]> = ctx.args.iter_from(0).collect();
        propagate(ctx, None, &words);
    } else {
        ctx.put_quietly(key, stream);
    }
    ctx.reply.ok();
    Ok(Outcome::Done)
}

pub(super) fn xidmprecord(ctx: &mut Ctx<'_>) -> CmdResult {
    let entry: StreamId = id_at(ctx, 4, 0)?;
    let (producer, id) = (ctx.args.at(2), ctx.args.at(3));
    if producer.is_empty() {
        return Err(CmdError::coded("ERR producer ID must be non-empty"));
    }
    if id.is_empty() {
        return Err(CmdError::coded("ERR idempotent ID must be non-empty"));
    }
    let key = ctx.key(1);
    let handle = ctx.write(key).ok_or(CmdError::NoSuchKey)?;
    let stream = ctx.db_ref().value(handle).stream()?;
    if !stream.log.contains(entry) {
        return Err(CmdError::coded("ERR No such message in stream"));
    }
    match stream.idempotence.find(producer, id) {
        Some(known) if known == entry => {}
        Some(_) => {
            return Err(CmdError::coded(
                "ERR IID already exists for this producer with a different stream ID",
            ));
        }
        None => {
            let mut stream = ctx.take::<Box<Stream>>(handle)?;
            stream.idempotence.note(producer, id, entry);
            ctx.put(key, stream);
            ctx.changed(1);
            let words: Vec<&[u8]> = ctx.args.iter_from(0).collect();
            propagate(ctx, None, &words);
        }
    }
    ctx.reply.ok();
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_fields_does_not_depend_on_their_order_and_tells_a_name_from_a_value() {
        let id = |words: &[&str]| id_of_fields(words.iter().map(|word| word.as_bytes()));
        assert_eq!(id(&["a", "1", "b", "2"]), id(&["b", "2", "a", "1"]));
        assert_ne!(id(&["a", "1", "b", "2"]), id(&["a", "2", "b", "1"]));
        assert_ne!(id(&["ab", "c"]), id(&["a", "bc"]));
    }
}
