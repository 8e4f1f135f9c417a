//! A second thread, for pieces whose pages the system copies. That takes most of the time, and whoever waits for them
//! sleeps: so one piece is made while another one is copied.
//!
//! Which chunks are where, only the first thread knows. This one is told what to take away and what to make. Should the
//! first make what this one takes away, somebody waits for it once more, and it is made once more; the pages of both hold
//! the same bytes.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::fault::serve;
use super::fill::Filler;
use super::handler::Failure;
use super::region::Region;
use super::slots::Slots;
use super::uffd::Uffd;
use crate::Result;

/// A piece of a matrix.
pub(super) struct Work {
    /// Bytes of the matrix that leave their place to it.
    pub(super) leave: Vec<Range<usize>>,
    /// The byte from which it is made, and how many.
    pub(super) at: usize,
    pub(super) len: usize,
}

/// The thread, as the first one knows it.
pub(super) struct Second {
    /// `None` once it is to end.
    work: Option<SyncSender<Work>>,
    thread: Option<JoinHandle<()>>,
    busy: Arc<AtomicBool>,
    /// The bytes that it was given last.
    given: Range<usize>,
}

impl Second {
    /// Started by the first thread, it has the same descriptors and hears of no signal either. `len`: the bytes of the
    /// matrix.
    pub(super) fn start(
        uffd: Arc<Uffd>,
        slots: Slots,
        matrix: Arc<Region>,
        filler: Arc<Filler>,
        len: usize,
    ) -> Result<Self> {
        let (sender, receiver) = sync_channel(1);
        let busy = Arc::new(AtomicBool::new(false));
        let mut thread = Thread { uffd, slots, matrix, filler, len, busy: busy.clone() };
        let name = "windrow-fault-2".to_owned();
        let spawned = std::thread::Builder::new().name(name).spawn(move || serve(|| thread.run(receiver)));
        let thread = spawned.map_err(|error| super::failed("a thread of a virtual matrix", "start", len, error))?;
        Ok(Self { work: Some(sender), thread: Some(thread), busy, given: 0..0 })
    }

    /// Whether it has nothing to do.
    pub(super) fn is_free(&self) -> bool {
        !self.busy.load(Ordering::SeqCst)
    }

    /// Whether it is making this byte, and will let all go on who wait for it.
    pub(super) fn makes(&self, at: usize) -> bool {
        self.given.contains(&at) && !self.is_free()
    }

    /// Whether what it is making is of these bytes.
    pub(super) fn has_of(&self, bytes: &Range<usize>) -> bool {
        self.given.start < bytes.end && bytes.start < self.given.end && !self.is_free()
    }

    /// Waits until it has made what it was given; it waits for nobody.
    pub(super) fn finish(&self) {
        while !self.is_free() {
            std::thread::yield_now();
        }
    }

    /// Has it make a piece. It is free.
    pub(super) fn give(&mut self, work: Work) -> std::io::Result<()> {
        self.given = work.at..work.at + work.len;
        self.busy.store(true, Ordering::SeqCst);
        let sent = self.work.as_ref().is_some_and(|sender| sender.send(work).is_ok());
        if sent { Ok(()) } else { Err(std::io::Error::other("the second thread has ended")) }
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            // It doesn't panic: it would have ended the process.
            let _ = thread.join();
        }
    }
}

/// The thread itself.
struct Thread {
    uffd: Arc<Uffd>,
    slots: Slots,
    matrix: Arc<Region>,
    filler: Arc<Filler>,
    len: usize,
    busy: Arc<AtomicBool>,
}

impl Thread {
    fn run(&mut self, receiver: Receiver<Work>) -> Result<(), Failure> {
        for Work { leave, at, len } in receiver {
            for left in leave {
                self.slots.evict(&self.uffd, &self.matrix, left.start, left.len())?;
            }
            let memory = self.slots.memory(0, len)?;
            let used = len.min(self.len - at);
            self.filler.fill(at, &mut memory[..used])?;
            memory[used..].fill(0);
            self.slots.publish(&self.uffd, &self.matrix, at, 0, len)?;
            self.busy.store(false, Ordering::SeqCst);
            // Who was told of in between, and left to this thread, is told of again.
            self.uffd.wake(self.matrix.at(at, len) as usize, len)?;
        }
        Ok(())
    }
}
