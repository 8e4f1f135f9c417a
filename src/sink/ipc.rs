//! Arrow IPC: files and streams.

use std::io::Write;
use std::path::Path;

use arrow_array::RecordBatchReader;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::ArrowError;

use super::{Compression, Written, create, refuse_columns};
use crate::{Error, ErrorKind, Result};

/// How Arrow IPC is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct IpcOptions {
    /// The codec of every buffer. Default: Zstandard, level 1.
    pub compression: Compression,
    /// Store a table of layout `columns`, in which every column takes as much as the image. Default: refuse it.
    pub store_columns: bool,
}

impl From<Compression> for IpcOptions {
    fn from(compression: Compression) -> Self {
        Self { compression, store_columns: false }
    }
}

/// About how many bytes a writer of Arrow IPC holds besides the batches of its reader, at most, for batches of so many
/// bytes: one batch as it is written.
pub fn memory(batch_bytes: u64) -> u64 {
    batch_bytes.saturating_add(WRITE_BUFFER)
}

/// What a file collects before it writes.
const WRITE_BUFFER: u64 = 1 << 20;

/// Writes all batches of `reader` into the Arrow IPC file `path` (random access to batches), which appears when it is
/// whole.
///
/// # Memory
/// One batch, and one compressed.
///
/// # Errors
/// If the reader fails, the codec is not one of IPC (`none`, `zstd`, `lz4`), or the file can't be written. The target
/// then holds what it held before.
pub fn write_file(reader: impl RecordBatchReader, path: impl AsRef<Path>, options: &IpcOptions) -> Result<Written> {
    let path = path.as_ref();
    let options = codec(&reader, options)?;
    let fail = |error| arrow_error(path, error);
    let file = create(path)?;
    let mut writer = FileWriter::try_new_with_options(file, &reader.schema(), options).map_err(fail)?;
    let mut rows = 0;
    for batch in reader {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        writer.write(&batch).map_err(fail)?;
    }
    let bytes = writer.into_inner().map_err(fail)?.commit()?;
    Ok(Written { rows, bytes })
}

/// Writes all batches of `reader` as an Arrow IPC stream into the file `path`, which appears when it is whole.
///
/// # Errors
/// As [`write_file`].
pub fn write_stream_file(
    reader: impl RecordBatchReader,
    path: impl AsRef<Path>,
    options: &IpcOptions,
) -> Result<Written> {
    let path = path.as_ref();
    let mut file = create(path)?;
    let rows = write_stream(reader, &mut file, options, path)?;
    let bytes = file.commit()?;
    Ok(Written { rows, bytes })
}

/// Writes all batches of `reader` as an Arrow IPC stream to `out`, and gives their number of rows. `name` stands in
/// errors.
///
/// # Errors
/// If the reader fails, the codec is not one of IPC, or `out` fails.
pub fn write_stream(
    reader: impl RecordBatchReader,
    out: impl Write,
    options: &IpcOptions,
    name: impl AsRef<Path>,
) -> Result<u64> {
    let options = codec(&reader, options)?;
    let fail = |error| arrow_error(name.as_ref(), error);
    let mut writer = StreamWriter::try_new_with_options(out, &reader.schema(), options).map_err(fail)?;
    let mut rows = 0;
    for batch in reader {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        writer.write(&batch).map_err(fail)?;
    }
    writer.finish().map_err(fail)?;
    Ok(rows)
}

/// Arrow's options for a table, if it can be stored.
fn codec(reader: &impl RecordBatchReader, options: &IpcOptions) -> Result<IpcWriteOptions> {
    refuse_columns(&reader.schema(), options.store_columns)?;
    let (codec, level) = match options.compression {
        Compression::None => (None, None),
        Compression::Zstd(level) => (Some(CompressionType::ZSTD), level.map(i32::from)),
        Compression::Lz4 => (Some(CompressionType::LZ4_FRAME), None),
        Compression::Snappy => {
            let message = "snappy is not a codec of Arrow IPC: expected none, zstd, zstd:LEVEL or lz4";
            return Err(Error::argument("compression", message));
        }
    };
    let options = IpcWriteOptions::default().try_with_compression(codec)?;
    Ok(if level.is_some() { options.try_with_compression_level(level)? } else { options })
}

/// An I/O error of the target stays one, with the target's name.
fn arrow_error(path: &Path, error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, io) => Error::io(path, "write", io),
        other => ErrorKind::Arrow(other).into(),
    }
}
