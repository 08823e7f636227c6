//! All that databases hold, key by key, in a form that does not depend on how it is kept: for the comparison of a dump file
//! with what was saved.

use std::collections::BTreeMap;
use waterwheel::keyspace::types::Stream;
use waterwheel::keyspace::types::stream::StreamId;
use waterwheel::keyspace::{Databases, Tuning, ValueRef};
use waterwheel::persist::rdb::file::{FileReader, Item, Next, ReadOptions};

/// The number of a database and a key in it.
pub type Place = (usize, Vec<u8>);

/// Each key with its deadline and its value.
pub type Contents = BTreeMap<Place, (Option<u64>, Vec<u8>)>;

/// What databases hold.
pub fn contents(dbs: &Databases) -> Contents {
    let mut all = Contents::new();
    for (index, db) in dbs.iter().enumerate().filter(|(_, db)| !db.is_empty()) {
        let mut cursor = 0;
        loop {
            // Nothing changes meanwhile, so every entry is seen once.
            cursor = db.scan(cursor, |handle| {
                let value = bytes(db.value(handle));
                all.insert((index, db.key(handle).to_vec()), (db.deadline(handle), value));
            });
            if cursor == 0 {
                break;
            }
        }
    }
    all
}

/// Keys that are not the same, a few of them.
pub fn differences(a: &Contents, b: &Contents) -> String {
    let shown = |found: Option<&(Option<u64>, Vec<u8>)>| match found {
        None => "nothing".to_owned(),
        Some((deadline, value)) => format!("{deadline:?} {:.300}", value.escape_ascii().to_string()),
    };
    let keys = a.keys().chain(b.keys()).filter(|key| a.get(*key) != b.get(*key));
    let mut lines: Vec<String> = keys
        .map(|key| {
            format!(
                "db {} {}:\n  {}\n  {}",
                key.0,
                key.1.escape_ascii(),
                shown(a.get(key)),
                shown(b.get(key))
            )
        })
        .collect();
    lines.sort();
    lines.dedup();
    let count = lines.len();
    lines.truncate(4);
    format!("{count} keys: {}", lines.join("\n"))
}

/// What a dump file brings into empty databases, as if it came in pieces of so many bytes.
///
/// # Errors
///
/// Why it is refused, and at which byte; or what it says of itself that is not so.
pub fn load(file: &[u8], piece: usize, tuning: &Tuning) -> Result<Databases, String> {
    let mut dbs = Databases::new(16, tuning.hash_key, 0);
    let mut reader = FileReader::new(ReadOptions::default());
    let mut pieces = file.chunks(piece);
    let mut promised: Vec<(usize, u64, u64)> = Vec::new();
    let mut database = 0;
    loop {
        match reader.next(tuning).map_err(|bad| format!("at {}: {}", bad.at, bad.what))? {
            Next::Need => match pieces.next() {
                Some(piece) => reader.feed(piece),
                None => reader.finish(),
            },
            Next::More => {}
            Next::End => break,
            Next::Item(Item::Database(index)) => database = index as usize,
            Next::Item(Item::Resize { keys, expires }) => promised.push((database, keys, expires)),
            Next::Item(Item::Key(key)) => {
                let name = key.key.to_vec();
                let db = dbs.at_mut(key.db as usize);
                if !key.store(db, 0) {
                    return Err(format!("{} comes twice", name.escape_ascii()));
                }
            }
            Next::Item(Item::EmptyKey(key)) => return Err(format!("{} is empty", key.escape_ascii())),
            Next::Item(_) => {}
        }
    }
    if !reader.behind_end().is_empty() {
        return Err(format!("{} bytes are behind the end", reader.behind_end().len()));
    }
    for (index, keys, expires) in promised {
        let db = dbs.at(index);
        if (db.len() as u64, db.with_ttl() as u64) != (keys, expires) {
            return Err(format!("{keys} keys and {expires} deadlines were promised of database {index}"));
        }
    }
    Ok(dbs)
}

/// Parts of a value, each with its length.
#[derive(Default)]
struct Parts(Vec<u8>);

impl Parts {
    fn add(&mut self, part: &[u8]) {
        self.0.extend_from_slice(&(part.len() as u32).to_le_bytes());
        self.0.extend_from_slice(part);
    }

    fn add_number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Elements whose order does not matter.
    fn add_sorted(&mut self, elements: impl Iterator<Item = Vec<u8>>) {
        let mut all: Vec<Vec<u8>> = elements.collect();
        all.sort_unstable();
        all.iter().for_each(|element| self.add(element));
    }
}

fn bytes(value: ValueRef<'_>) -> Vec<u8> {
    let mut parts = Parts(value.type_of().name().as_bytes().to_vec());
    match value {
        ValueRef::Inline(bytes, _) => parts.add(bytes),
        ValueRef::Shared(bytes) => parts.add(bytes),
        ValueRef::Int(value) => parts.add(value.to_string().as_bytes()),
        ValueRef::List(list) => list.walk(0, true, |item| {
            parts.add(&item.to_vec());
            true
        }),
        ValueRef::Set(set) => parts.add_sorted(set.iter().map(|member| member.to_vec())),
        ValueRef::Hash(hash) => parts.add_sorted(hash.iter().map(|field| {
            let mut one = Parts::default();
            one.add(&field.name.to_vec());
            one.add(&field.value.element().to_vec());
            one.add_number(field.deadline.unwrap_or(0));
            one.0
        })),
        ValueRef::Zset(zset) => parts.add_sorted(zset.iter().map(|(member, score)| {
            let mut one = Parts::default();
            one.add(&member.to_vec());
            one.add_number(score.to_bits());
            one.0
        })),
        ValueRef::Stream(stream) => add_stream(&mut parts, stream),
        ValueRef::Vector(vectors) => parts.add_sorted((0..vectors.len() as u32).map(|node| {
            let mut one = Parts::default();
            one.add(vectors.name(node));
            one.add(vectors.attributes(node));
            one.add(format!("{:?}", vectors.graph().encoded(node)).as_bytes());
            one.0
        })),
    }
    parts.0
}

fn add_stream(parts: &mut Parts, stream: &Stream) {
    let log = &stream.log;
    log.walk(StreamId::ZERO, StreamId::MAX, true, |entry| {
        parts.add(&entry.id.to_vec());
        entry.fields.for_each(|(name, value)| {
            parts.add(&name.to_vec());
            parts.add(&value.to_vec());
        });
        true
    });
    [log.last_id, log.first_id, log.max_deleted_id].iter().for_each(|id| parts.add(&id.to_vec()));
    parts.add_number(log.entries_added);
    for (name, group) in stream.groups() {
        parts.add(name);
        parts.add(&group.last_id.to_vec());
        parts.add_number(group.entries_read.unwrap_or(u64::MAX));
        parts.add_sorted(group.consumers().map(|consumer| {
            let mut one = Parts::default();
            one.add(&consumer.name);
            one.add_number(consumer.seen_ms);
            one.add_number(consumer.active_ms.unwrap_or(u64::MAX));
            one.0
        }));
        for (id, pending) in group.pending(StreamId::ZERO, StreamId::MAX) {
            parts.add(&id.to_vec());
            parts.add(&group.consumer(pending.consumer).name);
            parts.add_number(pending.delivered_ms);
            parts.add_number(pending.deliveries);
        }
    }
}
