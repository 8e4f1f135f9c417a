//! The thread that makes what is touched. It takes no lock that a reader of the matrix may hold, needs no interpreter,
//! and never reads the matrix itself.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fill::Filler;
use super::near::Near;
use super::progress::Progress;
use super::region::{HUGE, Region};
use super::scattered::Scattered;
use super::second::{Second, Work};
use super::slots::Slots;
use super::streams::{Streams, Touch};
use super::uffd::Uffd;
use crate::{Error, Result};

/// No slot, or no chunk.
const NONE: u32 = u32::MAX;

/// Chunks of a matrix, and the slots that hold some of them.
pub(super) struct Handler {
    pub(super) uffd: Arc<Uffd>,
    pub(super) slots: Slots,
    /// Who makes every other piece, if making one is mostly the system's work.
    second: Option<Second>,
    /// The chunks, and behind them the page whose touch ends the thread.
    pub(super) matrix: Arc<Region>,
    pub(super) filler: Arc<Filler>,
    pub(super) chunk: usize,
    /// Bytes of the matrix.
    pub(super) len: usize,
    /// The slot of each chunk, and the chunk of each slot.
    slot_of: Vec<u32>,
    chunk_in: Vec<u32>,
    /// The slot whose turn it is.
    next: usize,
    streams: Streams,
    scattered: Scattered,
    near: Near,
    progress: Progress,
    /// Chunks that will be touched soon, as it seems.
    jobs: VecDeque<Job>,
    /// Addresses that somebody waits for.
    told: Vec<usize>,
}

/// Chunks to be made, in order.
struct Job {
    chunks: Range<usize>,
    /// Whether their reader has gone further than all slots reach, and so won't find again what it left behind.
    passing: bool,
}

/// The most bytes that are made ahead of all readers together, and of one that only passes by, behind the piece that it
/// reads.
const AHEAD: usize = 32 << 20;
const AHEAD_PASSING: usize = 4 << 20;

/// What went wrong, for the last words of the process.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    System(#[from] io::Error),
    #[error("{0}")]
    Fill(#[from] Error),
}

impl Handler {
    #[expect(clippy::too_many_arguments, reason = "each is told apart by its type, or by its name in the one caller")]
    pub(super) fn new(
        uffd: Arc<Uffd>,
        slots: Slots,
        second: Option<Second>,
        matrix: Arc<Region>,
        filler: Arc<Filler>,
        chunk: usize,
        count: usize,
        len: usize,
    ) -> Self {
        let chunks = len.div_ceil(chunk);
        let progress = Progress::new(slots.recycles());
        Self {
            uffd,
            slots,
            second,
            matrix,
            filler,
            chunk,
            len,
            slot_of: vec![NONE; chunks],
            chunk_in: vec![NONE; count],
            next: 0,
            streams: Streams::new(
                (AHEAD / chunk).min(count / 8),
                (AHEAD_PASSING / chunk).max(1),
                count,
                (HUGE / chunk).max(1),
            ),
            scattered: Scattered::new(count * chunk / HUGE.max(chunk)),
            near: Near::default(),
            progress,
            jobs: VecDeque::new(),
            told: Vec::with_capacity(16),
        }
    }

    /// The address whose touch ends the thread.
    fn end(&self) -> usize {
        self.matrix.at(self.slot_of.len() * self.chunk, 0) as usize
    }

    /// Serves until the page behind the chunks is touched.
    pub(super) fn run(&mut self) -> Result<(), Failure> {
        let start = self.matrix.at(0, 0) as usize;
        loop {
            if self.is_free()
                && let Some(job) = self.follow()
            {
                self.jobs.push_back(job);
            }
            self.listen(self.patience())?;
            for address in std::mem::take(&mut self.told) {
                if address >= self.end() {
                    let zeros = vec![0; super::region::page()];
                    return Ok(self.uffd.copy(self.end(), &zeros)?);
                }
                self.demand(address - start)?;
            }
            // Who waits comes first.
            if self.told.is_empty()
                && let Some(job) = self.jobs.pop_front()
                && let Some(rest) = self.begin(job)?
            {
                self.jobs.push_back(rest);
            }
        }
    }

    /// Whether there is nothing to do.
    fn is_free(&self) -> bool {
        self.jobs.is_empty() && self.told.is_empty()
    }

    /// How long to wait for somebody who waits for something; `None`: as long as it takes.
    fn patience(&self) -> Option<Duration> {
        if self.is_free() { self.progress.look().filter(|_| self.streams.passes()) } else { Some(Duration::ZERO) }
    }

    /// What to make for a reader that passes by and has come nearer to the end of what was made for it.
    fn follow(&mut self) -> Option<Job> {
        let reached = |chunks: Range<usize>| {
            let address = self.matrix.at(chunks.start * self.chunk, 0) as usize;
            self.slot_of[chunks.start] != NONE && self.progress.has_reached(&chunks, address)
        };
        let chunks = self.streams.follow(self.slot_of.len(), reached)?;
        Some(Job { chunks, passing: true })
    }

    /// Hears who waits for what, after `patience` at the latest.
    fn listen(&mut self, patience: Option<Duration>) -> Result<(), Failure> {
        match self.uffd.faults(patience, |address| self.told.push(address)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => Ok(other?),
        }
    }

    /// Somebody waits for the byte `at`.
    fn demand(&mut self, at: usize) -> Result<(), Failure> {
        let chunk = at / self.chunk;
        if self.slot_of[chunk] != NONE {
            self.progress.waits(chunk);
            // Who makes it lets all go on who wait for it.
            return if self.second.as_ref().is_some_and(|second| second.makes(at)) { Ok(()) } else { self.again(at) };
        }
        let expected = self.jobs.iter().position(|job| job.chunks.contains(&chunk)).and_then(|i| self.jobs.remove(i));
        let beside = chunk > 0 && self.slot_of[chunk - 1] != NONE;
        let alone = expected.is_none();
        let Touch { window, passing } = self.streams.touch(chunk, beside, expected.map(|job| job.chunks.end));
        let mut chunks = chunk..chunk + window;
        let most = self.most();
        if alone && window < most && self.scattered.touch(chunk / most) {
            let end = (chunk + 1).next_multiple_of(most);
            chunks = end - most..self.streams.reached(chunks.end, end);
        }
        let job = Job { chunks: chunks.start..chunks.end.min(self.slot_of.len()), passing };
        if let Some(rest) = self.begin(job)? {
            self.jobs.push_front(rest);
        }
        Ok(())
    }

    /// Makes the first piece of a job, while the second thread makes the next; gives the rest of it.
    fn begin(&mut self, job: Job) -> Result<Option<Job>, Failure> {
        let piece = self.piece(&job.chunks);
        let mut rest = piece.end..job.chunks.end;
        if !rest.is_empty() && self.second.as_ref().is_some_and(Second::is_free) {
            let next = self.piece(&rest);
            rest.start = next.end;
            self.make(next, job.passing, true)?;
        }
        self.make(piece, job.passing, false)?;
        Ok((!rest.is_empty()).then_some(Job { chunks: rest, ..job }))
    }

    /// Somebody waits for a byte of a chunk that is there: it came after they were told of, or somebody else has told the
    /// system that its pages are not needed.
    fn again(&mut self, at: usize) -> Result<(), Failure> {
        let page = super::region::page();
        let at = at / page * page;
        let address = self.matrix.at(at, page) as usize;
        if self.slots.recycles() {
            return Ok(self.uffd.wake(address, page)?);
        }
        let memory = self.slots.memory(0, page)?;
        let used = page.min(self.len - at.min(self.len));
        self.filler.fill(at, &mut memory[..used])?;
        memory[used..].fill(0);
        Ok(self.slots.publish(&self.uffd, &self.matrix, at, 0, page)?)
    }

    /// The most chunks that are made together: as many as a huge page holds.
    fn most(&self) -> usize {
        (HUGE / self.chunk).clamp(1, self.chunk_in.len() / 4)
    }

    /// The first chunks of a run that are made together.
    fn piece(&self, run: &Range<usize>) -> Range<usize> {
        let most = self.most();
        let end = if run.len() < most { run.end } else { (run.start + 1).next_multiple_of(most).min(run.end) };
        run.start..end
    }

    /// Makes those of these chunks that are not there, in slots that other chunks leave. With `aside`, the second thread
    /// makes as many as it can.
    fn make(&mut self, chunks: Range<usize>, passing: bool, aside: bool) -> Result<(), Failure> {
        let mut first = chunks.start;
        while first < chunks.end {
            if self.slot_of[first] != NONE {
                first += 1;
                continue;
            }
            let missing = self.slot_of[first..chunks.end].iter().take_while(|&&slot| slot == NONE).count();
            self.make_missing(first..first + missing, passing, aside)?;
            first += missing;
        }
        Ok(())
    }

    fn make_missing(&mut self, chunks: Range<usize>, passing: bool, aside: bool) -> Result<(), Failure> {
        let count = chunks.len();
        let left_behind = if passing && self.near.is_next() { self.left_behind(&chunks) } else { None };
        let near = left_behind.is_some();
        let slots = left_behind.unwrap_or_else(|| self.in_turn(count));
        let leave = self.leave(slots.clone());
        if let Some(second) = &self.second
            && leave.iter().any(|left| second.has_of(left))
        {
            // What it makes would be there after it was taken away, and nobody would know.
            second.finish();
        }
        let work = Work { leave, at: chunks.start * self.chunk, len: count * self.chunk };
        match &mut self.second {
            Some(second) if aside && second.is_free() => second.give(work)?,
            _ => self.work(work, slots.start * self.chunk, passing, near)?,
        }
        for (chunk, slot) in chunks.zip(slots) {
            self.slot_of[chunk] = slot as u32;
            self.chunk_in[slot] = chunk as u32;
        }
        Ok(())
    }

    /// Makes a piece in the slots from the byte `slot` on; `near`: its reader has just left them.
    fn work(&mut self, work: Work, slot: usize, passing: bool, near: bool) -> Result<(), Failure> {
        for left in &work.leave {
            self.slots.evict(&self.uffd, &self.matrix, left.start, left.len())?;
        }
        let memory = self.slots.memory(slot, work.len)?;
        let used = work.len.min(self.len - work.at);
        let start = Instant::now();
        self.filler.fill(work.at, &mut memory[..used])?;
        memory[used..].fill(0);
        if self.slots.recycles() {
            self.near.took(near, work.len, start.elapsed());
        }
        if passing {
            // Who waits for this piece already would be gone, unheard, once it is there.
            self.listen(Some(Duration::ZERO))?;
        }
        self.slots.publish(&self.uffd, &self.matrix, work.at, slot, work.len)?;
        self.progress.made();
        Ok(())
    }

    /// The slots whose turn it is.
    fn in_turn(&mut self, count: usize) -> Range<usize> {
        if count * self.chunk >= HUGE {
            // Then a huge page holds them, and shows them as one.
            self.next = self.next.next_multiple_of(count);
        }
        if self.next + count > self.chunk_in.len() {
            self.next = 0;
        }
        let slots = self.next..self.next + count;
        self.next = slots.end % self.chunk_in.len();
        slots
    }

    /// The slots that the reader of these chunks has just left, if they are side by side. They lie as far before as was made
    /// ahead of it and what it reads: far less than the last cache of most machines, so that they are written and read there.
    fn left_behind(&self, chunks: &Range<usize>) -> Option<Range<usize>> {
        let ahead = Some(AHEAD_PASSING / self.chunk).filter(|&ahead| ahead > 0)?;
        let before = chunks.start.checked_sub(ahead + (HUGE / self.chunk).max(1))?;
        let first = self.slot_of[before];
        let slots = first as usize..first as usize + chunks.len();
        let there = self.chunk_in.get(slots.clone())?.iter().zip(before..).all(|(&chunk, at)| chunk as usize == at);
        (first != NONE && there).then_some(slots)
    }

    /// Takes the chunks out of these slots; gives their bytes, neighbours together.
    fn leave(&mut self, slots: Range<usize>) -> Vec<Range<usize>> {
        let mut left = Vec::new();
        let mut slot = slots.start;
        while slot < slots.end {
            let chunk = self.chunk_in[slot];
            if chunk == NONE {
                slot += 1;
                continue;
            }
            let together =
                (slot..slots.end).zip(chunk..).take_while(|&(slot, chunk)| self.chunk_in[slot] == chunk).count();
            let first = chunk as usize;
            left.push(first * self.chunk..(first + together) * self.chunk);
            self.slot_of[first..first + together].fill(NONE);
            self.chunk_in[slot..slot + together].fill(NONE);
            slot += together;
        }
        left
    }
}
