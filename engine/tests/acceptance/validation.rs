//! A5 to A7 and E: what the check refuses, and how it says so. Nothing that is refused runs.

use lumina_engine::{Code, Type};

use crate::harness::{Bench, number};

fn node(kind: &str, value: &str) -> String {
    format!(
        r#"
        "image": Node(kind: "image.constant", with: {{"value": 1}}),
        "mask": Node(kind: "mask.constant", with: {{"value": 1}}),
        "number": Node(kind: "number.add", with: {{"a": 1}}),
        "whole": Node(kind: "number.whole", with: {{"value": 1}}),
        "either": Node(kind: "number.either", with: {{"value": 1}}),
        "x": Node(kind: "{kind}", with: {{"value": {value}}}),
        "#
    )
}

#[test]
fn a5_validation_error_literal() {
    for bench in Bench::each() {
        for (value, found) in [("5", "Int"), ("\"foo\"", "Text")] {
            let (codes, text) = bench.refused(&node("check.only_float", value));
            assert_eq!(codes, [Code::Incompatible]);
            assert!(text.contains(&format!("a number with a point is wanted, not {found}")), "{text}");
        }
        let nodes = node("check.only_float", "5.0");
        let report = run!(bench, &nodes, targets: ["x"], ran: ["x"]);
        assert_eq!(number(&report, "x"), 5.0);
        run!(bench, &nodes, targets: ["x"], cached: ["x"]);
    }
}

/// A whole number is refused by ComfyUI; here it is a number (H7).
#[test]
fn a6_validation_error_edge_cases() {
    for bench in Bench::each() {
        for value in ["Link(\"mask\")", "\"foo\"", "true", "[1.0]"] {
            assert_eq!(bench.refused(&node("check.image_or_float", value)).0, [Code::WrongType], "{value}");
        }
        run!(bench, &node("check.image_or_float", "Link(\"image\")"), targets: ["x"], ran: ["image", "x"]);
        run!(bench, &node("check.image_or_float", "Link(\"number\")"), targets: ["x"], ran: ["number", "x"]);
        run!(bench, &node("check.image_or_float", "Link(\"whole\")"), targets: ["x"], ran: ["whole", "x"]);
        // A kind that declares more takes more.
        run!(bench, &node("check.wide", "Link(\"mask\")"), targets: ["x"], ran: ["mask", "x"]);
        run!(bench, &node("check.up_to_six", "Link(\"number\")"), targets: ["x"], ran: ["x"], cached: ["number"]);
    }
}

/// There is no range in the specification: the words are those of the node.
#[test]
fn a7_validation_error_kwargs() {
    for bench in Bench::each() {
        let (codes, text) = bench.refused(&node("check.up_to_six", "7.0"));
        assert_eq!(codes, [Code::Incompatible]);
        assert!(text.contains("7 is more than I can take"), "{text}");
        run!(bench, &node("check.up_to_six", "5.0"), targets: ["x"], ran: ["x"]);
    }
}

#[test]
fn e1_a_union_does_not_fit_when_only_a_part_of_it_fits() {
    for bench in Bench::each() {
        assert_eq!(bench.refused(&node("check.up_to_six", "Link(\"either\")")).0, [Code::WrongType]);
        let list = node("any.same", "[Link(\"either\")]");
        run!(bench, &list, targets: ["x"], ran: ["either", "x"]);
    }
    let union = |types: &[Type]| Type::OneOf(types.to_vec());
    assert!(!union(&[Type::Text, Type::Bool]).accepts(&union(&[Type::Bool, Type::Int, Type::Text])));
}

#[test]
fn e1_a_union_fits_when_all_of_it_fits_in_any_order() {
    for bench in Bench::each() {
        // The same union turned round, and a wider one.
        run!(bench, &node("check.float_or_image", "Link(\"either\")"), targets: ["x"], ran: ["either", "x"]);
        run!(bench, &node("check.wide", "Link(\"either\")"), targets: ["x"], ran: ["x"], cached: ["either"]);
    }
    let union = |types: &[Type]| Type::OneOf(types.to_vec());
    assert!(union(&[Type::Bool, Type::Int, Type::Text]).accepts(&union(&[Type::Text, Type::Bool])));
}

#[test]
fn e2_a_chain_of_2000_validates() {
    let node = |index: usize| {
        let value = if index == 0 { "0".to_owned() } else { format!("Link(\"n{}\")", index - 1) };
        format!("\"n{index}\": Node(kind: \"number.add\", with: {{\"a\": {value}}}),\n")
    };
    let chain: String = (0..2000).rev().map(node).collect();
    for bench in Bench::each() {
        assert_eq!(bench.checked(&chain).nodes.len(), 2000);
        // The mistake at its end is found as well.
        let wrong = chain.replace("\"a\": 0}", "\"a\": \"zero\"}");
        assert_eq!(bench.refused(&wrong).0, [Code::WrongType]);
    }
}

#[test]
fn e3_the_text_of_a_cycle_lists_names_and_shows_kinds() {
    for bench in Bench::each() {
        let (_, text) = bench.refused(
            r#"
            "left": Node(kind: "number.add", with: {"a": Link("right")}),
            "right": Node(kind: "any.same", with: {"value": Link("left")}),
            "#,
        );
        assert!(text.contains("`left` -> `right` -> `left`"), "{text}");
        assert!(text.contains(r#"kind: "number.add""#) && text.contains(r#"kind: "any.same""#), "{text}");
    }
}

#[test]
fn e4_a_validator_that_panics_is_reported_as_such() {
    for bench in Bench::each() {
        let (codes, text) = bench.refused(&node("check.panic", "1"));
        assert_eq!(codes, [Code::Incompatible]);
        let words = "the node kind `check.panic` panicked while it was checked: in the validator";
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn e5_an_omitted_input_gets_its_default_and_a_given_one_wins() {
    let nodes = |with: &str| format!(r#""x": Node(kind: "number.given_or_default", with: {{{with}}})"#);
    for bench in Bench::each() {
        // An optional input that is absent is something else than any value.
        for (with, expected) in [("", 107.0), (r#""value": 1"#, 101.0), (r#""maybe": 1"#, 8.0)] {
            assert_eq!(number(&run!(bench, &nodes(with), ran: ["x"]), "x"), expected);
        }
        // The default written out is the default.
        run!(bench, &nodes(r#""value": 7"#), cached: ["x"]);
    }
}
