//! Decoding a large latent in pieces that overlap.

use crate::{ModelError, Result};

/// How a latent is cut for decoding. Sizes are in latent pixels.
///
/// Tiles bound the memory of a decode. Norms and attention then see one tile at a time, so a tiled picture differs a
/// little from a whole one; the overlaps are blended linearly, so that no seams show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileOptions {
    /// Side of a tile. A latent no larger than this is decoded whole.
    pub size: usize,
    /// Pixels that neighbouring tiles share; at most half a tile.
    pub overlap: usize,
}

impl Default for TileOptions {
    /// 128 latent pixels are 1024 pixels of a picture: the training size stays in one piece.
    fn default() -> Self {
        Self { size: 128, overlap: 32 }
    }
}

impl TileOptions {
    pub(crate) fn check(&self) -> Result<()> {
        if self.size == 0 || self.overlap > self.size / 2 {
            let expected = "a size above 0 and an overlap of at most half of it";
            return Err(ModelError::input("the tile options", expected, format!("{self:?}")));
        }
        Ok(())
    }

    /// First and one past the last pixel of each tile along one side.
    pub(crate) fn cut(&self, length: usize) -> Vec<(usize, usize)> {
        if length <= self.size {
            return vec![(0, length)];
        }
        let step = (self.size - self.overlap).max(1);
        let count = (length - self.size).div_ceil(step) + 1;
        // The last tile is moved back rather than cut: a narrow tile would have norms of its own.
        (0..count)
            .map(|index| {
                let start = (index * step).min(length - self.size);
                (start, start + self.size)
            })
            .collect()
    }

    /// The weight of each picture pixel of a tile along one side: rising and falling where it overlaps a neighbour.
    pub(crate) fn ramp(&self, (start, end): (usize, usize), length: usize, downscale: usize) -> Vec<f32> {
        let size = (end - start) * downscale;
        let overlap = (self.overlap * downscale).max(1) as f32;
        (0..size)
            .map(|pixel| {
                let rise = if start > 0 { (pixel as f32 + 0.5) / overlap } else { 1.0 };
                let fall = if end < length { ((size - pixel) as f32 - 0.5) / overlap } else { 1.0 };
                rise.min(fall).min(1.0)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tiles_cover_every_pixel_and_never_weigh_zero(length in 1_usize..80, size in 1_usize..20, share in 0_usize..10) {
            let options = TileOptions { size, overlap: share.min(size / 2) };
            let mut weight = vec![0.0_f32; length * 2];
            for tile in options.cut(length) {
                prop_assert!(tile.1 <= length && tile.0 < tile.1);
                for (index, part) in options.ramp(tile, length, 2).into_iter().enumerate() {
                    weight[tile.0 * 2 + index] += part;
                }
            }
            prop_assert!(weight.iter().all(|&part| part > 0.0));
        }
    }
}
