//! What a scan will give and cost, before it runs.

use std::fmt;

use bytesize::ByteSize;
use serde::Serialize;

use super::Plan;
use super::builder::row_bytes;
use crate::encode::Layout;
use crate::source::{band_bytes, pass_bytes};
use crate::window::by;
use crate::{DType, Edge, PadMode};

/// The facts of a [`PatchScan`](crate::PatchScan), from arithmetic alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explain {
    /// Where the pixels come from.
    pub source: String,
    /// The length of each axis of the source.
    pub shape: Vec<u64>,
    /// The type of the source's pixels.
    pub source_dtype: DType,
    /// The name of each axis.
    pub axes: Vec<String>,
    /// Windows on each axis that the window slides over.
    pub grid_shape: Vec<u64>,
    /// Pixels of a patch on each axis.
    pub patch_shape: Vec<u64>,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// How patches are held.
    pub layout: Layout,
    /// The type of the pixels in the table.
    pub dtype: DType,
    /// Rows of this scan.
    pub rows: u64,
    /// Bytes a row.
    pub row_bytes: u64,
    /// Bytes of all rows, if they were made at once.
    pub dense_bytes: u64,
    /// Bytes of the source's pixels.
    pub base_bytes: u64,
    /// How many times the source the table is.
    pub blow_up: f64,
    /// Rows of a batch.
    pub batch_rows: u64,
    /// Bytes of a batch.
    pub batch_bytes: u64,
    /// Batches made ahead.
    pub prefetch: usize,
    /// The most bytes of pixels that are held at once.
    pub band_bytes: u64,
    /// The most memory that the process takes while a reader is drained: bands, batches, and the program itself.
    pub peak_bytes: u64,
    /// What is copied.
    pub copies: String,
}

/// What the program itself takes: code, libraries, threads. Measured by `windrow stream` of a tiny image.
const PROGRAM_BYTES: u64 = 6 << 20;

impl Explain {
    pub(super) fn new(plan: &Plan) -> Self {
        let encoder = &plan.encoder;
        let (info, grid) = (plan.source.info(), &encoder.grid);
        let dtype = encoder.out_dtype();
        let rows = plan.rows.end - plan.rows.start;
        let row_bytes = row_bytes(grid, &encoder.columns, dtype);
        let batch_rows = plan.batch_rows;
        let batch_bytes = batch_rows * row_bytes;
        let pixels = encoder.needs_pixels() && rows > 0;
        let (band, bands) = if pixels { most_bands(plan) } else { (0, 0) };
        let flying = (plan.prefetch as u64 + 1).min(rows.div_ceil(batch_rows));
        let dense_bytes = rows.saturating_mul(row_bytes);
        let axis = &grid.axes()[grid.sliding_axes()[0]];
        let copies = if !pixels {
            "nothing: no pixel is asked for".to_owned()
        } else if info.resident {
            format!("every row into its batch ({batch_bytes} bytes, recycled); the source is in memory whole")
        } else if plan.spec.edge == Edge::Pad && plan.spec.pad_mode == PadMode::Wrap {
            format!("every row into its batch; wrapping takes both ends of axis {} at once", axis.name)
        } else {
            format!("every row into its batch; the source is read in bands along {}", axis.name)
        };
        Self {
            source: info.name.clone(),
            shape: info.shape.clone(),
            source_dtype: info.dtype,
            axes: grid.axes().iter().map(|axis| axis.name.clone()).collect(),
            grid_shape: grid.grid_shape(),
            patch_shape: grid.patch_shape(),
            columns: encoder.schema.fields().iter().map(|field| field.name().clone()).collect(),
            layout: encoder.layout,
            dtype,
            rows,
            row_bytes,
            dense_bytes,
            base_bytes: info.bytes(),
            blow_up: dense_bytes as f64 / info.bytes().max(1) as f64,
            batch_rows,
            batch_bytes,
            prefetch: plan.prefetch,
            band_bytes: band,
            peak_bytes: bands.saturating_add(flying.saturating_mul(batch_bytes)).saturating_add(PROGRAM_BYTES),
            copies,
        }
    }
}

/// The most bytes of a band, and of all that a pass holds: the batch that reaches furthest along the band's axis decides.
fn most_bands(plan: &Plan) -> (u64, u64) {
    let grid = &plan.encoder.grid;
    let number = grid.sliding_axes()[0];
    let axis = &grid.axes()[number];
    let full = grid.region(plan.rows.clone());
    let wraps = plan.spec.edge == Edge::Pad && plan.spec.pad_mode == PadMode::Wrap;
    let lines: u64 = grid.sliding().skip(1).map(|axis| axis.count).product::<u64>().max(1);
    let steps = (plan.batch_rows - 1).div_ceil(lines).min(axis.count.saturating_sub(1));
    let reach = if wraps { axis.len } else { steps.saturating_mul(axis.step).saturating_add(axis.extent) };
    let info = plan.source.info();
    (band_bytes(info, &full, number, reach), pass_bytes(info, &full, number, reach))
}

impl fmt::Display for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axes: Vec<_> = self.axes.iter().zip(&self.shape).map(|(name, n)| format!("{name} {n}")).collect();
        writeln!(f, "source      {}  {}  {}", self.source, axes.join(", "), self.source_dtype)?;
        writeln!(f, "windows     {} of {}", by(&self.grid_shape), by(&self.patch_shape))?;
        writeln!(f, "rows        {}", self.rows)?;
        writeln!(f, "columns     {}  ({}, {})", self.columns.join(", "), self.layout, self.dtype)?;
        let dense = ByteSize(self.dense_bytes);
        let base = ByteSize(self.base_bytes);
        writeln!(f, "row         {}", ByteSize(self.row_bytes))?;
        writeln!(f, "all rows    {dense}, {:.1} times the source ({base})", self.blow_up)?;
        writeln!(
            f,
            "batch       {} rows, {}, {} made ahead",
            self.batch_rows,
            ByteSize(self.batch_bytes),
            self.prefetch
        )?;
        writeln!(f, "peak memory {}, whatever the number of rows", ByteSize(self.peak_bytes))?;
        write!(f, "copies      {}", self.copies)
    }
}
