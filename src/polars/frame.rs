//! The window ids as a lazy frame.

use std::ops::Range;

use polars::prelude::{DataFrame, DataType, IntoLazy, LazyFrame, PolarsResult, UnionArgs, col, concat, lit};

use super::morsel;

/// Polars counts the rows of a frame in 32 bits, and keeps the last number for itself.
pub(super) const FRAME_ROWS: u64 = u32::MAX as u64 - 1;

/// The column `window` of these ids: the row index of a frame without columns, which takes no memory until it is asked
/// for. `morsel` is the number of rows that the streaming engine shall handle at a time, if its own is too large.
pub(super) fn windows(ids: Range<u64>, morsel: Option<usize>) -> PolarsResult<LazyFrame> {
    let mut frames = Vec::new();
    let mut start = ids.start;
    loop {
        let height = (ids.end - start).min(FRAME_ROWS);
        let frame = match morsel {
            Some(rows) if height > rows as u64 => morsel::frame(height, rows)?,
            _ => DataFrame::empty_with_height(height as usize).lazy().with_row_index("window", None),
        };
        let index = col("window").cast(DataType::UInt64);
        frames.push(frame.select([if start == 0 { index } else { index + lit(start) }]));
        start += height;
        if start == ids.end {
            break;
        }
    }
    match frames.pop() {
        Some(only) if frames.is_empty() => Ok(only),
        last => concat(frames.into_iter().chain(last).collect::<Vec<_>>(), UnionArgs::default()),
    }
}
