//! Streams: a log of entries, and the groups that read it.
//!
//! * [`Log`] has the entries, in nodes of some kilobytes.
//! * [`Group`] has what a group of consumers has read and not acknowledged.
//! * [`Idempotence`] knows which entries came from producers that name them, so that none is added twice.
//!
//! Nodes, groups and the pieces of their lists are copied on write, so a copy of a stream is a copy of handles.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::keyspace::tuning::Tuning;
use crate::keyspace::value::{Collection, Type, Value};

mod group;
mod id;
mod idempotence;
mod log;
mod node;

pub use group::{Consumer, Group, Pending};
pub use id::{ID_BYTES_MAX, Partial, StreamId};
pub use idempotence::{DURATION_S, DURATION_S_LIMIT, IDS_LIMIT, IDS_MAX, Idempotence};
pub use log::{Keep, Log, Trim};
pub use node::{Entry, Fields};

/// A log of entries with ids.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// The entries.
    pub log: Log,
    /// What producers have added under ids of their own.
    pub idempotence: Idempotence,
    groups: BTreeMap<Box<[u8]>, Arc<Group>>,
    /// Memory behind the groups.
    group_bytes: usize,
}

/// Memory of a group without consumers.
const GROUP_BYTES: usize = size_of::<Group>() + 96;

impl Stream {
    /// A stream without entries, with the bounds that the configuration gives to new ones.
    pub fn with(tuning: &Tuning) -> Stream {
        let idempotence = Idempotence::new(tuning.stream_idmp_duration_s, tuning.stream_idmp_ids_max);
        Stream { idempotence, ..Stream::default() }
    }

    /// Memory behind it, in bytes.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.log.heap_bytes() + self.group_bytes + self.idempotence.heap_bytes()
    }

    /// Entries.
    #[inline]
    pub fn len(&self) -> usize {
        self.log.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an entry. Its id comes from [`Log::new_id`].
    pub fn append<'f>(
        &mut self,
        id: StreamId,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
        tuning: &Tuning,
    ) {
        self.log.append(id, fields, tuning);
    }

    /// How many groups read it.
    pub fn groups_len(&self) -> usize {
        self.groups.len()
    }

    /// The groups with their names, in the order of these.
    pub fn groups(&self) -> impl Iterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, &**group))
    }

    /// The group that comes after a name, or the first one, with its name.
    pub fn group_after(&self, name: Option<&[u8]>) -> Option<(&[u8], &Group)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let range = (name.map_or(Unbounded, Excluded), Unbounded);
        self.groups.range::<[u8], _>(range).next().map(|(name, group)| (&**name, &**group))
    }

    /// The group with this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name).map(|group| &**group)
    }

    /// Adds a group; false if there is one with this name.
    pub fn add_group(&mut self, name: &[u8], group: Group) -> bool {
        if self.groups.contains_key(name) {
            return false;
        }
        self.group_bytes += GROUP_BYTES + name.len() + group.heap_bytes();
        self.groups.insert(name.into(), Arc::new(group));
        true
    }

    /// Removes a group; false if there was none.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        let Some(group) = self.groups.remove(name) else { return false };
        self.group_bytes -= GROUP_BYTES + name.len() + group.heap_bytes();
        true
    }

    /// Lends a group, to be changed, beside the entries; none if there is no such group.
    pub fn with_group<R>(&mut self, name: &[u8], f: impl FnOnce(&mut Group, &Log) -> R) -> Option<R> {
        let group = Arc::make_mut(self.groups.get_mut(name)?);
        self.group_bytes -= group.heap_bytes();
        let result = f(group, &self.log);
        self.group_bytes += group.heap_bytes();
        Some(result)
    }

    /// Removes an entry from what is pending in all groups; false if it was pending in none.
    pub fn forget(&mut self, id: StreamId) -> bool {
        forget(&mut self.groups, &mut self.group_bytes, id, &mut |_, _| ())
    }

    /// Has a group yet to read or to acknowledge this entry?
    pub fn is_needed(&self, id: StreamId) -> bool {
        is_needed(&self.groups, id)
    }

    /// Removes entries from the front; gives how many. What references are for is told as it happens.
    pub fn trim(&mut self, trim: Trim, references: References, tell: &mut dyn FnMut(Trimmed<'_>)) -> usize {
        let Stream { log, groups, group_bytes, .. } = self;
        if groups.is_empty() {
            return log.trim(trim, None);
        }
        match references {
            References::Keep => log.trim(trim, None),
            References::Delete => log.trim(
                trim,
                Some(&mut |id| {
                    forget(groups, group_bytes, id, &mut |group, id| tell(Trimmed::Forgotten(group, id)));
                    true
                }),
            ),
            References::Acknowledged => log.trim(
                trim,
                Some(&mut |id| {
                    let may_go = !is_needed(groups, id);
                    tell(if may_go { Trimmed::Gone(id) } else { Trimmed::Kept(id) });
                    may_go
                }),
            ),
        }
    }
}

/// What a trimming that minds references did to an entry.
#[derive(Clone, Copy, Debug)]
pub enum Trimmed<'a> {
    /// [`References::Delete`]: a group has forgotten it, and it went.
    Forgotten(&'a [u8], StreamId),
    /// [`References::Acknowledged`]: nobody needs it, and it went.
    Gone(StreamId),
    /// [`References::Acknowledged`]: it was to go, and a group needs it.
    Kept(StreamId),
}

/// What becomes of groups that still refer to an entry that is to be removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum References {
    /// They go on referring to it.
    #[default]
    Keep,
    /// They forget it.
    Delete,
    /// It stays as long as they do.
    Acknowledged,
}

fn forget(
    groups: &mut BTreeMap<Box<[u8]>, Arc<Group>>,
    group_bytes: &mut usize,
    id: StreamId,
    tell: &mut dyn FnMut(&[u8], StreamId),
) -> bool {
    let mut was_pending = false;
    for (name, group) in groups.iter_mut() {
        if group.pending_at(id).is_some() {
            let group = Arc::make_mut(group);
            *group_bytes -= group.heap_bytes();
            was_pending |= group.acknowledge(id);
            *group_bytes += group.heap_bytes();
            tell(name, id);
        }
    }
    was_pending
}

fn is_needed(groups: &BTreeMap<Box<[u8]>, Arc<Group>>, id: StreamId) -> bool {
    groups.values().any(|group| id > group.last_id || group.pending_at(id).is_some())
}

/// A stream as commands take it out of the keyspace.
impl From<Box<Stream>> for Value {
    fn from(value: Box<Stream>) -> Value {
        Value::Stream(value)
    }
}

impl Collection for Box<Stream> {
    const TYPE: Type = Type::Stream;
    const MAY_BE_EMPTY: bool = true;

    fn new() -> Box<Stream> {
        Box::default()
    }

    fn from_value(value: Value) -> Option<Box<Stream>> {
        if let Value::Stream(value) = value { Some(value) } else { None }
    }

    fn len(&self) -> usize {
        Stream::len(self)
    }

    fn next_deadline(&self) -> Option<u64> {
        self.idempotence.next_deadline()
    }
}

#[cfg(test)]
mod tests;
