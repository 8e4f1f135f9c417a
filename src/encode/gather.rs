//! Gathers the pixels of windows: the interior by the kernels, the border by tables.

use std::ops::Range;

use super::border;
use super::kernel::{Line, Listed, Runs, Starts, copy_each, copy_parts, copy_windows};
use super::rising::Rising;
use super::short::Short;
use super::stage::Stage;
use crate::rows::Rows;
use crate::source::Band;
use crate::window::Divisor;
use crate::{Grid, Result, Segment};

/// Windows anywhere are copied this many at a time.
const STARTS: usize = 256;

/// So many windows of one line of the grid are copied together.
const SEVERAL: usize = 32;

/// Ids that are looked at together: what stays in the first cache until they are gathered.
const PIECE: usize = 1024;

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
    pub(super) advance: isize,
    /// One pixel of constant padding.
    pub(super) fill: [u8; 8],
    runs: Runs,
    /// The axes over the parts of a window, if it comes in parts.
    parts: Vec<(usize, isize)>,
    /// Copies of rows that would fight for one place in the cache.
    stage: Option<Stage>,
    /// Several windows at once, where runs are short.
    short: Short,
}

impl<'a> Gather<'a> {
    pub(super) fn new(grid: &'a Grid, band: &'a Band, fill: [u8; 8]) -> Self {
        let mut gather = Self::of_cells(grid, band, fill);
        if gather.parts.is_empty() {
            gather.stage = Stage::new(&gather.runs, gather.advance);
            gather.short = Short::new(&gather.runs, gather.advance);
        }
        gather
    }

    /// Without what copies whole windows faster: that takes as long to find out as some ten thousand cells to copy.
    pub(super) fn of_cells(grid: &'a Grid, band: &'a Band, fill: [u8; 8]) -> Self {
        let view = &band.view;
        let size = view.dtype().size();
        let last = grid.sliding_axes()[grid.sliding_axes().len() - 1];
        let advance = grid.axes()[last].step as isize * view.strides()[last] * size as isize;
        let (runs, parts) = Runs::new(grid, view);
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
            stage: None,
            short: Short::default(),
            advance,
        }
    }

    /// Copies the windows `rows`, each in C order, one behind the other; `out` has exactly their bytes. Listed ids may be
    /// anything; the first that is no window is told as an error, when rows before it may have been written.
    pub(super) fn copy(&mut self, rows: &Rows<'_>, out: &mut [u8]) -> Result<()> {
        match rows {
            Rows::Range(range) if !out.is_empty() => self.lines(range.clone(), out.len() / rows.len(), out),
            Rows::Ids(ids) if !out.is_empty() => {
                if let Some(row) = self.scattered(ids, out.len() / ids.len(), out) {
                    return Err(rows.no_window(row, self.grid.windows()));
                }
            }
            _ => rows.check(self.grid.windows())?,
        }
        Ok(())
    }

    fn lines(&mut self, rows: Range<u64>, patch: usize, out: &mut [u8]) {
        let mut rest = out;
        for segment in self.grid.segments(rows) {
            let (line, behind) = rest.split_at_mut(segment.len as usize * patch);
            rest = behind;
            self.segment(segment, patch, line);
        }
    }

    /// Copies windows anywhere: those of one line of the grid that are near each other or rise together, and others many at a
    /// time, by their starts. What lies on the border is copied as a line.
    /// An id that is no window ends it, and its place is returned.
    fn scattered(&mut self, ids: &[u64], patch: usize, out: &mut [u8]) -> Option<usize> {
        let windows = self.grid.windows();
        if windows == 0 {
            return Some(0);
        }
        let places = Places::new(self);
        // Windows that were looked at, of which the last ones wait to be copied.
        let (mut done, mut starts, mut waiting) = (0, [0; STARTS], 0);
        // The inner windows of the line that was looked at last, and where the window 0 of all would start.
        let (mut line, mut first) = (0..0, 0);
        while let Some(&id) = ids.get(done) {
            if !line.contains(&id) {
                // No other id is looked at: those of a line are windows.
                if id >= windows {
                    return Some(done);
                }
                (line, first) = places.line(id);
            }
            let some = &ids[done..];
            let (ready, behind) = out[(done - waiting) * patch..].split_at_mut(waiting * patch);
            let mut count;
            if line.contains(&id) {
                count = self.short.copy_near(self.bytes, some, &line, first, &self.runs, behind);
                if count == 0 {
                    let rising = Rising::first_of(&some[..some.len().min(PIECE)], line.end);
                    if rising.len() >= SEVERAL {
                        count = rising.len();
                        self.listed(rising, first, patch, &mut behind[..count * patch]);
                    } else if waiting + rising.len() <= STARTS {
                        for &id in rising.ids() {
                            starts[waiting] = first.wrapping_add((id as isize).wrapping_mul(self.advance));
                            waiting += 1;
                        }
                        done += rising.len();
                        continue;
                    }
                }
            } else {
                count = places.together(some);
                let segment = Segment { index: self.grid.index(id), len: count as u64 };
                self.segment(segment, patch, &mut behind[..count * patch]);
            }
            self.at_starts(Starts::Each(&starts[..waiting]), patch, ready);
            (done, waiting) = (done + count, 0);
        }
        self.at_starts(Starts::Each(&starts[..waiting]), patch, &mut out[(done - waiting) * patch..]);
        None
    }

    /// Copies windows inside of the array that rise within one line of the grid, whose window 0 of all would start at
    /// `first`. Many neighbours are copied as such.
    fn listed(&mut self, ids: Rising<'_>, first: isize, patch: usize, out: &mut [u8]) {
        let (mut ids, mut rest) = (ids, out);
        while ids.len() > 0 {
            let run = ids.neighbours();
            let (apart, behind) = std::mem::take(&mut rest).split_at_mut(run.start * patch);
            let (together, behind) = behind.split_at_mut(run.len() * patch);
            let listed = Listed { ids: ids.slice(0..run.start), first, advance: self.advance };
            self.at_starts(Starts::Listed(listed), patch, apart);
            if !run.is_empty() {
                let segment = Segment { index: self.grid.index(ids.ids()[run.start]), len: run.len() as u64 };
                self.segment(segment, patch, together);
            }
            (rest, ids) = (behind, ids.slice(run.end..ids.len()));
        }
    }

    /// Copies one pixel of windows anywhere inside of the array.
    #[cfg(all(feature = "virtual", target_os = "linux", target_pointer_width = "64"))]
    pub(super) fn cells(&self, ids: &[u64], pixel: usize, out: &mut [u8]) {
        let (places, offset) = (Places::new(self), self.pixel_offset(pixel));
        let (mut line, mut first) = (0..0, 0isize);
        for (&id, cell) in ids.iter().zip(out.chunks_exact_mut(self.size)) {
            if !line.contains(&id) {
                (line, first) = places.line(id);
            }
            let start = if line.contains(&id) {
                first.wrapping_add((id as isize).wrapping_mul(self.advance))
            } else {
                self.window_start(&self.grid.index(id))
            };
            let at = (start + offset) as usize;
            cell.copy_from_slice(&self.bytes[at..at + self.size]);
        }
    }

    /// Copies the windows of one line of the grid.
    fn segment(&mut self, mut segment: Segment, patch: usize, out: &mut [u8]) {
        let last = segment.index.len() - 1;
        let first = segment.index[last];
        let end = first + segment.len;
        let regular = self.regular(&segment);
        if !regular.is_empty() {
            let (a, b) = ((regular.start - first) as usize * patch, (regular.end - first) as usize * patch);
            segment.index[last] = regular.start;
            let line = Line { first: self.window_start(&segment.index), advance: self.advance };
            match &mut self.stage {
                Some(stage) => stage.copy_windows(self.bytes, line, &self.runs, &mut out[a..b]),
                None if self.parts.is_empty() => {
                    copy_windows(self.bytes, line, &self.runs, &self.short, &mut out[a..b]);
                }
                None => self.at_starts(Starts::Line(line), patch, &mut out[a..b]),
            }
        }
        for i in (first..regular.start.max(first)).chain(regular.end.max(first)..end) {
            segment.index[last] = i;
            let target = &mut out[(i - first) as usize * patch..][..patch];
            border::copy_window(self, &segment.index, target);
        }
    }

    /// The windows of a line of the grid that lie inside of the array at equal distances: the kernels' part.
    pub(super) fn regular(&self, segment: &Segment) -> Range<u64> {
        let last = segment.index.len() - 1;
        let (first, end) = (segment.index[last], segment.index[last] + segment.len);
        if !(0..last).all(|i| self.interior[i].contains(&segment.index[i])) {
            return first..first;
        }
        let axis = &self.grid.axes()[self.grid.sliding_axes()[last]];
        let steps = if axis.shifted { axis.count - 1 } else { self.interior[last].end };
        self.interior[last].start.clamp(first, end)..steps.clamp(first, end)
    }

    /// How far the pixel of a window with this C-order number is from its first, in bytes.
    pub(super) fn pixel_offset(&self, pixel: usize) -> isize {
        let mut rest = pixel as u64;
        self.grid.axes().iter().zip(&self.strides).rev().fold(0, |offset, (axis, &stride)| {
            let i = rest % axis.window;
            rest /= axis.window;
            offset + (i * axis.dilation) as isize * stride
        })
    }

    /// Copies windows inside of the array, whole or in parts.
    fn at_starts(&self, starts: Starts<'_>, patch: usize, out: &mut [u8]) {
        if self.parts.is_empty() {
            return copy_each(self.bytes, starts, &self.runs, &self.short, out);
        }
        for (i, out) in out.chunks_exact_mut(patch).enumerate() {
            copy_parts(self.bytes, starts.at(i), &self.parts, &self.runs, out);
        }
    }

    /// The byte of the first pixel of a window inside of the array.
    pub(super) fn window_start(&self, index: &[u64]) -> isize {
        // An axis that is taken whole starts at pixel 0, and so does its band.
        self.grid.sliding_axes().iter().zip(index).fold(self.first, |at, (&number, &i)| {
            at + (self.grid.axes()[number].start(i) - self.origin[number]) as isize * self.strides[number]
        })
    }
}

/// Where windows inside of the array start, without a division too many.
pub(super) struct Places {
    /// The axes before the last: how many windows, those inside, the byte of the first one, and from one to the next.
    before: Vec<Place>,
    last: Place,
}

struct Place {
    count: u64,
    by_count: Divisor,
    /// The windows that lie inside, at equal distances, and which they are with the one that is shifted.
    regular: Range<u64>,
    interior: Range<u64>,
    /// The bytes of the first window, of the distance to the next one, and of the last one, which may be shifted.
    first: isize,
    advance: isize,
    shifted: isize,
}

impl Places {
    pub(super) fn new(gather: &Gather<'_>) -> Self {
        let place = |(i, &number): (usize, &usize)| {
            let (axis, stride) = (&gather.grid.axes()[number], gather.strides[number]);
            // Windows in the padding are not asked for, so that theirs may be anything.
            let at = |start: i64| (start.wrapping_sub(gather.origin[number]) as isize).wrapping_mul(stride);
            let interior = gather.interior[i].clone();
            let regular =
                if axis.shifted { interior.start..interior.end.min(axis.count - 1) } else { interior.clone() };
            Place {
                count: axis.count,
                by_count: Divisor::new(axis.count, gather.grid.windows()),
                regular,
                interior,
                first: at(axis.start(0)),
                advance: (axis.step as isize).wrapping_mul(stride),
                shifted: at(axis.start(axis.count - 1)),
            }
        };
        let mut before: Vec<_> = gather.grid.sliding_axes().iter().enumerate().map(place).collect();
        let mut last = before.pop().expect("a grid slides over an axis");
        last.first = last.first.wrapping_add(gather.first);
        Self { before, last }
    }

    /// The windows of the line of a window that lie inside of the array at equal distances, and where the window 0 of all
    /// would start if the line went on to there.
    pub(super) fn line(&self, id: u64) -> (Range<u64>, isize) {
        let axis = &self.last;
        let (mut rest, i) = axis.by_count.divide(id);
        let start = id - i;
        let before = self.before.iter().rev().try_fold(0, |at, axis| {
            let i;
            (rest, i) = axis.by_count.divide(rest);
            Some(at + axis.at(i)?)
        });
        match before {
            Some(at) => {
                let windows = start + axis.regular.start..start + axis.regular.end;
                (windows, (at + axis.first).wrapping_sub(axis.advance.wrapping_mul(start as isize)))
            }
            None => (0..0, 0),
        }
    }

    /// The first window after the line of a window.
    pub(super) fn end_of_line(&self, id: u64) -> u64 {
        let (_, i) = self.last.by_count.divide(id);
        id - i + self.last.count
    }

    /// How many of the ids are neighbours in one line of the grid, from the first on.
    fn together(&self, ids: &[u64]) -> usize {
        let most = (self.last.count - ids[0] % self.last.count) as usize;
        let pairs = ids[..ids.len().min(most)].windows(2);
        1 + pairs.take_while(|pair| pair[0].checked_add(1) == Some(pair[1])).count()
    }
}

impl Place {
    /// What a window's place on this axis adds to its start, if it lies inside.
    fn at(&self, i: u64) -> Option<isize> {
        let at = if self.regular.contains(&i) {
            self.first.wrapping_add(self.advance.wrapping_mul(i as isize))
        } else {
            self.shifted
        };
        self.interior.contains(&i).then_some(at)
    }
}
