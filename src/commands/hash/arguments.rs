//! What stands after the key of HSETEX, HGETEX, HEXPIRE and its kind: words in any order, and FIELDS with its fields among them.

use super::expire::{MILLISECONDS, SECONDS, UNIX_MILLISECONDS, UNIX_SECONDS, Unit, deadline_at};
use crate::base::number::parse_i64;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, quoted};
use std::ops::Range;

const UNITS: [(&str, Unit); 4] =
    [("ex", SECONDS), ("px", MILLISECONDS), ("exat", UNIX_SECONDS), ("pxat", UNIX_MILLISECONDS)];

const FIELDS_TWICE: CmdError = CmdError::coded("ERR FIELDS keyword specified multiple times");
const NO_FIELDS: CmdError = CmdError::coded("ERR missing FIELDS argument");
const WRONG_NUMBER: CmdError = CmdError::coded("ERR wrong number of arguments");

/// Which command is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Hgetex,
    Hsetex,
}

/// What HSETEX and HGETEX are told.
#[derive(Default)]
pub(super) struct Options {
    /// FNX (false) or FXX (true): whether the fields have to be there.
    pub(super) fields_there: Option<bool>,
    /// NX (false) or XX (true): whether the key has to be there.
    pub(super) key_there: Option<bool>,
    /// KEEPTTL.
    pub(super) keep: bool,
    /// PERSIST.
    pub(super) persist: bool,
    /// Where the word about time is, and what it means, as Unix time in milliseconds.
    pub(super) deadline: Option<(usize, u64)>,
    /// The arguments after FIELDS and the number: fields, of HSETEX with their values.
    pub(super) fields: Range<usize>,
}

/// The number after FIELDS at `index`, and the arguments that belong to it: so many a field.
fn fields_behind(
    ctx: &Ctx<'_>,
    index: usize,
    a_field: usize,
    no_number: CmdError,
) -> Result<Range<usize>, CmdError> {
    let count = ctx.args.get(index + 1).and_then(parse_i64);
    let count = count.filter(|count| (1..=i64::from(i32::MAX)).contains(count)).ok_or(no_number)?;
    let first = index + 2;
    let end = first + count as usize * a_field;
    if end > ctx.args.len() { Err(WRONG_NUMBER) } else { Ok(first..end) }
}

fn unknown(ctx: &Ctx<'_>, index: usize) -> CmdError {
    CmdError::err(format!("unknown argument: {}", quoted(ctx.args.at(index))))
}

/// Reads what HSETEX or HGETEX is told.
pub(super) fn options(ctx: &Ctx<'_>, of: Of) -> Result<Options, CmdError> {
    const ONE_CONDITION: CmdError = CmdError::coded("ERR Only one of FXX or FNX arguments can be specified");
    const ONE_KEY_CONDITION: CmdError =
        CmdError::coded("ERR Only one of NX or XX arguments can be specified");
    const NO_NUMBER: CmdError = CmdError::coded("ERR invalid number of fields");
    let one_time = CmdError::coded(match of {
        Of::Hsetex => "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
        Of::Hgetex => "ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified",
    });
    let args = ctx.args;
    let mut options = Options::default();
    let mut index = 2;
    while index < args.len() {
        let is = |word: &str| args.is(index, word);
        if is("fields") {
            if !options.fields.is_empty() {
                return Err(FIELDS_TWICE);
            }
            if index + 1 >= args.len() {
                return Err(CmdError::Arity(ctx.row.full_name));
            }
            let a_field = if of == Of::Hsetex { 2 } else { 1 };
            options.fields = fields_behind(ctx, index, a_field, NO_NUMBER)?;
            index = options.fields.end;
            continue;
        } else if is("fnx") || is("fxx") {
            if options.fields_there.is_some() {
                return Err(ONE_CONDITION);
            }
            options.fields_there = Some(is("fxx"));
        } else if of == Of::Hsetex && matches!(args.at(index), b"NX" | b"XX") {
            // Valkey's; Redis refuses the words, and its tests look for that in small letters.
            if options.key_there.is_some() {
                return Err(ONE_KEY_CONDITION);
            }
            options.key_there = Some(is("xx"));
        } else if is("keepttl") {
            if options.keep || options.deadline.is_some() {
                return Err(one_time);
            }
            options.keep = true;
        } else if is("persist") {
            if options.persist || options.deadline.is_some() {
                return Err(one_time);
            }
            options.persist = true;
        } else if let Some((_, unit)) = UNITS.into_iter().find(|(word, _)| is(word)) {
            if options.keep || options.persist || options.deadline.is_some() {
                return Err(one_time);
            }
            if index + 1 >= args.len() {
                return Err(CmdError::coded("ERR missing expire time"));
            }
            options.deadline = Some((index, deadline_at(ctx, index + 1, unit)?));
            index += 1;
        } else {
            return Err(unknown(ctx, index));
        }
        index += 1;
    }
    if options.fields.is_empty() {
        return Err(NO_FIELDS);
    }
    let is_others = match of {
        Of::Hgetex => options.keep || options.fields_there.is_some(),
        Of::Hsetex => options.persist,
    };
    if is_others { Err(CmdError::coded("ERR unknown argument")) } else { Ok(options) }
}

/// When a new deadline is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// Only where there is none.
    Nx,
    /// Only where there is one.
    Xx,
    /// Only a later one; none is the latest.
    Gt,
    /// Only an earlier one.
    Lt,
}

/// What HEXPIRE and its kind are told after the time.
pub(super) struct Expiring {
    /// The condition, and where it stands.
    pub(super) condition: Option<(usize, Condition)>,
    /// Where FIELDS stands.
    pub(super) fields_at: usize,
    /// The fields.
    pub(super) fields: Range<usize>,
}

/// Reads what HEXPIRE and its kind are told after the time.
pub(super) fn expiring(ctx: &Ctx<'_>) -> Result<Expiring, CmdError> {
    const TOO_FEW: CmdError =
        CmdError::coded("ERR FIELDS requires at least numfields and one field argument");
    const NO_NUMBER: CmdError = CmdError::coded("ERR Parameter `numFields` should be greater than 0");
    const CONDITIONS: [(&str, Condition); 4] =
        [("nx", Condition::Nx), ("xx", Condition::Xx), ("gt", Condition::Gt), ("lt", Condition::Lt)];
    let args = ctx.args;
    let mut said = Expiring { condition: None, fields_at: 0, fields: 0..0 };
    let mut is_contradictory = false;
    let mut index = 3;
    while index < args.len() {
        if args.is(index, "fields") {
            if said.fields_at > 0 {
                return Err(FIELDS_TWICE);
            }
            if index + 2 >= args.len() {
                return Err(TOO_FEW);
            }
            said.fields_at = index;
            said.fields = fields_behind(ctx, index, 1, NO_NUMBER)?;
            index = said.fields.end;
            continue;
        }
        let condition = CONDITIONS.into_iter().find(|(word, _)| args.is(index, word));
        let (_, condition) = condition.ok_or_else(|| unknown(ctx, index))?;
        is_contradictory |= said.condition.is_some_and(|(_, before)| before != condition);
        said.condition = Some((index, condition));
        index += 1;
    }
    if said.fields_at == 0 {
        return Err(NO_FIELDS);
    }
    match is_contradictory {
        true => Err(CmdError::coded("ERR Multiple condition flags specified")),
        false => Ok(said),
    }
}
