//! Text features and whole pictures of the pipeline folder.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
use lumina_models::backbone::{Backbone, ForwardOptions, NextDit, PreparedCaption, RopeScaling, grid_table};
use lumina_models::flow::{
    Count, Euler, Grid, Guidance, Schedules, Settings, Solver, Solvers, flow_match_euler, integrate,
};
use lumina_models::text::{Padding, TextEncoder, TextFeatures, prepare_prompt};
use lumina_models::{Interrupt, PipelineFolder};

use crate::common::{Case, Golden, check, check_masked, check_values, golden, rows};

const FOLDER: &str = "lumina_next_pipeline";

fn open() -> (PipelineFolder, Golden) {
    (PipelineFolder::open(&golden(FOLDER)).unwrap(), Golden::open(FOLDER, "cases.json"))
}

/// Features of prompts and, for guidance, of negative prompts, as diffusers makes them.
fn encode(encoder: &TextEncoder, case: &Case, guided: bool) -> (TextFeatures, Option<TextFeatures>) {
    let prompts = case.texts("prompt").unwrap();
    let prepared: Vec<String> = prompts.iter().map(|prompt| prepare_prompt(prompt)).collect();
    let interrupt = Interrupt::never();
    let positive = encoder.encode(&prepared, Padding::LongestMultipleOf(8), &interrupt).unwrap();
    let negative = guided.then(|| {
        let mut texts = case.texts("negative_prompt").unwrap_or_else(|| vec![String::new()]);
        if texts.len() < prompts.len() {
            texts = vec![texts[0].clone(); prompts.len()];
        }
        encoder.encode(&texts, Padding::Exactly(positive.tokens()), &interrupt).unwrap()
    });
    (positive, negative)
}

#[test]
fn tokens_and_features_are_those_of_diffusers() {
    let (folder, golden) = open();
    let encoder = folder.load_text_encoder(&Device::Cpu, DType::F32, &Interrupt::never()).unwrap();
    for case in golden.with_method("encode_prompt") {
        let guided = case.args["do_classifier_free_guidance"].as_bool().unwrap();
        let images = case.number("num_images_per_prompt").unwrap_or(1.0) as usize;
        let (positive, negative) = encode(&encoder, case, guided);
        for (prefix, features) in [("", Some(positive)), ("negative_", negative)] {
            let Some(features) = features else { continue };
            let name = |name: &str| format!("{prefix}{name}");
            assert_eq!(features.ids, golden.rows(case, &name("input_ids")), "{}", case.name);
            let mask = golden.rows(case, &name("attention_mask"));
            assert_eq!(rows(&features.mask), mask, "{}", case.name);
            let repeated = features.repeat(images).unwrap();
            let mask_name = name("prompt_attention_mask");
            if !case.optional_outputs.contains(&mask_name) {
                assert_eq!(rows(&repeated.mask), golden.rows(case, &mask_name), "{}", case.name);
            }
            let embeds = name("prompt_embeds");
            let what = format!("{} {embeds}", case.name);
            let (expected, mask) = (golden.get(case, &embeds), rows(&repeated.mask));
            check_masked(&what, &repeated.features, expected, &mask, case.tolerance(&embeds));
        }
    }
}

/// One case at a time, with the parts of the folder loaded once.
struct Pipeline {
    folder: PipelineFolder,
    encoder: TextEncoder,
    network: NextDit,
    golden: Golden,
}

impl Pipeline {
    fn open() -> Self {
        let (folder, golden) = open();
        let (device, dtype, interrupt) = (Device::Cpu, DType::F32, Interrupt::never());
        Self {
            encoder: folder.load_text_encoder(&device, dtype, &interrupt).unwrap(),
            network: folder.load_backbone(&device, dtype, &interrupt).unwrap(),
            folder,
            golden,
        }
    }

    fn caption(&self, case: &Case, guided: bool) -> PreparedCaption {
        let images = case.number("num_images_per_prompt").unwrap_or(1.0) as usize;
        let (positive, negative) = encode(&self.encoder, case, guided);
        assert_eq!(positive.ids, self.golden.rows(case, "input_ids"));
        if let Some(negative) = &negative {
            assert_eq!(negative.ids, self.golden.rows(case, "negative_input_ids"));
        }
        let all: Vec<TextFeatures> = [Some(positive), negative]
            .into_iter()
            .flatten()
            .map(|part| part.repeat(images).unwrap())
            .collect();
        self.network.prepare(&TextFeatures::concat(&all.iter().collect::<Vec<_>>()).unwrap()).unwrap()
    }

    fn run(&self, case: &Case) {
        let number = |name: &str| case.number(name).unwrap();
        let guidance = Guidance::new(number("guidance_scale"));
        let caption = self.caption(case, guidance.is_active());
        let side = (8 * self.network.config().sample_size) as f64;
        let scaling = RopeScaling {
            scale_factor: (number("width") * number("height") / (side * side)).sqrt(),
            watershed: number("scaling_watershed"),
        };
        let proportional = case.args["proportional_attn"].as_bool().unwrap();
        let base_sequence_length = proportional.then(|| self.network.config().base_sequence_length());
        let (grid, solver) = self.scheduler(case);

        // States as the network sees them: after a step, and halfway with Heun's method.
        let (mut seen, mut told) = (Vec::new(), Vec::new());
        let velocity = |latent: &Tensor, time: f64| {
            let time = grid.told(time);
            let rope = scaling.factors_at(time);
            let options =
                ForwardOptions { rope: rope.into(), base_sequence_length, ..ForwardOptions::default() };
            let batch = latent.dim(0)?;
            let input =
                if guidance.is_active() { Tensor::cat(&[latent, latent], 0)? } else { latent.clone() };
            let output = self.network.forward(&input, &[time], &caption, &options)?;
            if seen.is_empty() {
                let what = format!("{} model_out_first", case.name);
                let expected = self.golden.get(case, "dbg.model_out_first");
                check(&what, &output, expected, case.tolerance("model_out_first"));
            }
            seen.push(latent.clone());
            told.push(time);
            let output = output.narrow(1, 0, latent.dim(1)?)?;
            if guidance.is_active() {
                guidance.combine(&output.narrow(0, 0, batch)?, &output.narrow(0, batch, batch)?)
            } else {
                Ok(output.contiguous()?)
            }
        };
        let start = self.golden.get(case, "latents");
        let solution =
            integrate(&*solver, start, &grid.points, velocity, |_| ControlFlow::Continue(())).unwrap();
        seen.push(solution.latent.clone());
        self.check_times(case, &told, scaling);
        assert_eq!(told.len(), self.golden.get(case, "model_calls").dims()[0]);
        for (step, state) in seen.iter().enumerate().skip(1) {
            let name = format!("latents_after_step_{step}");
            let what = format!("{} {name}", case.name);
            check(&what, state, self.golden.get(case, &name), case.tolerance(&name));
        }
        if case.outputs.contains_key("decoded") {
            self.check_picture(case, &solution.latent);
        }
    }

    /// The grid and the solver that stand for the scheduler of a case.
    fn scheduler(&self, case: &Case) -> (Grid, Box<dyn Solver>) {
        let steps = case.number("num_inference_steps").unwrap() as usize;
        let shift = case.scheduler_config["flow_shift"].as_f64().unwrap_or(1.0);
        let named = |schedule: &str, solver: &str| {
            let settings = Settings::new().number("shift", shift);
            let schedule = Schedules::built_in().build(schedule, &settings).unwrap();
            let solver = Solvers::built_in().build(solver, &Settings::new()).unwrap();
            (schedule.grid(Count::Steps(steps)).unwrap(), solver)
        };
        match case.scheduler_config["_class_name"].as_str() {
            Some("FlowMatchHeunDiscreteScheduler") => named("diffusers", "heun_diffusers"),
            Some("DPMSolverMultistepScheduler") => named("diffusers_dpm", "dpmpp_2m"),
            Some("UniPCMultistepScheduler") => named("diffusers_unipc", "unipc"),
            _ => {
                let own: Option<Vec<f64>> = case.args["sigmas"]
                    .as_array()
                    .map(|all| all.iter().map(|one| one.as_f64().unwrap()).collect());
                let grid = flow_match_euler(steps, &self.folder.scheduler, own.as_deref()).unwrap();
                (Grid::new(grid.points()), Box::new(Euler))
            }
        }
    }

    fn check_times(&self, case: &Case, times: &[f64], scaling: RopeScaling) {
        let found: Vec<f32> = times.iter().map(|&time| time as f32).collect();
        let expected: Vec<f32> = self.golden.get(case, "model_time").to_vec1().unwrap();
        let what = format!("{} model_time", case.name);
        check_values(&what, &found, &expected, case.tolerance("model_time"));
        for (when, time) in [("first", times[0]), ("last", times[times.len() - 1])] {
            for part in ["cos", "sin"] {
                // A table that is equal to that of an earlier case is not kept.
                let recorded = self.golden.find(&format!("{}.dbg.rope_{part}_{when}", case.name));
                let Some(expected) = recorded else { continue };
                let (rows, columns) = (expected.dims()[0], expected.dims()[1]);
                let head_dim = self.network.config().head_dim();
                let factors = scaling.factors_at(time);
                let table = grid_table(rows, columns, head_dim, factors, &Device::Cpu).unwrap();
                let found = if part == "cos" { &table.cos } else { &table.sin };
                let expected = expected.flatten_to(1).unwrap();
                check(&format!("{} rope_{part}_{when}", case.name), found, &expected, 2e-5);
            }
        }
    }

    fn check_picture(&self, case: &Case, latent: &Tensor) {
        let interrupt = Interrupt::never();
        let autoencoder = self.folder.load_autoencoder(&Device::Cpu, DType::F32, &interrupt).unwrap();
        let latent = autoencoder.config().model_to_latent(latent).unwrap();
        let decoded = autoencoder.decode(&latent, &interrupt).unwrap();
        let what = format!("{} decoded", case.name);
        check(&what, &decoded, self.golden.get(case, "decoded"), case.tolerance("decoded"));
    }
}

#[test]
fn latents_after_every_step_and_pictures_are_those_of_diffusers() {
    let pipeline = Pipeline::open();
    let mut covered = 0;
    for case in pipeline.golden.with_method("pipeline") {
        if case.optional {
            println!("{}: skipped, it asks for a slip of the reference; its tensors are not kept", case.name);
            continue;
        }
        pipeline.run(case);
        covered += 1;
    }
    assert_eq!(covered, 17);
}
