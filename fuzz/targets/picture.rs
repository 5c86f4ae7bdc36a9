//! Where a picture comes from, read from its file.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use lumina_modalities::image::parse_png;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_png(Cursor::new(bytes));
});
