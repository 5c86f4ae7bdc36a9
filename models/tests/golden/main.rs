//! Comparison with what the reference implementations compute; `tests/golden/README.md` says where the data is from.

mod autoencoder;
mod common;
mod formula;
mod gemma;
mod next_dit;
mod pipeline;
mod transformer;
