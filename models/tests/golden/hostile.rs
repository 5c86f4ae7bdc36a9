//! Damaged and hostile files: an error, never a panic, an endless loop or memory without bounds.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use lumina_models::backbone::{Dialect, NextDit, NextDitConfig};
use lumina_models::flow::{FlowMatchConfig, flow_match_euler, uniform};
use lumina_models::noise::Generator;
use lumina_models::text::{Decoder, DecoderConfig, Padding, Tokenizer};
use lumina_models::vae::{AutoencoderConfig, AutoencoderKl, TileOptions};
use lumina_models::weights::{Checkpoint, Expected, Header, KeyMap, verify};
use lumina_models::{Interrupt, ModelError, PipelineFolder};
use proptest::prelude::*;
use serde_json::Value;

use crate::common::{golden, weights};

const FOLDER: &str = "lumina_next_pipeline";

/// No size of anything.
const SIZES: [&str; 9] =
    ["0", "-1", "1000000000", "1e9", "18446744073709551615", "18446744073709551616", "1.5", "\"4\"", "[4]"];
/// No number that JSON or a network knows.
const NUMBERS: [&str; 6] = ["-1", "1e300", "1e999", "NaN", "Infinity", "\"1\""];

/// The four configs of a model folder.
#[derive(Clone, Copy, Debug)]
enum Part {
    Scheduler,
    TextEncoder,
    Backbone,
    Autoencoder,
}

const PARTS: [Part; 4] = [Part::Scheduler, Part::TextEncoder, Part::Backbone, Part::Autoencoder];

impl Part {
    fn file(self) -> &'static str {
        match self {
            Self::Scheduler => "scheduler/scheduler_config.json",
            Self::TextEncoder => "text_encoder/config.json",
            Self::Backbone => "transformer/config.json",
            Self::Autoencoder => "vae/config.json",
        }
    }

    fn sizes(self) -> &'static [&'static str] {
        match self {
            Self::Scheduler => &["num_train_timesteps"],
            Self::TextEncoder => &[
                "vocab_size",
                "hidden_size",
                "intermediate_size",
                "num_hidden_layers",
                "num_attention_heads",
                "num_key_value_heads",
                "head_dim",
            ],
            Self::Backbone => &[
                "sample_size",
                "patch_size",
                "in_channels",
                "hidden_size",
                "num_layers",
                "num_attention_heads",
                "num_kv_heads",
                "multiple_of",
                "cross_attention_dim",
            ],
            Self::Autoencoder => {
                &["in_channels", "out_channels", "latent_channels", "layers_per_block", "norm_num_groups"]
            }
        }
    }

    fn numbers(self) -> &'static [&'static str] {
        match self {
            Self::Scheduler => &["shift"],
            Self::TextEncoder => &["rms_norm_eps", "rope_theta"],
            Self::Backbone => &["norm_eps", "ffn_dim_multiplier", "scaling_factor"],
            Self::Autoencoder => &[],
        }
    }

    /// The config of the folder with some values replaced by others, which need not be JSON.
    fn with(self, changes: &[(&str, &str)]) -> Vec<u8> {
        let text = std::fs::read(golden(FOLDER).join(self.file())).unwrap();
        let stored: serde_json::Map<String, Value> = serde_json::from_slice(&text).unwrap();
        let replaced = |key: &str| changes.iter().any(|(field, _)| *field == key);
        let kept = stored.iter().filter(|(key, _)| !replaced(key));
        let fields = kept.map(|(key, value)| format!("\"{key}\":{value}"));
        let changed = changes.iter().map(|(key, value)| format!("\"{key}\":{value}"));
        format!("{{{}}}", fields.chain(changed).collect::<Vec<_>>().join(",")).into_bytes()
    }

    /// Everything that happens to a config before weights are read. True when the folder would load.
    fn is_accepted(self, text: &[u8]) -> bool {
        match self {
            Self::Scheduler => FlowMatchConfig::parse(text).is_ok_and(|config| {
                flow_match_euler(4, &config, None).unwrap().times.iter().all(|t| t.is_finite())
            }),
            Self::TextEncoder => {
                let checkpoint = self.checkpoint("text_encoder", "model");
                let Ok(config) = DecoderConfig::parse(text) else { return false };
                let keys = Decoder::key_map(&checkpoint);
                let fits = fits(&checkpoint, &keys, &Decoder::expected(&config).unwrap());
                assert_eq!(Decoder::load(&weights(&checkpoint, keys), &config).is_ok(), fits);
                fits
            }
            Self::Backbone => {
                let checkpoint = self.checkpoint("transformer", "diffusion_pytorch_model");
                let Ok(config) = NextDitConfig::parse(text) else { return false };
                let keys = Dialect::detect(&checkpoint).unwrap().key_map();
                let fits = fits(&checkpoint, &keys, &NextDit::expected(&config).unwrap());
                assert_eq!(NextDit::from_weights(&weights(&checkpoint, keys), &config).is_ok(), fits);
                fits
            }
            Self::Autoencoder => {
                let checkpoint = self.checkpoint("vae", "diffusion_pytorch_model");
                let Ok(config) = AutoencoderConfig::parse(text) else { return false };
                let keys = AutoencoderKl::key_map(&checkpoint);
                let fits = fits(&checkpoint, &keys, &AutoencoderKl::expected(&config).unwrap());
                assert_eq!(AutoencoderKl::load(&weights(&checkpoint, keys), &config).is_ok(), fits);
                fits
            }
        }
    }

    fn checkpoint(self, dir: &str, stem: &str) -> Checkpoint {
        Checkpoint::open(&golden(FOLDER).join(dir), stem).unwrap()
    }
}

fn fits(checkpoint: &Checkpoint, keys: &KeyMap, expected: &Expected) -> bool {
    verify(checkpoint, keys, expected, &|_| true).is_loadable()
}

#[test]
fn every_size_of_every_config_is_checked() {
    for part in PARTS {
        assert!(part.is_accepted(&part.with(&[])), "{part:?}");
        let sizes = part.sizes().iter().flat_map(|field| SIZES.map(|value| (*field, value)));
        let numbers = part.numbers().iter().flat_map(|field| NUMBERS.map(|value| (*field, value)));
        for change in sizes.chain(numbers) {
            // Nothing else in the scheduler depends on it.
            if matches!((part, change), (Part::Scheduler, (_, "1000000000" | "18446744073709551615"))) {
                continue;
            }
            assert!(!part.is_accepted(&part.with(&[change])), "{part:?} {change:?}");
        }
    }
}

#[test]
fn values_that_do_not_fit_each_other_are_refused() {
    let many = format!("[{}]", vec!["8"; 17].join(","));
    let cases: [(Part, &[(&str, &str)]); 22] = [
        (Part::Scheduler, &[("shift", "0")]),
        (Part::Scheduler, &[("shift", "1e-300")]),
        (Part::TextEncoder, &[("head_dim", "15")]),
        (Part::TextEncoder, &[("num_attention_heads", "4"), ("num_key_value_heads", "3")]),
        (Part::TextEncoder, &[("num_hidden_layers", "1025")]),
        (Part::TextEncoder, &[("rope_theta", "0")]),
        (Part::Backbone, &[("hidden_size", "72")]),
        (Part::Backbone, &[("hidden_size", "66")]),
        (Part::Backbone, &[("num_kv_heads", "3")]),
        (Part::Backbone, &[("num_layers", "1024")]),
        (Part::Backbone, &[("ffn_dim_multiplier", "0")]),
        (Part::Backbone, &[("scaling_factor", "0")]),
        (Part::Autoencoder, &[("block_out_channels", "[]")]),
        (Part::Autoencoder, &[("block_out_channels", "[0]")]),
        (Part::Autoencoder, &[("block_out_channels", "[-8]")]),
        (Part::Autoencoder, &[("block_out_channels", "[18446744073709551612]")]),
        (Part::Autoencoder, &[("block_out_channels", "8")]),
        (Part::Autoencoder, &[("block_out_channels", &many)]),
        (Part::Autoencoder, &[("norm_num_groups", "3")]),
        (Part::Autoencoder, &[("scaling_factor", "0")]),
        (Part::Autoencoder, &[("scaling_factor", "1e-300")]),
        (Part::Autoencoder, &[("shift_factor", "1e300")]),
    ];
    for (part, changes) in cases {
        assert!(!part.is_accepted(&part.with(changes)), "{part:?} {changes:?}");
    }
    for value in NUMBERS.iter().filter(|value| **value != "-1") {
        for field in ["scaling_factor", "shift_factor"] {
            assert!(
                AutoencoderConfig::parse(&Part::Autoencoder.with(&[(field, value)])).is_err(),
                "{field} {value}"
            );
        }
    }
}

/// The largest sizes that pass on their own must also pass through the shapes that they lead to.
#[test]
fn the_largest_sizes_overflow_nothing() {
    let largest: [(Part, &[(&str, &str)]); 3] = [
        (
            Part::TextEncoder,
            &[
                ("vocab_size", "16777216"),
                ("hidden_size", "1048576"),
                ("intermediate_size", "16777216"),
                ("num_hidden_layers", "1024"),
                ("num_attention_heads", "4096"),
                ("num_key_value_heads", "4096"),
                ("head_dim", "65536"),
            ],
        ),
        (
            Part::Backbone,
            &[
                ("patch_size", "1024"),
                ("in_channels", "4096"),
                ("hidden_size", "1048576"),
                ("num_layers", "1024"),
                ("num_attention_heads", "4096"),
                ("num_kv_heads", "4096"),
                ("multiple_of", "1048576"),
                ("cross_attention_dim", "1048576"),
                ("sample_size", "1048576"),
            ],
        ),
        (
            Part::Autoencoder,
            &[
                ("in_channels", "1048576"),
                ("out_channels", "1048576"),
                ("latent_channels", "1048576"),
                ("layers_per_block", "64"),
                ("norm_num_groups", "1"),
                (
                    "block_out_channels",
                    "[1048576,1048576,1048576,1048576,1048576,1048576,1048576,1048576,\
                      1048576,1048576,1048576,1048576,1048576,1048576,1048576,1048576]",
                ),
            ],
        ),
    ];
    for (part, changes) in largest {
        let text = part.with(changes);
        let parses = match part {
            Part::TextEncoder => DecoderConfig::parse(&text).map(drop),
            Part::Backbone => NextDitConfig::parse(&text).map(drop),
            _ => AutoencoderConfig::parse(&text).map(drop),
        };
        assert_eq!(parses, Ok(()));
        assert!(!part.is_accepted(&text), "{part:?}");
    }
}

#[test]
fn text_that_is_no_config_is_refused() {
    let deep = [b"[".repeat(100_000), br#"{"a":"#.repeat(100_000)];
    let texts = deep.iter().map(Vec::as_slice).chain([
        &b""[..],
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{\"_class_name\": 7}",
    ]);
    for text in texts {
        for part in PARTS {
            assert!(!part.is_accepted(text), "{part:?}");
        }
        assert!(
            Header::parse(&[&(text.len() as u64).to_le_bytes(), text].concat(), 8 + text.len() as u64)
                .is_err()
        );
    }
}

#[test]
fn a_tokenizer_that_does_not_fit_is_refused() {
    let good = std::fs::read_to_string(golden(FOLDER).join("tokenizer/tokenizer.json")).unwrap();
    let config = std::fs::read_to_string(golden(FOLDER).join("tokenizer/tokenizer_config.json")).unwrap();
    let deep = "[".repeat(100_000);
    let other_pad = config.replace("<pad>", "<nothing>");
    assert_ne!(config, other_pad);
    for (name, tokenizer, config, part) in [
        ("empty", "", config.as_str(), ""),
        ("not JSON", "a model", &config, ""),
        ("deep", &deep, &config, ""),
        ("another JSON", "{}", &config, ""),
        ("a list", "[]", &config, ""),
        ("no padding token", &good, &other_pad, "<nothing>"),
        ("no side", &good, r#"{"padding_side": "top"}"#, "padding_side"),
        ("a wrong type", &good, r#"{"pad_token": 0}"#, ""),
        ("a config that is not JSON", &good, "{", ""),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tokenizer.json"), tokenizer).unwrap();
        std::fs::write(dir.path().join("tokenizer_config.json"), config).unwrap();
        let result = Tokenizer::open(dir.path());
        let Err(ModelError::Tokenizer { reason, .. }) = result else { panic!("{name}: {result:?}") };
        assert!(reason.contains(part), "{name}: {reason}");
    }
    let tokenizer = Tokenizer::open(&golden(FOLDER).join("tokenizer")).unwrap();
    for padding in [0, usize::MAX]
        .into_iter()
        .flat_map(|size| [Padding::Exactly(size), Padding::LongestMultipleOf(size)])
    {
        let result = tokenizer.encode_batch(&["a".to_owned()], padding);
        assert!(matches!(result, Err(ModelError::Input { .. })), "{padding:?}");
    }
}

#[test]
fn a_hostile_index_is_refused() {
    let deep = "[".repeat(100_000);
    for index in [
        "",
        "{}",
        &deep,
        r#"{"weight_map": 1}"#,
        r#"{"weight_map": {"a": 1}}"#,
        r#"{"weight_map": {"a": ""}}"#,
        r#"{"weight_map": {"a": ".."}}"#,
        r#"{"weight_map": {"a": "/dev/zero"}}"#,
        r#"{"weight_map": {"a": "b/c"}}"#,
        r#"{"weight_map": {"a": "m.safetensors.index.json"}}"#,
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("m.safetensors.index.json"), index).unwrap();
        assert!(Checkpoint::open(dir.path(), "m").is_err(), "{}", index.get(..40).unwrap_or(index));
    }
}

/// Tensors without numbers may have any dimensions that are multiplied to 0.
#[test]
fn tensors_without_numbers_overflow_nothing() {
    let entry = |name: &str, shape: &str| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}"#)
    };
    let huge = u64::MAX.to_string();
    let header = format!(
        "{{{},{},{},{}}}",
        entry("x_embedder.weight", &format!("[{huge},0]")),
        entry("layers.0.attention.wq.weight", &format!("[{huge},0]")),
        entry("layers.0.attention.gate", "[0]"),
        entry("layers.0.adaLN_modulation.1.weight", &format!("[0,{huge},{huge}]")),
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.safetensors");
    std::fs::write(&path, [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()).unwrap();
    let checkpoint = Checkpoint::open_file(&path).unwrap();
    assert_eq!(checkpoint.parameter_count(), 0);
    assert_eq!(Dialect::detect(&checkpoint).unwrap(), Dialect::Original);
    assert!(matches!(NextDitConfig::from_checkpoint(&checkpoint), Err(ModelError::Shape { .. })));
    let config = NextDitConfig::default();
    let result = NextDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &Interrupt::never());
    assert!(result.is_err());
}

#[test]
fn sizes_in_calls_are_checked() {
    let refused = |result: lumina_models::Result<()>| {
        assert!(matches!(result, Err(ModelError::Input { .. })), "{result:?}");
    };
    for shape in [&[usize::MAX, 2][..], &[1 << 40], &[1 << 32, 1 << 32]] {
        refused(Generator::Philox.normal(0, shape, &Device::Cpu).map(drop));
    }
    refused(uniform(usize::MAX).map(drop));
    refused(flow_match_euler(usize::MAX, &FlowMatchConfig::default(), None).map(drop));
    let folder = PipelineFolder::open(&golden(FOLDER)).unwrap();
    let never = Interrupt::never();
    let autoencoder = folder.load_autoencoder(&Device::Cpu, DType::F32, &never).unwrap();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    for shape in [&[0, 4, 4, 4][..], &[1, 4, 0, 4], &[1, 3, 4, 4], &[4, 4, 4]] {
        refused(autoencoder.decode(&zeros(shape), &never).map(drop));
    }
    for shape in [&[0, 3, 16, 16][..], &[1, 3, 16, 7], &[1, 4, 16, 16], &[3, 16, 16]] {
        refused(autoencoder.encode(&zeros(shape), &never).map(drop));
    }
    for tiles in [TileOptions { size: 0, overlap: 0 }, TileOptions { size: 4, overlap: usize::MAX }] {
        refused(autoencoder.decode_tiled(&zeros(&[1, 4, 8, 8]), &tiles, &never).map(drop));
    }
}

fn size() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..5, 0_u64..200, (0_u32..64).prop_map(|bit| 1 << bit), any::<u64>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sizes_give_an_answer(part in 0_usize..4, values in proptest::collection::vec((0_usize..12, size()), 1..5)) {
        let part = PARTS[part];
        let fields = part.sizes();
        let values: Vec<_> =
            values.into_iter().map(|(field, value)| (fields[field % fields.len()], value.to_string())).collect();
        // A name twice would be a mistake of its own.
        let last: HashMap<&str, &str> = values.iter().map(|(field, value)| (*field, value.as_str())).collect();
        part.is_accepted(&part.with(&last.into_iter().collect::<Vec<_>>()));
    }

    #[test]
    fn damaged_bytes_give_an_answer(part in 0_usize..4, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let part = PARTS[part];
        let mut text = std::fs::read(golden(FOLDER).join(part.file())).unwrap();
        let at = at.index(text.len());
        text[at] = byte;
        part.is_accepted(&text);
    }

    #[test]
    fn damaged_headers_give_an_answer(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let path = golden(FOLDER).join("vae/diffusion_pytorch_model.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        let length = bytes.len() as u64;
        let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        let at = at.index(header);
        bytes[at] = byte;
        let checked = Header::parse(&bytes, length).is_ok();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("diffusion_pytorch_model.safetensors"), &bytes).unwrap();
        prop_assert_eq!(load(dir.path()), checked);
    }
}

/// Whether the file opens; in that case its header tells whether it loads.
fn load(dir: &Path) -> bool {
    let config = AutoencoderConfig::read(&golden(FOLDER).join("vae/config.json")).unwrap();
    let Ok(checkpoint) = Checkpoint::open(dir, "diffusion_pytorch_model") else { return false };
    let keys = AutoencoderKl::key_map(&checkpoint);
    let fits = fits(&checkpoint, &keys, &AutoencoderKl::expected(&config).unwrap());
    assert_eq!(AutoencoderKl::load(&weights(&checkpoint, keys), &config).is_ok(), fits);
    true
}
