//! Reading doubles as Redis reads scores, and the longest form in which it writes them.
//!
//! A score is what C's `strtod` takes as a whole, hexadecimal forms included, without a space in front, and neither too
//! large nor too small for a double. The ends of ranges are read more strictly in form and more leniently in size.

/// Reads a score: no NaN, no space, nothing that a double cannot hold.
#[must_use]
pub fn parse_double(text: &[u8]) -> Option<f64> {
    let (is_negative, rest) = split_sign(text);
    if let [b'0', b'x' | b'X', digits @ ..] = rest {
        let value = parse_hex(digits)?;
        return Some(if is_negative { -value } else { value });
    }
    let value = parse_decimal(text)?;
    let mantissa = rest.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or_default();
    let is_zero = !mantissa.iter().any(|byte| matches!(byte, b'1'..=b'9'));
    let is_infinity = matches!(rest, [b'i' | b'I', ..]);
    if value.is_infinite() != is_infinity || (value == 0.0) != is_zero && !is_infinity {
        return None;
    }
    Some(value)
}

/// Reads the end of a range of scores: decimal only; nothing means 0, and what is too large infinity.
#[must_use]
pub fn parse_bound(text: &[u8]) -> Option<f64> {
    if text.is_empty() { Some(0.0) } else { parse_decimal(text) }
}

/// Appends a double as `printf("%.17g")` writes it.
pub fn format_17_digits(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        out.extend_from_slice(if value.is_nan() {
            b"nan"
        } else if value > 0.0 {
            b"inf"
        } else {
            b"-inf"
        });
        return;
    }
    let text = format!("{value:.16e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let trimmed = digits.trim_end_matches('0');
    let digits = if trimmed.is_empty() { "0" } else { trimmed };
    out.extend_from_slice(sign.as_bytes());
    if !(-4..17).contains(&exponent) {
        out.extend_from_slice(&digits.as_bytes()[..1]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits.as_bytes()[1..]);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("e{sign}{:02}", exponent.abs()).as_bytes());
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
        out.extend_from_slice(digits.as_bytes());
    } else {
        let whole = exponent as usize + 1;
        if digits.len() <= whole {
            out.extend_from_slice(digits.as_bytes());
            out.extend(std::iter::repeat_n(b'0', whole - digits.len()));
        } else {
            out.extend_from_slice(&digits.as_bytes()[..whole]);
            out.push(b'.');
            out.extend_from_slice(&digits.as_bytes()[whole..]);
        }
    }
}

fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    }
}

/// Decimal digits or an infinity.
fn parse_decimal(text: &[u8]) -> Option<f64> {
    let (is_negative, rest) = split_sign(text);
    if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") {
        return Some(if is_negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    let is_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    if !rest.iter().all(is_number) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The digits after `0x`, with a point and a power of two where there is one.
fn parse_hex(text: &[u8]) -> Option<f64> {
    let at = text.iter().position(|byte| matches!(byte, b'p' | b'P'));
    let (digits, exponent) = match at {
        Some(at) => (&text[..at], std::str::from_utf8(&text[at + 1..]).ok()?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let mut value = 0.0f64;
    let (mut behind_point, mut count) = (None, 0);
    for byte in digits {
        if *byte == b'.' && behind_point.is_none() {
            behind_point = Some(0);
            continue;
        }
        let digit = char::from(*byte).to_digit(16)?;
        value = value * 16.0 + f64::from(digit);
        count += 1;
        behind_point = behind_point.map(|behind| behind + 1);
    }
    let value = value * 2f64.powi(exponent.saturating_sub(4 * behind_point.unwrap_or(0)));
    (count > 0 && value.is_finite()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_as_redis_reads_them() {
        for (text, value) in [
            ("5", 5.0),
            ("+5", 5.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e5", 1e5),
            ("1E+2", 100.0),
            ("inf", f64::INFINITY),
            ("+INF", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("0x10", 16.0),
            ("0X.8", 0.5),
            ("-0x1p3", -8.0),
            ("0e-999", 0.0),
            ("5e-324", 5e-324),
        ] {
            assert_eq!(parse_double(text.as_bytes()), Some(value), "{text}");
        }
        for text in [
            "", " 1", "1 ", "1e", "0x", "nan", "-nan", "+", "-", "--1", "1e400", "1e-400", "1d", "infin",
            "1\0", "(1", "1e 2", "0b1",
        ] {
            assert_eq!(parse_double(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn ends_of_ranges_are_read_as_redis_reads_them() {
        for (text, value) in
            [("", 0.0), ("+5", 5.0), ("1e400", f64::INFINITY), ("1e-400", 0.0), ("-inf", f64::NEG_INFINITY)]
        {
            assert_eq!(parse_bound(text.as_bytes()), Some(value), "{text}");
        }
        for text in [" 5", "0x1", "nan", "1e", "5x"] {
            assert_eq!(parse_bound(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn seventeen_digits_are_those_of_printf() {
        for (value, text) in [
            (0.1, "0.10000000000000001"),
            (3.0, "3"),
            (0.0, "0"),
            (-0.0, "-0"),
            (1e30, "1e+30"),
            (1e-10, "1e-10"),
            (123456789.123, "123456789.123"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (0.0001, "0.0001"),
            (-1.5e300, "-1.5000000000000001e+300"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            let mut out = Vec::new();
            format_17_digits(value, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }
}
