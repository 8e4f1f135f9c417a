//! Drives any [`RecordBatchReader`](arrow_array::RecordBatchReader) into a file, whole or not at all.
//!
//! A sink knows nothing of windows: it takes batches, and the schema's metadata goes with them. Files are written
//! beside their target under a temporary name, synced, and renamed; until then the target keeps what it had.

pub(crate) mod atomic;
#[cfg(feature = "cloud")]
pub(crate) mod cloud;
mod codec;
mod compression;
#[cfg(feature = "zarr")]
pub(crate) mod folder;
#[cfg(feature = "ipc")]
pub mod ipc;
pub(crate) mod live;
#[cfg(feature = "parquet")]
pub mod parquet;

pub(crate) use atomic::AtomicFile;
#[cfg(feature = "parquet")]
pub(crate) use atomic::is_at;
pub use compression::Compression;

use std::io::Write;
use std::path::Path;

use arrow_schema::Schema;

use crate::{Error, Layout, Result, TableInfo};

/// What a sink writes into: it appears when it is [committed](Self::commit), and dropped before, it never does.
pub(crate) trait Target: Write + Send {
    /// Makes all that was written appear, for good, and gives its bytes.
    fn commit(self: Box<Self>) -> Result<u64>;
}

/// A new target of this name: a file, or an object of a store.
fn create(name: &Path) -> Result<Box<dyn Target>> {
    #[cfg(feature = "cloud")]
    if crate::bucket::is_address(name) {
        return Ok(Box::new(cloud::create(&crate::bucket::Bucket::open(name)?, "", false)));
    }
    Ok(Box::new(AtomicFile::create(name)?))
}

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
#[cfg(any(feature = "image", feature = "cli"))]
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = create(path)?;
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
