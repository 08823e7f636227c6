//! Building a sorted set at once: first the table of members and scores, then their order, sorted.

use super::super::super::tuning::Tuning;
use super::{Zset, ZsetLayout, ZsetRef, ZsetTable, cell_score, insert_into};
use crate::base::hash::HashKey;
use crate::base::number::I64_BYTES_MAX;
use crate::structures::listpack::Listpack;
use crate::structures::members::{BATCH, Members};
use crate::structures::ranked::{Names, Ranked};
use crate::structures::slab::Handle;
use std::cmp::Ordering;

/// A sorted set that is built without looking at its order until the end.
pub struct Builder {
    members: Members<ZsetLayout>,
    longest_bytes: usize,
    bytes: usize,
}

impl Builder {
    /// One without members.
    pub fn new(key: HashKey) -> Builder {
        Builder { members: Members::new(key), longest_bytes: 0, bytes: 0 }
    }

    /// Members so far.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds a member that is not there.
    pub fn insert(&mut self, score: f64, member: &[u8]) {
        let hash = self.members.hash(member);
        self.insert_hashed(hash, score, member);
    }

    fn insert_hashed(&mut self, hash: u64, score: f64, member: &[u8]) {
        self.longest_bytes = self.longest_bytes.max(member.len());
        self.bytes += member.len();
        self.members.insert_hashed(hash, &[&score.to_le_bytes(), member]);
    }

    /// Adds up to [`BATCH`] members; where one is there, `merge` makes one score of the old and the new. Misses of memory
    /// overlap.
    pub fn merge(&mut self, batch: &[(f64, &[u8])], merge: impl Fn(f64, f64) -> f64) {
        let mut hashes = [0; BATCH];
        for (hash, (_, member)) in hashes.iter_mut().zip(batch) {
            *hash = self.members.hash(member);
            self.members.prefetch_bucket(*hash);
        }
        for hash in &hashes[..batch.len()] {
            self.members.prefetch_cell(*hash);
        }
        for (hash, (score, member)) in hashes.into_iter().zip(batch) {
            match self.members.find_hashed(hash, member) {
                Some(handle) => {
                    let merged = merge(cell_score(self.members.get(handle)), *score);
                    self.members.patch(handle, 0, &merged.to_le_bytes());
                }
                None => self.insert_hashed(hash, *score, member),
            }
        }
    }

    /// Brings the members into order.
    pub fn finish(self) -> ZsetTable {
        let members = self.members;
        let mut keys = Vec::with_capacity(members.len());
        members.for_each(|handle| keys.push((cell_score(members.get(handle)), handle)));
        keys.sort_unstable_by(|(a, x): &(f64, Handle), (b, y)| {
            a.partial_cmp(b)
                .unwrap_or(Ordering::Equal)
                .then_with(|| members.member(*x).cmp(members.member(*y)))
        });
        ZsetTable { order: Ranked::from_sorted(&keys), members }
    }

    /// The sorted set, as a listpack if it fits into one.
    pub fn into_zset(self, tuning: &Tuning) -> Zset {
        let is_small = self.members.len() as u64 <= tuning.zset_max_listpack_entries
            && self.longest_bytes as u64 <= tuning.zset_max_listpack_value_bytes
            && Listpack::new().safe_to_add(self.bytes);
        let table = self.finish();
        if !is_small {
            return Zset::Table(Box::new(table));
        }
        let mut pack = Listpack::new();
        let mut buf = [0; I64_BYTES_MAX];
        for (member, score) in ZsetRef::Table(&table).iter() {
            insert_into(&mut pack, score, member.bytes(&mut buf));
        }
        Zset::Packed(pack)
    }
}
