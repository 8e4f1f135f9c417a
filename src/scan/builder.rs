//! The options of a scan, checked together when it is built.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use super::columns::{self, row_bytes};
use super::{PatchScan, Plan};
use crate::encode::{Conversion, Encoder, Layout, Wrap};
use crate::schema::{TableInfo, TableSource, schema};
use crate::source::AnySource;
use crate::{DType, Error, ErrorKind, Grid, Result, WindowSpec};

/// Bytes of a batch, unless asked for otherwise: large enough to make the overhead of a batch nothing, small enough to
/// stay in cache; two huge pages.
const BATCH_BYTES: u64 = 4 << 20;

/// Windows of one batch in layout columns: engines count its rows, wrapping ones included, in 32 bits.
const MOST_BLOCK_ROWS: u64 = 1 << 30;

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
    wrap: Wrap,
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
            wrap: Wrap::Null,
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

    /// What tells rows that are no windows, in [`Layout::Columns`]. Default: [`Wrap::Null`].
    pub fn wrap(mut self, wrap: Wrap) -> Self {
        self.wrap = wrap;
        self
    }

    /// The type that pixels are converted to. Default: that of the source.
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = Some(dtype);
        self
    }

    /// Multiplies every pixel, computed in the type of the table (in `float32` for `float16`, in `float64` for integers).
    /// Default: 1.
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
    /// Default: one more than rayon's pool has threads, or 0 if it has one thread.
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
        columns::check_layout(&grid, self.layout)?;
        let columns = columns::resolve(&grid, self.layout, self.wrap, self.columns.as_deref())?;
        let dtype = self.dtype.unwrap_or(if (self.scale, self.offset) == (1.0, 0.0) || info.dtype.is_float() {
            info.dtype
        } else {
            DType::F32
        });
        let conversion = Conversion::new(info.dtype, dtype, self.scale, self.offset, self.lossy)?;
        check_patch(&grid, dtype, info.dtype)?;
        let batch_rows = match self.layout {
            Layout::Columns => self.resolve_block(&grid, rows.end - rows.start)?,
            _ => self.resolve_batch_rows(row_bytes(&grid, &columns, dtype), rows.end - rows.start)?,
        };
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
            wrap: self.wrap,
            rows: (rows.start, rows.end),
            scale: self.scale,
            offset: self.offset,
        };
        let schema = schema(&grid, &columns, &table)?;
        let fill = self.spec.pad_value.to_cell(info.dtype)?;
        let threads = rayon::current_num_threads();
        // Slices are made faster than a thread is woken.
        let worth = threads > 1 && self.layout != Layout::Columns;
        let prefetch = self.prefetch.unwrap_or(if worth { threads + 1 } else { 0 });
        let (layout, wrap, dtype) = (self.layout, self.wrap, info.dtype);
        let encoder = Arc::new(Encoder { grid, columns, layout, wrap, dtype, conversion, fill, schema });
        Ok(PatchScan(Arc::new(Plan {
            source: self.source,
            spec: self.spec,
            rows,
            batch_rows,
            prefetch,
            encoder,
            #[cfg(feature = "polars")]
            gathered: Default::default(),
        })))
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
        let bounded = !matches!(self.rows, Some((_, Bound::Unbounded)));
        if bounded && start > end {
            return Err(Error::argument("rows", format!("{start}..{end}: the end is before the start")));
        }
        if start > end || end > windows {
            return Err(ErrorKind::Rows { start, end: end.max(start), rows: windows }.into());
        }
        Ok(start..end)
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

    /// Windows a batch in layout columns: all that is in memory, or blocks of whole lines of the grid.
    fn resolve_block(&self, grid: &Grid, rows: u64) -> Result<u64> {
        let most = rows.clamp(1, MOST_BLOCK_ROWS);
        let info = self.source.info();
        match self.batch_rows {
            Some(0) => return Err(Error::argument("batch_rows", "0: expected at least 1")),
            Some(rows) => return Ok(rows.min(most)),
            None if info.resident => return Ok(most),
            None => {}
        }
        let lead = grid.sliding_axes()[0];
        let axis = &grid.axes()[lead];
        let windows = grid.sliding().skip(1).fold(1, |n: u64, axis| n.saturating_mul(axis.count)).max(1);
        let line = (info.bytes() / axis.len.max(1)).max(1);
        // Blocks overlap by the extent of a window: several of those, so that little is read into two.
        let lines = (self.batch_bytes / line).max(axis.extent.saturating_mul(4)) / axis.step;
        Ok(windows.saturating_mul(lines.max(1)).min(most))
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
