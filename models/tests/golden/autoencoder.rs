//! Encoder and decoder of two autoencoders.

use lumina_models::Interrupt;
use lumina_models::vae::{AutoencoderConfig, AutoencoderKl};
use lumina_models::weights::Checkpoint;

use crate::common::{Golden, check, golden, weights};

fn compare(name: &str) {
    let folder = golden(name);
    let config = AutoencoderConfig::read(&folder.join("config.json")).unwrap();
    let checkpoint = Checkpoint::open(&folder, "diffusion_pytorch_model").unwrap();
    let weights = weights(&checkpoint, AutoencoderKl::key_map(&checkpoint));
    let autoencoder = AutoencoderKl::load(&weights, &config).unwrap();
    assert_eq!(weights.unused(), Vec::<String>::new());
    let golden = Golden::open(name, "cases.json");
    let interrupt = Interrupt::never();
    for case in &golden.cases {
        let verify = |output: &str, found: &candle_core::Tensor| {
            let what = format!("{name} {} {output}", case.name);
            check(&what, found, golden.get(case, output), case.tolerance(output));
        };
        match case.method.as_str() {
            "encode" => {
                let moments = autoencoder.encode(golden.get(case, "image"), &interrupt).unwrap();
                verify("mean", &moments.mean);
                verify("logvar", &moments.logvar);
                verify("sample", &moments.sample(golden.get(case, "eps")).unwrap());
            }
            "decode" => verify("image", &autoencoder.decode(golden.get(case, "latent"), &interrupt).unwrap()),
            other => panic!("unknown method {other}"),
        }
    }
}

#[test]
fn the_structure_of_sdxl() {
    compare("autoencoder_kl/sdxl_like");
}

#[test]
fn the_structure_of_flux() {
    compare("autoencoder_kl/flux_like");
}
