//! Exports that end badly leave what was there, and those that end well are what arrow-rs reads.
#![cfg(all(feature = "ipc", feature = "parquet"))]

mod common;

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use windrow::folder::{self, Check, Cut, FolderOptions, Manifest};
use windrow::sink::Compression;
use windrow::sink::ipc::{self, IpcOptions};
use windrow::sink::parquet::{self as sink, ParquetOptions};
use windrow::source::{Region, RegionReader, Source, SourceInfo};
use windrow::{AnySource, BufferPool, DType, ErrorKind, Layout, PatchScan, Result, StridedView, WindowSpec};

const SIDE: usize = 400;

fn image() -> StridedView {
    let pixel = |i: usize| (i.wrapping_mul(2654435761) >> 7) as u16;
    StridedView::from_vec((0..SIDE * SIDE).map(pixel).collect(), &[SIDE, SIDE]).unwrap()
}

fn scan(source: impl Into<AnySource>, layout: Layout) -> PatchScan {
    PatchScan::builder(source, WindowSpec::new([5, 5]).step(2)).layout(layout).batch_rows(2_000).build().unwrap()
}

/// How a source ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Io,
    Panic,
    /// It gives less than it was asked for, which its consumer trips over.
    Short,
}

/// A file whose reads end badly after so many.
#[derive(Debug)]
struct Bad {
    good: AnySource,
    reads: Arc<AtomicUsize>,
    most: usize,
    end: End,
}

impl Bad {
    fn source(most: usize, end: End) -> AnySource {
        AnySource::new(Bad { good: common::file_like(image()), reads: Arc::default(), most, end })
    }
}

impl Source for Bad {
    fn info(&self) -> &SourceInfo {
        self.good.info()
    }

    fn open(&self, pool: &BufferPool) -> Result<Box<dyn RegionReader>> {
        let (good, reads) = (self.good.open(pool)?, self.reads.clone());
        Ok(Box::new(BadReader { good, reads, most: self.most, end: self.end }))
    }

    fn identity(&self) -> Result<windrow::source::Identity> {
        self.good.identity()
    }
}

struct BadReader {
    good: Box<dyn RegionReader>,
    reads: Arc<AtomicUsize>,
    most: usize,
    end: End,
}

impl RegionReader for BadReader {
    fn read(&mut self, region: &Region) -> Result<StridedView> {
        let view = self.good.read(region)?;
        if self.reads.fetch_add(1, Ordering::Relaxed) < self.most {
            return Ok(view);
        }
        match self.end {
            End::Io => {
                Err(ErrorKind::Io { name: "disk".to_owned(), action: "read", error: io::Error::from_raw_os_error(5) }
                    .into())
            }
            End::Panic => panic!("a bug of the source"),
            End::Short => view.slice(0, 0..0, 1),
        }
    }
}

/// Files in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every way to write a file.
fn write(how: usize, reader: impl RecordBatchReader, path: &Path) -> Result<windrow::sink::Written> {
    let options = |compression| IpcOptions { compression, store_columns: false };
    match how {
        0 => sink::write(reader, path, &ParquetOptions::default()),
        1 => ipc::write_file(reader, path, &options(Compression::default())),
        2 => ipc::write_file(reader, path, &options(Compression::None)),
        _ => ipc::write_stream_file(reader, path, &options(Compression::Lz4)),
    }
}

#[test]
fn a_source_that_fails_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table");
    fs::write(&path, "old").unwrap();
    for (how, end) in (0..4).flat_map(|how| [End::Io, End::Panic, End::Short].map(|end| (how, end))) {
        for (most, layout) in [(0, Layout::Binary), (1, Layout::Tensor)] {
            let reader = scan(Bad::source(most, end), layout).reader().unwrap();
            let message = write(how, reader, &path).unwrap_err().to_string();
            let expected = match end {
                End::Io => "disk: cannot read: Input/output error",
                End::Panic => "a worker panicked: a bug of the source",
                End::Short => "a worker panicked: ",
            };
            assert!(message.contains(expected), "{how} {end:?}: {message}");
            assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"old".to_vec(), vec!["table".to_owned()]));
        }
    }
}

/// A reader that panics in the consumer's own thread.
struct Panics<R>(R, usize);

impl<R: RecordBatchReader> Iterator for Panics<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.1 = self.1.checked_sub(1).expect("a bug of the reader");
        self.0.next()
    }
}

impl<R: RecordBatchReader> RecordBatchReader for Panics<R> {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }
}

#[test]
fn a_panic_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table");
    fs::write(&path, "old").unwrap();
    for how in 0..4 {
        let reader = Panics(scan(image(), Layout::Tensor).reader().unwrap(), 5);
        assert!(catch_unwind(AssertUnwindSafe(|| write(how, reader, &path))).is_err());
        assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"old".to_vec(), vec!["table".to_owned()]));
    }
}

#[test]
fn a_folder_is_continued_after_a_source_that_failed() {
    let (good, base) = (common::file_like(image()), tempfile::tempdir().unwrap());
    let options = FolderOptions { cut: Cut::Files(6), ..Default::default() };
    let whole = base.path().join("whole");
    folder::write(&scan(good.clone(), Layout::Tensor), &whole, &options, |reader| reader).unwrap();
    for (most, end) in [(0, End::Io), (2, End::Panic), (4, End::Io), (5, End::Short)] {
        let out = base.path().join(format!("{most}"));
        folder::write(&scan(Bad::source(most, end), Layout::Tensor), &out, &options, |reader| reader).unwrap_err();
        assert!(names(&out).iter().all(|name| !name.starts_with('.')), "{:?}", names(&out));
        let resume = FolderOptions { resume: true, ..options.clone() };
        folder::write(&scan(good.clone(), Layout::Tensor), &out, &resume, |reader| reader).unwrap();
        assert_eq!(names(&out), names(&whole));
        for name in names(&whole) {
            assert!(fs::read(out.join(&name)).unwrap() == fs::read(whole.join(&name)).unwrap(), "{name}");
        }
        let found = folder::verify(good.clone(), &out, Check::All, |reader| reader).unwrap();
        assert_eq!((found.files, found.rows, found.same_image), (6, 198 * 198, true));
    }
}

#[test]
fn an_array_that_changed_is_not_mixed() {
    let base = tempfile::tempdir().unwrap();
    let (out, options) = (base.path().join("out"), FolderOptions { cut: Cut::Files(3), ..Default::default() });
    folder::write(&scan(image(), Layout::Binary), &out, &options, |reader| reader).unwrap();
    assert_eq!(Manifest::read(&out).unwrap().image.unwrap().digest.bytes, (2 * SIDE * SIDE) as u64);
    let mut pixels = image().to_vec::<u16>().unwrap();
    pixels[SIDE * SIDE / 2] ^= 1;
    let other = StridedView::from_vec(pixels, &[SIDE, SIDE]).unwrap();
    let resume = FolderOptions { resume: true, ..options };
    let error = folder::write(&scan(other.clone(), Layout::Binary), &out, &resume, |reader| reader).unwrap_err();
    assert!(error.to_string().contains("its image is 320000 bytes with CRC-32"), "{error}");
    let error = folder::verify(other, &out, Check::All, |reader| reader).unwrap_err();
    assert!(error.to_string().contains("part-00001.parquet: row"), "{error}");
}

#[test]
fn the_first_row_that_differs_is_named() {
    let base = tempfile::tempdir().unwrap();
    let options = FolderOptions { cut: Cut::Files(3), ..Default::default() };
    let (y, x) = (301, 77);
    for (n, layout) in [Layout::Tensor, Layout::FixedShapeTensor, Layout::Binary].into_iter().enumerate() {
        for dtype in [DType::U8, DType::U16, DType::F16, DType::F32, DType::F64] {
            let table = |image: StridedView| {
                let builder = PatchScan::builder(image, WindowSpec::new([5, 5]).step(2)).layout(layout);
                let builder = builder.dtype(dtype).lossy(true).batch_rows(2_000);
                let builder = if layout == Layout::Binary { builder } else { builder.nodata(9) };
                builder.build().unwrap().shuffle(3, 1).unwrap()
            };
            let out = base.path().join(format!("{n} {dtype}"));
            folder::write(&table(image()), &out, &options, |reader| reader).unwrap();
            let mut pixels = image().to_vec::<u16>().unwrap();
            // A pixel without a value: its place says so, and no value.
            pixels[y * SIDE + x] = 9;
            let other = StridedView::from_vec(pixels, &[SIDE, SIDE]).unwrap();
            let scan = table(other.clone());
            let holds = |window: u64| {
                let (top, left) = (window as usize / 198 * 2, window as usize % 198 * 2);
                (top..top + 5).contains(&y) && (left..left + 5).contains(&x)
            };
            let row = (0..scan.num_rows()).find(|&row| holds(scan.window(row).unwrap())).unwrap();
            let manifest = Manifest::read(&out).unwrap();
            let file = manifest.files.iter().find(|file| (file.rows.0..file.rows.1).contains(&row)).unwrap();
            let (row, window) = (row - file.rows.0, scan.window(row).unwrap());
            let at = format!("{}: row {row} (window {window}: y {}, x", file.name, window / 198 * 2);
            let rows = Check::Rows(u64::MAX);
            for check in [Check::All, rows] {
                let error = folder::verify(other.clone(), &out, check, |reader| reader).unwrap_err().to_string();
                assert!(error.contains(&at), "{layout:?} {dtype}: {error}, not {at}");
            }
        }
    }
}

#[test]
fn arrow_rs_reads_what_was_gathered() {
    let folder = tempfile::tempdir().unwrap();
    for dtype in DType::ALL {
        for layout in [Layout::Tensor, Layout::FixedShapeTensor, Layout::Binary] {
            let image = match dtype {
                // What a bool is, is nobody's to guess.
                DType::Bool => StridedView::from_vec((0..9000).map(|i| i % 7 < 3).collect(), &[90, 100]).unwrap(),
                _ => image(),
            };
            let builder = PatchScan::builder(image, WindowSpec::new([5, 7]).step(3)).layout(layout);
            let scan = builder.dtype(dtype).lossy(true).build().unwrap();
            let expected: Vec<_> = scan.reader().unwrap().map(|batch| batch.unwrap()).collect();
            let expected = arrow_select::concat::concat_batches(&scan.schema(), &expected).unwrap();

            let path = folder.path().join("table");
            write(0, scan.reader().unwrap(), &path).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
            assert_eq!(*reader.schema(), scan.schema());
            let reader = reader.with_batch_size(1 << 20).build().unwrap();
            let batches: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
            let got = arrow_select::concat::concat_batches(&scan.schema(), &batches).unwrap();
            assert!(got.columns() == expected.columns(), "{dtype} {layout:?} Parquet");

            for how in 1..3 {
                write(how, scan.reader().unwrap(), &path).unwrap();
                let reader = arrow_ipc::reader::FileReader::try_new(File::open(&path).unwrap(), None).unwrap();
                assert_eq!(reader.schema(), scan.schema());
                let batches: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
                let got = arrow_select::concat::concat_batches(&scan.schema(), &batches).unwrap();
                assert!(got.columns() == expected.columns(), "{dtype} {layout:?} IPC {how}");
            }
        }
    }
}
