//! What goes wrong is the query's error, in our words, and never a panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use windrow::source::{Region, RegionReader, Source, SourceInfo};
use windrow::{AnySource, BufferPool, DType, Error, Layout};

use super::*;

/// A file that breaks after some reads.
#[derive(Debug)]
struct Broken {
    info: SourceInfo,
    reads: Arc<AtomicUsize>,
    good: usize,
}

struct BrokenReader(Arc<AtomicUsize>, usize);

impl Broken {
    fn scan(good: usize) -> (PatchScan, Arc<AtomicUsize>) {
        let reads = Arc::new(AtomicUsize::new(0));
        let info = SourceInfo {
            name: "broken.tif".to_owned(),
            shape: vec![10_000, 300],
            dtype: DType::U8,
            axes: None,
            chunk: vec![500, 300],
            resident: false,
            working_bytes: 0,
        };
        let source = AnySource::new(Broken { info, reads: reads.clone(), good });
        (PatchScan::new(source, WindowSpec::new([8, 8])).unwrap(), reads)
    }
}

impl Source for Broken {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn open(&self, _: &BufferPool) -> windrow::Result<Box<dyn RegionReader>> {
        Ok(Box::new(BrokenReader(self.reads.clone(), self.good)))
    }
}

impl RegionReader for BrokenReader {
    fn read(&mut self, region: &Region) -> windrow::Result<StridedView> {
        if self.0.fetch_add(1, Ordering::Relaxed) >= self.1 {
            let error = std::io::Error::other("the disk is gone");
            // As a source of windrow would say it.
            return Err(Error::from(arrow_schema::ArrowError::IoError("broken.tif: cannot read".to_owned(), error)));
        }
        StridedView::from_vec(vec![1u8; region.pixels() as usize], &region.shape())
    }
}

#[test]
fn a_source_that_breaks_while_polars_streams() {
    for good in [0, 3] {
        for engine in ENGINES {
            let (scan, reads) = Broken::scan(good);
            let table = windrow::polars::scan(&scan).unwrap();
            let sum = table.clone().select([col("patch").arr().get(lit(0), false).arr().sum().sum()]);
            let message = collect(&sum, engine).unwrap_err().to_string();
            assert!(message.contains("broken.tif: cannot read"), "{message}");
            assert!(reads.load(Ordering::Relaxed) > good);
            // What needs no pixel is still answered.
            let rows = collect(&table.filter(col("y").lt(lit(5))).select([len()]), engine).unwrap();
            assert_eq!(rows.columns()[0].u32().unwrap().get(0), Some(5 * 293));
        }
    }
}

#[test]
fn a_source_is_not_opened_without_need() {
    let (scan, reads) = Broken::scan(0);
    let table = windrow::polars::scan(&scan).unwrap();
    for engine in ENGINES {
        collect(&table.clone().select([col("y").sum(), col("x").max()]), engine).unwrap();
        collect(&table.clone().filter(col("y").lt(lit(0))), engine).unwrap();
    }
    assert_eq!(reads.load(Ordering::Relaxed), 0);
}

#[test]
fn a_file_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gone.npy");
    let mut npy = b"\x93NUMPY\x01\x00\x76\x00{'descr': '|u1', 'fortran_order': False, 'shape': (20, 30), }".to_vec();
    npy.resize(127, b' ');
    npy.push(b'\n');
    npy.resize(128 + 600, 7);
    std::fs::write(&path, npy).unwrap();
    let scan = PatchScan::new(AnySource::open(&path, None).unwrap(), WindowSpec::new([3, 3])).unwrap();
    let table = windrow::polars::scan(&scan).unwrap();
    assert_eq!(collect(&table, Engine::Streaming).unwrap().height(), 18 * 28);
    std::fs::remove_file(&path).unwrap();
    let table = windrow::polars::scan(&scan.clone()).unwrap();
    for engine in ENGINES {
        if let Err(error) = collect(&table, engine) {
            assert!(error.to_string().contains("gone.npy"), "{error}");
        }
    }
}

#[test]
fn ids_that_are_none() {
    let scan = PatchScan::new(gray(10, 10), WindowSpec::new([3, 3])).unwrap();
    for engine in ENGINES {
        for (ids, part) in [
            (df!("window" => [1u64, 64, 3]), "no window 64"),
            (df!("window" => [1u64, u64::MAX, 3]), "no window 18446744073709551615"),
            (df!("window" => [1i64, 2, -7]), "no window -7"),
            (df!("window" => [Some(70u32), None, Some(3)]), "no window 70"),
            (df!("window" => ["a", "b", "c"]), "\"window\" is of type str, expected integers"),
            (df!("window" => [1.0, 2.0, 3.0]), "\"window\" is of type f64, expected integers"),
        ] {
            let query = ids.unwrap().lazy().with_columns([windrow::polars::patch(&scan)]);
            let message = collect(&query, engine).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        let nulls = df!("window" => [None::<u64>, None]).unwrap().lazy().with_columns([windrow::polars::patch(&scan)]);
        let (frame, patches) = counted(&scan, &nulls, engine);
        assert_eq!((frame.column("patch").unwrap().null_count(), patches), (2, 0));
        let none = df!("window" => Vec::<u64>::new()).unwrap().lazy().with_columns([windrow::polars::patch(&scan)]);
        assert_eq!(counted(&scan, &none, engine).0.shape(), (0, 2));
    }
}

#[test]
fn what_columns_can_not_do() {
    let scan = PatchScan::builder(gray(10, 10), WindowSpec::new([3, 3])).layout(Layout::Columns).build().unwrap();
    let ids = df!("window" => [1u64]).unwrap().lazy().with_columns([windrow::polars::patch(&scan)]);
    for engine in ENGINES {
        let message = collect(&ids, engine).unwrap_err().to_string();
        assert!(message.contains("expected layout tensor or binary"), "{message}");
    }
    let (scan, _) = Broken::scan(0);
    let scan =
        PatchScan::builder(scan.source().clone(), WindowSpec::new([3, 3])).layout(Layout::Columns).build().unwrap();
    let message = windrow::polars::scan(&scan).err().unwrap().to_string();
    assert!(message.contains("broken.tif"), "{message}");
}

#[test]
fn no_window_at_all() {
    let empty = StridedView::from_vec(Vec::<u8>::new(), &[0, 5]).unwrap();
    let spec = WindowSpec::new([2, 2]).pad_same(windrow::PadMode::Constant);
    for layout in Layout::ALL {
        let scan = PatchScan::builder(empty.clone(), spec.clone()).layout(layout).build().unwrap();
        for engine in ENGINES {
            let frame = collect(&windrow::polars::scan(&scan).unwrap(), engine).unwrap();
            assert_eq!(frame.height(), 0, "{layout}");
            assert_eq!(frame.width(), scan.schema().fields().len());
        }
    }
    let scan = PatchScan::builder(gray(10, 10), WindowSpec::new([3, 3])).rows(7..7).build().unwrap();
    assert_eq!(collect(&windrow::polars::scan(&scan).unwrap(), Engine::Streaming).unwrap().shape(), (0, 4));
}
