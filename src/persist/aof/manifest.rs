//! The manifest: which files make up the append-only file, and in which order.
//!
//! A line is `file NAME seq NUMBER type LETTER`, the letter being `b` for the one base, `i` for an increment and `h` for what
//! a rewrite has made superfluous; other pairs may follow. A file is removed only once the manifest that does not need it is
//! on the disk, and a manifest that names a file is written only once the file is there, so that whatever the power does, the
//! manifest on the disk names files that are there:
//!
//! * [`Manifest::open_increment`]: make the file, write the manifest, then write to the file.
//! * [`Manifest::finish_rewrite`]: write and sync the base, write the manifest, remove [`Manifest::history`], then
//!   [`Manifest::forget_history`] and write the manifest again. A rewrite that fails removes its temporary file and nothing
//!   else: the increments that it has opened follow those before.
//!
//! All of them change a manifest in memory: change a copy, and keep it once it is written.

use super::number::leading_i64;
use crate::base::quote::{repr, split_args};
use std::fmt;

/// Bytes of a line that are looked at. Redis: `MANIFEST_MAX_LINE`.
const LINE_BYTES_MAX: usize = 1024;
/// Names and values that a line has at least: three pairs.
const WORDS_MIN: usize = 6;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The data at the time of the last rewrite.
    Base,
    /// What has changed since.
    Increment,
    /// What a rewrite has made superfluous.
    History,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Kind::Base => 'b',
            Kind::Increment => 'i',
            Kind::History => 'h',
        }
    }
}

/// In which form a base is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As a dump file (`aof-use-rdb-preamble yes`).
    Dump,
    /// As commands.
    Commands,
}

/// A file that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, without a folder. It can hold any byte but a slash and zero.
    pub name: Vec<u8>,
    /// Its number among those of its kind.
    pub seq: i64,
    /// What it is for.
    pub kind: Kind,
    /// The replication offset at which it begins, if that is known.
    pub start: Option<i64>,
    /// The replication offset at which it ends; only a server that ended in order has written it.
    pub end: Option<i64>,
}

impl fmt::Display for File {
    /// Its line, without the line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let File { name, seq, kind, start, end } = self;
        let is_plain = name.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"'));
        let name = if is_plain { String::from_utf8_lossy(name).into_owned() } else { repr(name) };
        write!(f, "file {name} seq {seq} type {}", kind.letter())?;
        let Some(start) = start else { return Ok(()) };
        write!(f, " startoffset {start}")?;
        end.map_or(Ok(()), |end| write!(f, " endoffset {end}"))
    }
}

impl File {
    /// A file that is all there is.
    pub fn alone(name: &str) -> File {
        File { kind: Kind::Base, ..file(name.to_owned(), 1) }
    }
}

/// A text that is no manifest. `Display` is what is wrong with it, in the words of Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadManifest {
    /// The line, counted from one; zero where there is none.
    pub line: usize,
    /// Its text, where it could be read.
    pub text: Option<Vec<u8>>,
    /// What is wrong.
    pub what: &'static str,
}

impl fmt::Display for BadManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl std::error::Error for BadManifest {}

impl BadManifest {
    /// The lines of the log that say so.
    pub fn log_lines(&self) -> Vec<String> {
        let mut lines = vec!["\n*** FATAL AOF MANIFEST FILE ERROR ***\n".to_owned()];
        if let Some(text) = &self.text {
            lines.push(format!("Reading the manifest file, at line {}\n", self.line));
            lines.push(format!(">>> '{}'\n", String::from_utf8_lossy(text)));
        }
        lines.push(format!("{}\n", self.what));
        lines
    }
}

const BAD_FORMAT: &str = "Invalid AOF manifest file format";

/// How the files are called; all names follow from `appendfilename`.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a>(pub &'a str);

impl Names<'_> {
    /// The manifest.
    pub fn manifest(self) -> String {
        format!("{}.manifest", self.0)
    }

    /// The manifest while it is being written; it is renamed once it is on the disk.
    pub fn temporary_manifest(self) -> String {
        format!("temp-{}.manifest", self.0)
    }

    /// The increment that is written while a server that had no append-only file makes its first base.
    pub fn temporary_increment(self) -> String {
        format!("temp-{}.incr", self.0)
    }

    /// A base while it is being written by the process with this number.
    pub fn temporary_base(process: u32) -> String {
        format!("temp-rewriteaof-bg-{process}.aof")
    }

    /// The base with this number.
    pub fn base(self, seq: i64, form: Form) -> String {
        let ending = match form {
            Form::Dump => "rdb",
            Form::Commands => "aof",
        };
        format!("{}.{seq}.base.{ending}", self.0)
    }

    /// The increment with this number.
    pub fn increment(self, seq: i64) -> String {
        format!("{}.{seq}.incr.aof", self.0)
    }
}

/// See the head of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    base: Option<File>,
    history: Vec<File>,
    increments: Vec<File>,
    /// The number of the last base.
    base_seq: i64,
    /// The number of the last increment.
    increment_seq: i64,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// [`BadManifest`] for the first line that is not what it should be.
    pub fn parse(text: &[u8]) -> Result<Manifest, BadManifest> {
        let mut manifest = Manifest::default();
        let (mut rest, mut number) = (text, 0);
        while !rest.is_empty() {
            number += 1;
            let longest = &rest[..rest.len().min(LINE_BYTES_MAX)];
            let end = longest.iter().position(|&byte| byte == b'\n').map_or(longest.len(), |at| at + 1);
            let (line, behind) = rest.split_at(end);
            rest = behind;
            if line[0] == b'#' {
                continue;
            }
            // A zero ends a line in the eyes of C, and hides its line end.
            if line.last() != Some(&b'\n') || line.contains(&0) {
                let what = "The AOF manifest file contains too long line";
                return Err(BadManifest { line: number, text: None, what });
            }
            let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
            let from = line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
            let to = line.iter().rposition(|byte| !is_blank(byte)).map_or(from, |at| at + 1);
            let line = &line[from..to];
            let added = file_of(line).and_then(|file| manifest.add(file));
            added.map_err(|what| BadManifest { line: number, text: Some(line.to_vec()), what })?;
        }
        match number {
            0 => Err(BadManifest { line: 0, text: None, what: "Found an empty AOF manifest" }),
            _ => Ok(manifest),
        }
    }

    fn add(&mut self, file: File) -> Result<(), &'static str> {
        match file.kind {
            Kind::Base if self.base.is_some() => return Err("Found duplicate base file information"),
            Kind::Base => {
                self.base_seq = file.seq;
                self.base = Some(file);
            }
            Kind::History => self.history.push(file),
            Kind::Increment if file.seq <= self.increment_seq => {
                return Err("Found a non-monotonic sequence number");
            }
            Kind::Increment => {
                self.increment_seq = file.seq;
                self.increments.push(file);
            }
        }
        Ok(())
    }

    /// The text of the file: the base, then the history, then the increments.
    pub fn text(&self) -> String {
        let all = self.base.iter().chain(&self.history).chain(&self.increments);
        all.map(|file| format!("{file}\n")).collect()
    }

    /// The base, if there is one.
    pub fn base(&self) -> Option<&File> {
        self.base.as_ref()
    }

    /// The increments, in the order in which they are to be read.
    pub fn increments(&self) -> &[File] {
        &self.increments
    }

    /// The files that are to be read, in this order.
    pub fn needed(&self) -> impl Iterator<Item = &File> {
        self.base.iter().chain(&self.increments)
    }

    /// The files that may be removed once this manifest is on the disk.
    pub fn history(&self) -> &[File] {
        &self.history
    }

    /// Whether there is nothing to be read.
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.increments.is_empty()
    }

    /// Whether the one file in which a server before 7.0 kept everything is to be taken over, if it lies beside the folder;
    /// `is_in_folder` says whether a file of its name lies in the folder. Nothing was taken over yet, or the power failed
    /// between the manifest and the move of the file.
    pub fn takes_over(&self, names: Names<'_>, is_in_folder: bool) -> bool {
        let was_begun = |base: &File| base.name == names.0.as_bytes() && !is_in_folder;
        self.increments.is_empty() && self.base.as_ref().is_none_or(was_begun)
    }

    /// The one file of a server before 7.0 becomes the base. Write the manifest, then move the file into the folder.
    pub fn take_over(&mut self, names: Names<'_>) {
        self.base_seq = 1;
        self.base = Some(File::alone(names.0));
    }

    /// A new increment that begins at this replication offset; writes go to it from now on.
    pub fn open_increment(&mut self, names: Names<'_>, start: i64) -> &File {
        self.increment_seq += 1;
        let name = names.increment(self.increment_seq);
        let at = self.increments.len();
        self.increments.push(File { start: Some(start), ..file(name, self.increment_seq) });
        &self.increments[at]
    }

    /// The number that the next increment would get is left out: a file of its name was made, and nobody knows whether that name will ever be
    /// durable, for the system tells of an error once and then calls everything done.
    pub fn skip_increment(&mut self) {
        self.increment_seq += 1;
    }

    /// As well of a base: a manifest that names one of that number may have got to the disk.
    pub fn skip_base(&mut self) {
        self.base_seq += 1;
    }

    /// The increment that is being written is complete up to this replication offset: the server ends in order.
    pub fn close_increment(&mut self, end: i64) {
        if let Some(last) = self.increments.last_mut() {
            last.end = Some(end);
        }
    }

    /// The last increment is to be written on after a start. The replication offset at which it ended, if that is known.
    pub fn reopen_increment(&mut self) -> Option<i64> {
        self.increments.last_mut()?.end.take()
    }

    /// The number of the last base that was named or skipped; 0 before the first.
    pub fn last_base_seq(&self) -> i64 {
        self.base_seq
    }

    /// The name that the next base gets.
    pub fn next_base(&self, names: Names<'_>, form: Form) -> String {
        names.base(self.base_seq + 1, form)
    }

    /// A new base, called [`Manifest::next_base`], holds all that happened before the increment with the number `since` was
    /// begun: the base and the increments before that one become history.
    pub fn finish_rewrite(&mut self, names: Names<'_>, form: Form, since: i64) {
        let name = self.next_base(names, form);
        self.base_seq += 1;
        let base = File { kind: Kind::Base, ..file(name, self.base_seq) };
        let old = self.base.replace(base);
        let kept = self.increments.partition_point(|file| file.seq < since);
        let rewritten = self.increments.drain(..kept).chain(old);
        let history: Vec<File> = rewritten.map(|file| File { kind: Kind::History, ..file }).collect();
        self.history.splice(..0, history);
    }

    /// What was there before the last increment was begun.
    pub fn before_last_increment(&self) -> Manifest {
        let mut before = self.clone();
        before.increments.pop();
        before.history.clear();
        before
    }

    /// The files of the history are removed.
    pub fn forget_history(&mut self) {
        self.history.clear();
    }
}

/// An increment.
fn file(name: String, seq: i64) -> File {
    File { name: name.into_bytes(), seq, kind: Kind::Increment, start: None, end: None }
}

/// What a line says.
fn file_of(line: &[u8]) -> Result<File, &'static str> {
    let words = split_args(line).ok_or(BAD_FORMAT)?;
    if words.len() < WORDS_MIN || words.len() % 2 != 0 {
        return Err(BAD_FORMAT);
    }
    let (mut name, mut seq, mut letter, mut start, mut end) = (None, 0, None, None, None);
    for pair in words.chunks_exact(2) {
        let value = pair[1].split(|&byte| byte == 0).next().unwrap_or_default();
        match pair[0].to_ascii_lowercase().as_slice() {
            b"file" if value.iter().any(|byte| matches!(byte, b'/' | b'\\')) => {
                return Err("File can't be a path, just a filename");
            }
            b"file" => name = Some(value.to_vec()),
            b"seq" => seq = leading_i64(value).0,
            b"type" => letter = value.first().copied(),
            b"startoffset" => start = Some(leading_i64(value).0),
            b"endoffset" => end = Some(leading_i64(value).0),
            // Later servers may say more.
            _ => {}
        }
    }
    let (Some(name), Some(letter), true) = (name, letter, seq != 0) else { return Err(BAD_FORMAT) };
    let kind = match letter {
        b'b' => Kind::Base,
        b'i' => Kind::Increment,
        b'h' => Kind::History,
        _ => return Err("Unknown AOF file type"),
    };
    // Minus one stands for an offset that is not known.
    let known = |offset: Option<i64>| offset.filter(|&offset| offset != -1);
    Ok(File { name, seq, kind, start: known(start), end: known(end) })
}

#[cfg(test)]
mod tests;
