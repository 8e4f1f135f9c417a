//! Smaller morsels for wide rows.
//!
//! The streaming engine cuts a frame into morsels of 100,000 rows, however wide the rows become on the way: with patches
//! of 48 KiB, two of them are 10 GB. Its size of a morsel is a setting of the process, which is not ours to change. But
//! a record batch of an Arrow file is never joined with the next one: so the ids come as the row index of a file *in
//! memory* whose batches have as many rows as a morsel shall have, and no bytes. The file is short, and is listed as
//! often as it takes.

use std::sync::Arc;

use polars::prelude::*;

use crate::PatchScan;

/// Bytes of patches that a morsel shall have: as a reader's batch.
const BYTES: usize = 4 << 20;

/// Rows of a morsel by Polars' default.
const DEFAULT: usize = 100_000;

/// Batches of one file in memory.
const BATCHES: usize = 1024;

/// How many rows a morsel of this scan shall have, if Polars' own would be too large: pixels that stay in the cache until
/// they are used are also faster by a third.
pub(super) fn rows(scan: &PatchScan) -> Option<usize> {
    let encoder = &scan.plan().encoder;
    let rows = (BYTES / encoder.patch_bytes()).max(1);
    (encoder.needs_pixels() && rows < DEFAULT / 2).then_some(rows)
}

/// A frame of this height with the row index `window`, in morsels of `rows` rows.
pub(super) fn frame(height: u64, rows: usize) -> PolarsResult<LazyFrame> {
    let file = rows * BATCHES;
    let whole = (height / file as u64) as usize;
    let rest = (height % file as u64) as usize;
    let mut files = Vec::with_capacity(whole + 1);
    if whole > 0 {
        files.resize(whole, empty(file, rows)?.into());
    }
    if rest > 0 {
        files.push(empty(rest, rows)?.into());
    }
    let index = RowIndex { name: "window".into(), offset: 0 };
    let hive_options = HiveOptions::new_disabled();
    let options = UnifiedScanArgs { row_index: Some(index), hive_options, ..Default::default() };
    LazyFrame::scan_ipc_sources(ScanSources::Buffers(Arc::from(files)), IpcScanOptions::default(), options)
}

/// An Arrow file of this height without a column, in batches of `rows` rows.
fn empty(height: usize, rows: usize) -> PolarsResult<Vec<u8>> {
    let mut file = Vec::new();
    let mut writer = IpcWriter::new(&mut file).batched(&Schema::default(), Vec::new())?;
    for start in (0..height).step_by(rows) {
        writer.write_batch(&DataFrame::empty_with_height(rows.min(height - start)))?;
    }
    writer.finish()?;
    drop(writer);
    Ok(file)
}
