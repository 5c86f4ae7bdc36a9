//! `--sweep` and `--zip`: many values in one run, and what is shared between them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use serde_json::Value;
use support::{copy_golden, run, stderr, stdout, workplace};

const PROMPTS: [&str; 8] = [
    "a red apple",
    "a blue owl",
    "a fox, on a green background",
    "an octopus",
    "a penguin",
    "a \"quoted\" cup",
    "two bees",
    "a whale",
];

/// The events of a run as JSON.
fn events(output: &std::process::Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The kinds of nodes in the order in which they were started.
fn started(events: &[Value]) -> Vec<&str> {
    let started = events.iter().filter(|event| event["event"] == "node_started");
    started.map(|event| event["kind"].as_str().unwrap()).collect()
}

/// The positions at which a kind was started.
fn positions(started: &[&str], kind: &str) -> Vec<usize> {
    (0..started.len()).filter(|at| started[*at] == kind).collect()
}

#[test]
fn eight_prompts_use_each_network_once_and_one_after_the_other() {
    let folder = workplace();
    fs::write(folder.path().join("prompts.txt"), PROMPTS.join("\n")).unwrap();
    let output = run(folder.path(), &["run", "t2i.ron", "--json", "--sweep", "prompt=@prompts.txt"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let events = events(&output);
    let started = started(&events);
    assert_eq!(positions(&started, "model.open").len(), 1);
    let of = |kind: &str| {
        let positions = positions(&started, kind);
        assert_eq!(positions.len(), 8, "{kind}");
        (positions[0], positions[7])
    };
    assert!(of("text.encode").1 < of("sampler.ode").0, "{started:?}");
    assert!(of("sampler.ode").1 < of("image.decode").0, "{started:?}");

    // The eight pictures are, metadata included, those of eight runs of their own.
    let done = events.last().unwrap();
    assert_eq!(done["outputs"].as_object().unwrap().len(), 16);
    for (turn, prompt) in PROMPTS.iter().enumerate() {
        let path = done["outputs"][format!("saved[{turn}].paths")][0].as_str().unwrap();
        assert_eq!(path, format!("out/t2i_0_{turn}.png"));
        let swept = fs::read(folder.path().join(path)).unwrap();
        let single = run(folder.path(), &["run", "t2i.ron", "--set", &format!("prompt={prompt}")]);
        assert_eq!(stdout(&single), "out/t2i_0.png\n");
        assert_eq!(fs::read(folder.path().join("out/t2i_0.png")).unwrap(), swept, "{prompt}");
    }
}

#[test]
fn several_sweeps_make_every_combination() {
    let folder = workplace();
    let sweeps = ["--sweep", "seed=5..7", "--sweep", "guidance=2,3,4"];
    let output = run(folder.path(), &[&["run", "t2i.ron"][..], &sweeps].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // The path names the seed; the guidance is told apart by a number.
    let paths: Vec<&str> =
        "out/t2i_5_0.png out/t2i_5_1.png out/t2i_5_2.png out/t2i_6_0.png out/t2i_6_1.png out/t2i_6_2.png"
            .split(' ')
            .collect();
    assert_eq!(stdout(&output).lines().collect::<Vec<_>>(), paths);
    let single = run(folder.path(), &["run", "t2i.ron", "--seed", "6", "--set", "guidance=3"]);
    let path = stdout(&single);
    let read = |path: &str| fs::read(folder.path().join(path)).unwrap();
    assert_eq!(read(path.trim()), read("out/t2i_6_1.png"));
}

#[test]
fn sweeps_that_go_together_make_one_turn_for_each_place() {
    let folder = workplace();
    let sweeps = ["--sweep", "seed=1,2", "--sweep", "prompt=\"a cup, red\",a whale", "--zip"];
    let output = run(folder.path(), &[&["run", "t2i.ron"][..], &sweeps].concat());
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "out/t2i_1.png\nout/t2i_2.png\n"));
    let swept = fs::read(folder.path().join("out/t2i_1.png")).unwrap();
    run(folder.path(), &["run", "t2i.ron", "--seed", "1", "--set", "prompt=a cup, red"]);
    assert_eq!(fs::read(folder.path().join("out/t2i_1.png")).unwrap(), swept);

    let uneven = ["run", "t2i.ron", "--sweep", "seed=1,2", "--sweep", "steps=1,2,3", "--zip"];
    let output = run(folder.path(), &uneven);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("`--zip`: `seed` has 2 values and `steps` has 3"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_picture_of_one_of_several_models_names_its_own() {
    let folder = workplace();
    copy_golden(&folder.path().join("other"));
    let output = run(folder.path(), &["run", "t2i.ron", "--sweep", "model=model,other"]);
    assert_eq!(stdout(&output), "out/t2i_0_0.png\nout/t2i_0_1.png\n", "{}", stderr(&output));
    run(folder.path(), &["run", "t2i.ron", "--set", "model=other"]);
    let read = |path: &str| fs::read(folder.path().join(path)).unwrap();
    assert_eq!(read("out/t2i_0.png"), read("out/t2i_0_1.png"));
    assert_ne!(read("out/t2i_0.png"), read("out/t2i_0_0.png"));
}

#[test]
fn many_turns_are_listed_in_their_order() {
    let folder = workplace();
    let output = run(
        folder.path(),
        &[
            "run",
            "t2i.ron",
            "--only",
            "times",
            "--only",
            "saved",
            "--set",
            "steps=1",
            "--sweep",
            "guidance=1..13",
        ],
    );
    let files = stdout(&output);
    let numbers: Vec<String> = (0..12).map(|turn| format!("out/t2i_0_{turn}.png")).collect();
    assert_eq!(files.lines().filter(|line| line.starts_with("out/")).collect::<Vec<_>>(), numbers);
}

#[test]
fn a_sweep_is_checked_and_planned_like_a_run() {
    let folder = workplace();
    let refused = |arguments: &[&str], reason: &str| {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    };
    for command in ["run", "check", "plan", "watch"] {
        refused(&[command, "t2i.ron", "--sweep", "seed=1,,2"], "`--sweep seed=1,,2`: a value is empty");
        refused(&[command, "t2i.ron", "--sweep", "seed=[]"], "`--sweep seed=[]`: there are no values");
        refused(&[command, "t2i.ron", "--zip"], "required arguments were not provided");
    }
    for command in ["run", "check", "plan"] {
        let not_a_number = "`--sweep seed=x`: `seed` must be Int, found `x`";
        refused(&[command, "t2i.ron", "--sweep", "seed=1,x"], not_a_number);
        refused(&[command, "t2i.ron", "--sweep", "sed=1,2"], "the graph has no such parameter");
    }
    let plan = run(folder.path(), &["plan", "t2i.ron", "--json", "--sweep", "seed=0..3"]);
    let plan: Value = serde_json::from_str(stdout(&plan).trim()).unwrap();
    let kinds: Vec<&str> =
        plan["steps"].as_array().unwrap().iter().map(|step| step["kind"].as_str().unwrap()).collect();
    assert_eq!((positions(&kinds, "text.encode").len(), positions(&kinds, "sampler.ode").len()), (1, 3));
    refused(&["run", "t2i.ron", "--lock", "--sweep", "seed=0..3"], "cannot be used with");
    assert!(!folder.path().join("out").exists());
}
