//! CONFIG GET: names and patterns to names and values.

use super::Config;
use super::directive::{Directive, Kind};
use super::table;

impl Config {
    /// The values of all directives that are named or matched, each once, in the order of the request and within
    /// a pattern in the order of the table.
    ///
    /// A plain name also finds what is hidden and comes back as it was written. A pattern finds names and aliases.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(String, Vec<u8>)> {
        let mut copy = self.clone();
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        let seen = |found: &[(String, Vec<u8>)], name: &str| {
            found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        for &pattern in patterns {
            if !pattern.iter().any(|byte| b"[*?".contains(byte)) {
                if let Some(row) = table::find(pattern).filter(|row| is_shown(row)) {
                    let name = String::from_utf8_lossy(pattern).into_owned();
                    if !seen(&found, &name) {
                        found.push((name, row.value(&mut copy)));
                    }
                }
                continue;
            }
            for row in table::directives().filter(|row| is_shown(row) && !row.flags.hidden) {
                for name in [Some(row.name), row.alias].into_iter().flatten() {
                    if !seen(&found, name) && matches(pattern, name.as_bytes()) {
                        found.push((name.to_owned(), row.value(&mut copy)));
                    }
                }
            }
        }
        found
    }
}

/// Whether CONFIG GET and SET know a directive.
pub(super) fn is_shown(row: &Directive) -> bool {
    !matches!(row.kind, Kind::FileOnly)
}

/// Whether a glob pattern matches a whole name, in any case: `*`, `?`, `[a-z]`, `[^a]` and `\` before any byte.
///
/// A mismatch goes back to the latest star only: what an earlier star could still swallow, the latest one can too.
/// So the time is the product of the lengths at most, whatever a client sends.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut rest, mut tail) = (pattern, name);
    let mut latest_star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', behind @ ..] = rest {
            latest_star = Some((behind, tail));
            rest = behind;
            continue;
        }
        match step(rest, tail) {
            Step::Matched => return true,
            Step::On(next_rest, next_tail) => (rest, tail) = (next_rest, next_tail),
            Step::Failed => {
                let Some((behind, [_, swallowed @ ..])) = latest_star else { return false };
                latest_star = Some((behind, swallowed));
                (rest, tail) = (behind, swallowed);
            }
        }
    }
}

/// What comes of one byte of a name and the piece of the pattern in front of it.
enum Step<'p, 'n> {
    Matched,
    On(&'p [u8], &'n [u8]),
    Failed,
}

fn step<'p, 'n>(pattern: &'p [u8], name: &'n [u8]) -> Step<'p, 'n> {
    let Some((byte, tail)) = name.split_first() else {
        return if pattern.is_empty() { Step::Matched } else { Step::Failed };
    };
    let (hit, rest) = match pattern {
        [] => return Step::Failed,
        [b'?', rest @ ..] => (true, rest),
        [b'[', rest @ ..] => class_holds(rest, *byte),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => (literal.eq_ignore_ascii_case(byte), rest),
    };
    if hit { Step::On(rest, tail) } else { Step::Failed }
}

/// Whether a class (the pattern behind its bracket) holds a byte, and the pattern behind the class. A class that is
/// not closed ends with the pattern.
fn class_holds(class: &[u8], byte: u8) -> (bool, &[u8]) {
    let byte = byte.to_ascii_lowercase();
    let (negated, mut rest) = match class {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let mut hit = false;
    loop {
        match rest {
            [] => return (hit != negated, rest),
            [b']', tail @ ..] => return (hit != negated, tail),
            [b'\\', literal, tail @ ..] => {
                hit |= literal.eq_ignore_ascii_case(&byte);
                rest = tail;
            }
            [from, b'-', to, tail @ ..] => {
                let (from, to) = (from.to_ascii_lowercase(), to.to_ascii_lowercase());
                hit |= (from.min(to)..=from.max(to)).contains(&byte);
                rest = tail;
            }
            [literal, tail @ ..] => {
                hit |= literal.eq_ignore_ascii_case(&byte);
                rest = tail;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(patterns: &[&str]) -> Vec<String> {
        let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
        Config::new().get(&patterns).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_name_comes_back_as_it_was_written_and_only_once() {
        assert_eq!(names(&["MaxMemory", "maxmemory", "maxmemory-s*"]), ["MaxMemory", "maxmemory-samples"]);
    }

    #[test]
    fn patterns_find_aliases_in_any_case_but_nothing_hidden() {
        assert_eq!(names(&["*OF"]), ["replicaof", "slaveof"]);
        assert_eq!(names(&["port", "[p]ort", "por?"]), ["port"]);
        assert_eq!(names(&["key-load-dela?"]), Vec::<String>::new());
        assert_eq!(names(&["key-load-delay"]), ["key-load-delay"]);
        assert_eq!(names(&["rename-command", "include", "nothing", "user*"]), Vec::<String>::new());
    }

    #[test]
    fn globs_match_whole_names() {
        for (pattern, hit) in
            [("p[a-o]rt", true), ("p[^a-n]rt", true), ("p[^o]rt", false), ("\\port", true), ("*r", false)]
        {
            assert_eq!(matches(pattern.as_bytes(), b"port"), hit, "{pattern}");
        }
        assert!(matches(b"[p", b"p"), "an open class ends with the pattern");
        for (pattern, hit) in [("*", true), ("**t", true), ("*o*t", true), ("*o*x", false), ("", false)] {
            assert_eq!(matches(pattern.as_bytes(), b"port"), hit, "{pattern}");
        }
        let many_stars = "*a".repeat(1000);
        assert!(!matches(many_stars.as_bytes(), &[b'a'; 999]));
        assert!(matches(many_stars.as_bytes(), &[b'a'; 1000]));
        assert!(matches(&[b'*'; 1_000_000], b"port"));
    }
}
