//! One database: a table of entries, their values, and the wheel of their deadlines.
//!
//! Keys are found in the [`Dict`] by hash; an entry with its key, its small value and its deadline is one cell of the
//! [`PagedSlab`]; larger values lie beside it. A [`Handle`] names an entry until the entry is changed in a way that
//! may move it, and such a method returns the new handle.
//!
//! * The hash of a key does not depend on the database, so it can be computed, and the entry prefetched, before it is
//!   known which database a command will run on.
//! * A `Db` never looks at a clock: an entry whose deadline has passed is there until somebody removes it, and the
//!   engine does so before any command sees it.
//! * All changes go through two doors, where a snapshot that is under way takes the old value: `before_change`, after which
//!   the value is still there, and `before_loss`, after which it is not. See [`walk`].
//! * The whole of it can be moved: a flush swaps in an empty one.

mod collections;
mod expiry;
pub(super) mod walk;
mod weights;

use super::access::AccessClock;
use super::entry::{self, Entry, KeyPart, Kind, Meta, ValuePart};
use super::garbage::{FREE_AT_ONCE_BYTES, FREE_AT_ONCE_NODES, Garbage};
use super::sizes::Sizes;
use super::types::HashRef;
use super::value::{NewValue, TYPES, Type, Value, ValueRef};
use crate::base::hash::{HashKey, siphash13};
use crate::base::limit::{EMBSTR_BYTES_MAX, INLINE_KEY_BYTES_MAX, INLINE_VALUE_BYTES_MAX};
use crate::base::rng::Rng;
use crate::structures::dict::{Dict, Entries, First, Resizing};
use crate::structures::slab::{Handle, PagedSlab};
use crate::structures::wheel::KeyWheel;
use bytes::Bytes;
use slab::Slab;

/// Hash of a key, the same in all databases.
pub type KeyHash = u64;

/// What happens to the deadline of a key that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// It stays as it is; a new key has none.
    Keep,
    /// The key has none.
    Clear,
    /// Unix time in milliseconds.
    At(u64),
}

/// Whether a key with this deadline has expired: as in Redis it lives through the millisecond of its deadline.
#[inline]
pub fn is_past(deadline_ms: u64, now_ms: u64) -> bool {
    deadline_ms < now_ms
}

/// The first millisecond at which a key with this deadline has expired.
fn first_expired_ms(deadline_ms: u64) -> u64 {
    deadline_ms.saturating_add(1)
}

/// Registrations that the wheel may hold beyond twice the keys with a deadline before it is compacted.
const WHEEL_SLACK: usize = 512;

/// Hashes that are looked up together, so that their memory is fetched at the same time.
const LOOKUPS_AT_ONCE: usize = 64;

/// Why [`Db::expire_due`] tells of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Its deadline, Unix time in milliseconds, has passed, and it is removed.
    Expired(u64),
    /// Deadlines of what is inside have passed: fields of a hash, or ids of producers. They are still there.
    Inner,
}

/// What [`Db::look_up`] has found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// The entry.
    pub handle: Handle,
    /// When its key dies, Unix time in milliseconds.
    pub deadline: Option<u64>,
    /// Its LRU or LFU bits.
    pub access: u32,
}

/// One database.
pub struct Db {
    dict: Dict,
    store: Store,
    wheel: KeyWheel,
    /// See [`Db::writes`].
    writes: u64,
    /// Keys with a deadline.
    with_ttl: usize,
    /// Sum of all deadlines, for the average TTL.
    deadline_sum: u128,
    /// Keys with deadlines inside: hashes of which fields have them, and streams that remember ids of producers.
    inner_with_ttl: usize,
    /// Those of them that are streams.
    streams_with_ttl: usize,
    /// Sizes of the values, by type.
    sizes: [Sizes; TYPES],
    /// How much memory collections take, by type; none unless somebody wants to know.
    weights: Option<Box<[Sizes; TYPES]>>,
    /// Room for a packed collection that is taken out.
    spare: Vec<u8>,
    garbage: Vec<Garbage>,
    /// Scratch of `expire_due`.
    due: Vec<u64>,
    /// The part of a snapshot that is under way.
    walk: Option<Box<walk::DbWalk>>,
    /// The tables that a snapshot follows.
    followed: Option<Box<walk::Followed>>,
    epochs: walk::Epochs,
}

/// Where entries and values lie; apart from the dict, which asks it for keys.
struct Store {
    slab: PagedSlab,
    values: Slab<Value>,
    value_bytes: usize,
    far_keys: Slab<Box<[u8]>>,
    hash_key: HashKey,
    /// Number of the snapshot that new entries belong to.
    epoch: u8,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("keys", &self.len()).finish()
    }
}

impl Db {
    /// An empty database whose wheel stands at `now_ms`.
    pub fn new(hash_key: HashKey, now_ms: u64) -> Db {
        Db {
            dict: Dict::new(),
            store: Store {
                slab: PagedSlab::new(),
                values: Slab::new(),
                value_bytes: 0,
                far_keys: Slab::new(),
                hash_key,
                epoch: 0,
            },
            wheel: KeyWheel::new(now_ms),
            writes: 0,
            with_ttl: 0,
            deadline_sum: 0,
            inner_with_ttl: 0,
            streams_with_ttl: 0,
            sizes: std::array::from_fn(|_| Sizes::default()),
            weights: None,
            spare: Vec::new(),
            garbage: Vec::new(),
            due: Vec::new(),
            walk: None,
            followed: None,
            epochs: walk::Epochs::default(),
        }
    }

    /// Keys, expired ones that nobody has removed yet included.
    pub fn len(&self) -> usize {
        self.dict.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often a key was written or removed, or a collection changed its size. A change within a collection, or of a
    /// deadline of its fields, is not counted.
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// Keys with a deadline.
    pub fn with_ttl(&self) -> usize {
        self.with_ttl
    }

    /// Mean of the deadlines, as Unix time in milliseconds; 0 without any.
    pub fn mean_deadline_ms(&self) -> u64 {
        self.deadline_sum.checked_div(self.with_ttl as u128).unwrap_or(0) as u64
    }

    /// Hashes of which fields have deadlines.
    pub fn hashes_with_ttl(&self) -> usize {
        self.inner_with_ttl - self.streams_with_ttl
    }

    /// Whether streams remember ids of their producers.
    pub fn has_idempotence(&self) -> bool {
        self.streams_with_ttl > 0
    }

    /// Sizes of the values of a type: elements, or bytes of strings.
    pub fn sizes(&self, of: Type) -> &Sizes {
        &self.sizes[of as usize]
    }

    /// Buckets of the table.
    pub fn buckets(&self) -> usize {
        self.dict.buckets()
    }

    /// Whether the table may grow and shrink by itself.
    pub fn set_resizing(&mut self, resizing: Resizing) {
        self.dict.set_resizing(resizing);
    }

    /// Registrations in the wheel.
    pub fn registrations(&self) -> usize {
        self.wheel.len()
    }

    /// Memory of the table and the wheel, in bytes.
    pub fn overhead_bytes(&self) -> usize {
        self.dict.heap_bytes() + self.wheel.heap_bytes()
    }

    /// Bytes of the table alone.
    pub fn table_bytes(&self) -> usize {
        self.dict.heap_bytes()
    }

    /// Bytes of the wheel alone.
    pub fn wheel_bytes(&self) -> usize {
        self.wheel.heap_bytes()
    }

    /// Memory of everything in here, in bytes, free cells not counted.
    pub fn used_bytes(&self) -> usize {
        self.overhead_bytes() + self.store.slab.live_bytes() + self.store.value_bytes
    }

    /// Bytes of slab cells that are free.
    pub fn free_bytes(&self) -> usize {
        self.store.slab.held_bytes() - self.store.slab.live_bytes()
    }

    /// What was removed and waits to be freed.
    pub fn take_garbage(&mut self) -> Option<Garbage> {
        self.garbage.pop()
    }

    /// The hash of a key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        siphash13(&self.store.hash_key, key)
    }

    /// Fetches the bucket of a key that will be looked up soon.
    #[inline]
    pub fn prefetch_bucket(&self, hash: KeyHash) {
        self.dict.prefetch_bucket(hash);
    }

    /// The first entry that may have this hash.
    #[inline]
    fn candidate(&self, hash: KeyHash) -> Option<Handle> {
        self.dict.candidate(hash)
    }

    /// Fetches the entry of a key that will be looked up soon; its bucket should be there already.
    #[inline(always)]
    pub fn prefetch_entry(&self, hash: KeyHash) {
        if let Some(handle) = self.dict.candidate(hash) {
            self.store.slab.prefetch(handle);
        }
    }

    /// The entry of a key.
    #[inline]
    pub fn find(&self, key: &[u8], hash: KeyHash) -> Option<Handle> {
        self.dict.find(hash, |handle| self.store.key(handle) == key)
    }

    /// The entry of a key, with its deadline.
    #[inline]
    pub fn find_with_deadline(&self, key: &[u8], hash: KeyHash) -> Option<(Handle, Option<u64>)> {
        self.look_up(key, hash).map(|found| (found.handle, found.deadline))
    }

    /// The entry of a key, with its deadline and its bits of the last access.
    #[inline(always)]
    pub fn look_up(&self, key: &[u8], hash: KeyHash) -> Option<Found> {
        let found = match self.dict.first(hash) {
            First::Nothing => return None,
            First::Candidate(handle) => self.found_at(handle, key),
            First::Elsewhere => None,
        };
        // Nearly always the first candidate is the one.
        found.or_else(|| self.search(key, hash))
    }

    /// What is known of an entry, if it is that of a key.
    #[inline(always)]
    fn found_at(&self, handle: Handle, key: &[u8]) -> Option<Found> {
        let entry = self.store.entry(handle);
        let is_it = entry.is_key(key, |at| &self.store.far_keys[at as usize]);
        is_it.then(|| Found { handle, deadline: entry.deadline(), access: entry.access() })
    }

    /// As [`Db::look_up`], among all entries that may have this hash.
    #[inline(never)]
    fn search(&self, key: &[u8], hash: KeyHash) -> Option<Found> {
        let handle = self.find(key, hash)?;
        Some(Found { handle, deadline: self.deadline(handle), access: self.access(handle) })
    }

    /// Notes an access of an entry.
    #[inline(always)]
    pub fn touch(&mut self, handle: Handle, clock: &AccessClock, chance: impl FnOnce() -> u64) {
        let cell = self.store.slab.get_mut(handle);
        let access = clock.touched(Entry(cell).access(), chance);
        entry::set_access(cell, access);
    }

    /// The key of an entry.
    pub fn key(&self, handle: Handle) -> &[u8] {
        self.store.key(handle)
    }

    /// The value of an entry.
    #[inline(always)]
    pub fn value(&self, handle: Handle) -> ValueRef<'_> {
        let entry = self.entry(handle);
        match entry.kind() {
            Kind::Inline => ValueRef::Inline(entry.inline(), entry.is_raw()),
            Kind::Int => ValueRef::Int(entry.int()),
            Kind::Far => self.store.values[entry.far() as usize].view(),
            kind => ValueRef::from_packed(kind, entry.inline()),
        }
    }

    /// When the key of an entry dies, as Unix time in milliseconds.
    #[inline]
    pub fn deadline(&self, handle: Handle) -> Option<u64> {
        self.entry(handle).deadline()
    }

    /// The LRU or LFU bits of an entry.
    #[inline]
    pub fn access(&self, handle: Handle) -> u32 {
        self.entry(handle).access()
    }

    /// Writes the LRU or LFU bits of an entry.
    #[inline]
    pub fn set_access(&mut self, handle: Handle, access: u32) {
        entry::set_access(self.store.slab.get_mut(handle), access);
    }

    /// Memory of an entry and its value, in bytes, its share of the table included.
    pub fn entry_bytes(&self, handle: Handle) -> usize {
        let entry = self.entry(handle);
        let key = entry.key().map_or_else(|at| self.store.far_keys[at as usize].len(), |_| 0);
        let value = match entry.kind() {
            Kind::Far => size_of::<Value>() + self.store.values[entry.far() as usize].heap_bytes(),
            _ => 0,
        };
        let share = if self.is_empty() { 0 } else { self.dict.heap_bytes() / self.len() };
        let with_ttl = if entry.deadline().is_some() { 8 } else { 0 };
        self.store.slab.cell_bytes(handle) + key + value + share + with_ttl
    }

    /// Writes a string to a key: `found` is its entry, if it has one. A new entry, and an old one that gets a new
    /// value, has the bits `access`. Returns where the entry is now.
    pub fn set(
        &mut self,
        key: &[u8],
        hash: KeyHash,
        found: Option<Handle>,
        value: NewValue<'_>,
        deadline: Deadline,
        access: u32,
    ) -> Handle {
        if let (Some(old), NewValue::Copied(bytes)) = (found, &value)
            && self.overwrite(old, bytes, deadline, access)
        {
            return old;
        }
        let Some(old) = found else {
            let deadline = if let Deadline::At(ms) = deadline { Some(ms) } else { None };
            let meta = Meta { access, epoch: self.store.epoch, deadline, inner_deadlines: false };
            return self.insert(key, hash, value, meta);
        };
        self.writes += 1;
        let before = self.entry(old).meta();
        self.count_out(old);
        self.before_loss(old);
        self.drop_value(old);
        let deadline = match deadline {
            Deadline::Keep => before.deadline,
            Deadline::Clear => None,
            Deadline::At(ms) => Some(ms),
        };
        let meta = Meta { access, epoch: self.store.epoch, deadline, inner_deadlines: false };
        let far = self.entry(old).key().err();
        let key_part = far.map_or(KeyPart::Near(key), KeyPart::Far);
        let handle = self.rewrite(hash, old, key_part, value, &meta);
        self.account_deadline(hash, before.deadline, deadline);
        handle
    }

    /// Writes a short string over another one of the same length, whose key has no deadline and gets none: most writes are
    /// such. False for all others.
    #[inline]
    fn overwrite(&mut self, handle: Handle, bytes: &[u8], deadline: Deadline, access: u32) -> bool {
        let entry = self.entry(handle);
        let fits = entry.kind() == Kind::Inline
            && entry.inline().len() == bytes.len()
            && entry.deadline().is_none()
            && !matches!(deadline, Deadline::At(_));
        if fits {
            self.before_change(handle);
            self.writes += 1;
            let epoch = self.store.epoch;
            entry::overwrite(self.store.slab.get_mut(handle), bytes, access, epoch);
        }
        fits
    }

    /// Replaces the integer of an entry that holds one, in place.
    pub fn set_int(&mut self, handle: Handle, value: i64) {
        self.before_change(handle);
        self.writes += 1;
        let old = self.value(handle).size();
        entry::set_int(self.store.slab.get_mut(handle), value);
        let new = self.value(handle).size();
        self.resize(Type::String, old, new);
    }

    /// Gives a key a deadline or takes it away. Returns where the entry is now.
    pub fn set_deadline(&mut self, hash: KeyHash, handle: Handle, deadline: Option<u64>) -> Handle {
        let before = self.entry(handle).deadline();
        if before == deadline {
            return handle;
        }
        self.before_change(handle);
        self.writes += 1;
        let handle = match (before, deadline) {
            (Some(_), Some(ms)) => {
                entry::set_deadline(self.store.slab.get_mut(handle), ms);
                handle
            }
            _ => {
                let copy = self.store.slab.get(handle).to_vec();
                let entry = Entry(&copy);
                let meta = Meta { deadline, ..entry.meta() };
                let key = entry.key().map_or_else(KeyPart::Far, KeyPart::Near);
                let value = match entry.kind() {
                    Kind::Inline => ValuePart::Inline(entry.inline(), entry.is_raw()),
                    Kind::Int => ValuePart::Int(entry.int()),
                    Kind::Far => ValuePart::Far(entry.far()),
                    kind => ValuePart::Packed(kind, entry.inline()),
                };
                self.place(hash, handle, key, value, &meta)
            }
        };
        self.account_deadline(hash, before, deadline);
        handle
    }

    /// Removes a key. True when it was there.
    pub fn remove(&mut self, key: &[u8], hash: KeyHash) -> bool {
        let store = &self.store;
        let Some(handle) = self.dict.remove(hash, |handle| store.key(handle) == key) else { return false };
        self.release(hash, handle);
        true
    }

    /// Does a little of the pending growth or shrinking of the table.
    /// True when more is to do.
    pub fn step_table(&mut self, buckets: usize) -> bool {
        self.dict.step(buckets, &self.store)
    }

    /// Calls `each` with entries from `cursor` on and returns the next cursor, 0 at the end.
    pub fn scan(&self, cursor: u64, each: impl FnMut(Handle)) -> u64 {
        self.dict.scan(cursor, each)
    }

    /// Any entry, all equally likely.
    pub fn random(&self, rng: &mut Rng) -> Option<Handle> {
        self.dict.random(rng)
    }

    /// Some entries, cheaply; not quite fair.
    pub fn sample(&self, rng: &mut Rng, n: usize, into: &mut Vec<Handle>) {
        self.dict.sample(rng, n, into);
    }

    /// Some entries with a deadline, cheaply; not quite fair.
    pub fn sample_with_ttl(&self, rng: &mut Rng, n: usize, into: &mut Vec<Handle>) {
        // Where every few keys have a deadline the table finds them soonest; the wheel knows only those.
        if self.with_ttl * 8 >= self.len() {
            for _ in 0..8 {
                let start = into.len();
                self.dict.sample(rng, n, into);
                let with_ttl: Vec<Handle> =
                    into.drain(start..).filter(|&handle| self.deadline(handle).is_some()).collect();
                into.extend(with_ttl);
                if into.len() >= n {
                    return;
                }
            }
        }
        let mut hashes = Vec::new();
        self.wheel.sample(rng, 2 * n, &mut hashes);
        for hash in hashes {
            if into.len() >= n {
                return;
            }
            let is_it = |h| self.entry(h).deadline().is_some() && self.store.has_ttl_and_hash(h, hash);
            into.extend(self.dict.find(hash, is_it));
        }
    }

    fn insert(&mut self, key: &[u8], hash: KeyHash, mut value: NewValue<'_>, mut meta: Meta) -> Handle {
        self.writes += 1;
        let key_part = if key.len() <= INLINE_KEY_BYTES_MAX {
            KeyPart::Near(key)
        } else {
            self.store.value_bytes += key.len();
            KeyPart::Far(self.store.far_keys.insert(key.into()) as u32)
        };
        let inner_deadline = self.note_inner_deadline(&value);
        meta.inner_deadlines = inner_deadline.is_some();
        let part = self.value_part(&mut value);
        let handle = self.store.slab.alloc(entry::needed_bytes(key_part, part, &meta));
        entry::write(self.store.slab.get_mut(handle), key_part, part, &meta);
        self.count_in(handle);
        self.dict.insert(hash, handle, &self.store);
        self.account_deadline(hash, None, meta.deadline);
        if let Some(deadline) = inner_deadline {
            self.wheel.register(first_expired_ms(deadline), hash);
        }
        handle
    }

    /// Writes a new value over an entry whose old value was dropped.
    fn rewrite(
        &mut self,
        hash: KeyHash,
        old: Handle,
        key: KeyPart<'_>,
        mut value: NewValue<'_>,
        meta: &Meta,
    ) -> Handle {
        let inner_deadline = self.note_inner_deadline(&value);
        if let Some(deadline) = inner_deadline {
            self.wheel.register(first_expired_ms(deadline), hash);
        }
        let meta = Meta { inner_deadlines: inner_deadline.is_some(), ..*meta };
        let part = self.value_part(&mut value);
        let handle = self.place(hash, old, key, part, &meta);
        self.count_in(handle);
        handle
    }

    /// Writes an entry where the old one lies, or where there is room for it.
    fn place(
        &mut self,
        hash: KeyHash,
        old: Handle,
        key: KeyPart<'_>,
        value: ValuePart<'_>,
        meta: &Meta,
    ) -> Handle {
        let needed = entry::needed_bytes(key, value, meta);
        let slab = &mut self.store.slab;
        if needed.next_multiple_of(8) == slab.cell_bytes(old) {
            entry::write(slab.get_mut(old), key, value, meta);
            return old;
        }
        let new = slab.alloc(needed);
        entry::write(slab.get_mut(new), key, value, meta);
        self.dict.replace(hash, old, new);
        slab.free(old);
        new
    }

    /// The form in which a value is stored; a long one moves to the table of values.
    fn value_part<'v>(&mut self, value: &'v mut NewValue<'_>) -> ValuePart<'v> {
        if let NewValue::Whole(whole) = value {
            let is_small = whole.packed().is_some_and(|(_, bytes)| bytes.len() <= INLINE_VALUE_BYTES_MAX);
            if !is_small {
                let whole = std::mem::replace(whole, Value::TAKEN);
                return self.far_part(whole);
            }
        }
        let (bytes, raw): (&'v [u8], bool) = match &*value {
            NewValue::Int(value) => return ValuePart::Int(*value),
            NewValue::Copied(bytes) => (bytes, false),
            NewValue::Raw(bytes) => (bytes, true),
            NewValue::Shared(bytes) => (bytes, false),
            NewValue::Whole(whole) => {
                let (kind, bytes) = whole.packed().expect("anything else was moved away");
                return ValuePart::Packed(kind, bytes);
            }
        };
        if bytes.len() <= INLINE_VALUE_BYTES_MAX {
            return ValuePart::Inline(bytes, raw || bytes.len() > EMBSTR_BYTES_MAX);
        }
        let owned = match &*value {
            NewValue::Shared(bytes) | NewValue::Raw(bytes) => bytes.clone(),
            _ => Bytes::copy_from_slice(bytes),
        };
        self.far_part(Value::String(owned))
    }

    /// Moves a value to the table of values.
    fn far_part(&mut self, value: Value) -> ValuePart<'static> {
        self.store.value_bytes += value.heap_bytes();
        let followed = value.walk_id();
        let at = self.store.values.insert(value) as u32;
        if let Some(id) = followed {
            self.follow(id, at);
        }
        ValuePart::Far(at)
    }

    /// Frees what an entry holds beside its cell.
    fn drop_value(&mut self, handle: Handle) {
        if self.entry(handle).has_inner_deadlines() {
            let of = self.value(handle).type_of();
            self.count_inner_with_ttl(of, -1);
        }
        let entry = self.entry(handle);
        if entry.kind() != Kind::Far {
            return;
        }
        let value = self.store.values.remove(entry.far() as usize);
        self.store.value_bytes -= value.heap_bytes();
        self.throw_away(value);
    }

    /// Frees a value that is in nobody's account any more, a large one later.
    fn throw_away(&mut self, value: Value) {
        if let Some(id) = value.walk_id() {
            self.rescue(id, value);
        } else if value.heap_bytes() >= FREE_AT_ONCE_BYTES || value.nodes() > FREE_AT_ONCE_NODES {
            self.garbage.push(Garbage::Value(value));
        }
    }

    /// Frees an entry that left the dict.
    fn release(&mut self, hash: KeyHash, handle: Handle) {
        self.count_out(handle);
        self.before_loss(handle);
        self.drop_value(handle);
        self.discard(hash, handle);
    }

    /// Frees the cell of an entry that left the dict and whose value is gone.
    fn discard(&mut self, hash: KeyHash, handle: Handle) {
        self.writes += 1;
        let deadline = self.entry(handle).deadline();
        self.account_deadline(hash, deadline, None);
        if let Err(at) = self.entry(handle).key() {
            let key = self.store.far_keys.remove(at as usize);
            self.store.value_bytes -= key.len();
        }
        self.store.slab.free(handle);
        self.dict.step(1, &self.store);
    }

    /// Counts the value of an entry among the sizes.
    #[inline]
    fn count_in(&mut self, handle: Handle) {
        let value = self.value(handle);
        let (of, size) = (value.type_of(), value.size());
        self.sizes[of as usize].add(size);
        if self.weights.is_some() {
            self.count_weight(handle, Sizes::add);
        }
    }

    /// Counts the value of an entry among the sizes no more.
    #[inline]
    fn count_out(&mut self, handle: Handle) {
        let value = self.value(handle);
        let (of, size) = (value.type_of(), value.size());
        self.sizes[of as usize].remove(size);
        if self.weights.is_some() {
            self.count_weight(handle, Sizes::remove);
        }
    }

    /// The value of a key got another size.
    #[inline]
    fn resize(&mut self, of: Type, old: usize, new: usize) {
        if old != new {
            self.sizes[of as usize].remove(old);
            self.sizes[of as usize].add(new);
        }
    }

    /// Keeps the counts and the wheel true to a deadline that changed.
    #[inline]
    fn account_deadline(&mut self, hash: KeyHash, before: Option<u64>, after: Option<u64>) {
        if before == after {
            return;
        }
        if let Some(ms) = before {
            self.with_ttl -= 1;
            self.deadline_sum -= u128::from(ms);
        }
        if let Some(ms) = after {
            self.with_ttl += 1;
            self.deadline_sum += u128::from(ms);
            // A later deadline is found when the earlier registration fires.
            if before.is_none_or(|old| ms < old) {
                self.wheel.register(first_expired_ms(ms), hash);
            }
        }
    }

    /// The door of changes: the value of this entry, its deadline or both are about to be other ones.
    #[inline]
    fn before_change(&mut self, handle: Handle) {
        if self.walk.is_some() {
            self.keep(handle, false);
        }
    }

    /// The door of losses: the value of this entry, which nobody counts any more, is about to be dropped.
    #[inline]
    fn before_loss(&mut self, handle: Handle) {
        if self.walk.is_some() {
            self.keep(handle, true);
        }
    }

    #[inline]
    fn entry(&self, handle: Handle) -> Entry<'_> {
        self.store.entry(handle)
    }
}

impl Store {
    #[inline]
    fn entry(&self, handle: Handle) -> Entry<'_> {
        Entry(self.slab.get(handle))
    }

    #[inline]
    fn key(&self, handle: Handle) -> &[u8] {
        match self.entry(handle).key() {
            Ok(key) => key,
            Err(at) => &self.far_keys[at as usize],
        }
    }

    /// Whether this is an entry with deadlines whose key has this hash.
    fn has_ttl_and_hash(&self, handle: Handle, hash: u64) -> bool {
        let entry = self.entry(handle);
        (entry.deadline().is_some() || entry.has_inner_deadlines())
            && siphash13(&self.hash_key, self.key(handle)) == hash
    }

    /// The nearest deadline of what is inside a value, as Unix time in milliseconds.
    fn inner_deadline(&self, handle: Handle) -> Option<u64> {
        let entry = self.entry(handle);
        if !entry.has_inner_deadlines() {
            return None;
        }
        match entry.kind() {
            Kind::Far => self.values[entry.far() as usize].next_deadline(),
            kind => HashRef::from_packed(kind, entry.inline()).next_deadline(),
        }
    }

    /// The nearest deadline of a key and what is inside.
    fn nearest_deadline(&self, handle: Handle) -> Option<u64> {
        [self.entry(handle).deadline(), self.inner_deadline(handle)].into_iter().flatten().min()
    }
}

impl Entries for Store {
    fn hash(&self, handle: Handle) -> u64 {
        siphash13(&self.hash_key, self.key(handle))
    }

    fn prefetch(&self, handle: Handle) {
        self.slab.prefetch(handle);
    }
}
