//! Text encoders from GGUF files.

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Value;
use candle_core::{DType, Tensor};
use lumina_models::Interrupt;
use lumina_models::backbone::{ForwardOptions, NextDit, NextDitConfig};
use lumina_models::nn::Linear;
use lumina_models::text::{TextConfig, TextNetwork, TokenBatch};
use lumina_models::weights::{Checkpoint, KeyMap, Matrix, Weights};

use crate::common::{Golden, caption, check_masked, check_values, golden, largest, load, values, weights};
use crate::gguf_files::{CPU, Draft, ENCODERS};
use crate::text_encoders::{folder, kind, open};

const BACKBONE: &str = "next_dit_t2i";

fn state(network: &TextNetwork, batch: &TokenBatch) -> Tensor {
    network.last_hidden_state(batch, &Interrupt::never()).unwrap()
}

fn batch() -> TokenBatch {
    TokenBatch { ids: vec![vec![2, 9, 33, 7, 5, 101, 18, 64]], mask: vec![vec![1; 8]] }
}

#[test]
fn hidden_states_from_f32_files_are_those_of_transformers() {
    for name in ENCODERS {
        let file = Draft::of(name).write(GgmlDType::F32);
        let network = open(&file.path());
        assert_eq!(kind(&network), name);
        let golden = Golden::open(&folder(name), "cases.json");
        for case in golden.with_method("hidden_states") {
            let batch =
                TokenBatch { ids: golden.rows(case, "input_ids"), mask: golden.rows(case, "attention_mask") };
            let states = network.hidden_states(&batch, &Interrupt::never()).unwrap();
            for (index, state) in states.iter().enumerate() {
                let output = format!("hidden_states.{index}");
                let what = format!("{name} {} {output}", case.name);
                let expected = golden.get(case, &output);
                check_masked(&what, state, expected, &batch.mask, case.tolerance(&output));
            }
        }
    }
}

#[test]
fn f32_files_give_the_numbers_of_safetensors() {
    for name in ENCODERS {
        let expected = state(&open(&golden(&folder(name))), &batch());
        let found = state(&open(&Draft::of(name).write(GgmlDType::F32).path()), &batch());
        // Llama's rows are added up in another order; the scale of Gemma 2 is stored in f32.
        let tolerance = if matches!(name, "llama" | "gemma2") { 1e-6 * largest(&expected) } else { 0.0 };
        check_values(&format!("{name} in f32"), &values(&found), &values(&expected), tolerance);
    }
}

#[test]
fn quantised_files_give_nearly_the_same() {
    // The largest error of any number in parts of the largest number, a quarter above what was measured. The weights are
    // random and the layers few: products are off by half a percent, and each layer makes more of it.
    for (name, format, most) in [
        ("gemma", GgmlDType::Q8_0, 0.042),
        ("gemma2", GgmlDType::Q8_0, 0.062),
        ("llama", GgmlDType::Q8_0, 0.033),
        ("qwen3", GgmlDType::Q8_0, 0.023),
        ("t5", GgmlDType::Q8_0, 0.023),
        ("gemma2", GgmlDType::F16, 0.0012),
        ("qwen3", GgmlDType::F16, 0.0012),
    ] {
        let expected = state(&open(&golden(&folder(name))), &batch());
        let found = state(&open(&Draft::of(name).write(format).path()), &batch());
        let error = largest(&(&found - &expected).unwrap()) / largest(&expected);
        println!("{name} in {format:?}: largest error {error:.2e} of the largest number, bound {most:.2e}");
        assert!(error > 0.0 && error < most, "{name} in {format:?}: {error:.3e}");
    }
}

#[test]
fn half_precision_networks_take_quantised_weights() {
    for name in ENCODERS {
        let file = Draft::of(name).write(GgmlDType::Q8_0);
        let expected = state(&open(&file.path()), &batch());
        for dtype in [DType::BF16, DType::F16] {
            let network = TextNetwork::open(&file.path(), dtype, &CPU, &Interrupt::never()).unwrap();
            let found = state(&network, &batch());
            assert!(found.dtype() == dtype || name == "t5", "{name}: {:?}", found.dtype());
            let found = found.to_dtype(DType::F32).unwrap();
            let error = largest(&(&found - &expected).unwrap()) / largest(&expected);
            println!("{name} in {dtype:?}: largest difference {error:.2e} of the largest number");
            assert!(error < 0.08, "{name} in {dtype:?}: {error:.3e}");
        }
    }
}

/// A linear layer of 256 inputs and 48 outputs, from a file in `format`.
fn linear(format: GgmlDType, dtype: DType) -> (Linear, Weights) {
    let values = (0..48 * 256).map(|k| (k as f32 * 0.37).sin() * (1.0 + (k % 7) as f32)).collect();
    let mut draft = Draft::empty();
    draft.tensors.insert("weight".to_owned(), Tensor::from_vec::<_, f32>(values, (48, 256), &CPU).unwrap());
    let file = draft.write(format);
    let checkpoint = Checkpoint::open_file(&file.path()).unwrap();
    let never = Interrupt::never();
    let weights = Weights::open(&checkpoint, KeyMap::identity(), dtype, &CPU, &never).unwrap();
    (Linear::load_without_bias(&weights, 256, 48).unwrap(), weights)
}

#[test]
fn a_linear_layer_keeps_the_blocks_of_the_file() {
    for (format, bytes) in [
        (GgmlDType::Q4_0, 18 * 8),
        (GgmlDType::Q4_1, 20 * 8),
        (GgmlDType::Q5_0, 22 * 8),
        (GgmlDType::Q5_1, 24 * 8),
        (GgmlDType::Q8_0, 34 * 8),
        (GgmlDType::Q2K, 84),
        (GgmlDType::Q3K, 110),
        (GgmlDType::Q4K, 144),
        (GgmlDType::Q5K, 176),
        (GgmlDType::Q6K, 210),
    ] {
        let (linear, weights) = linear(format, DType::F32);
        assert!(linear.is_quantized(), "{format:?}");
        assert_eq!(linear.byte_size(), 48 * bytes, "{format:?}");
        assert!(weights.unused().is_empty());
        let input = Tensor::from_vec((0..3 * 256).map(|k| (k as f32 * 0.11).cos()).collect(), (3, 256), &CPU);
        let input: Tensor = input.unwrap();
        let found = linear.forward(&input).unwrap();
        let expected = input.matmul(&linear.weight().unwrap().t().unwrap()).unwrap();
        let error = largest(&(&found - &expected).unwrap()) / largest(&expected);
        println!("product in {format:?}: largest difference {error:.2e} of the largest number");
        assert!(error < 0.02, "{format:?}: {error:.3e}");
    }
    let (plain, _) = linear(GgmlDType::F16, DType::F32);
    assert!(!plain.is_quantized());
    assert_eq!(plain.byte_size(), 48 * 256 * 4);
    let (half, _) = linear(GgmlDType::Q8_0, DType::BF16);
    assert_eq!((half.dtype(), half.weight().unwrap().dtype()), (DType::BF16, DType::BF16));
}

#[test]
fn numbers_of_every_format_are_those_of_llama_cpp() {
    let dir = golden("gguf");
    let checkpoint = Checkpoint::open_file(&dir.join("formats.gguf")).unwrap();
    let metadata = checkpoint.gguf_metadata().unwrap();
    assert_eq!((metadata.architecture(), metadata.text("formats.text")), (Some("formats"), Some("naïve")));
    assert_eq!(metadata.whole("general.alignment"), Some(64));
    let weights = weights(&checkpoint, KeyMap::identity());
    let expected = load(&dir.join("formats.safetensors"));
    assert_eq!(expected.len(), 13);
    for (name, expected) in &expected {
        assert_eq!(checkpoint.get(name).unwrap().format.to_string(), *name);
        let found = weights.tensor(name, &[2, 256]).unwrap();
        check_values(name, &values(&found), &values(expected), 0.0);
        // Row by row as a table of tokens is read.
        if let Matrix::Quantized(table) = weights.matrix_as_stored(name, &[2, 256]).unwrap() {
            let row = table.embedding(&Tensor::new(&[1_u32], &CPU).unwrap()).unwrap();
            check_values(name, &values(&row), &values(&expected.narrow(0, 1, 1).unwrap()), 0.0);
        }
    }
    assert_eq!(weights.unused(), Vec::<String>::new());
}

#[test]
fn a_file_of_llama_cpp_is_read() {
    let path = golden("gguf").join("llama.gguf");
    let network = open(&path);
    assert_eq!(kind(&network), "llama");
    let TextNetwork::Decoder(decoder) = &network else { panic!("{network:?}") };
    let golden = Golden::open(&folder("llama"), "cases.json");
    for case in golden.with_method("hidden_states") {
        let batch =
            TokenBatch { ids: golden.rows(case, "input_ids"), mask: golden.rows(case, "attention_mask") };
        let found = decoder.forward(&batch, Some(1), &Interrupt::never()).unwrap();
        let expected = golden.get(case, "hidden_states.1");
        // Measured: up to 0.0006, from weights in half precision.
        check_masked(&case.name, &found, expected, &batch.mask, 0.0008 * largest(expected));
    }
    let checkpoint = Checkpoint::open_file(&path).unwrap();
    let config = TextConfig::read(&path.with_file_name("config.json"), &checkpoint).unwrap();
    let report = config.verify(&checkpoint).unwrap();
    assert!(report.is_loadable() && report.unused.is_empty(), "{report:?}");
}

/// One velocity of the golden Next-DiT, from `checkpoint`.
fn velocity(checkpoint: &Checkpoint) -> Tensor {
    let config = NextDitConfig::from_checkpoint(checkpoint).unwrap();
    let network = NextDit::load(checkpoint, &config, DType::F32, &CPU, &Interrupt::never()).unwrap();
    let golden = Golden::open(BACKBONE, "config.json");
    let case = golden.with_method("forward")[0];
    let prepared =
        network.prepare(&caption(golden.get(case, "cap_feats"), golden.get(case, "cap_mask"))).unwrap();
    let (x, times) = (golden.get(case, "x"), golden.times(case, "t"));
    network.velocity(x, &times, &prepared, &ForwardOptions::default()).unwrap()
}

#[test]
fn a_backbone_under_its_original_names_is_read_from_a_gguf_file() {
    let mut draft = Draft::empty();
    // One name for two networks, as the tools have it: nothing may depend on it.
    draft.values.insert("general.architecture".to_owned(), Value::String("lumina2".to_owned()));
    draft.tensors = load(&golden(BACKBONE).join("weights.safetensors"));
    let expected = velocity(&Checkpoint::open(&golden(BACKBONE), "weights").unwrap());
    let exact = draft.write(GgmlDType::F32);
    let exact = Checkpoint::open_file(&exact.path()).unwrap();
    check_values("Next-DiT in f32", &values(&velocity(&exact)), &values(&expected), 0.0);
    let rounded = draft.write(GgmlDType::Q8_0);
    let rounded = Checkpoint::open_file(&rounded.path()).unwrap();
    let quantised = rounded.tensors().values().filter(|tensor| tensor.format.to_string() == "Q8_0").count();
    let error = largest(&(velocity(&rounded) - &expected).unwrap()) / largest(&expected);
    println!("Next-DiT with {quantised} matrices in Q8_0: largest error {error:.2e} of the largest number");
    assert_eq!(quantised, 20);
    // A quarter above what was measured: random weights, as in the text encoders.
    assert!(error > 0.0 && error < 0.07, "{error:.3e}");
    let bytes = |checkpoint: &Checkpoint| checkpoint.loaded_bytes(DType::F32, &CPU);
    assert!(bytes(&rounded) * 2 < bytes(&exact), "{} {}", bytes(&rounded), bytes(&exact));
}
