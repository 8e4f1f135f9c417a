//! Scans in Polars beside what they replace: `cargo bench --features polars --bench polars [runs]`.
//!
//! Every job runs in a process of its own, so that its peak memory is its own; of several interleaved runs the best
//! counts, and what is printed last are ratios within the run. The rows that are made on the way and the same rows in memory
//! are summed in turns by one process, on the same threads. numpy is asked through `python3`, if it has it.

use std::collections::HashMap;
use std::error::Error;
use std::process::Command;
use std::time::Instant;

use polars::prelude::*;
use windrow::{Layout, PatchScan, StridedView, WindowSpec};

/// Every job, in the order in which they run.
const JOBS: [&str; 7] = ["sum 16.7M", "sum 2M", "sink_parquet", "windrow parquet", "columns", "numpy", "sum wide 20GB"];

/// Rounds of the two sums that take turns.
const ROUNDS: usize = 7;

/// The same 49 sums as [`columns`].
const NUMPY: &str = "
import time, numpy as np
a = (np.arange(4000 * 4000, dtype=np.float32) % 251).reshape(4000, 4000)
start = time.perf_counter()
sums = [a[y : y + 3994, x : x + 3994].sum() for y in range(7) for x in range(7)]
print('seconds', time.perf_counter() - start)
";

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn image(shape: &[usize]) -> Result<StridedView> {
    // No two lines are alike, or a dictionary would hold all patches.
    let noise = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 24;
    let pixels: Vec<f32> = (0..shape.iter().product()).map(|i| noise(i) as f32).collect();
    Ok(StridedView::from_vec(pixels, shape)?)
}

fn flat(shape: &[usize], window: u64, rows: u64) -> Result<PatchScan> {
    let scan = PatchScan::builder(image(shape)?, WindowSpec::new([window, window])).layout(Layout::FixedShapeTensor);
    Ok(scan.rows(..rows).build()?)
}

fn sum(table: LazyFrame) -> LazyFrame {
    table.select([col("patch").arr().sum().cast(DataType::Float64).sum()])
}

fn stream(frame: LazyFrame) -> Result<DataFrame> {
    Ok(frame.collect_with_engine(Engine::Streaming)?.unwrap_single())
}

/// Does one job and prints what it took.
fn work(job: &str) -> Result<()> {
    let part = 2_000_000;
    let side = [4103, 4103];
    let timed = |run: &mut dyn FnMut() -> Result<()>| -> Result<()> {
        let start = Instant::now();
        run()?;
        println!("seconds {}", start.elapsed().as_secs_f64());
        Ok(())
    };
    match job {
        "sum 16.7M" => {
            let table = windrow::polars::scan(&flat(&side, 8, 1 << 24)?)?;
            timed(&mut || stream(sum(table.clone())).map(drop))?;
        }
        "sum 2M" => {
            let table = windrow::polars::scan(&flat(&side, 8, part)?)?;
            let rows = stream(table.clone())?.lazy();
            let mut best = [f64::MAX; 2];
            for _ in 0..ROUNDS {
                for (best, table) in best.iter_mut().zip([&table, &rows]) {
                    let query = sum(table.clone());
                    let start = Instant::now();
                    stream(query)?;
                    *best = best.min(start.elapsed().as_secs_f64());
                }
            }
            println!("seconds {}\nmemory {}", best[0], best[1]);
        }
        "sum wide 20GB" => {
            let scan =
                PatchScan::builder(image(&[703, 700, 3])?, WindowSpec::new([64, 64])).layout(Layout::FixedShapeTensor);
            let table = windrow::polars::scan(&scan.build()?)?;
            timed(&mut || stream(sum(table.clone())).map(drop))?;
        }
        "sink_parquet" | "windrow parquet" => {
            let scan = PatchScan::builder(image(&side)?, WindowSpec::new([8, 8])).layout(Layout::Binary);
            let scan = scan.rows(..part).build()?;
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("rows.parquet");
            timed(&mut || {
                if job == "sink_parquet" {
                    let target = SinkTarget::Path(PlRefPath::new(path.to_str().ok_or("path")?));
                    let format = FileWriteFormat::Parquet(Arc::new(ParquetWriteOptions {
                        compression: ParquetCompression::Zstd(None),
                        ..Default::default()
                    }));
                    let table = windrow::polars::scan(&scan)?;
                    stream(table.sink(SinkDestination::File { target }, format, UnifiedSinkArgs::default())?)?;
                } else {
                    windrow::sink::parquet::write(scan.reader()?, &path, &Default::default())?;
                }
                Ok(())
            })?;
            println!("written {}", std::fs::metadata(&path)?.len());
        }
        "columns" => {
            let scan = PatchScan::builder(image(&[4000, 4000])?, WindowSpec::new([7, 7])).layout(Layout::Columns);
            let scan = scan.columns(["patch"]).build()?;
            timed(&mut || stream(windrow::polars::scan(&scan)?.select([all().as_expr().sum()])).map(drop))?;
        }
        "numpy" => {
            let output = Command::new("python3").args(["-c", NUMPY]).output()?;
            print!("{}", String::from_utf8_lossy(&output.stdout));
        }
        _ => return Err(format!("{job}: no such job").into()),
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(peak) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
        println!("peak {}", peak.trim().trim_end_matches(" kB").parse::<u64>()? * 1024);
    }
    Ok(())
}

fn main() -> Result<()> {
    if let Ok(job) = std::env::var("WINDROW_JOB") {
        return work(&job);
    }
    let runs = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(3);
    let mut best: HashMap<(&str, String), f64> = HashMap::new();
    for _ in 0..runs {
        for job in JOBS {
            let output = Command::new(std::env::current_exe()?).env("WINDROW_JOB", job).output()?;
            let text = String::from_utf8_lossy(&output.stdout);
            if !output.status.success() {
                return Err(format!("{job}: {}", String::from_utf8_lossy(&output.stderr)).into());
            }
            for line in text.lines() {
                let Some((what, number)) = line.split_once(' ') else { continue };
                let (number, entry) = (number.parse::<f64>()?, best.entry((job, what.to_owned())));
                // The best time, but the worst peak.
                let pick = if what == "peak" { f64::max } else { f64::min };
                entry.and_modify(|old| *old = pick(*old, number)).or_insert(number);
            }
        }
    }
    let get = |job: &str, what: &str| best.iter().find(|((j, w), _)| *j == job && w == what).map(|(_, n)| *n);
    println!("{:18} {:>9} {:>10} {:>12}", "job", "seconds", "peak MB", "written MB");
    for job in JOBS {
        let cell = |what, by: f64, width: usize, digits: usize| match get(job, what) {
            Some(number) => format!("{:width$.digits$}", number / by),
            None => format!("{:>width$}", "-"),
        };
        println!(
            "{job:18} {} {} {}",
            cell("seconds", 1.0, 9, 3),
            cell("peak", 1e6, 10, 0),
            cell("written", 1e6, 12, 1)
        );
    }
    if let (Some(few), Some(memory), Some(many)) =
        (get("sum 2M", "seconds"), get("sum 2M", "memory"), get("sum 16.7M", "seconds"))
    {
        println!("sum of 2M rows in memory: {memory:.3} s");
        println!("the same rows made on the way : in memory: {:.2}", few / memory);
        println!("a row of 16.7M made on the way : in memory: {:.2}", many / memory * 2e6 / (1u64 << 24) as f64);
    }
    for (name, a, b) in [
        ("sink_parquet : windrow's own sink", "sink_parquet", "windrow parquet"),
        ("49 columns : numpy", "columns", "numpy"),
    ] {
        if let (Some(a), Some(b)) = (get(a, "seconds"), get(b, "seconds")) {
            println!("{name}: {:.2}", a / b);
        }
    }
    if let Some(peak) = get("sum 16.7M", "peak") {
        println!(
            "peak of 16.7M windows of 8x8 float32 beyond the image: {:.0} MB",
            (peak - 4103.0 * 4103.0 * 4.0) / 1e6
        );
    }
    Ok(())
}
