//! The allocator, with a counter.
//!
//! `used_memory`, and through it eviction, rests on what is allocated at the moment. The wrapper adds the size of each
//! request; the system's allocator does the rest. The counter is shared by the loop and the helper thread.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; it forwards each call unchanged")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting.
pub struct Counting;

// SAFETY: every method forwards to `System` with the arguments it was given, so `System`'s guarantees are ours.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is that of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Relaxed);
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the pointer came from `System` with this layout, because all of ours do.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATED.fetch_add(size, Relaxed);
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the pointer came from `System` with this layout, because all of ours do.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Bytes that are allocated and not freed.
pub fn allocated_bytes() -> usize {
    ALLOCATED.load(Relaxed)
}
