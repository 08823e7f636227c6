//! The library `cmsgpack`: values to MessagePack and back.

use super::{DEPTH_MAX, Failure, Native, RESULTS_MAX, bytes_at, number_at};
use mlua::{Lua, Table, Value};

pub(super) const FUNCTIONS: &[(&str, Native)] =
    &[("pack", pack), ("unpack", unpack_all), ("unpack_one", unpack_one), ("unpack_limit", unpack_limit)];

/// Tables within tables beyond this are packed as nil.
const PACKED_DEPTH_MAX: usize = 16;

/// Adds the constants of the library.
///
/// # Errors
///
/// When the memory does not suffice.
pub fn add_constants(library: &Table) -> mlua::Result<()> {
    library.raw_set("_NAME", "cmsgpack")?;
    library.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    library.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    library.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")
}

fn pack(lua: &Lua, args: &[Value]) -> Result<Vec<Value>, Failure> {
    if args.is_empty() {
        return Err(Failure::argument(0, "MessagePack pack needs input."));
    }
    let mut packed = Vec::new();
    for value in args {
        encode(value, 0, &mut packed)?;
    }
    Ok(vec![Value::String(lua.create_string(packed)?)])
}

fn encode(value: &Value, depth: usize, into: &mut Vec<u8>) -> Result<(), Failure> {
    match value {
        Value::String(text) => {
            let bytes = text.as_bytes();
            match bytes.len() {
                n @ ..32 => into.push(0xa0 | n as u8),
                n @ ..0x100 => into.extend([0xd9, n as u8]),
                n => sized(into, n, 0xda),
            }
            into.extend_from_slice(&bytes);
        }
        Value::Boolean(value) => into.push(0xc2 | u8::from(*value)),
        Value::Integer(value) => encode_integer(*value, into),
        Value::Number(value) => encode_number(*value, into),
        Value::Table(table) if depth < PACKED_DEPTH_MAX => encode_table(table, depth, into)?,
        _ => into.push(0xc0),
    }
    Ok(())
}

/// A length of 16 bits after `tag`, or one of 32 bits after the next tag.
fn sized(into: &mut Vec<u8>, n: usize, tag: u8) {
    match u16::try_from(n) {
        Ok(n) => {
            into.push(tag);
            into.extend(n.to_be_bytes());
        }
        Err(_) => {
            into.push(tag + 1);
            into.extend((n as u32).to_be_bytes());
        }
    }
}

fn encode_number(value: f64, into: &mut Vec<u8>) {
    let integer = value as i64;
    if integer as f64 == value && integer != i64::MAX {
        return encode_integer(integer, into);
    }
    if f64::from(value as f32) == value {
        into.push(0xca);
        into.extend((value as f32).to_be_bytes());
    } else {
        into.push(0xcb);
        into.extend(value.to_be_bytes());
    }
}

fn encode_integer(value: i64, into: &mut Vec<u8>) {
    match value {
        0..=0x7f => into.push(value as u8),
        0x80..=0xff => into.extend([0xcc, value as u8]),
        0x100..=0xffff => {
            into.push(0xcd);
            into.extend((value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            into.push(0xce);
            into.extend((value as u32).to_be_bytes());
        }
        0x1_0000_0000.. => {
            into.push(0xcf);
            into.extend((value as u64).to_be_bytes());
        }
        -32..=-1 => into.push(value as u8),
        -128..=-33 => into.extend([0xd0, value as u8]),
        -0x8000..=-129 => {
            into.push(0xd1);
            into.extend((value as i16).to_be_bytes());
        }
        -0x8000_0000..=-0x8001 => {
            into.push(0xd2);
            into.extend((value as i32).to_be_bytes());
        }
        _ => {
            into.push(0xd3);
            into.extend(value.to_be_bytes());
        }
    }
}

/// How many elements a table has, if its keys are the integers from 1 to their number.
fn array_len(table: &Table) -> Result<Option<usize>, Failure> {
    let (mut count, mut max) = (0usize, 0f64);
    for pair in table.pairs::<Value, Value>() {
        let key = match pair?.0 {
            Value::Integer(key) => key as f64,
            Value::Number(key) => key,
            _ => return Ok(None),
        };
        if key <= 0.0 || key.fract() != 0.0 {
            return Ok(None);
        }
        count += 1;
        max = max.max(key);
    }
    Ok((max == count as f64).then_some(count))
}

fn encode_table(table: &Table, depth: usize, into: &mut Vec<u8>) -> Result<(), Failure> {
    if let Some(count) = array_len(table)? {
        match count {
            ..16 => into.push(0x90 | count as u8),
            _ => sized(into, count, 0xdc),
        }
        for index in 1..=count {
            encode(&table.raw_get(index)?, depth + 1, into)?;
        }
        return Ok(());
    }
    let pairs = || table.pairs::<Value, Value>();
    match pairs().count() {
        n @ ..16 => into.push(0x80 | n as u8),
        n => sized(into, n, 0xde),
    }
    for pair in pairs() {
        let (key, value) = pair?;
        encode(&key, depth + 1, into)?;
        encode(&value, depth + 1, into)?;
    }
    Ok(())
}

/// Bytes that are being unpacked.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Failure> {
        let piece = self.bytes[self.at..].get(..n).ok_or(Failure::text("Missing bytes in input."))?;
        self.at += n;
        Ok(piece)
    }

    fn unsigned(&mut self, bytes: usize) -> Result<u64, Failure> {
        Ok(self.take(bytes)?.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)))
    }

    fn string(&mut self, lua: &Lua, len: u64) -> Result<Value, Failure> {
        Ok(Value::String(lua.create_string(self.take(len as usize)?)?))
    }

    fn decode(&mut self, lua: &Lua, depth: usize) -> Result<Value, Failure> {
        if depth > DEPTH_MAX as usize {
            return Err(Failure::text("stack overflow (in function mp_decode_to_lua_type)"));
        }
        let number = |value: f64| Ok(Value::Number(value));
        match self.take(1)?[0] {
            tag @ ..0x80 => number(f64::from(tag)),
            tag @ 0xe0.. => number(f64::from(tag as i8)),
            tag @ 0x80..0x90 => self.map(lua, u64::from(tag & 0xf), depth),
            tag @ 0x90..0xa0 => self.array(lua, u64::from(tag & 0xf), depth),
            tag @ 0xa0..0xc0 => self.string(lua, u64::from(tag & 0x1f)),
            0xc0 => Ok(Value::Nil),
            0xc2 => Ok(Value::Boolean(false)),
            0xc3 => Ok(Value::Boolean(true)),
            tag @ 0xd9..=0xdb => {
                let len = self.unsigned(1 << (tag - 0xd9))?;
                self.string(lua, len)
            }
            0xca => number(f64::from(f32::from_bits(self.unsigned(4)? as u32))),
            0xcb => number(f64::from_bits(self.unsigned(8)?)),
            tag @ 0xcc..=0xcf => number(self.unsigned(1 << (tag - 0xcc))? as f64),
            0xd0 => number(f64::from(self.unsigned(1)? as i8)),
            0xd1 => number(f64::from(self.unsigned(2)? as i16)),
            0xd2 => number(f64::from(self.unsigned(4)? as i32)),
            0xd3 => number(self.unsigned(8)? as i64 as f64),
            tag @ (0xdc | 0xdd) => {
                let len = self.unsigned(2 << (tag - 0xdc))?;
                self.array(lua, len, depth)
            }
            tag @ (0xde | 0xdf) => {
                let len = self.unsigned(2 << (tag - 0xde))?;
                self.map(lua, len, depth)
            }
            _ => Err(Failure::text("Bad data format in input.")),
        }
    }

    fn array(&mut self, lua: &Lua, len: u64, depth: usize) -> Result<Value, Failure> {
        let table = lua.create_table()?;
        for index in 1..=len {
            table.raw_set(index, self.decode(lua, depth + 1)?)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, lua: &Lua, len: u64, depth: usize) -> Result<Value, Failure> {
        let table = lua.create_table()?;
        for _ in 0..len {
            let key = self.decode(lua, depth + 1)?;
            let value = self.decode(lua, depth + 1)?;
            match key {
                Value::Nil => return Err(Failure::text("table index is nil")),
                Value::Number(key) if key.is_nan() => return Err(Failure::text("table index is NaN")),
                key => table.raw_set(key, value)?,
            }
        }
        Ok(Value::Table(table))
    }
}

/// Unpacks `limit` values (0: all) from an offset; told is where to go on, if it was limited.
fn unpack(
    lua: &Lua,
    args: &[Value],
    limit: i64,
    offset: i64,
    is_limited: bool,
) -> Result<Vec<Value>, Failure> {
    let bytes = bytes_at(lua, args, 0)?;
    // Messages show the lower 32 bits of an offset, as Redis's do.
    if offset < 0 || limit < 0 {
        let (offset, len) = (offset as i32, bytes.len());
        let text = format!("Invalid request to unpack with offset of {offset} and limit of {len}.");
        return Err(Failure::Text(text));
    }
    if offset as usize > bytes.len() {
        return Err(Failure::Text(format!(
            "Start offset {} greater than input length {}.",
            offset as i32,
            bytes.len()
        )));
    }
    let mut input = Input { bytes: &bytes, at: offset as usize };
    let mut found = Vec::new();
    while input.at < bytes.len() && (limit == 0 || (found.len() as i64) < limit) {
        if found.len() >= RESULTS_MAX {
            let why = "too many return values at once; use unpack_one or unpack_limit instead.";
            return Err(Failure::argument(1, why));
        }
        found.push(input.decode(lua, 0)?);
    }
    if is_limited {
        let next = if input.at == bytes.len() { -1.0 } else { input.at as f64 };
        found.insert(0, Value::Number(next));
    }
    Ok(found)
}

fn unpack_all(lua: &Lua, args: &[Value]) -> Result<Vec<Value>, Failure> {
    unpack(lua, args, 0, 0, false)
}

fn optional(lua: &Lua, args: &[Value], index: usize) -> Result<i64, Failure> {
    match args.get(index) {
        None | Some(Value::Nil) => Ok(0),
        Some(_) => whole_at(lua, args, index),
    }
}

/// A number as C makes a whole one of it: what is too large for 64 bits is the smallest of all.
fn whole_at(lua: &Lua, args: &[Value], index: usize) -> Result<i64, Failure> {
    let number = number_at(lua, args, index)?;
    Ok(if number.abs() < 2f64.powi(63) { number as i64 } else { i64::MIN })
}

fn unpack_one(lua: &Lua, args: &[Value]) -> Result<Vec<Value>, Failure> {
    let offset = optional(lua, args, 1)?;
    unpack(lua, args, 1, offset, true)
}

fn unpack_limit(lua: &Lua, args: &[Value]) -> Result<Vec<Value>, Failure> {
    let limit = whole_at(lua, args, 1)?;
    let offset = optional(lua, args, 2)?;
    unpack(lua, args, limit, offset, true)
}
