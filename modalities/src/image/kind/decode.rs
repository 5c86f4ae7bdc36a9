//! `image.decode`: latents to pixels.

use candle_core::Tensor;
use lumina_engine::{
    Call, Fact, Inference, InputSpec, Inquiry, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::vae::TileOptions;
use lumina_nodes::value::{DecoderValue, Latent, type_of};
use lumina_nodes::{interrupt, node_error};

use crate::image::Image;

pub(crate) struct ImageDecode;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "image.decode",
        1,
        "Decodes a latent into a picture\n\n\
         A latent larger than `tile` is decoded in overlapping tiles, which bounds memory; a tiled picture differs a\n\
         little from a whole one.",
    )
    .input(InputSpec::required("decoder", type_of::<DecoderValue>(), "the decoder"))
    .input(InputSpec::required("latent", type_of::<Latent>(), "what to decode"))
    .input(InputSpec::default("tile", Type::Int, Value::Int(128), "side of a tile, in latent cells").min(8.0).max(8192.0))
    .input(InputSpec::default("overlap", Type::Int, Value::Int(32), "latent cells that neighbouring tiles share").min(0.0).max(4096.0))
    .output("image", type_of::<Image>(), "the picture")
    .example(r#""image": Node(kind: "image.decode", with: { "decoder": Link("model.decoder"), "latent": Link("latent") })"#)
}

impl Node for ImageDecode {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let mut mistakes: Vec<Mistake> = inquiry.same("space", "latent", "decoder").into_iter().collect();
        if let (Some(tile), Some(overlap)) = (inquiry.int("tile"), inquiry.int("overlap"))
            && overlap * 2 > tile
        {
            let message = format!("`overlap` is {overlap}, above half of `tile` {tile}");
            mistakes.push(Mistake::at("overlap", message).also("tile", "this tile"));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let fact = Fact::of(type_of::<Image>());
        let (Some(latent), Some(decoder)) = (inquiry.fact("latent"), inquiry.fact("decoder")) else {
            return Ok(Inference::outputs([fact]));
        };
        let downscale = decoder.int("downscale").and_then(|downscale| usize::try_from(downscale).ok());
        let side = |index| latent.dimension(index).zip(downscale).map(|(cells, downscale)| cells * downscale);
        let fact = fact.shape([latent.dimension(0), Some(3), side(2), side(3)]);
        let bytes = fact.elements().unwrap_or(0) * 4;
        let tile_side =
            inquiry.size("tile").zip(downscale).map_or(0, |(tile, downscale)| (tile * downscale) as u64);
        let whole = side(2).zip(side(3)).map_or(0, |(height, width)| (height * width) as u64);
        // At full size a decoder of this family holds about four activations of 128 channels of a tile.
        let tile = whole.min(tile_side * tile_side);
        Ok(Inference::outputs([fact]).working_bytes(bytes + tile * 128 * 4 * 4).output_bytes(bytes))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let decoder = call.domain::<DecoderValue>("decoder")?;
        let latent = call.domain::<Latent>("latent")?;
        if latent.space != decoder.space {
            let message = format!("the latent has {}, the decoder reads {}", latent.space, decoder.space);
            return Err(NodeError::failed(message));
        }
        let tiles = TileOptions { size: call.size("tile")?, overlap: call.size("overlap")? };
        let stop = interrupt(call.cancel);
        let network = &decoder.network;
        let latents = network.config().model_to_latent(&latent.tensor).map_err(node_error)?;
        let batch = latents.dim(0).map_err(candle_error)?;
        // One picture at a time: a decoder's activations are far larger than its pictures.
        let mut pictures = Vec::with_capacity(batch);
        for index in 0..batch {
            let one = latents.narrow(0, index, 1).and_then(|one| one.contiguous()).map_err(candle_error)?;
            pictures.push(network.decode_tiled(&one, &tiles, &stop).map_err(node_error)?);
            call.progress(index as u64 + 1, batch as u64, "picture");
        }
        let tensor = Tensor::cat(&pictures, 0).map_err(candle_error)?;
        // One NaN in a sum makes it a NaN: a whole picture is looked at in one number.
        let sum = tensor.sum_all().and_then(|sum| sum.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>());
        if !sum.map_err(candle_error)?.is_finite() {
            return Err(NodeError::failed("the decoded picture has values that are not finite numbers"));
        }
        Ok(vec![Value::domain(Image { tensor })])
    }
}

fn candle_error(error: candle_core::Error) -> NodeError {
    NodeError::failed(error.to_string())
}
