//! All users by name. A client holds an id, so that a request finds its user without a look-up by name.

use super::selector::RuleContext;
use super::user::User;
use slab::Slab;
use std::collections::BTreeMap;

/// A user that is there. Whoever deletes a user sees to it that no client keeps its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserId(u32);

impl UserId {
    /// The user that every client is at first; it is always there.
    pub const DEFAULT: UserId = UserId(0);
}

/// All users.
#[derive(Debug)]
pub struct Users {
    all: Slab<User>,
    by_name: BTreeMap<Vec<u8>, UserId>,
}

impl Users {
    /// The default user alone, who may do everything.
    pub fn new(context: RuleContext<'_>) -> Users {
        let mut users = Users { all: Slab::new(), by_name: BTreeMap::new() };
        let id = users.put(User::default_user(context));
        assert_eq!(id, UserId::DEFAULT, "the first slot is free");
        users
    }

    /// A user.
    #[inline]
    pub fn get(&self, id: UserId) -> &User {
        &self.all[id.0 as usize]
    }

    /// The user that every client is at first.
    #[inline]
    pub fn default_user(&self) -> &User {
        self.get(UserId::DEFAULT)
    }

    /// The user of a name.
    pub fn find(&self, name: &[u8]) -> Option<UserId> {
        self.by_name.get(name).copied()
    }

    /// Puts a user in the place of the one of the same name, if there is one.
    pub fn put(&mut self, user: User) -> UserId {
        if let Some(id) = self.find(&user.name) {
            self.all[id.0 as usize] = user;
            return id;
        }
        let name = user.name.clone();
        let slot = u32::try_from(self.all.insert(user)).expect("there is memory for fewer users");
        let id = UserId(slot);
        self.by_name.insert(name, id);
        id
    }

    /// Deletes a user; the default user stays.
    pub fn remove(&mut self, id: UserId) {
        assert_ne!(id, UserId::DEFAULT, "the default user is always there");
        let user = self.all.remove(id.0 as usize);
        self.by_name.remove(&user.name);
    }

    /// All users, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.by_name.values().map(|&id| self.get(id))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Never: the default user is always there.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}
