//! Glob patterns as KEYS, SCAN, PSUBSCRIBE, ACL and CONFIG GET know them.
//!
//! `*` stands for any bytes, `?` for one, `[a-z]` for one of a set, `[^a-z]` for one outside it, and a
//! backslash takes the next byte as it is. Only the latest star is ever widened: what an earlier one could
//! still reach, the latest one can reach too. So the time is at most the product of both lengths, however
//! many stars a client sends.
//!
//! The corners are Redis's: a class without `]` ends with the pattern, `[z-a]` means `[a-z]`, an empty text
//! is matched by the empty pattern alone, and a pattern that needs more than [`STARS_MAX`] stars matches
//! nothing.
//!
//! The cost: one pass over the text for common patterns. Source: Redis `util.c`, its observable behaviour.

/// Stars (runs of them count once, a last one not) that a match may go through.
pub const STARS_MAX: usize = 1000;

/// Does the whole of `text` match `pattern`? With `nocase`, ASCII letters match in either case.
#[must_use]
pub fn glob_match(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    let mut stars = 0;
    // Where to go on after a mismatch: the pattern after the latest star, and the text it was tried at.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if t == text.len() {
            // Every step takes exactly one byte, so a wider star would only leave too little text again.
            return pattern[p..].iter().all(|byte| *byte == b'*');
        }
        let step = match pattern.get(p) {
            None => None,
            Some(b'*') => {
                while pattern.get(p) == Some(&b'*') {
                    p += 1;
                }
                if p == pattern.len() {
                    return true;
                }
                stars += 1;
                if stars > STARS_MAX {
                    return false;
                }
                retry = Some((p, t));
                continue;
            }
            Some(b'?') => Some(p + 1),
            Some(b'[') => match_class(pattern, p + 1, text[t], nocase),
            Some(b'\\') if p + 1 < pattern.len() => same(pattern[p + 1], text[t], nocase).then_some(p + 2),
            Some(literal) => same(*literal, text[t], nocase).then_some(p + 1),
        };
        match (step, &mut retry) {
            (Some(next), _) => {
                p = next;
                t += 1;
            }
            (None, Some((star_p, star_t))) => {
                *star_t += 1;
                (p, t) = (*star_p, *star_t);
            }
            (None, None) => return false,
        }
    }
}

#[inline]
fn same(a: u8, b: u8, nocase: bool) -> bool {
    a == b || (nocase && a.eq_ignore_ascii_case(&b))
}

/// Matches `byte` against the class whose text starts at `at`, after its bracket. Gives the place after
/// the class if it matches.
fn match_class(pattern: &[u8], mut at: usize, byte: u8, nocase: bool) -> Option<usize> {
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut found = false;
    loop {
        match &pattern[at..] {
            [] => break,
            [b'\\', escaped, ..] => {
                found |= *escaped == byte; // Redis compares an escaped byte of a class exactly
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [from, b'-', to, ..] => {
                let (mut low, mut high) = (*from.min(to), *from.max(to));
                let mut byte = byte;
                if nocase {
                    (low, high, byte) =
                        (low.to_ascii_lowercase(), high.to_ascii_lowercase(), byte.to_ascii_lowercase());
                }
                found |= (low..=high).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= same(*literal, byte, nocase);
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], failing: &[&str]) {
        for text in matching {
            assert!(glob_match(pattern.as_bytes(), text.as_bytes(), false), "{pattern} should match {text}");
        }
        for text in failing {
            assert!(
                !glob_match(pattern.as_bytes(), text.as_bytes(), false),
                "{pattern} must not match {text}"
            );
        }
    }

    #[test]
    fn stars_and_question_marks() {
        check("*", &["a", "abc"], &[""]);
        check("", &[""], &["a"]);
        check("a*c", &["ac", "abc", "accc"], &["ab", "acd", "bac"]);
        check("*a*b*", &["ab", "xaxbx", "aab"], &["ba", "a"]);
        check("a?c", &["abc"], &["ac", "abbc"]);
        check("abc**", &["abc", "abcd"], &["ab"]);
        check("*b", &["b", "ab", "bb"], &["ba"]);
    }

    #[test]
    fn classes() {
        check("[abc]x", &["ax", "cx"], &["dx", "x"]);
        check("[^a-c]", &["d", "^"], &["a", "b", "c", ""]);
        check("[c-a]", &["a", "b", "c"], &["d", "-"]);
        check("[a\\]b]", &["a", "]", "b"], &["\\"]);
        check("[]a", &[], &["a", "]", "]a"]);
        check("[a-]", &["a", "_", "]"], &["b", "-"]); // a range up to the bracket, in a class without end
        check("[^", &["a"], &["ab"]);
        check("[", &[], &["["]);
        check("[ab", &["a", "b"], &["c"]);
    }

    #[test]
    fn escapes() {
        check("\\*", &["*"], &["a", "\\*"]);
        check("a\\", &["a\\"], &["a"]);
        check("h\\[llo", &["h[llo"], &["hello"]);
    }

    #[test]
    fn case_is_ignored_on_request() {
        assert!(glob_match(b"HeLLo[A-C]", b"hEllOb", true));
        assert!(!glob_match(b"HeLLo", b"hello", false));
        assert!(!glob_match(b"[\\A]", b"a", true));
    }

    #[test]
    fn many_stars_cost_no_more_than_both_lengths_multiplied() {
        let pattern = b"a*".repeat(900);
        let pattern = [&pattern[..], b"b"].concat();
        assert!(!glob_match(&pattern, &b"a".repeat(20_000), false));
        let text = [&b"a".repeat(20_000)[..], b"b"].concat();
        assert!(glob_match(&pattern, &text, false));
    }

    #[test]
    fn more_stars_than_the_bound_match_nothing() {
        let pattern = |stars: usize| [&b"a*".repeat(stars)[..], b"b"].concat();
        let text = [&b"a".repeat(2000)[..], b"b"].concat();
        assert!(glob_match(&pattern(STARS_MAX), &text, false));
        assert!(!glob_match(&pattern(STARS_MAX + 1), &text, false));
    }
}
