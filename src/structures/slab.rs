//! Paged slab: cells of any size up to 1 KiB behind small movable handles.
//!
//! Memory is cut into pages of 64 KiB, and a page into cells of one size: a multiple of 8 bytes, the
//! *granule*. A [`Handle`] is the number of a granule counted over all pages, so 34 bits reach 128 GiB and a
//! table can keep them in little more than four bytes. The page tells how long its cells are; nothing is
//! stored in front of a cell.
//!
//! Every page threads its free cells into a list, the link lying in the first two bytes of a free cell; what
//! was never used lies behind a mark and is not touched. Every size has a list of its pages with room. A page
//! that becomes empty is given back and its number used again, but one empty page a size stays, so that a
//! cell allocated and freed at the border of a page costs nothing.
//!
//! * [`PagedSlab::get`] gives the whole cell, rounded up to granules; the owner knows how much of it is used.
//! * A new cell holds whatever was there before.
//! * A handle is freed once and not used afterwards; a wrong one panics or names a stranger's cell, it never
//!   leaves the page.
//! * The handle 0 is never given out: [`Handle::NONE`].
//!
//! The cost: `get` is a load of the page's record, three tests that never fail, and an addition. Half a
//! granule a cell is lost by rounding, at most 1.2 % by the rest of a page, one part-filled page a size.
//! After Bonwick, "The Slab Allocator" (1994).

use crate::structures::prefetch::prefetch;

/// Bytes of the unit in which cells are measured and placed.
pub const GRANULE_BYTES: usize = 8;
/// Longest cell.
pub const CELL_BYTES_MAX: usize = CLASSES * GRANULE_BYTES;
/// Bytes of a page.
pub const PAGE_BYTES: usize = 64 * 1024;
/// Bits of a handle that are ever set.
pub const HANDLE_BITS: u32 = 34;

/// Sizes of cells: 1 to 128 granules.
const CLASSES: usize = 128;
const PAGE_GRANULES: usize = PAGE_BYTES / GRANULE_BYTES;
const PAGE_SHIFT: u32 = PAGE_GRANULES.trailing_zeros();
const PAGES_MAX: usize = 1 << (HANDLE_BITS - PAGE_SHIFT);
/// End of a list of free cells. No cell starts there, for a page has only 8192 granules.
const NO_CELL: u16 = u16::MAX;
const NO_PAGE: u32 = u32::MAX;

const _: () = assert!(CELL_BYTES_MAX == 1024 && PAGE_GRANULES < NO_CELL as usize);

/// The name of a cell. At most [`HANDLE_BITS`] bits are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(u64);

impl Handle {
    /// Names no cell.
    pub const NONE: Handle = Handle(0);

    /// The handle with this number. Numbers come from [`Handle::number`]; higher bits are cut off.
    #[inline]
    #[must_use]
    pub const fn from_number(number: u64) -> Handle {
        Handle(number & ((1 << HANDLE_BITS) - 1))
    }

    /// The number to be stored in place of the handle.
    #[inline]
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Is this [`Handle::NONE`]?
    #[inline]
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    #[inline]
    fn page(self) -> usize {
        (self.0 >> PAGE_SHIFT) as usize
    }

    #[inline]
    fn granule(self) -> u16 {
        (self.0 & (PAGE_GRANULES as u64 - 1)) as u16
    }

    #[inline]
    fn byte(self) -> usize {
        usize::from(self.granule()) * GRANULE_BYTES
    }
}

struct Page {
    /// `None` while the number of this page waits to be used again.
    bytes: Option<Box<[u8; PAGE_BYTES]>>,
    /// Bytes of a cell; zero without `bytes`.
    cell_bytes: u16,
    /// First granule of the free cell that is handed out next, or `NO_CELL`.
    free: u16,
    /// Granules from here on were never part of a cell.
    fresh: u16,
    /// Cells in use.
    live: u16,
}

const _: () = assert!(std::mem::size_of::<Page>() == 16);

impl Page {
    fn has_room(&self) -> bool {
        self.free != NO_CELL
            || usize::from(self.fresh) * GRANULE_BYTES + usize::from(self.cell_bytes) <= PAGE_BYTES
    }
}

/// The pages with room for cells of one size.
struct Class {
    /// Allocation takes from the last one.
    room: Vec<u32>,
    /// The one page without live cells that is kept, or `NO_PAGE`. It is in `room`.
    spare: u32,
}

/// Cells of any size behind handles. See the head of the file.
pub struct PagedSlab {
    pages: Vec<Page>,
    /// For each page, where it stands in its class's `room`. Meaningless for a page that is full.
    room_at: Vec<u32>,
    /// Index: granules of a cell less one.
    classes: Vec<Class>,
    /// Numbers of pages that were given back.
    vacant: Vec<u32>,
    live_bytes: usize,
}

impl Default for PagedSlab {
    fn default() -> PagedSlab {
        PagedSlab::new()
    }
}

impl PagedSlab {
    /// A slab without pages.
    #[must_use]
    pub const fn new() -> PagedSlab {
        PagedSlab {
            pages: Vec::new(),
            room_at: Vec::new(),
            classes: Vec::new(),
            vacant: Vec::new(),
            live_bytes: 0,
        }
    }

    /// The bytes that a cell for `bytes` bytes has.
    #[inline]
    #[must_use]
    pub const fn rounded(bytes: usize) -> usize {
        if bytes == 0 { GRANULE_BYTES } else { bytes.next_multiple_of(GRANULE_BYTES) }
    }

    /// A cell of at least `bytes` bytes, at most [`CELL_BYTES_MAX`]. Its content is not defined.
    #[inline]
    pub fn alloc(&mut self, bytes: usize) -> Handle {
        assert!(bytes <= CELL_BYTES_MAX, "a cell of {bytes} bytes is too long for the slab");
        let cell_bytes = PagedSlab::rounded(bytes);
        let class = cell_bytes / GRANULE_BYTES - 1;
        let number = match self.classes.get(class).and_then(|class| class.room.last()) {
            Some(number) => *number,
            None => self.add_page(class),
        };
        let page = &mut self.pages[number as usize];
        if page.live == 0 && self.classes[class].spare == number {
            self.classes[class].spare = NO_PAGE;
        }
        let granule = page.free;
        let granule = if granule == NO_CELL {
            let fresh = page.fresh;
            page.fresh += (cell_bytes / GRANULE_BYTES) as u16;
            fresh
        } else {
            let at = usize::from(granule) * GRANULE_BYTES;
            let bytes = page.bytes.as_deref().expect("a page with room has memory");
            page.free = u16::from_le_bytes([bytes[at], bytes[at + 1]]);
            granule
        };
        page.live += 1;
        if !page.has_room() {
            self.classes[class].room.pop();
        }
        self.live_bytes += cell_bytes;
        Handle(u64::from(number) << PAGE_SHIFT | u64::from(granule))
    }

    /// Gives a cell back.
    #[inline]
    pub fn free(&mut self, handle: Handle) {
        let number = handle.page();
        let page = &mut self.pages[number];
        let had_room = page.has_room();
        let bytes = page.bytes.as_deref_mut().expect("a freed cell lies in a page");
        let at = handle.byte();
        bytes[at..at + 2].copy_from_slice(&page.free.to_le_bytes());
        page.free = handle.granule();
        page.live -= 1;
        let cell_bytes = usize::from(page.cell_bytes);
        let is_empty = page.live == 0;
        self.live_bytes -= cell_bytes;
        let class = cell_bytes / GRANULE_BYTES - 1;
        if !had_room {
            let room = &mut self.classes[class].room;
            self.room_at[number] = room.len() as u32;
            room.push(number as u32);
        }
        if is_empty {
            self.page_emptied(number as u32, class);
        }
    }

    /// The whole cell.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, handle: Handle) -> &[u8] {
        let page = &self.pages[handle.page()];
        let bytes = page.bytes.as_deref().expect("a live cell lies in a page");
        let at = handle.byte();
        &bytes[at..at + usize::from(page.cell_bytes)]
    }

    /// The whole cell, to be written.
    #[inline(always)]
    #[must_use]
    pub fn get_mut(&mut self, handle: Handle) -> &mut [u8] {
        let page = &mut self.pages[handle.page()];
        let bytes = page.bytes.as_deref_mut().expect("a live cell lies in a page");
        let at = handle.byte();
        &mut bytes[at..at + usize::from(page.cell_bytes)]
    }

    /// The bytes of the cell.
    #[inline]
    #[must_use]
    pub fn cell_bytes(&self, handle: Handle) -> usize {
        usize::from(self.pages[handle.page()].cell_bytes)
    }

    /// Asks for the first line of the cell, and for the next two if the cell reaches into them.
    #[inline(always)]
    pub fn prefetch(&self, handle: Handle) {
        const LINE_BYTES: usize = 64;
        let Some(page) = self.pages.get(handle.page()) else { return };
        let Some(bytes) = page.bytes.as_deref() else { return };
        let at = handle.byte();
        prefetch(&bytes[at]);
        // Pages start at a line of the cache with every allocator that serves them from whole pages.
        let end = at % LINE_BYTES + usize::from(page.cell_bytes);
        if end > LINE_BYTES && at + LINE_BYTES < PAGE_BYTES {
            prefetch(&bytes[at + LINE_BYTES]);
            if end > 2 * LINE_BYTES && at + 2 * LINE_BYTES < PAGE_BYTES {
                prefetch(&bytes[at + 2 * LINE_BYTES]);
            }
        }
    }

    /// Bytes of all cells in use.
    #[must_use]
    pub fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// Bytes taken from the allocator, records of the pages included.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let lists: usize = self.classes.iter().map(|class| class.room.capacity() * 4).sum();
        self.pages() * PAGE_BYTES
            + self.pages.capacity() * std::mem::size_of::<Page>()
            + self.classes.capacity() * std::mem::size_of::<Class>()
            + (self.room_at.capacity() + self.vacant.capacity()) * 4
            + lists
    }

    /// Pages taken from the allocator.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.pages.len() - self.vacant.len()
    }

    #[cold]
    fn add_page(&mut self, class: usize) -> u32 {
        while self.classes.len() <= class {
            self.classes.push(Class { room: Vec::new(), spare: NO_PAGE });
        }
        let number = self.vacant.pop().unwrap_or_else(|| {
            assert!(self.pages.len() < PAGES_MAX, "the slab holds 128 GiB, all that handles can name");
            self.pages.push(Page { bytes: None, cell_bytes: 0, free: NO_CELL, fresh: 0, live: 0 });
            self.room_at.push(0);
            (self.pages.len() - 1) as u32
        });
        let granules = class as u16 + 1;
        self.pages[number as usize] = Page {
            bytes: Some(zeroed_page()),
            cell_bytes: granules * GRANULE_BYTES as u16,
            free: NO_CELL,
            // The very first cell would have the handle 0.
            fresh: if number == 0 { granules } else { 0 },
            live: 0,
        };
        let room = &mut self.classes[class].room;
        self.room_at[number as usize] = room.len() as u32;
        room.push(number);
        number
    }

    #[cold]
    fn page_emptied(&mut self, number: u32, class: usize) {
        let Class { room, spare } = &mut self.classes[class];
        let at = self.room_at[number as usize] as usize;
        debug_assert_eq!(room[at], number);
        if *spare == NO_PAGE {
            *spare = number;
            // At the front, so that it is used only when no other page has room.
            room.swap(0, at);
            self.room_at[room[at] as usize] = at as u32;
            self.room_at[number as usize] = 0;
            return;
        }
        room.swap_remove(at);
        if let Some(moved) = room.get(at) {
            self.room_at[*moved as usize] = at as u32;
        }
        let page = &mut self.pages[number as usize];
        page.bytes = None;
        page.cell_bytes = 0;
        self.vacant.push(number);
    }
}

/// Memory straight from the allocator's zeroed pages, never built on the stack.
fn zeroed_page() -> Box<[u8; PAGE_BYTES]> {
    vec![0u8; PAGE_BYTES].into_boxed_slice().try_into().expect("the length is that of a page")
}

#[cfg(test)]
mod tests;
