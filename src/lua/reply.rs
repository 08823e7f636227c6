//! Replies as values of scripts, and values of scripts as replies.

use super::native::number_of;
use crate::base::number::parse_i64;
use crate::resp::Reply;
use mlua::{Table, Value};

/// Tables within tables that are answered; Redis ends where the interpreter's stack does.
const DEPTH_MAX: usize = 1990;

/// Replies, taken apart. What holds others comes before these, with their number.
pub(super) struct Decoder<'a> {
    /// The replies.
    pub bytes: &'a [u8],
    /// Where the next one begins.
    pub at: usize,
}

/// A reply, or the head of one.
pub(super) enum Token<'a> {
    /// A string.
    Bulk(&'a [u8]),
    /// A number.
    Int(i64),
    /// A status.
    Status(&'a [u8]),
    /// An error, its code before it.
    Error(&'a [u8]),
    /// So many replies.
    Array(usize),
    /// So many pairs.
    Map(usize),
    /// So many replies.
    Set(usize),
    /// So many pairs about the reply after them.
    Attribute(usize),
    /// Null in the form of RESP2.
    Null,
    /// Null in the form of RESP3.
    Nothing,
    /// A truth value.
    Bool(bool),
    /// A number with a fraction.
    Double(f64),
    /// Digits.
    BigNumber(&'a [u8]),
    /// A text with its format, three letters.
    Verbatim {
        /// The format.
        format: &'a [u8],
        /// The text.
        text: &'a [u8],
    },
}

impl<'a> Decoder<'a> {
    fn line(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|byte| *byte == b'\r').unwrap_or(rest.len());
        self.at += (len + 2).min(rest.len());
        &rest[..len]
    }

    /// A length, or none for null.
    fn length(&mut self) -> Option<usize> {
        parse_i64(self.line()).and_then(|len| usize::try_from(len).ok())
    }

    fn chunk(&mut self, len: usize) -> &'a [u8] {
        let chunk = &self.bytes[self.at..self.at + len];
        self.at += len + 2;
        chunk
    }

    /// The next reply, or the head of one.
    pub fn next(&mut self) -> Token<'a> {
        let kind = self.bytes[self.at];
        self.at += 1;
        match kind {
            b'$' => self.length().map_or(Token::Null, |len| Token::Bulk(self.chunk(len))),
            b':' => Token::Int(parse_i64(self.line()).unwrap_or_default()),
            b'+' => Token::Status(self.line()),
            b'-' => Token::Error(self.line()),
            b'*' | b'>' => self.length().map_or(Token::Null, Token::Array),
            b'%' => Token::Map(self.length().unwrap_or_default()),
            b'~' => Token::Set(self.length().unwrap_or_default()),
            b'|' => Token::Attribute(self.length().unwrap_or_default()),
            b'_' => {
                self.line();
                Token::Nothing
            }
            b'#' => Token::Bool(self.line() == b"t"),
            b',' => {
                let text = std::str::from_utf8(self.line()).unwrap_or_default();
                Token::Double(text.parse().unwrap_or_default())
            }
            b'(' => Token::BigNumber(self.line()),
            b'=' => {
                let len = self.length().unwrap_or_default();
                let (format, text) = self.chunk(len).split_at(3);
                Token::Verbatim { format, text: &text[1..] }
            }
            other => unreachable!("no reply begins with {other:#x}"),
        }
    }
}

/// Answers with values of scripts.
pub struct Encoder<'r, 'a> {
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
