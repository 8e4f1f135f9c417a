//! What a scan will give and cost, before it runs.

use std::fmt;

use bytesize::ByteSize;
use serde::Serialize;

use super::Plan;
use super::columns::row_bytes;
use super::cost::Cost;
use crate::DType;
use crate::encode::Layout;
use crate::window::by;

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
    /// What was done to the rows, in words; empty if they are neighbours of the grid.
    pub selection: Vec<String>,
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
    /// The most bytes of decoded tiles that are kept for later, where rows are read in no order; otherwise 0.
    pub cache_bytes: u64,
    /// The most memory that the process takes while a reader is drained: bands, batches, and the program itself.
    pub peak_bytes: u64,
    /// What is copied.
    pub copies: String,
    /// What a virtual matrix of these rows would be, and the memory that it would take.
    #[cfg(feature = "virtual")]
    pub matrix: String,
}

impl Explain {
    pub(super) fn new(plan: &Plan) -> Self {
        let encoder = &plan.encoder;
        let (info, grid) = (plan.source.info(), &encoder.grid);
        let dtype = encoder.out_dtype();
        let rows = plan.rows.end - plan.rows.start;
        let row_bytes = row_bytes(grid, &encoder.columns, dtype, encoder.labels.as_deref());
        let batch_rows = plan.batch_rows;
        let batch_bytes = batch_rows * row_bytes;
        let cost = Cost::new(plan, batch_bytes);
        let dense_bytes = rows.saturating_mul(row_bytes);
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
            selection: plan.selection.steps().iter().map(ToString::to_string).collect(),
            row_bytes,
            dense_bytes,
            base_bytes: info.bytes(),
            blow_up: dense_bytes as f64 / info.bytes().max(1) as f64,
            batch_rows,
            batch_bytes,
            prefetch: plan.flying(),
            band_bytes: cost.band_bytes,
            cache_bytes: if plan.keeps_tiles() { plan.cache_bytes } else { 0 },
            peak_bytes: cost.peak_bytes,
            copies: cost.copies,
            #[cfg(feature = "virtual")]
            matrix: crate::virtual_matrix::explain(plan),
        }
    }
}

impl fmt::Display for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axes: Vec<_> = self.axes.iter().zip(&self.shape).map(|(name, n)| format!("{name} {n}")).collect();
        writeln!(f, "source      {}  {}  {}", self.source, axes.join(", "), self.source_dtype)?;
        writeln!(f, "windows     {} of {}", by(&self.grid_shape), by(&self.patch_shape))?;
        let of = if self.selection.is_empty() { String::new() } else { format!(" of {}", self.selection.join("; ")) };
        writeln!(f, "rows        {}{of}", grouped(self.rows))?;
        writeln!(f, "columns     {}  ({}, {})", names(&self.columns), self.layout, self.dtype)?;
        let dense = ByteSize(self.dense_bytes);
        let base = ByteSize(self.base_bytes);
        writeln!(f, "row         {}", ByteSize(self.row_bytes))?;
        writeln!(f, "all rows    {dense}, {:.1} times the decoded image ({base})", self.blow_up)?;
        writeln!(
            f,
            "batch       {} rows, {}, {} made ahead",
            grouped(self.batch_rows),
            ByteSize(self.batch_bytes),
            self.prefetch
        )?;
        writeln!(f, "peak memory {}, whatever the number of rows", ByteSize(self.peak_bytes))?;
        write!(f, "copies      {}", self.copies)?;
        #[cfg(feature = "virtual")]
        write!(f, "\nmatrix      {}", self.matrix)?;
        Ok(())
    }
}

/// A number that can be read: `130,092`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The names of the columns; of many pixels only the first and the last.
fn names(columns: &[String]) -> String {
    const MOST: usize = 12;
    let first = columns.iter().position(|name| name.starts_with("p_"));
    match (first, columns.last()) {
        (Some(first), Some(last)) if columns.len() > MOST => {
            format!("{} … {last} ({})", columns[..=first].join(", "), grouped(columns.len() as u64))
        }
        _ => columns.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (130_092, "130,092"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(n), text);
        }
    }

    #[test]
    fn many_columns_are_cut_short() {
        let few = ["window", "y", "patch"].map(str::to_owned);
        assert_eq!(names(&few), "window, y, patch");
        let pixels = (0..64).map(|i| format!("p_{}_{}", i / 8, i % 8));
        let many: Vec<_> = ["window", "y", "x"].map(str::to_owned).into_iter().chain(pixels).collect();
        assert_eq!(names(&many), "window, y, x, p_0_0 … p_7_7 (67)");
    }
}
