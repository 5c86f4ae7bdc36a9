//! The header of a safetensors file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lumina_models::weights::Header;

fuzz_target!(|bytes: &[u8]| {
    let length = bytes.len() as u64;
    if let Ok(header) = Header::parse(bytes, length) {
        assert!(header.tensors().iter().all(|tensor| tensor.start <= tensor.end && tensor.end <= length));
    }
    // The length of the header is the last thing that random bytes get right.
    let whole = [&length.to_le_bytes()[..], bytes].concat();
    let _ = Header::parse(&whole, whole.len() as u64);
});
