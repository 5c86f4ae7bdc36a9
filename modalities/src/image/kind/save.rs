//! `image.save`: a picture into a file.

use std::path::{Path, PathBuf};

use lumina_engine::{
    Call, Code, Digest, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec,
    Provenance, Type, Value, World,
};
use lumina_nodes::holds;
use lumina_nodes::value::type_of;

use crate::image::metadata::write_png;
use crate::image::{Image, to_rgb};

pub(crate) struct ImageSave;

pub(crate) fn spec() -> NodeSpec {
    NodeSpec::new(
        "image.save",
        1,
        "Writes a picture into a PNG file\n\n\
         The file carries the graph, its parameters and the digests of the weights; `lumina-graph inspect` reads them\n\
         back. Several pictures are numbered: `name_0.png`, `name_1.png`.",
    )
    .input(InputSpec::required("image", type_of::<Image>(), "the picture"))
    .input(
        InputSpec::default(
            "path",
            Type::Path,
            Value::path("out/{graph}_{node}.png"),
            "where; `{graph}`, `{node}` and the graph's parameters are replaced",
        )
        .template(),
    )
    .input(InputSpec::default("metadata", Type::Bool, Value::Bool(true), "embed graph, parameters and digests"))
    .output("paths", Type::list(Type::Path), "the files, one for each picture")
    .output("digests", Type::list(Type::Text), "the BLAKE3 digest of each file")
    .effect()
    .example(r#""saved": Node(kind: "image.save", with: { "image": Link("image"), "path": "out/{graph}_{seed}.png" })"#)
}

impl Node for ImageSave {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        if let Some(path) = inquiry.path("path") {
            let is_png = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
            if !is_png {
                let message = format!("`{}` must end in `.png`", path.display());
                return Err(vec![Mistake::at("path", message).code(Code::NotAChoice)]);
            }
            inquiry.world.can_write(&path).map_err(|cause| {
                let message = format!("cannot write `{}`: {cause}", path.display());
                vec![Mistake::at("path", message).code(Code::Unwritable)]
            })?;
        }
        // Colours brought together, in f32 twice; bytes, their pictures and the file are less.
        let bytes = inquiry.fact("image").and_then(Fact::elements).unwrap_or(0) * 8;
        let outputs = [Fact::of(Type::list(Type::Path)), Fact::of(Type::list(Type::Text))];
        Ok(Inference::new(outputs, Memory::new(bytes, Memory::SMALL.kept)))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let image = call.domain::<Image>("image")?;
        let path = call.path("path")?;
        let pictures = to_rgb(&image.tensor).map_err(|error| NodeError::failed(error.to_string()))?;
        let nothing = Provenance::default();
        let provenance = if call.bool("metadata")? { call.provenance } else { &nothing };
        let mut paths = Vec::with_capacity(pictures.len());
        let mut digests = Vec::with_capacity(pictures.len());
        for (index, (width, height, rgb)) in pictures.iter().enumerate() {
            // A stop asked for while pixels were computed leaves no file behind.
            call.check_cancelled()?;
            let path = if pictures.len() == 1 { path.clone() } else { numbered(&path, index) };
            let failed = |cause| NodeError::file(format!("cannot write `{}`: {cause}", path.display()));
            let png = write_png(*width, *height, rgb, provenance).map_err(failed)?;
            call.world.write(&path, &png).map_err(failed)?;
            call.written(&path);
            digests.push(Value::text(Digest::of(&png).to_string()));
            paths.push(Value::path(path));
        }
        Ok(vec![Value::List(paths.into()), Value::List(digests.into())])
    }

    fn is_fresh(&self, outputs: &[Value], world: &dyn World) -> bool {
        match outputs {
            [Value::List(paths), Value::List(digests)] => {
                paths.iter().zip(digests.iter()).all(|(path, digest)| holds(world, path, digest))
            }
            _ => false,
        }
    }
}

fn numbered(path: &Path, index: usize) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}_{index}.{extension}"))
}
