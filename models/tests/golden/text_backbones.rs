//! The networks for text, against the original code.

use candle_core::{Device, Tensor};
use lumina_models::backbone::{
    AttentionGrowth, FlagDit, FlagDitConfig, ForwardOptions, NextDit, NextDitConfig, PreparedCaption,
    RopeChange, RopeFactors, RopeScaling, Stage, grid_table, line_table,
};
use lumina_models::nn::rope::RotaryTable;
use lumina_models::{DType, Interrupt, Result};

use crate::backbone_cases::{check_stage, check_table, checkpoint, constructor, doubled, guided, options};
use crate::common::{Case, Golden, caption, check};

enum Network {
    Flag(FlagDit),
    Next(NextDit),
}

type Observe<'a> = &'a mut dyn FnMut(Stage, &Tensor) -> Result<()>;

impl Network {
    fn next(folder: &str) -> Self {
        let checkpoint = checkpoint(folder);
        let config = NextDitConfig::from_checkpoint(&checkpoint).unwrap();
        let never = Interrupt::never();
        Self::Next(NextDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &never).unwrap())
    }

    fn flag(folder: &str) -> Self {
        let checkpoint = checkpoint(folder);
        let config = FlagDitConfig::from_checkpoint(&checkpoint).unwrap();
        let never = Interrupt::never();
        Self::Flag(FlagDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &never).unwrap())
    }

    fn prepare(&self, golden: &Golden, case: &Case) -> PreparedCaption {
        let features = caption(golden.get(case, "cap_feats"), golden.get(case, "cap_mask"));
        match self {
            Self::Flag(network) => network.prepare(&features).unwrap(),
            Self::Next(network) => network.prepare(&features).unwrap(),
        }
    }

    fn velocity(
        &self,
        latent: &Tensor,
        time: &[f64],
        caption: &PreparedCaption,
        options: &ForwardOptions,
        observe: Observe<'_>,
    ) -> Tensor {
        let output = match self {
            Self::Flag(network) => network.forward_observed(latent, time, caption, options, observe),
            Self::Next(network) => network.forward_observed(latent, time, caption, options, observe),
        };
        output.unwrap().narrow(1, 0, latent.dims()[1]).unwrap()
    }

    fn list(
        &self,
        latents: &[Tensor],
        time: &[f64],
        caption: &PreparedCaption,
        options: &ForwardOptions,
        observe: Observe<'_>,
    ) -> Vec<Tensor> {
        match self {
            Self::Flag(network) => network.forward_list_observed(latents, time, caption, options, observe),
            Self::Next(network) => network.forward_list_observed(latents, time, caption, options, observe),
        }
        .unwrap()
    }

    fn layers(&self) -> usize {
        match self {
            Self::Flag(network) => network.config().sizes.num_layers,
            Self::Next(network) => network.config().num_layers,
        }
    }

    fn table(&self, latent: &Tensor, rope: RopeChange) -> RotaryTable {
        let rank = latent.rank();
        let (rows, columns) = (latent.dims()[rank - 2] / 2, latent.dims()[rank - 1] / 2);
        match self {
            Self::Flag(network) => {
                line_table(rows * (columns + 1), network.config().sizes.head_dim(), rope, &Device::Cpu)
            }
            Self::Next(network) => grid_table(rows, columns, network.config().head_dim(), rope, &Device::Cpu),
        }
        .unwrap()
    }
}

/// Runs all cases of a folder; `rope` finds the rotary factors of a case at a time.
fn compare(folder: &str, network: &Network, rope: &dyn Fn(&Case, f64) -> RopeFactors) {
    let golden = Golden::open(folder, "config.json");
    let last = network.layers() - 1;
    for case in &golden.cases {
        let tolerance = case.tol_abs.as_f64().unwrap();
        let what = format!("{folder} {}", case.name);
        let times = golden.times(case, "t");
        let options = options(case, rope(case, times[0]));
        let prepared = network.prepare(&golden, case);
        let mut observe = |stage: Stage, state: &Tensor| {
            check_stage(folder, &golden, case, stage, state, last);
            Ok(())
        };
        if let Some(count) = case.outputs["out"].as_array().map(Vec::len) {
            let latents: Vec<Tensor> =
                (0..count).map(|index| golden.get(case, &format!("x.{index}")).clone()).collect();
            for (index, latent) in latents.iter().enumerate() {
                check_table(folder, &golden, case, index, &network.table(latent, options.rope));
            }
            let outputs = network.list(&latents, &times, &prepared, &options, &mut observe);
            for (index, output) in outputs.iter().enumerate() {
                let expected = golden.get(case, &format!("out.{index}"));
                let output = output.narrow(0, 0, expected.dims()[0]).unwrap();
                check(&format!("{what} list {index}"), &output, expected, tolerance);
            }
            continue;
        }
        let latent = golden.get(case, "x");
        check_table(folder, &golden, case, 0, &network.table(latent, options.rope));
        let output = if case.method == "forward_with_cfg" {
            let velocity = network.velocity(&doubled(latent), &times, &prepared, &options, &mut observe);
            guided(&velocity, case.number("cfg_scale").unwrap())
        } else {
            network.velocity(latent, &times, &prepared, &options, &mut observe)
        };
        check(&what, &output, golden.get(case, "out"), tolerance);
    }
}

fn next_rope(case: &Case, time: f64) -> RopeFactors {
    let number = |name: &str| case.number(name).unwrap_or(1.0);
    RopeScaling { scale_factor: number("scale_factor"), watershed: number("scale_watershed") }
        .factors_at(time)
}

#[test]
fn flag_dit_is_that_of_the_original_code() {
    for folder in ["flag_dit_t2i", "flag_dit_t2i_b"] {
        let built = constructor(folder);
        // A factor that a call leaves out is that of the constructor.
        let factor = |case: &Case, name: &str| case.number(name).or_else(|| built[name].as_f64()).unwrap();
        compare(folder, &Network::flag(folder), &|case, _| RopeFactors {
            linear: factor(case, "rope_scaling_factor"),
            ntk: factor(case, "ntk_factor"),
        });
    }
}

#[test]
fn next_dit_of_the_smaller_code_base_is_that_of_the_original_code() {
    for folder in ["next_dit_mini", "next_dit_t2i_b", "next_dit_t2i"] {
        compare(folder, &Network::next(folder), &next_rope);
    }
}

#[test]
fn next_dit_of_the_anagrams_is_that_of_the_original_code() {
    let folder = "next_dit_anagram";
    let Network::Next(network) = Network::next(folder) else { unreachable!() };
    let network = Network::Next(network.with_attention_growth(AttentionGrowth::Linear));
    compare(folder, &network, &|case, _| RopeFactors {
        linear: 1.0,
        ntk: case.number("scale_factor").unwrap_or(1.0),
    });
}
