//! Changes that depend on what a string holds: the conditions of SET, DELIFEQ, DELEX, DIGEST.
//!
//! A value can be compared as it is, or by its digest, XXH3 in 64 bits as 16 hex digits, so that a client can say what it
//! expects without sending it.

use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::EventClass;
use crate::resp::Args;
use crate::structures::slab::Handle;
use xxhash_rust::xxh3::xxh3_64;

/// What the old string must be, or must not be. The number is that of the argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// IFEQ.
    Equal(usize),
    /// IFNE.
    NotEqual(usize),
    /// IFDEQ.
    DigestEqual(usize),
    /// IFDNE.
    DigestNotEqual(usize),
}

/// The condition whose word is at `index`, if its argument follows.
pub(super) fn parse(args: Args<'_>, index: usize) -> Option<Condition> {
    let at = index + 1;
    let words = [
        ("ifeq", Condition::Equal(at)),
        ("ifne", Condition::NotEqual(at)),
        ("ifdeq", Condition::DigestEqual(at)),
        ("ifdne", Condition::DigestNotEqual(at)),
    ];
    let (_, condition) = words.into_iter().find(|(word, _)| args.is(index, word))?;
    (at < args.len()).then_some(condition)
}

/// Whether a request names a condition from the argument `from` on.
pub(super) fn is_named(args: Args<'_>, from: usize) -> bool {
    let words = ["ifeq", "ifne", "ifdeq", "ifdne"];
    (from..args.len()).any(|index| words.iter().any(|word| args.is(index, word)))
}

impl Condition {
    /// Whether another one has the same word; then the last one counts.
    pub(super) fn is_like(self, other: Condition) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    /// Where its argument is.
    pub(super) fn index(self) -> usize {
        match self {
            Condition::Equal(index)
            | Condition::NotEqual(index)
            | Condition::DigestEqual(index)
            | Condition::DigestNotEqual(index) => index,
        }
    }

    /// Whether a key that does not exist fulfils it.
    pub(super) fn holds_without_key(self) -> bool {
        matches!(self, Condition::NotEqual(_) | Condition::DigestNotEqual(_))
    }

    /// Whether a digest has its length, if it is one.
    ///
    /// # Errors
    ///
    /// When it has not.
    fn check(self, args: Args<'_>) -> Result<(), CmdError> {
        let (Condition::DigestEqual(index) | Condition::DigestNotEqual(index)) = self else { return Ok(()) };
        // What no digest can be is not equal to any.
        match args.at(index).len() {
            16 => Ok(()),
            _ => Err(CmdError::coded("ERR must be exactly 16 hexadecimal characters")),
        }
    }

    /// Whether the string in an entry fulfils it.
    ///
    /// # Errors
    ///
    /// [`CmdError::WrongType`] for a value of another type, and another one for a digest that has not its length.
    pub(super) fn holds(self, ctx: &Ctx<'_>, handle: Handle) -> Result<bool, CmdError> {
        let text = ctx.text(handle)?;
        self.check(ctx.args)?;
        let expected = ctx.args.at(self.index());
        Ok(match self {
            Condition::Equal(_) => *text == *expected,
            Condition::NotEqual(_) => *text != *expected,
            Condition::DigestEqual(_) => digest(&text).eq_ignore_ascii_case(expected),
            Condition::DigestNotEqual(_) => !digest(&text).eq_ignore_ascii_case(expected),
        })
    }
}

fn digest(text: &[u8]) -> [u8; 16] {
    let number = xxh3_64(text);
    std::array::from_fn(|i| b"0123456789abcdef"[(number >> (60 - 4 * i)) as usize & 15])
}

pub(super) fn digest_of(ctx: &mut Ctx<'_>) -> CmdResult {
    let Some(handle) = ctx.read(ctx.key(1)) else {
        ctx.reply.null();
        return Ok(Outcome::Done);
    };
    let digest = digest(&ctx.text(handle)?);
    ctx.reply.bulk(&digest);
    Ok(Outcome::Done)
}

pub(super) fn delifeq(ctx: &mut Ctx<'_>) -> CmdResult {
    delete_if(ctx, Some(Condition::Equal(2)))
}

pub(super) fn delex(ctx: &mut Ctx<'_>) -> CmdResult {
    match ctx.args.len() {
        2 => return delete_if(ctx, None),
        4 => {}
        _ => return Err(CmdError::Arity(ctx.row.full_name)),
    }
    // Redis looks at the condition when there is a key.
    let Some(handle) = ctx.peek(ctx.key(1)) else {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    };
    ctx.text(handle)
        .map_err(|_| CmdError::coded("ERR Key should be of string type if conditions are specified"))?;
    let condition = parse(ctx.args, 2)
        .ok_or(CmdError::coded("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"))?;
    delete_if(ctx, Some(condition))
}

/// Removes a key whose string fulfils a condition, or any key without one.
fn delete_if(ctx: &mut Ctx<'_>, condition: Option<Condition>) -> CmdResult {
    let key = ctx.key(1);
    let removed = match ctx.write(key) {
        None => false,
        Some(handle) => match condition {
            Some(condition) => condition.holds(ctx, handle)?,
            None => true,
        },
    };
    if removed {
        ctx.remove(key);
        ctx.changed(1);
        ctx.notify(EventClass::Generic, "del", key.bytes);
        ctx.propagate_as(&[b"DEL", key.bytes]);
    }
    ctx.reply.int(i64::from(removed));
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_documentation() {
        assert_eq!(&digest(b"Hello world"), b"b6acb9d84a38ff74");
    }
}
