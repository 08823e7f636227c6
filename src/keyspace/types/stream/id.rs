//! Ids of stream entries: a time in milliseconds and a number within it, written `ms-seq`.

use crate::base::number::{format_u64, parse_i64};

/// Bytes of the longest id as text.
pub const ID_BYTES_MAX: usize = 41;

/// The id of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId {
    /// Unix time in milliseconds, or whatever the client said.
    pub ms: u64,
    /// Number within the millisecond.
    pub seq: u64,
}

/// An id as XADD gets it: the number may be left to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// The time.
    pub ms: u64,
    /// The number; none for `*`.
    pub seq: Option<u64>,
}

impl StreamId {
    /// The least id. No entry has it.
    pub const ZERO: StreamId = StreamId { ms: 0, seq: 0 };
    /// The greatest id.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// An id of its parts.
    pub const fn new(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    /// The id as one number, in the same order.
    #[inline]
    pub const fn number(self) -> u128 {
        (self.ms as u128) << 64 | self.seq as u128
    }

    /// The id with this number.
    #[inline]
    pub const fn from_number(number: u128) -> StreamId {
        StreamId { ms: (number >> 64) as u64, seq: number as u64 }
    }

    /// Is it the least id?
    pub fn is_zero(self) -> bool {
        self == StreamId::ZERO
    }

    /// The next greater id.
    pub fn next(self) -> Option<StreamId> {
        self.number().checked_add(1).map(StreamId::from_number)
    }

    /// The next smaller id.
    pub fn prev(self) -> Option<StreamId> {
        self.number().checked_sub(1).map(StreamId::from_number)
    }

    /// The id as text, written into `buf`.
    pub fn text(self, buf: &mut [u8; ID_BYTES_MAX]) -> &[u8] {
        let mut digits = [0; 20];
        let ms = format_u64(self.ms, &mut digits);
        let len = ms.len();
        buf[..len].copy_from_slice(ms);
        buf[len] = b'-';
        let seq = format_u64(self.seq, &mut digits);
        let end = len + 1 + seq.len();
        buf[len + 1..end].copy_from_slice(seq);
        &buf[..end]
    }

    /// The id as text of its own.
    pub fn to_vec(self) -> Vec<u8> {
        self.text(&mut [0; ID_BYTES_MAX]).to_vec()
    }

    /// Reads `ms-seq` or `ms`, which means `ms-missing_seq`.
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<StreamId> {
        let (ms, seq) = split(text)?;
        let seq = seq.map_or(Some(missing_seq), parse_part)?;
        Some(StreamId { ms: parse_part(ms)?, seq })
    }

    /// As [`StreamId::parse`]; `-` and `+` are the least and the greatest id.
    pub fn parse_bound(text: &[u8], missing_seq: u64) -> Option<StreamId> {
        match text {
            b"-" => Some(StreamId::ZERO),
            b"+" => Some(StreamId::MAX),
            _ => StreamId::parse(text, missing_seq),
        }
    }
}

impl Partial {
    /// Reads `ms-seq`, `ms-*` or `ms`, which means `ms-0`.
    pub fn parse(text: &[u8]) -> Option<Partial> {
        let (ms, seq) = split(text)?;
        let seq = match seq {
            None => Some(0),
            Some(b"*") => None,
            Some(seq) => Some(parse_part(seq)?),
        };
        Some(Partial { ms: parse_part(ms)?, seq })
    }
}

fn split(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    // Longer texts are refused unread.
    if text.len() > 127 {
        return None;
    }
    match text.iter().position(|byte| *byte == b'-') {
        None => Some((text, None)),
        Some(at) => Some((&text[..at], Some(&text[at + 1..]))),
    }
}

/// Digits, as C reads them: blanks, a sign and zeros in front are let pass, a negative number wraps around.
fn parse_part(text: &[u8]) -> Option<u64> {
    if let Some(value) = parse_i64(text) {
        return u64::try_from(value).ok();
    }
    let (digits, is_negative) = match text.trim_ascii_start() {
        [b'-', digits @ ..] => (digits, true),
        [b'+', digits @ ..] => (digits, false),
        digits => (digits, false),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(if is_negative { value.wrapping_neg() } else { value })
}
