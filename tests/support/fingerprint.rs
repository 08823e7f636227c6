//! A fingerprint of what a server holds, for the comparison of two of ours: DEBUG DIGEST knows neither when a key dies nor
//! the groups of a stream.

use waterwheel::base::hash::{HashKey, siphash13};
use waterwheel::engine::Engine;
use waterwheel::keyspace::types::Stream;
use waterwheel::keyspace::types::stream::StreamId;
use waterwheel::keyspace::{Db, ValueRef};
use waterwheel::structures::slab::Handle;

/// A hash of 160 bits that does not depend on the process.
type Digest = [u64; 3];

fn digest_bytes(bytes: &[u8]) -> Digest {
    std::array::from_fn(|i| siphash13(&HashKey { k0: i as u64, k1: 0x5761_7465_7277_6865 }, bytes))
}

fn hex(digest: Digest) -> String {
    let text: String = digest.iter().map(|word| format!("{word:016x}")).collect();
    text[..40].to_owned()
}

/// Gathers what belongs to one key: a text, and a sum over elements whose order does not matter.
#[derive(Default)]
struct Gather {
    text: Vec<u8>,
    sum: Digest,
}

impl Gather {
    /// A part at its place.
    fn part(&mut self, part: &[u8]) {
        self.text.extend_from_slice(&(part.len() as u64).to_le_bytes());
        self.text.extend_from_slice(part);
    }

    /// An element at any place.
    fn element(&mut self, parts: &[&[u8]]) {
        let mut one = Gather::default();
        parts.iter().for_each(|part| one.part(part));
        self.sum
            .iter_mut()
            .zip(digest_bytes(&one.text))
            .for_each(|(sum, word)| *sum = sum.wrapping_add(word));
    }

    fn value(&mut self, value: ValueRef<'_>) {
        self.part(value.type_of().name().as_bytes());
        match value {
            ValueRef::Inline(bytes, _) => self.part(bytes),
            ValueRef::Shared(bytes) => self.part(bytes),
            ValueRef::Int(value) => self.part(value.to_string().as_bytes()),
            ValueRef::List(list) => list.walk(0, true, |item| {
                self.part(&item.to_vec());
                true
            }),
            ValueRef::Set(set) => set.iter().for_each(|member| self.element(&[&member.to_vec()])),
            ValueRef::Hash(hash) => hash.iter().for_each(|field| {
                let deadline = field.deadline.unwrap_or(0).to_le_bytes();
                self.element(&[&field.name.to_vec(), &field.value.element().to_vec(), &deadline]);
            }),
            ValueRef::Zset(zset) => zset.iter().for_each(|(member, score)| {
                self.element(&[&member.to_vec(), &score.to_le_bytes()]);
            }),
            ValueRef::Stream(stream) => self.stream(stream),
            ValueRef::Vector(vectors) => (0..vectors.len() as u32).for_each(|node| {
                let vector = format!("{:?}", vectors.graph().encoded(node));
                self.element(&[vectors.name(node), vectors.attributes(node), vector.as_bytes()]);
            }),
        }
    }

    /// Entries, what is remembered of others, and who was given which. How they lie in nodes does not matter, nor how often
    /// they were delivered: reading again what one has is not propagated.
    fn stream(&mut self, stream: &Stream) {
        let log = &stream.log;
        log.walk(StreamId::ZERO, StreamId::MAX, true, |entry| {
            self.part(&entry.id.to_vec());
            entry.fields.for_each(|(name, value)| {
                self.part(&name.to_vec());
                self.part(&value.to_vec());
            });
            true
        });
        for id in [log.last_id, log.max_deleted_id] {
            self.part(&id.to_vec());
        }
        self.part(&log.entries_added.to_le_bytes());
        for (name, group) in stream.groups() {
            self.part(name);
            self.part(&group.last_id.to_vec());
            for (id, pending) in group.pending(StreamId::ZERO, StreamId::MAX) {
                let owner = group.consumer(pending.consumer);
                self.part(&id.to_vec());
                self.part(&owner.name);
            }
        }
    }

    fn finish(mut self) -> Digest {
        self.sum.into_iter().for_each(|word| self.text.extend_from_slice(&word.to_le_bytes()));
        digest_bytes(&self.text)
    }
}

fn digest_of(index: u64, db: &Db, handle: Handle) -> Digest {
    let mut gather = Gather::default();
    gather.part(&index.to_le_bytes());
    gather.part(db.key(handle));
    gather.value(db.value(handle));
    if let Some(deadline) = db.deadline(handle) {
        gather.part(&deadline.to_le_bytes());
    }
    gather.finish()
}

/// A hash of all that the databases hold, in hex; the order of the keys does not matter. All zeros when there is no key.
pub fn fingerprint(engine: &Engine) -> String {
    let mut all: Digest = [0; 3];
    for (index, db) in engine.dbs.iter().enumerate() {
        let mut cursor = 0;
        loop {
            // Nothing changes meanwhile, so every entry is seen once.
            cursor = db.scan(cursor, |handle| {
                let one = digest_of(index as u64, db, handle);
                all.iter_mut().zip(one).for_each(|(a, b)| *a ^= b);
            });
            if cursor == 0 {
                break;
            }
        }
    }
    hex(all)
}
