//! What flows between nodes of all modalities.

mod autoencoder;
mod backbone;
mod conditioning;
mod content;
mod latent;
mod medium;
pub mod packed;
mod space;
mod tensor;
mod text_encoder;
mod times;
mod velocity;
mod vocoder;

pub(crate) use autoencoder::autoencoder_facts;
pub use autoencoder::{DecoderValue, EncoderValue};
pub use backbone::BackboneValue;
pub use conditioning::Conditioning;
pub use content::digest_tensor;
pub use latent::Latent;
pub use medium::Medium;
pub use space::Space;
pub(crate) use tensor::given;
pub use tensor::{TensorValue, as_tensor, input_tensor, input_tensors, tensor_type};
pub use text_encoder::TextEncoderValue;
pub use times::Times;
pub use velocity::{VelocityField, VelocityValue};
pub use vocoder::VocoderValue;

use lumina_engine::{Domain, Type};

/// The socket type of a domain type.
pub fn type_of<T: Domain>() -> Type {
    Type::Domain(T::NAME)
}

/// Bytes a tensor holds.
pub fn tensor_bytes(tensor: &candle_core::Tensor) -> u64 {
    (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64
}
