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

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}
