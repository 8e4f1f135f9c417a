//! Layout `columns`: a column a pixel of the window, each a slice of the base.
//!
//! On a flat image of lines of `W` pixels, the pixel (dy, dx) of the window at flat position `t` stands at
//! `t + dy·W + dx`. So the column of that pixel over all positions is one contiguous slice of the base, which starts at
//! `dy·W + dx`; k columns are k slices, and no pixel is copied. This is the *rolling view* over the flat image. Its
//! rows are all positions from the first window to the last, those included at which the window would wrap around the
//! end of a line: `kw − 1` a line, told apart by one bitmap that all columns share.
//!
//! What isn't flat (steps, padding, channels between the pixels, reversed or transposed axes, another type) is brought
//! into that form by [`Planes`], with one copy of the size of the image.

mod planes;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, UInt64Array, make_array};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, NullBuffer, ScalarBuffer};
use arrow_data::ArrayData;
use serde::{Deserialize, Serialize};

use planes::Planes;
pub(crate) use planes::slices;
#[cfg(all(feature = "virtual", target_os = "linux", target_pointer_width = "64"))]
pub(crate) use planes::{PlaneAxis, copy_plane, next_phase};

use super::{Column, Encoder};
use crate::named::named;
use crate::source::Band;
use crate::{BufferPool, DType, Grid, Result};

/// What tells rows that wrap around the end of a line from windows, in [`Layout::Columns`](super::Layout::Columns).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wrap {
    /// They are null, in every column, by one bitmap that all share.
    #[default]
    Null,
    /// A column `valid` is false there; the other columns have no nulls, and any values there.
    Column,
}

named! { Wrap, "wrap": Null = "null", Column = "column" }

/// The name of the column of a pixel: `p_0_1`, an index an axis.
pub(crate) fn name(shape: &[u64], pixel: usize) -> String {
    let index = unravel(shape, pixel).into_iter().map(|i| format!("_{i}"));
    format!("p{}", index.collect::<String>())
}

/// The index on every axis of the pixel with this C-order number.
pub(crate) fn unravel(shape: &[u64], pixel: usize) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    let mut rest = pixel;
    for (slot, &n) in index.iter_mut().zip(shape).rev() {
        *slot = rest % n as usize;
        rest /= n as usize;
    }
    index
}

/// The rows of the table from one window of the grid to another: where the windows lie among the positions.
pub(crate) struct Rows<'a> {
    grid: &'a Grid,
    windows: Range<u64>,
    /// Positions from a window to its neighbour on each sliding axis.
    strides: &'a [usize],
    /// Positions from the first window to the last, both included.
    len: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(grid: &'a Grid, windows: Range<u64>, strides: &'a [usize]) -> Self {
        let at =
            |window| grid.index(window).iter().zip(strides).map(|(&i, &stride)| i as usize * stride).sum::<usize>();
        let len = at(windows.end - 1) - at(windows.start) + 1;
        Self { grid, windows, strides, len }
    }

    /// Every stretch of neighbouring windows: its positions, the id of its first window, and that one's place in the
    /// grid.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = (Range<usize>, u64, Vec<u64>)> + '_ {
        let first = self.grid.index(self.windows.start);
        let mut id = self.windows.start;
        self.grid.segments(self.windows.clone()).map(move |segment| {
            let place = segment.index.iter().zip(&first).zip(self.strides);
            let at: i64 = place.map(|((&i, &j), &stride)| (i as i64 - j as i64) * stride as i64).sum();
            let len = segment.len as usize;
            id += segment.len;
            (at as usize..at as usize + len, id - segment.len, segment.index)
        })
    }

    /// Which rows are windows.
    fn valid(&self) -> BooleanBuffer {
        let mut bits = BooleanBufferBuilder::new(self.len);
        for (at, ..) in self.stretches() {
            bits.append_n(at.start - bits.len(), false);
            bits.append_n(at.len(), true);
        }
        bits.finish()
    }

    /// A column of numbers: `first` gives that of the first window of a stretch, `step` what each next one adds. Rows
    /// that wrap around are 0.
    fn numbers(&self, pool: &BufferPool, step: i64, first: impl Fn(u64, &[u64]) -> i64) -> Result<ScalarBuffer<i64>> {
        let mut memory = pool.take(self.len * 8)?;
        let cells: &mut [i64] = bytemuck::cast_slice_mut(&mut memory);
        let mut end = 0;
        for (at, id, index) in self.stretches() {
            cells[end..at.start].fill(0);
            end = at.end;
            let mut value = first(id, &index);
            for cell in &mut cells[at] {
                *cell = value;
                value += step;
            }
        }
        Ok(ScalarBuffer::from(memory.freeze()))
    }

    /// A column of a number of each window by its id. Rows that wrap around are 0.
    fn places(&self, pool: &BufferPool, number: impl Fn(u64) -> f64) -> Result<ScalarBuffer<f64>> {
        let mut memory = pool.take(self.len * 8)?;
        let cells: &mut [f64] = bytemuck::cast_slice_mut(&mut memory);
        let mut end = 0;
        for (at, first, _) in self.stretches() {
            cells[end..at.start].fill(0.0);
            end = at.end;
            cells[at].iter_mut().zip(first..).for_each(|(cell, id)| *cell = number(id));
        }
        Ok(ScalarBuffer::from(memory.freeze()))
    }
}

/// The table of the windows `windows`, and the rows that wrap around between them.
pub(super) fn encode(
    encoder: &Encoder,
    band: Option<&Band>,
    windows: Range<u64>,
    pool: &BufferPool,
) -> Result<RecordBatch> {
    let grid = &encoder.grid;
    let planes = band.map(|band| Planes::new(encoder, band, &windows, pool)).transpose()?;
    // Without pixels there is nothing to roll over: the rows are the windows.
    let dense = dense_strides(grid);
    let rows = Rows::new(grid, windows, planes.as_ref().map_or(&dense, |planes| &planes.strides));
    let valid = rows.valid();
    let nulls = match encoder.wrap {
        Wrap::Null => Some(NullBuffer::new(valid.clone())),
        Wrap::Column => None,
    };
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(encoder.columns.len());
    for column in &encoder.columns {
        arrays.push(match (column, &planes) {
            (Column::Window, _) => {
                let ids = rows.numbers(pool, 1, |id, _| id as i64)?.into_inner();
                Arc::new(UInt64Array::new(ScalarBuffer::from(ids), nulls.clone()))
            }
            (Column::Start(sliding), _) => {
                let axis = &grid.axes()[grid.sliding_axes()[*sliding]];
                let last = sliding + 1 == grid.sliding_axes().len();
                let step = if last { axis.step as i64 } else { 0 };
                let starts = rows.numbers(pool, step, |_, index| axis.start(index[*sliding]))?;
                Arc::new(Int64Array::new(starts, nulls.clone()))
            }
            (Column::Map(coordinate), _) => {
                let places = rows.places(pool, |id| encoder.known_map().at(grid, *coordinate, id))?;
                Arc::new(Float64Array::new(places, nulls.clone()))
            }
            (Column::Valid, _) => Arc::new(BooleanArray::new(valid.clone(), None)),
            (Column::Pixel(pixel), Some(planes)) => pixels(encoder, planes, *pixel, rows.len, nulls.clone())?,
            (Column::Pixel(_), None) | (Column::Patch | Column::Share | Column::Label, _) => {
                unreachable!("pixels are asked for, so the reader brings a band; and the builder refused the others")
            }
        });
    }
    Ok(RecordBatch::try_new(encoder.schema.clone(), arrays)?)
}

/// The column of one pixel: a slice of the planes.
fn pixels(encoder: &Encoder, planes: &Planes, pixel: usize, len: usize, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    let start = planes.start(&unravel(&encoder.grid.patch_shape(), pixel));
    let dtype = encoder.out_dtype();
    if dtype == DType::Bool {
        let bits = BooleanBuffer::new(planes.buffer.clone(), start, len);
        return Ok(Arc::new(BooleanArray::new(bits, nulls)));
    }
    let size = dtype.size();
    let values = planes.buffer.slice_with_length(start * size, len * size);
    let data = ArrayData::builder(dtype.arrow()).len(len).add_buffer(values).nulls(nulls).build()?;
    Ok(make_array(data))
}

/// Positions from a window to its neighbour on each sliding axis, if there are none between lines.
fn dense_strides(grid: &Grid) -> Vec<usize> {
    let mut strides = vec![1; grid.sliding_axes().len()];
    for i in (1..strides.len()).rev() {
        strides[i - 1] = strides[i] * grid.axes()[grid.sliding_axes()[i]].count as usize;
    }
    strides
}
