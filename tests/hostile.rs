//! Weight files that are damaged or made to do harm: a message and an exit code each, from the check on.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use support::{copy_golden, run, stderr, stdout, workplace};

const SHARD: &str = "transformer/diffusion_pytorch_model-00002-of-00002.safetensors";

/// The header of a safetensors file and the numbers behind it.
struct Parts {
    header: Map<String, Value>,
    numbers: Vec<u8>,
}

impl Parts {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        let header = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        Self { header, numbers: bytes[8 + length..].to_vec() }
    }

    fn write(&self, path: &Path) {
        write(path, &Value::Object(self.header.clone()).to_string(), &self.numbers);
    }

    /// Stores a tensor in another format, whose numbers have `size` bytes and are zeros.
    fn store_as(&mut self, key: &str, format: &str, size: usize) {
        let (start, end) = self.offsets(key);
        let count: u64 =
            self.header[key]["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap()).product();
        let length = count as usize * size;
        self.numbers.splice(start..end, vec![0; length]);
        for (_, entry) in self.header.iter_mut().filter(|(name, _)| *name != "__metadata__") {
            let places = entry["data_offsets"].as_array_mut().unwrap();
            for place in places.iter_mut().filter(|place| place.as_u64().unwrap() >= end as u64) {
                *place = json!(place.as_u64().unwrap() as usize + length - (end - start));
            }
        }
        self.header[key]["dtype"] = json!(format);
        self.header[key]["data_offsets"] = json!([start, start + length]);
    }

    /// Where the numbers of a tensor begin and end.
    fn offsets(&self, key: &str) -> (usize, usize) {
        let at = |index: usize| self.header[key]["data_offsets"][index].as_u64().unwrap() as usize;
        (at(0), at(1))
    }
}

fn write(path: &Path, header: &str, numbers: &[u8]) {
    fs::write(path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), numbers].concat()).unwrap();
}

/// A model, a change of its shard, and the part of the message that says what is wrong.
fn expect(message: &str, damage: impl FnOnce(&Path)) {
    let folder = workplace();
    damage(&folder.path().join("model").join(SHARD));
    for command in ["check", "run"] {
        let output = run(folder.path(), &[command, "t2i.ron"]);
        let said = stderr(&output);
        assert!(said.contains(message), "`{command}` does not say `{message}`:\n{said}");
        assert!(said.contains("00002-of-00002"), "`{command}` does not name the file:\n{said}");
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(output.status.code(), Some(4), "{command}:\n{said}");
        assert_eq!(stdout(&output), "", "{command}");
    }
    assert!(!folder.path().join("out").exists());
}

/// As [`expect`], for a change of the header.
fn expect_of_header(message: &str, change: impl FnOnce(&mut Map<String, Value>)) {
    expect(message, |path| {
        let mut parts = Parts::read(path);
        change(&mut parts.header);
        parts.write(path);
    });
}

#[test]
fn a_file_that_is_cut_off_is_refused() {
    expect("the file is cut off", |path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    });
    expect("too few for a header", |path| fs::write(path, [1, 2, 3]).unwrap());
    expect("the header claims", |path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..100]).unwrap();
    });
}

#[test]
fn a_header_of_two_to_the_sixty_bytes_is_refused() {
    expect("the header claims 1152921504606846976 bytes", |path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[..8].copy_from_slice(&(1_u64 << 60).to_le_bytes());
        fs::write(path, bytes).unwrap();
    });
}

#[test]
fn tensors_that_overlap_or_leave_gaps_are_refused() {
    let shifted = |by: i64| {
        move |header: &mut Map<String, Value>| {
            let (_, entry) = header
                .iter_mut()
                .filter(|(name, _)| *name != "__metadata__")
                .max_by_key(|(_, entry)| entry["data_offsets"][0].as_u64())
                .unwrap();
            for index in 0..2 {
                let place = entry["data_offsets"][index].as_i64().unwrap();
                entry["data_offsets"][index] = json!(place + by);
            }
        }
    };
    expect_of_header("overlaps the tensor before it", shifted(-4));
    expect_of_header("leaves a gap before it", shifted(4));
}

#[test]
fn a_tensor_that_is_there_twice_is_refused() {
    expect("is in the header twice", |path| {
        let parts = Parts::read(path);
        let text = Value::Object(parts.header).to_string();
        let twice = format!(
            r#"{},"layers.1.ffn_norm1.weight":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}},"layers.1.ffn_norm1.weight":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}}}"#,
            text.strip_suffix('}').unwrap()
        );
        write(path, &twice, &parts.numbers);
    });
    // In two files of one checkpoint.
    expect("is also in", |path| {
        fs::copy(path, path.with_file_name("diffusion_pytorch_model-00001-of-00002.safetensors")).unwrap();
    });
}

#[test]
fn numbers_that_cannot_be_weights_are_refused_by_the_check() {
    for (format, size) in [("I64", 8), ("I32", 4), ("F8_E4M3", 1), ("F8_E5M2", 1), ("BOOL", 1)] {
        expect(&format!("is stored as {format}, expected F64, F32, F16 or BF16"), |path| {
            let mut parts = Parts::read(path);
            parts.store_as("layers.1.attn1.to_q.weight", format, size);
            parts.write(path);
        });
    }
    expect_of_header("unknown variant `F7`", |header| {
        header["layers.1.attn1.to_q.weight"]["dtype"] = json!("F7");
    });
}

#[cfg(unix)]
#[test]
fn links_that_lead_to_themselves_are_refused() {
    use std::os::unix::fs::symlink;
    expect("cannot read", |path| {
        fs::remove_file(path).unwrap();
        symlink(path, path).unwrap();
    });
    expect("cannot read", |path| {
        let other = path.with_extension("other");
        fs::remove_file(path).unwrap();
        symlink(&other, path).unwrap();
        symlink(path, &other).unwrap();
    });
    // The model folder itself, and the index.
    let folder = workplace();
    let model = folder.path().join("model");
    let ended = |what: &str| {
        let output = run(folder.path(), &["check", "t2i.ron"]);
        let said = stderr(&output);
        assert!(output.status.code() == Some(4) && said.contains(what), "{said}");
    };
    let index = model.join("transformer/diffusion_pytorch_model.safetensors.index.json");
    fs::remove_file(&index).unwrap();
    symlink(&index, &index).unwrap();
    ended("diffusion_pytorch_model.safetensors");
    fs::remove_dir_all(&model).unwrap();
    symlink(&model, &model).unwrap();
    ended("`model`");
    // A loop of folders is no harm: nothing walks through a model folder.
    fs::remove_file(&model).unwrap();
    symlink(&model, copy_golden(&model).join("transformer/again")).unwrap();
    assert!(
        run(folder.path(), &["run", "t2i.ron", "--set", "width=32", "--set", "height=32"]).status.success()
    );
}

/// Ends the table of tokens with what is not a number, in the row of a token that no prompt here has.
fn with_a_number_that_is_none(folder: &Path) -> PathBuf {
    let path = folder.join("model/text_encoder/model-00001-of-00004.safetensors");
    let mut parts = Parts::read(&path);
    let (start, end) = parts.offsets("embed_tokens.weight");
    parts.numbers[end - 4..end].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(start < end);
    parts.write(&path);
    path
}

#[test]
fn weights_that_are_no_numbers_are_warned_of() {
    let folder = workplace();
    let path = with_a_number_that_is_none(folder.path());
    let small = ["--set", "width=32", "--set", "height=32"];
    let output = run(folder.path(), &[&["run", "t2i.ron"], &small[..]].concat());
    let said = stderr(&output);
    let file = path.file_name().unwrap().to_str().unwrap();
    let warning =
        said.lines().find(|line| line.starts_with("warning: `model`: ")).unwrap_or_else(|| panic!("{said}"));
    assert!(warning.contains(file), "{warning}");
    assert!(
        warning.ends_with("has numbers that are infinite or no numbers in 1 tensor: `embed_tokens.weight`"),
        "{warning}"
    );
    // No prompt has the token whose row it is.
    assert_eq!(output.status.code(), Some(0), "{said}");

    let output = run(folder.path(), &[&["run", "t2i.ron", "--json"], &small[..]].concat());
    let events: Vec<Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let warnings: Vec<&Value> = events.iter().filter(|event| event["event"] == "node_warning").collect();
    assert_eq!(warnings.len(), 1, "{events:?}");
    assert_eq!(warnings[0]["node"], "model");
    assert!(warnings[0]["message"].as_str().unwrap().contains("`embed_tokens.weight`"));

    let quiet = run(folder.path(), &[&["run", "t2i.ron", "-q"], &small[..]].concat());
    assert!(!stderr(&quiet).contains("warning"), "{}", stderr(&quiet));
}

#[test]
fn a_picture_that_is_made_of_no_numbers_fails_behind_the_warning() {
    let folder = workplace();
    let path = folder.path().join("model").join(SHARD);
    let mut parts = Parts::read(&path);
    let first = parts.header.keys().find(|key| key.ends_with("attn1.to_q.weight")).unwrap().clone();
    let (start, _) = parts.offsets(&first);
    parts.numbers[start..start + 4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    parts.write(&path);
    let output = run(folder.path(), &["run", "t2i.ron"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("warning: `model`: ") && said.contains(&format!("`{first}`")), "{said}");
    assert!(said.contains("not finite numbers"), "{said}");
}
