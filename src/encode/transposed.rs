//! Column-major matrices: a column is a pixel of the window, over all windows.

use std::ops::Range;

use super::gather::{Gather, Places};
use super::{Encoder, border};
use crate::source::Band;
use crate::{BufferPool, PoolBuf, Result};

/// A stretch of neighbouring windows inside of the array: where it stands among the rows, and the byte of the first
/// pixel of its first window.
struct Stretch {
    row: usize,
    len: usize,
    start: isize,
}

/// Windows one after the other, of which columns are asked for one by one.
pub(crate) struct ColumnFiller<'a> {
    encoder: &'a Encoder,
    gather: Gather<'a>,
    stretches: Vec<Stretch>,
    /// Windows that no stretch holds, each made as a row.
    border: Vec<(usize, Vec<u64>)>,
    rest: PoolBuf,
    /// A column before it is converted.
    scratch: Option<PoolBuf>,
}

impl<'a> ColumnFiller<'a> {
    /// Whether each pixel goes straight from the image to where it is to be, whichever the windows are.
    #[cfg(all(feature = "virtual", target_os = "linux", target_pointer_width = "64"))]
    pub(crate) fn is_straight(encoder: &Encoder, band: &Band) -> bool {
        let gather = Gather::of_cells(&encoder.grid, band, encoder.fill);
        let inside = encoder.grid.sliding().all(|axis| !axis.shifted && axis.interior() == (0..axis.count));
        inside && (encoder.conversion.is_none() || gather.advance == encoder.dtype.size() as isize)
    }

    /// `band` holds every pixel that the windows `rows` touch.
    pub(crate) fn new(encoder: &'a Encoder, band: &'a Band, rows: Range<u64>, pool: &BufferPool) -> Result<Self> {
        let gather = Gather::of_cells(&encoder.grid, band, encoder.fill);
        let count = (rows.end - rows.start) as usize;
        let size = encoder.dtype.size();
        let (stretches, border) = split(&gather, rows);
        // Windows in the padding are few: each is made as a row first.
        let patch = encoder.cells() * size;
        let mut rest = pool.take(border.len() * patch)?;
        for ((_, index), window) in border.iter().zip(rest.chunks_exact_mut(patch)) {
            border::copy_window(&gather, index, window);
        }
        let straight = border.is_empty() && gather.advance == size as isize;
        let scratch = match encoder.conversion {
            Some(_) if !straight => Some(pool.take(count * size)?),
            _ => None,
        };
        Ok(Self { encoder, gather, stretches, border, rest, scratch })
    }

    /// Writes one pixel of every window, in the type of the table. `out` has exactly their bytes.
    pub(crate) fn fill(&mut self, pixel: usize, out: &mut [u8]) {
        let size = self.encoder.dtype.size();
        if self.fill_straight(pixel, out) {
            return;
        }
        let target = match &mut self.scratch {
            Some(scratch) => &mut scratch[..],
            None => &mut *out,
        };
        let offset = self.gather.pixel_offset(pixel);
        for stretch in &self.stretches {
            let cells = &mut target[stretch.row * size..(stretch.row + stretch.len) * size];
            copy_stretch(&self.gather, stretch.start + offset, size, cells);
        }
        let patch = self.encoder.cells() * size;
        for ((row, _), window) in self.border.iter().zip(self.rest.chunks_exact(patch)) {
            target[row * size..(row + 1) * size].copy_from_slice(&window[pixel * size..(pixel + 1) * size]);
        }
        if let (Some(conversion), Some(scratch)) = (&self.encoder.conversion, &self.scratch) {
            conversion.apply(scratch, out);
        }
    }

    /// Converts right from the image, where the windows of a stretch are one pixel apart; false, and nothing is done, if
    /// they are not.
    fn fill_straight(&self, pixel: usize, out: &mut [u8]) -> bool {
        let (size, to) = (self.encoder.dtype.size(), self.encoder.out_dtype().size());
        let Some(conversion) = self.encoder.conversion.filter(|_| self.scratch.is_none()) else { return false };
        let offset = self.gather.pixel_offset(pixel);
        for stretch in &self.stretches {
            let start = (stretch.start + offset) as usize;
            let cells = &mut out[stretch.row * to..(stretch.row + stretch.len) * to];
            conversion.apply(&self.gather.bytes[start..start + stretch.len * size], cells);
        }
        true
    }
}

impl Encoder {
    /// Writes the pixels of the windows `rows` column by column, in the type of the table. `out` has exactly their
    /// bytes.
    pub(crate) fn fill_columns(&self, band: &Band, rows: Range<u64>, out: &mut [u8], pool: &BufferPool) -> Result<()> {
        let column_bytes = (rows.end - rows.start) as usize * self.out_dtype().size();
        let mut columns = ColumnFiller::new(self, band, rows, pool)?;
        for (pixel, column) in out.chunks_exact_mut(column_bytes).enumerate() {
            columns.fill(pixel, column);
        }
        Ok(())
    }
}

/// The windows of `rows` as stretches, and those that no stretch holds: row and place in the grid.
fn split(gather: &Gather<'_>, rows: Range<u64>) -> (Vec<Stretch>, Vec<(usize, Vec<u64>)>) {
    let (mut stretches, mut border) = (Vec::new(), Vec::new());
    let places = Places::new(gather);
    let mut window = rows.start;
    while window < rows.end {
        let end = places.end_of_line(window).min(rows.end);
        let (inside, first) = places.line(window);
        let regular = inside.start.clamp(window, end)..inside.end.clamp(window, end);
        for window in (window..regular.start).chain(regular.end..end) {
            border.push(((window - rows.start) as usize, gather.grid.index(window)));
        }
        if !regular.is_empty() {
            stretches.push(Stretch {
                row: (regular.start - rows.start) as usize,
                len: (regular.end - regular.start) as usize,
                start: first.wrapping_add((regular.start as isize).wrapping_mul(gather.advance)),
            });
        }
        window = end;
    }
    (stretches, border)
}

/// One pixel of neighbouring windows: one run, or cells at equal distances.
fn copy_stretch(gather: &Gather<'_>, start: isize, size: usize, cells: &mut [u8]) {
    let (src, advance) = (gather.bytes, gather.advance);
    if advance == size as isize {
        return cells.copy_from_slice(&src[start as usize..start as usize + cells.len()]);
    }
    match size {
        1 => copy_cells::<1>(src, start, advance, cells),
        2 => copy_cells::<2>(src, start, advance, cells),
        4 => copy_cells::<4>(src, start, advance, cells),
        _ => copy_cells::<8>(src, start, advance, cells),
    }
}

fn copy_cells<const N: usize>(src: &[u8], start: isize, advance: isize, cells: &mut [u8]) {
    let mut at = start;
    for cell in cells.chunks_exact_mut(N) {
        cell.copy_from_slice(&src[at as usize..at as usize + N]);
        at += advance;
    }
}
