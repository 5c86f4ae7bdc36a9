//! H: versions of kinds, conversions, and links that are refused.

use lumina_engine::{
    Call, Code, Engine, Fact, Inference, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Overrides,
    Registry, RunOptions, Type, Value,
};

use crate::harness::{Bench, number};
use crate::support::{self, FakeWorld};

struct One;

impl Node for One {
    fn infer(&self, _: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        Ok(Inference::new([Fact::of(Type::Int)], Memory::SMALL))
    }

    fn run(&self, _: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        Ok(vec![Value::Int(1)])
    }
}

/// A version is a number that is raised when the outputs change; there is nothing to be compatible with.
#[test]
fn h6_another_version_of_a_kind_is_another_key() {
    let world = FakeWorld::default();
    let key = |version| {
        let mut registry = Registry::new();
        registry.add(NodeSpec::new("one", version, "One").output("one", Type::Int, "1"), One);
        let engine = Engine::new(registry);
        let text = support::graph(r#""one": Node(kind: "one")"#);
        let graph = support::check(&engine, &world, &text, &Overrides::default()).graph.unwrap();
        assert_eq!(engine.run(&graph, &world, RunOptions::default()).ran(), ["one"]);
        engine.keys(&graph, &world, &["one".to_owned()])[0].unwrap()
    };
    assert_eq!(key(1), key(1));
    assert_ne!(key(1), key(2));
}

#[test]
fn h7_a_whole_number_is_a_number_and_not_the_reverse() {
    let nodes = r#"
        "whole": Node(kind: "number.whole", with: {"value": 2}),
        "literal": Node(kind: "number.add", with: {"a": 1, "b": 1}),
        "linked": Node(kind: "number.add", with: {"a": Link("whole"), "b": Link("literal")}),
        "listed": Node(kind: "number.sum", with: {"items": [1, 1.5, Link("whole")]}),
    "#;
    for bench in Bench::each() {
        let report = run!(bench, nodes, ran: ["whole", "literal", "linked", "listed"]);
        assert_eq!((number(&report, "linked"), number(&report, "listed")), (4.0, 4.5));
        run!(bench, nodes, cached: ["linked", "listed"]);
        // 1 and 1.0 are the same number in a socket for numbers.
        run!(bench, &nodes.replace(r#""a": 1, "b": 1"#, r#""a": 1.0, "b": 1.0"#), cached: ["linked", "listed"]);
        for value in ["2.0", "2.5", r#"Link("literal")"#] {
            let (codes, _) = bench.refused(&nodes.replace(r#""value": 2"#, &format!(r#""value": {value}"#)));
            assert!(codes.contains(&Code::WrongType), "{value}: {codes:?}");
        }
    }
}

#[test]
fn h8_a_duplicate_link_a_cycle_and_a_mismatched_type_are_refused() {
    for bench in Bench::each() {
        let (mut codes, _) = bench.refused(
            r#"
            "source": Node(kind: "number.add", with: {"a": 1}),
            "twice": Node(kind: "number.add", with: {"a": Link("source"), "a": Link("source")}),
            "circle": Node(kind: "number.add", with: {"a": Link("circle")}),
            "image": Node(kind: "image.constant", with: {"value": 1}),
            "mismatched": Node(kind: "number.add", with: {"a": Link("image")}),
            "#,
        );
        codes.sort();
        assert_eq!(codes, [Code::DuplicateKey, Code::Cycle, Code::WrongType]);
        // The same output into two inputs is no duplicate.
        let nodes = r#"
            "source": Node(kind: "number.add", with: {"a": 1}),
            "both": Node(kind: "number.add", with: {"a": Link("source"), "b": Link("source")}),
        "#;
        assert_eq!(number(&run!(bench, nodes, ran: ["source", "both"]), "both"), 4.0);
        run!(bench, nodes, cached: ["both"]);
    }
}
