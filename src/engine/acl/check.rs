//! May a user run a request? One selector has to allow all of it: the command, its databases, keys and channels.

use super::selector::Selector;
use super::user::User;
use crate::base::number::parse_i64;
use crate::engine::keys::{KeyAt, all_keys_of, may_have_keys, only_key};
use crate::engine::spec::{acl, flag};
use crate::engine::table::Row;
use crate::resp::Args;

/// What a user lacks. A later one says more about what was nearly allowed, so it is told where selectors disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A database.
    Database,
    /// The command, or the command with its first argument.
    Command,
    /// A key, or a key for this use.
    Key,
    /// A password, or a user that is enabled; not said of requests.
    Auth,
    /// A channel.
    Channel,
}

impl Reason {
    /// What ACL LOG calls it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Database => "database",
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Auth => "auth",
            Reason::Channel => "channel",
        }
    }
}

/// Why a request may not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// What is missing.
    pub reason: Reason,
    /// The argument that it is about; 0: the command.
    pub index: usize,
}

/// A request that is to be judged.
#[derive(Clone, Copy)]
pub struct Judged<'a> {
    /// Its row.
    pub row: &'a Row,
    /// Its arguments, name included.
    pub args: Args<'a>,
    /// The database that is selected.
    pub db: u32,
    /// Databases that there are.
    pub databases: u32,
}

impl User {
    /// Whether this user may run a request.
    ///
    /// # Errors
    ///
    /// What the selector lacks that comes nearest.
    pub fn may(&self, request: Judged<'_>) -> Result<(), Denial> {
        let mut nearest = Denial { reason: Reason::Database, index: 0 };
        let mut keys = None;
        for selector in self.selectors() {
            match selector.may(request, &mut keys) {
                Ok(()) => return Ok(()),
                Err(denial) => nearest = nearest.max(denial),
            }
        }
        Err(nearest)
    }

    /// Whether this user may run a request that also reads keys which nobody can name beforehand.
    pub fn may_with_all_keys(&self, request: Judged<'_>) -> bool {
        let mut keys = None;
        self.selectors().iter().any(|s| s.may(request, &mut keys).is_ok() && s.reads_all_keys())
    }
}

impl Selector {
    /// Whether this selector allows a request. The keys are looked for once for all selectors.
    fn may(&self, request: Judged<'_>, keys: &mut Option<Vec<KeyAt>>) -> Result<(), Denial> {
        let Judged { row, args, .. } = request;
        if self.databases.is_some() {
            self.may_use_databases(request)?;
        }
        let first_arg = args.get(if row.is_sub() { 2 } else { 1 });
        if !row.has(flag::NO_AUTH) && !self.allows_row(row.id, first_arg) {
            return Err(Denial { reason: Reason::Command, index: 0 });
        }
        if !self.all_keys && !row.spec.keys.is_empty() {
            let only = only_key(row, args);
            let keys = match &only {
                Some(at) => std::slice::from_ref(at),
                None => keys.get_or_insert_with(|| all_keys_of(row, args)),
            };
            for at in keys {
                if !self.allows_key(args.at(at.index), at.flags) {
                    return Err(Denial { reason: Reason::Key, index: at.index });
                }
            }
        }
        if !self.all_channels && row.has(flag::CHANNEL | flag::CHANNELS | flag::PATTERNS) {
            let end = if row.has(flag::CHANNEL) { args.len().min(2) } else { args.len() };
            for index in 1..end {
                if !self.allows_channel(args.at(index), row.has(flag::PATTERNS)) {
                    return Err(Denial { reason: Reason::Channel, index });
                }
            }
        }
        Ok(())
    }

    /// Whether the databases may be used that a request names or works on.
    fn may_use_databases(&self, request: Judged<'_>) -> Result<(), Denial> {
        let Judged { row, args, db, databases } = request;
        let denied = |index| Err(Denial { reason: Reason::Database, index });
        let has_keys = may_have_keys(row);
        let named = named_databases(request);
        if let Some(named) = &named {
            for &index in named {
                if number_at(args, index, databases).is_some_and(|number| !self.allows_database(number)) {
                    return denied(index);
                }
            }
        } else if row.spec.on_all_databases {
            let all = (0..databases).all(|number| self.allows_database(number));
            return if all { Ok(()) } else { denied(0) };
        }
        let is_data = named.is_none() && row.categories & (acl::KEYSPACE | acl::READ | acl::WRITE) != 0;
        if (has_keys || is_data) && !self.allows_database(db) {
            return denied(0);
        }
        Ok(())
    }
}

/// The arguments that are numbers of databases, where a command can have such. A request that is wrong names none.
fn named_databases(request: Judged<'_>) -> Option<Vec<usize>> {
    let Judged { row, args, databases, .. } = request;
    let indices = row.spec.databases_of?(args);
    let is_right = indices.iter().all(|&index| number_at(args, index, databases).is_some());
    Some(if is_right { indices } else { Vec::new() })
}

/// An argument as the number of a database that there is.
fn number_at(args: Args<'_>, index: usize, databases: u32) -> Option<u32> {
    let number = args.get(index).and_then(parse_i64)?;
    u32::try_from(number).ok().filter(|number| *number < databases)
}
