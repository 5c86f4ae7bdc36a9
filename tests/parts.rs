//! Graphs that include others, in every command: what is recorded of them, and what can be made of the record.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;

use support::{copy_golden, root, run, stderr, stdout};

/// A folder with the graph of two pictures and its part, both at two steps, and a small model.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("parts")).unwrap();
    for name in ["two_pictures.ron", "parts/draw.ron"] {
        let text = fs::read_to_string(root().join("graphs").join(name)).unwrap();
        let text = text.replace("weights/lumina-next-tiny", "model").replace("default: 20", "default: 2");
        fs::write(folder.path().join(name), text).unwrap();
    }
    copy_golden(&folder.path().join("model"));
    folder
}

/// Runs a command that has to succeed, and gives what it prints.
fn good(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

fn pixels(folder: &Path, path: &str) -> image::RgbImage {
    image::open(folder.join(path)).unwrap().to_rgb8()
}

#[test]
fn a_picture_lists_the_graphs_that_were_included() {
    let folder = workplace();
    good(folder.path(), &["run", "two_pictures.ron"]);
    let said = good(folder.path(), &["inspect", "out/two_pictures_bird_0.png"]);
    assert!(said.contains("\nincludes: parts/draw.ron\n"), "{said}");
    // Named from another folder, it is the same graph.
    let path = folder.path().join("out/two_pictures_bird_0.png");
    let picture = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let graph = folder.path().join("two_pictures.ron").display().to_string();
    good(folder.path(), &["run", &graph]);
    assert_eq!(fs::read(&path).unwrap(), picture);
}

#[test]
fn the_graph_inside_a_picture_is_one_file_that_runs_without_the_parts() {
    let folder = workplace();
    let set = [
        "--set",
        "fruit.prompt=a pear",
        "--set",
        "fruit/latent.solver=midpoint",
        "--set",
        "bird.steps=3",
        "--seed",
        "4",
    ];
    good(folder.path(), &[&["run", "two_pictures.ron"][..], &set].concat());
    let names = ["out/two_pictures_fruit_4.png", "out/two_pictures_bird_4.png"];
    let before = names.map(|name| pixels(folder.path(), name));
    assert_ne!(before[0], before[1]);
    let again = good(folder.path(), &["inspect", names[0], "--graph"]);
    insta::assert_snapshot!("two_pictures_in_one", again);

    fs::remove_dir_all(folder.path().join("parts")).unwrap();
    fs::remove_dir_all(folder.path().join("out")).unwrap();
    fs::write(folder.path().join("two_pictures.ron"), &again).unwrap();
    let check = run(folder.path(), &["check", "two_pictures.ron"]);
    assert_eq!(stderr(&check), "`two_pictures.ron` is valid: 15 nodes\n");
    good(folder.path(), &["graph", "fmt", "--check", "two_pictures.ron"]);
    good(folder.path(), &["run", "two_pictures.ron"]);
    assert_eq!(names.map(|name| pixels(folder.path(), name)), before);
}

#[test]
fn parts_inside_of_parts_keep_their_file_names_and_parameters() {
    let folder = workplace();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("parts/inner")).unwrap();
    write(
        "parts/inner/save.ron",
        r#"Graph(format: 1, params: { "image": Input(type: "Image"), "name": Text(default: "none"), "number": Float(default: 1.5) },
            nodes: { "one": Node(kind: "image.save", with: { "image": Param("image"), "path": "out/{graph}_{node}_{name}_{number}.png" }) },
            outputs: { "paths": Link("one.paths") })"#,
    );
    write(
        "parts/show.ron",
        r#"Graph(format: 1, params: { "images": Input(type: "Image"), "label": Text(), "hint": Int(default: 2) },
            nodes: {
                // Nothing but the inner graph.
                "save": Node(kind: "graph", with: { "path": "inner/save.ron", "image": Param("images"), "name": Param("label"), "number": Param("hint") }),
            },
            outputs: { "files": Link("save") })"#,
    );
    write(
        "g.ron",
        r#"Graph(format: 1, params: { "word": Text(default: "a/b") }, nodes: {
            "model": Node(kind: "model.open", with: { "path": "model" }),
            "noise": Node(kind: "image.noise", with: { "space": Link("model.space"), "width": 16, "height": 16 }),
            "image": Node(kind: "image.decode", with: { "decoder": Link("model.decoder"), "latent": Link("noise") }),
            "show": Node(kind: "graph", with: { "path": "parts/show.ron", "images": Link("image"), "label": Param("word") }),
            "fixed": Node(kind: "graph", with: { "path": "parts/show.ron", "images": Link("image"), "label": "x{y}" }),
            "show_save_one": Node(kind: "range", with: { "count": 1 }),
        }, outputs: { "files": Link("show"), "both": [Link("show.files"), Link("fixed")], "numbers": Link("show_save_one") })"#,
    );
    let written = good(folder.path(), &["run", "g.ron"]);
    let picture = "out/g_fixed_save_one_x{y}_2.0.png";
    assert!(written.contains(picture) && written.contains("out/g_show_save_one_a_b_2.0.png"), "{written}");
    let again = good(folder.path(), &["inspect", picture, "--graph"]);
    insta::assert_snapshot!("parts_in_parts_in_one", again);
    fs::remove_dir_all(folder.path().join("parts")).unwrap();
    write("g.ron", &again);
    let rewritten = good(folder.path(), &["run", "g.ron"]);
    // One name was taken already.
    assert_eq!(rewritten.replace("show_save_one_2_a_b", "show_save_one_a_b"), written);
}

#[test]
fn a_picture_is_verified_from_the_parts_inside_it() {
    let folder = workplace();
    good(folder.path(), &["run", "two_pictures.ron", "--set", "bird.steps=3"]);
    let picture = "out/two_pictures_bird_0.png";
    let same = format!("{picture}: same bytes\n");
    assert_eq!(good(folder.path(), &["verify", picture]), same);
    let part = folder.path().join("parts/draw.ron");
    let text = fs::read_to_string(&part).unwrap();
    fs::write(&part, text.replace("default: 3.0", "default: 9.0")).unwrap();
    assert_eq!(good(folder.path(), &["verify", picture]), same);
    fs::remove_dir_all(folder.path().join("parts")).unwrap();
    fs::remove_file(folder.path().join("two_pictures.ron")).unwrap();
    assert_eq!(good(folder.path(), &["verify", picture]), same);
}

#[test]
fn a_turn_of_a_sweep_is_restored_and_verified_as_what_it_is() {
    let folder = workplace();
    let sweeps = ["--sweep", "seed=3,4", "--sweep", "prompt=a red apple,a whale", "--sweep", "guidance=2,5"];
    let t2i = support::workplace();
    let written = good(t2i.path(), &[&["run", "t2i.ron"][..], &sweeps].concat());
    assert_eq!(written.lines().count(), 8);
    let picture = "out/t2i_4_1_0.png";
    let again = good(t2i.path(), &["inspect", picture, "--graph"]);
    for line in ["Int(default: 4,", "Text(default: \"a whale\"", "Float(default: 2.0,"] {
        assert!(again.contains(line), "{line} is not in {again}");
    }
    good(t2i.path(), &["verify", picture]);
    fs::write(t2i.path().join("again.ron"), again).unwrap();
    good(t2i.path(), &["run", "again.ron"]);
    assert_eq!(pixels(t2i.path(), "out/again_4.png"), pixels(t2i.path(), picture));

    // A turn of a map is one of several that the graph in it makes.
    let variations = fs::read_to_string(root().join("graphs/variations.ron")).unwrap();
    let variations =
        variations.replace("weights/lumina-next-tiny", "model").replace("default: 20", "default: 2");
    fs::write(folder.path().join("variations.ron"), variations).unwrap();
    good(folder.path(), &["run", "variations.ron", "--seed", "5"]);
    let again = good(folder.path(), &["inspect", "out/variations_5_2.png", "--graph"]);
    assert!(again.contains("\"seed\": Int(default: 5,"), "{again}");
    good(folder.path(), &["verify", "out/variations_5_2.png"]);
}

#[test]
fn a_diff_goes_into_the_parts() {
    let folder = workplace();
    let copy = |from: &str, to: &str, change: (&str, &str)| {
        let text = fs::read_to_string(folder.path().join(from)).unwrap();
        fs::write(folder.path().join(to), text.replace(change.0, change.1)).unwrap();
    };
    copy("two_pictures.ron", "same.ron", ("", ""));
    assert_eq!(good(folder.path(), &["graph", "diff", "two_pictures.ron", "same.ron"]), "");
    copy("parts/draw.ron", "parts/other.ron", ("\"noise\": Node(", "\"noise\": Node(cache: off, "));
    copy(
        "two_pictures.ron",
        "other.ron",
        (
            "parts/draw.ron\",\n            \"text_encoder\": Link(\"model.text_encoder\"),\n            \"backbone\": Link(\"model.backbone\"),\n            \"decoder\": Link(\"model.decoder\"),\n            \"space\": Link(\"model.space\"),\n            \"prompt\": \"an owl",
            "parts/other.ron\",\n            \"text_encoder\": Link(\"model.text_encoder\"),\n            \"backbone\": Link(\"model.backbone\"),\n            \"decoder\": Link(\"model.decoder\"),\n            \"space\": Link(\"model.space\"),\n            \"prompt\": \"an owl",
        ),
    );
    let output = run(folder.path(), &["graph", "diff", "two_pictures.ron", "other.ron"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stdout(&output),
        "bird.path: \"parts/draw.ron\" -> \"parts/other.ron\"\n+ bird: cache noise: off\n"
    );
}
