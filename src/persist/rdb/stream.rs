//! Streams: their nodes as they are, then what is remembered of the past, then the groups.
//!
//! ```text
//! nodes   id (16 bytes, as a string)  listpack          each
//! length, last id, first id, greatest deleted id, entries added
//! groups  name  last id  entries read                   each
//!         pending: id (16 bytes)  time  deliveries      each
//!         consumers: name  seen  active  ids            each
//! ```
//!
//! Lengths and parts of ids are lengths of the format. The first form of the type ends its counters with the last id; the
//! second has all but the time at which a consumer was active, and is written where that is when it was seen.

use super::decode::BadData;
use super::encode::{VERSION_OF_LISTPACKS, Writer};
use super::kind;
use super::read::Reader;
use crate::keyspace::types::Stream;
use crate::keyspace::types::stream::{Group, Pending, StreamId};
use crate::structures::listpack;
use std::collections::BTreeMap;

/// The version that brought the third form.
const VERSION_OF_ACTIVE_TIMES: u16 = 11;
/// Stands for a number of entries that is not known.
const UNKNOWN: u64 = u64::MAX;

impl Writer<'_> {
    pub(super) fn stream(&mut self, stream: &Stream) -> u16 {
        let is_active_otherwise = stream
            .groups()
            .flat_map(|(_, group)| group.consumers())
            .any(|consumer| consumer.active_ms != Some(consumer.seen_ms));
        let kind = if is_active_otherwise { kind::STREAM_LISTPACKS_3 } else { kind::STREAM_LISTPACKS_2 };
        let log = &stream.log;
        self.out.push(kind);
        self.len(log.nodes() as u64);
        for (id, bytes) in log.node_list() {
            self.blob(&id.number().to_be_bytes());
            self.blob(bytes);
        }
        self.len(log.len() as u64);
        self.id(log.last_id);
        self.id(log.first_id);
        self.id(log.max_deleted_id);
        self.len(log.entries_added);
        self.len(stream.groups_len() as u64);
        for (name, group) in stream.groups() {
            self.blob(name);
            self.group(group, is_active_otherwise);
        }
        if is_active_otherwise { VERSION_OF_ACTIVE_TIMES } else { VERSION_OF_LISTPACKS }
    }

    fn group(&mut self, group: &Group, with_active: bool) {
        self.id(group.last_id);
        self.len(group.entries_read.unwrap_or(UNKNOWN));
        self.len(group.pending_len() as u64);
        for (id, pending) in group.pending(StreamId::ZERO, StreamId::MAX) {
            self.out.extend_from_slice(&id.number().to_be_bytes());
            self.out.extend_from_slice(&pending.delivered_ms.to_le_bytes());
            self.len(pending.deliveries);
        }
        self.len(group.consumers_len() as u64);
        for consumer in group.consumers() {
            self.blob(&consumer.name);
            self.out.extend_from_slice(&consumer.seen_ms.to_le_bytes());
            if with_active {
                // Minus one stands for never.
                self.out.extend_from_slice(&consumer.active_ms.unwrap_or(u64::MAX).to_le_bytes());
            }
            self.len(consumer.pending_len() as u64);
            for id in consumer.pending(StreamId::ZERO, StreamId::MAX) {
                self.out.extend_from_slice(&id.number().to_be_bytes());
            }
        }
    }

    fn id(&mut self, id: StreamId) {
        self.len(id.ms);
        self.len(id.seq);
    }
}

/// Reads a stream in one of its three forms.
pub(super) fn stream(reader: &mut Reader<'_>, form: u8) -> Result<Box<Stream>, BadData> {
    let mut stream = Box::<Stream>::default();
    let log = &mut stream.log;
    for _ in 0..reader.count(2)? {
        let id: [u8; 16] = reader.text()?.as_ref().try_into().map_err(|_| BadData)?;
        let bytes = reader.text()?.into_owned();
        listpack::validate(&bytes, true).map_err(|_| BadData)?;
        log.push_node(StreamId::from_number(u128::from_be_bytes(id)), bytes).map_err(|_| BadData)?;
    }
    if reader.len()? != log.len() as u64 {
        return Err(BadData);
    }
    let last_id = read_id(reader)?;
    if last_id < log.last_id {
        return Err(BadData);
    }
    log.last_id = last_id;
    // Replies rely on it, so it is not what the bytes say.
    log.first_id = log.edge(true).unwrap_or(StreamId::ZERO);
    if form == kind::STREAM_LISTPACKS {
        log.entries_added = log.len() as u64;
    } else {
        read_id(reader)?;
        log.max_deleted_id = read_id(reader)?;
        log.entries_added = reader.len()?;
    }
    for _ in 0..reader.count(4)? {
        let name = reader.text()?;
        let group = read_group(reader, form, &stream)?;
        if !stream.add_group(&name, group) {
            return Err(BadData);
        }
    }
    Ok(stream)
}

fn read_id(reader: &mut Reader<'_>) -> Result<StreamId, BadData> {
    Ok(StreamId::new(reader.len()?, reader.len()?))
}

fn raw_id(reader: &mut Reader<'_>) -> Result<StreamId, BadData> {
    Ok(StreamId::from_number(u128::from_be_bytes(reader.array()?)))
}

fn read_group(reader: &mut Reader<'_>, form: u8, stream: &Stream) -> Result<Group, BadData> {
    let last_id = read_id(reader)?;
    let entries_read = if form == kind::STREAM_LISTPACKS {
        stream.log.added_up_to(last_id)
    } else {
        Some(reader.len()?).filter(|read| *read != UNKNOWN)
    };
    let mut group = Group::new(last_id, entries_read);
    // Whose they are is told by the consumers.
    let mut ownerless = BTreeMap::new();
    for _ in 0..reader.count(16 + 8 + 1)? {
        let id = raw_id(reader)?;
        let delivered_ms = u64::from_le_bytes(reader.array()?);
        let pending = Pending { delivered_ms, deliveries: reader.len()?, consumer: 0 };
        if ownerless.insert(id, pending).is_some() {
            return Err(BadData);
        }
    }
    for _ in 0..reader.count(1 + 8 + 1)? {
        let name = reader.text()?;
        let seen_ms = u64::from_le_bytes(reader.array()?);
        let active_ms = if form == kind::STREAM_LISTPACKS_3 {
            Some(u64::from_le_bytes(reader.array()?)).filter(|ms| *ms != u64::MAX)
        } else {
            Some(seen_ms)
        };
        if group.find(&name).is_some() {
            return Err(BadData);
        }
        let consumer = group.add_consumer(&name, seen_ms);
        group.consumer_mut(consumer).active_ms = active_ms;
        for _ in 0..reader.count(16)? {
            let id = raw_id(reader)?;
            let pending = ownerless.remove(&id).ok_or(BadData)?;
            group.assign(id, Pending { consumer, ..pending });
        }
    }
    if ownerless.is_empty() { Ok(group) } else { Err(BadData) }
}
