//! Users in files: the lines of an ACL file, and the `user` lines of a configuration.

use super::rule::{RuleError, has_spaces, merge_selectors};
use super::selector::RuleContext;
use super::user::User;
use super::users::Users;
use crate::config::{Config, FileError};

/// Reads an ACL file; `path` is how complaints name it.
///
/// # Errors
///
/// Everything that is wrong with it, in one line.
pub fn parse(text: &[u8], path: &str, context: RuleContext<'_>) -> Result<Users, String> {
    let mut users = Users::new(context);
    let mut seen: Vec<Vec<u8>> = Vec::new();
    let mut errors = String::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let number = index + 1;
        let line = trim(line, b" \t\r\n");
        if line.is_empty() {
            continue;
        }
        let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        let [b"user", name, rules @ ..] = &words[..] else {
            errors += &format!("{path}:{number} should start with user keyword followed by the username. ");
            continue;
        };
        let shown = String::from_utf8_lossy(name);
        if has_spaces(name) {
            errors += &format!("'{path}:{number}: username '{shown}' contains invalid characters. ");
            continue;
        }
        if seen.iter().any(|known| known == name) {
            errors += &format!("WARNING: Duplicate user '{shown}' found on line {number}. ");
            continue;
        }
        seen.push(name.to_vec());
        let rules: Vec<&[u8]> = rules.iter().map(|rule| trim(rule, b"\t\r\n")).collect();
        match merge_selectors(&rules) {
            Ok(rules) => {
                let mut user = User::new(name, context);
                errors += &apply_all(&mut user, &rules, &format!("{path}:{number}"), context);
                users.put(user);
            }
            Err(_) => errors += &format!("{path}:{number}: Unmatched parenthesis in selector definition."),
        }
    }
    if errors.is_empty() {
        return Ok(users);
    }
    Err(errors + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
}

/// Applies the rules of a line. What is unknown is told each time, of all else only the first: the rest may follow from it.
fn apply_all(user: &mut User, rules: &[Vec<u8>], place: &str, context: RuleContext<'_>) -> String {
    let mut errors = String::new();
    let mut told = false;
    for rule in rules {
        match user.apply(rule, context) {
            Ok(()) => {}
            Err(error @ RuleError::Unknown) => {
                let rule = String::from_utf8_lossy(rule);
                errors += &format!("{place}: Error in applying operation '{rule}': {error}. ");
            }
            Err(error) if !told => {
                told = true;
                errors += &format!("{place}: {error}. ");
            }
            Err(_) => {}
        }
    }
    errors
}

/// The text of an ACL file.
pub fn text(users: &Users) -> Vec<u8> {
    let mut text = Vec::new();
    for user in users.iter() {
        text.extend(user.line());
        text.push(b'\n');
    }
    text
}

/// Checks the `user` lines of a configuration, all but the names of commands, of which [`apply_lines`] complains.
///
/// # Errors
///
/// The first line that is wrong.
pub fn check_lines(conf: &Config, context: RuleContext<'_>) -> Result<(), FileError> {
    for (index, line) in conf.users.iter().enumerate() {
        let wrong = |at: usize, error: RuleError| {
            let word = if at == 0 { b"user" } else { line.words[at - 1].as_slice() };
            FileError::Line {
                number: line.number,
                text: line.text.clone(),
                reason: format!("Error in user declaration '{}': {error}", String::from_utf8_lossy(word)),
            }
        };
        let name = &line.words[0];
        if conf.users[..index].iter().any(|other| other.words[0] == *name) {
            return Err(wrong(1, RuleError::Duplicate));
        }
        let rules = merge_selectors(&line.words[1..]).map_err(|at| wrong(at, RuleError::Format))?;
        let mut user = User::new(name, context);
        for (at, rule) in rules.iter().enumerate() {
            match user.apply(rule, context) {
                Ok(()) | Err(RuleError::Unknown) => {}
                Err(error) => return Err(wrong(at.min(line.words.len()), error)),
            }
        }
    }
    Ok(())
}

/// Makes the users that the `user` lines of a configuration name.
///
/// # Errors
///
/// The line for the log.
pub fn apply_lines(users: &mut Users, conf: &Config, context: RuleContext<'_>) -> Result<(), String> {
    for line in &conf.users {
        let name = &line.words[0];
        if has_spaces(name) {
            return Err("Spaces not allowed in ACL usernames".to_owned());
        }
        let shown = String::from_utf8_lossy(name);
        let mut user = User::new(name, context);
        for rule in merge_selectors(&line.words[1..]).unwrap_or_default() {
            user.apply(&rule, context).map_err(|error| {
                let rule = String::from_utf8_lossy(&rule);
                format!("Error loading ACL rule '{rule}' for the user named '{shown}': {error}")
            })?;
        }
        if !user.enabled {
            log::info!(
                "The user '{shown}' is disabled (there is no 'on' modifier in the user description). Make sure this is \
                 not a configuration error."
            );
        }
        users.put(user);
    }
    Ok(())
}

/// Cuts bytes of a set off both ends.
fn trim<'a>(text: &'a [u8], set: &[u8]) -> &'a [u8] {
    let start = text.iter().position(|byte| !set.contains(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !set.contains(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::spec::{Group, Spec};
    use crate::engine::table::Table;

    const ROWS: &[Spec] = &[
        Spec::container("config", &[Spec::container("get", &[])]),
        Spec::container("get", &[]).doc(Group::String, "1.0.0", "", ""),
    ];

    fn complaint(text: &str) -> String {
        let table = Table::new(&[ROWS]);
        let context = RuleContext { table: &table, open_channels: false };
        parse(text.as_bytes(), "u.acl", context).map(|_| ()).expect_err("the file is wrong")
    }

    const END: &str =
        "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";

    #[test]
    fn a_file_is_refused_with_all_that_is_wrong_as_redis_says_it() {
        let text = "user a on +nosuch\nuser b foo bar\n\n  # comment\nuser\nfoo bar\nuser a off\nuser c \"x\nuser d\te on\n";
        let head = "should start with user keyword followed by the username.";
        let wanted = format!(
            "u.acl:1: Error in applying operation '+nosuch': Unknown command or category name in ACL. u.acl:2: Syntax error. \
             u.acl:4 {head} u.acl:5 {head} u.acl:6 {head} WARNING: Duplicate user 'a' found on line 7. u.acl:8: Syntax error. \
             'u.acl:9: username 'd\te' contains invalid characters. {END}"
        );
        assert_eq!(complaint(text), wanted);
        // Where Redis 8.0.6 ends with a crash.
        assert_eq!(
            complaint("user a (+get ~x"),
            format!("u.acl:1: Unmatched parenthesis in selector definition.{END}")
        );
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        let table = Table::new(&[ROWS]);
        let context = RuleContext { table: &table, open_channels: false };
        let text = "user a on #ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb ~b (+get %R~c) (db=1,0)\r\n\n";
        let users = parse(text.as_bytes(), "u.acl", context).expect("it is right");
        let written = super::text(&users);
        let shown = String::from_utf8_lossy(&written);
        assert_eq!(
            shown,
            "user a on sanitize-payload #ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb ~b resetchannels \
             -@all (%R~c resetchannels -@all +get) (resetchannels db=0,1 -@all)\nuser default on nopass sanitize-payload ~* &* \
             +@all\n"
        );
        let again = parse(&written, "u.acl", context).expect("it is right");
        assert!(users.iter().eq(again.iter()));
    }

    #[test]
    fn lines_of_a_configuration_are_checked_as_redis_checks_them() {
        let table = Table::new(&[ROWS]);
        let context = RuleContext { table: &table, open_channels: false };
        let complaint = |text: &str| {
            let mut conf = Config::new();
            conf.parse_file(text.as_bytes(), &mut |_| Ok(Vec::new())).expect("only rules are wrong");
            check_lines(&conf, context).map_err(|error| match error {
                FileError::Line { number, reason, .. } => format!("{number}: {reason}"),
                other => other.to_string(),
            })
        };
        assert_eq!(complaint("user a on +get\nuser b +nosuch"), Ok(()), "unknown names are told later");
        for (text, wanted) in [
            ("port 1\nuser a on foo", "2: Error in user declaration 'a': Syntax error"),
            ("user a foo", "1: Error in user declaration 'user': Syntax error"),
            ("user a on on (foo ~x)", "1: Error in user declaration 'on': Syntax error"),
            ("user a on (+get", "1: Error in user declaration 'a': Wrong format"),
            (
                "user a on\nuser a off",
                "2: Error in user declaration 'a': Duplicate user found. A user can only be defined once in config files",
            ),
        ] {
            assert_eq!(complaint(text), Err(wanted.to_owned()), "{text}");
        }
    }
}
