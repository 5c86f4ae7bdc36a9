//! Plain tensors, for looking inside.

use candle_core::Tensor;
use lumina_engine::{Call, Digest, Digester, Domain, NodeError, Storable, Type, Value, World};

use super::packed::{pack, take, unpack};
use super::{Conditioning, Latent, Times, digest_tensor, tensor_bytes, type_of};

/// A tensor without a meaning of its own.
#[derive(Clone, Debug)]
pub struct TensorValue(pub Tensor);

impl Domain for TensorValue {
    const NAME: &'static str = "Tensor";

    fn byte_size(&self) -> u64 {
        tensor_bytes(&self.0)
    }

    fn digest(&self) -> Option<Digest> {
        let mut digester = Digester::new(Self::NAME);
        digest_tensor(&mut digester, &self.0)?;
        Some(digester.finish())
    }
}

impl Storable for TensorValue {
    fn store(&self) -> Result<Vec<u8>, String> {
        pack(&[("tensor", &self.0)], String::new())
    }

    fn restore(bytes: &[u8], world: &dyn World) -> Result<Self, String> {
        Ok(Self(take(&mut unpack(bytes, world)?.0, "tensor")?))
    }
}

/// The socket type of everything that [`as_tensor`] takes.
pub fn tensor_type() -> Type {
    Type::OneOf(vec![
        type_of::<TensorValue>(),
        type_of::<Latent>(),
        type_of::<Conditioning>(),
        type_of::<Times>(),
    ])
}

/// The tensor in a tensor, a latent, the features of a conditioning, or times.
///
/// # Errors
/// When the value holds no tensor.
pub fn as_tensor(value: &Value) -> Result<Tensor, NodeError> {
    if let Some(tensor) = value.downcast::<TensorValue>() {
        return Ok(tensor.0.clone());
    }
    if let Some(latent) = value.downcast::<Latent>() {
        return Ok(latent.tensor.clone());
    }
    if let Some(conditioning) = value.downcast::<Conditioning>() {
        return Ok(conditioning.features.features.clone());
    }
    if let Some(times) = value.downcast::<Times>() {
        let times = Tensor::new(times.points.as_slice(), &candle_core::Device::Cpu);
        return times.map_err(|error| NodeError::failed(error.to_string()));
    }
    Err(NodeError::failed(format!("a {} holds no tensor", value.ty())))
}

/// The tensor of an input.
///
/// # Errors
/// When the input is absent or holds no tensor.
pub fn input_tensor(call: &Call<'_>, input: &str) -> Result<Tensor, NodeError> {
    as_tensor(given(call, input)?)
}

/// The tensors of an input: those of a list, or the one that it is.
///
/// # Errors
/// As [`input_tensor`].
pub fn input_tensors(call: &Call<'_>, input: &str) -> Result<Vec<Tensor>, NodeError> {
    match given(call, input)? {
        Value::List(items) => items.iter().map(as_tensor).collect(),
        one => Ok(vec![as_tensor(one)?]),
    }
}

/// The value of an input that must be there.
pub(crate) fn given<'a>(call: &'a Call<'_>, input: &str) -> Result<&'a Value, NodeError> {
    call.value(input).ok_or_else(|| NodeError::failed(format!("`{input}` is not given")))
}
