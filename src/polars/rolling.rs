//! Layout `columns`: slices of the image as a frame in memory.

use polars::prelude::{DataFrame, IntoLazy, LazyFrame, PolarsResult, UnionArgs, concat};

use super::ffi;
use super::frame::FRAME_ROWS;
use crate::reader::PatchReader;
use crate::{Error, PatchScan};

/// Windows of one chunk: as many as leave room for rows that wrap around in the 32 bits in which Polars counts.
const BLOCK_WINDOWS: u64 = 1 << 30;

/// The table as a frame of columns that alias the image. One chunk, unless there are more windows
/// than a frame has rows.
pub(super) fn scan(scan: &PatchScan) -> PolarsResult<LazyFrame> {
    let mut frames: Vec<DataFrame> = Vec::new();
    let plan = scan.plan();
    let rows = scan.rows();
    let block = (rows.end - rows.start).clamp(1, BLOCK_WINDOWS);
    for batch in PatchReader::new(plan, block, 0)? {
        let frame = ffi::data_frame(&batch.map_err(Error::from)?)?;
        match frames.last_mut() {
            Some(last) if ((last.height() + frame.height()) as u64) < FRAME_ROWS => {
                last.vstack_mut_owned(frame)?;
            }
            _ => frames.push(frame),
        }
    }
    if frames.is_empty() {
        frames.push(ffi::data_frame(&arrow_array::RecordBatch::new_empty(scan.schema()))?);
    }
    let mut frames: Vec<_> = frames.into_iter().map(IntoLazy::lazy).collect();
    if frames.len() == 1 { Ok(frames.remove(0)) } else { concat(frames, UnionArgs::default()) }
}
