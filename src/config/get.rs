//! CONFIG GET: names and patterns to names and values.

use super::Config;
use super::directive::{Directive, Kind};
use super::table;
use crate::base::glob::glob_match;

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
                    if !seen(&found, name) && glob_match(pattern, name.as_bytes(), true) {
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
}
