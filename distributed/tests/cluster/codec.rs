//! Leaves of plans as bytes, and bytes that are none.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::prelude::SessionContext;
use datafusion_proto::physical_plan::{DefaultPhysicalProtoConverter, PhysicalExtensionCodec};
use windrow::datafusion::PatchExec;
use windrow_distributed::PatchCodec;

const TABLE: &str = "patches('../data/chelsea.png', window => '8x8', step => 3)";

async fn leaf(sql: &str) -> Arc<dyn ExecutionPlan> {
    let ctx = SessionContext::new_with_config(windrow::datafusion::config().with_target_partitions(3));
    windrow::datafusion::register(&ctx).unwrap();
    let mut plan = ctx.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    while !plan.is::<PatchExec>() {
        plan = plan.children()[0].clone();
    }
    plan
}

fn encode(plan: &Arc<dyn ExecutionPlan>) -> Vec<u8> {
    let mut bytes = Vec::new();
    PatchCodec.try_encode(plan.clone(), &mut bytes, &DefaultPhysicalProtoConverter {}).unwrap();
    bytes
}

fn decode(bytes: &[u8]) -> Result<Arc<dyn ExecutionPlan>> {
    PatchCodec.try_decode(bytes, &[], &TaskContext::default(), &DefaultPhysicalProtoConverter {})
}

async fn rows(plan: Arc<dyn ExecutionPlan>) -> Vec<RecordBatch> {
    collect(plan, Arc::default()).await.unwrap()
}

#[tokio::test]
async fn a_leaf_is_a_value() {
    for rest in [
        "",
        "WHERE y BETWEEN 30 AND 100 AND x > 17",
        "WHERE y IN (3, 300) OR y = 9",
        "WHERE x % 7 = 2 AND y > 50",
        "WHERE x % 7 = 2 LIMIT 9",
        "LIMIT 1000 OFFSET 3",
        "WHERE y < 0",
        "WHERE \"window\" NOT BETWEEN 10 AND 12000",
    ] {
        for columns in ["*", "patch", "x, patch, y", "\"window\""] {
            let plan = leaf(&format!("SELECT {columns} FROM {TABLE} {rest}")).await;
            let again = decode(&encode(&plan)).unwrap();
            let text = |plan: &Arc<dyn ExecutionPlan>| displayable(plan.as_ref()).one_line().to_string();
            assert_eq!(text(&again), text(&plan));
            assert_eq!(again.schema(), plan.schema());
            assert_eq!(rows(again).await, rows(plan).await, "{columns} {rest}");
        }
    }
}

/// The parts of a leaf are its rows.
#[tokio::test]
async fn parts_are_the_whole() {
    for rest in ["", "WHERE y BETWEEN 30 AND 100", "WHERE x % 7 = 2", "WHERE y < 0"] {
        let plan = leaf(&format!("SELECT y, x, patch FROM {TABLE} {rest}")).await;
        let exec = plan.downcast_ref::<PatchExec>().unwrap();
        for (parts, partitions) in [(1, 1), (2, 2), (3, 5), (40, 2)] {
            let mut all = Vec::new();
            for part in exec.parts(parts, partitions).unwrap() {
                all.extend(rows(decode(&encode(&(Arc::new(part) as Arc<dyn ExecutionPlan>))).unwrap()).await);
            }
            let whole =
                |batches: &[RecordBatch]| datafusion::arrow::compute::concat_batches(&plan.schema(), batches).unwrap();
            assert_eq!(whole(&all), whole(&rows(plan.clone()).await), "{rest} in {parts} of {partitions}");
        }
    }
}

/// Whatever bytes come, they are a leaf or an error.
#[tokio::test]
async fn broken_bytes_are_errors() {
    let plan = leaf(&format!("SELECT y, patch FROM {TABLE} WHERE y BETWEEN 30 AND 100 AND x % 7 = 2")).await;
    let bytes = encode(&plan);
    for end in 0..bytes.len() {
        if let Ok(leaf) = decode(&bytes[..end]) {
            // What is cut off here is the predicate alone.
            assert!(leaf.downcast_ref::<PatchExec>().unwrap().predicate().is_none());
        }
    }
    for at in 0..bytes.len() {
        for byte in [0, b'9', b'"', b'}', 0xff, bytes[at] ^ 1] {
            let mut broken = bytes.clone();
            broken[at] = byte;
            if let Ok(leaf) = decode(&broken) {
                let _ = collect(leaf, Arc::default()).await;
            }
        }
    }
}

/// Places and rows that are not there, one at a time.
#[tokio::test]
async fn wrong_numbers_are_errors() {
    let plan = leaf(&format!("SELECT y, patch FROM {TABLE} WHERE y BETWEEN 30 AND 100")).await;
    let json = plan.downcast_ref::<PatchExec>().unwrap().to_json().unwrap();
    let error = |from: &str, to: &str| {
        assert!(json.contains(from), "{from} in {json}");
        PatchExec::from_json(&json.replacen(from, to, 1)).unwrap_err().to_string()
    };
    assert!(error("\"columns\":[1,3]", "\"columns\":[1,4]").contains("column 4 of 4"));
    assert!(error("\"version\":\"0.1.0\"", "\"version\":\"9.0.0\"").contains("of windrow 9.0.0: this is windrow"));
    assert!(
        error("\"splits\":[{", "\"splits\":[{\"rows\":{\"start\":5,\"end\":4},\"ends\":null},{").contains("rows 5..4")
    );
    assert!(error("\"ends\":[", "\"ends\":[1").contains("windows"));
    assert!(error("bytes of ", "bytes of 1").contains("not the file that the query was planned with"));
    assert!(error("\"axes\":[[", "\"axes\":[[],[").contains("number of axes"));
    assert!(error("chelsea.png", "chelsea.pgn").contains("cannot open"));
}

/// A mask is a file that says which rows there are.
#[tokio::test]
async fn a_mask_is_the_one_that_was_planned_with() {
    let folder = tempfile::tempdir().unwrap();
    let (image, mask) = (folder.path().join("image.npy"), folder.path().join("mask.npy"));
    super::write_npy(&image, 0);
    super::write_npy(&mask, 1);
    let table = format!("patches('{}', window => '16x16', mask => '{}')", image.display(), mask.display());
    let plan = leaf(&format!("SELECT y, patch FROM {table}")).await;
    let bytes = encode(&plan);
    assert_eq!(rows(decode(&bytes).unwrap()).await, rows(plan).await);
    // Its pixels are what they were, but nobody knows that.
    super::write_npy(&mask, 1);
    let error = decode(&bytes).unwrap_err().to_string();
    assert!(error.contains("mask.npy: not the file that the query was planned with"), "{error}");
}
