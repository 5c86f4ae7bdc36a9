//! `image.encode`: pixels to latents.

use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::noise::Generator;
use lumina_nodes::value::{EncoderValue, Latent, type_of};
use lumina_nodes::{interrupt, node_error};

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
    .example(r#""latent": Node(kind: "image.encode", with: { "encoder": Link("model.encoder"), "image": Link("photo") })"#)
}

impl Node for ImageEncode {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let mut fact = inquiry.fact("encoder").cloned().unwrap_or_else(|| Fact::of(type_of::<Latent>()));
        fact.ty = type_of::<Latent>();
        let (Some(image), Some(downscale)) = (inquiry.fact("image"), fact.int("downscale")) else {
            return Ok(Inference::outputs([fact]));
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
        let pixels = image.elements().unwrap_or(0) / 3;
        Ok(Inference::outputs([fact]).working_bytes(bytes + pixels * 128 * 4 * 4).output_bytes(bytes))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let encoder = call.domain::<EncoderValue>("encoder")?;
        let image = call.domain::<Image>("image")?;
        let network = &encoder.network;
        let gaussian = network.encode(&image.tensor, &interrupt(call.cancel)).map_err(node_error)?;
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
