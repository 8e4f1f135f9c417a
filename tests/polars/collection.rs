//! Many images as one frame: the rows of a collection's reader, and no patch more than is asked for.

use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use windrow::collection::PatchCollection;
use windrow::{AnySource, Layout, Result, ScanBuilder};

use super::*;

/// A folder of raw files, whose pixels differ from file to file.
fn folder(sides: &[usize]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let file = |(i, side): (usize, &usize)| {
        let path = folder.path().join(format!("{i:02}.npy"));
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({side}, {side}), }}");
        let header = format!("{header:<117}\n");
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend((0..side * side).map(|pixel| (pixel * 37 % 251 + i) as u8));
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let paths = sides.iter().enumerate().map(file).collect();
    (folder, paths)
}

fn builder(path: &Path) -> Result<ScanBuilder> {
    Ok(PatchScan::builder(AnySource::open(path, None)?, WindowSpec::new([4, 4])).layout(Layout::Binary))
}

/// The rows of a collection by way of its reader, the paths as strings.
fn read(tiles: &PatchCollection) -> DataFrame {
    let mut all: Option<DataFrame> = None;
    for batch in tiles.reader().unwrap() {
        let batch = batch.unwrap();
        let images = batch["image"].as_dictionary::<Int32Type>();
        let names = images.downcast_dict::<arrow_array::StringArray>().unwrap();
        let names: StringChunked = names.into_iter().collect();
        let without: Vec<_> = (1..batch.num_columns()).collect();
        let mut frame = windrow::polars::data_frame(&batch.project(&without).unwrap()).unwrap();
        frame.insert_column(0, names.with_name("image".into()).into_column()).unwrap();
        match &mut all {
            Some(all) => {
                all.vstack_mut_owned(frame).unwrap();
            }
            None => all = Some(frame),
        }
    }
    all.unwrap()
}

#[test]
fn rows_are_those_of_the_reader() {
    let (_folder, paths) = folder(&[9, 4, 300, 4, 17, 5]);
    let tiles = PatchCollection::new(paths.clone(), builder).unwrap();
    let shuffled = PatchCollection::new(paths, |path| {
        let order = builder(path)?.build()?.shuffle(7, 0)?;
        Ok(builder(path)?.layout(Layout::Tensor).rows_of(&order))
    });
    let sample = tiles.clone().sample(500, 3).unwrap();
    let parts = [tiles.clone().rows(30..9000).unwrap(), sample.clone().shard(1, 3).unwrap(), sample.head(7)];
    for tiles in [tiles.clone(), shuffled.unwrap(), tiles.head(40)].into_iter().chain(parts) {
        let (table, expected) = (windrow::polars::collection::scan(&tiles).unwrap(), read(&tiles));
        for engine in ENGINES {
            let frame = collect(&table, engine).unwrap();
            assert_eq!(frame.schema(), expected.schema());
            assert!(frame.equals_missing(&expected), "{frame:?}\n{expected:?}");
        }
    }
}

#[test]
fn only_what_is_asked_for_is_gathered() {
    let (_folder, paths) = folder(&[9, 4, 300, 4, 17, 5]);
    let third = paths[2].display().to_string();
    let tiles = PatchCollection::new(paths, builder).unwrap();
    let table = windrow::polars::collection::scan(&tiles).unwrap();
    let rows = tiles.num_rows().unwrap();
    for engine in ENGINES {
        let count = |frame: LazyFrame| counted(tiles.first(), &frame, engine);
        let (frame, gathered) = count(table.clone().select([len()]));
        assert_eq!((frame.column("len").unwrap().get(0).unwrap().try_extract::<u64>().unwrap(), gathered), (rows, 0));
        let (frame, gathered) = count(table.clone().filter(col("y").lt(lit(1)).and(col("x").eq(lit(1)))));
        assert_eq!((frame.height(), gathered), (4, 4));
        let (frame, gathered) = count(table.clone().filter(col("image").eq(lit(third.clone()))).slice(1000, 5));
        assert_eq!((frame.height(), gathered), (5, 5));
        let (_, gathered) = count(table.clone().select([col("window").sum(), col("x").max(), col("image").n_unique()]));
        assert_eq!(gathered, 0);
    }
}

#[test]
fn an_image_that_changed_is_an_error_of_the_query() {
    let (_folder, paths) = folder(&[9, 12]);
    let tiles = PatchCollection::new(paths.clone(), builder).unwrap();
    let table = windrow::polars::collection::scan(&tiles).unwrap();
    std::fs::write(&paths[1], "nonsense").unwrap();
    for engine in ENGINES {
        let message = collect(&table, engine).unwrap_err().to_string();
        assert!(message.contains("01.npy"), "{message}");
    }
}
