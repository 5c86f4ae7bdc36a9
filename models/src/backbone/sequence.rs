//! Latents of different sizes as one batch of token sequences.

use candle_core::Tensor;

use super::{NextDitConfig, RopeFactors, grid_table, patchify};
use crate::nn::rope::RotaryTable;
use crate::nn::{AttentionMask, Linear};
use crate::{ModelError, Result};

/// Tokens with their positions.
pub(crate) struct Sequence {
    /// `[batch, tokens, hidden_size]`.
    pub(crate) tokens: Tensor,
    pub(crate) table: RotaryTable,
    pub(crate) mask: Option<AttentionMask>,
    /// Rows and columns of patches, one entry for each latent that went in.
    pub(crate) grids: Vec<(usize, usize)>,
}

impl Sequence {
    /// A batch of latents of one size, `[batch, channels, height, width]`.
    pub(crate) fn of_batch(
        latent: &Tensor,
        embedder: &Linear,
        config: &NextDitConfig,
        factors: RopeFactors,
    ) -> Result<Self> {
        let (rows, columns) = grid_of(latent, config)?;
        let tokens = embedder.forward(&patchify(latent, config.patch_size)?)?;
        let table = grid_table(rows, columns, config.head_dim(), factors, latent.device())?;
        Ok(Self { tokens, table, mask: None, grids: vec![(rows, columns)] })
    }

    /// Latents `[channels, height, width]` of any sizes, filled with `pad_token` to the longest; padding takes the
    /// position of the last token and is not seen.
    ///
    /// Source: the list branch of `NextDiT.patchify_and_embed` of Lumina-T2X `models/model.py`.
    pub(crate) fn of_list(
        latents: &[Tensor],
        embedder: &Linear,
        pad_token: &Tensor,
        config: &NextDitConfig,
        factors: RopeFactors,
    ) -> Result<Self> {
        let mut single = Vec::with_capacity(latents.len());
        for latent in latents {
            single.push(Self::of_batch(&latent.unsqueeze(0)?, embedder, config, factors)?);
        }
        let lengths = single.iter().map(|one| one.tokens.dim(1)).collect::<candle_core::Result<Vec<_>>>()?;
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let (mut tokens, mut cos, mut sin, mut mask) = (vec![], vec![], vec![], vec![]);
        for (one, &length) in single.iter().zip(&lengths) {
            let missing = longest - length;
            let fill = pad_token.reshape((1, 1, ()))?.repeat((1, missing, 1))?;
            tokens.push(if missing == 0 {
                one.tokens.clone()
            } else {
                Tensor::cat(&[&one.tokens, &fill], 1)?
            });
            cos.push(repeat_last(&one.table.cos, missing)?);
            sin.push(repeat_last(&one.table.sin, missing)?);
            mask.push([vec![1; length], vec![0; missing]].concat());
        }
        let table = RotaryTable { cos: Tensor::stack(&cos, 0)?, sin: Tensor::stack(&sin, 0)? };
        let tokens = Tensor::cat(&tokens, 0)?;
        let mask = AttentionMask::keys(&mask, tokens.device())?;
        let grids = single.iter().flat_map(|one| one.grids.iter().copied()).collect();
        Ok(Self { tokens, table, mask: Some(mask), grids })
    }
}

fn repeat_last(table: &Tensor, times: usize) -> Result<Tensor> {
    if times == 0 {
        return Ok(table.clone());
    }
    let last = table.narrow(0, table.dim(0)? - 1, 1)?.repeat((times, 1))?;
    Ok(Tensor::cat(&[table, &last], 0)?)
}

fn grid_of(latent: &Tensor, config: &NextDitConfig) -> Result<(usize, usize)> {
    let patch = config.patch_size;
    let fits = |side: &usize| *side > 0 && side.is_multiple_of(patch);
    match latent.dims() {
        [batch, channels, height, width]
            if *batch > 0 && *channels == config.in_channels && fits(height) && fits(width) =>
        {
            Ok((height / patch, width / patch))
        }
        found => {
            let expected =
                format!("[batch, {}, height, width] with sides that {patch} divides", config.in_channels);
            Err(ModelError::input("the latent", expected, format!("{found:?}")))
        }
    }
}
