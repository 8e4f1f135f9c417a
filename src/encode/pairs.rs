//! Runs of 8 bytes, on x86-64: two a store.
//!
//! A store costs the same whether it gives 8 bytes or 16, and there is one a cycle; so two runs (two rows of an 8×8
//! window of bytes, say) are put together in a register first. SSE2 is part of every x86-64.

use super::kernel::{Line, Runs, Starts};

/// Copies windows of the line into `out`, in order, and returns how many: all that this way is for.
pub(super) fn copy_windows(src: &[u8], line: Line, runs: &Runs, out: &mut [u8]) -> usize {
    if runs.run != 8 || !runs.rows.is_multiple_of(2) || cfg!(not(target_arch = "x86_64")) {
        return 0;
    }
    let count = runs.wide_windows(src.len(), Starts::Line(line), 8, out.len() / runs.bytes());
    assert!(count * runs.bytes() <= out.len());
    #[cfg(target_arch = "x86_64")]
    match (runs.rows, &runs.outer[..]) {
        // Usual windows have their rows unrolled.
        (2, [0]) => copy::<2>(src, line, runs, count, out),
        (4, [0]) => copy::<4>(src, line, runs, count, out),
        (8, [0]) => copy::<8>(src, line, runs, count, out),
        _ => copy::<0>(src, line, runs, count, out),
    }
    count
}

/// Copies `count` windows; ROWS is `runs.rows`, or 0 if the compiler need not know it.
#[cfg(target_arch = "x86_64")]
fn copy<const ROWS: usize>(src: &[u8], line: Line, runs: &Runs, count: usize, out: &mut [u8]) {
    use std::arch::x86_64::{_mm_loadl_epi64, _mm_storeu_si128, _mm_unpacklo_epi64};

    let rows = if ROWS == 0 { runs.rows } else { ROWS };
    let mut start = src.as_ptr().wrapping_offset(line.first);
    let mut to = out.as_mut_ptr();
    for _ in 0..count {
        for &group in &runs.outer {
            let mut from = start.wrapping_offset(group);
            for _ in 0..rows / 2 {
                let next = from.wrapping_offset(runs.row_stride);
                // SAFETY: `copy_windows` takes only windows whose every run has its 8 bytes in `src`, and only as many
                // as `out` has room for; `to` moves by 16 bytes for every two runs, of which there is an even number.
                unsafe {
                    let (low, high) = (_mm_loadl_epi64(from.cast()), _mm_loadl_epi64(next.cast()));
                    _mm_storeu_si128(to.cast(), _mm_unpacklo_epi64(low, high));
                    to = to.add(16);
                }
                from = next.wrapping_offset(runs.row_stride);
            }
        }
        start = start.wrapping_offset(line.advance);
    }
}
