//! A file, read at positions: what the readers of all formats share. It is on disk, or with the feature `cloud` on another
//! machine.

use std::borrow::Borrow;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
#[cfg(feature = "cloud")]
use std::sync::Arc;
use std::time::SystemTime;

use super::Identity;
#[cfg(feature = "cloud")]
use super::remote::{self, Remote};
use crate::digest::Digest;
use crate::{Error, Result};

/// An open regular file, as it was when it was opened.
#[derive(Debug)]
pub(crate) struct DataFile {
    path: PathBuf,
    data: Data,
    stamp: Stamp,
}

/// Where the bytes are.
#[derive(Debug)]
enum Data {
    Here(File),
    #[cfg(feature = "cloud")]
    Elsewhere(remote::Reader),
}

/// What tells that somebody wrote to a file: its length, and when it was last written to, where the system says so. A
/// write of the same length within a tick of the file system's clock goes unseen.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    /// Every answer of another machine says of which file it is.
    #[cfg(feature = "cloud")]
    remote: Option<Arc<Remote>>,
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Self) -> bool {
        (self.len, self.modified) == (other.len, other.modified)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len)?;
        #[cfg(feature = "cloud")]
        if let Some(remote) = &self.remote {
            return write!(f, " of {}", remote.version());
        }
        match self.modified.map(|time| time.duration_since(SystemTime::UNIX_EPOCH)) {
            None => Ok(()),
            Some(Ok(since)) => write!(f, " of {}.{:09}", since.as_secs(), since.subsec_nanos()),
            Some(Err(before)) => write!(f, " of -{:?}", before.duration()),
        }
    }
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            len: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(feature = "cloud")]
            remote: None,
        })
    }
}

impl DataFile {
    /// Opens a file that is neither a folder nor a pipe nor empty.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if super::is_address(path) {
            return Self::open_elsewhere(path);
        }
        if path.as_os_str() == "-" {
            return Err(Error::unsupported("-", "standard input is not supported: give a file"));
        }
        // Asked before opening, since opening a pipe waits for its writer.
        let kind = fs::metadata(path).map_err(|e| Error::io(path, "open", e))?;
        if kind.is_dir() {
            return Err(Error::io(path, "open", io::ErrorKind::IsADirectory.into()));
        }
        if !kind.is_file() {
            return Err(Error::unsupported(
                path.display().to_string(),
                "not a regular file: pixels are read at random",
            ));
        }
        let file = File::open(path).map_err(|e| Error::io(path, "open", e))?;
        let stamp = Stamp::of(&file).map_err(|e| Error::io(path, "open", e))?;
        Self { path: path.to_owned(), data: Data::Here(file), stamp }.not_empty()
    }

    #[cfg(feature = "cloud")]
    fn open_elsewhere(path: &Path) -> Result<Self> {
        let remote = Arc::new(Remote::open(path)?);
        let stamp = Stamp { len: remote.len(), modified: None, remote: Some(remote.clone()) };
        let path = super::without_query(path);
        Self { path, data: Data::Elsewhere(remote::Reader::new(remote)), stamp }.not_empty()
    }

    #[cfg(not(feature = "cloud"))]
    fn open_elsewhere(path: &Path) -> Result<Self> {
        let message = "this build has no object stores: it needs the feature \"cloud\"";
        Err(Error::unsupported(super::without_query(path).display().to_string(), message))
    }

    fn not_empty(self) -> Result<Self> {
        if self.len() == 0 { Err(self.broken("the file is empty")) } else { Ok(self) }
    }

    /// Opens a file again, which must be as it was when it had this stamp.
    pub(crate) fn reopen(path: &Path, stamp: &Stamp) -> Result<Self> {
        #[cfg(feature = "cloud")]
        if let Some(remote) = &stamp.remote {
            let data = Data::Elsewhere(remote::Reader::new(remote.clone()));
            return Ok(Self { path: path.to_owned(), data, stamp: stamp.clone() });
        }
        let file = Self::open(path)?;
        if file.stamp != *stamp {
            return Err(file.broken("the file changed after its header was read"));
        }
        Ok(file)
    }

    /// Asks the system whether somebody wrote to the file since it was opened: what was read is then from two files.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        #[cfg_attr(
            not(feature = "cloud"),
            expect(clippy::infallible_destructuring_match, reason = "there is another place with buckets")
        )]
        let file = match &self.data {
            Data::Here(file) => file,
            #[cfg(feature = "cloud")]
            Data::Elsewhere(_) => return Ok(()),
        };
        let now = Stamp::of(file).map_err(|e| Error::io(&self.path, "read", e))?;
        if now != self.stamp {
            return Err(self.broken("the file changed while it was read"));
        }
        Ok(())
    }

    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp.clone()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    pub(crate) fn len(&self) -> u64 {
        self.stamp.len
    }

    /// An error that says what is wrong with the bytes of this file.
    pub(crate) fn broken(&self, message: impl Into<String>) -> Error {
        Error::format(self.name(), message)
    }

    /// An error that says what this build can't read.
    pub(crate) fn unsupported(&self, message: impl Into<String>) -> Error {
        Error::unsupported(self.name(), message)
    }

    /// Fills `out` with the bytes from `offset` on.
    pub(crate) fn read_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        let end = offset.saturating_add(out.len() as u64);
        let cut = || self.broken(format!("the file ends within bytes {offset}..{end}: it is cut short"));
        match &self.data {
            Data::Here(file) => read_exact_at(file, out, offset).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => cut(),
                _ => Error::io(&self.path, "read", error),
            }),
            #[cfg(feature = "cloud")]
            Data::Elsewhere(_) if end > self.len() => Err(cut()),
            #[cfg(feature = "cloud")]
            Data::Elsewhere(reader) => reader.read_at(out, offset),
        }
    }

    /// Says what will be read next, in this order: a file on another machine is then read in few requests.
    #[cfg(feature = "tiff")]
    pub(crate) fn want<I: Iterator<Item = std::ops::Range<u64>>>(&self, reads: impl FnOnce() -> I) {
        match &self.data {
            Data::Here(_) => drop(reads),
            #[cfg(feature = "cloud")]
            Data::Elsewhere(reader) => reader.want(reads()),
        }
    }

    /// The memory that reading takes besides what is read.
    #[cfg(feature = "tiff")]
    pub(crate) fn memory(&self) -> u64 {
        match &self.data {
            Data::Here(_) => 0,
            #[cfg(feature = "cloud")]
            Data::Elsewhere(_) => remote::MEMORY,
        }
    }

    /// The first bytes of the file: `most` of them, or as many as there are.
    pub(crate) fn head(&self, most: usize) -> Result<Vec<u8>> {
        let mut head = vec![0; most.min(usize::try_from(self.len()).unwrap_or(usize::MAX))];
        self.read_at(&mut head, 0)?;
        Ok(head)
    }

    /// What tells this file from another one; reads all of it.
    pub(crate) fn identity(&self, page: Option<usize>) -> Result<Identity> {
        let digest = Digest::of(Positions { file: self, at: 0 }).map_err(|e| Error::io(&self.path, "read", e))?;
        self.check_unchanged()?;
        Ok(Identity { page, digest })
    }

    /// The file itself, to be mapped.
    pub(crate) fn file(&self) -> Result<&File> {
        match &self.data {
            Data::Here(file) => Ok(file),
            #[cfg(feature = "cloud")]
            Data::Elsewhere(_) => Err(self.unsupported("a file on another machine can't be mapped, only read")),
        }
    }

    /// The file for a decoder that wants one of its own, from its start. The cursor of a file on disk is shared.
    #[cfg(feature = "image")]
    pub(crate) fn input(&self) -> Result<Input> {
        match &self.data {
            Data::Here(file) => {
                let mut file = file.try_clone().map_err(|e| Error::io(&self.path, "open", e))?;
                file.rewind().map_err(|e| Error::io(&self.path, "read", e))?;
                Ok(Input::Here(file))
            }
            #[cfg(feature = "cloud")]
            Data::Elsewhere(_) => {
                Ok(Input::Elsewhere(Positions { file: Self::reopen(&self.path, &self.stamp)?, at: 0 }))
            }
        }
    }
}

/// A file from its start on.
#[cfg(feature = "image")]
pub(crate) enum Input {
    Here(File),
    #[cfg(feature = "cloud")]
    Elsewhere(Positions<DataFile>),
}

#[cfg(feature = "image")]
impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Here(file) => file.read(out),
            #[cfg(feature = "cloud")]
            Self::Elsewhere(file) => file.read(out),
        }
    }
}

#[cfg(feature = "image")]
impl Seek for Input {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Here(file) => file.seek(to),
            #[cfg(feature = "cloud")]
            Self::Elsewhere(file) => file.seek(to),
        }
    }
}

/// A file with a cursor of its own.
pub(crate) struct Positions<F> {
    pub(crate) file: F,
    pub(crate) at: u64,
}

impl<F: Borrow<DataFile>> Read for Positions<F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let file = self.file.borrow();
        let bytes = (out.len() as u64).min(file.len().saturating_sub(self.at)) as usize;
        file.read_at(&mut out[..bytes], self.at).map_err(io::Error::other)?;
        self.at += bytes as u64;
        Ok(bytes)
    }
}

impl<F: Borrow<DataFile>> Seek for Positions<F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let mut cursor = io::Cursor::new([0u8; 0]);
        let from = match to {
            SeekFrom::Start(at) => SeekFrom::Start(at),
            SeekFrom::Current(by) => {
                cursor.set_position(self.at);
                SeekFrom::Current(by)
            }
            SeekFrom::End(by) => {
                cursor.set_position(self.file.borrow().len());
                SeekFrom::Current(by)
            }
        };
        self.at = cursor.seek(from)?;
        Ok(self.at)
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, offset)
}

/// Each reader has a file of its own, so nobody else moves the cursor between these two calls.
#[cfg(not(unix))]
fn read_exact_at(mut file: &File, out: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read, Seek};
    file.seek(io::SeekFrom::Start(offset))?;
    file.read_exact(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn what_is_not_a_file_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let message = |path: &Path| DataFile::open(path).unwrap_err().to_string();
        assert!(message(folder.path()).contains("is a directory"));
        let missing = folder.path().join("missing.npy");
        let error = DataFile::open(&missing).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Io { action: "open", .. }), "{error}");
        let empty = folder.path().join("empty.npy");
        fs::write(&empty, "").unwrap();
        assert!(message(&empty).ends_with("empty.npy: the file is empty"));
        assert!(message(Path::new("-")).contains("standard input is not supported"));
    }

    #[test]
    fn a_write_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "0123456789").unwrap();
        let file = DataFile::open(&path).unwrap();
        assert!(file.check_unchanged().is_ok());
        assert!(DataFile::reopen(&path, &file.stamp()).is_ok());
        // The same length, another time.
        let touched = File::options().write(true).open(&path).unwrap();
        touched.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(file.check_unchanged().unwrap_err().to_string().contains("changed while it was read"));
        assert!(DataFile::reopen(&path, &file.stamp()).unwrap_err().to_string().contains("changed after"));
    }

    #[test]
    fn reading_past_the_end_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "0123456789").unwrap();
        let file = DataFile::open(&path).unwrap();
        let mut out = [0; 4];
        file.read_at(&mut out, 3).unwrap();
        assert_eq!((&out, file.len(), file.head(99).unwrap().len()), (b"3456", 10, 10));
        let message = file.read_at(&mut out, 8).unwrap_err().to_string();
        assert!(message.contains("8..12"), "{message}");
    }
}
