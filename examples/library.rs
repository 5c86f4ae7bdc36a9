//! The engine from a Rust program: a graph built in code, run twice, its picture used.
//!
//! `cargo run --release --example library`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

use std::path::Path;

use anyhow::{Context, Result, bail};
use lumina_graph::engine::{
    Engine, Event, GraphBuilder, Overrides, Registry, Resources, RunOptions, link, param, render,
};
use lumina_graph::modalities::image::{Image, to_rgb};
use lumina_graph::nodes::Compute;
use lumina_graph::{CorePlugins, LocalWorld};

fn main() -> Result<()> {
    let graph = GraphBuilder::new("from_code")
        .param("prompt", "a red apple")
        .node("model", "model.open", |node| node.with("path", "weights/lumina-next-tiny"))
        .node("text", "text.encode", |node| {
            node.with("encoder", link("model.text_encoder")).with("prompt", param("prompt"))
        })
        .node("noise", "image.noise", |node| {
            node.with("space", link("model.space")).with("width", 64).with("height", 64).with("seed", 1)
        })
        .node("guided", "guidance.cfg", |node| {
            node.with("backbone", link("model.backbone"))
                .with("positive", link("text"))
                .with("channels", "all")
        })
        .node("times", "schedule.flow", |node| node.with("steps", 8))
        .node("latent", "sampler.ode", |node| {
            node.with("velocity", link("guided")).with("start", link("noise")).with("times", link("times"))
        })
        .node("image", "image.decode", |node| {
            node.with("decoder", link("model.decoder")).with("latent", link("latent"))
        });

    // What the graph may use of this machine: its files, found beside this folder, and the CPU.
    let compute = Compute::open("cpu", "f32")?;
    let environment = compute.to_string();
    let mut resources = Resources::default();
    resources.insert(compute);
    let world = LocalWorld::new(Path::new("from_code.ron"), environment, resources);

    let mut registry = Registry::new();
    registry.plugin(CorePlugins);
    let engine = Engine::new(registry);

    for prompt in ["a red apple", "an octopus", "an octopus"] {
        let set = Overrides::default().set("prompt", prompt);
        let (_, checked) = engine.check(graph.source(), &world, &set);
        let Some(checked_graph) = checked.graph else {
            bail!("{}", render(&checked.sources, &checked.diagnostics, false));
        };
        let steps = |event: &Event| {
            if let Event::NodeProgress { done, total, unit: "step", .. } = event {
                let end = if done == total { "\n" } else { "" };
                eprint!("\r{done}/{total}{end}");
            }
        };
        let report =
            engine.run(&checked_graph, &world, RunOptions { events: &steps, ..RunOptions::default() });
        if let Some((node, cause)) = report.failures().first() {
            bail!("node `{node}`: {cause}");
        }
        let image = report.outputs["image"][0].downcast::<Image>().context("no picture")?;
        let pictures = to_rgb(&image.tensor)?;
        let (width, height, rgb) = &pictures[0];
        let mean = rgb.iter().map(|byte| u64::from(*byte)).sum::<u64>() / rgb.len() as u64;
        println!("{prompt}: {width} x {height}, mean brightness {mean}; ran {:?}", report.ran());
    }
    Ok(())
}
