//! Between tensors and bytes.

use candle_core::{DType, Device, Result, Tensor};

/// Width, height and the bytes of one picture: red, green, blue, row by row.
pub(crate) type Rgb = (usize, usize, Vec<u8>);

/// The bytes of each picture of a batch: `round(clamp(x / 2 + 0.5, 0, 1) * 255)`, halves to even, as diffusers'
/// `VaeImageProcessor` does.
///
/// # Shapes
/// `[batch, 3, height, width]`.
///
/// # Errors
/// When the tensor has another shape.
pub fn to_rgb(tensor: &Tensor) -> Result<Vec<Rgb>> {
    let (batch, channels, height, width) = tensor.dims4()?;
    if channels != 3 {
        candle_core::bail!("a picture has 3 channels, found {channels}");
    }
    let values = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.permute((0, 2, 3, 1))?;
    let values = values.contiguous()?.flatten_all()?.to_vec1::<f32>()?;
    let byte = |value: &f32| ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
    let bytes: Vec<u8> = values.iter().map(byte).collect();
    Ok((0..batch)
        .map(|index| {
            let size = height * width * 3;
            (width, height, bytes[index * size..(index + 1) * size].to_vec())
        })
        .collect())
}

/// A picture from its bytes.
///
/// # Shapes
/// `[1, 3, height, width]` with values -1..1.
///
/// # Errors
/// When the number of bytes does not fit the size.
pub fn from_rgb(width: usize, height: usize, bytes: &[u8], device: &Device) -> Result<Tensor> {
    let values: Vec<f32> = bytes.iter().map(|byte| f32::from(*byte) / 127.5 - 1.0).collect();
    Tensor::from_vec(values, (1, height, width, 3), device)?.permute((0, 3, 1, 2))?.contiguous()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn bytes_survive_the_way_there_and_back(bytes in proptest::collection::vec(0u8.., 2 * 3 * 3)) {
            let tensor = from_rgb(2, 3, &bytes, &Device::Cpu).unwrap();
            proptest::prop_assert_eq!(to_rgb(&tensor).unwrap(), vec![(2, 3, bytes)]);
        }
    }

    #[test]
    fn values_beyond_the_range_are_clamped_and_nan_is_black() {
        let tensor = Tensor::new(&[[[[-9f32]], [[9.0]], [[f32::NAN]]]], &Device::Cpu).unwrap();
        assert_eq!(to_rgb(&tensor).unwrap()[0].2, [0, 255, 0]);
    }
}
