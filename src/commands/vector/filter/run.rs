//! The execution of a filter on the attributes of one element.
//!
//! Its work is bounded: the attributes are read once, whatever the number of fields that are named; a text is looked for in
//! another in linear time; and no more than [`WORK_MAX`] bytes and values are looked at by all comparisons together. An element
//! whose evaluation would take more does not pass.

use super::json::{find_fields, value_at};
use super::{Filter, Op, Step, Value};
use crate::base::double::parse_double;
use std::borrow::Cow;

/// Bytes and values that the comparisons of one evaluation look at, at most.
const WORK_MAX: usize = 1 << 24;
/// A text of so many bytes is no number.
const NUMBER_BYTES_MAX: usize = 256;

impl Filter {
    /// Whether an element with these attributes passes. One without attributes, or without a field that is named, does not.
    #[must_use]
    pub fn run(&self, attributes: &[u8]) -> bool {
        !attributes.is_empty() && self.evaluate(attributes).unwrap_or(false)
    }

    /// What one evaluation costs, in distances, about: steps, fields, and short attributes.
    #[must_use]
    pub fn cost(&self) -> usize {
        4 + self.program.len() / 4 + 4 * self.fields.len()
    }

    fn evaluate(&self, attributes: &[u8]) -> Option<bool> {
        let mut places = vec![None; self.fields.len()];
        find_fields(attributes, &self.fields, &mut places);
        let mut values: Vec<Option<Value>> = vec![None; self.fields.len()];
        for step in &self.program {
            if let Step::Field(field) = step
                && values[*field].is_none()
            {
                // Without a value the whole is false, wherever it stands. A field without a name has none.
                if self.fields[*field].is_empty() {
                    return None;
                }
                values[*field] = Some(value_at(attributes, places[*field]?)?);
            }
        }
        let mut work = 0;
        let mut stack: Vec<Cow<'_, Value>> = Vec::new();
        for step in &self.program {
            match step {
                Step::Push(value) => stack.push(Cow::Borrowed(value)),
                Step::Field(field) => stack.push(Cow::Borrowed(values[*field].as_ref()?)),
                Step::Do(op) => {
                    let right = stack.pop()?;
                    let left = if op.arity() == 2 { stack.pop()? } else { Cow::Owned(Value::Null) };
                    work += weight(&left) + weight(&right);
                    if work > WORK_MAX {
                        return None;
                    }
                    stack.push(Cow::Owned(Value::Number(result(*op, &left, &right))));
                }
            }
        }
        stack.pop().map(|last| is_true(&last))
    }
}

/// Bytes and values that a comparison with a value looks at.
fn weight(value: &Value) -> usize {
    match value {
        Value::Text(text) => 1 + text.len(),
        Value::Tuple(values) => 1 + values.len(),
        Value::Number(_) | Value::Null => 1,
    }
}

fn result(op: Op, left: &Value, right: &Value) -> f64 {
    let numbers = || (number(left), number(right));
    let truth = |holds: bool| if holds { 1.0 } else { 0.0 };
    let compared = |holds: fn(&f64, &f64) -> bool| {
        let (left, right) = numbers();
        truth(holds(&left, &right))
    };
    let computed = |of: fn(f64, f64) -> f64| {
        let (left, right) = numbers();
        of(left, right)
    };
    match op {
        Op::Open | Op::Close => 0.0,
        Op::Not => truth(!is_true(right)),
        Op::Power => computed(f64::powf),
        Op::Times => computed(|a, b| a * b),
        Op::Divided => computed(|a, b| a / b),
        Op::Modulo => computed(|a, b| a % b),
        Op::Plus => computed(|a, b| a + b),
        Op::Minus => computed(|a, b| a - b),
        Op::Greater => compared(f64::gt),
        Op::GreaterOrEqual => compared(f64::ge),
        Op::Less => compared(f64::lt),
        Op::LessOrEqual => compared(f64::le),
        Op::Equal => truth(are_equal(left, right)),
        Op::Unequal => truth(!are_equal(left, right)),
        Op::In => truth(is_in(left, right)),
        Op::And => truth(is_true(left) && is_true(right)),
        Op::Or => truth(is_true(left) || is_true(right)),
    }
}

/// A value as a number; 0 for what is none.
fn number(value: &Value) -> f64 {
    match value {
        Value::Number(number) => *number,
        Value::Text(text) if text.len() < NUMBER_BYTES_MAX => {
            // As C reads it: up to a NUL, with spaces in front.
            let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
            let from = text[..end].iter().position(|byte| !super::is_space(*byte)).unwrap_or(0);
            if end == 0 { 0.0 } else { number_of(&text[from..end]).unwrap_or(0.0) }
        }
        Value::Text(_) | Value::Tuple(_) | Value::Null => 0.0,
    }
}

/// The number that a text is as a whole, as C's `strtod` reads it: too large is infinite, too small is zero.
pub(super) fn number_of(text: &[u8]) -> Option<f64> {
    if let Some(number) = parse_double(text) {
        return Some(number);
    }
    let text = std::str::from_utf8(text).ok()?;
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    let begins = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let number = rest.as_bytes().first().filter(|first| begins(first)).and_then(|_| rest.parse::<f64>().ok());
    number.map(|number| sign * number)
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Number(number) => *number != 0.0,
        Value::Text(text) => !text.is_empty(),
        Value::Tuple(_) => true,
        Value::Null => false,
    }
}

fn are_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => left == right,
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        _ => number(left) == number(right),
    }
}

/// Whether a value is one of several, or a text is part of another.
fn is_in(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (_, Value::Tuple(values)) => values.iter().any(|value| are_equal(left, value)),
        (Value::Text(part), Value::Text(whole)) => contains(whole, part),
        _ => false,
    }
}

/// Whether a text has another one in it, found in linear time: after Knuth, Morris and Pratt (1977).
fn contains(whole: &[u8], part: &[u8]) -> bool {
    if part.len() > whole.len() {
        return false;
    }
    if part.is_empty() {
        return true;
    }
    // How much of the beginning ends at each place of the part.
    let mut border = vec![0; part.len()];
    let mut matched = 0;
    for at in 1..part.len() {
        while matched > 0 && part[at] != part[matched] {
            matched = border[matched - 1];
        }
        matched += usize::from(part[at] == part[matched]);
        border[at] = matched;
    }
    matched = 0;
    for byte in whole {
        while matched > 0 && *byte != part[matched] {
            matched = border[matched - 1];
        }
        matched += usize::from(*byte == part[matched]);
        if matched == part.len() {
            return true;
        }
    }
    false
}
