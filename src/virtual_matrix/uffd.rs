//! userfaultfd: the system tells a descriptor of ours which page somebody waits for, and waits until it is there.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::time::Duration;

use crate::{Error, ErrorKind, Result};

#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct Range {
    start: u64,
    len: u64,
}

#[repr(C)]
struct Register {
    range: Range,
    mode: u64,
    ioctls: u64,
}

#[repr(C)]
struct CopyPages {
    to: u64,
    from: u64,
    len: u64,
    mode: u64,
    copied: i64,
}

/// What the system tells of a page that is missing.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
struct Message {
    event: u8,
    reserved: [u8; 7],
    flags: u64,
    address: u64,
    thread: u64,
}

const API: u64 = 0xaa;
const EVENT_PAGEFAULT: u8 = 0x12;
const FEATURE_MINOR_SHMEM: u64 = 1 << 10;
const USER_MODE_ONLY: libc::c_int = 1;
/// As the headers of Linux put them together, on every machine whose numbers of ioctls follow the usual scheme.
const fn request(read: bool, number: u64, size: usize) -> u64 {
    let direction: u64 = if read { 2 } else { 3 };
    direction << 30 | (size as u64) << 16 | API << 8 | number
}
const UFFDIO_API: u64 = request(false, 0x3f, size_of::<Api>());
const UFFDIO_REGISTER: u64 = request(false, 0, size_of::<Register>());
const UFFDIO_WAKE: u64 = request(true, 2, size_of::<Range>());
const UFFDIO_COPY: u64 = request(false, 3, size_of::<CopyPages>());
/// `_IO(0xaa, 0)` of `/dev/userfaultfd`.
const USERFAULTFD_IOC_NEW: u64 = 0xaa00;

/// Which faults a range tells of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// There is no page.
    Missing = 1,
    /// There is one, and it isn't mapped.
    Minor = 4,
}

/// The descriptor that tells of faults.
pub(super) struct Uffd {
    file: File,
    /// Whether it also serves the system itself, when a system call reads such memory.
    serves_system: bool,
    /// Whether it tells of pages that are there and not mapped.
    minor: bool,
}

impl Uffd {
    /// Opens one, as mighty as the system allows.
    pub(super) fn open(minor: bool) -> Result<Self> {
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        let (fd, serves_system) = match call(flags).or_else(|_| device(flags)) {
            Ok(fd) => (fd, true),
            Err(_) => (call(flags | USER_MODE_ONLY).map_err(unavailable)?, false),
        };
        // SAFETY: the descriptor was just made, and is nobody else's.
        let file = unsafe { File::from_raw_fd(fd) };
        let mut uffd = Self { file, serves_system, minor };
        let features = if minor { FEATURE_MINOR_SHMEM } else { 0 };
        let mut api = Api { api: API, features, ioctls: 0 };
        // SAFETY: the request takes an `Api`.
        match unsafe { uffd.ioctl(UFFDIO_API, &mut api) } {
            Ok(()) => Ok(uffd),
            // Before Linux 5.14. A descriptor that has refused is of no more use.
            Err(error) if minor && error.raw_os_error() == Some(libc::EINVAL) => {
                uffd = Self::open(false)?;
                Ok(uffd)
            }
            Err(error) => Err(unavailable(error)),
        }
    }

    pub(super) fn serves_system(&self) -> bool {
        self.serves_system
    }

    pub(super) fn minor(&self) -> bool {
        self.minor
    }

    /// Has faults on this range told.
    pub(super) fn register(&self, start: usize, len: usize, mode: Mode) -> io::Result<()> {
        let mut register = Register { range: range(start, len), mode: mode as u64, ioctls: 0 };
        // SAFETY: the request takes a `Register`. Memory that is registered is still what it was.
        unsafe { self.ioctl(UFFDIO_REGISTER, &mut register) }
    }

    /// Lets those go on who wait for a page of this range.
    pub(super) fn wake(&self, start: usize, len: usize) -> io::Result<()> {
        // SAFETY: the request takes a `Range`.
        unsafe { self.ioctl(UFFDIO_WAKE, &mut range(start, len)) }
    }

    /// Puts copies of these pages where none are, and lets those go on who wait for them. Pages that are there stay.
    pub(super) fn copy(&self, to: usize, from: &[u8]) -> io::Result<()> {
        let mut done = 0;
        while done < from.len() {
            let rest = &from[done..];
            let (to, len) = (to + done, rest.len() as u64);
            let mut copy = CopyPages { to: to as u64, from: rest.as_ptr() as u64, len, mode: 0, copied: 0 };
            // SAFETY: the request takes a `CopyPages`; it reads `from`, and writes to pages only that are missing.
            match unsafe { self.ioctl(UFFDIO_COPY, &mut copy) } {
                Ok(()) => return Ok(()),
                Err(_) if copy.copied > 0 => done += copy.copied as usize,
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                    let page = super::region::page();
                    self.wake(to, page)?;
                    done += page;
                }
                Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until somebody needs a page, at most for so long; gives the addresses of those that are needed.
    pub(super) fn faults(&self, patience: Option<Duration>, mut told: impl FnMut(usize)) -> io::Result<()> {
        let mut poll = libc::pollfd { fd: self.file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let time = |time: Duration| libc::timespec { tv_sec: time.as_secs() as _, tv_nsec: time.subsec_nanos().into() };
        let time = patience.map(time);
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: one entry, which is ours, and a time or none.
        let ready = unsafe { libc::ppoll(&mut poll, 1, time, std::ptr::null()) };
        match ready {
            0 => return Ok(()),
            n if n < 0 => return Err(io::Error::last_os_error()),
            _ if poll.revents & libc::POLLIN == 0 => return Err(io::Error::other("the descriptor is broken")),
            _ => {}
        }
        let mut messages = [bytemuck::Zeroable::zeroed(); 16];
        match (&self.file).read(bytemuck::cast_slice_mut::<Message, u8>(&mut messages)) {
            Ok(bytes) => {
                let count = bytes / size_of::<Message>();
                let faults = messages[..count].iter().filter(|message| message.event == EVENT_PAGEFAULT);
                faults.for_each(|message| told(message.address as usize));
                Ok(())
            }
            // Whoever waited has been killed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// # Safety
    /// `argument` is what the request takes.
    unsafe fn ioctl<T>(&self, request: u64, argument: &mut T) -> io::Result<()> {
        // SAFETY: as the caller vouches.
        let done = unsafe { libc::ioctl(self.file.as_raw_fd(), request, std::ptr::from_mut(argument)) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

fn range(start: usize, len: usize) -> Range {
    Range { start: start as u64, len: len as u64 }
}

fn call(flags: libc::c_int) -> io::Result<RawFd> {
    // SAFETY: makes a descriptor, which affects nothing before a range is registered.
    let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) };
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(fd as RawFd) }
}

fn device(flags: libc::c_int) -> io::Result<RawFd> {
    let device = File::options().read(true).write(true).open("/dev/userfaultfd")?;
    // SAFETY: the request takes flags, and makes a descriptor.
    let fd = unsafe { libc::ioctl(device.as_raw_fd(), USERFAULTFD_IOC_NEW, flags) };
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(fd) }
}

/// The system does not do it, or not for this process.
pub(super) fn unavailable(error: io::Error) -> Error {
    let message = format!(
        "the system refuses userfaultfd ({error}), as containers often do; backing \"alias\" needs none, and \
         matrix_batches gives matrices of some rows at a time"
    );
    ErrorKind::Unavailable { what: "a virtual matrix with backing \"fault\"", message, error: Some(error) }.into()
}
