//! Writes a table into a folder.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use arrow_array::RecordBatchReader;

use super::place::{self, Create, Place};
use super::{FolderOptions, MANIFEST, Manifest, split};
use crate::sink::{Written, live, parquet};
use crate::{Digest, Error, PatchReader, PatchScan, Result};

/// How often the manifest is written on the way: what it doesn't know yet is made again, which costs at most this.
const MANIFEST_EVERY: Duration = Duration::from_secs(1);

/// Writes all rows of `scan` into Parquet files in `folder`, and says in `_metadata.json` what each holds. Each reader
/// passes through `watch`, which may stop it or show how far it is.
///
/// The image is read once more, for its checksum: `resume` refuses one that has changed. One that was moved keeps the
/// name in the table that it had.
///
/// # Memory
/// As [`parquet::write`](fn@parquet::write), and the manifest.
///
/// # Errors
/// If the folder holds a table already and `resume` is not set, or another table than this one, or one of another image;
/// if another export is writing into it; and as [`parquet::write`](fn@parquet::write). What was written before an error
/// stays, and `resume` continues it.
pub fn write<R: RecordBatchReader>(
    scan: &PatchScan,
    folder: impl AsRef<Path>,
    options: &FolderOptions,
    mut watch: impl FnMut(PatchReader) -> R,
) -> Result<Written> {
    let folder = folder.as_ref();
    parquet::refuse(&scan.schema(), &options.parquet)?;
    // What can't be cut is refused before the image is read.
    super::manifest::cut(scan, options.cut)?;
    let place = &*place::of(folder)?;
    let _lock = place.lock()?;
    let old = old(place, folder, options.resume)?;
    let (image, new) = (Some(scan.source().identity()?), old.is_none());
    let options = &mut options.clone();
    let (scan, manifest) = match old {
        None => (scan.clone(), Manifest::plan(scan, image, options)?),
        Some(old) => {
            let scan = scan.made_as(&old.table)?;
            // Where nobody chose, what is there has chosen.
            if old.page_bytes == parquet::PAGE_BYTES.0 {
                options.parquet.page_bytes.get_or_insert(old.page_bytes);
            }
            let mut manifest = Manifest::plan(&scan, image, options)?;
            if let Some((what, here, there)) = difference(&manifest, &old) {
                let message = format!("{} holds another table: its {what} is {there}, not {here}", folder.display());
                return Err(Error::argument("resume", message));
            }
            manifest.files = old.files;
            (scan, manifest)
        }
    };
    fill(&scan, place, manifest, new, options, &mut watch)
}

/// Why a table can't be continued as another one.
pub(super) fn difference(here: &Manifest, old: &Manifest) -> Option<(&'static str, String, String)> {
    // Other versions may write other bytes.
    let (a, b) = (env!("CARGO_PKG_VERSION"), &old.table.version);
    let version = (a != b).then(|| ("version of windrow", a.to_owned(), b.clone()));
    let image = || {
        let (a, b) = here.image.zip(old.image)?;
        let text = |page: Option<usize>| page.unwrap_or(0).to_string();
        match a.page == b.page {
            false => Some(("page of the image", text(a.page), text(b.page))),
            true => (a != b).then(|| ("image", a.digest.to_string(), b.digest.to_string())),
        }
    };
    version.or_else(|| here.difference(old)).or_else(image)
}

/// Writes the files that are missing or broken.
fn fill<R: RecordBatchReader>(
    scan: &PatchScan,
    place: &dyn Place,
    mut manifest: Manifest,
    new: bool,
    options: &FolderOptions,
    watch: &mut impl FnMut(PatchReader) -> R,
) -> Result<Written> {
    // First of all: no file is there that nobody knows.
    manifest.write(place, new)?;
    let mut said = Instant::now();
    for i in 0..manifest.files.len() {
        let file = &manifest.files[i];
        if file.written.is_some() && digest(place, &file.name)? == file.written {
            continue;
        }
        let part = scan.with_rows(file.rows.0..file.rows.1)?;
        let path = place.name(&file.name);
        live::more();
        let (reader, target) = (watch(part.reader()?), place.create(&file.name, Create::Alone)?);
        manifest.files[i].written = Some(parquet::write_digest(reader, target, &path, &options.parquet)?);
        if said.elapsed() > MANIFEST_EVERY {
            manifest.write(place, false)?;
            said = Instant::now();
        }
    }
    manifest.write(place, false)?;
    Ok(manifest.written())
}

/// What a file is known by; `None` if it is not there.
pub(super) fn digest(place: &dyn Place, file: &str) -> Result<Option<Digest>> {
    let Some(content) = place.read(file)? else { return Ok(None) };
    Digest::of(content).map(Some).map_err(|error| Error::io(&place.name(file), "read", error))
}

/// The manifest that is there, if the table is to be continued.
fn old(place: &dyn Place, folder: &Path, resume: bool) -> Result<Option<Manifest>> {
    let exists = |message: &str| {
        let error = io::Error::new(io::ErrorKind::AlreadyExists, message);
        Err(Error::io(folder, "write into", error))
    };
    let there = place.list()?;
    if there.iter().any(|name| name == MANIFEST) {
        if !resume {
            return exists("it holds a table already; --resume continues one, another folder takes a new one");
        }
        return Manifest::find(place);
    }
    if there.iter().any(|name| split::is_record(name)) {
        return exists("splits have filled it: verify makes its manifest, another folder takes a new table");
    }
    if there.iter().any(|name| name.starts_with("part-") && name.ends_with(".parquet")) {
        return exists("it holds part-….parquet files, and no _metadata.json that says what they are");
    }
    Ok(None)
}
