//! Windows, axes, padding and rows as they are typed, of a small image.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let image = windrow_fuzz::image();
    windrow::fuzzing::arguments(image, text.split_ascii_whitespace().filter(|word| !word.starts_with(['@', '/', '.'])));
});
