//! Files that torch itself saved; `tests/golden/pth/NOTES.md` says how.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use lumina_models::backbone::{Backbone, FlagDit, FlagDitConfig, ForwardOptions};
use lumina_models::weights::pth::PthField;
use lumina_models::weights::{Checkpoint, KeyMap, ModelArguments, PthArchive, StoredFormat, StoredType};
use lumina_models::{Interrupt, ModelError};

use crate::common::{caption, check, golden, largest, load, values, weights};

fn file(name: &str) -> PathBuf {
    golden("pth").join(name)
}

fn names(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint.tensors().keys().map(String::as_str).collect()
}

#[test]
fn tensors_are_those_of_the_safetensors_file() {
    let expected = Checkpoint::open_file(&file("tensors.safetensors")).unwrap();
    let numbers = load_floats(&expected);
    assert_eq!(numbers.len(), 12);
    for name in ["tensors.pth", "tensors_protocol_4.pth"] {
        let found = Checkpoint::open_file(&file(name)).unwrap();
        assert_eq!(names(&found), names(&expected));
        for (name, tensor) in expected.tensors() {
            let other = found.get(name).unwrap();
            assert_eq!((&other.shape, other.format), (&tensor.shape, tensor.format), "{name}");
        }
        assert_eq!(load_floats(&found), numbers, "{name}");
    }
}

/// All tensors that can be weights.
fn load_floats(checkpoint: &Checkpoint) -> Vec<(String, Vec<f32>)> {
    let weights = weights(checkpoint, KeyMap::identity());
    let floats =
        checkpoint.tensors().iter().filter_map(|(name, tensor)| match weights.tensor(name, &tensor.shape) {
            Ok(tensor) => Some((name.clone(), values(&tensor))),
            Err(ModelError::DType { .. }) => None,
            Err(error) => panic!("{name}: {error}"),
        });
    floats.collect()
}

#[test]
fn whole_tensors_are_mapped_where_they_lie() {
    use lumina_models::weights::Storage;
    let checkpoint = Checkpoint::open_file(&file("tensors.pth")).unwrap();
    let views = checkpoint.tensors().iter().filter(|(_, tensor)| !matches!(tensor.storage, Storage::Span(_)));
    let views: Vec<&str> = views.map(|(name, _)| name.as_str()).collect();
    assert_eq!(views, ["columns", "every_other", "permuted", "transposed"]);
}

#[test]
fn the_dictionary_of_weights_is_found_in_a_training_checkpoint() {
    for (name, tensors, notes) in [
        ("generator.pt", vec!["bias", "weight"], vec!["the tensors are those of `generator`"]),
        (
            "lightning.ckpt",
            vec!["bias", "scale_factor", "weight"],
            vec!["the tensors are those of `state_dict`"],
        ),
        ("average.pt", vec!["bias", "weight"], vec!["the tensors are those of `ema`, not those of `model`"]),
        ("whole/consolidated.00-of-01.pth", vec![], vec![]),
    ] {
        let checkpoint = Checkpoint::open_any(&file(name)).unwrap();
        assert_eq!(checkpoint.notes(), notes, "{name}");
        assert!(tensors.is_empty() || names(&checkpoint) == tensors, "{name}: {:?}", names(&checkpoint));
    }
    // One more than the weights of the training, which are in the same file.
    let [plain, average] = ["generator.pt", "average.pt"].map(|name| {
        let checkpoint = Checkpoint::open_file(&file(name)).unwrap();
        values(&weights(&checkpoint, KeyMap::identity()).tensor("weight", &[3, 2]).unwrap())
    });
    assert_eq!(plain.iter().map(|value| value + 1.0).collect::<Vec<_>>(), average);
}

#[test]
fn files_that_are_not_read_say_why() {
    for (name, message) in [
        (
            "system.pth",
            "byte 181 of its pickle names `posix.system`, which is no part of a tensor; a file like this can run code \
             when Python loads it, so it is refused. If you trust it, convert it to safetensors with the software that \
             made it",
        ),
        (
            "old.pth",
            "it is in the format that torch wrote before version 1.6, which is not read: load it in torch and save it \
             again, best as safetensors",
        ),
        (
            "ambiguous.pt",
            "it holds several dictionaries of tensors, `left`, `right`, and none of their names says which has the weights",
        ),
    ] {
        let error = Checkpoint::open_any(&file(name)).unwrap_err();
        assert!(matches!(error, ModelError::Pth { .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("`{}` is refused: {message}", file(name).display()));
    }
    let error = Checkpoint::open_any(&file("split/model_args.pth")).unwrap_err();
    assert!(error.to_string().ends_with("`: it holds no tensors"), "{error}");
}

#[test]
fn arguments_of_a_training_are_read_in_both_forms() {
    let namespace = ModelArguments::open(&file("split/model_args.pth")).unwrap();
    let expected = ModelArguments {
        model: Some("DiT_Llama_tiny_patch2".to_owned()),
        qk_norm: Some(true),
        image_size: Some(1024),
        vae: Some("sdxl".to_owned()),
        lm: Some("llama".to_owned()),
        tokenizer_path: Some(String::new()),
        model_parallel_size: Some(2),
        num_classes: None,
    };
    assert_eq!(namespace, expected);
    let simple = ModelArguments::open(&file("simple/model_args.pth")).unwrap();
    let (qk_norm, model_parallel_size, num_classes) = (Some(false), Some(1), Some(1000));
    assert_eq!(simple, ModelArguments { qk_norm, model_parallel_size, num_classes, ..expected });

    let fields = PthArchive::open(&file("split/model_args.pth")).unwrap().fields().clone();
    assert_eq!(fields["lr"], PthField::Float(1e-4));
    assert_eq!(fields["resume"], PthField::None);
    assert!(!fields.contains_key("max_steps"), "no integer of 64 bits");
}

#[test]
fn arguments_that_contradict_the_weights_are_noted() {
    let dir = tempfile::tempdir().unwrap();
    for (from, to) in [
        ("simple/model_args.pth", "model_args.pth"),
        ("split/consolidated.00-of-02.pth", "consolidated.00-of-02.pth"),
        ("split/consolidated.01-of-02.pth", "consolidated.01-of-02.pth"),
    ] {
        std::fs::copy(file(from), dir.path().join(to)).unwrap();
    }
    let checkpoint = Checkpoint::open_any(dir.path()).unwrap();
    let expected = [
        "`model_args.pth` says `qk_norm` is false, the weights say true",
        "`model_args.pth` says `model_parallel_size` is 1, the weights say 2",
    ];
    assert_eq!(checkpoint.notes(), expected);
}

fn network(path: &Path) -> FlagDit {
    let checkpoint = Checkpoint::open_any(path).unwrap();
    let config = FlagDitConfig::from_checkpoint(&checkpoint).unwrap();
    FlagDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &Interrupt::never()).unwrap()
}

fn forward(network: &FlagDit) -> Tensor {
    let case = load(&file("split/case.safetensors"));
    let features = caption(&case["features"], &case["mask"]);
    let time = case["time"].to_dtype(DType::F64).unwrap().to_vec1().unwrap();
    let prepared = network.prepare(&features).unwrap();
    network.forward(&case["latent"], &time, &prepared, &ForwardOptions::default()).unwrap()
}

#[test]
fn a_network_is_the_same_from_either_kind_of_file() {
    let [torch, safetensors] =
        ["pth", "safetensors"].map(|kind| network(&file(&format!("whole/consolidated.00-of-01.{kind}"))));
    assert_eq!(values(&forward(&torch)), values(&forward(&safetensors)));
}

#[test]
fn a_network_split_among_ranks_computes_what_the_ranks_compute() {
    let found = forward(&network(&file("split")));
    let expected = &load(&file("split/case.safetensors"))["out"];
    check("two ranks", &found, expected, 2e-5 * largest(expected));
}

#[test]
fn formats_that_are_no_weights_are_listed() {
    let checkpoint = Checkpoint::open_file(&file("tensors.pth")).unwrap();
    for (name, format) in [
        ("i64", StoredType::I64),
        ("flags", StoredType::BOOL),
        ("f8", StoredType::F8_E4M3),
        ("u16", StoredType::U16),
    ] {
        assert_eq!(checkpoint.get(name).unwrap().format, StoredFormat::Plain(format));
    }
}
