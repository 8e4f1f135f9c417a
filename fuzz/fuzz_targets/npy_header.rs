#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| windrow::fuzzing::npy_header(data));
