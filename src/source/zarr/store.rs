//! Where the files of an array are: in a folder, in a zip archive, or in an object store.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

#[cfg(feature = "cloud")]
use crate::bucket::{Bucket, Object};
use crate::source::archive::{Archive, Packing};
use crate::source::file::DataFile;
use crate::{Error, ErrorKind, Result};

/// The most bytes of what an array says of itself.
const MOST_DOCUMENT: u64 = 16 << 20;

/// Values by name.
#[derive(Debug)]
pub(super) enum Store {
    Folder(PathBuf),
    Archive(Arc<Archive>),
    #[cfg(feature = "cloud")]
    Bucket(Bucket),
}

/// A value that is there.
#[derive(Debug)]
pub(super) struct Value {
    name: String,
    pub(super) len: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    File(DataFile),
    Stored {
        archive: Arc<Archive>,
        start: u64,
        /// Of all of its bytes.
        crc: u32,
    },
    /// Unpacked.
    Memory(Vec<u8>),
    #[cfg(feature = "cloud")]
    Object(Object),
}

impl Store {
    /// How the store is called.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Folder(path) => path.display().to_string(),
            Self::Archive(archive) => archive.file.name(),
            #[cfg(feature = "cloud")]
            Self::Bucket(bucket) => bucket.name("").display().to_string(),
        }
    }

    /// How a value in here is called.
    pub(super) fn name_of(&self, key: &str) -> String {
        if key.is_empty() { self.name() } else { format!("{}/{key}", self.name().trim_end_matches('/')) }
    }

    /// A value of at most so many bytes, if it is there, to be read as a whole.
    pub(super) fn whole(&self, key: &str, most: u64) -> Result<Option<Value>> {
        #[cfg(feature = "cloud")]
        if let Self::Bucket(bucket) = self {
            // One request, not two.
            let content = bucket.content(key, most)?;
            let value = |content: bytes::Bytes| Value {
                name: self.name_of(key),
                len: content.len() as u64,
                place: Place::Memory(content.into()),
            };
            return Ok(content.map(value));
        }
        self.value(key, most)
    }

    /// A value of at most so many bytes, if it is there. Nothing of it is read now, unless it is packed.
    pub(super) fn value(&self, key: &str, most: u64) -> Result<Option<Value>> {
        let name = self.name_of(key);
        let (len, place) = match self {
            Self::Folder(path) => match DataFile::open(&path.join(key)) {
                Ok(file) => (file.len(), Place::File(file)),
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => return Err(error),
            },
            Self::Archive(archive) => {
                let Some(member) = archive.member(key) else { return Ok(None) };
                if member.packing == Packing::Stored {
                    let start = archive.start(key, member)?;
                    (member.size, Place::Stored { archive: archive.clone(), start, crc: member.crc() })
                } else {
                    let content = archive.content(key, member, most)?;
                    (content.len() as u64, Place::Memory(content))
                }
            }
            #[cfg(feature = "cloud")]
            Self::Bucket(bucket) => match bucket.object(key)? {
                Some(object) => (object.len(), Place::Object(object)),
                None => return Ok(None),
            },
        };
        if len > most {
            return Err(Error::format(name, format!("it has {len} bytes: expected at most {most}")));
        }
        Ok(Some(Value { name, len, place }))
    }

    /// A short value as a whole.
    pub(super) fn document(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let Some(value) = self.whole(key, MOST_DOCUMENT)? else { return Ok(None) };
        value.read(0, value.len).map(Some)
    }

    /// The names of what is in a folder in here and has values in it; not all of more than a few thousand.
    pub(super) fn folders(&self, folder: &str) -> Result<Vec<String>> {
        const MOST: usize = 4096;
        let mut found = BTreeSet::new();
        match self {
            Self::Folder(path) => {
                let path = path.join(folder);
                let error = |error| Error::io(&path, "read", error);
                for entry in path.read_dir().map_err(error)?.take(MOST) {
                    let entry = entry.map_err(error)?;
                    if entry.path().is_dir() {
                        found.insert(entry.file_name().to_string_lossy().into_owned());
                    }
                }
            }
            Self::Archive(archive) => {
                let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
                for name in archive.names() {
                    if let Some((child, _)) = name.strip_prefix(&prefix).and_then(|rest| rest.split_once('/')) {
                        if found.len() == MOST {
                            break;
                        }
                        found.insert(child.to_owned());
                    }
                }
            }
            #[cfg(feature = "cloud")]
            Self::Bucket(bucket) => found.extend(bucket.folders(folder)?.into_iter().take(MOST)),
        }
        Ok(found.into_iter().collect())
    }

    /// Fails if the store is a file, and is no longer the one that was opened.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        match self {
            Self::Archive(archive) => archive.file.check_unchanged(),
            _ => Ok(()),
        }
    }

    /// Fails if the folder of a value that is not there was changed since some time: the value may have been there then.
    pub(super) fn check_missing(&self, key: &str, since: SystemTime) -> Result<()> {
        let Self::Folder(path) = self else { return Ok(()) };
        let value = path.join(key);
        let folder = value.ancestors().skip(1).find_map(|folder| folder.metadata().ok());
        match folder.and_then(|folder| folder.modified().ok()) {
            Some(modified) if modified > since => Err(Error::format(
                self.name_of(key),
                "it is not there, and its folder changed while the array was read",
            )),
            _ => Ok(()),
        }
    }

    /// Whether asking for a value costs next to nothing.
    pub(super) fn is_near(&self) -> bool {
        match self {
            Self::Folder(_) | Self::Archive(_) => true,
            #[cfg(feature = "cloud")]
            Self::Bucket(_) => false,
        }
    }
}

/// Whether an error says that there is no such file.
fn is_missing(error: &Error) -> bool {
    let missing = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    matches!(error.kind(), ErrorKind::Io { error, .. } if missing.contains(&error.kind()))
}

impl Value {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// An error that says what is wrong with these bytes.
    pub(super) fn broken(&self, message: impl Into<String>) -> Error {
        Error::format(&self.name, message)
    }

    /// Some of the bytes, which are all there.
    pub(super) fn read(&self, start: u64, len: u64) -> Result<Vec<u8>> {
        if start.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(self.broken(format!("{len} bytes at byte {start}, beyond the end at {}", self.len)));
        }
        match &self.place {
            Place::Memory(content) => Ok(content[start as usize..][..len as usize].to_vec()),
            Place::File(file) => {
                let read = read_at(file, start, len);
                // That the file changed says more than what was found in it.
                file.check_unchanged()?;
                read
            }
            Place::Stored { archive, start: first, crc } => {
                let read = read_at(&archive.file, first + start, len)?;
                let got = crc32fast::hash(&read);
                // Of a part of it the archive says nothing.
                if len == self.len && got != *crc {
                    return Err(self.broken(format!("its checksum is {got:08x}: expected {crc:08x}")));
                }
                Ok(read)
            }
            #[cfg(feature = "cloud")]
            Place::Object(object) => {
                let bytes = object.range(start..start + len).map_err(|e| Error::io(self.name.as_ref(), "read", e))?;
                if bytes.len() as u64 != len {
                    return Err(self.broken(format!("{} bytes came, {len} were asked for", bytes.len())));
                }
                Ok(bytes.into())
            }
        }
    }
}

fn read_at(file: &DataFile, start: u64, len: u64) -> Result<Vec<u8>> {
    let mut out = super::codec::room(len as usize).map_err(|message| file.broken(message))?;
    out.resize(len as usize, 0);
    file.read_at(&mut out, start)?;
    Ok(out)
}
