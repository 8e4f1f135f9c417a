//! The directories (IFDs) of a TIFF file: a chain of them, one a page, each a list of tags.
//!
//! Read here and not by the decoder's crate, so that every number that the file claims is checked before memory is
//! taken for it, and a file of many pages or chunks has no limit but its own length.

use std::collections::{BTreeMap, HashSet};

use crate::Result;
use crate::source::file::DataFile;

/// The header of a TIFF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Whether numbers have their high byte first.
    pub(super) big_endian: bool,
    /// Whether offsets have 64 bits.
    pub(super) big_tiff: bool,
    /// Where the first directory is.
    first: u64,
}

/// The tags of one page.
#[derive(Debug)]
pub(super) struct Directory<'a> {
    file: &'a DataFile,
    header: Header,
    /// Where it is in the file.
    at: u64,
    entries: BTreeMap<u16, Entry>,
}

/// One tag: `count` values of one type, at `offset` in the file.
#[derive(Clone, Copy, Debug)]
struct Entry {
    kind: u16,
    count: u64,
    offset: u64,
}

impl Header {
    pub(super) fn read(file: &DataFile) -> Result<Self> {
        let head = file.head(16)?;
        let big_endian = match head.get(..2) {
            Some(b"II") => false,
            Some(b"MM") => true,
            _ => return Err(file.broken("not a TIFF file: expected it to start with \"II\" or \"MM\"")),
        };
        let number = |range: std::ops::Range<usize>| -> Result<u64> {
            let bytes = head.get(range).ok_or_else(|| file.broken("the file ends within its header"))?;
            Ok(unsigned(bytes, big_endian))
        };
        match number(2..4)? {
            42 => Ok(Self { big_endian, big_tiff: false, first: number(4..8)? }),
            43 if number(4..6)? == 8 => Ok(Self { big_endian, big_tiff: true, first: number(8..16)? }),
            43 => Err(file.unsupported(format!("BigTIFF with offsets of {} bytes: expected 8", number(4..6)?))),
            version => Err(file.broken(format!("not a TIFF file: version {version}, expected 42 or 43"))),
        }
    }

    /// The tags of page `page`, counted from 0.
    pub(super) fn directory(self, file: &DataFile, page: usize) -> Result<Directory<'_>> {
        let places = self.places(file, page.saturating_add(1))?;
        match places.get(page) {
            Some(&at) => self.read_directory(file, at),
            None => {
                let pages = if places.len() == 1 { "1 page" } else { &format!("{} pages", places.len()) };
                Err(file.broken(format!("no page {page}: the file has {pages}, counted from 0")))
            }
        }
    }

    /// Where the directories of the first `most` pages are.
    pub(super) fn places(self, file: &DataFile, most: usize) -> Result<Vec<u64>> {
        let (mut seen, mut places, mut at) = (HashSet::new(), Vec::new(), self.first);
        while at != 0 {
            if !seen.insert(at) {
                let index = places.len();
                return Err(file.broken(format!("the pages run in a circle: page {index} is at byte {at} again")));
            }
            places.push(at);
            if places.len() == most {
                break;
            }
            at = self.next(file, at)?;
        }
        Ok(places)
    }

    /// Where the directory behind the one at `at` is; 0 if that is the last.
    fn next(self, file: &DataFile, at: u64) -> Result<u64> {
        let end = self.entries_end(file, at)?;
        self.number(file, end, if self.big_tiff { 8 } else { 4 })
    }

    /// The byte behind the last entry of the directory at `at`.
    fn entries_end(self, file: &DataFile, at: u64) -> Result<u64> {
        let (head, entry) = self.sizes();
        let count = self.number(file, at, head)?;
        let end = count.checked_mul(entry).and_then(|bytes| bytes.checked_add(at + head as u64));
        end.filter(|&end| end <= file.len()).ok_or_else(|| {
            file.broken(format!("the directory at byte {at} claims {count} tags, beyond the end of the file"))
        })
    }

    /// The tags of the page whose directory is at `at`.
    pub(super) fn read_directory(self, file: &DataFile, at: u64) -> Result<Directory<'_>> {
        let (head, size) = self.sizes();
        let end = self.entries_end(file, at)?;
        let start = at + head as u64;
        let mut bytes = vec![0; (end - start) as usize];
        file.read_at(&mut bytes, start)?;
        let number = |bytes: &[u8]| unsigned(bytes, self.big_endian);
        let mut entries = BTreeMap::new();
        for (i, entry) in bytes.chunks_exact(size as usize).enumerate() {
            let (tag, kind) = (number(&entry[..2]) as u16, number(&entry[2..4]) as u16);
            let (count, value) = entry[4..].split_at((size as usize - 4) / 2);
            let count = number(count);
            // A value that fits in the entry is in the entry, otherwise the entry says where it is.
            let inline = kind_size(kind).is_some_and(|n| n.saturating_mul(count) <= value.len() as u64);
            let here = start + (i as u64 + 1) * size - value.len() as u64;
            let offset = if inline { here } else { number(value) };
            entries.entry(tag).or_insert(Entry { kind, count, offset });
        }
        Ok(Directory { file, header: self, at, entries })
    }

    /// The bytes of the number of entries, and of an entry.
    fn sizes(self) -> (usize, u64) {
        if self.big_tiff { (8, 20) } else { (2, 12) }
    }

    fn number(self, file: &DataFile, at: u64, size: usize) -> Result<u64> {
        let mut bytes = [0; 8];
        if at.checked_add(size as u64).is_none_or(|end| end > file.len()) {
            return Err(file.broken(format!("a directory is at byte {at}, beyond the end of the file")));
        }
        file.read_at(&mut bytes[..size], at)?;
        Ok(unsigned(&bytes[..size], self.big_endian))
    }
}

impl<'a> Directory<'a> {
    pub(super) fn header(&self) -> Header {
        self.header
    }

    /// How many values a tag has; `None` if it is not there.
    pub(super) fn count(&self, tag: Tag) -> Option<u64> {
        self.entries.get(&(tag as u16)).map(|entry| entry.count)
    }

    /// The reduced copies of this page, in the order of the file: the pages behind it until one that is none, as in
    /// cloud-optimized GeoTIFF, and those below it, as in OME-TIFF.
    fn overviews(&self) -> Result<Vec<Self>> {
        let Self { file, header, .. } = *self;
        let (mut found, mut seen) = (Vec::new(), HashSet::from([self.at]));
        let mut at = header.next(file, self.at)?;
        while at != 0 && seen.insert(at) && seen.len() <= MOST_OVERVIEWS {
            let directory = header.read_directory(file, at)?;
            match directory.first(Tag::NewSubfileType)?.unwrap_or(0) {
                kind if kind & REDUCED != 0 && kind & MASK == 0 => found.push(directory),
                kind if kind & MASK != 0 => {}
                _ => break,
            }
            at = header.next(file, at)?;
        }
        let below = self.count(Tag::SubIfds).unwrap_or(0).min(MOST_OVERVIEWS as u64);
        for at in if below > 0 { self.values(Tag::SubIfds, below)? } else { Vec::new() } {
            let directory = header.read_directory(file, at)?;
            let kind = directory.first(Tag::NewSubfileType)?.unwrap_or(0);
            if kind & REDUCED != 0 && kind & MASK == 0 {
                found.push(directory);
            }
        }
        Ok(found)
    }

    /// The reduced copy `number` of this page, which is page `page` of the file.
    pub(super) fn overview(&self, page: usize, number: usize) -> Result<Self> {
        let mut found = self.overviews()?;
        if number < found.len() {
            return Ok(found.swap_remove(number));
        }
        let size = |(i, directory): (usize, &Self)| {
            format!("{i} of {} by {} pixels", directory.length(Tag::ImageLength), directory.length(Tag::ImageWidth))
        };
        let sizes: Vec<_> = found.iter().enumerate().map(size).collect();
        let have = match found.len() {
            0 => "has none".to_owned(),
            n => format!("has {n}, counted from 0: {}", sizes.join(", ")),
        };
        Err(self.file.broken(format!("no overview {number}: page {page} {have}")))
    }

    /// The length of an axis, as a tag has it: at least 1.
    pub(super) fn length(&self, tag: Tag) -> f64 {
        self.first(tag).ok().flatten().unwrap_or(1).max(1) as f64
    }

    /// The first value of a tag.
    pub(super) fn first(&self, tag: Tag) -> Result<Option<u64>> {
        match self.count(tag) {
            None => Ok(None),
            Some(0) => Err(self.file.broken(format!("tag {tag:?} has no value"))),
            Some(_) => Ok(self.values(tag, 1)?.first().copied()),
        }
    }

    /// The first `count` values of a tag that is there.
    pub(super) fn values(&self, tag: Tag, count: u64) -> Result<Vec<u64>> {
        let entry = self.entries.get(&(tag as u16));
        let entry = entry.ok_or_else(|| self.file.broken(format!("no tag {tag:?}, which every image has")))?;
        let size = match kind_size(entry.kind) {
            Some(size) if matches!(entry.kind, 1 | 3 | 4 | 7 | 13 | 16 | 18) => size,
            _ => {
                return Err(self.file.broken(format!("tag {tag:?} is of type {}: expected whole numbers", entry.kind)));
            }
        };
        if entry.count < count {
            let message = format!("tag {tag:?} has {} values: expected {count}", entry.count);
            return Err(self.file.broken(message));
        }
        // The values are in the file, so memory for them is at most eight times the file.
        let bytes = count.checked_mul(size);
        let end = bytes.and_then(|bytes| bytes.checked_add(entry.offset)).filter(|&end| end <= self.file.len());
        let (Some(bytes), Some(_)) = (bytes, end) else {
            let message =
                format!("tag {tag:?} has {count} values at byte {}, beyond the end of the file", entry.offset);
            return Err(self.file.broken(message));
        };
        let mut raw = vec![0; bytes as usize];
        self.file.read_at(&mut raw, entry.offset)?;
        Ok(raw.chunks_exact(size as usize).map(|bytes| unsigned(bytes, self.header.big_endian)).collect())
    }
}

/// Reduced copies of a page that are looked for: each has half the pixels of the one before, mostly.
const MOST_OVERVIEWS: usize = 64;

/// Bits of a kind of page.
const REDUCED: u64 = 1;
const MASK: u64 = 4;

/// The values of a tag, of the few types that any of these has.
#[derive(Clone, Debug)]
pub(crate) enum TagValues {
    Shorts(Vec<u16>),
    Doubles(Vec<f64>),
    Text(String),
}

/// Bit by bit: a tag that has no number in it is what it was all the same.
impl PartialEq for TagValues {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Shorts(here), Self::Shorts(there)) => here == there,
            (Self::Doubles(here), Self::Doubles(there)) => {
                here.iter().map(|n| n.to_bits()).eq(there.iter().map(|n| n.to_bits()))
            }
            (Self::Text(here), Self::Text(there)) => here == there,
            _ => false,
        }
    }
}

impl Eq for TagValues {}

/// Values of a tag that are read for what they say, and not for where pixels are.
const MOST_WORDS: u64 = 1 << 16;

impl Directory<'_> {
    /// All values of a tag, if it is there and of such a type.
    pub(super) fn words(&self, tag: u16) -> Result<Option<TagValues>> {
        let Some(entry) = self.entries.get(&tag) else { return Ok(None) };
        let size = match entry.kind {
            2 => 1,
            3 => 2,
            12 => 8,
            _ => return Ok(None),
        };
        let bytes = entry.count.saturating_mul(size);
        if entry.count > MOST_WORDS || entry.offset.checked_add(bytes).is_none_or(|end| end > self.file.len()) {
            let message = format!("tag {tag} has {} values at byte {}", entry.count, entry.offset);
            return Err(self.file.broken(format!("{message}: expected at most {MOST_WORDS}, within the file")));
        }
        let mut raw = vec![0; bytes as usize];
        self.file.read_at(&mut raw, entry.offset)?;
        let numbers = raw.chunks_exact(size as usize).map(|bytes| unsigned(bytes, self.header.big_endian));
        Ok(Some(match entry.kind {
            2 => TagValues::Text(String::from_utf8_lossy(&raw).trim_end_matches('\0').to_owned()),
            3 => TagValues::Shorts(numbers.map(|number| number as u16).collect()),
            _ => TagValues::Doubles(numbers.map(f64::from_bits).collect()),
        }))
    }
}

/// The bytes of a value of a TIFF type; `None` for a type that is not known.
fn kind_size(kind: u16) -> Option<u64> {
    Some(match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => return None,
    })
}

/// An unsigned number of up to eight bytes.
fn unsigned(bytes: &[u8], big_endian: bool) -> u64 {
    let add = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
    if big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
}

/// The tags that matter here, with their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    NewSubfileType = 254,
    ImageWidth = 256,
    ImageLength = 257,
    BitsPerSample = 258,
    Compression = 259,
    PhotometricInterpretation = 262,
    FillOrder = 266,
    StripOffsets = 273,
    Orientation = 274,
    SamplesPerPixel = 277,
    RowsPerStrip = 278,
    StripByteCounts = 279,
    PlanarConfiguration = 284,
    Predictor = 317,
    TileWidth = 322,
    TileLength = 323,
    TileOffsets = 324,
    TileByteCounts = 325,
    SubIfds = 330,
    SampleFormat = 339,
    JpegTables = 347,
}
