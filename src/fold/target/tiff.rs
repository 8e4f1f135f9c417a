//! TIFF: strips of Deflate, with the georeference of the image that was scanned.

use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use tiff::encoder::compression::{CompressionAlgorithm, Deflate, DeflateLevel};

use super::{Picture, Target};
use crate::sink::atomic::AtomicFile;
use crate::source::TagValues;
use crate::{DType, Error, Result};

/// Bytes of a strip before compression, about.
const STRIP_BYTES: u64 = 1 << 14;

/// Files of more cells than this have offsets of 64 bits.
const MOST_SMALL: u64 = 3 << 30;

pub(super) struct TiffTarget {
    file: AtomicFile,
    path: PathBuf,
    picture: Picture,
    strip_lines: u64,
    /// Where strips are, and their bytes.
    strips: Vec<(u64, u64)>,
    big: bool,
    /// The end of the file so far.
    at: u64,
    /// A strip as it is written.
    strip: Vec<u8>,
}

impl TiffTarget {
    pub(super) fn create(path: &Path, picture: Picture) -> Result<Self> {
        let (height, width, channels) = picture.plane("TIFF")?;
        if [height, width].iter().any(|&n| n == 0 || n > i32::MAX as u64) || channels > u16::MAX.into() {
            let message = format!(
                "{height} by {width} pixels of {channels} samples are no TIFF: expected 1 to {} and 1 to {}",
                i32::MAX,
                u16::MAX
            );
            return Err(Error::argument("output", message));
        }
        let line = picture.line_bytes();
        let strip_lines = (STRIP_BYTES / line.max(1)).clamp(1, height);
        let big = line.saturating_mul(height) > MOST_SMALL;
        let mut file = AtomicFile::create(path)?;
        // The header, whose offset of the directory is not yet known.
        let header = header(big, 0);
        file.write_all(&header).map_err(|error| Error::io(path, "write", error))?;
        let (path, at, strips, strip) = (path.to_owned(), header.len() as u64, Vec::new(), Vec::new());
        Ok(Self { file, path, picture, strip_lines, strips, big, at, strip })
    }
}

impl Target for TiffTarget {
    fn step(&self) -> u64 {
        self.strip_lines
    }

    fn write(&mut self, _: Range<u64>, bytes: &[u8]) -> Result<()> {
        let fail = |error| Error::io(&self.path, "write", error);
        let strip = (self.strip_lines * self.picture.line_bytes()) as usize;
        for bytes in bytes.chunks(strip.max(1)) {
            self.strip.clear();
            Deflate::with_level(DeflateLevel::Fast).write_to(&mut self.strip, bytes).map_err(fail)?;
            self.strips.push((self.at, self.strip.len() as u64));
            self.at += self.strip.len() as u64;
            self.file.write_all(&self.strip).map_err(fail)?;
        }
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<u64> {
        let Self { mut file, path, picture, strip_lines, strips, big, at, .. } = *self;
        let fail = |error| Error::io(&path, "write", error);
        let (mut directory, channels) = (Directory::new(big, at), picture.shape.get(2).copied().unwrap_or(1));
        let samples = |value: u16| Values::Shorts(vec![value; channels as usize]);
        let colors = matches!((picture.dtype, channels), (DType::U8 | DType::U16, 3 | 4));
        let format = match picture.dtype {
            DType::Bool | DType::U8 | DType::U16 | DType::U32 | DType::U64 => 1,
            DType::I8 | DType::I16 | DType::I32 | DType::I64 => 2,
            DType::F16 | DType::F32 | DType::F64 => 3,
        };
        directory.tag(256, Values::Longs(vec![picture.shape[1]]));
        directory.tag(257, Values::Longs(vec![picture.shape[0]]));
        directory.tag(258, samples(picture.dtype.size() as u16 * 8));
        directory.tag(259, Values::Shorts(vec![DEFLATE]));
        directory.tag(262, Values::Shorts(vec![if colors { RGB } else { BLACK_IS_ZERO }]));
        directory.tag(273, Values::Places(strips.iter().map(|strip| strip.0).collect()));
        directory.tag(277, Values::Shorts(vec![channels as u16]));
        directory.tag(278, Values::Longs(vec![strip_lines]));
        directory.tag(279, Values::Places(strips.iter().map(|strip| strip.1).collect()));
        directory.tag(284, Values::Shorts(vec![1]));
        let extra = channels - if colors { 3 } else { 1 };
        if extra > 0 {
            directory.tag(338, Values::Shorts(vec![0; extra as usize]));
        }
        directory.tag(339, samples(format));
        for (tag, values) in picture.geo.iter().flat_map(|geo| geo.tags()) {
            directory.tag(
                *tag,
                match values {
                    TagValues::Shorts(values) => Values::Shorts(values.clone()),
                    TagValues::Doubles(values) => Values::Doubles(values.clone()),
                    TagValues::Text(text) => Values::Text(text.clone()),
                },
            );
        }
        let (bytes, first) = directory.bytes();
        file.write_all(&bytes).map_err(fail)?;
        file.seek(SeekFrom::Start(0)).map_err(fail)?;
        file.write_all(&header(big, first)).map_err(fail)?;
        file.commit()
    }
}

const DEFLATE: u16 = 8;
const BLACK_IS_ZERO: u16 = 1;
const RGB: u16 = 2;

/// What a file begins with: the order of bytes, which is that of the machine, and where the directory is.
fn header(big: bool, first: u64) -> Vec<u8> {
    let mut header = if cfg!(target_endian = "little") { b"II".to_vec() } else { b"MM".to_vec() };
    if big {
        [43u16, 8, 0].iter().for_each(|n| header.extend(n.to_ne_bytes()));
        header.extend(first.to_ne_bytes());
    } else {
        header.extend(42u16.to_ne_bytes());
        header.extend((first as u32).to_ne_bytes());
    }
    header
}

/// The values of a tag.
enum Values {
    Text(String),
    Shorts(Vec<u16>),
    Longs(Vec<u64>),
    /// Offsets and lengths in the file.
    Places(Vec<u64>),
    Doubles(Vec<f64>),
}

/// The tags of an image: first the values that are too long for an entry, then the entries.
struct Directory {
    big: bool,
    /// Where in the file this will be.
    at: u64,
    values: Vec<u8>,
    entries: Vec<(u16, Vec<u8>)>,
}

impl Directory {
    fn new(big: bool, at: u64) -> Self {
        let padding = at.next_multiple_of(8) - at;
        Self { big, at, values: vec![0; padding as usize], entries: Vec::new() }
    }

    fn tag(&mut self, tag: u16, values: Values) {
        let (kind, count, bytes): (u16, usize, Vec<u8>) = match values {
            Values::Text(text) => (2, text.len() + 1, [text.as_bytes(), &[0]].concat()),
            Values::Shorts(all) => (3, all.len(), all.iter().flat_map(|n| n.to_ne_bytes()).collect()),
            Values::Places(all) if self.big => (16, all.len(), all.iter().flat_map(|n| n.to_ne_bytes()).collect()),
            Values::Longs(all) | Values::Places(all) => {
                (4, all.len(), all.iter().flat_map(|&n| (n as u32).to_ne_bytes()).collect())
            }
            Values::Doubles(all) => (12, all.len(), all.iter().flat_map(|n| n.to_ne_bytes()).collect()),
        };
        let mut entry = [tag.to_ne_bytes(), kind.to_ne_bytes()].concat();
        self.number(&mut entry, count as u64);
        let room = if self.big { 8 } else { 4 };
        if bytes.len() <= room {
            entry.extend(&bytes);
            entry.resize(entry.len() + room - bytes.len(), 0);
        } else {
            let place = self.at + self.values.len() as u64;
            self.number(&mut entry, place);
            self.values.extend(&bytes);
            // Aligned for whatever is next.
            let end = self.at + self.values.len() as u64;
            self.values.resize(self.values.len() + (end.next_multiple_of(8) - end) as usize, 0);
        }
        self.entries.push((tag, entry));
    }

    fn number(&self, to: &mut Vec<u8>, number: u64) {
        if self.big { to.extend(number.to_ne_bytes()) } else { to.extend((number as u32).to_ne_bytes()) }
    }

    /// All of it, and where in the file the entries begin.
    fn bytes(mut self) -> (Vec<u8>, u64) {
        self.entries.sort_by_key(|entry| entry.0);
        let first = self.at + self.values.len() as u64;
        let mut bytes = std::mem::take(&mut self.values);
        let count = self.entries.len() as u64;
        if self.big {
            bytes.extend(count.to_ne_bytes())
        } else {
            bytes.extend((count as u16).to_ne_bytes())
        }
        self.entries.iter().for_each(|(_, entry)| bytes.extend(entry));
        // No other image follows.
        self.number(&mut bytes, 0);
        (bytes, first)
    }
}
