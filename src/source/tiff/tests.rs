use std::io::Cursor;

use tempfile::TempDir;
use tiff::encoder::{Compression, DeflateLevel, TiffEncoder, colortype};

use super::*;
use crate::source::Bands;

/// A gray 39 by 50 image in strips of 4 rows.
fn strips(compression: Compression) -> (TempDir, TiffSource) {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap().with_compression(compression);
    let mut image = encoder.new_image::<colortype::Gray16>(50, 39).unwrap();
    image.rows_per_strip(4).unwrap();
    image.write_data(&(0..39 * 50).collect::<Vec<u16>>()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strips.tif");
    std::fs::write(&path, bytes.into_inner()).unwrap();
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
