//! Items to a dump file: a snapshot is its source, parts of a file are what comes out.
//!
//! The writer copies small values into a buffer, notes where in it strings lie that are long enough to be compressed, and
//! passes long strings on by reference. Compressing, and summing up, is left to whoever takes the [`Part`]s: it may be
//! done on another thread, by [`Part::finish`].
//!
//! A file says the lowest version of the format that can hold what it holds. That is known at its end, so its header is
//! written last ([`header`]), and the checksum is joined from that of the header and that of the rest. Where a version is
//! asked for ([`FileWriter::pin`]) it says that one, and the writer notes the first key that does not fit into it.

use super::super::encode::{COMPRESS_FROM_BYTES, Options, Writer};
use super::super::stream::StreamProgress;
use super::super::{VERSION_OF_VALKEY, Version, kind};
use super::opcode;
use crate::base::crc::{self, crc64};
use crate::keyspace::access::AccessClock;
use crate::keyspace::held::{Cell, Head, Table};
use crate::keyspace::snapshot::Sink;
use crate::keyspace::types::{List, ListRef};
use crate::keyspace::{Value, ValueRef};
use crate::structures::lzf;
use bytes::Bytes;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 9;
/// The version that a file without anything newer says.
const VERSION_MIN: u16 = 10;
/// A string of so many bytes is passed on by reference.
const SHARED_FROM_BYTES: usize = 32 * 1024;
/// A buffer of so many bytes becomes a part.
const PART_BYTES: usize = 128 * 1024;
/// Nodes of a list that one step takes.
const NODES_A_STEP: usize = 16;

/// The header of a file of this version.
pub fn header(version: u16) -> [u8; HEADER_BYTES] {
    let (mut header, digits) =
        if version < VERSION_OF_VALKEY { (*b"REDIS0000", 5) } else { (*b"VALKEY000", 6) };
    let mut rest = version;
    for digit in header[digits..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    header
}

/// The checksum of a file, from its header and the checksum and length of what follows.
pub fn checksum(header: &[u8], rest: u64, rest_bytes: u64) -> u64 {
    crc::join(crc64(0, header), rest, rest_bytes)
}

/// A part of a file as it leaves the writer.
#[derive(Debug)]
pub enum Part {
    /// Bytes, and where in them are strings to be compressed: from the length of each to its end.
    Bytes(Vec<u8>, Vec<(usize, usize)>),
    /// A long string, to be written with its length, and whether it is to be compressed.
    Text(Bytes, bool),
}

impl Part {
    /// Memory behind it, in bytes.
    pub fn len(&self) -> usize {
        match self {
            Part::Bytes(bytes, _) => bytes.len(),
            Part::Text(text, _) => text.len(),
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands out the bytes of the file.
    pub fn finish(self, mut each: impl FnMut(Bytes)) {
        match self {
            Part::Bytes(bytes, texts) if texts.is_empty() => each(bytes.into()),
            Part::Bytes(bytes, texts) => {
                let mut out = Vec::with_capacity(bytes.len());
                let mut done = 0;
                for (start, end) in texts {
                    out.extend_from_slice(&bytes[done..start]);
                    let text = &bytes[start + length_bytes(bytes[start])..end];
                    write_text(text, &mut out);
                    done = end;
                }
                out.extend_from_slice(&bytes[done..]);
                each(out.into());
            }
            Part::Text(text, compress) => {
                let mut out = Vec::new();
                let mut writer = Writer::new(&mut out, Options { compress: false });
                if let Some(packed) = compress.then(|| lzf::compress(&text, text.len() - 4)).flatten() {
                    writer.packed(&packed, text.len());
                    each(out.into());
                } else {
                    writer.len(text.len() as u64);
                    each(out.into());
                    each(text);
                }
            }
        }
    }
}

/// Bytes of a length that begins with this one.
fn length_bytes(first: u8) -> usize {
    match first >> 6 {
        0 => 1,
        1 => 2,
        _ if first & 1 == 0 => 5,
        _ => 9,
    }
}

/// A text with its length, compressed where that is shorter.
fn write_text(text: &[u8], out: &mut Vec<u8>) {
    Writer::new(out, Options { compress: true }).blob(text);
}

/// Which access bits a file keeps.
#[derive(Clone, Copy, Debug)]
pub enum Keep {
    /// None.
    Nothing,
    /// Seconds without an access.
    Idle(AccessClock),
    /// The counter of accesses.
    Frequency(AccessClock),
}

/// What is being written in pieces.
#[derive(Debug)]
enum Progress {
    /// Nodes of a list that are written.
    List(usize),
    Stream(StreamProgress),
    /// Elements of a vector set that are written.
    Vectors(u32),
    /// The nearest deadline of a field.
    Table(Option<u64>),
}

/// Writes a dump file, but for its header. See the head of the file.
#[derive(Debug)]
pub struct FileWriter {
    options: Options,
    keep: Keep,
    out: Vec<u8>,
    texts: Vec<(usize, usize)>,
    parts: Vec<Part>,
    /// Bytes in `parts`.
    part_bytes: usize,
    /// The lowest version that can hold what was written.
    version: u16,
    pinned: Version,
    /// The first key that the pinned version cannot hold.
    unfit: Option<Vec<u8>>,
    progress: Option<Progress>,
    /// Keys that were written or begun.
    keys: u64,
}

impl FileWriter {
    /// A writer that has written nothing.
    pub fn new(options: Options, keep: Keep) -> FileWriter {
        FileWriter {
            options,
            keep,
            out: Vec::new(),
            texts: Vec::new(),
            parts: Vec::new(),
            part_bytes: 0,
            version: VERSION_MIN,
            pinned: Version::Lowest,
            unfit: None,
            progress: None,
            keys: 0,
        }
    }

    /// Writes for this version; to be said before anything is written.
    pub fn pin(&mut self, version: Version) {
        self.pinned = version;
    }

    /// The first key that the version which was asked for cannot hold.
    pub fn unfit(&self) -> Option<&[u8]> {
        self.unfit.as_deref()
    }

    /// A fact about the writer.
    pub fn aux(&mut self, name: &str, value: &str) {
        self.write(|writer| {
            writer.out.push(opcode::AUX);
            writer.text(name.as_bytes());
            writer.text(value.as_bytes());
        });
    }

    /// The code of a library of functions.
    pub fn function(&mut self, code: &[u8]) {
        self.write(|writer| {
            writer.out.push(opcode::FUNCTION_2);
            writer.text(code);
        });
    }

    /// The mark at the end; the checksum follows it.
    pub fn end(&mut self) {
        self.out.push(opcode::EOF);
        self.cut();
    }

    /// The version that the header has to say: the lowest that can hold what was written, unless one is asked for.
    pub fn version(&self) -> u16 {
        self.pinned.said(self.version)
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
    pub fn take_parts(&mut self, all: bool) -> Vec<Part> {
        if all {
            self.cut();
        }
        self.part_bytes = 0;
        std::mem::take(&mut self.parts)
    }

    fn write<R>(&mut self, write: impl FnOnce(&mut Writer<'_>) -> R) -> R {
        self.write_keyed(None, write)
    }

    /// As `write`, of a value whose key stands after its type.
    fn write_keyed<R>(&mut self, key: Option<&[u8]>, write: impl FnOnce(&mut Writer<'_>) -> R) -> R {
        let FileWriter { out, options, texts, pinned, .. } = self;
        let result = write(&mut Writer { out, options: *options, version: *pinned, later: Some(texts), key });
        if self.out.len() >= PART_BYTES {
            self.cut();
        }
        result
    }

    /// What is in the buffer becomes a part.
    fn cut(&mut self) {
        if !self.out.is_empty() {
            let bytes = std::mem::replace(&mut self.out, Vec::with_capacity(PART_BYTES + PART_BYTES / 8));
            self.part_bytes += bytes.len();
            self.parts.push(Part::Bytes(bytes, std::mem::take(&mut self.texts)));
        }
    }

    fn share(&mut self, text: &Bytes) {
        self.cut();
        self.part_bytes += text.len();
        self.parts.push(Part::Text(text.clone(), self.options.compress && text.len() >= COMPRESS_FROM_BYTES));
    }

    /// What stands in front of the type.
    fn head(&mut self, head: Head<'_>) {
        self.keys += 1;
        let keep = self.keep;
        self.write(|writer| {
            if let Some(deadline) = head.deadline {
                writer.out.push(opcode::EXPIRE_TIME_MS);
                writer.out.extend_from_slice(&deadline.to_le_bytes());
            }
            match keep {
                Keep::Nothing => {}
                Keep::Idle(clock) => {
                    writer.out.push(opcode::IDLE);
                    writer.len(clock.idle_s(head.access));
                }
                Keep::Frequency(clock) => {
                    writer.out.extend_from_slice(&[opcode::FREQ, clock.decayed(head.access)])
                }
            }
        });
    }

    /// A key and its value.
    fn keyed(&mut self, key: &[u8], value: impl FnOnce(&mut Writer<'_>) -> u16) {
        let version = self.write_keyed(Some(key), value);
        self.version = self.version.max(version);
        if !self.pinned.can_hold(version) {
            self.unfit.get_or_insert_with(|| key.to_vec());
        }
    }
}

impl Sink for FileWriter {
    fn database(&mut self, index: usize, keys: usize, with_deadline: usize) {
        self.write(|writer| {
            writer.out.push(opcode::SELECT_DB);
            writer.len(index as u64);
            writer.out.push(opcode::RESIZE_DB);
            writer.len(keys as u64);
            writer.len(with_deadline as u64);
        });
    }

    fn key(&mut self, head: Head<'_>, value: ValueRef<'_>) {
        self.head(head);
        match value {
            ValueRef::Shared(text) if text.len() >= SHARED_FROM_BYTES => {
                self.write_keyed(Some(head.key), |writer| writer.kind(kind::STRING));
                self.share(text);
            }
            value => self.keyed(head.key, |writer| writer.value(value)),
        }
    }

    fn begin(&mut self, head: Head<'_>, value: &Value) {
        self.head(head);
        let mut progress = None;
        self.keyed(head.key, |writer| match value {
            Value::List(List::Quick(quick)) => {
                progress = Some(Progress::List(0));
                writer.begin_list(quick.nodes())
            }
            Value::Stream(stream) => {
                let (version, begun) = writer.begin_stream(stream);
                progress = Some(Progress::Stream(begun));
                version
            }
            Value::Vector(vectors) => {
                progress = Some(Progress::Vectors(0));
                writer.begin_vectors(vectors)
            }
            other => writer.value(other.view()),
        });
        self.progress = progress;
    }

    fn go_on(&mut self, value: &Value) -> bool {
        let more = match (self.progress.take(), value.view()) {
            (Some(Progress::List(done)), ValueRef::List(ListRef::Quick(quick))) => {
                self.write(|writer| {
                    quick.views_from(done).take(NODES_A_STEP).for_each(|view| writer.node(view));
                });
                let done = done + NODES_A_STEP;
                (done < quick.nodes()).then_some(Progress::List(done))
            }
            (Some(Progress::Stream(mut progress)), ValueRef::Stream(stream)) => {
                let more = self.write(|writer| writer.go_on_with_stream(stream, &mut progress));
                more.then_some(Progress::Stream(progress))
            }
            (Some(Progress::Vectors(mut next)), ValueRef::Vector(vectors)) => {
                let more = self.write(|writer| writer.go_on_with_vectors(vectors, &mut next));
                more.then_some(Progress::Vectors(next))
            }
            _ => None,
        };
        self.progress = more;
        self.progress.is_some()
    }

    fn begin_table(&mut self, head: Head<'_>, table: Table) {
        self.head(head);
        self.keyed(head.key, |writer| writer.begin_table(table));
        self.progress = Some(Progress::Table(if let Table::Hash(_, first) = table { first } else { None }));
    }

    fn member(&mut self, cell: Cell<'_>) {
        let first = if let Some(Progress::Table(first)) = self.progress { first } else { None };
        self.write(|writer| writer.member(cell, first));
    }

    fn end_table(&mut self) {
        self.progress = None;
    }
}
