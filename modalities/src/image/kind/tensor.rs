//! `image.tensor`: the numbers of a picture.

use lumina_engine::{
    Call, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Value,
};
use lumina_nodes::value::{TensorValue, type_of};

use crate::image::Image;

pub(crate) struct ImageTensor;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new("image.tensor", 1, "Takes the numbers of a picture\n\nFor saving and comparing tensors.")
        .input(InputSpec::required("image", type_of::<Image>(), "a picture"))
        .output(
            "tensor",
            type_of::<TensorValue>(),
            "[batch, 3, height, width], -1 is black, 1 is full colour",
        )
        .device()
        .example(r#""numbers": Node(kind: "image.tensor", with: { "image": Link("image") })"#)
}

impl Node for ImageTensor {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let mut fact = Fact::of(type_of::<TensorValue>());
        fact.shape = inquiry.fact("image").and_then(|image| image.shape.clone());
        // The same memory as the picture, but it may live longer.
        let bytes = fact.elements().unwrap_or(0) * 4;
        Ok(Inference::new([fact], Memory::kept(bytes)))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        Ok(vec![Value::domain(TensorValue(call.domain::<Image>("image")?.tensor.clone()))])
    }
}
