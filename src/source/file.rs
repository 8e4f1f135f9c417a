//! A file on disk, read at positions: what the readers of all formats share.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Identity;
use crate::digest::Digest;
use crate::{Error, Result};

/// An open regular file, as it was when it was opened.
#[derive(Debug)]
pub(crate) struct DataFile {
    path: PathBuf,
    file: File,
    stamp: Stamp,
}

/// What tells that somebody wrote to a file: its length, and when it was last written to, where the system says so. A
/// write of the same length within a tick of the file system's clock goes unseen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { len: metadata.len(), modified: metadata.modified().ok() })
    }
}

impl DataFile {
    /// Opens a file that is neither a folder nor a pipe nor empty.
    pub(crate) fn open(path: &Path) -> Result<Self> {
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
        let file = Self { path: path.to_owned(), file, stamp };
        if file.len() == 0 {
            return Err(file.broken("the file is empty"));
        }
        Ok(file)
    }

    /// Opens a file again, which must be as it was when it had this stamp.
    pub(crate) fn reopen(path: &Path, stamp: &Stamp) -> Result<Self> {
        let file = Self::open(path)?;
        if file.stamp != *stamp {
            return Err(file.broken("the file changed after its header was read"));
        }
        Ok(file)
    }

    /// Asks the system whether somebody wrote to the file since it was opened: what was read is then from two files.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        let now = Stamp::of(&self.file).map_err(|e| Error::io(&self.path, "read", e))?;
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
        let wanted = out.len();
        read_exact_at(&self.file, out, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                let end = offset.saturating_add(wanted as u64);
                self.broken(format!("the file ends within bytes {offset}..{end}: it is cut short"))
            }
            _ => Error::io(&self.path, "read", error),
        })
    }

    /// The first bytes of the file: `most` of them, or as many as there are.
    pub(crate) fn head(&self, most: usize) -> Result<Vec<u8>> {
        let mut head = vec![0; most.min(usize::try_from(self.len()).unwrap_or(usize::MAX))];
        self.read_at(&mut head, 0)?;
        Ok(head)
    }

    /// What tells this file from another one; reads all of it.
    pub(crate) fn identity(&self, page: Option<usize>) -> Result<Identity> {
        let digest = Digest::of(FromStart { file: self, at: 0 }).map_err(|e| Error::io(&self.path, "read", e))?;
        self.check_unchanged()?;
        Ok(Identity { page, digest })
    }

    /// The file itself, to be mapped or read from its start.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The file for a decoder that wants one of its own. Its cursor is shared.
    #[cfg(feature = "image")]
    pub(crate) fn try_clone(&self) -> Result<File> {
        self.file.try_clone().map_err(|e| Error::io(&self.path, "open", e))
    }
}

/// Reads a file from its start, whatever its cursor.
struct FromStart<'a> {
    file: &'a DataFile,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.file.len() - self.at).unwrap_or(usize::MAX);
        let bytes = out.len().min(left);
        read_exact_at(&self.file.file, &mut out[..bytes], self.at)?;
        self.at += bytes as u64;
        Ok(bytes)
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
