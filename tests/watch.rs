//! `lumina-graph watch`: what runs again after an edit, and what does not.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use support::{golden_pipeline, program, root};

/// A running `watch` on a copy of `graphs/t2i.ron`.
struct Watch {
    folder: tempfile::TempDir,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// How often weights were loaded.
    loads: usize,
}

impl Watch {
    fn start(steps: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(root().join("graphs/t2i.ron"))
            .unwrap()
            .replace("weights/lumina-next-tiny", &golden_pipeline().display().to_string())
            .replace("default: 20", &format!("default: {steps}"));
        fs::write(folder.path().join("g.ron"), text).unwrap();
        let mut child = program(folder.path(), &["watch", "g.ron", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { folder, child, lines, loads: 0 }
    }

    fn graph(&self) -> PathBuf {
        self.folder.path().join("g.ron")
    }

    /// Replaces text in the graph as editors do: a new file, renamed over the old one.
    fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.graph()).unwrap();
        assert!(text.contains(from), "the graph has no {from}");
        let temporary = self.folder.path().join(".g.ron.swp");
        fs::write(&temporary, text.replace(from, to)).unwrap();
        fs::rename(temporary, self.graph()).unwrap();
    }

    /// Reads events up to one of a kind.
    fn until(&mut self, event: &str) -> Value {
        loop {
            let line = self.lines.next().expect("the program has ended").unwrap();
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["event"] == "node_started" && line["node"] == "model" {
                self.loads += 1;
            }
            if line["event"] == event {
                return line;
            }
        }
    }

    /// The nodes that ran in the next run that comes to its end.
    fn ran(&mut self) -> Vec<String> {
        let done = self.until("done");
        done["ran"].as_array().unwrap().iter().map(|node| node.as_str().unwrap().to_owned()).collect()
    }

    fn interrupt(mut self) -> Option<i32> {
        assert!(
            Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success()
        );
        self.child.wait().unwrap().code()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_edit_runs_exactly_what_depends_on_it_and_weights_are_loaded_once() {
    let mut watch = Watch::start(2);
    assert_eq!(watch.ran().len(), 8);

    watch.edit("\"seed\": Int(default: 0", "\"seed\": Int(default: 1");
    assert_eq!(watch.ran(), ["noise", "latent", "image", "saved"]);
    watch.edit("\"steps\": Int(default: 2", "\"steps\": Int(default: 3");
    assert_eq!(watch.ran(), ["times", "latent", "image", "saved"]);
    watch.edit("a red apple\", about", "a blue owl\", about");
    assert_eq!(watch.ran(), ["text", "guided", "latent", "image", "saved"]);
    watch.edit("\"latent\": Link(\"latent\")", "\"latent\": Link(\"latent\"), \"tile\": 64");
    // One tile is the whole picture: it comes out the same, and is not written again.
    assert_eq!(watch.ran(), ["image"]);

    // What changes no value runs nothing: a comment, a name, the way back to an earlier value.
    watch.edit("// Text to image", "// Picture from text");
    assert_eq!(watch.ran(), [""; 0]);
    watch.edit("\"times\": Node", "\"grid\": Node");
    watch.until("diagnostic");
    watch.until("invalid");
    watch.edit("Link(\"times\")", "Link(\"grid\")");
    assert_eq!(watch.ran(), [""; 0]);

    assert_eq!(watch.loads, 1);
    assert_eq!(watch.interrupt(), Some(130));
}

#[test]
fn the_way_back_to_an_earlier_prompt_writes_its_picture_again() {
    let mut watch = Watch::start(2);
    watch.ran();
    let picture = watch.folder.path().join("out/g_0.png");
    let first = fs::read(&picture).unwrap();
    watch.edit("a red apple\", about", "a blue owl\", about");
    watch.ran();
    assert_ne!(fs::read(&picture).unwrap(), first);
    watch.edit("a blue owl\", about", "a red apple\", about");
    // The pixels are in memory; the file holds another picture by now.
    assert_eq!(watch.ran(), ["saved"]);
    let again = fs::read(&picture).unwrap();
    assert_eq!(image::load_from_memory(&again).unwrap(), image::load_from_memory(&first).unwrap());
}

/// Acceptance case I5.
#[test]
fn an_invalid_edit_keeps_the_last_valid_graph() {
    let mut watch = Watch::start(1);
    watch.ran();
    let valid = fs::read_to_string(watch.graph()).unwrap();
    watch.edit("Link(\"noise\")", "Link(\"nois\")");
    assert_eq!(watch.until("diagnostic")["code"], "LG0205");
    assert_eq!(watch.until("invalid")["exit_code"], 3);
    fs::write(watch.graph(), valid.replace("format: 1,", "format 1,")).unwrap();
    let diagnostic = watch.until("diagnostic");
    assert_eq!(diagnostic["code"], "LG0101");
    let line = valid.lines().position(|line| line.contains("format: 1,")).unwrap() + 1;
    assert_eq!(diagnostic["line"], line);
    assert!(diagnostic["column"].is_u64());
    // What the last valid graph has computed is still there.
    fs::write(watch.graph(), valid).unwrap();
    assert_eq!(watch.ran(), [""; 0]);
    assert_eq!(watch.loads, 1);
}

#[test]
fn a_run_that_an_edit_makes_stale_is_cancelled() {
    let mut watch = Watch::start(1000);
    while watch.until("node_progress")["node"] != "latent" {}
    watch.edit("\"steps\": Int(default: 1000", "\"steps\": Int(default: 2");
    assert_eq!(watch.until("done")["interrupted"], true);
    assert_eq!(watch.ran(), ["times", "latent", "image", "saved"]);
    assert_eq!(watch.loads, 1);
}

#[test]
fn an_edit_that_changes_nothing_does_not_disturb_the_run_in_flight() {
    let mut watch = Watch::start(100);
    while watch.until("node_progress")["node"] != "latent" {}
    watch.edit("// Text to image", "// Picture from text");
    let done = watch.until("done");
    assert_eq!((&done["interrupted"], &done["ok"]), (&false.into(), &true.into()));
}

#[test]
fn the_end_leaves_no_picture_of_a_run_that_was_stopped() {
    let mut watch = Watch::start(1000);
    while watch.until("node_progress")["node"] != "latent" {}
    let out = watch.folder.path().join("out");
    assert_eq!(
        Command::new("kill").args(["-INT", &watch.child.id().to_string()]).status().unwrap().code(),
        Some(0)
    );
    assert_eq!(watch.child.wait().unwrap().code(), Some(130));
    assert!(!out.exists());
}
