//! Arena: cells of bytes for the elements of one large value.
//!
//! The slab of a database keeps pages of 64 KiB for every size of cell, too coarse for a set of 129 members. An arena
//! takes chunks that grow with it, from 1 KiB to 64 KiB, and puts cells of all sizes one behind the other. A cell knows
//! how long its payload is; sizes are whole granules of 8 bytes, above 256 bytes one of eight steps to the double.
//!
//! ```text
//!     | length, 1 or 2 bytes | payload | rest of the last granule |        a cell in use
//!     | 0xff | size class | next free cell, 5 bytes | ...       |        a free cell
//! ```
//!
//! Free cells are threaded by size through themselves. A new cell takes one of its own size, else what was never used,
//! else a part of a larger free one, else a new chunk. Payloads above some KiB lie apart, each as `Bytes` that a reply
//! may share.
//!
//! **Evacuation** gives memory back. When more than half of what is held is free, [`Arena::begin_evacuation`] declares
//! all chunks old and forgets their free cells; new cells go to new chunks. The owner then asks for the live cells of
//! the old ones, a few at a time ([`Arena::next_old`]), and moves each ([`Arena::relocate`]); an emptied old chunk goes
//! back at once. So a move pays for at least as many bytes that were freed before.
//!
//! * A handle is good until its cell is freed, overwritten in another size or relocated.
//! * The handle 0 is never given out. Oversize cells have the highest bit of a handle set.
//! * Nothing is copied as the arena grows: a chunk stays where it is.
//!
//! The cost: 1 or 2 bytes and half a granule a cell; `get` is two dependent loads. One arena reaches 64 GiB of cells.
//! The copying of live cells is after Cheney, "A Nonrecursive List Compacting Algorithm" (1970).

mod large;

use super::prefetch::prefetch;
use super::slab::{HANDLE_BITS, Handle};
use bytes::Bytes;
use large::Large;

/// Longest payload that lies in a chunk.
pub const PAYLOAD_BYTES_MAX: usize = 512 * GRANULE_BYTES - 2;

const GRANULE_BYTES: usize = 8;
const CHUNK_BYTES_MIN: usize = 1024;
const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Bits of a handle that name the granule within its chunk.
const CHUNK_SHIFT: u32 = (CHUNK_BYTES_MAX / GRANULE_BYTES).trailing_zeros();
const GRANULE_MASK: u64 = (1 << CHUNK_SHIFT) - 1;
/// Set in the handle of an oversize cell.
const LARGE: u64 = 1 << (HANDLE_BITS - 1);
const CHUNKS_MAX: usize = 1 << (HANDLE_BITS - 1 - CHUNK_SHIFT);
/// Sizes of cells: 32 of whole granules, then eight to the double.
const CLASSES: usize = 64;
const EXACT_GRANULES: usize = 32;
/// First byte of a free cell.
const FREE: u8 = 0xff;
/// Lengths below this need one byte.
const SHORT: usize = 0xc0;
const _: () = assert!((PAYLOAD_BYTES_MAX >> 8) + SHORT < FREE as usize);
const NO_CHUNK: usize = usize::MAX;
/// An arena that holds less is never evacuated.
const EVACUATION_BYTES_MIN: usize = 8 * 1024;

/// The size class of a cell of so many granules.
#[inline]
const fn class_of(granules: usize) -> usize {
    if granules <= EXACT_GRANULES {
        return granules - 1;
    }
    let below = granules - 1;
    let doubling = below.ilog2() as usize - 5;
    EXACT_GRANULES + 8 * doubling + (below >> (2 + doubling) & 7)
}

/// Granules of a cell of this class.
#[inline]
const fn granules_of(class: usize) -> usize {
    if class < EXACT_GRANULES {
        return class + 1;
    }
    let (doubling, step) = ((class - EXACT_GRANULES) / 8, (class - EXACT_GRANULES) % 8);
    (8 + step + 1) << (2 + doubling)
}

/// Bytes in front of a payload.
#[inline]
const fn header_bytes(len: usize) -> usize {
    if len < SHORT { 1 } else { 2 }
}

#[inline]
const fn class_for(len: usize) -> usize {
    class_of((header_bytes(len) + len).div_ceil(GRANULE_BYTES))
}

#[derive(Clone)]
struct Chunk {
    /// Empty while the number of this chunk waits to be used again.
    bytes: Box<[u8]>,
    /// Bytes of its cells in use.
    live: u32,
    /// It is being evacuated: its free cells are in no list.
    is_old: bool,
}

/// How far an evacuation has come.
#[derive(Clone)]
struct Evacuation {
    chunk: usize,
    granule: usize,
}

/// Cells of one value. See the head of the file.
#[derive(Clone)]
pub struct Arena {
    chunks: Vec<Chunk>,
    /// Numbers of chunks without memory.
    vacant: Vec<u32>,
    /// The chunk whose end was never used, or `NO_CHUNK`.
    filling: usize,
    /// First granule of it that was never used.
    fresh: usize,
    /// First free cell of every class, 0 for none. Made when the first cell is freed.
    free: Option<Box<[u64; CLASSES]>>,
    /// The classes with a free cell, one bit each.
    free_classes: u64,
    /// Bytes of all free cells in the lists.
    free_bytes: usize,
    /// Bytes of all cells in use, oversize ones left out.
    live_bytes: usize,
    /// Bytes of all chunks.
    chunk_bytes: usize,
    evacuation: Option<Evacuation>,
    large: Large,
}

impl Default for Arena {
    fn default() -> Arena {
        Arena::new()
    }
}

impl Arena {
    /// An arena without memory.
    #[must_use]
    pub const fn new() -> Arena {
        Arena {
            chunks: Vec::new(),
            vacant: Vec::new(),
            filling: NO_CHUNK,
            fresh: 0,
            free: None,
            free_classes: 0,
            free_bytes: 0,
            live_bytes: 0,
            chunk_bytes: 0,
            evacuation: None,
            large: Large::new(),
        }
    }

    /// A cell with these bytes, one part behind the other.
    #[inline]
    pub fn alloc(&mut self, parts: &[&[u8]]) -> Handle {
        let len = parts.iter().map(|part| part.len()).sum();
        if len > PAYLOAD_BYTES_MAX {
            return Handle::from_number(LARGE | u64::from(self.large.insert(parts.concat().into())));
        }
        let class = class_for(len);
        let handle = self.take(class);
        let bytes = granules_of(class) * GRANULE_BYTES;
        let chunk = &mut self.chunks[chunk_of(handle)];
        chunk.live += bytes as u32;
        self.live_bytes += bytes;
        write_cell(&mut chunk.bytes[byte_of(handle)..], len, parts);
        handle
    }

    /// Gives a cell back.
    #[inline]
    pub fn free(&mut self, handle: Handle) {
        if is_large(handle) {
            self.large.remove(large_of(handle));
            return;
        }
        let class = self.class(handle);
        let number = chunk_of(handle);
        let bytes = granules_of(class) * GRANULE_BYTES;
        self.live_bytes -= bytes;
        let chunk = &mut self.chunks[number];
        chunk.live -= bytes as u32;
        if chunk.is_old {
            mark_free(&mut chunk.bytes[byte_of(handle)..], class, 0);
            if chunk.live == 0 {
                self.release(number);
            }
            return;
        }
        self.thread(handle, class);
    }

    /// The payload of a cell.
    #[inline]
    #[must_use]
    pub fn get(&self, handle: Handle) -> &[u8] {
        if is_large(handle) {
            return self.large.get(large_of(handle));
        }
        let bytes = &*self.chunks[chunk_of(handle)].bytes;
        let at = byte_of(handle);
        let first = usize::from(bytes[at]);
        if first < SHORT {
            return &bytes[at + 1..at + 1 + first];
        }
        let len = (first - SHORT) << 8 | usize::from(bytes[at + 1]);
        &bytes[at + 2..at + 2 + len]
    }

    /// An oversize payload, to be shared; `None` for one that lies in a chunk.
    #[must_use]
    pub fn shared(&self, handle: Handle) -> Option<&Bytes> {
        is_large(handle).then(|| self.large.get(large_of(handle)))
    }

    /// Writes over some bytes of a payload. They must lie within it.
    #[inline]
    pub fn patch(&mut self, handle: Handle, offset: usize, bytes: &[u8]) {
        if is_large(handle) {
            self.large.patch(large_of(handle), offset, bytes);
            return;
        }
        let len = self.get(handle).len();
        let at = byte_of(handle) + header_bytes(len);
        self.chunks[chunk_of(handle)].bytes[at..at + len][offset..offset + bytes.len()]
            .copy_from_slice(bytes);
    }

    /// Gives a cell another payload, in its place if its size stays, else in a new cell whose handle is the answer. A
    /// cell of an old chunk always moves.
    #[inline]
    pub fn overwrite(&mut self, handle: Handle, parts: &[&[u8]]) -> Handle {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if !is_large(handle) && len <= PAYLOAD_BYTES_MAX && self.class(handle) == class_for(len) {
            let chunk = &mut self.chunks[chunk_of(handle)];
            if !chunk.is_old {
                write_cell(&mut chunk.bytes[byte_of(handle)..], len, parts);
                return handle;
            }
        }
        self.free(handle);
        self.alloc(parts)
    }

    /// The bytes that a cell takes.
    #[must_use]
    pub fn cell_bytes(&self, handle: Handle) -> usize {
        match self.shared(handle) {
            Some(payload) => payload.len(),
            None => granules_of(self.class(handle)) * GRANULE_BYTES,
        }
    }

    /// Asks for the first line of a cell, and for the next if the cell is likely to reach into it.
    #[inline]
    pub fn prefetch(&self, handle: Handle) {
        if is_large(handle) {
            return;
        }
        let Some(chunk) = self.chunks.get(chunk_of(handle)) else { return };
        let at = byte_of(handle);
        if let Some(first) = chunk.bytes.get(at) {
            prefetch(first);
        }
        if at % 64 > 32
            && let Some(second) = chunk.bytes.get(at + 32)
        {
            prefetch(second);
        }
    }

    /// Bytes of all cells in use.
    #[must_use]
    pub fn live_bytes(&self) -> usize {
        self.live_bytes + self.large.payload_bytes()
    }

    /// Bytes taken from the allocator.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.chunk_bytes
            + self.chunks.capacity() * std::mem::size_of::<Chunk>()
            + self.vacant.capacity() * 4
            + self.free.as_ref().map_or(0, |_| CLASSES * 8)
            + self.large.heap_bytes()
    }

    /// Is more than half of the memory free, so that it pays to evacuate?
    #[inline]
    #[must_use]
    pub fn wants_evacuation(&self) -> bool {
        self.free_bytes * 2 > self.chunk_bytes
            && self.chunk_bytes > EVACUATION_BYTES_MIN
            && self.evacuation.is_none()
    }

    /// Are there old chunks?
    #[inline]
    #[must_use]
    pub fn is_evacuating(&self) -> bool {
        self.evacuation.is_some()
    }

    /// Makes all chunks old.
    pub fn begin_evacuation(&mut self) {
        self.stop_filling();
        self.free = None;
        (self.free_classes, self.free_bytes) = (0, 0);
        for chunk in &mut self.chunks {
            chunk.is_old = !chunk.bytes.is_empty();
        }
        self.evacuation = Some(Evacuation { chunk: 0, granule: 0 });
    }

    /// Appends up to `count` handles of live cells in old chunks, all of one chunk. Their cells must be relocated or
    /// freed before the next call. May append none although the evacuation goes on; it ends with the last old chunk.
    pub fn next_old(&mut self, count: usize, out: &mut Vec<Handle>) {
        let Some(Evacuation { chunk: number, granule }) = &mut self.evacuation else { return };
        let Some(chunk) = self.chunks.get(*number) else {
            self.evacuation = None;
            while self.chunks.last().is_some_and(|last| last.bytes.is_empty()) {
                self.chunks.pop();
            }
            let count = self.chunks.len();
            self.vacant.retain(|vacant| (*vacant as usize) < count);
            return;
        };
        let granules = chunk.bytes.len() / GRANULE_BYTES;
        // The very first cell would have the handle 0, so the first granule is left out.
        *granule = (*granule).max(usize::from(*number == 0));
        if chunk.is_old && chunk.live > 0 && *granule < granules {
            let wanted = out.len() + count;
            while *granule < granules && out.len() < wanted {
                let at = *granule * GRANULE_BYTES;
                if chunk.bytes[at] != FREE {
                    out.push(Handle::from_number((*number << CHUNK_SHIFT | *granule) as u64));
                }
                *granule += granules_of(class_at(&chunk.bytes[at..]));
            }
            return;
        }
        debug_assert!(!chunk.is_old || chunk.live == 0, "a cell was left behind");
        let is_empty_old = chunk.is_old;
        let number = *number;
        self.evacuation = Some(Evacuation { chunk: number + 1, granule: 0 });
        if is_empty_old {
            self.release(number);
        }
    }

    /// Is this cell to be moved by the evacuation?
    #[must_use]
    pub fn is_old(&self, handle: Handle) -> bool {
        !is_large(handle) && self.chunks[chunk_of(handle)].is_old
    }

    /// Moves a cell of an old chunk into a new one and answers its new handle.
    pub fn relocate(&mut self, handle: Handle) -> Handle {
        let class = self.class(handle);
        let bytes = granules_of(class) * GRANULE_BYTES;
        let new = self.take(class);
        let [from, to] = self
            .chunks
            .get_disjoint_mut([chunk_of(handle), chunk_of(new)])
            .expect("a new cell lies in a new chunk");
        let (at, start) = (byte_of(handle), byte_of(new));
        to.bytes[start..start + bytes].copy_from_slice(&from.bytes[at..at + bytes]);
        to.live += bytes as u32;
        self.live_bytes += bytes;
        self.free(handle);
        new
    }

    #[inline]
    fn class(&self, handle: Handle) -> usize {
        class_at(&self.chunks[chunk_of(handle)].bytes[byte_of(handle)..])
    }

    /// A cell of this class, whose content is not defined.
    #[inline]
    fn take(&mut self, class: usize) -> Handle {
        if self.free_classes >> class & 1 == 1 {
            return self.pop(class);
        }
        let granules = granules_of(class);
        if self.filling != NO_CHUNK
            && (self.fresh + granules) * GRANULE_BYTES <= self.chunks[self.filling].bytes.len()
        {
            return self.cut(granules);
        }
        self.take_elsewhere(class)
    }

    /// The next granules that were never used.
    #[inline]
    fn cut(&mut self, granules: usize) -> Handle {
        let handle = Handle::from_number((self.filling << CHUNK_SHIFT | self.fresh) as u64);
        self.fresh += granules;
        handle
    }

    #[cold]
    fn take_elsewhere(&mut self, class: usize) -> Handle {
        let larger = self.free_classes & (!0u64 << class);
        let granules = granules_of(class);
        if larger != 0 {
            let from = larger.trailing_zeros() as usize;
            let handle = self.pop(from);
            let rest = Handle::from_number(handle.number() + granules as u64);
            self.thread_pieces(rest, granules_of(from) - granules);
            return handle;
        }
        self.stop_filling();
        self.add_chunk(granules);
        self.cut(granules)
    }

    /// Takes the first free cell of a class that has one.
    #[inline]
    fn pop(&mut self, class: usize) -> Handle {
        let heads = self.free.as_mut().expect("a class with free cells has a list");
        let handle = Handle::from_number(heads[class]);
        let cell = &self.chunks[chunk_of(handle)].bytes[byte_of(handle)..];
        let next =
            u64::from(u32::from_le_bytes([cell[2], cell[3], cell[4], cell[5]])) | u64::from(cell[6]) << 32;
        heads[class] = next;
        if next == 0 {
            self.free_classes &= !(1 << class);
        }
        self.free_bytes -= granules_of(class) * GRANULE_BYTES;
        handle
    }

    /// Puts a cell into the list of its class.
    #[inline]
    fn thread(&mut self, handle: Handle, class: usize) {
        let heads = self.free.get_or_insert_with(|| Box::new([0; CLASSES]));
        mark_free(&mut self.chunks[chunk_of(handle)].bytes[byte_of(handle)..], class, heads[class]);
        heads[class] = handle.number();
        self.free_classes |= 1 << class;
        self.free_bytes += granules_of(class) * GRANULE_BYTES;
    }

    /// Makes free cells of a run of granules.
    fn thread_pieces(&mut self, start: Handle, mut granules: usize) {
        let mut at = start.number();
        while granules > 0 {
            let most = granules.min(granules_of(CLASSES - 1));
            let class = class_of(most) - usize::from(granules_of(class_of(most)) > most);
            self.thread(Handle::from_number(at), class);
            at += granules_of(class) as u64;
            granules -= granules_of(class);
        }
    }

    /// Makes free cells of the end of the chunk that is being filled.
    fn stop_filling(&mut self) {
        if self.filling != NO_CHUNK {
            let left = self.chunks[self.filling].bytes.len() / GRANULE_BYTES - self.fresh;
            self.thread_pieces(Handle::from_number((self.filling << CHUNK_SHIFT | self.fresh) as u64), left);
            self.filling = NO_CHUNK;
        }
    }

    /// Takes a chunk, a quarter of what is held and at least so many granules, to be filled.
    fn add_chunk(&mut self, granules: usize) {
        let wanted = (self.chunk_bytes / 4).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        let bytes = wanted.max((granules + 1) * GRANULE_BYTES).next_multiple_of(512).min(CHUNK_BYTES_MAX);
        let number = self.vacant.pop().map_or(self.chunks.len(), |number| number as usize);
        let chunk = Chunk { bytes: vec![0; bytes].into_boxed_slice(), live: 0, is_old: false };
        if number == self.chunks.len() {
            assert!(number < CHUNKS_MAX, "the arena holds 64 GiB, all that handles can name");
            self.chunks.push(chunk);
        } else {
            self.chunks[number] = chunk;
        }
        self.chunk_bytes += bytes;
        self.filling = number;
        // The very first cell would have the handle 0.
        self.fresh = usize::from(number == 0);
    }

    /// Gives back the memory of an old chunk.
    fn release(&mut self, number: usize) {
        let chunk = &mut self.chunks[number];
        self.chunk_bytes -= chunk.bytes.len();
        chunk.bytes = Box::default();
        chunk.is_old = false;
        self.vacant.push(number as u32);
    }
}

#[inline]
fn is_large(handle: Handle) -> bool {
    handle.number() & LARGE != 0
}

#[inline]
fn large_of(handle: Handle) -> u32 {
    (handle.number() & !LARGE) as u32
}

#[inline]
fn chunk_of(handle: Handle) -> usize {
    (handle.number() >> CHUNK_SHIFT) as usize
}

#[inline]
fn byte_of(handle: Handle) -> usize {
    (handle.number() & GRANULE_MASK) as usize * GRANULE_BYTES
}

/// The size class of the cell that starts here, be it free or in use.
#[inline]
fn class_at(cell: &[u8]) -> usize {
    let first = usize::from(cell[0]);
    if first < SHORT {
        class_for(first)
    } else if cell[0] == FREE {
        usize::from(cell[1])
    } else {
        class_for((first - SHORT) << 8 | usize::from(cell[1]))
    }
}

#[inline]
fn mark_free(cell: &mut [u8], class: usize, next: u64) {
    cell[0] = FREE;
    cell[1] = class as u8;
    cell[2..7].copy_from_slice(&next.to_le_bytes()[..5]);
}

#[inline]
fn write_cell(cell: &mut [u8], len: usize, parts: &[&[u8]]) {
    let mut at = header_bytes(len);
    if at == 1 {
        cell[0] = len as u8;
    } else {
        (cell[0], cell[1]) = ((SHORT + (len >> 8)) as u8, len as u8);
    }
    for part in parts {
        cell[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
}

#[cfg(test)]
mod tests;
