//! `tensor.load`: a tensor from a file.

use lumina_engine::{
    Call, Code, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Type, Value,
};
use lumina_models::DType;
use lumina_models::weights::{Header, StoredType};

use crate::value::{TensorValue, type_of};
use crate::{Compute, mistake, tensor_file};

pub(crate) struct TensorLoad;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new("tensor.load", 1, "Reads a tensor from a safetensors file")
        .input(InputSpec::required("path", Type::Path, "the file"))
        .input(InputSpec::optional(
            "name",
            Type::Text,
            "the tensor's name; may be left out when the file has one",
        ))
        .output("tensor", type_of::<TensorValue>(), "the tensor, in the format it is stored in")
        .device()
        .example(
            r#""noise": Node(kind: "tensor.load", with: { "path": "noise.safetensors", "name": "latent" })"#,
        )
}

impl Node for TensorLoad {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        let fact = Fact::of(type_of::<TensorValue>());
        let Some(found) = inquiry.find("path", "file")? else {
            return Ok(Inference::new([fact], Memory::UNKNOWN));
        };
        let shown = found.display();
        let header = Header::read(&found).map_err(|error| vec![mistake("path", &error)])?;
        let whole = header.tensors().iter().map(|tensor| tensor.end - tensor.start).sum::<u64>();
        let names: Vec<&str> = header.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
        let wanted = match (inquiry.text("name"), names.as_slice()) {
            (Some(name), _) => name,
            (None, [only]) => only,
            (None, _) if inquiry.fact("name").is_some() => {
                // Which one is not known yet: at most all of them.
                return Ok(Inference::new([fact], Memory::new(2 * whole, whole)).files([found]));
            }
            (None, _) => {
                let message = format!("`{shown}` has {} tensors, say which one with `name`", names.len());
                let mut mistake = Mistake::at("path", message);
                mistake.help.extend(lumina_engine::suggest("", names.iter().copied()));
                return Err(vec![mistake]);
            }
        };
        let Some(tensor) = header.tensors().iter().find(|tensor| tensor.name == wanted) else {
            let message = format!("`{shown}` has no tensor `{wanted}`");
            let mut mistake = Mistake::at("name", message).code(Code::BadFile);
            mistake.help.extend(lumina_engine::suggest(wanted, names.iter().copied()));
            return Err(vec![mistake]);
        };
        if DType::try_from(tensor.dtype).is_err() || tensor.dtype == StoredType::F8_E4M3 {
            let message =
                format!("`{wanted}` is stored as {:?}, which is not a format that is read", tensor.dtype);
            let help = "read are F64, F32, F16, BF16, I64, I32, I16, U32 and U8";
            return Err(vec![Mistake::at("path", message).code(Code::BadFile).help(help)]);
        }
        let fact = fact.shape(tensor.shape.iter().copied());
        // The whole file is read, and all its tensors are made before one is kept.
        Ok(Inference::new([fact], Memory::new(2 * whole, tensor.end - tensor.start)).files([found]))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let found = call.find("path")?;
        let name = call.value("name").map(|_| call.text("name")).transpose()?;
        let tensor = tensor_file::read(&found, name, &Compute::of(call.world).device)?;
        Ok(vec![Value::domain(TensorValue(tensor))])
    }
}
