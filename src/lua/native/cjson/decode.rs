//! JSON to values: a parser by recursive descent whose depth is bounded by a setting.

use super::{Failure, Settings, null};
use crate::lua::native::{DEPTH_MAX, bytes_at};
use mlua::{Lua, Value};

enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    /// What is wrong.
    Error(&'static str),
}

impl Token {
    fn name(&self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::String(_) => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Error(what) => what,
        }
    }
}

struct Parser<'a> {
    lua: &'a Lua,
    text: &'a [u8],
    at: usize,
    /// Where the last token began.
    token_at: usize,
    depth: i32,
    settings: Settings,
}

pub(super) fn decode(lua: &Lua, args: &[Value], settings: Settings) -> Result<Vec<Value>, Failure> {
    if args.len() != 1 {
        return Err(Failure::argument(1, "expected 1 argument"));
    }
    let text = bytes_at(lua, args, 0)?;
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err(Failure::text("JSON parser does not support UTF-16 or UTF-32"));
    }
    let mut parser = Parser { lua, text: &text, at: 0, token_at: 0, depth: 0, settings };
    let token = parser.next();
    let value = parser.value(token)?;
    match parser.next() {
        Token::End => Ok(vec![value]),
        other => Err(parser.unexpected("the end", &other)),
    }
}

impl Parser<'_> {
    fn unexpected(&self, wanted: &str, token: &Token) -> Failure {
        let position = self.token_at + 1;
        Failure::Text(format!("Expected {wanted} but found {} at character {position}", token.name()))
    }

    fn peek(&self, ahead: usize) -> u8 {
        // As in a C string, the end is a NUL.
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn next(&mut self) -> Token {
        while matches!(self.peek(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.token_at = self.at;
        let single = match self.peek(0) {
            b'{' => Some(Token::ObjectBegin),
            b'}' => Some(Token::ObjectEnd),
            b'[' => Some(Token::ArrayBegin),
            b']' => Some(Token::ArrayEnd),
            b':' => Some(Token::Colon),
            b',' => Some(Token::Comma),
            _ => None,
        };
        if let Some(token) = single {
            self.at += 1;
            return token;
        }
        match self.peek(0) {
            0 => Token::End,
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => {
                if !self.settings.decode_invalid && self.is_invalid_number() {
                    return Token::Error("invalid number");
                }
                self.number()
            }
            _ => {
                let rest = &self.text[self.at..];
                let words = [
                    (&b"true"[..], Token::Boolean(true)),
                    (b"false", Token::Boolean(false)),
                    (b"null", Token::Null),
                ];
                for (word, token) in words {
                    if rest.starts_with(word) {
                        self.at += word.len();
                        return token;
                    }
                }
                if self.settings.decode_invalid && self.is_invalid_number() {
                    return self.number();
                }
                Token::Error("invalid token")
            }
        }
    }

    /// Whether a number begins as JSON does not allow it.
    fn is_invalid_number(&self) -> bool {
        if self.peek(0) == b'+' {
            return true;
        }
        let skip = usize::from(self.peek(0) == b'-');
        match self.peek(skip) {
            b'0' => matches!(self.peek(skip + 1), b'x' | b'X' | b'0'..=b'9'),
            ..=b'9' => false,
            _ => {
                let word = &self.text[(self.at + skip).min(self.text.len())..];
                let word = &word[..word.len().min(3)];
                word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
            }
        }
    }

    fn number(&mut self) -> Token {
        match leading_number(&self.text[self.at..]) {
            Some((value, len)) => {
                self.at += len;
                Token::Number(value)
            }
            None => Token::Error("invalid number"),
        }
    }

    fn string(&mut self) -> Token {
        self.at += 1;
        let mut found = Vec::new();
        loop {
            match self.peek(0) {
                b'"' => break,
                0 => {
                    self.token_at = self.at;
                    return Token::Error("unexpected end of string");
                }
                b'\\' => {
                    if let Err(what) = self.escape(&mut found) {
                        self.token_at = self.at;
                        return Token::Error(what);
                    }
                }
                byte => {
                    found.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Token::String(found)
    }

    fn escape(&mut self, into: &mut Vec<u8>) -> Result<(), &'static str> {
        let byte = match self.peek(1) {
            b'u' => return self.unicode_escape(into),
            escaped @ (b'"' | b'\\' | b'/') => escaped,
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 0x0c,
            b'r' => b'\r',
            _ => return Err("invalid escape code"),
        };
        into.push(byte);
        self.at += 2;
        Ok(())
    }

    fn hex4(&self, ahead: usize) -> Option<u32> {
        let digits = self.text.get(self.at + ahead..self.at + ahead + 4)?;
        digits.iter().try_fold(0, |all, digit| Some(all << 4 | char::from(*digit).to_digit(16)?))
    }

    fn unicode_escape(&mut self, into: &mut Vec<u8>) -> Result<(), &'static str> {
        const INVALID: &str = "invalid unicode escape code";
        let mut code = self.hex4(2).ok_or(INVALID)?;
        let mut len = 6;
        if code & 0xf800 == 0xd800 {
            // The first half of a pair; the second has to follow.
            if code & 0x400 != 0 || self.peek(6) != b'\\' || self.peek(7) != b'u' {
                return Err(INVALID);
            }
            let low = self.hex4(8).filter(|low| low & 0xfc00 == 0xdc00).ok_or(INVALID)?;
            code = ((code & 0x3ff) << 10 | low & 0x3ff) + 0x1_0000;
            len = 12;
        }
        let character = char::from_u32(code).ok_or(INVALID)?;
        into.extend(character.encode_utf8(&mut [0; 4]).bytes());
        self.at += len;
        Ok(())
    }

    fn value(&mut self, token: Token) -> Result<Value, Failure> {
        match token {
            Token::String(text) => Ok(Value::String(self.lua.create_string(text)?)),
            Token::Number(number) => Ok(Value::Number(number)),
            Token::Boolean(value) => Ok(Value::Boolean(value)),
            Token::Null => Ok(null()),
            Token::ObjectBegin => self.nested(Parser::object),
            Token::ArrayBegin => self.nested(Parser::array),
            other => Err(self.unexpected("value", &other)),
        }
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Result<Value, Failure>) -> Result<Value, Failure> {
        self.depth += 1;
        if self.depth > self.settings.decode_depth_max.min(DEPTH_MAX) {
            let text =
                format!("Found too many nested data structures ({}) at character {}", self.depth, self.at);
            return Err(Failure::Text(text));
        }
        let value = parse(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Value, Failure> {
        let table = self.lua.create_table()?;
        let mut token = self.next();
        if matches!(token, Token::ObjectEnd) {
            return Ok(Value::Table(table));
        }
        loop {
            let Token::String(key) = token else { return Err(self.unexpected("object key string", &token)) };
            match self.next() {
                Token::Colon => {}
                other => return Err(self.unexpected("colon", &other)),
            }
            let next = self.next();
            let value = self.value(next)?;
            table.raw_set(self.lua.create_string(key)?, value)?;
            match self.next() {
                Token::ObjectEnd => return Ok(Value::Table(table)),
                Token::Comma => {}
                other => return Err(self.unexpected("comma or object end", &other)),
            }
            token = self.next();
        }
    }

    fn array(&mut self) -> Result<Value, Failure> {
        let table = self.lua.create_table()?;
        if self.settings.marks_arrays {
            table.set_metatable(Some(super::array_metatable(self.lua)?))?;
        }
        let mut token = self.next();
        if matches!(token, Token::ArrayEnd) {
            return Ok(Value::Table(table));
        }
        let mut index = 1;
        loop {
            let value = self.value(token)?;
            table.raw_set(index, value)?;
            index += 1;
            match self.next() {
                Token::ArrayEnd => return Ok(Value::Table(table)),
                Token::Comma => {}
                other => return Err(self.unexpected("comma or array end", &other)),
            }
            token = self.next();
        }
    }
}

/// The number that a text begins with, as `strtod` of C reads it, and its length.
fn leading_number(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let is_negative = text.first() == Some(&b'-');
    let signed = |value: f64| if is_negative { -value } else { value };
    let body = &text[sign..];
    let begins = |word: &[u8]| body.len() >= word.len() && body[..word.len()].eq_ignore_ascii_case(word);
    if begins(b"infinity") {
        return Some((signed(f64::INFINITY), sign + 8));
    }
    if begins(b"inf") {
        return Some((signed(f64::INFINITY), sign + 3));
    }
    if begins(b"nan") {
        return Some((signed(f64::NAN), sign + 3));
    }
    if begins(b"0x") && body.get(2).is_some_and(u8::is_ascii_hexdigit) {
        let (value, len) = leading_hexadecimal(&body[2..]);
        return Some((signed(value), sign + 2 + len));
    }
    let digits = |from: usize| body[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(0);
    let mut len = whole;
    let mut fraction = 0;
    if body.get(len) == Some(&b'.') {
        fraction = digits(len + 1);
        len += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(body.get(len), Some(b'e' | b'E')) {
        let exponent_sign = usize::from(matches!(body.get(len + 1), Some(b'-' | b'+')));
        let exponent =
            if len + 1 + exponent_sign <= body.len() { digits(len + 1 + exponent_sign) } else { 0 };
        if exponent > 0 {
            len += 1 + exponent_sign + exponent;
        }
    }
    let value: f64 = std::str::from_utf8(&body[..len]).ok()?.parse().ok()?;
    Some((signed(value), sign + len))
}

/// A hexadecimal number without its prefix, with a fraction and a binary exponent if it has them.
fn leading_hexadecimal(text: &[u8]) -> (f64, usize) {
    let (mut value, mut len, mut scale) = (0f64, 0, 0i32);
    let mut is_fraction = false;
    while let Some(&byte) = text.get(len) {
        if byte == b'.' && !is_fraction {
            is_fraction = true;
        } else if let Some(digit) = char::from(byte).to_digit(16) {
            value = value * 16.0 + f64::from(digit);
            scale -= if is_fraction { 4 } else { 0 };
        } else {
            break;
        }
        len += 1;
    }
    if matches!(text.get(len), Some(b'p' | b'P')) {
        let sign = usize::from(matches!(text.get(len + 1), Some(b'-' | b'+')));
        let begin = len + 1 + sign;
        let digits = text.get(begin..).map_or(0, |t| t.iter().take_while(|b| b.is_ascii_digit()).count());
        if digits > 0 {
            let exponent =
                std::str::from_utf8(&text[begin..begin + digits]).ok().and_then(|t| t.parse::<i32>().ok());
            let exponent = exponent.unwrap_or(i32::MAX / 2).min(i32::MAX / 2);
            scale += if text[len + 1] == b'-' { -exponent } else { exponent };
            len = begin + digits;
        }
    }
    (value * 2f64.powi(scale), len)
}
