//! Images, written by the `image` crate in formats without loss.

use std::fs;
use std::io::Cursor;

use image::{DynamicImage, ExtendedColorType, ImageFormat, write_buffer_with_format};
use tempfile::TempDir;
use windrow::source::{AnySource, ImageSource, Source};
use windrow::{BufferPool, DType, StridedView};

use crate::suite::{array, bytes, check};

pub fn encode(view: &StridedView, format: ImageFormat) -> Vec<u8> {
    let channels = view.shape().get(2).copied().unwrap_or(1);
    let color = match (view.dtype(), channels) {
        (DType::U8, 1) => ExtendedColorType::L8,
        (DType::U8, 2) => ExtendedColorType::La8,
        (DType::U8, 3) => ExtendedColorType::Rgb8,
        (DType::U8, 4) => ExtendedColorType::Rgba8,
        (DType::U16, 1) => ExtendedColorType::L16,
        (DType::U16, 2) => ExtendedColorType::La16,
        (DType::U16, 3) => ExtendedColorType::Rgb16,
        (DType::U16, 4) => ExtendedColorType::Rgba16,
        other => panic!("no image of {other:?}"),
    };
    let mut file = Cursor::new(Vec::new());
    let (height, width) = (view.shape()[0] as u32, view.shape()[1] as u32);
    write_buffer_with_format(&mut file, &bytes(view, false), width, height, color, format).unwrap();
    file.into_inner()
}

fn source(folder: &TempDir, name: &str, bytes: &[u8]) -> AnySource {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    AnySource::open(path, None).unwrap()
}

#[test]
fn all_formats_without_loss() {
    let folder = TempDir::new().unwrap();
    for (format, name, dtype, channels) in [
        (ImageFormat::Png, "a.png", DType::U8, &[1, 2, 3, 4][..]),
        (ImageFormat::Png, "a.png", DType::U16, &[1, 2, 3, 4]),
        (ImageFormat::Bmp, "a.bmp", DType::U8, &[3, 4]),
        (ImageFormat::WebP, "a.webp", DType::U8, &[3, 4]),
        (ImageFormat::Pnm, "a.pnm", DType::U8, &[1, 3]),
        (ImageFormat::Tga, "a.tga", DType::U8, &[1, 3, 4]),
        (ImageFormat::Qoi, "a.qoi", DType::U8, &[3, 4]),
    ] {
        for &channels in channels {
            let (shape, axes) = match channels {
                1 => (vec![13, 21], &["y", "x"][..]),
                n => (vec![13, 21, n], &["y", "x", "c"][..]),
            };
            let view = array(dtype, &shape);
            let source = source(&folder, name, &encode(&view, format));
            assert!(source.info().resident);
            assert_eq!(source.info().chunk, source.info().shape);
            check(&source, &view, Some(axes));
        }
    }
}

#[test]
fn formats_with_loss_have_the_shape_and_nearly_the_pixels() {
    let folder = TempDir::new().unwrap();
    let smooth =
        StridedView::from_vec((0..24 * 32).map(|i| (i / 32 * 4 + i % 32 * 2) as u8).collect(), &[24, 32]).unwrap();
    let jpeg = source(&folder, "a.jpg", &encode(&smooth, ImageFormat::Jpeg));
    assert_eq!(jpeg.info().shape, [24, 32]);
    let whole = windrow::source::Region::whole(&[24, 32]);
    let got = jpeg.open(&BufferPool::new(0)).unwrap().read(&whole).unwrap();
    let near = bytes(&got, false).iter().zip(bytes(&smooth, false)).all(|(a, b)| a.abs_diff(b) < 16);
    assert!(near);

    // A GIF is always RGBA, and a palette of few colours is exact.
    let mut file = Cursor::new(Vec::new());
    let rgba: Vec<u8> = (0..7 * 5).flat_map(|i| [i as u8 % 3 * 90, 0, 255, 255]).collect();
    let image = image::RgbaImage::from_raw(5, 7, rgba.clone()).unwrap();
    DynamicImage::from(image).write_to(&mut file, ImageFormat::Gif).unwrap();
    let view = StridedView::from_vec(rgba, &[7, 5, 4]).unwrap();
    check(&source(&folder, "a.gif", &file.into_inner()), &view, Some(&["y", "x", "c"]));
}

#[test]
fn a_claim_beyond_the_length_of_the_file_is_refused() {
    let folder = TempDir::new().unwrap();
    let view = array(DType::U8, &[13, 21]);
    let mut png = encode(&view, ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x40, 0]);
    // The checksum is right again, as a forger would have it.
    let crc = crc32(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&crc);
    let path = folder.path().join("a.png");
    fs::write(&path, png).unwrap();
    let message = ImageSource::open(&path).unwrap_err().to_string();
    assert!(message.contains("claims 16384 by 16384 pixels"), "{message}");
}

#[test]
fn a_file_that_changed_is_not_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.png");
    fs::write(&path, encode(&array(DType::U8, &[13, 21]), ImageFormat::Png)).unwrap();
    let source = ImageSource::open(&path).unwrap();
    fs::write(&path, encode(&array(DType::U8, &[13, 22]), ImageFormat::Png)).unwrap();
    let message = Source::open(&source, &BufferPool::new(0)).err().unwrap().to_string();
    assert!(message.contains("changed"), "{message}");
}

/// A PNG chunk, with a sound checksum.
fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc32(&body).to_be_bytes()].concat()
}

#[test]
fn metadata_are_no_way_into_memory() {
    let view = array(DType::U8, &[13, 21]);
    let png = encode(&view, ImageFormat::Png);
    let folder = TempDir::new().unwrap();
    // 30 MB of zeros, deflated: the stream is cut out of an image of them.
    let zeros = StridedView::from_vec(vec![0u8; 30_000_000], &[6_000, 5_000]).unwrap();
    let large = encode(&zeros, ImageFormat::Png);
    drop(zeros);
    let mut at = 8;
    let mut deflated = Vec::new();
    while let Some(head) = large.get(at..at + 8) {
        let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        if &head[4..] == b"IDAT" {
            deflated.extend(&large[at + 8..at + 8 + length]);
        }
        at += 12 + length;
    }
    let profile = [b"icc\0\0", deflated.as_slice()].concat();
    let text = [b"Comment\0\0", deflated.as_slice()].concat();
    let international = [b"Comment\0\x01\0\0\0", deflated.as_slice()].concat();
    for (kind, data) in [(b"iCCP", profile), (b"zTXt", text), (b"iTXt", international)] {
        let bytes = [&png[..33], &png_chunk(kind, &data), &png[33..]].concat();
        let source = source(&folder, "a.png", &bytes);
        assert!(source.info().working_bytes < 16 << 20);
        check(&source, &view, Some(&["y", "x"]));
    }
}

#[test]
fn a_tiny_file_is_no_large_image() {
    let folder = TempDir::new().unwrap();
    let refused = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let message = ImageSource::open(&path).unwrap_err().to_string();
        assert!(message.contains("the header claims") && message.contains("bytes of data"), "{message}");
    };
    let side = 32_000u16.to_le_bytes();
    // A GIF file of one frame.
    let gif = |screen: [u8; 2], frame: [u8; 2]| {
        let start = [b"GIF89a".as_slice(), &screen, &screen, &[0, 0, 0, 0x2c, 0, 0, 0, 0]].concat();
        [&start[..], &frame, &frame, &[0, 2, 1, 0, 0, 0x3b]].concat()
    };
    refused("a.gif", &gif(side, [1, 0]));
    // A still image of 16383 by 16383, without loss: 14 bits each way.
    let lossless = [b"RIFF\x20\0\0\0WEBPVP8L\x13\0\0\0\x2f".as_slice(), &[0xfe, 0xbf, 0xff, 0x0f], &[0; 15]].concat();
    refused("a.webp", &lossless);
    // A small canvas is fine, and a frame that is larger than it takes no more.
    let path = folder.path().join("frame.gif");
    fs::write(&path, gif([1, 0], side)).unwrap();
    let source = ImageSource::open(&path).unwrap();
    assert!(Source::open(&source, &BufferPool::new(0)).is_err());
}

#[test]
fn a_large_image_of_one_colour_is_fine() {
    let folder = TempDir::new().unwrap();
    let view = StridedView::from_vec(vec![7u8; 3000 * 2000 * 3], &[3000, 2000, 3]).unwrap();
    let bytes = encode(&view, ImageFormat::WebP);
    assert!(bytes.len() < 20_000, "{}", bytes.len());
    let source = source(&folder, "a.webp", &bytes);
    let mut reader = source.open(&BufferPool::new(0)).unwrap();
    let last = reader.read(&windrow::source::Region(vec![2999..3000, 1999..2000, 0..3])).unwrap();
    assert_eq!(last.to_vec::<u8>().unwrap(), [7, 7, 7]);
}

#[test]
fn a_jpeg_that_is_cut_short_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.jpg");
    let mut bytes = encode(&array(DType::U8, &[40, 50, 3]), ImageFormat::Jpeg);
    for length in bytes.len() * 4 / 5..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let message = ImageSource::open(&path).unwrap_err().to_string();
        assert!(message.contains("cut short"), "{length}: {message}");
    }
    bytes.extend(b"what a camera leaves behind");
    fs::write(&path, bytes).unwrap();
    let source = ImageSource::open(&path).unwrap();
    assert!(Source::open(&source, &BufferPool::new(0)).is_ok());
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}
