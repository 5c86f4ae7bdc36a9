//! Random edits of random graphs: what is computed again step by step equals what is computed from scratch.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use lumina_engine::{DiskCache, Engine, Overrides, Report, RunOptions, Value};
use proptest::prelude::*;
use support::store::MemoryStore;
use support::{FakeWorld, check, registry};

/// A node: its two inputs are numbers, or earlier nodes.
#[derive(Clone, Debug)]
struct Add {
    left: Operand,
    right: Operand,
}

#[derive(Clone, Debug)]
enum Operand {
    Number(i8),
    /// An earlier node, counted back from this one; a number where there is none.
    Earlier(usize),
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![any::<i8>().prop_map(Operand::Number), (1usize..6).prop_map(Operand::Earlier)]
}

fn node() -> impl Strategy<Value = Add> {
    (operand(), operand()).prop_map(|(left, right)| Add { left, right })
}

/// An edit replaces a node, or gives all nodes other names.
#[derive(Clone, Debug)]
enum Edit {
    Replace(usize, Add),
    Rename(char),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => (any::<usize>(), node()).prop_map(|(at, node)| Edit::Replace(at, node)),
        1 => prop::char::range('a', 'f').prop_map(Edit::Rename),
    ]
}

fn text(nodes: &[Add], prefix: char) -> String {
    let value = |index: usize, operand: &Operand| match operand {
        Operand::Number(number) => number.to_string(),
        Operand::Earlier(back) if *back <= index => format!("Link(\"{prefix}{}\")", index - back),
        Operand::Earlier(_) => "0".to_owned(),
    };
    let line = |(index, node): (usize, &Add)| {
        let (a, b) = (value(index, &node.left), value(index, &node.right));
        format!("\"{prefix}{index}\": Node(kind: \"number.add\", with: {{\"a\": {a}, \"b\": {b}}}),")
    };
    format!("Graph(format: 1, nodes: {{{}}})", nodes.iter().enumerate().map(line).collect::<String>())
}

fn run(engine: &Engine, world: &FakeWorld, text: &str) -> Report {
    run_on(None, engine, world, text)
}

/// Runs on so many threads; starting them is most of what a small graph costs.
fn run_on(threads: Option<NonZeroUsize>, engine: &Engine, world: &FakeWorld, text: &str) -> Report {
    let graph = check(engine, world, text, &Overrides::default()).graph.unwrap();
    engine.run(&graph, world, RunOptions { threads, ..RunOptions::default() })
}

/// The outputs by position, so that names do not matter.
fn outputs(report: &Report) -> BTreeMap<String, Vec<Value>> {
    report.outputs.iter().map(|(name, values)| (name[1..].to_owned(), values.to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn incremental_equals_from_scratch(
        mut nodes in prop::collection::vec(node(), 1..8),
        edits in prop::collection::vec(edit(), 1..5),
    ) {
        let world = FakeWorld::default();
        let store = MemoryStore::default();
        let memory = Engine::new(registry());
        let mut prefix = 'n';
        for edit in [None].into_iter().chain(edits.into_iter().map(Some)) {
            match edit {
                None => {}
                Some(Edit::Rename(to)) => prefix = to,
                Some(Edit::Replace(at, node)) => {
                    let at = at % nodes.len();
                    nodes[at] = node;
                }
            }
            let text = text(&nodes, prefix);
            let scratch = run_on(Some(NonZeroUsize::MIN), &Engine::new(registry()), &world, &text);
            let incremental = run(&memory, &world, &text);
            // Each step is a process of its own that shares the store.
            let restarted = Engine::new(registry()).with_disk_cache(DiskCache::new(store.clone(), u64::MAX));
            let restarted = run_on(Some(NonZeroUsize::MIN), &restarted, &world, &text);
            prop_assert_eq!(outputs(&incremental), outputs(&scratch));
            prop_assert_eq!(outputs(&restarted), outputs(&scratch));
            let again = run(&memory, &world, &text);
            prop_assert_eq!(again.ran(), Vec::<&str>::new());
            prop_assert!(incremental.ran().len() <= scratch.ran().len());
        }
    }
}

#[test]
fn a_new_process_on_the_same_store_executes_nothing() {
    let (world, store) = (FakeWorld::default(), MemoryStore::default());
    let text = "Graph(format: 1, nodes: {\"a\": Node(kind: \"number.add\", with: {\"a\": 1}), \
                \"b\": Node(kind: \"number.add\", with: {\"a\": Link(\"a\")})})";
    let process = || Engine::new(registry()).with_disk_cache(DiskCache::new(store.clone(), u64::MAX));
    assert_eq!(run(&process(), &world, text).ran(), ["a", "b"]);
    let again = run(&process(), &world, text);
    assert_eq!((again.ran().len(), again.cached()), (0, vec!["b"]));
    assert_eq!(*again.outputs["b"], [Value::Float(3.0)]);
}

#[test]
fn failures_never_reach_the_store() {
    let (world, store) = (FakeWorld::default(), MemoryStore::default());
    let text = "Graph(format: 1, nodes: {\"a\": Node(kind: \"test.fail\", with: {\"how\": \"error\"})})";
    let engine = Engine::new(registry()).with_disk_cache(DiskCache::new(store.clone(), u64::MAX));
    assert_eq!(run(&engine, &world, text).failures().len(), 1);
    assert!(store.names().is_empty());
}
