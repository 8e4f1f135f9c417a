//! The bytes of some windows that lie close together, in registers: one table, or several.

use std::arch::x86_64::*;

use super::super::super::kernel::Runs;
use super::{Numbers, Others, STORE};

/// What a group of windows is picked from.
pub(super) trait Table {
    /// For windows of these runs, with nothing in it yet.
    fn new(runs: &Runs) -> Self;

    /// Where the last row starts, in bytes from a window's first pixel.
    fn last_row(&self) -> isize;

    /// Loads the rows of the windows from `start` on.
    ///
    /// # Safety
    /// The machine has AVX-512 VBMI, and a lane of bytes can be read from every row.
    unsafe fn load(&mut self, start: *const u8);

    /// The bytes of a store, at these places of their tables.
    ///
    /// # Safety
    /// The machine has AVX-512 VBMI.
    unsafe fn pick(&self, places: __m512i, others: &Others) -> __m512i;
}

/// One table of 128 bytes: ROWS rows of LANE bytes.
pub(super) struct One<const ROWS: usize, const LANE: usize> {
    rows: [isize; ROWS],
    table: [__m512i; 2],
}

impl<const ROWS: usize, const LANE: usize> Table for One<ROWS, LANE> {
    #[inline]
    fn new(runs: &Runs) -> Self {
        let mut rows = [0; ROWS];
        assert!(runs.write_offsets(&mut rows).len() == ROWS);
        Self { rows, table: NOTHING }
    }

    #[inline]
    fn last_row(&self) -> isize {
        self.rows[ROWS - 1]
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn load(&mut self, start: *const u8) {
        // SAFETY: the caller's promise.
        self.table = unsafe { load::<ROWS, LANE>(start, &self.rows) };
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn pick(&self, places: __m512i, _: &Others) -> __m512i {
        if ROWS * LANE <= STORE {
            return _mm512_permutexvar_epi8(places, self.table[0]);
        }
        _mm512_permutex2var_epi8(self.table[0], places, self.table[1])
    }
}

/// TABLES tables of ROWS rows of LANE bytes; behind the last row of a window, the last one has it again.
pub(super) struct Many<const TABLES: usize, const ROWS: usize, const LANE: usize> {
    rows: [[isize; ROWS]; TABLES],
    tables: [[__m512i; 2]; TABLES],
}

impl<const TABLES: usize, const ROWS: usize, const LANE: usize> Table for Many<TABLES, ROWS, LANE> {
    #[inline]
    fn new(runs: &Runs) -> Self {
        let mut rows = [[0; ROWS]; TABLES];
        let all = rows.as_flattened_mut();
        let count = runs.write_offsets(all).len();
        let last = all[count - 1];
        all[count..].fill(last);
        Self { rows, tables: [NOTHING; TABLES] }
    }

    #[inline]
    fn last_row(&self) -> isize {
        self.rows[TABLES - 1][ROWS - 1]
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn load(&mut self, start: *const u8) {
        for i in 0..TABLES {
            // SAFETY: the caller's promise.
            self.tables[i] = unsafe { load::<ROWS, LANE>(start, &self.rows[i]) };
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn pick(&self, places: __m512i, others: &Others) -> __m512i {
        let from = |[low, high]: [__m512i; 2]| _mm512_permutex2var_epi8(low, places, high);
        let mut bytes = from(self.tables[0]);
        for i in 1..TABLES {
            bytes = _mm512_mask_mov_epi8(bytes, others[i - 1], from(self.tables[i]));
        }
        bytes
    }
}

/// A table with nothing in it.
// SAFETY: a register is any bits.
const NOTHING: [__m512i; 2] = unsafe { std::mem::zeroed() };

/// The numbers in a register.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn numbers(numbers: &Numbers) -> __m512i {
    // SAFETY: they are 64 bytes, and aligned to as many.
    unsafe { _mm512_load_si512((&raw const *numbers).cast()) }
}

/// LANE bytes of each row, side by side.
///
/// # Safety
/// As many bytes can be read from every row.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load<const ROWS: usize, const LANE: usize>(start: *const u8, rows: &[isize; ROWS]) -> [__m512i; 2] {
    let mut table = [_mm512_setzero_si512(); 2];
    for (i, &row) in rows.iter().enumerate() {
        let (at, part) = (start.wrapping_offset(row), &mut table[i * LANE / STORE]);
        // SAFETY: the caller's promise.
        unsafe {
            *part = match (LANE, i * LANE % STORE / 16) {
                (16, 0) => _mm512_zextsi128_si512(_mm_loadu_si128(at.cast())),
                (16, 1) => _mm512_mask_broadcast_i32x4(*part, 0x00f0, _mm_loadu_si128(at.cast())),
                (16, 2) => _mm512_mask_broadcast_i32x4(*part, 0x0f00, _mm_loadu_si128(at.cast())),
                (16, _) => _mm512_mask_broadcast_i32x4(*part, 0xf000, _mm_loadu_si128(at.cast())),
                (32, 0) => _mm512_zextsi256_si512(_mm256_loadu_si256(at.cast())),
                (32, _) => _mm512_mask_broadcast_i64x4(*part, 0xf0, _mm256_loadu_si256(at.cast())),
                _ => _mm512_loadu_si512(at.cast()),
            };
        }
    }
    table
}
