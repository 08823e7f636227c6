//! Numbers as `printf` writes them with `%.*g`.

/// A finite number with so many significant digits (at least 1), without trailing zeros.
pub fn general(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let digits = digits.max(1);
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..digits as i32).contains(&exponent) {
        let behind_point = (digits as i32 - 1 - exponent) as usize;
        return without_zeros(&format!("{value:.behind_point$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs())
}

fn without_zeros(number: &str) -> &str {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    }
}

#[cfg(test)]
mod tests {
    use super::general;

    #[test]
    fn numbers_look_as_printf_writes_them() {
        let cases = [
            (3.0, 14, "3"),
            (0.1, 14, "0.1"),
            (-1.5, 14, "-1.5"),
            (1e15, 14, "1e+15"),
            (123456789012345.0, 14, "1.2345678901234e+14"),
            (12345678901234.0, 14, "12345678901234"),
            (0.0001, 14, "0.0001"),
            (0.00001, 14, "1e-05"),
            (9.99999999999999, 3, "10"),
            (1.0 / 3.0, 3, "0.333"),
            (1e300, 17, "1.0000000000000001e+300"),
            (-0.0, 14, "-0"),
        ];
        for (value, digits, text) in cases {
            assert_eq!(general(value, digits), text);
        }
    }
}
