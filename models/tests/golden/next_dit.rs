//! The network under its original names, against the original code.

use candle_core::{Device, Tensor};
use lumina_models::backbone::{ForwardOptions, NextDit, NextDitConfig, RopeScaling};
use lumina_models::flow::Guidance;
use lumina_models::weights::Checkpoint;
use lumina_models::{DType, Interrupt};

use crate::common::{Case, Golden, caption, check, golden};

const FOLDER: &str = "next_dit_t2i";

fn network() -> NextDit {
    let checkpoint = Checkpoint::open(&golden(FOLDER), "weights").unwrap();
    let config = NextDitConfig::from_checkpoint(&checkpoint).unwrap();
    let never = Interrupt::never();
    NextDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &never).unwrap()
}

/// `forward_with_cfg` of the original: the first half of the latents runs with both captions.
fn guided(network: &NextDit, golden: &Golden, case: &Case) -> Tensor {
    let number = |name: &str, default: f64| case.number(name).unwrap_or(default);
    let times = golden.times(case, "t");
    let scaling =
        RopeScaling { scale_factor: number("scale_factor", 1.0), watershed: number("scale_watershed", 1.0) };
    let options = ForwardOptions {
        rope: scaling.factors_at(times[0]).into(),
        base_sequence_length: case.number("base_seqlen").map(|base| base as usize),
        ..ForwardOptions::default()
    };
    let x = golden.get(case, "x");
    let half = x.narrow(0, 0, x.dims()[0] / 2).unwrap();
    let count = half.dims()[0];
    let input = Tensor::cat(&[&half, &half], 0).unwrap();
    let prepared =
        network.prepare(&caption(golden.get(case, "cap_feats"), golden.get(case, "cap_mask"))).unwrap();
    let velocity = network.velocity(&input, &times, &prepared, &options).unwrap();
    let conditional = velocity.narrow(0, 0, count).unwrap();
    let unconditional = velocity.narrow(0, count, count).unwrap();
    let first = Guidance::new(number("cfg_scale", 1.0)).combine(&conditional, &unconditional).unwrap();
    // The unused half has the same guided channels, and its own others.
    let rest = unconditional.narrow(1, 3, first.dims()[1] - 3).unwrap();
    let second = Tensor::cat(&[first.narrow(1, 0, 3).unwrap(), rest], 1).unwrap();
    Tensor::cat(&[first, second], 0).unwrap()
}

#[test]
fn outputs_are_those_of_the_original_code() {
    let network = network();
    let golden = Golden::open(FOLDER, "config.json");
    for case in &golden.cases {
        let tolerance = case.tol_abs.as_f64().unwrap();
        let what = format!("next_dit_t2i {}", case.name);
        if case.method == "forward_with_cfg" {
            check(&what, &guided(&network, &golden, case), golden.get(case, "out"), tolerance);
            continue;
        }
        let times = golden.times(case, "t");
        let prepared =
            network.prepare(&caption(golden.get(case, "cap_feats"), golden.get(case, "cap_mask"))).unwrap();
        let options = ForwardOptions::default();
        if let Some(count) = case.outputs["out"].as_array().map(Vec::len) {
            let latents: Vec<Tensor> =
                (0..count).map(|index| golden.get(case, &format!("x.{index}")).clone()).collect();
            let outputs = network.forward_list(&latents, &times, &prepared, &options).unwrap();
            for (index, output) in outputs.iter().enumerate() {
                let expected = golden.get(case, &format!("out.{index}"));
                let output = output.narrow(0, 0, expected.dims()[0]).unwrap();
                check(&format!("{what} list {index}"), &output, expected, tolerance);
            }
        } else {
            let output = network.velocity(golden.get(case, "x"), &times, &prepared, &options).unwrap();
            check(&what, &output, golden.get(case, "out"), tolerance);
        }
    }
}
