//! One element of a listpack: its head, its text or number, its backlen.
//!
//! Reading matches on the first byte; writing encodes the head into a few bytes on the stack and copies the text.

use super::{I64_BYTES_MAX, number};

/// Longest head of a text. A number's head and value have up to nine bytes.
const HEAD_BYTES_MAX: usize = 9;

/// What an element holds: a number, or a text that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// The canonical form of an integer.
    Int(i64),
    /// Any other text.
    Text(&'a [u8]),
}

impl<'a> Element<'a> {
    /// Bytes of its text.
    #[inline]
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Element::Text(text) => text.len(),
            Element::Int(value) => number::digits(value.unsigned_abs()) + usize::from(value < 0),
        }
    }

    /// Is its text empty?
    #[inline]
    #[must_use]
    pub fn is_empty(self) -> bool {
        matches!(self, Element::Text([]))
    }

    /// Its text; a number's is written into `buf`.
    #[inline]
    #[must_use]
    pub fn bytes<'b>(self, buf: &'b mut [u8; I64_BYTES_MAX]) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Element::Text(text) => text,
            Element::Int(value) => number::format_i64(value, buf),
        }
    }

    /// Its text in memory of its own.
    #[must_use]
    pub fn to_vec(self) -> Vec<u8> {
        self.bytes(&mut [0; I64_BYTES_MAX]).to_vec()
    }

    /// Is this its text?
    #[inline]
    #[must_use]
    pub fn equals(self, other: &[u8]) -> bool {
        match self {
            Element::Text(text) => text == other,
            Element::Int(value) => number::parse_i64(other) == Some(value),
        }
    }

    /// The integer whose canonical form it is.
    #[inline]
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Element::Int(value) => Some(value),
            Element::Text(text) => number::parse_i64(text),
        }
    }
}

/// Head and text of the element at `pos`, and how many bytes both have.
#[inline]
pub(super) fn read(bytes: &[u8], pos: usize) -> (Element<'_>, usize) {
    let head = bytes[pos];
    if head & 0x80 == 0 {
        return (Element::Int(i64::from(head)), 1);
    }
    if head & 0xc0 == 0x80 {
        let len = usize::from(head & 0x3f);
        return (Element::Text(&bytes[pos + 1..pos + 1 + len]), 1 + len);
    }
    if head & 0xe0 == 0xc0 {
        let raw = i64::from(head & 0x1f) << 8 | i64::from(bytes[pos + 1]);
        return (Element::Int(if raw >= 1 << 12 { raw - (1 << 13) } else { raw }), 2);
    }
    if head & 0xf0 == 0xe0 {
        let len = usize::from(head & 0x0f) << 8 | usize::from(bytes[pos + 1]);
        return (Element::Text(&bytes[pos + 2..pos + 2 + len]), 2 + len);
    }
    read_wide(bytes, pos, head)
}

fn read_wide(bytes: &[u8], pos: usize, head: u8) -> (Element<'_>, usize) {
    match head {
        0xf0 => {
            let len = text_len_wide(bytes, pos);
            (Element::Text(&bytes[pos + 5..pos + 5 + len]), 5 + len)
        }
        0xf1 => read_int::<2>(bytes, pos),
        0xf2 => read_int::<3>(bytes, pos),
        0xf3 => read_int::<4>(bytes, pos),
        0xf4 => read_int::<8>(bytes, pos),
        _ => panic!("no element of a listpack starts with {head:#x}"),
    }
}

/// A number of so many bytes behind the head.
#[inline]
fn read_int<const BYTES: usize>(bytes: &[u8], pos: usize) -> (Element<'_>, usize) {
    let mut wide = [0; 8];
    wide[8 - BYTES..].copy_from_slice(&bytes[pos + 1..pos + 1 + BYTES]);
    // The bytes lie at the top, so that the shift extends the sign.
    (Element::Int(i64::from_le_bytes(wide) >> (64 - 8 * BYTES)), 1 + BYTES)
}

fn text_len_wide(bytes: &[u8], pos: usize) -> usize {
    u32::from_le_bytes([bytes[pos + 1], bytes[pos + 2], bytes[pos + 3], bytes[pos + 4]]) as usize
}

/// Bytes of head and text by the head; 0 where the head alone does not say it.
static BODY_LEN: [u8; 256] = {
    let mut lens = [0; 256];
    let mut head = 0;
    while head < 256 {
        lens[head] = match head {
            0x00..=0x7f => 1,
            0x80..=0xbf => 1 + (head & 0x3f) as u8,
            0xc0..=0xdf => 2,
            0xf1 => 3,
            0xf2 => 4,
            0xf3 => 5,
            0xf4 => 9,
            _ => 0,
        };
        head += 1;
    }
    lens
};

/// Bytes of head and text of the element at `pos`.
#[inline(always)]
pub(super) fn body_len(bytes: &[u8], pos: usize) -> usize {
    match BODY_LEN[usize::from(bytes[pos])] {
        0 => long_body_len(bytes, pos),
        len => usize::from(len),
    }
}

fn long_body_len(bytes: &[u8], pos: usize) -> usize {
    match bytes[pos] {
        head @ 0xe0..=0xef => 2 + (usize::from(head & 0x0f) << 8 | usize::from(bytes[pos + 1])),
        0xf0 => 5 + text_len_wide(bytes, pos),
        head => panic!("no element of a listpack starts with {head:#x}"),
    }
}

/// Bytes of the backlen of a body of `len` bytes. The borders are one lower than they had to be; all writers of the
/// format agree in that, but for Valkey 9: see [`valkey`](super::valkey).
#[inline]
pub(super) fn backlen_len(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..=16382 => 2,
        16383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

/// Reads the backlen that ends in front of `end`.
#[inline]
pub(super) fn read_backlen(bytes: &[u8], end: usize) -> usize {
    let last = bytes[end - 1];
    if last & 0x80 == 0 {
        return usize::from(last);
    }
    let mut len = 0;
    for i in 0..5 {
        let byte = bytes[end - 1 - i];
        len |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return len;
        }
    }
    panic!("a backlen has at most five bytes")
}

/// An element as it will be written.
pub(super) struct Encoded<'a> {
    head: [u8; HEAD_BYTES_MAX],
    head_len: usize,
    /// Follows the head; empty for a number.
    text: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// A number if the text is one in canonical form.
    #[inline]
    pub(super) fn text(text: &'a [u8]) -> Encoded<'a> {
        match number::parse_i64(text) {
            Some(value) => Encoded::int(value),
            None => Encoded::plain(text),
        }
    }

    #[inline]
    pub(super) fn element(element: Element<'a>) -> Encoded<'a> {
        match element {
            Element::Int(value) => Encoded::int(value),
            Element::Text(text) => Encoded::text(text),
        }
    }

    #[inline]
    fn plain(text: &'a [u8]) -> Encoded<'a> {
        let mut head = [0; HEAD_BYTES_MAX];
        let head_len = match text.len() {
            len @ 0..=63 => {
                head[0] = 0x80 | len as u8;
                1
            }
            len @ 64..=4095 => {
                head[0] = 0xe0 | (len >> 8) as u8;
                head[1] = len as u8;
                2
            }
            len => {
                head[0] = 0xf0;
                head[1..5].copy_from_slice(&(len as u32).to_le_bytes());
                5
            }
        };
        Encoded { head, head_len, text }
    }

    #[inline]
    pub(super) fn int(value: i64) -> Encoded<'a> {
        let mut head = [0; HEAD_BYTES_MAX];
        let head_len = match value {
            0..=127 => {
                head[0] = value as u8;
                1
            }
            -4096..=4095 => {
                head[0] = 0xc0 | ((value >> 8) & 0x1f) as u8;
                head[1] = value as u8;
                2
            }
            _ => {
                head[1..].copy_from_slice(&value.to_le_bytes());
                let (kind, len) = match value {
                    -0x8000..=0x7fff => (0xf1, 3),
                    -0x80_0000..=0x7f_ffff => (0xf2, 4),
                    -0x8000_0000..=0x7fff_ffff => (0xf3, 5),
                    _ => (0xf4, 9),
                };
                head[0] = kind;
                len
            }
        };
        Encoded { head, head_len, text: &[] }
    }

    /// All bytes that it takes, backlen included.
    #[inline]
    pub(super) fn size(&self) -> usize {
        let body = self.head_len + self.text.len();
        body + backlen_len(body)
    }

    /// Fills `out`, which has [`Encoded::size`] bytes.
    #[inline]
    pub(super) fn write(&self, out: &mut [u8]) {
        let body = self.head_len + self.text.len();
        if self.head_len == 1 {
            out[0] = self.head[0];
        } else {
            out[..self.head_len].copy_from_slice(&self.head[..self.head_len]);
        }
        out[self.head_len..body].copy_from_slice(self.text);
        write_backlen(body, &mut out[body..]);
    }
}

/// Bytes that `text` will take in a listpack.
#[inline]
pub(super) fn size_of(text: &[u8]) -> usize {
    Encoded::text(text).size()
}

#[inline]
pub(super) fn write_backlen(len: usize, out: &mut [u8]) {
    if let [only] = out {
        *only = len as u8;
        return;
    }
    let mut rest = len;
    for byte in out.iter_mut().rev() {
        *byte = (rest & 0x7f) as u8 | 0x80;
        rest >>= 7;
    }
    out[0] &= 0x7f;
}
