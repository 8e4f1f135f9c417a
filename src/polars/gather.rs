//! The function under the column `patch`: ids to patches.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::Array;
use polars::prelude::*;

use super::ffi;
use super::map::{On, map};
use crate::encode::{Column as TableColumn, Encoder};
use crate::schema::{TableInfo, schema};
use crate::source::Decoded;
use crate::take::PatchTaker;
use crate::{AnySource, Error, Layout, PatchScan, Result};

/// The patches of the windows with these ids, in the layout and type of the scan: any window of the grid, whatever the
/// rows of the scan. Null ids give null patches.
///
/// ```
/// use polars::prelude::*;
/// use windrow::{Layout, PatchScan, StridedView, WindowSpec};
///
/// let image = StridedView::from_vec((0..100u8).collect(), &[10, 10])?;
/// let scan = PatchScan::builder(image, WindowSpec::new([2, 2])).layout(Layout::Binary).build()?;
/// let pairs = df!("anchor" => [Some(0u32), Some(80), None])?;
/// let frame = pairs
///     .lazy()
///     .with_columns([windrow::polars::patch_of(&scan, col("anchor")).alias("pixels")])
///     .collect()?;
/// assert_eq!(frame.column("pixels")?.binary()?.get(1), Some(&[88, 89, 98, 99][..]));
/// assert_eq!(frame.column("pixels")?.binary()?.get(2), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The expression fails when it is used if the layout is `columns`, and on a column that holds no integers; a query
/// fails on an id that is not one of the grid, and if the source can't be read.
pub fn patch_of(scan: &PatchScan, ids: impl Into<Expr>) -> Expr {
    gathered_of(scan, TableColumn::Patch, ids.into()).alias("patch")
}

/// A column of the table that is gathered, for the windows with these ids.
pub(super) fn gathered_of(scan: &PatchScan, column: TableColumn, ids: Expr) -> Expr {
    // An expression can't fail before it meets a frame.
    let gather = Gather::new(scan, column).map(Arc::new).map_err(|error| error.to_string());
    let failed = |message: &String| PolarsError::ComputeError(message.clone().into());
    let typed = gather.clone();
    let dtype = move |_: &Schema, ids: &Field| {
        let gather = typed.as_ref().map_err(failed)?;
        check_ids(ids.name(), ids.dtype())?;
        Ok(Field::new(ids.name().clone(), gather.dtype.clone()))
    };
    let on = gather.as_ref().map_or(On::Engine, |gather| gather.on());
    let patches = move |ids: Column| gather.as_ref().map_err(failed)?.patches(&ids);
    let name = match column {
        TableColumn::Label => "windrow.label",
        TableColumn::Share => "windrow.valid",
        _ => "windrow.patch",
    };
    map(ids, on, name, patches, dtype)
}

/// Refuses what can't be ids.
fn check_ids(name: &str, dtype: &DataType) -> PolarsResult<()> {
    if dtype.is_integer() || dtype.is_null() {
        return Ok(());
    }
    polars_bail!(SchemaMismatch: "window ids: column {name:?} is of type {dtype}, expected integers");
}

/// What `gather` makes of a column of ids, of which there are so many: ids of any integer type, null where these are.
pub(super) fn by_ids(
    ids: &Column,
    windows: u64,
    dtype: &DataType,
    gather: impl Fn(&[u64], &str) -> PolarsResult<Column>,
) -> PolarsResult<Column> {
    check_ids(ids.name(), ids.dtype())?;
    let name = ids.name();
    let ids = ids.as_materialized_series();
    if ids.dtype().is_signed_integer()
        && let Some(id) = ids.min::<i64>()?.filter(|&id| id < 0)
    {
        polars_bail!(ComputeError: "window: no window {id}: there are {windows}");
    }
    let ids = ids.strict_cast(&DataType::UInt64)?.rechunk();
    let ids = ids.u64()?;
    if ids.null_count() == ids.len() {
        return Ok(Column::full_null(name.clone(), ids.len(), dtype));
    }
    if ids.null_count() == 0 {
        return gather(ids.cont_slice()?, name);
    }
    let wanted: Vec<u64> = ids.iter().flatten().collect();
    let mut place = 0;
    let places: IdxCa = ids
        .iter()
        .map(|id| {
            place += IdxSize::from(id.is_some());
            id.map(|_| place - 1)
        })
        .collect();
    gather(&wanted, name)?.take(&places)
}

/// How many patches all queries over this scan and its clones have gathered so far: what a query really costs, whatever
/// its plan says.
///
/// ```
/// use polars::prelude::*;
/// use windrow::{PatchScan, StridedView, WindowSpec};
///
/// let scan = PatchScan::new(StridedView::from_vec(vec![0u8; 10_000], &[100, 100])?, WindowSpec::new([8, 8]))?;
/// let top = windrow::polars::scan(&scan)?.filter(col("y").lt(lit(10)));
/// top.clone().select([len()]).collect()?;
/// assert_eq!(windrow::polars::gathered(&scan), 0);
/// top.limit(5).collect()?;
/// assert_eq!(windrow::polars::gathered(&scan), 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn gathered(scan: &PatchScan) -> u64 {
    scan.plan().gathered.load(Ordering::Relaxed)
}

/// Gathers from one scan, on any number of threads.
struct Gather {
    scan: PatchScan,
    encoder: Arc<Encoder>,
    dtype: DataType,
    /// What a source that is decoded as a whole gave: once, not once a thread.
    decoded: Decoded,
    /// One a thread that ever gathered at the same time as others.
    idle: Mutex<Vec<PatchTaker>>,
}

impl Gather {
    fn new(scan: &PatchScan, column: TableColumn) -> Result<Self> {
        let plan = scan.plan();
        let encoder = &plan.encoder;
        if encoder.layout == Layout::Columns {
            let message = "single windows are no slices of the source: expected layout tensor or binary";
            return Err(Error::argument("layout", message));
        }
        let columns = vec![column];
        let info = TableInfo::from_schema(&encoder.schema)?
            .ok_or_else(|| Error::format("schema metadata", "a scan without how it was made"))?;
        let schema = schema(&encoder.grid, &columns, &info, encoder.labels.as_deref())?;
        let encoder = Encoder { columns, schema, ..(**encoder).clone() };
        let none = arrow_array::new_empty_array(encoder.schema.field(0).data_type());
        let dtype =
            ffi::column("patch", &none).map_err(|error| Error::argument("dtype", error.to_string()))?.dtype().clone();
        let (decoded, idle) = (Decoded::default(), Mutex::new(Vec::new()));
        Ok(Self { scan: scan.clone(), encoder: Arc::new(encoder), dtype, decoded, idle })
    }

    /// On which threads: what is in memory, or is once it is decoded, needs no wait.
    fn on(&self) -> On {
        let waits = |source: &AnySource| !source.info().resident;
        let image = self.encoder.needs_pixels() && waits(self.scan.source());
        let labels = self.encoder.needed_labels().is_some_and(|labels| waits(&labels.source));
        if image || labels { On::Other } else { On::Engine }
    }

    /// The patches of a column of ids.
    fn patches(&self, ids: &Column) -> PolarsResult<Column> {
        by_ids(ids, self.encoder.grid.windows(), &self.dtype, |ids, name| self.gather(name, ids))
    }

    fn gather(&self, name: &str, ids: &[u64]) -> PolarsResult<Column> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut taker = match idle {
            Some(taker) => taker,
            None => self.taker()?,
        };
        let batch = taker.take(ids)?;
        if self.encoder.needs_pixels() {
            self.scan.plan().gathered.fetch_add(ids.len() as u64, Ordering::Relaxed);
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(taker);
        ffi::column(name, batch.column(0) as &dyn Array)
    }

    fn taker(&self) -> Result<PatchTaker> {
        let source = self.scan.source();
        let source = if self.encoder.needs_pixels() { self.decoded.of(source)? } else { source.clone() };
        PatchTaker::new(&*source, self.encoder.clone(), self.scan.plan().cache_share())
    }
}
