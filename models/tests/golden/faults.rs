//! What is refused, and how it is reported.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use lumina_models::backbone::{Backbone, Dialect, ForwardOptions};
use lumina_models::text::TextFeatures;
use lumina_models::vae::TileOptions;
use lumina_models::weights::Checkpoint;
use lumina_models::{Interrupt, ModelError, PipelineFolder};
use proptest::prelude::*;

use crate::common::{golden, values};

const FOLDER: &str = "lumina_next_pipeline";

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from));
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn a_good_folder_has_nothing_to_report() {
    let report = PipelineFolder::verify(&golden(FOLDER));
    assert!(report.errors.is_empty() && report.warnings.is_empty(), "{report:?}");
    let files = PipelineFolder::open(&golden(FOLDER)).unwrap().files();
    assert!(files.iter().all(|file| file.is_file()));
    assert_eq!(files.len(), 14);
}

#[test]
fn all_mistakes_of_a_folder_are_reported_at_once() {
    let dir = tempfile::tempdir().unwrap();
    copy(&golden(FOLDER), dir.path());
    let shard = dir.path().join("transformer/diffusion_pytorch_model-00002-of-00002.safetensors");
    std::fs::remove_file(shard).unwrap();
    std::fs::remove_file(dir.path().join("tokenizer/tokenizer.json")).unwrap();
    edit(&dir.path().join("vae/config.json"), "\"latent_channels\": 4", "\"latent_channels\": 8");
    edit(&dir.path().join("model_index.json"), "LuminaPipeline", "OtherPipeline");
    let encoder = dir.path().join("text_encoder/model-00003-of-00004.safetensors");
    let bytes = std::fs::read(&encoder).unwrap();
    std::fs::write(&encoder, &bytes[..bytes.len() - 1]).unwrap();
    let report = PipelineFolder::verify(dir.path());
    let texts: Vec<String> = report.errors.iter().map(ToString::to_string).collect();
    for part in ["00002-of-00002", "tokenizer.json", "encoder.conv_out.weight", "OtherPipeline", "cut off"] {
        assert!(texts.iter().any(|text| text.contains(part)), "{part} is not in {texts:#?}");
    }
    assert!(!report.is_loadable());
}

#[test]
fn the_published_class_name_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    copy(&golden(FOLDER), dir.path());
    edit(&dir.path().join("model_index.json"), "LuminaPipeline", "LuminaText2ImgPipeline");
    assert!(PipelineFolder::verify(dir.path()).is_loadable());
}

#[test]
fn the_first_upload_of_lumina_next_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.safetensors");
    let zeros = |rows: usize| Tensor::zeros((rows, 8), DType::F32, &Device::Cpu).unwrap();
    let tensors = HashMap::from([
        ("x_embedder.weight", zeros(8)),
        ("layers.0.attention.wq.weight", zeros(8)),
        ("layers.0.adaLN_modulation.1.weight", zeros(48)),
    ]);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let error = Dialect::detect(&Checkpoint::open_file(&path).unwrap()).unwrap_err().to_string();
    assert!(error.contains("first upload"), "{error}");
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let folder = PipelineFolder::open(&golden(FOLDER)).unwrap();
    let network = folder.load_backbone(&Device::Cpu, DType::F32, &Interrupt::never()).unwrap();
    let ones = |shape: &[usize]| Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
    let features = |shape: &[usize]| TextFeatures::new(ones(shape), &ones(&shape[..2])).unwrap();
    let refused = |result: lumina_models::Result<()>| {
        assert!(matches!(result, Err(ModelError::Input { .. })), "{result:?}");
    };
    refused(network.prepare(&features(&[1, 3, 47])).map(drop));
    let masked = ones(&[2, 3]).affine(0.0, 0.0).unwrap();
    refused(network.prepare(&TextFeatures::new(ones(&[2, 3, 48]), &masked).unwrap()).map(drop));
    let caption = network.prepare(&features(&[1, 3, 48])).unwrap();
    let options = ForwardOptions::default();
    let run = |shape: &[usize], times: &[f64], options: &ForwardOptions| {
        network.forward(&ones(shape), times, &caption, options).map(drop)
    };
    refused(run(&[1, 4, 5, 4], &[0.0], &options));
    refused(run(&[1, 3, 4, 4], &[0.0], &options));
    refused(run(&[2, 4, 4, 4], &[0.0], &options));
    refused(run(&[1, 4, 4, 4], &[0.0, 0.0], &options));
    refused(run(&[1, 4, 4, 4], &[0.0], &ForwardOptions { base_sequence_length: Some(1), ..options.clone() }));
    let stop = ForwardOptions { interrupt: Interrupt::new(|| true), ..options.clone() };
    assert!(matches!(run(&[1, 4, 4, 4], &[0.0], &stop), Err(ModelError::Interrupted)));
    run(&[1, 4, 4, 4], &[0.0], &options).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_latent_of_one_tile_decodes_as_a_whole(height in 1_usize..6, width in 1_usize..6) {
        let folder = PipelineFolder::open(&golden(FOLDER)).unwrap();
        let never = Interrupt::never();
        let autoencoder = folder.load_autoencoder(&Device::Cpu, DType::F32, &never).unwrap();
        let count = 4 * height * width;
        let wave: Vec<f32> = (0..count).map(|k| (k as f32 * 0.3).sin()).collect();
        let latent = Tensor::from_vec(wave, (1, 4, height, width), &Device::Cpu).unwrap();
        let whole = autoencoder.decode(&latent, &never).unwrap();
        let tiles = TileOptions { size: 6, overlap: 2 };
        let tiled = autoencoder.decode_tiled(&latent, &tiles, &never).unwrap();
        prop_assert_eq!(values(&whole), values(&tiled));
        let cut = autoencoder.decode_tiled(&latent, &TileOptions { size: 4, overlap: 2 }, &never).unwrap();
        prop_assert_eq!(whole.dims(), cut.dims());
        prop_assert!(values(&cut).into_iter().all(f32::is_finite));
    }
}
