//! Replies, from values to bytes, in the protocol version that the client chose.
//!
//! Each method appends one RESP value; an aggregate is its header followed by that many values. In RESP2 the types
//! of RESP3 fall back as Redis lets them: a map is a flat array, a double and a verbatim text are bulk strings, a
//! boolean is 0 or 1, null is an empty bulk or array.

use super::args::Args;
use super::output::Output;
use crate::base::limit::SHARED_REPLY_BYTES;
use crate::base::lossless;
use crate::base::number::{format_double, format_i64};
use bytes::Bytes;

/// Appends replies to the output of one client.
pub struct Reply<'a> {
    out: &'a mut Output,
    /// 2 or 3.
    version: u8,
    /// The client asked not to be answered.
    muted: bool,
}

impl<'a> Reply<'a> {
    /// A writer of protocol `version` (2 or 3); a muted one drops all it is given.
    #[inline]
    pub fn new(out: &'a mut Output, version: u8, muted: bool) -> Reply<'a> {
        Reply { out, version, muted }
    }

    /// The protocol version, 2 or 3.
    #[inline]
    pub fn version(&self) -> u8 {
        self.version
    }

    /// Drops what follows, or no longer.
    pub fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// The output that is appended to.
    pub fn output(&mut self) -> &mut Output {
        self.out
    }

    /// Bytes in the form of the protocol already.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        if !self.muted {
            self.out.tail().extend_from_slice(bytes);
        }
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// A simple string; it must hold no line end.
    pub fn status(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// A simple string of any bytes: line ends become spaces.
    pub fn status_bytes(&mut self, text: &[u8]) {
        let clean: Vec<u8> =
            text.iter().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }).collect();
        self.line(b'+', &clean);
    }

    /// An error. Line ends become spaces, but for those at the end, which go.
    pub fn error(&mut self, text: &str) {
        self.error_bytes(&lossless::to_bytes(text));
    }

    /// As [`Reply::error`], of any bytes.
    pub fn error_bytes(&mut self, text: &[u8]) {
        let end = text.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
        let clean: Vec<u8> =
            text[..end].iter().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }).collect();
        self.line(b'-', &clean);
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, value: i64) {
        if (0..10).contains(&value) {
            self.raw(&[b':', b'0' + value as u8, b'\r', b'\n']);
        } else {
            self.number(b':', value);
        }
    }

    /// A bulk string.
    #[inline(always)]
    pub fn bulk(&mut self, value: &[u8]) {
        if self.muted {
            return;
        }
        let tail = self.out.tail();
        tail.reserve(value.len() + 32);
        header(tail, b'$', value.len());
        tail.extend_from_slice(value);
        tail.extend_from_slice(b"\r\n");
    }

    /// A bulk string whose bytes are shared with the keyspace when they are many.
    pub fn bulk_shared(&mut self, value: &Bytes) {
        if value.len() < SHARED_REPLY_BYTES || self.muted || self.out.copies() {
            return self.bulk(value);
        }
        header(self.out.tail(), b'$', value.len());
        self.out.share(value.clone());
        self.out.tail().extend_from_slice(b"\r\n");
    }

    /// A bulk string of a number in decimal.
    pub fn bulk_int(&mut self, value: i64) {
        let mut digits = [0; 20];
        let text = format_i64(value, &mut digits);
        self.bulk(text);
    }

    /// Null: the RESP3 null, or an empty bulk string.
    #[inline]
    pub fn null(&mut self) {
        self.raw(if self.version == 3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// Null where an array is expected.
    pub fn null_array(&mut self) {
        self.raw(if self.version == 3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// A bulk string or null.
    pub fn bulk_or_null(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.bulk(value),
            None => self.null(),
        }
    }

    /// The header of an array of `len` values.
    pub fn array(&mut self, len: usize) {
        self.number(b'*', len as i64);
    }

    /// The header of a map of `pairs` keys and values.
    pub fn map(&mut self, pairs: usize) {
        match self.version {
            3 => self.number(b'%', pairs as i64),
            _ => self.number(b'*', pairs as i64 * 2),
        }
    }

    /// The header of a set of `len` values.
    pub fn set(&mut self, len: usize) {
        self.number(if self.version == 3 { b'~' } else { b'*' }, len as i64);
    }

    /// The header of a push message of `len` values; in RESP2 an array.
    pub fn push(&mut self, len: usize) {
        self.number(if self.version == 3 { b'>' } else { b'*' }, len as i64);
    }

    /// The header of an attribute of `pairs` keys and values, which precedes a reply. RESP3 only.
    pub fn attribute(&mut self, pairs: usize) {
        self.number(b'|', pairs as i64);
    }

    /// A boolean.
    pub fn bool(&mut self, value: bool) {
        match (self.version, value) {
            (3, true) => self.raw(b"#t\r\n"),
            (3, false) => self.raw(b"#f\r\n"),
            (_, value) => self.int(i64::from(value)),
        }
    }

    /// A floating-point number.
    pub fn double(&mut self, value: f64) {
        let mut text = Vec::new();
        format_double(value, &mut text);
        match self.version {
            3 => self.line(b',', &text),
            _ => self.bulk(&text),
        }
    }

    /// A number of any length, in decimal.
    pub fn big_number(&mut self, digits: &[u8]) {
        match self.version {
            3 => self.line(b'(', digits),
            _ => self.bulk(digits),
        }
    }

    /// A text with its format, `txt` or `mkd`.
    pub fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        if self.version != 3 {
            return self.bulk(text);
        }
        if !self.muted {
            let tail = self.out.tail();
            header(tail, b'=', text.len() + 4);
            tail.extend_from_slice(&format);
            tail.push(b':');
            tail.extend_from_slice(text);
            tail.extend_from_slice(b"\r\n");
        }
    }

    fn number(&mut self, sigil: u8, value: i64) {
        let mut digits = [0; 20];
        let text = format_i64(value, &mut digits);
        self.line(sigil, text);
    }

    fn line(&mut self, sigil: u8, text: &[u8]) {
        if self.muted {
            return;
        }
        let tail = self.out.tail();
        tail.reserve(text.len() + 3);
        tail.push(sigil);
        tail.extend_from_slice(text);
        tail.extend_from_slice(b"\r\n");
    }
}

/// Appends the length line of a bulk string.
#[inline(always)]
fn header(tail: &mut Vec<u8>, sigil: u8, len: usize) {
    // The common lengths are written at once.
    match u8::try_from(len).unwrap_or(u8::MAX) {
        len @ 0..10 => tail.extend_from_slice(&[sigil, b'0' + len, b'\r', b'\n']),
        len @ 10..100 => tail.extend_from_slice(&[sigil, b'0' + len / 10, b'0' + len % 10, b'\r', b'\n']),
        _ => long_header(tail, sigil, len),
    }
}

fn long_header(tail: &mut Vec<u8>, sigil: u8, len: usize) {
    let mut digits = [0; 20];
    tail.push(sigil);
    tail.extend_from_slice(format_i64(len as i64, &mut digits));
    tail.extend_from_slice(b"\r\n");
}

/// Encodes a request, as a client or the feed sends one.
pub fn encode_request<A: AsRef<[u8]>>(args: &[A], into: &mut Vec<u8>) {
    header(into, b'*', args.len());
    args.iter().for_each(|arg| encode_argument(arg.as_ref(), into));
}

/// As [`encode_request`] for a request that came.
pub fn encode_args(args: Args<'_>, into: &mut Vec<u8>) {
    header(into, b'*', args.len());
    args.iter_from(0).for_each(|arg| encode_argument(arg, into));
}

fn encode_argument(argument: &[u8], into: &mut Vec<u8>) {
    header(into, b'$', argument.len());
    into.extend_from_slice(argument);
    into.extend_from_slice(b"\r\n");
}
