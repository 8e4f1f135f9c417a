use std::fs;
use std::io::Cursor;

use tempfile::TempDir;
use tiff::encoder::{Compression, DeflateLevel, TiffEncoder, colortype};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;

use super::*;
use crate::source::Bands;
use crate::{AnySource, Layout, PatchScan, WindowSpec};

/// A gray 39 by 50 image in strips of 4 rows.
fn strips(compression: Compression) -> (TempDir, TiffSource) {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap().with_compression(compression);
    let mut image = encoder.new_image::<colortype::Gray16>(50, 39).unwrap();
    image.rows_per_strip(4).unwrap();
    image.write_data(&(0..39 * 50).collect::<Vec<u16>>()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strips.tif");
    fs::write(&path, bytes.into_inner()).unwrap();
    let source = TiffSource::open(&path, 0).unwrap();
    (folder, source)
}

#[test]
fn a_pass_of_windows_decodes_every_strip_once() {
    let (_folder, source) = strips(Compression::Deflate(DeflateLevel::Fast));
    assert_eq!(source.info.chunk, [4, 50]);
    for pass in 1..=2 {
        let full = Region::whole(&source.info.shape);
        let mut bands = Bands::open(&source, &BufferPool::new(4), full, 0).unwrap();
        for start in 0..=31 {
            let band = bands.band(start..start + 8).unwrap();
            let row = (start - band.region.0[0].start) as usize;
            let first = band.view.get::<u16>(&[row, 49]).unwrap();
            assert_eq!(first, Some(start as u16 * 50 + 49));
        }
        assert_eq!(*source.decoded.lock().unwrap(), [pass; 10]);
    }
}

#[test]
fn a_region_decodes_no_other_strip() {
    let (_folder, source) = strips(Compression::Lzw);
    let mut reader = Source::open(&source, &BufferPool::new(1)).unwrap();
    let view = reader.read(&Region(vec![7..13, 3..5])).unwrap();
    assert_eq!(view.to_vec::<u16>().unwrap()[..4], [353, 354, 403, 404]);
    assert_eq!(*source.decoded.lock().unwrap(), [0, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn rows_without_compression_are_read_alone() {
    let (_folder, source) = strips(Compression::Uncompressed);
    assert_eq!(source.info.chunk, [1, 50]);
}

/// A gray image in tiles of 16 by 16, packed as PackBits; the pixel is the sum of its tile's coordinates. Those with an
/// odd sum are left out of a sparse one.
fn tiles(height: u32, width: u32, sparse: bool) -> (TempDir, TiffSource) {
    let (across, down) = (width.div_ceil(16), height.div_ceil(16));
    let count = across * down;
    let (mut data, mut offsets, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for tile in 0..count {
        let sum = tile / across + tile % across;
        if sparse && sum % 2 == 1 {
            offsets.extend(0u32.to_le_bytes());
            bytes.extend(0u32.to_le_bytes());
            continue;
        }
        offsets.extend((8 + data.len() as u32).to_le_bytes());
        bytes.extend(4u32.to_le_bytes());
        // Two runs of 128.
        data.extend([129, sum as u8, 129, sum as u8]);
    }
    let tables = 8 + data.len() as u32;
    let directory = tables + 8 * count;
    let mut file = [b"II*\0".as_slice(), &directory.to_le_bytes(), &data, &offsets, &bytes].concat();
    let tags = [
        (256, 1, width),
        (257, 1, height),
        (258, 1, 8),
        (259, 1, 32773),
        (262, 1, 1),
        (322, 1, 16),
        (323, 1, 16),
        (324, count, tables),
        (325, count, tables + 4 * count),
    ];
    file.extend((tags.len() as u16).to_le_bytes());
    for (tag, count, value) in tags {
        file.extend([tag as u16, 4].iter().flat_map(|n: &u16| n.to_le_bytes()));
        file.extend([count, value].iter().flat_map(|n| n.to_le_bytes()));
    }
    file.extend([0; 4]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiles.tif");
    fs::write(&path, file).unwrap();
    let source = TiffSource::open(&path, 0).unwrap();
    (folder, source)
}

#[test]
fn a_pass_of_windows_decodes_every_tile_once() {
    // So long that a row or column of tiles is worth a read of its own, and bands move.
    for (axis, shape) in [(0, [40, 8200]), (1, [8200, 40])] {
        let (_folder, source) = tiles(shape[0], shape[1], false);
        assert_eq!(source.info.chunk, [16, 16]);
        let full = Region::whole(&source.info.shape);
        let mut bands = Bands::open(&source, &BufferPool::new(4), full, axis).unwrap();
        for start in 0..=32 {
            let band = bands.band(start..start + 8).unwrap();
            assert!(band.region.0[axis].start <= start && band.region.0[axis].end <= (start + 8).next_multiple_of(16));
            let mut last = [8199; 2];
            last[axis] = (start + 7 - band.region.0[axis].start) as usize;
            let tile = (start + 7) / 16 + 8199 / 16;
            assert_eq!(band.view.get::<u8>(&last).unwrap(), Some(tile as u8));
        }
        assert_eq!(*source.decoded.lock().unwrap(), [1; 3 * 513]);
    }
}

/// Reads a table to its end, and gives its ids and patches.
fn drained(scan: &PatchScan) -> Vec<(u64, Vec<u8>)> {
    let mut rows = Vec::new();
    for batch in scan.reader().unwrap() {
        let batch = batch.unwrap();
        let ids = batch["window"].as_primitive::<UInt64Type>().values().to_vec();
        let patches = batch["patch"].as_fixed_size_binary();
        rows.extend(ids.into_iter().zip(patches.iter().map(|patch| patch.unwrap().to_vec())));
    }
    rows
}

/// The windows of 4 by 4 of an image in tiles, and how often each tile is decoded.
fn windows(height: u32, width: u32, cache: u64) -> (TempDir, PatchScan, impl Fn() -> Vec<u32>) {
    let (folder, source) = tiles(height, width, false);
    let decoded = source.decoded.clone();
    let builder = PatchScan::builder(AnySource::new(source), WindowSpec::new([4, 4])).layout(Layout::Binary);
    let scan = builder.batch_rows(100).cache_bytes(cache).build().unwrap();
    let counts = move || decoded.lock().unwrap().iter_mut().map(std::mem::take).collect();
    (folder, scan, counts)
}

/// The pixels of a window of such an image.
fn patch(scan: &PatchScan, id: u64) -> Vec<u8> {
    let across = scan.grid().grid_shape()[1];
    let cell = |i: u64| ((id / across + i / 4) / 16 + (id % across + i % 4) / 16) as u8;
    (0..16).map(cell).collect()
}

#[test]
fn a_sample_decodes_the_tiles_that_it_touches_once_and_no_others() {
    let (_folder, scan, decoded) = windows(160, 3000, 64 << 10);
    let across = 3000u64.div_ceil(16);
    for sample in [scan.sample(300, 1).unwrap(), scan.within([("x", 1000..1100)]).unwrap()] {
        let mut expected = vec![0; 10 * across as usize];
        for id in sample.windows(0..sample.num_rows()).unwrap() {
            let (y, x) = (id / 2997, id % 2997);
            for (y, x) in [(y, x), (y, x + 3), (y + 3, x), (y + 3, x + 3)] {
                expected[(y / 16 * across + x / 16) as usize] = 1;
            }
        }
        for (id, pixels) in drained(&sample) {
            assert_eq!(pixels, patch(&scan, id), "window {id}");
        }
        assert_eq!(decoded(), expected);
    }
}

#[test]
fn a_shuffle_decodes_what_is_kept_once() {
    // All of the image fits.
    let (_folder, scan, decoded) = windows(64, 320, 64 << 10);
    let shuffled = scan.shuffle(7, 0).unwrap();
    let rows = drained(&shuffled);
    assert_eq!(rows.len(), 61 * 317);
    rows.iter().for_each(|(id, pixels)| assert_eq!(pixels, &patch(&scan, *id), "window {id}"));
    assert_eq!(decoded(), [1; 80]);
    // Three quarters of it do: of each batch, which touches nearly all of it, about a quarter is decoded again.
    let (_folder, scan, decoded) = windows(64, 320, 60 * 256);
    let rows = drained(&scan.shuffle(7, 0).unwrap());
    rows.iter().for_each(|(id, pixels)| assert_eq!(pixels, &patch(&scan, *id), "window {id}"));
    let (count, batches) = (decoded().iter().sum::<u32>(), rows.len().div_ceil(100) as u32);
    assert!((15 * batches..45 * batches).contains(&count), "{count} tiles in {batches} batches");
    // None of it does: no tile is decoded more often in a batch than it has edges.
    let (_folder, scan, decoded) = windows(64, 320, 0);
    drained(&scan.shuffle(7, 0).unwrap());
    let count = decoded().iter().sum::<u32>();
    assert!(count < 200 * batches, "{count} tiles in {batches} batches");
}

#[test]
fn a_tile_that_was_never_written_is_zeros_and_is_not_decoded() {
    let (_folder, source) = tiles(40, 50, true);
    let mut reader = Source::open(&source, &BufferPool::new(1)).unwrap();
    let view = reader.read(&Region(vec![15..17, 14..36])).unwrap();
    for (row, tiles) in [(0, [0, 0, 2]), (1, [0, 2, 0])] {
        let expected: Vec<_> = (14..36).map(|x| Some(tiles[x / 16])).collect();
        let got: Vec<_> = (0..22).map(|x| view.get::<u8>(&[row, x]).unwrap()).collect();
        assert_eq!(got, expected);
    }
    assert_eq!(*source.decoded.lock().unwrap(), [1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_sparse_tile_takes_no_memory_however_large() {
    let (folder, source) = tiles(1, 1, false);
    let path = folder.path().join("tiles.tif");
    let mut bytes = fs::read(&path).unwrap();
    let entry = bytes.len() - 4 - 12 * 9;
    // Tiles of almost 4 GiB, without a place.
    for (index, value) in [(5, 65536u32), (6, 65535), (7, 0), (8, 0)] {
        bytes[entry + 12 * index + 8..][..4].copy_from_slice(&value.to_le_bytes());
    }
    fs::write(&path, bytes).unwrap();
    drop(source);
    let source = TiffSource::open(&path, 0).unwrap();
    assert_eq!(source.info.working_bytes, 0);
    let mut reader = TiffReader {
        file: DataFile::open(&path).unwrap(),
        page: source.page.clone(),
        pool: BufferPool::new(1),
        decoder: ChunkDecoder::new(),
        scratch: Vec::new(),
        slots: Vec::new(),
        decoded: source.decoded.clone(),
    };
    let view = reader.read(&Region(vec![0..1, 0..1])).unwrap();
    assert_eq!((view.get::<u8>(&[0, 0]).unwrap(), reader.scratch.capacity()), (Some(0), 0));
}

#[test]
fn a_file_that_changes_during_a_pass_is_an_error() {
    let (folder, source) = strips(Compression::Lzw);
    let path = folder.path().join("strips.tif");
    let mut reader = Source::open(&source, &BufferPool::new(1)).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes.push(0);
    fs::write(&path, bytes).unwrap();
    let message = reader.read(&Region(vec![0..4, 0..50])).err().unwrap().to_string();
    assert!(message.ends_with("strips.tif: the file changed while it was read"), "{message}");
    assert!(Source::open(&source, &BufferPool::new(1)).err().unwrap().to_string().contains("changed"));
}
