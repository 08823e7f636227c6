//! The expressions of VSIM's FILTER: from a text to a program for a stack, which [`run`](Filter::run) executes on the attributes
//! of an element.
//!
//! ```text
//! .year >= 1980 and .genre in ["action", "drama"] or not (.rating * 2 < 9)
//!
//! value      number | "text" | 'text' | [value, ...] | null | .field
//! operators  or ||   and &&   < <= > >= == != in   + -   * / %   **   ! not    from loose to tight; ** from right to left
//! ```
//!
//! The order of operators is found by the shunting yard (Dijkstra 1961), so an expression may be of any depth without a stack
//! of calls. What Redis takes for an expression is one, and what it refuses is refused with its text: `!!.a` is a mistake, since
//! the second operator finds no value for the first. Texts have no escapes; the text of an expression ends at its first NUL.
//!
//! The work of one evaluation is bounded: see [`run`].

mod json;
mod run;

use crate::engine::error::{CmdError, quoted};

/// Bytes of the longest word, `null`.
const WORD_BYTES_MAX: usize = 4;
/// Bytes of a number at most.
const NUMBER_BYTES_MAX: usize = 254;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Filter {
    program: Vec<Step>,
    /// The fields that it names, in order, each once.
    fields: Vec<Box<[u8]>>,
}

/// One step of a program.
#[derive(Clone, Debug)]
enum Step {
    /// A value goes on the stack.
    Push(Value),
    /// The value of the field with this number does.
    Field(usize),
    /// The two topmost values, or the topmost, are replaced by a number.
    Do(Op),
}

/// A value. Texts are those of the expression or of attributes.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Number(f64),
    Text(Box<[u8]>),
    Tuple(Box<[Value]>),
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Open,
    Close,
    Not,
    Power,
    Times,
    Divided,
    Modulo,
    Plus,
    Minus,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    Unequal,
    In,
    And,
    Or,
}

/// The words of operators.
const WORDS: &[(&[u8], Op)] = &[
    (b"(", Op::Open),
    (b")", Op::Close),
    (b"!", Op::Not),
    (b"not", Op::Not),
    (b"**", Op::Power),
    (b"*", Op::Times),
    (b"/", Op::Divided),
    (b"%", Op::Modulo),
    (b"+", Op::Plus),
    (b"-", Op::Minus),
    (b">", Op::Greater),
    (b">=", Op::GreaterOrEqual),
    (b"<", Op::Less),
    (b"<=", Op::LessOrEqual),
    (b"==", Op::Equal),
    (b"!=", Op::Unequal),
    (b"in", Op::In),
    (b"and", Op::And),
    (b"&&", Op::And),
    (b"or", Op::Or),
    (b"||", Op::Or),
];

/// The signs of operators.
const SIGNS: &[u8] = b"+-*%/!()<>=|&";

impl Op {
    /// How tightly it binds.
    fn precedence(self) -> u8 {
        match self {
            Op::Open | Op::Close => 7,
            Op::Not => 6,
            Op::Power => 5,
            Op::Times | Op::Divided | Op::Modulo => 4,
            Op::Plus | Op::Minus => 3,
            Op::Greater | Op::GreaterOrEqual | Op::Less | Op::LessOrEqual => 2,
            Op::Equal | Op::Unequal | Op::In => 2,
            Op::And => 1,
            Op::Or => 0,
        }
    }

    /// Values that it takes.
    fn arity(self) -> usize {
        match self {
            Op::Open | Op::Close => 0,
            Op::Not => 1,
            _ => 2,
        }
    }
}

/// A part of an expression.
enum Token {
    Value(Value),
    Field(Box<[u8]>),
    Op(Op),
}

/// The text cannot be read from this place on.
struct Mistake(usize);

impl Filter {
    /// Compiles an expression.
    ///
    /// # Errors
    ///
    /// When it is none; the text says near what.
    pub fn compile(text: &[u8]) -> Result<Filter, CmdError> {
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        let compiled = tokens(&text[..end]).and_then(program);
        compiled.map_err(|Mistake(at)| {
            let near = if at >= text.len() { text } else { &text[at..] };
            CmdError::err(format!("syntax error in FILTER expression near: {}", quoted(near)))
        })
    }
}

/// Reads the parts of an expression.
struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn is_of_field(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn tokens(text: &[u8]) -> Result<Vec<Token>, Mistake> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    while let Some(first) = lexer.first() {
        // A minus is part of a number where a value is to come.
        let wants_value = match tokens.last() {
            None => true,
            Some(Token::Op(op)) => *op != Op::Close,
            Some(_) => false,
        };
        let second = lexer.text.get(lexer.at + 1);
        let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
        let token = match first {
            b'0'..=b'9' => lexer.number().map(Token::Value),
            b'-' if wants_value && is_digit(second) => lexer.number().map(Token::Value),
            b'"' | b'\'' => lexer.quoted().map(Token::Value),
            b'.' if second.is_none_or(|byte| is_of_field(*byte)) => Some(Token::Field(lexer.field())),
            b'[' => lexer.tuple().map(Token::Value),
            first if first.is_ascii_alphabetic() || SIGNS.contains(&first) => lexer.operator(),
            _ => None,
        };
        tokens.push(token.ok_or(Mistake(lexer.at))?);
    }
    Ok(tokens)
}

impl Lexer<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The first byte after spaces.
    fn first(&mut self) -> Option<u8> {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
        self.peek()
    }

    fn number(&mut self) -> Option<Value> {
        let from = self.at;
        while let Some(byte) = self.peek()
            && (byte.is_ascii_digit()
                || matches!(byte, b'.' | b'e' | b'E')
                || (byte == b'-' && self.at == from))
        {
            if self.at - from > NUMBER_BYTES_MAX {
                return None;
            }
            self.at += 1;
        }
        run::number_of(&self.text[from..self.at]).map(Value::Number)
    }

    fn quoted(&mut self) -> Option<Value> {
        let quote = self.peek()?;
        self.at += 1;
        let from = self.at;
        while let Some(byte) = self.peek() {
            if byte == quote {
                self.at += 1;
                return Some(Value::Text(self.text[from..self.at - 1].into()));
            }
            // A backslash keeps a quote from ending the text, and stays in it.
            let is_escape = byte == b'\\' && self.at + 1 < self.text.len();
            self.at += if is_escape { 2 } else { 1 };
        }
        None
    }

    /// A field after its dot. A dot alone at the end names none.
    fn field(&mut self) -> Box<[u8]> {
        self.at += 1;
        let from = self.at;
        while self.peek().is_some_and(is_of_field) {
            self.at += 1;
        }
        self.text[from..self.at].into()
    }

    fn tuple(&mut self) -> Option<Value> {
        self.at += 1;
        let mut values = Vec::new();
        loop {
            match self.first()? {
                b']' => break,
                b'0'..=b'9' | b'-' => values.push(self.number()?),
                b'"' | b'\'' => values.push(self.quoted()?),
                _ => return None,
            }
            match self.first()? {
                b']' => break,
                b',' => self.at += 1,
                _ => return None,
            }
        }
        self.at += 1;
        Some(Value::Tuple(values.into()))
    }

    /// The longest operator that the letters and signs here begin with, or `null`.
    fn operator(&mut self) -> Option<Token> {
        let from = self.at;
        let rest = &self.text[from..];
        let is_of_word = |byte: &&u8| byte.is_ascii_alphabetic() || SIGNS.contains(byte);
        // No more is looked at than tells words apart: there may be a hundred thousand brackets.
        let word = &rest[..rest.iter().take(WORD_BYTES_MAX + 1).take_while(is_of_word).count()];
        if word == b"null" {
            self.at += word.len();
            return Some(Token::Value(Value::Null));
        }
        let fitting = WORDS.iter().filter(|(name, _)| word.starts_with(name));
        let Some((name, op)) = fitting.max_by_key(|(name, _)| name.len()) else {
            self.at += rest.iter().take_while(is_of_word).count();
            return None;
        };
        self.at += name.len();
        Some(Token::Op(*op))
    }
}

/// What an expression becomes while its parts are put into order.
#[derive(Default)]
struct Yard {
    program: Vec<Step>,
    waiting: Vec<Op>,
    /// Values that will be on the stack.
    depth: usize,
}

impl Yard {
    /// An operator has all its values.
    fn take(&mut self, op: Op) -> Result<(), Mistake> {
        if self.depth < op.arity() {
            return Err(Mistake(0));
        }
        self.depth = self.depth - op.arity() + 1;
        self.program.push(Step::Do(op));
        Ok(())
    }

    fn operator(&mut self, op: Op) -> Result<(), Mistake> {
        match op {
            Op::Open => {}
            Op::Close => loop {
                match self.waiting.pop().ok_or(Mistake(0))? {
                    Op::Open => return Ok(()),
                    inner => self.take(inner)?,
                }
            },
            _ => {
                while let Some(&before) = self.waiting.last()
                    && before != Op::Open
                {
                    let (before_binds, binds) = (before.precedence(), op.precedence());
                    if before_binds < binds || (op == Op::Power && before_binds == binds) {
                        break;
                    }
                    self.waiting.pop();
                    self.take(before)?;
                }
            }
        }
        self.waiting.push(op);
        Ok(())
    }
}

fn program(tokens: Vec<Token>) -> Result<Filter, Mistake> {
    let named =
        tokens.iter().filter_map(|token| if let Token::Field(name) = token { Some(name) } else { None });
    let mut fields: Vec<Box<[u8]>> = named.cloned().collect();
    fields.sort_unstable();
    fields.dedup();
    let mut yard = Yard::default();
    for token in tokens {
        match token {
            Token::Op(op) => yard.operator(op)?,
            Token::Value(value) => {
                yard.program.push(Step::Push(value));
                yard.depth += 1;
            }
            Token::Field(name) => {
                let field = fields.binary_search(&name).expect("all fields were collected");
                yard.program.push(Step::Field(field));
                yard.depth += 1;
            }
        }
    }
    while let Some(op) = yard.waiting.pop() {
        if op == Op::Open {
            return Err(Mistake(0));
        }
        yard.take(op)?;
    }
    if yard.depth != 1 {
        return Err(Mistake(0));
    }
    Ok(Filter { program: yard.program, fields })
}

#[cfg(test)]
mod tests;
