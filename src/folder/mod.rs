//! A table in several Parquet files in a folder, with a manifest that says what each holds: it can be continued after
//! anything that ended it, and checked later.
//!
//! What a file holds follows from the scan and its rows alone, byte for byte, so that a file that is missing or broken
//! is simply made again. The manifest says which image it was made from, by a checksum: an image that has changed since
//! is refused, one that was moved is not.
//!
//! [`write`](write()) makes all files. [`write_split`] makes one of them, in as many processes as one likes; what it wrote
//! stands in a record beside it, and [`verify`](verify()) makes a manifest of the records.

mod cells;
mod compare;
mod manifest;
mod place;
mod split;
mod verify;
mod write;

pub use manifest::{MANIFEST, Manifest, ManifestFile};
pub use split::write_split;
pub use verify::{Check, Verified, verify};
pub use write::write;

use crate::sink::parquet::ParquetOptions;

/// How a table is cut into files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// So many files, of about as many rows each.
    Files(u64),
    /// Files of about so many bytes of dense rows, before encoding and compression. Default: 4 GiB.
    Bytes(u64),
}

impl Default for Cut {
    fn default() -> Self {
        Cut::Bytes(4 << 30)
    }
}

/// How a folder is written.
#[derive(Clone, Debug, Default)]
pub struct FolderOptions {
    /// How each file is written.
    pub parquet: ParquetOptions,
    /// How the table is cut.
    pub cut: Cut,
    /// Continue what is there: whole files are kept, the others made.
    pub resume: bool,
}
