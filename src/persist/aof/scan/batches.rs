//! Batches after an integrity line: none of their commands is given out before the checksum is known to be right.
//!
//! The batch is held as a whole, so a reader holds at most the largest batch of its file. What is wrong in a file is told only
//! when the rest of it was looked at ([`BadAof::is_followed`]):
//!
//! * A batch after the damage whose line says that more was durable than is whole before it says that the disk has lost it. Its
//!   checksum must be right, going on from that of the batch before it, from what the damaged line may have said, from what
//!   was computed up to it, or anew. All of these come from one sum over the rest of the file.
//! * Lines that do not say what was durable, in a file where none has said it so far, are believed without that: one counts if the
//!   file goes on after its batch as it should, or ends.

use super::super::integrity::{self, Batch, Line};
use super::{ANNOTATION_BYTES_MAX, BadAof, Cause, Found, Scanner, Special, Within};
use crate::base::crc::{crc64, join};
use std::collections::BTreeMap;

/// So many lines of batches after a damage are looked at at a time.
const CANDIDATES_MAX: usize = 64;
/// So many checksums that may have been before are kept at a time.
const SUMS_MAX: usize = 24;
/// So many checksums are compared after a damage; where none of them is right nothing is known.
const TRIALS_MAX: usize = 20_000;

/// A batch whose line was read.
#[derive(Debug)]
pub(super) struct Open {
    /// What the line says.
    batch: Batch,
    /// Where the line begins.
    at: u64,
    /// The line.
    line: Box<[u8]>,
}

/// What is known of batches.
#[derive(Debug, Default)]
pub(super) struct Batches {
    /// The checksum up to the last.
    sum: u64,
    /// Where the line of the last begins, and where the batch does.
    last: (u64, u64),
    /// A line has said what was durable.
    has_synced: bool,
}

impl Batches {
    /// Where to cut the file before this place: before the line of a batch that begins there.
    pub(super) fn cut_before(&self, place: u64) -> u64 {
        if self.last.1 == place { self.last.0 } else { place }
    }
}

/// The search for a batch after what is wrong.
#[derive(Debug)]
pub(super) struct Search {
    bad: BadAof,
    /// The line of what is wrong was looked at.
    is_begun: bool,
    /// Checksums that the damaged batch may have.
    claims: Vec<u64>,
    /// The checksum before what is wrong, and how many bytes of it were summed up before those that are looked at.
    before: u64,
    head_bytes: u64,
    /// Where it was begun to look, and the checksum from what is wrong up to what was looked at.
    begin: u64,
    sum: u64,
    /// Batches whose lines were found, by their ends.
    open: BTreeMap<(u64, u64), Candidate>,
    /// Where the last of them ended, and the checksums that those which ended there claim.
    ended: (u64, Vec<u64>),
    /// Where the batch must end that is wrong, if it is the last; none where its line says nothing of it.
    own_end: Option<u64>,
    /// No line up to here has said what was durable.
    is_silent: bool,
    trials: usize,
}

/// A batch after what is wrong.
#[derive(Debug)]
struct Candidate {
    batch: Batch,
    /// Checksum of the part of its line that counts.
    line_sum: u64,
    /// Where its line begins, and the checksum of all from what is wrong up to there and up to its first byte.
    place: u64,
    sum_before: u64,
    sum: u64,
    /// Checksums that may be those before it.
    befores: Vec<u64>,
}

impl Search {
    /// A line stands at this place. `line` is the whole of it.
    fn found(&mut self, batch: Batch, place: u64, line: &[u8]) {
        let body = place + line.len() as u64;
        let Some(end) = body.checked_add(batch.len) else { return };
        let mut befores = vec![0, self.before, self.sum];
        befores.extend(&self.claims);
        if self.ended.0 == place {
            befores.extend(&self.ended.1);
        }
        let (line_sum, sum) = (crc64(0, &line[..batch.summed]), crc64(self.sum, line));
        self.open
            .insert((end, place), Candidate { batch, line_sum, place, sum_before: self.sum, sum, befores });
        if self.open.len() > CANDIDATES_MAX {
            self.open.pop_last();
        }
    }

    /// A batch ends at this place, and this byte follows; none at the end of the file.
    fn ended(&mut self, end: u64, candidate: &Candidate, next: Option<u8>) {
        if self.ended.0 != end {
            self.ended = (end, Vec::new());
        }
        if self.ended.1.len() < SUMS_MAX {
            self.ended.1.push(candidate.batch.checksum);
        }
        match candidate.batch.synced {
            Some(synced) if synced > self.bad.at => {
                if self.is_right(candidate) {
                    (self.bad.is_followed, self.bad.synced) = (true, Some(synced));
                }
            }
            Some(_) => {}
            None => {
                let goes_on = next.map_or(self.own_end != Some(end), |byte| b"*#".contains(&byte));
                self.bad.is_followed |= goes_on && (self.is_silent || self.is_right(candidate));
            }
        }
    }

    /// Whether a batch that was read to its end is as its line says.
    fn is_right(&mut self, candidate: &Candidate) -> bool {
        let Batch { len, checksum, summed, .. } = candidate.batch;
        let body = self.sum ^ join(candidate.sum, 0, len);
        let wanted = join(candidate.line_sum, body, len) ^ checksum;
        self.trials += candidate.befores.len() + 1;
        // The sum may have begun anew at what is wrong.
        let anew = join(self.before, 0, self.head_bytes + (candidate.place - self.begin));
        let befores = candidate.befores.iter().copied().chain([candidate.sum_before ^ anew]);
        befores.into_iter().any(|before| join(before, 0, len + summed as u64) == wanted)
    }

    fn is_decided(&self) -> bool {
        self.bad.is_followed || self.trials > TRIALS_MAX
    }
}

impl Scanner {
    /// A line that says something of a batch was read, but not given away.
    #[cold]
    pub(super) fn begin_batch(&mut self, batch: Batch, bytes: usize) -> Found {
        let at = self.input.offset();
        let line = self.input.rest()[..bytes].into();
        self.looked_at = at;
        self.input.consume(bytes);
        self.special = Some(Special::Batch(Open { batch, at, line }));
        Found::More
    }

    /// Looks at a batch when it is there as a whole.
    pub(super) fn check_batch(&mut self, open: Open) -> Result<Found, BadAof> {
        let Open { batch, at, line } = &open;
        let (from, there) = (self.input.offset(), self.input.rest().len() as u64);
        if there < batch.len {
            let to_come = self.file_bytes.map(|bytes| bytes.saturating_sub(from));
            let there_at_last = if self.is_fed { Some(there) } else { to_come };
            if let Some(got) = there_at_last.filter(|&got| got < batch.len) {
                let cause = Cause::Ends(Within::Batch { wanted: batch.len, got });
                return self.damaged(BadAof::new(*at, cause), Some(line), None);
            }
            self.special = Some(Special::Batch(open));
            return Ok(Found::Need);
        }
        let bytes = &self.input.rest()[..batch.len as usize];
        let sum = batch.sum(self.batches.sum, line, bytes);
        if !batch.is_right(self.batches.sum, sum) {
            let cause = Cause::Checksum { computed: sum, said: batch.checksum };
            return self.damaged(BadAof::new(*at, cause), Some(line), Some(from + batch.len));
        }
        (self.batches.sum, self.batches.last) = (batch.checksum, (*at, from));
        self.batches.has_synced |= batch.synced.is_some();
        Ok(Found::More)
    }

    /// The line of a batch is damaged, which may say its length all the same.
    pub(super) fn damaged_line(&mut self, len: Option<u64>, bytes: usize) -> Result<Found, BadAof> {
        let bad = BadAof::new(self.input.offset(), Cause::Line);
        let line: Box<[u8]> = self.input.rest()[..bytes].into();
        self.input.consume(bytes);
        let own_end = len.and_then(|len| self.input.offset().checked_add(len));
        self.damaged(bad, Some(&line), own_end)
    }

    /// The file is wrong elsewhere than in a batch.
    pub(super) fn wrong_elsewhere(&mut self, bad: BadAof) -> Result<Found, BadAof> {
        self.damaged(bad, None, None)
    }

    fn damaged(&mut self, bad: BadAof, line: Option<&[u8]>, own_end: Option<u64>) -> Result<Found, BadAof> {
        let before = self.batches.sum;
        let mut search = Search {
            bad,
            is_begun: line.is_some(),
            claims: Vec::new(),
            before,
            head_bytes: 0,
            begin: self.input.offset(),
            sum: before,
            open: BTreeMap::new(),
            ended: (0, Vec::new()),
            own_end,
            is_silent: !self.batches.has_synced,
            trials: 0,
        };
        if let Some(line) = line {
            search.claims.extend(integrity::numbers(line).take(SUMS_MAX));
            search.is_silent &= !integrity::says_synced(line);
            if let Some(summed) = integrity::summed_part(line) {
                (search.sum, search.head_bytes) = (crc64(before, summed), summed.len() as u64);
            }
        }
        self.search(search)
    }

    /// Looks through the rest of the file.
    #[cold]
    pub(super) fn search(&mut self, mut search: Search) -> Result<Found, BadAof> {
        let (start, rest) = (self.input.offset(), self.input.rest());
        if !search.is_begun {
            if rest.len() < ANNOTATION_BYTES_MAX && !self.is_fed {
                self.special = Some(Special::Search(search));
                return Ok(Found::Need);
            }
            search.is_begun = true;
            // What begins here may have been a line.
            let line = rest[..rest.len().min(ANNOTATION_BYTES_MAX)].split(|&byte| byte == b'\n').next();
            search.claims.extend(integrity::numbers(line.unwrap_or_default()).take(SUMS_MAX));
        }
        // A line of which a part is there is looked at again.
        let kept = if self.is_fed { 0 } else { ANNOTATION_BYTES_MAX.min(rest.len()) };
        let upto = rest.len() - kept;
        let next_line = |from: usize| {
            let mut hashes = (from..upto).filter(|&at| rest[at] == b'#');
            hashes.find(|&at| rest[at..].starts_with(integrity::PREFIX)).unwrap_or(upto)
        };
        let (mut at, mut line_at) = (0, next_line(0));
        if search.own_end.is_some_and(|own_end| own_end < start + upto as u64 && own_end >= start) {
            let own_at = (search.own_end.unwrap_or(start) - start) as usize;
            search.bad.is_followed |= search.is_silent && b"*#".contains(&rest[own_at]);
        }
        while !search.is_decided() {
            let end = search.open.first_key_value().map_or(u64::MAX, |(key, _)| key.0);
            let end_at = usize::try_from(end - start).unwrap_or(usize::MAX);
            let next = line_at.min(end_at);
            let may_end = end_at < rest.len() || (self.is_fed && end_at == rest.len());
            let is_end = end_at <= line_at && may_end;
            search.sum = crc64(search.sum, &rest[at..next.min(upto)]);
            at = next.min(upto);
            if is_end && let Some(((end, _), candidate)) = search.open.pop_first() {
                search.ended(end, &candidate, rest.get(end_at).copied());
            } else if line_at < upto {
                let line = &rest[line_at..rest.len().min(line_at + ANNOTATION_BYTES_MAX)];
                if let Some(end) = line.iter().position(|&byte| byte == b'\n')
                    && let Line::Batch(batch) = integrity::parse(&line[..=end])
                {
                    search.found(batch, start + line_at as u64, &line[..=end]);
                }
                line_at = next_line(line_at + 1);
            } else {
                break;
            }
        }
        if !self.is_fed && !search.is_decided() {
            self.input.consume(upto);
            self.special = Some(Special::Search(search));
            return Ok(Found::Need);
        }
        // Where a line cannot be read nobody knows whether its batch is the last.
        let is_last = search.own_end == Some(start + rest.len() as u64) && self.is_fed;
        let is_unknown = search.bad.cause == Cause::Line && search.is_silent && !is_last;
        search.bad.is_followed |= is_unknown || search.trials > TRIALS_MAX;
        Err(search.bad)
    }
}
