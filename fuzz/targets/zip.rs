//! A weight file of torch: a directory of stored files around a pickle.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use lumina_models::weights::pth::PthArchive;

fuzz_target!(|bytes: &[u8]| {
    let _ = PthArchive::read(&mut Cursor::new(bytes));
});
