//! What the engine itself costs: graphs of nodes that do next to nothing, and files full of mistakes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark may panic and print, and its macros document nothing"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lumina_engine::{Engine, Graph, Overrides, RunOptions, Source, render};
use support::{FakeWorld, check, registry};

/// The text of a graph of so many nodes, or of the node at a position.
type TextOf = fn(usize) -> String;

/// A chain whose nodes also take what stands half-way back.
fn chain(nodes: usize) -> String {
    file(nodes, |index| {
        let (before, other) = (index.max(1) - 1, index / 2);
        match index {
            0 => r#"Node(kind: "number.add", with: {"a": 0})"#.to_owned(),
            _ => {
                format!(
                    r#"Node(kind: "number.add", with: {{"a": Link("n{before}"), "b": Link("n{other}")}})"#
                )
            }
        }
    })
}

/// One node that feeds all others, and one that takes all of them.
fn fan(nodes: usize) -> String {
    file(nodes, |index| match index {
        0 => r#"Node(kind: "number.add", with: {"a": 0})"#.to_owned(),
        _ if index + 1 == nodes => {
            let links: String = (1..index).map(|source| format!("Link(\"n{source}\"), ")).collect();
            format!(r#"Node(kind: "number.sum", with: {{"items": [{links}]}})"#)
        }
        _ => format!(r#"Node(kind: "number.add", with: {{"a": Link("n0"), "b": {index}}})"#),
    })
}

fn file(nodes: usize, node: impl Fn(usize) -> String) -> String {
    let nodes: String = (0..nodes).map(|index| format!("\"n{index}\": {},\n", node(index))).collect();
    format!("Graph(format: 1, nodes: {{\n{nodes}}})")
}

/// Files in which every node has a mistake.
const MISTAKES: [(&str, TextOf); 6] = [
    ("unknown_node", |index| format!(r#"Node(kind: "number.add", with: {{"a": Link("m{index}")}})"#)),
    ("unknown_kind", |_| r#"Node(kind: "number.ad", with: {"a": 1})"#.to_owned()),
    ("unknown_parameter", |index| format!(r#"Node(kind: "number.add", with: {{"a": Param("p{index}")}})"#)),
    ("wrong_argument", |_| r#"Node(kind: "number.add", with: {"a": Link(7)})"#.to_owned()),
    ("wrong_form", |_| r#"Node(kind: "number.add", with: {"a": Link("n0", "n1")})"#.to_owned()),
    ("given_twice", |_| r#"Node(kind: "number.add", with: {"a": 1, "a": 2})"#.to_owned()),
];

fn graph(engine: &Engine, world: &FakeWorld, text: &str) -> Graph {
    check(engine, world, text, &Overrides::default()).graph.unwrap()
}

fn evaluation(criterion: &mut Criterion) {
    let world = FakeWorld::default();
    let mut costs = Vec::new();
    let shapes: [(&str, TextOf, &[usize]); 2] =
        [("chain", chain, &[1_000, 3_000, 10_000, 100_000]), ("fan", fan, &[1_000, 10_000])];
    for (shape, text_of, sizes) in shapes {
        let mut group = criterion.benchmark_group(shape);
        group.sample_size(10);
        for &nodes in sizes {
            let text = text_of(nodes);
            let engine = Engine::new(registry());
            let checked = graph(&engine, &world, &text);
            group.throughput(Throughput::Elements(nodes as u64));
            let mut bench = |name: &str, prepare: &dyn Fn(), measured: &dyn Fn()| {
                group.bench_function(BenchmarkId::new(name, nodes), |bencher| {
                    bencher.iter_custom(|times| {
                        let mut elapsed = Duration::ZERO;
                        for _ in 0..times {
                            prepare();
                            let started = Instant::now();
                            measured();
                            elapsed += started.elapsed();
                        }
                        let time = elapsed.div_f64(times as f64);
                        costs.push(Cost { shape, name: name.to_owned(), nodes, time });
                        elapsed
                    });
                });
            };
            let run = || drop(engine.run(&checked, &world, RunOptions::default()));
            bench("check", &|| {}, &|| drop(graph(&engine, &world, &text)));
            bench("plan_cold", &|| engine.cache().memory.clear(), &|| {
                drop(engine.plan(&checked, &world, None))
            });
            bench("run_cold", &|| engine.cache().memory.clear(), &run);
            run();
            bench("plan_cached", &|| {}, &|| drop(engine.plan(&checked, &world, None)));
            bench("run_cached", &|| {}, &run);
        }
        group.finish();
    }
    print_costs(&costs);
}

/// One sample of a benchmark.
struct Cost {
    shape: &'static str,
    name: String,
    nodes: usize,
    time: Duration,
}

/// The median time of each benchmark, and what that makes for a node.
fn print_costs(costs: &[Cost]) {
    println!("\n{:<20} {:>8} {:>12} {:>12}", "benchmark", "nodes", "median", "for a node");
    let costs_of_one = |a: &Cost, b: &Cost| (a.shape, &a.name, a.nodes) == (b.shape, &b.name, b.nodes);
    for samples in costs.chunk_by(costs_of_one) {
        let Cost { shape, name, nodes, .. } = &samples[0];
        let mut times: Vec<Duration> = samples.iter().map(|sample| sample.time).collect();
        times.sort();
        let median = times[times.len() / 2];
        let each = median.div_f64(*nodes as f64);
        println!(
            "{:<20} {nodes:>8} {:>12} {:>12}",
            format!("{shape}/{name}"),
            format!("{median:.2?}"),
            format!("{each:.2?}")
        );
    }
}

fn mistakes(criterion: &mut Criterion) {
    let world = FakeWorld::default();
    let engine = Engine::new(registry());
    let mut group = criterion.benchmark_group("mistakes");
    group.sample_size(10);
    for (name, node) in MISTAKES {
        for nodes in [1_000, 10_000] {
            let text = file(nodes, node);
            group.throughput(Throughput::Elements(nodes as u64));
            group.bench_function(BenchmarkId::new(name, nodes), |bencher| {
                bencher.iter(|| {
                    let source = Source::new("a.ron", &*text);
                    let (_, checked) = engine.check(source, &world, &Overrides::default());
                    assert!(checked.diagnostics.len() >= nodes);
                    render(&checked.sources, &checked.diagnostics, false)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, evaluation, mistakes);
criterion_main!(benches);
