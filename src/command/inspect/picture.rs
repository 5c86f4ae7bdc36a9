//! A picture made here: the graph and the parameters inside it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use lumina_engine::{Document, Provenance, Source, Type, parse, restore};
use serde_json::{Value, json};

use crate::command::Context;
use crate::scalar::Scalar;

/// The graph inside a picture, with the parameters it was run with: a file that runs again.
pub(super) fn graph(context: &Context, path: &Path) -> Result<String> {
    let (document, provenance) = provenance(path)?;
    Ok(restore(&document, &provenance, context.engine.registry()))
}

/// Where a picture comes from.
pub(super) fn describe(context: &Context, path: &Path) -> Result<Value> {
    let (document, provenance) = provenance(path)?;
    // Values are embedded as text; the graph beside them says of which type they are.
    let params: BTreeMap<&str, Scalar> = provenance
        .params
        .iter()
        .map(|(name, text)| (name.as_str(), Scalar::of_param(&document, name, text)))
        .collect();
    let overrides: BTreeMap<&str, Scalar> = provenance
        .overrides
        .iter()
        .map(|(name, text)| (name.as_str(), Scalar::of(&input_type(context, &document, name), text)))
        .collect();
    Ok(json!({
        "file": path.display().to_string(),
        "graph": provenance.graph_name,
        "made by": format!("lumina-graph {} on {}", provenance.engine, provenance.environment),
        "includes": provenance.includes.keys().collect::<Vec<_>>(),
        "parameters": params,
        "overrides": overrides,
        "digests (BLAKE3)": provenance.digests,
    }))
}

/// The type of an input that is named as `node.input`; a text where the graph has no such input.
fn input_type(context: &Context, document: &Document, name: &str) -> Type {
    let find = || {
        let (node, input) = name.split_once('.')?;
        let node = document.nodes.iter().find(|declared| declared.name.value == node)?;
        let kind = context.engine.registry().get(&node.kind.value)?;
        kind.spec.inputs.iter().find(|spec| spec.name == input).map(|spec| spec.ty.clone())
    };
    find().unwrap_or(Type::Text)
}

fn provenance(path: &Path) -> Result<(Document, Provenance)> {
    let found = lumina_modalities::image::read_png(path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    let Some(provenance) = found else {
        bail!(
            "`{}` carries no graph: it was not made by lumina-graph, or with `--no-metadata`",
            path.display()
        );
    };
    let source = Source::new(format!("{}.ron", provenance.graph_name), provenance.graph.clone());
    Ok((parse(source).0, provenance))
}
