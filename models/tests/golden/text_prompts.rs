//! Tokens and features of prompts, as Lumina-Image-2.0 and Z-Image make them.

use lumina_models::Interrupt;
use lumina_models::text::{
    Decoder, DecoderConfig, LUMINA2_SYSTEM, Padding, PaddingSide, TextEncoder, TextFeatures, Tokenizer,
    chat_prompt, with_system_prompt,
};
use lumina_models::weights::Checkpoint;

use crate::common::{Case, Golden, check, check_masked, golden, rows, weights};

fn open(folder: &str) -> TextEncoder {
    let dir = golden(folder).join("text_encoder");
    let checkpoint = Checkpoint::open(&dir, "model").unwrap();
    let config = DecoderConfig::read(&dir.join("config.json")).unwrap();
    let decoder = Decoder::load(&weights(&checkpoint, Decoder::key_map(&checkpoint)), &config).unwrap();
    let tokenizer = Tokenizer::open(&golden(folder).join("tokenizer")).unwrap();
    // Both pipelines pad behind the text, whatever the folder says.
    TextEncoder::of_decoder(tokenizer.with_padding_side(PaddingSide::Right), decoder).unwrap()
}

fn has_output(case: &Case, name: &str) -> bool {
    case.outputs.contains_key(name)
}

fn length(case: &Case, default: usize) -> Padding {
    Padding::Exactly(case.number("max_sequence_length").map_or(default, |length| length as usize))
}

/// The features, after a comparison of the tokens.
fn encode(
    encoder: &TextEncoder,
    golden: &Golden,
    case: &Case,
    names: [&str; 2],
    prompts: &[String],
    padding: Padding,
) -> TextFeatures {
    let features = encoder.encode(prompts, padding, &Interrupt::never()).unwrap();
    assert_eq!(features.ids, golden.rows(case, names[0]), "{} {}", case.name, names[0]);
    assert_eq!(rows(&features.mask), golden.rows(case, names[1]), "{} {}", case.name, names[1]);
    println!("{} {}: {} tokens equal", case.name, names[0], features.tokens());
    features
}

#[test]
fn lumina_image_2_encodes_prompts_as_diffusers_does() {
    let encoder = open("lumina2_pipeline");
    let golden = Golden::open("lumina2_pipeline", "cases.json");
    for case in golden.with_method("encode_prompt") {
        let prompts = case.texts("prompt").unwrap();
        let system = case.texts("system_prompt").map_or(LUMINA2_SYSTEM.to_owned(), |texts| texts[0].clone());
        let texts: Vec<String> = prompts.iter().map(|prompt| with_system_prompt(&system, prompt)).collect();
        let mut parts = vec![("", texts)];
        if has_output(case, "negative_prompt_embeds") {
            let negative =
                case.texts("negative_prompt").unwrap_or_else(|| vec![String::new(); prompts.len()]);
            parts.push(("negative_", negative));
        }
        for (prefix, texts) in parts {
            let names = [&*format!("{prefix}input_ids"), &*format!("{prefix}attention_mask")];
            let features = encode(&encoder, &golden, case, names, &texts, length(case, 256));
            let images = case.number("num_images_per_prompt").unwrap_or(1.0) as usize;
            let features = features.repeat(images).unwrap();
            let output = format!("{prefix}prompt_embeds");
            let what = format!("lumina2 {} {output}", case.name);
            let mask = rows(&features.mask);
            let expected = golden.get(case, &output);
            check_masked(&what, &features.features, expected, &mask, case.tolerance(&output));
        }
    }
}

#[test]
fn z_image_encodes_prompts_as_diffusers_does() {
    let encoder = open("z_image_pipeline");
    let golden = Golden::open("z_image_pipeline", "cases.json");
    for case in golden.with_method("encode_prompt") {
        let prompts = case.texts("prompt").unwrap();
        let mut parts = vec![("", prompts.clone())];
        if has_output(case, "negative_prompt_embeds.0") {
            let negative =
                case.texts("negative_prompt").unwrap_or_else(|| vec![String::new(); prompts.len()]);
            parts.push(("negative_", negative));
        }
        for (prefix, texts) in parts {
            let names = [&*format!("{prefix}input_ids"), &*format!("{prefix}attention_mask")];
            let texts: Vec<String> = texts.iter().map(|text| chat_prompt(text)).collect();
            let features = encode(&encoder, &golden, case, names, &texts, length(case, 512));
            for (row, mask) in rows(&features.mask).iter().enumerate() {
                let output = format!("{prefix}prompt_embeds.{row}");
                let tokens = mask.iter().sum::<u32>() as usize;
                let found = features.features.get(row).unwrap().narrow(0, 0, tokens).unwrap();
                let what = format!("z_image {} {output}", case.name);
                check(&what, &found, golden.get(case, &output), case.tolerance(&output));
            }
        }
    }
}
