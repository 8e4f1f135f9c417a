//! Parquet files: patches as they lie in memory, in pages that are compressed side by side.

mod chunk;
mod codec;
mod coords;
mod file;
mod flat;
mod levels;
mod patch;
mod texts;
mod types;

use std::io::Write;
use std::path::Path;

use arrow_array::RecordBatchReader;
use arrow_schema::{DataType, FieldRef, Schema};
use parquet::basic::Encoding;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use self::codec::codec;
use self::file::FileWriter;
use self::patch::is_patch;
use super::{Compression, Target, Written, create, refuse_columns};
use crate::digest::{Digest, Digested};
use crate::{Error, ErrorKind, Result};

/// How a Parquet file is written.
#[derive(Clone, Debug)]
pub struct ParquetOptions {
    /// The codec of every page. Default: Zstandard, level 1.
    pub compression: Compression,
    /// Bytes of a data page before compression. The overlap of neighbouring windows is found only within a page, which
    /// has to span several lines of windows. Default: as many as that takes, from 4 to 16 MiB.
    pub page_bytes: Option<usize>,
    /// Bytes of a row group before compression, which a reader may hold at once. Default: 128 MiB.
    pub row_group_bytes: usize,
    /// Store a table of layout `columns`, in which every column takes as much as the image. Default: refuse it.
    pub store_columns: bool,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        Self { compression: Compression::default(), page_bytes: None, row_group_bytes: 128 << 20, store_columns: false }
    }
}

/// The least bytes of a page, and the most, where nobody chose.
pub(crate) const PAGE_BYTES: (usize, usize) = (4 << 20, 16 << 20);

impl ParquetOptions {
    /// Bytes of a data page of a table of this schema.
    pub(crate) fn page_bytes(&self, schema: &Schema) -> usize {
        let suits = || (crate::sink::codec::span(self.compression, schema) as usize).clamp(PAGE_BYTES.0, PAGE_BYTES.1);
        self.page_bytes.unwrap_or_else(suits)
    }
}

/// Writes all batches of `reader` into the Parquet file `path`, which appears when it is whole.
///
/// Patches are stored as they lie in memory: small integers as indices into a dictionary of all values, which takes a
/// quarter or half of Parquet's own integers; everything else plain. Their pages are compressed on rayon's pool, and
/// the file is the same whatever the number of threads and the size of batches. Integer columns (the window ids and
/// coordinates) are delta-encoded and have statistics by page, so that readers skip what they don't need.
///
/// # Memory
/// One batch, and what [`memory`] says.
///
/// # Errors
/// If the reader fails, a column is of a type that no patch table has, a patch is wider than [`MOST_PATCH_BYTES`], or
/// the file can't be written. The target then holds what it held before.
pub fn write(reader: impl RecordBatchReader, path: impl AsRef<Path>, options: &ParquetOptions) -> Result<Written> {
    let path = path.as_ref();
    refuse(&reader.schema(), options)?;
    let mut file = create(path)?;
    let rows = encode(reader, &mut file, path, options)?;
    let bytes = file.commit()?;
    Ok(Written { rows, bytes })
}

/// As [`write`](fn@write) into a target that `path` names, if the table is not to be [refused](refuse); says what the
/// file is known by.
pub(crate) fn write_digest(
    reader: impl RecordBatchReader,
    target: Box<dyn Target>,
    path: &Path,
    options: &ParquetOptions,
) -> Result<Digest> {
    let mut file = Digested::new(target);
    encode(reader, &mut file, path, options)?;
    let (file, digest) = file.finish();
    file.commit()?;
    Ok(digest)
}

/// What the file of these batches would be known by; writes nothing.
pub(crate) fn digest(reader: impl RecordBatchReader, options: &ParquetOptions) -> Result<Digest> {
    let mut file = Digested::new(std::io::sink());
    encode(reader, &mut file, Path::new("nothing"), options)?;
    Ok(file.finish().1)
}

/// Writes all batches to `out`, which `path` names, and gives their number of rows.
pub(crate) fn encode<W: Write + Send>(
    reader: impl RecordBatchReader,
    out: &mut W,
    path: &Path,
    options: &ParquetOptions,
) -> Result<u64> {
    let fail = |error| parquet_error(path, error);
    let mut writer = FileWriter::new(out, &reader.schema(), options).map_err(fail)?;
    let mut rows = 0;
    for batch in reader {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        writer.write(&batch).map_err(fail)?;
    }
    writer.finish().map_err(fail)?;
    Ok(rows)
}

/// Refuses what can't be stored, before a file is made.
pub(crate) fn refuse(schema: &Schema, options: &ParquetOptions) -> Result<()> {
    refuse_columns(schema, options.store_columns)?;
    refuse_wide(schema)
}

/// The widest patch that is written: readers take a value whole, and some can't take wider ones.
pub const MOST_PATCH_BYTES: u64 = 64 << 20;

/// About how many bytes [`write`](fn@write) holds besides the batches of its reader, at most, for so many rows: pages
/// of patches in the making, and the other columns of a row group.
pub fn memory(schema: &Schema, rows: u64, options: &ParquetOptions) -> u64 {
    let (patch, flat) = parts(schema);
    let pages = match patch {
        0 => 0,
        // What compression leaves of them is mostly far less than half.
        _ => {
            patch.saturating_mul(rows).min((pages_ahead() as u64 + 1).saturating_mul(options.page_bytes(schema) as u64))
                * 3
                / 2
        }
    };
    // The ids and coordinates of neighbours differ by little, which takes about a bit a byte.
    let flat = if patch == 0 { flat } else { floats(schema) + flat.saturating_sub(floats(schema)) / 8 };
    pages + flat.saturating_mul(rows.min(group_rows(schema, options) as u64)) + WRITE_BUFFER
}

/// What a file collects before it writes.
const WRITE_BUFFER: u64 = 1 << 20;

/// Pages that are compressed while the next one is filled.
fn pages_ahead() -> usize {
    rayon::current_num_threads().min(MOST_AHEAD)
}

/// More pages ahead take memory and bring nothing: a disk is slower than so many threads.
const MOST_AHEAD: usize = 16;

/// Bytes of the columns besides the patches that are collected in a row group, before compression.
const FLAT_BYTES: u64 = 16 << 20;

/// Rows of a row group.
fn group_rows(schema: &Schema, options: &ParquetOptions) -> usize {
    let (patch, flat) = parts(schema);
    let by_bytes = options.row_group_bytes as u64 / (patch + flat).max(1);
    by_bytes.min(FLAT_BYTES / flat.max(1)).clamp(1, MOST_GROUP_ROWS) as usize
}

/// Rows of a row group of narrow rows: what other writers have, and readers count on.
const MOST_GROUP_ROWS: u64 = 1 << 20;

/// Bytes of a row.
pub(crate) fn row_bytes(schema: &Schema) -> u64 {
    let (patch, flat) = parts(schema);
    patch.saturating_add(flat)
}

/// Bytes of a row: of its patch, and of all else.
fn parts(schema: &Schema) -> (u64, u64) {
    let (patches, flat): (Vec<_>, Vec<_>) = schema.fields().iter().partition(|field| is_patch(field));
    let sum = |fields: Vec<&FieldRef>| fields.iter().map(|field| width(field.data_type())).fold(0, u64::saturating_add);
    (sum(patches), sum(flat))
}

/// Bytes of the numbers of a row that differ by more than a little: places on a map, shares, labels.
fn floats(schema: &Schema) -> u64 {
    let of = |field: &&FieldRef| field.data_type().is_floating();
    schema.fields().iter().filter(of).map(|field| width(field.data_type())).sum()
}

/// Bytes of a value.
fn width(of: &DataType) -> u64 {
    match of {
        DataType::FixedSizeList(field, n) => width(field.data_type()).saturating_mul(*n as u64),
        DataType::FixedSizeBinary(n) => *n as u64,
        // A path, where every row has another one.
        DataType::Dictionary(..) => 64,
        other => other.primitive_width().unwrap_or(1) as u64,
    }
}

fn refuse_wide(schema: &Schema) -> Result<()> {
    let widest = schema.fields().iter().map(|field| width(field.data_type())).max();
    if let Some(bytes) = widest.filter(|&bytes| bytes > MOST_PATCH_BYTES) {
        let limit = format!("{MOST_PATCH_BYTES} bytes, as readers take no wider ones; Arrow IPC (.arrow) takes it");
        return Err(Error::too_large("a patch in Parquet", format!("{bytes} bytes"), limit));
    }
    Ok(())
}

/// How the columns besides the patches are written.
fn properties(schema: &Schema, options: &ParquetOptions) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(codec(options.compression))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_data_page_size_limit(options.page_bytes(schema))
        .set_data_page_row_count_limit(usize::MAX);
    for field in schema.fields() {
        if matches!(field.data_type(), DataType::Int64 | DataType::UInt64) {
            builder = integers(builder, ColumnPath::from(field.name().as_str()));
        }
    }
    builder.build()
}

fn integers(builder: WriterPropertiesBuilder, column: ColumnPath) -> WriterPropertiesBuilder {
    builder
        .set_column_encoding(column.clone(), Encoding::DELTA_BINARY_PACKED)
        .set_column_statistics_enabled(column, EnabledStatistics::Page)
}

/// An I/O error of the target stays one, with the target's name; an error of ours stays itself.
fn parquet_error(path: &Path, error: ParquetError) -> Error {
    let inner = match error {
        ParquetError::External(inner) => inner,
        error => return ErrorKind::Parquet { name: path.display().to_string(), error }.into(),
    };
    let inner = match inner.downcast::<std::io::Error>() {
        Ok(io) => return Error::io(path, "write", *io),
        Err(inner) => inner,
    };
    match inner.downcast::<Error>() {
        Ok(ours) => *ours,
        Err(inner) => {
            ErrorKind::Parquet { name: path.display().to_string(), error: ParquetError::External(inner) }.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::Field;

    use super::*;

    fn patches(of: DataType, shape: &[i32]) -> Schema {
        let list = |inner, &n: &i32| DataType::FixedSizeList(Arc::new(Field::new("item", inner, false)), n);
        Schema::new(vec![
            Field::new("window", DataType::UInt64, false),
            Field::new("patch", shape.iter().rev().fold(of, list), false),
        ])
    }

    #[test]
    fn memory_is_bounded_and_no_more_than_the_rows() {
        let (schema, options) = (patches(DataType::UInt8, &[8, 8, 3]), ParquetOptions::default());
        let most = memory(&schema, u64::MAX, &options);
        let pages = (pages_ahead() as u64 + 1) * (6 << 20);
        assert!((pages..pages + (4 << 20)).contains(&most), "{most}");
        assert!(memory(&schema, 100, &options) < 2 << 20);
    }

    #[test]
    fn a_wide_patch_is_refused() {
        for (schema, wide) in [
            (patches(DataType::FixedSizeBinary(64 << 20), &[]), false),
            (patches(DataType::FixedSizeBinary((64 << 20) + 1), &[]), true),
            (patches(DataType::Float32, &[4096, 4096]), false),
            (patches(DataType::Float32, &[4096, 4097]), true),
        ] {
            assert_eq!(refuse_wide(&schema).is_err(), wide);
        }
    }
}
