//! The physical memory behind a matrix that is made on touch: slots, which chunks take in turn.

use std::fs::File;
use std::io;
use std::ptr::NonNull;

use super::region::{Access, HUGE, Region, advise, allocate, memory_file, move_mapping};
use super::uffd::{Mode, Uffd};
use crate::{BufferPool, PoolBuf, Result};

/// Where chunks get their pages from.
pub(super) enum Slots {
    /// Pages that are used again and again. They lie in a file without a name, which is mapped here to be written, and
    /// where the matrix is to be read. A chunk that goes away is unmapped and leaves its pages to the next one, so that
    /// nothing is copied, cleared or allocated; and the mapping that readers see is never writable.
    Recycled {
        writer: Region,
        /// A mapping for reading of the whole file, of which a piece is moved to where it is needed.
        reader: Region,
        /// Bytes that were allocated so far.
        ready: usize,
    },
    /// Fresh pages for every chunk, into which the system copies. For systems that can't tell of recycled pages.
    Fresh { staging: PoolBuf },
}

impl Slots {
    /// `bytes` of memory for chunks, of which pieces of at most `piece` bytes are made at once.
    pub(super) fn new(recycle: bool, bytes: usize, piece: usize) -> Result<Self> {
        if !recycle {
            return Ok(Slots::Fresh { staging: BufferPool::new(0).take(piece)? });
        }
        let failed = |error| super::failed("the pages of a matrix", "map", bytes, error);
        let file = memory_file(c"windrow-pages", bytes).map_err(failed)?;
        let map = |access| -> Result<Region> {
            let region = Region::reserve(bytes)?;
            map_whole(&region, &file, access).map_err(failed)?;
            Ok(region)
        };
        Ok(Slots::Recycled { writer: map(Access::Write)?, reader: map(Access::Read)?, ready: 0 })
    }

    /// Whether pages are used again.
    pub(super) fn recycles(&self) -> bool {
        matches!(self, Slots::Recycled { .. })
    }

    /// Memory to make a piece in, which then becomes the slots from the byte `at` on. They serve no chunk any more.
    pub(super) fn memory(&mut self, at: usize, len: usize) -> io::Result<&mut [u8]> {
        match self {
            Slots::Fresh { staging } => Ok(&mut staging[..len]),
            Slots::Recycled { writer, ready, .. } => {
                while *ready < at + len {
                    let more = HUGE.min(writer.len() - *ready);
                    allocate(writer, *ready, more)?;
                    *ready += more;
                }
                let start = NonNull::new(writer.at(at, len).cast::<u8>()).unwrap_or(NonNull::dangling());
                // SAFETY: within a mapping that may be written and that nobody else knows. What else is mapped from these
                // pages was unmapped when their last chunk went.
                Ok(unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), len) })
            }
        }
    }

    /// Shows the piece that was made for the slots from the byte `slot` on at the byte `at` of the matrix, and lets go on
    /// who waits for it.
    pub(super) fn publish(&self, uffd: &Uffd, matrix: &Region, at: usize, slot: usize, len: usize) -> io::Result<()> {
        let start = matrix.at(at, len) as usize;
        match self {
            Slots::Fresh { staging } => uffd.copy(start, &staging[..len]),
            Slots::Recycled { reader, .. } => {
                // The mapping that is replaced is one without pages. The new one shows the right pixels from its first
                // moment on, and was never part of a fork.
                // SAFETY: nobody reads from `reader`; and at the new place nobody has seen anything yet.
                unsafe { move_mapping(reader.at(slot, len), matrix.at(at, len), len)? };
                uffd.wake(start, len)
            }
        }
    }

    /// Takes away the pages of these bytes of the matrix: the next one who touches them waits until they are made again.
    pub(super) fn evict(&self, uffd: &Uffd, matrix: &Region, at: usize, len: usize) -> io::Result<()> {
        if self.recycles() {
            // From here on no page is mapped there without us; so none can come back behind the next call.
            uffd.register(matrix.at(at, len) as usize, len, Mode::Minor)?;
        }
        // SAFETY: the pages can be made again, and are, before anybody sees anything else.
        unsafe { advise(matrix.at(at, len), len, libc::MADV_DONTNEED) }
    }
}

fn map_whole(region: &Region, file: &File, access: Access) -> io::Result<()> {
    // SAFETY: the region was just reserved, and nobody knows its address.
    unsafe { region.map_file(0, region.len(), file, 0, access)? };
    hide(region)
}

/// Keeps a region out of forks, where nobody would serve it, and out of core dumps, which would read all of it.
pub(super) fn hide(region: &Region) -> io::Result<()> {
    let (start, len) = (region.at(0, region.len()), region.len());
    // SAFETY: changes nothing in this process.
    unsafe {
        advise(start, len, libc::MADV_DONTFORK)?;
        advise(start, len, libc::MADV_DONTDUMP)
    }
}
