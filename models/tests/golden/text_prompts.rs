//! Tokens of prompts, as Lumina-Image-2.0 and Z-Image make them.
//!
//! The weights and the features of these two folders are not kept (see `tests/golden/README.md`): their encoders are
//! Gemma 2 and Qwen3, every hidden state of which is compared in `text_encoders.rs`.

use lumina_models::text::{LUMINA2_SYSTEM, Padding, PaddingSide, Tokenizer, chat_prompt, with_system_prompt};

use crate::common::{Case, Golden, golden};

/// Both pipelines pad behind the text, whatever the folder says.
fn open(folder: &str) -> Tokenizer {
    Tokenizer::open(&golden(folder).join("tokenizer")).unwrap().with_padding_side(PaddingSide::Right)
}

/// The prompts with what the pipeline puts around them, and the negative ones of a case that has any.
fn parts(
    case: &Case,
    around: &dyn Fn(&str) -> String,
    negative: &dyn Fn(&str) -> String,
) -> [Vec<String>; 2] {
    let prompts = case.texts("prompt").unwrap();
    let others = if case.outputs.contains_key("negative_input_ids") {
        case.texts("negative_prompt").unwrap_or_else(|| vec![String::new(); prompts.len()])
    } else {
        Vec::new()
    };
    [
        prompts.iter().map(|prompt| around(prompt)).collect(),
        others.iter().map(|prompt| negative(prompt)).collect(),
    ]
}

fn compare(tokenizer: &Tokenizer, golden: &Golden, case: &Case, texts: [Vec<String>; 2], default: usize) {
    let length = case.number("max_sequence_length").map_or(default, |length| length as usize);
    for (prefix, texts) in ["", "negative_"].into_iter().zip(texts) {
        if texts.is_empty() {
            continue;
        }
        let batch = tokenizer.encode_batch(&texts, Padding::Exactly(length)).unwrap();
        let (ids, mask) = (format!("{prefix}input_ids"), format!("{prefix}attention_mask"));
        assert_eq!(batch.ids, golden.rows(case, &ids), "{} {ids}", case.name);
        assert_eq!(batch.mask, golden.rows(case, &mask), "{} {mask}", case.name);
        println!("{} {ids}: {} tokens equal; features not compared, not kept", case.name, batch.length());
    }
}

#[test]
fn lumina_image_2_tokenizes_prompts_as_diffusers_does() {
    let tokenizer = open("lumina2_pipeline");
    let golden = Golden::open("lumina2_pipeline", "cases.json");
    let cases = golden.with_method("encode_prompt");
    for case in &cases {
        let system = case.texts("system_prompt").map_or(LUMINA2_SYSTEM.to_owned(), |texts| texts[0].clone());
        let texts = parts(case, &|prompt| with_system_prompt(&system, prompt), &str::to_owned);
        compare(&tokenizer, &golden, case, texts, 256);
    }
    assert_eq!(cases.len(), 8);
}

#[test]
fn z_image_tokenizes_prompts_as_diffusers_does() {
    let tokenizer = open("z_image_pipeline");
    let golden = Golden::open("z_image_pipeline", "cases.json");
    let cases = golden.with_method("encode_prompt");
    for case in &cases {
        compare(&tokenizer, &golden, case, parts(case, &chat_prompt, &chat_prompt), 512);
    }
    assert_eq!(cases.len(), 7);
}
