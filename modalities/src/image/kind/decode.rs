//! `image.decode`: latents to pixels.

use candle_core::Tensor;
use lumina_engine::{
    Call, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::vae::{AutoencoderKl, TileOptions, VaeConfig};
use lumina_nodes::value::{DecoderValue, Latent, Medium, type_of};
use lumina_nodes::{Compute, interrupt, node_error, sizes};

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
    .device()
    .example(r#""image": Node(kind: "image.decode", with: { "decoder": Link("model.decoder"), "latent": Link("latent") })"#)
}

impl Node for ImageDecode {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let other_medium = Medium::Image.mistake("decoder", inquiry.fact("decoder"));
        let other_space = || inquiry.same("space", "latent", "decoder");
        let mut mistakes: Vec<Mistake> = other_medium.or_else(other_space).into_iter().collect();
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
            return Ok(Inference::new([fact], Memory::UNKNOWN));
        };
        let downscale = decoder.int("downscale").and_then(|downscale| usize::try_from(downscale).ok());
        let side = |index| latent.dimension(index).zip(downscale).map(|(cells, downscale)| cells * downscale);
        let fact = fact.shape([latent.dimension(0), Some(3), side(2), side(3)]);
        let bytes = fact.elements().unwrap_or(0) * 4;
        let several = latent.dimension(0).is_some_and(|batch| batch > 1);
        // Several pictures are joined in the end.
        let pictures = if several { 2 * bytes } else { bytes };
        let Some(needs) = needs(inquiry, pictures) else {
            return Ok(Inference::new([fact], Memory::new(pictures, bytes)));
        };
        Ok(Inference::new([fact], Memory::new(needs.working, bytes)).thrifty(needs.how, needs.thrifty))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let decoder = call.domain::<DecoderValue>("decoder")?;
        let latent = call.domain::<Latent>("latent")?;
        if latent.space != decoder.space {
            let message = format!("the latent has {}, the decoder reads {}", latent.space, decoder.space);
            return Err(NodeError::failed(message));
        }
        let tiles = TileOptions { size: call.size("tile")?, overlap: call.size("overlap")? };
        let tiles = if call.thrifty { smaller(&tiles) } else { tiles };
        let stop = interrupt(call.cancel);
        let network = decoder.image()?;
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

/// Side of a tile where memory is short, in latent cells.
const SMALL_TILE: usize = 32;

/// Tiles for where memory is short; they overlap in a quarter, as those of the default do.
fn smaller(tiles: &TileOptions) -> TileOptions {
    let size = tiles.size.min(SMALL_TILE);
    TileOptions { size, overlap: tiles.overlap.min(size / 4) }
}

/// What decoding takes, in bytes.
struct Needs {
    working: u64,
    thrifty: u64,
    how: String,
}

/// What decoding takes beside the bytes of the pictures.
fn needs(inquiry: &Inquiry<'_>, pictures: u64) -> Option<Needs> {
    let VaeConfig::Image(config) = sizes(inquiry.fact("decoder"))? else { return None };
    let latent = inquiry.fact("latent")?;
    let size = (latent.dimension(2)?, latent.dimension(3)?);
    let tiles = TileOptions { size: inquiry.size("tile")?, overlap: inquiry.size("overlap")? };
    let Compute { device, dtype, .. } = Compute::of(inquiry.world);
    let dtype = AutoencoderKl::compute_type(dtype, &device);
    let bytes = |tiles: &TileOptions| pictures + config.decode_tiled_bytes(size, tiles, dtype, &device);
    let small = smaller(&tiles);
    Some(Needs {
        working: bytes(&tiles),
        thrifty: bytes(&small),
        how: format!("decoded in tiles of {} cells", small.size),
    })
}

fn candle_error(error: candle_core::Error) -> NodeError {
    NodeError::failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candle_core::{DType, Device};
    use lumina_models::{Interrupt, PipelineFolder};

    use super::*;

    /// A picture with slopes, edges and every colour, 320 x 384 pixels.
    fn picture() -> Tensor {
        let value = |channel: usize, row: usize, column: usize| {
            let wave = ((row as f32 * 0.03 + channel as f32).sin() + (column as f32 * 0.02).cos()) / 2.0;
            if row / 64 % 2 == column / 64 % 2 { wave } else { -wave }
        };
        let values: Vec<f32> = (0..3)
            .flat_map(|channel| (0..320).map(move |row| (channel, row)))
            .flat_map(|(channel, row)| (0..384).map(move |column| value(channel, row, column)))
            .collect();
        Tensor::from_vec(values, (1, 3, 320, 384), &Device::Cpu).unwrap()
    }

    #[test]
    fn small_tiles_give_nearly_the_same_picture() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../weights/lumina-next-tiny");
        let folder = PipelineFolder::open(&path).unwrap();
        let never = Interrupt::never();
        let network = folder.load_autoencoder(&Device::Cpu, DType::F32, &never).unwrap();
        let latent = network.encode(&picture(), &never).unwrap().mean;
        let tiles = TileOptions::default();
        assert_eq!(smaller(&tiles), TileOptions { size: 32, overlap: 8 });
        let whole = network.decode_tiled(&latent, &tiles, &never).unwrap();
        let tiled = network.decode_tiled(&latent, &smaller(&tiles), &never).unwrap();
        let apart = (whole - tiled).unwrap().abs().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(apart > 0.0 && apart < 0.02, "{apart}");
    }
}
