//! Pages of 64 KiB, cut from huge pages of the system.
//!
//! Entries of a large keyspace lie all over the memory, so nearly every access misses the processor's table of address
//! translations; on a virtual machine that costs more than the miss of the memory itself. Both the slab and the dict
//! take their memory in pieces of 64 KiB, so this allocator serves pieces of that size from arenas of 2 MiB for which it
//! asks the kernel for huge pages: one translation for 32 pieces.
//!
//! * One range of addresses is reserved at the first use; an arena is named by its place there, and knows its free pages
//!   by a word of bits. Nothing here allocates.
//! * The first pages of a process come from the system's allocator, so that a small server stays small.
//! * The first touch of an arena takes the kernel a millisecond or more. So the helper thread touches the next one before
//!   it is needed, and gives back the arenas of which no page is in use, but for one that is kept against ping-pong:
//!   [`needs_maintenance`] tells when, [`maintain`] does it.
//!
//! The cost: resident memory grows in steps of 2 MiB. Measured with 1 M keys: 20 to 30 % less user time a command.
#![allow(unsafe_code, reason = "it maps and hands out memory; 20 to 30 % less user time a command")]

use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// Bytes of a page.
pub const PAGE_BYTES: usize = 64 * 1024;
/// Bytes of an arena: a huge page.
const ARENA_BYTES: usize = 2 * 1024 * 1024;
const ARENA_PAGES: usize = ARENA_BYTES / PAGE_BYTES;
/// Arenas for which addresses are reserved: 256 GiB.
const ARENAS_MAX: usize = 128 * 1024;
/// Pages that the system's allocator serves before the first arena is mapped: 2 MiB.
const SMALL_PAGES: usize = 32;

const ALL_FREE: u32 = u32::MAX;
const _: () = assert!(ARENA_PAGES == u32::BITS as usize);

/// All arenas.
struct Pages {
    /// Where the reserved range begins; 0 before the first use.
    base: usize,
    /// The range could not be had: everything comes from the system's allocator.
    is_refused: bool,
    /// Pages served by the system's allocator that are in use.
    small: usize,
    /// Arenas that were used at some time: those below this number.
    fresh: usize,
    /// No arena below this one has a free page.
    first_room: usize,
    /// Arenas without a page in use that still have memory.
    spare: usize,
    /// Arenas of which no page is in use and whose memory is to go back; the numbers stand in `idle`.
    idle_count: usize,
    idle: [u32; ARENAS_MAX],
    /// Arenas that were used and gave their memory back; the numbers stand in `cold`.
    cold_count: usize,
    cold: [u32; ARENAS_MAX],
    /// Free pages of each arena, one bit a page.
    free: [u32; ARENAS_MAX],
    /// Pages of each arena that were written to since the kernel gave them.
    dirty: [u32; ARENAS_MAX],
}

static PAGES: Mutex<Pages> = Mutex::new(Pages {
    base: 0,
    is_refused: false,
    small: 0,
    fresh: 0,
    first_room: 0,
    spare: 0,
    idle_count: 0,
    idle: [0; ARENAS_MAX],
    cold_count: 0,
    cold: [0; ARENAS_MAX],
    free: [0; ARENAS_MAX],
    dirty: [0; ARENAS_MAX],
});

/// Pages that can be had without a wait for the kernel.
static READY_PAGES: AtomicUsize = AtomicUsize::new(0);

/// Arenas whose memory is to go back.
static IDLE: AtomicUsize = AtomicUsize::new(0);

/// Whether [`maintain`] has something to do.
pub fn needs_maintenance() -> bool {
    IDLE.load(Relaxed) > 0 || (IN_USE.load(Relaxed) && READY_PAGES.load(Relaxed) < ARENA_PAGES)
}

/// Gives back the arenas that nobody uses, and prepares the next one if few pages are left; to be called by the helper
/// thread.
pub fn maintain() {
    while release_arena() {}
    if IN_USE.load(Relaxed) && READY_PAGES.load(Relaxed) < ARENA_PAGES {
        prepare_arena();
    }
}

/// Gives the memory of one arena back; false when none waits.
fn release_arena() -> bool {
    let Ok(mut pages) = PAGES.lock() else { return false };
    let Some(arena) = pages.pop_idle() else { return false };
    let start = pages.address(arena);
    drop(pages);
    // SAFETY: no page of the arena is in use, and none is free for others; afterwards its memory reads as zero.
    unsafe {
        libc::madvise(start, ARENA_BYTES, libc::MADV_DONTNEED);
    }
    if let Ok(mut pages) = PAGES.lock() {
        let at = pages.cold_count;
        pages.cold[at] = arena as u32;
        pages.cold_count += 1;
    }
    true
}

/// Set with the first arena.
static IN_USE: AtomicBool = AtomicBool::new(false);

/// Takes the next arena into use, memory and all.
fn prepare_arena() {
    let Ok(mut pages) = PAGES.lock() else { return };
    let Some(arena) = pages.next_arena() else { return };
    let start = pages.address(arena);
    drop(pages);
    // SAFETY: the arena is ours alone until it is put among those with free pages, below; its content does not change.
    unsafe {
        libc::madvise(start, ARENA_BYTES, libc::MADV_POPULATE_WRITE);
    }
    if let Ok(mut pages) = PAGES.lock() {
        pages.open(arena);
    }
}

/// A page, and whether it is zero already. None: ask the system's allocator.
pub fn take() -> Option<(*mut u8, bool)> {
    let mut pages = PAGES.lock().ok()?;
    if pages.small < SMALL_PAGES || !pages.reserve() {
        pages.small += 1;
        return None;
    }
    pages.take()
}

/// Takes a page back; false when it is none of ours.
pub fn give_back(page: *mut u8) -> bool {
    let Ok(mut pages) = PAGES.lock() else { return false };
    let offset = (page as usize).wrapping_sub(pages.base);
    if pages.base == 0 || offset >= ARENAS_MAX * ARENA_BYTES {
        pages.small = pages.small.saturating_sub(1);
        return false;
    }
    pages.give_back(offset);
    true
}

impl Pages {
    /// Reserves the range of addresses, once.
    fn reserve(&mut self) -> bool {
        if self.base != 0 || self.is_refused {
            return self.base != 0;
        }
        let bytes = (ARENAS_MAX + 1) * ARENA_BYTES;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new private mapping at an address of the kernel's choice touches no memory that exists.
        let range = unsafe { libc::mmap(ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0) };
        if range == libc::MAP_FAILED {
            self.is_refused = true;
            return false;
        }
        self.base = (range as usize).next_multiple_of(ARENA_BYTES);
        true
    }

    fn take(&mut self) -> Option<(*mut u8, bool)> {
        let arena = match (self.first_room..self.fresh).find(|&arena| self.free[arena] != 0) {
            Some(arena) => arena,
            None => match self.pop_idle() {
                Some(arena) => {
                    self.open(arena);
                    self.dirty[arena] = u32::MAX;
                    self.spare += 1;
                    arena
                }
                None => {
                    let arena = self.next_arena()?;
                    self.open(arena);
                    arena
                }
            },
        };
        self.first_room = arena;
        if self.free[arena] == ALL_FREE && self.dirty[arena] != 0 {
            self.spare -= 1;
        }
        let page = self.free[arena].trailing_zeros() as usize;
        let bit = 1 << page;
        self.free[arena] &= !bit;
        READY_PAGES.fetch_sub(1, Relaxed);
        let is_zero = self.dirty[arena] & bit == 0;
        self.dirty[arena] |= bit;
        Some(((self.address(arena) as usize + page * PAGE_BYTES) as *mut u8, is_zero))
    }

    fn address(&self, arena: usize) -> *mut libc::c_void {
        (self.base + arena * ARENA_BYTES) as *mut libc::c_void
    }

    /// An arena whose memory was to go back.
    fn pop_idle(&mut self) -> Option<usize> {
        self.idle_count = self.idle_count.checked_sub(1)?;
        IDLE.fetch_sub(1, Relaxed);
        Some(self.idle[self.idle_count] as usize)
    }

    /// Puts the pages of an arena among the free ones.
    fn open(&mut self, arena: usize) {
        self.free[arena] = ALL_FREE;
        self.dirty[arena] = 0;
        self.first_room = self.first_room.min(arena);
        READY_PAGES.fetch_add(ARENA_PAGES, Relaxed);
        IN_USE.store(true, Relaxed);
    }

    /// An arena that may be touched and has no free pages yet.
    fn next_arena(&mut self) -> Option<usize> {
        if self.cold_count > 0 {
            self.cold_count -= 1;
            return Some(self.cold[self.cold_count] as usize);
        }
        let arena = self.fresh;
        if arena == ARENAS_MAX {
            return None;
        }
        let start = self.address(arena);
        // SAFETY: the range was reserved for this arena and holds nothing yet; advice changes no content.
        let is_usable = unsafe {
            let done = libc::mprotect(start, ARENA_BYTES, libc::PROT_READ | libc::PROT_WRITE);
            libc::madvise(start, ARENA_BYTES, libc::MADV_HUGEPAGE);
            done == 0
        };
        if !is_usable {
            return None;
        }
        self.fresh += 1;
        Some(arena)
    }

    fn give_back(&mut self, offset: usize) {
        let (arena, page) = (offset / ARENA_BYTES, offset % ARENA_BYTES / PAGE_BYTES);
        self.free[arena] |= 1 << page;
        READY_PAGES.fetch_add(1, Relaxed);
        self.first_room = self.first_room.min(arena);
        if self.free[arena] != ALL_FREE {
            return;
        }
        self.spare += 1;
        if self.spare > 1 {
            self.free[arena] = 0;
            self.idle[self.idle_count] = arena as u32;
            self.idle_count += 1;
            IDLE.fetch_add(1, Relaxed);
            READY_PAGES.fetch_sub(ARENA_PAGES, Relaxed);
            self.spare -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_zero_once_distinct_and_come_back() {
        let mut taken: Vec<*mut u8> = Vec::new();
        while taken.len() < 3 * ARENA_PAGES {
            let Some((page, is_zero)) = take() else { continue };
            assert!(is_zero, "a page of a new arena is zero");
            assert!(!taken.contains(&page));
            assert_eq!(page as usize % PAGE_BYTES, 0);
            // SAFETY: the page was just handed out and is 64 KiB long.
            unsafe {
                assert_eq!((*page, *page.add(PAGE_BYTES - 1)), (0, 0));
                ptr::write_bytes(page, 0xaa, PAGE_BYTES);
            }
            taken.push(page);
        }
        for page in &taken {
            assert!(give_back(*page));
        }
        assert!(needs_maintenance());
        maintain();
        let mut zero = 0;
        let again: Vec<*mut u8> = (0..2 * ARENA_PAGES)
            .map(|_| {
                let (page, is_zero) = take().expect("the arenas are there");
                // SAFETY: as above.
                unsafe { assert!(!is_zero || *page == 0) };
                zero += usize::from(is_zero);
                page
            })
            .collect();
        assert!(zero >= ARENA_PAGES, "one arena at most was kept as it was");
        for page in again {
            assert!(give_back(page));
        }
        assert!(!give_back(ptr::null_mut()), "that was none of ours");
        crate::sys::alloc::tests::check(&[100, 5000, PAGE_BYTES, PAGE_BYTES * 3, PAGE_BYTES, 40]);
        crate::sys::alloc::tests::check(&[PAGE_BYTES, 10]);
        crate::sys::alloc::tests::check_threads();
    }
}
