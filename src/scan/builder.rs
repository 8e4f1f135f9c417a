//! The options of a scan, checked together when it is built.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use super::columns::{self, row_bytes};
use super::{PatchScan, Plan};
use crate::encode::{Conversion, Coords, Encoder, LabelAt, Labels, Layout, Map, Marker, Nodata, Wrap};
use crate::rows::Selection;
use crate::schema::{TableInfo, TableLabels, TableSource, schema};
use crate::source::AnySource;
use crate::window::by;
use crate::{DType, Error, ErrorKind, Grid, PadMode, Result, WindowSpec};

/// Bytes of a batch, unless asked for otherwise: large enough to make the overhead of a batch nothing, small enough that
/// those in flight and the one that the consumer still holds stay in cache together; a huge page.
const BATCH_BYTES: u64 = 2 << 20;

/// Bytes of decoded tiles that are kept, unless asked for otherwise.
const CACHE_BYTES: u64 = 64 << 20;

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
    selection: Option<Selection>,
    grid_of_rows: Option<Grid>,
    rows: Option<(Bound<u64>, Bound<u64>)>,
    columns: Option<Vec<String>>,
    coords: Coords,
    layout: Layout,
    wrap: Wrap,
    dtype: Option<DType>,
    scale: f64,
    offset: f64,
    lossy: bool,
    nodata: Option<Nodata>,
    labels: Option<(AnySource, LabelAt)>,
    label_nodata: Option<Nodata>,
    batch_bytes: Option<u64>,
    batch_rows: Option<u64>,
    prefetch: Option<usize>,
    cache_bytes: u64,
}

impl ScanBuilder {
    pub(super) fn new(source: AnySource, spec: WindowSpec) -> Self {
        Self {
            source,
            spec,
            selection: None,
            grid_of_rows: None,
            rows: None,
            columns: None,
            coords: Coords::Pixel,
            layout: Layout::Tensor,
            wrap: Wrap::Null,
            dtype: None,
            scale: 1.0,
            offset: 0.0,
            lossy: false,
            nodata: None,
            labels: None,
            label_nodata: None,
            batch_bytes: None,
            batch_rows: None,
            prefetch: None,
            cache_bytes: CACHE_BYTES,
        }
    }

    /// The rows of another scan, which has the same grid: the same windows in the same order. Default: all windows.
    ///
    /// ```
    /// use windrow::{DType, PatchScan, StridedView, WindowSpec};
    ///
    /// let (image, spec) = (StridedView::from_vec(vec![7u8; 100], &[10, 10])?, WindowSpec::new([3, 3]));
    /// let sample = PatchScan::new(image.clone(), spec.clone())?.sample(5, 42)?;
    /// let converted = PatchScan::builder(image, spec).dtype(DType::F32).rows_of(&sample).build()?;
    /// assert_eq!(converted.windows(0..5)?, sample.windows(0..5)?);
    /// # Ok::<(), windrow::Error>(())
    /// ```
    pub fn rows_of(mut self, scan: &PatchScan) -> Self {
        let rows = scan.rows();
        self.selection = Some(scan.0.selection.clone());
        self.grid_of_rows = Some(scan.grid().clone());
        self.rows(rows)
    }

    /// Only these rows: of all windows by id, or as [`PatchScan::rows`] counts them. Default: all.
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

    /// Which coordinates the table has. Default: [`Coords::Pixel`], where windows start. [`Coords::Map`] adds where their
    /// middles lie on the map, in `float64`: the columns `easting` and `northing`, or `longitude` and `latitude` in a
    /// geographic system. They can also be named among the [`columns`](Self::columns).
    ///
    /// ```no_run
    /// use windrow::{AnySource, Coords, PatchScan, WindowSpec};
    ///
    /// let scene = AnySource::open("scene.tif", None)?;
    /// let scan = PatchScan::builder(scene, WindowSpec::new([64, 64]).step(64)).coords(Coords::Map).build()?;
    /// # Ok::<(), windrow::Error>(())
    /// ```
    pub fn coords(mut self, coords: Coords) -> Self {
        self.coords = coords;
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

    /// The value of pixels that have none: they are null in the table, and a column `valid` says which share of each
    /// patch is not. Default: every pixel has a value.
    ///
    /// Padding is null where it has this value.
    ///
    /// ```
    /// use windrow::{PatchScan, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec(vec![0.0, 1.0, f32::NAN, 3.0], &[2, 2])?;
    /// let scan = PatchScan::builder(image, WindowSpec::new([2, 2])).nodata(f64::NAN).build()?;
    /// let batch = scan.reader()?.next().expect("one row")?;
    /// # use arrow_array::cast::AsArray;
    /// assert_eq!(batch["valid"].as_primitive::<arrow_array::types::Float64Type>().value(0), 0.75);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn nodata(mut self, nodata: impl Into<Nodata>) -> Self {
        self.nodata = Some(nodata.into());
        self
    }

    /// A column `label`: what another array, whose axes are those that the window slides over, says of each window. It
    /// has the type of that array.
    ///
    /// ```
    /// use arrow_array::cast::AsArray;
    /// use arrow_array::types::UInt8Type;
    /// use windrow::{LabelAt, PatchScan, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec(vec![0f32; 48], &[4, 4, 3])?;
    /// let classes = StridedView::from_vec((0..16u8).collect(), &[4, 4])?;
    /// let scan = PatchScan::builder(image, WindowSpec::new([3, 3])).labels(classes, LabelAt::Center).build()?;
    /// let batch = scan.reader()?.next().expect("four rows")?;
    /// assert_eq!(batch["label"].as_primitive::<UInt8Type>().values(), &[5, 6, 9, 10]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn labels(mut self, labels: impl Into<AnySource>, at: LabelAt) -> Self {
        self.labels = Some((labels.into(), at));
        self
    }

    /// The label of pixels that have none: it is null in the table, and counts for nothing. Default: every pixel has one.
    pub fn label_nodata(mut self, nodata: impl Into<Nodata>) -> Self {
        self.label_nodata = Some(nodata.into());
        self
    }

    /// About how many bytes a batch has; at least a row. Default: 2 MiB.
    pub fn batch_bytes(mut self, bytes: u64) -> Self {
        self.batch_bytes = Some(bytes);
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

    /// About how many bytes of a file are kept, decoded, where windows are read in no order: samples, shuffles, and what
    /// [`PatchScan::taker`] takes. A file of fewer bytes is then decoded once. Default: 64 MiB.
    ///
    /// ```no_run
    /// use windrow::{AnySource, PatchScan, WindowSpec};
    ///
    /// let scene = AnySource::open("scene.tif", None)?;
    /// let scan = PatchScan::builder(scene, WindowSpec::new([64, 64])).cache_bytes(1 << 30).build()?.shuffle(42, 0)?;
    /// println!("{}", scan.explain());
    /// # Ok::<(), windrow::Error>(())
    /// ```
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// How patches will be held.
    pub(crate) fn asked_layout(&self) -> Layout {
        self.layout
    }

    /// The columns that were asked for, which are forgotten.
    pub(crate) fn take_columns(&mut self) -> Option<Vec<String>> {
        self.columns.take()
    }

    /// These columns, whatever was asked for before.
    pub(crate) fn only_columns(mut self, columns: &[String]) -> Self {
        self.coords = Coords::Pixel;
        self.columns(columns.iter().cloned())
    }

    /// Rows of a batch of tables like that of `scan`, however many they have, whose rows have so many bytes more.
    pub(crate) fn rows_of_batches(&self, scan: &PatchScan, more: u64) -> Result<u64> {
        self.resolve_batch_rows(scan.explain().row_bytes.saturating_add(more), u64::MAX)
    }

    /// Checks all of it and makes the plan. Reads no pixel.
    ///
    /// # Errors
    /// If the windows don't fit the array (see [`Grid::new`]), a column or a row does not exist, the conversion loses
    /// something, or a patch or batch is larger than Arrow can hold.
    pub fn build(self) -> Result<PatchScan> {
        let info = self.source.info();
        let grid = Grid::new(&self.spec, &info.shape, info.axes.as_deref())?;
        if self.grid_of_rows.as_ref().is_some_and(|of| of.grid_shape() != grid.grid_shape()) {
            return Err(Error::argument("rows", "they are those of a scan that has another grid"));
        }
        let selection = self.selection.clone().unwrap_or_else(|| Selection::all(grid.windows()));
        let rows = self.resolve_rows(selection.len())?;
        columns::check_layout(&grid, self.layout)?;
        let nodata = self.nodata.map(|nodata| marker(nodata, &self.source, "nodata")).transpose()?;
        let labels = self.resolve_labels(&grid)?;
        check_nulls(self.layout, nodata.is_some(), labels.is_some())?;
        super::rows::check_layout(self.layout, &selection)?;
        let georeference = self.source.georeference();
        let map = georeference.and_then(|place| Map::new(&grid, place));
        if self.coords == Coords::Map && map.is_none() {
            let message = format!(
                "{} does not say where on the map it lies: expected a TIFF file with the tags ModelPixelScale and \
                 ModelTiepoint, or ModelTransformation",
                info.name
            );
            return Err(Error::argument("coords", message));
        }
        let names = georeference.filter(|_| map.is_some()).map(|place| place.names());
        let columns = columns::resolve(
            &columns::all(&grid, self.layout, self.wrap, names, nodata.is_some(), labels.is_some()),
            self.columns.as_deref(),
            self.coords,
        )?;
        let dtype = self.dtype.unwrap_or(if (self.scale, self.offset) == (1.0, 0.0) || info.dtype.is_float() {
            info.dtype
        } else {
            DType::F32
        });
        let conversion = Conversion::new(info.dtype, dtype, self.scale, self.offset, self.lossy)?;
        check_patch(&grid, dtype, info.dtype)?;
        let batch_rows = match self.layout {
            Layout::Columns => self.resolve_block(&grid, rows.end - rows.start)?,
            _ => self.resolve_batch_rows(row_bytes(&grid, &columns, dtype, labels.as_ref()), rows.end - rows.start)?,
        };
        let table = TableInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            source: TableSource {
                name: info.name.clone(),
                shape: info.shape.clone(),
                dtype: info.dtype,
                axes: grid.axes().iter().map(|axis| axis.name.clone()).collect(),
                opened: self.source.options(),
                georeference,
            },
            window: self.spec.clone(),
            patch_shape: grid.patch_shape(),
            dtype,
            layout: self.layout,
            wrap: self.wrap,
            rows: (rows.start, rows.end),
            selection: selection.steps().to_vec(),
            scale: self.scale,
            offset: self.offset,
            nodata: nodata.map(|marker| marker.value),
            labels: labels.as_ref().map(|labels| TableLabels {
                name: labels.source.info().name.clone(),
                at: labels.at,
                nodata: labels.nodata.map(|marker| marker.value),
            }),
        };
        let schema = schema(&grid, &columns, &table, labels.as_ref())?;
        let fill = self.spec.pad_value.to_cell(info.dtype)?;
        let threads = rayon::current_num_threads();
        // Slices are made faster than a thread is woken.
        let worth = threads > 1 && self.layout != Layout::Columns;
        let prefetch = self.prefetch.unwrap_or(if worth { threads + 1 } else { 0 });
        let (layout, wrap, dtype) = (self.layout, self.wrap, info.dtype);
        let labels = labels.map(Arc::new);
        let encoder =
            Arc::new(Encoder { grid, columns, layout, wrap, dtype, conversion, fill, nodata, labels, map, schema });
        Ok(PatchScan(Arc::new(Plan {
            source: self.source,
            spec: self.spec,
            selection,
            rows,
            batch_rows,
            batch_chosen: self.batch_rows.is_some() || self.batch_bytes.is_some(),
            prefetch,
            cache_bytes: self.cache_bytes,
            encoder,
            #[cfg(feature = "polars")]
            gathered: Default::default(),
        })))
    }

    fn resolve_labels(&self, grid: &Grid) -> Result<Option<Labels>> {
        let Some((source, at)) = &self.labels else {
            if self.label_nodata.is_some() {
                return Err(Error::argument("label_nodata", "there are no labels that it could mark"));
            }
            return Ok(None);
        };
        let nodata = self.label_nodata.map(|nodata| marker(nodata, source, "label_nodata")).transpose()?;
        let over = over("labels", grid, &self.source, source)?;
        let padded = grid.sliding().any(|axis| axis.interior() != (0..axis.count));
        if *at == LabelAt::Patch && padded && self.spec.pad_mode == PadMode::Constant && nodata.is_none() {
            let message = "patches of labels reach into the padding, which has none: expected a label_nodata for it";
            return Err(Error::argument("labels", message));
        }
        let labels = Labels { source: source.clone(), grid: over, at: *at, nodata };
        if *at == LabelAt::Patch {
            let dtype = labels.dtype();
            check_patch(&labels.grid, dtype, dtype)?;
        }
        Ok(Some(labels))
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
            None if self.batch_bytes == Some(0) => {
                return Err(Error::argument("batch_bytes", "0: expected at least 1"));
            }
            None => (self.batch_bytes.unwrap_or(BATCH_BYTES) / row_bytes).max(1),
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
        let lines = (self.batch_bytes.unwrap_or(BATCH_BYTES) / line).max(axis.extent.saturating_mul(4)) / axis.step;
        Ok(windows.saturating_mul(lines.max(1)).min(most))
    }
}

/// The marker of a source's pixels.
pub(super) fn marker(nodata: Nodata, source: &AnySource, name: &'static str) -> Result<Marker> {
    let value = match nodata {
        Nodata::Value(value) => value,
        Nodata::OfFile => source.nodata().ok_or_else(|| {
            Error::argument(name, format!("{} does not say which value marks pixels without one", source.info().name))
        })?,
    };
    Marker::new(value, source.info().dtype, name)
}

/// The windows of a grid over another array, which has the axes that the window slides over. `name` is what the array
/// is for.
pub(super) fn over(name: &'static str, grid: &Grid, image: &AnySource, array: &AnySource) -> Result<Grid> {
    let expected: Vec<_> = grid.sliding().map(|axis| axis.len).collect();
    if array.info().shape != expected {
        let axes: Vec<_> = grid.sliding().map(|axis| axis.name.as_str()).collect();
        let (got, expected) = (by(&array.info().shape), by(&expected));
        let message =
            format!("{} is of shape {got}: expected {expected} ({}), as the image", array.info().name, axes.join(", "));
        return Err(Error::argument(name, message));
    }
    if let (Some(here), Some(there)) = (array.georeference(), image.georeference())
        && !here.same_place(&there)
    {
        let message =
            format!("{} lies elsewhere: its pixels are at {here}, those of the image at {there}", array.info().name);
        return Err(Error::argument(name, message));
    }
    Ok(grid.over_sliding())
}

/// Nulls and labels stand in columns of their own, and single pixels in lists.
fn check_nulls(layout: Layout, nodata: bool, labels: bool) -> Result<()> {
    match layout {
        Layout::Binary if nodata => {
            let message = "nodata makes single pixels null, which bytes can't be: expected layout tensor or \
                           fixed-shape-tensor";
            Err(Error::argument("layout", message))
        }
        Layout::Columns if nodata || labels => {
            let what = if nodata { "pixels that are null" } else { "labels" };
            Err(Error::argument(
                "layout",
                format!("columns has no {what}: expected layout tensor or fixed-shape-tensor"),
            ))
        }
        _ => Ok(()),
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
