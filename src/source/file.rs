//! A file on disk, read at positions: what the readers of all formats share.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// An open regular file and the length that it had when it was opened.
#[derive(Debug)]
pub(crate) struct DataFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl DataFile {
    /// Opens a file that is neither a folder nor a pipe nor empty.
    pub(crate) fn open(path: &Path) -> Result<Self> {
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
        let len = file.metadata().map_err(|e| Error::io(path, "open", e))?.len();
        let file = Self { path: path.to_owned(), file, len };
        if len == 0 {
            return Err(file.broken("the file is empty"));
        }
        Ok(file)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
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
        let mut head = vec![0; most.min(usize::try_from(self.len).unwrap_or(usize::MAX))];
        self.read_at(&mut head, 0)?;
        Ok(head)
    }

    /// The file itself, to be mapped.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The file itself, for a decoder that reads it from the start.
    #[cfg(feature = "image")]
    pub(crate) fn into_inner(self) -> File {
        self.file
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
