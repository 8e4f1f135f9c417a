//! The loops over groups of windows.

use std::arch::x86_64::*;
use std::ops::Range;

use super::super::super::kernel::{Line, Runs, fetch};
use super::tables::{Table, numbers};
use super::{MOST_LISTED, Plan, STORE};

/// So many bytes ahead of the last row of a group are fetched, which the others were before; and so many ahead of its ids.
const AHEAD: isize = 512;
const AHEAD_IDS: isize = 1024;

/// Windows to be copied.
pub(super) struct Pass<'a> {
    pub(super) plan: &'a Plan,
    pub(super) runs: &'a Runs,
    pub(super) src: *const u8,
    pub(super) to: *mut u8,
    /// Bytes of a window.
    pub(super) bytes: usize,
}

impl Pass<'_> {
    /// Copies the first `count` neighbours, or none if they are less than a group, and returns how many. Behind the first
    /// `free` of them the target takes STORE − 1 bytes more.
    ///
    /// # Safety
    /// The machine has AVX-512 VBMI; `lane` bytes can be read from every run of every window; and the target takes all
    /// windows, and what is said of `free`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    pub(super) unsafe fn neighbours<T: Table>(&self, line: Line, count: usize, free: usize) -> usize {
        // In variables of their own: for all that the compiler knows, a store could change what is behind a reference. And
        // in plain loops: adapters of iterators may be compiled as functions of their own, and called for every store.
        let (stores, others) = (&self.plan.stores[..], &self.plan.others[..self.plan.stores.len()]);
        let (group, bytes, advance) = (self.plan.layout.windows, self.bytes, line.advance);
        if count < group {
            return 0;
        }
        let (group_advance, group_bytes) = (group as isize * advance, group * bytes);
        let mut table = T::new(self.runs);
        let start = self.src.wrapping_offset(line.first);
        let (mut from, mut to) = (start, self.to);
        for _ in 0..free / group {
            // SAFETY: the starts of runs, and a target that takes the stores of a group, which begin within it.
            unsafe {
                table.load(from);
                let mut next = to;
                for i in 0..stores.len() {
                    _mm512_storeu_si512(next.cast(), table.pick(numbers(&stores[i].places), &others[i]));
                    next = next.wrapping_add(STORE);
                }
            }
            (from, to) = (from.wrapping_offset(group_advance), to.wrapping_add(group_bytes));
        }
        // At the end nothing may be written behind a group; and the last one has windows that were written already.
        let mut done = free / group * group;
        while done < count {
            let window = done.min(count - group);
            // SAFETY: the starts of runs, and a target that takes the bytes of a group.
            unsafe {
                table.load(start.wrapping_offset(window as isize * advance));
                let to = self.to.wrapping_add(window * bytes);
                for i in 0..stores.len() {
                    let picked = table.pick(numbers(&stores[i].places), &others[i]);
                    let mask = u64::MAX >> STORE.saturating_sub(group_bytes - i * STORE);
                    _mm512_mask_storeu_epi8(to.wrapping_add(i * STORE).cast(), mask, picked);
                }
            }
            done = window + group;
        }
        count
    }

    /// Copies windows by their ids, those that are near each other together, until one is not of `windows`, and returns how
    /// many. `line` starts with the first of `windows`, and its end is so far from theirs that all within reach are of it.
    ///
    /// # Safety
    /// The machine has AVX-512 VBMI; `lane` bytes can be read from every run of the `windows`; and behind the bytes of all
    /// ids the target takes STORE − 1 more.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    pub(super) unsafe fn near<T: Table>(&self, ids: &[u64], windows: Range<u64>, line: Line) -> usize {
        // What one store takes stays in registers.
        // SAFETY: the caller's promise.
        unsafe {
            match &self.plan.stores[..] {
                [store] => {
                    let (places, owners) = (numbers(&store.places), numbers(&store.owners));
                    let others = self.plan.others[0];
                    self.near_by(ids, windows, line, |table: &T, distances, to| {
                        let places = _mm512_add_epi8(places, _mm512_permutexvar_epi8(owners, distances));
                        _mm512_storeu_si512(to.cast(), table.pick(places, &others));
                    })
                }
                stores => {
                    let others = &self.plan.others[..stores.len()];
                    self.near_by(ids, windows, line, |table: &T, distances, to| {
                        let mut next = to;
                        for (i, store) in stores.iter().enumerate() {
                            let further = _mm512_permutexvar_epi8(numbers(&store.owners), distances);
                            let places = _mm512_add_epi8(numbers(&store.places), further);
                            _mm512_storeu_si512(next.cast(), table.pick(places, &others[i]));
                            next = next.wrapping_add(STORE);
                        }
                    })
                }
            }
        }
    }

    /// The same, where `write` makes the stores of a group: from a table, and from the bytes between each of its windows and
    /// the first.
    ///
    /// # Safety
    /// As [`near`](Self::near).
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn near_by<T: Table>(
        &self,
        ids: &[u64],
        windows: Range<u64>,
        line: Line,
        write: impl Fn(&T, __m512i, *mut u8),
    ) -> usize {
        // As above.
        let group = self.plan.layout.windows.min(MOST_LISTED);
        let (bytes, group_bytes) = (self.bytes, group * self.bytes);
        let (all, reach) = (u8::MAX >> (MOST_LISTED - group), _mm512_set1_epi64(self.plan.reach as i64));
        let (count, advance) = (windows.end - windows.start, line.advance);
        let start = self.src.wrapping_offset(line.first);
        let (mut to, mut rest) = (self.to, ids);
        let mut table = T::new(self.runs);
        let ahead = table.last_row() + AHEAD;
        let wide = _mm512_set1_epi16(advance as i16);
        while let Some(some) = rest.first_chunk::<MOST_LISTED>() {
            let window = some[0].wrapping_sub(windows.start);
            if window >= count {
                break;
            }
            // SAFETY: the starts of runs; eight ids; and a target that takes the stores of the windows, which begin within
            // them.
            let near = unsafe {
                let from = start.wrapping_offset((window as isize).wrapping_mul(advance));
                fetch(from.wrapping_offset(ahead));
                fetch(some.as_ptr().cast::<u8>().wrapping_offset(AHEAD_IDS));
                table.load(from);
                let first = _mm512_set1_epi64(some[0] as i64);
                let distances = _mm512_sub_epi64(_mm512_loadu_si512(some.as_ptr().cast()), first);
                // Of those that are near, all are less than a byte holds.
                write(&table, _mm512_mullo_epi16(distances, wide), to);
                _mm512_cmple_epu64_mask(distances, reach) & all
            };
            // A branch that is foreseen: what is next doesn't wait for ids to be compared.
            if near == all {
                (to, rest) = (to.wrapping_add(group_bytes), &rest[group..]);
            } else {
                let count = few(near);
                (to, rest) = (to.wrapping_add(count * bytes), &rest[count..]);
            }
        }
        ids.len() - rest.len()
    }
}

/// How many are near. Nobody should wait for this number where all are.
#[cold]
fn few(near: u8) -> usize {
    near.trailing_ones() as usize
}
