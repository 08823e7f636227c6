//! The machine that reads a file of commands: pieces of any size go in, whole commands come out.
//!
//! A short command is lent as spans of the bytes that came, without a copy; a large argument is gathered in a buffer of its
//! own that grows with what comes, whatever length it claims. Between the commands stand lines that begin with `#`, of which
//! `#TS:` with a time is told, and an integrity line has its batch checked before a command of it is given out
//! ([`super::integrity`]); all others are passed over. A file that begins as a dump is read as one first.
//!
//! The grammar is that of `redis-check-aof`: every line and every argument ends with CR LF. Redis's server looks at neither
//! when it loads; a file whose line ends are damaged is refused here. [`Scanner::valid_up_to`] says where to cut what cannot
//! be read: after the last whole command, or before the MULTI whose EXEC did not come.

mod bad;
mod batches;

use super::integrity::{self, Line as IntegrityLine};
use super::number::leading_i64;
use crate::base::limit::ARGUMENTS_MAX;
use crate::keyspace::Tuning;
use crate::persist::input::Input;
use crate::persist::rdb::file::{self, FileReader, ReadOptions};
use crate::resp::args::{Args, Span};
use crate::resp::parse::parse_plain;
pub use bad::{BadAof, Cause, Within};
use bytes::Bytes;
use std::fmt;

/// A line that begins with `#` ends here at the latest. Redis: `AOF_ANNOTATION_LINE_MAX_LEN`.
const ANNOTATION_BYTES_MAX: usize = 1023;
/// A line with a count or a length ends here at the latest.
const LINE_BYTES_MAX: usize = 127;
/// An argument that is not all there and longer than this is gathered.
const GATHER_FROM_BYTES: u64 = 64 << 10;
/// Room that a gathered argument gets at first, whatever length it claims.
const GATHER_ROOM_BYTES: usize = 256 << 10;
/// An unfinished command with so many bytes owns its arguments.
const OWN_FROM_BYTES: usize = 256 << 20;
/// Arguments, or lines that are passed over, that one call takes.
const PARTS_PER_CALL: usize = 4096;

/// What a scanner has for whoever asks.
#[derive(Debug)]
pub enum Next<'a> {
    /// It needs more bytes.
    Need,
    /// There is more to do, after whatever else is to be done.
    More,
    /// A part of the file.
    Item(Item<'a>),
    /// The file ended as it should.
    End,
}

/// A part of a file.
pub enum Item<'a> {
    /// A command.
    Command(Args<'a>),
    /// A line with the time at which what follows happened, as Unix time in seconds; none where the line holds no number.
    Timestamp(Option<i64>),
    /// A part of the dump at the beginning.
    Dump(file::Item<'a>),
}

impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Command(args) => {
                f.debug_list().entries(args.iter_from(0).map(String::from_utf8_lossy)).finish()
            }
            Item::Timestamp(time) => f.debug_tuple("Timestamp").field(time).finish(),
            Item::Dump(item) => f.debug_tuple("Dump").field(item).finish(),
        }
    }
}

/// An argument of which a part is there.
#[derive(Debug)]
struct Gather {
    /// Where it begins in the file.
    from: u64,
    bytes: Vec<u8>,
    /// Its bytes in all.
    len: u64,
}

/// Reads one file. See the head of this one.
#[derive(Debug)]
pub struct Scanner {
    input: Input,
    options: ReadOptions,
    /// Bytes of the file, if that is known.
    file_bytes: Option<u64>,
    /// All bytes of the file were fed.
    is_fed: bool,
    /// It is known whether the file begins with a dump.
    is_begun: bool,
    dump: Option<Box<FileReader>>,
    is_dump_over: bool,
    command: Command,
    /// Lines of commands that were read.
    lines: u64,
    is_in_transaction: bool,
    valid_up_to: u64,
    whole_up_to: u64,
    /// Where the last line or argument began that was looked at.
    looked_at: u64,
    /// What is to be done before the next command is read.
    special: Option<Special>,
    batches: batches::Batches,
}

/// What is to be done before a command is read.
#[derive(Debug)]
enum Special {
    /// This is wrong, but it is not known whether only zeros follow.
    Zeros(BadAof),
    /// A batch is to be checked.
    Batch(batches::Open),
    /// This is wrong, but it is not known whether a batch follows.
    Search(batches::Search),
}

/// The command that is being read, or was read last.
#[derive(Debug, Default)]
struct Command {
    /// Arguments to come; none before its first line was read.
    left: Option<usize>,
    /// What is to be read next, counted from the first byte that was not given away.
    at: usize,
    /// Arguments, as spans from its first byte on.
    spans: Vec<Span>,
    /// All arguments so far, if one of them is large.
    owned: Option<Vec<Bytes>>,
    gather: Option<Gather>,
}

/// What a step has found.
enum Found {
    Need,
    More,
    /// A command, which is the last so many bytes if it does not own its arguments.
    Command(usize),
    Timestamp(Option<i64>),
    End,
}

impl Scanner {
    /// A scanner at the beginning of a file, of so many bytes if that is known: what claims to be longer is then known to be
    /// cut off before it is gathered.
    pub fn new(options: ReadOptions, file_bytes: Option<u64>) -> Scanner {
        Scanner {
            input: Input::from(0),
            options,
            file_bytes,
            is_fed: false,
            is_begun: false,
            dump: None,
            is_dump_over: false,
            command: Command::default(),
            lines: 0,
            is_in_transaction: false,
            valid_up_to: 0,
            whole_up_to: 0,
            looked_at: 0,
            special: None,
            batches: batches::Batches::default(),
        }
    }

    /// Takes the next bytes of the file.
    pub fn feed(&mut self, piece: &[u8]) {
        match &mut self.dump {
            Some(dump) => dump.feed(piece),
            None => self.input.feed(piece),
        }
    }

    /// There are no more bytes: the file must end with what was fed.
    pub fn finish(&mut self) {
        self.is_fed = true;
        if let Some(dump) = &mut self.dump {
            dump.finish();
        }
    }

    /// Bytes of the file that were read.
    pub fn offset(&self) -> u64 {
        self.dump.as_ref().map_or(self.input.offset(), |dump| dump.offset())
    }

    /// Up to here the file can be kept: after the last whole command that is in no open transaction, or after the dump.
    pub fn valid_up_to(&self) -> u64 {
        self.valid_up_to
    }

    /// As [`Scanner::valid_up_to`], but after the lines that follow the command and begin with `#` too, as `redis-check-aof`
    /// counts.
    pub fn whole_up_to(&self) -> u64 {
        self.whole_up_to
    }

    /// Lines of commands that were read, each argument being two of them.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Where the last line or argument begins that was looked at.
    pub fn looked_at(&self) -> u64 {
        self.looked_at
    }

    /// Where to cut the file so that what was looked at last goes: there, or before the integrity line of the batch that
    /// begins there.
    pub fn cut_before(&self) -> u64 {
        self.batches.cut_before(self.looked_at)
    }

    /// Whether a MULTI came whose EXEC did not.
    pub fn is_in_transaction(&self) -> bool {
        self.is_in_transaction
    }

    /// The reader of the dump at the beginning, while that is being read.
    pub fn dump(&self) -> Option<&FileReader> {
        self.dump.as_deref()
    }

    /// Reads on, up to the next item.
    ///
    /// # Errors
    ///
    /// [`BadAof`] when the file is not what it should be; the scanner is of no use then, but for what it can say.
    #[inline]
    pub fn next(&mut self, tuning: &Tuning) -> Result<Next<'_>, BadAof> {
        if !self.is_begun && !self.begin() {
            return Ok(Next::Need);
        }
        if self.is_dump_over {
            self.leave_dump();
            return Ok(Next::More);
        }
        if self.dump.is_some() {
            return self.next_of_dump(tuning);
        }
        Ok(match self.step()? {
            Found::Need => Next::Need,
            Found::More => Next::More,
            Found::End => Next::End,
            Found::Timestamp(time) => Next::Item(Item::Timestamp(time)),
            Found::Command(bytes) => Next::Item(Item::Command(match &self.command.owned {
                Some(owned) => Args::Owned(owned),
                None => Args::Spans(self.input.last(bytes), &self.command.spans),
            })),
        })
    }

    fn next_of_dump(&mut self, tuning: &Tuning) -> Result<Next<'_>, BadAof> {
        let Some(dump) = &mut self.dump else { return Ok(Next::More) };
        Ok(match dump.next(tuning)? {
            file::Next::Need => Next::Need,
            file::Next::More => Next::More,
            file::Next::Item(item) => Next::Item(Item::Dump(item)),
            file::Next::End => {
                self.is_dump_over = true;
                Next::More
            }
        })
    }

    /// Looks whether the file begins with a dump; false when more bytes are needed for that.
    #[cold]
    fn begin(&mut self) -> bool {
        const MAGICS: [&[u8]; 2] = [b"REDIS", b"VALKEY"];
        let start = self.input.rest();
        if !self.is_fed && MAGICS.iter().any(|magic| start.len() < magic.len() && magic.starts_with(start)) {
            return false;
        }
        self.is_begun = true;
        if MAGICS.iter().any(|magic| start.starts_with(magic)) {
            let mut dump = Box::new(FileReader::new(self.options));
            dump.feed(start);
            if self.is_fed {
                dump.finish();
            }
            self.input = Input::default();
            self.dump = Some(dump);
        }
        true
    }

    /// Goes on with the commands that follow the dump.
    #[cold]
    fn leave_dump(&mut self) {
        self.is_dump_over = false;
        if let Some(dump) = self.dump.take() {
            self.input = Input::from(dump.offset());
            self.input.feed(dump.behind_end());
            let end = dump.offset();
            (self.valid_up_to, self.whole_up_to, self.looked_at) = (end, end, end);
        }
    }

    #[inline]
    fn step(&mut self) -> Result<Found, BadAof> {
        if self.command.left.is_none() && self.special.is_none() {
            self.command.spans.clear();
            let input = self.input.rest();
            if let Some(end) = parse_plain(input, 0, &mut self.command.spans)
                && self.command.spans.iter().all(|span| {
                    // Requests of clients may end their lines with any byte after CR.
                    input[span.start as usize - 1] == b'\n' && ends_line(input, span.end as usize)
                })
            {
                self.command.owned = None;
                self.input.consume(end);
                return Ok(self.whole(end));
            }
            self.command.spans.clear();
        }
        self.step_closely()
    }

    /// A command of so many bytes is whole, and was read.
    #[inline]
    fn whole(&mut self, bytes: usize) -> Found {
        let Command { spans, owned, .. } = &self.command;
        let end = self.input.offset();
        let (count, is_multi, is_exec) = match owned {
            None => {
                let name = &self.input.last(bytes)[spans[0].start as usize..spans[0].end as usize];
                let last = spans[spans.len() - 1];
                self.looked_at = end - bytes as u64 + u64::from(last.start);
                (spans.len(), name.eq_ignore_ascii_case(b"multi"), name.eq_ignore_ascii_case(b"exec"))
            }
            Some(owned) => {
                let last = owned.last().map_or(0, |last| last.len() as u64 + 2);
                self.looked_at = end - last;
                let name = owned.first().map(|name| &name[..]).unwrap_or_default();
                (owned.len(), name.eq_ignore_ascii_case(b"multi"), name.eq_ignore_ascii_case(b"exec"))
            }
        };
        self.lines += 1 + 2 * count as u64;
        self.is_in_transaction = is_multi || (self.is_in_transaction && !is_exec);
        if !self.is_in_transaction {
            (self.valid_up_to, self.whole_up_to) = (end, end);
        }
        Found::Command(bytes)
    }

    #[cold]
    fn step_closely(&mut self) -> Result<Found, BadAof> {
        match self.special.take() {
            Some(Special::Batch(open)) => return self.check_batch(open),
            Some(Special::Search(search)) => return self.search(search),
            special => self.special = special,
        }
        match self.look_closely() {
            Err(bad) if bad.cause != Cause::Line => self.wrong_elsewhere(bad),
            result => result,
        }
    }

    fn look_closely(&mut self) -> Result<Found, BadAof> {
        if let Some(Special::Zeros(bad)) = self.special.take() {
            return self.pass_zeros(bad);
        }
        for _ in 0..PARTS_PER_CALL {
            let found = match (self.command.left, self.input.rest().first()) {
                (Some(0), _) => {
                    self.command.left = None;
                    let bytes = std::mem::take(&mut self.command.at);
                    self.input.consume(bytes);
                    return Ok(self.whole(bytes));
                }
                (Some(_), _) if self.command.gather.is_some() => self.go_on_gathering()?,
                (Some(left), _) => self.argument(left)?,
                (None, None) if !self.is_fed => return Ok(Found::Need),
                (None, None) if self.is_in_transaction => {
                    return Err(BadAof::new(self.looked_at, Cause::Ends(Within::Transaction)));
                }
                (None, None) => return Ok(Found::End),
                (None, Some(b'#')) => self.annotation()?,
                (None, Some(b'*')) => self.count()?,
                (None, Some(&byte)) => {
                    return self.wrong(BadAof::new(self.input.offset(), Cause::NoCommand(byte)), 0);
                }
            };
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Ok(Found::More)
    }

    /// Reads a line that begins with `#`.
    fn annotation(&mut self) -> Result<Option<Found>, BadAof> {
        let text = self.input.rest();
        let text = &text[..text.len().min(ANNOTATION_BYTES_MAX)];
        let end = text.iter().position(|&byte| byte == b'\n' || byte == 0);
        if let Some(zero) = end.filter(|&end| text[end] == 0) {
            // No server writes a zero there.
            self.looked_at = self.input.offset();
            return self.wrong(BadAof::new(self.looked_at, Cause::LineEnd(0, 0)), zero).map(Some);
        }
        let line = match end {
            Some(at) => &text[..=at],
            None if text.len() < ANNOTATION_BYTES_MAX && !self.is_fed => return Ok(Some(Found::Need)),
            // What is appended would become a part of it.
            None if text.len() < ANNOTATION_BYTES_MAX => {
                self.looked_at = self.input.offset();
                return Err(BadAof::new(self.looked_at, Cause::Ends(Within::Remark)));
            }
            None => text,
        };
        let bytes = line.len();
        match integrity::parse(line) {
            IntegrityLine::None | IntegrityLine::Unchecked => {}
            IntegrityLine::Batch(batch) => return Ok(Some(self.begin_batch(batch, bytes))),
            IntegrityLine::Damaged(len) => {
                self.looked_at = self.input.offset();
                return self.damaged_line(len, bytes).map(Some);
            }
        }
        let found = line.strip_prefix(b"#TS:").map(|text| {
            let (time, bytes) = leading_i64(text);
            Found::Timestamp((text.get(bytes) == Some(&b'\r')).then_some(time))
        });
        self.looked_at = self.input.offset();
        self.input.consume(bytes);
        if !self.is_in_transaction {
            self.whole_up_to = self.input.offset();
        }
        Ok(found)
    }

    /// Reads the first line of a command.
    fn count(&mut self) -> Result<Option<Found>, BadAof> {
        let (count, bytes) = match self.line(b'*')? {
            Line::Number(count, bytes) => (count, bytes),
            Line::Found(found) => return Ok(Some(found)),
        };
        if !(1..=ARGUMENTS_MAX).contains(&count) {
            return Err(BadAof::new(self.input.offset(), Cause::Count(count)));
        }
        self.command.left = Some(count as usize);
        self.command.at = bytes;
        self.command.owned = None;
        Ok(None)
    }

    /// Reads an argument, or begins to gather it.
    fn argument(&mut self, left: usize) -> Result<Option<Found>, BadAof> {
        if self.command.at > OWN_FROM_BYTES {
            self.own();
        }
        let (len, line) = match self.line(b'$')? {
            Line::Number(len, bytes) => (len, bytes),
            Line::Found(found) => return Ok(Some(found)),
        };
        if len < 0 {
            self.lines += self.lines_of_open() + 1;
            return Err(BadAof::new(self.input.offset() + self.command.at as u64, Cause::Length(len)));
        }
        let start = self.command.at + line;
        let from = self.input.offset() + start as u64;
        let there = (self.input.rest().len() - start) as u64;
        let len = len as u64;
        if there < len.saturating_add(2) {
            let to_come = self.file_bytes.filter(|_| !self.is_fed).map(|bytes| bytes.saturating_sub(from));
            let there_at_last = if self.is_fed { Some(there) } else { to_come };
            if let Some(got) = there_at_last.filter(|&got| got < len.saturating_add(2)) {
                return Err(self.cut_off(from, len, got));
            }
            if len <= GATHER_FROM_BYTES {
                return Ok(Some(Found::Need));
            }
            self.own();
            self.input.consume(line);
            let room = usize::try_from(len).unwrap_or(usize::MAX).min(GATHER_ROOM_BYTES);
            self.command.gather = Some(Gather { from, bytes: Vec::with_capacity(room), len });
            return Ok(None);
        }
        let end = start + len as usize;
        if !ends_line(self.input.rest(), end) {
            return self.no_line_end(from, end).map(Some);
        }
        match &mut self.command.owned {
            Some(owned) => {
                owned.push(Bytes::copy_from_slice(&self.input.rest()[start..end]));
                self.input.consume(end + 2);
            }
            None => {
                self.command.spans.push(Span { start: start as u32, end: end as u32 });
                self.command.at = end + 2;
            }
        }
        self.command.left = Some(left - 1);
        Ok(None)
    }

    /// The arguments so far are copied, and their bytes leave the input.
    fn own(&mut self) {
        if self.command.owned.is_none() {
            let input = self.input.rest();
            let copy = |span: &Span| Bytes::copy_from_slice(&input[span.start as usize..span.end as usize]);
            self.command.owned = Some(self.command.spans.iter().map(copy).collect());
            self.command.spans.clear();
        }
        self.input.consume(std::mem::take(&mut self.command.at));
    }

    fn go_on_gathering(&mut self) -> Result<Option<Found>, BadAof> {
        let Some(gather) = &mut self.command.gather else { return Ok(None) };
        let rest = self.input.rest();
        let wanted = usize::try_from(gather.len - gather.bytes.len() as u64).unwrap_or(usize::MAX);
        let there = wanted.min(rest.len());
        gather.bytes.extend_from_slice(&rest[..there]);
        self.input.consume(there);
        if there < wanted || self.input.rest().len() < 2 {
            if !self.is_fed {
                return Ok(Some(Found::Need));
            }
            let (from, len) = (gather.from, gather.len);
            let got = gather.bytes.len() as u64 + self.input.rest().len() as u64;
            return Err(self.cut_off(from, len, got));
        }
        let from = gather.from;
        if !ends_line(self.input.rest(), 0) {
            return self.no_line_end(from, 0).map(Some);
        }
        self.input.consume(2);
        if let (Some(gather), Some(owned)) = (self.command.gather.take(), &mut self.command.owned) {
            owned.push(Bytes::from(gather.bytes));
        }
        self.command.left = self.command.left.map(|left| left.saturating_sub(1));
        Ok(None)
    }

    /// Lines of the command that is being read, as far as it was read.
    fn lines_of_open(&self) -> u64 {
        let arguments = self.command.owned.as_ref().map_or(self.command.spans.len(), Vec::len);
        if self.command.left.is_some() { 1 + 2 * arguments as u64 } else { 0 }
    }

    /// The file ends within the argument of `len` bytes that begins at `from`.
    #[cold]
    fn cut_off(&mut self, from: u64, len: u64, got: u64) -> BadAof {
        self.lines += self.lines_of_open() + 1;
        let wanted = i64::try_from(len).unwrap_or(i64::MAX).saturating_add(2);
        BadAof::new(from, Cause::Ends(Within::Argument { wanted, got }))
    }

    /// The argument that begins at `from` does not end as it should.
    #[cold]
    fn no_line_end(&mut self, from: u64, end: usize) -> Result<Found, BadAof> {
        self.lines += self.lines_of_open() + 1;
        let rest = &self.input.rest()[end..];
        self.wrong(BadAof::new(from, Cause::LineEnd(rest[0], rest[1])), end)
    }

    /// Reads a line with a number, which begins with this byte. It is not given away yet.
    fn line(&mut self, prefix: u8) -> Result<Line, BadAof> {
        let at = self.command.at;
        let place = self.input.offset() + at as u64;
        let text = &self.input.rest()[at..];
        let Some(&first) = text.first() else {
            return self.ends(place, Within::Command);
        };
        if first != prefix {
            self.lines += self.lines_of_open();
            let bad = BadAof::new(place, Cause::Prefix { wanted: prefix, got: first });
            return self.wrong(bad, at).map(Line::Found);
        }
        let text = &text[..text.len().min(LINE_BYTES_MAX)];
        let end = text.iter().position(|&byte| byte == b'\n');
        let line = end.map_or(text, |end| &text[..=end]);
        let (number, digits) = leading_i64(&line[1..]);
        let behind = 1 + digits;
        if line[behind..].starts_with(b"\r\n") {
            return Ok(Line::Number(number, behind + 2));
        }
        let byte = |at: usize| line.get(at).copied().unwrap_or(0);
        let (first, second) = (byte(behind), byte(behind + 1));
        // Where the number has ended and two other bytes follow, the line is wrong however it goes on.
        let may_go_on = digits == 0 && matches!(first, b' ' | b'+' | b'-' | 0x09..=0x0d);
        let is_decided = behind + 1 < line.len() && !may_go_on;
        if end.is_none() && text.len() < LINE_BYTES_MAX && !is_decided {
            return self.ends(place, Within::Line(first, second));
        }
        self.lines += self.lines_of_open();
        self.wrong(BadAof::new(place, Cause::LineEnd(first, second)), at + behind).map(Line::Found)
    }

    /// The bytes that are there end within something that begins at `place`.
    fn ends(&mut self, place: u64, within: Within) -> Result<Line, BadAof> {
        if !self.is_fed {
            return Ok(Line::Found(Found::Need));
        }
        self.lines += self.lines_of_open();
        Err(BadAof::new(place, Cause::Ends(within)))
    }

    /// The file is wrong; if a zero stands at `from` it is to be seen first whether only zeros follow.
    #[cold]
    fn wrong(&mut self, bad: BadAof, from: usize) -> Result<Found, BadAof> {
        let rest = self.input.rest();
        // The first half of a line end may have been written.
        let from = from + usize::from(rest.get(from) == Some(&b'\r'));
        if rest.get(from) != Some(&0) {
            return Err(bad);
        }
        self.input.consume(from);
        self.pass_zeros(bad)
    }

    fn pass_zeros(&mut self, mut bad: BadAof) -> Result<Found, BadAof> {
        let rest = self.input.rest();
        bad.is_zeros = rest.iter().all(|&byte| byte == 0);
        if self.is_fed || !bad.is_zeros {
            return Err(bad);
        }
        self.input.consume(rest.len());
        self.special = Some(Special::Zeros(bad));
        Ok(Found::Need)
    }
}

/// What a line with a number came to.
enum Line {
    /// The number, and bytes of the line.
    Number(i64, usize),
    /// It is not there, or not yet.
    Found(Found),
}

/// Whether a line ends at `at`.
#[inline(always)]
fn ends_line(input: &[u8], at: usize) -> bool {
    input.get(at..at + 2) == Some(b"\r\n")
}

#[cfg(test)]
mod tests;
