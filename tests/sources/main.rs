//! Every source, held against the same suite: what a file gives is the array that was written, region by region, and a
//! broken file is an error.

mod broken;
#[cfg(feature = "image")]
mod images;
mod npy;
#[cfg(feature = "npz")]
mod npzs;
mod open;
mod raws;
mod suite;
#[cfg(feature = "tiff")]
mod tiffs;
#[cfg(feature = "zarr")]
mod zarrs;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The largest single allocation since the start of the tests.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

struct Watch;

// SAFETY: all of it is the system's allocator; only sizes are looked at.
unsafe impl GlobalAlloc for Watch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static WATCH: Watch = Watch;
