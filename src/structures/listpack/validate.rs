//! Is this a listpack? For bytes from outside, whatever they are: no panic, and one pass.

use super::element::{self, backlen_len};
use super::{COUNT_UNKNOWN, EMPTY_BYTES, END, HEADER_BYTES, Packed};

/// Why bytes from outside are refused: they are not what they say they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

impl std::fmt::Display for Corrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the bytes have a wrong form")
    }
}

impl std::error::Error for Corrupt {}

/// Checks length and end, and with `deep` each element; gives the number of elements. Without `deep` that is what the
/// header says, and zero where it says nothing.
///
/// # Errors
/// [`Corrupt`] if the bytes are no listpack.
pub fn validate(bytes: &[u8], deep: bool) -> Result<usize, Corrupt> {
    if bytes.len() < EMPTY_BYTES || bytes[bytes.len() - 1] != END {
        return Err(Corrupt);
    }
    let total = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    if total as usize != bytes.len() {
        return Err(Corrupt);
    }
    let known = u16::from_le_bytes([bytes[4], bytes[5]]);
    if !deep {
        return Ok(if known == COUNT_UNKNOWN { 0 } else { usize::from(known) });
    }
    let count = count_elements(bytes, backlen_len)?;
    if known != COUNT_UNKNOWN && usize::from(known) != count {
        return Err(Corrupt);
    }
    debug_assert_eq!(Packed::new(bytes).len(), count);
    Ok(count)
}

/// As [`validate`], deep, where backlens have other lengths.
pub(super) fn validate_with(bytes: &[u8], backlen_len: fn(usize) -> usize) -> Result<usize, Corrupt> {
    let known = validate(bytes, false)?;
    let count = count_elements(bytes, backlen_len)?;
    if known != 0 && known != count { Err(Corrupt) } else { Ok(count) }
}

fn count_elements(bytes: &[u8], backlen_len: impl Fn(usize) -> usize) -> Result<usize, Corrupt> {
    let end = bytes.len() - 1;
    let mut count = 0;
    let mut pos = HEADER_BYTES;
    while pos < end {
        pos = validate_element(bytes, pos, end, &backlen_len)?;
        count += 1;
    }
    Ok(count)
}

/// The position behind the element at `pos`, which must end at or before `end`.
pub(super) fn validate_element(
    bytes: &[u8],
    pos: usize,
    end: usize,
    backlen_len: impl Fn(usize) -> usize,
) -> Result<usize, Corrupt> {
    let head_bytes = match bytes[pos] {
        0x00..=0xbf => 1,
        0xc0..=0xef => 2,
        0xf0 => 5,
        0xf1 => 3,
        0xf2 => 4,
        0xf3 => 5,
        0xf4 => 9,
        0xf5.. => return Err(Corrupt),
    };
    if head_bytes > end - pos {
        return Err(Corrupt);
    }
    let body = element::body_len(bytes, pos);
    let size = body + backlen_len(body);
    if size > end - pos {
        return Err(Corrupt);
    }
    // The backlen must be the one that a writer would write: walks from the end rely on it.
    let written = &bytes[pos + body..pos + size];
    let mut rest = body;
    for (i, byte) in written.iter().enumerate().rev() {
        let more = if i == 0 { 0 } else { 0x80 };
        if *byte != (rest & 0x7f) as u8 | more {
            return Err(Corrupt);
        }
        rest >>= 7;
    }
    if rest == 0 { Ok(pos + size) } else { Err(Corrupt) }
}
