//! The library `struct`: values to the bytes of a C structure and back, after a format of one letter a field.

use super::{Failure, Native, RESULTS_MAX, bytes_at, number_at};
use mlua::{Lua, Value};

pub(super) const FUNCTIONS: &[(&str, Native)] = &[("pack", pack), ("unpack", unpack), ("size", size)];

/// Bytes of the largest integer.
const INTEGER_BYTES_MAX: usize = 32;

/// What `!` without a number aligns to.
const NATIVE_ALIGNMENT: usize = 8;

/// Bytes that one call packs at most.
const PACKED_BYTES_MAX: usize = 512 << 20;

/// A format that is being read.
struct Format<'a> {
    text: &'a [u8],
    at: usize,
    is_big_endian: bool,
    alignment: usize,
}

impl Format<'_> {
    fn new(text: &[u8]) -> Format<'_> {
        // The text is a C string.
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        Format { text: &text[..end], at: 0, is_big_endian: false, alignment: 1 }
    }

    /// The next letter with the size of its field; none at the end.
    fn next(&mut self) -> Result<Option<(u8, usize)>, Failure> {
        let Some(&option) = self.text.get(self.at) else { return Ok(None) };
        self.at += 1;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(1)?,
            b'i' | b'I' => match self.number(4)? {
                size if size > INTEGER_BYTES_MAX => {
                    let text = format!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}");
                    return Err(Failure::Text(text));
                }
                size => size,
            },
            _ => 0,
        };
        Ok(Some((option, size)))
    }

    fn number(&mut self, default: usize) -> Result<usize, Failure> {
        let mut number: Option<usize> = None;
        while let Some(digit) = self.text.get(self.at).filter(|byte| byte.is_ascii_digit()) {
            let next = number.unwrap_or(0) * 10 + usize::from(digit - b'0');
            if next > i32::MAX as usize {
                return Err(Failure::text("integral size overflow"));
            }
            number = Some(next);
            self.at += 1;
        }
        Ok(number.unwrap_or(default))
    }

    /// Bytes that go before a field at `at` so that it is aligned.
    fn padding(&self, at: usize, option: u8, size: usize) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        // As in C, also for a size that is no power of two.
        let size = size.min(self.alignment);
        size.wrapping_sub(at & (size - 1)) & (size - 1)
    }

    /// A letter that is no field.
    fn control(&mut self, option: u8) -> Result<(), Failure> {
        match option {
            b' ' => {}
            b'>' => self.is_big_endian = true,
            b'<' => self.is_big_endian = false,
            b'!' => {
                let alignment = self.number(NATIVE_ALIGNMENT)?;
                if !alignment.is_power_of_two() {
                    return Err(Failure::Text(format!("alignment {alignment} is not a power of 2")));
                }
                self.alignment = alignment;
            }
            other => {
                let why = [&b"invalid format option '"[..], &[other], b"'"].concat();
                return Err(Failure::argument(1, why));
            }
        }
        Ok(())
    }

    fn ordered(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.is_big_endian {
            bytes.reverse();
        }
        bytes
    }
}

fn pack(lua: &Lua, args: &[Value]) -> Result<Vec<Value>, Failure> {
    let text = bytes_at(lua, args, 0)?;
    // The first argument that is missing counts as a nil.
    let args = &[args, &[Value::Nil]].concat()[..];
    let mut format = Format::new(&text);
    let mut packed: Vec<u8> = Vec::new();
    let mut next = 1;
    while let Some((option, size)) = format.next()? {
        let padding = format.padding(packed.len(), option, size);
        packed.resize(packed.len() + padding, 0);
        if packed.len().saturating_add(size) > PACKED_BYTES_MAX {
            return Err(Failure::text("not enough memory"));
        }
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let number = number_at(lua, args, next)?;
                let word = match number {
                    _ if number < 0.0 => number as i64 as u64,
                    // As C converts what is too large on this processor.
                    _ if number >= 2f64.powi(64) => 0,
                    _ => number as u64,
                };
                let mut bytes = word.to_le_bytes().to_vec();
                bytes.resize(size, 0);
                packed.extend(format.ordered(bytes));
                next += 1;
            }
            b'x' => packed.push(0),
            b'f' => {
                let number = number_at(lua, args, next)? as f32;
                packed.extend(format.ordered(number.to_le_bytes().to_vec()));
                next += 1;
            }
            b'd' => {
                let number = number_at(lua, args, next)?;
                packed.extend(format.ordered(number.to_le_bytes().to_vec()));
                next += 1;
            }
            b'c' | b's' => {
                let string = bytes_at(lua, args, next)?;
                next += 1;
                let size = if size == 0 { string.len() } else { size };
                if string.len() < size {
                    return Err(Failure::argument(next + 1, "string too short"));
                }
                packed.extend_from_slice(&string[..size]);
                if option == b's' {
                    packed.push(0);
                }
            }
            other => format.control(other)?,
        }
    }
    Ok(vec![Value::String(lua.create_string(packed)?)])
}

fn integer(format: &Format<'_>, bytes: &[u8], is_signed: bool) -> f64 {
    let join = |all: u64, byte: &u8| all << 8 | u64::from(*byte);
    let mut word = match format.is_big_endian {
        true => bytes.iter().fold(0, join),
        false => bytes.iter().rev().fold(0, join),
    };
    if !is_signed {
        return word as f64;
    }
    if (1..8).contains(&bytes.len()) {
        let mask = u64::MAX << (bytes.len() * 8 - 1);
        if word & mask != 0 {
            word |= mask;
        }
    }
    word as i64 as f64
}

fn unpack(lua: &Lua, args: &[Value]) -> Result<Vec<Value>, Failure> {
    let text = bytes_at(lua, args, 0)?;
    let data = bytes_at(lua, args, 1)?;
    let start = match args.get(2) {
        None | Some(Value::Nil) => 1.0,
        Some(_) => number_at(lua, args, 2)?,
    };
    if start as i64 == 0 {
        return Err(Failure::argument(3, "offset must be 1 or greater"));
    }
    // As in C, where an offset below 0 is a large one.
    let mut at = (start as i64 as usize).wrapping_sub(1);
    let mut format = Format::new(&text);
    let mut found: Vec<Value> = Vec::new();
    let too_short = || Failure::argument(2, "data string too short");
    while let Some((option, mut size)) = format.next()? {
        at = at.saturating_add(format.padding(at, option, size));
        if size > data.len() || at > data.len() - size {
            return Err(too_short());
        }
        if found.len() > RESULTS_MAX {
            return Err(Failure::text("stack overflow (too many results)"));
        }
        let bytes = &data[at..at + size];
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                found.push(Value::Number(integer(&format, bytes, option.is_ascii_lowercase())));
            }
            b'x' => {}
            b'f' => {
                let ordered = format.ordered(bytes.to_vec());
                let number = <[u8; 4]>::try_from(ordered).map(f32::from_le_bytes).unwrap_or_default();
                found.push(Value::Number(f64::from(number)));
            }
            b'd' => {
                let ordered = format.ordered(bytes.to_vec());
                let number = <[u8; 8]>::try_from(ordered).map(f64::from_le_bytes).unwrap_or_default();
                found.push(Value::Number(number));
            }
            b'c' => {
                if size == 0 {
                    let Some(Value::Number(number)) = found.pop_if(|last| matches!(last, Value::Number(_)))
                    else {
                        return Err(Failure::text("format 'c0' needs a previous size"));
                    };
                    size = number as usize;
                    if number < 0.0 || size > data.len() || at > data.len() - size {
                        return Err(too_short());
                    }
                }
                found.push(Value::String(lua.create_string(&data[at..at + size])?));
            }
            b's' => {
                let Some(len) = data[at..].iter().position(|byte| *byte == 0) else {
                    return Err(Failure::text("unfinished string in data"));
                };
                found.push(Value::String(lua.create_string(&data[at..at + len])?));
                size = len + 1;
            }
            other => format.control(other)?,
        }
        at += size;
    }
    found.push(Value::Number(at.wrapping_add(1) as i64 as f64));
    Ok(found)
}

fn size(lua: &Lua, args: &[Value]) -> Result<Vec<Value>, Failure> {
    let text = bytes_at(lua, args, 0)?;
    let mut format = Format::new(&text);
    let mut at: usize = 0;
    while let Some((option, size)) = format.next()? {
        at = at.saturating_add(format.padding(at, option, size));
        match option {
            b's' => return Err(Failure::argument(1, "option 's' has no fixed size")),
            b'c' if size == 0 => return Err(Failure::argument(1, "option 'c0' has no fixed size")),
            _ if !option.is_ascii_alphanumeric() => format.control(option)?,
            _ => {}
        }
        at = at.saturating_add(size);
    }
    Ok(vec![Value::Number(at as f64)])
}
