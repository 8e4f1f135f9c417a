//! Checks a folder against its manifest and its image.

use std::ops::Range;
use std::path::Path;

use arrow_array::RecordBatchReader;

use super::compare;
use super::place::{self, Place};
use super::write::digest;
use super::{Manifest, ManifestFile, split};
use crate::scan::More;
use crate::sink::parquet::{self, ParquetOptions};
use crate::{AnySource, Error, Layout, PatchReader, PatchScan, Result};

/// What of a table is made again from the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// So many rows, spread over all of them; of layout `columns` three files instead. Default: 1000.
    Rows(u64),
    /// Every row.
    All,
}

impl Default for Check {
    fn default() -> Self {
        Check::Rows(1000)
    }
}

/// What was found in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Files that are as they were written.
    pub files: usize,
    /// Rows that were made again and are the same.
    pub rows: u64,
    /// Whether the image is byte for byte the one that the table was made from. (Otherwise all rows were compared.)
    pub same_image: bool,
}

/// Checks the files of a folder against its manifest, and makes some of their rows again from the image, or all. Readers
/// pass through `watch`, which may stop them. A folder that [splits](super::write_split) have filled gets its manifest, if
/// all is well.
///
/// # Memory
/// As a reader of the scan, and a page of the files; with [`Check::All`] as [`parquet::write`](fn@parquet::write).
///
/// # Errors
/// If a file is not what it was, or a row not what the image says: the error says which. If the image is not the one that
/// the table was made from: by its shape, or by its checksum, unless all rows are compared, which then decide.
pub fn verify<R: RecordBatchReader>(
    source: impl Into<AnySource>,
    folder: impl AsRef<Path>,
    check: Check,
    mut watch: impl FnMut(PatchReader) -> R,
) -> Result<Verified> {
    let folder = folder.as_ref();
    let manifest = Manifest::read(folder)?;
    let place = &*place::of(folder)?;
    let (scan, options) = plan(source.into(), folder, &manifest)?;
    for file in &manifest.files {
        if file.written.is_none() {
            return Err(broken(place, file, "was never written: export --resume continues the table"));
        }
        if digest(place, &file.name)? != file.written {
            return Err(broken(place, file, "is not as it was written: export --resume makes it again"));
        }
    }
    let image = scan.source().identity()?;
    let same_image = manifest.image.is_none_or(|made_from| made_from == image);
    let rows = match check {
        Check::Rows(rows) if scan.layout() != Layout::Columns => sample(&scan, place, &manifest, rows),
        check => {
            let last = manifest.files.len().saturating_sub(1);
            let chosen = |i: &usize| check == Check::All || [0, last / 2, last].contains(i);
            let mut rows = 0;
            let mut again = |file: &ManifestFile| {
                rows += file.rows.1 - file.rows.0;
                whole(&scan, place, file, &options, &mut watch)
            };
            (0..manifest.files.len()).filter(chosen).try_for_each(|i| again(&manifest.files[i])).map(|()| rows)
        }
    };
    // That the image has changed explains what differs, and says more than that a few rows don't.
    let changed = || {
        let then = manifest.image.map_or(String::new(), |image| format!("{} then, ", image.digest));
        format!("it has changed since the table was made: {then}{} now", image.digest)
    };
    match rows {
        Ok(rows) if manifest.image.is_none() => {
            split::join(place, Manifest { image: Some(image), ..manifest.clone() })?;
            Ok(Verified { files: manifest.files.len(), rows, same_image })
        }
        Ok(rows) if same_image || check == Check::All => Ok(Verified { files: manifest.files.len(), rows, same_image }),
        Ok(rows) => {
            let message =
                format!("{}. Of all rows {rows} were compared and are the same; --all compares every one", changed());
            Err(Error::argument("image", message))
        }
        Err(error) if same_image || !matches!(error.kind(), crate::ErrorKind::Format { .. }) => Err(error),
        Err(error) => Err(Error::argument("image", format!("{}. {error}", changed()))),
    }
}

/// The scan that the table was made by, and how its files were written.
fn plan(source: AnySource, folder: &Path, manifest: &Manifest) -> Result<(PatchScan, ParquetOptions)> {
    let table = &manifest.table;
    let (here, there) = ((&source.info().shape, source.info().dtype), (&table.source.shape, table.source.dtype));
    if here != there {
        return Err(other_image(folder, "shape and dtype", &format!("{here:?}"), &format!("{there:?}")));
    }
    // The files say what the image was called, and which version made them.
    let scan = PatchScan::again(source, table, &manifest.columns, More::default())?.made_as(table)?;
    let parquet = ParquetOptions {
        compression: manifest.compression.parse()?,
        page_bytes: Some(manifest.page_bytes),
        row_group_bytes: manifest.row_group_bytes,
        store_columns: true,
    };
    // Where files begin follows from the strips or tiles of the image, and those of a copy may be others.
    let cuts = cuts_of(manifest, scan.rows()).map_or_else(|| scan.cuts(manifest.files.len() as u64, "files"), Ok)?;
    if let Some((what, here, there)) = Manifest::plan_of(&scan, manifest.image, &parquet, cuts)?.difference(manifest) {
        return Err(other_image(folder, what, &here, &there));
    }
    Ok((scan, parquet))
}

/// The rows of the files, if they are all rows, one after the other.
fn cuts_of(manifest: &Manifest, all: Range<u64>) -> Option<Vec<Range<u64>>> {
    let cuts: Vec<_> = manifest.files.iter().map(|file| file.rows.0..file.rows.1).collect();
    let mut next = all.start;
    for cut in &cuts {
        if cut.start != next || cut.end < cut.start {
            return None;
        }
        next = cut.end;
    }
    (next == all.end && !cuts.is_empty()).then_some(cuts)
}

fn other_image(folder: &Path, what: &str, here: &str, there: &str) -> Error {
    let message = format!("{} was made from another one: its {what} was {there}, not {here}", folder.display());
    Error::argument("image", message)
}

fn broken(place: &dyn Place, file: &ManifestFile, message: &str) -> Error {
    Error::format(place.name(&file.name).display().to_string(), message.to_owned())
}

/// Makes a file again: if it is another one, its rows are compared.
fn whole<R: RecordBatchReader>(
    scan: &PatchScan,
    place: &dyn Place,
    file: &ManifestFile,
    options: &ParquetOptions,
    watch: &mut impl FnMut(PatchReader) -> R,
) -> Result<()> {
    let part = scan.with_rows(file.rows.0..file.rows.1)?;
    if Some(parquet::digest(watch(part.reader()?), options)?) == file.written {
        return Ok(());
    }
    compare::all(&part, place, file, watch(part.reader()?))
}

/// Compares so many rows, and gives how many they were.
fn sample(scan: &PatchScan, place: &dyn Place, manifest: &Manifest, rows: u64) -> Result<u64> {
    let (all, mut taker) = (scan.rows(), scan.taker()?);
    let rows = rows.min(all.end - all.start);
    let mut next = 0;
    for file in &manifest.files {
        let mut some = Vec::new();
        while next < rows && chosen(&all, next, rows) < file.rows.1 {
            some.push(chosen(&all, next, rows));
            next += 1;
            if some.len() as u64 == scan.batch_rows() {
                compare::some(&mut taker, scan, place, file, &some)?;
                some.clear();
            }
        }
        if !some.is_empty() {
            compare::some(&mut taker, scan, place, file, &some)?;
        }
    }
    Ok(next)
}

/// Row `i` of a sample of `n`: anywhere in the `i`-th of `n` equal parts, the same each time.
fn chosen(all: &Range<u64>, i: u64, n: u64) -> u64 {
    let rows = u128::from(all.end - all.start);
    let at = |i: u64| all.start + (rows * u128::from(i) / u128::from(n)) as u64;
    at(i) + scattered(i) % (at(i + 1) - at(i))
}

/// A number that looks like any (splitmix64).
fn scattered(i: u64) -> u64 {
    let mut z = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_and_rises() {
        for (all, n) in [(0..10, 10), (5..1005, 7), (0..u64::MAX, 1000), (3..4, 1)] {
            let rows: Vec<_> = (0..n).map(|i| chosen(&all, i, n)).collect();
            assert!(rows.is_sorted_by(|a, b| a < b) && rows.iter().all(|row| all.contains(row)), "{rows:?}");
        }
    }
}
