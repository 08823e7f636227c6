//! The numbers of elements in the order of their names.
//!
//! ```text
//! chunks   [ 7 2 9 ]  [ 4 0 ]  [ 1 8 3 ] ...      up to 256 numbers each, in the order of the names
//! ```
//!
//! Names are kept elsewhere: whoever calls says what the name of a number is. A look-up bisects the chunks by their first
//! names, then one chunk.
//!
//! The cost: 4 to 8 bytes an element; a look-up compares some 20 names of a million.

use std::ops::Bound;

const CHUNK_MAX: usize = 256;
/// Two neighbours with fewer numbers together are joined.
const JOINED_MAX: usize = CHUNK_MAX / 2;

/// Numbers in the order of names. See the head of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// None is empty.
    chunks: Vec<Vec<u32>>,
}

impl Names {
    /// Memory behind it, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let numbers = match &self.chunks[..] {
            [] => 0,
            [only] => only.capacity(),
            // Chunks are on average three quarters full.
            many => many.len() * CHUNK_MAX,
        };
        numbers * size_of::<u32>() + self.chunks.capacity() * size_of::<Vec<u32>>()
    }

    /// The chunk in which a name is or would be.
    fn chunk_of<'n>(&self, name: &[u8], name_of: impl Fn(u32) -> &'n [u8]) -> usize {
        let is_last = |chunk: &Vec<u32>| name_of(chunk[0]) <= name;
        match self.chunks.last() {
            Some(last) if is_last(last) => self.chunks.len() - 1,
            _ => self.chunks.partition_point(is_last).saturating_sub(1),
        }
    }

    /// Where a name is, or where it would be.
    fn place<'n>(
        &self,
        name: &[u8],
        name_of: impl Fn(u32) -> &'n [u8],
    ) -> Result<(usize, usize), (usize, usize)> {
        let chunk = self.chunk_of(name, &name_of);
        let Some(numbers) = self.chunks.get(chunk) else { return Err((0, 0)) };
        match numbers.binary_search_by(|number| name_of(*number).cmp(name)) {
            Ok(at) => Ok((chunk, at)),
            Err(at) => Err((chunk, at)),
        }
    }

    /// The number of a name.
    pub fn find<'n>(&self, name: &[u8], name_of: impl Fn(u32) -> &'n [u8]) -> Option<u32> {
        self.place(name, name_of).ok().map(|(chunk, at)| self.chunks[chunk][at])
    }

    /// The numbers of the names from one on, in order.
    pub fn from<'s, 'n, F: Fn(u32) -> &'n [u8]>(
        &'s self,
        from: Bound<&[u8]>,
        name_of: F,
    ) -> impl Iterator<Item = u32> + use<'s, 'n, F> {
        let (chunk, at) = match from {
            Bound::Unbounded => (0, 0),
            Bound::Included(name) => self.place(name, name_of).unwrap_or_else(|place| place),
            Bound::Excluded(name) => match self.place(name, name_of) {
                Ok((chunk, at)) => (chunk, at + 1),
                Err(place) => place,
            },
        };
        let first = self.chunks.get(chunk).map_or(&[][..], |chunk| &chunk[at..]);
        let others = self.chunks.iter().skip(chunk + 1).flatten();
        first.iter().chain(others).copied()
    }

    /// Adds a number; false when its name is there.
    pub fn insert<'n>(&mut self, number: u32, name_of: impl Fn(u32) -> &'n [u8]) -> bool {
        let Err((chunk, at)) = self.place(name_of(number), name_of) else { return false };
        let is_last = chunk + 1 == self.chunks.len();
        let Some(numbers) = self.chunks.get_mut(chunk) else {
            self.chunks.push(vec![number]);
            return true;
        };
        if numbers.len() < CHUNK_MAX {
            numbers.insert(at, number);
        } else if at == CHUNK_MAX && is_last {
            // Where names ascend chunks stay full.
            self.chunks.push(vec![number]);
        } else {
            let mut behind = numbers.split_off(CHUNK_MAX / 2);
            match at.checked_sub(CHUNK_MAX / 2) {
                Some(at) => behind.insert(at, number),
                None => numbers.insert(at, number),
            }
            self.chunks.insert(chunk + 1, behind);
        }
        true
    }

    /// Removes a number, whose name is still known.
    pub fn remove<'n>(&mut self, number: u32, name_of: impl Fn(u32) -> &'n [u8]) {
        let Ok((chunk, at)) = self.place(name_of(number), name_of) else { return };
        self.chunks[chunk].remove(at);
        if self.chunks[chunk].is_empty() {
            self.chunks.remove(chunk);
        } else if self.chunks[chunk].len() < JOINED_MAX / 2 {
            self.join(chunk);
        }
    }

    /// Joins a chunk with the next one, or the one before, if both are small.
    fn join(&mut self, chunk: usize) {
        let len = |at: usize| self.chunks.get(at).map_or(CHUNK_MAX, Vec::len);
        let front = if len(chunk) + len(chunk + 1) <= JOINED_MAX {
            chunk
        } else if chunk > 0 && len(chunk - 1) + len(chunk) <= JOINED_MAX {
            chunk - 1
        } else {
            return;
        };
        let behind = self.chunks.remove(front + 1);
        self.chunks[front].extend(behind);
    }

    /// The name of a number has another number from now on; names are those of before.
    pub fn renumber<'n>(&mut self, from: u32, to: u32, name_of: impl Fn(u32) -> &'n [u8]) {
        if let Ok((chunk, at)) = self.place(name_of(from), name_of) {
            self.chunks[chunk][at] = to;
        }
    }
}
