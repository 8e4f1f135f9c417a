//! Ways to what is private, for the fuzz targets alone.

use std::collections::HashMap;
use std::path::Path;

use arrow_schema::Schema;

use crate::fold::{At, Fold};
use crate::source::npy_header;
use crate::{METADATA_KEY, TableInfo};

/// Reads the header of an `.npy` file.
pub fn npy_header(bytes: &[u8]) {
    let _ = npy_header::read(&npy_header::Memory(bytes));
}

/// What `windrow info IMAGE` makes of these arguments.
#[cfg(feature = "cli")]
pub fn arguments<'a>(image: &'a Path, args: impl Iterator<Item = &'a str>) {
    crate::cli::resolve(image, args);
}

/// What the metadata of a schema say, and an image that could be made by them.
pub fn metadata(text: &str) {
    let schema = Schema::empty().with_metadata(HashMap::from([(METADATA_KEY.to_owned(), text.to_owned())]));
    let Ok(Some(table)) = TableInfo::from_schema(&schema) else { return };
    let again = table.metadata().unwrap_or_default();
    let same = TableInfo::from_schema(&Schema::empty().with_metadata(again));
    assert!(same.is_ok_and(|same| same.is_some()));
    let cells = table.source.shape.iter().fold(1, |cells: u64, &n| cells.saturating_mul(n.max(1)));
    if let Ok(fold) = Fold::from_table(&table)
        && cells < 1 << 16
    {
        let mut fold = fold.at(At::Grid);
        if fold.add(&[0], &[7i32]).is_ok() {
            let _ = fold.image();
        }
    }
}
