//! Numbers as configuration files write them: plain, with a memory unit, as a percentage, in octal.

/// The notation of a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Decimal digits, with a minus sign where the bounds allow it.
    Plain,
    /// Bytes, optionally followed by b, k, kb, m, mb, g or gb: with the `b` powers of 1024, without it of 1000.
    Memory,
    /// As `Memory`, or a negative number with a meaning of its own.
    SignedMemory,
    /// As `Memory`, or a percentage, which is kept as a negative number.
    MemoryOrPercent,
    /// Octal digits.
    Octal,
}

/// Parses a number and checks its bounds. The errors are Redis's.
pub(super) fn parse_number(arg: &[u8], unit: Unit, min: i128, max: i128) -> Result<i128, String> {
    let value = match unit {
        Unit::Plain => {
            parse_integer(arg).map(i128::from).ok_or("argument couldn't be parsed into an integer")?
        }
        Unit::Memory => parse_memory(arg).map(i128::from).ok_or("argument must be a memory value")?,
        Unit::SignedMemory => parse_memory(arg)
            .map(i128::from)
            .or_else(|| parse_integer(arg).map(i128::from))
            .ok_or("argument must be a memory value")?,
        Unit::MemoryOrPercent => {
            let value = parse_memory(arg)
                // Redis keeps this number in 64 signed bits, so that 2^63 bytes turn into a percentage.
                .map(|bytes| i128::from(bytes.cast_signed()))
                .or_else(|| parse_percent(arg))
                .ok_or("argument must be a memory or percent value")?;
            if value < min {
                return Err(format!("percentage argument must be less or equal to {}", -min));
            }
            value
        }
        Unit::Octal => parse_octal(arg).ok_or("argument couldn't be parsed as an octal number")?,
    };
    if (min..=max).contains(&value) {
        Ok(value)
    } else if unit == Unit::Octal {
        Err(format!("argument must be between {min:o} and {max:o} inclusive"))
    } else {
        Err(format!("argument must be between {min} and {max} inclusive"))
    }
}

/// Writes a number as CONFIG GET shows it.
pub(super) fn format_number(value: i128, unit: Unit) -> String {
    match unit {
        Unit::MemoryOrPercent if value < 0 => format!("{}%", -value),
        Unit::Octal => format!("{value:o}"),
        _ => value.to_string(),
    }
}

/// Writes a number as CONFIG REWRITE does: memory in the largest unit that divides it.
pub(super) fn format_for_file(value: i128, unit: Unit) -> String {
    match unit {
        Unit::Memory | Unit::SignedMemory | Unit::MemoryOrPercent if value > 0 => format_memory(value),
        _ => format_number(value, unit),
    }
}

/// Writes bytes in the largest unit that divides them.
pub(super) fn format_memory(bytes: i128) -> String {
    for (unit, size) in [("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)] {
        if bytes != 0 && bytes % size == 0 {
            return format!("{}{unit}", bytes / size);
        }
    }
    bytes.to_string()
}

/// A decimal integer in the only form that prints back the same: no sign `+`, no leading zero, no space.
fn parse_integer(arg: &[u8]) -> Option<i64> {
    let digits = arg.strip_prefix(b"-").unwrap_or(arg);
    let strict = match digits {
        [b'0'] => digits.len() == arg.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if strict { str::from_utf8(arg).ok()?.parse().ok() } else { None }
}

/// Bytes with a unit. An empty text is zero, too many digits are the largest number, and a product that
/// does not fit wraps around: all as Redis has it.
pub(super) fn parse_memory(arg: &[u8]) -> Option<u64> {
    let split = arg.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(arg.len());
    let (digits, unit) = arg.split_at(split);
    let factor: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    if digits.len() >= 128 {
        return None;
    }
    let value = digits
        .iter()
        .try_fold(0u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        .unwrap_or(u64::MAX);
    Some(value.wrapping_mul(factor))
}

fn parse_percent(arg: &[u8]) -> Option<i128> {
    let number = parse_integer(arg.strip_suffix(b"%")?)?;
    if number < 0 { None } else { Some(-i128::from(number)) }
}

fn parse_octal(arg: &[u8]) -> Option<i128> {
    let text = str::from_utf8(arg).ok()?.trim_ascii_start();
    if text.is_empty() { Some(0) } else { i64::from_str_radix(text, 8).ok().map(i128::from) }
}

/// A decimal integer as C's `strtoll` reads it: leading space and a plus sign are fine, an empty text is zero,
/// and what does not fit becomes the nearest number. Nothing may follow.
pub(super) fn parse_loose(arg: &[u8]) -> Option<i64> {
    if arg.is_empty() {
        return Some(0);
    }
    let text = str::from_utf8(arg).ok()?.trim_ascii_start();
    match text.parse::<i64>() {
        Ok(value) => Some(value),
        Err(error) => match error.kind() {
            std::num::IntErrorKind::PosOverflow => Some(i64::MAX),
            std::num::IntErrorKind::NegOverflow => Some(i64::MIN),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_units_are_binary_with_a_b_and_decimal_without() {
        for (text, bytes) in [
            ("1", 1),
            ("1B", 1),
            ("1k", 1000),
            ("1Kb", 1024),
            ("2m", 2_000_000),
            ("2MB", 2 << 20),
            ("3g", 3_000_000_000),
            ("3gb", 3 << 30),
            ("", 0),
            ("mb", 0),
            ("20000000000000000000", u64::MAX),
        ] {
            assert_eq!(parse_memory(text.as_bytes()), Some(bytes), "{text}");
        }
        for text in ["-1", "1tb", "1 mb", "1.5mb", "x"] {
            assert_eq!(parse_memory(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn integers_have_one_form_only() {
        assert_eq!(parse_integer(b"-5"), Some(-5));
        assert_eq!(parse_integer(b"0"), Some(0));
        for text in ["", "-", "-0", "01", "+1", " 1", "1 ", "1a", "9223372036854775808"] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn files_get_the_largest_unit() {
        assert_eq!(format_for_file(3 << 30, Unit::Memory), "3gb");
        assert_eq!(format_for_file(1025, Unit::Memory), "1025");
        assert_eq!(format_for_file(0, Unit::Memory), "0");
        assert_eq!(format_for_file(-5, Unit::MemoryOrPercent), "5%");
        assert_eq!(format_for_file(0o700, Unit::Octal), "700");
        assert_eq!(format_for_file(1024, Unit::Plain), "1024");
    }
}
