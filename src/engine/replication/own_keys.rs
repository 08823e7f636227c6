//! Keys to which clients of a writable replica gave a deadline.
//!
//! On a replica no key expires by itself, for the primary says when one goes. Of the keys that a client has written here the
//! primary knows nothing, so these are remembered, and removed once a second when their time has come. Redis:
//! `slaveKeysWithExpire`.

use super::super::Engine;
use super::super::client::state;
use super::super::keys;
use super::super::spec::flag;
use super::super::table::Row;
use crate::keyspace::db::is_past;
use crate::resp::Args;
use bytes::Bytes;

impl Engine {
    /// A request has run on a replica: remembers which of its keys have a deadline, if a client wrote them.
    #[cold]
    pub(in crate::engine) fn note_own_keys(&mut self, slot: usize, args: Args<'_>, row: &Row) {
        if !row.has(flag::WRITE) || self.clients[slot].is(state::REPLAYS) || !keys::may_have_keys(row) {
            return;
        }
        let index = self.clients[slot].db;
        let db = self.dbs.at(index as usize);
        for key in keys::keys_of(row, args).unwrap_or_default() {
            let key = args.at(key.index);
            let has_ttl =
                db.find_with_deadline(key, db.hash(key)).is_some_and(|(_, deadline)| deadline.is_some());
            if has_ttl {
                self.replication.own_keys.insert((index, Bytes::copy_from_slice(key)));
            }
        }
    }

    /// Removes those whose time has come.
    pub(super) fn expire_own_keys(&mut self) {
        let now_ms = self.now.unix_ms();
        let mut own = std::mem::take(&mut self.replication.own_keys);
        own.retain(|(index, key)| {
            let db = self.dbs.at_mut(*index as usize);
            let hash = db.hash(key);
            let Some((_, Some(deadline))) = db.find_with_deadline(key, hash) else { return false };
            if !is_past(deadline, now_ms) {
                return true;
            }
            db.remove(key, hash);
            let (stats, verb) = (&mut self.stats, self.conf.verb_of_expiry());
            self.listeners.expired((*index, key), now_ms - deadline, verb, stats, &mut self.propagation);
            false
        });
        self.propagation.close_each();
        self.replication.own_keys = own;
    }
}
