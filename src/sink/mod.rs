//! Drives any [`RecordBatchReader`](arrow_array::RecordBatchReader) into a file, whole or not at all.
//!
//! A sink knows nothing of windows: it takes batches, and the schema's metadata goes with them. Files are written
//! beside their target under a temporary name, synced, and renamed; until then the target keeps what it had.

mod atomic;
mod compression;
#[cfg(feature = "ipc")]
pub mod ipc;
#[cfg(feature = "parquet")]
pub mod parquet;

pub use compression::Compression;

/// What a sink wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
}
