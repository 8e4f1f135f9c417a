//! Gathers the pixels of windows: the interior by the kernels, the border by tables.

use std::ops::Range;

use super::border;
use super::kernel::{Line, Runs, Starts, copy_each, copy_parts, copy_windows};
use super::shuffle::Shuffle;
use super::stage::Stage;
use crate::rows::Rows;
use crate::source::Band;
use crate::{Grid, Segment};

/// Windows anywhere are copied this many at a time.
const STARTS: usize = 256;

/// The windows of a grid over one band of its pixels.
pub(super) struct Gather<'a> {
    pub(super) grid: &'a Grid,
    pub(super) bytes: &'a [u8],
    /// The byte of the band's first pixel.
    pub(super) first: isize,
    /// Bytes between neighbours on each axis.
    pub(super) strides: Vec<isize>,
    /// Where the band starts on each axis of the source.
    pub(super) origin: Vec<i64>,
    /// Bytes of a pixel.
    pub(super) size: usize,
    /// The windows of each sliding axis that lie within the array.
    interior: Vec<Range<u64>>,
    /// Bytes from a window to the next one on the last axis.
    advance: isize,
    /// One pixel of constant padding.
    pub(super) fill: [u8; 8],
    runs: Runs,
    /// The axes over the parts of a window, if it comes in parts.
    parts: Vec<(usize, isize)>,
    /// Copies of rows that would fight for one place in the cache.
    stage: Option<Stage>,
    /// Several windows at once, where runs are short.
    shuffle: Option<Shuffle>,
}

impl<'a> Gather<'a> {
    pub(super) fn new(grid: &'a Grid, band: &'a Band, fill: [u8; 8]) -> Self {
        let view = &band.view;
        let size = view.dtype().size();
        let last = grid.sliding_axes()[grid.sliding_axes().len() - 1];
        let advance = grid.axes()[last].step as isize * view.strides()[last] * size as isize;
        let (runs, parts) = Runs::new(grid, view);
        let whole = parts.is_empty();
        let stage = if whole { Stage::new(&runs, advance) } else { None };
        let shuffle = if whole { Shuffle::new(stage.as_ref().map_or(&runs, Stage::runs), advance) } else { None };
        Self {
            grid,
            bytes: view.buffer(),
            first: (view.offset() * size) as isize,
            strides: view.strides().iter().map(|&stride| stride * size as isize).collect(),
            origin: band.region.0.iter().map(|range| range.start as i64).collect(),
            size,
            fill,
            interior: grid.sliding().map(|axis| axis.interior()).collect(),
            runs,
            parts,
            stage,
            shuffle,
            advance,
        }
    }

    /// Copies the windows `rows`, each in C order, one behind the other; `out` has exactly their bytes.
    pub(super) fn copy(&mut self, rows: &Rows<'_>, out: &mut [u8]) {
        if out.is_empty() {
            return;
        }
        let patch = out.len() / rows.len();
        match rows {
            Rows::Range(range) => self.lines(range.clone(), patch, out),
            Rows::Ids(ids) => self.scattered(ids, patch, out),
        }
    }

    fn lines(&mut self, rows: Range<u64>, patch: usize, out: &mut [u8]) {
        let mut rest = out;
        for segment in self.grid.segments(rows) {
            let (line, behind) = rest.split_at_mut(segment.len as usize * patch);
            rest = behind;
            self.segment(segment, patch, line);
        }
    }

    /// Copies windows anywhere: those inside of the array many at a time, by their starts.
    fn scattered(&self, ids: &[u64], patch: usize, out: &mut [u8]) {
        let numbers = self.grid.sliding_axes();
        let last = numbers.len() - 1;
        let axis = &self.grid.axes()[numbers[last]];
        // Ids are often sorted: then many lie in one line of the grid, which need not be found again.
        let mut line = 0..0;
        let (mut inside, mut line_start, mut index) = (false, 0, Vec::new());
        let mut starts = Vec::with_capacity(ids.len().min(STARTS));
        let mut rest = out;
        let mut flush = |starts: &mut Vec<isize>, behind: usize| -> &mut [u8] {
            let (ready, tail) = std::mem::take(&mut rest).split_at_mut(starts.len() * patch);
            self.at_starts(&starts.as_slice(), patch, ready);
            starts.clear();
            let (next, tail) = tail.split_at_mut(behind);
            rest = tail;
            next
        };
        for &id in ids {
            if !line.contains(&id) {
                let first = id - id % axis.count;
                line = first..first + axis.count;
                index = self.grid.index(first);
                inside = (0..last).all(|i| self.interior[i].contains(&index[i]));
                line_start = if inside { self.window_start(&index) } else { 0 };
            }
            let i = id - line.start;
            if inside && self.interior[last].contains(&i) {
                starts.push(line_start + (axis.start(i) - axis.start(0)) as isize * self.strides[numbers[last]]);
                if starts.len() == STARTS {
                    flush(&mut starts, 0);
                }
            } else {
                let target = flush(&mut starts, patch);
                index[last] = i;
                border::copy_window(self, &index, target);
            }
        }
        flush(&mut starts, 0);
    }

    /// Copies the windows of one line of the grid.
    fn segment(&mut self, mut segment: Segment, patch: usize, out: &mut [u8]) {
        let last = segment.index.len() - 1;
        let numbers = self.grid.sliding_axes();
        let first = segment.index[last];
        let end = first + segment.len;
        let axis = &self.grid.axes()[numbers[last]];
        let inside = |i: usize| self.interior[i].contains(&segment.index[i]);
        // Windows inside of the array at equal distances: the kernels' part.
        let regular = if (0..last).all(inside) {
            let interior = &self.interior[last];
            let steps = if axis.shifted { axis.count - 1 } else { interior.end };
            interior.start.clamp(first, end)..steps.clamp(first, end)
        } else {
            first..first
        };
        if !regular.is_empty() {
            let (a, b) = ((regular.start - first) as usize * patch, (regular.end - first) as usize * patch);
            segment.index[last] = regular.start;
            let line = Line { first: self.window_start(&segment.index), advance: self.advance };
            let shuffle = self.shuffle.as_ref();
            match &mut self.stage {
                Some(stage) => stage.copy_windows(self.bytes, line, &self.runs, shuffle, &mut out[a..b]),
                None if self.parts.is_empty() => copy_windows(self.bytes, line, &self.runs, shuffle, &mut out[a..b]),
                None => self.at_starts(&line, patch, &mut out[a..b]),
            }
        }
        for i in (first..regular.start.max(first)).chain(regular.end.max(first)..end) {
            segment.index[last] = i;
            let target = &mut out[(i - first) as usize * patch..][..patch];
            border::copy_window(self, &segment.index, target);
        }
    }

    /// Copies windows inside of the array, whole or in parts.
    fn at_starts(&self, starts: &impl Starts, patch: usize, out: &mut [u8]) {
        if self.parts.is_empty() {
            return copy_each(self.bytes, starts, &self.runs, out);
        }
        for (i, out) in out.chunks_exact_mut(patch).enumerate() {
            copy_parts(self.bytes, starts.at(i), &self.parts, &self.runs, out);
        }
    }

    /// The byte of the first pixel of a window inside of the array.
    fn window_start(&self, index: &[u64]) -> isize {
        // An axis that is taken whole starts at pixel 0, and so does its band.
        self.grid.sliding_axes().iter().zip(index).fold(self.first, |at, (&number, &i)| {
            at + (self.grid.axes()[number].start(i) - self.origin[number]) as isize * self.strides[number]
        })
    }
}
