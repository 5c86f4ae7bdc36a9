//! A21: runs for some nodes only.

use crate::harness::{Bench, number};

const TWO: &str = r#"
    "shared": Node(kind: "number.add", with: {"a": 1}),
    "more": Node(kind: "number.add", with: {"a": Link("shared")}),
    "one": Node(kind: "sink.keep", with: {"value": Link("shared")}),
    "two": Node(kind: "sink.keep", with: {"value": Link("more")}),
"#;

#[test]
fn a21a_partial_execution_included_outputs() {
    for bench in Bench::each() {
        run!(bench, TWO, targets: ["one"], ran: ["shared", "one"]);
        run!(bench, TWO, targets: ["two"], ran: ["more", "two"], cached: ["shared"]);
    }
}

#[test]
fn a21b_partial_execution_excluded() {
    let nodes = r#"
        "image": Node(kind: "image.constant", with: {"value": 1}),
        "one": Node(kind: "image.save", with: {"image": Link("image")}),
        "two": Node(kind: "image.save", with: {"image": Link("image")}),
    "#;
    for bench in Bench::each() {
        let report = run!(bench, nodes, targets: ["one"], ran: ["image", "one"]);
        assert_eq!(report.outputs.keys().collect::<Vec<_>>(), ["one"]);
        let files = bench.world.files.lock().unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), [std::path::Path::new("one.img")]);
    }
}

#[test]
fn a21c_partial_execution_dependencies() {
    let nodes = r#"
        "inner": Node(kind: "sink.keep", with: {"value": 5}),
        "outer": Node(kind: "sink.keep", with: {"value": Link("inner")}),
        "other": Node(kind: "sink.keep", with: {"value": 6}),
    "#;
    for bench in Bench::each() {
        let report = run!(bench, nodes, targets: ["outer"], ran: ["inner", "outer"]);
        assert_eq!(report.outputs.keys().collect::<Vec<_>>(), ["outer"]);
        assert_eq!(number(&report, "outer"), 5.0);
        // Afterwards the inner one is only found again, and is an output when it is asked for.
        let report = run!(bench, nodes, ran: ["other"], cached: ["inner", "outer"]);
        assert_eq!(number(&report, "inner"), 5.0);
    }
}

#[test]
fn a21e_partial_execution_multiple_output_nodes() {
    for bench in Bench::each() {
        let report = run!(bench, TWO, targets: ["one", "two"], ran: ["shared", "more", "one", "two"]);
        assert_eq!((number(&report, "one"), number(&report, "two")), (2.0, 3.0));
    }
}

/// Not "everything": nothing. The command line cannot ask for it.
#[test]
fn a21f_partial_execution_empty_list() {
    for bench in Bench::each() {
        let report = run!(bench, TWO, targets: [], ran: []);
        assert!(report.outputs.is_empty());
    }
}
