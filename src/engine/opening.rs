//! How a plain request begins, up to its first key.
//!
//! The requests of a pipeline mostly begin with the same bytes: `*2\r\n$3\r\nGET\r\n$16\r\n`. So the beginning of the last one
//! is compared with that of the next, by two words. Where they agree, so do the number of arguments, the name, with it the
//! row, and the length of the key: none of them is read again.
//!
//! The cost: 10 instructions for a request that begins otherwise; some 60 are saved for one that does not.

use super::table::Row;
use crate::resp::Span;
use crate::resp::parse::plain_argument;
use std::ops::RangeInclusive;

/// Bytes that two words of 16 bytes, which may overlap, can compare.
const OPENING_BYTES: RangeInclusive<usize> = 16..=32;

/// The beginning of a request that was parsed.
#[derive(Clone, Copy)]
pub(super) struct Opening {
    /// Where the request begins.
    at: usize,
    /// From there to its first key.
    bytes: usize,
    name: Span,
    key_bytes: usize,
    /// Arguments after the key.
    more: usize,
    /// Its row. The first argument is its key.
    pub row: &'static Row,
}

impl Opening {
    /// The opening of the plain request at `at` with these spans; none where there is nothing to gain.
    pub fn of(at: usize, spans: &[Span], row: &'static Row) -> Option<Opening> {
        let [name, key, more @ ..] = spans else { return None };
        let bytes = key.start as usize - at;
        let fits = row.first_key == 1 && !row.is_sub() && OPENING_BYTES.contains(&bytes);
        let key_bytes = (key.end - key.start) as usize;
        fits.then_some(Opening { at, bytes, name: *name, key_bytes, more: more.len(), row })
    }

    /// Parses the request at `next` if it begins as this one did: appends its spans and returns its end.
    #[inline(always)]
    pub fn parse(&self, source: &[u8], next: usize, spans: &mut Vec<Span>) -> Option<usize> {
        let key = next + self.bytes;
        let end = key + self.key_bytes;
        if end + 2 > source.len()
            || !are_alike(source.get(self.at..self.at + self.bytes)?, source.get(next..key)?)
        {
            return None;
        }
        let (first, moved) = (spans.len(), (next - self.at) as u32);
        spans.push(Span { start: self.name.start + moved, end: self.name.end + moved });
        spans.push(Span { start: key as u32, end: end as u32 });
        let mut at = end + 2;
        for _ in 0..self.more {
            let Some(span) = plain_argument(source, at) else {
                spans.truncate(first);
                return None;
            };
            spans.push(span);
            at = span.end as usize + 2;
        }
        Some(at)
    }
}

/// Whether two openings of the same length have the same bytes.
#[inline(always)]
fn are_alike(one: &[u8], other: &[u8]) -> bool {
    let word = |chunk: Option<&[u8; 16]>| chunk.map(|bytes| u128::from_ne_bytes(*bytes));
    let differ = |a: Option<u128>, b: Option<u128>| a.zip(b).is_none_or(|(a, b)| a != b);
    !differ(word(one.first_chunk()), word(other.first_chunk()))
        && !differ(word(one.last_chunk()), word(other.last_chunk()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::engine::ctx::Ctx;
    use crate::engine::error::{CmdResult, Outcome};
    use crate::engine::spec::{Spec, key_at};
    use crate::engine::table::Table;
    use crate::resp::Args;
    use crate::resp::parse::parse_plain;

    fn nothing(_: &mut Ctx<'_>) -> CmdResult {
        Ok(Outcome::Done)
    }

    const ROWS: &[Spec] = &[
        Spec::local("get", 2, nothing).keys(&[key_at(1, 0)]),
        Spec::local("set", -3, nothing).keys(&[key_at(1, 0)]),
        Spec::container("object", &[Spec::local("freq", 3, nothing).keys(&[key_at(2, 0)])]),
    ];

    #[test]
    fn a_request_after_another_is_parsed_as_it_would_be_alone() {
        let table: &'static Table = Box::leak(Box::new(Table::new(&[ROWS])));
        let mut rng = Rng::from_seed(5);
        let mut alike = 0;
        for _ in 0..20_000 {
            let mut source = b"....".to_vec();
            let mut starts = Vec::new();
            for _ in 0..2 {
                starts.push(source.len());
                let name = ["GET", "SET", "OBJECT"][rng.below(3) as usize];
                let key = vec![b'k'; 10 + rng.below(3) as usize];
                let mut words: Vec<Vec<u8>> = vec![name.into(), key];
                words.extend((0..rng.below(3)).map(|_| vec![b'v'; rng.below(12) as usize]));
                crate::resp::reply::encode_request(&words, &mut source);
            }
            if rng.below(4) == 0 {
                let at = starts[1] + rng.below((source.len() - starts[1]) as u64) as usize;
                source[at] = b"$\r\n0k"[rng.below(5) as usize];
            }
            let (mut first, mut second, mut found) = (Vec::new(), Vec::new(), Vec::new());
            let Some(_) = parse_plain(&source, starts[0], &mut first) else { continue };
            let Ok(row) = table.resolve(&Args::Spans(&source, &first)) else { continue };
            let Some(opening) = Opening::of(starts[0], &first, row) else { continue };
            let Some(end) = opening.parse(&source, starts[1], &mut found) else { continue };
            assert_eq!(parse_plain(&source, starts[1], &mut second), Some(end));
            assert_eq!(found, second);
            let same = table.resolve(&Args::Spans(&source, &second)).map(|row| row.id);
            assert_eq!(same, Ok(row.id));
            alike += 1;
        }
        assert!(alike > 300, "{alike}");
    }
}
