//! What the targets share: files that are bytes, and scans of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use tempfile::TempDir;
#[cfg(feature = "parquet")]
use windrow::folder::{self, FolderOptions};
use windrow::source::OpenOptions;
use windrow::{AnySource, Layout, PatchScan, WindowSpec};

/// Larger images are opened, but not read: what they take is what they say.
const MOST_BYTES: u64 = 1 << 20;

/// A folder of this process, in memory where there is such a place.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let make = || TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
    FOLDER.get_or_init(make).path()
}

/// A small image.
pub fn image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let header = format!("{:<117}\n", "{'descr': '<u2', 'fortran_order': False, 'shape': (9, 11), }");
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend((0..99u16).flat_map(u16::to_le_bytes));
        let path = folder().join("image.npy");
        fs::write(&path, bytes).unwrap();
        path
    })
}

/// A folder with the table of that image.
#[cfg(feature = "parquet")]
pub fn table() -> &'static Path {
    static TABLE: OnceLock<PathBuf> = OnceLock::new();
    TABLE.get_or_init(|| {
        let path = folder().join("table");
        let scan = PatchScan::new(AnySource::open(image(), None).unwrap(), WindowSpec::new([3, 3])).unwrap();
        folder::write(&scan, &path, &FolderOptions::default(), |reader| reader).unwrap();
        path
    })
}

/// Scans a file of these bytes.
pub fn scan(name: &str, bytes: &[u8], options: &OpenOptions) {
    let path = folder().join(name);
    fs::write(&path, bytes).unwrap();
    scan_path(&path, options);
}

/// Scans a file, if it is an image, by windows that overlap and reach outside of it: in its order, and some of them in
/// another, which are the same. Errors are one line.
pub fn scan_path(path: &Path, options: &OpenOptions) {
    let source = match AnySource::open_with(path, options) {
        Ok(source) => source,
        Err(error) => return check(&error),
    };
    let info = source.info().clone();
    if info.bytes() > MOST_BYTES || info.shape.contains(&0) {
        return;
    }
    let window: Vec<_> = info.shape.iter().take(2).map(|&n| n.min(3)).collect();
    let chunk: u64 = info.chunk.iter().product();
    if chunk.saturating_mul(8) > 64 * MOST_BYTES {
        return;
    }
    let spec = WindowSpec::new(window).step(2);
    let scan = match PatchScan::builder(source, spec).layout(Layout::Binary).prefetch(0).cache_bytes(4096).build() {
        Ok(scan) => scan,
        Err(error) => return check(&error),
    };
    let reader = match scan.reader() {
        Ok(reader) => reader,
        Err(error) => return check(&error),
    };
    let mut rows = Vec::new();
    for batch in reader {
        match batch {
            Ok(batch) => rows.extend(patches(&batch)),
            Err(error) => return check(&error.into()),
        }
    }
    assert_eq!(rows.len() as u64, scan.num_rows());
    let mut taker = match scan.taker() {
        Ok(taker) => taker,
        Err(error) => return check(&error),
    };
    let ids: Vec<_> = (0..rows.len() as u64).rev().step_by(3).take(300).collect();
    for some in ids.chunks(100) {
        match taker.take(some) {
            Ok(batch) => assert!(patches(&batch).into_iter().eq(some.iter().map(|&id| rows[id as usize].clone()))),
            Err(error) => return check(&error),
        }
    }
}

/// The bytes of each patch.
fn patches(batch: &RecordBatch) -> Vec<Vec<u8>> {
    let patches = batch["patch"].as_fixed_size_binary();
    patches.iter().map(|patch| patch.unwrap_or_default().to_vec()).collect()
}

fn check(error: &windrow::Error) {
    let text = error.to_string();
    assert!(!text.contains('\n') && !text.contains("panicked"), "{text}");
}
