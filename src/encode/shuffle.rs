//! Windows with short runs, on x86-64 with AVX2: several windows a shuffle.
//!
//! Runs of a few bytes (3 for a 3×3 window of bytes) are too short to be moved one by one. But neighbouring windows
//! overlap, so 16 bytes of each row hold the runs of a whole *group* of windows, and any 16 bytes of the output are a
//! byte shuffle (`pshufb`) of each row, or-ed together. Which bytes go where is the same for every group; it is worked
//! out once, as masks. AVX2 does two groups at a time, one a half register.

use super::kernel::{Line, Runs};

/// Bytes that one load takes of a row, and one store gives.
const WIDE: usize = 16;

/// Longer runs are moved one by one as fast.
const LONGEST_RUN: usize = 7;

/// So many rows fit into the registers.
const MOST_ROWS: usize = 8;

/// For each byte of a store the byte of the row, or 128 for none; twice, for the two halves of a register.
type Mask = [[u8; WIDE]; 2];

/// How groups of windows are shuffled together, for windows at one distance.
pub(super) struct Shuffle {
    /// Windows a group.
    group: usize,
    /// Where each row starts, in bytes from a window's first pixel.
    rows: Vec<isize>,
    /// A mask a row, for every 16 bytes of a group.
    masks: Vec<Mask>,
}

impl Shuffle {
    /// The masks for windows `advance` bytes apart; `None` if this way is not for them or for this machine.
    pub(super) fn new(runs: &Runs, advance: isize) -> Option<Self> {
        let rows = runs.offsets();
        let usable = runs.run <= LONGEST_RUN && (2..=MOST_ROWS).contains(&rows.len()) && advance > 0;
        if !usable || !available() {
            return None;
        }
        let advance = advance as usize;
        let group = (WIDE - runs.run) / advance + 1;
        let bytes = group * runs.bytes();
        let mut masks = vec![[[128; WIDE]; 2]; bytes.div_ceil(WIDE) * rows.len()];
        for byte in 0..bytes {
            let (window, within) = (byte / runs.bytes(), byte % runs.bytes());
            let (row, at) = (within / runs.run, window * advance + within % runs.run);
            let mask = &mut masks[byte / WIDE * rows.len() + row];
            mask[0][byte % WIDE] = at as u8;
            mask[1][byte % WIDE] = at as u8;
        }
        Some(Self { group, rows, masks })
    }

    /// Copies windows of the line into `out`, in order, and returns how many: as many as can be had in pairs of groups
    /// without a load or a store that leaves its slice.
    pub(super) fn copy_windows(&self, src: &[u8], line: Line, runs: &Runs, out: &mut [u8]) -> usize {
        // The last store of a group may overshoot by all but one byte.
        let room = out.len().saturating_sub(WIDE - 1) / runs.bytes();
        let pairs = runs.wide_windows(src.len(), line, WIDE, room) / (2 * self.group);
        let count = 2 * self.group * pairs;
        #[cfg(target_arch = "x86_64")]
        if pairs > 0 {
            assert!(runs.offsets() == self.rows && count * runs.bytes() + WIDE - 1 <= out.len());
            let first = src.as_ptr().wrapping_offset(line.first);
            let (group_advance, group_bytes) = (line.advance * self.group as isize, self.group * runs.bytes());
            let pass = x86::Pass { first, advance: group_advance, to: out.as_mut_ptr(), bytes: group_bytes, pairs };
            macro_rules! by_rows {
                ($($rows:literal)*) => {
                    match self.rows.len() {
                        // SAFETY: `new` found AVX2. `wide_windows` counted only windows whose every run has WIDE bytes
                        // of `src` behind its start. `out` has the bytes of `count` windows, and WIDE − 1 more.
                        $($rows => unsafe { x86::copy_pairs::<$rows>(self, pass) },)*
                        _ => unreachable!("Shuffle::new takes 2 to 8 rows"),
                    }
                };
            }
            by_rows!(2 3 4 5 6 7 8);
        }
        count
    }
}

fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Shuffle;

    /// Pairs of groups to be copied.
    pub(super) struct Pass {
        /// The first pixel of the first window.
        pub(super) first: *const u8,
        /// Bytes from one group to the next, in the source and in the target.
        pub(super) advance: isize,
        pub(super) bytes: usize,
        pub(super) to: *mut u8,
        pub(super) pairs: usize,
    }

    /// Copies all pairs of a pass.
    ///
    /// # Safety
    /// The machine has AVX2, and the windows have ROWS rows; 16 bytes can be read from every run of every window, and
    /// the target takes the bytes of all windows and 15 more.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn copy_pairs<const ROWS: usize>(shuffle: &Shuffle, pass: Pass) {
        let (mut low, mut to) = (pass.first, pass.to);
        let (masks, _) = shuffle.masks.as_chunks::<ROWS>();
        for _ in 0..pass.pairs {
            let high = low.wrapping_offset(pass.advance);
            let mut rows = [_mm256_setzero_si256(); ROWS];
            for (row, &offset) in rows.iter_mut().zip(&shuffle.rows) {
                let (high, low) = (high.wrapping_offset(offset), low.wrapping_offset(offset));
                // SAFETY: both are starts of runs of the groups' first windows (the caller's promise).
                *row = unsafe { _mm256_loadu2_m128i(high.cast(), low.cast()) };
            }
            let shuffled = |masks: &[super::Mask; ROWS]| {
                let mut pair = _mm256_setzero_si256();
                for (&row, mask) in rows.iter().zip(masks) {
                    // SAFETY: a mask is 32 bytes.
                    let mask = unsafe { _mm256_loadu_si256(mask.as_ptr().cast()) };
                    pair = _mm256_or_si256(pair, _mm256_shuffle_epi8(row, mask));
                }
                pair
            };
            let high_to = to.wrapping_add(pass.bytes);
            for (i, masks) in masks.iter().enumerate() {
                let pair = shuffled(masks);
                // SAFETY: the stores of a group start within its windows, and overshoot them by 15 bytes at most: into
                // the next group, or into the 15 bytes behind all of them.
                unsafe {
                    _mm_storeu_si128(to.wrapping_add(16 * i).cast(), _mm256_castsi256_si128(pair));
                    _mm_storeu_si128(high_to.wrapping_add(16 * i).cast(), _mm256_extracti128_si256::<1>(pair));
                }
            }
            // The low group's last store overshot into the high group, whose first bytes were there already.
            let pair = shuffled(&masks[0]);
            // SAFETY: as the first store of the high group, which this one repeats.
            unsafe { _mm_storeu_si128(high_to.cast(), _mm256_extracti128_si256::<1>(pair)) };
            low = high.wrapping_offset(pass.advance);
            to = high_to.wrapping_add(pass.bytes);
        }
    }
}
