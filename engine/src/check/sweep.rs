//! `--sweep`: parameters that take several values in one run.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::params::{Params, overridden};
use super::{Draft, unknown_override};
use crate::control::Control;
use crate::diagnostic::{Code, Diagnostic};
use crate::document::{CacheMode, Document};
use crate::expand::SweepValues;
use crate::node::Node;
use crate::registry::Kind;
use crate::spec::NodeSpec;
use crate::template::plain;
use crate::value::Value;

/// Parameters that take their values together, one row after the other. Several sweeps make every combination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The parameters.
    pub names: Vec<String>,
    /// For each turn, a value for each of them, as `--set` would take it.
    pub rows: Vec<Vec<String>>,
}

impl Sweep {
    /// One parameter with its values.
    pub fn of(name: impl Into<String>, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let rows = values.into_iter().map(|value| vec![value.into()]).collect();
        Self { names: vec![name.into()], rows }
    }
}

/// The parameters that are swept, with the position of their sweep and of their value in it.
pub(super) fn names(sweeps: &[Sweep]) -> Vec<(&str, usize, usize)> {
    let each = sweeps.iter().enumerate();
    each.flat_map(|(sweep, Sweep { names, .. })| {
        names.iter().enumerate().map(move |(output, name)| (name.as_str(), sweep, output))
    })
    .collect()
}

/// The values of the sweeps in the types of their parameters. What is wrong is reported and left out.
pub(super) fn read(
    sweeps: &[Sweep],
    document: &Document,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Arc<SweepValues>> {
    let mut seen: Vec<&str> = Vec::new();
    for name in sweeps.iter().flat_map(|sweep| &sweep.names) {
        let known: Vec<&str> = document.params.iter().map(|param| param.name.value.as_str()).collect();
        if !known.contains(&name.as_str()) {
            diagnostics.push(
                unknown_override(name, "the graph has no such parameter", known)
                    .help("only parameters are swept, not inputs of nodes"),
            );
        } else if seen.contains(&name.as_str()) {
            let message = format!("`--sweep {name}=...` is given twice");
            diagnostics.push(Diagnostic::without_place(Code::BadOverride, message));
        }
        seen.push(name);
    }
    let values = |sweep: &Sweep, diagnostics: &mut Vec<Diagnostic>| {
        let mut rows = Vec::with_capacity(sweep.rows.len());
        for row in &sweep.rows {
            let mut values = Vec::with_capacity(row.len());
            for (name, text) in sweep.names.iter().zip(row) {
                let param = document.params.iter().find(|param| param.name.value == *name);
                let value = param.and_then(|param| overridden(("sweep", name), param, text, diagnostics));
                let value = value.unwrap_or(Value::Bool(false));
                // As `--set` would be recorded: a picture of a sweep is that of a run of its own.
                let written = plain(&value);
                values.push((value, written));
            }
            rows.push(values);
        }
        Arc::new(SweepValues { names: sweep.names.clone(), rows })
    };
    sweeps.iter().map(|sweep| values(sweep, diagnostics)).collect()
}

/// The nodes that stand for the sweeps; links to them are positions behind the nodes of the files.
pub(super) fn drafts(sweeps: &[Arc<SweepValues>], behind: usize) -> Vec<Draft> {
    let draft = |(index, sweep): (usize, &Arc<SweepValues>)| Draft {
        name: format!("--sweep {}", sweep.names.join(",")),
        kind: Arc::new(Kind {
            spec: NodeSpec::new("sweep", 1, "").control(Control::Sweep),
            node: Box::new(Nothing),
        }),
        inputs: Vec::new(),
        origins: Vec::new(),
        cache: CacheMode::On,
        declaration: behind + index,
        sweep: Some(Arc::clone(sweep)),
    };
    sweeps.iter().enumerate().map(draft).collect()
}

/// Every parameter as it would be written in a graph; swept ones with their first value.
pub(super) fn resolved(params: &Params<'_>, sweeps: &[Arc<SweepValues>]) -> BTreeMap<String, String> {
    let mut resolved = params.resolved();
    for sweep in sweeps {
        if let Some(first) = sweep.rows.first() {
            resolved.extend(sweep.names.iter().cloned().zip(first.iter().map(|(_, text)| text.clone())));
        }
    }
    resolved
}

/// A sweep has its values; it is never asked for anything.
struct Nothing;

impl Node for Nothing {
    fn infer(
        &self,
        _: &crate::inquiry::Inquiry<'_>,
    ) -> Result<crate::node::Inference, Vec<crate::mistake::Mistake>> {
        Ok(crate::node::Inference::new([], crate::memory_need::Memory::SMALL))
    }

    fn run(&self, _: &crate::call::Call<'_>) -> Result<Vec<Value>, crate::node_error::NodeError> {
        Ok(Vec::new())
    }
}
