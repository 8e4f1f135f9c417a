//! A scan as a table of [DataFusion](https://datafusion.apache.org): SQL over patches.
//!
//! [`PatchTable`] is the table, [`register`] brings the function `patches('scene.tif', window => '8x8', step => 2)`,
//! which is such a table in the middle of a query, and functions of patches.
//!
//! # What is gathered
//! Filters on `window` and on the coordinates are applied before anything is gathered: comparisons with whole numbers,
//! `BETWEEN`, `IN`, and `AND`, `OR` and `NOT` of them are ranges of rows, by arithmetic; all others (`x % 7 = 0`, what one
//! side of a join knows of the other) are computed on the ids and coordinates alone. So are projections and limits:
//! `count(*)`, `min(y)` and a query without `patch` read no pixel. `EXPLAIN` says how many rows and bytes are gathered,
//! `EXPLAIN ANALYZE` how many were.
//!
//! ```text
//! EXPLAIN SELECT patch FROM t WHERE y BETWEEN 10 AND 19
//! PatchExec: scene.tif, windows=8x8, columns=[patch], rows=4440 of 130092, bytes=277.5 KiB, partitions=1
//! ```
//!
//! A partition is a [split](crate::PatchScan::splits). Rows come in the order of the ids, and DataFusion knows it: `ORDER
//! BY "window"` or `ORDER BY y, x` sorts nothing.
//!
//! # Functions
//! `patch_mean`, `patch_std` (of the population), `patch_sum`, `patch_min`, `patch_max` and `patch_quantile(patch, 0.9)`
//! take nested lists of a fixed size as the layouts `tensor` and `fixed-shape-tensor` have them. Pixels that are null
//! count for nothing; where one is NaN, so is the result. Single pixels are `patch[1][1]`, counted from 1 as in all SQL.
//!
//! # Several machines
//! The crate `windrow-distributed` deals queries to workers. A leaf of a plan, [`PatchExec`], travels as a value.
//!
//! # Memory
//! Every partition holds a band of the source and one batch (2 MiB, and at most 65,536 rows); other operators as
//! DataFusion has them. A file that is decoded as a whole (PNG, JPEG, …) is decoded by the first query that uses pixels,
//! and stays in memory as long as the table.

mod element;
mod exec;
mod filter;
mod function;
mod options;
#[cfg(feature = "cli")]
pub(crate) mod output;
mod ranges;
mod stats;
mod table;
mod udf;
mod wire;

use std::sync::Arc;

use datafusion::config::MaxRowGroupBytes;
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::{SessionConfig, SessionContext};

pub use exec::PatchExec;
pub use options::scan_of;
pub use table::{PatchTable, Unordered};

/// Brings the table function `patches` and the functions of patches to a session.
///
/// ```
/// use datafusion::prelude::SessionContext;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> datafusion::error::Result<()> {
/// let ctx = SessionContext::new_with_config(windrow::datafusion::config());
/// windrow::datafusion::register(&ctx)?;
/// let sql = "SELECT count(*) FROM patches('data/chelsea.png', window => '8x8', step => 2)";
/// ctx.sql(sql).await?.show().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the session's state can't be changed.
pub fn register(ctx: &SessionContext) -> Result<()> {
    ctx.register_udtf(function::NAME, Arc::new(function::Patches));
    ctx.register_relation_planner(Arc::new(function::Named))?;
    functions().for_each(|udf| ctx.register_udf(udf));
    ctx.state_ref().write().register_function_rewrite(Arc::new(element::Straight))?;
    Ok(())
}

/// The functions of patches.
#[doc(hidden)]
pub fn functions() -> impl Iterator<Item = ScalarUDF> {
    udf::all().chain([element::PatchPixel::new().into()])
}

/// DataFusion's defaults, but for rows as wide as patches: `COPY` writes row groups of 64 MiB, and of 32,768 rows at most,
/// one after the other.
pub fn config() -> SessionConfig {
    let mut config = SessionConfig::from_env().unwrap_or_default();
    let options = config.options_mut();
    options.execution.parquet.max_row_group_bytes = MaxRowGroupBytes::try_new(ROW_GROUP_BYTES).ok();
    // Those bytes are counted as they are stored, and patches are stored in a small part of what they take.
    options.execution.parquet.max_row_group_size = ROW_GROUP_ROWS;
    options.execution.parquet.allow_single_file_parallelism = false;
    config
}

/// Rows of a row group that `COPY` writes.
const ROW_GROUP_ROWS: usize = 1 << 15;

/// Bytes of a row group that `COPY` writes.
const ROW_GROUP_BYTES: usize = 64 << 20;
