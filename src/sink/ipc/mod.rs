//! Arrow IPC: files and streams.

mod encode;
mod writer;

use std::io::Write;
use std::path::Path;

use arrow_array::RecordBatchReader;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, Schema};

use self::writer::Writer;
use super::{Compression, Written, codec, create, refuse_columns};
use crate::{Error, Result};

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

/// Bytes of a batch that is to be stored: from 4 to 8 MiB. The overlap of neighbouring windows is found only within a batch,
/// which has to span several lines of windows.
pub fn batch_bytes(schema: &Schema, compression: Compression) -> u64 {
    codec::span(compression, schema).clamp(4 << 20, 8 << 20)
}

/// About how many bytes a writer of Arrow IPC holds besides the batches of its reader, at most, for so many batches of so
/// many bytes: those that are compressed, and what the codec needs.
pub fn memory(batch_bytes: u64, batches: u64) -> u64 {
    let ahead = batches.min(writer::batches_ahead() as u64 + 1);
    // Of what is compressed already less than half is left, mostly.
    batch_bytes.saturating_mul(ahead) / 2 * 3 + WRITE_BUFFER
}

/// What a file collects before it writes.
const WRITE_BUFFER: u64 = 1 << 20;

/// Writes all batches of `reader` into the Arrow IPC file `path` (random access to batches), which appears when it is
/// whole.
///
/// Compressed batches are encoded on rayon's pool, and the file is the same whatever the number of threads.
///
/// # Memory
/// What [`memory`] says.
///
/// # Errors
/// If the reader fails, the codec is not one of IPC (`none`, `zstd`, `lz4`), or the file can't be written. The target
/// then holds what it held before.
pub fn write_file(reader: impl RecordBatchReader, path: impl AsRef<Path>, options: &IpcOptions) -> Result<Written> {
    let path = path.as_ref();
    refuse(&reader, options)?;
    let (file, rows) = encode(reader, create(path)?, options, path, true)?;
    let bytes = file.commit()?;
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
    refuse(&reader, options)?;
    let (file, rows) = encode(reader, create(path)?, options, path, false)?;
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
    refuse(&reader, options)?;
    encode(reader, out, options, name.as_ref(), false).map(|(_, rows)| rows)
}

/// Refuses what can't be stored, before a file is made.
fn refuse(reader: &impl RecordBatchReader, options: &IpcOptions) -> Result<()> {
    refuse_columns(&reader.schema(), options.store_columns)?;
    if options.compression == Compression::Snappy {
        let message = "snappy is not a codec of Arrow IPC: expected none, zstd, zstd:LEVEL or lz4";
        return Err(Error::argument("compression", message));
    }
    Ok(())
}

/// Writes all batches, and gives back what they were written to, and their number of rows.
fn encode<W: Write>(
    reader: impl RecordBatchReader,
    out: W,
    options: &IpcOptions,
    name: &Path,
    file: bool,
) -> Result<(W, u64)> {
    let (fail, schema) = (|error| arrow_error(name, error), reader.schema());
    let (codec, level) = match options.compression {
        Compression::Zstd(level) => (Some(CompressionType::ZSTD), level.map(i32::from)),
        Compression::Lz4 => (Some(CompressionType::LZ4_FRAME), None),
        Compression::None | Compression::Snappy => (None, None),
    };
    let mut rows = 0;
    let mut counted = reader.map(|batch| {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        Ok::<_, Error>(batch)
    });
    let out = match codec {
        Some(codec) if encode::is_known(&schema) => {
            let mut writer = Writer::new(out, &schema, options.compression, codec, file).map_err(fail)?;
            counted.try_for_each(|batch| writer.write(batch?).map_err(fail))?;
            writer.finish()
        }
        // Without a codec the library writes batches from where they lie; it also knows types that no patch table has.
        codec => {
            let options = IpcWriteOptions::default().try_with_compression(codec)?;
            let options = if level.is_some() { options.try_with_compression_level(level)? } else { options };
            if file {
                let mut writer = FileWriter::try_new_with_options(out, &schema, options).map_err(fail)?;
                counted.try_for_each(|batch| writer.write(&batch?).map_err(fail))?;
                writer.into_inner()
            } else {
                let mut writer = StreamWriter::try_new_with_options(out, &schema, options).map_err(fail)?;
                counted.try_for_each(|batch| writer.write(&batch?).map_err(fail))?;
                writer.into_inner()
            }
        }
    };
    Ok((out.map_err(fail)?, rows))
}

/// An I/O error of the target stays one, with the target's name.
fn arrow_error(path: &Path, error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, io) => Error::io(path, "write", io),
        other => other.into(),
    }
}
