//! Any bytes as text, and back without a loss.
//!
//! Errors quote what clients send, which need not be UTF-8, and are put together as text. A byte that is part of no
//! character stands there as one of 128 characters of the private use area, and becomes that byte again when the error is
//! written. The way of Python's `surrogateescape` (PEP 383), with characters that a `str` can hold.

use std::borrow::Cow;

/// The character of byte 0; those of 128 and more are used.
const FIRST: u32 = 0x10_FF00;

/// The byte with which such characters begin in UTF-8.
const LEAD: u8 = 0xF4;

/// Bytes as text: what is UTF-8 as it is.
pub fn from_bytes(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| byte_of(c).is_some()) => Cow::Borrowed(text),
        _ => Cow::Owned(escaped(bytes)),
    }
}

/// Text of [`from_bytes`], or with such within, as the bytes it was.
pub fn to_bytes(text: &str) -> Cow<'_, [u8]> {
    if !text.as_bytes().contains(&LEAD) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte_of(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match byte_of(c) {
                // It was sent, and stands for no byte: each of its own bytes is kept.
                Some(_) => text.extend(c.encode_utf8(&mut [0; 4]).bytes().map(char_of)),
                None => text.push(c),
            }
        }
        text.extend(chunk.invalid().iter().copied().map(char_of));
    }
    text
}

fn char_of(byte: u8) -> char {
    char::from_u32(FIRST + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The byte that a character stands for.
fn byte_of(c: char) -> Option<u8> {
    u32::from(c).checked_sub(FIRST).and_then(|byte| u8::try_from(byte).ok()).filter(|byte| *byte >= 128)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn utf_8_stays_as_it_is() {
        for text in ["", "key", "schlüssel", "\u{10FF00}", "\u{10FFFD} \u{1F600}"] {
            let kept = from_bytes(text.as_bytes());
            assert_eq!(to_bytes(&kept), text.as_bytes());
        }
        assert!(matches!(from_bytes("schlüssel \u{10FF7F}".as_bytes()), Cow::Borrowed(_)));
        assert!(matches!(to_bytes("schlüssel"), Cow::Borrowed(_)));
    }

    #[test]
    fn any_bytes_come_back() {
        let mut rng = Rng::from_seed(5);
        let tricky = [0xF4, 0x8F, 0xBE, 0x80, 0xBF, 0xC3, 0x28, 0xFF, b'a', 0];
        for _ in 0..20_000 {
            let bytes: Vec<u8> =
                (0..rng.below(12)).map(|_| tricky[rng.below(tricky.len() as u64) as usize]).collect();
            let text = format!("<{}>", from_bytes(&bytes));
            let wanted = [b"<", &bytes[..], b">"].concat();
            assert_eq!(to_bytes(&text), wanted, "{bytes:x?}");
        }
    }
}
