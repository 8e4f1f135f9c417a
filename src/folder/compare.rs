//! Finds rows of a file that are not what the image says.

use arrow_array::{Array, RecordBatch, RecordBatchReader};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;

use super::ManifestFile;
use super::place::{Part, Place};
use crate::jobs::caught;
use crate::{Error, ErrorKind, PatchScan, PatchTaker, Result};

/// Compares some rows of a file, which rise.
pub(super) fn some(
    taker: &mut PatchTaker,
    scan: &PatchScan,
    place: &dyn Place,
    file: &ManifestFile,
    rows: &[u64],
) -> Result<()> {
    let places = rows.iter().map(|row| (row - file.rows.0) as usize).map(|row| row..row + 1);
    let selection = RowSelection::from_consecutive_ranges(places, (file.rows.1 - file.rows.0) as usize);
    let reader = open(scan, place, file, Some(selection))?;
    let ids: Vec<_> = rows.iter().map(|&row| scan.id(row)).collect();
    let expected = taker.take(&ids)?;
    let mut done = 0;
    for batch in reader {
        let batch = batch?;
        let expected = expected.slice(done, batch.num_rows().min(expected.num_rows() - done));
        if let Some((row, column)) = first_difference(&batch, &expected) {
            return Err(differs(scan, place, file, rows[done + row] - file.rows.0, &column));
        }
        done += batch.num_rows();
    }
    if done == rows.len() { Ok(()) } else { Err(lost(place, file, rows[done] - file.rows.0)) }
}

/// Compares all rows of a file, whose windows `scan` makes, with those of `made`.
pub(super) fn all(
    scan: &PatchScan,
    place: &dyn Place,
    file: &ManifestFile,
    made: impl RecordBatchReader,
) -> Result<()> {
    let mut stored = open(scan, place, file, None)?;
    // Both cut the rows as they like.
    let mut rest: Option<RecordBatch> = None;
    let mut done = 0;
    for batch in made {
        let mut batch = batch?;
        while batch.num_rows() > 0 {
            let have = match rest.take() {
                Some(rest) => rest,
                None => match stored.next() {
                    Some(have) => have?,
                    None => return Err(lost(place, file, done)),
                },
            };
            let rows = have.num_rows().min(batch.num_rows());
            if let Some((row, column)) = first_difference(&have.slice(0, rows), &batch.slice(0, rows)) {
                return Err(differs(scan, place, file, done + row as u64, &column));
            }
            done += rows as u64;
            rest = (have.num_rows() > rows).then(|| have.slice(rows, have.num_rows() - rows));
            batch = batch.slice(rows, batch.num_rows() - rows);
        }
    }
    match rest.or(stored.next().transpose()?) {
        Some(_) => Err(lost(place, file, done)),
        None => Ok(()),
    }
}

/// The rows of a file, or some of them.
fn open(
    scan: &PatchScan,
    place: &dyn Place,
    file: &ManifestFile,
    selection: Option<RowSelection>,
) -> Result<impl Iterator<Item = Result<RecordBatch>>> {
    let path = place.name(&file.name);
    let fail = move |error: ParquetError| Error::from(ErrorKind::Parquet { name: path.display().to_string(), error });
    let part: Part = place.open(&file.name)?;
    let mut reader = caught(|| {
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(part, options).map_err(&fail)?;
        if builder.schema().fields() != scan.schema().fields() {
            return Err(lost(place, file, 0));
        }
        let builder = builder.with_batch_size(scan.batch_rows() as usize);
        let builder = match selection {
            Some(selection) => builder.with_row_selection(selection),
            None => builder,
        };
        builder.build().map_err(&fail)
    })?;
    Ok(std::iter::from_fn(move || caught(|| Ok(reader.next().transpose()?)).transpose()))
}

/// The first row that differs, and the column.
fn first_difference(have: &RecordBatch, made: &RecordBatch) -> Option<(usize, String)> {
    let columns = have.columns().iter().zip(made.columns()).zip(made.schema_ref().fields());
    let differing = columns.filter(|((a, b), _)| a.to_data() != b.to_data());
    let first = differing.map(|((a, b), field)| {
        let same = |row: &usize| a.slice(*row, 1).to_data() == b.slice(*row, 1).to_data();
        ((0..a.len().min(b.len())).position(|row| !same(&row)).unwrap_or(0), field.name().clone())
    });
    first.min()
}

fn differs(scan: &PatchScan, place: &dyn Place, file: &ManifestFile, row: u64, column: &str) -> Error {
    let name = place.name(&file.name).display().to_string();
    let at = match scan.layout() {
        // Rows that are no windows stand between the others.
        crate::Layout::Columns => String::new(),
        _ => {
            let (grid, window) = (scan.grid(), file.rows.0 + row);
            let starts = grid.starts(window);
            let at: Vec<_> = grid.sliding().zip(starts).map(|(axis, at)| format!("{} {at}", axis.name)).collect();
            format!(" (window {window}: {})", at.join(", "))
        }
    };
    Error::format(name, format!("row {row}{at}: {column} is not what the image says"))
}

fn lost(place: &dyn Place, file: &ManifestFile, row: u64) -> Error {
    let name = place.name(&file.name).display().to_string();
    Error::format(name, format!("row {row}: the file does not have the rows that the image has"))
}
