//! Graphs against diffusers: the cases of `tests/golden/lumina_next_pipeline`, driven through nodes alone.
//!
//! Every case becomes a graph whose `tensor.compare` nodes hold each latent, the decoded picture and single
//! velocities against the recorded ones, within the tolerance of the case.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and says what it measured")]

mod support;

use std::fmt::Write;
use std::path::Path;

use lumina_graph::engine::{Outcome, RunOptions, Value as Output};
use serde_json::Value;
use support::{checked, engine, golden_pipeline, world};

/// Cases that are left out, and why.
const NOT_COVERED: &[(&str, &str)] =
    &[("pipe_two_prompts_two_images_quirk", "optional: asks for a slip of the reference")];

fn cases(method: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(golden_pipeline().join("cases.json")).unwrap();
    // Python writes numbers that JSON does not have; no case that is covered has one.
    let cases: Value = serde_json::from_str(&text.replace("-Infinity", "null")).unwrap();
    cases["cases"].as_array().unwrap().iter().filter(|case| case["method"] == method).cloned().collect()
}

fn name(case: &Value) -> &str {
    case["name"].as_str().unwrap()
}

/// Nodes `expected_KEY` and `apart_KEY` that hold `link` against a recorded tensor.
fn compare(nodes: &mut String, case: &Value, key: &str, link: &str) {
    let recorded = case["outputs"][key].as_str().unwrap();
    let tolerance = case["tol_abs"][key].as_f64().unwrap();
    let file = golden_pipeline().join("cases.safetensors");
    writeln!(
        nodes,
        r#""expected_{key}": Node(kind: "tensor.load", with: {{ "path": {file:?}, "name": "{recorded}" }}),
           "apart_{key}": Node(kind: "tensor.compare", with: {{ "a": Link("{link}"), "b": Link("expected_{key}"), "tolerance": {tolerance:?} }}),"#,
    )
    .unwrap();
}

fn load(nodes: &mut String, node: &str, recorded: &str) {
    let file = golden_pipeline().join("cases.safetensors");
    writeln!(
        nodes,
        r#""{node}": Node(kind: "tensor.load", with: {{ "path": {file:?}, "name": "{recorded}" }}),"#
    )
    .unwrap();
}

fn graph(nodes: &str) -> String {
    let model = golden_pipeline();
    format!(
        "Graph(format: 1, nodes: {{\n\"model\": Node(kind: \"model.open\", with: {{ \"path\": {model:?} }}),\n{nodes}}})"
    )
}

/// Runs a graph and asserts that all of its comparisons ran and held.
fn assert_all_hold(name: &str, text: &str, comparisons: usize) {
    let (engine, world) = (engine(), world());
    let graph = checked(&engine, &world, text);
    let report = engine.run(&graph, &world, RunOptions::default());
    assert_eq!(report.failures(), [], "{name}");
    let apart: Vec<&(String, Outcome)> =
        report.nodes.iter().filter(|(node, _)| node.starts_with("apart_")).collect();
    assert_eq!(apart.len(), comparisons, "{name}");
    assert!(apart.iter().all(|(_, outcome)| *outcome == Outcome::Ran), "{name}");
    for (node, outputs) in report.outputs.iter().filter(|(node, _)| node.starts_with("apart_")) {
        if let [Output::Float(difference)] = &**outputs {
            println!("{name} {node}: {difference:e}");
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", ")),
        // A JSON text is a RON text but for escapes above the basic plane, which are written out here.
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

/// A pipeline case as a graph; gives the number of comparisons in it.
fn pipeline(case: &Value, folder: &Path) -> (String, usize) {
    let arguments = &case["args"];
    let outputs = case["outputs"].as_object().unwrap();
    let states = outputs.keys().filter(|key| key.starts_with("latents_after_step_")).count();
    let steps = arguments["num_inference_steps"].as_u64().unwrap() as usize;
    let mut nodes = String::new();
    load(&mut nodes, "recorded_noise", case["inputs"]["latents"].as_str().unwrap());
    let prompt = text(&arguments["prompt"]);
    let prompts = arguments["prompt"].as_array().map_or(1, Vec::len);
    let images = arguments["num_images_per_prompt"].as_u64().unwrap_or(1);
    writeln!(
        nodes,
        r#""start": Node(kind: "tensor.latent", with: {{ "tensor": Link("recorded_noise"), "space": Link("model.space") }}),
           "text": Node(kind: "text.encode", with: {{ "encoder": Link("model.text_encoder"), "prompt": {prompt} }}),"#,
    )
    .unwrap();
    let mut negative = String::new();
    if let Some(found) = arguments.get("negative_prompt") {
        let found = text(&Value::Array(vec![found.clone(); prompts]));
        writeln!(
            nodes,
            r#""negative": Node(kind: "text.encode", with: {{ "encoder": Link("model.text_encoder"), "prompt": {found}, "clean": "none", "pad_like": Link("text") }}),"#,
        )
        .unwrap();
        negative = r#""negative": Link("negative"), "#.to_owned();
    }
    let sigmas =
        arguments.get("sigmas").map_or(String::new(), |sigmas| format!("\"sigmas\": {}, ", text(sigmas)));
    let (scale, watershed) =
        (arguments["guidance_scale"].as_f64().unwrap(), arguments["scaling_watershed"].as_f64().unwrap());
    let proportional = arguments["proportional_attn"].as_bool().unwrap();
    let scheduler = &case["scheduler_config"];
    let (grid, solver) = match scheduler["_class_name"].as_str() {
        Some("FlowMatchHeunDiscreteScheduler") => ("diffusers", Some("heun_diffusers")),
        Some("DPMSolverMultistepScheduler") => ("diffusers_dpm", Some("dpmpp_2m")),
        Some("UniPCMultistepScheduler") => ("diffusers_unipc", Some("unipc")),
        _ => ("diffusers", None),
    };
    let shift = scheduler["flow_shift"].as_f64().unwrap_or(1.0);
    writeln!(
        nodes,
        r#""guided": Node(kind: "guidance.cfg", with: {{ "backbone": Link("model.backbone"), "positive": Link("text"), {negative}
               "scale": {scale:?}, "channels": "first3", "images_per_prompt": {images}, "proportional_attention": {proportional},
               "rope_scaling": "diffusers", "watershed": {watershed:?} }}),
           "times": Node(kind: "schedule.flow", with: {{ "grid": "{grid}", "shift": {shift:?}, {sigmas}"steps": {steps} }}),"#,
    )
    .unwrap();
    let mut before = "start".to_owned();
    if let Some(solver) = solver {
        // A solver that remembers its steps makes them all at once, so that only the last state is compared.
        writeln!(
            nodes,
            r#""latent": Node(kind: "sampler.ode", with: {{ "velocity": Link("guided"), "start": Link("start"), "times": Link("times"), "solver": "{solver}" }}),"#,
        )
        .unwrap();
        compare(&mut nodes, case, &format!("latents_after_step_{states}"), "latent");
        return (graph(&nodes), 1);
    }
    for step in 1..=steps {
        writeln!(
            nodes,
            r#""step_{step}": Node(kind: "sampler.ode", with: {{ "velocity": Link("guided"), "start": Link("{before}"), "times": Link("times"),
                   "start_step": {}, "end_step": {step} }}),"#,
            step - 1,
        )
        .unwrap();
        before = format!("step_{step}");
        compare(&mut nodes, case, &format!("latents_after_step_{step}"), &before);
    }
    if !outputs.contains_key("decoded") {
        return (graph(&nodes), steps);
    }
    let path = folder.join(format!("{}.png", name(case)));
    writeln!(
        nodes,
        r#""image": Node(kind: "image.decode", with: {{ "decoder": Link("model.decoder"), "latent": Link("{before}") }}),
           "numbers": Node(kind: "image.tensor", with: {{ "image": Link("image") }}),
           "saved": Node(kind: "image.save", with: {{ "image": Link("image"), "path": {path:?} }}),"#,
    )
    .unwrap();
    compare(&mut nodes, case, "decoded", "numbers");
    (graph(&nodes), steps + 1)
}

#[test]
fn every_latent_and_picture_of_the_pipeline_is_that_of_diffusers() {
    let folder = tempfile::tempdir().unwrap();
    let mut covered = 0;
    for case in cases("pipeline") {
        let name = name(&case);
        if let Some((_, reason)) = NOT_COVERED.iter().find(|(left_out, _)| *left_out == name) {
            println!("{name}: not covered, {reason}");
            continue;
        }
        let (text, comparisons) = pipeline(&case, folder.path());
        assert_all_hold(name, &text, comparisons);
        assert_bytes_match(&case, folder.path());
        covered += 1;
    }
    assert_eq!(covered, cases("pipeline").len() - NOT_COVERED.len());
}

/// The pictures of a case, byte for byte within 1 of those that diffusers makes of the recorded numbers.
fn assert_bytes_match(case: &Value, folder: &Path) {
    let Some(key) = case["outputs"]["decoded"].as_str() else { return };
    let bytes = std::fs::read(golden_pipeline().join("cases.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let decoded = tensors.tensor(key).unwrap();
    let &[count, channels, height, width] = decoded.shape() else { panic!("{key}") };
    let numbers: Vec<f32> =
        decoded.data().as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)).collect();
    for (index, theirs) in numbers.chunks(channels * height * width).enumerate() {
        let number = if count == 1 { String::new() } else { format!("_{index}") };
        let file = format!("{}{number}.png", name(case));
        let ours = image::open(folder.join(&file)).unwrap().to_rgb8();
        assert_eq!(ours.dimensions(), (width as u32, height as u32));
        let mut most = 0.0_f32;
        for (x, y, pixel) in ours.enumerate_pixels() {
            for (channel, &byte) in pixel.0.iter().enumerate() {
                let value = theirs[(channel * height + y as usize) * width + x as usize];
                let wanted = ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round();
                most = most.max((f32::from(byte) - wanted).abs());
            }
        }
        println!("{file}: bytes differ by at most {most}");
        assert!(most <= 1.0, "{file}: {most}");
    }
}

#[test]
fn single_velocities_are_those_of_diffusers() {
    let found = cases("transformer_forward");
    assert!(found.len() >= 5);
    for case in found {
        let inputs = &case["inputs"];
        let mut nodes = String::new();
        for (node, key) in [
            ("latent", "hidden_states"),
            ("time", "timestep"),
            ("features", "encoder_hidden_states"),
            ("mask", "encoder_mask"),
        ] {
            load(&mut nodes, node, inputs[key].as_str().unwrap());
        }
        let rope = &case["args"]["rope"];
        let (linear, ntk) = (rope["linear_factor"].as_f64().unwrap(), rope["ntk_factor"].as_f64().unwrap());
        let base = case["args"]["cross_attention_kwargs"].get("base_sequence_length").and_then(Value::as_u64);
        let base = base.map_or(String::new(), |base| format!("\"base_sequence_length\": {base}, "));
        writeln!(
            nodes,
            r#""velocity": Node(kind: "backbone.velocity", with: {{ "backbone": Link("model.backbone"), "latent": Link("latent"),
                   "time": Link("time"), "features": Link("features"), "mask": Link("mask"), {base}
                   "linear": {linear:?}, "ntk": {ntk:?}, "raw": true }}),"#,
        )
        .unwrap();
        compare(&mut nodes, &case, "sample", "velocity");
        assert_all_hold(name(&case), &graph(&nodes), 1);
    }
}

#[test]
fn a_comparison_that_does_not_hold_fails() {
    let mut case = cases("transformer_forward").remove(0);
    case["tol_abs"]["sample"] = Value::from(1e-12);
    let mut nodes = String::new();
    load(&mut nodes, "latent", case["inputs"]["hidden_states"].as_str().unwrap());
    load(&mut nodes, "other", case["outputs"]["sample"].as_str().unwrap());
    let text = graph(
        &(nodes
            + r#""apart_x": Node(kind: "tensor.compare", with: { "a": Link("other"), "b": Link("other"), "tolerance": 0.0 }),
        "apart_y": Node(kind: "tensor.compare", with: { "a": Link("latent"), "b": Link("latent"), "tolerance": 0.0 }),"#),
    );
    assert_all_hold("equal", &text, 2);
    let (engine, world) = (engine(), world());
    let moved = text.replace(r#""a": Link("latent"), "b": Link("latent")"#, r#""a": Link("latent"), "b": Link("noise")"#).replace(
        "\"apart_x\"",
        r#""noise": Node(kind: "image.noise", with: { "space": Link("model.space"), "width": 64, "height": 64, "batch": 2 }), "apart_x""#,
    );
    let graph = checked(&engine, &world, &moved);
    let report = engine.run(&graph, &world, RunOptions::default());
    assert_eq!(report.failures().len(), 1);
    assert!(report.failures()[0].1.to_string().starts_with("the largest difference is"));
}
