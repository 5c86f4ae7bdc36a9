//! G: a failure costs only what depends on it.

use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;

use lumina_engine::{Event, NodeError, Outcome, RunOptions};

use crate::harness::{Bench, Policy, number};

/// A failure with two nodes behind it, and two without.
const PARTIAL: &str = r#"
    "bad": Node(kind: "test.fail", with: {"how": "error"}),
    "behind": Node(kind: "number.add", with: {"a": Link("bad"), "b": Link("good")}),
    "further": Node(kind: "number.add", with: {"a": Link("behind")}),
    "good": Node(kind: "number.add", with: {"a": 1}),
    "better": Node(kind: "number.add", with: {"a": Link("good")}),
"#;

#[test]
fn g1_only_dependents_of_a_failed_node_are_blocked() {
    for bench in Bench::each() {
        let report =
            run!(bench, PARTIAL, ran: ["good", "better"], failed: ["bad"], blocked: ["behind", "further"]);
        for (name, outcome) in &report.nodes {
            if let Outcome::Blocked { by } = outcome {
                assert_eq!(by, "bad", "{name}");
            }
        }
    }
}

#[test]
fn g2_a_partial_success_is_summed_up() {
    for bench in Bench::each() {
        let finished = Mutex::new(None);
        let listen = |event: &Event| {
            if let Event::RunFinished { ran, cached, failed, blocked, .. } = event {
                *finished.lock().unwrap() = Some((*ran, *cached, *failed, *blocked));
            }
        };
        let report = run!(bench, PARTIAL, events: listen,
            ran: ["good", "better"], failed: ["bad"], blocked: ["behind", "further"]);
        assert_eq!(*finished.lock().unwrap(), Some((2, 0, 1, 2)));
        assert_eq!(report.failures(), [("bad", &NodeError::failed("on purpose"))]);
        assert_eq!(report.outputs.keys().collect::<Vec<_>>(), ["better"]);
        assert!(!report.interrupted);
    }
}

#[test]
fn g3_a_failed_node_is_not_run_again_in_the_same_run() {
    let nodes = r#"
        "bad": Node(kind: "test.fail", with: {"how": "error"}),
        "one": Node(kind: "number.add", with: {"a": Link("bad")}),
        "two": Node(kind: "number.add", with: {"a": Link("bad"), "b": Link("bad")}),
    "#;
    for bench in Bench::each() {
        // In the next run it is tried again.
        for _ in 0..2 {
            let started = Mutex::new(0);
            let listen = |event: &Event| {
                *started.lock().unwrap() += u32::from(matches!(event, Event::NodeStarted { .. }))
            };
            run!(bench, nodes, events: listen, failed: ["bad"], blocked: ["one", "two"]);
            assert_eq!(*started.lock().unwrap(), 1);
        }
    }
}

#[test]
fn g5_an_interruption_ends_the_run() {
    let nodes = r#"
        "stop": Node(kind: "test.fail", with: {"how": "cancel"}),
        "behind": Node(kind: "number.add", with: {"a": Link("stop")}),
        "after": Node(kind: "number.add", with: {"a": Link("behind")}),
    "#;
    for bench in Bench::each() {
        let report = run!(bench, nodes, interrupted: ["stop", "behind", "after"]);
        assert!(report.interrupted && report.failures().is_empty() && report.outputs.is_empty());
    }
}

/// ComfyUI ends the run. Here both are errors of one node: nothing is broken that another node could meet.
#[test]
fn g5_lack_of_memory_and_a_malformed_result_are_failures_of_their_node() {
    let nodes = r#"
        "large": Node(kind: "probe.out_of_memory"),
        "liar": Node(kind: "test.fail", with: {"how": "lie"}),
        "good": Node(kind: "number.add", with: {"a": 1}),
    "#;
    for bench in Bench::each() {
        let report = run!(bench, nodes, ran: ["good"], failed: ["large", "liar"]);
        let errors = report.failures();
        assert!(matches!(errors[0], ("large", NodeError::OutOfMemory { .. })));
        assert!(errors[1].1.to_string().contains("not what it promises"));
        run!(bench, nodes, cached: ["good"], failed: ["large", "liar"]);
    }
}

#[test]
fn g6_a_cached_output_counts_as_success() {
    for bench in Bench::each() {
        run!(bench, PARTIAL, targets: ["better"], ran: ["good", "better"]);
        let report =
            run!(bench, PARTIAL, cached: ["good", "better"], failed: ["bad"], blocked: ["behind", "further"]);
        assert_eq!(number(&report, "better"), 3.0);
    }
}

#[test]
fn g7_a_run_without_any_output_is_an_error() {
    for bench in Bench::each() {
        let report = run!(bench, PARTIAL, targets: ["further"],
            ran: ["good"], failed: ["bad"], blocked: ["behind", "further"]);
        assert!(report.outputs.is_empty());
        assert_eq!(report.failures().len(), 1);
        // What did succeed on the way is kept.
        let report = run!(bench, PARTIAL, targets: ["further"],
            cached: ["good"], failed: ["bad"], blocked: ["behind", "further"]);
        assert!(report.outputs.is_empty());
    }
}

#[test]
fn g8_failed_outputs_never_reach_the_store() {
    for bench in Bench::each() {
        run!(bench, PARTIAL, ran: ["good", "better"], failed: ["bad"], blocked: ["behind", "further"]);
        let entry = |node: &str| {
            let key = bench.key(PARTIAL, node).unwrap().to_string();
            bench.store.names().iter().any(|name| name.ends_with(&key))
        };
        for (node, kept) in
            [("bad", false), ("behind", false), ("further", false), ("good", true), ("better", true)]
        {
            assert_eq!(entry(node), kept && bench.policy == Policy::Disk, "{node}");
        }
    }
}

#[test]
fn g10_inputs_of_failed_nodes_are_freed_at_once() {
    // `waits` ends only when the value that `bad` was given is gone.
    let nodes = r#"
        "tracked": Node(kind: "probe.tracked"),
        "bad": Node(kind: "probe.use_and_fail", with: {"tracked": Link("tracked")}),
        "waits": Node(kind: "probe.until_freed", with: {"value": 1}),
    "#;
    // A memory cache keeps the value on purpose.
    for bench in Bench::each().into_iter().filter(|bench| bench.policy != Policy::Memory) {
        run!(bench, nodes, ran: ["tracked", "waits"], failed: ["bad"]);
    }
}

#[test]
fn g11_twenty_blocked_nodes_are_one_failure() {
    let mut nodes = String::from(r#""n0": Node(kind: "test.fail", with: {"how": "error"}),"#);
    for index in 1..=20 {
        let before = if index % 2 == 0 { index - 1 } else { 0 };
        nodes += &format!(r#""n{index}": Node(kind: "number.add", with: {{"a": Link("n{before}")}}),"#);
    }
    let names: Vec<String> = (1..=20).map(|index| format!("n{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for bench in Bench::each() {
        let heard = Mutex::new((0, 0));
        let listen = |event: &Event| match event {
            Event::NodeFailed { .. } => heard.lock().unwrap().0 += 1,
            Event::NodeBlocked { by, .. } if by == "n0" => heard.lock().unwrap().1 += 1,
            _ => {}
        };
        let report = run!(bench, &nodes, events: listen, failed: ["n0"], blocked: names[..]);
        assert_eq!(*heard.lock().unwrap(), (1, 20));
        assert_eq!(report.failures().len(), 1);
    }
}

#[test]
fn g12_fail_fast_is_available() {
    // `beside` may run at the same time as `bad`, but ends only after it is known that `bad` has failed.
    let nodes = r#"
        "bad": Node(kind: "test.fail", with: {"how": "error"}),
        "beside": Node(kind: "probe.outlast", with: {"of": 1}),
        "later": Node(kind: "number.add", with: {"a": Link("beside")}),
        "behind": Node(kind: "number.add", with: {"a": Link("bad"), "b": Link("later")}),
    "#;
    for bench in Bench::each() {
        let listen = |event: &Event| {
            if matches!(event, Event::NodeFailed { .. }) {
                bench.probes.failed.store(true, SeqCst);
            }
        };
        let graph = bench.checked(nodes);
        let options = RunOptions { fail_fast: true, events: &listen, ..RunOptions::default() };
        let report = bench.engine().run(&graph, &bench.world, options);
        assert_eq!(report.failures().len(), 1);
        assert!(report.with(|outcome| *outcome == Outcome::Skipped).contains(&"later"));
        // Without it, what does not depend on the failure runs.
        let known = if report.ran().contains(&"beside") { &["beside"][..] } else { &[] };
        let now = if known.is_empty() { &["beside", "later"][..] } else { &["later"] };
        bench.probes.failed.store(true, SeqCst);
        run!(bench, nodes, cached: known[..], ran: now[..], failed: ["bad"], blocked: ["behind"]);
    }
}
