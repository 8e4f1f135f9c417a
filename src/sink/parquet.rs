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
/// One batch, and the encoded pages of one row group.
///
/// # Errors
/// If the reader fails, or the file can't be written. The target then holds what it held before.
pub fn write(reader: impl RecordBatchReader, path: impl AsRef<Path>, options: &ParquetOptions) -> Result<Written> {
    let path = path.as_ref();
    let fail = |error| parquet_error(path, error);
    let schema = reader.schema();
    refuse_columns(&schema, options.store_columns)?;
    let file = AtomicFile::create(path)?;
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties(&schema, options))).map_err(fail)?;
    let (mut rows, mut group) = (0, 0);
    for batch in reader {
        let batch = batch?;
        writer.write(&batch).map_err(fail)?;
        rows += batch.num_rows() as u64;
        group += batch.get_array_memory_size();
        if group >= options.row_group_bytes {
            writer.flush().map_err(fail)?;
            group = 0;
        }
    }
    let bytes = writer.into_inner().map_err(fail)?.commit()?;
    Ok(Written { rows, bytes })
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
