//! Users and what they may do (ACL).
//!
//! Every client is a user from the start: `default`, until it authenticates as another. What a user may is a list of
//! [selectors](selector::Selector); [`Engine::may`] judges a request by them, and [`Engine::deny`] turns a refusal into
//! the error text, a counter and an entry of ACL LOG. A client that may do everything is never judged: the bit
//! [`state::LIMITED`] marks all others, and is set anew whenever users change.
//!
//! * Whoever runs requests of a client (a socket, EXEC, a script) calls [`Engine::check`] before each.
//! * A client of a user that is deleted is closed and becomes `default`, so no client holds the id of nobody.
//! * A user is changed as a whole: rules are applied to a copy, which takes its place if all of them are right.

pub mod check;
pub mod file;
pub mod log;
pub mod rule;
pub mod selector;
pub mod user;
pub mod users;

pub use check::{Denial, Reason};
pub use log::Context;
pub use rule::RuleError;
pub use user::User;
pub use users::{UserId, Users};

use super::client::{Client, state};
use super::error::CmdError;
use super::host::Request;
use super::pubsub::Subscriptions;
use super::spec::Begin;
use super::table::{Row, Table};
use super::{Engine, Host};
use crate::base::lossless;
use crate::config::{AclPubsubDefault, Config};
use crate::resp::Args;
use check::Judged;
use selector::{RuleContext, covers};

/// The users, and what was refused to them.
#[derive(Debug)]
pub struct Acl {
    /// All users.
    pub users: Users,
    /// ACL LOG.
    pub log: log::AclLog,
}

impl Acl {
    /// The default user alone, with the password of the configuration.
    pub fn new(table: &Table, conf: &Config) -> Acl {
        let mut acl = Acl { users: Users::new(rule_context(table, conf)), log: log::AclLog::default() };
        if !conf.requirepass.is_empty() {
            acl.set_default_password(&conf.requirepass, rule_context(table, conf));
        }
        acl
    }

    /// Gives the default user one password, or lets everybody be it if there is none.
    fn set_default_password(&mut self, password: &[u8], context: RuleContext<'_>) {
        let mut user = self.users.default_user().clone();
        let rule = if password.is_empty() { b"nopass".to_vec() } else { [b">", password].concat() };
        for rule in [b"resetpass", &rule[..]] {
            user.apply(rule, context).expect("these rules are right");
        }
        self.users.put(user);
    }
}

/// What rules are read against.
pub fn rule_context<'a>(table: &'a Table, conf: &Config) -> RuleContext<'a> {
    RuleContext { table, open_channels: conf.acl_pubsub_default == AclPubsubDefault::AllChannels }
}

impl Engine {
    /// What rules are read against.
    pub fn acl_context(&self) -> RuleContext<'static> {
        rule_context(self.table, &self.conf)
    }

    /// Whether a client has to authenticate before it may do anything.
    pub fn must_authenticate(&self, client: &Client) -> bool {
        !client.is(state::AUTHENTICATED) && !self.acl.users.default_user().is_open()
    }

    /// The user of a client.
    pub fn user_of(&self, slot: usize) -> &User {
        self.acl.users.get(self.clients[slot].user)
    }

    /// Whether the user of a client may run a request, in the database that the client has selected.
    ///
    /// # Errors
    ///
    /// What it lacks.
    pub fn may(&self, slot: usize, row: &Row, args: Args<'_>) -> Result<(), Denial> {
        if !self.clients[slot].is(state::LIMITED) {
            return Ok(());
        }
        self.user_of(slot).may(self.judged(slot, row, args))
    }

    /// As [`Engine::may`], for a request that runs if nothing is lacking: notes what SORT must know.
    ///
    /// # Errors
    ///
    /// What it lacks.
    pub fn check(&mut self, slot: usize, row: &Row, args: Args<'_>) -> Result<(), Denial> {
        self.may(slot, row, args)?;
        if row.spec.keys.iter().any(|spec| spec.begin == Begin::Unknown) {
            let reads_all = !self.clients[slot].is(state::LIMITED)
                || self.user_of(slot).may_with_all_keys(self.judged(slot, row, args));
            self.clients[slot].set(state::READS_SOME_KEYS, !reads_all);
        }
        Ok(())
    }

    fn judged<'a>(&self, slot: usize, row: &'a Row, args: Args<'a>) -> Judged<'a> {
        Judged { row, args, db: self.clients[slot].db, databases: self.dbs.count() as u32 }
    }

    /// The error for a request that may not run; it is counted, and noted in ACL LOG.
    #[cold]
    pub fn deny(
        &mut self,
        slot: usize,
        row: &'static Row,
        args: Args<'_>,
        denial: Denial,
        context: Context,
    ) -> CmdError {
        let stats = &mut self.stats;
        match denial.reason {
            Reason::Database => stats.acl_access_denied_db += 1,
            Reason::Command => stats.acl_access_denied_cmd += 1,
            Reason::Key => stats.acl_access_denied_key += 1,
            Reason::Auth => stats.acl_access_denied_auth += 1,
            Reason::Channel => stats.acl_access_denied_channel += 1,
        }
        let object = match denial.index {
            0 => row.full_name.as_bytes(),
            index => args.at(index),
        };
        let user = self.user_of(slot);
        let text = denial_text(user, row, b"", denial, false);
        let name = user.name.clone();
        self.note_refusal(slot, denial.reason, context, object, name, args.wire_bytes());
        match context {
            Context::Lua => CmdError::err(format!("ACL failure in script: {text}")),
            Context::Toplevel | Context::Multi => CmdError::Text(format!("NOPERM {text}").into()),
        }
    }

    /// Answers a request of a transaction that may not run any more.
    #[cold]
    pub(super) fn deny_at_exec(&mut self, slot: usize, row: &'static Row, args: Args<'_>, denial: Denial) {
        self.deny(slot, row, args, denial, Context::Multi);
        let reason = match denial.reason {
            Reason::Command => "no permission to execute the command or subcommand",
            Reason::Key => "no permission to touch the specified keys",
            Reason::Channel => "no permission to access one of the channels used as arguments",
            Reason::Database | Reason::Auth => "no permission",
        };
        let text = format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command \
             is no longer allowed for the following reason: {reason}"
        );
        self.error_reply(slot, &text);
    }

    /// Adds an entry to ACL LOG.
    fn note_refusal(
        &mut self,
        slot: usize,
        reason: Reason,
        context: Context,
        object: &[u8],
        user: Vec<u8>,
        running_bytes: usize,
    ) {
        let entry = log::Entry {
            count: 1,
            reason,
            context,
            object: object.to_vec(),
            user,
            created_ms: self.now.unix_ms(),
            updated_ms: self.now.unix_ms(),
            client: self.describe_running(slot, running_bytes),
            id: 0,
        };
        self.acl.log.note(entry, self.conf.acllog_max_len);
    }

    /// Where the requests of a client come from that it sends now.
    pub(super) fn context_of(&self, slot: usize) -> Context {
        if self.clients[slot].is(state::MULTI) { Context::Multi } else { Context::Toplevel }
    }

    /// Lets a client be another user, if the password is right.
    ///
    /// # Errors
    ///
    /// When it is wrong, or there is no such user, or nobody may be it; this is counted and noted in ACL LOG.
    pub fn authenticate(
        &mut self,
        slot: usize,
        args: Args<'_>,
        name: &[u8],
        password: &[u8],
    ) -> Result<(), CmdError> {
        match self.acl.users.find(name).filter(|&id| self.acl.users.get(id).accepts(password)) {
            Some(id) => {
                let client = &mut self.clients[slot];
                client.user = id;
                client.set(state::AUTHENTICATED, true);
                self.note_limits_of(slot);
                Ok(())
            }
            None => {
                self.stats.acl_access_denied_auth += 1;
                let context = self.context_of(slot);
                self.note_refusal(slot, Reason::Auth, context, args.at(0), name.to_vec(), args.wire_bytes());
                Err(CmdError::coded("WRONGPASS invalid username-password pair or user is disabled."))
            }
        }
    }

    /// Makes a client the default user, authenticated if that needs no password.
    pub fn become_default_user(&mut self, slot: usize) {
        let is_open = self.acl.users.default_user().is_open();
        let client = &mut self.clients[slot];
        client.user = UserId::DEFAULT;
        client.set(state::AUTHENTICATED, is_open);
        self.note_limits_of(slot);
    }

    /// Says in the log that whoever can connect may do everything, if it is so.
    pub(in crate::engine) fn warn_of_open_door(&self) {
        if !self.acl.users.default_user().is_open() {
            return;
        }
        let is_everywhere =
            |address: &String| matches!(address.trim_start_matches('-'), "*" | "0.0.0.0" | "::" | "::*");
        ::log::warn!(
            "WARNING: Redis does not require authentication{}",
            match self.conf.protected_mode {
                true => ". Redis will accept connections from any local client.",
                false if self.conf.bind.iter().any(is_everywhere) =>
                    " and is not protected by network restrictions. Redis will accept connections from any IP address on \
                     any network interface.",
                false =>
                    ". Redis will accept connections from any IP address on the configured network interface.",
            }
        );
    }

    /// Notes whether the requests of a client have to be judged.
    pub(super) fn note_limits_of(&mut self, slot: usize) {
        let is_limited = self.must_authenticate(&self.clients[slot]) || !self.user_of(slot).allows_all();
        self.clients[slot].set(state::LIMITED, is_limited);
    }

    /// Users have changed: notes for all clients whether their requests have to be judged.
    fn note_limits(&mut self) {
        let slots: Vec<usize> = self.clients.iter().map(|(slot, _)| slot).collect();
        slots.into_iter().for_each(|slot| self.note_limits_of(slot));
    }

    /// Gives the default user the password of the configuration.
    pub fn apply_requirepass(&mut self) {
        let context = self.acl_context();
        self.acl.set_default_password(&self.conf.requirepass, context);
        self.note_limits();
    }

    /// Creates or changes a user; `current` is the client that asked.
    ///
    /// # Errors
    ///
    /// The index of the rule that is wrong, and why; then nothing has changed.
    pub fn set_user(
        &mut self,
        name: &[u8],
        rules: &[Vec<u8>],
        current: usize,
    ) -> Result<(), (usize, RuleError)> {
        let context = self.acl_context();
        let old = self.acl.users.find(name);
        let mut user = match old {
            Some(id) => self.acl.users.get(id).clone(),
            None => User::new(name, context),
        };
        for (index, rule) in rules.iter().enumerate() {
            user.apply(rule, context).map_err(|error| (index, error))?;
        }
        if let Some(id) = old {
            let lost = Lost::between(self.acl.users.get(id), &user);
            self.acl.users.put(user);
            self.close_where(current, |client| client.user == id && lost.concerns(client));
        } else {
            self.acl.users.put(user);
        }
        self.note_limits();
        Ok(())
    }

    /// Deletes a user that is not the default one, and closes its clients; `current` is the client that asked. False when
    /// there is no such user.
    pub fn delete_user(&mut self, name: &[u8], current: usize) -> bool {
        let Some(id) = self.acl.users.find(name) else { return false };
        self.close_where(current, |client| client.user == id);
        self.acl.users.remove(id);
        true
    }

    /// Closes clients, and takes their user from them at once. The client that asked gets its reply first.
    fn close_where(&mut self, current: usize, concerns: impl Fn(&Client) -> bool) {
        let slots = self.clients.iter().filter(|(_, client)| concerns(client)).map(|(slot, _)| slot);
        for slot in slots.collect::<Vec<_>>() {
            let client = &mut self.clients[slot];
            client.user = UserId::DEFAULT;
            client.set(state::AUTHENTICATED, false);
            if slot == current {
                client.set(state::CLOSE_AFTER_REPLY, true);
            } else {
                self.close_soon(slot);
            }
            self.note_limits_of(slot);
        }
    }

    /// Puts the users of the ACL file in the place of all users; `current` is the client that asked.
    ///
    /// # Errors
    ///
    /// What is wrong with the file; then nothing has changed.
    pub fn load_users(&mut self, host: &mut dyn Host, current: Option<usize>) -> Result<(), String> {
        let path = self.conf.aclfile.clone();
        let mut text = Vec::new();
        host.apply(Request::ReadFile(&path, &mut text))
            .map_err(|reason| format!("Error loading ACLs, opening file '{path}': {reason}"))?;
        let new = file::parse(&text, &path, self.acl_context())?;
        let old = std::mem::replace(&mut self.acl.users, new);
        let slots: Vec<usize> = self.clients.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            let before = old.get(self.clients[slot].user);
            let after = self.acl.users.find(&before.name);
            let stays = after
                .filter(|&id| !Lost::between(before, self.acl.users.get(id)).concerns(&self.clients[slot]));
            match stays {
                Some(id) => self.clients[slot].user = id,
                None => {
                    let asked = current.unwrap_or(usize::MAX);
                    let handle = self.clients[slot].handle;
                    self.close_where(asked, |client| client.handle == handle);
                }
            }
        }
        self.note_limits();
        Ok(())
    }

    /// Makes the users of the configuration, or of the ACL file, when the server starts.
    ///
    /// # Errors
    ///
    /// The lines for the log; the server cannot start.
    pub fn load_users_at_start(&mut self, host: &mut dyn Host) -> Result<(), Vec<String>> {
        let has_file = !self.conf.aclfile.is_empty();
        if has_file && !self.conf.users.is_empty() {
            return Err(vec![
                "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. \
                 This setup is very likely to lead to configuration errors and security holes, please define either an \
                 ACL file or declare users directly in your redis.conf, but not both."
                    .to_owned(),
            ]);
        }
        let context = self.acl_context();
        file::apply_lines(&mut self.acl.users, &self.conf, context)
            .map_err(|line| vec![line, "Critical error while loading ACLs. Exiting.".to_owned()])?;
        if has_file {
            self.load_users(host, None)
                .map_err(|text| vec![format!("Aborting Redis startup because of ACL errors: {text}")])?;
        }
        self.note_limits();
        Ok(())
    }
}

/// What a denial says, without its code, as [`lossless`] text. Only the long form names keys, channels and databases:
/// `shown` is that argument.
pub fn denial_text(user: &User, row: &Row, shown: &[u8], denial: Denial, is_long: bool) -> String {
    let (name, shown) = (lossless::from_bytes(&user.name), lossless::from_bytes(shown));
    match (denial.reason, is_long) {
        (Reason::Command | Reason::Auth, _) => {
            format!("User {name} has no permissions to run the '{}' command", row.full_name)
        }
        (Reason::Key, true) => format!("User {name} has no permissions to access the '{shown}' key"),
        (Reason::Key, false) => "No permissions to access a key".to_owned(),
        (Reason::Channel, true) => format!("User {name} has no permissions to access the '{shown}' channel"),
        (Reason::Channel, false) => "No permissions to access a channel".to_owned(),
        (Reason::Database, true) => format!("User {name} has no permissions to access database {shown}"),
        (Reason::Database, false) => "No permissions to access database".to_owned(),
    }
}

/// The channels that a user may still use, where a change takes some away.
enum Lost {
    /// None was taken away.
    Nothing,
    /// All but those that these patterns cover.
    AllBut(Vec<Vec<u8>>),
}

impl Lost {
    fn between(before: &User, after: &User) -> Lost {
        if after.selectors().iter().any(|s| s.all_channels) {
            return Lost::Nothing;
        }
        let left: Vec<Vec<u8>> = after.selectors().iter().flat_map(|s| s.channels.clone()).collect();
        let keeps_all = before
            .selectors()
            .iter()
            .all(|s| !s.all_channels && s.channels.iter().all(|channel| left.contains(channel)));
        if keeps_all { Lost::Nothing } else { Lost::AllBut(left) }
    }

    /// Whether a client listens to something that it may not hear any more.
    fn concerns(&self, client: &Client) -> bool {
        let (Lost::AllBut(left), Some(subscriptions)) = (self, client.subscriptions.as_deref()) else {
            return false;
        };
        let may = |name: &[u8], is_pattern| left.iter().any(|allowed| covers(allowed, name, is_pattern));
        let Subscriptions { channels, patterns, shards, .. } = subscriptions;
        let mut names = channels.iter().chain(shards);
        !patterns.iter().all(|name| may(name, true)) || !names.all(|name| may(name, false))
    }
}
