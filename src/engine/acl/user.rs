//! A user: whether somebody may come in under a name, with which passwords, and what selectors then allow.
//!
//! The first selector is the root: rules outside parentheses are about it. A request may run if one selector alone
//! allows all of it. Of passwords only the SHA-256 is kept.

use super::rule::{RuleError, is};
use super::selector::{RuleContext, Selector};
use sha2::{Digest, Sha256};

/// The SHA-256 of a password.
pub type PasswordHash = [u8; 32];

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: Vec<u8>,
    /// Clients may authenticate as this user.
    pub enabled: bool,
    /// Any password is right.
    pub any_password: bool,
    /// Its payloads for RESTORE need no full check.
    pub skips_sanitizing: bool,
    /// Passwords that are right.
    passwords: Vec<PasswordHash>,
    /// Never empty; the first is the root.
    selectors: Vec<Selector>,
}

impl User {
    /// A user that may do nothing.
    pub fn new(name: &[u8], context: RuleContext<'_>) -> User {
        User {
            name: name.to_vec(),
            enabled: false,
            any_password: false,
            skips_sanitizing: false,
            passwords: Vec::new(),
            selectors: vec![Selector::new(context)],
        }
    }

    /// The user that every client is at first: it may do everything, without a password.
    pub fn default_user(context: RuleContext<'_>) -> User {
        let mut user = User::new(b"default", context);
        for rule in ["+@all", "~*", "&*", "on", "nopass"] {
            user.apply(rule.as_bytes(), context).expect("these rules are right");
        }
        user
    }

    /// Applies one rule.
    ///
    /// # Errors
    ///
    /// When the rule is wrong; then nothing has changed.
    pub fn apply(&mut self, rule: &[u8], context: RuleContext<'_>) -> Result<(), RuleError> {
        if rule.is_empty() {
            return Ok(());
        }
        if is(rule, &["on"]) {
            self.enabled = true;
        } else if is(rule, &["off"]) {
            self.enabled = false;
        } else if is(rule, &["nopass"]) {
            self.any_password = true;
            self.passwords.clear();
        } else if is(rule, &["resetpass"]) {
            self.any_password = false;
            self.passwords.clear();
        } else if is(rule, &["sanitize-payload"]) {
            self.skips_sanitizing = false;
        } else if is(rule, &["skip-sanitize-payload"]) {
            self.skips_sanitizing = true;
        } else if is(rule, &["clearselectors"]) {
            self.selectors.truncate(1);
        } else if is(rule, &["reset"]) {
            *self = User::new(&std::mem::take(&mut self.name), context);
        } else {
            return self.apply_other(rule, context);
        }
        Ok(())
    }

    fn apply_other(&mut self, rule: &[u8], context: RuleContext<'_>) -> Result<(), RuleError> {
        match rule {
            [b'>', password @ ..] => self.add_password(hash_password(password)),
            [b'#', hex @ ..] => self.add_password(parse_hash(hex)?),
            [b'<', password @ ..] => return self.remove_password(&hash_password(password)),
            [b'!', hex @ ..] => return self.remove_password(&parse_hash(hex)?),
            [b'(', text @ .., b')'] => self.selectors.push(Selector::parse(text, context)?),
            _ => return self.selectors[0].apply(rule, context),
        }
        Ok(())
    }

    fn add_password(&mut self, hash: PasswordHash) {
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
        self.any_password = false;
    }

    fn remove_password(&mut self, hash: &PasswordHash) -> Result<(), RuleError> {
        let at = self.passwords.iter().position(|known| known == hash).ok_or(RuleError::NoSuchPassword)?;
        self.passwords.remove(at);
        Ok(())
    }

    /// Whether a client that knows this password may come in. The time does not tell how much of it is right.
    pub fn accepts(&self, password: &[u8]) -> bool {
        if !self.enabled {
            return false;
        }
        if self.any_password {
            return true;
        }
        let hash = hash_password(password);
        self.passwords.iter().fold(false, |found, known| found | is_equal(known, &hash))
    }

    /// Whether clients need not authenticate to be this user.
    pub fn is_open(&self) -> bool {
        self.enabled && self.any_password
    }

    /// Whether nothing is forbidden.
    pub fn allows_all(&self) -> bool {
        self.selectors.iter().any(Selector::allows_all)
    }

    /// Its selectors, the root first.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// Whether a rule about databases holds somewhere.
    pub fn names_databases(&self) -> bool {
        self.selectors.iter().any(|selector| selector.databases.is_some())
    }

    /// The hashes of its passwords, in hex digits.
    pub fn password_hashes(&self) -> impl Iterator<Item = String> {
        self.passwords.iter().map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// What it is besides its selectors and passwords, as rules.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.enabled { "on" } else { "off" }];
        if self.any_password {
            flags.push("nopass");
        }
        flags.push(if self.skips_sanitizing { "skip-sanitize-payload" } else { "sanitize-payload" });
        flags
    }

    /// All rules in one line, after the word `user` and the name: what ACL LIST shows and files hold.
    pub fn line(&self) -> Vec<u8> {
        let mut parts: Vec<Vec<u8>> = vec![b"user".to_vec(), self.name.clone()];
        parts.extend(self.flags().into_iter().map(|flag| flag.as_bytes().to_vec()));
        parts.extend(self.password_hashes().map(|hash| format!("#{hash}").into_bytes()));
        parts.push(self.selectors[0].text());
        parts.extend(self.selectors[1..].iter().map(|selector| [b"(", &selector.text()[..], b")"].concat()));
        parts.join(&b' ')
    }
}

/// The SHA-256 of a password.
fn hash_password(password: &[u8]) -> PasswordHash {
    Sha256::digest(password).into()
}

/// 64 hex digits in small letters.
fn parse_hash(hex: &[u8]) -> Result<PasswordHash, RuleError> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(RuleError::BadHash),
    };
    let mut hash = [0; 32];
    if hex.len() != 2 * hash.len() {
        return Err(RuleError::BadHash);
    }
    for (byte, pair) in hash.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(hash)
}

/// Whether two hashes are equal, in a time that does not depend on where they differ.
fn is_equal(a: &PasswordHash, b: &PasswordHash) -> bool {
    let differences = a.iter().zip(b).fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
    differences == 0
}
