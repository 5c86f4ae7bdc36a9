//! A18 and B: nodes at the same time, errors and cancellation beside them. A node waits by blocking its thread.

use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;

use lumina_engine::{Cancel, Event, NodeError};

use crate::harness::{Bench, number};

/// Each of the three waits until all of them have started.
const THREE: &str = r#"
    "one": Node(kind: "probe.latch", with: {"value": 1}),
    "two": Node(kind: "probe.latch", with: {"value": 2}),
    "three": Node(kind: "probe.latch", with: {"value": 3}),
    "sum": Node(kind: "number.sum", with: {"items": [Link("one"), Link("two"), Link("three")]}),
"#;

#[test]
fn a18_parallel_sleep_nodes() {
    for bench in Bench::each() {
        let report = run!(bench, THREE, ran: ["one", "two", "three", "sum"]);
        assert_eq!(number(&report, "sum"), 6.0);
        run!(bench, THREE, cached: ["sum"]);
    }
}

#[test]
fn b2_multiple() {
    // Without a node that joins them: three targets.
    let (three, _) = THREE.split_once("\"sum\"").unwrap();
    for bench in Bench::each() {
        run!(bench, three, ran: ["one", "two", "three"]);
        run!(bench, three, cached: ["one", "two", "three"]);
    }
}

#[test]
fn b3_dependencies() {
    let nodes = r#"
        "consumer": Node(kind: "number.add", with: {"a": Link("producer"), "b": Link("other")}),
        "producer": Node(kind: "probe.elsewhere", with: {"value": 1}),
        "other": Node(kind: "probe.elsewhere", with: {"value": 2}),
    "#;
    for bench in Bench::each() {
        let heard = Mutex::new(Vec::new());
        let listen = |event: &Event| match event {
            Event::NodeStarted { node, .. } => heard.lock().unwrap().push(format!("{node} starts")),
            Event::NodeFinished { node, .. } => heard.lock().unwrap().push(format!("{node} ends")),
            _ => {}
        };
        let report = run!(bench, nodes, events: listen, ran: ["producer", "other", "consumer"]);
        assert_eq!(number(&report, "consumer"), 5.0);
        let heard = heard.lock().unwrap();
        let at = |what: &str| heard.iter().position(|line| line == what).unwrap();
        assert!(at("consumer starts") > at("producer ends") && at("consumer starts") > at("other ends"));
    }
}

#[test]
fn b7_recovery() {
    let nodes = r#"
        "before": Node(kind: "number.add", with: {"a": 1}),
        "middle": Node(kind: "test.fail", with: {"how": "panic"}),
        "sum": Node(kind: "number.sum", with: {"items": [Link("before"), Link("middle")]}),
    "#;
    for bench in Bench::each() {
        run!(bench, nodes, ran: ["before"], failed: ["middle"], blocked: ["sum"]);
        let mended = nodes.replace(r#"test.fail", with: {"how": "panic"}"#, r#"number.add", with: {"a": 2}"#);
        let report = run!(bench, &mended, ran: ["middle", "sum"], cached: ["before"]);
        assert_eq!(number(&report, "sum"), 5.0);
    }
}

#[test]
fn b8_sync_error_while_async_in_flight() {
    // `slow` ends only after `bad` has failed beside it.
    let nodes = r#"
        "slow": Node(kind: "probe.outlast", with: {"value": 1, "of": 2}),
        "bad": Node(kind: "probe.fail_beside", with: {"of": 2}),
        "behind": Node(kind: "number.add", with: {"a": Link("slow")}),
        "blocked": Node(kind: "number.add", with: {"a": Link("bad")}),
    "#;
    for bench in Bench::each() {
        let report = run!(bench, nodes, ran: ["slow", "behind"], failed: ["bad"], blocked: ["blocked"]);
        assert_eq!(report.failures(), [("bad", &NodeError::failed("on purpose"))]);
        // Nothing leaks into the next run.
        let next = nodes.replace("probe.fail_beside", "probe.outlast");
        let report = run!(bench, &next, ran: ["bad", "blocked"], cached: ["behind"]);
        assert!(report.failures().is_empty());
    }
}

#[test]
fn b10_caching() {
    let nodes = r#"
        "away": Node(kind: "probe.elsewhere", with: {"value": 1}),
        "count": Node(kind: "probe.count", with: {"value": Link("away")}),
    "#;
    for bench in Bench::each() {
        run!(bench, nodes, ran: ["away", "count"]);
        let once = bench.probes.runs.load(SeqCst);
        let report = run!(bench, nodes, cached: ["count"]);
        assert_eq!(number(&report, "count"), 2.0);
        let again = bench.probes.runs.load(SeqCst) - once;
        assert_eq!(again, usize::from(bench.policy == crate::harness::Policy::Off));
    }
}

#[test]
fn b12_cleanup() {
    let nodes = r#""only": Node(kind: "probe.exclusive", with: {"value": 1})"#;
    for bench in Bench::each() {
        run!(bench, nodes, ran: ["only"]);
        run!(bench, nodes, cached: ["only"]);
        run!(bench, &nodes.replace("1}", "2}"), ran: ["only"]);
    }
}

#[test]
fn b13_mixed() {
    let nodes = r#"
        "here": Node(kind: "number.add", with: {"a": 1}),
        "away": Node(kind: "probe.elsewhere", with: {"value": Link("here")}),
        "again": Node(kind: "number.add", with: {"a": Link("away"), "b": Link("here")}),
        "last": Node(kind: "probe.elsewhere", with: {"value": Link("again")}),
    "#;
    for bench in Bench::each() {
        let report = run!(bench, nodes, ran: ["here", "away", "again", "last"]);
        assert_eq!(number(&report, "last"), 6.0);
        let edited = nodes.replace(r#""b": Link("here")"#, r#""b": 10"#);
        let report = run!(bench, &edited, ran: ["again", "last"], cached: ["away"]);
        assert_eq!(number(&report, "last"), 14.0);
    }
}

#[test]
fn b14_cancellation() {
    let nodes = r#"
        "first": Node(kind: "number.add", with: {"a": 1}),
        "slow": Node(kind: "probe.until_cancelled", with: {"value": Link("first")}),
        "behind": Node(kind: "number.add", with: {"a": Link("slow")}),
    "#;
    for bench in Bench::each() {
        let cancel = Cancel::new();
        let listen = |event: &Event| {
            if matches!(event, Event::NodeStarted { node, .. } if node == "slow") {
                cancel.cancel();
            }
        };
        let report = run!(bench, nodes, events: listen, cancel: cancel, ran: ["first"], interrupted: ["slow", "behind"]);
        assert!(report.interrupted && report.outputs.is_empty() && report.failures().is_empty());
        let quick = nodes.replace("probe.until_cancelled", "probe.elsewhere");
        let report = run!(bench, &quick, ran: ["slow", "behind"], cached: ["first"]);
        assert!(!report.interrupted);
        assert_eq!(number(&report, "behind"), 4.0);
    }
}
