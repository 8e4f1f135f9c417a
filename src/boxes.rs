//! How many pixels of each window hold something, in a time a window that does not grow with it.
//!
//! Axis by axis, sums along a line are differences of running sums; with a dilation d, of sums over every d-th pixel.
//! Running sums wrap, their differences are those of numbers that don't.

use std::ops::Range;

use rayon::prelude::*;

use crate::dtype::with_pixel;
use crate::encode::Marker;
use crate::rows::{IdSet, IdSetBuilder};
use crate::source::{Band, Bands};
use crate::{AnySource, BufferPool, DType, Grid, GridAxis, PadMode, Pixel, Result};

/// What is counted.
#[derive(Clone, Copy)]
pub(crate) enum Counted {
    /// Pixels that are not zero.
    Set,
    /// Pixels that have a value.
    Valid(Marker),
}

/// Which windows are kept: those in which so many pixels hold something.
pub(crate) struct Boxes<'a> {
    pub(crate) source: &'a AnySource,
    /// The windows, over the source.
    pub(crate) grid: &'a Grid,
    pub(crate) counted: Counted,
    /// Whether only the pixel in the middle of a window is looked at, which counts for nothing in padding.
    pub(crate) center: bool,
    /// Whether a pixel of constant padding counts.
    pub(crate) padding: bool,
    /// The fewest pixels of a window that is kept.
    pub(crate) least: u64,
    /// Whether other threads may help.
    pub(crate) parallel: bool,
}

/// Numbers that are summed at once, on a thread.
const BLOCK: u64 = 1 << 18;

impl Boxes<'_> {
    /// Pixels that are looked at in each window.
    pub(crate) fn cells(grid: &Grid, center: bool) -> u64 {
        if center { 1 } else { grid.patch_shape().iter().product() }
    }

    /// The windows of `windows` that are kept.
    ///
    /// # Memory
    /// A few MiB for every thread of the pool, and a band of the source for each.
    pub(crate) fn select(&self, windows: Range<u64>) -> Result<IdSet> {
        let grid = self.grid;
        let mut set = IdSetBuilder::new(grid.windows());
        if windows.is_empty() {
            return set.finish();
        }
        let lead = grid.sliding_axes()[0];
        let axis = &grid.axes()[lead];
        let inner = grid.sliding().skip(1).map(|axis| axis.count).product::<u64>();
        let places = windows.start / inner..(windows.end - 1) / inner + 1;
        // Pixels of a line of the leading axis: neighbouring blocks share what a window extends over.
        let line = grid.axes().iter().fold(1, |n: u64, axis| n.saturating_mul(axis.len.max(1))) / axis.len.max(1);
        let lines = (BLOCK / line.max(1)).max(axis.extent.saturating_mul(4));
        let block = (lines / axis.step).max(1);
        let pool = BufferPool::new(2 * rayon::current_num_threads());
        let mut bands =
            Bands::open(&**self.source, &pool, grid.region(places.start * inner..places.end * inner), lead)?;
        let threads = if self.parallel { rayon::current_num_threads() as u64 } else { 1 };
        let mut next = places.start;
        while next < places.end {
            let mut jobs = Vec::new();
            while next < places.end && (jobs.len() as u64) < threads {
                let some = next..next.saturating_add(block).min(places.end);
                next = some.end;
                let need = grid.region(some.start * inner..some.end * inner).0[lead].clone();
                jobs.push((some, bands.band(need)?));
            }
            let make = |(some, band): (Range<u64>, Band)| self.block(&band, some, &pool);
            let kept: Vec<_> = if self.parallel {
                jobs.into_par_iter().map(make).collect::<Result<_>>()?
            } else {
                jobs.into_iter().map(make).collect::<Result<_>>()?
            };
            for run in kept.into_iter().flatten() {
                set.push(run.start.max(windows.start)..run.end.min(windows.end))?;
            }
        }
        set.finish()
    }

    /// The windows at some places of the leading axis that are kept, as runs.
    fn block(&self, band: &Band, places: Range<u64>, pool: &BufferPool) -> Result<Vec<Range<u64>>> {
        let grid = self.grid;
        let lead = grid.sliding_axes()[0];
        let inner = grid.sliding().skip(1).map(|axis| axis.count).product::<u64>();
        let region = grid.region(places.start * inner..places.end * inner);
        let mut view = band.view.clone();
        for (axis, (want, have)) in region.0.iter().zip(&band.region.0).enumerate() {
            view = view.slice(axis, (want.start - have.start) as usize..(want.end - have.start) as usize, 1)?;
        }
        let mut cells = pool.take(view.len() * view.dtype().size())?;
        view.copy_to(&mut cells);
        let mut flags = vec![0u8; view.len()];
        self.counted.flags(view.dtype(), &cells, &mut flags);
        drop(cells);
        // From the last axis to the first: lines of pixels become lines of windows.
        let mut counts: Option<Vec<u32>> = None;
        let mut behind = 1;
        for (number, axis) in grid.axes().iter().enumerate().rev() {
            let windows = if number == lead { places.clone() } else { 0..axis.count };
            // A pixel of padding stands for all that were summed before.
            let behind_it = grid.axes()[number + 1..].iter().map(|axis| axis.window).product::<u64>();
            let sums = Sums {
                axis,
                windows: windows.clone(),
                pixels: region.0[number].clone(),
                mode: grid.pad_mode(),
                center: self.center && axis.sliding,
                padding: if self.padding && !self.center { behind_it as u32 } else { 0 },
            };
            let before: usize = region.shape()[..number].iter().product();
            counts = Some(match counts {
                None => sums.lines(&flags, before),
                Some(counts) => sums.planes(counts, before, behind),
            });
            behind *= (windows.end - windows.start) as usize;
        }
        let counts = counts.unwrap_or_default();
        let least = u32::try_from(self.least).unwrap_or(u32::MAX);
        let first = places.start * inner;
        let mut runs = Vec::new();
        let mut at = 0;
        while at < counts.len() {
            let Some(start) = counts[at..].iter().position(|&count| count >= least) else { break };
            let start = at + start;
            let end = counts[start..].iter().position(|&count| count < least).map_or(counts.len(), |len| start + len);
            runs.push(first + start as u64..first + end as u64);
            at = end;
        }
        Ok(runs)
    }
}

impl Counted {
    /// 1 for every cell that counts.
    fn flags(self, dtype: DType, cells: &[u8], flags: &mut [u8]) {
        match self {
            Counted::Set => with_pixel!(dtype, T => differ::<T>(cells, T::from_cell(&[0; 8][..size_of::<T>()]), flags)),
            Counted::Valid(marker) => with_pixel!(dtype, T => {
                let value = T::from_cell(&marker.cell[..size_of::<T>()]);
                if is_nan(&value) { no_nan::<T>(cells, flags) } else { differ::<T>(cells, value, flags) }
            }),
        }
    }
}

#[expect(clippy::eq_op, reason = "NaN alone is not itself, of types that have it")]
fn is_nan<T: Pixel>(value: &T) -> bool {
    value != value
}

fn differ<T: Pixel>(cells: &[u8], from: T, flags: &mut [u8]) {
    for (flag, cell) in flags.iter_mut().zip(cells.chunks_exact(size_of::<T>())) {
        *flag = u8::from(T::from_cell(cell) != from);
    }
}

fn no_nan<T: Pixel>(cells: &[u8], flags: &mut [u8]) {
    for (flag, cell) in flags.iter_mut().zip(cells.chunks_exact(size_of::<T>())) {
        *flag = u8::from(!is_nan(&T::from_cell(cell)));
    }
}

/// Sums over the windows of one axis.
struct Sums<'a> {
    axis: &'a GridAxis,
    windows: Range<u64>,
    /// The pixels of the axis that are there.
    pixels: Range<u64>,
    mode: PadMode,
    /// Whether the sum is that of the pixel in the middle.
    center: bool,
    /// What a pixel of constant padding adds.
    padding: u32,
}

/// Where the pixels of a window lie.
enum Place {
    /// From the first to the last, in steps of the dilation.
    Inside(usize, usize),
    /// Each by itself; `None` is constant padding.
    Outside(Vec<Option<usize>>),
}

impl Sums<'_> {
    fn place(&self, window: u64) -> Place {
        let axis = self.axis;
        let local = |pixel: u64| (pixel - self.pixels.start) as usize;
        let start = axis.start(window);
        if self.center {
            let pixel = start + (axis.window / 2 * axis.dilation) as i64;
            return match u64::try_from(pixel).ok().filter(|&pixel| pixel < axis.len) {
                Some(pixel) => Place::Inside(local(pixel), local(pixel)),
                None => Place::Outside(vec![None]),
            };
        }
        if start >= 0 && start as u64 + axis.extent <= axis.len {
            return Place::Inside(local(start as u64), local(start as u64 + axis.extent - 1));
        }
        let pixel = |i: u64| self.mode.source(start + (i * axis.dilation) as i64, axis.len).map(local);
        Place::Outside((0..axis.window).map(pixel).collect())
    }

    fn places(&self) -> Vec<Place> {
        self.windows.clone().map(|window| self.place(window)).collect()
    }

    /// Distance of the pixels that are summed.
    fn lag(&self) -> usize {
        usize::try_from(self.axis.dilation).unwrap_or(usize::MAX)
    }

    /// The last axis: `before` lines of pixels become as many lines of windows.
    fn lines(&self, flags: &[u8], before: usize) -> Vec<u32> {
        let (places, lag) = (self.places(), self.lag());
        let n = (self.pixels.end - self.pixels.start) as usize;
        let mut out = Vec::with_capacity(before * places.len());
        let mut running = vec![0u32; n];
        let plain = self.axis.step == 1 && lag == 1 && !self.center;
        let inside = plain && matches!(places.first(), Some(Place::Inside(0, _)));
        let inside = inside && places.iter().all(|place| matches!(place, Place::Inside(..)));
        for line in 0..before {
            let flags = &flags[line * n..(line + 1) * n];
            if inside {
                // Neighbouring windows: what comes in is added, what goes out taken away.
                let width = self.axis.extent as usize;
                let mut sum: u32 = flags[..width].iter().map(|&flag| u32::from(flag)).sum();
                out.push(sum);
                out.extend(flags[width..].iter().zip(flags).take(places.len() - 1).map(|(&new, &old)| {
                    sum = sum + u32::from(new) - u32::from(old);
                    sum
                }));
                continue;
            }
            for i in 0..n {
                running[i] = u32::from(flags[i]).wrapping_add(if i >= lag { running[i - lag] } else { 0 });
            }
            out.extend(places.iter().map(|place| match place {
                Place::Inside(first, last) => {
                    running[*last].wrapping_sub(if *first >= lag { running[first - lag] } else { 0 })
                }
                Place::Outside(pixels) => {
                    pixels.iter().map(|pixel| pixel.map_or(self.padding, |i| flags[i].into())).sum()
                }
            }));
        }
        out
    }

    /// Another axis, with so many numbers on the axes before it and behind it.
    fn planes(&self, mut counts: Vec<u32>, before: usize, behind: usize) -> Vec<u32> {
        let (places, lag) = (self.places(), self.lag());
        let n = (self.pixels.end - self.pixels.start) as usize;
        let mut out = vec![0; before * places.len() * behind];
        let borders = places.iter().any(|place| matches!(place, Place::Outside(_)));
        for (plane, out) in (0..before).zip(out.chunks_exact_mut((places.len() * behind).max(1))) {
            let counts = &mut counts[plane * n * behind..(plane + 1) * n * behind];
            if borders {
                for (place, out) in places.iter().zip(out.chunks_exact_mut(behind)) {
                    let Place::Outside(pixels) = place else { continue };
                    for pixel in pixels {
                        match pixel {
                            Some(i) => add(out, &counts[i * behind..(i + 1) * behind]),
                            None => out.iter_mut().for_each(|out| *out += self.padding),
                        }
                    }
                }
            }
            if !self.center {
                for i in lag.min(n)..n {
                    let (low, high) = counts.split_at_mut(i * behind);
                    add(&mut high[..behind], &low[(i - lag) * behind..(i - lag + 1) * behind]);
                }
            }
            for (place, out) in places.iter().zip(out.chunks_exact_mut(behind)) {
                let Place::Inside(first, last) = *place else { continue };
                let last = &counts[last * behind..(last + 1) * behind];
                if self.center || first < lag {
                    out.copy_from_slice(last);
                } else {
                    let first = &counts[(first - lag) * behind..(first - lag + 1) * behind];
                    out.iter_mut().zip(last.iter().zip(first)).for_each(|(out, (last, first))| {
                        *out = last.wrapping_sub(*first);
                    });
                }
            }
        }
        out
    }
}

fn add(to: &mut [u32], from: &[u32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = to.wrapping_add(*from));
}
