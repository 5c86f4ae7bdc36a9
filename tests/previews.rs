//! Rough pictures of a run in progress.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use support::{copy_golden, golden_pipeline, root, run, stderr, stdout};

/// Four steps of the graph of the README with a model.
fn draw(folder: &Path, model: &Path, more: &[&str]) -> Output {
    let graph = root().join("graphs/t2i.ron").display().to_string();
    let model = format!("model={}", model.display());
    run(folder, &[&["run", &graph, "--set", &model, "--set", "steps=4"][..], more].concat())
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn previews_are_written_every_so_many_steps_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let tiny = root().join("weights/lumina-next-tiny");
    let output = draw(here, &tiny, &["--preview", "every=2", "-v"]);
    assert_eq!(stdout(&output), "out/t2i_0.png\n", "{}", stderr(&output));
    assert!(stderr(&output).contains("preview preview/t2i_latent_2.png"), "{}", stderr(&output));
    assert_eq!(names(&here.join("preview")), ["t2i_latent_2.png", "t2i_latent_4.png"]);
    let with = fs::read(here.join("out/t2i_0.png")).unwrap();

    // The map of the small model makes 4 x 4 pixels of a cell; the last preview is close to the picture.
    let preview = image::open(here.join("preview/t2i_latent_4.png")).unwrap().to_rgb8();
    let picture = image::open(here.join("out/t2i_0.png")).unwrap();
    let picture = picture.resize_exact(32, 32, image::imageops::FilterType::Triangle).to_rgb8();
    let bytes = preview.iter().zip(picture.iter());
    let apart: f64 = bytes.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / f64::from(3 * 32 * 32);
    assert!(preview.dimensions() == (32, 32) && apart < 16.0, "{apart} of 255");

    fs::remove_dir_all(here.join("preview")).unwrap();
    fs::remove_dir_all(here.join("out")).unwrap();
    let output = draw(here, &tiny, &[]);
    assert_eq!(names(here), ["out"], "{}", stderr(&output));
    assert_eq!(fs::read(here.join("out/t2i_0.png")).unwrap(), with);
}

#[test]
fn as_json_a_preview_is_an_event_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let more = ["--json", "--preview", "every=3", "--preview-dir", "looks"];
    let output = draw(folder.path(), &golden_pipeline(), &more);
    let events = stdout(&output);
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let previews: Vec<&Value> = events.iter().filter(|event| event["event"] == "preview").collect();
    assert_eq!(previews.len(), 1);
    let path = previews[0]["path"].as_str().unwrap();
    assert_eq!((path, &previews[0]["step"]), ("looks/t2i_latent_3.png", &Value::from(3)));
    // A model without a map of its own has one pixel a cell.
    let (width, height) = image::image_dimensions(folder.path().join(path)).unwrap();
    assert_eq!((&previews[0]["width"], &previews[0]["height"]), (&width.into(), &height.into()));
}

#[test]
fn a_damaged_map_is_a_mistake_of_the_model_folder() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy_golden(&folder.path().join("model"));
    fs::write(model.join("vae/preview.json"), r#"{"pixels": 1, "factors": [], "bias": [0, 0, 0]}"#).unwrap();
    let output = draw(folder.path(), &model, &[]);
    assert_eq!(output.status.code(), Some(4));
    let told = stderr(&output);
    assert!(told.contains("preview.json") && told.contains("`factors` has 0 rows"), "{told}");
}

#[test]
fn the_steps_between_previews_have_to_be_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let output = draw(folder.path(), &golden_pipeline(), &["--preview", "2"]);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert!(told.contains("expected `every=N` with a number of steps from 1, found `2`"), "{told}");
    // A folder alone would do nothing.
    assert_eq!(draw(folder.path(), &golden_pipeline(), &["--preview-dir", "x"]).status.code(), Some(2));
}
