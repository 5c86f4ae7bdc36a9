//! A: what runs, what is cached.

use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;

use lumina_engine::{Code, Event, Value};

use crate::harness::{Bench, Policy, number};
use crate::images::values;

/// Two pictures mixed by a mask and written.
const MIX: &str = r#"
    "black": Node(kind: "image.constant", with: {"value": 0}),
    "white": Node(kind: "image.constant", with: {"value": 1}),
    "mask": Node(kind: "mask.constant", with: {"value": 0.5}),
    "mix": Node(kind: "image.mix", with: {"a": Link("black"), "b": Link("white"), "mask": Link("mask")}),
    "saved": Node(kind: "image.save", with: {"image": Link("mix")}),
"#;

const ALL: [&str; 5] = ["black", "white", "mask", "mix", "saved"];

#[test]
fn a2_full_cache() {
    for bench in Bench::each() {
        run!(bench, MIX, ran: ALL);
        run!(bench, MIX, cached: ["saved"]);
        run!(bench, MIX, targets: ["mix"], cached: ["mix"]);
    }
}

#[test]
fn a3_partial_cache() {
    for bench in Bench::each() {
        run!(bench, MIX, ran: ALL);
        let edited = MIX.replace("0.5", "0.25");
        run!(bench, &edited, ran: ["mask", "mix", "saved"], cached: ["black", "white"]);
        let report = run!(bench, &edited, targets: ["mix"], cached: ["mix"]);
        assert_eq!(values(&report, "mix"), [0.25; 6]);
    }
}

#[test]
fn a4_error() {
    for bench in Bench::each() {
        let other_size = MIX.replace(r#""value": 1"#, r#""value": 1, "width": 4"#);
        let (codes, text) = bench.refused(&other_size);
        assert_eq!(codes, [Code::WrongShape]);
        // The place is the input of the node where they meet.
        assert!(
            text.contains("`a` and `b` are of different sizes") && text.contains(r#""mix": Node"#),
            "{text}"
        );
    }
}

#[test]
fn a8_cycle_error() {
    for bench in Bench::each() {
        let circle = r#"
            "out": Node(kind: "probe.count", with: {"value": Link("b")}),
            "a": Node(kind: "probe.count", with: {"value": Link("b")}),
            "b": Node(kind: "probe.count", with: {"value": Link("a")}),
            "other": Node(kind: "probe.count"),
        "#;
        let (codes, text) = bench.refused(circle);
        assert_eq!(codes, [Code::Cycle]);
        assert!(text.contains("`a` -> `b` -> `a`"), "{text}");
        assert_eq!(bench.probes.runs.load(SeqCst), 0);
    }
}

/// ComfyUI runs the other output all the same. A graph with a mistake does not run here at all.
#[test]
fn a10_missing_node_error() {
    for bench in Bench::each() {
        let nodes = r#"
            "good": Node(kind: "sink.keep", with: {"value": 1}),
            "bad": Node(kind: "sink.keep", with: {"value": Link("missing")}),
        "#;
        assert_eq!(bench.refused(nodes).0, [Code::UnknownNode]);
        run!(bench, &nodes.replace(r#"Link("missing")"#, "2"), ran: ["good", "bad"]);
    }
}

#[test]
fn a11_custom_is_changed() {
    let nodes = r#""probe": Node(kind: "probe.fresh", with: {"value": 1})"#;
    for bench in Bench::each() {
        bench.probes.fresh.store(true, SeqCst);
        run!(bench, nodes, ran: ["probe"]);
        run!(bench, nodes, cached: ["probe"]);
        bench.probes.fresh.store(false, SeqCst);
        for _ in 0..3 {
            run!(bench, nodes, ran: ["probe"]);
        }
    }
}

#[test]
fn a11_a_node_behind_a_cached_one_is_not_asked_whether_it_is_fresh() {
    // A node is a function of its inputs: what was computed from its outputs stays right.
    let nodes = r#"
        "probe": Node(kind: "probe.fresh", with: {"value": 1}),
        "behind": Node(kind: "number.add", with: {"a": Link("probe")}),
    "#;
    for bench in Bench::each() {
        run!(bench, nodes, ran: ["probe", "behind"]);
        run!(bench, nodes, cached: ["behind"]);
        assert_eq!(*bench.probes.asked.lock().unwrap(), [] as [Vec<Value>; 0]);
        run!(bench, nodes, targets: ["probe", "behind"], ran: ["probe"], cached: ["behind"]);
    }
}

#[test]
fn a12_is_changed_with_outputs() {
    let nodes = r#"
        "before": Node(kind: "number.add", with: {"a": 1}),
        "probe": Node(kind: "probe.fresh", with: {"value": Link("before")}),
    "#;
    for bench in Bench::each() {
        bench.probes.fresh.store(true, SeqCst);
        run!(bench, nodes, ran: ["before", "probe"]);
        run!(bench, nodes, cached: ["probe"]);
        // It is asked about its outputs, and about nothing else; only when there are any.
        let asked = bench.probes.asked.lock().unwrap().clone();
        let once: &[Vec<Value>] = &[vec![Value::Float(2.0)]];
        assert_eq!(asked, if bench.policy == Policy::Off { &[] } else { once });
    }
}

/// Any number of links is a list.
#[test]
fn a13_undeclared_inputs() {
    for bench in Bench::each() {
        let nodes = r#"
            "w": Node(kind: "image.constant", with: {"value": 1}),
            "x": Node(kind: "image.constant", with: {"value": 2}),
            "y": Node(kind: "image.constant", with: {"value": 3}),
            "z": Node(kind: "image.constant", with: {"value": 6}),
            "average": Node(kind: "image.average", with: {"images": [Link("w"), Link("x"), Link("y"), Link("z")]}),
        "#;
        let report = run!(bench, nodes, ran: ["w", "x", "y", "z", "average"]);
        assert_eq!(values(&report, "average"), [3.0; 6]);
        run!(bench, nodes, cached: ["average"]);
        let fewer = nodes.replace(r#", Link("z")]"#, "]");
        let report = run!(bench, &fewer, targets: ["average"], ran: ["average"], cached: ["w", "x", "y"]);
        assert_eq!(values(&report, "average"), [2.0; 6]);
    }
}

#[test]
fn a17_output_reuse() {
    let nodes = r#"
        "image": Node(kind: "image.constant", with: {"value": 1}),
        "one": Node(kind: "image.save", with: {"image": Link("image")}),
        "two": Node(kind: "image.save", with: {"image": Link("image")}),
    "#;
    for bench in Bench::each() {
        let started = Mutex::new(Vec::new());
        let listen = |event: &Event| {
            if let Event::NodeStarted { node, .. } = event {
                started.lock().unwrap().push(node.clone());
            }
        };
        let report = run!(bench, nodes, events: listen, ran: ["image", "one", "two"]);
        assert_eq!(started.lock().unwrap().iter().filter(|node| *node == "image").count(), 1);
        assert_eq!(*report.outputs["one"], [Value::path("one.img")]);
        assert_eq!(*report.outputs["two"], [Value::path("two.img")]);
        run!(bench, nodes, cached: ["one", "two"]);
        bench.world.files.lock().unwrap().remove(std::path::Path::new("two.img"));
        run!(bench, nodes, ran: ["two"], cached: ["image", "one"]);
    }
}

#[test]
fn a22_cached_outputs_in_job_without_client_id() {
    let nodes = r#""sum": Node(kind: "number.add", with: {"a": 41})"#;
    for bench in Bench::each() {
        run!(bench, nodes, ran: ["sum"]);
        let finished = Mutex::new(None);
        let listen = |event: &Event| {
            if let Event::RunFinished { ran, cached, .. } = event {
                *finished.lock().unwrap() = Some((*ran, *cached));
            }
        };
        let report = run!(bench, nodes, events: listen, cached: ["sum"]);
        assert_eq!(number(&report, "sum"), 42.0);
        let expected = if bench.policy == Policy::Off { (1, 0) } else { (0, 1) };
        assert_eq!(*finished.lock().unwrap(), Some(expected));
    }
}
