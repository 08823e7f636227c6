//! Reading the parts of values from bytes that may be damaged.

use super::decode::BadData;
use crate::structures::lzf;
use std::borrow::Cow;

/// What is left to be read.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A string may be this much longer than the bytes it was compressed into: LZF cannot do more.
const EXPANSION_MAX: usize = 264;

/// A length, or the mark of a string that is written in another form.
enum Length {
    Plain(u64),
    Int8,
    Int16,
    Int32,
    Lzf,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], BadData> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len()).ok_or(BadData)?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, BadData> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], BadData> {
        self.take(N)?.try_into().map_err(|_| BadData)
    }

    fn length(&mut self) -> Result<Length, BadData> {
        let first = self.byte()?;
        Ok(match first >> 6 {
            0 => Length::Plain(u64::from(first & 0x3f)),
            1 => Length::Plain(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            2 if first == 0x80 => Length::Plain(u32::from_be_bytes(self.array()?).into()),
            2 if first == 0x81 => Length::Plain(u64::from_be_bytes(self.array()?)),
            2 => return Err(BadData),
            _ => match first & 0x3f {
                0 => Length::Int8,
                1 => Length::Int16,
                2 => Length::Int32,
                3 => Length::Lzf,
                _ => return Err(BadData),
            },
        })
    }

    /// A length.
    pub(super) fn len(&mut self) -> Result<u64, BadData> {
        match self.length()? {
            Length::Plain(len) => Ok(len),
            _ => Err(BadData),
        }
    }

    /// The number of things that follow, each of at least `bytes_each` bytes: more cannot be there.
    pub(super) fn count(&mut self, bytes_each: usize) -> Result<usize, BadData> {
        let count = usize::try_from(self.len()?).map_err(|_| BadData)?;
        if count > self.left() / bytes_each.max(1) { Err(BadData) } else { Ok(count) }
    }

    /// A string.
    pub(super) fn text(&mut self) -> Result<Cow<'a, [u8]>, BadData> {
        let number = match self.length()? {
            Length::Plain(len) => {
                return Ok(Cow::Borrowed(self.take(usize::try_from(len).map_err(|_| BadData)?)?));
            }
            Length::Lzf => return self.compressed(),
            Length::Int8 => i64::from(i8::from_le_bytes(self.array()?)),
            Length::Int16 => i64::from(i16::from_le_bytes(self.array()?)),
            Length::Int32 => i64::from(i32::from_le_bytes(self.array()?)),
        };
        Ok(Cow::Owned(number.to_string().into_bytes()))
    }

    fn compressed(&mut self) -> Result<Cow<'a, [u8]>, BadData> {
        let packed_len = usize::try_from(self.len()?).map_err(|_| BadData)?;
        let len = usize::try_from(self.len()?).map_err(|_| BadData)?;
        let packed = self.take(packed_len)?;
        if len > packed.len().saturating_mul(EXPANSION_MAX) {
            return Err(BadData);
        }
        lzf::decompress(packed, len).map(Cow::Owned).ok_or(BadData)
    }

    /// A score in the text form of old servers.
    pub(super) fn text_score(&mut self) -> Result<f64, BadData> {
        match self.byte()? {
            253 => Ok(f64::NAN),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            len => {
                let text = std::str::from_utf8(self.take(len.into())?).map_err(|_| BadData)?;
                text.trim().parse().map_err(|_| BadData)
            }
        }
    }

    /// A score in eight bytes.
    pub(super) fn score(&mut self) -> Result<f64, BadData> {
        Ok(f64::from_le_bytes(self.array()?))
    }
}
