//! Streams: their nodes as they are, then what is remembered of the past, then the groups, then ids of producers.
//!
//! ```text
//! nodes   id (16 bytes, as a string)  listpack          each
//! length, last id, first id, greatest deleted id, entries added
//! groups  name  last id  entries read                   each
//!         pending: id (16 bytes)  time  deliveries      each
//!         consumers: name  seen  active  ids            each
//! seconds, ids of a producer that are remembered, at most
//! producers  name: id  entry                            each
//! ids that were ever noted, entries that were not added since theirs was known
//! ```
//!
//! Lengths and parts of ids are lengths of the format. The first form of the type ends its counters with the last id; the
//! second has all but the time at which a consumer was active, and is written where that is when it was seen. Only the fourth
//! has what stands after the groups, and is written where that is not what a new stream has.

use super::encode::{VERSION_OF_LISTPACKS, Writer};
use super::error::Stop;
use super::read::Reader;
use super::{Dialect, kind, packed};
use crate::keyspace::Tuning;
use crate::keyspace::types::Stream;
use crate::keyspace::types::stream::{DURATION_S_LIMIT, Group, IDS_LIMIT, Pending, StreamId};
use crate::structures::listpack;
use std::collections::BTreeMap;

/// The version that brought the third form.
pub(super) const VERSION_OF_ACTIVE_TIMES: u16 = 11;
/// The version that brought the fourth form.
pub(super) const VERSION_OF_IDEMPOTENCE: u16 = 13;
/// Stands for a number of entries that is not known.
const UNKNOWN: u64 = u64::MAX;

/// Nodes that one piece of a stream holds.
const NODES_A_PIECE: usize = 32;
/// Pending entries, or consumers, that one piece of a stream holds.
const PENDING_A_PIECE: usize = 1000;

/// How far a stream has been written.
#[derive(Debug)]
pub(super) struct StreamProgress {
    form: u8,
    stage: Stage,
}

/// What comes next; groups and consumers are known by their names, for a stream that is written does not change.
#[derive(Debug)]
enum Stage {
    /// The nodes from this id on.
    Nodes(StreamId),
    /// The group after this one, or the first.
    Groups(Option<Box<[u8]>>),
    /// What is pending in a group from this id on.
    Pending(Box<[u8]>, StreamId),
    /// The consumer of a group after this one, or its first.
    Consumers(Box<[u8]>, Option<Box<[u8]>>),
    /// What is pending for a consumer of a group from this id on.
    Owned(Box<[u8]>, Box<[u8]>, StreamId),
    /// The bounds of what is remembered of producers.
    Idempotence,
    /// The producer after this one, or the first.
    Producers(Option<Box<[u8]>>),
    Done,
}

impl Writer<'_> {
    pub(super) fn stream(&mut self, stream: &Stream) -> u16 {
        let (version, mut progress) = self.begin_stream(stream);
        while self.go_on_with_stream(stream, &mut progress) {}
        version
    }

    /// Type and number of nodes. Returns the lowest version of the format that knows the type, and where to go on.
    pub(super) fn begin_stream(&mut self, stream: &Stream) -> (u16, StreamProgress) {
        // An older version takes the time at which a consumer was seen for that at which it was active.
        let with_active = self.version.has_active_times()
            && stream
                .groups()
                .flat_map(|(_, group)| group.consumers())
                .any(|consumer| consumer.active_ms != Some(consumer.seen_ms));
        let with_idempotence = self.version.has_idempotence() && !stream.idempotence.is_untouched();
        let (version, form) = match (with_idempotence, with_active) {
            (true, _) => (VERSION_OF_IDEMPOTENCE, kind::STREAM_LISTPACKS_4),
            (_, true) => (VERSION_OF_ACTIVE_TIMES, kind::STREAM_LISTPACKS_3),
            _ => (VERSION_OF_LISTPACKS, kind::STREAM_LISTPACKS_2),
        };
        self.kind(form);
        self.len(stream.log.nodes() as u64);
        (version, StreamProgress { form, stage: Stage::Nodes(StreamId::ZERO) })
    }

    /// A piece of a stream. True when there is more.
    pub(super) fn go_on_with_stream(&mut self, stream: &Stream, progress: &mut StreamProgress) -> bool {
        let stage = std::mem::replace(&mut progress.stage, Stage::Done);
        progress.stage = match stage {
            Stage::Nodes(from) => self.nodes(stream, from),
            Stage::Groups(last) => self.next_group(stream, last.as_deref(), progress.form),
            Stage::Idempotence => self.idempotence(stream),
            Stage::Producers(last) => self.next_producer(stream, last.as_deref()),
            Stage::Pending(name, from) => match stream.group(&name) {
                Some(group) => self.pending(group, name, from),
                None => Stage::Done,
            },
            Stage::Consumers(name, last) => match stream.group(&name) {
                Some(group) => self.next_consumer(group, name, last.as_deref(), progress.form),
                None => Stage::Done,
            },
            Stage::Owned(name, consumer, from) => match stream.group(&name) {
                Some(group) => self.owned(group, name, consumer, from),
                None => Stage::Done,
            },
            Stage::Done => Stage::Done,
        };
        !matches!(progress.stage, Stage::Done)
    }

    fn nodes(&mut self, stream: &Stream, from: StreamId) -> Stage {
        let log = &stream.log;
        let mut nodes = log.node_list(from);
        for (id, bytes) in nodes.by_ref().take(NODES_A_PIECE) {
            self.blob(&id.number().to_be_bytes());
            self.pack(bytes);
        }
        if let Some((id, _)) = nodes.next() {
            return Stage::Nodes(id);
        }
        self.len(log.len() as u64);
        self.id(log.last_id);
        self.id(log.first_id);
        self.id(log.max_deleted_id);
        self.len(log.entries_added);
        self.len(stream.groups_len() as u64);
        Stage::Groups(None)
    }

    fn next_group(&mut self, stream: &Stream, last: Option<&[u8]>, form: u8) -> Stage {
        let Some((name, group)) = stream.group_after(last) else {
            return if form == kind::STREAM_LISTPACKS_4 { Stage::Idempotence } else { Stage::Done };
        };
        self.blob(name);
        self.id(group.last_id);
        self.len(group.entries_read.unwrap_or(UNKNOWN));
        self.len(group.pending_len() as u64);
        Stage::Pending(name.into(), StreamId::ZERO)
    }

    fn idempotence(&mut self, stream: &Stream) -> Stage {
        let idempotence = &stream.idempotence;
        self.len(idempotence.duration_s.into());
        self.len(idempotence.ids_max.into());
        self.len(idempotence.producers_len() as u64);
        Stage::Producers(None)
    }

    fn next_producer(&mut self, stream: &Stream, last: Option<&[u8]>) -> Stage {
        let idempotence = &stream.idempotence;
        let Some(name) = idempotence.producer_after(last) else {
            self.len(idempotence.added);
            self.len(idempotence.duplicates);
            return Stage::Done;
        };
        let ids = idempotence.ids(name);
        self.text(name);
        self.len(ids.len() as u64);
        for (id, entry) in ids {
            self.text(id);
            self.id(entry);
        }
        Stage::Producers(Some(name.into()))
    }

    fn pending(&mut self, group: &Group, name: Box<[u8]>, from: StreamId) -> Stage {
        let mut rest = group.pending(from, StreamId::MAX);
        for (id, pending) in rest.by_ref().take(PENDING_A_PIECE) {
            self.out.extend_from_slice(&id.number().to_be_bytes());
            self.out.extend_from_slice(&pending.delivered_ms.to_le_bytes());
            self.len(pending.deliveries);
        }
        if let Some((id, _)) = rest.next() {
            return Stage::Pending(name, id);
        }
        self.len(group.consumers_len() as u64);
        Stage::Consumers(name, None)
    }

    fn next_consumer(&mut self, group: &Group, name: Box<[u8]>, last: Option<&[u8]>, form: u8) -> Stage {
        let Some(consumer) = group.consumer_after(last) else { return Stage::Groups(Some(name)) };
        self.blob(&consumer.name);
        self.out.extend_from_slice(&consumer.seen_ms.to_le_bytes());
        if form != kind::STREAM_LISTPACKS_2 {
            // Minus one stands for never.
            self.out.extend_from_slice(&consumer.active_ms.unwrap_or(u64::MAX).to_le_bytes());
        }
        self.len(consumer.pending_len() as u64);
        Stage::Owned(name, consumer.name.clone(), StreamId::ZERO)
    }

    fn owned(&mut self, group: &Group, name: Box<[u8]>, consumer: Box<[u8]>, from: StreamId) -> Stage {
        let Some(number) = group.find(&consumer) else { return Stage::Done };
        let mut rest = group.consumer(number).pending(from, StreamId::MAX);
        for id in rest.by_ref().take(PENDING_A_PIECE) {
            self.out.extend_from_slice(&id.number().to_be_bytes());
        }
        match rest.next() {
            Some(id) => Stage::Owned(name, consumer, id),
            None => Stage::Consumers(name, Some(consumer)),
        }
    }

    fn id(&mut self, id: StreamId) {
        self.len(id.ms);
        self.len(id.seq);
    }
}

/// A stream that is being read, part by part.
#[derive(Debug)]
pub(super) struct StreamReader {
    form: u8,
    dialect: Dialect,
    stream: Box<Stream>,
    next: Part,
    /// The group whose entries and consumers are being read.
    open: Option<Box<OpenGroup>>,
    /// The producer whose ids are being read.
    producer: Vec<u8>,
}

/// What comes next in a stream.
#[derive(Debug)]
enum Part {
    NodeCount,
    /// So many nodes.
    Nodes(u64),
    Counters,
    /// So many groups.
    Groups(u64),
    /// The bounds of what is remembered of producers.
    Idempotence,
    /// So many producers.
    Producers(u64),
    /// So many ids of [`StreamReader::producer`], and so many producers after it.
    Ids(u64, u64),
    Nothing,
}

/// A group that is being read.
#[derive(Debug)]
struct OpenGroup {
    name: Vec<u8>,
    group: Group,
    /// Pending entries: whose they are is told by the consumers.
    ownerless: BTreeMap<StreamId, Pending>,
    /// Pending entries that are still to come.
    pending: u64,
    /// Consumers that are still to come, once their number was read.
    consumers: Option<u64>,
    /// The consumer that was read last, and how many of its ids are still to come.
    consumer: Option<(u32, u64)>,
}

impl StreamReader {
    /// For a stream in one of its four forms.
    pub(super) fn new(form: u8, dialect: Dialect, tuning: &Tuning) -> StreamReader {
        let stream = Box::new(Stream::with(tuning));
        StreamReader { form, dialect, stream, next: Part::NodeCount, open: None, producer: Vec::new() }
    }

    /// Whether all of it was read.
    pub(super) fn is_whole(&self) -> bool {
        match self.next {
            Part::Groups(0) => self.form != kind::STREAM_LISTPACKS_4 && self.open.is_none(),
            Part::Nothing => true,
            _ => false,
        }
    }

    pub(super) fn finish(self) -> Box<Stream> {
        self.stream
    }

    /// Reads one part: a node, a group, a consumer, or an id.
    pub(super) fn part(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        if let Some(open) = &mut self.open {
            if open.part(reader, self.form)? {
                return Ok(());
            }
            let OpenGroup { name, group, ownerless, .. } = *self.open.take().expect("it is open");
            if !ownerless.is_empty() {
                return Err(Stop::Bad("Stream CG PEL entry without consumer"));
            }
            return match self.stream.add_group(&name, group) {
                true => Ok(()),
                false => Err(Stop::Bad("Duplicated consumer group name")),
            };
        }
        self.next = match self.next {
            Part::NodeCount => Part::Nodes(reader.len()?),
            Part::Nodes(0) => Part::Counters,
            Part::Nodes(left) => {
                self.node(reader)?;
                Part::Nodes(left - 1)
            }
            Part::Counters => {
                self.counters(reader)?;
                Part::Groups(reader.len()?)
            }
            Part::Groups(0) => Part::Idempotence,
            Part::Groups(left) => {
                self.open = Some(Box::new(self.group(reader)?));
                Part::Groups(left - 1)
            }
            Part::Idempotence => self.bounds(reader)?,
            Part::Producers(0) => {
                let (added, duplicates) = (reader.len()?, reader.len()?);
                self.stream.idempotence.added = added;
                self.stream.idempotence.duplicates = duplicates;
                Part::Nothing
            }
            Part::Producers(left) => {
                let (name, ids) = (reader.span()?, reader.len()?);
                let name = name.text()?.into_vec();
                if self.stream.idempotence.ids(&name).len() > 0 {
                    return Err(Stop::Bad("Duplicated producer in a stream"));
                }
                self.producer = name;
                Part::Ids(ids, left - 1)
            }
            Part::Ids(0, producers) => Part::Producers(producers),
            Part::Ids(left, producers) => {
                let (id, entry) = (reader.span()?, read_id(reader)?);
                // An id that stands twice counts once, as in Redis.
                self.stream.idempotence.remember(&self.producer, &id.text()?, entry);
                Part::Ids(left - 1, producers)
            }
            Part::Nothing => Part::Nothing,
        };
        Ok(())
    }

    /// Reads the bounds of what is remembered of producers, and how many these are.
    fn bounds(&mut self, reader: &mut Reader<'_>) -> Result<Part, Stop> {
        let (duration_s, ids_max) = (reader.len()?, reader.len()?);
        if !(1..=u64::from(DURATION_S_LIMIT)).contains(&duration_s) {
            return Err(Stop::Bad("Stream IDMP duration out of range"));
        }
        if !(1..=u64::from(IDS_LIMIT)).contains(&ids_max) {
            return Err(Stop::Bad("Stream IDMP max entries out of range"));
        }
        let producers = reader.len()?;
        self.stream.idempotence.duration_s = duration_s as u32;
        self.stream.idempotence.ids_max = ids_max as u32;
        Ok(Part::Producers(producers))
    }

    fn node(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        const BAD: Stop = Stop::Bad("Stream listpack integrity check failed.");
        let (id, bytes) = (reader.span()?, reader.span()?);
        let id: [u8; 16] = id.text()?[..]
            .try_into()
            .map_err(|_| Stop::Bad("Stream node key entry is not the size of a stream ID"))?;
        let bytes = packed::as_redis_writes(bytes.text()?, self.dialect).into_vec();
        listpack::validate(&bytes, true).map_err(|_| BAD)?;
        self.stream.log.push_node(StreamId::from_number(u128::from_be_bytes(id)), bytes).map_err(|_| BAD)
    }

    fn counters(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        let log = &mut self.stream.log;
        let (len, last_id) = (reader.len()?, read_id(reader)?);
        let (max_deleted_id, entries_added) = if self.form == kind::STREAM_LISTPACKS {
            (StreamId::ZERO, log.len() as u64)
        } else {
            // The first id: replies rely on it, so it is not what the bytes say.
            read_id(reader)?;
            (read_id(reader)?, reader.len()?)
        };
        // Redis once lost count while it trimmed, and still reads such files. What counts is what is there.
        if len > 0 && log.nodes() == 0 {
            return Err(Stop::Bad("Stream length inconsistent with rax entries"));
        }
        if last_id < log.last_id {
            return Err(Stop::Bad("An entry of the stream lies behind its last ID"));
        }
        log.last_id = last_id;
        log.first_id = log.edge(true).unwrap_or(StreamId::ZERO);
        log.max_deleted_id = max_deleted_id;
        log.entries_added = entries_added;
        Ok(())
    }

    fn group(&self, reader: &mut Reader<'_>) -> Result<OpenGroup, Stop> {
        let name = reader.span()?;
        let last_id = read_id(reader)?;
        let entries_read = if self.form == kind::STREAM_LISTPACKS {
            self.stream.log.added_up_to(last_id)
        } else {
            Some(reader.len()?).filter(|read| *read != UNKNOWN)
        };
        Ok(OpenGroup {
            pending: reader.len()?,
            name: name.text()?.into_vec(),
            group: Group::new(last_id, entries_read),
            ownerless: BTreeMap::new(),
            consumers: None,
            consumer: None,
        })
    }
}

impl OpenGroup {
    /// Reads the next part; false when there is none.
    fn part(&mut self, reader: &mut Reader<'_>, form: u8) -> Result<bool, Stop> {
        if self.pending > 0 {
            let id = raw_id(reader)?;
            let delivered_ms = reader.u64()?;
            let pending = Pending { delivered_ms, deliveries: reader.len()?, consumer: 0 };
            if self.ownerless.insert(id, pending).is_some() {
                return Err(Stop::Bad("Duplicated global PEL entry loading stream consumer group"));
            }
            self.pending -= 1;
            return Ok(true);
        }
        let Some(consumers) = self.consumers else {
            self.consumers = Some(reader.len()?);
            return Ok(true);
        };
        if let Some((consumer, left)) = self.consumer.filter(|(_, left)| *left > 0) {
            let id = raw_id(reader)?;
            let pending = self.ownerless.remove(&id).ok_or_else(|| match self.group.pending_at(id) {
                Some(_) => Stop::Bad("Stream consumer PEL entry already has a consumer assigned"),
                None => Stop::Bad("Consumer entry not found in group global PEL"),
            })?;
            self.group.assign(id, Pending { consumer, ..pending });
            self.consumer = Some((consumer, left - 1));
            return Ok(true);
        }
        if consumers == 0 {
            return Ok(false);
        }
        let name = reader.span()?;
        let seen_ms = reader.u64()?;
        let active_ms = if matches!(form, kind::STREAM_LISTPACKS_3 | kind::STREAM_LISTPACKS_4) {
            Some(reader.u64()?).filter(|ms| *ms != u64::MAX)
        } else {
            Some(seen_ms)
        };
        let (left, name) = (reader.len()?, name.text()?);
        if self.group.find(&name).is_some() {
            return Err(Stop::Bad("Duplicate stream consumer detected."));
        }
        let consumer = self.group.add_consumer(&name, seen_ms);
        self.group.consumer_mut(consumer).active_ms = active_ms;
        self.consumer = Some((consumer, left));
        self.consumers = Some(consumers - 1);
        Ok(true)
    }
}

fn read_id(reader: &mut Reader<'_>) -> Result<StreamId, Stop> {
    Ok(StreamId::new(reader.len()?, reader.len()?))
}

fn raw_id(reader: &mut Reader<'_>) -> Result<StreamId, Stop> {
    Ok(StreamId::from_number(u128::from_be_bytes(reader.array()?)))
}
