//! Every hidden state of every text encoder.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use lumina_models::Interrupt;
use lumina_models::text::{
    BertConfig, CaptionTower, T5Config, T5Encoder, TextNetwork, TokenBatch, unit_length,
};
use lumina_models::weights::Checkpoint;
use serde_json::Value;

use crate::common::{Golden, check, check_masked, golden, largest, load, rows, values, weights};

pub(crate) const DECODERS: [&str; 4] = ["gemma", "gemma2", "llama", "qwen3"];
pub(crate) const OTHERS: [&str; 2] = ["t5", "clap_text"];

pub(crate) fn folder(name: &str) -> String {
    format!("text_encoders/{name}")
}

pub(crate) fn open(dir: &Path) -> TextNetwork {
    TextNetwork::open(dir, DType::F32, &Device::Cpu, &Interrupt::never()).unwrap()
}

/// The name of what was recognised.
pub(crate) fn kind(network: &TextNetwork) -> &'static str {
    match network {
        TextNetwork::Decoder(decoder) => decoder.config().family.model_type(),
        TextNetwork::T5(_) => "t5",
        TextNetwork::Bert(_) => "bert",
        TextNetwork::ClapText(_) => "clap_text",
    }
}

#[test]
fn hidden_states_are_those_of_transformers() {
    for name in DECODERS.into_iter().chain(OTHERS) {
        let network = open(&golden(&folder(name)));
        assert_eq!(kind(&network), name);
        let golden = Golden::open(&folder(name), "cases.json");
        for case in golden.with_method("hidden_states") {
            let batch =
                TokenBatch { ids: golden.rows(case, "input_ids"), mask: golden.rows(case, "attention_mask") };
            let states = network.hidden_states(&batch, &Interrupt::never()).unwrap();
            let recorded = case.outputs.keys().filter(|key| key.starts_with("hidden_states.")).count();
            assert_eq!(states.len(), recorded, "{name} {}", case.name);
            for (index, state) in states.iter().enumerate() {
                let output = format!("hidden_states.{index}");
                let what = format!("{name} {} {output}", case.name);
                let expected = golden.get(case, &output);
                check_masked(&what, state, expected, &batch.mask, case.tolerance(&output));
            }
            let last = network.last_hidden_state(&batch, &Interrupt::never()).unwrap();
            assert_eq!(values(&last), values(states.last().unwrap()), "{name} {}", case.name);
        }
    }
}

#[test]
fn every_decoder_can_stop_after_any_layer() {
    for name in DECODERS {
        let TextNetwork::Decoder(decoder) = open(&golden(&folder(name))) else { panic!("{name}") };
        let batch = TokenBatch { ids: vec![vec![2, 9, 33, 7, 5]], mask: vec![vec![1; 5]] };
        let states = decoder.hidden_states(&batch, &Interrupt::never()).unwrap();
        // The last hidden state is after the norm, the output of the last layer is not.
        for (stop, state) in states[..states.len() - 1].iter().enumerate() {
            let found = decoder.forward(&batch, Some(stop), &Interrupt::never()).unwrap();
            assert_eq!(values(&found), values(state), "{name} {stop}");
        }
        let default = decoder.forward(&batch, None, &Interrupt::never()).unwrap();
        assert_eq!(values(&default), values(&states[states.len() - 2]), "{name}");
        assert!(decoder.forward(&batch, Some(4), &Interrupt::never()).is_err());
    }
}

#[test]
fn the_buckets_of_t5_are_those_of_transformers() {
    let config = T5Config::read(&golden(&folder("t5")).join("config.json")).unwrap();
    let golden = Golden::open(&folder("t5"), "cases.json");
    for case in golden.with_method("relative_position_bucket") {
        let distances: Vec<i64> = golden.get(case, "distance").to_vec1().unwrap();
        let found: Vec<i64> = distances.iter().map(|&d| i64::from(config.bucket(d))).collect();
        assert_eq!(found, golden.get(case, "bucket").to_vec1::<i64>().unwrap());
        println!("t5 {}: {} buckets equal", case.name, found.len());
    }
}

#[test]
fn the_vectors_of_clap_are_those_of_transformers() {
    let TextNetwork::ClapText(clap) = open(&golden(&folder("clap_text"))) else { panic!("not CLAP") };
    let golden = Golden::open(&folder("clap_text"), "cases.json");
    for case in golden.with_method("hidden_states") {
        let batch =
            TokenBatch { ids: golden.rows(case, "input_ids"), mask: golden.rows(case, "attention_mask") };
        let vectors = clap.forward(&batch, &Interrupt::never()).unwrap();
        let unit = unit_length(&vectors).unwrap();
        for (name, found) in [("text_embeds", &vectors), ("text_embeds_normalized", &unit)] {
            let what = format!("clap_text {} {name}", case.name);
            check(&what, found, golden.get(case, name), case.tolerance(name));
        }
    }
}

#[test]
fn text_conditions_of_audio_and_music_are_those_of_lumina() {
    let folder = golden("audio_conditioning");
    let config: Value = serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    let part = |name: &str| serde_json::to_vec(&config["constructor"][name]).unwrap();
    let checkpoint = Checkpoint::open_file(&folder.join("weights.safetensors")).unwrap();
    let width = config["constructor"]["projection"]["d_out"].as_u64().unwrap() as usize;
    let bert = BertConfig::parse(&part("bert")).unwrap();
    let bert_weights = weights(&checkpoint, CaptionTower::key_map(&checkpoint));
    let tower = CaptionTower::load(&bert_weights, &bert, width).unwrap();
    let t5_weights = weights(&checkpoint, T5Encoder::key_map(&checkpoint));
    let t5 = T5Encoder::load(&t5_weights, &T5Config::parse(&part("t5_encoder")).unwrap()).unwrap();
    let tensors = load(&folder.join("cases.safetensors"));
    let ids = |name: &str| {
        let ids = rows(&tensors[name]);
        // No token is masked, padding neither.
        TokenBatch { mask: ids.iter().map(|row| vec![1; row.len()]).collect(), ids }
    };
    let never = Interrupt::never();
    let inner = |what: &str, found: &Tensor| {
        let expected = &tensors[&format!("case0.dbg.{what}")];
        check(&format!("audio_conditioning case0 {what}"), found, expected, 5e-5 * largest(expected));
    };
    let tolerance = |case: usize| config["cases"][case]["tol_abs"].as_f64().unwrap();

    let hidden = tower.bert.forward(&ids("case0.ori_ids"), &never).unwrap();
    let projected = tower.project(&hidden).unwrap();
    let structured = t5.forward(&ids("case0.struct_ids"), &never).unwrap();
    inner("bert_last_hidden", &hidden);
    inner("clap_projected", &projected);
    inner("t5_last_hidden", &structured);
    let both = Tensor::cat(&[&projected, &structured], 1).unwrap();
    check("audio_conditioning case0", &both, &tensors["case0.out"], tolerance(0));
    let alone = t5.forward(&ids("case1.ids"), &never).unwrap();
    check("audio_conditioning case1", &alone, &tensors["case1.out"], tolerance(1));
    assert_eq!(config["cases"].as_array().unwrap().len(), 2);
}
