//! Windows of short runs, wherever they start, on x86-64 with AVX2: several runs a store.
//!
//! A store costs the same whether it gives 3 bytes or 16, and there are one or two a cycle. So runs of up to 4 bytes are
//! loaded four to a register and those of up to 8 two, brought together by one byte shuffle, and written by one store:
//! a 3×3 window of bytes is three loads and a store. `cargo bench --bench rows -- listed`.

use std::arch::x86_64::*;

use super::super::kernel::{At, Runs, Starts, fetch};
use super::shuffle::available;

/// Bytes of a register and of a store.
const STORE: usize = 16;

/// Longer runs are moved one by one as fast.
pub(super) const LONGEST_RUN: usize = 8;

/// Windows of more runs are moved run by run.
const MOST_ROWS: usize = 64;

/// Windows to be copied.
#[derive(Clone, Copy)]
struct Pass<'a> {
    src: *const u8,
    to: *mut u8,
    count: usize,
    /// Bytes of a run.
    run: usize,
    /// Where each run starts, in bytes from a window's first pixel.
    offsets: &'a [isize],
}

/// Copies windows into `out`, in order, and returns how many: as many as can be had without a load or a store that leaves
/// its slice, or none if this way is not for them.
pub(in crate::encode) fn copy_windows(src: &[u8], starts: Starts<'_>, runs: &Runs, out: &mut [u8]) -> usize {
    let suits = runs.run <= LONGEST_RUN && (2..=MOST_ROWS).contains(&(runs.rows * runs.outer.len()));
    if !suits || !available() {
        return 0;
    }
    let lane = if runs.run <= 4 { 4 } else { 8 };
    let mut offsets = [0; MOST_ROWS];
    let offsets = runs.write_offsets(&mut offsets);
    let overshoot = overshoot(runs.run, offsets.len(), lane);
    let room = out.len().saturating_sub(overshoot) / runs.bytes();
    let count = runs.loads(src.len(), starts, lane, room);
    assert!(count == 0 || count * runs.bytes() + overshoot <= out.len());
    let pass = Pass { src: src.as_ptr(), to: out.as_mut_ptr(), count, run: runs.run, offsets };
    // SAFETY: `available` found AVX2. `loads` counted only windows whose every run has `lane` bytes of `src`
    // behind its start. `out` has the bytes of `count` windows, and as many more as the last store overshoots.
    unsafe {
        match (starts, lane) {
            (Starts::Line(line), 4) => quads(line, pass),
            (Starts::Each(starts), 4) => quads(starts, pass),
            (Starts::Listed(listed), 4) => quads(listed, pass),
            (Starts::Line(line), _) => pairs(line, pass),
            (Starts::Each(starts), _) => pairs(starts, pass),
            (Starts::Listed(listed), _) => pairs(listed, pass),
        }
    }
    count
}

/// By how many bytes the stores of a window of so many runs go over its end.
fn overshoot(run: usize, rows: usize, lane: usize) -> usize {
    // The last one has the runs that are left, and is of 8 bytes if their lanes are. Then a whole one before it may
    // reach farther: it does where runs are single bytes.
    let last = (rows - 1) % (STORE / lane) + 1;
    let of_last = if lane * last == 8 { 8 } else { STORE } - last * run;
    let before = if rows > last { STORE.saturating_sub((STORE / lane + last) * run) } else { 0 };
    of_last.max(before)
}

/// Usual windows have their rows unrolled.
macro_rules! by_rows {
    ($lane:literal: $($rows:literal)*, $starts:ident, $pass:ident) => {
        match $pass.offsets.len() {
            // SAFETY: the caller's promise.
            $($rows => unsafe { copy::<$lane, $rows>($starts, $pass) },)*
            // SAFETY: the caller's promise.
            _ => unsafe { copy::<$lane, 0>($starts, $pass) },
        }
    };
}

/// Runs of up to 4 bytes.
///
/// # Safety
/// As [`copy`].
unsafe fn quads(starts: impl At, pass: Pass<'_>) {
    by_rows!(4: 2 3 4, starts, pass)
}

/// Runs of up to 8 bytes.
///
/// # Safety
/// As [`copy`].
unsafe fn pairs(starts: impl At, pass: Pass<'_>) {
    by_rows!(8: 2 3 4 5 6 7 8, starts, pass)
}

/// Copies the windows of a pass, their runs by loads of LANE bytes. ROWS is how many, or 0 if the compiler need not
/// know it.
///
/// # Safety
/// The machine has AVX2; LANE bytes can be read from every run of every window; and behind the bytes of all windows
/// the target takes [`overshoot`] more.
#[target_feature(enable = "avx2")]
unsafe fn copy<const LANE: usize, const ROWS: usize>(starts: impl At, pass: Pass<'_>) {
    let mut offsets = [0; ROWS];
    if ROWS > 0 {
        offsets.copy_from_slice(pass.offsets);
    }
    let offsets = if ROWS == 0 { pass.offsets } else { &offsets };
    let mut mask = [128u8; STORE];
    for lane in 0..STORE / LANE {
        for byte in 0..pass.run {
            mask[lane * pass.run + byte] = (lane * LANE + byte) as u8;
        }
    }
    // SAFETY: a mask is 16 bytes.
    let mask = unsafe { _mm_loadu_si128(mask.as_ptr().cast()) };
    let mut to = pass.to;
    for i in 0..pass.count {
        let start = pass.src.wrapping_offset(starts.at(i));
        if let Some(ahead) = starts.ahead(i) {
            for &offset in offsets {
                fetch(pass.src.wrapping_offset(ahead + offset));
            }
        }
        let mut row = 0;
        while row < offsets.len() {
            let some = (offsets.len() - row).min(STORE / LANE);
            // SAFETY: the starts of runs. A store begins within its window; what it goes over is written later, by
            // those who own it, or is what the target takes behind all windows.
            unsafe {
                let runs = load::<LANE>(start, &offsets[row..row + some]);
                let runs = _mm_shuffle_epi8(runs, mask);
                if LANE * some == 8 {
                    _mm_storel_epi64(to.cast(), runs);
                } else {
                    _mm_storeu_si128(to.cast(), runs);
                }
            }
            to = to.wrapping_add(some * pass.run);
            row += some;
        }
    }
}

/// LANE bytes of each run, side by side.
///
/// # Safety
/// The machine has AVX2, and as many bytes can be read from every run.
#[inline(always)]
unsafe fn load<const LANE: usize>(start: *const u8, offsets: &[isize]) -> __m128i {
    // SAFETY: the caller's promise.
    unsafe {
        if LANE == 8 {
            let first = _mm_loadl_epi64(start.wrapping_offset(offsets[0]).cast());
            if offsets.len() == 1 {
                return first;
            }
            return _mm_unpacklo_epi64(first, _mm_loadl_epi64(start.wrapping_offset(offsets[1]).cast()));
        }
        let at = |run: usize| start.wrapping_offset(offsets[run]).cast::<i32>();
        let mut runs = _mm_cvtsi32_si128(at(0).read_unaligned());
        if offsets.len() > 1 {
            runs = _mm_insert_epi32::<1>(runs, at(1).read_unaligned());
        }
        if offsets.len() > 2 {
            runs = _mm_insert_epi32::<2>(runs, at(2).read_unaligned());
        }
        if offsets.len() > 3 {
            runs = _mm_insert_epi32::<3>(runs, at(3).read_unaligned());
        }
        runs
    }
}
