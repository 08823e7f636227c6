//! Patterns of Lua 5.1, matched in steps that are counted.
//!
//! An item of a pattern is a character, a class or a set, perhaps with `*`, `+`, `-` or `?` after it; there are captures,
//! balanced pairs and frontiers. What follows an item is tried for each number of repetitions, so that the time can grow
//! exponentially with the pattern: a matcher counts its steps, and asks every [`STEPS_PER_LOOK`] of them whether to go on.
//!
//! * A NUL ends a pattern, as it ends a string of C, and so does the end of its bytes.
//! * What is wrong with a pattern is found when the matcher gets there: one that is not reached is no error.
//! * The depth of calls is bounded by the items of the pattern.
//!
//! Source: the Lua 5.1 Reference Manual, section 5.4.1, and the observable behaviour of Lua 5.1.5.

use std::ffi::CStr;

/// Captures that a pattern may have.
pub const CAPTURES_MAX: usize = 32;

/// Steps between two questions: some 50 microseconds.
pub const STEPS_PER_LOOK: usize = 5000;

/// The character that takes the meaning from a magic one, or gives it to a letter.
pub const ESCAPE: u8 = b'%';

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The pattern is wrong.
    Wrong(&'static CStr),
    /// The script has to end.
    Ends,
}

/// A part of the text that a pattern has set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// It began here and has not ended.
    Open(usize),
    /// From here, so many bytes.
    Closed(usize, usize),
    /// Only this place is of interest.
    Place(usize),
}

impl Capture {
    fn start(self) -> usize {
        let (Capture::Open(start) | Capture::Closed(start, _) | Capture::Place(start)) = self;
        start
    }
}

/// A text and a pattern.
pub struct Matcher<'a> {
    text: &'a [u8],
    pattern: &'a [u8],
    captures: [Capture; CAPTURES_MAX],
    /// How many of them there are.
    level: usize,
    steps: usize,
    goes_on: fn() -> bool,
}

impl<'a> Matcher<'a> {
    /// A matcher that asks `goes_on` now and then.
    pub fn new(text: &'a [u8], pattern: &'a [u8], goes_on: fn() -> bool) -> Matcher<'a> {
        Matcher { text, pattern, captures: [Capture::Open(0); CAPTURES_MAX], level: 0, steps: 0, goes_on }
    }

    /// The captures of the last match.
    pub fn captures(&self) -> &[Capture] {
        &self.captures[..self.level]
    }

    /// Matches the pattern, from `at` in it on, with the text from `start` on; returns where the match ends.
    ///
    /// # Errors
    ///
    /// When the pattern is wrong, or the script has to end.
    pub fn match_at(&mut self, start: usize, at: usize) -> Result<Option<usize>, Stop> {
        self.level = 0;
        self.go(start, at)
    }

    /// The first place of the text, from `from` on, that has these bytes.
    ///
    /// # Errors
    ///
    /// When the script has to end.
    pub fn find_plain(&mut self, from: usize, wanted: &[u8]) -> Result<Option<usize>, Stop> {
        const BYTES_PER_STEP: usize = 8;
        let Some((&first, rest)) = wanted.split_first() else { return Ok(Some(from)) };
        let mut at = from;
        while self.text.len() - at >= wanted.len() {
            let last = self.text.len() - rest.len();
            let piece = &self.text[at..last.min(at + STEPS_PER_LOOK * BYTES_PER_STEP)];
            // The standard library looks for a byte faster than for its place.
            let is_there = piece.contains(&first);
            let skipped = if is_there { piece.iter().position(|byte| *byte == first) } else { None };
            self.step(skipped.unwrap_or(piece.len()) / BYTES_PER_STEP + 1)?;
            let Some(skipped) = skipped else {
                at += piece.len();
                continue;
            };
            let behind = &self.text[at + skipped + 1..];
            let same = behind.iter().zip(rest).take_while(|(one, other)| one == other).count();
            self.step(same / BYTES_PER_STEP)?;
            if same == rest.len() {
                return Ok(Some(at + skipped));
            }
            at += skipped + 1;
        }
        Ok(None)
    }

    /// Counts work.
    #[inline]
    pub fn step(&mut self, steps: usize) -> Result<(), Stop> {
        self.steps += steps;
        if self.steps < STEPS_PER_LOOK {
            return Ok(());
        }
        self.steps = 0;
        if (self.goes_on)() { Ok(()) } else { Err(Stop::Ends) }
    }

    /// A byte of the pattern, NUL at its end.
    #[inline]
    fn item(&self, at: usize) -> u8 {
        self.pattern.get(at).copied().unwrap_or(0)
    }

    fn go(&mut self, start: usize, from: usize) -> Result<Option<usize>, Stop> {
        let (mut text, mut at) = (start, from);
        loop {
            self.step(1)?;
            match (self.item(at), self.item(at + 1)) {
                (0, _) => return Ok(Some(text)),
                (b'(', b')') => return self.with_capture(Capture::Place(text), text, at + 2),
                (b'(', _) => return self.with_capture(Capture::Open(text), text, at + 1),
                (b')', _) => return self.with_closed_capture(text, at + 1),
                (b'$', 0) => return Ok((text == self.text.len()).then_some(text)),
                (ESCAPE, b'b') => match self.balanced(text, at + 2)? {
                    Some(end) => (text, at) = (end, at + 4),
                    None => return Ok(None),
                },
                (ESCAPE, b'f') => match self.frontier(text, at + 2)? {
                    Some(end) => at = end,
                    None => return Ok(None),
                },
                (ESCAPE, digit @ b'0'..=b'9') => match self.same_again(text, digit)? {
                    Some(end) => (text, at) = (end, at + 2),
                    None => return Ok(None),
                },
                _ => {
                    let end = self.item_end(at)?;
                    match self.item(end) {
                        b'*' => return self.most(text, at, end),
                        b'+' if self.fits(text, at, end)? => return self.most(text + 1, at, end),
                        b'-' => return self.least(text, at, end),
                        b'?' => {
                            if self.fits(text, at, end)?
                                && let Some(found) = self.go(text + 1, end + 1)?
                            {
                                return Ok(Some(found));
                            }
                            at = end + 1;
                        }
                        b'+' => return Ok(None),
                        _ if self.fits(text, at, end)? => (text, at) = (text + 1, end),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    /// As many repetitions of an item as there are, then fewer.
    fn most(&mut self, text: usize, at: usize, end: usize) -> Result<Option<usize>, Stop> {
        let mut last = text;
        while self.fits(last, at, end)? {
            last += 1;
        }
        for text in (text..=last).rev() {
            let found = self.go(text, end + 1)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// As few repetitions of an item as will do.
    fn least(&mut self, text: usize, at: usize, end: usize) -> Result<Option<usize>, Stop> {
        let mut text = text;
        loop {
            let found = self.go(text, end + 1)?;
            if found.is_some() {
                return Ok(found);
            }
            if !self.fits(text, at, end)? {
                return Ok(None);
            }
            text += 1;
        }
    }

    fn with_capture(&mut self, capture: Capture, text: usize, at: usize) -> Result<Option<usize>, Stop> {
        let place = self.captures.get_mut(self.level).ok_or(Stop::Wrong(c"too many captures"))?;
        *place = capture;
        self.level += 1;
        let found = self.go(text, at)?;
        self.level -= usize::from(found.is_none());
        Ok(found)
    }

    fn with_closed_capture(&mut self, text: usize, at: usize) -> Result<Option<usize>, Stop> {
        let is_open = |capture: &Capture| matches!(capture, Capture::Open(_));
        let open = self.captures[..self.level].iter().rposition(is_open);
        let index = open.ok_or(Stop::Wrong(c"invalid pattern capture"))?;
        let start = self.captures[index].start();
        self.captures[index] = Capture::Closed(start, text - start);
        let found = self.go(text, at)?;
        if found.is_none() {
            self.captures[index] = Capture::Open(start);
        }
        Ok(found)
    }

    /// The text of a capture once more.
    fn same_again(&mut self, text: usize, digit: u8) -> Result<Option<usize>, Stop> {
        const BAD: Stop = Stop::Wrong(c"invalid capture index");
        let index = usize::from(digit).checked_sub(usize::from(b'1')).ok_or(BAD)?;
        match self.captures().get(index).ok_or(BAD)? {
            Capture::Open(_) => Err(BAD),
            // A place has no text, so nothing is like it.
            Capture::Place(_) => Ok(None),
            &Capture::Closed(start, len) => {
                self.step(len / 8)?;
                let (all, end) = (self.text, text + len);
                Ok((all.get(text..end) == all.get(start..start + len) && end <= all.len()).then_some(end))
            }
        }
    }

    /// Where a pair of characters is in balance, whose place in the pattern is `at`.
    fn balanced(&mut self, text: usize, at: usize) -> Result<Option<usize>, Stop> {
        let (open, close) = (self.item(at), self.item(at + 1));
        if open == 0 || close == 0 {
            return Err(Stop::Wrong(c"unbalanced pattern"));
        }
        if self.text.get(text) != Some(&open) {
            // At its end a text has a NUL, which is none of the two.
            return Ok(None);
        }
        let mut depth = 1;
        for index in text + 1..self.text.len() {
            self.step(1)?;
            let byte = self.text[index];
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(index + 1));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// Whether a set begins to fit here; then where it ends in the pattern.
    fn frontier(&mut self, text: usize, at: usize) -> Result<Option<usize>, Stop> {
        if self.item(at) != b'[' {
            return Err(Stop::Wrong(c"missing '[' after '%f' in pattern"));
        }
        let end = self.item_end(at)?;
        let before = text.checked_sub(1).map_or(0, |index| self.text[index]);
        let here = self.text.get(text).copied().unwrap_or(0);
        let begins = !self.is_in_set(before, at, end - 1)? && self.is_in_set(here, at, end - 1)?;
        Ok(begins.then_some(end))
    }

    /// Where an item of the pattern ends.
    fn item_end(&mut self, at: usize) -> Result<usize, Stop> {
        match self.item(at) {
            ESCAPE if self.item(at + 1) == 0 => Err(Stop::Wrong(c"malformed pattern (ends with '%')")),
            ESCAPE => Ok(at + 2),
            b'[' => {
                let mut at = at + 1 + usize::from(self.item(at + 1) == b'^');
                // The first character belongs to the set, also where it is the one that ends sets.
                loop {
                    self.step(1)?;
                    match self.item(at) {
                        0 => return Err(Stop::Wrong(c"malformed pattern (missing ']')")),
                        ESCAPE if self.item(at + 1) != 0 => at += 2,
                        _ => at += 1,
                    }
                    if self.item(at) == b']' {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(at + 1),
        }
    }

    /// Whether an item fits a character of the text.
    #[inline]
    fn fits(&mut self, text: usize, at: usize, end: usize) -> Result<bool, Stop> {
        self.step(1)?;
        let Some(&byte) = self.text.get(text) else { return Ok(false) };
        match self.item(at) {
            b'.' => Ok(true),
            ESCAPE => Ok(is_in_class(byte, self.item(at + 1))),
            b'[' => self.is_in_set(byte, at, end - 1),
            own => Ok(own == byte),
        }
    }

    /// Whether a character is in the set that begins at `at`, and whose `]` stands at `close`.
    fn is_in_set(&mut self, byte: u8, at: usize, close: usize) -> Result<bool, Stop> {
        self.step((close - at) / 8)?;
        let is_not = self.item(at + 1) == b'^';
        let mut at = at + 1 + usize::from(is_not);
        while at < close {
            let is_in = match (self.item(at), self.item(at + 1)) {
                (ESCAPE, class) => {
                    at += 2;
                    is_in_class(byte, class)
                }
                (low, b'-') if at + 2 < close => {
                    let high = self.item(at + 2);
                    at += 3;
                    (low..=high).contains(&byte)
                }
                (own, _) => {
                    at += 1;
                    own == byte
                }
            };
            if is_in {
                return Ok(!is_not);
            }
        }
        Ok(is_not)
    }
}

/// Whether a character is in the class of a letter; a capital stands for all that is not in it.
fn is_in_class(byte: u8, class: u8) -> bool {
    let is_in = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | 0x09..=0x0d),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is_in != class.is_ascii_uppercase()
}
