//! Windows with short runs, on x86-64 with AVX-512 VBMI: several windows a store, whether they are neighbours or listed.
//!
//! The rows of some windows that lie close together are loaded side by side into two registers, a *table* of 128 bytes,
//! and one instruction fills a store of 64 bytes with any bytes of it. For neighbours those are the same in every group of
//! windows. For windows by their ids they are as many bytes further as a window is from the first one of its group, which is
//! one addition. So 3×3 windows of bytes are written seven a store, and short ones come about as fast as memory is copied.
//!
//! An id takes as much memory as such a window, and reading it as much time. So ids are read once: whether those of a group
//! are windows that are near each other is known when they are copied.

use std::arch::x86_64::*;
use std::cell::OnceCell;
use std::ops::Range;

use super::super::kernel::{Line, Runs, Starts, fetch};

/// Bytes of the table.
const TABLE: usize = 128;

/// Bytes of a store.
const STORE: usize = 64;

/// Bytes that one load may take of a row.
const LANES: [usize; 3] = [16, 32, 64];

/// Longer runs are moved one by one as fast.
const LONGEST_RUN: usize = 24;

/// And so are longer ones of windows that share no pixel, for which no load serves several windows.
const LONGEST_APART: usize = 7;

/// Rows that fit into the table.
const MOST_ROWS: usize = TABLE / LANES[0];

/// Listed windows of a group: as many ids as a register holds.
const MOST_LISTED: usize = 8;

/// Ids that show how near to each other all are, and how many of them may be farther.
const LOOKED_AT: usize = 8;
const FAR: usize = 1;

/// Fewer ids are not looked at.
const FEWEST: usize = 32;

/// So many bytes ahead of the last row of a group are fetched, which the others were before; and so many ahead of its ids.
const AHEAD: isize = 512;
const AHEAD_IDS: isize = 1024;

/// After so many they are looked at again.
const PIECE: usize = 1024;

/// A number for each byte of a store.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Numbers([u8; STORE]);

/// How a group of windows is made from its table.
struct Plan {
    /// Bytes of the table for each row.
    lane: usize,
    /// Windows of a group.
    windows: usize,
    /// From the first to the last of them there may be so many steps.
    reach: u64,
    stores: Vec<Store>,
}

/// What makes one store.
#[derive(Clone, Copy)]
struct Store {
    /// For each byte its place in the table.
    places: Numbers,
    /// For each byte where the number of its window lies among the bytes of eight.
    owners: Numbers,
}

/// The kernel for a table of so many rows and bytes a row.
macro_rules! by_table {
    ($($rows:literal $lane:literal)*, $pass:ident, $copy:ident $arguments:tt) => {
        match ($pass.rows.len(), $pass.plan.lane) {
            $(($rows, $lane) => $pass.$copy::<$rows, $lane> $arguments,)*
            _ => unreachable!("Permute::new makes tables of 128 bytes at most"),
        }
    };
}
macro_rules! by_any_table {
    ($($work:tt)*) => {
        by_table!(2 16 3 16 4 16 5 16 6 16 7 16 8 16 2 32 3 32 4 32 2 64, $($work)*)
    };
}

/// How groups of windows are put together.
pub(in crate::encode) struct Permute {
    /// Rows of a window, and the bytes of each.
    rows: usize,
    run: usize,
    /// Bytes from a window to the next one.
    advance: isize,
    /// The plan for neighbours.
    line: Plan,
    /// The plans for listed windows, two or more of them a group: the fastest first; made once some are asked for.
    listed: OnceCell<Vec<Plan>>,
}

impl Permute {
    /// The plans for windows `advance` bytes apart; `None` if this way is not for them or for this machine.
    pub(in crate::encode) fn new(runs: &Runs, advance: isize) -> Option<Self> {
        let rows = runs.rows * runs.outer.len();
        let step = usize::try_from(advance).ok().filter(|step| (1..STORE).contains(step))?;
        let longest = if step < runs.run { LONGEST_RUN } else { LONGEST_APART };
        if !available() || !(2..=MOST_ROWS).contains(&rows) || runs.run > longest {
            return None;
        }
        let reach = |lane: usize| (lane - runs.run) / step;
        // The fuller the stores are, the better; and then the more windows share a table.
        let neighbours = |lane| Plan::new(runs, lane, reach(lane) + 1, step, reach(lane));
        let line = lanes(runs).map(neighbours).reduce(|a, b| if b.fill(runs) >= a.fill(runs) { b } else { a })?;
        let listed = OnceCell::new();
        Some(Self { rows, run: runs.run, advance, line, listed }).filter(|permute| permute.line.windows > 1)
    }

    fn listed(&self, runs: &Runs) -> &[Plan] {
        self.listed.get_or_init(|| {
            let Some(lane) = lanes(runs).next_back() else { return Vec::new() };
            let reach = (lane - runs.run) / self.advance.unsigned_abs();
            let mut plans: Vec<_> = (2..=MOST_LISTED).map(|windows| Plan::new(runs, lane, windows, 0, reach)).collect();
            let cost = |plan: &Plan| (self.rows + 4 * plan.stores.len()) as f64 / plan.windows as f64;
            plans.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
            plans
        })
    }

    /// Copies windows into `out`, in order, and returns how many: as many as can be had without a load or a store that
    /// leaves its slice.
    pub(in crate::encode) fn copy_windows(&self, src: &[u8], starts: Starts<'_>, runs: &Runs, out: &mut [u8]) -> usize {
        let Starts::Line(line) = starts else { return 0 };
        if line.advance != self.advance {
            return 0;
        }
        let plan = &self.line;
        let count = runs.loads(src.len(), starts, plan.lane, room(runs, out));
        let mut rows = [0; MOST_ROWS];
        let pass = self.pass(plan, count, src, runs, &mut rows, out);
        // SAFETY: `new` found AVX-512 VBMI. `loads` counted only windows whose every run has `lane` bytes of `src` behind
        // its start. `pass` saw that `out` takes `count` windows, and STORE − 1 bytes more.
        unsafe { by_any_table!(pass, neighbours(line, count)) }
    }

    /// Copies windows by their ids into `out`, in order, and returns how many: as long as they are of one line of the grid
    /// and near each other. `windows` are those of the line that lie inside of the array, and its window 0 would start at
    /// byte `first` if it went on to there. Nobody has looked at the ids: they may be anything.
    pub(in crate::encode) fn copy_near(
        &self,
        src: &[u8],
        ids: &[u64],
        windows: &Range<u64>,
        first: isize,
        runs: &Runs,
        out: &mut [u8],
    ) -> usize {
        let ids = &ids[..ids.len().min(room(runs, out)).min(PIECE)];
        let Some(plan) = self.plan(ids, runs) else { return 0 };
        let first = first.wrapping_add((windows.start as isize).wrapping_mul(self.advance));
        let line = Line { first, advance: self.advance };
        let count = (windows.end - windows.start) as usize;
        let loads = runs.loads(src.len(), Starts::Line(line), plan.lane, count) as u64;
        // From each of these on, all that are within reach are of the line.
        let end = windows.end.saturating_sub(plan.reach).clamp(windows.start, windows.start + loads);
        let mut rows = [0; MOST_ROWS];
        let pass = self.pass(plan, ids.len(), src, runs, &mut rows, out);
        // SAFETY: `new` found AVX-512 VBMI. `loads` counted only windows whose every run has `lane` bytes of `src` behind
        // its start. `pass` saw that `out` takes all windows, and STORE − 1 bytes more.
        unsafe { by_any_table!(pass, near(ids, windows.start..end, line)) }
    }

    /// A pass over so many windows.
    fn pass<'a>(
        &self,
        plan: &'a Plan,
        count: usize,
        src: &[u8],
        runs: &Runs,
        rows: &'a mut [isize],
        out: &mut [u8],
    ) -> Pass<'a> {
        let rows = runs.write_offsets(rows);
        assert!(rows.len() == self.rows && runs.run == self.run && count <= room(runs, out));
        Pass { plan, rows, src: src.as_ptr(), to: out.as_mut_ptr(), bytes: runs.bytes() }
    }

    /// The plan for the windows with these ids: as many a group as are near enough to each other nearly wherever one looks.
    fn plan(&self, ids: &[u64], runs: &Runs) -> Option<&Plan> {
        let near = |at: usize, plan: &Plan| ids[at + plan.windows - 1].wrapping_sub(ids[at]) <= plan.reach;
        let suits = |plan: &Plan| {
            let places = ids.len() - MOST_LISTED;
            (0..LOOKED_AT).filter(|i| near(i * places / LOOKED_AT, plan)).count() >= LOOKED_AT - FAR
        };
        if ids.len() < FEWEST || ids[1].wrapping_sub(ids[0]) > TABLE as u64 {
            return None;
        }
        self.listed(runs).iter().find(|plan| suits(plan))
    }
}

impl Plan {
    /// A group of so many windows, `apart` bytes from each other in the table.
    fn new(runs: &Runs, lane: usize, windows: usize, apart: usize, reach: usize) -> Self {
        let bytes = windows * runs.bytes();
        let none = Store { places: Numbers([0; STORE]), owners: Numbers([0; STORE]) };
        let mut stores = vec![none; bytes.div_ceil(STORE)];
        for byte in 0..bytes {
            let (window, within) = (byte / runs.bytes(), byte % runs.bytes());
            let place = within / runs.run * lane + window * apart + within % runs.run;
            debug_assert!(place < TABLE);
            let store = &mut stores[byte / STORE];
            store.places.0[byte % STORE] = place as u8;
            store.owners.0[byte % STORE] = (window * size_of::<u64>()) as u8;
        }
        Self { lane, windows, reach: reach as u64, stores }
    }

    /// Bytes that a store brings.
    fn fill(&self, runs: &Runs) -> f64 {
        (self.windows * runs.bytes()) as f64 / self.stores.len() as f64
    }
}

/// Bytes that a load may take of a row, so that all rows of a window fit into the table.
fn lanes(runs: &Runs) -> impl DoubleEndedIterator<Item = usize> {
    let (rows, run) = (runs.rows * runs.outer.len(), runs.run);
    LANES.into_iter().filter(move |lane| rows * lane <= TABLE && run <= *lane)
}

/// How many windows there is room for: the last store of a group may overshoot by all but one byte.
fn room(runs: &Runs, out: &[u8]) -> usize {
    out.len().saturating_sub(STORE - 1) / runs.bytes()
}

/// Windows to be copied.
struct Pass<'a> {
    plan: &'a Plan,
    /// Where each row starts, in bytes from a window's first pixel.
    rows: &'a [isize],
    src: *const u8,
    to: *mut u8,
    /// Bytes of a window.
    bytes: usize,
}

/// Whether the machine has AVX-512 VBMI.
fn available() -> bool {
    std::arch::is_x86_feature_detected!("avx512vbmi") && std::arch::is_x86_feature_detected!("avx512bw")
}

impl Pass<'_> {
    /// Copies as many of the first `count` neighbours as there are in whole groups, and returns how many.
    ///
    /// # Safety
    /// The machine has AVX-512 VBMI; `lane` bytes can be read from every run of every window; and behind the bytes of
    /// all windows the target takes STORE − 1 more.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn neighbours<const ROWS: usize, const LANE: usize>(&self, line: Line, count: usize) -> usize {
        // In variables of their own: for all that the compiler knows, a store could change what is behind a reference. And
        // in plain loops: adapters of iterators may be compiled as functions of their own, and called for every store.
        let (stores, groups) = (&self.plan.stores[..], count / self.plan.windows);
        let (advance, bytes) = (line.advance * self.plan.windows as isize, self.plan.windows * self.bytes);
        let mut rows = [0; ROWS];
        rows.copy_from_slice(self.rows);
        let (mut from, mut to) = (self.src.wrapping_offset(line.first), self.to);
        for _ in 0..groups {
            // SAFETY: the starts of runs, and a target that takes the stores of a group, which begin within it.
            unsafe {
                let table = load::<ROWS, LANE>(from, &rows);
                let mut next = to;
                for store in stores {
                    _mm512_storeu_si512(next.cast(), pick::<ROWS, LANE>(table, numbers(&store.places)));
                    next = next.wrapping_add(STORE);
                }
            }
            (from, to) = (from.wrapping_offset(advance), to.wrapping_add(bytes));
        }
        groups * self.plan.windows
    }

    /// Copies windows by their ids, those that are near each other together, until one is not of `windows`, and returns how
    /// many. `line` starts with the first of `windows`, and its end is so far from theirs that all within reach are of it.
    ///
    /// # Safety
    /// The machine has AVX-512 VBMI; `lane` bytes can be read from every run of the `windows`; and behind the bytes of all
    /// ids the target takes STORE − 1 more.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn near<const ROWS: usize, const LANE: usize>(&self, ids: &[u64], windows: Range<u64>, line: Line) -> usize {
        // What one store takes stays in registers.
        // SAFETY: the caller's promise.
        unsafe {
            match &self.plan.stores[..] {
                [store] => {
                    let (places, owners) = (numbers(&store.places), numbers(&store.owners));
                    self.near_by::<ROWS, LANE>(ids, windows, line, |table, distances, to| {
                        let places = _mm512_add_epi8(places, _mm512_permutexvar_epi8(owners, distances));
                        _mm512_storeu_si512(to.cast(), pick::<ROWS, LANE>(table, places));
                    })
                }
                stores => self.near_by::<ROWS, LANE>(ids, windows, line, |table, distances, to| {
                    let mut next = to;
                    for store in stores {
                        let further = _mm512_permutexvar_epi8(numbers(&store.owners), distances);
                        let places = _mm512_add_epi8(numbers(&store.places), further);
                        _mm512_storeu_si512(next.cast(), pick::<ROWS, LANE>(table, places));
                        next = next.wrapping_add(STORE);
                    }
                }),
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
    unsafe fn near_by<const ROWS: usize, const LANE: usize>(
        &self,
        ids: &[u64],
        windows: Range<u64>,
        line: Line,
        write: impl Fn([__m512i; 2], __m512i, *mut u8),
    ) -> usize {
        // As above.
        let group = self.plan.windows.min(MOST_LISTED);
        let (bytes, group_bytes) = (self.bytes, group * self.bytes);
        let (all, reach) = (u8::MAX >> (MOST_LISTED - group), _mm512_set1_epi64(self.plan.reach as i64));
        let (count, advance) = (windows.end - windows.start, line.advance);
        let start = self.src.wrapping_offset(line.first);
        let (mut to, mut rest) = (self.to, ids);
        let mut rows = [0; ROWS];
        rows.copy_from_slice(self.rows);
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
                fetch(from.wrapping_offset(rows[ROWS - 1] + AHEAD));
                fetch(some.as_ptr().cast::<u8>().wrapping_offset(AHEAD_IDS));
                let table = load::<ROWS, LANE>(from, &rows);
                let first = _mm512_set1_epi64(some[0] as i64);
                let distances = _mm512_sub_epi64(_mm512_loadu_si512(some.as_ptr().cast()), first);
                // Of those that are near, all are less than a byte holds.
                write(table, _mm512_mullo_epi16(distances, wide), to);
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

/// The numbers in a register.
#[inline]
#[target_feature(enable = "avx512f")]
fn numbers(numbers: &Numbers) -> __m512i {
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

/// The bytes of the table at these places.
#[inline]
#[target_feature(enable = "avx512f,avx512vbmi")]
fn pick<const ROWS: usize, const LANE: usize>(table: [__m512i; 2], places: __m512i) -> __m512i {
    if ROWS * LANE <= STORE {
        return _mm512_permutexvar_epi8(places, table[0]);
    }
    _mm512_permutex2var_epi8(table[0], places, table[1])
}
