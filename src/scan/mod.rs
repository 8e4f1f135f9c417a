//! [`PatchScan`]: the repeatable plan of a table of windows.

mod budget;
mod builder;
mod classes;
mod columns;
mod cost;
mod explain;
mod json;
mod mask;
mod replay;
mod rows;
mod split;
mod splits;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_schema::SchemaRef;

pub(crate) use budget::{mib, with_margin};
pub use builder::ScanBuilder;
#[cfg(feature = "datafusion")]
pub(crate) use columns::row_bytes;
pub(crate) use cost::PROGRAM_BYTES;
pub use explain::Explain;
#[cfg(feature = "datafusion")]
pub(crate) use json::Written;
pub use mask::MaskAt;
#[cfg(feature = "parquet")]
pub(crate) use replay::More;
pub(crate) use rows::first_that;
pub use split::{Parts, Split};

use crate::encode::Encoder;
use crate::matrix::MatrixReader;
use crate::reader::PatchReader;
use crate::rows::Selection;
use crate::source::AnySource;
use crate::take::PatchTaker;
use crate::{Grid, Layout, Result, TableInfo, WindowSpec};

/// A table of the sliding windows of an array, as a plan: cheap to clone, and every [`reader`](Self::reader) starts
/// anew. Making one reads no pixel.
///
/// ```
/// use arrow_array::cast::AsArray;
/// use arrow_array::types::{Int64Type, UInt64Type};
/// use windrow::{PatchScan, StridedView, WindowSpec};
///
/// let image = StridedView::from_vec((0..9u8).collect(), &[3, 3])?;
/// let scan = PatchScan::new(image, WindowSpec::new([2, 2]))?;
/// assert_eq!(scan.num_rows(), 4);
///
/// let batch = scan.reader()?.next().expect("four rows")?;
/// assert_eq!(batch["window"].as_primitive::<UInt64Type>().values(), &[0, 1, 2, 3]);
/// assert_eq!(batch["y"].as_primitive::<Int64Type>().values(), &[0, 0, 1, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Memory
/// A reader holds a band of the source (all of it where the source is in memory) and `prefetch + 1` batches, whatever
/// the number of rows; [`explain`](Self::explain) says how much that is.
#[derive(Clone)]
pub struct PatchScan(Arc<Plan>);

pub(crate) struct Plan {
    pub(crate) source: AnySource,
    pub(crate) spec: WindowSpec,
    /// From row numbers to windows.
    pub(crate) selection: Selection,
    /// The rows of this scan, of those of the selection.
    pub(crate) rows: Range<u64>,
    pub(crate) batch_rows: u64,
    /// Whether the user said how large a batch is.
    batch_chosen: bool,
    pub(crate) prefetch: usize,
    /// Bytes of decoded tiles that are kept, where windows are read in no order.
    pub(crate) cache_bytes: u64,
    pub(crate) encoder: Arc<Encoder>,
    /// Patches that queries of an engine have gathered.
    #[cfg(feature = "polars")]
    pub(crate) gathered: std::sync::atomic::AtomicU64,
}

impl PatchScan {
    /// All windows of an array or file, with every default.
    ///
    /// # Errors
    /// As [`ScanBuilder::build`].
    pub fn new(source: impl Into<AnySource>, spec: WindowSpec) -> Result<Self> {
        Self::builder(source, spec).build()
    }

    /// All windows of an array or file, with options to set.
    pub fn builder(source: impl Into<AnySource>, spec: WindowSpec) -> ScanBuilder {
        ScanBuilder::new(source.into(), spec)
    }

    /// The number of rows.
    pub fn num_rows(&self) -> u64 {
        self.0.rows.end - self.0.rows.start
    }

    /// The id of the window that is a row of the selection.
    #[cfg(feature = "parquet")]
    pub(crate) fn id(&self, row: u64) -> u64 {
        self.0.selection.id(row)
    }

    /// The same table as another one was made, of a source that was called as its source was, by its version.
    #[cfg(feature = "parquet")]
    pub(crate) fn made_as(&self, other: &TableInfo) -> Result<Self> {
        let encoder = self.relabelled(|table| {
            table.version.clone_from(&other.version);
            table.source.name.clone_from(&other.source.name);
        })?;
        Ok(self.0.with(self.0.selection.clone(), self.rows(), encoder))
    }

    /// How patches are held.
    #[cfg(feature = "parquet")]
    pub(crate) fn layout(&self) -> Layout {
        self.0.encoder.layout
    }

    /// Rows of a batch.
    #[cfg(feature = "parquet")]
    pub(crate) fn batch_rows(&self) -> u64 {
        self.0.batch_rows
    }

    /// The encoder under a schema that says something else.
    fn relabelled(&self, edit: impl FnOnce(&mut TableInfo)) -> Result<Arc<Encoder>> {
        let encoder = &self.0.encoder;
        let mut schema = (*encoder.schema).clone();
        if let Some(mut table) = TableInfo::from_schema(&schema)? {
            edit(&mut table);
            schema.metadata.extend(table.metadata()?);
        }
        Ok(Arc::new(Encoder { schema: Arc::new(schema), ..(**encoder).clone() }))
    }

    /// The same rows in batches of about so many bytes, if nobody has said how large a batch is to be. In layout
    /// `columns` they stay as they are.
    ///
    /// ```
    /// use windrow::{PatchScan, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec(vec![0f32; 1 << 18], &[512, 512])?;
    /// let scan = PatchScan::new(image, WindowSpec::new([8, 8]))?;
    /// let stored = scan.prefer_batch_bytes(8 << 20);
    /// assert!(stored.explain().batch_bytes > scan.explain().batch_bytes);
    /// # Ok::<(), windrow::Error>(())
    /// ```
    pub fn prefer_batch_bytes(&self, bytes: u64) -> Self {
        let plan = &*self.0;
        if plan.batch_chosen || plan.encoder.layout == Layout::Columns {
            return self.clone();
        }
        let encoder = &plan.encoder;
        let row = columns::row_bytes(&encoder.grid, &encoder.columns, encoder.out_dtype(), encoder.labels.as_deref());
        let mut again = plan.with(plan.selection.clone(), plan.rows.clone(), encoder.clone());
        if let Some(plan) = Arc::get_mut(&mut again.0) {
            plan.batch_rows = (bytes / row.max(1)).clamp(1, self.num_rows().max(1));
        }
        again
    }

    /// The schema that every batch has.
    pub fn schema(&self) -> SchemaRef {
        self.0.encoder.schema.clone()
    }

    /// The windows of the array: counts, coordinates, shapes.
    pub fn grid(&self) -> &Grid {
        &self.0.encoder.grid
    }

    /// The windows, as they were asked for.
    pub fn spec(&self) -> &WindowSpec {
        &self.0.spec
    }

    /// Where the pixels come from.
    pub fn source(&self) -> &AnySource {
        &self.0.source
    }

    /// All that engines need to know.
    #[cfg(any(feature = "datafusion", feature = "polars", feature = "virtual"))]
    pub(crate) fn plan(&self) -> &Plan {
        &self.0
    }

    /// What this scan will give and cost. Reads no pixel.
    pub fn explain(&self) -> Explain {
        Explain::new(&self.0)
    }

    /// Starts reading. Any number of readers may run at once.
    ///
    /// # Errors
    /// If the source can't be opened.
    pub fn reader(&self) -> Result<PatchReader> {
        PatchReader::new(&self.0, self.0.batch_rows, self.0.prefetch)
    }

    /// Starts reading on the caller's own thread alone.
    pub(crate) fn reader_here(&self) -> Result<PatchReader> {
        PatchReader::new(&self.0, self.0.batch_rows, 0)
    }

    /// The type of the pixels in the table.
    pub(crate) fn pixel_type(&self) -> crate::DType {
        self.0.encoder.out_dtype()
    }

    /// Starts reading the patches as column-major matrices.
    ///
    /// # Errors
    /// If the source can't be opened, or the layout is `columns`.
    pub fn matrices(&self) -> Result<MatrixReader> {
        MatrixReader::new(&self.0)
    }

    /// Opens the source for windows by id, in any order: any window of the grid, whatever the rows of this scan.
    ///
    /// # Errors
    /// If the source can't be opened, or the layout is `columns`.
    pub fn taker(&self) -> Result<PatchTaker> {
        self.taker_keeping(self.0.cache_bytes)
    }

    /// The same, which keeps so many bytes of tiles.
    pub(crate) fn taker_keeping(&self, cache: u64) -> Result<PatchTaker> {
        PatchTaker::new(&*self.0.source, self.0.encoder.clone(), cache)
    }

    /// Bytes of decoded tiles that are kept.
    pub(crate) fn cache_bytes(&self) -> u64 {
        self.0.cache_bytes
    }
}

impl Plan {
    /// Whether all pixels and labels are in memory once they are opened.
    pub(crate) fn is_resident(&self) -> bool {
        let labels = self.encoder.needed_labels().is_none_or(|labels| labels.source.info().resident);
        (self.source.info().resident || !self.encoder.needs_pixels()) && labels
    }

    /// Whether windows are read one by one, from a file of which tiles are kept.
    fn keeps_tiles(&self) -> bool {
        !self.selection.is_all() && !self.is_resident()
    }

    /// Batches that a reader makes ahead: none where it reads window by window.
    pub(crate) fn flying(&self) -> usize {
        if self.keeps_tiles() { 0 } else { self.prefetch }
    }

    /// What each of several threads may keep of the tiles.
    #[cfg(any(feature = "datafusion", feature = "polars"))]
    pub(crate) fn cache_share(&self) -> u64 {
        self.cache_bytes / rayon::current_num_threads() as u64
    }

    /// The windows from the least to the greatest that is a row.
    pub(crate) fn hull(&self) -> Range<u64> {
        if self.rows.is_empty() || self.selection.is_all() {
            return self.rows.clone();
        }
        if !self.selection.is_sorted() {
            return 0..self.encoder.grid.windows();
        }
        self.selection.id(self.rows.start)..self.selection.id(self.rows.end - 1) + 1
    }

    /// The plan of other rows, or under another schema.
    fn with(&self, selection: Selection, rows: Range<u64>, encoder: Arc<Encoder>) -> PatchScan {
        let batch_rows = self.batch_rows.min(rows.end - rows.start).max(1);
        PatchScan(Arc::new(Plan {
            source: self.source.clone(),
            spec: self.spec.clone(),
            selection,
            rows,
            batch_rows,
            batch_chosen: self.batch_chosen,
            prefetch: self.prefetch,
            cache_bytes: self.cache_bytes,
            encoder,
            #[cfg(feature = "polars")]
            gathered: Default::default(),
        }))
    }
}

impl fmt::Debug for PatchScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.0.source.info();
        write!(f, "PatchScan({} {:?}, {:?}, rows {:?}", info.name, info.shape, self.0.spec, self.0.rows)?;
        self.0.selection.steps().iter().try_for_each(|step| write!(f, ", {step}"))?;
        f.write_str(")")
    }
}
