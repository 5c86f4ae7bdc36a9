//! `tensor.save`: a tensor into a file.

use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
    World,
};

use crate::tensor_file;
use crate::value::{as_tensor, tensor_type};

pub(crate) struct TensorSave;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new("tensor.save", 1, "Writes a tensor into a safetensors file")
        .input(InputSpec::required("tensor", tensor_type(), "a tensor, a latent, text features or times"))
        .input(
            InputSpec::default("path", Type::Path, Value::path("out/{graph}_{node}.safetensors"), "where").template(),
        )
        .input(InputSpec::default("name", Type::Text, Value::text("tensor"), "the tensor's name in the file"))
        .output("path", Type::Path, "where it is")
        .output("digest", Type::Text, "the BLAKE3 digest of the file")
        .effect()
        .device()
        .example(r#""kept": Node(kind: "tensor.save", with: { "tensor": Link("latent"), "path": "out/latent.safetensors" })"#)
}

impl Node for TensorSave {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        if let Some(path) = inquiry.path("path")
            && let Err(cause) = inquiry.world.can_write(&path)
        {
            let message = format!("cannot write `{}`: {cause}", path.display());
            return Err(vec![Mistake::at("path", message).code(Code::Unwritable)]);
        }
        if let Some(name) = inquiry.text("name").filter(|name| name.is_empty() || name.starts_with("__")) {
            let message = format!("`{name}` cannot be the name of a tensor in a safetensors file");
            return Err(vec![Mistake::at("name", message).code(Code::NotAChoice)]);
        }
        let elements = inquiry.fact("tensor").and_then(Fact::elements).unwrap_or(0);
        // Laid out in order, then once more as the file.
        let memory = Memory::new(elements * 4 * 2, Memory::SMALL.kept);
        Ok(Inference::new([Fact::of(Type::Path), Fact::of(Type::Text)], memory))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let path = call.path("path")?;
        let tensor = as_tensor(call.value("tensor").unwrap_or(&Value::Bool(false)))?;
        let digest = tensor_file::write(call, &path, call.text("name")?, &tensor)?;
        call.written(&path);
        Ok(vec![Value::path(path), Value::text(digest.to_string())])
    }

    fn is_fresh(&self, outputs: &[Value], world: &dyn World) -> bool {
        matches!(outputs, [path, digest] if tensor_file::holds(world, path, digest))
    }
}
