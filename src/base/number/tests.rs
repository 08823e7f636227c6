//! Numbers as text, against the standard library and against the texts of Redis.

use super::*;
use crate::base::rng::Rng;

#[test]
fn integers_are_read_strictly() {
    for (text, value) in [
        ("0", Some(0)),
        ("-1", Some(-1)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("-9223372036854775809", None),
        ("18446744073709551616", None),
        ("99999999999999999999", None),
        ("111111111111111111111", None),
        ("", None),
        ("-", None),
        ("-0", None),
        ("+1", None),
        ("01", None),
        ("-01", None),
        (" 1", None),
        ("1 ", None),
        ("1a", None),
        ("--1", None),
    ] {
        assert_eq!(parse_i64(text.as_bytes()), value, "{text:?}");
    }
    assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
    assert_eq!(parse_u64(b"18446744073709551616"), None);
    assert_eq!(parse_u64(b"-1"), None);
}

#[test]
fn integers_read_back_as_they_were_written() {
    let mut rng = Rng::from_seed(1);
    let check = |value: i64| {
        let mut buf = [0; I64_BYTES_MAX];
        let text = format_i64(value, &mut buf);
        assert_eq!(text, value.to_string().as_bytes());
        assert_eq!(parse_i64(text), Some(value));
        let (value, mut buf) = (value as u64, [0; I64_BYTES_MAX]);
        let text = format_u64(value, &mut buf);
        assert_eq!(parse_u64(text), Some(value));
        assert_eq!(digits(value), text.len());
    };
    for value in [0, 1, 9, 10, 99, 100, 101, -1, -10, i64::MAX, i64::MIN] {
        check(value);
    }
    for _ in 0..20_000 {
        let shift = rng.below(64);
        check((rng.next_u64() as i64) >> shift);
    }
}

#[test]
fn sizes_have_units() {
    for (text, value) in [
        ("100", Some(100)),
        ("1b", Some(1)),
        ("1k", Some(1000)),
        ("1kB", Some(1024)),
        ("2m", Some(2_000_000)),
        ("2MB", Some(2 << 20)),
        ("3g", Some(3_000_000_000)),
        ("3Gb", Some(3 << 30)),
        ("01", Some(1)),
        ("", Some(0)),
        ("mb", Some(0)),
        ("18446744073709551616", Some(u64::MAX)),
        ("1 k", None),
        ("-1", None),
        ("+1", None),
        ("1.5k", None),
        ("1t", None),
    ] {
        assert_eq!(parse_memory(text.as_bytes()), value, "{text:?}");
    }
}

#[test]
fn doubles_look_as_redis_shows_them() {
    for (value, text) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (3.1, "3.1"),
        (-3.25, "-3.25"),
        (0.1, "0.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e15, "1000000000000000"),
        (1e18, "1000000000000000000"),
        (1e19, "1e+19"),
        (1e21, "1e+21"),
        (-1.5e30, "-1.5e+30"),
        (123_456_789_012_345_678_901.0, "123456789012345680000"),
        (1.234_567_890_123_456_7e21, "1234567890123456800000"),
        (9_223_372_036_854_775_807.0, "9223372036854776000"),
        (4_611_686_018_427_387_904.0, "4611686018427387904"),
        (0.001, "0.001"),
        (0.000_001, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-5, "0.000015"),
        (1.2345e-4, "1.2345e-4"),
        (1.23e-7, "1.23e-7"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
        (12_345.678, "12345.678"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ] {
        let mut out = Vec::new();
        format_double(value, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), text);
    }
}

#[test]
fn doubles_read_back_as_they_were_written() {
    let mut rng = Rng::from_seed(2);
    for _ in 0..50_000 {
        let value = f64::from_bits(rng.next_u64());
        let mut out = Vec::new();
        format_double(value, &mut out);
        let read: f64 = std::str::from_utf8(&out).unwrap().parse().unwrap();
        assert!(read == value || value.is_nan());
    }
}
