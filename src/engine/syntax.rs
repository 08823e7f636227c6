//! The notation in which a row writes the arguments of its command, and its parser.
//!
//! One line per command, close to what a manual page prints, yet complete enough for COMMAND DOCS:
//!
//! ```text
//! key@0 value condition(NX | XX)?#2.6.12 GET?#6.2.0 expiration(EX=seconds:integer | KEEPTTL#6.0.0)?
//! ```
//!
//! | written | means |
//! |---|---|
//! | `value` | an argument of type `string` |
//! | `count:integer` | of another type: `integer`, `double`, `pattern`, `unix-time`, `key`, `pure-token` |
//! | `key@0` | a key, found by the first key spec of the row; `pattern:pattern@1`: another type with a key spec |
//! | `GET` | a word to be written as it is, named like itself in small letters |
//! | `EX=seconds:integer` | a word followed by a value |
//! | `'='=equal:pure-token` | a word of other signs than capitals, digits, `-` and `_`, here with a name of its own |
//! | `by-pattern/pattern` | an argument that is shown under another name; `addr/'ip:port'` with signs |
//! | `order(ASC \| DESC)` | one of several |
//! | `data{key@0 value}` | several in this order; `LIMIT=limit{offset count}` after a word |
//! | `?` | may be left out |
//! | `+` | may be repeated; `^`: and its word with it |
//! | `#6.2.0` | since this version |
//! | `%2.8.12` | should not be used since this version |
//!
//! The marks of the last four rows stand after an argument, in any order. A syntax is parsed when COMMAND DOCS or the
//! manual asks for it; a test parses all of them.

/// One argument of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Argument {
    /// What programs call it.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// What people are shown; empty: its name.
    pub display: &'static str,
    /// Number of the key spec that finds it.
    pub key_spec: Option<u32>,
    /// The word in front of it, or the whole of it.
    pub token: Option<&'static str>,
    /// Version that brought it, if the command is older.
    pub since: Option<&'static str>,
    /// Version since which it should not be used.
    pub deprecated: Option<&'static str>,
    /// It may be left out.
    pub optional: bool,
    /// It may be repeated.
    pub multiple: bool,
    /// Its word is repeated with it.
    pub multiple_token: bool,
    /// The choices of a [`Kind::OneOf`], the parts of a [`Kind::Block`].
    pub parts: Vec<Argument>,
}

/// Types of arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of COMMAND DOCS")]
pub enum Kind {
    #[default]
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

const KINDS: &[(&str, Kind)] = &[
    ("string", Kind::String),
    ("integer", Kind::Integer),
    ("double", Kind::Double),
    ("key", Kind::Key),
    ("pattern", Kind::Pattern),
    ("unix-time", Kind::UnixTime),
    ("pure-token", Kind::PureToken),
    ("oneof", Kind::OneOf),
    ("block", Kind::Block),
];

impl Kind {
    /// What COMMAND DOCS calls it.
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Whether it consists of other arguments.
    pub fn has_parts(self) -> bool {
        matches!(self, Kind::OneOf | Kind::Block)
    }
}

impl Argument {
    /// What people are shown.
    pub fn shown_name(&self) -> &str {
        if self.display.is_empty() { &self.name } else { self.display }
    }
}

/// Reads the arguments of a command.
///
/// # Errors
///
/// The place of the mistake and what was expected there.
pub fn parse(syntax: &'static str) -> Result<Vec<Argument>, String> {
    let mut parser = Parser { text: syntax, at: 0 };
    let arguments = parser.list("")?;
    if parser.at < syntax.len() { Err(parser.expected("the end")) } else { Ok(arguments) }
}

struct Parser {
    text: &'static str,
    at: usize,
}

impl Parser {
    /// Arguments with `separator` and spaces between them, up to a bracket or the end.
    fn list(&mut self, separator: &str) -> Result<Vec<Argument>, String> {
        let mut arguments = Vec::new();
        loop {
            self.skip_spaces();
            if self.rest().is_empty() || self.rest().starts_with([')', '}']) {
                return Ok(arguments);
            }
            if !arguments.is_empty() && !self.skip(separator) {
                return Err(self.expected(separator));
            }
            self.skip_spaces();
            arguments.push(self.argument()?);
        }
    }

    fn argument(&mut self) -> Result<Argument, String> {
        let mut argument = Argument { token: self.token()?, ..Argument::default() };
        match argument.token {
            Some(token) if !self.skip("=") => {
                argument.name = token.to_lowercase();
                argument.kind = Kind::PureToken;
            }
            _ => {
                argument.name = self.word(is_name, "a name")?.to_owned();
                self.body(&mut argument)?;
            }
        }
        self.marks(&mut argument)?;
        Ok(argument)
    }

    /// A word that is written as it is, if there is one.
    fn token(&mut self) -> Result<Option<&'static str>, String> {
        if self.rest().starts_with('\'') {
            return self.quoted().map(Some);
        }
        let is_token = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "-_".contains(c);
        let rest = self.rest();
        let len = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
        if !rest.starts_with(|c: char| c.is_ascii_uppercase()) {
            return Ok(None);
        }
        self.at += len;
        Ok(Some(&rest[..len]))
    }

    fn quoted(&mut self) -> Result<&'static str, String> {
        self.at += 1;
        let rest = self.rest();
        let end = rest.find('\'').ok_or_else(|| self.expected("a closing quote"))?;
        self.at += end + 1;
        Ok(&rest[..end])
    }

    /// What follows a name: what is shown, then a type, a key spec or parts.
    fn body(&mut self, argument: &mut Argument) -> Result<(), String> {
        if self.skip("/") {
            argument.display =
                if self.rest().starts_with('\'') { self.quoted()? } else { self.word(is_name, "a name")? };
        }
        if self.skip("(") {
            argument.kind = Kind::OneOf;
            argument.parts = self.list("|")?;
            return if self.skip(")") { Ok(()) } else { Err(self.expected(")")) };
        }
        if self.skip("{") {
            argument.kind = Kind::Block;
            argument.parts = self.list("")?;
            return if self.skip("}") { Ok(()) } else { Err(self.expected("}")) };
        }
        if self.skip(":") {
            let name = self.word(is_name, "a type")?;
            let known = KINDS.iter().find(|(known, kind)| *known == name && !kind.has_parts());
            argument.kind = known.ok_or_else(|| self.expected("a type"))?.1;
        }
        if self.skip("@") {
            if argument.kind == Kind::String {
                argument.kind = Kind::Key;
            }
            let number = self.word(|c| c.is_ascii_digit(), "a number")?;
            argument.key_spec = Some(number.parse().map_err(|_| self.expected("a number"))?);
        }
        Ok(())
    }

    fn marks(&mut self, argument: &mut Argument) -> Result<(), String> {
        loop {
            if self.skip("?") {
                argument.optional = true;
            } else if self.skip("+") {
                argument.multiple = true;
            } else if self.skip("^") {
                argument.multiple_token = true;
            } else if self.skip("#") {
                argument.since = Some(self.word(is_version, "a version")?);
            } else if self.skip("%") {
                argument.deprecated = Some(self.word(is_version, "a version")?);
            } else {
                return Ok(());
            }
        }
    }

    fn word(&mut self, is_part: fn(char) -> bool, what: &str) -> Result<&'static str, String> {
        let rest = self.rest();
        let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if len == 0 {
            return Err(self.expected(what));
        }
        self.at += len;
        Ok(&rest[..len])
    }

    fn skip(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn rest(&self) -> &'static str {
        &self.text[self.at..]
    }

    fn expected(&self, what: &str) -> String {
        format!("{what} expected at {} of `{}`", self.at, self.text)
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c)
}

fn is_version(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

/// Writes arguments as a manual page does: `key value [NX | XX] [GET]`.
pub fn usage(arguments: &[Argument]) -> String {
    let shown: Vec<String> = arguments.iter().map(usage_of).collect();
    shown.join(" ")
}

fn usage_of(argument: &Argument) -> String {
    let value = match argument.kind {
        Kind::PureToken => String::new(),
        Kind::OneOf => argument.parts.iter().map(usage_of).collect::<Vec<_>>().join(" | "),
        Kind::Block => usage(&argument.parts),
        _ => argument.shown_name().to_owned(),
    };
    let is_choice = argument.kind == Kind::OneOf;
    let token = argument.token.map(|t| if t.is_empty() { "\"\"" } else { t });
    let mut once = match token {
        Some(token) if value.is_empty() => token.to_owned(),
        Some(token) if is_choice => format!("{token} <{value}>"),
        Some(token) => format!("{token} {value}"),
        None if is_choice && !argument.optional => format!("<{value}>"),
        None => value.clone(),
    };
    if argument.multiple {
        let again = if argument.multiple_token { once.clone() } else { value };
        once = format!("{once} [{again} ...]");
    }
    if argument.optional { format!("[{once}]") } else { once }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(syntax: &'static str) -> Argument {
        let mut arguments = parse(syntax).expect("the syntax is right");
        assert_eq!(arguments.len(), 1, "{syntax}");
        arguments.remove(0)
    }

    #[test]
    fn a_name_is_a_string_unless_it_says_otherwise() {
        assert_eq!(only("value"), Argument { name: "value".into(), ..Argument::default() });
        assert_eq!(only("count:integer").kind, Kind::Integer);
        let key = only("key1@2");
        assert_eq!((key.kind, key.key_spec), (Kind::Key, Some(2)));
        let pattern = only("get-pattern/pattern:pattern@1");
        assert_eq!(
            (pattern.kind, pattern.key_spec, pattern.shown_name()),
            (Kind::Pattern, Some(1), "pattern")
        );
        assert_eq!(only("addr/'ip:port'").shown_name(), "ip:port");
    }

    #[test]
    fn a_word_stands_alone_or_before_a_value() {
        let word = only("KEEPTTL?#6.0.0");
        assert_eq!(
            (word.kind, word.name.as_str(), word.token),
            (Kind::PureToken, "keepttl", Some("KEEPTTL"))
        );
        assert_eq!((word.optional, word.since), (true, Some("6.0.0")));
        let value = only("EX=seconds:integer%7.0.0");
        assert_eq!((value.kind, value.token, value.deprecated), (Kind::Integer, Some("EX"), Some("7.0.0")));
        let sign = only("'~'=approximately:pure-token");
        assert_eq!(
            (sign.kind, sign.name.as_str(), sign.token),
            (Kind::PureToken, "approximately", Some("~"))
        );
        assert_eq!(only("''=nothing:pure-token").token, Some(""));
    }

    #[test]
    fn brackets_nest() {
        let trim =
            only("trim{strategy(MAXLEN | MINID) operator('='=equal:pure-token)? LIMIT=count:integer?}");
        assert_eq!((trim.kind, trim.parts.len()), (Kind::Block, 3));
        assert_eq!((trim.parts[0].kind, trim.parts[0].parts.len()), (Kind::OneOf, 2));
        assert!(trim.parts[1].optional && trim.parts[2].token == Some("LIMIT"));
        let data = only("data{key@0 value}+^");
        assert!(data.multiple && data.multiple_token);
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (syntax, mistake) in [
            ("key@", "a number expected at 4"),
            ("a(B | C", ") expected at 7"),
            ("a:colour", "a type expected at 8"),
            ("a)", "the end expected at 1"),
            ("a(B C)", "| expected at 4"),
            ("'a", "a closing quote expected at 1"),
            ("a#", "a version expected at 2"),
        ] {
            let error = parse(syntax).expect_err(syntax);
            assert!(error.starts_with(mistake), "{error}");
        }
    }

    #[test]
    fn usage_looks_like_a_manual_page() {
        for (syntax, shown) in [
            (
                "key@0 value condition(NX | XX)? GET? expiration(EX=seconds:integer | KEEPTTL)?",
                "key value [NX | XX] [GET] [EX seconds | KEEPTTL]",
            ),
            ("key@0+", "key [key ...]"),
            ("data{key@0 value}+", "key value [key value ...]"),
            ("GET=pattern:pattern?+^", "[GET pattern [GET pattern ...]]"),
            ("KEYS=key@1?+", "[KEYS key [key ...]]"),
            ("where(LEFT | RIGHT) order(ASC | DESC)?", "<LEFT | RIGHT> [ASC | DESC]"),
        ] {
            assert_eq!(usage(&parse(syntax).expect("the syntax is right")), shown);
        }
    }
}
