//! Quoted words: one line of text cut into arguments, and bytes written so that they can be read back.
//!
//! The same rules serve inline commands, configuration lines and the log:
//!
//! * words are separated by white space;
//! * between double quotes `\n \r \t \b \a` and `\xHH` stand for bytes, any other escaped byte for itself;
//! * between single quotes only `\'` is special;
//! * a closing quote ends the word, so white space or the end of the line must follow it.
//!
//! A NUL byte ends the line, as it does in Redis. [`repr`] writes what [`split_args`] reads.

use std::fmt::Write as _;

/// Cuts a line into its words. `None`: a quote is not closed, or something follows a closing quote.
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let end = line.iter().position(|&byte| byte == 0).unwrap_or(line.len());
    let mut rest = &line[..end];
    let mut words = Vec::new();
    loop {
        while let [first, tail @ ..] = rest
            && is_space(*first)
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Some(words);
        }
        let (word, tail) = take_word(rest)?;
        words.push(word);
        rest = tail;
    }
}

/// Writes bytes between double quotes, with every byte that is not printable ASCII escaped.
pub fn repr(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'"' => out.push_str("\\\""),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x07 => out.push_str("\\a"),
            0x08 => out.push_str("\\b"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => write!(out, "\\x{byte:02x}").expect("a string takes every write"),
        }
    }
    out.push('"');
    out
}

/// One word from the front of `rest`, and what follows it. A word may open a quote in its middle (`a"b c"`).
fn take_word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Some((word, rest)),
            [b'"', tail @ ..] => return after_quote(take_double(tail, &mut word)?).map(|tail| (word, tail)),
            [b'\'', tail @ ..] => return after_quote(take_single(tail, &mut word)?).map(|tail| (word, tail)),
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

fn take_double<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', b'x', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                word.push(hex(*high) << 4 | hex(*low));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                rest = tail;
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

fn take_single<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\'', tail @ ..] => return Some(tail),
            [b'\\', b'\'', tail @ ..] => {
                word.push(b'\'');
                rest = tail;
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

fn after_quote(rest: &[u8]) -> Option<&[u8]> {
    rest.first().is_none_or(|&byte| is_space(byte)).then_some(rest)
}

/// White space as C's `isspace` sees it in the C locale.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, words: Option<&[&[u8]]>) {
        let expected = words.map(|words| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>());
        assert_eq!(split_args(line.as_bytes()), expected, "line {line:?}");
    }

    #[test]
    fn lines_are_cut_at_white_space_and_quotes() {
        check("", Some(&[]));
        check("  \t ", Some(&[]));
        check("a  b\tc\r\n", Some(&[b"a", b"b", b"c"]));
        check("\"a b\" 'c d'", Some(&[b"a b", b"c d"]));
        check("save \"\"", Some(&[b"save", b""]));
        check("a\"b c\"", Some(&[b"ab c"]));
        check(r#""\x00\xfF\n\r\t\b\a\q\"""#, Some(&[b"\x00\xff\n\r\t\x08\x07q\""]));
        check(r#""\xg1""#, Some(&[b"xg1"]));
        check(r"'it\'s \n'", Some(&[b"it's \\n"]));
        check("a\0b", Some(&[b"a"]));
    }

    #[test]
    fn a_quote_must_be_closed_and_followed_by_a_space() {
        for line in ["\"a", "'a", "\"a\"b", "'a'b", "\"a\\\"", "\"a\"\"b\"", "\""] {
            check(line, None);
        }
    }

    #[test]
    fn what_repr_writes_is_read_back() {
        let every_byte: Vec<u8> = (0..=255).collect();
        assert_eq!(split_args(repr(&every_byte).as_bytes()), Some(vec![every_byte]));
        assert_eq!(repr(b"a\"\\\n\r\t\x07\x08\x00\xff~"), r#""a\"\\\n\r\t\a\b\x00\xff~""#);
    }
}
