//! The fields of the attributes of an element: a JSON object, of which only the outermost fields are looked at.
//!
//! It is read as leniently as Redis reads it. A field counts as soon as it is met: what comes after it need not be JSON. Names
//! are compared as they are written. Of values there are numbers, texts, `true` and `false` as 1 and 0, `null`, and arrays of
//! these; an object is no value.

use super::Value;
use super::run::number_of;

/// Arrays within arrays at most. Redis has no bound, and a stack that ends.
const DEPTH_MAX: usize = 32;
/// Bytes of a number at most.
const NUMBER_BYTES_MAX: usize = 255;

/// Reads JSON.
pub(super) struct Json<'a> {
    text: &'a [u8],
    at: usize,
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Finds where the values of fields begin: `found[i]` for the field `names[i]`, of which the names are in order. It ends where
/// the text is no object any more.
pub(super) fn find_fields(text: &[u8], names: &[Box<[u8]>], found: &mut [Option<usize>]) {
    let mut json = Json { text, at: 0 };
    let _ = json.fields(names, found);
}

/// The value at a place; none when it is not one.
pub(super) fn value_at(text: &[u8], at: usize) -> Option<Value> {
    Json { text, at }.value(0)
}

impl Json<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The first byte after spaces.
    fn first(&mut self) -> Option<u8> {
        while self.peek().is_some_and(super::is_space) {
            self.at += 1;
        }
        self.peek()
    }

    /// Goes on after this byte.
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.first()? == byte).then(|| self.at += 1)
    }

    fn fields(&mut self, names: &[Box<[u8]>], found: &mut [Option<usize>]) -> Option<()> {
        let mut missing = names.len();
        self.expect(b'{')?;
        while missing > 0 {
            if self.first()? != b'"' {
                return None;
            }
            let from = self.at + 1;
            self.pass_text()?;
            let name = &self.text[from..self.at - 1];
            self.expect(b':')?;
            self.first()?;
            if let Ok(field) = names.binary_search_by(|other| (**other).cmp(name))
                && found[field].is_none()
            {
                found[field] = Some(self.at);
                missing -= 1;
            }
            self.pass_value()?;
            self.expect(b',')?;
        }
        Some(())
    }

    /// Passes over a text in quotes.
    fn pass_text(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'\\' => self.at += 2,
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                _ => self.at += 1,
            }
        }
    }

    fn pass_value(&mut self) -> Option<()> {
        match self.first()? {
            b'"' => self.pass_text(),
            b'{' => self.pass_bracket(b'{', b'}'),
            b'[' => self.pass_bracket(b'[', b']'),
            b't' => self.pass_word(b"true"),
            b'f' => self.pass_word(b"false"),
            b'n' => self.pass_word(b"null"),
            _ => {
                let from = self.at;
                while self.peek().is_some_and(is_of_number) {
                    self.at += 1;
                }
                (self.at > from).then_some(())
            }
        }
    }

    /// Passes over an array or an object: only brackets of its own kind are counted.
    fn pass_bracket(&mut self, open: u8, close: u8) -> Option<()> {
        let mut depth = 0;
        loop {
            let byte = self.peek()?;
            if byte == b'"' {
                self.pass_text()?;
                continue;
            }
            self.at += 1;
            if byte == open {
                depth += 1;
            } else if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Some(());
                }
            }
        }
    }

    fn pass_word(&mut self, word: &[u8]) -> Option<()> {
        self.text[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        match self.first()? {
            b'"' => self.quoted().map(Value::Text),
            b'[' if depth < DEPTH_MAX => self.array(depth),
            b't' => self.word(b"true", Value::Number(1.0)),
            b'f' => self.word(b"false", Value::Number(0.0)),
            b'n' => self.word(b"null", Value::Null),
            b'0'..=b'9' | b'-' | b'+' => {
                let from = self.at;
                while self.at - from < NUMBER_BYTES_MAX && self.peek().is_some_and(is_of_number) {
                    self.at += 1;
                }
                number_of(&self.text[from..self.at]).map(Value::Number)
            }
            _ => None,
        }
    }

    /// A word, which has to end here.
    fn word(&mut self, word: &[u8], value: Value) -> Option<Value> {
        self.pass_word(word)?;
        let ends = |byte: u8| super::is_space(byte) || matches!(byte, b',' | b']' | b'}');
        self.peek().is_none_or(ends).then_some(value)
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut values = Vec::new();
        if self.first() == Some(b']') {
            self.at += 1;
            return Some(Value::Tuple(Box::default()));
        }
        loop {
            values.push(self.value(depth + 1)?);
            let next = self.first()?;
            self.at += 1;
            match next {
                b',' => {}
                b']' => return Some(Value::Tuple(values.into())),
                _ => return None,
            }
        }
    }

    /// A text in quotes. What stands after a backslash stands for itself, but for three letters.
    fn quoted(&mut self) -> Option<Box<[u8]>> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some(text.into()),
                b'\\' => {
                    text.push(match self.peek()? {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        other => other,
                    });
                    self.at += 1;
                }
                other => text.push(other),
            }
        }
    }
}
