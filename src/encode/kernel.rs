//! Copies windows that lie within a band: the inner loop of everything.

use super::apart;
use super::rising::Rising;
use super::short::Short;
use crate::StridedView;
use crate::window::Grid;

/// Groups of runs that are listed: more would take memory that depends on the window.
const MOST_GROUPS: usize = 4096;

/// How the pixels of one window lie in memory: `outer × rows` runs of contiguous bytes, in the order of the patch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Runs {
    /// Bytes of one run.
    pub(super) run: usize,
    /// Runs at equal distances, and that distance in bytes.
    pub(super) rows: usize,
    pub(super) row_stride: isize,
    /// Where each group of `rows` runs starts, in bytes from the window's first pixel.
    pub(super) outer: Vec<isize>,
}

impl Runs {
    /// The runs of a window of `grid` in `view`. Axes that lie together in memory become one.
    ///
    /// Windows of very many runs come in parts, one behind the other: the second value lists the lengths and strides of
    /// the axes over the parts. Usually there are none, and the runs are those of the whole window.
    pub(super) fn new(grid: &Grid, view: &StridedView) -> (Self, Vec<(usize, isize)>) {
        let size = view.dtype().size();
        let mut dims: Vec<(usize, isize)> = Vec::new();
        for (axis, &stride) in grid.axes().iter().zip(view.strides()) {
            let (n, stride) = (axis.window as usize, (axis.dilation as isize).wrapping_mul(stride * size as isize));
            match dims.last_mut() {
                _ if n == 1 => {}
                Some(last) if last.1 == stride.wrapping_mul(n as isize) => *last = (last.0 * n, stride),
                _ => dims.push((n, stride)),
            }
        }
        let run = match dims.last() {
            Some(&(n, stride)) if stride == size as isize => {
                dims.pop();
                n * size
            }
            _ => size,
        };
        let (rows, row_stride) = dims.pop().unwrap_or((1, 0));
        let mut outer = vec![0];
        while let Some(&(n, stride)) = dims.last().filter(|(n, _)| n * outer.len() <= MOST_GROUPS) {
            dims.pop();
            outer = (0..n as isize).flat_map(|i| outer.iter().map(move |&at| i * stride + at)).collect();
        }
        (Self { run, rows, row_stride, outer }, dims)
    }

    /// Bytes of a window.
    pub(super) fn bytes(&self) -> usize {
        self.run * self.rows * self.outer.len()
    }

    /// Where each run starts, in bytes from the window's first pixel.
    pub(super) fn offsets(&self) -> Vec<isize> {
        let mut offsets = vec![0; self.rows * self.outer.len()];
        self.write_offsets(&mut offsets);
        offsets
    }

    /// The same, at the front of `out`, which has room for them.
    pub(super) fn write_offsets<'a>(&self, out: &'a mut [isize]) -> &'a [isize] {
        let out = &mut out[..self.rows * self.outer.len()];
        for (&group, out) in self.outer.iter().zip(out.chunks_exact_mut(self.rows)) {
            for (row, offset) in out.iter_mut().enumerate() {
                *offset = group + row as isize * self.row_stride;
            }
        }
        out
    }

    /// The lowest and the highest start of a run, in bytes from the window's first pixel.
    fn reach(&self) -> (isize, isize) {
        let span = self.row_stride * (self.rows as isize - 1);
        let (low, high) = self.outer.iter().fold((0, 0), |(low, high), &at| (low.min(at), high.max(at)));
        (low + span.min(0), high + span.max(0))
    }

    /// How many of the first `count` windows can be copied by moves of `wide` bytes a run: the overshoot of every move
    /// must stay within the source and within the target.
    fn wide_windows(&self, src_len: usize, starts: Starts<'_>, wide: usize, count: usize) -> usize {
        self.loads(src_len, starts, wide, count.saturating_sub((wide - self.run).div_ceil(self.bytes())))
    }

    /// How many of the first `count` windows can be read by loads of `wide` bytes a run, all within the source.
    pub(super) fn loads(&self, src_len: usize, starts: Starts<'_>, wide: usize, count: usize) -> usize {
        let (low, high) = self.reach();
        starts.between(-low, src_len as isize - wide as isize - high, count)
    }
}

/// A line of windows: the first starts at byte `first` of the band's buffer, the next ones `advance` bytes apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) first: isize,
    pub(super) advance: isize,
}

/// Windows of one line of the grid by their ids: the window 0 of all would start at byte `first` if the line went on to
/// there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed<'a> {
    pub(super) ids: Rising<'a>,
    pub(super) first: isize,
    pub(super) advance: isize,
}

/// Where windows start, in bytes: for kernels that are compiled for each way to list them.
pub(super) trait At: Copy {
    /// The start of a window.
    fn at(self, i: usize) -> isize;

    /// The start of a window behind it that is to be fetched, if windows lie far from each other.
    #[inline(always)]
    fn ahead(self, _: usize) -> Option<isize> {
        None
    }
}

impl At for Line {
    #[inline(always)]
    fn at(self, i: usize) -> isize {
        self.first.wrapping_add((i as isize).wrapping_mul(self.advance))
    }
}

impl At for &[isize] {
    #[inline(always)]
    fn at(self, i: usize) -> isize {
        self[i]
    }

    #[inline(always)]
    fn ahead(self, i: usize) -> Option<isize> {
        self.get(i + AHEAD_WINDOWS).copied()
    }
}

impl At for Listed<'_> {
    #[inline(always)]
    fn at(self, i: usize) -> isize {
        self.first.wrapping_add((self.ids.ids()[i] as isize).wrapping_mul(self.advance))
    }
}

/// Where windows start in the band's buffer, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Starts<'a> {
    /// At equal distances.
    Line(Line),
    /// Anywhere.
    Each(&'a [isize]),
    /// In one line of the grid.
    Listed(Listed<'a>),
}

impl<'a> Starts<'a> {
    /// The start of a window.
    pub(super) fn at(&self, i: usize) -> isize {
        match self {
            Starts::Line(line) => line.at(i),
            Starts::Each(starts) => starts[i],
            Starts::Listed(listed) => listed.at(i),
        }
    }

    /// Those behind the first `count`.
    pub(super) fn behind(&self, count: usize) -> Self {
        match *self {
            Starts::Line(line) => Starts::Line(Line { first: line.at(count), ..line }),
            Starts::Each(starts) => Starts::Each(&starts[count..]),
            Starts::Listed(listed) => {
                Starts::Listed(Listed { ids: listed.ids.slice(count..listed.ids.len()), ..listed })
            }
        }
    }

    /// How many of the first `count` windows start at or behind `low` and not behind `high`: at most as many as do so
    /// without one between them that doesn't.
    fn between(&self, low: isize, high: isize, count: usize) -> usize {
        let within = |i: usize| (low..=high).contains(&self.at(i));
        if count == 0 || self.are_steady(count) && within(0) && within(count - 1) {
            return count;
        }
        match self {
            Starts::Line(line) if line.advance > 0 && within(0) && self.are_steady(count) => {
                count.min(((high - line.first) / line.advance) as usize + 1)
            }
            _ => (0..count).position(|i| !within(i)).unwrap_or(count),
        }
    }

    /// Whether each of the first `count` windows starts between the first and the last of them: distances have one sign,
    /// and so do the starts unless numbers wrap on the way.
    fn are_steady(&self, count: usize) -> bool {
        let (advance, windows) = match self {
            Starts::Line(line) => (line.advance, count as u64 - 1),
            Starts::Listed(Listed { ids, advance, .. }) => (*advance, ids.ids()[count - 1] - ids.ids()[0]),
            Starts::Each(_) => return false,
        };
        let span = isize::try_from(windows).ok().and_then(|windows| windows.checked_mul(advance));
        span.is_some_and(|span| self.at(0).checked_add(span) == Some(self.at(count - 1)))
    }
}

/// Copies the windows of a line one behind the other until `out` is full.
pub(super) fn copy_windows(src: &[u8], line: Line, runs: &Runs, short: &Short, out: &mut [u8]) {
    let done = if apart::suits(line, runs) { apart::copy_windows(src, line, runs, out) } else { 0 };
    copy_each(src, Starts::Line(line).behind(done), runs, short, &mut out[done * runs.bytes()..]);
}

/// Copies one window that comes in parts.
pub(super) fn copy_parts(src: &[u8], start: isize, parts: &[(usize, isize)], runs: &Runs, out: &mut [u8]) {
    let (mut place, short) = (vec![0; parts.len()], Short::default());
    let mut at = start;
    for part in out.chunks_exact_mut(runs.bytes()) {
        copy_each(src, Starts::Each(&[at]), runs, &short, part);
        for (i, &(n, stride)) in place.iter_mut().zip(parts).rev() {
            *i += 1;
            at += stride;
            if *i < n {
                break;
            }
            at -= stride * n as isize;
            *i = 0;
        }
    }
}

/// Moves of the narrowest of these widths that holds a run.
macro_rules! by_width {
    ($($wide:literal)*, $src:ident, $starts:ident, $runs:ident, $out:ident) => {
        match $runs.run {
            $(run if run <= $wide => by_rows::<$wide>($src, $starts, $runs, $out),)*
            _ => exact($src, $starts, 0, $runs, $out),
        }
    };
}

/// Copies windows one behind the other until `out` is full.
///
/// A run is copied by one move of a width that the compiler knows, even if that is more than the run: the next run
/// overwrites what was too much. Only where that would leave the source or the target, runs are copied exactly.
///
/// Short runs are copied several at once, as far as that goes.
pub(super) fn copy_each(src: &[u8], starts: Starts<'_>, runs: &Runs, short: &Short, out: &mut [u8]) {
    let done = short.copy_windows(src, starts, runs, out);
    let (starts, out) = (starts.behind(done), &mut out[done * runs.bytes()..]);
    if out.is_empty() {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if runs.run > 16 && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the machine has AVX2.
        return unsafe { copy_each_avx2(src, starts, runs, out) };
    }
    copy_each_anywhere(src, starts, runs, out)
}

/// The same by what every machine has.
pub(super) fn copy_each_anywhere(src: &[u8], starts: Starts<'_>, runs: &Runs, out: &mut [u8]) {
    by_width!(8 16 32 48 64 96 128 256, src, starts, runs, out)
}

/// The same in registers of 32 bytes: half the moves.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn copy_each_avx2(src: &[u8], starts: Starts<'_>, runs: &Runs, out: &mut [u8]) {
    by_width!(32 64 96 128 256, src, starts, runs, out)
}

/// Windows of few rows have them unrolled. Windows that share no pixel with the one before have the next ones fetched: the
/// caches' own guesses give up on many places that are read a little at a time. So have windows anywhere.
#[inline(always)]
fn by_rows<const WIDE: usize>(src: &[u8], starts: Starts<'_>, runs: &Runs, out: &mut [u8]) {
    let fetch = match starts {
        Starts::Line(line) => {
            let several = runs.rows * runs.outer.len() > 1;
            several && runs.run >= SHORTEST_FETCHED && line.advance.unsigned_abs() >= runs.run
        }
        Starts::Each(starts) => {
            starts.last().zip(starts.first()).is_some_and(|(a, b)| a.abs_diff(*b) > NEAR * starts.len())
        }
        Starts::Listed(_) => false,
    };
    match (runs.rows, &runs.outer[..]) {
        _ if fetch => wide::<WIDE, 0, true>(src, starts, runs, out),
        (3, [0]) if WIDE <= 64 => wide::<WIDE, 3, false>(src, starts, runs, out),
        (5, [0]) if WIDE <= 64 => wide::<WIDE, 5, false>(src, starts, runs, out),
        (8, [0]) if WIDE <= 32 => wide::<WIDE, 8, false>(src, starts, runs, out),
        _ => wide::<WIDE, 0, false>(src, starts, runs, out),
    }
}

/// Windows so many bytes from each other are what the caches guess.
const NEAR: usize = 256;

/// Runs shorter than this would have every line of the cache fetched several times.
const SHORTEST_FETCHED: usize = 16;

/// Bytes of a line of windows that are fetched before they are copied.
const AHEAD: usize = 512;

/// Windows anywhere are fetched so many before they are copied.
const AHEAD_WINDOWS: usize = 6;

/// Moves of WIDE bytes a run. ROWS is `runs.rows` of the only group, or 0 if the compiler need not know it; FETCH tells the
/// caches what comes.
#[inline(always)]
fn wide<const WIDE: usize, const ROWS: usize, const FETCH: bool>(
    src: &[u8],
    starts: Starts<'_>,
    runs: &Runs,
    out: &mut [u8],
) {
    let (run, row_stride) = (runs.run, runs.row_stride);
    let (rows, groups) = if ROWS == 0 { (runs.rows, &runs.outer[..]) } else { (ROWS, &[0][..]) };
    let count = runs.wide_windows(src.len(), starts, WIDE, out.len() / runs.bytes());
    let (fast, rest) = out.split_at_mut(count * runs.bytes());
    if count > 0 {
        assert!(rows == runs.rows && groups == runs.outer && WIDE - run <= rest.len());
        let mut to = fast.as_mut_ptr();
        let mut copy = |start: *const u8, ahead: isize, anywhere: bool| {
            for &group in groups {
                let mut from = start.wrapping_offset(group);
                for _ in 0..rows {
                    if FETCH {
                        (0..WIDE).step_by(64).for_each(|line| fetch(from.wrapping_offset(ahead + line as isize)));
                        if anywhere {
                            fetch(from.wrapping_offset(ahead + run as isize - 1));
                        }
                    }
                    // SAFETY: `wide_windows` counted only windows whose every run starts at or behind the start of `src`
                    // and has WIDE bytes before its end. `to` moves by one run for each of the `count · rows · groups`
                    // runs, which fill `fast`; behind the last one lie the `WIDE - run` bytes of `rest`, which is of the
                    // same slice `out`. `src` and `out` don't overlap.
                    unsafe {
                        from.copy_to_nonoverlapping(to, WIDE);
                        to = to.add(run);
                    }
                    from = from.wrapping_offset(row_stride);
                }
            }
        };
        match starts {
            Starts::Line(Line { first, advance }) => {
                let mut start = src.as_ptr().wrapping_offset(first);
                let ahead = (AHEAD / advance.unsigned_abs().max(1)).max(1) as isize * advance;
                for _ in 0..count {
                    copy(start, ahead, false);
                    start = start.wrapping_offset(advance);
                }
            }
            Starts::Each(starts) => {
                for (i, &start) in starts[..count].iter().enumerate() {
                    let next = if FETCH { starts.ahead(i).unwrap_or(start) } else { start };
                    copy(src.as_ptr().wrapping_offset(start), next - start, true);
                }
            }
            Starts::Listed(listed) => {
                for i in 0..count {
                    copy(src.as_ptr().wrapping_offset(listed.at(i)), 0, false);
                }
            }
        }
    }
    exact(src, starts, count, runs, rest);
}

/// Asks for a line of the cache, which may be anywhere.
#[inline(always)]
pub(super) fn fetch(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program sees, and faults nowhere; SSE is part of every x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Runs of any length, each copied exactly; from window `first` on.
fn exact(src: &[u8], starts: Starts<'_>, first: usize, runs: &Runs, out: &mut [u8]) {
    for (i, patch) in out.chunks_exact_mut(runs.bytes()).enumerate() {
        let start = starts.at(first + i);
        let mut groups = patch.chunks_exact_mut(runs.run * runs.rows);
        for (&group, target) in runs.outer.iter().zip(&mut groups) {
            let mut at = start + group;
            for run in target.chunks_exact_mut(runs.run) {
                run.copy_from_slice(&src[at as usize..at as usize + runs.run]);
                at += runs.row_stride;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WindowSpec;

    fn runs(spec: WindowSpec, view: &StridedView) -> Runs {
        let shape: Vec<_> = view.shape().iter().map(|&n| n as u64).collect();
        let (runs, parts) = Runs::new(&Grid::new(&spec, &shape, None).unwrap(), view);
        assert!(parts.is_empty());
        runs
    }

    #[test]
    fn axes_that_lie_together_are_one_run() {
        let image = StridedView::from_vec(vec![0u16; 6 * 5 * 3], &[6, 5, 3]).unwrap();
        let spec = WindowSpec::new([2, 4]);
        assert_eq!(runs(spec.clone(), &image), Runs { run: 24, rows: 2, row_stride: 30, outer: vec![0] });
        assert_eq!(
            runs(WindowSpec::new([2, 5]), &image),
            Runs { run: 60, rows: 1, row_stride: 0, outer: vec![0] },
            "whole lines"
        );
        let planar = image.transpose(&[2, 0, 1]).unwrap();
        assert_eq!(
            runs(spec.axes([1, 2]), &planar),
            Runs { run: 2, rows: 4, row_stride: 6, outer: vec![0, 30, 2, 32, 4, 34] }
        );
    }
}
