//! Values to JSON.

use super::{Failure, Invalid, Settings};
use crate::lua::native::{DEPTH_MAX, format::general, type_name};
use mlua::{Lua, Table, Value};

pub(super) fn encode(lua: &Lua, args: &[Value], settings: Settings) -> Result<Vec<Value>, Failure> {
    let [value] = args else { return Err(Failure::argument(1, "expected 1 argument")) };
    let mut text = Vec::new();
    write(value, 0, settings, &mut text)?;
    Ok(vec![Value::String(lua.create_string(text)?)])
}

fn refused(value: &Value, why: &str) -> Failure {
    Failure::Text(format!("Cannot serialise {}: {why}", type_name(Some(value))))
}

fn write(value: &Value, depth: i32, settings: Settings, into: &mut Vec<u8>) -> Result<(), Failure> {
    match value {
        Value::Nil => into.extend(b"null"),
        Value::LightUserData(pointer) if pointer.0.is_null() => into.extend(b"null"),
        Value::Boolean(true) => into.extend(b"true"),
        Value::Boolean(false) => into.extend(b"false"),
        Value::Integer(number) => write_number(*number as f64, settings, into)?,
        Value::Number(number) => write_number(*number, settings, into)?,
        Value::String(text) => write_string(&text.as_bytes(), into),
        Value::Table(table) => write_table(table, depth + 1, settings, into)?,
        other => return Err(refused(other, "type not supported")),
    }
    Ok(())
}

fn write_number(number: f64, settings: Settings, into: &mut Vec<u8>) -> Result<(), Failure> {
    if number.is_finite() {
        into.extend(general(number, settings.precision as usize).bytes());
        return Ok(());
    }
    match settings.encode_invalid {
        Invalid::Refused => return Err(Failure::text("Cannot serialise number: must not be NaN or Inf")),
        Invalid::Null => into.extend(b"null"),
        Invalid::Taken if number.is_nan() && number.is_sign_negative() => into.extend(b"-nan"),
        Invalid::Taken if number.is_nan() => into.extend(b"nan"),
        Invalid::Taken => into.extend(if number > 0.0 { &b"inf"[..] } else { b"-inf" }),
    }
    Ok(())
}

fn write_string(text: &[u8], into: &mut Vec<u8>) {
    into.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' | b'/' => into.extend([b'\\', byte]),
            0x08 => into.extend(b"\\b"),
            b'\t' => into.extend(b"\\t"),
            b'\n' => into.extend(b"\\n"),
            0x0c => into.extend(b"\\f"),
            b'\r' => into.extend(b"\\r"),
            0..0x20 | 0x7f => into.extend(format!("\\u{byte:04x}").bytes()),
            _ => into.push(byte),
        }
    }
    into.push(b'"');
}

/// Whether the metatable of a table says that it is an array.
fn is_marked(table: &Table) -> Result<bool, Failure> {
    match table.metatable() {
        None => Ok(false),
        Some(metatable) => {
            Ok(!matches!(metatable.get(super::ARRAY_MARK)?, Value::Nil | Value::Boolean(false)))
        }
    }
}

/// The largest index of a table whose keys are all indices; none when it is to be an object.
fn array_len(table: &Table, settings: Settings) -> Result<Option<usize>, Failure> {
    let (mut max, mut count) = (0i32, 0f64);
    for pair in table.pairs::<Value, Value>() {
        let key = match pair?.0 {
            Value::Integer(key) => key as f64,
            Value::Number(key) => key,
            _ => return Ok(None),
        };
        if key < 1.0 || key.floor() != key {
            return Ok(None);
        }
        // Kept in 32 bits, as in C: a larger index becomes the smallest number.
        if key > f64::from(max) {
            max = if key <= f64::from(i32::MAX) { key as i32 } else { i32::MIN };
        }
        count += 1.0;
    }
    let (longest, ratio, safe) =
        (f64::from(max), f64::from(settings.sparse_ratio), f64::from(settings.sparse_safe));
    if ratio > 0.0 && longest > count * ratio && longest > safe {
        if !settings.sparse_converts {
            return Err(Failure::text("Cannot serialise table: excessively sparse array"));
        }
        return Ok(None);
    }
    Ok((max > 0).then_some(max as usize))
}

fn write_table(table: &Table, depth: i32, settings: Settings, into: &mut Vec<u8>) -> Result<(), Failure> {
    if depth > settings.encode_depth_max.min(DEPTH_MAX) {
        return Err(Failure::Text(format!("Cannot serialise, excessive nesting ({depth})")));
    }
    let len = match is_marked(table)? {
        true => Some(table.raw_len()),
        false => array_len(table, settings)?,
    };
    if let Some(len) = len {
        into.push(b'[');
        for index in 1..=len {
            if index > 1 {
                into.push(b',');
            }
            write(&table.raw_get(index)?, depth, settings, into)?;
        }
        into.push(b']');
        return Ok(());
    }
    into.push(b'{');
    let mut is_first = true;
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        if !std::mem::replace(&mut is_first, false) {
            into.push(b',');
        }
        match &key {
            Value::String(text) => write_string(&text.as_bytes(), into),
            Value::Integer(_) | Value::Number(_) => {
                into.push(b'"');
                write(&key, depth, settings, into)?;
                into.push(b'"');
            }
            other => return Err(refused(other, "table key must be a number or string")),
        }
        into.push(b':');
        write(&value, depth, settings, into)?;
    }
    into.push(b'}');
    Ok(())
}
