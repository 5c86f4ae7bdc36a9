//! Several captions for one picture, each for a part of it.

use candle_core::{Device, Tensor};

use crate::{ModelError, Result};

/// A caption for a part of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// The latent of the batch that the caption is for.
    pub latent: usize,
    /// How much each token of it takes from the caption, row by row; 1 for all, 0 for none, and what is between.
    pub weights: Vec<f32>,
}

/// How the cells of a grid are given to captions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CellOrder {
    /// Row by row, left to right.
    #[default]
    Rows,
    /// `(row + 1) * (column + 1) - 1`, as the reference has it. The same for a single row or column; in a grid of 2 x 2
    /// the cells get captions 0, 1, 1, 3.
    Reference,
}

impl Region {
    /// A caption for a whole latent of `tokens` tokens.
    pub fn whole(latent: usize, tokens: usize) -> Self {
        Self { latent, weights: vec![1.0; tokens] }
    }

    /// One region for each cell of a grid of `cells` (rows, columns) over latent `latent` of `grid` (rows, columns)
    /// tokens. Tokens beyond the last whole cell get no caption.
    ///
    /// Source: `NextDiT.forward_with_cfg` of Lumina-T2X `lumina_next_compositional_generation/models/model.py`.
    ///
    /// # Errors
    /// [`ModelError::Input`] for no cells, or more cells than tokens along an axis.
    pub fn cells(
        latent: usize,
        grid: (usize, usize),
        cells: (usize, usize),
        order: CellOrder,
    ) -> Result<Vec<Self>> {
        if cells.0 == 0 || cells.1 == 0 || cells.0 > grid.0 || cells.1 > grid.1 {
            let expected = format!("1 x 1 up to {} x {}", grid.0, grid.1);
            return Err(ModelError::input("the grid of captions", expected, format!("{cells:?}")));
        }
        let (height, width) = (grid.0 / cells.0, grid.1 / cells.1);
        let mut regions = vec![Self { latent, weights: vec![0.0; grid.0 * grid.1] }; cells.0 * cells.1];
        for row in 0..height * cells.0 {
            for column in 0..width * cells.1 {
                let cell = (row / height, column / width);
                let caption = match order {
                    CellOrder::Rows => cell.0 * cells.1 + cell.1,
                    CellOrder::Reference => (cell.0 + 1) * (cell.1 + 1) - 1,
                };
                let region = regions.get_mut(caption);
                if let Some(weight) = region.and_then(|region| region.weights.get_mut(row * grid.1 + column))
                {
                    *weight = 1.0;
                }
            }
        }
        Ok(regions)
    }
}

/// Regions as tensors.
#[derive(Clone, Debug)]
pub(crate) struct Regions {
    /// The latent of each caption, `[captions]`.
    pub(crate) owners: Tensor,
    /// `[captions, 1, tokens, 1]`.
    pub(crate) weights: Tensor,
}

impl Regions {
    /// The regions, and the number of latents that they are for.
    pub(crate) fn new(regions: &[Region], device: &Device) -> Result<(Self, usize)> {
        let tokens = regions.first().map_or(0, |region| region.weights.len());
        if tokens == 0 || regions.iter().any(|region| region.weights.len() != tokens) {
            let found: Vec<_> = regions.iter().map(|region| region.weights.len()).collect();
            return Err(ModelError::input(
                "the weights of the regions",
                "as many for each",
                format!("{found:?}"),
            ));
        }
        // Each latent needs a caption, so there cannot be more latents than captions.
        if let Some(region) = regions.iter().find(|region| region.latent >= regions.len()) {
            let expected = format!("below {}", regions.len());
            return Err(ModelError::input("the latent of a region", expected, region.latent.to_string()));
        }
        let owners: Vec<u32> = regions.iter().map(|region| region.latent as u32).collect();
        let batch = owners.iter().max().map_or(0, |&last| last as usize + 1);
        let weights: Vec<f32> = regions.iter().flat_map(|region| region.weights.iter().copied()).collect();
        let regions = Self {
            owners: Tensor::from_vec(owners, regions.len(), device)?,
            weights: Tensor::from_vec(weights, (regions.len(), 1, tokens, 1), device)?,
        };
        Ok((regions, batch))
    }

    pub(crate) fn tokens(&self) -> usize {
        self.weights.dims().get(2).copied().unwrap_or(0)
    }

    /// The captions of the latents `start..start + count` by number, and their regions.
    pub(crate) fn rows(&self, start: usize, count: usize) -> Result<(Tensor, Self)> {
        let owners = self.owners.to_vec1::<u32>()?;
        let inside = |owner: u32| (owner as usize).checked_sub(start).filter(|row| *row < count);
        let kept: Vec<(u32, u32)> = (0_u32..)
            .zip(owners)
            .filter_map(|(caption, owner)| inside(owner).map(|row| (caption, row as u32)))
            .collect();
        let (kept, owners): (Vec<u32>, Vec<u32>) = kept.into_iter().unzip();
        let device = self.owners.device();
        let kept = Tensor::from_vec(kept, owners.len(), device)?;
        let count = owners.len();
        let owners = Tensor::from_vec(owners, count, device)?;
        Ok((kept.clone(), Self { owners, weights: self.weights.index_select(&kept, 0)? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_do_not_fill_the_grid_leave_tokens_without_a_caption() {
        let regions = Region::cells(0, (2, 5), (1, 2), CellOrder::Rows).unwrap();
        assert_eq!(regions[0].weights, [1., 1., 0., 0., 0., 1., 1., 0., 0., 0.]);
        assert_eq!(regions[1].weights, [0., 0., 1., 1., 0., 0., 0., 1., 1., 0.]);
    }

    #[test]
    fn the_order_of_the_reference_gives_one_caption_two_cells() {
        let regions = Region::cells(0, (2, 2), (2, 2), CellOrder::Reference).unwrap();
        let of = |index: usize| regions[index].weights.clone();
        assert_eq!([of(0), of(1)], [vec![1., 0., 0., 0.], vec![0., 1., 1., 0.]]);
        assert_eq!([of(2), of(3)], [vec![0.; 4], vec![0., 0., 0., 1.]]);
    }

    #[test]
    fn wrong_regions_are_refused() {
        assert!(Region::cells(0, (2, 2), (0, 1), CellOrder::Rows).is_err());
        assert!(Region::cells(0, (2, 2), (1, 3), CellOrder::Rows).is_err());
        let short = [Region::whole(0, 4), Region::whole(0, 3)];
        assert!(Regions::new(&short, &Device::Cpu).is_err());
        assert!(Regions::new(&[Region::whole(1, 4)], &Device::Cpu).is_err());
        assert!(Regions::new(&[], &Device::Cpu).is_err());
    }
}
