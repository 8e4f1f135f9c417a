//! Out of a query while it runs.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use windrow::Layout;

use super::*;

fn sink(frame: LazyFrame, path: &Path, format: FileWriteFormat) {
    let target = SinkTarget::Path(PlRefPath::new(path.to_str().unwrap()));
    let sink = frame.sink(SinkDestination::File { target }, format, UnifiedSinkArgs::default()).unwrap();
    sink.collect_with_engine(Engine::Streaming).unwrap();
}

#[test]
fn files_hold_the_reader_s_rows() {
    let folder = tempfile::tempdir().unwrap();
    for layout in [Layout::Tensor, Layout::FixedShapeTensor, Layout::Binary] {
        for (scan, rows) in [(narrow(), 20_000), (wide(), 400)] {
            let scan = PatchScan::builder(scan.source().clone(), scan.spec().clone()).layout(layout);
            let scan = scan.rows(..rows).build().unwrap();
            let table = windrow::polars::scan(&scan).unwrap();
            let expected = read(&scan);
            let path = folder.path().join("rows.parquet");
            sink(table.clone(), &path, FileWriteFormat::Parquet(Arc::default()));
            let file = std::fs::File::open(&path).unwrap();
            assert!(ParquetReader::new(file).finish().unwrap().equals(&expected), "{layout}");
            let path = folder.path().join("rows.arrow");
            sink(table, &path, FileWriteFormat::Ipc(IpcWriterOptions::default()));
            let file = std::fs::File::open(&path).unwrap();
            assert!(IpcReader::new(file).finish().unwrap().equals(&expected), "{layout}");
        }
    }
}

#[test]
fn batches_in_order() {
    for scan in [narrow(), wide()] {
        let table = windrow::polars::scan(&scan).unwrap();
        let rows = NonZeroUsize::new(1000);
        let mut all = DataFrame::empty();
        for batch in table.collect_batches(Engine::Streaming, true, rows, true).unwrap() {
            let batch = batch.unwrap();
            assert!(batch.height() <= 1000);
            all.vstack_mut_owned(batch).unwrap();
        }
        assert!(all.equals(&read(&scan)));
    }
}

#[test]
fn who_stops_early_pays_for_what_was_taken() {
    // What the engine has under way, some twenty morsels, is little of so many rows.
    let image = StridedView::from_vec(vec![7u8; 4000 * 4000], &[4000, 4000]).unwrap();
    for window in [[8, 8], [64, 64]] {
        let scan = PatchScan::new(image.clone(), WindowSpec::new(window)).unwrap();
        let table = windrow::polars::scan(&scan).unwrap();
        let mut batches = table.collect_batches(Engine::Streaming, true, NonZeroUsize::new(100), true).unwrap();
        assert_eq!(batches.next().unwrap().unwrap().height(), 100);
        drop(batches);
        // The query notices at its next batch.
        std::thread::sleep(std::time::Duration::from_secs(1));
        let patches = windrow::polars::gathered(&scan);
        assert!(patches < scan.num_rows() / 4, "{patches} of {}", scan.num_rows());
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!(windrow::polars::gathered(&scan), patches, "it has stopped");
    }
}
