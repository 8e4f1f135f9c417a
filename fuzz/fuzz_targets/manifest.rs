//! What a folder of Parquet files says of itself.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use windrow::AnySource;
use windrow::folder::{self, Check, MANIFEST};

fuzz_target!(|data: &[u8]| {
    let table = windrow_fuzz::table();
    fs::write(table.join(MANIFEST), data).unwrap();
    let image = AnySource::open(windrow_fuzz::image(), None).unwrap();
    let _ = folder::verify(image, table, Check::Rows(3), |reader| reader);
});
