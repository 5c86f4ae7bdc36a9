//! A14, E7 and F: turns in which each gets what the one before gave.

use std::sync::atomic::Ordering::SeqCst;

use lumina_engine::{Code, RunOptions};

use crate::harness::{Bench, lists, number, numbers};
use crate::images::values;

/// `times` turns, each of which adds a number.
fn count(times: &str, step: &str) -> String {
    format!(
        r#"
        "times": Node(kind: "any.same", with: {{"value": 3}}),
        "step": Node(kind: "number.add", with: {{"a": {step}, "b": 0}}),
        "turn": Node(kind: "fold", with: {{"start": 100, "times": {times}}}),
        "body": Node(kind: "probe.count", with: {{"value": Link("turn.value"), "more": Link("step")}}),
        "end": Node(kind: "fold.end", with: {{"next": Link("body")}}),
        "#
    )
}

#[test]
fn a14_for_loop() {
    for times in 1..=4u32 {
        for bench in Bench::each() {
            let body: Vec<String> = (0..times).map(|turn| format!("body[{turn}]")).collect();
            let body: Vec<&str> = body.iter().map(String::as_str).collect();
            let report =
                run!(bench, &count(&times.to_string(), "7"), targets: ["end"], ran: ["step"], ran: body[..]);
            assert_eq!(number(&report, "end"), 100.0 + 7.0 * f64::from(times));
            // Another value from before the loop goes through all turns.
            let report =
                run!(bench, &count(&times.to_string(), "9"), targets: ["end"], ran: ["step"], ran: body[..]);
            assert_eq!(number(&report, "end"), 100.0 + 9.0 * f64::from(times));
        }
    }
}

#[test]
fn a14_a_longer_loop_goes_on_where_the_shorter_one_ended() {
    for bench in Bench::each() {
        run!(bench, &count("2", "7"), targets: ["end"], ran: ["step", "body[0]", "body[1]"]);
        let report =
            run!(bench, &count("3", "7"), targets: ["end"], ran: ["body[2]"], cached: ["step", "body[1]"]);
        assert_eq!(number(&report, "end"), 121.0);
    }
}

#[test]
fn f_zero_turns_give_the_start() {
    for bench in Bench::each() {
        let report = run!(bench, &count("0", "7"), targets: ["end"], ran: []);
        assert_eq!(number(&report, "end"), 100.0);
        let none = count("Link(\"times\")", "7").replace(r#""value": 3"#, r#""value": 0"#);
        let report = run!(bench, &none, targets: ["end"], ran: ["times"]);
        assert_eq!(number(&report, "end"), 100.0);
        assert_eq!(bench.probes.runs.load(SeqCst), 0);
    }
}

#[test]
fn f_a_number_of_turns_may_be_computed() {
    for bench in Bench::each() {
        let report = run!(bench, &count("Link(\"times\")", "7"), targets: ["end"],
            ran: ["times", "step", "body[0]", "body[1]", "body[2]"]);
        assert_eq!(number(&report, "end"), 121.0);
    }
}

/// A loop in a loop; each turn adds one.
fn nested(outer: &str, inner: &str) -> String {
    format!(
        r#"
        "n": Node(kind: "any.same", with: {{"value": 3}}),
        "m": Node(kind: "any.same", with: {{"value": 4}}),
        "outer": Node(kind: "fold", with: {{"start": 0, "times": {outer}}}),
        "inner": Node(kind: "fold", with: {{"start": Link("outer.value"), "times": {inner}}}),
        "body": Node(kind: "probe.count", with: {{"value": Link("inner.value"), "more": 1}}),
        "row": Node(kind: "collect", with: {{"item": Link("body")}}),
        "inner_end": Node(kind: "fold.end", with: {{"next": Link("body")}}),
        "rows": Node(kind: "collect", with: {{"item": Link("row")}}),
        "outer_end": Node(kind: "fold.end", with: {{"next": Link("inner_end")}}),
        "#
    )
}

#[test]
fn f_nested_loops_run_n_times_m_bodies_in_order() {
    for (outer, inner) in
        [("3", "4"), ("Link(\"n\")", "4"), ("3", "Link(\"m\")"), ("Link(\"n\")", "Link(\"m\")")]
    {
        for bench in Bench::each() {
            let options = RunOptions {
                targets: Some(vec!["outer_end".to_owned(), "rows".to_owned()]),
                ..RunOptions::default()
            };
            let report = bench.engine().run(&bench.checked(&nested(outer, inner)), &bench.world, options);
            assert_eq!(number(&report, "outer_end"), 12.0);
            assert_eq!(bench.probes.runs.load(SeqCst), 12, "{outer} x {inner}, {:?}", bench.policy);
            let rows = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 10.0, 11.0, 12.0]];
            assert_eq!(lists(&report, "rows"), rows);
        }
    }
}

#[test]
fn f_an_inner_loop_of_no_turns_passes_the_value_on() {
    for bench in Bench::each() {
        let report = run!(bench, &nested("3", "0"), targets: ["outer_end"], ran: []);
        assert_eq!(number(&report, "outer_end"), 0.0);
    }
}

#[test]
fn f_an_inner_loop_may_be_as_long_as_the_turn_says() {
    for bench in Bench::each() {
        let report = run!(bench, &nested("3", "Link(\"outer.index\")"), targets: ["outer_end"],
            ran: ["body[1,0]", "body[2,0]", "body[2,1]"]);
        assert_eq!(number(&report, "outer_end"), 3.0);
    }
}

#[test]
fn f_lists_are_carried() {
    let nodes = |start: &str| {
        format!(
            r#"
            "list": Node(kind: "any.same", with: {{"value": [1, 2, 3]}}),
            "turn": Node(kind: "fold", with: {{"start": {start}, "times": 2}}),
            "each": Node(kind: "map", with: {{"items": Link("turn.value")}}),
            "more": Node(kind: "number.add", with: {{"a": Link("each.item"), "b": 100}}),
            "row": Node(kind: "collect", with: {{"item": Link("more")}}),
            "end": Node(kind: "fold.end", with: {{"next": Link("row")}}),
            "#
        )
    };
    let turns = ["more[0,0]", "more[0,1]", "more[0,2]", "more[1,0]", "more[1,1]", "more[1,2]"];
    for bench in Bench::each() {
        let report = run!(bench, &nodes("[1, 2, 3]"), targets: ["end"], ran: turns);
        assert_eq!(numbers(&report, "end"), [201.0, 202.0, 203.0]);
    }
    for bench in Bench::each() {
        let report = run!(bench, &nodes("Link(\"list\")"), targets: ["end"], ran: ["list"], ran: turns);
        assert_eq!(numbers(&report, "end"), [201.0, 202.0, 203.0]);
    }
}

#[test]
fn f_domain_values_are_carried() {
    let nodes = r#"
        "start": Node(kind: "image.constant", with: {"value": 0}),
        "white": Node(kind: "image.constant", with: {"value": 1}),
        "half": Node(kind: "mask.constant", with: {"value": 0.5}),
        "turn": Node(kind: "fold", with: {"start": Link("start"), "times": 3}),
        "mix": Node(kind: "image.mix", with: {"a": Link("turn.value"), "b": Link("white"), "mask": Link("half")}),
        "end": Node(kind: "fold.end", with: {"next": Link("mix")}),
        "after": Node(kind: "image.average", with: {"images": [Link("end")]}),
    "#;
    for bench in Bench::each() {
        let report =
            run!(bench, nodes, ran: ["start", "white", "half", "mix[0]", "mix[1]", "mix[2]", "after"]);
        assert_eq!(values(&report, "after"), [0.875; 6]);
        run!(bench, nodes, cached: ["after"]);
        // A size that does not fit shows in the check, behind the loop too.
        let wrong = nodes.replace(
            r#""white": Node(kind: "image.constant", with: {"#,
            r#""white": Node(kind: "image.constant", with: {"width": 9, "#,
        );
        assert_eq!(bench.refused(&wrong).0, [Code::WrongShape]);
    }
}

#[test]
fn f_texts_and_truth_values_are_carried() {
    for (start, next) in [("\"a\"", "\"b\""), ("true", "false"), ("[\"a\"]", "[\"b\", \"c\"]")] {
        let nodes = format!(
            r#"
            "turn": Node(kind: "fold", with: {{"start": {start}, "times": 2}}),
            "seen": Node(kind: "any.same", with: {{"value": Link("turn.value")}}),
            "next": Node(kind: "switch", with: {{"on": Link("turn.index"), "cases": [Link("seen"), {next}]}}),
            "all": Node(kind: "collect", with: {{"item": Link("seen")}}),
            "end": Node(kind: "fold.end", with: {{"next": Link("next")}}),
            "#
        );
        for bench in Bench::each() {
            let graph = bench.checked(&nodes);
            let report = bench.engine().run(&graph, &bench.world, RunOptions::default());
            assert!(report.failures().is_empty());
            assert_eq!(format!("{:?}", report.outputs["end"]), format!("[{next}]"));
        }
    }
}

#[test]
fn f_a_loop_over_a_list_has_its_items() {
    let nodes = |over: &str| {
        format!(
            r#"
            "list": Node(kind: "any.same", with: {{"value": [5, 6, 7]}}),
            "turn": Node(kind: "fold", with: {{"start": 0, "over": {over}}}),
            "body": Node(kind: "number.add", with: {{"a": Link("turn.value"), "b": Link("turn.item")}}),
            "on_the_way": Node(kind: "collect", with: {{"item": Link("body")}}),
            "end": Node(kind: "fold.end", with: {{"next": Link("body")}}),
            "#
        )
    };
    let body = ["body[0]", "body[1]", "body[2]"];
    for bench in Bench::each() {
        let report = run!(bench, &nodes("[5, 6, 7]"), targets: ["end", "on_the_way"], ran: body);
        assert_eq!((number(&report, "end"), numbers(&report, "on_the_way")), (18.0, vec![5.0, 11.0, 18.0]));
    }
    for bench in Bench::each() {
        let report =
            run!(bench, &nodes("Link(\"list\")"), targets: ["end", "on_the_way"], ran: ["list"], ran: body);
        assert_eq!((number(&report, "end"), numbers(&report, "on_the_way")), (18.0, vec![5.0, 11.0, 18.0]));
    }
}

#[test]
fn f_a_body_that_fails_ends_the_loop() {
    let nodes = |times: &str| {
        format!(
            r#"
            "times": Node(kind: "any.same", with: {{"value": 4}}),
            "turn": Node(kind: "fold", with: {{"start": 1, "times": {times}}}),
            "body": Node(kind: "probe.fail_at", with: {{"value": Link("turn.value"), "at": 3}}),
            "end": Node(kind: "fold.end", with: {{"next": Link("body")}}),
            "behind": Node(kind: "number.add", with: {{"a": Link("end"), "b": 100}}),
            "beside": Node(kind: "number.add", with: {{"a": 50, "b": 0}}),
            "#
        )
    };
    for (times, before) in [("4", &[][..]), ("Link(\"times\")", &["times"])] {
        for bench in Bench::each() {
            let report = run!(bench, &nodes(times), targets: ["behind", "beside"], ran: before,
                ran: ["body[0]", "body[1]", "beside"], failed: ["body[2]"], blocked: ["body[3]", "behind"]);
            assert_eq!(report.outputs.keys().collect::<Vec<_>>(), ["beside"]);
            assert_eq!(report.failures().len(), 1);
        }
    }
}

#[test]
fn f_a_loop_of_many_turns_needs_no_recursion() {
    for bench in Bench::each() {
        let report = bench.engine().run(
            &bench.checked(&count("3000", "1")),
            &bench.world,
            RunOptions { targets: Some(vec!["end".to_owned()]), ..RunOptions::default() },
        );
        assert_eq!(number(&report, "end"), 3100.0);
        assert_eq!(bench.probes.runs.load(SeqCst), 3000);
    }
}

#[test]
fn e7_loops_one_after_the_other_and_side_by_side() {
    let fold = |name: &str, start: &str, step: u32| {
        format!(
            r#"
            "{name}": Node(kind: "fold", with: {{"start": {start}, "times": 2}}),
            "{name}_body": Node(kind: "number.add", with: {{"a": Link("{name}.value"), "b": {step}}}),
            "{name}_end": Node(kind: "fold.end", with: {{"next": Link("{name}_body")}}),
            "#
        )
    };
    let nodes = [
        fold("one", "0", 10),
        fold("two", "Link(\"one_end\")", 100),
        fold("other", "5", 1000),
        r#""both": Node(kind: "number.add", with: {"a": Link("two_end"), "b": Link("other_end")}),"#
            .to_owned(),
    ];
    for bench in Bench::each() {
        let bodies =
            ["one_body[0]", "one_body[1]", "two_body[0]", "two_body[1]", "other_body[0]", "other_body[1]"];
        let report = run!(bench, &nodes.concat(), targets: ["both"], ran: bodies, ran: ["both"]);
        assert_eq!(number(&report, "both"), 2225.0);
    }
}

#[test]
fn e7_each_mistake_has_its_code_and_its_words() {
    let start = r#"
        "turn": Node(kind: "fold", with: {"start": 0, "times": 2}),
        "body": Node(kind: "number.add", with: {"a": Link("turn.value")}),
        "each": Node(kind: "map", with: {"items": [1, 2]}),
        "item": Node(kind: "number.add", with: {"a": Link("each.item")}),
        "free": Node(kind: "number.add", with: {"a": 1}),
    "#;
    let end = r#""end": Node(kind: "fold.end", with: {"next": Link("body")}),"#;
    let second = r#""second": Node(kind: "fold.end", with: {"next": Link("body")}),"#;
    let wrong = r#""wrong": Node(kind: "fold.end", with: {"next": Link("item")}),"#;
    let loose = r#""loose": Node(kind: "collect", with: {"item": Link("free")}),"#;
    let loose_end = r#""loose": Node(kind: "fold.end", with: {"next": Link("free")}),"#;
    let cases = [
        (vec![], Code::UnendedFold, "the fold `turn` has no end"),
        (vec![end, second], Code::UnendedFold, "the fold `turn` has two ends"),
        (vec![end, wrong], Code::UnendedFold, "`wrong` ends a fold, but stands in the iteration `each`"),
        (vec![end, loose], Code::NotInScope, "`loose` ends an iteration and stands in none"),
        (vec![end, loose_end], Code::NotInScope, "`loose` ends a fold and stands in none"),
    ];
    for bench in Bench::each() {
        for (nodes, code, words) in &cases {
            let (codes, text) = bench.refused(&format!("{start}{}", nodes.concat()));
            assert_eq!(codes, [*code], "{text}");
            assert!(text.contains(words), "{text}");
        }
    }
}

/// ComfyUI ignores a broken loop that no output needs. A graph with a mistake does not run here at all (A10).
#[test]
fn e7_a_broken_loop_that_nothing_needs_is_refused_too() {
    for bench in Bench::each() {
        let nodes = r#"
            "turn": Node(kind: "fold", with: {"start": 0, "times": 2}),
            "good": Node(kind: "sink.keep", with: {"value": 1}),
        "#;
        assert_eq!(bench.refused(nodes).0, [Code::UnendedFold]);
    }
}
