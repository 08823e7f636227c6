//! Reading the parts of values from bytes that may be damaged, or not all there yet.
//!
//! A reader goes over bytes that lie in one piece. When they end within something it says [`Stop::Short`]; whoever has more
//! bytes begins again after what was kept, see [`Reader::keep`]. So what is read between two calls of `keep` comes whole or
//! not at all. Texts are found first, as a [`Span`], and made of their bytes only when all of a part is there.

use super::error::Stop;
use crate::base::number::{I64_BYTES_MAX, format_i64};
use crate::structures::lzf;
use std::ops::Deref;

/// What is left to be read.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the thing begins that was read last: the place of an error.
    began: usize,
    /// What stands before is read for good.
    kept: usize,
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

/// A string as it is written.
#[derive(Clone, Copy)]
pub(super) enum Span<'a> {
    Plain(&'a [u8]),
    Int(i64),
    /// The compressed bytes, and how many they were.
    Lzf(&'a [u8], usize),
}

/// The head of a string.
pub(super) enum Head {
    /// So many bytes follow.
    Plain(u64),
    /// So many compressed bytes follow, which were so many.
    Lzf(u64, u64),
    /// It is a number, and nothing follows.
    Int(i64),
}

/// The bytes of a string.
pub(super) enum Text<'a> {
    Lies(&'a [u8]),
    /// The digits of a number begin at this place.
    Digits([u8; I64_BYTES_MAX], usize),
    Made(Vec<u8>),
}

impl Deref for Text<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Text::Lies(bytes) => bytes,
            Text::Digits(bytes, from) => &bytes[*from..],
            Text::Made(bytes) => bytes,
        }
    }
}

impl Text<'_> {
    pub(super) fn into_vec(self) -> Vec<u8> {
        match self {
            Text::Made(bytes) => bytes,
            text => text.to_vec(),
        }
    }
}

impl<'a> Span<'a> {
    /// The bytes that it stands for.
    #[inline]
    pub(super) fn text(self) -> Result<Text<'a>, Stop> {
        match self {
            Span::Plain(bytes) => Ok(Text::Lies(bytes)),
            Span::Int(value) => {
                let mut digits = [0; I64_BYTES_MAX];
                let from = I64_BYTES_MAX - format_i64(value, &mut digits).len();
                Ok(Text::Digits(digits, from))
            }
            Span::Lzf(packed, len) => unpack(packed, len).map(Text::Made),
        }
    }
}

/// Undoes the compression of a string.
pub(super) fn unpack(packed: &[u8], len: usize) -> Result<Vec<u8>, Stop> {
    if len > packed.len().saturating_mul(EXPANSION_MAX) {
        return Err(Stop::Bad("Invalid LZF compressed string"));
    }
    lzf::decompress(packed, len).ok_or(Stop::Bad("Invalid LZF compressed string"))
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0, began: 0, kept: 0 }
    }

    /// Bytes that are left.
    #[inline]
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Bytes that were read.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Where the thing begins that was read last.
    pub(super) fn began(&self) -> usize {
        self.began
    }

    /// What was read so far is read for good.
    #[inline]
    pub(super) fn keep(&mut self) {
        self.kept = self.at;
    }

    /// Bytes that were read for good.
    #[inline]
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len()).ok_or(Stop::Short)?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Stop> {
        let byte = *self.bytes.get(self.at).ok_or(Stop::Short)?;
        self.began = self.at;
        self.at += 1;
        Ok(byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        self.began = self.at;
        self.take(N)?.try_into().map_err(|_| Stop::Short)
    }

    /// Eight bytes, the lowest first.
    pub(super) fn u64(&mut self) -> Result<u64, Stop> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    #[inline]
    fn length(&mut self) -> Result<Length, Stop> {
        let first = self.byte()?;
        let began = self.began;
        let length = match first >> 6 {
            0 => Length::Plain(u64::from(first & 0x3f)),
            1 => Length::Plain(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            2 if first == 0x80 => Length::Plain(u32::from_be_bytes(self.array()?).into()),
            2 if first == 0x81 => Length::Plain(u64::from_be_bytes(self.array()?)),
            2 => return Err(Stop::Bad("Unknown length encoding 2 in rdbLoadLen()")),
            _ => match first & 0x3f {
                0 => Length::Int8,
                1 => Length::Int16,
                2 => Length::Int32,
                3 => Length::Lzf,
                _ => return Err(Stop::Bad("Unknown RDB string encoding type")),
            },
        };
        self.began = began;
        Ok(length)
    }

    /// A length.
    #[inline]
    pub(super) fn len(&mut self) -> Result<u64, Stop> {
        match self.length()? {
            Length::Plain(len) => Ok(len),
            _ => Err(Stop::Bad("A string in another form where a length was expected")),
        }
    }

    /// The head of a string.
    #[inline]
    pub(super) fn head(&mut self) -> Result<Head, Stop> {
        let head = match self.length()? {
            Length::Plain(len) => return Ok(Head::Plain(len)),
            Length::Lzf => {
                let began = self.began;
                let lens = (self.len()?, self.len()?);
                self.began = began;
                return Ok(Head::Lzf(lens.0, lens.1));
            }
            Length::Int8 => i64::from(i8::from_le_bytes(self.array()?)),
            Length::Int16 => i64::from(i16::from_le_bytes(self.array()?)),
            Length::Int32 => i64::from(i32::from_le_bytes(self.array()?)),
        };
        Ok(Head::Int(head))
    }

    /// A string as it is written.
    #[inline]
    pub(super) fn span(&mut self) -> Result<Span<'a>, Stop> {
        let size = |len: u64| usize::try_from(len).map_err(|_| Stop::Short);
        Ok(match self.head()? {
            Head::Plain(len) => Span::Plain(self.take(size(len)?)?),
            Head::Lzf(packed, len) => Span::Lzf(self.take(size(packed)?)?, size(len)?),
            Head::Int(value) => Span::Int(value),
        })
    }

    /// A string.
    #[inline]
    pub(super) fn text(&mut self) -> Result<Text<'a>, Stop> {
        self.span()?.text()
    }

    /// A score in the text form of old servers.
    pub(super) fn text_score(&mut self) -> Result<f64, Stop> {
        let len = match self.byte()? {
            253 => return Ok(f64::NAN),
            254 => return Ok(f64::INFINITY),
            255 => return Ok(f64::NEG_INFINITY),
            len => len,
        };
        let text = std::str::from_utf8(self.take(len.into())?).ok();
        let score = text.and_then(|text| text.trim().parse().ok());
        score.ok_or(Stop::Bad("A score that is no number"))
    }

    /// A score in eight bytes.
    pub(super) fn score(&mut self) -> Result<f64, Stop> {
        Ok(f64::from_le_bytes(self.array()?))
    }
}
