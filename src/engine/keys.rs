//! Which arguments of a request are keys, and what happens to them: the key specs of a row, applied.
//!
//! Used by COMMAND GETKEYS and by whatever has to judge a request by its keys before it runs.

use super::spec::{Begin, Find, KeySpec, key};
use super::table::Row;
use crate::base::number::parse_i64;
use crate::resp::Args;
use std::collections::BTreeSet;

/// One key of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyAt {
    /// Number of the argument.
    pub index: usize,
    /// Bits of [`key`].
    pub flags: u32,
}

/// Whether requests of a row can have keys.
pub fn may_have_keys(row: &Row) -> bool {
    row.spec.keys.iter().any(|spec| spec.flags & key::NOT_KEY == 0)
}

/// The key of a request whose row has one at a fixed place, as most have. None for all others.
#[inline]
pub fn only_key(row: &Row, args: Args<'_>) -> Option<KeyAt> {
    let [KeySpec { flags, begin: Begin::Index(index), find: Find::Range { last: 0, .. }, .. }] =
        row.spec.keys
    else {
        return None;
    };
    let index = usize::try_from(*index).ok().filter(|index| *index < args.len())?;
    (flags & (key::NOT_KEY | key::VARIABLE_FLAGS) == 0).then_some(KeyAt { index, flags: *flags })
}

/// The keys of a request, in the order of the row's specs. None when a spec does not fit: the request is wrong.
pub fn keys_of(row: &Row, args: Args<'_>) -> Option<Vec<KeyAt>> {
    let is_silent = |spec: &KeySpec| spec.begin == Begin::Unknown || spec.flags & key::INCOMPLETE != 0;
    if row.spec.keys.iter().any(is_silent) {
        return Some(row.spec.keys_of.map_or(Vec::new(), |keys_of| keys_of(args)));
    }
    let mut keys = Vec::new();
    for spec in row.spec.keys.iter().filter(|spec| spec.flags & key::NOT_KEY == 0) {
        if let Begin::Keyword(word, from) = spec.begin
            && behind_keyword(args, word, from).is_none()
        {
            // Without its word there are no such keys.
            continue;
        }
        let flags = actual_flags(row, spec, args);
        let (first, last, step) = range(spec, args)?;
        keys.extend((first..=last).step_by(step).map(|index| KeyAt { index, flags }));
    }
    Some(keys)
}

/// All arguments that a command may take for a key, also where its specs cannot tell: those of [`keys_of`], and what its
/// handler finds where a word of a spec stands more than once.
///
/// GEORADIUS takes the last of several STORE, a spec the first. The consumer of XREADGROUP may be called STREAMS.
pub fn all_keys_of(row: &Row, args: Args<'_>) -> Vec<KeyAt> {
    let mut keys = keys_of(row, args).unwrap_or_default();
    let Some(more) = row.spec.keys_of else { return keys };
    let known: BTreeSet<usize> = keys.iter().map(|key| key.index).collect();
    keys.extend(more(args).into_iter().filter(|key| !known.contains(&key.index)));
    keys
}

/// First and last argument that a spec points at, and the step between them.
fn range(spec: &KeySpec, args: Args<'_>) -> Option<(usize, usize, usize)> {
    let count = args.len() as i64;
    let begin = match spec.begin {
        Begin::Index(index) => i64::from(index),
        Begin::Keyword(word, from) => behind_keyword(args, word, from)?,
        Begin::Unknown => return None,
    };
    let (first, last, step) = match spec.find {
        Find::Range { last, step, .. } if last >= 0 => (begin, begin + i64::from(last), step),
        Find::Range { last, step, limit } if limit <= 1 => (begin, count + i64::from(last), step),
        Find::Range { last, step, limit } => {
            (begin, begin + (count - begin) / i64::from(limit) + i64::from(last), step)
        }
        Find::Keynum { keynum, first, step } => {
            let number = args.get(usize::try_from(begin + i64::from(keynum)).ok()?)?;
            let number = parse_i64(number).filter(|n| (0..=count).contains(n))?;
            let first = begin + i64::from(first);
            (first, first + (number - 1) * i64::from(step), step)
        }
        Find::Unknown => return None,
    };
    let fits = first > 0 && first <= last && last < count;
    fits.then(|| (first as usize, last as usize, step.max(1) as usize))
}

/// The argument after a word, which is looked for from `from` on, or from the end backwards.
fn behind_keyword(args: Args<'_>, word: &str, from: i32) -> Option<i64> {
    let count = args.len() as i64;
    let is_word = |index: &i64| args.is(*index as usize, word);
    let found = if from > 0 {
        (i64::from(from)..count - 1).find(is_word)
    } else {
        (2..=count + i64::from(from)).rev().find(is_word)
    };
    found.map(|index| index + 1)
}

/// What a command does to its keys where that depends on its options.
fn actual_flags(row: &Row, spec: &KeySpec, args: Args<'_>) -> u32 {
    if spec.flags & key::VARIABLE_FLAGS == 0 {
        return spec.flags;
    }
    row.spec.key_flags_of.map_or(spec.flags, |flags_of| flags_of(args))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::spec::{key_at, keys_from};
    use bytes::Bytes;

    fn found(spec: &KeySpec, line: &str) -> Option<(usize, usize, usize)> {
        let words: Vec<Bytes> = line.split(' ').map(|w| Bytes::copy_from_slice(w.as_bytes())).collect();
        range(spec, Args::Owned(&words))
    }

    #[test]
    fn ranges_count_from_the_front_and_from_the_end() {
        assert_eq!(found(&key_at(1, 0), "get k"), Some((1, 1, 1)));
        assert_eq!(found(&key_at(2, 0), "get k"), None);
        assert_eq!(found(&keys_from(1, -1, 2, 0), "mset a 1 b 2"), Some((1, 4, 2)));
        let streams = KeySpec {
            flags: 0,
            begin: Begin::Keyword("STREAMS", 1),
            find: Find::Range { last: -1, step: 1, limit: 2 },
            notes: "",
        };
        assert_eq!(found(&streams, "xread count 2 streams a b 0 0"), Some((4, 5, 1)));
        assert_eq!(found(&streams, "xread count 2"), None);
    }

    #[test]
    fn a_number_of_keys_is_believed_only_if_they_are_there() {
        let spec = KeySpec {
            flags: 0,
            begin: Begin::Index(2),
            find: Find::Keynum { keynum: 0, first: 1, step: 1 },
            notes: "",
        };
        assert_eq!(found(&spec, "eval s 2 a b c"), Some((3, 4, 1)));
        for line in ["eval s 0", "eval s 3 a b", "eval s x a", "eval s -1 a", "eval s 9223372036854775807 a"]
        {
            assert_eq!(found(&spec, line), None, "{line}");
        }
    }

    #[test]
    fn a_word_is_looked_for_from_either_end() {
        let spec = |from| KeySpec {
            flags: 0,
            begin: Begin::Keyword("KEYS", from),
            find: Find::Range { last: -1, step: 1, limit: 0 },
            notes: "",
        };
        assert_eq!(found(&spec(1), "migrate h keys keys a"), Some((3, 4, 1)));
        assert_eq!(found(&spec(-2), "migrate h keys keys a"), Some((4, 4, 1)));
    }
}
