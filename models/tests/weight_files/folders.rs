//! Which file of a folder is opened, and files that belong together.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use lumina_models::backbone::{Backbone, FlagDit, FlagDitConfig, ForwardOptions};
use lumina_models::text::TextFeatures;
use lumina_models::weights::{Checkpoint, KeyMap, Storage, StoredType, Weights};
use lumina_models::{Interrupt, ModelError};
use safetensors::tensor::TensorView;

type Table<'a> = &'a [(&'a str, &'a [usize])];

fn write(path: &Path, tensors: Table<'_>) {
    let zeros = vec![0_u8; 4096];
    let views = tensors.iter().map(|(name, shape)| {
        let bytes = shape.iter().product::<usize>() * 4;
        (*name, TensorView::new(StoredType::F32, shape.to_vec(), &zeros[..bytes]).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Opens a folder with such files, each with one tensor.
fn open(files: &[&str]) -> Result<Checkpoint, ModelError> {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        write(&dir.path().join(file), &[("x_embedder.weight", &[2, 3])]);
    }
    Checkpoint::open_any(dir.path())
}

fn chosen(files: &[&str]) -> (String, Vec<String>) {
    let checkpoint = open(files).unwrap();
    let name = checkpoint.path().file_name().unwrap().to_str().unwrap().to_owned();
    (name, checkpoint.notes().to_vec())
}

#[test]
fn the_first_of_a_folder_is_opened() {
    let pair = ["consolidated.00-of-01.safetensors", "consolidated_ema.00-of-01.safetensors"];
    let note = format!("`{}` is read, not `{}`", pair[1], pair[0]);
    assert_eq!(chosen(&pair), (pair[1].to_owned(), vec![note]));
    let kinds = ["consolidated.00-of-01.pth", "consolidated.00-of-01.safetensors", "model.safetensors"];
    assert_eq!(chosen(&kinds), (kinds[1].to_owned(), vec![]));
    let others = ["other.pth", "model.safetensors", "diffusion_pytorch_model.bin", "config.json"];
    assert_eq!(chosen(&others), (others[2].to_owned(), vec![]));
    let single = ["optimizer.00000-of-00001.pth", "119.ckpt", "training_args.bin", "readme.md"];
    assert_eq!(chosen(&single), (single[1].to_owned(), vec![]));
}

#[test]
fn the_content_says_what_a_file_is() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let dir = tempfile::tempdir().unwrap();
    for (from, tensor) in [
        ("gguf/formats.gguf", None),
        ("pth/tensors.pth", Some("whole")),
        ("pth/tensors.safetensors", Some("whole")),
    ] {
        let path = dir.path().join("weights.bin");
        std::fs::copy(golden.join(from), &path).unwrap();
        let checkpoint = Checkpoint::open_any(dir.path()).unwrap();
        assert!(!checkpoint.tensors().is_empty(), "{from}");
        assert!(tensor.is_none_or(|name| checkpoint.get(name).is_some()), "{from}");
        assert_eq!(checkpoint.gguf_metadata().is_some(), tensor.is_none(), "{from}");
    }
}

#[test]
fn a_folder_without_weights_or_with_too_many_says_so() {
    for (files, part) in [
        (
            &["config.json"][..],
            "the folder has no weights: no file whose name ends in `.safetensors`, `.pth` or the like",
        ),
        (
            &["a.safetensors", "b.pt"],
            "the folder has several weight files, `a.safetensors`, `b.pt`: name one of them",
        ),
        (
            &["consolidated.00-of-01.pth", "consolidated.00-of-02.pth", "consolidated.01-of-02.pth"],
            "the folder has several weight files, `consolidated.00-of-01.pth`, `consolidated.00-of-02.pth`, \
             `consolidated.01-of-02.pth`: name one of them",
        ),
    ] {
        let error = open(files).unwrap_err();
        assert!(matches!(error, ModelError::Config { .. }) && error.to_string().ends_with(part), "{error}");
    }
}

#[test]
fn parts_with_an_index_are_opened_together() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("model-00001-of-00002.safetensors"), &[("a", &[2])]);
    write(&dir.path().join("model-00002-of-00002.safetensors"), &[("b", &[3])]);
    let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
    let index_path = dir.path().join("model.safetensors.index.json");
    std::fs::write(&index_path, index).unwrap();
    for path in [dir.path(), &index_path] {
        assert_eq!(Checkpoint::open_any(path).unwrap().parameter_count(), 5);
    }
}

/// Opens two ranks, each with such tensors.
fn open_ranks(first: Table<'_>, second: Table<'_>) -> Result<Checkpoint, ModelError> {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("consolidated.00-of-02.safetensors"), first);
    write(&dir.path().join("consolidated.01-of-02.safetensors"), second);
    Checkpoint::open_any(dir.path())
}

#[test]
fn ranks_are_joined_along_the_dimension_of_their_layer() {
    let table: Table<'_> = &[
        ("layers.0.attention.wq.weight", &[2, 3]),
        ("layers.0.attention.wo.weight", &[2, 3]),
        ("layers.0.attention_norm.weight", &[3]),
    ];
    let checkpoint = open_ranks(table, table).unwrap();
    let shape = |name: &str| checkpoint.get(name).unwrap().shape.clone();
    assert_eq!(shape("layers.0.attention.wq.weight"), [4, 3]);
    assert_eq!(shape("layers.0.attention.wo.weight"), [2, 6]);
    assert_eq!(shape("layers.0.attention_norm.weight"), [3]);
    assert_eq!((checkpoint.ranks(), checkpoint.files().len()), (2, 2));
    let joined = &checkpoint.get("layers.0.attention.wo.weight").unwrap().storage;
    assert!(matches!(joined, Storage::Joined { dimension: 1, parts } if parts.len() == 2));
}

#[test]
fn ranks_that_do_not_fit_each_other_are_refused() {
    let wq: Table<'_> = &[("layers.0.attention.wq.weight", &[2, 3])];
    let other: Table<'_> = &[("layers.0.attention.wq.weight", &[2, 4])];
    let more: Table<'_> =
        &[("layers.0.attention.wq.weight", &[2, 3]), ("layers.0.attention.wk.weight", &[2, 3])];
    let unknown: Table<'_> = &[("decoder.conv_in.weight", &[2, 3])];
    let flat: Table<'_> = &[("layers.0.attention.wo.weight", &[2])];
    assert!(matches!(open_ranks(wq, other), Err(ModelError::Shape { .. })));
    assert!(matches!(open_ranks(wq, more), Err(ModelError::MissingKeys { .. })));
    assert!(matches!(open_ranks(more, wq), Err(ModelError::MissingKeys { .. })));
    let error = open_ranks(unknown, unknown).unwrap_err().to_string();
    assert!(error.ends_with("it is not known how `decoder.conv_in.weight` is split among ranks"), "{error}");
    let error = open_ranks(flat, flat).unwrap_err().to_string();
    assert!(
        error.ends_with("`layers.0.attention.wo.weight` has no dimension 1 to be split along"),
        "{error}"
    );

    let huge: Table<'_> = &[("layers.0.attention.wq.weight", &[1 << 62, 2, 0])];
    let error = open_ranks(huge, huge).unwrap_err().to_string();
    assert!(error.ends_with("`layers.0.attention.wq.weight` is too large"), "{error}");

    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("consolidated.01-of-03.safetensors"), wq);
    let error = Checkpoint::open_any(dir.path()).unwrap_err();
    assert!(
        matches!(&error, ModelError::FileNotFound { path, .. } if path.ends_with("consolidated.00-of-03.safetensors"))
    );
}

/// Splits a network as fairscale does and writes a file for each rank.
fn split(from: &Checkpoint, dir: &Path, ranks: usize) {
    let weights =
        Weights::open(from, KeyMap::identity(), DType::F32, &Device::Cpu, &Interrupt::never()).unwrap();
    for rank in 0..ranks {
        let parts = from.tensors().iter().map(|(name, tensor)| {
            let whole = weights.tensor(name, &tensor.shape).unwrap();
            let part = match dimension(name) {
                Some(dimension) => whole.chunk(ranks, dimension).unwrap().swap_remove(rank),
                None => whole,
            };
            (name.clone(), part.contiguous().unwrap())
        });
        let parts: std::collections::HashMap<String, Tensor> = parts.collect();
        let name = format!("consolidated.{rank:02}-of-{ranks:02}.safetensors");
        candle_core::safetensors::save(&parts, dir.join(name)).unwrap();
    }
}

fn dimension(name: &str) -> Option<usize> {
    let by_columns = [".wo.weight", ".w2.weight", ".mlp.2.weight"];
    let whole = ["_token", "norm.weight", "cap_embedder.0.weight", "cap_embedder.0.bias", ".mlp.2.bias"];
    if by_columns.iter().any(|end| name.ends_with(end)) {
        return Some(1);
    }
    (!whole.iter().any(|end| name.ends_with(end))).then_some(0)
}

/// Without norms of queries and keys, a network is the same whether it was split or not.
#[test]
fn a_split_network_is_the_whole_one_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/flag_dit_t2i_b");
    let whole = Checkpoint::open_any(&folder.join("weights.safetensors")).unwrap();
    assert!(whole.get("layers.0.attention.q_norm.weight").is_none());
    let cases = candle_core::safetensors::load(folder.join("cases.safetensors"), &Device::Cpu).unwrap();
    let run = |checkpoint: &Checkpoint| {
        let config = FlagDitConfig::from_checkpoint(checkpoint).unwrap();
        let never = Interrupt::never();
        let network = FlagDit::load(checkpoint, &config, DType::F32, &Device::Cpu, &never).unwrap();
        let features = TextFeatures::new(cases["case0.cap_feats"].clone(), &cases["case0.cap_mask"]).unwrap();
        let prepared = network.prepare(&features).unwrap();
        let output = network.forward(&cases["case0.x"], &[0.5], &prepared, &ForwardOptions::default());
        output.unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let expected = run(&whole);
    let dir = tempfile::tempdir().unwrap();
    split(&whole, dir.path(), 2);
    let joined = Checkpoint::open_any(dir.path()).unwrap();
    assert_eq!(joined.ranks(), 2);
    assert_eq!(run(&joined), expected);
}
