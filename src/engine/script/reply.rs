//! Replies as values of scripts, and values of scripts as replies.

use super::native::number_of;
use crate::resp::Reply;
use mlua::{Lua, Table, Value};

/// Tables within tables that are answered; Redis ends where the interpreter's stack does.
const DEPTH_MAX: usize = 1990;

/// A reply, whose bytes begin at `at`, as a value; `at` moves behind it.
pub(super) struct Decoder<'a> {
    /// The replies.
    pub bytes: &'a [u8],
    /// Where the next one begins.
    pub at: usize,
    /// Null is nil, not false: the script speaks RESP3.
    pub has_nil: bool,
}

impl<'a> Decoder<'a> {
    fn line(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|byte| *byte == b'\r').unwrap_or(rest.len());
        self.at += (len + 2).min(rest.len());
        &rest[..len]
    }

    fn length(&mut self) -> Option<usize> {
        std::str::from_utf8(self.line()).ok().and_then(|text| text.parse().ok())
    }

    fn chunk(&mut self, len: usize) -> &'a [u8] {
        let chunk = &self.bytes[self.at..self.at + len];
        self.at += len + 2;
        chunk
    }

    fn null(&self) -> Value {
        if self.has_nil { Value::Nil } else { Value::Boolean(false) }
    }

    /// The next reply, and whether it is an error.
    pub fn next(&mut self, lua: &Lua) -> mlua::Result<(Value, bool)> {
        let kind = self.bytes[self.at];
        self.at += 1;
        let value = match kind {
            b'$' => match self.length() {
                Some(len) => Value::String(lua.create_string(self.chunk(len))?),
                None => self.null(),
            },
            b':' => {
                let number = std::str::from_utf8(self.line()).ok().and_then(|text| text.parse::<i64>().ok());
                Value::Number(number.unwrap_or_default() as f64)
            }
            b'+' => field(lua, "ok", Value::String(lua.create_string(self.line())?))?,
            b'-' => {
                let text = self.line();
                let table = lua.create_table_with_capacity(0, 4)?;
                table.raw_set("err", lua.create_string(text)?)?;
                // The command that failed was counted.
                table.raw_set("ignore_error_stats_update", true)?;
                return Ok((Value::Table(table), true));
            }
            b'*' | b'>' => match self.length() {
                Some(len) => Value::Table(self.array(lua, len)?),
                None => self.null(),
            },
            b'%' => {
                let map = self.pairs(lua)?;
                field(lua, "map", Value::Table(map))?
            }
            b'~' => {
                let count = self.length().unwrap_or_default();
                let set = lua.create_table()?;
                for _ in 0..count {
                    let (member, _) = self.next(lua)?;
                    set.raw_set(member, true)?;
                }
                field(lua, "set", Value::Table(set))?
            }
            b'_' => {
                self.line();
                Value::Nil
            }
            b'#' => Value::Boolean(self.line() == b"t"),
            b',' => {
                let text = std::str::from_utf8(self.line()).unwrap_or_default();
                field(lua, "double", Value::Number(text.parse().unwrap_or_default()))?
            }
            b'(' => field(lua, "big_number", Value::String(lua.create_string(self.line())?))?,
            b'=' => {
                let len = self.length().unwrap_or_default();
                let text = self.chunk(len);
                let parts = lua.create_table()?;
                parts.raw_set("format", lua.create_string(&text[..3])?)?;
                parts.raw_set("string", lua.create_string(&text[4..])?)?;
                field(lua, "verbatim_string", Value::Table(parts))?
            }
            // What an attribute says about the reply behind it is dropped.
            b'|' => {
                self.pairs(lua)?;
                return self.next(lua);
            }
            other => unreachable!("no reply begins with {other:#x}"),
        };
        Ok((value, false))
    }

    fn array(&mut self, lua: &Lua, len: usize) -> mlua::Result<Table> {
        let table = lua.create_table_with_capacity(len, 0)?;
        for index in 1..=len {
            let (value, _) = self.next(lua)?;
            table.raw_set(index, value)?;
        }
        Ok(table)
    }

    fn pairs(&mut self, lua: &Lua) -> mlua::Result<Table> {
        let count = self.length().unwrap_or_default();
        let table = lua.create_table()?;
        for _ in 0..count {
            let (key, _) = self.next(lua)?;
            let (value, _) = self.next(lua)?;
            table.raw_set(key, value)?;
        }
        Ok(table)
    }
}

fn field(lua: &Lua, name: &str, value: Value) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(name, value)?;
    Ok(Value::Table(table))
}

/// Answers with values of scripts.
pub(super) struct Encoder<'r, 'a> {
    /// Where the reply goes.
    pub reply: &'r mut Reply<'a>,
    /// Protocol version that the script has chosen, 2 or 3.
    pub version: u8,
    /// Errors that were answered and not counted yet.
    pub errors: Vec<String>,
    /// The reply as a whole is an error.
    pub is_error: bool,
}

impl Encoder<'_, '_> {
    /// Answers with a value.
    ///
    /// # Errors
    ///
    /// What the interpreter itself fails with.
    pub fn write(&mut self, value: &Value, depth: usize) -> mlua::Result<()> {
        match value {
            Value::String(text) => self.reply.bulk(&text.as_bytes()),
            Value::Boolean(value) if self.version == 3 => self.reply.bool(*value),
            Value::Boolean(true) => self.reply.int(1),
            Value::Integer(number) => self.reply.int(*number),
            Value::Number(number) => self.reply.int(truncated(*number)),
            Value::Table(_) if depth >= DEPTH_MAX => self.error(b"ERR reached lua stack limit", false),
            Value::Table(table) => self.table(table, depth)?,
            _ => self.reply.null(),
        }
        Ok(())
    }

    fn error(&mut self, text: &[u8], is_counted: bool) {
        let text = c_string(text);
        self.reply.error_bytes(text);
        if !is_counted {
            self.errors.push(String::from_utf8_lossy(text).into_owned());
        }
    }

    fn table(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        if let Value::String(text) = table.raw_get("err")? {
            let is_counted = matches!(table.raw_get("ignore_error_stats_update")?, Value::Boolean(true));
            self.error(&text.as_bytes(), is_counted);
            self.is_error |= depth == 0;
            return Ok(());
        }
        if let Value::String(text) = table.raw_get("ok")? {
            self.reply.status_bytes(c_string(&text.as_bytes()));
            return Ok(());
        }
        if let Some(number) = number_of(&table.raw_get("double")?) {
            self.reply.double(number);
            return Ok(());
        }
        if let Value::Table(map) = table.raw_get("map")? {
            self.reply.map(members(&map)?);
            for pair in map.pairs::<Value, Value>() {
                let (key, value) = pair?;
                self.write(&key, depth + 1)?;
                self.write(&value, depth + 1)?;
            }
            return Ok(());
        }
        if let Value::Table(set) = table.raw_get("set")? {
            self.reply.set(members(&set)?);
            for pair in set.pairs::<Value, Value>() {
                self.write(&pair?.0, depth + 1)?;
            }
            return Ok(());
        }
        if let Value::String(digits) = table.raw_get("big_number")? {
            let spaced = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
            self.reply.big_number(&digits.as_bytes().iter().map(spaced).collect::<Vec<u8>>());
            return Ok(());
        }
        if let Value::Table(parts) = table.raw_get("verbatim_string")?
            && let (Value::String(text), Value::String(format)) =
                (parts.raw_get("string")?, parts.raw_get("format")?)
        {
            let mut letters = [b' '; 3];
            letters.iter_mut().zip(c_string(&format.as_bytes())).for_each(|(to, from)| *to = *from);
            self.reply.verbatim(letters, &text.as_bytes());
            return Ok(());
        }
        let mut len = 0;
        while !table.raw_get::<Value>(len + 1)?.is_nil() {
            len += 1;
        }
        self.reply.array(len);
        (1..=len).try_for_each(|index| self.write(&table.raw_get(index)?, depth + 1))
    }
}

/// A text up to its first NUL, where Redis ends a line.
fn c_string(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    &text[..end]
}

/// How many keys a table has. They are looked at one by one: an interpreter lends only some thousand values at a time.
fn members(table: &Table) -> mlua::Result<usize> {
    table.pairs::<Value, Value>().try_fold(0, |count, pair| pair.map(|_| count + 1))
}

/// A number as an integer, rounded towards zero; what does not fit is the least integer, as processors have it.
fn truncated(number: f64) -> i64 {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if (-BOUND..BOUND).contains(&number) { number as i64 } else { i64::MIN }
}
