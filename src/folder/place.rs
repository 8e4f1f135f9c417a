//! Where the files of a table are.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parquet::file::reader::{ChunkReader, Length};

#[cfg(feature = "cloud")]
use crate::bucket::{self, Bucket};
#[cfg(feature = "cloud")]
use crate::sink::cloud;
use crate::sink::{AtomicFile, Target, is_at};
use crate::{Error, Result};

/// The file whose lock says that an export runs.
const LOCK: &str = ".windrow.lock";

/// How a file comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Create {
    /// Where there is no lock, it is refused if there is one by then.
    New,
    /// Nobody else writes it, or is refused where that can be told.
    Alone,
    /// Others may write it, too: the same bytes.
    Shared,
}

/// A folder of files that appear whole or not at all.
pub(super) trait Place {
    /// A file's name, for messages.
    fn name(&self, file: &str) -> PathBuf;

    /// Makes the place ready to be written to. Other exports into it are refused until what this gives is dropped.
    fn lock(&self) -> Result<Option<Lock>>;

    /// A file from its start; `None` if it is not there.
    fn read(&self, file: &str) -> Result<Option<Box<dyn Read>>>;

    /// A file to be read at random.
    fn open(&self, file: &str) -> Result<Part>;

    /// Makes the place ready to be written to by several at once.
    fn share(&self) -> Result<()>;

    /// A file to be written; it appears when it is committed.
    fn create(&self, file: &str, how: Create) -> Result<Box<dyn Target>>;

    /// Removes a file, if it is there.
    fn remove(&self, file: &str) -> Result<()>;

    /// The names of the files that are there.
    fn list(&self) -> Result<Vec<String>>;
}

/// The place that a user named.
pub(super) fn of(path: &Path) -> Result<Box<dyn Place>> {
    #[cfg(feature = "cloud")]
    if bucket::is_address(path) {
        return Ok(Box::new(Bucket::open(path)?));
    }
    Ok(Box::new(Folder(path.to_owned())))
}

/// A folder of the file system.
struct Folder(PathBuf);

impl Place for Folder {
    fn name(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    fn lock(&self) -> Result<Option<Lock>> {
        self.share()?;
        Lock::new(&self.0).map(Some)
    }

    fn share(&self) -> Result<()> {
        match fs::create_dir(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::io(&self.0, "create", error)),
            _ => Ok(()),
        }
    }

    fn read(&self, file: &str) -> Result<Option<Box<dyn Read>>> {
        let path = self.name(file);
        match File::open(&path) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&path, "read", error)),
        }
    }

    fn open(&self, file: &str) -> Result<Part> {
        let path = self.name(file);
        File::open(&path).map(Part::File).map_err(|error| Error::io(&path, "read", error))
    }

    fn create(&self, file: &str, how: Create) -> Result<Box<dyn Target>> {
        let name = self.name(file);
        Ok(Box::new(match how {
            Create::Shared => AtomicFile::create_among_others(&name)?,
            Create::New | Create::Alone => AtomicFile::create(&name)?,
        }))
    }

    fn remove(&self, file: &str) -> Result<()> {
        let path = self.name(file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(&path, "remove", error)),
            _ => Ok(()),
        }
    }

    fn list(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.0).map_err(|error| Error::io(&self.0, "read", error))?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }
}

/// A prefix of an object store. It has no locks; but a manifest is there before anything else, and a second one refused.
#[cfg(feature = "cloud")]
impl Place for Bucket {
    fn name(&self, file: &str) -> PathBuf {
        self.name(file)
    }

    fn lock(&self) -> Result<Option<Lock>> {
        Ok(None)
    }

    fn read(&self, file: &str) -> Result<Option<Box<dyn Read>>> {
        Ok(self.object(file)?.map(|object| Box::new(object.from(0)) as Box<dyn Read>))
    }

    fn open(&self, file: &str) -> Result<Part> {
        let gone = || Error::io(&self.name(file), "read", io::ErrorKind::NotFound.into());
        self.object(file)?.map(Part::Object).ok_or_else(gone)
    }

    fn share(&self) -> Result<()> {
        Ok(())
    }

    fn create(&self, file: &str, how: Create) -> Result<Box<dyn Target>> {
        Ok(Box::new(cloud::create(self, file, how == Create::New)))
    }

    fn remove(&self, file: &str) -> Result<()> {
        self.remove(file)
    }

    fn list(&self) -> Result<Vec<String>> {
        self.list()
    }
}

/// A file of a place, for the readers of Parquet.
pub(super) enum Part {
    File(File),
    #[cfg(feature = "cloud")]
    Object(bucket::Object),
}

impl Length for Part {
    fn len(&self) -> u64 {
        match self {
            Part::File(file) => file.len(),
            #[cfg(feature = "cloud")]
            Part::Object(object) => object.len(),
        }
    }
}

impl ChunkReader for Part {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        match self {
            Part::File(file) => Ok(Box::new(file.get_read(start)?)),
            #[cfg(feature = "cloud")]
            Part::Object(object) => Ok(Box::new(object.from(start))),
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        match self {
            Part::File(file) => file.get_bytes(start, length),
            #[cfg(feature = "cloud")]
            Part::Object(object) => Ok(object.range(start..start.saturating_add(length as u64))?),
        }
    }
}

/// Held while an export writes into a folder.
pub(super) struct Lock(PathBuf, #[expect(dead_code, reason = "the lock ends when the file is closed")] File);

impl Lock {
    fn new(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK);
        let fail = |error| Error::io(folder, "write into", error);
        for _ in 0..TRIES {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(fail)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    let message = "another export is writing into it: wait for its end, or choose another folder";
                    return Err(fail(io::Error::new(io::ErrorKind::ResourceBusy, message)));
                }
                // Where there are no locks, a second export can't be told. A file that is gone was that of an export
                // that has just ended.
                Ok(()) | Err(TryLockError::Error(_)) if is_at(&path, &file) => return Ok(Self(path, file)),
                _ => {}
            }
        }
        Err(fail(io::Error::other("its lock is removed again and again")))
    }
}

/// How often a lock is tried that another export removes as it ends.
const TRIES: usize = 16;

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
