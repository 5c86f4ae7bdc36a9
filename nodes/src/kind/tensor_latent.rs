//! `tensor.latent`: a tensor taken as a latent.

use candle_core::DType;
use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Value,
};

use crate::Compute;
use crate::value::{Latent, Medium, Space, as_tensor, tensor_type, type_of};

pub(crate) struct TensorLatent;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "tensor.latent",
        1,
        "Takes a tensor as a latent\n\nFor noise or latents that come from elsewhere, in the scale of the backbone.",
    )
    .input(InputSpec::required("tensor", tensor_type(), "[batch, channels, height, width]"))
    .input(InputSpec::required("space", type_of::<Space>(), "what its numbers mean"))
    .output("latent", type_of::<Latent>(), "the latent")
    .device()
    .example(r#""start": Node(kind: "tensor.latent", with: { "tensor": Link("noise"), "space": Link("model.space") })"#)
}

impl Node for TensorLatent {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        if let Some(mistake) = Medium::Image.mistake("space", inquiry.fact("space")) {
            return Err(vec![mistake]);
        }
        let mut fact = inquiry.fact("space").cloned().unwrap_or_else(|| Fact::of(type_of::<Latent>()));
        fact.ty = type_of::<Latent>();
        let Some(tensor) = inquiry.fact("tensor") else { return Ok(Inference::new([fact], Memory::UNKNOWN)) };
        if let Some(shape) = &tensor.shape {
            let channels = fact.int("channels");
            let empty = (0..shape.len()).any(|index| tensor.dimension(index) == Some(0));
            let fits = shape.len() == 4
                && !empty
                && match (tensor.dimension(1), channels) {
                    (Some(found), Some(expected)) => usize::try_from(expected) == Ok(found),
                    _ => true,
                };
            if !fits {
                let expected = channels.map_or("channels".to_owned(), |channels| channels.to_string());
                let message = format!("a latent here is [batch, {expected}, height, width]");
                return Err(vec![
                    Mistake::at("tensor", message).code(Code::WrongShape).label(tensor.to_string()),
                ]);
            }
        }
        fact.shape.clone_from(&tensor.shape);
        let bytes = tensor.elements().unwrap_or(0) * 4;
        Ok(Inference::new([fact], Memory::kept(bytes)))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let space = call.domain::<Space>("space")?;
        let tensor = as_tensor(call.value("tensor").unwrap_or(&Value::Bool(false)))?;
        if tensor.rank() != 4 || tensor.dims()[1] != space.channels {
            let message = format!(
                "a latent here is [batch, {}, height, width], found {:?}",
                space.channels,
                tensor.dims()
            );
            return Err(NodeError::failed(message));
        }
        let tensor = tensor
            .to_dtype(DType::F32)
            .and_then(|tensor| tensor.to_device(&Compute::of(call.world).device))
            .map_err(|error| NodeError::failed(error.to_string()))?;
        Ok(vec![Value::domain(Latent { tensor, space: (*space).clone() })])
    }
}
