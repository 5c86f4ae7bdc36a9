//! `vocoder.wave`: mel spectrograms to sound.

use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Value,
};
use lumina_models::vocoder::BigVganConfig;

use crate::value::{TensorValue, VocoderValue, type_of};
use crate::{interrupt, node_error, sizes};

pub(crate) struct VocoderWave;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new("vocoder.wave", 1, "Turns a mel spectrogram into sound")
        .input(InputSpec::required("vocoder", type_of::<VocoderValue>(), "the vocoder"))
        .input(InputSpec::required("mel", type_of::<TensorValue>(), "[batch, bands, frames]"))
        .output("wave", type_of::<TensorValue>(), "[batch, samples] in -1..1")
        .device()
        .example(
            r#""wave": Node(kind: "vocoder.wave", with: { "vocoder": Link("vocoder"), "mel": Link("mel") })"#,
        )
}

impl Node for VocoderWave {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let fact = Fact::of(type_of::<TensorValue>());
        let config = sizes::<BigVganConfig>(inquiry.fact("vocoder"));
        let mel = inquiry.fact("mel").filter(|mel| mel.shape.is_some());
        let Some((config, mel)) = config.zip(mel) else {
            return Ok(Inference::new([fact], Memory::UNKNOWN));
        };
        let fits = mel.shape.as_ref().is_some_and(|shape| shape.len() == 3)
            && mel.dimension(1).is_none_or(|bands| bands == config.num_mels)
            && mel.elements() != Some(0);
        if !fits {
            let message = format!("this vocoder takes [batch, {}, frames]", config.num_mels);
            return Err(vec![Mistake::at("mel", message).code(Code::WrongShape).label(mel.to_string())]);
        }
        let (batch, frames) = (mel.dimension(0), mel.dimension(2));
        let fact = fact.shape([batch, frames.map(|frames| frames * config.hop())]);
        let kept = fact.elements().unwrap_or(0) * 4;
        let working = batch.zip(frames).map_or(0, |(batch, frames)| config.wave_bytes(batch, frames));
        Ok(Inference::new([fact], Memory::new(kept + working, kept)))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let vocoder = call.domain::<VocoderValue>("vocoder")?;
        let mel = call.domain::<TensorValue>("mel")?;
        let wave = vocoder.network.forward(&mel.0, &interrupt(call.cancel)).map_err(node_error)?;
        // One channel.
        let wave = wave.squeeze(1).map_err(|error| NodeError::failed(error.to_string()))?;
        Ok(vec![Value::domain(TensorValue(wave))])
    }
}
