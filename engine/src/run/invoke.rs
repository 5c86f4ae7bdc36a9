//! One node of a run: recalled from a cache, or called and held to its specification.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::Runner;
use super::report::Outcome;
use super::round::{Job, Round};
use crate::cache::Outputs;
use crate::call::Call;
use crate::event::Event;
use crate::graph::GraphNode;
use crate::key::unique;
use crate::node_error::{NodeError, panic_text};
use crate::provenance::Provenance;
use crate::types::Type;
use crate::value::Value;

impl Round<'_> {
    /// The outputs of a node: from the cache when it has been run on equal inputs, else by running it.
    pub(super) fn run_or_recall(&self, node: &GraphNode, job: &Job) -> Result<(Outputs, Outcome), NodeError> {
        let Runner { cache, registry, world, options, .. } = *self.runner;
        if node.cache.reads() {
            let kept = match job.key == job.planned {
                // The plan looked already; another node of this run may have computed the same since.
                true => cache.memory.get(&job.key),
                false => cache.get(&job.key, registry, world),
            };
            if let Some(outputs) = kept.filter(|kept| node.kind.node.is_fresh(&kept.values, world)) {
                if node.cache.writes() && self.files_are_as_planned(node) {
                    cache.alias(job.planned, job.key);
                }
                options.events.event(&Event::NodeCached { node: node.name.clone() });
                return Ok((outputs, Outcome::Cached));
            }
        }
        options.events.event(&Event::NodeStarted { node: node.name.clone(), kind: node.kind.spec.kind });
        let started = Instant::now();
        let values = self.call(node, job)?;
        let elapsed = started.elapsed();
        let outputs = match node.cache.reads() {
            true => Outputs::new(values, &job.key),
            // What it gave before may have been something else: what has no content to tell is new.
            false => Outputs::new(values, &unique()),
        };
        if node.cache.writes() && self.files_are_as_planned(node) {
            self.keep(job, &outputs, elapsed);
        }
        options.events.event(&Event::NodeFinished { node: node.name.clone(), elapsed });
        Ok((outputs, Outcome::Ran))
    }

    fn keep(&self, job: &Job, outputs: &Outputs, elapsed: Duration) {
        self.runner.cache.insert(job.key, job.planned, outputs, elapsed, self.runner.registry);
    }

    /// A file that was written between the plan and the node's reading of it must not be kept under the old digest.
    fn files_are_as_planned(&self, node: &GraphNode) -> bool {
        node.files.iter().all(|file| {
            let planned = self.provenance.digests.get(&file.display().to_string());
            let found = self.runner.world.digest(file);
            found.is_ok_and(|found| planned.is_some_and(|planned| *planned == found.to_string()))
        })
    }

    /// Calls the node and holds it to its specification. A panic inside is an error of that node.
    fn call(&self, node: &GraphNode, job: &Job) -> Result<Vec<Value>, NodeError> {
        let spec = &node.kind.spec;
        let values = &job.values;
        let names: Vec<&'static str> = spec.inputs.iter().map(|input| input.name).collect();
        for (value, input) in values.iter().zip(&spec.inputs) {
            // What came through an output of type Any shows only now; everything else was checked.
            let Some(value) = value else { continue };
            if !fits(&input.ty, value) {
                let message =
                    format!("the input `{}` must be {}, found {}", input.name, input.ty, value.ty());
                return Err(NodeError::failed(message));
            }
            input.allows(value).map_err(|(_, message)| NodeError::failed(message))?;
        }
        let provenance = spec.effect.then(|| self.provenance_of(node));
        let call = Call {
            node: &node.name,
            names: &names,
            values,
            events: self.runner.options.events,
            world: self.runner.world,
            cancel: &self.runner.options.cancel,
            thrifty: job.thrifty,
            preview_every: self.runner.options.preview_every,
            provenance: provenance.as_ref().unwrap_or(&self.provenance),
        };
        let outputs =
            catch_unwind(AssertUnwindSafe(|| node.kind.node.run(&call))).unwrap_or_else(|panic| {
                Err(NodeError::failed(format!("the node panicked: {}", panic_text(&*panic))))
            })?;
        let wrong = outputs.len() != spec.outputs.len()
            || outputs.iter().zip(&spec.outputs).any(|(value, output)| !fits(&output.ty, value));
        if wrong {
            let found: Vec<String> = outputs.iter().map(|value| value.ty().to_string()).collect();
            let message =
                format!("the node kind `{}` gave ({}), not what it promises", spec.kind, found.join(", "));
            return Err(NodeError::failed(message));
        }
        Ok(outputs)
    }

    /// What a node that acts on the outside rests on: its turn of a sweep, and no files but those behind it. What it
    /// writes is then the same whatever else the run is for.
    fn provenance_of(&self, node: &GraphNode) -> Provenance {
        let mut provenance = self.provenance.clone();
        provenance.params.extend(node.params.iter().cloned());
        let behind = self.graph.behind(std::slice::from_ref(&node.name));
        let files: HashSet<String> =
            behind.into_iter().flat_map(|node| &node.files).map(|file| file.display().to_string()).collect();
        provenance.digests.retain(|file, _| files.contains(file));
        provenance
    }
}

fn fits(ty: &Type, value: &Value) -> bool {
    match (ty, value) {
        (Type::List(ty), Value::List(items)) => items.iter().all(|item| fits(ty, item)),
        (Type::OneOf(types), _) => types.iter().any(|ty| fits(ty, value)),
        _ => ty.accepts(&value.ty()),
    }
}
