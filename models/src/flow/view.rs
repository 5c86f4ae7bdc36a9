//! Views of a latent: ways to look at it under which it is to show another picture.

use candle_core::Tensor;

use crate::{ModelError, Result};

/// A view that only moves or negates cells, and so can be applied to latents.
///
/// Source: `visual_anagrams/visual_anagrams/views/` of Lumina-T2X.
#[derive(Clone, Debug, PartialEq)]
pub enum View {
    /// As it is.
    Identity,
    /// Upside down.
    Flip,
    /// A quarter turn clockwise.
    RotateClockwise,
    /// A quarter turn counterclockwise.
    RotateCounterclockwise,
    /// A half turn.
    Rotate180,
    /// The negative. Turned back, only the first three channels change their sign: what the reference does, which was
    /// written for colours.
    Negate,
    /// Column `i` rolls down by this factor times its distance from half the height, rounded towards zero.
    Skew(f64),
    /// Patch `k` is patch `order[k]` of what is viewed, on a grid of `side x side` patches.
    Patches {
        /// Patches along a side.
        side: usize,
        /// A permutation of all patches.
        order: Vec<u32>,
    },
    /// Cell `k` is cell `order[k]` of what is viewed: inner circle, hinge, jigsaw.
    Cells(Vec<u32>),
}

impl View {
    /// The view that the reference gives this name, of those that have no parameters.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "identity" => Self::Identity,
            "flip" => Self::Flip,
            "rotate_cw" => Self::RotateClockwise,
            "rotate_ccw" => Self::RotateCounterclockwise,
            "rotate_180" => Self::Rotate180,
            "negate" => Self::Negate,
            _ => return None,
        })
    }

    /// What is seen.
    ///
    /// # Shapes
    /// `[.., channels, height, width]`; quarter turns swap height and width.
    ///
    /// # Errors
    /// [`ModelError::Input`] when the size does not fit the view, or its order is no permutation.
    pub fn apply(&self, latent: &Tensor) -> Result<Tensor> {
        match self {
            Self::Identity => Ok(latent.clone()),
            Self::Negate => Ok(latent.neg()?),
            _ => {
                let size = size_of(latent)?;
                gather(latent, self.order(size)?, self.viewed(size))
            }
        }
    }

    /// What a change of what is seen means for what is viewed.
    ///
    /// # Shapes
    /// As [`apply`](Self::apply), in the other direction.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn undo(&self, change: &Tensor) -> Result<Tensor> {
        match self {
            Self::Identity => Ok(change.clone()),
            Self::Negate => {
                let axis = change.rank().saturating_sub(3);
                let channels = change.dim(axis)?;
                let colours = change.narrow(axis, 0, channels.min(3))?.neg()?;
                if channels <= 3 {
                    return Ok(colours);
                }
                let rest = change.narrow(axis, 3, channels - 3)?;
                Ok(Tensor::cat(&[colours, rest.contiguous()?], axis)?)
            }
            _ => {
                let seen = size_of(change)?;
                let size = self.viewed(seen);
                let order = self.order(size)?;
                let mut inverse = vec![0; order.len()];
                for (to, from) in (0_u32..).zip(order) {
                    if let Some(slot) = inverse.get_mut(from as usize) {
                        *slot = to;
                    }
                }
                gather(change, inverse, size)
            }
        }
    }

    /// The size of what is seen; the same function leads back.
    fn viewed(&self, (height, width): (usize, usize)) -> (usize, usize) {
        match self {
            Self::RotateClockwise | Self::RotateCounterclockwise => (width, height),
            _ => (height, width),
        }
    }

    /// The cell of what is viewed for each cell of what is seen.
    fn order(&self, (height, width): (usize, usize)) -> Result<Vec<u32>> {
        let (rows, columns) = self.viewed((height, width));
        let from = |row: usize, column: usize| match self {
            Self::Flip => (height - 1 - row, column),
            Self::Rotate180 => (height - 1 - row, width - 1 - column),
            Self::RotateClockwise => (height - 1 - column, row),
            Self::RotateCounterclockwise => (column, width - 1 - row),
            Self::Skew(factor) => {
                let shift = (factor * (column as f64 - (height / 2) as f64)).trunc() % height as f64;
                let row = (row as i64 - shift as i64).rem_euclid(height as i64);
                (row as usize, column)
            }
            _ => (row, column),
        };
        let cell = |row: usize, column: usize| (row * width + column) as u32;
        match self {
            Self::Cells(order) => {
                check_permutation(order, height * width)?;
                Ok(order.clone())
            }
            Self::Patches { side, order } => {
                if *side == 0 || height % side != 0 || width % side != 0 {
                    let expected = format!("sides that {side} divides");
                    return Err(ModelError::input(
                        "the viewed size",
                        expected,
                        format!("{height} x {width}"),
                    ));
                }
                check_permutation(order, side * side)?;
                let (tall, wide) = (height / side, width / side);
                let from = |row: usize, column: usize| {
                    let patch = order.get(row / tall * side + column / wide).copied().unwrap_or(0) as usize;
                    cell(patch / side * tall + row % tall, patch % side * wide + column % wide)
                };
                Ok(grid(rows, columns).map(|(row, column)| from(row, column)).collect())
            }
            _ => Ok(grid(rows, columns)
                .map(|(row, column)| from(row, column))
                .map(|(row, column)| cell(row, column))
                .collect()),
        }
    }
}

fn grid(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
}

fn size_of(latent: &Tensor) -> Result<(usize, usize)> {
    match latent.dims() {
        [.., _, height, width] if *height > 0 && *width > 0 => Ok((*height, *width)),
        found => Err(ModelError::input("the latent", "[.., channels, height, width]", format!("{found:?}"))),
    }
}

fn gather(latent: &Tensor, order: Vec<u32>, (height, width): (usize, usize)) -> Result<Tensor> {
    let count = order.len();
    let order = Tensor::from_vec(order, count, latent.device())?;
    let mut shape = latent.dims().to_vec();
    shape.truncate(shape.len().saturating_sub(2));
    shape.push(count);
    let axis = shape.len() - 1;
    let cells = latent.contiguous()?.reshape(shape.as_slice())?.index_select(&order, axis)?;
    shape.pop();
    shape.extend([height, width]);
    Ok(cells.reshape(shape)?)
}

fn check_permutation(order: &[u32], count: usize) -> Result<()> {
    let mut met = vec![false; count];
    for &from in order {
        if let Some(slot) = met.get_mut(from as usize) {
            *slot = true;
        }
    }
    if order.len() == count && met.iter().all(|&met| met) {
        return Ok(());
    }
    let found = format!("{} numbers, some of them twice or too large", order.len());
    let found = if order.len() == count { found } else { format!("{} numbers", order.len()) };
    Err(ModelError::input("the order of a view", format!("a permutation of {count} numbers"), found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn an_order_must_be_a_permutation_of_the_right_length() {
        let latent = Tensor::arange(0_f32, 4.0, &Device::Cpu).unwrap().reshape((1, 2, 2)).unwrap();
        for order in [vec![0, 1, 2], vec![0, 1, 2, 2], vec![0, 1, 2, 4]] {
            assert!(matches!(View::Cells(order).apply(&latent), Err(ModelError::Input { .. })));
        }
        let patches = View::Patches { side: 3, order: (0..9).collect() };
        assert!(matches!(patches.apply(&latent), Err(ModelError::Input { .. })));
        assert!(matches!(View::Flip.apply(&latent.get(0).unwrap()), Err(ModelError::Input { .. })));
    }

    #[test]
    fn moving_views_are_undone() {
        let latent = Tensor::arange(0_f32, 24.0, &Device::Cpu).unwrap().reshape((1, 2, 4, 3)).unwrap();
        let views = ["identity", "flip", "rotate_cw", "rotate_ccw", "rotate_180"];
        let named = views.map(|name| View::named(name).unwrap());
        for view in named.into_iter().chain([View::Skew(1e300), View::Skew(-0.6)]) {
            let back = view.undo(&view.apply(&latent).unwrap()).unwrap();
            let read = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!((back.dims(), read(&back)), (latent.dims(), read(&latent)), "{view:?}");
        }
        assert!(View::named("jigsaw").is_none());
    }
}
