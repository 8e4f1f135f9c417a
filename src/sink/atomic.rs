//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::{Error, Result};

/// A file that is written beside its target and takes its name when it is [committed](Self::commit). Dropped before,
/// it is removed, and the target keeps what it had.
pub(crate) struct AtomicFile {
    temp: BufWriter<NamedTempFile>,
    target: PathBuf,
    /// The target as the user named it, for messages.
    name: PathBuf,
}

impl AtomicFile {
    pub(crate) fn create(name: &Path) -> Result<Self> {
        let fail = |error| Error::io(name, "create", error);
        // A link stays a link: what it points to is replaced.
        let target = if name.is_symlink() { fs::canonicalize(name).map_err(fail)? } else { name.to_owned() };
        match fs::metadata(&target) {
            Ok(meta) if meta.is_dir() => {
                let error = io::Error::new(io::ErrorKind::IsADirectory, "it is a directory, expected a file name");
                return Err(fail(error));
            }
            Ok(meta) if !meta.is_file() => {
                return Err(fail(io::Error::other("it is not a regular file, and a rename would replace it")));
            }
            _ => {}
        }
        let Some(file_name) = target.file_name() else {
            return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "expected a file name")));
        };
        let folder = match target.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let prefix = format!(".{}.windrow-", file_name.to_string_lossy());
        let mut builder = Builder::new();
        builder.prefix(&prefix).suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As any program creates files: the umask takes away what the user doesn't want.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let temp = builder.tempfile_in(folder).map_err(|error| fail(plain(error)))?;
        Ok(Self { temp: BufWriter::with_capacity(1 << 20, temp), target, name: name.to_owned() })
    }

    /// Syncs the file, gives it its name, and syncs its folder.
    pub(crate) fn commit(self) -> Result<u64> {
        let Self { temp, target, name } = self;
        let fail = |error| Error::io(&name, "write", error);
        let temp = temp.into_inner().map_err(|error| fail(error.into_error()))?;
        temp.as_file().sync_all().map_err(fail)?;
        let bytes = temp.as_file().metadata().map_err(fail)?.len();
        temp.persist(&target).map_err(|error| Error::io(&name, "rename", error.error))?;
        #[cfg(unix)]
        if let Some(folder) = target.parent() {
            let folder = if folder == Path::new("") { Path::new(".") } else { folder };
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail)?;
        }
        Ok(bytes)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temp.write(bytes).map_err(plain)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temp.flush().map_err(plain)
    }
}

/// The system's error, without the name of the temporary file in front.
fn plain(error: io::Error) -> io::Error {
    match error.get_ref().and_then(|inner| inner.source()).and_then(|inner| inner.downcast_ref::<io::Error>()) {
        Some(inner) => inner.raw_os_error().map_or_else(|| inner.kind().into(), io::Error::from_raw_os_error),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.bin");
        fs::write(&target, "old").unwrap();
        let mut file = AtomicFile::create(&target).unwrap();
        file.write_all(b"new content").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names(folder.path()).len(), 2);
        assert_eq!(file.commit().unwrap(), 11);
        assert_eq!(fs::read(&target).unwrap(), b"new content");

        let mut file = AtomicFile::create(&target).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read(&target).unwrap(), b"new content");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    #[cfg(unix)]
    fn a_link_stays_a_link_and_permissions_are_as_usual() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let mut file = AtomicFile::create(&link).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"new");
        let usual = folder.path().join("usual");
        fs::write(&usual, "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&real), mode(&usual));
    }

    #[test]
    fn bad_targets_are_errors_that_name_them() {
        let folder = tempfile::tempdir().unwrap();
        for (target, part) in [
            (folder.path().to_owned(), "directory"),
            (folder.path().join("missing/a.bin"), "missing"),
            (PathBuf::from("/dev/null"), "not a regular file"),
        ] {
            let message = AtomicFile::create(&target).err().unwrap().to_string();
            assert!(message.contains(part) && message.contains(&*target.to_string_lossy()), "{message}");
        }
    }
}
