//! How far half precision is from f32, for every network: the table of `docs/precision.md`.
//!
//! Each network runs on recorded inputs, with its weights stored in f32, in bf16 and in f16, and computes in f32 or in
//! the format of its weights. What it gives is compared with what it gives in f32 throughout, which other tests hold to
//! the reference implementations.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use lumina_models::Interrupt;
use lumina_models::backbone::audio::{AudioFlagDit, AudioFlagDitConfig};
use lumina_models::backbone::{
    AttentionGrowth, Backbone, CellOrder, ClassDit, ClassDitConfig, ClassDitKind, FlagDit, FlagDitConfig,
    ForwardOptions, Labels, NextDit, NextDitConfig, Region, Stage,
};
use lumina_models::text::{TextNetwork, TokenBatch};
use lumina_models::vae::mel::MelAutoencoder;
use lumina_models::vae::{AutoencoderConfig, AutoencoderKl};
use lumina_models::vocoder::BigVgan;
use lumina_models::weights::{Checkpoint, KeyMap, Weights};

use crate::backbone_cases::{constructor, doubled};
use crate::common::{Case, Golden, caption, golden, load, values};
use crate::text_encoders::{DECODERS, OTHERS, folder};
use crate::{audio_autoencoder, audio_vocoder};

/// What may be lost, in units of `u sqrt(depth)`: `u` is the relative error of one rounding, and the errors of layers one
/// behind the other add up like steps in random directions. The rest of the factor is that the largest of thousands of
/// errors is compared, and that a layer rounds several times.
const FACTOR: f64 = 3.0;

type Run = Box<dyn Fn(&Checkpoint, DType) -> Made>;

/// What a network gave.
struct Made {
    outputs: Vec<Tensor>,
    /// The logits by which mixtures of experts chose, block by block, case by case.
    logits: Vec<Tensor>,
}

impl FromIterator<Tensor> for Made {
    fn from_iter<I: IntoIterator<Item = Tensor>>(outputs: I) -> Self {
        Self { outputs: outputs.into_iter().collect(), logits: Vec::new() }
    }
}

struct Subject {
    name: String,
    /// The file of the weights.
    weights: PathBuf,
    /// Matrix products and convolutions one behind the other.
    depth: usize,
    /// Whether it computes in half precision on the CPU at all.
    is_half: bool,
    run: Run,
}

/// Largest error over the largest number, and length of the difference over length.
struct Lost {
    largest: f64,
    length: f64,
}

impl Lost {
    fn between(found: &[Tensor], expected: &[Tensor]) -> Self {
        let (mut error, mut size, mut errors, mut sizes) = (0.0_f64, 0.0_f64, 0.0_f64, 0.0_f64);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.dims(), expected.dims());
            for (a, b) in values(found).into_iter().zip(values(expected)) {
                let (apart, b) = (f64::from(a) - f64::from(b), f64::from(b));
                assert!(apart.is_finite(), "a number is not finite");
                (error, size) = (error.max(apart.abs()), size.max(b.abs()));
                (errors, sizes) = (errors + apart * apart, sizes + b * b);
            }
        }
        Self { largest: error / size, length: (errors / sizes).sqrt() }
    }
}

/// How many rows use other experts than without rounding, and how many rows there are: near ties, in which rounding
/// decides.
fn rerouted(found: &[Tensor], expected: &[Tensor]) -> (usize, usize) {
    let chosen = |logits: &[f32]| {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        order.truncate(2);
        order.sort_unstable();
        order
    };
    assert_eq!(found.len(), expected.len());
    let (mut other, mut rows) = (0, 0);
    for (found, expected) in found.iter().zip(expected) {
        let experts = expected.dims()[1];
        for (a, b) in values(found).chunks(experts).zip(values(expected).chunks(experts)) {
            other += usize::from(chosen(a) != chosen(b));
            rows += 1;
        }
    }
    (other, rows)
}

/// The checkpoint with all its tensors rounded to `dtype`.
fn rounded(file: &Path, dtype: DType, dir: &Path) -> Checkpoint {
    let tensors = load(file).into_iter().map(|(name, tensor)| (name, tensor.to_dtype(dtype).unwrap()));
    let path = dir.join("rounded.safetensors");
    candle_core::safetensors::save(&tensors.collect(), &path).unwrap();
    Checkpoint::open_file(&path).unwrap()
}

fn weights(checkpoint: &Checkpoint, keys: KeyMap, dtype: DType) -> Weights {
    Weights::open(checkpoint, keys, dtype, &Device::Cpu, &Interrupt::never()).unwrap()
}

/// Blocks have a product for queries, scores, values, output and two of the feed-forward layer; one is before and one
/// behind all blocks.
fn depth_of(blocks: usize) -> usize {
    6 * blocks + 2
}

/// The latents of a case as the network gets them.
fn latent(golden: &Golden, case: &Case) -> Tensor {
    let x = golden.get(case, "x");
    if case.method == "forward_with_cfg" { doubled(x) } else { x.clone() }
}

/// A network for text: the cases with latents of one size, without guidance, which would multiply the errors.
fn for_text(name: &'static str, is_flag: bool, growth: AttentionGrowth) -> Subject {
    let run: Run = Box::new(move |checkpoint, dtype| {
        let (device, never, options) = (Device::Cpu, Interrupt::never(), ForwardOptions::default());
        let golden = Golden::open(name, "config.json");
        let cases = golden.cases.iter().filter(|case| case.outputs["out"].is_string());
        if is_flag {
            let config = FlagDitConfig::from_checkpoint(checkpoint).unwrap();
            let network = FlagDit::load(checkpoint, &config, dtype, &device, &never).unwrap();
            assert_eq!(network.dtype(), dtype);
            cases
                .map(|case| {
                    let caption = caption(golden.get(case, "cap_feats"), golden.get(case, "cap_mask"));
                    let (x, times) = (latent(&golden, case), golden.times(case, "t"));
                    let caption = network.prepare(&caption).unwrap();
                    network.velocity(&x, &times, &caption, &options).unwrap()
                })
                .collect()
        } else {
            let config = NextDitConfig::from_checkpoint(checkpoint).unwrap();
            let network = NextDit::load(checkpoint, &config, dtype, &device, &never).unwrap();
            assert_eq!(network.dtype(), dtype);
            let network = network.with_attention_growth(growth);
            cases
                .map(|case| {
                    let caption = caption(golden.get(case, "cap_feats"), golden.get(case, "cap_mask"));
                    let (x, times) = (latent(&golden, case), golden.times(case, "t"));
                    let caption = network.prepare(&caption).unwrap();
                    network.velocity(&x, &times, &caption, &options).unwrap()
                })
                .collect()
        }
    });
    Subject { name: name.to_owned(), weights: file(name), depth: depth_of(2), is_half: true, run }
}

fn for_regions() -> Subject {
    let name = "next_dit_compositional";
    let run: Run = Box::new(move |checkpoint, dtype| {
        let config = NextDitConfig::from_checkpoint(checkpoint).unwrap();
        let network = NextDit::load(checkpoint, &config, dtype, &Device::Cpu, &Interrupt::never()).unwrap();
        let golden = Golden::open(name, "config.json");
        let cases = golden.cases.iter();
        cases
            .map(|case| {
                let size = |name: &str| case.number(name).unwrap() as usize;
                let (x, times) = (golden.get(case, "x"), golden.times(case, "t"));
                let grid = (x.dims()[2] / 2, x.dims()[3] / 2);
                let cells = (size("h_split_num"), size("w_split_num"));
                let mut regions = Region::cells(0, grid, cells, CellOrder::Reference).unwrap();
                regions.push(Region::whole(1, grid.0 * grid.1));
                let features = caption(golden.get(case, "cap_feats"), golden.get(case, "cap_mask"));
                let global =
                    caption(golden.get(case, "global_cap_feats"), golden.get(case, "global_cap_mask"));
                let prepared = network.prepare_regions(&features, &global, &regions).unwrap();
                network
                    .velocity(&latent(&golden, case), &times, &prepared, &ForwardOptions::default())
                    .unwrap()
            })
            .collect()
    });
    Subject { name: name.to_owned(), weights: file(name), depth: depth_of(2), is_half: true, run }
}

fn for_classes(name: &'static str, kind: ClassDitKind) -> Subject {
    let run: Run = Box::new(move |checkpoint, dtype| {
        let built = constructor(name);
        let heads = built["n_heads"].as_u64().unwrap() as usize;
        let found = ClassDitConfig::of_kind(checkpoint, kind, Some(heads)).unwrap();
        let config = ClassDitConfig { sample_size: built["input_size"].as_u64().unwrap() as usize, ..found };
        let network = ClassDit::load(checkpoint, &config, dtype, &Device::Cpu, &Interrupt::never()).unwrap();
        let golden = Golden::open(name, "config.json");
        let mut logits = Vec::new();
        let outputs = golden.cases.iter();
        let outputs = outputs
            .map(|case| {
                let labels = Labels(golden.get(case, "y").to_dtype(DType::U32).unwrap().to_vec1().unwrap());
                let (x, times) = (latent(&golden, case), golden.times(case, "t"));
                let mut observe = |stage: Stage, state: &Tensor| {
                    if let Stage::Routing { .. } = stage {
                        logits.push(state.clone());
                    }
                    Ok(())
                };
                let options = ForwardOptions::default();
                network.forward_observed(&x, &times, &labels, &options, &mut observe).unwrap()
            })
            .collect();
        Made { outputs, logits }
    });
    // The mixture by time and by token has two feed-forward layers a block.
    let depth = depth_of(2) + if kind == ClassDitKind::BothMixtures { 4 } else { 0 };
    Subject { name: name.to_owned(), weights: file(name), depth, is_half: true, run }
}

fn for_sound() -> Subject {
    let name = "audio_flag_dit";
    let run: Run = Box::new(move |checkpoint, dtype| {
        let never = Interrupt::never();
        let config = AudioFlagDitConfig::parse(constructor(name).to_string().as_bytes()).unwrap();
        let network = AudioFlagDit::load(checkpoint, &config, dtype, &Device::Cpu, &never).unwrap();
        let golden = Golden::open(name, "config.json");
        let cases = golden.cases.iter();
        cases
            .map(|case| {
                let context = network.prepare(golden.get(case, "context")).unwrap();
                let (x, times) = (golden.get(case, "x"), golden.times(case, "t"));
                network.velocity(x, &times, &context, &never).unwrap()
            })
            .collect()
    });
    Subject { name: name.to_owned(), weights: file(name), depth: depth_of(2), is_half: true, run }
}

fn text_encoder(name: &'static str) -> Subject {
    let path = golden(&folder(name)).join("model.safetensors");
    let run: Run = Box::new(move |checkpoint, dtype| {
        // The config lies beside the weights.
        let dir = checkpoint.path().parent().unwrap();
        std::fs::copy(golden(&folder(name)).join("config.json"), dir.join("config.json")).ok();
        let stem = dir.join("model.safetensors");
        if checkpoint.path() != stem {
            std::fs::copy(checkpoint.path(), &stem).unwrap();
        }
        let network = TextNetwork::open(dir, dtype, &Device::Cpu, &Interrupt::never()).unwrap();
        let golden = Golden::open(&folder(name), "cases.json");
        let cases = golden.with_method("hidden_states").into_iter();
        cases
            .map(|case| {
                let batch = TokenBatch {
                    ids: golden.rows(case, "input_ids"),
                    mask: golden.rows(case, "attention_mask"),
                };
                let state = network.last_hidden_state(&batch, &Interrupt::never()).unwrap();
                let (rows, tokens) = (batch.mask.len(), batch.length());
                let seen = Tensor::from_vec(batch.mask.concat(), (rows, tokens, 1), &Device::Cpu).unwrap();
                // What is at padding means nothing.
                state
                    .to_dtype(DType::F32)
                    .unwrap()
                    .broadcast_mul(&seen.to_dtype(DType::F32).unwrap())
                    .unwrap()
            })
            .collect()
    });
    // The last state of the decoders and of T5 has a norm behind its layers; they have three.
    Subject { name: format!("text_encoders/{name}"), weights: path, depth: 6 * 3, is_half: true, run }
}

fn image_autoencoder(name: &'static str) -> Subject {
    let path = golden(name).join("diffusion_pytorch_model.safetensors");
    let run: Run = Box::new(move |checkpoint, dtype| {
        let never = Interrupt::never();
        let config = AutoencoderConfig::read(&golden(name).join("config.json")).unwrap();
        let weights = weights(checkpoint, AutoencoderKl::key_map(checkpoint), dtype);
        let network = AutoencoderKl::load(&weights, &config).unwrap();
        let golden = Golden::open(name, "cases.json");
        let decode = golden.with_method("decode").into_iter();
        let images = decode.map(|case| network.decode(golden.get(case, "latent"), &never).unwrap());
        let encode = golden.with_method("encode").into_iter();
        let latents = encode.map(|case| network.encode(golden.get(case, "image"), &never).unwrap().mean);
        images.chain(latents).collect()
    });
    // The decoder: four levels of three residual blocks and two in the middle, of two convolutions each; four products of
    // the attention, three doublings, the first and the last.
    Subject { name: name.to_owned(), weights: path, depth: 2 * (4 * 3 + 2) + 4 + 3 + 2, is_half: false, run }
}

fn mel_autoencoder() -> Subject {
    let name = "audio_autoencoder1d";
    let run: Run = Box::new(move |checkpoint, dtype| {
        let never = Interrupt::never();
        let weights = weights(checkpoint, MelAutoencoder::key_map(checkpoint), dtype);
        let network = MelAutoencoder::load(&weights, &audio_autoencoder::config()).unwrap();
        let golden = Golden::open(name, "config.json");
        let cases = golden.with_method("encode / decode").into_iter();
        cases
            .flat_map(|case| {
                let decoded = network.decode(golden.get(case, "mean"), &never).unwrap();
                [decoded, network.encode(golden.get(case, "mel"), &never).unwrap().mean]
            })
            .collect()
    });
    // The decoder: three levels of two residual blocks and two in the middle, of two convolutions each; four products of the
    // attention, one doubling, the first and the last.
    Subject {
        name: name.to_owned(),
        weights: file(name),
        depth: 2 * (3 * 2 + 2) + 4 + 1 + 2,
        is_half: false,
        run,
    }
}

fn vocoder() -> Subject {
    let name = "audio_bigvgan";
    let run: Run = Box::new(move |checkpoint, _| {
        let never = Interrupt::never();
        let network = BigVgan::load(checkpoint, &audio_vocoder::config(), &Device::Cpu, &never).unwrap();
        let golden = Golden::open(name, "config.json");
        let cases = golden.with_method("forward").into_iter();
        cases.map(|case| network.forward(golden.get(case, "mel"), &never).unwrap()).collect()
    });
    // Two stages of one transposed convolution and six of the residual blocks, each with two filters before it; the first
    // convolution, and the last with its filters.
    Subject { name: name.to_owned(), weights: file(name), depth: 2 * 19 + 4, is_half: false, run }
}

fn file(name: &str) -> PathBuf {
    golden(name).join("weights.safetensors")
}

fn subjects() -> Vec<Subject> {
    let root = AttentionGrowth::default();
    let mut all = vec![
        for_text("next_dit_t2i", false, root),
        for_text("next_dit_t2i_b", false, root),
        for_text("next_dit_mini", false, root),
        for_text("next_dit_anagram", false, AttentionGrowth::Linear),
        for_regions(),
        for_text("flag_dit_t2i", true, root),
        for_text("flag_dit_t2i_b", true, root),
        for_classes("flag_dit_imagenet", ClassDitKind::Flag),
        for_classes("next_dit_imagenet", ClassDitKind::Next),
        for_classes("next_dit_moe_time", ClassDitKind::TimeMixture),
        for_classes("next_dit_moe_space", ClassDitKind::SpaceMixture),
        for_classes("next_dit_moe_both", ClassDitKind::BothMixtures),
        for_sound(),
    ];
    all.extend(DECODERS.into_iter().chain(OTHERS).map(text_encoder));
    all.extend([
        image_autoencoder("autoencoder_kl/sdxl_like"),
        image_autoencoder("autoencoder_kl/flux_like"),
    ]);
    all.extend([mel_autoencoder(), vocoder()]);
    all
}

#[test]
fn half_precision_loses_no_more_than_its_rounding_explains() {
    println!("| network | weights | computed in | largest error | relative distance | bound | rerouted |");
    println!("|---|---|---|---|---|---|---|");
    let mut wrong = Vec::new();
    for subject in subjects() {
        let dir = tempfile::tempdir().unwrap();
        let exact = (subject.run)(&rounded(&subject.weights, DType::F32, dir.path()), DType::F32);
        for (dtype, unit) in [(DType::BF16, 2_f64.powi(-8)), (DType::F16, 2_f64.powi(-11))] {
            let checkpoint = rounded(&subject.weights, dtype, dir.path());
            let bound = FACTOR * unit * (subject.depth as f64).sqrt();
            let computed = [DType::F32, dtype].into_iter().take(if subject.is_half { 2 } else { 1 });
            for computed in computed {
                let made = (subject.run)(&checkpoint, computed);
                let lost = Lost::between(&made.outputs, &exact.outputs);
                let (rerouted, rows) = rerouted(&made.logits, &exact.logits);
                let told = if rows == 0 { String::new() } else { format!("{rerouted} of {rows}") };
                println!(
                    "| `{}` | {dtype:?} | {computed:?} | {:.1e} | {:.1e} | {bound:.1e} | {told} |",
                    subject.name, lost.largest, lost.length
                );
                assert!(lost.largest > 0.0, "{}: nothing was rounded", subject.name);
                // A token that another expert works on is another token; the others are held by the distance.
                let judged = if rerouted > 0 { lost.length } else { lost.largest };
                assert!(rerouted * 50 <= rows, "{}: {told} rows use other experts", subject.name);
                if judged > bound {
                    wrong.push(format!("{} {dtype:?} {computed:?}: {:.1e}", subject.name, lost.largest));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
