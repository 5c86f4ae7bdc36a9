//! Folders of text encoders: names, headers, configs, and batches that do not fit.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use lumina_models::text::{
    BertConfig, CaptionTower, DecoderFamily, T5Config, TextConfig, TextNetwork, TokenBatch,
};
use lumina_models::weights::{Checkpoint, Expected};
use lumina_models::{Interrupt, ModelError, PipelineFolder};
use serde_json::Value;

use crate::common::{golden, load, values};
use crate::text_encoders::{DECODERS, OTHERS, folder, kind, open};

/// The folder of an encoder with other names, bytes or values in it.
fn altered(name: &str, change: impl FnOnce(&mut HashMap<String, Tensor>)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let source = golden(&folder(name));
    std::fs::copy(source.join("config.json"), dir.path().join("config.json")).unwrap();
    let mut tensors = load(&source.join("model.safetensors"));
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, dir.path().join("model.safetensors")).unwrap();
    dir
}

#[test]
fn other_prefixes_give_the_same_bits() {
    let batch = TokenBatch { ids: vec![vec![0, 17, 9, 33, 2]], mask: vec![vec![1; 5]] };
    let bits = |dir: &Path| {
        let state = open(dir).last_hidden_state(&batch, &Interrupt::never()).unwrap();
        values(&state).into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    for name in DECODERS.into_iter().chain(OTHERS) {
        let expected = bits(&golden(&folder(name)));
        for prefix in ["", "model.", "text_encoders.one.transformer.model."] {
            let dir = altered(name, |tensors| {
                let bare = |key: &str| key.strip_prefix("model.").unwrap_or(key).to_owned();
                *tensors = tensors
                    .drain()
                    .map(|(key, tensor)| (format!("{prefix}{}", bare(&key)), tensor))
                    .collect();
            });
            assert_eq!(bits(dir.path()), expected, "{name} {prefix}");
        }
    }
    // The table of T5 under its other name.
    let dir = altered("t5", |tensors| {
        let table = tensors.remove("shared.weight").unwrap();
        tensors.insert("encoder.embed_tokens.weight".to_owned(), table);
    });
    assert_eq!(bits(dir.path()), bits(&golden(&folder("t5"))));
}

#[test]
fn a_header_tells_what_is_missing_left_over_or_of_another_shape() {
    for name in DECODERS.into_iter().chain(OTHERS) {
        let report = |dir: &Path| {
            let checkpoint = Checkpoint::open(dir, "model").unwrap();
            TextConfig::read(&dir.join("config.json"), &checkpoint).unwrap().verify(&checkpoint).unwrap()
        };
        let whole = report(&golden(&folder(name)));
        assert!(whole.is_loadable() && whole.unused.is_empty(), "{name}: {whole:?}");
        // Two of the last names in order: inside the last layer or the final norm.
        let (mut gone, mut bent) = (String::new(), String::new());
        let dir = altered(name, |tensors| {
            let mut names: Vec<String> =
                tensors.keys().filter(|key| !key.contains("lm_head")).cloned().collect();
            names.sort();
            (gone, bent) = (names.pop().unwrap(), names.pop().unwrap());
            tensors.remove(&gone);
            tensors.insert(bent.clone(), Tensor::zeros((3, 5), DType::F32, &Device::Cpu).unwrap());
            tensors.insert("left.over".to_owned(), Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap());
        });
        let report = report(dir.path());
        assert_eq!(report.missing, [gone], "{name}");
        assert_eq!(report.unused, ["left.over"], "{name}");
        assert_eq!(report.wrong_shape.len(), 1, "{name}");
        assert_eq!((&report.wrong_shape[0].key, &report.wrong_shape[0].found), (&bent, &vec![3, 5]));
        let load = TextNetwork::open(dir.path(), DType::F32, &Device::Cpu, &Interrupt::never());
        assert!(matches!(load, Err(ModelError::MissingKeys { .. } | ModelError::Shape { .. })), "{name}");
    }
}

#[test]
fn a_folder_without_a_known_name_is_told_by_its_tensors() {
    for (name, told) in [("gemma", false), ("llama", false), ("gemma2", true), ("qwen3", true), ("t5", true)]
    {
        let dir = altered(name, |_| {});
        let path = dir.path().join("config.json");
        let mut config: serde_json::Map<String, Value> =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config.remove("model_type");
        config.remove("architectures");
        std::fs::write(&path, serde_json::to_vec(&config).unwrap()).unwrap();
        match TextNetwork::open(dir.path(), DType::F32, &Device::Cpu, &Interrupt::never()) {
            Ok(network) => assert!(told && kind(&network) == name),
            Err(ModelError::Config { reason, .. }) => {
                assert!(!told && reason.contains("model_type"), "{reason}")
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

fn parameters(expected: &Expected) -> u64 {
    expected.required.iter().map(|(_, shape)| shape.iter().product::<usize>() as u64).sum()
}

#[test]
fn published_sizes_have_the_published_number_of_parameters() {
    let decoder = |family: DecoderFamily| TextConfig::Decoder(family.config());
    // Llama has an output head of its own on top (131,072,000); the pooling layers of the BERTs are not counted.
    for (what, config, count) in [
        ("gemma-2b", decoder(DecoderFamily::Gemma), 2_506_172_416),
        ("gemma-2-2b", decoder(DecoderFamily::Gemma2), 2_614_341_888),
        ("Llama-2-7b", decoder(DecoderFamily::Llama), 6_738_415_616 - 131_072_000),
        ("Qwen3-4B", decoder(DecoderFamily::Qwen3), 4_022_468_096),
        ("T5-large encoder", TextConfig::T5(T5Config::large()), 341_231_104),
        ("bert-base-uncased", TextConfig::Bert(BertConfig::base()), 109_482_240 - 590_592),
        ("all-MiniLM-L6-v2", TextConfig::Bert(BertConfig::mini_lm()), 22_713_216 - 147_840),
    ] {
        let found = parameters(&config.expected().unwrap());
        println!("{what}: {found} parameters");
        assert_eq!(found, count, "{what}");
    }
    let tower = CaptionTower::expected(&BertConfig::base(), CaptionTower::WIDTH).unwrap();
    assert_eq!(parameters(&tower), 109_482_240 - 590_592 + 768 * 1024 + 1024 * 1024 + 2 * 1024);
}

#[test]
fn wrong_batches_are_refused() {
    let never = Interrupt::never();
    for name in DECODERS.into_iter().chain(OTHERS) {
        let network = open(&golden(&folder(name)));
        let batches = [
            TokenBatch::default(),
            TokenBatch { ids: vec![vec![]], mask: vec![vec![]] },
            TokenBatch { ids: vec![vec![1, 2], vec![1]], mask: vec![vec![1, 1], vec![1]] },
            TokenBatch { ids: vec![vec![1, 2]], mask: vec![vec![1]] },
            TokenBatch { ids: vec![vec![1, 160]], mask: vec![vec![1, 1]] },
        ];
        for batch in batches {
            let error = network.hidden_states(&batch, &never).unwrap_err();
            assert!(matches!(error, ModelError::Input { .. }), "{name}: {error}");
        }
        let batch = TokenBatch { ids: vec![vec![1, 2]], mask: vec![vec![1, 1]] };
        let stop = network.hidden_states(&batch, &Interrupt::new(|| true));
        assert!(matches!(stop, Err(ModelError::Interrupted)), "{name}");
    }
    // The table of positions of CLAP has 66 rows, and the first two are for padding.
    let clap = open(&golden(&folder("clap_text")));
    let long = |tokens: usize| TokenBatch { ids: vec![vec![5; tokens]], mask: vec![vec![1; tokens]] };
    assert!(clap.hidden_states(&long(64), &never).is_ok());
    assert!(matches!(clap.hidden_states(&long(65), &never), Err(ModelError::Input { .. })));
}

#[test]
fn a_row_of_nothing_but_padding_has_finite_states() {
    let batch = TokenBatch { ids: vec![vec![3; 9], vec![0; 9]], mask: vec![vec![1; 9], vec![0; 9]] };
    for name in DECODERS.into_iter().chain(OTHERS) {
        let states = open(&golden(&folder(name))).hidden_states(&batch, &Interrupt::never()).unwrap();
        assert!(states.iter().flat_map(values).all(f32::is_finite), "{name}");
    }
}

#[test]
fn a_lumina_next_folder_takes_no_other_decoder() {
    let dir = altered("llama", |_| {});
    // An empty folder but for its text encoder.
    let encoder = dir.path().join("text_encoder");
    std::fs::create_dir(&encoder).unwrap();
    std::fs::rename(dir.path().join("config.json"), encoder.join("config.json")).unwrap();
    let errors = PipelineFolder::verify(dir.path()).errors;
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert!(
        texts.iter().any(|text| text.ends_with("`model_type` is `llama`, expected `gemma`")),
        "{texts:?}"
    );
}
