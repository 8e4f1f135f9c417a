//! Folders that appear whole or not at all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::Builder;

use super::atomic::{ENDING, LETTERS, folder_of, follow, is_at, prefix};
use super::live;
use crate::{Error, Result};

/// A folder of files that is made beside its target and takes its name when it is [committed](Self::commit). Dropped
/// before, it is removed, and the target keeps what it had.
///
/// One file of it is there from the beginning, is locked as long as somebody writes, and gets what it says at the end.
pub(crate) struct AtomicFolder {
    temp: Temp,
    target: PathBuf,
    /// The target as the user named it, for messages.
    name: PathBuf,
    /// The file that is written last.
    last: File,
}

impl AtomicFolder {
    /// `last` is the name of the file that is written last; `replaceable` says whether a folder that is there may be
    /// replaced. One without a file always may.
    pub(crate) fn create(name: &Path, last: &str, replaceable: impl Fn(&Path) -> bool) -> Result<Self> {
        let fail = |error| Error::io(name, "create", error);
        // Without a separator at its end.
        let target = follow(&name.components().collect::<PathBuf>()).map_err(fail)?;
        check(&target, replaceable).map_err(fail)?;
        let prefix = prefix(&target);
        let beside = folder_of(&target);
        let others = remove_dead(beside, &prefix, last);
        if others {
            let message = "another process is writing it: wait for its end, or choose another target";
            return Err(fail(io::Error::new(io::ErrorKind::ResourceBusy, message)));
        }
        let mut builder = Builder::new();
        builder.prefix(&prefix).suffix(ENDING).rand_bytes(LETTERS);
        // The folder is made by us and not by the builder, whose folders are for their owner alone.
        let create = || builder.make_in(beside, |path| fs::create_dir(path).map(|()| path.to_owned()));
        let made = live::created(create, |made| made.as_file().as_path()).map_err(fail)?;
        let (path, kept) = made.into_parts();
        // It would be removed as a file.
        kept.keep().map_err(|error| fail(error.error))?;
        let temp = Temp(Some(path.clone()));
        let last = File::create_new(path.join(last)).map_err(fail)?;
        // Where there are no locks, a second writer can't be told.
        let _ = last.try_lock();
        Ok(Self { temp, target, name: name.to_owned(), last })
    }

    /// Writes a file of the folder, for good. Files may be written side by side.
    pub(crate) fn write(&self, file: &str, bytes: &[u8]) -> Result<()> {
        let write = || {
            let path = self.temp.path().join(file);
            fs::create_dir_all(folder_of(&path))?;
            let mut file = File::create_new(path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(|error| Error::io(&self.name, "write", error))
    }

    /// Writes the last file, and gives the folder its name.
    pub(crate) fn commit(mut self, last: &[u8]) -> Result<()> {
        let fail = |error| Error::io(&self.name, "write", error);
        self.last.write_all(last).and_then(|()| self.last.sync_all()).map_err(fail)?;
        self.temp.persist(&self.target).map_err(|error| Error::io(&self.name, "rename", error))?;
        #[cfg(unix)]
        File::open(folder_of(&self.target)).and_then(|folder| folder.sync_all()).map_err(fail)?;
        Ok(())
    }
}

/// The name of the temporary folder; removes it when dropped.
struct Temp(Option<PathBuf>);

impl Temp {
    fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// A folder does not replace another: the old one goes aside first, and comes back if the new one can't take its
    /// place.
    fn persist(&mut self, target: &Path) -> io::Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        let mut aside = path.clone().into_os_string();
        aside.push(".old");
        let aside = PathBuf::from(aside);
        live::renamed(path, || {
            if !target.exists() {
                return fs::rename(path, target);
            }
            fs::rename(target, &aside)?;
            fs::rename(path, target).inspect_err(|_| {
                let _ = fs::rename(&aside, target);
            })
        })?;
        self.0 = None;
        // What is left of it has a name that nobody looks for.
        let _ = fs::remove_dir_all(&aside);
        Ok(())
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            let _ = fs::remove_dir_all(&path);
            live::removed(&path);
        }
    }
}

/// Refuses a target that can't be one.
fn check(target: &Path, replaceable: impl Fn(&Path) -> bool) -> io::Result<()> {
    let error = |kind, message: String| Err(io::Error::new(kind, message));
    if target.file_name().is_none() {
        return error(io::ErrorKind::InvalidInput, "expected the name of a folder".to_owned());
    }
    let beside = folder_of(target);
    if !beside.is_dir() {
        return error(io::ErrorKind::NotFound, format!("no folder {}", beside.display()));
    }
    match fs::metadata(target) {
        Ok(meta) if !meta.is_dir() => error(io::ErrorKind::NotADirectory, "it is a file, expected a folder".to_owned()),
        Ok(_) if fs::read_dir(target)?.next().is_some() && !replaceable(target) => {
            error(io::ErrorKind::AlreadyExists, "there is a folder with something else in it".to_owned())
        }
        _ => Ok(()),
    }
}

/// Removes what dead runs left of the target's temporary folders, and says whether the file in one is locked: it belongs to
/// a process that lives.
fn remove_dead(beside: &Path, prefix: &str, last: &str) -> bool {
    // A folder that can be written but not listed has nothing to show.
    let Ok(entries) = fs::read_dir(beside) else { return false };
    let mut others = false;
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let letters = name.strip_prefix(prefix).and_then(|name| name.strip_suffix(ENDING));
        let ours = letters.is_some_and(|l| l.len() == LETTERS && l.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if !ours || !fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
            continue;
        }
        // One without the file may be that of a process which is about to make it.
        let file = path.join(last);
        let Ok(lock) = OpenOptions::new().write(true).open(&file) else { continue };
        match lock.try_lock() {
            Ok(()) if is_at(&file, &lock) => {
                let _ = fs::remove_dir_all(&path);
            }
            Err(TryLockError::WouldBlock) => others = true,
            _ => {}
        }
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(target: &Path) -> Result<AtomicFolder> {
        AtomicFolder::create(target, "last", |old| old.join("last").exists())
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn appears_whole_or_not_at_all() {
        let beside = tempfile::tempdir().unwrap();
        let target = beside.path().join("a.zarr");
        let folder = create(&target).unwrap();
        folder.write("c/0", b"zero").unwrap();
        assert!(!target.exists());
        assert!(create(&target).err().unwrap().to_string().contains("another process is writing it"));
        folder.commit(b"end").unwrap();
        assert_eq!(names(beside.path()), ["a.zarr"]);
        assert_eq!(
            (fs::read(target.join("c/0")).unwrap(), fs::read(target.join("last")).unwrap()),
            (b"zero".into(), b"end".into())
        );

        let folder = create(&target).unwrap();
        folder.write("c/1", b"one").unwrap();
        drop(folder);
        assert_eq!(
            (names(beside.path()), names(&target)),
            (vec!["a.zarr".to_owned()], vec!["c".to_owned(), "last".to_owned()])
        );

        let folder = create(&target).unwrap();
        folder.write("c/1", b"one").unwrap();
        folder.commit(b"new").unwrap();
        assert_eq!((names(beside.path()), names(&target.join("c"))), (vec!["a.zarr".to_owned()], vec!["1".to_owned()]));
    }

    #[test]
    fn what_is_no_target_is_left_alone() {
        let beside = tempfile::tempdir().unwrap();
        let other = beside.path().join("other");
        fs::create_dir(&other).unwrap();
        create(&other).unwrap().commit(b"").unwrap();
        fs::remove_file(other.join("last")).unwrap();
        fs::write(other.join("mine"), "mine").unwrap();
        assert!(create(&other).err().unwrap().to_string().contains("something else in it"));
        assert!(create(&other.join("mine")).err().unwrap().to_string().contains("it is a file"));
        assert!(create(&beside.path().join("none/a")).err().unwrap().to_string().contains("no folder"));
        assert_eq!(names(&other), ["mine"]);
    }

    #[test]
    fn what_a_dead_run_left_is_removed() {
        let beside = tempfile::tempdir().unwrap();
        let left = beside.path().join(".a.windrow-Ab12Cd.tmp");
        fs::create_dir_all(left.join("c")).unwrap();
        fs::write(left.join("last"), "").unwrap();
        fs::write(left.join("c/0"), "half").unwrap();
        create(&beside.path().join("a")).unwrap().commit(b"").unwrap();
        assert_eq!(names(beside.path()), ["a"]);
    }
}
