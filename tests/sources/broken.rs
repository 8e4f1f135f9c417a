//! Broken files of every format: cut short at every byte, and with every byte of the front changed. Any of them is an
//! error or an image, and takes little memory.

use std::fs;
use std::sync::atomic::Ordering;

use tempfile::TempDir;
use windrow::source::{AnySource, Region};
use windrow::{BufferPool, DType};

use crate::LARGEST;
use crate::npy::Npy;
use crate::suite::array;

/// No file here is longer than a few hundred bytes.
const MOST: usize = 64 << 20;

fn survive(name: &str, bytes: &[u8]) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    let attempt = |bytes: &[u8], what: &dyn Fn() -> String| {
        fs::write(&path, bytes).unwrap();
        let result = AnySource::open(&path, None).and_then(|source| {
            let whole = Region::whole(&source.info().shape);
            let mut reader = source.open(&BufferPool::new(0))?;
            if whole.pixels() == 0 { Ok(None) } else { reader.read(&whole).map(Some) }
        });
        if let Err(error) = &result {
            let text = error.to_string();
            assert!(text.contains(name) && !text.contains('\n'), "{}: {text}", what());
        }
        let largest = LARGEST.load(Ordering::Relaxed);
        assert!(largest < MOST, "{name}, {}: {largest} bytes at once", what());
        result.is_ok()
    };
    assert!(attempt(bytes, &|| "whole".to_owned()), "{name}");
    for length in 0..bytes.len() {
        attempt(&bytes[..length], &|| format!("cut to {length} bytes"));
    }
    for at in 0..bytes.len().min(400) {
        for change in [0xff, 0x80, 0x01] {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= change;
            attempt(&bytes, &|| format!("byte {at} changed by {change:#x}"));
        }
    }
}

#[test]
fn npy() {
    for (fortran, version) in [(false, 1), (true, 2)] {
        survive("a.npy", &Npy { version, fortran, big_endian: true }.bytes(&array(DType::I16, &[5, 6])));
    }
}

#[cfg(feature = "npz")]
#[test]
fn npz() {
    for deflated in [false, true] {
        let members = [("a.npy", Npy::PLAIN.bytes(&array(DType::I16, &[5, 6])))];
        survive("a.npz", &crate::npzs::zip(&members, deflated));
    }
}

#[cfg(feature = "image")]
#[test]
fn images() {
    use image::ImageFormat;

    use crate::images::encode;
    let (gray, rgb) = (array(DType::U8, &[7, 8]), array(DType::U8, &[7, 8, 3]));
    survive("gray.png", &encode(&gray, ImageFormat::Png));
    survive("deep.png", &encode(&array(DType::U16, &[7, 8, 4]), ImageFormat::Png));
    survive("a.jpg", &encode(&rgb, ImageFormat::Jpeg));
    survive("a.bmp", &encode(&rgb, ImageFormat::Bmp));
    survive("a.gif", &encode(&array(DType::U8, &[7, 8, 4]), ImageFormat::Gif));
    survive("a.webp", &encode(&rgb, ImageFormat::WebP));
    survive("a.pnm", &encode(&gray, ImageFormat::Pnm));
    survive("a.tga", &encode(&rgb, ImageFormat::Tga));
    survive("a.qoi", &encode(&rgb, ImageFormat::Qoi));
}

#[cfg(feature = "tiff")]
#[test]
fn tiffs() {
    use crate::tiffs::{Packing, Tiff};
    let (gray, bands) = (array(DType::U16, &[9, 10]), array(DType::U8, &[9, 10, 3]));
    for packing in [Packing::None, Packing::Deflate, Packing::Lzw, Packing::PackBits, Packing::Zstandard] {
        let plain = Tiff { packing, ..Tiff::PLAIN };
        survive("strips.tif", &plain.bytes(&gray));
        survive("tiles.tif", &Tiff { tile: Some((16, 16)), big_tiff: true, ..plain }.bytes(&bands));
        survive("planar.tif", &Tiff { planar: true, big_endian: true, ..plain }.bytes(&bands));
    }
}
