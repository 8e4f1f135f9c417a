//! An array in a folder: what it says of itself, up to a zero byte, and then what all of its chunks are.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use windrow::source::OpenOptions;

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|&byte| byte == 0).unwrap_or(data.len());
    let (said, chunk) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let folder = windrow_fuzz::folder().join("a.zarr");
    for part in ["c/0", "c/1"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    let (new, old) = if said.windows(6).any(|text| text == b"\"codec") { ("zarr.json", ".zarray") } else { (".zarray", "zarr.json") };
    let _ = fs::remove_file(folder.join(old));
    fs::write(folder.join(new), said).unwrap();
    for name in ["c/0/0", "c/0/1", "c/1/0", "0.0", "0.1", "1.0"] {
        fs::write(folder.join(name), chunk).unwrap();
    }
    windrow_fuzz::scan_path(&folder, &OpenOptions::new());
});
