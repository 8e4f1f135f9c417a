//! [`PatchTable`]: a scan as a table of DataFusion.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_schema::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Statistics};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::exec::PatchExec;
use super::filter::{Kept, known, known_columns};
use super::stats;
use crate::encode::Encoder;
use crate::schema::schema;
use crate::source::Decoded;
use crate::take::PatchTaker;
use crate::{Error, Layout, PatchScan, Result, TableInfo};

/// A scan as a table of SQL: its rows and its columns. Making one reads no pixel, and neither does planning.
///
/// ```
/// use std::sync::Arc;
///
/// use datafusion::prelude::SessionContext;
/// use windrow::datafusion::PatchTable;
/// use windrow::{PatchScan, StridedView, WindowSpec};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let image = StridedView::from_vec((0..100u8).collect(), &[10, 10])?;
/// let table = PatchTable::new(&PatchScan::new(image, WindowSpec::new([3, 3]))?)?;
/// let ctx = SessionContext::new();
/// windrow::datafusion::register(&ctx);
/// ctx.register_table("patches", Arc::new(table.clone()))?;
/// let sql = "SELECT y, x, patch_mean(patch) AS mean FROM patches WHERE y = 7 AND x < 2 ORDER BY x";
/// let batches = ctx.sql(sql).await?.collect().await?;
/// assert_eq!(batches[0].num_rows(), 2);
/// assert_eq!(table.gathered(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PatchTable {
    scan: PatchScan,
    state: Arc<State>,
}

/// In a session with this extension nobody relies on the order of rows: where they are exchanged between processes, it is
/// lost, and a sort that was left out for it is missed.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Unordered;

/// What all queries over a table share.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Patches that were gathered.
    pub(super) gathered: AtomicU64,
    /// What a source that is decoded as a whole gave: once, not once a partition.
    decoded: Decoded,
}

impl PatchTable {
    /// The table of a scan.
    ///
    /// # Errors
    /// If the layout is `columns`, whose rows are not all windows.
    pub fn new(scan: &PatchScan) -> Result<Self> {
        if scan.plan().encoder.layout == Layout::Columns {
            let message = "its columns have rows that are no windows: expected layout tensor or binary for SQL";
            return Err(Error::argument("layout", message));
        }
        Ok(Self { scan: scan.clone(), state: Arc::default() })
    }

    /// The scan.
    pub fn patch_scan(&self) -> &PatchScan {
        &self.scan
    }

    /// How many patches all queries over this table and its clones have gathered so far: what a query really costs,
    /// whatever its plan says.
    pub fn gathered(&self) -> u64 {
        self.state.gathered.load(Ordering::Relaxed)
    }

    pub(super) fn state(&self) -> Arc<State> {
        self.state.clone()
    }

    /// The encoder of some of the columns, by their places.
    pub(super) fn encoder(&self, projection: Option<&Vec<usize>>) -> DataFusionResult<Arc<Encoder>> {
        let encoder = &self.scan.plan().encoder;
        let Some(places) = projection else { return Ok(encoder.clone()) };
        let columns = places.iter().map(|&place| encoder.columns[place]).collect();
        let schema = Arc::new(encoder.schema.project(places)?);
        Ok(Arc::new(Encoder { columns, schema, ..(**encoder).clone() }))
    }
}

impl State {
    /// Opens the source of a scan for windows by id.
    pub(super) fn taker(&self, scan: &PatchScan, encoder: Arc<Encoder>) -> Result<PatchTaker> {
        let source = if encoder.needs_pixels() { self.decoded.of(scan.source())? } else { scan.source().clone() };
        PatchTaker::new(&*source, encoder, scan.plan().cache_share())
    }
}

/// The encoder of what is known of windows before their pixels are.
pub(super) fn known_encoder(scan: &PatchScan) -> Result<Arc<Encoder>> {
    let encoder = &scan.plan().encoder;
    let columns = known_columns(&encoder.grid);
    let info = TableInfo::from_schema(&encoder.schema)?
        .ok_or_else(|| Error::format("schema metadata", "a scan without how it was made"))?;
    let schema = schema(&encoder.grid, &columns, &info, None)?;
    let schema = Arc::new(Schema::new(schema.fields().clone()));
    Ok(Arc::new(Encoder { columns, schema, labels: None, nodata: None, ..(**encoder).clone() }))
}

#[async_trait]
impl TableProvider for PatchTable {
    fn schema(&self) -> SchemaRef {
        self.scan.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters on what is known of a window without its pixels are applied here.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        let grid = self.scan.grid();
        let is_known = |filter: &&Expr| {
            let columns = filter.column_refs();
            !columns.is_empty()
                && !filter.is_volatile()
                && columns.iter().all(|column| known(grid, &column.name).is_some())
        };
        let pushed = |filter| match is_known(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(pushed).collect())
    }

    fn statistics(&self) -> Option<Statistics> {
        stats::of(&self.scan, &self.scan.plan().encoder, self.scan.rows()).ok()
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let grid = self.scan.grid();
        let (mut kept, mut narrowed, mut rest) = (Kept::all(grid), false, Vec::new());
        for filter in filters {
            if self.scan.plan().selection.is_sorted() && kept.narrow(grid, filter) {
                narrowed = true;
            } else {
                rest.push(filter.clone());
            }
        }
        let predicate = match conjunction(rest) {
            None => None,
            Some(filter) => {
                let known = DFSchema::try_from(known_encoder(&self.scan)?.schema.clone())?;
                Some(session.create_physical_expr(filter, &known)?)
            }
        };
        let (encoder, state) = (self.encoder(projection)?, self.state.clone());
        let partitions = session.config().target_partitions();
        let kept = narrowed.then_some(kept);
        let exec = PatchExec::new(self.scan.clone(), kept, limit, encoder, state, predicate, partitions)?;
        let keeps = session.config().get_extension::<Unordered>().is_none();
        Ok(Arc::new(if keeps { exec } else { exec.unordered() }))
    }
}
