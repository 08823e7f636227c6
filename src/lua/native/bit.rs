//! The library `bit`: operations on words of 32 bits, with signed results.

use super::{Failure, Native, number_at};
use mlua::{IntoLua, Lua, Value};

pub(super) const FUNCTIONS: &[(&str, Native)] = &[
    ("tobit", |lua, args| one(word(lua, args, 0)?)),
    ("bnot", |lua, args| one(!word(lua, args, 0)?)),
    ("bswap", |lua, args| one(word(lua, args, 0)?.swap_bytes())),
    ("band", |lua, args| fold(lua, args, |a, b| a & b)),
    ("bor", |lua, args| fold(lua, args, |a, b| a | b)),
    ("bxor", |lua, args| fold(lua, args, |a, b| a ^ b)),
    ("lshift", |lua, args| shift(lua, args, |a, n| a << n)),
    ("rshift", |lua, args| shift(lua, args, |a, n| a >> n)),
    ("arshift", |lua, args| shift(lua, args, |a, n| (a as i32 >> n) as u32)),
    ("rol", |lua, args| shift(lua, args, u32::rotate_left)),
    ("ror", |lua, args| shift(lua, args, u32::rotate_right)),
    ("tohex", tohex),
];

/// A number whose addition leaves the integer nearest to the other number in the lowest bits of the sum: 2^52 + 2^51.
const TO_INTEGER: f64 = 6_755_399_441_055_744.0;

/// The low 32 bits of the integer nearest to an argument.
fn word(lua: &Lua, args: &[Value], index: usize) -> Result<u32, Failure> {
    Ok((number_at(lua, args, index)? + TO_INTEGER).to_bits() as u32)
}

fn one(word: u32) -> Result<Vec<Value>, Failure> {
    Ok(vec![Value::Number(f64::from(word as i32))])
}

fn fold(lua: &Lua, args: &[Value], join: fn(u32, u32) -> u32) -> Result<Vec<Value>, Failure> {
    let mut all = word(lua, args, 0)?;
    for index in 1..args.len() {
        all = join(all, word(lua, args, index)?);
    }
    one(all)
}

fn shift(lua: &Lua, args: &[Value], by: fn(u32, u32) -> u32) -> Result<Vec<Value>, Failure> {
    let (value, count) = (word(lua, args, 0)?, word(lua, args, 1)?);
    one(by(value, count & 31))
}

/// `bit.tohex(word, digits)`: capitals where the number of digits is negative.
fn tohex(lua: &Lua, args: &[Value]) -> Result<Vec<Value>, Failure> {
    let value = word(lua, args, 0)?;
    let digits = match args.len() {
        0 | 1 => 8,
        _ => word(lua, args, 1)? as i32,
    };
    let shown = if digits < 0 { format!("{value:08X}") } else { format!("{value:08x}") };
    let count = digits.unsigned_abs().min(8) as usize;
    Ok(vec![shown[8 - count..].into_lua(lua)?])
}
