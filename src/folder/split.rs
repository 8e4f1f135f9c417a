//! Several processes write one folder, a file each.

use std::collections::HashSet;
use std::path::Path;

use arrow_array::RecordBatchReader;
use serde::{Deserialize, Serialize};

use super::manifest::{read_json, write_json};
use super::place::{self, Create, Place};
use super::write::{difference, digest};
use super::{Cut, FolderOptions, Manifest};
use crate::sink::{Written, live, parquet};
use crate::{Error, PatchReader, PatchScan, Result};

/// What a split says of itself, in a file of its own that readers of Parquet skip: no two write into the same one.
#[derive(Serialize, Deserialize)]
struct Record {
    /// Which split it is, from 0, and of how many.
    split: (u64, u64),
    /// The table, and of its files this one alone.
    manifest: Manifest,
}

/// The name of a split's record, by that of its file.
fn record_of(file: &str) -> String {
    format!("_{}.json", file.strip_suffix(".parquet").unwrap_or(file))
}

/// Whether a file of this name is the record of a split.
pub(super) fn is_record(name: &str) -> bool {
    name.starts_with("_part-") && name.ends_with(".json")
}

/// Writes one file of a folder, of those that [`write`](super::write()) would write, byte for byte: number `index`, from
/// 0. Any number of processes may write other files at the same time, and the same one: who comes again, or later,
/// writes the same bytes under the same name. [`verify`](super::verify()) finds whether all are there, and makes the
/// manifest.
///
/// ```no_run
/// use windrow::folder::{self, Cut, FolderOptions};
/// use windrow::{AnySource, PatchScan, WindowSpec};
///
/// let scan = PatchScan::new(AnySource::open("scene.tif", None)?, WindowSpec::new([64, 64]))?;
/// let options = FolderOptions { cut: Cut::Files(16), ..FolderOptions::default() };
/// folder::write_split(&scan, "tiles", 3, &options, |reader| reader)?;
/// # Ok::<(), windrow::Error>(())
/// ```
///
/// # Memory
/// As [`parquet::write`](fn@parquet::write).
///
/// # Errors
/// If there is no such file; if the folder holds another table, or files that nobody knows; and as
/// [`parquet::write`](fn@parquet::write).
pub fn write_split<R: RecordBatchReader>(
    scan: &PatchScan,
    folder: impl AsRef<Path>,
    index: u64,
    options: &FolderOptions,
    watch: impl FnOnce(PatchReader) -> R,
) -> Result<Written> {
    let folder = folder.as_ref();
    parquet::refuse(&scan.schema(), &options.parquet)?;
    if options.cut == Cut::Files(0) {
        return Err(Error::argument("split", "0 splits: expected at least 1"));
    }
    let mut manifest = Manifest::plan(scan, None, options)?;
    let of = manifest.files.len() as u64;
    let Some(file) = usize::try_from(index).ok().and_then(|index| manifest.files.get(index)).cloned() else {
        let message = format!("{index} of {of}: expected a number from 0, less than that of the splits");
        return Err(Error::argument("split", message));
    };
    let place = &*place::of(folder)?;
    place.share()?;
    if let Some(whole) = Manifest::find(place)? {
        return done(place, folder, &whole, &manifest, index as usize);
    }
    manifest.files = vec![file.clone()];
    let mut record = Record { split: (index, of), manifest };
    let known = check_others(place, folder, &record)?;
    if !known && place.read(&file.name)?.is_some() {
        let message = format!("there is a {} already, and nothing says what it is", file.name);
        return Err(Error::io(folder, "write into", std::io::Error::new(std::io::ErrorKind::AlreadyExists, message)));
    }
    // First of all: no file is there that nobody knows.
    let name = record_of(&file.name);
    if !known {
        write_json(&record, place, &name, Create::Shared)?;
    }
    let part = scan.with_rows(file.rows.0..file.rows.1)?;
    let path = place.name(&file.name);
    live::more();
    let (reader, target) = (watch(part.reader()?), place.create(&file.name, Create::Shared)?);
    record.manifest.files[0].written = Some(parquet::write_digest(reader, target, &path, &options.parquet)?);
    write_json(&record, place, &name, Create::Shared)?;
    Ok(record.manifest.written())
}

/// The folder has its manifest already: all splits were there.
fn done(place: &dyn Place, folder: &Path, whole: &Manifest, here: &Manifest, index: usize) -> Result<Written> {
    if let Some((what, here, there)) = difference(here, whole) {
        return Err(other_table(folder, what, &here, &there));
    }
    let file = &whole.files[index];
    if file.written.is_none() || digest(place, &file.name)? != file.written {
        let message = format!("{} is not as its manifest says: export --resume makes it again", file.name);
        return Err(Error::format(folder.display().to_string(), message));
    }
    Ok(Written { rows: file.rows.1 - file.rows.0, bytes: file.written.map_or(0, |digest| digest.bytes) })
}

/// Refuses to go between the splits of another table, and says whether this one was begun before.
fn check_others(place: &dyn Place, folder: &Path, own: &Record) -> Result<bool> {
    let names = place.list()?;
    let own_name = record_of(&own.manifest.files[0].name);
    let other = names.iter().filter(|name| is_record(name)).min();
    for name in other.into_iter().chain(names.iter().find(|name| **name == own_name)) {
        // One that was there may be gone by now.
        let Some(record) = read_json::<Record>(place, name)? else { continue };
        if let Some((what, here, there)) = own.other(&record) {
            return Err(other_table(folder, what, &here, &there));
        }
    }
    Ok(names.contains(&own_name))
}

impl Record {
    /// What of another split's table is not as in this one's.
    fn other(&self, record: &Record) -> Option<(&'static str, String, String)> {
        if self.split.1 != record.split.1 {
            return Some(("number of splits", self.split.1.to_string(), record.split.1.to_string()));
        }
        let table = |manifest: &Manifest| Manifest { files: Vec::new(), ..manifest.clone() };
        let (a, b) = (table(&self.manifest), table(&record.manifest));
        // The files say both, and no checksum of the image tells that it was moved.
        let said = [
            ("version of windrow", a.table.version.clone(), b.table.version.clone()),
            ("image", a.table.source.name.clone(), b.table.source.name.clone()),
            ("way to open the image", format!("{:?}", a.table.source.opened), format!("{:?}", b.table.source.opened)),
        ];
        said.into_iter().find(|(_, a, b)| a != b).or_else(|| a.difference(&b))
    }
}

fn other_table(folder: &Path, what: &str, here: &str, there: &str) -> Error {
    let message = format!("{} holds another table: its {what} is {there}, not {here}", folder.display());
    Error::argument("split", message)
}

/// The manifest of a folder that splits have filled; `None` if none has.
pub(super) fn joined(place: &dyn Place) -> Result<Option<Manifest>> {
    let mut names: Vec<_> = place.list()?.into_iter().filter(|name| is_record(name)).collect();
    names.sort();
    let folder = || place.name("").display().to_string();
    let mut first: Option<Record> = None;
    let mut files = Vec::with_capacity(names.len());
    for name in &names {
        let Some(record) = read_json::<Record>(place, name)? else { continue };
        if let Some(first) = &first
            && let Some((what, here, there)) = record.other(first)
        {
            let message = format!("{name} is of another table than {}: its {what} is {here}, not {there}", names[0]);
            return Err(Error::format(folder(), message));
        }
        let file = record
            .manifest
            .files
            .first()
            .filter(|file| record_of(&file.name) == *name && record.manifest.files.len() == 1);
        let file = file.cloned().ok_or_else(|| Error::format(folder(), format!("{name} tells of another file")))?;
        files.push((record.split.0, file));
        first.get_or_insert(record);
    }
    let Some(Record { split: (_, of), manifest }) = first else { return Ok(None) };
    files.sort_by_key(|(index, _)| *index);
    let there: HashSet<_> = files.iter().filter(|(_, file)| file.written.is_some()).map(|(index, _)| *index).collect();
    let lacking: Vec<_> = (0..of).filter(|index| !there.contains(index)).map(|index| index.to_string()).collect();
    if !lacking.is_empty() || files.len() as u64 != of {
        let (shown, more) = if lacking.len() > 8 { (&lacking[..8], ", …") } else { (&lacking[..], "") };
        let message = format!(
            "{} of its {of} splits are not there: export --split I/{of} makes them, I = {}{more}",
            lacking.len(),
            shown.join(", ")
        );
        return Err(Error::format(folder(), message));
    }
    Ok(Some(Manifest { files: files.into_iter().map(|(_, file)| file).collect(), ..manifest }))
}

/// Gives a folder its manifest, in the place of what its splits said.
pub(super) fn join(place: &dyn Place, manifest: Manifest) -> Result<()> {
    manifest.write(place, true)?;
    manifest.files.iter().try_for_each(|file| place.remove(&record_of(&file.name)))
}
