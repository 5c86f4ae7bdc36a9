//! From a latent to tokens and back.

use candle_core::Tensor;

use crate::{ModelError, Result};

/// Cuts a latent into tokens, row by row. The features of a token are ordered (channel, row, column).
///
/// Source: `NextDiT.patchify_and_embed` of Lumina-T2X `models/model.py`.
///
/// # Shapes
/// `[batch, channels, height, width]` to `[batch, height / patch * width / patch, channels * patch^2]`.
///
/// # Errors
/// [`ModelError::Input`] when the patch does not divide height and width.
pub fn patchify(latent: &Tensor, patch: usize) -> Result<Tensor> {
    let (batch, channels, height, width) = latent.dims4()?;
    if patch == 0 || height % patch != 0 || width % patch != 0 || height * width == 0 {
        let found = format!("{height} x {width}");
        return Err(ModelError::input("the latent size", format!("multiples of {patch}"), found));
    }
    let (rows, columns) = (height / patch, width / patch);
    let cut = latent.contiguous()?.reshape(&[batch, channels, rows, patch, columns, patch][..])?;
    let tokens = cut.permute([0, 2, 4, 1, 3, 5])?.contiguous()?;
    Ok(tokens.reshape((batch, rows * columns, channels * patch * patch))?)
}

/// Puts tokens together to a latent. The features of a token are ordered (row, column, channel): not as in
/// [`patchify`].
///
/// Source: `NextDiT.unpatchify` of Lumina-T2X `models/model.py`.
///
/// # Shapes
/// `[batch, rows * columns, patch^2 * channels]` to `[batch, channels, rows * patch, columns * patch]`.
///
/// # Errors
/// [`ModelError::Candle`] when the sizes do not fit.
pub fn unpatchify(tokens: &Tensor, (rows, columns): (usize, usize), patch: usize) -> Result<Tensor> {
    let (batch, _, features) = tokens.dims3()?;
    let channels = features / (patch * patch).max(1);
    let cut = tokens.contiguous()?.reshape(&[batch, rows, columns, patch, patch, channels][..])?;
    let latent = cut.permute([0, 5, 1, 3, 2, 4])?.contiguous()?;
    Ok(latent.reshape((batch, channels, rows * patch, columns * patch))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use proptest::prelude::*;

    fn count(shape: &[usize]) -> Tensor {
        let size = shape.iter().product::<usize>() as u32;
        Tensor::arange(0_u32, size, &Device::Cpu).unwrap().reshape(shape).unwrap()
    }

    #[test]
    fn odd_sizes_are_refused() {
        assert!(matches!(patchify(&count(&[1, 4, 5, 4]), 2), Err(ModelError::Input { .. })));
    }

    #[test]
    fn features_are_channel_row_column() {
        let tokens = patchify(&count(&[1, 2, 2, 4]), 2).unwrap().to_vec3::<u32>().unwrap();
        assert_eq!(tokens[0][1], [2, 3, 6, 7, 10, 11, 14, 15]);
    }

    proptest! {
        #[test]
        fn a_latent_survives_the_round_trip(
            batch in 1_usize..3, channels in 1_usize..5, rows in 1_usize..5, columns in 1_usize..5, patch in 1_usize..4,
        ) {
            let latent = count(&[batch, channels, rows * patch, columns * patch]);
            let tokens = patchify(&latent, patch).unwrap();
            // The two orders of features differ, so bring one into the other first.
            let area = patch * patch;
            let tokens = tokens.reshape((batch, rows * columns, channels, area)).unwrap().transpose(2, 3).unwrap();
            let tokens = tokens.contiguous().unwrap().reshape((batch, rows * columns, area * channels)).unwrap();
            let back = unpatchify(&tokens, (rows, columns), patch).unwrap();
            prop_assert_eq!(back.dims(), latent.dims());
            let read = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<u32>().unwrap();
            prop_assert_eq!(read(&back), read(&latent));
        }
    }
}
