//! [`PatchExec`]: the leaf of a physical plan, which gathers windows.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_schema::SortOptions;
use bytesize::ByteSize;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Statistics, internal_err};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column as ColumnExpr;
use datafusion::physical_expr::utils::{collect_columns, conjunction, reassign_expr_columns};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};

use super::filter::Kept;
use super::stats;
use super::table::{State, known_encoder};
use crate::encode::{Column, Encoder, Gathered};
use crate::rows::Rows;
use crate::scan::row_bytes;
use crate::take::PatchTaker;
use crate::window::by;
use crate::{BufferPool, PatchScan, Result};

/// Gathers some rows and columns of a [`PatchTable`](super::PatchTable): a split of the scan a partition.
///
/// Filters that are more than ranges are computed on ids and coordinates, a few thousand windows at a time, and only
/// those that they leave are gathered.
#[derive(Clone, Debug)]
pub struct PatchExec {
    /// The whole table.
    pub(super) table: PatchScan,
    /// Which of its windows filters leave by arithmetic.
    pub(super) kept: Option<Kept>,
    /// The rows that are left.
    pub(super) scan: PatchScan,
    pub(super) encoder: Arc<Encoder>,
    /// What filters are computed on.
    pub(super) known: Arc<Encoder>,
    pub(super) predicate: Option<Arc<dyn PhysicalExpr>>,
    pub(super) splits: Vec<Range<u64>>,
    /// The most rows of each partition.
    pub(super) fetch: Option<usize>,
    /// Whether rows are said to come in the order that they have.
    ordered: bool,
    state: Arc<State>,
    metrics: ExecutionPlanMetricsSet,
    properties: Arc<PlanProperties>,
}

/// The most rows of a batch: other operators are made for thousands.
const MOST_BATCH_ROWS: u64 = 1 << 16;

/// Rows that a filter looks at together.
const LOOK_ROWS: u64 = 1 << 13;

impl PatchExec {
    /// Of the rows that `kept` leaves of a table, at most `limit`.
    pub(super) fn new(
        table: PatchScan,
        kept: Option<Kept>,
        limit: Option<usize>,
        encoder: Arc<Encoder>,
        state: Arc<State>,
        predicate: Option<Arc<dyn PhysicalExpr>>,
        partitions: usize,
    ) -> Result<Self> {
        let mut scan = match &kept {
            Some(kept) => kept.rows(&table)?,
            None => table.clone(),
        };
        if let (Some(limit), None) = (limit, &predicate) {
            let rows = scan.rows();
            scan = scan.with_rows(rows.start..rows.end.min(rows.start.saturating_add(limit as u64)))?;
        }
        let known = known_encoder(&scan)?;
        let properties = Arc::new(properties(&scan, &encoder, 1, true));
        let metrics = ExecutionPlanMetricsSet::new();
        let splits = vec![scan.rows()];
        let (fetch, ordered) = (limit, true);
        let exec =
            Self { table, kept, scan, encoder, known, predicate, splits, fetch, ordered, state, metrics, properties };
        // No partition for less than a batch.
        let splits = exec.scan.cuts((partitions as u64).min(exec.batches()).max(1), "partitions")?;
        Ok(exec.in_splits(splits))
    }

    /// The same rows, or some of them, in other partitions, and nothing measured yet.
    pub(super) fn in_splits(mut self, splits: Vec<Range<u64>>) -> Self {
        self.properties = Arc::new(properties(&self.scan, &self.encoder, splits.len(), self.ordered));
        self.metrics = ExecutionPlanMetricsSet::new();
        Self { splits, ..self }
    }

    /// The same of which nobody knows in what order rows come.
    pub(super) fn unordered(mut self) -> Self {
        self.ordered = false;
        let splits = std::mem::take(&mut self.splits);
        self.in_splits(splits)
    }

    /// How many batches all rows are.
    pub(super) fn batches(&self) -> u64 {
        self.scan.num_rows().div_ceil(batch_rows(&self.scan, &self.encoder))
    }

    /// The same with at most so many rows of each partition.
    pub(super) fn fetching(mut self, limit: Option<usize>) -> Self {
        self.fetch = match (self.fetch, limit) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self
    }

    /// The scan whose rows are gathered, and filtered if there are other filters.
    pub fn patch_scan(&self) -> &PatchScan {
        &self.scan
    }

    /// The most rows that are gathered, and their bytes.
    fn cost(&self) -> (u64, u64) {
        let most = self.fetch.map_or(u64::MAX, |fetch| fetch as u64);
        let rows = self.splits.iter().map(|split| (split.end - split.start).min(most)).sum::<u64>();
        let encoder = &self.encoder;
        let bytes = row_bytes(&encoder.grid, &encoder.columns, encoder.out_dtype(), encoder.labels.as_deref());
        (rows, rows.saturating_mul(bytes))
    }

    /// The rows of a partition, or of all.
    fn rows_of(&self, partition: Option<usize>) -> Range<u64> {
        let ends = || self.splits.first().zip(self.splits.last()).map_or(0..0, |(a, b)| a.start..b.end);
        partition.map_or_else(ends, |partition| self.splits[partition].clone())
    }
}

/// Rows of a batch.
fn batch_rows(scan: &PatchScan, encoder: &Encoder) -> u64 {
    let wide = encoder.needs_pixels() || encoder.needed_labels().is_some();
    if wide { scan.plan().batch_rows.clamp(1, MOST_BATCH_ROWS) } else { MOST_BATCH_ROWS }
}

/// How the rows come.
fn properties(scan: &PatchScan, encoder: &Encoder, partitions: usize, ordered: bool) -> PlanProperties {
    let schema = encoder.schema.clone();
    let rising = |column: Column| {
        let place = encoder.columns.iter().position(|&own| own == column)?;
        let expr = Arc::new(ColumnExpr::new(schema.field(place).name(), place));
        Some(PhysicalSortExpr::new(expr, SortOptions { descending: false, nulls_first: false }))
    };
    let mut orders: Vec<Vec<PhysicalSortExpr>> = Vec::new();
    if ordered && scan.plan().selection.is_sorted() {
        orders.extend(rising(Column::Window).map(|window| vec![window]));
        // The grid is in C order: by the first axis, then by the next.
        let axes = (0..scan.grid().sliding().count()).map_while(|axis| rising(Column::Start(axis)));
        orders.extend(Some(axes.collect::<Vec<_>>()).filter(|axes| !axes.is_empty()));
    }
    let known = EquivalenceProperties::new_with_orderings(schema.clone(), orders);
    let partitioning = Partitioning::UnknownPartitioning(partitions);
    PlanProperties::new(known, partitioning, EmissionType::Incremental, Boundedness::Bounded)
}

impl DisplayAs for PatchExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, bytes) = self.cost();
        let most = if self.predicate.is_some() { "at most " } else { "" };
        let name = &self.scan.source().info().name;
        let columns: Vec<_> = self.encoder.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let windows = by(&self.scan.spec().window_shape);
        if matches!(kind, DisplayFormatType::TreeRender) {
            writeln!(f, "image={name}")?;
            writeln!(f, "windows={windows}")?;
            writeln!(f, "rows={most}{rows}")?;
            return writeln!(f, "bytes={}", ByteSize(bytes));
        }
        write!(f, "PatchExec: {name}, windows={windows}, columns=[{}], ", columns.join(", "))?;
        write!(f, "rows={most}{rows} of {}, bytes={most}{}", self.table.num_rows(), ByteSize(bytes))?;
        if let Some(fetch) = self.fetch {
            write!(f, ", fetch={fetch}")?;
        }
        if let Some(predicate) = &self.predicate {
            write!(f, ", filter={predicate}")?;
        }
        write!(f, ", partitions={}", self.splits.len())
    }
}

impl ExecutionPlan for PatchExec {
    fn name(&self) -> &str {
        "PatchExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        self.predicate.as_ref().map_or(Ok(TreeNodeRecursion::Continue), f)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("PatchExec has no children") }
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> DataFusionResult<SendableRecordBatchStream> {
        let Some(rows) = self.splits.get(partition).cloned() else {
            return internal_err!("no partition {partition}: PatchExec has {}", self.splits.len());
        };
        let gathering = Gathering {
            exec: self.clone(),
            taker: None,
            pool: BufferPool::new(self.known.columns.len() + 1),
            rows,
            ready: Vec::new(),
            left: self.fetch.map_or(u64::MAX, |fetch| fetch as u64),
            baseline: BaselineMetrics::new(&self.metrics, partition),
            patches: MetricBuilder::new(&self.metrics).counter("patches_gathered", partition),
            bytes: MetricBuilder::new(&self.metrics).counter("bytes_gathered", partition),
        };
        let schema = self.encoder.schema.clone();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(gathering))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> DataFusionResult<Arc<Statistics>> {
        let known = stats::of(&self.scan, &self.encoder, self.rows_of(args.partition()))?;
        let known = if self.predicate.is_some() { known.to_inexact() } else { known };
        let parts = if args.partition().is_some() { 1 } else { self.splits.len() };
        Ok(Arc::new(if self.fetch.is_some() { known.with_fetch(self.fetch, 0, parts)? } else { known }))
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(self.clone().fetching(limit)))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    /// Filters that a plan finds on its way, such as those that one side of a join knows of the other.
    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        filters: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> DataFusionResult<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let mut taken: Vec<_> = self.predicate.iter().cloned().collect();
        let mut answers = Vec::with_capacity(filters.parent_filters.len());
        for filter in filters.parent_filters.into_iter().map(|filter| filter.filter) {
            let columns = collect_columns(&filter);
            let known =
                !columns.is_empty() && columns.iter().all(|column| self.known.schema.index_of(column.name()).is_ok());
            // Once rows are cut off, what is left must not be filtered.
            if !known || self.fetch.is_some() {
                answers.push(PushedDown::No);
                continue;
            }
            taken.push(reassign_expr_columns(filter, &self.known.schema)?);
            answers.push(PushedDown::Yes);
        }
        let propagation = FilterPushdownPropagation::with_parent_pushdown_result(answers.clone());
        if !answers.iter().any(|answer| matches!(answer, PushedDown::Yes)) {
            return Ok(propagation);
        }
        let exec: Arc<dyn ExecutionPlan> = Arc::new(Self { predicate: Some(conjunction(taken)), ..self.clone() });
        Ok(propagation.with_updated_node(exec))
    }
}

/// One partition on its way.
struct Gathering {
    exec: PatchExec,
    taker: Option<PatchTaker>,
    pool: BufferPool,
    /// Rows that are left.
    rows: Range<u64>,
    /// Windows that a filter has left, and that are not gathered yet.
    ready: Vec<u64>,
    /// The most rows that are still wanted.
    left: u64,
    baseline: BaselineMetrics,
    patches: Count,
    bytes: Count,
}

impl Gathering {
    fn next_batch(&mut self) -> DataFusionResult<Option<RecordBatch>> {
        let most = batch_rows(&self.exec.scan, &self.exec.encoder).min(self.left);
        let ids = match self.exec.predicate.clone() {
            None => self.next_ids(most),
            Some(predicate) => {
                while (self.ready.len() as u64) < most && !self.rows.is_empty() {
                    let looked = self.next_ids(LOOK_ROWS);
                    self.look(&looked, &predicate)?;
                }
                let rest = self.ready.split_off(self.ready.len().min(most as usize));
                std::mem::replace(&mut self.ready, rest)
            }
        };
        if ids.is_empty() {
            return Ok(None);
        }
        self.left -= ids.len() as u64;
        let taker = match &mut self.taker {
            Some(taker) => taker,
            taker => taker.insert(self.exec.state.taker(&self.exec.scan, self.exec.encoder.clone())?),
        };
        let batch = taker.take(&ids)?;
        if self.exec.encoder.needs_pixels() {
            self.exec.state.gathered.fetch_add(ids.len() as u64, Ordering::Relaxed);
            self.patches.add(ids.len());
            self.bytes.add(ids.len().saturating_mul(self.exec.encoder.patch_bytes()));
        }
        Ok(Some(batch))
    }

    /// The windows that are the next rows.
    fn next_ids(&mut self, most: u64) -> Vec<u64> {
        let end = self.rows.end.min(self.rows.start.saturating_add(most));
        let ids = self.exec.scan.plan().selection.ids(self.rows.start..end);
        self.rows.start = end;
        ids
    }

    /// Keeps those of some windows that a filter leaves.
    fn look(&mut self, ids: &[u64], predicate: &Arc<dyn PhysicalExpr>) -> DataFusionResult<()> {
        let known = self.exec.known.batch(Gathered::default(), &Rows::of(ids), &self.pool)?;
        let answer = predicate.evaluate(&known)?.into_array(ids.len())?;
        let Some(kept) = answer.as_boolean_opt() else {
            return internal_err!("a filter of type {}: {predicate}", answer.data_type());
        };
        self.ready.extend(ids.iter().zip(yes(kept)).filter_map(|(&id, yes)| yes.then_some(id)));
        Ok(())
    }
}

/// Null is no yes.
fn yes(answers: &BooleanArray) -> impl Iterator<Item = bool> + '_ {
    answers.iter().map(|answer| answer == Some(true))
}

impl Iterator for Gathering {
    type Item = DataFusionResult<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let time = self.baseline.elapsed_compute().clone();
        let _timer = time.timer();
        let batch = self.next_batch();
        if let Ok(Some(batch)) = &batch {
            batch.record_output(&self.baseline);
        }
        if batch.is_err() {
            self.left = 0;
        }
        batch.transpose()
    }
}

impl From<crate::Error> for DataFusionError {
    fn from(error: crate::Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}
