//! One page of a TIFF file: what its tags say, checked against each other and against the length of the file.

use std::ops::Range;

use super::directory::{Directory, Header, Tag};
use super::geo::GeoTags;
use crate::source::file::DataFile;
use crate::{DType, Result, Scalar};

/// The most bytes of one strip or tile, decoded.
const MAX_CHUNK: u64 = 4 << 30;

/// How the bytes of a chunk are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None = 1,
    Lzw = 5,
    Jpeg = 7,
    Deflate = 8,
    PackBits = 32773,
    Zstandard = 50000,
}

/// An image whose pixels lie in chunks: strips, or tiles. Planar images have the chunks of one sample after those of
/// another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) header: Header,
    pub(super) height: u64,
    pub(super) width: u64,
    pub(super) samples: u64,
    pub(super) dtype: DType,
    /// Bits of a stored sample: below 8 they are packed, and each row starts at a byte.
    pub(super) bits: u64,
    /// The number of the sample format: 1 unsigned, 2 signed, 3 float.
    pub(super) sample_format: u64,
    pub(super) planar: bool,
    pub(super) tiled: bool,
    pub(super) chunk_height: u64,
    pub(super) chunk_width: u64,
    pub(super) compression: Compression,
    pub(super) predictor: u64,
    /// Whether the samples are YCbCr in a JPEG stream, to be turned into RGB.
    pub(super) ycbcr: bool,
    /// What all JPEG streams of the page have in common.
    pub(super) jpeg_tables: Vec<u8>,
    /// Where each chunk starts in the file, and the bytes it has there; 0 bytes are a chunk that was never written.
    pub(super) chunks: Vec<(u64, u64)>,
    /// How the image is to be turned, by the number of the tag.
    pub(super) orientation: u64,
    /// Where the pixels lie, and what marks those without a value.
    pub(super) geo: GeoTags,
}

impl Page {
    /// Reads the tags of page `page`, or of a reduced copy of it.
    pub(super) fn read(file: &DataFile, page: usize, overview: Option<usize>) -> Result<Self> {
        let directory = Header::read(file)?.directory(file, page)?;
        let Some(overview) = overview else { return Self::of(file, &directory, GeoTags::of(&directory)) };
        let reduced = directory.overview(page, overview)?;
        Self::of(file, &reduced, GeoTags::of_overview(&directory, &reduced))
    }

    /// The page whose tags are at a place in the file.
    pub(super) fn read_at(file: &DataFile, place: u64) -> Result<Self> {
        let directory = Header::read(file)?.read_directory(file, place)?;
        Self::of(file, &directory, GeoTags::of(&directory))
    }

    fn of(file: &DataFile, directory: &Directory<'_>, geo: GeoTags) -> Result<Self> {
        let tag = |tag, default| directory.first(tag).map(|value| value.unwrap_or(default));
        let (height, width) = (tag(Tag::ImageLength, 0)?, tag(Tag::ImageWidth, 0)?);
        if [height, width].iter().any(|&n| n == 0 || n > i32::MAX as u64) {
            return Err(file.broken(format!("an image of {width} by {height} pixels: expected 1 to {}", i32::MAX)));
        }
        let samples = tag(Tag::SamplesPerPixel, 1)?;
        if samples == 0 || samples > u64::from(u16::MAX) {
            return Err(file.broken(format!("{samples} samples a pixel: expected 1 to {}", u16::MAX)));
        }
        if tag(Tag::FillOrder, 1)? != 1 {
            return Err(file.unsupported("bits in reversed order (FillOrder 2)"));
        }
        let bits = same(file, directory, Tag::BitsPerSample, samples, 1)?;
        let sample_format = same(file, directory, Tag::SampleFormat, samples, 1)?;
        // 4 is "anything", which readers take as unsigned.
        let sample_format = if sample_format == 4 { 1 } else { sample_format };
        let dtype = dtype(bits, sample_format).ok_or_else(|| {
            let kind = ["unsigned", "signed", "float", "unsigned", "complex signed", "complex float"];
            let kind = kind.get((sample_format as usize).wrapping_sub(1)).unwrap_or(&"unknown");
            file.unsupported(format!("{kind} samples of {bits} bits (SampleFormat {sample_format})"))
        })?;
        let total = [height, width, samples].iter().try_fold(dtype.size() as u64, |bytes, &n| bytes.checked_mul(n));
        if total.is_none_or(|bytes| isize::try_from(bytes).is_err()) {
            let message = format!("{height} by {width} pixels of {samples} {dtype} are more than {} bytes", isize::MAX);
            return Err(file.broken(message));
        }
        let planar = match tag(Tag::PlanarConfiguration, 1)? {
            1 => false,
            2 => samples > 1,
            other => return Err(file.broken(format!("PlanarConfiguration {other}: expected 1 or 2"))),
        };
        let tiled = directory.count(Tag::TileWidth).is_some() || directory.count(Tag::TileOffsets).is_some();
        let (chunk_height, chunk_width) = if tiled {
            (tag(Tag::TileLength, 0)?, tag(Tag::TileWidth, 0)?)
        } else {
            (tag(Tag::RowsPerStrip, height)?.min(height), width)
        };
        if [chunk_height, chunk_width].iter().any(|&n| n == 0 || n > i32::MAX as u64) {
            return Err(file.broken(format!("tiles or strips of {chunk_width} by {chunk_height} pixels")));
        }
        let mut page = Self {
            header: directory.header(),
            height,
            width,
            samples,
            dtype,
            bits,
            sample_format,
            planar,
            tiled,
            chunk_height,
            chunk_width,
            compression: compression(file, tag(Tag::Compression, 1)?)?,
            predictor: tag(Tag::Predictor, 1)?,
            ycbcr: false,
            jpeg_tables: Vec::new(),
            chunks: Vec::new(),
            // What is broken there matters to nobody who only wants pixels.
            orientation: tag(Tag::Orientation, 1).unwrap_or(1),
            geo,
        };
        page.check_predictor(file)?;
        page.read_colors(file, directory)?;
        page.read_chunks(file, directory)?;
        Ok(page)
    }

    /// The value that marks pixels without one, if it is a number.
    pub(super) fn nodata(&self) -> Option<Scalar> {
        self.geo.nodata()?.parse().ok()
    }

    /// Samples that lie side by side in a chunk.
    pub(super) fn chunk_samples(&self) -> u64 {
        if self.planar { 1 } else { self.samples }
    }

    /// The planes that chunks are in.
    pub(super) fn planes(&self) -> u64 {
        if self.planar { self.samples } else { 1 }
    }

    pub(super) fn chunks_across(&self) -> u64 {
        self.width.div_ceil(self.chunk_width)
    }

    pub(super) fn chunks_down(&self) -> u64 {
        self.height.div_ceil(self.chunk_height)
    }

    /// The rows that a chunk of a row of chunks stores: the last strip is short, the last tile is padded.
    pub(super) fn stored_rows(&self, down: u64) -> u64 {
        if self.tiled { self.chunk_height } else { self.chunk_height.min(self.height - down * self.chunk_height) }
    }

    /// Whether a chunk has no place and no bytes: it was never written, so it was never anything but zero (GDAL's
    /// convention).
    pub(super) fn is_sparse(&self, chunk: usize) -> bool {
        self.chunks[chunk].1 == 0
    }

    /// Where the bytes of a rectangle of one plane are in the file, in the order in which they are read.
    pub(super) fn places(&self, plane: u64, ys: &Range<u64>, xs: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let (height, width) = (self.chunk_height, self.chunk_width);
        let (across, down) = (self.chunks_across(), self.chunks_down());
        let (ys, xs) = (ys.clone(), xs.clone());
        let columns = xs.start / width..xs.end.div_ceil(width);
        (ys.start / height..ys.end.div_ceil(height)).flat_map(move |cy| {
            let ys = ys.clone();
            columns.clone().map(move |cx| {
                let (start, bytes) = self.chunks[((plane * down + cy) * across + cx) as usize];
                if !self.rows_are_free() || bytes == 0 {
                    return start..start + bytes;
                }
                let row = |y: u64| start + (y - cy * height) * self.row_bytes();
                row(ys.start.max(cy * height))..row(ys.end.min((cy + 1) * height))
            })
        })
    }

    /// The bytes of a row of a chunk before compression.
    pub(super) fn row_bytes(&self) -> u64 {
        (self.chunk_width * self.chunk_samples()).saturating_mul(self.bits).div_ceil(8)
    }

    /// Whether the rows of a chunk can be read alone.
    pub(super) fn rows_are_free(&self) -> bool {
        self.compression == Compression::None
    }

    fn check_predictor(&self, file: &DataFile) -> Result<()> {
        let Self { predictor, dtype, bits, .. } = self;
        match (predictor, self.compression) {
            (1, _) | (_, Compression::Jpeg) => Ok(()),
            // Readers disagree on what it means there.
            (_, Compression::None | Compression::PackBits) => {
                Err(file.unsupported(format!("Predictor {predictor} without LZW, Deflate or Zstandard compression")))
            }
            (2, _) if *bits >= 8 => Ok(()),
            (3, _) if dtype.is_float() => Ok(()),
            (2, _) => Err(file.unsupported(format!("differences of samples of {bits} bits (Predictor 2)"))),
            (3, _) => Err(file.broken(format!("the predictor for floats (3) on {dtype}"))),
            _ => Err(file.unsupported(format!("Predictor {predictor}: expected 1, 2 or 3"))),
        }
    }

    /// Samples are given as they are stored, whatever their colours; only what is no sample yet is turned into one.
    fn read_colors(&mut self, file: &DataFile, directory: &Directory<'_>) -> Result<()> {
        let photometric = directory.first(Tag::PhotometricInterpretation)?.unwrap_or(1);
        let jpeg = self.compression == Compression::Jpeg;
        if jpeg && self.dtype != DType::U8 {
            return Err(file.unsupported(format!("JPEG compression of {}: expected uint8", self.dtype)));
        }
        self.ycbcr = photometric == 6;
        match photometric {
            0..=5 | 9 | 32803 | 34892 => {}
            6 if jpeg && self.samples == 3 && !self.planar => {}
            6 => return Err(file.unsupported("YCbCr pixels that are not JPEG (PhotometricInterpretation 6)")),
            8 | 10 => return Err(file.unsupported(format!("Lab pixels (PhotometricInterpretation {photometric})"))),
            other => return Err(file.unsupported(format!("PhotometricInterpretation {other}"))),
        }
        if let Some(count) = directory.count(Tag::JpegTables).filter(|_| jpeg) {
            if !(4..=1 << 16).contains(&count) {
                return Err(file.broken(format!("JPEG tables of {count} bytes: expected 4 to {}", 1 << 16)));
            }
            self.jpeg_tables = directory.values(Tag::JpegTables, count)?.into_iter().map(|byte| byte as u8).collect();
        }
        Ok(())
    }

    /// Reads where the chunks are. All of what they claim is checked here, so that reading takes no memory for a claim
    /// that the file can't keep.
    fn read_chunks(&mut self, file: &DataFile, directory: &Directory<'_>) -> Result<()> {
        let (offsets, counts) = match self.tiled {
            true => (Tag::TileOffsets, Tag::TileByteCounts),
            false => (Tag::StripOffsets, Tag::StripByteCounts),
        };
        let size = self.chunk_height.checked_mul(self.chunk_width).and_then(|n| n.checked_mul(self.chunk_samples()));
        if size.and_then(|n| n.checked_mul(self.dtype.size() as u64)).is_none_or(|bytes| bytes > MAX_CHUNK) {
            let Self { chunk_height, chunk_width, samples, dtype, .. } = self;
            let message = format!("a strip or tile of {chunk_height} by {chunk_width} pixels of {samples} {dtype}");
            return Err(file.unsupported(format!("{message}: at most {MAX_CHUNK} bytes")));
        }
        let per_plane = self.chunks_across().saturating_mul(self.chunks_down());
        let count = per_plane.saturating_mul(self.planes());
        let offsets = directory.values(offsets, count)?;
        // Very old writers leave the byte counts out; without compression they follow from the shape.
        let counts = if directory.count(counts).is_none() && self.rows_are_free() {
            (0..count).map(|i| self.plain_bytes(i % per_plane)).collect()
        } else {
            directory.values(counts, count)?
        };
        self.chunks = offsets.into_iter().zip(counts).collect();
        for (i, &(offset, bytes)) in self.chunks.iter().enumerate() {
            if offset.checked_add(bytes).is_none_or(|end| end > file.len()) {
                let message = format!("chunk {i} is {bytes} bytes at byte {offset}, beyond the end of the file");
                return Err(file.broken(format!("{message} at {}", file.len())));
            }
            if bytes == 0 && offset != 0 {
                return Err(file.broken(format!("chunk {i} has 0 bytes, but a place at byte {offset}")));
            }
            let plain = self.plain_bytes(i as u64 % per_plane);
            if bytes > 0 && plain > self.most_bytes(bytes) {
                let packed = self.compression;
                let message = format!("chunk {i} claims {plain} bytes, but {bytes} bytes of {packed:?} hold fewer");
                return Err(file.broken(message));
            }
        }
        Ok(())
    }

    /// The bytes of a chunk before compression, for the chunk at a place within its plane.
    fn plain_bytes(&self, place: u64) -> u64 {
        self.row_bytes() * self.stored_rows(place / self.chunks_across())
    }

    /// The most that so many compressed bytes can hold, with some room.
    fn most_bytes(&self, bytes: u64) -> u64 {
        let ratio = match self.compression {
            Compression::None => 1,
            // 128 bytes from two.
            Compression::PackBits => 64,
            // 1032 at most.
            Compression::Deflate => 1100,
            // Codes have 12 bits at most and stand for fewer than 4096 bytes.
            Compression::Lzw => 2731,
            // At least one bit for a block of 64 samples; chroma may have fewer blocks.
            Compression::Jpeg => 1100,
            // 128 KiB from a block of four bytes.
            Compression::Zstandard => 1 << 15,
        };
        bytes.saturating_mul(ratio)
    }
}

/// The value that a tag has for every sample: either one for all, or the same for each.
fn same(file: &DataFile, directory: &Directory<'_>, tag: Tag, samples: u64, default: u64) -> Result<u64> {
    let Some(count) = directory.count(tag) else {
        return Ok(default);
    };
    let values = directory.values(tag, count.min(samples).max(1))?;
    if values.iter().any(|value| *value != values[0]) {
        return Err(file.unsupported(format!("samples of several types: {tag:?} is {values:?}")));
    }
    Ok(values[0])
}

fn dtype(bits: u64, sample_format: u64) -> Option<DType> {
    Some(match (sample_format, bits) {
        (1, 1) => DType::Bool,
        (1, 2 | 4 | 8) => DType::U8,
        (1, 16) => DType::U16,
        (1, 32) => DType::U32,
        (1, 64) => DType::U64,
        (2, 8) => DType::I8,
        (2, 16) => DType::I16,
        (2, 32) => DType::I32,
        (2, 64) => DType::I64,
        (3, 16) => DType::F16,
        (3, 32) => DType::F32,
        (3, 64) => DType::F64,
        _ => return None,
    })
}

fn compression(file: &DataFile, number: u64) -> Result<Compression> {
    let name = match number {
        1 => return Ok(Compression::None),
        5 => return Ok(Compression::Lzw),
        7 => return Ok(Compression::Jpeg),
        8 | 32946 => return Ok(Compression::Deflate),
        32773 => return Ok(Compression::PackBits),
        50000 => return Ok(Compression::Zstandard),
        2..=4 => "CCITT fax",
        6 => "old-style JPEG",
        33003..=33005 | 34712 => "JPEG 2000",
        34887 => "LERC",
        34925 => "LZMA",
        50001 => "WebP",
        50002 => "JPEG XL",
        _ => "unknown",
    };
    Err(file.unsupported(format!(
        "{name} compression ({number}): expected none, LZW, Deflate, PackBits, Zstandard or JPEG"
    )))
}
