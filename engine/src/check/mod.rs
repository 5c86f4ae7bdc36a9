//! Document and registry to a graph that can run, or to the list of everything that is wrong.
//!
//! The check reads headers of files, never weights. It goes on after a mistake: what depends on a broken
//! part is taken as unknown and not reported again.

mod infer;
mod inputs;
mod order;
mod outputs;
mod params;
mod template;

use std::collections::HashMap;

use crate::diagnostic::{Code, Diagnostic, any_error};
use crate::document::Document;
use crate::graph::{Graph, GraphNode};
use crate::provenance::Provenance;
use crate::registry::Registry;
use crate::suggest::suggest;
use crate::world::World;

use params::Params;

/// What is set from outside, as text: `--set`.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Parameters, or inputs as `node.input`.
    pub values: Vec<(String, String)>,
    /// Inputs by name, set in every node that has them.
    pub everywhere: Vec<(String, String)>,
}

impl Overrides {
    /// Sets a parameter or, as `node.input`, an input.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.values.push((name.into(), value.into()));
        self
    }
}

/// The result of a check.
pub struct Checked {
    /// The graph, unless there are errors.
    pub graph: Option<Graph>,
    /// Errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
}

/// Checks a document that was [parsed](crate::parse) with `diagnostics`.
pub fn check(
    document: &Document,
    mut diagnostics: Vec<Diagnostic>,
    registry: &Registry,
    world: &dyn World,
    overrides: &Overrides,
) -> Checked {
    let (param_overrides, input_overrides): (Vec<_>, Vec<_>) =
        overrides.values.iter().partition(|(name, _)| !name.contains('.'));

    let params = Params::read(document, &param_overrides, &mut diagnostics);
    let mut inputs =
        inputs::Resolver::new(document, registry, &params, &input_overrides, &overrides.everywhere);
    let mut nodes: Vec<Draft> = document.nodes.iter().filter_map(|node| inputs.node(node)).collect();
    inputs.finish(&mut diagnostics);
    params.warn_unused(&mut diagnostics);

    outputs::same(document, &nodes, &mut diagnostics);

    let order = order::sort(document, &nodes, &mut diagnostics);
    let nodes = order::apply(&mut nodes, &order);
    let nodes = infer::infer(nodes, document, world, &params, &mut diagnostics);

    if any_error(&diagnostics) {
        return Checked { graph: None, diagnostics };
    }
    let provenance = Provenance {
        graph: document.source.text().to_owned(),
        graph_name: document.source.stem(),
        params: params.resolved(),
        overrides: input_overrides.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        environment: world.environment(),
        ..Provenance::default()
    };
    Checked { graph: Some(Graph { nodes, provenance }), diagnostics }
}

/// A node whose names have been looked up; links are by position in the file until [`order::apply`].
struct Draft {
    node: GraphNode,
    /// Position in [`Document::nodes`].
    declaration: usize,
    /// For each input, what is known of its origin.
    origins: Vec<Origin>,
}

/// Where an input came from.
#[derive(Clone, Debug, Default)]
struct Origin {
    /// The parameter it got its value from.
    param: Option<String>,
    /// The override it got its value from, as it was named.
    set: Option<String>,
    /// What it refers to is wrong, which is reported: only its type is known.
    unresolved: bool,
}

/// Positions of the nodes of a document by name; of names given twice the parser kept the first.
fn positions(document: &Document) -> HashMap<&str, usize> {
    document.nodes.iter().enumerate().map(|(index, node)| (node.name.value.as_str(), index)).collect()
}

/// An override that names nothing in the graph.
fn unknown_override<'a>(name: &str, what: &str, candidates: impl IntoIterator<Item = &'a str>) -> Diagnostic {
    Diagnostic::without_place(Code::UnknownOverride, format!("`--set {name}=...`: {what}"))
        .maybe_help(suggest(name, candidates))
}
