//! DEBUG on values: fingerprints of what the databases hold, and a trip through the dump format.

use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::{Call, Engine};
use crate::keyspace::db::is_past;
use crate::keyspace::{Db, Deadline, digest};
use crate::persist::rdb::{self, Dialect, Options};
use crate::structures::slab::Handle;

pub(super) fn digest(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let text = digest::of_databases(&engine.dbs);
    engine.reply(call.slot).status(&text);
    Ok(Outcome::Done)
}

pub(super) fn digest_values(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let db = engine.dbs.at(engine.clients[call.slot].db as usize);
    let digests: Vec<String> = call
        .args
        .iter_from(2)
        .map(|key| {
            // Also of one whose deadline has passed: it is there until somebody looks for it.
            digest::of_entry(db, db.find(key, db.hash(key)))
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
        let value = rdb::decode(&payload, Dialect::Redis, &engine.conf.tuning)
            .map_err(|_| CmdError::coded("ERR Error trying to load the RDB dump, check server logs."))?;
        let db = engine.dbs.at_mut(index);
        let hash = db.hash(&key);
        db.set(&key, hash, None, value, deadline.map_or(Deadline::Clear, Deadline::At), access);
    }
    log::warn!("DB reloaded by DEBUG RELOAD");
    Ok(())
}
