//! The allocator, with a counter.
//!
//! `used_memory`, and through it eviction, rests on what is allocated at the moment. The wrapper adds the size of each
//! request. Pieces of 64 KiB, which the slab and the dict take, come from huge pages (see [`super::pages`]); the system's
//! allocator does the rest. The counter is shared by the loop and the helper thread.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; it forwards each call")]

use super::pages::{self, PAGE_BYTES};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

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
        ALLOCATED.fetch_add(layout.size(), Relaxed);
        if is_page(&layout)
            && let Some((page, _)) = pages::take()
        {
            return page;
        }
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is that of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Relaxed);
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
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
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
        ALLOCATED.fetch_add(size, Relaxed);
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the pointer came from `System` with this layout, because it is no page and does not become one.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Bytes that are allocated and not freed.
pub fn allocated_bytes() -> usize {
    ALLOCATED.load(Relaxed)
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
}
