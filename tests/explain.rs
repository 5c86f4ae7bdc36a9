//! `cache explain`: why a node would run; and what does not run because it would be given the same content.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{files, run, stderr, stdout, workplace};

const CACHE: [&str; 2] = ["--cache-dir", "cache"];

/// The nodes that ran in a process of their own.
fn ran(folder: &Path, graph: &str, more: &[&str]) -> Vec<String> {
    let output = run(folder, &[&["run", graph, "--json"], &CACHE[..], more].concat());
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let done: Value = serde_json::from_str(stdout(&output).lines().last().unwrap()).unwrap();
    done["ran"].as_array().unwrap().iter().map(|node| node.as_str().unwrap().to_owned()).collect()
}

/// What `cache explain` says, without times.
fn explain(folder: &Path, node: &str, more: &[&str]) -> String {
    let output = run(folder, &[&["cache", "explain", node, "t2i.ron"], &CACHE[..], more].concat());
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    stdout(&output)
}

/// The same as JSON, of one node.
fn explained(folder: &Path, node: &str, more: &[&str]) -> Value {
    let answer: Value = serde_json::from_str(&explain(folder, node, &[&["--json"], more].concat())).unwrap();
    assert_eq!(answer["nodes"].as_array().unwrap().len(), 1);
    answer["nodes"][0].clone()
}

fn codes(explained: &Value) -> Vec<&str> {
    explained["reasons"].as_array().unwrap().iter().map(|reason| reason["code"].as_str().unwrap()).collect()
}

#[test]
fn a_changed_literal_is_named_down_to_the_first_cause() {
    let folder = workplace();
    let folder = folder.path();
    assert_eq!(
        explain(folder, "latent", &[]),
        "`latent` would run because it never ran to its end with this cache\n"
    );
    ran(folder, "t2i.ron", &[]);
    assert_eq!(
        explain(folder, "noise", &["--seed", "7"]),
        "`noise` would run because its `seed` changed: 0 -> 7\n"
    );
    assert_eq!(
        explain(folder, "latent", &["--seed", "7"]),
        "`latent` would run because `noise` would run because its `seed` changed: 0 -> 7\n"
    );
    assert_eq!(
        explain(folder, "saved", &["--seed", "7"]),
        "`saved` would run because `image` would run because `latent` would run because `noise` would run because its \
         `seed` changed: 0 -> 7\n`saved` would run because its `path` changed: \"out/t2i_0.png\" -> \"out/t2i_7.png\"\n"
    );
    let latent = explained(folder, "latent", &["--seed", "7"]);
    assert_eq!((codes(&latent), &latent["would_run"]), (vec!["upstream"], &true.into()));
    let cause = &latent["causes"][0][0]["reasons"][0];
    assert_eq!((&cause["code"], &cause["old"], &cause["new"]), (&"literal".into(), &"0".into(), &"7".into()));
    // Results of that seed are there from then on, and what was asked changes with the run that is compared.
    ran(folder, "t2i.ron", &["--seed", "7"]);
    assert_eq!(codes(&explained(folder, "latent", &["--seed", "7"])), ["cached"]);
    let nine = explain(folder, "noise", &["--seed", "9"]);
    assert_eq!(nine, "`noise` would run because its `seed` changed: 7 -> 9\n");
}

#[test]
fn what_is_kept_says_how_large_it_is_and_what_nobody_needs_says_so() {
    let folder = workplace();
    let folder = folder.path();
    ran(folder, "t2i.ron", &[]);
    let image = explained(folder, "image", &[]);
    assert_eq!((codes(&image), &image["would_run"]), (vec!["cached"], &false.into()));
    assert!(image["reasons"][0]["bytes"].as_u64().unwrap() > 64 * 64 * 12);
    assert!(image["reasons"][0]["since"].as_u64().unwrap() > 1_600_000_000);
    assert!(image["reasons"][0]["seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(
        explain(folder, "model", &[]),
        "`model` would not run because nothing that would run needs it\n"
    );
    // Networks are not kept: a run that needs one loads it.
    let model = explained(folder, "model", &["--seed", "7"]);
    assert_eq!((codes(&model), &model["needed_by"]), (vec!["not_storable"], &"noise".into()));
    assert!(explain(folder, "model", &["--seed", "7"]).ends_with("; `noise` needs it\n"));
}

#[test]
fn what_is_gone_is_told_from_what_changed() {
    let folder = workplace();
    let folder = folder.path();
    ran(folder, "t2i.ron", &[]);
    fs::remove_file(folder.join("out/t2i_0.png")).unwrap();
    let saved = explained(folder, "saved", &[]);
    assert_eq!(
        (codes(&saved), &saved["reasons"][0]["paths"][0]),
        (vec!["file_gone"], &"out/t2i_0.png".into())
    );

    for table in ["action", "blob"] {
        fs::remove_dir_all(folder.join("cache").join(table)).unwrap();
    }
    assert_eq!(codes(&explained(folder, "times", &[])), ["removed"]);
    assert!(run(folder, &["cache", "clear", "--cache-dir", "cache"]).status.success());
    assert_eq!(files(&folder.join("cache")).len(), 0);
    assert_eq!(codes(&explained(folder, "times", &[])), ["never_ran"]);
}

#[test]
fn a_changed_weight_file_is_named_with_both_digests() {
    let folder = workplace();
    let folder = folder.path();
    ran(folder, "t2i.ron", &[]);
    let weights = folder.join("model/vae/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).unwrap();
    let model = explained(folder, "model", &[]);
    let reason = &model["reasons"][0];
    assert_eq!(
        (codes(&model), reason["path"].as_str()),
        (vec!["file"], Some("model/vae/diffusion_pytorch_model.safetensors"))
    );
    assert!(reason["old"].as_str().unwrap().len() == 64 && reason["old"] != reason["new"]);
    assert!(explain(folder, "text", &[]).starts_with(
        "`text` would run because `model` would run because the file `model/vae/diffusion_pytorch_model.safetensors` changed: "
    ));
}

#[test]
fn another_source_a_mode_and_another_format_are_told_apart() {
    let folder = workplace();
    let folder = folder.path();
    ran(folder, "t2i.ron", &[]);
    let graph = fs::read_to_string(folder.join("t2i.ron")).unwrap();
    let edit = |from: &str, to: &str| {
        assert!(graph.contains(from), "{from}");
        fs::write(folder.join("t2i.ron"), graph.replace(from, to)).unwrap();
    };
    edit("\"steps\": Param(\"steps\") }", "\"steps\": Param(\"steps\") }, cache: off");
    assert_eq!(codes(&explained(folder, "times", &["--seed", "7"])), ["cache_off"]);
    // It runs in every run that rests on it, also where what follows is known.
    assert_eq!(codes(&explained(folder, "times", &[])), ["cache_off"]);
    edit(
        "\"times\": Node",
        "\"other\": Node(kind: \"schedule.flow\", with: { \"steps\": 3 }),\n\"times\": Node",
    );
    let linked =
        fs::read_to_string(folder.join("t2i.ron")).unwrap().replace("Link(\"times\")", "Link(\"other\")");
    fs::write(folder.join("t2i.ron"), linked).unwrap();
    let message = "`latent` would run because its `times` comes from elsewhere: `times` -> `other`\n";
    assert_eq!(explain(folder, "latent", &[]), message);
    fs::write(folder.join("t2i.ron"), &graph).unwrap();
    let latent = explained(folder, "latent", &["--dtype", "bf16"]);
    assert_eq!(codes(&latent), ["environment"]);
}

#[test]
fn without_a_cache_or_a_node_of_this_name_there_is_nothing_to_explain() {
    let folder = workplace();
    let folder = folder.path();
    let output = run(folder, &["cache", "explain", "latent", "t2i.ron"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("error: no cache folder is given\n"), "{}", stderr(&output));
    let output = run(folder, &["cache", "explain", "latnt", "t2i.ron", "--cache-dir", "cache"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("help: did you mean `latent`?"), "{}", stderr(&output));
}

#[test]
fn recipes_are_counted_apart_and_a_run_that_changes_nothing_writes_none() {
    let folder = workplace();
    let folder = folder.path();
    ran(folder, "t2i.ron", &[]);
    let listed = stdout(&run(folder, &["cache", "ls", "--json", "--cache-dir", "cache"]));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["recipes"], 1);
    let recipes = files(&folder.join("cache/recipe"));
    assert_eq!(recipes.len(), 1);
    let before = fs::read(&recipes[0]).unwrap();
    // Neither a cached run nor one of a part of the graph forgets the others.
    ran(folder, "t2i.ron", &[]);
    ran(folder, "t2i.ron", &["--only", "times"]);
    assert_eq!(fs::read(&recipes[0]).unwrap(), before);
    // A damaged entry is taken as absent.
    fs::write(&recipes[0], &before[..before.len() - 9]).unwrap();
    assert_eq!(codes(&explained(folder, "latent", &["--seed", "7"])), ["never_ran"]);
}

#[test]
fn turns_branches_and_included_graphs_are_explained() {
    let folder = workplace();
    let folder = folder.path();
    let sub = r#"Graph(format: 1,
        params: { "steps": Int(default: 3) },
        nodes: { "times": Node(kind: "schedule.flow", with: { "steps": Param("steps") }) },
        outputs: { "times": Link("times") })"#;
    fs::write(folder.join("sub.ron"), sub).unwrap();
    let graph = r#"Graph(format: 1,
        params: { "steps": Int(default: 3), "fine": Bool(default: false) },
        nodes: {
            "up": Node(kind: "graph", with: { "path": "sub.ron", "steps": Param("steps") }),
            "each": Node(kind: "map", with: { "items": [2, Param("steps")] }),
            "grid": Node(kind: "schedule.flow", with: { "steps": Link("each.item") }),
            "all": Node(kind: "collect", with: { "item": Link("grid") }),
            "fine": Node(kind: "schedule.flow", with: { "steps": 50 }),
            "pick": Node(kind: "if", with: { "condition": Param("fine"), "then": Link("fine"), "else": Link("up.times") }),
        },
        outputs: { "all": Link("all"), "pick": Link("pick") })"#;
    fs::write(folder.join("t2i.ron"), graph).unwrap();
    ran(folder, "t2i.ron", &[]);
    let steps = ["--set", "steps=4"];
    assert_eq!(
        explain(folder, "up/times", &steps),
        "`up/times` would run because its `steps` changed: 3 -> 4\n"
    );
    assert_eq!(
        explain(folder, "grid[1]", &steps),
        "`grid[1]` would run because its `steps` changed: 3 -> 4\n"
    );
    let both: Value =
        serde_json::from_str(&explain(folder, "grid", &["--json", "--set", "steps=4"])).unwrap();
    assert_eq!((codes(&both["nodes"][0]), codes(&both["nodes"][1])), (vec!["cached"], vec!["literal"]));
    // A control node stands for what it passes on.
    assert_eq!(explained(folder, "pick", &steps)["node"], "up/times");
    assert_eq!(codes(&explained(folder, "fine", &[])), ["not_needed"]);
    assert_eq!(codes(&explained(folder, "fine", &["--set", "fine=true"])), ["never_ran"]);
}

#[test]
fn a_prompt_that_cleans_to_the_same_text_stops_there() {
    let folder = workplace();
    let folder = folder.path();
    ran(folder, "t2i.ron", &["--set", "prompt=a red fox", "--set", "saved.metadata=false"]);
    let again = ran(folder, "t2i.ron", &["--set", "prompt=A red fox ", "--set", "saved.metadata=false"]);
    assert!(again.contains(&"text".to_owned()), "{again:?}");
    let after = ["latent", "image", "saved"];
    assert!(after.iter().all(|node| !again.contains(&(*node).to_owned())), "{again:?}");
}

#[test]
fn a_picture_encoded_in_another_way_stops_there() {
    let folder = workplace();
    let folder = folder.path();
    let graph = r#"Graph(format: 1, nodes: {
        "photo": Node(kind: "image.load", with: { "path": "photo.png" }),
        "model": Node(kind: "model.open", with: { "path": "model" }),
        "latent": Node(kind: "image.encode", with: { "encoder": Link("model.encoder"), "image": Link("photo") }),
        "numbers": Node(kind: "tensor.save", with: { "tensor": Link("latent"), "path": "out/numbers.safetensors" }),
    })"#;
    fs::write(folder.join("g.ron"), graph).unwrap();
    let picture = image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([(x * 8) as u8, (y * 8) as u8, 7]));
    picture.save(folder.join("photo.png")).unwrap();
    assert_eq!(ran(folder, "g.ron", &[]).len(), 4);
    let one = fs::read(folder.join("photo.png")).unwrap();
    image::DynamicImage::from(picture.clone()).to_rgba8().save(folder.join("photo.png")).unwrap();
    assert_ne!(fs::read(folder.join("photo.png")).unwrap(), one);
    let again = ran(folder, "g.ron", &[]);
    assert!(again.contains(&"photo".to_owned()), "{again:?}");
    assert!(["latent", "numbers"].iter().all(|node| !again.contains(&(*node).to_owned())), "{again:?}");
    // Other pixels are another picture.
    image::imageops::rotate90(&picture).save(folder.join("photo.png")).unwrap();
    assert!(ran(folder, "g.ron", &[]).contains(&"numbers".to_owned()));
}
