//! Latents as token sequences and back.

use candle_core::Tensor;

use super::{DitSizes, RopeChange, frames_table, grid_table, line_table, patchify, unpatchify};
use crate::nn::rope::RotaryTable;
use crate::nn::{AttentionMask, Linear};
use crate::{ModelError, Result};

/// How a network lays out the tokens of a latent, and where it sees them stand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout<'a> {
    /// Row by row, positions in two axes (Next-DiT).
    Grid,
    /// Frame by frame and row by row, positions in three axes (Next-DiT, for latents of several frames).
    Frames,
    /// Row by row, positions along the sequence (Flag-DiT).
    Line {
        /// `[nextline]`: closes every row, also the last.
        row_end: Option<&'a Tensor>,
        /// `[nextframe]`: closes every frame of a latent of several.
        frame_end: Option<&'a Tensor>,
    },
}

/// Rows and columns of patches of every frame of a latent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) frames: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// Tokens with their positions.
pub(crate) struct Sequence {
    /// `[batch, tokens, hidden_size]`.
    pub(crate) tokens: Tensor,
    pub(crate) table: RotaryTable,
    pub(crate) mask: Option<AttentionMask>,
    /// One entry for each latent that went in.
    pub(crate) grids: Vec<Grid>,
}

/// Makes sequences for one network.
pub(crate) struct Sequencer<'a> {
    pub(crate) embedder: &'a Linear,
    pub(crate) sizes: &'a DitSizes,
    pub(crate) layout: Layout<'a>,
    pub(crate) rope: RopeChange,
}

impl Sequencer<'_> {
    /// A batch of latents of one size, `[batch, channels, height, width]`.
    pub(crate) fn batch(&self, latent: &Tensor) -> Result<Sequence> {
        let (rows, columns) = self.grid_of(latent)?;
        let grid = Grid { frames: 1, rows, columns };
        let tokens = self.embed(latent, grid)?;
        let table = self.table(grid, tokens.dim(1)?)?;
        Ok(Sequence { tokens, table, mask: None, grids: vec![grid] })
    }

    /// A batch of latents of several frames, `[batch, channels, frames, height, width]`.
    pub(crate) fn frames(&self, latent: &Tensor) -> Result<Sequence> {
        let [batch, channels, frames, height, width] = *latent.dims() else {
            let expected = format!("[batch, {}, frames, height, width]", self.sizes.in_channels);
            return Err(ModelError::input("the latent", expected, format!("{:?}", latent.dims())));
        };
        let single =
            latent.transpose(1, 2)?.contiguous()?.reshape((batch * frames, channels, height, width))?;
        let (rows, columns) = self.grid_of(&single)?;
        let grid = Grid { frames, rows, columns };
        let mut tokens = self.embed(&single, grid)?;
        let size = tokens.dim(2)?;
        if let Layout::Line { frame_end: Some(end), .. } = self.layout {
            let end = end.reshape((1, 1, size))?.repeat((batch * frames, 1, 1))?;
            tokens = Tensor::cat(&[&tokens, &end], 1)?;
        }
        let length = frames * tokens.dim(1)?;
        let tokens = tokens.reshape((batch, length, size))?;
        Ok(Sequence { tokens, table: self.table(grid, length)?, mask: None, grids: vec![grid] })
    }

    /// Latents `[channels, height, width]` of any sizes, filled with `pad_token` to the longest; padding is not seen.
    ///
    /// Source: the list branch of `patchify_and_embed` of Lumina-T2X `lumina_t2i/models/model.py` and
    /// `lumina_next_t2i/models/model.py`.
    pub(crate) fn list(&self, latents: &[Tensor], pad_token: &Tensor) -> Result<Sequence> {
        let mut single = Vec::with_capacity(latents.len());
        for latent in latents {
            single.push(self.batch(&latent.unsqueeze(0)?)?);
        }
        let lengths = single.iter().map(|one| one.tokens.dim(1)).collect::<candle_core::Result<Vec<_>>>()?;
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let (mut tokens, mut tables, mut mask) = (vec![], vec![], vec![]);
        for (one, &length) in single.iter().zip(&lengths) {
            let missing = longest - length;
            let fill = pad_token.reshape((1, 1, ()))?.repeat((1, missing, 1))?;
            tokens.push(if missing == 0 {
                one.tokens.clone()
            } else {
                Tensor::cat(&[&one.tokens, &fill], 1)?
            });
            // The positions of padding mean nothing; in two axes it takes that of the last token.
            tables.push(repeat_last(&one.table, missing)?);
            mask.push([vec![1; length], vec![0; missing]].concat());
        }
        let cos: Vec<_> = tables.iter().map(|table| &table.cos).collect();
        let sin: Vec<_> = tables.iter().map(|table| &table.sin).collect();
        let table = RotaryTable { cos: Tensor::stack(&cos, 0)?, sin: Tensor::stack(&sin, 0)? };
        let tokens = Tensor::cat(&tokens, 0)?;
        let mask = AttentionMask::keys(&mask, tokens.device())?;
        let grids = single.iter().flat_map(|one| one.grids.iter().copied()).collect();
        Ok(Sequence { tokens, table, mask: Some(mask), grids })
    }

    /// The output of the network as latents, `[batch, channels, height, width]`, or with an axis of frames before the
    /// height where the layout has frames.
    ///
    /// # Shapes
    /// `output` is `[batch, tokens, features]`; tokens beyond those of `grid` are padding.
    pub(crate) fn latents(&self, output: &Tensor, grid: Grid) -> Result<Tensor> {
        let (batch, _, features) = output.dims3()?;
        let (row_end, frame_end) = match self.layout {
            Layout::Grid | Layout::Frames => (false, false),
            Layout::Line { row_end, frame_end } => (row_end.is_some(), frame_end.is_some()),
        };
        let columns = grid.columns + usize::from(row_end);
        let frame = grid.rows * columns + usize::from(frame_end);
        let cells = output
            .narrow(1, 0, grid.frames * frame)?
            .contiguous()?
            .reshape((batch * grid.frames, frame, features))?
            .narrow(1, 0, grid.rows * columns)?
            .contiguous()?
            .reshape((batch * grid.frames, grid.rows, columns, features))?
            .narrow(2, 0, grid.columns)?
            .contiguous()?
            .reshape((batch * grid.frames, grid.rows * grid.columns, features))?;
        let latent = unpatchify(&cells, (grid.rows, grid.columns), self.sizes.patch_size)?;
        if !frame_end && !matches!(self.layout, Layout::Frames) {
            return Ok(latent);
        }
        let (_, channels, height, width) = latent.dims4()?;
        let latent = latent.reshape((batch, grid.frames, channels, height, width))?;
        Ok(latent.transpose(1, 2)?.contiguous()?)
    }

    /// Embedded patches with the tokens that close rows.
    fn embed(&self, latent: &Tensor, grid: Grid) -> Result<Tensor> {
        let tokens = self.embedder.forward(&patchify(latent, self.sizes.patch_size)?)?;
        let Layout::Line { row_end: Some(end), .. } = self.layout else { return Ok(tokens) };
        let (batch, _, size) = tokens.dims3()?;
        let rows = tokens.reshape((batch, grid.rows, grid.columns, size))?;
        let end = end.reshape((1, 1, 1, size))?.repeat((batch, grid.rows, 1, 1))?;
        Ok(Tensor::cat(&[&rows, &end], 2)?.reshape((batch, grid.rows * (grid.columns + 1), size))?)
    }

    fn table(&self, grid: Grid, length: usize) -> Result<RotaryTable> {
        let (head_dim, device) = (self.sizes.head_dim(), self.embedder.device());
        match self.layout {
            Layout::Grid => grid_table(grid.rows, grid.columns, head_dim, self.rope, device),
            Layout::Frames => {
                frames_table((grid.frames, grid.rows, grid.columns), head_dim, self.rope, device)
            }
            Layout::Line { .. } => line_table(length, head_dim, self.rope, device),
        }
    }

    fn grid_of(&self, latent: &Tensor) -> Result<(usize, usize)> {
        let patch = self.sizes.patch_size;
        let fits = |side: &usize| *side > 0 && side.is_multiple_of(patch);
        match latent.dims() {
            [batch, channels, height, width]
                if *batch > 0 && *channels == self.sizes.in_channels && fits(height) && fits(width) =>
            {
                Ok((height / patch, width / patch))
            }
            found => {
                let channels = self.sizes.in_channels;
                let expected = format!("[batch, {channels}, height, width] with sides that {patch} divides");
                Err(ModelError::input("the latent", expected, format!("{found:?}")))
            }
        }
    }
}

fn repeat_last(table: &RotaryTable, times: usize) -> Result<RotaryTable> {
    if times == 0 {
        return Ok(table.clone());
    }
    let longer = |part: &Tensor| -> Result<Tensor> {
        let last = part.narrow(0, part.dim(0)? - 1, 1)?.repeat((times, 1))?;
        Ok(Tensor::cat(&[part, &last], 0)?)
    };
    Ok(RotaryTable { cos: longer(&table.cos)?, sin: longer(&table.sin)? })
}
