//! The header of a GGUF file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lumina_models::weights::gguf::GgufHeader;

fuzz_target!(|bytes: &[u8]| {
    let _ = GgufHeader::parse(bytes, bytes.len() as u64);
    let _ = GgufHeader::parse(bytes, u64::MAX);
});
