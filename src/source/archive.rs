//! Zip archives: what is in them, and where.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;

use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::file::{DataFile, Positions};
use super::guard::guard;
use crate::{Error, Result};

/// The most memory that a member may take, unpacked.
const MAX_BYTES: u64 = 4 << 30;

/// An archive: its members by name. Nothing of them is in memory.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) file: DataFile,
    /// In the order of the archive.
    names: Vec<String>,
    members: HashMap<String, Member>,
}

/// A member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Where its header is in the file.
    header: u64,
    /// Its bytes in the archive, and its own.
    packed: u64,
    pub(crate) size: u64,
    crc: u32,
    pub(crate) packing: Packing,
}

/// How a member is packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Stored,
    Deflated,
    /// In a way that is not read here, or under a password.
    Other(String),
}

impl Member {
    /// The checksum of its bytes, unpacked.
    pub(crate) fn crc(&self) -> u32 {
        self.crc
    }
}

impl Archive {
    /// Reads the directory of an archive.
    pub(crate) fn read(file: DataFile) -> Result<Self> {
        let name = file.name();
        let (names, members) = guard(&name, || {
            let archive = ZipArchive::new(Positions { file: &file, at: 0 })?;
            let mut names = Vec::with_capacity(archive.len());
            let mut members = HashMap::with_capacity(archive.len());
            for index in 0..archive.len() {
                let entry = archive.by_index_data(index)?;
                if entry.is_dir() {
                    continue;
                }
                let packing = match entry.compression() {
                    _ if entry.encrypted() => Packing::Other("encrypted".to_owned()),
                    CompressionMethod::Stored => Packing::Stored,
                    CompressionMethod::DEFLATE => Packing::Deflated,
                    other => Packing::Other(format!("packed by {other}")),
                };
                let member = Member {
                    header: entry.header_start(),
                    packed: entry.compressed_size(),
                    size: entry.size(),
                    crc: entry.crc32(),
                    packing,
                };
                let name = entry.name()?.into_owned();
                if members.insert(name.clone(), member).is_none() {
                    names.push(name);
                }
            }
            Ok::<_, zip::result::ZipError>((names, members))
        })?;
        Ok(Self { file, names, members })
    }

    /// The names of all members.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        self.members.get(name)
    }

    /// An error that says what is wrong with a member.
    pub(crate) fn broken(&self, name: &str, message: impl Into<String>) -> Error {
        Error::format(format!("{}/{name}", self.file.name()), message)
    }

    /// Where the bytes of a member start, which are all in the file.
    pub(crate) fn start(&self, name: &str, member: &Member) -> Result<u64> {
        // The header of a member repeats its name, and may have other extra fields than the directory.
        let mut header = [0; 30];
        let within = |end: Option<u64>| end.is_some_and(|end| end <= self.file.len());
        if !within(member.header.checked_add(30)) {
            return Err(
                self.broken(name, format!("its header is at byte {}, beyond the end of the file", member.header))
            );
        }
        self.file.read_at(&mut header, member.header)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(self.broken(name, format!("there is no header at byte {}", member.header)));
        }
        let [.., n0, n1, e0, e1] = header;
        let start =
            member.header + 30 + u64::from(u16::from_le_bytes([n0, n1])) + u64::from(u16::from_le_bytes([e0, e1]));
        if !within(start.checked_add(member.packed)) {
            let message = format!("{} bytes at byte {start}, beyond the end of the file", member.packed);
            return Err(self.broken(name, format!("{message} at {}", self.file.len())));
        }
        match &member.packing {
            Packing::Other(how) => Err(Error::unsupported(
                format!("{}/{name}", self.file.name()),
                format!("it is {how}: expected stored or deflated"),
            )),
            Packing::Stored if member.size != member.packed => {
                Err(self.broken(name, format!("{} bytes are stored in {}", member.size, member.packed)))
            }
            // Deflate makes at most 1032 bytes out of one.
            Packing::Deflated if member.size > member.packed.saturating_mul(1100) || member.size > MAX_BYTES => {
                let message = format!("it claims {} bytes, from {} deflated ones", member.size, member.packed);
                Err(self.broken(name, format!("{message}: expected at most 1100 times as many, and {MAX_BYTES}")))
            }
            _ => Ok(start),
        }
    }

    /// Unpacks a deflated member from its first byte on, as far as it is read. Nothing is said of its checksum.
    pub(crate) fn inflate(self: &Arc<Self>, start: u64, member: &Member) -> impl Read + Send + use<> {
        let positions = Owned { archive: self.clone(), at: start, end: start + member.packed };
        DeflateDecoder::new(io::BufReader::with_capacity(64 << 10, positions)).take(member.size)
    }

    /// Fails where the bytes of a member are not those that were put in.
    pub(crate) fn check(&self, name: &str, member: &Member, crc: u32) -> Result<()> {
        if crc == member.crc {
            return Ok(());
        }
        Err(self.broken(name, format!("its checksum is {crc:08x}: expected {:08x}", member.crc)))
    }

    /// A small member as a whole; `most` is checked before memory is taken.
    #[cfg(feature = "zarr")]
    pub(crate) fn content(self: &Arc<Self>, name: &str, member: &Member, most: u64) -> Result<Vec<u8>> {
        let start = self.start(name, member)?;
        if member.size > most {
            return Err(self.broken(name, format!("it has {} bytes: expected at most {most}", member.size)));
        }
        let mut content = vec![0; member.size as usize];
        match member.packing {
            Packing::Stored => self.file.read_at(&mut content, start)?,
            _ => self
                .inflate(start, member)
                .read_exact(&mut content)
                .map_err(|error| self.broken(name, format!("it can't be unpacked: {error}")))?,
        }
        self.check(name, member, crc32fast::hash(&content))?;
        Ok(content)
    }
}

/// Some bytes of the file of an archive.
struct Owned {
    archive: Arc<Archive>,
    at: u64,
    end: u64,
}

impl Read for Owned {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = (out.len() as u64).min(self.end - self.at) as usize;
        self.archive.file.read_at(&mut out[..bytes], self.at).map_err(io::Error::other)?;
        self.at += bytes as u64;
        Ok(bytes)
    }
}
