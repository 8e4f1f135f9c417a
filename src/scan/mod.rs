//! [`PatchScan`]: the repeatable plan of a table of windows.

mod builder;
mod columns;
mod cost;
mod explain;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_schema::SchemaRef;

pub use builder::ScanBuilder;
pub use explain::Explain;

use crate::encode::Encoder;
use crate::matrix::MatrixReader;
use crate::reader::PatchReader;
use crate::source::AnySource;
use crate::take::PatchTaker;
use crate::{ErrorKind, Grid, Result, TableInfo, WindowSpec};

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
    pub(crate) rows: Range<u64>,
    pub(crate) batch_rows: u64,
    pub(crate) prefetch: usize,
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

    /// The windows that are the rows of this scan, by id.
    pub fn rows(&self) -> Range<u64> {
        self.0.rows.clone()
    }

    /// The same table with these rows alone: windows by id, as in [`rows`](Self::rows).
    ///
    /// ```
    /// use windrow::{PatchScan, StridedView, WindowSpec};
    ///
    /// let image = StridedView::from_vec(vec![0u8; 100], &[10, 10])?;
    /// let scan = PatchScan::new(image, WindowSpec::new([3, 3]))?;
    /// let part = scan.with_rows(10..30)?;
    /// assert_eq!(part.num_rows(), 20);
    /// assert!(scan.with_rows(10..65).is_err());
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there are no such windows.
    pub fn with_rows(&self, rows: Range<u64>) -> Result<Self> {
        let windows = self.grid().windows();
        if rows.start > rows.end || rows.end > windows {
            return Err(ErrorKind::Rows { start: rows.start, end: rows.end, rows: windows }.into());
        }
        let batch_rows = self.0.batch_rows.min(rows.end - rows.start).max(1);
        let encoder = self.relabelled(|table| table.rows = (rows.start, rows.end))?;
        Ok(self.0.with(rows, batch_rows, encoder))
    }

    /// The same table of a source that was once called otherwise.
    #[cfg(feature = "parquet")]
    pub(crate) fn named(&self, name: &str) -> Result<Self> {
        let encoder = self.relabelled(|table| name.clone_into(&mut table.source.name))?;
        Ok(self.0.with(self.rows(), self.0.batch_rows, encoder))
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
    #[cfg(any(feature = "polars", feature = "virtual"))]
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
        let plan = &self.0;
        PatchReader::new(&*plan.source, plan.encoder.clone(), plan.rows.clone(), plan.batch_rows, plan.prefetch)
    }

    /// Starts reading the patches as column-major matrices.
    ///
    /// # Errors
    /// If the source can't be opened, or the layout is `columns`.
    pub fn matrices(&self) -> Result<MatrixReader> {
        MatrixReader::new(&*self.0.source, self.0.encoder.clone(), self.rows())
    }

    /// Opens the source for windows by id, in any order: any window of the grid, whatever the rows of this scan.
    ///
    /// # Errors
    /// If the source can't be opened, or the layout is `columns`.
    pub fn taker(&self) -> Result<PatchTaker> {
        PatchTaker::new(&*self.0.source, self.0.encoder.clone())
    }
}

impl Plan {
    /// The plan of other rows, or under another schema.
    fn with(&self, rows: Range<u64>, batch_rows: u64, encoder: Arc<Encoder>) -> PatchScan {
        PatchScan(Arc::new(Plan {
            source: self.source.clone(),
            spec: self.spec.clone(),
            rows,
            batch_rows,
            prefetch: self.prefetch,
            encoder,
            #[cfg(feature = "polars")]
            gathered: Default::default(),
        }))
    }
}

impl fmt::Debug for PatchScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.0.source.info();
        write!(f, "PatchScan({} {:?}, {:?}, rows {:?})", info.name, info.shape, self.0.spec, self.0.rows)
    }
}
