//! A snapshot as the commands that make it: the base of an append-only file where `aof-use-rdb-preamble` is off.
//!
//! A collection becomes commands of at most [`ITEMS_PER_COMMAND`] elements, as Redis's rewrite writes them; a hash with
//! deadlines has a command a field and one a deadline. A stream is told entry by entry, then what it remembers of the past,
//! then its groups with what is pending. A vector set is a RESTORE of its payload: vectors that are added anew would get other
//! links, and where they were made shorter nobody knows what they were. The deadline of a key comes last, so that a key which is past it still has its
//! commands in front.

use super::integrity;
use super::write::timestamp;
use crate::base::number::{I64_BYTES_MAX, format_i64, format_u64};
use crate::keyspace::held::{Cell, Head, Table};
use crate::keyspace::snapshot::Sink;
use crate::keyspace::types::hash::Field;
use crate::keyspace::types::stream::{Consumer, DURATION_S, Group, ID_BYTES_MAX, IDS_MAX, StreamId};
use crate::keyspace::types::{HashRef, ListRef, Stream};
use crate::keyspace::{Value, ValueRef};
use crate::persist::rdb::VectorPayload;
use crate::structures::listpack::Element;
use bytes::Bytes;

/// Elements that one command carries at most. Redis: `AOF_REWRITE_ITEMS_PER_CMD`.
const ITEMS_PER_COMMAND: usize = 64;
/// A string of so many bytes is passed on by reference.
const SHARED_FROM_BYTES: usize = 32 * 1024;
/// A buffer of so many bytes becomes a part.
const PART_BYTES: usize = 128 * 1024;
/// Nodes of a list that one step takes.
const NODES_A_STEP: usize = 16;
/// Entries of a stream, or pending ones, that one step takes.
const ENTRIES_A_STEP: usize = 256;

/// A collection of which a part is written.
#[derive(Debug)]
struct Open {
    key: Box<[u8]>,
    deadline: Option<u64>,
    progress: Progress,
}

/// How far it is written.
#[derive(Debug)]
enum Progress {
    /// Nodes of a list that are written, and elements.
    List(usize, usize),
    Stream(Stage),
    /// The payload of a vector set so far.
    Vectors(VectorPayload),
    /// A table, and its members that are written.
    Table(Table, usize),
}

/// What comes next of a stream; groups and consumers are known by their names, for a stream that is written does not change.
#[derive(Debug)]
enum Stage {
    /// The entries from this id on.
    Entries(StreamId),
    /// The group after this one, or the first.
    Groups(Option<Box<[u8]>>),
    /// The consumer of a group after this one, or its first.
    Consumers(Box<[u8]>, Option<Box<[u8]>>),
    /// What is pending for a consumer of a group from this id on.
    Pending(Box<[u8]>, Box<[u8]>, StreamId),
    /// The ids of the producer after this one, or of the first.
    Producers(Option<Box<[u8]>>),
    Done,
}

/// Writes the commands. See the head of the file.
#[derive(Debug, Default)]
pub struct CommandWriter {
    out: Vec<u8>,
    parts: Vec<Bytes>,
    /// Bytes in `parts`.
    part_bytes: usize,
    open: Option<Open>,
    /// Keys that were written or begun.
    keys: u64,
    /// The checksum so far, where integrity lines are written.
    sum: Option<u64>,
    /// Parts of whole batches that have their line.
    lined: usize,
}

impl CommandWriter {
    /// Commands are written in batches with integrity lines.
    pub fn add_integrity_lines(&mut self) {
        self.sum = Some(0);
    }

    /// The time of the snapshot, as Unix time in seconds, where times are to be written.
    pub fn time(&mut self, second: i64) {
        timestamp(second, &mut self.out);
    }

    /// The code of a library of functions.
    pub fn function(&mut self, code: &[u8]) {
        self.command(&[b"FUNCTION", b"LOAD", code]);
        self.cut_if_full();
    }

    /// Keys that were written or begun.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Bytes that were written and not taken.
    pub fn waiting_bytes(&self) -> usize {
        self.part_bytes + self.out.len()
    }

    /// What was written and is worth a write of its own; all of it when `all` is set.
    pub fn take_parts(&mut self, all: bool) -> Vec<Bytes> {
        if all {
            self.end_part();
        }
        if self.sum.is_some() {
            // A batch whose line is to come must not be given away.
            let rest = self.parts.split_off(std::mem::take(&mut self.lined));
            self.part_bytes = rest.iter().map(Bytes::len).sum();
            return std::mem::replace(&mut self.parts, rest);
        }
        self.part_bytes = 0;
        std::mem::take(&mut self.parts)
    }

    /// Between two commands: what is in the buffer becomes a part, and what has no integrity line gets one.
    fn end_part(&mut self) {
        self.cut();
        let Some(sum) = self.sum else { return };
        let batch = &self.parts[self.lined..];
        if !batch.is_empty() {
            let (line, next) = integrity::line(sum, None, batch);
            self.part_bytes += line.len();
            self.parts.insert(self.lined, line.into());
            (self.sum, self.lined) = (Some(next), self.parts.len());
        }
    }

    /// What is in the buffer becomes a part.
    fn cut(&mut self) {
        if !self.out.is_empty() {
            let bytes = std::mem::replace(&mut self.out, Vec::with_capacity(PART_BYTES + PART_BYTES / 8));
            self.pass_on(bytes.into());
        }
    }

    /// Between two commands: ends a part that is large enough.
    fn cut_if_full(&mut self) {
        let holds_line_back = self.sum.is_some() && self.parts.len() > self.lined;
        if self.out.len() >= PART_BYTES || holds_line_back {
            self.end_part();
        }
    }

    fn pass_on(&mut self, bytes: Bytes) {
        self.part_bytes += bytes.len();
        self.parts.push(bytes);
    }

    /// The line with a count or a length.
    fn line(&mut self, sigil: u8, count: usize) {
        self.out.push(sigil);
        self.out.extend_from_slice(format_u64(count as u64, &mut [0; I64_BYTES_MAX]));
        self.out.extend_from_slice(b"\r\n");
    }

    fn argument(&mut self, argument: &[u8]) {
        self.line(b'$', argument.len());
        self.out.extend_from_slice(argument);
        self.out.extend_from_slice(b"\r\n");
    }

    fn element(&mut self, element: Element<'_>) {
        self.argument(element.bytes(&mut [0; I64_BYTES_MAX]));
    }

    fn command(&mut self, arguments: &[&[u8]]) {
        self.line(b'*', arguments.len());
        arguments.iter().for_each(|argument| self.argument(argument));
    }

    /// The beginning of a command about a key, whose other arguments follow.
    fn begin_command(&mut self, name: &str, key: &[u8], arguments: usize) {
        self.line(b'*', 2 + arguments);
        self.argument(name.as_bytes());
        self.argument(key);
    }

    /// The beginning of the next command of a collection, where one is due: `done` of `len` elements, of so many arguments each,
    /// are written.
    fn begin_item(&mut self, name: &str, key: &[u8], done: usize, len: usize, width: usize) {
        if done.is_multiple_of(ITEMS_PER_COMMAND) {
            self.cut_if_full();
            let items = len.saturating_sub(done).clamp(1, ITEMS_PER_COMMAND);
            self.begin_command(name, key, items * width);
        }
    }

    fn string(&mut self, key: &[u8], value: ValueRef<'_>) {
        self.begin_command("SET", key, 1);
        match value {
            ValueRef::Int(value) => self.argument(format_i64(value, &mut [0; I64_BYTES_MAX])),
            ValueRef::Inline(text, _) => self.argument(text),
            ValueRef::Shared(text) if text.len() >= SHARED_FROM_BYTES => {
                self.line(b'$', text.len());
                self.cut();
                self.pass_on(text.clone());
                self.out.extend_from_slice(b"\r\n");
            }
            ValueRef::Shared(text) => self.argument(text),
            _ => {}
        }
    }

    /// A value as a whole.
    fn value(&mut self, key: &[u8], value: ValueRef<'_>) {
        match value {
            ValueRef::Int(_) | ValueRef::Inline(..) | ValueRef::Shared(_) => self.string(key, value),
            ValueRef::List(list) => {
                let (mut done, len) = (0, list.len());
                list.walk(0, true, |item| {
                    self.begin_item("RPUSH", key, done, len, 1);
                    self.argument(item.bytes(&mut [0; I64_BYTES_MAX]));
                    done += 1;
                    true
                });
            }
            ValueRef::Set(set) => {
                for (done, member) in set.iter().enumerate() {
                    self.begin_item("SADD", key, done, set.len(), 1);
                    self.element(member);
                }
            }
            ValueRef::Zset(zset) => {
                for (done, (member, score)) in zset.iter().enumerate() {
                    self.begin_item("ZADD", key, done, zset.len(), 2);
                    self.score(score);
                    self.element(member);
                }
            }
            ValueRef::Hash(hash) => self.hash(key, hash),
            ValueRef::Stream(stream) => {
                let mut stage = Stage::Entries(StreamId::ZERO);
                while self.go_on_with_stream(key, stream, &mut stage) {}
            }
            ValueRef::Vector(vectors) => {
                let mut payload = VectorPayload::new(vectors);
                while payload.step(vectors) {}
                self.restore(key, payload);
            }
        }
    }

    fn hash(&mut self, key: &[u8], hash: HashRef<'_>) {
        let table = Table::Hash(hash.len(), hash.next_deadline());
        for (done, field) in hash.iter().enumerate() {
            self.field(key, field, table, done);
        }
    }

    fn field(&mut self, key: &[u8], field: Field<'_>, table: Table, done: usize) {
        match table {
            Table::Hash(_, Some(_)) => {
                self.cut_if_full();
                self.begin_command("HMSET", key, 2);
            }
            Table::Hash(len, None) => self.begin_item("HMSET", key, done, len, 2),
            Table::Set(_) | Table::Zset(_) => return,
        }
        self.element(field.name);
        self.element(field.value.element());
        if let Some(deadline) = field.deadline {
            self.begin_command("HPEXPIREAT", key, 4);
            self.argument(format_u64(deadline, &mut [0; I64_BYTES_MAX]));
            self.argument(b"FIELDS");
            self.argument(b"1");
            self.element(field.name);
        }
    }

    /// A score in the fewest digits that read back the same.
    fn score(&mut self, score: f64) {
        let mut text = Vec::new();
        crate::base::number::format_double(score, &mut text);
        self.argument(&text);
    }

    fn id(&mut self, id: StreamId) {
        self.argument(id.text(&mut [0; ID_BYTES_MAX]));
    }

    /// A piece of a stream. True when there is more.
    fn go_on_with_stream(&mut self, key: &[u8], stream: &Stream, stage: &mut Stage) -> bool {
        *stage = match std::mem::replace(stage, Stage::Done) {
            Stage::Entries(from) => self.entries(key, stream, from),
            Stage::Groups(last) => self.next_group(key, stream, last.as_deref()),
            Stage::Consumers(name, last) => match stream.group(&name) {
                Some(group) => self.next_consumer(key, group, name, last.as_deref()),
                None => Stage::Done,
            },
            Stage::Pending(name, consumer, from) => match stream.group(&name) {
                Some(group) => self.pending(key, group, name, consumer, from),
                None => Stage::Done,
            },
            Stage::Producers(last) => self.next_producer(key, stream, last.as_deref()),
            Stage::Done => Stage::Done,
        };
        self.cut_if_full();
        !matches!(stage, Stage::Done)
    }

    fn entries(&mut self, key: &[u8], stream: &Stream, from: StreamId) -> Stage {
        let (mut done, mut next) = (0, None);
        stream.log.walk(from, StreamId::MAX, true, |entry| {
            if done == ENTRIES_A_STEP {
                next = Some(entry.id);
                return false;
            }
            done += 1;
            self.begin_command("XADD", key, 1 + 2 * entry.fields.clone().count());
            self.id(entry.id);
            for (name, value) in entry.fields {
                self.element(name);
                self.element(value);
            }
            true
        });
        if let Some(next) = next {
            return Stage::Entries(next);
        }
        let log = &stream.log;
        if log.is_empty() {
            // A stream without entries is made by one that is trimmed at once.
            self.begin_command("XADD", key, 5);
            for word in ["MAXLEN", "0", "0-1", "x", "y"] {
                self.argument(word.as_bytes());
            }
        }
        self.begin_command("XSETID", key, 5);
        self.id(log.last_id);
        self.argument(b"ENTRIESADDED");
        self.argument(format_u64(log.entries_added, &mut [0; I64_BYTES_MAX]));
        self.argument(b"MAXDELETEDID");
        self.id(log.max_deleted_id);
        Stage::Groups(None)
    }

    fn next_group(&mut self, key: &[u8], stream: &Stream, last: Option<&[u8]>) -> Stage {
        let Some((name, group)) = stream.group_after(last) else {
            return self.idempotence(key, stream);
        };
        self.line(b'*', 7);
        for argument in [&b"XGROUP"[..], b"CREATE", key, name] {
            self.argument(argument);
        }
        self.id(group.last_id);
        self.argument(b"ENTRIESREAD");
        let read = group.entries_read.and_then(|read| i64::try_from(read).ok()).unwrap_or(-1);
        self.argument(format_i64(read, &mut [0; I64_BYTES_MAX]));
        Stage::Consumers(name.into(), None)
    }

    /// What a stream remembers of its producers, if it is not what a new one has.
    fn idempotence(&mut self, key: &[u8], stream: &Stream) -> Stage {
        let idempotence = &stream.idempotence;
        if (idempotence.duration_s, idempotence.ids_max) != (DURATION_S, IDS_MAX) {
            self.begin_command("XCFGSET", key, 4);
            for (word, value) in
                [("IDMP-DURATION", idempotence.duration_s), ("IDMP-MAXSIZE", idempotence.ids_max)]
            {
                self.argument(word.as_bytes());
                self.argument(format_u64(value.into(), &mut [0; I64_BYTES_MAX]));
            }
        }
        Stage::Producers(None)
    }

    fn next_producer(&mut self, key: &[u8], stream: &Stream, last: Option<&[u8]>) -> Stage {
        let Some(name) = stream.idempotence.producer_after(last) else { return Stage::Done };
        for (id, entry) in stream.idempotence.ids(name) {
            // Of an entry that is gone nothing can be noted.
            if stream.log.contains(entry) {
                self.begin_command("XIDMPRECORD", key, 3);
                self.argument(name);
                self.argument(id);
                self.id(entry);
            }
        }
        Stage::Producers(Some(name.into()))
    }

    fn next_consumer(&mut self, key: &[u8], group: &Group, name: Box<[u8]>, last: Option<&[u8]>) -> Stage {
        let Some(consumer) = group.consumer_after(last) else { return Stage::Groups(Some(name)) };
        if consumer.pending_len() > 0 {
            return Stage::Pending(name, consumer.name.clone(), StreamId::ZERO);
        }
        self.command(&[b"XGROUP", b"CREATECONSUMER", key, &name, &consumer.name]);
        Stage::Consumers(name, Some(consumer.name.clone()))
    }

    fn pending(
        &mut self,
        key: &[u8],
        group: &Group,
        name: Box<[u8]>,
        consumer: Box<[u8]>,
        from: StreamId,
    ) -> Stage {
        let Some(number) = group.find(&consumer) else { return Stage::Done };
        let owner: &Consumer = group.consumer(number);
        let mut rest = owner.pending(from, StreamId::MAX);
        for id in rest.by_ref().take(ENTRIES_A_STEP) {
            let Some(pending) = group.pending_at(id) else { continue };
            self.line(b'*', 12);
            for argument in [&b"XCLAIM"[..], key, &name, &consumer, b"0"] {
                self.argument(argument);
            }
            self.id(id);
            self.argument(b"TIME");
            self.argument(format_u64(pending.delivered_ms, &mut [0; I64_BYTES_MAX]));
            self.argument(b"RETRYCOUNT");
            self.argument(format_u64(pending.deliveries, &mut [0; I64_BYTES_MAX]));
            self.argument(b"JUSTID");
            self.argument(b"FORCE");
        }
        match rest.next() {
            Some(id) => Stage::Pending(name, consumer, id),
            None => Stage::Consumers(name, Some(consumer)),
        }
    }

    /// A key with the value of a payload.
    fn restore(&mut self, key: &[u8], payload: VectorPayload) {
        let payload = payload.finish();
        self.begin_command("RESTORE", key, 2);
        self.argument(b"0");
        self.line(b'$', payload.len());
        self.cut();
        self.pass_on(payload.into());
        self.out.extend_from_slice(b"\r\n");
    }

    fn deadline(&mut self, key: &[u8], deadline: Option<u64>) {
        if let Some(deadline) = deadline {
            self.begin_command("PEXPIREAT", key, 1);
            self.argument(format_u64(deadline, &mut [0; I64_BYTES_MAX]));
        }
        self.cut_if_full();
    }

    fn open(&mut self, head: Head<'_>, progress: Progress) {
        self.keys += 1;
        self.open = Some(Open { key: head.key.into(), deadline: head.deadline, progress });
    }
}

impl Sink for CommandWriter {
    fn database(&mut self, index: usize, _keys: usize, _with_deadline: usize) {
        self.command(&[b"SELECT", format_u64(index as u64, &mut [0; I64_BYTES_MAX])]);
    }

    fn key(&mut self, head: Head<'_>, value: ValueRef<'_>) {
        self.keys += 1;
        self.value(head.key, value);
        self.deadline(head.key, head.deadline);
    }

    fn begin(&mut self, head: Head<'_>, value: &Value) {
        match value.view() {
            ValueRef::List(ListRef::Quick(_)) => self.open(head, Progress::List(0, 0)),
            ValueRef::Stream(_) => self.open(head, Progress::Stream(Stage::Entries(StreamId::ZERO))),
            ValueRef::Vector(vectors) => self.open(head, Progress::Vectors(VectorPayload::new(vectors))),
            other => self.key(head, other),
        }
    }

    fn go_on(&mut self, value: &Value) -> bool {
        let Some(Open { key, deadline, progress }) = self.open.take() else { return false };
        let rest = match (progress, value.view()) {
            (Progress::List(nodes, mut done), ValueRef::List(ListRef::Quick(quick))) => {
                for view in quick.views_from(nodes).take(NODES_A_STEP) {
                    for item in view.items() {
                        self.begin_item("RPUSH", &key, done, quick.len(), 1);
                        self.argument(item.bytes(&mut [0; I64_BYTES_MAX]));
                        done += 1;
                    }
                }
                let nodes = nodes + NODES_A_STEP;
                (nodes < quick.nodes()).then_some(Progress::List(nodes, done))
            }
            (Progress::Stream(mut stage), ValueRef::Stream(stream)) => {
                let more = self.go_on_with_stream(&key, stream, &mut stage);
                more.then_some(Progress::Stream(stage))
            }
            (Progress::Vectors(mut payload), ValueRef::Vector(vectors)) => match payload.step(vectors) {
                true => Some(Progress::Vectors(payload)),
                false => {
                    self.restore(&key, payload);
                    None
                }
            },
            _ => None,
        };
        match rest {
            Some(progress) => self.open = Some(Open { key, deadline, progress }),
            None => self.deadline(&key, deadline),
        }
        self.open.is_some()
    }

    fn begin_table(&mut self, head: Head<'_>, table: Table) {
        self.open(head, Progress::Table(table, 0));
    }

    fn member(&mut self, cell: Cell<'_>) {
        let Some(open) = self.open.take() else { return };
        let Open { key, deadline, progress: Progress::Table(table, done) } = open else { return };
        match (cell, table) {
            (Cell::Member(member), Table::Set(len)) => {
                self.begin_item("SADD", &key, done, len, 1);
                self.argument(member);
            }
            (Cell::Scored(member, score), Table::Zset(len)) => {
                self.begin_item("ZADD", &key, done, len, 2);
                self.score(score);
                self.argument(member);
            }
            (Cell::Field(field), table) => self.field(&key, field, table, done),
            _ => {}
        }
        self.open = Some(Open { key, deadline, progress: Progress::Table(table, done + 1) });
    }

    fn end_table(&mut self) {
        if let Some(open) = self.open.take() {
            self.deadline(&open.key, open.deadline);
        }
    }
}

#[cfg(test)]
mod tests;
