//! Long runs of windows that share no pixel: line by line.
//!
//! Window by window, the lines of a window are as many places of memory that are read a little at a time, more than the
//! caches can follow, and where they are a multiple of 4096 bytes apart they throw each other out. Line by line every
//! place is read from end to end, and the runs go to the windows, which are few enough to stay in cache.

use super::kernel::{At, Line, Runs};

/// The shortest run: those below are moved by one wide move, with the next ones fetched ahead.
const SHORTEST: usize = 64;

/// The shortest run of windows of many lines, of which the caches follow fewer.
const SHORTEST_OF_MANY: usize = 32;
const MANY: usize = 32;

/// Bytes of the windows that are filled together: what stays in the second cache, and mostly all of a line, since places
/// that are read to the end of a row are followed best.
const TILE: usize = 768 << 10;

/// Bytes of a move.
const MOVE: usize = 32;

/// Whether this way is for these windows.
pub(super) fn suits(line: Line, runs: &Runs) -> bool {
    let lines = runs.rows * runs.outer.len();
    let shortest = if lines >= MANY { SHORTEST_OF_MANY } else { SHORTEST };
    runs.run >= shortest && line.advance.unsigned_abs() >= runs.run && lines > 1
}

/// Copies the windows of the line into `out`, in order, and returns how many: all.
pub(super) fn copy_windows(src: &[u8], line: Line, runs: &Runs, out: &mut [u8]) -> usize {
    // So many moves as the compiler knows are no call.
    let by = match (runs.run - 1) / MOVE {
        0 | 1 => by_lines::<1>,
        2 => by_lines::<2>,
        3 => by_lines::<3>,
        4 => by_lines::<4>,
        5 => by_lines::<5>,
        6 => by_lines::<6>,
        7 => by_lines::<7>,
        _ => by_lines::<0>,
    };
    by(src, line, runs, out);
    out.len() / runs.bytes()
}

/// Copies each run by MOVES moves and one over its end; by a call if MOVES is 0.
fn by_lines<const MOVES: usize>(src: &[u8], line: Line, runs: &Runs, out: &mut [u8]) {
    let (patch, run) = (runs.bytes(), runs.run);
    let tile = (TILE / patch).max(1);
    for (i, windows) in out.chunks_mut(tile * patch).enumerate() {
        let mut place = 0;
        for &group in &runs.outer {
            for row in 0..runs.rows {
                let mut from = line.at(i * tile) + group + row as isize * runs.row_stride;
                for window in windows.chunks_exact_mut(patch) {
                    copy::<MOVES>(&src[from as usize..from as usize + run], &mut window[place..place + run]);
                    from += line.advance;
                }
                place += run;
            }
        }
    }
}

#[inline(always)]
fn copy<const MOVES: usize>(from: &[u8], to: &mut [u8]) {
    let (Some(last), true) = (from.len().checked_sub(MOVE), MOVES > 0) else {
        return to.copy_from_slice(from);
    };
    for at in (0..MOVES).map(|i| i * MOVE) {
        to[at..at + MOVE].copy_from_slice(&from[at..at + MOVE]);
    }
    to[last..].copy_from_slice(&from[last..]);
}
