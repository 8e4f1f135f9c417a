//! The options of a scan, checked together when it is built.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use super::{PatchScan, Plan};
use crate::encode::{Column, Conversion, Encoder, Layout};
use crate::schema::{TableInfo, TableSource, schema};
use crate::source::AnySource;
use crate::{DType, Error, ErrorKind, Grid, Result, WindowSpec};

/// Bytes of a batch, unless asked for otherwise: large enough to make the overhead of a batch nothing, small enough to
/// stay in cache.
const BATCH_BYTES: u64 = 4 << 20;

/// Collects the options of a [`PatchScan`].
///
/// ```
/// use windrow::{DType, Layout, PatchScan, StridedView, WindowSpec};
///
/// let image = StridedView::from_vec(vec![0u8; 64 * 48], &[64, 48])?;
/// let scan = PatchScan::builder(image, WindowSpec::new([8, 8]).step(4))
///     .columns(["y", "x", "patch"])
///     .rows(10..20)
///     .layout(Layout::Binary)
///     .dtype(DType::F32)
///     .scale(1.0 / 255.0)
///     .batch_rows(4)
///     .build()?;
/// assert_eq!(scan.reader()?.count(), 3);
/// # Ok::<(), windrow::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ScanBuilder {
    source: AnySource,
    spec: WindowSpec,
    rows: Option<(Bound<u64>, Bound<u64>)>,
    columns: Option<Vec<String>>,
    layout: Layout,
    dtype: Option<DType>,
    scale: f64,
    offset: f64,
    lossy: bool,
    batch_bytes: u64,
    batch_rows: Option<u64>,
    prefetch: Option<usize>,
}

impl ScanBuilder {
    pub(super) fn new(source: AnySource, spec: WindowSpec) -> Self {
        Self {
            source,
            spec,
            rows: None,
            columns: None,
            layout: Layout::Tensor,
            dtype: None,
            scale: 1.0,
            offset: 0.0,
            lossy: false,
            batch_bytes: BATCH_BYTES,
            batch_rows: None,
            prefetch: None,
        }
    }

    /// Only the windows with these ids. Default: all.
    pub fn rows(mut self, rows: impl RangeBounds<u64>) -> Self {
        self.rows = Some((rows.start_bound().cloned(), rows.end_bound().cloned()));
        self
    }

    /// Only these columns, in this order. Default: `window`, the sliding axes by name, `patch`. Pixels are read only
    /// if `patch` is among them.
    pub fn columns<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// How patches are held. Default: [`Layout::Tensor`].
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// The type that pixels are converted to. Default: that of the source.
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = Some(dtype);
        self
    }

    /// Multiplies every pixel, computed in the type of the table (in `float32` for `float16`). Default: 1.
    pub fn scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// Added to every pixel after scaling. Default: 0.
    pub fn offset(mut self, offset: f64) -> Self {
        self.offset = offset;
        self
    }

    /// Allows a conversion that loses something: integers are rounded (ties to even) and saturate, NaN becomes 0,
    /// floats are rounded. Default: such a conversion is an error.
    pub fn lossy(mut self, lossy: bool) -> Self {
        self.lossy = lossy;
        self
    }

    /// About how many bytes a batch has; at least a row. Default: 4 MiB.
    pub fn batch_bytes(mut self, bytes: u64) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// How many rows a batch has (the last one may have fewer), whatever their bytes.
    pub fn batch_rows(mut self, rows: u64) -> Self {
        self.batch_rows = Some(rows);
        self
    }

    /// How many batches are made ahead, on other threads; 0 makes each when it is asked for, on the caller's thread.
    /// Default: one a thread of rayon's pool, or 0 if it has one thread.
    pub fn prefetch(mut self, batches: usize) -> Self {
        self.prefetch = Some(batches);
        self
    }

    /// Checks all of it and makes the plan. Reads no pixel.
    ///
    /// # Errors
    /// If the windows don't fit the array (see [`Grid::new`]), a column or a row does not exist, the conversion loses
    /// something, or a patch or batch is larger than Arrow can hold.
    pub fn build(self) -> Result<PatchScan> {
        let info = self.source.info();
        let grid = Grid::new(&self.spec, &info.shape, info.axes.as_deref())?;
        let rows = self.resolve_rows(grid.windows())?;
        let columns = self.resolve_columns(&grid)?;
        let dtype = self.dtype.unwrap_or(if (self.scale, self.offset) == (1.0, 0.0) || info.dtype.is_float() {
            info.dtype
        } else {
            DType::F32
        });
        let conversion = Conversion::new(info.dtype, dtype, self.scale, self.offset, self.lossy)?;
        check_patch(&grid, dtype, info.dtype)?;
        let row_bytes = row_bytes(&grid, &columns, dtype);
        let batch_rows = self.resolve_batch_rows(row_bytes, rows.end - rows.start)?;
        let table = TableInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            source: TableSource {
                name: info.name.clone(),
                shape: info.shape.clone(),
                dtype: info.dtype,
                axes: grid.axes().iter().map(|axis| axis.name.clone()).collect(),
            },
            window: self.spec.clone(),
            patch_shape: grid.patch_shape(),
            dtype,
            layout: self.layout,
            rows: (rows.start, rows.end),
            scale: self.scale,
            offset: self.offset,
        };
        let schema = schema(&grid, &columns, &table)?;
        let fill = self.spec.pad_value.to_cell(info.dtype)?;
        let threads = rayon::current_num_threads();
        let prefetch = self.prefetch.unwrap_or(if threads > 1 { threads } else { 0 });
        let encoder = Encoder { grid, columns, layout: self.layout, dtype: info.dtype, conversion, fill, schema };
        let encoder = Arc::new(encoder);
        Ok(PatchScan(Arc::new(Plan { source: self.source, spec: self.spec, rows, batch_rows, prefetch, encoder })))
    }

    fn resolve_rows(&self, windows: u64) -> Result<std::ops::Range<u64>> {
        let Some((start, end)) = self.rows else { return Ok(0..windows) };
        let start = match start {
            Bound::Included(row) => row,
            Bound::Excluded(row) => row.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match end {
            Bound::Included(row) => row.saturating_add(1),
            Bound::Excluded(row) => row,
            Bound::Unbounded => windows,
        };
        if start > end || end > windows {
            return Err(ErrorKind::Rows { start, end, rows: windows }.into());
        }
        Ok(start..end)
    }

    fn resolve_columns(&self, grid: &Grid) -> Result<Vec<Column>> {
        let starts: Vec<_> = grid.sliding().map(|axis| axis.name.clone()).collect();
        let all: Vec<_> = std::iter::once(("window".to_owned(), Column::Window))
            .chain(starts.into_iter().enumerate().map(|(i, name)| (name, Column::Start(i))))
            .chain(std::iter::once(("patch".to_owned(), Column::Patch)))
            .collect();
        if let Some((name, _)) = all.iter().enumerate().find_map(|(i, a)| all[..i].iter().find(|b| a.0 == b.0)) {
            return Err(Error::argument("axes", format!("two columns would be named {name:?}: rename that axis")));
        }
        let Some(columns) = &self.columns else { return Ok(all.into_iter().map(|(_, column)| column).collect()) };
        let known = || all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        if columns.is_empty() {
            return Err(Error::argument("columns", format!("none asked for: expected some of {}", known())));
        }
        let mut chosen = Vec::with_capacity(columns.len());
        for name in columns {
            let column =
                all.iter().find(|(known, _)| known == name).map(|&(_, column)| column).ok_or_else(|| {
                    Error::argument("columns", format!("no column {name:?}: the table has {}", known()))
                })?;
            if chosen.contains(&column) {
                return Err(Error::argument("columns", format!("{name:?} is asked for twice")));
            }
            chosen.push(column);
        }
        Ok(chosen)
    }

    fn resolve_batch_rows(&self, row_bytes: u64, rows: u64) -> Result<u64> {
        let wanted = match self.batch_rows {
            Some(0) => return Err(Error::argument("batch_rows", "0: expected at least 1")),
            Some(rows) => rows,
            None if self.batch_bytes == 0 => return Err(Error::argument("batch_bytes", "0: expected at least 1")),
            None => (self.batch_bytes / row_bytes).max(1),
        };
        let batch_rows = wanted.min(rows).max(1);
        if batch_rows.checked_mul(row_bytes).is_none_or(|bytes| bytes > isize::MAX as u64) {
            let got = format!("{batch_rows} rows of {row_bytes} bytes");
            return Err(Error::too_large("a batch", got, format!("{} bytes", isize::MAX)));
        }
        Ok(batch_rows)
    }
}

/// A patch has pixels, and Arrow counts the cells and bytes of a fixed-size value in an `i32`.
fn check_patch(grid: &Grid, dtype: DType, source: DType) -> Result<()> {
    if let Some(axis) = grid.axes().iter().find(|axis| axis.window == 0) {
        return Err(Error::window(&axis.name, "length 0 and taken whole: a patch would have no pixel"));
    }
    let size = dtype.size().max(source.size()) as u64;
    let bytes = grid.patch_shape().iter().try_fold(size, |bytes, &n| bytes.checked_mul(n));
    if bytes.is_none_or(|bytes| bytes > i32::MAX as u64) {
        let got = format!("{} of {dtype}", crate::window::by(&grid.patch_shape()));
        return Err(Error::too_large("a patch", got, format!("{} bytes", i32::MAX)));
    }
    Ok(())
}

/// Bytes of one row of these columns.
pub(super) fn row_bytes(grid: &Grid, columns: &[Column], dtype: DType) -> u64 {
    let patch = grid.patch_shape().iter().product::<u64>() * dtype.size() as u64;
    columns.iter().map(|column| if *column == Column::Patch { patch } else { 8 }).sum()
}
