//! The arguments of one request, wherever they lie.
//!
//! Most requests are a few spans of the read buffer and are never copied. A request that has to wait, that came
//! inline, or that holds a large argument owns its arguments as [`Bytes`]. A handler sees no difference.

use bytes::Bytes;

/// One argument as a range of the buffer that was parsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

/// The arguments of one request; the first is the name of the command.
#[derive(Clone, Copy)]
pub enum Args<'a> {
    /// Ranges of a buffer that lives as long as the command runs.
    Spans(&'a [u8], &'a [Span]),
    /// Arguments that own their bytes.
    Owned(&'a [Bytes]),
}

impl<'a> Args<'a> {
    /// How many arguments there are, the name included.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Args::Spans(_, spans) => spans.len(),
            Args::Owned(values) => values.len(),
        }
    }

    /// Whether there is not even a name.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The argument at `index`.
    ///
    /// # Panics
    ///
    /// When there is none: the arity of the row bounds what a handler may ask for.
    #[inline(always)]
    pub fn at(&self, index: usize) -> &'a [u8] {
        match self {
            Args::Spans(buffer, spans) => {
                let span = spans[index];
                &buffer[span.start as usize..span.end as usize]
            }
            Args::Owned(values) => &values[index],
        }
    }

    /// The argument at `index`, if there is one.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        if index < self.len() { Some(self.at(index)) } else { None }
    }

    /// Whether the argument at `index` is `word`, whatever its case.
    #[inline]
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.get(index).is_some_and(|a| a.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// The argument at `index` as bytes of its own: a copy of a span, a further reference to owned bytes.
    pub fn bytes(&self, index: usize) -> Bytes {
        match self {
            Args::Spans(..) => Bytes::copy_from_slice(self.at(index)),
            Args::Owned(values) => values[index].clone(),
        }
    }

    /// The request within this one that begins at `from`.
    pub fn tail(self, from: usize) -> Args<'a> {
        match self {
            Args::Spans(buffer, spans) => Args::Spans(buffer, &spans[from..]),
            Args::Owned(values) => Args::Owned(&values[from..]),
        }
    }

    /// The arguments from `from` on.
    pub fn iter_from(self, from: usize) -> impl Iterator<Item = &'a [u8]> {
        (from..self.len()).map(move |i| self.at(i))
    }

    /// The name of the command in one word, and its length; none when it is longer than eight bytes, or lies where eight bytes cannot be
    /// read at once.
    #[inline(always)]
    pub fn short_name(&self) -> Option<(u64, usize)> {
        let Args::Spans(buffer, spans) = self else { return None };
        let span = spans[0];
        let len = (span.end - span.start) as usize;
        let word = buffer.get(span.start as usize..span.start as usize + 8)?;
        if !(1..=8).contains(&len) {
            return None;
        }
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes long"));
        Some((word & u64::MAX >> (64 - 8 * len), len))
    }

    /// Bytes of the request, about: from the first argument to the last.
    #[inline(always)]
    pub fn extent(&self) -> usize {
        match self {
            Args::Spans(_, [first, .., last]) => (last.end - first.start) as usize,
            Args::Spans(_, spans) => spans.first().map_or(0, |only| (only.end - only.start) as usize),
            Args::Owned(values) => values.iter().map(Bytes::len).sum(),
        }
    }

    /// Bytes of the request on the wire.
    pub fn wire_bytes(&self) -> usize {
        let line = |n: usize| 3 + n.checked_ilog10().unwrap_or(0) as usize + 1;
        line(self.len()) + self.iter_from(0).map(|a| line(a.len()) + a.len() + 2).sum::<usize>()
    }

    /// All arguments as bytes of their own.
    pub fn to_owned_args(&self) -> Vec<Bytes> {
        (0..self.len()).map(|i| self.bytes(i)).collect()
    }
}
