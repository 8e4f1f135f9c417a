//! A table in parts that are read by themselves, in any order, by anyone, is the table.
#![cfg(all(feature = "parquet", feature = "tiff"))]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::thread;

use common::rows_of;
use proptest::prelude::*;
use tiff::encoder::{Compression, TiffEncoder, colortype};
use windrow::folder::{self, Check, Cut, FolderOptions, Manifest};
use windrow::{AnySource, Edge, LabelAt, Layout, MaskAt, PatchScan, Split, StridedView, WindowSpec};

const HEIGHT: usize = 103;
const WIDTH: usize = 60;
/// Lines of a strip.
const STRIP: u32 = 16;

fn pixel(i: usize) -> u8 {
    (i.wrapping_mul(2654435761) >> 9) as u8
}

/// A file with two images, of strips of 16 lines.
fn image(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("image.tif");
    let encoder = TiffEncoder::new(File::create(&path).unwrap()).unwrap();
    // Lines of strips that are not compressed are read one by one.
    let mut encoder = encoder.with_compression(Compression::Lzw);
    for page in 0..2 {
        let pixels: Vec<u8> = (0..HEIGHT * WIDTH).map(|i| pixel(i + page * 7)).collect();
        let mut image = encoder.new_image::<colortype::Gray8>(WIDTH as u32, HEIGHT as u32).unwrap();
        image.rows_per_strip(STRIP).unwrap();
        image.write_data(&pixels).unwrap();
    }
    path
}

fn open(path: &Path) -> AnySource {
    AnySource::open(path, None).unwrap()
}

#[test]
fn splits_begin_where_strips_do() {
    let folder = tempfile::tempdir().unwrap();
    let source = open(&image(folder.path()));
    let scan = PatchScan::new(source.clone(), WindowSpec::new([4, 4])).unwrap();
    let width = (WIDTH - 3) as u64;
    let starts = |scan: &PatchScan, of| -> Vec<u64> {
        scan.splits(of).unwrap().iter().map(|split| split.rows().start / width).collect()
    };
    // 100 lines of windows: a third would begin in line 33 and in line 66.
    assert_eq!(starts(&scan, 3), [0, 32, 64]);
    // A strip is half of what a split has, so the nearest is taken that is near enough, or else the nearest line.
    assert_eq!(starts(&scan, 6), [0, 16, 32, 48, 64, 80]);
    assert_eq!(starts(&scan, 20)[..8], [0, 5, 10, 16, 20, 25, 30, 35]);
    // Chosen windows, with their ids as they were.
    let chosen = scan.within([("x", 10..20)]).unwrap();
    let lines: Vec<_> = chosen.splits(6).unwrap().iter().map(|split| split.window(0).unwrap() / width).collect();
    assert_eq!(lines, [0, 16, 32, 48, 64, 80]);
    // No order, no strips.
    let rows: Vec<_> = scan.shuffle(1, 0).unwrap().splits(3).unwrap().iter().map(PatchScan::num_rows).collect();
    assert_eq!(rows, [1900, 1900, 1900]);
    for of in [0, 100_001] {
        assert!(scan.splits(of).unwrap_err().to_string().contains("splits"));
    }
    let bytes = scan.explain().dense_bytes;
    assert_eq!(scan.splits_of_bytes(bytes / 6 + 100).unwrap().len(), 6);
    assert_eq!(scan.with_rows(5..8).unwrap().splits(5).unwrap().iter().map(PatchScan::num_rows).max(), Some(1));
    assert!(scan.with_rows(5..5).unwrap().splits(5).unwrap().iter().all(|split| split.num_rows() == 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn splits_are_all_rows_once(case in common::case(), of in 1u64..12, file in any::<bool>(), cut in 0.0..1.0f64) {
        let source = if file { common::file_like(case.view.clone()) } else { case.view.clone().into() };
        let Ok(scan) = PatchScan::new(source, case.spec.clone()) else { return Ok(()) };
        let scan = scan.skip((scan.num_rows() as f64 * cut) as u64).unwrap();
        let splits = scan.splits(of).unwrap();
        prop_assert_eq!(splits.len() as u64, of);
        let mut next = scan.rows().start;
        for split in &splits {
            prop_assert_eq!(split.rows().start, next);
            next = split.rows().end;
            let even = scan.num_rows() / of;
            prop_assert!(split.num_rows() >= even / 2 && split.num_rows() <= even + even / 2 + 1);
        }
        prop_assert_eq!(next, scan.rows().end);
        let rows: Vec<_> = splits.iter().flat_map(rows_of).collect();
        prop_assert_eq!(rows, rows_of(&scan));
    }
}

/// Many ways to choose windows of a file.
fn scans(folder: &Path) -> Vec<PatchScan> {
    let path = image(folder);
    let spec = WindowSpec { edge: Edge::Pad, ..WindowSpec::new([5, 4]).step(3) };
    let mask = folder.join("mask.tif");
    let mut encoder = TiffEncoder::new(File::create(&mask).unwrap()).unwrap();
    let pixels: Vec<u8> = (0..HEIGHT * WIDTH).map(|i| u8::from(i % WIDTH > 20)).collect();
    encoder.write_image::<colortype::Gray8>(WIDTH as u32, HEIGHT as u32, &pixels).unwrap();
    let (source, mask) = (open(&path), open(&mask));
    let plain = PatchScan::new(source.clone(), spec.clone()).unwrap();
    let page = AnySource::open(&path, Some(1)).unwrap();
    let labelled = PatchScan::builder(page, spec.clone()).labels(mask.clone(), LabelAt::Majority).nodata(3.0);
    let split = Split::new([("a", 0.5), ("b", 0.5)], [20, 20]).seed(3);
    vec![
        plain.clone(),
        plain.with_rows(7..50).unwrap(),
        plain.sample(50, 1).unwrap().shuffle(2, 3).unwrap(),
        plain.with_windows([5, 3, 3, 99]).unwrap(),
        plain
            .with_windows((0..300).rev().collect::<Vec<_>>())
            .unwrap()
            .within([("x", 5..30)])
            .unwrap()
            .skip(4)
            .unwrap(),
        plain.mask(mask, MaskAt::Any).unwrap().with_rows(2..90).unwrap().sample(0.5, 1).unwrap(),
        plain.split(&split).unwrap().part("b").unwrap(),
        labelled.clone().build().unwrap().per_class(20, 1).unwrap(),
        labelled.columns(["label", "y", "valid"]).batch_rows(7).build().unwrap().min_valid(0.9).unwrap(),
        PatchScan::builder(source.clone(), spec)
            .layout(Layout::Binary)
            .dtype(windrow::DType::F32)
            .scale(0.5)
            .build()
            .unwrap(),
        PatchScan::builder(source, WindowSpec::new([3, 3]))
            .layout(Layout::Columns)
            .columns(["x", "p_1_1"])
            .build()
            .unwrap(),
    ]
}

#[test]
fn a_scan_is_a_value() {
    let folder = tempfile::tempdir().unwrap();
    for scan in scans(folder.path()) {
        for scan in std::iter::once(scan.clone()).chain(scan.splits(3).unwrap()) {
            let json = scan.to_json().unwrap();
            let again = PatchScan::from_json(&json).unwrap();
            assert_eq!(again.to_json().unwrap(), json);
            assert_eq!(again.schema(), scan.schema());
            let batches = |scan: &PatchScan| scan.reader().unwrap().map(Result::unwrap).collect::<Vec<_>>();
            assert_eq!(batches(&again), batches(&scan), "{scan:?}");
            let through: PatchScan = serde_json::from_value(serde_json::to_value(&scan).unwrap()).unwrap();
            assert_eq!(through.rows(), scan.rows());
        }
    }
}

#[test]
fn what_is_no_such_value_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let message = |json: &str| PatchScan::from_json(json).unwrap_err().to_string();
    let json = scans(folder.path())[0].to_json().unwrap();
    assert!(message("{").contains("a scan as JSON"));
    assert!(message(&json.replace("\"form\":1", "\"form\":2")).contains("form 2: this version reads form 1"));
    assert!(message(&json.replace("\"batch_rows\":", "\"batch_rows\":0, \"was\":")).contains("batch_rows"));
    assert!(
        message(&json.replace("\"columns\":[\"window\"", "\"columns\":[\"wundow\"")).contains("no column \"wundow\"")
    );
    assert!(message(&json.replace("image.tif", "elsewhere.tif")).contains("elsewhere.tif"));
    assert!(message(&json.replace("\"rows\":[0,", "\"rows\":[1000000,")).contains("rows"));
    let array = PatchScan::new(StridedView::from_vec(vec![0u8; 9], &[3, 3]).unwrap(), WindowSpec::new([2, 2])).unwrap();
    assert!(array.to_json().unwrap_err().to_string().contains("an array in memory"));
    // Another image under the same name.
    let mut encoder = TiffEncoder::new(File::create(folder.path().join("image.tif")).unwrap()).unwrap();
    encoder.write_image::<colortype::Gray8>(50, 50, &[0; 2500]).unwrap();
    assert!(message(&json).contains("it has changed since the scan was written down"), "{}", message(&json));
}

fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

#[test]
fn a_folder_of_splits_is_that_of_one_export() {
    let base = tempfile::tempdir().unwrap();
    let (whole, out) = (base.path().join("whole"), base.path().join("out"));
    let options = FolderOptions { cut: Cut::Files(5), ..FolderOptions::default() };
    for scan in scans(base.path()) {
        if scan.schema().field(scan.schema().fields().len() - 1).name().starts_with("p_")
            || scan.steps().iter().any(|step| matches!(step, windrow::Step::Windows { .. }))
        {
            continue;
        }
        folder::write(&scan, &whole, &options, |reader| reader).unwrap();
        // In any order, by several at a time, and some of them twice.
        thread::scope(|threads| {
            for index in [4, 1, 0, 1, 2, 4] {
                let (scan, out, options) = (&scan, &out, &options);
                threads.spawn(move || folder::write_split(scan, out, index, options, |reader| reader).unwrap());
            }
        });
        let error = Manifest::read(&out).unwrap_err().to_string();
        assert!(error.contains("1 of its 5 splits are not there") && error.contains("I = 3"), "{error}");
        let written = folder::write_split(&scan, &out, 3, &options, |reader| reader).unwrap();
        let bytes = fs::metadata(out.join("part-00003.parquet")).unwrap().len();
        assert_eq!((written.rows, written.bytes), (scan.splits(5).unwrap()[3].num_rows(), bytes));
        let found = folder::verify(scan.source().clone(), &out, Check::All, |reader| reader).unwrap();
        assert_eq!((found.files, found.rows), (5, scan.num_rows()));
        assert!(content(&out) == content(&whole), "{:?}", content(&out).keys());
        // Whoever comes late finds it done.
        assert_eq!(folder::write_split(&scan, &out, 3, &options, |reader| reader).unwrap(), written);
        assert!(content(&out) == content(&whole));
        fs::remove_dir_all(&whole).unwrap();
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn tables_are_not_mixed() {
    let base = tempfile::tempdir().unwrap();
    let (scans, out) = (scans(base.path()), base.path().join("out"));
    let files = |files| FolderOptions { cut: Cut::Files(files), ..FolderOptions::default() };
    let split = |scan: &PatchScan, index, of| {
        folder::write_split(scan, &out, index, &files(of), |reader| reader).map_err(|error| error.to_string())
    };
    assert!(split(&scans[0], 5, 5).unwrap_err().contains("5 of 5"));
    assert!(!out.exists());
    split(&scans[0], 0, 5).unwrap();
    assert!(split(&scans[0], 1, 6).unwrap_err().contains("its number of splits is 5, not 6"));
    assert!(split(&scans[1], 1, 5).unwrap_err().contains("its rows is"));
    let page = AnySource::open(base.path().join("image.tif"), Some(1)).unwrap();
    let other = PatchScan::new(page, scans[0].spec().clone()).unwrap();
    assert!(split(&other, 1, 5).unwrap_err().contains("way to open the image"));
    let error = folder::write(&scans[0], &out, &FolderOptions { resume: true, ..files(5) }, |reader| reader);
    assert!(error.unwrap_err().to_string().contains("splits have filled it"));
    // Somebody's file, of which nobody knows.
    fs::write(out.join("part-00002.parquet"), "mine").unwrap();
    assert!(split(&scans[0], 2, 5).unwrap_err().contains("part-00002.parquet already"));
    fs::remove_file(out.join("part-00002.parquet")).unwrap();
    // An image that changed between two splits is found where its rows are looked at.
    for index in 1..4 {
        split(&scans[0], index, 5).unwrap();
    }
    let mut encoder = TiffEncoder::new(File::create(base.path().join("image.tif")).unwrap()).unwrap();
    let mut image = encoder.new_image::<colortype::Gray8>(WIDTH as u32, HEIGHT as u32).unwrap();
    image.rows_per_strip(STRIP).unwrap();
    image.write_data(&vec![1; WIDTH * HEIGHT]).unwrap();
    let changed = PatchScan::new(open(&base.path().join("image.tif")), scans[0].spec().clone()).unwrap();
    split(&changed, 4, 5).unwrap();
    let error = folder::verify(changed.source().clone(), &out, Check::default(), |reader| reader).unwrap_err();
    assert!(error.to_string().contains("is not what the image says"), "{error}");
    assert!(!out.join("_metadata.json").exists());
}
