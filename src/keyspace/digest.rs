//! Fingerprints of what databases hold, as DEBUG DIGEST shows them: what holds the same has the same, whatever server it is.

use super::db::Db;
use super::types::VectorSet;
use super::types::stream::StreamId;
use super::{Databases, Type, ValueRef};
use crate::base::number::format_few_digits;
use crate::structures::slab::Handle;
use sha1_smol::Sha1;

/// A sum of all databases, in hex; the order of the keys does not matter. All zeros when there is no key.
pub fn of_databases(dbs: &Databases) -> String {
    let mut all = Digest::default();
    for (index, db) in dbs.iter().enumerate().filter(|(_, db)| !db.is_empty()) {
        all.append(&(index as u32).to_be_bytes());
        let mut cursor = 0;
        loop {
            // Nothing changes meanwhile, so every entry is seen once.
            cursor = db.scan(cursor, |handle| {
                let mut one = Digest::default();
                one.append(db.key(handle));
                add_entry(&mut one, db, handle);
                all.add(&one);
            });
            if cursor == 0 {
                break;
            }
        }
    }
    hex(all)
}

/// The sum of one entry, in hex, but for its key; all zeros when there is none.
pub fn of_entry(db: &Db, entry: Option<Handle>) -> String {
    let mut digest = Digest::default();
    if let Some(handle) = entry {
        add_entry(&mut digest, db, handle);
    }
    hex(digest)
}

/// A SHA-1, or several in one.
type Digest = [u8; 20];

/// The sums of Redis, by which a server can be compared with one of another make.
trait Sum {
    /// Adds bytes whose place among others does not matter: twice the same is nothing.
    fn add(&mut self, bytes: &[u8]);
    /// Adds bytes behind what is there already.
    fn append(&mut self, bytes: &[u8]);
}

impl Sum for Digest {
    fn add(&mut self, bytes: &[u8]) {
        let hash = Sha1::from(bytes).digest().bytes();
        self.iter_mut().zip(hash).for_each(|(sum, byte)| *sum ^= byte);
    }

    fn append(&mut self, bytes: &[u8]) {
        self.add(bytes);
        *self = Sha1::from(&self[..]).digest().bytes();
    }
}

fn hex(digest: Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The number of a type in Redis.
fn number_of(kind: Type) -> u32 {
    match kind {
        Type::String => 0,
        Type::List => 1,
        Type::Set => 2,
        Type::Zset => 3,
        Type::Hash => 4,
        // Redis has vector sets from a module.
        Type::Vector => 5,
        Type::Stream => 6,
    }
}

/// Adds a value. Of a deadline only its existence counts, and of a stream only its entries.
fn add_value(digest: &mut Digest, value: ValueRef<'_>) {
    digest.append(&number_of(value.type_of()).to_be_bytes());
    match value {
        ValueRef::Inline(bytes, _) => digest.append(bytes),
        ValueRef::Shared(bytes) => digest.append(bytes),
        ValueRef::Int(value) => digest.append(value.to_string().as_bytes()),
        ValueRef::List(list) => list.walk(0, true, |item| {
            digest.append(&item.to_vec());
            true
        }),
        ValueRef::Set(set) => set.iter().for_each(|member| digest.add(&member.to_vec())),
        ValueRef::Hash(hash) => hash.iter().for_each(|field| {
            let mut one = Digest::default();
            one.append(&field.name.to_vec());
            one.append(&field.value.element().to_vec());
            if field.deadline.is_some() {
                one.add(b"!!hexpire!!");
            }
            digest.add(&one);
        }),
        ValueRef::Zset(zset) => zset.iter().for_each(|(member, score)| {
            let (mut one, mut text) = (Digest::default(), Vec::new());
            format_few_digits(score, &mut text);
            one.append(&member.to_vec());
            one.append(&text);
            digest.add(&one);
        }),
        ValueRef::Vector(vectors) => add_vectors(digest, vectors),
        ValueRef::Stream(stream) => {
            stream.log.walk(StreamId::ZERO, StreamId::MAX, true, |entry| {
                digest.append(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                entry.fields.for_each(|(name, value)| {
                    digest.append(&name.to_vec());
                    digest.append(&value.to_vec());
                });
                true
            });
        }
    }
}

/// Adds a vector set, as Redis's module sums it: numbers first, then each element by itself.
fn add_vectors(digest: &mut Digest, vectors: &VectorSet) {
    let (mut all, mut one) = (Digest::default(), Digest::default());
    let graph = vectors.graph();
    one.append(vectors.len().to_string().as_bytes());
    one.append(graph.encoding().dim.to_string().as_bytes());
    all.add(&one);
    let mut bytes = Vec::new();
    for node in 0..vectors.len() as u32 {
        one = Digest::default();
        bytes.clear();
        graph.encoding().to_bytes(graph.vector(node).0, &mut bytes);
        one.append(&bytes);
        one.append(vectors.name(node));
        let attributes = vectors.attributes(node);
        if !attributes.is_empty() {
            one.append(attributes);
        }
        all.add(&one);
    }
    digest.add(&all);
}

/// Adds an entry, but for its key.
fn add_entry(digest: &mut Digest, db: &Db, handle: Handle) {
    add_value(digest, db.value(handle));
    if db.deadline(handle).is_some() {
        digest.add(b"!!expire!!");
    }
}
