//! What runs, what does not, and what comes out.

mod support;

use std::num::NonZeroUsize;
use std::sync::Mutex;

use lumina_engine::{Code, Engine, Event, Graph, NodeError, Outcome, Overrides, RunOptions, Value, render};
use support::{FakeWorld, check, graph, registry};

/// Checks a graph that has to be right.
fn checked(engine: &Engine, world: &FakeWorld, text: &str) -> Graph {
    let checked = check(engine, world, text, &Overrides::default());
    checked.graph.unwrap_or_else(|| panic!("{}", render(&checked.sources, &checked.diagnostics, false)))
}

fn codes(text: &str) -> Vec<Code> {
    let engine = Engine::new(registry());
    let checked = check(&engine, &FakeWorld::default(), text, &Overrides::default());
    assert!(checked.graph.is_none());
    let mut errors: Vec<_> = checked.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).collect();
    errors.sort_by_key(|diagnostic| diagnostic.span);
    errors.iter().map(|diagnostic| diagnostic.code).collect()
}

const CHAIN: &str = r#"
    "c": Node(kind: "number.add", with: {"a": Link("b"), "b": 10}),
    "a": Node(kind: "number.add", with: {"a": 1}),
    "b": Node(kind: "number.add", with: {"a": Link("a.sum"), "b": Param("seed")}),
"#;

#[test]
fn nodes_run_in_the_order_of_their_links_and_not_of_the_file() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    let report = engine.run(&checked(&engine, &world, &graph(CHAIN)), &world, RunOptions::default());
    assert_eq!(report.ran(), ["a", "b", "c"]);
    assert_eq!(*report.outputs["c"], [Value::Float(15.0)]);
}

#[test]
fn a_second_identical_run_executes_nothing() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    let graph = checked(&engine, &world, &graph(CHAIN));
    engine.run(&graph, &world, RunOptions::default());
    let report = engine.run(&graph, &world, RunOptions::default());
    assert_eq!(report.ran(), [""; 0]);
    // Only the target is even looked at: what is behind a cached node is not needed.
    assert_eq!(report.cached(), ["c"]);
}

#[test]
fn an_edit_runs_only_what_depends_on_it() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    engine.run(&checked(&engine, &world, &graph(CHAIN)), &world, RunOptions::default());
    let edited = graph(&CHAIN.replace("\"b\": 10", "\"b\": 11"));
    let report = engine.run(&checked(&engine, &world, &edited), &world, RunOptions::default());
    assert_eq!((report.ran(), report.cached()), (vec!["c"], vec!["b"]));
}

#[test]
fn a_renamed_node_keeps_its_outputs() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    engine.run(&checked(&engine, &world, &graph(CHAIN)), &world, RunOptions::default());
    let renamed = graph(&CHAIN.replace("\"a\": Node", "\"first\": Node").replace("a.sum", "first"));
    let report = engine.run(&checked(&engine, &world, &renamed), &world, RunOptions::default());
    assert_eq!(report.ran(), [""; 0]);
}

#[test]
fn other_content_of_a_file_runs_its_reader_again_and_a_touch_does_not() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default().with_file("f", "one"));
    let graph = checked(&engine, &world, &graph(r#""r": Node(kind: "file.read", with: {"path": "f"})"#));
    assert_eq!(engine.run(&graph, &world, RunOptions::default()).ran(), ["r"]);
    assert_eq!(engine.run(&graph, &world, RunOptions::default()).cached(), ["r"]);
    let world = world.with_file("f", "two");
    assert_eq!(engine.run(&graph, &world, RunOptions::default()).ran(), ["r"]);
}

#[test]
fn another_device_is_another_key() {
    let engine = Engine::new(registry());
    let cpu = FakeWorld { environment: "cpu f32".into(), ..FakeWorld::default() };
    let gpu = FakeWorld { environment: "cuda:0 bf16".into(), ..FakeWorld::default() };
    let graph = checked(&engine, &cpu, &graph(CHAIN));
    engine.run(&graph, &cpu, RunOptions::default());
    assert_eq!(engine.run(&graph, &gpu, RunOptions::default()).ran(), ["a", "b", "c"]);
}

#[test]
fn a_written_file_that_is_gone_is_written_again() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    let text =
        graph(r#""w": Node(kind: "file.write", with: {"value": 1, "path": "{graph}_{node}_{seed}.txt"})"#);
    let graph = checked(&engine, &world, &text);
    let report = engine.run(&graph, &world, RunOptions::default());
    assert_eq!(*report.outputs["w"], [Value::path("test_w_3.txt")]);
    assert_eq!(engine.run(&graph, &world, RunOptions::default()).cached(), ["w"]);
    world.files.lock().unwrap().clear();
    assert_eq!(engine.run(&graph, &world, RunOptions::default()).ran(), ["w"]);
}

#[test]
fn a_failure_blocks_only_what_depends_on_it() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    let text = graph(
        r#"
        "bad": Node(kind: "test.fail", with: {"how": "error"}),
        "behind": Node(kind: "number.add", with: {"a": Link("bad")}),
        "further": Node(kind: "number.add", with: {"a": Link("behind")}),
        "good": Node(kind: "number.add", with: {"a": 1}),
        "#,
    );
    let report = engine.run(&checked(&engine, &world, &text), &world, RunOptions::default());
    assert_eq!(report.failures(), [("bad", &NodeError::failed("on purpose"))]);
    let by = "bad".to_owned();
    assert_eq!(report.with(|outcome| *outcome == Outcome::Blocked { by: by.clone() }), ["behind", "further"]);
    assert_eq!(report.ran(), ["good"]);
    assert_eq!(report.outputs.keys().collect::<Vec<_>>(), ["good"]);
    // The engine is usable afterwards, and does not take a failure for a result.
    assert_eq!(
        engine.run(&checked(&engine, &world, &text), &world, RunOptions::default()).failures().len(),
        1
    );
}

#[test]
fn a_run_that_stops_at_the_first_failure_starts_nothing_more() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    let text = graph(
        r#"
        "bad": Node(kind: "test.fail", with: {"how": "error"}),
        "good": Node(kind: "number.add", with: {"a": 1}),
        "#,
    );
    // Alone: a second thread may have begun with the other node.
    let options = RunOptions { fail_fast: true, threads: NonZeroUsize::new(1), ..RunOptions::default() };
    let report = engine.run(&checked(&engine, &world, &text), &world, options);
    assert_eq!(report.with(|outcome| *outcome == Outcome::Skipped), ["good"]);
    assert!(report.ran().is_empty() && report.failures().len() == 1);
}

#[test]
fn a_panic_or_a_lie_of_a_node_is_its_error() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    for (how, words) in [("panic", "out of the blue"), ("lie", "not what it promises")] {
        let text = graph(&format!(r#""x": Node(kind: "test.fail", with: {{"how": "{how}"}})"#));
        let report = engine.run(&checked(&engine, &world, &text), &world, RunOptions::default());
        assert!(report.failures()[0].1.to_string().contains(words));
    }
}

#[test]
fn a_cancelled_run_stops_and_the_next_one_works() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    let text = graph(
        r#"
        "a": Node(kind: "number.add", with: {"a": 1}),
        "stop": Node(kind: "test.fail", with: {"how": "cancel"}),
        "z": Node(kind: "number.sum", with: {"items": [Link("a"), Link("stop")]}),
        "#,
    );
    let report = engine.run(&checked(&engine, &world, &text), &world, RunOptions::default());
    assert!(report.interrupted);
    assert_eq!(report.with(|outcome| *outcome == Outcome::Interrupted), ["stop", "z"]);
    let next = engine.run(&checked(&engine, &world, &graph(CHAIN)), &world, RunOptions::default());
    assert!(!next.interrupted && next.outputs.contains_key("c"));
}

#[test]
fn lists_may_mix_literals_and_links() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    let text = graph(
        r#"
        "s": Node(kind: "number.split", with: {"value": 2.5}),
        "sum": Node(kind: "number.sum", with: {"items": [1, Link("s.rest"), Link("s.whole")]}),
        "#,
    );
    let report = engine.run(&checked(&engine, &world, &text), &world, RunOptions::default());
    assert_eq!(*report.outputs["sum"], [Value::Float(3.5)]);
}

#[test]
fn what_an_untyped_output_turns_out_to_be_is_held_against_the_socket() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    let text = graph(
        r#"
        "any": Node(kind: "any.same", with: {"value": "text"}),
        "sum": Node(kind: "number.add", with: {"a": Link("any")}),
        "#,
    );
    let report = engine.run(&checked(&engine, &world, &text), &world, RunOptions::default());
    assert_eq!(report.failures()[0].1.to_string(), "the input `a` must be Float, found Text");
}

#[test]
fn a_chain_of_3000_nodes_is_checked_planned_and_run() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    let mut nodes = String::from("\"n0\": Node(kind: \"number.add\", with: {\"a\": 0}),\n");
    for index in (1..3000).rev() {
        let before = index - 1;
        nodes +=
            &format!("\"n{index}\": Node(kind: \"number.add\", with: {{\"a\": Link(\"n{before}\")}}),\n");
    }
    let report = engine.run(&checked(&engine, &world, &graph(&nodes)), &world, RunOptions::default());
    assert_eq!(*report.outputs["n2999"], [Value::Float(3000.0)]);
    assert_eq!(report.ran().len(), 3000);
}

#[test]
fn a_diamond_40_deep_runs_each_node_once() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    let mut nodes = String::from("\"n0\": Node(kind: \"number.add\", with: {\"a\": 0, \"b\": 1}),\n");
    for index in 1..=40 {
        let before = index - 1;
        nodes += &format!(
            "\"n{index}\": Node(kind: \"number.sum\", with: {{\"items\": [Link(\"n{before}\"), Link(\"n{before}\")]}}),\n"
        );
    }
    let report = engine.run(&checked(&engine, &world, &graph(&nodes)), &world, RunOptions::default());
    assert_eq!(*report.outputs["n40"], [Value::Float(2f64.powi(40))]);
    assert_eq!(report.ran().len(), 41);
}

#[test]
fn events_tell_the_whole_story() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    let graph = checked(&engine, &world, &graph(CHAIN));
    let heard = Mutex::new(Vec::new());
    let listen = |event: &Event| heard.lock().unwrap().push(event.clone());
    engine.run(&graph, &world, RunOptions { events: &listen, ..RunOptions::default() });
    let heard = heard.into_inner().unwrap();
    assert_eq!(heard[0], Event::RunStarted { nodes: 3 });
    assert!(matches!(
        heard.last(),
        Some(Event::RunFinished { ran: 3, cached: 0, failed: 0, blocked: 0, .. })
    ));
    assert_eq!(heard.iter().filter(|event| matches!(event, Event::NodeFinished { .. })).count(), 3);
}

#[test]
fn the_plan_estimates_memory_from_what_lives_together() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    let plan = engine.plan(&checked(&engine, &world, &graph(CHAIN)), &world, None);
    // Working memory of one node and the outputs of the one before.
    assert_eq!(plan.peak_bytes, 110);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let text = graph(
        r#"
        "a": Node(kind: "number.ad", with: {"a": 1}),
        "b": Node(kind: "number.add", with: {"aa": 1}),
        "c": Node(kind: "number.add", with: {"a": "one", "b": 1e9}),
        "d": Node(kind: "number.add", with: {"a": Link("e"), "b": Link("d2.sun")}),
        "d2": Node(kind: "number.add", with: {"a": Param("sed")}),
        "f": Node(kind: "test.fail", with: {"how": "loudly"}),
        "g": Node(kind: "number.add", with: {"a": Link("s")}),
        "s": Node(kind: "number.split", with: {"value": [1]}),
        "w": Node(kind: "file.write", with: {"value": 1, "path": "{nothing}"}),
        "#,
    );
    assert_eq!(
        codes(&text),
        [
            Code::UnknownKind,
            Code::MissingInput,
            Code::UnknownInput,
            Code::WrongType,
            Code::OutOfRange,
            Code::UnknownNode,
            Code::UnknownOutput,
            Code::UnknownParam,
            Code::NotAChoice,
            Code::AmbiguousOutput,
            Code::WrongType,
            Code::UnknownPlaceholder
        ]
    );
}

#[test]
fn what_hangs_on_a_broken_node_is_not_reported_again() {
    let text = graph(
        r#"
        "a": Node(kind: "nonsense", with: {}),
        "b": Node(kind: "number.add", with: {"a": Link("a")}),
        "c": Node(kind: "number.add", with: {"a": Link("b")}),
        "#,
    );
    assert_eq!(codes(&text), [Code::UnknownKind]);
}

#[test]
fn circles_are_printed_as_paths() {
    let engine = Engine::new(registry());
    let text = graph(
        r#"
        "a": Node(kind: "number.add", with: {"a": Link("c")}),
        "b": Node(kind: "number.add", with: {"a": Link("a")}),
        "c": Node(kind: "number.add", with: {"a": Link("b")}),
        "self": Node(kind: "number.add", with: {"a": Link("self")}),
        "#,
    );
    let checked = check(&engine, &FakeWorld::default(), &text, &Overrides::default());
    let circles: Vec<&str> = checked
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.code == Code::Cycle)
        .map(|diagnostic| diagnostic.message.as_str())
        .collect();
    assert_eq!(
        circles,
        [
            "nodes feed each other in a circle: `a` -> `b` -> `c` -> `a`",
            "nodes feed each other in a circle: `self` -> `self`"
        ]
    );
}

#[test]
fn overrides_set_parameters_and_inputs_and_their_mistakes_are_reported() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    let set = Overrides::default().set("seed", "7").set("a.a", "2");
    let checked = check(&engine, &world, &graph(CHAIN), &set);
    let report = engine.run(&checked.graph.unwrap(), &world, RunOptions::default());
    assert_eq!(*report.outputs["c"], [Value::Float(20.0)]);

    let wrong = Overrides::default()
        .set("sed", "7")
        .set("seed", "-1")
        .set("a.x", "1")
        .set("q.a", "1")
        .set("a.a", "x");
    let found = check(&engine, &world, &graph(CHAIN), &wrong);
    let mut codes: Vec<Code> = found.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    codes.sort();
    use Code::{BadOverride, UnknownOverride};
    assert_eq!(codes, [UnknownOverride, UnknownOverride, UnknownOverride, BadOverride, BadOverride]);
}

/// Each node needs 100 bytes while it runs and holds on to 10.
const TWO: &str = r#"
    "a": Node(kind: "number.add", with: {"a": 1}),
    "b": Node(kind: "number.add", with: {"a": Link("a")}),
"#;

#[test]
fn a_run_that_does_not_fit_is_refused_before_anything_runs_and_the_next_one_works() {
    let world = FakeWorld::default();
    let engine = Engine::new(registry()).with_memory_limit(99);
    let report = engine.run(&checked(&engine, &world, &graph(TWO)), &world, RunOptions::default());
    let refusal = report.refused.as_ref().unwrap();
    assert_eq!((refusal.needed, refusal.limit, refusal.node.as_str()), (110, 99, "b"));
    assert!(report.nodes.is_empty() && report.outputs.is_empty());
    let small = graph(r#""s": Node(kind: "number.sum", with: {"items": [1, 2]})"#);
    assert_eq!(engine.run(&checked(&engine, &world, &small), &world, RunOptions::default()).ran(), ["s"]);
}

#[test]
fn a_node_that_can_do_with_less_memory_does_so_only_where_the_run_would_not_fit() {
    let world = FakeWorld::default();
    let text = graph(r#""t": Node(kind: "test.thrifty")"#);
    let roomy = Engine::new(registry()).with_memory_limit(1000);
    let report = roomy.run(&checked(&roomy, &world, &text), &world, RunOptions::default());
    assert_eq!(*report.outputs["t"], [Value::text("in one piece")]);

    let tight = Engine::new(registry()).with_memory_limit(100);
    let heard = Mutex::new(Vec::new());
    let listen = |event: &Event| heard.lock().unwrap().push(event.clone());
    let options = RunOptions { events: &listen, ..RunOptions::default() };
    let report = tight.run(&checked(&tight, &world, &text), &world, options);
    assert_eq!(*report.outputs["t"], [Value::text("in small pieces")]);
    let said = Event::NodeThrifty { node: "t".into(), how: "made in small pieces".into() };
    assert!(heard.into_inner().unwrap().contains(&said));
    // What comes out may differ, so the one does not answer for the other.
    assert_eq!(tight.run(&checked(&tight, &world, &text), &world, RunOptions::default()).cached(), ["t"]);
}

#[test]
fn kept_outputs_make_room_for_a_run() {
    let world = FakeWorld::default();
    let engine = Engine::new(registry()).with_memory_limit(150);
    engine.run(&checked(&engine, &world, &graph(TWO)), &world, RunOptions::default());
    assert!(engine.cache().memory.bytes() > 40);
    let other = graph(r#""c": Node(kind: "number.add", with: {"a": 7})"#);
    engine.run(&checked(&engine, &world, &other), &world, RunOptions::default());
    // 150 - 100 bytes were left for what had been kept; then `c` was kept too.
    assert!(engine.cache().memory.bytes() <= 50 + 72, "{}", engine.cache().memory.bytes());
}

#[test]
fn a_fold_of_100_000_turns_that_only_passes_its_value_on_ends() {
    let (engine, world) = (Engine::new(registry()), FakeWorld::default());
    let text = graph(
        r#"
        "turn": Node(kind: "fold", with: {"start": 7, "times": 100000}),
        "end": Node(kind: "fold.end", with: {"next": Link("turn.value")}),
        "sum": Node(kind: "number.sum", with: {"items": [Link("end"), 1]}),
        "#,
    );
    let report = engine.run(&checked(&engine, &world, &text), &world, RunOptions::default());
    assert_eq!(*report.outputs["sum"], [Value::Float(8.0)]);
}

#[test]
fn a_fold_whose_value_nests_ever_deeper_is_refused() {
    let text = graph(
        r#"
        "turn": Node(kind: "fold", with: {"start": 7, "times": 100000}),
        "end": Node(kind: "fold.end", with: {"next": [Link("turn.value"), 1]}),
        "#,
    );
    assert_eq!(codes(&text), [Code::OutOfRange]);
}

#[test]
fn a_switch_with_a_name_too_few_is_refused() {
    let text = graph(
        r#"
        "a": Node(kind: "number.add", with: {"a": 1}),
        "b": Node(kind: "number.add", with: {"a": 2}),
        "s": Node(kind: "switch", with: {"on": "one", "names": ["one"], "cases": [Link("a"), Link("b")]}),
        "#,
    );
    assert_eq!(codes(&text), [Code::Incompatible]);
}
