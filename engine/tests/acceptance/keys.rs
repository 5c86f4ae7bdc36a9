//! D: what decides a key, and what a cached node hides.

use std::sync::atomic::Ordering::SeqCst;

use lumina_engine::{Action, Code, Engine, Overrides, RunOptions, Value};

use crate::harness::{Bench, Policy, number};
use crate::images::{self, Grid, Image};
use crate::support::{self, FakeWorld};

const CHAIN: &str = r#"
    "a": Node(kind: "number.add", with: {"a": 1}),
    "b": Node(kind: "number.add", with: {"a": Link("a"), "b": 2}),
    "c": Node(kind: "number.add", with: {"a": Link("b"), "b": 3}),
"#;

#[test]
fn d1_equal_graphs_share_keys_whatever_the_node_ids() {
    let renamed = CHAIN
        .replace(r#""a": Node"#, r#""first": Node"#)
        .replace(r#""c": Node"#, r#""last": Node"#)
        .replace(r#"Link("a")"#, r#"Link("first")"#);
    for bench in Bench::each() {
        assert_eq!(bench.key(CHAIN, "c"), bench.key(&renamed, "last"));
        run!(bench, CHAIN, ran: ["a", "b", "c"]);
        run!(bench, &renamed, cached: ["last"]);
    }
}

#[test]
fn d2_an_upstream_constant_changes_the_key() {
    let edited = CHAIN.replace(r#""a": 1"#, r#""a": 1.5"#);
    for bench in Bench::each() {
        for node in ["a", "b", "c"] {
            assert_ne!(bench.key(CHAIN, node), bench.key(&edited, node), "{node}");
        }
        run!(bench, CHAIN, ran: ["a", "b", "c"]);
        run!(bench, &edited, ran: ["a", "b", "c"]);
    }
}

#[test]
fn d3_an_extra_link_changes_the_key() {
    let edited = CHAIN.replace(r#""b": 3"#, r#""b": Link("a")"#);
    let list = r#"
        "a": Node(kind: "number.add", with: {"a": 1}),
        "sum": Node(kind: "number.sum", with: {"items": [Link("a")]}),
    "#;
    let longer = list.replace("[Link(\"a\")]", "[Link(\"a\"), Link(\"a\")]");
    for bench in Bench::each() {
        assert_ne!(bench.key(CHAIN, "c"), bench.key(&edited, "c"));
        assert_ne!(bench.key(list, "sum"), bench.key(&longer, "sum"));
        run!(bench, CHAIN, ran: ["a", "b", "c"]);
        run!(bench, &edited, ran: ["c"], cached: ["a", "b"]);
        run!(bench, list, ran: ["sum"], cached: ["a"]);
        run!(bench, &longer, ran: ["sum"], cached: ["a"]);
    }
}

/// A missing node is a mistake of the graph. What can be missing later is a file.
#[test]
fn d4_what_is_missing_never_matches() {
    let nodes = r#"
        "read": Node(kind: "file.read", with: {"path": "f"}),
        "behind": Node(kind: "number.add", with: {"a": Link("read")}),
    "#;
    for bench in Bench::each() {
        assert_eq!(
            bench.refused(r#""a": Node(kind: "number.add", with: {"a": Link("z")})"#).0,
            [Code::UnknownNode]
        );
        bench.write("f", "one");
        run!(bench, nodes, ran: ["read", "behind"]);
        let graph = bench.checked(nodes);
        bench.world.files.lock().unwrap().clear();
        assert_eq!(bench.engine().keys(&graph, &bench.world, &["read".to_owned()]), [None]);
        for _ in 0..2 {
            bench.expect_graph(
                &graph,
                crate::harness::Expected::default().failed(&["read"]).blocked(&["behind"]),
            );
        }
        bench.write("f", "one");
        run!(bench, nodes, cached: ["behind"]);
    }
}

#[test]
fn d5_a_node_that_is_never_fresh_never_matches() {
    let nodes = r#"
        "before": Node(kind: "number.add", with: {"a": 1}),
        "probe": Node(kind: "probe.fresh", with: {"value": Link("before")}),
    "#;
    for bench in Bench::each() {
        run!(bench, nodes, ran: ["before", "probe"]);
        for _ in 0..2 {
            run!(bench, nodes, ran: ["probe"], cached: ["before"]);
        }
        // Something else that needs it gets what it computes now.
        let more = format!("{nodes}{}", r#""more": Node(kind: "number.add", with: {"a": Link("probe")}),"#);
        run!(bench, &more, ran: ["probe", "more"], cached: ["before"]);
    }
}

#[test]
fn d6_a_cycle_terminates() {
    let circle: String = (0..3000)
        .map(|index| {
            let before = (index + 2999) % 3000;
            format!("\"n{index}\": Node(kind: \"probe.count\", with: {{\"value\": Link(\"n{before}\")}}),\n")
        })
        .collect();
    for bench in Bench::each() {
        assert_eq!(bench.refused(&circle).0, [Code::Cycle]);
    }
}

#[test]
fn d7_a_diamond_40_deep_visits_each_node_once() {
    let mut nodes = String::from("\"n0\": Node(kind: \"probe.count\", with: {\"value\": 1}),\n");
    for index in 1..=40 {
        let link = format!("Link(\"n{}\")", index - 1);
        nodes += &format!(
            "\"n{index}\": Node(kind: \"probe.count\", with: {{\"value\": {link}, \"more\": {link}}}),\n"
        );
    }
    let names: Vec<String> = (0..=40).map(|index| format!("n{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for bench in Bench::each() {
        let report = run!(bench, &nodes, ran: names[..]);
        assert_eq!(number(&report, "n40"), 2f64.powi(40));
        assert_eq!((bench.probes.inferred.load(SeqCst), bench.probes.runs.load(SeqCst)), (41, 41));
        run!(bench, &nodes, cached: ["n40"]);
    }
}

#[test]
fn d8_a_chain_of_3000_needs_no_recursion() {
    let chain = |middle: &str| -> String {
        let node = |index: usize| match index {
            0 => "\"n0\": Node(kind: \"number.add\", with: {\"a\": 0}),\n".to_owned(),
            _ => {
                let (before, more) = (index - 1, if index == 1500 { middle } else { "1" });
                format!(
                    "\"n{index}\": Node(kind: \"number.add\", with: {{\"a\": Link(\"n{before}\"), \"b\": {more}}}),\n"
                )
            }
        };
        (0..3000).rev().map(node).collect()
    };
    let names: Vec<String> = (0..3000).map(|index| format!("n{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for bench in Bench::each() {
        let report = run!(bench, &chain("1"), ran: names[..]);
        assert_eq!(number(&report, "n2999"), 3000.0);
        run!(bench, &chain("1"), cached: ["n2999"]);
        // A fraction, so that no value of the chain before comes again: those would be known.
        let report = run!(bench, &chain("1.5"), ran: names[1500..], cached: ["n1499"]);
        assert_eq!(number(&report, "n2999"), 3000.5);
    }
}

#[test]
fn d9_the_order_in_a_map_is_ignored_and_types_are_not() {
    let same = |value: &str| format!(r#""x": Node(kind: "any.same", with: {{"value": {value}}}),"#);
    for bench in Bench::each() {
        let turned = CHAIN.replace(r#"{"a": Link("b"), "b": 3}"#, r#"{"b": 3, "a": Link("b")}"#);
        assert_ne!(turned, CHAIN);
        run!(bench, CHAIN, ran: ["a", "b", "c"]);
        run!(bench, &turned, cached: ["c"]);
        for value in ["7", "\"7\"", "7.0", "[7]", "[[7]]", "[7, 7]", "true", "\"true\""] {
            run!(bench, &same(value), ran: ["x"]);
        }
        run!(bench, &same("7"), cached: ["x"]);
    }
}

#[test]
fn d9_a_value_of_a_type_that_no_store_knows_is_computed_again() {
    let nodes = r#"
        "tracked": Node(kind: "probe.tracked"),
        "list": Node(kind: "any.same", with: {"value": [Link("tracked"), 1]}),
    "#;
    for bench in Bench::each() {
        run!(bench, nodes, ran: ["tracked", "list"]);
        match bench.policy {
            Policy::Disk => run!(bench, nodes, ran: ["tracked", "list"]),
            _ => run!(bench, nodes, cached: ["list"]),
        };
        assert_eq!(bench.store.names(), [""; 0]);
    }
}

fn image(pixels: usize) -> Value {
    Value::domain(Image(Grid { width: 1, values: vec![0.0; pixels] }))
}

#[test]
fn d10_size_accounting_sees_nested_values() {
    let list = |items: &[Value]| Value::List(items.into());
    let nested = list(&[image(100), list(&[image(10), list(&[image(1)])])]);
    assert_eq!(nested.byte_size(), 8 * 111);
    let nodes = r#"
        "one": Node(kind: "image.constant", with: {"value": 1, "width": 1000}),
        "two": Node(kind: "image.constant", with: {"value": 2, "width": 500}),
        "nested": Node(kind: "any.same", with: {"value": [[Link("one")], [[Link("two")]]]}),
    "#;
    for bench in Bench::each() {
        run!(bench, nodes, ran: ["one", "two", "nested"]);
        let kept = bench.engine().cache().memory.bytes();
        let pixels = 2 * 1500 * 8;
        assert!(if bench.policy == Policy::Memory { kept >= pixels } else { kept == 0 }, "{kept}");
    }
}

#[test]
fn d10_size_accounting_counts_shared_storage_once() {
    let shared = image(100);
    assert_eq!(Value::List([shared.clone(), shared].into()).byte_size(), 800);
    let nodes = r#"
        "one": Node(kind: "image.constant", with: {"value": 1, "width": 1000}),
        "same": Node(kind: "any.same", with: {"value": Link("one")}),
    "#;
    for bench in Bench::each() {
        run!(bench, nodes, ran: ["one", "same"]);
        let kept = bench.engine().cache().memory.bytes();
        assert!(kept < 2 * 2000 * 8, "{kept}");
    }
}

/// A model that fits into memory but not into the part of it that is for kept values.
#[test]
fn a_value_larger_than_the_budget_is_made_once_while_everything_fits_into_the_limit() {
    let nodes = |value: i32| {
        format!(
            r#"
            "model": Node(kind: "image.constant", with: {{"value": 0, "width": 6000}}),
            "small": Node(kind: "image.constant", with: {{"value": {value}, "width": 500}}),
            "both": Node(kind: "any.same", with: {{"value": [Link("model"), Link("small")]}}),
            "#
        )
    };
    let mut registry = support::registry();
    registry.plugin(images::plugin);
    let engine = Engine::new(registry).with_memory_limit(200_000).with_memory_budget(50_000);
    let world = FakeWorld::default();
    for value in 0..20 {
        let checked = support::check(&engine, &world, &support::graph(&nodes(value)), &Overrides::default());
        let report = engine.run(&checked.graph.unwrap(), &world, RunOptions::default());
        assert_eq!(report.ran().contains(&"model"), value == 0, "{value}");
        assert!(report.ran().contains(&"small"));
        let kept = engine.cache().memory.bytes();
        assert!((96_000..150_000).contains(&kept), "{kept}");
    }
}

#[test]
fn d13_a_cached_boundary_does_not_pull_uncached_ancestors() {
    // What is tracked cannot be kept in a store: a new process does not have it.
    let nodes = r#"
        "tracked": Node(kind: "probe.tracked"),
        "edge": Node(kind: "probe.use", with: {"tracked": Link("tracked"), "value": 1}),
        "end": Node(kind: "number.add", with: {"a": Link("edge"), "b": 1}),
    "#;
    for bench in Bench::each() {
        run!(bench, nodes, ran: ["tracked", "edge", "end"]);
        let edited = nodes.replace(r#""b": 1"#, r#""b": 2"#);
        run!(bench, &edited, ran: ["end"], cached: ["edge"]);
        // The plan says the same as the run.
        let graph = bench.checked(&edited);
        let plan = bench.engine().plan(&graph, &bench.world, None);
        let cached = plan.steps.iter().filter(|step| matches!(step.action, Action::Cached(_))).count();
        let expected = if bench.policy == Policy::Off { (3, 0) } else { (1, 1) };
        assert_eq!((plan.steps.len(), cached), expected);
    }
}
