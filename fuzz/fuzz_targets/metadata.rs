//! How a table was made, as the schema of a file says it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| windrow::fuzzing::metadata(text));
