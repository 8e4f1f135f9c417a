//! Parquet files.

use std::path::Path;

use arrow_array::RecordBatchReader;
use arrow_schema::{DataType, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as Codec, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::atomic::AtomicFile;
use super::{Compression, Written, refuse_columns};
use crate::{Error, ErrorKind, Result};

/// How a Parquet file is written.
#[derive(Clone, Debug)]
pub struct ParquetOptions {
    /// The codec of every page. Default: Zstandard, level 1.
    pub compression: Compression,
    /// Bytes of a data page before compression. The codec finds the overlap of neighbouring windows only within a
    /// page, so it has to span several rows of windows. Default: 4 MiB.
    pub page_bytes: usize,
    /// Bytes of a row group before compression, which a reader may hold at once. Default: 128 MiB.
    pub row_group_bytes: usize,
    /// Store a table of layout `columns`, in which every column takes as much as the image. Default: refuse it.
    pub store_columns: bool,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            page_bytes: 4 << 20,
            row_group_bytes: 128 << 20,
            store_columns: false,
        }
    }
}

/// Writes all batches of `reader` into the Parquet file `path`, which appears when it is whole.
///
/// Integer columns (the window ids and coordinates) are delta-encoded and have statistics by page, so that readers skip
/// what they don't need; patches have neither dictionary nor statistics.
///
/// # Memory
/// One batch, and what [`memory`] says.
///
/// # Errors
/// If the reader fails, a patch is wider than [`MOST_PATCH_BYTES`], or the file can't be written. The target then holds
/// what it held before.
pub fn write(reader: impl RecordBatchReader, path: impl AsRef<Path>, options: &ParquetOptions) -> Result<Written> {
    let path = path.as_ref();
    let fail = |error| parquet_error(path, error);
    let schema = reader.schema();
    refuse_columns(&schema, options.store_columns)?;
    refuse_wide(&schema)?;
    let file = AtomicFile::create(path)?;
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties(&schema, options))).map_err(fail)?;
    let slice_rows = slice_rows(&schema);
    let (mut rows, mut group) = (0, 0);
    for batch in reader {
        let batch = batch?;
        let row_bytes = batch.get_array_memory_size() / batch.num_rows().max(1);
        rows += batch.num_rows() as u64;
        for start in (0..batch.num_rows()).step_by(slice_rows) {
            let slice = batch.slice(start, slice_rows.min(batch.num_rows() - start));
            writer.write(&slice).map_err(fail)?;
            group += slice.num_rows() * row_bytes;
            if group >= options.row_group_bytes || writer.in_progress_size() >= encoded_bytes(options) {
                writer.flush().map_err(fail)?;
                group = 0;
            }
        }
    }
    let bytes = writer.into_inner().map_err(fail)?.commit()?;
    Ok(Written { rows, bytes })
}

/// The widest patch that is written: readers take a value whole, and some can't take wider ones.
pub const MOST_PATCH_BYTES: u64 = 64 << 20;

/// Values of the widest column that are given to the writer at once. It keeps 16 bytes of levels and positions for each
/// value of a nested list, and widens small integers to 4 bytes: more than the pixels themselves take.
const SLICE_VALUES: u64 = 128 << 10;

/// About how many bytes [`write`](fn@write) holds besides the batches of its reader, at most, for so many rows: an
/// encoded row group, the page in the making, and what the writer knows of one slice of a batch.
///
/// Pages that compress well take less: a row group ends by its bytes before compression, or after.
pub fn memory(schema: &Schema, rows: u64, options: &ParquetOptions) -> u64 {
    let encoded: u64 = schema.fields().iter().map(|field| Width::of(field.data_type()).encoded()).sum();
    let total = encoded.saturating_mul(rows);
    // A page is there before and after compression, in a buffer that has doubled until it was large enough.
    let page = total.min(3 * options.page_bytes as u64);
    let group = total.min(encoded_bytes(options) as u64);
    let values = Width::widest(schema).values.saturating_mul(rows.min(slice_rows(schema) as u64));
    group + page + 16 * values + WRITE_BUFFER
}

/// What [`AtomicFile`] collects before it writes.
const WRITE_BUFFER: u64 = 1 << 20;

/// Bytes after compression at which a row group ends: it is held until then.
fn encoded_bytes(options: &ParquetOptions) -> usize {
    options.row_group_bytes.min(4 * options.page_bytes)
}

/// Bytes that are given to the writer at once: it makes a copy of every binary value.
const SLICE_BYTES: u64 = 1 << 20;

/// Rows of a slice of a batch.
fn slice_rows(schema: &Schema) -> usize {
    let Width { values, bytes } = Width::widest(schema);
    let by_bytes = SLICE_BYTES / values.saturating_mul(bytes).max(1);
    (SLICE_VALUES / values.max(1)).min(by_bytes).max(1) as usize
}

fn refuse_wide(schema: &Schema) -> Result<()> {
    let widest = Width::widest(schema);
    let bytes = widest.values.saturating_mul(widest.bytes);
    if bytes > MOST_PATCH_BYTES {
        let limit = format!("{MOST_PATCH_BYTES} bytes, as readers take no wider ones; Arrow IPC (.arrow) takes it");
        return Err(Error::too_large("a patch in Parquet", format!("{bytes} bytes"), limit));
    }
    Ok(())
}

/// A row of a column: so many values of so many bytes.
#[derive(Clone, Copy)]
struct Width {
    values: u64,
    bytes: u64,
}

impl Width {
    fn of(of: &DataType) -> Self {
        match of {
            DataType::FixedSizeList(field, n) => {
                let inner = Self::of(field.data_type());
                Self { values: inner.values.saturating_mul(*n as u64), ..inner }
            }
            DataType::FixedSizeBinary(n) => Self { values: 1, bytes: *n as u64 },
            other => Self { values: 1, bytes: other.primitive_width().unwrap_or(1) as u64 },
        }
    }

    /// The column whose rows have the most values, or the most bytes among those.
    fn widest(schema: &Schema) -> Self {
        let widths = schema.fields().iter().map(|field| Self::of(field.data_type()));
        widths.max_by_key(|width| (width.values, width.bytes)).unwrap_or(Self { values: 1, bytes: 1 })
    }

    /// Bytes before compression: Parquet has no integers of less than 4 bytes.
    fn encoded(self) -> u64 {
        let bytes = if self.values > 1 { self.bytes.max(4) } else { self.bytes };
        self.values.saturating_mul(bytes)
    }
}

fn properties(schema: &Schema, options: &ParquetOptions) -> WriterProperties {
    let metadata = schema.metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    let mut builder = WriterProperties::builder()
        .set_compression(codec(options.compression))
        .set_created_by(concat!("windrow ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(metadata))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_data_page_size_limit(options.page_bytes)
        .set_data_page_row_count_limit(usize::MAX)
        .set_max_row_group_row_count(None)
        .set_write_batch_size(write_batch_size(schema, options.page_bytes));
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

/// Values that the writer takes between two looks at the size of its page: few enough that a wide binary patch does
/// not overshoot it.
fn write_batch_size(schema: &Schema, page_bytes: usize) -> usize {
    let widest = schema.fields().iter().map(|field| match field.data_type() {
        DataType::FixedSizeBinary(n) => *n as usize,
        _ => 8,
    });
    (page_bytes / 4 / widest.max().unwrap_or(8).max(1)).clamp(1, 16 << 10)
}

fn codec(compression: Compression) -> Codec {
    match compression {
        Compression::None => Codec::UNCOMPRESSED,
        Compression::Zstd(level) => {
            // Compression's levels are those of the codec.
            Codec::ZSTD(ZstdLevel::try_new(level.unwrap_or(1).into()).unwrap_or_default())
        }
        Compression::Lz4 => Codec::LZ4_RAW,
        Compression::Snappy => Codec::SNAPPY,
    }
}

/// An I/O error of the target stays one, with the target's name.
fn parquet_error(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(io) => Error::io(path, "write", *io),
            Err(inner) => {
                ErrorKind::Parquet { name: path.display().to_string(), error: ParquetError::External(inner) }.into()
            }
        },
        error => ErrorKind::Parquet { name: path.display().to_string(), error }.into(),
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
        assert!((24 << 20..36 << 20).contains(&most), "{most}");
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
