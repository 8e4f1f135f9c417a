//! SQL over patches: what queries answer, and how many windows they gather for it.

mod functions;
mod pushdown;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use datafusion::prelude::SessionContext;
use windrow::datafusion::PatchTable;
use windrow::{PatchScan, StridedView, WindowSpec};

/// 93 by 53 windows of 8 by 8.
pub fn scan() -> PatchScan {
    let pixels: Vec<u16> = (0..100 * 60u32).map(|i| (i.wrapping_mul(2654435761) >> 18) as u16).collect();
    PatchScan::new(StridedView::from_vec(pixels, &[100, 60]).unwrap(), WindowSpec::new([8, 8])).unwrap()
}

pub const LINES: i64 = 93;
pub const LINE: i64 = 53;

/// A session in which `t` is the table of a scan, read in so many partitions.
pub fn session(scan: &PatchScan, partitions: usize) -> (SessionContext, PatchTable) {
    let table = PatchTable::new(scan).unwrap();
    let config = windrow::datafusion::config().with_target_partitions(partitions);
    let ctx = SessionContext::new_with_config(config);
    windrow::datafusion::register(&ctx).unwrap();
    ctx.register_table("t", Arc::new(table.clone())).unwrap();
    (ctx, table)
}

pub async fn ask(ctx: &SessionContext, sql: &str) -> RecordBatch {
    let frame = ctx.sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    arrow_select::concat::concat_batches(&schema, &batches).unwrap()
}

pub async fn error(ctx: &SessionContext, sql: &str) -> String {
    match ctx.sql(sql).await {
        Err(error) => error.to_string(),
        Ok(frame) => frame.collect().await.unwrap_err().to_string(),
    }
}

pub fn ids(batch: &RecordBatch) -> Vec<u64> {
    batch["window"].as_primitive::<UInt64Type>().values().to_vec()
}

pub fn ints(batch: &RecordBatch, column: usize) -> Vec<i64> {
    batch.column(column).as_primitive::<Int64Type>().values().to_vec()
}
