use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;

use super::*;
use crate::source::Bands;
use crate::{AnySource, Layout, PatchScan, WindowSpec};

/// 39 rows of 1,000 numbers in chunks of 8 by 300, packed by Zstandard; those of the second column are not there.
fn write(folder: &Path, sharded: bool) {
    let mut codecs = json!([{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd"}]);
    let mut stored = [8, 300];
    if sharded {
        stored = [16, 600];
        let index = json!([{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]);
        let settings = json!({"chunk_shape": [8, 300], "codecs": codecs, "index_codecs": index});
        codecs = json!([{"name": "sharding_indexed", "configuration": settings}]);
    }
    let doc = json!({
        "zarr_format": 3, "node_type": "array", "shape": [39, 1000], "data_type": "uint32", "fill_value": 7,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": stored}},
        "chunk_key_encoding": {"name": "default"}, "codecs": codecs, "dimension_names": ["row", "column"],
    });
    fs::write(folder.join("zarr.json"), doc.to_string()).unwrap();
    let mut shards = std::collections::BTreeMap::<_, (Vec<u8>, Vec<[u64; 2]>)>::new();
    for (cy, cx) in (0..5).flat_map(|cy| (0..4).map(move |cx| (cy, cx))).filter(|(_, cx)| *cx != 1) {
        let cell = |i: u32| (cy * 8 + i / 300) * 1000 + cx * 300 + i % 300;
        let cells: Vec<u8> = (0..2400).flat_map(|i| cell(i).to_le_bytes()).collect();
        let packed = zstd::bulk::compress(&cells, 1).unwrap();
        if !sharded {
            let row = folder.join(format!("c/{cy}"));
            fs::create_dir_all(&row).unwrap();
            fs::write(row.join(cx.to_string()), packed).unwrap();
            continue;
        }
        let (data, index) = shards.entry((cy / 2, cx / 2)).or_insert_with(|| (vec![], vec![[NOWHERE; 2]; 4]));
        index[(cy % 2 * 2 + cx % 2) as usize] = [data.len() as u64, packed.len() as u64];
        data.extend(packed);
    }
    for ((sy, sx), (mut data, index)) in shards {
        let index: Vec<u8> = index.into_iter().flatten().flat_map(u64::to_le_bytes).collect();
        data.extend(&index);
        data.extend(crc32c::crc32c(&index).to_le_bytes());
        let row = folder.join(format!("c/{sy}"));
        fs::create_dir_all(&row).unwrap();
        fs::write(row.join(sx.to_string()), data).unwrap();
    }
}

const NOWHERE: u64 = u64::MAX;

fn expected(y: usize, x: usize) -> u32 {
    if (300..600).contains(&x) { 7 } else { (y * 1000 + x) as u32 }
}

#[test]
fn a_pass_of_windows_decodes_every_chunk_once() {
    for sharded in [false, true] {
        let folder = TempDir::new().unwrap();
        write(folder.path(), sharded);
        let source = ZarrSource::open(folder.path(), None).unwrap();
        assert_eq!(source.info.chunk, [8, 300]);
        assert_eq!(source.info.axes, Some(vec!["row".to_owned(), "column".to_owned()]));
        for axis in [0, 1] {
            let full = Region::whole(&source.info.shape);
            let mut bands = Bands::open(&source, &BufferPool::new(4), full, axis).unwrap();
            let end = source.info.shape[axis] - 5;
            for start in (0..=end).step_by(if axis == 0 { 1 } else { 41 }) {
                let band = bands.band(start..start + 5).unwrap();
                let mut at = [11, 13];
                at[axis] = start as usize;
                let mut index = at;
                index[axis] -= band.region.0[axis].start as usize;
                assert_eq!(band.view.get::<u32>(&index).unwrap(), Some(expected(at[0], at[1])));
            }
            let mut decoded = std::mem::take(&mut *source.decoded.lock().unwrap());
            assert_eq!(decoded.len(), 15, "sharded {sharded}, axis {axis}");
            decoded.sort();
            decoded.dedup();
            assert_eq!(decoded.len(), 15);
        }
    }
}

#[test]
fn a_sample_decodes_the_chunks_that_it_touches_once_and_no_others() {
    for sharded in [false, true] {
        let folder = TempDir::new().unwrap();
        write(folder.path(), sharded);
        let source = ZarrSource::open(folder.path(), None).unwrap();
        let decoded = source.decoded.clone();
        let builder = PatchScan::builder(AnySource::new(source), WindowSpec::new([2, 3])).layout(Layout::Binary);
        let scan = builder.batch_rows(2).cache_bytes(64 << 10).build().unwrap();
        // In the first column of chunks, over the edge to one that is not there, and in the last one.
        let sample = scan.with_windows([38 * 998 - 1, 5, 299, 298, 6 * 998 + 5, 7 * 998 + 5]).unwrap();
        for batch in sample.reader().unwrap() {
            let batch = batch.unwrap();
            let ids = batch["window"].as_primitive::<UInt64Type>().values();
            for (&id, patch) in ids.iter().zip(batch["patch"].as_fixed_size_binary().iter()) {
                let (y, x) = (id as usize / 998, id as usize % 998);
                let cells = (0..6).flat_map(|i| expected(y + i / 3, x + i % 3).to_ne_bytes());
                assert_eq!(patch.unwrap(), cells.collect::<Vec<_>>(), "window {id}");
            }
        }
        let mut decoded = decoded.lock().unwrap().clone();
        decoded.sort();
        assert_eq!(decoded, [[0, 0], [1, 0], [4, 3]], "sharded {sharded}");
    }
}

#[test]
fn a_region_decodes_no_other_chunk() {
    for sharded in [false, true] {
        let folder = TempDir::new().unwrap();
        write(folder.path(), sharded);
        let source = ZarrSource::open(folder.path(), None).unwrap();
        let mut reader = Source::open(&source, &BufferPool::new(1)).unwrap();
        let view = reader.read(&Region(vec![9..18, 590..610])).unwrap();
        for (y, x) in (0..9).flat_map(|y| (0..20).map(move |x| (y, x))) {
            assert_eq!(view.get::<u32>(&[y, x]).unwrap(), Some(expected(y + 9, x + 590)));
        }
        assert_eq!(*source.decoded.lock().unwrap(), [[1, 2], [2, 2]]);
    }
}

#[test]
fn an_array_that_changes_or_vanishes_is_an_error() {
    let whole = Region(vec![0..39, 0..1000]);
    let message = |change: &dyn Fn(&Path)| {
        let folder = TempDir::new().unwrap();
        write(folder.path(), true);
        let source = ZarrSource::open(folder.path(), None).unwrap();
        let mut reader = Source::open(&source, &BufferPool::new(1)).unwrap();
        reader.read(&Region(vec![0..1, 0..1])).unwrap();
        change(folder.path());
        reader.read(&whole).unwrap_err().to_string()
    };
    let document = |folder: &Path| fs::write(folder.join("zarr.json"), "{}").unwrap();
    assert!(message(&document).contains("changed"));
    assert!(message(&|folder| fs::remove_dir_all(folder).unwrap()).contains("changed"));
    let shard = |folder: &Path| fs::OpenOptions::new().write(true).open(folder.join("c/0/0")).unwrap();
    assert!(message(&|folder| shard(folder).set_len(9).unwrap()).contains("changed while it was read"));
}

#[test]
fn a_chunk_that_vanishes_during_a_pass_is_an_error_and_one_that_never_was_is_not() {
    for (sharded, gone) in [(false, "c/1"), (false, "c/1/0"), (true, "c/1/0"), (true, "c")] {
        let folder = TempDir::new().unwrap();
        write(folder.path(), sharded);
        let source = ZarrSource::open(folder.path(), None).unwrap();
        let mut reader = Source::open(&source, &BufferPool::new(1)).unwrap();
        let view = reader.read(&Region(vec![0..3, 290..310])).unwrap();
        assert_eq!(view.get::<u32>(&[2, 19]).unwrap(), Some(7));
        // The clock of a file system ticks a few hundred times a second.
        std::thread::sleep(std::time::Duration::from_millis(30));
        let gone = folder.path().join(gone);
        if gone.is_dir() {
            fs::remove_dir_all(gone).unwrap()
        } else {
            fs::remove_file(gone).unwrap()
        }
        let message = reader.read(&Region(vec![8..30, 0..300])).unwrap_err().to_string();
        assert!(message.contains("its folder changed while the array was read"), "{message}");
    }
}

#[test]
fn lies_are_errors() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), false);
    let text = fs::read_to_string(folder.path().join("zarr.json")).unwrap();
    let good: Value = serde_json::from_str(&text).unwrap();
    let message = |pointer: &str, value: Value| {
        let mut doc = good.clone();
        match doc.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => doc[&pointer[1..]] = value,
        }
        fs::write(folder.path().join("zarr.json"), doc.to_string()).unwrap();
        let message = ZarrSource::open(folder.path(), None).unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    };
    let chunks = "/chunk_grid/configuration/chunk_shape";
    for (pointer, value, part) in [
        ("/zarr_format", json!(4), "zarr_format 4"),
        ("/node_type", json!("table"), "neither an array nor a group"),
        ("/shape", json!([]), "no axes"),
        ("/shape", json!([39]), "chunk_shape"),
        ("/shape", json!([-1, 5]), "shape"),
        ("/shape", json!([1u64 << 40, 1u64 << 40]), "more than"),
        ("/shape", json!(vec![1; 65]), "at most 64"),
        ("/data_type", json!("complex64"), "complex64"),
        ("/data_type", json!({"name": "struct"}), "data_type"),
        (chunks, json!([0, 8]), "at least 1"),
        (chunks, json!([1u64 << 31, 1u64 << 31]), "at most 4294967296 bytes"),
        (chunks, json!([1u64 << 63, 1u64 << 63]), "at most 4294967296 bytes"),
        ("/chunk_grid/name", json!("rectilinear"), "rectilinear"),
        ("/codecs", json!([]), "none makes bytes"),
        ("/codecs/1/name", json!("bz2"), "bz2"),
        ("/fill_value", json!("many"), "fill_value"),
        ("/new_thing", json!({"a": 1}), "must be understood"),
    ] {
        let message = message(pointer, value);
        assert!(message.contains(part), "{message}");
    }
    fs::write(folder.path().join("zarr.json"), "{").unwrap();
    assert!(ZarrSource::open(folder.path(), None).unwrap_err().to_string().contains("no JSON"));
    fs::remove_file(folder.path().join("zarr.json")).unwrap();
    assert!(ZarrSource::open(folder.path(), None).unwrap_err().to_string().contains("no Zarr array or group"));
}
