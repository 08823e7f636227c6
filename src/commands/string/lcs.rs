//! LCS: the longest common subsequence of two strings.
//!
//! The table of the textbook: `length(i, j)` is the length of the longest subsequence that the first `i` bytes of one and
//! the first `j` bytes of the other share. Walking back from its last corner gives the subsequence and the ranges in which
//! it is contiguous in both, from the end to the beginning. Where both ways back are equally good the walk drops a byte of
//! the second string, so that ranges are those of Redis.

use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use std::ops::Range;

struct Options {
    /// LEN: only the length.
    len: bool,
    /// IDX: the ranges.
    idx: bool,
    /// MINMATCHLEN: only ranges of so many bytes.
    match_len_min: usize,
    /// WITHMATCHLEN: ranges with their length.
    with_match_len: bool,
}

pub(super) fn lcs(ctx: &mut Ctx<'_>) -> CmdResult {
    // Redis looks at both keys before their types and the options, and a client sees that.
    let (a, b) = (string(ctx, 1), string(ctx, 2));
    let (a, b) = (a?, b?);
    let options = options(ctx)?;
    if a.len() >= u32::MAX as usize - 1 || b.len() >= u32::MAX as usize - 1 {
        return Err(CmdError::coded("ERR String too long for LCS"));
    }
    let cells = (a.len() as u64 + 1) * (b.len() as u64 + 1);
    if cells.saturating_mul(4) > ctx.conf.proto_max_bulk_len_bytes {
        return Err(CmdError::coded(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    let table = LengthTable::new(&a, &b)
        .ok_or(CmdError::coded("ERR Insufficient memory, failed allocating transient memory for LCS"))?;
    let len = table.length(a.len(), b.len()) as usize;
    if options.idx {
        let matches: Vec<Match> =
            table.matches(&a, &b).into_iter().filter(|m| m.a.len() >= options.match_len_min).collect();
        reply_matches(ctx, &matches, len, options.with_match_len);
    } else if options.len {
        ctx.reply.int(len as i64);
    } else {
        let mut matches = table.matches(&a, &b);
        matches.reverse();
        let subsequence: Vec<u8> = matches.into_iter().flat_map(|m| a[m.a].iter().copied()).collect();
        ctx.reply.bulk(&subsequence);
    }
    Ok(Outcome::Done)
}

/// The string of a key, or nothing.
fn string(ctx: &mut Ctx<'_>, index: usize) -> Result<Vec<u8>, CmdError> {
    let key = ctx.key(index);
    let Some(handle) = ctx.read(key) else { return Ok(Vec::new()) };
    let text =
        ctx.text(handle).map_err(|_| CmdError::err("The specified keys must contain string values"))?;
    Ok(text.to_vec())
}

fn options(ctx: &Ctx<'_>) -> Result<Options, CmdError> {
    let args = ctx.args;
    let mut options = Options { len: false, idx: false, match_len_min: 0, with_match_len: false };
    let mut index = 3;
    while index < args.len() {
        if args.is(index, "idx") {
            options.idx = true;
        } else if args.is(index, "len") {
            options.len = true;
        } else if args.is(index, "withmatchlen") {
            options.with_match_len = true;
        } else if args.is(index, "minmatchlen") && index + 1 < args.len() {
            index += 1;
            options.match_len_min = usize::try_from(ctx.int(index)?).unwrap_or(0);
        } else {
            return Err(CmdError::Syntax);
        }
        index += 1;
    }
    if options.len && options.idx {
        return Err(CmdError::err("If you want both the length and indexes, please just use IDX."));
    }
    Ok(options)
}

fn reply_matches(ctx: &mut Ctx<'_>, matches: &[Match], len: usize, with_match_len: bool) {
    let reply = &mut ctx.reply;
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(matches.len());
    for found in matches {
        reply.array(if with_match_len { 3 } else { 2 });
        for range in [&found.a, &found.b] {
            reply.array(2);
            reply.int(range.start as i64);
            reply.int(range.end as i64 - 1);
        }
        if with_match_len {
            reply.int(found.a.len() as i64);
        }
    }
    reply.bulk(b"len");
    reply.int(len as i64);
}

/// A part of the subsequence that is contiguous in both strings; both ranges are equally long.
#[derive(Debug, PartialEq, Eq)]
struct Match {
    a: Range<usize>,
    b: Range<usize>,
}

struct LengthTable {
    cells: Vec<u32>,
    /// Cells of one row: the length of the second string and one.
    width: usize,
}

impl LengthTable {
    /// Fills the table; none when there is no memory for it.
    fn new(a: &[u8], b: &[u8]) -> Option<LengthTable> {
        let width = b.len() + 1;
        let count = (a.len() + 1).checked_mul(width)?;
        let mut cells = Vec::new();
        cells.try_reserve_exact(count).ok()?;
        cells.resize(count, 0);
        for (i, byte) in a.iter().enumerate() {
            let (above, row) = cells[i * width..(i + 2) * width].split_at_mut(width);
            for (j, other) in b.iter().enumerate() {
                row[j + 1] = if byte == other { above[j] + 1 } else { above[j + 1].max(row[j]) };
            }
        }
        Some(LengthTable { cells, width })
    }

    fn length(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.width + j]
    }

    /// The contiguous parts of the subsequence, last first.
    fn matches(&self, a: &[u8], b: &[u8]) -> Vec<Match> {
        let mut matches: Vec<Match> = Vec::new();
        let (mut i, mut j) = (a.len(), b.len());
        while i > 0 && j > 0 {
            if a[i - 1] != b[j - 1] {
                if self.length(i - 1, j) > self.length(i, j - 1) {
                    i -= 1
                } else {
                    j -= 1
                }
                continue;
            }
            (i, j) = (i - 1, j - 1);
            match matches.last_mut() {
                Some(last) if last.a.start == i + 1 && last.b.start == j + 1 => {
                    last.a.start = i;
                    last.b.start = j;
                }
                _ => matches.push(Match { a: i..i + 1, b: j..j + 1 }),
            }
        }
        matches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(a: &str, b: &str) -> Vec<(Range<usize>, Range<usize>)> {
        let table = LengthTable::new(a.as_bytes(), b.as_bytes()).expect("there is memory for a test");
        table.matches(a.as_bytes(), b.as_bytes()).into_iter().map(|m| (m.a, m.b)).collect()
    }

    #[test]
    fn contiguous_parts_are_found_from_the_end() {
        assert_eq!(ranges("ohmytext", "mynewtext"), [(4..8, 5..9), (2..4, 0..2)]);
        assert_eq!(ranges("", "abc"), []);
        assert_eq!(ranges("abc", "xyz"), []);
        assert_eq!(ranges("abc", "abc"), [(0..3, 0..3)]);
        assert_eq!(ranges("axb", "ayb"), [(2..3, 2..3), (0..1, 0..1)]);
    }
}
