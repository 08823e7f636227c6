//! The allocator, with a counter.
//!
//! `used_memory`, and through it eviction, rests on what is allocated at the moment. The wrapper adds the size of each
//! request. Pieces of 64 KiB, which the slab and the dict take, come from huge pages (see [`super::pages`]); the system's
//! allocator does the rest. The loop's thread has a counter of its own, which it changes without a locked instruction;
//! all other threads share a second one. Either may fall below zero, as what one thread allocates another may free: the
//! sum counts.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; it forwards each call")]

use super::pages::{self, PAGE_BYTES};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// Bytes that the loop's thread has allocated, less those that it has freed. Nobody else writes it.
static BY_LOOP: AtomicUsize = AtomicUsize::new(0);
/// The same of all other threads.
static BY_OTHERS: AtomicUsize = AtomicUsize::new(0);
/// Whether a thread was named as the loop's.
static HAS_LOOP: AtomicBool = AtomicBool::new(false);

thread_local! {
    static IS_LOOP: Cell<bool> = const { Cell::new(false) };
}

/// Names this thread as the one that allocates most. The first call in a process counts, all later ones do nothing.
pub fn count_for_loop() {
    if !HAS_LOOP.swap(true, Relaxed) {
        IS_LOOP.set(true);
    }
}

/// Counts bytes that were allocated, or, negative, freed.
#[inline]
fn count(bytes: isize) {
    let bytes = bytes as usize;
    if IS_LOOP.get() {
        BY_LOOP.store(BY_LOOP.load(Relaxed).wrapping_add(bytes), Relaxed);
    } else {
        BY_OTHERS.fetch_add(bytes, Relaxed);
    }
}

/// The system's allocator, counting.
pub struct Counting;

/// Whether a request is for a page; pages are aligned to their size.
#[inline]
fn is_page(layout: &Layout) -> bool {
    layout.size() == PAGE_BYTES && layout.align() <= PAGE_BYTES
}

// SAFETY: a page is memory of the right size and alignment that nobody else has until it is given back; every other call
// is forwarded to `System` with the arguments it was given, so `System`'s guarantees are ours. Which of the two a pointer
// came from is decided by its address, so it goes back to where it came from.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        if is_page(&layout)
            && let Some((page, _)) = pages::take()
        {
            return page;
        }
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is that of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        if is_page(&layout)
            && let Some((page, is_zero)) = pages::take()
        {
            if !is_zero {
                // SAFETY: the page is ours, and so long.
                unsafe { page.write_bytes(0, PAGE_BYTES) };
            }
            return page;
        }
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        if is_page(&layout) && pages::give_back(pointer) {
            return;
        }
        // SAFETY: the pointer came from `System` with this layout, because it is no page.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_page(&layout) || size == PAGE_BYTES {
            // SAFETY: `size` is not zero and does not overflow, by the contract of `realloc`; what is copied lies within
            // both pieces, and the old one is given back as it came.
            unsafe {
                let fresh = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !fresh.is_null() {
                    pointer.copy_to_nonoverlapping(fresh, layout.size().min(size));
                    self.dealloc(pointer, layout);
                }
                return fresh;
            }
        }
        count(size as isize - layout.size() as isize);
        // SAFETY: the pointer came from `System` with this layout, because it is no page and does not become one.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Bytes that are allocated and not freed.
pub fn allocated_bytes() -> usize {
    BY_LOOP.load(Relaxed).wrapping_add(BY_OTHERS.load(Relaxed))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A piece grows and shrinks through these sizes and keeps its bytes. Pages are shared by the process, so the test of
    /// `pages` calls it when it is done with them.
    pub fn check(sizes: &[usize]) {
        let before = allocated_bytes();
        let layout = |size| Layout::from_size_align(size, 8).expect("it is no odd alignment");
        // SAFETY: each piece is as long as its layout says, is used up to there, and is given back once.
        unsafe {
            let mut size = sizes[0];
            let mut piece = Counting.alloc_zeroed(layout(size));
            assert!((0..size).all(|at| *piece.add(at) == 0));
            piece.write_bytes(5, size);
            for next in &sizes[1..] {
                piece = Counting.realloc(piece, layout(size), *next);
                assert!((0..size.min(*next)).all(|at| *piece.add(at) == 5));
                piece.write_bytes(5, *next);
                size = *next;
                assert_eq!(allocated_bytes() - before, size);
            }
            Counting.dealloc(piece, layout(size));
            let piece = Counting.alloc(layout(PAGE_BYTES));
            piece.write_bytes(6, PAGE_BYTES);
            Counting.dealloc(piece, layout(PAGE_BYTES));
        }
        assert_eq!(allocated_bytes(), before);
    }

    /// What one thread allocates another may free. The counters are shared by the process, as the pages are.
    pub fn check_threads() {
        let before = allocated_bytes();
        let in_loop = || {
            count_for_loop();
            count(1000);
            (IS_LOOP.get(), BY_LOOP.load(Relaxed))
        };
        assert_eq!(std::thread::spawn(in_loop).join().expect("the thread ends well"), (true, 1000));
        count_for_loop();
        assert!(!IS_LOOP.get(), "there is one loop");
        assert_eq!(allocated_bytes() - before, 1000);
        count(-1000);
        assert_eq!((BY_LOOP.load(Relaxed), allocated_bytes()), (1000, before));
    }
}
