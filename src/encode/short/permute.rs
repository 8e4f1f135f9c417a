//! Windows with short runs, on x86-64 with AVX-512 VBMI: several windows a store, whether they are neighbours or listed.
//!
//! The rows of some windows that lie close together are loaded side by side into two registers, a *table* of 128 bytes,
//! and one instruction fills a store of 64 bytes with any bytes of it. For neighbours those are the same in every group of
//! windows. For windows by their ids they are as many bytes further as a window is from the first one of its group, which is
//! one addition. So 3×3 windows of bytes are written seven a store, and short ones come about as fast as memory is copied.
//!
//! Windows of more rows, as those of volumes are, take several tables, and a store takes an instruction for each of them.
//!
//! An id takes as much memory as such a window, and reading it as much time. So ids are read once: whether those of a group
//! are windows that are near each other is known when they are copied.

mod pass;
mod tables;

use std::cell::OnceCell;
use std::ops::Range;

use self::pass::Pass;
use self::tables::{Many, One};
use super::super::kernel::{Line, Runs, Starts};

/// Bytes of a table.
const TABLE: usize = 128;

/// Bytes of a store.
const STORE: usize = 64;

/// Bytes that one load may take of a row.
const LANES: [usize; 3] = [16, 32, 64];

/// Longer runs are moved one by one as fast.
const LONGEST_RUN: usize = 24;

/// And so are longer ones of windows that share no pixel, for which no load serves several windows.
const LONGEST_APART: usize = 7;

/// And so are longer ones of windows that take several tables.
const LONGEST_MANY: usize = 12;

/// So many tables a group of windows may have; half as many if twice as much is loaded of each row.
const MOST_TABLES: usize = 8;

/// Listed windows of several tables are as fast one by one if they take more, or their runs are longer.
const MOST_TABLES_LISTED: usize = 4;
const LONGEST_MANY_LISTED: usize = 9;

/// Listed windows of a group: as many ids as a register holds.
const MOST_LISTED: usize = 8;

/// Ids that show how near to each other all are, and how many of them may be farther.
const LOOKED_AT: usize = 8;
const FAR: usize = 1;

/// Fewer ids are not looked at.
const FEWEST: usize = 32;

/// After so many they are looked at again.
const PIECE: usize = 1024;

/// A number for each byte of a store.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Numbers([u8; STORE]);

/// How a group of windows lies in tables.
#[derive(Clone, Copy)]
struct Layout {
    /// Bytes of a table for each row.
    lane: usize,
    /// Windows of a group, and bytes of all of them.
    windows: usize,
    bytes: usize,
    /// Tables of a group, and rows of a table.
    tables: usize,
    rows: usize,
}

/// How a group of windows is made from its tables.
struct Plan {
    layout: Layout,
    /// From the first to the last of its windows there may be so many steps, if they are listed.
    reach: u64,
    stores: Vec<Store>,
    /// For each store which of its bytes are of another table than the first.
    others: Vec<Others>,
}

/// Bytes of a store, a bit each, for each table but the first.
type Others = [u64; MOST_TABLES - 1];

/// What makes one store.
#[derive(Clone, Copy)]
struct Store {
    /// For each byte its place in its table.
    places: Numbers,
    /// For each byte where the number of its window lies among the bytes of eight.
    owners: Numbers,
}

/// The kernel for so many tables, rows of a table, and bytes a row.
macro_rules! by_tables {
    ($(1 $rows:literal $lane:literal)* | $($tables:literal $all:literal $wide:literal)*, $pass:ident, $copy:ident $arguments:tt) => {
        match ($pass.plan.layout.tables, $pass.plan.layout.rows, $pass.plan.layout.lane) {
            $((1, $rows, $lane) => $pass.$copy::<One<$rows, $lane>> $arguments,)*
            $(($tables, $all, $wide) => $pass.$copy::<Many<$tables, $all, $wide>> $arguments,)*
            _ => unreachable!("layouts have such tables only"),
        }
    };
}
macro_rules! by_any_tables {
    ($($work:tt)*) => {
        by_tables!(
            1 2 16 1 3 16 1 4 16 1 5 16 1 6 16 1 7 16 1 8 16 1 2 32 1 3 32 1 4 32 1 2 64
            | 2 8 16 3 8 16 4 8 16 5 8 16 6 8 16 7 8 16 8 8 16 2 4 32 3 4 32 4 4 32, $($work)*)
    };
}

/// How groups of windows are put together.
pub(in crate::encode) struct Permute {
    /// Rows of a window, and the bytes of each.
    rows: usize,
    run: usize,
    /// Bytes from a window to the next one.
    advance: isize,
    /// How neighbours lie in tables.
    layout: Layout,
    /// The plan for them, and those for listed windows, two or more of them a group, the fastest first: made once they are
    /// asked for.
    line: OnceCell<Plan>,
    listed: OnceCell<Vec<Plan>>,
}

impl Permute {
    /// The plans for windows `advance` bytes apart; `None` if this way is not for them or for this machine.
    pub(in crate::encode) fn new(runs: &Runs, advance: isize) -> Option<Self> {
        let rows = runs.rows * runs.outer.len();
        let step = usize::try_from(advance).ok().filter(|step| (1..STORE).contains(step))?;
        let longest = if step < runs.run { LONGEST_RUN } else { LONGEST_APART };
        if !available() || rows < 2 || runs.run > longest {
            return None;
        }
        let reach = |lane: usize| (lane - runs.run) / step;
        let layouts = lanes(runs).map(|lane| Layout::new(runs, lane, reach(lane) + 1));
        let layout = layouts.reduce(|a, b| if b.is_better_than(&a) { b } else { a })?;
        if layout.windows < 2 || layout.tables > 1 && runs.run > LONGEST_MANY {
            return None;
        }
        let (line, listed) = Default::default();
        Some(Self { rows, run: runs.run, advance, layout, line, listed })
    }

    fn line(&self, runs: &Runs) -> &Plan {
        self.line.get_or_init(|| Plan::new(runs, self.layout, self.advance.unsigned_abs(), 0))
    }

    fn listed(&self, runs: &Runs) -> &[Plan] {
        self.listed.get_or_init(|| {
            let Some(lane) = lanes(runs).next_back() else { return Vec::new() };
            let reach = (lane - runs.run) / self.advance.unsigned_abs();
            let mut layouts: Vec<_> = (2..=MOST_LISTED).map(|windows| Layout::new(runs, lane, windows)).collect();
            let tables = layouts[0].tables;
            if tables > 1 && (tables > MOST_TABLES_LISTED || self.run > LONGEST_MANY_LISTED) {
                return Vec::new();
            }
            layouts.sort_by(|a, b| a.cost().total_cmp(&b.cost()));
            layouts.into_iter().map(|layout| Plan::new(runs, layout, 0, reach)).collect()
        })
    }

    /// Copies windows into `out`, in order, and returns how many: as many as can be had without a load or a store that
    /// leaves its slice.
    pub(in crate::encode) fn copy_windows(&self, src: &[u8], starts: Starts<'_>, runs: &Runs, out: &mut [u8]) -> usize {
        let Starts::Line(line) = starts else { return 0 };
        if line.advance != self.advance {
            return 0;
        }
        let count = runs.loads(src.len(), starts, self.layout.lane, out.len() / runs.bytes());
        if count < self.layout.windows {
            return 0;
        }
        let plan = self.line(runs);
        let free = count.min(room(runs, out));
        let pass = self.pass(plan, free, src, runs, out);
        // SAFETY: `new` found AVX-512 VBMI. `loads` counted only windows whose every run has `lane` bytes of `src` behind
        // its start. `out` takes `count` windows, and `pass` saw that it takes STORE − 1 bytes behind `free` of them.
        unsafe { by_any_tables!(pass, neighbours(line, count, free)) }
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
        let loads = runs.loads(src.len(), Starts::Line(line), plan.layout.lane, count) as u64;
        // From each of these on, all that are within reach are of the line.
        let end = windows.end.saturating_sub(plan.reach).clamp(windows.start, windows.start + loads);
        let pass = self.pass(plan, ids.len(), src, runs, out);
        // SAFETY: `new` found AVX-512 VBMI. `loads` counted only windows whose every run has `lane` bytes of `src` behind
        // its start. `pass` saw that `out` takes all windows, and STORE − 1 bytes more.
        unsafe { by_any_tables!(pass, near(ids, windows.start..end, line)) }
    }

    /// A pass over so many windows.
    fn pass<'a>(&self, plan: &'a Plan, count: usize, src: &[u8], runs: &'a Runs, out: &mut [u8]) -> Pass<'a> {
        assert!(runs.rows * runs.outer.len() == self.rows && runs.run == self.run && count <= room(runs, out));
        Pass { plan, runs, src: src.as_ptr(), to: out.as_mut_ptr(), bytes: runs.bytes() }
    }

    /// The plan for the windows with these ids: as many a group as are near enough to each other nearly wherever one looks.
    fn plan(&self, ids: &[u64], runs: &Runs) -> Option<&Plan> {
        let near = |at: usize, plan: &Plan| ids[at + plan.layout.windows - 1].wrapping_sub(ids[at]) <= plan.reach;
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

impl Layout {
    /// So many windows, with so many bytes of each row.
    fn new(runs: &Runs, lane: usize, windows: usize) -> Self {
        let rows = runs.rows * runs.outer.len();
        let tables = (rows * lane).div_ceil(TABLE);
        let rows = if tables == 1 { rows } else { TABLE / lane };
        Self { lane, windows, bytes: windows * runs.bytes(), tables, rows }
    }

    fn stores(&self) -> usize {
        self.bytes.div_ceil(STORE)
    }

    /// Of one table: the fuller the stores are, the better; and then the more windows share it. Of several: the less a
    /// window takes. `other` has narrower lanes.
    fn is_better_than(&self, other: &Self) -> bool {
        let fill = |layout: &Self| layout.bytes as f64 / layout.stores() as f64;
        if self.tables == 1 { fill(self) >= fill(other) } else { self.cost() < other.cost() }
    }

    /// About what a window takes: a row to be loaded, and four times as much for each table of a store.
    fn cost(&self) -> f64 {
        (self.tables * (self.rows + 4 * self.stores())) as f64 / self.windows as f64
    }
}

impl Plan {
    /// Windows that are so many bytes from each other in the tables.
    fn new(runs: &Runs, layout: Layout, apart: usize, reach: usize) -> Self {
        let none = Store { places: Numbers([0; STORE]), owners: Numbers([0; STORE]) };
        let mut stores = vec![none; layout.stores()];
        let mut others = vec![[0; MOST_TABLES - 1]; stores.len()];
        let mut byte = 0;
        for window in 0..layout.windows {
            for row in 0..runs.rows * runs.outer.len() {
                let (table, first) = (row * layout.lane / TABLE, row * layout.lane % TABLE + window * apart);
                debug_assert!(window * apart + runs.run <= layout.lane);
                for at in 0..runs.run {
                    let (store, bit) = (byte / STORE, byte % STORE);
                    stores[store].places.0[bit] = (first + at) as u8;
                    stores[store].owners.0[bit] = (window * size_of::<u64>()) as u8;
                    if table > 0 {
                        others[store][table - 1] |= 1 << bit;
                    }
                    byte += 1;
                }
            }
        }
        Self { layout, reach: reach as u64, stores, others }
    }
}

/// Bytes that a load may take of a row, so that the rows of a window fit into the tables: into one, if they do.
fn lanes(runs: &Runs) -> impl DoubleEndedIterator<Item = usize> {
    let (rows, run) = (runs.rows * runs.outer.len(), runs.run);
    let tables = move |lane: usize| (rows * lane).div_ceil(TABLE);
    let one = LANES.into_iter().any(|lane| run <= lane && tables(lane) == 1);
    let most = move |lane: usize| if one { 1 } else { MOST_TABLES * LANES[0] / lane };
    LANES.into_iter().filter(move |&lane| run <= lane && tables(lane) <= most(lane))
}

/// How many windows there is room for: the last store of a group may overshoot by all but one byte.
fn room(runs: &Runs, out: &[u8]) -> usize {
    out.len().saturating_sub(STORE - 1) / runs.bytes()
}

/// Whether the machine has AVX-512 VBMI.
fn available() -> bool {
    std::arch::is_x86_feature_detected!("avx512vbmi") && std::arch::is_x86_feature_detected!("avx512bw")
}
