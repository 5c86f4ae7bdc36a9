//! A file of parameters.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lumina_engine::{Source, parse_values, render};

fuzz_target!(|text: &str| {
    let source = Source::new("params.ron", text);
    let (_, diagnostics) = parse_values(&source);
    render(&[source], &diagnostics, false);
});
