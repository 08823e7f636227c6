//! Numbers as C reads them: blanks and a sign in front, then digits; what follows ends the number, whatever it is.

/// The number at the start of a text, at most as far as an `i64` goes, and how many bytes it takes: none where there is no
/// digit, and then the number is zero.
pub(super) fn leading_i64(text: &[u8]) -> (i64, usize) {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | 0x09..=0x0d)).count();
    let sign = usize::from(matches!(text.get(blanks), Some(b'+' | b'-')));
    let is_negative = text.get(blanks) == Some(&b'-');
    let from = blanks + sign;
    let digits = text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return (0, 0);
    }
    let mut value = 0_i64;
    for digit in &text[from..from + digits] {
        let digit = i64::from(digit - b'0');
        let digit = if is_negative { -digit } else { digit };
        value = value.saturating_mul(10).saturating_add(digit);
    }
    (value, from + digits)
}

#[cfg(test)]
mod tests {
    use super::leading_i64;

    #[test]
    fn a_number_ends_where_no_digit_follows() {
        for (text, found) in [
            (&b"12\r\n"[..], (12, 2)),
            (b" \t-7x", (-7, 4)),
            (b"+3", (3, 2)),
            (b"-", (0, 0)),
            (b"", (0, 0)),
            (b"x1", (0, 0)),
            (b"99999999999999999999", (i64::MAX, 20)),
            (b"-99999999999999999999", (i64::MIN, 21)),
        ] {
            assert_eq!(leading_i64(text), found, "{text:?}");
        }
    }
}
