//! Tests of the tokenizers.

use super::*;

#[test]
fn a_sentence_piece_folder_says_how_to_convert_it() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["spiece.model", "tokenizer.model"] {
        std::fs::write(dir.path().join(name), b"").unwrap();
        let error = Tokenizer::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("save_pretrained") && error.contains(name), "{error}");
    }
}

#[test]
fn an_empty_folder_lists_what_was_searched() {
    let dir = tempfile::tempdir().unwrap();
    let error = Tokenizer::open(dir.path()).unwrap_err();
    assert!(matches!(error, ModelError::FileNotFound { searched, .. } if searched.len() == 3));
}

/// A folder with a tokenizer of words, whose template adds what `template` says, and a config.
fn folder(special: &[&str], template: Option<(&[&str], &[&str])>, config: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let words = special.iter().chain(&["a", "red", "fox"]);
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        words.enumerate().map(|(id, word)| ((*word).to_owned(), id.into())).collect();
    let added: Vec<_> = special
        .iter()
        .enumerate()
        .map(|(id, token)| {
            serde_json::json!({"id": id, "content": token, "special": true, "single_word": false,
                               "lstrip": false, "rstrip": false, "normalized": false})
        })
        .collect();
    let processor = template.map(|(front, behind)| {
        let token = |token: &&str| serde_json::json!({"SpecialToken": {"id": token, "type_id": 0}});
        let text = serde_json::json!({"Sequence": {"id": "A", "type_id": 0}});
        let single: Vec<_> = front.iter().map(token).chain([text]).chain(behind.iter().map(token)).collect();
        let tokens: serde_json::Map<String, serde_json::Value> = front
            .iter()
            .chain(behind)
            .map(|token| {
                let entry = serde_json::json!({"id": token, "ids": [vocabulary[*token]], "tokens": [token]});
                ((*token).to_owned(), entry)
            })
            .collect();
        serde_json::json!({"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": tokens})
    });
    let tokenizer = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": processor, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": special[0]},
    });
    std::fs::write(dir.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    std::fs::write(dir.path().join("tokenizer_config.json"), config).unwrap();
    dir
}

fn encode(dir: &tempfile::TempDir, padding: Padding) -> Vec<Vec<u32>> {
    let tokenizer = Tokenizer::open(dir.path()).unwrap();
    tokenizer.encode_batch(&["a red fox".to_owned(), String::new()], padding).unwrap().ids
}

#[test]
fn t5_ends_a_text_and_pads_behind_it() {
    let config = r#"{"tokenizer_class":"T5Tokenizer","pad_token":"<pad>","eos_token":"</s>"}"#;
    let dir = folder(&["<pad>", "</s>"], Some((&[], &["</s>"])), config);
    assert_eq!(encode(&dir, Padding::Exactly(6)), [[2, 3, 4, 1, 0, 0], [1, 0, 0, 0, 0, 0]]);
    assert_eq!(encode(&dir, Padding::Exactly(3)), [[2, 3, 1], [1, 0, 0]]);
}

#[test]
fn bert_has_a_token_on_both_sides() {
    let dir = folder(
        &["[PAD]", "[CLS]", "[SEP]"],
        Some((&["[CLS]"], &["[SEP]"])),
        r#"{"tokenizer_class":"BertTokenizer","pad_token":"[PAD]"}"#,
    );
    assert_eq!(encode(&dir, Padding::Exactly(4)), [[1, 3, 4, 2], [1, 2, 0, 0]]);
}

#[test]
fn llama_ends_a_text_where_it_is_asked_to() {
    let config = |rest: &str| {
        format!(r#"{{"tokenizer_class":"LlamaTokenizer","bos_token":"<s>","eos_token":"</s>"{rest}}}"#)
    };
    let special = ["<unk>", "<s>", "</s>"];
    let dir = folder(&special, Some((&["<s>"], &[])), &config(r#","padding_side":"right""#));
    assert_eq!(encode(&dir, Padding::Longest), [[1, 3, 4, 5], [1, 0, 0, 0]]);
    let ending = Tokenizer::open(dir.path()).unwrap().with_end().unwrap();
    let ids = |padding| ending.encode_batch(&["a red fox".to_owned(), String::new()], padding).unwrap().ids;
    assert_eq!(ids(Padding::Longest), [[1, 3, 4, 5, 2], [1, 2, 0, 0, 0]]);
    assert_eq!(ids(Padding::Exactly(4)), [[1, 3, 4, 2], [1, 2, 0, 0]]);
    // Neither twice where the template does it, nor only where it does.
    for template in [Some((&["<s>"][..], &["</s>"][..])), None] {
        let dir = folder(&special, template, &config(r#","add_eos_token":true"#));
        assert_eq!(encode(&dir, Padding::Longest), [[1, 3, 4, 5, 2], [0, 0, 0, 1, 2]]);
    }
    let dir = folder(&special, None, r#"{"bos_token":"<s>"}"#);
    assert!(Tokenizer::open(dir.path()).unwrap().with_end().is_err());
}

#[test]
fn special_tokens_inside_a_text_are_single_numbers_and_qwen_adds_none() {
    let dir = folder(
        &["<|endoftext|>", "<|im_start|>"],
        None,
        r#"{"tokenizer_class":"Qwen2Tokenizer","add_bos_token":false,"bos_token":null,
            "pad_token":"<|endoftext|>"}"#,
    );
    let tokenizer = Tokenizer::open(dir.path()).unwrap();
    let batch = tokenizer.encode_batch(&["<|im_start|>a fox".to_owned()], Padding::Exactly(4)).unwrap();
    assert_eq!((batch.ids, batch.mask), (vec![vec![1, 2, 4, 0]], vec![vec![1, 1, 1, 0]]));
    let left = tokenizer.with_padding_side(PaddingSide::Left);
    let batch = left.encode_batch(&["a".to_owned()], Padding::Exactly(2)).unwrap();
    assert_eq!((batch.ids, batch.mask), (vec![vec![0, 2]], vec![vec![0, 1]]));
}
