//! The columns that are arithmetic: window ids and start coordinates.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, UInt64Array};
use arrow_buffer::ScalarBuffer;

use crate::rows::Rows;
use crate::window::Divisor;
use crate::{BufferPool, Grid, Result};

/// The ids of `rows`.
pub(super) fn windows(rows: &Rows<'_>, pool: &BufferPool) -> Result<ArrayRef> {
    let mut memory = pool.take(rows.len() * 8)?;
    let cells: &mut [u64] = bytemuck::cast_slice_mut(&mut memory);
    match rows {
        Rows::Range(range) => cells.iter_mut().zip(range.clone()).for_each(|(cell, id)| *cell = id),
        Rows::Ids(ids) => cells.copy_from_slice(ids),
    }
    Ok(Arc::new(UInt64Array::new(ScalarBuffer::from(memory.freeze()), None)))
}

/// Where the windows of `rows` start on one sliding axis.
pub(super) fn starts(grid: &Grid, sliding: usize, rows: &Rows<'_>, pool: &BufferPool) -> Result<ArrayRef> {
    let mut memory = pool.take(rows.len() * 8)?;
    fill_starts(grid, sliding, rows, bytemuck::cast_slice_mut(&mut memory));
    Ok(Arc::new(Int64Array::new(ScalarBuffer::from(memory.freeze()), None)))
}

/// Writes where the windows of `rows` start on one sliding axis; `cells` has one for each.
pub(super) fn fill_starts(grid: &Grid, sliding: usize, rows: &Rows<'_>, cells: &mut [i64]) {
    match rows {
        Rows::Range(range) => fill_lines(grid, sliding, range.clone(), cells),
        Rows::Ids(ids) => fill_each(grid, sliding, ids, cells),
    }
}

fn fill_each(grid: &Grid, sliding: usize, ids: &[u64], cells: &mut [i64]) {
    // Only if there is a window, products of counts are those of windows.
    if ids.is_empty() {
        return;
    }
    let axis = &grid.axes()[grid.sliding_axes()[sliding]];
    let inner: u64 = grid.sliding().skip(sliding + 1).map(|axis| axis.count).product();
    let divisor = |windows| Divisor::new(windows, grid.windows());
    let (inner, whole) = (divisor(inner), divisor(inner * axis.count));
    for (cell, &id) in cells.iter_mut().zip(ids) {
        *cell = axis.start(inner.quotient(id) - whole.quotient(id) * axis.count);
    }
}

/// Line by line of the grid there is nothing to divide.
fn fill_lines(grid: &Grid, sliding: usize, rows: Range<u64>, cells: &mut [i64]) {
    let mut rest = cells;
    let axis = &grid.axes()[grid.sliding_axes()[sliding]];
    let last = sliding + 1 == grid.sliding_axes().len();
    for segment in grid.segments(rows) {
        let (line, behind) = rest.split_at_mut(segment.len as usize);
        rest = behind;
        let first = segment.index[sliding];
        if !last {
            line.fill(axis.start(first));
            continue;
        }
        let mut start = axis.start(0) + (first * axis.step) as i64;
        for slot in line.iter_mut() {
            *slot = start;
            start += axis.step as i64;
        }
        if axis.shifted && first + segment.len == axis.count {
            line[line.len() - 1] = axis.start(axis.count - 1);
        }
    }
}
