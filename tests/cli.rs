//! The program from outside: output, exit codes, files.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and says what it skips")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use lumina_graph::engine::{Outcome, RunOptions};
use serde_json::Value;
use support::{checked, copy_golden, engine, golden_pipeline, program, root, run, stderr, stdout, world};

/// The graph of the README with the small random pipeline in place of the trained one.
fn arguments<'a>(command: &'a str, model: &'a str, more: &[&'a str]) -> Vec<String> {
    let graph = root().join("graphs/t2i.ron").display().to_string();
    let mut all = vec![command.to_owned(), graph, "--set".to_owned(), format!("model={model}")];
    all.extend(more.iter().map(|&argument| argument.to_owned()));
    all
}

fn t2i(folder: &Path, command: &str, more: &[&str]) -> std::process::Output {
    let model = golden_pipeline().display().to_string();
    let arguments = arguments(command, &model, more);
    run(folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn help_texts_are_as_reviewed() {
    let folder = tempfile::tempdir().unwrap();
    for (name, arguments) in
        [("help", &["--help"][..]), ("run", &["run", "--help"]), ("inspect", &["inspect", "--help"])]
    {
        let output = run(folder.path(), arguments);
        assert!(output.status.success());
        insta::assert_snapshot!(name, stdout(&output));
    }
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("out/t2i_3.png");
    let output = t2i(folder.path(), "run", &["--seed", "3", "--set", "steps=2"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "out/t2i_3.png\n"));
    let first = fs::read(&picture).unwrap();
    fs::remove_file(&picture).unwrap();
    t2i(folder.path(), "run", &["--seed", "3", "--set", "steps=2"]);
    assert_eq!(fs::read(&picture).unwrap(), first);
    t2i(folder.path(), "run", &["--seed", "3", "--set", "steps=2", "--set", "prompt=a blue owl"]);
    assert_ne!(fs::read(&picture).unwrap(), first);
}

#[test]
fn a_picture_carries_the_graph_that_makes_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let set =
        ["--seed", "5", "--set", "steps=2", "--set", "prompt=a \"red\" fox", "--set", "guided.scale=2.5"];
    assert!(t2i(folder.path(), "run", &set).status.success());
    let original = image::open(folder.path().join("out/t2i_5.png")).unwrap();

    let told = stdout(&run(folder.path(), &["inspect", "out/t2i_5.png"]));
    assert!(told.contains("prompt: a \"red\" fox") && told.contains("guided.scale: 2.5"), "{told}");
    assert!(told.contains("diffusion_pytorch_model.safetensors: "), "{told}");

    let report = stdout(&run(folder.path(), &["inspect", "out/t2i_5.png", "--json"]));
    let report: Value = serde_json::from_str(&report).unwrap();
    let params = &report["parameters"];
    assert_eq!((&params["seed"], &params["guidance"]), (&5.into(), &3.0.into()));
    assert_eq!(
        (&params["prompt"], &report["overrides"]["guided.scale"]),
        (&"a \"red\" fox".into(), &2.5.into())
    );

    let graph = run(folder.path(), &["inspect", "out/t2i_5.png", "--graph"]);
    fs::write(folder.path().join("again.ron"), &graph.stdout).unwrap();
    let again = run(folder.path(), &["run", "again.ron"]);
    assert_eq!(stdout(&again), "out/again_5.png\n", "{}", stderr(&again));
    assert_eq!(image::open(folder.path().join("out/again_5.png")).unwrap(), original);

    assert!(t2i(folder.path(), "run", &["--no-metadata", "--set", "steps=1"]).status.success());
    let nothing = run(folder.path(), &["inspect", "out/t2i_0.png"]);
    assert_eq!(nothing.status.code(), Some(4));
    assert!(stderr(&nothing).contains("carries no graph"));
}

#[test]
fn a_cached_picture_with_metadata_is_none_without() {
    let folder = tempfile::tempdir().unwrap();
    let set = ["--set", "steps=1", "--cache-dir", "cache"];
    assert!(t2i(folder.path(), "run", &set).status.success());
    assert!(run(folder.path(), &["inspect", "out/t2i_0.png"]).status.success());
    assert!(t2i(folder.path(), "run", &[&set[..], &["--no-metadata"]].concat()).status.success());
    assert_eq!(run(folder.path(), &["inspect", "out/t2i_0.png"]).status.code(), Some(4));
}

#[test]
fn a_list_from_the_command_line_comes_back_as_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let set = ["--set", "steps=1", "--set", "noise.batch=2", "--set", "text.prompt=[\"an owl\", \"a fox\"]"];
    let output = t2i(folder.path(), "run", &set);
    assert_eq!(stdout(&output), "out/t2i_0_0.png\nout/t2i_0_1.png\n", "{}", stderr(&output));
    let graph = stdout(&run(folder.path(), &["inspect", "out/t2i_0_1.png", "--graph"]));
    assert!(graph.contains("\"prompt\": [\"an owl\", \"a fox\"]"), "{graph}");
}

#[test]
fn the_shift_of_the_folders_scheduler_changes_the_picture() {
    let folder = tempfile::tempdir().unwrap();
    copy_golden(&folder.path().join("model"));
    let graph = root().join("graphs/t2i-diffusers.ron").display().to_string();
    let picture = || {
        let output = run(folder.path(), &["run", &graph, "--set", "model=model", "--set", "steps=3"]);
        image::open(folder.path().join(stdout(&output).trim())).unwrap()
    };
    let before = picture();
    let config = folder.path().join("model/scheduler/scheduler_config.json");
    fs::write(&config, fs::read_to_string(&config).unwrap().replace("\"shift\": 1.0", "\"shift\": 6.0"))
        .unwrap();
    assert_ne!(picture(), before);
}

#[test]
fn json_is_one_event_a_line_and_one_final_object() {
    let folder = tempfile::tempdir().unwrap();
    let output = t2i(folder.path(), "run", &["--json", "--set", "steps=2"]);
    let lines: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["event"], "run_started");
    assert!(
        lines
            .iter()
            .any(|line| line["event"] == "node_progress" && line["node"] == "latent" && line["total"] == 2)
    );
    let done = lines.last().unwrap();
    assert_eq!(
        (&done["event"], &done["ok"], &done["outputs"]["saved.paths"]),
        (&"done".into(), &true.into(), &serde_json::json!(["out/t2i_0.png"]))
    );
    assert_eq!(done["ran"].as_array().unwrap().len(), 8);
}

#[test]
fn the_final_object_says_why_nothing_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let done = |arguments: &[&str]| -> (i64, String, String) {
        let output = run(folder.path(), &[arguments, &["--json"]].concat());
        let done: Value = serde_json::from_str(stdout(&output).lines().last().unwrap()).unwrap();
        assert_eq!((&done["event"], &done["ok"]), (&"done".into(), &false.into()));
        let code = done["exit_code"].as_i64().unwrap();
        assert_eq!(output.status.code().map(i64::from), Some(code));
        (code, done["message"].as_str().unwrap().to_owned(), done["help"].to_string())
    };
    let two_errors = r#"Graph(format: 1, nodes: { "a": Node(kind: "x"), "b": Node(kind: "y") })"#;
    fs::write(folder.path().join("wrong.ron"), two_errors).unwrap();
    fs::write(folder.path().join("p.ron"), "{ \"a\": [1] }").unwrap();
    fs::write(
        folder.path().join("g.ron"),
        r#"Graph(format: 1, nodes: { "a": Node(kind: "schedule.flow") })"#,
    )
    .unwrap();
    for command in ["run", "plan"] {
        let (code, message, _) = done(&[command, "nothing.ron"]);
        assert!(code == 4 && message.starts_with("cannot read the graph `nothing.ron`: "), "{message}");
        assert_eq!(done(&[command, "wrong.ron"]).1, "`wrong.ron` is invalid: 2 errors");
        let (code, message, help) = done(&[command, "g.ron", "--only", "aa"]);
        assert_eq!(
            (code, message.as_str()),
            (2, "`--only aa`: the graph has no output or node of this name")
        );
        assert!(help.contains("`a`"), "{help}");
        assert_eq!(done(&[command, "g.ron", "--device", "tpu"]).0, 2);
        let (code, message, _) = done(&[command, "g.ron", "--params", "p.ron"]);
        assert!(code == 2 && message.contains("`p.ron`: `a` must be a plain value"), "{message}");
    }
    assert!(done(&["check", "nothing.ron"]).1.starts_with("cannot read the graph"));
}

#[test]
fn a_run_says_how_many_warnings_its_graph_has() {
    let folder = tempfile::tempdir().unwrap();
    let graph = r#"Graph(format: 1, params: { "unused": Int(default: 1) }, nodes: { "a": Node(kind: "schedule.flow") })"#;
    fs::write(folder.path().join("g.ron"), graph).unwrap();
    let said = |more: &[&str]| stderr(&run(folder.path(), &[&["run", "g.ron"], more].concat()));
    assert!(said(&[]).contains("`g.ron` is valid: 1 node, 1 warning\n"), "{}", said(&[]));
    assert_eq!(said(&["--quiet"]), "");
}

#[test]
fn without_a_terminal_only_verbose_runs_tell_their_progress() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(stderr(&t2i(folder.path(), "run", &["--set", "steps=2"])), "");
    let lines = stderr(&t2i(folder.path(), "run", &["--set", "steps=2", "-v"]));
    let nodes: Vec<&str> = lines.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(nodes.len(), 8, "{lines}");
    assert!(nodes.contains(&"model") && nodes.contains(&"saved"), "{lines}");
}

#[test]
fn a_trace_has_a_beginning_and_an_end_for_every_node() {
    let folder = tempfile::tempdir().unwrap();
    assert!(t2i(folder.path(), "run", &["--set", "steps=1", "--trace", "traces/t.json"]).status.success());
    let trace: Value =
        serde_json::from_slice(&fs::read(folder.path().join("traces/t.json")).unwrap()).unwrap();
    let entries = trace["traceEvents"].as_array().unwrap();
    let of = |phase: &str| entries.iter().filter(|entry| entry["ph"] == phase).collect::<Vec<_>>();
    assert_eq!((of("B").len(), of("E").len()), (8, 8));
    // On each thread nodes begin and end one after the other.
    let mut open: BTreeMap<u64, &Value> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry["ph"] == "B" || entry["ph"] == "E") {
        let thread = entry["tid"].as_u64().unwrap();
        match entry["ph"].as_str() {
            Some("B") => assert_eq!(open.insert(thread, &entry["name"]), None),
            _ => assert_eq!(open.remove(&thread), Some(&entry["name"])),
        }
    }
    assert!(open.is_empty());
    let threads: BTreeSet<u64> = of("B").iter().map(|entry| entry["tid"].as_u64().unwrap()).collect();
    let named: BTreeSet<u64> = of("M").iter().map(|entry| entry["tid"].as_u64().unwrap()).collect();
    assert!(of("M").iter().all(|entry| entry["name"] == "thread_name" && entry["args"]["name"].is_string()));
    assert!(named.is_superset(&threads) && named.first() == Some(&1), "{named:?}");
    if cfg!(target_os = "linux") {
        let bytes = |entry: &&Value| entry["args"]["resident bytes"].as_u64().unwrap();
        assert!(of("C").len() >= 16 && of("C").iter().all(|entry| bytes(entry) > 1 << 20));
    }
    let times: Vec<f64> = entries.iter().filter_map(|entry| entry["ts"].as_f64()).collect();
    assert!(times.is_sorted());
}

#[test]
fn plan_shows_what_would_run() {
    let folder = tempfile::tempdir().unwrap();
    let output = t2i(folder.path(), "plan", &["--json"]);
    let plan: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(plan["steps"].as_array().unwrap().len(), 8);
    assert_eq!(plan["steps"][0]["node"], "model");
    assert!(plan["peak_bytes"].as_u64().unwrap() > 1_000_000);
    assert!(!folder.path().join("out").exists());
    let one = t2i(folder.path(), "plan", &["--json", "--only", "times"]);
    let plan: Value = serde_json::from_str(&stdout(&one)).unwrap();
    assert_eq!(plan["steps"].as_array().unwrap().len(), 1);
}

#[test]
fn exit_codes_are_those_of_the_documentation() {
    let folder = tempfile::tempdir().unwrap();
    let code = |arguments: &[&str]| run(folder.path(), arguments).status.code();
    fs::write(folder.path().join("latin1.ron"), b"Graph(about: \"\xe9\")").unwrap();
    fs::write(folder.path().join("picture.png"), "no picture").unwrap();
    assert_eq!(code(&["run", "nothing.ron"]), Some(4));
    assert_eq!(code(&["run", "latin1.ron"]), Some(4));
    assert_eq!(code(&["run", "."]), Some(4));
    assert_eq!(code(&["inspect", "nothing.png"]), Some(4));
    assert_eq!(code(&["inspect", "picture.png"]), Some(4));
    assert_eq!(code(&["inspect", "latin1.ron"]), Some(4));
    assert_eq!(code(&["frobnicate"]), Some(2));
    assert_eq!(code(&["nodes", "show", "sampler.od"]), Some(2));
    for wrong in [
        ["--device", "tpu"],
        ["--device", "cuda:0"],
        ["--dtype", "int4"],
        ["--only", "nothing"],
        ["--set", "nonsense"],
    ] {
        assert_eq!(t2i(folder.path(), "run", &wrong).status.code(), Some(2), "{wrong:?}");
    }
    assert_eq!(t2i(folder.path(), "run", &["--params", "nothing.ron"]).status.code(), Some(4));
    assert_eq!(t2i(folder.path(), "run", &["--seed", "-1"]).status.code(), Some(2));
    assert!(!folder.path().join("out").exists());
}

#[test]
fn a_run_of_which_a_part_fails_says_so_and_keeps_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let graph = r#"Graph(format: 1, nodes: {
        "good": Node(kind: "schedule.flow"),
        "kept": Node(kind: "tensor.save", with: { "tensor": Link("good") }),
        "other": Node(kind: "schedule.flow", with: { "shift": 2 }),
        "apart": Node(kind: "tensor.compare", with: { "a": Link("good"), "b": Link("other"), "tolerance": 0 }),
    })"#;
    fs::write(folder.path().join("g.ron"), graph).unwrap();
    let output = run(folder.path(), &["run", "g.ron"]);
    assert_eq!(output.status.code(), Some(6));
    assert_eq!(stdout(&output), "out/g_kept.safetensors\n");
    assert!(stderr(&output).contains("error: node `apart`: the largest difference is"));
    assert_eq!(run(folder.path(), &["run", "g.ron", "--only", "apart"]).status.code(), Some(1));
    assert_eq!(run(folder.path(), &["run", "g.ron", "--only", "kept"]).status.code(), Some(0));
}

#[test]
fn parameters_come_from_a_file_and_the_command_line_wins() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.ron"), r#"{ "seed": 7, "steps": 1, "prompt": "an owl" }"#).unwrap();
    let output = t2i(folder.path(), "run", &["--params", "p.ron"]);
    assert_eq!(stdout(&output), "out/t2i_7.png\n", "{}", stderr(&output));
    let output = t2i(folder.path(), "run", &["--params", "p.ron", "--seed", "8"]);
    assert_eq!(stdout(&output), "out/t2i_8.png\n");
}

#[test]
fn ctrl_c_stops_after_a_step_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let model = golden_pipeline().display().to_string();
    let arguments = arguments("run", &model, &["--json", "--set", "steps=1000"]);
    let mut child = program(folder.path(), &arguments.iter().map(String::as_str).collect::<Vec<_>>())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut steps_before = 0;
    for line in lines.by_ref() {
        if line.unwrap().contains("\"node_progress\",\"node\":\"latent\"") {
            steps_before += 1;
            if steps_before == 3 {
                break;
            }
        }
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let done: Value = serde_json::from_str(rest.last().unwrap()).unwrap();
    assert_eq!((&done["interrupted"], &done["exit_code"]), (&true.into(), &130.into()));
    let steps_after = rest.iter().filter(|line| line.contains("node_progress")).count();
    assert!(steps_after < 900, "{steps_after} steps after the signal");
    assert!(!folder.path().join("out").exists());
}

#[test]
fn a_second_identical_run_in_one_process_executes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, world) = (engine(), world());
    let text = fs::read_to_string(root().join("graphs/t2i.ron"))
        .unwrap()
        .replace("weights/lumina-next-tiny", &golden_pipeline().display().to_string())
        .replace("out/{graph}", &folder.path().join("{graph}").display().to_string());
    let graph = checked(&engine, &world, &text);
    let first = engine.run(&graph, &world, RunOptions::default());
    assert_eq!(first.with(|outcome| *outcome == Outcome::Ran).len(), 8);
    let second = engine.run(&graph, &world, RunOptions::default());
    assert_eq!(second.with(|outcome| *outcome == Outcome::Ran), [""; 0]);
}

#[test]
fn a_graph_named_without_its_folder_finds_what_lies_above() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("graphs")).unwrap();
    fs::copy(root().join("Cargo.toml"), folder.path().join("weights.png")).unwrap();
    let graph =
        r#"Graph(format: 1, nodes: { "a": Node(kind: "image.load", with: { "path": "weights.png" }) })"#;
    fs::write(folder.path().join("graphs/g.ron"), graph).unwrap();
    let said = stderr(&run(&folder.path().join("graphs"), &["check", "g.ron"]));
    assert!(said.contains("it is neither PNG nor JPEG nor WebP") || said.contains("it is damaged"), "{said}");
}

#[test]
fn a_small_file_that_claims_to_be_a_huge_picture_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    image::RgbImage::new(1, 1)
        .write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Png)
        .unwrap();
    // Width and height stand behind the signature and the head of the first chunk, whose checksum follows them.
    bytes[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let checksum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    fs::write(folder.path().join("bomb.png"), bytes).unwrap();
    let graph = r#"Graph(format: 1, nodes: { "a": Node(kind: "image.load", with: { "path": "bomb.png" }) })"#;
    fs::write(folder.path().join("g.ron"), graph).unwrap();
    let output = run(folder.path(), &["run", "g.ron"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("it is too large"), "{}", stderr(&output));
}

/// The checksum of PNG chunks.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc: u32, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[test]
fn a_latent_without_numbers_makes_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<u8> = std::iter::repeat_n(f32::NAN.to_le_bytes(), 4 * 2 * 2).flatten().collect();
    let view =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1, 4, 2, 2], &values).unwrap();
    let bytes = safetensors::serialize([("latent", view)], None).unwrap();
    fs::write(folder.path().join("nan.safetensors"), bytes).unwrap();
    let graph = format!(
        r#"Graph(format: 1, nodes: {{
            "model": Node(kind: "model.open", with: {{ "path": {:?} }}),
            "read": Node(kind: "tensor.load", with: {{ "path": "nan.safetensors" }}),
            "latent": Node(kind: "tensor.latent", with: {{ "tensor": Link("read"), "space": Link("model.space") }}),
            "image": Node(kind: "image.decode", with: {{ "decoder": Link("model.decoder"), "latent": Link("latent") }}),
            "saved": Node(kind: "image.save", with: {{ "image": Link("image") }}),
        }})"#,
        golden_pipeline()
    );
    fs::write(folder.path().join("g.ron"), graph).unwrap();
    let output = run(folder.path(), &["run", "g.ron"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("not finite numbers") && !folder.path().join("out").exists());
}

#[test]
fn a_full_disk_behind_the_standard_output_is_noticed() {
    let full = fs::File::options().write(true).open("/dev/full");
    let Ok(full) = full else {
        println!("skipped: this machine has no /dev/full");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["nodes", "ls"][..], &["completions", "bash"]] {
        let status = program(folder.path(), arguments).stdout(full.try_clone().unwrap()).status().unwrap();
        assert_eq!(status.code(), Some(4), "{arguments:?}");
    }
}

#[test]
fn every_node_kind_is_documented() {
    let engine = engine();
    for kind in engine.registry().kinds() {
        let spec = &kind.spec;
        assert!(!spec.summary().is_empty() && !spec.summary().ends_with('.'), "{}", spec.kind);
        assert!(spec.example.contains(spec.kind), "{} has no example", spec.kind);
        assert!(spec.inputs.iter().all(|input| !input.doc.is_empty()), "{}", spec.kind);
        assert!(spec.outputs.iter().all(|output| !output.doc.is_empty()), "{}", spec.kind);
    }
}

#[test]
fn every_error_code_is_documented() {
    let page = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    for code in lumina_graph::engine::Code::ALL {
        let heading = format!("## {}: {}", code.text(), code.title());
        assert!(page.contains(&heading), "docs/errors.md lacks `{heading}`");
    }
}

#[test]
fn a_run_that_does_not_fit_into_memory_ends_with_5_and_one_that_can_be_cut_into_pieces_runs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    copy_golden(&folder.join("model"));
    let text = std::fs::read_to_string(root().join("graphs/t2i.ron")).unwrap();
    let text = text.replace("weights/lumina-next-tiny", "model").replace("default: 20", "default: 1");
    std::fs::write(folder.join("t2i.ron"), text).unwrap();
    let large = ["--set", "width=512", "--set", "height=512"];
    let peak = |more: &[&str]| {
        let output = run(folder, &[&["plan", "t2i.ron", "--json"], &large[..], more].concat());
        let plan: serde_json::Value = serde_json::from_str(stdout(&output).lines().next().unwrap()).unwrap();
        (output.status.code(), plan["peak_bytes"].as_u64().unwrap() >> 20)
    };
    let (code, whole) = peak(&[]);
    assert!(code == Some(0) && whole > 8, "{whole}");

    let refused = run(folder, &[&["run", "t2i.ron", "--memory-limit", "1"], &large[..]].concat());
    assert_eq!(refused.status.code(), Some(5), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("of memory for `") && !folder.join("out").exists());
    assert_eq!(peak(&["--memory-limit", "1"]).0, Some(5));

    let tight = (whole * 3 / 4).to_string();
    let limit = ["--memory-limit", tight.as_str()];
    let cut = run(folder, &[&["run", "t2i.ron"], &large[..], &limit[..]].concat());
    assert!(cut.status.success(), "{}", stderr(&cut));
    assert!(stderr(&cut).contains("so that the run fits into memory"), "{}", stderr(&cut));
    assert!(folder.join("out/t2i_0.png").exists());
}
