//! DEBUG on values: fingerprints of what the databases hold, and a trip through the dump format.

use crate::base::number::format_few_digits;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::{Call, Engine};
use crate::keyspace::db::is_past;
use crate::keyspace::types::stream::StreamId;
use crate::keyspace::{Db, Deadline, Type, ValueRef};
use crate::persist::rdb::{self, Options};
use crate::structures::slab::Handle;
use sha1_smol::Sha1;

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

/// Adds an entry, but for its key.
fn add_entry(digest: &mut Digest, db: &Db, handle: Handle) {
    add_value(digest, db.value(handle));
    if db.deadline(handle).is_some() {
        digest.add(b"!!expire!!");
    }
}

pub(super) fn digest(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let text = dataset_digest(engine);
    engine.reply(call.slot).status(&text);
    Ok(Outcome::Done)
}

/// A sum of all databases, in hex; the order of the keys does not matter. All zeros when there is no key.
fn dataset_digest(engine: &Engine) -> String {
    let mut all = Digest::default();
    for (index, db) in engine.dbs.iter().enumerate().filter(|(_, db)| !db.is_empty()) {
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

pub(super) fn digest_values(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let db = engine.dbs.at(engine.clients[call.slot].db as usize);
    let digests: Vec<String> = call
        .args
        .iter_from(2)
        .map(|key| {
            let mut digest = Digest::default();
            // Also of one whose deadline has passed: it is there until somebody looks for it.
            if let Some(handle) = db.find(key, db.hash(key)) {
                add_entry(&mut digest, db, handle);
            }
            hex(digest)
        })
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
