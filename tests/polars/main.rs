//! Scans as Polars lazy frames: the reader's rows, in bounded memory, and no pixel that a query does not need.

#[path = "../common/mod.rs"]
mod common;

mod collection;
mod errors;
mod memory;
mod places;
mod pushdown;
mod rows;
mod sinks;
mod threads;
mod values;

use polars::prelude::*;
use windrow::{PatchScan, StridedView, WindowSpec};

/// Both of Polars' engines.
const ENGINES: [Engine; 2] = [Engine::InMemory, Engine::Streaming];

/// Runs a query.
fn collect(frame: &LazyFrame, engine: Engine) -> PolarsResult<DataFrame> {
    frame.clone().collect_with_engine(engine).map(|result| result.unwrap_single())
}

/// Runs a query and counts the patches that it gathers.
fn counted(scan: &PatchScan, frame: &LazyFrame, engine: Engine) -> (DataFrame, u64) {
    let before = windrow::polars::gathered(scan);
    let frame = collect(frame, engine).unwrap();
    (frame, windrow::polars::gathered(scan) - before)
}

/// A gray image whose neighbouring pixels differ.
fn gray(height: usize, width: usize) -> StridedView {
    let pixels = (0..height * width).map(|i| (i * 37 % 251) as u8).collect();
    StridedView::from_vec(pixels, &[height, width]).unwrap()
}

/// Patches that are small: they come in morsels of Polars' own size.
fn narrow() -> PatchScan {
    PatchScan::new(gray(300, 400), WindowSpec::new([4, 4])).unwrap()
}

/// Patches of 4800 bytes: they come in morsels of ours.
fn wide() -> PatchScan {
    let pixels = (0..100 * 150 * 3).map(|i| (i * 37 % 251) as u8).collect();
    let image = StridedView::from_vec(pixels, &[100, 150, 3]).unwrap();
    PatchScan::new(image, WindowSpec::new([40, 40])).unwrap()
}

/// The rows of a scan by way of its reader, as one frame.
fn read(scan: &PatchScan) -> DataFrame {
    let empty = arrow_array::RecordBatch::new_empty(scan.schema());
    let mut frame = windrow::polars::data_frame(&empty).unwrap();
    for batch in scan.reader().unwrap() {
        frame.vstack_mut_owned(windrow::polars::data_frame(&batch.unwrap()).unwrap()).unwrap();
    }
    frame
}
