//! Many images as one table: the same rows however they are read.

use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt64Type};
use arrow_array::{RecordBatch, RecordBatchReader};
use windrow::collection::{CollectionInfo, PatchCollection, paths};
use windrow::{AnySource, Layout, PatchScan, Result, ScanBuilder, WindowSpec};

/// A `.npy` file of bytes.
fn npy(path: &Path, shape: [usize; 2], first: usize) {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({}, {}), }}", shape[0], shape[1]);
    let padding = (10 + header.len() + 1).next_multiple_of(64) - 10 - header.len() - 1;
    let header = format!("{header}{}\n", " ".repeat(padding));
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend((0..shape[0] * shape[1]).map(|i| (first + i * 7) as u8));
    std::fs::write(path, file).unwrap();
}

/// Images of many sizes, the large ones among the small ones.
fn folder() -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..40 {
        let shape = if i % 13 == 5 { [300 + i, 400] } else { [4 + i % 7, 3 + i % 5] };
        npy(&folder.path().join(format!("{i:02}.npy")), shape, i);
    }
    let found = paths([folder.path()]).unwrap();
    assert_eq!(found.len(), 40);
    (folder, found)
}

fn builder(path: &Path) -> Result<ScanBuilder> {
    Ok(PatchScan::builder(AnySource::open(path, None)?, WindowSpec::new([4, 3])).layout(Layout::Binary))
}

/// Image, window, and all other columns of every row.
fn rows(batches: impl Iterator<Item = Result<RecordBatch, arrow_schema::ArrowError>>) -> Vec<(String, u64, Vec<u8>)> {
    let mut rows = Vec::new();
    for batch in batches {
        let batch = batch.unwrap();
        let images = batch["image"].as_dictionary::<Int32Type>();
        let names = images.values().as_string::<i32>();
        let windows = batch["window"].as_primitive::<UInt64Type>();
        let patches = batch["patch"].as_fixed_size_binary();
        for row in 0..batch.num_rows() {
            let name = names.value(images.keys().value(row) as usize).to_owned();
            rows.push((name, windows.value(row), patches.value(row).to_vec()));
        }
    }
    rows
}

#[test]
fn rows_are_those_of_every_scan_one_behind_the_other() {
    let (_folder, paths) = folder();
    let mut expected = Vec::new();
    for path in &paths {
        for batch in builder(path).unwrap().build().unwrap().reader().unwrap() {
            let batch = batch.unwrap();
            for patch in batch["patch"].as_fixed_size_binary().iter() {
                expected.push((path.display().to_string(), expected.len() as u64, patch.unwrap().to_vec()));
            }
        }
    }
    for batch_rows in [None, Some(1), Some(100), Some(1 << 20)] {
        let tiles = PatchCollection::new(paths.clone(), move |path| {
            let builder = builder(path)?;
            Ok(if let Some(rows) = batch_rows { builder.batch_rows(rows) } else { builder })
        });
        let tiles = tiles.unwrap();
        assert_eq!(tiles.num_rows().unwrap(), expected.len() as u64);
        // One row a batch of so many takes its time.
        let some = if batch_rows == Some(1) { 2000 } else { u64::MAX };
        for ahead in [0, 1, 9] {
            let tiles = tiles.clone().prefetch(ahead).head(some);
            let got = rows(tiles.reader().unwrap());
            assert!(got == expected[..expected.len().min(some as usize)], "{batch_rows:?} {ahead}");
        }
    }
    let tiles = PatchCollection::new(paths, builder).unwrap();
    for most in [0, 1, 7, 5000] {
        let reader = tiles.clone().head(most).reader().unwrap();
        let info = CollectionInfo::from_schema(&reader.schema()).unwrap().unwrap();
        assert_eq!((info.images, info.window.window_shape), (40, vec![4, 3]));
        assert!(rows(reader) == expected[..most as usize]);
    }
    // A reader that is dropped stops.
    let mut reader = tiles.reader().unwrap();
    reader.next().unwrap().unwrap();
    drop(reader);
}

#[test]
fn a_bad_image_is_an_error_or_told_of() {
    let (folder, mut paths) = folder();
    std::fs::write(folder.path().join("20.npy"), "nonsense").unwrap();
    paths.insert(7, folder.path().join("missing.npy"));
    for ahead in [0, 3] {
        let tiles = PatchCollection::new(paths.clone(), builder).unwrap().prefetch(ahead);
        assert!(tiles.num_rows().unwrap_err().to_string().contains("missing.npy"));
        let mut reader = tiles.reader().unwrap();
        let error = reader.by_ref().find_map(Result::err).unwrap();
        assert!(error.to_string().contains("missing.npy"), "{error}");
        assert!(reader.next().is_none());
        let tiles = PatchCollection::skipping_bad(paths.clone(), builder).unwrap().prefetch(ahead);
        let reader = tiles.reader().unwrap();
        let skipped = reader.skipped();
        let got = rows(reader);
        assert_eq!(got.len() as u64, tiles.num_rows().unwrap());
        let skipped = skipped.lock().unwrap();
        let names: Vec<_> = skipped.iter().map(|bad| Path::new(&bad.image).file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["missing.npy", "20.npy"]);
        assert!(skipped.iter().all(|bad| bad.rows == 0 && bad.error.contains(&bad.image)), "{skipped:?}");
    }
    let message = PatchCollection::new(Vec::new(), builder).unwrap_err().to_string();
    assert!(message.contains("none given"), "{message}");
    // What was asked for is wrong, and no image.
    let wrong = PatchCollection::skipping_bad(paths, |path| Ok(builder(path)?.columns(["nothing"])));
    assert!(wrong.unwrap_err().to_string().contains("nothing"));
}

#[test]
fn a_shuffle_and_a_box_are_of_all_rows() {
    let (folder, paths) = folder();
    let tiles = PatchCollection::new(paths.clone(), |path| Ok(builder(path)?.batch_rows(1000))).unwrap();
    let expected = rows(tiles.reader().unwrap());
    let count = expected.len() as u64;
    let order = windrow::Permutation::new(count, 7, 3);
    let shuffled = tiles.clone().shuffle(7, 3).unwrap();
    for tiles in [shuffled.clone(), shuffled.clone().prefetch(0), shuffled.clone().max_memory(200 << 20).unwrap()] {
        let got = rows(tiles.reader().unwrap());
        assert!(got.iter().zip(0..count).all(|(row, at)| *row == expected[order.get(at) as usize]));
        assert_eq!((got.len() as u64, tiles.num_rows().unwrap()), (count, count));
    }
    let reader = shuffled.reader().unwrap();
    let info = CollectionInfo::from_schema(&reader.schema()).unwrap().unwrap();
    assert_eq!(info.selection, [windrow::Step::Shuffle { seed: 7, epoch: 3, rows: count }]);
    // A part of the order, some of it, and its first rows.
    let part = shuffled.clone().shard(1, 3).unwrap().head(100);
    assert_eq!(part.windows(0..100).unwrap(), shuffled.windows(count / 3..count / 3 + 100).unwrap());
    assert_eq!(rows(part.reader().unwrap()).len(), 100);
    assert_eq!(part.window(7).unwrap(), Some(order.get(count / 3 + 7)));
    assert_eq!((part.window(100).unwrap(), tiles.window(5).unwrap()), (None, Some(5)));
    let box_of = |tiles: PatchCollection| tiles.within([("y", 1..3), ("x", 0..2)]);
    let inside = box_of(tiles.clone()).unwrap();
    let starts = tiles.select(["window", "y", "x"]).unwrap();
    let mut wanted = Vec::new();
    for batch in starts.reader().unwrap() {
        let batch = batch.unwrap();
        let column = |name: &str| batch[name].as_primitive::<arrow_array::types::Int64Type>().values().to_vec();
        for (row, (y, x)) in column("y").into_iter().zip(column("x")).enumerate() {
            if (1..3).contains(&y) && (0..2).contains(&x) {
                wanted.push(batch["window"].as_primitive::<UInt64Type>().value(row));
            }
        }
    }
    assert_eq!(inside.windows(0..inside.num_rows().unwrap()).unwrap(), wanted);
    let got = rows(inside.reader().unwrap());
    assert!(got.iter().zip(&wanted).all(|(row, &id)| *row == expected[id as usize]) && got.len() == wanted.len());
    // Of some rows those in the box, of images with an order of their own too.
    let some = box_of(tiles.clone().rows(100..count - 100).unwrap()).unwrap();
    let kept: Vec<_> = wanted.iter().copied().filter(|id| (100..count - 100).contains(id)).collect();
    assert_eq!(some.windows(0..some.num_rows().unwrap()).unwrap(), kept);
    let turned = PatchCollection::new(paths.clone(), |path| {
        let order = builder(path)?.build()?.shuffle(7, 0)?;
        Ok(builder(path)?.rows_of(&order))
    });
    let turned = box_of(turned.unwrap()).unwrap();
    assert_eq!(turned.num_rows().unwrap(), wanted.len() as u64);
    assert_eq!(rows(turned.reader().unwrap()).len(), wanted.len());
    assert!(box_of(shuffled.clone()).unwrap_err().to_string().contains("shuffled already"));
    let message = tiles.clone().within([("z", 0..1)]).unwrap_err().to_string();
    assert!(message.contains("slides over y, x"), "{message}");
    // Rows that were counted, and are no longer there.
    npy(&folder.path().join("05.npy"), [9, 9], 0);
    let error = shuffled.reader().unwrap().find_map(Result::err).unwrap().to_string();
    assert!(error.contains("05.npy") && error.contains("when they were counted"), "{error}");
    assert!(box_of(tiles).unwrap_err().to_string().contains("the file changed"));
}

#[test]
fn rows_by_number_are_those_of_a_reader() {
    let (folder, mut paths) = folder();
    std::fs::write(folder.path().join("20.npy"), "nonsense").unwrap();
    paths.insert(0, folder.path().join("missing.npy"));
    // Some windows of each image, in an order of its own.
    let some = |path: &Path| {
        let order = builder(path)?.build()?.shuffle(7, 0)?.shard(0, 2)?;
        Ok(builder(path)?.rows_of(&order))
    };
    for tiles in [
        PatchCollection::skipping_bad(paths.clone(), builder).unwrap(),
        PatchCollection::skipping_bad(paths.clone(), some).unwrap(),
    ] {
        let expected = rows(tiles.reader().unwrap());
        let last = tiles.num_rows().unwrap() - 1;
        let mut taker = tiles.taker().unwrap();
        let mut take = |numbers: &[u64]| {
            let batch = taker.take(numbers).unwrap();
            assert_eq!(batch.schema(), tiles.schema());
            assert_eq!(batch["window"].as_primitive::<UInt64Type>().values(), numbers);
            let got = rows([Ok(batch)].into_iter());
            assert!(numbers.iter().map(|&row| &expected[row as usize]).eq(&got), "{numbers:?}");
        };
        take(&[]);
        take(&(0..=last).step_by(37).collect::<Vec<_>>());
        take(&(0..=last).rev().step_by(53).collect::<Vec<_>>());
        take(&[last, 0, last, 7, 7, last / 2]);
        assert!(taker.take(&[0, last + 1]).unwrap_err().to_string().contains(&format!("no window {}", last + 1)));
        // Without a column of the images' own, none is opened.
        let names = tiles.select(["image", "window"]).unwrap();
        let batch = names.taker().unwrap().take(&[last, 0]).unwrap();
        assert_eq!(batch.num_columns(), 2);
        assert_eq!(batch["window"].as_primitive::<UInt64Type>().values(), &[last, 0]);
    }
    let tiles = PatchCollection::new(paths[1..3].to_vec(), builder).unwrap();
    let mut taker = tiles.taker().unwrap();
    npy(&paths[2], [40, 41], 0);
    let message = taker.take(&[tiles.num_rows().unwrap() - 1]).unwrap_err().to_string();
    assert!(message.contains("01.npy") && message.contains("when they were counted"), "{message}");
}
