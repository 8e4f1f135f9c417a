//! Columns that are pages of one another: the matrix of all windows in the memory of a few images.
//!
//! Where an image is flat, with lines of `P` pixels, the pixel (dy, dx) of the window at position `t` stands at
//! `t + dy·P + dx`: its column over all positions is the image from `dy·P + dx` on. If `P` takes whole pages, the columns
//! (0, dx), (1, dx), … start at whole pages of the image that is shifted by dx, and so they can be *mapped* from it, side
//! by side. Of the kh·kw columns only kw shifted images are held; the system's page table does the rest.
//!
//! In general, a column belongs to a plane (see [`PlaneAxis`]) and starts somewhere in it. Those that start at the same
//! place of a page share one copy of the plane, which is shifted so that it becomes the start of a page.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::region::{self, Access, HUGE, Region};
use crate::encode::Encoder;
use crate::encode::columns::{PlaneAxis, copy_plane, next_phase, unravel};
use crate::source::{Bands, Source};
use crate::{BufferPool, Error, Grid, Result};

/// Pixels are written so many bytes at a time, if lines are not longer: what stays in cache.
const BLOCK: usize = 256 << 10;

/// Where every column lies: arithmetic alone.
pub(super) struct Layout {
    /// Positions, of which those that are windows are rows of the table.
    pub(super) rows: usize,
    /// Columns: the pixels of a window.
    pub(super) columns: usize,
    /// Positions from a window to its neighbour on each sliding axis.
    pub(super) strides: Vec<usize>,
    /// Bytes of a pixel.
    size: usize,
    axes: Vec<PlaneAxis>,
    /// The shifted planes, in the order in which the file holds them.
    copies: Vec<Copy>,
    /// Where each column is mapped from, in bytes of the file.
    sources: Vec<usize>,
}

/// A plane from some byte on.
struct Copy {
    /// Which plane, by the phase on each axis.
    phase: Vec<usize>,
    /// The byte of the plane that comes first.
    from: usize,
    /// Where it lies in the file.
    at: usize,
    len: usize,
}

impl Layout {
    /// The layout of these windows that takes the least memory; of several, that with the fewest rows.
    pub(super) fn new(encoder: &Encoder, windows: Range<u64>) -> Result<Self> {
        let grid = &encoder.grid;
        if let Some(axis) = grid.sliding().find(|axis| axis.shifted) {
            let message = format!("the last window of axis {} is shifted, and lies in no plane: ", axis.name);
            return Err(Error::argument(
                "backing",
                message + "expected backing \"fault\", or edge \"pad\" or \"drop\"",
            ));
        }
        if windows.is_empty() {
            return Err(Error::argument("rows", "no window: a virtual matrix has at least one row"));
        }
        let columns = grid.patch_shape().iter().product::<u64>() as usize;
        let most = most_mappings();
        if columns > most {
            let message =
                format!("{columns} columns, a mapping each: expected at most {most} (/proc/sys/vm/max_map_count)");
            return Err(Error::argument("backing", message));
        }
        let size = encoder.out_dtype().size();
        let page = region::page() / size;
        let axes = PlaneAxis::all(grid, &windows);
        let line = axes[grid.sliding_axes()[grid.sliding_axes().len() - 1]].len;
        let mut best: Option<Self> = None;
        // Lines may also end within a page, at a half, quarter, …: then there are more copies of shorter planes. Of wide
        // windows that takes long to find out, and saves little.
        let parts = if columns > 4096 { 0 } else { page.ilog2() };
        for part in (0..=parts).map(|shift| page >> shift) {
            let layout = Self::with_line(grid, &axes, &windows, line.checked_next_multiple_of(part), size)?;
            if best.as_ref().is_none_or(|best| (layout.bytes(), layout.rows) < (best.bytes(), best.rows)) {
                best = Some(layout);
            }
        }
        let mut best = best.ok_or_else(|| too_large(&windows))?;
        best.axes = axes;
        Ok(best)
    }

    /// The layout with lines of so many positions.
    fn with_line(
        grid: &Grid,
        axes: &[PlaneAxis],
        windows: &Range<u64>,
        line: Option<usize>,
        size: usize,
    ) -> Result<Self> {
        let sliding = grid.sliding_axes();
        let too_large = || too_large(windows);
        let mut strides = vec![1; sliding.len()];
        let mut next = line.ok_or_else(too_large)?;
        for i in (0..sliding.len()).rev().skip(1) {
            strides[i] = next;
            next = next.checked_mul(axes[sliding[i]].len).ok_or_else(too_large)?;
        }
        let place = |window: u64| {
            let index = grid.index(window).into_iter().zip(sliding);
            let place =
                index.zip(&strides).map(|((i, &axis), stride)| (i - axes[axis].windows.start) as usize * stride);
            place.sum::<usize>()
        };
        let page = region::page();
        let first = place(windows.start);
        let rows = (place(windows.end - 1) - first + 1).checked_next_multiple_of(page / size).ok_or_else(too_large)?;
        let shape = grid.patch_shape();
        let columns = shape.iter().product::<u64>() as usize;
        let bytes = rows.checked_mul(size).ok_or_else(too_large)?;
        bytes.checked_mul(columns).filter(|&bytes| isize::try_from(bytes).is_ok()).ok_or_else(too_large)?;
        let (mut copies, mut sources) = (Vec::<Copy>::new(), Vec::with_capacity(columns));
        let mut known = HashMap::new();
        for pixel in 0..columns {
            let places: Vec<_> = axes.iter().zip(unravel(&shape, pixel)).map(|(axis, i)| axis.places[i]).collect();
            let shift = sliding.iter().zip(&strides).map(|(&axis, stride)| places[axis].1 * stride).sum::<usize>();
            let phase: Vec<_> = places.iter().map(|&(phase, _)| phase).collect();
            let start = (first + shift) * size;
            let number = *known.entry((phase.clone(), start % page)).or_insert_with(|| {
                copies.push(Copy { phase, from: start % page, at: 0, len: 0 });
                copies.len() - 1
            });
            let copy: &mut Copy = &mut copies[number];
            copy.len = copy.len.max(start - copy.from + bytes);
            sources.push((number, start - copy.from));
        }
        let mut end: usize = 0;
        for copy in &mut copies {
            copy.at = end;
            end = end.checked_add(copy.len).ok_or_else(too_large)?;
        }
        let sources = sources.into_iter().map(|(number, start)| copies[number].at + start).collect();
        Ok(Self { rows, columns, strides, size, axes: Vec::new(), copies, sources })
    }

    /// Bytes of a column.
    fn column_bytes(&self) -> usize {
        self.rows * self.size
    }

    /// Bytes of the matrix, if it were memory.
    pub(super) fn logical_bytes(&self) -> usize {
        self.column_bytes() * self.columns
    }

    /// How many planes are held.
    pub(super) fn planes(&self) -> usize {
        self.copies.len()
    }

    /// Bytes of memory that hold them all.
    pub(super) fn bytes(&self) -> usize {
        self.copies.last().map_or(0, |copy| copy.at + copy.len)
    }

    /// Writes all planes into a file, each pixel of the source read once, and maps every column from it.
    pub(super) fn make(&self, source: &dyn Source, encoder: &Encoder, windows: &Range<u64>) -> Result<Region> {
        let file = region::memory_file(c"windrow-planes", self.bytes()).map_err(|error| self.failed("make", error))?;
        self.allocate(&file)?;
        self.write(&file, source, encoder, windows)?;
        region::seal(&file).map_err(|error| self.failed("seal", error))?;
        let region = Region::reserve(self.logical_bytes())?;
        for (column, &source) in self.sources.iter().enumerate() {
            let len = self.column_bytes();
            // SAFETY: the region was just reserved, and nobody knows its address.
            unsafe { region.map_file(column * len, len, &file, source, Access::Read) }
                .map_err(|error| self.failed("map", error))?;
        }
        Ok(region)
    }

    /// Has huge pages for the file, where the system gives them: a column is mapped in more pages at a time, and its pixels
    /// lie together in physical memory, which is read faster.
    fn allocate(&self, file: &File) -> Result<()> {
        let region = Region::reserve(self.bytes())?;
        let failed = |error| self.failed("allocate", error);
        // SAFETY: the region was just reserved, and nobody knows its address.
        unsafe { region.map_file(0, region.len(), file, 0, Access::Write) }.map_err(failed)?;
        for at in (0..region.len()).step_by(HUGE) {
            region::allocate(&region, at, HUGE.min(region.len() - at)).map_err(failed)?;
        }
        Ok(())
    }

    fn write(&self, file: &File, source: &dyn Source, encoder: &Encoder, windows: &Range<u64>) -> Result<()> {
        let (grid, pool) = (&encoder.grid, BufferPool::new(4));
        let lead = grid.sliding_axes()[0];
        let mut bands = Bands::open(source, &pool, grid.region(windows.clone()), lead)?;
        // A position on the leading axis is a pixel, a line, or many lines.
        let (lines, line, pitch) = match grid.sliding_axes() {
            [.., last] if self.strides.len() > 1 => {
                let pitch = self.strides[self.strides.len() - 2];
                (self.strides[0] / pitch, self.axes[*last].len, pitch)
            }
            _ => (1, 1, 1),
        };
        let block = (BLOCK / (self.strides[0] * self.size)).clamp(1, self.axes[lead].len);
        let from = encoder.dtype.size();
        let mut dense = pool.take(block * lines * line * from)?;
        let mut pitched = pool.take(block * self.strides[0] * self.size)?;
        pitched.fill(0);
        for first in (0..self.axes[lead].len).step_by(block) {
            let positions = first..(first + block).min(self.axes[lead].len);
            let band = bands.band(self.axes[lead].touched(positions.clone()))?;
            let dense = &mut dense[..positions.len() * lines * line * from];
            let pitched = &mut pitched[..positions.len() * self.strides[0] * self.size];
            // Pixels that follow one another are one line, however many they are.
            let (line, pitch) =
                if pitch == line { (positions.len() * lines * line, pitched.len() / self.size) } else { (line, pitch) };
            let mut phase = vec![0; self.axes.len()];
            for _ in 0..self.axes.iter().map(|axis| axis.phases.len()).product() {
                copy_plane(grid, &self.axes, &phase, positions.clone(), &band, &encoder.fill[..from], dense);
                for (source, target) in dense.chunks_exact(line * from).zip(pitched.chunks_exact_mut(pitch * self.size))
                {
                    let target = &mut target[..line * self.size];
                    match &encoder.conversion {
                        Some(conversion) => conversion.apply(source, target),
                        None => target.copy_from_slice(source),
                    }
                }
                for copy in self.copies.iter().filter(|copy| copy.phase == phase) {
                    copy.write(file, first * self.strides[0] * self.size, pitched)
                        .map_err(|error| self.failed("write", error))?;
                }
                next_phase(&self.axes, &mut phase);
            }
        }
        Ok(())
    }

    fn failed(&self, action: &'static str, error: io::Error) -> Error {
        super::failed("the planes of a matrix", action, self.bytes(), error)
    }
}

impl Copy {
    /// Writes the bytes of the plane from `start` on, as far as this copy has them.
    fn write(&self, file: &File, start: usize, bytes: &[u8]) -> io::Result<()> {
        let skip = self.from.saturating_sub(start).min(bytes.len());
        let at = (start + skip).saturating_sub(self.from).min(self.len);
        let end = bytes.len().min(skip + (self.len - at));
        file.write_all_at(&bytes[skip..end], (self.at + at) as u64)
    }
}

fn too_large(windows: &Range<u64>) -> Error {
    let got = format!("{} windows", windows.end - windows.start);
    Error::too_large("a virtual matrix", got, "the addresses of this machine")
}

/// How many mappings a matrix may have; some are left for others.
fn most_mappings() -> usize {
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok().and_then(|text| text.trim().parse().ok());
    limit.unwrap_or(65_530usize) / 4 * 3
}
