//! Windows with short runs, on x86-64 with AVX2: several windows a shuffle.
//!
//! Runs of a few bytes (3 for a 3×3 window of bytes) are too short to be moved one by one. But neighbouring windows
//! overlap, so 16 bytes of each row hold the runs of a whole *group* of windows, and any bytes of the output are byte
//! shuffles (`pshufb`) of the rows, or-ed together. Which bytes go where is the same for every group; it is worked out
//! once, as masks. A register of AVX2 holds the 16 bytes of a row twice, and gives 32 bytes of output.

use super::super::kernel::{Line, Runs, Starts};

/// Bytes that one load takes of a row.
const LOAD: usize = 16;

/// Bytes that one store gives.
const STORE: usize = 32;

/// Longer runs are moved one by one as fast.
const LONGEST_RUN: usize = 7;

/// So many rows fit into the registers.
const MOST_ROWS: usize = 8;

/// For each byte of a store the byte of the row, or 128 for none. Aligned, since every second load would touch two lines
/// of the cache otherwise.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct Mask([u8; STORE]);

/// How groups of windows are shuffled together, for windows at one distance.
pub(in crate::encode) struct Shuffle {
    /// Windows a group.
    group: usize,
    /// Rows of a window.
    rows: usize,
    /// Bytes from a window to the next one.
    advance: isize,
    /// A mask a row, for every store of a group.
    masks: Vec<Mask>,
}

impl Shuffle {
    /// The masks for windows `advance` bytes apart; `None` if this way is not for them or for this machine.
    pub(in crate::encode) fn new(runs: &Runs, advance: isize) -> Option<Self> {
        let rows = runs.rows * runs.outer.len();
        let usable = runs.run <= LONGEST_RUN && (2..=MOST_ROWS).contains(&rows) && advance > 0;
        if !usable || !available() {
            return None;
        }
        let step = advance as usize;
        let group = (LOAD - runs.run) / step + 1;
        let bytes = group * runs.bytes();
        let mut masks = vec![Mask([128; STORE]); bytes.div_ceil(STORE) * rows];
        for byte in 0..bytes {
            let (window, within) = (byte / runs.bytes(), byte % runs.bytes());
            let (row, at) = (within / runs.run, window * step + within % runs.run);
            masks[byte / STORE * rows + row].0[byte % STORE] = at as u8;
        }
        Some(Self { group, rows, advance, masks })
    }

    /// Copies windows of the line into `out`, in order, and returns how many: as many as can be had in whole groups
    /// without a load or a store that leaves its slice.
    pub(in crate::encode) fn copy_windows(&self, src: &[u8], line: Line, runs: &Runs, out: &mut [u8]) -> usize {
        if line.advance != self.advance {
            return 0;
        }
        // The last store of a group may overshoot by all but one byte.
        let room = out.len().saturating_sub(STORE - 1) / runs.bytes();
        let groups = runs.loads(src.len(), Starts::Line(line), LOAD, room) / self.group;
        let count = self.group * groups;
        if groups > 0 {
            let mut rows = [0; MOST_ROWS];
            let rows = runs.write_offsets(&mut rows);
            assert!(rows.len() == self.rows && count * runs.bytes() + STORE - 1 <= out.len());
            assert!(self.masks.len() == (self.group * runs.bytes()).div_ceil(STORE) * self.rows);
            let pass = x86::Pass {
                rows,
                first: src.as_ptr().wrapping_offset(line.first),
                advance: self.advance * self.group as isize,
                to: out.as_mut_ptr(),
                bytes: self.group * runs.bytes(),
                groups,
            };
            macro_rules! by_rows {
                ($($rows:literal)*) => {
                    match self.rows {
                        // SAFETY: `new` found AVX2. `loads` counted only windows whose every run has LOAD bytes
                        // of `src` behind its start. `out` has the bytes of `count` windows, and STORE − 1 more.
                        $($rows => unsafe { x86::copy_groups::<$rows>(self, pass) },)*
                        _ => unreachable!("Shuffle::new takes 2 to 8 rows"),
                    }
                };
            }
            by_rows!(2 3 4 5 6 7 8);
        }
        count
    }
}

/// Whether the machine has AVX2.
pub(super) fn available() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

mod x86 {
    use std::arch::x86_64::*;

    use super::{STORE, Shuffle};

    /// Groups to be copied.
    pub(super) struct Pass<'a> {
        /// Where each row starts, in bytes from a window's first pixel.
        pub(super) rows: &'a [isize],
        /// The first pixel of the first window.
        pub(super) first: *const u8,
        /// Bytes from one group to the next, in the source and in the target.
        pub(super) advance: isize,
        pub(super) bytes: usize,
        pub(super) to: *mut u8,
        pub(super) groups: usize,
    }

    /// Copies all groups of a pass.
    ///
    /// # Safety
    /// The machine has AVX2, and the windows have ROWS rows; 16 bytes can be read from every run of every window, and
    /// the target takes the bytes of all windows and 31 more.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn copy_groups<const ROWS: usize>(shuffle: &Shuffle, pass: Pass<'_>) {
        let (mut from, mut to) = (pass.first, pass.to);
        let (stores, _) = shuffle.masks.as_chunks::<ROWS>();
        let mut offsets = [0; ROWS];
        offsets.copy_from_slice(pass.rows);
        for _ in 0..pass.groups {
            // A loop, not `map`: its closure would be compiled as a function of its own, and called for every row.
            let mut rows = [_mm256_setzero_si256(); ROWS];
            for (row, &offset) in rows.iter_mut().zip(&offsets) {
                // SAFETY: the start of a run of the group's first window (the caller's promise).
                *row = _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(from.wrapping_offset(offset).cast()) });
            }
            for (i, masks) in stores.iter().enumerate() {
                let mut bytes = _mm256_setzero_si256();
                for (&row, mask) in rows.iter().zip(masks) {
                    // SAFETY: a mask is 32 bytes, and aligned to as many.
                    let mask = unsafe { _mm256_load_si256((&raw const *mask).cast()) };
                    bytes = _mm256_or_si256(bytes, _mm256_shuffle_epi8(row, mask));
                }
                // SAFETY: the stores of a group start within its windows, and overshoot them by 31 bytes at most: into
                // the next group, which is written after it, or into the 31 bytes behind all of them.
                unsafe { _mm256_storeu_si256(to.wrapping_add(STORE * i).cast(), bytes) };
            }
            from = from.wrapping_offset(pass.advance);
            to = to.wrapping_add(pass.bytes);
        }
    }
}
