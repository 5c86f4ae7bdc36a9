//! A9, E6, G4 and I12: graphs in graphs, and parameters with several values.

use std::sync::atomic::Ordering::SeqCst;

use lumina_engine::{Code, Sweep, Value};

use crate::harness::{Bench, Expected, Policy, number, numbers};

/// A graph file with one parameter, these nodes and one output.
fn file(nodes: &str, output: &str) -> String {
    format!(
        r#"Graph(format: 1, params: {{"value": Float(default: 1)}}, nodes: {{ {nodes} }}, outputs: {{"out": {output}}})"#
    )
}

#[test]
fn a9_a_graph_that_includes_itself_is_refused_with_the_path() {
    let include = |path: &str| {
        let nodes =
            format!(r#""next": Node(kind: "graph", with: {{"path": "{path}", "value": Param("value")}}),"#);
        file(&nodes, "Link(\"next\")")
    };
    for bench in Bench::each() {
        bench.write("inner.ron", &include("inner.ron"));
        let (codes, text) = bench.refused(r#""sub": Node(kind: "graph", with: {"path": "inner.ron"})"#);
        assert_eq!(codes, [Code::Cycle], "{text}");
        assert!(text.contains("`inner.ron` -> `inner.ron`"), "{text}");

        bench.write("one.ron", &include("two.ron"));
        bench.write("two.ron", &include("one.ron"));
        let (codes, text) = bench.refused(r#""sub": Node(kind: "graph", with: {"path": "one.ron"})"#);
        assert_eq!(codes, [Code::Cycle], "{text}");
        assert!(text.contains("`one.ron` -> `two.ron` -> `one.ron`"), "{text}");

        // The graph itself is `test.ron`.
        bench.write("test.ron", "Graph(format: 1, nodes: {})");
        bench.write("back.ron", &include("test.ron"));
        for (path, circle) in
            [("test.ron", "`test.ron` -> `test.ron`"), ("back.ron", "`test.ron` -> `back.ron` -> `test.ron`")]
        {
            let (codes, text) =
                bench.refused(&format!(r#""sub": Node(kind: "graph", with: {{"path": "{path}"}})"#));
            assert_eq!(codes, [Code::Cycle], "{text}");
            assert!(text.contains(circle), "{text}");
        }
    }
}

#[test]
fn a9_an_output_that_is_its_own_input_is_refused() {
    for bench in Bench::each() {
        bench.write("inner.ron", &file("", "Param(\"value\")"));
        let nodes = r#"
            "sub": Node(kind: "graph", with: {"path": "inner.ron", "value": Link("sub")}),
            "end": Node(kind: "number.add", with: {"a": Link("sub")}),
        "#;
        let (codes, text) = bench.refused(nodes);
        assert!(codes.contains(&Code::Cycle), "{text}");
    }
}

#[test]
fn e6_what_is_unknown_is_refused_inside_too() {
    for bench in Bench::each() {
        bench.write(
            "inner.ron",
            &file(r#""x": Node(kind: "number.ad", with: {"a": Param("value")}),"#, "Link(\"x\")"),
        );
        let (codes, text) = bench.refused(r#""sub": Node(kind: "graph", with: {"path": "inner.ron"})"#);
        assert_eq!(codes, [Code::UnknownKind]);
        assert!(text.contains("inner.ron:1:") && text.contains("did you mean `number.add`?"), "{text}");
    }
}

#[test]
fn g4_a_failure_inside_a_graph_blocks_its_dependents_and_is_tried_again() {
    let nodes = r#"
        "each": Node(kind: "map", with: {"items": [10, 20]}),
        "sub": Node(kind: "graph", with: {"path": "inner.ron", "value": Link("each.item")}),
        "end": Node(kind: "number.add", with: {"a": Link("sub"), "b": 1000}),
        "alone": Node(kind: "graph", with: {"path": "inner.ron", "value": 30}),
    "#;
    let inner = |at: u32| {
        let nodes = format!(
            r#""risky": Node(kind: "probe.fail_at", with: {{"value": Param("value"), "at": {at}}}),
            "behind": Node(kind: "number.add", with: {{"a": Link("risky"), "b": 100}}),"#
        );
        file(&nodes, "Link(\"behind\")")
    };
    let fine = ["sub/risky[1]", "sub/behind[1]", "end[1]", "alone/risky", "alone/behind"];
    for bench in Bench::each() {
        bench.write("inner.ron", &inner(10));
        run!(bench, nodes, ran: fine, failed: ["sub/risky[0]"], blocked: ["sub/behind[0]", "end[0]"]);
        run!(bench, nodes, cached: ["end[1]", "alone/behind"],
            failed: ["sub/risky[0]"], blocked: ["sub/behind[0]", "end[0]"]);
        // Mended inside: the file is read again, and what the other node gives is the same.
        bench.write("inner.ron", &inner(11));
        let report = run!(bench, nodes, ran: ["sub/risky[0]", "sub/behind[0]", "end[0]", "sub/risky[1]", "alone/risky"],
            cached: ["sub/behind[1]", "end[1]", "alone/behind"]);
        assert_eq!((number(&report, "end[0]"), number(&report, "end[1]")), (1111.0, 1121.0));
    }
}

#[test]
fn d11_what_a_graph_contains_stays_cached_until_it_changes() {
    let nodes = r#"
        "before": Node(kind: "number.add", with: {"a": 1, "b": 1}),
        "sub": Node(kind: "graph", with: {"path": "inner.ron", "value": Link("before")}),
        "end": Node(kind: "number.add", with: {"a": Link("sub"), "b": 1000}),
    "#;
    let inner = r#"
        "one": Node(kind: "number.add", with: {"a": Param("value"), "b": 10}),
        "two": Node(kind: "number.add", with: {"a": Link("one"), "b": 100}),
    "#;
    for bench in Bench::each() {
        bench.write("inner.ron", &file(inner, "Link(\"two\")"));
        run!(bench, nodes, ran: ["before", "sub/one", "sub/two", "end"]);
        run!(bench, nodes, cached: ["end"]);
        bench.write("inner.ron", &file(&inner.replace("100", "200"), "Link(\"two\")"));
        let report = run!(bench, nodes, ran: ["sub/two", "end"], cached: ["sub/one"]);
        assert_eq!(number(&report, "end"), 1212.0);
        // A graph in a graph is what its nodes are: written out, they are known.
        let flat = r#"
            "before": Node(kind: "number.add", with: {"a": 1, "b": 1}),
            "one": Node(kind: "number.add", with: {"a": Link("before"), "b": 10}),
            "two": Node(kind: "number.add", with: {"a": Link("one"), "b": 200}),
        "#;
        run!(bench, flat, cached: ["two"]);
    }
}

/// A graph file that goes through a list that it is given.
const EACH: &str = r#"Graph(format: 1, params: {"list": Input(type: "List<Float>")}, nodes: {
    "each": Node(kind: "map", with: {"items": Param("list")}),
    "turn": Node(kind: "number.add", with: {"a": Link("each.item"), "b": 100}),
    "all": Node(kind: "collect", with: {"item": Link("turn")}),
}, outputs: {"list": Link("all")})"#;

#[test]
fn an_iteration_inside_a_graph_over_a_list_from_outside() {
    for list in ["[1, 2]", "Link(\"computed\")"] {
        for bench in Bench::each() {
            bench.write("each.ron", EACH);
            let nodes = format!(
                r#"
                "computed": Node(kind: "any.same", with: {{"value": [1, 2]}}),
                "sub": Node(kind: "graph", with: {{"path": "each.ron", "list": {list}}}),
                "sum": Node(kind: "number.sum", with: {{"items": Link("sub")}}),
                "#
            );
            let before: &[&str] = if list.starts_with('L') { &["computed"] } else { &[] };
            let report = run!(bench, &nodes, targets: ["sum"], ran: before, ran: ["sub/turn[0]", "sub/turn[1]", "sum"]);
            assert_eq!(number(&report, "sum"), 203.0);
        }
    }
}

#[test]
fn a_graph_with_an_iteration_inside_an_iteration() {
    for bench in Bench::each() {
        bench.write("each.ron", EACH);
        let nodes = r#"
            "outer": Node(kind: "map", with: {"items": [1, 2]}),
            "sub": Node(kind: "graph", with: {"path": "each.ron", "list": [Link("outer.item"), 10]}),
            "sum": Node(kind: "number.sum", with: {"items": Link("sub")}),
            "sums": Node(kind: "collect", with: {"item": Link("sum")}),
        "#;
        let turns = ["sub/turn[0,0]", "sub/turn[0,1]", "sub/turn[1,0]", "sub/turn[1,1]"];
        let report = match bench.policy {
            // The turns with 10 are the same.
            Policy::Off => run!(bench, nodes, targets: ["sums"], ran: turns, ran: ["sum[0]", "sum[1]"]),
            _ => {
                let graph = bench.checked(nodes);
                bench.engine().run(&graph, &bench.world, Default::default())
            }
        };
        if bench.policy == Policy::Off {
            assert_eq!(numbers(&report, "sums"), [211.0, 212.0]);
        }
    }
}

/// What depends on the parameter `seed`, and what does not.
const SWEPT: &str = r#"
    "text": Node(kind: "probe.count", with: {"value": 1000}),
    "noise": Node(kind: "number.add", with: {"a": Param("seed"), "b": 100}),
    "image": Node(kind: "number.add", with: {"a": Link("noise"), "b": Link("text")}),
"#;

#[test]
fn i12_what_does_not_depend_on_a_swept_parameter_runs_once() {
    for bench in Bench::each() {
        let graph = bench.swept(SWEPT, &[Sweep::of("seed", ["5", "6", "7"])]);
        let noise = ["noise[0]", "noise[1]", "noise[2]"];
        let images = ["image[0]", "image[1]", "image[2]"];
        let expected = Expected::default().ran(&["text"]).ran(&noise).ran(&images);
        let report = bench.expect_graph(&graph, expected);
        assert_eq!(bench.probes.runs.load(SeqCst), 1);
        // Each is what a run of its own gives, which is therefore known.
        for (seed, image) in [("5", "image[0]"), ("6", "image[1]"), ("7", "image[2]")] {
            let single = SWEPT.replace("Param(\"seed\")", seed);
            assert_eq!(number(&run!(bench, &single, cached: ["image"]), "image"), number(&report, image));
        }
        assert_eq!(number(&report, "image[2]"), 1107.0);
    }
}

#[test]
fn i12_two_sweeps_make_every_combination_and_rows_go_together() {
    let nodes = r#""sum": Node(kind: "number.add", with: {"a": Param("seed"), "b": Param("seed")})"#;
    for bench in Bench::each() {
        let graph = bench.swept(nodes, &[Sweep::of("seed", ["5", "6"])]);
        let report = bench.expect_graph(&graph, Expected::default().ran(&["sum[0]", "sum[1]"]));
        assert_eq!((number(&report, "sum[0]"), number(&report, "sum[1]")), (10.0, 12.0));
    }
}

#[test]
fn i12_a_sweep_and_an_iteration_make_every_pair() {
    let nodes = |items: &str| {
        format!(
            r#"
            "list": Node(kind: "any.same", with: {{"value": [10, 20]}}),
            "each": Node(kind: "map", with: {{"items": {items}}}),
            "turn": Node(kind: "number.add", with: {{"a": Link("each.item"), "b": Param("seed")}}),
            "all": Node(kind: "collect", with: {{"item": Link("turn")}}),
            "sum": Node(kind: "number.sum", with: {{"items": Link("all")}}),
            "#
        )
    };
    for (items, before) in [("[10, 20]", &[][..]), ("Link(\"list\")", &["list"])] {
        for bench in Bench::each() {
            let graph = bench.swept(&nodes(items), &[Sweep::of("seed", ["1", "2", "3"])]);
            let turns = ["turn[0,0]", "turn[0,1]", "turn[1,0]", "turn[1,1]", "turn[2,0]", "turn[2,1]"];
            let sums = ["sum[0]", "sum[1]", "sum[2]"];
            let targets = ["sum"];
            let expected = Expected::default().targets(&targets).ran(before).ran(&turns).ran(&sums);
            let report = bench.expect_graph(&graph, expected);
            let found: Vec<f64> = sums.iter().map(|sum| number(&report, sum)).collect();
            assert_eq!(found, [32.0, 34.0, 36.0]);
        }
    }
}

#[test]
fn i12_a_sweep_over_a_fold_is_a_fold_for_each_value() {
    let nodes = r#"
        "turn": Node(kind: "fold", with: {"start": Param("seed"), "times": 2}),
        "body": Node(kind: "number.add", with: {"a": Link("turn.value"), "b": 100}),
        "end": Node(kind: "fold.end", with: {"next": Link("body")}),
        "after": Node(kind: "number.add", with: {"a": Link("end"), "b": 1000}),
    "#;
    // The parameter may also be used in the body only, or decide the number of turns.
    let inside = nodes.replace("Param(\"seed\")", "0").replace(r#""b": 100}"#, r#""b": Param("seed")}"#);
    let times = nodes.replace("Param(\"seed\")", "0").replace(r#""times": 2"#, r#""times": Param("seed")"#);
    for (nodes, expected) in
        [(nodes, [1205.0, 1206.0]), (&inside, [1010.0, 1012.0]), (&times, [1500.0, 1600.0])]
    {
        for bench in Bench::each() {
            let graph = bench.swept(nodes, &[Sweep::of("seed", ["5", "6"])]);
            let report = bench.engine().run(&graph, &bench.world, Default::default());
            assert!(report.failures().is_empty());
            assert_eq!([number(&report, "after[0]"), number(&report, "after[1]")], expected);
            assert_eq!(*report.outputs["after[0]"], [Value::Float(expected[0])]);
        }
    }
}
