//! Every hidden state of Gemma.

use lumina_models::Interrupt;
use lumina_models::text::{Decoder, DecoderConfig, TokenBatch};
use lumina_models::weights::Checkpoint;

use crate::common::{Golden, check_masked, golden, weights};

#[test]
fn hidden_states_are_those_of_transformers() {
    let folder = golden("text_encoders/gemma");
    let config = DecoderConfig::read(&folder.join("config.json")).unwrap();
    let checkpoint = Checkpoint::open(&folder, "model").unwrap();
    let weights = weights(&checkpoint, Decoder::key_map(&checkpoint));
    let gemma = Decoder::load_whole(&weights, &config).unwrap();
    assert_eq!(weights.unused(), Vec::<String>::new());
    let golden = Golden::open("text_encoders/gemma", "cases.json");
    for case in golden.with_method("hidden_states") {
        let batch =
            TokenBatch { ids: golden.rows(case, "input_ids"), mask: golden.rows(case, "attention_mask") };
        let states = gemma.hidden_states(&batch, &Interrupt::never()).unwrap();
        assert_eq!(states.len(), case.outputs.len(), "{}", case.name);
        for (index, state) in states.iter().enumerate() {
            let name = format!("hidden_states.{index}");
            let what = format!("gemma {} {name}", case.name);
            check_masked(&what, state, golden.get(case, &name), &batch.mask, case.tolerance(&name));
        }
        let features = gemma.forward(&batch, None, &Interrupt::never()).unwrap();
        let second_last = format!("hidden_states.{}", states.len() - 2);
        let tolerance = case.tolerance(&second_last);
        check_masked("features", &features, golden.get(case, &second_last), &batch.mask, tolerance);
    }
}
