//! What the tests of the backbones share.

use candle_core::{DType, Device, Tensor};
use lumina_models::backbone::{ForwardOptions, RopeFactors, Stage};
use lumina_models::flow::Guidance;
use lumina_models::nn::rope::RotaryTable;
use lumina_models::weights::Checkpoint;
use serde_json::Value;

use crate::common::{Case, Golden, check, check_masked, golden, largest};

/// Debug values are compared to this share of their largest entry.
const INNER: f64 = 5e-5;

pub(crate) fn checkpoint(folder: &str) -> Checkpoint {
    Checkpoint::open(&golden(folder), "weights").unwrap()
}

/// The arguments of the constructor of the original.
pub(crate) fn constructor(folder: &str) -> Value {
    let text = std::fs::read_to_string(golden(folder).join("config.json")).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    config["constructor"].clone()
}

/// Options without those of the rotary frequencies.
pub(crate) fn options(case: &Case, rope: RopeFactors) -> ForwardOptions {
    let proportional = case.args["proportional_attn"].as_bool().unwrap_or(false);
    let base = case.number("base_seqlen").filter(|_| proportional);
    ForwardOptions {
        rope: rope.into(),
        base_sequence_length: base.map(|base| base as usize),
        ..ForwardOptions::default()
    }
}

/// The first half of the latents twice, as `forward_with_cfg` of the original runs it.
pub(crate) fn doubled(latent: &Tensor) -> Tensor {
    let half = latent.narrow(0, 0, latent.dims()[0] / 2).unwrap();
    Tensor::cat(&[&half, &half], 0).unwrap()
}

/// Both halves as `forward_with_cfg` of the original returns them.
pub(crate) fn guided(velocity: &Tensor, scale: f64) -> Tensor {
    let count = velocity.dims()[0] / 2;
    let conditional = velocity.narrow(0, 0, count).unwrap();
    let unconditional = velocity.narrow(0, count, count).unwrap();
    let first = Guidance::new(scale).combine(&conditional, &unconditional).unwrap();
    // The unused half has the same guided channels, and its own others.
    let rest = unconditional.narrow(1, 3, first.dims()[1] - 3).unwrap();
    let second = Tensor::cat(&[first.narrow(1, 0, 3).unwrap(), rest], 1).unwrap();
    Tensor::cat(&[first, second], 0).unwrap()
}

/// Compares the state at `stage` with the debug values of a case.
pub(crate) fn check_stage(
    folder: &str,
    golden: &Golden,
    case: &Case,
    stage: Stage,
    state: &Tensor,
    last: usize,
) {
    let mixtures = ["feed_forward_time", "feed_forward_space"];
    let names: Vec<String> = match stage {
        Stage::PatchEmbed => vec!["patch_embed".to_owned()],
        Stage::Time => vec!["time_input".to_owned()],
        Stage::Conditioning => vec!["adaln_input".to_owned()],
        Stage::Block(0) => vec!["layer0".to_owned()],
        Stage::Block(index) if index == last => vec!["final_in".to_owned()],
        Stage::Routing { block: 0, mixture } => {
            let named = format!("gate_logits.{}", mixtures[mixture]);
            vec!["gate_logits.feed_forward".to_owned(), named]
        }
        _ => Vec::new(),
    };
    let mask = golden.find(&format!("{}.dbg.x_mask", case.name)).map(crate::common::rows);
    for name in names {
        // Not every folder has every debug value.
        let Some(expected) = golden.find(&format!("{}.dbg.{name}", case.name)) else { continue };
        let what = format!("{folder} {} {name}", case.name);
        let tolerance = INNER * largest(expected);
        match &mask {
            // Padded rows hold what no one reads.
            Some(mask) if expected.rank() == 3 => check_masked(&what, state, expected, mask, tolerance),
            _ => check(&what, state, expected, tolerance),
        }
    }
}

/// Compares the rotary table of latent `index`.
pub(crate) fn check_table(folder: &str, golden: &Golden, case: &Case, index: usize, table: &RotaryTable) {
    for (name, found) in [("freqs_cos", &table.cos), ("freqs_sin", &table.sin)] {
        let expected = golden.get(case, &format!("dbg.{name}"));
        let expected = match expected.dims() {
            [1, _, _] => expected.get(0).unwrap(),
            [_, _, _] => expected.get(index).unwrap(),
            _ => expected.clone(),
        };
        let expected = expected.narrow(0, 0, found.dims()[0]).unwrap();
        check(&format!("{folder} {} {name} {index}", case.name), found, &expected, INNER);
    }
}

pub(crate) fn ones(shape: &[usize]) -> Tensor {
    Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap()
}
