//! Listpacks of Valkey 9: the same as Redis's, but for the backlen of a few lengths.
//!
//! A backlen has a byte for each seven bits of the length. Redis, and Valkey before 9, begin with one more byte at a length that
//! would still fit, 2^14 - 1, 2^21 - 1 and 2^28 - 1; Valkey 9 begins one later. So a listpack with an element of exactly that length
//! is damaged in the other's eyes. [`from_valkey`] and [`to_valkey`] write it anew. (`tests/exchange.rs` found it: Valkey 9.1
//! refuses a dump of Redis 8.0 that holds a string of 16378 bytes in a listpack, and the other way round.)

use super::element::{backlen_len, write_backlen};
use super::validate::{Corrupt, validate_element, validate_with};
use super::{END, HEADER_BYTES};

/// Shorter listpacks are the same in both.
pub const DIFFERS_FROM_BYTES: usize = 16383;

/// The listpack as Redis writes it, of one that Valkey 9 has written.
///
/// # Errors
///
/// [`Corrupt`] if the bytes are no listpack of Valkey's.
pub fn from_valkey(bytes: &[u8]) -> Result<Vec<u8>, Corrupt> {
    validate_with(bytes, backlen_len_of_valkey)?;
    recode(bytes, backlen_len_of_valkey, backlen_len)
}

/// The listpack as Valkey 9 writes it; none if it is the same. The bytes have to be a listpack.
pub fn to_valkey(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() < DIFFERS_FROM_BYTES {
        return None;
    }
    recode(bytes, backlen_len, backlen_len_of_valkey).ok().filter(|other| other.len() != bytes.len())
}

/// Bytes of the backlen of a body of `len` bytes, where Valkey 9 writes it.
fn backlen_len_of_valkey(len: usize) -> usize {
    match len {
        16383 | 2_097_151 | 268_435_455 => backlen_len(len) - 1,
        len => backlen_len(len),
    }
}

/// Writes all elements with backlens of another length.
fn recode(bytes: &[u8], from: fn(usize) -> usize, to: fn(usize) -> usize) -> Result<Vec<u8>, Corrupt> {
    let mut out = Vec::with_capacity(bytes.len() + 16);
    out.extend_from_slice(&bytes[..HEADER_BYTES]);
    let (mut pos, end) = (HEADER_BYTES, bytes.len() - 1);
    while pos < end {
        let next = validate_element(bytes, pos, end, from)?;
        let body = super::element::body_len(bytes, pos);
        out.extend_from_slice(&bytes[pos..pos + body]);
        let start = out.len();
        out.resize(start + to(body), 0);
        write_backlen(body, &mut out[start..]);
        pos = next;
    }
    out.push(END);
    let total = u32::try_from(out.len()).map_err(|_| Corrupt)?;
    out[..4].copy_from_slice(&total.to_le_bytes());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::{Listpack, validate};
    use super::*;

    #[test]
    fn only_an_element_of_a_border_differs_and_it_goes_both_ways() {
        for (len, differs) in [(100, false), (16377, false), (16378, true), (16379, false), (2_097_146, true)]
        {
            let mut list = Listpack::new();
            list.push(b"before");
            list.push(&vec![b'x'; len]);
            list.push_int(7);
            let other = to_valkey(list.bytes());
            assert_eq!(other.is_some(), differs, "{len}");
            let Some(other) = other else { continue };
            assert_eq!(other.len() + 1, list.bytes_len());
            assert_eq!(validate(&other, true), Err(Corrupt));
            assert_eq!(from_valkey(&other).as_deref(), Ok(list.bytes()));
            // Redis's is none of Valkey's, and nothing shorter is a listpack.
            assert_eq!(from_valkey(list.bytes()), Err(Corrupt));
            for cut in [0, 3, 6, 7, 20, other.len() - 1] {
                assert_eq!(from_valkey(&other[..cut]), Err(Corrupt));
            }
        }
    }
}
