//! Strings as arrays of bits: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP, BITFIELD.

use crate::base::number::parse_i64;
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::engine::spec::{Begin, Find, Group, KeySpec, Spec, acl, key, key_at, keys_from};
use crate::keyspace::{Deadline, EventClass, NewValue};
use crate::structures::bits::{self, Operation};
use crate::structures::slab::Handle;
use bytes::{Bytes, BytesMut};

const RANGE_HISTORY: &[(&str, &str)] = &[("7.0.0", "`BYTE` and `BIT` came.")];
const KEY_OF_BITFIELD: &[KeySpec] = &[KeySpec {
    flags: key::RW | key::ACCESS | key::UPDATE | key::VARIABLE_FLAGS,
    begin: Begin::Index(1),
    find: Find::Range { last: 0, step: 1, limit: 0 },
    notes: "This command allows both access and modification of the key",
}];

pub(in crate::commands) const COMMANDS: &[Spec] = &[
    Spec::local("setbit", 4, setbit)
        .flags(WRITE | DENYOOM)
        .acl(acl::BITMAP)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::UPDATE)])
        .doc(Group::Bitmap, "2.2.0", "O(1)", "Sets or clears a bit of a string, which grows if need be.")
        .syntax("key@0 offset:integer value:integer"),
    Spec::local("getbit", 3, getbit)
        .flags(READONLY | FAST)
        .acl(acl::BITMAP)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(Group::Bitmap, "2.2.0", "O(1)", "Gives a bit of a string.")
        .syntax("key@0 offset:integer"),
    Spec::local("bitcount", -2, bitcount)
        .flags(READONLY)
        .acl(acl::BITMAP)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(Group::Bitmap, "2.6.0", "O(N) where N is the length looked at.", "Counts the bits that are set.")
        .syntax("key@0 range{start:integer end:integer unit(BYTE | BIT)?#7.0.0}?")
        .history(RANGE_HISTORY),
    Spec::local("bitpos", -3, bitpos)
        .flags(READONLY)
        .acl(acl::BITMAP)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(
            Group::Bitmap,
            "2.8.7",
            "O(N) where N is the length looked at.",
            "Finds the first bit that is set or cleared.",
        )
        .syntax("key@0 bit:integer range{start:integer end-unit-block{end:integer unit(BYTE | BIT)?#7.0.0}?}?")
        .history(RANGE_HISTORY),
    Spec::local("bitop", -4, bitop)
        .flags(WRITE | DENYOOM)
        .acl(acl::BITMAP)
        .keys(&[key_at(2, key::OW | key::UPDATE), keys_from(3, -1, 1, key::RO | key::ACCESS)])
        .doc(
            Group::Bitmap,
            "2.6.0",
            "O(N) where N is the length of the longest string.",
            "Combines strings bit by bit and stores the result.",
        )
        .syntax(
            "operation(AND | OR | XOR | NOT | DIFF#8.2.0 | DIFF1#8.2.0 | ANDOR#8.2.0 | ONE#8.2.0) destkey@0 key@1+",
        )
        .history(&[("8.2.0", "`DIFF`, `DIFF1`, `ANDOR` and `ONE` came.")]),
    Spec::local("bitfield", -2, bitfield)
        .key_flags(|args| match (2..args.len()).any(|i| args.is(i, "set") || args.is(i, "incrby")) {
            true => key::RW | key::ACCESS | key::UPDATE,
            false => key::RO | key::ACCESS,
        })
        .flags(WRITE | DENYOOM)
        .acl(acl::BITMAP)
        .keys(KEY_OF_BITFIELD)
        .doc(
            Group::Bitmap,
            "3.2.0",
            "O(1) for each operation.",
            "Reads and writes integers of any width inside a string.",
        )
        .syntax(
            "key@0 operation(GET=get-block{encoding offset:integer} | write{OVERFLOW=overflow-block(WRAP | SAT | FAIL)? \
             write-operation(SET=set-block{encoding offset:integer value:integer} | INCRBY=incrby-block{encoding \
             offset:integer increment:integer})})?+",
        ),
    Spec::local("bitfield_ro", -2, bitfield_ro)
        .flags(READONLY | FAST)
        .acl(acl::BITMAP)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(
            Group::Bitmap,
            "6.0.0",
            "O(1) for each operation.",
            "Reads integers of any width inside a string.",
        )
        .syntax("key@0 GET=get-block{encoding offset:integer}?+^"),
];

const BAD_OFFSET: CmdError = CmdError::coded("ERR bit offset is not an integer or out of range");

/// The argument at `index` as the offset of a bit in a string that may exist; `width`: what `#` counts.
fn offset_at(ctx: &Ctx<'_>, index: usize, width: Option<u64>) -> Result<usize, CmdError> {
    let text = ctx.args.at(index);
    let (text, factor) = match (text, width) {
        ([b'#', rest @ ..], Some(width)) => (rest, width),
        _ => (text, 1),
    };
    let offset = parse_i64(text).and_then(|offset| u64::try_from(offset).ok());
    let offset = offset.and_then(|offset| offset.checked_mul(factor));
    let fits = offset.filter(|offset| offset / 8 < ctx.conf.proto_max_bulk_len_bytes);
    fits.map(|offset| offset as usize).ok_or(BAD_OFFSET)
}

/// The string at a key, to be changed, with at least `bytes` bytes; and whether it had to grow.
fn string_of(ctx: &mut Ctx<'_>, found: Option<Handle>, bytes: usize) -> Result<(BytesMut, bool), CmdError> {
    let mut string = match found {
        Some(handle) => ctx.db().string_to_change(handle).ok_or(CmdError::WrongType)?,
        None => BytesMut::with_capacity(bytes),
    };
    let grows = string.len() < bytes;
    if grows {
        string.resize(bytes, 0);
    }
    Ok((string, grows || found.is_none()))
}

/// Puts back a string whose bits were changed.
fn put_string(ctx: &mut Ctx<'_>, key: Key<'_>, found: Option<Handle>, string: BytesMut) {
    ctx.set(key, found, NewValue::Raw(string.freeze()), Deadline::Keep);
}

fn setbit(ctx: &mut Ctx<'_>) -> CmdResult {
    let offset = offset_at(ctx, 2, None)?;
    let bit = ctx.int(3).ok().filter(|bit| (0..=1).contains(bit));
    let bit = bit.ok_or(CmdError::coded("ERR bit is not an integer or out of range"))? as u64;
    let key = ctx.key(1);
    let found = ctx.write(key);
    let (mut string, grew) = string_of(ctx, found, offset / 8 + 1)?;
    let old = bits::get_unsigned(&string, offset, 1);
    bits::set(&mut string, offset, 1, bit);
    put_string(ctx, key, found, string);
    if grew || old != bit {
        ctx.changed(1);
        ctx.notify(EventClass::String, "setbit", key.bytes);
    } else {
        ctx.propagate_nothing();
    }
    ctx.reply.int(old as i64);
    Ok(Outcome::Done)
}

fn getbit(ctx: &mut Ctx<'_>) -> CmdResult {
    let offset = offset_at(ctx, 2, None)?;
    let bit = match ctx.read(ctx.key(1)) {
        Some(handle) => bits::get_unsigned(&ctx.text(handle)?, offset, 1),
        None => 0,
    };
    ctx.reply.int(bit as i64);
    Ok(Outcome::Done)
}

/// A part of what says where to look.
enum Part {
    End,
    Unit,
}

/// The part of a string that BITCOUNT and BITPOS look at, as they are asked for it.
struct Range {
    start: i64,
    end: i64,
    /// Both count bits, not bytes.
    in_bits: bool,
}

impl Range {
    /// Reads start, end and unit from argument `from` on; without them it is the whole string. `first`: what is found
    /// fault with first, should both the end and the unit be wrong.
    fn parse(ctx: &Ctx<'_>, from: usize, first: Part) -> Result<Range, CmdError> {
        let args = ctx.args;
        if args.len() > from + 3 {
            return Err(CmdError::Syntax);
        }
        let start = if args.len() > from { ctx.int(from)? } else { 0 };
        let end = if args.len() > from + 1 { ctx.int(from + 1) } else { Ok(-1) };
        let in_bits = match args.len() > from + 2 {
            true if args.is(from + 2, "bit") => Ok(true),
            true if !args.is(from + 2, "byte") => Err(CmdError::Syntax),
            _ => Ok(false),
        };
        match first {
            Part::End => Ok(Range { start, end: end?, in_bits: in_bits? }),
            Part::Unit => Ok(Range { start, in_bits: in_bits?, end: end? }),
        }
    }

    /// Whether both ends are counted from the end, and the wrong way round.
    fn is_backwards(&self) -> bool {
        self.start < 0 && self.end < 0 && self.start > self.end
    }

    /// First and last bit of a string of `bytes` bytes; none when that is nothing.
    fn bits(&self, bytes: usize) -> Option<(usize, usize)> {
        let total = if self.in_bits { bytes as i64 * 8 } else { bytes as i64 };
        let from_end = |at: i64| if at < 0 { at.saturating_add(total).max(0) } else { at };
        let (start, end) = (from_end(self.start), from_end(self.end).min(total - 1));
        if start > end {
            return None;
        }
        let (start, end) = (start as usize, end as usize);
        Some(if self.in_bits { (start, end) } else { (start * 8, end * 8 + 7) })
    }
}

fn bitcount(ctx: &mut Ctx<'_>) -> CmdResult {
    if ctx.args.len() == 3 {
        return Err(CmdError::Syntax);
    }
    let range = Range::parse(ctx, 2, Part::End)?;
    let count = match ctx.read(ctx.key(1)) {
        Some(handle) => {
            let string = ctx.text(handle)?;
            let bits = range.bits(string.len()).filter(|_| !range.is_backwards());
            bits.map_or(0, |(from, to)| bits::count_between(&string, from, to))
        }
        None => 0,
    };
    ctx.reply.int(count as i64);
    Ok(Outcome::Done)
}

fn bitpos(ctx: &mut Ctx<'_>) -> CmdResult {
    let bit = match ctx.int(2)? {
        0 => false,
        1 => true,
        _ => return Err(CmdError::coded("ERR The bit argument must be 1 or 0.")),
    };
    let range = Range::parse(ctx, 3, Part::Unit)?;
    let Some(handle) = ctx.read(ctx.key(1)) else {
        ctx.reply.int(if bit { -1 } else { 0 });
        return Ok(Outcome::Done);
    };
    let string = ctx.text(handle)?;
    let at = match range.bits(string.len()) {
        None => -1,
        Some((from, to)) => match bits::find_between(&string, bit, from, to) {
            Some(at) => at as i64,
            // Behind a string there are zeros without end, unless somebody said where to stop.
            None if !bit && ctx.args.len() < 5 => to as i64 + 1,
            None => -1,
        },
    };
    ctx.reply.int(at);
    Ok(Outcome::Done)
}

fn bitop(ctx: &mut Ctx<'_>) -> CmdResult {
    const OPERATIONS: [(&str, Operation); 8] = [
        ("and", Operation::And),
        ("or", Operation::Or),
        ("xor", Operation::Xor),
        ("not", Operation::Not),
        ("diff", Operation::Diff),
        ("diff1", Operation::Diff1),
        ("andor", Operation::AndOr),
        ("one", Operation::One),
    ];
    let (name, operation) =
        OPERATIONS.into_iter().find(|(name, _)| ctx.args.is(1, name)).ok_or(CmdError::Syntax)?;
    let count = ctx.args.len() - 3;
    if operation == Operation::Not && count != 1 {
        return Err(CmdError::coded("ERR BITOP NOT must be called with a single source key."));
    }
    if matches!(operation, Operation::Diff | Operation::Diff1 | Operation::AndOr) && count < 2 {
        let name = name.to_ascii_uppercase();
        return Err(CmdError::err(format!("BITOP {name} must be called with at least two source keys.")));
    }
    let mut handles = Vec::with_capacity(count);
    for index in 3..ctx.args.len() {
        let handle = ctx.read(ctx.key(index));
        if let Some(handle) = handle {
            ctx.text(handle)?;
        }
        handles.push(handle);
    }
    let texts: Vec<_> =
        handles.iter().map(|handle| handle.and_then(|handle| ctx.text(handle).ok())).collect();
    let strings: Vec<&[u8]> = texts.iter().map(|text| text.as_deref().unwrap_or(b"")).collect();
    let result = bits::combine(operation, &strings);
    let to = ctx.key(2);
    let len = result.len();
    // Of Redis 8.2: a follower of 8.0 is told the result.
    let is_newer =
        matches!(operation, Operation::Diff | Operation::Diff1 | Operation::AndOr | Operation::One);
    if len > 0 {
        let (found, result) = (ctx.peek(to), Bytes::from(result));
        if is_newer {
            ctx.propagate_as(&[b"SET", to.bytes, &result[..]]);
        }
        ctx.replace(to, found, NewValue::Raw(result), Deadline::Clear);
        ctx.notify(EventClass::String, "set", to.bytes);
        ctx.changed(1);
    } else if ctx.peek(to).is_some() {
        ctx.remove(to);
        ctx.notify(EventClass::Generic, "del", to.bytes);
        ctx.changed(1);
        if is_newer {
            ctx.propagate_as(&[b"DEL", to.bytes]);
        }
    }
    ctx.reply.int(len as i64);
    Ok(Outcome::Done)
}

/// What becomes of a number that does not fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// One operation of BITFIELD.
struct FieldOperation {
    kind: FieldKind,
    is_signed: bool,
    width: usize,
    offset: usize,
}

enum FieldKind {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

/// `u1` to `u63`, `i1` to `i64`.
fn parse_encoding(text: &[u8]) -> Result<(bool, usize), CmdError> {
    const BAD: CmdError = CmdError::coded(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
    );
    let (is_signed, width) = match text {
        [b'i', width @ ..] => (true, width),
        [b'u', width @ ..] => (false, width),
        _ => return Err(BAD),
    };
    let width = parse_i64(width).filter(|width| (1..=if is_signed { 64 } else { 63 }).contains(width));
    Ok((is_signed, width.ok_or(BAD)? as usize))
}

fn parse_operations(ctx: &Ctx<'_>, read_only: bool) -> Result<Vec<FieldOperation>, CmdError> {
    let args = ctx.args;
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut index = 2;
    while index < args.len() {
        let left = args.len() - index - 1;
        let is = |word: &str| args.is(index, word);
        let (takes, is_get) = if is("get") && left >= 2 {
            (2, true)
        } else if (is("set") || is("incrby")) && left >= 3 {
            (3, false)
        } else if is("overflow") && left >= 1 {
            overflow = if args.is(index + 1, "wrap") {
                Overflow::Wrap
            } else if args.is(index + 1, "sat") {
                Overflow::Saturate
            } else if args.is(index + 1, "fail") {
                Overflow::Fail
            } else {
                return Err(CmdError::coded("ERR Invalid OVERFLOW type specified"));
            };
            index += 2;
            continue;
        } else {
            return Err(CmdError::Syntax);
        };
        let (is_signed, width) = parse_encoding(args.at(index + 1))?;
        let offset = offset_at(ctx, index + 2, Some(width as u64))?;
        let kind = if is_get {
            FieldKind::Get
        } else {
            let value = ctx.int(index + 3)?;
            if is("set") { FieldKind::Set(value, overflow) } else { FieldKind::Add(value, overflow) }
        };
        if read_only && !is_get {
            return Err(CmdError::coded("ERR BITFIELD_RO only supports the GET subcommand"));
        }
        operations.push(FieldOperation { kind, is_signed, width, offset });
        index += takes + 1;
    }
    Ok(operations)
}

impl FieldOperation {
    fn read(&self, bytes: &[u8]) -> i64 {
        if self.is_signed {
            bits::get_signed(bytes, self.offset, self.width)
        } else {
            bits::get_unsigned(bytes, self.offset, self.width) as i64
        }
    }

    /// A number made to fit; none when it does not and that is a failure.
    fn fit(&self, value: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = if self.is_signed {
            (-(1i128 << (self.width - 1)), (1i128 << (self.width - 1)) - 1)
        } else {
            (0, (1i128 << self.width) - 1)
        };
        if (min..=max).contains(&value) {
            return Some(value as i64);
        }
        match overflow {
            Overflow::Fail => None,
            Overflow::Saturate => Some(if value < min { min } else { max } as i64),
            Overflow::Wrap => {
                let shift = 64 - self.width;
                let cut = (value as u64) << shift;
                Some(if self.is_signed { cut as i64 >> shift } else { (cut >> shift) as i64 })
            }
        }
    }

    /// What is to be written, and what is answered; none for a failure.
    fn change(&self, old: i64) -> Option<(i64, i64)> {
        match self.kind {
            FieldKind::Get => None,
            FieldKind::Set(value, overflow) => {
                // A negative number counts as a large one where there is no sign.
                let wanted = match (self.is_signed, overflow) {
                    (false, _) => i128::from(value as u64),
                    // So far below that the distance to the upper bound overflows, it counts as above, as in Redis.
                    (true, Overflow::Saturate) if value < i64::MIN + (1i64 << (self.width - 1)).max(0) => {
                        i64::MAX.into()
                    }
                    (true, _) => i128::from(value),
                };
                self.fit(wanted, overflow).map(|new| (new, old))
            }
            FieldKind::Add(by, overflow) => {
                self.fit(i128::from(old) + i128::from(by), overflow).map(|new| (new, new))
            }
        }
    }
}

fn bitfield(ctx: &mut Ctx<'_>) -> CmdResult {
    let operations = parse_operations(ctx, false)?;
    let is_write = |operation: &&FieldOperation| !matches!(operation.kind, FieldKind::Get);
    let end = operations.iter().filter(is_write).map(|operation| operation.offset + operation.width).max();
    let Some(end) = end else { return read_fields(ctx, &operations) };
    let key = ctx.key(1);
    let found = ctx.write(key);
    let (mut string, grew) = string_of(ctx, found, end.div_ceil(8))?;
    let mut changes = 0;
    ctx.reply.array(operations.len());
    for operation in &operations {
        let old = operation.read(&string);
        if let FieldKind::Get = operation.kind {
            ctx.reply.int(old);
            continue;
        }
        match operation.change(old) {
            Some((new, answer)) => {
                bits::set(&mut string, operation.offset, operation.width, new as u64);
                changes += u64::from(grew || new != old);
                ctx.reply.int(answer);
            }
            None => ctx.reply.null(),
        }
    }
    put_string(ctx, key, found, string);
    if changes > 0 {
        ctx.changed(changes);
        ctx.notify(EventClass::String, "setbit", key.bytes);
    } else if grew {
        // Every change failed, and yet there are more zero bytes than before: whoever follows has to have them too.
        ctx.changed(1);
    } else {
        ctx.propagate_nothing();
    }
    Ok(Outcome::Done)
}

fn bitfield_ro(ctx: &mut Ctx<'_>) -> CmdResult {
    let operations = parse_operations(ctx, true)?;
    read_fields(ctx, &operations)
}

fn read_fields(ctx: &mut Ctx<'_>, operations: &[FieldOperation]) -> CmdResult {
    let found = ctx.read(ctx.key(1));
    let values: Vec<i64> = match found {
        Some(handle) => {
            let string = ctx.text(handle)?;
            operations.iter().map(|operation| operation.read(&string)).collect()
        }
        None => vec![0; operations.len()],
    };
    ctx.reply.array(values.len());
    values.into_iter().for_each(|value| ctx.reply.int(value));
    Ok(Outcome::Done)
}
