//! `.npz` archives: arrays of numpy in a zip file.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive::{Archive, Member, Packing};
use super::dense::{Dense, DenseReader, Sum};
use super::file::{DataFile, Stamp};
use super::memory::ViewReader;
use super::npy_header::{self, Input};
use super::{Identity, RegionReader, Source, SourceInfo};
use crate::{BufferPool, Error, Result, StridedView};

/// The most bytes of a header that are unpacked to find out what an array is.
const HEAD: u64 = (1 << 20) + 12;

/// One array of a `.npz` archive.
///
/// What `np.savez` stores is read region by region, as a `.npy` file is. What `np.savez_compressed` deflates can't be
/// entered in the middle, so a pass unpacks the array as a whole, into one buffer; its checksum is held against the
/// archive's.
#[derive(Debug)]
pub struct NpzSource {
    info: SourceInfo,
    path: PathBuf,
    stamp: Stamp,
    member: String,
    packed: Member,
    array: Dense,
}

impl NpzSource {
    /// The array called `member` (`.npy` may be left out) of the archive at `path`; the only one, if no name is given.
    ///
    /// ```no_run
    /// use windrow::source::{NpzSource, Source};
    ///
    /// let source = NpzSource::open("scene.npz", Some("B04"))?;
    /// println!("{:?} {}", source.info().shape, source.info().dtype);
    /// # Ok::<(), windrow::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the file can't be read or is no zip archive, has no such array, or several where none is named; if the array is
    /// packed in another way than these, or is one that [`NpySource`](super::NpySource) would not read either.
    pub fn open(path: impl AsRef<Path>, member: Option<&str>) -> Result<Self> {
        Self::new(&Arc::new(Archive::read(DataFile::open(path.as_ref())?)?), member)
    }

    pub(super) fn new(archive: &Arc<Archive>, member: Option<&str>) -> Result<Self> {
        let name = choose(archive, member)?;
        let (array, packed) = head(archive, &name)?;
        let shown = name.strip_suffix(".npy").unwrap_or(&name);
        let deflated = packed.packing == Packing::Deflated;
        let info = SourceInfo {
            name: format!("{}/{shown}", archive.file.name()),
            shape: array.shape.clone(),
            dtype: array.dtype,
            axes: None,
            chunk: if deflated { array.shape.iter().map(|&n| n.max(1)).collect() } else { vec![1; array.shape.len()] },
            resident: deflated,
            // A window of deflate, and a piece of the file.
            working_bytes: if deflated { 256 << 10 } else { 0 },
        };
        let (path, stamp) = (archive.file.path().to_owned(), archive.file.stamp());
        Ok(Self { info, path, stamp, member: name, packed, array })
    }
}

/// The full name of the array that was asked for.
fn choose(archive: &Archive, member: Option<&str>) -> Result<String> {
    let arrays: Vec<_> = archive.names().iter().filter(|name| name.ends_with(".npy")).collect();
    let shown = || {
        let mut shown: Vec<_> = arrays.iter().take(20).map(|name| name.trim_end_matches(".npy")).collect();
        if arrays.len() > 20 {
            shown.push("…");
        }
        shown.join(", ")
    };
    match (member, arrays.as_slice()) {
        (_, []) => Err(archive.file.broken("a zip archive without any .npy file in it")),
        (None, [only]) => Ok(only.to_string()),
        (None, _) => {
            let message = format!("it has {} arrays: name one, as in {}/", arrays.len(), archive.file.name());
            Err(archive.file.unsupported(format!("{message}NAME: {}", shown())))
        }
        (Some(member), _) => {
            let with = format!("{member}.npy");
            let found = arrays.iter().find(|name| ***name == with).or(arrays.iter().find(|name| **name == member));
            found
                .map(|name| name.to_string())
                .ok_or_else(|| archive.file.broken(format!("no array {member:?}: it has {}", shown())))
        }
    }
}

/// What an array is, and where its numbers start: in the file if they are stored, else in what is unpacked.
fn head(archive: &Arc<Archive>, name: &str) -> Result<(Dense, Member)> {
    let Some(member) = archive.member(name) else {
        return Err(archive.file.broken(format!("the file changed: it no longer has an array {name:?}")));
    };
    let start = archive.start(name, member)?;
    let input = match member.packing {
        Packing::Stored => Part { archive, name, start, len: member.size, unpacked: None },
        _ => {
            let mut unpacked = Vec::new();
            archive
                .inflate(start, member)
                .take(HEAD)
                .read_to_end(&mut unpacked)
                .map_err(|error| archive.broken(name, format!("it can't be unpacked: {error}")))?;
            Part { archive, name, start: 0, len: member.size, unpacked: Some(unpacked) }
        }
    };
    let mut array = npy_header::read(&input)?;
    array.data += input.start;
    Ok((array, member.clone()))
}

/// A member of an archive, as a file.
struct Part<'a> {
    archive: &'a Archive,
    name: &'a str,
    start: u64,
    len: u64,
    /// The start of what is packed.
    unpacked: Option<Vec<u8>>,
}

impl Input for Part<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        let Some(unpacked) = &self.unpacked else { return self.archive.file.read_at(out, self.start + offset) };
        let part = unpacked.get(offset as usize..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(part.ok_or_else(|| self.broken("its data are cut short".to_owned()))?);
        Ok(())
    }

    fn broken(&self, message: String) -> Error {
        self.archive.broken(self.name, message)
    }

    fn unsupported(&self, message: String) -> Error {
        Error::unsupported(format!("{}/{}", self.archive.file.name(), self.name), message)
    }
}

impl Source for NpzSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn identity(&self) -> Result<Identity> {
        DataFile::reopen(&self.path, &self.stamp)?.identity(None)
    }

    fn fills(&self, first: usize) -> bool {
        self.array.fills(first)
    }

    fn stamp(&self) -> Option<String> {
        Some(self.stamp.to_string())
    }

    fn open(&self, pool: &BufferPool) -> Result<Box<dyn RegionReader>> {
        let archive = Arc::new(Archive::read(DataFile::reopen(&self.path, &self.stamp)?)?);
        let (array, packed) = head(&archive, &self.member)?;
        if (&array, &packed) != (&self.array, &self.packed) {
            return Err(archive.file.broken("the file changed: its array is no longer the one that it was"));
        }
        if packed.packing == Packing::Deflated {
            let view = self.unpack(&archive, pool);
            archive.file.check_unchanged()?;
            return Ok(Box::new(ViewReader(view?)));
        }
        let start = archive.start(&self.member, &packed)?;
        let place = start..start + packed.size;
        let sum = Sum::new(&archive.file, self.info.name.clone(), packed.crc(), place, array.data)?;
        let archive = Arc::into_inner(archive).map(|archive| archive.file);
        let file = archive.map_or_else(|| DataFile::reopen(&self.path, &self.stamp), Ok)?;
        Ok(Box::new(DenseReader { file, array, pool: pool.clone(), sum: Some(sum) }))
    }
}

impl NpzSource {
    /// The array, unpacked as a whole.
    fn unpack(&self, archive: &Arc<Archive>, pool: &BufferPool) -> Result<StridedView> {
        let Self { member, packed, array, .. } = self;
        let broken = |error: std::io::Error| archive.broken(member, format!("it can't be unpacked: {error}"));
        let start = archive.start(member, packed)?;
        let mut input = archive.inflate(start, packed);
        let mut crc = crc32fast::Hasher::new();
        let mut header = vec![0; array.data as usize];
        input.read_exact(&mut header).map_err(broken)?;
        crc.update(&header);
        let mut memory =
            pool.take(array.bytes_within(packed.size).map_err(|text| archive.broken(member, text))? as usize)?;
        input.read_exact(&mut memory).map_err(broken)?;
        crc.update(&memory);
        // What numpy would leave unread belongs to the checksum all the same.
        let mut rest = vec![0; 64 << 10];
        loop {
            match input.read(&mut rest).map_err(broken)? {
                0 => break,
                bytes => crc.update(&rest[..bytes]),
            }
        }
        archive.check(member, packed, crc.finalize())?;
        array.of_memory(memory)
    }
}
