//! Document and registry to a graph that can run, or to the list of everything that is wrong.
//!
//! The check reads headers of files, never weights. It goes on after a mistake: what depends on a broken
//! part is taken as unknown and not reported again.

mod compose;
mod expression;
mod inputs;
mod order;
mod outputs;
mod params;
mod place;
mod sweep;

use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic, any_error};
use crate::document::{CacheMode, Document};
use crate::expand::{Declared, DeclaredNode, Expansion, Known, SweepValues};
use crate::graph::{Graph, Input};
use crate::provenance::Provenance;
use crate::registry::{Kind, Registry};
use crate::source::Source;
use crate::spec::InputSpec;
use crate::suggest::suggest;
use crate::types::Type;
use crate::world::World;

use compose::Composition;
pub(crate) use compose::GRAPH;
use expression::{Resolver, Site};
use inputs::Override;
use params::{Given, Params};
use place::{Places, Reporter};

pub use sweep::Sweep;

/// What is set from outside, as text: `--set` and `--sweep`.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Parameters, or inputs as `node.input`.
    pub values: Vec<(String, String)>,
    /// Inputs by name, set in every node that has them.
    pub everywhere: Vec<(String, String)>,
    /// Parameters that take several values in one run.
    pub sweeps: Vec<Sweep>,
}

impl Overrides {
    /// Sets a parameter or, as `node.input`, an input.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.values.push((name.into(), value.into()));
        self
    }

    /// Lets parameters take several values in one run.
    pub fn sweep(mut self, sweep: Sweep) -> Self {
        self.sweeps.push(sweep);
        self
    }
}

/// The result of a check.
pub struct Checked {
    /// The graph, unless there are errors.
    pub graph: Option<Graph>,
    /// Errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// The text of the graph file and of those it includes, as the places of diagnostics count them.
    pub sources: Vec<Source>,
}

/// Checks a document that was [parsed](crate::parse) with `diagnostics`.
pub fn check(
    document: &Document,
    mut diagnostics: Vec<Diagnostic>,
    registry: &Registry,
    world: &dyn World,
    overrides: &Overrides,
) -> Checked {
    let composition = Composition::read(document, world, &mut diagnostics);
    let sources = composition.sources();
    let set: Vec<(&str, &str)> =
        overrides.values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let params = all_params(&composition, &set, &overrides.sweeps, registry, &mut diagnostics);
    let sweeps = sweep::read(&overrides.sweeps, document, &mut diagnostics);

    let mut resolver = Resolver {
        composition: &composition,
        registry,
        params: &params,
        overrides: input_overrides(&composition, &set),
        everywhere: &overrides.everywhere,
        diagnostics: Vec::new(),
        depth: 0,
    };
    let mut drafts: Vec<Draft> = sweep::drafts(&sweeps, composition.nodes.len());
    drafts.extend((0..composition.nodes.len()).filter_map(|index| resolver.node(index)));
    let outputs = graph_outputs(&mut resolver);
    resolver.finish(&mut diagnostics);
    params.iter().for_each(|params| params.warn_unused(&mut diagnostics));

    let order = order::sort(&composition, &drafts, &mut diagnostics);
    let drafts = order::apply(drafts, &order);
    let positions = order.position_of();
    let outputs = outputs
        .into_iter()
        .filter_map(|(name, mut input)| {
            order::relink(&mut input, &|node| positions[node]).then_some((name, input))
        })
        .collect();
    let (declared, mistakes) = Declared::new(drafts.iter().map(Draft::declared).collect(), outputs);
    let places = Places::new(&composition, &params, &drafts);
    diagnostics
        .extend(mistakes.into_iter().filter_map(|(node, mistake)| places.scope_mistake(node, mistake)));
    let mut reporter = Reporter { places: &places, diagnostics: &mut diagnostics };
    let Expansion { nodes, instances, outputs } = declared.expand(world, &Known::new(), &mut reporter);
    outputs::same(&places, &nodes, &mut diagnostics);

    if any_error(&diagnostics) {
        return Checked { graph: None, diagnostics, sources };
    }
    let input_overrides = set.iter().filter(|(name, _)| name.contains('.'));
    let provenance = Provenance {
        graph: document.source.text().to_owned(),
        graph_name: document.source.stem(),
        includes: composition.texts(),
        params: sweep::resolved(&params[0], &sweeps),
        overrides: input_overrides.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        environment: world.environment(),
        ..Provenance::default()
    };
    let included = composition.included();
    let declared = Arc::new(declared);
    let graph = Graph { nodes, instances, outputs, included, provenance, declared };
    Checked { graph: Some(graph), diagnostics, sources }
}

/// The parameters of every part, outer ones first.
fn all_params<'c>(
    composition: &'c Composition<'c>,
    set: &[(&str, &str)],
    sweeps: &[Sweep],
    registry: &Registry,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Params<'c>> {
    let mut all: Vec<Params<'c>> = Vec::with_capacity(composition.parts.len());
    for part in &composition.parts {
        let params = match part.parent {
            None => {
                let set = set.iter().filter(|(name, _)| !name.contains('.')).copied().collect();
                let given = Given { set, prefix: String::new(), swept: sweep::names(sweeps) };
                Params::of_root(&part.document, &given, diagnostics)
            }
            Some((outer, node)) => {
                let name = part.prefix.trim_end_matches('/');
                let set = set
                    .iter()
                    .filter_map(|(key, value)| {
                        key.split_once('.')
                            .filter(|(node, _)| *node == name)
                            .map(|(_, param)| (param, *value))
                    })
                    .collect();
                let node = &composition.parts[outer].document.nodes[node];
                let given = Given { set, prefix: format!("{name}."), swept: Vec::new() };
                Params::of_included(&part.document, node, (outer, &all[outer]), &given, diagnostics)
            }
        };
        params.check_types(registry, diagnostics);
        // What an included graph is given is used, also where the graph cannot be read.
        let graphs = part.document.nodes.iter().filter(|node| node.kind.value == GRAPH);
        graphs.for_each(|node| node.inputs.iter().for_each(|(_, given)| params.mention(&given.value)));
        all.push(params);
    }
    all
}

/// Overrides of inputs; those of included graphs are parameters and not among them.
fn input_overrides<'a>(composition: &Composition<'_>, set: &[(&'a str, &'a str)]) -> Vec<Override<'a>> {
    let included: Vec<&str> =
        composition.parts[1..].iter().map(|part| part.prefix.trim_end_matches('/')).collect();
    set.iter()
        .filter(|(name, _)| name.contains('.'))
        .map(|(name, value)| Override::new(name, value))
        .filter(|set| !included.contains(&set.node))
        .collect()
}

/// What the graph itself gives. Those of included graphs are looked at for mistakes, whether or not something links to
/// them.
fn graph_outputs(resolver: &mut Resolver<'_>) -> Vec<(String, Input)> {
    let spec = InputSpec::required("output", Type::Any, "what the graph gives");
    let mut outputs = Vec::new();
    for (part, composed) in resolver.composition.parts.iter().enumerate() {
        for (name, expression) in &composed.document.outputs {
            resolver.params[part].mention(&expression.value);
            let site = Site { part, node: &name.value };
            let input = resolver.expression(expression, &spec, &Type::Any, site).filter(|_| part == 0);
            outputs.extend(input.map(|input| (name.value.clone(), input)));
        }
    }
    outputs
}

/// A node whose names have been looked up; links are positions in the composition until [`order::apply`].
struct Draft {
    name: String,
    kind: Arc<Kind>,
    /// One for each input of the kind, in its order.
    inputs: Vec<Input>,
    /// For each input, what is known of its origin.
    origins: Vec<Origin>,
    cache: CacheMode,
    /// Position in the composition; sweeps come behind its nodes.
    declaration: usize,
    sweep: Option<Arc<SweepValues>>,
}

impl Draft {
    fn declared(&self) -> DeclaredNode {
        DeclaredNode {
            name: self.name.clone(),
            kind: Arc::clone(&self.kind),
            inputs: self.inputs.clone(),
            unresolved: self.origins.iter().map(|origin| origin.unresolved).collect(),
            cache: self.cache,
            sweep: self.sweep.clone(),
        }
    }
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

/// An override that names nothing in the graph.
fn unknown_override<'a>(name: &str, what: &str, candidates: impl IntoIterator<Item = &'a str>) -> Diagnostic {
    Diagnostic::without_place(Code::UnknownOverride, format!("`--set {name}=...`: {what}"))
        .maybe_help(suggest(name, candidates))
}
