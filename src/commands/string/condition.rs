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

impl Condition {
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

    /// Whether a digest is well formed, if it is one.
    ///
    /// # Errors
    ///
    /// When the argument should be a digest and is none.
    pub(super) fn check(self, args: Args<'_>) -> Result<(), CmdError> {
        let (Condition::DigestEqual(index) | Condition::DigestNotEqual(index)) = self else { return Ok(()) };
        let digest = args.at(index);
        if digest.len() == 16 && digest.iter().all(u8::is_ascii_hexdigit) {
            return Ok(());
        }
        Err(CmdError::coded("ERR digest must be exactly 16 hexadecimal characters"))
    }

    /// Whether the string in an entry fulfils it.
    ///
    /// # Errors
    ///
    /// [`CmdError::WrongType`] for a value of another type.
    pub(super) fn holds(self, ctx: &Ctx<'_>, handle: Handle) -> Result<bool, CmdError> {
        let text = ctx.text(handle)?;
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
    let args = ctx.args;
    let condition = match args.len() {
        2 => None,
        4 => Some(parse(args, 2).ok_or(CmdError::Syntax)?),
        _ => return Err(CmdError::Arity(ctx.row.full_name)),
    };
    if let Some(condition) = condition {
        condition.check(args)?;
    }
    delete_if(ctx, condition)
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
