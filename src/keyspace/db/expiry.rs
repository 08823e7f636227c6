//! Deadlines: of keys, and of what is inside values: fields of hashes, ids of producers that streams remember.

use super::{Db, Due, KeyHash, LOOKUPS_AT_ONCE, WHEEL_SLACK, first_expired_ms, is_past};
use crate::keyspace::entry;
use crate::keyspace::value::{NewValue, Type, Value};
use crate::structures::slab::Handle;

impl Db {
    /// Removes keys whose deadline has passed, at most `max` of the registrations that are due; `due_key` is told of
    /// each, with its deadline. Of a value with something inside whose deadline has passed it is told too; then the caller
    /// removes that and calls [`Db::arm_inner`]. True when more is due.
    pub fn expire_due(&mut self, now_ms: u64, max: usize, mut due_key: impl FnMut(&[u8], Due)) -> bool {
        let mut due = std::mem::take(&mut self.due);
        due.clear();
        let more = self.wheel.take_due(now_ms, max, &mut due);
        for hashes in due.chunks(LOOKUPS_AT_ONCE) {
            for &hash in hashes {
                self.prefetch_bucket(hash);
            }
            for &hash in hashes {
                self.prefetch_entry(hash);
            }
            for &hash in hashes {
                self.settle_registration(hash, now_ms, &mut due_key);
            }
        }
        if due.capacity() > LOOKUPS_AT_ONCE * 64 {
            due = Vec::new();
        }
        self.due = due;
        more
    }

    /// Walks on over about `budget` registrations of the wheel, if it holds many that stand for nothing. True when it
    /// still does.
    pub fn compact_wheel(&mut self, budget: usize) -> bool {
        let is_full = self.wheel.len() > 2 * (self.with_ttl + self.inner_with_ttl) + WHEEL_SLACK;
        if is_full {
            let (dict, store) = (&self.dict, &self.store);
            self.wheel.compact(budget, |hash| {
                dict.find(hash, |h| store.has_ttl_and_hash(h, hash))
                    .and_then(|h| store.nearest_deadline(h).map(first_expired_ms))
            });
        }
        is_full
    }

    /// When `expire_due` has work to do next, as Unix time in milliseconds.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.wheel.next_deadline()
    }

    /// The wall clock was set back to `now_ms`: the wheel starts again from there.
    pub fn clock_stepped_back(&mut self, now_ms: u64) {
        self.wheel.reseat(now_ms);
    }

    /// A value whose registration has fired, and in which something is still due or has a deadline, is registered again.
    pub fn arm_inner(&mut self, key: &[u8], hash: KeyHash) {
        let Some(handle) = self.find(key, hash) else { return };
        if let Some(deadline) = self.store.inner_deadline(handle) {
            self.wheel.register(first_expired_ms(deadline), hash);
        }
    }

    /// Expires what a registration stood for, or registers it again for a later deadline.
    fn settle_registration(&mut self, hash: u64, now_ms: u64, due_key: &mut impl FnMut(&[u8], Due)) {
        loop {
            let store = &self.store;
            let is_due = |h: Handle| {
                store.entry(h).deadline().is_some_and(|ms| is_past(ms, now_ms))
                    && store.has_ttl_and_hash(h, hash)
            };
            let Some(handle) = self.dict.remove(hash, is_due) else { break };
            let deadline = self.entry(handle).deadline().unwrap_or(now_ms);
            due_key(self.store.key(handle), Due::Expired(deadline));
            self.release(hash, handle);
        }
        let Some(handle) = self.dict.find(hash, |h| self.store.has_ttl_and_hash(h, hash)) else { return };
        if self.store.inner_deadline(handle).is_some_and(|ms| is_past(ms, now_ms)) {
            due_key(self.store.key(handle), Due::Inner);
            if let Some(deadline) = self.deadline(handle) {
                self.wheel.register(first_expired_ms(deadline), hash);
            }
        } else if let Some(deadline) = self.store.nearest_deadline(handle) {
            self.wheel.register(first_expired_ms(deadline), hash);
        }
    }

    /// Notes that a value with deadlines inside comes (1) or goes (-1).
    pub(super) fn count_inner_with_ttl(&mut self, of: Type, change: isize) {
        self.inner_with_ttl = self.inner_with_ttl.wrapping_add_signed(change);
        if of == Type::Stream {
            self.streams_with_ttl = self.streams_with_ttl.wrapping_add_signed(change);
        }
    }

    /// The nearest deadline of what is inside a new value, which is counted if it has one.
    #[inline]
    pub(super) fn note_inner_deadline(&mut self, value: &NewValue<'_>) -> Option<u64> {
        let deadline = value.next_deadline()?;
        if let NewValue::Whole(value) = value {
            self.count_inner_with_ttl(Value::view(value).type_of(), 1);
        }
        Some(deadline)
    }

    /// Keeps counts, entry and wheel true to the nearest deadline of what is inside a value.
    #[cold]
    pub(super) fn account_inner_deadline(
        &mut self,
        hash: KeyHash,
        handle: Handle,
        of: Type,
        before: Option<u64>,
        after: Option<u64>,
    ) {
        self.count_inner_with_ttl(of, isize::from(after.is_some()) - isize::from(before.is_some()));
        entry::set_inner_deadlines(self.store.slab.get_mut(handle), after.is_some());
        // A later deadline is found when the earlier registration fires.
        if let Some(ms) = after.filter(|ms| before.is_none_or(|old| *ms < old)) {
            self.wheel.register(first_expired_ms(ms), hash);
        }
    }
}
