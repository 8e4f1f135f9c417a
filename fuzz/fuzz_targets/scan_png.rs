#![no_main]

use libfuzzer_sys::fuzz_target;
use windrow::source::OpenOptions;

fuzz_target!(|data: &[u8]| windrow_fuzz::scan("a.png", data, &OpenOptions::new()));
