#![no_main]

use libfuzzer_sys::fuzz_target;
use windrow::source::{OpenOptions, RawSpec};

fuzz_target!(|text: &str| {
    if let Ok(spec) = text.parse::<RawSpec>() {
        assert_eq!(spec.to_string().parse::<RawSpec>().unwrap(), spec);
        windrow_fuzz::scan("a.bin", &[7; 600], &OpenOptions::new().raw(spec));
    }
});
