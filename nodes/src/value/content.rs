//! Digests of what is in tensors.

use candle_core::{CpuStorage, Storage, Tensor, WithDType};
use lumina_engine::Digester;

/// Numbers that are turned into bytes at a time.
const PIECE: usize = 4096;

/// Adds number format, shape and numbers of a tensor to a digest. `None` when they are not in the memory of the host:
/// reading them back from a device would cost more than it saves.
pub fn digest_tensor(digester: &mut Digester, tensor: &Tensor) -> Option<()> {
    if !tensor.device().is_cpu() {
        return None;
    }
    let tensor = tensor.contiguous().ok()?;
    digester.part(tensor.dtype().as_str().as_bytes());
    let dimensions: Vec<u8> = tensor.dims().iter().flat_map(|side| (*side as u64).to_le_bytes()).collect();
    digester.part(&dimensions);
    let (storage, layout) = tensor.storage_and_layout();
    let (Storage::Cpu(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets()) else {
        return None;
    };
    match storage {
        CpuStorage::U8(numbers) => digester.part(numbers.get(start..end)?),
        CpuStorage::U32(numbers) => add(digester, numbers.get(start..end)?, |number| number.to_le_bytes()),
        CpuStorage::I16(numbers) => add(digester, numbers.get(start..end)?, |number| number.to_le_bytes()),
        CpuStorage::I32(numbers) => add(digester, numbers.get(start..end)?, |number| number.to_le_bytes()),
        CpuStorage::I64(numbers) => add(digester, numbers.get(start..end)?, |number| number.to_le_bytes()),
        CpuStorage::BF16(numbers) => add(digester, numbers.get(start..end)?, |number| number.to_le_bytes()),
        CpuStorage::F16(numbers) => add(digester, numbers.get(start..end)?, |number| number.to_le_bytes()),
        CpuStorage::F32(numbers) => add(digester, numbers.get(start..end)?, |number| number.to_le_bytes()),
        CpuStorage::F64(numbers) => add(digester, numbers.get(start..end)?, |number| number.to_le_bytes()),
        _ => return None,
    };
    Some(())
}

fn add<'d, T: WithDType, const N: usize>(
    digester: &'d mut Digester,
    numbers: &[T],
    bytes_of: impl Fn(T) -> [u8; N],
) -> &'d mut Digester {
    let length = size_of_val(numbers) as u64;
    let mut bytes = vec![0; PIECE * N];
    digester.stream(length, |write| {
        for piece in numbers.chunks(PIECE) {
            for (number, place) in piece.iter().zip(bytes.chunks_exact_mut(N)) {
                place.copy_from_slice(&bytes_of(*number));
            }
            write(&bytes[..piece.len() * N]);
        }
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use lumina_engine::Digest;

    use super::*;

    fn digest(tensor: &Tensor) -> Option<Digest> {
        let mut digester = Digester::new("test");
        digest_tensor(&mut digester, tensor)?;
        Some(digester.finish())
    }

    #[test]
    fn the_digest_is_of_numbers_format_and_shape() {
        let numbers = Tensor::arange(0f32, 6.0, &Device::Cpu).unwrap();
        let one = numbers.reshape((2, 3)).unwrap();
        let others = [
            numbers.reshape((3, 2)).unwrap(),
            one.to_dtype(DType::F64).unwrap(),
            one.to_dtype(DType::U32).unwrap(),
            one.affine(1.0, 1e-6).unwrap(),
            one.neg().unwrap(),
        ];
        assert!(others.iter().all(|other| digest(other).is_some() && digest(other) != digest(&one)));
        assert_eq!(digest(&one), digest(&one.copy().unwrap()));
    }

    #[test]
    fn a_view_has_the_digest_of_its_copy() {
        let whole = Tensor::arange(0f32, 20_000.0, &Device::Cpu).unwrap().reshape((100, 200)).unwrap();
        for view in [whole.t().unwrap(), whole.narrow(0, 10, 50).unwrap(), whole.narrow(1, 3, 150).unwrap()] {
            assert_eq!(digest(&view), digest(&view.copy().unwrap().contiguous().unwrap()));
            assert_ne!(digest(&view), digest(&whole));
        }
    }

    #[test]
    fn every_format_that_nodes_compute_in_has_a_digest() {
        let numbers = Tensor::arange(0f32, 6.0, &Device::Cpu).unwrap();
        for dtype in [DType::U8, DType::U32, DType::I64, DType::BF16, DType::F16, DType::F32, DType::F64] {
            assert!(digest(&numbers.to_dtype(dtype).unwrap()).is_some(), "{dtype:?}");
        }
    }
}
