//! `vae.encode`: tensors to latents of an autoencoder.

use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Value,
};
use lumina_models::vae::{AutoencoderKl, VaeConfig};

use crate::value::{EncoderValue, TensorValue, type_of};
use crate::{Compute, interrupt, node_error, sizes};

pub(crate) struct VaeEncode;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "vae.encode",
        1,
        "Encodes a tensor with an autoencoder\n\n\
         For looking inside, for sound, and for comparing with other implementations. Latents are in the encoder's own\n\
         scale, not in that of a backbone.",
    )
    .input(InputSpec::required("encoder", type_of::<EncoderValue>(), "the encoder"))
    .input(InputSpec::required(
        "tensor",
        type_of::<TensorValue>(),
        "pixels [batch, channels, height, width] in -1..1, or a mel spectrogram [batch, bands, frames]",
    ))
    .output("mean", type_of::<TensorValue>(), "[batch, latent channels, height, width] or [batch, latent channels, frames]")
    .output("logvar", type_of::<TensorValue>(), "the logarithm of the variance, of the same shape")
    .device()
    .example(r#""moments": Node(kind: "vae.encode", with: { "encoder": Link("vae.encoder"), "tensor": Link("pixels") })"#)
}

impl Node for VaeEncode {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let fact = || Fact::of(type_of::<TensorValue>());
        let unknown = Inference::new([fact(), fact()], Memory::UNKNOWN);
        let Some(config) = sizes::<VaeConfig>(inquiry.fact("encoder")) else { return Ok(unknown) };
        let scale = config.downscale();
        let sides = sides(inquiry, "tensor", &config, config.in_channels(), scale)?;
        let Some((batch, sides)) = sides else { return Ok(unknown) };
        let shape: Vec<Option<usize>> = [batch, Some(config.latent_channels())]
            .into_iter()
            .chain(sides.iter().map(|side| side.map(|side| side / scale)))
            .collect();
        let latent = fact().shape(shape);
        let kept = latent.elements().unwrap_or(0) * 2 * 4;
        let known: Option<Vec<usize>> = sides.into_iter().collect();
        let Compute { device, dtype, .. } = Compute::of(inquiry.world);
        let dtype = AutoencoderKl::compute_type(dtype, &device);
        let working =
            batch.zip(known).map(|(batch, sides)| config.encode_bytes(batch, &sides, dtype, &device));
        Ok(Inference::new([latent.clone(), latent], Memory::new(kept + working.unwrap_or(0), kept)))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let encoder = call.domain::<EncoderValue>("encoder")?;
        let tensor = call.domain::<TensorValue>("tensor")?;
        let moments = encoder.network.encode(&tensor.0, &interrupt(call.cancel)).map_err(node_error)?;
        Ok(vec![Value::domain(TensorValue(moments.mean)), Value::domain(TensorValue(moments.logvar))])
    }
}

/// Batch and sides of a tensor, as far as they are known.
pub(super) type Sides = (Option<usize>, Vec<Option<usize>>);

/// Batch and sides of the tensor of an input, as far as they are known.
///
/// # Errors
/// A mistake when it does not have `channels` channels and sides of at least `least`.
pub(super) fn sides(
    inquiry: &Inquiry<'_>,
    input: &str,
    config: &VaeConfig,
    channels: usize,
    least: usize,
) -> Result<Option<Sides>, Vec<Mistake>> {
    let Some(tensor) = inquiry.fact(input).filter(|fact| fact.shape.is_some()) else { return Ok(None) };
    let rank = tensor.shape.as_ref().map_or(0, Vec::len);
    let sides: Vec<Option<usize>> = (2..rank).map(|index| tensor.dimension(index)).collect();
    let fits = rank == config.rank()
        && tensor.dimension(0) != Some(0)
        && tensor.dimension(1).is_none_or(|found| found == channels)
        && sides.iter().flatten().all(|side| *side >= least);
    if fits {
        return Ok(Some((tensor.dimension(0), sides)));
    }
    let named = if config.rank() == 4 { "height, width" } else { "frames" };
    let at_least = if least > 1 { format!(" with sides of at least {least}") } else { String::new() };
    let message = format!("this {} takes [batch, {channels}, {named}]{at_least}", config.name());
    Err(vec![Mistake::at(input, message).code(Code::WrongShape).label(tensor.to_string())])
}
