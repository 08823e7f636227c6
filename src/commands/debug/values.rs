//! DEBUG on values: fingerprints of what the databases hold, and a trip through the dump format.

use crate::base::hash::{HashKey, siphash13};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::{Call, Engine};
use crate::keyspace::db::is_past;
use crate::keyspace::types::Stream;
use crate::keyspace::types::stream::StreamId;
use crate::keyspace::{Db, Deadline, ValueRef};
use crate::persist::rdb::{self, Options};
use crate::structures::slab::Handle;

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

fn digest_of(db: u64, db_entries: &Db, handle: Handle, with_key: bool) -> Digest {
    let mut gather = Gather::default();
    if with_key {
        gather.part(&db.to_le_bytes());
        gather.part(db_entries.key(handle));
    }
    gather.value(db_entries.value(handle));
    if let Some(deadline) = db_entries.deadline(handle) {
        gather.part(&deadline.to_le_bytes());
    }
    gather.finish()
}

pub(super) fn digest(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let text = dataset_digest(engine);
    engine.reply(call.slot).status(&text);
    Ok(Outcome::Done)
}

/// A hash of all databases, in hex; the order of the keys does not matter. All zeros when there is no key.
pub fn dataset_digest(engine: &Engine) -> String {
    let mut all: Digest = [0; 3];
    for (index, db) in engine.dbs.iter().enumerate() {
        let mut cursor = 0;
        loop {
            // Nothing changes meanwhile, so every entry is seen once.
            cursor = db.scan(cursor, |handle| {
                let one = digest_of(index as u64, db, handle, true);
                all.iter_mut().zip(one).for_each(|(a, b)| *a ^= b);
            });
            if cursor == 0 {
                break;
            }
        }
    }
    hex(all)
}

pub(super) fn digest_values(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let index = engine.clients[call.slot].db as usize;
    let db = engine.dbs.at(index);
    let digests: Vec<String> = call
        .args
        .iter_from(2)
        .map(|key| db.find(key, db.hash(key)).map_or([0; 3], |handle| digest_of(0, db, handle, false)))
        .map(hex)
        .collect();
    let mut reply = engine.reply(call.slot);
    reply.array(digests.len());
    digests.iter().for_each(|text| reply.status(text));
    Ok(Outcome::Done)
}

/// Bytes that the value of an entry takes in a dump file.
pub(super) fn serialized_len(db: &Db, handle: Handle) -> usize {
    let mut payload = Vec::new();
    rdb::encode(db.value(handle), Options { compress: false }, &mut payload);
    payload.len() - 1
}

/// DEBUG RELOAD: all values are written in the dump format, and read again into empty databases.
pub(super) fn reload(engine: &mut Engine, call: &mut Call<'_>) -> Result<(), CmdError> {
    for word in call.args.iter_from(2) {
        if word.eq_ignore_ascii_case(b"nosave") {
            return Err(CmdError::coded("ERR Error trying to load the RDB dump, check server logs."));
        }
        // What was just written is exactly what is there: there is nothing to merge.
        if !word.eq_ignore_ascii_case(b"merge") && !word.eq_ignore_ascii_case(b"noflush") {
            return Err(CmdError::coded(
                "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
            ));
        }
    }
    let options = Options { compress: engine.conf.rdbcompression };
    let count = engine.dbs.count();
    let mut saved = Vec::new();
    for index in 0..count {
        let db = engine.dbs.at(index);
        let mut cursor = 0;
        loop {
            // Nothing changes meanwhile, so every entry is seen once.
            cursor = db.scan(cursor, |handle| {
                let mut payload = Vec::new();
                rdb::encode(db.value(handle), options, &mut payload);
                saved.push((index, db.key(handle).to_vec(), payload, db.deadline(handle), db.access(handle)));
            });
            if cursor == 0 {
                break;
            }
        }
    }
    let now_ms = engine.now.unix_ms();
    if let Some(garbage) = engine.dbs.flush(0..count, now_ms) {
        engine.free(garbage, None);
    }
    for (index, key, payload, deadline, access) in saved {
        if deadline.is_some_and(|ms| is_past(ms, now_ms)) {
            continue;
        }
        let value = rdb::decode(&payload, &engine.conf.tuning)
            .map_err(|_| CmdError::coded("ERR Error trying to load the RDB dump, check server logs."))?;
        let db = engine.dbs.at_mut(index);
        let hash = db.hash(&key);
        db.set(&key, hash, None, value, deadline.map_or(Deadline::Clear, Deadline::At), access);
    }
    log::warn!("DB reloaded by DEBUG RELOAD");
    Ok(())
}
