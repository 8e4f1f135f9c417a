//! TIFF files, written here in every arrangement, their chunks packed by the `tiff` crate.

use std::fs;
use std::io::Cursor;

use tempfile::TempDir;
use tiff::decoder::Decoder;
use tiff::encoder::{Compression, DeflateLevel, TiffEncoder, colortype};
use tiff::tags::Tag;
use windrow::source::{AnySource, OpenOptions, Source, TiffSource};
use windrow::{BufferPool, DType, StridedView};

use crate::suite::{array, bytes, check};

/// How the bytes of a chunk are packed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Packing {
    None,
    Lzw,
    Deflate,
    PackBits,
    Zstandard,
}

/// How a file is written.
#[derive(Clone, Copy, Debug)]
pub struct Tiff {
    pub big_endian: bool,
    pub big_tiff: bool,
    pub rows_per_strip: usize,
    /// Height and width, instead of strips.
    pub tile: Option<(usize, usize)>,
    pub planar: bool,
    pub packing: Packing,
    pub predictor: u64,
    /// Number of the directory that the image is in; those before it are images of one pixel.
    pub pages_before: usize,
}

impl Tiff {
    pub const PLAIN: Tiff = Tiff {
        big_endian: false,
        big_tiff: false,
        rows_per_strip: 4,
        tile: None,
        planar: false,
        packing: Packing::None,
        predictor: 1,
        pages_before: 0,
    };

    pub fn bytes(self, view: &StridedView) -> Vec<u8> {
        self.bytes_with(view, &[])
    }

    /// A file with other tags than the ones that follow from the image.
    pub fn bytes_with(self, view: &StridedView, tags: &[(u16, Vec<u64>)]) -> Vec<u8> {
        let mut file = Vec::new();
        file.extend(if self.big_endian { b"MM" } else { b"II" });
        if self.big_tiff {
            [43, 8, 0].into_iter().for_each(|n| self.put(&mut file, 2, n));
        } else {
            self.put(&mut file, 2, 42);
        }
        let mut link = file.len();
        self.put(&mut file, self.word(), 0);
        for _ in 0..self.pages_before {
            let small = Tiff { tile: None, planar: false, packing: Packing::None, predictor: 1, ..self };
            link = small.page(&mut file, link, &array(DType::U8, &[1, 1]), &[]);
        }
        self.page(&mut file, link, view, tags);
        file
    }

    fn word(self) -> usize {
        if self.big_tiff { 8 } else { 4 }
    }

    fn put(self, file: &mut Vec<u8>, size: usize, n: u64) {
        let bytes = n.to_be_bytes();
        let bytes = &bytes[8 - size..];
        if self.big_endian { file.extend(bytes) } else { file.extend(bytes.iter().rev()) }
    }

    /// Appends a page, and writes where it is at `link`. Gives the place of the next link.
    fn page(self, file: &mut Vec<u8>, link: usize, view: &StridedView, other: &[(u16, Vec<u64>)]) -> usize {
        let (height, width) = (view.shape()[0], view.shape()[1]);
        let samples = view.shape().get(2).copied().unwrap_or(1);
        let (chunk_height, chunk_width) = self.tile.unwrap_or((self.rows_per_strip, width));
        let planes = if self.planar { samples } else { 1 };
        let (mut offsets, mut counts) = (Vec::new(), Vec::new());
        for plane in 0..planes {
            for y in (0..height).step_by(chunk_height) {
                for x in (0..width).step_by(chunk_width) {
                    let rows = y..(y + chunk_height).min(height);
                    let columns = x..(x + chunk_width).min(width);
                    let mut part = view.slice(0, rows, 1).unwrap().slice(1, columns, 1).unwrap();
                    if self.planar {
                        part = part.slice(2, plane..plane + 1, 1).unwrap();
                    }
                    let packed = self.pack(&self.chunk(&part, chunk_width));
                    offsets.push(file.len() as u64);
                    counts.push(packed.len() as u64);
                    file.extend(packed);
                }
            }
        }
        let (format, dtype) = (sample_format(view.dtype()), view.dtype());
        let mut tags = vec![
            (256, vec![width as u64]),
            (257, vec![height as u64]),
            (258, vec![dtype.size() as u64 * 8; samples]),
            (
                259,
                vec![match self.packing {
                    Packing::None => 1,
                    Packing::Lzw => 5,
                    Packing::Deflate => 8,
                    Packing::PackBits => 32773,
                    Packing::Zstandard => 50000,
                }],
            ),
            (262, vec![if samples >= 3 { 2 } else { 1 }]),
            (277, vec![samples as u64]),
            (284, vec![if self.planar { 2 } else { 1 }]),
            (317, vec![self.predictor]),
            (339, vec![format; samples]),
        ];
        match self.tile {
            Some((h, w)) => tags.extend([(322, vec![w as u64]), (323, vec![h as u64]), (324, offsets), (325, counts)]),
            None => tags.extend([(273, offsets), (278, vec![chunk_height as u64]), (279, counts)]),
        }
        for (tag, values) in other {
            tags.retain(|(old, _)| old != tag);
            tags.push((*tag, values.clone()));
        }
        tags.retain(|(_, values)| !values.is_empty());
        tags.sort();
        self.directory(file, link, &tags)
    }

    fn directory(self, file: &mut Vec<u8>, link: usize, tags: &[(u16, Vec<u64>)]) -> usize {
        // Values that don't fit in their entry come before the directory.
        let word = self.word();
        let entries: Vec<_> = tags
            .iter()
            .map(|(tag, values)| {
                let mut field = Vec::new();
                values.iter().for_each(|&value| self.put(&mut field, word, value));
                if values.len() > 1 {
                    let at = file.len() as u64;
                    file.append(&mut field);
                    self.put(&mut field, word, at);
                }
                (*tag, values.len(), field)
            })
            .collect();
        let mut at = Vec::new();
        self.put(&mut at, word, file.len() as u64);
        file[link..link + word].copy_from_slice(&at);
        self.put(file, if self.big_tiff { 8 } else { 2 }, tags.len() as u64);
        for (tag, count, field) in entries {
            self.put(file, 2, u64::from(tag));
            self.put(file, 2, if self.big_tiff { 16 } else { 4 });
            self.put(file, word, count as u64);
            file.extend(field);
        }
        let next = file.len();
        self.put(file, word, 0);
        next
    }

    /// The bytes of a chunk before they are packed; tiles are padded with something.
    fn chunk(self, part: &StridedView, width: usize) -> Vec<u8> {
        let size = part.dtype().size();
        let samples = part.shape().get(2).copied().unwrap_or(1);
        let height = self.tile.map_or(part.shape()[0], |(height, _)| height);
        let mut chunk = vec![0x5a; height * width * samples * size];
        let data = bytes(part, self.big_endian);
        let row = part.shape()[1] * samples * size;
        for (to, from) in chunk.chunks_mut(width * samples * size).zip(data.chunks(row)) {
            to[..row].copy_from_slice(from);
        }
        for row in chunk.chunks_mut(width * samples * size) {
            match self.predictor {
                2 => self.differences(row, size, samples),
                3 => float_differences(row, size, samples, self.big_endian),
                _ => {}
            }
        }
        chunk
    }

    fn differences(self, row: &mut [u8], size: usize, samples: usize) {
        let step = size * samples;
        let number = |bytes: &[u8]| {
            let add = |n: u64, byte: &u8| n << 8 | u64::from(*byte);
            if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
        };
        for at in (step..row.len()).step_by(size).rev() {
            let difference = number(&row[at..at + size]).wrapping_sub(number(&row[at - step..at - step + size]));
            let mut out = Vec::new();
            self.put(&mut out, 8, difference);
            let low = if self.big_endian { &out[8 - size..] } else { &out[..size] };
            row[at..at + size].copy_from_slice(low);
        }
    }

    fn pack(self, chunk: &[u8]) -> Vec<u8> {
        let compression = match self.packing {
            Packing::None => return chunk.to_vec(),
            Packing::Lzw => Compression::Lzw,
            Packing::Deflate => Compression::Deflate(DeflateLevel::Balanced),
            Packing::PackBits => Compression::Packbits,
            Packing::Zstandard => return zstd::encode_all(chunk, 3).unwrap(),
        };
        let mut file = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut file).unwrap().with_compression(compression);
        let mut image = encoder.new_image::<colortype::Gray8>(chunk.len() as u32, 1).unwrap();
        image.rows_per_strip(1).unwrap();
        image.write_data(chunk).unwrap();
        file.set_position(0);
        let mut decoder = Decoder::new(&mut file).unwrap();
        let start = decoder.get_tag_u64(Tag::StripOffsets).unwrap() as usize;
        let length = decoder.get_tag_u64(Tag::StripByteCounts).unwrap() as usize;
        file.into_inner()[start..start + length].to_vec()
    }
}

/// The predictor for floats: the bytes of a row by significance, then their differences.
fn float_differences(row: &mut [u8], size: usize, samples: usize, big_endian: bool) {
    let cells = row.len() / size;
    let old = row.to_vec();
    for (i, cell) in old.chunks(size).enumerate() {
        for byte in 0..size {
            row[byte * cells + i] = cell[if big_endian { byte } else { size - 1 - byte }];
        }
    }
    for at in (samples..row.len()).rev() {
        row[at] = row[at].wrapping_sub(row[at - samples]);
    }
}

fn sample_format(dtype: DType) -> u64 {
    match dtype {
        DType::I8 | DType::I16 | DType::I32 | DType::I64 => 2,
        dtype if dtype.is_float() => 3,
        _ => 1,
    }
}

fn write(folder: &TempDir, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.path().join("a.tif");
    fs::write(&path, bytes).unwrap();
    path
}

const GRAY: Option<&[&str]> = Some(&["y", "x"]);
const BANDS: Option<&[&str]> = Some(&["y", "x", "c"]);

#[test]
fn all_types_in_both_byte_orders() {
    let folder = TempDir::new().unwrap();
    for dtype in DType::ALL.into_iter().filter(|&dtype| dtype != DType::Bool) {
        for (big_endian, big_tiff) in [(false, false), (true, false), (false, true), (true, true)] {
            for packing in [Packing::None, Packing::Deflate] {
                let view = array(dtype, &[21, 18]);
                let file = Tiff { big_endian, big_tiff, packing, ..Tiff::PLAIN }.bytes(&view);
                check(&AnySource::open(write(&folder, &file), None).unwrap(), &view, GRAY);
            }
        }
    }
}

#[test]
fn all_arrangements_of_chunks() {
    let folder = TempDir::new().unwrap();
    for samples in [2, 3, 4, 7] {
        let view = array(DType::U16, &[37, 41, samples]);
        for planar in [false, true] {
            for tile in [None, Some((16, 16)), Some((16, 48)), Some((48, 16)), Some((64, 64))] {
                for packing in [Packing::None, Packing::Lzw, Packing::Deflate, Packing::PackBits, Packing::Zstandard] {
                    let file = Tiff { planar, tile, packing, rows_per_strip: 5, ..Tiff::PLAIN }.bytes(&view);
                    let source = AnySource::open(write(&folder, &file), None).unwrap();
                    let depth = if planar { 1 } else { samples as u64 };
                    let (height, width) = tile.unwrap_or((if packing == Packing::None { 1 } else { 5 }, 41));
                    assert_eq!(source.info().chunk, [height as u64, width as u64, depth]);
                    check(&source, &view, BANDS);
                }
            }
        }
    }
}

#[test]
fn both_predictors() {
    let folder = TempDir::new().unwrap();
    for (dtype, predictor) in DType::ALL.into_iter().filter(|&d| d != DType::Bool).flat_map(|d| [(d, 2), (d, 3)]) {
        if predictor == 3 && !dtype.is_float() {
            continue;
        }
        for (tile, planar, samples) in [(None, false, 1), (Some((16, 16)), false, 3), (Some((16, 16)), true, 5)] {
            for big_endian in [false, true] {
                let shape = [19, 23, samples];
                let view = array(dtype, if samples == 1 { &shape[..2] } else { &shape });
                for packing in [Packing::Lzw, Packing::Zstandard] {
                    let tiff = Tiff { tile, planar, big_endian, predictor, packing, ..Tiff::PLAIN };
                    let source = AnySource::open(write(&folder, &tiff.bytes(&view)), None).unwrap();
                    check(&source, &view, if samples == 1 { GRAY } else { BANDS });
                }
            }
        }
    }
}

#[test]
fn pages_that_are_alike_make_a_stack() {
    let folder = TempDir::new().unwrap();
    let stacked = |view: &StridedView, tiffs: &[Tiff]| {
        let mut file = Vec::new();
        let first = tiffs[0];
        file.extend(if first.big_endian { b"MM" } else { b"II" });
        first.put(&mut file, 2, 42);
        let mut link = file.len();
        first.put(&mut file, 4, 0);
        for (i, tiff) in tiffs.iter().enumerate() {
            let page = view.slice(0, i..i + 1, 1).unwrap();
            let page = page.restride(page.shape()[1..].to_vec(), page.strides()[1..].to_vec()).unwrap();
            link = tiff.page(&mut file, link, &page, &[]);
        }
        write(&folder, &file)
    };
    let stack = OpenOptions::new().stack(true);
    let plain = Tiff { big_endian: true, ..Tiff::PLAIN };
    let deflated = Tiff { packing: Packing::Deflate, rows_per_strip: 3, ..plain };
    let tiled = Tiff { tile: Some((16, 16)), packing: Packing::Zstandard, ..plain };
    for dtype in [DType::U8, DType::U16, DType::F32] {
        let view = array(dtype, &[6, 21, 18]);
        let path = stacked(&view, &[plain, deflated, tiled, plain, tiled, deflated]);
        let source = AnySource::open_with(&path, &stack).unwrap();
        check(&source, &view, Some(&["page", "y", "x"]));
        assert_eq!((source.info().chunk.as_slice(), source.options()), (&[1, 1, 18][..], stack.clone()));
        let view = array(dtype, &[3, 9, 18, 3]);
        let path = stacked(&view, &[Tiff { planar: true, ..deflated }, deflated, Tiff { planar: true, ..tiled }]);
        check(&AnySource::open_with(&path, &stack).unwrap(), &view, Some(&["page", "y", "x", "c"]));
    }
    let one = write(&folder, &Tiff::PLAIN.bytes(&array(DType::U8, &[5, 4])));
    assert_eq!(AnySource::open_with(&one, &stack).unwrap().info().shape, [1, 5, 4]);
    let other = write(&folder, &Tiff { pages_before: 2, ..Tiff::PLAIN }.bytes(&array(DType::U8, &[5, 4])));
    let message = AnySource::open_with(&other, &stack).unwrap_err().to_string();
    assert!(message.contains("page 2 has 5 by 4 pixels of 1 uint8, page 0 has 1 by 1"), "{message}");
    let message = AnySource::open_with(&other, &stack.page(1)).unwrap_err().to_string();
    assert!(message.contains("not both"), "{message}");
}

#[test]
fn pages_are_counted_from_0() {
    let folder = TempDir::new().unwrap();
    let view = array(DType::F32, &[8, 9]);
    let path = write(&folder, &Tiff { pages_before: 3, ..Tiff::PLAIN }.bytes(&view));
    check(&AnySource::open(&path, Some(3)).unwrap(), &view, GRAY);
    assert_eq!(AnySource::open(&path, None).unwrap().info().shape, [1, 1]);
    let message = AnySource::open(&path, Some(4)).unwrap_err().to_string();
    assert!(message.contains("no page 4: the file has 4 pages"), "{message}");
}

#[test]
fn samples_are_given_as_they_are_stored() {
    let folder = TempDir::new().unwrap();
    let (gray, bands) = (array(DType::U8, &[9, 10]), array(DType::U8, &[9, 10, 5]));
    // White is zero, a palette, CMYK with an extra sample, RGB with two: nothing is inverted, looked up or dropped.
    for (photometric, extra, view, axes) in
        [(0, 0, &gray, GRAY), (3, 0, &gray, GRAY), (5, 1, &bands, BANDS), (2, 2, &bands, BANDS), (0, 4, &bands, BANDS)]
    {
        let tags = [(262, vec![photometric]), (338, vec![0; extra])];
        let file = Tiff { packing: Packing::Deflate, ..Tiff::PLAIN }.bytes_with(view, &tags);
        check(&AnySource::open(write(&folder, &file), None).unwrap(), view, axes);
    }
}

#[test]
fn few_bits_are_unpacked() {
    let folder = TempDir::new().unwrap();
    let packed = array(DType::U8, &[6, 3]);
    for (bits, dtype) in [(1, DType::Bool), (2, DType::U8), (4, DType::U8)] {
        // The last byte of a row is not used in full.
        let width = 3 * 8 / bits - 1;
        for packing in [Packing::None, Packing::PackBits] {
            let tags = [(256, vec![width as u64]), (258, vec![bits as u64])];
            let file = Tiff { packing, ..Tiff::PLAIN }.bytes_with(&packed, &tags);
            let values: Vec<u8> = bytes(&packed, false)
                .chunks(3)
                .flat_map(|row| {
                    (0..width).map(|x| (row[x * bits / 8] >> (8 - bits - x * bits % 8)) & ((1 << bits) - 1))
                })
                .collect();
            let view = match dtype {
                DType::Bool => StridedView::from_vec(values.iter().map(|&v| v == 1).collect(), &[6, width]),
                _ => StridedView::from_vec(values, &[6, width]),
            };
            check(&AnySource::open(write(&folder, &file), None).unwrap(), &view.unwrap(), GRAY);
        }
    }
}

#[test]
fn chunks_that_were_never_written_are_zeros() {
    let folder = TempDir::new().unwrap();
    let zeros = StridedView::from_vec(vec![0u16; 20 * 20], &[20, 20]).unwrap();
    let tiff = Tiff { tile: Some((16, 16)), packing: Packing::Deflate, ..Tiff::PLAIN };
    let file = tiff.bytes_with(&zeros, &[(324, vec![0; 4]), (325, vec![0; 4])]);
    check(&AnySource::open(write(&folder, &file), None).unwrap(), &zeros, GRAY);
}

#[test]
fn byte_counts_may_be_missing_and_a_strip_may_claim_more_rows_than_there_are() {
    let folder = TempDir::new().unwrap();
    let view = array(DType::I16, &[10, 7]);
    let file = Tiff { rows_per_strip: 10, ..Tiff::PLAIN }
        .bytes_with(&view, &[(278, vec![u64::from(u32::MAX)]), (279, vec![])]);
    check(&AnySource::open(write(&folder, &file), None).unwrap(), &view, GRAY);
}

#[test]
fn what_can_not_be_read_says_why() {
    let folder = TempDir::new().unwrap();
    let view = array(DType::U8, &[8, 8]);
    let message = |bytes: &[u8]| {
        let message = TiffSource::open(write(&folder, bytes), 0).unwrap_err().to_string();
        assert!(!message.contains('\n') && message.contains("a.tif: "), "{message}");
        message
    };
    let plain = Tiff::PLAIN;
    let deflate = Tiff { packing: Packing::Deflate, ..plain };
    let tiled = Tiff { tile: Some((16, 16)), ..deflate };
    for (tiff, tags, part) in [
        (plain, vec![(256, vec![0])], "0 by 8 pixels"),
        (plain, vec![(257, vec![])], "8 by 0 pixels"),
        (plain, vec![(277, vec![0])], "0 samples"),
        (plain, vec![(258, vec![12])], "unsigned samples of 12 bits"),
        (plain, vec![(258, vec![24]), (339, vec![3])], "float samples of 24 bits"),
        (plain, vec![(339, vec![6])], "complex float"),
        (plain, vec![(277, vec![2]), (258, vec![8, 16])], "several types"),
        (plain, vec![(259, vec![50001])], "WebP compression (50001)"),
        (plain, vec![(259, vec![4242])], "unknown compression (4242)"),
        (plain, vec![(262, vec![6])], "YCbCr"),
        (plain, vec![(262, vec![8])], "Lab"),
        (plain, vec![(266, vec![2])], "FillOrder"),
        (plain, vec![(284, vec![3])], "PlanarConfiguration 3"),
        (plain, vec![(317, vec![2])], "Predictor 2 without"),
        (deflate, vec![(317, vec![3])], "predictor for floats (3) on uint8"),
        (deflate, vec![(317, vec![7])], "Predictor 7"),
        (plain, vec![(273, vec![])], "no tag StripOffsets"),
        (deflate, vec![(279, vec![])], "no tag StripByteCounts"),
        (plain, vec![(278, vec![1])], "has 2 values: expected 8"),
        (plain, vec![(278, vec![0])], "8 by 0 pixels"),
        (plain, vec![(279, vec![32, 1 << 30])], "beyond the end of the file"),
        (plain, vec![(256, vec![1000])], "hold fewer"),
        (deflate, vec![(256, vec![1 << 20]), (257, vec![8])], "hold fewer"),
        (plain, vec![(256, vec![1 << 31])], "pixels: expected 1 to"),
        (tiled, vec![(322, vec![1 << 30]), (323, vec![1 << 30])], "a strip or tile of"),
        (tiled, vec![(256, vec![(1 << 31) - 1]), (257, vec![(1 << 31) - 1]), (277, vec![8])], "are more than"),
        (tiled, vec![(322, vec![0])], "0 by 16"),
        (tiled, vec![(322, vec![1 << 20])], "hold fewer"),
        (tiled, vec![(257, vec![1 << 30])], "has 1 values: expected"),
    ] {
        let message = message(&tiff.bytes_with(&view, &tags));
        assert!(message.contains(part), "{tags:?}: {message}");
    }
    assert!(message(b"II*\0").contains("ends within its header"));
    assert!(message(b"II*\0\xff\xff\0\0").contains("beyond the end"));
    assert!(message(b"II*\0\0\0\0\0").contains("0 pages"));
    assert!(message(b"II+\0\x04\0\0\0").contains("offsets of 4 bytes"));
    assert!(message(b"hello").contains("not a TIFF file"));
}

#[test]
fn pages_in_a_circle_end() {
    let folder = TempDir::new().unwrap();
    let mut file = Tiff { pages_before: 1, ..Tiff::PLAIN }.bytes(&array(DType::U8, &[8, 8]));
    // The last link points at the first directory.
    let end = file.len() - 4;
    file.copy_within(4..8, end);
    let path = write(&folder, &file);
    let message = TiffSource::open(&path, 7).unwrap_err().to_string();
    assert!(message.contains("circle"), "{message}");
}

#[test]
fn a_chunk_that_is_broken_is_named() {
    let folder = TempDir::new().unwrap();
    let view = array(DType::U8, &[8, 8]);
    let mut file = Tiff { packing: Packing::Deflate, ..Tiff::PLAIN }.bytes(&view);
    // The first strip follows the header of eight bytes.
    file[10..20].fill(0xff);
    let path = write(&folder, &file);
    let source = TiffSource::open(&path, 0).unwrap();
    let mut reader = Source::open(&source, &BufferPool::new(0)).unwrap();
    let message = reader.read(&windrow::source::Region(vec![0..1, 0..1])).unwrap_err().to_string();
    assert!(message.contains("chunk 0: "), "{message}");
    assert!(reader.read(&windrow::source::Region(vec![4..8, 0..8])).is_ok());
    // A file that changes between two passes is not read.
    fs::write(&path, Tiff::PLAIN.bytes(&view)).unwrap();
    assert!(Source::open(&source, &BufferPool::new(0)).err().unwrap().to_string().contains("changed"));
}

#[cfg(feature = "image")]
#[test]
fn jpeg_in_tiles_is_the_same_as_a_jpeg_file() {
    use windrow::source::{ImageSource, Region};
    let folder = TempDir::new().unwrap();
    let ramp = |i: usize| [i / 96 * 5, i / 3 % 32 * 4, 255 - i / 96 * 3][i % 3] as u8;
    let view = StridedView::from_vec((0..32 * 32 * 3).map(ramp).collect(), &[32, 32, 3]).unwrap();
    let jpeg = crate::images::encode(&view, image::ImageFormat::Jpeg);
    let (count, whole) = (jpeg.len() as u64, Region::whole(&[32, 32, 3]));
    let file = folder.path().join("a.jpg");
    fs::write(&file, &jpeg).unwrap();
    let read = |source: &dyn Source| bytes(&source.open(&BufferPool::new(0)).unwrap().read(&whole).unwrap(), false);
    let expected = read(&ImageSource::open(&file).unwrap());

    let tiff = Tiff { tile: Some((32, 32)), ..Tiff::PLAIN };
    let tags = |width| [(259, vec![7]), (262, vec![6]), (322, vec![width]), (325, vec![count])];
    let stored = |width| {
        let mut file = tiff.bytes_with(&view, &[&tags(width)[..], &[(324, vec![1 << 14])]].concat());
        file.resize(1 << 14, 0);
        file.extend(&jpeg);
        TiffSource::open(write(&folder, &file), 0).unwrap()
    };
    let source = stored(32);
    let got = read(&source);
    // Both colour conversions round.
    assert!(got.iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) <= 2));
    let mut reader = stored(48).open(&BufferPool::new(0)).unwrap();
    let message = reader.read(&whole).unwrap_err().to_string();
    assert!(message.contains("32 by 32 pixels of 3 samples: expected 32 by 48"), "{message}");
}
