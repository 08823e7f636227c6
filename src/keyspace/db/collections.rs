//! Values that leave their entry: to become another key's, to be copied, or to be changed and put back.
//!
//! A packed collection inside an entry is copied into a buffer that is used again and again, changed there and written
//! back, which costs two short copies; a large value is moved out of the table of values and back.

use super::{Db, KeyHash};
use crate::base::limit::INLINE_VALUE_BYTES_MAX;
use crate::keyspace::entry::{self, KeyPart, Kind, Meta, ValuePart};
use crate::keyspace::sizes::Sizes;
use crate::keyspace::types::{HashRef, SetRef, ZsetRef};
use crate::keyspace::value::{Collection, NewValue, Taken, Type, Value, ValueRef};
use crate::structures::slab::Handle;
use bytes::Bytes;

/// A member of a collection that will be looked up soon.
#[derive(Clone, Copy, Debug)]
pub struct ForeseenMember {
    entry: Handle,
    hash: u64,
}

/// Does the same with the table of members of whatever type.
macro_rules! with_members {
    ($value:expr, |$members:ident| $body:expr) => {
        match $value {
            ValueRef::Set(SetRef::Table($members)) => Some($body),
            ValueRef::Hash(HashRef::Table(table)) => {
                let $members = table.members();
                Some($body)
            }
            ValueRef::Zset(ZsetRef::Table(table)) => {
                let $members = table.members();
                Some($body)
            }
            _ => None,
        }
    };
}

impl Db {
    /// Fetches the bucket of a member of a large collection, whose entry should be there already. Nothing depends on it:
    /// a stranger's entry with a like hash costs only time.
    pub fn prefetch_member(&self, key: KeyHash, member: &[u8]) -> Option<ForeseenMember> {
        let entry = self.candidate(key)?;
        with_members!(self.value(entry), |members| {
            let hash = members.hash(member);
            members.prefetch_bucket(hash);
            ForeseenMember { entry, hash }
        })
    }

    /// Fetches the cell of a member whose bucket was fetched.
    pub fn prefetch_member_cell(&self, foreseen: ForeseenMember) {
        let _ = with_members!(self.value(foreseen.entry), |members| members.prefetch_cell(foreseen.hash));
    }

    /// Buckets and members of the table behind a large set, hash or sorted set; none for any other value.
    pub fn member_table(&self, handle: Handle) -> Option<(usize, usize)> {
        with_members!(self.value(handle), |members| (members.buckets(), members.len()))
    }

    /// Removes a key and returns its value, deadline and access bits, so that they can become those of another key.
    pub fn detach(&mut self, key: &[u8], hash: KeyHash) -> Option<(NewValue<'static>, Option<u64>, u32)> {
        let handle = self.find(key, hash)?;
        let (deadline, access) = (self.deadline(handle), self.access(handle));
        let entry = self.entry(handle);
        let value = if entry.kind() == Kind::Far {
            self.before_change(handle);
            let at = self.entry(handle).far() as usize;
            self.count_out(handle);
            if self.entry(handle).has_inner_deadlines() {
                self.count_inner_with_ttl(self.store.values[at].view().type_of(), -1);
                entry::set_inner_deadlines(self.store.slab.get_mut(handle), false);
            }
            let value = std::mem::replace(&mut self.store.values[at], Value::TAKEN);
            self.sizes[Type::String as usize].add(0);
            self.store.value_bytes -= value.heap_bytes();
            if let Some(id) = value.walk_id() {
                self.leaves(id);
            }
            match value {
                Value::String(bytes) => NewValue::Shared(bytes),
                other => NewValue::Whole(other),
            }
        } else {
            self.copied(handle)
        };
        self.remove(key, hash);
        Some((value, deadline, access))
    }

    /// A copy of a value, for another key; the bytes of a long string and the nodes of lists and streams are shared.
    pub fn copied(&self, handle: Handle) -> NewValue<'static> {
        let entry = self.entry(handle);
        match entry.kind() {
            Kind::Inline if entry.is_raw() => NewValue::Raw(Bytes::copy_from_slice(entry.inline())),
            Kind::Inline => NewValue::Shared(Bytes::copy_from_slice(entry.inline())),
            Kind::Int => NewValue::Int(entry.int()),
            Kind::Far => match &self.store.values[entry.far() as usize] {
                Value::String(bytes) => NewValue::Shared(bytes.clone()),
                other => NewValue::Whole(other.clone()),
            },
            kind => NewValue::Whole(Value::from_packed(kind, entry.inline().to_vec())),
        }
    }

    /// Takes the bytes of a string out of its entry to change them; [`Db::set`] puts the result back. None for a value
    /// of another type.
    pub fn string_to_change(&mut self, handle: Handle) -> Option<bytes::BytesMut> {
        let entry = self.entry(handle);
        match entry.kind() {
            Kind::Inline => Some(entry.inline().into()),
            Kind::Int => {
                let mut digits = [0; 20];
                Some(crate::base::number::format_i64(entry.int(), &mut digits)[..].into())
            }
            Kind::Far => {
                let at = entry.far() as usize;
                // While the entry holds the bytes they are shared; with an empty stand-in they usually are not.
                self.before_change(handle);
                let Value::String(slot) = &mut self.store.values[at] else { return None };
                let bytes = std::mem::take(slot);
                self.store.value_bytes -= bytes.len();
                self.resize(Type::String, bytes.len(), 0);
                Some(bytes.try_into_mut().unwrap_or_else(|shared| shared[..].into()))
            }
            _ => None,
        }
    }

    /// Takes a collection out of its entry to change it; [`Db::put`] must follow. None for a value of another type.
    #[inline]
    pub fn take<T: Collection>(&mut self, handle: Handle) -> Option<Taken<T>> {
        let entry = self.entry(handle);
        let value = match entry.kind() {
            Kind::Inline | Kind::Int => return None,
            Kind::Far => {
                let at = entry.far() as usize;
                if self.store.values[at].view().type_of() != T::TYPE {
                    return None;
                }
                self.before_change(handle);
                if self.weights.is_some() {
                    self.count_weight(handle, Sizes::remove);
                }
                let value = std::mem::replace(&mut self.store.values[at], Value::TAKEN);
                self.store.value_bytes -= value.heap_bytes();
                value
            }
            kind => {
                if ValueRef::from_packed(kind, entry.inline()).type_of() != T::TYPE {
                    return None;
                }
                self.before_change(handle);
                if self.weights.is_some() {
                    self.count_weight(handle, Sizes::remove);
                }
                let mut bytes = std::mem::take(&mut self.spare);
                bytes.clear();
                bytes.extend_from_slice(self.entry(handle).inline());
                Value::from_packed(kind, bytes)
            }
        };
        let value = T::from_value(value)?;
        let (old_len, old_deadline) = (value.len(), value.next_deadline());
        Some(Taken { handle: Some(handle), old_len, old_deadline, value, replaced: None })
    }

    /// Puts a collection back that [`Db::take`] took out, or stores a new one; a new entry has the bits `access`.
    /// Returns where the entry is now; none when the collection is empty, which removes the key.
    #[inline]
    pub fn put<T: Collection>(
        &mut self,
        key: &[u8],
        hash: KeyHash,
        taken: Taken<T>,
        access: u32,
    ) -> Option<Handle> {
        let Taken { handle, value, old_len, old_deadline, replaced } = taken;
        if let Some(replaced) = replaced {
            self.throw_away(replaced.into());
        }
        let len = value.len();
        if len == 0 && !T::MAY_BE_EMPTY {
            if let Some(handle) = handle {
                self.sizes[T::TYPE as usize].remove(old_len);
                self.remove_taken(hash, handle, value.into());
            }
            return None;
        }
        let Some(old) = handle else {
            let meta = Meta { access, epoch: self.store.epoch, deadline: None, inner_deadlines: false };
            return Some(self.insert(key, hash, NewValue::Whole(value.into()), meta));
        };
        self.resize(T::TYPE, old_len, len);
        self.writes += u64::from(old_len != len);
        let deadline = value.next_deadline();
        if deadline != old_deadline {
            self.account_inner_deadline(hash, old, T::TYPE, old_deadline, deadline);
        }
        let handle = self.put_back(key, hash, old, value.into());
        if self.weights.is_some() {
            self.count_weight(handle, Sizes::add);
        }
        Some(handle)
    }

    /// Writes a value that was taken out where there is room for it.
    fn put_back(&mut self, key: &[u8], hash: KeyHash, old: Handle, value: Value) -> Handle {
        let entry = self.entry(old);
        let far = if entry.kind() == Kind::Far { Some(entry.far()) } else { None };
        let small = value.packed().filter(|(_, bytes)| bytes.len() <= INLINE_VALUE_BYTES_MAX);
        if let (Some(at), None) = (far, small) {
            self.store.value_bytes += value.heap_bytes();
            if let Some(id) = value.walk_id() {
                self.note_stash(id, value.stash_bytes());
            }
            self.store.values[at as usize] = value;
            return old;
        }
        let meta = entry.meta();
        let key = entry.key().map_or_else(KeyPart::Far, |_| KeyPart::Near(key));
        if let Some((kind, bytes)) = small {
            let handle = self.place(hash, old, key, ValuePart::Packed(kind, bytes), &meta);
            if let Some(at) = far {
                self.store.values.remove(at as usize);
            }
            self.spare = value.into_packed();
            return handle;
        }
        self.store.value_bytes += value.heap_bytes();
        let at = self.store.values.insert(value) as u32;
        self.place(hash, old, key, ValuePart::Far(at), &meta)
    }

    /// Removes the key of a value that was taken out and is not put back.
    fn remove_taken(&mut self, hash: KeyHash, handle: Handle, value: Value) {
        self.dict.remove(hash, |each| each == handle);
        if self.entry(handle).has_inner_deadlines() {
            self.count_inner_with_ttl(value.view().type_of(), -1);
        }
        let entry = self.entry(handle);
        if entry.kind() == Kind::Far {
            let at = entry.far() as usize;
            self.store.values.remove(at);
        }
        self.throw_away(value);
        self.discard(hash, handle);
    }
}
