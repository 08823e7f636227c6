//! DEBUG on values: fingerprints of what the databases hold, and a trip through the dump format.

use crate::engine::blocking::{Block, BlockOn};
use crate::engine::durability::Reload;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::{Call, Engine};
use crate::keyspace::{Db, digest};
use crate::persist::rdb::{self, Options};
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

/// DEBUG RELOAD: the databases are saved to the dump file, and loaded from it.
/// DEBUG LOADAOF: its client waits, and everybody else is told LOADING.
pub(super) fn load_log(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    if engine.is_nested() {
        return Err(CmdError::err("DEBUG LOADAOF isn't allowed for DENY BLOCKING client"));
    }
    engine.propagation.nothing();
    let job = engine.load_log_again();
    engine.wait_for_job(job, call.id, |_, _, done| {
        let failed = |_| CmdError::coded("ERR Error trying to load the AOF files, check server logs.");
        done.file().map(drop).map_err(failed)
    });
    Ok(Outcome::Block(Block { on: BlockOn::Job(job), deadline_us: None }))
}

pub(super) fn reload(engine: &mut Engine, call: &mut Call<'_>) -> Result<(), CmdError> {
    let mut how = Reload::default();
    for word in call.args.iter_from(2) {
        match word.to_ascii_lowercase().as_slice() {
            b"nosave" => how.no_save = true,
            b"noflush" => how.no_flush = true,
            b"merge" => how.merge = true,
            _ => {
                return Err(CmdError::coded(
                    "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
                ));
            }
        }
    }
    engine.reload(call.host, how).map_err(CmdError::coded)
}

/// Describes the table behind a collection.
pub(super) fn table_stats(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let db = engine.dbs.at(engine.clients[call.slot].db as usize);
    let key = call.args.at(2);
    let handle = db.find(key, db.hash(key)).ok_or(CmdError::NoSuchKey)?;
    let (buckets, elements) = db.member_table(handle).ok_or(CmdError::coded(
        "ERR The value stored at the specified key is not represented using an hash table",
    ))?;
    let text = format!(
        "Hash table 0 stats (main hash table):\n table size: {buckets}\n number of elements: {elements}\n"
    );
    engine.reply(call.slot).verbatim(*b"txt", text.as_bytes());
    Ok(Outcome::Done)
}
