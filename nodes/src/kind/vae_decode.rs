//! `vae.decode`: latents of an autoencoder to tensors.

use lumina_engine::{
    Call, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Value,
};
use lumina_models::vae::{AutoencoderKl, VaeConfig};

use super::vae_encode::sides;
use crate::value::{DecoderValue, TensorValue, type_of};
use crate::{Compute, interrupt, node_error, sizes};

pub(crate) struct VaeDecode;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "vae.decode",
        1,
        "Decodes a tensor with an autoencoder\n\n\
         For looking inside, for sound, and for comparing with other implementations. The latent is in the encoder's own\n\
         scale, not in that of a backbone; `image.decode` takes the latents of a backbone.",
    )
    .input(InputSpec::required("decoder", type_of::<DecoderValue>(), "the decoder"))
    .input(InputSpec::required(
        "latent",
        type_of::<TensorValue>(),
        "[batch, latent channels, height, width], of a mel autoencoder [batch, latent channels, frames]",
    ))
    .output("tensor", type_of::<TensorValue>(), "pixels, about -1..1, or a mel spectrogram")
    .device()
    .example(r#""mel": Node(kind: "vae.decode", with: { "decoder": Link("vae.decoder"), "latent": Link("moments.mean") })"#)
}

impl Node for VaeDecode {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let fact = Fact::of(type_of::<TensorValue>());
        let unknown = Inference::new([fact.clone()], Memory::UNKNOWN);
        let Some(config) = sizes::<VaeConfig>(inquiry.fact("decoder")) else { return Ok(unknown) };
        let found = sides(inquiry, "latent", &config, config.latent_channels(), 1)?;
        let Some((batch, sides)) = found else { return Ok(unknown) };
        let scale = config.downscale();
        let shape: Vec<Option<usize>> = [batch, Some(config.out_channels())]
            .into_iter()
            .chain(sides.iter().map(|side| side.map(|side| side * scale)))
            .collect();
        let fact = fact.shape(shape);
        let kept = fact.elements().unwrap_or(0) * 4;
        let known: Option<Vec<usize>> = sides.into_iter().collect();
        let Compute { device, dtype, .. } = Compute::of(inquiry.world);
        let dtype = AutoencoderKl::compute_type(dtype, &device);
        let working =
            batch.zip(known).map(|(batch, sides)| config.decode_bytes(batch, &sides, dtype, &device));
        Ok(Inference::new([fact], Memory::new(kept + working.unwrap_or(0), kept)))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let decoder = call.domain::<DecoderValue>("decoder")?;
        let latent = call.domain::<TensorValue>("latent")?;
        let tensor = decoder.network.decode(&latent.0, &interrupt(call.cancel)).map_err(node_error)?;
        Ok(vec![Value::domain(TensorValue(tensor))])
    }
}
