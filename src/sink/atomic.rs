//! Files that appear whole or not at all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempPath};

use super::{Target, live};
use crate::{Error, Result};

/// Bytes of the target's name in that of the temporary file: with what stands around them no more than a name may have.
const PREFIX_BYTES: usize = 200;

/// What tells temporary files from others, before and behind the letters that tell them from each other.
const MARK: &str = ".windrow-";
pub(super) const ENDING: &str = ".tmp";
pub(super) const LETTERS: usize = 6;

/// How often a new temporary file is tried: another process may take it for one of a dead run before it is locked.
const TRIES: usize = 16;

/// Links followed before they are taken for a circle, as Linux does it.
const MOST_LINKS: usize = 40;

/// A file that is written beside its target and takes its name when it is [committed](Self::commit). Dropped before,
/// it is removed, and the target keeps what it had.
pub(crate) struct AtomicFile {
    file: BufWriter<File>,
    temp: Temp,
    target: PathBuf,
    /// The target as the user named it, for messages.
    name: PathBuf,
    /// The first write that failed: a writer that flushes when it is dropped has nobody to tell.
    failed: Option<io::Error>,
}

impl AtomicFile {
    pub(crate) fn create(name: &Path) -> Result<Self> {
        Self::beside(name, true)
    }

    /// The same, where others may be writing the same bytes: the last one's stay.
    #[cfg(feature = "parquet")]
    pub(crate) fn create_among_others(name: &Path) -> Result<Self> {
        Self::beside(name, false)
    }

    fn beside(name: &Path, alone: bool) -> Result<Self> {
        let fail = |error| Error::io(name, "create", error);
        let target = follow(name).map_err(fail)?;
        let old = check(name, &target).map_err(fail)?;
        let prefix = prefix(&target);
        let (file, temp) = claim(&target, &prefix, old.as_ref()).map_err(fail)?;
        let others = remove_dead(folder_of(&target), &prefix, &temp);
        if alone && others {
            let message = "another export is writing it: wait for its end, or choose another target";
            return Err(fail(io::Error::new(io::ErrorKind::ResourceBusy, message)));
        }
        if let Some(old) = old {
            // What the umask took away.
            file.set_permissions(old.permissions()).map_err(fail)?;
        }
        Ok(Self { file: BufWriter::with_capacity(1 << 20, file), temp, target, name: name.to_owned(), failed: None })
    }

    /// Keeps what an error says.
    fn remember<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            let copy = || error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
            self.failed.get_or_insert_with(copy);
        }
        result
    }
}

impl AtomicFile {
    /// Syncs the file, gives it its name, and syncs its folder.
    pub(crate) fn commit(self) -> Result<u64> {
        let Self { file, temp, target, name, failed } = self;
        let fail = |error| Error::io(&name, "write", error);
        if let Some(error) = failed {
            return Err(fail(error));
        }
        let file = file.into_inner().map_err(|error| fail(error.into_error()))?;
        file.sync_all().map_err(fail)?;
        let bytes = file.metadata().map_err(fail)?.len();
        temp.persist(&target).map_err(|error| Error::io(&name, "rename", error))?;
        #[cfg(unix)]
        File::open(folder_of(&target)).and_then(|folder| folder.sync_all()).map_err(fail)?;
        Ok(bytes)
    }
}

impl Target for AtomicFile {
    fn commit(self: Box<Self>) -> Result<u64> {
        AtomicFile::commit(*self)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.file.write(bytes);
        self.remember(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.file.flush();
        self.remember(result)
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let result = self.file.seek(to);
        self.remember(result)
    }
}

/// The name of the temporary file; removes it when dropped.
struct Temp(Option<TempPath>);

impl Temp {
    fn persist(mut self, target: &Path) -> io::Result<()> {
        let Some(path) = self.0.take() else { return Ok(()) };
        let name = path.to_path_buf();
        live::renamed(&name, || path.persist(target).map_err(|error| error.error))
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            let name = path.to_path_buf();
            drop(path);
            live::removed(&name);
        }
    }
}

/// Whether the file of this name is still this one.
pub(crate) fn is_at(path: &Path, file: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let is = |meta: fs::Metadata| (meta.dev(), meta.ino());
        fs::symlink_metadata(path).ok().map(is) == file.metadata().ok().map(is)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

/// What a name stands for. A link stays a link: what it points to is replaced, or made if it is not there.
pub(super) fn follow(name: &Path) -> io::Result<PathBuf> {
    let mut target = name.to_owned();
    for _ in 0..MOST_LINKS {
        if !target.is_symlink() {
            return Ok(target);
        }
        let next = fs::read_link(&target)?;
        // Relative links start at their own folder.
        target = folder_of(&target).join(next);
    }
    Err(io::Error::other("a circle of symbolic links"))
}

/// Refuses a target that can't be one, and gives what it is if it is there.
fn check(name: &Path, target: &Path) -> io::Result<Option<fs::Metadata>> {
    let error = |kind, message: String| Err(io::Error::new(kind, message));
    if name.as_os_str().as_encoded_bytes().last().is_some_and(|&last| std::path::is_separator(last.into())) {
        return error(
            io::ErrorKind::IsADirectory,
            "its name ends as that of a folder, expected a file name".to_owned(),
        );
    }
    let old = match fs::metadata(target) {
        Ok(meta) => Some(meta),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => None,
        Err(error) => return Err(error),
    };
    match &old {
        Some(meta) if meta.is_dir() => {
            return error(io::ErrorKind::IsADirectory, "it is a directory, expected a file name".to_owned());
        }
        Some(meta) if !meta.is_file() => {
            return error(io::ErrorKind::Other, "it is not a regular file, and a rename would replace it".to_owned());
        }
        _ => {}
    }
    if target.file_name().is_none() {
        return error(io::ErrorKind::InvalidInput, "expected a file name".to_owned());
    }
    let folder = folder_of(target);
    if !folder.is_dir() {
        return error(io::ErrorKind::NotFound, format!("no folder {}", folder.display()));
    }
    Ok(old)
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// What the names of temporary files of `target` begin with.
pub(super) fn prefix(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    if name.len() <= PREFIX_BYTES {
        return format!(".{name}{MARK}");
    }
    let end = (0..=PREFIX_BYTES - 17).rev().find(|&end| name.is_char_boundary(end)).unwrap_or_default();
    // FNV-1a: names that begin alike are not the same.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!(".{}~{hash:016x}{MARK}", &name[..end])
}

/// Makes a temporary file and locks it, which says to others that its process lives.
fn claim(target: &Path, prefix: &str, old: Option<&fs::Metadata>) -> io::Result<(File, Temp)> {
    let mut builder = Builder::new();
    builder.prefix(prefix).suffix(ENDING).rand_bytes(LETTERS);
    for _ in 0..TRIES {
        // The file is made by us and not by the builder, whose errors name the temporary file.
        let create = || builder.make_in(folder_of(target), |path| open(path, old));
        let (file, path) = live::created(create, |temp| temp.path())?.into_parts();
        let temp = Temp(Some(path));
        match file.try_lock() {
            // Where there are no locks, a second export can't be told.
            Ok(()) | Err(TryLockError::Error(_)) if temp.0.as_ref().is_some_and(|path| is_at(path, &file)) => {
                return Ok((file, temp));
            }
            _ => {}
        }
    }
    Err(io::Error::other("its temporary file is removed again and again"))
}

/// Removes what dead runs left of the target's temporary files, and says whether one is locked: it belongs to a process
/// that lives.
fn remove_dead(folder: &Path, prefix: &str, own: &Temp) -> bool {
    // A folder that can be written but not listed has nothing to show.
    let Ok(entries) = fs::read_dir(folder) else { return false };
    let mut others = false;
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let letters = name.strip_prefix(prefix).and_then(|name| name.strip_suffix(ENDING));
        let ours = letters.is_some_and(|l| l.len() == LETTERS && l.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let regular = || fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file());
        if !ours || own.0.as_ref().is_some_and(|own| own.file_name() == path.file_name()) || !regular() {
            continue;
        }
        // Someone else's that can't be opened is left alone.
        let Ok(file) = OpenOptions::new().write(true).open(&path) else { continue };
        match file.try_lock() {
            Ok(()) => {
                let _ = fs::remove_file(&path);
            }
            Err(TryLockError::WouldBlock) => others = true,
            Err(TryLockError::Error(_)) => {}
        }
    }
    others
}

/// Makes a new file as any program does, so that the umask takes away what the user doesn't want; in the place of an
/// old one it is never open to more than that was.
fn open(path: &Path, old: Option<&fs::Metadata>) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if let Some(old) = old {
        use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
        options.mode(old.mode() & 0o777);
    }
    #[cfg(not(unix))]
    let _ = old;
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(target: &Path) -> Result<Box<AtomicFile>> {
        AtomicFile::create(target).map(Box::new)
    }

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
        let mut file = create(&target).unwrap();
        file.write_all(b"new content").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names(folder.path()).len(), 2);
        assert_eq!(file.commit().unwrap(), 11);
        assert_eq!(fs::read(&target).unwrap(), b"new content");

        let mut file = create(&target).unwrap();
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
        let mut file = create(&link).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"new");
        let usual = folder.path().join("usual");
        fs::write(&usual, "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&real), mode(&usual));

        for bits in [0o600, 0o640, 0o666] {
            fs::set_permissions(&real, fs::Permissions::from_mode(bits)).unwrap();
            create(&real).unwrap().commit().unwrap();
            assert_eq!(mode(&real), bits);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_link_to_nothing_is_what_it_points_to_and_a_circle_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (link, round) = (folder.path().join("link"), folder.path().join("round"));
        std::os::unix::fs::symlink("new", &link).unwrap();
        create(&link).unwrap().commit().unwrap();
        assert!(link.is_symlink() && folder.path().join("new").is_file());
        std::os::unix::fs::symlink("round", &round).unwrap();
        assert!(create(&round).err().unwrap().to_string().contains("circle"));
    }

    #[test]
    fn a_second_export_is_refused_while_the_first_lives() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.bin");
        let mut first = create(&target).unwrap();
        let message = create(&target).err().unwrap().to_string();
        assert!(message.contains("another export is writing it") && message.contains("a.bin"), "{message}");
        // Another target is another matter, even one whose name begins alike.
        create(&folder.path().join("a.bin2")).unwrap().commit().unwrap();
        first.write_all(b"first").unwrap();
        first.commit().unwrap();
        create(&target).unwrap().commit().unwrap();
        assert_eq!(names(folder.path()), ["a.bin", "a.bin2"]);
    }

    #[test]
    fn what_a_dead_run_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(".a.bin.windrow-Ab12Cd.tmp");
        let others = [".a.bin.windrow-Ab12C.tmp", ".a.bin.windrow-Ab12C-.tmp", ".b.bin.windrow-Ab12Cd.tmp"];
        for name in others {
            fs::write(folder.path().join(name), "not ours").unwrap();
        }
        fs::write(&left, "half").unwrap();
        create(&folder.path().join("a.bin")).unwrap().commit().unwrap();
        assert!(!left.exists());
        assert!(others.iter().all(|name| folder.path().join(name).exists()));
    }

    #[test]
    fn long_names_are_as_good() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a".repeat(255), "ä".repeat(127)] {
            create(&folder.path().join(&name)).unwrap().commit().unwrap();
            assert!(names(folder.path()).contains(&name));
        }
    }

    #[test]
    fn bad_targets_are_errors_that_name_them() {
        let folder = tempfile::tempdir().unwrap();
        for (target, part) in [
            (folder.path().to_owned(), "directory"),
            (folder.path().join("missing/a.bin"), "no folder"),
            (folder.path().join("a.bin/"), "ends as that of a folder"),
            (PathBuf::from("/dev/null"), "not a regular file"),
        ] {
            let message = create(&target).err().unwrap().to_string();
            assert!(message.contains(part) && message.contains(&*target.to_string_lossy()), "{message}");
        }
    }
}
