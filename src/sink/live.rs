//! The temporary files that this process is writing, so that it can leave none behind when it has to end at once.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static LIVE: Mutex<Live> = Mutex::new(Live { paths: Vec::new(), renamed: false });

struct Live {
    paths: Vec<PathBuf>,
    /// Whether any file has got its name.
    renamed: bool,
}

/// A list of paths is whole at every moment, so a panic elsewhere takes nothing from it.
fn live() -> MutexGuard<'static, Live> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a temporary file by `create`; from then on [`abandon`] removes it.
pub(super) fn created<T>(create: impl FnOnce() -> io::Result<T>, path: impl Fn(&T) -> &Path) -> io::Result<T> {
    // Locked over both, so that no file appears between a look at the list and the end of the process.
    let mut live = live();
    let file = create()?;
    live.paths.push(path(&file).to_owned());
    Ok(file)
}

/// Gives a temporary file its name by `rename`, which removes it if it fails.
pub(super) fn renamed(path: &Path, rename: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let mut live = live();
    let done = rename();
    live.paths.retain(|other| other != path);
    live.renamed |= done.is_ok();
    done
}

/// A temporary file is gone.
pub(super) fn removed(path: &Path) {
    live().paths.retain(|other| other != path);
}

/// More files follow: that some have their names already no longer means that all is done.
#[cfg(feature = "parquet")]
pub(crate) fn more() {
    live().renamed = false;
}

/// Removes all temporary files and lets no other be made or named: what follows is the end of the process. False if a
/// file has its name already; then nothing is done, as there is something written.
#[cfg(feature = "cli")]
pub(crate) fn abandon() -> bool {
    let live = live();
    if live.renamed {
        return false;
    }
    for path in &live.paths {
        let removed = std::fs::remove_file(path);
        if removed.is_err() && path.is_dir() {
            let _ = std::fs::remove_dir_all(path);
        }
    }
    // Never unlocked again.
    std::mem::forget(live);
    true
}
