//! Every graph that ships is checked and run with the model that ships, as a user would.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::PathBuf;

use support::{root, run, stderr, stdout};

fn graphs() -> Vec<PathBuf> {
    let mut graphs: Vec<PathBuf> = std::fs::read_dir(root().join("graphs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ron"))
        .filter(|path| !path.display().to_string().ends_with(".lock.ron"))
        .collect();
    graphs.sort();
    assert!(graphs.len() >= 5);
    graphs
}

#[test]
fn every_graph_runs_with_its_own_defaults() {
    for graph in graphs() {
        let folder = tempfile::tempdir().unwrap();
        let path = graph.display().to_string();
        let check = run(folder.path(), &["check", &path]);
        assert_eq!(check.status.code(), Some(0), "{path}: {}", stderr(&check));
        assert!(!stderr(&check).contains("warning"), "{path}: {}", stderr(&check));

        let output = run(folder.path(), &["run", &path]);
        assert_eq!(output.status.code(), Some(0), "{path}: {}", stderr(&output));
        for file in stdout(&output).lines() {
            let picture = image::open(folder.path().join(file)).unwrap().to_rgb8();
            let (darkest, brightest) =
                picture.iter().fold((255, 0), |(low, high), byte| (low.min(*byte), high.max(*byte)));
            assert!(brightest - darkest > 100, "{path}: {file} has hardly any contrast");
        }
    }
}

/// The small model was trained to draw on backgrounds of a named colour: what it draws must follow the prompt.
#[test]
fn the_background_is_what_the_prompt_says() {
    let folder = tempfile::tempdir().unwrap();
    let graph = root().join("graphs/t2i.ron").display().to_string();
    let corner = |color: &str| {
        let prompt = format!("prompt=a penguin on a {color} background");
        let output = run(folder.path(), &["run", &graph, "--set", &prompt, "--set", "steps=10"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let picture = image::open(folder.path().join(stdout(&output).trim())).unwrap().to_rgb8();
        let [red, green, blue] = picture.get_pixel(3, 3).0.map(i32::from);
        (red, green, blue)
    };
    let (red, green, blue) = corner("blue");
    assert!(blue > red + 30, "blue: {red} {green} {blue}");
    let (red, green, blue) = corner("green");
    assert!(green > red + 20 && green > blue + 20, "green: {red} {green} {blue}");
    let (red, green, blue) = corner("yellow");
    assert!(red > blue + 40 && green > blue + 40, "yellow: {red} {green} {blue}");
}
