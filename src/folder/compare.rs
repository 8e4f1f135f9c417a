//! Finds rows of a file that are not what the image says: both are compared as they are stored.

use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use bytes::Bytes;
use parquet::errors::ParquetError;

use super::ManifestFile;
use super::cells::Cells;
use super::place::Place;
use crate::jobs::caught;
use crate::sink::Compression;
use crate::sink::parquet::{ParquetOptions, encode, row_bytes};
use crate::{Error, ErrorKind, Layout, PatchScan, PatchTaker, Result};

/// Bytes of rows that are compared at once, about.
const PIECE_BYTES: u64 = 1 << 20;

/// Compares some rows of a file, which rise.
pub(super) fn some(
    taker: &mut PatchTaker,
    scan: &PatchScan,
    place: &dyn Place,
    file: &ManifestFile,
    rows: &[u64],
) -> Result<()> {
    let ids: Vec<_> = rows.iter().map(|&row| scan.id(row)).collect();
    let mut made = remade(&taker.take(&ids)?, scan)?;
    caught(|| {
        let mut stored = open(place, file, &made)?;
        let fail = |error| failed(place, file, error);
        let mut done = file.rows.0;
        for &row in rows {
            stored.skip((row - done) as usize).map_err(fail)?;
            done = row + 1;
            if stored.left().map_err(fail)? == 0 || made.left().map_err(fail)? == 0 {
                return Err(lost(place, file, row - file.rows.0));
            }
            if let Some((_, column)) = stored.difference(&mut made, 1).map_err(fail)? {
                return Err(differs(scan, place, file, row - file.rows.0, &column));
            }
        }
        Ok(())
    })
}

/// Compares all rows of a file, whose windows `scan` makes, with those of `made`.
pub(super) fn all(
    scan: &PatchScan,
    place: &dyn Place,
    file: &ManifestFile,
    made: impl RecordBatchReader,
) -> Result<()> {
    let fail = |error| failed(place, file, error);
    let most = (PIECE_BYTES / row_bytes(&scan.schema()).max(1)).max(1) as usize;
    let mut stored: Option<Cells> = None;
    let mut done = 0;
    for batch in made {
        let mut made = remade(&batch?, scan)?;
        caught(|| {
            let stored = match &mut stored {
                Some(stored) => stored,
                none => none.insert(open(place, file, &made)?),
            };
            // Both cut the rows as they like.
            loop {
                let rows = made.left().map_err(fail)?.min(most);
                if rows == 0 {
                    return Ok(());
                }
                let rows = rows.min(stored.left().map_err(fail)?);
                if rows == 0 {
                    return Err(lost(place, file, done));
                }
                if let Some((row, column)) = stored.difference(&mut made, rows).map_err(fail)? {
                    return Err(differs(scan, place, file, done + row as u64, &column));
                }
                done += rows as u64;
            }
        })?;
    }
    caught(|| {
        let mut stored = match stored {
            Some(stored) => stored,
            // The image has no row at all.
            None => Cells::open(place.open(&file.name)?).map_err(fail)?,
        };
        match stored.left().map_err(fail)? {
            0 => Ok(()),
            _ => Err(lost(place, file, done)),
        }
    })
}

/// A batch as it would be stored.
fn remade(batch: &RecordBatch, scan: &PatchScan) -> Result<Cells> {
    let options = ParquetOptions { compression: Compression::None, store_columns: true, ..Default::default() };
    let mut bytes = Vec::new();
    let one = RecordBatchIterator::new([Ok(batch.clone())], scan.schema());
    encode(one, &mut bytes, "a batch".as_ref(), &options)?;
    Cells::open(Bytes::from(bytes)).map_err(|error| ErrorKind::Parquet { name: "a batch".to_owned(), error }.into())
}

/// The file, if its columns are those of the table.
fn open(place: &dyn Place, file: &ManifestFile, made: &Cells) -> Result<Cells> {
    let stored = Cells::open(place.open(&file.name)?).map_err(|error| failed(place, file, error))?;
    match stored.schema() == made.schema() {
        true => Ok(stored),
        false => Err(lost(place, file, 0)),
    }
}

fn differs(scan: &PatchScan, place: &dyn Place, file: &ManifestFile, row: u64, column: &str) -> Error {
    let at = match scan.layout() {
        // Rows that are no windows stand between the others.
        Layout::Columns => String::new(),
        _ => {
            let (grid, window) = (scan.grid(), scan.id(file.rows.0 + row));
            let starts = grid.starts(window);
            let at: Vec<_> = grid.sliding().zip(starts).map(|(axis, at)| format!("{} {at}", axis.name)).collect();
            format!(" (window {window}: {})", at.join(", "))
        }
    };
    Error::format(named(place, file), format!("row {row}{at}: {column} is not what the image says"))
}

fn lost(place: &dyn Place, file: &ManifestFile, row: u64) -> Error {
    Error::format(named(place, file), format!("row {row}: the file does not have the rows that the image has"))
}

fn failed(place: &dyn Place, file: &ManifestFile, error: ParquetError) -> Error {
    ErrorKind::Parquet { name: named(place, file), error }.into()
}

fn named(place: &dyn Place, file: &ManifestFile) -> String {
    place.name(&file.name).display().to_string()
}
