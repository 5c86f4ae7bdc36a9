//! What the engine itself costs: graphs of nodes that do next to nothing.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark may panic, and its macros document nothing"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lumina_engine::{Engine, Graph, Overrides, RunOptions};
use support::{FakeWorld, check, registry};

/// A chain with a side branch at every node.
fn chain(nodes: usize) -> String {
    let mut text =
        String::from("Graph(format: 1, nodes: {\n\"n0\": Node(kind: \"number.add\", with: {\"a\": 0}),\n");
    for index in 1..nodes {
        let (before, other) = (index - 1, index / 2);
        text += &format!(
            "\"n{index}\": Node(kind: \"number.add\", with: {{\"a\": Link(\"n{before}\"), \"b\": Link(\"n{other}\")}}),\n"
        );
    }
    text + "})"
}

fn graph(engine: &Engine, world: &FakeWorld, text: &str) -> Graph {
    check(engine, world, text, &Overrides::default()).graph.unwrap()
}

fn engine(criterion: &mut Criterion) {
    let world = FakeWorld::default();
    let mut group = criterion.benchmark_group("engine");
    group.sample_size(10);
    for nodes in [1_000, 3_000, 10_000, 100_000] {
        let text = chain(nodes);
        group.throughput(Throughput::Elements(nodes as u64));
        let engine = Engine::new(registry());
        group.bench_with_input(BenchmarkId::new("check", nodes), &text, |bencher, text| {
            bencher.iter(|| graph(&engine, &world, text));
        });
        let checked = graph(&engine, &world, &text);
        group.bench_function(BenchmarkId::new("run_cold", nodes), |bencher| {
            bencher.iter(|| {
                engine.cache().memory.clear();
                engine.run(&checked, &world, RunOptions::default())
            });
        });
        engine.run(&checked, &world, RunOptions::default());
        group.bench_function(BenchmarkId::new("run_cached", nodes), |bencher| {
            bencher.iter(|| engine.run(&checked, &world, RunOptions::default()));
        });
    }
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
