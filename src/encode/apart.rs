//! Long runs of windows that share no pixel: line by line.
//!
//! Window by window, the lines of a wide window are as many places of memory that are read a little at a time, more than
//! the caches can follow, and where they are a multiple of 4096 bytes apart they throw each other out. Line by line
//! every place is read from end to end, and the runs go to the windows, which are few enough to stay in cache.

use super::kernel::{At, Line, Runs};

/// The shortest run: those below are moved by one wide move, with the next ones fetched ahead.
const SHORTEST: usize = 257;

/// Bytes of the windows that are filled together.
const TILE: usize = 256 << 10;

/// Whether this way is for these windows.
pub(super) fn suits(line: Line, runs: &Runs) -> bool {
    runs.run >= SHORTEST && line.advance.unsigned_abs() >= runs.run && runs.rows * runs.outer.len() > 1
}

/// Copies the windows of the line into `out`, in order, and returns how many: all.
pub(super) fn copy_windows(src: &[u8], line: Line, runs: &Runs, out: &mut [u8]) -> usize {
    let (patch, run) = (runs.bytes(), runs.run);
    let tile = (TILE / patch).max(1);
    for (i, windows) in out.chunks_mut(tile * patch).enumerate() {
        let mut place = 0;
        for &group in &runs.outer {
            for row in 0..runs.rows {
                let mut from = line.at(i * tile) + group + row as isize * runs.row_stride;
                for window in windows.chunks_exact_mut(patch) {
                    window[place..place + run].copy_from_slice(&src[from as usize..from as usize + run]);
                    from += line.advance;
                }
                place += run;
            }
        }
    }
    out.len() / patch
}
