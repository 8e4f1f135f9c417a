//! Queries over patches beside the same arithmetic over the reader: `cargo bench --features datafusion --bench sql [rounds]`.
//!
//! 16.7 M windows of 8 by 8 pixels, float32 in memory. The two take turns, round after round, and of each the fastest round
//! counts; what is printed are ratios. The other side is the reader drained, with what its threads make ahead, and Arrow's
//! own kernels on each batch: the same mean of each patch; the sum of all pixels at once, which for patches of one size comes to
//! the same with less work; or a pixel of each patch, taken by Arrow and summed.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{AsArray, Float32Array, RecordBatch, UInt64Array};
use datafusion::arrow::compute::{sum, take};
use datafusion::arrow::datatypes::{Float32Type, Float64Type};
use datafusion::prelude::SessionContext;
use tokio::runtime::Runtime;
use windrow::datafusion::PatchTable;
use windrow::{PatchScan, StridedView, WindowSpec};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// A query, what is done beside it, and how.
type Job<'a> = (&'a str, &'a str, &'a dyn Fn() -> Result<f64>);

/// 4096 by 4096 windows.
const SIDE: usize = 4103;
const CELLS: usize = 64;

/// The pixels of a batch, one patch after the other.
fn pixels(batch: &RecordBatch) -> Float32Array {
    let lines = batch["patch"].as_fixed_size_list().values().clone();
    lines.as_fixed_size_list().values().as_primitive::<Float32Type>().clone()
}

/// The mean over the rows of a number for each batch.
fn drain(scan: &PatchScan, number: impl Fn(&Float32Array) -> f64) -> Result<f64> {
    let mut all = 0.0;
    for batch in scan.reader()? {
        all += number(&pixels(&batch?));
    }
    Ok(all / scan.num_rows() as f64)
}

fn main() -> Result<()> {
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(5);
    let noise = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 24) as f32;
    let image = StridedView::from_vec((0..SIDE * SIDE).map(noise).collect(), &[SIDE, SIDE])?;
    let scan = PatchScan::builder(image, WindowSpec::new([8, 8])).columns(["patch"]).build()?;
    let ctx = SessionContext::new_with_config(windrow::datafusion::config());
    windrow::datafusion::register(&ctx)?;
    ctx.register_table("t", Arc::new(PatchTable::new(&scan)?))?;
    let runtime = Runtime::new()?;
    let ask = |sql: &str| -> Result<f64> {
        let batches = runtime.block_on(async { ctx.sql(sql).await?.collect().await })?;
        Ok(batches[0].column(0).as_primitive::<Float64Type>().value(0))
    };
    let mean = || {
        drain(&scan, |pixels| {
            let patches = (0..pixels.len()).step_by(CELLS).map(|start| sum(&pixels.slice(start, CELLS)));
            patches.map(|sum| f64::from(sum.unwrap_or(0.0)) / CELLS as f64).sum()
        })
    };
    let at_once = || drain(&scan, |pixels| f64::from(sum(pixels).unwrap_or(0.0)) / CELLS as f64);
    let first = || {
        drain(&scan, |pixels| {
            let places: UInt64Array = (0..(pixels.len() / CELLS) as u64).map(|row| row * CELLS as u64).collect();
            let taken = take(pixels, &places, None).expect("places are there");
            f64::from(sum(taken.as_primitive::<Float32Type>()).unwrap_or(0.0))
        })
    };
    let means = "SELECT avg(patch_mean(patch)) FROM t";
    let jobs: [Job<'_>; 3] = [
        (means, "a mean a patch", &mean),
        (means, "all pixels at once", &at_once),
        ("SELECT avg(patch[1][1]) FROM t", "a pixel a patch", &first),
    ];
    for (sql, name, other) in jobs {
        let mut best = [Duration::MAX; 2];
        for _ in 0..rounds {
            let mut answers = [0.0; 2];
            for (side, answer) in answers.iter_mut().enumerate() {
                let start = Instant::now();
                *answer = if side == 0 { ask(sql)? } else { other()? };
                best[side] = best[side].min(start.elapsed());
            }
            if (answers[0] - answers[1]).abs() > 1e-3 * answers[1].abs() {
                return Err(format!("{sql}: {} and {}", answers[0], answers[1]).into());
            }
        }
        let [query, drained] = best.map(|time| time.as_secs_f64());
        println!("{sql}: {:.2} of the reader drained and {name} ({query:.3} : {drained:.3} s)", query / drained);
    }
    Ok(())
}
