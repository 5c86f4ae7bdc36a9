//! The pickle inside a weight file of torch.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lumina_models::weights::pth::check_pickle;

fuzz_target!(|bytes: &[u8]| {
    let _ = check_pickle(bytes);
});
