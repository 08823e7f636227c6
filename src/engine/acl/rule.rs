//! What rules have in common: why one is refused, and how several words become one.

use std::fmt;

/// Why a rule is refused. `Display` is the text on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// No command or category has this name.
    Unknown,
    /// It means nothing.
    Syntax,
    /// A first argument can be allowed of a command only.
    FirstArgOfSubcommand,
    /// A key pattern where all keys are allowed.
    PatternAfterAll,
    /// A channel where all channels are allowed.
    ChannelAfterAll,
    /// The password that is to go is not there.
    NoSuchPassword,
    /// It is no hash of a password.
    BadHash,
    /// The number of a database is too large, or negative.
    DatabaseRange,
    /// A configuration names a user twice.
    Duplicate,
    /// A selector in a configuration is not closed.
    Format,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleError::Unknown => "Unknown command or category name in ACL",
            RuleError::Syntax => "Syntax error",
            RuleError::FirstArgOfSubcommand => "Allowing first-arg of a subcommand is not supported",
            RuleError::PatternAfterAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. \
                 Try 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::ChannelAfterAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any \
                 effect. Try 'resetchannels' to start with an empty list of channels"
            }
            RuleError::NoSuchPassword => "The password you are trying to remove from the user does not exist",
            RuleError::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            RuleError::DatabaseRange => "The provided database ID is out of range",
            RuleError::Duplicate => "Duplicate user found. A user can only be defined once in config files",
            RuleError::Format => "Wrong format",
        })
    }
}

/// A rule up to its first NUL, where words and names end as C strings do; patterns and passwords do not.
pub(super) fn up_to_nul(rule: &[u8]) -> &[u8] {
    &rule[..rule.iter().position(|&byte| byte == 0).unwrap_or(rule.len())]
}

/// Whether a rule is one of these words, in any case.
pub(super) fn is(rule: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(up_to_nul(rule)))
}

/// Whether a text has white space or a NUL in it, which names and patterns must not.
pub fn has_spaces(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, 0 | b' ' | b'\t'..=b'\r'))
}

/// Joins the words of each selector, which may be spread over several: `(+get`, `~a)`.
///
/// # Errors
///
/// The index of the word that opens a selector which is not closed.
pub fn merge_selectors<W: AsRef<[u8]>>(words: &[W]) -> Result<Vec<Vec<u8>>, usize> {
    let mut rules: Vec<Vec<u8>> = Vec::with_capacity(words.len());
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (index, word) in words.iter().map(AsRef::as_ref).enumerate() {
        open = match open {
            None if word.starts_with(b"(") && !word.ends_with(b")") => Some((index, word.to_vec())),
            None => {
                rules.push(word.to_vec());
                None
            }
            Some((begin, mut selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(word);
                if word.ends_with(b")") {
                    rules.push(selector);
                    None
                } else {
                    Some((begin, selector))
                }
            }
        };
    }
    match open {
        None => Ok(rules),
        Some((begin, _)) => Err(begin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_selector_become_one_rule() {
        let merged = |line: &str| merge_selectors(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(
            merged("on (+get ~a) off"),
            Ok(vec![b"on".to_vec(), b"(+get ~a)".to_vec(), b"off".to_vec()])
        );
        assert_eq!(merged("on (+get ~a off"), Err(1));
        assert_eq!(merged("a) ()"), Ok(vec![b"a)".to_vec(), b"()".to_vec()]));
        assert_eq!(merged("( )"), Ok(vec![b"( )".to_vec()]));
    }

    #[test]
    fn white_space_is_what_c_says() {
        for byte in 0..=255u8 {
            assert_eq!(has_spaces(&[b'a', byte]), [0, 9, 10, 11, 12, 13, 32].contains(&byte), "{byte}");
        }
    }
}
