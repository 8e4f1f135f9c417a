//! Peak memory, each query in a process of its own.

use std::num::NonZeroUsize;
use std::process::Command;
use std::sync::Arc;

use windrow::Layout;

use super::*;

/// Runs a test of this file again, in a process that prints its peak; `None` in that process, which does the work.
fn peak_of(test: &str) -> Option<u64> {
    const CHILD: &str = "WINDROW_TEST_PEAK";
    if std::env::var_os(CHILD).is_some() {
        return None;
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        // As on a machine of usual size, whatever this one is: every thread holds a morsel.
        .env("POLARS_MAX_THREADS", "4")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let peak = text.split("peak ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a peak");
    Some(peak.parse().unwrap())
}

/// Prints the most memory that this process ever had, in bytes.
fn print_peak() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    println!("peak {} bytes", kib * 1024);
}

#[cfg(target_os = "linux")]
#[test]
fn wide_rows_take_bounded_memory() {
    if let Some(peak) = peak_of("memory::wide_rows_take_bounded_memory") {
        assert!(peak < 600_000_000, "{peak}");
        return;
    }
    // 64×64×3 pixels of float32 are 48 KiB; 20 GB of them are never there at once.
    let (height, width) = (703, 700);
    let pixels = (0..height * width * 3).map(|i| (i % 7) as f32).collect();
    let image = StridedView::from_vec(pixels, &[height, width, 3]).unwrap();
    let scan = PatchScan::builder(image.clone(), WindowSpec::new([64, 64])).layout(Layout::FixedShapeTensor);
    let scan = scan.build().unwrap();
    assert!(scan.explain().dense_bytes > 20_000_000_000, "{}", scan.explain().dense_bytes);
    let table = windrow::polars::scan(&scan).unwrap();
    let sum = table.select([col("patch").arr().sum().cast(DataType::Float64).sum()]);
    let frame = collect(&sum, Engine::Streaming).unwrap();
    print_peak();
    // Every pixel by how many windows hold it.
    let times = |at: usize, n: usize| (at.min(n - 64) + 1 - (at + 1).saturating_sub(64)) as f64;
    let pixels: Vec<f32> = image.to_vec().unwrap();
    let each = pixels.iter().enumerate();
    let expected: f64 =
        each.map(|(i, &pixel)| f64::from(pixel) * times(i / 3 / width, height) * times(i / 3 % width, width)).sum();
    assert_eq!(frame.columns()[0].f64().unwrap().get(0), Some(expected));
}

/// 2 GB of patches of 16 KiB.
fn many_wide_rows() -> LazyFrame {
    let image = StridedView::from_vec((0..512 * 512).map(|i| (i % 251) as u8).collect(), &[512, 512]).unwrap();
    let scan = PatchScan::builder(image, WindowSpec::new([128, 128])).layout(Layout::Binary).build().unwrap();
    assert!(scan.explain().dense_bytes > 2_000_000_000, "{}", scan.explain().dense_bytes);
    windrow::polars::scan(&scan).unwrap()
}

/// Writes [`many_wide_rows`] to nowhere.
fn write_many(format: FileWriteFormat) {
    let target = SinkTarget::Path(PlRefPath::new("/dev/null"));
    let sink = many_wide_rows().sink(SinkDestination::File { target }, format, UnifiedSinkArgs::default()).unwrap();
    sink.collect_with_engine(Engine::Streaming).unwrap();
    print_peak();
}

#[cfg(target_os = "linux")]
#[test]
fn wide_rows_are_written_to_ipc_in_bounded_memory() {
    match peak_of("memory::wide_rows_are_written_to_ipc_in_bounded_memory") {
        Some(peak) => assert!(peak < 600_000_000, "{peak}"),
        None => {
            write_many(FileWriteFormat::Ipc(IpcWriterOptions { record_batch_size: Some(256), ..Default::default() }));
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn wide_rows_are_written_to_parquet_in_bounded_memory() {
    match peak_of("memory::wide_rows_are_written_to_parquet_in_bounded_memory") {
        Some(peak) => assert!(peak < 600_000_000, "{peak}"),
        None => write_many(FileWriteFormat::Parquet(Arc::new(ParquetWriteOptions {
            compression: ParquetCompression::Uncompressed,
            statistics: StatisticsOptions::empty(),
            row_group_size: Some(256),
            ..Default::default()
        }))),
    }
}

#[cfg(target_os = "linux")]
#[test]
fn wide_rows_are_taken_in_batches_in_bounded_memory() {
    if let Some(peak) = peak_of("memory::wide_rows_are_taken_in_batches_in_bounded_memory") {
        assert!(peak < 600_000_000, "{peak}");
        return;
    }
    let mut rows = 0;
    for batch in many_wide_rows().collect_batches(Engine::Streaming, true, NonZeroUsize::new(100), true).unwrap() {
        rows += batch.unwrap().height();
    }
    assert_eq!(rows, 385 * 385);
    print_peak();
}
