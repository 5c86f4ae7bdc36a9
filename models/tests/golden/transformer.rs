//! The network and the scheduler of the pipeline folder.

use candle_core::{DType, Device, Tensor};
use lumina_models::backbone::{ForwardOptions, RopeFactors, Stage, grid_table};
use lumina_models::flow::flow_match_euler;
use lumina_models::{Interrupt, PipelineFolder};

use crate::common::{Golden, caption, check, check_values, golden, largest};

const FOLDER: &str = "lumina_next_pipeline";

#[test]
fn outputs_and_inner_states_are_those_of_diffusers() {
    let folder = PipelineFolder::open(&golden(FOLDER)).unwrap();
    let network = folder.load_backbone(&Device::Cpu, DType::F32, &Interrupt::never()).unwrap();
    let golden = Golden::open(FOLDER, "cases.json");
    for case in golden.with_method("transformer_forward") {
        let latent = golden.get(case, "hidden_states");
        let features = caption(golden.get(case, "encoder_hidden_states"), golden.get(case, "encoder_mask"));
        let rope = &case.args["rope"];
        let rope = RopeFactors {
            linear: rope["linear_factor"].as_f64().unwrap(),
            ntk: rope["ntk_factor"].as_f64().unwrap(),
        };
        let base = case.args["cross_attention_kwargs"]["base_sequence_length"].as_u64();
        let options = ForwardOptions {
            rope: rope.into(),
            base_sequence_length: base.map(|base| base as usize),
            ..ForwardOptions::default()
        };

        let (rows, columns) = (latent.dims()[2] / 2, latent.dims()[3] / 2);
        let table = grid_table(rows, columns, network.config().head_dim(), rope, &Device::Cpu).unwrap();
        for (name, found) in [("rope_cos", &table.cos), ("rope_sin", &table.sin)] {
            let expected = golden.get(case, name).flatten_to(1).unwrap();
            check(&format!("{} {name}", case.name), found, &expected, 2e-5);
        }

        let last = network.config().num_layers - 1;
        let prepared = network.prepare(&features).unwrap();
        let mut observe = |stage: Stage, state: &Tensor| {
            let names: &[&str] = match stage {
                Stage::PatchEmbed => &["patch_embed"],
                Stage::Conditioning => &["conditioning"],
                Stage::Block(0) => &["layer_0"],
                Stage::Block(index) if index == last => &["last_layer"],
                _ => &[],
            };
            for name in names {
                let expected = golden.get(case, &format!("dbg.{name}"));
                check(&format!("{} {name}", case.name), state, expected, 5e-5 * largest(expected));
            }
            Ok(())
        };
        let times = golden.times(case, "timestep");
        let output = network.forward_observed(latent, &times, &prepared, &options, &mut observe).unwrap();
        check(
            &format!("{} sample", case.name),
            &output,
            golden.get(case, "sample"),
            case.tolerance("sample"),
        );
        let velocity = network.velocity(latent, &times, &prepared, &options).unwrap();
        assert_eq!(velocity.dims(), latent.dims());
    }
}

#[test]
fn scheduler_grids_are_those_of_diffusers() {
    let folder = PipelineFolder::open(&golden(FOLDER)).unwrap();
    let golden = Golden::open(FOLDER, "cases.json");
    for case in golden.with_method("set_timesteps") {
        let steps = case.number("num_inference_steps").unwrap() as usize;
        let grid = flow_match_euler(steps, &folder.scheduler, None).unwrap();
        let times: Vec<f32> = grid.times.iter().map(|&time| time as f32).collect();
        for (name, found) in
            [("sigmas", &grid.sigmas), ("timesteps", &grid.timesteps), ("model_time", &times)]
        {
            let expected: Vec<f32> = golden.get(case, name).to_vec1().unwrap();
            check_values(&format!("{} {name}", case.name), found, &expected, case.tolerance(name));
        }
    }
}
