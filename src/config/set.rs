//! CONFIG SET: several changes, all of them or none.
//!
//! All values are parsed into a copy first; then the caller carries out the effects, one by one. If one of them
//! fails, the old values come back and the effects up to it are carried out again.

use crate::base::lossless;
use std::fmt;

use super::Config;
use super::directive::{Effect, Source};
use super::get::is_shown;
use super::table;

/// Who asks for a change.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// The client is connected from this machine, which `enable-protected-configs local` asks for.
    pub local: bool,
    /// The dataset is being loaded.
    pub loading: bool,
}

/// A value that changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// The directive, under the name that was used.
    pub name: &'static str,
    /// What it asks for.
    pub effect: Effect,
}

/// Why nothing was changed. `Display` is the error on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetError {
    /// There is no such directive.
    Unknown(String),
    /// A directive refused its value, or its effect could not be carried out.
    Failed {
        /// The directive.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Not while the dataset is being loaded.
    Loading,
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Unknown(name) => {
                write!(f, "ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            SetError::Failed { name, reason } => {
                write!(f, "ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
            }
            SetError::Loading => f.write_str("LOADING Redis is loading the dataset in memory"),
        }
    }
}

impl Config {
    /// Sets several directives, given as names and values.
    ///
    /// `apply` is called once for each effect that some change has, with the new configuration, which it may
    /// correct (`dir` becomes an absolute path). An error is the reason in Redis's words, such as `Unable to
    /// listen on this port. Check server logs.`; then everything is as it was, and `apply` has been called again
    /// with the old values for all effects up to the one that failed.
    pub fn set(
        &mut self,
        pairs: &[(&[u8], &[u8])],
        asker: Asker,
        apply: &mut dyn FnMut(&mut Config, Change) -> Result<(), String>,
    ) -> Result<Vec<Change>, SetError> {
        let rows = self.resolve(pairs, asker)?;
        let mut old = self.clone();
        let mut new = self.clone();
        for ((name, row), (_, value)) in rows.iter().zip(pairs) {
            let args: Vec<&[u8]> = match (row.flags.multi, *value) {
                (true, b"") => Vec::new(),
                (true, value) => value.split(|&byte| byte == b' ').collect(),
                (false, value) => vec![value],
            };
            row.assign(&mut new, &args, Source::Client).map_err(|reason| failed(name, reason))?;
        }
        let changes: Vec<Change> = rows
            .iter()
            .filter(|(_, row)| row.value(&mut old) != row.value(&mut new))
            .map(|&(name, row)| Change { name, effect: row.effect })
            .collect();
        let mut applied: Vec<Change> = Vec::new();
        let (last, first): (Vec<Change>, Vec<Change>) = changes.iter().partition(|c| c.effect.is_final());
        for change in first.into_iter().chain(last) {
            if change.effect == Effect::None || applied.iter().any(|done| done.effect == change.effect) {
                continue;
            }
            applied.push(change);
            if let Err(reason) = apply(&mut new, change) {
                for &change in &applied {
                    // The old values were in force a moment ago; there is nothing better to fall back to.
                    let _ = apply(&mut old, change);
                }
                *self = old;
                return Err(failed(change.name, reason));
            }
        }
        *self = new;
        Ok(changes)
    }

    /// Finds the rows, and refuses what must not be set. The first complaint counts.
    fn resolve(&self, pairs: &[(&[u8], &[u8])], asker: Asker) -> Result<Vec<Named>, SetError> {
        let mut rows: Vec<Named> = Vec::with_capacity(pairs.len());
        for &(name, _) in pairs {
            let typed = || lossless::from_bytes(name).into_owned();
            let Some(row) = table::find(name).filter(|row| is_shown(row)) else {
                return Err(SetError::Unknown(typed()));
            };
            if row.flags.immutable {
                return Err(failed(&typed(), "can't set immutable config".to_owned()));
            }
            if row.flags.protected && !self.enable_protected_configs.allows(asker.local) {
                return Err(failed(&typed(), "can't set protected config".to_owned()));
            }
            if row.flags.deny_loading && asker.loading {
                return Err(SetError::Loading);
            }
            // A name and its alias count as two, as they do in Redis.
            let known =
                row.alias.filter(|alias| alias.as_bytes().eq_ignore_ascii_case(name)).unwrap_or(row.name);
            if rows.iter().any(|(other, _)| *other == known) {
                return Err(failed(&typed(), "duplicate parameter".to_owned()));
            }
            rows.push((known, row));
        }
        Ok(rows)
    }
}

/// A row under the name that was used for it.
type Named = (&'static str, &'static super::Directive);

fn failed(name: &str, reason: String) -> SetError {
    SetError::Failed { name: name.to_owned(), reason }
}
