//! A selector: one set of permissions, which is enough by itself or not at all.
//!
//! Rules are applied one after the other, each on top of what the others left. What they amount to is kept in the form
//! in which requests are checked (a bit for each row, lists of patterns), and beside it the rules about commands that
//! still mean something, since their order cannot be told from the bits: a rule replaces an older one about the same
//! command or category, and those about subcommands of that command.

use super::rule::{RuleError, has_spaces, is, up_to_nul};
use crate::base::glob::glob_match;
use crate::engine::spec::{acl, key};
use crate::engine::table::{Row, Table};
use std::collections::{BTreeMap, BTreeSet};

/// What a key pattern allows, one bit each.
pub mod access {
    #![allow(missing_docs, reason = "the names say it")]
    pub const READ: u8 = 1;
    pub const WRITE: u8 = 2;
    pub const ALL: u8 = READ | WRITE;
}

/// Keys that may be used, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    /// A glob pattern.
    pub glob: Vec<u8>,
    /// Bits of [`access`].
    pub access: u8,
}

/// A rule about a command, a subcommand, a first argument or a category.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CommandRule {
    allows: bool,
    /// In small letters, without the sign.
    name: Vec<u8>,
}

/// What a rule is read against.
#[derive(Clone, Copy)]
pub struct RuleContext<'a> {
    /// All commands.
    pub table: &'a Table,
    /// `acl-pubsub-default`: new selectors allow all channels.
    pub open_channels: bool,
}

/// One set of permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Every key may be used for everything.
    pub all_keys: bool,
    /// Every channel may be used.
    pub all_channels: bool,
    /// Every command may be run with every first argument.
    pub all_commands: bool,
    /// The rules about commands begin with `+@all`, not with `-@all`.
    from_all: bool,
    /// Keys that may be used. Empty while `all_keys` is set.
    pub patterns: Vec<KeyPattern>,
    /// Channels that may be used, as glob patterns. Empty while `all_channels` is set.
    pub channels: Vec<Vec<u8>>,
    /// Databases that may be used; none: all.
    pub databases: Option<BTreeSet<u32>>,
    /// A bit for each row that may be run.
    commands: Vec<u64>,
    /// First arguments with which a row may be run whose bit is not set.
    first_args: BTreeMap<u16, Vec<Vec<u8>>>,
    rules: Vec<CommandRule>,
}

impl Selector {
    /// A selector that allows nothing, but channels if the configuration says so.
    pub fn new(context: RuleContext<'_>) -> Selector {
        Selector {
            all_keys: false,
            all_channels: context.open_channels,
            all_commands: false,
            from_all: false,
            patterns: Vec::new(),
            channels: Vec::new(),
            databases: None,
            commands: vec![0; context.table.rows().len().div_ceil(64)],
            first_args: BTreeMap::new(),
            rules: Vec::new(),
        }
    }

    /// A selector from the text between parentheses. Where quotes are not closed it allows nothing, as in Redis.
    ///
    /// # Errors
    ///
    /// That of the first rule that is wrong.
    pub fn parse(text: &[u8], context: RuleContext<'_>) -> Result<Selector, RuleError> {
        let rules = crate::base::quote::split_args(text).unwrap_or_default();
        let mut selector = Selector::new(context);
        for rule in &rules {
            selector.apply(rule, context)?;
        }
        Ok(selector)
    }

    /// Whether nothing is forbidden.
    pub fn allows_all(&self) -> bool {
        self.all_keys && self.all_channels && self.all_commands && self.databases.is_none()
    }

    /// Applies one rule.
    ///
    /// # Errors
    ///
    /// When the rule is wrong; then nothing has changed.
    pub fn apply(&mut self, rule: &[u8], context: RuleContext<'_>) -> Result<(), RuleError> {
        if is(rule, &["allkeys", "~*"]) {
            self.all_keys = true;
            self.patterns.clear();
        } else if is(rule, &["resetkeys"]) {
            self.all_keys = false;
            self.patterns.clear();
        } else if is(rule, &["allchannels", "&*"]) {
            self.all_channels = true;
            self.channels.clear();
        } else if is(rule, &["resetchannels"]) {
            self.all_channels = false;
            self.channels.clear();
        } else if is(rule, &["allcommands", "+@all"]) {
            self.allow_everything(true);
        } else if is(rule, &["nocommands", "-@all"]) {
            self.allow_everything(false);
        } else if is(rule, &["alldbs"]) {
            self.databases = None;
        } else if is(rule, &["resetdbs"]) {
            self.databases = Some(BTreeSet::new());
        } else {
            return self.apply_named(rule, context);
        }
        Ok(())
    }

    /// A rule that names something.
    fn apply_named(&mut self, rule: &[u8], context: RuleContext<'_>) -> Result<(), RuleError> {
        match rule {
            [b'~' | b'%', ..] if self.all_keys => Err(RuleError::PatternAfterAll),
            [b'~', glob @ ..] => self.allow_keys(glob, access::ALL),
            [b'%', rest @ ..] => {
                let (access, glob) = key_access(rest)?;
                self.allow_keys(glob, access)
            }
            [b'&', glob @ ..] => self.allow_channels(glob),
            _ => self.apply_word(up_to_nul(rule), context),
        }
    }

    /// A rule that names databases, a command or a category.
    fn apply_word(&mut self, rule: &[u8], context: RuleContext<'_>) -> Result<(), RuleError> {
        match rule {
            [sign @ (b'+' | b'-'), b'@', name @ ..] => {
                self.set_category(name, *sign == b'+', context.table)?;
                self.note_rule(&rule[1..], *sign == b'+');
                Ok(())
            }
            [b'+', name @ ..] => self.allow_command(name, context.table),
            [b'-', name @ ..] => {
                let row = context.table.find_original(name).ok_or(RuleError::Unknown)?;
                self.set_command(context.table, row, false);
                self.note_rule(name, false);
                Ok(())
            }
            _ => match rule.split_at_checked(3) {
                Some((word, list)) if word.eq_ignore_ascii_case(b"db=") => {
                    self.databases = Some(parse_databases(list)?);
                    Ok(())
                }
                _ => Err(RuleError::Syntax),
            },
        }
    }

    fn allow_everything(&mut self, allows: bool) {
        self.all_commands = allows;
        self.from_all = allows;
        self.commands.fill(if allows { u64::MAX } else { 0 });
        self.first_args.clear();
        self.rules.clear();
    }

    fn allow_keys(&mut self, glob: &[u8], access: u8) -> Result<(), RuleError> {
        if has_spaces(glob) {
            return Err(RuleError::Syntax);
        }
        match self.patterns.iter_mut().find(|known| known.glob == glob) {
            Some(known) => known.access |= access,
            None => self.patterns.push(KeyPattern { glob: glob.to_vec(), access }),
        }
        Ok(())
    }

    fn allow_channels(&mut self, glob: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::ChannelAfterAll);
        }
        if has_spaces(glob) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| known == glob) {
            self.channels.push(glob.to_vec());
        }
        Ok(())
    }

    /// `+command`, `+command|subcommand`, or `+command|first-argument` of a command without subcommands.
    fn allow_command(&mut self, name: &[u8], table: &Table) -> Result<(), RuleError> {
        if let Some(row) = table.find_original(name) {
            self.set_command(table, row, true);
            self.note_rule(name, true);
            return Ok(());
        }
        let bar = name.iter().rposition(|&byte| byte == b'|').ok_or(RuleError::Unknown)?;
        let (command, argument) = (&name[..bar], &name[bar + 1..]);
        let row = table.find_original(command).ok_or(RuleError::Unknown)?;
        if row.is_sub() {
            return Err(RuleError::FirstArgOfSubcommand);
        }
        if argument.is_empty() {
            return Err(RuleError::Syntax);
        }
        if row.is_container() {
            return Err(RuleError::Unknown);
        }
        log::warn!(
            "Deprecation warning: Allowing a first arg of an otherwise blocked command is a misuse of ACL and may get \
             disabled in the future (offender: +{})",
            String::from_utf8_lossy(name)
        );
        let arguments = self.first_args.entry(row.id).or_default();
        if !arguments.iter().any(|known| known == argument) {
            arguments.push(argument.to_vec());
        }
        self.note_rule(name, true);
        Ok(())
    }

    /// Allows or forbids a command with all of its subcommands.
    fn set_command(&mut self, table: &Table, row: &Row, allows: bool) {
        self.set_row(row.id, allows);
        self.first_args.remove(&row.id);
        for &sub in &row.subs {
            self.set_row(table.at(sub).id, allows);
        }
    }

    fn set_category(&mut self, name: &[u8], allows: bool, table: &Table) -> Result<(), RuleError> {
        let category = category(name).ok_or(RuleError::Unknown)?;
        for row in table.rows().iter().filter(|row| row.categories & category != 0) {
            self.set_command(table, row, allows);
        }
        Ok(())
    }

    fn set_row(&mut self, id: u16, allows: bool) {
        let (word, bit) = (id as usize / 64, 1 << (id % 64));
        if allows {
            self.commands[word] |= bit;
        } else {
            self.commands[word] &= !bit;
            self.all_commands = false;
        }
    }

    /// Keeps a rule in place of older ones about the same thing or a part of it.
    fn note_rule(&mut self, name: &[u8], allows: bool) {
        let name = name.to_ascii_lowercase();
        let is_part =
            |known: &[u8]| known.strip_prefix(&name[..]).is_some_and(|rest| rest.first() == Some(&b'|'));
        self.rules.retain(|rule| rule.name != name && !is_part(&rule.name));
        self.rules.push(CommandRule { allows, name });
    }

    /// Whether a row may be run with this first argument.
    pub fn allows_row(&self, row: u16, first_arg: Option<&[u8]>) -> bool {
        if self.all_commands || self.commands[row as usize / 64] & (1 << (row % 64)) != 0 {
            return true;
        }
        match (self.first_args.get(&row), first_arg) {
            (Some(allowed), Some(first)) => allowed.iter().any(|known| known.eq_ignore_ascii_case(first)),
            _ => false,
        }
    }

    /// Whether a key may be used in the way of the bits of [`key`].
    pub fn allows_key(&self, name: &[u8], flags: u32) -> bool {
        let needed = needed_access(flags);
        self.all_keys
            || self.patterns.iter().any(|p| p.access & needed == needed && glob_match(&p.glob, name, false))
    }

    /// Whether every key may be read.
    pub fn reads_all_keys(&self) -> bool {
        self.all_keys || self.patterns.iter().any(|p| p.access & access::READ != 0 && p.glob == b"*")
    }

    /// Whether a channel may be used; a pattern only if it was allowed to the letter.
    pub fn allows_channel(&self, name: &[u8], is_pattern: bool) -> bool {
        self.all_channels || self.channels.iter().any(|allowed| covers(allowed, name, is_pattern))
    }

    /// Whether a database may be used.
    pub fn allows_database(&self, number: u32) -> bool {
        self.databases.as_ref().is_none_or(|allowed| allowed.contains(&number))
    }

    /// The rules about keys, as they are read again.
    pub fn keys_text(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let shown = self.patterns.iter().map(|pattern| {
            let sign: &[u8] = match pattern.access {
                access::READ => b"%R~",
                access::WRITE => b"%W~",
                _ => b"~",
            };
            [sign, &pattern.glob].concat()
        });
        shown.collect::<Vec<_>>().join(&b' ')
    }

    /// The rules about channels, as they are read again, without the one that takes back all others.
    pub fn channels_text(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        self.channels.iter().map(|glob| [b"&", &glob[..]].concat()).collect::<Vec<_>>().join(&b' ')
    }

    /// The rules about databases, as they are read again; empty where none may be used.
    pub fn databases_text(&self) -> String {
        match &self.databases {
            None => "alldbs".to_owned(),
            Some(allowed) if allowed.is_empty() => String::new(),
            Some(allowed) => {
                let numbers: Vec<String> = allowed.iter().map(u32::to_string).collect();
                format!("db={}", numbers.join(","))
            }
        }
    }

    /// The rules about commands, as they are read again.
    pub fn commands_text(&self) -> Vec<u8> {
        let mut text = if self.from_all { b"+@all".to_vec() } else { b"-@all".to_vec() };
        for rule in &self.rules {
            text.extend_from_slice(if rule.allows { b" +" } else { b" -" });
            text.extend_from_slice(&rule.name);
        }
        text
    }

    /// All rules in one line.
    pub fn text(&self) -> Vec<u8> {
        let mut parts = Vec::new();
        if self.all_keys || !self.patterns.is_empty() {
            parts.push(self.keys_text());
        }
        if !self.all_channels {
            parts.push(b"resetchannels".to_vec());
        }
        if self.all_channels || !self.channels.is_empty() {
            parts.push(self.channels_text());
        }
        if let Some(allowed) = &self.databases {
            parts.push(if allowed.is_empty() {
                b"resetdbs".to_vec()
            } else {
                self.databases_text().into_bytes()
            });
        }
        parts.push(self.commands_text());
        parts.join(&b' ')
    }
}

/// Whether an allowed channel pattern covers a channel, or is the pattern that a client wants.
pub fn covers(allowed: &[u8], name: &[u8], is_pattern: bool) -> bool {
    if is_pattern { allowed == name } else { glob_match(allowed, name, false) }
}

/// The bit of a category.
pub fn category(name: &[u8]) -> Option<u32> {
    acl::NAMES.iter().find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(bit, _)| *bit)
}

/// What a pattern has to allow, so that a key may be used in the way of the bits of [`key`].
fn needed_access(flags: u32) -> u8 {
    let reads = if flags & key::ACCESS != 0 { access::READ } else { 0 };
    let writes = if flags & (key::INSERT | key::DELETE | key::UPDATE) != 0 { access::WRITE } else { 0 };
    reads | writes
}

/// The letters between `%` and `~`, each once in any order and case, and the pattern after.
fn key_access(rule: &[u8]) -> Result<(u8, &[u8]), RuleError> {
    let mut access = 0;
    let mut rest = rule;
    while let [letter, tail @ ..] = rest {
        let bit = match letter.to_ascii_uppercase() {
            b'R' => access::READ,
            b'W' => access::WRITE,
            b'~' if access != 0 => return Ok((access, tail)),
            _ => return Err(RuleError::Syntax),
        };
        if access & bit != 0 {
            return Err(RuleError::Syntax);
        }
        access |= bit;
        rest = tail;
    }
    if access == 0 { Err(RuleError::Syntax) } else { Ok((access, rest)) }
}

/// The numbers after `db=`.
fn parse_databases(list: &[u8]) -> Result<BTreeSet<u32>, RuleError> {
    let mut numbers = BTreeSet::new();
    for word in list.split(|&byte| byte == b',') {
        let (is_negative, digits) = match word {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] => (false, digits),
            digits => (false, digits),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(RuleError::Syntax);
        }
        let value = digits
            .iter()
            .fold(0u64, |all, digit| all.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
        let number = i32::try_from(value).ok().filter(|n| !is_negative || *n == 0);
        numbers.insert(number.ok_or(RuleError::DatabaseRange)? as u32);
    }
    Ok(numbers)
}
