//! Address space: reserved at once, filled with mappings, and given back when it is dropped.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::NonNull;

use libc::{MAP_ANONYMOUS, MAP_FIXED, MAP_NORESERVE, MAP_PRIVATE, MAP_SHARED, PROT_NONE, PROT_READ, PROT_WRITE};

use crate::{Error, ErrorKind, Result};

/// Bytes of a huge page on x86-64 and most others: regions start at a multiple of it.
pub(super) const HUGE: usize = 2 << 20;

/// What may be done with a mapping. Memory that a matrix is read from is never writable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

impl Access {
    fn protection(self) -> libc::c_int {
        if self == Access::Write { PROT_READ | PROT_WRITE } else { PROT_READ }
    }
}

/// A range of addresses that nobody else maps anything into. Nothing can be read there until something is mapped.
pub(super) struct Region {
    /// What was reserved: more than is used, so that the start can be aligned.
    reserved: NonNull<u8>,
    reserved_len: usize,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a region is addresses; what may be done with the memory there is up to those who map it.
unsafe impl Send for Region {}
// SAFETY: as above; all methods that change mappings are unsafe.
unsafe impl Sync for Region {}

impl Region {
    /// Reserves `len` bytes, aligned to a huge page. Takes no memory.
    pub(super) fn reserve(len: usize) -> Result<Self> {
        let none = || Error::from(ErrorKind::Memory { what: "the addresses of a matrix", bytes: len });
        let reserved_len = len.checked_add(HUGE).ok_or_else(none)?;
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        // SAFETY: a new mapping at an address that the system chooses touches no other.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), reserved_len, PROT_NONE, flags, -1, 0) };
        let reserved = NonNull::new(at.cast::<u8>()).filter(|_| at != libc::MAP_FAILED).ok_or_else(none)?;
        // SAFETY: at most HUGE - 1 bytes further, and so within what was reserved.
        let start = unsafe { reserved.add(reserved.as_ptr().align_offset(HUGE)) };
        Ok(Self { reserved, reserved_len, start, len })
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The address of the byte `at`, which with `len` more lies in the region.
    pub(super) fn at(&self, at: usize, len: usize) -> *mut libc::c_void {
        assert!(at.checked_add(len).is_some_and(|end| end <= self.len), "{at} + {len} in a region of {}", self.len);
        self.start.as_ptr().wrapping_add(at).cast()
    }

    /// Maps `len` bytes of a file from `offset` on to the byte `at`, in place of what is there.
    ///
    /// # Safety
    /// Nobody holds a reference to the memory that was mapped there.
    pub(super) unsafe fn map_file(
        &self,
        at: usize,
        len: usize,
        file: &File,
        offset: usize,
        access: Access,
    ) -> io::Result<()> {
        let (fd, flags) = (file.as_raw_fd(), MAP_SHARED | MAP_FIXED);
        // SAFETY: only addresses of this region are replaced, and the caller vouches that nobody uses them.
        let mapped = unsafe { libc::mmap(self.at(at, len), len, access.protection(), flags, fd, offset as i64) };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl Region {
    /// Makes all of the region readable, without a page behind it.
    pub(super) fn map_empty(&self) -> io::Result<()> {
        // SAFETY: nothing was mapped there, so nobody has a reference into it.
        let done = unsafe { libc::mprotect(self.at(0, self.len), self.len, PROT_READ) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the owners of a region hand out no memory that outlives it.
        unsafe { libc::munmap(self.reserved.as_ptr().cast(), self.reserved_len) };
    }
}

/// Bytes of a page.
pub(super) fn page() -> usize {
    // SAFETY: asks for a constant of the system.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// A file of `len` bytes that lies in memory and has no name.
pub(super) fn memory_file(name: &std::ffi::CStr, len: usize) -> io::Result<File> {
    // SAFETY: `name` is a string that ends with a zero.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made, and is nobody else's.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(len as u64)?;
    Ok(file)
}

/// Forbids for ever that the file is written to or changes its length, by this process or any other.
pub(super) fn seal(file: &File) -> io::Result<()> {
    // SAFETY: seals a file that is open.
    let done = unsafe {
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_FUTURE_WRITE | libc::F_SEAL_SEAL;
        libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Tells the system something about a range of addresses.
///
/// # Safety
/// As of the advice.
pub(super) unsafe fn advise(start: *mut libc::c_void, len: usize, advice: libc::c_int) -> io::Result<()> {
    // SAFETY: as the caller vouches.
    let done = unsafe { libc::madvise(start, len, advice) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Has pages for some bytes of a mapping, a huge one where the system has it.
pub(super) fn allocate(region: &Region, at: usize, len: usize) -> io::Result<()> {
    let start = region.at(at, len);
    if len == HUGE {
        // SAFETY: within the mapping, which nobody uses yet. Systems without this advice refuse, and are slower; a page must
        // be there to become a huge one.
        unsafe {
            if advise(start, page(), libc::MADV_POPULATE_WRITE).is_ok() {
                let _ = advise(start, len, libc::MADV_COLLAPSE);
            }
        }
    }
    // SAFETY: allocates pages within the mapping.
    match unsafe { advise(start, len, libc::MADV_POPULATE_WRITE) } {
        // Before Linux 5.14; then pages come when they are written.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        other => other,
    }
}

/// Moves what is mapped at `from` to `to`, in place of what is mapped there, at once. At `from` the mapping stays, without
/// pages.
///
/// # Safety
/// Nobody holds a reference to the memory at either place, unless it shows the same bytes afterwards.
pub(super) unsafe fn move_mapping(from: *mut libc::c_void, to: *mut libc::c_void, len: usize) -> io::Result<()> {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
    // SAFETY: as the caller vouches.
    let moved = unsafe { libc::mremap(from, len, len, flags, to) };
    if moved == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}
