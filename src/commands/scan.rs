//! What SCAN, SSCAN, HSCAN and ZSCAN have in common: cursor, options, patterns.

use crate::base::glob::glob_match;
use crate::engine::ctx::Ctx;
use crate::engine::error::CmdError;

/// Which keys or elements are wanted. Most patterns need no pattern matcher.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pattern<'a> {
    All,
    Exact(&'a [u8]),
    Prefix(&'a [u8]),
    Glob(&'a [u8]),
}

impl<'a> Pattern<'a> {
    pub(super) fn parse(pattern: &'a [u8]) -> Pattern<'a> {
        let is_special = |byte: &u8| b"*?[\\".contains(byte);
        match pattern {
            b"*" => Pattern::All,
            [prefix @ .., b'*'] if !prefix.iter().any(is_special) => Pattern::Prefix(prefix),
            exact if !exact.iter().any(is_special) => Pattern::Exact(exact),
            glob => Pattern::Glob(glob),
        }
    }

    pub(super) fn matches(&self, key: &[u8]) -> bool {
        match self {
            Pattern::All => true,
            Pattern::Exact(exact) => key == *exact,
            Pattern::Prefix(prefix) => key.starts_with(prefix),
            Pattern::Glob(glob) => glob_match(glob, key, false),
        }
    }
}

/// What is scanned: each knows options of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// The keys of a database: TYPE.
    Keys,
    /// A set.
    Set,
    /// A hash: NOVALUES.
    Hash,
    /// A sorted set: NOSCORES.
    Zset,
}

/// The options of a scan.
pub(super) struct ScanOptions<'a> {
    /// Which are wanted.
    pub(super) pattern: Pattern<'a>,
    /// Keys or elements to look at, about.
    pub(super) count: usize,
    /// Only keys of the type with this name.
    pub(super) type_name: Option<&'a [u8]>,
    /// Only fields without values, or members without scores.
    pub(super) names_only: bool,
}

impl<'a> ScanOptions<'a> {
    /// Reads the options from argument `index` on.
    pub(super) fn parse(ctx: &Ctx<'a>, index: usize, of: Of) -> Result<ScanOptions<'a>, CmdError> {
        let args = ctx.args;
        let mut options =
            ScanOptions { pattern: Pattern::All, count: 10, type_name: None, names_only: false };
        let mut index = index;
        while index < args.len() {
            let has_value = index + 1 < args.len();
            if args.is(index, "count") && has_value {
                let count = ctx.int(index + 1)?;
                options.count = usize::try_from(count).ok().filter(|&n| n > 0).ok_or(CmdError::Syntax)?;
            } else if args.is(index, "match") && has_value {
                options.pattern = Pattern::parse(args.at(index + 1));
            } else if args.is(index, "type") && has_value && of == Of::Keys {
                options.type_name = Some(args.at(index + 1));
            } else if args.is(index, "novalues") {
                if of != Of::Hash {
                    return Err(CmdError::coded("ERR NOVALUES option can only be used in HSCAN"));
                }
                options.names_only = true;
                index += 1;
                continue;
            } else if args.is(index, "noscores") {
                if of != Of::Zset {
                    return Err(CmdError::coded("ERR NOSCORES option can only be used in ZSCAN"));
                }
                options.names_only = true;
                index += 1;
                continue;
            } else {
                return Err(CmdError::Syntax);
            }
            index += 2;
        }
        Ok(options)
    }
}

/// The cursor at argument `index`.
pub(super) fn cursor_at(ctx: &Ctx<'_>, index: usize) -> Result<u64, CmdError> {
    parse_cursor(ctx.args.at(index)).ok_or(CmdError::coded("ERR invalid cursor"))
}

/// Reads a cursor as leniently as C's `strtoull`: spaces in front, a plus, leading zeros.
fn parse_cursor(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii_start();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_patterns_need_no_pattern_matcher() {
        assert_eq!(Pattern::parse(b"*"), Pattern::All);
        assert_eq!(Pattern::parse(b"user:*"), Pattern::Prefix(b"user:"));
        assert_eq!(Pattern::parse(b"user:1"), Pattern::Exact(b"user:1"));
        assert_eq!(Pattern::parse(b""), Pattern::Exact(b""));
        for glob in ["*a", "a*b*", "a?", "[a]b", "a\\*"] {
            assert_eq!(Pattern::parse(glob.as_bytes()), Pattern::Glob(glob.as_bytes()));
        }
    }

    #[test]
    fn a_cursor_is_read_leniently() {
        for (text, cursor) in [("0", 0), (" +007", 7), ("18446744073709551615", u64::MAX)] {
            assert_eq!(parse_cursor(text.as_bytes()), Some(cursor), "{text}");
        }
        for text in ["", "-1", "a", "1 ", "18446744073709551616"] {
            assert_eq!(parse_cursor(text.as_bytes()), None, "{text}");
        }
    }
}
