//! The columns that are arithmetic: window ids and start coordinates.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, UInt64Array};
use arrow_buffer::ScalarBuffer;

use crate::{BufferPool, Grid, Result};

/// The ids of `rows`.
pub(super) fn windows(rows: &Range<u64>, pool: &BufferPool) -> Result<ArrayRef> {
    let count = (rows.end - rows.start) as usize;
    let mut memory = pool.take(count * 8)?;
    for (slot, id) in bytemuck::cast_slice_mut::<u8, u64>(&mut memory).iter_mut().zip(rows.clone()) {
        *slot = id;
    }
    Ok(Arc::new(UInt64Array::new(ScalarBuffer::from(memory.freeze()), None)))
}

/// Where the windows of `rows` start on one sliding axis.
pub(super) fn starts(grid: &Grid, sliding: usize, rows: &Range<u64>, pool: &BufferPool) -> Result<ArrayRef> {
    let count = (rows.end - rows.start) as usize;
    let mut memory = pool.take(count * 8)?;
    let mut rest = bytemuck::cast_slice_mut::<u8, i64>(&mut memory);
    let axis = &grid.axes()[grid.sliding_axes()[sliding]];
    let last = sliding + 1 == grid.sliding_axes().len();
    for segment in grid.segments(rows.clone()) {
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
    Ok(Arc::new(Int64Array::new(ScalarBuffer::from(memory.freeze()), None)))
}
