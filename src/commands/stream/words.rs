//! What becomes of references, in the words of Redis 8.0.
//!
//! KEEPREF, DELREF and ACKED came with Redis 8.2, as did XDELEX and XACKDEL. A follower of Redis 8.0 is told what they did:
//! XACK for each group that has forgotten entries, XDEL for entries that went one by one.

use crate::engine::ctx::{Ctx, Key};
use crate::keyspace::types::stream::{StreamId, Trimmed};
use std::collections::BTreeMap;

/// What was done to entries because of references, or in spite of them.
#[derive(Default)]
pub(super) struct Done {
    /// Entries that groups do not have pending any more, by group.
    acknowledged: BTreeMap<Box<[u8]>, Vec<StreamId>>,
    /// Entries that went, each by itself.
    deleted: Vec<StreamId>,
    /// The first entry that was to go, and stays.
    kept: Option<StreamId>,
}

impl Done {
    /// A group does not have an entry pending any more.
    pub(super) fn acknowledged(&mut self, group: &[u8], id: StreamId) {
        self.acknowledged.entry(group.into()).or_default().push(id);
    }

    /// An entry went.
    pub(super) fn deleted(&mut self, id: StreamId) {
        self.deleted.push(id);
    }

    /// Notes what a trimming did.
    pub(super) fn trimmed(&mut self, what: Trimmed<'_>) {
        match what {
            Trimmed::Forgotten(group, id) => self.acknowledged(group, id),
            Trimmed::Gone(id) => self.deleted(id),
            Trimmed::Kept(id) => self.kept = self.kept.or(Some(id)),
        }
    }

    /// Whether entries went after one that stays, so that no trimming without the word would do the same.
    pub(super) fn has_holes(&self) -> bool {
        self.kept.is_some()
    }

    /// The entries that went one by one do not have to be told: a trimming without the word does the same.
    pub(super) fn is_trimming(&mut self) {
        self.deleted.clear();
    }

    /// Propagates it, instead of the command as it came.
    pub(super) fn propagate(&self, ctx: &mut Ctx<'_>, key: Key<'_>) {
        let words = |ids: &[StreamId]| ids.iter().map(|id| id.to_vec()).collect::<Vec<_>>();
        for (group, ids) in &self.acknowledged {
            let mut frame = vec![b"XACK".to_vec(), key.bytes.to_vec(), group.to_vec()];
            frame.extend(words(ids));
            ctx.propagate_as(&frame);
        }
        if !self.deleted.is_empty() {
            let mut frame = vec![b"XDEL".to_vec(), key.bytes.to_vec()];
            frame.extend(words(&self.deleted));
            ctx.propagate_as(&frame);
        }
    }
}
