//! Replies in the form in which the debugger shows them.

use crate::base::quote::repr;

/// Replies within replies that are shown.
const DEPTH_MAX: usize = 64;

/// Appends a reply as the debugger shows it.
pub fn describe(bytes: &[u8], out: &mut Vec<u8>) {
    describe_next(&mut { bytes }, DEPTH_MAX, out);
}

/// The line at the front, without its end.
fn take_line<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let len = bytes.iter().position(|byte| *byte == b'\r').unwrap_or(bytes.len());
    let line = &bytes[..len];
    *bytes = &bytes[(len + 2).min(bytes.len())..];
    line
}

fn length(line: &[u8]) -> Option<usize> {
    std::str::from_utf8(line.get(1..)?).ok()?.parse().ok()
}

fn describe_next(bytes: &mut &[u8], depth: usize, out: &mut Vec<u8>) {
    let line = take_line(bytes);
    let number = length(line);
    match (line.first(), number) {
        (None, _) => {}
        (Some(b'$' | b'*'), None) => out.extend_from_slice(b"NULL"),
        (Some(b'$' | b'='), Some(len)) => {
            let (text, rest) = bytes.split_at(len.min(bytes.len()));
            *bytes = &rest[2.min(rest.len())..];
            out.extend_from_slice(repr(text).as_bytes());
        }
        (Some(b'*' | b'>'), Some(count)) => describe_items(bytes, [b"[", b"]"], count, 1, depth, out),
        (Some(b'~'), Some(count)) => describe_items(bytes, [b"~(", b")"], count, 1, depth, out),
        (Some(b'%'), Some(count)) => describe_items(bytes, [b"{", b"}"], count, 2, depth, out),
        (Some(b'+' | b'-'), _) => out.extend_from_slice(repr(line).as_bytes()),
        (Some(b'_'), _) => out.extend_from_slice(b"(null)"),
        (Some(b'#'), _) => out.extend_from_slice(if line == b"#t" { b"#true" } else { b"#false" }),
        (Some(b','), _) => {
            out.extend_from_slice(b"(double) ");
            out.extend_from_slice(&line[1..]);
        }
        _ => out.extend_from_slice(&line[1..]),
    }
}

fn describe_items(
    bytes: &mut &[u8],
    [open, close]: [&[u8]; 2],
    count: usize,
    parts: usize,
    depth: usize,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(open);
    for index in 0..count {
        if depth == 0 {
            break;
        }
        for part in 0..parts {
            out.extend_from_slice(match (index, part) {
                (_, 1) => b" => ",
                (0, _) => b"",
                _ => b",",
            });
            describe_next(bytes, depth - 1, out);
        }
    }
    out.extend_from_slice(close);
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn every_kind_of_reply_has_its_form() {
        for (reply, wanted) in [
            ("+OK\r\n", "\"+OK\""),
            ("-ERR no\r\n", "\"-ERR no\""),
            (":5\r\n", "5"),
            ("$4\r\na\r\n\"\r\n", r#""a\r\n\"""#),
            ("$-1\r\n", "NULL"),
            ("*-1\r\n", "NULL"),
            ("*0\r\n", "[]"),
            ("*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "[\"a\",[1]]"),
            ("%2\r\n+a\r\n:1\r\n+b\r\n_\r\n", "{\"+a\" => 1,\"+b\" => (null)}"),
            ("~1\r\n#t\r\n", "~(#true)"),
            (",1.5\r\n", "(double) 1.5"),
        ] {
            let mut out = Vec::new();
            describe(reply.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), wanted);
        }
    }
}
