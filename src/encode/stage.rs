//! Rows at a distance that suits the cache.
//!
//! An image whose lines are a multiple of 4096 bytes long, as so many are, has the rows of a window at addresses that
//! fight for the same few places of the first-level cache, and every load misses. Then a stretch of the rows is copied
//! into a small buffer first, where they lie at another distance. Neighbouring windows share most of their pixels, so
//! that copy is a fraction of the gather.

use super::kernel::{Line, Runs, copy_windows};
use super::short::Short;

/// The span after which addresses fall on the same places of the cache.
const ALIAS: usize = 4096;

/// Rows that may fall on the same place before it hurts: half the ways of the usual cache.
const FRIENDS: usize = 4;

/// Bytes of the buffer, about: it has to stay in the first-level cache beside the output.
const BYTES: usize = 16 << 10;

/// A buffer of rows, and the runs of a window in it.
pub(super) struct Stage {
    memory: Vec<u8>,
    /// Where each run starts in the source, in bytes from the window's first pixel.
    offsets: Vec<isize>,
    /// Bytes from one row to the next in the buffer.
    pitch: usize,
    /// Windows that a filled buffer serves.
    windows: usize,
    runs: Runs,
    short: Short,
}

impl Stage {
    /// A buffer for these windows; `None` if their rows don't fight, or share too little for a copy to pay.
    pub(super) fn new(runs: &Runs, advance: isize) -> Option<Self> {
        let count = runs.rows * runs.outer.len();
        let stride = runs.row_stride.unsigned_abs();
        let places = ALIAS >> stride.trailing_zeros().min(ALIAS.trailing_zeros());
        let shared = advance > 0 && advance as usize * 2 <= runs.run;
        let line = BYTES / count;
        if runs.rows <= FRIENDS || runs.rows <= FRIENDS * places || !shared || line < 2 * runs.run {
            return None;
        }
        let windows = (line - runs.run) / advance as usize + 1;
        // An odd number of cache lines, so that the rows of the buffer don't fight themselves; and room for overshoot.
        let pitch = (((line + 16) / 64) | 1) * 64 + 128;
        let rows = Runs {
            run: runs.run,
            rows: runs.rows,
            row_stride: pitch as isize,
            outer: (0..runs.outer.len()).map(|i| (i * runs.rows * pitch) as isize).collect(),
        };
        let (memory, short) = (vec![0; count * pitch], Short::new(&rows, advance));
        Some(Self { memory, offsets: runs.offsets(), pitch, windows, runs: rows, short })
    }

    /// As [`copy_windows`], by way of the buffer.
    pub(super) fn copy_windows(&mut self, src: &[u8], line: Line, runs: &Runs, out: &mut [u8]) {
        for (i, out) in out.chunks_mut(self.windows * runs.bytes()).enumerate() {
            let first = line.first + (i * self.windows) as isize * line.advance;
            let count = out.len() / runs.bytes();
            let len = (count - 1) * line.advance as usize + runs.run;
            for (&offset, row) in self.offsets.iter().zip(self.memory.chunks_exact_mut(self.pitch)) {
                let at = (first + offset) as usize;
                row[..len].copy_from_slice(&src[at..at + len]);
            }
            copy_windows(&self.memory, Line { first: 0, ..line }, &self.runs, &self.short, out);
        }
    }
}
