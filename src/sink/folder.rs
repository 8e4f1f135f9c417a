//! A table in several Parquet files in a folder, with a manifest that says what each holds: it can be continued after
//! anything that ended it, and checked later.
//!
//! What a file holds follows from the scan and its rows alone, byte for byte, so that a file that is missing or broken
//! is simply made again.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrow_array::RecordBatchReader;
use serde::{Deserialize, Serialize};

use super::atomic::is_at;
use super::digest::Digest;
use super::parquet::{self, ParquetOptions};
use super::{Written, live};
use crate::{AnySource, Error, PatchReader, PatchScan, Result, TableInfo};

/// The manifest's name: readers of a folder of Parquet files skip names that begin with an underscore.
pub const MANIFEST: &str = "_metadata.json";

/// The file whose lock says that an export runs.
const LOCK: &str = ".windrow.lock";

/// How a table is cut into files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// So many files, of about as many rows each.
    Files(u64),
    /// Files of about so many bytes of dense rows, before encoding and compression. Default: 4 GiB.
    Bytes(u64),
}

impl Default for Cut {
    fn default() -> Self {
        Cut::Bytes(4 << 30)
    }
}

/// How a folder is written.
#[derive(Clone, Debug, Default)]
pub struct FolderOptions {
    /// How each file is written.
    pub parquet: ParquetOptions,
    /// How the table is cut.
    pub cut: Cut,
    /// Continue what is there: whole files are kept, the others made.
    pub resume: bool,
}

/// What a folder holds: the content of `_metadata.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// How the table was made, and its rows.
    pub table: TableInfo,
    /// The columns, in order.
    pub columns: Vec<String>,
    /// The codec of every page.
    pub compression: String,
    /// Bytes of a page and of a row group, before compression.
    pub page_bytes: usize,
    /// Bytes of a row group, before compression.
    pub row_group_bytes: usize,
    /// The files, in the order of their rows.
    pub files: Vec<ManifestFile>,
}

/// A file of a folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its name.
    pub name: String,
    /// Its windows, by id: first, and one past the last.
    pub rows: (u64, u64),
    /// Its size and checksum, if it is known to be written.
    pub written: Option<Digest>,
}

impl Manifest {
    /// Reads the manifest of a folder.
    ///
    /// # Errors
    /// If there is none, or it is broken.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self> {
        let path = folder.as_ref().join(MANIFEST);
        let text = fs::read_to_string(&path).map_err(|error| Error::io(&path, "read", error))?;
        serde_json::from_str(&text).map_err(|error| Error::format(path.display().to_string(), error.to_string()))
    }

    /// What is to be written: no file is yet.
    fn plan(scan: &PatchScan, options: &FolderOptions) -> Result<Self> {
        let schema = scan.schema();
        let table = TableInfo::from_schema(&schema)?;
        let table = table.ok_or_else(|| Error::format("schema metadata", "the scan does not say how it was made"))?;
        let ranges = cut(scan, options.cut)?;
        let digits = (ranges.len() - 1).to_string().len().max(5);
        let file = |(i, rows): (usize, Range<u64>)| ManifestFile {
            name: format!("part-{i:0digits$}.parquet"),
            rows: (rows.start, rows.end),
            written: None,
        };
        Ok(Self {
            table,
            columns: schema.fields().iter().map(|field| field.name().clone()).collect(),
            compression: options.parquet.compression.to_string(),
            page_bytes: options.parquet.page_bytes,
            row_group_bytes: options.parquet.row_group_bytes,
            files: ranges.into_iter().enumerate().map(file).collect(),
        })
    }

    /// What of another manifest is not as in this one: its name, what it is here and there.
    fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let (a, b) = (&self.table, &other.table);
        let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
        let all = [
            ("version of windrow", a.version.clone(), b.version.clone()),
            ("image", a.source.name.clone(), b.source.name.clone()),
            ("shape", text(&a.source.shape), text(&b.source.shape)),
            ("image's dtype", a.source.dtype.to_string(), b.source.dtype.to_string()),
            ("windows", text(&a.window), text(&b.window)),
            ("dtype", a.dtype.to_string(), b.dtype.to_string()),
            ("layout", a.layout.to_string(), b.layout.to_string()),
            ("scale and offset", text(&(a.scale, a.offset)), text(&(b.scale, b.offset))),
            ("rows", text(&a.rows), text(&b.rows)),
            ("choice of rows", text(&a.selection), text(&b.selection)),
            ("nodata", text(&a.nodata.map(|v| v.to_string())), text(&b.nodata.map(|v| v.to_string()))),
            ("labels", text(&a.labels), text(&b.labels)),
            ("columns", self.columns.join(","), other.columns.join(",")),
            ("compression", self.compression.clone(), other.compression.clone()),
            ("page bytes", self.page_bytes.to_string(), other.page_bytes.to_string()),
            ("row group bytes", self.row_group_bytes.to_string(), other.row_group_bytes.to_string()),
            ("number of files", self.files.len().to_string(), other.files.len().to_string()),
            ("way to tell what is no window", text(&a.wrap), text(&b.wrap)),
        ];
        // A manifest may have been written by anyone: its names and rows count for nothing unless they are those that
        // follow from the table.
        let place = |file: &ManifestFile| (file.name.clone(), file.rows);
        let odd = self.files.iter().zip(&other.files).map(|(a, b)| (place(a), place(b))).find(|(a, b)| a != b);
        let odd = odd.map(|(a, b)| ("file", text(&a), text(&b)));
        all.into_iter().chain(odd).find(|(_, a, b)| a != b)
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(MANIFEST);
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::format(path.display().to_string(), format!("can't be written: {error}")))?;
        super::write_whole(&path, text.as_bytes())
    }

    fn written(&self) -> Written {
        let rows = self.files.iter().map(|file| file.rows.1 - file.rows.0).sum();
        let bytes = self.files.iter().filter_map(|file| file.written).map(|digest| digest.bytes).sum();
        Written { rows, bytes }
    }
}

/// The most files: a manifest lists them all.
const MOST_FILES: u64 = 100_000;

/// The rows of each file.
fn cut(scan: &PatchScan, cut: Cut) -> Result<Vec<Range<u64>>> {
    let (rows, first) = (scan.num_rows(), scan.rows().start);
    let files = match cut {
        Cut::Files(0) => return Err(Error::argument("files", "0: expected at least 1")),
        Cut::Files(files) => files,
        Cut::Bytes(0) => return Err(Error::argument("file_bytes", "0: expected at least 1")),
        Cut::Bytes(bytes) => rows.div_ceil((bytes / scan.explain().row_bytes.max(1)).max(1)).max(1),
    };
    if files > MOST_FILES {
        return Err(Error::too_large("the number of files", files.to_string(), MOST_FILES.to_string()));
    }
    let at = |i: u64| first + (u128::from(rows) * u128::from(i) / u128::from(files)) as u64;
    Ok((0..files).map(|i| at(i)..at(i + 1)).collect())
}

/// How often the manifest is written on the way: what it doesn't know yet is made again, which costs at most this.
const MANIFEST_EVERY: Duration = Duration::from_secs(1);

/// Writes all rows of `scan` into Parquet files in `folder`, and says in `_metadata.json` what each holds. Each reader
/// passes through `watch`, which may stop it or show how far it is.
///
/// # Memory
/// As [`parquet::write`](fn@parquet::write), and the manifest.
///
/// # Errors
/// If the folder holds a table already and `resume` is not set, or another table than this one; if another export is
/// writing into it; and as [`parquet::write`](fn@parquet::write). What was written before an error stays, and `resume`
/// continues it.
pub fn write<R: RecordBatchReader>(
    scan: &PatchScan,
    folder: impl AsRef<Path>,
    options: &FolderOptions,
    mut watch: impl FnMut(PatchReader) -> R,
) -> Result<Written> {
    let folder = folder.as_ref();
    super::refuse_columns(&scan.schema(), options.parquet.store_columns)?;
    let mut manifest = Manifest::plan(scan, options)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Error::io(folder, "create", error)),
        _ => {}
    }
    let _lock = Lock::new(folder)?;
    if let Some(old) = old(folder, options.resume)? {
        if let Some((what, here, there)) = manifest.difference(&old) {
            let message = format!("{} holds another table: its {what} is {there}, not {here}", folder.display());
            return Err(Error::argument("resume", message));
        }
        manifest.files = old.files;
    }
    let mut said: Option<Instant> = None;
    for i in 0..manifest.files.len() {
        let file = &manifest.files[i];
        let path = folder.join(&file.name);
        if file.written.is_some() && Digest::of(&path)? == file.written {
            continue;
        }
        let part = scan.with_rows(file.rows.0..file.rows.1)?;
        live::more();
        let reader = watch(part.reader()?);
        manifest.files[i].written = Some(parquet::write_digest(reader, &path, &options.parquet)?);
        if said.is_none_or(|said| said.elapsed() > MANIFEST_EVERY) {
            manifest.write(folder)?;
            said = Some(Instant::now());
        }
    }
    manifest.write(folder)?;
    Ok(manifest.written())
}

/// The manifest that is there, if the table is to be continued.
fn old(folder: &Path, resume: bool) -> Result<Option<Manifest>> {
    let exists = |message: &str| {
        let error = io::Error::new(io::ErrorKind::AlreadyExists, message);
        Err(Error::io(folder, "write into", error))
    };
    if folder.join(MANIFEST).exists() {
        if !resume {
            return exists("it holds a table already; --resume continues one, another folder takes a new one");
        }
        return Manifest::read(folder).map(Some);
    }
    let entries = fs::read_dir(folder).map_err(|error| Error::io(folder, "read", error))?;
    let is_part = |name: &str| name.starts_with("part-") && name.ends_with(".parquet");
    // A first file that was written just before the process was killed is as good as none.
    if !resume && entries.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_part)) {
        return exists("it holds part-….parquet files, and no _metadata.json that says what they are");
    }
    Ok(None)
}

/// Checks the files of a folder against its manifest, and makes some of them again from the image, or all. Gives how
/// many were made again.
///
/// # Errors
/// If the image is not the one that the table was made from, or a file is not what it was or what it ought to be.
pub fn verify<R: RecordBatchReader>(
    source: impl Into<AnySource>,
    folder: impl AsRef<Path>,
    all: bool,
    mut watch: impl FnMut(PatchReader) -> R,
) -> Result<usize> {
    let folder = folder.as_ref();
    let manifest = Manifest::read(folder)?;
    let table = &manifest.table;
    let (source, there) = (source.into(), (&table.source.shape, table.source.dtype));
    let here = (&source.info().shape, source.info().dtype);
    if here != there {
        return Err(other_image(folder, "shape and dtype", &format!("{here:?}"), &format!("{there:?}")));
    }
    let scan = PatchScan::again(source, table, &manifest.columns)?;
    let parquet = ParquetOptions {
        compression: manifest.compression.parse()?,
        page_bytes: manifest.page_bytes,
        row_group_bytes: manifest.row_group_bytes,
        store_columns: true,
    };
    let cut = Cut::Files((manifest.files.len() as u64).max(1));
    let mut again = Manifest::plan(&scan, &FolderOptions { parquet: parquet.clone(), cut, resume: false })?;
    // An image that has moved is the same; the files say what it was called.
    again.table.source.name.clone_from(&table.source.name);
    if let Some((what, here, there)) = again.difference(&manifest) {
        return Err(other_image(folder, what, &here, &there));
    }
    let broken = |file: &ManifestFile, message: &str| {
        Err(Error::format(folder.join(&file.name).display().to_string(), message.to_owned()))
    };
    let last = manifest.files.len().saturating_sub(1);
    let mut made = 0;
    for (i, file) in manifest.files.iter().enumerate() {
        if file.written.is_none() {
            return broken(file, "was never written: export --resume continues the table");
        }
        if Digest::of(&folder.join(&file.name))? != file.written {
            return broken(file, "is not as it was written: export --resume makes it again");
        }
        if all || i == 0 || i == last / 2 || i == last {
            let part = scan.with_rows(file.rows.0..file.rows.1)?.named(&table.source.name)?;
            if Some(parquet::digest(watch(part.reader()?), &parquet)?) != file.written {
                return broken(file, "does not hold the windows of the image");
            }
            made += 1;
        }
    }
    Ok(made)
}

fn other_image(folder: &Path, what: &str, here: &str, there: &str) -> Error {
    let message = format!("{} was made from another one: its {what} was {there}, not {here}", folder.display());
    Error::argument("image", message)
}

/// Held while an export writes into a folder.
struct Lock(PathBuf, #[expect(dead_code, reason = "the lock ends when the file is closed")] File);

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
