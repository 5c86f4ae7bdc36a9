//! Text encoders in half precision against the recorded f32.

use candle_core::{DType, Device, Tensor};
use lumina_models::Interrupt;
use lumina_models::text::{TextNetwork, TokenBatch};

use crate::common::{Golden, golden, values};
use crate::text_encoders::{DECODERS, OTHERS, folder};

/// Largest difference and length of the difference, both over those of the recorded values.
fn distances(found: &[f32], expected: &[f32]) -> (f64, f64) {
    let size = |values: &mut dyn Iterator<Item = f32>| {
        values.fold((0.0_f64, 0.0_f64), |(most, sum), v| {
            (most.max(f64::from(v.abs())), sum + f64::from(v).powi(2))
        })
    };
    let (most, sum) = size(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    let (largest, length) = size(&mut expected.iter().copied());
    (most / largest, (sum / length).sqrt())
}

#[test]
fn half_precision_stays_near_the_recorded_states() {
    println!(
        "{:10} {:6} {:>6} {:>15} {:>18}",
        "encoder", "format", "state", "largest error", "relative distance"
    );
    for name in DECODERS.into_iter().chain(OTHERS) {
        let golden_cases = Golden::open(&folder(name), "cases.json");
        let case = golden_cases.with_method("hidden_states")[0];
        let batch = TokenBatch {
            ids: golden_cases.rows(case, "input_ids"),
            mask: golden_cases.rows(case, "attention_mask"),
        };
        for (dtype, most) in [(DType::BF16, 2e-2), (DType::F16, 2.5e-3)] {
            let dir = golden(&folder(name));
            let network = TextNetwork::open(&dir, dtype, &Device::Cpu, &Interrupt::never()).unwrap();
            let states = network.hidden_states(&batch, &Interrupt::never()).unwrap();
            for (index, state) in states.iter().enumerate() {
                let expected = golden_cases.get(case, &format!("hidden_states.{index}"));
                let seen = |tensor: &Tensor| -> Vec<f32> {
                    let channels = tensor.dims()[2];
                    let tokens = batch.mask.iter().flatten();
                    values(tensor)
                        .chunks(channels)
                        .zip(tokens)
                        .filter(|(_, seen)| **seen != 0)
                        .flat_map(|(row, _)| row.to_vec())
                        .collect()
                };
                let (largest, distance) = distances(&seen(state), &seen(expected));
                println!("{name:10} {dtype:6?} {index:>6} {largest:>15.2e} {distance:>18.2e}");
                assert!(distance <= most, "{name} {dtype:?} {index}: {distance:.2e}");
                assert!(distance > 0.0, "{name} {index} was not computed in {dtype:?}");
            }
            assert_eq!(states.last().unwrap().dtype(), dtype, "{name}");
        }
    }
}
