//! Encoder and decoder of two autoencoders.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{stable_diffusion, z_image};
use lumina_models::Interrupt;
use lumina_models::vae::{AutoencoderConfig, AutoencoderKl, AutoencoderStage};
use lumina_models::weights::{Checkpoint, verify};

use crate::common::{Golden, check, golden, largest, load, values, weights};

const SDXL: &str = "autoencoder_kl/sdxl_like";
const FLUX: &str = "autoencoder_kl/flux_like";
const STEM: &str = "diffusion_pytorch_model";

fn config(name: &str) -> AutoencoderConfig {
    AutoencoderConfig::read(&golden(name).join("config.json")).unwrap()
}

fn autoencoder(folder: &Path, config: &AutoencoderConfig) -> AutoencoderKl {
    let checkpoint = Checkpoint::open(folder, STEM).unwrap();
    let weights = weights(&checkpoint, AutoencoderKl::key_map(&checkpoint));
    let autoencoder = AutoencoderKl::load(&weights, config).unwrap();
    assert_eq!(weights.unused(), Vec::<String>::new());
    autoencoder
}

fn compare(name: &str) {
    let autoencoder = autoencoder(&golden(name), &config(name));
    let golden = Golden::open(name, "cases.json");
    let interrupt = Interrupt::never();
    for case in &golden.cases {
        let compare = |output: &str, found: &Tensor| {
            let what = format!("{name} {} {output}", case.name);
            check(&what, found, golden.get(case, output), case.tolerance(output));
        };
        let mut observe = |stage: AutoencoderStage, state: &Tensor| {
            let inner = match stage {
                AutoencoderStage::EncoderMiddle | AutoencoderStage::DecoderMiddle => "dbg.mid_block",
                AutoencoderStage::DecoderLevel(0) => "dbg.up_block_0",
                AutoencoderStage::DecoderLevel(_) => return Ok(()),
            };
            let expected = golden.get(case, inner);
            check(&format!("{name} {} {inner}", case.name), state, expected, 5e-5 * largest(expected));
            Ok(())
        };
        match case.method.as_str() {
            "encode" => {
                let image = golden.get(case, "image");
                let moments = autoencoder.encode_observed(image, &interrupt, &mut observe).unwrap();
                compare("mean", &moments.mean);
                compare("logvar", &moments.logvar);
                compare("sample", &moments.sample(golden.get(case, "eps")).unwrap());
            }
            "decode" => {
                let latent = golden.get(case, "latent");
                let image = autoencoder.decode_observed(latent, &interrupt, &mut observe).unwrap();
                compare("image", &image);
            }
            other => panic!("unknown method {other}"),
        }
    }
}

#[test]
fn the_structure_of_sdxl() {
    compare(SDXL);
}

#[test]
fn the_structure_of_flux() {
    compare(FLUX);
}

/// Compares with the decoder of another implementation that is given the same weights.
fn compare_with(name: &str, decode: impl Fn(&Tensor) -> candle_core::Result<Tensor>) {
    let autoencoder = autoencoder(&golden(name), &config(name));
    let golden = Golden::open(name, "cases.json");
    for case in golden.with_method("decode") {
        let latent = golden.get(case, "latent");
        let image = autoencoder.decode(latent, &Interrupt::never()).unwrap();
        // One latent at a time: the attention of `stable_diffusion` gives its linear layers a transposed batch, for
        // which candle 0.11 multiplies wrong numbers when it holds more than one latent.
        let theirs = (0..latent.dims()[0]).map(|row| decode(&latent.narrow(0, row, 1).unwrap()).unwrap());
        let theirs = Tensor::cat(&theirs.collect::<Vec<_>>(), 0).unwrap();
        check(&format!("{name} {} by candle-transformers", case.name), &image, &theirs, 5e-5);
    }
}

fn var_builder(name: &str) -> VarBuilder<'static> {
    let tensors = load(&golden(name).join(format!("{STEM}.safetensors")));
    VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)
}

#[test]
fn candle_transformers_decodes_the_same_with_the_structure_of_flux() {
    let config = config(FLUX);
    let theirs = z_image::vae::VaeConfig {
        in_channels: config.in_channels,
        out_channels: config.out_channels,
        latent_channels: config.latent_channels,
        block_out_channels: config.block_out_channels.clone(),
        layers_per_block: config.layers_per_block,
        // They are part of their decode, not of ours.
        scaling_factor: 1.0,
        shift_factor: 0.0,
        norm_num_groups: config.norm_num_groups,
    };
    let theirs = z_image::vae::AutoEncoderKL::new(&theirs, var_builder(FLUX)).unwrap();
    compare_with(FLUX, |latent| theirs.decode(latent));
}

#[test]
fn candle_transformers_decodes_the_same_with_the_structure_of_sdxl() {
    let config = config(SDXL);
    let theirs = stable_diffusion::vae::AutoEncoderKLConfig {
        block_out_channels: config.block_out_channels.clone(),
        layers_per_block: config.layers_per_block,
        latent_channels: config.latent_channels,
        norm_num_groups: config.norm_num_groups,
        use_quant_conv: config.use_quant_conv,
        use_post_quant_conv: config.use_post_quant_conv,
    };
    let (inputs, outputs) = (config.in_channels, config.out_channels);
    let theirs =
        stable_diffusion::vae::AutoEncoderKL::new(var_builder(SDXL), inputs, outputs, theirs).unwrap();
    compare_with(SDXL, |latent| theirs.decode(latent));
}

/// Files from before diffusers 0.15: attention under other names, its linear layers as 1 x 1 convolutions.
#[test]
fn old_names_and_shapes_give_the_same_bits() {
    const NAMES: [(&str, &str); 4] =
        [(".to_q.", ".query."), (".to_k.", ".key."), (".to_v.", ".value."), (".to_out.0.", ".proj_attn.")];
    let (config, golden_cases) = (config(SDXL), Golden::open(SDXL, "cases.json"));
    let dir = tempfile::tempdir().unwrap();
    let mut renamed = 0;
    let mut old = HashMap::new();
    for (key, tensor) in load(&golden(SDXL).join(format!("{STEM}.safetensors"))) {
        let Some((new_name, old_name)) = NAMES.iter().find(|(new_name, _)| key.contains(new_name)) else {
            old.insert(key, tensor);
            continue;
        };
        renamed += 1;
        let as_convolution = match tensor.dims() {
            [outputs, inputs] => tensor.reshape((*outputs, *inputs, 1, 1)).unwrap(),
            _ => tensor,
        };
        old.insert(key.replace(new_name, old_name), as_convolution);
    }
    assert_eq!(renamed, 16);
    candle_core::safetensors::save(&old, dir.path().join(format!("{STEM}.safetensors"))).unwrap();

    let checkpoint = Checkpoint::open(dir.path(), STEM).unwrap();
    let expected = AutoencoderKl::expected(&config).unwrap();
    let report = verify(&checkpoint, &AutoencoderKl::key_map(&checkpoint), &expected, &|_| false);
    assert!(report.is_loadable() && report.unused.is_empty(), "{report:?}");

    let (old, new) = (autoencoder(dir.path(), &config), autoencoder(&golden(SDXL), &config));
    let never = Interrupt::never();
    let bits = |tensor: &Tensor| values(tensor).into_iter().map(f32::to_bits).collect::<Vec<_>>();
    for case in golden_cases.with_method("decode") {
        let latent = golden_cases.get(case, "latent");
        let [old, new] = [&old, &new].map(|autoencoder| bits(&autoencoder.decode(latent, &never).unwrap()));
        assert_eq!(old, new, "{}", case.name);
    }
    for case in golden_cases.with_method("encode") {
        let image = golden_cases.get(case, "image");
        let [old, new] =
            [&old, &new].map(|autoencoder| bits(&autoencoder.encode(image, &never).unwrap().mean));
        assert_eq!(old, new, "{}", case.name);
    }
}
