//! A matrix whose pages are made when they are touched, and go again when others need their place.
//!
//! The addresses of the matrix have no pages. When a thread reads one, the system puts it to sleep and tells a thread of
//! ours ([`Handler`]), which makes the chunk around it and wakes the reader. The chunks that are there are at most so many;
//! the oldest gives its place to the next.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use bytesize::ByteSize;

use super::fill::Filler;
use super::handler::{Failure, Handler};
use super::region::{self, Region};
use super::second::Second;
use super::slots::{self, Slots};
use super::uffd::{self, Mode, Uffd};
use crate::jobs::caught;
use crate::{Error, ErrorKind, Result};

/// Chunks of a matrix: each may be a mapping of its own, of which a process has some 65,000.
const MOST_CHUNKS: usize = 1 << 14;

/// A chunk that stands alone has this many bytes, where that leaves enough chunks.
const CHUNK: usize = 64 << 10;

/// So many chunks there must be room for: what several threads touch at once.
const FEWEST_SLOTS: usize = 32;

/// How the pages of a matrix come and go on this system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Means {
    /// Pages are used again; otherwise the system copies into fresh ones.
    pub(super) recycles: bool,
    /// System calls may read the matrix too.
    pub(super) serves_system: bool,
}

impl Means {
    /// What the system allows.
    pub(super) fn probe() -> Result<Self> {
        let uffd = Uffd::open(true)?;
        Ok(Self { recycles: uffd.minor(), serves_system: uffd.serves_system() })
    }

    pub(super) fn describe(self) -> String {
        let pages = if self.recycles { "pages are remapped" } else { "pages are copied" };
        let calls = if self.serves_system { "" } else { ", and system calls can't read them" };
        format!("{pages}{calls}")
    }
}

/// How a matrix is cut.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cut {
    chunk: usize,
    slots: usize,
}

impl Cut {
    /// Chunks for `len` bytes, of which `room` bytes are there at once.
    fn new(len: usize, room: usize) -> Result<Self> {
        let page = region::page();
        let mut chunk = len.div_ceil(MOST_CHUNKS).next_power_of_two().max(page);
        while chunk < CHUNK && room / (chunk * 2) >= 4 * FEWEST_SLOTS {
            chunk *= 2;
        }
        let slots = (room / chunk).min(len.div_ceil(chunk).max(FEWEST_SLOTS)).min(u32::MAX as usize - 1);
        if slots < FEWEST_SLOTS {
            let (room, least) = (ByteSize(room as u64), ByteSize((FEWEST_SLOTS * chunk) as u64));
            let message =
                format!("{room} of pages for a matrix of {}: expected at least {least}", ByteSize(len as u64));
            return Err(Error::argument("max_resident", message + ", besides the pixels"));
        }
        Ok(Self { chunk, slots })
    }
}

/// A matrix that is made on touch.
pub(super) struct Fault {
    matrix: Option<Arc<Region>>,
    pub(super) filler: Arc<Filler>,
    len: usize,
    end: usize,
    thread: Option<JoinHandle<()>>,
    /// The process that the thread is of.
    process: u32,
    pub(super) means: Means,
    pub(super) resident_bytes: usize,
}

impl Fault {
    /// `recycle`: use pages again, where the system can.
    pub(super) fn new(filler: Filler, max_resident: u64, recycle: bool) -> Result<Self> {
        let addresses = || Error::too_large("a virtual matrix", format!("{} rows", filler.rows()), "its addresses");
        let len = filler.bytes().ok_or_else(addresses)?;
        let most = usize::try_from(max_resident).unwrap_or(usize::MAX);
        let Some(room) = most.checked_sub(filler.held) else {
            let (most, held) = (ByteSize(max_resident), ByteSize(filler.held as u64));
            let message = format!("{most} do not hold the pixels that the matrix is made of, {held}");
            return Err(Error::argument("max_resident", message));
        };
        let Cut { chunk, slots } = Cut::new(len, room)?;
        let whole = len.checked_next_multiple_of(chunk).ok_or_else(addresses)?;
        let matrix = Arc::new(Region::reserve(whole.checked_add(region::page()).ok_or_else(addresses)?)?);
        let failed = |error| super::failed("the addresses of a matrix", "map", len, error);
        matrix.map_empty().map_err(failed)?;
        slots::hide(&matrix).map_err(failed)?;
        let resident_bytes = filler.held + slots * chunk;
        let filler = Arc::new(filler);
        let (sender, receiver) = sync_channel(1);
        let (ours, their_filler) = (matrix.clone(), filler.clone());
        let work = move || {
            let made = start(&ours, recycle).and_then(|uffd| {
                let pages = || Slots::new(uffd.minor(), slots * chunk, region::HUGE.max(chunk));
                let means = Means { recycles: uffd.minor(), serves_system: uffd.serves_system() };
                // Large chunks of several terabytes are not made in two places at once: that would be more memory than told.
                let second = match means.recycles || chunk > 4 * region::HUGE {
                    true => None,
                    false => Some(Second::start(uffd.clone(), pages()?, ours.clone(), their_filler.clone(), len)?),
                };
                let pages = pages()?;
                Ok((means, Handler::new(uffd, pages, second, ours, their_filler, chunk, slots, len)))
            });
            match made {
                Ok((means, mut handler)) => {
                    // Who asked waits for the answer.
                    let _ = sender.send(Ok(means));
                    serve(|| handler.run());
                }
                Err(error) => {
                    let _ = sender.send(Err(error));
                }
            }
        };
        let thread = std::thread::Builder::new().name("windrow-fault".to_owned()).spawn(work).map_err(failed)?;
        let gone = || ErrorKind::Worker("the thread of a virtual matrix did not start".to_owned()).into();
        let means = receiver.recv().unwrap_or_else(|_| Err(gone()))?;
        let (end, process) = (whole, std::process::id());
        Ok(Self { matrix: Some(matrix), filler, len, end, thread: Some(thread), process, means, resident_bytes })
    }

    /// The matrix. Reading it may wait for its thread.
    pub(super) fn bytes(&self) -> &[u8] {
        let Some(matrix) = &self.matrix else { return &[] };
        // SAFETY: the region is readable as long as it is; every page shows the same bytes whenever it is there. It lives
        // as long as `self`, and so does the thread that makes the pages.
        unsafe { std::slice::from_raw_parts(matrix.start().as_ptr(), self.len) }
    }
}

impl Drop for Fault {
    /// Stops the thread, waits for it, and then gives back the addresses.
    fn drop(&mut self) {
        let (matrix, thread) = (self.matrix.take(), self.thread.take());
        if std::process::id() != self.process {
            // A fork: neither the addresses nor the thread came along.
            std::mem::forget((matrix, thread));
            return;
        }
        if let (Some(matrix), Some(thread)) = (matrix, thread) {
            let end = matrix.at(self.end, 1).cast::<u8>();
            // SAFETY: the page behind the chunks is readable; the thread shows it, and ends.
            unsafe { end.read_volatile() };
            // It doesn't panic: it would have ended the process.
            let _ = thread.join();
        }
    }
}

/// What the thread does first.
fn start(matrix: &Region, recycle: bool) -> Result<Arc<Uffd>> {
    let failed = |error| super::failed("a virtual matrix", "serve", matrix.len(), error);
    alone().map_err(uffd::unavailable)?;
    let uffd = Uffd::open(recycle)?;
    uffd.register(matrix.at(0, 0) as usize, matrix.len(), Mode::Missing).map_err(failed)?;
    Ok(Arc::new(uffd))
}

/// Makes the thread one that nobody disturbs: signals go to others, and its descriptors are its own, so that nobody else
/// can close them and no fork has them. Closed, the memory would read as zeros. And short sleeps are short.
fn alone() -> std::io::Result<()> {
    // SAFETY: a set of signals, filled before it is used; and descriptors of this thread alone, which holds none yet but
    // the one of error messages.
    unsafe {
        let mut signals = std::mem::zeroed();
        libc::sigfillset(&mut signals);
        libc::pthread_sigmask(libc::SIG_SETMASK, &signals, std::ptr::null_mut());
        let close = |first: u32, last: u32, flags: u32| libc::syscall(libc::SYS_close_range, first, last, flags);
        if close(3, u32::MAX, libc::CLOSE_RANGE_UNSHARE) < 0 {
            return Err(std::io::Error::last_os_error());
        }
        close(0, 1, 0);
        // Who sleeps for microseconds is not to be woken with others, later. Where that is refused, it is later.
        libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong);
    }
    Ok(())
}

/// Serves until the end. What goes wrong here can't be told to those who wait for memory, so it ends the process.
pub(super) fn serve(run: impl FnOnce() -> Result<(), Failure>) {
    let message = match caught(|| Ok(run())) {
        Ok(Ok(())) => return,
        Ok(Err(failure)) => failure.to_string(),
        Err(panic) => panic.to_string(),
    };
    let text = format!("windrow: a virtual matrix can't be served any more, so the process ends: {message}\n");
    // SAFETY: writes bytes that are there. No lock is taken, since one who waits for us may hold it.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
    std::process::abort();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_fit_the_room_and_the_mappings() {
        let page = region::page();
        for (len, room) in [(1, 32 * page), (64 << 20, 1 << 20), (4 << 30, 256 << 20), (1 << 40, 4 << 30)] {
            let cut = Cut::new(len, room).unwrap();
            assert!(cut.chunk.is_power_of_two() && cut.chunk >= page && cut.slots >= FEWEST_SLOTS, "{cut:?}");
            assert!(cut.chunk * cut.slots <= room && len.div_ceil(cut.chunk) <= MOST_CHUNKS, "{cut:?}");
        }
        assert_eq!(Cut::new(4 << 30, 256 << 20).unwrap(), Cut { chunk: 256 << 10, slots: 1024 });
        let message = Cut::new(4 << 30, 1 << 20).unwrap_err().to_string();
        assert!(message.starts_with("max_resident: 1.0 MiB of pages for a matrix of 4.0 GiB"), "{message}");
    }
}
