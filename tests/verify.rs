//! `lumina-graph verify`: made again from what a file says, and compared.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{copy_golden, root, run, stderr, stdout};

/// A folder with the graph of the README, two steps long, a copy of the small random pipeline, and a picture made by it.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(root().join("graphs/t2i.ron"))
        .unwrap()
        .replace("weights/lumina-next-tiny", "model")
        .replace("default: 20", "default: 2");
    fs::write(folder.path().join("t2i.ron"), text).unwrap();
    copy_golden(&folder.path().join("model"));
    make(folder.path(), &[]);
    folder
}

const PICTURE: &str = "out/t2i_5.png";

fn make(folder: &Path, more: &[&str]) {
    let set = ["run", "t2i.ron", "--seed", "5", "--set", "prompt=a \"red\" fox", "--set", "guided.scale=2.5"];
    let output = run(folder, &[&set[..], more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Exit code, standard output, standard error.
fn verify(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run(folder, &[&["verify"], arguments].concat());
    (output.status.code(), stdout(&output), stderr(&output))
}

/// Writes a picture again with some bytes of its pixels changed.
fn repaint(path: &Path, change: impl Fn(&mut [u8])) {
    rewrite(path, change, str::to_owned);
}

/// Writes a picture again with other pixels and another text beside them.
fn rewrite(path: &Path, change: impl Fn(&mut [u8]), text: impl Fn(&str) -> String) {
    let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    change(&mut pixels);
    let info = reader.info().clone();
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), info.width, info.height);
    encoder.set_color(png::ColorType::Rgb);
    for chunk in &info.utf8_text {
        encoder.add_itxt_chunk(chunk.keyword.clone(), text(&chunk.get_text().unwrap())).unwrap();
    }
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

#[test]
fn a_picture_comes_out_the_same_and_is_not_written_over() {
    let folder = workplace();
    let folder = folder.path();
    let picture = folder.join(PICTURE);
    let before = fs::read(&picture).unwrap();
    let modified = fs::metadata(&picture).unwrap().modified().unwrap();
    let (code, said, notes) = verify(folder, &[PICTURE]);
    assert_eq!((code, said.as_str(), notes.as_str()), (Some(0), "out/t2i_5.png: same bytes\n", ""));
    assert_eq!(fs::read(&picture).unwrap(), before);
    assert_eq!(fs::metadata(&picture).unwrap().modified().unwrap(), modified);

    // The picture has another name now, and nothing appears where it was written before.
    fs::rename(&picture, folder.join("mine.png")).unwrap();
    assert_eq!(verify(folder, &["mine.png"]).1, "mine.png: same bytes\n");
    assert_eq!(fs::read_dir(folder.join("out")).unwrap().count(), 0);
}

#[test]
fn a_picture_of_another_folder_finds_its_model_beside_it() {
    let folder = workplace();
    let elsewhere = tempfile::tempdir().unwrap();
    let picture = folder.path().join(PICTURE).display().to_string();
    let (code, said, notes) = verify(elsewhere.path(), &[&picture]);
    // Only the paths inside the metadata are others.
    assert_eq!((code, said), (Some(0), format!("{picture}: same pixels, other metadata\n")), "{notes}");
    assert_eq!(notes, "");

    // A copy without a model near it, but with one in the current folder.
    fs::copy(&picture, elsewhere.path().join("copy.png")).unwrap();
    let copy = elsewhere.path().join("copy.png").display().to_string();
    assert_eq!(verify(folder.path(), &[&copy]).0, Some(0));
    let (code, _, notes) = verify(elsewhere.path(), &["copy.png"]);
    assert!(code == Some(4) && notes.contains("no model folder at `model`"), "{notes}");
}

#[test]
fn changed_pixels_are_counted() {
    let folder = workplace();
    let folder = folder.path();
    repaint(&folder.join(PICTURE), |_| {});
    assert_eq!(verify(folder, &[PICTURE]).0, Some(0));
    repaint(&folder.join(PICTURE), |pixels| {
        pixels[0] ^= 1;
        pixels[100] ^= 4;
    });
    let (code, said, _) = verify(folder, &[PICTURE]);
    assert_eq!((code, said.as_str()), (Some(1), "out/t2i_5.png: differs: 2 of 12288 bytes, by at most 4\n"));
    let (_, said, _) = verify(folder, &[PICTURE, "--json"]);
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&lines[0]["result"], &lines[0]["largest"], &lines[0]["differing"], &lines[0]["of"]),
        (&"differs".into(), &4.into(), &2.into(), &12288.into())
    );
    assert_eq!((&lines[1]["event"], &lines[1]["exit_code"], lines.len()), (&"done".into(), &1.into(), 2));
}

#[test]
fn other_weights_are_named_as_the_reason() {
    let folder = workplace();
    let folder = folder.path();
    let weights = folder.join("model/transformer/diffusion_pytorch_model-00001-of-00002.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let begin = bytes.len() / 2;
    // The sign and the exponent of many weights.
    bytes[begin..].iter_mut().skip(3).step_by(4).for_each(|byte| *byte ^= 0x80);
    fs::write(&weights, bytes).unwrap();
    let (code, said, notes) = verify(folder, &[PICTURE]);
    assert!(code == Some(1) && said.contains("differs: "), "{said}");
    assert!(
        notes.contains("not everything is as it was recorded in `out/t2i_5.png`, which may be why"),
        "{notes}"
    );
    let file = "  file `model/transformer/diffusion_pytorch_model-00001-of-00002.safetensors`\n    expected ";
    assert!(notes.contains(file), "{notes}");
    assert_eq!(notes.matches("  file ").count(), 1, "{notes}");
}

#[test]
fn another_number_format_is_said_and_the_recorded_one_is_used_by_default() {
    let folder = workplace();
    let folder = folder.path();
    let (_, _, notes) = verify(folder, &[PICTURE, "--dtype", "bf16"]);
    assert!(notes.contains("  number format\n    expected f32\n    found    bf16"), "{notes}");
    make(folder, &["--dtype", "bf16"]);
    assert_eq!(verify(folder, &[PICTURE]), (Some(0), "out/t2i_5.png: same bytes\n".into(), String::new()));
}

#[test]
fn a_picture_of_several_is_compared_with_its_own_number() {
    let folder = workplace();
    let folder = folder.path();
    make(folder, &["--set", "noise.batch=2", "--set", "guided.images_per_prompt=2"]);
    let both = ["out/t2i_5_1.png", "out/t2i_5_0.png"];
    let (code, said, notes) = verify(folder, &both);
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "out/t2i_5_1.png: same bytes\nout/t2i_5_0.png: same bytes\n"),
        "{notes}"
    );
    fs::copy(folder.join(both[0]), folder.join(both[1])).unwrap();
    assert_eq!(verify(folder, &both).0, Some(1));
}

#[test]
fn files_that_cannot_be_verified_say_why() {
    let folder = workplace();
    let folder = folder.path();
    fs::write(folder.join("broken.png"), "no picture").unwrap();
    image::RgbImage::new(1, 1).save(folder.join("foreign.png")).unwrap();
    for (file, code, expected) in [
        ("nothing.png", 4, "there is no file `nothing.png`"),
        ("broken.png", 4, "cannot read `broken.png`"),
        ("foreign.png", 3, "`foreign.png` carries no graph: it was not made by lumina-graph"),
        ("t2i.ron", 3, "`t2i.ron` carries no graph"),
        ("nothing.lock.ron", 4, "there is no lock file `nothing.lock.ron`"),
    ] {
        let (found, _, said) = verify(folder, &[file]);
        assert!(found == Some(code) && said.contains(expected), "{file}: {found:?} {said}");
    }
    // The one that is right is verified all the same.
    let (code, said, _) = verify(folder, &["foreign.png", PICTURE]);
    assert_eq!((code, said.as_str()), (Some(3), "out/t2i_5.png: same bytes\n"));
    let (_, said, _) = verify(folder, &["foreign.png", "--json"]);
    let line: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert!(line["result"] == "failed" && line["message"].as_str().unwrap().contains("carries no graph"));
    assert_eq!(verify(folder, &[]).0, Some(2));
}

#[test]
fn a_picture_whose_graph_is_invalid_by_now_is_told_apart() {
    let folder = workplace();
    let folder = folder.path();
    rewrite(&folder.join(PICTURE), |_| {}, |text| text.replace("sampler.ode", "sampler.old"));
    let (code, _, said) = verify(folder, &[PICTURE]);
    assert!(code == Some(3) && said.contains("no node kind is called `sampler.old`"), "{said}");
    // A recorded value that the graph has no place for.
    make(folder, &[]);
    rewrite(&folder.join(PICTURE), |_| {}, |text| text.replace("\"guided.scale\"", "\"guided.scales\""));
    assert_eq!(verify(folder, &[PICTURE]).0, Some(3));
    rewrite(&folder.join(PICTURE), |_| {}, |_| "{ damaged".to_owned());
    assert_eq!(verify(folder, &[PICTURE]).0, Some(4));
}

#[test]
fn a_lock_file_is_verified_from_any_folder() {
    let folder = workplace();
    let folder = folder.path();
    make(folder, &["--lock"]);
    let (code, said, notes) = verify(folder, &["t2i.lock.ron"]);
    assert_eq!(
        (code, said.as_str(), notes.as_str()),
        (Some(0), "t2i.lock.ron: out/t2i_5.png: same bytes\n", "")
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let lock = folder.join("t2i.lock.ron").display().to_string();
    let (code, said, notes) = verify(elsewhere.path(), &[&lock]);
    assert_eq!(
        (code, said),
        (Some(0), format!("{lock}: out/t2i_5.png: same pixels, other metadata\n")),
        "{notes}"
    );
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);

    // The picture may be gone: its digests are in the lock file.
    fs::remove_file(folder.join(PICTURE)).unwrap();
    assert_eq!(verify(folder, &["t2i.lock.ron"]).0, Some(0));
    assert!(!folder.join(PICTURE).exists());
}

#[test]
fn a_changed_graph_behind_a_lock_file_is_named_and_measured() {
    let folder = workplace();
    let folder = folder.path();
    make(folder, &["--lock"]);
    let text = fs::read_to_string(folder.join("t2i.ron")).unwrap();
    let edited = text.replace("\"solver\": \"euler\"", "\"solver\": \"midpoint\"");
    assert_ne!(edited, text);
    fs::write(folder.join("t2i.ron"), edited).unwrap();
    let (code, said, notes) = verify(folder, &["t2i.lock.ron"]);
    assert!(
        code == Some(1) && said.contains("differs: ") && said.contains(" of 12288 bytes"),
        "{said}{notes}"
    );
    assert!(notes.contains("  file `t2i.ron`\n    expected "), "{notes}");
    fs::remove_file(folder.join("t2i.ron")).unwrap();
    assert_eq!(verify(folder, &["t2i.lock.ron"]).0, Some(4));
}

#[test]
fn what_a_stranger_has_written_does_not_speak_to_the_terminal() {
    let folder = workplace();
    let folder = folder.path();
    rewrite(
        &folder.join(PICTURE),
        |_| {},
        |text| {
            let text = text.replace("\"environment\":\"cpu f32\"", "\"environment\":\"\\u001b[2J f32\"");
            text.replace("\"graph_name\":\"t2i\"", "\"graph_name\":\"\\u001b[2J\"")
        },
    );
    let (code, said, notes) = verify(folder, &[PICTURE]);
    assert_eq!(code, Some(0), "{notes}");
    assert!(
        notes.contains("\\u{1b}[2J") && !notes.contains('\u{1b}') && !said.contains('\u{1b}'),
        "{notes:?}"
    );
    rewrite(&folder.join(PICTURE), |_| {}, |text| text.replace("sampler.ode", "sampler.old\\u001b[2J"));
    let (code, said, notes) = verify(folder, &[PICTURE]);
    assert_eq!(code, Some(3));
    assert!(!notes.contains('\u{1b}') && !said.contains('\u{1b}'), "{notes:?}");
}

#[test]
fn a_lock_without_outputs_cannot_be_verified() {
    let folder = workplace();
    let folder = folder.path();
    make(folder, &["--lock", "--only", "times"]);
    let (code, _, said) = verify(folder, &["t2i.lock.ron"]);
    assert!(code == Some(3) && said.contains("names no outputs"), "{said}");
}

#[test]
fn a_lock_without_metadata_is_verified_without() {
    let folder = workplace();
    let folder = folder.path();
    make(folder, &["--lock", "--no-metadata"]);
    let (code, said, notes) = verify(folder, &["t2i.lock.ron"]);
    assert_eq!((code, said.as_str()), (Some(0), "t2i.lock.ron: out/t2i_5.png: same bytes\n"), "{notes}");
}

#[test]
fn nothing_is_taken_from_the_disk_cache() {
    let folder = workplace();
    let folder = folder.path();
    let cache = folder.join("cache");
    let output =
        support::program(folder, &["verify", PICTURE]).env("LUMINA_GRAPH_CACHE", &cache).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!cache.exists());
}
