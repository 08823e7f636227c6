//! The entries of a stream: nodes in the order of their ids, and what is remembered of entries that are gone.

use std::sync::Arc;

use super::id::{Partial, StreamId};
use super::node::{self, Entry, NewFields, NodeView};
use crate::keyspace::tuning::Tuning;
use crate::structures::listpack::{Corrupt, Listpack};
use crate::structures::ordered::Ordered;

/// A node never becomes larger.
const NODE_BYTES_MAX: usize = 1 << 30;
/// What a new node is given room for, at first.
const NODE_BYTES_FIRST: usize = 128;

/// With so many nodes a stream is long.
const EAGER_NODES: usize = 8;

/// The entries of a stream.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// By the id of their first entry, deleted or not. None is without entries.
    nodes: Ordered<Arc<Listpack>>,
    /// Bytes of all nodes.
    node_bytes: usize,
    len: usize,
    /// The greatest id that was ever given.
    pub last_id: StreamId,
    /// The id of the first entry; zero when there is none.
    pub first_id: StreamId,
    /// The greatest id that was deleted by name.
    pub max_deleted_id: StreamId,
    /// Entries that were ever added.
    pub entries_added: u64,
}

/// Which entries XTRIM and XADD remove from the front.
#[derive(Clone, Copy, Debug)]
pub struct Trim {
    /// What is to stay.
    pub keep: Keep,
    /// Remove only whole nodes.
    pub approximate: bool,
    /// Entries to look at, at most; zero is any number.
    pub limit: usize,
}

/// What is to stay of a stream.
#[derive(Clone, Copy, Debug)]
pub enum Keep {
    /// So many entries.
    Len(usize),
    /// The entries from this id on.
    From(StreamId),
}

impl Log {
    /// Entries.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Are there no entries?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Nodes.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Memory behind the entries.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.node_bytes + self.nodes.len() * (16 + size_of::<Listpack>()) + self.nodes.heap_bytes()
    }

    /// The id and the bytes of each node from an id on, as a dump file has them.
    pub fn node_list(&self, from: StreamId) -> impl Iterator<Item = (StreamId, &[u8])> {
        self.nodes.range(from.number()..).map(|(id, list)| (StreamId::from_number(id), list.bytes()))
    }

    /// Adds a node from outside; `bytes` are a valid listpack. All its ids must follow those of the nodes before;
    /// [`Log::last_id`] becomes the last of them.
    ///
    /// # Errors
    /// [`Corrupt`] if it is no node, or not in order.
    pub fn push_node(&mut self, id: StreamId, bytes: Vec<u8>) -> Result<(), Corrupt> {
        let list = Listpack::from_bytes(bytes);
        let (live, last_id) = node::validate(list.as_packed(), id).ok_or(Corrupt)?;
        if !self.nodes.is_empty() && id <= self.last_id {
            return Err(Corrupt);
        }
        self.len += live;
        self.node_bytes += list.heap_bytes();
        self.nodes.insert(id.number(), Arc::new(list));
        self.last_id = last_id;
        Ok(())
    }

    /// The id of a new entry; none if it is not greater than all before.
    pub fn new_id(&self, wanted: Option<Partial>, now_ms: u64) -> Option<StreamId> {
        let id = match wanted {
            None if now_ms > self.last_id.ms => StreamId::new(now_ms, 0),
            None => self.last_id.next()?,
            Some(Partial { ms, seq: Some(seq) }) => StreamId::new(ms, seq),
            Some(Partial { ms, seq: None }) if ms == self.last_id.ms => {
                StreamId::new(ms, self.last_id.seq.checked_add(1)?)
            }
            Some(Partial { ms, seq: None }) => StreamId::new(ms, 0),
        };
        if id > self.last_id { Some(id) } else { None }
    }

    /// Adds an entry. Its id comes from [`Log::new_id`].
    pub(super) fn append<'f>(&mut self, id: StreamId, fields: impl NewFields<'f>, tuning: &Tuning) {
        let added: usize = fields.clone().map(|(name, value)| name.len() + value.len()).sum();
        let bytes_max = match tuning.stream_node_max_bytes {
            0 => NODE_BYTES_MAX,
            bytes => (bytes as usize).min(NODE_BYTES_MAX),
        };
        let entries_max = tuning.stream_node_max_entries as usize;
        let is_full = match self.nodes.last() {
            None => true,
            Some((_, list)) => {
                list.bytes_len() + added >= bytes_max
                    || (entries_max > 0 && {
                        let counts = node::counts_of(list.as_packed());
                        counts.live + counts.deleted >= entries_max
                    })
            }
        };
        if is_full {
            self.close_last();
            // In a long stream the nodes become about as long as those before.
            let like_last = match self.nodes.last() {
                Some((_, list)) if self.nodes.len() >= EAGER_NODES => list.bytes_len() + added,
                _ => NODE_BYTES_FIRST,
            };
            let capacity = like_last.min(bytes_max);
            let mut list = node::new_node(fields.clone(), capacity);
            node::append(&mut list, id, id, fields);
            self.node_bytes += list.heap_bytes();
            self.nodes.insert(id.number(), Arc::new(list));
        } else if let Some((node, list)) = self.nodes.last() {
            let before = list.heap_bytes();
            let node = StreamId::from_number(node);
            if let Some(list) = self.nodes.last_mut() {
                let list = Arc::make_mut(list);
                // Heads and backlens of a short text have two bytes; flags and id some more.
                let overhead = 32 + 4 * fields.clone().count();
                let target = (list.bytes_len() * 2).min(bytes_max);
                list.reserve_towards(added + overhead, target, false);
                node::append(list, node, id, fields);
                self.node_bytes = self.node_bytes - before + list.heap_bytes();
            }
        }
        self.len += 1;
        self.entries_added = self.entries_added.saturating_add(1);
        self.last_id = id;
        if self.len == 1 {
            self.first_id = id;
        }
    }

    /// Gives back the room of the last node, before another follows.
    fn close_last(&mut self) {
        let Some((_, list)) = self.nodes.last() else { return };
        if list.heap_bytes() - list.bytes_len() > list.bytes_len() / 32 {
            let before = list.heap_bytes();
            if let Some(list) = self.nodes.last_mut() {
                let list = Arc::make_mut(list);
                list.shrink_to_fit();
                self.node_bytes = self.node_bytes - before + list.heap_bytes();
            }
        }
    }

    /// Shows the entries from one id to another, or back, until `f` answers false.
    #[inline]
    pub fn walk(&self, from: StreamId, to: StreamId, forward: bool, mut f: impl FnMut(Entry<'_>) -> bool) {
        if from > to {
            return;
        }
        // The node that may hold `from` begins before it.
        let first = self.nodes.floor(from.number()).map_or(0, |(node, _)| node);
        let mut nodes = self.nodes.range(first..=to.number());
        while let Some((node, list)) = if forward { nodes.next() } else { nodes.next_back() } {
            let view = NodeView::new(list.as_packed(), StreamId::from_number(node));
            let mut show = |entry: Entry<'_>, has_passed: bool| {
                if has_passed {
                    return false;
                }
                let is_shown = !entry.is_deleted && entry.id >= from && entry.id <= to;
                !is_shown || f(entry)
            };
            let go_on = if forward {
                view.forward().all(|entry| {
                    let has_passed = entry.id > to;
                    show(entry, has_passed)
                })
            } else {
                view.backward().all(|entry| {
                    let has_passed = entry.id < from;
                    show(entry, has_passed)
                })
            };
            if !go_on {
                return;
            }
        }
    }

    /// How many entries there are from one id to another, or back; at most `count`.
    pub fn count(&self, from: StreamId, to: StreamId, forward: bool, count: usize) -> usize {
        let mut found = 0;
        if count > 0 {
            self.walk(from, to, forward, |_| {
                found += 1;
                found < count
            });
        }
        found
    }

    /// Shows the entry with this id.
    pub fn get<R>(&self, id: StreamId, f: impl FnOnce(Entry<'_>) -> R) -> Option<R> {
        let mut f = Some(f);
        let mut result = None;
        self.walk(id, id, true, |entry| {
            result = f.take().map(|f| f(entry));
            false
        });
        result
    }

    /// Is there an entry with this id?
    pub fn contains(&self, id: StreamId) -> bool {
        self.get(id, |_| ()).is_some()
    }

    /// The id of the first or the last entry.
    pub fn edge(&self, first: bool) -> Option<StreamId> {
        let mut found = None;
        self.walk(StreamId::ZERO, StreamId::MAX, first, |entry| {
            found = Some(entry.id);
            false
        });
        found
    }

    /// Removes an entry; false if there is none with this id.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some((node, list)) = self.nodes.floor(id.number()) else { return false };
        let view = NodeView::new(list.as_packed(), StreamId::from_number(node));
        let found = view
            .forward()
            .take_while(|entry| entry.id <= id)
            .find(|entry| entry.id == id && !entry.is_deleted);
        let Some(pos) = found.map(|entry| entry.pos) else { return false };
        self.delete_at(node, &[pos]);
        true
    }

    /// Removes the entries at these positions of a node, and the node if it has no others.
    fn delete_at(&mut self, node: u128, positions: &[usize]) {
        let Some(list) = self.nodes.get(node) else { return };
        self.len -= positions.len();
        let before = list.heap_bytes();
        if node::counts_of(list.as_packed()).live <= positions.len() {
            self.nodes.remove(node);
            self.node_bytes -= before;
        } else if let Some(list) = self.nodes.get_mut(node) {
            let list = Arc::make_mut(list);
            node::delete(list, positions);
            self.node_bytes = self.node_bytes - before + list.heap_bytes();
        }
    }

    /// Sets what follows from the removal of entries by name: the first entry, and the greatest deleted id.
    pub fn note_deleted(&mut self, ids: &[StreamId]) {
        self.max_deleted_id = ids.iter().copied().fold(self.max_deleted_id, StreamId::max);
        self.find_first();
    }

    fn find_first(&mut self) {
        self.first_id = self.edge(true).unwrap_or(StreamId::ZERO);
    }

    /// Removes entries from the front; gives how many. An entry for which `may_go` answers false stays; without it all may.
    pub fn trim(&mut self, trim: Trim, mut may_go: Option<&mut dyn FnMut(StreamId) -> bool>) -> usize {
        let mut deleted = 0;
        let mut looked_at = 0;
        let mut at = 0;
        while let Some((node, list)) = self.nodes.range(at..).next() {
            if let Keep::Len(len) = trim.keep
                && self.len <= len
            {
                break;
            }
            let view = NodeView::new(list.as_packed(), StreamId::from_number(node));
            let live = view.counts().live;
            if trim.limit > 0 && looked_at + live > trim.limit {
                break;
            }
            looked_at += live;
            let is_whole = match trim.keep {
                Keep::Len(len) => self.len - live >= len,
                Keep::From(id) => view.backward().next().is_none_or(|entry| entry.id < id),
            };
            if is_whole && may_go.is_none() {
                self.node_bytes -= list.heap_bytes();
                self.len -= live;
                deleted += live;
                self.nodes.remove(node);
                at = node;
                continue;
            }
            if !is_whole && trim.approximate {
                break;
            }
            let surplus = match trim.keep {
                Keep::Len(len) => self.len - len,
                Keep::From(_) => usize::MAX,
            };
            let mut going = Vec::new();
            for entry in view.forward().filter(|entry| !entry.is_deleted) {
                let is_kept = matches!(trim.keep, Keep::From(id) if entry.id >= id);
                if is_kept || going.len() == surplus {
                    break;
                }
                if may_go.as_mut().is_none_or(|may_go| may_go(entry.id)) {
                    going.push(entry.pos);
                }
            }
            deleted += going.len();
            if !going.is_empty() {
                self.delete_at(node, &going);
            }
            if !is_whole {
                break;
            }
            at = node + 1;
        }
        if deleted > 0 {
            self.find_first();
        }
        deleted
    }

    /// May an entry be missing that was deleted by name, from this id on?
    pub fn has_gap_from(&self, start: StreamId) -> bool {
        if self.is_empty() || self.max_deleted_id.is_zero() || self.first_id > self.max_deleted_id {
            return false;
        }
        start <= self.max_deleted_id
    }

    /// How many entries were ever added up to this id, if that can be told.
    pub fn added_up_to(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.is_empty() && id <= self.last_id {
            return Some(self.entries_added);
        }
        if !id.is_zero() && id < self.max_deleted_id {
            return None;
        }
        match id.cmp(&self.last_id) {
            std::cmp::Ordering::Equal => return Some(self.entries_added),
            std::cmp::Ordering::Greater => return None,
            std::cmp::Ordering::Less => {}
        }
        if self.max_deleted_id.is_zero() || self.max_deleted_id < self.first_id {
            let before_first = self.entries_added.saturating_sub(self.len as u64);
            if id < self.first_id {
                return Some(before_first);
            }
            if id == self.first_id {
                return Some(before_first.saturating_add(1));
            }
        }
        None
    }
}
