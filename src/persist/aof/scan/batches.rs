//! Batches behind an integrity line: none of their commands is given out before the checksum is known to be right.
//!
//! The batch is held as a whole, so a reader holds at most the largest batch of its file. What is wrong in a file is told only
//! when the rest of it was looked at: a batch that is whole behind the damage says that it does not lie at
//! the end ([`BadAof::is_followed`]). There a line counts as one of a batch if the file goes on behind that batch as it
//! should, or ends; its checksum is not looked at, since it goes on from one that may be lost.

use super::super::integrity::{self, Batch, Line};
use super::{ANNOTATION_BYTES_MAX, BadAof, Cause, Found, Scanner, Special, Within};

/// So many lines of batches behind a damage are looked at at a time.
const CANDIDATES_MAX: usize = 64;

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
}

impl Batches {
    /// Where to cut the file before this place: before the line of a batch that begins there.
    pub(super) fn cut_before(&self, place: u64) -> u64 {
        if self.last.1 == place { self.last.0 } else { place }
    }
}

/// The search for a whole batch behind what is wrong.
#[derive(Debug)]
pub(super) struct Search {
    bad: BadAof,
    /// Where batches end whose lines were found.
    ends: Vec<u64>,
    /// Where the batch must end that is wrong, if it is the last; none where its line says nothing of it.
    own_end: Option<u64>,
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
                return self.damaged(BadAof::new(*at, cause), None);
            }
            self.special = Some(Special::Batch(open));
            return Ok(Found::Need);
        }
        let bytes = &self.input.rest()[..batch.len as usize];
        let sum = batch.sum(self.batches.sum, line, bytes);
        if !batch.is_right(self.batches.sum, sum) {
            let cause = Cause::Checksum { computed: sum, said: batch.checksum };
            return self.damaged(BadAof::new(*at, cause), Some(from + batch.len));
        }
        (self.batches.sum, self.batches.last) = (batch.checksum, (*at, from));
        Ok(Found::More)
    }

    /// The line of a batch is damaged, which may say its length all the same.
    pub(super) fn damaged_line(&mut self, len: Option<u64>, bytes: usize) -> Result<Found, BadAof> {
        let bad = BadAof::new(self.input.offset(), Cause::Line);
        self.input.consume(bytes);
        self.damaged(bad, len.and_then(|len| self.input.offset().checked_add(len)))
    }

    fn damaged(&mut self, bad: BadAof, own_end: Option<u64>) -> Result<Found, BadAof> {
        let ends = own_end.into_iter().collect();
        self.search(Search { bad, ends, own_end })
    }

    /// The file is wrong elsewhere than in a batch.
    pub(super) fn wrong_elsewhere(&mut self, bad: BadAof) -> Result<Found, BadAof> {
        self.damaged(bad, None)
    }

    /// Looks through the rest of the file.
    #[cold]
    pub(super) fn search(&mut self, mut search: Search) -> Result<Found, BadAof> {
        let (start, rest) = (self.input.offset(), self.input.rest());
        // A line of which a part is there is looked at again.
        let kept = if self.is_fed { 0 } else { ANNOTATION_BYTES_MAX.min(rest.len()) };
        let upto = rest.len() - kept;
        for at in 0..upto {
            if !rest[at..].starts_with(integrity::PREFIX) || search.ends.len() >= CANDIDATES_MAX {
                continue;
            }
            let line = &rest[at..rest.len().min(at + ANNOTATION_BYTES_MAX)];
            let Some(line) = line.iter().position(|&byte| byte == b'\n').map(|end| &line[..=end]) else {
                continue;
            };
            if let Line::Batch(batch) = integrity::parse(line) {
                search.ends.extend((start + (at + line.len()) as u64).checked_add(batch.len));
            }
        }
        let end = start + rest.len() as u64;
        let goes_on = |place: u64| {
            let at = place.checked_sub(start).and_then(|at| usize::try_from(at).ok());
            at.and_then(|at| rest.get(at)).is_some_and(|byte| b"*#".contains(byte))
        };
        let is_followed = search.ends.iter().any(|&place| goes_on(place));
        let is_over = self.is_fed || is_followed;
        if !is_over {
            search.ends.retain(|&place| place >= end);
            self.input.consume(upto);
            self.special = Some(Special::Search(search));
            return Ok(Found::Need);
        }
        let is_last = search.own_end == Some(end);
        let others = search.ends.iter().filter(|&&place| Some(place) != search.own_end);
        let ends_well = others.into_iter().any(|&place| place == end);
        // Where a line cannot be read nobody knows whether its batch is the last.
        let is_unknown = search.bad.cause == Cause::Line && !is_last;
        search.bad.is_followed = is_followed || ends_well || is_unknown;
        Err(search.bad)
    }
}
