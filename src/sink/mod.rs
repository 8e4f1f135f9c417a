//! Drives any [`RecordBatchReader`](arrow_array::RecordBatchReader) into a file, whole or not at all.
//!
//! A sink knows nothing of windows: it takes batches, and the schema's metadata goes with them. Files are written
//! beside their target under a temporary name, synced, and renamed; until then the target keeps what it had.

pub(crate) mod atomic;
mod compression;
#[cfg(feature = "parquet")]
mod digest;
#[cfg(feature = "parquet")]
pub mod folder;
#[cfg(feature = "ipc")]
pub mod ipc;
pub(crate) mod live;
#[cfg(feature = "parquet")]
pub mod parquet;

pub use compression::Compression;
#[cfg(feature = "parquet")]
pub use digest::Digest;

use arrow_schema::Schema;

use crate::{Error, Layout, Result, TableInfo};

/// Refuses a table in [`Layout::Columns`], unless it is asked for twice: in memory its columns are slices of one image,
/// but a file stores every one of them whole.
fn refuse_columns(schema: &Schema, store_columns: bool) -> Result<()> {
    let info = if store_columns { None } else { TableInfo::from_schema(schema)? };
    match info {
        Some(info) if info.layout == Layout::Columns => {
            let columns = schema.fields().len();
            let message = format!(
                "columns are slices of one image only in memory; stored, each of the {columns} takes as much as the \
                 image. Use layout binary or tensor, or insist with store_columns (--store-columns)"
            );
            Err(Error::argument("layout", message))
        }
        _ => Ok(()),
    }
}

/// Writes a small file, whole or not at all.
#[cfg(any(feature = "parquet", all(feature = "cli", feature = "image")))]
pub(crate) fn write_whole(path: &std::path::Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let mut file = atomic::AtomicFile::create(path)?;
    file.write_all(bytes).map_err(|error| Error::io(path, "write", error))?;
    file.commit().map(|_| ())
}

/// What a sink wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
}
