//! Any bytes of a matrix, from an image that can't fail to be read.

use std::ops::Range;

use super::Order;
use crate::encode::{ColumnFiller, Encoder, FILL, Lookup, copy_box};
use crate::rows::Rows;
use crate::scan::Plan;
use crate::source::{Band, Bands, Region};
use crate::{BufferPool, Edge, Error, Grid, Result, StridedView};

/// Which windows are the rows of a matrix.
pub(super) enum Selection {
    Range(Range<u64>),
    Ids(Vec<u64>),
}

impl Selection {
    pub(super) fn len(&self) -> usize {
        match self {
            Selection::Range(range) => (range.end - range.start) as usize,
            Selection::Ids(ids) => ids.len(),
        }
    }

    fn slice(&self, rows: Range<usize>) -> Rows<'_> {
        match self {
            Selection::Range(range) => Rows::Range(range.start + rows.start as u64..range.start + rows.end as u64),
            Selection::Ids(ids) => Rows::Ids(&ids[rows]),
        }
    }
}

/// Rows of a column that are made together: what is gathered before it is converted stays in cache on the way, and what
/// goes straight to its place need not know of too many lines at once.
const PIECE: usize = 32 << 10;
const PIECE_STRAIGHT: usize = 512 << 10;

/// Makes any part of a matrix.
pub(super) struct Filler {
    /// Over windows that lie inside of the band, all of them.
    encoder: Encoder,
    band: Band,
    rows: Selection,
    order: Order,
    /// Rows of a column that are made together.
    piece: usize,
    pool: BufferPool,
    /// Bytes that are held for this matrix alone.
    pub(super) held: usize,
}

impl Filler {
    /// Reads all pixels that the windows touch, unless they are in memory already. With `copy` they are copied even then.
    pub(super) fn new(plan: &Plan, rows: Selection, order: Order, copy: bool) -> Result<Self> {
        let pool = BufferPool::new(8);
        let grid = &plan.encoder.grid;
        let windows = match &rows {
            Selection::Range(range) => range.clone(),
            Selection::Ids(_) => 0..grid.windows(),
        };
        let resident = plan.source.view().is_some();
        let band = read(plan, windows, &pool)?;
        let listed = if let Selection::Ids(ids) = &rows { size_of_val(&ids[..]) } else { 0 };
        let mut encoder = (*plan.encoder).clone();
        let padded = grid.sliding().any(|axis| axis.interior() != (0..axis.count));
        let band = if padded {
            encoder.grid = without_padding(plan)?;
            pad(plan, &encoder.grid, &band, &pool)?
        } else if copy && resident {
            copied(&band, &pool)?
        } else {
            band
        };
        let held = if padded || copy || !resident { band.view.len() * plan.encoder.dtype.size() } else { 0 };
        let straight = matches!(rows, Selection::Range(_)) && ColumnFiller::is_straight(&encoder, &band);
        let piece = if straight { PIECE_STRAIGHT } else { PIECE };
        Ok(Self { encoder, band, rows, order, piece, pool, held: held + listed })
    }

    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn columns(&self) -> usize {
        self.encoder.cells()
    }

    /// Bytes of the matrix; `None` if they are more than there are addresses.
    pub(super) fn bytes(&self) -> Option<usize> {
        let bytes = self.rows().checked_mul(self.encoder.patch_bytes())?;
        isize::try_from(bytes).is_ok().then_some(bytes)
    }

    /// Writes the bytes of the matrix from `start` on.
    pub(super) fn fill(&self, start: usize, out: &mut [u8]) -> Result<()> {
        match self.order {
            Order::C => self.fill_rows(start, out),
            Order::F => self.fill_columns(start, out),
        }
    }

    fn fill_rows(&self, start: usize, out: &mut [u8]) -> Result<()> {
        let patch = self.encoder.patch_bytes();
        let mut row = start / patch;
        let (mut rest, skip) = (out, start % patch);
        // Ends of the part that lie within a row.
        if skip > 0 {
            let (part, behind) = rest.split_at_mut(rest.len().min(patch - skip));
            let mut whole = self.pool.take(patch)?;
            self.encoder.fill_few(&self.band, &self.rows.slice(row..row + 1), &mut whole, &self.pool)?;
            part.copy_from_slice(&whole[skip..skip + part.len()]);
            (rest, row) = (behind, row + 1);
        }
        let count = rest.len() / patch;
        let (inside, part) = rest.split_at_mut(count * patch);
        if count > 0 {
            self.encoder.fill(&self.band, &self.rows.slice(row..row + count), inside, &self.pool)?;
        }
        if !part.is_empty() {
            let mut whole = self.pool.take(patch)?;
            let last = self.rows.slice(row + count..row + count + 1);
            self.encoder.fill_few(&self.band, &last, &mut whole, &self.pool)?;
            part.copy_from_slice(&whole[..part.len()]);
        }
        Ok(())
    }

    fn fill_columns(&self, start: usize, out: &mut [u8]) -> Result<()> {
        let size = self.encoder.out_dtype().size();
        let rows = self.rows();
        let mut filler: Option<(Range<usize>, ColumnFiller<'_>)> = None;
        let (mut at, mut rest) = (start / size, out);
        while !rest.is_empty() {
            let (column, row) = (at / rows, at % rows);
            let count = (rows - row).min(rest.len() / size).min(self.piece);
            let (part, behind) = rest.split_at_mut(count * size);
            (rest, at) = (behind, at + count);
            match self.rows.slice(row..row + count) {
                Rows::Ids(ids) => self.encoder.fill_cells(&self.band, ids, column, part, &self.pool)?,
                Rows::Range(windows) => {
                    // A short matrix has many columns in one part, all of the same rows.
                    let known = filler.take().filter(|(known, _)| *known == (row..row + count));
                    let made = match known {
                        Some(known) => known,
                        None => {
                            let made = ColumnFiller::new(&self.encoder, &self.band, windows, &self.pool)?;
                            (row..row + count, made)
                        }
                    };
                    filler.insert(made).1.fill(column, part);
                }
            }
        }
        Ok(())
    }
}

/// The pixels that these windows touch.
fn read(plan: &Plan, windows: Range<u64>, pool: &BufferPool) -> Result<Band> {
    let grid = &plan.encoder.grid;
    let lead = grid.sliding_axes()[0];
    let full = grid.region(windows);
    let mut bands = Bands::open(&*plan.source, pool, full.clone(), lead)?;
    bands.band(full.0[lead].clone())
}

/// The same windows over an array that has the padding in it.
fn without_padding(plan: &Plan) -> Result<Grid> {
    let grid = &plan.encoder.grid;
    let length = |axis: &crate::GridAxis| match axis.sliding {
        true => (axis.count - 1) * axis.step + axis.extent,
        false => axis.len,
    };
    let shape: Vec<_> = grid.axes().iter().map(length).collect();
    let names: Vec<_> = grid.axes().iter().map(|axis| axis.name.clone()).collect();
    let mut spec = plan.spec.clone();
    (spec.edge, spec.pad) = (Edge::Drop, None);
    Grid::new(&spec, &shape, Some(&names))
}

/// The pixels with the padding around them.
fn pad(plan: &Plan, padded: &Grid, band: &Band, pool: &BufferPool) -> Result<Band> {
    let grid = &plan.encoder.grid;
    let size = plan.encoder.dtype.size();
    let shape: Vec<_> = padded.axes().iter().map(|axis| axis.len as usize).collect();
    let bytes = shape.iter().try_fold(size, |bytes, &n| bytes.checked_mul(n));
    let bytes = bytes.ok_or_else(|| Error::too_large("the padded array", format!("{shape:?}"), usize::MAX))?;
    let mut memory = pool.take(bytes)?;
    let strides = band.view.strides();
    let lookup = |(number, axis): (usize, &crate::GridAxis)| {
        let (start, n) = (if axis.sliding { axis.start(0) } else { 0 }, axis.len);
        let (origin, stride) = (band.region.0[number].start, strides[number] * size as isize);
        let have = band.region.0[number].clone();
        let at = move |i: usize| match grid.pad_mode().source(start + i as i64, n) {
            Some(pixel) if have.contains(&pixel) => (pixel - origin) as isize * stride,
            _ => FILL,
        };
        Lookup { len: shape[number], at: Box::new(at) }
    };
    let lookups: Vec<_> = grid.axes().iter().enumerate().map(lookup).collect();
    let first = (band.view.offset() * size) as isize;
    copy_box(band.view.buffer(), first, &lookups, &plan.encoder.fill[..size], &mut memory);
    let view = StridedView::from_buffer(memory.freeze(), plan.encoder.dtype, &shape)?;
    Ok(Band { view, region: Region::whole(&padded.axes().iter().map(|axis| axis.len).collect::<Vec<_>>()) })
}

/// The pixels in memory of our own.
fn copied(band: &Band, pool: &BufferPool) -> Result<Band> {
    let view = &band.view;
    let mut memory = pool.take(view.len() * view.dtype().size())?;
    view.copy_to(&mut memory);
    let view = StridedView::from_buffer(memory.freeze(), view.dtype(), view.shape())?;
    Ok(Band { view, region: band.region.clone() })
}
