//! `image.encode`: pixels to latents.

use candle_core::Tensor;
use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::Interrupt;
use lumina_models::noise::Generator;
use lumina_models::vae::{AutoencoderKl, Gaussian, VaeConfig};
use lumina_nodes::value::{EncoderValue, Latent, Medium, type_of};
use lumina_nodes::{Compute, interrupt, node_error, sizes};

use crate::image::Image;

pub(crate) struct ImageEncode;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "image.encode",
        1,
        "Encodes a picture into a latent\n\n\
         An encoder gives a normal distribution: `mean` takes its mean, `sample` draws from it with `seed`.",
    )
    .input(InputSpec::required("encoder", type_of::<EncoderValue>(), "the encoder"))
    .input(InputSpec::required("image", type_of::<Image>(), "what to encode"))
    .input(
        InputSpec::default("mode", Type::Text, Value::text("mean"), "`mean` or `sample`").choices(&["mean", "sample"]),
    )
    .input(InputSpec::default("seed", Type::Int, Value::Int(0), "for `sample`").min(0.0))
    .output("latent", type_of::<Latent>(), "the latent, in the scale of the backbone")
    .device()
    .example(r#""latent": Node(kind: "image.encode", with: { "encoder": Link("model.encoder"), "image": Link("photo") })"#)
}

impl Node for ImageEncode {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        if let Some(mistake) = Medium::Image.mistake("encoder", inquiry.fact("encoder")) {
            return Err(vec![mistake]);
        }
        let mut fact = inquiry.fact("encoder").cloned().unwrap_or_else(|| Fact::of(type_of::<Latent>()));
        fact.ty = type_of::<Latent>();
        let (Some(image), Some(downscale)) = (inquiry.fact("image"), fact.int("downscale")) else {
            return Ok(Inference::new([fact], Memory::UNKNOWN));
        };
        let downscale = usize::try_from(downscale).unwrap_or(1).max(1);
        if let (Some(height), Some(width)) = (image.dimension(2), image.dimension(3))
            && (height < downscale || width < downscale)
        {
            let message = format!(
                "the picture is {width} x {height} pixels, smaller than one latent cell of {downscale}"
            );
            return Err(vec![Mistake::at("image", message).code(Code::WrongShape)]);
        }
        let channels = fact.int("channels").and_then(|channels| usize::try_from(channels).ok());
        let cells = |index| image.dimension(index).map(|side| side / downscale);
        let fact = fact.shape([image.dimension(0), channels, cells(2), cells(3)]);
        let bytes = fact.elements().unwrap_or(0) * 4;
        // The moments of the distribution beside the latent.
        let around = bytes * 4;
        let (all, one) = network_bytes(inquiry).unwrap_or_default();
        Ok(Inference::new([fact], Memory::new(around + all, bytes))
            .thrifty("one picture after the other", around + one))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let encoder = call.domain::<EncoderValue>("encoder")?;
        let image = call.domain::<Image>("image")?;
        let network = encoder.image()?;
        let stop = interrupt(call.cancel);
        let gaussian = if call.thrifty {
            one_by_one(network, &image.tensor, &stop)
        } else {
            network.encode(&image.tensor, &stop)
        };
        let gaussian = gaussian.map_err(node_error)?;
        let latent = match call.text("mode")? {
            "sample" => {
                let seed = u64::try_from(call.int("seed")?).unwrap_or(0);
                let noise = Generator::Philox
                    .normal(seed, gaussian.mean.dims(), gaussian.mean.device())
                    .map_err(node_error)?;
                gaussian.sample(&noise).map_err(node_error)?
            }
            _ => gaussian.mean.clone(),
        };
        let tensor = network.config().latent_to_model(&latent).map_err(node_error)?;
        Ok(vec![Value::domain(Latent { tensor, space: encoder.space.clone() })])
    }
}

/// As [`AutoencoderKl::encode`], one picture of the batch after the other.
fn one_by_one(network: &AutoencoderKl, image: &Tensor, stop: &Interrupt) -> lumina_models::Result<Gaussian> {
    let batch = image.dim(0)?;
    let (mut means, mut variances) = (Vec::with_capacity(batch), Vec::with_capacity(batch));
    for index in 0..batch {
        let Gaussian { mean, logvar } = network.encode(&image.narrow(0, index, 1)?, stop)?;
        means.push(mean);
        variances.push(logvar);
    }
    Ok(Gaussian { mean: Tensor::cat(&means, 0)?, logvar: Tensor::cat(&variances, 0)? })
}

/// Bytes that the encoder takes for all pictures at once, and for one after the other.
fn network_bytes(inquiry: &Inquiry<'_>) -> Option<(u64, u64)> {
    let VaeConfig::Image(config) = sizes(inquiry.fact("encoder"))? else { return None };
    let image = inquiry.fact("image")?;
    let size = (image.dimension(2)?, image.dimension(3)?);
    let Compute { device, dtype, .. } = Compute::of(inquiry.world);
    let dtype = AutoencoderKl::compute_type(dtype, &device);
    let bytes = |batch| config.encode_bytes(batch, size, dtype, &device);
    Some((bytes(image.dimension(0)?), bytes(1)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candle_core::{DType, Device};
    use lumina_models::PipelineFolder;

    use super::*;

    #[test]
    fn one_picture_after_the_other_gives_the_same_latents() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../weights/lumina-next-tiny");
        let folder = PipelineFolder::open(&path).unwrap();
        let never = Interrupt::never();
        let network = folder.load_autoencoder(&Device::Cpu, DType::F32, &never).unwrap();
        let pictures = Generator::Philox.normal(1, &[3, 3, 32, 40], &Device::Cpu).unwrap();
        let (together, apart) =
            (network.encode(&pictures, &never).unwrap(), one_by_one(&network, &pictures, &never).unwrap());
        for (together, apart) in [(together.mean, apart.mean), (together.logvar, apart.logvar)] {
            let difference = (together - apart).unwrap().abs().unwrap().max_all().unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 1e-5, "{difference}");
        }
    }
}
